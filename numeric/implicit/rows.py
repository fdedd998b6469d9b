# ruff: noqa: D102 -- what the overriding methods do is said once, in Rows.
"""The linear map X of a problem, as the solvers use it.

`Rows` gives products with X and X^T, the whitening of its range, and Newton
steps with the weighted Gram matrix `X diag(h) X^T` (the dual Hessian), all for
a batch of problems at once. `DenseRows` holds ndarrays; `operators.py` has the
sparse and the matrix-free kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
import scipy.linalg

from momentumflow.numeric.implicit import compensated
from momentumflow.numeric.validation import FloatArray

# Columns of X handled at a time where a whole weighted copy would not fit.
_BLOCK = 1 << 13
# Up to this many entries the whitened rows are kept, which is more accurate
# for ill-conditioned X than whitening the Gram matrix afterwards.
_KEEP_WHITENED = 1 << 24
# Gram eigenvalues decide the rank only where they are far above their own
# rounding; otherwise a singular value decomposition does.
GRAM_TRUSTED = 1e-9
_EPS = float(np.finfo(np.float64).eps)
# Rounding of a whitened Gram matrix, relative to its mean diagonal.
_GRAM_NOISE = 8 * _EPS


class Rows(ABC):
    """A batch of B matrices X of shape (n, d), or one that B problems share.

    Subclasses call `_set_range` once their products work.
    """

    n: int
    d: int
    #: Orthonormal basis of the column space, zero columns beyond the rank; (B or 1, n, n).
    basis: FloatArray
    #: Rows that whiten X: `whitener @ X` has orthonormal rows on the range.
    whitener: FloatArray
    #: Ones for the directions outside the range, shape (B or 1, n).
    padding: FloatArray
    #: Numerical rank, shape (B or 1,).
    rank: Any
    #: Largest over smallest non-zero singular value, shape (B or 1,).
    condition: FloatArray

    # -- what a kind of matrix provides ------------------------------------

    @abstractmethod
    def take(self, index: Any) -> Self:
        """Return the sub-batch that `index` selects; a shared matrix stays shared."""

    @abstractmethod
    def forward(self, theta: FloatArray) -> FloatArray:
        """X theta, shape (B, n)."""

    @abstractmethod
    def adjoint(self, nu: FloatArray) -> FloatArray:
        """X^T nu, shape (B, d)."""

    @abstractmethod
    def adjoint_columns(self, nu: FloatArray) -> FloatArray:
        """X^T nu for nu of shape (B, n, k), shape (B, d, k)."""

    @abstractmethod
    def whitened_gram(self, h: FloatArray) -> FloatArray:
        """The whitened weighted Gram matrix, shape (B, n, n)."""

    @abstractmethod
    def columns(self, b: int, index: Any) -> FloatArray:
        """The columns of X that `index` selects, for problem b; shape (n, m)."""

    @abstractmethod
    def column_sizes(self, b: int) -> FloatArray:
        """Squared norms of the columns of X of problem b, shape (d,)."""

    @abstractmethod
    def precise_residual(self, theta: FloatArray, y: FloatArray) -> FloatArray:
        """X theta - y, in twice the working precision where the entries of X are at hand."""

    @abstractmethod
    def precise_adjoint(self, nu: FloatArray, nu_tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        """X^T (nu + nu_tail) in two parts, as precise as `precise_residual`."""

    # -- what follows ------------------------------------------------------

    def _set_range(self, U: FloatArray, s: FloatArray) -> None:
        """Take the left singular vectors and values, zero beyond the rank."""
        in_range = s > 0
        inverse = np.where(in_range, 1 / np.where(in_range, s, 1.0), 0.0)
        self.basis = U * in_range[..., None, :]
        self.whitener = inverse[..., :, None] * np.swapaxes(self.basis, -1, -2)
        self.padding = (~in_range).astype(np.float64)
        self.rank = in_range.sum(axis=-1)
        self.condition = np.asarray(s.max(axis=-1) * inverse.max(axis=-1))

    def whiten(self, r: FloatArray) -> FloatArray:
        """Coordinates of r in the whitened range, shape (B, n): |.| is the least |theta|."""
        white: FloatArray = np.matmul(self.whitener, r[..., None])[..., 0]
        return white

    def outside(self, r: FloatArray) -> FloatArray:
        """The part of r outside the range of X, shape (B, n)."""
        inside = np.matmul(np.swapaxes(self.basis, -1, -2), r[..., None])
        outside: FloatArray = r - np.matmul(self.basis, inside)[..., 0]
        return outside

    def least_norm(self, y: FloatArray) -> FloatArray:
        """The theta of least Euclidean norm with X theta = y on the range, shape (B, d)."""
        coordinates = self.whiten(y)
        return self.adjoint(np.matmul(coordinates[..., None, :], self.whitener)[..., 0, :])

    def newton_steps(
        self, h: FloatArray, right: FloatArray, floor: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Solve (X diag(h) X^T + floor) delta = right on the range of X.

        Parameters
        ----------
        h : ndarray, shape (B, d)
            Positive weights, of any spread.
        right : ndarray, shape (B, n, k)
            Right-hand sides.
        floor : ndarray, shape (B,)
            Added to the diagonal in whitened coordinates: the curvature below
            which a direction is moved by rounding noise only and stays at rest.

        Returns
        -------
        tuple of ndarray, shapes (B, n, k) and (B, d, k)
            delta, and X^T delta. Where weights are graded the second is more
            accurate than a product with the first.
        """
        W = self.whitened_gram(h)
        diagonal = np.einsum("...ii->...i", W)  # a view
        mean = diagonal.mean(axis=-1)
        noise = _GRAM_NOISE * mean
        shift = np.maximum(np.maximum(noise, floor), 1e-290)
        diagonal += self.padding * mean[..., None] + shift[..., None]
        white_right = np.matmul(self.whitener, right)
        # Rounding of the Gram matrix hides directions below `noise`. Where they
        # matter (large and tiny weights mixed) the factor comes from the
        # weighted rows themselves, which keeps them.
        graded = noise > 4 * floor
        if graded.any():
            graded &= _smallest_pivot(W) < 1e4 * noise
        if graded.any():
            white = np.zeros_like(white_right)
            plain = ~graded
            if plain.any():
                white[plain] = np.linalg.solve(W[plain], white_right[plain])
        else:
            white = np.linalg.solve(W, white_right)
        step = np.matmul(np.swapaxes(self.whitener, -1, -2), white)
        displacement = self.adjoint_columns(step)
        for b in np.flatnonzero(graded):
            step[b], displacement[b] = self._solve_graded(
                int(b), h[b], white_right[b], float(floor[b])
            )
        return step, displacement

    def _solve_graded(
        self, b: int, h: FloatArray, right: FloatArray, floor: float
    ) -> tuple[FloatArray, FloatArray]:
        """Solve by QR of the rows sqrt(h) (whitened X)^T, heaviest first, pivoted.

        With sorted rows and pivoted columns Householder QR is backward stable
        row by row (Cox, Higham, "Stability of Householder QR factorization for
        weighted least squares problems", BIT 38 (1998), doi:10.1007/BF02510914),
        so light rows keep their digits beside heavy ones; Q then gives X^T delta
        of the heavy rows without the cancellation of the product.
        """
        k = b % self.whitener.shape[0]
        inside = self.padding[k] == 0
        whitener = self.whitener[k][inside]
        size = h * self.column_sizes(b) * np.linalg.norm(whitener, 2) ** 2
        order = np.argsort(-size, kind="stable")
        order = order[: int(np.count_nonzero(size > 1e-3 * floor / size.size))]
        root = np.sqrt(h[order])
        rows = (whitener @ self.columns(b, order)).T * root[:, None]
        A = np.concatenate([rows, np.sqrt(floor) * np.eye(len(whitener))])
        Q, R, pivots = scipy.linalg.qr(A, mode="economic", pivoting=True, check_finite=False)
        middle = scipy.linalg.solve_triangular(R, right[inside][pivots], trans="T")
        white = np.empty_like(middle)
        white[pivots] = scipy.linalg.solve_triangular(R, middle)
        step: FloatArray = whitener.T @ white
        displacement = self.take(slice(b, b + 1)).adjoint_columns(step[None])[0]
        displacement[order] = (Q[: order.size] @ middle) / root[:, None]
        return step, displacement


