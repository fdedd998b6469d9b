"""Other designs for a sparse problem: a mean, correlated columns, real features."""

from __future__ import annotations

from functools import cache

import numpy as np

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import FloatArray
from momentumflow.base.choices import Design
from momentumflow.base.errors import InputError
from momentumflow.numeric.data.problems import Regression, diabetes_features

# correlation of neighbouring columns; it falls off geometrically
CORRELATION = 0.7


@checked
def redesigned(problem: Regression, design: Design, seed: np.random.Generator) -> Regression:
    """Return a problem with its teacher, noise and sizes on another design.

    Parameters
    ----------
    problem : Regression
        One problem or a batch, drawn by `sparse_regression`.
    design : {"centred", "mean-one", "correlated", "diabetes"}
        "centred" is the problem itself. "mean-one" adds one to every entry of X and takes
        the absolute value of the teacher. "correlated" mixes the columns so that those at
        distance k have the correlation 0.7^k. "diabetes" takes random patients and
        features of scikit-learn's diabetes data with all pairwise products, standardised.
    seed : numpy.random.Generator
        Chooses patients and features.

    Returns
    -------
    Regression

    Raises
    ------
    InputError
        A problem without teacher, a batch on real data, or more columns than that has.
    """
    teacher = problem.teacher
    if teacher is None or (design == "diabetes" and problem.batch_shape):
        raise InputError("a problem with a teacher, a single one for real data", repr(problem))
    if design == "centred":
        return problem
    noise = problem.y - _applied(problem.X, teacher)
    if design == "mean-one":
        X, teacher = problem.X + 1.0, np.abs(teacher)
    elif design == "correlated":
        X = problem.X @ _mixing(problem.d)
    else:
        X = _drawn(problem.n, problem.d, seed)
    y = _applied(X, teacher) + noise
    return Regression(X, y, name=f"{design} {problem.name}", teacher=teacher)


def _applied(X: FloatArray, theta: FloatArray) -> FloatArray:
    return np.einsum("...nd,...d->...n", X, theta)


def _mixing(d: int) -> FloatArray:
    """Return the matrix that gives independent columns the correlations, shape (d, d)."""
    distance = np.abs(np.subtract.outer(np.arange(d), np.arange(d)))
    return np.asarray(np.linalg.cholesky(CORRELATION**distance).T, dtype=np.float64)


def _drawn(n: int, d: int, rng: np.random.Generator) -> FloatArray:
    features = _real()
    if d > features.shape[1] or n > features.shape[0]:
        raise InputError(
            f"at most {features.shape[0]} rows and {features.shape[1]} columns of the diabetes "
            "data",
            f"n = {n}, d = {d}",
        )
    rows = rng.choice(features.shape[0], n, replace=False)
    columns = rng.choice(features.shape[1], d, replace=False)
    drawn: FloatArray = features[np.ix_(rows, columns)]
    return drawn


@cache
def _real() -> FloatArray:
    X = diabetes_features().X
    X.flags.writeable = False
    return X
