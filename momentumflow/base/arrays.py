"""The doors of arrays: what is taken for one, and what is made of it.

Everything array-like becomes float64, so that a checked value never needs a cast; what
is masked, complex, ragged, text or dates is refused, and NaN or infinity wherever a
door does not say otherwise.
"""

from __future__ import annotations

import decimal
import numbers
import typing
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from momentumflow.base.arguments import Door, Natural, Unfit, door_of, register
from momentumflow.base.errors import InputError, shown

FloatArray: TypeAlias = NDArray[np.float64]


def _as_array(name: str, value: Any) -> NDArray[Any]:
    """Return `value` as an array of numbers, as it is read without a loss."""
    if type(value) is np.ndarray and value.dtype.kind in "fiub":
        return value
    if hasattr(value, "toarray"):
        raise Unfit(f"call {name}.toarray()")
    # NumPy forgets the masks of arrays in a list
    parts = value if isinstance(value, list | tuple) else (value,)
    if any(np.ma.is_masked(part) for part in parts):
        raise InputError(f"{name} without masked entries", shown(value), "fill or drop them")
    try:
        array = np.asarray(value)
    except Exception as error:  # ragged sequences, or an object's own code
        if isinstance(value, list | tuple) and isinstance(error, ValueError):
            received, remedy = "rows of unequal length", "pad or drop the odd rows"
            raise InputError(f"{name} as a rectangular array", received, remedy) from None
        raise Unfit from None
    if array.dtype.kind == "O":
        # fractions, decimals, SymPy's numbers, whole numbers beyond 64 bits
        if not all(isinstance(entry, numbers.Real | decimal.Decimal) for entry in array.flat):
            raise Unfit
        try:
            return array.astype(np.float64)
        except OverflowError:
            raise InputError(f"{name} within floating point", shown(value)) from None
    if array.dtype.kind == "c":
        raise Unfit("take the real part first")
    if array.dtype.kind not in "fiub":
        raise Unfit("convert it to float64 first" if array.dtype.kind in "Mm" else None)
    return array


def floats(value: ArrayLike) -> FloatArray:
    """Return what a door of real numbers made, under the type that it has by then."""
    return np.asarray(value, dtype=np.float64)


def float_array(name: str, value: Any, *, ndim_min: int = 0, finite: bool = True) -> FloatArray:
    """Return `value` as a float64 array of at least `ndim_min` axes.

    Raises
    ------
    InputError
        If the value is not numeric, is complex, has too few axes, or holds NaN
        or infinity where it has to be finite.
    """
    return reals(axes=ndim_min, finite=finite)(name, value)


def reals(
    says: str = "",
    holds: Callable[[FloatArray], Any] | None = None,
    *,
    axes: int = 0,
    finite: bool = True,
) -> Door:
    """Return the door of real arrays with at least `axes` axes, all of whose entries hold.

    The condition in words, such as "> 0" or "in [0, 1)", goes with `holds`, which takes
    the whole array.
    """

    def take(name: str, value: Any) -> FloatArray:
        array = _as_array(name, value).astype(np.float64, copy=False)
        if array.ndim < axes:
            least = f"{name} with at least {axes} ax{'i' if axes == 1 else 'e'}s"
            raise InputError(least, f"an array of shape {array.shape}")
        if finite and not array.size:
            least = "one row and one column" if axes > 1 else "one entry"
            raise InputError(f"{name} with at least {least}", f"{name} of shape {array.shape}")
        if finite and not np.isfinite(array).all():
            bad = array.size - int(np.count_nonzero(np.isfinite(array)))
            raise InputError(
                f"finite values in {name}",
                f"{bad} NaN or infinite of {array.size}",
                "clean or impute them first",
            )
        if holds is not None:
            ok = np.asarray(holds(array), dtype=bool)
            if not ok.all():
                worst = array[~ok].flat[0] if array.ndim else array[()]
                raise InputError(f"{name} {says}", f"{name} = {worst:g}")
        return array

    return Door(f"real numbers {says}".rstrip(), take)


Reals: TypeAlias = Annotated[ArrayLike, reals()]
RealArray: TypeAlias = Annotated[FloatArray, reals()]
PositiveArray: TypeAlias = Annotated[FloatArray, reals("> 0", lambda a: a > 0)]
RealsOrNaN: TypeAlias = Annotated[ArrayLike, reals(finite=False)]
Positive: TypeAlias = Annotated[ArrayLike, reals("> 0", lambda a: a > 0)]
NonNegative: TypeAlias = Annotated[ArrayLike, reals(">= 0", lambda a: a >= 0)]
Momentum: TypeAlias = Annotated[ArrayLike, reals("in [0, 1)", lambda a: (a >= 0) & (a < 1))]
Vector: TypeAlias = Annotated[ArrayLike, reals(axes=1)]  # (..., n): leading axes are a batch
Matrix: TypeAlias = Annotated[ArrayLike, reals(axes=2)]  # (..., n, d)


_WHOLE = door_of(Natural)


def _seed(name: str, value: Any) -> Any:
    if isinstance(value, np.random.Generator | np.random.SeedSequence | None):
        return value
    return _WHOLE.take(name, value)


Seed: TypeAlias = Annotated[
    int | np.random.Generator | np.random.SeedSequence | None,
    Door("a whole number >= 0 or a numpy.random.Generator", _seed),
]


@register(np.ndarray)
def _array(parameters: tuple[Any, ...]) -> Door:
    """Arrays that results hold: NaN and infinity may be what they have to say."""
    dtype = typing.get_args(parameters[1])[0] if len(parameters) > 1 else Any
    if dtype is np.float64:
        return reals(finite=False)

    def take(name: str, value: Any) -> Any:
        if not isinstance(value, np.ndarray) or dtype not in (Any, value.dtype.type):
            raise Unfit
        return value

    return Door("an array" if dtype is Any else f"an array of {dtype.__name__}", take)


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
