"""Balanced units: rows, columns and the solution scaled by powers of two, which is exact.

With `x'_ij = x_ij 2^-(rows_i + columns_j)`, `t_j = theta_j 2^(columns_j - size)`
and `y'_i = y_i 2^-(rows_i + size)` the constraint is `X' t = y'`; its dual
variable is `nu'_i = 2^rows_i nu_i`, and `X^T nu = 2^columns X'^T nu'`. Solvers
and certificates see these numbers only, so that nothing depends on the units
that a user measures in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from momentumflow.base.arrays import FloatArray
from momentumflow.base.errors import InputError

# Exponents that float64 holds with all their digits.
_LARGEST = 1000
# Rows and columns are scaled where their sizes differ by more than these powers
# of two; a copy of a large X is spared otherwise.
_ROW_SPREAD = 8
_COLUMN_SPREAD = 8
_ROUNDS = 4
# The exponent of zero.
_NONE = -(1 << 20)

_Largest: TypeAlias = Callable[[Any, Any], tuple[NDArray[np.int32], NDArray[np.int32]]]


@dataclass(frozen=True, eq=False)
class Units:
    """Exponents of two, for rows (B or 1, n) and for columns (B or 1, d)."""

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]

    @property
    def weight(self) -> FloatArray | None:
        """2^columns, or None where all are one."""
        return np.ldexp(1.0, self.columns) if self.columns.any() else None

    def with_columns(self, largest: FloatArray) -> Units:
        """The same rows, and columns of which the largest entries are known, (d,)."""
        columns = _exponents(largest)[None]
        return replace(self, columns=columns) if _spread(columns) > _COLUMN_SPREAD else self

    def apply(self, X: Any) -> Any:
        """X in these units, an ndarray or a CSR array; X itself where nothing changes."""
        if not (self.rows.any() or self.columns.any()):
            return X
        if isinstance(X, np.ndarray):
            return _shifted(X, self.rows[:, :, None] + self.columns[:, None, :])
        row = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
        entries = _shifted(X.data, self.rows[0][row] + self.columns[0][X.indices])
        return sp.csr_array((entries, X.indices, X.indptr), X.shape)

    def targets(self, y: FloatArray, size: NDArray[np.int32]) -> FloatArray:
        """Y of shape (B, n) in these units, for solutions of size 2^size."""
        shift = -(self.rows + size[:, None])
        with np.errstate(all="ignore"):
            scaled: FloatArray = np.ldexp(y, shift)
            lost = np.ldexp(scaled, -shift) != y
        if lost.any():
            raise InputError(
                "entries of y within a factor 1e300 of the size of their rows of X",
                f"{int(np.count_nonzero(lost))} that are smaller or larger",
                "rescale these rows",
            )
        return scaled

    def theta_exponents(self, size: NDArray[np.int32]) -> NDArray[np.int32]:
        """The exponents of theta_j over t_j, shape (B, d), for solutions of size 2^size.

        Raises
        ------
        InputError
            Where float64 could not hold such a coordinate.
        """
        exponents = size[:, None] - self.columns
        if np.abs(exponents).max() > _LARGEST:
            raise InputError(
                "a problem whose solution has coordinates between 1e-300 and 1e300",
                f"one of size 2^{exponents.ravel()[np.argmax(np.abs(exponents))]}",
                "rescale the columns of X, or y",
            )
        return exponents

    def user(self, point: Any, exponents: NDArray[np.int32]) -> Any:
        """A point of a solver (theta, nu, nu_tail) in the user's units."""
        return replace(
            point,
            theta=np.ldexp(point.theta, exponents),
            nu=np.ldexp(point.nu, -self.rows),
            nu_tail=np.ldexp(point.nu_tail, -self.rows),
        )


def balance(X: Any) -> Units:
    """Units of an ndarray of shape (B, n, d) or a sparse matrix of shape (n, d).

    Rows and columns are divided by their largest entries in turn (Ruiz, "A
    scaling algorithm to equilibrate both rows and columns norms in matrices",
    report RAL-TR-2001-034), in whole powers of two.
    """
    largest = _sparse_largest(X) if sp.issparse(X) else _dense_largest(X)
    rows, columns = largest(None, None)
    if _spread(columns) <= _COLUMN_SPREAD:
        return Units(_unless_calm(rows), np.zeros_like(columns))
    rows, columns = np.zeros_like(rows), np.zeros_like(columns)
    for _ in range(_ROUNDS):
        rows += largest(rows, columns)[0]
        columns += largest(rows, columns)[1]
    return Units(rows, columns)


def _shifted(entries: FloatArray, shift: NDArray[np.int32]) -> FloatArray:
    """Entries times 2^-shift, if no digit is lost."""
    with np.errstate(all="ignore"):
        scaled: FloatArray = np.ldexp(entries, -shift)
        lost = np.ldexp(scaled, shift) != entries
    if lost.any():
        raise InputError(
            "entries of X within a factor 1e300 of the largest of their row and column",
            f"{int(np.count_nonzero(lost))} that are smaller",
            "drop what is negligible",
        )
    return scaled


def _dense_largest(X: FloatArray) -> _Largest:
    """The exponents of the largest entries of the rows and of the columns, as they are scaled."""

    def measure(rows: Any, columns: Any) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        if rows is None:  # no copy of X
            return (
                _exponents(np.maximum(X.max(axis=2), -X.min(axis=2))),
                _exponents(np.maximum(X.max(axis=1), -X.min(axis=1))),
            )
        sizes = np.where(X == 0, _NONE, np.frexp(X)[1] - rows[:, :, None] - columns[:, None, :])
        return _known(sizes.max(axis=2)), _known(sizes.max(axis=1))

    return measure


def _sparse_largest(X: Any) -> _Largest:
    """The same for a sparse matrix, in which zeros are left out."""
    triple = sp.coo_array(X)
    at, own = (triple.row, triple.col), np.frexp(triple.data)[1]
    own = np.where(triple.data == 0, _NONE, own)

    def measure(rows: Any, columns: Any) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        sizes = own if rows is None else own - rows[0, at[0]] - columns[0, at[1]]
        found = [np.full(length, _NONE) for length in X.shape]
        for top, index in zip(found, at, strict=True):
            np.maximum.at(top, index, sizes)
        return _known(found[0])[None], _known(found[1])[None]

    return measure


def balance_rows(largest: FloatArray, d: int) -> Units:
    """Units of a matrix of which only the largest entry of each row is known."""
    return Units(_unless_calm(_exponents(largest)[None]), np.zeros((1, d), np.int32))


def _unless_calm(rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """The exponents of rows, or zeros where no row is far from the others and from one."""
    calm = _spread(rows) <= _ROW_SPREAD and np.abs(rows).max() <= 4 * _ROW_SPREAD
    return np.zeros_like(rows) if calm else rows


def size_exponents(values: FloatArray) -> NDArray[np.int32]:
    """The exponent of the largest entry along the last axis, 0 for zeros; shape (B,)."""
    return _exponents(np.abs(values).max(axis=-1))


def _exponents(size: FloatArray) -> NDArray[np.int32]:
    return np.where(size > 0, np.frexp(size)[1], 0).astype(np.int32)


def _known(sizes: NDArray[Any]) -> NDArray[np.int32]:
    return np.where(sizes > _NONE // 2, sizes, 0).astype(np.int32)


def _spread(exponents: NDArray[np.int32]) -> int:
    return int(np.ptp(exponents))
