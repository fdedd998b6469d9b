"""One style for every figure: readable in grey and by colour-blind people.

Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), ordered so
that neighbours differ in lightness as well as in hue, and every series has a
marker and a dash pattern of its own, so that nothing rests on colour alone.
Figures are built on `matplotlib.figure.Figure` directly: no pyplot, no global
state, no window.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from momentumflow.base import libraries
from momentumflow.base.arrays import FloatArray
from momentumflow.base.files import draft_of, write_whole
from momentumflow.base.numbers import in_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE = Path(__file__).with_name("momentumflow.mplstyle")


class Series(NamedTuple):
    """How one series is drawn: colour, marker and dash pattern go together."""

    color: str
    marker: str
    linestyle: Any


SERIES = (
    Series("#0072B2", "o", "-"),
    Series("#D55E00", "s", (0, (5, 1.5))),
    Series("#000000", "^", (0, (1.2, 1.2))),
    Series("#56B4E9", "D", (0, (6, 1.5, 1.2, 1.5))),
    Series("#CC79A7", "v", (0, (3, 1, 1, 1, 1, 1))),
    Series("#009E73", "P", (0, (8, 2))),
)


@contextmanager
def style() -> Iterator[None]:
    """Apply the house style within a `with` block."""
    with libraries.matplotlib().rc_context(fname=str(STYLE)):
        yield


@cache
def _shown_in_notebooks() -> type[Figure]:
    """Return Matplotlib's Figure with a picture of its own: without pyplot it would have none."""
    base: type[Figure] = libraries.matplotlib().figure.Figure

    class Picture(base):  # type: ignore[valid-type, misc]
        def _repr_svg_(self) -> str:
            return inline(document(self))

    return Picture


def panels(
    columns: int = 1,
    *,
    width: float = 4.6,
    height: float = 3.3,
    layout: Literal["constrained", "none"] = "constrained",
) -> tuple[Figure, Any]:
    """Return a figure and its row of `columns` axes (an array of Axes).

    The constrained layout draws twice; "none" is for pictures that are drawn
    again while somebody waits.
    """
    size, engine = (width * columns, height), None if layout == "none" else layout
    figure: Figure = _shown_in_notebooks()(figsize=size, layout=engine)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    return figure, axes


def band(axes: Axes, x: FloatArray, values: FloatArray, *, label: str, which: int) -> None:
    """Draw the median of values (samples, k) over x (k,) with their range, NaN left out."""
    look = SERIES[which]
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN")
        low, median, high = (f(values, axis=0) for f in (np.nanmin, np.nanmedian, np.nanmax))
    axes.fill_between(x, low, high, color=look.color, alpha=0.15, linewidth=0)
    axes.plot(
        x, median, color=look.color, marker=look.marker, linestyle=look.linestyle, label=label
    )


def convergence(
    axes: Axes,
    steps: ArrayLike,
    errors: ArrayLike,
    *,
    label: str,
    which: int,
) -> None:
    """Draw the median error over `steps` (..., k) with its range over the seeds, on logarithms."""
    h = np.asarray(steps, dtype=np.float64)
    band(
        axes, h, np.asarray(errors, dtype=np.float64).reshape(-1, h.size), label=label, which=which
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    # Few steps within a decade or two: 1, 2 and 5 in each, as plain numbers, do not collide.
    ticker = libraries.matplotlib().ticker
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(lambda x, _: in_text(x))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())


def slope_guide(axes: Axes, steps: ArrayLike, at: float, slope: float) -> None:
    """Draw a thin grey guide of given slope through (largest step, `at`).

    Its name stands beyond its right end, where no curve runs.
    """
    h = np.asarray(steps, dtype=np.float64)
    top = float(h.max())
    axes.plot(h, at * (h / top) ** slope, color="0.55", linewidth=0.8, linestyle="-", zorder=0)
    axes.annotate(
        f"slope {slope:g}",
        (top, at),
        textcoords="offset points",
        xytext=(5, 0),
        verticalalignment="center",
        color="0.35",
    )


def document(figure: Figure) -> str:
    """Draw the figure as an SVG document, fonts as paths; its layout stays from then on."""
    buffer = io.StringIO()
    # A fixed salt and no date: the same figure gives the same bytes.
    with style(), libraries.matplotlib().rc_context({"svg.hashsalt": "momentumflow"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    # The constrained layout draws everything to measure it: once is enough.
    figure.set_layout_engine("none")
    return buffer.getvalue()


def inline(svg: str) -> str:
    """Return the element of an SVG document, without the XML prologue."""
    return svg[svg.index("<svg") :]


def save(figure: Figure, folder: Path, name: str, svg: str | None = None) -> tuple[Path, ...]:
    """Write the figure as SVG, PDF and PNG (200 dpi) and return the paths.

    `svg` is the figure's `document`, where it has been drawn before.
    """
    paths = tuple(folder / f"{name}.{suffix}" for suffix in ("svg", "pdf", "png"))
    write_whole(paths[0], document(figure) if svg is None else svg)
    with style():
        for path in paths[1:]:
            with draft_of(path) as draft:
                figure.savefig(draft, dpi=200)
    return paths
