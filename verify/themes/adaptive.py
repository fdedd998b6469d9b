"""Optimisers with memories: their equations, the times that decide their path, their transfer.

The iterates are plain loops over the update rules as they stand in print, and share no code
with what is derived. Before an equation is held against them they run until their memories
have forgotten the start, to below 1e-12.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp
from scipy.integrate import solve_ivp

from momentumflow.base import libraries
from momentumflow.base.arrays import FloatArray
from momentumflow.base.figures import SERIES, convergence, panels, slope_guide
from momentumflow.symbolic import (
    Adam,
    AdamW,
    Lion,
    Optimiser,
    RMSProp,
    kernel,
    leading_equation,
    modified_equation,
    modified_loss,
    scaling_rules,
)
from momentumflow.symbolic.symbols import g
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence, Measurement
from momentumflow.verify.measure import at_most, order
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THEME = "Any optimiser"
CATTANEO = "Cattaneo, Klusowski, Shigida, ICML 2024"
MALLADI = "Malladi, Lyu, Panigrahi, Arora, NeurIPS 2022"

STEPS = (0.06, 0.03, 0.015)
# How long memories forget, 20 steps or more; then the times at which flows are compared: an
# error may pass through zero at one of them.
SETTLED, RECORDS = 1.2, (0.18, 0.36, 0.54)

# Losses ------------------------------------------------------------------------------


def pendulum(w: Any) -> Any:
    """Gradient of x - cos(x)/2 + x y / 5 + y^2 / 2 + y^4 / 8: steady in x, settling in y."""
    x, y = w[..., 0], w[..., 1]
    return [1 + np.sin(x) / 2 + y / 5, x / 5 + y + y * y * y / 2]


def uphill(w: Any) -> Any:
    """Gradient of x + y - cos(x)/2 + sin(x + y)/5: both components stay positive."""
    x, y = w[..., 0], w[..., 1]
    both = np.cos(x + y) / 5
    return [1 + np.sin(x) / 2 + both, 1 + both]


def _uphill_hessian(w: FloatArray) -> FloatArray:
    x, y = w[..., 0], w[..., 1]
    both = -np.sin(x + y) / 5
    return np.stack([np.stack([np.cos(x) / 2 + both, both], -1), np.stack([both, both], -1)], -2)


@cache
def _digits() -> tuple[FloatArray, FloatArray]:
    """Return scikit-learn's digits with a column of ones, shape (n, 65), and their classes."""
    X, y = libraries.scikit_learn().datasets.load_digits(return_X_y=True)
    return np.hstack([X / 16, np.ones((len(y), 1))]), np.eye(10)[y]


def _softmax_gradient(w: Any, X: FloatArray, Y: FloatArray) -> Any:
    """Gradient of the mean cross-entropy of a softmax layer, w of shape (..., 650)."""
    exponential = np.exp(X @ w.reshape(*w.shape[:-1], 65, 10))
    error = exponential / exponential.sum(-1, keepdims=True) - Y
    return (np.swapaxes(X, -1, -2) @ error / X.shape[-2]).reshape(*w.shape[:-1], 650)


def digits(w: Any) -> Any:
    """Gradient of a softmax layer on the first 150 digits."""
    X, Y = _digits()
    return _softmax_gradient(w, X[:150], Y[:150])


def _numbers(gradient: Callable[[Any], Any], w: FloatArray) -> FloatArray:
    value = gradient(w)
    return np.stack(value, axis=-1) if isinstance(value, list) else np.asarray(value)


# Update rules, as they stand in print --------------------------------------------------

Memories = tuple[FloatArray, FloatArray]
Rule = Callable[[FloatArray, FloatArray, Memories, float], tuple[FloatArray, Memories]]
B1, B2, EPS, DECAY, WIDTH = 0.2, 0.3, 0.2, 0.3, 0.5


def _adam(w: FloatArray, g: FloatArray, held: Memories, step: float) -> tuple[FloatArray, Memories]:
    m = B1 * held[0] + (1 - B1) * g
    v = B2 * held[1] + (1 - B2) * g * g
    return w - step * m / np.sqrt(v + EPS), (m, v)


def _adamw(
    w: FloatArray, g: FloatArray, held: Memories, step: float
) -> tuple[FloatArray, Memories]:
    moved, held = _adam(w, g, held, step)
    return moved - step * DECAY * w, held


