"""The doors of the numeric room: arrays as everywhere, seeds, and shapes that broadcast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from momentumflow.base.arguments import Door, Where, door_of
from momentumflow.base.arrays import (
    FloatArray,
    Matrix,
    Momentum,
    NonNegative,
    Positive,
    PositiveArray,
    RealArray,
    Reals,
    RealsOrNaN,
    Vector,
    broadcast_shapes,
    float_array,
    floats,
    reals,
)

__all__ = [
    "FloatArray",
    "Matrix",
    "Momentum",
    "NonNegative",
    "Positive",
    "PositiveArray",
    "RealArray",
    "Reals",
    "RealsOrNaN",
    "Seed",
    "Vector",
    "broadcast_shapes",
    "choice",
    "constrained",
    "count",
    "float_array",
    "floats",
    "momentum_parameter",
    "positive",
    "reals",
]

_WHOLE = door_of(Annotated[int, Where(">= 0", lambda seed: seed >= 0)])


def _seed(name: str, value: Any) -> Any:
    if isinstance(value, np.random.Generator | np.random.SeedSequence | None):
        return value
    return _WHOLE.take(name, value)


Seed: TypeAlias = Annotated[
    int | np.random.Generator | np.random.SeedSequence | None,
    Door("a whole number >= 0 or a numpy.random.Generator", _seed),
]


def constrained(
    name: str, value: ArrayLike, requirement: str, holds: Callable[[FloatArray], Any]
) -> FloatArray:
    """Return `value` as a float64 array if `holds` is true everywhere."""
    return reals(requirement, holds)(name, value)


def positive(name: str, value: ArrayLike) -> FloatArray:
    """Return `value` as a float64 array, all of it > 0."""
    return constrained(name, value, "> 0", lambda a: a > 0)


def momentum_parameter(value: ArrayLike) -> FloatArray:
    """Return beta as a float64 array, all of it in [0, 1)."""
    return constrained("beta", value, "in [0, 1)", lambda a: (a >= 0) & (a < 1))


def count(name: str, value: Any, *, minimum: int = 1) -> int:
    """Return `value` as a Python int of at least `minimum`."""
    return door_of(Annotated[int, Where(f">= {minimum}", lambda n: n >= minimum)])(name, value)


def choice(name: str, value: str, options: tuple[str, ...]) -> str:
    """Return `value` if it is one of `options`."""
    return door_of(Literal[options])(name, value)
