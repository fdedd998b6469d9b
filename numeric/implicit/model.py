"""The implicit-regularisation problem as a disciplined convex program.

With `theta = p - q`, p and q >= 0, twice the hyperbolic divergence is
`sum kl_div(p, p0) + kl_div(q, q0)`, `p0 = (Delta/4) e^s`, `q0 = (Delta/4) e^{-s}`.
Conic solvers lose most digits on that form; here the entropies stand as
`-entr`, the logarithms of p0 and q0 as linear costs, the rows are whitened and
the solution is scaled to order one. Whatever the solver then says is polished
by a few Newton steps and certified, or refused.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from momentumflow.numeric.implicit.newton import DualPoint, refine, solve_dual
from momentumflow.numeric.implicit.potentials import HyperbolicEntropy, Potential
from momentumflow.numeric.implicit.rows import DenseRows, Rows
from momentumflow.numeric.implicit.scaling import problem_scale
from momentumflow.numeric.implicit.solution import ImplicitStatus
from momentumflow.numeric.validation import FloatArray
from momentumflow.symbolic.errors import InputError

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
    rows: Rows, y: FloatArray, potential: Potential, solver: str | None
) -> DualPoint:
    """Solve each problem of the batch with a conic solver, then polish.

    Raises
    ------
    InputError
        A potential without a conic form, or a solver that is not installed.
    """
    name = conic_solver(solver)
    if not isinstance(rows, DenseRows):
        raise InputError(
            "an ndarray X for solver='cvxpy'",
            "a sparse or matrix-free X",
            "use solver='newton' or X.toarray()",
        )
    if not isinstance(potential, HyperbolicEntropy):
        raise InputError(
            "a potential with a conic form for solver='cvxpy'",
            potential.name,
            "use solver='newton'",
        )
    scale = problem_scale(rows, y, potential)[:, None]
    unit, target = potential.scaled(scale), y / scale
    nu = np.zeros_like(y)
    steps = np.zeros(y.shape[0], dtype=np.int64)
    answered = np.zeros(y.shape[0], dtype=bool)
    for b in range(y.shape[0]):
        one = rows.take(slice(b, b + 1))
        dual, steps[b] = _solve_one(one, target[b], unit.take(b), name)
        if dual is not None:
            nu[b], answered[b] = dual, True
    point = solve_dual(rows, target, unit, start=nu, max_iterations=_POLISH_STEPS)
    point = refine(rows, target, unit, point)
    status = point.status
    far = ~answered | np.array([s is not None for s in status])
    status[far] = ImplicitStatus.TRY_ANOTHER_SOLVER
    theta = np.where(answered[:, None], point.theta, np.nan)
    return replace(point, theta=theta * scale, iterations=steps, status=status)


def conic_solver(name: str | None) -> str:
    """Return the name of an installed solver of exponential cones.

    Raises
    ------
    InputError
        If the named solver, or any, is not installed.
    """
    import cvxpy as cp

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


def _solve_one(
    rows: DenseRows, y: FloatArray, potential: HyperbolicEntropy, solver: str
) -> tuple[FloatArray | None, int]:
    """Return the solver's dual (None if it has none) and its iteration count."""
    import cvxpy as cp

    inside = rows.padding[0] == 0
    whitener = rows.whitener[0][inside]
    A, b = whitener @ rows.X[0], whitener @ y
    log_p0 = potential.log_balancedness + potential.shift - np.log(4.0)
    log_q0 = potential.log_balancedness - potential.shift - np.log(4.0)
    # Variables in units of max(p0, 1): of order one in every regime.
    unit_p = np.exp(np.clip(log_p0, 0.0, 600.0))
    unit_q = np.exp(np.clip(log_q0, 0.0, 600.0))
    p = cp.Variable(A.shape[1], name="p")
    q = cp.Variable(A.shape[1], name="q")
    theta = cp.multiply(unit_p, p) - cp.multiply(unit_q, q)
    objective = (
        -unit_p @ cp.entr(p)
        - (unit_p * (1 + log_p0 - np.log(unit_p))) @ p
        - unit_q @ cp.entr(q)
        - (unit_q * (1 + log_q0 - np.log(unit_q))) @ q
    )
    constraint = A @ theta == b
    problem = cp.Problem(cp.Minimize(objective), [constraint])
    try:
        # CVXPY warns that a solution may be inaccurate; here the certificate decides.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            problem.solve(solver=solver, **_CONIC_SOLVERS[solver])
    except cp.error.SolverError:
        return None, 0
    count = problem.solver_stats.num_iters if problem.solver_stats is not None else 0
    dual = constraint.dual_value
    if dual is None or not np.all(np.isfinite(dual)):
        return None, int(count or 0)
    return -0.5 * whitener.T @ dual, int(count or 0)
