r"""The friction of the inertial equation to all orders, with its proof.

Claim: in `w'' = mu (f - w') + (terms with derivatives of f)` the coefficient is
`mu = -ln(r)/eps`, `r` the root of the left side that meets 1 at the critical
momentum: `ln(1/beta)/eps` for heavy ball and Nesterov, to every order in eps.

Proof. Take a constant field f. Every tree but `f` and `v` then vanishes, so the
modified equation is `w'' = A f + B w'` with formal series A and B in eps.

1. The recurrence has the solutions `a + b k + c r^k` with `b = gamma C f / c_1`.
2. `w'' = mu (f - w')` has the solutions `a + f t + c e^{-mu t}`.
3. With `t = k eps`, `eps = gamma C / c_1` and `mu = -ln(r)/eps` both families
   are the same, so this A and B make the closure hold identically.
4. The closure determines A and B uniquely as series in eps: inserting `f = 0`,
   `w = e^{B t}` it says that `e^{eps B}` is a root of the left side; as
   `eps B = -x + O(x^2)` is not zero, this is not the root 1, and r is the only
   other one that tends to 1 with x. Inserting `w = f t` gives `A = -B`.

Steps 1 to 3 are the `Identity` objects below; step 4 is checked on the series
by `uniqueness_defect`, which compares the two to any order.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import sympy as sp

from momentumflow.base.arguments import Where, checked
from momentumflow.base.errors import InputError
from momentumflow.symbolic import symbols
from momentumflow.symbolic.equations.inertial_regime import inertial_scaling, inertial_series
from momentumflow.symbolic.identities import Identity
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.rings import factored
from momentumflow.symbolic.trees.rooted_trees import FIELD, VELOCITY

Terms: TypeAlias = Annotated[int, Where("in [0, 100]", lambda n: 0 <= n <= 100)]


@checked
def friction(method: MomentumMethod) -> sp.Expr:
    r"""Return the coefficient mu of `f - w'` to all orders: `ln(1/beta)/eps` for heavy ball.

    Parameters
    ----------
    method : MomentumMethod

    Returns
    -------
    sympy.Expr
        Of the method's step and momentum; an inverse time.

    Raises
    ------
    InputError
        If no closed form is found for the root that meets 1.

    Examples
    --------
    >>> from momentumflow.symbolic.methods.momentum_methods import HeavyBall
    >>> friction(HeavyBall())
    -(1 - beta)*log(beta)/gamma
    """
    scaling = inertial_scaling(method)
    root = sp.expand_log(sp.log(inertial_root(method)))
    return -factored(1 / scaling.time_step) * root


def inertial_root(method: MomentumMethod) -> sp.Expr:
    """Return the second root of the left side that reaches 1 at the critical momentum.

    Raises
    ------
    InputError
        If no closed form of it is found.
    """
    scaling = inertial_scaling(method)
    x = sp.Dummy("x")
    quotient = sp.cancel(method.recurrence.left_polynomial(x) / (x - 1))
    for root in sp.roots(sp.numer(sp.together(quotient)), x):
        if sp.simplify(root.subs(method.momentum, scaling.critical) - 1) == 0:
            return root
    raise InputError("a left side whose second root has a closed form", str(method))


@checked
def friction_identities(method: MomentumMethod) -> tuple[Identity, ...]:
    """Return steps 1 to 3 of the proof as identities, for this method.

    Parameters
    ----------
    method : MomentumMethod

    Returns
    -------
    tuple of Identity
        Three, to be proved by `Identity.prove`.

    Raises
    ------
    InputError
        As `friction`.
    """
    scaling = inertial_scaling(method)
    recurrence = method.recurrence
    # k and f are names that no parameter of a method has
    k, f = sp.Symbol("k", integer=True), sp.Symbol("f", real=True)
    taken = (method.step, *method.parameters)
    a, c, t = (symbols.fresh(name, taken, real=True) for name in ("a", "c", "t"))
    mu = symbols.fresh("mu", taken, positive=True)
    root = inertial_root(method)
    drift = method.step * recurrence.total_weight * f / recurrence.left_moment(1)

    def iterate(index: sp.Expr) -> sp.Expr:
        return a + drift * index + c * root**index

    left = sp.Add(*(coefficient * iterate(k + j) for j, coefficient in recurrence.left))
    right = method.step * recurrence.total_weight * f
    path = a + f * t + c * sp.exp(-mu * t)
    assumptions = "the gradient is constant, f = const"
    return (
        Identity(
            f"{method.name}, step 1: a + b k + c r^k solves the recurrence",
            left,
            right,
            assumptions=assumptions,
            hints=(("write r^(k+j) as r^k r^j", lambda e: sp.expand(sp.expand_power_exp(e))),),
            source="linear recurrences with constant coefficients",
        ),
        Identity(
            f"{method.name}, step 2: a + f t + c exp(-mu t) solves w'' = mu (f - w')",
            sp.diff(path, t, 2),
            mu * (f - sp.diff(path, t)),
            assumptions=assumptions,
        ),
        Identity(
            f"{method.name}, step 3: the two agree at t = k eps",
            path.xreplace({t: k * scaling.time_step, mu: friction(method)}),
            iterate(k),
            assumptions=assumptions,
            hints=(("exp(k ln r) = r^k", lambda e: sp.simplify(sp.expand(sp.powsimp(e)))),),
        ),
    )


@checked
def uniqueness_defect(method: MomentumMethod, order: Terms) -> list[sp.Expr]:
    """Return derived minus claimed coefficients of `f` and `-v`, `eps^0 ... eps^order`.

    All zeros if the closed form is right: the derived ones come from the tree
    recursion, the claimed ones from the series of `-ln(r)` in x.

    Parameters
    ----------
    method : MomentumMethod
    order : int
        Highest power of eps, >= 0.

    Returns
    -------
    list of sympy.Expr
        First those of `f`, then those of `-v`.
    """
    scaling = inertial_scaling(method)
    series = inertial_series(method, order)
    x = sp.Dummy("x", positive=True)
    (momentum,) = sp.solve(sp.Eq(scaling.ratio, x), method.momentum)
    claim = -sp.log(inertial_root(method).subs(method.momentum, momentum)) / x
    expected = sp.series(claim, x, 0, order + 1).removeO()
    result = []
    for tau, sign in ((FIELD, 1), (VELOCITY, -1)):
        derived = series.coefficients(series.acceleration[tau])
        result += [sp.simplify(sign * derived[n] - expected.coeff(x, n)) for n in range(order + 1)]
    return result
