"""The linear map X of a problem, as the solvers use it.

`DenseRows` holds one matrix, or a batch of them, and gives products, the
whitening of its range and solves with the weighted Gram matrix
`X diag(h) X^T` (the dual Hessian).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

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
# Rounding of a whitened Gram matrix, relative to its mean diagonal.
_GRAM_NOISE = 8 * _EPS


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
        W = self._whitened_gram(h)
        diagonal = np.einsum("...ii->...i", W)  # a view
        mean = diagonal.mean(axis=-1)
        noise = _GRAM_NOISE * mean
        shift = np.maximum(noise, floor)
        diagonal += self.padding * mean[..., None] + shift[..., None]
        white_right = np.matmul(self.whitener, right)
        # Rounding of the Gram matrix hides directions below `noise`. Where they
        # matter (large and tiny weights mixed) the factor comes from the
        # weighted rows themselves, which keeps them.
        graded = noise > 4 * floor
        if graded.any():
            graded &= _smallest_pivot(W) < 1e4 * noise
        if graded.all():
            white = np.zeros_like(white_right)
        elif graded.any():
            white = np.zeros_like(white_right)
            white[~graded] = np.linalg.solve(W[~graded], white_right[~graded])
        else:
            white = np.linalg.solve(W, white_right)
        step = np.matmul(np.swapaxes(self.whitener, -1, -2), white)
        displacement = self._adjoint_columns(step)
        for b in np.flatnonzero(graded):
            step[b], displacement[b] = self._solve_graded(
                int(b), h[b], white_right[b], float(floor[b])
            )
        return step, displacement

    def _adjoint_columns(self, nu: FloatArray) -> FloatArray:
        """X^T nu for nu of shape (B, n, k), shape (B, d, k)."""
        if self.X.shape[0] == 1:
            columns = np.swapaxes(nu, -1, -2)
            return np.swapaxes(columns @ self.X[0], -1, -2)
        product: FloatArray = np.matmul(np.swapaxes(self.X, -1, -2), nu)
        return product

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
        k = b % self.X.shape[0]
        inside = self.padding[k] == 0
        if self._whitened is not None:
            Y = self._whitened[k][inside]
        else:
            Y = self.whitener[k][inside] @ self.X[k]
        size = h * np.einsum("nd,nd->d", Y, Y)
        order = np.argsort(-size, kind="stable")
        order = order[: int(np.count_nonzero(size > 1e-3 * floor / size.size))]
        root = np.sqrt(h[order])
        A = np.concatenate([(Y[:, order] * root).T, np.sqrt(floor) * np.eye(len(Y))])
        Q, R, pivots = scipy.linalg.qr(A, mode="economic", pivoting=True, check_finite=False)
        middle = scipy.linalg.solve_triangular(R, right[inside][pivots], trans="T")
        white = np.empty_like(middle)
        white[pivots] = scipy.linalg.solve_triangular(R, middle)
        displacement = Y.T @ white
        displacement[order] = (Q[: order.size] @ middle) / root[:, None]
        return self.whitener[k][inside].T @ white, displacement

    def _whitened_gram(self, h: FloatArray) -> FloatArray:
        if self._whitened is not None:
            Y = self._whitened
            gram: FloatArray = np.matmul(Y * h[..., None, :], np.swapaxes(Y, -1, -2))
            return gram
        H = np.stack([_gram(self.X[i % self.X.shape[0]], h[i]) for i in range(h.shape[0])])
        return np.matmul(np.matmul(self.whitener, H), np.swapaxes(self.whitener, -1, -2))


def _smallest_pivot(W: FloatArray) -> FloatArray:
    """Smallest squared Cholesky pivot of each matrix; 0 where there is none."""
    try:
        factor = np.linalg.cholesky(W)
    except np.linalg.LinAlgError:
        return np.zeros(W.shape[0])
    pivots: FloatArray = np.einsum("...ii->...i", factor).min(axis=-1) ** 2
    return pivots


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
