"""`implicit_solution`: from what the user has to a certified answer."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from momentumflow.base.errors import InputError
from momentumflow.numeric.data.problems import RANGE_TOLERANCE, Regression
from momentumflow.numeric.implicit.certificate import Certificate, certify
from momentumflow.numeric.implicit.limit_problems import (
    WeightedL1,
    certify_basis_pursuit,
    has_interior_point,
    solve_basis_pursuit,
)
from momentumflow.numeric.implicit.newton import DualPoint, refine, solve_dual
from momentumflow.numeric.implicit.operators import is_operator, operator_rows
from momentumflow.numeric.implicit.potentials import Potential, hyperbolic_potential
from momentumflow.numeric.implicit.rows import DenseRows, Rows
from momentumflow.numeric.implicit.solution import ImplicitSolution, ImplicitStatus
from momentumflow.numeric.implicit.units import problem_scale
from momentumflow.numeric.validation import (
    FloatArray,
    broadcast_shapes,
    choice,
    constrained,
    count,
    float_array,
)

_log = logging.getLogger(__name__)

SOLVERS = ("newton", "cvxpy")
# A certificate this bad asks for a reason.
_FAILED = 1e-4


def implicit_solution(
    problem: Regression | tuple[Any, ArrayLike],
    balancedness: ArrayLike | None = None,
    reference: ArrayLike | None = None,
    *,
    solver: str = "newton",
    log_balancedness: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    potential: Potential | WeightedL1 | None = None,
    start: ImplicitSolution | None = None,
    tolerance: float = 1e-9,
    max_iterations: int = 300,
    cvxpy_solver: str | None = None,
) -> ImplicitSolution:
    r"""Solve `min D_psi(theta, reference)` subject to `X theta = y`, and certify it.

    Parameters
    ----------
    problem : Regression or pair (X, y)
        X of shape (..., n, d), y of shape (..., n), y in the range of X. A
        rank-deficient X is solved on its range.
    balancedness : array_like, shape (..., d) or scalar
        Delta > 0 of the hyperbolic entropy.
    reference : array_like, shape (..., d) or scalar, optional
        The perturbed initialisation theta_tilde_0; default 0.
    solver : {"newton", "cvxpy"}
        Dual Newton, or the conic model solved by CVXPY and polished.
    log_balancedness : array_like, optional
        ln Delta instead of Delta: exact where a trajectory gives it.
    shift : array_like, optional
        `s = asinh(2 reference/Delta)` instead of `reference`; half of
        `ln(w_+^2/w_-^2)` at the perturbed initialisation.
    potential : Potential or WeightedL1, optional
        Another potential, with its reference point; then none of the four
        descriptions above is given. A weighted l1 norm is solved by HiGHS.
    start : ImplicitSolution, optional
        A solution nearby to start from (Newton only).
    tolerance : float
        Largest feasibility, stationarity, gap and error that is certified.
    max_iterations : int
        Bound on Newton factorisations for each problem.
    cvxpy_solver : str, optional
        Name of an installed conic solver; default the best one installed.

    Returns
    -------
    ImplicitSolution
        With the broadcast leading axes of the problem and the parameters.

    Raises
    ------
    InputError
        Wrong shapes, NaN or infinity, balancedness <= 0, y outside the range
        of X, an unknown solver or one that is not installed.

    Notes
    -----
    Papazov, Pesme, Flammarion, arXiv 2403.05293, theorem 1: this is where
    momentum gradient flow ends, with the asymptotic balancedness.

    Examples
    --------
    >>> from momentumflow.numeric import Regression, implicit_solution
    >>> solution = implicit_solution(Regression([[1.0, 2.0]], [2.5]), 1e-6)
    >>> solution.status.name
    'CERTIFIED'
    >>> solution.theta.round(4)  # little balancedness: the sparser fit of least l1 norm
    array([0.0006, 1.2497])
    """
    solver = choice("solver", solver, SOLVERS)
    tolerance = float(constrained("tolerance", tolerance, "> 0", lambda a: a > 0))
    max_iterations = count("max_iterations", max_iterations)
    if potential is None:
        potential = hyperbolic_potential(balancedness, reference, log_balancedness, shift)
    elif any(v is not None for v in (balancedness, reference, log_balancedness, shift)):
        raise InputError(
            "either a potential or a balancedness and reference", "both", "drop one of them"
        )
    stacked = stack(problem, potential)
    if isinstance(stacked.potential, WeightedL1):
        return _basis_pursuit(stacked, stacked.potential, tolerance)
    if solver == "newton":
        point = _newton(stacked, start, max_iterations)
    else:
        from momentumflow.numeric.implicit.model import solve_by_cvxpy

        point = solve_by_cvxpy(stacked.rows, stacked.y, stacked.potential, cvxpy_solver)
    certificate = certify(
        stacked.X, stacked.y, stacked.potential, point.theta, point.nu, nu_tail=point.nu_tail
    )
    _explain_infeasible(stacked, point, certificate)
    return _finish(stacked, point, certificate, solver, tolerance)


@dataclass(frozen=True, eq=False)
class Stacked:
    """A problem with its batch axes flattened to one."""

    rows: Rows
    X: Any
    y: FloatArray
    potential: Any
    batch: tuple[int, ...]


def stack(
    problem: Regression | tuple[Any, ArrayLike], potential: Potential | WeightedL1
) -> Stacked:
    """Check a problem against a potential and flatten the batch axes of both."""
    X, y, svd = _matrices(problem)
    n, d = X.shape[-2:]
    shape = potential.shape
    if shape and shape[-1] not in (1, d):
        raise InputError(
            f"parameters of the potential with one entry for each of the {d} columns of X",
            f"shape {shape}",
        )
    batch = broadcast_shapes(X=X.shape[:-2], y=y.shape[:-1], potential=shape[:-1])
    rows = _rows_of(X, batch, svd)
    entries = rows.X if isinstance(rows, DenseRows) else X
    targets = np.ascontiguousarray(np.broadcast_to(y, (*batch, n)).reshape(-1, n))
    _check_consistent(rows, targets)
    return Stacked(rows, entries, targets, _flatten(potential, batch, d), batch)


def _flatten(potential: Any, batch: tuple[int, ...], d: int) -> Any:
    full = potential.broadcast_to((*batch, d))
    return full.take(tuple(index.ravel() for index in np.indices(batch)) if batch else None)


def _matrices(
    problem: Regression | tuple[Any, ArrayLike],
) -> tuple[Any, FloatArray, tuple[FloatArray, FloatArray] | None]:
    if isinstance(problem, Regression):
        U, s, _ = problem.svd
        return problem.X, problem.y, (U, s * problem.range_mask)
    if not (isinstance(problem, tuple | list) and len(problem) == 2):
        raise InputError("problem as a Regression or a pair (X, y)", type(problem).__name__)
    X = problem[0] if is_operator(problem[0]) else float_array("X", problem[0], ndim_min=2)
    y = float_array("y", problem[1], ndim_min=1)
    if 0 in X.shape:
        raise InputError("X with at least one row and one column", f"X of shape {X.shape}")
    if y.shape[-1] != X.shape[-2]:
        raise InputError(
            f"y with one entry for each of the {X.shape[-2]} rows of X", f"y of shape {y.shape}"
        )
    return X, y, None


def _check_consistent(rows: Rows, y: FloatArray) -> None:
    size = np.linalg.norm(y, axis=-1)
    distance = np.linalg.norm(rows.outside(y), axis=-1) / np.where(size > 0, size, 1.0)
    worst = float(distance.max())
    if worst > RANGE_TOLERANCE:
        raise InputError(
            "y in the range of X, so that some theta fits it exactly",
            f"a y at relative distance {worst:.3g} from it",
            "drop duplicate or noisy rows, or take nearest_consistent_target(X, y)",
        )


def nearest_consistent_target(X: Any, y: ArrayLike) -> FloatArray:
    """Return the y nearest to the given one that some theta fits exactly.

    Parameters
    ----------
    X : array_like, shape (..., n, d), or sparse array or LinearOperator, shape (n, d)
    y : array_like, shape (..., n)

    Returns
    -------
    ndarray, shape (..., n)
        The projection of y on the range of X.
    """
    matrix, target, _ = _matrices((X, y))
    batch = broadcast_shapes(X=matrix.shape[:-2], y=target.shape[:-1])
    targets = np.broadcast_to(target, (*batch, target.shape[-1]))
    flat = targets.reshape(-1, target.shape[-1])
    projected = flat - _rows_of(matrix, batch, None).outside(flat)
    return projected.reshape(targets.shape)


def _rows_of(X: Any, batch: tuple[int, ...], svd: tuple[FloatArray, FloatArray] | None) -> Rows:
    if is_operator(X):
        return operator_rows(X)
    parts = None if svd is None else (_flat(svd[0], 2, batch), _flat(svd[1], 1, batch))
    return DenseRows(_flat(X, 2, batch), parts)


def _flat(array: FloatArray, core: int, batch: tuple[int, ...]) -> FloatArray:
    """Flatten the batch axes of an array to one, of length one where all share it."""
    own = array.shape[array.ndim - core :]
    if math.prod(array.shape[: array.ndim - core]) == 1:
        return array.reshape(1, *own)
    return np.ascontiguousarray(np.broadcast_to(array, (*batch, *own)).reshape(-1, *own))


def _newton(stacked: Stacked, start: ImplicitSolution | None, max_iterations: int) -> DualPoint:
    rows, y, potential = stacked.rows, stacked.y, stacked.potential
    scale = problem_scale(rows, y, potential)
    unit = potential.scaled(scale[:, None])
    nu = None
    if start is not None:
        if start.dual.shape[-1:] != y.shape[-1:]:
            raise InputError(
                f"a start with a dual of {y.shape[-1]} entries", f"shape {start.dual.shape}"
            )
        dual = np.broadcast_to(start.dual, (*stacked.batch, rows.n)).reshape(y.shape)
        nu = np.where(np.isfinite(dual), dual, 0.0)
    point = solve_dual(rows, y / scale[:, None], unit, start=nu, max_iterations=max_iterations)
    point = refine(rows, y / scale[:, None], unit, point)
    return point.rescaled(scale[:, None])


def _explain_infeasible(stacked: Stacked, point: DualPoint, certificate: Certificate) -> None:
    """Find out whether the domain is why a problem has no solution."""
    low, high = stacked.potential.domain
    if not isinstance(stacked.rows, DenseRows) or not (np.isfinite(low) or np.isfinite(high)):
        return
    for b in np.flatnonzero(~(certificate.worst() < _FAILED)):
        X = stacked.X[b % stacked.X.shape[0]]
        if not has_interior_point(X, stacked.y[b], low, high):
            point.status[b] = ImplicitStatus.RELAX_CONSTRAINTS


def _basis_pursuit(stacked: Stacked, norm: WeightedL1, tolerance: float) -> ImplicitSolution:
    if not isinstance(stacked.rows, DenseRows):
        raise InputError("an ndarray X for a weighted l1 norm", "a sparse or matrix-free X")
    X, y = stacked.X, stacked.y
    theta, nu = np.empty((y.shape[0], X.shape[-1])), np.empty_like(y)
    steps = np.zeros(y.shape[0], dtype=np.int64)
    for b in range(y.shape[0]):
        theta[b], nu[b], steps[b] = solve_basis_pursuit(X[b % X.shape[0]], y[b], norm.take(b))
    certificate = certify_basis_pursuit(X, y, norm, theta, nu)
    status = np.full(y.shape[0], None, dtype=object)
    zero = np.zeros_like(nu)
    point = DualPoint(theta, nu, zero, theta, certificate.feasibility, steps, status)
    return _finish(stacked, point, certificate, "highs", tolerance)


def _finish(
    stacked: Stacked, point: DualPoint, certificate: Certificate, solver: str, tolerance: float
) -> ImplicitSolution:
    rows, y, potential, batch = stacked.rows, stacked.y, stacked.potential, stacked.batch
    status = np.empty(y.shape[0], dtype=object)
    worst = certificate.worst()
    for b in range(y.shape[0]):
        if worst[b] <= tolerance:
            status[b] = ImplicitStatus.CERTIFIED
        elif point.status[b] is not None:
            status[b] = point.status[b]
        else:
            status[b] = ImplicitStatus.IMPROVE_CONDITIONING
    refused = np.array([s is not ImplicitStatus.CERTIFIED for s in status])
    _log.debug(
        "%s by %s: %d of %d certified", potential.name, solver, np.sum(~refused), refused.size
    )
    for b in np.flatnonzero(refused).tolist():
        _log.info("problem %d of %d by %s: %s", b + 1, refused.size, solver, status[b].value)

    def shaped(array: Any) -> Any:
        shaped_array = np.asarray(array).reshape((*batch, *np.shape(array)[1:]))
        return shaped_array if shaped_array.ndim else shaped_array[()]

    def proved(array: FloatArray) -> Any:
        return shaped(np.where(refused[:, None], np.nan, array))

    rank = np.broadcast_to(rows.rank, y.shape[:1])
    return ImplicitSolution(
        theta=proved(point.theta),
        dual=proved(point.nu),
        gap=shaped(certificate.gap),
        feasibility=shaped(certificate.feasibility),
        stationarity=shaped(certificate.stationarity),
        error=shaped(certificate.error),
        status=shaped(status),
        rank=shaped(rank),
        iterations=shaped(point.iterations),
        objective=shaped(certificate.objective),
        potential=potential.take(0) if not batch else potential,
        solver=solver,
        dual_tail=proved(point.nu_tail),
    )
