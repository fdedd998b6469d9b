"""The convex model for users who add constraints of their own.

A conic solver finds which inequalities are active; the problem with those as
equations is then solved by the dual Newton method and certified, and the signs
of the multipliers and the slack of the rest prove optimality.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from momentumflow.base.arguments import PositiveFloat, checked
from momentumflow.base.arrays import FloatArray, Positive, Reals, float_array
from momentumflow.base.errors import InputError, shown
from momentumflow.base.values import Formulated, Value
from momentumflow.numeric.data.pairs import AnyProblem
from momentumflow.numeric.data.problems import Regression
from momentumflow.numeric.implicit.api import implicit_solution, in_units
from momentumflow.numeric.implicit.model import (
    ConicForm,
    conic_form,
    conic_solver,
    run_conic_solver,
)
from momentumflow.numeric.implicit.potentials import Potential, hyperbolic_potential
from momentumflow.numeric.implicit.solution import ImplicitSolution, ImplicitStatus

_ACTIVE_SET_CHANGES = 50


@checked
@dataclass(frozen=True, eq=False, repr=False)
class ConstrainedSolution(Value):
    """The minimiser under `X theta = y` and further affine constraints.

    Parameters
    ----------
    theta : ndarray, shape (d,)
        NaN unless certified.
    status : ImplicitStatus
    solution : ImplicitSolution or None
        The certified solution with the active inequalities as equations; its
        dual ends with their multipliers.
    multipliers : tuple of ndarray
        One for each added constraint, of its shape; >= 0 for inequalities.
    slack : float
        Smallest slack of an inequality over the size of its terms; >= 0 up to rounding.
    """

    theta: FloatArray
    status: ImplicitStatus
    solution: ImplicitSolution | None
    multipliers: tuple[FloatArray, ...]
    slack: float

    @property
    def certified(self) -> bool:
        """Whether optimality is proved."""
        return self.status is ImplicitStatus.CERTIFIED


@checked
class ImplicitModel(Formulated):
    r"""`min D_psi(theta, reference)` subject to `X theta = y`, to be extended.

    Parameters
    ----------
    problem : Regression or pair (X, y)
        One dense problem.
    balancedness, reference, log_balancedness, shift, potential
        As in `implicit_solution`.

    Attributes
    ----------
    theta : cvxpy Expression, shape (d,)
        Write constraints with it: `model.solve([model.theta >= 0])`.
    objective : cvxpy Expression
        A multiple of the divergence, up to a constant, in the model's units.
    constraints : list of cvxpy Constraint
        `X theta = y`, with rows scaled.

    Examples
    --------
    >>> model = ImplicitModel(problem, 1e-3)          # doctest: +SKIP
    >>> model.solve([model.theta >= 0]).theta         # doctest: +SKIP
    """

    def __init__(
        self,
        problem: AnyProblem,
        balancedness: Positive | None = None,
        reference: Reals | None = None,
        *,
        log_balancedness: Reals | None = None,
        shift: Reals | None = None,
        potential: Potential | None = None,
    ) -> None:
        X, y = (problem.X, problem.y) if isinstance(problem, Regression) else problem
        self.X, self.y = float_array("X", X, ndim_min=2), float_array("y", y, ndim_min=1)
        if self.X.ndim != 2 or self.y.ndim != 1:
            raise InputError("one problem", f"a batch, X of shape {self.X.shape}")
        if potential is None:
            potential = hyperbolic_potential(balancedness, reference, log_balancedness, shift)
        self.potential = potential.broadcast_to((self.X.shape[1],))
        least = np.linalg.lstsq(self.X, self.y, rcond=None)[0]
        self.scale = float(np.abs(least).max()) or 1.0
        self._form: ConicForm = conic_form(in_units(self.potential, np.asarray(self.scale)))
        rows = np.abs(self.X).max(axis=1)
        rows = np.where(rows > 0, rows, 1.0)
        self.theta = self.scale * self._form.theta
        self.objective = self._form.objective
        with np.errstate(all="ignore"):  # what overflows no solver is told
            target = self.y / rows / self.scale
        self.constraints = [(self.X / rows[:, None]) @ self._form.theta == target]

    def _formula(self) -> str:
        return (
            r"\min_{\theta}\; D_\psi(\theta, \tilde\theta_0)"
            r"\quad\text{subject to}\quad X\theta = y"
        )

    def __repr__(self) -> str:
        n, d = self.X.shape
        return (
            f"ImplicitModel({self.potential.name}: min D(theta, reference), X theta = y, {n} x {d})"
        )

    def solve(
        self,
        constraints: Sequence[Any] = (),
        *,
        cvxpy_solver: str | None = None,
        tolerance: PositiveFloat = 1e-9,
    ) -> ConstrainedSolution:
        """Minimise under the model's constraints and `constraints`.

        Parameters
        ----------
        constraints : list of cvxpy constraints
            Affine equations and inequalities in `theta`.
        cvxpy_solver : str, optional
            An installed conic solver.
        tolerance : float
            As in `implicit_solution`.

        Raises
        ------
        InputError
            A constraint that is not affine in `theta` or holds NaN or infinity, y outside
            the range of X, or a solver that is not installed.
        """
        solver = conic_solver(cvxpy_solver)
        for constraint in constraints:
            self._check_affine(constraint)
        count = run_conic_solver(self.objective, [*self.constraints, *constraints], solver)
        if constraints and isinstance(count, ImplicitStatus):
            return self._refused(count)
        blocks = [self._affine(c) for c in constraints]
        return self._active_set(blocks, tolerance)

    def _refused(self, status: ImplicitStatus) -> ConstrainedSolution:
        nan = np.full(self.X.shape[1], np.nan)
        return ConstrainedSolution(nan, status, None, (), np.nan)

    def _check_affine(self, constraint: Any) -> None:
        kinds = ("Zero", "Equality", "NonPos", "Inequality")
        if type(constraint).__name__ not in kinds:
            raise InputError("constraints as CVXPY makes them", shown(constraint))
        known = constraint.expr.is_affine()
        own = {v.id for v in self._form.theta.variables()}
        if not known or not {v.id for v in constraint.expr.variables()} <= own:
            raise InputError(
                "added constraints that are affine in model.theta",
                f"one of kind {type(constraint).__name__}, {constraint.expr.curvature.lower()}",
                "only those can be certified",
            )
        for held in (*constraint.expr.constants(), *constraint.expr.parameters()):
            value, sparse = held.value, sp.issparse(held.value)
            numbers = value.data if sparse else value
            if value is None or not np.isfinite(numbers).all():
                raise InputError(
                    "added constraints with finite numbers",
                    "a parameter without a value" if value is None else "NaN or infinity",
                )

    def _affine(self, constraint: Any) -> _Block:
        """Read `B theta + c <= 0` or `= 0` off a constraint."""
        equation = type(constraint).__name__ in ("Zero", "Equality")
        expression = constraint.expr
        d = self.X.shape[1]
        size = int(np.prod(expression.shape))
        gradient = expression.grad.get(self._form.variable)
        B = np.zeros((size, d))
        if gradient is not None:
            dense = gradient.toarray() if hasattr(gradient, "toarray") else np.asarray(gradient)
            B = np.reshape(dense, (d, size)).T / (self._form.unit * self.scale)
        value = np.asarray(expression.value, dtype=np.float64).ravel(order="F")
        offset = value - B @ np.asarray(self.theta.value)
        dual = np.zeros(size)
        if constraint.dual_value is not None:
            dual = np.abs(np.asarray(constraint.dual_value, dtype=np.float64)).ravel(order="F")
        # Complementarity in comparable units decides what is active at first.
        slack = np.abs(value) / (np.abs(B).sum(axis=1) * self.scale + np.abs(offset) + 1e-300)
        spread = dual / (dual.max() if dual.max() > 0 else 1.0)
        active = np.ones(size, dtype=bool) if equation else spread > slack
        return _Block(B, offset, equation, active)

    def _active_set(self, blocks: list[_Block], tolerance: float) -> ConstrainedSolution:
        n, d = self.X.shape
        empty = np.zeros(0, dtype=bool)
        B = np.concatenate([np.zeros((0, d)), *(b.B for b in blocks)])
        offset = np.concatenate([np.zeros(0), *(b.offset for b in blocks)])
        equation = np.concatenate([empty, *(np.full(len(b.B), b.equation) for b in blocks)])
        active = np.concatenate([empty, *(b.active for b in blocks)])
        size = np.abs(B).sum(axis=1) * self.scale + np.abs(offset) + 1e-300
        seen: set[bytes] = set()
        for _ in range(_ACTIVE_SET_CHANGES):
            if active.tobytes() in seen:
                break
            seen.add(active.tobytes())
            extended = np.concatenate([self.X, B[active]])
            target = np.concatenate([self.y, -offset[active]])
            try:
                found = implicit_solution(
                    (extended, target), potential=self.potential, tolerance=tolerance
                )
            except InputError:
                if not active.any():
                    raise
                # active constraints that contradict each other
                return self._refused(ImplicitStatus.TRY_ANOTHER_SOLVER)
            if not found.certified:
                return self._refused(found.status)
            multipliers = np.zeros(len(B))
            multipliers[active] = -found.dual[n:]
            slack = np.where(equation | active, 0.0, -(B @ found.theta + offset) / size)
            wrong = active & ~equation & (multipliers < 0)
            broken = ~active & ~equation & (slack < -tolerance)
            if not wrong.any() and not broken.any():
                shares = np.split(multipliers, np.cumsum([len(b.B) for b in blocks])[:-1])
                least = float(slack.min()) if slack.size else 0.0
                return ConstrainedSolution(
                    found.theta, ImplicitStatus.CERTIFIED, found, tuple(shares), least
                )
            # One change at a time, the worst first, so that the set cannot cycle
            # through large swaps.
            if broken.any():
                active[np.argmin(np.where(broken, slack, np.inf))] = True
            else:
                active[np.argmin(np.where(wrong, multipliers, np.inf))] = False
        return self._refused(ImplicitStatus.TRY_ANOTHER_SOLVER)


@dataclass(frozen=True, eq=False)
class _Block:
    """`B theta + offset <= 0`, or `= 0`, and which rows the solver left active."""

    B: FloatArray
    offset: FloatArray
    equation: bool
    active: Any
