"""The limit theorem: training ends at the solution of a convex problem.

Three forms: the flow, heavy ball, heavy ball on minibatches; on random sparse
problems, on real data, and on data that a user brings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from momentumflow import symbolic
from momentumflow.base.arrays import FloatArray
from momentumflow.base.citations import PPF
from momentumflow.base.figures import SERIES, panels
from momentumflow.numeric import Regression, diabetes_regression, sparse_regression
from momentumflow.numeric.runs.trajectory import Trajectory
from momentumflow.symbolic import DiagonalNetwork, Identity
from momentumflow.symbolic.codegen.remainder_laws import RemainderLaw
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence
from momentumflow.verify.limit_evidence import LIMIT_TOLERANCE, Comparison, compare
from momentumflow.verify.measure import at_least, at_most
from momentumflow.verify.mutants import BIASED_GRADIENT, DROPPED_REMAINDER, INVERTED_RATIO
from momentumflow.verify.oracles import contour_flow
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure


THEME = "Where training ends"

LAMBDAS = (1e-2, 1e-1, 1.0, 10.0)
NON_ZEROS = 5
MAX_STEPS = 5_000_000
T_MAX = 1e5
# A thousandth of what the limit is held to: the last digits cost the most time.
RESIDUAL = 1e-12
# The theorem speaks about converged runs. Where the l1 solution has fewer
# non-zeros than there are rows, the remaining directions of y are fitted at a
# rate proportional to the balancedness, so some draws at small scales take more
# steps than anyone would wait for. They are counted and given no verdict.
CONVERGED_SHARE = 0.9

Run = Callable[["Subject", Regression, float, float, np.random.Generator], "Trajectory"]


@dataclass(frozen=True)
class Family:
    """Random sparse problems of one shape, and the initialisation scales they are run at."""

    n: int
    d: int
    alphas: tuple[float, ...]

    def draw(self, settings: Settings, label: str) -> Regression:
        """Draw a batch of problems."""
        rng = settings.rng(label, f"n={self.n} d={self.d}")
        # The larger the problem, the fewer seeds show the same.
        seeds = settings.seeds if self.d <= 30 else max(2, settings.seeds // 4)
        return sparse_regression(self.n, self.d, NON_ZEROS, seed=rng, batch=(seeds,))


FAMILIES = (
    Family(20, 30, (1.0, 1e-1)),
    Family(40, 100, (1.0, 1e-1)),
    Family(10, 30, (1e-2, 1e-4)),
)


def _grid(settings: Settings) -> tuple[tuple[Family, ...], tuple[float, ...]]:
    """Return the families and lambdas to look at."""
    if settings.control:
        return (Family(10, 30, (1.0,)),), LAMBDAS[2:]
    if settings.quick:
        return (Family(20, 30, (1.0,)), FAMILIES[2]), LAMBDAS[2:]
    return FAMILIES, LAMBDAS


def _flow(
    subject: Subject, problem: Regression, lam: float, alpha: float, rng: np.random.Generator
) -> Trajectory:
    return subject.flow(problem, lam, alpha, tol=RESIDUAL, t_max=T_MAX)


def step_and_momentum(lam: float) -> tuple[float, float]:
    """Return (gamma, beta) with lambda = gamma/(1-beta)^2 and a stable step."""
    gamma = min(2e-2, lam / 2)
    return gamma, 1 - float(np.sqrt(gamma / lam))


def _heavy_ball(
    subject: Subject, problem: Regression, lam: float, alpha: float, rng: np.random.Generator
) -> Trajectory:
    return subject.descent(
        problem, *step_and_momentum(lam), alpha, max_steps=MAX_STEPS, tol=RESIDUAL
    )


def _minibatch(
    subject: Subject, problem: Regression, lam: float, alpha: float, rng: np.random.Generator
) -> Trajectory:
    return subject.descent(
        problem,
        *step_and_momentum(lam),
        alpha,
        batch_size=problem.n // 2,
        seed=rng,
        max_steps=MAX_STEPS,
        tol=RESIDUAL,
    )


def _check(run: Run, label: str) -> Callable[[Subject, Settings], Evidence]:
    def check(subject: Subject, settings: Settings) -> Evidence:
        families, lambdas = _grid(settings)
        alphas = sorted({alpha for family in families for alpha in family.alphas}, reverse=True)
        parts: list[Comparison] = []
        typical = np.full((len(alphas), len(lambdas)), np.nan)
        naive = np.full_like(typical, np.nan)
        for family in families:
            problem = family.draw(settings, label)
            for alpha in family.alphas:
                for j, lam in enumerate(lambdas):
                    where = f"{problem.name}, lambda = {lam:g}, alpha = {alpha:g}"
                    end = run(subject, problem, lam, alpha, settings.rng(label, where))
                    found = compare(subject, problem, end, label=where, cvxpy=True)
                    parts.append(found)
                    cell = alphas.index(alpha), j
                    # Only the figure shows what the initial balancedness predicts.
                    if found.distance.size and np.isnan(typical[cell]) and not settings.control:
                        initial = compare(_initial_balancedness(subject), problem, end)
                        typical[cell] = np.median(found.distance)
                        naive[cell] = np.median(initial.distance)
        return Evidence(
            Comparison.join(parts).measurements(settings, share=CONVERGED_SHARE),
            {
                "lambda": np.array(lambdas),
                "alpha": np.array(alphas),
                "asymptotic": typical,
                "initial": naive,
            },
        )

    return check


CROSSING_LAMBDA, CROSSING_ALPHA, CROSSING_TIME = 1.0, 0.1, 20.0


def _check_flow(subject: Subject, settings: Settings) -> Evidence:
    """Compare the limits, and the remainders of weights that cross zero with their definition."""
    found = _check(_flow, "limit-flow")(subject, settings)
    rng = settings.rng("limit-flow", "crossings")
    defects, crossed = [], 0
    for _ in range(min(settings.seeds, 3)):
        problem = sparse_regression(5, 10, 5, seed=rng)
        # the end of the run is early: the definition holds at every time, with momentum left
        run = subject.flow(problem, CROSSING_LAMBDA, CROSSING_ALPHA, t_end=CROSSING_TIME)
        oracle = contour_flow(problem.X, problem.y, CROSSING_ALPHA, CROSSING_LAMBDA, CROSSING_TIME)
        defined = np.log(run.initial_balancedness) - oracle.I_plus - oracle.I_minus
        defects.append(np.abs(subject.log_balancedness(run) - defined).max())
        crossed += int(run.sign_changes.sum())
    definition = (
        at_most(
            "ln Delta after sign changes, distance to its definition", defects, 1e-8, settings
        ),
        at_least(
            "sign changes on the way", crossed, 1,
            secondary="a premise: without one the line before says nothing",
        ),
    )  # fmt: skip
    return Evidence((*found.measurements, *definition), found.series)


def _initial_balancedness(subject: Subject) -> Subject:
    # The point theta_tilde_0 is kept, so that only the balancedness is wrong.
    return replace(
        subject,
        log_balancedness=lambda run: np.log(run.initial_balancedness),
        shift=lambda run: np.arcsinh(2 * run.perturbed_init / run.initial_balancedness),
    )


def _unperturbed(subject: Subject) -> Subject:
    return replace(subject, shift=lambda run: np.zeros_like(run.shift))


def _swapped_sign(subject: Subject) -> Subject:
    return replace(
        subject,
        log_balancedness=lambda run: np.log(run.initial_balancedness) + run.S_plus + run.S_minus,
    )


INITIAL_BALANCEDNESS = Mutation(
    "initial-balancedness",
    "the initial balancedness in place of the asymptotic one",
    _initial_balancedness,
)
UNPERTURBED = Mutation(
    "unperturbed-start",
    "the initialisation theta_0 = 0 in place of the perturbed one",
    _unperturbed,
)
SWAPPED_SIGN = Mutation(
    "swapped-sign",
    "exp(+(S_+ + S_-)) in place of exp(-(S_+ + S_-)) in the asymptotic balancedness",
    _swapped_sign,
)


def _other_model(subject: Subject) -> Subject:
    def solve(problem: Regression, *arguments: Any, **options: Any) -> Any:
        if options.get("solver") == "cvxpy":
            log_delta = options["log_balancedness"] + np.log(1.01)
            options = {**options, "log_balancedness": log_delta}
        return subject.solve(problem, *arguments, **options)

    return replace(subject, solve=solve)


OTHER_MODEL = Mutation(
    "other-convex-model",
    "the model given to CVXPY with a balancedness too large by a hundredth",
    _other_model,
    "code",
)


def _other_target(subject: Subject) -> Subject:
    def off(problem: Regression) -> Regression:
        return Regression(problem.X, problem.y * (1 + 1e-6), name=problem.name)

    return replace(
        subject,
        flow=lambda problem, *rest, **options: subject.flow(off(problem), *rest, **options),
        descent=lambda problem, *rest, **options: subject.descent(off(problem), *rest, **options),
    )


OTHER_TARGET = Mutation(
    "target-off-by-a-millionth",
    "training on a target that is off by a millionth",
    _other_target,
    "code",
)


def _without_pending(subject: Subject) -> Subject:
    def log_balancedness(run: Trajectory) -> FloatArray:
        return np.log(np.abs(run.w_plus)) + np.log(np.abs(run.w_minus))

    return replace(subject, log_balancedness=log_balancedness)


NO_PENDING = Mutation(
    "balancedness-of-the-moment",
    "the balancedness of the moment, without what the momentum left in the run will still do",
    _without_pending,
)
CONTROLS = (INITIAL_BALANCEDNESS, UNPERTURBED, SWAPPED_SIGN, OTHER_MODEL)


def draw_limits(evidence: Evidence) -> Figure:
    """Draw the median distances over lambda, one line an initialisation scale."""
    s = evidence.series
    figure, (axes,) = panels(width=6.2, height=3.6)
    for i, alpha in enumerate(s["alpha"]):
        look = SERIES[i]
        style = {"color": look.color, "marker": look.marker}
        axes.plot(s["lambda"], s["initial"][i], linestyle=(0, (4, 2)), alpha=0.75, **style)
        axes.plot(
            s["lambda"], s["asymptotic"][i], linestyle="-", label=rf"$\alpha={alpha:g}$", **style
        )
    axes.axhline(LIMIT_TOLERANCE, color="0.4", linewidth=0.8)
    axes.annotate(
        "required",
        (s["lambda"][0], LIMIT_TOLERANCE),
        textcoords="offset points",
        xytext=(0, 3),
        fontsize=7.5,
        color="0.3",
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(r"$\lambda$")
    axes.set_ylabel("relative distance to the prediction")
    axes.legend(loc="center right", bbox_to_anchor=(1.0, 0.62))
    return figure


LIMITS_CAPTION = (
    "Median relative distance between the limit of training and the solution of the convex "
    "problem. Solid: with the asymptotic balancedness, as the theorem states. Dashed: with the "
    "initial balancedness in its place, which the theorem rejects."
)
_BREGMAN = (
    r"\theta_\infty = \mathrm{argmin}\,\{\, D_{\psi_{\Delta_\infty}}(\theta, \tilde\theta_0)"
    r" \,:\, X\theta = y \,\}"
)
_POTENTIAL = (
    r"\psi_\Delta(\theta) = \frac{1}{4} \sum_i \, [\, "
    r"2\theta_i\, \mathrm{asinh}(2\theta_i/\Delta_i) - \sqrt{4\theta_i^2 + \Delta_i^2} + \Delta_i"
    r" \,]"
)
_DISCRETE = (
    r"\Delta_\infty = \Delta_0\, e^{-(S_+ + S_-)}, \quad "
    r"S_\pm = \frac{1}{1-\beta} \sum_k h(w_{\pm,k+1}/w_{\pm,k}), \quad "
    r"h(z) = (z-1) - \beta(1 - 1/z) - (1-\beta)\,\ln|z|"
)
_CONTINUOUS = (
    r"\Delta_\infty = \Delta_0\, e^{-(I_+ + I_-)}, \quad "
    r"I_\pm = \lambda \int_0^\infty (\dot w_\pm / w_\pm)^2 \, dt"
)


def _proofs(*names: str) -> Callable[[], tuple[Identity, ...]]:
    def proofs() -> tuple[Identity, ...]:

        network = DiagonalNetwork()
        return tuple(network.identity(name) for name in names)

    return proofs


def telescoping(method: str) -> Callable[[], tuple[Identity, ...]]:
    """Return the proofs that the remainders of a method sum to what its limit needs."""

    def proofs() -> tuple[Identity, ...]:

        rule = getattr(symbolic, method)()
        law = RemainderLaw(rule, symbolic.DiagonalNetwork().balanced)
        return tuple(map(law.telescoping, law.step.weights, law.moves()))

    return proofs


def _both(
    *parts: Callable[[], tuple[Identity, ...]],
) -> Callable[[], tuple[Identity, ...]]:
    return lambda: tuple(identity for part in parts for identity in part())


_MIRROR = (
    "gradient of the hyperbolic entropy",
    "Hessian of the hyperbolic entropy",
    "mirror map inverts",
    "mirror variable in w_pm",
    "Bregman divergence as relative entropy",
)

_RANGE = (
    "on random regressions with five non-zeros (20 x 30 and 40 x 100 at initialisation scales "
    "alpha = 1 and 0.1, 10 x 30 at 1e-2 and 1e-4), lambda from 1e-2 to 10"
)

_THEOREM = (
    Claim(
        name="limit-flow",
        theme=THEME,
        title="Momentum gradient flow ends at the solution of a convex problem",
        statement=(
            "Where momentum gradient flow on the diagonal network converges to an interpolator and "
            "no weight ends at zero, it ends at the interpolator that is closest, in the Bregman "
            "divergence of the hyperbolic entropy at the asymptotic balancedness, to the perturbed "
            f"initialisation: {_RANGE}. Runs that do not converge are counted, and left open. "
            "Where weights change sign the remainder is the finite part of its integral; it is "
            "held against that integral along a path in complex time (n = 5, d = 10, lambda = 1)."
        ),
        formulas=(_BREGMAN, _POTENTIAL, _CONTINUOUS),
        source=f"{PPF} (abstract: the recovered solution by an implicit regularisation problem)",
        check=_check_flow,
        controls=(*CONTROLS, NO_PENDING),
        proofs=_proofs(
            "Riccati equation of w_+", "Riccati equation of w_-", "logarithm of a weight", *_MIRROR
        ),
        theorems=("kkt-to-limit",),
        draw=draw_limits,
        caption=LIMITS_CAPTION,
    ),
    Claim(
        name="limit-heavy-ball",
        theme=THEME,
        title="Heavy ball ends at the solution of a convex problem",
        statement=(
            "The iterates themselves, not only the flow, converge to the solution of the convex "
            "problem with the discrete asymptotic balancedness, exactly and through sign changes "
            f"of the weights: {_RANGE}."
        ),
        formulas=(_BREGMAN, _POTENTIAL, _DISCRETE),
        source=f"exact discrete form of the limit theorem of {PPF}, derived here",
        check=_check(_heavy_ball, "limit-heavy-ball"),
        controls=(*CONTROLS, BIASED_GRADIENT, DROPPED_REMAINDER, INVERTED_RATIO),
        proofs=_both(
            _proofs("discrete Riccati recursion", "remainder summand from z = 1", *_MIRROR),
            telescoping("HeavyBall"),
        ),
        theorems=("implicit-regularisation",),
        draw=draw_limits,
        caption=LIMITS_CAPTION,
    ),
    Claim(
        name="limit-minibatch",
        theme=THEME,
        title="Heavy ball on minibatches ends at the solution of a convex problem",
        statement=(
            "The discrete form holds for any choice of batches, because every batch gradient lies "
            "in the range of the data, and the remainders of any gradients telescope: "
            f"{_RANGE}, batches of half the rows."
        ),
        formulas=(_BREGMAN, _DISCRETE),
        source=(
            f"derived here from the discrete form; {PPF} (abstract) has weaker results for "
            "stochastic momentum"
        ),
        check=_check(_minibatch, "limit-minibatch"),
        controls=CONTROLS,
        proofs=_both(_proofs("discrete Riccati recursion"), telescoping("HeavyBall")),
        theorems=("implicit-regularisation",),
        draw=draw_limits,
        caption=LIMITS_CAPTION,
    ),
)


def _data_check(
    problem: Callable[[], Regression], run: Callable[[Subject, Regression, Settings], Trajectory]
) -> Callable[[Subject, Settings], Evidence]:
    def check(subject: Subject, settings: Settings) -> Evidence:
        data = problem()
        limit = run(subject, data, settings)
        found = compare(subject, data, limit, label=data.name, cvxpy=True)
        return Evidence(found.measurements(settings), _profile(subject, data, limit))

    return check


def _profile(subject: Subject, problem: Regression, run: Trajectory) -> dict[str, FloatArray]:
    """What the figure on data draws: trained and predicted coefficients."""
    if not bool(run.converged):
        return {}
    solution = subject.solve(
        problem, log_balancedness=subject.log_balancedness(run), shift=subject.shift(run)
    )
    return {"trained": run.theta, "predicted": solution.theta}


def _draw_profile(evidence: Evidence) -> Figure:

    trained, predicted = evidence.series["trained"], evidence.series["predicted"]
    ordered = np.argsort(-np.abs(predicted))
    figure, (axes,) = panels(width=6.2, height=3.0)
    index = np.arange(1, trained.size + 1)
    axes.axhline(0, color="0.6", linewidth=0.7)
    axes.plot(
        index,
        predicted[ordered],
        linestyle="",
        marker="o",
        markersize=7,
        markerfacecolor="none",
        markeredgewidth=1.2,
        color=SERIES[1].color,
        label="predicted",
    )
    axes.plot(
        index, trained[ordered], linestyle="", marker=".", color=SERIES[0].color, label="trained"
    )
    axes.set_xlabel("feature, largest coefficient first")
    axes.set_ylabel(r"$\theta$")
    axes.legend()
    return figure


_PROFILE_CAPTION = "Coefficients that training ends at, inside those that the theorem predicts."


# Forms of the theorem on given data: end of the claim's name, what is run, and what that form
# has to notice beside the controls of all.
_FORMS: dict[str, tuple[str, tuple[Mutation, ...]]] = {
    "flow": ("momentum gradient flow", ()),
    "heavy-ball": ("heavy ball", (BIASED_GRADIENT, DROPPED_REMAINDER, INVERTED_RATIO)),
    "minibatch": ("heavy ball on minibatches of half the rows", (BIASED_GRADIENT,)),
}


def _data_claim(
    load: Callable[[], Regression],
    described: str,
    gamma: float,
    beta: float,
    init: float,
    *,
    prefix: str,
    form: str,
) -> Claim:
    lam = gamma / (1 - beta) ** 2

    def run(subject: Subject, data: Regression, settings: Settings) -> Trajectory:
        if form == "flow":
            return subject.flow(data, lam, init, tol=RESIDUAL)
        size = max(1, data.n // 2) if form == "minibatch" else None
        seed = settings.rng(prefix, form)
        return subject.descent(data, gamma, beta, init, batch_size=size, seed=seed)

    parameters = f"lambda = {lam:g}" if form == "flow" else f"gamma = {gamma:g}, beta = {beta:g}"
    return Claim(
        name=f"{prefix}-{form}",
        theme=THEME,
        title=f"The limit theorem on {described}: {_FORMS[form][0]}",
        statement=(
            f"Trained with {_FORMS[form][0]} at {parameters} and initialisation "
            f"scale {init:g}, the network ends at the solution of the convex problem."
        ),
        formulas=(_BREGMAN, _CONTINUOUS if form == "flow" else _DISCRETE),
        source=f"{PPF}{'' if form == 'flow' else ', exact discrete form derived here'}",
        check=_data_check(load, run),
        controls=(*CONTROLS, OTHER_TARGET, *_FORMS[form][1]),
        draw=_draw_profile,
        caption=_PROFILE_CAPTION,
        random=form == "minibatch",
    )


def on_data(
    load: Callable[[], Regression],
    described: str,
    *,
    gamma: float = 1e-2,
    beta: float = 0.95,
    init: float = 0.1,
    prefix: str = "data",
) -> tuple[Claim, ...]:
    """Return the claims that the limit theorem holds on given data.

    Parameters
    ----------
    load : callable
        Returns the Regression; called when a claim is judged.
    described : str
        What the data is called in titles.
    gamma, beta : float
        Step size and momentum.
    init : float
        Initialisation scale alpha > 0.
    prefix : str
        Begin of the claims' names.
    """
    return tuple(
        _data_claim(load, described, gamma, beta, init, prefix=prefix, form=form) for form in _FORMS
    )


CLAIMS = (
    *_THEOREM,
    *on_data(diabetes_regression, "scikit-learn's diabetes data", prefix="diabetes"),
)
