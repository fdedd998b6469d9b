"""What momentum does to the limit: a weighted l1 penalty, exactly and to first order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from momentumflow.base.arrays import FloatArray
from momentumflow.base.figures import convergence, panels, slope_guide
from momentumflow.numeric import Regression, sparse_regression
from momentumflow.numeric.runs.trajectory import Trajectory
from momentumflow.verify.claim import Claim, Mutation, said_by
from momentumflow.verify.evidence import Evidence
from momentumflow.verify.limit_evidence import share_reached
from momentumflow.verify.measure import at_least, at_most, order
from momentumflow.verify.mutants import with_flow, with_results
from momentumflow.verify.oracles import gradient_flow
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject
from momentumflow.verify.themes.limit import MAX_STEPS, step_and_momentum
from momentumflow.verify.themes.thresholds import HALF_PENALTY, HERE, REWARD

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THEME = "Sparsity"

# The penalty, exactly -----------------------------------------------------------------

PENALTY_ALPHAS = (0.5, 0.05)
PENALTY_LAMBDAS = (0.1, 1.0, 10.0)


def _squares(run: Trajectory) -> FloatArray:
    """P_+ and P_- at the end, shape (2, ..., d)."""
    parts: FloatArray = np.array([run.w_plus, run.w_minus]) ** 2 / 4
    return parts


def _entropy(parts: FloatArray, reference: FloatArray | float) -> FloatArray:
    """KL(P|Q), summed over signs and coordinates; shape (...)."""
    rows = parts * np.log(parts / reference) - parts + reference
    total: FloatArray = rows.sum(axis=(0, -1))
    return total


def _runs(
    subject: Subject, settings: Settings, label: str
) -> list[tuple[Regression, float, Trajectory, Trajectory]]:
    """Train with momentum, as a flow and step by step, and without: (problem, alpha, M, G)."""
    found = []
    for alpha in PENALTY_ALPHAS:
        problem = sparse_regression(
            6, 15, 6, seed=settings.rng(label, f"{alpha:g}"), batch=(settings.seeds,)
        )
        plain = subject.flow(problem, 0.0, alpha, tol=1e-12, t_max=1e5)
        for lam in PENALTY_LAMBDAS:
            flow = subject.flow(problem, lam, alpha, tol=1e-12, t_max=1e5)
            steps = subject.descent(
                problem, *step_and_momentum(lam), alpha, max_steps=MAX_STEPS, tol=1e-12
            )
            found += [(problem, alpha, run, plain) for run in (flow, steps)]
    return found


def _open(runs: list[tuple[Regression, float, Trajectory, Trajectory]]) -> tuple[str, ...]:
    """Name the runs that have no limit to speak about."""
    return tuple(
        f"lambda = {run.settings.get('lam', run.settings.get('gamma'))}: {status.value}"
        for _, _, run, _ in runs
        for status in np.asarray(run.status)[~run.converged]
    )


def _penalised(subject: Subject, run: Trajectory, keep: Any) -> Any:
    """Return the penalty of the runs to keep: others have none."""
    settled = replace(run, status=np.where(run.converged, run.status, run.status[keep][0]))
    return subject.penalty(settled)


def _check_penalty(subject: Subject, settings: Settings) -> Evidence:
    runs = _runs(subject, settings, "weighted-l1")
    rng = settings.rng("weighted-l1", "points")
    defects = []
    for problem, alpha, run, plain in runs:
        keep = run.converged & plain.converged
        if not keep.any():
            continue
        penalty = _penalised(subject, run, keep)
        start = alpha**2 / 2

        def objective(parts: FloatArray, penalty: Any = penalty, start: float = start) -> Any:
            linear = np.sum(penalty.plus * parts[0] + penalty.minus * parts[1], axis=-1)
            return _entropy(parts, start) + linear

        end = _squares(run)
        # any other point that fits: gradient flow's limit, and one drawn beside it
        away = rng.standard_normal((*problem.y.shape[:-1], problem.d))
        away -= np.einsum(
            "bdn,bn->bd", np.linalg.pinv(problem.X), np.einsum("bnd,bd->bn", problem.X, away)
        )
        theta = run.theta + 0.1 * away
        more = rng.uniform(0.01, 0.1, size=theta.shape)
        drawn = np.array([np.maximum(theta, 0) + more, np.maximum(-theta, 0) + more])
        for other in (_squares(plain), drawn):
            gap = objective(other) - objective(end)
            above = _entropy(other, end)
            defects.append((np.abs(gap - above) / (1 + np.abs(above)))[keep])
    missing = _open(runs)
    return Evidence(
        (
            at_most(
                "|objective elsewhere - at the limit - relative entropy to it|, relative",
                np.concatenate(defects) if defects else [], 1e-7, settings,
            ),
            share_reached(
                "share of runs that converged", len(runs) * settings.seeds - len(missing),
                missing, 0.8,
            ),
        ),
    )  # fmt: skip


def _check_less(subject: Subject, settings: Settings) -> Evidence:
    runs = _runs(subject, settings, "less-penalty")
    differences, defects, changed = [], [], 0
    for _, _, run, plain in runs:
        keep = run.converged & plain.converged
        if not keep.any():
            continue
        penalty = _penalised(subject, run, keep)
        with_momentum, without = _squares(run), _squares(plain)
        less = penalty.of(plain) - penalty.of(run)
        rows = (with_momentum - without) * np.log(with_momentum / without)
        jeffreys = rows.sum(axis=(0, -1))
        differences.append((-less / (1 + jeffreys))[keep])
        defects.append((np.abs(less - jeffreys) / (1 + jeffreys))[keep])
        changed += int((run.sign_changes.sum(axis=-1) > 0)[keep].sum())
    missing = _open(runs)
    return Evidence(
        (
            at_most(
                "penalty with momentum less that without it", np.concatenate(differences), 1e-9,
                settings,
            ),
            at_most(
                "relative defect of the identity", np.concatenate(defects), 1e-7, settings
            ),
            at_least(
                "runs with sign changes among them", changed, 1,
                secondary="a premise: the inequality is looked at beyond the bound on signs too",
            ),
            share_reached(
                "share of runs that converged", len(runs) * settings.seeds - len(missing),
                missing, 0.8,
            ),
        ),
        {"less": -np.concatenate(differences)},
    )  # fmt: skip


SWAPPED_WEIGHTS = Mutation(
    "weights-exchanged",
    "the weights of P_+ and of P_- exchanged",
    with_results("penalty", plus=lambda found: found.minus, minus=lambda found: found.plus),
)

# To first order ------------------------------------------------------------------------

FIRST_ALPHA = 0.3
SMALL_LAMBDAS = (8e-3, 4e-3, 2e-3, 1e-3)


def _check_first(subject: Subject, settings: Settings) -> Evidence:
    rng = settings.rng("first-order")
    flows, steps = [], []
    lams = np.array(SMALL_LAMBDAS)
    for _ in range(min(settings.seeds, 8)):
        problem = sparse_regression(4, 8, 4, seed=rng)
        found = subject.limit_derivative(problem, FIRST_ALPHA)
        scale = np.linalg.norm(found.theta)
        ends = subject.flow(problem, lams, FIRST_ALPHA, tol=1e-12)
        flows.append(np.linalg.norm(ends.theta - found.predicted(lams), axis=-1) / scale)
        # gradient descent without momentum: lambda_hat is half the step
        ends = subject.descent(
            problem, lams, 0.0, FIRST_ALPHA, method="gradient_descent", tol=1e-12,
            max_steps=MAX_STEPS,
        )  # fmt: skip
        predicted = found.predicted(subject.refined(lams, 0.0))
        steps.append(np.linalg.norm(ends.theta - predicted, axis=-1) / scale)
    return Evidence(
        (
            order("order in lambda of the rest, flow", lams, np.array(flows), 2, settings),
            order(
                "order in the step of the rest, gradient descent at lambda_hat", lams,
                np.array(steps), 2, settings,
            ),
        ),
        {"lambda": lams, "flow": np.array(flows), "steps": np.array(steps)},
    )  # fmt: skip


def _draw_first(evidence: Evidence) -> Figure:

    s = evidence.series
    figure, (axes,) = panels(width=5.2, height=3.5)
    convergence(axes, s["lambda"], s["flow"], label="momentum gradient flow", which=0)
    convergence(axes, s["lambda"], s["steps"], label="gradient descent", which=1)
    slope_guide(axes, s["lambda"], 1.8 * float(np.median(s["flow"][:, 0])), 2)
    axes.set_xlabel(r"$\lambda$ (of gradient descent: the step)")
    axes.set_ylabel("what the first order leaves")
    axes.legend(loc="lower right")
    return figure


def _check_one_row(subject: Subject, settings: Settings) -> Evidence:
    rng = settings.rng("one-row")
    derivatives, rises = [], []
    for _ in range(max(10, settings.seeds)):
        problem = Regression(rng.standard_normal((1, 5)), rng.uniform(0.5, 2.0, size=1))
        alpha = 10 ** rng.uniform(-2, 0)
        found = subject.limit_derivative(problem, alpha)
        derivatives.append(np.sign(found.theta) @ found.derivative)
        lam = 0.05 * float(subject.sign_change_bound(problem).lam)
        ends = subject.flow(problem, np.array([0.0, lam]), alpha, tol=1e-12)
        norms = np.abs(ends.theta).sum(axis=-1)
        rises.append(norms[1] - norms[0])
    return Evidence(
        (
            at_least("d|theta_inf|_1/d lambda at 0", derivatives, 0.0),
            at_least("|theta_inf|_1 at a small lambda, less that at 0", rises, 0.0),
        ),
        {"derivative": np.array(derivatives)},
    )


HALF_DERIVATIVE = Mutation(
    "half-the-derivative",
    "the derivative of the limit without its factor 2",
    with_results("limit_derivative", derivative=lambda found: found.derivative / 2),
)
UNPROJECTED = Mutation(
    "derivative-without-projector",
    "every coordinate shrinks by its own squared gradient, whether the data is then fitted or not",
    with_results(
        "limit_derivative", derivative=lambda found: -2 * found.squared_gradient * found.theta
    ),
)
OPPOSITE_DERIVATIVE = Mutation(
    "derivative-of-opposite-sign",
    "the derivative of the limit with the wrong sign",
    with_results("limit_derivative", derivative=lambda found: -found.derivative),
)
WHOLE_STEP = Mutation(
    "lambda-hat-of-the-whole-step",
    "lambda in place of lambda_hat for gradient descent, twice too large",
    lambda subject: replace(subject, refined=subject.intrinsic),
)


BACKWARDS = Mutation(
    "lambdas-in-reverse",
    "a flow that runs the lambdas it is given in reverse",
    with_flow(lambda lam, *_: np.flip(np.asarray(lam))),
    "code",
)

# From a large start -------------------------------------------------------------------

LARGE_ALPHAS = (1.5, 2.5, 4.0)
# lambda times alpha^2: the time that gradient flow takes is of the order of 1/alpha^2
LARGE_LAMBDA = 1e-3
LARGE_PROBLEMS = 6


def _check_kernel(subject: Subject, settings: Settings) -> Evidence:
    rng = settings.rng("kernel-regime")
    defects: list[list[float]] = []
    sums = []
    for _ in range(LARGE_PROBLEMS):
        problem = sparse_regression(4, 8, 2, seed=rng)
        teacher, least = problem.teacher, problem.least_norm_solution
        assert teacher is not None  # it was drawn
        c = subject.kernel_rate(1.0, teacher, least)
        sums.append(abs(c.sum()) / np.abs(c).sum())
        defects.append([])
        for alpha in LARGE_ALPHAS:
            h = gradient_flow(problem.X, problem.y, alpha).squared_gradient
            parts = subject.kernel_rate(h, teacher, least)
            lam = LARGE_LAMBDA / alpha**2
            ends = subject.flow(problem, np.array([0.0, lam, lam / 2]), alpha, tol=1e-13).theta
            none, whole, half = np.sum((ends - teacher) ** 2, axis=-1) / 2
            # the slope at zero, what is of second order in lambda taken out
            slope = (4 * half - whole - 3 * none) / lam
            defects[-1].append(abs(slope - parts.sum()) / np.abs(parts).sum())
    # over the problems, as the rest of a single one may pass through zero
    size = np.sqrt(np.mean(np.array(defects) ** 2, axis=0))
    return Evidence(
        (
            order(
                "order in 1/alpha of the rest of the rate of the error", 1 / np.array(LARGE_ALPHAS),
                size, 4, settings, tolerance=0.4,
            ),
            at_most("sum of c over the sum of |c|", sums, 1e-10, settings),
        ),
        {"alpha": np.array(LARGE_ALPHAS), "rest": np.array(defects)},
    )  # fmt: skip


def _rate(change: Any) -> Any:
    return lambda subject: replace(
        subject, kernel_rate=lambda h, star, least: change(subject.kernel_rate, h, star, least)
    )


HALF_RATE = Mutation(
    "half-the-rate-of-the-error", "h c in place of 2 h c", _rate(lambda right, *at: right(*at) / 2)
)
EXCHANGED_ENDS = Mutation(
    "teacher-and-least-norm-exchanged",
    "the teacher and the least-norm solution exchanged in c",
    _rate(lambda right, h, star, least: right(h, least, star)),
)

CLAIMS = (
    Claim(
        name="weighted-l1",
        theme=THEME,
        title="Momentum adds a weighted l1 penalty to gradient flow's problem, exactly",
        statement=(
            "The limit minimises gradient flow's relative entropy plus the penalty <2 I, P>: at "
            "every other point that fits, the objective is larger by exactly the relative entropy "
            "to the limit. Flow and heavy ball, lambda from 0.1 to 10 (sign changes included), "
            "n = 6, d = 15; at the limit of gradient flow and at points drawn at random."
        ),
        formulas=said_by("weighted-l1"),
        source=HERE,
        check=_check_penalty,
        controls=(HALF_PENALTY, REWARD, SWAPPED_WEIGHTS),
        theorems=("weighted-l1",),
    ),
    Claim(
        name="less-penalty",
        theme=THEME,
        title="The limit with momentum always has less of that penalty than gradient flow's",
        statement=(
            "<I, P> is smaller at the limit with momentum than at gradient flow's, by half the "
            "symmetric divergence of the two: the sense in which momentum helps whatever the "
            "data. Flow and heavy ball, lambda from 0.1 to 10, sign changes included, n = 6, "
            "d = 15."
        ),
        formulas=said_by("less-penalty"),
        source=HERE,
        check=_check_less,
        controls=(HALF_PENALTY, REWARD, SWAPPED_WEIGHTS),
        theorems=("less-penalty",),
    ),
    Claim(
        name="first-order",
        theme=THEME,
        title="How the limit leaves gradient flow's, to first order in lambda",
        statement=(
            "The derivative of the limit at lambda = 0 comes from one run of gradient flow; what "
            "it leaves is of second order, for the flow in lambda and for gradient descent in the "
            "step, whose lambda_hat is half of it. n = 4, d = 8, "
            f"alpha = {FIRST_ALPHA:g}, lambda from {SMALL_LAMBDAS[-1]:g} to {SMALL_LAMBDAS[0]:g}."
        ),
        formulas=said_by("first-order"),
        source=HERE,
        check=_check_first,
        controls=(HALF_DERIVATIVE, UNPROJECTED, OPPOSITE_DERIVATIVE, WHOLE_STEP),
        theorems=("first-order",),
        draw=_draw_first,
        caption="Relative to the norm of the limit; median over the seeds, range shaded.",
    ),
    Claim(
        name="one-row",
        theme=THEME,
        title="With one row momentum makes the l1 norm of the limit larger",
        statement=(
            "With one row the l1 norm grows with lambda at first, whatever the data: by the "
            "formula for the derivative, and between two flows. d = 5, alpha from 0.01 to 1."
        ),
        formulas=said_by("one-row"),
        source=HERE,
        check=_check_one_row,
        controls=(OPPOSITE_DERIVATIVE, BACKWARDS),
        theorems=("one-row",),
    ),
    Claim(
        name="kernel-regime",
        theme=THEME,
        title="From a large start momentum helps exactly if h and c are negatively correlated",
        statement=(
            "From a large start the squared error of recovery changes with lambda, at lambda = 0, "
            "at the rate 2 sum h_j c_j: by how much the integrals h of the squared gradient go "
            "with c = (theta* - theta_LS) theta_LS, whose sum is zero. What flows at small lambda "
            "leave of it falls like alpha^-4. n = 4, d = 8, "
            f"alpha from {LARGE_ALPHAS[0]:g} to {LARGE_ALPHAS[-1]:g}; h by SciPy."
        ),
        formulas=said_by("kernel-regime"),
        source=HERE,
        check=_check_kernel,
        controls=(HALF_RATE, EXCHANGED_ENDS, BACKWARDS),
        theorems=("kernel-regime",),
    ),
)
