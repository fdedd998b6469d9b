r"""Which parameters matter: lambda, its refinements, and the acceleration rule.

All of it is solved for from the update rule. In unit time per step the leading
terms of `A(e^D) w = gamma sum_i c_i f(...)` near the critical momentum are

    c_2* w'' + c_1 w' = gamma C f(w).

A change of parameters that multiplies the three terms alike after time has
been stretched leaves the path as it is; what it leaves invariant is `lambda`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.errors import InputError
from momentumflow.base.values import Formulated, FrozenMapping
from momentumflow.symbolic import symbols
from momentumflow.symbolic.equations.damping import friction
from momentumflow.symbolic.equations.inertial_optimiser import inertial_system
from momentumflow.symbolic.equations.inertial_regime import (
    InertialScaling,
    inertial_scaling,
    inertial_series,
)
from momentumflow.symbolic.equations.modified_equations import check_order
from momentumflow.symbolic.expressions import Formula, SymbolLike, canonical, substituted, symbol
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.methods.optimisers import Optimiser
from momentumflow.symbolic.printing import as_latex, as_text
from momentumflow.symbolic.rings import factored
from momentumflow.symbolic.trees.rooted_trees import FIELD


@checked
@dataclass(frozen=True, repr=False)
class AccelerationRule(Formulated):
    """How to walk the same path `rho` times faster.

    Attributes
    ----------
    rho : sympy.Symbol
        The factor.
    parameters : mapping
        Each parameter that changes, to its new value.
    invariant : sympy.Expr
        What the change leaves as it is: lambda.
    exponents : mapping
        The scaling group: the power of rho that multiplies the step, the
        distance of the momentum from its critical value, and the time of one step.
    """

    rho: sp.Symbol
    parameters: Mapping[sp.Symbol, sp.Expr]
    invariant: sp.Expr
    exponents: Mapping[str, sp.Rational]

    def __getitem__(self, parameter: Any) -> sp.Expr:
        found = symbol(parameter, "a parameter")
        return self.parameters.get(found, found)

    def apply(
        self, values: Mapping[SymbolLike, Formula], factor: Formula
    ) -> dict[sp.Symbol, sp.Expr]:
        """Return the parameters for a path walked `factor` times faster.

        Parameters
        ----------
        values : mapping
            Every parameter's value; exact values give exact results.
        factor : number
            The factor rho.
        """
        known = {symbol(name): canonical(value) for name, value in values.items()}
        known[self.rho] = canonical(factor, "the factor")
        return {name: substituted(self[name], known) for name in known if name != self.rho}

    def _formula(self) -> str:
        old = ", ".join(sp.latex(symbol) for symbol in self.parameters)
        new = ", ".join(as_latex(value) for value in self.parameters.values())
        return f"({old}) \\mapsto \\left({new}\\right)"

    def __repr__(self) -> str:
        return f"<AccelerationRule {self}>"

    def __str__(self) -> str:
        old = ", ".join(str(symbol) for symbol in self.parameters)
        new = ", ".join(as_text(value) for value in self.parameters.values())
        return f"({old}) -> ({new}), leaving {self.invariant}"


@checked
def intrinsic_parameter(method: MomentumMethod) -> sp.Expr:
    """Return lambda in the method's parameters: `gamma/(1-beta)^2` for heavy ball.

    Source: Papazov, Pesme, Flammarion (AISTATS 2024, arXiv 2403.05293), section 3.

    Parameters
    ----------
    method : MomentumMethod

    Returns
    -------
    sympy.Expr
        Of the method's step and momentum.

    Raises
    ------
    InputError
        If the method has no symbolic momentum parameter.

    Examples
    --------
    >>> from momentumflow.symbolic.methods.momentum_methods import HeavyBall
    >>> intrinsic_parameter(HeavyBall())
    gamma/(1 - beta)**2
    """
    return inertial_scaling(method).intrinsic


@checked
def intrinsic_parameters(method: MomentumMethod | Optimiser) -> Mapping[sp.Symbol, sp.Expr]:
    """Return what alone decides the path as the step tends to zero.

    Parameters
    ----------
    method : MomentumMethod or Optimiser

    Returns
    -------
    mapping of sympy.Symbol to sympy.Expr
        Every parameter of the leading equation, in the method's own: lambda for heavy
        ball; `tau_1`, `tau_2` and eps for Adam.

    Raises
    ------
    InputError
        As `intrinsic_parameter`, or if the rate at which a memory forgets is no
        parameter of its own.

    Examples
    --------
    >>> from momentumflow.symbolic import Adam, intrinsic_parameters
    >>> intrinsic_parameters(Adam())
    {tau_1: gamma/(1 - beta_1), tau_2: gamma/(1 - beta_2), epsilon: epsilon}
    """
    if isinstance(method, Optimiser):
        system = inertial_system(method.settled)
        free = set().union(*(right.free_symbols for right in system.leading.values()))
        times = system.times.parameters
        own = {p: p for p in method.parameters if p in free}
        return FrozenMapping({tau: value for tau, value in times.items() if tau in free} | own)
    others = [p for p in method.parameters if p != method.momentum]
    return FrozenMapping({symbols.lam: intrinsic_parameter(method)} | {p: p for p in others})


@checked
def time_step(method: MomentumMethod) -> sp.Expr:
    """Return eps, the time that one step takes in the inertial regime.

    Parameters
    ----------
    method : MomentumMethod

    Returns
    -------
    sympy.Expr
        `gamma/(1-beta)` for heavy ball.

    Raises
    ------
    InputError
        If the method has no symbolic momentum parameter.
    """
    return inertial_scaling(method).time_step


@checked
def refined_parameter(method: MomentumMethod, order: int | sp.core.numbers.Infinity = 1) -> sp.Expr:
    r"""Return lambda corrected through `eps^order`: `gamma (1+beta) / (2 (1-beta)^2)` at order 1.

    The modified equation has `w'' = mu (f - w') + ...` with `mu` a series in
    eps; the refined parameter is `1/mu`, cut after `order` corrections.

    Parameters
    ----------
    method : MomentumMethod
    order : int or sympy.oo
        Number of corrections; 0 gives `intrinsic_parameter`, `sympy.oo` the
        closed form of all of them (`friction`).

    Returns
    -------
    sympy.Expr
        Of the method's step and momentum.

    Raises
    ------
    InputError
        If `order` is negative or no number, or the method has no symbolic
        momentum parameter.

    Examples
    --------
    >>> from momentumflow.symbolic import HeavyBall, refined_parameter
    >>> refined_parameter(HeavyBall())
    gamma*(beta + 1)/(2*(1 - beta)**2)
    """
    if order == sp.oo:
        return 1 / friction(method)
    scaling = inertial_scaling(method)
    if order == 0:
        return scaling.intrinsic
    number = check_order(order, "inertial")
    series = inertial_series(method, number)
    ring = series.ring
    values = ring.coefficients(ring.inverse(series.acceleration[FIELD]))[: number + 1]
    correction = sum((c * scaling.ratio**k for k, c in enumerate(values)), sp.S.Zero)
    return factored(scaling.intrinsic * correction)


@checked
def acceleration_rule(method: MomentumMethod, rho: sp.Symbol = symbols.rho) -> AccelerationRule:
    """Return the parameters that walk the same path rho times faster.

    Solved for from the invariance of the leading equation: `(gamma, beta) ->
    (rho^2 gamma, 1 - rho (1-beta))` for heavy ball.

    Parameters
    ----------
    method : MomentumMethod
    rho : sympy.Symbol
        The factor, > 0.

    Returns
    -------
    AccelerationRule

    Raises
    ------
    InputError
        If the method has no symbolic momentum parameter, or no parameters
        leave its leading equation as it is.

    Examples
    --------
    >>> from momentumflow.symbolic import HeavyBall, acceleration_rule
    >>> print(acceleration_rule(HeavyBall()))
    (gamma, beta) -> (gamma*rho**2, 1 - rho*(1 - beta)), leaving gamma/(1 - beta)**2
    """
    rho = symbol(rho, "rho")
    scaling = inertial_scaling(method)
    if rho == method.step or rho in method.parameters:
        raise InputError("a factor with a name of its own", f"{rho}, a parameter of the method")
    momentum = method.momentum
    new_step, new_momentum = sp.Dummy("step"), sp.Dummy("momentum")
    swap = {method.step: new_step, momentum: new_momentum}
    # with time stretched by rho the three terms of the leading equation,
    # c_2* w'' : c_1 w' : gamma C f, must all gain the factor rho^2
    c1 = method.recurrence.left_moment(1)
    drive = method.step * method.recurrence.total_weight
    conditions = [
        c1.subs(swap) - rho * c1,
        drive.subs(swap, simultaneous=True) - rho**2 * drive,
    ]
    solutions = sp.solve(conditions, [new_step, new_momentum], dict=True)
    here = {new_step: method.step, new_momentum: momentum}
    kept = [
        s
        for s in solutions
        if all(sp.simplify(s[new].subs(rho, 1) - old) == 0 for new, old in here.items())
    ]
    if len(kept) != 1:
        raise InputError("a scaling that leaves the leading equation as it is", str(method))
    distance = scaling.critical - kept[0][new_momentum]
    if distance.is_rational_function(momentum, rho):
        distance = factored(distance)
    parameters = {
        method.step: factored(kept[0][new_step]),
        momentum: scaling.critical - distance,
    }
    return AccelerationRule(
        rho, FrozenMapping(parameters), scaling.intrinsic, scaling_exponents(method)
    )


def scaling_exponents(method: MomentumMethod) -> Mapping[str, sp.Rational]:
    """Return the scaling group of the leading equation, time as its unit.

    With the distance of the momentum from its critical value called x, the
    three terms scale as `time^2`, `x time` and `step x^q` (`q` the order to
    which the sum of the gradient weights vanishes); the exponents that make
    them equal are solved for.
    """
    scaling: InertialScaling = inertial_scaling(method)
    q = 0
    weight = method.recurrence.total_weight
    while weight.subs(method.momentum, scaling.critical) == 0:
        weight = sp.cancel(weight / scaling.ratio)
        q += 1
    step, distance, time = sp.symbols("step distance time")
    (solution,) = sp.linsolve(
        [2 * time - distance - time, 2 * time - step - q * distance], [step, distance]
    )
    exponents = {
        "step": solution[0].subs(time, 1),
        "distance of the momentum from its critical value": solution[1].subs(time, 1),
        "time of one step": sp.S.One,
    }
    return FrozenMapping(exponents)
