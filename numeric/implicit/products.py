"""The products a certificate takes with X, dense, sparse or matrix-free.

Nothing here is used by a solver. Where the entries of X are at hand the
products are compensated, and checked against the ordinary ones: two routes to
one number that must agree to rounding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, aslinearoperator, lsmr

from momentumflow.numeric.implicit import compensated
from momentumflow.numeric.validation import FloatArray

_EPS = float(np.finfo(np.float64).eps)
_BLOCK = 1 << 13
_GRAM_TRUSTED = 1e-9
# Entries of the heaviest columns that a graded factorisation takes.
_COLUMNS_FOR_QR = 1 << 23
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
        """Return u = D X^T (X D X^T)^+ r with D = diag(h), and r - X u."""

    @abstractmethod
    def least_norm(self, r: FloatArray) -> FloatArray:
        """The Euclidean norm of the least u with X u = r on the range of X, shape (B,)."""


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
        shared = self.X.shape[0]
        split = _solve_clear(H, r)
        u = h * np.matmul(split.nu[:, None, :], self.X)[:, 0, :]
        left = np.zeros_like(r)
        for b in split.weak:
            u[b], left[b] = _by_graded_qr(self.X[b % shared], h[b], r[b])
        return u, left

    def least_norm(self, r: FloatArray) -> FloatArray:
        """Problem by problem, where there is anything to measure."""
        sizes = np.zeros(r.shape[0])
        for b in np.flatnonzero(np.any(r != 0, axis=-1)):
            X = self.X[b % self.X.shape[0]]
            sizes[b] = _least_norm_size(_gram(X), X.T, r[b])
        return sizes


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
        split = _solve_clear(H, r)
        u = h * (self.XT @ split.nu.T).T
        left = np.zeros_like(r)
        for b in split.weak:
            heavy = np.argsort(-h[b])[: _COLUMNS_FOR_QR // self.X.shape[0]]
            dense = self.XT[heavy].toarray().T
            u[b] = 0.0
            u[b, heavy], left[b] = _by_graded_qr(dense, h[b, heavy], r[b])
        return u, left

    def least_norm(self, r: FloatArray) -> FloatArray:
        """Through the Gram matrix while it is small, else by LSMR."""
        if not np.any(r):
            return np.zeros(r.shape[0])
        if self.X.shape[0] > _DENSE_GRAM_ROWS:
            ones = np.ones((r.shape[0], self.X.shape[1]))
            return np.asarray(np.linalg.norm(_least_norm_by_lsmr(self.X, ones, r)[0], axis=-1))
        gram = np.asarray((self.X @ self.XT).toarray())
        return np.array([_least_norm_size(gram, self.XT, one) for one in r])


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

    def least_norm(self, r: FloatArray) -> FloatArray:
        """By LSMR."""
        ones = np.ones((r.shape[0], self.X.shape[1]))
        return np.asarray(np.linalg.norm(_least_norm_by_lsmr(self.X, ones, r)[0], axis=-1))


def products_of(X: Any) -> Products:
    """Wrap X for a certificate."""
    if sp.issparse(X):
        return SparseProducts(X)
    if isinstance(X, LinearOperator):
        return OperatorProducts(X)
    return DenseProducts(X)


@dataclass(frozen=True, eq=False)
class _Split:
    """Solutions of H nu = r, H = X D X^T, and where H is too near rounding for one."""

    nu: FloatArray
    #: Problems whose Gram matrix has eigenvalues near its rounding.
    weak: NDArray[np.int64]


def _solve_clear(H: FloatArray, r: FloatArray) -> _Split:
    # Overflowed weights belong to a pair that is no solution; its error is NaN.
    whole = np.asarray(np.isfinite(H).all(axis=(-2, -1)))
    H, r = np.where(whole[:, None, None], H, 0.0), np.where(whole[:, None], r, np.nan)
    # Rows of unequal size would only look like small eigenvalues.
    diagonal = np.einsum("bii->bi", H)
    unit = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values, vectors = np.linalg.eigh(H * unit[:, :, None] * unit[:, None, :])
    clear = values > _GRAM_TRUSTED * values[:, -1:]
    coordinates = np.matmul(np.swapaxes(vectors, -1, -2), (r * unit)[..., None])[..., 0]
    scaled = np.where(clear, coordinates / np.where(clear, values, 1.0), 0.0)
    nu = np.matmul(vectors, scaled[..., None])[..., 0] * unit
    weak = np.flatnonzero(~clear.all(axis=-1) & whole)
    return _Split(nu, weak)


def _by_graded_qr(X: FloatArray, h: FloatArray, r: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return u = D X^T (X D X^T)^+ r and what is left of r, by QR of D^{1/2} X^T.

    Rows are sorted by weight and columns pivoted, so that light coordinates
    keep their digits beside heavy ones, as their Gram matrix does not.
    """
    gram = _gram(X)
    diagonal = np.diag(gram)
    unit = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    weight = h * np.einsum("nd,nd,n->d", X, X, unit**2)
    if not np.isfinite(weight).all():
        return np.full_like(h, np.nan), np.zeros_like(r)
    order = np.argsort(-weight, kind="stable")
    order = order[weight[order] > 1e-3 * _EPS**2 * weight.max()][: _COLUMNS_FOR_QR // X.shape[0]]
    root = np.sqrt(h[order])
    A = (X[:, order] * unit[:, None]).T * root[:, None]
    Q, R, pivots = scipy.linalg.qr(A, mode="economic", pivoting=True, check_finite=False)
    # The numerical rank is that of the unweighted rows.
    rank = int(np.count_nonzero(_singular_values(gram, X.T, unit)[0] > 0))
    rank = min(rank, int(np.count_nonzero(np.abs(np.diag(R)) > 0)))
    middle = scipy.linalg.solve_triangular(
        R[:rank, :rank], (r * unit)[pivots[:rank]], trans="T", check_finite=False
    )
    u = np.zeros_like(h)
    u[order] = root * (Q[:, :rank] @ middle)
    left = r - X @ u
    # Rounding of this last product is no remainder.
    size = np.zeros_like(r)
    for start in range(0, u.size, _BLOCK):
        size += np.abs(X[:, start : start + _BLOCK]) @ np.abs(u[start : start + _BLOCK])
    noise = 4 * _EPS * size + _EPS * np.abs(r)
    return u, np.where(np.abs(left) > noise, left, 0.0)


def _least_norm_size(gram: FloatArray, XT: Any, r: FloatArray) -> float:
    """Norm of the least u with X u = r, from X X^T and, where that is rounding, from X.

    Eigenvalues of the Gram matrix say nothing below sqrt(eps) of the largest
    singular value; the singular values of X^T on their eigenvectors do. What is
    zero there too is rank deficiency, and the part of r in it inconsistency.
    """
    diagonal = np.diag(gram)
    unit = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    s, vectors, largest = _singular_values(gram, XT, unit)
    coordinates = vectors.T @ (r * unit)
    return float(np.linalg.norm(coordinates / np.where(s > 0, s, largest)))


def _singular_values(
    gram: FloatArray, XT: Any, unit: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Singular values (zero below the rank cutoff) and left vectors of X with rows times `unit`.

    Rows of unequal size would only look like small singular values, hence `unit`.
    """
    values, vectors = np.linalg.eigh(gram * unit[:, None] * unit)
    clear = values > _GRAM_TRUSTED * values[-1]
    s = np.sqrt(np.where(clear, values, 0.0))
    largest = float(s[-1])
    if not clear.all():
        weak = vectors[:, ~clear]
        images = np.asarray(XT @ (unit[:, None] * weak), dtype=np.float64)
        # all right vectors, also where X has fewer columns than weak directions
        wide = images.shape[0] < images.shape[1]
        _, small, turn = np.linalg.svd(images, full_matrices=wide)
        cutoff = 10 * max(gram.shape[0], images.shape[0]) * _EPS * largest
        count = small.size
        s[:count] = np.where(small > cutoff, small, 0.0)
        vectors[:, ~clear] = weak @ turn.T
    return s, vectors, largest


def _gram(X: FloatArray) -> FloatArray:
    gram = np.zeros((X.shape[0], X.shape[0]))
    for start in range(0, X.shape[1], _BLOCK):
        block = X[:, start : start + _BLOCK]
        gram += block @ block.T
    return gram


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
