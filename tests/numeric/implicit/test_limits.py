"""The two limits, linear programs, and the regularisation path."""

import matplotlib as mpl
import numpy as np
import pytest
from scipy.optimize import linprog

from momentumflow import InputError
from momentumflow.numeric import ImplicitStatus, implicit_solution, sparse_regression
from momentumflow.numeric.implicit import (
    HyperbolicEntropy,
    KullbackLeibler,
    WeightedL1,
    lazy_limit,
    linear_program,
    regularisation_path,
    rich_limit,
)

mpl.use("agg")
PROBLEM = sparse_regression(20, 60, 5, seed=1)


def test_basis_pursuit_finds_the_sparse_teacher():
    solution = implicit_solution(PROBLEM, potential=WeightedL1(np.ones(60)))
    assert solution.certified
    assert solution.solver == "highs"
    np.testing.assert_allclose(solution.theta, PROBLEM.teacher, atol=1e-13)
    assert np.abs(PROBLEM.X.T @ solution.dual).max() <= 1 + 1e-12


def test_weights_and_signs_are_those_of_the_linear_program():
    rng = np.random.default_rng(2)
    up, down = rng.uniform(0.5, 2, 60), rng.uniform(0.5, 2, 60)
    problem = sparse_regression(20, 60, 18, seed=4)
    solution = implicit_solution(problem, potential=WeightedL1(up, down))
    other = linprog(
        np.r_[up, down], A_eq=np.c_[problem.X, -problem.X], b_eq=problem.y, method="highs-ipm"
    )
    assert solution.certified
    assert float(solution.objective) == pytest.approx(other.fun, rel=1e-9)


@pytest.mark.parametrize("balancedness", [1e-30, 1e-60, 1e-100])
def test_the_rich_limit_is_reached(balancedness):
    problem = sparse_regression(20, 60, 12, seed=1)
    entropy = HyperbolicEntropy.from_balancedness(np.full(60, balancedness))
    limit = implicit_solution(problem, potential=rich_limit(entropy))
    near = implicit_solution(problem, potential=entropy)
    far = implicit_solution(problem, 1e-4)
    distance = np.abs(near.theta - limit.theta).max()
    assert distance < 10 * balancedness**0.1
    assert np.abs(far.theta - limit.theta).max() > 100 * balancedness**0.1


def test_unequal_balancedness_becomes_unequal_weights():
    problem = sparse_regression(10, 30, 9, seed=3)
    # Orders of magnitude that differ: the limit is a weighted norm.
    log_delta = -np.log(10) * np.linspace(100, 300, 30)
    entropy = HyperbolicEntropy(log_delta, np.zeros(30))
    limit = implicit_solution(problem, potential=rich_limit(entropy))
    plain = implicit_solution(problem, potential=WeightedL1(np.ones(30)))
    near = implicit_solution(problem, potential=entropy)
    np.testing.assert_allclose(near.theta, limit.theta, atol=1e-6)
    assert np.abs(limit.theta - plain.theta).max() > 1e-2


def test_the_lazy_limit_is_reached_quadratically():
    distances = []
    for delta in (1e2, 1e3, 1e4):
        entropy = HyperbolicEntropy.from_balancedness(np.linspace(delta, 2 * delta, 60), 0.1)
        limit = implicit_solution(PROBLEM, potential=lazy_limit(entropy))
        near = implicit_solution(PROBLEM, potential=entropy)
        distances.append(np.abs(near.theta - limit.theta).max())
    ratios = np.array(distances[:-1]) / distances[1:]
    np.testing.assert_allclose(ratios, 100, rtol=0.05)


def test_entropic_linear_programs_converge_exponentially_to_highs():
    """Wang, Ghosal, Mazumder, arXiv 2310.02535: the bias falls like exp(-gap/temperature)."""
    rng = np.random.default_rng(0)
    A, cost = rng.random((15, 40)), rng.random(40)
    b = A @ rng.random(40)
    truth = linprog(cost, A_eq=A, b_eq=b, method="highs")
    problem, potential = linear_program(cost, A, b, [0.1, 0.01, 1e-3, 1e-5])
    solution = implicit_solution(problem, potential=potential)
    assert np.all(solution.certified)
    excess = solution.theta @ cost - truth.fun
    assert np.all(solution.theta >= 0)
    assert excess[0] > excess[1] > 1e-4
    assert abs(excess[2]) < 1e-9
    np.testing.assert_allclose(solution.theta[3], truth.x, atol=1e-9)


def test_an_infeasible_positive_problem_is_said_to_be():
    rng = np.random.default_rng(0)
    A = rng.random((4, 10))
    problem = (A, np.stack([A @ rng.random(10), -A @ rng.random(10)]))
    solution = implicit_solution(problem, potential=KullbackLeibler(np.zeros(10)))
    assert list(solution.status) == [ImplicitStatus.CERTIFIED, ImplicitStatus.RELAX_CONSTRAINTS]
    assert np.isfinite(solution.theta[0]).all()
    assert np.isnan(solution.theta[1]).all()


def test_no_rich_limit_above_one():
    with pytest.raises(InputError, match="w_pm\\^2 < 1 for the rich limit"):
        rich_limit(HyperbolicEntropy.from_balancedness(2.0))


def test_the_path_runs_from_basis_pursuit_to_least_norm():
    path = regularisation_path(PROBLEM)
    assert np.all(path.solutions.certified)
    assert path.theta.shape == (61, 60)
    # Towards the rich end the l1 norm falls, towards the kernel end the l2 norm.
    assert np.all(np.diff(path.l1_excess) > -1e-12)
    assert np.all(np.diff(path.l2_excess) < 1e-12)
    assert path.l1_excess[0] < 1e-2
    assert path.l2_excess[-1] < 1e-12
    np.testing.assert_allclose(path.theta[-1], PROBLEM.least_norm_solution, atol=1e-7)
    with pytest.raises(InputError, match="expected one problem"):
        regularisation_path(sparse_regression(4, 9, 2, batch=(2,)))


def test_the_path_is_drawn_with_both_limits():
    path = regularisation_path(PROBLEM, np.geomspace(1e-6, 1e2, 9))
    figure = path.plot()
    left, right = figure.axes
    drawn = np.array([line.get_ydata() for line in left.lines if len(line.get_xdata()) == 9])
    np.testing.assert_array_equal(np.sort(drawn, axis=0), np.sort(path.theta.T, axis=0))
    marks = [line for line in left.lines if len(line.get_xdata()) == 1]
    assert len(marks) == 10  # two for each of the five that basis pursuit selects
    assert left.get_xlabel() == "balancedness Δ"
    assert len(right.lines) == 2
