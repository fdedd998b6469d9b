r"""The modified equation of a momentum method, to any order, in both regimes.

- `regime="inertial"` (lambda fixed, eps to zero): `w'' = Phi(w, w')`, right
  through `eps^order`; `order = 1` is the first correction to momentum gradient
  flow, which itself is `leading_equation(method)`.
- `regime="slow"` (parameters fixed, gamma to zero): `w' = G(w)`, right through
  `gamma^order`, one step per unit time; `order = 1` is gradient flow.

The coefficients are exact and derived from the update rule alone; see
`slow_regime.py` and `inertial_regime.py` beside this file for how.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import Reals
from momentumflow.base.choices import Regime
from momentumflow.base.errors import InputError
from momentumflow.base.values import Formulated
from momentumflow.symbolic import symbols
from momentumflow.symbolic.equations.elementwise import Slow, System, slow_regime
from momentumflow.symbolic.equations.inertial_optimiser import InertialSystem, inertial_system
from momentumflow.symbolic.equations.inertial_regime import (
    InertialScaling,
    InertialSeries,
    inertial_series,
)
from momentumflow.symbolic.equations.slow_regime import SlowSeries, slow_series
from momentumflow.symbolic.expressions import Formula, SymbolLike
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.methods.optimisers import Optimiser
from momentumflow.symbolic.series.elementwise_series import ElementwiseEquation, ElementwiseMap
from momentumflow.symbolic.series.right_hand_side import (
    Iteration,
    RightHandSide,
    iteration,
    right_hand_side,
)
from momentumflow.symbolic.series.terms import LazyCoefficients
from momentumflow.symbolic.series.tree_series import TreeSeries
from momentumflow.symbolic.trees.rooted_trees import VELOCITY, Tree, number_of_trees

MAX_ORDER = {"slow": 15, "inertial": 10}
# The functions of the gradient at the nodes double in size with each order.
MAX_OPTIMISER_ORDER = {"slow": 6, "inertial": 3}


@checked
class ModifiedEquation(TreeSeries):
    """The differential equation that a method follows, truncated.

    Attributes
    ----------
    method : MomentumMethod
    order : int
        The highest power of `eps` (inertial) or `gamma` (slow) that is kept.
    regime : {"inertial", "slow"}
    scaling : InertialScaling or None
        Inertial regime: eps and lambda in the method's parameters.
    initial_velocity : TreeSeries or None
        Inertial regime: `w'(0)` that makes the start of the method exact to the
        same order; None where `w_{-1}` does not tie it.
    """

    def __init__(
        self,
        method: MomentumMethod,
        order: int,
        regime: Regime,
        coefficients: Mapping[Tree, sp.Expr],
        *,
        scaling: InertialScaling | None = None,
        initial_velocity: TreeSeries | None = None,
    ) -> None:
        inertial = regime == "inertial"
        super().__init__(
            "w''" if inertial else "w'", coefficients, max_nodes=None if inertial else order
        )
        self.method = method
        self.order = order
        self.regime = regime
        self.scaling = scaling
        self.initial_velocity = initial_velocity

    def _identity(self) -> tuple[Any, ...]:
        return (*super()._identity(), self.method, self.order, self.initial_velocity)

    @property
    def _parts(self) -> tuple[TreeSeries, ...]:
        return (self,) if self.initial_velocity is None else (self, self.initial_velocity)

    def __repr__(self) -> str:
        return (
            f"<ModifiedEquation of {self.method.name}, {self.regime} regime, order {self.order}: "
            f"{len(self)} terms>"
        )

    @property
    def small_parameter(self) -> sp.Symbol:
        """The symbol in whose powers the equation is truncated."""
        return symbols.eps if self.regime == "inertial" else self.method.step

    def in_method_parameters(self) -> TreeSeries:
        """Return the equation with eps and lambda written in the method's parameters."""
        if self.scaling is None:
            return self
        return self.subs({symbols.eps: self.scaling.time_step, symbols.lam: self.scaling.intrinsic})

    def first_order_form(self) -> FirstOrderForm:
        """Return the equation as a first-order system, with its start where it is tied."""
        if self.regime == "slow":
            return FirstOrderForm((self,), None)
        return FirstOrderForm(
            (
                TreeSeries("w'", {VELOCITY: sp.S.One}),
                TreeSeries("v'", self._coefficients),
            ),
            self.initial_velocity,
        )

    def rhs(
        self,
        loss: Formula | Callable[..., Any],
        variables: Sequence[SymbolLike] | None = None,
        **parameters: Reals,
    ) -> RightHandSide:
        """Return the right-hand side for a concrete loss, on float64 arrays.

        Parameters
        ----------
        loss : sympy.Expr or callable
            The loss F as an expression, or its gradient as a function of one
            array whose last axis holds the variables, written in smooth NumPy
            operations; its derivatives of all orders are taken exactly.
        variables : sequence of symbols, optional
            The variables of a SymPy loss, in the order of the last axis.
        **parameters
            `eps` and `lam` (inertial) or the method's own, `gamma` and `beta`;
            numbers, or arrays of the batch's leading shape.

        Raises
        ------
        InputError
            If the loss is not smooth, or a parameter is missing or unknown.
        """
        own = (self.method.step, *self.method.parameters)
        wanted: tuple[sp.Symbol, ...] = own
        derived: dict[sp.Symbol, sp.Expr] = {}
        if self.scaling is not None:
            derived = {symbols.eps: self.scaling.time_step, symbols.lam: self.scaling.intrinsic}
            others = (s for s in self.method.parameters if s != self.method.momentum)
            wanted = (*derived, *others)
        start = None if self.initial_velocity is None else self.initial_velocity.terms
        return right_hand_side(
            self.terms, start, (wanted, own, derived), loss, variables, parameters
        )


