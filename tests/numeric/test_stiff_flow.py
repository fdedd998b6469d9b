"""The stiff flow: exact solutions, mpmath, SciPy in logarithms, the explicit method, the theorem.

From weights of 1e-60, through zero, at lambda = 0, to times of 1e13; and what goes wrong
when a remainder is left out or a sign change is not seen.
"""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.integrate import solve_ivp

from momentumflow import InputError
from momentumflow.numeric import (
    Regression,
    RunStatus,
    momentum_flow,
    sparse_regression,
)
from momentumflow.numeric.flow.radau import radau

PROBLEM = sparse_regression(20, 30, 5, seed=1)
SMALL = sparse_regression(4, 7, 2, seed=3)


def logistic(x, y, alpha, time):
    """Gradient flow of n = d = 1, exactly: (ln w_+, ln w_-) at `time`, in mpmath.

    With theta = (D/2) sinh z: z' = 2 x y - x^2 D sinh z, whose integral is elementary in
    tanh(z/2).
    """
    with mpmath.workdps(160):
        x, y, start = mpmath.mpf(x), mpmath.mpf(y), mpmath.sqrt(2) * mpmath.mpf(alpha)
        D = start**2
        a, b = 2 * x * y, x * x * D
        s = mpmath.sqrt(a * a + b * b)
        half = (s * mpmath.tanh(s * time / 2 + mpmath.atanh(b / s)) - b) / a
        z = 2 * mpmath.atanh(half)
        return float(mpmath.log(start) + z / 2), float(mpmath.log(start) - z / 2)


@pytest.mark.parametrize("alpha", [1.0, 1e-3, 1e-12, 1e-60])
@pytest.mark.parametrize("share", [0.3, 0.98, 1.02, 3.0])
def test_gradient_flow_of_one_weight_is_the_closed_form(alpha, share):
    x, y = 1.3, 0.8
    # the weight takes off when e^(2 x y t) has made up for alpha^2
    time = share * (1.0 + np.log(1 / alpha)) / (x * y)
    run = momentum_flow(Regression([[x, 0.0]], [y]), 0.0, alpha, t_end=time, method="stiff")
    exact = logistic(x, y, alpha, time)
    found = np.log([run.w_plus[0], run.w_minus[0]])
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-10)
    # control: a start off by 1e-8 of itself is seen
    other = logistic(x, y, alpha * (1 + 1e-8), time)
    assert np.abs(found - other).max() > 1e-9


def test_sign_changes_against_mpmath():
    problem, lam, alpha, time = Regression([[1.0, -0.7]], [1.5]), 0.8, 1e-3, 12.0
    x, y = (1.0, -0.7), 1.5

    def field(t, s):
        w, v = s[:4], s[4:]
        r = sum(x[j] * (w[j] ** 2 - w[j + 2] ** 2) / 4 for j in range(2)) - y
        return [
            *v,
            *(-(v[k] + (1 if k < 2 else -1) * x[k % 2] * r * w[k]) / mpmath.mpf(lam)
              for k in range(4)),
        ]  # fmt: skip

    with mpmath.workdps(20):
        start = mpmath.sqrt(2) * mpmath.mpf(alpha)
        exact = mpmath.odefun(field, 0, [start] * 4 + [0] * 4, tol=1e-15)(time)
    run = momentum_flow(problem, lam, alpha, t_end=time, method="stiff")
    assert run.sign_changes.sum() > 1
    found = np.concatenate((run.w_plus, run.w_minus))
    np.testing.assert_allclose(found, [float(w) for w in exact[:4]], rtol=3e-11, atol=1e-14)


