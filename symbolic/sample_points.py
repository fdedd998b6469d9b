"""Random exact points that obey what symbols and functions are assumed to be.

An integer symbol gets integers, a positive one positive numbers, one without
assumptions complex numbers too; an undefined function gets a smooth function with
random coefficients, so that its derivatives and integrals come along.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef

_TRIALS = 200


def _kinds(rng: random.Random, turn: int) -> Iterator[sp.Expr]:
    """Yield numbers of every kind, each kind first in its turn; a symbol takes what fits it."""
    while True:
        fraction = sp.Rational(rng.randint(1, 997), rng.randint(1, 499))
        whole = sp.Integer(rng.randint(2, 12))
        simple = [sp.Integer(n) for n in (0, 1, -1)]
        rng.shuffle(simple)
        drawn = [
            fraction,
            -fraction,
            fraction * rng.choice((1, -1)) + sp.I * sp.Rational(rng.randint(-97, 97), 31),
            whole * rng.choice((1, -1)),
            fraction / (1 + fraction),
            simple[0] if turn % 2 else -1 / (whole + fraction),
        ]
        yield from drawn[turn % len(drawn) :]
        yield from drawn[: turn % len(drawn)]
        yield from (whole, -whole, *simple, sp.I * fraction, sp.sqrt(2) * fraction)
        yield -sp.sqrt(2) * fraction


def obeys(symbol: sp.Symbol, value: sp.Expr) -> bool:
    """Whether nothing that the symbol is assumed to be contradicts the value."""
    return all(
        getattr(value, f"is_{name}", None) in (given, None)
        for name, given in symbol.assumptions0.items()
    )


def random_value(
    symbol: sp.Symbol, rng: random.Random, turn: int, *, integer: bool = False
) -> sp.Expr | None:
    """Return an exact number that a symbol may stand for, or None if none was found."""
    for value in itertools.islice(_kinds(rng, turn), _TRIALS):
        if (value.is_integer or not integer) and obeys(symbol, value):
            return value
    return None


def random_function(function: AppliedUndef, rng: random.Random) -> sp.Lambda | None:
    """Return a smooth function with the sign that an undefined one is assumed to have."""

    def number() -> sp.Rational:
        return sp.Rational(rng.randint(11, 97), rng.randint(31, 61)) * rng.choice((1, -1))

    arguments = [sp.Symbol(f"x_{i + 1}", real=True) for i in range(len(function.args))]
    value: sp.Expr = number()
    for k in (1, 2, 3):
        phase = sp.Add(*(number() * x for x in arguments))
        value += number() * sp.sin(phase + number()) / k
    if function.is_integer or function.is_real is False:
        return None
    if function.is_nonnegative or function.is_positive:
        value = sp.exp(value)
    elif function.is_nonpositive or function.is_negative:
        value = -sp.exp(value)
    return sp.Lambda(tuple(arguments), value)


def random_point(
    symbols: Iterable[sp.Symbol], integers: set[Any], rng: random.Random, turn: int
) -> dict[sp.Symbol, sp.Expr] | None:
    """Return a value for each symbol; those in `integers` count something, a sum's terms.

    Over six turns each symbol meets every kind of number that it may be.
    """
    point = {}
    for i, symbol in enumerate(symbols):
        # kinds of different symbols shift against each other from round to round
        value = random_value(symbol, rng, turn + i * (1 + turn // 6), integer=symbol in integers)
        if value is None:
            return None
        point[symbol] = value
    return point
