"""Linear recurrences with gradient points: coefficients, checks, and reading one from text.

sum_j a_j w_{k+j} = gamma sum_i c_i f( sum_j b_ij w_{k+j} )
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import sympy as sp

from momentumflow.base.arguments import Where, checked
from momentumflow.base.errors import InputError
from momentumflow.base.values import Formulated
from momentumflow.symbolic import symbols
from momentumflow.symbolic.expressions import Exact, Formula, SymbolLike, exact, read, substituted
from momentumflow.symbolic.printing import minus_in_front

# Parameter values at which the stability of a recurrence with symbols is tried.
_TRIALS = (sp.Rational(1, 2), sp.Rational(1, 10), sp.Rational(9, 10), sp.Rational(99, 100))
_ROOT_MARGIN = sp.Rational(1, 10**9)
_MAX_SHIFT = 32
Shift: TypeAlias = Annotated[
    int, Where(f"between -{_MAX_SHIFT} and {_MAX_SHIFT}", lambda j: abs(j) <= _MAX_SHIFT)
]
Power: TypeAlias = Annotated[int, Where("in [0, 1000]", lambda m: 0 <= m <= 1000)]

# What stands for the iterates, the field and the number of the step in an equation.
_NOTATION = ("w", "f", "k")
_EXAMPLE = 'write it like "w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*f(w[k])"'
_EXAMPLE_OF_A_START = 'write it like "w[0] = w[-1] + gamma*f(w[0])"'


@dataclass(frozen=True)
class GradientPoint:
    """One place where the gradient is taken: `weight * f(sum_j at[j] w_{k+j})`."""

    weight: sp.Expr
    at: tuple[tuple[int, sp.Expr], ...]


@checked
@dataclass(frozen=True, repr=False)
class Recurrence(Formulated):
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

    def __post_init__(self) -> None:
        if not all(isinstance(c, sp.Expr) for c in self.coefficients):
            raise InputError("coefficients as expressions", repr(self.left), "take Recurrence.of")

    @property
    def coefficients(self) -> Iterator[sp.Expr]:
        """All coefficients `a_j`, `c_i` and `b_ij`."""
        yield from (a for _, a in self.left)
        for point in self.gradients:
            yield point.weight
            yield from (b for _, b in point.at)

    @classmethod
    def of(
        cls,
        left: Mapping[int, Exact],
        gradients: Iterable[tuple[Exact, Mapping[int, Exact]]],
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
        return set().union(*(c.free_symbols for c in self.coefficients))

    def left_moment(self, m: Power) -> sp.Expr:
        """Return `c_m = sum_j a_j j^m / m!`, so that `A(e^D) = sum_m c_m D^m`."""
        return _moment(self.left, m)

    def point_moment(self, i: int, m: Power) -> sp.Expr:
        """Return the coefficient of `D^m` in `B_i(e^D)`.

        Parameters
        ----------
        i : int
            Which gradient point.
        m : int
            Power of D.

        Raises
        ------
        InputError
            If there is no such point.
        """
        if not 0 <= i < len(self.gradients):
            raise InputError(f"one of {len(self.gradients)} gradient points", f"i = {i}")
        return _moment(self.gradients[i].at, m)

    @property
    def total_weight(self) -> sp.Expr:
        """`C = sum_i c_i`, the weight of a constant gradient."""
        return sp.Add(*(point.weight for point in self.gradients))

    def left_polynomial(self, x: sp.Symbol) -> sp.Expr:
        """Return `A(x)` times the power of `x` that makes its lowest shift 0."""
        lowest = min(j for j, _ in self.left)
        return sp.Add(*(a * x ** (j - lowest) for j, a in self.left))

    def shifted(self, by: Shift) -> Recurrence:
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

    def _formula(self) -> str:
        return minus_in_front(sp.latex(self.equation()))

    def subs(self, values: Mapping[SymbolLike, Formula]) -> Recurrence:
        """Return the recurrence with parameters replaced."""
        return Recurrence.of(
            {j: substituted(a, values) for j, a in self.left},
            [
                (substituted(p.weight, values), {j: substituted(b, values) for j, b in p.at})
                for p in self.gradients
            ],
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
    _check_names(recurrence, step)
    _check_rest(recurrence)
    _check_free_of_step(recurrence, step)
    if is_zero(recurrence.total_weight):
        raise InputError(
            "gradient weights that do not sum to zero", f"the sum {recurrence.total_weight}"
        )
    _check_stability(recurrence)


def check_start(start: Recurrence, step: sp.Symbol) -> None:
    """Raise InputError unless this is a relation between `w_0` and `w_{-1}` that rest obeys."""
    _check_names(start, step)
    if not set(start.shifts) <= {0, -1}:
        raise InputError("a start that relates w[0] and w[-1]", f"the shifts {start.shifts}")
    _check_rest(start)
    _check_free_of_step(start, step)


def _check_names(recurrence: Recurrence, step: sp.Symbol) -> None:
    taken = sorted(s.name for s in {step, *recurrence.free_symbols} if s.name in _NOTATION)
    if taken:
        raise InputError(
            f"parameters with other names than {', '.join(_NOTATION)}, which the equation uses",
            f"one named {taken[0]}",
        )


def _check_rest(recurrence: Recurrence) -> None:
    """Raise InputError unless iterates that rest at a point where f = 0 stay there."""
    total = sp.factor(sp.Add(*(a for _, a in recurrence.left)))
    if not is_zero(total):
        raise InputError(
            "coefficients of w that sum to zero, so that a point where f = 0 stays put",
            f"the sum {total}",
            "a decay of the weights is stated through the loss, F + (decay/2) |w|^2",
        )
    if not recurrence.left:
        raise InputError("a recurrence for w", "a left side that is zero")
    for i, point in enumerate(recurrence.gradients):
        at = sp.Add(*(b for _, b in point.at))
        if not is_zero(at - 1):
            raise InputError(
                f"coefficients that sum to one inside f (gradient point {i + 1})",
                f"the sum {sp.factor(at)}",
            )


def _check_free_of_step(recurrence: Recurrence, step: sp.Symbol) -> None:
    """Raise InputError if the step occurs in a coefficient: it only multiplies the gradients."""
    for coefficient in recurrence.coefficients:
        if step in coefficient.free_symbols:
            raise InputError(
                f"coefficients free of the step {step}",
                f"the coefficient {coefficient}",
                "the step multiplies the gradients only; rename the parameter",
            )


def _check_stability(recurrence: Recurrence) -> None:
    """Raise InputError if no parameter value makes all other roots lie inside the unit circle."""
    x = sp.Dummy("x")
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


def parse_recurrence(text: str, *, start: bool = False) -> Recurrence:
    """Return the recurrence that an equation in `w[k+j]` and `f(...)` states.

    Parameters
    ----------
    text : str
        Linear in the iterates and in f.
    start : bool
        Whether it is a relation at the start, at k = 0: `w[0] = w[-1]`.

    Raises
    ------
    InputError
        If the text cannot be read, is not linear in the iterates and in f, or
        has coefficients that change from step to step.
    """
    example = _EXAMPLE_OF_A_START if start else _EXAMPLE
    sides = text.split("=") if isinstance(text, str) else []
    if len(sides) != 2:
        raise InputError("an equation with one '='", repr(text), example)
    k = sp.S.Zero if start else sp.Symbol("k", integer=True)
    w, f = sp.IndexedBase("w"), sp.Function("f")
    names = {"w": w, "f": f, "k": k}
    try:
        expr = sp.expand(read(sides[0], names) - read(sides[1], names))
    except InputError as error:
        raise InputError("a readable recurrence", repr(text), error.remedy) from None
    marks = {call: sp.Dummy() for call in sorted(expr.atoms(f), key=str)}
    rest = expr.xreplace(marks)
    gradients = []
    for call, mark in marks.items():
        factor = -rest.coeff(mark, 1)
        rest = sp.expand(rest + factor * mark)
        if rest.has(mark) or factor.has(*marks.values()):
            raise InputError(
                "a recurrence linear in f(...)",
                repr(text),
                "a method that rescales its gradient, as Adam and RMSProp do, has no such form",
            )
        weight = sp.cancel(factor / symbols.gamma)
        if symbols.gamma in weight.free_symbols:
            raise InputError(
                f"the step gamma once in front of {call}",
                f"the factor {factor}",
                "write gamma for the learning rate",
            )
        gradients.append((weight, _linear_in_w(call.args[0], w, k, example)))
    found = Recurrence.of(_linear_in_w(rest, w, k, example), gradients)
    for coefficient in found.coefficients:
        if k in coefficient.free_symbols:
            raise InputError(
                "coefficients that are the same at every step",
                f"{sp.factor(coefficient)}, which depends on the number k of the step",
                "schedules are not derived from text; put a parameter, such as beta, in its place",
            )
    return found


def _linear_in_w(expr: sp.Expr, w: sp.IndexedBase, k: sp.Expr, example: str) -> dict[int, sp.Expr]:
    expr = sp.expand(expr)
    found: dict[int, sp.Expr] = {}
    rest = expr
    for iterate in expr.atoms(sp.Indexed):
        shift = sp.expand(iterate.indices[0] - k)
        if not shift.is_Integer:
            raise InputError("iterates w[k+j] with a whole number j", str(iterate), example)
        found[int(shift)] = expr.coeff(iterate, 1)
        rest = rest - expr.coeff(iterate, 1) * iterate
    if not is_zero(rest) or any(c.has(sp.Indexed) for c in found.values()):
        raise InputError("an expression linear in w[k+j]", str(expr), example)
    return found
