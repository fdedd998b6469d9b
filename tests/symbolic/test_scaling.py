"""lambda, its refinements and the acceleration rule, solved for from the update rule."""

from itertools import pairwise

import numpy as np
import pytest
import sympy as sp

from momentumflow import InputError
from momentumflow.symbolic import (
    GradientDescent,
    HeavyBall,
    MomentumMethod,
    Nesterov,
    QuasiHyperbolic,
    acceleration_rule,
    friction,
    intrinsic_parameter,
    refined_parameter,
    time_step,
)
from momentumflow.symbolic.symbols import beta, gamma, nu, rho

SQUARE = MomentumMethod.parse("w[k+1] = w[k] + beta^2*(w[k]-w[k-1]) + gamma*f(w[k])")
DISTANCE = MomentumMethod.parse("w[k+1] = w[k] + (1-m)*(w[k]-w[k-1]) + gamma*f(w[k])")


def same(a, b):
    return sp.simplify(a - b) == 0


@pytest.mark.parametrize("method", [HeavyBall(), Nesterov()], ids=lambda m: m.name)
def test_heavy_ball_and_nesterov(method):
    """DESIGN, sections 3.1 and 3.2, and Papazov, Pesme, Flammarion, arXiv 2403.05293."""
    assert same(intrinsic_parameter(method), gamma / (1 - beta) ** 2)
    assert same(time_step(method), gamma / (1 - beta))
    assert same(refined_parameter(method), gamma * (1 + beta) / (2 * (1 - beta) ** 2))
    assert same(refined_parameter(method, 0), intrinsic_parameter(method))
    star = gamma / ((1 - beta) * sp.log(1 / beta))
    assert same(refined_parameter(method, sp.oo), star)
    assert same(friction(method) * star, 1)
    rule = acceleration_rule(method)
    assert same(rule["gamma"], rho**2 * gamma)
    assert same(rule["beta"], 1 - rho * (1 - beta))
    assert str(rule) == (
        "(gamma, beta) -> (gamma*rho**2, 1 - rho*(1 - beta)), leaving gamma/(1 - beta)**2"
    )
    assert rule.exponents["step"] == 2


@pytest.mark.parametrize(
    "method",
    [HeavyBall(), Nesterov(), QuasiHyperbolic(), SQUARE, DISTANCE],
    ids=["heavy ball", "Nesterov", "QHM", "beta squared", "distance"],
)
def test_the_rule_keeps_lambda_and_stretches_time(method):
    rule = acceleration_rule(method)
    change = dict(rule.parameters)
    lam, step = intrinsic_parameter(method), time_step(method)
    assert same(lam.subs(change, simultaneous=True), lam)
    assert same(step.subs(change, simultaneous=True), rho * step)
    # two rules one after the other are one rule: it is a group
    sigma = sp.Symbol("sigma", positive=True)
    twice = {
        s: e.subs(rho, sigma).subs(change, simultaneous=True) for s, e in rule.parameters.items()
    }
    for symbol, value in twice.items():
        assert same(value, rule[symbol].subs(rho, rho * sigma))


def test_quasi_hyperbolic_scales_otherwise():
    """Its gradient is damped by 1 - beta: eps is gamma itself."""
    method = QuasiHyperbolic()
    assert same(intrinsic_parameter(method), gamma / (1 - beta))
    assert time_step(method) == gamma
    rule = acceleration_rule(method)
    assert same(rule[gamma], rho * gamma)
    assert rule[nu] == nu  # parameters that need not change do not
    assert rule.exponents["step"] == 1


def test_refinements_approach_the_closed_form():
    """The series of lambda_star in 1 - beta, against 40-digit values of the closed form."""
    method = HeavyBall()
    star = refined_parameter(method, sp.oo)
    gaps = []
    for order in range(6):
        refined = refined_parameter(method, order)
        point = {gamma: 1, beta: sp.Rational(9, 10)}
        gaps.append(abs(sp.N((refined / star - 1).subs(point), 40)))
    ratios = np.array([float(b / a) for a, b in pairwise(gaps)])
    assert (ratios < 0.12).all()
    assert gaps[0] > 0.05


def test_applying_the_rule():
    rule = acceleration_rule(HeavyBall())
    faster = rule.apply({"gamma": sp.Rational(1, 100), "beta": sp.Rational(9, 10)}, 3)
    assert faster == {gamma: sp.Rational(9, 100), beta: sp.Rational(7, 10)}
    assert "rho" in rule._repr_latex_()


def test_iterates_walk_the_same_path_faster():
    """rho = 2: after half the steps the network-free iterates are where the slow ones are."""

    def run(step, momentum, count):
        before = now = np.array([1.0, -0.5])
        for _ in range(count):
            force = -np.array([np.sin(now[0]) + 0.3 * now[1], now[1] ** 3 + 0.3 * now[0]])
            before, now = now, now + momentum * (now - before) + step * force
        return now

    gaps = []
    for count in (400, 800, 1600):
        eps = 4.0 / count
        slow = {gamma: eps**2 / 0.5, beta: 1 - eps / 0.5}
        fast = acceleration_rule(HeavyBall()).apply(slow, 2)
        reached = run(float(slow[gamma]), float(slow[beta]), count)
        early = run(float(fast[gamma]), float(fast[beta]), count // 2)
        gaps.append(np.abs(reached - early).max())
        wrong = run(float(slow[gamma]) * 2, float(slow[beta]), count // 2)  # no rule
        assert np.abs(reached - wrong).max() > 20 * gaps[-1]
    assert gaps[0] / gaps[2] == pytest.approx(4, rel=0.1)  # equal in the limit, to first order


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: intrinsic_parameter(GradientDescent()),
            "expected a method with a symbolic momentum parameter for the inertial regime",
        ),
        (
            lambda: acceleration_rule(HeavyBall(beta=sp.Rational(1, 2))),
            "expected a method with a symbolic momentum parameter for the inertial regime",
        ),
        (lambda: refined_parameter(HeavyBall(), -1), "expected order >= 1, received order = -1"),
        (
            lambda: refined_parameter(HeavyBall(), 99),
            "expected order <= 10 in the inertial regime, received order = 99.",
        ),
    ],
)
def test_what_is_refused(call, sentence):
    with pytest.raises(InputError) as error:
        call()
    assert str(error.value).startswith(sentence)
