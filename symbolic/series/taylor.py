"""Taylor coefficients of elementary functions at an array of points.

Each function returns `[y(x), y'(x), y''(x)/2, ...]` to a given degree, or makes
one that does.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def cyclic(*functions: Callable[[Array], Any]) -> Callable[[Array, int], list[Any]]:
    """Taylor coefficients of a function whose derivatives repeat."""

    def taylor(x: Array, degree: int) -> list[Any]:
        values = [function(x) for function in functions]
        return [values[k % len(values)] / factorial(k) for k in range(degree + 1)]

    return taylor


def logarithm(x: Array, degree: int) -> list[Any]:
    """Taylor coefficients of the natural logarithm."""
    return [np.log(x)] + [-((-1.0 / x) ** k) / k for k in range(1, degree + 1)]


def riccati(
    value: Callable[[Array], Any], a: float, b: float, c: float
) -> Callable[[Array, int], list[Any]]:
    """Taylor coefficients of a solution of `y' = a + b y + c y^2` by recurrence."""

    def taylor(x: Array, degree: int) -> list[Any]:
        y = [value(x)]
        for k in range(degree):
            square = sum(y[i] * y[k - i] for i in range(k + 1))
            y.append(((a if k == 0 else 0.0) + b * y[k] + c * square) / (k + 1))
        return y

    return taylor


def integral_of_power(
    value: Callable[[Array], Any], sign: int, p: float
) -> Callable[[Array, int], list[Any]]:
    """Taylor coefficients of y with `y' = (1 + sign x^2)^p`."""

    def taylor(x: Array, degree: int) -> list[Any]:
        q = [1 + sign * x * x, 2 * sign * x, sign + 0.0 * x]
        r = [q[0] ** p]
        for k in range(1, degree):
            total = sum((i * (p + 1) - k) * q[i] * r[k - i] for i in range(1, min(k, 2) + 1))
            r.append(total / (k * q[0]))
        return [value(x)] + [r[k] / (k + 1) for k in range(degree)]

    return taylor


def expit(x: Array) -> Any:
    """Return the logistic function, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def softplus(x: Array, degree: int) -> list[Any]:
    """Taylor coefficients of `ln(1 + e^x)`."""
    slope = riccati(expit, 0.0, 1.0, -1.0)(x, max(degree - 1, 0))
    return [np.logaddexp(0.0, x)] + [slope[k] / (k + 1) for k in range(degree)]
