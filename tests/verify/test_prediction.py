"""What a prediction says when it cannot be confirmed, or is wrong."""

import re
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
    with pytest.raises(InputError, match=r"expected beta as a number in \[0, 1\), received"):
        predict(sparse_regression(3, 6, 2, seed=0), 0.05, np.array([0.5, 0.8]), 0.5)


@pytest.mark.parametrize(
    ("gamma", "beta", "options", "way"),
    [
        (5.0, 0.5, {}, "the run diverged: reduce {gamma} below "),
        (0.05, 0.999, {}, "the run diverged: 0.05 is stable at the predicted limit (below "),
        (1e-3, 0.5, {"max_steps": 2000}, "not converged after 2,000 steps: raise {max_steps} to "),
    ],
)
def test_the_advice_leads_to_a_limit(gamma, beta, options, way):
    """Each number that is named is tried: the run with it converges."""
    problem = sparse_regression(3, 6, 2, seed=0)
    found = predict(problem, gamma, beta, 0.5, **options)
    assert found.verdict is Verdict.UNDECIDED
    assert found.advice.startswith(way)
    named = {
        name: float(number.replace(",", "").rstrip(",."))
        for name, number in re.findall(
            r"{(\w+)} (?:below|to)(?: about)? ([\d.,e+-]+)", found.advice
        )
    }
    assert named
    for name, value in named.items():
        tried = {"gamma": gamma, "beta": beta, **options}
        tried[name] = (
            int(value) if name == "max_steps" else 0.9 * value if "below" in way else value
        )
        if name in ("gamma", "beta"):
            tried.pop("max_steps", None)
        step, momentum = tried.pop("gamma"), tried.pop("beta")
        assert predict(problem, step, momentum, 0.5, **tried).run.converged, (name, value)


def test_the_advice_is_spelled_as_the_reader_does():
    found = predict(sparse_regression(3, 6, 2, seed=0), 5.0, 0.5, 0.5)
    assert "reduce gamma below" in found.explanation
    assert "reduce --gamma below" in found.explained(lambda name: f"--{name}")


def test_the_step_may_be_left_to_the_package():
    problem = sparse_regression(3, 6, 2, seed=0)
    found = predict(problem, "auto", 0.9, 0.5)
    assert found.verdict is Verdict.SUPPORTED
    assert 0 < found.to_dict()["run"]["gamma"] < 5.0
    with pytest.raises(InputError, match="expected gamma to be one of 'auto', received 'fast'"):
        predict(problem, "fast", 0.9, 0.5)


def test_a_run_stops_where_the_verdict_is_certain(sound):
    """The tolerance of the verdict, less a factor for the condition, not the limit of rounding."""
    assert 1e-13 <= sound.run.settings["tol"] <= 1e-10
    finest = predict(sound.problem, 0.05, 0.8, 0.5, tol=1e-13)
    assert sound.run.steps < finest.run.steps
    assert sound.verdict is finest.verdict is Verdict.SUPPORTED


def test_the_run_is_that_of_the_numeric_room(sound):
    run = momentum_descent(sound.problem, 0.05, 0.8, 0.5, tol=sound.run.settings["tol"])
    np.testing.assert_array_equal(sound.run.theta, run.theta)
