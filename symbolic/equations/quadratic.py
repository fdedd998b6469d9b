r"""Momentum methods on quadratics: the slow root and the flow through all orders.

On `F = h w^2 / 2` a method is a linear recurrence; its iterates off the
transients are multiplied by the slow root `r`, the root of

    A(r) + gamma h sum_i c_i B_i(r) = 0      with r -> 1 as gamma h -> 0.

`w' = ln(r(H)) w` is then the modified equation of all orders at once, the
principal flow (Rosca, Wu, Qin, Dherin, TMLR 2023, arXiv 2302.01952, for
gradient descent, where it reads `ln(1 - gamma h)/h` times the gradient).
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.errors import InputError
from momentumflow.base.values import Formulated
from momentumflow.symbolic import symbols
from momentumflow.symbolic.equations.modified_equations import check_order
from momentumflow.symbolic.expressions import symbol
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.printing import as_latex
from momentumflow.symbolic.rings import SeriesRing, factored


@checked
@dataclass(frozen=True, repr=False)
class PrincipalFlow(Formulated):
    """`w' = rate(h) w` on each eigenspace of the Hessian, one step per unit time.

    Attributes
    ----------
    curvature : sympy.Symbol
        The eigenvalue h.
    root : sympy.Expr
        The slow root r(h); complex where the method oscillates.
    rate : sympy.Expr
        `ln r(h)`.
    """

    method: MomentumMethod
    curvature: sp.Symbol
    root: sp.Expr
    rate: sp.Expr

    @property
    def gradient_factor(self) -> sp.Expr:
        """What multiplies the gradient `h w`: `ln r(h) / h`."""
        return self.rate / self.curvature

    def _formula(self) -> str:
        return f"w' = {as_latex(self.rate)} \\, w"

    def __repr__(self) -> str:
        return f"<PrincipalFlow of {self.method.name}>"

    def __str__(self) -> str:
        return f"w' = {self.rate} w"


def characteristic_polynomial(method: MomentumMethod, x: sp.Symbol, curvature: sp.Expr) -> sp.Expr:
    """Return the polynomial in x whose roots multiply the iterates on `h w^2 / 2`."""
    recurrence = method.recurrence
    lowest = min(recurrence.shifts)
    left = sp.Add(*(a * x ** (j - lowest) for j, a in recurrence.left))
    right = sp.Add(
        *(
            point.weight * b * x ** (j - lowest)
            for point in recurrence.gradients
            for j, b in point.at
        )
    )
    return sp.expand(left + method.step * curvature * right)


@checked
def principal_flow(method: MomentumMethod, curvature: sp.Symbol = symbols.h) -> PrincipalFlow:
    """Return the flow that a method follows on quadratics, all orders at once.

    Parameters
    ----------
    method : MomentumMethod
    curvature : sympy.Symbol
        The name of the eigenvalue h of the Hessian.

    Returns
    -------
    PrincipalFlow

    Raises
    ------
    InputError
        If the characteristic polynomial has no slow root in closed form; its
        series is `slow_root_series`.

    References
    ----------
    Rosca, Wu, Qin, Dherin, TMLR 2023, arXiv 2302.01952, for gradient descent.
    """
    curvature = symbol(curvature, "the curvature")
    if curvature == method.step or curvature in method.parameters:
        raise InputError(
            "a curvature with a name of its own",
            f"{curvature}, a parameter of the method",
            "name another: principal_flow(method, curvature=...)",
        )
    x = sp.Dummy("x")
    polynomial = sp.Poly(characteristic_polynomial(method, x, curvature), x)
    if polynomial.degree() > 2:
        raise InputError(
            "a recurrence over at most three iterates for a closed form",
            f"a characteristic polynomial of degree {polynomial.degree()}",
            "take slow_root_series(method, order)",
        )
    for root in sp.roots(polynomial):
        if _is_one_at_rest(root, method):
            return PrincipalFlow(method, curvature, root, sp.log(root))
    raise InputError("a slow root in closed form", str(method), "take slow_root_series")


def _is_one_at_rest(root: sp.Expr, method: MomentumMethod) -> bool:
    """Whether a root is 1 at gamma = 0, for parameters in (0, 1)."""
    values = {s: sp.Rational(1, 3 + i) for i, s in enumerate(method.parameters)}
    return bool(sp.simplify(root.subs(method.step, 0).subs(values) - 1) == 0)


@checked
def slow_root_series(method: MomentumMethod, order: int) -> list[sp.Expr]:
    """Return the coefficients of `(gamma h)^n`, n = 1 ... order, in `ln r`.

    A fixed-slope iteration on the characteristic polynomial, independent of the tree
    recursion; on a quadratic the tree of n nodes in a chain has the value
    `(-h)^n w`, so its coefficient times `(-1)^n` must be this one.

    Parameters
    ----------
    method : MomentumMethod
    order : int
        Highest power of gamma h, >= 1.

    Returns
    -------
    list of sympy.Expr
        Of the momentum.

    Raises
    ------
    InputError
        If the order is out of range.
    """
    number = check_order(order, "slow")
    x, y = sp.Dummy("x"), sp.Dummy("y")  # root - 1, and gamma h
    polynomial = characteristic_polynomial(method, x, sp.S.One).subs(method.step, y)
    shifted = sp.Poly(sp.expand(polynomial.subs(x, 1 + x)), x)
    ring = SeriesRing(number + 1, method.parameters, rational=True)
    coefficients = [
        ring.from_coefficients([_at(c, y, k) for k in range(number + 1)])
        for c in reversed(shifted.all_coeffs())
    ]
    over_slope = ring.constant(1 / shifted.coeff_monomial(x).subs(y, 0))
    root = ring.zero
    for _ in range(number):  # each round makes one more coefficient right
        value = ring.zero
        for coefficient in reversed(coefficients):
            value = ring.mul(value, root) + coefficient
        root = root - ring.mul(value, over_slope)
    logarithm, power = ring.zero, ring.one
    for k in range(1, number + 1):
        power = ring.mul(power, root)
        logarithm = logarithm + ring.mul(power, ring.constant(sp.Rational((-1) ** (k - 1), k)))
    found = ring.coefficients(logarithm)[1:]
    return [factored(c) for c in found] + [sp.S.Zero] * (number - len(found))


def _at(expr: sp.Expr, y: sp.Symbol, power: int) -> sp.Expr:
    return sp.Poly(expr, y).coeff_monomial(y**power)
