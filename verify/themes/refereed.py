"""Statements by others, refereed: what the package derives, and computes, against them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp

from momentumflow.base import libraries
from momentumflow.base.arrays import FloatArray
from momentumflow.base.literature import SOURCES
from momentumflow.numeric import Regression, sparse_regression
from momentumflow.symbolic import (
    DiagonalNetwork,
    HeavyBall,
    Identity,
    MomentumMethod,
    modified_loss,
)
from momentumflow.symbolic.equations.quadratic import slow_root_series
from momentumflow.symbolic.symbols import beta, gamma, z
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence
from momentumflow.verify.measure import at_most, mean_below, order
from momentumflow.verify.mutants import with_flow
from momentumflow.verify.oracles import gradient_flow
from momentumflow.verify.published import (
    GRADIENT_PENALTY,
    HEAVY_BALL_ALPHA,
    NESTEROV_ALPHA,
    SLOW_CONSTANT,
    SLOW_CONSTANT_PRINTED,
    SUMMAND,
    a,
    x,
)
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject

THEME = "The literature, refereed"


def _instead(name: str, make: Any) -> Any:
    """Return what plants another statement under a name, by a function of the right one."""

    def plant(subject: Subject) -> Subject:
        changed = {**subject.published, name: make(subject.published[name])}
        return replace(subject, published=changed)

    return plant


# The loss that momentum descends ------------------------------------------------------

MOMENTA = (0.2, 0.5, 0.8)
SMALL_STEP = 1e-4


def _slow_rate(step: float, momentum: float, ahead: float) -> float:
    """-ln of the slow root on the curvature 1, by the companion matrix of the recurrence.

    `u_{n+1} = u_n + momentum d - step (u_n + ahead d)`, `d = u_n - u_{n-1}`.
    """
    linear = 1 + momentum - step * (1 + ahead)
    roots = np.roots([1.0, -linear, momentum - step * ahead])
    return float(-np.log(roots.real.max()))


def _check_constant(subject: Subject, settings: Settings) -> Evidence:
    constant = subject.published["slow constant"]
    errors = []
    for momentum in MOMENTA:
        for ahead in (0.0, momentum):
            rate = _slow_rate(SMALL_STEP, momentum, ahead)
            # u' = -(1/(1 - momentum)) (Phi' + h c Phi'') on curvature one, per unit of h
            measured = (rate / SMALL_STEP * (1 - momentum) - 1) / SMALL_STEP
            errors.append(abs(float(constant(momentum, ahead)) / measured - 1))
    return Evidence(
        (
            at_most("relative error of the constant, by the slow root", errors, 1e-2, settings),
            at_most(
                "distance to 1/2 without momentum", abs(float(constant(0.0, 0.0)) - 0.5), 1e-12,
                settings,
            ),
        )
    )  # fmt: skip


def _constant_proof() -> tuple[Identity, ...]:
    stated = MomentumMethod.parse(
        "w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*f(w[k] + a*(w[k]-w[k-1]))"
    )
    first, second = slow_root_series(stated, 2)
    ahead = next(s for s in stated.parameters if s.name == "a")
    derived = (second / first).subs(ahead, a)
    return (
        Identity(
            "the constant of the modified loss, derived",
            sp.cancel(derived),
            SLOW_CONSTANT,
            assumptions="ln r = -lb (gamma l) - lb c (gamma l)^2 + ..., lb = 1/(1 - beta)",
        ),
        Identity(
            "the constant without momentum",
            SLOW_CONSTANT.subs({beta: 0, a: 0}),
            sp.Rational(1, 2),
            assumptions="gradient descent",
        ),
        Identity(
            "what is printed is larger by 1/(1 - beta)",
            SLOW_CONSTANT_PRINTED - SLOW_CONSTANT,
            1 / (1 - beta),
        ),
    )


def _printed_constant(right: Any) -> Any:
    return lambda momentum, ahead: right(momentum, ahead) + 1 / (1 - momentum)


PRINTED_CONSTANT = Mutation(
    "constant-as-printed",
    "the constant with the sign of 1/2 as printed",
    _instead("slow constant", _printed_constant),
)


def _check_penalty(subject: Subject, settings: Settings) -> Evidence:
    penalty = subject.published["gradient penalty"]
    errors = []
    for momentum in MOMENTA:
        rate = _slow_rate(SMALL_STEP, momentum, 0.0)
        measured = (rate - SMALL_STEP / (1 - momentum)) / 2
        # per step; the flow takes gamma/(1 - beta) as the unit of its first term
        stated = SMALL_STEP * float(penalty(SMALL_STEP, momentum))
        errors.append(abs(stated / measured - 1))
    return Evidence(
        (at_most("relative error of the coefficient, by the slow root", errors, 1e-2, settings),)
    )


def _penalty_proof() -> tuple[Identity, ...]:
    coefficients = [c for _, c in modified_loss(HeavyBall(), 2).terms]
    return (
        Identity(
            "the coefficient of |grad F|^2 in the modified loss",
            coefficients[1] / gamma,
            GRADIENT_PENALTY,
            assumptions="per unit of gamma; from the package's modified loss of heavy ball",
        ),
        Identity(
            "it is the constant of the quadratic",
            SLOW_CONSTANT.subs(a, 0) * gamma / (2 * (1 - beta)),
            GRADIENT_PENALTY,
            assumptions="heavy ball: a = 0",
        ),
        Identity(
            "it is stronger than that of gradient descent by (1 + beta)/(1 - beta)",
            (1 - beta) * GRADIENT_PENALTY,
            (1 + beta) / (1 - beta) * GRADIENT_PENALTY.subs({beta: 0, gamma: gamma / (1 - beta)}),
            assumptions="both per unit of the loss, at the same effective step gamma/(1 - beta)",
            source=f"{SOURCES['ghosh2023'].short()} (abstract)",
        ),
    )


SQUARED = Mutation(
    "squared-for-cubed",
    "(1 - beta)^2 in place of its cube",
    _instead("gradient penalty", lambda right: lambda g, b: right(g, b) * (1 - b)),
)

# Momentum on diagonal networks --------------------------------------------------------

STEPS = (4e-3, 2e-3, 1e-3)
NETWORK_BETA, NETWORK_ALPHA = 0.5, 0.5
SHIFTS = (4e-2, 2e-2, 1e-2)


def _check_lyu(subject: Subject, settings: Settings) -> Evidence:
    rng = settings.rng("lyu-diagonal-momentum")
    rests: dict[str, list[list[float]]] = {"heavy_ball": [], "nesterov": []}
    moves = []
    for _ in range(min(settings.seeds, 6)):
        problem = sparse_regression(2, 4, 2, seed=rng)
        integral = gradient_flow(problem.X, problem.y, NETWORK_ALPHA).squared_gradient
        for method, rest in rests.items():
            stated = subject.published[method.replace("_", "-") + " alpha"]
            rest.append([])
            for step in STEPS:
                run = subject.descent(
                    problem, step, NETWORK_BETA, NETWORK_ALPHA, method=method, tol=1e-11,
                    max_steps=2_000_000,
                )  # fmt: skip
                exact = np.log(run.balancedness / run.initial_balancedness)
                alpha = float(stated(step, NETWORK_BETA))
                rest[-1].append(np.abs(exact + 2 * alpha / (1 - NETWORK_BETA) * integral).max())
        # how far the minimiser moves with the gradient of the start in the function
        start = 0.1 * rng.standard_normal(problem.d)
        direction = subject.published["initial gradient"](problem.X, problem.X @ start - problem.y)
        ratio = 2 * start / 0.3
        log_delta = np.full(problem.d, np.log(0.3))
        ends = [
            subject.solve(
                problem, log_balancedness=log_delta,
                shift=np.arcsinh(ratio + size * direction * np.sqrt(1 + ratio**2)),
            ).theta
            for size in (0.0, *SHIFTS)
        ]  # fmt: skip
        moves.append([np.linalg.norm(end - ends[0]) for end in ends[1:]])
    return Evidence(
        (
            order(
                "order in the step of the rest of ln Delta, heavy ball", STEPS,
                np.array(rests["heavy_ball"]), 2, settings,
            ),
            order(
                "order in the step of the rest of ln Delta, Nesterov", STEPS,
                np.array(rests["nesterov"]), 2, settings,
            ),
            order(
                "order of the shift of the minimiser by the start's gradient", SHIFTS,
                np.array(moves), 2, settings, tolerance=0.3,
            ),
        )
    )  # fmt: skip


def _lyu_proof() -> tuple[Identity, ...]:
    d, s = sp.symbols("d s", real=True)
    return (
        Identity(
            "alpha of heavy ball by the constant of the modified loss",
            (1 - beta) * gamma * SLOW_CONSTANT.subs(a, 0),
            HEAVY_BALL_ALPHA,
            assumptions="the gradient is taken where the iterate is: a = 0",
        ),
        Identity(
            "alpha of Nesterov's method by the constant of the modified loss",
            (1 - beta) * gamma * SLOW_CONSTANT.subs(a, beta),
            NESTEROV_ALPHA,
            assumptions="the gradient is taken ahead: a = beta",
        ),
        Identity(
            "the start's gradient moves the dual variable by itself, to first order",
            sp.diff(sp.asinh(s + d * sp.sqrt(1 + s**2)), d).subs(d, 0),
            sp.S.One,
            assumptions="asinh(s + d sqrt(1 + s^2)) = asinh s + d + O(d^2), d in the range of X^T",
        ),
    )


WITHOUT_MOMENTUM = Mutation(
    "alpha-of-gradient-descent",
    "alpha of heavy ball as if its momentum were zero",
    _instead("heavy-ball alpha", lambda right: lambda g, b: right(g, 0.0)),
)
SAME_ALPHA = Mutation(
    "alpha-of-heavy-ball-for-nesterov",
    "alpha of Nesterov's method as that of heavy ball",
    _instead("nesterov alpha", lambda right: lambda g, b: g * (1 + b) / (2 * (1 - b))),
)


def _in_kernel(X: FloatArray, residual: FloatArray) -> FloatArray:
    ones = np.ones(X.shape[1])
    direction: FloatArray = ones - np.linalg.pinv(X) @ (X @ ones)
    return direction


OUT_OF_RANGE = Mutation(
    "gradient-out-of-range",
    "in place of the gradient at the start a vector of the kernel of X",
    _instead("initial gradient", lambda right: _in_kernel),
)

# Large steps ------------------------------------------------------------------------------


def _check_even(subject: Subject, settings: Settings) -> Evidence:
    rng = settings.rng("even-large-steps")
    errors = []
    for _ in range(min(settings.seeds, 10)):
        problem = sparse_regression(6, 15, 3, seed=rng)
        top = float(np.linalg.norm(problem.X, 2) ** 2 / problem.n)
        scale = float(np.linalg.norm(problem.least_norm_solution, np.inf))
        step = 0.2 / (top * scale)
        run = subject.descent(
            problem, step, 0.0, 0.5, method="gradient_descent", tol=1e-10, max_steps=2_000_000
        )
        # the iterates once more, plainly, with the sum of their statement
        plus, minus = (np.full(problem.d, np.sqrt(2) * 0.5) for _ in range(2))
        total = np.zeros(problem.d)
        for _ in range(int(run.steps)):
            g = problem.X.T @ (problem.X @ ((plus**2 - minus**2) / 4) - problem.y) / problem.n
            total += subject.published["summand"](step * g)
            plus, minus = plus * (1 - step * g), minus * (1 + step * g)
        stated = np.log(run.initial_balancedness) - total
        errors.append(np.abs(stated - subject.log_balancedness(run)).max())
    return Evidence(
        (
            at_most(
                "distance of ln alpha_inf^2 as stated from this package's ln Delta_inf", errors,
                1e-9, settings,
            ),
        )
    )  # fmt: skip


def _even_proof() -> tuple[Identity, ...]:
    summand = DiagonalNetwork().remainder_summand().subs(beta, 0)
    return (
        Identity(
            "the two remainder summands without momentum",
            summand.subs(z, 1 - x) + summand.subs(z, 1 + x),
            SUMMAND,
            assumptions="w_{k+1} = (1 -+ x) w_k with x = gamma_k g_k, |x| < 1",
            hints=(
                (
                    "logarithms, for |x| < 1",
                    lambda e: sp.expand_log(
                        e.replace(sp.Abs, lambda inside: inside).replace(
                            sp.log, lambda inside: sp.log(sp.factor(inside))
                        ),
                        force=True,
                    ),
                ),
            ),
        ),
    )


FIRST_ORDER_SUM = Mutation(
    "sum-to-second-order-in-the-step",
    "x^2 in place of -ln(1 - x^2), which is its first term",
    _instead("summand", lambda right: lambda value: value**2),
)

# The path of the lasso --------------------------------------------------------------------

LASSO_ALPHAS = (1e-10, 1e-40)
LASSO_TIMES = np.linspace(0.5, 20.0, 14)
LASSO_LAMBDA = 0.9  # of the bound up to which no weight changes sign


def _lasso_path(problem: Regression, times: FloatArray) -> FloatArray:
    """Argmin F + |theta|_1/s at each s, by scikit-learn's LARS; shape (times, d)."""
    penalties, _, corners = libraries.scikit_learn().linear_model.lars_path(
        problem.X, problem.y, method="lasso"
    )
    at = 1 / times
    columns = [np.interp(at, penalties[::-1], corner[::-1]) for corner in corners]
    found: FloatArray = np.stack(columns, axis=-1)
    return found


