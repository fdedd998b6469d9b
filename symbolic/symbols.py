"""The one registry of SymPy symbols, assumptions included.

SymPy takes two symbols of one name but different assumptions for different
symbols, and `subs` with the wrong one silently does nothing. Every module of
the package therefore takes its symbols from here, and `canonical` rewrites
expressions that a user brings (by name) to the registered ones.
"""

from __future__ import annotations

import re
from typing import Any

import sympy as sp

from momentumflow.base.errors import InputError

# Parameters of a method. beta ranges over [0, 1); it is declared positive so
# that log(beta) and its powers simplify, and beta = 0 is reached by substitution.
gamma = sp.Symbol("gamma", positive=True)
beta = sp.Symbol("beta", positive=True)
lam = sp.Symbol("lambda", positive=True)
eps = sp.Symbol("epsilon", positive=True)
rho = sp.Symbol("rho", positive=True)
nu = sp.Symbol("nu", real=True)  # weight of the gradient in quasi-hyperbolic momentum

# Time, and the curvature of a quadratic loss.
t = sp.Symbol("t", real=True)
h = sp.Symbol("h", real=True)

# The diagonal network theta = u v, w_pm = u pm v, and its mirror potential.
alpha = sp.Symbol("alpha", positive=True)
Delta = sp.Symbol("Delta", positive=True)
Delta_0 = sp.Symbol("Delta_0", positive=True)
theta = sp.Symbol("theta", real=True)
theta_0 = sp.Symbol("theta_0", real=True)
u = sp.Symbol("u", real=True)
v = sp.Symbol("v", real=True)
w = sp.Symbol("w", real=True)
w_plus = sp.Symbol("w_+", real=True)
w_minus = sp.Symbol("w_-", real=True)
g = sp.Symbol("g", real=True)
z = sp.Symbol("z", real=True)

# The names under which a user may write the registered symbols.
REGISTRY: dict[str, sp.Symbol] = {
    "gamma": gamma,
    "beta": beta,
    "lambda": lam,
    "lam": lam,
    "epsilon": eps,
    "eps": eps,
    "rho": rho,
    "nu": nu,
    "t": t,
    "h": h,
    "alpha": alpha,
    "Delta": Delta,
    "Delta_0": Delta_0,
    "theta": theta,
    "theta_0": theta_0,
    "u": u,
    "v": v,
    "w": w,
    "w_+": w_plus,
    "w_plus": w_plus,
    "w_-": w_minus,
    "w_minus": w_minus,
    "g": g,
    "z": z,
}


# The characters of a formula: sympify evaluates its input, so nothing else may reach it.
_FORMULA = re.compile(r"[\w\s+\-*/()\[\],.]*", re.ASCII)


def parse(text: str, names: dict[str, Any] | None = None) -> sp.Expr:
    """Return the expression that a formula states, in registered symbols.

    Parameters
    ----------
    text : str
        Such as `"gamma/(1-beta)^2"`; `^` is a power, `lam` is lambda.
    names : dict, optional
        What further names stand for.

    Raises
    ------
    InputError
        If it is no formula.
    """
    # `lambda` is a keyword of the parser's language, hence not a name in it
    known = {name: symbol for name, symbol in REGISTRY.items() if name.isidentifier()}
    known.pop("lambda")
    formula = text.replace("^", "**")
    if not _FORMULA.fullmatch(formula) or "__" in formula or not formula.strip():
        raise InputError("a formula", repr(text), "write it like 1 - cos(x) + x^2/2")
    try:
        return sp.sympify(formula, locals=known | (names or {}))
    except Exception:  # sympify raises whatever the text makes Python raise
        raise InputError("a formula", repr(text), "write it like 1 - cos(x) + x^2/2") from None


def canonical(expression: Any) -> sp.Expr:
    """Return `expression` with every symbol of a registered name replaced by the registered one.

    Parameters
    ----------
    expression : sympy expression, number or str
        Strings are read by `parse`.
    """
    if isinstance(expression, str):
        return parse(expression)
    expr = sp.sympify(expression)
    swaps = {
        symbol: REGISTRY[symbol.name]
        for symbol in expr.free_symbols
        if symbol.name in REGISTRY and REGISTRY[symbol.name] != symbol
    }
    return expr.xreplace(swaps) if swaps else expr
