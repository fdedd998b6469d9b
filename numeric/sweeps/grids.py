"""Grids of runs: in parallel, resumable, labelled.

A sweep is a grid over problems (n, d, sparsity, noise, seed) and runs (gamma,
beta or lambda, alpha, batch size). Its runs are numbered, problems first, and
cut into tasks; a task depends on the specification and its number alone, so
that neither the number of workers, nor their order, nor a kill and a resume
change a bit of the result.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numba
import numpy as np
import scipy

from momentumflow.base import libraries
from momentumflow.base.arguments import (
    Count,
    Door,
    FileName,
    Natural,
    PositiveFloat,
    Unfit,
    Where,
    checked,
)
from momentumflow.base.arrays import FloatArray, Momentum, NonNegative, Positive
from momentumflow.base.choices import Design
from momentumflow.base.errors import InputError, shown
from momentumflow.base.version import __version__
from momentumflow.numeric.progress import meter
from momentumflow.numeric.runs.kernel_modules import MethodLike
from momentumflow.numeric.sweeps.specification import (
    MEASURES,
    MISSING,
    STATUS_CODE,
    SweepSpec,
    specify,
)
from momentumflow.numeric.sweeps.store import SweepStore
from momentumflow.numeric.sweeps.tasks import run_task

if TYPE_CHECKING:
    import xarray as xr

_log = logging.getLogger(__name__)
_WATCH_SECONDS = 0.5


def _client(name: str, value: Any) -> Any:
    if not any(kind.__module__.startswith("distributed.") for kind in type(value).__mro__):
        raise Unfit
    return value


@checked
def sweep(
    *,
    gamma: Positive | None = None,
    beta: Momentum | None = None,
    lam: NonNegative | None = None,
    alpha: Positive = 0.1,
    n: Count | Sequence[Count] = 20,
    d: Count | Sequence[Count] = 30,
    sparsity: Count | Sequence[Count] = 5,
    noise: NonNegative = 0.0,
    batch_size: Count | Sequence[Count] | None = None,
    design: Design | Sequence[Design] | None = None,
    seeds: Count | Sequence[Natural] = 10,
    method: MethodLike | Sequence[MethodLike] | None = None,
    predict: bool = False,
    max_steps: Count = 1_000_000,
    tol: PositiveFloat = 1e-10,
    root_seed: Natural = 0,
    chunk: Count = 256,
    store: FileName | None = None,
    jobs: Annotated[int, Where("as -1 or a number of workers", lambda n: 0 < abs(n) < 4096)] = -1,
    client: Annotated[Any, Door("a dask.distributed.Client", _client)] | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    """Run a grid of trainings and return their measures, labelled.

    Parameters
    ----------
    gamma, beta, lam : float or sequence
        Two of the three; the third follows from lambda = gamma/(1 - beta)^2. Or lam
        alone, which may then be 0: the runs are momentum gradient flows.
    alpha : float or sequence
        Initialisation scale, > 0.
    n, d, sparsity : int or sequence
        Rows, columns, non-zeros of the teacher; every n below every d.
    noise : float or sequence
        Standard deviation of Gaussian noise on y.
    batch_size : int or sequence, optional
        Rows of a minibatch; the full batch if not given.
    design : str or sequence, optional
        "centred" (if not given), "mean-one", "correlated" or "diabetes": see
        `momentumflow.numeric.data.designs.redesigned`.
    seeds : int or sequence of int
        How many problems to draw, or their seeds.
    method : str, MomentumMethod, or a list of them
        As in `momentum_descent`; heavy ball if not given.
    predict : bool
        Also solve the convex problem of every converged run.
    max_steps, tol : int, float
        As in `momentum_descent`.
    root_seed : int
        Everything random follows from it and the seeds.
    chunk : int
        Runs of one task: the unit of work, of storage and of resuming.
    store : path, optional
        Folder that keeps the finished tasks (see `momentumflow.numeric.sweeps.store`):
        each is on the disk before the next counts, and a call with the same
        specification resumes. What is missing or damaged is run again.
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
        Parameters out of range, not two of gamma, beta and lam nor lam alone, a method or
        a batch size for flows, n >= d; a
        store that holds another sweep, is in use by another process or cannot be
        written; a client without Dask.
    """
    spec = specify(
        gamma=gamma, beta=beta, lam=lam, alpha=alpha, n=n, d=d, sparsity=sparsity, noise=noise,
        batch_size=batch_size, design=design, seeds=seeds, method=method, predict=predict,
        max_steps=max_steps, tol=tol, root_seed=root_seed, chunk=chunk,
    )  # fmt: skip
    provenance = _provenance(spec)
    done: dict[int, FloatArray] = {}
    complete = True
    with ExitStack() as closing:
        saved: SweepStore | None = None
        if store is not None:
            saved = closing.enter_context(SweepStore.open(Path(store), spec, provenance))
            done = saved.load()
        waiting = [task for task in range(spec.tasks) if task not in done]
        _log.info("sweep of %d runs: %d of %d tasks to do", spec.runs, len(waiting), spec.tasks)
        left = sum(len(spec.task_runs(task)) for task in waiting)
        advanced = closing.enter_context(meter("sweep", left, show=progress))
        finished = _finished(spec, waiting, jobs, client)
        try:
            for task, measures in finished:
                if saved is not None:
                    saved.write(task, measures)
                done[task] = measures
                advanced(measures.shape[1])
        except KeyboardInterrupt:
            complete = False
            _log.info("sweep interrupted: the runs that are missing have the status MISSING")
        finally:
            finished.close()
    return _labelled(spec, done, {**provenance, "complete": int(complete)})


def _finished(
    spec: SweepSpec, tasks: list[int], jobs: int, client: Any
) -> Generator[tuple[int, FloatArray], None, None]:
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
        futures = [client.submit(_numbered, spec, task, pure=False) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            client.cancel(futures)
    elif jobs == 1 or len(tasks) < 2:
        yield from (_numbered(spec, task) for task in tasks)
    else:
        joblib = libraries.joblib()
        work = joblib.Parallel(
            n_jobs=jobs, return_as="generator_unordered", pre_dispatch="2*n_jobs"
        )
        sweeping = os.getpid()
        yield from work(joblib.delayed(_in_worker)(sweeping, spec, task) for task in tasks)


def _numbered(spec: SweepSpec, task: int) -> tuple[int, FloatArray]:
    return task, run_task(spec, task)


def _in_worker(sweeping: int, spec: SweepSpec, task: int) -> tuple[int, FloatArray]:
    if os.getppid() == sweeping:
        _end_with(sweeping)
    return _numbered(spec, task)


@lru_cache(maxsize=1)
def _end_with(parent: int) -> None:
    """End this process once the parent is gone: a killed sweep cannot stop its workers."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _provenance(spec: SweepSpec) -> dict[str, Any]:
    return {
        "momentumflow": __version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "numba": numba.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "method": ", ".join(spec.axes["method"]),
        "max_steps": spec.max_steps,
        "tol": spec.tol,
        "root_seed": spec.root_seed,
        "chunk": spec.chunk,
    }


