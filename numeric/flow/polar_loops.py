"""The flow in polar coordinates, compiled: field, derivatives, and linear systems in n x n.

The state of a weight is an angle and a logarithm (`symbolic/networks/polar_flow.py`):
`w = rho cos(m chi)`, `w' = rho sigma`, `sigma = sin(m chi) / m`, `M = ln rho + lambda
sigma cos`. A weight passes through zero where its angle passes -pi/2, always downwards,
and one of 1e-60 is as well resolved as one of 1. At lambda = 0 the angle is zero and
chi = -s g an algebraic equation.

The residual r = X theta - y is carried beside the weights: increments of theta are known
to relative accuracy, so that r decays to zero instead of to the rounding of y.

With mu a number, real or complex, the system (mu mass - J) x = b is eliminated in each
coordinate down to the change of r, for which I + X D X^T / n with a diagonal D is left.
"""
# mypy: ignore-errors

from typing import NamedTuple

import numpy as np
from numba import njit

from momentumflow.numeric.flow.flow_state import Equation, State
from momentumflow.numeric.runs.kernels.polar_flow_diagonal_numba import (
    OPTIONS,
    SIGNS,
    SQUARES,
    field,
    slopes,
    square_slopes,
)

# For what compiled code alone calls: without a door from Python, a fifth of the compilation.
INNER = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class Local(NamedTuple):
    """The state at the start of a step, its field and derivatives; (2 d,) each.

    FM, FC: M' and lambda chi'; MC, CC, Mg, Cg: their derivatives in chi and in g.
    square: rho^2; wM, wC: derivatives of the weight's part of theta in M and chi.
    """

    sine: np.ndarray
    cosine: np.ndarray
    sigma: np.ndarray
    FM: np.ndarray
    FC: np.ndarray
    MC: np.ndarray
    CC: np.ndarray
    Mg: np.ndarray
    Cg: np.ndarray
    square: np.ndarray
    wM: np.ndarray
    wC: np.ndarray


class Stages(NamedTuple):
    """Increments and fields (s, 2, 2 d) of the stages, gradients (s, d), rates^2 (s, 2 d)."""

    Z: np.ndarray
    F: np.ndarray
    g: np.ndarray
    q: np.ndarray


class Solver(NamedTuple):
    """A factorised system, real or complex: K (n, n), and scratch; rhs (2, 2 d) in and out."""

    K: np.ndarray
    pivots: np.ndarray
    D: np.ndarray
    den: np.ndarray
    rhs: np.ndarray
    row: np.ndarray
    dr: np.ndarray


@njit(**INNER)
def of_angle(chi, m):
    """Return sine, cosine and sigma = sine / m of the angle m chi."""
    if m == 0.0:
        return 0.0, 1.0, chi
    sine = np.sin(m * chi)
    return sine, np.cos(m * chi), sine / m


@njit(**OPTIONS)
def weights(equation: Equation, state: State, Y):
    """Write w_+, w_-, w_+', w_-' to Y (4, d or more)."""
    d = equation.X.shape[1]
    for c in range(2):
        for j in range(d):
            a = c * d + j
            _, cosine, sigma = of_angle(state.chi[a], equation.m)
            rho = state.sign[a] * np.exp(state.M[a] - equation.lam * sigma * cosine)
            Y[c, j] = rho * cosine
            Y[c + 2, j] = rho * sigma


@njit(**INNER)
def linearise(equation: Equation, state: State, at):
    """Write the field and its derivatives at the state to `at`."""
    X, lam, m, kappa = equation.X, equation.lam, equation.m, equation.kappa
    n, d = X.shape
    g = np.zeros(d)
    for i in range(n):
        share = state.r[i] / n
        for j in range(d):
            g[j] += share * X[i, j]
    for c in range(2):
        for j in range(d):
            a = c * d + j
            sine, cosine, sigma = of_angle(state.chi[a], m)
            at.sine[a], at.cosine[a], at.sigma[a] = sine, cosine, sigma
            at.FM[a], at.FC[a] = field(sigma, cosine, SIGNS[c] * g[j], lam, m * m, kappa)
            at.MC[a], at.CC[a], Mg, Cg = slopes(sigma, cosine, SIGNS[c] * g[j], lam, m * m, kappa)
            at.Mg[a], at.Cg[a] = SIGNS[c] * Mg, SIGNS[c] * Cg
            at.square[a] = np.exp(2.0 * (state.M[a] - lam * sigma * cosine))
            wM, wC = square_slopes(sigma, cosine, lam, m * m)
            at.wM[a] = SQUARES[c] * at.square[a] * wM
            at.wC[a] = SQUARES[c] * at.square[a] * wC


