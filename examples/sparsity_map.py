"""The map of the README: where momentum finds sparser solutions, and where it does not.

For four designs and two sizes, over initialisation scale alpha and lambda: the mean of
ln(recovery error with momentum / without), with its 95 % interval over random problems.
The runs are momentum gradient flows to a relative residual of 1e-3, whose limits the
convex problem then gives; what that leaves open is of second order in the residual.

    python examples/sparsity_map.py FOLDER [SEEDS]

writes `sparsity_map.svg`, `.pdf`, `.png` and `sparsity_map.csv` to FOLDER. Finished runs are
kept in FOLDER/runs, so that the command resumes. 42 seeds (the default) are 10 080 runs, two
to three minutes of processor time.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm

from momentumflow.base.choices import Design
from momentumflow.base.figures import panels, save, style
from momentumflow.numeric import sweep
from momentumflow.verify.measure import mean_interval

DESIGNS: tuple[Design, ...] = get_args(Design)
SIZES = ((20, 30), (40, 60))
NON_ZEROS = 5
ALPHAS = (1.0, 0.3, 0.1, 0.03, 0.01)
LAMBDAS = (0.03, 0.1, 0.3, 1.0, 3.0)
RESIDUAL = 1e-3


def cells(folder: Path, seeds: int) -> pd.DataFrame:
    """Run the sweeps and return one row a cell: mean, ends of its interval, problems."""
    rows = []
    for n, d in SIZES:
        found = sweep(
            lam=[0.0, *LAMBDAS],
            alpha=ALPHAS,
            n=n,
            d=d,
            sparsity=NON_ZEROS,
            design=DESIGNS,
            seeds=seeds,
            predict=True,
            tol=RESIDUAL,
            chunk=60,
            store=folder / "runs" / f"{n}x{d}",
        )
        logs = np.log(found["predicted_recovery_error"])
        ratio = logs.sel(lam=list(LAMBDAS)) - logs.sel(lam=0.0)
        for design in DESIGNS:
            for alpha in ALPHAS:
                for lam in LAMBDAS:
                    values = ratio.sel(design=design, alpha=alpha, lam=lam).values
                    values = values[np.isfinite(values)]
                    low, high = mean_interval(values)
                    rows.append((n, d, design, alpha, lam, values.mean(), low, high, values.size))
    names = ["n", "d", "design", "alpha", "lambda", "mean", "low", "high", "problems"]
    return pd.DataFrame(rows, columns=names)


def draw(axes: Axes, part: pd.DataFrame) -> Any:
    """Draw the cells of one design and size; what is not clear of zero is grey."""
    table = part.pivot(index="alpha", columns="lambda", values="mean").sort_index()
    clear = part.assign(clear=(part["low"] > 0) | (part["high"] < 0))
    shown = clear.pivot(index="alpha", columns="lambda", values="clear").sort_index()
    norm = SymLogNorm(0.03, vmin=-1.5, vmax=1.5)
    image = axes.imshow(
        np.where(shown, table, np.nan), cmap="RdBu_r", norm=norm, origin="lower", aspect="auto"
    )
    axes.set_facecolor("0.85")
    for i, j in np.ndindex(table.shape):
        value = table.iloc[i, j]
        dark = bool(shown.iloc[i, j]) and abs(value) > 0.13
        axes.text(
            j, i, f"{value:+.2f}", ha="center", va="center", fontsize=6.5,
            color="white" if dark else "0.15",
        )  # fmt: skip
    axes.set_xticks(range(table.shape[1]), [f"{lam:g}" for lam in table.columns])
    axes.set_yticks(range(table.shape[0]), [f"{alpha:g}" for alpha in table.index])
    axes.set_xlabel(r"$\lambda$")
    axes.set_ylabel(r"$\alpha$")
    axes.grid(visible=False)
    n, d, design = part.iloc[0][["n", "d", "design"]]
    axes.set_title(f"{design}, {n} x {d}", fontsize=9)
    return image


def main(folder: Path, seeds: int) -> None:
    """Compute the map, write its table and its picture."""
    folder.mkdir(parents=True, exist_ok=True)
    table = cells(folder, seeds)
    table.to_csv(folder / "sparsity_map.csv", index=False, float_format="%.4g")
    with style():
        figure, _ = panels(1, width=12, height=5.6)
        figure.clear()
        grid = figure.subplots(len(SIZES), len(DESIGNS), squeeze=False)
        for row, size in zip(grid, SIZES, strict=True):
            for axes, design in zip(row, DESIGNS, strict=True):
                part = table[(table["n"] == size[0]) & (table["design"] == design)]
                image = draw(axes, part)
        bar = figure.colorbar(image, ax=grid, shrink=0.8, ticks=[-1, -0.3, -0.1, 0, 0.1, 0.3, 1])
        bar.ax.set_yticklabels(["-1", "-0.3", "-0.1", "0", "0.1", "0.3", "1"])
        bar.set_label("mean ln(error with momentum / without)\nblue: momentum helps")
        save(figure, folder, "sparsity_map")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 42)
