"""On quadratics the moments of a noisy method and of its diffusion are exact."""

import numpy as np
import pytest
import sympy as sp
from scipy.linalg import solve_continuous_lyapunov, solve_discrete_lyapunov

from momentumflow import InputError
from momentumflow.symbolic import (
    GradientDescent,
    HeavyBall,
    MomentumMethod,
    Nesterov,
    QuasiHyperbolic,
    quadratic_moments,
    stochastic_equation,
)
from momentumflow.symbolic.symbols import beta, eps, gamma, h, lam

H = np.array([[1.0, 0.3], [0.3, 2.0]])
SIGMA = np.array([[1.0, 0.5], [0.5, 0.7]])
NUMBERS = {"gamma": 0.3, "beta": 0.6}
I2 = np.eye(2)


def same(a, b):
    return sp.simplify(a - b) == 0


def buffered(name, g, b, n=1.0):
    """The update rules as their authors write them, on (w, buffer): matrix, and factor of noise."""
    if name == "Nesterov":  # m <- b m - g grad F(w + b m), w <- w + m
        m_w, m_m, noise = -g * H, b * I2 - g * b * H, g * I2
        return np.block([[I2 + m_w, m_m], [m_w, m_m]]), np.vstack([noise, noise])
    # m <- b m + (1 - b) grad, w <- w - s ((1 - n) grad + n m); heavy ball: n = 1, s = g/(1 - b)
    s = g if name == "quasi-hyperbolic momentum" else g / (1 - b)
    m_w, m_m, noise = (1 - b) * H, b * I2, (1 - b) * I2
    top = [I2 - s * ((1 - n) * H + n * m_w), -s * n * m_m]
    return np.block([top, [m_w, m_m]]), np.vstack([-s * ((1 - n) * I2 + n * noise), noise])


METHODS = [(HeavyBall(), {}), (Nesterov(), {}), (QuasiHyperbolic(), {"nu": 0.4})]
BY_NAME = pytest.mark.parametrize(
    ("method", "more"), METHODS, ids=[method.name for method, _ in METHODS]
)


@BY_NAME
def test_the_stationary_covariance_is_that_of_the_rule_as_it_is_written(method, more):
    process = quadratic_moments(method).on_arrays(H, SIGMA, **NUMBERS, **more)
    step, noise = buffered(method.name, *NUMBERS.values(), *more.values())
    expected = solve_discrete_lyapunov(step, noise @ SIGMA @ noise.T)
    assert np.allclose(process.stationary()[:2, :2], expected[:2, :2], rtol=1e-12, atol=0)
    # noise that is drawn anew where the same gradient acts a second time
    if more:
        other = MomentumMethod.parse(
            "w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*((1-nu*beta)*f(w[k])"
            " - beta*(1-nu)*f(2*w[k-1]-w[k]))"
        )
        wrong = quadratic_moments(other).on_arrays(H, SIGMA, **NUMBERS, **more)
        assert not np.allclose(wrong.stationary()[:2, :2], expected[:2, :2], rtol=1e-2)


@BY_NAME
def test_mean_and_covariance_on_the_way_are_those_of_the_rule_as_it_is_written(method, more):
    process = quadratic_moments(method).on_arrays(H, SIGMA, **NUMBERS, **more)
    step, noise = buffered(method.name, *NUMBERS.values(), *more.values())
    mean, spread = np.array([1.0, -2.0, 0.0, 0.0]), np.zeros((4, 4))
    for k in range(6):
        found, covariance = process.after(k, [1.0, -2.0])
        assert np.allclose(found[:2], mean[:2], rtol=1e-13, atol=1e-14)
        assert np.allclose(covariance[:2, :2], spread[:2, :2], rtol=1e-12, atol=1e-15)
        mean, spread = step @ mean, step @ spread @ step.T + noise @ SIGMA @ noise.T
    # the whole state goes on where it was left
    half, full = process.after(2, [1.0, -2.0]), process.after(5, [1.0, -2.0])
    for a, b in zip(process.after(3, *half), full, strict=True):
        assert np.allclose(a, b, rtol=1e-13, atol=1e-14)


