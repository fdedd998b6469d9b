"""How expressions are written: powers rise, in text and in LaTeX."""

from __future__ import annotations

import sympy as sp


def as_text(expr: sp.Expr) -> str:
    """Return an expression as Python would read it, low powers first."""
    return str(sp.sstr(expr, order="rev-lex"))


def as_latex(expr: sp.Expr) -> str:
    """Return an expression in LaTeX, without dollar signs, low powers first."""
    return str(sp.latex(expr, order="rev-lex"))
