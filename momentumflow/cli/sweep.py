"""`momentumflow sweep`: a grid of trainings, in parallel, resumable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from momentumflow.base.errors import InputError
from momentumflow.cli import FAILED, FINE, logs
from momentumflow.cli.completion import SIMULATED, choices

if TYPE_CHECKING:
    import xarray as xr

_LIST = "One value, several with commas, or first:last:count in geometric steps."


def sweep(
    *,
    gamma: Annotated[str | None, typer.Option(help=f"Step sizes. {_LIST}")] = None,
    beta: Annotated[str | None, typer.Option(help="Momenta; two of gamma, beta, lam.")] = None,
    lam: Annotated[str | None, typer.Option(help="Values of lambda = gamma/(1-beta)^2.")] = None,
    alpha: Annotated[str, typer.Option(help="Initialisation scales.")] = "0.1",
    n: Annotated[str, typer.Option("--n", help="Rows.")] = "20",
    d: Annotated[str, typer.Option("--d", help="Columns.")] = "30",
    sparsity: Annotated[str, typer.Option(help="Non-zeros of the teacher.")] = "5",
    noise: Annotated[str, typer.Option(help="Noise on y, with commas for several.")] = "0",
    batch_size: Annotated[str | None, typer.Option(help="Minibatch sizes.")] = None,
    seeds: Annotated[int, typer.Option(help="Number of random problems.")] = 10,
    seed: Annotated[int, typer.Option(help="Root of all randomness.")] = 0,
    method: Annotated[
        str, typer.Option(help="As in momentumflow predict.", autocompletion=choices(*SIMULATED))
    ] = "heavy_ball",
    predict: Annotated[
        bool, typer.Option("--predict/--no-predict", help="Also solve each run's convex problem.")
    ] = False,
    max_steps: Annotated[int, typer.Option(help="Give a run up after this many.")] = 1_000_000,
    store: Annotated[
        Path | None, typer.Option(help="Folder: written as tasks finish, resumed if it exists.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write all runs to this CSV file.")] = None,
    jobs: Annotated[int, typer.Option(help="Worker processes; -1 for all cores.")] = -1,
    as_json: Annotated[
        bool,
        typer.Option("--json/--no-json", help="Print the summary as JSON."),
    ] = False,
) -> None:
    """Train over a grid of parameters and random problems, and summarise.

    Exits with 1 if the sweep was interrupted; the same command resumes it when
    it has a store.
    """
    from momentumflow.numeric.sweeps.grids import sweep as run_sweep

    dataset = run_sweep(
        gamma=_reals("gamma", gamma),
        beta=_reals("beta", beta),
        lam=_reals("lam", lam),
        alpha=_reals("alpha", alpha) or 0.1,
        n=_counts("n", n),
        d=_counts("d", d),
        sparsity=_counts("sparsity", sparsity),
        noise=_reals("noise", noise) or 0.0,
        batch_size=None if batch_size is None else _counts("batch-size", batch_size),
        seeds=seeds,
        method=method,
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


def _reals(name: str, text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        if text.count(":") == 2:
            import numpy as np

            first, last, number = text.split(":")
            return [float(v) for v in np.geomspace(float(first), float(last), int(number))]
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(
            f"--{name} as numbers with commas or first:last:count", repr(text)
        ) from None


def _counts(name: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--{name} as whole numbers with commas", repr(text)) from None


def _summary(dataset: xr.Dataset) -> dict[str, Any]:
    """Counts of statuses, and the spread of each measure over the converged runs."""
    import numpy as np

    from momentumflow.numeric.sweeps.grids import MEASURES, statuses

    names, numbers = np.unique(statuses(dataset).values, return_counts=True)
    converged = dataset.where(dataset["status"] == 0)
    measures = {}
    for name in MEASURES:
        values = np.asarray(converged[name], dtype=float).ravel()
        values = values[np.isfinite(values)]
        if name != "status" and values.size:
            low, middle, high = (float(v) for v in np.quantile(values, [0.05, 0.5, 0.95]))
            measures[name] = {"5%": low, "median": middle, "95%": high}
    return {
        "runs": int(dataset["status"].size),
        "complete": bool(dataset.attrs["complete"]),
        "dimensions": {str(name): int(size) for name, size in dataset.sizes.items()},
        "status": dict(zip(names.tolist(), numbers.tolist(), strict=True)),
        "converged runs": measures,
    }


def _print(summary: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    sizes = " x ".join(f"{name} {size}" for name, size in summary["dimensions"].items())
    counts = ", ".join(f"{number} {name.lower()}" for name, number in summary["status"].items())
    console.print(f"{summary['runs']} runs ({sizes}): {counts}")
    table = Table(box=None, pad_edge=False)
    for heading in ("converged runs", "5%", "median", "95%"):
        table.add_column(heading, justify="left" if heading == "converged runs" else "right")
    for name, spread in summary["converged runs"].items():
        table.add_row(name, *(f"{spread[key]:.3g}" for key in ("5%", "median", "95%")))
    console.print(table)
    if not summary["complete"]:
        console.print("interrupted: the same command with --store resumes it.")