def _rmsprop(
    w: FloatArray, g: FloatArray, held: Memories, step: float
) -> tuple[FloatArray, Memories]:
    v = B2 * held[1] + (1 - B2) * g * g
    return w - step * g / np.sqrt(v + EPS), (held[0], v)


def _lion(w: FloatArray, g: FloatArray, held: Memories, step: float) -> tuple[FloatArray, Memories]:
    along = B1 * held[0] + (1 - B1) * g
    m = B2 * held[0] + (1 - B2) * g
    return w - step * along / np.sqrt(along**2 + WIDTH**2), (m, held[1])


def _ran(
    rule: Rule, gradient: Callable[[Any], Any], w: FloatArray, step: float, unit: float
) -> tuple[FloatArray, FloatArray]:
    """Return the weights at SETTLED, and those at the later RECORDS, all in this unit of time."""
    held, path = (np.zeros_like(w), np.zeros_like(w)), [w]
    for _ in range(round((SETTLED + RECORDS[-1]) * unit / step)):
        w, held = rule(w, _numbers(gradient, w), held, step)
        path.append(w)
    at = [round((SETTLED + t) * unit / step) for t in (0.0, *RECORDS)]
    return path[at[0]], np.array([path[k] for k in at[1:]])


def _distance(
    field: Callable[[FloatArray], FloatArray],
    start: FloatArray,
    later: FloatArray,
    times: FloatArray,
    rtol: float,
) -> FloatArray:
    """Return how far a flow is from the iterates at these times, for each start."""
    found = solve_ivp(
        lambda _, y: field(y.reshape(start.shape)).ravel(),
        (0.0, float(times[-1])), start.ravel(), "DOP853", t_eval=times, rtol=rtol,
        atol=rtol / 1000,
    )  # fmt: skip
    gap: FloatArray = np.abs(found.y.T.reshape(later.shape) - later).max(axis=(0, -1))
    return gap


# The slow equations --------------------------------------------------------------------


@dataclass(frozen=True)
class _Case:
    name: str
    optimiser: Optimiser
    rule: Rule
    values: tuple[tuple[str, float], ...]
    gradient: Callable[[Any], Any]
    scale: float = 1.0  # of the steps and the time


_BETAS = (("beta_1", B1), ("beta_2", B2))
_ADAM = Adam(placement="inside")
CASES = (
    _Case("Adam", _ADAM, _adam, (*_BETAS, ("eps", EPS)), pendulum),
    _Case(
        "AdamW", AdamW(placement="inside"), _adamw, (*_BETAS, ("eps", EPS), ("mu", DECAY)), pendulum
    ),
    _Case(
        "RMSProp", RMSProp(placement="inside"), _rmsprop, (("beta_2", B2), ("eps", EPS)), pendulum
    ),
    _Case("Lion", Lion(), _lion, (*_BETAS, ("delta", WIDTH)), pendulum),
    _Case("Adam on digits", _ADAM, _adam, (*_BETAS, ("eps", EPS)), digits, scale=4.0),
)
ORDERS = (1, 2, 3, 4)


def _starts(case: _Case, settings: Settings) -> FloatArray:
    rng = settings.rng("optimiser-equations", case.name)
    if case.gradient is digits:
        return rng.normal(0.0, 0.1, (2, 650))
    return rng.uniform(1.0, 2.0, (settings.seeds, 2))


def _check_equations(subject: Subject, settings: Settings) -> Evidence:
    measured: list[Measurement] = []
    series: dict[str, FloatArray] = {}
    for case in CASES:
        start, steps = _starts(case, settings), case.scale * np.array(STEPS)
        # as in the equations of heavy ball, the highest order takes the most time
        more = case.gradient is pendulum and case.name == "Adam"
        orders = ORDERS if more and (settings.control or not settings.quick) else ORDERS[:3]
        errors = np.empty((len(orders), len(start), len(STEPS)))
        for i, step in enumerate(steps):
            first, later = _ran(case.rule, case.gradient, start, step, case.scale)
            for j, truncation in enumerate(orders):
                rhs = subject.optimiser_equation(
                    case.optimiser, truncation, case.gradient, gamma=step, **dict(case.values)
                )
                errors[j, :, i] = _distance(
                    rhs, first, later, case.scale * np.array(RECORDS), 1e-4 * 10.0**-truncation
                )
        measured += [
            order(
                f"order of the equation of {case.name} through gamma^{truncation}",
                steps, errors[j], truncation, settings, tolerance=0.3,
            )
            for j, truncation in enumerate(orders)
        ]  # fmt: skip
        series[case.name] = errors
    return Evidence(tuple(measured), {"steps": np.array(STEPS), **series})


