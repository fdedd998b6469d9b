r"""Hyperparameters carried to another batch size, momentum or number of steps.

A scaling rule multiplies every parameter by a power of rho; what is asked for fixes rho,
and the rule does the rest. The rule is solved for by `scaling_rules`; nothing here knows
an optimiser. What is kept are the products of parameters that rho drops out of, such as
lambda for heavy ball; what is neglected is the first correction of the inertial system,
which at a fixed gradient changes how fast a memory forgets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sympy as sp

from momentumflow.base.arguments import Count, MomentumFloat, Natural, PositiveFloat, checked
from momentumflow.base.errors import InputError
from momentumflow.base.values import FrozenMapping, Value
from momentumflow.symbolic import symbols
from momentumflow.symbolic.equations.inertial_optimiser import (
    InertialSystem,
    h,
    inertial_system,
    times_of,
)
from momentumflow.symbolic.equations.scaling_rules import ScalingRule, batch, scaling_rules
from momentumflow.symbolic.methods.optimisers import Optimiser
from momentumflow.symbolic.methods.read_optimisers import ReadOptimiser, from_torch, read_settings

# Per unit of the curvature of the loss.
CURVATURE = "w, times the curvature"


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Transfer(Value):
    """Hyperparameters before and after, and what connects them.

    Attributes
    ----------
    optimiser : Optimiser
    rule : ScalingRule
    noise : bool
        Whether the rule keeps the diffusion by gradient noise too.
    rho : float
        The factor that the rule is taken at.
    before, after : mapping of str to float
        The hyperparameters, named as they came, and the batch size if it was given.
    kept : mapping of sympy.Expr to float
        The products of parameters that the rule leaves as they are.
    steps : float
        How many times as many steps make the same path.
    neglected : mapping of str to tuple of float
        The first neglected term relative to the leading one, before and after: for each
        memory, or for the weight per unit of curvature where there is none.
    settings : mapping of str to Any
        What to write into a parameter group of PyTorch.
    """

    optimiser: Optimiser
    rule: ScalingRule
    noise: bool
    rho: float
    before: Mapping[str, float]
    after: Mapping[str, float]
    kept: Mapping[sp.Expr, float]
    steps: float
    neglected: Mapping[str, tuple[float, float]]
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        for name in ("before", "after", "kept", "neglected", "settings"):
            object.__setattr__(self, name, FrozenMapping(getattr(self, name)))
        if set(self.before) != set(self.after):
            raise InputError("the same names before and after", ", ".join(self.after) or "none")

    @property
    def keeps(self) -> str:
        """What is kept, in words."""
        noise = " and its diffusion by gradient noise" if self.noise else ""
        return f"the leading equation{noise}"

    def __str__(self) -> str:
        width = max(map(len, (*self.before, "")))
        lines = [self.optimiser.name]
        lines += [
            f"  {name:{width}}  {x:.6g} -> {self.after[name]:.6g}"
            for name, x in self.before.items()
        ]
        lines.append(f"rule: {self.rule}, rho = {self.rho:.6g}")
        held = ", ".join(f"{what} = {x:.6g}" for what, x in self.kept.items())
        lines.append(f"keeps: {self.keeps}; {held}")
        lines.append(f"steps for the same path: {self.steps:.6g} times as many")
        lines.append("first neglected term, relative to the leading one:")
        lines += [f"  {x}: {a:.3g} -> {b:.3g}" for x, (a, b) in self.neglected.items()]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Transfer of {self.optimiser.name}: rho = {self.rho:.6g}>"


@checked
def transfer(
    optimizer: Any,
    hyperparameters: Mapping[str, Any] | None = None,
    *,
    group: Natural = 0,
    batch_size: PositiveFloat | None = None,
    to_batch_size: PositiveFloat | None = None,
    to_momentum: MomentumFloat | None = None,
    steps: Count | None = None,
    to_steps: Count | None = None,
    noise: bool | None = None,
) -> Transfer:
    """Carry hyperparameters to another batch size, momentum or number of steps.

    Parameters
    ----------
    optimizer : str, ReadOptimiser or torch.optim.Optimizer
        A name of PyTorch's (adamw, sgd, ...), what `from_torch` or `from_optax` read, or
        an optimiser of PyTorch.
    hyperparameters : mapping, optional
        With a name: `lr`, `betas`, ... as a parameter group of PyTorch has them; those
        left out are PyTorch's own defaults.
    group : int
        With an optimiser of PyTorch: which of its parameter groups.
    batch_size, to_batch_size : float, optional
        The batch size now, and the one wanted.
    to_momentum : float, optional
        The momentum wanted: of the memory that is listed first.
    steps, to_steps : int, optional
        The number of steps now, and the one wanted.
    noise : bool, optional
        Whether gradient noise counts; if a batch size is given, unless said otherwise.

    Returns
    -------
    Transfer

    Raises
    ------
    InputError
        If not one target is given, the optimiser is unknown or several rules keep its
        equation, or the rule does not reach the target: a memory would have to forget
        more than it holds.

    References
    ----------
    Malladi et al., NeurIPS 2022, for Adam with noise.

    Examples
    --------
    >>> from momentumflow.symbolic import transfer
    >>> found = transfer("adamw", {"lr": 1e-3}, batch_size=256, to_batch_size=1024)
    >>> found.settings["lr"], found.rule.exponents[found.optimiser.step]
    (0.002, 1/2)
    """
    read = _read(optimizer, hyperparameters, group)
    numbers = _in_range(read)
    noisy = batch_size is not None if noise is None else noise
    settled = read.optimiser.settled
    rule, system = _derived(settled, noisy)
    rates = frozenset(system.times.times)
    if batch_size is not None:
        numbers[batch] = batch_size
    rho = _rho(rule, rates, numbers, to_batch_size, to_momentum, steps, to_steps)
    after = {s: _scaled(s, x, rule, rates, rho) for s, x in numbers.items()}
    names = {**read.names, **({"batch size": batch} if batch_size is not None else {})}
    scaled = {name: s for name, s in names.items() if _exponent(rule, rates, s) is not None}
    return Transfer(
        settled,
        rule,
        noisy,
        rho,
        {name: numbers[s] for name, s in scaled.items()},
        {name: after[s] for name, s in scaled.items()},
        _kept(rule, rates, numbers),
        _power(rho, -rule.time),
        _neglected(system, numbers, after),
        read.settings({s: after[s] for s in scaled.values()}),
    )


def _read(optimizer: Any, hyperparameters: Mapping[str, Any] | None, group: int) -> ReadOptimiser:
    if isinstance(optimizer, str):
        return read_settings(optimizer, hyperparameters or {})
    if hyperparameters is not None:
        raise InputError("hyperparameters with the name of an optimiser", "with an object")
    return optimizer if isinstance(optimizer, ReadOptimiser) else from_torch(optimizer, group)


def _in_range(read: ReadOptimiser) -> dict[sp.Symbol, float]:
    """Return the numbers of an optimiser, which must be positive, and below 1 if they are rates."""
    names = {s: name for name, s in read.names.items()}
    rates = times_of(read.optimiser.settled).times
    for s, x in read.values.items():
        if not (0 < x < 1 if s in rates else 0 < x < math.inf):
            raise InputError(
                f"{names[s]} {'in [0, 1)' if s in rates else '> 0'}", f"{names[s]} = {x:g}"
            )
    return dict(read.values)


@lru_cache(maxsize=32)
def _derived(optimiser: Optimiser, noise: bool) -> tuple[ScalingRule, InertialSystem]:
    """Return the one rule of an optimiser, and its system with the first correction."""
    rules = scaling_rules(optimiser, noise=noise)
    if len(rules) != 1:
        raise InputError(
            "an optimiser whose leading equation one rule keeps",
            f"{optimiser.name}, with {'; '.join(map(str, rules)) or 'none'}",
            "combine the rules of scaling_rules yourself" if rules else None,
        )
    return rules[0], inertial_system(optimiser, 1)


def _exponent(rule: ScalingRule, rates: frozenset[sp.Symbol], s: sp.Symbol) -> sp.Rational | None:
    return rule.exponents.get(1 - s if s in rates else s)


def _scaled(
    s: sp.Symbol, x: float, rule: ScalingRule, rates: frozenset[sp.Symbol], rho: float
) -> float:
    """Return a parameter after the rule; for a rate it is `1 - b` that scales."""
    power = _power(rho, _exponent(rule, rates, s) or sp.S.Zero)
    if s not in rates:
        return x * power
    if power * (1 - x) > 1:
        raise InputError(
            f"a change that leaves {s} >= 0",
            f"1 - {s} = {1 - x:.4g}, to be {power:.4g} times as large",
            f"rho may be {(1 / (1 - x)) ** (1 / float(_exponent(rule, rates, s) or 1)):.4g} "
            "at most",
        )
    return 1 - power * (1 - x)


def _rho(
    rule: ScalingRule,
    rates: frozenset[sp.Symbol],
    numbers: Mapping[sp.Symbol, float],
    to_batch_size: float | None,
    to_momentum: float | None,
    steps: int | None,
    to_steps: int | None,
) -> float:
    """Return the rho at which the rule reaches the one target that is given."""
    targets = {
        "to_batch_size": to_batch_size, "to_momentum": to_momentum, "to_steps": to_steps,
    }  # fmt: skip
    wanted = [name for name, value in targets.items() if value is not None]
    if len(wanted) != 1:
        raise InputError(f"one of {', '.join(targets)}", ", ".join(wanted) or "none")
    if to_batch_size is not None:
        if batch not in numbers:
            raise InputError("the batch size now, batch_size", "to_batch_size only")
        what, ratio, exponent = "batch size", to_batch_size / numbers[batch], _exponent(
            rule, rates, batch
        )  # fmt: skip
    elif to_momentum is not None:
        momentum = next((s for s in numbers if s in rates), None)
        if momentum is None:
            raise InputError("an optimiser with momentum", "one without memories")
        what, exponent = "momentum", _exponent(rule, rates, momentum)
        ratio = (1 - to_momentum) / (1 - numbers[momentum])
    else:
        if steps is None or to_steps is None:
            raise InputError("the number of steps now, steps", "to_steps only")
        what, ratio, exponent = "number of steps", to_steps / steps, -rule.time
    if not exponent:
        raise InputError(
            f"a rule that changes the {what}",
            f"{rule}",
            "let noise count, noise=True" if what == "batch size" else None,
        )
    return _power(ratio, 1 / exponent)


def _power(base: float, exponent: sp.Rational) -> float:
    try:
        value = float(base ** float(exponent))
    except OverflowError:
        value = math.inf
    if not 0 < value < math.inf:
        raise InputError(
            "a target that leaves all numbers within floating point", f"({base:g})**({exponent})"
        )
    return value


def _kept(
    rule: ScalingRule, rates: frozenset[sp.Symbol], numbers: Mapping[sp.Symbol, float]
) -> dict[sp.Expr, float]:
    """Return the products of powers that rho drops out of, each of at most two parameters."""
    moved = {p: x for p, x in rule.exponents.items() if x != 0}
    unit = next((p for p in moved if p not in numbers), next(iter(moved), None))
    values = dict(numbers)
    found = {}
    for p, x in rule.exponents.items():
        if p == unit or not p.free_symbols <= set(values):
            continue
        product = p if x == 0 else p / unit ** (x / moved[unit])
        found[product] = float(product.subs(values))
    return found


def _neglected(
    system: InertialSystem, before: Mapping[sp.Symbol, float], after: Mapping[sp.Symbol, float]
) -> dict[str, tuple[float, float]]:
    """Return the first correction of each memory's rate of forgetting, relative to it."""
    leading, correction, times = system.leading, system.correction(1), system.times
    relative = {
        str(y): h * sp.diff(correction[y], y) / sp.diff(leading[y], y)
        for y in system.optimiser.memories
    }
    if not relative:
        moving = sp.diff(correction[symbols.w], sp.Symbol("g_1", real=True))
        relative = {CURVATURE: h * moving}
    own = {h: times.time_step} | times.parameters
    found = {}
    for name, expression in relative.items():
        size = sp.simplify(expression.subs(own, simultaneous=True).subs(h, times.time_step))
        found[name] = tuple(abs(float(size.subs(values))) for values in (before, after))
    return {name: (a, b) for name, (a, b) in found.items()}
