"""Which runs have a limit to predict: in a batch the others are predicted as if alone.

A run that diverged or left a weight at zero has NaN and its own status; a run that has not
ended is predicted from where it stands, its momentum counted, with an estimate of the rest.
"""

import numpy as np
import pytest

from momentumflow.numeric import (
    Regression,
    RunStatus,
    implicit_solution,
    momentum_descent,
    momentum_flow,
    sparse_regression,
)
from momentumflow.numeric.implicit import ImplicitStatus

PROBLEM = sparse_regression(4, 8, 3, seed=3)
# Here w_- of the first coordinate falls to zero under lambda w'' + w' = g w.
ZERO = Regression([[1.0, 0.5]], [1.0])
LAMBDA_AT_ZERO = 0.3238869204910509


@pytest.mark.parametrize("solver", ["newton", "cvxpy"])
@pytest.mark.parametrize("engine", ["single", "lanes", "numpy"])
def test_a_batch_with_runs_that_have_no_limit(solver, engine):
    gammas = np.array([[0.05, 50.0], [1e-7, 0.04]])
    options = {"max_steps": 3000, "engine": engine, "check_every": 100}
    run = momentum_descent(PROBLEM, gammas, 0.9, 0.5, **options)
    expected = [[RunStatus.CONVERGED, RunStatus.DIVERGED],
                [RunStatus.NOT_CONVERGED, RunStatus.CONVERGED]]  # fmt: skip
    assert run.status.tolist() == expected
    limit = run.predicted_limit(solver)
    for index in np.ndindex(2, 2):
        alone = momentum_descent(PROBLEM, gammas[index], 0.9, 0.5, **options)
        assert alone.status is run.status[index]
        answer = alone.predicted_limit(solver)
        if alone.converged:
            assert limit.status[index] is answer.status is ImplicitStatus.CERTIFIED
            np.testing.assert_allclose(limit.theta[index], answer.theta, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(limit.theta[index], alone.theta, rtol=1e-8, atol=1e-11)
            assert limit.ahead[index] == answer.ahead == 0
        elif alone.status is RunStatus.NOT_CONVERGED:  # after 3000 steps of next to nothing
            assert limit.status[index] is answer.status is ImplicitStatus.CERTIFIED
            assert limit.ahead[index] == answer.ahead == np.inf
        else:
            assert limit.status[index] is answer.status is alone.status
            for solution, at in ((limit, index), (answer, ())):
                assert not np.asarray(solution.certified)[at]
                for name in ("theta", "dual", "dual_tail", "error", "gap", "objective"):
                    assert np.all(np.isnan(getattr(solution, name)[at])), name
    table = limit.to_xarray()
    assert table["status"].values.tolist() == [["CERTIFIED", "DIVERGED"],
                                               ["CERTIFIED", "CERTIFIED"]]  # fmt: skip
    assert "3 of 4 certified" in repr(limit)


def test_a_batch_over_problems_keeps_the_problem_of_each_run():
    problems = sparse_regression(4, 8, 3, seed=3, batch=(3,))
    run = momentum_descent(problems, [0.05, 90.0, 0.05], 0.8, 0.5)
    assert [s.name for s in run.status] == ["CONVERGED", "DIVERGED", "CONVERGED"]
    limit = run.predicted_limit()
    np.testing.assert_allclose(limit.theta[[0, 2]], run.theta[[0, 2]], rtol=1e-8, atol=1e-11)
    assert np.isnan(limit.theta[1]).all()


def test_a_flow_whose_weight_falls_to_zero_is_refused():
    lams = LAMBDA_AT_ZERO * np.array([1 - 1e-3, 1.0, 1 + 1e-3])
    flow = momentum_flow(ZERO, lams, 0.1)
    names = ["CONVERGED", "WEIGHT_AT_ZERO", "CONVERGED"]
    assert [status.name for status in flow.status] == names
    assert "a weight ended at zero" in flow.message
    # the neighbours end on either side of zero: that is what makes it a zero
    assert flow.w_minus[0, 0] * flow.w_minus[2, 0] < 0
    limit = flow.predicted_limit()
    assert limit.status[1] is RunStatus.WEIGHT_AT_ZERO
    assert np.isnan(limit.theta[1]).all()
    np.testing.assert_allclose(limit.theta[[0, 2]], flow.theta[[0, 2]], rtol=1e-9)
    alone = momentum_flow(ZERO, LAMBDA_AT_ZERO, 0.1).predicted_limit()
    assert not alone.certified
    assert alone.status is RunStatus.WEIGHT_AT_ZERO


@pytest.mark.parametrize("engine", ["single", "lanes", "numpy"])
def test_a_step_onto_zero_is_refused(engine):
    # gradient descent multiplies w_- by 1 + gamma g, and the first g is -1
    run = momentum_descent(ZERO, [1.0, 0.9], 0.0, 0.1, method="gradient_descent", engine=engine)
    assert [status.name for status in run.status] == ["WEIGHT_AT_ZERO", "CONVERGED"]
    assert run.w_minus[0, 0] == 0
    limit = run.predicted_limit()
    assert limit.status[0] is RunStatus.WEIGHT_AT_ZERO
    np.testing.assert_allclose(limit.theta[1], run.theta[1], rtol=1e-9)


@pytest.mark.parametrize("lam", [2.0, 5.0])
def test_the_prediction_counts_the_momentum_left_in_a_flow(lam):
    exact = momentum_flow(PROBLEM, lam, 0.3, rtol=1e-13).theta
    early = momentum_flow(PROBLEM, lam, 0.3, tol=1e-5)
    assert early.sign_changes.sum() > 0
    size = np.linalg.norm(exact)
    assert np.linalg.norm(early.theta - exact) > 1e-6 * size
    assert np.linalg.norm(early.predicted_limit().theta - exact) < 1e-9 * size
    # control: without -lambda w'/w in the coordinates in which a weight crossed zero
    crossed = early.weights * early.initial_weights < 0
    plus, minus = np.where(crossed, early.regular_remainders, early.remainders)
    minus = -minus
    start = np.log(np.abs(early.initial_w_plus * early.initial_w_minus))
    old = implicit_solution(PROBLEM, log_balancedness=start - plus - minus, shift=minus - plus)
    assert np.linalg.norm(old.theta - exact) > 3e-9 * size