def _draw_equations(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, axes = panels(3, width=3.6, height=3.6)
    for ax, truncation in zip(axes, ORDERS[:3], strict=True):
        for i, case in enumerate(CASES):
            errors = s[case.name][truncation - 1]
            convergence(ax, s["steps"] * case.scale, errors, label=case.name, which=i)
        top = float(np.median(s["Adam"][truncation - 1][:, 0]))
        slope_guide(ax, s["steps"], 2.5 * top, truncation)
        ax.set_title(rf"through $\gamma^{truncation}$")
        ax.set_xlabel(r"step $\gamma$")
    axes[0].set_ylabel("distance of iterates and flow")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return figure


def _one_less(subject: Subject) -> Subject:
    def equation(optimiser: Optimiser, truncation: int, *rest: Any, **values: float) -> Any:
        return subject.optimiser_equation(optimiser, max(truncation - 1, 1), *rest, **values)

    return replace(subject, optimiser_equation=equation)


def _reversed(subject: Subject) -> Subject:
    def equation(*arguments: Any, gamma: float, **values: float) -> Any:
        return subject.optimiser_equation(*arguments, gamma=-gamma, **values)

    return replace(subject, optimiser_equation=equation)


def _twice_the_width(subject: Subject) -> Subject:
    def equation(*arguments: Any, **values: float) -> Any:
        wider = {n: 2 * x if n in ("eps", "delta") else x for n, x in values.items()}
        return subject.optimiser_equation(*arguments, **wider)

    return replace(subject, optimiser_equation=equation)


def _formulas_equations() -> tuple[str, ...]:
    return (modified_equation(_ADAM, 2, "slow").latex() + r" + \ldots, \quad g = \nabla L",)


# The inertial system: memories with times of their own -----------------------------------

TAU = (0.3, 0.7)
SYSTEM_STEPS = (0.04, 0.02, 0.01)
BEGIN, END = 0.4, 1.2
_CORRECTED = Adam(placement="inside")


def _adam_in_time(start: FloatArray, step: float, betas: tuple[float, ...]) -> list[Any]:
    """Return (w, m, v) at BEGIN and at END of Adam with bias correction on the pendulum."""
    w, m, v = start, np.zeros_like(start), np.zeros_like(start)
    found = []
    for k in range(1, round(END / step) + 1):
        g = _numbers(pendulum, w)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        w = w - step * m / (1 - betas[0] ** k) / np.sqrt(v / (1 - betas[1] ** k) + EPS)
        if k in (round(BEGIN / step), round(END / step)):
            found.append((w, m, v))
    return found


def _check_times(subject: Subject, settings: Settings) -> Evidence:
    start = settings.rng("optimiser-times").uniform(1.0, 2.0, (settings.seeds, 2))
    ends = np.empty((len(SYSTEM_STEPS), len(start), 2))
    errors = np.empty((2, len(start), len(SYSTEM_STEPS)))
    values = dict(zip(("tau_1", "tau_2"), TAU, strict=True)) | {"eps": EPS}
    for i, step in enumerate(SYSTEM_STEPS):
        betas = subject.optimiser_rates(_CORRECTED, step, TAU)
        begun, ended = _adam_in_time(start, step, betas)
        ends[i] = ended[0]
        for corrections in (0, 1):
            rhs = subject.optimiser_system(_CORRECTED, corrections).rhs(
                pendulum, None, h=step, **values
            )

            # of the state only the weights, which are what training is about
            def along(t: float, y: FloatArray, rhs: Any = rhs) -> FloatArray:
                return np.stack(rhs(*y.reshape(3, *start.shape), t=t)).ravel()

            found = solve_ivp(
                along, (BEGIN, END), np.stack(begun).ravel(), "DOP853", rtol=1e-8, atol=1e-11
            )
            flow = found.y[: start.size, -1].reshape(start.shape)
            errors[corrections, :, i] = np.abs(flow - ended[0]).max(axis=-1)
    apart = np.abs(ends[1:] - ends[:-1]).max(axis=-1).T
    said = ("the leading system", "the system with its first correction")
    return Evidence(
        (
            *(
                order(f"order of {said[j]}", SYSTEM_STEPS, errors[j], j + 1, settings)
                for j in (0, 1)
            ),
            at_most(
                "distance of runs at steps 0.02 and 0.01, of that at 0.04 and 0.02",
                apart[:, 1] / apart[:, 0], 0.6, settings,
            ),
        ),
        {"steps": np.array(SYSTEM_STEPS), "errors": errors},
    )  # fmt: skip


def _draw_times(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, (axes,) = panels(width=5.2, height=3.5)
    for j, label in enumerate(("leading system", "with its first correction")):
        convergence(axes, s["steps"], s["errors"][j], label=label, which=j)
        slope_guide(axes, s["steps"], 1.6 * float(np.median(s["errors"][j][:, 0])), j + 1)
    axes.set_xlabel(r"step $\gamma$, at fixed $\tau_1$ and $\tau_2$")
    axes.set_ylabel("distance of iterates and system")
    axes.legend(loc="lower right")
    return figure


def _without_bias_correction(subject: Subject) -> Subject:
    def system(_: Optimiser, corrections: int) -> Any:
        return subject.optimiser_system(
            Adam(placement="inside", bias_correction=False), corrections
        )

    return replace(subject, optimiser_system=system)


def _kept_betas(subject: Subject) -> Subject:
    def rates(optimiser: Optimiser, _: float, times: tuple[float, ...]) -> Any:
        return subject.optimiser_rates(optimiser, SYSTEM_STEPS[0], times)

    return replace(subject, optimiser_rates=rates)


def _uncorrected(subject: Subject) -> Subject:
    def system(optimiser: Optimiser, _: int) -> Any:
        return subject.optimiser_system(optimiser, 0)

    return replace(subject, optimiser_system=system)


# Transfer to another batch size ------------------------------------------------------------

SETTINGS = {"lr": 2e-3, "betas": (0.975, 0.99), "eps": 1e-8}
BATCHES = (2, 8)
TRAINED = 800  # steps at the first batch size


def _trained(
    start: FloatArray, batch: int, steps: int, settings: Any, rng: np.random.Generator
) -> FloatArray:
    """Train a softmax layer on digits by Adam, rows drawn anew at each step; shape as start."""
    X, Y = _digits()
    (b1, b2), lr, eps = settings["betas"], settings["lr"], settings["eps"]
    w, m, v = start, np.zeros_like(start), np.zeros_like(start)
    for k in range(1, steps + 1):
        rows = rng.integers(0, len(X), (len(start), batch))
        g = _softmax_gradient(w, X[rows], Y[rows])
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        w = w - lr * m / (1 - b1**k) / (np.sqrt(v / (1 - b2**k)) + eps)
    return w


@cache
def _fitted() -> FloatArray:
    """Return a softmax layer that fits: from there on noise exceeds the mean gradient."""
    X, Y = _digits()
    w = m = v = np.zeros(650)
    for k in range(1, 151):
        g = _softmax_gradient(w, X, Y)
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        w = w - 0.01 * m / (1 - 0.9**k) / (np.sqrt(v / (1 - 0.99**k)) + 1e-8)
    return w


def _loss(w: FloatArray) -> FloatArray:
    X, Y = _digits()
    logits = X @ w.reshape(*w.shape[:-1], 65, 10)
    found: FloatArray = (np.log(np.exp(logits).sum(-1)) - (logits * Y).sum(-1)).mean(-1)
    return found


def _check_transfer(subject: Subject, settings: Settings) -> Evidence:
    runs = max(8, settings.seeds)
    rng = settings.rng("optimiser-transfer")
    start = np.repeat(_fitted()[None], runs, axis=0)
    found = subject.transfer("adam", SETTINGS, batch_size=BATCHES[0], to_batch_size=BATCHES[1])
    before = _trained(start, BATCHES[0], TRAINED, SETTINGS, rng)
    after = _trained(start, BATCHES[1], round(TRAINED * found.steps), found.settings, rng)
    moved = before.mean(0) - start[0]
    distance = np.linalg.norm(after.mean(0) - before.mean(0)) / np.linalg.norm(moved)
    learned = [float((_loss(start) - _loss(w)).mean()) for w in (before, after)]
    return Evidence(
        (
            at_most("distance of the mean weights, of how far they moved", distance, 0.3, settings),
            at_most(
                "difference of what the loss fell by, relative",
                abs(learned[1] / learned[0] - 1), 0.25, settings,
            ),
        ),
        {"loss": np.stack([_loss(w) for w in (start, before, after)])},
    )  # fmt: skip


def _draw_transfer(evidence: Evidence) -> Figure:

    figure, (axes,) = panels(width=5.2, height=3.2)
    names = ("start", f"batch {BATCHES[0]}", f"batch {BATCHES[1]},\ntransferred")
    for k, losses in enumerate(evidence.series["loss"]):
        axes.plot(np.full(losses.size, k), losses, "o", color=SERIES[k].color, alpha=0.5)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_xlabel("training of a softmax layer on digits, one point a run")
    axes.set_ylabel("training loss")
    return figure


def _with_settings(change: Callable[[Any], Any]) -> Callable[[Subject], Subject]:
    def plant(subject: Subject) -> Subject:
        def transfer(*arguments: Any, **options: Any) -> Any:
            found = subject.transfer(*arguments, **options)
            return replace(found, settings=change(found))

        return replace(subject, transfer=transfer)

    return plant


def _linear(found: Any) -> Any:
    return {**SETTINGS, "lr": found.before["lr"] * BATCHES[1] / BATCHES[0]}


# The loss that Adam descends ----------------------------------------------------------------


def _adam_without_eps(
    w: FloatArray, g: FloatArray, held: Memories, step: float
) -> tuple[FloatArray, Memories]:
    m = B1 * held[0] + (1 - B1) * g
    v = B2 * held[1] + (1 - B2) * g * g
    return w - step * m / np.sqrt(v), (m, v)


def _check_loss(subject: Subject, settings: Settings) -> Evidence:
    start = settings.rng("adam-modified-loss").uniform(0.0, 2.0, (settings.seeds, 2))
    found = subject.optimiser_loss(_exact_adam())
    preconditioner = kernel(found.preconditioner, [g])
    added = kernel(sp.diff(found.correction, g), [g])
    errors = np.empty((2, len(start), len(STEPS)))
    for i, step in enumerate(STEPS):
        first, later = _ran(_adam_without_eps, uphill, start, step, 1.0)
        for j, share in enumerate((0.0, step)):

            def descended(w: FloatArray, share: float = share) -> FloatArray:
                q = _numbers(uphill, w)
                more = (_uphill_hessian(w) @ added(q)[..., None])[..., 0]
                down: FloatArray = -preconditioner(q) * (q + share * more)
                return down

            errors[j, :, i] = _distance(descended, first, later, np.array(RECORDS), 1e-8)
    return Evidence(
        (
            order(
                "order of the flow down the modified loss", STEPS, errors[1], 2, settings,
                tolerance=0.3,
            ),
            at_most(
                "its mean distance from the iterates, of that of the flow down L",
                errors[1].mean(axis=0) / errors[0].mean(axis=0), 0.2, settings,
            ),
        ),
        {"steps": np.array(STEPS), "errors": errors},
    )  # fmt: skip


def _exact_adam() -> Optimiser:
    return Adam(sp.Rational(str(B1)), sp.Rational(str(B2)), eps=0)


def _draw_loss(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, (axes,) = panels(width=5.2, height=3.5)
    for j, label in enumerate(("down $L$", "down the modified loss")):
        convergence(axes, s["steps"], s["errors"][j], label=label, which=j)
        slope_guide(axes, s["steps"], 1.6 * float(np.median(s["errors"][j][:, 0])), j + 1)
    axes.set_xlabel(r"step $\gamma$")
    axes.set_ylabel("distance of iterates and flow")
    axes.legend(loc="lower right")
    return figure


def _exchanged(subject: Subject) -> Subject:
    def loss(_: Optimiser) -> Any:
        return subject.optimiser_loss(Adam(sp.Rational(str(B2)), sp.Rational(str(B1)), eps=0))

    return replace(subject, optimiser_loss=loss)


def _without_correction(subject: Subject) -> Subject:
    def loss(optimiser: Optimiser) -> Any:
        return replace(subject.optimiser_loss(optimiser), correction=sp.S.Zero)

    return replace(subject, optimiser_loss=loss)


def _formula_loss() -> tuple[str, ...]:
    return (modified_loss(Adam(eps=0)).latex(),)


def _formula_times() -> tuple[str, ...]:
    return (leading_equation(Adam(bias_correction=False)).latex(),)


def _formula_transfer() -> tuple[str, ...]:
    return tuple(rule.latex() for rule in scaling_rules(Adam(), noise=True))


CLAIMS = (
    Claim(
        name="optimiser-equations",
        theme=THEME,
        title="Equations of Adam, AdamW, RMSProp and Lion follow the iterates at their order",
        statement=(
            "The equation of an optimiser with fixed parameters, derived from its update and cut "
            "after gamma^p, is followed by the iterates to order p, p = 1, 2, 3, once the "
            "memories have forgotten the start: Adam (p = 4 too), AdamW, RMSProp, all with eps "
            "inside the root, and Lion with a smoothed sign on a coupled pendulum, Adam on a "
            "softmax layer for 150 digits, 650 weights."
        ),
        formulas=_formulas_equations,
        source=f"{CATTANEO} (Adam, first correction); the others derived here",
        check=_check_equations,
        controls=(
            Mutation("equation-cut-short", "the equation with its last term left out", _one_less),
            Mutation("corrections-reversed", "odd corrections with the wrong sign", _reversed),
            Mutation(
                "width-doubled",
                "the equation of twice eps, or twice the smoothing",
                _twice_the_width,
            ),
        ),
        draw=_draw_equations,
        caption="Median over the starts, range shaded.",
    ),
    Claim(
        name="optimiser-times",
        theme=THEME,
        title="The times of its memories decide the path of Adam, not step and betas by themselves",
        statement=(
            f"With tau_1 = {TAU[0]:g}, tau_2 = {TAU[1]:g} and eps fixed, Adam with bias correction "
            "runs along one path at every step: first-order close to the leading system, of "
            "second order to the one with its first correction, on a coupled pendulum."
        ),
        formulas=_formula_times,
        source=f"{MALLADI} (leading system); corrections derived here",
        check=_check_times,
        controls=(
            Mutation(
                "no-bias-correction",
                "the system without bias correction",
                _without_bias_correction,
            ),
            Mutation("betas-kept", "betas kept while the step changes", _kept_betas),
            Mutation("system-uncorrected", "the first correction left out", _uncorrected),
        ),
        draw=_draw_times,
        caption="Median over the starts, range shaded.",
    ),
    Claim(
        name="optimiser-transfer",
        theme=THEME,
        title="The square-root rule carries Adam's training of digits to another batch size",
        statement=(
            f"A softmax layer on digits, trained on from where it fits, with batches of "
            f"{BATCHES[0]}, and with batches of {BATCHES[1]} and the hyperparameters that the "
            "solved rule gives: at the same time the mean weights differ by less than 0.3 of "
            "how far they moved (0.16 is what two samples of eight runs differ by), the loss has "
            "fallen as far to 25 %."
        ),
        formulas=_formula_transfer,
        source=MALLADI,
        check=_check_transfer,
        controls=(
            Mutation(
                "linear-rule",
                "the step in proportion to the batch, all else kept",
                _with_settings(_linear),
                "code",
            ),
            Mutation(
                "nothing-transferred",
                "the hyperparameters kept",
                _with_settings(lambda found: SETTINGS),
                "code",
            ),
        ),
        draw=_draw_transfer,
        caption="Loss on all digits before and after training, one point a run.",
    ),
    Claim(
        name="adam-modified-loss",
        theme=THEME,
        title="Adam without eps descends a loss with the l1 norm of its gradient added",
        statement=(
            f"With beta_1 = {B1:g}, beta_2 = {B2:g}, eps = 0 the flow -P grad U, P = 1/|g|, "
            "follows Adam to second order, five times as close or more as the flow down L itself, "
            "on a loss with a gradient that keeps its signs."
        ),
        formulas=_formula_loss,
        source=CATTANEO,
        check=_check_loss,
        controls=(
            Mutation("memories-exchanged", "beta_1 and beta_2 exchanged", _exchanged),
            Mutation("loss-uncorrected", "the flow down L itself", _without_correction),
        ),
        draw=_draw_loss,
        caption="Median over the starts, range shaded.",
    ),
)
