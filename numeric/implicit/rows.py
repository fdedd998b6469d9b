"""The linear map X of a problem, as the solvers use it.

`DenseRows` holds one matrix, or a batch of them, and gives products, the
whitening of its range and solves with the weighted Gram matrix
`X diag(h) X^T` (the dual Hessian).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from momentumflow.numeric.validation import FloatArray

# Columns of X handled at a time where a whole weighted copy would not fit.
_BLOCK = 1 << 14
# Up to this many entries the whitened rows are kept, which is more accurate
# for ill-conditioned X than whitening the Gram matrix afterwards.
_KEEP_WHITENED = 1 << 24
# Gram eigenvalues decide the rank only where they are far above their own
# rounding; otherwise a singular value decomposition does.
_GRAM_TRUSTED = 1e-9
_EPS = float(np.finfo(np.float64).eps)


class DenseRows:
    """A batch of dense matrices X, shape (batch or 1, n, d).

    Parameters
    ----------
    X : ndarray, shape (B, n, d) or (1, n, d)
        One matrix for each problem, or one that all share.
    svd : tuple of arrays, optional
        Thin singular value decomposition (U, s) with s zero beyond the rank,
        where the caller already has it.
    """

    def __init__(self, X: FloatArray, svd: tuple[FloatArray, FloatArray] | None = None) -> None:
        self.X = X
        self.n, self.d = X.shape[-2:]
        U, s = _range_of(X) if svd is None else svd
        in_range = s > 0
        #: Orthonormal basis of the column space, zero columns beyond the rank.
        self.basis: FloatArray = U * in_range[..., None, :]
        inverse = np.where(in_range, 1 / np.where(in_range, s, 1.0), 0.0)
        #: Rows that whiten X: `whitener @ X` has orthonormal rows on the range.
        self.whitener: FloatArray = inverse[..., :, None] * np.swapaxes(self.basis, -1, -2)
        #: Ones on the diagonal of the directions outside the range.
        self.padding: FloatArray = (~in_range).astype(np.float64)
        self.rank = in_range.sum(axis=-1)
        largest = s[..., 0]
        smallest = np.where(in_range, s, np.inf).min(axis=-1)
        self.condition: FloatArray = np.asarray(largest / smallest)
        self._whitened = self.whitener @ X if X.size <= _KEEP_WHITENED else None

    def take(self, index: Any) -> DenseRows:
        """Return the sub-batch that `index` selects; a shared matrix stays shared."""
        if self.X.shape[0] == 1:
            return self
        other = object.__new__(DenseRows)
        other.n, other.d = self.n, self.d
        for name in ("X", "basis", "whitener", "padding", "rank", "condition"):
            setattr(other, name, getattr(self, name)[index])
        other._whitened = None if self._whitened is None else self._whitened[index]
        return other

    def forward(self, theta: FloatArray) -> FloatArray:
        """X theta, shape (B, n)."""
        if self.X.shape[0] == 1:
            return theta @ self.X[0].T
        product: FloatArray = np.matmul(self.X, theta[..., None])[..., 0]
        return product

    def adjoint(self, nu: FloatArray) -> FloatArray:
        """X^T nu, shape (B, d)."""
        if self.X.shape[0] == 1:
            return nu @ self.X[0]
        product: FloatArray = np.matmul(nu[..., None, :], self.X)[..., 0, :]
        return product

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

    def solve_gram(self, h: FloatArray, right: FloatArray, regularisation: float) -> FloatArray:
        """Solve (X diag(h) X^T) delta = right on the range of X.

        Parameters
        ----------
        h : ndarray, shape (B, d)
            Positive weights.
        right : ndarray, shape (B, n, k)
            Right-hand sides.
        regularisation : float
            Added to the whitened and equilibrated matrix, relative to its mean
            diagonal; keeps directions that rounding cannot see at rest.

        Returns
        -------
        ndarray, shape (B, n, k)
        """
        W = self._whitened_gram(h)
        diagonal = np.einsum("...ii->...i", W)
        mean = diagonal.mean(axis=-1, keepdims=True)
        # einsum's view writes into W.
        diagonal += self.padding * mean + regularisation * mean
        white = np.linalg.solve(W, np.matmul(self.whitener, right))
        step: FloatArray = np.matmul(np.swapaxes(self.whitener, -1, -2), white)
        return step

    def _whitened_gram(self, h: FloatArray) -> FloatArray:
        if self._whitened is not None:
            Y = self._whitened
            gram: FloatArray = np.matmul(Y * h[..., None, :], np.swapaxes(Y, -1, -2))
            return gram
        H = np.stack([_gram(self.X[i % self.X.shape[0]], h[i]) for i in range(h.shape[0])])
        return np.matmul(np.matmul(self.whitener, H), np.swapaxes(self.whitener, -1, -2))


def _gram(X: FloatArray, h: FloatArray | None) -> FloatArray:
    """X diag(h) X^T by blocks of columns, leaving out weights below rounding."""
    n, d = X.shape
    H = np.zeros((n, n))
    for start in range(0, d, _BLOCK):
        block = X[:, start : start + _BLOCK]
        if h is None:
            H += block @ block.T
            continue
        weights = h[start : start + _BLOCK]
        H += (block * weights) @ block.T
    return H


def _range_of(X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Left singular vectors and values of a batch, zero below the rank cutoff."""
    gram = (
        np.matmul(X, np.swapaxes(X, -1, -2))
        if X.size <= _KEEP_WHITENED
        else np.stack([_gram(matrix, None) for matrix in X])
    )
    eigenvalues, vectors = np.linalg.eigh(gram)
    eigenvalues, vectors = eigenvalues[..., ::-1], vectors[..., ::-1]
    if np.all(eigenvalues[..., -1] > _GRAM_TRUSTED * eigenvalues[..., 0]):
        return vectors, np.sqrt(eigenvalues)
    U, s, _ = np.linalg.svd(X, full_matrices=False)
    if s.shape[-1] < X.shape[-2]:  # more rows than columns
        missing = X.shape[-2] - s.shape[-1]
        U = np.concatenate([U, np.zeros((*U.shape[:-1], missing))], axis=-1)
        s = np.concatenate([s, np.zeros((*s.shape[:-1], missing))], axis=-1)
    cutoff = 10 * max(X.shape[-2:]) * _EPS * s[..., :1]
    return U, np.where(s > cutoff, s, 0.0)
