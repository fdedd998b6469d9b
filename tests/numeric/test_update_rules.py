"""Update rules that a user states: run on kernels generated for them."""

import numpy as np
import pytest
import sympy as sp

from momentumflow import InputError
from momentumflow.numeric import RunStatus, implicit_solution, momentum_descent, sparse_regression
from momentumflow.symbolic import HeavyBall, QuasiHyperbolic
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.symbols import nu

PROBLEM = sparse_regression(6, 10, 3, seed=3)
QHM = QuasiHyperbolic(nu=sp.Rational(7, 10))
STATED = MomentumMethod.parse(
    "w[k+1] = w[k] + beta**2*(w[k]-w[k-1]) + 2*gamma*f(w[k] + 1/2*(w[k]-w[k-1]))",
    name="stated rule",
)


def buffered(problem, gamma, beta, nu, alpha, steps):
    """Quasi-hyperbolic momentum as its authors write it, in (u, v); return w_pm at the end."""
    point = np.stack([np.full(problem.d, np.sqrt(2) * alpha), np.zeros(problem.d)])
    buffer = np.zeros_like(point)
    for _ in range(steps):
        u, v = point
        g = problem.X.T @ (problem.X @ (u * v) - problem.y) / problem.n
        gradient = np.stack([g * v, g * u])
        buffer = beta * buffer + (1 - beta) * gradient
        point = point - gamma * ((1 - nu) * gradient + nu * buffer)
    return point[0] + point[1], point[0] - point[1]


@pytest.mark.parametrize("engine", ["single", "lanes", "numpy"])
def test_quasi_hyperbolic_momentum_is_its_authors_algorithm(engine):
    run = momentum_descent(
        PROBLEM, 0.1, 0.8, 0.2, method=QHM, max_steps=300, tol=None, engine=engine
    )
    expected = buffered(PROBLEM, 0.1, 0.8, 0.7, 0.2, 300)
    np.testing.assert_allclose((run.w_plus, run.w_minus), expected, rtol=1e-11)
    other = buffered(PROBLEM, 0.1, 0.8, 0.6, 0.2, 300)  # negative control: another nu
    assert np.max(np.abs(run.w_plus - other[0])) > 1e-4
    assert run.settings["method"] == "quasi-hyperbolic momentum"
    assert run.time == pytest.approx(300 * 0.1)  # its time step is gamma


def test_its_ends_are_heavy_ball_and_gradient_descent():
    for value, beta, of, other in (
        (1, 0.8, "heavy_ball", (0.1 * 0.2, 0.8)),
        (0, 0.8, "gradient_descent", (0.1, 0.0)),
    ):
        method = QuasiHyperbolic(nu=value)
        run = momentum_descent(PROBLEM, 0.1, beta, 0.2, method=method, max_steps=200, tol=None)
        same = momentum_descent(PROBLEM, *other, 0.2, method=of, max_steps=200, tol=None)
        np.testing.assert_allclose(run.theta, same.theta, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("method", [QHM, STATED], ids=lambda m: m.name)
@pytest.mark.parametrize("batch_size", [None, 3])
def test_remainders_telescope_and_predict_the_limit(method, batch_size):
    runs = [
        momentum_descent(
            PROBLEM, 0.02, 0.8, 0.3, method=method, batch_size=batch_size, remainders=form
        )
        for form in ("regular", "summed")
    ]
    for run in runs:
        assert run.status is RunStatus.CONVERGED, run.message
        limit = run.predicted_limit()
        scale = np.linalg.norm(run.theta)
        assert np.linalg.norm(limit.theta - run.theta) < 1e-9 * scale
    np.testing.assert_allclose(runs[0].S_plus, runs[1].S_plus, rtol=1e-8, atol=1e-11)
    naive = implicit_solution(PROBLEM, run.initial_balancedness)
    assert np.linalg.norm(naive.theta - run.theta) > 1e-6 * scale


def test_a_stated_rule_equals_the_recurrence():
    run = momentum_descent(PROBLEM, 0.05, 0.7, 0.2, method=STATED, max_steps=50, tol=None)
    old = w = np.full((2, PROBLEM.d), np.sqrt(2) * 0.2)
    for _ in range(50):
        ahead = w + 0.5 * (w - old)
        theta = (ahead[0] ** 2 - ahead[1] ** 2) / 4
        g = PROBLEM.X.T @ (PROBLEM.X @ theta - PROBLEM.y) / PROBLEM.n
        force = np.stack([-g * ahead[0], g * ahead[1]])
        w, old = w + 0.49 * (w - old) + 2 * 0.05 * force, w
    np.testing.assert_allclose((run.w_plus, run.w_minus), w, rtol=1e-12)
    assert run.time == pytest.approx(50 * 0.1 / (1 - 0.49))


def test_small_weights_are_at_rest_as_well():
    # A coordinate near zero says little about theta, and all about its balancedness. With
    # these steps theta is at rest before the small weights are: asking for theta alone
    # leaves an error of 3.2e-10 in one of these runs.
    problems = sparse_regression(10, 30, 5, seed=5, batch=(1000,))
    gamma, beta, tol = 0.447, 0.9553, 1e-12
    run = momentum_descent(problems, gamma, beta, 1.0, method=QHM, tol=tol)
    assert run.converged.mean() > 0.99
    error = np.abs(run.log_balancedness - np.log(run.balancedness))[run.converged]
    assert error.max() < 2 * 100 * tol


def test_the_shipped_rule_goes_the_same_way():
    ours, shipped = (
        momentum_descent(PROBLEM, 0.05, 0.7, 0.2, method=method, max_steps=80, tol=None)
        for method in (HeavyBall(), "heavy_ball")
    )
    np.testing.assert_array_equal(ours.theta, shipped.theta)


@pytest.mark.parametrize(
    ("method", "beta", "sentence"),
    [
        ("adam", 0.5, "expected method to be one of 'heavy_ball', 'nesterov', 'gradient_descent'"),
        (3, 0.5, "expected method as one of heavy_ball, nesterov, gradient_descent, or a Mom"),
        (QuasiHyperbolic(), 0.5, r"only parameters are gamma and beta, received nu.*with_values"),
        (HeavyBall(beta=sp.Rational(1, 2)), 0.5, "expected beta = 0 for heavy ball"),
        ("gradient_descent", 0.5, "expected beta = 0 for gradient descent"),
        (
            MomentumMethod.from_recurrence({1: 1, 0: -1}, [(1, {0: 1}), (1, {-1: 1})]),
            0.0,
            r"expected a method w_\{k\+1\} = \.\.\. of w_k, w_\{k-1\} and gradients",
        ),
        (
            MomentumMethod.parse(
                "w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*f(w[k]) + 1/2*gamma*f(w[k-1])"
            ),
            0.5,
            "expected a method that starts without momentum",
        ),
    ],
)
def test_refusals(method, beta, sentence):
    with pytest.raises(InputError, match=sentence):
        momentum_descent(PROBLEM, 0.1, beta, 0.2, method=method)


def test_a_value_makes_a_method_runnable():
    method = QuasiHyperbolic().with_values({nu: sp.Rational(7, 10)})
    run, same = (
        momentum_descent(PROBLEM, 0.1, 0.8, 0.2, method=m, max_steps=20, tol=None)
        for m in (method, QHM)
    )
    np.testing.assert_array_equal(run.theta, same.theta)
