"""`momentumflow cite`: what to cite."""

from __future__ import annotations

import json
from typing import Annotated

import typer

import momentumflow as mf
from momentumflow import verify
from momentumflow.base.errors import InputError
from momentumflow.cli.options import Json, completing


def cite(
    *,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            help="Also what this claim of `momentumflow verify` rests on.",
            autocompletion=completing(lambda: tuple(claim.name for claim in verify.claims())),
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every work that the package draws on.")
    ] = False,
    bibtex: Annotated[bool, typer.Option("--bibtex", help="Print BibTeX entries.")] = False,
    as_json: Json = False,
) -> None:
    """List the works to cite: the software, the paper, and what a claim rests on."""
    if bibtex and as_json:
        raise InputError("one of --bibtex and --json", "both")
    if everything and claim:
        raise InputError("one of --all and --claim", "both")
    if everything:
        found = mf.Citation.everything()
    else:
        found = mf.cite(*(verify.select(claim, verify.claims()) if claim else ()))
    if as_json:
        rows = [source.to_dict() for source in found.sources]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        typer.echo(found.bibtex() if bibtex else str(found))