@checked
class MemorylessMap(TreeSeries):
    """The one-step map `w_{k+1} - w_k = ...` of the slow manifold, truncated.

    Attributes
    ----------
    method : MomentumMethod
    order : int
        The highest power of the step that is kept.
    """

    def __init__(
        self, method: MomentumMethod, order: int, coefficients: Mapping[Tree, sp.Expr]
    ) -> None:
        super().__init__("w_{k+1} - w_k", coefficients, max_nodes=order)
        self.method = method
        self.order = order

    def _identity(self) -> tuple[Any, ...]:
        return (*super()._identity(), self.method)

    def iteration(
        self,
        loss: Formula | Callable[..., Any],
        variables: Sequence[SymbolLike] | None = None,
        **parameters: Reals,
    ) -> Iteration:
        """Return the map for a concrete loss, on float64 arrays.

        Parameters
        ----------
        loss : sympy.Expr or callable
            As `ModifiedEquation.rhs` takes it.
        variables : sequence of symbols, optional
            The variables of a SymPy loss, in the order of the last axis.
        **parameters
            The method's own, `gamma` and `beta`; numbers, or arrays of the batch's
            leading shape.

        Returns
        -------
        Iteration
            A function from w_k to w_{k+1}.

        Raises
        ------
        InputError
            If the loss is not smooth, or a parameter is missing or unknown.

        Examples
        --------
        >>> from momentumflow.symbolic import HeavyBall, memoryless_map
        >>> step = memoryless_map(HeavyBall(), 2).iteration("x**2/2", gamma=0.1, beta=0.5)
        >>> step([1.0])
        array([0.76])
        >>> step.run([1.0], 2).shape
        (3, 1)
        """
        own = (self.method.step, *self.method.parameters)
        return iteration(self.terms, own, loss, variables, parameters)


@checked
@dataclass(frozen=True, repr=False)
class FirstOrderForm(Formulated):
    """A system `w' = ..., v' = ...` with the initial velocity `v(0)`.

    Attributes
    ----------
    equations : tuple of TreeSeries
        The right-hand sides of w and v; of w alone in the slow regime.
    initial_velocity : TreeSeries or None
        v(0), tied to the start by `w_{-1} = w_0`.
    """

    equations: tuple[TreeSeries, ...]
    initial_velocity: TreeSeries | None

    def _formula(self) -> str:
        start = () if self.initial_velocity is None else (self.initial_velocity,)
        rows = [equation.latex() for equation in (*self.equations, *start)]
        return "\\begin{cases}" + " \\\\ ".join(rows) + "\\end{cases}"

    def __repr__(self) -> str:
        rows = (*self.equations, *([self.initial_velocity] if self.initial_velocity else []))
        return f"<FirstOrderForm {', '.join(f'{row.left_hand_side} = ...' for row in rows)}>"

    def __str__(self) -> str:
        rows = [str(equation) for equation in self.equations]
        if self.initial_velocity is not None:
            rows.append(str(self.initial_velocity))
        return "\n".join(rows)


