r"""The inertial regime of an optimiser: the times of its memories fixed, the step to zero.

A memory with `y' = a y + ...` forgets in `1/(1 - a)` steps. One that adds up gradients
instead of averaging them (`v = b v + g`) grows like `1/(1 - b)`; it is measured in units of
that, and so is the step: with h the time of a step, `tau = h/(1 - a)` fixed and h to zero,
every memory and the weight move by a multiple of h, and the logarithm of the step is a
first-order system for (w, y). For heavy ball h is `epsilon = gamma/(1 - beta)` and tau is
lambda; for Adam h is gamma. The powers `b**k` of bias correction become functions of time.

References: Malladi et al., NeurIPS 2022 (the leading equation of Adam, with noise).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp

from momentumflow.base.arguments import Natural, checked
from momentumflow.base.arrays import Vector
from momentumflow.base.errors import InputError
from momentumflow.base.values import Formulated
from momentumflow.symbolic import symbols
from momentumflow.symbolic.equations.elementwise import System, inertial_rates
from momentumflow.symbolic.expressions import Formula, OwnSymbol, SymbolLike
from momentumflow.symbolic.methods.optimisers import Optimiser, after, k
from momentumflow.symbolic.printing import as_latex, as_text, joined
from momentumflow.symbolic.rings import factored
from momentumflow.symbolic.series.differential_polynomials import GRADIENT, Polynomial
from momentumflow.symbolic.series.elementwise_field import ElementwiseField
from momentumflow.symbolic.series.right_hand_side import Array

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
        return {
            x: sp.simplify(rate[0].get((), sp.S.Zero)).subs(GRADIENT, symbols.g)
            for x, rate in self.rates.items()
        }

    @property
    def parameters(self) -> tuple[sp.Symbol, ...]:
        """The parameters of the system besides h: times and what is left of the optimiser's."""
        own = tuple(p for p in self.optimiser.parameters if p not in self.times.times)
        return (*self.times.times.values(), *own)

    def start(self, w: Vector) -> tuple[Array, ...]:
        """Return w and the memories before the first step, in the units of the system.

        Raises
        ------
        InputError
            If the optimiser's start has parameters.
        """
        point = np.asarray(w, dtype=np.float64)
        return (point, *(np.full(point.shape, float(s)) for s in self._start))

    @cached_property
    def _start(self) -> tuple[sp.Expr, ...]:
        if any(s != 0 for s in self.optimiser.start):
            raise InputError("memories that start at 0", str(self.optimiser.start))
        return self.optimiser.start

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
                total += sp.simplify(c).subs(GRADIENT, symbols.g) * product
            found[x] = total
        return found

    def _formula(self) -> str:
        rows = []
        for x in self.rates:
            right = joined(self._terms(x, as_latex))
            rows.append(f"\\dot {{{sp.latex(x)}}} &= {right}")
        return "\\begin{aligned}" + " \\\\ ".join(rows) + "\\end{aligned}"

    def _terms(self, x: sp.Symbol, number: Callable[[sp.Expr], str]) -> list[tuple[str, str]]:
        """Return what the rate of x is the sum of, a power of h at a time."""
        corrections = (self.correction(n)[x] for n in range(self.order + 1))
        return [(number(h**n * c), "") for n, c in enumerate(corrections) if c != 0]

    def __str__(self) -> str:
        lines = [f"{self.optimiser.name}, h = {self.times.time_step}:"]
        for x in self.rates:
            lines.append(f"  {x}' = {joined(self._terms(x, as_text))}")
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
    back = {a: 1 - h / tau for a, tau in times.times.items()}
    # the step in units of h: gamma = h (gamma / time step)
    pace = (optimiser.step / times.time_step).subs(back)
    measured = {y: y * size.subs(back) for y, size in times.sizes.items()}
    known: dict[sp.Symbol, sp.Expr] = {symbols.g: GRADIENT}
    updates = []
    for y, stated in zip(optimiser.memories, optimiser.updates, strict=True):
        new = _in_time(stated, times, order).subs(back).subs(measured, simultaneous=True)
        new = new.subs(known, simultaneous=True)
        known[after(y)] = new
        updates.append(new / times.sizes[y].subs(back))
    move = _in_time(optimiser.move, times, order).subs(back).subs(measured, simultaneous=True)
    move = move.subs(known, simultaneous=True) * pace
    system = System(symbols.w, symbols.t, optimiser.memories, tuple(updates), move)
    return InertialSystem(optimiser, times, inertial_rates(system, order, h))


def _in_time(expression: sp.Expr, times: Times, order: int) -> sp.Expr:
    """Write powers `a**(k + c)` as functions of the time t = (k - 1) h."""

    def written(power: sp.Expr) -> sp.Expr:
        tau = times.times.get(power.base)
        if tau is None:
            raise InputError("powers b**k of the memories' own parameters", str(power))
        steps = symbols.t / h + 1 + (power.exp - k)
        logarithm = -sum(((h / tau) ** j / j for j in range(1, order + 3)), sp.S.Zero)
        exponent = sp.expand(steps * logarithm)
        kept = sum((exponent.coeff(h, j) * h**j for j in range(order + 1)), sp.S.Zero)
        return sp.exp(kept)

    return expression.replace(lambda e: e.is_Pow and e.exp.has(k) and not e.base.has(k), written)