def _labelled(
    spec: SweepSpec, done: Mapping[int, FloatArray], attributes: Mapping[str, Any]
) -> xr.Dataset:
    xr = libraries.xarray()

    measures = np.full((len(MEASURES), spec.runs), np.nan)
    status = np.full(spec.runs, MISSING, dtype=np.int8)
    for task, found in done.items():
        runs = spec.task_runs(task)
        measures[:, runs.start : runs.stop] = found
        status[runs.start : runs.stop] = found[0]  # `SweepStore` and `run_task` put it first
    dims = list(spec.axes)
    data = {
        name: (dims, values.reshape(spec.shape), {"description": text})
        for (name, text), values in zip(MEASURES.items(), (status, *measures[1:]), strict=True)
    }
    dataset = xr.Dataset(data, coords=dict(spec.axes), attrs=dict(attributes))
    # parameters given as one value are coordinates, not dimensions
    single = [name for name in dims if len(spec.axes[name]) == 1 and name != "seed"]
    return dataset.squeeze(single)


@checked
def statuses(dataset: Any) -> xr.DataArray:
    """Return the names of the runs' statuses.

    Parameters
    ----------
    dataset : xarray Dataset
        What `sweep` returned or stored.

    Returns
    -------
    xarray DataArray of str
        Of the shape of the grid; runs never made are "MISSING".

    Raises
    ------
    InputError
        If that is not what `sweep` returns.
    """
    xr = libraries.xarray()

    names = {MISSING: "MISSING"} | {code: status.name for status, code in STATUS_CODE.items()}
    whole = isinstance(dataset, xr.Dataset) and "status" in dataset
    if not whole or not np.isin(dataset["status"], list(names)).all():
        raise InputError("dataset as what `sweep` returns", shown(dataset))
    return dataset["status"].copy(data=np.vectorize(names.__getitem__)(dataset["status"]))