def test_late_times_against_scipy_in_logarithms():
    lam, alpha, time = 0.1, 1e-6, 1e6
    X, y, n, d = PROBLEM.X, PROBLEM.y, PROBLEM.n, PROBLEM.d
    signs = np.r_[np.ones(d), -np.ones(d)]

    def field(t, state):
        logs, rates = state.reshape(2, 2 * d)
        theta = (np.exp(2 * logs[:d]) - np.exp(2 * logs[d:])) / 4
        g = np.tile(X.T @ (X @ theta - y) / n, 2)
        return np.r_[rates, -(rates + lam * rates**2 + signs * g) / lam]

    start = np.r_[np.full(2 * d, np.log(np.sqrt(2) * alpha)), np.zeros(2 * d)]
    peer = solve_ivp(field, (0, time), start, method="LSODA", rtol=1e-10, atol=1e-12)
    run = momentum_flow(PROBLEM, lam, alpha, t_end=time, method="stiff")
    logs = np.log(np.r_[run.w_plus, run.w_minus])
    np.testing.assert_allclose(logs, peer.y[: 2 * d, -1], atol=2e-6)
    assert run.steps < 200 < 1000 < peer.t.size


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    lam=st.sampled_from([0.0, 1e-9, 0.01, 0.3, 1.0, 4.0, 50.0]),
    size=st.floats(-7.0, 0.3),
    seed=st.integers(0, 40),
    time=st.floats(0.01, 40.0),
)
def test_both_methods_agree(lam, size, seed, time):
    problem = sparse_regression(4, 7, 2, seed=seed)
    times = np.linspace(0, time, 4)
    # friction of 1/lambda = 1e9 is beyond an explicit method; gradient flow is as near as 1e-9
    explicit = momentum_flow(
        problem, 0.0 if lam == 1e-9 else lam, 10**size, t_end=time, t_eval=times,
        method="explicit", rtol=1e-12,
    )  # fmt: skip
    stiff = momentum_flow(problem, lam, 10**size, t_end=time, t_eval=times, method="stiff")
    tolerance = 1e-6 if lam == 1e-9 else 1e-10
    for name in ("w_plus", "w_minus"):
        rows = [(getattr(run.path, name), getattr(run, name)) for run in (explicit, stiff)]
        unit = np.abs(rows[0][0]).max() + 10**size
        for one, other in zip(*rows, strict=True):
            np.testing.assert_allclose(other, one, rtol=tolerance, atol=tolerance * unit)
    np.testing.assert_array_equal(stiff.sign_changes, explicit.sign_changes)
    np.testing.assert_allclose(stiff.S_plus, explicit.S_plus, rtol=1e-8, atol=tolerance)
    np.testing.assert_allclose(
        stiff.gradient_integral, explicit.gradient_integral, rtol=1e-8, atol=tolerance
    )


def test_sign_changes_happen_when_the_explicit_method_says():
    runs = [
        momentum_flow(PROBLEM, 1.0, 1e-3, t_end=60.0, method=method, rtol=rtol)
        for method, rtol in (("explicit", 1e-13), ("stiff", 1e-11))
    ]
    explicit, stiff = (run.sign_change_times for run in runs)
    assert stiff.time.size == runs[1].sign_changes.sum() > 20
    np.testing.assert_allclose(np.sort(stiff.time), np.sort(explicit.time), rtol=0, atol=1e-10)
    for name in ("weight", "coordinate"):
        order = [
            np.lexsort((e.coordinate, e.weight, np.round(e.time, 6))) for e in (explicit, stiff)
        ]
        np.testing.assert_array_equal(
            getattr(explicit, name)[order[0]], getattr(stiff, name)[order[1]]
        )


def outside_the_rows(run, S_plus, S_minus):
    """How far what the weights have grown by, S added, is from X^T nu for w_+, -X^T nu for w_-."""
    plus = np.log(np.abs(run.w_plus / run.initial_w_plus)) + S_plus
    minus = np.log(np.abs(run.w_minus / run.initial_w_minus)) + S_minus
    rows = np.linalg.qr(run.problem.X.T)[0]
    off = np.r_[plus - rows @ (rows.T @ plus), minus - rows @ (rows.T @ minus), plus + minus]
    return np.abs(off).max() / (1 + np.abs(plus).max())


@pytest.mark.parametrize("method", ["auto", "stiff"])
@pytest.mark.parametrize("alpha", [1e-3, 1e-12, 1e-60])
@pytest.mark.parametrize("lam", [0.0, 0.1, 1.0, 10.0])
def test_the_limit_theorem_from_any_start(lam, alpha, method):
    run = momentum_flow(SMALL, lam, alpha, method=method)
    assert run.status is RunStatus.CONVERGED, run.message
    assert run.residual < 1e-13
    limit = run.predicted_limit()
    assert limit.certified
    assert np.linalg.norm(limit.theta - run.theta) < 1e-9 * np.linalg.norm(run.theta)
    assert outside_the_rows(run, run.S_plus, run.S_minus) < 1e-10
    # control: without the remainders the weights have not grown by a multiple of the rows
    assert bool(outside_the_rows(run, 0.0, 0.0) > 1e-3) is (lam > 0)
    if run.sign_changes.any():
        # control: lambda times the integral of (w'/w)^2, as if no weight had passed zero
        assert outside_the_rows(run, *(lam * run.squared_rates)) > 1e-2


