r"""Elementwise equations on arrays, by exact directional derivatives.

The unknowns, w(t) and memories where these have times of their own, are power series in t
and h whose coefficients are arrays. The gradient is evaluated on them by jets, its
derivatives `g_k = (h d/dt)^k g` are read off the powers of t, and each pass adds one order.
Nothing is written out, so that the cost does not depend on the number of trees.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import Vector
from momentumflow.base.errors import InputError
from momentumflow.symbolic import symbols
from momentumflow.symbolic.codegen.compiled import identifier, kernel
from momentumflow.symbolic.series.differential_polynomials import GRADIENT, Polynomial
from momentumflow.symbolic.series.jets import Jet
from momentumflow.symbolic.series.right_hand_side import Array, Field

Powers = dict[tuple[str, ...], Any]
# The functions in front of products of `g_k`: (the product, the power of h, the function).
_Compiled = tuple[tuple[tuple[int, ...], int, Callable[..., Any]], ...]


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


@dataclass(frozen=True, repr=False)
class ElementwiseField:
    """Rates of w, and of memories with times of their own, for a concrete loss.

    Arrays have the variables on the last axis; leading axes are a batch.
    """

    gradient: Callable[..., Any]
    flow: tuple[_Compiled, ...]  # for each unknown
    outside: tuple[_Compiled, ...]  # what is asked for: the flow itself, or a map
    values: tuple[float, ...]
    order: int
    step: float

    @classmethod
    def of(
        cls,
        loss: Any,
        variables: Sequence[Any] | None,
        flow: Mapping[sp.Symbol, Sequence[Polynomial]],
        outside: Sequence[Sequence[Polynomial]] | None,
        parameters: tuple[sp.Symbol, ...],
        given: Mapping[str, float],
    ) -> ElementwiseField:
        """Compile the rates of the unknowns; `parameters` starts with the step.

        Raises
        ------
        InputError
            Missing or unknown parameters.
        """
        wanted = {identifier(s): s for s in parameters}
        if set(given) != set(wanted):
            raise InputError(
                f"values for {', '.join(wanted)}", ", ".join(given) or "none", "name each once"
            )
        field = Field.of(loss, variables)
        step, *others = (float(given[name]) for name in wanted)
        # without assumptions, so that sqrt(g**2) is not written |g|, which jets do not take
        plain = {s: sp.Symbol(f"{s.name}_") for s in (GRADIENT, *flow)}
        gradient, *unknowns = plain.values()
        arguments = (gradient, symbols.t, *unknowns, *parameters[1:])

        def smooth(c: sp.Expr) -> sp.Expr:
            return c.xreplace(plain).replace(sp.Abs, lambda x: sp.sqrt(x**2))

        def compiled(rates: Sequence[Polynomial]) -> _Compiled:
            return tuple(
                (key, n, kernel(smooth(c), arguments, name="coefficient").function)
                for n, rate in enumerate(rates)
                for key, c in rate.items()
            )

        along = tuple(map(compiled, flow.values()))
        asked = along if outside is None else tuple(map(compiled, outside))
        order = max(len(rates) for rates in flow.values()) - 1
        return cls(lambda w: _negated(field(w)), along, asked, tuple(others), order, step)

    def __repr__(self) -> str:
        return f"<ElementwiseField of {len(self.flow)} unknowns, {self.order} corrections>"

    @checked
    def __call__(self, *state: Vector, t: float = 0.0) -> Any:
        """Evaluate at w, the memories if they are unknowns, and time where it enters.

        Returns
        -------
        ndarray or tuple of ndarray
            The rate of w; with memories, of each unknown.
        """
        if len(state) != len(self.flow):
            raise InputError(f"{len(self.flow)} arrays, w first", f"{len(state)}")
        paths: list[Powers] = [{(): x} for x in state]
        for degree in range(self.order):
            rates = self._rates(self.flow, paths, t, degree)
            paths = [
                {(): x} | {tuple(sorted((*m, "t"))): a / (m.count("t") + 1) for m, a in r.items()}
                for x, r in zip(state, rates, strict=True)
            ]
        found = []
        for rate in self._rates(self.outside, paths, t, self.order):
            total = np.zeros(np.shape(state[0]))
            for m, a in rate.items():
                if "t" not in m:
                    total = total + a * self.step ** len(m)
            found.append(total)
        return found[0] if len(found) == 1 else tuple(found)

    def system(self, t: float, y: Array) -> Array:
        """Return `y'` for the unknowns joined on the last axis, as SciPy's solvers want it."""
        parts = np.split(np.asarray(y, dtype=np.float64), len(self.flow), axis=-1)
        found = self(*parts, t=float(t))
        return found if len(parts) == 1 else np.concatenate(found, axis=-1)

    def _rates(
        self, wanted: tuple[_Compiled, ...], paths: Sequence[Powers], t: float, degree: int
    ) -> list[Powers]:
        """Return rates as power series, from the unknowns as such."""
        space: Any = _PowerSpace(degree)
        jets = [Jet({m: a for m, a in p.items() if len(m) <= degree}, space) for p in paths]
        time = Jet({(): np.asarray(t), ("t",): np.asarray(1.0)} if degree else {(): t}, space)
        weight = jets[0]
        value = self.gradient(weight)
        if isinstance(value, list | tuple):
            value = _stacked(value, weight)
        if not isinstance(value, Jet):
            value = Jet({(): np.broadcast_to(value, weight.shape)}, space)
        derivatives = [value]
        for _ in range(degree):
            derivatives.append(_time_derivative(derivatives[-1]))
        # what stands before h^n is needed to the degree that is left: the longest functions,
        # those of the highest n, on plain numbers
        cut = [
            ([_cut(x, degree - n) for x in (value, time, *jets)],
             [_cut(g_k, degree - n) for g_k in derivatives])
            for n in range(degree + 1)
        ]  # fmt: skip
        found = []
        for row in wanted:
            total: Powers = {}
            for key, n, function in row:
                if n > degree:
                    continue
                inputs, factors = cut[n]
                (c,) = function(*inputs, *self.values)
                for k in key:
                    c = c * factors[k]
                if not isinstance(c, Jet):
                    constant = np.broadcast_to(np.asarray(c, dtype=np.float64), weight.shape)
                    c = Jet({(): constant}, space)
                for m, a in c.coefficients.items():
                    target = tuple(sorted((*m, *("h",) * n)))
                    total[target] = total[target] + a if target in total else a
            found.append(total)
        return found


def _cut(jet: Any, degree: int) -> Any:
    """Return a power series through a degree; through 0, its value."""
    if degree == 0:
        return jet.value
    space: Any = _PowerSpace(degree)
    return Jet({m: a for m, a in jet.coefficients.items() if len(m) <= degree}, space)


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


def _negated(value: Any) -> Any:
    return [-part for part in value] if isinstance(value, list | tuple) else -value
