"""One parameter beyond the diagonal network: a ReLU network and handwritten digits.

The statement that the path depends on (gamma, beta) through lambda alone is
about any loss. It is checked here with plain NumPy heavy ball, on a two-layer
ReLU network that learns from a teacher and on multinomial regression on
scikit-learn's digits; the reference is heavy ball itself at a much smaller time
step, because the flow of a ReLU network is not smooth enough for an integrator
of high order. The flow of lambda_hat is by SciPy, to far less than its distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from scipy.special import softmax

from momentumflow.base import libraries
from momentumflow.base.arrays import FloatArray
from momentumflow.base.citations import PPF
from momentumflow.base.figures import convergence, panels, slope_guide
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence
from momentumflow.verify.measure import at_most, order
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject
from momentumflow.verify.themes.dynamics import ONLY_GAMMA, REFINED_IS_PLAIN, START_AT_REST

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Gradient = Callable[[FloatArray], FloatArray]

LAMBDA = 1.0
T = 3.2
STEPS = (0.08, 0.04, 0.02)
FINE = 0.0025


def relu_teacher(rng: np.random.Generator) -> tuple[Gradient, FloatArray]:
    """Return the gradient of a two-layer ReLU student's squared loss, and its start.

    Student of 12 hidden units, teacher of 3, 200 Gaussian inputs in 5 dimensions.
    """
    inputs, hidden, teacher_units, rows = 5, 12, 3, 200
    X = rng.standard_normal((rows, inputs))
    A = rng.standard_normal((inputs, teacher_units)) / np.sqrt(inputs)
    y = np.maximum(X @ A, 0) @ rng.standard_normal(teacher_units)

    def gradient(w: FloatArray) -> FloatArray:
        W, a = w[: inputs * hidden].reshape(inputs, hidden), w[inputs * hidden :]
        pre = X @ W
        active = np.maximum(pre, 0)
        r = (active @ a - y) / rows
        first = X.T @ (np.outer(r, a) * (pre > 0))
        return np.concatenate([first.ravel(), active.T @ r])

    start = np.concatenate(
        [
            rng.standard_normal(inputs * hidden) / np.sqrt(inputs),
            rng.standard_normal(hidden) / np.sqrt(hidden),
        ]
    )
    return gradient, start


def digits(rng: np.random.Generator) -> tuple[Gradient, FloatArray]:
    """Return the gradient of multinomial regression on 300 random digits, and its start."""
    data, labels = libraries.scikit_learn().datasets.load_digits(return_X_y=True)
    rows = rng.choice(len(labels), 300, replace=False)
    X = data[rows] / 16.0
    target = np.eye(10)[labels[rows]]

    def gradient(w: FloatArray) -> FloatArray:
        W = w.reshape(X.shape[1], 10)
        g: FloatArray = X.T @ (softmax(X @ W, axis=1) - target) / len(rows)
        return g.ravel()

    return gradient, 0.1 * rng.standard_normal(X.shape[1] * 10)


def heavy_ball(
    gradient: Gradient, start: FloatArray, gamma: float, beta: float, steps: int, every: int
) -> FloatArray:
    """Return every `every`-th iterate of heavy ball, the start first."""
    before, now = start, start
    path = [now]
    for k in range(1, steps + 1):
        before, now = now, now - gamma * gradient(now) + beta * (now - before)
        if k % every == 0:
            path.append(now)
    return np.array(path)


def refined_flow(
    gradient: Gradient, start: FloatArray, lam: float, speed: float, time: FloatArray
) -> FloatArray:
    """Return lam w'' + w' + grad F(w) = 0 from w'(0) = -speed grad F(w_0), by SciPy's RK45.

    Kinks of the loss hold up a method of higher order, which gains nothing on them.
    """

    def field(_: float, flat: FloatArray) -> FloatArray:
        w, v = np.split(flat, 2)
        return np.concatenate([v, -(v + gradient(w)) / lam])

    found = solve_ivp(
        field, (0.0, float(time[-1])), np.concatenate([start, -speed * gradient(start)]),
        t_eval=time, rtol=1e-5, atol=1e-7,
    )  # fmt: skip
    path: FloatArray = found.y[: start.size].T
    return path


def _parameters(subject: Subject, lam: float, eps: float) -> tuple[float, float]:
    """Solve intrinsic(gamma, beta) = lam, time_step(gamma, beta) = eps for (gamma, beta).

    Both formulas are the subject's, so that a wrong one leads to wrong runs.
    """

    def gamma_for(beta: float) -> float:
        # The time step is increasing in gamma at fixed beta.
        return float(
            brentq(lambda g: float(subject.time_step(g, beta)) - eps, 1e-12, 10.0, xtol=1e-15)
        )

    def off(beta: float) -> float:
        return float(subject.intrinsic(gamma_for(beta), beta)) - lam

    beta = float(brentq(off, 0.0, 1 - 1e-6, xtol=1e-14))
    return gamma_for(beta), beta


def _distance(coarse: FloatArray, fine: FloatArray) -> float:
    # Over how far the path has come, not over the size of weights that hardly move.
    return float(np.abs(coarse - fine).max() / np.abs(fine - fine[0]).max())


def _check(
    model: Callable[[np.random.Generator], tuple[Gradient, FloatArray]],
    name: str,
    tolerance: float,
    *,
    smooth: bool,
) -> Callable[[Subject, Settings], Evidence]:
    def check(subject: Subject, settings: Settings) -> Evidence:
        rng = settings.rng("models", name)
        errors, corrected, rule = [], [], []
        for _ in range(min(settings.seeds, 3 if settings.quick else 6)):
            gradient, start = model(rng)
            gamma, beta = _parameters(subject, LAMBDA, FINE)
            records = round(STEPS[0] / FINE)
            fine = heavy_ball(gradient, start, gamma, beta, round(T / FINE), records)
            row, refined = [], []
            for eps in STEPS:
                every = round(STEPS[0] / eps)
                gamma, beta = _parameters(subject, LAMBDA, eps)
                steps = round(T / eps)
                path = heavy_ball(gradient, start, gamma, beta, steps, every)
                row.append(_distance(path, fine))
                flow = refined_flow(
                    gradient,
                    start,
                    float(subject.refined(gamma, beta)),
                    float(subject.start_speed(gamma, beta)),
                    eps * every * np.arange(len(path), dtype=np.float64),
                )
                refined.append(_distance(path, flow))
            errors.append(row)
            corrected.append(refined)
            fast_gamma, fast_beta = (float(x) for x in subject.accelerate(gamma, beta, 2.0))
            run = heavy_ball(gradient, start, fast_gamma, fast_beta, steps // 2, every // 2)
            rule.append(_distance(run, fine))
        table, better = np.array(errors), np.array(corrected)
        if smooth:
            refinement = order(
                "order in eps of the distance to the flow of lambda_hat",
                STEPS, better, 2, settings, tolerance=tolerance,
            )  # fmt: skip
        else:
            # The force jumps where a path crosses a kink, which no modified equation sees:
            # the second order has a small remainder of first order.
            refinement = at_most(
                "mean (geometric) of the distance to the flow of lambda_hat over that to the path",
                np.exp(np.log(better / table).mean(axis=0)), 0.25, settings,
            )  # fmt: skip
        return Evidence(
            (
                order(
                    "order in eps of the distance to the path of small eps",
                    STEPS, table, 1, settings, tolerance=tolerance,
                ),
                at_most("distance at the smallest eps", table[:, -1], 0.05, settings),
                refinement,
                at_most("distance of a run twice as fast", np.array(rule), 0.08, settings),
            ),
            {"steps": np.array(STEPS), "errors": table, "refined": better},
        )  # fmt: skip

    return check


def _draw(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, (axes,) = panels(width=5.2, height=3.5)
    for name, label, which, slope in (
        ("errors", r"iterates of equal $\lambda$", 1, 1),
        ("refined", r"iterates and flow of $\hat\lambda$", 0, 2),
    ):
        convergence(axes, s["steps"], s[name], label=label, which=which)
        slope_guide(axes, s["steps"], 1.6 * float(np.median(s[name][:, 0])), slope)
    axes.set_xlabel(r"time step $\varepsilon$")
    axes.set_ylabel("distance of the paths")
    axes.legend(loc="lower right")
    return figure


THREE_HALVES = Mutation(
    "power-three-halves",
    "lambda = gamma/(1-beta)^1.5 in place of gamma/(1-beta)^2",
    lambda subject: replace(subject, intrinsic=lambda g, b: g / (1 - b) ** 1.5),
)

STEP_OF_GAMMA = Mutation(
    "time-step-gamma",
    "the time step gamma in place of gamma/(1-beta)",
    lambda subject: replace(subject, time_step=lambda g, b: g),
)


def _claim(
    name: str,
    title: str,
    what: str,
    model: Callable[[np.random.Generator], tuple[Gradient, FloatArray]],
    tolerance: float,
    *,
    smooth: bool,
) -> Claim:
    return Claim(
        name=name,
        theme="The path of momentum",
        title=title,
        statement=(
            f"Heavy ball on {what}: at lambda = {LAMBDA:g} the paths of all time steps approach "
            "one path, to first order in eps; the flow of lambda_hat with its initial velocity "
            f"{'follows them to second order' if smooth else 'is four times as near in the mean'}; "
            "a run accelerated by the rule follows the path too."
        ),
        formulas=(
            r"\lambda\, \ddot w + \dot w + \nabla F(w) = 0",
            r"\hat\lambda = \lambda - \varepsilon/2, \quad "
            r"\dot w(0) = -\frac{\varepsilon}{2\lambda} \nabla F(w_0)",
        ),
        source=f"{PPF} (abstract)",
        check=_check(model, name, tolerance, smooth=smooth),
        controls=(THREE_HALVES, ONLY_GAMMA, STEP_OF_GAMMA, REFINED_IS_PLAIN, START_AT_REST),
        draw=_draw,
        caption="Median over the seeds, range shaded.",
    )


CLAIMS = (
    _claim(
        "one-parameter-relu",
        "The path of a ReLU network depends on lambda alone",
        "a two-layer ReLU network of 12 units that learns from a teacher of 3",
        relu_teacher,
        # Kinks of the loss that a path crosses make the error less regular.
        0.25,
        smooth=False,
    ),
    _claim(
        "one-parameter-digits",
        "The path of multinomial regression on digits depends on lambda alone",
        "multinomial regression on 300 of scikit-learn's handwritten digits",
        digits,
        0.25,
        smooth=True,
    ),
)
