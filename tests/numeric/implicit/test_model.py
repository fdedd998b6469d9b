"""The CVXPY route: next to Newton on a grid, extended by users, and refusing."""

import cvxpy as cp
import numpy as np
import pytest
import scipy.sparse as sp

from momentumflow import InputError
from momentumflow.numeric import ImplicitStatus, implicit_solution, sparse_regression
from momentumflow.numeric.implicit import (
    DepthEntropy,
    HyperbolicEntropy,
    ImplicitModel,
    KullbackLeibler,
    WeightedL2,
    model,
)

PROBLEM = sparse_regression(8, 20, 4, seed=1)


def test_within_1e8_of_newton_on_200_random_cases():
    rng = np.random.default_rng(7)
    refused = []
    for k in range(200):
        n = int(rng.integers(2, 13))
        d = int(rng.integers(n + 1, 2 * n + 6))
        X = rng.standard_normal((n, d))
        y = X @ rng.standard_normal(d)
        delta = 10.0 ** rng.uniform(-8, 2, d if k % 2 else 1)
        reference = None if k % 3 else rng.normal(0, 0.3, d)
        newton = implicit_solution((X, y), delta, reference)
        conic = implicit_solution((X, y), delta, reference, solver="cvxpy")
        assert newton.certified
        if not conic.certified:
            assert conic.status is ImplicitStatus.TRY_ANOTHER_SOLVER
            refused.append(k)
            continue
        size = np.linalg.norm(newton.theta)
        assert np.linalg.norm(conic.theta - newton.theta) <= 1e-8 * size
    assert len(refused) <= 2, refused


def test_the_raw_model_is_already_close():
    """Without the polish: the model itself is right, not only what is made of it."""
    extended = ImplicitModel(PROBLEM, 1e-3)
    solution = extended.solve()
    truth = implicit_solution(PROBLEM, 1e-3).theta
    assert np.abs(extended.theta.value - truth).max() < 1e-6
    np.testing.assert_allclose(solution.theta, truth, atol=1e-12)
    assert "Hyperbolic" in repr(extended) or "hyperbolic" in repr(extended)
    assert r"D_\psi" in extended._repr_latex_()


def test_an_answer_that_cannot_be_polished_is_refused(monkeypatch):
    """A solver that stops at once leaves a dual from which the end game does not start."""
    monkeypatch.setitem(model._CONIC_SOLVERS, "CLARABEL", {"max_iter": 2})
    solution = implicit_solution(PROBLEM, 1e-12, solver="cvxpy", cvxpy_solver="clarabel")
    assert solution.status is ImplicitStatus.TRY_ANOTHER_SOLVER
    assert np.isnan(solution.theta).all()
    assert "solver='newton'" in solution.status.value


@pytest.mark.parametrize(
    "potential", [KullbackLeibler(np.linspace(-1, 1, 20)), WeightedL2(np.linspace(1, 2, 20), 0.1)]
)
def test_other_potentials_have_a_conic_form(potential):
    y = PROBLEM.X @ np.linspace(0.1, 2, 20)
    newton = implicit_solution((PROBLEM.X, y), potential=potential)
    conic = implicit_solution((PROBLEM.X, y), potential=potential, solver="cvxpy")
    assert conic.certified
    np.testing.assert_allclose(conic.theta, newton.theta, atol=1e-10)


@pytest.mark.parametrize("delta", [10.0, 1e-2, 1e-8])
def test_user_constraints_satisfy_the_kkt_conditions(delta):
    free = implicit_solution(PROBLEM, delta)
    rng = np.random.default_rng(3)
    inside = free.theta + np.linalg.svd(PROBLEM.X)[2][8:].T @ rng.normal(0, 0.3, 12)
    middle = 0.5 * (free.theta + inside)
    extended = ImplicitModel(PROBLEM, delta)
    theta = extended.theta
    solution = extended.solve(
        [
            theta >= middle - 0.02,
            cp.sum(theta) <= middle.sum() + 0.01,
            theta[3] - 2 * theta[4] == middle[3] - 2 * middle[4],
        ]
    )
    assert solution.certified
    t, (lower, total, equal) = solution.theta, solution.multipliers
    assert np.abs(PROBLEM.X @ t - PROBLEM.y).max() < 1e-12
    assert np.all(t >= middle - 0.02 - 1e-12)
    assert t.sum() <= middle.sum() + 0.01 + 1e-12
    assert np.all(lower >= 0)
    assert np.count_nonzero(lower) > 0  # some constraint binds
    assert np.all(lower * (t - middle + 0.02) < 1e-9 * lower.max())
    # psi'(theta) = X^T nu + lower - total - equal (e_3 - 2 e_4)
    gradient = np.arcsinh(2 * t / delta) / 2
    pattern = np.zeros(20)
    pattern[[3, 4]] = 1, -2
    rest = gradient - lower + total + equal * pattern
    nu = np.linalg.lstsq(PROBLEM.X.T, rest, rcond=None)[0]
    np.testing.assert_allclose(PROBLEM.X.T @ nu, rest, atol=1e-10 * np.abs(gradient).max())
    # The added constraints cost something.
    assert solution.solution.objective > free.objective


