"""What the page computes, against the library's other roads to it, without a browser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.integrate import solve_ivp

from momentumflow.base.errors import InputError
from momentumflow.explore.formulas import formulas
from momentumflow.explore.scene import Controls, Run, compute, problem_of
from momentumflow.numeric import RunStatus, implicit_solution, momentum_descent
from momentumflow.verify.evidence import Verdict

UNSTABLE = Controls(gamma=1.0, beta=0.9, alpha=2.0)
UNFINISHED = Controls(gamma=1e-3, beta=0.0, alpha=0.01)


@pytest.fixture(scope="module")
def scene():
    return compute(Controls(rho=2.0))


def test_the_parameters_are_the_papers(scene):
    # gamma = 0.02, beta = 0.8, by hand
    numbers = scene.parameters
    assert numbers.eps == pytest.approx(0.1)
    assert numbers.intrinsic == pytest.approx(0.5)
    assert numbers.refined == pytest.approx(0.45)
    assert numbers.all_orders == pytest.approx(0.1 / np.log(1.25))


def test_run_and_prediction_agree_and_cvxpy_says_so_too(scene):
    run = scene.run
    assert run.end.converged
    assert run.verdict is Verdict.SUPPORTED
    assert run.distance < 1e-11
    independent = implicit_solution(
        scene.problem,
        log_balancedness=run.end.log_balancedness,
        shift=run.end.shift,
        solver="cvxpy",
    )
    assert independent.certified
    np.testing.assert_allclose(run.end.theta, independent.theta, rtol=0, atol=1e-8)


def test_a_wrong_prediction_is_called_wrong(scene):
    """Negative control: the prediction from the balancedness at the start."""
    naive = implicit_solution(scene.problem, scene.run.end.initial_balancedness)
    away = np.linalg.norm(scene.run.end.theta - naive.theta) / np.linalg.norm(naive.theta)
    assert away > 1e-3
    wrong = replace(scene.run, limit=naive, distance=float(away))
    assert wrong.verdict is Verdict.REFUTED


def test_the_flow_lies_beneath_the_iterates(scene):
    """SciPy integrates the flow from the derived start; both are as near as eps^2 says."""
    problem, numbers = scene.problem, scene.parameters
    X, y, n = problem.X, problem.y, problem.n
    scale = np.sqrt(2) * scene.controls.alpha

    def gradient(w):
        return X.T @ (X @ ((w[0] ** 2 - w[1] ** 2) / 4) - y) / n

    def field(_, state):
        w, v = state.reshape(2, 2, -1)
        force = gradient(w) * w * np.array([[-1], [1]])
        return np.stack([v, (force - v) / numbers.refined]).ravel()

    w = np.full((2, problem.d), scale)
    # w'(0) = -(eps / 2 lambda) grad F(w_0)
    v = numbers.eps / (2 * numbers.intrinsic) * gradient(w) * w * np.array([[-1], [1]])
    path = scene.run.path
    exact = solve_ivp(
        field, (0, path.time[-1]), np.r_[w.ravel(), v.ravel()], "DOP853", path.time,
        rtol=1e-10, atol=1e-12,
    )  # fmt: skip
    plus, minus = exact.y[: 2 * problem.d].T.reshape(-1, 2, problem.d).transpose(1, 0, 2)
    theta = (plus**2 - minus**2) / 4
    ours = np.stack(
        [np.interp(path.time, scene.flow.path.time, c) for c in scene.flow.path.theta.T], axis=-1
    )
    size = np.abs(theta).max()
    assert np.abs(ours - theta).max() < 2e-3 * size  # linear interpolation of 600 records
    assert np.abs(path.theta - theta).max() < 2e-2 * size
    # Negative control: lambda in place of lambda_hat is visibly another curve.
    plain = compute(Controls()).formulas
    assert float(plain.intrinsic(0.02, 0.8)) != pytest.approx(numbers.refined, rel=0.05)


def test_the_acceleration_rule_keeps_lambda_and_halves_the_steps(scene):
    slow, fast = scene.run, scene.accelerated
    assert (fast.gamma, fast.beta) == (pytest.approx(0.08), pytest.approx(0.6))
    assert float(scene.formulas.intrinsic(fast.gamma, fast.beta)) == pytest.approx(0.5)
    assert int(fast.end.steps) == pytest.approx(int(slow.end.steps) / 2, rel=0.1)
    # The same path: at equal times the two are apart by the order of eps.
    at = np.stack([np.interp(fast.path.time, slow.path.time, c) for c in slow.path.theta.T])
    gap = np.abs(at.T - fast.path.theta).max() / np.abs(slow.path.theta).max()
    assert gap < 0.1
    # Negative control: twice the step alone is another lambda and another path.
    other = momentum_descent(
        scene.problem, 0.04, 0.8, 0.1, max_steps=len(fast.path.time), tol=None, record_every=1
    ).path
    there = np.stack([np.interp(fast.path.time, other.time, c) for c in other.theta.T])
    assert np.abs(there.T - fast.path.theta).max() > 2 * gap * np.abs(slow.path.theta).max()


def test_a_rule_beyond_its_range_is_said():
    found = compute(Controls(beta=0.5, rho=4.0))
    assert found.accelerated is None
    assert found.no_acceleration == (
        "beta in [0, 1) of the acceleration rule, which gives beta = -1"
    )


@pytest.mark.parametrize(
    ("controls", "status"),
    [(UNSTABLE, RunStatus.DIVERGED), (UNFINISHED, RunStatus.NOT_CONVERGED)],
)
def test_a_run_without_a_limit_shows_none(controls, status):
    found = compute(controls)
    assert found.run.end.status is status
    assert found.run.limit is None
    assert found.run.distance is None
    assert found.run.verdict is Verdict.UNDECIDED


def test_an_unstable_position_is_called_so():
    assert compute(Controls()).stable
    steep = compute(Controls(gamma=1.0, beta=0.0, alpha=2.0))
    assert not steep.stable
    assert steep.run.end.status is not RunStatus.CONVERGED


@settings(max_examples=15, deadline=None)
@given(
    gamma=st.floats(3e-3, 0.5),
    lag=st.floats(0.01, 1.0, exclude_max=False),
    alpha=st.floats(0.05, 2.0),
    seed=st.integers(0, 50),
    method=st.sampled_from(["heavy_ball", "nesterov"]),
)
def test_wherever_the_sliders_stand_there_is_a_scene(gamma, lag, alpha, seed, method):
    found = compute(Controls(gamma, 1 - lag, alpha, seed, 1.0, method))
    run: Run = found.run
    assert np.isfinite(found.sharpness)
    assert len(run.path.time) >= 2
    if run.end.converged:
        assert run.verdict is Verdict.SUPPORTED
    else:
        assert run.limit is None


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"gamma": 0.0}, "expected gamma > 0, received gamma = 0."),
        ({"beta": 1.0}, r"expected beta in \[0, 1\), received beta = 1."),
        ({"alpha": -1.0}, "expected alpha > 0, received alpha = -1."),
        ({"seed": -1}, "expected seed >= 0, received seed = -1."),
        ({"seed": 0.5}, "expected seed as a whole number >= 0, received 0.5."),
        ({"rho": 0.0}, "expected rho > 0, received rho = 0."),
        ({"method": "adam"}, "expected method to be one of 'heavy_ball', 'nesterov', received "),
    ],
)
def test_controls_out_of_range_are_one_sentence(values, sentence):
    with pytest.raises(InputError, match=sentence):
        Controls(**values)


def test_formulas_broadcast_and_survive_no_momentum():
    derived = formulas("heavy_ball")
    assert derived.refined(np.array([0.1, 0.2]), 0.5).shape == (2,)
    assert compute(Controls(gamma=0.1, beta=0.0)).parameters.all_orders == 0.0


def test_the_teacher_spans_the_plane_of_the_path():
    for seed in range(20):
        first, second, third = compute(Controls(gamma=0.1, seed=seed)).coordinates
        teacher = problem_of(seed).teacher
        assert teacher[first] != 0 != teacher[second]
        assert teacher[third] == 0