def _monotone(problem: Regression) -> bool:
    """Whether s theta(s) moves away from zero in every coordinate."""
    times = np.linspace(0.05, 60.0, 1200)
    grown = np.abs(times[:, None] * _lasso_path(problem, times))
    return bool(np.all(np.diff(grown, axis=0) > -1e-9))


def _objective(problem: Regression, theta: FloatArray) -> FloatArray:
    found: FloatArray = problem.loss(theta) + np.abs(theta).sum(axis=-1) / LASSO_TIMES
    return found


def _lasso_gap(subject: Subject, problem: Regression, alpha: float, lam: float) -> float:
    """Largest excess of the lasso objective of the averaged flow over s, t = s ln(1/alpha)."""
    unit = np.log(1 / alpha)
    steps = round(float(LASSO_TIMES[-1] / 0.005))
    time = np.linspace(0, LASSO_TIMES[-1] * unit, steps + 1)
    run = subject.flow(problem, lam, alpha, t_end=time[-1], t_eval=time)
    assert run.path is not None
    theta = run.path.theta
    area = np.cumsum((theta[1:] + theta[:-1]) / 2, axis=0) * (time[1] - time[0])
    index = np.round(LASSO_TIMES / 0.005).astype(int) - 1
    average = area[index] / time[index + 1, None]
    least = _objective(problem, _lasso_path(problem, LASSO_TIMES))
    return float((_objective(problem, average) - least).max())


