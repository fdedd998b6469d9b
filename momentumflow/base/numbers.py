"""Numbers for people (powers of ten as such) and for machines (JSON, which has no NaN)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def rounded(value: float, digits: int) -> tuple[str, int | None]:
    """Return a finite number to `digits` figures, as a text and the power of ten it is times.

    There is no power (None) where the number reads as it is: from 0.001 up to as many
    places before the point as there are figures.
    """
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    if value == 0 or -4 < int(power) < digits:
        return f"{value:.{digits}g}", None
    return mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa, int(power)


def in_text(value: float, digits: int = 3) -> str:
    """Return a number as plain text: 0.25, 1.23·10⁻¹², −2.5; a dash for NaN."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "not finite"
    mantissa, power = rounded(value, digits)
    mantissa = mantissa.replace("-", "−")
    if power is None:
        return mantissa
    factor = {"1": "", "−1": "−"}.get(mantissa, f"{mantissa}·")
    return f"{factor}10{str(power).translate(_RAISED)}"


def in_latex(value: float, digits: int = 4) -> str:
    """Return a number as LaTeX."""
    if not math.isfinite(value):
        return rf"\text{{{in_text(value)}}}"
    mantissa, power = rounded(value, digits)
    return mantissa if power is None else rf"{mantissa} \cdot 10^{{{power}}}"


def plain(value: Any) -> Any:
    """Return `value` as JSON has it: lists for arrays, null for numbers that are not finite."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
