"""Ctrl-C at every moment of a run: the caller hears of it, and no state is half written.

A second process sends itself SIGINT at one line of the numeric room after another.
Either KeyboardInterrupt reaches the caller, or the result says INTERRUPTED and holds
the weights of exactly the steps that it counts.
"""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from momentumflow.numeric import Regression, momentum_descent, momentum_flow, sparse_regression
from momentumflow.numeric.flow import flows
from momentumflow.numeric.runs import descent

PROBLEM = sparse_regression(6, 10, 2, seed=1)
OPTIONS = {"threads": 1, "progress": False}
RUNS = {
    "single": lambda **o: momentum_descent(
        PROBLEM, 0.02, 0.6, 0.4, check_every=20, **(OPTIONS | {"max_steps": 160} | o)
    ),
    "lanes": lambda **o: momentum_descent(
        PROBLEM, [0.02, 0.03], 0.6, 0.4, engine="lanes", check_every=20,
        **(OPTIONS | {"max_steps": 160} | o),
    ),
    "rows": lambda **o: momentum_descent(
        PROBLEM, 0.02, 0.6, 0.4, batch_size=3, check_every=20,
        **(OPTIONS | {"max_steps": 160} | o),
    ),
    "converging": lambda **o: momentum_descent(
        Regression([[1.0, 2.0]], [2.5]), 0.1, 0.5, 0.4, check_every=20,
        **(OPTIONS | {"max_steps": 2000} | o),
    ),
    "flow": lambda **o: momentum_flow(PROBLEM, 0.5, 0.4, **(OPTIONS | {"t_max": 20.0} | o)),
    "stiff flow": lambda **o: momentum_flow(
        PROBLEM, 0.5, 0.4, method="stiff", **(OPTIONS | {"t_max": 20.0} | o)
    ),
}  # fmt: skip


def interrupted_at(run, moment):
    """Call `run` with SIGINT at its `moment`-th line in the numeric room."""
    seen = 0

    def trace(frame, event, argument):
        nonlocal seen
        folder = os.path.join("numeric", "")
        if folder not in frame.f_code.co_filename or "kernels" in frame.f_code.co_filename:
            return None
        if event == "line":
            seen += 1
            if seen == moment:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return trace

    sys.settrace(trace)
    try:
        found = run()
    except KeyboardInterrupt:
        found = None
    finally:
        sys.settrace(None)
    return found, seen >= moment


def campaign(name):
    """Interrupt at one line after another; return how it ended how often, and what went wrong."""
    run = RUNS[name]
    # many short calls into compiled code
    descent._CALL_SECONDS, flows._BUDGET = 2e-8, 7
    run()
    counts = {"raised": 0, "interrupted": 0, "wrong": []}
    for moment in range(1, 100_000, 41 if name == "lanes" else 5):
        found, reached = interrupted_at(run, moment)
        if not reached:
            break
        if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            counts["wrong"].append([moment, "handler left behind"])
        if found is None:
            counts["raised"] += 1
        elif not found.interrupted:
            counts["wrong"].append([moment, "swallowed"])
        else:
            counts["interrupted"] += 1
            steps = int(np.max(found.steps))
            if steps and "flow" not in name:
                whole = run(max_steps=steps, tol=None)
                if not (
                    np.allclose(whole.theta, found.theta, rtol=1e-10)
                    and np.allclose(whole.gradient_integral, found.gradient_integral, rtol=1e-10)
                ):
                    counts["wrong"].append([moment, "half written"])
    return counts


@pytest.mark.parametrize("name", RUNS)
def test_no_interruption_is_lost(name):
    done = subprocess.run(
        [sys.executable, __file__, name], capture_output=True, text=True, check=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    counts = json.loads(done.stdout)
    assert counts["wrong"] == []
    assert counts["raised"] > 10
    assert counts["interrupted"] > 10


def test_the_campaign_would_find_a_swallowed_interruption():
    def deaf():
        try:
            return RUNS["single"]()
        except KeyboardInterrupt:
            return RUNS["single"]()

    found, reached = interrupted_at(deaf, 3)
    assert reached
    assert found is not None
    assert not found.interrupted


if __name__ == "__main__":
    print(json.dumps(campaign(sys.argv[1])))
