"""Ensembles follow their equation: exact moments of the scheme, and of the noise it is given.

On quadratics a step of the scheme is linear in the state and in the noise, so that its own
moments are exact, without sampling, and their error falls like the square of its step.
"""

import itertools

import numpy as np
import pytest
import sympy as sp

from momentumflow import InputError
from momentumflow.numeric import (
    EnsembleStatus,
    NoisyGradient,
    minibatch_noise,
    momentum_sde,
    sparse_regression,
)
from momentumflow.numeric.runs.sde_paths import scheme_step
from momentumflow.symbolic import HeavyBall, quadratic_moments, stochastic_equation

H = np.array([[1.0, 0.3], [0.3, 2.0]])
SIGMA = np.array([[1.0, 0.5], [0.5, 0.7]])
EXACT = [["1", "1/2"], ["1/2", "7/10"]]
LOSS = "(x^2 + 3/5*x*y + 2*y^2)/2"
INERTIAL, SLOW = {"eps": 0.1, "lam": 0.5}, {"gamma": 0.02, "beta": 0.8}


def user_gradient():
    root = np.linalg.cholesky(SIGMA)
    return NoisyGradient(lambda w: w @ H, lambda w, xi: xi @ root.T, 2, 2, **INERTIAL)


def of_order(order, regime, numbers):
    equation = stochastic_equation(HeavyBall(), order, regime, constant=True)
    flow = equation.on_arrays(LOSS, EXACT, ["x", "y"], **numbers)
    return flow, quadratic_moments(equation).on_arrays(H, SIGMA, **numbers)


FLOWS = {
    "a user's gradient": lambda: (user_gradient(), of_order(1, "inertial", INERTIAL)[1]),
    "weak order 1": lambda: of_order(1, "inertial", INERTIAL),
    "slow regime": lambda: of_order(2, "slow", SLOW),
}


@pytest.mark.parametrize("name", FLOWS)
def test_the_moments_of_the_scheme_are_right_to_second_order(name):
    flow, exact = FLOWS[name]()
    size, time = (4, 2.0) if flow.memories else (2, 20.0)
    start = np.array([1.0, -1.0] + [0.0] * (size - 2))
    mean, covariance = exact.after(time, start)
    errors = []
    for steps in (10, 20, 40):
        h = time / steps
        step = scheme_step(flow, np.eye(size), h, np.zeros((size, 2))).T
        noise = scheme_step(flow, np.zeros((2, size)), h, np.eye(2)).T
        m, C = start, np.zeros((size, size))
        for _ in range(steps):
            m, C = step @ m, step @ C @ step.T + h * noise @ noise.T
        errors.append([np.abs(m - mean).max(), np.abs(C - covariance).max()])
    fitted = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert (fitted > 1.8).all(), fitted


def test_second_order_holds_for_noise_that_depends_on_the_weights():
    """F = w^2/2, Sigma = 1 + w^2: second moments of (w, v) obey a linear equation."""
    eps, lam = INERTIAL.values()
    flow = stochastic_equation(HeavyBall(), 1).on_arrays("x^2/2", "1 + x^2", eps=eps, lam=lam)

    def after_one(h, z):
        """Mean of (w^2, w v, v^2) after a step: xi = +-sqrt(h) are exact for squares."""
        ends = [scheme_step(flow, z[None], h, np.array([[s * np.sqrt(h)]]))[0] for s in (1, -1)]
        return np.mean([[w * w, w * v, v * v] for w, v in ends], axis=0)

    # d E(w^2, w v, v^2)/dt, with the noise eps (1 + w^2)/lam^2 in v
    rate = np.array([[0, 2, 0], [-1 / lam, -1 / lam, 1], [eps / lam**2, -2 / lam, -2 / lam]])
    at_rest = np.linalg.solve(rate, -np.array([0, 0, eps / lam**2]))
    start = np.array([1.0, 0.5])
    values, vectors = np.linalg.eig(rate)
    grown = (vectors * np.exp(values * 2.0)) @ np.linalg.inv(vectors)
    exact = at_rest + (grown @ (np.array([1.0, 0.5, 0.25]) - at_rest)).real
    errors = []
    for steps in (20, 40, 80):
        h = 2.0 / steps
        base = after_one(h, np.zeros(2))
        ww, vv, both = (after_one(h, np.array(z)) - base for z in ([1.0, 0], [0, 1.0], [1.0, 1]))
        step = np.array([ww, both - ww - vv, vv]).T
        moments = np.array([start[0] ** 2, start[0] * start[1], start[1] ** 2])
        for _ in range(steps):
            moments = step @ moments + base
        errors.append(np.abs(moments - exact).max())
    fitted = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert np.abs(fitted - 2).max() < 0.2, fitted


