"""The rich limit as a problem of its own: weighted basis pursuit by SciPy's HiGHS.

As Delta -> 0 the hyperbolic entropy becomes a weighted l1 norm, as
Delta -> infinity a weighted squared l2 norm (`WeightedL2`, which every solver
of the room takes). The l1 norm is no mirror potential, so it has its own
solver and its own certificate here.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linprog

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import (
    FloatArray,
    Matrix,
    Positive,
    PositiveArray,
    Vector,
    broadcast_shapes,
    floats,
)
from momentumflow.base.errors import InputError
from momentumflow.base.values import Value
from momentumflow.numeric.implicit import compensated
from momentumflow.numeric.implicit.algebra import DenseMatrix
from momentumflow.numeric.implicit.certificate import (
    Certificate,
    infinite_except,
    weighted_least_norm,
)
from momentumflow.numeric.implicit.entropies import KullbackLeibler, WeightedL2
from momentumflow.numeric.implicit.potentials import HyperbolicEntropy, over_coordinates

_EPS = float(np.finfo(np.float64).eps)
# Iterative refinement (Gleixner, Steffy, Wolter, INFORMS J. Computing 28 (2016),
# doi:10.1287/ijoc.2016.0692): rounds, how much closer each looks, and when it ends.
_ROUNDS, _ZOOM, _SHARP = 4, 2.0**25, 1e-11


@over_coordinates
@dataclass(frozen=True, eq=False, repr=False)
class WeightedL1(Value):
    """`sum weights |theta|`, or different weights for the two signs.

    Parameters
    ----------
    weights : array_like, shape (..., d)
        Positive; of the positive part.
    negative_weights : array_like, shape (..., d), optional
        Positive; of the negative part. Default `weights`.
    """

    weights: PositiveArray
    negative_weights: PositiveArray = None  # type: ignore[assignment]
    name = "weighted l1 norm"

    def __post_init__(self) -> None:
        down: Any = self.negative_weights
        if down is None:
            object.__setattr__(self, "negative_weights", self.weights)
        broadcast_shapes(weights=self.weights.shape, negative_weights=self.negative_weights.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (..., d) of the weights."""
        return np.broadcast_shapes(self.weights.shape, self.negative_weights.shape)

    def broadcast_to(self, shape: tuple[int, ...]) -> WeightedL1:
        """Return the norm with weights broadcast to `shape`."""
        down = self.negative_weights
        return WeightedL1(np.broadcast_to(self.weights, shape), np.broadcast_to(down, shape))

    def take(self, index: Any) -> WeightedL1:
        """Return the norm of the sub-batch that `index` selects."""
        return WeightedL1(self.weights[index], self.negative_weights[index])

    def scaled(self, scale: FloatArray) -> WeightedL1:
        """Return the norm of `theta / scale` for weights times `scale`."""
        return WeightedL1(self.weights * scale, self.negative_weights * scale)

    def value(self, theta: FloatArray) -> FloatArray:
        """Return the norm of each coordinate, shape (..., d)."""
        down = self.negative_weights
        return np.where(theta >= 0, self.weights * theta, -down * theta)


@checked
def rich_limit(entropy: HyperbolicEntropy) -> WeightedL1:
    r"""Return the weighted l1 norm that the entropy approaches as Delta -> 0.

    To leading order `D_psi(theta, reference) = |theta| (ln(1/Delta) ∓ s)/2`, minus for
    theta > 0: the weights are `-ln(w_+^2)/2` and `-ln(w_-^2)/2`.

    Parameters
    ----------
    entropy : HyperbolicEntropy
        Of a small balancedness.

    Returns
    -------
    WeightedL1
        One weight for each sign, shape (..., d).

    Raises
    ------
    InputError
        Where some `w_pm^2 >= 1`, which has no such limit.

    See Also
    --------
    momentumflow.numeric.rich_path : Where a flow with momentum goes instead, lambda fixed.

    References
    ----------
    Woodworth et al., COLT 2020, arXiv 2002.09277.
    """
    up = -0.5 * (entropy.log_balancedness + entropy.shift)
    down = -0.5 * (entropy.log_balancedness - entropy.shift)
    if np.any(up <= 0) or np.any(down <= 0):
        raise InputError(
            "initial weights w_pm^2 < 1 for the rich limit",
            f"a largest one of {np.exp(-2 * min(up.min(), down.min())):.3g}",
            "rescale the problem or take a smaller balancedness",
        )
    return WeightedL1(up, down)


