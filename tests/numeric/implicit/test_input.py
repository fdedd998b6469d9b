"""One clear sentence for each kind of bad input."""

import numpy as np
import pytest

from momentumflow import InputError
from momentumflow.numeric import HyperbolicEntropy, Regression, implicit_solution, sparse_regression
from momentumflow.numeric.implicit import WeightedL2, nearest_consistent_target

PROBLEM = sparse_regression(5, 12, 2, seed=0)
X, Y = PROBLEM.X, PROBLEM.y
WITH_NAN = np.where(np.arange(12) == 3, np.nan, 1.0)


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        ((PROBLEM, 0.0), {}, "expected balancedness > 0, received balancedness = 0."),
        ((PROBLEM, -1.0), {}, "expected balancedness > 0, received balancedness = -1."),
        (
            (PROBLEM, WITH_NAN),
            {},
            "expected finite values in balancedness, received 1 NaN or infinite of 12; "
            "clean or impute them first.",
        ),
        (
            (PROBLEM, np.ones(11)),
            {},
            "expected parameters of the potential with one entry for each of the 12 columns "
            "of X, received shape (11,).",
        ),
        (
            (PROBLEM, np.ones((2, 12)), np.ones((3, 12))),
            {},
            "expected leading axes that broadcast against each other, received balancedness "
            "(2, 12), reference (3, 12); make the batch axes equal or 1.",
        ),
        (
            (PROBLEM, 1.0, WITH_NAN),
            {},
            "expected finite values in reference, received 1 NaN or infinite of 12; "
            "clean or impute them first.",
        ),
        (
            (PROBLEM,),
            {},
            "expected exactly one of balancedness and log_balancedness, received neither.",
        ),
        (
            (PROBLEM, 1.0),
            {"log_balancedness": 0.0},
            "expected exactly one of balancedness and log_balancedness, received both.",
        ),
        (
            (PROBLEM, 1.0, 0.0),
            {"shift": 0.0},
            "expected at most one of reference and shift, received both.",
        ),
        (
            (PROBLEM, 1.0),
            {"potential": HyperbolicEntropy.from_balancedness(1.0)},
            "expected either a potential or a balancedness and reference, received both; "
            "drop one of them.",
        ),
        (
            (PROBLEM, 1.0),
            {"solver": "simplex"},
            "expected solver to be one of 'newton', 'cvxpy', received 'simplex'.",
        ),
        ((PROBLEM, 1.0), {"tolerance": 0}, "expected tolerance > 0, received tolerance = 0."),
        (
            (PROBLEM, 1.0),
            {"max_iterations": 0},
            "expected max_iterations >= 1, received max_iterations = 0.",
        ),
        (("X", 1.0), {}, "expected problem as a Regression or a pair (X, y), received 'X'."),
        (
            ((X, Y[:4]), 1.0),
            {},
            "expected y with one entry for each of the 5 rows of X, received y of shape (4,).",
        ),
        (
            ((X[:0], Y[:0]), 1.0),
            {},
            "expected X with at least one row and one column, received X of shape (0, 12).",
        ),
        (
            ((np.where(X > 1, np.inf, X), Y), 1.0),
            {},
            f"expected finite values in X, received {(X > 1).sum()} NaN or infinite of 60; "
            "clean or impute them first.",
        ),
    ],
)
def test_sentences(arguments, options, sentence):
    with pytest.raises(InputError) as caught:
        implicit_solution(*arguments, **options)
    assert str(caught.value) == sentence


def test_a_target_outside_the_range_is_never_silently_solved():
    double, noisy = np.vstack([X, X[:1]]), np.r_[Y, Y[0] + 1e-3]
    with pytest.raises(InputError, match=r"expected y in the range of X.*relative distance"):
        implicit_solution((double, noisy), 1.0)
    near = nearest_consistent_target(double, noisy)
    solution = implicit_solution((double, near), 1.0)
    assert solution.certified
    assert solution.rank == 5
    # It is the nearest: the two copies of the row meet in the middle.
    assert near[0] == pytest.approx(Y[0] + 5e-4)
    assert near[-1] == pytest.approx(Y[0] + 5e-4)
    same = Regression.nearest_consistent(double, noisy)
    np.testing.assert_allclose(near, same.y, atol=1e-14)


def test_a_start_of_the_wrong_size():
    other = implicit_solution(sparse_regression(4, 12, 2, seed=0), 1.0)
    with pytest.raises(InputError, match="a start with a dual of 5 entries"):
        implicit_solution(PROBLEM, 1.0, start=other)


def test_importing_the_solver_imports_no_sympy_and_no_cvxpy():
    import subprocess
    import sys

    code = (
        "import sys; from momentumflow.numeric import implicit_solution, sparse_regression; "
        "implicit_solution(sparse_regression(3, 6, 1), 1.0); "
        "print([m for m in ('sympy', 'cvxpy', 'matplotlib', 'flint') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("scale", "potential"),
    [(1e-180, WeightedL2([1e160, 1e-4])), (1e160, WeightedL2([1e-170, 1.0]))],
)
def test_parameters_lost_in_the_units_of_the_solution_are_named_as_such(scale, potential):
    """1e160 is a finite weight: it is not in units in which theta is of order one."""
    with pytest.raises(InputError, match="still holds in units of the solution, received a weigh"):
        implicit_solution(([[scale, 1e-14]], [1e-14]), potential=potential)
