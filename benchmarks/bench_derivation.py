"""Exact modified equations: time and memory by order, beside kauri.

    python benchmarks/bench_derivation.py --kauri-order 8

Every measurement runs in a process of its own, so that no cache of an earlier
one helps it; imports are not counted. momentumflow derives heavy ball, whose
coefficients are rational functions of beta; kauri the explicit Euler method,
which has no parameter, in floats. `all as SymPy` also converts every
coefficient to a SymPy expression. The last section evaluates right-hand sides
on the diagonal network, in units of one gradient evaluation of the same network.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from harness import console
from rich.table import Table

DERIVE = """
import json, resource, time
from momentumflow.symbolic import HeavyBall, modified_equation
start = time.perf_counter()
equation = modified_equation(HeavyBall(), {order}, {regime!r})
derived = time.perf_counter() - start
terms = len(equation.terms) if {expressions} else len(equation)
whole = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps([derived, whole, peak, terms]))
"""

KAURI = """
import json, resource, sys, time
sys.path += {path!r}
import kauri
start = time.perf_counter()
modified = kauri.euler.modified_equation_map()
values = [modified(tree) for tree in kauri.trees_up_to_order({order}) if tree.nodes()]
elapsed = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps([elapsed, elapsed, peak, len(values)]))
"""

EVALUATE = """
import json, time
import numpy as np
from momentumflow.symbolic import HeavyBall, modified_equation
d, n = 1000, 100
rng = np.random.default_rng(0)
X = rng.standard_normal((n, d)) / np.sqrt(d)
y = X[:, :5].sum(axis=1)
def gradient(w):
    u, v = w[..., :d], w[..., d:]
    g = ((u * v) @ X.T - y) @ X / n
    return np.concatenate([g * v, g * u], axis=-1)
w, v = rng.standard_normal((2, 2 * d))
equation = modified_equation(HeavyBall(), {order}, {regime!r})
right = equation.rhs(gradient, gamma=1e-3, beta=0.9)
arguments = (w,) if {regime!r} == "slow" else (w, v)
def best(function):
    function()
    found = []
    for _ in range(30):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return min(found)
once, whole = best(lambda: gradient(w)), best(lambda: right(*arguments))
print(json.dumps([whole, whole / once, len(equation)]))
"""


def measured(program: str, **values: object) -> list[float]:
    """Run a program in a fresh interpreter and return what it prints."""
    source = program.format(**values)
    command = [sys.executable, "-c", source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout)


def orders(regime: str, chosen: tuple[int, ...], repeats: int) -> dict[int, float]:
    table = Table(title=f"heavy ball, {regime} regime, exact in beta")
    for column in ("order", "trees", "derived, s", "all as SymPy, s", "peak, GiB"):
        table.add_column(column, justify="right")
    best = {}
    for order in chosen:
        runs = [
            measured(DERIVE, order=order, regime=regime, expressions=True) for _ in range(repeats)
        ]
        derived, whole, peak, terms = (min(values) for values in zip(*runs, strict=True))
        best[order] = derived
        table.add_row(str(order), f"{terms:.0f}", f"{derived:.3f}", f"{whole:.3f}", f"{peak:.2f}")
    console.print(table)
    return best


def beside_kauri(ours: dict[int, float], highest: int, path: list[str]) -> None:
    table = Table(title="kauri, explicit Euler, floats, no parameter")
    for column in ("order", "trees", "kauri, s", "momentumflow (heavy ball), s", "ratio"):
        table.add_column(column, justify="right")
    for order in range(6, highest + 1):
        try:
            elapsed, _, _, terms = measured(KAURI, order=order, path=path)
        except RuntimeError as error:
            console.print(f"kauri left out: {error}")
            return
        mine = ours.get(order) or measured(DERIVE, order=order, regime="slow", expressions=False)[0]
        table.add_row(
            str(order), f"{terms:.0f}", f"{elapsed:.2f}", f"{mine:.3f}", f"{elapsed / mine:.0f}"
        )
    console.print(table)


def right_hand_sides() -> None:
    table = Table(title="right-hand side on the diagonal network, d = 1000, n = 100")
    for column in ("regime", "order", "differentials", "ms", "gradient evaluations"):
        table.add_column(column, justify="right")
    for regime, order in (("slow", 2), ("slow", 3), ("slow", 5), ("inertial", 2), ("inertial", 4)):
        seconds, gradients, terms = measured(EVALUATE, order=order, regime=regime)
        table.add_row(
            regime, str(order), f"{terms:.0f}", f"{seconds * 1e3:.2f}", f"{gradients:.1f}"
        )
    console.print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kauri-order", type=int, default=7, help="highest order for kauri")
    parser.add_argument("--kauri-path", action="append", default=[], help="where kauri is found")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    slow = orders("slow", (6, 8, 10, 12), options.repeats)
    orders("inertial", (2, 4, 6, 8), options.repeats)
    beside_kauri(slow, options.kauri_order, options.kauri_path)
    right_hand_sides()
