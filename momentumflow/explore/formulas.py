"""The methods that the page offers, with what the symbolic room derives about each."""

from __future__ import annotations

from functools import cache

from momentumflow.base.arguments import checked
from momentumflow.base.choices import ExploredMethod
from momentumflow.symbolic import HeavyBall, MomentumMethod, Nesterov
from momentumflow.symbolic.theory_kernels import MethodFormulas

# Methods that the page offers, by the name that `momentum_descent` knows.
METHODS: dict[ExploredMethod, MomentumMethod] = {"heavy_ball": HeavyBall(), "nesterov": Nesterov()}


@checked
@cache
def formulas(method: ExploredMethod) -> MethodFormulas:
    """Derive and compile the formulas of a method.

    Raises
    ------
    InputError
        If `method` is not a key of `METHODS`.
    """
    return MethodFormulas(METHODS[method])
