"""Certificates against exact arithmetic, and against answers that are wrong."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings, strategies as st

from momentumflow.numeric import HyperbolicEntropy, implicit_solution
from momentumflow.numeric.implicit import KullbackLeibler, certify, compensated

RNG = np.random.default_rng(11)
X = RNG.standard_normal((6, 15))
Y = X @ RNG.standard_normal(15)


def exact_dot(a, b):
    return sum(Fraction(x) * Fraction(y) for x, y in zip(a.tolist(), b.tolist(), strict=True))


@given(seed=st.integers(0, 10**6), d=st.integers(1, 70), spread=st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_compensated_products_are_exact_to_the_last_bits(seed, d, spread):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((2, d)) * 10.0 ** rng.uniform(-spread, spread, d)
    x = rng.standard_normal(d) * 10.0 ** rng.uniform(-spread, spread, d)
    y = A @ x  # the residual is nothing but cancellation
    r, terms = (part[0] for part in compensated.residual(A[None], x[None], y[None]))
    found = compensated.sparse_residual(sp.csr_array(A), x[None], y[None])
    sparse, sparse_terms = (part[0] for part in found)
    np.testing.assert_allclose(terms, np.abs(A) @ np.abs(x) + np.abs(y), rtol=1e-13)
    np.testing.assert_allclose(sparse_terms, terms, rtol=1e-13)
    for i in range(2):
        truth = exact_dot(A[i], x) - Fraction(y[i])
        size = sum(abs(Fraction(a) * Fraction(b)) for a, b in zip(A[i], x, strict=True))
        bound = float(abs(truth)) * 1e-15 + float(size) * d * 1e-31
        assert abs(float(Fraction(r[i]) - truth)) <= bound
        assert abs(float(Fraction(sparse[i]) - truth)) <= bound


def test_the_adjoint_carries_a_dual_in_two_parts():
    nu, tail = RNG.standard_normal(6), 1e-18 * RNG.standard_normal(6)
    z, rest = (part[0] for part in compensated.adjoint(X[None], nu[None], tail[None]))
    sparse = compensated.sparse_adjoint(sp.csr_array(X.T), nu[None], tail[None])
    np.testing.assert_allclose(sparse[0][0] - z + (sparse[1][0] - rest), 0, atol=1e-30)
    for j in range(15):
        truth = exact_dot(X[:, j], nu) + exact_dot(X[:, j], tail)
        assert abs(float(Fraction(z[j]) + Fraction(rest[j]) - truth)) <= 1e-30


def figures(theta, nu, potential, target=Y):
    full = potential.broadcast_to((1, 15))
    return certify(X[None], target[None], full, theta[None], nu[None])


@pytest.mark.parametrize("delta", [1e-20, 1e-6, 1.0, 1e6])
def test_figures_agree_with_mpmath(delta):
    # A pair that is off on purpose, so that no figure is rounding.
    solution = implicit_solution((X, Y), delta, 0.05)
    rng = np.random.default_rng(2)
    theta = solution.theta * (1 + 1e-3 * rng.standard_normal(15))
    nu = solution.dual * (1 + 1e-3 * rng.standard_normal(6))
    got = figures(theta, nu, solution.potential)
    with mpmath.workdps(40):
        D = mpmath.exp(mpmath.mpf(float(np.log(delta))))
        s = [mpmath.mpf(float(v)) for v in np.broadcast_to(solution.potential.shift, 15)]
        t = [mpmath.mpf(v) for v in theta.tolist()]
        z = [sum(mpmath.mpf(X[i, j]) * mpmath.mpf(nu[i]) for i in range(6)) for j in range(15)]
        r = [
            sum(mpmath.mpf(X[i, j]) * t[j] for j in range(15)) - mpmath.mpf(Y[i]) for i in range(6)
        ]
        mirror = [(mpmath.asinh(2 * t[j] / D) - s[j]) / 2 for j in range(15)]

        def psi(v):
            return (2 * v * mpmath.asinh(2 * v / D) - mpmath.sqrt(4 * v * v + D * D)) / 4

        ref = [D / 2 * mpmath.sinh(v) for v in s]
        primal = sum(psi(a) - psi(b) - c / 2 * (a - b) for a, b, c in zip(t, ref, s, strict=True))
        # dual value: y.nu - sum [psi*(z + s/2) - psi*(s/2)], psi*(m) = (D/4) cosh(2 m)
        dual = sum(mpmath.mpf(Y[i]) * mpmath.mpf(nu[i]) for i in range(6)) - sum(
            D / 4 * (mpmath.cosh(2 * z[j] + s[j]) - mpmath.cosh(s[j])) for j in range(15)
        )
        rows = [
            sum(abs(mpmath.mpf(X[i, j]) * t[j]) for j in range(15)) + abs(mpmath.mpf(Y[i]))
            for i in range(6)
        ]
        missed = max(abs(a) / b for a, b in zip(r, rows, strict=True))
        slope = [mpmath.sqrt(4 * t[j] ** 2 + D * D) for j in range(15)]
        terms = [abs(a) + abs(b) + abs(c) / 2 for a, b, c in zip(z, mirror, s, strict=True)]
        terms = [max(a, abs(b / h)) for a, b, h in zip(terms, t, slope, strict=True)]
        miss = max(abs(a - b) / c for a, b, c in zip(z, mirror, terms, strict=True))
        size = max(primal, sum(a * a / h for a, h in zip(t, slope, strict=True)))
        assert float(got.feasibility[0] / missed) == pytest.approx(1, rel=1e-12)
        assert float(got.stationarity[0] / miss) == pytest.approx(1, rel=1e-10)
        assert float(got.objective[0] / primal) == pytest.approx(1, rel=1e-10)
        assert float(got.gap[0] / (abs(primal - dual) / size)) == pytest.approx(1, rel=1e-8)


@pytest.mark.parametrize("delta", [1e-20, 1e-6, 1.0, 1e6])
@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-8])
def test_the_error_estimate_sees_what_was_disturbed(delta, size):
    solution = implicit_solution((X, Y), delta)
    direction = np.random.default_rng(5).standard_normal(15)
    theta = solution.theta + size * np.linalg.norm(solution.theta) * direction / np.linalg.norm(
        direction
    )
    got = figures(theta, solution.dual, solution.potential)
    assert 0.1 * size < got.error[0] < 10 * size or got.stationarity[0] > 1e-3
    assert got.worst()[0] > 0.1 * size
    clean = figures(solution.theta, solution.dual, solution.potential)
    assert clean.worst()[0] < 1e-12


def test_a_wrong_target_balancedness_or_reference_is_refused():
    solution = implicit_solution((X, Y), 1e-4, 0.01)
    wrong = [
        (solution.theta, solution.dual, solution.potential, Y * (1 + 1e-6)),
        (solution.theta, solution.dual, HyperbolicEntropy.from_balancedness(1.001e-4, 0.01), Y),
        (solution.theta, solution.dual, HyperbolicEntropy.from_balancedness(1e-4, 0.0101), Y),
        (solution.theta, solution.dual * (1 + 1e-6), solution.potential, Y),
    ]
    for theta, nu, potential, target in wrong:
        assert figures(theta, nu, potential, target).worst()[0] > 1e-8


def test_nan_counts_as_infinitely_wrong():
    solution = implicit_solution((X, Y), 1.0)
    got = figures(np.full(15, np.nan), solution.dual, solution.potential)
    assert np.isinf(got.worst()[0])


@pytest.mark.parametrize("family", ["hyperbolic", "Kullback-Leibler"])
@pytest.mark.parametrize("lost", [1e-14, 1e-11, 1e-8])
def test_what_is_zero_in_scaled_units_only_is_charged(family, lost):
    """The first column is 1e-288 of the second: 1e-300 in its units is 1e-12 in the user's."""
    row, y = np.array([[1e-155, 1e133]]), np.array([[0.12e133]])
    log_scale = -39.0
    if family == "hyperbolic":
        potential = HyperbolicEntropy(np.full((1, 2), log_scale), np.zeros((1, 2)))
    else:
        potential = KullbackLeibler(np.full((1, 2), log_scale))
    solution = implicit_solution((row, y[0]), potential=potential.take(0))
    theta = solution.theta.copy()
    honest = certify(row, y, potential, theta[None], solution.dual[None])
    theta[0] += lost
    got = certify(row, y, potential, theta[None], solution.dual[None])
    with mpmath.workdps(40):
        z = [mpmath.mpf(x) * mpmath.mpf(float(solution.dual[0])) for x in row[0].tolist()]
        half = mpmath.exp(log_scale)
        hyperbolic = family == "hyperbolic"
        exact = [half / 2 * mpmath.sinh(2 * v) if hyperbolic else half * mpmath.exp(v) for v in z]
        off = float(abs(theta[0] - exact[0]) / abs(exact[1]))
    assert off > 0.5 * lost / 0.12
    assert got.worst()[0] > 0.25 * off
    assert honest.error[0] < 1e-11
