"""Damped Newton on the dual, with continuation, for a batch of problems at once.

The dual of `min D_psi(theta, reference) : X theta = y` is the smooth convex
problem `min sum psi_i^*(z_i) - y.nu`, `z = X^T nu`, with gradient
`X theta(z) - y` and Hessian `X diag(theta'(z)) X^T`. Two safeguards make plain
Newton reach the solution from anywhere: a predictor-corrector continuation
from an easy potential to the wanted one, and a line search along the dual
direction on the derivative of the convex objective.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from momentumflow.base.arrays import FloatArray
from momentumflow.numeric.implicit import compensated
from momentumflow.numeric.implicit.dual_systems import DualSystem
from momentumflow.numeric.implicit.potentials import Potential
from momentumflow.numeric.implicit.solution import ImplicitStatus

_EPS = float(np.finfo(np.float64).eps)
# Curvature, relative to |theta|, of a direction in which the rounding of
# X theta alone asks for a step of order one: below it nothing is resolved.
# Where no coordinate is curved that much, a step of order one is a small one.
_FLOOR = 8 * _EPS
# Share of |theta| by which a continuation step may miss its linear prediction.
_PREDICTION_MISS = 0.5
# A coordinate below this share of itself in the linear model has overshot, and is
# aimed at no less than that share in one step.
_OVERSHOT = 1 / 3
_SHRINK_LIMIT = 1e-2
# Below this relative residual an iteration without progress is at its rounding floor.
_ROUNDING = 1e-8
_STALLED = 3
_PATIENCE = 40
# Steps in a row that no length makes acceptable, after which the next ones are the same.
_HALTED = 2


@dataclass(frozen=True)
class DualPoint:
    """Where the Newton iteration stopped, in scaled units; leading axis is the batch."""

    theta: FloatArray
    nu: FloatArray
    nu_tail: FloatArray
    #: X^T nu as the iteration carried it.
    z: FloatArray
    residual: FloatArray
    iterations: NDArray[np.int64]
    #: Why there is no solution, for the problems where that is known; else None.
    status: NDArray[Any]


def solve_dual(
    system: DualSystem,
    y: FloatArray,
    potential: Potential,
    *,
    start: FloatArray | None = None,
    max_iterations: int = 300,
    tolerance: float = 4 * _EPS,
) -> DualPoint:
    """Minimise the dual of a batch of problems.

    Parameters
    ----------
    system : DualSystem
        X, for B problems or shared by them.
    y : ndarray, shape (B, n)
        Targets in the range of X, scaled so that the solution is of order one.
    potential : Potential
        Parameters of shape (B, d), in the same scale.
    start : ndarray, shape (B, n), optional
        Dual points to start from, without continuation (warm start).
    max_iterations : int
        Bound on the number of factorisations for each problem.
    tolerance : float
        Whitened residual, relative to that of theta = 0, at which to stop;
        the iteration also stops where rounding stops it.
    """
    B, d = y.shape[0], system.matrix.d
    warm = start is not None
    nu = np.zeros((B, system.matrix.n)) if start is None else start.copy()
    best_nu, best_theta, best_z = nu.copy(), np.zeros((B, d)), np.zeros((B, d))
    best = np.full(B, np.inf)
    reached = np.zeros(B, dtype=bool)
    iterations = np.zeros(B, dtype=np.int64)

    # State of the problems still at work; `where` are their places in the batch.
    where = np.arange(B)
    active, target, pot = system, y, potential
    target_size = np.linalg.norm(active.whiten(target), axis=-1)
    z = active.matrix.adjoint(nu)
    t = np.full(B, 1.0 if warm or not potential.has_continuation else 0.0)
    stride = np.full(B, 1.0)
    stalled, halted = np.zeros((2, B), dtype=np.int64)
    predicted, previous = np.full((B, d), np.inf), np.zeros((B, d))

    for _ in range(max_iterations):
        stage = pot.relaxed(t[:, None])
        theta = stage.primal(z)
        slope = stage.slope(z, theta)
        r = target - active.matrix.forward(theta)
        magnitude = np.maximum(target_size, np.linalg.norm(theta, axis=-1))
        size = np.linalg.norm(active.whiten(r), axis=-1) / magnitude
        iterations[where] += 1
        final = t >= 1.0
        # What rounding of z, and its cancellation with psi'(reference), leaves in theta.
        noise = (
            _EPS
            * np.linalg.norm(slope * (np.abs(z) + np.abs(stage.reference_mirror())), axis=-1)
            / magnitude
        )
        improved = final & (size < best[where])
        stalled = np.where(improved & (size < 0.5 * best[where]), 0, stalled + final)
        chosen = where[improved]
        best[chosen], best_nu[chosen] = size[improved], nu[improved]
        best_theta[chosen], best_z[chosen] = theta[improved], z[improved]
        # Far from the rounding floor a slow phase is no stall.
        at_floor = best[where] < np.maximum(1e-13, 10 * noise)
        patience = np.where(at_floor, _STALLED, _PATIENCE)
        stuck = (stalled >= patience) & (at_floor | (best[where] < _ROUNDING))
        reached[where] |= final & at_floor
        done = (final & ((size <= tolerance) | stuck)) | (halted >= _HALTED)
        if done.any():
            keep = ~done
            if not keep.any():
                break
            active, target, pot = active.take(keep), target[keep], pot.take(keep)
            where, nu, z, t, stride, stalled, halted, final = (
                a[keep] for a in (where, nu, z, t, stride, stalled, halted, final)
            )
            target_size, predicted, previous = (a[keep] for a in (target_size, predicted, previous))
            stage, magnitude = stage.take(keep), magnitude[keep]
            theta, slope, r = theta[keep], slope[keep], r[keep]

        tangent = pot.relaxed_tangent(t[:, None], z, theta, slope) * ~final[:, None]
        share = _secant_share(predicted, previous, theta)
        slope = slope * np.where(final[:, None], share, 1.0)
        right = np.stack([r, -active.matrix.forward(tangent)], axis=-1)
        step, z_step = active.newton_steps(slope, right, _floor(magnitude, slope))
        corrector, predictor = step[..., 0], step[..., 1]
        z_corrector, z_predictor = z_step[..., 0], z_step[..., 1]

        # Continuation: the longest dt whose outcome is close to its linear prediction.
        dt = np.where(final, 0.0, np.minimum(1.0 - t, stride))
        moving = np.flatnonzero(~final)
        for _ in range(40):
            if moving.size == 0:
                break
            ahead = dt[moving, None]
            dz = z_corrector[moving] + ahead * z_predictor[moving]
            linear = theta[moving] + slope[moving] * dz + ahead * tangent[moving]
            later = pot.take(moving).relaxed(t[moving, None] + ahead)
            miss = np.abs(later.primal(z[moving] + dz) - linear).sum(axis=-1)
            moving = moving[~(miss <= _PREDICTION_MISS * np.abs(linear).sum(axis=-1))]
            dt[moving] *= 0.4
        stepped = ~final
        stepped[moving] = False
        some = ~stepped
        length, blocked = np.ones_like(t), np.zeros(t.size, dtype=bool)
        if some.any():
            length[some], blocked[some] = _line_search(
                stage.take(some),
                z[some],
                z_corrector[some],
                active.matrix.plain(z_corrector)[some],
                (target[some] * corrector[some]).sum(axis=-1),
            )
        dt = np.where(stepped, dt, 0.0)
        nu = nu + length[:, None] * corrector + dt[:, None] * predictor
        # z is carried along rather than recomputed: its rounding then never shows
        # up as a residual, and `refine` makes it consistent with nu at the end.
        dz = length[:, None] * z_corrector + dt[:, None] * z_predictor
        z = z + dz
        predicted, previous = theta + slope * dz + dt[:, None] * tangent, theta
        t = np.where(stepped & (t + dt > 1 - 1e-12), 1.0, t + dt)
        stride = np.where(stepped, 3.0 * dt, stride)
        halted = np.where(blocked, halted + 1, 0)

    # A residual that is still visible beside the target has not converged.
    status = np.full(B, None, dtype=object)
    status[~(reached | (best < _ROUNDING))] = ImplicitStatus.RAISE_MAX_ITERATIONS
    return DualPoint(best_theta, best_nu, np.zeros_like(best_nu), best_z, best, iterations, status)


def _floor(magnitude: FloatArray, slope: FloatArray) -> FloatArray:
    return _FLOOR * np.minimum(magnitude, slope.max(axis=-1))


def _secant_share(predicted: FloatArray, previous: FloatArray, theta: FloatArray) -> FloatArray:
    """Secant over tangent slope of coordinates that shrink, but far slower than predicted.

    An exponential that is to vanish shrinks by a factor e a Newton step only.
    The secant of theta(z) from where it is to where the last linear model
    wanted it aims there at once; elsewhere the share is one.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(theta == 0, 1.0, predicted / theta)
        shrinks = np.where(theta == 0, False, previous / theta > 1.5)
    above = shrinks & (ratio < _OVERSHOT)
    kept = np.where(above, np.maximum(ratio, _SHRINK_LIMIT), 0.5)
    return np.where(above, (1 - kept) / -np.log(kept), 1.0)


