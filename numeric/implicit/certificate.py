"""Certificates of optimality, computed by code that no solver shares.

A solver works with `theta(z)`, ordinary products and Newton's equations; a
certificate evaluates `psi'` and the divergence, takes its products in twice the
working precision and solves its own equations for the error. What both share is
the matrix in its balanced units (`units.py`), which are exact. It holds for any
(theta, dual), wherever they came from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, lsmr

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import FloatArray, RealArray
from momentumflow.base.errors import InputError
from momentumflow.base.values import Value
from momentumflow.numeric.data.pairs import AnyMatrix
from momentumflow.numeric.implicit.algebra import Matrix, matrix_of, solve_triangular
from momentumflow.numeric.implicit.potentials import Potential
from momentumflow.numeric.implicit.units import Units, size_exponents

_EPS = float(np.finfo(np.float64).eps)
# Below it float64 holds fewer digits.
_NORMAL = float(np.finfo(np.float64).tiny)
_LARGEST_EXPONENT = 1000
# Eigenvalues of a Gram matrix below this share of the largest are near its rounding.
_GRAM_TRUSTED = 1e-9
# Entries of the heaviest columns that a graded factorisation takes.
_COLUMNS_FOR_QR = 1 << 23
# A step to the solution beyond this share of a coordinate is no first-order matter.
_FIRST_ORDER = 0.05
# Times that LSMR is asked about what it left, and its word for having given up.
_REFINEMENTS, _NOT_CONVERGED = 4, 7
# A share of theta at which the rounding of the residual is looked at.
_GRAIN_SEEN = 1e-2 * _EPS
# An objective beyond these is rounded to nothing, or to infinity, in the user's units.
_SMALLEST, _LARGEST = 1e-290, 1e300


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Certificate(Value):
    """Residuals of the optimality conditions, each of shape (batch,).

    Parameters
    ----------
    feasibility : ndarray
        The largest |x_i . theta - y_i| over the sum of its terms,
        `sum_j |x_ij theta_j| + |y_i|`: each row in its own unit.
    stationarity : ndarray
        The largest |psi'(theta_j) - psi'(reference_j) - x_j . nu|, over the
        largest of its terms or of `theta_j psi''(theta_j)`: each column in its own.
    gap : ndarray
        Primal minus dual value over the primal value (or `theta^2 psi''(theta)`,
        summed, where that is more); by Fenchel's inequality the sum of
        non-negative terms and `nu.(X theta - y)`.
    error : ndarray
        |theta - exact| / |theta| to first order in both residuals and in the
        rounding of psi'; infinite where the first order says nothing.
    objective : ndarray
        D_psi(theta, reference).
    """

    feasibility: FloatArray
    stationarity: FloatArray
    gap: FloatArray
    error: FloatArray
    objective: FloatArray

    def worst(self) -> FloatArray:
        """The largest of the four relative figures, NaN counted as infinite."""
        figures = np.stack([self.feasibility, self.stationarity, self.gap, self.error])
        return np.max(np.where(np.isnan(figures), np.inf, figures), axis=0)


def infinite_except(certificate: Certificate, whole: Any) -> Certificate:
    """Return the same, infinite except where `whole` holds."""
    figures = vars(certificate).items()
    return replace(certificate, **{name: np.where(whole, value, np.inf) for name, value in figures})


@checked
def certify(
    X: AnyMatrix,
    y: RealArray,
    potential: Potential,
    theta: FloatArray,
    nu: FloatArray,
    *,
    nu_tail: FloatArray | None = None,
) -> Certificate:
    """Certify a batch of primal-dual pairs.

    Parameters
    ----------
    X : ndarray, shape (B or 1, n, d), or sparse array or LinearOperator, shape (n, d)
    y : ndarray, shape (B, n)
    potential : Potential
        With parameters of shape (B, d).
    theta : ndarray, shape (B, d)
    nu, nu_tail : ndarray, shape (B, n)
        The multiplier, and what its rounding left out (default nothing).

    Returns
    -------
    Certificate
        Fields of shape (B,); infinite where a pair is not finite.

    Raises
    ------
    InputError
        Other shapes, or entries of X or of y that lie more than 300 orders of
        magnitude apart.
    """
    tail = np.zeros_like(nu) if nu_tail is None else nu_tail
    n, d = X.shape[-2:]
    size = y.shape[0] if y.ndim else 0
    for name, array, length in (
        ("y", y, n), ("theta", theta, d), ("nu", nu, n), ("nu_tail", tail, n),
    ):  # fmt: skip
        if array.shape != (size, length):
            shapes = f"shape {array.shape} with X of shape {X.shape} and y of shape {y.shape}"
            raise InputError(f"{name} of shape (batch, {length})", shapes)
    if X.shape[:-2] not in ((), (1,), (size,)):
        raise InputError(f"X with {size} or 1 designs", f"X of shape {X.shape}")
    potential = potential.broadcast_to((size, d))
    matrix, units = matrix_of(X[None] if isinstance(X, np.ndarray) and X.ndim == 2 else X)
    return certify_scaled(matrix, units, y, potential, theta, (nu, tail))


def certify_scaled(
    matrix: Matrix,
    units: Units,
    y: FloatArray,
    potential: Potential,
    theta: FloatArray,
    dual: tuple[FloatArray, FloatArray],
    rank: Any = 0,
) -> Certificate:
    """`certify` with the matrix in its units at hand; `rank` is what a solver counts on."""
    whole = np.asarray(np.isfinite(theta).all(axis=-1) & np.isfinite(dual[0]).all(axis=-1))
    theta, nu = np.where(whole[:, None], theta, 0.0), np.where(whole[:, None], dual[0], 0.0)
    # A pair that is not one may overflow anywhere; its figures are then infinite or NaN.
    with np.errstate(all="ignore"):
        size = size_exponents(np.ldexp(theta, units.columns))
        exponents = units.theta_exponents(size)
        scaled = np.ldexp(theta, -exponents)
        whole &= ((scaled == 0) == (theta == 0)).all(axis=-1)
        figures = _figures(
            matrix,
            units.targets(y, size),
            potential.scaled(np.ldexp(1.0, exponents)),
            scaled,
            (np.ldexp(nu, units.rows), np.ldexp(dual[1], units.rows)),
            potential.rounding(),
            np.broadcast_to(rank, size.shape),
        )
        objective = np.ldexp(figures.objective, size)
        # What rounds to zero or to infinity in the user's units is no figure.
        held = (objective == figures.objective) | ((objective > _SMALLEST) & (objective < _LARGEST))
    return infinite_except(replace(figures, objective=objective), whole & held)


def _figures(
    matrix: Matrix,
    y: FloatArray,
    potential: Potential,
    theta: FloatArray,
    dual: tuple[FloatArray, FloatArray],
    rounding: FloatArray,
    rank: Any,
) -> Certificate:
    nu, tail = dual
    r, row_size = matrix.residual(theta, y)
    z, z_tail = matrix.precise_adjoint(nu, tail)
    mirror, reference = potential.mirror(theta), potential.reference_mirror()
    miss = potential.mirror_miss(theta, z, z_tail)

    feasibility = np.max(np.abs(r) / np.where(row_size > 0, row_size, 1.0), axis=-1)
    # The largest term of the condition, or the z that would move a coordinate by
    # its own size: near the reference point all terms are rounding.
    h = potential.slope(z, theta)
    terms = np.abs(mirror) + np.abs(z) + np.abs(np.broadcast_to(reference, z.shape))
    largest = np.maximum(terms, np.abs(theta) / h)
    stationarity = np.max(np.abs(miss) / np.where(largest > 0, largest, 1.0), axis=-1)

    # A coordinate's divergence is in its own unit, over its column's scale.
    share = _share(matrix, theta)
    objective = (potential.divergence(theta) * share).sum(axis=-1)
    gap = (potential.fenchel_gap(theta, miss) * share).sum(axis=-1) + (nu * r).sum(axis=-1)
    size = np.maximum(objective, (theta**2 / h * share).sum(axis=-1))
    relative_gap = np.abs(gap) / np.where(size > 0, size, 1.0)

    # Rounding of psi'(theta), of theta(z) and of theta itself, which may underflow here.
    rounding = np.maximum(rounding, potential.rounding())
    noise = h * _EPS * np.abs(z + reference) + rounding * np.maximum(np.abs(theta), _NORMAL)
    # What counts as zero in these units may be seen in the user's.
    noise = noise + potential.forgiven(theta, z)
    # The products of the residual are those of twice the precision.
    grain = matrix.d * _EPS**2 * row_size
    error = _first_order_error(
        matrix, theta, h, r=-r, nu=nu, miss=miss, noise=noise, grain=grain, rank=rank
    )
    return Certificate(feasibility, stationarity, relative_gap, error, objective)


def _share(matrix: Matrix, theta: FloatArray) -> FloatArray:
    """2^-columns: of theta_j over t_j, up to the common 2^size."""
    ones = np.ones_like(theta)
    return ones if matrix.weight is None else ones / matrix.weight


def _share_of_largest(matrix: Matrix, theta: FloatArray) -> FloatArray:
    """The same, over the share of the coordinate that is largest in the user's units.

    Its exponent is known where a norm of theta in the user's units would underflow.
    """
    if matrix.weight is None:
        return np.ones_like(theta)
    exponents = 1 - np.frexp(matrix.weight)[1]
    sizes = exponents + np.where(theta != 0, np.frexp(theta)[1], -2 * _LARGEST_EXPONENT)
    nothing = ~np.any(theta != 0, axis=-1, keepdims=True)
    top = np.where(nothing, exponents, sizes).max(axis=-1, keepdims=True)
    return np.ldexp(1.0, np.minimum(exponents - top, _LARGEST_EXPONENT))


def _first_order_error(
    matrix: Matrix,
    theta: FloatArray,
    h: FloatArray,
    *,
    r: FloatArray,
    nu: FloatArray,
    miss: FloatArray,
    noise: FloatArray,
    grain: FloatArray,
    rank: Any,
) -> FloatArray:
    """|theta - exact| / |theta| from the linearised optimality conditions.

    The exact solution differs by `D X^T H^+ r + (I - D X^T H^+ X) D miss`,
    D = theta'(z), H = X D X^T. Directions in which even D^{1/2} X^T is below
    rounding are charged at their least Euclidean norm. Norms are the user's: what
    is nothing in scaled units may be all of theta there, and may hang on digits of
    the residual that nobody knows (`grain`).
    """
    share = _share_of_largest(matrix, theta)

    def norm(change: FloatArray) -> FloatArray:
        return np.asarray(np.linalg.norm(change * share, axis=-1))

    displaced = h * miss
    right = r - matrix.forward(displaced)
    correction, left = weighted_least_norm(matrix, h, right, nu, rank)
    total = norm(displaced) + norm(correction) + norm(noise) + left * share.max(axis=-1)
    size = norm(theta)
    largest = grain.max(axis=-1) * share.max(axis=-1)
    for b in np.flatnonzero(largest > _GRAIN_SEEN * size):
        total[b] += _moved_by_grain(matrix, int(b), h[b], grain[b], int(rank[b]), share[b])
    error: FloatArray = np.asarray(total / np.where(size > 0, size, 1.0))
    # A coordinate that matters and is to move by a share of its own curvature
    # moves elsewhere than the linear model says.
    return np.where(error < _FIRST_ORDER, error, np.inf)


def weighted_least_norm(
    matrix: Matrix, h: FloatArray, r: FloatArray, nu: FloatArray, rank: Any
) -> tuple[FloatArray, FloatArray]:
    """Return u = D X^T (X D X^T)^+ r, D = diag(w h), and the least |v| with X v = r - X u.

    Of dependent rows |v| says what another choice of them, or of their share of the
    multiplier nu, would move.
    """
    if not matrix.direct:
        return _by_lsmr(matrix, h, r, nu)
    nu, weak = _solve_clear(matrix.gram(h), r)
    u = h * matrix.adjoint(nu)
    v = np.zeros(u.shape[0])
    for b in weak:
        u[b], v[b] = _by_graded_qr(matrix, int(b), h[b], r[b], int(rank[b]))
    return u, v


def _solve_clear(H: FloatArray, r: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Solutions of H nu = r, and the problems in which H is too near its rounding for one."""
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
    return nu, np.flatnonzero(~clear.all(axis=-1) & whole)


