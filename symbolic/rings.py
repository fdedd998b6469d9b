"""Exact rings that the tree series are computed in, on FLINT.

Coefficients of a modified equation are rational functions of the parameters
whose denominators are known beforehand, so the recursions clear them and run
over polynomials: `fmpq_poly` for one parameter, `fmpq_mpoly` for several. The
inertial regime runs over power series in one small variable, truncated.
"""

from __future__ import annotations

from typing import Any

import flint
import sympy as sp

from momentumflow.base.errors import InputError

Element = Any  # a flint polynomial or a truncated series: flint has no types


def to_fmpq(value: sp.Rational) -> flint.fmpq:
    """Return a SymPy rational as a FLINT one."""
    return flint.fmpq(int(value.p), int(value.q))


def to_rational(value: Any) -> sp.Rational:
    """Return a FLINT rational or integer as a SymPy one."""
    q = flint.fmpq(value)
    return sp.Rational(int(q.p), int(q.q))


def factored(expr: sp.Expr) -> sp.Expr:
    """Return a rational expression factored, each factor with its lowest term positive.

    `sympy.factor` leaves `-gamma/(beta - 1)` where this gives `gamma/(1 - beta)`.
    """
    if expr == 0:
        return sp.S.Zero
    parts: list[sp.Expr] = []
    for side, sign in zip(sp.fraction(sp.cancel(sp.together(expr))), (1, -1), strict=True):
        content, factors = sp.factor_list(side)
        parts.append(content**sign)
        for factor, power in factors:
            generators = sorted(factor.free_symbols, key=str)
            terms = sp.Poly(factor, *generators).terms()
            flip = min(terms, key=_term_degree)[1] < 0
            parts += [sp.S.NegativeOne**power if flip else sp.S.One]
            parts += [(sp.expand(-factor) if flip else factor) ** (sign * power)]
    return sp.Mul(*parts)


def _rational(value: Any) -> sp.Expr:
    """Return a coefficient as an expression in which every number is rational."""
    expr = sp.sympify(value)
    for part in expr.atoms(sp.NumberSymbol, sp.Pow, sp.Function):
        if part.is_number and not part.is_Rational:
            raise InputError(
                "rational coefficients", str(part), "give it a rational value, such as 7/5"
            )
    return expr


def _term_degree(term: tuple[tuple[int, ...], Any]) -> tuple[int, tuple[int, ...]]:
    return sum(term[0]), term[0]


