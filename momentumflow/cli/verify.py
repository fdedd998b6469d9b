"""`momentumflow verify`: judge the claims and write the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from momentumflow import numeric, verify as judge
from momentumflow.cli.groups import Group, alone
from momentumflow.cli.options import (
    Alpha,
    Beta,
    Gamma,
    Json,
    Only,
    Quick,
    Seed,
    Seeds,
    Standardise,
    Table,
    Target,
    ToleranceScale,
)
from momentumflow.cli.terminal import progress, say, show, table

app = typer.Typer(cls=Group, invoke_without_command=True, subcommand_metavar="[COMMAND]")

Out: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="Write index.html, report.json, junit.xml and figures to this folder."),
]


@app.callback()
def verify(
    context: typer.Context,
    *,
    out: Out = None,
    only: Only = None,
    seeds: Seeds = None,
    quick: Quick = False,
    tolerance_scale: ToleranceScale = 1.0,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Check every claim of the theory against proofs, simulations and negative controls.

    Exits with 1 if a claim is not supported or has no verdict.
    """
    if alone(context):
        _judge(judge.claims(), out, only, seeds, quick, tolerance_scale, seed, as_json)


@app.command(epilog="Example: momentumflow verify data houses.csv --target price --gamma 1e-3")
def data(
    data: Table,
    *,
    target: Target,
    gamma: Gamma = 1e-2,
    beta: Beta = 0.95,
    alpha: Alpha = 0.1,
    standardise: Standardise = True,
    out: Out = None,
    only: Only = None,
    seeds: Seeds = None,
    quick: Quick = False,
    tolerance_scale: ToleranceScale = 1.0,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Judge the limit theorem on a table of your own."""
    problem = numeric.load_regression(data, target, standardise=standardise)
    claims = judge.data_claims(problem, gamma=gamma, beta=beta, init=alpha)
    _judge(claims, out, only, seeds, quick, tolerance_scale, seed, as_json)


@app.command(epilog="Example: momentumflow verify repeat 200 --quick --state alarms.jsonl")
def repeat(
    repetitions: Annotated[
        int, typer.Argument(metavar="TIMES", help="How many root seeds, from --seed + 1 on.")
    ],
    *,
    only: Only = None,
    seeds: Seeds = None,
    quick: Quick = False,
    tolerance_scale: ToleranceScale = 1.0,
    seed: Seed = 0,
    state: Annotated[
        Path | None, typer.Option(help="Keep outcomes in this file and go on from it.")
    ] = None,
    controls: Annotated[
        bool,
        typer.Option("--controls/--no-controls", help="Repeat the negative controls as well."),
    ] = True,
    as_json: Json = False,
) -> None:
    """Count false alarms: repeat the random checks with one root seed after another.

    Exits with 1 if there was one.
    """
    with progress(silent=as_json) as bar:
        found = judge.repeat(
            repetitions,
            only,
            seeds=seeds,
            quick=quick,
            tolerance_scale=tolerance_scale,
            base_seed=seed + 1,
            controls=controls,
            state=state,
            progress=bar,
        )
    _print(found, as_json=as_json)
    raise typer.Exit(found.exit_code)


@app.command("list")
def listing(*, as_json: Json = False) -> None:
    """List the claims: name, theme and title."""
    rows = [
        {"name": claim.name, "theme": claim.theme, "title": claim.title} for claim in judge.claims()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        show(table("name|theme|claim", (row.values() for row in rows)))


def _judge(
    claims: Sequence[judge.Claim],
    out: Path | None,
    only: list[str] | None,
    seeds: int | None,
    quick: bool,
    tolerance_scale: float,
    seed: int,
    as_json: bool,
) -> None:
    if out is not None:
        judge.writable(out)
    with progress(silent=as_json) as bar:
        report = judge.run(
            only,
            claims=claims,
            seeds=seeds,
            quick=quick,
            tolerance_scale=tolerance_scale,
            base_seed=seed,
            progress=bar,
        )
    written = report.write(out) if out is not None else ()
    _print(report, as_json=as_json)
    if written and not as_json:
        say(f"report: {written[0]}")
    raise typer.Exit(report.exit_code)


def _print(found: judge.Report | judge.Repetitions, *, as_json: bool) -> None:
    if as_json:
        typer.echo(found.to_json(), nl=False)
    else:
        show(found)
