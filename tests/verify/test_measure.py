"""Fitted orders and bounds against cases with a known answer."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

from momentumflow.verify.evidence import Verdict
from momentumflow.verify.measure import (
    at_least,
    at_most,
    fitted_slopes,
    mean_below,
    mean_interval,
    order,
)
from momentumflow.verify.settings import Settings

SETTINGS = Settings()
H = 0.1 * 0.5 ** np.arange(4)


@given(
    st.floats(-3, 5), st.floats(1e-6, 1e6), st.lists(st.floats(1e-4, 1), min_size=3, unique=True)
)
def test_a_pure_power_gives_its_exponent(slope, constant, steps):
    steps = np.array(steps)
    if np.ptp(np.log(steps)) < 0.1:
        return
    assert fitted_slopes(steps, constant * steps**slope) == pytest.approx(slope, abs=1e-9)


def test_slopes_agree_with_scipy():
    errors = np.random.default_rng(0).lognormal(size=(6, 4))
    expected = [stats.linregress(np.log(H), np.log(e)).slope for e in errors]
    np.testing.assert_allclose(fitted_slopes(H, errors), expected, rtol=1e-12)


def test_interval_agrees_with_scipy():
    values = np.random.default_rng(1).normal(size=9)
    low, high = stats.t.interval(0.95, 8, loc=values.mean(), scale=stats.sem(values))
    assert mean_interval(values) == pytest.approx((low, high), rel=1e-12)


@pytest.mark.parametrize(("p", "verdict"), [(2, Verdict.SUPPORTED), (1, Verdict.REFUTED)])
def test_the_order_is_told_from_its_neighbour(p, verdict):
    noise = np.random.default_rng(2).lognormal(sigma=0.02, size=(8, 4))
    found = order("error", H, noise * H**p, 2, SETTINGS)
    assert found.verdict is verdict
    assert found.interval[0] < p < found.interval[1]


def test_steps_below_the_rounding_floor_are_left_out():
    errors = np.maximum(H**2, 2e-3)  # a plateau that spoils the slope
    assert order("error", H, errors, 2, SETTINGS).verdict is Verdict.REFUTED
    clean = np.append(H**2, 1e-17)
    assert order("e", np.append(H, 1e-4), clean, 2, SETTINGS, floor=1e-14).verdict is (
        Verdict.SUPPORTED
    )


def test_too_few_steps_above_the_floor_give_no_verdict():
    found = order("error", H, H**2, 2, SETTINGS, floor=1e-3)
    assert found.verdict is Verdict.UNDECIDED
    assert found.reason == "only 2 of 4 step sizes lie above the rounding floor 1.0e-03"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_never_met(bad):
    assert at_most("e", [0.0, bad], 1, SETTINGS).verdict is Verdict.REFUTED
    assert at_least("e", [2.0, bad], 1).verdict is Verdict.REFUTED
    errors = H**2 * np.array([1, 1, bad, 1])
    assert order("e", H, errors, 2, SETTINGS).verdict is Verdict.REFUTED


def test_nothing_to_measure_is_no_verdict():
    assert at_most("e", [], 1, SETTINGS).verdict is Verdict.UNDECIDED
    assert at_least("e", [], 1).verdict is Verdict.UNDECIDED


def test_the_tolerance_scale_moves_the_bound_and_the_allowed_order():
    loose, tight = Settings(tolerance_scale=10), Settings(tolerance_scale=0.1)
    assert at_most("e", 5e-9, 1e-9, loose).verdict is Verdict.SUPPORTED
    assert at_most("e", 5e-9, 1e-9, SETTINGS).verdict is Verdict.REFUTED
    assert order("e", H, H**1.9, 2, SETTINGS).verdict is Verdict.SUPPORTED
    assert order("e", H, H**1.9, 2, tight).verdict is Verdict.REFUTED


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([-1.0, -1.1, -0.9], Verdict.SUPPORTED),
        ([1.0, 1.1, 0.9], Verdict.REFUTED),
        ([-1.0, 1.2, 0.1], Verdict.UNDECIDED),
    ],
)
def test_a_mean_is_judged_by_its_interval(values, verdict):
    found = mean_below("the mean", values, 0.0)
    assert found.verdict is verdict
    t = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    np.testing.assert_allclose(found.interval, t, rtol=1e-12)


def test_a_mean_of_nothing_is_no_verdict():
    assert mean_below("the mean", [], 0.0).verdict is Verdict.UNDECIDED
