"""The perturbed initialisation: from where the potential measures, and what that changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from momentumflow.base.citations import PPF
from momentumflow.base.figures import SERIES, panels, slope_guide
from momentumflow.numeric import sparse_regression
from momentumflow.verify.claim import Claim, Mutation, said_by
from momentumflow.verify.evidence import Evidence
from momentumflow.verify.limit_evidence import LIMIT_TOLERANCE, relative_distance, share_reached
from momentumflow.verify.measure import at_least, at_most, order
from momentumflow.verify.oracles import gradient_flow
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THEME = "Sparsity"

ALPHAS = (1e-1, 1e-3)
LAMBDAS = (0.02, 0.01, 0.005)


def _check(subject: Subject, settings: Settings) -> Evidence:
    rng = settings.rng("perturbed-start")
    lams = np.array(LAMBDAS)
    sizes, effects, exact, formula, late = [], [], [], [], []
    count = min(settings.seeds, 3)
    for _ in range(count):
        # As many non-zeros as rows, so that runs from small scales converge.
        problem = sparse_regression(4, 10, 4, seed=rng)
        found = []
        for alpha in ALPHAS:
            run = subject.flow(problem, lams, alpha, tol=1e-11, t_max=1e5)
            if not np.all(run.converged):
                late.append(f"alpha = {alpha:g}: {run.message}")
                break
            shift, log_delta = subject.shift(run), subject.log_balancedness(run)
            point = np.abs(np.exp(log_delta) / 2 * np.sinh(shift)).max()
            with_it, without = (
                subject.solve(problem, log_balancedness=log_delta, shift=s).theta
                for s in (shift, np.zeros_like(shift))
            )
            own = np.hypot(run.theta, np.exp(log_delta) / 2)
            found.append((np.abs(without - with_it) / own).max(axis=-1))
            exact.append(relative_distance(with_it, run.theta))
            sizes.append(point / (alpha**2 / 2))
            if alpha == ALPHAS[0]:
                cubes = gradient_flow(problem.X, problem.y, alpha).cubed_gradient
                first = subject.first_shift(lams[:, None], cubes)
                rest = np.abs(shift - first).max(axis=-1)
        else:
            formula.append(rest)
            effects.append(found)
    missing = tuple(late)
    share = share_reached("share of problems on which all runs converged", count - len(late),
                          missing, 0.6)  # fmt: skip
    table = np.array(effects).reshape(-1, len(ALPHAS), lams.size)
    lasting = table[:, -1, 0] / table[:, 0, 0]
    return Evidence(
        (
            at_most("|theta_tilde_0| over alpha^2/2", sizes, 1.0, settings, scaled=False),
            at_most(
                "relative distance of the limit with the perturbed start", exact,
                LIMIT_TOLERANCE, settings,
            ),
            order(
                "order in lambda of the rest of its formula", lams, formula, 3, settings,
                tolerance=0.25,
            ),
            order(
                "order in lambda of the largest change of a coordinate without it", lams, table, 2,
                settings,
            ),
            at_least(
                f"median of that change at alpha = {ALPHAS[-1]:g} over that at {ALPHAS[0]:g}",
                np.median(lasting) if lasting.size else [], 0.5,
            ),
            share,
        ),
        {"lambda": lams, "alpha": np.array(ALPHAS), "effect": table},
    )  # fmt: skip


def _draw(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, (axes,) = panels(width=5.2, height=3.5)
    for which, alpha in enumerate(s["alpha"]):
        look = SERIES[which]
        median = np.median(s["effect"][:, which], axis=0)
        axes.plot(
            s["lambda"], median, color=look.color, marker=look.marker, linestyle=look.linestyle,
            label=rf"$\alpha$ = {alpha:g}",
        )  # fmt: skip
    slope_guide(axes, s["lambda"], 1.8 * float(np.median(s["effect"][..., 0])), 2)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(r"$\lambda$")
    axes.set_ylabel("largest relative change of a coordinate\nwithout the perturbed start")
    axes.legend(loc="lower right")
    return figure


LINEAR_START = Mutation(
    "start-of-order-alpha",
    "a perturbed initialisation of the order of alpha, not alpha^2",
    lambda subject: replace(
        subject,
        shift=lambda run: np.arcsinh(
            2 * np.sqrt(run.initial_balancedness) / np.exp(run.log_balancedness)
        ),
    ),
)


def _shift_times(factor: float) -> Any:
    return lambda subject: replace(subject, shift=lambda run: factor * subject.shift(run))


FOUR_TIMES = Mutation(
    "shift-four-times-too-large", "a shift four times too large", _shift_times(4.0)
)
OPPOSITE_SHIFT = Mutation(
    "shift-of-opposite-sign", "the shift with the wrong sign", _shift_times(-1.0)
)
VANISHING = Mutation(
    "shift-that-vanishes-with-alpha",
    "a shift proportional to alpha",
    lambda subject: replace(
        subject, shift=lambda run: np.sqrt(run.initial_balancedness) * subject.shift(run)
    ),
)
FIRST_ORDER_SHIFT = Mutation(
    "shift-of-first-order",
    "a shift of first order in lambda: the remainder of w_+ alone",
    lambda subject: replace(subject, shift=lambda run: -run.S_plus),
)
NO_SHIFT = Mutation("no-shift", "no perturbed initialisation at all", _shift_times(0.0))
CUBES_HALVED = Mutation(
    "half-the-cubes",
    "the second-order formula of the shift with 2 in place of 4",
    lambda subject: replace(subject, first_shift=lambda lam, c: subject.first_shift(lam, c) / 2),
)

CLAIMS = (
    Claim(
        name="perturbed-start",
        theme=THEME,
        title="The perturbed initialisation is of second order in lambda, at every alpha",
        statement=(
            "Without sign changes the perturbed initialisation is at most alpha^2/2, but what it "
            "does to the limit does not vanish with alpha: the shift of the potential is "
            "-4 lambda^2 times the integral of g^3 along gradient flow, up to third order; with it "
            "the limit is predicted exactly, and leaving it out changes coordinates of the limit, "
            "each relative to its own size (theta^2 + Delta_inf^2/4)^(1/2), by the order of "
            f"lambda^2, at alpha = {ALPHAS[-1]:g} no less than at {ALPHAS[0]:g}. n = 4, d = 10, "
            f"lambda from {LAMBDAS[-1]:g} to {LAMBDAS[0]:g}."
        ),
        formulas=lambda: (
            r"\tilde\theta_0 = \frac{1}{4}(w_{+,0}^2 e^{-2 I_+} - w_{-,0}^2 e^{-2 I_-}), \quad "
            r"\| \tilde\theta_0 \|_\infty \leq \alpha^2/2",
            *said_by("perturbed-start")(),
        ),
        source=f"after {PPF}; order and formula derived here",
        check=_check,
        controls=(
            LINEAR_START,
            FOUR_TIMES,
            OPPOSITE_SHIFT,
            NO_SHIFT,
            VANISHING,
            FIRST_ORDER_SHIFT,
            CUBES_HALVED,
        ),
        theorems=("perturbed-start",),
        draw=_draw,
        caption="Median over the problems.",
    ),
)
