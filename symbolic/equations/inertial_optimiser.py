r"""The inertial regime of an optimiser: the times of its memories fixed, the step to zero.

A memory with `y' = a y + ...` forgets in `1/(1 - a)` steps. One that adds up gradients
instead of averaging them (`v = b v + g`) grows like `1/(1 - b)`; it is measured in units of
that, and so is the step: with h the time of a step, `tau = h/(1 - a)` fixed and h to zero,
every memory and the weight move by a multiple of h, and the logarithm of the step is a
first-order system for (w, y). For heavy ball h is `epsilon = gamma/(1 - beta)` and tau is
lambda; for Adam h is gamma. The powers `b**k` of bias correction become functions of time:
`s = a**(t/h)` with `s' = ln(1 - h/tau)/h s`, which is `exp(-t/tau)` at leading order.

References: Malladi et al., NeurIPS 2022 (the leading equation of Adam, with noise).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp

from momentumflow.base.arguments import FileName, Natural, checked
from momentumflow.base.arrays import Reals, Vector
from momentumflow.base.errors import InputError
from momentumflow.base.files import write_text
from momentumflow.base.values import Formulated
from momentumflow.symbolic import symbols
from momentumflow.symbolic.codegen.compiled import identifier, kernel
from momentumflow.symbolic.equations.elementwise import System, inertial_rates
from momentumflow.symbolic.expressions import Formula, OwnSymbol, SymbolLike
from momentumflow.symbolic.methods.optimisers import Optimiser, after, k
from momentumflow.symbolic.printing import as_latex, as_text, joined
from momentumflow.symbolic.rings import factored
from momentumflow.symbolic.series.decorated_trees import (
    Bush,
    Differentials,
    bush_nodes,
    bush_text,
    outward,
)
from momentumflow.symbolic.series.differential_polynomials import GRADIENT, Polynomial, plus
from momentumflow.symbolic.series.elementwise_field import ElementwiseField
from momentumflow.symbolic.series.elementwise_series import components
from momentumflow.symbolic.series.exports import elementwise_module, latex_document
from momentumflow.symbolic.series.right_hand_side import Array, check_loss

# The time of one step.
h = sp.Symbol("h", positive=True)
_POLES = 4


@dataclass(frozen=True)
class Times:
    """Which times an optimiser has, and the units that make them plain.

    Attributes
    ----------
    forgetting : mapping of symbol to symbol
        For each memory the parameter a with `dy'/dy = a`.
    times : mapping of symbol to symbol
        For each such parameter its time tau.
    sizes : mapping of symbol to sympy.Expr
        What each memory is measured in: 1, or `1/(1 - a)` if it adds up.
    time_step : sympy.Expr
        h in the optimiser's own parameters.
    """

    forgetting: Mapping[sp.Symbol, sp.Symbol]
    times: Mapping[sp.Symbol, sp.Symbol]
    sizes: Mapping[sp.Symbol, sp.Expr]
    time_step: sp.Expr

    @property
    def parameters(self) -> dict[sp.Symbol, sp.Expr]:
        """Each tau in the optimiser's own parameters."""
        return {tau: factored(self.time_step / (1 - a)) for a, tau in self.times.items()}

    @property
    def back(self) -> dict[sp.Symbol, sp.Expr]:
        """Each rate a of forgetting in h and its time."""
        return {a: 1 - h / tau for a, tau in self.times.items()}

    @property
    def units(self) -> dict[sp.Symbol, sp.Expr]:
        """What each memory is measured in, in h and the times."""
        return {y: size.subs(self.back) for y, size in self.sizes.items()}