class PolynomialRing:
    """Polynomials with rational coefficients in the given symbols.

    Elements are `fmpq_poly` for at most one symbol and `fmpq_mpoly` otherwise;
    both add, subtract and multiply among themselves and with integers.
    """

    def __init__(self, generators: tuple[sp.Symbol, ...]) -> None:
        self.generators = generators
        self._context: Any = None
        if len(generators) > 1:
            self._context = flint.fmpq_mpoly_ctx.get(
                [f"x{i}" for i in range(len(generators))], flint.Ordering.degrevlex
            )
        self._denominators: dict[sp.Expr, tuple[Any, list[tuple[Element, int]]]] = {}
        self.zero = self.constant(0)
        self.one = self.constant(1)

    def constant(self, value: int) -> Element:
        """Return an integer as an element."""
        if self._context is None:
            return flint.fmpq_poly([value])
        return self._context.constant(value)

    def from_sympy(self, expr: sp.Expr) -> Element:
        """Return the element of a polynomial expression in the generators."""
        generators = self.generators or (sp.Dummy(),)
        try:
            terms = sp.Poly(expr, *generators, domain=sp.QQ).terms()
        except (sp.PolynomialError, sp.CoercionFailed) as error:
            raise NotPolynomialError(str(_rational(expr))) from error
        if self._context is None:
            dense = [flint.fmpq(0)] * (1 + max(powers[0] for powers, _ in terms))
            for powers, value in terms:
                dense[powers[0]] = to_fmpq(value)
            return flint.fmpq_poly(dense)
        return self._context.from_dict({powers: to_fmpq(value) for powers, value in terms})

    def to_sympy(self, element: Element) -> sp.Expr:
        """Return an element as an expanded expression."""
        if self._context is None:
            symbol = self.generators[0] if self.generators else sp.S.Zero
            return sp.Add(
                *(to_rational(value) * symbol**i for i, value in enumerate(element.coeffs()))
            )
        return sp.Add(
            *(
                to_rational(value)
                * sp.Mul(*(s ** int(p) for s, p in zip(self.generators, powers, strict=True)))
                for powers, value in element.to_dict().items()
            )
        )

    def reciprocal(self, element: Element) -> Element:
        """Return 1 over a constant element."""
        if not element.is_constant():
            raise NotPolynomialError("the reciprocal of a polynomial is none")
        value = to_rational(element.coeffs()[0])
        return self.from_sympy(1 / value)

    def quotient(
        self, numerator: Element, denominator: sp.Expr, power: int, *others: sp.Expr
    ) -> sp.Expr:
        """Return `numerator / denominator**power`, times `others`, in lowest terms, factored."""
        if numerator == 0:
            return sp.S.Zero
        content, factors = self._factored_denominator(denominator)
        value = to_rational(content) ** -power
        parts: list[sp.Expr] = []
        for factor, multiplicity in factors:
            left = int(multiplicity) * power
            while left:
                divided, remainder = divmod(numerator, factor)
                if remainder != 0:
                    break
                numerator, left = divided, left - 1
            sign, oriented = self._oriented(factor)
            value *= sign**left
            parts.append(oriented**-left)
        content, factors = numerator.factor()
        value *= to_rational(content)
        for factor, multiplicity in factors:
            sign, oriented = self._oriented(factor)
            value *= sign ** int(multiplicity)
            parts.append(oriented ** int(multiplicity))
        # one product, because SymPy multiplies a lone number into a lone sum
        return sp.Mul(value, *parts, *others)

    def _factored_denominator(self, denominator: sp.Expr) -> tuple[Any, list[tuple[Element, int]]]:
        if denominator not in self._denominators:
            self._denominators[denominator] = self.from_sympy(denominator).factor()
        return self._denominators[denominator]

    def _oriented(self, factor: Element) -> tuple[int, sp.Expr]:
        """Return a primitive factor as sign times expression, its lowest term positive."""
        if self._context is None:
            lowest = next(value for value in factor.coeffs() if value != 0)
        else:
            lowest = min(factor.to_dict().items(), key=_term_degree)[1]
        return (-1, self.to_sympy(-factor)) if lowest < 0 else (1, self.to_sympy(factor))


class NotPolynomialError(ArithmeticError):
    """A series over polynomials met a rational function."""


class _RationalFunctions:
    """Rational functions of parameters, by SymPy: slow, for the few methods that need them."""

    def __init__(self, parameters: tuple[sp.Symbol, ...]) -> None:
        self._field: Any = sp.QQ.frac_field(*parameters)

    def from_sympy(self, expr: sp.Expr) -> Any:
        return self._field.from_sympy(expr)

    def to_sympy(self, element: Any) -> sp.Expr:
        return self._field.to_sympy(element)

    def reciprocal(self, element: Any) -> Any:
        return 1 / element


