"""The picture of the README: one parameter fixes the path, and the end is predicted.

Left, in the plane of two parameters: flows of momentum gradient flow for three
values of lambda, heavy-ball iterates of different (gamma, beta) but equal
lambda, and the ends that the convex problem predicts. Right: how the
balancedness at the end depends on lambda, over 20 random sparse problems.

Run it as `python examples/overview_picture.py [FOLDER]`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from momentumflow.base.figures import SERIES, panels, style
from momentumflow.numeric import Regression, momentum_descent, momentum_flow, sparse_regression

LAMBDAS = (0.0, 0.2, 1.0)
TIME_STEPS = (0.1, 0.02)  # eps = gamma/(1 - beta)
INIT = np.array([0.5, 0.25])
SEEDS, ALPHA = 20, 0.1


def draw_paths(axes: Axes) -> None:
    """Draw flows, iterates of equal lambda and predicted ends for n = 1, d = 2."""
    problem = Regression([[1.0, 2.0]], [2.5])
    first = np.array([-0.05, 2.05])
    axes.plot(first, (2.5 - first) / 2, color="0.6", linewidth=1)
    axes.annotate(
        r"$X\theta = y$", (0.16, 1.17), rotation=-25, fontsize=8, color="0.35", ha="center"
    )
    for lam, look in zip(LAMBDAS, SERIES, strict=False):
        flow = momentum_flow(problem, lam, INIT, t_eval=np.linspace(0, 40, 4000))
        assert flow.path is not None
        theta = flow.path.theta
        axes.plot(
            theta[:, 0],
            theta[:, 1],
            color=look.color,
            linestyle="-",
            label=rf"flow, $\lambda$ = {lam:g}",
        )
        end = flow.predicted_limit().theta
        axes.plot(*end, marker="x", markersize=11, markeredgewidth=2.2, color=look.color, zorder=9)
        for eps, marker in zip(TIME_STEPS, "os", strict=True):
            if lam == 0:
                continue
            gamma, beta = eps**2 / lam, 1 - eps / lam
            run = momentum_descent(
                problem, gamma, beta, INIT, max_steps=int(40 / eps), tol=None, record_every=1
            )
            assert run.path is not None
            # One marker for every 0.4 units of time up to t = 8, staggered.
            every = round(0.4 / eps)
            start = every // 2 if marker == "s" else 0
            shown = run.path.theta[start : round(8 / eps) : every]
            axes.plot(
                shown[:, 0],
                shown[:, 1],
                linestyle="",
                marker=marker,
                markersize=4.5,
                markerfacecolor="white" if marker == "s" else look.color,
                markeredgewidth=1,
                color=look.color,
            )
    for eps, marker in zip(TIME_STEPS, "os", strict=True):
        face = "white" if marker == "s" else "0.3"
        axes.plot(
            [],
            [],
            linestyle="",
            marker=marker,
            markersize=4.5,
            markerfacecolor=face,
            markeredgewidth=1,
            color="0.3",
            label=rf"heavy ball, $\gamma/(1-\beta)$ = {eps:g}",
        )
    axes.plot(
        [],
        [],
        "x",
        color="0.3",
        markersize=8,
        markeredgewidth=2,
        label="predicted end (convex problem)",
    )
    axes.set(xlabel=r"$\theta_1$", ylabel=r"$\theta_2$", xlim=(-0.05, 2.05), ylim=(-0.03, 1.4))
    axes.set_title(r"Equal $\lambda = \gamma/(1-\beta)^2$: one path, one end")
    axes.legend(loc="lower right", handlelength=1.6, fontsize=7.5)


def draw_balancedness(axes: Axes) -> None:
    """Draw the balancedness at the end over lambda: median and quartiles over random problems."""
    problems = sparse_regression(20, 30, 5, seed=1, batch=(SEEDS,))
    stacked = Regression(problems.X[None], problems.y[None])
    lambdas = np.geomspace(1e-2, 10, 10)
    flow = momentum_flow(stacked, lambdas[:, None], ALPHA)
    start = momentum_flow(problems, 0.0, ALPHA)
    assert np.all(flow.converged)
    assert np.all(start.converged)
    assert start.squared_rates is not None
    shrinkage = np.exp((flow.log_balancedness - np.log(2 * ALPHA**2)).mean(axis=-1))
    low, median, high = np.quantile(shrinkage, [0.25, 0.5, 0.75], axis=-1)
    look, theory = SERIES[0], SERIES[1]
    axes.fill_between(lambdas, low, high, color=look.color, alpha=0.18, linewidth=0)
    axes.plot(
        lambdas,
        median,
        color=look.color,
        marker=look.marker,
        label=r"momentum gradient flow($\lambda$)",
    )
    # S_+ + S_- to first order: lambda times the sum of both integrals of g^2.
    rate = start.squared_rates.sum(axis=-2).mean(axis=-1)
    leading = np.median(np.exp(-lambdas[:, None] * rate), axis=-1)
    axes.plot(
        lambdas,
        np.where(leading > 0.3, leading, np.nan),
        color=theory.color,
        linestyle=theory.linestyle,
        label=r"$\exp(-2\lambda\int g^2\,dt)$, first order",
    )
    axes.axhline(1, color="0.6", linewidth=0.8)
    axes.set_xscale("log")
    axes.set(xlabel=r"$\lambda$", ylabel=r"$\Delta_\infty / \Delta_0$ (geometric mean over $j$)")
    axes.set_ylim(0, 2)
    axes.set_title(f"Balancedness at the end ({SEEDS} problems, quartiles)")
    axes.legend(loc="upper left")


def main(folder: Path) -> Path:
    """Draw the picture into `folder` and return the file."""
    with style():
        figure, (left, right) = panels(2, height=3.6)
        draw_paths(left)
        draw_balancedness(right)
        target = folder / "overview.png"
        figure.savefig(target, dpi=160)
    return target


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[1] / "docs" / "images"
    print(main(Path(sys.argv[1]) if len(sys.argv) > 1 else default))
