"""How sharp the loss of the diagonal network is where it is zero."""

from __future__ import annotations

import numpy as np

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import FloatArray, NonNegative, Vector, floats
from momentumflow.base.errors import InputError
from momentumflow.numeric.data.problems import Regression


@checked
def sharpness(problem: Regression, theta: Vector, balancedness: NonNegative) -> FloatArray:
    r"""Return the largest eigenvalue of the Hessian of the loss in (u, v), where X theta = y.

    At an interpolating solution the Hessian is `J^T X^T X J / n` with
    `J = (diag(v), diag(u))`, and `u^2 + v^2 = sqrt(4 theta^2 + Delta^2)`: its
    eigenvalues but for zeros are those of `X diag(sqrt(4 theta^2 + Delta^2)) X^T / n`.
    A method stays there only if gamma times the sharpness is below its
    `stability_limit`.

    Parameters
    ----------
    problem : Regression
        X of shape (..., n, d).
    theta, balancedness : array_like, shape (..., d)
        An interpolating solution and Delta = |u^2 - v^2| >= 0 there.

    Returns
    -------
    ndarray, shape (...)

    Raises
    ------
    InputError
        A last axis that is not d, a negative balancedness, NaN or infinity.

    Examples
    --------
    >>> from momentumflow.numeric import Regression, sharpness
    >>> float(sharpness(Regression([[1.0, 2.0]], [2.5]), [0.5, 1.0], [0.0, 0.0]))
    9.0
    """
    largest: FloatArray = np.linalg.norm(_factor(problem, theta, balancedness), 2, (-2, -1)) ** 2
    return largest


@checked
def curvatures(problem: Regression, theta: Vector, balancedness: NonNegative) -> FloatArray:
    """Return all eigenvalues of that Hessian that are not zero, rising; the last is the sharpness.

    Parameters
    ----------
    problem : Regression
        One problem, not a batch.
    theta, balancedness : array_like, shape (d,)
        As `sharpness` takes them.

    Returns
    -------
    ndarray, shape (rank,)

    Raises
    ------
    InputError
        As `sharpness`.
    """
    roots = np.linalg.svd(_factor(problem, theta, balancedness), compute_uv=False)
    found: FloatArray = np.sort(roots[roots > 1e-12 * roots[0]] ** 2)
    return found


def _factor(problem: Regression, theta: Vector, balancedness: NonNegative) -> FloatArray:
    """Return the matrix whose squared singular values are the eigenvalues."""
    parameter, delta = floats(theta), floats(balancedness)
    for name, array in (("theta", parameter), ("balancedness", delta)):
        if array.shape[-1:] != (problem.d,):
            raise InputError(f"{name} with a last axis of {problem.d}", f"shape {array.shape}")
    weight = np.hypot(2 * parameter, delta)
    factor: FloatArray = problem.X * np.sqrt(weight / problem.n)[..., None, :]
    return factor
