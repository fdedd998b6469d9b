"""Grids of runs: in parallel, resumable, labelled.

A sweep is a grid over problems (n, d, sparsity, noise, seed) and runs (gamma,
beta or lambda, alpha, batch size). Its runs are numbered, problems first, and
cut into tasks; a task depends on the specification and its number alone, so
that neither the number of workers, nor their order, nor a kill and a resume
change a bit of the result.
"""

from __future__ import annotations

import itertools
import logging
import platform
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from momentumflow.base.errors import InputError
from momentumflow.base.version import __version__
from momentumflow.numeric.data.problems import Regression
from momentumflow.numeric.progress import meter
from momentumflow.numeric.runs.descent import momentum_descent
from momentumflow.numeric.runs.kernel_modules import METHODS
from momentumflow.numeric.runs.trajectory import RunStatus, Trajectory
from momentumflow.numeric.validation import (
    FloatArray,
    choice,
    constrained,
    count,
    float_array,
    positive,
)

if TYPE_CHECKING:
    import xarray as xr

    from momentumflow.numeric.sweeps.store import SweepStore

_log = logging.getLogger(__name__)

# Problem axes first: runs that share a problem are neighbours, and share lanes.
PROBLEM_AXES = ("n", "d", "sparsity", "noise", "seed")

STATUS_CODE = {status: code for code, status in enumerate(RunStatus)}
MEASURES: dict[str, str] = {
    "status": "code of RunStatus: " + ", ".join(f"{c} {s.name}" for s, c in STATUS_CODE.items()),
    "steps": "steps taken",
    "residual": "|X theta - y| / |y| at the end",
    "loss": "training loss |X theta - y|^2 / (2 n)",
    "recovery_error": "|theta - teacher| / |teacher|",
    "test_loss": "population loss |theta - teacher|^2 / 2 for standard normal features",
    "l1_norm": "sum of |theta_j|",
    "log_balancedness": "mean over coordinates of ln Delta_inf",
    "log_shrinkage": "mean over coordinates of ln(Delta_inf / Delta_0)",
    "sign_changes": "sign changes of w_+ and w_-",
    "prediction_error": "|theta - predicted limit| / |theta|; NaN unless asked for and converged",
}


@dataclass(frozen=True)
class SweepSpec:
    """What a sweep computes: its grid and the settings that its runs share."""

    axes: dict[str, list[Any]]
    method: str
    predict: bool
    max_steps: int
    tol: float
    root_seed: int
    chunk: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis, in the order of `axes`."""
        return tuple(len(values) for values in self.axes.values())

    @property
    def runs(self) -> int:
        """Number of runs."""
        return int(np.prod(self.shape))

    @property
    def tasks(self) -> int:
        """Number of tasks of at most `chunk` runs."""
        return -(-self.runs // self.chunk)

    def task_runs(self, task: int) -> range:
        """Return the numbers of a task's runs."""
        return range(task * self.chunk, min((task + 1) * self.chunk, self.runs))

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """Return the names of the entries in which `other`, a stored spec, differs."""
        mine = asdict(self)
        return [f.name for f in fields(self) if mine[f.name] != other.get(f.name)]


