"""The parts of the page as marimo shows them: sliders, verdict, pictures, equation."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from html import escape
from typing import Any, Literal

import marimo as mo

from momentumflow.base.errors import InputError
from momentumflow.explore import words
from momentumflow.explore.formulas import METHODS
from momentumflow.explore.pictures import draw
from momentumflow.explore.scene import COLUMNS, ROWS, SPARSITY, Controls, compute

_CAPTIONS = {
    "path": "Two coordinates of θ: iterates, the momentum flow of λ̂ beneath them, and the "
    "predicted limit.",
    "balancedness": "Balancedness Δ over time, for the coordinates of the path and one that "
    "the teacher leaves zero; dashed, the predicted asymptotic values.",
    "plane": "Lines of equal λ in the plane of step and momentum; the blue one is yours. "
    "Shaded: unstable at the limit.",
}
# Steps of a slider that are about 12 % apart and read well.
_RENARD = (
    1.0, 1.12, 1.25, 1.4, 1.6, 1.8, 2.0, 2.24, 2.5, 2.8,
    3.15, 3.55, 4.0, 4.5, 5.0, 5.6, 6.3, 7.1, 8.0, 9.0,
)  # fmt: skip


def start_of(parameters: Mapping[str, Any]) -> tuple[Controls, str]:
    """Read where the sliders start from an address's parameters.

    Parameters
    ----------
    parameters : mapping
        Names of `Controls` to texts; other names are left to whom they concern.

    Returns
    -------
    tuple of Controls and str
        The start and a complaint; defaults and one sentence if it cannot be read.
    """
    kinds = {name: type(value) for name, value in Controls().to_dict().items()}
    try:
        values: dict[str, Any] = {}
        for name, kind in kinds.items():
            if name in parameters:
                try:
                    values[name] = kind(parameters[name])
                except (TypeError, ValueError):
                    raise InputError(
                        f"{name} as a number in the address", repr(parameters[name])
                    ) from None
        return Controls(**values), ""
    except InputError as error:
        return Controls(), f"{error} The sliders stand at their defaults."


def sliders(start: Controls) -> mo.ui.dictionary:
    """Return the controls, standing at `start`."""
    steps = {
        "gamma": _preferred(1e-3, 1.0),
        "beta": [round(1 - lag, 5) for lag in _preferred(5e-3, 1.0)],
        "alpha": _preferred(1e-2, 2.0),
        "rho": [1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0],
    }
    labels = {
        "gamma": "step γ",
        "beta": "momentum β",
        "alpha": "start α",
        "rho": "along equal λ, faster by ρ",
    }

    def slider(name: str) -> mo.ui.slider:
        value = getattr(start, name)
        # A start between two positions gets a position of its own.
        positions = sorted({*steps[name], value})
        return mo.ui.slider(
            steps=positions, value=value, label=labels[name], show_value=True, full_width=True
        )

    elements: dict[str, Any] = {name: slider(name) for name in ("gamma", "beta", "alpha")}
    elements["seed"] = mo.ui.slider(
        0, max(50, start.seed), value=start.seed, label="seed", show_value=True, full_width=True
    )
    elements["rho"] = slider("rho")
    elements["method"] = mo.ui.dropdown(
        {name.replace("_", " "): name for name in METHODS},
        value=start.method.replace("_", " "),
        label="method",
        full_width=True,
    )
    return mo.ui.dictionary(elements)


def header(controls: mo.ui.dictionary) -> mo.Html:
    """Return the title and the controls."""
    cells = "".join(f"<div>{element.text}</div>" for element in controls.elements.values())
    return mo.Html(
        '<div class="mf"><h1>Momentum in continuous time</h1>'
        f"<p>A diagonal linear network on a random problem of {ROWS} rows, {COLUMNS} features "
        f"and a teacher of {SPARSITY} entries. Keep λ, and the path stays.</p>"
        f'<div class="mf-controls">{cells}</div></div>'
    )


def body(values: Mapping[str, Any], complaint: str) -> mo.Html:
    """Return verdict, pictures and equation for a position of the sliders."""
    warning = _said(complaint, "warn") if complaint else ""
    try:
        controls = Controls(**values)
        scene = compute(controls)
    except InputError as error:
        return mo.Html(f'<div class="mf">{warning}{_said(str(error), "danger")}</div>')
    said = words.verdict(scene)
    hurried = words.acceleration(scene)
    text = f"{said.text}\n\n{hurried}" if hurried else said.text
    figures = {name: _figure(name, svg) for name, svg in draw(scene).items()}
    equation = f'<section class="mf-equation">{mo.md(words.equation(scene)).text}</section>'
    grid = figures["path"] + equation + figures["balancedness"] + figures["plane"]
    return mo.Html(
        '<div class="mf">'
        + warning
        + f'<div class="mf-verdict">{mo.callout(mo.md(text), kind=said.tone.value).text}</div>'
        + f'<div class="mf-grid">{grid}</div>'
        + f'<p><a href="{escape(words.link(controls))}">Link to this position</a></p></div>'
    )


def _said(sentence: str, kind: Literal["warn", "danger"]) -> str:
    # Not as Markdown: what an address says is to be shown, not obeyed.
    return mo.callout(mo.Html(f"<p>{escape(sentence)}</p>"), kind=kind).text


def _figure(name: str, svg: str) -> str:
    # As an image, so that the identifiers of three drawings do not meet, and the
    # browser need not build thousands of elements at each move of a slider.
    source = base64.b64encode(svg.encode()).decode()
    caption = escape(_CAPTIONS[name])
    return (
        f'<figure id="{name}"><img decoding="sync" alt="{caption}" '
        f'src="data:image/svg+xml;base64,{source}"><figcaption>{caption}</figcaption></figure>'
    )


def _preferred(low: float, high: float) -> list[float]:
    """Return the preferred numbers between two bounds, twenty a decade (Renard, ISO 3)."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    numbers = [float(f"{number}e{decade}") for decade in decades for number in _RENARD]
    return [number for number in numbers if low <= number <= high]
