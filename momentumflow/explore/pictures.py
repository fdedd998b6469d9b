"""The pictures of the page, in the shared style of `momentumflow.base.figures`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from momentumflow.base import libraries
from momentumflow.base.arrays import FloatArray
from momentumflow.base.figures import SERIES, document, inline, panels, style
from momentumflow.base.numbers import in_text
from momentumflow.explore.scene import Scene
from momentumflow.numeric import Path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The plane of (gamma, 1 - beta), a little wider than the sliders.
_GAMMAS, _LAGS = np.geomspace(5e-4, 2.0, 32), np.geomspace(4e-3, 1.0, 32)
_MARKERS = 40
_FLOW_LOOK: dict[str, Any] = {
    "color": "0.72",
    "linewidth": 4.0,
    "solid_capstyle": "round",
    "zorder": 1,
}
# Plain text is several times quicker to set than mathtext.
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
# The style is a global of matplotlib, and each visitor of the page has a thread.
_drawing = threading.Lock()


def draw(scene: Scene) -> dict[str, str]:
    """Return every picture as an SVG element, by name: path, balancedness, plane."""
    with _drawing, style():
        return {name: inline(document(picture(scene))) for name, picture in PICTURES.items()}


def path(scene: Scene) -> Figure:
    """Draw two coordinates of theta: the flow, the iterates, and the predicted limit."""
    figure, axes = _canvas()
    first, second, _ = scene.coordinates
    flow = _plane_of(_finite(_theta(scene.flow.path)), scene)
    axes.plot(*flow.T, label="flow", **_FLOW_LOOK)
    shown = [(scene.run, 0, "iterates")]
    if scene.accelerated is not None:
        shown.append((scene.accelerated, 2, f"ρ = {scene.controls.rho:g} times faster"))
    corners = [flow]
    for run, which, label in shown:
        look = SERIES[which]
        theta = _plane_of(_finite(_theta(run.path)), scene)
        axes.plot(*theta.T, color=look.color, linewidth=0.8, linestyle=look.linestyle, zorder=2)
        marked = theta[_evenly_spread(theta)]
        face = look.color if which == 0 else "white"
        axes.plot(
            *marked.T, linestyle="", marker=look.marker, color=look.color, markerfacecolor=face,
            markeredgewidth=0.9, markersize=4, label=label, zorder=3,
        )  # fmt: skip
        if run.end.converged:
            corners.append(theta)
    if scene.run.limit is not None:
        limit = _plane_of(scene.run.limit.theta, scene)
        corners.append(limit[None])
        axes.plot(
            *limit, linestyle="", marker="x", color=SERIES[1].color, markersize=12,
            markeredgewidth=2.4, label="predicted limit", zorder=9,
        )  # fmt: skip
    # A run that blows up must not push the rest out of sight.
    _frame(axes, np.concatenate(corners))
    axes.set_xlabel(_indexed("θ", first))
    axes.set_ylabel(_indexed("θ", second))
    _legend(axes)
    return figure


def balancedness(scene: Scene) -> Figure:
    """Draw the balancedness of three coordinates over time, with its predicted asymptotes."""
    figure, axes = _canvas()
    run = scene.run
    start = float(run.end.initial_balancedness.max())
    lowest = highest = start
    for j, which in zip(scene.coordinates, (0, 1, 5), strict=True):
        look = SERIES[which]
        values = _finite(_balancedness(run.path))[:, j]
        assert scene.flow.path is not None
        flow = _finite(_balancedness(scene.flow.path))[:, j]
        axes.plot(scene.flow.path.time[: flow.size], flow, **_FLOW_LOOK)
        axes.plot(
            run.path.time[: values.size],
            values,
            color=look.color,
            label=_indexed("Δ", j),
            zorder=3,
        )
        if run.end.converged:
            highest = max(highest, float(values.max()))
        if run.limit is not None:
            end = float(run.end.predicted_balancedness[j])
            lowest = min(lowest, end)
            axes.axhline(end, color=look.color, linestyle=(0, (4, 3)), linewidth=1.1, zorder=2)
    axes.plot([], [], color="0.35", linestyle=(0, (4, 3)), linewidth=1.1, label="predicted")
    axes.plot([], [], label="flow", **_FLOW_LOOK)
    # Where a weight changes sign the balancedness passes through zero.
    axes.set_ylim(max(lowest / 5, start * 1e-12), 2 * highest)
    _logarithmic(axes, "y")
    axes.set_xlabel("time t = k ε")
    axes.set_ylabel("balancedness Δ")
    figure.subplots_adjust(left=0.18)  # room for numbers such as 0.001
    _legend(axes)
    return figure


def plane(scene: Scene) -> Figure:
    """Draw the (gamma, beta) plane: lines of equal lambda, and where the step is unstable."""
    figure, axes = _canvas()
    # Before the contours, whose labels follow them on the screen.
    axes.set_xlim(_GAMMAS[0], _GAMMAS[-1])
    axes.set_ylim(_LAGS[-1], _LAGS[0])
    _logarithmic(axes, "xy")
    derived = scene.formulas
    gammas, lags = np.meshgrid(_GAMMAS, _LAGS)
    lam = np.log10(derived.intrinsic(gammas, 1 - lags))
    levels = np.arange(-3, 6)
    lines = axes.contour(
        gammas, lags, lam, levels=levels, colors="0.55", linewidths=0.8, linestyles="-"
    )
    axes.clabel(lines, fmt=lambda level: f"λ = {_plainly(10.0**level)}", fontsize=7)
    here = np.log10(scene.parameters.intrinsic)
    axes.contour(
        gammas, lags, lam, levels=[here], colors=SERIES[0].color, linewidths=2.0, linestyles="-"
    )
    excess = gammas * scene.sharpness / derived.largest_step(1 - lags)
    axes.contourf(gammas, lags, excess, levels=[1, np.inf], colors=[SERIES[1].color], alpha=0.16)
    axes.contour(
        gammas, lags, excess, levels=[1], colors=SERIES[1].color, linewidths=1.2, linestyles="--"
    )
    controls = scene.controls
    runs: list[tuple[float, float, int]] = [(controls.gamma, controls.beta, 0)]
    if scene.accelerated is not None:
        runs.append((scene.accelerated.gamma, scene.accelerated.beta, 2))
    for gamma, beta, which in runs:
        look = SERIES[which]
        axes.plot(
            gamma, 1 - beta, marker=look.marker, color=look.color, markersize=9,
            markerfacecolor=look.color if which == 0 else "white", markeredgewidth=1.4, zorder=9,
        )  # fmt: skip
    axes.grid(visible=False)
    axes.set_xlabel("step γ")
    axes.set_ylabel("1 − β")
    return figure


PICTURES: dict[str, Callable[[Scene], Figure]] = {
    "path": path,
    "balancedness": balancedness,
    "plane": plane,
}


def _canvas() -> tuple[Figure, Axes]:
    """Return a figure that is drawn promptly: no search for a layout."""
    figure, (axes,) = panels(width=4.4, height=3.5, layout="none")
    figure.subplots_adjust(left=0.14, right=0.975, bottom=0.135, top=0.915)
    return figure, axes


def _legend(axes: Axes) -> None:
    """Put the legend above the axes, where it hides nothing and needs no search."""
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=5, columnspacing=1.0,
        handlelength=1.6, handletextpad=0.5, borderaxespad=0.2,
    )  # fmt: skip


def _logarithmic(axes: Axes, which: str) -> None:
    """Make the axes in `which` logarithmic.

    The limits of an axis must stand: less than two decades get labels in between.
    """
    for name in which:
        axes.set(**{f"{name}scale": "log"})
        axis = getattr(axes, f"{name}axis")
        low, high = sorted(getattr(axes, f"get_{name}lim")())
        ticker = libraries.matplotlib().ticker
        axis.set_major_locator(ticker.LogLocator(numticks=8))
        axis.set_minor_locator(ticker.LogLocator(subs=(2, 5), numticks=8))
        plainly = ticker.FuncFormatter(_plainly)
        axis.set_major_formatter(plainly)
        axis.set_minor_formatter(plainly if high < 100 * low else ticker.NullFormatter())


def _indexed(letter: str, coordinate: int) -> str:
    return letter + str(coordinate + 1).translate(_SUBSCRIPTS)


def _plainly(value: float, _: int | None = None) -> str:
    return in_text(value, digits=4)


def _theta(path: Path | None) -> FloatArray:
    assert path is not None
    with np.errstate(all="ignore"):
        return path.theta


def _balancedness(path: Path | None) -> FloatArray:
    assert path is not None
    with np.errstate(all="ignore"):
        return path.balancedness


def _plane_of(theta: FloatArray, scene: Scene) -> FloatArray:
    return theta[..., list(scene.coordinates[:2])]


def _finite(rows: FloatArray) -> FloatArray:
    """Return the rows before the first that has left all bounds: those of a run that blew up."""
    size = np.max(np.abs(rows), axis=-1)
    bad = np.flatnonzero(~(size < 1e6))
    return rows[: bad[0]] if bad.size else rows


def _evenly_spread(points: FloatArray) -> FloatArray:
    """Return indices of points that are about equally far apart along their line."""
    length = np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=-1))]
    wanted = np.linspace(0, length[-1], _MARKERS)
    return np.unique(np.searchsorted(length, wanted).clip(0, len(points) - 1))


def _frame(axes: Axes, points: FloatArray) -> None:
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.08 * np.maximum(high - low, 0.1)
    axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
    axes.set_ylim(low[1] - margin[1], high[1] + margin[1])
