"""Statements published by others, as they hold, and as printed where that differs.

Kept as expressions, so that the theme `literature` proves them against what the
package derives, and as functions of numbers, for what is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import sympy as sp

from momentumflow.symbolic.codegen.compiled import kernel
from momentumflow.symbolic.symbols import beta, gamma

a = sp.Symbol("a", real=True)
x = sp.Symbol("x", real=True)
_bar = 1 / (1 - beta)
_half = sp.Rational(1, 2)

# Kovachki and Stuart, theorem 6: Phi + (h c/2) |grad Phi|^2; momentum beta, gradient at
# u_n + a (u_n - u_{n-1})
SLOW_CONSTANT = _bar * (_bar - a - _half)
SLOW_CONSTANT_PRINTED = _bar * (_bar - a + _half)
# Ghosh, Lyu, Zhang, Wang: the coefficient of |grad F|^2 in the modified loss of heavy ball
GRADIENT_PENALTY = gamma * (1 + beta) / (4 * (1 - beta) ** 3)
# Lyu, Wang, Wang, Zhu: alpha of heavy ball and of Nesterov's method
HEAVY_BALL_ALPHA = gamma * (1 + beta) / (2 * (1 - beta))
NESTEROV_ALPHA = gamma * (1 - beta + 2 * beta**2) / (2 * (1 - beta))
# Even, Pesme, Gunasekar, Flammarion: q of alpha_inf^2 = alpha^2 exp(-sum q(gamma_k g_k))
SUMMAND = -sp.log((1 - x**2) ** 2) / 2

Published = Mapping[str, Callable[..., Any]]


@cache
def published() -> Published:
    """Return each statement as a function of numbers, by its name.

    - "slow constant": (beta, a);
    - "gradient penalty": (gamma, beta);
    - "heavy-ball alpha", "nesterov alpha": (gamma, beta);
    - "summand": (x,);
    - "initial gradient": (X, residual) -> the direction in which the start's gradient
      enters the minimised function.
    """
    return MappingProxyType(
        {
            "slow constant": kernel(SLOW_CONSTANT, (beta, a)),
            "gradient penalty": kernel(GRADIENT_PENALTY, (gamma, beta)),
            "heavy-ball alpha": kernel(HEAVY_BALL_ALPHA, (gamma, beta)),
            "nesterov alpha": kernel(NESTEROV_ALPHA, (gamma, beta)),
            "summand": kernel(SUMMAND, (x,)),
            "initial gradient": lambda X, residual: X.T @ residual / len(residual),
        }
    )
