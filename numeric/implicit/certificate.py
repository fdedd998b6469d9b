"""Certificates of optimality, computed by code that no solver shares.

A solver works with `theta(z)` and BLAS products; a certificate evaluates
`psi'` and the divergence, and takes its products in twice the working
precision. It holds for any (theta, dual), wherever they came from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from momentumflow.numeric.implicit import compensated
from momentumflow.numeric.implicit.potentials import Potential
from momentumflow.numeric.validation import FloatArray

_EPS = float(np.finfo(np.float64).eps)
_BLOCK = 1 << 13


@dataclass(frozen=True, eq=False)
class Certificate:
    """Residuals of the optimality conditions, each of shape (batch,).

    Parameters
    ----------
    feasibility : ndarray
        |X theta - y| / |y|; where a reference point dwarfs the solution, over
        its size times the mean row norm, since no float64 theta does better.
    stationarity : ndarray
        max |psi'(theta) - psi'(reference) - X^T nu|, over the largest of its terms.
    gap : ndarray
        Primal minus dual value over the primal value; by Fenchel's inequality
        the sum of non-negative terms and `nu.(X theta - y)`.
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
    X: FloatArray,
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
    X : ndarray, shape (B or 1, n, d)
    y : ndarray, shape (B, n)
    potential : Potential
        With parameters of shape (B, d).
    theta : ndarray, shape (B, d)
    nu, nu_tail : ndarray, shape (B, n)
        The multiplier, and what its rounding left out (default nothing).
    """
    tail = np.zeros_like(nu) if nu_tail is None else nu_tail
    r = compensated.residual(X, theta, y)
    z = compensated.adjoint(X, nu, tail)
    mirror = potential.mirror(theta)
    miss = z - mirror

    row_size = np.sqrt(np.einsum("bnd,bnd->b", X, X) / X.shape[-2])
    reference_size = np.linalg.norm(potential.reference_point(), axis=-1)
    size_y = np.maximum(np.linalg.norm(y, axis=-1), row_size * reference_size)
    feasibility = np.linalg.norm(r, axis=-1) / np.where(size_y > 0, size_y, 1.0)
    offset = np.abs(potential.reference_mirror())
    largest = np.maximum(np.maximum(np.abs(mirror), np.abs(z)), offset).max(axis=-1)
    stationarity = np.abs(miss).max(axis=-1) / np.where(largest > 0, largest, 1.0)

    objective = potential.divergence(theta).sum(axis=-1)
    gap = potential.fenchel_gap(theta, z).sum(axis=-1) - (nu * r).sum(axis=-1)
    relative_gap = np.abs(gap) / np.where(objective > 0, objective, 1.0)

    error = _first_order_error(X, potential, theta, z=z, r=-r, miss=miss)
    return Certificate(feasibility, stationarity, relative_gap, error, objective)


def _first_order_error(
    X: FloatArray,
    potential: Potential,
    theta: FloatArray,
    *,
    z: FloatArray,
    r: FloatArray,
    miss: FloatArray,
) -> FloatArray:
    """|theta - exact| / |theta| from the linearised optimality conditions.

    The exact solution differs by `D X^T H^+ r + (I - D X^T H^+ X) D miss`,
    D = theta'(z), H = X D X^T. Directions in which H is below rounding are
    charged at their least Euclidean norm.
    """
    h = potential.slope(z, theta)
    displaced = h * miss
    right = r - np.matmul(X, displaced[..., None])[..., 0]
    correction, left = _weighted_least_norm(X, h, right)
    remaining, unresolved = _weighted_least_norm(X, np.ones_like(h), left)
    u = displaced + correction + remaining
    size = np.linalg.norm(theta, axis=-1)
    # What even the unweighted Gram matrix cannot resolve is rank deficiency; on
    # a consistent problem it is rounding, of the size of the residual itself.
    scale = np.sqrt(np.einsum("bnd,bnd->b", X, X) / X.shape[-2])
    total = np.linalg.norm(u, axis=-1) + np.linalg.norm(unresolved, axis=-1) / scale
    error: FloatArray = np.asarray(total / np.where(size > 0, size, 1.0))
    return error


def _weighted_least_norm(
    X: FloatArray, h: FloatArray, r: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return u = D X^T (X D X^T)^+ r and r - X u."""
    H = _weighted_gram(X, h)
    values, vectors = np.linalg.eigh(H)
    kept = values > 16 * X.shape[-2] * _EPS * values[:, -1:]
    inverse = np.where(kept, 1 / np.where(kept, values, 1.0), 0.0)
    coordinates = np.matmul(np.swapaxes(vectors, -1, -2), r[..., None])[..., 0]
    nu = np.matmul(vectors, (inverse * coordinates)[..., None])[..., 0]
    left = np.matmul(vectors, (np.where(kept, 0.0, 1.0) * coordinates)[..., None])[..., 0]
    return h * np.matmul(nu[:, None, :], X)[:, 0, :], left


def _weighted_gram(X: FloatArray, h: FloatArray) -> FloatArray:
    """X diag(h) X^T, shape (B, n, n), without a weighted copy of all of X."""
    H = np.zeros((h.shape[0], X.shape[-2], X.shape[-2]))
    for start in range(0, X.shape[-1], _BLOCK):
        block = X[..., start : start + _BLOCK]
        weighted = block * h[:, None, start : start + _BLOCK]
        H += np.matmul(weighted, np.swapaxes(block, -1, -2))
    return H
