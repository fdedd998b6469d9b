# ruff: noqa: D102 -- what the overriding methods do is said once, in Potential.
"""The potentials of other parametrisations: u^2, depth D, and what they approach."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypeAlias

import numpy as np

from momentumflow.base.arguments import Where
from momentumflow.base.arrays import (
    FloatArray,
    Positive,
    PositiveArray,
    RealArray,
    Reals,
    broadcast_shapes,
    floats,
    reals,
)
from momentumflow.numeric.implicit.potentials import (
    EPS,
    LOG_CAP,
    TINY,
    Potential,
    expm1_minus,
    over_coordinates,
)

# The logarithm at which a coordinate stops shrinking, in scaled units: below TINY.
_LOG_TINY = -690.0
# Beyond a few dozen layers alpha^D leaves floating point.
Depth: TypeAlias = Annotated[int, Where("in [3, 1000]", lambda D: 3 <= D <= 1000)]
# Nodes and weights on [-1, 1] that integrate a power over a tenth of its radius exactly.
_GAUSS = np.polynomial.legendre.leggauss(10)


@over_coordinates
@dataclass(frozen=True, eq=False, repr=False)
class KullbackLeibler(Potential):
    """The entropy of theta = u^2: `sum theta ln(theta/reference) - theta + reference`.

    Its minimisers under `X theta = y` are entropy-regularised linear programs:
    with `ln reference = -c / temperature` the divergence is
    `c.theta / temperature` plus the negative entropy.

    Parameters
    ----------
    log_reference : array_like, shape (..., d)
        Logarithm of the reference point, which is positive.

    Notes
    -----
    Wang, Ghosal, Mazumder, "Linear programming using diagonal linear
    networks", arXiv 2310.02535.
    """

    log_reference: RealArray
    name = "Kullback-Leibler divergence"
    domain = (0.0, np.inf)

    @classmethod
    def from_reference(cls, reference: Positive) -> KullbackLeibler:
        """Make the divergence from a positive reference point, shape (..., d)."""
        return cls(np.log(floats(reference)))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.log_reference.shape

    def broadcast_to(self, shape: tuple[int, ...]) -> KullbackLeibler:
        return KullbackLeibler(np.broadcast_to(self.log_reference, shape))

    def take(self, index: Any) -> KullbackLeibler:
        return KullbackLeibler(self.log_reference[index])

    def scaled(self, scale: PositiveArray) -> KullbackLeibler:
        return KullbackLeibler(self.log_reference - np.log(scale))

    def primal(self, z: FloatArray, tail: FloatArray | float = 0.0) -> FloatArray:
        return np.exp(np.clip((self.log_reference + z) + tail, _LOG_TINY, LOG_CAP))

    def slope(self, z: FloatArray, theta: FloatArray) -> FloatArray:
        return theta

    def curvature_scale(self) -> FloatArray:
        return np.asarray(1.0)

    @property
    def has_continuation(self) -> bool:
        return True

    def relaxed(self, t: FloatArray) -> KullbackLeibler:
        return KullbackLeibler(t * self.log_reference)

    def relaxed_tangent(
        self, t: FloatArray, z: FloatArray, theta: FloatArray, slope: FloatArray
    ) -> FloatArray:
        return theta * self.log_reference

    def partials(
        self, z: FloatArray, theta: FloatArray, slope: FloatArray
    ) -> dict[str, FloatArray]:
        return {"reference": theta / self.reference_point(), "log_reference": theta}

    def rounding(self) -> FloatArray:
        return EPS * (1 + np.abs(self.log_reference))

    def mirror(self, theta: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(theta) - self.log_reference

    def mirror_miss(
        self, theta: FloatArray, z: FloatArray, tail: FloatArray | float = 0.0
    ) -> FloatArray:
        # A coordinate that has underflowed is zero to every digit of float64:
        # it is stationary for every z that would make it smaller still.
        with np.errstate(divide="ignore"):
            miss = (self.log_reference + z) - np.log(theta) + tail
        return np.where(theta <= TINY, np.maximum(miss, 0.0), miss)

    def forgiven(self, theta: FloatArray, z: FloatArray) -> FloatArray:
        return np.where(theta <= TINY, np.abs(theta - np.exp(self.log_reference + z)), 0.0)

    def reference_mirror(self) -> FloatArray:
        return self.log_reference

    def divergence(self, theta: FloatArray) -> FloatArray:
        return theta * expm1_minus(-self.mirror(theta))

    def fenchel_gap(self, theta: FloatArray, miss: FloatArray) -> FloatArray:
        # theta_z - theta - theta ln(theta_z/theta) with theta_z = theta e^miss
        return theta * expm1_minus(miss)

    def reference_point(self) -> FloatArray:
        with np.errstate(over="ignore"):
            return np.exp(self.log_reference)


@over_coordinates
@dataclass(frozen=True, eq=False, repr=False)
class DepthEntropy(Potential):
    r"""The entropy of a depth-D diagonal network, `theta = w_+^D - w_-^D`, D >= 3.

    `theta(z) = height h_D(rate z + shift)` with `height = alpha^D`,
    `rate = D (D-2) alpha^{D-2}` for weights that start at alpha, and
    `h_D(x) = (1-x)^{-D/(D-2)} - (1+x)^{-D/(D-2)}` on (-1, 1). Make it by
    `DepthEntropy.from_scale(alpha, depth)`.

    Parameters
    ----------
    depth : int
        D >= 3.
    log_height, rate : array_like, shape (..., d)
    shift : array_like, shape (..., d)
        In (-1, 1): `h_D^{-1}(reference / height)`.

    Notes
    -----
    Woodworth et al., "Kernel and rich regimes in overparametrized models",
    arXiv 2002.09277, theorem 3, for gradient flow.
    """

    depth: Depth
    log_height: RealArray
    rate: PositiveArray
    shift: Annotated[FloatArray, reals("in (-1, 1)", lambda a: np.abs(a) < 1)]
    name = "depth entropy"

    def __post_init__(self) -> None:
        shapes = {name: getattr(self, name).shape for name in ("log_height", "rate", "shift")}
        broadcast_shapes(**shapes)

    @classmethod
    def from_scale(cls, alpha: Positive, depth: Depth = 3, reference: Reals = 0.0) -> DepthEntropy:
        """Make the entropy of weights that start at alpha > 0, shape (..., d).

        Parameters
        ----------
        alpha : array_like, shape (..., d)
            Initialisation scale, > 0.
        depth : int
            D >= 3.
        reference : array_like, shape (..., d)
            The start theta_0; 0 if not given.

        References
        ----------
        Woodworth et al., COLT 2020, arXiv 2002.09277.
        """
        scale, point = floats(alpha), floats(reference)
        with np.errstate(over="ignore"):  # then refused as infinite
            rate = depth * (depth - 2) * scale ** (depth - 2)
        centred = cls(depth, depth * np.log(scale), rate, np.zeros(()))
        broadcast_shapes(alpha=scale.shape, reference=point.shape)
        return cls(depth, centred.log_height, rate, centred.mirror(point) * rate)

    def _map(self, function: Any) -> DepthEntropy:
        return replace(
            self,
            log_height=function(self.log_height),
            rate=function(self.rate),
            shift=function(self.shift),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        return np.broadcast_shapes(self.log_height.shape, self.rate.shape, self.shift.shape)

    def broadcast_to(self, shape: tuple[int, ...]) -> DepthEntropy:
        return self._map(lambda a: np.broadcast_to(a, shape))

    def take(self, index: Any) -> DepthEntropy:
        return self._map(lambda a: a[index])

    def scaled(self, scale: PositiveArray) -> DepthEntropy:
        return replace(self, log_height=self.log_height - np.log(scale))

    @property
    def _power(self) -> float:
        return self.depth / (self.depth - 2)

    @property
    def _height(self) -> FloatArray:
        return np.exp(self.log_height)

    def primal(self, z: FloatArray, tail: FloatArray | float = 0.0) -> FloatArray:
        x = (self.rate * z + self.shift) + self.rate * tail
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._height * self._h(np.where(np.abs(x) < 1, x, np.nan))

    def _h(self, x: FloatArray) -> FloatArray:
        p = self._power
        return np.expm1(-p * np.log1p(-x)) - np.expm1(-p * np.log1p(x))

    def _h_slope(self, x: FloatArray) -> FloatArray:
        p = self._power
        with np.errstate(invalid="ignore", divide="ignore"):
            return p * (np.exp(-(p + 1) * np.log1p(-x)) + np.exp(-(p + 1) * np.log1p(x)))

    def slope(self, z: FloatArray, theta: FloatArray) -> FloatArray:
        return self._height * self.rate * self._h_slope(self.rate * z + self.shift)

    def curvature_scale(self) -> FloatArray:
        return 1.0 / self.rate

    @property
    def has_continuation(self) -> bool:
        return True

    def relaxed(self, t: FloatArray) -> DepthEntropy:
        # Only the height moves, from the order of theta (lazy regime): with
        # the rate kept, the bounds of the dual stay where they are.
        start = np.maximum(self.log_height, 0.0)
        height = start + t * (self.log_height - start)
        return replace(self, log_height=height, shift=t * self.shift)

    def relaxed_tangent(
        self, t: FloatArray, z: FloatArray, theta: FloatArray, slope: FloatArray
    ) -> FloatArray:
        return theta * np.minimum(self.log_height, 0.0) + slope * self.shift / self.rate

    def partials(
        self, z: FloatArray, theta: FloatArray, slope: FloatArray
    ) -> dict[str, FloatArray]:
        return {"log_height": theta, "shift": slope / self.rate}

    def rounding(self) -> FloatArray:
        return EPS * (1 + np.abs(self.log_height))

    def _inverse_h(self, value: FloatArray) -> FloatArray:
        """X with h_D(x) = value, by safeguarded Newton in a = -ln(1 - |x|)."""
        p, size = self._power, np.abs(value)
        with np.errstate(divide="ignore"):
            low = np.maximum(np.log(size) / p, 0.0)
        high = np.log1p(size) / p
        a = high
        for _ in range(80):
            x = -np.expm1(-a)
            f = np.expm1(p * a) - np.expm1(-p * np.log1p(x)) - size
            low, high = np.where(f < 0, a, low), np.where(f < 0, high, a)
            derivative = p * (np.exp(p * a) + np.exp(-(p + 1) * np.log1p(x) - a))
            new = a - f / derivative
            new = np.where((new >= low) & (new <= high), new, 0.5 * (low + high))
            moved, a = np.abs(new - a), new
            if np.all(moved <= 4e-16 * np.abs(a)):
                break
        return np.copysign(-np.expm1(-a), value)

    def mirror(self, theta: FloatArray) -> FloatArray:
        return (self._inverse_h(theta / self._height) - self.shift) / self.rate

    def reference_mirror(self) -> FloatArray:
        return self.shift / self.rate

    def divergence(self, theta: FloatArray) -> FloatArray:
        return self._between(theta, self.shift - self._inverse_h(theta / self._height))

    def fenchel_gap(self, theta: FloatArray, miss: FloatArray) -> FloatArray:
        return self._between(theta, self.rate * miss)

    def _between(self, theta: FloatArray, e: FloatArray) -> FloatArray:
        """D_psi(theta, theta at e further on) as the Bregman divergence of the conjugate."""
        at = self._inverse_h(theta / self._height)
        x = at + e
        q = 2.0 / (self.depth - 2)
        near = np.abs(e) < 0.1 * (1 - np.abs(at))
        with np.errstate(invalid="ignore", divide="ignore"):
            inside = np.where(np.abs(x) < 1, x, np.nan)
            change = (
                _power_difference(at, inside, q) + _power_difference(-at, -inside, q)
            ) / q - self._h(at) * e
            # Close by the terms cancel: the integral of h(at + t) - h(at) does not.
            p, local = self._power, np.zeros_like(change)
            for node, weight in zip(*_GAUSS, strict=True):
                t = at + 0.5 * (1 + node) * np.where(near, e, 0.0)
                rise = _power_difference(at, t, p) - _power_difference(-at, -t, p)
                local += 0.5 * weight * rise * e
        return self._height / self.rate * np.where(near, local, change)

    def reference_point(self) -> FloatArray:
        return self._height * self._h(self.shift)


def _power_difference(a: FloatArray, b: FloatArray, q: float) -> FloatArray:
    """(1 - b)^{-q} - (1 - a)^{-q} without cancellation."""
    base = np.exp(-q * np.log1p(-a))
    return base * np.expm1(-q * (np.log1p(-b) - np.log1p(-a)))


@over_coordinates
@dataclass(frozen=True, eq=False, repr=False)
class WeightedL2(Potential):
    """`sum weights (theta - reference)^2 / 2`: the limit Delta -> infinity.

    The hyperbolic entropy tends to it with `weights = 1/Delta`.

    Parameters
    ----------
    weights : array_like, shape (..., d)
        Positive.
    reference : array_like, shape (..., d)
        Default 0.
    """

    weights: PositiveArray
    reference: RealArray = field(default_factory=lambda: np.zeros(()))
    name = "weighted squared l2 norm"

    def __post_init__(self) -> None:
        broadcast_shapes(weights=self.weights.shape, reference=self.reference.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        return np.broadcast_shapes(self.weights.shape, self.reference.shape)

    def broadcast_to(self, shape: tuple[int, ...]) -> WeightedL2:
        return WeightedL2(
            np.broadcast_to(self.weights, shape), np.broadcast_to(self.reference, shape)
        )

    def take(self, index: Any) -> WeightedL2:
        return WeightedL2(self.weights[index], self.reference[index])

    def scaled(self, scale: PositiveArray) -> WeightedL2:
        return WeightedL2(self.weights * scale, self.reference / scale)

    def primal(self, z: FloatArray, tail: FloatArray | float = 0.0) -> FloatArray:
        return self.reference + (z + tail) / self.weights

    def slope(self, z: FloatArray, theta: FloatArray) -> FloatArray:
        return np.broadcast_to(1.0 / self.weights, theta.shape)

    def curvature_scale(self) -> FloatArray:
        return np.asarray(np.inf)  # linear: every step is exact

    def partials(
        self, z: FloatArray, theta: FloatArray, slope: FloatArray
    ) -> dict[str, FloatArray]:
        return {
            "weights": -(theta - self.reference) / self.weights,
            "reference": np.ones_like(theta),
        }

    def mirror(self, theta: FloatArray) -> FloatArray:
        return self.weights * (theta - self.reference)

    def reference_mirror(self) -> FloatArray:
        return np.zeros(self.shape)

    def divergence(self, theta: FloatArray) -> FloatArray:
        return 0.5 * self.weights * (theta - self.reference) ** 2

    def fenchel_gap(self, theta: FloatArray, miss: FloatArray) -> FloatArray:
        return 0.5 * miss**2 / self.weights

    def reference_point(self) -> FloatArray:
        return self.reference
