r"""How large a step may be: the stability limit of a method on quadratics.

On `F = h w^2 / 2` the iterates are multiplied by the roots of the
characteristic polynomial. They all lie inside the unit circle if and only if,
for a monic quadratic `p(x) = x^2 + a_1 x + a_0` with real coefficients,

    p(1) > 0,   p(-1) > 0,   a_0 < 1

(Jury, "Theory and Application of the z-Transform Method", 1964). The three are
linear in `gamma h`, so that the limit is solved for, not looked up.
"""

from __future__ import annotations

import sympy as sp

from momentumflow.base.errors import InputError
from momentumflow.symbolic import symbols
from momentumflow.symbolic.equations.quadratic import characteristic_polynomial
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.rings import factored


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
        Of the momentum; without a unit, as gamma h is.

    Raises
    ------
    InputError
        If the recurrence goes over more than three iterates, or the sign of a
        condition depends on the parameters.

    Examples
    --------
    >>> from momentumflow.symbolic import HeavyBall, stability_limit
    >>> stability_limit(HeavyBall())
    2*beta + 2
    """
    x, y = sp.Symbol("x"), sp.Symbol("y", positive=True)  # y = gamma h
    polynomial = sp.Poly(
        characteristic_polynomial(method, x).subs(method.step, y / symbols.h), x
    ).monic()
    if polynomial.degree() == 1:
        polynomial = sp.Poly(x * polynomial.as_expr(), x)
    if polynomial.degree() != 2:
        raise InputError(
            "a recurrence over at most three iterates",
            f"a characteristic polynomial of degree {polynomial.degree()}",
        )
    conditions = (polynomial(1), polynomial(-1), 1 - polynomial.coeff_monomial(1))
    bounds = []
    for condition in conditions:
        slope = sp.factor(sp.diff(condition, y))
        if slope.is_nonnegative:
            continue  # holds for all steps, as it does for small ones
        if not slope.is_negative:
            raise InputError("a stability limit in closed form", str(method))
        bounds.append(factored(-condition.subs(y, 0) / slope))
    return sp.Min(*bounds)
