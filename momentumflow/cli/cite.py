"""`momentumflow cite`: what to cite."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from momentumflow.base.errors import InputError
from momentumflow.cli import completion


def cite(
    *,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            help="Also what this claim of `momentumflow verify` rests on.",
            autocompletion=completion.claims,
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every work that the package draws on.")
    ] = False,
    bibtex: Annotated[bool, typer.Option("--bibtex", help="Print BibTeX entries.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json/--no-json", help="Print the works as JSON, and nothing else.")
    ] = False,
) -> None:
    """List the works to cite: the software, the paper, and what a claim rests on."""
    from momentumflow.base.literature import SOURCES
    from momentumflow.citing import Citation, cite as works

    if bibtex and as_json:
        raise InputError("one of --bibtex and --json", "both")
    chosen = []
    if claim:
        from momentumflow.verify import claims
        from momentumflow.verify.runner import select

        chosen = list(select(claim, claims()))
    found = Citation(tuple(SOURCES.values())) if everything else works(*chosen)
    if as_json:
        rows = [source.to_dict() for source in found.sources]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        typer.echo(found.bibtex() if bibtex else str(found))
