"""The limit of a run beside the solution of the convex problem that predicts it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from momentumflow.base.arrays import FloatArray
from momentumflow.numeric.data.problems import Regression
from momentumflow.numeric.runs.trajectory import Trajectory
from momentumflow.verify.evidence import Measurement, Verdict
from momentumflow.verify.measure import at_most
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject

# What the limit theorem is held to in float64, for converged runs.
LIMIT_TOLERANCE = 1e-9
# How well CVXPY and Newton agree there.
SOLVER_TOLERANCE = 1e-7


@dataclass(frozen=True, eq=False)
class Comparison:
    """Simulated against predicted limits, run by run.

    Attributes
    ----------
    distance : ndarray, shape (runs,)
        |theta - predicted| / |predicted|, for the runs that can be compared.
    balancedness_error : ndarray, shape (runs,)
        Largest relative error of the predicted asymptotic balancedness.
    crossing_rounding : ndarray, shape (runs,)
        What rounding may add to that error where weights change sign; 0 without.
    solver_distance : ndarray, shape (runs,)
        |CVXPY - Newton| / |Newton|; empty if CVXPY was not asked for.
    open : tuple of str
        For each run without verdict: how far it got and why.
    unconfirmed : tuple of str
        For each prediction that CVXPY was asked to confirm and could not: why.
    """

    distance: FloatArray
    balancedness_error: FloatArray
    crossing_rounding: FloatArray
    solver_distance: FloatArray
    open: tuple[str, ...]
    unconfirmed: tuple[str, ...] = ()

    @classmethod
    def join(cls, parts: list[Comparison]) -> Comparison:
        """Return all runs of `parts` as one."""
        return cls(
            np.concatenate([p.distance for p in parts]),
            np.concatenate([p.balancedness_error for p in parts]),
            np.concatenate([p.crossing_rounding for p in parts]),
            np.concatenate([p.solver_distance for p in parts]),
            tuple(reason for p in parts for reason in p.open),
            tuple(reason for p in parts for reason in p.unconfirmed),
        )

    def measurements(self, settings: Settings, *, share: float = 1.0) -> tuple[Measurement, ...]:
        """Hold the errors against the tolerances of the theorem.

        The theorem speaks about converged runs; the others are counted, and if
        fewer than `share` of all runs can be compared there is no verdict.
        """
        found = []
        if self.distance.size:
            # in units in which the tolerance of a run without sign changes is as stated
            unit = 1 + self.crossing_rounding / LIMIT_TOLERANCE
            found.append(
                at_most(
                    "relative distance of simulated and predicted limit",
                    self.distance / unit,
                    LIMIT_TOLERANCE,
                    settings,
                )
            )
        crossing = self.crossing_rounding > 0
        if not crossing.all():
            found.append(
                at_most(
                    "relative error of the predicted asymptotic balancedness",
                    self.balancedness_error[~crossing],
                    LIMIT_TOLERANCE,
                    settings,
                )
            )
        if crossing.any():
            found.append(
                at_most(
                    "the same after sign changes, over what rounding may add there",
                    self.balancedness_error[crossing]
                    / (LIMIT_TOLERANCE + self.crossing_rounding[crossing]),
                    1.0,
                    settings,
                )
            )
        if self.solver_distance.size:
            found.append(
                at_most(
                    "relative distance of the CVXPY and the Newton solution",
                    self.solver_distance,
                    SOLVER_TOLERANCE,
                    settings,
                )
            )
        found.append(
            share_reached(
                "share of runs that converged and have a certified prediction",
                self.distance.size,
                self.open,
                share,
            )
        )
        if self.solver_distance.size or self.unconfirmed:
            found.append(
                share_reached(
                    "share of predictions that CVXPY confirms",
                    self.solver_distance.size,
                    self.unconfirmed,
                    share,
                )
            )
        return tuple(found)


def share_reached(
    quantity: str, reached: int, missing: tuple[str, ...], share: float
) -> Measurement:
    """Require a share of the runs; where there are fewer there is no verdict."""
    total = reached + len(missing)
    part = reached / total
    missed, allowed = 1 - part, 1 - share
    return Measurement(
        quantity,
        part,
        f">= {share:g}",
        Verdict.SUPPORTED if part >= share else Verdict.UNDECIDED,
        samples=total,
        strain=missed / allowed if allowed else math.inf if missed else 0.0,
        reason=f"{len(missing)} of {total} without: {missing[0]}" if missing else "",
        secondary="how much was looked at: too little leaves the claim open, never refutes it",
    )


def relative_distance(a: FloatArray, b: FloatArray) -> FloatArray:
    """|a - b| / |b| along the last axis."""
    ratio: FloatArray = np.asarray(np.linalg.norm(a - b, axis=-1) / np.linalg.norm(b, axis=-1))
    return ratio


def compare(
    subject: Subject,
    problem: Regression,
    run: Trajectory,
    *,
    label: str = "",
    cvxpy: bool = False,
) -> Comparison:
    """Compare the limits of `run` with those that the convex problem predicts.

    Runs that have not converged, or whose prediction is not certified, are left
    out and accounted for in `Comparison.open`.
    """
    batch = run.theta.shape[:-1]
    d = run.theta.shape[-1]
    X = np.broadcast_to(problem.X, (*batch, problem.n, d)).reshape(-1, problem.n, d)
    y = np.broadcast_to(problem.y, (*batch, problem.n)).reshape(-1, problem.n)
    converged = np.broadcast_to(run.converged, batch).reshape(-1)
    reasons = [
        f"{label}{': ' if label else ''}{status}"
        for status in _standing(run, batch)[~converged].tolist()
    ]
    if not converged.any():
        nothing = np.empty(0)
        return Comparison(nothing, nothing, nothing, nothing, tuple(reasons))

    def rows(values: FloatArray) -> FloatArray:
        return np.broadcast_to(values, (*batch, d)).reshape(-1, d)[converged]

    log_balancedness, shift = rows(subject.log_balancedness(run)), rows(subject.shift(run))
    # A converged run without a finite prediction is predicted wrongly, not left open.
    finite = np.all(np.isfinite(log_balancedness) & np.isfinite(shift), axis=-1)
    nowhere = np.full(np.count_nonzero(~finite), np.inf)
    rounding = _crossing_rounding(run, batch)[converged]
    if not finite.any():
        return Comparison(nowhere, nowhere, rounding, np.empty(0), tuple(reasons))
    part = Regression(X[converged][finite], y[converged][finite], name=problem.name)
    log_balancedness = log_balancedness[finite]
    description = {"log_balancedness": log_balancedness, "shift": shift[finite]}
    newton = subject.solve(part, solver="newton", **description)
    certified = np.atleast_1d(newton.certified)
    reasons += [
        f"{label}{': ' if label else ''}the convex problem: {status.value}"
        for status in np.atleast_1d(newton.status)[~certified]
    ]
    theta, predicted = rows(run.theta)[finite][certified], newton.theta[certified]
    between = np.empty(0)
    unconfirmed: list[str] = []
    if cvxpy:
        model = subject.solve(part, solver="cvxpy", **description)
        both = certified & np.atleast_1d(model.certified)
        unconfirmed = [
            f"{label}{': ' if label else ''}{status.value}"
            for status in np.atleast_1d(model.status)[certified & ~both]
        ]
        between = relative_distance(model.theta[both], newton.theta[both])
    # By logarithms, because after many sign changes the balancedness itself underflows.
    final = np.log(np.abs(rows(run.w_plus))) + np.log(np.abs(rows(run.w_minus)))
    with np.errstate(over="ignore"):  # a wrong prediction may be any number of orders off
        error = np.max(np.abs(np.expm1(log_balancedness - final[finite]))[certified], axis=-1)
    return Comparison(
        np.concatenate([relative_distance(theta, predicted), nowhere]),
        np.concatenate([error, nowhere]),
        np.concatenate([rounding[finite][certified], rounding[~finite]]),
        between,
        tuple(reasons),
        tuple(unconfirmed),
    )


def _crossing_rounding(run: Trajectory, batch: tuple[int, ...]) -> FloatArray:
    """What rounding may add to ln Delta of a run whose weights changed sign.

    The flow takes the regular form around a zero, where nothing cancels.
    """
    if run.remainder_rounding is None:
        return np.zeros(batch).reshape(-1)
    crossed = np.broadcast_to(run.sign_changes.sum(axis=-1), batch) > 0
    bound = np.max(np.broadcast_to(run.remainder_rounding, run.theta.shape), axis=-1)
    return np.where(crossed, bound, 0.0).reshape(-1)


def _standing(run: Trajectory, batch: tuple[int, ...]) -> np.ndarray:
    """One sentence for each run: how far it is and what to do about it."""
    status = np.broadcast_to(np.asarray(run.status, dtype=object), batch).reshape(-1)
    residual = np.broadcast_to(run.residual, batch).reshape(-1)
    steps = np.broadcast_to(run.steps, batch).reshape(-1)
    says = {s: run.ending(s) for s in set(status.tolist())}
    return np.array(
        [
            f"relative residual {r:.2e} after {int(k)} steps ({says[s]})"
            for s, r, k in zip(status, residual, steps, strict=True)
        ],
        dtype=object,
    )
