"""Linear recurrences with gradient points: coefficients, checks, and reading one from text.

sum_j a_j w_{k+j} = gamma sum_i c_i f( sum_j b_ij w_{k+j} )
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from momentumflow.base.errors import InputError
from momentumflow.symbolic import symbols

# Parameter values at which the stability of a recurrence with symbols is tried.
_TRIALS = (sp.Rational(1, 2), sp.Rational(1, 10), sp.Rational(9, 10), sp.Rational(99, 100))
_ROOT_MARGIN = sp.Rational(1, 10**9)
_MAX_SHIFT = 32


def exact(name: str, value: Any) -> sp.Expr:
    """Return `value` as an exact SymPy expression in the registered symbols.

    Raises
    ------
    InputError
        If it contains a float, is not an expression, or is not finite.
    """
    try:
        expr = symbols.canonical(value)
    except (sp.SympifyError, TypeError, AttributeError, SyntaxError):
        raise InputError(f"{name} as a number or an expression", repr(value)) from None
    if not isinstance(expr, sp.Expr) or expr.has(sp.oo, -sp.oo, sp.zoo, sp.nan):
        raise InputError(f"{name} as a finite number or expression", repr(value))
    if expr.has(sp.Float):
        guess = sp.nsimplify(expr, rational=True)
        raise InputError(
            f"{name} as an exact number", f"the float {value}", f"write it as a fraction, {guess}"
        )
    return expr


@dataclass(frozen=True)
class GradientPoint:
    """One place where the gradient is taken: `weight * f(sum_j at[j] w_{k+j})`."""

    weight: sp.Expr
    at: tuple[tuple[int, sp.Expr], ...]


@dataclass(frozen=True, repr=False)
class Recurrence:
    """`sum_j left[j] w_{k+j} = gamma sum_i weight_i f(sum_j at_ij w_{k+j})`.

    Attributes
    ----------
    left : tuple of (shift, coefficient)
        The coefficients `a_j`, sorted by shift.
    gradients : tuple of GradientPoint
        The weights `c_i` and the points `b_ij`.
    """

    left: tuple[tuple[int, sp.Expr], ...]
    gradients: tuple[GradientPoint, ...]

    @classmethod
    def of(
        cls,
        left: Mapping[int, Any],
        gradients: Iterable[tuple[Any, Mapping[int, Any]]],
    ) -> Recurrence:
        """Return the recurrence with these coefficients; zero ones are dropped.

        Parameters
        ----------
        left : mapping of int to number or expression
            `a_j` by shift `j`.
        gradients : iterable of (weight, mapping)
            One pair `(c_i, {j: b_ij})` for each gradient point.

        Raises
        ------
        InputError
            If a coefficient is a float or no expression, or a shift is no integer.
        """
        points = []
        for weight, at in gradients:
            c = exact("a gradient weight", weight)
            if not is_zero(c):
                points.append(GradientPoint(c, _coefficients("a gradient point", at)))
        return cls(_coefficients("the left side", left), tuple(points))

    @property
    def shifts(self) -> tuple[int, ...]:
        """All shifts that occur, sorted."""
        found = {j for j, _ in self.left}
        for point in self.gradients:
            found |= {j for j, _ in point.at}
        return tuple(sorted(found))

    @property
    def free_symbols(self) -> set[sp.Symbol]:
        """The parameters that occur in the coefficients."""
        found: set[sp.Symbol] = set()
        for _, a in self.left:
            found |= a.free_symbols
        for point in self.gradients:
            found |= point.weight.free_symbols
            for _, b in point.at:
                found |= b.free_symbols
        return found

    def left_moment(self, m: int) -> sp.Expr:
        """Return `c_m = sum_j a_j j^m / m!`, so that `A(e^D) = sum_m c_m D^m`."""
        return _moment(self.left, m)

    def point_moment(self, i: int, m: int) -> sp.Expr:
        """Return the coefficient of `D^m` in `B_i(e^D)`.

        Parameters
        ----------
        i : int
            Which gradient point.
        m : int
            Power of D.
        """
        return _moment(self.gradients[i].at, m)

    @property
    def total_weight(self) -> sp.Expr:
        """`C = sum_i c_i`, the weight of a constant gradient."""
        return sp.Add(*(point.weight for point in self.gradients))

    def left_polynomial(self, x: sp.Symbol) -> sp.Expr:
        """Return `A(x)` times the power of `x` that makes its lowest shift 0."""
        lowest = min(j for j, _ in self.left)
        return sp.Add(*(a * x ** (j - lowest) for j, a in self.left))

    def shifted(self, by: int) -> Recurrence:
        """Return the same recurrence written for `k + by`."""
        return Recurrence(
            tuple((j + by, a) for j, a in self.left),
            tuple(
                GradientPoint(p.weight, tuple((j + by, b) for j, b in p.at)) for p in self.gradients
            ),
        )

    def equation(self, step: sp.Symbol = symbols.gamma) -> sp.Eq:
        """Return the recurrence as a SymPy equation in `w[k+j]` and `f`."""
        k = sp.Symbol("k", integer=True)
        w, f = sp.IndexedBase("w"), sp.Function("f")
        left = sp.Add(*(a * w[k + j] for j, a in self.left))
        right = sp.Add(
            *(
                point.weight * f(sp.Add(*(b * w[k + j] for j, b in point.at)))
                for point in self.gradients
            )
        )
        return sp.Eq(left, step * right, evaluate=False)

    def __repr__(self) -> str:
        equation = self.equation()
        return f"<Recurrence {equation.lhs} = {equation.rhs}>"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {sp.latex(self.equation())}$"

    def subs(self, values: Mapping[sp.Symbol, Any]) -> Recurrence:
        """Return the recurrence with parameters replaced."""
        return Recurrence.of(
            {j: a.subs(values) for j, a in self.left},
            [(p.weight.subs(values), {j: b.subs(values) for j, b in p.at}) for p in self.gradients],
        )


def _coefficients(name: str, given: Mapping[int, Any]) -> tuple[tuple[int, sp.Expr], ...]:
    rows = []
    for shift, value in given.items():
        if isinstance(shift, bool) or not isinstance(shift, int) or abs(shift) > _MAX_SHIFT:
            raise InputError(f"a shift between -{_MAX_SHIFT} and {_MAX_SHIFT}", repr(shift))
        coefficient = exact(f"{name} at shift {shift}", value)
        if not is_zero(coefficient):
            rows.append((shift, coefficient))
    return tuple(sorted(rows))


def _moment(coefficients: tuple[tuple[int, sp.Expr], ...], m: int) -> sp.Expr:
    total = sp.Add(*(a * sp.Integer(j) ** m for j, a in coefficients))
    return sp.together(sp.expand(total)) / sp.factorial(m)


def is_zero(expr: sp.Expr) -> bool:
    """Whether an expression of parameters vanishes identically."""
    return bool(sp.cancel(sp.together(expr)) == 0)


def check_recurrence(recurrence: Recurrence, step: sp.Symbol) -> None:
    """Raise InputError unless the recurrence is consistent and stable."""
    if step in recurrence.free_symbols:
        raise InputError(
            f"coefficients free of the step {step}",
            f"a coefficient that contains {step}",
            "the step multiplies the gradients only; rename the parameter",
        )
    total = sp.factor(sp.Add(*(a for _, a in recurrence.left)))
    if not is_zero(total):
        raise InputError(
            "coefficients of w that sum to zero, so that a point where f = 0 stays put",
            f"the sum {total}",
        )
    if not recurrence.left:
        raise InputError("a recurrence for w", "a left side that is zero")
    if not recurrence.gradients or is_zero(recurrence.total_weight):
        raise InputError(
            "gradient weights that do not sum to zero", f"the sum {recurrence.total_weight}"
        )
    for i, point in enumerate(recurrence.gradients):
        at = sp.Add(*(b for _, b in point.at))
        if not is_zero(at - 1):
            raise InputError(
                f"coefficients that sum to one inside f (gradient point {i + 1})",
                f"the sum {sp.factor(at)}",
            )
    _check_stability(recurrence)


def _check_stability(recurrence: Recurrence) -> None:
    """Raise InputError if no parameter value makes all other roots lie inside the unit circle."""
    x = sp.Symbol("x")
    quotient = sp.cancel(recurrence.left_polynomial(x) / (x - 1))
    parameters = sorted(quotient.free_symbols - {x}, key=str)
    worst: sp.Expr | None = None
    for trial in itertools.islice(itertools.product(_TRIALS, repeat=len(parameters)), 256):
        numeric = quotient.subs(dict(zip(parameters, trial, strict=True)))
        numerator = sp.numer(sp.together(numeric))
        if not numerator.has(x):
            return
        moduli = [abs(root) for root in sp.Poly(numerator, x).nroots(n=20, maxsteps=200)]
        largest = max(moduli)
        if largest < 1 - _ROOT_MARGIN:
            return
        worst = largest if worst is None else min(worst, largest)
    where = " for every parameter value tried in (0, 1)" if parameters else ""
    raise InputError(
        "a stable recurrence: every root of its left side but 1 inside the unit circle",
        f"a root of modulus {sp.N(worst, 4)}{where}",
    )


def parse_recurrence(text: str) -> Recurrence:
    """Return the recurrence that an equation in `w[k+j]` and `f(...)` states.

    Raises
    ------
    InputError
        If the text cannot be read, or is not linear in the iterates and in f.
    """
    example = 'write it like "w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*f(w[k])"'
    sides = text.split("=") if isinstance(text, str) else []
    if len(sides) != 2:
        raise InputError("an equation with one '='", repr(text), example)
    k = sp.Symbol("k", integer=True)
    w, f = sp.IndexedBase("w"), sp.Function("f")
    names = {"w": w, "f": f, "k": k}
    try:
        expr = sp.expand(symbols.parse(sides[0], names) - symbols.parse(sides[1], names))
    except (InputError, TypeError):
        raise InputError("a readable recurrence", repr(text), example) from None
    calls = sorted(expr.atoms(sp.core.function.AppliedUndef), key=str)
    unknown = [call for call in calls if call.func != f or len(call.args) != 1]
    if unknown:
        raise InputError("f as the only function, of one argument", str(unknown[0]), example)
    marks = {call: sp.Dummy() for call in calls}
    rest = expr.xreplace(marks)
    gradients = []
    for call, mark in marks.items():
        weight = -sp.cancel(rest.coeff(mark, 1) / symbols.gamma)
        if weight.has(*marks.values()):
            raise InputError("a recurrence linear in f(...)", repr(text), example)
        gradients.append((weight, _linear_in_w(call.args[0], w, k, example)))
        rest = sp.expand(rest - rest.coeff(mark, 1) * mark)
    if marks and rest.has(*marks.values()):
        raise InputError("a recurrence linear in f(...)", repr(text), example)
    return Recurrence.of(_linear_in_w(rest, w, k, example), gradients)


def _linear_in_w(
    expr: sp.Expr, w: sp.IndexedBase, k: sp.Symbol, example: str
) -> dict[int, sp.Expr]:
    expr = sp.expand(expr)
    found: dict[int, sp.Expr] = {}
    rest = expr
    for iterate in expr.atoms(sp.Indexed):
        shift = sp.expand(iterate.indices[0] - k) if len(iterate.indices) == 1 else sp.nan
        if not shift.is_Integer:
            raise InputError("iterates w[k+j] with a whole number j", str(iterate), example)
        found[int(shift)] = expr.coeff(iterate, 1)
        rest = rest - expr.coeff(iterate, 1) * iterate
    if not is_zero(rest) or any(c.has(sp.Indexed) for c in found.values()):
        raise InputError("an expression linear in w[k+j]", str(expr), example)
    return found
