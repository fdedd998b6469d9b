"""One task of a sweep: draw its problems, train its runs, measure where they ended."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from momentumflow.base.arrays import FloatArray
from momentumflow.base.errors import InputError
from momentumflow.numeric.data.designs import redesigned
from momentumflow.numeric.data.problems import Regression, sparse_regression
from momentumflow.numeric.flow.flows import momentum_flow
from momentumflow.numeric.implicit import implicit_solution
from momentumflow.numeric.runs.descent import momentum_descent
from momentumflow.numeric.runs.settling import Settling
from momentumflow.numeric.runs.trajectory import RunStatus, Trajectory
from momentumflow.numeric.sweeps.specification import (
    FLOW,
    MEASURES,
    PROBLEM_AXES,
    STATUS_CODE,
    SweepSpec,
    step_and_momentum,
)

# Runs that agree in these are trained in one call.
_SHARED = (*PROBLEM_AXES, "batch_size", "method")


def run_task(spec: SweepSpec, task: int) -> FloatArray:
    """Compute one task; shape (measures, runs), measures in the order of `MEASURES`."""
    names = list(spec.axes)
    runs = spec.task_runs(task)
    grid = np.stack(np.unravel_index(np.arange(runs.start, runs.stop), spec.shape), axis=1)
    settings = [
        {name: spec.axes[name][i] for name, i in zip(names, row, strict=True)} for row in grid
    ]

    def shared(run: int) -> tuple[Any, ...]:
        return tuple(settings[run].get(name) for name in _SHARED)

    blocks = [list(members) for _, members in itertools.groupby(range(len(runs)), key=shared)]
    return np.concatenate(
        [
            _run_block(spec, [settings[run] for run in block], runs.start + block[0])
            for block in blocks
        ],
        axis=1,
    )


def _run_block(spec: SweepSpec, settings: list[dict[str, Any]], first: int) -> FloatArray:
    """Train the runs that share a problem, a batch size and a method; `first` numbers them."""
    problem = draw_problem(spec.root_seed, settings[0])
    if settings[0]["method"] == FLOW:
        lam, init = (np.array([s[name] for s in settings]) for name in ("lam", "alpha"))
        trained = momentum_flow(
            problem, lam, init[:, None], tol=spec.tol, max_steps=spec.max_steps,
            threads=1, progress=False,
        )  # fmt: skip
        return _stacked(trained, spec)
    gamma, beta = (np.array(v) for v in zip(*map(step_and_momentum, settings), strict=True))
    alpha = np.array([s["alpha"] for s in settings])
    trained = momentum_descent(
        problem, gamma, beta, alpha[:, None], method=spec.method(settings[0]["method"]),
        batch_size=settings[0].get("batch_size"),
        seed=np.random.default_rng([spec.root_seed, 1, first]),
        max_steps=spec.max_steps, tol=spec.tol, threads=1, progress=False,
    )  # fmt: skip
    return _stacked(trained, spec)


def _stacked(trained: Trajectory, spec: SweepSpec) -> FloatArray:
    """Return the measures of runs, shape (measures, runs)."""
    if trained.interrupted:
        # a run gives back what it has; a task is whole or not at all
        raise KeyboardInterrupt
    measured = _measure(trained, spec.predict)
    return np.stack([np.asarray(measured[name], dtype=np.float64) for name in MEASURES])


def draw_problem(root_seed: int, setting: Mapping[str, Any]) -> Regression:
    """Draw the problem of a grid point: it depends on the root seed, its sizes and its seed."""
    n, d, sparsity = (setting[name] for name in ("n", "d", "sparsity"))
    rng = np.random.default_rng([root_seed, 0, n, d, sparsity, setting["seed"]])
    problem = sparse_regression(n, d, sparsity, noise=setting["noise"], seed=rng)
    return redesigned(problem, setting.get("design", "centred"), rng)


def _measure(run: Trajectory, predict: bool) -> dict[str, NDArray[Any]]:
    teacher = run.problem.teacher
    assert teacher is not None
    miss = np.linalg.norm(run.theta - teacher, axis=-1)
    return {
        "status": np.array([STATUS_CODE[status] for status in run.status]),
        "steps": run.steps,
        "residual": run.residual,
        "loss": run.loss,
        "recovery_error": miss / np.linalg.norm(teacher),
        "test_loss": miss**2 / 2,
        "l1_norm": np.abs(run.theta).sum(axis=-1),
        "log_balancedness": run.log_balancedness.mean(axis=-1),
        "log_shrinkage": -(run.S_plus + run.S_minus).mean(axis=-1),
        "sign_changes": run.sign_changes.sum(axis=-1),
        "stable_step": _stable_step(run),
        **_predicted(run, predict),
    }


def _stable_step(run: Trajectory) -> FloatArray:
    """Largest step that is stable at the limit of gradient flow, of each run that diverged."""
    bound = np.full(run.loss.shape, np.nan)
    if run.method is None:  # a flow has no step
        return bound
    for i in np.flatnonzero(run.status == RunStatus.DIVERGED):
        start = (run.initial_w_plus[i] + run.initial_w_minus[i]) / 2
        try:
            settling = Settling.of(run.problem, (start, np.zeros_like(start)), run.method)
            bound[i] = settling.largest_step(float(run.settings["beta"][i]))
        except InputError:  # no limit to be stable at, or no stability limit in closed form
            continue
    return bound


def _predicted(run: Trajectory, predict: bool) -> dict[str, FloatArray]:
    """Compare each converged run, and the teacher, to its predicted limit; NaN where none is."""
    error, miss = (np.full(run.loss.shape, np.nan) for _ in range(2))
    ended = run.converged
    if predict and ended.any():
        # only runs that converged have a convex problem: one that diverged has no numbers for it
        limit = implicit_solution(
            run.problem, log_balancedness=run.log_balancedness[ended], shift=run.shift[ended]
        )
        theta, teacher = run.theta[ended], run.problem.teacher
        assert teacher is not None
        distance = np.linalg.norm(limit.theta - theta, axis=-1) / np.linalg.norm(theta, axis=-1)
        error[ended] = np.where(limit.certified, distance, np.nan)
        away = np.linalg.norm(limit.theta - teacher, axis=-1) / np.linalg.norm(teacher)
        miss[ended] = np.where(limit.certified, away, np.nan)
    return {"prediction_error": error, "predicted_recovery_error": miss}
