"""Where the limit goes as the initialisation scale tends to zero at fixed lambda."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from momentumflow.base.arrays import FloatArray
from momentumflow.base.figures import SERIES, panels
from momentumflow.base.literature import SOURCES
from momentumflow.numeric import Regression
from momentumflow.symbolic.theorems.sign_theorems import GROWTH_RATE
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence, Measurement, Verdict
from momentumflow.verify.limit_evidence import share_reached
from momentumflow.verify.measure import at_least, at_most
from momentumflow.verify.mutants import with_flow
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject
from momentumflow.verify.themes.sparsity import basis_pursuit
from momentumflow.verify.themes.thresholds import HERE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THEME = "Sparsity"

EXAMPLE_X = np.array([[0.546124, -1.329904, -0.503165], [0.380812, -0.403209, 0.386567]])
EXAMPLE_Y = np.array([-0.825094, -0.511488])
# just within the a priori bound of this problem, .37063: no weight changes sign
EXAMPLE_LAMBDA = 0.3706
EXAMPLE_ALPHAS = (1e-2, 1e-8, 1e-30, 1e-60)


def _excesses(subject: Subject, lam: float) -> tuple[FloatArray, FloatArray]:
    """Return the relative excess of the l1 norm and the residual at each scale."""
    problem = Regression(EXAMPLE_X, EXAMPLE_Y)
    least = np.abs(basis_pursuit(problem.X, problem.y)).sum()
    runs = [subject.flow(problem, lam, alpha, tol=1e-8, t_max=1e6) for alpha in EXAMPLE_ALPHAS]
    excess = np.array([np.abs(run.theta).sum() / least - 1 for run in runs])
    return excess, np.array([float(run.residual) for run in runs])


def _check_example(subject: Subject, settings: Settings) -> Evidence:
    plain, plain_residual = _excesses(subject, 0.0)
    excess, residual = _excesses(subject, EXAMPLE_LAMBDA)
    return Evidence(
        (
            at_most("excess l1 norm of gradient flow, alpha = 1e-60", plain[-1], 1e-5, settings),
            at_least("excess l1 norm with momentum, alpha = 1e-60", excess[-1], 0.03),
            at_least("its growth from each alpha to the next smaller", np.diff(excess), 0.0),
            at_most(
                "relative residuals", np.concatenate([plain_residual, residual]), 1e-7, settings
            ),
        ),
        {"alpha": np.array(EXAMPLE_ALPHAS), "without": plain, "with": excess},
    )


def _draw_example(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, (axes,) = panels(width=5.2, height=3.3)
    labels = {"without": r"$\lambda = 0$", "with": rf"$\lambda = {EXAMPLE_LAMBDA:g}$"}
    for which, (name, label) in enumerate(labels.items()):
        look = SERIES[which]
        axes.plot(
            s["alpha"], 100 * s[name], color=look.color, marker=look.marker,
            linestyle=look.linestyle, label=label,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel(r"initialisation scale $\alpha$")
    axes.set_ylabel(r"$\ell_1$ norm over the least, excess in %")
    axes.legend()
    return figure


EXCHANGED_FLOWS = Mutation(
    "flows-exchanged",
    "gradient flow and the flow with momentum exchanged",
    with_flow(lambda lam, *_: EXAMPLE_LAMBDA - lam),
    "code",
)
STOPPED_EARLY = Mutation(
    "stopped-early",
    "flows that stop at a relative residual of a hundredth",
    with_flow(tol=1e-2),
    "code",
)

# The conjectured path -------------------------------------------------------------------

PATH_SIZES = ((2, 3), (3, 6), (4, 10))
PATH_SHARES = (0.25, 0.5, 0.75, 1.0)  # of the a priori bound on lambda
# The distance is of order 1/ln(1/alpha): at the second of a pair it is a quarter of that at
# the first. Where two coordinates enter nearly at once, or one jump takes very long, that
# sets in at smaller alpha: what is not yet nearer is looked at again there.
PATH_ALPHAS = ((1e-10, 1e-40), (1e-20, 1e-80))
NEARER = 0.5


def _distances(
    subject: Subject, problem: Regression, lam: float, alphas: tuple[float, ...]
) -> list[float]:
    """Return the distance of the logarithms from the end of the path; NaN where a run is late."""
    end = subject.rich_path(problem, lam).log_weights[-1]
    found = []
    for alpha in alphas:
        run = subject.flow(problem, lam, alpha, tol=1e-8, t_max=1e6, max_steps=100_000)
        logs = np.log(np.abs([run.w_plus, run.w_minus])) / np.log(1 / alpha)
        found.append(float(np.abs(logs - end).max()) if run.residual < 1e-7 else np.nan)
    return found


def _check_path(subject: Subject, settings: Settings) -> Evidence:
    gaps, late = [], []
    for n, d in PATH_SIZES:
        rng = settings.rng("rich-path", f"n={n} d={d}")
        for _ in range(settings.seeds):
            problem = Regression(rng.standard_normal((n, d)), rng.standard_normal(n))
            bound = float(subject.sign_change_bound(problem).lam)
            for share in PATH_SHARES:
                for alphas in PATH_ALPHAS:
                    found = _distances(subject, problem, share * bound, alphas)
                    if found[1] < NEARER * found[0]:
                        break
                if np.isfinite(found).all():
                    gaps.append(found)
                else:
                    late.append(f"{problem.name}, lambda = {share:g} of its bound")
    table = np.array(gaps).reshape(-1, 2)
    nearer = table[:, 1] < NEARER * table[:, 0]
    share = float(nearer.mean()) if nearer.size else float("nan")
    return Evidence(
        (
            Measurement(
                "share of the runs that approach the end of the path", share, ">= 1",
                Verdict.SUPPORTED if share == 1 else Verdict.REFUTED, samples=nearer.size,
                reason="" if share == 1 else f"{int((~nearer).sum())} do not",
            ),
            share_reached("share of the runs that converged", len(gaps), tuple(late), 0.9),
        ),
        {"gap": table},
    )  # fmt: skip


def _draw_path(evidence: Evidence) -> Figure:

    first, second = evidence.series["gap"].T
    figure, (axes,) = panels(width=4.6, height=3.5)
    look = SERIES[0]
    axes.plot(first, second, ".", color=look.color, alpha=0.4)
    ends = np.array([first.min(), first.max()])
    axes.plot(ends, ends / 4, color="0.3", linewidth=1.0, label="a quarter of it")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(rf"distance at $\alpha$ = {PATH_ALPHAS[0][0]:g}")
    axes.set_ylabel(rf"distance at $\alpha$ = {PATH_ALPHAS[0][1]:g}")
    axes.legend()
    return figure


def _other_path(factor: float) -> Any:
    """Return what plants the path of another lambda."""
    return lambda subject: replace(
        subject, rich_path=lambda problem, lam: subject.rich_path(problem, factor * lam)
    )


PATH_OF_GRADIENT_FLOW = Mutation(
    "path-without-momentum", "the path of gradient flow at every lambda", _other_path(0.0)
)
PATH_OF_HALF = Mutation("path-of-half-of-lambda", "the path of half of lambda", _other_path(0.5))
FLOW_AT_HALF = Mutation(
    "flow-at-half-of-lambda",
    "a flow that runs at half of the lambda it is given",
    with_flow(lambda lam, *_: lam / 2),
    "code",
)

CLAIMS = (
    Claim(
        name="not-basis-pursuit",
        theme=THEME,
        title="At fixed lambda the limit of small alpha is not basis pursuit",
        statement=(
            "As alpha tends to 0, gradient flow ends at the least l1 norm. With momentum it need "
            "not, even where no weight changes sign: on a problem of two rows and three features, "
            f"at lambda = {EXAMPLE_LAMBDA:g}, the excess grows as alpha falls from 1e-2 to 1e-60, "
            "to more than 3 %."
        ),
        formulas=(
            r"\lim_{\alpha \to 0} \| \theta_\infty^{(\lambda, \alpha)} \|_1 > "
            r"\min \{ \| \theta \|_1 : X\theta = y \}",
        ),
        source=f"{HERE}: one example",
        check=_check_example,
        controls=(EXCHANGED_FLOWS, STOPPED_EARLY),
        draw=_draw_example,
        caption="Excess of the l1 norm over the least, by SciPy's HiGHS, on that problem.",
        random=False,
    ),
    Claim(
        name="rich-path",
        theme=THEME,
        title="Does the flow go from saddle to saddle on the conjectured path, as alpha vanishes?",
        statement=(
            "Conjectured here: as alpha tends to 0 at fixed lambda, no weight changing sign, the "
            "flow takes the path that Pesme and Flammarion proved for gradient flow, with the rate "
            "phi(-s g) of a logarithm in place of -s g. Asked: do the logarithms of all weights "
            "approach the end of that path like 1/ln(1/alpha), from alpha = 1e-10 to 1e-40 "
            "(else from 1e-20 to 1e-80), in every run? n x d = 2 x 3, 3 x 6, 4 x 10, lambda up "
            "to the a priori bound."
        ),
        formulas=lambda: (
            r"\frac{d}{d\tau} \frac{\ln|w_{\pm,j}|}{\ln(1/\alpha)} = \varphi_\lambda(\mp g_j),"
            r"\quad \varphi_\lambda(x) = " + sp.latex(GROWTH_RATE[0]),
        ),
        source=f"conjectured here, after {SOURCES['pesme2023'].short()} (lambda = 0)",
        check=_check_path,
        controls=(PATH_OF_GRADIENT_FLOW, PATH_OF_HALF, FLOW_AT_HALF),
        draw=_draw_path,
        caption=(
            "Largest distance of ln|w|/ln(1/alpha) at the end of a run from that at the end of the "
            "path: one point a run."
        ),
        question=True,
    ),
)
