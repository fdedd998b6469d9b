"""How momentum changes the balancedness of the layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from momentumflow.base.arrays import FloatArray
from momentumflow.base.citations import PPF
from momentumflow.base.figures import convergence, panels, slope_guide
from momentumflow.numeric import Regression, sparse_regression
from momentumflow.numeric.runs.trajectory import Trajectory
from momentumflow.symbolic import DiagonalNetwork, Identity
from momentumflow.verify.claim import Claim, Mutation, said_by
from momentumflow.verify.evidence import Evidence, undecided
from momentumflow.verify.limit_evidence import share_reached
from momentumflow.verify.measure import at_least, at_most, order
from momentumflow.verify.oracles import gradient_flow
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject
from momentumflow.verify.themes.inertia import OUTWARD_PUSH
from momentumflow.verify.themes.limit import SWAPPED_SIGN

if TYPE_CHECKING:
    from matplotlib.figure import Figure


THEME = "Balancedness"

ALPHA = 0.5
LAMBDAS = (0.02, 0.01, 0.005, 0.0025)


def _check_shrinkage(subject: Subject, settings: Settings) -> Evidence:
    rng = settings.rng("shrinking-balancedness")
    errors, shrinkage = [], []
    for _ in range(settings.seeds):
        problem = sparse_regression(5, 10, 2, seed=rng)
        integral = gradient_flow(problem.X, problem.y, ALPHA).squared_gradient
        run = subject.flow(problem, np.array(LAMBDAS), ALPHA, tol=1e-12)
        if not np.all(run.converged):
            return Evidence((undecided("limits of the flow", run.message),))
        exact = np.log(run.balancedness / run.initial_balancedness)
        first_order = subject.log_shrinkage(np.array(LAMBDAS)[:, None], integral)
        errors.append(np.abs(exact - first_order).max(axis=-1))
        shrinkage.append(exact.max(axis=-1))
    table = np.array(errors)
    return Evidence(
        (
            order(
                "order in lambda of the first-order formula's error", LAMBDAS, table, 2, settings
            ),
            at_most(
                "largest ln(Delta_inf/Delta_0) of any coordinate",
                np.array(shrinkage),
                0.0,
                settings,
            ),
        ),
        {"lambda": np.array(LAMBDAS), "error": table, "shrinkage": -np.array(shrinkage)},
    )


def _draw_shrinkage(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, (axes,) = panels(width=5.2, height=3.5)
    label = "error of the first-order formula"
    convergence(axes, s["lambda"], s["error"], label=label, which=0)
    slope_guide(axes, s["lambda"], 1.8 * float(np.median(s["error"][:, 0])), 2)
    axes.set_xlabel(r"$\lambda$")
    axes.set_ylabel(r"error of $\ln(\Delta_\infty/\Delta_0)$")
    axes.legend(loc="lower right")
    return figure


HALF = Mutation(
    "half-the-shrinkage",
    "lambda in place of 2 lambda in the exponent",
    lambda subject: replace(
        subject, log_shrinkage=lambda lam, i: subject.log_shrinkage(lam, i) / 2
    ),
)
GROWTH = Mutation(
    "growing-balancedness",
    "the exponent with the wrong sign",
    lambda subject: replace(subject, log_shrinkage=lambda lam, i: -subject.log_shrinkage(lam, i)),
)


# Strictly ------------------------------------------------------------------------------

STRICT_ALPHAS = (0.5, 0.01)
STRICT_SHARES = (0.3, 1.0)  # of the bound up to which no weight changes sign
STRICT_BETA = 0.9


def _log_ratio(subject: Subject, run: Trajectory) -> FloatArray:
    """ln(Delta_inf/Delta_0), shape (..., d)."""
    ratio: FloatArray = subject.log_balancedness(run) - np.log(run.initial_balancedness)
    return ratio


def _check_strict(subject: Subject, settings: Settings) -> Evidence:
    rng = settings.rng("strict-shrinkage")
    flows: list[float] = []
    steps: list[float] = []
    still, late = [], []
    count = min(settings.seeds, 8)
    for _ in range(count):
        # as many non-zeros as rows, so that runs from small scales converge; and a feature that
        # is zero for every row, whose gradient is zero at all times
        drawn = sparse_regression(4, 8, 4, seed=rng)
        problem = Regression(np.hstack([drawn.X, np.zeros((4, 1))]), drawn.y)
        bound = subject.sign_change_bound(problem)
        for alpha in STRICT_ALPHAS:
            lams = np.array(STRICT_SHARES) * float(bound.lam)
            gamma = np.array(STRICT_SHARES) * float(bound.largest_step(STRICT_BETA))
            flow = subject.flow(problem, lams, alpha, tol=1e-9, t_max=1e5)
            descent = subject.descent(
                problem, gamma, STRICT_BETA, alpha, tol=1e-9, max_steps=2_000_000
            )
            for run, found in ((flow, flows), (descent, steps)):
                if not np.all(run.converged):
                    late.append(f"alpha = {alpha:g}: {run.message}")
                    continue
                ratio = _log_ratio(subject, run)
                found.append(ratio[..., :-1].max())
                still.append(np.abs(ratio[..., -1]).max())
    # one row, beyond the bound 1/4: there signs change
    beyond = subject.flow(Regression([[1.0, 0.5]], [1.0]), 5.0, 0.1)
    runs = 2 * len(STRICT_ALPHAS) * count
    return Evidence(
        (
            at_most("largest ln(Delta_inf/Delta_0), flow", flows, -1e-6, settings, scaled=False),
            at_most(
                "largest ln(Delta_inf/Delta_0), heavy ball", steps, -1e-6, settings, scaled=False
            ),
            at_most(
                "|ln(Delta_inf/Delta_0)| of a feature without gradient", still, 1e-9, settings
            ),
            at_least(
                "ln(Delta_inf/Delta_0), one row beyond the bound", _log_ratio(subject, beyond), 1.0
            ),
            share_reached(
                "share of runs that converged", runs - len(late), tuple(late), 0.8
            ),
        ),
    )  # fmt: skip


SHRUNK_EVERYWHERE = Mutation(
    "shrinkage-without-gradient",
    "a balancedness that shrinks by a thousandth in every coordinate, beside what it does",
    lambda subject: replace(
        subject, log_balancedness=lambda run: subject.log_balancedness(run) - 1e-3
    ),
)


def _proofs() -> tuple[Identity, ...]:

    network = DiagonalNetwork()
    return tuple(
        network.identity(name)
        for name in (
            "balancedness in w_pm",
            "balancedness law",
            "logarithm of a weight",
            "slope of the remainder summand",
        )
    )


CLAIMS = (
    Claim(
        name="shrinking-balancedness",
        theme=THEME,
        title="Small lambda shrinks the balancedness, by a known amount",
        statement=(
            "The asymptotic balancedness of momentum gradient flow is the initial one times an "
            "exponential of the squared gradient integrated along gradient flow, up to second "
            "order in lambda; it is smaller in every coordinate. Random problems, n = 5, d = 10, "
            f"lambda from {LAMBDAS[-1]:g} to {LAMBDAS[0]:g}."
        ),
        formulas=(
            r"\Delta_\infty = \Delta_0 \, \exp( -2\lambda \int_0^\infty g_s^2 \, ds"
            r" + O(\lambda^2) ), \quad g = \frac{1}{n} X^\top (X\theta - y)",
        ),
        source=f"after {PPF}; the first-order formula is derived here",
        check=_check_shrinkage,
        controls=(HALF, GROWTH, OUTWARD_PUSH),
        proofs=_proofs,
        draw=_draw_shrinkage,
        caption="Largest error over the coordinates: median over the seeds, range shaded.",
    ),
    Claim(
        name="strict-shrinkage",
        theme=THEME,
        title="Balancedness shrinks strictly wherever the gradient is not zero at the start",
        statement=(
            "Where no weight changes sign, the balancedness of every coordinate whose gradient is "
            "not zero at the start ends smaller than it began; that of a feature that is zero "
            "throughout stays. n = 4, d = 8 and one such feature, flow and heavy ball up to the a "
            "priori bounds, alpha = 0.5 and 0.01. Beyond the bound it may grow: one row, "
            "lambda = 5."
        ),
        formulas=said_by("strict-shrinkage"),
        source=f"after {PPF}; in this form derived here",
        check=_check_strict,
        controls=(OUTWARD_PUSH, SWAPPED_SIGN, SHRUNK_EVERYWHERE),
        theorems=(
            "strict-shrinkage",
            "remainder-not-negative",
        ),
    ),
)
