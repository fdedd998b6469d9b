"""The flow: against SciPy in other coordinates, exact cases, the theorem, orders."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from momentumflow import InputError
from momentumflow.numeric import (
    Regression,
    RunStatus,
    flow_sensitivity,
    implicit_solution,
    momentum_flow,
    sparse_regression,
)

PROBLEM = sparse_regression(20, 30, 5, seed=1)
DENSE = sparse_regression(20, 30, 20, seed=1)


def peer(problem, lam, alpha, t_end):
    """SciPy's Radau-free reference in (u, v), with the integral of g; states by column."""
    d = problem.d

    def field(t, state):
        u, v, du, dv, _ = state.reshape(5, d)
        g = problem.X.T @ (problem.X @ (u * v) - problem.y) / problem.n
        if lam == 0:
            return np.concatenate([-g * v, -g * u, 0 * u, 0 * u, g])
        return np.concatenate([du, dv, (-du - g * v) / lam, (-dv - g * u) / lam, g])

    start = np.zeros((5, d))
    start[0] = np.sqrt(2) * alpha
    solution = solve_ivp(
        field, (0, t_end), start.ravel(), method="DOP853", rtol=3e-13, atol=1e-16, dense_output=True
    )
    assert solution.success
    return lambda t: solution.sol(t).reshape(5, d)


@pytest.mark.parametrize("lam", [0.0, 0.05, 0.5, 3.0])
def test_against_scipy_in_other_coordinates(lam):
    run = momentum_flow(PROBLEM, lam, 0.1, t_end=20.0)
    u, v, _, _, G = peer(PROBLEM, lam, 0.1, 20.0)(20.0)
    np.testing.assert_allclose(run.w_plus, u + v, rtol=3e-10, atol=1e-12)
    np.testing.assert_allclose(run.w_minus, u - v, rtol=3e-10, atol=1e-12)
    np.testing.assert_allclose(run.gradient_integral, G, rtol=1e-9, atol=1e-11)
    assert run.status is RunStatus.COMPLETED
    assert run.time == 20.0


def test_gradient_flow_of_one_equation_exactly():
    # n = 1, X = (a, 0): theta_1 solves a logistic-like equation; with r = a theta - y and
    # balancedness D conserved, theta' = -sqrt(4 theta^2 + D^2) a r, checked by its integral
    problem = Regression([[2.0, 0.0]], [3.0])
    run = momentum_flow(problem, 0.0, 0.5, t_end=1.0)
    from scipy.integrate import quad

    D = 2 * 0.5**2
    elapsed = quad(
        lambda th: 1 / (np.sqrt(4 * th**2 + D**2) * 2.0 * (3.0 - 2.0 * th)), 0, run.theta[0],
        epsabs=0, epsrel=1e-12, limit=500,
    )[0]  # fmt: skip
    assert elapsed == pytest.approx(1.0, rel=1e-9)
    np.testing.assert_allclose(run.balancedness, D, rtol=1e-10)


def test_error_falls_with_the_tolerance():
    exact = momentum_flow(PROBLEM, 0.5, 0.1, t_end=10.0, rtol=1e-13).theta
    errors = [
        np.abs(momentum_flow(PROBLEM, 0.5, 0.1, t_end=10.0, rtol=rtol).theta - exact).max()
        for rtol in (1e-4, 1e-6, 1e-8, 1e-10)
    ]
    slope = np.polyfit([-4, -6, -8, -10], np.log10(errors), 1)[0]
    assert 0.7 < slope < 1.4


