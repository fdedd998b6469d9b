"""The matrix X of a problem, dense, sparse or as an operator: products and nothing else.

A matrix is kept in balanced units (`units.py`): its rows are scaled, and its
columns where they differ much, by powers of two, which is exact. The products
below are those of the scaled matrix and the scaled coefficients t; `adjoint`
returns the mirror variable of the *unscaled* coefficients, `z = w X^T nu`, w
the column scale.

Solvers build on it in `dual_systems.py`, certificates in `certificate.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Literal, Self, cast

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from momentumflow.base.arrays import FloatArray, float_array
from momentumflow.base.errors import InputError
from momentumflow.numeric.implicit import compensated
from momentumflow.numeric.implicit.units import Units, balance, balance_rows

#: Entries up to which a LinearOperator is written out as the matrix that it is.
DIRECT_ENTRIES = 1 << 24
#: Rows up to which the dual Hessian is factorised; beyond, conjugate gradients.
DIRECT_ROWS = 3000
# Columns, and rows, handled at a time where a whole copy would not fit.
_COLUMNS = 1 << 13
_ROWS = 64
# Entries of a matrix that is weighted whole, with all others of its batch.
_WHOLE = 1 << 16
_EPS = float(np.finfo(np.float64).eps)


class Matrix(ABC):
    """A batch of B matrices of shape (n, d), or one that B problems share.

    theta is of shape (B, d), nu of shape (B, n); `adjoint_columns` takes (B, n, k).
    """

    n: int
    d: int
    #: Scale of the columns, shape (B or 1, d); None where it is one.
    weight: FloatArray | None = None
    #: Whether forming and factorising n x n matrices is worth it.
    direct: bool = True

    @abstractmethod
    def take(self, index: Any) -> Self:
        """Return the sub-batch that `index` selects; a shared matrix stays shared."""

    @abstractmethod
    def forward(self, theta: FloatArray) -> FloatArray:
        """X theta, shape (B, n)."""

    @abstractmethod
    def adjoint_columns(self, nu: FloatArray) -> FloatArray:
        """W X^T nu, shape (B, d, k)."""

    @abstractmethod
    def gram(self, h: FloatArray | None = None) -> FloatArray:
        """X diag(w h) X^T, or X X^T without weights, shape (B or 1, n, n)."""

    @abstractmethod
    def columns(self, b: int, index: Any) -> FloatArray:
        """The columns of X that `index` selects, for problem b; shape (n, m)."""

    @abstractmethod
    def residual(self, theta: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """X theta - y in twice the working precision, and |X| |theta| + |y|."""

    @abstractmethod
    def precise_adjoint(self, nu: FloatArray, tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        """W X^T (nu + tail) in two parts, computed in twice the working precision."""

    def adjoint(self, nu: FloatArray) -> FloatArray:
        """W X^T nu, shape (B, d)."""
        return self.adjoint_columns(nu[..., None])[..., 0]

    def weighted(self, h: FloatArray) -> FloatArray:
        """W h: d t/d z as the derivative by X^T nu."""
        return h if self.weight is None else self.weight * h

    def plain(self, z: FloatArray) -> FloatArray:
        """X^T nu without the weights of the columns, from z = W X^T nu."""
        return z if self.weight is None else z / self.weight

    def column_weight(self, b: int) -> FloatArray:
        """W of problem b, shape (d,)."""
        if self.weight is None:
            return np.ones(self.d)
        return self.weight[b % self.weight.shape[0]]

    def column_sizes(self, b: int) -> FloatArray:
        """Squared norms of the columns of X of problem b, shape (d,)."""
        blocks = (self.columns(b, i) for i in self.column_blocks())
        return np.concatenate([np.einsum("nd,nd->d", c, c) for c in blocks])

    def column_blocks(self) -> Iterator[NDArray[np.int64]]:
        """Indices of the columns, some at a time."""
        for start in range(0, self.d, _COLUMNS):
            yield np.arange(start, min(start + _COLUMNS, self.d), dtype=np.int64)

    def triangle(self, b: int) -> FloatArray:
        """R with X X^T = R^T R, by QR of X^T block by block: no digit is lost by squaring."""
        R: FloatArray = np.zeros((0, self.n))
        for index in self.column_blocks():
            R = np.asarray(np.linalg.qr(np.concatenate([R, self.columns(b, index).T]), mode="r"))
        return R


class DenseMatrix(Matrix):
    """A batch of dense matrices X, shape (B, n, d), or (1, n, d) for one shared."""

    def __init__(self, X: FloatArray, weight: FloatArray | None = None) -> None:
        self.X, self.weight = X, weight
        self.n, self.d = X.shape[-2:]

    def take(self, index: Any) -> DenseMatrix:
        """Return the sub-batch that `index` selects."""
        if self.X.shape[0] == 1:
            return self
        return DenseMatrix(self.X[index], None if self.weight is None else self.weight[index])

    def forward(self, theta: FloatArray) -> FloatArray:
        """X theta."""
        if self.X.shape[0] == 1:
            return theta @ self.X[0].T
        product: FloatArray = np.matmul(self.X, theta[..., None])[..., 0]
        return product

    def adjoint(self, nu: FloatArray) -> FloatArray:
        """W X^T nu."""
        if self.X.shape[0] == 1:
            return self.weighted(nu @ self.X[0])
        return self.weighted(np.matmul(nu[..., None, :], self.X)[..., 0, :])

    def adjoint_columns(self, nu: FloatArray) -> FloatArray:
        """W X^T nu."""
        if self.X.shape[0] == 1:
            product = np.swapaxes(np.swapaxes(nu, -1, -2) @ self.X[0], -1, -2)
        else:
            product = np.matmul(np.swapaxes(self.X, -1, -2), nu)
        return product if self.weight is None else self.weight[..., None] * product

    def gram(self, h: FloatArray | None = None) -> FloatArray:
        """By blocks of columns, leaving out weights below rounding."""
        if h is not None:
            h = self.weighted(h)
        size = self.X.shape[0] if h is None else h.shape[0]
        if self.X[0].size <= _WHOLE:
            Y = self.X if h is None else self.X * np.sqrt(h)[:, None, :]
            product: FloatArray = np.matmul(Y, np.swapaxes(Y, -1, -2))
            return product
        shared = self.X.shape[0]
        return np.stack([self._gram(b % shared, None if h is None else h[b]) for b in range(size)])

    def _gram(self, b: int, h: FloatArray | None) -> FloatArray:
        H = np.zeros((self.n, self.n))
        for start in range(0, self.d, _COLUMNS):
            block = self.X[b, :, start : start + _COLUMNS]
            if h is not None:
                weights = h[start : start + _COLUMNS]
                # All that is left out together stays below the rounding of H.
                keep = np.flatnonzero(weights > 1e-3 * _EPS / self.d * h.max())
                if 2 * keep.size < weights.size:
                    block, weights = block[:, keep], weights[keep]
                block = block * np.sqrt(weights)
            # A product of a matrix with its own transpose takes half the work.
            H += block @ block.T
        return H

    def columns(self, b: int, index: Any) -> FloatArray:
        """Columns of problem b."""
        return self.X[b % self.X.shape[0]][:, index]

    def column_sizes(self, b: int) -> FloatArray:
        """Squared norms of the columns."""
        X = self.X[b % self.X.shape[0]]
        return np.asarray(np.einsum("nd,nd->d", X, X))

    def residual(self, theta: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """X theta - y, and the size of its terms."""
        return compensated.residual(self.X, theta, y)

    def precise_adjoint(self, nu: FloatArray, tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        """W X^T (nu + tail)."""
        z, rest = compensated.adjoint(self.X, nu, tail)
        return self.weighted(z), self.weighted(rest)


class SparseMatrix(Matrix):
    """A scipy sparse X, one for every problem."""

    def __init__(self, X: Any, weight: FloatArray | None = None) -> None:
        self.X, self.weight = X, weight
        self.transposed = sp.csr_array(X.T)
        self.n, self.d = X.shape
        self.direct = self.n <= DIRECT_ROWS

    def take(self, index: Any) -> SparseMatrix:
        """Return itself: it is shared."""
        del index
        return self

    def forward(self, theta: FloatArray) -> FloatArray:
        """X theta."""
        product: FloatArray = (self.X @ theta.T).T
        return product

    def adjoint_columns(self, nu: FloatArray) -> FloatArray:
        """W X^T nu."""
        product = np.stack([self.transposed @ one for one in nu])
        return product if self.weight is None else self.weight[..., None] * product

    def gram(self, h: FloatArray | None = None) -> FloatArray:
        """Sparse products, written out."""
        if h is None:
            return np.asarray((self.X @ self.transposed).toarray())[None]
        scaled = (self.X.multiply(one[None, :]).tocsr() for one in self.weighted(h))
        return np.stack([(one @ self.transposed).toarray() for one in scaled])

    def columns(self, b: int, index: Any) -> FloatArray:
        """Columns, written out."""
        del b
        return cast(FloatArray, self.transposed[index].toarray().T)

    def residual(self, theta: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """X theta - y, and the size of its terms."""
        return compensated.sparse_residual(self.X, theta, y)

    def precise_adjoint(self, nu: FloatArray, tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        """W X^T (nu + tail)."""
        z, rest = compensated.sparse_adjoint(self.transposed, nu, tail)
        return self.weighted(z), self.weighted(rest)


class OperatorMatrix(Matrix):
    """A LinearOperator too large to be written out, in its units.

    It stands for the matrix whose rows its `rmatvec` returns: these are what
    the precise products take, some rows at a time.
    """

    direct = False

    def __init__(self, X: LinearOperator, units: Units) -> None:
        self.X, self._rows, self._columns = X, units.rows[0], units.columns[0]
        self.weight = units.weight
        self.n, self.d = X.shape

    def take(self, index: Any) -> OperatorMatrix:
        """Return itself: it is shared."""
        del index
        return self

    def forward(self, theta: FloatArray) -> FloatArray:
        """X theta."""
        unscaled = np.ldexp(theta, -self._columns)
        return np.ldexp(np.asarray(self.X.matmat(unscaled.T), dtype=np.float64).T, -self._rows)

    def adjoint_columns(self, nu: FloatArray) -> FloatArray:
        """X^T nu."""
        scaled = np.ldexp(nu, -self._rows[:, None])
        return np.stack([np.asarray(self.X.rmatmat(one), dtype=np.float64) for one in scaled])

    def gram(self, h: FloatArray | None = None) -> FloatArray:
        """Not formed."""
        raise NotImplementedError("an operator forms no Gram matrix")

    def columns(self, b: int, index: Any) -> FloatArray:
        """Products with unit vectors."""
        unit = np.zeros((len(index), self.d))
        unit[np.arange(len(index)), index] = 1.0
        del b
        return self.forward(unit).T

    def residual(self, theta: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """X theta - y from the rows themselves; X theta as an ordinary product must agree."""
        blocks = [
            DenseMatrix(rows[None]).residual(theta, np.ascontiguousarray(y[:, at]))
            for at, rows in self._row_blocks()
        ]
        r, size = (np.concatenate(part, axis=1) for part in zip(*blocks, strict=True))
        apart = np.abs((self.forward(theta) - y) - r)
        if np.any(apart > 1e-8 * np.linalg.norm(size, axis=-1, keepdims=True)):
            raise InputError(
                "a LinearOperator whose rmatvec is the adjoint of its matvec",
                f"products that differ by {float(np.max(apart)):.3g}",
            )
        return r, size

    def precise_adjoint(self, nu: FloatArray, tail: FloatArray) -> tuple[FloatArray, FloatArray]:
        """X^T (nu + tail) from the rows themselves."""
        z, rest = np.zeros((nu.shape[0], self.d)), np.zeros((nu.shape[0], self.d))
        for at, rows in self._row_blocks():
            more, little = compensated.adjoint(
                rows[None], np.ascontiguousarray(nu[:, at]), np.ascontiguousarray(tail[:, at])
            )
            z, rest = compensated.add(z, rest, more)
            rest = rest + little
        return self.weighted(z), self.weighted(rest)

    def _row_blocks(self) -> Iterator[tuple[slice, FloatArray]]:
        for at, rows in operator_rows(self.X):
            yield at, np.ldexp(rows, -self._rows[at, None] - self._columns)


def operator_rows(X: LinearOperator) -> Iterator[tuple[slice, FloatArray]]:
    """The rows of the matrix that an operator stands for, some at a time."""
    for start in range(0, X.shape[0], _ROWS):
        at = slice(start, min(start + _ROWS, X.shape[0]))
        unit = np.zeros((X.shape[0], at.stop - start))
        unit[np.arange(start, at.stop), np.arange(at.stop - start)] = 1.0
        yield at, np.ascontiguousarray(np.asarray(X.rmatmat(unit), dtype=np.float64).T)


def is_operator(X: Any) -> bool:
    """Whether X is a scipy sparse array or a LinearOperator."""
    return sp.issparse(X) or isinstance(X, LinearOperator)


def solve_triangular(R: FloatArray, right: FloatArray, *, transposed: bool = False) -> FloatArray:
    """Solve R x = right, or R^T x = right, for an upper triangle R; NaN where it is singular."""
    side: Literal["T", "N"] = "T" if transposed else "N"
    try:
        return np.asarray(scipy.linalg.solve_triangular(R, right, trans=side, check_finite=False))
    except np.linalg.LinAlgError:
        return np.full_like(right, np.nan)


def matrix_of(X: Any) -> tuple[Matrix, Units]:
    """Wrap X in balanced units: an ndarray of shape (B, n, d), a sparse array or an operator.

    Raises
    ------
    InputError
        X of another dtype, NaN or infinity in it, entries too far apart.
    """
    if isinstance(X, np.ndarray):
        units = balance(X)
        return DenseMatrix(units.apply(X), units.weight), units
    if np.dtype(X.dtype or np.float64).kind not in "buif":
        raise InputError("a real X", f"an X of dtype {X.dtype}", "convert it to float64 first")
    if 0 in X.shape:
        raise InputError("X with at least one row and one column", f"X of shape {X.shape}")
    if sp.issparse(X):
        entries: Any = sp.csr_array(cast(Any, X), dtype=np.float64, copy=True)
        entries.sum_duplicates()
        if entries.nnz:  # all zeros are a matrix like any other
            float_array("X", entries.data)
        units = balance(entries)
        return SparseMatrix(units.apply(entries), units.weight), units
    if X.shape[0] * X.shape[1] <= DIRECT_ENTRIES:
        rows = np.concatenate([rows for _, rows in operator_rows(X)])
        return matrix_of(float_array("X", rows)[None])
    largest = np.concatenate([np.abs(rows).max(axis=1) for _, rows in operator_rows(X)])
    units = balance_rows(float_array("X", largest), X.shape[1])
    across = np.zeros(X.shape[1])
    for at, rows in operator_rows(X):
        scaled = np.abs(np.ldexp(rows, -units.rows[0, at, None]))
        across = np.maximum(across, scaled.max(axis=0))
    units = units.with_columns(across)
    return OperatorMatrix(X, units), units
