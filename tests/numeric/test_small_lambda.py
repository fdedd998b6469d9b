"""What small lambda does: bounds on signs and convergence, the first derivative, the penalty.

Each is held against runs of the flow or of the iterates, which know nothing of the
formula, or against exact numbers; each control is the same formula with one part wrong.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import linprog

from momentumflow import InputError
from momentumflow.numeric import (
    Regression,
    convergence_bound,
    limit_derivative,
    momentum_descent,
    momentum_flow,
    momentum_penalty,
    sign_change_bound,
    sparse_regression,
)


@pytest.fixture(scope="module")
def problem():
    return sparse_regression(5, 12, 3, seed=1)


def test_the_bound_on_signs_by_hand():
    """One row [1, 1/2], y = 1: Gamma = 1, so lambda <= 1/4."""
    bound = sign_change_bound(Regression([[1.0, 0.5]], [1.0]))
    assert bound.lam == 0.25
    assert bound.largest_step(0.81) == pytest.approx(0.01, rel=1e-12)
    assert bound.a_priori


def test_no_sign_changes_below_the_bound_and_some_not_far_above(problem):
    """The bound of the run itself is sharp at small alpha; the a priori one lies below it."""
    bound = sign_change_bound(problem)
    below = momentum_flow(problem, float(bound.lam), 1e-3)
    assert below.sign_changes.sum() == 0
    start = np.abs(problem.X.T @ problem.y).max() / problem.n
    above = momentum_flow(problem, 1.2 / (4 * start), 1e-4, t_max=1e4)
    assert above.sign_changes.sum() > 0
    times = np.linspace(0, 20, 400)
    seen = sign_change_bound(problem, momentum_flow(problem, float(bound.lam), 0.1, t_eval=times))
    assert bound.lam < seen.lam <= 1 / (4 * start) * (1 + 1e-12)
    assert not seen.a_priori


@pytest.mark.parametrize("beta", [0.5, 0.9])
def test_heavy_ball_keeps_signs_up_to_the_largest_step(problem, beta):
    bound = sign_change_bound(problem)
    run = momentum_descent(problem, float(bound.largest_step(beta)), beta, 1e-3, tol=1e-8)
    assert run.sign_changes.sum() == 0
    big = momentum_descent(problem, 12 * float(bound.largest_step(beta)), beta, 1e-3, tol=1e-8)
    assert big.sign_changes.sum() > 0


@pytest.mark.parametrize(("alpha", "far"), [(1e-1, 0.13), (1e-3, 0.04), (1e-6, 0.03)])
def test_the_threshold_of_sign_changes_tends_as_the_theorem_says(alpha, far):
    """T2, one row and one feature: the excess over the bound, not the threshold, is compared."""
    problem = Regression([[1.0, 0.0]], [1.0])
    low, high = 1.0, 2.0
    for _ in range(14):
        middle = (low + high) / 2
        run = momentum_flow(problem, middle / 4, alpha, t_end=200.0, rtol=1e-9)
        low, high = (low, middle) if run.sign_changes.sum() else (middle, high)
    excess = math.pi**2 * (3 - 2 * math.sqrt(2)) / math.log(1 / alpha) ** 2
    assert low - 1 == pytest.approx(excess, rel=far)
    assert low == pytest.approx(1 + excess, rel=1e-2 if alpha < 0.1 else 3e-2)


def test_the_least_l1_norm_is_that_of_a_linear_program(problem):
    found = convergence_bound(problem, 0.01)
    ones = np.ones(2 * problem.d)
    peer = linprog(ones, A_eq=np.hstack([problem.X, -problem.X]), b_eq=problem.y, bounds=(0, None))
    assert found.least_l1 == pytest.approx(peer.fun, rel=1e-8)
    squares = np.sum(problem.X**2, axis=0) / problem.n
    assert found.condition == pytest.approx(0.04 * squares.max() * peer.fun, rel=1e-8)


@pytest.mark.parametrize("alpha", [1e-1, 1e-2, 1e-4])
def test_the_flow_converges_where_it_is_said_to_and_obeys_the_bound(problem, alpha):
    lam = 0.9 * 0.01 / convergence_bound(problem, 0.01).condition
    found = convergence_bound(problem, lam, alpha)
    assert found.converges
    assert found.kappa < 1
    run = momentum_flow(problem, lam, alpha)
    assert bool(run.converged)
    assert np.all(run.predicted_balancedness > 0)
    assert found.least_l1 * (1 - 1e-9) <= np.abs(run.theta).sum() <= found.l1_bound


def test_the_bound_on_the_l1_norm_tends_with_the_start(problem):
    limit = convergence_bound(problem, 0.02).l1_bound
    gaps = [convergence_bound(problem, 0.02, a).l1_bound - limit for a in (1e-20, 1e-40, 1e-80)]
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.05)
    assert gaps[1] / gaps[2] == pytest.approx(2, rel=0.05)
    assert not convergence_bound(problem, 10.0).converges
    assert convergence_bound(problem, 10.0).l1_bound == math.inf


@pytest.mark.parametrize("alpha", [1.0, 0.1, 1e-2])
def test_the_derivative_is_that_of_real_flows(problem, alpha):
    """Differences of flows at two small lambda, extrapolated; the raw ones shrink by a half."""
    found = limit_derivative(problem, alpha)
    lams = np.array([0.0, 1e-3, 5e-4])
    ends = momentum_flow(problem, lams, alpha, tol=1e-13).theta
    coarse, fine = ((ends[k] - ends[0]) / lams[k] for k in (1, 2))
    size = np.abs(found.derivative).max()
    assert np.abs(2 * fine - coarse - found.derivative).max() < 1e-4 * size
    gaps = [np.abs(d - found.derivative).max() for d in (coarse, fine)]
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.1)
    assert np.abs(problem.X @ found.derivative).max() < 1e-10 * size
    # controls: without the projector, or with the metric of least squares, it is another vector
    raw = -2 * found.squared_gradient * found.theta
    X = problem.X
    euclid = raw - X.T @ np.linalg.solve(X @ X.T, X @ raw)
    for other in (raw, euclid if alpha < 1 else raw):
        assert np.abs(other - found.derivative).max() > 0.05 * size


def test_iterates_move_by_lambda_hat_and_not_by_lambda(problem):
    gamma, beta, alpha = 1e-3, 0.5, 0.1
    found = limit_derivative(problem, alpha)
    end = momentum_descent(problem, gamma, beta, alpha, tol=1e-12).theta
    lam = gamma / (1 - beta) ** 2
    hat = lam * (1 + beta) / 2
    size = np.abs(end - found.theta).max()
    assert np.abs(found.predicted(hat) - end).max() < 0.03 * size
    assert np.abs(found.predicted(lam) - end).max() > 0.2 * size
    assert found.predicted([0.1, 0.2]).shape == (2, problem.d)


@pytest.mark.parametrize("lam", [0.05, 0.3, 2.0])
def test_momentum_never_has_more_of_its_penalty(lam):
    """S2 with its right side: sum (P^M - P^G) ln(P^M/P^G) = 2 <I, P^G - P^M>."""
    problem = sparse_regression(5, 12, 3, seed=3, batch=(6,))
    flow, still = (momentum_flow(problem, value, 0.3, tol=1e-13) for value in (lam, 0.0))
    assert np.all(flow.converged)
    penalty = momentum_penalty(flow)
    less = penalty.of(still) - penalty.of(flow)
    assert np.all(less > 0)
    jeffreys = 0
    for name in ("w_plus", "w_minus"):
        ours, theirs = getattr(flow, name) ** 2 / 4, getattr(still, name) ** 2 / 4
        jeffreys = jeffreys + np.sum((ours - theirs) * np.log(ours / theirs), axis=-1)
    assert less == pytest.approx(jeffreys, rel=1e-6)


def test_wrong_calls_are_refused(problem):
    batch = sparse_regression(3, 6, 2, seed=0, batch=(2,))
    with pytest.raises(InputError, match="single problem"):
        convergence_bound(batch, 0.1)
    with pytest.raises(InputError, match="single run"):
        limit_derivative(batch, 0.1)
    with pytest.raises(InputError, match="recorded states"):
        sign_change_bound(problem, momentum_flow(problem, 0.1, 0.1))
    other = momentum_flow(sparse_regression(5, 12, 3, seed=2), 0.1, 0.1, t_eval=[1.0])
    with pytest.raises(InputError, match="on this problem"):
        sign_change_bound(problem, other)
    with pytest.raises(InputError, match="converged"):
        momentum_penalty(momentum_flow(problem, 0.1, 0.1, t_max=1.0))
    with pytest.raises(InputError, match="converges"):
        limit_derivative(problem, 0.1, t_max=1.0)
    with pytest.raises(InputError, match="below sqrt"):
        convergence_bound(problem, 0.01, 2.0)
