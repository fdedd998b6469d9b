"""At the ends of floating point: what is refused, and that what is answered is right."""

import numpy as np
import pytest

from momentumflow import InputError
from momentumflow.numeric import (
    Regression,
    RunStatus,
    flow_sensitivity,
    implicit_solution,
    momentum_descent,
    momentum_flow,
)
from momentumflow.verify import predict

PROBLEM = Regression([[1.0, 2.0, -0.5], [0.5, -1.0, 1.0]], [1.0, -0.5])


@pytest.mark.parametrize("init", [1e-320, 1e-200, 1e200, 1.5e308, (1.0, 1.0 - 1e-300)])
@pytest.mark.parametrize("run", [lambda init: momentum_flow(PROBLEM, 0.5, init),
                                 lambda init: momentum_descent(PROBLEM, 0.1, 0.5, init)],
)  # fmt: skip
def test_weights_whose_products_are_no_floats_are_refused(run, init):
    with pytest.raises(InputError, match="initial weights"):
        run(init)


@pytest.mark.parametrize("alpha", [1e-149, 1e-60])
def test_the_smallest_weights_end_where_the_logarithms_say(alpha):
    run = momentum_flow(PROBLEM, 0.05, alpha)
    assert run.converged
    limit = run.predicted_limit()
    assert limit.certified
    assert np.linalg.norm(run.theta - limit.theta) < 1e-9 * np.linalg.norm(limit.theta)


@pytest.mark.parametrize("method", ["auto", "stiff"])
@pytest.mark.parametrize("t_end", [1e17, 1e300])
def test_a_flow_that_rests_is_at_rest_at_any_later_time(method, t_end):
    late = momentum_flow(PROBLEM, 0.5, 0.5, t_end=t_end, method=method)
    limit = momentum_flow(PROBLEM, 0.5, 0.5)
    assert late.status is RunStatus.COMPLETED
    assert late.time == t_end
    np.testing.assert_allclose(late.theta, limit.theta, rtol=1e-9)
    np.testing.assert_allclose(late.S_plus, limit.S_plus, rtol=1e-7)


def test_a_residual_below_rounding_is_not_reached_which_is_not_diverging():
    run = momentum_flow(PROBLEM, 0.5, 0.5, tol=1e-30, method="stiff")
    assert run.status is RunStatus.NOT_CONVERGED
    assert "loosen tol" in run.message


def test_a_flow_from_weights_too_large_to_follow_diverges():
    """Control: what is not at rest when the steps end is no answer."""
    assert momentum_flow(PROBLEM, 0.5, 1e30).status is RunStatus.DIVERGED
    assert momentum_flow(PROBLEM, 0.5, 1e30, t_end=1.0).status is RunStatus.DIVERGED


def test_a_flow_that_does_not_arrive_has_no_derivative():
    with pytest.raises(InputError, match="that can be followed to t_end"):
        flow_sensitivity(PROBLEM, 0.5, 1e30, 1.0)


def test_a_step_too_small_to_move_anything_is_told_to_grow():
    found = predict(PROBLEM, 1e-320, 0.5, 0.5, max_steps=500)
    assert not found.run.converged
    assert "raise gamma to" in found.explanation
    assert "max_steps" not in found.explanation  # no number of steps would do


def test_a_shift_that_rounding_makes_a_factor_of_is_refused():
    with pytest.raises(InputError, match="shift"):
        implicit_solution(PROBLEM, log_balancedness=-1.0, shift=1e30)
    # a run that changed signs leaves a reference point of e^1262, which is no float
    run = momentum_flow(PROBLEM, 10.0, 1e-60)
    assert run.predicted_limit().certified
