# ruff: noqa: D102 -- what the overriding methods do is said once, in Potential.
"""A potential given by functions, such as kernels that the symbolic room generated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypeAlias

import numpy as np

from momentumflow.base.arguments import Where
from momentumflow.base.arrays import FloatArray, PositiveArray, RealArray, broadcast_shapes
from momentumflow.base.errors import InputError
from momentumflow.base.values import brief
from momentumflow.numeric.implicit.potentials import EPS, Potential, over_coordinates

# Steps of an inversion: halvings, and those of Newton's method besides; to what share
# of itself such a step has to bring what is missing.
_INVERSIONS, _FALL = 200, 0.1
# Steps of an integral, the share of it that may be missed in each, and two rules on [0, 1].
_STEPS, _SETTLED = 1000, 1e-14
_RULES = [
    list(zip((1 + nodes) / 2, weights / 2, strict=True))
    for nodes, weights in map(np.polynomial.legendre.leggauss, (14, 9))
]
# A divergence below this share of the terms of its value has lost digits.
_CANCELLED = 1e-4

Function = Callable[..., Any]
Interval: TypeAlias = Annotated[
    tuple[float, float], Where("as (low, high) with low < high", lambda ends: ends[0] < ends[1])
]


@over_coordinates
@dataclass(frozen=True, eq=False, repr=False)
class DerivedPotential(Potential):
    """A separable potential whose derivatives are given as functions.

    Parameters
    ----------
    gradient : callable
        `gradient(theta, *parameters)`: psi'(theta), vectorised, strictly increasing.
    curvature : callable
        `curvature(theta, *parameters)`: psi''(theta) > 0.
    inverse : callable, optional
        `inverse(m, *parameters)`: the theta with psi'(theta) = m. Without it the
        gradient is inverted numerically (safeguarded Newton).
    value : callable, optional
        `value(theta, *parameters)`: psi(theta). Without it, and where it cancels,
        divergences are integrated numerically from the gradient.
    parameters : tuple of array_like
        Each of shape (..., d) or scalar; handed to the functions in order.
    reference : array_like, shape (..., d)
        The reference point, inside the domain; default 0.
    domain : (float, float)
        Open interval of theta; default the real line.
    dual_domain : (float, float)
        Open interval of psi' over the domain; default the real line.
    name : str
        What messages call it.
    unit : array_like, shape (..., d)
        What theta is measured in inside the functions; the solvers set it.

    Notes
    -----
    `momentumflow.symbolic.kernel` makes such functions from SymPy expressions.
    """

    gradient: Function
    curvature: Function
    inverse: Function | None = None
    value: Function | None = None
    parameters: tuple[RealArray, ...] = ()
    reference: RealArray = field(default_factory=lambda: np.zeros(()))
    domain: Interval = (-np.inf, np.inf)
    dual_domain: Interval = (-np.inf, np.inf)
    name: str = "derived potential"
    unit: RealArray = field(default_factory=lambda: np.ones(()))

    def __post_init__(self) -> None:
        reference = self.reference
        broadcast_shapes(
            reference=reference.shape,
            **{f"parameter_{i + 1}": p.shape for i, p in enumerate(self.parameters)},
        )
        low, high = self.domain
        if not np.all((reference > low) & (reference < high)):
            raise InputError(
                f"a reference point inside the domain ({low:g}, {high:g})",
                "one on or outside its boundary",
            )

    def _shown(self) -> dict[str, str]:
        return {"name": self.name, "parameters": brief(self.parameters)} | {
            "reference": brief(self.reference)
        }

    def _map(self, function: Callable[[FloatArray], FloatArray]) -> DerivedPotential:
        return replace(
            self,
            parameters=tuple(function(p) for p in self.parameters),
            reference=function(self.reference),
            unit=function(self.unit),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        return np.broadcast_shapes(self.reference.shape, *(p.shape for p in self.parameters))

    def broadcast_to(self, shape: tuple[int, ...]) -> DerivedPotential:
        return self._map(lambda a: np.broadcast_to(a, shape))

    def take(self, index: Any) -> DerivedPotential:
        return self._map(lambda a: a[index])

    def scaled(self, scale: PositiveArray) -> DerivedPotential:
        return replace(self, unit=np.broadcast_to(self.unit * scale, self.shape))

    def _call(self, function: Function, x: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            result = np.asarray(function(x, *self.parameters), dtype=np.float64)
        return np.broadcast_to(result, x.shape)

    def primal(self, z: FloatArray, tail: FloatArray | float = 0.0) -> FloatArray:
        m = (self.reference_mirror() + z) + tail
        low, high = self.dual_domain
        m = np.where((m > low) & (m < high), m, np.nan)
        theta = self._invert(m) if self.inverse is None else self._call(self.inverse, m)
        return theta / self.unit

    def _invert(self, m: FloatArray) -> FloatArray:
        """Theta with psi'(theta) = m: Newton's method while what is missing falls fast.

        Else the bracket is halved, counted in the numbers that float64 holds in it:
        no theta is further than 64 halvings away, however large or small it is.
        """
        start = np.broadcast_to(self.reference, m.shape)
        low, high = (np.broadcast_to(_place(end), m.shape) for end in np.array(self.domain))
        theta, before, done = start, np.full(m.shape, np.inf), np.isnan(m)
        for _ in range(_INVERSIONS):
            f, slope = self._call(self.gradient, theta) - m, self._call(self.curvature, theta)
            # beyond what the gradient can evaluate: back towards the reference
            f = np.where(np.isnan(f), np.where(theta > start, np.inf, -np.inf), f)
            with np.errstate(all="ignore"):
                place, new, terms = _place(theta), theta - f / slope, np.abs(theta * slope)
                rounding = np.abs(f) <= EPS * np.maximum(2 * np.abs(m), terms)
                rounding = (rounding & np.isfinite(terms)) | (f == 0)
            low, high = np.where(f < 0, place, low), np.where(f > 0, place, high)
            inside = (_place(new) > low) & (_place(new) < high)
            newton = inside & (rounding | (np.abs(f) < _FALL * before))
            halved = _number((low >> 1) + (high >> 1) + (low & high & 1))
            done |= (high <= low + 1) | (rounding & ~inside)
            theta = np.where(done, theta, np.where(newton, new, halved))
            done, before = done | rounding, np.abs(f)
            if done.all():
                break
        return np.where(np.isnan(m), np.nan, theta)

    def slope(self, z: FloatArray, theta: FloatArray) -> FloatArray:
        return 1.0 / (self._call(self.curvature, theta * self.unit) * self.unit)

    def curvature_scale(self) -> FloatArray:
        return np.asarray(1.0)

    def mirror(self, theta: FloatArray) -> FloatArray:
        return self._call(self.gradient, theta * self.unit) - self.reference_mirror()

    def reference_mirror(self) -> FloatArray:
        reference = np.broadcast_to(self.reference, self.shape)
        return self._call(self.gradient, reference)

    def divergence(self, theta: FloatArray) -> FloatArray:
        if self.value is None:
            return self._integral(theta)
        x, reference = theta * self.unit, np.broadcast_to(self.reference, theta.shape)
        ends = self._call(self.value, x), self._call(self.value, reference)
        linear = self.reference_mirror() * (x - reference)
        change = (ends[0] - ends[1]) - linear
        terms = np.abs(ends[0]) + np.abs(ends[1]) + np.abs(linear)
        clear = change > _CANCELLED * terms
        if clear.all():
            return change / self.unit
        return np.where(clear, change / self.unit, self._integral(theta))

    def _integral(self, theta: FloatArray) -> FloatArray:
        """The integral of psi' - psi'(reference), NaN where it does not settle.

        Each coordinate goes its own way from the reference to theta, with steps as
        long as two rules of Gauss agree on: a kink on the way, as a small
        balancedness makes one, costs steps in its logarithm only.
        """
        start, base = np.broadcast_to(self.reference, theta.shape), self.reference_mirror()
        way = theta * self.unit - start
        top = self._call(self.gradient, theta * self.unit)
        # The whole is below the first term; the second is its rounding.
        allowed = np.maximum(_SETTLED * np.abs(top - base), 8 * EPS * (np.abs(top) + np.abs(base)))
        t, step, total = np.zeros(theta.shape), np.ones(theta.shape), np.zeros(theta.shape)
        on = way != 0
        for _ in range(_STEPS):
            if not on.any():
                break
            fine, coarse = (
                sum(
                    w * (self._call(self.gradient, start + (t + step * node) * way) - base)
                    for node, w in rule
                )
                for rule in _RULES
            )
            miss = np.abs(fine - coarse) * step
            good = on & (miss <= allowed)
            total, t = np.where(good, total + step * fine, total), np.where(good, t + step, t)
            on &= (t < 1) & ~np.isnan(miss)
            step = np.where(good, np.where(miss <= 1e-2 * allowed, 2.0, 1.0), 0.5) * step
            step = np.minimum(step, 1 - t)
        return np.where((way == 0) | (t >= 1), total * way / self.unit, np.nan)

    def fenchel_gap(self, theta: FloatArray, miss: FloatArray) -> FloatArray:
        # To second order around theta, which is all that a gap near zero needs.
        return 0.5 * self.slope(miss, theta) * miss**2

    def reference_point(self) -> FloatArray:
        return self.reference / self.unit


def _place(x: Any) -> Any:
    """The place of a number among those of float64: whole numbers in the same order."""
    bits = np.asarray(x, dtype=np.float64).view(np.int64)
    return np.where(bits < 0, np.iinfo(np.int64).min - bits, bits)


def _number(place: Any) -> Any:
    """The number at a place."""
    return np.where(place < 0, np.iinfo(np.int64).min - place, place).view(np.float64)
