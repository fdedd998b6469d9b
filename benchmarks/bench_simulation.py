"""Heavy ball on the diagonal network: one run, a batch, a large problem, beside peers.

    python benchmarks/bench_simulation.py [one] [batch] [large] [data] [engines] [growth]
                                          [--plot growth.png]

Without a name it runs the first four. `engines` measures from how many runs lanes
pay; `growth` fits how time grows with n, d, runs and steps.

Peers take the same steps; they accumulate nothing, while momentumflow also sums
the remainders, the gradient integral and the sign changes.
"""

from __future__ import annotations

import argparse
import statistics
import tracemalloc

import harness
import numpy as np
from harness import Contestant, console

from momentumflow.numeric import Regression, momentum_descent, sparse_regression

GAMMA, BETA, ALPHA = 1e-3, 0.9, 0.1


def ours(problem: Regression, runs: int, steps: int) -> Contestant:
    gamma = GAMMA if runs == 1 else np.full(runs, GAMMA)
    return Contestant(
        "momentumflow",
        lambda: momentum_descent(problem, gamma, BETA, ALPHA, max_steps=steps, tol=None),
        runs * steps,
    )


def numpy_loop(problem: Regression, runs: int, steps: int) -> Contestant:
    X, y, n = problem.X, problem.y, problem.n

    def work() -> object:
        w = np.full((2, problem.d, runs), np.sqrt(2) * ALPHA)
        p = np.zeros_like(w)
        for _ in range(steps):
            r = X @ ((w[0] ** 2 - w[1] ** 2) / 4) - y[:, None]
            g = X.T @ r / n
            p *= BETA
            p[0] -= GAMMA * g * w[0]
            p[1] += GAMMA * g * w[1]
            w += p
        return w

    return Contestant("NumPy loop", work, runs * steps)


def numba_loop(problem: Regression, steps: int) -> Contestant:
    from numba import njit

    @njit(fastmath=True)
    def loop(X, y, steps):  # what one would write by hand
        n, d = X.shape
        w = np.full((2, d), np.sqrt(2) * ALPHA)
        p = np.zeros((2, d))
        for _ in range(steps):
            g = np.zeros(d)
            for i in range(n):
                r = -y[i]
                for j in range(d):
                    r += X[i, j] * (w[0, j] ** 2 - w[1, j] ** 2) / 4
                for j in range(d):
                    g[j] += r * X[i, j] / n
            for j in range(d):
                p[0, j] = BETA * p[0, j] - GAMMA * g[j] * w[0, j]
                p[1, j] = BETA * p[1, j] + GAMMA * g[j] * w[1, j]
                w[0, j] += p[0, j]
                w[1, j] += p[1, j]
        return w

    return Contestant("numba loop", lambda: loop(problem.X, problem.y, steps), steps)


def x64_jax():
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax, jax.numpy


def jax_step(jnp, state, X, y, gamma=GAMMA):
    w, p = state
    g = X.T @ (X @ ((w[0] ** 2 - w[1] ** 2) / 4) - y) / y.shape[0]
    p = BETA * p + gamma * jnp.stack((-g * w[0], g * w[1]))
    return w + p, p


def jax_scan(problem: Regression, runs: int, steps: int) -> Contestant:
    jax, jnp = x64_jax()
    X, y = jnp.asarray(problem.X), jnp.asarray(problem.y)

    def train(gamma):
        def body(state, _):
            return jax_step(jnp, state, X, y, gamma), None

        start = jnp.full((2, problem.d), np.sqrt(2) * ALPHA)
        return jax.lax.scan(body, (start, jnp.zeros_like(start)), None, length=steps)[0]

    compiled = jax.jit(train if runs == 1 else jax.vmap(train))
    gamma = GAMMA if runs == 1 else jnp.full(runs, GAMMA)
    name = "JAX scan" if runs == 1 else "JAX vmap of scan"
    return Contestant(name, lambda: jax.block_until_ready(compiled(gamma)), runs * steps)


