"""The steps of a theorem that are proved: inequalities, minima, limits, equations of matrices.

Every kind reduces to identities, which SymPy proves and numbers check, and to one
more fact that is read off: an inequality `lhs >= rhs` to an identity
`lhs - rhs = rest`, in which the signs of the parts of `rest` are plain (squares,
products and sums of what is assumed positive); the minimum of a function to the
sign of its slope; a limit to SymPy's `limit`, held against numbers that approach it.
A `Sentence` is said in words and proves nothing; it is shown as such.
"""

from __future__ import annotations

import functools
import html
import operator
import random
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import mpmath
import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.values import Formulated
from momentumflow.symbolic.expressions import expression
from momentumflow.symbolic.identities import Identity, ProofError, Step as Hint
from momentumflow.symbolic.printing import as_latex

Relation: TypeAlias = tuple[str, sp.Expr, sp.Expr]

_NEAR = 1e-3  # of the numbers that approach a limit to the limit, relative
_MODELS = 3  # of matrices, on which a statement about matrices is tried


class Outcome(Protocol):
    """What stands for a step of a theorem that was gone through."""

    def latex(self, *, display: bool = False) -> str:
        """Return it as LaTeX."""


class CarriedOut(Outcome, Protocol):
    """What `prove` returns."""

    @property
    def steps(self) -> tuple[Any, ...]:
        """What was done, in order."""


class Provable(Protocol):
    """A statement that is carried out: an `Identity`, or one of the kinds of this file."""

    @property
    def name(self) -> str:
        """Short name."""

    @property
    def assumptions(self) -> str:
        """What must hold, in words."""

    @property
    def source(self) -> str:
        """Where it stands in the literature."""

    def prove(self) -> CarriedOut:
        """Carry out the proof, or raise ProofError."""

    def latex(self, *, display: bool = False) -> str:
        """Return the statement as LaTeX."""


@dataclass(frozen=True, repr=False)
class Shown(Formulated):
    """What was carried out for a statement.

    Attributes
    ----------
    statement : Statement
    steps : tuple of str
        One line each.
    """

    statement: Statement
    steps: tuple[str, ...]

    def __str__(self) -> str:
        head = f"{self.statement.name}: proved in {len(self.steps)} step(s)"
        return "\n".join([head, *(f"  {line}" for line in self.steps)])

    def __repr__(self) -> str:
        return f"<Proof of {self.statement.name!r} in {len(self.steps)} steps>"

    def _formula(self) -> str:
        return r"\begin{aligned}" + r" \\ ".join(map(_said, self.steps)) + r"\end{aligned}"


def _said(text: str) -> str:
    """Return text for LaTeX, its special characters escaped."""
    escaped = "".join({"_": r"\_", "^": r"\^{}", "&": r"\&"}.get(c, c) for c in text)
    return rf"& \text{{{escaped}}}"


class Statement(Formulated):
    """A step of a theorem that is proved."""

    name: str
    assumptions: str
    source: str

    @abstractmethod
    def prove(self) -> Shown:
        """Carry out the proof.

        Raises
        ------
        ProofError
            If it cannot be carried out.
        """

    @property
    @abstractmethod
    def text(self) -> str:
        """The statement on one line."""

    def __str__(self) -> str:
        given = f"  ({self.assumptions})" if self.assumptions else ""
        return f"{self.name}: {self.text}{given}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def _fails(self, why: str) -> ProofError:
        return ProofError(f"{self.name}: not proved, {why}.", None)


@checked
@dataclass(frozen=True, repr=False)
class Inequality(Statement):
    """The statement `lhs >= rhs`, or `lhs > rhs`, by what the difference is made of.

    Parameters
    ----------
    name : str
    lhs, rhs : sympy.Expr
    rest : sympy.Expr
        What `lhs - rhs` equals, in a form whose sign is plain.
    strict : bool
        Whether the two sides are never equal.
    assumptions, source : str
    relations, hints : tuple
        As those of `Identity`; a hypothesis `a >= b` is the relation `a = b + slack`
        with a symbol that is not negative.
    """

    name: str
    lhs: sp.Expr
    rhs: sp.Expr
    rest: sp.Expr
    strict: bool = False
    assumptions: str = ""
    relations: tuple[Relation, ...] = ()
    source: str = ""
    hints: tuple[Hint, ...] = ()

    @property
    def text(self) -> str:
        """The statement on one line."""
        return f"{sp.sstr(self.lhs)} {'>' if self.strict else '>='} {sp.sstr(self.rhs)}"

    def _formula(self) -> str:
        return f"{as_latex(self.lhs)} {'>' if self.strict else chr(92) + 'ge'} {as_latex(self.rhs)}"

    def prove(self) -> Shown:
        """Prove what the difference is, and read off its sign.

        Raises
        ------
        ProofError
            If the difference is something else, or its sign is not plain.
        """
        written = Identity(
            f"{self.name}, the difference",
            self.lhs - self.rhs,
            self.rest,
            relations=self.relations,
            hints=self.hints,
        )
        written.prove()
        found = plain_sign(self.rest)
        if found is None or (self.strict and not found):
            wanted = "positive" if self.strict else "not negative"
            raise self._fails(f"{sp.sstr(self.rest)} is not plainly {wanted}")
        return Shown(
            self,
            (
                f"the difference of the two sides is {sp.sstr(self.rest)}",
                "every part of which is " + ("positive" if found else "not negative"),
            ),
        )


