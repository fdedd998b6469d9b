"""`implicit_solution`: from what the user has to a certified answer."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from momentumflow.base.arguments import Count, PositiveFloat, checked
from momentumflow.base.arrays import (
    FloatArray,
    Positive,
    Reals,
    Vector,
    broadcast_shapes,
    float_array,
    floats,
)
from momentumflow.base.errors import InputError
from momentumflow.numeric.data.pairs import AnyMatrix, AnyProblem
from momentumflow.numeric.data.problems import RANGE_TOLERANCE, Regression
from momentumflow.numeric.implicit.algebra import DenseMatrix, Matrix, is_operator, matrix_of
from momentumflow.numeric.implicit.certificate import Certificate, certify_scaled
from momentumflow.numeric.implicit.dual_systems import DualSystem, dual_system
from momentumflow.numeric.implicit.limit_problems import (
    WeightedL1,
    certify_basis_pursuit,
    has_interior_point,
    solve_basis_pursuit,
)
from momentumflow.numeric.implicit.newton import DualPoint, refine, solve_dual
from momentumflow.numeric.implicit.potentials import Potential, hyperbolic_potential
from momentumflow.numeric.implicit.solution import ImplicitSolution, ImplicitStatus
from momentumflow.numeric.implicit.units import Units, size_exponents

_log = logging.getLogger(__name__)

# A certificate this bad asks for a reason.
_FAILED = 1e-4


@checked
def implicit_solution(
    problem: AnyProblem,
    balancedness: Positive | None = None,
    reference: Reals | None = None,
    *,
    solver: Literal["newton", "cvxpy"] = "newton",
    log_balancedness: Reals | None = None,
    shift: Reals | None = None,
    potential: Potential | WeightedL1 | None = None,
    start: ImplicitSolution | Vector | None = None,
    tolerance: PositiveFloat = 1e-9,
    max_iterations: Count = 300,
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
    start : ImplicitSolution or array_like, shape (..., n), optional
        A solution nearby to start from, or its dual (Newton only).
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
    if potential is None:
        potential = hyperbolic_potential(balancedness, reference, log_balancedness, shift)
    elif any(v is not None for v in (balancedness, reference, log_balancedness, shift)):
        raise InputError(
            "either a potential or a balancedness and reference", "both", "drop one of them"
        )
    stacked = stack(problem, potential)
    # What overflows on the way is no solution, and is refused as such.
    with np.errstate(all="ignore"):
        if isinstance(stacked.potential, WeightedL1):
            return _basis_pursuit(stacked, tolerance)
        system = stacked.system()
        task = _in_units(stacked, system)
        if solver == "newton":
            point = _newton(stacked, system, task, start, max_iterations)
        else:
            from momentumflow.numeric.implicit.model import solve_by_cvxpy

            point = solve_by_cvxpy(system, task.y, task.potential, cvxpy_solver)
        point = stacked.units.user(point, task.exponents)
        certificate = certify_scaled(
            stacked.matrix,
            stacked.units,
            stacked.y,
            stacked.potential,
            point.theta,
            (point.nu, point.nu_tail),
            system.rank,
        )
        _explain_infeasible(stacked, task, point, certificate)
    return _finish(stacked, point, certificate, solver, tolerance, system.rank)


@dataclass(frozen=True, eq=False)
class Stacked:
    """A problem with its batch axes flattened to one, its matrix in balanced units."""

    matrix: Matrix
    units: Units
    #: In the user's units, as the potential is.
    y: FloatArray
    potential: Any
    batch: tuple[int, ...]

    def system(self) -> DualSystem:
        """What a solver makes of the matrix; a y outside its range is refused."""
        system = dual_system(self.matrix)
        _check_consistent(system, self.units.targets(self.y, np.zeros(1, np.int32)))
        return system


@dataclass(frozen=True, eq=False)
class _Task:
    """The problem as a solver sees it: its solution is of order one."""

    y: FloatArray
    potential: Any
    exponents: NDArray[np.int32]


def _in_units(stacked: Stacked, system: DualSystem) -> _Task:
    """Measure the solution by the least-norm one, or by the reference point."""
    units = stacked.units
    least = system.least_norm(units.targets(stacked.y, np.zeros(1, np.int32)))
    reference = np.ldexp(stacked.potential.reference_point(), units.columns)
    largest = np.where(np.isfinite(reference), reference, 0.0)
    size = size_exponents(np.where(np.any(least != 0, axis=-1, keepdims=True), least, largest))
    exponents = units.theta_exponents(size)
    scale = np.ldexp(1.0, exponents)
    return _Task(units.targets(stacked.y, size), in_units(stacked.potential, scale), exponents)


def in_units(potential: Any, scale: FloatArray) -> Any:
    """The potential of `theta / scale`; refused where float64 does not hold its parameters."""
    try:
        with np.errstate(all="ignore"):
            return potential.scaled(scale)
    except InputError as error:
        raise InputError(
            "parameters of the potential that float64 still holds in units of the solution",
            f"a {potential.name} with one that it does not",
            "rescale the columns of X, or y",
        ) from error


def stack(
    problem: Regression | tuple[Any, ArrayLike], potential: Potential | WeightedL1
) -> Stacked:
    """Check a problem against a potential and flatten the batch axes of both."""
    X, y = _matrices(problem)
    n, d = X.shape[-2:]
    shape = potential.shape
    if shape and shape[-1] not in (1, d):
        raise InputError(
            f"parameters of the potential with one entry for each of the {d} columns of X",
            f"shape {shape}",
        )
    batch = broadcast_shapes(X=X.shape[:-2], y=y.shape[:-1], potential=shape[:-1])
    matrix, units = _wrapped(X, batch)
    targets = np.ascontiguousarray(np.broadcast_to(y, (*batch, n)).reshape(-1, n))
    return Stacked(matrix, units, targets, _flatten(potential, batch, d), batch)


def _flatten(potential: Any, batch: tuple[int, ...], d: int) -> Any:
    full = potential.broadcast_to((*batch, d))
    return full.take(tuple(index.ravel() for index in np.indices(batch)) if batch else None)


def _matrices(problem: Regression | tuple[Any, ArrayLike]) -> tuple[Any, FloatArray]:
    if isinstance(problem, Regression):
        return problem.X, problem.y
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
    return X, y


def _check_consistent(system: DualSystem, y: FloatArray) -> None:
    """Refuse what is missed by more than a share of the terms of its own row."""
    outside = np.abs(system.outside(y))
    if not outside.any():
        return
    _, size = system.matrix.residual(system.least_norm(y), y)
    # the rounding of one row's projection shows in the others
    rounding = 1e-14 * np.abs(y).max(axis=-1, keepdims=True)
    distance = np.where(outside > rounding, outside / np.where(size > 0, size, 1.0), 0.0)
    worst = float(distance.max())
    if worst > RANGE_TOLERANCE:
        raise InputError(
            "y in the range of X, so that some theta fits it exactly",
            f"a y at relative distance {worst:.3g} from it",
            "drop duplicate or noisy rows, or take nearest_consistent_target(X, y)",
        )


@checked
def nearest_consistent_target(X: AnyMatrix, y: Vector) -> FloatArray:
    """Return the y nearest to the given one that some theta fits exactly.

    Parameters
    ----------
    X : array_like, shape (..., n, d), or sparse array or LinearOperator, shape (n, d)
    y : array_like, shape (..., n)

    Returns
    -------
    ndarray, shape (..., n)
        The projection of y on the range of X; where rows of X differ much in
        size, nearest is meant in units of the rows.
    """
    X, y = _matrices((X, y))
    batch = broadcast_shapes(X=X.shape[:-2], y=y.shape[:-1])
    targets = np.broadcast_to(y, (*batch, y.shape[-1]))
    flat = targets.reshape(-1, y.shape[-1])
    matrix, units = _wrapped(X, batch)
    outside = dual_system(matrix).outside(np.ldexp(flat, -units.rows))
    return (flat - np.ldexp(outside, units.rows)).reshape(targets.shape)


def _wrapped(X: Any, batch: tuple[int, ...]) -> tuple[Matrix, Units]:
    return matrix_of(X if is_operator(X) else _flat(X, 2, batch))


def _flat(array: FloatArray, core: int, batch: tuple[int, ...]) -> FloatArray:
    """Flatten the batch axes of an array to one, of length one where all share it."""
    own = array.shape[array.ndim - core :]
    if math.prod(array.shape[: array.ndim - core]) == 1:
        return array.reshape(1, *own)
    return np.ascontiguousarray(np.broadcast_to(array, (*batch, *own)).reshape(-1, *own))


def _newton(
    stacked: Stacked,
    system: DualSystem,
    task: _Task,
    start: ImplicitSolution | ArrayLike | None,
    max_iterations: int,
) -> DualPoint:
    y, nu = stacked.y, None
    if start is not None:
        given = start.dual if isinstance(start, ImplicitSolution) else floats(start)
        if given.shape[-1:] != y.shape[-1:]:
            raise InputError(
                f"a start with a dual of {y.shape[-1]} entries", f"shape {given.shape}"
            )
        dual = np.broadcast_to(given, (*stacked.batch, y.shape[-1])).reshape(y.shape)
        nu = np.ldexp(np.where(np.isfinite(dual), dual, 0.0), stacked.units.rows)
    point = solve_dual(system, task.y, task.potential, start=nu, max_iterations=max_iterations)
    return refine(system, task.y, task.potential, point)


def _explain_infeasible(
    stacked: Stacked, task: _Task, point: DualPoint, certificate: Certificate
) -> None:
    """Find out whether the domain is why a problem has no solution."""
    low, high = stacked.potential.domain
    matrix = stacked.matrix
    if not isinstance(matrix, DenseMatrix) or not (np.isfinite(low) or np.isfinite(high)):
        return
    for b in np.flatnonzero(~(certificate.worst() < _FAILED)):
        bounds = [np.ldexp(end, -task.exponents[b]) for end in (low, high)]
        if not has_interior_point(matrix.X[b % matrix.X.shape[0]], task.y[b], *bounds):
            point.status[b] = ImplicitStatus.RELAX_CONSTRAINTS


def _basis_pursuit(stacked: Stacked, tolerance: float) -> ImplicitSolution:
    if not isinstance(stacked.matrix, DenseMatrix):
        raise InputError("an ndarray X for a weighted l1 norm", "a sparse or matrix-free X")
    system = stacked.system()
    units, norm = stacked.units, stacked.potential
    size = size_exponents(system.least_norm(units.targets(stacked.y, np.zeros(1, np.int32))))
    exponents = units.theta_exponents(size)
    # the norm in units of 2^size
    y = units.targets(stacked.y, size)
    unit = in_units(norm, np.ldexp(1.0, -units.columns))
    X, B = stacked.matrix.X, y.shape[0]
    theta, nu, steps = np.empty((B, X.shape[-1])), np.empty_like(y), np.zeros(B, dtype=np.int64)
    for b in range(B):
        theta[b], nu[b], steps[b] = solve_basis_pursuit(X[b % X.shape[0]], y[b], unit.take(b))
    certificate = certify_basis_pursuit(stacked.matrix, y, unit, theta, nu, system.rank)
    certificate = replace(certificate, objective=np.ldexp(certificate.objective, size))
    status = np.full(B, None, dtype=object)
    point = DualPoint(theta, nu, np.zeros_like(nu), theta, certificate.feasibility, steps, status)
    point = units.user(point, exponents)
    return _finish(stacked, point, certificate, "highs", tolerance, system.rank)


def _finish(
    stacked: Stacked,
    point: DualPoint,
    certificate: Certificate,
    solver: str,
    tolerance: float,
    rank: Any,
) -> ImplicitSolution:
    y, potential, batch = stacked.y, stacked.potential, stacked.batch
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

    return ImplicitSolution(
        theta=proved(point.theta),
        dual=proved(point.nu),
        gap=shaped(certificate.gap),
        feasibility=shaped(certificate.feasibility),
        stationarity=shaped(certificate.stationarity),
        error=shaped(certificate.error),
        status=shaped(status),
        rank=shaped(np.broadcast_to(rank, y.shape[:1])),
        iterations=shaped(point.iterations),
        objective=shaped(certificate.objective),
        potential=potential.take(0) if not batch else potential,
        solver=solver,
        dual_tail=proved(point.nu_tail),
    )
