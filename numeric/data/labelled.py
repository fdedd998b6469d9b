"""Results as labelled tables: names of axes, units, and conversion to xarray and pandas.

Units are those of the data: `X` and `y` stand for the units of a feature and
of the target. With `w' = -g w` and `g = X^T (X theta - y)/n` they give time the
unit `1/(X y)`, the weights `sqrt(y/X)`, and the remainders none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from momentumflow.base import libraries
from momentumflow.base.arrays import FloatArray
from momentumflow.base.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

# What each exported quantity is called in full, and its unit.
QUANTITIES: dict[str, tuple[str, str]] = {
    "X": ("design", "X"),
    "y": ("target", "y"),
    "teacher": ("parameter that generated the target", "y/X"),
    "theta": ("parameter", "y/X"),
    "w_plus": ("weight u + v", "sqrt(y/X)"),
    "w_minus": ("weight u - v", "sqrt(y/X)"),
    "initial_w_plus": ("weight u + v at the start", "sqrt(y/X)"),
    "initial_w_minus": ("weight u - v at the start", "sqrt(y/X)"),
    "S_plus": ("remainder of w_+", "1"),
    "S_minus": ("remainder of w_-", "1"),
    "gradient_integral": ("integral of g dt", "1"),
    "balancedness": ("balancedness |w_+ w_-|", "y/X"),
    "initial_balancedness": ("balancedness at the start", "y/X"),
    "predicted_balancedness": ("balancedness of the potential", "y/X"),
    "perturbed_init": ("perturbed initialisation", "y/X"),
    "gamma": ("step", "1/(X y)"),
    "beta": ("momentum", "1"),
    "lam": ("intrinsic parameter gamma/(1 - beta)^2", "1/(X y)"),
    "loss": ("training loss |X theta - y|^2/(2 n)", "y^2"),
    "residual": ("relative residual |X theta - y|/|y|", "1"),
    "time": ("continuous time", "1/(X y)"),
    "steps": ("steps taken", "1"),
    "sign_changes": ("coordinates that crossed zero, with repetition", "1"),
    "dual": ("multiplier of X theta = y", "1/X"),
    "gap": ("duality gap over the primal value", "1"),
    "feasibility": ("|X theta - y|/|y|", "1"),
    "stationarity": ("relative defect of the optimality condition", "1"),
    "error": ("estimated relative error", "1"),
    "rounding": ("estimated relative error from rounding on the way", "1"),
    "l1_excess": ("l1 norm over its least value, minus one", "1"),
    "l2_excess": ("l2 norm over its least value, minus one", "1"),
}


def attributes(name: str) -> dict[str, str]:
    """Return `long_name` and `units` of a quantity, as far as it has them."""
    if name not in QUANTITIES:
        return {}
    long_name, units = QUANTITIES[name]
    return {"long_name": long_name, "units": units}


def batch_axes(number: int) -> list[str]:
    """Return the names of leading axes."""
    return [f"run_{i}" for i in range(number)]


def feature_labels(names: Sequence[str] | None, d: int) -> list[str]:
    """Return one label for each of the d features, made up where there are none.

    Raises
    ------
    InputError
        If there are names, but not d of them.
    """
    if names is None:
        return [f"x{j}" for j in range(d)]
    if len(names) != d:
        raise InputError(f"{d} feature names", f"{len(names)}")
    if len(set(names)) != d:
        twice = next(name for name in names if list(names).count(name) > 1)
        raise InputError("distinct feature names", f"{twice!r} twice")
    return list(names)


def dataset(
    data: Mapping[str, tuple[Sequence[str], Any]],
    coords: Mapping[str, Any],
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """Return arrays as a Dataset, each with its name in full and its unit.

    Parameters
    ----------
    data : mapping of name to (axes, array)
    coords, attrs : mapping
        As xarray takes them; attributes become text.
    """
    xr = libraries.xarray()

    described = {
        name: (list(dims), values, attributes(name)) for name, (dims, values) in data.items()
    }
    return xr.Dataset(described, coords=dict(coords), attrs={k: str(v) for k, v in attrs.items()})


def names_of(status: Any) -> Any:
    """Return the names of a status, or of an array of them."""
    return np.vectorize(lambda s: s.name, otypes=[str])(status)


def on_features(values: Mapping[str, FloatArray], batch: int) -> dict[str, tuple[list[str], Any]]:
    """Return arrays of shape (..., d) with the names of their axes."""
    dims = [*batch_axes(batch), "feature"]
    return {name: (dims, array) for name, array in values.items()}
