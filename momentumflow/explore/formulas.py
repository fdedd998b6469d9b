"""The methods that the page offers, with what the symbolic room derives about each."""

from __future__ import annotations

from functools import cache

from momentumflow.numeric.validation import choice
from momentumflow.symbolic import HeavyBall, Nesterov
from momentumflow.symbolic.theory_kernels import MethodFormulas

# Methods that the page offers, by the name that `momentum_descent` knows.
METHODS = {"heavy_ball": HeavyBall(), "nesterov": Nesterov()}


@cache
def formulas(method: str) -> MethodFormulas:
    """Derive and compile the formulas of a method.

    Raises
    ------
    InputError
        If `method` is not a key of `METHODS`.
    """
    return MethodFormulas(METHODS[choice("method", method, tuple(METHODS))])
