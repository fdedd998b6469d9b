"""Regression problems: random sparse teachers, files, and real data.

The model is `theta = u * v` on the loss `F = |X theta - y|^2 / (2 n)`
(Papazov, Pesme, Flammarion, arXiv 2403.05293, section 2). The theory speaks
about interpolating solutions, so a problem must have more features than rows
and a `y` in the range of `X`; both are checked when the problem is made.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from momentumflow.base import libraries
from momentumflow.base.arguments import (
    Count,
    Door,
    FileName,
    NonNegativeFloat,
    PositiveFloat,
    Unfit,
    Where,
    checked,
    register,
)
from momentumflow.base.arrays import (
    FloatArray,
    Matrix,
    RealsOrNaN,
    Seed,
    Vector,
    broadcast_shapes,
    floats,
)
from momentumflow.base.errors import InputError
from momentumflow.base.values import Value
from momentumflow.numeric.data.labelled import batch_axes, dataset, feature_labels
from momentumflow.numeric.data.tables import Table, read_table

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_log = logging.getLogger(__name__)

# y counts as lying in the range of X when its distance to it is below this
# share of |y|: well above the rounding of standardised data (about 1e-15), well
# below any noise that a measurement carries.
RANGE_TOLERANCE = 1e-10
# Entries of a random design: more of them are a slip, and fill the memory (80 GB).
_MOST_ENTRIES = 10**10
# Rows of X whose lengths differ by more than this are measured in units of their
# lengths where y is held against the range of X: one in units of 1e-12 counts as well.
_LENGTHS_APART = 10.0


@checked
@dataclass(frozen=True, eq=False, repr=False, init=False)
class Regression(Value):
    """An overparametrised, consistent linear regression, or a batch of them.

    Parameters
    ----------
    X : array_like, shape (..., n, d)
        Design matrix, n < d. Leading axes are a batch of problems.
    y : array_like, shape (..., n)
        Targets, in the range of `X` (relative distance below 1e-10, as a whole and
        in each row's own units, see `range_distance`).
    feature_names : tuple of str, optional
        One name for each of the d columns.
    name : str
        What the problem is called in tables and reports.
    teacher : array_like, shape (..., d), optional
        The parameter that generated `y`, where there is one.

    Raises
    ------
    InputError
        Wrong shapes, NaN or infinity, n >= d, `y` all zero, `y` outside the
        range of `X`.
    """

    X: FloatArray
    y: FloatArray
    feature_names: tuple[str, ...] | None = None
    name: str = "regression"
    teacher: FloatArray | None = None

    # Written out, because what is taken (anything array-like) is not what is kept.
    def __init__(
        self,
        X: Matrix,
        y: Vector,
        feature_names: Sequence[str] | None = None,
        name: str = "regression",
        teacher: Vector | None = None,
    ) -> None:
        X, y = floats(X), floats(y)
        n, d = X.shape[-2:]
        if n == 0 or d == 0:
            raise InputError("X with at least one row and one column", f"X of shape {X.shape}")
        if y.shape[-1] != n:
            raise InputError(
                f"y with one entry for each of the {n} rows of X", f"y of shape {y.shape}"
            )
        if n >= d:
            raise InputError(
                "more columns than rows (n < d)",
                f"n = {n}, d = {d}",
                "the theory is about overparametrised regression: use fewer rows or more features",
            )
        batch = broadcast_shapes(X=X.shape[:-2], y=y.shape[:-1])
        # Problems are shared between runs and threads, hence read-only copies.
        names = None if feature_names is None else tuple(feature_labels(feature_names, d))
        kept = {
            "X": _frozen(np.broadcast_to(X, (*batch, n, d))),
            "y": _frozen(np.broadcast_to(y, (*batch, n))),
            "feature_names": names,
            "name": name,
            "teacher": None,
        }
        if teacher is not None:
            teacher = floats(teacher)
            if teacher.shape[-1] != d:
                raise InputError(f"a teacher of {d} entries", f"shape {teacher.shape}")
            kept["teacher"] = _frozen(np.broadcast_to(teacher, (*batch, d)))
        for field_name, value in kept.items():
            object.__setattr__(self, field_name, value)
        if np.any(np.all(self.y == 0, axis=-1)):
            raise InputError("a target y that is not all zero", "y = 0", "check the target column")
        self._check_consistent()

    def _check_consistent(self) -> None:
        distance = float(np.max(self.range_distance))
        if distance > RANGE_TOLERANCE:
            raise InputError(
                "y in the range of X, so that some theta fits it exactly",
                f"a y at relative distance {distance:.3g} from it",
                "drop duplicate or noisy rows, or take Regression.nearest_consistent(X, y)",
            )

    @classmethod
    def nearest_consistent(
        cls,
        X: Matrix,
        y: Vector,
        *,
        feature_names: Sequence[str] | None = None,
        name: str = "nearest consistent regression",
    ) -> Regression:
        """Return the problem with `y` replaced by the nearest point of range(X).

        Rows of very different lengths are measured in units of their lengths; where
        the rows are independent, `y` is kept as it is.

        Parameters
        ----------
        X : array_like, shape (..., n, d)
        y : array_like, shape (..., n)
        feature_names : sequence of str, optional
        name : str

        Raises
        ------
        InputError
            If the shapes do not fit, or an entry is not finite.
        """
        matrix, target = floats(X), floats(y)
        if target.shape[-1] != matrix.shape[-2]:
            raise InputError(
                f"y with one entry for each of the {matrix.shape[-2]} rows of X",
                f"y of shape {target.shape}",
            )
        units = _units(matrix)
        U, s, _ = np.linalg.svd(matrix / units[..., None], full_matrices=False)
        beyond = U * (1 - _above_rank_cutoff(s, matrix.shape))[..., None, :]
        outside = np.einsum("...nr,...mr,...m->...n", beyond, beyond, target / units)
        return cls(matrix, target - units * outside, feature_names=feature_names, name=name)

    @property
    def n(self) -> int:
        """Number of rows (observations)."""
        return self.X.shape[-2]

    @property
    def d(self) -> int:
        """Number of columns (features)."""
        return self.X.shape[-1]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Leading axes: one problem for each index."""
        return self.X.shape[:-2]

    @cached_property
    def svd(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Thin singular value decomposition (U, s, Vt) of X."""
        U, s, Vt = np.linalg.svd(self.X, full_matrices=False)
        return U, s, Vt

    @cached_property
    def range_mask(self) -> FloatArray:
        """1.0 for each singular value above the rank cutoff, else 0.0; shape (..., n)."""
        return _above_rank_cutoff(self.svd[1], self.X.shape)

    @property
    def rank(self) -> int:
        """Numerical rank of X (the smallest one in a batch)."""
        return int(self.range_mask.sum(axis=-1).min())

    @property
    def condition_number(self) -> float:
        """Largest over smallest non-zero singular value (the worst in a batch)."""
        s = self.svd[1]
        smallest = np.where(self.range_mask > 0, s, np.inf).min(axis=-1)
        return float(np.max(s[..., 0] / smallest))

    @cached_property
    def range_distance(self) -> FloatArray:
        """Distance of y to range(X), relative; shape (...).

        Of y as a whole over |y|, where rows of very different lengths are scaled to
        length one first; or of one of its rows i over |y_i| + sum_j |x_ij theta_j|,
        theta the least-norm solution, if that is more than rounding leaves and larger.
        """
        units = _units(self.X)
        X = self.X / units[..., None]
        U, s, Vt = self.svd if np.all(units == 1) else np.linalg.svd(X, full_matrices=False)
        mask = _above_rank_cutoff(s, X.shape)
        y = self.y / units
        y /= np.abs(y).max(axis=-1, keepdims=True)
        coordinates = np.einsum("...nr,...n->...r", U, y) * mask
        outside = np.abs(y - np.einsum("...nr,...r->...n", U, coordinates))
        size = np.linalg.norm(y, axis=-1)
        theta = np.einsum("...rd,...r->...d", Vt, coordinates / np.where(mask > 0, s, 1))
        terms = np.einsum("...nd,...d->...n", np.abs(X), np.abs(theta))
        rounding = 8 * self.n * np.finfo(np.float64).eps * size[..., None]
        rows = np.maximum(outside - rounding, 0) / np.maximum(np.abs(y) + terms, rounding)
        distance: FloatArray = np.asarray(
            np.maximum(np.linalg.norm(outside, axis=-1) / size, rows.max(axis=-1))
        )
        return distance

    @cached_property
    def least_norm_solution(self) -> FloatArray:
        """Interpolating theta of least Euclidean norm; shape (..., d)."""
        U, s, Vt = self.svd
        inverse = np.where(self.range_mask > 0, 1 / np.where(s > 0, s, 1), 0)
        coordinates = np.einsum("...nr,...n->...r", U, self.y) * inverse
        solution: FloatArray = np.einsum("...rd,...r->...d", Vt, coordinates)
        return solution

    def _misfit(self, theta: RealsOrNaN) -> FloatArray:
        """X theta - y; shape (..., n) for theta (..., d)."""
        parameter = floats(theta)
        if parameter.shape[-1:] != (self.d,):
            raise InputError(f"theta with a last axis of {self.d}", f"shape {parameter.shape}")
        broadcast_shapes(problem=self.batch_shape, theta=parameter.shape[:-1])
        fitted = np.einsum("...nd,...d->...n", self.X, parameter)
        misfit: FloatArray = fitted - self.y
        return misfit

    def residual(self, theta: RealsOrNaN) -> FloatArray:
        """Relative residual |X theta - y| / |y|; shape (...) for theta (..., d)."""
        # in units of the largest target, whose square neither under- nor overflows
        unit = np.abs(self.y).max(axis=-1, keepdims=True)
        r = self._misfit(theta) / unit
        relative: FloatArray = np.asarray(
            np.linalg.norm(r, axis=-1) / np.linalg.norm(self.y / unit, axis=-1)
        )
        return relative

    def row_residual(self, theta: RealsOrNaN) -> FloatArray:
        """Largest residual of a row in its own units; shape (...) for theta (..., d).

        That is the largest `|x_i theta - y_i| / (|y_i| + sum_j |x_ij theta_j|)`: no
        unit of a row, however small, hides what the row is missed by.
        """
        missed = np.abs(self._misfit(theta))
        terms = np.abs(self.y) + np.einsum("...nd,...d->...n", np.abs(self.X), np.abs(theta))
        share = np.divide(missed, terms, out=np.zeros_like(missed), where=terms != 0)
        return np.asarray(share.max(axis=-1))

    def loss(self, theta: RealsOrNaN) -> FloatArray:
        """Training loss |X theta - y|^2 / (2 n); shape (...)."""
        r = self._misfit(theta)
        value: FloatArray = np.asarray(np.sum(r * r, axis=-1) / (2 * self.n))
        return value

    def gradient(self, theta: RealsOrNaN) -> FloatArray:
        """Gradient of the loss in theta, g = X^T (X theta - y)/n; shape (..., d)."""
        r = self._misfit(theta)
        g: FloatArray = np.einsum("...nd,...n->...d", self.X, r) / self.n
        return g

    def to_xarray(self) -> xr.Dataset:
        """Return the data as a labelled Dataset: X, y and the teacher, where there is one."""
        batch = batch_axes(len(self.batch_shape))
        data: dict[str, tuple[list[str], FloatArray]] = {
            "X": ([*batch, "observation", "feature"], self.X),
            "y": ([*batch, "observation"], self.y),
        }
        if self.teacher is not None:
            data["teacher"] = ([*batch, "feature"], self.teacher)
        labels = feature_labels(self.feature_names, self.d)
        return dataset(data, {"feature": labels}, {"name": self.name})

    def to_frame(self, target: str = "y") -> pd.DataFrame:
        """Return one problem as a table: a column for each feature, then the target.

        Written to a file it is what `load_regression(path, target)` reads.

        Raises
        ------
        InputError
            A batch of problems, or a feature of the name of the target.
        """
        pd = libraries.pandas()

        if self.batch_shape:
            raise InputError(
                "one problem for a table", f"a batch of shape {self.batch_shape}", "use to_xarray()"
            )
        labels = feature_labels(self.feature_names, self.d)
        if target in labels:
            raise InputError("a target named unlike the features", repr(target))
        return pd.DataFrame(self.X, columns=labels).assign(**{target: self.y})

    def _shown(self) -> dict[str, str]:
        shown = {"name": self.name, "n": str(self.n), "d": str(self.d), "rank": str(self.rank)}
        shown["condition number"] = f"{self.condition_number:.3g}"
        return shown | ({"batch": str(self.batch_shape)} if self.batch_shape else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        # what pickling and copying hand back is writeable
        self.__dict__.update(state)
        for array in (self.X, self.y, self.teacher):
            if array is not None:
                array.flags.writeable = False

    def __repr__(self) -> str:
        batch = f", batch={self.batch_shape}" if self.batch_shape else ""
        rank = f", rank={self.rank}" if self.rank < self.n else ""
        return f"Regression({self.name!r}, n={self.n}, d={self.d}{rank}{batch})"


@register(Regression)
def _problem(_: object) -> Door:
    def take(name: str, value: Any) -> Regression:
        if isinstance(value, Regression):
            return value
        if isinstance(value, tuple | list) and len(value) == 2:
            return Regression(*value)
        raise Unfit

    return Door("a Regression or a pair (X, y)", take)


def _units(X: FloatArray) -> FloatArray:
    """Units of the rows of X: 1, or their lengths where these differ greatly; shape (..., n)."""
    largest = np.abs(X).max(axis=-1)
    largest = np.where(largest > 0, largest, 1.0)
    lengths: FloatArray = largest * np.linalg.norm(X / largest[..., None], axis=-1)
    lengths = np.where(lengths > 0, lengths, 1.0)
    apart = lengths.max(axis=-1) > _LENGTHS_APART * lengths.min(axis=-1)
    return np.where(apart[..., None], lengths, 1.0)


def _frozen(array: FloatArray) -> FloatArray:
    copy = np.array(array, dtype=np.float64, order="C")
    copy.flags.writeable = False
    return copy


def _above_rank_cutoff(s: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """NumPy's `matrix_rank` cutoff, ten times wider for data rounded more than once."""
    cutoff = 10 * max(shape[-2:]) * np.finfo(np.float64).eps * s[..., :1]
    return (s > cutoff).astype(np.float64)


@checked
def sparse_regression(
    n: Count,
    d: Count,
    sparsity: Count,
    *,
    seed: Seed = 0,
    signal: PositiveFloat = 1.0,
    noise: NonNegativeFloat = 0.0,
    batch: tuple[Count, ...] = (),
) -> Regression:
    """Draw a Gaussian design and a sparse teacher of random signs.

    Parameters
    ----------
    n, d : int
        Rows and columns, 1 <= n < d.
    sparsity : int
        Number of non-zero entries of the teacher, 1 <= sparsity <= d.
    seed : int or numpy.random.Generator
        Source of randomness.
    signal : float
        Magnitude of the non-zero entries, > 0.
    noise : float
        Standard deviation of Gaussian noise on y, >= 0.
    batch : tuple of int
        Leading axes: that many independent problems.

    Returns
    -------
    Regression
        X of shape (*batch, n, d) with independent standard normal entries.

    Raises
    ------
    InputError
        A count out of its range, a signal that is not positive, a negative noise.

    Examples
    --------
    >>> from momentumflow.numeric import sparse_regression
    >>> problem = sparse_regression(20, 30, 5, seed=0)
    >>> problem
    Regression('sparse n=20 d=30 s=5', n=20, d=30)
    >>> float(problem.residual(problem.teacher))
    0.0
    """
    if sparsity > d:
        raise InputError(f"sparsity <= d = {d}", f"sparsity = {sparsity}")
    if math.prod((*batch, n, d)) > _MOST_ENTRIES:
        shape = (*batch, n, d)
        raise InputError(f"at most {_MOST_ENTRIES:.0e} entries of X", f"the shape {shape}")
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((*batch, n, d))
    teacher = np.zeros((*batch, d))
    for index in np.ndindex(*batch):
        support = rng.choice(d, size=sparsity, replace=False)
        teacher[index][support] = signal * rng.choice([-1.0, 1.0], size=sparsity)
    y = np.einsum("...nd,...d->...n", X, teacher)
    if noise > 0:
        y += noise * rng.standard_normal(y.shape)
    return Regression(X, y, name=f"sparse n={n} d={d} s={sparsity}", teacher=teacher)


@checked
def load_regression(path: FileName, target: str, *, standardise: bool = False) -> Regression:
    """Read a numeric table (CSV, Parquet, npz) and take one column as target.

    The reading itself is `momentumflow.numeric.data.tables.read_table`; see there
    for the formats and the errors.

    Parameters
    ----------
    path : str or Path
        A `.csv`, `.parquet` or `.npz` file.
    target : str
        Column that becomes y; every other column becomes a feature. In an npz
        file with arrays `X` and `y`, the target is `y`.
    standardise : bool
        Centre every column and scale it to unit variance; constant columns are
        dropped, and logged as a warning. Centring lowers the rank of X by one: that
        is legitimate.

    Returns
    -------
    Regression
        X of shape (n, d) in the order of the file's columns.

    Raises
    ------
    InputError
        What `read_table` and `Regression` refuse: no such file or column, text or
        missing values, a target outside the range of X.
    """
    table = read_table(Path(path), target)
    if standardise:
        table = standardised(table)
    return Regression(table.X, table.y, feature_names=table.feature_names, name=Path(path).name)


def standardised(table: Table) -> Table:
    """Centre X and y, scale the columns to unit variance, drop constant columns and say so."""
    # powers of two: no digit changes, and neither tiny nor huge units leave the range of floats
    X, y = (np.ldexp(a, -np.frexp(np.abs(a).max(axis=0))[1]) for a in (table.X, table.y))
    names, spread = table.feature_names, X.std(axis=0)
    keep = spread > 1e-12
    constant = [name for name, kept in zip(names, keep, strict=True) if not kept]
    if constant:
        _log.warning(
            "%d of %d columns dropped, because they are constant: %s",
            len(constant), len(names), ", ".join(map(repr, constant)),
        )  # fmt: skip
    Z = (X[:, keep] - X[:, keep].mean(axis=0)) / spread[keep]
    centred = y - y.mean()
    target_spread = float(y.std())
    if target_spread > 0:
        centred = centred / target_spread
    return Table(Z, centred, tuple(name for name in names if name not in constant))


@checked
def diabetes_regression(
    rows: Annotated[int, Where(">= 2", lambda rows: rows >= 2)] = 40,
) -> Regression:
    """scikit-learn's diabetes data with all pairwise products, standardised.

    Parameters
    ----------
    rows : int
        The first `rows` patients; 40 give a 40 x 65 design of rank 39, because
        centring makes the rows sum to zero.

    Returns
    -------
    Regression
        X of shape (rows, 65), with unit variance in each column.

    Raises
    ------
    InputError
        If `rows` is no count, or at least as large as the number of features.

    Notes
    -----
    Efron, Hastie, Johnstone, Tibshirani, "Least angle regression", Annals of
    Statistics 32 (2004), doi:10.1214/009053604000000067.

    Examples
    --------
    >>> from momentumflow.numeric import diabetes_regression
    >>> diabetes_regression()
    Regression('diabetes 40 rows', n=40, d=65, rank=39)
    """
    table = diabetes_features(rows)
    return Regression(
        table.X, table.y, feature_names=table.feature_names, name=f"diabetes {rows} rows"
    )


def diabetes_features(rows: int | None = None) -> Table:
    """Return the first patients, or all, of the diabetes data with all pairwise products."""
    sklearn = libraries.scikit_learn()
    data, target = sklearn.datasets.load_diabetes(return_X_y=True)
    expand = sklearn.preprocessing.PolynomialFeatures(degree=2, include_bias=False)
    features = expand.fit_transform(data[:rows])
    names = tuple(expand.get_feature_names_out())
    return standardised(Table(features, np.asarray(target[:rows], dtype=np.float64), names))
