r"""Elementwise systems in slow time: how an optimiser with memories becomes an equation.

An optimiser works coordinate by coordinate: `y_{k+1} = A(y_k, g_k, w_k)` for its memories,
`w_{k+1} = w_k + h Phi(y_k, g_k, w_k)` for the weight, `g = grad L(w)` and h the step. What
it does is written in differential polynomials (`series/differential_polynomials.py`), whose
coefficients are functions of g and w, and of the memories where these have a time of their
own.

With `E = exp(h d/dt)` the shift by one step,

    E y = A(y, g, w),    (E - 1) w = h Phi(y, g, w),

are solved order by order. In the *slow regime* the parameters are fixed and the memories
follow the gradient: `(1 - dA/dy) y_n` is known from lower orders. In the *inertial regime*
the times `tau = h/(1 - a)` of the memories are fixed; they stay unknowns of a first-order
system, and `x' = (log E / (E - 1)) F` for `x = (w, y)` is the logarithm of its step.

Nothing here is about Adam: a linear recurrence is the case in which A and Phi are linear.
Sources: Cattaneo, Klusowski, Shigida, ICML 2024 (first correction of Adam); Cattaneo and
Shigida, arXiv 2502.02132 (memoryless iterations).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import sympy as sp

from momentumflow.base.errors import InputError
from momentumflow.symbolic import symbols
from momentumflow.symbolic.methods.optimisers import Optimiser, after
from momentumflow.symbolic.rings import factored
from momentumflow.symbolic.series.differential_polynomials import (
    GRADIENT,
    Polynomial,
    Series,
    composed,
    plus,
    rate_of,
    scaled,
    slow_derivative,
)


@dataclass(frozen=True)
class System:
    """The step of an optimiser as expressions of GRADIENT, the weight, time and memories.

    Attributes
    ----------
    weight, time : sympy.Symbol
        w, and t in units of h, on which a schedule may depend.
    memories : tuple of sympy.Symbol
        Their values before the step.
    updates : tuple of sympy.Expr
        Their values after it.
    move : sympy.Expr
        Phi with `w_{k+1} = w_k + h Phi`.
    """

    weight: sp.Symbol
    time: sp.Symbol
    memories: tuple[sp.Symbol, ...]
    updates: tuple[sp.Expr, ...]
    move: sp.Expr

    @classmethod
    def of(cls, optimiser: Optimiser) -> System:
        """Return the step of an optimiser after its transients."""
        settled = optimiser.settled
        known: dict[sp.Symbol, sp.Expr] = {symbols.g: GRADIENT}
        updates = []
        for memory, update in zip(settled.memories, settled.updates, strict=True):
            updates.append(update.subs(known, simultaneous=True))
            known[after(memory)] = updates[-1]
        move = settled.move.subs(known, simultaneous=True)
        return cls(symbols.w, symbols.t, settled.memories, tuple(updates), move)

    def rest(self) -> dict[sp.Symbol, sp.Expr]:
        """Return what the memories hold once g and w stand still.

        Raises
        ------
        InputError
            If a memory does not forget, or its value at rest has no closed form.
        """
        held: dict[sp.Symbol, sp.Expr] = {}
        for y, update in zip(self.memories, self.updates, strict=True):
            kept = sp.simplify(sp.diff(update, y))
            if kept.is_number and not abs(kept) < 1:
                raise InputError(
                    "memories that forget: |d(new)/d(old)| < 1",
                    f"{y}, which keeps {'all' if kept == 1 else f'{kept} times what'} it had",
                    f"let {y} decay, such as {y} = b*{y} + (1-b)*(...)",
                )
        unknown = {y: sp.Dummy(y.name) for y in self.memories}
        equations = [
            u.subs(unknown) - d for u, d in zip(self.updates, unknown.values(), strict=True)
        ]
        solutions = sp.solve(equations, list(unknown.values()), dict=True) if unknown else [{}]
        for solution in solutions:
            if len(solution) == len(unknown):
                held = {y: sp.simplify(solution[d]) for y, d in unknown.items()}
                return held
        raise InputError(
            "memories whose value at rest has a closed form",
            ", ".join(f"{y} = {u}" for y, u in zip(self.memories, self.updates, strict=True)),
        )


class Slow(NamedTuple):
    """The slow regime by powers of h: `dw/dt`, and the move Phi that the memories make."""

    rates: tuple[Polynomial, ...]
    moves: tuple[Polynomial, ...]


def slow_regime(system: System, order: int) -> Slow:
    """Return what a system does once its memories follow the gradient, through `h^order`.

    Raises
    ------
    InputError
        As `System.rest`, and where the step is not smooth at rest.
    """
    at_rest = system.rest()
    memories = list(system.memories)
    jacobian = sp.Matrix(
        len(memories),
        len(memories),
        lambda i, j: sp.diff(system.updates[i], memories[j]).subs(at_rest, simultaneous=True),
    )
    forgets = (sp.eye(len(memories)) - jacobian).inv().applyfunc(sp.simplify) if memories else None
    held: list[list[Polynomial]] = [[{(): at_rest[y]}] for y in memories]
    rates: dict[sp.Symbol, list[Polynomial]] = {
        system.weight: [],
        system.time: [{(): sp.S.One}],
    }
    moves: list[Polynomial] = []
    for n in range(order + 1):
        if n and forgets is not None:
            known = [
                _lag(system.updates[i], memories, held, i, rates, n) for i in range(len(memories))
            ]
            for i, row in enumerate(held):
                total: Polynomial = {}
                for j, term in enumerate(known):
                    total = plus(total, scaled(term, forgets[i, j]))
                row.append({k: c for k, c in ((k, _simple(c)) for k, c in total.items()) if c})
        values = [Series.of(row, n) for row in held]
        step = composed(system.move, memories, values, n)
        moves.append(step.coefficients[n])
        rates[system.weight].append(rate_of(step, rates))
        _require_smooth(rates[system.weight][-1], system)
    return Slow(tuple(rates[system.weight]), tuple(moves))


def _simple(expr: sp.Expr) -> sp.Expr:
    return factored(expr) if expr.is_rational_function() else sp.simplify(expr)


def _lag(
    update: sp.Expr,
    memories: list[sp.Symbol],
    held: list[list[Polynomial]],
    i: int,
    rates: Mapping[sp.Symbol, Sequence[Polynomial]],
    n: int,
) -> Polynomial:
    """Return what order n of `A(y) - E y` is without y_n: lower orders are known."""
    values = [Series.of(row, n) for row in held]
    found = composed(update, memories, values, n).coefficients[n]
    current = values[i]
    for k in range(1, n + 1):
        current = slow_derivative(current, rates)
        found = plus(found, scaled(current.coefficients[n], -1 / sp.factorial(k)))
    return found


def inertial_rates(
    system: System, order: int, h: sp.Symbol, clocks: Mapping[sp.Symbol, Sequence[Polynomial]]
) -> dict[sp.Symbol, tuple[Polynomial, ...]]:
    """Return the coefficients of dw/dt and of each dy/dt, by powers of h.

    The updates may depend on h: with `a = 1 - h/tau` a memory moves by a multiple of h.
    They may also depend on clocks, functions of time whose rates are known.

    Raises
    ------
    InputError
        If a memory moves by more than a multiple of h in a step.
    """
    unknowns = (system.weight, *system.memories)
    steps = [
        system.move,
        *(sp.cancel((u - y) / h) for u, y in zip(system.updates, system.memories, strict=True)),
    ]
    expansions: dict[sp.Symbol, list[Polynomial]] = {
        x: [{(): c} if c != 0 else {} for c in _powers(step, h, order, x, tuple(clocks))]
        for x, step in zip(unknowns, steps, strict=True)
    }
    rates: dict[sp.Symbol, list[Polynomial]] = {x: [] for x in unknowns}
    rates[system.time] = [{(): sp.S.One}]
    rates |= {clock: list(rate) for clock, rate in clocks.items()}
    for n in range(order + 1):
        # all of one order before any of them is used
        found = {x: rate_of(Series.of(expansions[x], n), rates) for x in unknowns}
        for x, rate in found.items():
            rates[x].append(rate)
            _require_smooth(rate, system)
    return {x: tuple(rates[x]) for x in unknowns}


def _powers(
    step: sp.Expr, h: sp.Symbol, order: int, of: sp.Symbol, clocks: Sequence[sp.Symbol]
) -> Iterable[sp.Expr]:
    found = []
    infinite = step.subs(h, 0).has(sp.zoo, sp.nan, sp.oo)
    derivative = sp.cancel(sp.together(step)) if infinite else step
    for n in range(order + 1):
        value = derivative.subs(h, 0)
        if value.has(sp.zoo, sp.nan, sp.oo):
            raise InputError(
                "memories that move by a multiple of the step, such as a = 1 - gamma/tau",
                f"{of}, which moves at once",
                "use the slow regime",
            )
        value = value / sp.factorial(n)
        # roots of 1 - s only grow when they are multiplied out
        found.append(value if value.has(*clocks) else sp.simplify(value))
        derivative = sp.diff(derivative, h)
    return found


def _require_smooth(rate: Polynomial, system: System) -> None:
    for c in rate.values():
        if c.has(sp.zoo, sp.nan, sp.oo, sp.DiracDelta, sp.Derivative, sp.Subs):
            raise InputError(
                "a step that is smooth where the memories rest",
                f"{system.move}",
                "smooth it: sign(m) as m/sqrt(m**2 + delta**2), a root of what vanishes "
                "at rest with eps inside the root",
            )
