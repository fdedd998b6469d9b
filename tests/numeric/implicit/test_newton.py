"""The dual Newton method against 50-digit arithmetic, and the laws of the problem."""

import mpmath
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings, strategies as st
from scipy.sparse.linalg import aslinearoperator

from momentumflow.numeric import (
    HyperbolicEntropy,
    ImplicitStatus,
    diabetes_regression,
    implicit_solution,
    sparse_regression,
)
from momentumflow.numeric.implicit import KullbackLeibler, newton

PROBLEM = sparse_regression(20, 30, 5, seed=1)


def small(seed, n=4, d=9):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return rng, X, X @ rng.standard_normal(d)


@pytest.mark.parametrize("exponent", [-30, -20, -12, -8, -4, -2, 0, 2, 6, 12])
def test_twelve_digits_over_the_whole_range(exponent, exact_solution, distance):
    rng, X, y = small(exponent + 40)
    log_delta = np.log(10.0) * exponent + rng.uniform(-1, 1, 9)
    shift = rng.uniform(-0.5, 0.5, 9)
    solution = implicit_solution((X, y), log_balancedness=log_delta, shift=shift)
    exact = exact_solution(X, y, log_delta, shift, solution.dual)
    assert solution.certified
    assert distance(solution.theta, exact) < 1e-12
    assert distance(solution.theta, exact) < 20 * solution.error + 1e-15
    # Negative control: one per mille in Delta is another solution, seen at once.
    other = implicit_solution((X, y), log_balancedness=log_delta + 1e-3, shift=shift)
    assert distance(other.theta, exact) > 1e-9 or abs(exponent) > 3


def test_twelve_digits_where_every_regime_is_mixed(exact_solution, distance):
    rng, X, y = small(3, 5, 12)
    log_delta = np.log(10.0) * np.linspace(-30, 12, 12)
    solution = implicit_solution((X, y), log_balancedness=log_delta, shift=rng.normal(0, 0.3, 12))
    exact = exact_solution(X, y, log_delta, solution.potential.shift, solution.dual)
    assert distance(solution.theta, exact) < 1e-12


def test_balancedness_and_reference_are_the_logarithms_of_the_trajectory():
    delta, reference = np.full(30, 1e-4), np.linspace(-0.2, 0.2, 30)
    a = implicit_solution(PROBLEM, delta, reference)
    shift = [float(mpmath.asinh(2 * mpmath.mpf(r) / mpmath.mpf(1e-4))) for r in reference]
    b = implicit_solution(PROBLEM, log_balancedness=np.log(delta), shift=shift)
    np.testing.assert_allclose(a.theta, b.theta, rtol=0, atol=1e-13)


def test_a_shift_reaches_where_a_reference_point_cannot():
    # theta_tilde_0 = (Delta/2) sinh(s) overflows float64 here; ln Delta and s do not.
    solution = implicit_solution(PROBLEM, log_balancedness=-2000.0, shift=3.0)
    assert solution.certified
    least = np.abs(implicit_solution(PROBLEM, 1e-30).theta).sum()
    assert np.abs(solution.theta).sum() <= least * (1 + 1e-12)


@pytest.mark.parametrize("delta", [1e12, 1.0, 1e-4, 1e-8, 1e-30])
def test_rank_deficient_data_are_solved_on_the_range(delta):
    problem = diabetes_regression()
    newton = implicit_solution(problem, delta)
    conic = implicit_solution(problem, delta, solver="cvxpy")
    assert newton.rank == conic.rank == 39
    assert newton.certified
    assert conic.certified
    gap = np.linalg.norm(newton.theta - conic.theta) / np.linalg.norm(newton.theta)
    assert gap < 1e-10
    assert np.max(problem.residual(newton.theta)) < 1e-12


def test_a_batch_is_its_members():
    batch = sparse_regression(6, 14, 3, seed=5, batch=(3, 2))
    delta = np.geomspace(1e-12, 1e3, 2)
    together = implicit_solution(batch, delta[:, None], 0.01)
    assert together.theta.shape == (3, 2, 14)
    assert together.status.shape == together.gap.shape == (3, 2)
    assert np.all(together.certified)
    for i, j in np.ndindex(3, 2):
        alone = implicit_solution((batch.X[i, j], batch.y[i, j]), delta[j], 0.01)
        np.testing.assert_allclose(together.theta[i, j], alone.theta, rtol=0, atol=1e-13)


def test_one_matrix_with_many_parameters_and_targets():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((5, 12))
    y = rng.standard_normal((4, 1, 5))
    delta = np.geomspace(1e-6, 10, 3)[:, None]
    together = implicit_solution((X, y), delta)
    assert together.theta.shape == (4, 3, 12)
    alone = implicit_solution((X, y[2, 0]), delta[1])
    np.testing.assert_allclose(together.theta[2, 1], alone.theta, rtol=0, atol=1e-13)


