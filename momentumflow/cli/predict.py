"""`momentumflow predict`: where training ends, simulated and predicted."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from momentumflow import numeric, verify
from momentumflow.cli import FAILED, FINE, logs
from momentumflow.cli.groups import refuse
from momentumflow.cli.options import (
    Alpha,
    Beta,
    Json,
    Method,
    Standardise,
    StepSize,
    Table,
    Target,
    Values,
)
from momentumflow.cli.stated_methods import trained_method
from momentumflow.cli.terminal import say, show, table

EXAMPLE = (
    "momentumflow predict houses.csv --target price --gamma auto --beta 0.9 --alpha 0.1 "
    "--standardise"
)
# What `verify.predict` and `momentum_descent` call the options of this command.
_OPTIONS = {"init": "--alpha", "tol": "--tol", "standardise": "--standardise"}


def predict(
    context: typer.Context,
    data: Table,
    *,
    target: Target,
    gamma: StepSize,
    beta: Beta,
    alpha: Alpha,
    standardise: Standardise = False,
    method: Method = "heavy_ball",
    values: Values = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Rows in a minibatch; the full batch by default.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the minibatches.")] = 0,
    max_steps: Annotated[int, typer.Option(help="Give up after this many steps.")] = 1_000_000,
    tol: Annotated[
        float | None,
        typer.Option(help="Stop at this relative residual; as small as the verdict needs it."),
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="Show this many of the largest entries.")] = 10,
    as_json: Json = False,
) -> None:
    """Train the diagonal network on a table and predict its limit by convex optimisation.

    The limit of training is compared with the solution of the convex problem,
    found by dual Newton and by CVXPY, each with its certificate. Exits with 1 if
    they differ, or if the run has not converged and there is no limit to compare.
    """
    if batch_size is None:
        refuse(context, "seed", "with --batch-size")
    if as_json:
        refuse(context, "top", "without --json")
    problem = numeric.load_regression(data, target, standardise=standardise)
    found = verify.predict(
        problem,
        gamma,
        beta,
        alpha,
        method=trained_method(method, values),
        batch_size=batch_size,
        seed=seed,
        max_steps=max_steps,
        tol=tol,
        progress=False if logs.silent() else None,
    )
    if as_json:
        # in ASCII: names of columns may hold what a terminal obeys
        typer.echo(json.dumps(found.to_dict(), indent=2, allow_nan=False))
    else:
        _print(found, top)
        if found.newton is None and not standardise:
            _suggest_standardising(problem, numeric.load_regression(data, target, standardise=True))
    raise typer.Exit(FINE if found.verdict is verify.Verdict.SUPPORTED else FAILED)


def _print(found: verify.Prediction, top: int) -> None:
    problem, run = found.problem, found.run
    say(
        f"{problem.name}: n = {problem.n}, d = {problem.d}, rank {problem.rank}, "
        f"condition number {problem.condition_number:.3g}",
        f"training: {int(run.steps)} steps of gamma = {run.settings['gamma']:.4g}, relative "
        f"residual {float(run.residual):.2e}, {int(run.sign_changes.sum())} sign changes, "
        f"{run.status.name.lower().replace('_', ' ')}",
    )
    if found.newton is not None:
        show(_certificates(found))
        if top:
            show(_entries(found, top))
            left_out = problem.d - min(top, problem.d)
            if left_out:
                say(f"({left_out} smaller entries left out; --top shows more)")
    say(f"{found.verdict.value}: {found.explained(_spelled)}.")


def _spelled(argument: str) -> str:
    return _OPTIONS.get(argument, f"--{argument.replace('_', '-')}")


def _certificates(found: verify.Prediction) -> object:
    rows = []
    for name, solution, distance in (
        ("Newton", found.newton, found.distance),
        ("CVXPY", found.cvxpy, found.confirmed_distance),
    ):
        if solution is not None:
            numbers = (solution.feasibility, solution.stationarity, solution.gap)
            certified = "yes" if solution.certified else "no"
            written = (f"{float(value):.1e}" for value in numbers)
            rows.append(
                (name, certified, *written, f"{distance:.2e}" if solution.certified else "–")
            )
    return table("solver|certified|>feasibility|>stationarity|>gap|>distance to run", rows)


def _entries(found: verify.Prediction, top: int) -> object:
    assert found.newton is not None
    trained, predicted = found.run.theta, found.newton.theta
    largest = sorted(range(len(trained)), key=lambda j: -abs(trained[j]))[:top]
    rows = ((found.names[j], f"{trained[j]: .12f}", f"{predicted[j]: .12f}") for j in largest)
    return table("feature|>trained theta|>predicted theta", rows)


def _suggest_standardising(plain: numeric.Regression, standardised: numeric.Regression) -> None:
    """Say how much better conditioned the standardised table is, where that is much."""
    if standardised.condition_number < plain.condition_number / 10:
        say(
            f"--standardise would help: the condition number falls from "
            f"{plain.condition_number:.3g} to {standardised.condition_number:.3g}."
        )
