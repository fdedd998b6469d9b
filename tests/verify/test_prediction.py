"""What a prediction says when it cannot be confirmed, or is wrong."""

from dataclasses import replace

import numpy as np
import pytest

from momentumflow import InputError
from momentumflow.numeric import ImplicitStatus, momentum_descent, sparse_regression
from momentumflow.verify import Verdict, predict


@pytest.fixture(scope="module")
def sound():
    return predict(sparse_regression(3, 6, 2, seed=0), 0.05, 0.8, 0.5)


def refused(solution, status):
    return replace(solution, status=status, theta=np.full_like(solution.theta, np.nan))


def test_a_sound_prediction_is_supported(sound):
    assert sound.verdict is Verdict.SUPPORTED
    assert "CVXPY and Newton" in sound.explanation


def test_without_newton_there_is_no_verdict(sound):
    open_one = replace(sound, newton=refused(sound.newton, ImplicitStatus.IMPROVE_CONDITIONING))
    assert open_one.verdict is Verdict.UNDECIDED
    assert open_one.explanation.startswith("no certified prediction: converged, but rounding")


@pytest.mark.parametrize("given", [True, False])
def test_without_cvxpy_there_is_no_confirmation(sound, given):
    cvxpy = refused(sound.cvxpy, ImplicitStatus.TRY_ANOTHER_SOLVER) if given else None
    open_one = replace(sound, cvxpy=cvxpy)
    assert open_one.verdict is Verdict.UNDECIDED
    assert "CVXPY gave no certified solution to confirm it" in open_one.explanation
    assert ("too far from the solution" in open_one.explanation) is given
    assert np.isnan(open_one.solver_distance)


def test_a_limit_elsewhere_is_refuted(sound):
    wrong = replace(sound, newton=replace(sound.newton, theta=1.001 * sound.newton.theta))
    assert wrong.verdict is Verdict.REFUTED
    apart = replace(sound, cvxpy=replace(sound.cvxpy, theta=1.001 * sound.cvxpy.theta))
    assert apart.verdict is Verdict.REFUTED


def test_batches_are_refused():
    with pytest.raises(InputError, match=r"expected one problem, received a batch of shape \(2,\)"):
        predict(sparse_regression(3, 6, 2, seed=0, batch=(2,)), 0.05, 0.8, 0.5)
    with pytest.raises(InputError, match=r"expected one run, received a batch of shape \(2,\)"):
        predict(sparse_regression(3, 6, 2, seed=0), 0.05, np.array([0.5, 0.8]), 0.5)


def test_the_run_is_that_of_the_numeric_room(sound):
    run = momentum_descent(sound.problem, 0.05, 0.8, 0.5)
    np.testing.assert_array_equal(sound.run.theta, run.theta)
