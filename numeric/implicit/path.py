"""The regularisation path: the solution from the kernel to the rich regime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from momentumflow.base import libraries
from momentumflow.base.arguments import PositiveFloat, checked
from momentumflow.base.arrays import FloatArray, Positive, floats
from momentumflow.base.errors import InputError
from momentumflow.base.values import Value
from momentumflow.numeric.data.labelled import attributes, dataset, feature_labels
from momentumflow.numeric.data.pairs import AnyProblem
from momentumflow.numeric.implicit.api import implicit_solution
from momentumflow.numeric.implicit.entropies import WeightedL2
from momentumflow.numeric.implicit.limit_problems import WeightedL1
from momentumflow.numeric.implicit.solution import ImplicitSolution
from momentumflow.numeric.plots import picture_of_path

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure


@checked
@dataclass(frozen=True, eq=False, repr=False)
class RegularisationPath(Value):
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

    def plot(self) -> Figure:
        """Draw the coordinates along the path, with both limits, and the excess of both norms."""
        limits = self.basis_pursuit.theta, self.least_norm.theta
        excess = self.l1_excess, self.l2_excess
        return picture_of_path(self.balancedness, self.theta, limits, excess)

    def to_xarray(self, feature_names: Sequence[str] | None = None) -> xr.Dataset:
        """Return the path as a labelled Dataset over `balancedness` and `feature`."""
        data: dict[str, Any] = {
            "theta": (["balancedness", "feature"], self.theta),
            "basis_pursuit": (["feature"], self.basis_pursuit.theta),
            "least_norm": (["feature"], self.least_norm.theta),
            "l1_excess": (["balancedness"], self.l1_excess),
            "l2_excess": (["balancedness"], self.l2_excess),
        }
        labels = feature_labels(feature_names, self.theta.shape[-1])
        grid = (["balancedness"], self.balancedness, attributes("balancedness"))
        return dataset(data, {"balancedness": grid, "feature": labels}, {})

    def to_frame(self, feature_names: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the path as a table: a row for each balancedness, a column for each feature."""
        pd = libraries.pandas()

        labels = pd.Index(feature_labels(feature_names, self.theta.shape[-1]), name="feature")
        grid = pd.Index(self.balancedness, name="balancedness")
        return pd.DataFrame(self.theta, index=grid, columns=labels)


@checked
def regularisation_path(
    problem: AnyProblem,
    balancedness: Positive | None = None,
    *,
    tolerance: PositiveFloat = 1e-9,
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

    Raises
    ------
    InputError
        A batch of problems, or a grid that is not one row of positive numbers.
    """
    least = implicit_solution(problem, potential=WeightedL2(np.ones(())), tolerance=tolerance)
    if least.theta.ndim != 1:
        raise InputError("one problem", f"a batch of shape {least.theta.shape[:-1]}")
    if balancedness is None:
        size = float(np.abs(least.theta).max())
        grid = size * np.geomspace(1e-12, 1e4, 61)
    else:
        grid = floats(balancedness)
        if grid.ndim != 1:
            raise InputError("balancedness as a one-dimensional grid", f"shape {grid.shape}")
    solutions = implicit_solution(problem, grid[:, None], tolerance=tolerance)
    pursuit = implicit_solution(problem, potential=WeightedL1(np.ones(())), tolerance=tolerance)
    return RegularisationPath(grid, solutions, pursuit, least)