def _by_graded_qr(
    matrix: Matrix, b: int, h: FloatArray, r: FloatArray, rank: int
) -> tuple[FloatArray, float]:
    """`weighted_least_norm` of one problem, by QR of D^{1/2} X^T.

    Rows are sorted by weight and columns pivoted, so that light coordinates
    keep their digits beside heavy ones, as their Gram matrix does not. What is
    left of r there is charged at its least norm, by pivoted QR of X^T itself.
    """
    graded = _graded(matrix, b, h, rank)
    if graded is None:
        return np.full_like(h, np.nan), 0.0
    rank, used = graded.rank, graded.heavy.size
    middle = solve_triangular(graded.R, r[graded.heavy], transposed=True)
    u = np.zeros_like(h)
    u[graded.order] = graded.root * (graded.Q @ middle)
    left, size = matrix.take(slice(b, b + 1)).residual(u[None], r[None])
    # Rounding of u is no remainder.
    left = np.where(np.abs(left) > 4 * _EPS * size, left, 0.0)[0]
    if not left.any():
        return u, 0.0
    v = _least_norm(graded, left[graded.pivots[:rank]])
    # Dependent rows that do not quite agree: with others chosen the answer were another.
    sizes = np.linalg.norm(graded.responses(), axis=0)
    own = graded.rows[graded.heavy]  # each row in its own unit
    missed = np.max(np.abs(left[left != 0]) / graded.rows[left != 0])
    return u, float(v + missed * (sizes * own)[:used].sum())


