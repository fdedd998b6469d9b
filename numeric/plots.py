"""Pictures of results, in the one style of every figure: what their `plot` draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import FloatArray
from momentumflow.base.errors import InputError
from momentumflow.base.figures import SERIES, Series, band, panels, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Curves that are not told apart are context.
_CONTEXT = "0.75"
# What is drawn in place of zero on a logarithmic axis.
_FLOOR = 1e-16


def chosen(theta: FloatArray, index: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the index of one run or problem of a batch.

    Raises
    ------
    InputError
        If there is none of that index, or a batch and no index.
    """
    shape = theta.shape[:-1]
    where = () if index is None else (index,) if isinstance(index, int) else tuple(index)
    inside = len(where) == len(shape) and all(
        -n <= i < n for i, n in zip(where, shape, strict=False)
    )
    if not inside:
        raise InputError(
            f"index as one of a batch of shape {shape}" if shape else "no index: there is no batch",
            f"index={index}",
        )
    return where


def ends(axes: Axes, theta: FloatArray, *, label: str, which: int, filled: bool = True) -> None:
    """Draw the coordinates (d,) as one series of markers over their numbers."""
    look = SERIES[which]
    axes.plot(
        np.arange(theta.size), theta, look.marker, color=look.color, label=label,
        markerfacecolor=look.color if filled else "none",
        markersize=4.0 if filled else 8.0, markeredgewidth=0.0 if filled else 1.2,
    )  # fmt: skip
    axes.axhline(0.0, color="0.6", linewidth=0.7, zorder=0)
    axes.set_xlabel("coordinate")
    axes.set_ylabel("θ")


def curves(axes: Axes, x: FloatArray, theta: FloatArray, end: FloatArray) -> dict[int, Series]:
    """Draw coordinates theta (records, d) over x; return the looks of those in colour.

    Those largest at `end` (d,) are told apart; the rest is grey.
    """
    largest = np.argsort(-np.abs(end), kind="stable")[: len(SERIES)]
    looks = {int(j): look for j, look in zip(largest, SERIES, strict=False) if end[j] != 0}
    rest = np.delete(theta, list(looks), axis=1)
    if rest.size:
        axes.plot(x, rest, color=_CONTEXT, linewidth=0.8)
    for j, look in looks.items():
        axes.plot(x, theta[:, j], color=look.color, linestyle=look.linestyle, label=f"θ[{j}]")
    axes.set_ylabel("coordinates of θ")
    return looks


def picture_of_ends(
    found: FloatArray,
    *,
    label: str,
    predicted: FloatArray | None = None,
    teacher: FloatArray | None = None,
    path: tuple[FloatArray, FloatArray, FloatArray] | None = None,
) -> Figure:
    """Draw where a run ended and where it was predicted to; before it, how it came there.

    Parameters
    ----------
    found : ndarray, shape (d,)
    label : str
        What it is called.
    predicted, teacher : ndarray, shape (d,), optional
    path : tuple of ndarray, optional
        Times (records,), theta (records, d) and loss (records,).
    """
    with style():
        figure, row = panels(1 if path is None else 3, width=4.2, height=3.3)
        last = row[-1]
        if path is not None:
            time, theta, loss = path
            looks = curves(row[0], time, theta, found)
            if predicted is not None:
                for j, look in looks.items():
                    row[0].plot(
                        time[-1], predicted[j], "x", color=look.color, markeredgewidth=1.4,
                        markersize=7.0, clip_on=False,
                    )  # fmt: skip
                row[0].set_title("× predicted limit")
            row[0].set_xlabel("time")
            row[1].plot(time, np.maximum(loss, _FLOOR), color=SERIES[0].color)
            row[1].set_yscale("log")
            row[1].set_xlabel("time")
            row[1].set_ylabel("loss")
        if predicted is not None:
            ends(last, predicted, label="predicted limit", which=1, filled=False)
        if teacher is not None:
            ends(last, teacher, label="teacher", which=2, filled=False)
        ends(last, found, label=label, which=0)
        if predicted is None and teacher is None:
            last.set_title(label)
        else:
            last.legend()
    return figure


