"""`momentumflow sweep`: a grid of trainings, in parallel, resumable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from momentumflow import numeric
from momentumflow.base import numbers
from momentumflow.base.choices import Design
from momentumflow.base.errors import InputError
from momentumflow.cli import FAILED, FINE, logs
from momentumflow.cli.options import Json, OptionalMethod, Seed, Values, counts, reals
from momentumflow.cli.stated_methods import trained_method
from momentumflow.cli.terminal import say, show, table

_LIST = "One value, several with commas, or first:last:count in geometric steps."


def _reals(what: str) -> Any:
    return typer.Option(parser=reals, metavar="<floats>", help=what)


def _counts(what: str) -> Any:
    return typer.Option(parser=counts, metavar="<ints>", help=what)


def sweep(
    *,
    gamma: Annotated[Any, _reals(f"Step sizes. {_LIST}")] = None,
    beta: Annotated[Any, _reals("Momenta; two of gamma, beta, lam; lam alone: flows.")] = None,
    lam: Annotated[Any, _reals("Values of lambda = gamma/(1-beta)^2.")] = None,
    alpha: Annotated[Any, _reals("Initialisation scales.")] = "0.1",
    n: Annotated[Any, _counts("Rows.")] = "20",
    d: Annotated[Any, _counts("Columns.")] = "30",
    sparsity: Annotated[Any, _counts("Non-zeros of the teacher.")] = "5",
    noise: Annotated[Any, _reals("Noise on y.")] = "0",
    batch_size: Annotated[Any, _counts("Minibatch sizes.")] = None,
    design: Annotated[
        list[Any] | None,
        typer.Option(help=f"Design: {', '.join(get_args(Design))}; may be repeated."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of random problems.")] = 10,
    seed: Seed = 0,
    method: OptionalMethod = None,
    values: Values = None,
    predict: Annotated[
        bool, typer.Option("--predict/--no-predict", help="Also solve each run's convex problem.")
    ] = False,
    max_steps: Annotated[int, typer.Option(help="Give a run up after this many.")] = 1_000_000,
    store: Annotated[
        Path | None, typer.Option(help="Folder: written as tasks finish, resumed if it exists.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write all runs to this CSV file.")] = None,
    jobs: Annotated[int, typer.Option(help="Worker processes; -1 for all cores.")] = -1,
    as_json: Json = False,
) -> None:
    """Train over a grid of parameters and random problems, and summarise.

    Exits with 1 if the sweep was interrupted; the same command resumes it when
    it has a store.
    """
    dataset = numeric.sweep(
        gamma=gamma,
        beta=beta,
        lam=lam,
        alpha=alpha,
        n=n,
        d=d,
        sparsity=sparsity,
        noise=noise,
        batch_size=batch_size,
        seeds=seeds,
        design=design,
        method=trained_method(method or "heavy_ball", values) if method or values else None,
        predict=predict,
        max_steps=max_steps,
        root_seed=seed,
        store=store,
        jobs=jobs,
        progress=False if logs.silent() else None,
    )
    if csv is not None:
        try:
            dataset.to_dataframe().to_csv(csv)
        except OSError as error:
            raise InputError("a CSV file that can be written", f"{csv} ({error})") from None
    summary = _summary(dataset)
    if as_json:
        typer.echo(json.dumps(summary, indent=2, allow_nan=False))
    else:
        _print(summary)
    raise typer.Exit(FINE if dataset.attrs["complete"] else FAILED)


def _summary(dataset: Any) -> dict[str, Any]:
    """Counts of statuses, and the spread of each measure over the converged runs."""
    found = numeric.statuses(dataset)
    status = {name: int((found == name).sum()) for name in sorted(set(found.values.ravel()))}
    converged = dataset.where(found == "CONVERGED")
    measures = {}
    for name in dataset.data_vars:
        if name not in ("status", "stable_step") and bool(converged[name].notnull().any()):
            low, middle, high = converged[name].quantile([0.05, 0.5, 0.95]).values.tolist()
            measures[str(name)] = {"5%": low, "median": middle, "95%": high}
    stable = dataset["stable_step"].min()
    return {
        "runs": int(dataset["status"].size),
        "complete": bool(dataset.attrs["complete"]),
        "dimensions": {str(name): int(size) for name, size in dataset.sizes.items()},
        "status": {str(name): number for name, number in status.items()},
        "smallest stable step of diverged runs": numbers.plain(stable.item()),
        "converged runs": measures,
    }


def _print(summary: dict[str, Any]) -> None:
    sizes = " x ".join(f"{name} {size}" for name, size in summary["dimensions"].items())
    counted = ", ".join(f"{number} {name.lower()}" for name, number in summary["status"].items())
    say(f"{summary['runs']} runs ({sizes}): {counted}")
    stable = summary["smallest stable step of diverged runs"]
    if stable is not None:
        say(f"for the runs that diverged, steps below {stable:.3g} are stable at the limit.")
    spread = summary["converged runs"].items()
    rows = ((name, *(f"{v[key]:.3g}" for key in ("5%", "median", "95%"))) for name, v in spread)
    show(table("converged runs|>5%|>median|>95%", rows))
    if not summary["complete"]:
        say("interrupted: the same command with --store resumes it.")
