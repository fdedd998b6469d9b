r"""What gradient noise does to the limit of a diagonal network, at leading order in the step.

A two-point rule with one gradient a step (`markov_generators.py`) moves a weight of the
two-layer network, relative to itself, by

    u~ = b q + gamma d f~ (1 + a q),   rho = 1 + u~ + gamma c f~ (1 + a q),   q <- u~/rho,

`f~ = -s g`, s = +-1 for w_+ and w_-, rho = w_{k+1}/w_k. What is odd in s cancels in
`ln(w_+ w_-)`; what is left is of second order in the gradient, a quadratic form whose mean
over independent noise is what each gradient leaves behind.
"""

from __future__ import annotations

import sympy as sp

from momentumflow.symbolic.equations.gradient_structure import modified_loss
from momentumflow.symbolic.equations.intrinsic_parameters import refined_parameter, time_step
from momentumflow.symbolic.equations.markov_generators import noisy_step
from momentumflow.symbolic.identities import Identity
from momentumflow.symbolic.methods.momentum_methods import (
    HeavyBall,
    MomentumMethod,
    Nesterov,
    QuasiHyperbolic,
)
from momentumflow.symbolic.symbols import eps, g, gamma
from momentumflow.symbolic.theorems.sign_theorems import HERE
from momentumflow.symbolic.theorems.statements import Sentence
from momentumflow.symbolic.theorems.theorem import Theorem

# The rule: what is kept of a push, what a gradient adds to it and moves at once, the look ahead.
b, d, c, a = sp.symbols("b d c a", real=True)
refined = sp.Symbol("lambda_hat", positive=True)
Q, e, V = sp.symbols("Q e V", real=True)
_small = sp.Symbol("tau", positive=True)

_TIME = gamma * (d / (1 - b) + c)
_REFINED = _TIME / 2 + gamma * d * (b / (1 - b) ** 2 - a / (1 - b))

# Of lambda_hat, eps, and the sums over the steps of g_j^2 and of Var_k(g_j).
_squares, _variances = sp.symbols("g2 V", nonnegative=True)
NOISY_SHRINKAGE = (
    2 * refined * eps * _squares + eps**2 * _variances,
    (refined, eps, _squares, _variances),
)


def _relative_moves() -> tuple[list[sp.Expr], list[sp.Expr]]:
    """Return ln rho and the next q of w_+ and of w_-; gradient and push of the order of tau."""
    logs, pushes = [], []
    for s in (1, -1):
        q = -s * _small * Q + _small**2 * e / 2
        force = -s * _small * g * (1 + a * q)
        push = b * q + gamma * d * force
        ratio = 1 + push + gamma * c * force
        logs.append(sp.log(ratio))
        pushes.append(push / ratio)
    return logs, pushes


def _second(expr: sp.Expr) -> sp.Expr:
    """Return the term of second order in tau."""
    return sp.diff(expr, _small, 2).subs(_small, 0) / 2


