r"""Equations of elementwise systems over trees, and their values on a concrete loss.

The derivatives `g_k = (h d/dt)^k g` of a differential polynomial
(`differential_polynomials.py`) are derivatives of the gradient along the equation's own
right-hand side: `g_1 = h grad g [w']`. Written out, a term is a *decorated tree*,

    c(g) * prod_i  grad^{k_i} g [X_i1, X_i2, ...],    X of the same kind,

a function of the gradient at each node, multiplied elementwise. For a linear method
every c is a number and these are the elementary differentials of `trees/`.

On arrays nothing is written out: w(t) is a power series in t and h whose coefficients are
arrays, the gradient is evaluated on it by jets, and each pass adds one order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from momentumflow.base.errors import InputError
from momentumflow.symbolic import symbols
from momentumflow.symbolic.codegen.compiled import identifier, kernel
from momentumflow.symbolic.series.differential_polynomials import GRADIENT, Polynomial
from momentumflow.symbolic.series.jets import Jet
from momentumflow.symbolic.series.right_hand_side import Field

# A factor grad^k g [X_1, ..., X_k] is the sorted tuple of its X; a bush is a sorted tuple
# of factors; an X is a function of the gradient and a bush.
Child = tuple[sp.Expr, tuple[Any, ...]]
Factor = tuple[Child, ...]
Bush = tuple[Factor, ...]
Terms = dict[Bush, sp.Expr]


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
        return [split for bush, c in self.field(n).items() for split in _branches(c, bush)]

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
                found += [(c, number * d) for c, d in _branches(slope, _sorted((*bush, (child,))))]
        for variable in self._polynomials:
            slope = sp.diff(function, variable)
            if slope != 0:
                for below, c in self.field(n, variable).items():
                    found += _branches(slope * c, _sorted(bush + below))
        for below, c in self._derivative(bush, n).items():
            found += _branches(function * c, below)
        return found


def _branches(function: sp.Expr, bush: Bush) -> list[tuple[Child, sp.Expr]]:
    """Return (function, bush) as one branch with its constant factor in front."""
    function = _tidy(function)
    if function == 0:
        return []
    number, shape = function.as_independent(GRADIENT, symbols.w, symbols.t, as_Add=False)
    return [((shape, bush), number)]


def _tidy(expr: sp.Expr) -> sp.Expr:
    return sp.factor(sp.together(expr))


class _PowerSpace:
    """Power series in t and h, cut off beyond a total degree: what jets are made of here."""

    def __init__(self, degree: int) -> None:
        self.degree = degree

    def times(self, a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...] | None:
        merged = tuple(sorted(a + b))
        return merged if len(merged) <= self.degree else None

    def product(self, a: Mapping[Any, Any], b: Mapping[Any, Any]) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for m, x in a.items():
            for n, y in b.items():
                target = self.times(m, n)
                if target is not None:
                    result[target] = result[target] + x * y if target in result else x * y
        return result


@dataclass(frozen=True)
class ElementwiseField:
    """The right-hand side of an elementwise equation for a concrete loss.

    Called with w it returns `dw/dt`, t in units of gamma times the steps, by exact
    directional derivatives of the gradient; arrays have the variables on the last axis.
    """

    gradient: Callable[[Any], Any]
    coefficients: tuple[tuple[tuple[int, ...], int, Callable[..., Any]], ...]
    values: tuple[Any, ...]
    order: int
    step: float

    def __call__(self, w: ArrayLike, t: float = 0.0) -> Any:
        """Evaluate at w and, where the equation depends on time, at t."""
        point = np.asarray(w, dtype=np.float64)
        path: dict[tuple[str, ...], Any] = {(): point}
        rate: dict[tuple[str, ...], Any] = {}
        for degree in range(self.order + 1):
            space: Any = _PowerSpace(degree)
            kept = {m: a for m, a in path.items() if len(m) <= degree}
            weight = Jet(kept, space)
            time = Jet({(): np.asarray(t), ("t",): np.asarray(1.0)} if degree else {(): t}, space)
            rate = self._rate(weight, time, space)
            path = {(): point}
            for m, a in rate.items():
                power = m.count("t") + 1
                path[tuple(sorted((*m, "t")))] = a / power
        total = np.zeros(point.shape)
        for m, a in rate.items():
            if "t" not in m:
                total = total + a * self.step ** len(m)
        return total

    def _rate(self, weight: Jet, time: Jet, space: Any) -> dict[tuple[str, ...], Any]:
        """Return dw/dt as a power series, from w as one."""
        value = self.gradient(weight)
        if isinstance(value, list | tuple):
            value = _stacked(value, weight)
        if not isinstance(value, Jet):
            value = Jet({(): np.broadcast_to(value, weight.shape)}, space)
        derivatives = [value]
        for _ in range(self.order):
            derivatives.append(_time_derivative(derivatives[-1]))
        total: dict[tuple[str, ...], Any] = {}
        for key, n, function in self.coefficients:
            if n > space.degree:
                continue
            (c,) = function(value, weight, time, *self.values)
            if not isinstance(c, Jet):
                c = Jet({(): np.broadcast_to(np.asarray(c, dtype=np.float64), weight.shape)}, space)
            for k in key:
                c = c * derivatives[k]
            for m, a in c.coefficients.items():
                target = space.times(m, ("h",) * n)
                if target is not None:
                    total[target] = total[target] + a if target in total else a
        return total


def _stacked(parts: Sequence[Any], like: Jet) -> Jet:
    """Return components, jets or numbers, as one jet along the last axis."""
    shape = like.shape[:-1]
    monomials = {m for p in parts if isinstance(p, Jet) for m in p.coefficients} | {()}

    def component(part: Any, m: tuple[str, ...]) -> Any:
        a = part.coefficients.get(m, 0.0) if isinstance(part, Jet) else (0.0 if m else part)
        return np.broadcast_to(np.asarray(a, dtype=np.float64), shape)

    return Jet(
        {m: np.stack([component(p, m) for p in parts], axis=-1) for m in monomials}, like.space
    )


def _time_derivative(jet: Jet) -> Jet:
    found: dict[Any, Any] = {(): np.zeros(jet.shape)}
    for m, a in jet.coefficients.items():
        power = m.count("t")
        if power:
            found[m[:-1]] = a * power  # "t" sorts behind "h"
    return Jet(found, jet.space)


@dataclass(frozen=True, repr=False)
class ElementwiseEquation:
    """`dw/dt` of an optimiser in the slow regime, t being gamma times the steps.

    Attributes
    ----------
    name : str
        Of the optimiser.
    step : sympy.Symbol
        h, the step.
    parameters : tuple of sympy.Symbol
    rates : tuple of Polynomial
        By powers of the step: each product of the derivatives `g_k` of the gradient, and
        the function of g (and w, t) in front of it.
    """

    name: str
    step: sp.Symbol
    parameters: tuple[sp.Symbol, ...]
    rates: tuple[Polynomial, ...]

    @property
    def order(self) -> int:
        """How many corrections: terms through `step**order`."""
        return len(self.rates) - 1

    def coefficient(self, *derivatives: int) -> sp.Expr:
        """Return the function in front of a product of `g_k`: `coefficient(1, 1)` of `g_1^2`.

        With no argument, the sum over all orders of what stands alone.
        """
        key = tuple(sorted(derivatives))
        found = sp.Add(*(self.step**n * r[key] for n, r in enumerate(self.rates) if key in r))
        return outward(found)

    @cached_property
    def terms(self) -> tuple[tuple[int, sp.Expr, Bush], ...]:
        """The equation over decorated trees: (power of the step, function, bush)."""
        trees = Differentials(self.rates, symbols.w, {symbols.t: ({(): sp.S.One},)})
        return tuple(
            (n, outward(c), bush)
            for n in range(self.order + 1)
            for bush, c in sorted(trees.field(n).items(), key=lambda item: _order(item[0]))
        )

    def latex(self) -> str:
        """Return the equation in LaTeX over decorated trees, g the gradient."""
        pieces = []
        for n, c, bush in self.terms:
            power = sp.latex(self.step**n) if n else ""
            body = " ".join(filter(None, (power, sp.latex(c), _bush_latex(bush))))
            pieces.append(body)
        return r"\dot w = " + " + ".join(pieces).replace("+ -", "- ") if pieces else r"\dot w = 0"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        lines = [f"{self.name}: w' ="]
        for n, c, bush in self.terms:
            front = f"{self.step}**{n} * " if n > 1 else f"{self.step} * " if n else ""
            lines.append(f"  {front}({c}){_bush_text(bush)}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<ElementwiseEquation of {self.name}: {self.order} corrections>"

    def rhs(
        self, loss: Any, variables: Sequence[Any] | None = None, **values: float
    ) -> ElementwiseField:
        """Return the right-hand side for a concrete loss and numbers for the parameters.

        Parameters
        ----------
        loss : sympy.Expr or callable
            The loss, or its gradient written in NumPy.
        variables : sequence of symbols, optional
            Of a SymPy loss, in order.
        **values : float
            The step and every parameter, by name.

        Raises
        ------
        InputError
            Missing or unknown parameters.
        """
        wanted = {identifier(s): s for s in (self.step, *self.parameters)}
        if set(values) != set(wanted):
            raise InputError(
                f"values for {', '.join(wanted)}", ", ".join(values) or "none", "name each once"
            )
        field = Field.of(loss, variables)
        arguments = (GRADIENT, symbols.w, symbols.t, *self.parameters)
        compiled = tuple(
            (key, n, kernel(c, arguments, name="coefficient").function)
            for n, rate in enumerate(self.rates)
            for key, c in rate.items()
        )
        numbers = tuple(float(values[identifier(p)]) for p in self.parameters)
        return ElementwiseField(
            lambda w: _negated(field(w)),
            compiled,
            numbers,
            self.order,
            float(values[identifier(self.step)]),
        )


def _negated(value: Any) -> Any:
    return [-part for part in value] if isinstance(value, list | tuple) else -value


def outward(expr: sp.Expr) -> sp.Expr:
    """Return an expression in the registered symbol of the gradient: |g| for sqrt(g^2)."""
    return _tidy(expr).subs(GRADIENT, symbols.g)


def _bush_latex(bush: Bush) -> str:
    return r" \odot ".join(_factor_latex(f) for f in bush)


def _factor_latex(factor: Factor) -> str:
    inside = ", ".join(
        " ".join(filter(None, ("" if c == 1 and b else sp.latex(outward(c)), _bush_latex(b))))
        for c, b in factor
    )
    degree = f"^{{{len(factor)}}}" if len(factor) > 1 else ""
    return rf"\nabla{degree} g\left[{inside}\right]"


def _bush_text(bush: Bush) -> str:
    return "".join(f" * {_factor_text(f)}" for f in bush)


def _factor_text(factor: Factor) -> str:
    inside = ", ".join(
        (f"{outward(c)}{_bush_text(b)}" if c != 1 or not b else _bush_text(b)[3:])
        for c, b in factor
    )
    return f"D{len(factor) if len(factor) > 1 else ''}g[{inside}]"