def test_the_method_is_chosen_by_what_bounds_the_steps():
    settled = momentum_flow(PROBLEM, 0.1, 1.0)
    assert settled.steps == momentum_flow(PROBLEM, 0.1, 1.0, method="explicit").steps
    long = momentum_flow(PROBLEM, 0.1, 1e-3)
    assert long.converged
    assert long.time > 1e6
    assert long.steps < 1000
    # what oscillates is bound by accuracy, and stays explicit
    options = {"t_end": 500.0}
    swings = momentum_flow(PROBLEM, 50.0, 1e-3, **options)
    explicit = momentum_flow(PROBLEM, 50.0, 1e-3, method="explicit", **options)
    assert swings.steps == explicit.steps > 300


def test_velocities_and_batches_reach_the_stiff_method():
    speed = (np.full(7, 0.05), np.full(7, -0.3))
    runs = [
        momentum_flow(
            SMALL, [0.1, 1.0], [[0.3], [0.1]], velocity=speed, t_end=6.0, method=method, rtol=1e-12
        )
        for method in ("explicit", "stiff")
    ]
    assert runs[0].sign_changes.sum() > 0
    for name in ("w_plus", "w_minus", "S_plus", "S_minus"):
        np.testing.assert_allclose(
            getattr(runs[1], name), getattr(runs[0], name), rtol=1e-9, atol=1e-10
        )
    at_rest = momentum_flow(SMALL, [0.1, 1.0], [[0.3], [0.1]], t_end=6.0, method="stiff")
    assert np.abs(at_rest.w_plus - runs[1].w_plus).max() > 1e-3


def test_a_weight_that_falls_to_zero_is_refused():
    problem, critical = Regression([[1.0, 0.5]], [1.0]), 0.3238869204910509
    lams = critical * np.array([1 - 1e-3, 1.0, 1 + 1e-3])
    run = momentum_flow(problem, lams, 0.1, method="stiff")
    names = ["CONVERGED", "WEIGHT_AT_ZERO", "CONVERGED"]
    assert [status.name for status in run.status] == names
    assert run.w_minus[0, 0] * run.w_minus[2, 0] < 0
    # a weight that is small because it started small is known, however large its remainder
    small = momentum_flow(SMALL, 0.2, 1e-60, method="stiff")
    assert small.status is RunStatus.CONVERGED
    assert np.abs(small.S_plus).max() > 20


def test_a_flow_that_is_given_up_says_so():
    late = momentum_flow(SMALL, 0.1, 1e-6, method="stiff", t_max=1e5)
    assert late.status is RunStatus.NOT_CONVERGED
    assert late.time == 1e5
    assert momentum_flow(SMALL, 0.1, 1e-3, method="stiff", max_steps=3).steps == 3
    with pytest.raises(InputError, match="method to be one of 'auto', 'explicit', 'stiff'"):
        momentum_flow(SMALL, 0.1, 0.1, method="implicit")  # type: ignore[arg-type]


@pytest.mark.parametrize("stages", [3, 5, 7, 9])
def test_coefficients_of_radau(stages):
    scheme = radau(stages)
    powers = np.arange(1, 2 * stages)
    # B(2 s - 1): quadrature; C(s): collocation; the splitting by eigenvectors
    moments = scheme.b @ scheme.c[:, None] ** (powers - 1)
    np.testing.assert_allclose(moments, 1 / powers, rtol=1e-11)
    assert abs(scheme.b @ scheme.c ** (2 * stages - 1) - 1 / (2 * stages)) > 1e-11
    np.testing.assert_allclose(
        scheme.A @ scheme.c ** (stages - 1), scheme.c**stages / stages, atol=1e-13
    )
    np.testing.assert_allclose(scheme.join @ scheme.split, np.eye(stages), atol=1e-9)
    embedded = scheme.b + scheme.e
    assert scheme.first + embedded.sum() == pytest.approx(1)
    assert embedded @ scheme.c ** (stages - 1) == pytest.approx(1 / stages)
    if stages == 3:  # as they stand in the book, table IV.5.6
        root = np.sqrt(6)
        np.testing.assert_allclose(scheme.c, [(4 - root) / 10, (4 + root) / 10, 1])
        np.testing.assert_allclose(scheme.A[0, 0], (88 - 7 * root) / 360)
