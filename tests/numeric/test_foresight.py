"""The limit of a run is known before the run has ended, and how well is known too.

Oracle: the run itself, gone on with to a residual of 1e-13.
"""

import numpy as np
import pytest

from momentumflow import InputError
from momentumflow.numeric import (
    RunStatus,
    implicit_solution,
    momentum_descent,
    momentum_flow,
    sparse_regression,
)

PROBLEM = sparse_regression(20, 30, 5, seed=1)
WIDE = sparse_regression(10, 40, 3, seed=4)


def distance(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def stages(end, run, times):
    """Return residual, distance from the end, estimate, and distance of theta at each time."""
    rows = []
    for time in times:
        state = run(time)
        limit = state.predicted_limit()
        rows.append(
            (
                float(state.residual),
                distance(limit.theta, end.theta),
                float(limit.ahead),
                distance(state.theta, end.theta),
            )
        )
    return np.array(rows).T


@pytest.mark.parametrize(
    ("problem", "beta", "alpha", "gamma", "batch_size"),
    [
        (PROBLEM, 0.0, 1.0, 0.02, None),
        (PROBLEM, 0.9, 0.1, 0.01, None),
        (PROBLEM, 0.95, 0.3, 0.02, None),
        (WIDE, 0.9, 0.1, 0.01, None),
        (PROBLEM, 0.9, 0.3, 0.005, 5),
    ],
)
def test_descent_is_predicted_early(problem, beta, alpha, gamma, batch_size):
    options = {"batch_size": batch_size, "max_steps": 1_000_000}
    end = momentum_descent(problem, gamma, beta, alpha, **options)
    assert end.converged

    def run(steps):
        options["max_steps"] = int(steps)
        return momentum_descent(problem, gamma, beta, alpha, tol=None, **options)

    steps = int(end.steps) // 100 * np.array([15, 20, 25, 30])
    residual, error, ahead, missing = stages(end, run, steps)
    assert np.all(error <= ahead + 2e-12)
    assert np.all(ahead[ahead > 1e-9] < 1000 * error[ahead > 1e-9])  # and says something
    # second order: theta is off by the residual, the prediction and its estimate by its square
    assert np.all(error < 20 * missing**2)
    order = np.polyfit(np.log(residual), np.log(ahead), 1)[0]
    assert 1.6 < order < 2.4
    # control: the start in place of what the run has left behind
    start = implicit_solution(
        problem, balancedness=end.initial_balancedness, reference=np.zeros(problem.d)
    )
    assert distance(start.theta, end.theta) > 1e3 * error[-1]


@pytest.mark.parametrize("lam", [0.1, 1.0])
def test_flows_are_predicted_early(lam):
    end = momentum_flow(PROBLEM, lam, 0.3)
    times = float(end.time) * np.array([0.15, 0.2, 0.25, 0.3])
    residual, error, ahead, missing = stages(
        end, lambda t: momentum_flow(PROBLEM, lam, 0.3, t_end=t), times
    )
    assert np.all(error <= ahead + 2e-12)
    assert np.all(error < 20 * missing**2)
    assert 1.6 < np.polyfit(np.log(residual), np.log(ahead), 1)[0] < 2.4


def test_gradient_flow_leaves_nothing_behind():
    """Without momentum the limit is known from the start, to every digit."""
    flow = momentum_flow(PROBLEM, 0.0, 0.3, t_end=20.0)
    limit = flow.predicted_limit()
    assert flow.residual > 1e-3
    assert distance(limit.theta, momentum_flow(PROBLEM, 0.0, 0.3).theta) < 1e-11
    assert limit.ahead < 1e-20


def test_far_from_the_limit_nothing_is_said():
    """Weights that have still to grow: their speed tells, and the estimate is infinite."""
    run = momentum_descent(PROBLEM, 0.01, 0.9, 0.01, max_steps=100, tol=None)
    limit = run.predicted_limit()
    assert limit.certified
    assert limit.ahead == np.inf
    assert "ahead=inf" in repr(limit)
    assert limit.to_xarray()["ahead"].item() == np.inf


@pytest.mark.parametrize("engine", ["single", "lanes", "numpy"])
def test_runs_end_when_their_limits_are_known(engine):
    alphas = np.array([[1.0], [0.5], [0.3]])
    options = {"engine": engine, "max_steps": 100_000}
    end = momentum_descent(PROBLEM, 0.01, 0.9, alphas, max_steps=100_000)
    for accuracy in (1e-4, 1e-8):
        run = momentum_descent(PROBLEM, 0.01, 0.9, alphas, limit_accuracy=accuracy, **options)
        assert set(run.status) == {RunStatus.LIMIT_KNOWN}
        assert np.all(run.steps < end.steps)
        assert "limit is known" in run.message
        limit = run.predicted_limit()
        for i in range(3):
            assert distance(limit.theta[i], end.theta[i]) < accuracy
            # control: the weights at that time are far from it
            assert distance(run.theta[i], end.theta[i]) > 10 * accuracy


def test_what_cannot_be_known_runs_on():
    """An accuracy below rounding is never reached: the run converges as without it."""
    run = momentum_descent(PROBLEM, 0.01, 0.9, 1.0, limit_accuracy=1e-30)
    assert run.status is RunStatus.CONVERGED
    short = momentum_descent(PROBLEM, 0.01, 0.9, 0.1, limit_accuracy=1e-6, max_steps=500)
    assert short.status is RunStatus.NOT_CONVERGED


def test_early_endings_and_a_fixed_number_of_steps_exclude_each_other():
    with pytest.raises(InputError, match="a tol with limit_accuracy"):
        momentum_descent(PROBLEM, 0.01, 0.9, 0.1, tol=None, limit_accuracy=1e-6)
