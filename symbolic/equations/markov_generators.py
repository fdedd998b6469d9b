r"""Momentum methods with gradient noise as Markov chains, and the logarithm of their step.

A two-point rule that takes one gradient g_k a step is, with the push u,

    u_{k+1} = b u_k + gamma delta g_k,      w_{k+1} = w_k + u_{k+1} + gamma alpha g_k,
    g_k = f(y_k) + noise of covariance Sigma(y_k),     y_k = w_k + ahead u_k.

For heavy ball `b = beta`, `delta = 1`, `alpha = ahead = 0`; Nesterov looks `ahead = beta`;
quasi-hyperbolic momentum moves along the gradient itself too, `alpha = 1 - nu`. One step
maps a test function phi(w, u) to its mean after the step; with noise whose moments up to the
fourth are those of a Gaussian that operator is `:exp(drift . d + cov : d d / 2):`, derivatives
on the right. Its logarithm is the generator: one derivative of phi is the drift, two are
half the covariance rate, three and more must vanish for a diffusion to exist.

Inertial regime: `eps = gamma C/c_1` the time of a step, `v = u/eps`, lambda and
`T = eps Sigma` fixed. The operator is 1 + O(eps): its logarithm is a series.

Slow regime: b fixed, `gamma` to 0, `T = gamma Sigma` fixed. The push forgets within a few
steps, so functions of w alone are wanted. Q maps phi(w, u) to its mean at given w once the
push has settled: `Q phi = phi` where phi depends on w alone, and `Q P = e^L Q`. Both sides
determine Q and L, order by order in the square root of gamma: with `q = u/sqrt(gamma)` of
order one, the part of `Q P` without derivatives in q is `e^L`, the others determine Q. It
differentiates, because where a path is likely to be tells where it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import factorial
from typing import TypeAlias

import sympy as sp

from momentumflow.base.errors import InputError
from momentumflow.symbolic.equations.inertial_regime import InertialScaling, inertial_scaling
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.methods.recurrences import is_zero
from momentumflow.symbolic.rings import Element, PolynomialRing, factored
from momentumflow.symbolic.series.contractions import (
    COVARIANCE,
    FIELD,
    VELOCITY,
    Contraction,
    Graded,
    Operator,
    V,
    W,
    added,
    composed,
    slots,
)

Coefficients: TypeAlias = dict[Contraction, sp.Expr]
Formal: TypeAlias = tuple[PolynomialRing, tuple[sp.Symbol, ...], list[Operator]]


@dataclass(frozen=True)
class NoisyStep:
    """A two-point rule as a chain in (w, u); see the head of this module.

    Attributes
    ----------
    keep : sympy.Expr
        b, what is kept of the push.
    push : sympy.Expr
        delta, what the gradient adds to it.
    direct : sympy.Expr
        alpha, what the gradient moves without it.
    ahead : sympy.Expr
        How far along the push the gradient is taken.
    """

    keep: sp.Expr
    push: sp.Expr
    direct: sp.Expr
    ahead: sp.Expr


def noisy_step(method: MomentumMethod) -> NoisyStep:
    """Return a method as a chain in which each gradient, with its noise, is drawn once.

    Raises
    ------
    InputError
        If it is no two-point rule with one gradient a step.
    """
    recurrence = method.recurrence
    top = max(j for j, _ in recurrence.left)
    left = {j - top + 1: a for j, a in recurrence.left}
    bases, weights = set(), dict[int, sp.Expr]()
    for point in recurrence.gradients:
        newest = max(j for j, _ in point.at)
        bases.add(tuple((j - newest, sp.cancel(c)) for j, c in point.at))
        shift = newest - top + 1
        weights[shift] = weights.get(shift, sp.S.Zero) + point.weight
    if not (set(left) <= {1, 0, -1} and set(weights) <= {0, -1} and len(bases) == 1):
        raise InputError(
            "a two-point rule that takes one gradient a step, at one combination of w[k] and "
            "w[k-1]",
            str(method),
            "each gradient is drawn once: write the rule with one f(...), or with the same "
            "f(...) at two successive steps",
        )
    ((*_, (_, newest_weight)),) = (tuple(sorted(base)) for base in bases)
    (base,) = bases
    scale = left[1]
    keep = sp.cancel(left.get(-1, sp.S.Zero) / scale)
    now, before = (sp.cancel(weights.get(j, sp.S.Zero) / scale) for j in (0, -1))
    ahead = sp.cancel(newest_weight - 1)
    one_point = all(j in (0, -1) for j, _ in base)
    if (before != 0 and (keep == 0 or not is_zero(ahead))) or not one_point:
        raise InputError(
            "a rule whose state is w[k] and one push",
            str(method),
            "take the gradient at w[k], or once a step",
        )
    direct = sp.S.Zero if before == 0 else sp.cancel(-before / keep)
    return NoisyStep(keep, sp.cancel(now - direct), direct, ahead)


def _taylor(
    kind: str, targets: tuple[int, ...], ahead: Element, ring: PolynomialRing, size: int
) -> list[Operator]:
    """Return f or Sigma at `w + ahead h v`, by powers of h, its upper indices at `targets`."""
    parts: list[Operator] = []
    factor = ring.one
    for n in range(size):
        graph = ((kind, targets), *((VELOCITY, (0,)) for _ in range(n)))
        parts.append({graph: factor} if factor != 0 else {})
        factor = factor * ahead * ring.from_sympy(sp.Rational(1, n + 1))
    return parts


def _times(series: Sequence[Element], parts: list[Operator]) -> list[Operator]:
    """Return a graded operator times a power series in the small number."""
    size = len(parts)
    return [
        added(*((c, parts[n - i]) for i, c in enumerate(series[: n + 1]) if c != 0))
        for n in range(size)
    ]


def _product(a: Sequence[Element], b: Sequence[Element]) -> list[Element]:
    """Return the product of two power series of one length."""
    return [sum(a[i] * b[n - i] for i in range(n + 1)) for n in range(len(a))]


def _sum(*graded: list[Operator]) -> list[Operator]:
    return [added(*((1, part) for part in parts)) for parts in zip(*graded, strict=True)]


def _formal(names: str) -> tuple[PolynomialRing, tuple[sp.Symbol, ...]]:
    """Return a ring of polynomials in placeholders, which a method's coefficients fill later."""
    placeholders = tuple(sp.Dummy(name) for name in names.split())
    return PolynomialRing(placeholders), placeholders


