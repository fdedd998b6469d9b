"""The one registry of SymPy symbols, assumptions included.

SymPy takes two symbols of one name but different assumptions for different
symbols, and `subs` with the wrong one silently does nothing. Every module of
the package therefore takes its symbols from here, and `expressions.canonical`
rewrites what a user brings (by name) to the registered ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

import sympy as sp

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

# The diagonal network theta = u v, w_± = u ± v, and its mirror potential.
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


def fresh(name: str, taken: Iterable[sp.Symbol], **assumptions: Any) -> sp.Symbol:
    """Return a symbol to be displayed whose name no taken symbol has: `name`, or with a number."""
    names = {symbol.name for symbol in taken}
    if name not in names:
        return sp.Symbol(name, **assumptions)
    return next(
        sp.Symbol(f"{name}_{i}", **assumptions) for i in count(1) if f"{name}_{i}" not in names
    )
