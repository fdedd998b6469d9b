r"""How large a step may be: the stability limit of a method on quadratics.

On `F = h w^2 / 2` the iterates are multiplied by the roots of the
characteristic polynomial. They all lie inside the unit circle if and only if,
for a quadratic `p(x) = a_2 x^2 + a_1 x + a_0` with real coefficients that
starts with a_2 > 0,

    p(1) > 0,   p(-1) > 0,   a_2 - a_0 > 0

(Jury, "Theory and Application of the z-Transform Method", 1964; the first two
add up to a_2 + a_0 > 0, so that a_2 stays positive where all three hold). They
are linear in `gamma h`, for implicit methods too, so that the limit is solved
for, not looked up.
"""

from __future__ import annotations

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.errors import InputError
from momentumflow.symbolic.equations.quadratic import characteristic_polynomial
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.rings import factored


@checked
def stability_limit(method: MomentumMethod) -> sp.Expr:
    """Return the bound on gamma h below which the method converges on `h w^2 / 2`, h > 0.

    It is `2 (1 + beta)` for heavy ball (Polyak, 1964, doi:10.1016/0041-5553(64)90137-5)
    and `2 (1 + beta)/(1 + 2 beta)` for Nesterov's method.

    Parameters
    ----------
    method : MomentumMethod

    Returns
    -------
    sympy.Expr
        Of the parameters, each in (0, 1); without a unit, as gamma h is.
        Infinity where every step is stable, as for implicit methods.

    Raises
    ------
    InputError
        If the recurrence goes over more than three iterates, or the sign of a
        condition depends on the parameters.

    Examples
    --------
    >>> from momentumflow.symbolic import HeavyBall, MomentumMethod, stability_limit
    >>> stability_limit(HeavyBall())
    2*beta + 2
    >>> stability_limit(MomentumMethod.parse("w[k+1] = w[k] + gamma*f(w[k+1])"))
    oo
    """
    x, y = sp.Dummy("x"), sp.Dummy("y", positive=True)  # y = gamma h
    polynomial = sp.Poly(characteristic_polynomial(method, x, sp.S.One).subs(method.step, y), x)
    if polynomial.degree() == 1:
        polynomial = sp.Poly(x * polynomial.as_expr(), x)
    if polynomial.degree() != 2:
        raise InputError(
            "a recurrence over at most three iterates",
            f"a characteristic polynomial of degree {polynomial.degree()}",
        )
    first, last = polynomial.coeff_monomial(x**2), polynomial.coeff_monomial(1)
    orientation = _sign(first.subs(y, 0), method)
    bounds = []
    for condition in (polynomial(1), polynomial(-1), first - last):
        slope = sp.factor(sp.diff(orientation * condition, y))
        if _sign(slope, method) < 0:
            bounds.append(factored(-orientation * condition.subs(y, 0) / slope))
    return sp.Min(*bounds)


def _sign(expr: sp.Expr, method: MomentumMethod) -> int:
    """Return the sign of an expression for all parameters in (0, 1)."""
    # p = 1/(1 + d) with d > 0 takes all values in (0, 1), whatever p is assumed to be
    inside = {p: 1 / (1 + sp.Dummy(positive=True)) for p in method.parameters}
    value = sp.factor(expr.xreplace(inside))
    if value.is_zero:
        return 0
    if value.is_positive or value.is_negative:
        return 1 if value.is_positive else -1
    raise InputError("a stability limit in closed form", str(method))
