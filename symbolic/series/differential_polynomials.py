r"""Differential polynomials: functions of a gradient and its time derivatives, in powers of h.

A differential polynomial is a sum of products of the derivatives `g_k = (h d/dt)^k g` of the
gradient along an equation, with functions of g and of other variables in front. A product
of weight n (the sum of its k) is of order `h^n`, so an order has finitely many: one for
each partition of n.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy as sp

# Inside a derivation the gradient is a symbol without assumptions: of a real one SymPy
# turns sqrt(g**2) into |g|, whose derivatives it writes as distributions.
GRADIENT = sp.Dummy("g")

Key = tuple[int, ...]  # (1, 1, 2) stands for g_1^2 g_2
Polynomial = dict[Key, sp.Expr]


def plus(a: Polynomial, b: Polynomial) -> Polynomial:
    """Return the sum of two differential polynomials."""
    total = dict(a)
    for key, c in b.items():
        total[key] = total[key] + c if key in total else c
    return {key: c for key, c in total.items() if c != 0}


def times(a: Polynomial, b: Polynomial) -> Polynomial:
    """Return the product of two differential polynomials."""
    product: Polynomial = {}
    for left, c in a.items():
        for right, d in b.items():
            key = tuple(sorted(left + right))
            product[key] = product.get(key, sp.S.Zero) + c * d
    return product


def scaled(a: Polynomial, factor: sp.Expr) -> Polynomial:
    """Return a differential polynomial times a function."""
    return {key: c * factor for key, c in a.items()} if factor != 0 else {}


@dataclass(frozen=True)
class Series:
    """A power series in h with differential polynomials for coefficients, truncated."""

    coefficients: tuple[Polynomial, ...]

    @classmethod
    def of(cls, known: Sequence[Polynomial], order: int) -> Series:
        """Return the series with the known coefficients, zero beyond them, through `h^order`."""
        return cls(tuple(known[n] if n < len(known) else {} for n in range(order + 1)))

    @property
    def order(self) -> int:
        """The highest power of h."""
        return len(self.coefficients) - 1

    def __add__(self, other: Series) -> Series:
        pairs = zip(self.coefficients, other.coefficients, strict=True)
        return Series(tuple(plus(a, b) for a, b in pairs))

    def __mul__(self, other: Series) -> Series:
        product: list[Polynomial] = [{} for _ in self.coefficients]
        for i, a in enumerate(self.coefficients):
            for j, b in enumerate(other.coefficients[: self.order + 1 - i]):
                if a and b:
                    product[i + j] = plus(product[i + j], times(a, b))
        return Series(tuple(product))

    def by(self, factor: sp.Expr) -> Series:
        """Return the series times a function."""
        return Series(tuple(scaled(a, factor) for a in self.coefficients))


def slow_derivative(series: Series, rates: Mapping[sp.Symbol, Sequence[Polynomial]]) -> Series:
    """Return `h d/dt` of a series.

    Parameters
    ----------
    series : Series
    rates : mapping
        For every variable other than the gradient, the coefficients of its derivative
        as far as they are known; those of order n are needed at order n + 1 only.
    """
    found: list[Polynomial] = [{} for _ in series.coefficients]
    for n, polynomial in enumerate(series.coefficients[:-1]):
        found[n + 1] = plus(found[n + 1], _along_gradient(polynomial))
        for variable, rate in rates.items():
            slope = {key: sp.diff(c, variable) for key, c in polynomial.items()}
            slope = {key: c for key, c in slope.items() if c != 0}
            for j, term in enumerate(rate[: series.order - n]):
                if slope and term:
                    found[n + 1 + j] = plus(found[n + 1 + j], times(slope, term))
    return Series(tuple(found))


def _along_gradient(polynomial: Polynomial) -> Polynomial:
    """Return what `h d/dt` makes of g and its derivatives in a polynomial."""
    found: Polynomial = {}
    for key, c in polynomial.items():
        for i, k in enumerate(key):
            raised = tuple(sorted((*key[:i], k + 1, *key[i + 1 :])))
            found[raised] = found.get(raised, sp.S.Zero) + c
        slope = sp.diff(c, GRADIENT)
        if slope != 0:
            first = tuple(sorted((*key, 1)))
            found[first] = found.get(first, sp.S.Zero) + slope
    return found


def composed(
    expression: sp.Expr, variables: Sequence[sp.Symbol], values: Sequence[Series], order: int
) -> Series:
    """Return a function of the variables, with series put in for them (Taylor's theorem)."""
    base = {y: s.coefficients[0].get((), sp.S.Zero) for y, s in zip(variables, values, strict=True)}
    deltas = [Series.of(({}, *s.coefficients[1:]), order) for s in values]
    total = Series.of((), order)

    def add(i: int, derivative: sp.Expr, factor: Series, degree: int) -> None:
        nonlocal total
        if i == len(variables):
            total = total + factor.by(_at(derivative, base))
            return
        m = 0
        while derivative != 0:
            add(i + 1, derivative, factor, degree + m)
            m += 1
            if degree + m > order:
                break
            derivative = sp.diff(derivative, variables[i])
            factor = (factor * deltas[i]).by(sp.Rational(1, m))

    add(0, expression, Series.of(({(): sp.S.One},), order), 0)
    return total


def _at(expression: sp.Expr, base: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    """Return an expression at the base point; what a root is taken of is expanded.

    Otherwise a root of what vanishes would pass for a root of a long expression.
    """
    return expression.subs(base, simultaneous=True).replace(
        lambda e: e.is_Pow and not e.exp.is_Integer, lambda e: sp.expand(e.base) ** e.exp
    )


def logarithm_weight(k: int) -> sp.Rational:
    """Return the coefficient of `(h d/dt)^k` in `log E / (E - 1)`: Bernoulli's B_k / k!."""
    return sp.Rational(-1, 2) if k == 1 else sp.bernoulli(k) / sp.factorial(k)


def rate_of(step: Series, rates: Mapping[sp.Symbol, Sequence[Polynomial]]) -> Polynomial:
    """Return the highest coefficient of `(log E / (E - 1)) step`, all lower rates known."""
    n = step.order
    found = step.coefficients[n]
    current = step
    for k in range(1, n + 1):
        current = slow_derivative(current, rates)
        weight = logarithm_weight(k)
        if weight != 0:
            found = plus(found, scaled(current.coefficients[n], weight))
    return found
