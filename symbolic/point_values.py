"""The value of an expression at a point, as a ball that is certain to hold it.

Rational numbers stay exact. Everything elementary is done in FLINT's ball
arithmetic, whose bounds are rigorous: where a value falls on a jump, a pole or
a branch cut there is no answer rather than a wrong one. Integrals over finite
intervals are enclosed as well. What is left (integrals with infinite or
singular ends, infinite sums, derivatives of functions with kinks) is computed
in two ways that share no nodes; their distance gives the radius, and where it is
not small, as for everything that diverges, there is no answer either.

SymPy is asked for nothing here but the tree of the expression and the
derivatives of smooth functions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import flint
import mpmath
import sympy as sp
from sympy.core.function import AppliedUndef

from momentumflow.symbolic.rings import to_fmpq

Number = Any  # flint.fmpq while it is rational, flint.acb from then on

DIGITS = 50
_LARGEST_POWER = 4096  # of a rational number; beyond, balls do
_MOST_TERMS = 20_000  # of a finite sum or product
_INTEGRAL_DIGITS = 25
_ACCURACY = mpmath.mpf("1e-15")  # what two computations have to agree to
_FAR = 1024  # where the tail of an integral over an infinite interval begins


class NoValueError(ArithmeticError):
    """An expression has no value at a point, or none that could be bounded."""


def value_at(
    expr: sp.Expr, values: Mapping[sp.Basic, sp.Expr | Number], digits: int = DIGITS
) -> flint.acb:
    """Return a ball that holds the value of an expression.

    Parameters
    ----------
    expr : sympy.Expr
        With unevaluated integrals, sums, products and derivatives, if need be.
    values : mapping of symbol to number
        For every free symbol an exact SymPy number, a FLINT rational or a ball.
    digits : int
        Decimal digits that are worked with.

    Raises
    ------
    NoValueError
        If the expression is not defined there, diverges, or holds something
        that is not known here.
    """
    with flint.ctx.workdps(digits + 10):
        start = _Evaluation({})
        known = {
            s: start.of(value) if isinstance(value, sp.Basic) else value
            for s, value in values.items()
        }
        return _ball(_Evaluation(known).of(expr))


def _ball(value: Number) -> flint.acb:
    if isinstance(value, flint.acb):
        return value
    return flint.acb(flint.arb(value))


def _of_mpmath(value: Any, error: Any) -> flint.acb:
    """Return the ball around an mpmath number."""
    value = mpmath.mpc(value)
    spread = flint.arb(0, flint.arb(mpmath.mpf(error)).upper())
    return flint.acb(flint.arb(value.real) + spread, flint.arb(value.imag) + spread)


def _finite(value: Number, what: sp.Basic) -> Number:
    if isinstance(value, flint.acb) and not value.is_finite():
        raise NoValueError(f"{what} has no value there")
    return value


class _Evaluation:
    """One pass over a tree, with the values of its symbols.

    `analytic` is FLINT's flag of integration: a function that is not analytic on
    the whole of its argument has to answer with something that is not finite.
    """

    def __init__(self, values: dict[sp.Basic, Number], *, analytic: bool = False) -> None:
        self.values = values
        self.analytic = analytic

    def also(self, symbol: sp.Basic, value: Number, *, analytic: bool = False) -> _Evaluation:
        return _Evaluation(self.values | {symbol: value}, analytic=analytic)

    def of(self, expr: sp.Basic) -> Number:
        if expr in self.values:
            return self.values[expr]
        for kind in type(expr).__mro__:
            if kind in _RULES:
                return _finite(_RULES[kind](self, expr), expr)
        raise NoValueError(f"the value of {expr} is not known here")

    def real(self, expr: sp.Basic) -> Number:
        """Return a rational number, or a real ball."""
        value = self.of(expr)
        if isinstance(value, flint.fmpq):
            return value
        if not value.imag.is_zero():
            raise NoValueError(f"{expr} is not real")
        return value.real

    def integer(self, expr: sp.Basic) -> int:
        value = self.of(expr)
        if not isinstance(value, flint.fmpq) or value.q != 1:
            raise NoValueError(f"{expr} is not an integer")
        return int(value.p)

    def holds(self, condition: sp.Basic) -> bool:
        """Decide a condition of a piecewise function."""
        if condition in (sp.true, sp.false):
            return bool(condition)
        if isinstance(condition, sp.And):
            return all(self.holds(part) for part in condition.args)
        if isinstance(condition, sp.Or):
            return any(self.holds(part) for part in condition.args)
        if isinstance(condition, sp.Not):
            return not self.holds(condition.args[0])
        if isinstance(condition, sp.Eq | sp.Ne):
            gap = self.of(condition.lhs - condition.rhs)
            equal = self._is_zero(gap, condition)
            return equal if isinstance(condition, sp.Eq) else not equal
        if isinstance(condition, sp.core.relational.Relational):
            gap = self.real(condition.lhs - condition.rhs)
            exact = isinstance(gap, flint.fmpq)
            if not exact and gap.contains(0):
                raise NoValueError(f"whether {condition} cannot be told")
            below, at = bool(gap < 0), exact and gap == 0
            return {
                sp.StrictLessThan: below,
                sp.LessThan: below or at,
                sp.StrictGreaterThan: not (below or at),
                sp.GreaterThan: not below,
            }[type(condition)]
        raise NoValueError(f"whether {condition} cannot be told")

    @staticmethod
    def _is_zero(value: Number, what: sp.Basic) -> bool:
        if isinstance(value, flint.fmpq):
            return bool(value == 0)
        if value.contains(0):
            raise NoValueError(f"whether {what} cannot be told")
        return False


Rule = Callable[[_Evaluation, Any], Number]


def _add(at: _Evaluation, expr: sp.Add) -> Number:
    rational, rest = flint.fmpq(0), None
    for arg in expr.args:
        value = at.of(arg)
        if isinstance(value, flint.fmpq):
            rational += value
        else:
            rest = value if rest is None else rest + value
    return rational if rest is None else rest + _ball(rational)


def _mul(at: _Evaluation, expr: sp.Mul) -> Number:
    rational, rest = flint.fmpq(1), None
    for arg in expr.args:
        value = at.of(arg)
        if isinstance(value, flint.fmpq):
            rational *= value
        else:
            rest = value if rest is None else rest * value
    return rational if rest is None else rest * _ball(rational)


def _pow(at: _Evaluation, expr: sp.Pow) -> Number:
    base, exponent = at.of(expr.base), at.of(expr.exp)
    whole = isinstance(exponent, flint.fmpq) and exponent.q == 1
    if isinstance(base, flint.fmpq):
        if base == 0:
            if not isinstance(exponent, flint.fmpq) or exponent < 0:
                raise NoValueError(f"{expr} has no value there")
            return flint.fmpq(int(exponent == 0))
        if whole and abs(exponent) <= _LARGEST_POWER:
            return base ** int(exponent.p)
    base = _ball(base)
    if whole:
        return base**exponent.p
    if exponent == flint.fmpq(1, 2):
        return base.sqrt(analytic=at.analytic)
    return base.pow(_ball(exponent), analytic=at.analytic)


def _plain(name: str) -> Rule:
    """A function that is analytic wherever it is finite."""

    def rule(at: _Evaluation, expr: sp.Function) -> Number:
        return getattr(_ball(at.of(expr.args[0])), name)()

    return rule


def _cut(name: str) -> Rule:
    """A function with branch cuts; inside a rigorous integral the other quadrature serves."""

    def rule(at: _Evaluation, expr: sp.Function) -> Number:
        if at.analytic:
            raise NoValueError(f"{expr} has cuts")
        return getattr(_ball(at.of(expr.args[0])), name)()

    return rule


def _of_reciprocal(name: str) -> Rule:
    def rule(at: _Evaluation, expr: sp.Function) -> Number:
        if at.analytic:
            raise NoValueError(f"{expr} has cuts")
        return getattr(1 / _ball(at.of(expr.args[0])), name)()

    return rule


def _exp(at: _Evaluation, expr: sp.exp) -> Number:
    value = at.of(expr.exp)
    return flint.fmpq(1) if value == flint.fmpq(0) else _ball(value).exp()


def _log(at: _Evaluation, expr: sp.log) -> Number:
    value = at.of(expr.args[0])
    if isinstance(value, flint.fmpq) and value == 1:
        return flint.fmpq(0)
    return _ball(value).log(analytic=at.analytic)


def _abs(at: _Evaluation, expr: sp.Abs) -> Number:
    value = at.of(expr.args[0])
    if isinstance(value, flint.fmpq):
        return abs(value)
    if at.analytic or (value.imag.is_zero() and isinstance(value, flint.acb)):
        return value.real_abs(analytic=at.analytic)
    return flint.acb(abs(value))


def _sign(at: _Evaluation, expr: sp.sign) -> Number:
    value = at.of(expr.args[0])
    if isinstance(value, flint.fmpq):
        return flint.fmpq((value > 0) - (value < 0))
    if at.analytic:
        return value.real_sgn(analytic=True)
    if value.contains(0):
        raise NoValueError(f"{expr} jumps there")
    return value / flint.acb(abs(value))


def _heaviside(at: _Evaluation, expr: sp.Heaviside) -> Number:
    value = at.of(expr.args[0])
    if at.analytic:
        return _ball(value).real_heaviside(analytic=True)
    if isinstance(value, flint.fmpq):
        return at.of(expr.args[1]) if value == 0 else flint.fmpq(int(value > 0))
    if value.contains(0) or not value.imag.is_zero():
        raise NoValueError(f"{expr} jumps there")
    return flint.fmpq(int(value.real > 0))


def _floor_of(value: Number, what: sp.Basic) -> flint.fmpq:
    if isinstance(value, flint.fmpq):
        return flint.fmpq(value.floor())
    if not value.imag.is_zero():
        raise NoValueError(f"{what} of a complex number")
    whole = value.real.floor().unique_fmpz()
    if whole is None:
        raise NoValueError(f"{what} jumps there")
    return flint.fmpq(whole)


def _floor(at: _Evaluation, expr: sp.floor) -> Number:
    if at.analytic:
        raise NoValueError(f"{expr} jumps")
    return _floor_of(at.of(expr.args[0]), expr)


def _ceiling(at: _Evaluation, expr: sp.ceiling) -> Number:
    if at.analytic:
        raise NoValueError(f"{expr} jumps")
    return -_floor_of(-at.of(expr.args[0]), expr)


def _mod(at: _Evaluation, expr: sp.Mod) -> Number:
    if at.analytic:
        raise NoValueError(f"{expr} jumps")
    value, unit = at.of(expr.args[0]), at.of(expr.args[1])
    if unit == flint.fmpq(0):
        raise NoValueError(f"{expr} has no value there")
    exact = isinstance(value, flint.fmpq) and isinstance(unit, flint.fmpq)
    ratio = value / unit if exact else _ball(value) / _ball(unit)
    whole = _floor_of(ratio, expr)
    return value - unit * whole if exact else _ball(value) - _ball(unit) * _ball(whole)


def _frac(at: _Evaluation, expr: sp.frac) -> Number:
    return _mod(at, sp.Mod(expr.args[0], 1, evaluate=False))


def _part(name: str) -> Rule:
    """Real part, imaginary part, conjugate: nowhere analytic."""

    def rule(at: _Evaluation, expr: sp.Function) -> Number:
        if at.analytic:
            raise NoValueError(f"{expr} is not analytic")
        value = _ball(at.of(expr.args[0]))
        found = getattr(value, name)
        return flint.acb(found() if callable(found) else found)

    return rule


def _extreme(sign: int) -> Rule:
    def rule(at: _Evaluation, expr: sp.Max | sp.Min) -> Number:
        if at.analytic:
            raise NoValueError(f"{expr} has kinks")
        values = [at.real(arg) for arg in expr.args]
        if all(isinstance(v, flint.fmpq) for v in values):
            return max(values) if sign > 0 else min(values)
        best = flint.arb(values[0])
        for v in values[1:]:
            best = best.max(flint.arb(v)) if sign > 0 else best.min(flint.arb(v))
        return flint.acb(best)

    return rule


def _piecewise(at: _Evaluation, expr: sp.Piecewise) -> Number:
    if at.analytic:
        raise NoValueError(f"{expr} has kinks")
    for value, condition in expr.args:
        if at.holds(condition):
            return at.of(value)
    raise NoValueError(f"{expr} has no value there")


def _kronecker(at: _Evaluation, expr: sp.KroneckerDelta) -> Number:
    gap = at.of(expr.args[0] - expr.args[1])
    return flint.fmpq(int(at._is_zero(gap, expr)))


def _factorial(at: _Evaluation, expr: sp.factorial) -> Number:
    return (_ball(at.of(expr.args[0])) + 1).gamma()


def _binomial(at: _Evaluation, expr: sp.binomial) -> Number:
    n, k = (_ball(at.of(arg)) for arg in expr.args)
    return (n + 1).gamma() * (k + 1).rgamma() * (n - k + 1).rgamma()


def _rising(at: _Evaluation, expr: sp.RisingFactorial) -> Number:
    x, k = (_ball(at.of(arg)) for arg in expr.args)
    return (x + k).gamma() * x.rgamma()


def _falling(at: _Evaluation, expr: sp.FallingFactorial) -> Number:
    x, k = (_ball(at.of(arg)) for arg in expr.args)
    return (x + 1).gamma() * (x - k + 1).rgamma()


def _zeta(at: _Evaluation, expr: sp.zeta) -> Number:
    return _ball(at.of(expr.args[0])).zeta(*(_ball(at.of(arg)) for arg in expr.args[1:]))


def _harmonic(at: _Evaluation, expr: sp.harmonic) -> Number:
    if len(expr.args) > 1:
        raise NoValueError(f"the value of {expr} is not known here")
    return (_ball(at.of(expr.args[0])) + 1).digamma() + flint.acb(flint.arb.const_euler())


def _atan2(at: _Evaluation, expr: sp.atan2) -> Number:
    if at.analytic:
        raise NoValueError(f"{expr} has cuts")
    y, x = (flint.arb(at.real(arg)) for arg in expr.args)
    if x.contains(0) and y.contains(0):
        raise NoValueError(f"{expr} has no value there")
    return flint.acb(flint.arb.atan2(y, x))


def _function(at: _Evaluation, expr: sp.Function) -> Number:
    """Any other function of SymPy, at exact rational arguments, to two precisions."""
    exact = [at.of(arg) for arg in expr.args]
    if at.analytic or isinstance(expr, AppliedUndef):
        raise NoValueError(f"the value of {expr} is not known here")
    if not all(isinstance(value, flint.fmpq) for value in exact):
        raise NoValueError(f"the value of {expr} is not known here")
    there = expr.func(*(sp.Rational(int(v.p), int(v.q)) for v in exact))
    first, second = (sp.N(there, digits) for digits in (DIGITS, 2 * DIGITS))
    if not (first.is_number and second.is_number and second.is_finite):
        raise NoValueError(f"{expr} has no value there")
    with mpmath.workdps(2 * DIGITS):
        one, two = (mpmath.mpc(*map(sp.Float, n.as_real_imag())) for n in (first, second))
        return _of_mpmath(two, 10 * abs(one - two) + abs(two) * mpmath.mpf(10) ** (2 - DIGITS))


def _derivative(at: _Evaluation, expr: sp.Derivative) -> Number:
    """Differentiate what is smooth with SymPy, and the rest by differences on both sides."""
    rough: tuple[type, ...] = (
        sp.Abs,
        sp.sign,
        sp.floor,
        sp.ceiling,
        sp.Piecewise,
        sp.Max,
        sp.Min,
        sp.Heaviside,
    )
    rough += (sp.re, sp.im, sp.conjugate, sp.arg, sp.Mod, sp.frac)
    if not expr.expr.has(*rough):
        found = sp.diff(expr.expr, *expr.variable_count)
        if found == expr:
            raise NoValueError(f"the value of {expr} is not known here")
        return at.of(found)
    inexact = expr.expr.has(sp.Integral, sp.Sum, sp.Product)
    if len(expr.variable_count) > 1 or expr.derivative_count > 4 or at.analytic or inexact:
        raise NoValueError(f"the value of {expr} is not known here")
    symbol, order = expr.variables[0], int(expr.derivative_count)
    centre = _ball(at.of(symbol)).mid()  # its own error moves the slope as little

    def along(direction: complex) -> Any:
        def function(step: Any) -> Any:
            with flint.ctx.workdps(mpmath.mp.dps + 10):
                there = centre + _of_mpmath(step * direction, 0)
                return _centre(_ball(at.also(symbol, there).of(expr.expr)))

        return mpmath.diff(function, 0, order, direction=1) / mpmath.mpc(direction) ** order

    with mpmath.workdps(DIGITS):
        directions = (1, -1) if symbol.is_real else (1, -1, 1j, -1j)
        found = [along(direction) for direction in directions]
        spread = max(abs(one - found[0]) for one in found)
        if spread > _ACCURACY * max(1, abs(found[0])):
            raise NoValueError(f"{expr} has no value there")
        return _of_mpmath(found[0], 10 * spread + abs(found[0]) * mpmath.mpf("1e-30"))


def _subs(at: _Evaluation, expr: sp.Subs) -> Number:
    inner = at
    for symbol, point in zip(expr.variables, expr.point, strict=True):
        inner = inner.also(symbol, at.of(point))
    return inner.of(expr.expr)


def _integral(at: _Evaluation, expr: sp.Integral) -> Number:
    if at.analytic or len(expr.limits) > 2 or any(len(limit) != 3 for limit in expr.limits):
        raise NoValueError(f"the value of {expr} is not known here")
    *inner, (symbol, low, high) = expr.limits
    integrand = sp.Integral(expr.function, *inner) if inner else expr.function

    def function(x: flint.acb, analytic: bool = False) -> flint.acb:
        return _ball(at.also(symbol, x, analytic=analytic).of(integrand))

    finite = [None if end in (sp.oo, -sp.oo) else flint.arb(at.real(end)) for end in (low, high)]
    bottom, top = finite
    if (low, high) == (-sp.oo, sp.oo):
        bottom, top = -flint.arb(_FAR), flint.arb(_FAR)
    elif low == -sp.oo and top is not None:
        bottom = top - _FAR
    elif high == sp.oo and bottom is not None:
        top = bottom + _FAR
    if bottom is None or top is None:
        raise NoValueError(f"the value of {expr} is not known here")
    total = _enclosed(function, bottom, top)
    if total is None:
        total = _by_quadrature(function, [_centre(bottom), _centre(top)], expr)
    for end, far, sign in ((finite[0], bottom, -1), (finite[1], top, 1)):
        if end is None:
            span = sorted([sign * mpmath.inf, _centre(far)])
            size = _size_along(function, far, sign)
            if not _falls_fast(size, 1, 1.05):
                raise NoValueError(f"{expr} is not seen to converge")
            total += _by_quadrature(function, span, expr)
    return total


def _size_along(
    function: Callable[..., flint.acb], start: flint.arb, sign: int
) -> Callable[[int], Any]:
    return lambda n: abs(_centre(function(flint.acb(start + sign * n))))


def _centre(ball: Any) -> Any:
    return mpmath.convert(ball.mid())


def _enclosed(
    function: Callable[..., flint.acb], low: flint.arb, high: flint.arb
) -> flint.acb | None:
    """Enclose an integral over a finite interval; None where that is not sharp."""

    def integrand(x: flint.acb, analytic: bool) -> flint.acb:
        try:
            return function(x, analytic)
        except NoValueError:
            return flint.acb(flint.arb.nan())

    with flint.ctx.workdps(_INTEGRAL_DIGITS):
        found = flint.acb.integral(
            integrand, flint.acb(low), flint.acb(high), eval_limit=_MOST_TERMS
        )
    if not found.is_finite():
        return None
    size = 1 + abs(_centre(found))
    return found if mpmath.convert(found.rad()) < _ACCURACY * size else None


def _by_quadrature(
    function: Callable[..., flint.acb], ends: list[Any], what: sp.Basic
) -> flint.acb:
    """Integrate with two sets of nodes, neither of them symmetric."""
    low, high = ends

    def integrand(x: Any) -> Any:
        try:
            return _centre(function(_of_mpmath(x, 0)))
        except NoValueError:
            if x in (low, high):  # rounded to a singular end
                return mpmath.mpf(0)
            raise

    def inside(part: str) -> Any:
        if mpmath.isinf(high):
            return low + 10 * mpmath.mpf(part)
        if mpmath.isinf(low):
            return high - 10 * mpmath.mpf(part)
        return low + (high - low) * mpmath.mpf(part)

    with mpmath.workdps(40), flint.ctx.workdps(60):
        found, errors = zip(
            *(
                mpmath.quad(integrand, [low, *map(inside, parts), high], error=True)
                for parts in (("0.3719",), ("0.2287", "0.7451"))
            ),
            strict=True,
        )
        spread = abs(found[0] - found[1]) + sum(errors)
        if not spread < _ACCURACY * (1 + abs(found[1])):
            raise NoValueError(f"{what} diverges, or is out of reach of quadrature")
        return _of_mpmath(found[1], 10 * spread)


def _sum(at: _Evaluation, expr: sp.Sum) -> Number:
    low, high, term = _terms(at, expr)
    if sp.oo not in (low, -low, high, -high):
        # the convention of Karr, which SymPy follows: an empty range is a sum backwards
        first, last = at.integer(low), at.integer(high)
        if last < first - 1:
            return -_total(term, last + 1, first - 1)
        return _total(term, first, last)
    if (low, high) == (-sp.oo, sp.oo):
        left, right = (lambda n: term(-n)), term
        return _ball(_series(left, 1, expr)) + _ball(_series(right, 0, expr))
    if low == -sp.oo:
        return _series(lambda n: term(-n), -at.integer(high), expr)
    if high == sp.oo:
        return _series(term, at.integer(low), expr)
    raise NoValueError(f"the value of {expr} is not known here")


def _product(at: _Evaluation, expr: sp.Product) -> Number:
    low, high, term = _terms(at, expr)
    first, last = at.integer(low), at.integer(high)
    if not first - 1 <= last < first + _MOST_TERMS:
        raise NoValueError(f"the value of {expr} is not known here")
    found = flint.acb(1)
    for n in range(first, last + 1):
        found *= _ball(term(n))
    return found


def _terms(at: _Evaluation, expr: Any) -> tuple[sp.Expr, sp.Expr, Callable[[int], Number]]:
    """Return the outermost range, and what stands there at an integer."""
    if at.analytic or len(expr.limits) > 2:
        raise NoValueError(f"the value of {expr} is not known here")
    *inner, (symbol, low, high) = expr.limits
    summand = expr.func(expr.function, *inner) if inner else expr.function
    return low, high, lambda n: at.also(symbol, flint.fmpq(n)).of(summand)


def _total(term: Callable[[int], Number], first: int, last: int) -> Number:
    if last - first > _MOST_TERMS:
        raise NoValueError("a sum of too many terms")
    found: Number = flint.fmpq(0)
    for n in range(first, last + 1):
        value = term(n)
        exact = isinstance(value, flint.fmpq) and isinstance(found, flint.fmpq)
        found = found + value if exact else _ball(found) + _ball(value)
    return found


def _series(term: Callable[[int], Number], first: int, what: sp.Basic) -> flint.acb:
    """Sum a series that is seen to converge, accelerated from two starts."""

    def size(n: int) -> Any:
        return abs(_centre(_ball(term(n))))

    def sharp(n: Any) -> Any:
        # the acceleration cancels digits, and raises the precision for it
        with flint.ctx.workdps(mpmath.mp.dps + 10):
            return _centre(_ball(term(int(n))))

    with mpmath.workdps(25), flint.ctx.workdps(60):
        start = max(first, 1)
        if not (_falls_fast(size, start, 1.2) or _alternates(term, start)):
            raise NoValueError(f"{what} is not seen to converge")
        found = []
        for skipped in (0, 7):
            rest = mpmath.nsum(sharp, [first + skipped, mpmath.inf])
            found.append(_centre(_ball(_total(term, first, first + skipped - 1))) + rest)
        spread = abs(found[0] - found[1])
        if not spread < _ACCURACY * (1 + abs(found[0])):
            raise NoValueError(f"{what} is out of reach of summation")
        return _of_mpmath(found[0], 10 * spread + _ACCURACY * mpmath.mpf("1e-5"))


def _falls_fast(size: Callable[[int], Any], start: int, power: float) -> bool:
    """Whether terms fall like a power of n, far out: the largest of eight in a row."""
    near, far = (max(size(start + 2**k + j) for j in range(8)) for k in (29, 30))
    return bool(far == 0 or far <= near * mpmath.mpf(2) ** -power)


def _alternates(term: Callable[[int], Number], start: int) -> bool:
    """Whether terms alternate in sign and fall to zero, as Leibniz asks."""
    values = [_ball(term(start + n)) for n in (*range(64), *range(2**30, 2**30 + 8))]
    if not all(value.imag.is_zero() for value in values):
        return False
    sizes = [abs(_centre(value)) for value in values]
    tail = [value.real > 0 for value in values[-8:]]
    strictly = all(a != b for a, b in itertools.pairwise(tail))
    falling = all(a >= b for a, b in zip(sizes[-9:], sizes[-8:], strict=False))
    return strictly and falling and bool(sizes[-1] < sizes[8] * mpmath.mpf("0.1"))


def _constant(value: Callable[[], Any]) -> Rule:
    return lambda at, expr: flint.acb(value())


_RULES: dict[type, Rule] = {
    sp.Rational: lambda at, expr: to_fmpq(expr),
    sp.Float: lambda at, expr: to_fmpq(sp.Rational(expr)),
    type(sp.pi): _constant(flint.arb.pi),
    type(sp.E): _constant(flint.arb.const_e),
    type(sp.EulerGamma): _constant(flint.arb.const_euler),
    type(sp.Catalan): _constant(flint.arb.const_catalan),
    type(sp.GoldenRatio): _constant(lambda: (1 + flint.arb(5).sqrt()) / 2),
    type(sp.I): _constant(lambda: flint.acb(0, 1)),
    sp.Add: _add,
    sp.Mul: _mul,
    sp.Pow: _pow,
    sp.exp: _exp,
    sp.log: _log,
    sp.Abs: _abs,
    sp.sign: _sign,
    sp.Heaviside: _heaviside,
    sp.floor: _floor,
    sp.ceiling: _ceiling,
    sp.Mod: _mod,
    sp.frac: _frac,
    sp.re: _part("real"),
    sp.im: _part("imag"),
    sp.conjugate: _part("conjugate"),
    sp.arg: _part("arg"),
    sp.atan2: _atan2,
    sp.Max: _extreme(1),
    sp.Min: _extreme(-1),
    sp.Piecewise: _piecewise,
    sp.KroneckerDelta: _kronecker,
    sp.factorial: _factorial,
    sp.binomial: _binomial,
    sp.RisingFactorial: _rising,
    sp.FallingFactorial: _falling,
    sp.zeta: _zeta,
    sp.harmonic: _harmonic,
    sp.Derivative: _derivative,
    sp.Subs: _subs,
    sp.Integral: _integral,
    sp.Sum: _sum,
    sp.Product: _product,
    sp.Function: _function,
}
_RULES |= {
    kind: _plain(kind.__name__)
    for kind in (sp.sin, sp.cos, sp.tan, sp.cot, sp.sec, sp.csc, sp.sinh, sp.cosh, sp.tanh)
}
_RULES |= {
    kind: _plain(kind.__name__)
    for kind in (sp.coth, sp.sech, sp.csch, sp.gamma, sp.digamma, sp.erf, sp.erfc, sp.erfi)
}
_RULES |= {
    kind: _cut(kind.__name__) for kind in (sp.asin, sp.acos, sp.atan, sp.asinh, sp.acosh, sp.atanh)
}
_RULES |= {sp.loggamma: _cut("lgamma"), sp.Ei: _cut("ei"), sp.LambertW: _cut("lambertw")}
_RULES |= {
    kind: _of_reciprocal(name)
    for kind, name in (
        (sp.asec, "acos"),
        (sp.acsc, "asin"),
        (sp.acot, "atan"),
        (sp.asech, "acosh"),
        (sp.acsch, "asinh"),
        (sp.acoth, "atanh"),
    )
}
