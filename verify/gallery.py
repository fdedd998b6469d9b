"""The paper's kind of figures, computed anew: vector and PNG, in the house style.

Each entry of `GALLERY` computes its own data with the library and draws it.
`momentumflow figures` writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from momentumflow.base import libraries
from momentumflow.base.arguments import Count, FileName, Natural, checked
from momentumflow.base.arrays import FloatArray
from momentumflow.base.errors import InputError, nearest
from momentumflow.base.figures import SERIES, panels, save, style
from momentumflow.base.numbers import in_latex
from momentumflow.numeric import (
    Regression,
    momentum_descent,
    momentum_flow,
    sparse_regression,
)
from momentumflow.numeric.data.designs import redesigned
from momentumflow.numeric.runs.trajectory import Trajectory
from momentumflow.verify.measure import mean_interval
from momentumflow.verify.report.reports import writable
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import shipped
from momentumflow.verify.themes import orders

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """How much to compute: problems behind a mean, points a side of a plane, root of randomness."""

    seeds: int = 20
    resolution: int = 40
    base_seed: int = 0

    def problem(self, n: int, d: int, sparsity: int, *, which: int) -> Regression:
        """Return random problem number `which` of this root."""
        return sparse_regression(n, d, sparsity, seed=which + self.base_seed)


@dataclass(frozen=True)
class Picture:
    """A figure of the gallery: its name, what it shows, and how it is made."""

    name: str
    caption: str
    draw: Callable[[Drawing], Figure]


def _plane(drawing: Drawing) -> Figure:
    """Test loss over the (gamma, beta) plane with lines of equal lambda."""
    gammas = np.geomspace(1e-3, 0.1, drawing.resolution)
    lags = np.geomspace(1.0, 1e-2, drawing.resolution)  # 1 - beta
    problem = drawing.problem(20, 30, 5, which=11)
    assert problem.teacher is not None
    X = problem.X + 1.0
    teacher = np.abs(problem.teacher)
    shifted = Regression(X, X @ teacher, teacher=teacher)
    run = momentum_descent(
        shifted, gammas[None, :], 1 - lags[:, None], 1.0, tol=1e-6, max_steps=100_000
    )
    with np.errstate(all="ignore"):
        # Rows have mean one in every feature: E[(x.e)^2] = |e|^2 + (sum e)^2.
        error = run.theta - teacher
        loss = (np.sum(error**2, axis=-1) + np.sum(error, axis=-1) ** 2) / 2
    loss = np.where(run.converged, loss, np.nan)
    figure, (axes,) = panels(width=5.4, height=4.2)
    mesh = axes.pcolormesh(gammas, lags, np.log10(loss), shading="nearest", rasterized=True)
    figure.colorbar(mesh, ax=axes, label=r"$\log_{10}$ test loss")
    for power in range(-2, 4):
        lag = np.sqrt(gammas / 10.0**power)
        inside = (lag >= lags.min()) & (lag <= lags.max())
        if np.count_nonzero(inside) < 5:
            continue
        # white on yellow needs it
        rim = [libraries.matplotlib().patheffects.withStroke(linewidth=2.0, foreground="0.3")]
        axes.plot(gammas[inside], lag[inside], color="white", linewidth=1.0, path_effects=rim)
        middle = np.flatnonzero(inside)[np.count_nonzero(inside) // 3]
        axes.annotate(
            rf"$\lambda = 10^{{{power}}}$", (gammas[middle], lag[middle]), color="white",
            textcoords="offset points", xytext=(2, 4), fontsize=7.5,
            path_effects=rim,
        )  # fmt: skip
    # Hatched: in grey print a mere grey would pass for a loss.
    axes.patch.set(facecolor="0.92", hatch="////", edgecolor="0.55", linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_xlabel(r"step size $\gamma$")
    axes.set_ylabel(r"$1-\beta$")
    return figure


def _equal_lambda(drawing: Drawing) -> Figure:
    """Trajectories of equal lambda on top of each other, and the flow."""
    problem = drawing.problem(5, 10, 2, which=3)
    figure, all_axes = panels(2, width=4.0, height=3.3)
    for axes, lam in zip(all_axes, (0.1, 2.0), strict=True):
        t_end = 12.0
        time = np.linspace(0, t_end, 400)
        flow = momentum_flow(problem, lam, 0.4, t_end=t_end, t_eval=time).path
        assert flow is not None
        shown = np.argsort(-np.abs(flow.theta[-1]))[:3]
        for j in shown:
            axes.plot(flow.time, flow.theta[:, j], color="0.6", linewidth=3.5, zorder=1)
        for which, ratio in enumerate((0.08, 0.04, 0.02)):
            eps = ratio * lam**0.5
            gamma, beta = eps**2 / lam, 1 - eps / lam
            if beta < 0:
                continue
            # 1 - beta, not beta: rounded, beta near 1 would not give back lambda.
            label = rf"$\gamma={in_latex(gamma, 3)},\ 1-\beta={in_latex(1 - beta, 3)}$"
            steps = int(t_end / eps)
            path = momentum_descent(
                problem, gamma, beta, 0.4, max_steps=steps, tol=None, record_every=1
            ).path
            assert path is not None
            look = SERIES[which]
            every = max(1, steps // (18 + 5 * which))
            for k, j in enumerate(shown):
                axes.plot(
                    path.time[::every], path.theta[::every, j], linestyle="", marker=look.marker,
                    color=look.color, markersize=4,
                    label=label if k == 0 else None,
                )  # fmt: skip
        axes.set_title(rf"$\lambda = {lam:g}$")
        axes.set_xlabel(r"time $t = k\,\gamma/(1-\beta)$")
        axes.legend(loc="lower right", fontsize=7)
    all_axes[0].set_ylabel(r"three largest $\theta_i$")
    return figure


def _accelerated(drawing: Drawing) -> Figure:
    """Loss of accelerated pairs, over steps and over rescaled steps."""
    problem = drawing.problem(20, 30, 5, which=3)
    gamma, beta, steps = 2e-4, 0.98, 12000
    figure, (left, right) = panels(2, width=4.0, height=3.2)
    for which, rho in enumerate((1.0, 2.0, 4.0, 8.0)):
        fast_gamma, fast_beta = rho**2 * gamma, 1 - rho * (1 - beta)
        path = momentum_descent(
            problem, fast_gamma, fast_beta, 0.3, max_steps=int(steps / rho), tol=None,
            record_every=max(1, int(40 / rho)),
        ).path  # fmt: skip
        assert path is not None
        loss = problem.loss(path.theta)
        count = max(1, int(40 / rho)) * np.arange(loss.size)
        look = SERIES[which]
        for axes, x in ((left, count), (right, rho * count)):
            axes.plot(
                x, loss, color=look.color, linestyle=look.linestyle, marker=look.marker,
                markevery=30, label=rf"$\rho={rho:g}$",
            )  # fmt: skip
            axes.set_yscale("log")
    left.set_xlabel("steps $k$")
    right.set_xlabel(r"rescaled steps $\rho k$")
    left.set_ylabel("training loss")
    left.legend()
    return figure


_ALPHA = 1.0


def _designs(settings: Settings) -> dict[str, Regression]:
    """Draw Gaussian designs: centred with random signs, and of mean one with positive ones."""
    # The spread is wide: with fewer no interval of a mean would leave zero.
    rng = settings.rng("recovery")
    problem = sparse_regression(20, 30, 5, seed=rng, batch=(max(12, 2 * settings.seeds),))
    return {"centred": problem, "uncentred": redesigned(problem, "mean-one", rng)}


def _train(problem: Regression, lam: float) -> Trajectory:
    """Run heavy ball (gradient descent at lam = 0) at a stable step, to a residual of 1e-9."""
    top = np.linalg.eigvalsh(problem.X @ np.swapaxes(problem.X, -1, -2) / problem.n).max()
    gamma = 0.2 / top
    if lam == 0:
        return momentum_descent(
            problem, gamma / 2, 0.0, _ALPHA, method="gradient_descent", tol=1e-9
        )
    gamma = min(gamma, lam / 4)
    return momentum_descent(problem, gamma, 1 - np.sqrt(gamma / lam), _ALPHA, tol=1e-9)


def _against_lambda(drawing: Drawing) -> Figure:
    """Balancedness and recovery error against lambda, with intervals."""
    lams = np.geomspace(0.02, 30.0, max(6, drawing.resolution // 4))
    figure, (left, right) = panels(2, width=4.0, height=3.3)
    settings = Settings(seeds=max(2, drawing.seeds), base_seed=drawing.base_seed)
    for which, (name, problem) in enumerate(_designs(settings).items()):
        teacher = problem.teacher
        assert teacher is not None
        base = _train(problem, 0.0)
        reference = np.log(np.linalg.norm(base.theta - teacher, axis=-1))
        shrink, recovery = [], []
        for lam in lams:
            run = _train(problem, float(lam))
            ok = run.converged & base.converged
            delta = run.log_balancedness - np.log(run.initial_balancedness)
            shrink.append(delta.mean(axis=-1)[ok])
            error = np.log(np.linalg.norm(run.theta - teacher, axis=-1))
            recovery.append((error - reference)[ok])
        _band(left, lams, shrink, which, name)
        _band(right, lams, recovery, which, name)
    left.set_ylabel(r"mean $\ln(\Delta_\infty/\Delta_0)$")
    right.set_ylabel("ln recovery error,\nrelative to gradient descent")
    right.axhline(0, color="0.5", linewidth=0.8)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xlabel(r"$\lambda$")
    left.legend()
    return figure


def _band(axes: Axes, x: FloatArray, columns: list[FloatArray], which: int, name: str) -> None:
    """Draw means with their 95 % intervals; a column without two values is left out."""
    kept = [i for i, c in enumerate(columns) if c.size >= 2]
    means = np.array([columns[i].mean() for i in kept])
    low, high = np.array([mean_interval(columns[i]) for i in kept]).T
    look = SERIES[which]
    axes.fill_between(x[kept], low, high, color=look.color, alpha=0.2, linewidth=0)
    axes.plot(
        x[kept], means, color=look.color, marker=look.marker, linestyle=look.linestyle,
        label=f"{name} design",
    )  # fmt: skip


def _rising_order(drawing: Drawing) -> Figure:
    """Iterates against modified flows of rising order, at a coarse time step."""
    eps = 0.2
    start = np.array([[1.4, 1.0]])
    exact = orders.iterates(start, eps)[:, 0]
    time = eps * np.arange(exact.shape[0])
    figure, (left, right) = panels(2, width=4.0, height=3.3)
    left.plot(time, exact[:, 0], "o", color="0", markersize=5, label="iterates", zorder=5)
    for truncation in range(4):
        flow = orders.modified_flow(shipped(), start, eps, truncation)[:, 0]
        look = SERIES[(0, 1, 3, 4)[truncation]]
        label = rf"through $\varepsilon^{truncation}$"
        if truncation < 2:
            left.plot(time, flow[:, 0], color=look.color, linestyle=look.linestyle, label=label)
        gap = np.abs(flow - exact).max(axis=1)[1:]
        right.plot(
            time[1:], gap, color=look.color, linestyle=look.linestyle, marker=look.marker,
            markersize=3.5, label=label,
        )  # fmt: skip
    right.set_yscale("log")
    left.set_ylabel("$x$ of a coupled pendulum")
    right.set_ylabel("distance to the iterates")
    for axes in (left, right):
        axes.set_xlabel("time $t$")
    left.legend()
    right.legend(loc="lower left", fontsize=7)
    return figure


GALLERY = (
    Picture(
        "equal-lambda-plane",
        "Test loss over the plane of step size and momentum, with lines of equal lambda, along "
        "which it is constant while the time step is small. Hatched: no convergence.",
        _plane,
    ),
    Picture(
        "equal-lambda-paths",
        "Iterates (markers) of different step size and momentum but equal lambda lie on one path, "
        "that of momentum gradient flow (grey).",
        _equal_lambda,
    ),
    Picture(
        "accelerated-pairs",
        "Training loss of runs that the acceleration rule connects: over steps, and over steps "
        "times rho, where they coincide.",
        _accelerated,
    ),
    Picture(
        "against-lambda",
        "Mean shrinkage of the balancedness, and recovery error, against lambda: means over random "
        "problems with 95 % intervals.",
        _against_lambda,
    ),
    Picture(
        "rising-order",
        "Heavy ball at a coarse time step against modified flows of rising order.",
        _rising_order,
    ),
)


@checked
def write_gallery(
    folder: FileName,
    only: Iterable[str] | None = None,
    *,
    seeds: Count = 20,
    resolution: Count = 40,
    base_seed: Natural = 0,
) -> tuple[Path, ...]:
    """Compute the figures and write each as SVG, PDF and PNG.

    Parameters
    ----------
    folder : str or Path
        Where to write; made if it is missing.
    only : iterable of str, optional
        Names of figures; all by default.
    seeds : int
        Random problems behind each mean.
    resolution : int
        Points a side of the (gamma, beta) plane.
    base_seed : int
        Root of all randomness, >= 0.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    InputError
        An unknown name, or a folder that cannot be written to.
    """
    known = {picture.name: picture for picture in GALLERY}
    names = list(known) if only is None else list(only)
    for name in names:
        if name not in known:
            raise InputError(f"a figure among {', '.join(known)}", repr(name), nearest(name, known))
    drawing = Drawing(seeds, resolution, base_seed)
    target = writable(Path(folder))
    written: list[Path] = []
    with style():
        for name in names:
            written.extend(save(known[name].draw(drawing), target, name))
    return tuple(written)
