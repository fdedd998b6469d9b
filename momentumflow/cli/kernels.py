"""`momentumflow kernels`: generated simulation code, to read, to import, to check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from momentumflow import symbolic
from momentumflow.base.choices import Backend
from momentumflow.base.files import write_text
from momentumflow.cli import FAILED, FINE
from momentumflow.cli.groups import Group, alone, refuse
from momentumflow.cli.options import Json, Method, Values
from momentumflow.cli.stated_methods import stated_method
from momentumflow.cli.terminal import say
from momentumflow.numeric.runs import kernels as shipped

app = typer.Typer(cls=Group, invoke_without_command=True, subcommand_metavar="[COMMAND]")


@app.callback()
def kernels(
    context: typer.Context,
    *,
    method: Method = "heavy_ball",
    values: Values = None,
    parametrisation: Annotated[
        str | None,
        typer.Option(
            help="theta of one coordinate as an expression of its weights, such as 'u**2 - v**2'; "
            "the diagonal network in w_pm by default."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of --parametrisation.")] = "separable",
    backend: Annotated[
        Backend, typer.Option(help="What the module is written for; it need not be installed.")
    ] = "numba",
    out: Annotated[
        Path | None, typer.Option(help="Write the module to this folder instead of printing it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Generate the module of kernels that simulates a method on a network."""
    if not alone(context):
        return
    chosen = stated_method(method, values)
    if parametrisation is None:
        refuse(context, "name", "with --parametrisation")
        network = symbolic.DiagonalNetwork().balanced
    else:
        network = symbolic.SeparableNetwork.of_map(parametrisation, name)
    source = symbolic.kernel_source(chosen, network, backend)
    path = None if out is None else symbolic.write_kernels(out, chosen, network, backend)
    if as_json:
        done = {
            "module": symbolic.kernel_file_name(chosen, network, backend),
            "path": None if path is None else str(path),
            "source": source,
        }
        typer.echo(json.dumps(done, indent=2, ensure_ascii=False))
    elif path is None:
        typer.echo(source, nl=False)
    else:
        say(f"written: {path}")


@app.command()
def check(
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Write those again that are not as derived.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare the kernels that ship with momentumflow with their derivation.

    Exits with 1 if one is not what its derivation gives, unless it is written again.
    """
    folder = Path(next(iter(shipped.__path__)))
    stale = []
    for name, source in symbolic.committed_kernels().items():
        path = folder / name
        if path.is_file() and path.read_text(encoding="utf-8") == source:
            continue
        stale.append(name)
        if write:
            write_text(path, source)
    if as_json:
        done = {"folder": str(folder), "differing": stale, "written": write}
        typer.echo(json.dumps(done, indent=2))
    elif not stale:
        typer.echo("every shipped kernel is what its derivation gives")
    else:
        what = "written" if write else "differ from their derivation"
        typer.echo(f"{what}: {', '.join(stale)}")
    raise typer.Exit(FINE if write or not stale else FAILED)
