"""The rich limit as a problem of its own: weighted basis pursuit by SciPy's HiGHS.

As Delta -> 0 the hyperbolic entropy becomes a weighted l1 norm, as
Delta -> infinity a weighted squared l2 norm (`WeightedL2`, which every solver
of the room takes). The l1 norm is no mirror potential, so it has its own
solver and its own certificate here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from momentumflow.base.errors import InputError
from momentumflow.base.values import Value
from momentumflow.numeric.implicit.certificate import Certificate
from momentumflow.numeric.implicit.entropies import KullbackLeibler, WeightedL2
from momentumflow.numeric.implicit.potentials import HyperbolicEntropy
from momentumflow.numeric.implicit.products import DenseProducts
from momentumflow.numeric.validation import FloatArray, broadcast_shapes, float_array, positive


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

    weights: FloatArray
    negative_weights: FloatArray = None  # type: ignore[assignment]
    name = "weighted l1 norm"

    def __post_init__(self) -> None:
        up = positive("weights", self.weights)
        down = up if self.negative_weights is None else self.negative_weights
        down = positive("negative_weights", down)
        broadcast_shapes(weights=up.shape, negative_weights=down.shape)
        object.__setattr__(self, "weights", up)
        object.__setattr__(self, "negative_weights", down)

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

    def value(self, theta: FloatArray) -> FloatArray:
        """Return the norm of each coordinate, shape (..., d)."""
        down = self.negative_weights
        return np.where(theta >= 0, self.weights * theta, -down * theta)


def rich_limit(entropy: HyperbolicEntropy) -> WeightedL1:
    r"""Return the weighted l1 norm that the entropy approaches as Delta -> 0.

    To leading order `D_psi(theta, reference) = |theta| (ln(1/Delta) -+ s)/2`, minus for
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


def kernel_limit(entropy: HyperbolicEntropy) -> WeightedL2:
    """Return the weighted l2 norm that the entropy approaches as Delta -> infinity.

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


def linear_program(
    cost: ArrayLike, A: ArrayLike, b: ArrayLike, temperature: ArrayLike
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
    costs = float_array("cost", cost, ndim_min=1)
    T = positive("temperature", temperature)
    broadcast_shapes(cost=costs.shape[:-1], temperature=T.shape)
    matrix, right = float_array("A", A, ndim_min=2), float_array("b", b, ndim_min=1)
    return (matrix, right), KullbackLeibler(-costs / T[..., None])


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
    scale = float(np.abs(y).max()) or 1.0
    result = linprog(
        np.concatenate([norm.weights, norm.negative_weights]),
        A_eq=np.hstack([X, -X]),
        b_eq=y / scale,
        bounds=(0, None),
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if not result.success:
        return np.full(d, np.nan), np.full(n, np.nan), int(result.nit)
    split = np.asarray(result.x, dtype=np.float64)
    theta = scale * (split[:d] - split[d:])
    nu = np.asarray(result.eqlin.marginals, dtype=np.float64)
    # At a vertex the columns of the support determine theta, and tight dual
    # constraints determine nu on the range of those columns.
    support = np.flatnonzero(theta)
    signs = np.where(theta[support] > 0, norm.weights[support], 0.0)
    signs = np.where(theta[support] < 0, -norm.negative_weights[support], signs)
    columns = X[:, support]
    for _ in range(2):
        r = y - X @ theta
        theta[support] += np.linalg.lstsq(columns, r, rcond=None)[0]
        nu = nu + np.linalg.lstsq(columns.T, signs - columns.T @ nu, rcond=None)[0]
    return theta, nu, int(result.nit)


def has_interior_point(X: FloatArray, y: FloatArray, low: float, high: float) -> bool:
    """Whether some theta strictly between `low` and `high` fits `X theta = y`.

    HiGHS maximises the distance to the bounds; a distance of zero means that
    the constraints touch the domain at its boundary at most.
    """
    n, d = X.shape
    scale = float(np.abs(y).max()) or 1.0
    bounds = [-low / scale, high / scale]
    used = [i for i in range(2) if np.isfinite(bounds[i])]
    result = linprog(
        np.concatenate([np.zeros(d), [-1.0]]),
        A_ub=np.vstack([np.hstack([(2 * i - 1) * np.eye(d), np.ones((d, 1))]) for i in used]),
        b_ub=np.concatenate([np.full(d, bounds[i]) for i in used]),
        A_eq=np.hstack([X, np.zeros((n, 1))]),
        b_eq=y / scale,
        bounds=[(None, None)] * d + [(0, 1)],
        method="highs",
    )
    return result.status == 0 and float(result.x[-1]) > 1e-9 if result.x is not None else False


def certify_basis_pursuit(
    X: FloatArray, y: FloatArray, norm: WeightedL1, theta: FloatArray, nu: FloatArray
) -> Certificate:
    """Certify a batch: feasibility, subgradient membership, duality gap.

    `error` is the gap: the minimiser of a linear program need not be unique,
    so what is certified is the optimal value.
    """
    products = DenseProducts(X)
    r = products.residual(theta, y)
    z, _ = products.adjoint(nu, np.zeros_like(nu))
    size_y = np.linalg.norm(y, axis=-1)
    feasibility = np.linalg.norm(r, axis=-1) / np.where(size_y > 0, size_y, 1.0)
    up, down = norm.weights, norm.negative_weights
    # Where theta = 0, -down <= z <= up; elsewhere z is the weight of its sign.
    outside = np.maximum(np.maximum(z - up, -down - z), 0.0)
    miss = np.where(theta > 0, np.abs(z - up), np.where(theta < 0, np.abs(z + down), outside))
    stationarity = miss.max(axis=-1) / np.maximum(up, down).max(axis=-1)
    objective = norm.value(theta).sum(axis=-1)
    gap = np.abs(objective - (nu * y).sum(axis=-1)) / np.where(objective > 0, objective, 1.0)
    return Certificate(feasibility, stationarity, gap, gap, objective)
