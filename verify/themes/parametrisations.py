"""Other parametrisations under gradient flow: theta = u^2, and depth D.

Gradient flow is integrated by SciPy on the weights themselves; what it ends at
is held against the convex problem in the potential of each parametrisation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import sympy as sp

from momentumflow.base.arrays import FloatArray
from momentumflow.base.figures import SERIES, panels
from momentumflow.base.literature import SOURCES
from momentumflow.numeric import Regression, sparse_regression
from momentumflow.numeric.implicit import DepthEntropy, KullbackLeibler
from momentumflow.symbolic import Identity
from momentumflow.symbolic.symbols import t
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence, Measurement
from momentumflow.verify.limit_evidence import relative_distance, share_reached
from momentumflow.verify.measure import at_most
from momentumflow.verify.oracles import FITTED, network_flow
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WANG = SOURCES["wang2023"].short()
WOODWORTH = SOURCES["woodworth2020"].short()


Map = Callable[[FloatArray], FloatArray]

ROWS, FEATURES, NON_ZEROS = 20, 30, 5
ALPHA = 0.7
DISTANCE = 1e-8
# Gradient flow takes longest on the coordinates that end near zero, where a deep
# network hardly moves: about one problem in twenty is not there by t = 500. The
# statement is about those that are; they have to be the most of them.
T_MAX, QUICK_T_MAX = 500.0, 150.0
SHARE = 0.5


@dataclass(frozen=True)
class Network:
    """A parametrisation theta(w) of m weights a coordinate, and the potential it follows."""

    name: str
    weights: int
    theta: Map
    slopes: Map
    potential: Callable[[int], Any]
    positive: bool = False

    def draw(self, settings: Settings) -> Regression:
        """Draw the problems; those of u^2 have targets that a positive theta reaches."""
        problem = sparse_regression(
            # Fewer rows are better conditioned and fitted sooner.
            ROWS // 2 if settings.quick else ROWS,
            FEATURES,
            # With all entries positive some theta > 0 fits, which the flow needs to end.
            FEATURES if self.positive else NON_ZEROS,
            seed=settings.rng("other-networks", self.name),
            batch=(settings.seeds,),
        )
        if not self.positive:
            return problem
        assert problem.teacher is not None
        teacher = np.abs(problem.teacher)
        return Regression(problem.X, np.einsum("bnd,bd->bn", problem.X, teacher), teacher=teacher)


def _square() -> Network:

    return Network(
        "u^2",
        1,
        lambda w: w[0] ** 2,
        lambda w: 2 * w,
        lambda d: KullbackLeibler.from_reference(np.full(d, ALPHA**2)),
        positive=True,
    )


def _depth(depth: int) -> Network:

    return Network(
        f"depth {depth}",
        2,
        lambda w: w[0] ** depth - w[1] ** depth,
        lambda w: depth * np.stack([w[0] ** (depth - 1), -(w[1] ** (depth - 1))]),
        lambda d: DepthEntropy.from_scale(np.full(d, ALPHA), depth),
    )


def networks() -> tuple[Network, ...]:
    """Return the parametrisations that are looked at."""
    return _square(), _depth(3), _depth(4)


def _check(subject: Subject, settings: Settings) -> Evidence:
    measured: list[Measurement] = []
    series: dict[str, FloatArray] = {}
    late: list[str] = []
    reached = 0
    for network in networks():
        problem = network.draw(settings)
        start = np.full((network.weights, *problem.batch_shape, problem.d), ALPHA)
        theta, residual = network_flow(
            problem.X, problem.y, start, network.theta, network.slopes,
            t_max=QUICK_T_MAX if settings.quick else T_MAX,
        )  # fmt: skip
        # The batch ends when its slowest problem does, within rounding of FITTED.
        ended = residual <= 2 * FITTED
        late += [f"{network.name}: relative residual {r:.1e}" for r in residual[~ended]]
        reached += int(np.count_nonzero(ended))
        distance = np.empty(0)
        if ended.any():
            data = problem.X[ended], problem.y[ended]
            solution = subject.solve(data, potential=network.potential(problem.d))
            distance = relative_distance(theta[ended], solution.theta)
            series[network.name] = np.stack([theta[ended], solution.theta])
        quantity = f"relative distance to the prediction, {network.name}"
        measured.append(at_most(quantity, distance, DISTANCE, settings))
    measured.append(
        share_reached(
            "share of problems that gradient flow has fitted", reached, tuple(late), SHARE
        )
    )
    return Evidence(tuple(measured), series)


def _draw(evidence: Evidence) -> Figure:

    figure, row = panels(len(evidence.series), width=2.7, height=2.9)
    for which, (axes, (name, both)) in enumerate(zip(row, evidence.series.items(), strict=True)):
        trained, predicted = both.reshape(2, -1)
        ends = np.array([predicted.min(), predicted.max()])
        axes.plot(ends, ends, color="0.55", linewidth=0.9, zorder=1)
        look = SERIES[which]
        axes.plot(
            predicted, trained, linestyle="", marker=look.marker, color=look.color, markersize=3.5
        )
        axes.set_title({"u^2": r"$\theta = u^2$"}.get(name, f"depth $D = {name[-1]}$"))
        axes.set_xlabel(r"predicted $\theta_j$")
    row[0].set_ylabel(r"$\theta_j$ that gradient flow ends at")
    return figure


def _wrong_potential(subject: Subject) -> Subject:
    def solve(problem: Any, *args: Any, **options: Any) -> Any:
        options.pop("potential", None)
        # The hyperbolic entropy, that of depth two.
        return subject.solve(problem, 2 * ALPHA**2, 0.0)

    return replace(subject, solve=solve)


DEPTH_TWO = Mutation(
    "potential-of-depth-two",
    "the hyperbolic entropy in place of the network's own potential",
    _wrong_potential,
)


def _other_scale(subject: Subject) -> Subject:
    def solve(problem: Any, *args: Any, **options: Any) -> Any:
        name = "log_reference" if hasattr(options["potential"], "log_reference") else "log_height"
        right = getattr(options["potential"], name)
        options["potential"] = replace(options["potential"], **{name: right + np.log(1.01)})
        return subject.solve(problem, *args, **options)

    return replace(subject, solve=solve)


OTHER_SCALE = Mutation(
    "scale-off-by-a-hundredth",
    "the network's own potential, its scale alpha^D too large by a hundredth",
    _other_scale,
)


def _proofs() -> tuple[Identity, ...]:
    """What makes gradient flow on the weights a mirror flow on theta."""
    alpha = sp.Symbol("alpha", positive=True)
    W, g = sp.Function("W", positive=True)(t), sp.Function("g", real=True)(t)
    found = [
        Identity(
            "mirror flow of u^2",
            sp.diff(sp.log(W**2), t),
            -4 * g,
            assumptions="theta = u^2, u = W(t) > 0 follows gradient flow, g the gradient in theta",
            relations=(("gradient flow", sp.diff(W, t), -2 * W * g),),
            source=WANG,
        )
    ]
    found += [
        Identity(
            f"weights of a network of depth {depth}",
            sp.diff((W / alpha) ** (2 - depth), t),
            depth * (depth - 2) * alpha ** (depth - 2) * g,
            assumptions=(
                "w_+ = W(t) > 0 follows gradient flow from alpha: (w_+/alpha)^{2-D} = 1 - z, and "
                "likewise (w_-/alpha)^{2-D} = 1 + z, with z' = -D (D-2) alpha^{D-2} g; hence "
                "theta = alpha^D h_D(z)"
            ),
            relations=(("gradient flow", sp.diff(W, t), -depth * W ** (depth - 1) * g),),
            source=WOODWORTH,
        )
        for depth in (3, 4)
    ]
    return tuple(found)


CLAIMS = (
    Claim(
        name="other-networks",
        theme="Relatives",
        title="Gradient flow on u^2 and on depth-D networks obeys the same plan",
        statement=(
            "Gradient flow on theta = u^2 ends at the Kullback-Leibler projection, on "
            "theta = w_1^D - w_2^D at the projection in the depth-D entropy (D = 3 and 4): random "
            f"problems with n = {ROWS}, d = {FEATURES}, initialisation {ALPHA:g}, flows by SciPy."
        ),
        formulas=(r"h_D(z) = (1-z)^{-D/(D-2)} - (1+z)^{-D/(D-2)}",),
        source=f"{WANG}; {WOODWORTH}",
        check=_check,
        controls=(DEPTH_TWO, OTHER_SCALE),
        proofs=_proofs,
        draw=_draw,
        caption=(
            "Every coordinate of every problem: where gradient flow ends over where the convex "
            "problem says. The line is equality."
        ),
    ),
)
