"""`momentumflow predict`: where training ends, simulated and predicted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from momentumflow.cli import FAILED, FINE, logs
from momentumflow.cli.completion import SIMULATED, choices
from momentumflow.cli.stated_methods import METHODS, stated_method

if TYPE_CHECKING:
    from momentumflow.numeric.runs.trajectory import Trajectory
    from momentumflow.verify.prediction import Prediction


def predict(
    data: Annotated[Path, typer.Argument(help="Numeric table: a .csv, .parquet or .npz file.")],
    *,
    target: Annotated[str, typer.Option(help="Column that becomes y; all others are features.")],
    gamma: Annotated[float, typer.Option(help="Step size, > 0.")],
    beta: Annotated[float, typer.Option(help="Momentum, in [0, 1).")],
    alpha: Annotated[float, typer.Option(help="Initialisation scale, > 0.")],
    standardise: Annotated[
        bool,
        typer.Option(
            "--standardise/--no-standardise", help="Centre the columns, scale to unit variance."
        ),
    ] = False,
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
    batch_size: Annotated[
        int | None, typer.Option(help="Rows in a minibatch; the full batch by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the minibatches.")] = 0,
    max_steps: Annotated[int | None, typer.Option(help="Give up after this many steps.")] = None,
    top: Annotated[int, typer.Option(min=0, help="Show this many of the largest entries.")] = 10,
    as_json: Annotated[
        bool, typer.Option("--json/--no-json", help="Print everything as JSON, and nothing else.")
    ] = False,
) -> None:
    """Train the diagonal network on a table and predict its limit by convex optimisation.

    The limit of training is compared with the solution of the convex problem,
    found by dual Newton and by CVXPY, each with its certificate. Exits with 1 if
    they differ, or if the run has not converged and there is no limit to compare.
    """
    from momentumflow.numeric import load_regression
    from momentumflow.verify.evidence import Verdict
    from momentumflow.verify.prediction import predict as predict_limit

    problem = load_regression(data, target, standardise=standardise)
    # deriving a method's kernels costs seconds; the shipped ones are derived already
    rule = method if method in SIMULATED and not values else stated_method(method, values or [])
    options: dict[str, Any] = {"method": rule, "batch_size": batch_size, "seed": seed}
    options["progress"] = False if logs.silent() else None
    if max_steps is not None:
        options["max_steps"] = max_steps
    found = predict_limit(problem, gamma, beta, alpha, **options)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2, allow_nan=False, ensure_ascii=False))
    else:
        _print(found, top)
    raise typer.Exit(FINE if found.verdict is Verdict.SUPPORTED else FAILED)


def _print(found: Prediction, top: int) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    problem, run = found.problem, found.run
    console.print(
        f"{problem.name}: n = {problem.n}, d = {problem.d}, rank {problem.rank}, "
        f"condition number {problem.condition_number:.3g}"
    )
    console.print(
        f"training: {int(run.steps)} steps, relative residual {float(run.residual):.2e}, "
        f"{int(run.sign_changes.sum())} sign changes, {_in_words(run)}"
    )
    if found.newton is not None:
        console.print(_certificates(found))
        if top:
            console.print(_entries(found, top))
            left_out = problem.d - min(top, problem.d)
            if left_out:
                console.print(f"({left_out} smaller entries left out; --top shows more)")
    console.print(f"{found.verdict.value}: {found.explanation}.", soft_wrap=True)


def _in_words(run: Trajectory) -> str:
    return str(run.status.name).lower().replace("_", " ")


def _certificates(found: Prediction) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("solver", "certified", "feasibility", "stationarity", "gap", "distance to run"):
        table.add_column(heading, justify="left" if heading in ("solver", "certified") else "right")
    from momentumflow.verify.limit_evidence import relative_distance

    for name, solution in (("Newton", found.newton), ("CVXPY", found.cvxpy)):
        if solution is None:
            continue
        numbers = (solution.feasibility, solution.stationarity, solution.gap)
        distance = float(relative_distance(found.run.theta, solution.theta))
        table.add_row(
            name,
            "yes" if solution.certified else "no",
            *(f"{float(value):.1e}" for value in numbers),
            f"{distance:.2e}" if solution.certified else "–",
        )
    return table


def _entries(found: Prediction, top: int) -> Any:
    import numpy as np
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("feature")
    for heading in ("trained theta", "predicted theta"):
        table.add_column(heading, justify="right")
    theta, names = found.run.theta, found.names
    assert found.newton is not None
    for j in np.argsort(-np.abs(theta))[:top]:
        table.add_row(names[j], f"{theta[j]: .12f}", f"{found.newton.theta[j]: .12f}")
    return table
