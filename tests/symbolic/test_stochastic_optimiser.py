"""The stochastic equation of an optimiser is Malladi's, and what its noisy iterates do."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

from momentumflow import InputError
from momentumflow.numeric import momentum_sde
from momentumflow.symbolic import (
    SGD,
    Adam,
    HeavyBall,
    Lion,
    Optimiser,
    RMSProp,
    stochastic_equation,
)
from momentumflow.symbolic.equations.inertial_optimiser import h
from momentumflow.symbolic.equations.stochastic_optimiser import SIGMA
from momentumflow.symbolic.symbols import eps, g, lam, t, w

eta, c_1, c_2, sigma_0, eps_0, S, u = sp.symbols("eta c_1 c_2 sigma_0 eps_0 S u", positive=True)
# gamma = eta, 1 - beta_i = c_i eta^2, and noise of standard deviation sigma_0/eta
THEIRS = {
    h: eta,
    "tau_1": 1 / (c_1 * eta),
    "tau_2": 1 / (c_2 * eta),
    eps: eps_0 / eta,
    SIGMA: sigma_0**2 * S / eta**2,
    "v": sigma_0**2 * u / eta**2,
}


def in_their_units(expression):
    """The rate in their time, eta times ours."""
    names = {s.name: s for s in expression.free_symbols}
    put = {names.get(s, s) if isinstance(s, str) else s: e for s, e in THEIRS.items()}
    return expression.subs(put) / eta


def same(a, b):
    """Whether two expressions agree at a point in general position."""
    gap = a - b
    at = {s: sp.Rational(3 + i, 7) for i, s in enumerate(sorted(gap.free_symbols, key=str))}
    return abs(sp.N(gap.subs(at), 30)) < 1e-25


def test_adam_is_the_equation_of_malladi_et_al():
    """NeurIPS 2022: theta, m, and u, the memory of squares over that of the noise."""
    equation = stochastic_equation(Adam(), 1)
    drift = {x.name: in_their_units(rate) for x, rate in equation.drift.items()}
    m, s = sp.Symbol("m", real=True), eta * t  # their time
    gamma_1, gamma_2 = (1 - sp.exp(-c * s) for c in (c_1, c_2))
    preconditioner = sigma_0 * sp.sqrt(u) + eps_0 * sp.sqrt(gamma_2)
    assert same(drift["w"], -sp.sqrt(gamma_2) / gamma_1 * m / preconditioner)
    assert same(drift["m"], c_1 * (g - m))
    assert same(drift["v"] * eta**2 / sigma_0**2, c_2 * (S - u))
    ((pair, rate),) = equation.covariance.items()
    assert [x.name for x in pair] == ["m", "m"]
    assert same(in_their_units(rate * SIGMA), sigma_0**2 * c_1**2 * S)
    # the controls: a gradient's square in the memory, noise that counts beta
    assert not same(drift["v"] * eta**2 / sigma_0**2, c_2 * (S + g**2 - u))
    assert not same(in_their_units(rate * SIGMA), sigma_0**2 * c_1 * S)


def test_rmsprop_is_theirs_too():
    equation = stochastic_equation(RMSProp(), 1)
    # its one memory has the time tau_1
    put = {sp.Symbol("tau_1", positive=True): 1 / (c_2 * eta)}
    v = sp.Symbol("v", real=True)
    put |= {h: eta, eps: eps_0 / eta, SIGMA: sigma_0**2 * S / eta**2, v: sigma_0**2 * u / eta**2}
    drift = {x.name: rate.subs(put) / eta for x, rate in equation.drift.items()}
    over = 1 / (sigma_0 * sp.sqrt(u) + eps_0)
    assert same(drift["w"], -over * g)
    assert same(drift["v"] * eta**2 / sigma_0**2, c_2 * (S - u))
    assert same((equation.covariance[w, w] * SIGMA).subs(put) / eta, sigma_0**2 * S * over**2)


@pytest.mark.parametrize("nesterov", [False, True])
def test_pytorchs_sgd_is_the_two_point_rule(nesterov):
    loss, spread = "x^4/4 + x*y + y^2", [["1 + x^2", "x*y"], ["x*y", "2 + y^2"]]
    found, rate = stochastic_equation(SGD(nesterov=nesterov), 1).written_out(loss, spread)
    drift, expected = stochastic_equation(HeavyBall(), 1).written_out(loss, spread)
    # SGD's velocity points up the slope
    turn = sp.diag(1, 1, -1, -1)
    x, y = sp.symbols("x y", real=True)
    by_name = {s.name: s for s in drift.free_symbols | found.free_symbols}
    put = {by_name["x'"]: -by_name["v_x"], by_name["y'"]: -by_name["v_y"]}
    plain = {by_name["x"]: x, by_name["y"]: y, eps: h}
    gap = (turn * found - drift.subs(put)).subs(plain)
    assert sp.simplify(gap) == sp.zeros(4, 1)
    assert sp.simplify((rate - expected.subs(plain)).subs(plain)) == sp.zeros(4, 4)
    assert any(symbol == lam for symbol in rate.free_symbols)


# The iterates, by brute force

C1, C2, EPS0, SIGMA0, CURVATURE = 1.5, 0.8, 0.3, 0.7, (1.0, 2.0)
START, HELD, TIME = (1.0, -0.5), 0.5, 2.0  # HELD: u at the start
NOISE = np.array([[1.0, 0.4], [0.4, 0.6]]) * SIGMA0**2


def numbers(step):
    size = np.sqrt(step)
    return {"gamma": size, "beta_1": 1 - C1 * step, "beta_2": 1 - C2 * step, "eps": EPS0 / size}


def of_iterates(step, rng, paths=100_000):
    """Mean and covariance of w, of Adam as it is written in its paper, without correction."""
    at, root = numbers(step), np.linalg.cholesky(NOISE / step)
    x, m = np.full((paths, 2), START), np.zeros((paths, 2))
    v = np.full((paths, 2), HELD * SIGMA0**2 / step)
    for _ in range(round(TIME / step)):
        grad = CURVATURE * x + rng.standard_normal((paths, 2)) @ root.T
        m = at["beta_1"] * m + (1 - at["beta_1"]) * grad
        v = at["beta_2"] * v + (1 - at["beta_2"]) * grad**2
        x = x - at["gamma"] * m / (np.sqrt(v) + at["eps"])
    return np.concatenate([x.mean(axis=0), np.cov(x.T).ravel()])


def on_arrays(step, of=1.0):
    exact = (NOISE * of / step).tolist()
    loss = "x^2/2 + y^2"
    return stochastic_equation(Adam(bias_correction=False), 1).on_arrays(
        loss, exact, ["x", "y"], **numbers(step)
    )


def of_equation(flow, step):
    """The same of the equation: v is certain, and w and m are linear in themselves."""

    def rates(_, z):
        mean, held, spread = z[:4], z[4:6], z[6:].reshape(4, 4)

        def drift(y):
            return flow.drift(y[:2], np.concatenate([y[2:], held]))

        slope = np.array([drift(e)[:4] for e in np.eye(4)]).T
        added = flow.covariance(mean[:2], np.concatenate([mean[2:], held]))[:4, :4]
        moved = slope @ spread
        return np.concatenate([drift(mean), (moved + moved.T + added).ravel()])

    start = np.concatenate([START, np.zeros(2), np.full(2, HELD * SIGMA0**2 / step), np.zeros(16)])
    # h = gamma a step
    end = solve_ivp(rates, (0, TIME / np.sqrt(step)), start, rtol=1e-9, atol=1e-11).y[:, -1]
    return np.concatenate([end[:2], end[6:].reshape(4, 4)[:2, :2].ravel()])


def test_noisy_adam_has_the_moments_of_its_equation_to_first_order():
    rng = np.random.default_rng(0)
    steps = (0.08, 0.04, 0.02)
    iterates = [of_iterates(step, rng) for step in steps]
    gaps = [
        np.abs(found - of_equation(on_arrays(step), step)).max()
        for step, found in zip(steps, iterates, strict=True)
    ]
    order = np.polyfit(np.log(steps), np.log(gaps), 1)[0]
    assert 0.8 < order < 1.3, gaps
    assert gaps[-1] < 0.02
    # a batch that is not counted: the gap stays
    wrong = np.abs(iterates[-1] - of_equation(on_arrays(steps[-1], 2.0), steps[-1])).max()
    assert wrong > 3 * gaps[-1]


def test_an_ensemble_follows_it():
    step = 0.02
    flow = on_arrays(step)
    held = np.concatenate([np.zeros(2), np.full(2, HELD * SIGMA0**2 / step)])
    paths = momentum_sde(
        flow, START, v=held, time=TIME / np.sqrt(step), steps=100, paths=20_000, seed=1
    )
    found = np.concatenate([paths.mean[-1], paths.covariance[-1].ravel()])
    assert paths.v.shape == (*paths.w.shape[:2], 4)
    assert np.abs(found - of_equation(flow, step)).max() < 0.015
    factor = flow.noise(START, held)
    assert np.allclose(factor @ factor.T, flow.covariance(START, held))


def test_what_has_no_such_equation_is_refused():
    for call, message in (
        (lambda: stochastic_equation(Adam(), 2), "received order = 2"),
        (lambda: stochastic_equation(Adam(), 1, "slow"), 'order = 1, regime = "inertial"'),
        (lambda: stochastic_equation(Adam(), 1, noise="small"), 'noise = "small"'),
        (lambda: stochastic_equation(Lion(), 1), "linear in g or means of g"),
        (
            lambda: stochastic_equation(Optimiser.parse("w = w - lr*mu*w"), 1),
            "an optimiser that a gradient moves",
        ),
        (
            lambda: stochastic_equation(Adam(), 1).on_arrays("x^2", 1, **numbers(0.1)),
            "rates that do not depend on time",
        ),
        (lambda: on_arrays(0.1).drift([1.0, 1.0], [0.0, 0.0]), "v with 4 variables"),
        (
            lambda: momentum_sde(on_arrays(0.1), START, v=[0.0, 0.0], time=1, steps=3),
            r"v of shape \(4,\)",
        ),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_it_shows_what_it_holds():
    equation = stochastic_equation(Adam(bias_correction=False), 1)
    text = str(equation)
    assert "d<m,m>/dt = h/tau_1**2 Sigma" in text
    assert "tau_1 = gamma/(1 - beta_1)" in text
    assert r"\langle m,m\rangle" in equation.latex()
    assert "Sigma in a drift: its diagonal" in text