def picture_of_path(
    balancedness: FloatArray,
    theta: FloatArray,
    limits: tuple[FloatArray, FloatArray],
    excess: tuple[FloatArray, FloatArray],
) -> Figure:
    """Draw a regularisation path with its l1 and l2 limits, and by how much its norms exceed.

    Shapes: balancedness (K,), theta (K, d), limits (d,), excess (K,).
    """
    with style():
        figure, (left, right) = panels(2)
        sparse, least = limits
        for j, look in curves(left, balancedness, theta, np.round(sparse, 8)).items():
            for at, limit, marker in ((0, sparse, "o"), (-1, least, "s")):
                left.plot(balancedness[at], limit[j], marker, color=look.color, clip_on=False)
        left.set(xscale="log", xlabel="balancedness Δ")
        left.set_title("○ basis pursuit (Δ → 0)   □ least norm (Δ → ∞)")
        for look, part, name in zip(SERIES, excess, ("₁", "₂"), strict=False):
            right.plot(
                balancedness, np.maximum(part, _FLOOR), color=look.color,
                linestyle=look.linestyle, label=f"|θ|{name} / least − 1",
            )  # fmt: skip
        right.set(xscale="log", yscale="log", xlabel="balancedness Δ", ylabel="excess norm")
        right.legend()
    return figure


@checked
def plot_sweep(dataset: Any, measure: str = "loss", x: str | None = None) -> Figure:
    """Draw one measure of a sweep over one of its axes: the median and the range over seeds.

    Parameters
    ----------
    dataset : xarray Dataset
        What `sweep` returned or stored.
    measure : str
        One of its variables.
    x : str, optional
        The axis to draw over; the longest one but the seeds by default. At most one more
        axis gives a curve for each of its values: take one value of the others before,
        with `dataset.sel(...)`.

    Returns
    -------
    matplotlib Figure
        Runs without a number, because they diverged, are left out.

    Raises
    ------
    InputError
        If there is no such measure or axis, or more axes than can be drawn.
    """
    array = _measure(dataset, measure)
    axes_left = [str(name) for name in array.dims if name != "seed" and array.sizes[name] > 1]
    if x is None and axes_left:
        x = max(axes_left, key=lambda name: array.sizes[name])
    if x is None or x not in axes_left:
        raise InputError(f"x as one of {', '.join(axes_left) or 'no axis: one point'}", repr(x))
    others = [name for name in axes_left if name != x]
    if len(others) > 1:
        raise InputError(
            f"one axis beside {x}", ", ".join(others), "take one value, with dataset.sel(...)"
        )
    hue = others[0] if others else None
    array = array.transpose(*([hue] if hue else []), ..., x)
    rows = array if hue else array.expand_dims("one")
    if rows.shape[0] > len(SERIES):
        raise InputError(
            f"at most {len(SERIES)} values of {hue}", f"{rows.shape[0]}",
            "take some, with dataset.isel(...)",
        )  # fmt: skip
    grid = np.asarray(array[x].values, dtype=np.float64)
    with style():
        figure, (one,) = panels()
        for which, row in enumerate(rows):
            label = f"{hue} = {row[hue].item():g}" if hue else measure
            band(one, grid, np.asarray(row.values).reshape(-1, grid.size), label=label, which=which)
        if np.all(grid > 0) and grid.max() >= 10 * grid.min():
            one.set_xscale("log")
        if 0 < 10 * np.nanmin(rows.values) <= np.nanmax(rows.values):
            one.set_yscale("log")
        one.set_xlabel(x)
        one.set_ylabel(measure)
        if hue:
            one.legend()
    return figure


def _measure(dataset: xr.Dataset, measure: str) -> xr.DataArray:
    known = [str(name) for name in getattr(dataset, "data_vars", ()) if name != "status"]
    if not known:
        raise InputError("the Dataset of a sweep", type(dataset).__name__)
    if measure not in known:
        raise InputError(f"a measure among {', '.join(known)}", repr(measure))
    return dataset[measure].astype(np.float64)