@pytest.mark.parametrize("name", FLOWS)
def test_an_ensemble_has_the_moments_of_its_equation(name):
    flow, exact = FLOWS[name]()
    time, paths = (2.0 if flow.memories else 20.0), 4000
    found = momentum_sde(flow, [1.0, -1.0], time=time, steps=40, paths=paths, records=4, seed=3)
    assert found.status is EnsembleStatus.DONE
    assert np.allclose(found.time, time * np.arange(5) / 4)
    assert found.w.shape == (5, paths, 2)
    mean, covariance = exact.after(time, [1.0, -1.0])
    spread = np.sqrt(np.diag(covariance)[:2])
    assert np.abs((found.mean[-1] - mean[:2]) / spread).max() < 5 / np.sqrt(paths) + 5e-3
    ratio = np.diag(found.covariance[-1]) / spread**2
    assert np.abs(ratio - 1).max() < 5 * np.sqrt(2 / paths)
    same = momentum_sde(flow, [1.0, -1.0], time=time, steps=40, paths=paths, records=4, seed=3)
    assert np.array_equal(same.w, found.w)


def test_minibatches_of_the_network_are_what_they_are():
    """Gradient and covariance of one batch, against all batches of two rows of five."""
    problem, size = sparse_regression(5, 8, 2, seed=0), 2
    flow = minibatch_noise(problem, size, **INERTIAL)
    w = np.random.default_rng(0).uniform(0.2, 1.0, 16)
    plus, minus = w[:8], w[8:]
    gradients = []
    for rows in itertools.combinations(range(5), size):
        X, y = problem.X[list(rows)], problem.y[list(rows)]
        g = X.T @ (X @ ((plus**2 - minus**2) / 4) - y) / size
        gradients.append(np.concatenate([g * plus, -g * minus]))
    assert np.allclose(flow.gradient(w), np.mean(gradients, axis=0))
    factor = np.array([flow.spread(w, xi) for xi in np.eye(5)]).T
    expected = np.cov(np.array(gradients).T, bias=True)
    assert np.allclose(factor @ factor.T, expected)
    assert not np.allclose(factor @ factor.T, 2 * expected)
    all_rows = minibatch_noise(problem, 5, **INERTIAL)
    assert np.all(all_rows.spread(w, np.ones(5)) == 0)


def test_noise_shrinks_the_balancedness_of_the_network_as_the_law_says():
    """Leading order in eps: 2 lambda eps g^2 + eps^2 Var(g), along the flow without noise."""
    problem, eps, lam, time = sparse_regression(5, 12, 2, seed=1), 0.02, 0.04, 6.0
    start = np.full(24, np.sqrt(2) * 0.5)

    def mean_log(batch):
        flow = minibatch_noise(problem, batch, eps=eps, lam=lam)
        found = momentum_sde(flow, start, time=time, steps=600, paths=400, records=600, seed=1)
        return np.log(np.abs(found.w[..., :12] * found.w[..., 12:]) / 0.5).mean(axis=1), found

    noisy, _ = mean_log(2)
    plain, found = mean_log(5)
    theta = (found.w[:-1, 0, :12] ** 2 - found.w[:-1, 0, 12:] ** 2) / 4
    rows = theta @ problem.X.T - problem.y
    each = rows[:, :, None] * problem.X
    variance = each.var(axis=1) / 2 * 3 / 4
    predicted = eps * variance.sum(axis=0) * time / 600
    lost = plain[-1] - noisy[-1]
    assert lost.mean() == pytest.approx(predicted.mean(), rel=0.1)
    assert np.corrcoef(lost, predicted)[0, 1] > 0.95


def test_a_path_that_diverges_says_so():
    found = momentum_sde(user_gradient(), [1.0, 1.0], time=5000.0, steps=500, paths=3)
    assert found.status is EnsembleStatus.DIVERGED
    assert "take more steps" in found.status.value


def test_what_is_no_ensemble_is_refused():
    flow = user_gradient()
    slow, _ = of_order(1, "slow", SLOW)
    x = sp.Symbol("x")
    for call, message in (
        (lambda: momentum_sde(lambda w: w, [1.0], time=1, steps=3), "a Diffusion or a Noisy"),
        (lambda: momentum_sde(flow, [1.0], time=1, steps=3), r"w of shape \(2,\) or \(1000, 2\)"),
        (
            lambda: momentum_sde(slow, [1.0, 0.0], time=1, steps=3, v=[0.0, 0.0]),
            "no velocity in the slow regime",
        ),
        (
            lambda: minibatch_noise(sparse_regression(3, 6, 2, seed=0), 4, **INERTIAL),
            "at most the number of rows, 3",
        ),
        (
            lambda: minibatch_noise(sparse_regression(3, 6, 2, seed=0, batch=(2,)), 2, **INERTIAL),
            "one problem",
        ),
        (
            lambda: NoisyGradient(lambda w: w[:1], lambda w, xi: w, 2, 2, **INERTIAL).drift(
                [1.0, 2.0], [0.0, 0.0]
            ),
            "of the shape of w",
        ),
    ):
        with pytest.raises(InputError, match=message):
            call()
    unsigned = stochastic_equation(HeavyBall(), 1).on_arrays(x**2, x, **INERTIAL)
    with pytest.raises(InputError, match="positive semidefinite"):
        momentum_sde(unsigned, [-1.0], time=1.0, steps=3)