def times_of(optimiser: Optimiser) -> Times:
    """Return the times of an optimiser's memories.

    Raises
    ------
    InputError
        If the rate at which a memory forgets is no parameter of its own.
    """
    system = System.of(optimiser)
    forgetting: dict[sp.Symbol, sp.Symbol] = {}
    for y, update in zip(system.memories, system.updates, strict=True):
        a = sp.simplify(sp.diff(update, y))
        if not a.is_Symbol:
            raise InputError(
                f"a memory {y} that keeps a parameter of its old value, like m = b*m + ...",
                f"one that keeps {a} of it",
                "leave that parameter a symbol, and put numbers in afterwards",
            )
        forgetting[y] = a
    rates = tuple(dict.fromkeys(forgetting.values()))
    rest = system.rest()
    sizes = {y: (1 - a) ** -_pole(rest[y], a) for y, a in forgetting.items()}
    # the one time of a memory that adds up is the lambda of heavy ball
    is_lambda = len(rates) == 1 and any(size != 1 for size in sizes.values())
    times = {
        a: symbols.lam if is_lambda else sp.Symbol(f"tau_{i + 1}", positive=True)
        for i, a in enumerate(rates)
    }
    speed = system.move.subs(rest, simultaneous=True)
    time_step = optimiser.step
    for a in rates:
        time_step = time_step * (1 - a) ** -_pole(speed, a)
    return Times(forgetting, times, sizes, time_step)


def _pole(expression: sp.Expr, a: sp.Symbol) -> int:
    """Return the order of the pole of an expression at a = 1."""
    for power in range(_POLES):
        value = sp.simplify(expression * (1 - a) ** power).subs(a, 1)
        if not value.has(sp.zoo, sp.nan, sp.oo):
            return power
    raise InputError("a memory that grows like a power of 1/(1 - b)", str(expression))