@njit(**INNER)
def _halvings(x, longest):
    """How often the largest of x has to be halved to be at most `longest`."""
    largest = 0.0
    for a in range(x.size):
        largest = max(largest, abs(x[a]))
    halvings = 0
    while largest > longest and halvings < 60:
        largest *= 0.5
        halvings += 1
    return halvings


@njit(**INNER)
def sines(x, sine, cosine):
    """Write sine and cosine of all x: Taylor's series, then double angles in 1 - cos.

    Without a branch, so that the loops run in vector registers: half the time of a step
    went to the library's functions.
    """
    halvings = _halvings(x, 0.5)
    scale = 0.5**halvings
    for a in range(x.size):
        y = x[a] * scale
        z = y * y
        sine[a] = y * (1 - z / 6 * (1 - z / 20 * (1 - z / 42 * (1 - z / 72 * (1 - z / 110 * (
            1 - z / 156 * (1 - z / 210)))))))  # fmt: skip
        cosine[a] = z / 2 * (1 - z / 12 * (1 - z / 30 * (1 - z / 56 * (1 - z / 90 * (
            1 - z / 132 * (1 - z / 182 * (1 - z / 240)))))))  # fmt: skip
    for _ in range(halvings):
        for a in range(x.size):
            doubled = 2.0 * sine[a] * (1.0 - cosine[a])
            cosine[a] = 2.0 * sine[a] * sine[a]
            sine[a] = doubled
    for a in range(x.size):
        cosine[a] = 1.0 - cosine[a]


@njit(**INNER)
def grow(x):
    """Replace all x by e^x - 1, to relative accuracy: likewise, by y (2 + y)."""
    halvings = _halvings(x, 0.35)
    scale = 0.5**halvings
    for a in range(x.size):
        y = x[a] * scale
        x[a] = y * (1 + y / 2 * (1 + y / 3 * (1 + y / 4 * (1 + y / 5 * (1 + y / 6 * (1 + y / 7 * (
            1 + y / 8 * (1 + y / 9 * (1 + y / 10 * (1 + y / 11 * (1 + y / 12)))))))))))  # fmt: skip
    for _ in range(halvings):
        for a in range(x.size):
            x[a] *= 2.0 + x[a]


@njit(**INNER)
def _moved(equation: Equation, state: State, at, Z, work, theta):
    """Set theta to its increment under the increments Z (2, 2 d); work: cosine, sigma, ..."""
    lam, m = equation.lam, equation.m
    d = theta.size
    cosine, sigma, sine, grown = work[0], work[1], work[2], work[3]
    for a in range(2 * d):
        sigma[a] = state.chi[a] + Z[1, a]
        grown[a] = m * sigma[a]
    sines(grown, sine, cosine)
    for a in range(2 * d):
        if m > 0.0:
            sigma[a] = sine[a] / m
        grown[a] = 2.0 * (Z[0, a] - lam * (sigma[a] * cosine[a] - at.sigma[a] * at.cosine[a]))
    grow(grown)
    for j in range(d):
        theta[j] = 0.0
    for c in range(2):
        for j in range(d):
            a = c * d + j
            theta[j] += (SQUARES[c] * at.square[a]) * (
                cosine[a] * cosine[a] * grown[a] - (sine[a] - at.sine[a]) * (sine[a] + at.sine[a])
            )


@njit(**INNER)
def move_residual(equation: Equation, state: State, at, Z):
    """Add X times the increment of theta to the residual; return |r|^2."""
    X = equation.X
    n, d = X.shape
    theta = np.empty(d)
    _moved(equation, state, at, Z, np.empty((4, 2 * d)), theta)
    total = 0.0
    for i in range(n):
        for j in range(d):
            state.r[i] += X[i, j] * theta[j]
        total += state.r[i] * state.r[i]
    return total


