"""Reference computations that share no code with what they judge.

Small and plain: SciPy's integrator for gradient flow of one diagonal network or
of a batch of other networks, an explicit loop in extended precision for the
discretisation scheme.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp

from momentumflow.base.arrays import FloatArray

# Relative residual at which gradient flow stands still. What is then missing of the
# integral of g^2 is of the order of its square; a smaller one may lie below the
# noise that the tolerances leave in a stiff problem, and is never reached there.
STANDSTILL = 1e-8


@dataclass(frozen=True, eq=False)
class GradientFlow:
    """Gradient flow of the diagonal network: lambda = 0.

    Attributes
    ----------
    time : ndarray, shape (records,)
    w_plus, w_minus : ndarray, shape (records, d)
    squared_gradient : ndarray, shape (d,)
        Integral of g^2 dt over the whole run.
    residual : float
        |X theta - y| / |y| at the end.
    """

    time: FloatArray
    w_plus: FloatArray
    w_minus: FloatArray
    squared_gradient: FloatArray
    residual: float


def gradient_flow(
    X: FloatArray, y: FloatArray, alpha: float, *, time: ArrayLike | None = None
) -> GradientFlow:
    """Integrate w_±' = ∓ g w_±, g = X^T (X theta - y)/n, from w_± = sqrt(2) alpha.

    Parameters
    ----------
    X, y : ndarray, shapes (n, d) and (n,)
        One problem.
    alpha : float
        Initialisation scale.
    time : array_like, optional
        Times to record, increasing; without them the run goes on to a relative
        residual of `STANDSTILL`.
    """
    n, d = X.shape
    scale = float(np.linalg.norm(y))

    def parts(state: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        plus, minus = state[:d], state[d : 2 * d]
        return plus, minus, X @ ((plus**2 - minus**2) / 4) - y

    def rhs(_: float, state: FloatArray) -> FloatArray:
        plus, minus, r = parts(state)
        g = X.T @ r / n
        return np.concatenate([-g * plus, g * minus, g * g])

    def fitted(_: float, state: FloatArray) -> float:
        return float(np.linalg.norm(parts(state)[2])) / scale - STANDSTILL

    fitted.terminal = True  # type: ignore[attr-defined]
    start = np.concatenate([np.full(2 * d, np.sqrt(2) * alpha), np.zeros(d)])
    records = None if time is None else np.asarray(time, dtype=np.float64)
    solution = solve_ivp(
        rhs,
        (0.0, 1e6 if records is None else float(records[-1])),
        start,
        method="DOP853",
        t_eval=records,
        events=fitted if records is None else None,
        rtol=1e-11,
        atol=1e-13,
    )
    if not solution.success:
        raise RuntimeError(f"the reference integrator stopped: {solution.message}")
    path = solution.y.T
    end = path[-1]
    return GradientFlow(
        solution.t,
        path[:, :d],
        path[:, d : 2 * d],
        end[2 * d :],
        float(np.linalg.norm(parts(end)[2])) / scale,
    )


def central_scheme(
    X: FloatArray, y: FloatArray, alpha: float, lam: float, eps: float, steps: int
) -> tuple[FloatArray, FloatArray]:
    """Discretise lambda w'' + w' + grad F = 0, w'(0) = 0, in extended precision.

    Second difference for w'', backward difference for w', time step eps:
    ``lam (w_{k+1} - 2 w_k + w_{k-1})/eps^2 + (w_k - w_{k-1})/eps + grad F(w_k) = 0``.

    Returns
    -------
    tuple of ndarray, shape (steps + 1, d)
        w_plus and w_minus, from w_0 on.
    """
    matrix, target = X.astype(np.longdouble), y.astype(np.longdouble)
    n, d = matrix.shape
    lam_, eps_ = np.longdouble(lam), np.longdouble(eps)
    signs = np.array([[1], [-1]], dtype=np.longdouble)
    now = np.full((2, d), np.sqrt(np.longdouble(2)) * np.longdouble(alpha))
    before = now.copy()
    path = [now]
    for _ in range(steps):
        g = matrix.T @ (matrix @ ((now[0] ** 2 - now[1] ** 2) / 4) - target) / n
        friction = (now - before) / eps_ + signs * g * now
        now, before = 2 * now - before - eps_**2 / lam_ * friction, now
        path.append(now)
    both = np.asarray(path, dtype=np.float64)
    return both[:, 0], both[:, 1]


# Relative residual at which gradient flow of a network counts as at its end.
FITTED = 1e-11


def network_flow(
    X: FloatArray,
    y: FloatArray,
    start: FloatArray,
    theta: Callable[[FloatArray], FloatArray],
    slopes: Callable[[FloatArray], FloatArray],
    *,
    t_max: float,
) -> tuple[FloatArray, FloatArray]:
    """Integrate gradient flow of F(theta(w)) on a batch of problems, by SciPy's DOP853.

    One integration for the whole batch: the step is that of the problem which
    needs the smallest, and the end that of the slowest.

    Parameters
    ----------
    X, y : ndarray, shapes (b, n, d) and (b, n)
        The problems.
    start : ndarray, shape (m, b, d)
        Initial weights.
    theta : callable
        Weights (m, b, d) to parameters (b, d).
    slopes : callable
        Weights (m, b, d) to d theta_j / d w_ij, shape (m, b, d).
    t_max : float
        Time at which those that have not reached `FITTED` are left as they are.

    Returns
    -------
    tuple of ndarray
        theta (b, d) and the relative residuals (b,) at the end.
    """
    transposed = np.swapaxes(X, -1, -2) / X.shape[-2]
    scale = np.linalg.norm(y, axis=-1)

    def missing(w: FloatArray) -> FloatArray:
        r: FloatArray = np.matmul(X, theta(w)[..., None])[..., 0] - y
        return r

    def rhs(_: float, flat: FloatArray) -> FloatArray:
        w = flat.reshape(start.shape)
        g = np.matmul(transposed, missing(w)[..., None])[..., 0]
        return (-slopes(w) * g).ravel()

    def residuals(flat: FloatArray) -> FloatArray:
        found: FloatArray = np.linalg.norm(missing(flat.reshape(start.shape)), axis=-1) / scale
        return found

    def fitted(_: float, flat: FloatArray) -> float:
        return float(residuals(flat).max()) - FITTED

    fitted.terminal = True  # type: ignore[attr-defined]
    solution = solve_ivp(
        rhs, (0.0, t_max), start.ravel(), method="DOP853", events=fitted, rtol=1e-12, atol=1e-14
    )
    if not solution.success:
        raise RuntimeError(f"the reference integrator stopped: {solution.message}")
    end = solution.y[:, -1]
    return theta(end.reshape(start.shape)), residuals(end)
