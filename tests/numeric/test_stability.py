"""The sharpness against a Hessian that SymPy differentiates, and against runs nearby."""

import numpy as np
import pytest
import sympy as sp

from momentumflow.base.errors import InputError
from momentumflow.numeric import Regression, momentum_descent, sharpness, sparse_regression


def hessian(problem, u, v):
    """The Hessian of |X (u v) - y|^2 / (2 n), by SymPy."""
    n, d = problem.X.shape
    us, vs = sp.symbols(f"u:{d}"), sp.symbols(f"v:{d}")
    theta = sp.Matrix([a * b for a, b in zip(us, vs, strict=True)])
    residual = sp.Matrix(problem.X) * theta - sp.Matrix(problem.y)
    loss = residual.dot(residual) / (2 * n)
    at = dict(zip((*us, *vs), (*u, *v), strict=True))
    return np.array(sp.hessian(loss, (*us, *vs)).subs(at), dtype=float)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_is_the_largest_eigenvalue_of_the_hessian(seed):
    rng = np.random.default_rng(seed)
    X, u, v = rng.standard_normal((2, 3)), rng.standard_normal(3), rng.standard_normal(3)
    problem = Regression(X, X @ (u * v))
    exact = np.linalg.eigvalsh(hessian(problem, u, v)).max()
    assert sharpness(problem, u * v, np.abs(u**2 - v**2)) == pytest.approx(exact, rel=1e-12)
    # Negative control: without the balancedness it is another number.
    assert sharpness(problem, u * v, np.zeros(3)) < (1 - 1e-3) * exact


def test_a_batch_gives_what_its_problems_give():
    problem = sparse_regression(3, 5, 2, seed=0, batch=(2,))
    theta, delta = np.ones((2, 5)), np.full((2, 5), 0.3)
    single = [
        sharpness(Regression(X, y), t, q)
        for X, y, t, q in zip(problem.X, problem.y, theta, delta, strict=True)
    ]
    np.testing.assert_allclose(sharpness(problem, theta, delta), single, rtol=1e-14)


@pytest.mark.parametrize(("share", "stays"), [(0.99, True), (1.01, False)])
def test_heavy_ball_stays_at_a_solution_just_below_the_limit(share, stays):
    """A run that starts beside a solution stays there, or leaves it."""
    beta = 0.7
    problem = Regression([[1.0, 2.0]], [2.5])
    u, v = np.array([0.9, 1.3]), np.array([0.5 / 0.9, 1.0 / 1.3])
    largest = float(sharpness(problem, u * v, np.abs(u**2 - v**2)))
    gamma = share * 2 * (1 + beta) / largest
    run = momentum_descent(
        problem, gamma, beta, (u * (1 + 1e-6), v), max_steps=300, tol=None, record_every=1
    )
    assert run.path is not None
    away = problem.residual(run.path.theta)
    # Above the bound the run goes away; where it goes, to a flatter solution, is its affair.
    assert (away.max() < 10 * away[0]) == stays
    assert (away.max() > 1e3 * away[0]) != stays


@pytest.mark.parametrize(
    ("theta", "delta", "sentence"),
    [
        ([1.0], [0.1, 0.1], r"expected theta with a last axis of 2, received shape \(1,\)."),
        ([1.0, 1.0], [0.1, -1.0], "expected balancedness >= 0, received balancedness = -1."),
        ([1.0, np.nan], [0.1, 0.1], "expected finite values in theta, received 1 NaN or infinite"),
    ],
)
def test_bad_input_is_one_sentence(theta, delta, sentence):
    with pytest.raises(InputError, match=sentence):
        sharpness(Regression([[1.0, 2.0]], [2.5]), theta, delta)
