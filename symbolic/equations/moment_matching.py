r"""Proofs that a stochastic equation matches the moments of its method, in one variable.

Of a step of the chain, and of its diffusion over the same time h, all moments of the
increments of (w, v) are compared through `h^order`; those of degree above `2 order` vanish
there. Loss and covariance are undefined functions, the noise is Gaussian. The steps are written
down from the update rule and averaged here; nothing is shared with the derivation, which
knows no components.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import factorial

import sympy as sp
from sympy.core.function import AppliedUndef

from momentumflow.base.arguments import checked
from momentumflow.base.errors import InputError
from momentumflow.symbolic import symbols
from momentumflow.symbolic.equations.markov_generators import noisy_step
from momentumflow.symbolic.equations.stochastic import StochasticEquation
from momentumflow.symbolic.identities import Identity
from momentumflow.symbolic.series.contraction_series import Fields
from momentumflow.symbolic.series.diffusion import written_out


@checked
def moment_identities(equation: StochasticEquation) -> tuple[Identity, ...]:
    """Return the statements that each moment of a step agrees, to be proved by `prove`.

    Parameters
    ----------
    equation : StochasticEquation
        In the inertial regime.

    Returns
    -------
    tuple of Identity
        One for each monomial of degree at most `2 order` in the increments: the mean after
        one step, and after the time of a step, both through `eps^order`.

    Raises
    ------
    InputError
        In the slow regime, where w alone is no Markov chain.
    """
    if equation.scaling is None:
        raise InputError(
            "an equation of the inertial regime",
            f"one of the {equation.regime} regime, where w alone is no Markov chain",
            "its moments on quadratics are exact",
        )
    taken = (equation.method.step, *equation.method.parameters)
    w, v = (symbols.fresh(name, taken, real=True) for name in "wv")
    # s is a root of the covariance: of T where T = eps Sigma is kept, of Sigma where it is small
    f, s = sp.Function("f")(w), sp.Function("s", positive=True)(w)
    fields = Fields((w,), (f,), sp.ImmutableMatrix([[s**2]]), (v,))
    return tuple(
        Identity(
            f"{equation.method.name}, weak order {equation.order}: the mean of "
            f"(dw)^{a} (dv)^{b} after one step",
            step,
            flow,
            assumptions=f"through eps^{equation.order}, one variable",
            source="Li, Tai, E, JMLR 20(40), 2019, the method of matched moments",
        )
        for (a, b), step, flow in _moments(equation, fields)
    )


def _moments(
    equation: StochasticEquation, fields: Fields
) -> Iterator[tuple[tuple[int, int], sp.Expr, sp.Expr]]:
    assert equation.scaling is not None
    (w,), (v,), order = fields.variables, fields.velocity, equation.order
    h = symbols.eps
    kept = equation.noise == "kept"
    moving = Fields(
        fields.variables,
        fields.field,
        sp.ImmutableMatrix(fields.covariance / (h if kept else 1)),
        fields.velocity,
    )
    drift, rate = written_out((equation.drift, equation.covariance), moving, "inertial")
    state, dw, dv = (w, v), sp.Dummy("dw"), sp.Dummy("dv")

    def generator(phi: sp.Expr) -> sp.Expr:
        first = sum(drift[i] * sp.diff(phi, state[i]) for i in range(2))
        second = sum(
            rate[i, j] * sp.diff(phi, state[i], state[j]) for i in range(2) for j in range(2)
        )
        return first + second / 2

    increments = _increments(equation, fields, kept)
    start = {dw: w, dv: v}
    for degree in range(1, 2 * order + 1):
        for a in range(degree + 1):
            b = degree - a
            phi = (w - dw) ** a * (v - dv) ** b
            flow, term = sp.S.Zero, phi
            for n in range(1, order + 1):
                term = generator(term)
                flow += h**n / factorial(n) * term
            step = _mean_of_product([increments[0]] * a + [increments[1]] * b, h, order)
            yield (a, b), step, _through(flow.subs(start), h, order)


_XI = sp.Dummy("xi")


def _increments(
    equation: StochasticEquation, fields: Fields, kept: bool
) -> tuple[sp.Expr, sp.Expr]:
    """Return what one step adds to w and v, by powers of eps, with a standard normal number."""
    method, scaling, order = equation.method, equation.scaling, equation.order
    assert scaling is not None
    chain = noisy_step(method)
    h, lam = symbols.eps, symbols.lam
    (momentum,) = sp.solve(scaling.ratio - h / lam, method.momentum)
    gamma = sp.solve(scaling.time_step.subs(method.momentum, momentum) - h, method.step)[0]
    put = {method.momentum: momentum}
    (w,), (v,) = fields.variables, fields.velocity

    def along(expr: sp.Expr) -> sp.Expr:
        """Return a function of w where the gradient is taken, as far as it counts."""
        way = h * v * sp.cancel(chain.ahead.subs(put))
        return sp.Add(*(sp.diff(expr, w, n) * way**n / factorial(n) for n in range(order + 1)))

    def series(expr: sp.Expr) -> sp.Expr:
        return _through(sp.series(sp.cancel(expr.subs(put)), h, 0, order + 2).removeO(), h, order)

    root = sp.sqrt(fields.covariance[0, 0]) / (sp.sqrt(h) if kept else 1)
    gradient = along(fields.field[0]) + along(root) * _XI
    push = series(chain.push * gamma / h) * gradient
    new = series(chain.keep) * v + push
    move = h * new + h * series(chain.direct * gamma / h) * gradient
    return sp.expand(move), sp.expand(new - v)


def _mean_of_product(factors: Sequence[sp.Expr], h: sp.Symbol, order: int) -> sp.Expr:
    """Return the mean of a product over the normal number, its powers of h cut at `order`."""
    root = sp.Dummy("root of h", positive=True)
    parts = sp.Tuple(*factors).atoms(AppliedUndef, sp.Derivative)
    names = {part: sp.Dummy() for part in parts}
    rate = sp.Dummy("1/lambda", positive=True)
    plain = {**names, symbols.lam: 1 / rate, h: root**2}
    polynomials = [sp.expand(f.xreplace(plain)) for f in factors]
    others = sp.Tuple(*polynomials).free_symbols - {root, _XI}
    generators = (root, _XI, *sorted(others, key=str))
    product = sp.Poly(1, *generators)
    for polynomial in polynomials:
        product = product * sp.Poly(polynomial, *generators)
        kept = {power: c for power, c in product.terms() if power[0] <= 2 * order}
        product = sp.Poly.from_dict(kept, *generators)
    # the mean of xi^n is 1 * 3 * ... * (n - 1)
    mean = sp.Add(
        *(
            c
            * sp.factorial2(n - 1)
            * sp.Mul(*(g**k for g, k in zip(generators, (r, 0, *rest), strict=True)))
            for (r, n, *rest), c in product.terms()
            if n % 2 == 0
        )
    )
    back = {symbol: part for part, symbol in names.items()}
    return mean.xreplace({**back, rate: 1 / symbols.lam, root: sp.sqrt(h)})


def _through(expr: sp.Expr, h: sp.Symbol, order: int) -> sp.Expr:
    """Return the terms of at most this power."""
    return sp.Add(*(c for c in sp.Add.make_args(sp.expand(expr)) if _power(c, h) <= order))


def _power(term: sp.Expr, h: sp.Symbol) -> sp.Expr:
    return term.as_coeff_exponent(h)[1]
