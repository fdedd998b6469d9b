"""Where a run starts: the weights w_± = u ± v from what a user calls `init`."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from momentumflow.base.arguments import Door, checked, door_of
from momentumflow.base.arrays import FloatArray, Positive, Reals, floats
from momentumflow.base.errors import InputError

_SCALE, _WEIGHT = door_of(Positive), door_of(Reals)
# Sizes of weights whose products, the balancedness and theta, float64 holds to full precision.
_SMALLEST, _LARGEST = 1e-150, 1e150


def _take(name: str, value: Any) -> Any:
    if not isinstance(value, tuple):
        return _SCALE.take(name, value)
    if not value:
        raise InputError(f"{name} as a pair (u_0, v_0)", "an empty tuple")
    names = "uv" if len(value) == 2 else [f"{name}[{i}]" for i in range(len(value))]
    return tuple(_WEIGHT(part, entry) for part, entry in zip(names, value, strict=True))


Init: TypeAlias = Annotated[
    ArrayLike | tuple[ArrayLike, ...], Door("a scale > 0 or a pair (u_0, v_0)", _take)
]


@checked
def initial_weights(init: Init, d: int) -> tuple[FloatArray, FloatArray]:
    """Return (w_plus, w_minus), each of shape (..., d).

    Parameters
    ----------
    init : float, array_like of shape (..., d) or (..., 1), or tuple (u_0, v_0)
        A scale alpha > 0 means u_0 = sqrt(2) alpha, v_0 = 0, hence
        w_pm = sqrt(2) alpha, Delta_0 = 2 alpha^2 and theta_0 = 0; an array
        gives each coordinate its scale. A tuple gives u_0 and v_0.
    d : int
        Number of features.

    Raises
    ------
    InputError
        A scale that is not positive, a last axis that is neither d nor 1, a
        weight w_pm that starts at zero (it would stay there), or one whose square
        floating point does not hold.
    """
    with np.errstate(over="ignore"):  # what is infinite is refused below
        if isinstance(init, tuple):
            if len(init) != 2:
                raise InputError("init as a pair (u_0, v_0)", f"a tuple of {len(init)}")
            u, v = (over_features(name, part, d) for name, part in zip("uv", init, strict=True))
        else:
            alpha = over_features("init", init, d)
            u, v = np.sqrt(2) * alpha, np.zeros_like(alpha)
        w_plus, w_minus = np.broadcast_arrays(u + v, u - v)
    for name, w in (("w_+ = u + v", w_plus), ("w_- = u - v", w_minus)):
        dead = int(np.count_nonzero(w == 0))
        if dead:
            raise InputError(
                f"initial weights with {name} non-zero in every coordinate",
                f"{dead} zero",
                "a weight that starts at zero stays there; take |u_0| different from |v_0|",
            )
        size = np.abs(w)
        beyond = size[~((size >= _SMALLEST) & (size <= _LARGEST))]
        if beyond.size:
            raise InputError(
                f"initial weights with {name} of a size in [{_SMALLEST:g}, {_LARGEST:g}]",
                f"one of {beyond.flat[0]:g}",
                "floating point does not hold their products; rescale X and y",
            )
    return w_plus, w_minus


def over_features(name: str, value: ArrayLike, d: int) -> FloatArray:
    """Return an initial value for each of d features, shape (..., d).

    Raises
    ------
    InputError
        If its last axis is neither d nor 1.
    """
    array = floats(value)
    if array.ndim == 0:
        return np.full(d, float(array))
    if array.shape[-1] not in (1, d):
        raise InputError(
            f"{name} as a number or with a last axis of {d} (or 1)",
            f"shape {array.shape}",
            "for a batch of scales, one a run, use init[:, None]",
        )
    return np.broadcast_to(array, (*array.shape[:-1], d)).copy()
