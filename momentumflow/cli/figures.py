"""`momentumflow figures`: the paper's kind of figures, computed anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from momentumflow.cli import completion


def figures(
    *,
    out: Annotated[Path, typer.Option(help="Folder for the SVG, PDF and PNG files.")] = Path(
        "figures"
    ),
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Draw this figure only; may be repeated.", autocompletion=completion.figures
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Random problems behind each mean.")] = 20,
    resolution: Annotated[
        int, typer.Option(min=8, help="Points a side of the (gamma, beta) plane.")
    ] = 40,
    seed: Annotated[int, typer.Option(help="Root of all randomness.")] = 0,
    listing: Annotated[
        bool, typer.Option("--list", help="List the figures and draw none.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json/--no-json", help="Print what was written as JSON, and nothing else."),
    ] = False,
) -> None:
    """Compute and write publication-ready figures."""
    from momentumflow.verify.gallery import GALLERY, write_gallery

    if listing:
        rows = {picture.name: picture.caption for picture in GALLERY}
        text = json.dumps(rows, indent=2) if as_json else "\n".join(map(": ".join, rows.items()))
        typer.echo(text)
        return
    paths = write_gallery(out, only, seeds=seeds, resolution=resolution, base_seed=seed)
    written = [str(path) for path in paths]
    typer.echo(json.dumps(written, indent=2) if as_json else "\n".join(written))
