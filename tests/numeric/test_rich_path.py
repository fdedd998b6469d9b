"""Where the flow goes from a vanishing start: a theorem without momentum, a conjecture with it.

Held against a linear program where it is a theorem, against numbers by hand for one row,
and against flows from 1e-80, which know nothing of the path.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from momentumflow import InputError
from momentumflow.numeric import (
    Regression,
    momentum_flow,
    rich_path,
    sign_change_bound,
    sparse_regression,
)

# the example of the claim not-basis-pursuit, just below its bound on signs
X = [[0.546124, -1.329904, -0.503165], [0.380812, -0.403209, 0.386567]]
Y = [-0.825094, -0.511488]
EXAMPLE = 0.3706


def _least_l1(problem):
    peer = linprog(
        np.ones(2 * problem.d), A_eq=np.hstack([problem.X, -problem.X]), b_eq=problem.y,
        bounds=(0, None),
    )  # fmt: skip
    return peer.fun


def _drawn(n, d, seed):
    rng = np.random.default_rng([n, d, seed])
    return Regression(rng.standard_normal((n, d)), rng.standard_normal(n))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("n", "d"), [(2, 4), (4, 9), (10, 30)])
def test_without_momentum_the_path_ends_at_the_least_l1_norm(n, d, seed):
    problem = _drawn(n, d, seed)
    path = rich_path(problem, 0.0)
    assert np.abs(problem.X @ path.limit - problem.y).max() < 1e-9
    assert np.abs(path.limit).sum() == pytest.approx(_least_l1(problem), rel=1e-9)
    assert np.all(np.diff(path.time) > 0)
    # what is left of the loss falls from saddle to saddle
    assert np.all(np.diff(problem.loss(path.theta)) < 0)


def test_one_row_by_hand():
    """g = -1 and -1/2: ln w_+ grows at r, lambda r^2 + r = 1, and shrinks at s, l s^2 + s = -1."""
    lam = 0.2
    path = rich_path(Regression([[1.0, 0.5]], [1.0]), lam)
    up, down = ((np.sqrt(1 + s * 4 * lam) - 1) / (2 * lam) for s in (1, -1))
    assert path.time == pytest.approx([1 / up])
    assert path.limit.tolist() == [1.0, 0.0]
    assert path.log_weights[0, :, 0] == pytest.approx([0.0, -1 + down / up])


def test_with_momentum_the_example_is_not_basis_pursuit():
    problem = Regression(X, Y)
    least = _least_l1(problem)
    excess = [np.abs(rich_path(problem, lam).limit).sum() / least - 1 for lam in (0.0, EXAMPLE)]
    assert excess[0] == pytest.approx(0, abs=1e-9)
    assert excess[1] == pytest.approx(0.0368, abs=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("n", "d"), [(2, 3), (4, 10)])
def test_flows_approach_the_path_as_the_start_vanishes(n, d, share):
    """The distance of the logarithms is of order 1/ln(1/alpha): it halves from 1e-20 to 1e-40."""
    for seed in range(4):
        problem = _drawn(n, d, seed)
        lam = share * float(sign_change_bound(problem).lam)
        path = rich_path(problem, lam)
        gaps = []
        for alpha in (1e-20, 1e-40):
            run = momentum_flow(problem, lam, alpha, tol=1e-8, t_max=1e6)
            ends = np.log(np.abs([run.w_plus, run.w_minus])) / np.log(1 / alpha)
            gaps.append(np.abs(ends - path.log_weights[-1]).max())
        assert gaps[1] < 0.6 * gaps[0]
        # the path of gradient flow is another one
        if share:
            other = rich_path(problem, 0.0)
            assert np.abs(ends - other.log_weights[-1]).max() > 2 * gaps[1]


def test_units_do_not_matter():
    problem = sparse_regression(4, 9, 3, seed=2)
    lam = 0.7 * float(sign_change_bound(problem).lam)
    path = rich_path(problem, lam)
    for a, b in ((1e-9, 1e6), (1e7, 1e-12)):
        scaled = Regression(a * problem.X, b * problem.y)
        unit = a * b  # of the gradient: lambda times it stays
        other = rich_path(scaled, lam / unit)
        assert other.limit * a / b == pytest.approx(path.limit, rel=1e-8, abs=1e-12)
        assert other.time * unit == pytest.approx(path.time, rel=1e-8)


def test_wrong_calls_are_refused():
    problem = Regression([[1.0, 0.5]], [1.0])
    with pytest.raises(InputError, match="no weight changes sign on the path"):
        rich_path(problem, 0.26)
    with pytest.raises(InputError, match="single problem"):
        rich_path(sparse_regression(3, 6, 2, seed=0, batch=(2,)), 0.1)
    with pytest.raises(InputError, match="general position"):
        rich_path(Regression([[1.0, 1.0]], [1.0]), 0.1)
