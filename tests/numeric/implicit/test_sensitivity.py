"""Sensitivities against finite differences and against exact identities."""

import mpmath
import numpy as np
import pytest

from momentumflow import InputError
from momentumflow.numeric import diabetes_regression, implicit_solution, sparse_regression
from momentumflow.numeric.implicit import (
    DepthEntropy,
    KullbackLeibler,
    WeightedL1,
    WeightedL2,
    sensitivity,
)

RNG = np.random.default_rng(8)
X = RNG.standard_normal((4, 10))
Y = X @ RNG.standard_normal(10)
REFERENCE = 0.2 + 0.1 * RNG.standard_normal(10)


def differences(function, at, step):
    """Central differences, extrapolated once: error O(step^4)."""
    columns = []
    for i in range(at.size):
        e = np.zeros(at.size)
        e[i] = step * abs(at[i])
        near = (function(at + e) - function(at - e)) / (2 * e[i])
        far = (function(at + 2 * e) - function(at - 2 * e)) / (4 * e[i])
        columns.append((4 * near - far) / 3)
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 1e6])
def test_closed_forms_are_the_derivatives(scale):
    delta = scale * RNG.uniform(0.5, 2, 10)
    # Of the size of Delta: a larger one makes the derivative by Delta vanish
    # below what differences of float64 solutions can see.
    reference = REFERENCE * min(scale, 1.0)
    solution = implicit_solution((X, Y), delta, reference)
    found = sensitivity((X, Y), solution)

    def solve(y=Y, d=delta, r=reference):
        return implicit_solution((X, y), d, r).theta

    for got, numeric in (
        (found.by_target(), differences(lambda y: solve(y=y), Y, 1e-3)),
        (found.by("balancedness"), differences(lambda d: solve(d=d), delta, 1e-3)),
        (found.by("reference"), differences(lambda r: solve(r=r), reference, 1e-3)),
    ):
        np.testing.assert_allclose(got, numeric, rtol=0, atol=1e-6 * np.abs(numeric).max())


def test_the_derivative_by_balancedness_does_not_cancel():
    """With a reference far above Delta it is tiny; the textbook form loses it."""
    X1, y1 = np.array([[1.0, 1.0]]), np.array([1.5])
    reference, delta = np.array([0.5, 0.25]), 1e-9
    solution = implicit_solution((X1, y1), delta, reference)
    got = sensitivity((X1, y1), solution).along("balancedness", np.ones(2))

    def exact(d):
        with mpmath.workdps(60):
            s = [mpmath.asinh(2 * mpmath.mpf(float(r)) / d) for r in reference]

            def excess(nu):
                return sum(d / 2 * mpmath.sinh(2 * nu + v) for v in s) - mpmath.mpf(1.5)

            nu = mpmath.findroot(excess, mpmath.mpf(float(solution.dual[0])))
            return d / 2 * mpmath.sinh(2 * nu + s[0])

    with mpmath.workdps(60):
        d = mpmath.mpf(delta)
        h = d * mpmath.mpf(10) ** -12
        numeric = (exact(d + h) - exact(d - h)) / (2 * h)
    assert got[0] == pytest.approx(float(numeric), rel=1e-6)
    assert abs(got[0]) < 1e-8


def test_directions_are_columns_of_the_matrices_also_in_a_batch():
    batch = sparse_regression(5, 12, 3, seed=2, batch=(2,))
    solution = implicit_solution(batch, 0.01, 0.1)
    found = sensitivity(batch, solution)
    dy, dp = RNG.standard_normal((2, 5)), RNG.standard_normal((2, 12))
    np.testing.assert_allclose(
        found.along_target(dy), np.einsum("bij,bj->bi", found.by_target(), dy), atol=1e-12
    )
    for name in ("balancedness", "reference", "log_balancedness", "shift"):
        full = found.by(name)
        assert full.shape == (2, 12, 12)
        np.testing.assert_allclose(
            found.along(name, dp),
            np.einsum("bij,bj->bi", full, dp),
            atol=1e-10 * np.abs(full).max(),
        )
        # The constraint does not move: X d theta = 0.
        assert np.abs(batch.X @ full).max() < 1e-12 * np.abs(full).max() * 100


def test_moving_the_target_moves_the_fit_by_as_much():
    problem = diabetes_regression()
    found = sensitivity(problem, implicit_solution(problem, 1e-2))
    U, s, _ = problem.svd
    projector = U[:, s > 1e-10 * s[0]] @ U[:, s > 1e-10 * s[0]].T
    np.testing.assert_allclose(problem.X @ found.by_target(), projector, atol=1e-11)


def test_scaling_everything_is_eulers_identity():
    """theta is homogeneous of degree one in (y, Delta, reference) together."""
    delta = RNG.uniform(1e-3, 1, 10)
    solution = implicit_solution((X, Y), delta, REFERENCE)
    found = sensitivity((X, Y), solution)
    total = (
        found.along_target(Y)
        + found.along("balancedness", delta)
        + found.along("reference", REFERENCE)
    )
    np.testing.assert_allclose(total, solution.theta, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "name", "at"),
    [
        (KullbackLeibler.from_reference, "reference", np.exp(0.3 * RNG.standard_normal(10))),
        (WeightedL2, "weights", np.exp(0.3 * RNG.standard_normal(10))),
        (
            lambda w: DepthEntropy(3, w, np.ones(10), np.full(10, 0.1)),
            "log_height",
            np.full(10, 0.4),
        ),
    ],
)
def test_other_potentials_have_theirs(make, name, at):
    y = X @ np.exp(0.3 * RNG.standard_normal(10))
    found = sensitivity((X, y), implicit_solution((X, y), potential=make(at)))
    numeric = differences(lambda p: implicit_solution((X, y), potential=make(p)).theta, at, 1e-3)
    np.testing.assert_allclose(found.by(name), numeric, atol=1e-7 * np.abs(numeric).max())


def test_what_has_no_sensitivity_is_said():
    solution = implicit_solution((X, Y), 1.0)
    with pytest.raises(InputError, match="the name of a parameter, one of 'balancedness'"):
        sensitivity((X, Y), solution).by("alpha")
    with pytest.raises(InputError, match="a differentiable potential"):
        sensitivity((X, Y), implicit_solution((X, Y), potential=WeightedL1(np.ones(10))))
    with pytest.raises(InputError, match="a certified solution"):
        sensitivity((X, Y), implicit_solution((X, Y), 1e-8, max_iterations=1))