def refine(
    system: DualSystem, y: FloatArray, potential: Potential, point: DualPoint, *, max_steps: int = 8
) -> DualPoint:
    """Sharpen a converged dual point with the dual carried in twice the precision.

    Rounding of `nu` and of the products costs digits where X is ill-conditioned
    or where large and tiny balancedness mix; with `nu` in two parts and
    compensated products each Newton step leaves only the rounding of theta.
    """
    where = np.flatnonzero([reason is None for reason in point.status])
    if where.size == 0:
        return point
    best_nu, best_tail, best_theta = point.nu.copy(), point.nu_tail.copy(), point.theta.copy()
    best = np.full(y.shape[0], np.inf)
    system, y, potential = system.take(where), y[where], potential.take(where)
    nu, tail = _consistent_dual(system, potential, point, where)
    for step in range(max_steps + 1):
        z, z_tail = system.precise_adjoint(nu, tail)
        theta = potential.primal(z, z_tail)
        r = -system.residual(theta, y)
        size = np.linalg.norm(system.whiten(r), axis=-1)
        magnitude = np.linalg.norm(theta, axis=-1)
        previous = best[where]
        better = size < previous
        chosen = where[better]
        best[chosen], best_theta[chosen] = size[better], theta[better]
        best_nu[chosen], best_tail[chosen] = nu[better], tail[better]
        progress = (size < 0.5 * previous) | (step < 2)
        on = progress & (size > 2 * _EPS * magnitude)
        if step == max_steps or not on.any():
            break
        where, y, system, potential = where[on], y[on], system.take(on), potential.take(on)
        slope = potential.slope(z[on], theta[on])
        delta, _ = system.newton_steps(slope, r[on][..., None], _floor(magnitude[on], slope))
        nu, tail = compensated.add(nu[on], tail[on], delta[..., 0])
    return replace(point, theta=best_theta, nu=best_nu, nu_tail=best_tail)


