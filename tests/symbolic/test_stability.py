"""The stability limit against spectral radii, and published values."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, strategies as st

from momentumflow import InputError
from momentumflow.symbolic import (
    GradientDescent,
    HeavyBall,
    MomentumMethod,
    Nesterov,
)
from momentumflow.symbolic.equations.stability import stability_limit
from momentumflow.symbolic.symbols import beta as b


def companion(method, beta, y):
    """The map of (w_k, w_{k-1}) for gamma h = y, written down by hand."""
    if method == "heavy ball":
        return np.array([[1 + beta - y, -beta], [1.0, 0.0]])
    return np.array([[(1 + beta) * (1 - y), -beta * (1 - y)], [1.0, 0.0]])


def radius(matrix):
    return np.max(np.abs(np.linalg.eigvals(matrix)))


def test_published_limits():
    assert sp.simplify(stability_limit(HeavyBall()) - 2 * (1 + b)) == 0
    assert sp.simplify(stability_limit(Nesterov()) - 2 * (1 + b) / (1 + 2 * b)) == 0
    assert stability_limit(GradientDescent()) == 2


@pytest.mark.parametrize(
    ("name", "method"), [("heavy ball", HeavyBall()), ("Nesterov", Nesterov())]
)
@given(beta=st.floats(0.01, 0.97), share=st.floats(0.02, 1.9))
def test_the_spectral_radius_crosses_one_at_the_limit(name, method, beta, share):
    limit = float(stability_limit(method).subs(b, beta))
    if abs(share - 1) < 1e-3:
        return
    assert (radius(companion(name, beta, share * limit)) < 1) == (share < 1)


def test_a_limit_that_is_off_by_a_per_cent_is_noticed():
    """Negative control: between the true and a wrong limit the sides disagree."""
    wrong = 1.01 * float(stability_limit(HeavyBall()).subs(b, 0.9))
    assert radius(companion("heavy ball", 0.9, 0.995 * wrong)) > 1


def test_longer_recurrences_are_refused():
    method = MomentumMethod.from_recurrence(
        {1: 1, 0: -1 - b, -1: b}, [(1, {0: 2, -1: -2, -2: 1})], momentum=b
    )
    with pytest.raises(InputError, match="expected a recurrence over at most three iterates, "):
        stability_limit(method)
