r"""One weight of a sum `theta = sum_i G_i(w_i)` in its straightening coordinate, in numbers.

`phi' = 1/D`, D the push on the weight (`symbolic/networks/straightening.py`). Gradient flow
moves every weight of a coordinate by the same mu in phi: `w(mu) = phi^{-1}(phi(w_0) + mu)`.
Where phi or its inverse has no closed form, phi is a sum of Gauss and Legendre over halves
of halves, and the inverse a root between bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from momentumflow.base.arrays import FloatArray

Function = Callable[..., Any]
_EPS = float(np.finfo(np.float64).eps)
# Nodes of a panel, how often panels are halved, and the share that then no longer matters.
_NODES, _HALVINGS, _SETTLED = 20, 8, 1e-14
# Of a search for a root: steps, and the longest step in units of the scale it is given.
_SEARCHES, _LEAP = 300, 40.0


@lru_cache(maxsize=1)
def _gauss() -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return (nodes + 1) / 2, weights / 2


def integral(function: Callable[[float], FloatArray], shape: tuple[int, ...]) -> FloatArray:
    """Return the integral of `function(s)` over s in [0, 1], entry by entry.

    Parameters
    ----------
    function : callable
        Takes a number s, returns an array of `shape`; NaN where it is not defined.
    shape : tuple of int
    """
    nodes, weights = _gauss()
    before = np.full(shape, np.nan)
    total = before
    for halving in range(_HALVINGS):
        panels = 2**halving
        total = np.zeros(shape)
        for p in range(panels):
            for s, weight in zip((nodes + p) / panels, weights / panels, strict=True):
                total = total + weight * function(float(s))
        if np.all((np.abs(total - before) <= _SETTLED * np.abs(total)) | np.isnan(total)):
            break
        before = total
    return total


def monotone_root(
    function: Callable[[FloatArray], FloatArray],
    slope: Callable[[FloatArray], FloatArray],
    target: FloatArray,
    scale: FloatArray,
) -> FloatArray:
    """Return x with `function(x) = target` by Newton between bounds; NaN where there is none.

    Parameters
    ----------
    function, slope : callable
        Monotone, entry by entry, from x = 0 on; NaN beyond the ends of its domain.
    target : ndarray
    scale : ndarray
        How far the first steps go, > 0.
    """
    x = np.zeros(target.shape)
    low, high = np.full(target.shape, -np.inf), np.full(target.shape, np.inf)
    rising = np.sign(slope(x))
    reach = np.broadcast_to(scale, target.shape).astype(np.float64)
    good = x
    for _ in range(_SEARCHES):
        miss = rising * (function(x) - target)
        lost = np.isnan(miss)
        good = np.where(lost, good, x)
        beyond = np.where(lost, x > good, miss > 0)
        short = np.where(lost, x < good, miss < 0)
        high, low = np.where(beyond, x, high), np.where(short, x, low)
        step = -miss / np.abs(slope(x))
        step = np.clip(step, -_LEAP * reach, _LEAP * reach)
        new = x + step
        middle = np.where(
            np.isfinite(low) & np.isfinite(high),
            0.5 * (low + high),
            np.where(np.isfinite(high), good - reach, good + reach),
        )
        new = np.where((new > low) & (new < high), new, middle)
        new = np.where(miss == 0, x, new)
        reach = np.minimum(2 * reach, 1e300)
        moved, x = np.abs(new - x), new
        if np.all((moved <= 2 * _EPS * np.abs(x)) | np.isnan(target)):
            break
    there = np.abs(function(x) - target)
    near = there <= 1e-9 * np.abs(target) + 1e-6 * np.abs(slope(x)) * np.abs(x) + 1e-300
    return np.where(near | (miss == 0), x, np.nan)


@dataclass(frozen=True)
class NumericWeight:
    """One weight, by functions of its value; all are vectorised.

    Attributes
    ----------
    name : str
    contribution, gradient : callable
        G and G'.
    push, bend : callable
        D and D'.
    critical : bool
        Whether D(0) = 0: a weight there stays there, and none gets across.
    parity : int
        1 where G is even, -1 where it is odd, 0 where it is neither.
    straight : callable, optional
        phi; by quadrature if not given.
    path : callable, optional
        `path(start, mu)` from a positive start; by a root if not given.
    bounds : (float, float)
        What phi lies between on the positive weights (on all, if 0 is not critical).
    """

    name: str
    contribution: Function
    gradient: Function
    push: Function
    bend: Function
    critical: bool
    parity: int
    straight: Function | None = field(default=None)
    path: Function | None = field(default=None)
    bounds: tuple[float, float] = (-np.inf, np.inf)

    @property
    def closed(self) -> bool:
        """Whether phi and its inverse are closed formulas."""
        return self.straight is not None and self.path is not None

    def between(self, start: FloatArray, end: FloatArray) -> FloatArray:
        """Return phi(end) - phi(start); NaN where a critical point lies between."""
        start, end = np.broadcast_arrays(start, end)
        with np.errstate(all="ignore"):
            if self.straight is not None:
                found = self._phi(end) - self._phi(start)
            elif self.critical:
                if self.parity > 0:  # as well on one side as on the other
                    start, end = np.abs(start), np.abs(end)
                ratio = np.log(end / start)

                def along(s: float) -> FloatArray:
                    w = start * np.exp(s * ratio)
                    return np.asarray(ratio * (w / self.push(w)))

                found = integral(along, start.shape)
            else:

                def across(s: float) -> FloatArray:
                    return np.asarray((end - start) / self.push(start + s * (end - start)))

                found = integral(across, start.shape)
        return np.asarray(found, dtype=np.float64)

    def _phi(self, w: FloatArray) -> FloatArray:
        assert self.straight is not None
        if not (self.critical and self.parity):
            return np.asarray(self.straight(w), dtype=np.float64)
        # a weight below zero is the mirror image of one above
        sign = np.where((w < 0) & (self.parity < 0), -1.0, 1.0)
        return np.asarray(sign * self.straight(np.abs(w)))

    def moved(self, start: FloatArray, mu: FloatArray) -> FloatArray:
        """Return the weight after gradient flow for the time mu; NaN where it has none."""
        start, mu = np.broadcast_arrays(start, mu)
        with np.errstate(all="ignore"):
            if self.closed and (self.parity or np.all(start >= 0)):
                return self._along_path(start, mu)
            return self._by_root(start, mu)

    def _along_path(self, start: FloatArray, mu: FloatArray) -> FloatArray:
        assert self.path is not None
        assert self.straight is not None
        sign = np.where(start < 0, -1.0, 1.0)
        time = mu if self.parity >= 0 else sign * mu
        at = np.asarray(self.straight(sign * start)) + time
        low, high = self.bounds
        inside = (at > low) & (at < high)
        return np.where(inside, sign * np.asarray(self.path(sign * start, time)), np.nan)

    def _by_root(self, start: FloatArray, mu: FloatArray) -> FloatArray:
        unit = np.abs(start) + (not self.critical)

        def weight(x: FloatArray) -> FloatArray:
            return start * np.exp(x) if self.critical else start + unit * x

        def phi(x: FloatArray) -> FloatArray:
            w = weight(x)
            found = self.between(start, w)
            return np.where(np.isfinite(w) & (w != 0 if self.critical else True), found, np.nan)

        def slope(x: FloatArray) -> FloatArray:
            w = weight(x)
            return np.asarray((w if self.critical else unit) / self.push(w))

        return weight(monotone_root(phi, slope, mu, np.full(mu.shape, 0.25)))
