"""A run has converged, and data are consistent, in the units of every row and at every scale.

The oracle is exact rational arithmetic on the float64 numbers that a run returned.
"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from momentumflow import InputError
from momentumflow.numeric import Regression, RunStatus, momentum_descent, momentum_flow

TOL = 1e-11


def exact_shares(problem, theta):
    """Return |x_i theta - y_i| over the row's own units, exactly, and over |y| in norm."""
    rows, square, whole = [], Fraction(0), Fraction(0)
    for x, y in zip(problem.X.tolist(), problem.y.tolist(), strict=True):
        terms = [Fraction(a) * Fraction(b) for a, b in zip(x, theta.tolist(), strict=True)]
        missed = sum(terms) - Fraction(y)
        units = abs(Fraction(y)) + sum(map(abs, terms))
        rows.append(float(missed / units))
        square, whole = square + missed**2, whole + Fraction(y) ** 2
    return np.abs(rows), float(square / whole) ** 0.5


def scaled_problem(seed, exponents):
    rng = np.random.default_rng(seed)
    X, teacher = rng.standard_normal((3, 6)), rng.standard_normal(6)
    units = 10.0 ** np.array(exponents)
    return Regression(units[:, None] * X, units * (X @ teacher))


@given(
    seed=st.integers(0, 10_000),
    exponents=st.tuples(*[st.floats(-12, 12)] * 3),
    engine=st.sampled_from(["single", "lanes", "numpy"]),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_converged_run_fits_every_row_in_its_own_units(seed, exponents, engine):
    problem = scaled_problem(seed, exponents)
    steep = 10.0 ** (-2 * max(exponents))
    options = {"tol": TOL, "max_steps": 3000, "engine": engine}
    run = momentum_descent(problem, 0.02 * steep, [0.9], 0.7, **options)
    for theta, status in zip(run.theta, run.status, strict=True):
        rows, norm = exact_shares(problem, theta)
        if status is RunStatus.CONVERGED:
            assert norm <= 1.01 * TOL
            assert rows.max() <= 101 * TOL
        assert problem.row_residual(theta) == pytest.approx(rows.max(), rel=1e-6, abs=1e-14)
    flow = momentum_flow(problem, 0.5 * steep, 0.7, tol=TOL, t_max=60 * steep)
    if flow.status is RunStatus.CONVERGED:
        rows, norm = exact_shares(problem, flow.theta)
        assert max(norm / 1.01, rows.max() / 101) <= TOL


@pytest.mark.parametrize("train", [
    lambda problem, engine: momentum_descent(
        problem, 0.02, [0.9], 0.7, tol=TOL, max_steps=5000, engine=engine
    ),
    lambda problem, engine: momentum_flow(problem, [0.5], 0.7, tol=TOL, t_max=300.0),
], ids=["descent", "flow"])  # fmt: skip
@pytest.mark.parametrize("engine", ["single", "lanes", "numpy"])
def test_a_row_in_small_units_is_not_forgotten(train, engine):
    plain, small = scaled_problem(0, (0, 0, 0)), scaled_problem(0, (0, 0, -13))
    assert train(plain, engine).status[0] is RunStatus.CONVERGED
    run = train(small, engine)
    rows, norm = exact_shares(small, run.theta[0])
    assert run.status[0] is RunStatus.NOT_CONVERGED
    assert "in its own units" in run.message
    # control: judged in norm alone the run has converged, with that row missed by a tenth
    assert norm <= TOL
    assert rows[2] > 0.1


@pytest.mark.parametrize("power", [-300, -40, 40, 250])
@pytest.mark.parametrize("engine", ["single", "lanes", "numpy"])
def test_convergence_does_not_depend_on_the_units_of_y(power, engine):
    # theta, y and g in units of s^2, weights in units of s, a power of two: the same digits
    problem, s = scaled_problem(1, (0, 0, 0)), 2.0**power
    other = Regression(problem.X, problem.y * s**2)
    options = {"max_steps": 5000, "engine": engine}
    run = momentum_descent(problem, 0.02, 0.9, 0.7, **options)
    same = momentum_descent(other, 0.02 / s**2, 0.9, 0.7 * s, **options)
    assert run.status is same.status is RunStatus.CONVERGED
    assert run.steps == same.steps
    np.testing.assert_array_equal(run.theta * s**2, same.theta)
    np.testing.assert_allclose(same.residual, run.residual, rtol=1e-6)
    early = momentum_descent(other, 0.02 / s**2, 0.9, 0.7 * s, max_steps=10, engine=engine)
    assert early.status is RunStatus.NOT_CONVERGED


def test_an_inconsistent_row_in_small_units_is_refused():
    X = np.array([[1.0, 0, 0, 0], [0, 1e-12, 1e-12, 0], [0, 1e-12, 1e-12, 0]])
    wrong = np.array([1.0, 1e-12, 2e-12])
    with pytest.raises(InputError, match="y in the range of X"):
        Regression(X, wrong)
    # large coefficients, and a small target beside them
    with pytest.raises(InputError, match="y in the range of X"):
        Regression(X / [[1], [1e-12], [1e-12]], wrong)
    Regression(X, np.array([1.0, 1e-12, 1e-12]))
    mended = Regression.nearest_consistent(X, wrong)
    np.testing.assert_allclose(mended.y, [1.0, 1.5e-12, 1.5e-12], rtol=1e-13)


@given(seed=st.integers(0, 10_000), exponents=st.tuples(*[st.floats(-12, 12)] * 4))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_nearest_consistent_target(seed, exponents):
    rng = np.random.default_rng(seed)
    units = 10.0 ** np.array(exponents)
    X = rng.standard_normal((4, 7))
    X[3] = 2 * X[0] - X[1]  # rank 3
    y, X = units * rng.standard_normal(4), units[:, None] * X
    mended = Regression.nearest_consistent(X, y).y
    # what is taken off is along the normal of the range, rows in units of their lengths
    # (of nothing, where the lengths are alike), in exact arithmetic
    lengths = np.linalg.norm(X, axis=1)
    if lengths.max() <= 10 * lengths.min():
        lengths = np.ones(4)
    normal = [Fraction(c) * Fraction(a) / Fraction(u)
              for c, a, u in zip((2, -1, 0, -1), lengths, units, strict=True)]  # fmt: skip
    target = [Fraction(b) / Fraction(a) for a, b in zip(lengths, y, strict=True)]
    along = sum(a * b for a, b in zip(normal, target, strict=True)) / sum(a * a for a in normal)
    exact = [float(Fraction(a) * (b - along * c))
             for a, b, c in zip(lengths, target, normal, strict=True)]  # fmt: skip
    rounding = 1e-14 * np.linalg.norm(y / lengths)
    np.testing.assert_allclose(mended / lengths, exact / lengths, rtol=0, atol=rounding)
    # independent rows fit every target: not a digit of it changes
    np.testing.assert_array_equal(Regression.nearest_consistent(X[:3], y[:3]).y, y[:3])
