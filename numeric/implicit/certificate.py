"""Certificates of optimality, computed by code that no solver shares.

A solver works with `theta(z)` and BLAS products; a certificate evaluates
`psi'` and the divergence, and takes its products in twice the working
precision. It holds for any (theta, dual), wherever they came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from momentumflow.base.values import Value
from momentumflow.numeric.implicit.potentials import Potential
from momentumflow.numeric.implicit.products import Products, products_of
from momentumflow.numeric.validation import FloatArray


@dataclass(frozen=True, eq=False, repr=False)
class Certificate(Value):
    """Residuals of the optimality conditions, each of shape (batch,).

    Parameters
    ----------
    feasibility : ndarray
        |X theta - y| / |y|; where a reference point dwarfs the solution, over
        its size times the mean row norm, since no float64 theta does better.
    stationarity : ndarray
        max |psi'(theta) - psi'(reference) - X^T nu|, over the largest of its terms
        or of theta psi''(theta).
    gap : ndarray
        Primal minus dual value over the primal value (or `theta^2 psi''(theta)`,
        summed, where that is more); by Fenchel's inequality the sum of
        non-negative terms and `nu.(X theta - y)`.
    error : ndarray
        |theta - exact| / |theta| to first order in both residuals.
    objective : ndarray
        D_psi(theta, reference).
    """

    feasibility: FloatArray
    stationarity: FloatArray
    gap: FloatArray
    error: FloatArray
    objective: FloatArray

    def worst(self) -> FloatArray:
        """The largest of the four relative figures, NaN counted as infinite."""
        figures = np.stack([self.feasibility, self.stationarity, self.gap, self.error])
        return np.max(np.where(np.isnan(figures), np.inf, figures), axis=0)


def certify(
    X: Any,
    y: FloatArray,
    potential: Potential,
    theta: FloatArray,
    nu: FloatArray,
    *,
    nu_tail: FloatArray | None = None,
) -> Certificate:
    """Certify a batch of primal-dual pairs.

    Parameters
    ----------
    X : ndarray, shape (B or 1, n, d), or sparse array or LinearOperator, shape (n, d)
    y : ndarray, shape (B, n)
    potential : Potential
        With parameters of shape (B, d).
    theta : ndarray, shape (B, d)
    nu, nu_tail : ndarray, shape (B, n)
        The multiplier, and what its rounding left out (default nothing).

    Returns
    -------
    Certificate
        Fields of shape (B,); infinite where a pair is not finite.
    """
    tail = np.zeros_like(nu) if nu_tail is None else nu_tail
    # A pair that is not one may overflow anywhere; its figures are then infinite or NaN.
    whole = np.asarray(np.isfinite(theta).all(axis=-1) & np.isfinite(nu).all(axis=-1))
    kept = whole[:, None]
    theta, nu = np.where(kept, theta, 0.0), np.where(kept, nu, 0.0)
    with np.errstate(all="ignore"):
        figures = _figures(products_of(X), y, potential, theta, (nu, tail))
    return Certificate(
        *(
            np.where(whole, figure, np.inf)
            for figure in (
                figures.feasibility,
                figures.stationarity,
                figures.gap,
                figures.error,
                figures.objective,
            )
        )
    )


def _figures(
    products: Products,
    y: FloatArray,
    potential: Potential,
    theta: FloatArray,
    dual: tuple[FloatArray, FloatArray],
) -> Certificate:
    nu, tail = dual
    r = products.residual(theta, y)
    z, z_tail = products.adjoint(nu, tail)
    mirror = potential.mirror(theta)
    miss = potential.mirror_miss(theta, z, z_tail)

    row_size = products.row_size()
    reference_size = np.linalg.norm(potential.reference_point(), axis=-1)
    size_y = np.maximum(np.linalg.norm(y, axis=-1), row_size * reference_size)
    feasibility = np.linalg.norm(r, axis=-1) / np.where(size_y > 0, size_y, 1.0)
    # The largest term of the condition, or the z that would move a coordinate by
    # its own size: near the reference point all terms are rounding.
    h = potential.slope(z, theta)
    terms = [mirror, z, potential.reference_mirror(), theta / h]
    largest = np.max([np.abs(np.broadcast_to(a, z.shape)).max(axis=-1) for a in terms], axis=0)
    stationarity = np.abs(miss).max(axis=-1) / np.where(largest > 0, largest, 1.0)

    objective = potential.divergence(theta).sum(axis=-1)
    gap = potential.fenchel_gap(theta, miss).sum(axis=-1) + (nu * r).sum(axis=-1)
    size = np.maximum(objective, (theta**2 / h).sum(axis=-1))
    relative_gap = np.abs(gap) / np.where(size > 0, size, 1.0)

    error = _first_order_error(products, potential, theta, z=z, r=-r, miss=miss)
    return Certificate(feasibility, stationarity, relative_gap, error, objective)


def _first_order_error(
    products: Products,
    potential: Potential,
    theta: FloatArray,
    *,
    z: FloatArray,
    r: FloatArray,
    miss: FloatArray,
) -> FloatArray:
    """|theta - exact| / |theta| from the linearised optimality conditions.

    The exact solution differs by `D X^T H^+ r + (I - D X^T H^+ X) D miss`,
    D = theta'(z), H = X D X^T. Directions in which even D^{1/2} X^T is below
    rounding are charged at their least Euclidean norm.
    """
    h = potential.slope(z, theta)
    displaced = h * miss
    right = r - products.forward(displaced)
    correction, left = products.weighted_least_norm(h, right)
    size = np.linalg.norm(theta, axis=-1)
    total = np.linalg.norm(displaced, axis=-1) + np.linalg.norm(correction, axis=-1)
    total += products.least_norm(left)
    error: FloatArray = np.asarray(total / np.where(size > 0, size, 1.0))
    return error
