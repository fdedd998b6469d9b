"""Reference computations that share no code with what they judge.

Small, slow and plain: SciPy's integrator for gradient flow, an explicit loop in
extended precision for the discretisation scheme.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp

from momentumflow.numeric.validation import FloatArray


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
    """Integrate w_pm' = mp g w_pm, g = X^T (X theta - y)/n, from w_pm = sqrt(2) alpha.

    Parameters
    ----------
    X, y : ndarray, shapes (n, d) and (n,)
        One problem.
    alpha : float
        Initialisation scale.
    time : array_like, optional
        Times to record, increasing; without them the run goes on to a relative
        residual of 1e-10, where what is missing of the integral of g^2 is of the
        order of its square.
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
        return float(np.linalg.norm(parts(state)[2])) / scale - 1e-10

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
