"""A momentum method as a command line states it: a name or a recurrence, and values."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from momentumflow.base.errors import InputError

if TYPE_CHECKING:
    from momentumflow.symbolic import MomentumMethod

METHODS = ("heavy_ball", "nesterov", "gradient_descent", "quasi_hyperbolic")


def stated_method(name: str, values: list[str]) -> MomentumMethod:
    """Return the method called `name`, or stated by a recurrence, with the values set.

    Raises
    ------
    InputError
        On an unknown name, an unreadable recurrence, or a setting that is none.
    """
    from momentumflow import symbolic

    makers: dict[str, Callable[[], MomentumMethod]] = {
        "heavy_ball": symbolic.HeavyBall,
        "nesterov": symbolic.Nesterov,
        "gradient_descent": symbolic.GradientDescent,
        "quasi_hyperbolic": symbolic.QuasiHyperbolic,
    }
    if "=" in name:
        stated = symbolic.MomentumMethod.parse(name)
    elif name.replace("-", "_") in makers:
        stated = makers[name.replace("-", "_")]()
    else:
        raise InputError(f"a method among {', '.join(METHODS)}, or a recurrence", repr(name))
    settings = {}
    known = {str(parameter) for parameter in stated.parameters}
    for item in values:
        parameter, equals, value = item.partition("=")
        if not equals or parameter not in known:
            raise InputError(
                f"--set PARAMETER=VALUE with a parameter among {', '.join(sorted(known))}",
                repr(item),
            )
        settings[parameter] = value
    return stated.with_values(settings) if settings else stated
