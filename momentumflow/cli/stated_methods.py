"""A momentum method as a command line states it: a name or a recurrence, and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from momentumflow import symbolic
from momentumflow.base.choices import ShippedMethod
from momentumflow.base.errors import InputError


def stated_method(name: str, values: Sequence[str] | None) -> symbolic.MomentumMethod:
    """Return the method called `name`, or stated by a recurrence, with the values set.

    Raises
    ------
    InputError
        On an unknown name, an unreadable recurrence, or a setting that is none.
    """
    stated = symbolic.MomentumMethod.parse(name) if "=" in name else symbolic.known_method(name)
    settings = {}
    known = {str(parameter) for parameter in stated.parameters}
    for item in values or ():
        parameter, equals, value = item.partition("=")
        if not equals or parameter not in known:
            raise InputError(
                f"--set PARAMETER=VALUE with a parameter among {', '.join(sorted(known))}",
                repr(item),
            )
        if parameter in settings:
            raise InputError(f"one value of {parameter}", f"--set {item} after another")
        settings[parameter] = value
    return stated.with_values(settings) if settings else stated


def trained_method(name: str, values: Sequence[str] | None) -> str | symbolic.MomentumMethod:
    """Return what a run takes as its method: the name alone where kernels of it are shipped.

    Deriving the kernels of another method costs seconds.

    Raises
    ------
    InputError
        As `stated_method`.
    """
    shipped = name.replace("-", "_")
    if shipped in get_args(ShippedMethod) and not values:
        return shipped
    return stated_method(name, values)
