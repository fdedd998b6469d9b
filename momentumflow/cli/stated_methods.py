"""A method as a command line states it: a name, a recurrence or updates, and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from momentumflow import symbolic
from momentumflow.base.choices import NamedMethod, NamedOptimiser, ShippedMethod
from momentumflow.base.errors import InputError, nearest

# What PyTorch and `rhs` call parameters whose symbols have longer names.
_SHORT = {"eps": "epsilon"}


def stated_rule(
    name: str, values: Sequence[str] | None
) -> symbolic.MomentumMethod | symbolic.Optimiser:
    """Return the momentum method or the optimiser that a text names or states, values set.

    Parameters
    ----------
    name : str
        A name; a recurrence, which says `w[k+1] = ...`; or the updates of an optimiser,
        such as `m = b1*m + (1-b1)*g; w = w - lr*m`.
    values : sequence of str, optional
        `PARAMETER=VALUE`; what updates do not know as a parameter is one if it is set.

    Raises
    ------
    InputError
        On an unknown name, an unreadable text, or a setting that is none.
    """
    settings: dict[str, str] = {}
    for item in values or ():
        written, equals, value = item.partition("=")
        parameter = _SHORT.get(written, written)
        if not equals or not parameter.isidentifier():
            raise InputError("--set PARAMETER=VALUE", repr(item))
        if parameter in settings:
            raise InputError(f"one value of {parameter}", f"--set {item} after another")
        settings[parameter] = value
    short = name.replace("-", "_")
    stated: symbolic.MomentumMethod | symbolic.Optimiser
    if "=" in name and "[" not in name:
        stated = symbolic.Optimiser.parse(name, parameters=list(settings))
    elif "=" in name:
        stated = symbolic.MomentumMethod.parse(name)
    elif short in get_args(NamedOptimiser):
        stated = symbolic.known_optimiser(short)
    elif short in get_args(NamedMethod):
        stated = symbolic.known_method(name)
    else:
        names = (*get_args(NamedMethod), *get_args(NamedOptimiser))
        raise InputError(
            f"a method among {', '.join(names)}, a recurrence or updates",
            repr(name),
            nearest(name, names),
        )
    known = {str(parameter) for parameter in stated.parameters}
    for parameter, value in settings.items():
        if parameter not in known:
            raise InputError(
                f"--set PARAMETER=VALUE with a parameter among {', '.join(sorted(known))}",
                repr(f"{parameter}={value}"),
            )
    return stated.with_values(settings) if settings else stated


def stated_method(name: str, values: Sequence[str] | None) -> symbolic.MomentumMethod:
    """Return the momentum method called `name`, or stated by a recurrence, values set.

    Raises
    ------
    InputError
        As `stated_rule`, and for an optimiser with memories.
    """
    stated = stated_rule(name, values)
    if isinstance(stated, symbolic.Optimiser):
        raise InputError(
            "a momentum method, linear in w and f",
            f"{name}, an optimiser with memories",
            "momentumflow derive equation, map, loss and scaling take it",
        )
    return stated


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