def test_the_variance_in_closed_form_is_that_of_an_autoregression():
    c, s2 = sp.symbols("c s2", positive=True)
    exact = gamma * (1 + beta) * s2 / ((1 - beta) * c * (2 * (1 + beta) - gamma * c))
    assert same(quadratic_moments(HeavyBall()).variance(c) * s2, exact)
    assert same(quadratic_moments(HeavyBall(beta=0)).variance(c), exact.subs({beta: 0, s2: 1}))
    assert same(quadratic_moments(GradientDescent()).variance(c), exact.subs({beta: 0, s2: 1}))


def test_a_pair_of_curvatures_in_closed_form_fills_the_covariance():
    moments = quadratic_moments(HeavyBall())
    curvature, V = np.linalg.eigh(H)
    at = {gamma: NUMBERS["gamma"], beta: NUMBERS["beta"]}
    entries = [
        [
            moments.stationary[0, 0]
            .subs(at)
            .subs(dict(zip(moments.curvatures, (a, b), strict=True)))
            for b in curvature
        ]
        for a in curvature
    ]
    expected = V @ (np.array(entries, dtype=float) * (V.T @ SIGMA @ V)) @ V.T
    found = moments.on_arrays(H, SIGMA, **NUMBERS).stationary()
    assert np.allclose(found[:2, :2], expected, rtol=1e-12)


def test_a_rule_over_more_iterates_and_an_implicit_one():
    three = MomentumMethod.parse(
        "w[k+1] = w[k] + beta*(w[k]-w[k-1]) + beta^2/4*(w[k-1]-w[k-2]) + gamma*f(w[k])"
    )
    process = quadratic_moments(three).on_arrays([[2.0]], [[0.3]], gamma=0.1, beta=0.5)
    step = np.array([[1.5 - 0.2, -0.5 + 1 / 16, -1 / 16], [1, 0, 0], [0, 1, 0]])
    expected = solve_discrete_lyapunov(step, np.diag([0.01 * 0.3, 0, 0]))
    assert np.allclose(process.stationary(), expected, rtol=1e-12)
    with pytest.raises(InputError, match=r"the whole state w\[k\], w\[k-1\], w\[k-2\], 3 entries"):
        process.after(1, [1.0])
    implicit = MomentumMethod.parse("w[k+1] = w[k] + gamma*f(w[k+1])")
    # w (1 + g h) = w_before + g xi
    assert same(quadratic_moments(implicit).variance(), gamma / (h * (2 + gamma * h)))


# The diffusion beside it


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("regime", ["inertial", "slow"])
def test_the_moments_of_the_diffusion_are_those_of_its_drift_and_rate(order, regime):
    x, y = sp.symbols("x y", real=True)
    equation = stochastic_equation(HeavyBall(), order, regime, constant=True)
    process = quadratic_moments(equation).on_arrays(H, SIGMA, **NUMBERS)
    loss = (x**2 + 0.6 * x * y + 2 * y**2) / 2
    flow = equation.on_arrays(loss, SIGMA, [x, y], **NUMBERS)
    size = 4 if regime == "inertial" else 2

    def split(state):
        return (state[..., :2], state[..., 2:]) if size == 4 else (state, None)

    A = flow.drift(*split(np.eye(size))).T
    Q = flow.covariance(*split(np.zeros(size)))
    expected = solve_continuous_lyapunov(A, -Q)
    assert np.allclose(process.stationary(), expected, rtol=1e-10, atol=1e-14)
    # its rate of change at a short time, by differences
    C = np.eye(size)
    start = np.arange(1.0, size + 1)
    m, S = process.after(1e-6, start, C)
    assert np.allclose((m - start) / 1e-6, A @ start, rtol=1e-4, atol=1e-4)
    assert np.allclose((S - C) / 1e-6, A @ C + C @ A.T + Q, rtol=1e-4, atol=1e-4)


