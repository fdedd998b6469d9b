"""What noise in the gradients does: to moments on quadratics, and to the balancedness.

Heavy ball on quadratics is linear, and its mean and covariance are found here by repeating one
step, which shares nothing with the library's moments. The law of the balancedness is held
against minibatches, on the library's runs, and against label noise, on a plain loop.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import solve_discrete_lyapunov
from sympy import Rational

from momentumflow.base import libraries
from momentumflow.base.arrays import FloatArray
from momentumflow.base.figures import SERIES, convergence, panels, slope_guide
from momentumflow.numeric import Regression, sparse_regression
from momentumflow.numeric.runs.sde_paths import scheme_step
from momentumflow.symbolic import HeavyBall, quadratic_moments, stochastic_equation, symbols
from momentumflow.symbolic.printing import as_latex
from momentumflow.symbolic.series.contraction_series import contraction_text, series_of
from momentumflow.verify.claim import Claim, Mutation, said_by
from momentumflow.verify.evidence import Evidence, undecided
from momentumflow.verify.measure import at_most, order
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THEME = "Noise"
HERE = "derived here"
LI_TAI_E = "after Li, Tai, E, JMLR 20(40), 2019"

LAMBDA = 0.5
T = 2.0
STEPS = (0.02, 0.01, 0.005)
TIMES = (0.25, 0.5, 1.0)  # in units of T


def quadratic(rng: np.random.Generator, d: int = 3) -> tuple[FloatArray, FloatArray]:
    """Return a Hessian with eigenvalues in [1/2, 2], and a covariance, in general position."""
    V, W = (np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(2))
    hessian = (V * rng.uniform(0.5, 2.0, d)) @ V.T
    covariance = (W * rng.uniform(0.2, 1.0, d)) @ W.T
    return (hessian + hessian.T) / 2, (covariance + covariance.T) / 2


def one_step(
    hessian: FloatArray, covariance: FloatArray, gamma: float, beta: float
) -> tuple[FloatArray, FloatArray]:
    """Return the matrix of a step of heavy ball on (w_k, w_{k-1}), and what noise adds to it."""
    d = len(hessian)
    unit, none = np.eye(d), np.zeros((d, d))
    step = np.block([[(1 + beta) * unit - gamma * hessian, -beta * unit], [unit, none]])
    return step, np.block([[gamma**2 * covariance, none], [none, none]])


# Weak orders --------------------------------------------------------------------------


def _check_orders(subject: Subject, settings: Settings) -> Evidence:
    rng = settings.rng("weak-orders")
    limits = [subject.moments(subject.diffusion(p)) for p in (1, 2)]
    errors = np.empty((2, 2, settings.seeds, len(STEPS)))
    for i in range(settings.seeds):
        hessian, spread = quadratic(rng)
        start = rng.standard_normal(3)
        for k, eps in enumerate(STEPS):
            beta = 1 - eps / LAMBDA
            # T = eps Sigma is what is kept
            step, added = one_step(hessian, spread / eps, eps * (1 - beta), beta)
            flows = [
                limit.on_arrays(hessian, spread / eps, eps=eps, lam=LAMBDA) for limit in limits
            ]
            mean, covariance = np.concatenate([start, start]), np.zeros((6, 6))
            looks = [round(share * T / eps) for share in TIMES]
            worst = np.zeros((2, 2))
            for n in range(1, looks[-1] + 1):
                mean, covariance = step @ mean, step @ covariance @ step.T + added
                if n not in looks:
                    continue
                for p, flow in enumerate(flows):
                    at, about = flow.after(n * eps, start)
                    gaps = [(at - mean)[:3], (about - covariance)[:3, :3]]
                    worst[p] = np.maximum(worst[p], [*map(np.linalg.norm, gaps)])
            errors[:, :, i, k] = worst
    return Evidence(
        tuple(
            order(
                f"order in eps of the {what} of the equation of weak order {p + 1}", STEPS,
                errors[p, j], p + 1, settings,
            )
            for p in (0, 1)
            for j, what in enumerate(("mean", "covariance"))
        ),
        {"steps": np.array(STEPS), "errors": errors},
    )  # fmt: skip


def _draw_orders(evidence: Evidence) -> Figure:
    s = evidence.series
    figure, axes = panels(2, width=4.4, height=3.4)
    for j, (ax, what) in enumerate(zip(axes, ("mean", "covariance"), strict=True)):
        for p in (0, 1):
            errors = s["errors"][p, j]
            convergence(ax, s["steps"], errors, label=f"weak order {p + 1}", which=p)
            slope_guide(ax, s["steps"], 1.6 * float(np.median(errors[:, 0])), p + 1)
        ax.set_xlabel(r"time step $\varepsilon$")
        ax.set_ylabel(f"error of the {what} of w")
        ax.legend(loc="lower right")
    return figure


def _uncorrected(subject: Subject) -> Subject:
    def diffusion(weak: int) -> Any:
        right = subject.diffusion(weak)
        return right if weak == 1 else replace(right, drift=subject.diffusion(1).drift)

    return replace(subject, diffusion=diffusion)


def _with_terms(subject: Subject, part: str, block: str, factor: Any, of: str = "") -> Subject:
    """Return the subject with the terms of a drift or rate multiplied, all or the one called so."""

    def diffusion(weak: int) -> Any:
        right = subject.diffusion(weak)
        blocks = dict(getattr(right, part))
        terms = {
            graph: c * (factor if of in ("", contraction_text(graph)) else 1)
            for graph, c in blocks[block]
        }
        blocks[block] = series_of(blocks[block].left_hand_side, terms)
        changed: dict[str, Any] = {part: blocks}
        return replace(right, **changed)

    return replace(subject, diffusion=diffusion)


NO_CORRECTION = Mutation(
    "drift-without-correction", "the drift of weak order 1 in the equation of order 2", _uncorrected
)
MOMENTUM_IN_THE_NOISE = Mutation(
    "noise-that-knows-beta",
    "noise of the velocity multiplied by (1 + beta)/2 = 1 - eps/(2 lambda)",
    lambda subject: _with_terms(subject, "covariance", "vv", 1 - symbols.eps / (2 * symbols.lam)),
)
UNSCALED_BATCH = Mutation(
    "batch-not-counted",
    "noise of one sample where a batch of two is drawn: twice the covariance",
    lambda subject: _with_terms(subject, "covariance", "vv", 2),
)
OTHER_FRICTION = Mutation(
    "other-friction",
    "nine tenths of the friction",
    lambda subject: _with_terms(subject, "drift", "v", Rational(9, 10), "v"),
)

# Weak orders on a loss that is not quadratic ---------------------------------------------

WELL_STEPS = (0.05, 0.025, 0.0125)
WELL_NOISE = 0.1  # eps Sigma at w = 0
PER_STEP = 2  # steps of the scheme for one of the iterates


def _check_well(subject: Subject, settings: Settings) -> Evidence:
    rng = settings.rng("weak-orders-in-a-well")
    paths = 500 if settings.quick else 2000
    rounds = min(settings.seeds, 3)
    equations = [subject.diffusion(p) for p in (1, 2)]
    errors = np.empty((2, rounds, len(WELL_STEPS)))
    for i in range(rounds):
        tilt = Rational(int(rng.integers(5, 15)), 10)
        start = float(rng.uniform(1.0, 1.5))
        for k, eps in enumerate(WELL_STEPS):
            steps, beta = round(T / eps), 1 - eps / LAMBDA
            half = rng.standard_normal((steps, PER_STEP, paths)) * np.sqrt(eps / PER_STEP)
            moved = np.concatenate([half, -half], axis=-1)  # what odd powers do cancels
            now = before = np.full(2 * paths, start)
            for n in range(steps):
                noise = moved[n].sum(axis=0) * np.sqrt(WELL_NOISE * (1 + now**2)) / eps
                pull = now + float(tilt) * now**2 / 2 + 2 * now**3 / 5 - noise
                now, before = now - eps * (1 - beta) * pull + beta * (now - before), now
            for p, equation in enumerate(equations):
                flow = equation.on_arrays(
                    f"w^2/2 + ({tilt})*w^3/6 + w^4/10",
                    f"({Rational(str(WELL_NOISE / eps))})*(1 + w^2)",
                    eps=eps,
                    lam=LAMBDA,
                )
                state = np.zeros((2 * paths, 2))
                state[:, 0] = start
                for xi in moved.reshape(-1, 2 * paths, 1):
                    state = scheme_step(flow, state, eps / PER_STEP, xi)
                gaps = [(state[:, 0] ** n - now**n).mean() for n in (1, 2)]
                errors[p, i, k] = np.linalg.norm(gaps)
    return Evidence(
        tuple(
            order(
                f"order in eps of the means of w and w^2, equation of weak order {p + 1}",
                WELL_STEPS, errors[p], p + 1, settings, tolerance=0.3,
            )
            for p in (0, 1)
        ),
        {"steps": np.array(WELL_STEPS), "errors": errors},
    )  # fmt: skip


# At rest ------------------------------------------------------------------------------

BETAS = (0.0, 0.5, 0.9)


def _check_rest(subject: Subject, settings: Settings) -> Evidence:
    rng = settings.rng("stationary-noise")
    exact, gaps = subject.moments(HeavyBall()), []
    limit = subject.moments(subject.diffusion(2))
    errors = np.empty((settings.seeds, len(STEPS)))
    for i in range(settings.seeds):
        hessian, spread = quadratic(rng)
        for beta in BETAS:
            gamma = float(rng.uniform(0.1, 0.9)) * (1 + beta)  # gamma h below 2 (1 + beta)
            expected = solve_discrete_lyapunov(*one_step(hessian, spread, gamma, beta))[:3, :3]
            process = exact.on_arrays(hessian, spread, gamma=gamma, beta=beta)
            found = process.stationary()[:3, :3]
            gaps.append(np.abs(found - expected).max() / np.abs(expected).max())
        for k, eps in enumerate(STEPS):
            beta = 1 - eps / LAMBDA
            step = one_step(hessian, spread / eps, eps * (1 - beta), beta)
            expected = solve_discrete_lyapunov(*step)[:3, :3]
            flow = limit.on_arrays(hessian, spread / eps, eps=eps, lam=LAMBDA)
            errors[i, k] = np.abs(flow.stationary()[:3, :3] - expected).max()
    return Evidence(
        (
            at_most(
                "relative error of the covariance of the iterates at rest", gaps, 1e-9, settings
            ),
            order(
                "order in eps of the covariance of the equation of weak order 2 at rest", STEPS,
                errors, 2, settings,
            ),
        ),
        {"steps": np.array(STEPS), "errors": errors},
    )  # fmt: skip


def _variance() -> str:
    return as_latex(quadratic_moments(HeavyBall()).variance())


def _of_the_flow(subject: Subject) -> Subject:
    """Return the subject that takes the covariance of the flow for that of the iterates."""

    def moments(of: Any) -> Any:
        return subject.moments(stochastic_equation(of, 1) if isinstance(of, HeavyBall) else of)

    return replace(subject, moments=moments)


ITERATES_AS_FLOW = Mutation(
    "iterates-as-flow",
    "the covariance at rest of the flow of weak order 1, eps Sigma/(2 h), for that of the iterates",
    _of_the_flow,
)

# The balancedness ---------------------------------------------------------------------

ALPHA = 0.5
NOISY_BETA = 0.5
NOISY_STEPS = (0.06, 0.03, 0.015)
BATCH = 4
LABEL_NOISE = 0.5
LABEL_TIME = 12.0


def _with_label_noise(
    problem: Regression, gamma: float, beta: float, steps: int, runs: int, rng: Any
) -> tuple[FloatArray, FloatArray]:
    """Run heavy ball on fresh label noise of standard deviation `LABEL_NOISE` at each step.

    Returns
    -------
    (shrinkage, squares)
        ln(Delta_0/Delta) of each run, and the sum of g^2 without noise: shapes (runs, d), (d,).
    """
    X, y, n, d = problem.X, problem.y, problem.n, problem.d
    signs = np.array([1.0, -1.0])[:, None, None]
    w = np.full((2, runs + 1, d), np.sqrt(2) * ALPHA)  # the last run has no noise
    p, squares = np.zeros_like(w), np.zeros(d)
    size = np.append(np.full(runs, LABEL_NOISE), 0.0)[:, None]
    for _ in range(steps):
        r = (w[0] ** 2 - w[1] ** 2) / 4 @ X.T - y
        g = (r + size * rng.standard_normal(r.shape)) @ X / n
        squares += g[-1] ** 2
        p = beta * p - gamma * signs * g * w
        w = w + p
    return np.log(2 * ALPHA**2 / np.abs(w[0] * w[1]))[:-1], squares


def _on_minibatches(
    subject: Subject, problem: Regression, gamma: float, beta: float, runs: int, seed: Any
) -> tuple[FloatArray, FloatArray, FloatArray, Any]:
    """Train on minibatches to the end, and without: as above, and the sum of Var_k(g_j)."""
    plain = subject.descent(problem, gamma, beta, ALPHA, record_every=1, tol=1e-4, max_steps=50_000)
    assert plain.path is not None  # it was recorded
    rows = plain.path.theta @ problem.X.T - problem.y
    each = np.einsum("kn,nd->knd", rows, problem.X)
    n = problem.n
    # of the mean of a batch drawn without replacement
    variance = each.var(axis=1) / BATCH * (n - BATCH) / (n - 1)
    noisy = subject.descent(
        problem, np.full(runs, gamma), beta, ALPHA, batch_size=BATCH, seed=seed, tol=1e-4,
        max_steps=200_000,
    )  # fmt: skip
    shrinkage = np.log(noisy.initial_balancedness / noisy.balancedness)
    return shrinkage, (each.mean(axis=1) ** 2).sum(axis=0), variance.sum(axis=0), noisy


def _check_shrinkage(subject: Subject, settings: Settings) -> Evidence:
    rng = settings.rng("noise-shrinks-balancedness")
    runs = 400 if settings.quick else 800
    problems = min(max(settings.seeds, 4), 8)
    # kind; measured, predicted, and the variance of what is measured
    found = np.empty((2, 3, problems, len(NOISY_STEPS), 20))
    for i in range(problems):
        problem = sparse_regression(10, 20, 3, seed=rng)
        for k, eps in enumerate(NOISY_STEPS):
            gamma, beta = eps * (1 - NOISY_BETA), NOISY_BETA
            lam, time = subject.refined(gamma, beta), subject.time_step(gamma, beta)
            lost, squares, variances, noisy = _on_minibatches(
                subject, problem, gamma, beta, runs, rng.spawn(1)[0]
            )
            if not np.all(noisy.converged):
                return Evidence((undecided("limits on minibatches", str(noisy.message)),))
            found[0, :, i, k] = (
                lost.mean(axis=0), subject.noisy_shrinkage(lam, time, squares, variances),
                lost.var(axis=0, ddof=1) / len(lost),
            )  # fmt: skip
            steps = round(LABEL_TIME / eps)
            lost, squares = _with_label_noise(problem, gamma, beta, steps, runs // 4, rng)
            each = LABEL_NOISE**2 * (problem.X**2).sum(axis=0) / problem.n**2
            found[1, :, i, k] = (
                lost.mean(axis=0), subject.noisy_shrinkage(lam, time, squares, steps * each),
                lost.var(axis=0, ddof=1) / len(lost),
            )  # fmt: skip
    # relative; what sampling adds to a square is known, and taken off
    squared = ((found[:, 0] - found[:, 1]) ** 2 - found[:, 2]) / found[:, 1] ** 2
    errors = np.sqrt(np.maximum(squared.mean(axis=(1, 3)), 0.0))
    finest = found[:, :2, :, -1]
    share = np.abs(finest[:, 0] / finest[:, 1] - 1).mean(axis=(1, 2))
    return Evidence(
        tuple(
            measurement
            for j, kind in enumerate(("minibatches", "label noise"))
            for measurement in (
                order(
                    f"order in eps of the law's relative error, {kind}", NOISY_STEPS, errors[j], 1,
                    settings, tolerance=0.4,
                ),
                at_most(
                    f"mean relative error of a coordinate at eps = {NOISY_STEPS[-1]:g}, {kind}",
                    share[j], 0.05, settings,
                ),
            )
        ),
        {"steps": np.array(NOISY_STEPS), "errors": errors, "finest": finest},
    )  # fmt: skip


def _draw_shrinkage(evidence: Evidence) -> Figure:
    s = evidence.series
    figure, axes = panels(2, width=4.4, height=3.4)
    kinds = ("minibatches", "label noise")
    for j, kind in enumerate(kinds):
        measured, predicted = s["finest"][j].reshape(2, -1)
        look = SERIES[j]
        axes[0].plot(
            predicted, measured, look.marker, color=look.color, label=kind, alpha=0.6, markersize=4
        )
        convergence(axes[1], s["steps"], s["errors"][j], label=kind, which=j)
    top = float(s["finest"].max())
    axes[0].plot([0, top], [0, top], color="0.55", linewidth=0.8, zorder=0)
    axes[0].set_xlabel(r"$\sum_k\, [2\hat\lambda\epsilon g_j^2 + \epsilon^2 \mathrm{Var}_k(g_j)]$")
    axes[0].set_ylabel(r"mean of $\ln(\Delta_0/\Delta_{\infty,j})$")
    slope_guide(axes[1], s["steps"], 1.6 * float(s["errors"].max()), 1)
    axes[1].set_xlabel(r"time step $\varepsilon$")
    axes[1].set_ylabel("relative error, root mean square")
    for ax in axes:
        ax.legend(loc="upper left")
    return figure


def _law(change: Any) -> Any:
    """Return what plants a changed law."""

    def plant(subject: Subject) -> Subject:
        def law(lam: Any, eps: Any, squares: Any, variances: Any) -> Any:
            return change(subject.noisy_shrinkage, lam, eps, squares, variances)

        return replace(subject, noisy_shrinkage=law)

    return plant


SHRINKAGE_CONTROLS = (
    Mutation(
        "noise-left-out",
        "the law without its noise term",
        _law(lambda law, lam, eps, squares, variances: law(lam, eps, squares, 0 * variances)),
    ),
    Mutation(
        "noise-term-that-knows-beta",
        "the noise term multiplied by (1 + beta)/2, as if noise were a steady gradient",
        _law(
            lambda law, lam, eps, squares, variances: law(
                lam, eps, squares, variances * lam * (1 - NOISY_BETA) / eps
            )
        ),
    ),
    Mutation(
        "variance-of-half-the-batch",
        "the variance of batches of half the size: twice the noise term",
        _law(lambda law, lam, eps, squares, variances: law(lam, eps, squares, 2 * variances)),
    ),
)

# The rule for batch sizes -------------------------------------------------------------

RULE_BATCH, RULE_FACTOR, RULE_RUNS = 10, 2, 48
RULE_LR, RULE_MOMENTUM, RULE_STEPS = 0.05, 0.9, 120


def _spread_on_digits(
    data: tuple[FloatArray, FloatArray],
    lr: float,
    momentum: float,
    batch: int,
    steps: int,
    rng: Any,
) -> FloatArray:
    """Return the variance of the weights over runs on minibatches drawn with replacement."""
    X, target = data
    w = np.zeros((RULE_RUNS, X.shape[1], target.shape[1]))
    velocity = np.zeros_like(w)
    for _ in range(steps):
        rows = rng.integers(len(X), size=(RULE_RUNS, batch))
        x = X[rows]
        scores = x @ w
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        error = scores / scores.sum(axis=-1, keepdims=True) - target[rows]
        velocity = momentum * velocity + np.swapaxes(x, 1, 2) @ error / batch
        w = w - lr * velocity
    return w.var(axis=0, ddof=1)


def _digits() -> tuple[FloatArray, FloatArray]:
    data, labels = libraries.scikit_learn().datasets.load_digits(return_X_y=True)
    return data[:300] / 16.0, np.eye(10)[labels[:300]]


def _check_rule(subject: Subject, settings: Settings) -> Evidence:
    rng = settings.rng("batch-size-rule")
    data, ratios = _digits(), []
    found = subject.transfer(
        "sgd", {"lr": RULE_LR, "momentum": RULE_MOMENTUM}, batch_size=RULE_BATCH,
        to_batch_size=RULE_FACTOR * RULE_BATCH,
    )  # fmt: skip
    for _ in range(2 if settings.quick else min(settings.seeds, 6)):
        spreads = [
            _spread_on_digits(
                data, at["lr"], at["momentum"], round(at["batch size"]),
                round(RULE_STEPS * share), rng,
            ).mean()
            for at, share in ((found.before, 1.0), (found.after, found.steps))
        ]  # fmt: skip
        ratios.append(np.log(spreads[1] / spreads[0]))
    mean = abs(float(np.mean(ratios)))
    return Evidence(
        (
            at_most(
                "|ln of the ratio| of the variances of the weights, batch sizes "
                f"{RULE_FACTOR * RULE_BATCH} and {RULE_BATCH}", mean, 0.2, settings,
            ),
        ),
    )  # fmt: skip


def _transferred(change: Any) -> Any:
    def plant(subject: Subject) -> Subject:
        def transfer(*arguments: Any, **options: Any) -> Any:
            found = subject.transfer(*arguments, **options)
            return replace(found, **change(found))

        return replace(subject, transfer=transfer)

    return plant


RULE_CONTROLS = (
    Mutation(
        "batch-size-kept",
        "step and momentum changed by the rule, the batch size not",
        _transferred(
            lambda found: {"after": {**found.after, "batch size": found.before["batch size"]}}
        ),
    ),
    Mutation(
        "momentum-kept",
        "the step multiplied by rho^2 at the old momentum",
        _transferred(
            lambda found: {"after": {**found.after, "momentum": found.before["momentum"]}}
        ),
    ),
)

CLAIMS = (
    Claim(
        name="weak-orders",
        theme=THEME,
        title="The stochastic equation has the mean and the covariance of noisy heavy ball",
        statement=(
            "On random quadratics in three variables, with gradient noise of random covariance, "
            f"eps Sigma kept fixed, mean and covariance of w up to time {T:g} differ from those "
            f"of the iterates by the p-th power of eps, p = 1 and 2: lambda = {LAMBDA:g}, eps from "
            f"{STEPS[-1]:g} to {STEPS[0]:g}. All moments are exact; nothing is sampled."
        ),
        formulas=lambda: (stochastic_equation(HeavyBall(), 2).latex(),),
        source=LI_TAI_E,
        check=_check_orders,
        controls=(NO_CORRECTION, MOMENTUM_IN_THE_NOISE, UNSCALED_BATCH, OTHER_FRICTION),
        draw=_draw_orders,
        caption="Median over the quadratics, range shaded.",
    ),
    Claim(
        name="weak-orders-in-a-well",
        theme=THEME,
        title="So it has on a loss that is not quadratic, with noise that depends on the weights",
        statement=(
            "In a lopsided well w^2/2 + a w^3/6 + w^4/10, noise of covariance proportional to "
            f"1 + w^2, the means of w and w^2 at time {T:g} differ from those of noisy heavy ball "
            "by the p-th power of eps, p = 1 and 2: paths that share their random numbers, "
            f"lambda = {LAMBDA:g}."
        ),
        formulas=lambda: (stochastic_equation(HeavyBall(), 2).latex(),),
        source=LI_TAI_E,
        check=_check_well,
        controls=(NO_CORRECTION, OTHER_FRICTION),
    ),
    Claim(
        name="stationary-noise",
        theme=THEME,
        title="How far the weights are spread at rest",
        statement=(
            "The covariance at rest of heavy ball on quadratics, in closed form, is what a step "
            "leaves as it is; that of the stochastic equation of weak order 2 differs from it by "
            "the square of eps. Random quadratics and steps, beta = "
            f"{', '.join(f'{b:g}' for b in BETAS)}."
        ),
        formulas=lambda: (rf"\mathrm{{Var}}\, w = {_variance()}\, \sigma^2",),
        source=HERE,
        check=_check_rest,
        controls=(ITERATES_AS_FLOW, NO_CORRECTION, UNSCALED_BATCH),
    ),
    Claim(
        name="noise-shrinks-balancedness",
        theme=THEME,
        title="Noise shrinks the balancedness, alike at every momentum",
        statement=(
            "The mean of ln(Delta_0/Delta_inf) is the sum over the steps of 2 lambda_hat eps g^2 + "
            "eps^2 Var(g), g and Var along the run without noise, up to a relative error of first "
            f"order in eps: random problems, n = 10, d = 20, beta = {NOISY_BETA:g}, minibatches "
            f"of {BATCH} rows to the end, label noise of {LABEL_NOISE:g} up to time {LABEL_TIME:g}."
        ),
        formulas=said_by("noise-shrinks-balancedness"),
        source=HERE,
        check=_check_shrinkage,
        controls=SHRINKAGE_CONTROLS,
        theorems=("noise-shrinks-balancedness",),
        draw=_draw_shrinkage,
        caption="Left: each coordinate of each problem at the smallest step. Right: the error.",
    ),
    Claim(
        name="batch-size-rule",
        theme=THEME,
        title="With the batch size scaled along, the acceleration rule keeps the noise",
        statement=(
            "Heavy ball at (rho^2 gamma, rho (1 - beta), rho B) spreads the weights as at "
            f"(gamma, 1 - beta, B), in 1/rho as many steps: rho = {RULE_FACTOR}, multinomial "
            "regression on 300 of scikit-learn's handwritten digits, variance over "
            f"{RULE_RUNS} runs."
        ),
        formulas=(r"(\gamma, 1-\beta, B) \to (\rho^2 \gamma, \rho\,(1-\beta), \rho B)",),
        source=HERE,
        check=_check_rule,
        controls=RULE_CONTROLS,
    ),
)