def check_order(order: Any, regime: str, highest: Mapping[str, int] = MAX_ORDER) -> int:
    """Return `order` as an int that the regime can be derived to.

    Raises
    ------
    InputError
        If it is below 1, not whole, or so high that the trees would fill memory.
    """
    try:
        number = operator.index(order)
    except TypeError:
        raise InputError("order as a whole number", repr(order)) from None
    if number < 1:
        leading = "leading_equation(method)" if regime == "inertial" else "that of order 1"
        raise InputError("order >= 1", f"order = {number}", f"the leading equation is {leading}")
    if number > highest[regime]:
        raise InputError(
            f"order <= {highest[regime]} in the {regime} regime",
            f"order = {number}"
            + (
                f", which has {number_of_trees(number):,} rooted trees or more"
                if number < 50
                else ""
            ),
        )
    return number


@overload
def modified_equation(
    method: MomentumMethod, order: int, regime: Regime = ...
) -> ModifiedEquation: ...
@overload
def modified_equation(
    method: Optimiser, order: int, regime: Literal["slow"]
) -> ElementwiseEquation: ...
@overload
def modified_equation(
    method: Optimiser, order: int, regime: Literal["inertial"] = ...
) -> InertialSystem: ...
@checked
def modified_equation(
    method: MomentumMethod | Optimiser, order: int, regime: Regime = "inertial"
) -> ModifiedEquation | ElementwiseEquation | InertialSystem:
    """Derive the modified equation of a momentum method or of an optimiser with memories.

    Parameters
    ----------
    method : MomentumMethod or Optimiser
        `HeavyBall()`, `MomentumMethod.from_recurrence(...)`, `Adam()`,
        `Optimiser.parse(...)` and the like.
    order : int
        Highest power of eps (inertial) or gamma (slow) kept, >= 1.
    regime : {"inertial", "slow"}
        Which limit: eps to 0 at fixed lambda, or gamma to 0 at fixed parameters.

    Returns
    -------
    ModifiedEquation, ElementwiseEquation or InertialSystem
        Of an optimiser the last two, in the slow and the inertial regime.

    Raises
    ------
    InputError
        Order out of range, unknown regime, no symbolic momentum parameter in the
        inertial regime; a memory that does not forget, a step that is not smooth.

    Examples
    --------
    >>> from momentumflow.symbolic.methods.momentum_methods import HeavyBall
    >>> print(modified_equation(HeavyBall(), 2, "slow"))
    w' = gamma/(1 - beta) f - gamma**2*(1 + beta)/(2*(1 - beta)**3) f'f
    """
    if isinstance(method, Optimiser):
        number = check_order(order, regime, MAX_OPTIMISER_ORDER)
        if regime == "inertial":
            return inertial_system(method, number)
        slow = _slow(method, number)
        return ElementwiseEquation(method.name, method.step, method.parameters, slow.rates)
    number = check_order(order, regime)
    return (
        _slow_equation(method, number) if regime == "slow" else _inertial_equation(method, number)
    )


def _slow(optimiser: Optimiser, order: int) -> Slow:
    return slow_regime(System.of(optimiser), order - 1)


