"""Figures of this room; Matplotlib is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from momentumflow.base.arguments import checked
from momentumflow.base.errors import InputError, shown
from momentumflow.numeric.implicit.path import RegularisationPath


@checked
def plot_path(path: RegularisationPath, axes: Sequence[Any] | None = None) -> Any:
    """Draw the coordinates along the path, with both limits, and both norms.

    Parameters
    ----------
    path : RegularisationPath
    axes : pair of matplotlib Axes, optional
        Left for the coordinates, right for the norms; made if missing.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    InputError
        If `axes` is no pair of Axes.
    """
    import matplotlib.pyplot as plt

    if axes is None:
        _, axes = plt.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained")
    if len(axes) != 2 or not all(hasattr(one, "plot") for one in axes):
        raise InputError("axes as a pair of matplotlib Axes", shown(axes))
    left, right = axes
    grid = path.balancedness
    # Colour the coordinates that basis pursuit selects; the rest are context.
    chosen = np.abs(path.basis_pursuit.theta) > 1e-8 * np.abs(path.basis_pursuit.theta).max()
    if (~chosen).any():
        left.plot(grid, path.theta[:, ~chosen], color="0.75", lw=0.8)
    for i, index in enumerate(np.flatnonzero(chosen)):
        colour = f"C{i % 10}"
        left.plot(grid, path.theta[:, index], color=colour, lw=1.5)
        left.plot(grid[0], path.basis_pursuit.theta[index], "o", color=colour, ms=4, clip_on=False)
        left.plot(grid[-1], path.least_norm.theta[index], "s", color=colour, ms=4, clip_on=False)
    left.set(xscale="log", xlabel="balancedness Δ", ylabel="coordinates of θ")
    left.set_title("○ basis pursuit (Δ → 0)   □ least norm (Δ → ∞)", fontsize=9)
    floor = 1e-16
    right.plot(grid, np.maximum(path.l1_excess, floor), label="|θ|₁ / least − 1")
    right.plot(grid, np.maximum(path.l2_excess, floor), label="|θ|₂ / least − 1")
    right.set(xscale="log", yscale="log", xlabel="balancedness Δ", ylabel="excess norm")
    right.legend(frameon=False)
    return left.figure
