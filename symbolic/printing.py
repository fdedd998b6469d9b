"""How expressions are written: powers rise, in text and in LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import sympy as sp

from momentumflow.base.arguments import checked, isa

Printed: TypeAlias = Annotated[Any, isa((sp.Basic, sp.MatrixBase), "a SymPy expression or matrix")]


@checked
def as_text(expr: Printed) -> str:
    """Return an expression as Python would read it, low powers first.

    Parameters
    ----------
    expr : SymPy expression or matrix

    Returns
    -------
    str
    """
    return str(sp.sstr(expr, order="rev-lex"))


@checked
def as_latex(expr: Printed) -> str:
    """Return an expression in LaTeX, low powers first.

    Parameters
    ----------
    expr : SymPy expression or matrix

    Returns
    -------
    str
        Without dollar signs.
    """
    return minus_in_front(str(sp.latex(expr, order="rev-lex")))


def minus_in_front(text: str) -> str:
    r"""Return LaTeX with `+ \left(- a + b\right)` written as `- \left(a - b\right)`."""
    plus, end = r"+ \left(-", r"\right)"
    start = text.find(plus)
    while start >= 0:
        inside = start + len(plus)
        depth, stop = 1, inside
        while depth and stop >= 0:
            opened, stop = text.find(r"\left(", stop), text.find(end, stop)
            if stop >= 0 and 0 <= opened < stop:
                depth, stop = depth + 1, opened + len(r"\left(")
            elif stop >= 0:
                depth, stop = depth - 1, stop + len(end)
        if stop > 0 and not text[stop:].startswith("^"):  # a power keeps its own sign
            inner = _flipped(text[inside : stop - len(end)].lstrip())
            text = text[:start] + r"- \left(" + inner + end + text[stop:]
        start = text.find(plus, start + 1)
    return text


def signed(parts: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the sign of each term and what follows it, of pairs of coefficient and differential.

    A sum as a coefficient gets brackets, and its sign in front of them if it starts with a
    minus: nothing reads `+ (-a + b)`.
    """
    terms = []
    for coefficient, differential in parts:
        factor = coefficient.strip()
        minus = factor.startswith("-")
        if minus:
            factor = factor[1:].strip()
            if _is_sum(factor):
                factor = _flipped(factor)
        if _is_sum(factor) and (differential or minus):
            factor = f"({factor})" if "\\" not in factor else f"\\left({factor}\\right)"
        term = differential if factor == "1" and differential else f"{factor} {differential}"
        terms.append(("-" if minus else "+", term.strip()))
    return terms


def joined(parts: Sequence[tuple[str, str]]) -> str:
    """Return coefficient and differential pairs as a readable sum."""
    terms = signed(parts)
    if not terms:
        return "0"
    (sign, first), *rest = terms
    start = f"-{first}" if sign == "-" else first
    return "".join((start, *(f" {sign} {term}" for sign, term in rest)))


def _outer_signs(text: str) -> list[int]:
    """Return where + and - stand outside all brackets, the first character aside."""
    found, depth = [], 0
    for position, character in enumerate(text):
        depth += character in "({["
        depth -= character in ")}]"
        if depth == 0 and position and character in "+-":
            found.append(position)
    return found


def _is_sum(text: str) -> bool:
    return bool(_outer_signs(text))


def _flipped(text: str) -> str:
    """Return a sum with the signs of all terms but the first turned."""
    characters = list(text)
    for position in _outer_signs(text):
        characters[position] = "-" if characters[position] == "+" else "+"
    return "".join(characters)
