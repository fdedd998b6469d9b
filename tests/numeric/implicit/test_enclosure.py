"""Rigorous enclosures: true ones hold, false ones are exposed, nothing certified is wrong."""

import dataclasses
import pickle

import mpmath
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, event, given, settings, strategies as st

from momentumflow import InputError
from momentumflow.numeric import diabetes_regression, implicit_solution, sparse_regression
from momentumflow.numeric.implicit import KullbackLeibler, enclose


@pytest.mark.parametrize("exponent", [-30, -8, 0, 12])
def test_balls_contain_the_50_digit_solution(exponent, exact_solution):
    rng = np.random.default_rng(exponent + 50)
    X = rng.standard_normal((4, 9))
    y = X @ rng.standard_normal(9)
    solution = implicit_solution((X, y), log_balancedness=np.log(10) * exponent, shift=0.2)
    exact = exact_solution(X, y, np.log(10) * exponent, 0.2, solution.dual)
    proof = enclose((X, y), solution, digits=40)
    assert proof.proved
    assert proof.digits >= 40
    with mpmath.workdps(60):
        size = max(abs(e) for e in exact)
        for ball, e in zip(proof.balls, exact, strict=True):
            middle = mpmath.mpf(ball.mid().str(60, radius=False))
            # The oracle has 50 digits of its own.
            assert abs(middle - e) <= size * (mpmath.mpf(10) ** -45)
        true = max(
            abs(mpmath.mpf(float(t)) - e) for t, e in zip(solution.theta, exact, strict=True)
        )
        assert true <= mpmath.mpf(proof.radius) <= 2 * true + 1e-25
    assert mpmath.mpf(proof.decimal(0)) == pytest.approx(solution.theta[0], rel=1e-9)


def test_it_needs_no_help_from_the_returned_point():
    """A point that was moved is not blessed: the radius says how far it is."""
    problem = sparse_regression(6, 15, 3, seed=1)
    solution = implicit_solution(problem, 1e-4)
    moved = dataclasses.replace(solution, theta=solution.theta + 1e-6)
    proof = enclose(problem, moved)
    assert proof.proved
    assert proof.radius == pytest.approx(1e-6, rel=1e-6)


def test_kullback_leibler_and_a_rank_deficient_design():
    rng = np.random.default_rng(1)
    X = rng.random((4, 10))
    solution = implicit_solution((X, X @ rng.random(10)), potential=KullbackLeibler(np.zeros(10)))
    itself = (X, X @ np.ones(10))  # the reference point is feasible
    same = implicit_solution(itself, potential=KullbackLeibler(np.zeros(10)))
    assert enclose(itself, same).relative_radius < 1e-14
    assert enclose((X, X @ solution.theta), solution).proved
    problem = diabetes_regression()
    proof = enclose(problem, implicit_solution(problem, 1e-3))
    assert proof.proved
    assert proof.rows.size == 39
    assert proof.relative_radius < 1e-11


@st.composite
def nasty(draw):
    """Problems of full rank with graded columns, near-duplicates and mixed regimes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 5))
    d = draw(st.integers(n + 1, n + 6))
    X = rng.standard_normal((n, d))
    X *= 10.0 ** (draw(st.floats(0, 3)) * rng.standard_normal(d))
    X *= 10.0 ** (draw(st.floats(0, 3)) * rng.standard_normal((n, 1)))
    if n > 1 and draw(st.booleans()):
        X[-1] = X[0] + 10.0 ** -draw(st.floats(0, 12)) * X[-1]
    if draw(st.booleans()):
        X[:, -1] = X[:, 0] * (1 + 10.0 ** -draw(st.floats(0, 16)))
    theta = rng.standard_normal(d) * (rng.random(d) < draw(st.floats(0.2, 1)))
    theta[0] += 1
    low = draw(st.floats(-30, 12))
    exponent = rng.uniform(low, draw(st.floats(low, 12)), d)
    reference = draw(st.sampled_from([0.0, 1e-6, 1.0])) * rng.standard_normal(d)
    return X, X @ theta, 10.0**exponent, reference


@given(nasty())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_certified_is_wrong(case):
    """The hunt: whatever is certified must be enclosed within ten tolerances."""
    X, y, delta, reference = case
    try:
        solution = implicit_solution((X, y), delta, reference)
    except InputError as error:
        # Rounding of y = X theta, seen through a nearly singular X, can leave its range.
        if "in the range of X" not in str(error):
            raise
        event("refused as inconsistent")
        return
    event(f"status {solution.status.name}")
    assume(solution.certified)
    proof = enclose((X, y), solution, digits=20)
    event(f"full rank {solution.rank == X.shape[0]}")
    assert proof.proved
    # On a numerically rank-deficient X the exact problem of the float64 rows is
    # another one; there only the chosen rows are compared.
    if solution.rank == X.shape[0]:
        assert proof.relative_radius < 1e-8


def test_what_cannot_be_enclosed_is_said():
    problem = sparse_regression(6, 15, 3, seed=1)
    batch = sparse_regression(6, 15, 3, seed=1, batch=(2,))
    with pytest.raises(InputError, match="expected one problem"):
        enclose(batch, implicit_solution(batch, 1.0))
    refused = implicit_solution(problem, 1e-8, max_iterations=1)
    with pytest.raises(InputError, match="expected a certified solution"):
        enclose(problem, refused)


def test_dependent_rows_taken_for_independent_prove_nothing():
    """The dual equation is singular: there is no isolated zero to enclose."""
    X = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]])
    y = np.array([1.0, 2.0])
    solution = implicit_solution((X, y), 0.5)
    assert solution.rank == 1
    assert enclose((X, y), solution).proved
    proof = enclose((X, y), dataclasses.replace(solution, rank=2))
    assert not proof.proved
    assert proof.radius == np.inf
    assert repr(proof) == "Enclosure(proved=False)"
    assert pickle.loads(pickle.dumps(proof)) == proof


def test_balls_survive_pickling_exactly():
    X = np.array([[1.0, 2.0, 3.0]])
    solution = implicit_solution((X, np.ones(1)), 0.5)
    proof = enclose((X, np.ones(1)), solution, digits=50)
    twin = pickle.loads(pickle.dumps(proof))
    assert twin == proof
    assert twin.intervals == proof.intervals
    assert twin.decimal(1) == proof.decimal(1)
    # and the balls made of them hold the intervals
    for ball, (middle, radius) in zip(twin.balls, proof.intervals, strict=True):
        assert ball.mid().man_exp() == middle
        grown = ball.rad().man_exp()
        assert float(grown[0]) * 2.0 ** float(grown[1]) >= float(radius[0]) * 2.0 ** float(
            radius[1]
        )
