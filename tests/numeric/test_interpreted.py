"""What numba compiles gives what the same lines give as Python.

A second process runs the compiled functions with NUMBA_DISABLE_JIT=1, line by
line, on small problems, and hands back its numbers. The two may differ by the
order of sums only. Coverage sees the lines of those functions in this process
and nowhere else.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

from momentumflow.numeric import (
    Regression,
    Schedule,
    implicit_solution,
    momentum_descent,
    momentum_flow,
    sparse_regression,
)
from momentumflow.numeric.implicit.certificate import certify
from momentumflow.numeric.runs import descent_loops
from momentumflow.numeric.runs.kernel_modules import kernels_for


def steps_of(loops):
    """Return the state of one run after fifty steps of heavy ball by functions of a module."""
    problem = sparse_regression(6, 9, 2, seed=1)
    w, p = np.full((2, 9), 0.5), np.zeros((2, 9))
    run = loops.Run(w, p, np.zeros(9), np.zeros((4, 9)), np.zeros(2))
    loops.advance(
        loops.Data(problem.X, problem.y),
        loops.Rates(np.array([0.05]), np.array([0.6]), np.array([1.5])), run,
        loops.Scratch(np.zeros(9), np.zeros(9)), 0, 50,
    )  # fmt: skip
    return dict(zip(run._fields, run, strict=True))


def results():
    """Return named arrays: every engine, method and stopping of descent and flow."""
    found = {}

    def keep(name, run):
        for field in ("theta", "w_plus", "w_minus", "S_plus", "S_minus", "loss"):
            found[f"{name} {field}"] = np.asarray(getattr(run, field))
        found[f"{name} steps"] = np.asarray(run.steps)
        found[f"{name} sign changes"] = run.sign_changes

    # the file of the loops as it stands, where it need not be compiled for that
    interpreted = os.environ.get("NUMBA_DISABLE_JIT") == "1"
    loops = descent_loops if interpreted else kernels_for("heavy_ball", "numba")
    found.update({f"loops {name}": part for name, part in steps_of(loops).items()})

    # six rows: a block of four and two left over, in every unrolled loop
    problem = sparse_regression(6, 9, 2, seed=1)
    batch = np.array([0.6, 0.7, 0.8])
    for method in ("heavy_ball", "nesterov", "gradient_descent"):
        beta = 0.0 if method == "gradient_descent" else 0.6
        single = {"method": method, "max_steps": 60, "check_every": 7}
        keep(f"{method} single", momentum_descent(problem, 0.05, beta, 0.5, **single))
        lanes = {**single, "engine": "lanes", "threads": 1}
        betas = np.zeros(3) if method == "gradient_descent" else batch
        keep(f"{method} lanes", momentum_descent(problem, 0.05, betas, 0.5, **lanes))
        rows = momentum_descent(problem, 0.02, beta, 0.5, batch_size=2, seed=3, **single)
        keep(f"{method} rows", rows)
        # the remainders summed step by step; minibatches of a block of four and one more
        summed = {**single, "remainders": "summed"}
        keep(f"{method} single summed", momentum_descent(problem, 0.05, beta, 0.5, **summed))
        summed_lanes = {**lanes, "remainders": "summed"}
        keep(f"{method} lanes summed", momentum_descent(problem, 0.05, betas, 0.5, **summed_lanes))
        summed_rows = {**summed, "batch_size": 5, "seed": 3}
        keep(f"{method} rows summed", momentum_descent(problem, 0.02, beta, 0.5, **summed_rows))
        # to its end: converged, and diverged, by each engine
        small = Regression([[1.0, 2.0, 0.5]], [2.5])
        for engine in ("single", "lanes"):
            options = {"method": method, "engine": engine}
            gammas = np.array([0.1, 0.12])
            keep(f"{method} {engine} end", momentum_descent(small, gammas, beta, 0.5, **options))
            options["max_steps"] = 400
            keep(
                f"{method} {engine} far",
                momentum_descent(small, gammas * 400, beta, 0.5, **options),
            )
        options = {"method": method, "batch_size": 1, "seed": 0}
        keep(f"{method} rows end", momentum_descent(small, 0.1, beta, 0.5, **options))
        keep(
            f"{method} rows far", momentum_descent(small, 40.0, beta, 0.5, max_steps=400, **options)
        )
    # schedules, of one run and side by side
    warm = Schedule(np.linspace(0.01, 0.05, 60))
    swing = Schedule(np.array([[0.5], [0.6], [0.7]]) * np.linspace(1.0, 1.2, 60))
    for method in ("heavy_ball", "nesterov"):
        options = {"method": method, "max_steps": 60, "check_every": 7}
        keep(f"{method} scheduled", momentum_descent(problem, warm, 0.6, 0.5, **options))
        keep(f"{method} scheduled lanes",
             momentum_descent(problem, warm, swing, 0.5, engine="lanes", **options))  # fmt: skip
        keep(f"{method} scheduled rows",
             momentum_descent(problem, warm, 0.6, 0.5, batch_size=2, **options))  # fmt: skip
    # a large lambda swings through zero
    found["theta of the flow"] = momentum_flow(problem, 0.4, 0.5, t_end=3.0).theta
    keep("flow", momentum_flow(small, 0.3, 0.4))
    keep("swinging flow", momentum_flow(small, 8.0, 0.3, t_end=12.0))
    keep("gradient flow", momentum_flow(small, 0.0, 0.4))
    recorded = momentum_flow(small, 0.3, 0.4, t_end=2.0, t_eval=np.linspace(0, 2, 7)).path
    found["recorded flow"] = recorded.theta
    found["short flow"] = np.array(momentum_flow(small, 0.3, 0.4, max_steps=20).status.name)
    solution = implicit_solution(problem, 0.3)
    found["solution"] = solution.theta
    certificate = certify(
        problem.X[None], problem.y[None], solution.potential.broadcast_to((1, 9)),
        solution.theta[None], solution.dual[None],
    )  # fmt: skip
    found["certified"] = certificate.worst() < 1e-12
    return found


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory):
    path = tmp_path_factory.mktemp("interpreted") / "numbers.npz"
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, __file__, path], env=environment, check=True)
    with np.load(path) as numbers:
        return dict(numbers)


def test_compiled_and_interpreted_give_the_same_numbers(interpreted):
    compiled = results()
    assert compiled.keys() == interpreted.keys()
    for name, value in compiled.items():
        if name.endswith("flow steps"):  # steps adapt to an error that is rounding near the end
            np.testing.assert_allclose(interpreted[name], value, rtol=0.05, err_msg=name)
        elif name.endswith(("steps", "sign changes")) or value.dtype.kind in "bU":
            np.testing.assert_array_equal(interpreted[name], value, err_msg=name)
        elif "far" in name:  # diverged: both are far, not equally far
            pass
        else:
            np.testing.assert_allclose(
                interpreted[name], value, rtol=1e-8, atol=1e-12, err_msg=name
            )


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        np.savez(sys.argv[1], **results())
