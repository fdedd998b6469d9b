"""The implicit-regularisation problem as a disciplined convex program.

With `theta = p - q`, p and q >= 0, twice the hyperbolic divergence is
`sum kl_div(p, p0) + kl_div(q, q0)`, `p0 = (Delta/4) e^s`, `q0 = (Delta/4) e^{-s}`.
Conic solvers lose most digits on that form; here the entropies stand as
`-entr`, the logarithms of p0 and q0 as linear costs, the rows are whitened and
the solution is scaled to order one. Whatever the solver then says is polished
by a few Newton steps and certified, or refused.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from momentumflow.base import libraries
from momentumflow.base.arrays import FloatArray
from momentumflow.base.errors import InputError
from momentumflow.numeric.implicit.algebra import DenseMatrix
from momentumflow.numeric.implicit.dual_systems import DirectSystem, DualSystem
from momentumflow.numeric.implicit.entropies import KullbackLeibler, WeightedL2
from momentumflow.numeric.implicit.newton import DualPoint, refine, solve_dual
from momentumflow.numeric.implicit.potentials import HyperbolicEntropy, Potential
from momentumflow.numeric.implicit.solution import ImplicitStatus

_log = logging.getLogger(__name__)

# Exponential-cone solvers that CVXPY may drive, best first on this problem,
# with the options that ask for their last digits.
_CONIC_SOLVERS: dict[str, dict[str, Any]] = {
    "CLARABEL": {
        "tol_gap_abs": 1e-12,
        "tol_gap_rel": 1e-12,
        "tol_feas": 1e-12,
        "max_iter": 400,
    },
    "MOSEK": {},
    "ECOS": {"abstol": 1e-12, "reltol": 1e-12, "feastol": 1e-12, "max_iters": 400},
    "SCS": {"eps_abs": 1e-9, "eps_rel": 1e-9, "max_iters": 100_000},
}
# A polish is the end game of Newton's method, not a solve of its own.
_POLISH_STEPS = 10


def solve_by_cvxpy(
    system: DualSystem, y: FloatArray, potential: Potential, solver: str | None
) -> DualPoint:
    """Solve each problem of the batch, of order one, with a conic solver; then polish.

    Raises
    ------
    InputError
        A potential without a conic form, or a solver that is not installed.
    """
    name = conic_solver(solver)
    _log.debug("%d problem(s) to CVXPY's solver %s", y.shape[0], name)
    if not (isinstance(system, DirectSystem) and isinstance(system.matrix, DenseMatrix)):
        raise InputError(
            "an ndarray X for solver='cvxpy'",
            "a sparse or matrix-free X",
            "use solver='newton' or X.toarray()",
        )
    nu = np.zeros_like(y)
    steps = np.zeros(y.shape[0], dtype=np.int64)
    answered = np.zeros(y.shape[0], dtype=bool)
    for b in range(y.shape[0]):
        one = system.take(slice(b, b + 1))
        found = _solve_one(one, system.matrix, b, y[b], potential.take(b), name)
        if isinstance(found, ImplicitStatus):
            _log.info("problem %d of %d: %s gave no answer", b + 1, y.shape[0], name)
        else:
            nu[b], steps[b] = found
            answered[b] = True
    point = solve_dual(system, y, potential, start=nu, max_iterations=_POLISH_STEPS)
    point = refine(system, y, potential, point)
    status = point.status
    far = ~answered | np.array([s is not None for s in status])
    status[far] = ImplicitStatus.TRY_ANOTHER_SOLVER
    theta = np.where(answered[:, None], point.theta, np.nan)
    return replace(point, theta=theta, iterations=steps, status=status)


def conic_solver(name: str | None) -> str:
    """Return the name of an installed solver of exponential cones.

    Raises
    ------
    InputError
        If the named solver, or any, is not installed.
    """
    cp = libraries.cvxpy()

    installed = [s for s in _CONIC_SOLVERS if s in cp.installed_solvers()]
    if name is None:
        if not installed:
            raise InputError(
                "an installed conic solver", "none", "pip install clarabel, or solver='newton'"
            )
        return installed[0]
    wanted = name.upper()
    if wanted not in installed:
        raise InputError(
            f"cvxpy_solver to be one of the installed {', '.join(installed)}",
            repr(name),
            "install it, or leave cvxpy_solver out",
        )
    return wanted


@dataclass(frozen=True, eq=False)
class ConicForm:
    """A divergence as a CVXPY expression, in variables of order one.

    Parameters
    ----------
    theta : cvxpy Expression, shape (d,)
    objective : cvxpy Expression
        `weight` times D_psi(theta, reference), up to a constant.
    weight : float
    variable : cvxpy Variable, shape (d,)
        One on which theta depends as `d theta_i / d variable_i = unit_i`.
    unit : ndarray, shape (d,)
    """

    theta: Any
    objective: Any
    weight: float
    variable: Any
    unit: FloatArray


def conic_form(potential: Potential, share: FloatArray | float = 1.0) -> ConicForm:
    """Write D_psi(theta, reference) by the rules of disciplined convex programming.

    Parameters
    ----------
    potential : Potential
        Parameters of shape (d,).
    share : ndarray, shape (d,)
        What each coordinate's divergence is multiplied by.

    Raises
    ------
    InputError
        A potential without an exponential-cone or quadratic form.
    """
    cp = libraries.cvxpy()

    (d,) = potential.shape

    def entropy(log_centre: FloatArray, name: str) -> tuple[Any, Any, Any, FloatArray]:
        # kl_div(x, e^log_centre) up to a constant, x in units of max(e^log_centre, 1).
        log_unit = np.clip(log_centre, 0.0, 600.0)
        unit = np.exp(log_unit)
        x = cp.Variable(d, name=name)
        cost = -(share * unit) @ cp.entr(x) - (share * unit * (1 + log_centre - log_unit)) @ x
        return cp.multiply(unit, x), cost, x, unit

    if isinstance(potential, HyperbolicEntropy):
        centre = potential.log_balancedness - np.log(4.0)
        p, cost_p, variable, unit = entropy(centre + potential.shift, "p")
        q, cost_q, _, _ = entropy(centre - potential.shift, "q")
        return ConicForm(p - q, cost_p + cost_q, 2.0, variable, unit)
    if isinstance(potential, KullbackLeibler):
        theta, cost, variable, unit = entropy(potential.log_reference, "theta")
        return ConicForm(theta, cost, 1.0, variable, unit)
    if isinstance(potential, WeightedL2):
        x = cp.Variable(d, name="theta")
        root = np.sqrt(share * potential.weights)
        cost = 0.5 * cp.sum_squares(cp.multiply(root, x - potential.reference))
        return ConicForm(x, cost, 1.0, x, np.ones(d))
    raise InputError(
        "a potential with a conic form for solver='cvxpy'", potential.name, "use solver='newton'"
    )


def run_conic_solver(objective: Any, constraints: list[Any], solver: str) -> int | ImplicitStatus:
    """Minimise; return the iteration count, or why the solver gave no answer.

    `RELAX_CONSTRAINTS` is what the solver says of infeasible constraints, anything
    else it fails at, numbers included that are too large for it, is `TRY_ANOTHER_SOLVER`.
    """
    cp = libraries.cvxpy()

    problem = cp.Problem(cp.Minimize(objective), constraints)
    try:
        # CVXPY warns that a solution may be inaccurate; here the certificate decides.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            problem.solve(solver=solver, **_CONIC_SOLVERS[solver])
    except cp.error.SolverError:
        return ImplicitStatus.TRY_ANOTHER_SOLVER
    except ValueError as error:
        # What overflows while CVXPY multiplies the model out it tells no solver.
        if not str(error).startswith("Problem data contains"):
            raise
        return ImplicitStatus.TRY_ANOTHER_SOLVER
    if problem.status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
        return ImplicitStatus.RELAX_CONSTRAINTS
    dual = constraints[0].dual_value
    known = dual is not None and all(v.value is not None for v in problem.variables())
    if not known or not np.all(np.isfinite(dual)):
        return ImplicitStatus.TRY_ANOTHER_SOLVER
    stats = problem.solver_stats
    return int(stats.num_iters or 0) if stats is not None else 0


def _solve_one(
    system: DirectSystem,
    matrix: DenseMatrix,
    b: int,
    y: FloatArray,
    potential: Potential,
    solver: str,
) -> tuple[FloatArray, int] | ImplicitStatus:
    """Return the solver's dual and its iteration count, or why there is none."""
    inside = system.padding[0] == 0
    whitener = system.whitener[0][inside]
    X, weight = matrix.X[b % matrix.X.shape[0]], matrix.column_weight(b)
    if not inside.any():
        return np.zeros_like(y), 0
    if not np.isfinite(X * weight).all():
        return ImplicitStatus.TRY_ANOTHER_SOLVER
    potential, origin = _recentred(X * weight, potential)
    form = conic_form(potential, 1 / weight)
    constraint = (whitener @ X) @ form.theta == whitener @ y
    count = run_conic_solver(form.objective, [constraint], solver)
    if isinstance(count, ImplicitStatus):
        return count
    return origin - whitener.T @ np.atleast_1d(constraint.dual_value) / form.weight, count


def _recentred(X: FloatArray, potential: Potential) -> tuple[Potential, FloatArray]:
    """Move the part of the shift that lies in the row space of X into the dual variable.

    Only X^T nu + s/2 enters the problem, so s + 2 X^T nu_0 with the dual counted
    from nu_0 states the same one. A trajectory with large lambda has shifts of
    50 and more, nearly all of it in the row space; left in, they would make the
    centres p0 and q0 differ by forty orders of magnitude.
    """
    if not isinstance(potential, HyperbolicEntropy):
        return potential, np.zeros(X.shape[0])
    nearest = np.linalg.lstsq(X.T, potential.shift, rcond=None)[0]
    origin = np.asarray(-0.5 * nearest, dtype=np.float64)
    return replace(potential, shift=potential.shift + 2 * X.T @ origin), origin