def test_constraints_that_cannot_hold_or_be_certified():
    extended = ImplicitModel(PROBLEM, 1e-3)
    impossible = extended.solve([extended.theta >= 1, extended.theta <= 0.9])
    assert impossible.status is ImplicitStatus.RELAX_CONSTRAINTS
    assert np.isnan(impossible.theta).all()
    with pytest.raises(InputError, match=r"affine in model.theta.*Inequality, convex"):
        extended.solve([cp.norm(extended.theta) <= 5])
    with pytest.raises(InputError, match=r"affine in model.theta"):
        extended.solve([extended.theta <= cp.Variable(20)])


@pytest.mark.parametrize(
    ("hold", "received"),
    [
        (lambda t: t >= np.full(20, np.nan), "NaN or infinity"),
        (lambda t: t <= np.inf, "NaN or infinity"),
        (lambda t: sp.csr_array(np.full((1, 20), np.nan)) @ t == 1, "NaN or infinity"),
        (lambda t: t >= cp.Parameter(), "a parameter without a value"),
    ],
)
def test_constraints_without_a_finite_number_are_refused(hold, received):
    extended = ImplicitModel(PROBLEM, 1e-3)
    with pytest.raises(InputError, match=rf"constraints with finite numbers, received {received}"):
        extended.solve([hold(extended.theta)])
    parameter = cp.Parameter(value=-50.0)
    sums = sp.csr_array(np.ones((1, 20)))
    assert extended.solve([extended.theta >= parameter]).certified
    assert extended.solve([sums @ extended.theta <= 20.0]).certified


# Twice what a float holds lies between the weights or the columns of these problems.
FAR = [
    (([[1e178, 1e-9], [1e100, 1.0]], [1e178, 1e100]), WeightedL2([1e-55, 1e133])),
    (([[1e-150, 1e-140]], [1.0]), WeightedL2([1e130, 1e-160])),
    (([[1e-150, 1e150]], [1.0]), HyperbolicEntropy(0.0, 0.0)),
    (([[1e-150, 1e150]], [1.0]), KullbackLeibler(0.0)),
]


@pytest.mark.parametrize(("problem", "potential"), FAR)
def test_what_no_conic_solver_can_be_told_is_refused_by_status(problem, potential):
    """CVXPY ends such a model in a bare ValueError; the batch keeps its other answers."""
    alone = implicit_solution(problem, potential=potential, solver="cvxpy")
    assert alone.status is ImplicitStatus.TRY_ANOTHER_SOLVER
    X, y = (np.array(part) for part in problem)
    other = np.random.default_rng(0).uniform(1, 2, X.shape)
    both = implicit_solution(
        (np.stack([X, other]), np.stack([y, other.sum(axis=-1)])),
        potential=WeightedL2(np.stack([potential.broadcast_to((2,)).weights, np.ones(2)]))
        if isinstance(potential, WeightedL2)
        else potential,
        solver="cvxpy",
    )
    assert both.status[0] is ImplicitStatus.TRY_ANOTHER_SOLVER
    assert both.certified[1]


@pytest.mark.parametrize(("problem", "potential"), FAR)
def test_the_model_at_extreme_scales_ends_in_a_status(problem, potential):
    """Without added constraints only the certified route speaks; with them, no bare error."""
    extended = ImplicitModel(problem, potential=potential)
    assert extended.solve().status is implicit_solution(problem, potential=potential).status
    assert not extended.solve([extended.theta >= -1e200]).certified


def test_a_target_that_nothing_fits_is_refused_as_without_the_model():
    extended = ImplicitModel(([[1.0, 2.0], [2.0, 4.0]], [1.0, 3.0]), 1.0)
    with pytest.raises(InputError, match="y in the range of X"):
        extended.solve()


def test_missing_solvers_and_forms():
    with pytest.raises(InputError, match=r"cvxpy_solver to be one of the installed .*CLARABEL"):
        implicit_solution(PROBLEM, 1.0, solver="cvxpy", cvxpy_solver="nonesuch")
    with pytest.raises(InputError, match=r"a potential with a conic form.*depth entropy"):
        implicit_solution(
            PROBLEM, potential=DepthEntropy.from_scale(np.full(20, 0.5)), solver="cvxpy"
        )


def test_no_conic_solver_at_all(monkeypatch):
    monkeypatch.setattr(cp, "installed_solvers", list)
    with pytest.raises(InputError, match=r"an installed conic solver.*pip install clarabel"):
        implicit_solution(PROBLEM, 1.0, solver="cvxpy")


def test_another_installed_solver_is_polished_to_the_same_digits():
    solution = implicit_solution(PROBLEM, 0.1, solver="cvxpy", cvxpy_solver="SCS")
    assert solution.certified
    np.testing.assert_allclose(solution.theta, implicit_solution(PROBLEM, 0.1).theta, atol=1e-12)
