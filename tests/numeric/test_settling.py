"""Near its limit: how large a step may be and how many it takes, against matrices and runs."""

import inspect
import re

import numpy as np
import pytest

from momentumflow.numeric import (
    RunStatus,
    momentum_descent,
    momentum_flow,
    sharpness,
    sparse_regression,
)
from momentumflow.numeric.runs.settling import Settling
from momentumflow.symbolic import GradientDescent, HeavyBall, MomentumMethod, Nesterov

ALPHA = 0.1


@pytest.fixture(scope="module")
def problem():
    return sparse_regression(8, 16, 3, seed=1)


def spectral_radius(gamma, beta, h, nesterov):
    """The linear iteration on curvature h as a 2 x 2 matrix; shares no code with the package."""
    push = gamma * h * (1 + beta if nesterov else 1)
    back = gamma * h * beta if nesterov else 0.0
    return max(abs(np.linalg.eigvals([[1 + beta - push, -beta + back], [1.0, 0.0]])))


@pytest.mark.parametrize("method", [HeavyBall(), Nesterov()], ids=["heavy ball", "nesterov"])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.95])
def test_the_largest_step_is_where_the_iteration_stops_contracting(problem, method, beta):
    found = Settling.of(problem, ALPHA, method)
    bound, h = found.largest_step(beta), found.curvatures[-1]
    nesterov = isinstance(method, Nesterov)
    assert spectral_radius(bound * (1 - 1e-6), beta, h, nesterov) < 1
    assert spectral_radius(bound * (1 + 1e-6), beta, h, nesterov) > 1


@pytest.mark.parametrize("method", [HeavyBall(), Nesterov()], ids=["heavy ball", "nesterov"])
def test_the_steps_are_those_of_the_slowest_curvature(problem, method):
    found = Settling.of(problem, ALPHA, method)
    gamma, beta = 0.3 * found.largest_step(0.8), 0.8
    slowest = max(
        spectral_radius(gamma, beta, h, isinstance(method, Nesterov)) for h in found.curvatures
    )
    assert found.steps(gamma, beta, 1e-6) == pytest.approx(np.log(1e-6) / np.log(slowest))
    assert found.steps(1.01 * found.largest_step(0.8), beta, 1e-6) == np.inf


def test_a_run_needs_about_the_steps_that_are_predicted(problem):
    """Gradient descent ends where gradient flow does, for small steps."""
    found = Settling.of(problem, ALPHA, GradientDescent())
    gamma = 0.02 * found.largest_step(0.0)
    near, end = (
        momentum_descent(problem, gamma, 0.0, ALPHA, tol=tol, check_every=1)
        for tol in (1e-8, 1e-12)
    )
    assert end.converged
    ratio = (end.steps - near.steps) / found.steps(gamma, 0.0, 1e-4)
    assert 0.9 < ratio < 1.1


def test_the_last_curvature_is_the_sharpness(problem):
    found = Settling.of(problem, ALPHA, HeavyBall())
    limit = momentum_descent(problem, 1e-3, 0.0, ALPHA)
    at_limit = sharpness(problem, limit.theta, limit.initial_balancedness)
    assert found.curvatures[-1] == pytest.approx(at_limit, rel=1e-2)
    assert np.all(np.diff(found.curvatures) >= 0)


def test_the_best_momentum_is_that_of_the_slowest_curvature(problem):
    """On one curvature h it is (1 - sqrt(gamma h))^2: both roots fall together (Polyak, 1964)."""
    found = Settling.of(problem, ALPHA, HeavyBall())
    gamma = 0.01 * found.largest_step(0.9)
    assert found.best_momentum(gamma) == pytest.approx(
        (1 - np.sqrt(gamma * found.curvatures[0])) ** 2, abs=0.02
    )


def test_the_prudent_step_converges_where_half_of_the_largest_does_not():
    bold = set()
    for seed, alpha, beta in [(0, 1e-3, 0.99), (0, 0.1, 0.9), (1, 0.1, 0.99), (2, 1e-3, 0.9)]:
        problem = sparse_regression(20, 40, 5, seed=seed)
        found = Settling.of(problem, alpha, HeavyBall())
        prudent = found.prudent_step(beta)
        assert prudent <= found.largest_step(beta) / 2
        run = momentum_descent(problem, prudent, beta, alpha, tol=1e-3, max_steps=200_000)
        assert run.converged, run.message
        half = found.largest_step(beta) / 2
        bold.add(momentum_descent(problem, half, beta, alpha, tol=1e-6).status)
    assert RunStatus.DIVERGED in bold  # negative control: stability at the limit is not enough


STRAY = MomentumMethod.parse("w[k+1] = w[k] + gamma*f(w[k]) + 2*beta*(w[k] - w[k-1])")


@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_a_run_that_diverged_names_the_largest_stable_step(problem, beta):
    run = momentum_descent(problem, [1e-3, 50.0], beta, ALPHA, max_steps=200)
    named = float(
        re.search(r"diverged: reduce gamma below ([\d.e-]+), the largest", run.message)[1]
    )
    flow = momentum_flow(problem, 0.0, ALPHA)
    h = sharpness(problem, flow.theta, flow.balancedness)
    assert spectral_radius(0.99 * named, beta, h, False) < 1
    assert spectral_radius(1.01 * named, beta, h, False) > 1


@pytest.mark.parametrize(
    "run",
    [
        lambda p: momentum_descent(p, 50.0, 0.9, ALPHA),
        lambda p: momentum_descent(p, 1e-3, 0.0, ALPHA, max_steps=50),
        lambda p: momentum_descent(p, 50.0, 0.9, ALPHA, method=STRAY, max_steps=500),
        lambda p: momentum_flow(p, 0.5, ALPHA, t_max=0.1),
        lambda p: momentum_flow(p, 0.5, ALPHA, max_steps=3),
    ],
    ids=["unstable", "slow", "no closed form", "flow, early", "flow, few steps"],
)
def test_advice_names_arguments_of_the_call_it_is_about(problem, run):
    found = run(problem)
    call = momentum_flow if found.method is None else momentum_descent
    named = re.findall(r"{(\w+)}", found.advice(found.status))
    assert named
    assert set(named) <= set(inspect.signature(call).parameters)
    assert found.advice(RunStatus.CONVERGED) == ""