def test_dense_output_and_records():
    times = np.linspace(0.0, 15.0, 31)
    run = momentum_flow(PROBLEM, 0.5, 0.1, t_end=15.0, t_eval=times)
    states = peer(PROBLEM, 0.5, 0.1, 15.0)
    assert run.path is not None
    np.testing.assert_allclose(run.path.time, times)
    for k in (0, 7, 30):
        u, v, *_ = states(times[k])
        np.testing.assert_allclose(run.path.w_plus[k], u + v, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(run.path.theta[k], u * v, rtol=1e-7, atol=1e-9)


def test_sign_changes_are_located():
    run = momentum_flow(PROBLEM, 1.0, 0.01, t_end=60.0)
    events = run.sign_change_times
    assert len(events.time) == run.sign_changes.sum() > 10
    assert (np.diff(events.time) >= 0).all()
    states = peer(PROBLEM, 1.0, 0.01, 60.0)
    for time, weight, j in zip(events.time, events.weight, events.coordinate, strict=True):
        u, v, du, dv, _ = states(time)
        sign = 1 if weight == "w_plus" else -1
        # what is left of the weight, as a delay
        assert abs((u[j] + sign * v[j]) / (du[j] + sign * dv[j])) < 1e-9


def test_sensitivity_against_the_variational_equation():
    problem, lam, alpha, t_end = sparse_regression(4, 7, 3, seed=2), 0.4, 0.3, 5.0
    X, d = problem.X, problem.d

    def field(t, state):
        w, v, dw, dv = state.reshape(4, 2, d)
        signs = np.array([[1.0], [-1.0]])
        g = X.T @ (X @ ((w[0] ** 2 - w[1] ** 2) / 4) - problem.y) / problem.n
        dg = X.T @ (X @ ((w[0] * dw[0] - w[1] * dw[1]) / 2)) / problem.n
        acceleration = (-v - signs * g * w) / lam
        # lambda w'' + w' + s g w = 0, differentiated with respect to lambda
        slope = (-acceleration - dv - signs * (g * dw + dg * w)) / lam
        return np.stack((v, acceleration, dv, slope)).ravel()

    start = np.zeros((4, 2, d))
    start[0] = np.sqrt(2) * alpha
    end = solve_ivp(
        field, (0, t_end), start.ravel(), method="DOP853", rtol=1e-12, atol=1e-14
    ).y[:, -1].reshape(4, 2, d)  # fmt: skip
    found = flow_sensitivity(problem, lam, alpha, t_end)
    np.testing.assert_allclose(found.w_plus, end[2, 0], atol=1e-8)
    np.testing.assert_allclose(
        found.theta, (end[0, 0] * end[2, 0] - end[0, 1] * end[2, 1]) / 2, atol=1e-8
    )
    assert np.abs(found.w_plus - end[2, 0]).max() < 10 * found.error
    assert np.abs(found.theta).max() > 1e-2


@pytest.mark.parametrize(
    ("lam", "alpha"), [(0.01, 1.0), (0.3, 1e-2), (1.0, 1e-2), (10.0, 1.0), (10.0, 1e-4)]
)
def test_continuous_limit_theorem(lam, alpha):
    run = momentum_flow(DENSE, lam, alpha)
    assert run.status is RunStatus.CONVERGED, run.message
    scale = np.linalg.norm(run.theta)
    assert np.linalg.norm(run.predicted_limit().theta - run.theta) < 1e-9 * scale
    naive = implicit_solution(DENSE, run.initial_balancedness, np.zeros(DENSE.d))
    assert np.linalg.norm(naive.theta - run.theta) > 1e-6 * scale


def test_the_defining_integral_is_what_the_regular_form_gives():
    run = momentum_flow(DENSE, 0.3, 0.5)
    assert run.sign_changes.sum() == 0
    assert run.squared_rates is not None
    np.testing.assert_allclose(run.S_plus, 0.3 * run.squared_rates[0], rtol=1e-12)
    np.testing.assert_allclose(run.remainders, run.regular_remainders, atol=2e-11)
    np.testing.assert_array_equal(run.remainders, [run.S_plus, -run.S_minus])
    assert (run.S_plus > 0).all()  # balancedness shrinks


def test_initial_velocity_enters_the_remainder():
    speed = (np.full(30, 0.05), np.full(30, -0.02))
    run = momentum_flow(DENSE, 0.3, 0.5, velocity=speed)
    assert run.remainder_defect < 1e-9
    assert np.linalg.norm(run.predicted_limit().theta - run.theta) < 1e-9 * np.linalg.norm(
        run.theta
    )
    at_rest = momentum_flow(DENSE, 0.3, 0.5)
    assert np.abs(at_rest.theta - run.theta).max() > 1e-4


def test_batches_are_runs_side_by_side():
    batch = momentum_flow(DENSE, [0.1, 1.0], [[0.5], [1.0]], t_end=3.0)
    alone = momentum_flow(DENSE, 1.0, 1.0, t_end=3.0)
    assert batch.theta.shape == (2, 30)
    np.testing.assert_array_equal(batch.theta[1], alone.theta)


def test_a_flow_that_is_given_up_says_so():
    run = momentum_flow(PROBLEM, 0.5, 0.01, t_max=5.0)
    assert run.status is RunStatus.NOT_CONVERGED
    assert "not converged" in run.message
    short = momentum_flow(PROBLEM, 0.5, 0.01, max_steps=10)
    assert short.status is RunStatus.NOT_CONVERGED


BAD = [
    (lambda: momentum_flow(PROBLEM, -1.0, 0.1), "lam >= 0, received lam = -1"),
    (lambda: momentum_flow(PROBLEM, 0.0, 0.1, velocity=(0.1, 0.1)), "gradient flow has no inertia"),
    (lambda: momentum_flow(PROBLEM, 1.0, 0.1, velocity=[0.1]), "velocity as a pair"),  # type: ignore[arg-type]
    (
        lambda: momentum_flow(PROBLEM, 1.0, 0.1, velocity=(np.ones(3), np.ones(3))),
        "last axis of 30",
    ),
    (lambda: momentum_flow(PROBLEM, 1.0, 0.1, t_end=-1.0), "t_end > 0"),
    (lambda: momentum_flow(PROBLEM, 1.0, 0.1, t_eval=[2.0, 1.0]), "t_eval as increasing"),
    (lambda: momentum_flow(PROBLEM, 1.0, 0.1, t_end=1.0, t_eval=[2.0]), "t_eval within"),
    (lambda: momentum_flow(PROBLEM, 1.0, 0.1, rtol=1.0), "rtol in"),
    (lambda: momentum_flow(PROBLEM, np.inf, 0.1), "finite values in lam"),
    (lambda: flow_sensitivity(PROBLEM, 0.0, 0.1, 1.0), "lam > 0"),
    (lambda: flow_sensitivity(PROBLEM, [1.0], 0.1, 1.0), "lam as a number > 0"),  # type: ignore[arg-type]
    (lambda: momentum_flow(PROBLEM, [1.0, 2.0, 3.0], np.ones((2, 1))), "broadcast"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD, ids=[s for _, s in BAD])
def test_bad_input(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
