"""Beyond heavy ball on u*v: Nesterov, other parametrisations, noise on the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from momentumflow.base.arrays import FloatArray
from momentumflow.base.figures import SERIES, panels
from momentumflow.numeric import sparse_regression
from momentumflow.numeric.runs.kernel_modules import MethodLike
from momentumflow.symbolic import DiagonalNetwork, Identity, MomentumMethod, QuasiHyperbolic
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence
from momentumflow.verify.limit_evidence import Comparison, compare
from momentumflow.verify.measure import at_most
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject
from momentumflow.verify.themes.limit import (
    CONVERGED_SHARE,
    INITIAL_BALANCEDNESS,
    LIMITS_CAPTION,
    MAX_STEPS,
    RESIDUAL,
    SWAPPED_SIGN,
    draw_limits,
    step_and_momentum,
    telescoping,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


THEME = "Relatives"

# Other update rules ---------------------------------------------------------------------


RULE_ALPHAS = (1.0, 0.1)
RULE_LAMBDAS = (0.1, 1.0, 10.0)
NU = "7/10"

# lambda -> (gamma, beta) of a rule
Parameters = Callable[[float], tuple[float, float]]


def _quasi_hyperbolic() -> MomentumMethod:

    return QuasiHyperbolic(nu=NU)


def _quasi_hyperbolic_parameters(lam: float) -> tuple[float, float]:
    """Return (gamma, beta): lambda = gamma/(1 - beta) and the time step is gamma there."""
    gamma, beta = step_and_momentum(lam)
    return gamma / (1 - beta), beta


def _check_rule(
    label: str, rule: Callable[[], MethodLike], parameters: Parameters
) -> Callable[[Subject, Settings], Evidence]:
    def check(subject: Subject, settings: Settings) -> Evidence:
        parts = []
        median = np.full((len(RULE_ALPHAS), len(RULE_LAMBDAS)), np.nan)
        naive = np.full_like(median, np.nan)
        for i, alpha in enumerate(RULE_ALPHAS):
            problem = sparse_regression(
                10, 30, 5, seed=settings.rng(label, str(alpha)), batch=(settings.seeds,)
            )
            for j, lam in enumerate(RULE_LAMBDAS):
                run = subject.descent(
                    problem,
                    *parameters(lam),
                    alpha,
                    method=rule(),
                    max_steps=MAX_STEPS,
                    tol=RESIDUAL,
                )
                parts.append(compare(subject, problem, run, label=f"lambda = {lam:g}"))
                if parts[-1].distance.size and not settings.control:  # for the figure alone
                    initial = compare(INITIAL_BALANCEDNESS.plant(subject), problem, run)
                    median[i, j] = np.median(parts[-1].distance)
                    naive[i, j] = np.median(initial.distance)
        return Evidence(
            Comparison.join(parts).measurements(settings, share=CONVERGED_SHARE),
            {
                "lambda": np.array(RULE_LAMBDAS),
                "alpha": np.array(RULE_ALPHAS),
                "asymptotic": median,
                "initial": naive,
            },
        )

    return check


# Noise on the weights -----------------------------------------------------------------------

VARIANCE = 0.05
NOISE_STEP = 2e-3
NOISE_STEPS = 400


def _noisy_imbalance(problem_seed: np.random.Generator, runs: int) -> tuple[FloatArray, ...]:
    """Train u, v with Gaussian noise on the weights at which the gradient is taken.

    Returns the ratio of ln|(u^2 - v^2)_end / start| (runs, d), the column mean
    squares (d,) and the time.
    """
    rng = problem_seed
    problem = sparse_regression(10, 15, 3, seed=rng)
    X, y, n, d = problem.X, problem.y, problem.n, problem.d
    u, v = np.full((runs, d), 1.2), np.full((runs, d), 0.4)
    start = u**2 - v**2
    deviation = np.sqrt(VARIANCE)
    for _ in range(NOISE_STEPS):
        a = u + deviation * rng.standard_normal((runs, d))
        b = v + deviation * rng.standard_normal((runs, d))
        g = ((a * b) @ X.T - y) @ X / n
        u, v = u - NOISE_STEP * b * g, v - NOISE_STEP * a * g
    square = np.mean(X**2, axis=0)
    return (u**2 - v**2) / start, square, np.array(NOISE_STEP * NOISE_STEPS)


def _check_noise(subject: Subject, settings: Settings) -> Evidence:
    # A control is off by a multiple of the tolerance, which few runs show.
    runs = 500 if settings.control else 2000 if settings.quick else 8000
    rng = settings.rng("noise-balances")
    errors, expected, measured = [], [], []
    for _ in range(2 if settings.quick else 4):
        ratio, square, time = _noisy_imbalance(rng, runs)
        rate = subject.sam_rate(VARIANCE, square)
        mean = ratio.mean(axis=0)
        errors.append(-np.log(mean) / time / rate - 1)
        expected.append(np.exp(-rate * time))
        measured.append(mean)
    return Evidence(
        (
            # The step adds a bias of order gamma, the mean over the runs a noise of 0.2 %.
            at_most("relative error of the decay rate", np.abs(np.array(errors)), 0.1, settings),
        ),
        {"expected": np.concatenate(expected), "measured": np.concatenate(measured)},
    )


def _draw_noise(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, (axes,) = panels(width=4.2, height=3.6)
    ends = np.array([min(s["expected"].min(), s["measured"].min()), 1.0])
    axes.plot(ends, ends, color="0.5", linewidth=0.8)
    look = SERIES[0]
    axes.plot(s["expected"], s["measured"], look.marker, color=look.color)
    axes.set_xlabel("predicted share of the imbalance left")
    axes.set_ylabel("measured, mean over the runs")
    return figure


def _noise_proof() -> tuple[Identity, ...]:
    return (DiagonalNetwork().identity("noise balances the weights"),)


HALF_RATE = Mutation(
    "half-the-rate",
    "half the rate at which the imbalance decays",
    lambda subject: replace(subject, sam_rate=lambda var, sq: subject.sam_rate(var, sq) / 2),
)

CLAIMS = (
    Claim(
        name="limit-nesterov",
        theme=THEME,
        title="Nesterov's method ends at the solution of a convex problem as well",
        statement=(
            "The same exact argument holds for Nesterov's method, with its own remainders: random "
            "problems with n = 10, d = 30, alpha = 1 and 0.1, lambda = 0.1, 1 and 10."
        ),
        formulas=(
            r"w_{k+1} = w_k + \beta (w_k - w_{k-1})"
            r" - \gamma \nabla F(w_k + \beta (w_k - w_{k-1}))",
        ),
        source="derived here: the discrete form of the limit theorem carried over",
        check=_check_rule("limit-nesterov", lambda: "nesterov", step_and_momentum),
        controls=(INITIAL_BALANCEDNESS, SWAPPED_SIGN),
        proofs=telescoping("Nesterov"),
        draw=draw_limits,
        caption=LIMITS_CAPTION,
    ),
    Claim(
        name="limit-quasi-hyperbolic",
        theme=THEME,
        title="Quasi-hyperbolic momentum ends at the solution of a convex problem as well",
        statement=(
            "And for quasi-hyperbolic momentum, whose gradients enter now and a step late: "
            f"nu = {NU}, random problems with n = 10, d = 30, alpha = 1 and 0.1, "
            "lambda = gamma/(1-beta) = 0.1, 1 and 10."
        ),
        formulas=(
            r"w_{k+1} = w_k - \gamma [(1 - \nu) \nabla F(w_k) + \nu b_{k+1}], \quad"
            r" b_{k+1} = \beta b_k + (1 - \beta) \nabla F(w_k)",
        ),
        source=(
            "discrete form of theorem 1 of arXiv 2403.05293, carried over to the method of "
            "Ma and Yarats, arXiv 1810.06801"
        ),
        check=_check_rule(
            "limit-quasi-hyperbolic", _quasi_hyperbolic, _quasi_hyperbolic_parameters
        ),
        controls=(INITIAL_BALANCEDNESS, SWAPPED_SIGN),
        proofs=telescoping("QuasiHyperbolic"),
        draw=draw_limits,
        caption=LIMITS_CAPTION,
    ),
    Claim(
        name="noise-balances",
        theme=THEME,
        title="Noise on the weights, as in sharpness-aware training, balances the layers",
        statement=(
            "With Gaussian noise on the weights at which the gradient is taken, the imbalance "
            "u^2 - v^2 of each coordinate decays in the mean at the rate 2 sigma^2 times the "
            "column's mean square, at any fit of the data."
        ),
        formulas=(
            r"\frac{d}{dt} E[u_j^2 - v_j^2] = -2 \sigma^2 \, \frac{1}{n} \sum_i X_{ij}^2 \;"
            r" E[u_j^2 - v_j^2] + O(\gamma)",
        ),
        source=(
            "Clara, Langer, Schmidt-Hieber, arXiv 2503.11891 (abstract: noise forces the "
            "weights to balance); the rate in this form is derived here"
        ),
        check=_check_noise,
        controls=(HALF_RATE,),
        proofs=_noise_proof,
        draw=_draw_noise,
        caption="Share of the imbalance left after the run, one point a coordinate.",
    ),
)  # fmt: skip
