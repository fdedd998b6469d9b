"""What solvers make of a matrix: the whitening of its range, and Newton steps.

A Newton step solves with the weighted Gram matrix `X diag(w h) X^T`, the dual
Hessian. `DirectSystem` factorises it, for a batch of problems at once;
`IterativeSystem` takes conjugate gradients and products only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, cg, lsmr

from momentumflow.base.arrays import FloatArray
from momentumflow.numeric.implicit.algebra import (
    DenseMatrix,
    Matrix,
    OperatorMatrix,
    SparseMatrix,
    solve_triangular,
)

# Up to this many entries the whitened rows are kept, which is more accurate
# for ill-conditioned X than whitening the Gram matrix afterwards.
_KEEP_WHITENED = 1 << 24
# Gram eigenvalues decide the rank only where they are far above their own
# rounding; otherwise the singular values of a QR factor do.
_GRAM_TRUSTED = 1e-9
_EPS = float(np.finfo(np.float64).eps)
# Rounding of a whitened Gram matrix, relative to its mean diagonal.
_GRAM_NOISE = 8 * _EPS
# LSMR says with this code that what is left of a right-hand side is outside the range.
_LEAST_SQUARES = (2, 5)


class DualSystem(ABC):
    """The dual equations of a batch of problems with the matrix X."""

    matrix: Matrix
    #: Numerical rank, shape (B or 1,); -1 where it is not known.
    rank: Any

    @abstractmethod
    def take(self, index: Any) -> Self:
        """Return the sub-batch that `index` selects."""

    @abstractmethod
    def whiten(self, r: FloatArray) -> FloatArray:
        """Coordinates of r in the whitened range, shape (B, n): |.| is the least |t|."""

    @abstractmethod
    def outside(self, r: FloatArray) -> FloatArray:
        """The part of r outside the range of X, as far as that is known, shape (B, n)."""

    @abstractmethod
    def least_norm(self, y: FloatArray) -> FloatArray:
        """The t of least Euclidean norm with X t = y on the range, shape (B, d)."""

    @abstractmethod
    def newton_steps(
        self, h: FloatArray, right: FloatArray, floor: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Solve (X diag(w h) X^T + floor) delta = right on the range of X.

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
            delta, and W X^T delta. Where weights are graded the second is more
            accurate than a product with the first.
        """

    def residual(self, theta: FloatArray, y: FloatArray) -> FloatArray:
        """X t - y, as precise as a solver needs it."""
        return self.matrix.residual(theta, y)[0]

    def precise_adjoint(self, nu: FloatArray, tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        """W X^T (nu + tail) in two parts, as precise as a solver needs it."""
        return self.matrix.precise_adjoint(nu, tail)


def dual_system(matrix: Matrix) -> DualSystem:
    """Choose the algebra for a matrix by its kind and size."""
    return DirectSystem(matrix) if matrix.direct else IterativeSystem(matrix)


class DirectSystem(DualSystem):
    """Factorised: exact, and fast whatever d is."""

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix
        U, s = _range(matrix)
        in_range = s > 0
        inverse = np.where(in_range, 1 / np.where(in_range, s, 1.0), 0.0)
        #: Orthonormal basis of the column space, zero columns beyond the rank.
        self.basis: FloatArray = U * in_range[..., None, :]
        #: `whitener @ X` has orthonormal rows on the range.
        self.whitener: FloatArray = inverse[..., :, None] * np.swapaxes(self.basis, -1, -2)
        #: Ones for the directions outside the range, shape (B or 1, n).
        self.padding: FloatArray = (~in_range).astype(np.float64)
        self.rank = in_range.sum(axis=-1)
        self._whitened: FloatArray | None = None
        if isinstance(matrix, DenseMatrix) and matrix.X.size <= _KEEP_WHITENED:
            self._whitened = self.whitener @ matrix.X

    def take(self, index: Any) -> DirectSystem:
        """Return the sub-batch that `index` selects."""
        if self.rank.size == 1:
            return self
        other = object.__new__(DirectSystem)
        other.matrix = self.matrix.take(index)
        for name in ("basis", "whitener", "padding", "rank", "_whitened"):
            value = getattr(self, name)
            setattr(other, name, None if value is None else value[index])
        return other

    def whiten(self, r: FloatArray) -> FloatArray:
        """Coordinates in the whitened range."""
        white: FloatArray = np.matmul(self.whitener, r[..., None])[..., 0]
        return white

    def outside(self, r: FloatArray) -> FloatArray:
        """The part outside the range; none where X has full rank."""
        inside = np.matmul(np.swapaxes(self.basis, -1, -2), r[..., None])
        rest: FloatArray = r - np.matmul(self.basis, inside)[..., 0]
        return np.where(self.padding.any(axis=-1, keepdims=True), rest, 0.0)

    def least_norm(self, y: FloatArray) -> FloatArray:
        """The least t."""
        white = np.matmul(self.whiten(y)[..., None, :], self.whitener)[..., 0, :]
        return self.matrix.plain(self.matrix.adjoint(white))

    def newton_steps(
        self, h: FloatArray, right: FloatArray, floor: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """By the whitened weighted Gram matrix, or by QR where that loses digits."""
        W = self._whitened_gram(h)
        diagonal = np.einsum("...ii->...i", W)  # a view
        mean = diagonal.mean(axis=-1)
        noise = _GRAM_NOISE * mean
        shift = np.maximum(np.maximum(noise, floor), 1e-290)
        diagonal += self.padding * mean[..., None] + shift[..., None]
        white_right = np.matmul(self.whitener, right)
        # Rounding of the Gram matrix hides directions below `noise`. Where they
        # matter (large and tiny weights mixed) the factor comes from the
        # weighted rows themselves, which keeps them.
        whole = np.isfinite(mean)
        graded = whole & (noise > 4 * floor)
        if graded.any():
            graded &= _smallest_pivot(W) < 1e4 * noise
        white = np.full_like(white_right, np.nan)
        plain = whole & ~graded
        if plain.any():
            white[plain] = _solve(W[plain], white_right[plain])
        step = np.matmul(np.swapaxes(self.whitener, -1, -2), white)
        displacement = self.matrix.adjoint_columns(step)
        for b in np.flatnonzero(graded):
            step[b], displacement[b] = self._solve_graded(
                int(b), h[b], white_right[b], float(floor[b])
            )
        return step, displacement

    def _whitened_gram(self, h: FloatArray) -> FloatArray:
        if self._whitened is None:
            gram = self.matrix.gram(h)
            return np.matmul(np.matmul(self.whitener, gram), np.swapaxes(self.whitener, -1, -2))
        Y = self._whitened * np.sqrt(self.matrix.weighted(h))[..., None, :]
        product: FloatArray = np.matmul(Y, np.swapaxes(Y, -1, -2))
        return product

    def _solve_graded(
        self, b: int, h: FloatArray, right: FloatArray, floor: float
    ) -> tuple[FloatArray, FloatArray]:
        """Solve by QR of the rows sqrt(w h) (whitened X)^T, heaviest first, pivoted.

        With sorted rows and pivoted columns Householder QR is backward stable
        row by row (Cox, Higham, "Stability of Householder QR factorization for
        weighted least squares problems", BIT 38 (1998), doi:10.1007/BF02510914),
        so light rows keep their digits beside heavy ones; Q then gives X^T delta
        of the heavy rows without the cancellation of the product.
        """
        k = b % self.whitener.shape[0]
        inside = self.padding[k] == 0
        whitener = self.whitener[k][inside]
        weight = self.matrix.column_weight(b)
        size = weight * h * self.matrix.column_sizes(b) * np.linalg.norm(whitener, 2) ** 2
        order = np.argsort(-size, kind="stable")
        order = order[: int(np.count_nonzero(size > 1e-3 * floor / size.size))]
        root = np.sqrt((weight * h)[order])
        rows = (whitener @ self.matrix.columns(b, order)).T * root[:, None]
        A = np.concatenate([rows, np.sqrt(floor) * np.eye(len(whitener))])
        if not np.isfinite(A).all():
            return np.full((whitener.shape[1], right.shape[1]), np.nan), np.nan * h[:, None]
        Q, R, pivots = scipy.linalg.qr(A, mode="economic", pivoting=True, check_finite=False)
        middle = solve_triangular(R, right[inside][pivots], transposed=True)
        white = np.empty_like(middle)
        white[pivots] = solve_triangular(R, middle)
        step: FloatArray = whitener.T @ white
        displacement = self.matrix.take(slice(b, b + 1)).adjoint_columns(step[None])[0]
        displacement[order] = weight[order, None] * (Q[: order.size] @ middle) / root[:, None]
        return step, displacement


class IterativeSystem(DualSystem):
    """Many rows: conjugate gradients, no factor.

    The whitener is a multiple of the identity and the rank is not known. LSMR
    finds least-norm solutions; only where it proves that a target is outside the
    range is it called so.
    """

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix
        self.rank = np.array([-1])
        n, d = matrix.n, matrix.d
        probe = np.random.default_rng(0).standard_normal((1, n, 8))
        norms = np.linalg.norm(self._plain(probe)[0], axis=0) / np.linalg.norm(probe[0], axis=0)
        self._scale = float(np.sqrt(np.mean(norms**2))) or 1.0
        self._operator = LinearOperator(
            (n, d),
            matvec=lambda t: matrix.forward(np.reshape(t, (1, d)))[0],
            rmatvec=lambda r: self._plain(np.reshape(r, (1, n, 1)))[0, :, 0],
            dtype=np.float64,
        )
        self._squared = None
        if isinstance(matrix, SparseMatrix):
            self._squared = matrix.X.multiply(matrix.X).tocsr()

    def _plain(self, nu: FloatArray) -> FloatArray:
        """X^T nu without the weights of the columns."""
        z = self.matrix.adjoint_columns(nu)
        return z if self.matrix.weight is None else z / self.matrix.weight[..., None]

    def take(self, index: Any) -> IterativeSystem:
        """Return itself: it is shared."""
        del index
        return self

    def whiten(self, r: FloatArray) -> FloatArray:
        """As if X were a multiple of a matrix with orthonormal rows."""
        return r / self._scale

    def outside(self, r: FloatArray) -> FloatArray:
        """What LSMR leaves, where it ends at a least-squares solution."""
        found = [self._least_norm(one) for one in r]
        rest = [one - self.matrix.forward(t[None])[0] for one, (t, _) in zip(r, found, strict=True)]
        proved = np.array([code in _LEAST_SQUARES for _, code in found])
        return np.where(proved[:, None], np.stack(rest), 0.0)

    def least_norm(self, y: FloatArray) -> FloatArray:
        """By LSMR."""
        return np.stack([self._least_norm(one)[0] for one in y])

    def _least_norm(self, y: FloatArray) -> tuple[FloatArray, int]:
        found = lsmr(
            self._operator, y, atol=1e-14, btol=1e-14, conlim=1e12, maxiter=20 * self.matrix.n
        )
        return found[0], int(found[1])

    def residual(self, theta: FloatArray, y: FloatArray) -> FloatArray:
        """X t - y; of an operator by its own product, the certificate takes its rows."""
        if isinstance(self.matrix, OperatorMatrix):
            return self.matrix.forward(theta) - y
        return super().residual(theta, y)

    def precise_adjoint(self, nu: FloatArray, tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        """W X^T (nu + tail), likewise."""
        if isinstance(self.matrix, OperatorMatrix):
            return self.matrix.adjoint(nu), self.matrix.adjoint(tail)
        return super().precise_adjoint(nu, tail)

    def newton_steps(
        self, h: FloatArray, right: FloatArray, floor: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """By conjugate gradients, with Jacobi's preconditioner where entries are at hand."""
        step = np.zeros_like(right)
        for b in range(h.shape[0]):
            if not np.isfinite(h[b]).all():
                step[b] = np.nan
                continue
            hessian, preconditioner = self._hessian(h[b], float(floor[b]) * self._scale**2)
            for k in range(right.shape[-1]):
                # An inexact step is still a descent direction; the last digits
                # come from the next Newton step. Rounding noise, which may lie
                # outside the range, is left alone.
                step[b, :, k], _ = cg(
                    hessian,
                    right[b, :, k],
                    rtol=1e-8,
                    atol=float(floor[b]) * self._scale,
                    maxiter=20 * self.matrix.n,
                    M=preconditioner,
                )
        return step, self.matrix.adjoint_columns(step)

    def _hessian(self, h: FloatArray, shift: float) -> tuple[LinearOperator, Any]:
        matrix, shape = self.matrix, (self.matrix.n, self.matrix.n)

        def apply(v: FloatArray) -> FloatArray:
            z = matrix.adjoint(np.reshape(v, (1, -1)))
            product: FloatArray = matrix.forward(h * z)[0] + shift * np.ravel(v)
            return product

        hessian = LinearOperator(shape, matvec=apply, dtype=np.float64)
        if self._squared is None:
            return hessian, None
        diagonal = self._squared @ (matrix.column_weight(0) * h) + shift
        return hessian, sp.diags_array(1 / np.where(diagonal > 0, diagonal, 1.0))


def _range(matrix: Matrix) -> tuple[FloatArray, FloatArray]:
    """Left singular vectors and values of X, zero beyond the numerical rank.

    One way for every kind of matrix: the Gram matrix where it is plainly of full
    rank, else the singular values of the factor R of a QR of X^T.
    """
    values, vectors = np.linalg.eigh(matrix.gram())
    values, vectors = values[..., ::-1], vectors[..., ::-1]
    s = np.sqrt(np.maximum(values, 0.0))
    for b in np.flatnonzero(~(values[..., -1] > _GRAM_TRUSTED * values[..., 0])):
        R = matrix.triangle(int(b))
        _, small, turn = np.linalg.svd(R)
        cutoff = 10 * max(matrix.n, matrix.d) * _EPS * small[0]
        s[b] = 0.0
        s[b, : small.size] = np.where(small > cutoff, small, 0.0)
        vectors[b] = turn.T
    return vectors, s


def _solve(W: FloatArray, right: FloatArray) -> FloatArray:
    """Solutions of W x = right, NaN where there is none."""
    try:
        return np.asarray(np.linalg.solve(W, right))
    except np.linalg.LinAlgError:
        if len(W) == 1:
            return np.full_like(right, np.nan)
        pairs = zip(W, right, strict=True)
        return np.concatenate([_solve(one[None], side[None]) for one, side in pairs])


def _smallest_pivot(W: FloatArray) -> FloatArray:
    """Smallest squared Cholesky pivot of each matrix; 0 where there is none."""
    try:
        factor = np.linalg.cholesky(W)
    except np.linalg.LinAlgError:
        return np.zeros(W.shape[0])
    pivots: FloatArray = np.einsum("...ii->...i", factor).min(axis=-1) ** 2
    return pivots
