"""The products a certificate takes with X, dense, sparse or matrix-free.

Nothing here is used by a solver. Where the entries of X are at hand the
products are compensated, and checked against the ordinary ones: two routes to
one number that must agree to rounding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, aslinearoperator, lsmr

from momentumflow.numeric.implicit import compensated
from momentumflow.numeric.validation import FloatArray

_EPS = float(np.finfo(np.float64).eps)
_BLOCK = 1 << 13
_DENSE_GRAM_ROWS = 3000


class Products(ABC):
    """Products with X for a batch of vectors, rows of the arguments."""

    @abstractmethod
    def forward(self, theta: FloatArray) -> FloatArray:
        """X theta, shape (B, n)."""

    @abstractmethod
    def residual(self, theta: FloatArray, y: FloatArray) -> FloatArray:
        """X theta - y, as precise as can be, shape (B, n)."""

    @abstractmethod
    def adjoint(self, nu: FloatArray, nu_tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        """X^T (nu + nu_tail) in two parts, as precise as can be, each of shape (B, d)."""

    @abstractmethod
    def row_size(self) -> FloatArray:
        """Root mean square norm of the rows of X, shape (B or 1,)."""

    @abstractmethod
    def weighted_least_norm(self, h: FloatArray, r: FloatArray) -> tuple[FloatArray, FloatArray]:
        """U = D X^T (X D X^T)^+ r with D = diag(h), and r - X u."""


class DenseProducts(Products):
    """X as an ndarray of shape (B or 1, n, d)."""

    def __init__(self, X: FloatArray) -> None:
        self.X = X

    def forward(self, theta: FloatArray) -> FloatArray:
        """X theta."""
        product: FloatArray = np.matmul(self.X, theta[..., None])[..., 0]
        return product

    def residual(self, theta: FloatArray, y: FloatArray) -> FloatArray:
        """X theta - y."""
        return compensated.residual(self.X, theta, y)

    def adjoint(self, nu: FloatArray, nu_tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        """X^T (nu + nu_tail) in two parts."""
        return compensated.adjoint(self.X, nu, nu_tail)

    def row_size(self) -> FloatArray:
        """Root mean square row norm."""
        squares: FloatArray = np.einsum("bnd,bnd->b", self.X, self.X)
        return np.sqrt(squares / self.X.shape[-2])

    def weighted_least_norm(self, h: FloatArray, r: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Through the eigenvalues of the weighted Gram matrix, formed by blocks."""
        H = np.zeros((h.shape[0], self.X.shape[-2], self.X.shape[-2]))
        for start in range(0, self.X.shape[-1], _BLOCK):
            block = self.X[..., start : start + _BLOCK]
            weighted = block * h[:, None, start : start + _BLOCK]
            H += np.matmul(weighted, np.swapaxes(block, -1, -2))
        nu, left = _pseudo_solve(H, r)
        return h * np.matmul(nu[:, None, :], self.X)[:, 0, :], left


class SparseProducts(Products):
    """X as a scipy sparse array of shape (n, d)."""

    def __init__(self, X: Any) -> None:
        self.X = sp.csr_array(X, dtype=np.float64)
        self.XT = sp.csr_array(self.X.T)

    def forward(self, theta: FloatArray) -> FloatArray:
        """X theta."""
        product: FloatArray = (self.X @ theta.T).T
        return product

    def residual(self, theta: FloatArray, y: FloatArray) -> FloatArray:
        """X theta - y."""
        return compensated.sparse_residual(self.X, theta, y)

    def adjoint(self, nu: FloatArray, nu_tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        """X^T (nu + nu_tail) in two parts."""
        return compensated.sparse_adjoint(self.XT, nu, nu_tail)

    def row_size(self) -> FloatArray:
        """Root mean square row norm."""
        return np.array([np.sqrt(np.sum(self.X.data**2) / self.X.shape[0])])

    def weighted_least_norm(self, h: FloatArray, r: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Through the weighted Gram matrix while it is small, else by LSMR."""
        if self.X.shape[0] > _DENSE_GRAM_ROWS:
            return _least_norm_by_lsmr(self.X, h, r)
        H = np.stack([(self.X.multiply(w[None, :]).tocsr() @ self.XT).toarray() for w in h])
        nu, left = _pseudo_solve(H, r)
        return h * (self.XT @ nu.T).T, left


class OperatorProducts(Products):
    """X as a LinearOperator: its own products are all there is."""

    def __init__(self, X: LinearOperator) -> None:
        self.X = X

    def forward(self, theta: FloatArray) -> FloatArray:
        """X theta."""
        return np.asarray(self.X.matmat(theta.T), dtype=np.float64).T

    def residual(self, theta: FloatArray, y: FloatArray) -> FloatArray:
        """X theta - y."""
        return self.forward(theta) - y

    def adjoint(self, nu: FloatArray, nu_tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        """X^T (nu + nu_tail) in two parts."""
        both = np.asarray(self.X.rmatmat(np.concatenate([nu, nu_tail]).T), dtype=np.float64).T
        return both[: nu.shape[0]], both[nu.shape[0] :]

    def row_size(self) -> FloatArray:
        """Root mean square row norm, estimated from a few random products."""
        probe = np.random.default_rng(1).standard_normal((self.X.shape[0], 8))
        spread = np.linalg.norm(np.asarray(self.X.rmatmat(probe)), axis=0)
        return np.array([np.sqrt(np.mean(spread**2) / self.X.shape[0])])

    def weighted_least_norm(self, h: FloatArray, r: FloatArray) -> tuple[FloatArray, FloatArray]:
        """By LSMR."""
        return _least_norm_by_lsmr(self.X, h, r)


def products_of(X: Any) -> Products:
    """Wrap X for a certificate."""
    if sp.issparse(X):
        return SparseProducts(X)
    if isinstance(X, LinearOperator):
        return OperatorProducts(X)
    return DenseProducts(X)


def _pseudo_solve(H: FloatArray, r: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return H^+ r and the part of r in directions where H is rounding."""
    # Overflowed weights belong to a pair that is no solution; its error is NaN.
    whole = np.asarray(np.isfinite(H).all(axis=(-2, -1)))
    H, r = np.where(whole[:, None, None], H, 0.0), np.where(whole[:, None], r, np.nan)
    values, vectors = np.linalg.eigh(H)
    kept = values > 16 * H.shape[-1] * _EPS * values[:, -1:]
    inverse = np.where(kept, 1 / np.where(kept, values, 1.0), 0.0)
    coordinates = np.matmul(np.swapaxes(vectors, -1, -2), r[..., None])[..., 0]
    solved = np.matmul(vectors, (inverse * coordinates)[..., None])[..., 0]
    left = np.matmul(vectors, (np.where(kept, 0.0, 1.0) * coordinates)[..., None])[..., 0]
    return solved, left


def _least_norm_by_lsmr(X: Any, h: FloatArray, r: FloatArray) -> tuple[FloatArray, FloatArray]:
    u, left = np.empty_like(h), np.empty_like(r)
    for b in range(h.shape[0]):
        root = np.sqrt(h[b])
        weighted = aslinearoperator(X) @ aslinearoperator(sp.diags_array(root))
        # An estimate of an error needs one digit.
        found = lsmr(weighted, r[b], atol=1e-3, btol=1e-3, maxiter=4 * X.shape[0])[0]
        u[b] = root * found
        left[b] = r[b] - np.asarray(X @ u[b])
    return u, left
