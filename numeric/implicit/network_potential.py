# ruff: noqa: D102 -- what the overriding methods do is said once, in Potential.
r"""The potential of a separable network: where its weights are after a time, for any start.

With phi the straightening coordinates, `theta(z) = sum_i G_i(phi_i^{-1}(phi_i(w_i) + t_i + z))`:
psi* is the integral of this. A run that left the remainders R behind ends at the Bregman
projection from `w = w_0`, `t = -R` (`symbolic/codegen/remainder_laws.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from momentumflow.base.arrays import FloatArray, PositiveArray, RealArray, broadcast_shapes
from momentumflow.base.errors import InputError
from momentumflow.base.values import brief
from momentumflow.numeric.implicit.derived import Interval
from momentumflow.numeric.implicit.potentials import EPS, Potential, over_coordinates
from momentumflow.numeric.implicit.straight_weights import NumericWeight, integral, monotone_root

# What quadrature and root leave of a weight, and what a closed formula does.
_NUMERICAL, _CLOSED = 1e-12, 8 * EPS


@over_coordinates
@dataclass(frozen=True, eq=False, repr=False)
class NetworkPotential(Potential):
    """The potential of gradient flow on the weights of a separable network.

    Parameters
    ----------
    weights : tuple of NumericWeight
        The straightened weights of one coordinate.
    starts : tuple of array_like, shape (..., d)
        Where each starts.
    times : tuple of array_like, shape (..., d)
        For how long each has moved from there at z = 0: minus its remainder.
    name : str
        What messages call it.
    domain : (float, float)
        Open interval of theta.
    unit : array_like, shape (..., d)
        What theta is measured in; the solvers set it.
    """

    weights: tuple[NumericWeight, ...]
    starts: tuple[RealArray, ...]
    times: tuple[RealArray, ...]
    name: str = "potential of a network"
    domain: Interval = (-np.inf, np.inf)
    unit: RealArray = field(default_factory=lambda: np.ones(()))

    def __post_init__(self) -> None:
        given = {len(self.weights), len(self.starts), len(self.times)}
        if len(given) > 1 or 0 in given:
            raise InputError(
                "a start and a time for each weight, of at least one",
                f"{len(self.weights)} weights, {len(self.starts)} starts, {len(self.times)} times",
            )
        named = {f"start_{i + 1}": a.shape for i, a in enumerate(self.starts)}
        broadcast_shapes(**named, **{f"time_{i + 1}": a.shape for i, a in enumerate(self.times)})

    def _shown(self) -> dict[str, str]:
        return {"name": self.name, "starts": brief(self.starts), "times": brief(self.times)}

    def _map(self, function: Callable[[FloatArray], FloatArray]) -> NetworkPotential:
        return replace(
            self,
            starts=tuple(function(a) for a in self.starts),
            times=tuple(function(a) for a in self.times),
            unit=function(self.unit),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        parts = (*self.starts, *self.times, self.unit)
        return np.broadcast_shapes(*(a.shape for a in parts))

    def broadcast_to(self, shape: tuple[int, ...]) -> NetworkPotential:
        return self._map(lambda a: np.broadcast_to(a, shape))

    def take(self, index: Any) -> NetworkPotential:
        return self._map(lambda a: a[index])

    def scaled(self, scale: PositiveArray) -> NetworkPotential:
        return replace(self, unit=np.broadcast_to(self.unit * scale, self.shape))

    def _at(self, z: FloatArray, tail: FloatArray | float = 0.0) -> list[FloatArray]:
        """Return the weights at z + tail, each of shape (..., d)."""
        rows = zip(self.weights, self.starts, self.times, strict=True)
        return [weight.moved(start, (time + z) + tail) for weight, start, time in rows]

    def primal(self, z: FloatArray, tail: FloatArray | float = 0.0) -> FloatArray:
        pairs = zip(self.weights, self._at(z, tail), strict=True)
        total = np.sum([weight.contribution(w) for weight, w in pairs], axis=0)
        return np.asarray(total / self.unit)

    def slope(self, z: FloatArray, theta: FloatArray) -> FloatArray:
        pairs = zip(self.weights, self._at(z), strict=True)
        total = np.sum([weight.push(w) * weight.gradient(w) for weight, w in pairs], axis=0)
        return np.asarray(total / self.unit)

    def curvature_scale(self) -> FloatArray:
        pairs = zip(self.weights, self._at(np.zeros(self.shape)), strict=True)
        bends = [np.abs(weight.bend(w)) for weight, w in pairs]
        steepest = np.nan_to_num(np.max(bends, axis=0), nan=1.0)
        return np.asarray(1.0 / np.maximum(steepest, 1e-3))

    def rounding(self) -> FloatArray:
        closed = all(weight.closed for weight in self.weights)
        return np.asarray(_CLOSED if closed else _NUMERICAL)

    def mirror(self, theta: FloatArray) -> FloatArray:
        def slope(z: FloatArray) -> FloatArray:
            return self.slope(z, theta)

        return monotone_root(self.primal, slope, theta, self.curvature_scale())

    def reference_mirror(self) -> FloatArray:
        return np.zeros(self.shape)

    def divergence(self, theta: FloatArray) -> FloatArray:
        # int (psi'(x) - 0) dx = int s theta'(s) ds, from 0 to z: nothing cancels
        z = self.mirror(theta)
        return z**2 * integral(lambda s: s * self.slope(s * z, theta), theta.shape)

    def fenchel_gap(self, theta: FloatArray, miss: FloatArray) -> FloatArray:
        # To second order around theta, which is all that a gap near zero needs.
        return 0.5 * self.slope(self.mirror(theta), theta) * miss**2

    def reference_point(self) -> FloatArray:
        return self.primal(np.zeros(self.shape))