class DenseRows(Rows):
    """A batch of dense matrices X, shape (B, n, d), or (1, n, d) for one shared.

    Parameters
    ----------
    X : ndarray, shape (B, n, d) or (1, n, d)
        One matrix for each problem, or one that all share.
    svd : tuple of arrays, optional
        Left singular vectors and values (U, s) with s zero beyond the rank,
        where the caller already has them.
    """

    def __init__(self, X: FloatArray, svd: tuple[FloatArray, FloatArray] | None = None) -> None:
        self.X = X
        self.n, self.d = X.shape[-2:]
        self._sizes = np.einsum("bnd,bnd->bd", X, X)
        U, s = self._range() if svd is None else svd
        self._set_range(*_square(U, s, self.n))
        self._whitened = self.whitener @ X if X.size <= _KEEP_WHITENED else None

    def take(self, index: Any) -> DenseRows:
        if self.X.shape[0] == 1:
            return self
        other = object.__new__(DenseRows)
        other.n, other.d = self.n, self.d
        for name in ("X", "_sizes", "basis", "whitener", "padding", "rank", "condition"):
            setattr(other, name, getattr(self, name)[index])
        other._whitened = None if self._whitened is None else self._whitened[index]
        return other

    def forward(self, theta: FloatArray) -> FloatArray:
        if self.X.shape[0] == 1:
            return theta @ self.X[0].T
        product: FloatArray = np.matmul(self.X, theta[..., None])[..., 0]
        return product

    def adjoint(self, nu: FloatArray) -> FloatArray:
        if self.X.shape[0] == 1:
            return nu @ self.X[0]
        product: FloatArray = np.matmul(nu[..., None, :], self.X)[..., 0, :]
        return product

    def adjoint_columns(self, nu: FloatArray) -> FloatArray:
        if self.X.shape[0] == 1:
            return np.swapaxes(np.swapaxes(nu, -1, -2) @ self.X[0], -1, -2)
        product: FloatArray = np.matmul(np.swapaxes(self.X, -1, -2), nu)
        return product

    def whitened_gram(self, h: FloatArray) -> FloatArray:
        if self._whitened is not None:
            Y = self._whitened * np.sqrt(h)[..., None, :]
            gram: FloatArray = np.matmul(Y, np.swapaxes(Y, -1, -2))
            return gram
        shared = self.X.shape[0]
        H = np.stack([gram_by_blocks(self.X[i % shared], h[i]) for i in range(h.shape[0])])
        return np.matmul(np.matmul(self.whitener, H), np.swapaxes(self.whitener, -1, -2))

    def columns(self, b: int, index: Any) -> FloatArray:
        return self.X[b % self.X.shape[0]][:, index]

    def column_sizes(self, b: int) -> FloatArray:
        return self._sizes[b % self.X.shape[0]]

    def precise_residual(self, theta: FloatArray, y: FloatArray) -> FloatArray:
        return compensated.residual(self.X, theta, y)

    def precise_adjoint(self, nu: FloatArray, nu_tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        return compensated.adjoint(self.X, nu, nu_tail)

    def _range(self) -> tuple[FloatArray, FloatArray]:
        """Left singular vectors and values, zero below the rank cutoff."""
        X = self.X
        if X.size <= _KEEP_WHITENED:
            gram = np.matmul(X, np.swapaxes(X, -1, -2))
        else:
            gram = np.stack([gram_by_blocks(matrix) for matrix in X])
        decided = range_from_gram(gram)
        if decided is not None:
            return decided
        U, s, _ = np.linalg.svd(X, full_matrices=False)
        cutoff = 10 * max(X.shape[-2:]) * _EPS * s[..., :1]
        return U, np.where(s > cutoff, s, 0.0)


def range_from_gram(gram: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Left singular vectors and values from Gram matrices of plainly full rank.

    None where an eigenvalue is too close to rounding to tell.
    """
    eigenvalues, vectors = np.linalg.eigh(gram)
    eigenvalues, vectors = eigenvalues[..., ::-1], vectors[..., ::-1]
    if np.all(eigenvalues[..., -1] > GRAM_TRUSTED * eigenvalues[..., 0]):
        return vectors, np.sqrt(eigenvalues)
    return None


def gram_by_blocks(X: FloatArray, h: FloatArray | None = None) -> FloatArray:
    """X diag(h) X^T by blocks of columns, leaving out weights below rounding."""
    n, d = X.shape
    H = np.zeros((n, n))
    for start in range(0, d, _BLOCK):
        block = X[:, start : start + _BLOCK]
        if h is not None:
            weights = h[start : start + _BLOCK]
            # All that is left out together stays below the rounding of H.
            keep = np.flatnonzero(weights > 1e-3 * _EPS / d * h.max())
            if 2 * keep.size < weights.size:
                block, weights = block[:, keep], weights[keep]
            block = block * np.sqrt(weights)
        # A product of a matrix with its own transpose takes half the work.
        H += block @ block.T
    return H


def _square(U: FloatArray, s: FloatArray, n: int) -> tuple[FloatArray, FloatArray]:
    """Pad the thin factors of an X with more rows than columns to n columns."""
    missing = n - s.shape[-1]
    if missing == 0:
        return U, s
    U = np.concatenate([U, np.zeros((*U.shape[:-1], missing))], axis=-1)
    return U, np.concatenate([s, np.zeros((*s.shape[:-1], missing))], axis=-1)


def _smallest_pivot(W: FloatArray) -> FloatArray:
    """Smallest squared Cholesky pivot of each matrix; 0 where there is none."""
    try:
        factor = np.linalg.cholesky(W)
    except np.linalg.LinAlgError:
        return np.zeros(W.shape[0])
    pivots: FloatArray = np.einsum("...ii->...i", factor).min(axis=-1) ** 2
    return pivots