def inertial_generator(method: MomentumMethod, order: int) -> list[Coefficients]:
    """Return the parts of the generator at `eps^0, ..., eps^(order - 1)`, `T = eps Sigma` kept.

    In units of lambda.

    Raises
    ------
    InputError
        As `noisy_step` and `inertial_scaling`; if a gradient's noise outgrows its mean where
        the momentum is critical.
    """
    chain, scaling = noisy_step(method), inertial_scaling(method)
    # gamma = eps c_1/C
    unit = method.recurrence.left_moment(1) / method.recurrence.total_weight
    series = [
        _in_ratio(e, scaling, method.momentum)
        for e in (chain.keep, unit * chain.push, unit * chain.direct, chain.ahead)
    ]
    if series[0][0] != 1 or series[1][0] != 0:
        raise InputError("a push that is kept whole at the critical momentum", str(method))
    (_, *keep), (_, *push), direct, ahead = series
    return _filled(_inertial_generator(order), (*keep, *push, *direct, ahead[0]))


@cache
def _inertial_generator(order: int) -> Formal:
    """Return the generator of every two-point rule at once.

    `keep`, `push` and `direct` (in units of gamma = eps c_1/C) are power series in
    `x = eps/lambda`, one and zero the first coefficients of the first two.
    """
    ring, placeholders = _formal("k1 k2 p1 p2 d0 d1 d2 a")
    k1, k2, p1, p2, d0, d1, d2, ahead = map(ring.from_sympy, placeholders)
    zero, one, half = ring.zero, ring.one, ring.from_sympy(sp.S.Half)
    size = order + 1
    keep, push = [one, k1, k2][:size], [zero, p1, p2][:size]
    moved = [d0, p1 + d1, p2 + d2][:size]
    x = [zero, one, zero][:size]
    pushed = [*push[1:], zero]  # over x: the noise has the variance T/x

    def at(kind: str, *targets: int) -> list[Operator]:
        return _taylor(kind, targets, ahead, ring, size)

    def speed(target: int) -> list[Operator]:
        return _taylor(VELOCITY, (target,), zero, ring, size)

    exponent = _sum(
        _times([zero, *keep[1:]], speed(V)),
        _times(push, at(FIELD, V)),
        _times(_product(x, keep), speed(W)),
        _times(_product(x, moved), at(FIELD, W)),
        _times([half * c for c in _product(push, pushed)], at(COVARIANCE, V, V)),
        _times(_product(push, moved), at(COVARIANCE, W, V)),
        _times([half * c for c in _product(x, _product(moved, moved))], at(COVARIANCE, W, W)),
    )
    step = Graded(exponent, ring).normal_exponential().parts
    return ring, placeholders, _logarithm(step[1:], half)


