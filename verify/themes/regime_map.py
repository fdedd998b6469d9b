"""When momentum helps to recover a sparse teacher: designs on which it does, and does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from momentumflow.base.arrays import FloatArray
from momentumflow.base.choices import Design
from momentumflow.base.citations import PPF
from momentumflow.base.figures import SERIES, panels
from momentumflow.numeric import Regression, sparse_regression
from momentumflow.numeric.data.designs import redesigned
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence
from momentumflow.verify.measure import mean_below, mean_interval
from momentumflow.verify.mutants import with_flow
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THEME = "Sparsity"

LAMBDA = 0.1
# (design, alpha, whether momentum helps)
CELLS: tuple[tuple[Design, float, bool], ...] = (
    ("centred", 1.0, False),
    ("centred", 0.1, False),
    ("mean-one", 1.0, False),
    ("mean-one", 0.1, True),
)
SIZE = (40, 100)
# The flow stops there and the convex problem is solved: what is missing is of second order.
RESIDUAL = 1e-3


def _log_error(subject: Subject, problem: Regression, lam: float, alpha: float) -> float:
    """Return ln of the recovery error at the limit; NaN where that is not known."""
    run = subject.flow(problem, lam, alpha, tol=RESIDUAL, t_max=1e5)
    if not run.converged:
        return float("nan")
    limit = subject.solve(
        problem, log_balancedness=subject.log_balancedness(run), shift=subject.shift(run)
    )
    assert problem.teacher is not None
    return float(np.log(np.linalg.norm(limit.theta - problem.teacher)))


def _check(subject: Subject, settings: Settings) -> Evidence:
    # an interval of a mean needs some: the spread over the problems is wide
    count = max(12, settings.seeds)
    measured, columns = [], []
    for design, alpha, helps in CELLS:
        rng = settings.rng("regime-map", design, f"{alpha:g}")
        logs = []
        for _ in range(count):
            problem = redesigned(sparse_regression(*SIZE, 5, seed=rng), design, rng)
            errors = [_log_error(subject, problem, lam, alpha) for lam in (0.0, LAMBDA)]
            logs.append(errors[1] - errors[0])
        column: FloatArray = np.array(logs)
        columns.append(column)
        sign, said = (1.0, "") if helps else (-1.0, "minus ")
        measured.append(
            mean_below(
                f"{said}ln(error/error of gradient flow), {design}, alpha = {alpha:g}",
                sign * column, 0.0,
            )
        )  # fmt: skip
    return Evidence(tuple(measured), {"logs": np.array(columns)})


def _draw(evidence: Evidence) -> Figure:

    figure, (axes,) = panels(width=5.6, height=3.3)
    names = [f"{design}\n$\\alpha$ = {alpha:g}" for design, alpha, _ in CELLS]
    for k, column in enumerate(evidence.series["logs"]):
        look = SERIES[int(CELLS[k][2])]
        low, high = mean_interval(column)
        axes.plot(np.full(column.size, k), column, ".", color=look.color, alpha=0.35)
        axes.plot([k, k], [low, high], color=look.color, linewidth=3)
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("design and initialisation scale")
    axes.set_ylabel("ln of recovery error\nrelative to gradient flow")
    return figure


EXCHANGED = Mutation(
    "momentum-and-none-exchanged",
    "gradient flow and momentum exchanged",
    with_flow(lambda lam, *_: LAMBDA - lam),
    "code",
)

CLAIMS = (
    Claim(
        name="when-momentum-recovers",
        theme=THEME,
        title="Momentum helps to recover a sparse teacher on some designs, and hurts on others",
        statement=(
            f"At lambda = {LAMBDA:g}, n = {SIZE[0]}, d = {SIZE[1]}, five non-zeros: on centred "
            "Gaussian designs the mean recovery error is larger with momentum than without, from "
            "alpha = 1 and from 0.1. On designs with mean one and a positive teacher it is much "
            "smaller from alpha = 0.1, not from 1. The balancedness shrinks in all, but most "
            "where the gradient is large, and that is the support on centred designs. The whole "
            "map: examples/sparsity_map.py."
        ),
        formulas=(
            r"E \ln \frac{\| \theta_\infty^{(\lambda)} - \theta^* \|}"
            r"{\| \theta_\infty^{(0)} - \theta^* \|} \lessgtr 0",
        ),
        source=f"{PPF} (abstract: small values of lambda help to recover sparse solutions)",
        check=_check,
        controls=(EXCHANGED,),
        draw=_draw,
        caption=(
            "Logarithmic ratio of recovery errors, one point a problem, and the 95 % interval of "
            "the mean. Below zero momentum helps."
        ),
    ),
)