def _draw_problems(rng: np.random.Generator, count: int) -> list[Regression]:
    """Draw problems of three rows and four features whose lasso path is monotone."""
    found: list[Regression] = []
    while len(found) < count:
        problem = Regression(rng.standard_normal((3, 4)), rng.standard_normal(3))
        if _monotone(problem):
            found.append(problem)
    return found


def _check_lasso(subject: Subject, settings: Settings) -> Evidence:
    problems = _draw_problems(settings.rng("lasso-path"), min(settings.seeds, 8))
    gaps = np.array(
        [[_lasso_gap(subject, p, alpha, 0.0) for alpha in LASSO_ALPHAS] for p in problems]
    )
    return Evidence(
        (
            at_most("largest gap of the objective, alpha = 1e-40", gaps[:, 1], 5e-4, settings),
            at_most(
                "gap at alpha = 1e-40 over that at 1e-10", gaps[:, 1] / gaps[:, 0], 0.25, settings
            ),
        ),
        {"gap": gaps},
    )


def _check_lasso_momentum(subject: Subject, settings: Settings) -> Evidence:
    problems = _draw_problems(settings.rng("lasso-path", "momentum"), 16)
    gaps = np.array(
        [
            [
                _lasso_gap(
                    subject, p, alpha, LASSO_LAMBDA * float(subject.sign_change_bound(p).lam)
                )
                for alpha in LASSO_ALPHAS
            ]
            for p in problems
        ]
    )
    return Evidence(
        (
            mean_below(
                "ln of the gap at alpha = 1e-40 over that at 1e-10",
                np.log(gaps[:, 1] / gaps[:, 0]), float(np.log(0.25)),
            ),
        ),
        {"gap": gaps},
    )  # fmt: skip


