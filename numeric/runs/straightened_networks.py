"""A separable map of a user's as a network that runs: straightened, with its potential."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import NDArray

from momentumflow.base.arrays import FloatArray, broadcast_shapes
from momentumflow.base.errors import InputError
from momentumflow.numeric.implicit.compiled_maps import numeric_weights, reach_of
from momentumflow.numeric.implicit.network_potential import NetworkPotential
from momentumflow.numeric.implicit.potentials import Potential
from momentumflow.numeric.implicit.straight_weights import NumericWeight
from momentumflow.numeric.runs.initialisation import Init, over_features
from momentumflow.numeric.runs.networks import TWO_LAYERS, Network
from momentumflow.symbolic.codegen.compiled import kernel
from momentumflow.symbolic.networks.diagonal_network import DiagonalNetwork, SeparableNetwork
from momentumflow.symbolic.networks.straightening import straightened


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class StraightenedNetwork(Network):
    """A separable map of a user's, in its straightened weights.

    Parameters
    ----------
    parameter : str
    symbolic : SeparableNetwork
        In the straightened weights.
    weights : tuple of NumericWeight
    own : tuple of str
        The user's weights.
    rotation : callable
        The straightened weights by the user's.
    domain : (float, float)
        Where theta can be from positive weights.
    """

    parameter: str
    symbolic: Any
    weights: tuple[NumericWeight, ...]
    own: tuple[str, ...]
    rotation: Any
    domain: tuple[float, float]

    @cached_property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The straightened weights."""
        return tuple(weight.name for weight in self.weights)

    def start(self, init: Init, d: int) -> FloatArray:
        """Return the straightened weights; a number is where all of the user's start."""
        parts = init if isinstance(init, tuple) else (init,) * len(self.own)
        if len(parts) != len(self.own):
            listed = ", ".join(f"{name}_0" for name in self.own)
            raise InputError(f"init as a number or ({listed})", f"a tuple of {len(parts)}")
        given = [over_features(n, p, d) for n, p in zip(self.own, parts, strict=True)]
        broadcast_shapes(**{n: a.shape for n, a in zip(self.own, given, strict=True)})
        start = np.stack(np.broadcast_arrays(*self.rotation(*given)), axis=-2)
        pushes = self.pushes(start)
        for i, name in enumerate(self.names):
            dead = (pushes[..., i, :] == 0) | ~np.isfinite(pushes[..., i, :])
            if dead.any():
                raise InputError(
                    f"initial weights at which {self.parameter} has a slope other than 0",
                    f"{name} = {start[..., i, :][dead][0]:g}",
                    "a weight that starts at a critical point stays there",
                )
        return start

    def _each(self, function: str, weights: FloatArray) -> FloatArray:
        rows = np.moveaxis(weights, -2, 0)
        with np.errstate(all="ignore"):
            found = [getattr(w, function)(row) for w, row in zip(self.weights, rows, strict=True)]
        return np.stack(found, axis=-2)

    def theta(self, weights: FloatArray) -> FloatArray:
        """Return theta, shape (..., d)."""
        return np.asarray(self._each("contribution", weights).sum(axis=-2))

    def pushes(self, weights: FloatArray) -> FloatArray:
        """Return D."""
        return self._each("push", weights)

    def bends(self, weights: FloatArray) -> FloatArray:
        """Return D'."""
        return self._each("bend", weights)

    def gradients(self, weights: FloatArray) -> FloatArray:
        """Return G'."""
        return self._each("gradient", weights)

    def between(self, start: FloatArray, end: FloatArray) -> FloatArray:
        """Return phi(end) - phi(start), by quadrature where phi is no closed formula."""
        rows = [
            weight.between(start[..., i, :], end[..., i, :])
            for i, weight in enumerate(self.weights)
        ]
        return np.stack(rows, axis=-2)

    def lost(self, start: FloatArray, end: FloatArray, R: FloatArray, flips: NDArray[Any]) -> Any:
        """Tell whether a weight ended at a critical point of the map, or beyond one."""
        D, E = self.pushes(start), self.pushes(end)
        beyond = (D * E < 0) & (start * end > 0)
        return np.any(~np.isfinite(R) | beyond | (E == 0), axis=(-2, -1))

    def potential(self, start: FloatArray, end: FloatArray, R: FloatArray) -> Potential:
        """Return the potential of the straightened weights."""
        critical = np.array([[weight.critical] for weight in self.weights])
        crossed = critical & (start * end < 0)
        times = np.where(crossed, -(R + self.between(start, end)), -R)
        starts = np.where(crossed, end, start)
        m = range(len(self.weights))
        return NetworkPotential(
            self.weights,
            tuple(starts[..., i, :] for i in m),
            tuple(times[..., i, :] for i in m),
            name=f"potential of {self.parameter}",
            domain=self.domain if np.all(starts >= 0) else (-np.inf, np.inf),
        )

    def known(self, start: FloatArray, end: FloatArray, R: FloatArray) -> NDArray[np.bool_]:
        """Whether the potential of each run is known: all weights are on their way still."""
        finite = np.asarray(np.isfinite(R).all(axis=(-2, -1)))
        whole = finite[..., None, None]
        potential = self.potential(start, np.where(whole, end, start), np.where(whole, R, 0.0))
        reference = potential.reference_point()
        return np.asarray(finite & np.isfinite(reference).all(axis=-1))


@lru_cache(maxsize=64)
def straightened_network(given: Any) -> Network:
    """Return the network of a map, text or a SeparableNetwork.

    Raises
    ------
    InputError
        If it is not a smooth separable map.
    """
    separable = SeparableNetwork.of_map(given) if isinstance(given, str) else given
    weights = separable.coordinates
    own = SeparableNetwork(weights, separable.parameter).force == separable.force
    product = own and len(weights) == 2 and separable.parameter == sp.Mul(*weights)
    if product or separable == DiagonalNetwork().balanced:
        return TWO_LAYERS
    found = straightened(separable)
    return StraightenedNetwork(
        parameter=str(found.parameter),
        symbolic=found.network,
        weights=numeric_weights(found),
        own=tuple(map(str, weights)),
        rotation=kernel(list(found.coordinates.values()), list(found.rotation), name="straight"),
        domain=reach_of(found),
    )
