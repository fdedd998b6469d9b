"""One home for each formula: what runs, judge and page compile says what the theory says.

The expected values are the published formulas, written here with plain numbers.
"""

import numpy as np
import pytest

from momentumflow.explore.formulas import formulas
from momentumflow.numeric.runs.kernels import limit_theorem_diagonal_numpy as limit_theorem
from momentumflow.symbolic import HeavyBall
from momentumflow.symbolic.theory_kernels import MethodFormulas, network_formulas
from momentumflow.verify.subject import shipped


def test_the_network_formulas_are_the_published_ones():
    network = network_formulas()
    assert network.sign_bound(2.0) == pytest.approx(1 / 8)
    assert network.sign_threshold(1e-6) == pytest.approx(1.00887, abs=1e-5)
    assert network.first_shift(0.1, 3.0) == pytest.approx(-4 * 0.01 * 3)
    assert network.log_shrinkage(0.1, 3.0) == pytest.approx(-2 * 0.1 * 3)
    assert network.balancedness_law(0.5, 1.0, 2.0, 3.0, 4.0) == pytest.approx(
        0.5 * 1 + 2 + 0.5 * (9 + 16)
    )
    assert network.imbalance_decay(0.2, 3.0) == pytest.approx(2 * 0.2 * 3)


def test_a_run_takes_the_published_limit_theorem():
    plus, minus = np.array([1.5, 0.2, -3.0]), np.array([-0.5, 0.7, 1e-30])
    lost, gained = np.array([0.3, 40.0, -2.0]), np.array([0.1, -0.6, 0.0])
    u, v = (plus + minus) / 2, (plus - minus) / 2
    np.testing.assert_allclose(limit_theorem.parameter(plus, minus), u * v, rtol=1e-15)
    np.testing.assert_allclose(
        limit_theorem.balancedness(plus, minus), abs(u**2 - v**2), atol=1e-16
    )
    start = (plus, minus, lost, gained)
    delta = np.abs(plus * minus) * np.exp(-(lost + gained))
    tilde = (plus**2 * np.exp(-2 * lost) - minus**2 * np.exp(-2 * gained)) / 4
    np.testing.assert_allclose(np.exp(limit_theorem.log_balancedness(*start)), delta, rtol=1e-13)
    np.testing.assert_allclose(limit_theorem.perturbed_parameter(*start), tilde, rtol=1e-14)
    np.testing.assert_allclose(np.sinh(limit_theorem.shift(*start)), 2 * tilde / delta, rtol=1e-12)
    # the remainders of weights that ended where the theorem says
    G = np.array([0.5, -1.0, 2.0])
    ends = plus * np.exp(-G - lost), minus * np.exp(G - gained)
    np.testing.assert_allclose(limit_theorem.remainder_plus(ends[0], plus, G), lost, rtol=1e-14)
    found = limit_theorem.remainder_minus(ends[1], minus, G)
    np.testing.assert_allclose(found, gained, rtol=1e-14, atol=1e-15)
    # negative control: with the other sign of G the remainders are not those
    assert not np.allclose(limit_theorem.remainder_plus(ends[0], plus, -G), lost)


def test_heavy_ball_has_its_parameters():
    method, gamma, beta = MethodFormulas(HeavyBall()), 0.01, 0.9
    assert method.intrinsic(gamma, beta) == pytest.approx(gamma / (1 - beta) ** 2)
    assert method.time_step(gamma, beta) == pytest.approx(gamma / (1 - beta))
    assert method.accelerate(gamma, beta, 2.0) == pytest.approx((4 * gamma, 0.8))
    assert method.refined(gamma, beta) == pytest.approx(1.0 - 0.05)
    assert method.friction(gamma, 0.0) == np.inf


def test_judge_and_page_take_the_same_formulas():
    subject, page = shipped(), formulas("heavy_ball")
    at = (np.array([0.01, 0.02]), np.array([0.3, 0.95]))
    for name in ("intrinsic", "refined", "time_step", "start_speed"):
        np.testing.assert_array_equal(getattr(subject, name)(*at), getattr(page, name)(*at))
