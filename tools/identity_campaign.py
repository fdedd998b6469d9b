"""Throw generated identities, true and false, at `Identity.prove` and count wrong words.

Each statement is true by construction (addition theorems, Faulhaber's sums,
residues, a polynomial multiplied out) or made false by a perturbation that no
simplifier can absorb. A wrong word is a false statement called proved, or a true
one called false; "not proved" is always allowed and counted.

    python tools/identity_campaign.py --number 1200 --seed 0
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator

import sympy as sp

from momentumflow.symbolic import Identity, ProofError

x, y = sp.symbols("x y", real=True)
p, q = sp.symbols("p q", positive=True)
z = sp.Symbol("z")
n = sp.Symbol("n", integer=True)
m = sp.Symbol("m", integer=True, nonnegative=True)
k = sp.Symbol("k", integer=True)

Sides = tuple[sp.Expr, sp.Expr]


def _fraction(rng: random.Random) -> sp.Rational:
    return sp.Rational(rng.randint(1, 9), rng.randint(1, 7)) * rng.choice((1, -1))


def _polynomial(rng: random.Random) -> Sides:
    s = rng.choice((x, z))
    product = sp.prod([s - _fraction(rng) for _ in range(rng.randint(2, 5))], start=_fraction(rng))
    return product, sp.expand(product)


def _partial_fractions(rng: random.Random) -> Sides:
    poles = rng.sample(range(-5, 6), 3)
    total = sp.Add(*(_fraction(rng) / (z - pole) for pole in poles))
    return total, sp.together(total)


def _addition(rng: random.Random) -> Sides:
    a, b = _fraction(rng) * x, _fraction(rng) * y
    return rng.choice(
        [
            (sp.sin(a + b), sp.sin(a) * sp.cos(b) + sp.cos(a) * sp.sin(b)),
            (sp.cos(a - b), sp.cos(a) * sp.cos(b) + sp.sin(a) * sp.sin(b)),
            (sp.sinh(a + b), sp.sinh(a) * sp.cosh(b) + sp.cosh(a) * sp.sinh(b)),
            (sp.sin(a) * sp.sin(b), (sp.cos(a - b) - sp.cos(a + b)) / 2),
        ]
    )


def _multiple_angle(rng: random.Random) -> Sides:
    order = rng.randint(2, 6)
    return sp.cos(order * z), sp.chebyshevt(order, sp.cos(z))


def _logarithms(rng: random.Random) -> Sides:
    a, b = _fraction(rng), _fraction(rng)
    return sp.log(p**a * q**b), a * sp.log(p) + b * sp.log(q)


def _exponentials(rng: random.Random) -> Sides:
    a, b = _fraction(rng), _fraction(rng)
    return (sp.exp(a * z) + sp.exp(b * z)) ** 2, (
        sp.exp(2 * a * z) + 2 * sp.exp((a + b) * z) + sp.exp(2 * b * z)
    )


def _inverse_hyperbolic(rng: random.Random) -> Sides:
    a = abs(_fraction(rng))
    return sp.asinh(a * x), sp.log(a * x + sp.sqrt(a**2 * x**2 + 1))


def _absolute(rng: random.Random) -> Sides:
    a = _fraction(rng)
    return rng.choice(
        [
            (sp.Abs(a * x * y), abs(a) * sp.Abs(x) * sp.Abs(y)),
            (sp.sqrt(a**2 * x**2), abs(a) * sp.Abs(x)),
            (sp.sign(x) * sp.Abs(x) + a, x + a),
            (z * sp.conjugate(z) + a, sp.Abs(z) ** 2 + a),
        ]
    )


def _whole_parts(rng: random.Random) -> Sides:
    shift = rng.randint(-5, 5)
    return rng.choice(
        [
            (sp.floor(n / 2) + sp.ceiling(n / 2) + shift, n + shift),
            (sp.floor(x + shift), sp.floor(x) + shift),
            (sp.floor(x) + sp.floor(x + sp.Rational(1, 2)) + shift, sp.floor(2 * x) + shift),
            (sp.cos(sp.pi * n) + shift, (-1) ** n + shift),
            (sp.sin(sp.pi * n) + shift, sp.Integer(shift)),
            (sp.Mod(n * (n + 1), 2) + shift, sp.Integer(shift)),
        ]
    )


def _finite_sum(rng: random.Random) -> Sides:
    power, ratio = rng.randint(1, 5), sp.Rational(rng.randint(2, 7), 11)
    return rng.choice(
        [
            (
                sp.Sum(k**power, (k, 1, m)),
                (sp.bernoulli(power + 1, m + 1) - sp.bernoulli(power + 1, 1)) / (power + 1),
            ),
            (sp.Sum(ratio**k, (k, 0, m)), (1 - ratio ** (m + 1)) / (1 - ratio)),
            (sp.Sum(sp.binomial(m, k), (k, 0, m)), 2**m),
            (sp.Sum(1 / (k * (k + 1)), (k, 1, m)), m / (m + 1)),
        ]
    )


def _series(rng: random.Random) -> Sides:
    ratio = sp.Rational(rng.choice((-5, -3, 2, 4, 7)), 11)
    power = rng.choice((2, 4, 6))
    return rng.choice(
        [
            (sp.Sum(ratio**k, (k, 0, sp.oo)), 1 / (1 - ratio)),
            (sp.Sum(k * ratio**k, (k, 1, sp.oo)), ratio / (1 - ratio) ** 2),
            (sp.Sum(1 / k**power, (k, 1, sp.oo)), sp.zeta(power)),
            (sp.Sum(ratio**k / sp.factorial(k), (k, 0, sp.oo)), sp.exp(ratio)),
            (sp.Sum((-1) ** (k + 1) / k, (k, 1, sp.oo)), sp.log(2)),
        ]
    )


def _integral(rng: random.Random) -> Sides:
    a, power = sp.Integer(rng.randint(2, 6)), rng.randint(1, 5)
    return rng.choice(
        [
            (sp.Integral(1 / (a + sp.sin(x)), (x, 0, 2 * sp.pi)), 2 * sp.pi / sp.sqrt(a**2 - 1)),
            (sp.Integral(x**power, (x, 0, a)), a ** (power + 1) / (power + 1)),
            (sp.Integral(x**power * sp.exp(-x), (x, 0, sp.oo)), sp.factorial(power)),
            (sp.Integral(sp.exp(-a * x**2), (x, -sp.oo, sp.oo)), sp.sqrt(sp.pi / a)),
            (sp.Integral(1 / (x**2 + a**2), (x, -sp.oo, sp.oo)), sp.pi / a),
            (sp.Integral(sp.log(x), (x, 0, a)), a * sp.log(a) - a),
            (sp.Integral(x**power, (x, 0, p)), p ** (power + 1) / (power + 1)),
        ]
    )


def _derivative(rng: random.Random) -> Sides:
    a, f = _fraction(rng), sp.Function("f", real=True)
    return rng.choice(
        [
            (sp.Derivative(x**3 * sp.exp(a * x), x), (3 * x**2 + a * x**3) * sp.exp(a * x)),
            (sp.Derivative(sp.Abs(x), x) + a, sp.sign(x) + a),
            (sp.Derivative(f(x) ** 2, x), 2 * f(x) * sp.Derivative(f(x), x)),
            (sp.Derivative(sp.log(1 + x**2), (x, 2)), 2 * (1 - x**2) / (1 + x**2) ** 2),
        ]
    )


FAMILIES: tuple[Callable[[random.Random], Sides], ...] = (
    _polynomial,
    _partial_fractions,
    _addition,
    _multiple_angle,
    _logarithms,
    _exponentials,
    _inverse_hyperbolic,
    _absolute,
    _whole_parts,
    _finite_sum,
    _series,
    _integral,
    _derivative,
)

# Right for some values of the symbols, wrong for others that obey the same assumptions.
WRONG_BRANCHES: tuple[Sides, ...] = (
    (sp.sqrt(x**2), x),
    (sp.log(x * y), sp.log(x) + sp.log(y)),
    (sp.sqrt(x * y), sp.sqrt(x) * sp.sqrt(y)),
    (sp.log(sp.exp(z)), z),
    (sp.asin(sp.sin(x)), x),
    ((x**3) ** sp.Rational(1, 3), x),
    (sp.conjugate(z), z),
    (sp.Abs(z) ** 2, z**2),
    (z * sp.I + z**2, z**2),
    (sp.floor(x / 2) + sp.ceiling(x / 2), x),
    (sp.acosh(sp.cosh(x)), x),
    (sp.sqrt(1 - sp.cos(x) ** 2), sp.sin(x)),
    ((-1) ** n, sp.Integer(1)),
    (sp.cos(sp.pi * x), (-1) ** x),
    (sp.sign(x) ** 2, sp.Integer(1)),
    (sp.Integral(1 / (2 + sp.sin(x)), (x, 0, 2 * sp.pi)), sp.Integer(0)),
)

# What has no value: no equation with it may be called proved.
DIVERGENT: tuple[sp.Expr, ...] = (
    sp.Sum(1 / k, (k, 1, sp.oo)),
    sp.Sum((-1) ** k, (k, 0, sp.oo)),
    sp.Sum(2**k, (k, 0, sp.oo)),
    sp.Sum(k, (k, 1, sp.oo)),
    sp.Sum(1 / sp.sqrt(k), (k, 1, sp.oo)),
    sp.Sum(sp.cos(k), (k, 1, sp.oo)),
    sp.Integral(1 / x, (x, 0, 1)),
    sp.Integral(1 / x, (x, -1, 1)),
    sp.Integral(1 / x, (x, 1, sp.oo)),
    sp.Integral(x, (x, -sp.oo, sp.oo)),
    sp.Integral(sp.exp(x), (x, 0, sp.oo)),
    sp.Integral(sp.cos(x), (x, 0, sp.oo)),
    sp.Integral(1 / (x - 1) ** 2, (x, 0, 3)),
)


def falsified(sides: Sides, rng: random.Random) -> Sides:
    """Return a statement that is false because the given one is true."""
    lhs, rhs = sides
    small = sp.Rational(1, rng.choice((7, 1009, 1_000_003))) * rng.choice((1, -1))
    changed = [rhs + small]
    if rhs.is_Rational is not True:
        # off by a factor: false wherever the side is not zero
        changed.append(rhs * (1 + small))
    return lhs, rng.choice(changed)


def cases(number: int, seed: int) -> Iterator[tuple[str, Sides, bool]]:
    """Yield (family, sides, whether it is true), half of them false."""
    rng = random.Random(seed)
    for i in range(number // 2):
        family = FAMILIES[i % len(FAMILIES)]
        sides = family(rng)
        name = family.__name__.strip("_")
        yield name, sides, True
        yield name, falsified(sides, rng), False
    for sides in WRONG_BRANCHES:
        yield "wrong branch", sides, False
    for nothing in DIVERGENT:
        for value in (sp.S.Zero, sp.Rational(1, 2), sp.S.One, sp.oo, sp.Rational(-1, 12)):
            yield "divergent", (nothing, value), False


def word(sides: Sides) -> str:
    """Return what `prove` says: proved, false or not proved."""
    try:
        Identity("generated", *sides).prove()
    except ProofError as error:
        return "not proved" if error.counterexample is None else "false"
    return "proved"


def main() -> None:
    """Run the campaign and print the counts."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--number", type=int, default=1200)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    counts: Counter[tuple[str, bool, str]] = Counter()
    wrong, slowest = [], (0.0, "")
    for family, sides, true in cases(chosen.number, chosen.seed):
        started = time.perf_counter()
        said = word(sides)
        slowest = max(slowest, (time.perf_counter() - started, f"{family}: {sides}"))
        counts[family, true, said] += 1
        if said == ("false" if true else "proved"):
            wrong.append((family, sides, said))
    for (family, true, said), count in sorted(counts.items()):
        print(f"{family:20} {'true' if true else 'false':6} {said:12} {count}")
    print(f"{counts.total()} identities, {len(wrong)} wrong words")
    print(f"slowest: {slowest[0]:.1f} s, {slowest[1]}")
    for case in wrong:
        print("WRONG", case)
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
