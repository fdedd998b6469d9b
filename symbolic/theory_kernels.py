"""The formulas of the theory, compiled once for numbers: of a method, and of the diagonal network.

Runs, judge and page take them from here; each is derived in the symbolic room,
beside the identity that proves it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import sympy as sp

from momentumflow.symbolic.codegen.compiled import kernel
from momentumflow.symbolic.equations.damping import friction
from momentumflow.symbolic.equations.intrinsic_parameters import (
    AccelerationRule,
    acceleration_rule,
    intrinsic_parameter,
    refined_parameter,
    time_step,
)
from momentumflow.symbolic.equations.modified_equations import ModifiedEquation, modified_equation
from momentumflow.symbolic.equations.stability import stability_limit
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.networks.diagonal_network import DiagonalNetwork
from momentumflow.symbolic.symbols import beta, eps, gamma, lam, rho
from momentumflow.symbolic.theorems.convergence_theorems import RATIO_BOUND
from momentumflow.symbolic.theorems.limit_theorems import FIRST_SHIFT
from momentumflow.symbolic.theorems.noise_theorems import NOISY_SHRINKAGE
from momentumflow.symbolic.theorems.sign_theorems import GROWTH_RATE, SIGN_THRESHOLD, STEP_BOUND
from momentumflow.symbolic.theorems.sparsity_theorems import KERNEL_RATE

Compiled = Callable[..., Any]


@dataclass(frozen=True)
class MethodFormulas:
    """What the theory says of one method; each function takes (gamma, beta) and broadcasts."""

    method: MomentumMethod

    @cached_property
    def equation(self) -> ModifiedEquation:
        """The modified equation through first order in eps."""
        return modified_equation(self.method, 1)

    @cached_property
    def rule(self) -> AccelerationRule:
        """The acceleration rule."""
        return acceleration_rule(self.method)

    @cached_property
    def latex(self) -> dict[str, str]:
        """Definitions of the parameters in LaTeX, by name."""
        return {
            r"\epsilon": sp.latex(time_step(self.method)),
            r"\lambda": sp.latex(intrinsic_parameter(self.method)),
            r"\hat\lambda": sp.latex(refined_parameter(self.method)),
            r"\lambda_\star": sp.latex(1 / friction(self.method)),
            "rule": self.rule.latex(),
        }

    @cached_property
    def intrinsic(self) -> Compiled:
        """Lambda."""
        return kernel(intrinsic_parameter(self.method), (gamma, beta))

    @cached_property
    def refined(self) -> Compiled:
        """lambda_hat."""
        return kernel(refined_parameter(self.method), (gamma, beta))

    @cached_property
    def time_step(self) -> Compiled:
        """eps, the time that one step of the iterates takes."""
        return kernel(time_step(self.method), (gamma, beta))

    @cached_property
    def start_speed(self) -> Compiled:
        """C of the initial velocity -c grad F(w_0) that belongs to the iterates."""
        start = self.equation.initial_velocity
        assert start is not None  # w_{-1} = w_0 ties it
        at = {eps: time_step(self.method), lam: intrinsic_parameter(self.method)}
        # w'(0) is a series in eps; its first term is what a second-order claim needs.
        return kernel(start.coefficient("[]").subs(at), (gamma, beta))

    @cached_property
    def accelerate(self) -> Compiled:
        """(gamma, beta, rho) -> (gamma, beta) of the same path, rho times faster."""
        return kernel((self.rule[gamma], self.rule[beta]), (gamma, beta, rho))

    @cached_property
    def friction(self) -> Compiled:
        """1/lambda_star, the coefficient of `f - w'` to all orders; infinite at beta = 0."""
        compiled = kernel(friction(self.method), (gamma, beta))

        def quiet(*values: Any) -> Any:
            with np.errstate(divide="ignore"):  # without momentum it is infinite
                return compiled(*values)

        return quiet

    @cached_property
    def largest_step(self) -> Compiled:
        """(beta) -> the bound on gamma times the sharpness."""
        return kernel(stability_limit(self.method), (beta,))


@dataclass(frozen=True)
class NetworkFormulas:
    """What the theory says of the diagonal network, of arrays that broadcast."""

    network: DiagonalNetwork

    @cached_property
    def log_shrinkage(self) -> Compiled:
        """(lam, integral of g^2 dt) -> first-order ln(Delta_inf/Delta_0)."""
        return kernel(*self.network.log_shrinkage)

    @cached_property
    def noisy_shrinkage(self) -> Compiled:
        """(lambda_hat, eps, sum of g^2, sum of Var g) -> mean ln(Delta_0/Delta_inf)."""
        return kernel(*NOISY_SHRINKAGE)

    @cached_property
    def balancedness_law(self) -> Compiled:
        """(lam, q', q, q_+, q_-) -> what the balancedness law says is zero."""
        return kernel(*self.network.balancedness_defect)

    @cached_property
    def sign_bound(self) -> Compiled:
        """Sup |g| -> the lambda up to which no weight changes sign."""
        return kernel(*self.network.sign_bound)

    @cached_property
    def step_bound(self) -> Compiled:
        """(beta, sup |g|) -> the step size of heavy ball up to which no weight changes sign."""
        return kernel(*STEP_BOUND)

    @cached_property
    def sign_threshold(self) -> Compiled:
        """(alpha) -> where signs begin to change, in units of 1/(4 |X^T y|_inf/n), alpha small."""
        return kernel(*SIGN_THRESHOLD)

    @cached_property
    def growth_rate(self) -> Compiled:
        """(lam, -s g) -> the rate of ln w_s while the gradient is constant."""
        return kernel(*GROWTH_RATE)

    @cached_property
    def first_shift(self) -> Compiled:
        """(lam, integral of g^3 dt) -> asinh(2 theta~_0/Delta_inf) to second order in lambda."""
        return kernel(*FIRST_SHIFT)

    @cached_property
    def kernel_rate(self) -> Compiled:
        """(h, teacher, least norm) -> parts of d/dlambda |theta_inf - teacher|^2/2, start large."""
        return kernel(*KERNEL_RATE)

    @cached_property
    def ratio_bound(self) -> Compiled:
        """(lam, sup |g|) -> the C of `int (w'/w)^2 dt <= C int g^2 dt`."""
        return kernel(*RATIO_BOUND)

    @cached_property
    def imbalance_decay(self) -> Compiled:
        """(noise variance, column mean square) -> rate at which weight noise decays u^2 - v^2."""
        return kernel(*self.network.imbalance_decay)


@cache
def network_formulas() -> NetworkFormulas:
    """Return the formulas of the diagonal network, each compiled when it is first used."""
    return NetworkFormulas(DiagonalNetwork())
