"""What momentum does in time: the discretisation, one parameter, acceleration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import sympy as sp

from momentumflow.base.arrays import FloatArray
from momentumflow.base.citations import PPF
from momentumflow.base.figures import SERIES, convergence, panels, slope_guide
from momentumflow.numeric import Regression, sparse_regression
from momentumflow.numeric.runs.trajectory import Path
from momentumflow.symbolic import (
    DiagonalNetwork,
    HeavyBall,
    Identity,
    acceleration_rule,
    intrinsic_parameter,
    leading_equation,
    modified_equation,
    refined_parameter,
)
from momentumflow.symbolic.equations.intrinsic_parameters import time_step
from momentumflow.symbolic.symbols import beta, gamma, rho
from momentumflow.symbolic.theory_kernels import MethodFormulas
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence
from momentumflow.verify.measure import at_most, order
from momentumflow.verify.mutants import BIASED_GRADIENT, FORGOTTEN_MOMENTUM, SWAPPED_FORCE
from momentumflow.verify.oracles import central_scheme
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure


THEME = "The path of momentum"

# Paths are compared on [0, T] at this lambda, from this scale, at these time steps.
LAMBDA = 0.5
T = 4.0
ALPHA = 0.5
STEPS = (0.08, 0.04, 0.02, 0.01)
# Rounding of some hundred steps at a momentum up to 0.99 stays three digits below.
SCHEME_TOLERANCE = 1e-11
# Largest momentum of the grid is 1 - 0.01/0.5; the first step of the coarsest
# grid is a sixth of lambda, which is as far as an expansion in eps/lambda reaches.


def _problems(settings: Settings, label: str) -> Regression:
    return sparse_regression(5, 10, 2, seed=settings.rng(label), batch=(settings.seeds,))


def _parameters(eps: float) -> tuple[float, float]:
    """(gamma, beta) of one time step eps at lambda = LAMBDA."""
    return eps * eps / LAMBDA, 1 - eps / LAMBDA


def _iterates(
    subject: Subject, problem: Regression, gamma: float, beta: float, steps: int, every: int = 1
) -> Path:
    run = subject.descent(
        problem, gamma, beta, ALPHA, max_steps=steps, tol=None, record_every=every
    )
    assert run.path is not None
    return run.path


def path_distance(a: Path, b: Path) -> FloatArray:
    """Largest distance of two recorded paths over the largest weight of the second."""
    gap = np.maximum(np.abs(a.w_plus - b.w_plus), np.abs(a.w_minus - b.w_minus))
    size = np.maximum(np.abs(b.w_plus), np.abs(b.w_minus))
    distance: FloatArray = gap.max(axis=(-2, -1)) / size.max(axis=(-2, -1))
    return distance


# The discretisation --------------------------------------------------------------


def _check_scheme(subject: Subject, settings: Settings) -> Evidence:
    rng = settings.rng("discretisation")
    errors, momenta = [], []
    for _ in range(settings.seeds):
        problem = sparse_regression(5, 10, 2, seed=rng)
        gamma = 10 ** rng.uniform(-3, -2)
        beta = rng.uniform(0, 0.99)
        steps = 100 if settings.quick else 400
        path = _iterates(subject, problem, gamma, beta, steps)
        lam, eps = float(subject.intrinsic(gamma, beta)), float(subject.time_step(gamma, beta))
        plus, minus = central_scheme(problem.X, problem.y, ALPHA, lam, eps, steps)
        size = max(np.abs(plus).max(), np.abs(minus).max())
        gap = max(np.abs(path.w_plus - plus).max(), np.abs(path.w_minus - minus).max())
        errors.append(gap / size)
        momenta.append(beta)
    quantity = "largest distance of heavy ball from the scheme, over the largest weight"
    return Evidence(
        (at_most(quantity, errors, SCHEME_TOLERANCE, settings),),
        {"momentum": np.array(momenta), "distance": np.array(errors)},
    )


def _draw_scheme(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, (axes,) = panels(width=5.2, height=3.3)
    look = SERIES[0]
    # Equality to the last bit has no logarithm; it is drawn at the rounding of one weight.
    floor = float(np.finfo(np.float64).eps) / 2
    axes.plot(
        s["momentum"], np.maximum(s["distance"], floor), linestyle="", marker=look.marker,
        color=look.color, label="heavy ball from the scheme",
    )  # fmt: skip
    axes.axhline(SCHEME_TOLERANCE, color="0.4", linewidth=0.8)
    axes.annotate(
        "required", (float(s["momentum"].min()), SCHEME_TOLERANCE), textcoords="offset points",
        xytext=(0, -9),
        fontsize=7.5, color="0.3",
    )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(floor / 3, 10 * SCHEME_TOLERANCE)
    axes.set_xlabel(r"momentum $\beta$")
    axes.set_ylabel("largest relative distance")
    axes.legend(loc="center right")
    return figure


def _factor_in_lambda(factor: float) -> Callable[[Subject], Subject]:
    return lambda subject: replace(subject, intrinsic=lambda g, b: factor * subject.intrinsic(g, b))


WRONG_POWER = Mutation(
    "first-power",
    "lambda = gamma/(1-beta) in place of gamma/(1-beta)^2",
    lambda subject: replace(subject, intrinsic=lambda g, b: g / (1 - b)),
)
TWICE_LAMBDA = Mutation("twice-lambda", "2 lambda in place of lambda", _factor_in_lambda(2.0))
SLIGHT_LAMBDA = Mutation(
    "lambda-off-by-1e-6", "lambda too large by one part in a million", _factor_in_lambda(1 + 1e-6)
)


# One parameter -------------------------------------------------------------------


def _flow_errors(
    subject: Subject,
    problem: Regression,
    parameter: Callable[[float, float], float],
    *,
    moving_start: bool,
) -> FloatArray:
    """Distance of the iterates from the flow of `parameter`; shape (seeds, steps)."""
    columns = []
    for eps in STEPS:
        gamma, beta = _parameters(eps)
        every = round(STEPS[0] / eps)
        iterates = _iterates(subject, problem, gamma, beta, round(T / eps), every)
        velocity = None
        if moving_start:
            w = np.sqrt(2) * ALPHA
            g = -np.einsum("...nd,...n->...d", problem.X, problem.y) / problem.n
            c = float(subject.start_speed(gamma, beta))
            velocity = (-c * g * w, c * g * w)
        records = iterates.w_plus.shape[-2]
        time = float(subject.time_step(gamma, beta)) * every * np.arange(records)
        flow = subject.flow(
            problem,
            float(parameter(gamma, beta)),
            ALPHA,
            t_end=float(time[-1]),
            t_eval=time,
            velocity=velocity,
        )
        assert flow.path is not None
        columns.append(path_distance(iterates, flow.path))
    return np.stack(columns, axis=-1)


def _check_one_parameter(subject: Subject, settings: Settings) -> Evidence:
    problem = _problems(settings, "one-parameter")
    errors = _flow_errors(subject, problem, subject.intrinsic, moving_start=False)
    return Evidence(
        (
            order("order in eps of the distance to MGF(lambda)", STEPS, errors, 1, settings),
            at_most("distance at the smallest eps", errors[:, -1], 2e-2, settings),
        ),
        {"steps": np.array(STEPS), "lambda": errors},
    )


def _check_refined(subject: Subject, settings: Settings) -> Evidence:
    problem = _problems(settings, "refined-parameter")
    errors = _flow_errors(subject, problem, subject.refined, moving_start=True)
    series = {"steps": np.array(STEPS), "refined": errors}
    if not settings.control:  # for the figure alone
        series["lambda"] = _flow_errors(subject, problem, subject.intrinsic, moving_start=False)
    return Evidence(
        (order("order in eps of the distance to MGF(lambda_hat)", STEPS, errors, 2, settings),),
        series,
    )


REFINED_IS_PLAIN = Mutation(
    "lambda-for-lambda-hat",
    "lambda in place of the refined parameter lambda_hat",
    lambda subject: replace(subject, refined=subject.intrinsic),
)
START_AT_REST = Mutation(
    "start-at-rest",
    "the refined flow starts at rest, without the corrected initial velocity",
    lambda subject: replace(subject, start_speed=lambda g, b: 0.0),
)
SWAPPED_CORRECTION = Mutation(
    "swapped-correction",
    "the correction of lambda_hat with the wrong sign",
    lambda subject: replace(
        subject, refined=lambda g, b: 2 * subject.intrinsic(g, b) - subject.refined(g, b)
    ),
)


def _draw_orders(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, (axes,) = panels(width=5.2, height=3.5)
    labels = {
        "lambda": (r"$\lambda$, start at rest", 1, 1),
        "refined": (r"$\hat\lambda$, corrected start", 0, 2),
    }
    for name, (label, which, slope) in labels.items():
        if name in s:
            convergence(axes, s["steps"], s[name], label=label, which=which)
            slope_guide(axes, s["steps"], 1.8 * float(np.median(s[name][:, 0])), slope)
    axes.set_xlabel(r"time step $\varepsilon$")
    axes.set_ylabel("distance of iterates and flow")
    axes.legend(loc="lower right")
    return figure


# Acceleration --------------------------------------------------------------------

RHO = 2.0


def _check_acceleration(subject: Subject, settings: Settings) -> Evidence:
    problem = _problems(settings, "acceleration")
    columns, drift = [], []
    for eps in STEPS:
        gamma, beta = _parameters(eps / RHO)
        fast_gamma, fast_beta = (float(x) for x in subject.accelerate(gamma, beta, RHO))
        drift.append(
            abs(subject.intrinsic(fast_gamma, fast_beta) / subject.intrinsic(gamma, beta) - 1)
        )
        # Both are recorded at the same times, the slow one every rho steps as often.
        every = round(STEPS[0] / eps)
        slow_every, steps = round(RHO * every), round(T / eps)
        slow = _iterates(subject, problem, gamma, beta, round(RHO * steps), slow_every)
        fast = _iterates(subject, problem, fast_gamma, fast_beta, steps, every)
        columns.append(path_distance(fast, slow))
    errors = np.stack(columns, axis=-1)
    return Evidence(
        (
            at_most("relative change of lambda under the rule", drift, 1e-12, settings),
            order("order in eps of the distance of the two paths", STEPS, errors, 1, settings),
        ),
        {"steps": np.array(STEPS), "accelerated": errors},
    )


def _draw_acceleration(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, (axes,) = panels(width=5.2, height=3.5)
    label = rf"accelerated {RHO:g} times against not"
    convergence(axes, s["steps"], s["accelerated"], label=label, which=0)
    slope_guide(axes, s["steps"], 1.8 * float(np.median(s["accelerated"][:, 0])), 1)
    axes.set_xlabel(r"time step $\varepsilon$ of the accelerated run")
    axes.set_ylabel("distance of the two paths")
    axes.legend(loc="lower right")
    return figure


ONLY_GAMMA = Mutation(
    "only-gamma",
    "rho^2 gamma with beta left as it is",
    lambda subject: replace(subject, accelerate=lambda g, b, r: (r * r * g, b)),
)
FIRST_POWER_OF_RHO = Mutation(
    "rho-gamma",
    "rho gamma in place of rho^2 gamma",
    lambda subject: replace(subject, accelerate=lambda g, b, r: (r * g, 1 - r * (1 - b))),
)


def _scheme_proof() -> tuple[Identity, ...]:

    return (DiagonalNetwork().identity("heavy ball discretises MGF(lambda)"),)


def _refined_proof() -> tuple[Identity, ...]:

    lam = intrinsic_parameter(HeavyBall())
    return (
        Identity(
            "refined parameter",
            refined_parameter(HeavyBall()),
            lam - gamma / (1 - beta) / 2,
            assumptions="lambda_hat = lambda - eps/2, eps = gamma/(1-beta)",
            source="first correction of the inertial modified equation",
        ),
    )


def _acceleration_proof() -> tuple[Identity, ...]:

    method, rule = HeavyBall(), acceleration_rule(HeavyBall())
    accelerated = {gamma: rule[gamma], beta: rule[beta]}
    lam, eps = intrinsic_parameter(method), time_step(method)
    return (
        Identity(
            "the rule keeps lambda",
            lam.subs(accelerated, simultaneous=True),
            lam,
            source=f"{PPF} (its acceleration rule)",
        ),
        Identity(
            "the rule multiplies the time of a step by rho",
            eps.subs(accelerated, simultaneous=True),
            rho * eps,
            source=f"{PPF} (its acceleration rule)",
        ),
    )


_FORCE = r"f = -\nabla F"
_DISTANCE = r"\max_{k\epsilon \leq T} \| w_k - w(k\epsilon) \| = "


def _definitions(*names: str) -> str:
    derived = MethodFormulas(HeavyBall()).latex
    return r", \quad ".join(f"{name} = {derived[name]}" for name in names)


def _scheme_formulas() -> tuple[str, ...]:
    (scheme,) = _scheme_proof()
    return scheme.latex(), _definitions(r"\lambda", r"\epsilon")


def _flow_formulas() -> tuple[str, ...]:
    flow = leading_equation(HeavyBall()).latex()
    return rf"{flow}, \quad v = w', \quad {_FORCE}, \quad v(0) = 0", rf"{_DISTANCE}O(\epsilon)"


def _refined_formulas() -> tuple[str, ...]:
    start = modified_equation(HeavyBall(), 1).initial_velocity
    assert start is not None  # w_{-1} = w_0 ties it
    velocity = sp.latex(sp.Symbol("f") * start.coefficient("[]"))
    return (
        _definitions(r"\hat\lambda") + rf", \quad w'(0) = {velocity}, \quad {_FORCE}",
        rf"{_DISTANCE}O(\epsilon^2)",
    )


def _acceleration_formulas() -> tuple[str, ...]:
    return (acceleration_rule(HeavyBall()).latex(),)


CLAIMS = (
    Claim(
        name="discretisation",
        theme=THEME,
        title="Heavy ball is an exact discretisation of momentum gradient flow",
        statement=(
            "Heavy ball is the scheme with second differences for the acceleration and backward "
            "differences for the velocity, at time step eps and parameter lambda, for random "
            "gamma from 1e-3 to 1e-2 and beta from 0 to 0.99."
        ),
        formulas=_scheme_formulas,
        source=f"{PPF} (momentum gradient flow)",
        check=_check_scheme,
        controls=(
            WRONG_POWER,
            TWICE_LAMBDA,
            SLIGHT_LAMBDA,
            SWAPPED_FORCE,
            FORGOTTEN_MOMENTUM,
            BIASED_GRADIENT,
        ),
        proofs=_scheme_proof,
        draw=_draw_scheme,
        caption=(
            "One point a random problem: heavy ball in float64 against the scheme in extended "
            "precision."
        ),
    ),
    Claim(
        name="one-parameter",
        theme=THEME,
        title="The path depends on gamma and beta through lambda alone",
        statement=(
            "With lambda held fixed, heavy ball converges to momentum gradient flow, to first "
            "order in the time step eps: all (gamma, beta) of equal lambda walk the same path. "
            f"Diagonal network, n = 5, d = 10, lambda = {LAMBDA:g}, t up to {T:g}."
        ),
        formulas=_flow_formulas,
        source=f"{PPF} (abstract: lambda uniquely defines the path)",
        check=_check_one_parameter,
        controls=(WRONG_POWER, TWICE_LAMBDA),
        theorems=("orders-of-lambda",),
        draw=_draw_orders,
        caption=(
            "Largest distance of the iterates from the flow: median over the seeds, and their "
            "range shaded."
        ),
    ),
    Claim(
        name="refined-parameter",
        theme=THEME,
        title="The refined parameter is one order better",
        statement=(
            "With lambda_hat in place of lambda, and the initial velocity that a start at "
            "w_{-1} = w_0 means, the flow follows heavy ball to second order in eps."
        ),
        formulas=_refined_formulas,
        source="first correction of the inertial modified equation of heavy ball",
        check=_check_refined,
        controls=(REFINED_IS_PLAIN, START_AT_REST, SWAPPED_CORRECTION),
        proofs=_refined_proof,
        theorems=("orders-of-lambda",),
        draw=_draw_orders,
        caption=(
            "Largest distance of the iterates from the flow of lambda and from that of "
            "lambda_hat with the corrected start: median over the seeds, range shaded."
        ),
    ),
    Claim(
        name="acceleration",
        theme=THEME,
        title="The acceleration rule walks the same path faster",
        statement=(
            "Replacing (gamma, beta) by (rho^2 gamma, 1 - rho (1-beta)) keeps lambda and follows "
            "the same path in a rho-th of the steps, up to an error of first order in eps."
        ),
        formulas=_acceleration_formulas,
        source=f"{PPF} (abstract: a simple acceleration rule)",
        check=_check_acceleration,
        controls=(ONLY_GAMMA, FIRST_POWER_OF_RHO),
        proofs=_acceleration_proof,
        theorems=("acceleration-is-unique",),
        draw=_draw_acceleration,
        caption="Largest distance of the accelerated from the slow path: median and range.",
    ),
)