@dataclass(frozen=True, eq=False)
class _Graded:
    """The factor R of D^{1/2} X^T, and of X^T itself, by pivoted QR."""

    #: Coordinates in the order of their weight, and the roots of the weights.
    order: NDArray[np.int64]
    root: FloatArray
    Q: FloatArray
    R: FloatArray
    #: Rows of X that R resolves, in its order.
    heavy: NDArray[np.int64]
    #: Norms of the rows of X D^{1/2}.
    rows: FloatArray
    plain: FloatArray
    pivots: NDArray[np.int64]
    rank: int

    def responses(self) -> FloatArray:
        """What a unit of each resolved row moves, shape (len(order), len(heavy))."""
        inverse = solve_triangular(self.R, np.eye(self.heavy.size), transposed=True)
        return self.root[:, None] * (self.Q @ inverse)


def _graded(matrix: Matrix, b: int, h: FloatArray, rank: int) -> _Graded | None:
    """Factor one problem; None where its weights are not finite."""
    plain, pivots = _pivoted(matrix.triangle(b))
    weight = matrix.column_weight(b) * h
    heaviness = weight * matrix.column_sizes(b)
    if not np.isfinite(heaviness).all():
        return None
    order = np.argsort(-heaviness, kind="stable")
    order = order[heaviness[order] > 1e-3 * _EPS**2 * heaviness.max()]
    order = order[: _COLUMNS_FOR_QR // matrix.n]
    root = np.sqrt(weight[order])
    A = matrix.columns(b, order).T * root[:, None]
    Q, R, heavy = scipy.linalg.qr(A, mode="economic", pivoting=True, check_finite=False)
    pivot = np.abs(np.diag(plain))
    own = int(np.count_nonzero(pivot > 10 * max(matrix.n, matrix.d) * _EPS * pivot[0]))
    rank = max(own, rank)
    used = min(rank, int(np.count_nonzero(np.abs(np.diag(R)) > 0)))
    rows = np.linalg.norm(A, axis=0)
    return _Graded(
        order, root, Q[:, :used], R[:used, :used], heavy[:used], rows, plain, pivots, rank
    )


def _least_norm(graded: _Graded, r: FloatArray) -> float:
    """|v| = |R^-T r|, X v = r on the rows that are independent; r of shape (rank,) or more."""
    rank = graded.rank
    if rank > np.count_nonzero(np.diag(graded.plain)):
        return np.inf
    v = solve_triangular(graded.plain[:rank, :rank], r, transposed=True)
    return float(np.linalg.norm(v))


def _moved_by_grain(
    matrix: Matrix, b: int, h: FloatArray, grain: FloatArray, rank: int, share: FloatArray
) -> float:
    """|theta|, in the user's units, that the rounding of the residual leaves open."""
    if not matrix.direct:
        return _moved_by_lsmr(matrix, h, grain, share)
    graded = _graded(matrix, b, h, rank)
    if graded is None:
        return np.inf
    moved = np.linalg.norm(share[graded.order, None] * graded.responses(), axis=0)
    total = float((moved * grain[graded.heavy]).sum())
    if graded.heavy.size < graded.rank:
        open_ends = np.diag(grain[graded.pivots[: graded.rank]])
        total += float(share.max()) * _least_norm(graded, open_ends)
    return total


def _pivoted(triangle: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    R, pivots = scipy.linalg.qr(triangle, mode="r", pivoting=True, check_finite=False)
    return np.asarray(R, dtype=np.float64), np.asarray(pivots, dtype=np.int64)


def _by_lsmr(
    matrix: Matrix, h: FloatArray, r: FloatArray, nu: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """`weighted_least_norm` without a factor: it is infinite unless LSMR has converged.

    It has where X u = r to ten digits, or where what is left of r is orthogonal
    to the range to rounding: then X is rank-deficient.
    """
    u, v = np.zeros_like(h), np.zeros(h.shape[0])
    plain = _Weighted(matrix, None)
    probe = np.random.default_rng(0).standard_normal(matrix.n)
    largest = np.linalg.norm(plain.rmatvec(probe)) / np.linalg.norm(probe)
    options: dict[str, Any] = {
        "atol": 1e-15,
        "btol": 1e-13,
        "conlim": 0.0,
        "maxiter": 20 * matrix.n,
    }
    for b in range(h.shape[0]):
        weighted = plain.by(h[b])
        if not (np.isfinite(weighted.root).all() and np.isfinite(r[b]).all()):
            u[b] = np.nan
            continue
        left = r[b] / plain.rows
        unit = np.linalg.norm(left)
        goal = 1e-10 * unit
        for _ in range(_REFINEMENTS):
            if unit <= goal:
                break
            change = unit * weighted.root * lsmr(weighted, left / unit, **options)[0]
            u[b] += change
            # not r - X u, whose rounding would hide what is left
            left = left - plain.matvec(change)
            unit = np.linalg.norm(left)
            image = plain.rmatvec(left)
            if unit > goal and np.linalg.norm(image) <= 1e3 * _EPS * largest * unit:
                # a multiplier that grows where rows cancel makes z of what they do not
                z = np.linalg.norm(nu[b] * plain.rows) * image / unit
                v[b] = _response(weighted, unit) + 10 * np.linalg.norm(weighted.root**2 * z)
                break
        else:
            u[b] = u[b] if unit <= goal else np.inf
    return u, v


def _moved_by_lsmr(matrix: Matrix, h: FloatArray, grain: FloatArray, share: FloatArray) -> float:
    """`_moved_by_grain` without a factor, measured on random residuals."""
    plain = _Weighted(matrix, None)
    weighted, worst = plain.by(h), 0.0
    if not np.isfinite(weighted.root).all():
        return np.inf
    options: dict[str, Any] = {
        "atol": 1e-12,
        "btol": 1e-12,
        "conlim": 0.0,
        "maxiter": 20 * matrix.n,
    }
    for seed in range(3):
        target: FloatArray = grain * np.random.default_rng(seed).standard_normal(matrix.n)
        target = target / plain.rows
        unit = np.linalg.norm(target)
        change = weighted.root * lsmr(weighted, target / unit, **options)[0]
        rest = lsmr(plain, target / unit - plain.matvec(change), **options)
        if rest[1] == _NOT_CONVERGED:
            return np.inf
        moved = np.linalg.norm(share * change) + np.linalg.norm(rest[0]) * share.max()
        worst = max(worst, float(unit * moved))
    return 10 * worst


def _response(weighted: _Weighted, size: Any) -> float:
    """What dependent rows that disagree by `size` may move: measured on random targets."""
    worst = 0.0
    for seed in range(3):
        target = weighted.matvec(np.random.default_rng(seed).standard_normal(weighted.shape[1]))
        target = size * target / np.linalg.norm(target)
        found = lsmr(weighted, target, atol=1e-10, btol=1e-10, conlim=0)[0]
        worst = max(worst, float(np.linalg.norm(weighted.root * found)))
    return 10 * worst


class _Weighted(LinearOperator):
    """X D^{1/2} of one problem, D = diag(w h), or X itself; rows of one size, for LSMR."""

    def __init__(
        self, matrix: Matrix, h: FloatArray | None, rows: FloatArray | None = None
    ) -> None:
        super().__init__(np.dtype(np.float64), (matrix.n, matrix.d))  # type: ignore[call-arg]
        self._matrix = matrix
        self.root = np.ones(matrix.d) if h is None else np.sqrt(matrix.weighted(h[None])[0])
        if rows is None:
            sample = np.random.default_rng(0).standard_normal((8, matrix.d))
            rows = np.linalg.norm(matrix.forward(sample), axis=0)
        #: The sizes of the rows of X, by what they do to random vectors.
        self.rows = np.where(rows > 0, rows, 1.0)

    def by(self, h: FloatArray) -> _Weighted:
        """The same X, weighted."""
        return _Weighted(self._matrix, h, self.rows)

    def _matvec(self, t: FloatArray) -> FloatArray:
        return self._matrix.forward((self.root * np.ravel(t))[None])[0] / self.rows

    def _rmatvec(self, r: FloatArray) -> FloatArray:
        z = self._matrix.plain(self._matrix.adjoint((np.ravel(r) / self.rows)[None]))[0]
        return self.root * z