@njit(**INNER)
def evaluate(equation: Equation, state: State, at, stages):
    """Write field, gradient and squared rates at the stages, state + Z."""
    X, lam, m, kappa = equation.X, equation.lam, equation.m, equation.kappa
    n, d = X.shape
    theta = np.empty(d)
    work = np.empty((4, 2 * d))
    cosines, sigmas = work[0], work[1]
    for i in range(stages.Z.shape[0]):
        _moved(equation, state, at, stages.Z[i], work, theta)
        g = stages.g[i]
        for j in range(d):
            g[j] = 0.0
        for k in range(n):
            r = 0.0
            for j in range(d):
                r += X[k, j] * theta[j]
            r = (r + state.r[k]) / n
            for j in range(d):
                g[j] += r * X[k, j]
        for c in range(2):
            for j in range(d):
                a = c * d + j
                stages.F[i, 0, a], stages.F[i, 1, a] = field(
                    sigmas[a], cosines[a], SIGNS[c] * g[j], lam, m * m, kappa
                )
                stages.q[i, a] = (sigmas[a] / cosines[a]) ** 2


@njit(**INNER)
def factorise(equation: Equation, at, mu, solver):
    """Reduce mu mass - J to n x n and factorise that."""
    X = equation.X
    n, d = X.shape
    D, row = solver.D, solver.row
    for j in range(d):
        D[j] = 0.0
    for c in range(2):
        for j in range(d):
            a = c * d + j
            solver.den[a] = 1.0 / (equation.lam * mu - at.CC[a])
            angle = at.Cg[a] * solver.den[a]
            size = (at.MC[a] * angle + at.Mg[a]) / mu
            D[j] -= at.wM[a] * size + at.wC[a] * angle
    for i in range(n):
        for j in range(d):
            row[j] = X[i, j] * D[j]
        for k in range(i + 1):
            total = 0.0 * mu
            for j in range(d):
                total += row[j] * X[k, j]
            solver.K[i, k] = total / n
            solver.K[k, i] = solver.K[i, k]
        solver.K[i, i] += 1.0
    _eliminate(solver.K, solver.pivots)


@njit(**INNER)
def _eliminate(K, pivots):
    """Gaussian elimination with row pivots, in place; the diagonal holds reciprocals."""
    n = K.shape[0]
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if abs(K[i, k]) > abs(K[best, k]):
                best = i
        pivots[k] = best
        if best != k:
            for j in range(n):
                K[k, j], K[best, j] = K[best, j], K[k, j]
        K[k, k] = 1.0 / K[k, k]
        for i in range(k + 1, n):
            factor = K[i, k] * K[k, k]
            K[i, k] = factor
            for j in range(k + 1, n):
                K[i, j] -= factor * K[k, j]


@njit(**INNER)
def _substitute(K, pivots, b):
    """Solve K x = b in place, with K from `_eliminate`."""
    n = K.shape[0]
    for k in range(n):
        b[k], b[pivots[k]] = b[pivots[k]], b[k]
    for i in range(n):
        for j in range(i):
            b[i] -= K[i, j] * b[j]
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            b[i] -= K[i, j] * b[j]
        b[i] *= K[i, i]


@njit(**INNER)
def solve(equation: Equation, at, mu, solver):
    """Solve (mu mass - J) x = rhs in place; return the largest change of the residual."""
    X = equation.X
    n, d = X.shape
    rhs, theta, dr = solver.rhs, solver.row, solver.dr
    for j in range(d):
        theta[j] = 0.0
    for c in range(2):
        for j in range(d):
            a = c * d + j
            rhs[1, a] *= solver.den[a]
            rhs[0, a] = (rhs[0, a] + at.MC[a] * rhs[1, a]) / mu
            theta[j] += at.wM[a] * rhs[0, a] + at.wC[a] * rhs[1, a]
    for i in range(n):
        total = 0.0 * mu
        for j in range(d):
            total += X[i, j] * theta[j]
        dr[i] = total
    _substitute(solver.K, solver.pivots, dr)
    largest = 0.0
    for j in range(d):
        theta[j] = 0.0
    for i in range(n):
        largest = max(largest, abs(dr[i]))
        share = dr[i] / n
        for j in range(d):
            theta[j] += share * X[i, j]
    for c in range(2):
        for j in range(d):
            a = c * d + j
            angle = at.Cg[a] * solver.den[a] * theta[j]
            rhs[1, a] += angle
            rhs[0, a] += (at.MC[a] * angle + at.Mg[a] * theta[j]) / mu
    return largest