@checked
@dataclass(frozen=True, repr=False)
class InertialSystem(Formulated):
    """The first-order system that an optimiser follows in the inertial regime.

    Attributes
    ----------
    optimiser : Optimiser
    times : Times
    rates : mapping of symbol to tuple of Polynomial
        For w and for each memory in its unit: by powers of h, the products of the
        derivatives `g_k` of the gradient with the functions in front of them.
    """

    optimiser: Optimiser
    times: Times
    rates: Mapping[OwnSymbol, tuple[Polynomial, ...]]

    def __post_init__(self) -> None:
        wanted = {symbols.w, *self.optimiser.memories}
        if set(self.rates) != wanted or len({len(rate) for rate in self.rates.values()}) != 1:
            raise InputError(
                f"as many rates of each of {', '.join(sorted(map(str, wanted)))}",
                ", ".join(f"{len(rate)} of {x}" for x, rate in self.rates.items()) or "none",
            )

    def __hash__(self) -> int:
        # the rates are tables of expressions, which do not hash
        return hash((self.optimiser, self.times.time_step, self.order))

    @property
    def order(self) -> int:
        """How many corrections: terms through `h**order`."""
        return len(next(iter(self.rates.values()))) - 1

    @cached_property
    def leading(self) -> dict[sp.Symbol, sp.Expr]:
        """The leading right-hand side of w and of each memory, g the gradient."""
        return {x: _plain(rate[0].get((), sp.S.Zero)) for x, rate in self.rates.items()}

    @property
    def parameters(self) -> tuple[sp.Symbol, ...]:
        """The parameters of the system besides h: times and what is left of the optimiser's."""
        own = tuple(p for p in self.optimiser.parameters if p not in self.times.times)
        return (*self.times.times.values(), *own)

    def start(
        self, w: Vector, memories: Mapping[str, Reals] | None = None, **values: float
    ) -> tuple[Array, ...]:
        """Return w and the memories at the start, in the units of the system.

        Before the first step (t = 0) the memories hold what the optimiser starts with. Where
        the rates are not finite there, as with bias correction, the system is entered some
        steps later: with what a run holds after k steps, at t = k h.

        Parameters
        ----------
        w : array_like, shape (..., d)
        memories : mapping of str to array_like, optional
            What each memory holds, by name, in the optimiser's own units.
        **values : float
            By name, those of `h` and the times that units depend on: of memories that add
            up, such as the velocity of SGD.

        Raises
        ------
        InputError
            If the rates are not finite before the first step, a memory is missing or
            unknown, or the values are not those that the units need.
        """
        point = np.asarray(w, dtype=np.float64)
        names = {y.name: y for y in self.optimiser.memories}
        if memories is None:
            if not self._starts_smoothly:
                raise InputError(
                    "memories of a run that has begun",
                    f"none, and the rates of {self.optimiser.name} are not finite at t = 0",
                    "take k steps with run_optimiser, hand over its w and memories, and go on "
                    "from t = k h",
                )
            held = dict(zip(names, map(float, self.optimiser.start), strict=True))
        elif set(memories) != set(names):
            raise InputError(
                f"memories {', '.join(names) or 'none'}", ", ".join(memories) or "none"
            )
        else:
            held = {name: memories[name] for name in names}
        units = self.times.units
        needed = sorted(set().union(*(u.free_symbols for u in units.values())), key=str)
        wanted = [identifier(s) for s in needed]
        if set(values) != set(wanted):
            raise InputError(
                f"values for {', '.join(wanted) or 'no parameters'}", ", ".join(values) or "none"
            )
        sizes = kernel(list(units.values()), needed).function(*(values[s] for s in wanted))
        return (
            point,
            *(
                np.broadcast_to(np.asarray(held[name], dtype=np.float64) / size, point.shape)
                for name, size in zip(names, sizes, strict=True)
            ),
        )

    @cached_property
    def _starts_smoothly(self) -> bool:
        """Whether all rates, as they are computed, are finite before the first step."""
        at_start = self.optimiser.start
        if any(s.free_symbols for s in at_start):
            return False
        functions = [c for rate in self.rates.values() for p in rate for c in p.values()]
        generic = (GRADIENT, symbols.w, *self.parameters)
        given = (symbols.t, *self.optimiser.memories)
        with np.errstate(all="ignore"):
            found = kernel(functions, (*generic, *given)).function(
                *(0.5 + 0.3 / (1 + i) for i in range(len(generic))), 0.0, *map(float, at_start)
            )
        return bool(np.isfinite(found).all())

    @cached_property
    def terms(self) -> dict[sp.Symbol, tuple[tuple[int, sp.Expr, Bush], ...]]:
        """Each rate over decorated trees: (power of h, function, bush)."""
        others = {y: self.rates[y] for y in self.optimiser.memories}
        time: dict[sp.Symbol, tuple[Polynomial, ...]] = {symbols.t: ({(): sp.S.One},)}
        trees = Differentials(self.rates[symbols.w], symbols.w, others | time)
        return {
            x: tuple(
                (n, outward(c), bush)
                for n in range(self.order + 1)
                for bush, c in sorted(trees.field(n, x).items(), key=lambda item: str(item[0]))
            )
            for x in self.rates
        }

    @property
    def _rows(self) -> dict[sp.Symbol, list[tuple[sp.Expr, Bush]]]:
        """The terms with their powers of h."""
        return {x: [(h**n * c, bush) for n, c, bush in terms] for x, terms in self.terms.items()}

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each term: unknown, differential, order, nodes, coefficient."""
        return [
            {
                "unknown": x.name,
                "differential": bush_text(bush) or "1",
                "order": n,
                "nodes": bush_nodes(bush),
                "coefficient": as_text(c),
            }
            for x, terms in self.terms.items()
            for n, c, bush in terms
        ]

    def to_latex_document(self) -> str:
        """Return a LaTeX document that compiles on its own, one power of h a line."""
        return latex_document([(self._left(x), self._terms(x, as_latex)) for x in self.rates])

    def to_module(self, path: FileName | None = None) -> str:
        """Return (and write, if a path is given) a Python module that evaluates the rates.

        The module needs nothing but NumPy: `evaluate(g, derivative, ...)` takes the
        gradient at w, a function that applies its derivatives, and the memories.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        equations = {f"{x.name}'": rows for x, rows in self._rows.items()}
        source = elementwise_module(self.optimiser.name, equations, self.optimiser.memories)
        if path is not None:
            write_text(path, source)
        return source

    def unknowns(self, variables: Sequence[OwnSymbol]) -> dict[sp.Symbol, tuple[sp.Symbol, ...]]:
        """Return the components of each unknown: the variables, and `m_x` for the memory m.

        Parameters
        ----------
        variables : sequence of sympy.Symbol
        """
        memories = {
            y: tuple(sp.Symbol(f"{y.name}_{x.name}", **y.assumptions0) for x in variables)
            for y in self.optimiser.memories
        }
        return {symbols.w: tuple(variables), **memories}

    def specialise(
        self, loss: Formula, variables: Sequence[SymbolLike] | None = None
    ) -> dict[sp.Symbol, tuple[sp.Expr, ...]]:
        """Return the components of each rate for a SymPy loss, as expressions.

        Parameters
        ----------
        loss : sympy.Expr
        variables : sequence of symbols, optional
            In the order of the components; those of memories are `unknowns(variables)`.

        Raises
        ------
        InputError
            If the loss is not smooth.
        """
        expr, names = check_loss(loss, variables)
        held = self.unknowns(names)
        return {x: components(rows, expr, held) for x, rows in self._rows.items()}

    def rhs(
        self,
        loss: Formula | Callable[..., Any],
        variables: Sequence[SymbolLike] | None = None,
        **values: float,
    ) -> ElementwiseField:
        """Return the rates of w and the memories for a concrete loss.

        Parameters
        ----------
        loss : sympy.Expr or callable
            The loss, or its gradient written in smooth NumPy operations.
        variables : sequence of symbols, optional
            Of a SymPy loss, in order.
        **values : float
            `h`, the times and every other parameter, by name.

        Raises
        ------
        InputError
            Missing or unknown parameters; a loss that is not smooth.
        """
        return ElementwiseField.of(loss, variables, self.rates, None, (h, *self.parameters), values)

    def correction(self, n: Natural) -> dict[sp.Symbol, sp.Expr]:
        """Return the coefficient of `h**n` in each rate, `g_k` the k-th time derivative of g.

        Raises
        ------
        InputError
            If n is above the order of the equation.
        """
        if n > self.order:
            raise InputError(f"n <= {self.order}", f"n = {n}", "derive to a higher order")
        found = {}
        for x, rates in self.rates.items():
            total = sp.S.Zero
            for key, c in rates[n].items():
                product = sp.Mul(*(sp.Symbol(f"g_{k}", real=True) for k in key))
                total += _plain(c) * product
            found[x] = total
        return found

    def _formula(self) -> str:
        rows = []
        for x in self.rates:
            rows.append(f"{self._left(x)} &= {joined(self._terms(x, as_latex))}")
        return "\\begin{aligned}" + " \\\\ ".join(rows) + "\\end{aligned}"

    @staticmethod
    def _left(x: sp.Symbol) -> str:
        return f"\\dot {{{sp.latex(x)}}}"

    def _terms(self, x: sp.Symbol, number: Callable[[sp.Expr], str]) -> list[tuple[str, str]]:
        """Return what the rate of x is the sum of, a power of h at a time."""
        corrections = (self.correction(n)[x] for n in range(self.order + 1))
        return [(number(h**n * c), "") for n, c in enumerate(corrections) if c != 0]

    def __str__(self) -> str:
        lines = [f"{self.optimiser.name}, h = {self.times.time_step}:"]
        for x in self.rates:
            lines.append(f"  {x}' = {joined(self._terms(x, as_text))}")
        if any(key for rate in self.rates.values() for p in rate for key in p):
            lines.append("  g_k: the k-th time derivative of the gradient g")
        lines += [f"  {tau} = {value}" for tau, value in self.times.parameters.items()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<InertialSystem of {self.optimiser.name}: {self.order} corrections>"


@checked
def inertial_system(optimiser: Optimiser, order: Natural = 0) -> InertialSystem:
    """Return the system that an optimiser follows with its memories' times fixed.

    Parameters
    ----------
    optimiser : Optimiser
    order : int
        How many corrections in powers of h, the time of a step.

    Raises
    ------
    InputError
        As `times_of`, or where the leading step is not smooth.
    """
    times = times_of(optimiser)
    back, units = times.back, times.units
    # the step in units of h: gamma = h (gamma / time step)
    pace = (optimiser.step / times.time_step).subs(back)
    measured = {y: y * unit for y, unit in units.items()}
    known: dict[sp.Symbol, sp.Expr] = {symbols.g: GRADIENT}
    clocks = {a: sp.Dummy(f"s_{tau.name}", positive=True) for a, tau in times.times.items()}
    updates = []
    for y, stated in zip(optimiser.memories, optimiser.updates, strict=True):
        new = _in_time(stated, times, clocks).subs(back).subs(measured, simultaneous=True)
        new = new.subs(known, simultaneous=True)
        known[after(y)] = new
        updates.append(new / units[y])
    move = _in_time(optimiser.move, times, clocks).subs(back).subs(measured, simultaneous=True)
    move = move.subs(known, simultaneous=True) * pace
    system = System(symbols.w, symbols.t, optimiser.memories, tuple(updates), move)
    pairs = [(clocks[a], tau) for a, tau in times.times.items()]
    # ln(1 - h/tau)/h
    slow: dict[sp.Symbol, list[Polynomial]] = {
        s: [{(): -s / ((n + 1) * tau ** (n + 1))} for n in range(order + 1)] for s, tau in pairs
    }
    rates = inertial_rates(system, order, h, slow)
    read = {s: _clock(tau, order) for s, tau in pairs}
    return InertialSystem(optimiser, times, {x: _read(rate, read) for x, rate in rates.items()})


def _in_time(expression: sp.Expr, times: Times, clocks: Mapping[sp.Symbol, sp.Symbol]) -> sp.Expr:
    """Write powers `a**(k + c)` by the clocks, at the time t = (k - 1) h before the step."""

    def written(power: sp.Expr) -> sp.Expr:
        if power.base not in times.times:
            raise InputError("powers b**k of the memories' own parameters", str(power))
        return clocks[power.base] * power.base ** (1 + power.exp - k)

    return expression.replace(lambda e: e.is_Pow and e.exp.has(k) and not e.base.has(k), written)


def _clock(tau: sp.Symbol, order: int) -> sp.Expr:
    """Return `(1 - h/tau)**(t/h)`, the part of the exponent that vanishes with h expanded."""
    late = -sum(
        (symbols.t * h**j / ((j + 1) * tau ** (j + 1)) for j in range(1, order + 1)), sp.S.Zero
    )
    factor = sum((late**j / sp.factorial(j) for j in range(order + 1)), sp.S.Zero)
    return sp.exp(-symbols.t / tau) * factor


def _read(
    rate: Sequence[Polynomial], clocks: Mapping[sp.Symbol, sp.Expr]
) -> tuple[Polynomial, ...]:
    """Return a rate with the clocks written as functions of time, by powers of h."""
    found: list[Polynomial] = [{} for _ in rate]
    for n, polynomial in enumerate(rate):
        for key, c in polynomial.items():
            if not c.has(*clocks):
                found[n] = plus(found[n], {key: c})
                continue
            derivative = c.subs(clocks, simultaneous=True)
            for m in range(n, len(rate)):
                value = derivative.subs(h, 0) / sp.factorial(m - n)
                found[m] = plus(found[m], {key: value})
                derivative = sp.diff(derivative, h)
    return tuple(found)


def _plain(c: sp.Expr) -> sp.Expr:
    """Return a coefficient as it is shown; one that depends on time stays as it was derived."""
    return (c if c.has(sp.exp) else sp.simplify(c)).subs(GRADIENT, symbols.g)