WITH_MOMENTUM = Mutation(
    "lasso-with-momentum",
    "the flow with momentum, at the largest lambda that keeps signs, for gradient flow",
    with_flow(lambda _, subject, problem: float(subject.sign_change_bound(problem).lam)),
    "code",
)

_KOVACHKI, _GHOSH = SOURCES["kovachki2021"].short(), SOURCES["ghosh2023"].short()
_LYU, _EVEN, _BERTHIER = (SOURCES[k].short() for k in ("lyu2025", "even2023", "berthier2025"))

CLAIMS = (
    Claim(
        name="kovachki-stuart-constant",
        theme=THEME,
        title="Kovachki and Stuart: the constant of the modified loss, with its sign corrected",
        statement=(
            "Momentum descends Phi + (h c/2)|grad Phi|^2. Printed is c = lb (lb - a + 1/2), "
            "lb = 1/(1 - beta); the slow root of the iterates on a quadratic decides for "
            "c = lb (lb - a - 1/2), beta = 0.2, 0.5 and 0.8, heavy ball (a = 0) and Nesterov "
            "(a = beta). Without momentum it is the 1/2 of gradient descent; the printed constant "
            "would be 3/2."
        ),
        formulas=lambda: ("c = " + sp.latex(SLOW_CONSTANT),),
        source=f"{_KOVACHKI}, theorem 6 (the print was read; a sign in u'' is slipped there)",
        check=_check_constant,
        controls=(PRINTED_CONSTANT,),
        proofs=_constant_proof,
        random=False,
    ),
    Claim(
        name="ghosh-gradient-penalty",
        theme=THEME,
        title="Ghosh, Lyu, Zhang and Wang: the gradient penalty of heavy ball is right",
        statement=(
            "Their coefficient of |grad F|^2 is the one that the package derives, agrees with the "
            "corrected constant of Kovachki and Stuart, and with the slow root on a quadratic."
        ),
        formulas=lambda: (sp.latex(GRADIENT_PENALTY) + r"\,\|\nabla F\|^2",),
        source=f"{_GHOSH} (its abstract was read; the constant is quoted second-hand)",
        check=_check_penalty,
        controls=(SQUARED,),
        proofs=_penalty_proof,
        random=False,
    ),
    Claim(
        name="lyu-diagonal-momentum",
        theme=THEME,
        title="Lyu, Wang, Wang and Zhu: the start's gradient does not matter at their order",
        statement=(
            "ln Delta falls by 2 alpha/(1 - beta) int g^2, with their alpha of heavy ball and of "
            "Nesterov's method, up to second order in the step (n = 2, d = 4, beta = 0.5). The "
            "dependence on the gradient at the start that they state is in the range of X^T: it "
            "moves the minimiser by the second order only, beyond the order of the theorem."
        ),
        formulas=lambda: (
            r"\alpha_{HB} = " + sp.latex(HEAVY_BALL_ALPHA),
            r"\alpha_{NAG} = " + sp.latex(NESTEROV_ALPHA),
        ),
        source=(
            f"{_LYU}, proposition 1 and theorem 3 (read in a converted copy; the abstract, which "
            "states the dependence, was read)"
        ),
        check=_check_lyu,
        controls=(WITHOUT_MOMENTUM, SAME_ALPHA, OUT_OF_RANGE),
        proofs=_lyu_proof,
    ),
    Claim(
        name="even-large-steps",
        theme=THEME,
        title="Even, Pesme, Gunasekar and Flammarion: their alpha_inf is this package's remainder",
        statement=(
            "Without momentum the balancedness at the end, by this package's remainders, is the "
            "alpha_inf^2 that they state for gradient descent with large steps. n = 6, d = 15."
        ),
        formulas=(
            r"\alpha_\infty^2 = \alpha^2 \exp(-\sum_k q(\gamma_k g_k)), \quad "
            r"q(x) = -\tfrac{1}{2} \ln((1 - x^2)^2)",
        ),
        source=_EVEN,
        check=_check_even,
        controls=(FIRST_ORDER_SUM,),
        proofs=_even_proof,
    ),
    Claim(
        name="lasso-path",
        theme=THEME,
        title="Berthier: in logarithmic time averaged gradient flow follows the path of the lasso",
        statement=(
            "At t = s ln(1/alpha) the average of gradient flow up to t tends to minimise "
            "F + |theta|_1/s, where s theta(s) moves away from zero along the path of the lasso: "
            "the gap of that objective falls at least fourfold from alpha = 1e-10 to 1e-40. "
            "n = 3, d = 4; lasso by scikit-learn."
        ),
        formulas=(
            r"\bar\theta(t) = \frac{1}{t} \int_0^t \theta, \quad t = s \ln(1/\alpha): \quad "
            r"F(\bar\theta) + \tfrac{1}{s} |\bar\theta|_1 \to \min",
        ),
        source=_BERTHIER,
        check=_check_lasso,
        controls=(WITH_MOMENTUM,),
    ),
    Claim(
        name="lasso-path-with-momentum",
        theme=THEME,
        title="Does the averaged flow follow the path of the lasso with momentum, too?",
        statement=(
            "Asked here: does the gap of the lasso's objective fall fourfold from alpha = 1e-10 to "
            f"1e-40 in the mean, at fixed lambda, {LASSO_LAMBDA:g} of the bound below which no "
            "weight changes sign?"
        ),
        formulas=(r"\lambda > 0: \quad F(\bar\theta) + \tfrac{1}{s} |\bar\theta|_1 \to \min\ ?",),
        source=f"after {_BERTHIER}; the question is new",
        check=_check_lasso_momentum,
        controls=(WITH_MOMENTUM,),
        question=True,
    ),
)
