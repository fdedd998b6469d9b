"""The two limits of the potential: least l1 and least l2 norm."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import sympy as sp
from scipy.optimize import linprog

from momentumflow.base.arrays import FloatArray
from momentumflow.base.figures import convergence, panels, slope_guide
from momentumflow.base.literature import SOURCES
from momentumflow.numeric import sparse_regression
from momentumflow.symbolic import DiagonalNetwork, Identity
from momentumflow.symbolic.symbols import Delta, theta
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence
from momentumflow.verify.limit_evidence import relative_distance
from momentumflow.verify.measure import at_most, order
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WOODWORTH = SOURCES["woodworth2020"].short()


THEME = "Sparsity"

# The two limits of the entropy -----------------------------------------------------------

LARGE_DELTA = (1e1, 2e1, 4e1, 8e1)
SMALL_DELTA = (1e-3, 1e-6, 1e-9, 1e-12)


def basis_pursuit(X: FloatArray, y: FloatArray) -> FloatArray:
    """Return argmin |theta|_1 with X theta = y, by SciPy's HiGHS."""
    d = X.shape[1]
    found = linprog(np.ones(2 * d), A_eq=np.hstack([X, -X]), b_eq=y, bounds=(0, None))
    if not found.success:
        raise RuntimeError(f"the reference linear program stopped: {found.message}")
    parts = np.asarray(found.x, dtype=np.float64)
    theta: FloatArray = parts[:d] - parts[d:]
    return theta


def _check_entropy(subject: Subject, settings: Settings) -> Evidence:
    # As many non-zeros as rows: the l1 solution is then a non-degenerate vertex.
    problem = sparse_regression(
        8, 20, 8, seed=settings.rng("entropy-limits"), batch=(settings.seeds,)
    )
    toward_l2 = np.stack(
        [
            relative_distance(subject.solve(problem, delta, 0.0).theta, problem.least_norm_solution)
            for delta in LARGE_DELTA
        ],
        axis=-1,
    )
    corners = np.stack([basis_pursuit(X, y) for X, y in zip(problem.X, problem.y, strict=True)])
    least = np.abs(corners).sum(axis=-1)
    excess = np.stack(
        [
            np.abs(np.asarray(subject.solve(problem, delta, 0.0).theta)).sum(axis=-1) / least - 1
            for delta in SMALL_DELTA
        ],
        axis=-1,
    )
    # With N = |theta|_1 and S the Shannon entropy of |theta|/N, psi_Delta is
    # N (ln(4 N/Delta) - 1 - S)/2 up to the order of Delta. The minimiser's is at most that
    # of the corner, and 0 <= S <= ln d, which bounds the excess.
    spread = np.log(problem.d)
    bound = spread / (np.log(4 * least[:, None] / np.array(SMALL_DELTA)) - 1 - spread)
    return Evidence(
        (
            order(
                "order in 1/Delta of the distance to the least l2 norm",
                1 / np.array(LARGE_DELTA), toward_l2, 2, settings,
            ),
            at_most(
                "excess l1 norm over its bound, of order ln d/ln(1/Delta)",
                excess / bound, 1.0, settings, scaled=False,
            ),
        ),
        {
            "large": np.array(LARGE_DELTA), "l2": toward_l2,
            "small": np.array(SMALL_DELTA), "l1": np.maximum(excess, 1e-16),
        },
    )  # fmt: skip


def _draw_entropy(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, (left, right) = panels(2, width=3.9, height=3.3)
    convergence(left, s["small"], s["l1"], label=r"excess $\ell_1$ norm", which=1)
    left.set_xlabel(r"$\Delta$")
    left.set_ylabel("relative excess over basis pursuit")
    convergence(right, s["large"], s["l2"], label=r"distance to least $\ell_2$ norm", which=0)
    slope_guide(right, s["large"], 0.6 * float(np.median(s["l2"][:, -1])), -2)
    right.set_xlabel(r"$\Delta$")
    right.set_ylabel("relative distance")
    for axes in (left, right):
        axes.legend()
    return figure


def _entropy_proof() -> tuple[Identity, ...]:

    psi = DiagonalNetwork().entropy
    size, large = sp.Symbol("r", positive=True), sp.Symbol("D", positive=True)
    kernel = (psi.subs(Delta, 1 / large) / large).subs(theta, size)
    rich = psi.subs(theta, size) / sp.log(1 / Delta)
    return (
        Identity(
            "l2 limit of the entropy",
            sp.limit(kernel.subs(large, 1 / sp.Symbol("Delta", positive=True)), Delta, sp.oo),
            size**2 / 2,
            assumptions="Delta psi_Delta(theta) as Delta tends to infinity, r = |theta|",
            source=WOODWORTH,
        ),
        Identity(
            "l1 limit of the entropy",
            sp.limit(rich.rewrite(sp.log), Delta, 0, "+"),
            size / 2,
            assumptions="psi_Delta(theta) / ln(1/Delta) as Delta tends to 0, r = |theta|",
            source=WOODWORTH,
        ),
    )


HALVED_DELTA = Mutation(
    "balancedness-of-order-one",
    "the potential with sqrt(Delta) in place of Delta",
    lambda subject: replace(
        subject, solve=lambda problem, delta, *a, **k: subject.solve(problem, delta**0.5, *a, **k)
    ),
    "code",
)

INVERSE_DELTA = Mutation(
    "inverse-balancedness",
    "the potential with 1/Delta in place of Delta",
    lambda subject: replace(
        subject, solve=lambda problem, delta, *a, **k: subject.solve(problem, 1 / delta, *a, **k)
    ),
    "code",
)

CLAIMS = (
    Claim(
        name="entropy-limits",
        theme=THEME,
        title="The potential tends to l1 for small and to l2 for large balancedness",
        statement=(
            "As Delta grows the solution tends to the one of least l2 norm, with order two; as "
            "Delta tends to 0 its l1 norm exceeds that N of basis pursuit by at most a share "
            "ln d/(ln(4 N/Delta) - 1 - ln d). Random problems, n = 8, d = 20, Delta from 1e-12 "
            "to 80."
        ),
        formulas=(
            r"\Delta\, \psi_\Delta(\theta) \rightarrow \frac{1}{2} \|\theta\|_2^2 \;\;"
            r"(\Delta \rightarrow \infty), \quad "
            r"\psi_\Delta(\theta) / \ln(1/\Delta) \rightarrow \frac{1}{2} \|\theta\|_1 \;\;"
            r"(\Delta \rightarrow 0)",
        ),
        source=f"{WOODWORTH}; the bound is derived here",
        check=_check_entropy,
        controls=(HALVED_DELTA, INVERSE_DELTA),
        proofs=_entropy_proof,
        theorems=("minimisers-to-l1", "minimisers-to-l2"),
        draw=_draw_entropy,
        caption="Median over the seeds, range shaded; basis pursuit by SciPy's HiGHS.",
    ),
)  # fmt: skip