def test_a_thousand_problems_of_the_papers_size_are_all_certified():
    batch = sparse_regression(20, 30, 5, seed=9, batch=(1000,))
    solution = implicit_solution((batch.X, batch.y), 1e-8)
    assert np.all(solution.certified)
    assert float(solution.error.max()) < 1e-12


def test_a_warm_start_saves_factorisations():
    near = implicit_solution(PROBLEM, 1e-4)
    cold = implicit_solution(PROBLEM, 1.01e-4)
    warm = implicit_solution(PROBLEM, 1.01e-4, start=near)
    assert warm.iterations < cold.iterations
    np.testing.assert_allclose(warm.theta, cold.theta, rtol=0, atol=1e-13)


def test_too_few_iterations_are_no_result():
    solution = implicit_solution(PROBLEM, 1e-8, max_iterations=3)
    assert solution.status is ImplicitStatus.RAISE_MAX_ITERATIONS
    assert not solution.certified
    assert np.isnan(solution.theta).all()
    assert "max_iterations" in solution.status.value


def test_at_1e12_it_is_the_least_norm_solution():
    solution = implicit_solution(PROBLEM, 1e12)
    np.testing.assert_allclose(solution.theta, PROBLEM.least_norm_solution, rtol=0, atol=1e-13)


@given(
    seed=st.integers(0, 10**6),
    exponent=st.floats(-25, 6),
    log_scale=st.floats(-8, 8),
)
@settings(max_examples=25, deadline=None)
def test_laws_of_the_problem(seed, exponent, log_scale):
    """Scaling, sign, permutation and row operations act as the mathematics says."""
    rng, X, y = small(seed, 5, 11)
    delta, reference = 10**exponent, rng.normal(0, 0.1, 11)
    base = implicit_solution((X, y), delta, reference)
    assert base.certified

    def close(theta):
        np.testing.assert_allclose(theta, base.theta, rtol=0, atol=1e-11 * np.abs(base.theta).max())

    c = 10**log_scale
    close(implicit_solution((X, c * y), c * delta, c * reference).theta / c)
    close(-implicit_solution((X, -y), delta, -reference).theta)
    order = rng.permutation(11)
    close(implicit_solution((X[:, order], y), delta, reference[order]).theta[np.argsort(order)])
    mix = rng.standard_normal((5, 5)) + 3 * np.eye(5)
    mixed = implicit_solution((mix @ X, mix @ y), delta, reference)
    if np.linalg.cond(mix) < 1e3:
        close(mixed.theta)


@given(seed=st.integers(0, 10**6), exponent=st.floats(-20, 4))
@settings(max_examples=25, deadline=None)
def test_no_other_interpolator_is_nearer(seed, exponent):
    """The divergence of any other feasible point is larger (Pythagoras)."""
    rng, X, y = small(seed, 4, 9)
    solution = implicit_solution((X, y), 10**exponent, 0.02)
    null = np.linalg.svd(X)[2][4:]
    other = solution.theta + null.T @ rng.normal(0, 10 ** rng.uniform(-3, 0), 5)
    assert solution.potential.divergence(other).sum() > solution.objective


def test_a_search_that_no_step_advances_is_given_up(monkeypatch):
    """Steps that no length makes acceptable repeat themselves."""
    _, X, y = small(0)
    stuck = lambda stage, z, *_: (np.full(len(z), 2.0**-60), np.ones(len(z), dtype=bool))
    monkeypatch.setattr(newton, "_line_search", stuck)
    solution = implicit_solution((X, y), 1e-6, max_iterations=300)
    assert solution.status is ImplicitStatus.RAISE_MAX_ITERATIONS
    assert solution.iterations < 100


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, aslinearoperator])
def test_columns_of_any_size_are_solved_as_readily(kind):
    """The search goes along the dual: scales of the columns have no part in its slope."""
    rng, X, _ = small(1)
    for _ in range(5):
        theta = np.exp(rng.standard_normal(9))
        units = 10.0 ** rng.uniform(-8, 8, 9)
        entropy = HyperbolicEntropy(np.log(theta / units) + rng.normal(0, 8, 9), np.zeros(9))
        assert implicit_solution((kind(X * units), X @ theta), potential=entropy).certified
        units = 10.0 ** rng.uniform(-2, 2, 9)
        divergence = KullbackLeibler(np.log(theta / units) + rng.normal(0, 2, 9))
        assert implicit_solution((kind(X * units), X @ theta), potential=divergence).certified