def noise_shrinks() -> Theorem:
    """Item: each gradient shrinks the balancedness, by its mean and by its variance."""
    logs, pushes = _relative_moves()
    after = b * Q + gamma * d * g  # the push after the step, first order
    moved = after + gamma * c * g
    lost = moved**2 - 2 * gamma * (c + d) * a * g * Q - b * e
    grown = 2 * gamma * d * a * g * Q - 2 * after * moved
    left = moved**2 - 2 * gamma * (c + d) * a * g * Q - b / (1 - b) * grown
    # of noise alone: N^2, its product with the last draw, and the square of that, per unit of V
    kept, last = gamma**2 * d**2 / (1 - b**2), gamma**2 * d * c
    noise = kept + 2 * last + gamma**2 * c**2 + 2 * b / (1 - b) * (kept + last)
    settled = {Q: gamma * d * g / (1 - b)}
    return Theorem(
        "noise-shrinks-balancedness",
        "What a gradient leaves of the balancedness, by its mean and by its variance",
        (
            "a two-point rule with one gradient a step on the two-layer diagonal network; the "
            "gradients have independent noise and lie in the range of X^T; the run ends at rest",
            "leading order in the step: the relative move of a weight in one step is small, and "
            "the mean gradient changes little while the rule remembers",
        ),
        (
            Identity(
                "first order of the push",
                sp.diff(pushes[1] - pushes[0], _small).subs(_small, 0) / 2,
                after,
                assumptions="q_pm = -+ Q + e/2: Q of first order, e = q_+ + q_- of second",
                source=HERE,
            ),
            Identity(
                "second order of the push",
                _second(pushes[0] + pushes[1]),
                b * e + grown,
                source=HERE,
            ),
            Identity(
                "second order of ln(w_+ w_-)",
                _second(logs[0] + logs[1]),
                -lost,
                source=HERE,
            ),
            Sentence(
                "Summed over the steps, Q and e zero at both ends: (1 - b) sum e is the sum of the "
                "rest of the second line, and -ln(Delta_inf/Delta_0) is the sum of a quadratic "
                "form in g and Q."
            ),
            Identity(
                "what a steady gradient leaves behind",
                left.subs(settled),
                2 * refined * eps * g**2,
                assumptions="Q = gamma d g/(1 - b)",
                relations=(
                    ("lambda_hat, below", refined, _REFINED),
                    ("eps, below", eps, _TIME),
                ),
                source=HERE,
            ),
            Sentence(
                "With g = mean + n, E n = 0 given the past and E n^2 = V: the mean of Q^2 gains "
                "gamma^2 d^2 V/(1 - b^2) summed over the steps after the draw, that of g Q none, "
                "since Q is older than n."
            ),
            Identity(
                "what the variance of a gradient leaves behind",
                noise * V,
                eps**2 * V,
                relations=(("eps, below", eps, _TIME),),
                source=HERE,
            ),
            _time(HeavyBall(), "eps of heavy ball"),
            _loss(HeavyBall(), "the modified loss of heavy ball holds its lambda_hat"),
            _time(Nesterov(), "eps of Nesterov's method"),
            _loss(Nesterov(), "the modified loss of Nesterov's method holds its lambda_hat"),
            _time(QuasiHyperbolic(), "eps of quasi-hyperbolic momentum"),
            _loss(
                QuasiHyperbolic(),
                "the modified loss of quasi-hyperbolic momentum holds its lambda_hat",
            ),
            Identity(
                "lambda_hat of heavy ball is its refined parameter",
                2 * modified_loss(HeavyBall(), 2).coefficient("[[]]") / time_step(HeavyBall()),
                refined_parameter(HeavyBall()),
                source=HERE,
            ),
        ),
        "E ln(Delta_0/Delta_inf,j) = sum_k [2 lambda_hat eps g_j^2 + eps^2 Var_k(g_j)] up to a "
        "relative error of the order of the step; the noise term knows of the rule eps alone",
        r"\mathbb E \ln\frac{\Delta_0}{\Delta_{\infty,j}} = \sum_k \big[ 2 \hat\lambda \epsilon\, "
        r"g_j^2 + \epsilon^2\, \mathrm{Var}_k(g_j) \big]",
        HERE,
    )


def _of(expr: sp.Expr, method: MomentumMethod) -> sp.Expr:
    """Return an expression of the rule with a method's coefficients in place."""
    chain = noisy_step(method)
    put = {b: chain.keep, d: chain.push, c: chain.direct, a: chain.ahead}
    return expr.subs(put, simultaneous=True)


def _time(method: MomentumMethod, name: str) -> Identity:
    return Identity(name, _of(_TIME, method), time_step(method), source=HERE)


def _loss(method: MomentumMethod, name: str) -> Identity:
    """State that lambda_hat eps is twice the factor of |grad F|^2 in the modified loss."""
    factor = modified_loss(method, 2).coefficient("[[]]")
    return Identity(name, _of(_REFINED * _TIME, method), 2 * factor, source=HERE)
