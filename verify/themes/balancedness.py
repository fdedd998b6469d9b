"""How momentum changes the balancedness of the layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from momentumflow.base.citations import PPF
from momentumflow.numeric import sparse_regression
from momentumflow.symbolic import DiagonalNetwork, Identity
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence, undecided
from momentumflow.verify.figure_style import convergence, panels, slope_guide
from momentumflow.verify.measure import at_most, order
from momentumflow.verify.oracles import gradient_flow
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject
from momentumflow.verify.themes.inertia import OUTWARD_PUSH

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
)
