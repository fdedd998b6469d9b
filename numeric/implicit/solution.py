"""What solving the implicit-regularisation problem returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import FloatArray
from momentumflow.base.values import Value, brief
from momentumflow.numeric.data.labelled import batch_axes, dataset, feature_labels, names_of
from momentumflow.numeric.implicit.limit_problems import WeightedL1
from momentumflow.numeric.implicit.potentials import Potential
from momentumflow.numeric.plots import chosen, picture_of_ends

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure


class ImplicitStatus(Enum):
    """How a solution stands; each value says what to do about it."""

    CERTIFIED = "certified: feasibility, stationarity, duality gap and error are in tolerance"
    RAISE_MAX_ITERATIONS = (
        "not converged within the iterations allowed; raise max_iterations or start "
        "from the solution at a neighbouring balancedness"
    )
    IMPROVE_CONDITIONING = (
        "converged, but rounding leaves more error than the tolerance; drop "
        "near-duplicate rows or columns of X, rescale it, or loosen tolerance"
    )
    RELAX_CONSTRAINTS = (
        "no point of the potential's domain fits the constraints; relax them or "
        "take a potential with a wider domain"
    )
    TRY_ANOTHER_SOLVER = (
        "the solver's answer is too far from the solution to be polished; use "
        "solver='newton' or another conic solver"
    )


@checked
@dataclass(frozen=True, eq=False, repr=False)
class ImplicitSolution(Value):
    """The minimiser of `D_psi(theta, reference)` subject to `X theta = y`.

    All fields have the leading batch axes of the problem; where `status` is
    not `CERTIFIED` (see `certified`), theta and dual are NaN: an answer that
    could not be proved is not a result.

    Parameters
    ----------
    theta : ndarray, shape (..., d)
        The solution.
    dual : ndarray, shape (..., n)
        The multiplier nu: `psi'(theta) - psi'(reference) = X^T nu`.
    gap : ndarray, shape (...)
        Duality gap over the primal value.
    feasibility : ndarray, shape (...)
        |X theta - y| / |y|, in twice the working precision.
    stationarity : ndarray, shape (...)
        `max |psi'(theta) - psi'(reference) - X^T nu|` over the largest of its terms.
    error : ndarray, shape (...)
        First-order estimate of |theta - exact| / |theta| from both residuals.
    status : ImplicitStatus or ndarray of them, shape (...)
        How each solution stands.
    rank : int or ndarray, shape (...)
        Numerical rank of X.
    iterations : ndarray of int, shape (...)
        Factorisations (Newton) or solver iterations (CVXPY).
    objective : ndarray, shape (...)
        The primal value `D_psi(theta, reference)`.
    potential : Potential or WeightedL1
        The potential that was minimised, with its reference point.
    solver : str
        Which solver found it.
    dual_tail : ndarray, shape (..., n)
        What rounding `dual` to float64 left out; `dual + dual_tail` is the
        multiplier to twice the precision.
    """

    theta: FloatArray
    dual: FloatArray
    gap: FloatArray
    feasibility: FloatArray
    stationarity: FloatArray
    error: FloatArray
    status: Any
    rank: Any
    iterations: Any
    objective: FloatArray
    potential: Potential | WeightedL1
    solver: str
    dual_tail: FloatArray

    @property
    def certified(self) -> Any:
        """Whether each solution is certified, shape (...)."""
        if isinstance(self.status, ImplicitStatus):
            return self.status is ImplicitStatus.CERTIFIED
        return np.asarray(self.status == ImplicitStatus.CERTIFIED, dtype=bool)

    def plot(self, index: int | tuple[int, ...] | None = None) -> Figure:
        """Draw the coordinates of one solution.

        Parameters
        ----------
        index : int or tuple of int, optional
            Which one of a batch.

        Raises
        ------
        InputError
            If there is none of that index, or a batch and no index.
        """
        theta = self.theta[chosen(self.theta, index)]
        return picture_of_ends(theta, label=self.potential.name)

    def to_xarray(self, feature_names: Sequence[str] | None = None) -> xr.Dataset:
        """Return the solutions as a labelled Dataset, one axis `run_i` for each batch axis.

        Raises
        ------
        InputError
            If there are names, but not one for each feature.
        """
        *leading, d = self.theta.shape
        batch = batch_axes(len(leading))
        data: dict[str, Any] = {
            "theta": ([*batch, "feature"], self.theta),
            "dual": ([*batch, "observation"], self.dual),
            "status": (batch, names_of(self.status)),
        }
        numbers = ("objective", "gap", "feasibility", "stationarity", "error", "iterations", "rank")
        data |= {name: (batch, getattr(self, name)) for name in numbers}
        attrs = {"potential": self.potential.name, "solver": self.solver}
        return dataset(data, {"feature": feature_labels(feature_names, d)}, attrs)

    def to_frame(self, feature_names: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the solutions as a table: a row for each feature of each problem."""
        return self.to_xarray(feature_names)[["theta"]].to_dataframe()

    def _shown(self) -> dict[str, str]:
        certified = f"{int(np.count_nonzero(self.certified))} of {np.size(self.status)} certified"
        one = isinstance(self.status, ImplicitStatus)
        figures = ("theta", "feasibility", "stationarity", "gap", "error", "iterations")
        return {
            "potential": self.potential.name,
            "solver": self.solver,
            "status": self.status.value if one else certified,
            **{name: brief(getattr(self, name)) for name in figures},
        }

    def __repr__(self) -> str:
        shape = self.theta.shape
        if self.theta.ndim == 1:
            standing = self.status.name
        else:
            standing = (
                f"{int(np.count_nonzero(self.certified))} of {np.size(self.status)} certified"
            )
        return (
            f"{type(self).__name__}({self.potential.name}, theta{shape}, {standing}, "
            f"feasibility={float(np.max(self.feasibility)):.1e}, "
            f"stationarity={float(np.max(self.stationarity)):.1e}, "
            f"gap={float(np.max(self.gap)):.1e}, error={float(np.max(self.error)):.1e})"
        )
