# ruff: noqa: D102 -- what the overriding methods do is said once, in Potential.
"""A potential given by functions, such as kernels that the symbolic room generated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypeAlias

import numpy as np
from scipy.integrate import quad_vec

from momentumflow.base.arguments import Where
from momentumflow.base.arrays import FloatArray, PositiveArray, RealArray, broadcast_shapes
from momentumflow.base.errors import InputError
from momentumflow.base.values import brief
from momentumflow.numeric.implicit.potentials import Potential, over_coordinates

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
        `value(theta, *parameters)`: psi(theta). Without it divergences are
        integrated numerically from the gradient.
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
        """Theta with psi'(theta) = m, by safeguarded Newton between expanding bounds."""
        low, high = self._bracket(m)
        theta = 0.5 * (low + high)
        for _ in range(200):
            f = self._call(self.gradient, theta) - m
            low, high = np.where(f < 0, theta, low), np.where(f < 0, high, theta)
            new = theta - f / self._call(self.curvature, theta)
            new = np.where((new > low) & (new < high), new, 0.5 * (low + high))
            moved, theta = np.abs(new - theta), new
            if np.all((moved <= 2e-16 * np.abs(theta)) | np.isnan(m)):
                break
        return np.where(np.isnan(m), np.nan, theta)

    def _bracket(self, m: FloatArray) -> tuple[FloatArray, FloatArray]:
        low_end, high_end = self.domain
        centre = np.broadcast_to(self.reference, m.shape)
        low, high = centre.copy(), centre.copy()
        width = np.maximum(np.abs(centre), 1.0)
        for k in range(200):
            reach = width * 2.0**k
            # Towards a finite end of the domain: halve the distance instead.
            up = (
                high_end - (high_end - centre) * 0.5**k if np.isfinite(high_end) else centre + reach
            )
            down = low_end + (centre - low_end) * 0.5**k if np.isfinite(low_end) else centre - reach
            short_up = self._call(self.gradient, high) < m
            short_down = self._call(self.gradient, low) > m
            if not (short_up.any() or short_down.any()):
                break
            high, low = np.where(short_up, up, high), np.where(short_down, down, low)
        return low, high

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
        reference = np.broadcast_to(self.reference, theta.shape)
        if self.value is not None:
            x = theta * self.unit
            change = self._call(self.value, x) - self._call(self.value, reference)
            return (change - self.reference_mirror() * (x - reference)) / self.unit
        if not theta.size:  # nothing bounds the error of nothing
            return np.zeros_like(theta)
        # Adaptive in the fraction of the way, for all coordinates together.
        start = reference / self.unit

        def along(t: float) -> Any:
            return self.mirror(start + t * (theta - start)) * (theta - start)

        total, _ = quad_vec(along, 0.0, 1.0, epsabs=0.0, epsrel=1e-12)
        return np.asarray(total, dtype=np.float64)

    def fenchel_gap(self, theta: FloatArray, miss: FloatArray) -> FloatArray:
        # To second order around theta, which is all that a gap near zero needs.
        return 0.5 * self.slope(miss, theta) * miss**2

    def reference_point(self) -> FloatArray:
        return self.reference / self.unit
