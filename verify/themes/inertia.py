"""Small inertia: gradient flow as the limit, the balancedness law."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from momentumflow.base.arrays import FloatArray
from momentumflow.base.citations import PPF
from momentumflow.base.figures import convergence, panels, slope_guide
from momentumflow.numeric import Regression, sparse_regression
from momentumflow.symbolic import DiagonalNetwork, Identity
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence
from momentumflow.verify.measure import at_most, order
from momentumflow.verify.mutants import with_flow
from momentumflow.verify.oracles import gradient_flow
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure


ALPHA = 0.5

# Gradient flow as lambda tends to 0 ------------------------------------------------

LAMBDAS = (0.04, 0.02, 0.01, 0.005)
T = 3.0


def _check_gradient_flow(subject: Subject, settings: Settings) -> Evidence:
    rng = settings.rng("gradient-flow-limit")
    time = np.linspace(0, T, 61)
    errors = []
    for _ in range(settings.seeds):
        problem = sparse_regression(5, 10, 2, seed=rng)
        exact = gradient_flow(problem.X, problem.y, ALPHA, time=time)
        run = subject.flow(problem, np.array(LAMBDAS), ALPHA, t_end=T, t_eval=time)
        assert run.path is not None
        gap = np.maximum(
            np.abs(run.path.w_plus - exact.w_plus), np.abs(run.path.w_minus - exact.w_minus)
        )
        errors.append(gap.max(axis=(-2, -1)))
    table = np.array(errors)
    return Evidence(
        (
            order("order in lambda of the distance to gradient flow", LAMBDAS, table, 1, settings),
            at_most("distance at the smallest lambda", table[:, -1], 0.05, settings),
        ),
        {"lambda": np.array(LAMBDAS), "error": table},
    )


def _draw_gradient_flow(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, (axes,) = panels(width=5.2, height=3.5)
    convergence(axes, s["lambda"], s["error"], label="momentum flow to gradient flow", which=0)
    slope_guide(axes, s["lambda"], 1.8 * float(np.median(s["error"][:, 0])), 1)
    axes.set_xlabel(r"$\lambda$")
    axes.set_ylabel("largest distance of the weights")
    axes.legend(loc="lower right")
    return figure


WITH_INERTIA = Mutation(
    "constant-inertia",
    "the flow at lambda + 0.05, which keeps its inertia",
    with_flow(lambda lam, *_: np.asarray(lam) + 0.05),
    "code",
)


def _half_speed(subject: Subject) -> Subject:
    def flow(problem, lam, init, **options):  # type: ignore[no-untyped-def]
        half = Regression(problem.X / np.sqrt(2), problem.y / np.sqrt(2))
        return subject.flow(half, lam, init, **options)

    return replace(subject, flow=flow)


HALF_FORCE = Mutation("half-the-force", "the flow with half the gradient", _half_speed, "code")

# The balancedness law --------------------------------------------------------------

LAW_LAMBDA = 0.1
SPACINGS = (0.02, 0.01, 0.005, 0.0025)


def _check_law(subject: Subject, settings: Settings) -> Evidence:
    problem = sparse_regression(
        5, 10, 2, seed=settings.rng("balancedness-law"), batch=(settings.seeds,)
    )
    defects, steepest = [], np.empty(0)
    for h in SPACINGS:
        time = h * np.arange(round(T / h) + 1)
        run = subject.flow(problem, LAW_LAMBDA, ALPHA, t_end=T, t_eval=time)
        assert run.path is not None
        plus = np.log(np.abs(run.path.w_plus))
        minus = np.log(np.abs(run.path.w_minus))
        q_plus, q_minus = (_slope(a, h) for a in (plus, minus))
        total = plus + minus
        curvature = (total[..., 2:, :] - 2 * total[..., 1:-1, :] + total[..., :-2, :]) / h**2
        defect = subject.balancedness_law(LAW_LAMBDA, curvature, q_plus + q_minus, q_plus, q_minus)
        defects.append(np.abs(defect).max(axis=(-2, -1)))
        steepest = np.diff(total, axis=-2).max(axis=(-2, -1))
    table = np.stack(defects, axis=-1)
    return Evidence(
        (
            order("order in the spacing of the law's defect", SPACINGS, table, 2, settings),
            # Once a weight stands still, rounding of its logarithm is all that moves.
            at_most("largest increase of ln Delta between records", steepest, 1e-13, settings),
        ),
        {"spacing": np.array(SPACINGS), "defect": table},
    )


def _slope(a: FloatArray, h: float) -> FloatArray:
    return (a[..., 2:, :] - a[..., :-2, :]) / (2 * h)


def _draw_law(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, (axes,) = panels(width=5.2, height=3.5)
    convergence(axes, s["spacing"], s["defect"], label="defect of the law", which=0)
    slope_guide(axes, s["spacing"], 1.8 * float(np.median(s["defect"][:, 0])), 2)
    axes.set_xlabel("spacing of the records in time")
    axes.set_ylabel(r"largest $|\lambda \dot q + q + \lambda(q_+^2 + q_-^2)|$")
    axes.legend(loc="lower right")
    return figure


WRONG_LAW = Mutation(
    "opposite-law",
    "the balancedness law with a growing right-hand side",
    lambda subject: replace(
        subject,
        balancedness_law=lambda lam, dq, q, plus, minus: lam * dq + q - lam * (plus**2 + minus**2),
    ),
)
NO_INERTIA_LAW = Mutation(
    "law-without-memory",
    "the balancedness law without its derivative term",
    lambda subject: replace(
        subject,
        balancedness_law=lambda lam, dq, q, plus, minus: q + lam * (plus**2 + minus**2),
    ),
)


def _pushed(subject: Subject) -> Subject:
    def flow(problem, lam, init, **options):  # type: ignore[no-untyped-def]
        w = np.full((*problem.batch_shape, problem.d), np.sqrt(2) * init)
        return subject.flow(problem, lam, init, velocity=(w, w), **options)

    return replace(subject, flow=flow)


OUTWARD_PUSH = Mutation(
    "outward-push",
    "the flow starts with the velocity w'(0) = w(0) in place of 0, which inflates both weights",
    _pushed,
    "code",
)


def _law_proof() -> tuple[Identity, ...]:

    network = DiagonalNetwork()
    names = ("Riccati equation of w_+", "Riccati equation of w_-", "balancedness law")
    return tuple(network.identity(name) for name in names)


CLAIMS = (
    Claim(
        name="gradient-flow-limit",
        theme="The path of momentum",
        title="Momentum gradient flow tends to gradient flow as lambda tends to 0",
        statement=(
            "The largest distance of the weights on [0, 3] is of first order in lambda, for random "
            "problems with n = 5, d = 10."
        ),
        formulas=(r"\max_{t \leq T} \| w^{(\lambda)}(t) - w^{(0)}(t) \| = O(\lambda)",),
        source=f"singular perturbation of the flow of {PPF}",
        check=_check_gradient_flow,
        controls=(WITH_INERTIA, HALF_FORCE),
        draw=_draw_gradient_flow,
        caption="Median over the seeds, range shaded; gradient flow integrated by SciPy.",
    ),
    Claim(
        name="balancedness-law",
        theme="Balancedness",
        title="Balancedness obeys a law with memory, and decreases",
        statement=(
            "Along momentum gradient flow without sign changes the logarithmic rate q of the "
            "balancedness obeys a linear equation driven by the squared rates of the weights, and "
            "so the balancedness of every coordinate decreases monotonically."
        ),
        formulas=(
            r"\lambda \dot q + q = -\lambda\,(q_+^2 + q_-^2), \quad q = \frac{d}{dt}\ln \Delta, "
            r"\quad q_\pm = \dot w_\pm / w_\pm",
        ),
        source=f"after {PPF}; in this form derived here",
        check=_check_law,
        controls=(WRONG_LAW, NO_INERTIA_LAW, OUTWARD_PUSH),
        proofs=_law_proof,
        draw=_draw_law,
        caption=(
            "What the law says is zero, by central differences of the recorded flow: it vanishes "
            "with the square of the spacing. Median over the seeds, range shaded."
        ),
    ),
)
