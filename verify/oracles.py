"""Reference computations that share no code with what they judge.

Small and plain: SciPy's integrator for gradient flow of one diagonal network or
of a batch of other networks, and for momentum gradient flow in complex time; an
explicit loop in extended precision for the discretisation scheme.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
    squared_gradient, cubed_gradient : ndarray, shape (d,)
        Integrals of g^2 dt and of g^3 dt over the whole run.
    residual : float
        |X theta - y| / |y| at the end.
    """

    time: FloatArray
    w_plus: FloatArray
    w_minus: FloatArray
    squared_gradient: FloatArray
    cubed_gradient: FloatArray
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
        return np.concatenate([-g * plus, g * minus, g**2, g**3])

    def fitted(_: float, state: FloatArray) -> float:
        return float(np.linalg.norm(parts(state)[2])) / scale - STANDSTILL

    fitted.terminal = True  # type: ignore[attr-defined]
    start = np.concatenate([np.full(2 * d, np.sqrt(2) * alpha), np.zeros(2 * d)])
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
        end[2 * d : 3 * d],
        end[3 * d :],
        float(np.linalg.norm(parts(end)[2])) / scale,
    )


@dataclass(frozen=True, eq=False)
class ContourFlow:
    """Momentum gradient flow, integrated beside the real line.

    Attributes
    ----------
    w_plus, w_minus : ndarray, shape (d,)
        At the end.
    I_plus, I_minus : ndarray, shape (d,)
        lambda times the integral of (w'/w)^2 dt; its finite part where w crosses zero.
    squared_gradient : ndarray, shape (d,)
        Integral of g^2 dt.
    loss_integral : float
        The integral of the loss.
    """

    w_plus: FloatArray
    w_minus: FloatArray
    I_plus: FloatArray
    I_minus: FloatArray
    squared_gradient: FloatArray
    loss_integral: float


def contour_flow(X: FloatArray, y: FloatArray, alpha: float, lam: float, end: float) -> ContourFlow:
    """Integrate lambda w_±'' + w_±' ± g w_± = 0 from rest at sqrt(2) alpha, in complex time.

    The solution is analytic. At a zero of w, `lambda (w'/w)^2` has a pole of order two
    with residue -1: a path that passes beside it gives the finite part of the integral,
    plus a multiple of i pi. So the definition of the remainder is integrated as it
    stands, through sign changes, by a path from 0 to `end` above the real line.

    Parameters
    ----------
    X, y : ndarray, shapes (n, d) and (n,)
    alpha, lam : float
    end : float
        Time at the end.
    """
    n, d = X.shape
    height = 0.2j * min(lam, end)
    corners = (0.0, height, end + height, end)

    def rhs(_: float, state: Any, pace: complex) -> Any:
        w, v = state[: 2 * d].reshape(2, d), state[2 * d : 4 * d].reshape(2, d)
        r = X @ ((w[0] ** 2 - w[1] ** 2) / 4) - y
        g = X.T @ r / n
        force = -(v + np.array([g, -g]) * w) / lam
        rate = lam * (v / w) ** 2
        slope = (v.ravel(), force.ravel(), rate.ravel(), g**2, [r @ r / (2 * n)])
        return pace * np.concatenate(slope)

    state = np.zeros(7 * d + 1, dtype=np.complex128)
    state[: 2 * d] = np.sqrt(2) * alpha
    for a, b in itertools.pairwise(corners):
        solution = solve_ivp(
            rhs, (0.0, abs(b - a)), state, method="DOP853", args=((b - a) / abs(b - a),),
            rtol=1e-12, atol=1e-14,
        )  # fmt: skip
        if not solution.success:
            raise RuntimeError(f"the reference integrator stopped: {solution.message}")
        state = solution.y[:, -1]
    w, rest = state[: 2 * d].real, state[4 * d :].real
    up, down, squares = rest[:-1].reshape(3, d)
    return ContourFlow(w[:d], w[d:], up, down, squares, float(rest[-1]))


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


def velocity_of_gradients(
    X: FloatArray, y: FloatArray, alpha: float, gamma: Any, beta: float, steps: int
) -> FloatArray:
    """Return theta of the two-layer network after steps of PyTorch's rule, on u and v themselves.

    `v <- beta v + g`, `w <- w - gamma_k v`: the velocity is in units of the gradient.
    """
    w = np.stack([np.full(X.shape[1], np.sqrt(2) * alpha), np.zeros(X.shape[1])])
    velocity = np.zeros_like(w)
    for k in range(steps):
        g = X.T @ (X @ (w[0] * w[1]) - y) / y.size
        velocity = beta * velocity + g * w[::-1]
        w = w - gamma(k) * velocity
    return np.asarray(w[0] * w[1])
