# ruff: noqa: D102 -- what the overriding methods do is said once, in Rows.
"""Sparse and matrix-free X: one problem at a time, direct or iterative by size.

Up to `DIRECT_ROWS` rows the n x n dual Hessian is formed and factorised, which
is exact and fast whatever d is. Beyond that, Newton steps come from conjugate
gradients and only products with X are taken; the rank is then not known.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, cg, lsmr

from momentumflow.base.errors import InputError
from momentumflow.numeric.implicit import compensated
from momentumflow.numeric.implicit.rows import GRAM_TRUSTED, Rows, range_from_gram
from momentumflow.numeric.validation import FloatArray, float_array

#: Rows up to which the dual Hessian of a sparse X is factorised.
DIRECT_ROWS = 3000
#: The same for a matrix-free X, where forming it takes a product for each row.
DIRECT_ROWS_MATRIX_FREE = 300
_EPS = float(np.finfo(np.float64).eps)
_BLOCK = 64


class SingleRows(Rows):
    """One X that only offers products; the batch axis has length one."""

    def take(self, index: Any) -> Self:
        del index  # a batch of one, or the same X for every problem
        return self

    @abstractmethod
    def _forward(self, theta: FloatArray) -> FloatArray:
        """X theta for theta of shape (d, k)."""

    @abstractmethod
    def _adjoint(self, nu: FloatArray) -> FloatArray:
        """X^T nu for nu of shape (n, k)."""

    @abstractmethod
    def _gram(self, h: FloatArray | None) -> FloatArray:
        """X diag(h) X^T as an ndarray, shape (n, n)."""

    def forward(self, theta: FloatArray) -> FloatArray:
        return self._forward(theta.T).T

    def adjoint(self, nu: FloatArray) -> FloatArray:
        return self._adjoint(nu.T).T

    def adjoint_columns(self, nu: FloatArray) -> FloatArray:
        return np.stack([self._adjoint(one) for one in nu])

    def whitened_gram(self, h: FloatArray) -> FloatArray:
        M = self.whitener[0]
        return np.stack([M @ self._gram(weights) @ M.T for weights in h])

    def _factorise_range(self) -> None:
        gram = self._gram(None)
        decided = range_from_gram(gram[None])
        if decided is None:
            # Squaring hides the directions below sqrt(eps); the images of their
            # eigenvectors under X^T tell small singular values from zero.
            values, vectors = np.linalg.eigh(gram)
            clear = values > GRAM_TRUSTED * values[-1]
            weak = vectors[:, ~clear]
            _, s, turn = np.linalg.svd(self._adjoint(weak), full_matrices=False)
            cutoff = 10 * max(self.n, self.d) * _EPS * np.sqrt(values[-1])
            U = np.concatenate([vectors[:, clear][:, ::-1], weak @ turn.T], axis=1)
            s = np.concatenate([np.sqrt(values[clear][::-1]), np.where(s > cutoff, s, 0.0)])
            decided = U[None], s[None]
        self._set_range(*decided)


class SparseRows(SingleRows):
    """A scipy sparse X, factorised while its rows are few."""

    def __init__(self, X: Any) -> None:
        self.X: Any = sp.csr_array(X, dtype=np.float64)
        self.X.sum_duplicates()
        self._transposed = sp.csr_array(self.X.T)
        self.n, self.d = self.X.shape
        squares: Any = self.X.multiply(self.X)
        self._sizes: FloatArray = np.asarray(squares.sum(axis=0), dtype=np.float64).ravel()
        self._factorise_range()

    def _forward(self, theta: FloatArray) -> FloatArray:
        product: FloatArray = self.X @ theta
        return product

    def _adjoint(self, nu: FloatArray) -> FloatArray:
        product: FloatArray = self._transposed @ nu
        return product

    def _gram(self, h: FloatArray | None) -> FloatArray:
        weighted = self.X if h is None else self.X.multiply(h[None, :]).tocsr()
        gram: FloatArray = np.asarray((weighted @ self._transposed).toarray())
        return gram

    def columns(self, b: int, index: Any) -> FloatArray:
        del b
        chosen: FloatArray = self._transposed[index].toarray().T
        return chosen

    def column_sizes(self, b: int) -> FloatArray:
        del b
        return self._sizes

    def precise_residual(self, theta: FloatArray, y: FloatArray) -> FloatArray:
        return compensated.sparse_residual(self.X, theta, y)

    def precise_adjoint(self, nu: FloatArray, nu_tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        return compensated.sparse_adjoint(self._transposed, nu, nu_tail)


class OperatorRows(SingleRows):
    """A matrix-free X with few rows: its Hessian is formed by products."""

    def __init__(self, X: LinearOperator) -> None:
        self.X = X
        self.n, self.d = X.shape
        self._factorise_range()

    def _forward(self, theta: FloatArray) -> FloatArray:
        return np.asarray(self.X.matmat(theta), dtype=np.float64)

    def _adjoint(self, nu: FloatArray) -> FloatArray:
        return np.asarray(self.X.rmatmat(nu), dtype=np.float64)

    def _gram(self, h: FloatArray | None) -> FloatArray:
        blocks = []
        for start in range(0, self.n, _BLOCK):
            rows = self._adjoint(np.eye(self.n)[:, start : start + _BLOCK])
            blocks.append(self._forward(rows if h is None else rows * h[:, None]))
        H = np.concatenate(blocks, axis=1)
        return 0.5 * (H + H.T)

    def columns(self, b: int, index: Any) -> FloatArray:
        del b
        unit = np.zeros((self.d, len(index)))
        unit[index, np.arange(len(index))] = 1.0
        return self._forward(unit)

    def column_sizes(self, b: int) -> FloatArray:
        del b
        sizes = np.zeros(self.d)
        for start in range(0, self.n, _BLOCK):
            sizes += np.square(self._adjoint(np.eye(self.n)[:, start : start + _BLOCK])).sum(axis=1)
        return sizes

    def precise_residual(self, theta: FloatArray, y: FloatArray) -> FloatArray:
        return self.forward(theta) - y

    def precise_adjoint(self, nu: FloatArray, nu_tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self.adjoint(nu), self.adjoint(nu_tail)


class IterativeRows(SingleRows):
    """A sparse or matrix-free X with many rows: conjugate gradients, no factor.

    The whitener is a multiple of the identity, the rank is reported as -1
    (unknown), and consistency is checked by the least-squares solver LSMR.
    """

    def __init__(self, X: Any) -> None:
        self.sparse = bool(sp.issparse(X))
        self.X: Any = sp.csr_array(X, dtype=np.float64) if self.sparse else X
        self._transposed = sp.csr_array(self.X.T) if self.sparse else None
        self.n, self.d = self.X.shape
        probe = np.random.default_rng(0).standard_normal((self.n, 8))
        norms = np.linalg.norm(self._adjoint(probe), axis=0) / np.linalg.norm(probe, axis=0)
        self._scale = float(np.sqrt(np.mean(norms**2)))
        if not self._scale > 0:
            self._scale = 1.0
        self._squared = self.X.multiply(self.X).tocsr() if self.sparse else None
        self.padding = np.zeros((1, self.n))
        self.rank = np.array([-1])
        self.condition = np.array([np.nan])

    def _forward(self, theta: FloatArray) -> FloatArray:
        return np.asarray(self.X @ theta, dtype=np.float64)

    def _adjoint(self, nu: FloatArray) -> FloatArray:
        if self._transposed is not None:
            return np.asarray(self._transposed @ nu, dtype=np.float64)
        return np.asarray(self.X.rmatmat(nu), dtype=np.float64)

    def whiten(self, r: FloatArray) -> FloatArray:
        return r / self._scale

    def outside(self, r: FloatArray) -> FloatArray:
        return np.stack([one - self._forward(self._least_norm(one)) for one in r])

    def least_norm(self, y: FloatArray) -> FloatArray:
        return np.stack([self._least_norm(one) for one in y])

    def _least_norm(self, y: FloatArray) -> FloatArray:
        result: FloatArray = lsmr(
            self.X, y, atol=1e-14, btol=1e-14, conlim=1e12, maxiter=20 * self.n
        )[0]
        return result

    def newton_steps(
        self, h: FloatArray, right: FloatArray, floor: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        step = np.zeros_like(right)
        for b in range(h.shape[0]):
            shift = float(floor[b]) * self._scale**2
            hessian, preconditioner = self._hessian(h[b], shift)
            for k in range(right.shape[-1]):
                # An inexact step is still a descent direction; the last digits
                # come from the next Newton step. Rounding noise, which may lie
                # outside the range, is left alone.
                step[b, :, k], _ = cg(
                    hessian,
                    right[b, :, k],
                    rtol=1e-8,
                    atol=float(floor[b]) * self._scale,
                    maxiter=20 * self.n,
                    M=preconditioner,
                )
        return step, self.adjoint_columns(step)

    def _hessian(self, h: FloatArray, shift: float) -> tuple[LinearOperator, Any]:
        """X diag(h) X^T + shift, and its Jacobi preconditioner where entries are at hand."""

        def apply(v: FloatArray) -> FloatArray:
            column = np.reshape(v, (self.n, 1))
            product = self._forward(h[:, None] * self._adjoint(column)) + shift * column
            return product[:, 0]

        shape = (self.n, self.n)
        hessian = LinearOperator(shape, matvec=apply, dtype=np.float64)
        if self._squared is None:
            return hessian, None
        diagonal = self._squared @ h + shift
        return hessian, sp.diags_array(1 / np.where(diagonal > 0, diagonal, 1.0))

    def _gram(self, h: FloatArray | None) -> FloatArray:
        raise NotImplementedError("an iterative X forms no Gram matrix")

    def columns(self, b: int, index: Any) -> FloatArray:
        raise NotImplementedError("an iterative X is never factorised")

    def column_sizes(self, b: int) -> FloatArray:
        raise NotImplementedError("an iterative X is never factorised")

    def precise_residual(self, theta: FloatArray, y: FloatArray) -> FloatArray:
        if self.sparse:
            return compensated.sparse_residual(self.X, theta, y)
        return self.forward(theta) - y

    def precise_adjoint(self, nu: FloatArray, nu_tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        if self._transposed is not None:
            return compensated.sparse_adjoint(self._transposed, nu, nu_tail)
        return self.adjoint(nu), self.adjoint(nu_tail)


def is_operator(X: Any) -> bool:
    """Whether X is a scipy sparse array or a LinearOperator."""
    return sp.issparse(X) or isinstance(X, LinearOperator)


def operator_rows(X: Any) -> SingleRows:
    """Wrap a sparse or matrix-free X, choosing direct or iterative algebra by size.

    Raises
    ------
    InputError
        X of another dtype, or NaN or infinity in a sparse one.
    """
    if np.dtype(X.dtype or np.float64).kind not in "buif":
        raise InputError("a real X", f"an X of dtype {X.dtype}", "convert it to float64 first")
    if 0 in X.shape:
        raise InputError("X with at least one row and one column", f"X of shape {X.shape}")
    if bool(sp.issparse(X)):
        float_array("X", X.data)
        return SparseRows(X) if X.shape[0] <= DIRECT_ROWS else IterativeRows(X)
    few = X.shape[0] <= DIRECT_ROWS_MATRIX_FREE
    return OperatorRows(X) if few else IterativeRows(X)