@checked
@dataclass(frozen=True, repr=False)
class Minimum(Statement):
    """A function has its minimum at one point, and nowhere else.

    Its slope is `(x - at) slope`, with `slope` positive wherever x may be: it falls
    before and rises behind.

    Parameters
    ----------
    name : str
    function : sympy.Expr
    variable : sympy.Symbol
        Its assumptions (positive, real) are the range.
    at : sympy.Expr
        Where.
    value : sympy.Expr
        The minimum.
    slope : sympy.Expr
    assumptions, source : str
    """

    name: str
    function: sp.Expr
    variable: sp.Symbol
    at: sp.Expr
    value: sp.Expr
    slope: sp.Expr
    assumptions: str = ""
    source: str = ""

    @property
    def text(self) -> str:
        """The statement on one line."""
        where = f"with equality at {self.variable} = {sp.sstr(self.at)} only"
        return f"{sp.sstr(self.function)} >= {sp.sstr(self.value)}, {where}"

    def _formula(self) -> str:
        where = f"{as_latex(self.variable)} = {as_latex(self.at)}"
        return (
            rf"{as_latex(self.function)} \ge {as_latex(self.value)}"
            rf"\quad\text{{with equality only at }} {where}"
        )

    def prove(self) -> Shown:
        """Prove the value, the slope, and the sign of the slope.

        Raises
        ------
        ProofError
            If one of the three fails.
        """
        x = self.variable
        Identity(
            f"{self.name}, the value", self.function.subs(x, self.at) - self.value, sp.S.Zero
        ).prove()
        Identity(
            f"{self.name}, the slope", sp.diff(self.function, x), (x - self.at) * self.slope
        ).prove()
        if plain_sign(self.slope) != 1:
            raise self._fails(f"{sp.sstr(self.slope)} is not plainly positive")
        return Shown(
            self,
            (
                f"at {x} = {sp.sstr(self.at)} the value is {sp.sstr(self.value)}",
                f"the slope is ({sp.sstr(x - self.at)}) times {sp.sstr(self.slope)}",
                "which is positive",
            ),
        )


@checked
@dataclass(frozen=True, repr=False)
class Limit(Statement):
    """The limit of an expression of one positive symbol.

    Parameters
    ----------
    name : str
    of : sympy.Expr
    variable : sympy.Symbol
    to : sympy.Expr
        0 (from above) or infinity.
    value : sympy.Expr
    assumptions, source : str
    """

    name: str
    of: sp.Expr
    variable: sp.Symbol
    to: sp.Expr
    value: sp.Expr
    assumptions: str = ""
    source: str = ""

    @property
    def text(self) -> str:
        """The statement on one line."""
        return f"{sp.sstr(self.of)} -> {sp.sstr(self.value)} as {self.variable} -> {self.to}"

    def _formula(self) -> str:
        to = f"{as_latex(self.variable)} \\to {as_latex(self.to)}"
        return rf"\lim_{{{to}}} {as_latex(self.of)} = {as_latex(self.value)}"

    def prove(self) -> Shown:
        """Let SymPy take the limit, and look at numbers that approach it.

        Raises
        ------
        ProofError
            If SymPy finds another limit, or the numbers do.
        """
        found = sp.limit(self.of, self.variable, self.to, "+" if self.to == 0 else "-")
        Identity(f"{self.name}, the limit", found, self.value).prove()
        others = sorted(self.of.free_symbols - {self.variable}, key=str)
        at = {s: sp.Rational(2 + k, 3) for k, s in enumerate(others)}
        small = [sp.Rational(1, 10**k) for k in (6, 12, 24)]
        with mpmath.workdps(60):
            target = mpmath.mpmathify(sp.N(self.value.subs(at), 60))
            gaps = []
            for step in small:
                point = step if self.to == 0 else 1 / step
                near = mpmath.mpmathify(sp.N(self.of.subs({**at, self.variable: point}), 60))
                gaps.append(abs(near - target))
            if not (gaps[2] <= gaps[1] <= gaps[0] and gaps[2] <= _NEAR * max(1, abs(target))):
                raise self._fails(f"numbers on the way do not approach {sp.sstr(self.value)}")
        return Shown(
            self,
            (
                f"SymPy's limit is {sp.sstr(found)}",
                f"at {self.variable} = {1 if self.to == 0 else ''}"
                f"{'e-24' if self.to == 0 else '1e24'} it is that to {mpmath.nstr(gaps[2], 2)}",
            ),
        )


