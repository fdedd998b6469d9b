"""From arrays of errors to measurements: bounds, fitted orders, ratios.

Every function takes the numbers of all seeds and returns a `Measurement`. A
number that is not finite is not averaged away: it makes the measurement miss.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from momentumflow.base.arrays import FloatArray
from momentumflow.verify.evidence import Measurement, Verdict, undecided
from momentumflow.verify.settings import Settings

# A fitted slope counts as the expected order within this distance. Measured
# first- and second-order fits over four halvings lie within 0.05 of it; the
# neighbouring orders are a whole unit away.
ORDER_TOLERANCE = 0.15


def at_most(
    quantity: str, values: ArrayLike, bound: float, settings: Settings, *, scaled: bool = True
) -> Measurement:
    """Require every value to be at most `bound` (times the tolerance scale)."""
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    limit = settings.tolerance(bound) if scaled else bound
    if array.size == 0:
        return undecided(quantity, "nothing to measure", f"<= {limit:.3g}")
    worst = float(np.max(array)) if np.all(np.isfinite(array)) else float("inf")
    return Measurement(
        quantity, worst, f"<= {limit:.3g}", _met(worst <= limit), samples=int(array.size),
        strain=_strain(worst, limit),
    )  # fmt: skip


def at_least(quantity: str, values: ArrayLike, bound: float, *, secondary: str = "") -> Measurement:
    """Require every value to be at least `bound`; `secondary` as in `Measurement`."""
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if array.size == 0:
        return undecided(quantity, "nothing to measure", f">= {bound:.3g}")
    worst = float(np.min(array)) if np.all(np.isfinite(array)) else float("-inf")
    return Measurement(
        quantity, worst, f">= {bound:.3g}", _met(worst >= bound), samples=int(array.size),
        strain=_strain(bound, worst),
        secondary=secondary,
    )  # fmt: skip


def _strain(value: float, limit: float) -> float:
    """Share of `limit` that `value` takes; a limit of zero has no scale."""
    if value > limit:
        return value / limit if limit > 0 else math.inf
    return max(value, 0.0) / limit if limit > 0 else math.nan


def mean_below(quantity: str, values: ArrayLike, bound: float) -> Measurement:
    """Require the 95 % interval of the mean to lie below `bound`.

    An interval that lies above it refutes; one that holds it gives no verdict.
    """
    requirement = f"mean < {bound:g}"
    array = np.asarray(values, dtype=np.float64).ravel()
    if array.size < 2 or not np.all(np.isfinite(array)):
        return undecided(quantity, f"{array.size} values, some not finite", requirement)
    low, high = mean_interval(array)
    if low <= bound <= high:
        verdict = Verdict.UNDECIDED
        reason = f"the 95 % interval [{low:.3g}, {high:.3g}] of the mean holds {bound:g}"
    else:
        verdict, reason = _met(high < bound), ""
    return Measurement(
        quantity, float(array.mean()), requirement, verdict, array.size, (low, high), reason
    )


def fitted_slopes(steps: ArrayLike, errors: ArrayLike) -> FloatArray:
    """Least-squares slopes of log(errors) over log(steps).

    Parameters
    ----------
    steps : array_like, shape (k,)
        Positive step sizes.
    errors : array_like, shape (..., k)
        Positive errors, one row a seed.

    Returns
    -------
    ndarray, shape (...)
    """
    x = np.log(np.asarray(steps, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.log(np.asarray(errors, dtype=np.float64))
    centred = x - x.mean()
    slopes: FloatArray = np.asarray((y @ centred) / (centred @ centred))
    return slopes


def mean_interval(values: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Student interval of the mean; a point where there is one value only."""
    array = np.asarray(values, dtype=np.float64).ravel()
    mean = float(array.mean())
    if array.size < 2:
        return mean, mean
    half = float(
        stats.t.ppf(0.5 + level / 2, array.size - 1) * array.std(ddof=1) / np.sqrt(array.size)
    )
    return mean - half, mean + half


def order(
    quantity: str,
    steps: ArrayLike,
    errors: ArrayLike,
    expected: float,
    settings: Settings,
    *,
    floor: float = 0.0,
    tolerance: float = ORDER_TOLERANCE,
) -> Measurement:
    """Require the mean fitted order to be `expected`.

    Parameters
    ----------
    quantity : str
        What converges.
    steps : array_like, shape (k,)
        Step sizes, at least three.
    errors : array_like, shape (..., k)
        Errors at those steps, one row a seed.
    expected : float
        The order that the theory states.
    settings : Settings
        Scales the tolerance.
    floor : float
        Steps at which any error is below this rounding floor are left out; with
        fewer than three left there is no verdict.
    tolerance : float
        Distance from `expected` that still counts.
    """
    h = np.asarray(steps, dtype=np.float64)
    e = np.asarray(errors, dtype=np.float64).reshape(-1, h.size)
    allowed = settings.tolerance(tolerance)
    requirement = f"order {expected:g} ± {allowed:.3g}"
    if not np.all(np.isfinite(e)):
        return Measurement(
            quantity, float("nan"), requirement, Verdict.REFUTED, e.shape[0], reason="not finite"
        )
    usable = np.all(e > floor, axis=0)
    if np.count_nonzero(usable) < 3:
        return undecided(
            quantity,
            f"only {np.count_nonzero(usable)} of {h.size} step sizes lie above the rounding "
            f"floor {floor:.1e}",
            requirement,
        )
    slopes = fitted_slopes(h[usable], e[:, usable])
    mean = float(slopes.mean())
    return Measurement(
        quantity,
        mean,
        requirement,
        _met(abs(mean - expected) <= allowed),
        samples=int(slopes.size),
        interval=mean_interval(slopes),
        strain=abs(mean - expected) / allowed,
        order=True,
    )


def _met(holds: bool) -> Verdict:
    return Verdict.SUPPORTED if holds else Verdict.REFUTED
