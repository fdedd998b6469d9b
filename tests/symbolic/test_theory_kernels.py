"""One home for each formula: what runs, judge and page compile says what the theory says.

The expected values are the published formulas, written here with plain numbers.
"""

import numpy as np
import pytest

from momentumflow.explore.formulas import formulas
from momentumflow.symbolic import HeavyBall
from momentumflow.symbolic.theory_kernels import MethodFormulas, network_formulas
from momentumflow.verify.subject import shipped


def test_the_network_formulas_are_the_published_ones():
    network = network_formulas()
    plus, minus = np.array([1.5, 0.2]), np.array([-0.5, 0.7])
    u, v = (plus + minus) / 2, (plus - minus) / 2
    np.testing.assert_allclose(network.parameter(plus, minus), u * v, rtol=1e-15)
    assert network.sign_bound(2.0) == pytest.approx(1 / 8)
    assert network.log_shrinkage(0.1, 3.0) == pytest.approx(-2 * 0.1 * 3)
    assert network.balancedness_law(0.5, 1.0, 2.0, 3.0, 4.0) == pytest.approx(
        0.5 * 1 + 2 + 0.5 * (9 + 16)
    )
    assert network.imbalance_decay(0.2, 3.0) == pytest.approx(2 * 0.2 * 3)


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
