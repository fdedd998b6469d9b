"""Checks of what a user hands in, each ending in one clear sentence.

Every check returns the value in the form that the numeric room works with
(float64 arrays, Python ints), so that a checked value never needs a cast.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from momentumflow.base.errors import InputError

FloatArray: TypeAlias = NDArray[np.float64]
SeedLike: TypeAlias = int | np.random.Generator | np.random.SeedSequence | None


def float_array(name: str, value: ArrayLike, *, ndim_min: int = 0) -> FloatArray:
    """Return `value` as a finite float64 array of at least `ndim_min` axes.

    Raises
    ------
    InputError
        If the value is not numeric, is complex, has too few axes, or holds NaN
        or infinity.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:  # ragged nested sequences
        raise InputError(
            f"{name} as a rectangular array", "rows of unequal length", "pad or drop the odd rows"
        ) from error
    if array.dtype.kind not in "buif":
        kind = "complex numbers" if array.dtype.kind == "c" else f"values of dtype {array.dtype}"
        raise InputError(f"{name} to hold real numbers", kind, "convert it to float64 first")
    array = array.astype(np.float64, copy=False)
    if array.ndim < ndim_min:
        raise InputError(
            f"{name} with at least {ndim_min} ax{'i' if ndim_min == 1 else 'e'}s",
            f"an array of shape {array.shape}",
        )
    bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    if bad:
        raise InputError(
            f"finite values in {name}",
            f"{bad} NaN or infinite of {array.size}",
            "clean or impute them first",
        )
    return array


def constrained(
    name: str, value: ArrayLike, requirement: str, holds: Callable[[FloatArray], Any]
) -> FloatArray:
    """Return `value` as a float64 array if `holds` is true everywhere.

    The requirement is the condition in words, such as "> 0" or "in [0, 1)".
    """
    array = float_array(name, value)
    ok = np.asarray(holds(array), dtype=bool)
    if not ok.all():
        worst = array[~ok].flat[0] if array.ndim else array[()]
        raise InputError(f"{name} {requirement}", f"{name} = {worst:g}")
    return array


def positive(name: str, value: ArrayLike) -> FloatArray:
    """Return `value` as a float64 array, all of it > 0."""
    return constrained(name, value, "> 0", lambda a: a > 0)


def momentum_parameter(value: ArrayLike) -> FloatArray:
    """Return beta as a float64 array, all of it in [0, 1)."""
    return constrained("beta", value, "in [0, 1)", lambda a: (a >= 0) & (a < 1))


def count(name: str, value: Any, *, minimum: int = 1) -> int:
    """Return `value` as a Python int of at least `minimum`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{name} as a whole number", f"{value!r}") from None
    if number < minimum:
        raise InputError(f"{name} >= {minimum}", f"{name} = {number}")
    return number


def choice(name: str, value: str, options: tuple[str, ...]) -> str:
    """Return `value` if it is one of `options`."""
    if value not in options:
        listed = ", ".join(repr(option) for option in options)
        raise InputError(f"{name} to be one of {listed}", repr(value))
    return value


def broadcast_shapes(**shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Broadcast the named leading (batch) shapes against each other."""
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items() if shape)
        raise InputError(
            "leading axes that broadcast against each other",
            listed,
            "make the batch axes equal or 1",
        ) from None


def generator(seed: SeedLike) -> np.random.Generator:
    """Return the Generator that `seed` names; a Generator is used as it is."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise InputError(
            "seed as a non-negative whole number or a numpy.random.Generator", repr(seed)
        ) from None
