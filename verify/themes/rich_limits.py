"""Where the limit goes as the initialisation scale tends to zero at fixed lambda."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from momentumflow.base.arrays import FloatArray
from momentumflow.numeric import Regression
from momentumflow.numeric.runs.trajectory import Trajectory
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence
from momentumflow.verify.figure_style import SERIES, panels
from momentumflow.verify.measure import at_least, at_most
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject
from momentumflow.verify.themes.sparsity import basis_pursuit
from momentumflow.verify.themes.thresholds import HERE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THEME = "Sparsity"

EXAMPLE_X = np.array([[0.546124, -1.329904, -0.503165], [0.380812, -0.403209, 0.386567]])
EXAMPLE_Y = np.array([-0.825094, -0.511488])
# just within the a priori bound of this problem, .37063: no weight changes sign
EXAMPLE_LAMBDA = 0.3706
EXAMPLE_ALPHAS = (1e-2, 1e-8, 1e-30, 1e-60)


def _excesses(subject: Subject, lam: float) -> tuple[FloatArray, FloatArray]:
    """Return the relative excess of the l1 norm and the residual at each scale."""
    problem = Regression(EXAMPLE_X, EXAMPLE_Y)
    least = np.abs(basis_pursuit(problem.X, problem.y)).sum()
    runs = [subject.flow(problem, lam, alpha, tol=1e-8, t_max=1e6) for alpha in EXAMPLE_ALPHAS]
    excess = np.array([np.abs(run.theta).sum() / least - 1 for run in runs])
    return excess, np.array([float(run.residual) for run in runs])


def _check_example(subject: Subject, settings: Settings) -> Evidence:
    plain, plain_residual = _excesses(subject, 0.0)
    excess, residual = _excesses(subject, EXAMPLE_LAMBDA)
    return Evidence(
        (
            at_most("excess l1 norm of gradient flow, alpha = 1e-60", plain[-1], 1e-5, settings),
            at_least("excess l1 norm with momentum, alpha = 1e-60", excess[-1], 0.03),
            at_least("its growth from each alpha to the next smaller", np.diff(excess), 0.0),
            at_most(
                "relative residuals", np.concatenate([plain_residual, residual]), 1e-7, settings
            ),
        ),
        {"alpha": np.array(EXAMPLE_ALPHAS), "without": plain, "with": excess},
    )


def _draw_example(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, (axes,) = panels(width=5.2, height=3.3)
    labels = {"without": r"$\lambda = 0$", "with": rf"$\lambda = {EXAMPLE_LAMBDA:g}$"}
    for which, (name, label) in enumerate(labels.items()):
        look = SERIES[which]
        axes.plot(
            s["alpha"], 100 * s[name], color=look.color, marker=look.marker,
            linestyle=look.linestyle, label=label,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel(r"initialisation scale $\alpha$")
    axes.set_ylabel(r"$\ell_1$ norm over the least, excess in %")
    axes.legend()
    return figure


def _exchanged(subject: Subject) -> Subject:
    def flow(problem: Regression, lam: float, *rest: Any, **options: Any) -> Trajectory:
        return subject.flow(problem, EXAMPLE_LAMBDA - lam, *rest, **options)

    return replace(subject, flow=flow)


def _early(subject: Subject) -> Subject:
    def flow(problem: Regression, *rest: Any, **options: Any) -> Trajectory:
        return subject.flow(problem, *rest, **{**options, "tol": 1e-2})

    return replace(subject, flow=flow)


EXCHANGED_FLOWS = Mutation(
    "flows-exchanged", "gradient flow and the flow with momentum exchanged", _exchanged, "code"
)
STOPPED_EARLY = Mutation(
    "stopped-early", "flows that stop at a relative residual of a hundredth", _early, "code"
)

CLAIMS = (
    Claim(
        name="not-basis-pursuit",
        theme=THEME,
        title="At fixed lambda the limit of small alpha is not basis pursuit",
        statement=(
            "As alpha tends to 0, gradient flow ends at the least l1 norm. With momentum it need "
            "not, even where no weight changes sign: on a problem of two rows and three features, "
            f"at lambda = {EXAMPLE_LAMBDA:g}, the excess grows as alpha falls from 1e-2 to 1e-60, "
            "to more than 3 %."
        ),
        formulas=(
            r"\lim_{\alpha \to 0} \| \theta_\infty^{(\lambda, \alpha)} \|_1 > "
            r"\min \{ \| \theta \|_1 : X\theta = y \}",
        ),
        source=f"{HERE}: one example",
        check=_check_example,
        controls=(EXCHANGED_FLOWS, STOPPED_EARLY),
        draw=_draw_example,
        caption="Excess of the l1 norm over the least, by SciPy's HiGHS, on that problem.",
        random=False,
    ),
)
