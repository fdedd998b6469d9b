"""Momentum gradient flow to t = 200 at rtol 1e-9, beside SciPy, diffrax and heyoka.

    python benchmarks/bench_flow.py

Each integrator's error against a run at rtol 1e-13 is printed with its time, so
that equal accuracy can be judged. heyoka builds one integrator a problem; its
building time is printed apart.
"""

from __future__ import annotations

import time

import harness
import numpy as np
from bench_simulation import available
from harness import Contestant, console
from scipy.integrate import solve_ivp

from momentumflow.numeric import momentum_flow, sparse_regression

PROBLEM = sparse_regression(20, 30, 5, seed=1)
LAM, ALPHA, T_END, RTOL = 0.5, 0.1, 200.0, 1e-9
RUNS = 32
RESULTS: dict[str, np.ndarray] = {}


def kept(name: str, value: object) -> None:
    RESULTS[name] = np.asarray(value)


def ours(rtol: float) -> Contestant:
    name = "momentumflow" if rtol == RTOL else f"momentumflow, rtol {rtol:g}"

    def work() -> None:
        kept(name, momentum_flow(PROBLEM, LAM, ALPHA, t_end=T_END, rtol=rtol).theta)

    return Contestant(name, work)


def start() -> np.ndarray:
    return np.concatenate([np.full(2 * PROBLEM.d, np.sqrt(2) * ALPHA), np.zeros(2 * PROBLEM.d)])


def scipy_peer(method: str) -> Contestant:
    X, y, n, d = PROBLEM.X, PROBLEM.y, PROBLEM.n, PROBLEM.d

    def field(t, state):
        wp, wm, vp, vm = state.reshape(4, d)
        g = X.T @ (X @ ((wp * wp - wm * wm) / 4) - y) / n
        return np.concatenate([vp, vm, (-vp - g * wp) / LAM, (-vm + g * wm) / LAM])

    def work() -> None:
        end = solve_ivp(field, (0, T_END), start(), method=method, rtol=RTOL, atol=1e-12).y[:, -1]
        wp, wm = end.reshape(4, d)[:2]
        kept(f"SciPy {method}", (wp**2 - wm**2) / 4)

    return Contestant(f"SciPy {method}", work)


def diffrax_peer(runs: int) -> Contestant:
    import diffrax
    import jax

    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy
    X, y, n = jnp.asarray(PROBLEM.X), jnp.asarray(PROBLEM.y), PROBLEM.n

    def field(t, state, lam):
        wp, wm, vp, vm = state
        g = X.T @ (X @ ((wp * wp - wm * wm) / 4) - y) / n
        return vp, vm, (-vp - g * wp) / lam, (-vm + g * wm) / lam

    def flow(lam):
        w, zero = jnp.full(PROBLEM.d, np.sqrt(2) * ALPHA), jnp.zeros(PROBLEM.d)
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(field), diffrax.Dopri8(), 0.0, T_END, None, (w, w, zero, zero), lam,
            stepsize_controller=diffrax.PIDController(rtol=RTOL, atol=1e-12), max_steps=100_000,
        )  # fmt: skip
        wp, wm = solution.ys[0][-1], solution.ys[1][-1]
        return (wp**2 - wm**2) / 4

    name = "diffrax Dopri8" if runs == 1 else "diffrax Dopri8, vmap"
    compiled = jax.jit(flow if runs == 1 else jax.vmap(flow))
    lam = LAM if runs == 1 else jnp.linspace(0.2, 2.0, runs)
    return Contestant(name, lambda: kept(name, compiled(lam)), runs)


def heyoka_peer() -> Contestant:
    import heyoka as hy

    d, n = PROBLEM.d, PROBLEM.n
    names = [f"{kind}{j}" for kind in ("p", "m", "a", "b") for j in range(d)]
    symbols = hy.make_vars(*names)
    wp, wm, vp, vm = (symbols[k * d : (k + 1) * d] for k in range(4))
    theta = [(wp[j] * wp[j] - wm[j] * wm[j]) / 4.0 for j in range(d)]
    r = [hy.sum([PROBLEM.X[i, j] * theta[j] for j in range(d)]) - PROBLEM.y[i] for i in range(n)]
    g = [hy.sum([PROBLEM.X[i, j] / n * r[i] for i in range(n)]) for j in range(d)]
    system = [(wp[j], vp[j]) for j in range(d)] + [(wm[j], vm[j]) for j in range(d)]
    system += [(vp[j], (-vp[j] - g[j] * wp[j]) / LAM) for j in range(d)]
    system += [(vm[j], (-vm[j] + g[j] * wm[j]) / LAM) for j in range(d)]
    before = time.perf_counter()
    integrator = hy.taylor_adaptive(system, start(), tol=RTOL, compact_mode=True)
    console.print(f"heyoka: building took {time.perf_counter() - before:.2f} s")

    def work() -> None:
        integrator.time = 0.0
        integrator.state[:] = start()
        integrator.propagate_until(T_END)
        end = np.array(integrator.state)
        kept("heyoka", (end[:d] ** 2 - end[d : 2 * d] ** 2) / 4)

    return Contestant("heyoka", work)


def ours_batched() -> Contestant:
    lam = np.linspace(0.2, 2.0, RUNS)

    def work() -> None:
        kept("momentumflow", momentum_flow(PROBLEM, lam, ALPHA, t_end=T_END, rtol=RTOL).theta)

    return Contestant("momentumflow", work, RUNS)


def accuracies(exact: np.ndarray) -> None:
    for name, theta in RESULTS.items():
        error = np.linalg.norm(theta - exact) / np.linalg.norm(exact)
        console.print(f"  error of {name}: {error:.1e}")


if __name__ == "__main__":
    field = available(
        [
            lambda: ours(RTOL),
            lambda: ours(RTOL / 100),  # as accurate as the peers are at RTOL
            heyoka_peer,
            lambda: diffrax_peer(1),
            lambda: scipy_peer("DOP853"),
            lambda: scipy_peer("LSODA"),
        ]
    )
    seconds = harness.rounds(field)
    harness.report("flow to t = 200, rtol 1e-9", seconds, "momentumflow", "ms", 1e3)
    accuracies(momentum_flow(PROBLEM, LAM, ALPHA, t_end=T_END, rtol=1e-13).theta)
    RESULTS.clear()
    seconds = harness.rounds(available([ours_batched, lambda: diffrax_peer(RUNS)]), 3)
    harness.report(f"{RUNS} flows of different lambda", seconds, "momentumflow", "ms", 1e3)
    accuracies(
        momentum_flow(PROBLEM, np.linspace(0.2, 2.0, RUNS), ALPHA, t_end=T_END, rtol=1e-13).theta
    )