class SeriesRing:
    """Power series in one variable, cut after `precision` coefficients.

    Without extra parameters an element is an `fmpq_poly`; with some it is a
    `CoefficientSeries` over polynomials in them, or over rational functions.

    Raises
    ------
    NotPolynomialError
        From the conversions and `inverse`, where `rational` is not set but needed.
    """

    def __init__(
        self, precision: int, parameters: tuple[sp.Symbol, ...] = (), *, rational: bool = False
    ) -> None:
        self.precision = precision
        self.parameters = parameters
        self._field: _RationalFunctions | PolynomialRing | None = None
        if parameters:
            self._field = _RationalFunctions(parameters) if rational else PolynomialRing(parameters)
        self.zero = self.constant(sp.S.Zero)
        self.one = self.constant(sp.S.One)
        self.variable = self.from_coefficients([sp.S.Zero, sp.S.One])

    def from_coefficients(self, values: list[sp.Expr]) -> Element:
        """Return the series with these coefficients, constant term first."""
        values = [_rational(value) for value in values[: self.precision]]
        if self._field is None:
            return flint.fmpq_poly([to_fmpq(value) for value in values])
        return CoefficientSeries([self._field.from_sympy(value) for value in values])

    def constant(self, value: sp.Expr) -> Element:
        """Return a constant as a series."""
        return self.from_coefficients([value])

    def coefficients(self, element: Element) -> list[sp.Expr]:
        """Return the coefficients as SymPy expressions, constant term first."""
        if self._field is None:
            return [to_rational(value) for value in element.coeffs()]
        return [sp.factor(self._field.to_sympy(value)) for value in element.values]

    def mul(self, a: Element, b: Element) -> Element:
        """Return the product, cut."""
        return a.mul_low(b, self.precision)

    def power(self, a: Element, exponent: int) -> Element:
        """Return `a**exponent`, cut."""
        result = self.one
        for _ in range(exponent):
            result = self.mul(result, a)
        return result

    def times_variable(self, a: Element, power: int) -> Element:
        """Return `a` times the `power`-th power of the variable, cut."""
        return a.left_shift(power).truncate(self.precision)

    def over_variable(self, a: Element, power: int) -> Element:
        """Return `a` over a power of the variable; the lowest coefficients must vanish."""
        if self.valuation(a) < power:
            raise ArithmeticError("the series starts too early to be divided by the variable")
        return a.right_shift(power)

    def valuation(self, a: Element) -> int:
        """Return the index of the first coefficient that is not zero (the precision for 0)."""
        values = a.coeffs()
        return next((i for i, value in enumerate(values) if value != 0), self.precision)

    def inverse(self, a: Element) -> Element:
        """Return 1/a for a series whose constant term is not zero."""
        values = a.coeffs()
        over = 1 / values[0] if self._field is None else self._field.reciprocal(values[0])
        result = [over]
        for n in range(1, self.precision):
            total = over - over
            for i in range(1, min(n, len(values) - 1) + 1):
                total += values[i] * result[n - i]
            result.append(-total * over)
        return flint.fmpq_poly(result) if self._field is None else CoefficientSeries(result)

    def compose(self, expr: sp.Expr, symbol: sp.Symbol | None, argument: Element) -> Element:
        """Return a rational expression with `symbol` replaced by a series.

        The denominator may not vanish at the constant term of the series.
        """
        numerator, denominator = sp.fraction(sp.together(expr))
        top = self._evaluate(numerator, symbol, argument)
        if denominator == 1:
            return top
        return self.mul(top, self.inverse(self._evaluate(denominator, symbol, argument)))

    def _evaluate(self, expr: sp.Expr, symbol: sp.Symbol | None, argument: Element) -> Element:
        if symbol is None:
            return self.constant(expr)
        result = self.zero
        for coefficient in sp.Poly(expr, symbol).all_coeffs():
            result = self.mul(result, argument) + self.constant(coefficient)
        return result


class CoefficientSeries:
    """A truncated power series over any ring, with the interface of `fmpq_poly` used here."""

    __slots__ = ("values",)

    def __init__(self, values: list[Any]) -> None:
        while values and values[-1] == 0:
            values.pop()
        self.values = values

    def coeffs(self) -> list[Any]:
        """Return the coefficients, constant term first."""
        return list(self.values)

    def mul_low(self, other: CoefficientSeries, precision: int) -> CoefficientSeries:
        """Return the product, cut."""
        if not self.values or not other.values:
            return CoefficientSeries([])
        size = min(precision, len(self.values) + len(other.values) - 1)
        zero = self.values[0] - self.values[0]
        result = [zero] * size
        for i, a in enumerate(self.values[:size]):
            if a != 0:
                for j, b in enumerate(other.values[: size - i]):
                    result[i + j] += a * b
        return CoefficientSeries(result)

    def __add__(self, other: CoefficientSeries) -> CoefficientSeries:
        short, long = sorted((self.values, other.values), key=len)
        return CoefficientSeries(
            [a + b for a, b in zip(short, long, strict=False)] + long[len(short) :]
        )

    def __neg__(self) -> CoefficientSeries:
        return CoefficientSeries([-a for a in self.values])

    def __sub__(self, other: CoefficientSeries) -> CoefficientSeries:
        return self + (-other)

    def __mul__(self, number: int) -> CoefficientSeries:
        return CoefficientSeries([a * number for a in self.values])

    def __eq__(self, other: object) -> bool:
        if other == 0:
            return not self.values
        return isinstance(other, CoefficientSeries) and self.values == other.values

    def __hash__(self) -> int:
        return hash(tuple(self.values))

    def left_shift(self, power: int) -> CoefficientSeries:
        """Return the series times a power of the variable."""
        if not self.values:
            return self
        return CoefficientSeries([self.values[0] - self.values[0]] * power + self.values)

    def right_shift(self, power: int) -> CoefficientSeries:
        """Return the series over a power of the variable."""
        return CoefficientSeries(self.values[power:])

    def truncate(self, precision: int) -> CoefficientSeries:
        """Return the first coefficients."""
        return CoefficientSeries(self.values[:precision])
