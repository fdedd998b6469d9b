"""`momentumflow figures`: the paper's kind of figures, computed anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from momentumflow import verify
from momentumflow.cli.groups import Group, alone
from momentumflow.cli.options import Json, Seed, completing
from momentumflow.cli.terminal import say

app = typer.Typer(cls=Group, invoke_without_command=True, subcommand_metavar="[COMMAND]")


@app.callback()
def figures(
    context: typer.Context,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the SVG, PDF and PNG files.")] = Path(
        "figures"
    ),
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Draw this figure only; may be repeated. See momentumflow figures list.",
            autocompletion=completing(lambda: tuple(p.name for p in verify.GALLERY)),
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Random problems behind each mean.")] = 20,
    resolution: Annotated[
        int, typer.Option(min=8, help="Points a side of the (gamma, beta) plane.")
    ] = 40,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Compute and write publication-ready figures."""
    if alone(context):
        paths = verify.write_gallery(out, only, seeds=seeds, resolution=resolution, base_seed=seed)
        written = [str(path) for path in paths]
        typer.echo(json.dumps(written, indent=2)) if as_json else say(*written)


@app.command("list")
def listing(*, as_json: Json = False) -> None:
    """List the figures: name and caption."""
    rows = {picture.name: picture.caption for picture in verify.GALLERY}
    typer.echo(json.dumps(rows, indent=2) if as_json else "\n".join(map(": ".join, rows.items())))
