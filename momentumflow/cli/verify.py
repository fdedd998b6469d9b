"""`momentumflow verify`: judge the claims and write the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from momentumflow.base.errors import InputError
from momentumflow.cli import completion, logs

if TYPE_CHECKING:
    from momentumflow.verify.claim import Claim
    from momentumflow.verify.repetition import Repetitions
    from momentumflow.verify.report.reports import Report
    from momentumflow.verify.runner import Progress


def verify(
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="Write index.html, report.json, junit.xml and figures to this folder."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Judge this claim or theme only; may be repeated. See --list.",
            autocompletion=completion.claims,
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(help="Independent problems for each random check (20; 5 with --quick)."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick/--no-quick", help="Smaller grids: all claims in under a minute."),
    ] = False,
    tolerance_scale: Annotated[
        float, typer.Option(help="Factor on every numerical tolerance.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Root of all randomness.")] = 0,
    data: Annotated[
        Path | None,
        typer.Option(help="Judge the limit theorem on this CSV, Parquet or npz file instead."),
    ] = None,
    target: Annotated[str | None, typer.Option(help="Target column of --data.")] = None,
    gamma: Annotated[float, typer.Option(help="Step size for --data.")] = 1e-2,
    beta: Annotated[float, typer.Option(help="Momentum for --data.")] = 0.95,
    alpha: Annotated[float, typer.Option(help="Initialisation scale for --data.")] = 0.1,
    standardise: Annotated[
        bool, typer.Option(help="Centre and scale the columns of --data.")
    ] = True,
    repetitions: Annotated[
        int | None,
        typer.Option(
            "--repeat",
            help="Count false alarms: repeat the random checks with this many root seeds, "
            "from --seed + 1 on.",
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(help="With --repeat: keep outcomes in this file and go on from it."),
    ] = None,
    controls: Annotated[
        bool, typer.Option(help="With --repeat: repeat the negative controls as well.")
    ] = True,
    listing: Annotated[
        bool, typer.Option("--list", help="List the claims and judge none.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json/--no-json", help="Print the report as JSON, and nothing else.")
    ] = False,
) -> None:
    """Check every claim of the theory against proofs, simulations and negative controls.

    Exits with 1 if a claim is not supported or has no verdict.
    """
    from momentumflow.verify.report.reports import writable
    from momentumflow.verify.runner import run

    if (data is None) != (target is None):
        raise InputError(
            "--data FILE and --target COLUMN together",
            "--target without --data" if data is None else "--data without --target",
        )
    claims = _claims(
        data=data, target=target, gamma=gamma, beta=beta, alpha=alpha, standardise=standardise
    )
    if listing:
        _print_list(claims, as_json=as_json)
        return
    if repetitions is None and state is not None:
        raise InputError("--state FILE together with --repeat", "--state alone")
    if repetitions is not None:
        if out is not None:
            raise InputError("--repeat or --out", "both", "verify once more for the report")
        from momentumflow.verify.repetition import repeat

        with _progress(silent=as_json) as progress:
            repeated = repeat(
                repetitions,
                only,
                claims=claims,
                seeds=seeds,
                quick=quick,
                tolerance_scale=tolerance_scale,
                base_seed=seed + 1,
                controls=controls,
                state=state,
                progress=progress,
            )
        _print(repeated, as_json=as_json)
        raise typer.Exit(repeated.exit_code)
    if out is not None:
        writable(out)
    with _progress(silent=as_json) as progress:
        report = run(
            only,
            claims=claims,
            seeds=seeds,
            quick=quick,
            tolerance_scale=tolerance_scale,
            base_seed=seed,
            progress=progress,
        )
    written = report.write(out) if out is not None else ()
    _print(report, as_json=as_json)
    if written and not as_json:
        typer.echo(f"report: {written[0]}")
    raise typer.Exit(report.exit_code)


def _print(found: Report | Repetitions, *, as_json: bool) -> None:
    if as_json:
        typer.echo(found.to_json(), nl=False)
        return
    from rich.console import Console

    Console(highlight=False).print(found)


def _claims(
    *,
    data: Path | None,
    target: str | None,
    gamma: float,
    beta: float,
    alpha: float,
    standardise: bool,
) -> tuple[Claim, ...]:
    from momentumflow.verify.catalogue import claims, data_claims

    if data is None or target is None:
        return claims()
    from momentumflow.numeric import load_regression

    problem = load_regression(data, target, standardise=standardise)
    return data_claims(problem, gamma=gamma, beta=beta, init=alpha)


def _print_list(claims: tuple[Claim, ...], *, as_json: bool) -> None:
    if as_json:
        import json

        rows = [{"name": c.name, "theme": c.theme, "title": c.title} for c in claims]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("name", "theme", "claim"):
        table.add_column(heading, no_wrap=heading == "name")
    for claim in claims:
        table.add_row(claim.name, claim.theme, claim.title)
    Console().print(table)


@contextmanager
def _progress(*, silent: bool) -> Iterator[Progress | None]:
    """Show a progress bar on stderr while a terminal is attached to it."""
    from rich.console import Console

    console = Console(stderr=True)
    if silent or logs.silent() or not console.is_terminal:
        yield None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress as Bar,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("")
        yield lambda done, total, what: bar.update(
            task, completed=done, total=total, description=what
        )