def torch_loop(problem: Regression, steps: int) -> Contestant:
    import torch

    X, y = torch.tensor(problem.X), torch.tensor(problem.y)

    def work() -> object:
        u = torch.full((problem.d,), np.sqrt(2) * ALPHA, dtype=torch.float64, requires_grad=True)
        v = torch.zeros(problem.d, dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.SGD([u, v], lr=GAMMA, momentum=BETA)
        for _ in range(steps):
            optimiser.zero_grad()
            loss = ((X @ (u * v) - y) ** 2).sum() / (2 * problem.n)
            loss.backward()
            optimiser.step()
        return u

    return Contestant("torch.optim.SGD loop", work, steps)


def available(builders: list) -> list[Contestant]:
    found = []
    for build in builders:
        try:
            found.append(build())
        except ImportError as error:
            console.print(f"[yellow]left out: {error}; install the bench extra[/]")
    return found


def share_of_peak(seconds: dict[str, list[float]], flops: float) -> float:
    """Median over rounds of (flops a run-step / our time) over DGEMM's rate."""
    pairs = zip(seconds["momentumflow"], seconds["DGEMM (flop)"], strict=True)
    return statistics.median(flops * gemm / mine for mine, gemm in pairs)


def one_run(problem: Regression) -> None:
    field = available(
        [
            lambda: ours(problem, 1, 2_000_000),
            lambda: numba_loop(problem, 1_000_000),
            lambda: jax_scan(problem, 1, 1_000_000),
            lambda: numpy_loop(problem, 1, 20_000),
            lambda: torch_loop(problem, 1_000),
        ]
    )
    seconds = harness.rounds(field)
    harness.report("one run, n = 20, d = 30: one step", seconds, "momentumflow", "ns", 1e9)


def batch(problem: Regression) -> None:
    field = available(
        [
            lambda: ours(problem, 256, 40_000),
            lambda: jax_scan(problem, 256, 2_000),
            lambda: numpy_loop(problem, 256, 500),
            harness.dgemm,
        ]
    )
    seconds = harness.rounds(field)
    share = share_of_peak(seconds, 4 * problem.n * problem.d)
    seconds.pop("DGEMM (flop)")
    harness.report("batch of 256, n = 20, d = 30: a run-step", seconds, "momentumflow", "ns", 1e9)
    console.print(f"share of DGEMM peak, 4nd flops a run-step: {100 * share:.0f} %")


def large() -> None:
    problem = sparse_regression(200, 2000, 20)
    field = available(
        [
            lambda: ours(problem, 64, 2_000),
            lambda: numpy_loop(problem, 64, 200),
            lambda: jax_scan(problem, 64, 200),
            harness.dgemm,
        ]
    )
    seconds = harness.rounds(field, 5)
    share = share_of_peak(seconds, 4 * problem.n * problem.d)
    seconds.pop("DGEMM (flop)")
    harness.report("batch of 64, n = 200, d = 2000: a run-step", seconds, "momentumflow", "us", 1e6)
    console.print(f"share of DGEMM peak, 4nd flops a run-step: {100 * share:.0f} %")
    # a run's state: w_pm, their displacements, S_pm and the gradient integral
    state = 7 * 8 * problem.d * 64
    tracemalloc.start()
    ours(problem, 64, 20).work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    console.print(f"peak memory of the call, results included: {peak / state:.2f} times the state")


def own_data() -> None:
    """A batch in which every run has data of its own, and one on minibatches."""
    problems = sparse_regression(20, 30, 5, seed=1, batch=(256,))
    field = available([lambda: ours_on(problems, 5_000), lambda: jax_own_data(problems, 1_000)])
    seconds = harness.rounds(field)
    title = "256 runs, each on its own data, n = 20, d = 30: a run-step"
    harness.report(title, seconds, "momentumflow", "ns", 1e9)
    problem = sparse_regression(20, 30, 5, seed=1)
    field = available(
        [
            lambda: minibatches(problem, 256, 5_000),
            lambda: jax_minibatches(problem, 256, 500),
        ]
    )
    seconds = harness.rounds(field)
    title = "256 runs on minibatches of 10 of 20 rows, drawn anew: a run-step"
    harness.report(title, seconds, "momentumflow", "ns", 1e9)


def ours_on(problems: Regression, steps: int) -> Contestant:
    return Contestant(
        "momentumflow",
        lambda: momentum_descent(problems, GAMMA, BETA, ALPHA, max_steps=steps, tol=None),
        problems.batch_shape[0] * steps,
    )


def minibatches(problem: Regression, runs: int, steps: int) -> Contestant:
    gamma = np.full(runs, GAMMA)
    return Contestant(
        "momentumflow",
        lambda: momentum_descent(
            problem, gamma, BETA, ALPHA, batch_size=10, max_steps=steps, tol=None
        ),
        runs * steps,
    )


def jax_own_data(problems: Regression, steps: int) -> Contestant:
    jax, jnp = x64_jax()

    def train(X, y):
        def body(state, _):
            return jax_step(jnp, state, X, y), None

        start = jnp.full((2, X.shape[1]), np.sqrt(2) * ALPHA)
        return jax.lax.scan(body, (start, jnp.zeros_like(start)), None, length=steps)[0]

    compiled = jax.jit(jax.vmap(train))
    X, y = jnp.asarray(problems.X), jnp.asarray(problems.y)
    work = problems.batch_shape[0] * steps
    return Contestant("JAX vmap of scan", lambda: jax.block_until_ready(compiled(X, y)), work)


def jax_minibatches(problem: Regression, runs: int, steps: int) -> Contestant:
    jax, jnp = x64_jax()
    X, y = jnp.asarray(problem.X), jnp.asarray(problem.y)

    def train(key):
        def body(carry, _):
            state, key = carry
            key, used = jax.random.split(key)
            rows = jax.random.permutation(used, problem.n)[:10]
            return (jax_step(jnp, state, X[rows], y[rows]), key), None

        start = jnp.full((2, problem.d), np.sqrt(2) * ALPHA)
        carry = ((start, jnp.zeros_like(start)), key)
        return jax.lax.scan(body, carry, None, length=steps)[0]

    compiled = jax.jit(jax.vmap(train))
    keys = jax.random.split(jax.random.key(0), runs)
    return Contestant(
        "JAX vmap of scan", lambda: jax.block_until_ready(compiled(keys)), runs * steps
    )


def engines() -> None:
    """From how many runs on one design do lanes beat one run after the other?"""
    for n, d in ((20, 30), (50, 200), (100, 1000)):
        problem = sparse_regression(n, d, 3, seed=1)
        for runs in (4, 8, 12, 16, 24, 32, 64):
            steps = max(200, int(1e8 / (n * d * runs)))
            field = [
                Contestant(
                    engine,
                    lambda problem=problem, runs=runs, steps=steps, engine=engine: momentum_descent(
                        problem, np.full(runs, 1e-4), BETA, ALPHA,
                        max_steps=steps, tol=None, engine=engine,
                    ),
                    runs * steps,
                )
                for engine in ("single", "lanes")
            ]  # fmt: skip
            seconds = harness.rounds(field, 5)
            single, lanes = (min(seconds[name]) * 1e9 for name in ("single", "lanes"))
            console.print(
                f"n = {n}, d = {d}, {runs} runs: single {single:.4g} ns, lanes {lanes:.4g} ns "
                f"a run-step; lanes {'pay' if lanes < single else 'do not pay'}"
            )


def growth(target: str | None) -> None:
    """Fit, and plot, the time over n, d, runs and steps."""

    def seconds(n: int, d: int, runs: int, steps: int) -> float:
        work = ours(sparse_regression(n, d, 3), runs, steps)
        return min(harness.rounds([work], 5)["momentumflow"]) * runs * steps

    # sizes at which the products (n, d) and the loop (runs, steps) outweigh the set-up
    sweeps = {
        "rows n": ([100, 200, 400, 800, 1600], lambda k: seconds(k, 2048, 32, 100)),
        "features d": ([512, 1024, 2048, 4096], lambda k: seconds(200, k, 32, 200)),
        "runs": ([256, 512, 1024, 2048], lambda k: seconds(20, 30, k, 4000)),
        "steps": ([30_000, 100_000, 300_000, 1_000_000], lambda k: seconds(20, 30, 1, k)),
    }
    found = {}
    for label, (sizes, measure) in sweeps.items():
        times = [measure(k) for k in sizes]
        found[label] = (sizes, times, harness.fitted_exponent(sizes, times))
        console.print(f"growth with {label}: exponent {found[label][2]:.2f}, expected 1")
    if target is None:
        return
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator

    figure, axes = plt.subplots(1, 4, figsize=(13, 3.2), layout="constrained")
    for axis, (label, (sizes, times, slope)) in zip(axes, found.items(), strict=True):
        axis.loglog(sizes, times, "o-", color="k", label=f"measured, exponent {slope:.2f}")
        line = np.array(sizes) / sizes[0] * times[0]
        axis.loglog(sizes, line, "--", color="0.5", label="expected, exponent 1")
        axis.set(xlabel=label, ylabel="seconds")
        axis.set_xticks(sizes, [f"{k:,}".replace(",", "\u2009") for k in sizes])
        axis.minorticks_off()
        axis.set_ylim(min(times) / 1.5, max(*times, *line) * 2.5)  # room for the legend
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.legend(fontsize=8, loc="upper left")
    figure.savefig(target, dpi=110)


def main() -> None:
    parts = ("one", "batch", "large", "data", "engines", "growth")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"among {', '.join(parts)}")
    parser.add_argument("--plot", help="write the figure of `growth` to this file")
    arguments = parser.parse_args()
    chosen = arguments.parts or parts[:4]
    small = sparse_regression(20, 30, 5, seed=1)
    work = {
        "one": lambda: one_run(small),
        "batch": lambda: batch(small),
        "large": large,
        "data": own_data,
        "engines": engines,
        "growth": lambda: growth(arguments.plot),
    }
    for part in chosen:
        work[part]()


if __name__ == "__main__":
    main()
