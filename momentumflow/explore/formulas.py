"""What the symbolic room derives about a method, compiled for numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from momentumflow.numeric.validation import choice
from momentumflow.symbolic import (
    HeavyBall,
    ModifiedEquation,
    Nesterov,
    acceleration_rule,
    friction,
    intrinsic_parameter,
    kernel,
    modified_equation,
    refined_parameter,
    stability_limit,
    time_step,
)
from momentumflow.symbolic.symbols import beta, eps, gamma, lam, rho

# Methods that the page offers, by the name that `momentum_descent` knows.
METHODS = {"heavy_ball": HeavyBall(), "nesterov": Nesterov()}

Formula = Callable[..., Any]


@dataclass(frozen=True)
class Formulas:
    """The formulas of one method; each takes (gamma, beta) and broadcasts.

    Attributes
    ----------
    equation : ModifiedEquation
        The modified equation through first order in eps.
    latex : dict
        Definitions of the parameters in LaTeX, by name.
    intrinsic, refined, time_step : callable
        lambda, lambda_hat and eps.
    friction : callable
        1/lambda_star, the coefficient of `f - w'` to all orders; infinite at beta = 0.
    start_speed : callable
        c of the initial velocity -c grad F(w_0) that belongs to the iterates.
    largest_step : callable
        (beta) -> the bound on gamma times the sharpness.
    accelerate : callable
        (gamma, beta, rho) -> (gamma, beta) of the same path, rho times faster.
    """

    equation: ModifiedEquation
    latex: dict[str, str]
    intrinsic: Formula
    refined: Formula
    time_step: Formula
    friction: Formula
    start_speed: Formula
    largest_step: Formula
    accelerate: Formula


@cache
def formulas(method: str) -> Formulas:
    """Derive and compile the formulas of a method.

    Raises
    ------
    InputError
        If `method` is not a key of `METHODS`.
    """
    import sympy as sp

    of = METHODS[choice("method", method, tuple(METHODS))]
    equation = modified_equation(of, 1)
    assert equation.initial_velocity is not None  # w_{-1} = w_0 ties it
    intrinsic, step, drag = intrinsic_parameter(of), time_step(of), friction(of)
    refined, rule = refined_parameter(of), acceleration_rule(of)
    speed = equation.initial_velocity.coefficient("[]").subs({eps: step, lam: intrinsic})
    compiled_friction = kernel(drag, (gamma, beta))

    def quiet_friction(*values: Any) -> Any:
        with np.errstate(divide="ignore"):  # without momentum it is infinite
            return compiled_friction(*values)

    return Formulas(
        equation=equation,
        latex={
            r"\epsilon": sp.latex(step),
            r"\lambda": sp.latex(intrinsic),
            r"\hat\lambda": sp.latex(refined),
            r"\lambda_\star": sp.latex(1 / drag),
            "rule": rule.latex(),
        },
        intrinsic=kernel(intrinsic, (gamma, beta)),
        refined=kernel(refined, (gamma, beta)),
        time_step=kernel(step, (gamma, beta)),
        friction=quiet_friction,
        start_speed=kernel(speed, (gamma, beta)),
        largest_step=kernel(stability_limit(of), (beta,)),
        accelerate=kernel((rule[gamma], rule[beta]), (gamma, beta, rho)),
    )
