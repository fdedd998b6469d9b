"""How much sooner a run may end when its limit is known: steps and time, beside tol = 1e-13.

    python benchmarks/bench_foresight.py

Heavy ball on regressions with five non-zeros; every pair is run in turn, and the
predicted limits are held against the runs that went on to the end.
"""

from __future__ import annotations

import time

import numpy as np
from harness import console

from momentumflow.numeric import Trajectory, momentum_descent, sparse_regression

GAMMA, BETA = 0.01, 0.9
SIZES = ((20, 30), (40, 100))
ALPHAS = (1.0, 0.1, 0.01)
ACCURACIES = (1e-6, 1e-9)
MOST = 20_000_000


def timed(**options: float | int) -> tuple[Trajectory, float]:
    begin = time.perf_counter()
    run = momentum_descent(gamma=GAMMA, beta=BETA, max_steps=MOST, **options)
    return run, time.perf_counter() - begin


def main() -> None:
    for n, d in SIZES:
        problem = sparse_regression(n, d, 5, seed=1)
        timed(problem=problem, init=1.0, limit_accuracy=1e-6)  # compiled and loaded
        for alpha in ALPHAS:
            whole, long = timed(problem=problem, init=alpha)
            for accuracy in ACCURACIES:
                run, short = timed(problem=problem, init=alpha, limit_accuracy=accuracy)
                limit = run.predicted_limit()
                error = np.linalg.norm(limit.theta - whole.theta) / np.linalg.norm(whole.theta)
                console.print(
                    f"{n} x {d}, alpha = {alpha:g}: {int(whole.steps):>9,} steps, {long:.3f} s; "
                    f"to {accuracy:.0e}: {int(run.steps):>9,} steps ({whole.steps / run.steps:.1f} "
                    f"times fewer), {short:.3f} s; error {error:.1e}, "
                    f"estimated {float(limit.ahead):.1e}"
                )


if __name__ == "__main__":
    main()