@checked
def lazy_limit(entropy: HyperbolicEntropy) -> WeightedL2:
    """Return the weighted l2 norm that the entropy approaches as Delta -> infinity (lazy regime).

    Parameters
    ----------
    entropy : HyperbolicEntropy

    Returns
    -------
    WeightedL2
        With weights 1/Delta, shape (..., d).

    References
    ----------
    Woodworth et al., COLT 2020, arXiv 2002.09277.
    """
    return WeightedL2(np.exp(-entropy.log_balancedness), entropy.reference_point())


@checked
def linear_program(
    cost: Vector, A: Matrix, b: Vector, temperature: Positive
) -> tuple[tuple[FloatArray, FloatArray], KullbackLeibler]:
    """Return the problem and potential of an entropy-regularised linear program.

    `min cost.x + temperature sum x (ln x - 1)` subject to `A x = b`, x >= 0, is
    `implicit_solution(problem, potential=potential)`; training a u^2 network
    from `u^2 = exp(-cost/temperature)` ends there. As the temperature falls
    the solution approaches the solution of the linear program exponentially.

    Parameters
    ----------
    cost : array_like, shape (..., d)
    A : array_like, shape (..., n, d)
    b : array_like, shape (..., n)
    temperature : array_like, shape (...) or scalar
        > 0.

    Returns
    -------
    problem : pair of ndarray
        (A, b), for `implicit_solution`.
    potential : KullbackLeibler
        Whose reference point is `exp(-cost/temperature)`.

    Raises
    ------
    InputError
        If the shapes do not fit, or a temperature is not positive.

    Notes
    -----
    Wang, Ghosal, Mazumder, arXiv 2310.02535.
    """
    costs, T = floats(cost), floats(temperature)
    broadcast_shapes(cost=costs.shape[:-1], temperature=T.shape)
    with np.errstate(over="ignore"):  # then refused as infinite
        log_reference = -costs / T[..., None]
    return (floats(A), floats(b)), KullbackLeibler(log_reference)


def solve_basis_pursuit(
    X: FloatArray, y: FloatArray, norm: WeightedL1
) -> tuple[FloatArray, FloatArray, int]:
    """Minimise one weighted l1 norm under `X theta = y` by HiGHS and sharpen the vertex.

    Parameters
    ----------
    X : ndarray, shape (n, d)
    y : ndarray, shape (n,)
    norm : WeightedL1
        Weights of shape (d,).

    Returns
    -------
    tuple
        theta (d,), the multiplier nu (n,), and the simplex iterations; NaN
        where HiGHS found none.
    """
    n, d = X.shape
    theta, nu, steps = np.zeros(d), np.zeros(n), 0
    split = np.zeros(2 * d)
    A, cost = np.hstack([X, -X]), np.concatenate([norm.weights, norm.negative_weights])
    zoom = 1.0
    if not (np.isfinite(cost).all() and np.isfinite(X).all()):
        return np.full(d, np.nan), np.full(n, np.nan), steps
    for _ in range(_ROUNDS):
        # The same problem around the point found so far, seen through a magnifying
        # glass: HiGHS works to absolute tolerances.
        price = zoom * (cost - A.T @ nu) / cost.max()
        target = zoom * -compensated.residual(X[None], theta[None], y[None])[0][0]
        if not (np.isfinite(price).all() and np.isfinite(target).all()):
            break
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it says of scales; the certificate decides
            result: Any = linprog(
                price,
                A_eq=A,
                b_eq=target,
                bounds=np.stack([-zoom * split, np.full(2 * d, np.inf)], axis=1).tolist(),
                method="highs-ds",
                options={
                    "primal_feasibility_tolerance": 1e-10,
                    "dual_feasibility_tolerance": 1e-10,
                },
            )
        steps += int(result.nit)
        if not result.success or not np.isfinite(result.x).all():
            break
        split = np.maximum(split + result.x / zoom, 0.0)
        # the same coordinate is never in both parts of a solution
        theta = split[:d] - split[d:]
        split = np.concatenate([np.maximum(theta, 0.0), np.maximum(-theta, 0.0)])
        nu = nu + cost.max() * np.asarray(result.eqlin.marginals, dtype=np.float64) / zoom
        theta, nu = _sharpened(X, y, norm, theta, nu)
        split = np.concatenate([np.maximum(theta, 0.0), np.maximum(-theta, 0.0)])
        r, size = (part[0] for part in compensated.residual(X[None], theta[None], y[None]))
        z = X.T @ nu
        excess = np.maximum(z / norm.weights, -z / norm.negative_weights).max() - 1
        if np.all(np.abs(r) <= _SHARP * size) and excess <= _SHARP:
            return theta, nu, steps
        zoom *= _ZOOM
    if zoom == 1.0:
        return np.full(d, np.nan), np.full(n, np.nan), steps
    return theta, nu, steps


