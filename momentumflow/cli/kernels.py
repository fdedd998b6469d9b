"""`momentumflow kernels`: generated simulation code, to read, to import, to check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from momentumflow.base.errors import InputError
from momentumflow.cli import FAILED, FINE
from momentumflow.cli.completion import choices
from momentumflow.cli.stated_methods import METHODS, stated_method

if TYPE_CHECKING:
    from momentumflow.symbolic import SeparableNetwork

_BACKENDS = ("numba", "numpy", "jax", "torch", "c")


def kernels(
    *,
    method: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(METHODS)}, or a recurrence in quotes.",
            autocompletion=choices(*METHODS),
        ),
    ] = "heavy_ball",
    values: Annotated[
        list[str] | None,
        typer.Option("--set", help="An exact parameter value, such as nu=7/10; repeatable."),
    ] = None,
    parametrisation: Annotated[
        str | None,
        typer.Option(
            help="theta of one coordinate as an expression of its weights, such as 'u**2 - v**2'; "
            "the diagonal network in w_pm by default."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of --parametrisation.")] = "separable",
    backend: Annotated[
        str,
        typer.Option(help=f"{', '.join(_BACKENDS)}.", autocompletion=choices(*_BACKENDS)),
    ] = "numba",
    out: Annotated[
        Path | None, typer.Option(help="Write the module to this folder instead of printing it.")
    ] = None,
    committed: Annotated[
        bool,
        typer.Option("--committed", help="Write all kernels that ship with momentumflow again."),
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only compare the shipped kernels with their derivation."),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json/--no-json", help="Print what was done as JSON, and nothing else."),
    ] = False,
) -> None:
    """Generate the module of kernels that simulates a method on a network.

    With --check, exits with 1 if a shipped kernel is not what its derivation gives.
    """
    if committed or check:
        code = _committed(write=not check, as_json=as_json)
        raise typer.Exit(code)
    from momentumflow.symbolic import write_kernels
    from momentumflow.symbolic.codegen.kernel_files import file_name, render

    chosen, network = stated_method(method, values or []), _network(parametrisation, name)
    source = render(chosen, network, backend)
    path = None if out is None else write_kernels(out, chosen, network, backend)
    if as_json:
        module = file_name(chosen, network, backend)
        done = {"module": module, "path": None if path is None else str(path), "source": source}
        typer.echo(json.dumps(done, indent=2, ensure_ascii=False))
    else:
        typer.echo(source if path is None else f"written: {path}", nl=path is not None)


def _network(text: str | None, name: str) -> SeparableNetwork:
    from momentumflow.symbolic import DiagonalNetwork, SeparableNetwork

    if text is None:
        return DiagonalNetwork().balanced
    from momentumflow.symbolic.expressions import read

    parameter = read(text)
    weights = tuple(sorted(parameter.free_symbols, key=lambda s: s.name))
    if not weights:
        raise InputError("an expression with at least one weight", repr(text))
    return SeparableNetwork(weights, parameter, name=name)


def _committed(*, write: bool, as_json: bool) -> int:
    """Regenerate the shipped kernels; write those that differ, or say which do."""
    from momentumflow.numeric.runs import kernels as package
    from momentumflow.symbolic.codegen.kernel_files import committed_kernels

    folder = Path(next(iter(package.__path__)))
    stale = []
    for name, source in committed_kernels().items():
        path = folder / name
        if path.is_file() and path.read_text(encoding="utf-8") == source:
            continue
        stale.append(name)
        if write:
            try:
                path.write_text(source, encoding="utf-8")
            except OSError as error:
                raise InputError(
                    "the folder of the shipped kernels to be writable",
                    f"{folder} ({error.strerror or error})",
                ) from error
    if as_json:
        done = {"folder": str(folder), "differing": stale, "written": write}
        typer.echo(json.dumps(done, indent=2))
    elif not stale:
        typer.echo("every shipped kernel is what its derivation gives")
    else:
        what = "written" if write else "differ from their derivation"
        typer.echo(f"{what}: {', '.join(stale)}")
    return FINE if write or not stale else FAILED
