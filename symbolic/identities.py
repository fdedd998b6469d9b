"""Statements with assumptions, and proofs that SymPy carries out.

An `Identity` says that two expressions are equal. Proving it means bringing
their difference to zero by named steps: rewriting with the stated relations,
then SymPy's own simplifiers. A difference that does not vanish is evaluated at
random exact points to fifty digits: where it is non-zero the statement is
refuted with that counterexample, otherwise it is reported as not proved. An
identity is never taken for proved because a number came out small.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import sympy as sp

from momentumflow.symbolic.expressions import expression

Step = tuple[str, Callable[[sp.Expr], sp.Expr]]


def _rational_form(expr: sp.Expr) -> sp.Expr:
    return sp.cancel(sp.together(expr))


# Cheap and decisive first; `simplify` is the last resort.
SIMPLIFIERS: tuple[Step, ...] = (
    ("expand", sp.expand),
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


@dataclass(frozen=True, repr=False)
class Proof:
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

    def latex(self) -> str:
        """Return the chain of remaining differences as LaTeX."""
        rows = [rf"\text{{{what}:}}\quad & {sp.latex(rest)}" for what, rest in self.steps]
        return r"\begin{aligned}" + r" \\ ".join(rows) + r"\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"


@dataclass(frozen=True, repr=False)
class Identity:
    """The statement lhs = rhs, under stated assumptions and relations.

    Parameters
    ----------
    name : str
        Short name, used in tables.
    lhs, rhs : sympy.Expr
        The two sides, free of floating-point numbers.
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
    TypeError
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
                raise TypeError(
                    f"expected exact expressions in identity {self.name!r}, received the "
                    f"floating-point number {floats.pop()}; write it as a Rational."
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
        """Carry out the proof.

        Raises
        ------
        ProofError
            If the difference does not reach zero.
        """
        steps = list(self._after_relations())
        remaining = steps[-1][1]
        if remaining == 0:
            return Proof(self, tuple(steps))
        for what, simplify in (*self.hints, *SIMPLIFIERS):
            simpler = simplify(remaining)
            if simpler != remaining:
                steps.append((what, simpler))
                remaining = simpler
            if remaining == 0:
                return Proof(self, tuple(steps))
        counterexample = self.counterexample()
        if counterexample is None:
            raise ProofError(
                f"{self.name}: not proved, {sp.sstr(remaining)} remains; "
                "it vanishes at random points, so look for the missing step.",
                None,
            )
        point = ", ".join(f"{s} = {value}" for s, value in counterexample.items())
        raise ProofError(f"{self.name}: false, for example at {point}.", counterexample)

    def counterexample(self, attempts: int = 5, seed: int = 0) -> dict[sp.Symbol, sp.Expr] | None:
        """Return a point at which the two sides differ to 50 digits, or None.

        Undefined functions and derivatives count as independent quantities.

        Parameters
        ----------
        attempts : int
            How many random points are tried.
        seed : int
            Of the points.
        """
        rng = random.Random(seed)
        expr = self.difference
        unknowns = expr.atoms(sp.Derivative) | expr.atoms(sp.core.function.AppliedUndef)
        for index, unknown in enumerate(sorted(unknowns, key=lambda e: -sp.count_ops(e))):
            expr = expr.xreplace({unknown: sp.Symbol(f"unknown_{index}", real=True)})
        symbols = sorted(expr.free_symbols, key=lambda s: s.name)
        for _ in range(attempts):
            point = {s: _random_value(s, rng) for s in symbols}
            value = sp.N(expr.xreplace(point), 50)
            if value.is_number and abs(value) > sp.Float("1e-40"):
                return point
        return None

    def latex(self) -> str:
        """Return the statement as LaTeX."""
        return f"{sp.latex(self.lhs)} = {sp.latex(self.rhs)}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __repr__(self) -> str:
        return f"<Identity {self.name!r}>"

    def __str__(self) -> str:
        given = f"  ({self.assumptions})" if self.assumptions else ""
        return f"{self.name}: {sp.sstr(self.lhs)} = {sp.sstr(self.rhs)}{given}"

    def _after_relations(self) -> Iterator[tuple[str, sp.Expr]]:
        remaining = self.lhs - self.rhs
        yield "difference of the two sides", remaining
        for what, known, replacement in self.relations:
            remaining = remaining.subs(known, replacement).doit()
            yield what, remaining


def _random_value(symbol: sp.Symbol, rng: random.Random) -> sp.Expr:
    value = sp.Rational(rng.randint(1, 997), rng.randint(1, 499))
    return value if symbol.is_positive or rng.random() < 0.5 else -value