@checked
@dataclass(frozen=True, repr=False)
class MatrixIdentity(Statement):
    """An equation between products of matrices of any size.

    Parameters
    ----------
    name : str
    lhs, rhs : sympy.Expr
        Of symbols that do not commute.
    relations : tuple of (description, expression, replacement)
        What may be replaced, in this order.
    model : callable
        Takes a random generator and returns matrices of rational numbers that fulfil
        the relations; the statement is tried on them, exactly.
    assumptions, source : str
    """

    name: str
    lhs: sp.Expr
    rhs: sp.Expr
    relations: tuple[Relation, ...]
    model: Callable[[random.Random], Mapping[sp.Symbol, sp.Matrix]]
    assumptions: str = ""
    source: str = ""

    @property
    def text(self) -> str:
        """The statement on one line."""
        return f"{sp.sstr(self.lhs)} = {sp.sstr(self.rhs)}"

    def _formula(self) -> str:
        return f"{as_latex(self.lhs)} = {as_latex(self.rhs)}"

    def prove(self) -> Shown:
        """Expand, replace, and try it on matrices.

        Raises
        ------
        ProofError
            If something remains, or matrices of rational numbers contradict.
        """
        difference = sp.expand(self.lhs - self.rhs)
        rng = random.Random(0)
        for _ in range(_MODELS):
            known = self.model(rng)
            left, right = _value(self.lhs, known), _value(self.rhs, known)
            if any(left if self.rhs == 0 else left - right):
                raise ProofError(f"{self.name}: false, for example at {dict(known)}.", dict(known))
        lines = [f"difference of the two sides: {sp.sstr(difference)}"]
        for what, product, replacement in self.relations:
            difference = sp.expand(difference.subs(product, replacement))
            lines.append(f"{what}: {sp.sstr(difference)}")
        if difference != 0:
            raise self._fails(f"{sp.sstr(difference)} remains")
        return Shown(self, tuple(lines))


def _value(expr: sp.Expr, known: Mapping[sp.Symbol, sp.Matrix]) -> sp.Matrix:
    """Put matrices into an expression of symbols that do not commute."""
    if expr.is_Add or expr.is_Mul:
        combine = operator.add if expr.is_Add else operator.mul
        return functools.reduce(combine, (_value(part, known) for part in expr.args))
    return known.get(expr, expr)


@checked
@dataclass(frozen=True)
class Sentence(Formulated):
    """What joins two steps, in words (`text`); nothing is carried out for it."""

    text: str

    def __str__(self) -> str:
        return f"(in words) {self.text}"

    def _repr_html_(self) -> str:
        return f"<em>(in words)</em> {html.escape(self.text)}"

    def _formula(self) -> str:
        return _said(self.text).removeprefix("& ")


def along(expr: sp.Expr, rates: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    """Return the time derivative of an expression along a flow, the chain rule not yet used.

    Parameters
    ----------
    expr : sympy.Expr
    rates : mapping
        The time derivative of each symbol that changes.
    """
    terms = (
        sp.Mul(sp.Derivative(expr, x), expression(rate), evaluate=False)
        for x, rate in rates.items()
        if expr.has(x)
    )
    return sp.Add(*terms, evaluate=False)


_ODD_INCREASING = (sp.sinh, sp.tanh, sp.asinh, sp.atan)


def plain_sign(expr: sp.Expr) -> int | None:
    """Return 1 if an expression is positive, 0 if it is not negative, None if that is not plain.

    Read off its form: numbers, assumptions of the symbols, sums, products, powers,
    exponentials, and odd increasing functions. Where this says 1 or 0 it is true.

    Parameters
    ----------
    expr : sympy.Expr
    """
    if expr.is_number or expr.is_Symbol:
        return 1 if expr.is_positive else 0 if expr.is_nonnegative else None
    if isinstance(expr, sp.exp | sp.cosh):
        return 1 if expr.args[0].is_real else None
    if isinstance(expr, _ODD_INCREASING):
        return plain_sign(expr.args[0])
    if isinstance(expr, sp.log):
        return plain_sign(sp.expand(expr.args[0] - 1))
    if expr.is_Add or expr.is_Mul:
        signs = [plain_sign(part) for part in expr.args]
        if None in signs:
            return None
        return int(any(signs)) if expr.is_Add else int(all(signs))
    if expr.is_Pow:
        return _sign_of_power(*expr.as_base_exp())
    return None


def _sign_of_power(base: sp.Expr, exponent: sp.Expr) -> int | None:
    found = plain_sign(base)
    if found == 1:
        return 1 if exponent.is_real else None
    if exponent.is_even and base.is_real:
        known = plain_sign(-base) == 1 or bool(base.is_nonzero)
        return 1 if known else 0 if exponent.is_positive else None
    return 0 if found == 0 and exponent.is_positive else None
