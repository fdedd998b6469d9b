"""What a step costs on other networks, beside the two-layer one with as many weights.

    python benchmarks/bench_networks.py

Heavy ball, 20 x 30, one core; rounds alternate the networks, ratios are medians of the
rounds'. The bound is a factor of two for maps with the same number of weights.
"""

from __future__ import annotations

from functools import partial

from harness import Contestant, ratio, report, rounds

from momentumflow.numeric import momentum_descent, sparse_regression

STEPS = 100_000
TWO_LAYERS = "u*v"
# map, and where its weights start
NETWORKS = {TWO_LAYERS: 0.1, "u**2 - v**2": 0.1, "u**3 - v**3": 0.4, "u**4 - v**4": 0.5,
            "sinh(u)": 0.1, "sinh(u) - sinh(v)": 0.1}  # fmt: skip


def scheduled(k: int) -> float:
    return 1e-4 / (1 + k / STEPS)


def main() -> None:
    problem = sparse_regression(20, 30, 5, seed=0)
    train = partial(momentum_descent, problem, max_steps=STEPS, tol=None, threads=1)
    contestants = [
        Contestant(name, partial(train, 1e-4, 0.9, init, network=name), STEPS)
        for name, init in NETWORKS.items()
    ]
    late = partial(train, scheduled, 0.9, 0.1)
    contestants.append(Contestant("u*v, a schedule of the step", late, STEPS))
    seconds = rounds(contestants)
    report("one heavy-ball step, 20 x 30", seconds, TWO_LAYERS, "ns", 1e9)
    for name in list(NETWORKS)[1:4]:
        assert ratio(seconds, name, TWO_LAYERS) < 2, name


if __name__ == "__main__":
    main()