def sweep(
    *,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    lam: ArrayLike | None = None,
    alpha: ArrayLike = 0.1,
    n: int | Sequence[int] = 20,
    d: int | Sequence[int] = 30,
    sparsity: int | Sequence[int] = 5,
    noise: ArrayLike = 0.0,
    batch_size: int | Sequence[int] | None = None,
    seeds: int | Sequence[int] = 10,
    method: str = "heavy_ball",
    predict: bool = False,
    max_steps: int = 1_000_000,
    tol: float = 1e-10,
    root_seed: int = 0,
    chunk: int = 256,
    store: str | Path | None = None,
    jobs: int = -1,
    client: Any = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Run a grid of trainings and return their measures, labelled.

    Parameters
    ----------
    gamma, beta, lam : float or sequence
        Two of the three; the third follows from lambda = gamma/(1 - beta)^2.
    alpha : float or sequence
        Initialisation scale, > 0.
    n, d, sparsity : int or sequence
        Rows, columns, non-zeros of the teacher; every n below every d.
    noise : float or sequence
        Standard deviation of Gaussian noise on y.
    batch_size : int or sequence, optional
        Rows of a minibatch; the full batch if not given.
    seeds : int or sequence of int
        How many problems to draw, or their seeds.
    method : str
        As in `momentum_descent`.
    predict : bool
        Also solve the convex problem of every converged run.
    max_steps, tol : int, float
        As in `momentum_descent`.
    root_seed : int
        Everything random follows from it and the seeds.
    chunk : int
        Runs of one task: the unit of work, of storage and of resuming.
    store : path, optional
        Folder of a Zarr store (needs the extra `sweep`). Tasks are written as
        they finish; a call with the same specification resumes.
    jobs : int
        joblib workers; -1 means all cores.
    client : dask.distributed.Client, optional
        Run on a Dask cluster instead.
    progress : bool, optional
        Show a meter; None shows it in a terminal only.

    Returns
    -------
    xarray.Dataset
        One dimension for each parameter given as a sequence, and `seed`. Runs
        that an interruption left out are NaN (status -1), and the attribute
        `complete` is 0.

    Raises
    ------
    InputError
        Parameters out of range, not two of gamma, beta and lam, n >= d, a
        store that holds another sweep, a missing extra.
    """
    spec = _specification(
        gamma=gamma, beta=beta, lam=lam, alpha=alpha, n=n, d=d, sparsity=sparsity, noise=noise,
        batch_size=batch_size, seeds=seeds, method=method, predict=predict, max_steps=max_steps,
        tol=tol, root_seed=root_seed, chunk=chunk,
    )  # fmt: skip
    provenance = _provenance(spec)
    results = {name: np.full(spec.runs, np.nan) for name in MEASURES}
    results["status"][:] = -1
    saved: SweepStore | None = None
    waiting = list(range(spec.tasks))
    if store is not None:
        from momentumflow.numeric.sweeps.store import SweepStore

        saved = SweepStore.open(Path(store), spec, provenance)
        waiting = saved.load(results)
    _log.info("sweep of %d runs: %d of %d tasks to do", spec.runs, len(waiting), spec.tasks)
    left = sum(len(spec.task_runs(task)) for task in waiting)
    complete = True
    with meter("sweep", left, show=progress) as advanced:
        finished = _finished(spec, waiting, jobs, client)
        try:
            for task, measures in finished:
                if saved is not None:
                    saved.write(task, measures)
                runs = spec.task_runs(task)
                for name, values in measures.items():
                    results[name][runs.start : runs.stop] = values
                advanced(len(runs))
        except KeyboardInterrupt:
            complete = False
            _log.info("sweep interrupted: the runs that are missing have the status MISSING")
        finally:
            finished.close()
    return _labelled(spec, results, {**provenance, "complete": int(complete)})


def _specification(
    *,
    gamma: ArrayLike | None,
    beta: ArrayLike | None,
    lam: ArrayLike | None,
    batch_size: int | Sequence[int] | None,
    seeds: int | Sequence[int],
    **given: Any,
) -> SweepSpec:
    parameters = {"gamma": gamma, "beta": beta, "lam": lam}
    stated = {name: value for name, value in parameters.items() if value is not None}
    if len(stated) != 2:
        named = ", ".join(stated) or "none of them"
        raise InputError("two of gamma, beta and lam", named, "the third follows from them")
    axes: dict[str, list[Any]] = {
        name: _counts(name, given[name]) for name in ("n", "d", "sparsity")
    }
    axes["noise"] = _reals("noise", given["noise"], ">= 0", lambda a: a >= 0)
    axes["seed"] = (
        list(range(count("seeds", seeds)))
        if isinstance(seeds, int)
        else _counts("seeds", seeds, minimum=0)
    )
    if batch_size is not None:
        axes["batch_size"] = _counts("batch_size", batch_size)
    for name, value in stated.items():
        requirement, holds = (
            ("in [0, 1)", lambda a: (a >= 0) & (a < 1))
            if name == "beta"
            else ("> 0", lambda a: a > 0)
        )
        axes[name] = _reals(name, value, requirement, holds)
    axes["alpha"] = _reals("alpha", given["alpha"], "> 0", lambda a: a > 0)
    if max(axes["n"]) >= min(axes["d"]):
        raise InputError("every n below every d", f"n = {max(axes['n'])}, d = {min(axes['d'])}")
    if max(axes["sparsity"]) > min(axes["d"]):
        raise InputError(f"sparsity <= d = {min(axes['d'])}", f"{max(axes['sparsity'])}")
    if batch_size is not None and max(axes["batch_size"]) > min(axes["n"]):
        raise InputError(f"batch_size <= n = {min(axes['n'])}", f"{max(axes['batch_size'])}")
    if "beta" not in stated and max(axes["gamma"]) > min(axes["lam"]):
        raise InputError(
            "gamma <= lam, so that beta = 1 - sqrt(gamma/lam) >= 0",
            f"gamma = {max(axes['gamma']):g} with lam = {min(axes['lam']):g}",
        )
    return SweepSpec(
        axes=axes,
        method=choice("method", given["method"], METHODS),
        predict=bool(given["predict"]),
        max_steps=count("max_steps", given["max_steps"]),
        tol=float(positive("tol", given["tol"])),
        root_seed=count("root_seed", given["root_seed"], minimum=0),
        chunk=count("chunk", given["chunk"]),
    )


def _reals(name: str, value: ArrayLike, requirement: str, holds: Any) -> list[float]:
    return _axis(name, np.atleast_1d(constrained(name, value, requirement, holds))).tolist()


def _counts(name: str, value: int | Sequence[int], minimum: int = 1) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    _axis(name, np.asarray(values))
    return [count(name, v, minimum=minimum) for v in values]


def _axis(name: str, values: NDArray[Any]) -> NDArray[Any]:
    if values.ndim != 1 or values.size == 0:
        raise InputError(f"{name} as a number or a non-empty sequence", f"shape {values.shape}")
    if len(set(values.tolist())) < values.size:
        raise InputError(f"distinct values of {name}", "a repeated one")
    return values


def _finished(
    spec: SweepSpec, tasks: list[int], jobs: int, client: Any
) -> Generator[tuple[int, dict[str, FloatArray]], None, None]:
    """Yield (task, measures) as tasks finish, in whatever order."""
    if client is not None:
        try:
            from dask.distributed import as_completed
        except ImportError:
            raise InputError(
                "dask installed, to run on a cluster",
                "none",
                "pip install 'momentumflow[sweep]', or leave client out",
            ) from None
        futures = [client.submit(run_task, spec, task, pure=False) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            client.cancel(futures)
        return
    if jobs == 1 or len(tasks) < 2:
        for task in tasks:
            yield run_task(spec, task)
        return
    from joblib import Parallel, delayed

    work = Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="2*n_jobs")
    yield from work(delayed(run_task)(spec, task) for task in tasks)


def run_task(spec: SweepSpec, task: int) -> tuple[int, dict[str, FloatArray]]:
    """Compute one task: its number, and each measure for its runs."""
    names = list(spec.axes)
    problem_names = [name for name in names if name in PROBLEM_AXES]
    runs = spec.task_runs(task)
    measures = {name: np.full(len(runs), np.nan) for name in MEASURES}
    grid = np.stack(np.unravel_index(np.arange(runs.start, runs.stop), spec.shape), axis=1)
    settings = [
        {name: spec.axes[name][i] for name, i in zip(names, row, strict=True)} for row in grid
    ]

    def group(run: int) -> tuple[Any, ...]:
        batch = settings[run].get("batch_size")
        return (*(settings[run][name] for name in problem_names), batch)

    for _, members in itertools.groupby(range(len(runs)), key=group):
        block = list(members)
        _run_block(spec, [settings[run] for run in block], block, runs.start, measures)
    return task, measures


def _run_block(
    spec: SweepSpec,
    settings: list[dict[str, Any]],
    block: list[int],
    first: int,
    measures: dict[str, FloatArray],
) -> None:
    """Train the runs that share a problem and a batch size."""
    problem, teacher = draw_problem(spec.root_seed, settings[0])
    gamma, beta = (np.array(v) for v in zip(*map(step_and_momentum, settings), strict=True))
    alpha = np.array([s["alpha"] for s in settings])
    batch_size = settings[0].get("batch_size")
    stream = np.random.default_rng([spec.root_seed, 1, first + block[0]])
    trained = momentum_descent(
        problem, gamma, beta, alpha[:, None], method=spec.method, batch_size=batch_size,
        seed=stream, max_steps=spec.max_steps, tol=spec.tol, threads=1, progress=False,
    )  # fmt: skip
    if trained.interrupted:
        # `momentum_descent` gives back what it has; a task is whole or not at all
        raise KeyboardInterrupt
    for name, values in _measure(trained, teacher, spec.predict).items():
        measures[name][block] = values


def step_and_momentum(setting: Mapping[str, Any]) -> tuple[float, float]:
    """Return (gamma, beta) from two of gamma, beta and lam."""
    if "gamma" not in setting:
        return setting["lam"] * (1 - setting["beta"]) ** 2, setting["beta"]
    if "beta" not in setting:
        return setting["gamma"], 1 - float(np.sqrt(setting["gamma"] / setting["lam"]))
    return setting["gamma"], setting["beta"]


def draw_problem(root_seed: int, setting: Mapping[str, Any]) -> tuple[Regression, FloatArray]:
    """Draw the problem of a grid point: it depends on the root seed, its sizes and its seed."""
    n, d, sparsity = (setting[name] for name in ("n", "d", "sparsity"))
    rng = np.random.default_rng([root_seed, 0, n, d, sparsity, setting["seed"]])
    X = rng.standard_normal((n, d))
    teacher = np.zeros(d)
    teacher[rng.choice(d, size=sparsity, replace=False)] = rng.choice([-1.0, 1.0], size=sparsity)
    y = X @ teacher + setting["noise"] * rng.standard_normal(n)
    return Regression(X, y), teacher


def _measure(run: Trajectory, teacher: FloatArray, predict: bool) -> dict[str, NDArray[Any]]:
    miss = np.linalg.norm(run.theta - teacher, axis=-1)
    shrinkage = -(run.S_plus + run.S_minus).mean(axis=-1)
    error = np.full(run.loss.shape, np.nan)
    if predict and run.converged.any():
        limit = run.predicted_limit()
        distance = np.linalg.norm(limit.theta - run.theta, axis=-1)
        usable = run.converged & np.asarray(limit.certified)
        error[usable] = (distance / np.linalg.norm(run.theta, axis=-1))[usable]
    return {
        "status": np.array([STATUS_CODE[status] for status in run.status], dtype=float),
        "steps": run.steps,
        "residual": run.residual,
        "loss": run.loss,
        "recovery_error": miss / np.linalg.norm(teacher),
        "test_loss": miss**2 / 2,
        "l1_norm": np.abs(run.theta).sum(axis=-1),
        "log_balancedness": run.log_balancedness.mean(axis=-1),
        "log_shrinkage": shrinkage,
        "sign_changes": run.sign_changes.sum(axis=-1),
        "prediction_error": error,
    }


def _provenance(spec: SweepSpec) -> dict[str, Any]:
    import numba
    import scipy

    return {
        "momentumflow": __version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "numba": numba.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "method": spec.method,
        "max_steps": spec.max_steps,
        "tol": spec.tol,
        "root_seed": spec.root_seed,
        "chunk": spec.chunk,
    }


def _labelled(
    spec: SweepSpec, results: Mapping[str, FloatArray], attributes: Mapping[str, Any]
) -> xr.Dataset:
    import xarray as xr

    dims = list(spec.axes)
    data = {
        name: (dims, results[name].reshape(spec.shape), {"description": text})
        for name, text in MEASURES.items()
    }
    data["status"] = (dims, data["status"][1].astype(np.int8), data["status"][2])
    dataset = xr.Dataset(data, coords=dict(spec.axes), attrs=dict(attributes))
    # parameters given as one value are coordinates, not dimensions
    single = [name for name in dims if len(spec.axes[name]) == 1 and name != "seed"]
    return dataset.squeeze(single)


def statuses(dataset: xr.Dataset) -> xr.DataArray:
    """Return the names of the runs' statuses; runs never made are "MISSING"."""
    names = np.array([*(status.name for status in STATUS_CODE), "MISSING"])
    return dataset["status"].copy(data=names[float_array("status", dataset["status"]).astype(int)])