def test_li_tai_e_5_12():
    """JMLR 20(40), 2019: noise of covariance H^2; the stationary loss is eta sum l^2/(4 mu)."""
    eta, mu = sp.symbols("eta mu", positive=True)
    variance = quadratic_moments(stochastic_equation(HeavyBall(), 1)).variance()
    at = {eps: eta / mu, lam: 1 / mu**2}
    curvatures = (sp.Rational(1, 2), 1, 3)
    found = sum(c / 2 * variance.subs(at).subs(h, c) * c**2 for c in curvatures)
    assert same(found, eta * sum(c**2 for c in curvatures) / (4 * mu))


@pytest.mark.parametrize("order", [1, 2])
def test_weak_orders_by_exact_moments(order):
    """Mean and covariance at time 2, T = eps Sigma kept: the error falls like eps^order."""
    method, lam_ = HeavyBall(), 0.5
    equation = stochastic_equation(method, order)
    moments, limit = quadratic_moments(method), quadratic_moments(equation)
    gaps = []
    for steps in (40, 80, 160):
        e = 2 / steps
        b = 1 - e / lam_
        chain = moments.on_arrays(H, SIGMA / e, gamma=e * (1 - b), beta=b).after(steps, [1.0, -1.0])
        flow = limit.on_arrays(H, SIGMA / e, eps=e, lam=lam_).after(2.0, [1.0, -1.0])
        gaps.append(
            [np.abs(chain[0][:2] - flow[0][:2]).max(), np.abs(chain[1] - flow[1])[:2, :2].max()]
        )
    fitted = np.log2(np.array(gaps[:-1]) / np.array(gaps[1:]))
    assert np.abs(fitted - order).max() < 0.15, fitted


# What is refused


def test_what_has_no_moments_is_refused():
    moments = quadratic_moments(HeavyBall())
    for hessian, covariance, message in (
        ([[1, 2]], [[1]], "hessian as a square matrix"),
        ([[1, 2], [0, 1]], SIGMA, "hessian symmetric"),
        (H, [[1, 0.5], [0.4, 1]], "covariance symmetric"),
        (H, [[1, 2], [2, 1]], "covariance positive semidefinite, received the eigenvalue -1"),
        (H, [[1]], "of one size"),
    ):
        with pytest.raises(InputError, match=message):
            moments.on_arrays(hessian, covariance, **NUMBERS)
    with pytest.raises(InputError, match="none for beta"):
        moments.on_arrays(H, SIGMA, gamma=0.1)
    with pytest.raises(InputError, match="a number for each parameter"):
        moments.on_arrays(H, SIGMA, gamma=[0.1, 0.2], beta=0.5)
    unstable = moments.on_arrays(H, SIGMA, gamma=2.0, beta=0.6)
    with pytest.raises(InputError, match=r"a growth of 2\.306 a step; take a step below stability"):
        unstable.stationary()
    assert np.isfinite(unstable.after(3, [1.0, 0.0])[1]).all()
    flat = quadratic_moments(stochastic_equation(HeavyBall(), 1)).on_arrays(
        np.diag([0.0, 1.0]), SIGMA, eps=0.1, lam=0.5
    )
    with pytest.raises(InputError, match="each > 0, received curvatures from 0 to 1"):
        flat.stationary()
    process = moments.on_arrays(H, SIGMA, **NUMBERS)
    for arguments, message in (
        ((1.5, [1.0, 0.0]), "a whole number of steps"),
        ((1, [1.0, 0.0, 0.0]), "start of 2 or 4 entries"),
        ((1, [1.0, 0.0], SIGMA), "covariance of 4 rows"),
    ):
        with pytest.raises(InputError, match=message):
            process.after(*arguments)


def test_moments_show_what_they_are():
    moments = quadratic_moments(QuasiHyperbolic())
    assert moments.state == ("w[k]", "w[k-1]", "noise 1 of age 1")
    assert "QuadraticMoments of quasi-hyperbolic momentum" in repr(moments)
    assert r"C \to A C A'^{\mathsf T} + N" in quadratic_moments(HeavyBall()).latex()
    assert "variables=2" in repr(quadratic_moments(HeavyBall()).on_arrays(H, SIGMA, **NUMBERS))
