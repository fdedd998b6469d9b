"""What the page says: the derived equation, the numbers, and how run and prediction compare."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from urllib.parse import urlencode

import numpy as np

from momentumflow.base.numbers import in_latex
from momentumflow.explore.scene import Controls, Scene
from momentumflow.numeric import RunStatus
from momentumflow.symbolic.printing import joined
from momentumflow.verify.evidence import Verdict
from momentumflow.verify.limit_evidence import LIMIT_TOLERANCE


class Tone(enum.Enum):
    """How a sentence is coloured; the values are marimo's kinds of callout."""

    GOOD = "success"
    OPEN = "warn"
    BAD = "danger"


@dataclass(frozen=True)
class Sentence:
    """A sentence of the page, in Markdown, with its tone."""

    tone: Tone
    text: str


def verdict(scene: Scene) -> Sentence:
    """Say whether the run ended where the convex problem says; if it has no limit, why."""
    run = scene.run
    steps, status = int(run.end.steps), run.end.status
    if status is RunStatus.DIVERGED:
        where = (
            f"γ is below {scene.largest_step:.3g}, the largest stable step at the limit, but the "
            "run does not come there: reduce γ or β"
            if scene.stable
            else f"Reduce γ below {scene.largest_step:.3g}, the largest stable step at the limit"
        )
        return Sentence(
            Tone.BAD, f"**No limit: {status.value}.** {where}; a smaller α can help, too."
        )
    if status is not RunStatus.CONVERGED:
        return Sentence(
            Tone.OPEN,
            f"**No limit yet: {status.value}.** The residual is {float(run.end.residual):.1e} "
            f"of |y| after {steps:,} steps; a larger γ, β or α gets there sooner.",
        )
    if run.verdict is Verdict.UNDECIDED:
        reason = run.end.predicted_limit().status.value
        return Sentence(Tone.OPEN, f"**No prediction: the convex problem is {reason}.**")
    changes = int(np.sum(run.end.sign_changes))
    ends = (
        f"The run ends at relative distance **{run.distance:.1e}** from the predicted limit "
        f"after {steps:,} steps and {changes:,} sign changes."
    )
    if run.verdict is Verdict.SUPPORTED:
        return Sentence(Tone.GOOD, f"**Predicted.** {ends}")
    return Sentence(
        Tone.BAD, f"**Not as predicted:** more than the tolerance {LIMIT_TOLERANCE:.0e}. {ends}"
    )


def acceleration(scene: Scene) -> str:
    """Say what the acceleration rule does at this position, in Markdown; "" at rho = 1."""
    rho = scene.controls.rho
    if scene.no_acceleration:
        return (
            f"ρ = {rho:g} is too fast for this momentum: expected {scene.no_acceleration}. "
            "Reduce ρ, or raise β."
        )
    if scene.accelerated is None:
        return ""
    fast = scene.accelerated
    pair = f"(γ, β) = ({fast.gamma:.3g}, {fast.beta:.3g})"
    if fast.distance is None:
        return f"With ρ = {rho:g}, {pair}: {fast.end.status.value}."
    return (
        f"With ρ = {rho:g}, {pair} keeps λ and takes {int(fast.end.steps):,} steps "
        f"in place of {int(scene.run.end.steps):,}."
    )


def equation(scene: Scene) -> str:
    """Return the derived equation and its parameters with their values, in Markdown."""
    derived, numbers = scene.formulas, scene.parameters
    method = {"heavy_ball": "heavy ball", "nesterov": "Nesterov's method"}[scene.controls.method]
    # Momentum flow has the terms in f and v; a method with others follows it less closely.
    further = len(derived.equation) > 2
    note = " The grey flow of $\\hat\\lambda$ leaves the last term out." if further else ""
    values = {
        r"\epsilon": numbers.eps,
        r"\lambda": numbers.intrinsic,
        r"\hat\lambda": numbers.refined,
        r"\lambda_\star": numbers.all_orders,
    }
    rows = r" \\[0.7em] ".join(
        rf"{name} &= {derived.latex[name]} &&= {in_latex(value)}" for name, value in values.items()
    )
    left, terms = derived.equation.latex_pieces()
    rest = derived.equation.initial_velocity
    start = "" if rest is None else f"$${rest.latex()}$$\n\n"
    return (
        f"**The equation that {method} follows**\n\n"
        f"$${left} = {joined(terms)} + O(\\epsilon^2)$$\n\n{start}"
        "with $v = w'$, $f = -\\nabla F(w)$ and one step every $\\epsilon$, where\n\n"
        f"$$\\begin{{aligned}} {rows} \\end{{aligned}}$$\n\n"
        "$\\hat\\lambda$ is $\\lambda$ with the first correction, $\\lambda_\\star$ with those "
        f"of all orders.{note} Faster along the same path:\n\n"
        f"$${derived.latex['rule']}$$"
    )


def link(controls: Controls) -> str:
    """Return the part of an address that leads to this position of the sliders."""
    return "?" + urlencode(controls.to_dict())
