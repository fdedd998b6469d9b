"""The stochastic equation of a method has the drift and the covariance of the method."""

from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import pytest
import sympy as sp

from momentumflow import InputError
from momentumflow.symbolic import (
    GradientDescent,
    HeavyBall,
    MomentumMethod,
    Nesterov,
    ProofError,
    QuasiHyperbolic,
    modified_equation,
    moment_identities,
    stochastic_equation,
)
from momentumflow.symbolic.symbols import beta, eps, gamma, lam, nu

SQUARE = MomentumMethod.parse("w[k+1] = w[k] + beta^2*(w[k]-w[k-1]) + gamma*f(w[k])")
x, y, S = *sp.symbols("x y", real=True), sp.Symbol("S", positive=True)
dx, dy = (sp.Symbol(f"{s}'", real=True) for s in "xy")
LOSS = x**4 / 4 + x**2 * y + y**3 / 3 + x * y


def same(a, b):
    return sp.simplify(a - b) == 0


# One step, averaged: proofs in one variable with undefined functions


@pytest.mark.parametrize(
    ("method", "order", "noise"),
    [
        (HeavyBall(), 2, "kept"),
        (Nesterov(), 1, "kept"),
        (SQUARE, 1, "kept"),
        (QuasiHyperbolic(), 1, "kept"),
        (Nesterov(), 1, "small"),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_the_moments_of_a_step_are_those_of_the_diffusion(method, order, noise):
    statements = moment_identities(stochastic_equation(method, order, noise=noise))
    assert len(statements) == {1: 5, 2: 14}[order]
    for statement in statements:
        statement.prove()


def refuted(equation):
    for statement in moment_identities(equation):
        try:
            statement.prove()
        except ProofError as error:
            return error.counterexample is not None
    return False


def test_a_drift_without_its_correction_is_refuted():
    leading = stochastic_equation(HeavyBall(), 1, noise="small")
    right = stochastic_equation(HeavyBall(), 2, noise="small")
    assert refuted(replace(right, drift=leading.drift))


def test_noise_that_depends_on_beta_otherwise_is_refuted():
    right = stochastic_equation(HeavyBall(), 1)
    wrong = replace(
        right.covariance["vv"],
        terms=tuple((graph, c * (1 - eps / lam) / lam) for graph, c in right.covariance["vv"]),
    )
    assert refuted(replace(right, covariance={"vv": wrong}))


# The same in two variables, where f'v and the order of factors are told apart


def chain_moments(method, h, w, v, field, covariance, n):
    """Mean and covariance of what one step adds, lambda = 1, n the weight of the average."""
    ahead = (1 - h) * h if method.name == "Nesterov" else 0
    at = {w[i]: w[i] + ahead * v[i] for i in range(2)}
    f, T = (part.subs(at, simultaneous=True) for part in (field, covariance))
    dv = -h * v + h * n * f
    dw = h * (v + dv) + h * (1 - n) * f
    # per standard normal vector: h n sqrt(T/h) in v, h (h n + 1 - n) sqrt(T/h) in w
    push, move = h * n, h * (h * n + 1 - n)
    rate = sp.Matrix([[move**2, move * push], [move * push, push**2]]) / h
    return sp.Matrix.vstack(dw, dv), sp.kronecker_product(rate, T)


@pytest.mark.parametrize(
    ("method", "n", "constant"),
    [(HeavyBall(), 1, False), (Nesterov(), 1, False), (QuasiHyperbolic(), sp.Rational(1, 3), True)],
    ids=["heavy ball", "Nesterov", "quasi-hyperbolic"],
)
def test_mean_and_covariance_of_a_step_in_two_variables(method, n, constant):
    T = sp.Matrix([[2, 1], [1, 3]]) if constant else sp.Matrix([[1 + x**2, x * y], [x * y, 2 + y]])
    w, v = sp.Matrix([x, y]), sp.Matrix([dx, dy])
    equation = stochastic_equation(method, 2, constant=constant)
    drift, rate = (part.subs({lam: 1, nu: n}) for part in kept(equation, T))
    state, point = (x, y, dx, dy), (sp.Rational(1, 2), sp.Rational(-1, 3), sp.Rational(2, 5), 1)
    here = dict(zip(state, point, strict=True))

    def generator(phi):
        slope = [sp.diff(phi, s) for s in state]
        return (
            sum(a * g for a, g in zip(drift, slope, strict=True))
            + sum(rate[i, j] * sp.diff(slope[i], state[j]) for i in range(4) for j in range(4)) / 2
        )

    field = -sp.Matrix([sp.diff(LOSS, x), sp.diff(LOSS, y)])
    mean, spread = chain_moments(method, eps, w, v, field, T, n)
    monomials = [(i,) for i in range(4)] + list(combinations_with_replacement(range(4), 2))
    for of in monomials:
        phi = sp.Mul(*(state[i] - point[i] for i in of))
        once = generator(phi)
        flow = (eps * once + eps**2 / 2 * generator(once)).subs(here)
        step = sp.Mul(*(mean[i] for i in of)) + (spread[of] if len(of) == 2 else 0)
        gap = sp.Poly(sp.expand(step.subs(here) - flow), eps)
        assert all(power >= 3 for (power,), c in gap.terms() if c != 0), of


def kept(equation, T):
    """Drift and rate with Sigma = T/eps."""
    scaled = equation.written_out(LOSS, T, [x, y])
    marked = equation.written_out(LOSS, T * 7, [x, y])  # terms of first degree in Sigma
    found = []
    for one, seven in zip(scaled, marked, strict=True):
        noisy = ((seven - one) / 6).expand()
        found.append((one - noisy).expand() + (noisy / eps).expand())
    return found


# Published and exact results


@pytest.mark.parametrize(("method", "sign"), [(HeavyBall(), -1), (Nesterov(), 1)])
def test_theorems_14_and_16_of_li_tai_e(method, sign):
    """JMLR 20(40), 2019: v <- v - mu eta v - eta grad f, x <- x + eta v."""
    eta, mu, V = sp.symbols("eta mu V", positive=True)
    equation = stochastic_equation(method, 2, noise="small")
    drift, rate = equation.written_out(x**4 / 4, 1 + x**2)
    # gamma = eta^2, beta = 1 - mu eta; their time is mu times ours, their velocity ours over mu
    at = {eps: eta / mu, lam: 1 / mu**2, dx: mu * V}
    grad, hess = x**3, 3 * x**2
    theirs = -((mu + eta / 2 * (mu**2 + sign * hess)) * V + (1 + eta * mu / 2) * grad)
    assert same(drift[1].subs(at) / mu**2, theirs)
    assert same(drift[0].subs(at) / mu, (1 - eta * mu / 2) * V - eta / 2 * grad)
    assert same(rate[1, 1].subs(at) / mu**3, eta * (1 + x**2))
    assert rate[0, 0] == rate[0, 1] == 0


@pytest.mark.parametrize(
    "method", [HeavyBall(), Nesterov(), QuasiHyperbolic(), GradientDescent()], ids=lambda m: m.name
)
def test_without_noise_it_is_the_modified_equation_of_the_slow_regime(method):
    for order in (1, 2):
        drift, rate = stochastic_equation(method, order, "slow", noise="small").written_out(
            LOSS, 0, [x, y]
        )
        expected = modified_equation(method, order, "slow").specialise(LOSS, [x, y])
        assert all(same(a, b) for a, b in zip(drift, expected, strict=True))
        assert rate == sp.zeros(2, 2)


@pytest.mark.parametrize(
    "method", [HeavyBall(), Nesterov(), QuasiHyperbolic()], ids=lambda m: m.name
)
def test_without_noise_it_is_the_modified_equation_of_the_inertial_regime(method):
    """The velocity of w, differentiated along the system, is w''; and the start is rest."""
    order = 2
    drift, _ = stochastic_equation(method, order, noise="small").written_out(x**4 / 4, 0)
    speed, push = drift
    w_2 = sp.diff(speed, x) * speed + sp.diff(speed, dx) * push
    expected = modified_equation(method, 1)
    (Phi,) = expected.specialise(x**4 / 4, [x], [dx])
    (start,) = expected.initial_velocity.specialise(x**4 / 4, [x])
    for gap in (w_2 - Phi.subs(dx, speed), speed.subs(dx, 0) - start):
        assert all(same(sp.expand(gap).coeff(eps, power), 0) for power in (0, 1))


def test_the_stationary_variance_of_the_slow_regime_is_that_of_the_iterates():
    """gamma (1+beta) s^2 / ((1-beta) l (2(1+beta) - gamma l)), at l = 1, s^2 = 1/5."""
    equation = stochastic_equation(HeavyBall(), 2, "slow", constant=True)
    drift, rate = equation.written_out(x**2 / 2, sp.Rational(1, 5))
    found = -rate[0] / (2 * drift[0] / x)
    exact = gamma * (1 + beta) / (5 * (1 - beta) * (2 * (1 + beta) - gamma))
    series = sp.series(found - exact, gamma, 0, 3).removeO()
    assert same(series, 0)
    leading = stochastic_equation(HeavyBall(), 1, "slow").written_out(x**2 / 2, sp.Rational(1, 5))
    wrong = -leading[1][0] / (2 * leading[0][0] / x)
    assert not same(sp.series(wrong - exact, gamma, 0, 3).removeO(), 0)


@pytest.mark.parametrize("method", [HeavyBall(), Nesterov()], ids=lambda m: m.name)
def test_what_noise_does_to_the_mean_in_a_skewed_valley(method):
    """F' = w + kappa w^2, first order in kappa.

    At rest the mean gradient vanishes: E w = -kappa E y^2 for the iterates, with
    E y^2 = E w^2 + ahead (1 + ahead) E (w_k - w_{k-1})^2; and the mean drift vanishes.
    """
    equation = stochastic_equation(method, 2, "slow", constant=True)
    a, b, c = (equation.drift["w"].coefficient(text) for text in ("f", "f''(Sigma)", "f'f"))
    spread = gamma / (2 * (1 - beta))  # E w^2 and E (w_k - w_{k-1})^2 at leading order
    ahead = beta if method.name == "Nesterov" else 0
    difference = ahead * (1 + ahead) * gamma**2 / (1 - beta**2)
    assert same(a * difference + 2 * c * spread - 2 * b, 0)
    assert not same(a * difference + 2 * c * spread, 0)


# On arrays


def test_arrays_say_what_the_formulas_say():
    equation = stochastic_equation(Nesterov(), 2)
    T = [[1 + x**2, x * y], [x * y, 2 + y**2]]
    flow = equation.on_arrays(LOSS, T, [x, y], eps=0.1, lam=0.5)
    drift, rate = equation.written_out(LOSS, T, [x, y])
    at = {x: 0.5, y: -0.25, dx: 1.5, dy: 0.75, eps: 0.1, lam: 0.5}
    w, v = np.tile([0.5, -0.25], (3, 1)), np.tile([1.5, 0.75], (3, 1))
    assert np.allclose(flow.drift(w, v), np.array(drift.subs(at), dtype=float)[:, 0])
    assert np.allclose(flow.covariance(w, v), np.array(rate.subs(at), dtype=float))
    # the method's own parameters say the same
    own = equation.on_arrays(LOSS, T, [x, y], gamma=0.02, beta=0.8)
    assert np.allclose(own.drift(w, v), flow.drift(w, v))
    slow = stochastic_equation(Nesterov(), 1, "slow").on_arrays(LOSS, T, gamma=0.1, beta=0.5)
    noise = slow.noise(w)
    assert np.allclose(noise @ np.swapaxes(noise, -1, -2), slow.covariance(w))


@pytest.mark.parametrize("method", [HeavyBall(), QuasiHyperbolic()], ids=lambda m: m.name)
def test_one_brownian_motion_a_weight_gives_the_covariance_to_the_order(method):
    equation = stochastic_equation(method, 2, constant=True)
    given = {} if method.name == "heavy ball" else {"nu": 0.4}
    gaps = []
    for h in (0.02, 0.01):
        T = np.array([[2.0, 0.5], [0.5, 1.0]]) / h
        flow = equation.on_arrays(LOSS, T, [x, y], eps=h, lam=0.5, **given)
        noise = flow.noise([0.5, -0.2], [0.3, 0.1])
        assert noise.shape == (4, 2)
        gaps.append(np.abs(noise @ noise.T - flow.covariance([0.5, -0.2], [0.3, 0.1])).max())
    assert 3.5 < gaps[0] / gaps[1] < 4.5


# What is refused


def test_what_no_diffusion_follows_is_refused():
    with pytest.raises(InputError, match="the weak order 1 or 2, received order = 3"):
        stochastic_equation(HeavyBall(), 3)
    with pytest.raises(InputError, match="symbolic momentum parameter"):
        stochastic_equation(GradientDescent(), 1)
    with pytest.raises(InputError, match="without third derivatives"):
        stochastic_equation(GradientDescent(), 2, "slow")
    with pytest.raises(InputError, match="without third derivatives"):
        stochastic_equation(QuasiHyperbolic(), 2)
    two = MomentumMethod.parse(
        "w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*f(w[k]) + gamma*f(2*w[k]-w[k-1])"
    )
    with pytest.raises(InputError, match="one gradient a step"):
        stochastic_equation(two, 1)
    delayed = MomentumMethod.parse("w[k+1] = w[k] + gamma*f(w[k-1])")
    with pytest.raises(InputError, match="whose state is"):
        stochastic_equation(delayed, 1, "slow")
    with pytest.raises(InputError, match="w alone is no Markov chain"):
        moment_identities(stochastic_equation(HeavyBall(), 1, "slow"))


def test_what_is_no_covariance_is_refused():
    equation = stochastic_equation(HeavyBall(), 1)
    for wrong, message in (
        ([[1, x], [0, 1]], "a symmetric covariance"),
        ([[1, 0]], "a square matrix"),
        ([[1]], "a covariance of 2 rows"),
        ("1 + z", "a covariance of the variables x, y, received also z"),
    ):
        with pytest.raises(InputError, match=message):
            equation.written_out(LOSS, wrong, [x, y])
    flow = equation.on_arrays(LOSS, "x", [x, y], eps=0.1, lam=0.5)
    assert flow.noise([1.0, 0.0], [0.0, 0.0]).shape == (4, 2)
    with pytest.raises(InputError, match="positive semidefinite at w, received the eigenvalue -1"):
        flow.noise([-1.0, 0.0], [0.0, 0.0])
    with pytest.raises(InputError, match="a velocity v"):
        flow.drift([1.0, 0.0])
    with pytest.raises(InputError, match="2 variables on the last axis"):
        flow.drift([1.0], [0.0])


def test_an_equation_shows_what_it_holds():
    equation = stochastic_equation(QuasiHyperbolic(), 2, constant=True)
    text = str(equation)
    assert "sym(f' Sigma)" in text
    assert "f' Sigma - epsilon**2*nu*(1 - nu)**2/(2*lambda) Sigma f'^T" in text
    assert r"\langle w,v\rangle" in equation.latex()
    assert str(stochastic_equation(HeavyBall(), 1, "slow")).splitlines()[1] == (
        "d<w,w>/dt = gamma**2/(1 - beta)**2 Sigma"
    )
    assert equation.drift["w"].coefficient("f''(Sigma)") != 0
