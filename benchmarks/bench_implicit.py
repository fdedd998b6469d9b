"""The implicit-regularisation problem: speed against CVXPY with Clarabel, size, growth.

    python benchmarks/bench_implicit.py ratio batch grid growth million --out DIR

Every section measures both sides in this one run and prints a line or a table.
BLAS runs on `--threads` threads (default 1: on a machine that has other work,
two spinning BLAS threads wait for each other many times longer than they work).
`million` needs 3 GB of memory; `growth` draws growth.png with fitted exponents.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import cvxpy as cp
import numpy as np
from threadpoolctl import threadpool_limits

from momentumflow.numeric import implicit_solution, sparse_regression
from momentumflow.numeric.implicit import ImplicitModel


def timed(function, repeats=1):
    """Best time of `repeats` calls, and the last result."""
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
    return best, result


def problem(n, d, sparsity=10, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    theta = np.zeros(d)
    theta[rng.choice(d, min(sparsity, d), replace=False)] = rng.choice(
        [-1.0, 1.0], min(sparsity, d)
    )
    return X, X @ theta


def textbook_cvxpy(X, y, delta):
    """What a user writes first: two kl_div terms, default tolerances."""
    d = X.shape[1]
    p, q = cp.Variable(d), cp.Variable(d)
    centre = np.full(d, delta / 4)
    objective = cp.sum(cp.kl_div(p, centre)) + cp.sum(cp.kl_div(q, centre))
    cp.Problem(cp.Minimize(objective), [X @ (p - q) == y]).solve(solver="CLARABEL")
    return p.value - q.value


def ratio(args):
    rows = []
    for delta in args.deltas:
        X, y = problem(100, args.d)
        ours, solution = timed(lambda X=X, y=y, v=delta: implicit_solution((X, y), v), 3)

        def conic(X=X, y=y, v=delta):
            try:
                return textbook_cvxpy(X, y, v)
            except cp.error.SolverError as error:
                return str(error)

        theirs, theta = timed(conic)
        miss = (
            np.linalg.norm(theta - solution.theta) / np.linalg.norm(solution.theta)
            if isinstance(theta, np.ndarray)
            else "failed"
        )
        rows.append(
            {
                "n": 100,
                "d": args.d,
                "Delta": delta,
                "newton_s": ours,
                "cvxpy_clarabel_s": theirs,
                "ratio": theirs / ours,
                "feasibility": float(solution.feasibility),
                "stationarity": float(solution.stationarity),
                "error": float(solution.error),
                "cvxpy_error": miss,
            }
        )
        print(
            f"n=100 d={args.d} Delta={delta:g}: Newton {ours:.3f} s, CVXPY + Clarabel "
            f"{theirs:.1f} s, ratio {theirs / ours:.0f}; feasibility "
            f"{solution.feasibility:.1e}, stationarity {solution.stationarity:.1e}; "
            f"CVXPY's error {miss if isinstance(miss, str) else f'{miss:.1e}'}",
            flush=True,
        )
    return rows


def batch(_args):
    rows = []
    for delta in (1.0, 1e-4, 1e-8, 1e-16, 1e-30):
        many = sparse_regression(20, 30, 5, seed=9, batch=(1000,))
        took, solution = timed(lambda v=delta: implicit_solution((many.X, many.y), v), 3)  # noqa: B023
        rows.append({"Delta": delta, "seconds": took, "certified": int(solution.certified.sum())})
        print(
            f"1000 problems n=20 d=30 Delta={delta:g}: {took:.2f} s, "
            f"{rows[-1]['certified']} certified, worst error {solution.error.max():.1e}"
        )
    return rows


def grid(_args):
    rng = np.random.default_rng(7)
    polished, raw, refused = [], [], []
    for k in range(200):
        n = int(rng.integers(2, 20))
        d = int(rng.integers(n + 1, 3 * n + 5))
        X = rng.standard_normal((n, d))
        y = X @ rng.standard_normal(d)
        delta = 10.0 ** rng.uniform(-8, 2, d if k % 2 else 1)
        newton = implicit_solution((X, y), delta)
        conic = implicit_solution((X, y), delta, solver="cvxpy")
        if not conic.certified:
            refused.append((k, conic.status.name))
            continue
        model = ImplicitModel((X, y), delta)
        model.solve()
        size = np.linalg.norm(newton.theta)
        polished.append(np.linalg.norm(conic.theta - newton.theta) / size)
        raw.append(np.linalg.norm(model.theta.value - newton.theta) / size)
    print(
        f"200 random cases, Delta 1e-8..1e2: {len(refused)} refused {refused}, CVXPY route within "
        f"{max(polished):.1e} of Newton; before the polish median {np.median(raw):.1e}, "
        f"worst {max(raw):.1e}"
    )
    return {"refused": refused, "worst": max(polished), "raw_worst": max(raw)}


def growth(args):
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    found = {}
    series = {
        "d": [(100, d) for d in (1000, 3000, 10_000, 30_000, 100_000, 300_000)],
        "n": [(n, 20_000) for n in (20, 50, 100, 200, 400, 800)],
    }
    for ax, (name, sizes) in zip(axes, series.items(), strict=True):
        for delta in (1.0, 1e-4, 1e-30):
            x, seconds = [], []
            for n, d in sizes:
                X, y = problem(n, d, sparsity=max(2, n // 10))
                took, solution = timed(lambda X=X, y=y, v=delta: implicit_solution((X, y), v), 2)
                assert solution.certified, (n, d, delta, solution)
                x.append(d if name == "d" else n)
                seconds.append(took)
            slope = np.polyfit(np.log(x[2:]), np.log(seconds[2:]), 1)[0]
            found[f"{name}, Delta={delta:g}"] = {"sizes": x, "seconds": seconds, "exponent": slope}
            ax.loglog(x, seconds, "o-", label=f"Δ = {delta:g}: exponent {slope:.2f}")
            print(f"growth with {name} at Delta={delta:g}: exponent {slope:.2f}", flush=True)
        other = "n = 100" if name == "d" else "d = 20 000"
        ax.set(xlabel=name, ylabel="seconds", title=f"time at {other}")
        ax.set_xticks(x, [f"{v:,}".replace(",", " ") for v in x], rotation=30, fontsize=8)
        ax.minorticks_off()
        ax.legend(frameon=False)
    path = args.out / "growth.png"
    figure.savefig(path, dpi=120)
    print(f"drawn in {path}")
    return found


MILLION = """
import json, resource, sys, time
import numpy as np
from momentumflow.numeric import implicit_solution
rng = np.random.default_rng(0)
X = rng.standard_normal((100, 1_000_000))
theta = np.zeros(1_000_000); theta[rng.choice(1_000_000, 10, replace=False)] = 1
y = X @ theta
start = time.perf_counter()
s = implicit_solution((X, y), float(sys.argv[1]))
took = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"Delta": float(sys.argv[1]), "seconds": took, "peak_GiB": peak,
    "certified": bool(s.certified), "feasibility": float(s.feasibility),
    "stationarity": float(s.stationarity), "error": float(s.error)}))
"""


def million(args):
    rows = []
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(args.threads)}
    for delta in ("1", "1e-4", "1e-8", "1e-30"):
        done = subprocess.run(
            [sys.executable, "-c", MILLION, delta],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        rows.append(json.loads(done.stdout))
        print(f"n=100 d=1000000: {rows[-1]}", flush=True)
    return rows


SECTIONS = {"ratio": ratio, "batch": batch, "grid": grid, "growth": growth, "million": million}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", default=["ratio", "batch", "grid"])
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"))
    parser.add_argument("--d", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--deltas", type=float, nargs="+", default=[1e-2, 1e-4])
    args = parser.parse_args()
    unknown = set(args.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"unknown sections {sorted(unknown)}; choose from {sorted(SECTIONS)}")
    args.out.mkdir(parents=True, exist_ok=True)
    # Compile and warm up once: start-up is not what is compared.
    implicit_solution(sparse_regression(5, 10, 2), 1e-3)
    with threadpool_limits(args.threads):
        results = {name: SECTIONS[name](args) for name in args.sections}
    (args.out / "bench_implicit.json").write_text(json.dumps(results, indent=1, default=str))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