def _sharpened(
    X: FloatArray, y: FloatArray, norm: WeightedL1, theta: FloatArray, nu: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """At a vertex the columns of the support determine theta, and tight constraints nu."""
    support = np.flatnonzero(theta)
    signs = np.where(theta[support] > 0, norm.weights[support], -norm.negative_weights[support])
    columns = X[:, support]
    theta, before = theta.copy(), np.sign(theta[support])
    for _ in range(2):
        r = -compensated.residual(X[None], theta[None], y[None])[0][0]
        moved = theta[support] + np.linalg.lstsq(columns, r, rcond=None)[0]
        # What changes its sign is no part of this vertex.
        theta[support] = np.where(np.sign(moved) == before, moved, 0.0)
        nu = nu + np.linalg.lstsq(columns.T, signs - columns.T @ nu, rcond=None)[0]
    return theta, nu


def has_interior_point(X: FloatArray, y: FloatArray, low: FloatArray, high: FloatArray) -> bool:
    """Whether some theta strictly between `low` and `high`, (d,), fits `X theta = y`.

    HiGHS maximises the distance to the bounds; a distance of zero means that
    the constraints touch the domain at its boundary at most.
    """
    n, d = X.shape
    scale = float(np.abs(y).max()) or 1.0
    bounds = [-low / scale, high / scale]
    used = [i for i in range(2) if np.isfinite(bounds[i]).all()]
    result = linprog(
        np.concatenate([np.zeros(d), [-1.0]]),
        A_ub=np.vstack([np.hstack([(2 * i - 1) * np.eye(d), np.ones((d, 1))]) for i in used]),
        b_ub=np.concatenate([np.broadcast_to(bounds[i], d) for i in used]),
        A_eq=np.hstack([X, np.zeros((n, 1))]),
        b_eq=y / scale,
        bounds=[(None, None)] * d + [(0, 1)],
        method="highs",
    )
    return result.status == 0 and float(result.x[-1]) > 1e-9 if result.x is not None else False


def certify_basis_pursuit(
    matrix: DenseMatrix,
    y: FloatArray,
    norm: WeightedL1,
    theta: FloatArray,
    nu: FloatArray,
    rank: Any,
) -> Certificate:
    """Certify a batch: feasibility, subgradient membership, duality gap.

    `error` bounds the distance to the least value, by weak duality: the value of
    a feasible point nearby, less that of a dual point shrunk until it is
    feasible. The minimiser of a linear program need not be unique, so what is
    certified is the optimal value.
    """
    whole = np.asarray(np.isfinite(theta).all(axis=-1) & np.isfinite(nu).all(axis=-1))
    theta, nu = np.where(whole[:, None], theta, 0.0), np.where(whole[:, None], nu, 0.0)
    r, size = matrix.residual(theta, y)
    z, _ = compensated.adjoint(matrix.X, nu, np.zeros_like(nu))
    feasibility = np.max(np.abs(r) / np.where(size > 0, size, 1.0), axis=-1)
    up, down = norm.weights, norm.negative_weights
    # Where theta = 0, -down <= z <= up; elsewhere z is the weight of its sign.
    outside = np.maximum(np.maximum(z / up, -z / down) - 1, 0.0)
    tight = np.where(theta > 0, np.abs(z / up - 1), np.abs(z / down + 1))
    stationarity = np.where(theta != 0, tight, outside).max(axis=-1)
    objective = norm.value(theta).sum(axis=-1)
    unit = np.where(objective > 0, objective, 1.0)
    terms = nu * y
    rounding = terms.shape[-1] * _EPS * np.abs(terms).sum(axis=-1)
    gap = (np.abs(objective - terms.sum(axis=-1)) + rounding) / unit
    u, left = weighted_least_norm(
        matrix, np.ones_like(theta), -r, nu, np.broadcast_to(rank, objective.shape)
    )
    largest = np.maximum(up, down)
    repair = (largest * np.abs(u)).sum(axis=-1) + left * np.linalg.norm(largest, axis=-1)
    least = (terms.sum(axis=-1) - rounding) / (1 + outside.max(axis=-1))
    error = (objective + repair - least) / unit
    return infinite_except(Certificate(feasibility, stationarity, gap, error, objective), whole)
