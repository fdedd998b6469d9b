"""Statements with assumptions, and proofs that SymPy carries out.

An `Identity` says that two expressions are equal. Proving it means bringing
their difference to zero by named steps: rewriting with the stated relations,
then SymPy's own simplifiers. SymPy errs now and then, so both sides are first
evaluated at random points that obey the assumptions, with a bound on the error
(`point_values`): where they differ the statement is false, with that
counterexample; where they cannot be evaluated it is not proved; where they agree
the proof begins, and each of its steps is held against the same points. An
identity is never taken for proved because a number came out small, nor because a
simplifier said so against the numbers.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, TypeAlias

import flint
import sympy as sp
from sympy.core.function import AppliedUndef

from momentumflow.base.arguments import Natural, Where, checked
from momentumflow.base.errors import InputError
from momentumflow.base.values import Formulated
from momentumflow.symbolic.expressions import expression
from momentumflow.symbolic.point_values import NoValueError, value_at
from momentumflow.symbolic.printing import as_latex
from momentumflow.symbolic.sample_points import obeys, random_function, random_point

Step = tuple[str, Callable[[sp.Expr], sp.Expr]]
Attempts: TypeAlias = Annotated[int, Where("in [1, 10000]", lambda n: 1 <= n <= 10_000)]

_ATTEMPTS = 24  # points that are tried
_ENOUGH = 8  # points at which both sides have to agree
_REPEATS = 8  # of one relation


def _rational_form(expr: sp.Expr) -> sp.Expr:
    return sp.cancel(sp.together(expr))


_CARRY_OUT = "carry out sums, integrals and derivatives"

# Cheap and decisive first; `simplify` is the last resort.
SIMPLIFIERS: tuple[Step, ...] = (
    ("expand", sp.expand),
    (_CARRY_OUT, lambda e: e.doit()),
    ("bring to a common denominator and cancel", _rational_form),
    (
        "write hyperbolic functions and their inverses by exponentials and logarithms, simplify",
        lambda e: sp.simplify(e.rewrite(sp.log).rewrite(sp.exp)),
    ),
    ("combine logarithms, simplify", lambda e: sp.simplify(sp.expand_log(e, force=False))),
    ("simplify", sp.simplify),
)


class ProofError(ArithmeticError):
    """An identity that could not be proved; `counterexample` is set if it is false."""

    def __init__(self, message: str, counterexample: dict[sp.Symbol, sp.Expr] | None) -> None:
        super().__init__(message)
        self.counterexample = counterexample


@checked
@dataclass(frozen=True, repr=False)
class Proof(Formulated):
    """The steps that brought `lhs - rhs` to zero, each with what remained after it.

    Attributes
    ----------
    identity : Identity
        What is proved.
    steps : tuple of (str, sympy.Expr)
        What was done, and the difference that remained; the last one is 0.
    """

    identity: Identity
    steps: tuple[tuple[str, sp.Expr], ...]

    def __repr__(self) -> str:
        return f"<Proof of {self.identity.name!r} in {len(self.steps)} steps>"

    def __str__(self) -> str:
        lines = [f"{self.identity.name}: proved in {len(self.steps)} step(s)"]
        lines += [f"  {what}: {sp.sstr(remaining)}" for what, remaining in self.steps]
        return "\n".join(lines)

    def _formula(self) -> str:
        rows = [rf"\text{{{what}:}}\quad & {as_latex(rest)}" for what, rest in self.steps]
        return r"\begin{aligned}" + r" \\ ".join(rows) + r"\end{aligned}"


@checked
@dataclass(frozen=True, repr=False)
class Identity(Formulated):
    """The statement lhs = rhs, under stated assumptions and relations.

    Parameters
    ----------
    name : str
        Short name, used in tables.
    lhs, rhs : sympy.Expr or str
        The two sides, free of floating-point numbers; integrals, sums and
        derivatives may stand unevaluated.
    assumptions : str
        What must hold, in words; "" if nothing beyond the symbols' own
        assumptions.
    relations : tuple of (description, expression, replacement)
        Equations that may be used, applied in this order to the difference.
    source : str
        Where the statement stands in the literature.
    hints : tuple of (description, callable)
        Rewritings that this statement needs, tried before the simplifiers.

    Raises
    ------
    InputError
        If a side contains a floating-point number: identities are exact.
    """

    name: str
    lhs: sp.Expr
    rhs: sp.Expr
    assumptions: str = ""
    relations: tuple[tuple[str, sp.Expr, sp.Expr], ...] = ()
    source: str = ""
    hints: tuple[Step, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lhs", expression(self.lhs, "a side of an identity"))
        object.__setattr__(self, "rhs", expression(self.rhs, "a side of an identity"))
        relations = tuple((w, expression(e), expression(r)) for w, e, r in self.relations)
        object.__setattr__(self, "relations", relations)
        for side in (self.lhs, self.rhs, *(r for _, _, r in self.relations)):
            floats = side.atoms(sp.Float)
            if floats:
                raise InputError(
                    f"exact expressions in identity {self.name!r}",
                    f"the floating-point number {floats.pop()}",
                    "write it as a Rational",
                )

    @cached_property
    def equation(self) -> sp.Eq:
        """The statement as an unevaluated SymPy equation."""
        return sp.Eq(self.lhs, self.rhs, evaluate=False)

    @cached_property
    def difference(self) -> sp.Expr:
        """Return lhs - rhs after the relations, before any simplification."""
        return list(self._after_relations())[-1][1]

    def prove(self) -> Proof:
        """Carry out the proof, and check it numerically.

        The statement itself is evaluated first, at random points, so that what
        is false or diverges never reaches a simplifier; a simplifier whose
        result differs from what it was given is passed over.

        Raises
        ------
        ProofError
            If the statement is false, cannot be evaluated, or if the difference
            does not reach zero; `counterexample` is set in the first case only.
        """
        points = self._checked_points()
        steps = list(self._after_relations())
        remaining = steps[-1][1]
        if remaining == 0:
            return Proof(self, tuple(steps))
        for what, simplify in (*self.hints, *SIMPLIFIERS):
            try:
                simpler = simplify(remaining)
            except Exception:  # a simplifier raises whatever it meets; the next one may serve
                continue
            if simpler != remaining and not any(p.refutes(simpler, sp.S.Zero) for p in points):
                steps.append((what, simpler))
                remaining = simpler
            if remaining == 0:
                return Proof(self, tuple(steps))
            if remaining.has(sp.Sum, sp.Integral, sp.Product) and what == _CARRY_OUT:
                break  # `simplify` tries for minutes what could not be carried out in seconds
        raise ProofError(
            f"{self.name}: not proved, {sp.sstr(remaining)} remains; "
            "it vanishes at random points, so look for the missing step.",
            None,
        )

    def counterexample(
        self, attempts: Attempts = 12, seed: Natural = 0
    ) -> dict[Any, sp.Expr] | None:
        """Return a point at which the two sides differ, or None.

        It obeys the assumptions and the relations, and the difference exceeds
        the bound on its error. An undefined function gets a function.

        Parameters
        ----------
        attempts : int
            At how many random points both sides are evaluated.
        seed : int
            Of the points.
        """
        for point in itertools.islice(self._points(seed), attempts):
            if point.refutes(self.lhs, self.rhs):
                return point.values
        return None

    def _formula(self) -> str:
        return f"{as_latex(self.lhs)} = {as_latex(self.rhs)}"

    def __repr__(self) -> str:
        return f"<Identity {self.name!r}>"

    def __str__(self) -> str:
        given = f"  ({self.assumptions})" if self.assumptions else ""
        return f"{self.name}: {sp.sstr(self.lhs)} = {sp.sstr(self.rhs)}{given}"

    def _after_relations(self) -> Iterator[tuple[str, sp.Expr]]:
        remaining = self.lhs - self.rhs
        yield "difference of the two sides", remaining
        for what, known, replacement in self.relations:
            remaining = _applied(remaining, known, replacement)
            yield what, remaining

    def _checked_points(self, seed: int = 0) -> list[Point]:
        """Return points at which both sides agree; a false statement ends here."""
        agreeing: list[Point] = []
        costly = any(side.has(sp.Integral, sp.Sum) for side in (self.lhs, self.rhs))
        attempts, enough = (_ATTEMPTS // 4, _ENOUGH // 2) if costly else (_ATTEMPTS, _ENOUGH)
        for point in itertools.islice(self._points(seed), attempts):
            gap = point.gap(self.lhs, self.rhs)
            if gap is None and not point.values:
                break
            if gap is None:
                continue
            if gap.refuting:
                where = ", ".join(f"{s} = {value}" for s, value in point.values.items())
                raise ProofError(
                    f"{self.name}: false, for example at {where or 'the only point there is'}: "
                    f"the two sides differ by {gap.shown}.",
                    point.values,
                )
            agreeing += [point] * gap.vanishing
            if len(agreeing) == (enough if point.values else 1):
                return agreeing
        raise ProofError(
            f"{self.name}: not proved, because too few points were found at which both sides "
            "can be evaluated to a known accuracy; it diverges, is undefined, or holds "
            "something that is not known here.",
            None,
        )

    def _points(self, seed: int) -> Iterator[Point]:
        """Yield random points that obey the assumptions and the relations."""
        rng = random.Random(seed)
        given = [side for _, *pair in self.relations for side in pair]
        parts = sp.Tuple(self.lhs, self.rhs, *given)
        tied = [r for _, r, _ in self.relations if isinstance(r, sp.Symbol)]
        free = sorted(parts.free_symbols - set(tied), key=lambda s: (s.name, str(s.assumptions0)))
        counted = {
            s
            for ranged in parts.atoms(sp.Sum, sp.Product)
            for limit in ranged.limits
            for bound in limit[1:]
            for s in bound.free_symbols
        }
        functions = sorted(parts.atoms(AppliedUndef), key=lambda f: (str(f.func), -len(f.args)))
        # Relations between derivatives hold by substitution; what they leave may be anything.
        dynamic = [(r, to) for _, r, to in self.relations if r.atoms(AppliedUndef)]
        static = [(r, to) for _, r, to in self.relations if not r.atoms(AppliedUndef)]
        for turn in range(4 * _ATTEMPTS):
            point = random_point(free, counted, rng, turn)
            drawn = {f.func: random_function(f, rng) for f in functions}
            if point is None or None in drawn.values():
                return
            point = _with_relations(point, static)
            if point is not None:
                yield Point(point, drawn, dynamic)


def _applied(expr: sp.Expr, known: sp.Expr, replacement: sp.Expr) -> sp.Expr:
    """Use a relation until it has nothing left to replace; derivatives are carried out."""
    for _ in range(_REPEATS):
        expr = expr.subs(known, replacement).replace(
            lambda e: isinstance(e, sp.Derivative), lambda e: e.doit(deep=False)
        )
        if replacement.has(known) or not _still_has(expr, known):
            break
    return expr


def _still_has(expr: sp.Expr, known: sp.Expr) -> bool:
    """Whether an expression, or a derivative of it, is left."""
    if expr.has(known):
        return True
    if not isinstance(known, sp.Derivative | AppliedUndef):
        return False
    function = known.expr if isinstance(known, sp.Derivative) else known
    wanted = getattr(known, "derivative_count", 0)
    return any(
        d.expr == function and d.derivative_count >= wanted for d in expr.atoms(sp.Derivative)
    )


def _with_relations(
    point: dict[sp.Symbol, sp.Expr], relations: list[tuple[sp.Expr, sp.Expr]]
) -> dict[sp.Symbol, sp.Expr] | None:
    """Return the point on which relations between numbers hold, or None off their set."""
    found = dict(point)
    for known, replacement in reversed(relations):
        value = replacement.subs(found)
        if isinstance(known, sp.Symbol):
            if known in found or not obeys(known, value):
                return None
            found[known] = value
    for known, replacement in relations:
        if isinstance(known, sp.Symbol):
            continue
        gap = Point(found, {}, []).gap(known, replacement)
        if gap is None or not gap.vanishing:
            return None
    return found


@dataclass(frozen=True)
class Gap:
    """Left minus right at a point, as a ball, and the size of the two."""

    ball: Any
    size: Any

    @property
    def refuting(self) -> bool:
        """Whether the sides differ, far beyond the bound on the error."""
        return bool(self.ball.abs_lower() > self.size * flint.arb("1e-18"))

    @property
    def vanishing(self) -> bool:
        """Whether the sides agree to at least ten digits."""
        return bool(self.ball.abs_upper() <= self.size * flint.arb("1e-10"))

    @property
    def shown(self) -> str:
        """The difference, as a person reads it."""
        value, error = self.ball.mid(), self.ball.rad()
        real = value.real.str(8, radius=False)
        shown = real if value.imag.is_zero() else f"{real} + {value.imag.str(8, radius=False)} i"
        return f"{shown} (error below {error.upper().str(2, radius=False)})"


@dataclass(frozen=True)
class Point:
    """A model of a statement: what its symbols and its undefined functions stand for."""

    symbols: dict[sp.Symbol, sp.Expr]
    functions: dict[Any, sp.Lambda]
    relations: list[tuple[sp.Expr, sp.Expr]]

    @property
    def values(self) -> dict[Any, sp.Expr]:
        """Everything that was chosen, for people."""
        chosen = {f(*rule.variables): rule.expr for f, rule in self.functions.items()}
        return {**self.symbols, **chosen}

    def refutes(self, lhs: sp.Expr, rhs: sp.Expr) -> bool:
        """Whether two expressions differ here beyond doubt."""
        gap = self.gap(lhs, rhs)
        return gap is not None and gap.refuting

    def gap(self, lhs: sp.Expr, rhs: sp.Expr) -> Gap | None:
        """Return left minus right, or None if a side has no value here."""
        sides = [self._concrete(side) for side in (lhs, rhs)]
        if None in sides:
            return None
        for digits in (50, 200):  # what cancels at fifty digits may not at two hundred
            try:
                left, right = (value_at(side, self.symbols, digits) for side in sides)
            except NoValueError:
                return None
            with flint.ctx.workdps(digits):
                size = flint.arb(abs(left)).max(flint.arb(abs(right))).max(flint.arb("1e-10"))
                gap = Gap(left - right, size)
            if gap.refuting or gap.vanishing:
                return gap
        return None

    def _concrete(self, expr: sp.Expr) -> sp.Expr | None:
        """Use the relations between functions, then put functions in; None if some are left."""
        for known, replacement in self.relations:
            expr = _applied(expr, known, replacement)
        if any(_still_has(expr, known) for known, _ in self.relations):
            return None
        for function, rule in self.functions.items():
            expr = expr.replace(function, rule)
        return expr
