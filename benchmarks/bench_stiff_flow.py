"""Momentum gradient flow from small weights to its limit, beside stiff solvers.

    python benchmarks/bench_stiff_flow.py [alpha ...]

The peers integrate ln w and w'/w, with their Jacobian, to the time at which momentumflow
has converged. Each one's largest error in ln w, against a run at rtol 1e-13, is printed
with its time, so that equal accuracy can be judged; the exponents say how the time grows
as alpha falls.
"""

from __future__ import annotations

import sys

import harness
import numpy as np
from bench_simulation import available
from harness import Contestant, console
from scipy.integrate import solve_ivp

from momentumflow.numeric import momentum_flow, sparse_regression

PROBLEM = sparse_regression(20, 30, 5, seed=1)
LAM = 0.1
ALPHAS = (1e-2, 1e-3, 1e-6, 1e-12)
D = PROBLEM.d
SIGNS = np.r_[np.ones(D), -np.ones(D)]
RESULTS: dict[str, np.ndarray] = {}


def ours(alpha: float, t_end: float, rtol: float) -> Contestant:
    name = f"momentumflow, rtol {rtol:g}"

    def work() -> None:
        run = momentum_flow(PROBLEM, LAM, alpha, t_end=t_end, rtol=rtol)
        RESULTS[name] = np.log(np.r_[run.w_plus, run.w_minus])

    return Contestant(name, work)


def start(alpha: float) -> np.ndarray:
    return np.r_[np.full(2 * D, np.log(np.sqrt(2) * alpha)), np.zeros(2 * D)]


def scipy_peer(method: str, alpha: float, t_end: float, rtol: float) -> Contestant:
    X, y, n = PROBLEM.X, PROBLEM.y, PROBLEM.n
    H = np.tile(X.T @ X / n, (2, 2)) * SIGNS[:, None]

    def field(t, state):
        logs, rates = state[: 2 * D], state[2 * D :]
        squares = np.exp(2 * logs) / 4
        g = X.T @ (X @ (squares[:D] - squares[D:]) - y) / n
        return np.r_[rates, -(rates + LAM * rates**2 + SIGNS * np.r_[g, g]) / LAM]

    def jacobian(t, state):
        logs, rates = state[: 2 * D], state[2 * D :]
        J = np.zeros((4 * D, 4 * D))
        J[: 2 * D, 2 * D :] = np.eye(2 * D)
        J[2 * D :, : 2 * D] = -H * (SIGNS * np.exp(2 * logs) / 2) / LAM
        J[2 * D :, 2 * D :] = np.diag(-(1 + 2 * LAM * rates) / LAM)
        return J

    name = f"SciPy {method}, rtol {rtol:g}"

    def work() -> None:
        end = solve_ivp(field, (0, t_end), start(alpha), method, rtol=rtol, atol=rtol, jac=jacobian)
        RESULTS[name] = end.y[: 2 * D, -1]

    return Contestant(name, work)


def diffrax_peer(alpha: float, t_end: float, rtol: float) -> Contestant:
    import diffrax
    import jax

    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    X, y, n, signs = jnp.asarray(PROBLEM.X), jnp.asarray(PROBLEM.y), PROBLEM.n, jnp.asarray(SIGNS)

    def field(t, state, _):
        logs, rates = state
        squares = jnp.exp(2 * logs) / 4
        g = X.T @ (X @ (squares[:D] - squares[D:]) - y) / n
        return rates, -(rates + LAM * rates**2 + signs * jnp.concatenate((g, g))) / LAM

    @jax.jit
    def flow():
        logs, rates = jnp.split(jnp.asarray(start(alpha)), 2)
        return diffrax.diffeqsolve(
            diffrax.ODETerm(field), diffrax.Kvaerno5(), 0.0, t_end, 1e-3, (logs, rates),
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=rtol), max_steps=100_000,
        ).ys[0][-1]  # fmt: skip

    name = f"diffrax Kvaerno5, rtol {rtol:g}"

    def work() -> None:
        RESULTS[name] = np.asarray(flow())

    return Contestant(name, work)


if __name__ == "__main__":
    alphas = [float(text) for text in sys.argv[1:]] or list(ALPHAS)
    medians = []
    for alpha in alphas:
        t_end = float(momentum_flow(PROBLEM, LAM, alpha).time)
        RESULTS.clear()
        field = available(
            [
                lambda a=alpha, t=t_end: ours(a, t, 1e-11),
                lambda a=alpha, t=t_end: ours(a, t, 1e-7),
                lambda a=alpha, t=t_end: scipy_peer("LSODA", a, t, 1e-10),
                lambda a=alpha, t=t_end: scipy_peer("LSODA", a, t, 1e-7),
                lambda a=alpha, t=t_end: scipy_peer("Radau", a, t, 1e-7),
                lambda a=alpha, t=t_end: scipy_peer("BDF", a, t, 1e-7),
                lambda a=alpha, t=t_end: diffrax_peer(a, t, 1e-7),
            ]
        )
        seconds = harness.rounds(field, 5)
        title = f"flow from alpha = {alpha:g} to t = {t_end:.1e}"
        harness.report(title, seconds, field[0].name, "ms", 1e3)
        exact = momentum_flow(PROBLEM, LAM, alpha, t_end=t_end, rtol=1e-13, method="stiff")
        logs = np.log(np.r_[exact.w_plus, exact.w_minus])
        for name, found in RESULTS.items():
            console.print(f"  error of {name}: {np.abs(found - logs).max():.1e}")
        medians.append(float(np.median(seconds[field[0].name])))
    if len(alphas) > 2:
        decades = [float(np.log10(1 / alpha)) for alpha in alphas]
        exponent = harness.fitted_exponent(decades, medians)
        console.print(f"time grows with the decades of 1/alpha to the power {exponent:.2f}")
