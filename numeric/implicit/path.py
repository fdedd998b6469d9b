"""The regularisation path: the solution from the kernel to the rich regime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from momentumflow.numeric.implicit.api import implicit_solution
from momentumflow.numeric.implicit.entropies import WeightedL2
from momentumflow.numeric.implicit.limits import WeightedL1
from momentumflow.numeric.implicit.solution import ImplicitSolution
from momentumflow.numeric.problems import Regression
from momentumflow.numeric.validation import FloatArray, positive
from momentumflow.symbolic.errors import InputError


@dataclass(frozen=True, eq=False)
class RegularisationPath:
    """Solutions of one problem over a grid of balancedness, with both limits.

    Parameters
    ----------
    balancedness : ndarray, shape (K,)
        The grid, the same Delta in every coordinate.
    solutions : ImplicitSolution
        With one leading axis of length K.
    basis_pursuit, least_norm : ImplicitSolution
        The l1 and l2 limits.
    """

    balancedness: FloatArray
    solutions: ImplicitSolution
    basis_pursuit: ImplicitSolution
    least_norm: ImplicitSolution

    @property
    def theta(self) -> FloatArray:
        """The path, shape (K, d)."""
        return self.solutions.theta

    @property
    def l1_excess(self) -> FloatArray:
        """|theta|_1 over its smallest possible value, minus one; shape (K,)."""
        least = np.abs(self.basis_pursuit.theta).sum()
        excess: FloatArray = np.abs(self.theta).sum(axis=-1) / least - 1
        return excess

    @property
    def l2_excess(self) -> FloatArray:
        """|theta|_2 over its smallest possible value, minus one; shape (K,)."""
        least = np.linalg.norm(self.least_norm.theta)
        return np.asarray(np.linalg.norm(self.theta, axis=-1) / least - 1)


def regularisation_path(
    problem: Regression | tuple[Any, ArrayLike],
    balancedness: ArrayLike | None = None,
    *,
    tolerance: float = 1e-9,
) -> RegularisationPath:
    """Solve one problem for a grid of balancedness, reference point zero.

    Parameters
    ----------
    problem : Regression or pair (X, y)
        One problem, dense.
    balancedness : array_like, shape (K,), optional
        The grid; default 61 values over 1e-12 to 1e4 times the size of the
        least-norm solution.
    tolerance : float
        As in `implicit_solution`.

    Returns
    -------
    RegularisationPath
    """
    least = implicit_solution(problem, potential=WeightedL2(np.ones(())), tolerance=tolerance)
    if least.theta.ndim != 1:
        raise InputError("one problem", f"a batch of shape {least.theta.shape[:-1]}")
    if balancedness is None:
        size = float(np.abs(least.theta).max())
        grid = size * np.geomspace(1e-12, 1e4, 61)
    else:
        grid = positive("balancedness", balancedness)
        if grid.ndim != 1:
            raise InputError("balancedness as a one-dimensional grid", f"shape {grid.shape}")
    solutions = implicit_solution(problem, grid[:, None], tolerance=tolerance)
    pursuit = implicit_solution(problem, potential=WeightedL1(np.ones(())), tolerance=tolerance)
    return RegularisationPath(grid, solutions, pursuit, least)