@overload
def leading_equation(method: MomentumMethod) -> ModifiedEquation: ...
@overload
def leading_equation(method: Optimiser) -> InertialSystem: ...
@checked
def leading_equation(method: MomentumMethod | Optimiser) -> ModifiedEquation | InertialSystem:
    """Return the inertial equation at eps = 0: `lambda w'' + w' = f` for heavy ball.

    Parameters
    ----------
    method : MomentumMethod or Optimiser

    Returns
    -------
    ModifiedEquation or InertialSystem
        Of order 0; of an optimiser the first-order system of w and the memories.

    Raises
    ------
    InputError
        If the method has no symbolic momentum parameter.

    References
    ----------
    Papazov, Pesme, Flammarion, AISTATS 2024, arXiv 2403.05293, section 3.

    Examples
    --------
    >>> from momentumflow.symbolic import HeavyBall, leading_equation
    >>> print(leading_equation(HeavyBall()))
    w'' = 1/lambda (f - v)
    """
    return (
        inertial_system(method) if isinstance(method, Optimiser) else _inertial_equation(method, 0)
    )


@overload
def memoryless_map(method: MomentumMethod, order: int) -> MemorylessMap: ...
@overload
def memoryless_map(method: Optimiser, order: int) -> ElementwiseMap: ...
@checked
def memoryless_map(
    method: MomentumMethod | Optimiser, order: int
) -> MemorylessMap | ElementwiseMap:
    """Return the one-step map `w_{k+1} = w_k + ...` that the slow manifold carries.

    After the transients every iterate depends on the last one alone; the map
    is the time-one flow of the slow equation (Cattaneo and Shigida, arXiv
    2509.08483, derive it by unrolling the recursion).

    Parameters
    ----------
    method : MomentumMethod or Optimiser
    order : int
        Highest power of gamma, >= 1.

    Returns
    -------
    MemorylessMap or ElementwiseMap
        A series of elementary differentials of `f` with at most `order` nodes; its
        `iteration(loss, ...)` runs on arrays.

    Raises
    ------
    InputError
        Order out of range.

    Examples
    --------
    >>> from momentumflow.symbolic import HeavyBall, memoryless_map
    >>> print(memoryless_map(HeavyBall(), 2))
    w_{k+1} - w_k = gamma/(1 - beta) f - beta*gamma**2/(1 - beta)**3 f'f
    """
    if isinstance(method, Optimiser):
        slow = _slow(method, check_order(order, "slow", MAX_OPTIMISER_ORDER))
        return ElementwiseMap(method.name, method.step, method.parameters, slow.rates, slow.moves)
    series = slow_series(method.recurrence, check_order(order, "slow"))
    coefficients = _slow_coefficients(series, series.map, method.step)
    return MemorylessMap(method, order, coefficients)


def _slow_equation(method: MomentumMethod, order: int) -> ModifiedEquation:
    series = slow_series(method.recurrence, order)
    coefficients = _slow_coefficients(series, series.flow, method.step)
    return ModifiedEquation(method, order, "slow", coefficients)


def _slow_coefficients(
    series: SlowSeries, elements: Mapping[Tree, Any], step: sp.Symbol
) -> LazyCoefficients:
    def convert(tau: Tree, element: Any) -> sp.Expr:
        symmetry = sp.Rational(1, tau.symmetry)
        return series.coefficient(element, tau.order, step**tau.order, symmetry)

    return LazyCoefficients(elements, convert)


def _inertial_equation(method: MomentumMethod, order: int) -> ModifiedEquation:
    clash = {symbols.eps, symbols.lam} & {method.step, *method.parameters}
    if clash:
        raise InputError(
            "parameters with other names than epsilon and lambda, which the inertial equation uses",
            f"one named {clash.pop()}",
        )
    series = inertial_series(method, order)
    initial = None
    if series.velocity is not None:
        initial = TreeSeries("v(0)", _inertial_coefficients(series, series.velocity, 1))
    return ModifiedEquation(
        method,
        order,
        "inertial",
        _inertial_coefficients(series, series.acceleration, 2),
        scaling=series.scaling,
        initial_velocity=initial,
    )


def _inertial_coefficients(
    series: InertialSeries, elements: Mapping[Tree, Any], time_dimension: int
) -> LazyCoefficients:
    """Return the coefficients with their powers of lambda put back."""

    def convert(tau: Tree, element: Any) -> sp.Expr:
        power = tau.order - time_dimension
        return sp.Add(
            *(
                value * symbols.eps**k * symbols.lam ** (power - k) / tau.symmetry
                for k, value in enumerate(series.coefficients(element))
            )
        )

    return LazyCoefficients(elements, convert)