def slow_generator(method: MomentumMethod, order: int) -> list[Coefficients]:
    """Return the parts of the generator of w alone at `gamma^1, ..., gamma^order`.

    Per step, `T = gamma Sigma` kept.

    Raises
    ------
    InputError
        As `noisy_step`.
    """
    chain = noisy_step(method)
    forgotten = [1 / (1 - chain.keep**k) for k in range(1, 5)]
    return _filled(
        _slow_generator(order), (chain.keep, chain.push, chain.direct, chain.ahead, *forgotten)
    )


@cache
def _slow_generator(order: int) -> Formal:
    """Return the generator of every two-point rule at once; `r_k` stands for 1/(1 - b^k)."""
    ring, placeholders = _formal("b push direct ahead r1 r2 r3 r4")
    b, push, direct, ahead, *forgotten = map(ring.from_sympy, placeholders)
    zero, one, half = ring.zero, ring.one, ring.from_sympy(sp.S.Half)
    size = 2 * order + 1  # powers of the square root of gamma
    moved = push + direct

    def power(n: int, factor: Element) -> list[Element]:
        return [factor if i == n else zero for i in range(size)]

    def at(kind: str, *targets: int) -> list[Operator]:
        return _taylor(kind, targets, ahead, ring, size)

    # the step ends with the substitution of b q for q, which `composed` carries out
    exponent = _sum(
        _times(power(1, b), _taylor(VELOCITY, (W,), zero, ring, size)),
        _times(power(2, moved), at(FIELD, W)),
        _times(power(1, push), at(FIELD, V)),
        _times(power(2, half * moved * moved), at(COVARIANCE, W, W)),
        _times(power(1, push * moved), at(COVARIANCE, W, V)),
        _times(power(0, half * push * push), at(COVARIANCE, V, V)),
    )

    def counts(n: int, graph: Contraction) -> bool:
        return n + slots(graph).count(V) < size

    step = Graded(exponent, ring, counts).normal_exponential().parts
    settled: list[Operator] = []  # Q
    growth: list[Operator] = [{(): one}]  # e^L
    for n in range(size):
        # sum_j Q_(n-j) P_j = sum_j (e^L)_j Q_(n-j), Q_n unknown on both sides
        known = added(
            *((1, _at_rest(composed(settled[n - j], step[j], b))) for j in range(1, n + 1))
        )
        if n:
            growth.append({g: c for g, c in known.items() if V not in slots(g)})
        known = added(
            (1, known), *((-1, composed(growth[j], settled[n - j])) for j in range(1, n + 1))
        )
        found: Operator = {} if n else {(): one}
        for k in range(1, size - n):
            rest = added((1, known), (1, _at_rest(composed(found, step[0], b))))
            level = {g: c for g, c in rest.items() if slots(g).count(V) == k}
            found = {**found, **{g: c * forgotten[k - 1] for g, c in level.items()}}
        settled.append(found)
    return ring, placeholders, _logarithm(growth[2::2], half)


def _at_rest(operator: Operator) -> Operator:
    """Return an operator at velocity zero."""
    return {g: c for g, c in operator.items() if all(kind != VELOCITY for kind, _ in g)}


def _logarithm(parts: Sequence[Operator], half: Element) -> list[Operator]:
    """Return `ln(1 + x parts[0] + x^2 parts[1])` by powers of x, for at most two parts."""
    first, *rest = parts
    return [first, *(added((1, second), (-half, composed(first, first))) for second in rest)]


def _filled(formal: Formal, values: Sequence[sp.Expr]) -> list[Coefficients]:
    """Return a generator with a method's coefficients in place; what vanishes is left out."""
    ring, placeholders, parts = formal
    put = dict(zip(placeholders, values, strict=True))
    found = [{g: factored(ring.to_sympy(c).xreplace(put)) for g, c in p.items()} for p in parts]
    return [{g: c for g, c in part.items() if c != 0} for part in found]


def _in_ratio(
    expr: sp.Expr, scaling: InertialScaling, momentum: sp.Symbol | None
) -> tuple[sp.Expr, ...]:
    """Return a function of the momentum as a power series in x = eps/lambda, three terms."""
    slope = sp.diff(scaling.ratio, momentum)
    found = []
    for n in range(3):
        expr = sp.cancel(expr)
        value = expr.subs(momentum, scaling.critical)
        if value.has(sp.zoo, sp.nan, sp.oo):
            raise InputError(
                "gradients whose noise does not outgrow their mean at the critical momentum",
                f"the factor {sp.factor(expr)}",
            )
        found.append(value / factorial(n))
        expr = sp.diff(expr, momentum) / slope
    return tuple(found)
