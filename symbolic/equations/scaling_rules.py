r"""Scaling rules: which changes of an optimiser's parameters keep the path it takes.

Let every parameter p become `rho^{x_p} p` (for the rate b of a memory it is `1 - b` that
scales), the time of a step `rho^{x_t}`, and measure a memory y in units that scale too,
`rho^{z_y}`. The leading equation is kept if, for each unknown, what a step adds to it
scales like the time times the unknown; differentiated in ln rho at rho = 1 this is

    sum_p x_p (p d/dp) f + sum_y z_y (y d/dy) f = (x_t + z) f

for all values of gradient, weight and memories: linear equations for the exponents, read
off at random points and solved in rational numbers. All rules of a method come out
of one elimination; none is typed in.

With gradient noise of variance `s^2 = sigma^2/B` a memory that is linear in the gradient
diffuses, by the square of its response times s^2, which must scale like the time as well.
Noise is taken to be strong, `s^2` of the order of one over the time of a step, as in the
stochastic equations whose noise does not vanish with the step: a memory of `g^2` then holds
s^2. That is the regime of the square-root rule of Adam (Malladi et al., NeurIPS 2022).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.values import Formulated, FrozenMapping
from momentumflow.symbolic.equations.inertial_optimiser import InertialSystem, h, inertial_system
from momentumflow.symbolic.equations.stochastic_optimiser import under_noise
from momentumflow.symbolic.methods.optimisers import Optimiser

batch = sp.Symbol("B", positive=True)
_noise = sp.Dummy("s", positive=True)
_TIME = sp.Dummy("time")


@checked
@dataclass(frozen=True)
class ScalingRule(Formulated):
    """One rule: what each parameter is multiplied by, as a power of rho.

    Attributes
    ----------
    exponents : mapping of sympy.Expr to sympy.Rational
        Of the step, of `1 - b` for the rate b of each memory, of the other parameters, and
        of the batch size B where noise counts.
    time : sympy.Rational
        Of the time of a step: `rho**time` times fewer steps are taken.
    """

    exponents: Mapping[sp.Expr, sp.Rational]
    time: sp.Rational

    def __post_init__(self) -> None:
        object.__setattr__(self, "exponents", FrozenMapping(self.exponents))

    def _formula(self) -> str:
        pairs = ((p, sp.Symbol("rho") ** x) for p, x in self.exponents.items() if x != 0)
        moved = [rf"{sp.latex(p)} \to {sp.latex(f)}\,({sp.latex(p)})" for p, f in pairs]
        return r",\quad ".join(moved) or r"\text{nothing may change}"

    def __str__(self) -> str:
        changed = [(p, x) for p, x in self.exponents.items() if x != 0]
        shown = [(str(p) if p.is_Symbol else f"({p})", x) for p, x in changed]
        moved = (f"{p} -> {'rho' if x == 1 else f'rho**({x})'} {p}" for p, x in shown)
        return ", ".join(moved) or "nothing may change"


@checked
def scaling_rules(optimiser: Optimiser, *, noise: bool = False) -> tuple[ScalingRule, ...]:
    """Return all scalings of the parameters that keep the leading equation of an optimiser.

    Parameters
    ----------
    optimiser : Optimiser
    noise : bool
        Whether gradient noise counts: its diffusion is then kept too, by the batch size.

    Returns
    -------
    tuple of ScalingRule
        A basis of them: rules may be combined. Empty if nothing may change.

    Raises
    ------
    InputError
        As `inertial_system`; with noise, if a memory is neither linear nor quadratic in
        the gradient.

    References
    ----------
    Malladi et al., NeurIPS 2022, for Adam; Papazov, Pesme, Flammarion, arXiv 2403.05293,
    for the acceleration rule of heavy ball.
    """
    optimiser = optimiser.settled
    system = inertial_system(optimiser)
    rates = frozenset(system.times.times)
    unknowns = _unknowns(optimiser, noise)
    rng = random.Random(0)
    rows = [
        row
        for statement in _statements(system, noise)
        for row in _rows(statement, unknowns, rates, rng)
    ]
    matrix = sp.Matrix(rows) if rows else sp.zeros(1, len(unknowns))
    found = []
    for vector in matrix.nullspace():
        by_symbol = dict(zip(unknowns, vector, strict=True))
        if by_symbol[_TIME] != 0:
            by_symbol = {s: x / by_symbol[_TIME] for s, x in by_symbol.items()}
        shown = {
            (1 - s if s in rates else s): x
            for s, x in by_symbol.items()
            if s not in (_TIME, *optimiser.memories)
        }
        found.append(ScalingRule(shown, by_symbol[_TIME]))
    return tuple(found)


def _unknowns(optimiser: Optimiser, noise: bool) -> list[sp.Symbol]:
    free = optimiser.parameters
    return [optimiser.step, *free, *([batch] if noise else []), *optimiser.memories, _TIME]


@dataclass(frozen=True)
class _Statement:
    """`what` must scale like the time of a step times the unit to the power `units`."""

    what: sp.Expr
    unit: sp.Symbol | None
    units: int


def _statements(system: InertialSystem, noise: bool) -> Iterator[_Statement]:
    """Yield what one step adds to each unknown, at leading order in the time of a step."""
    times = system.times
    own = {h: times.time_step} | times.parameters
    measured = {y: y / s for y, s in times.sizes.items()}
    for x, rate in system.rates.items():
        # per step: the rate times h, the memory back in the optimiser's own unit
        size = times.sizes.get(x, sp.S.One)
        added = rate[0].get((), sp.S.Zero).subs(measured, simultaneous=True) * h * size
        added = added.subs(own, simultaneous=True)
        unit = x if x in times.sizes else None
        if not noise:
            yield _Statement(added, unit, 1)
            continue
        mean, response = under_noise(added, x, _noise**2)
        yield _Statement(mean, unit, 1)
        yield _Statement(response**2 * _noise**2, unit, 2)


def _rows(
    statement: _Statement,
    unknowns: list[sp.Symbol],
    rates: frozenset[sp.Symbol],
    rng: random.Random,
) -> Iterator[list[sp.Expr]]:
    """Yield linear equations for the exponents: the statement at random points."""
    what = statement.what
    if what == 0:
        return
    columns = []
    for s in unknowns:
        if s is _TIME:
            columns.append(sp.S.NegativeOne)
        elif s == batch:
            columns.append(-_share(what, _noise) / 2)  # s^2 = sigma^2/B
        elif s in rates:
            columns.append(-(1 - s) / s * _share(what, s))
        else:
            columns.append(_share(what, s))
    if statement.unit is not None:
        i = unknowns.index(statement.unit)
        columns[i] = columns[i] - statement.units
    free = sorted(what.free_symbols, key=str)
    for _ in range(len(unknowns) + 2):
        # squares, so that their roots stay rational
        point = {s: sp.Rational(rng.randint(1, 30), rng.randint(1, 30)) ** 2 for s in free}
        point |= {s: sp.Rational(rng.randint(1, 29), 30) for s in free if s in rates}
        yield [sp.radsimp(c.subs(point)) for c in columns]


def _share(what: sp.Expr, s: sp.Symbol) -> sp.Expr:
    """Return `s d(ln what)/ds`."""
    return sp.factor(sp.together(s * sp.diff(what, s) / what))
