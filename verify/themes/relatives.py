"""Beyond heavy ball on u*v: Nesterov, other parametrisations, noise on the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.integrate import solve_ivp

from momentumflow.numeric import sparse_regression
from momentumflow.numeric.validation import FloatArray
from momentumflow.verify.claim import Claim, Evidence, Mutation, Settings, undecided
from momentumflow.verify.limits import Comparison, compare, relative_distance
from momentumflow.verify.measure import at_most
from momentumflow.verify.themes.limit import (
    CONVERGED_SHARE,
    INITIAL_BALANCEDNESS,
    MAX_STEPS,
    RESIDUAL,
    SWAPPED_SIGN,
    step_and_momentum,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from momentumflow.symbolic import Identity
    from momentumflow.verify.subject import Subject

THEME = "Relatives"

# Nesterov ------------------------------------------------------------------------------


def _check_nesterov(subject: Subject, settings: Settings) -> Evidence:
    parts = []
    for alpha in (1.0, 0.1):
        problem = sparse_regression(
            10, 30, 5, seed=settings.rng("limit-nesterov", str(alpha)), batch=(settings.seeds,)
        )
        for lam in (0.1, 1.0, 10.0):
            run = subject.descent(
                problem,
                *step_and_momentum(lam),
                alpha,
                method="nesterov",
                max_steps=MAX_STEPS,
                tol=RESIDUAL,
            )
            parts.append(compare(subject, problem, run, label=f"lambda = {lam:g}"))
    return Evidence(Comparison.join(parts).measurements(settings, share=CONVERGED_SHARE))


# Other parametrisations under gradient flow -----------------------------------------------


def network_flow(
    X: FloatArray,
    y: FloatArray,
    start: FloatArray,
    theta: Callable[[FloatArray], FloatArray],
    slopes: Callable[[FloatArray], FloatArray],
) -> tuple[FloatArray, float]:
    """Integrate gradient flow of F(theta(w)) by SciPy; return (theta, relative residual).

    Parameters
    ----------
    start : ndarray, shape (m, d)
        Initial weights.
    theta : callable
        Weights (m, d) to parameter (d,).
    slopes : callable
        Weights (m, d) to d theta_j / d w_ij, shape (m, d).
    """
    n, scale = X.shape[0], float(np.linalg.norm(y))

    def rhs(_: float, flat: FloatArray) -> FloatArray:
        w = flat.reshape(start.shape)
        g = X.T @ (X @ theta(w) - y) / n
        return (-slopes(w) * g).ravel()

    def fitted(_: float, flat: FloatArray) -> float:
        return float(np.linalg.norm(X @ theta(flat.reshape(start.shape)) - y)) / scale - 1e-11

    fitted.terminal = True  # type: ignore[attr-defined]
    solution = solve_ivp(
        rhs, (0.0, 500.0), start.ravel(), method="DOP853", events=fitted, rtol=1e-12, atol=1e-14
    )
    end = theta(solution.y[:, -1].reshape(start.shape))
    return end, float(np.linalg.norm(X @ end - y)) / scale


def _square(w: FloatArray) -> FloatArray:
    value: FloatArray = w[0] ** 2
    return value


def _power(depth: int) -> tuple[Callable[[FloatArray], FloatArray], ...]:
    def theta(w: FloatArray) -> FloatArray:
        value: FloatArray = w[0] ** depth - w[1] ** depth
        return value

    def slopes(w: FloatArray) -> FloatArray:
        return depth * np.stack([w[0] ** (depth - 1), -(w[1] ** (depth - 1))])

    return theta, slopes


NETWORK_ALPHA = 0.7
PARAMETRISATIONS = ("square", "depth-3", "depth-4")


def _network_distance(
    subject: Subject, settings: Settings, name: str
) -> tuple[list[float], list[float]]:
    from momentumflow.numeric.implicit import DepthEntropy, KullbackLeibler

    distances, residuals = [], []
    rng = settings.rng("other-networks", name)
    # SciPy's flow costs a second a problem.
    for _ in range(3 if settings.quick else min(settings.seeds, 8)):
        problem = sparse_regression(5, 12, 5, seed=rng)
        X, y = problem.X, problem.y
        potential: Any
        if name == "square":
            # theta = u^2 reaches positive targets only.
            y = X @ np.abs(problem.teacher if problem.teacher is not None else y)
            start = np.full((1, X.shape[1]), NETWORK_ALPHA)
            theta, residual = network_flow(X, y, start, _square, lambda w: 2 * w)
            potential = KullbackLeibler.from_reference(np.full(X.shape[1], NETWORK_ALPHA**2))
        else:
            depth = int(name[-1])
            start = np.full((2, X.shape[1]), NETWORK_ALPHA)
            theta, residual = network_flow(X, y, start, *_power(depth))
            potential = DepthEntropy.from_scale(np.full(X.shape[1], NETWORK_ALPHA), depth)
        residuals.append(residual)
        solution = subject.solve((X, y), potential=potential)
        distances.append(float(relative_distance(theta, solution.theta)))
    return distances, residuals


def _check_networks(subject: Subject, settings: Settings) -> Evidence:
    measured = []
    for name in PARAMETRISATIONS:
        found, residuals = _network_distance(subject, settings, name)
        distances, reached = np.array(found), np.array(residuals) <= 1e-10
        if reached.mean() < CONVERGED_SHARE / 2:
            measured.append(
                undecided(f"limit of {name}", f"relative residual {max(residuals):.1e} at t = 500")
            )
            continue
        measured.append(
            at_most(
                f"relative distance to the prediction, {name}", distances[reached], 1e-8, settings
            )
        )
    return Evidence(tuple(measured))


def _wrong_potential(subject: Subject) -> Subject:
    def solve(problem: Any, *args: Any, **options: Any) -> Any:
        options.pop("potential", None)
        # The hyperbolic entropy, that of depth two.
        return subject.solve(problem, 2 * NETWORK_ALPHA**2, 0.0)

    return replace(subject, solve=solve)


DEPTH_TWO = Mutation(
    "potential-of-depth-two",
    "the hyperbolic entropy in place of the network's own potential",
    _wrong_potential,
)

# Noise on the weights -----------------------------------------------------------------------

VARIANCE = 0.05
NOISE_STEP = 2e-3
NOISE_STEPS = 400


def _noisy_imbalance(problem_seed: np.random.Generator, runs: int) -> tuple[FloatArray, ...]:
    """Train u, v with Gaussian noise on the weights at which the gradient is taken.

    Returns the ratio of ln|(u^2 - v^2)_end / start| (runs, d), the column mean
    squares (d,) and the time.
    """
    rng = problem_seed
    problem = sparse_regression(10, 15, 3, seed=rng)
    X, y, n, d = problem.X, problem.y, problem.n, problem.d
    u, v = np.full((runs, d), 1.2), np.full((runs, d), 0.4)
    start = u**2 - v**2
    deviation = np.sqrt(VARIANCE)
    for _ in range(NOISE_STEPS):
        a = u + deviation * rng.standard_normal((runs, d))
        b = v + deviation * rng.standard_normal((runs, d))
        g = ((a * b) @ X.T - y) @ X / n
        u, v = u - NOISE_STEP * b * g, v - NOISE_STEP * a * g
    square = np.mean(X**2, axis=0)
    return (u**2 - v**2) / start, square, np.array(NOISE_STEP * NOISE_STEPS)


def _check_noise(subject: Subject, settings: Settings) -> Evidence:
    runs = 2000 if settings.quick else 8000
    rng = settings.rng("noise-balances")
    errors, expected, measured = [], [], []
    for _ in range(2 if settings.quick else 4):
        ratio, square, time = _noisy_imbalance(rng, runs)
        rate = subject.sam_rate(VARIANCE, square)
        mean = ratio.mean(axis=0)
        errors.append(-np.log(mean) / time / rate - 1)
        expected.append(np.exp(-rate * time))
        measured.append(mean)
    return Evidence(
        (
            # The step adds a bias of order gamma, the mean over the runs a noise of 0.2 %.
            at_most("relative error of the decay rate", np.abs(np.array(errors)), 0.1, settings),
        ),
        {"expected": np.concatenate(expected), "measured": np.concatenate(measured)},
    )


def _draw_noise(evidence: Evidence) -> Figure:
    from momentumflow.verify.figures import SERIES, panels

    s = evidence.series
    figure, (axes,) = panels(width=4.2, height=3.6)
    ends = np.array([min(s["expected"].min(), s["measured"].min()), 1.0])
    axes.plot(ends, ends, color="0.5", linewidth=0.8)
    look = SERIES[0]
    axes.plot(s["expected"], s["measured"], look.marker, color=look.color)
    axes.set_xlabel("predicted share of the imbalance left")
    axes.set_ylabel("measured, mean over the runs")
    return figure


def _noise_proof() -> tuple[Identity, ...]:
    """Take the expectation of the perturbed loss over Gaussian noise, one coordinate."""
    import sympy as sp

    from momentumflow.symbolic import Identity
    from momentumflow.symbolic.symbols import u, v

    a, b, x, y, variance = sp.symbols("xi zeta x y sigma2", real=True)
    loss = (x * (u + a) * (v + b) - y) ** 2 / 2
    moments = {1: 0, 2: variance}
    expected = sp.S.Zero
    for (i, j), coefficient in sp.Poly(sp.expand(loss), a, b).terms():
        # xi and zeta are independent and centred; the loss is quadratic in each.
        expected += coefficient * moments.get(i, 1) * moments.get(j, 1)
    force_u, force_v = -sp.diff(expected, u), -sp.diff(expected, v)
    return (
        Identity(
            "noise balances the weights",
            2 * u * force_u - 2 * v * force_v,
            -2 * variance * x**2 * (u**2 - v**2),
            assumptions=(
                "rate of u^2 - v^2 under the expected gradient of the loss at perturbed weights, "
                "noise of variance sigma2 on u and v"
            ),
            source="Clara, Langer, Schmidt-Hieber, arXiv 2503.11891",
        ),
    )


HALF_RATE = Mutation(
    "half-the-rate",
    "half the rate at which the imbalance decays",
    lambda subject: replace(subject, sam_rate=lambda var, sq: subject.sam_rate(var, sq) / 2),
)

CLAIMS = (
    Claim(
        name="limit-nesterov",
        theme=THEME,
        title="Nesterov's method ends at the solution of a convex problem as well",
        statement=(
            "The same exact argument holds for Nesterov's method, with its own remainders: random "
            "problems with n = 10, d = 30, alpha = 1 and 0.1, lambda = 0.1, 1 and 10."
        ),
        formulas=(
            r"w_{k+1} = w_k + \beta (w_k - w_{k-1})"
            r" - \gamma \nabla F(w_k + \beta (w_k - w_{k-1}))",
        ),
        source="discrete form of theorem 1 of arXiv 2403.05293, carried over",
        check=_check_nesterov,
        controls=(INITIAL_BALANCEDNESS, SWAPPED_SIGN),
    ),
    Claim(
        name="other-networks",
        theme=THEME,
        title="Gradient flow on u^2 and on depth-D networks obeys the same plan",
        statement=(
            "Gradient flow on theta = u^2 ends at the Kullback-Leibler projection, on "
            "theta = w_1^D - w_2^D at the projection in the depth-D entropy (D = 3 and 4): random "
            f"problems with n = 5, d = 12, initialisation {NETWORK_ALPHA:g}, flows by SciPy."
        ),
        formulas=(
            r"h_D(z) = (1-z)^{-D/(D-2)} - (1+z)^{-D/(D-2)}",
        ),
        source="Wang, Ghosal, Mazumder, arXiv 2310.02535; Woodworth et al., COLT 2020",
        check=_check_networks,
        controls=(DEPTH_TWO,),
    ),
    Claim(
        name="noise-balances",
        theme=THEME,
        title="Noise on the weights, as in sharpness-aware training, balances the layers",
        statement=(
            "With Gaussian noise on the weights at which the gradient is taken, the imbalance "
            "u^2 - v^2 of each coordinate decays in the mean at the rate 2 sigma^2 times the "
            "column's mean square, at any fit of the data."
        ),
        formulas=(
            r"\frac{d}{dt} E[u_j^2 - v_j^2] = -2 \sigma^2 \, \frac{1}{n} \sum_i X_{ij}^2 \;"
            r" E[u_j^2 - v_j^2] + O(\gamma)",
        ),
        source="Clara, Langer, Schmidt-Hieber, arXiv 2503.11891",
        check=_check_noise,
        controls=(HALF_RATE,),
        proofs=_noise_proof,
        draw=_draw_noise,
        caption="Share of the imbalance left after the run, one point a coordinate.",
    ),
)  # fmt: skip
