r"""Decorated trees: elementary differentials with a function of the gradient at each node.

The derivatives `g_k = (h d/dt)^k g` of a differential polynomial
(`differential_polynomials.py`) are derivatives of the gradient along the equation's own
right-hand side: `g_1 = h grad g [w']`. Written out, a term is a *decorated tree*,

    c(g) * prod_i  grad^{k_i} g [X_i1, X_i2, ...],    X of the same kind,

a function of the gradient at each node, multiplied elementwise. For a linear method
every c is a number and these are the elementary differentials of `trees/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import sympy as sp

from momentumflow.symbolic import symbols
from momentumflow.symbolic.printing import as_latex, as_text
from momentumflow.symbolic.rings import factored
from momentumflow.symbolic.series.differential_polynomials import GRADIENT, Polynomial

# A factor grad^k g [X_1, ..., X_k] is the sorted tuple of its X; a bush is a sorted tuple
# of factors; an X is a function of the gradient and a bush.
Child = tuple[sp.Expr, tuple[Any, ...]]
Factor = tuple[Child, ...]
Bush = tuple[Factor, ...]
Terms = dict[Bush, sp.Expr]
X = TypeVar("X")


def _order(item: Any) -> str:
    return str(item)


def _sorted(items: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(sorted(items, key=_order))


def _collect(terms: Terms, bush: Bush, coefficient: sp.Expr) -> None:
    terms[bush] = terms.get(bush, sp.S.Zero) + coefficient


class Differentials:
    """Derivatives along a flow, written in decorated trees.

    Parameters
    ----------
    rates : sequence of Polynomial
        Coefficients of `dw/dt` by powers of h.
    variables : mapping of symbol to sequence of Polynomial
        The same for the other variables that functions may depend on.
    """

    def __init__(
        self,
        rates: Sequence[Polynomial],
        weight: sp.Symbol,
        variables: Mapping[sp.Symbol, Sequence[Polynomial]],
    ) -> None:
        self._weight = weight
        self._varying = (GRADIENT, symbols.w, symbols.t, *variables)
        self._polynomials = {weight: tuple(rates)} | {x: tuple(r) for x, r in variables.items()}
        self._fields: dict[tuple[sp.Symbol, int], Terms] = {}
        self._gradients: dict[tuple[int, int], Terms] = {}

    def field(self, n: int, variable: sp.Symbol | None = None) -> Terms:
        """Return the coefficient of `h^n` in the rate of w, or of another variable."""
        variable = self._weight if variable is None else variable
        key = (variable, n)
        if key not in self._fields:
            rates = self._polynomials[variable]
            terms: Terms = {}
            # a product of weight m holds h^m; what is left of n comes from the rates inside
            for m in range(min(n, len(rates) - 1) + 1):
                for derivatives, c in rates[m].items():
                    for bush, number in self._product(
                        derivatives, n - m + sum(derivatives)
                    ).items():
                        _collect(terms, bush, c * number)
            self._fields[key] = {b: c for b, c in ((b, _tidy(c)) for b, c in terms.items()) if c}
        return self._fields[key]

    def _product(self, derivatives: tuple[int, ...], n: int) -> Terms:
        """Return the coefficient of h^n in a product of g_k."""
        if not derivatives:
            return {(): sp.S.One} if n == 0 else {}
        first, *rest = derivatives
        terms: Terms = {}
        for m in range(first, n - sum(rest) + 1):
            for left, a in self.gradient(first, m).items():
                for right, b in self._product(tuple(rest), n - m).items():
                    _collect(terms, _sorted(left + right), a * b)
        return terms

    def gradient(self, k: int, n: int) -> Terms:
        """Return the coefficient of h^n in `g_k = (h d/dt)^k g`."""
        key = (k, n)
        if key not in self._gradients:
            terms: Terms = {}
            if k == 1:
                for child, number in self._children(n - 1):
                    _collect(terms, ((child,),), number)
            else:
                for m in range(k - 1, n):
                    for bush, c in self.gradient(k - 1, m).items():
                        for raised, d in self._derivative(bush, n - 1 - m).items():
                            _collect(terms, raised, c * d)
            self._gradients[key] = terms
        return self._gradients[key]

    def _children(self, n: int) -> list[tuple[Child, sp.Expr]]:
        """Return the terms of the h^n part of the rate of w, as branches with a number each."""
        return [split for bush, c in self.field(n).items() for split in self._branches(c, bush)]

    def _derivative(self, bush: Bush, n: int) -> Terms:
        """Return `d/dt` of a product of factors along the h^n part of the flow."""
        terms: Terms = {}
        for i, factor in enumerate(bush):
            others = bush[:i] + bush[i + 1 :]
            for child, number in self._children(n):
                _collect(terms, _sorted((*others, _sorted((*factor, child)))), number)
            for j, (function, below) in enumerate(factor):
                rest = factor[:j] + factor[j + 1 :]
                for child, number in self._child_derivative(function, below, n):
                    _collect(terms, _sorted((*others, _sorted((*rest, child)))), number)
        return terms

    def _child_derivative(
        self, function: sp.Expr, bush: Bush, n: int
    ) -> list[tuple[Child, sp.Expr]]:
        found: list[tuple[Child, sp.Expr]] = []
        slope = sp.diff(function, GRADIENT)
        if slope != 0:
            for child, number in self._children(n):
                raised = _sorted((*bush, (child,)))
                found += [(c, number * d) for c, d in self._branches(slope, raised)]
        for variable in self._polynomials:
            slope = sp.diff(function, variable)
            if slope != 0:
                for below, c in self.field(n, variable).items():
                    found += self._branches(slope * c, _sorted(bush + below))
        for below, c in self._derivative(bush, n).items():
            found += self._branches(function * c, below)
        return found

    def _branches(self, function: sp.Expr, bush: Bush) -> list[tuple[Child, sp.Expr]]:
        """Return (function, bush) as one branch with its constant factor in front."""
        function = _tidy(function)
        if function == 0:
            return []
        number, shape = function.as_independent(*self._varying, as_Add=False)
        return [((shape, bush), number)]


def _tidy(expr: sp.Expr) -> sp.Expr:
    return factored(expr) if expr.is_rational_function() else sp.factor(sp.together(expr))


def outward(expr: sp.Expr) -> sp.Expr:
    """Return an expression in the registered symbol of the gradient: |g| for sqrt(g^2)."""
    return _tidy(expr).subs(GRADIENT, symbols.g)


def bush_latex(bush: Bush) -> str:
    """Return a product of factors in LaTeX, the Hadamard product between them."""
    return r" \odot ".join(_factor_latex(f) for f in bush)


def _factor_latex(factor: Factor) -> str:
    inside = ", ".join(
        " ".join(filter(None, ("" if c == 1 and b else as_latex(outward(c)), bush_latex(b))))
        for c, b in factor
    )
    degree = f"^{{{len(factor)}}}" if len(factor) > 1 else ""
    return rf"\nabla{degree} g\left[{inside}\right]"


def bush_text(bush: Bush) -> str:
    """Return a product of factors as text: `Dg[g] * D2g[g, g]`."""
    return " * ".join(_factor_text(f) for f in bush)


def _factor_text(factor: Factor) -> str:
    inside = ", ".join(
        " * ".join(filter(None, ("" if c == 1 and b else as_text(outward(c)), bush_text(b))))
        for c, b in factor
    )
    return f"D{len(factor) if len(factor) > 1 else ''}g[{inside}]"


def bush_nodes(bush: Bush) -> int:
    """Return how many gradients a term has, the one of the function in front among them."""
    return 1 + sum(bush_nodes(b) for factor in bush for _, b in factor)


class Algebra(Protocol[X]):
    """What a decorated tree is made into: functions, products and derivatives of g."""

    def function(self, c: sp.Expr) -> X:
        """Return a function of the gradient."""

    def product(self, a: X, b: X) -> X:
        """Return an elementwise product."""

    def derivative(self, branches: Sequence[X]) -> X:
        """Return `grad^k g` applied to k vectors."""


def valued(c: sp.Expr, bush: Bush, algebra: Algebra[X]) -> X:
    """Return a term, from its leaves up, in an algebra."""
    total = algebra.function(c)
    for factor in bush:
        branches = [valued(outward(inner), below, algebra) for inner, below in factor]
        total = algebra.product(total, algebra.derivative(branches))
    return total


def functions(c: sp.Expr, bush: Bush) -> Iterator[sp.Expr]:
    """Yield the functions of the gradient that stand at the nodes of a term."""
    yield c
    for factor in bush:
        for inner, below in factor:
            yield from functions(outward(inner), below)