def _consistent_dual(
    system: DualSystem, potential: Potential, point: DualPoint, where: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray]:
    """The dual, in two parts, that reproduces the iteration's z where it matters."""
    nu, tail, z = point.nu[where], point.nu_tail[where], point.z[where]
    slope = potential.slope(z, point.theta[where])
    size = np.linalg.norm(point.theta[where], axis=-1)
    floor = _floor(size, slope)
    for _ in range(8):
        now, now_tail = system.precise_adjoint(nu, tail)
        miss = slope * ((z - now) - now_tail)
        if np.all(np.linalg.norm(miss, axis=-1) < 1e-9 * size):
            break
        delta, _ = system.newton_steps(slope, system.matrix.forward(miss)[..., None], floor)
        nu, tail = compensated.add(nu, tail, delta[..., 0])
    return nu, tail


def _line_search(
    stage: Potential, z: FloatArray, dz: FloatArray, plain: FloatArray, linear: FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Step lengths at which the dual objective has decreased enough, and where none has; (B,).

    The objective along the step is convex; a length is accepted once its
    derivative is at most half the initial one above zero, which is exact
    enough and never compares two nearly equal objective values: it is
    `theta . X^T dnu - y . dnu`, of which `plain` and `linear` are given.
    """
    initial = np.abs((stage.primal(z) * plain).sum(axis=-1) - linear)
    reach = np.max(np.abs(dz) / stage.curvature_scale(), axis=-1)
    # Beyond 40 units of curvature every exponential has long taken over.
    length = np.minimum(1.0, 40.0 / np.maximum(reach, 1e-300))
    waiting = np.ones(length.shape, dtype=bool)
    for _ in range(60):
        theta = stage.primal(z + length[:, None] * dz)
        derivative = (theta * plain).sum(axis=-1) - linear
        waiting &= ~(derivative <= 0.5 * initial)  # NaN (outside the domain) waits on
        # Close to the solution the derivative is rounding: take the whole step.
        waiting &= reach > 1e-3
        if not waiting.any():
            break
        length = np.where(waiting, 0.5 * length, length)
    return length, waiting
