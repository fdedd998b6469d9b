# ruff: noqa: D102 -- what the overriding methods do is said once, in Potential.
"""Separable mirror potentials: the interface, and the hyperbolic entropy.

Every potential of the room is a sum over coordinates, strictly convex, and
carries its reference point. It is known through two independent halves:

- the *dual* half maps a mirror displacement `z` to the point
  `theta(z) = (psi')^{-1}(psi'(reference) + z)`; solvers use this half only;
- the *primal* half evaluates `psi'(theta) - psi'(reference)` and the Bregman
  divergence; certificates use this half only.

The solution of `min D_psi(theta, reference)` subject to `X theta = y` is
`theta(X^T nu)` for the dual `nu` at which `X theta = y`.
"""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import (
    FloatArray,
    Positive,
    PositiveArray,
    RealArray,
    Reals,
    broadcast_shapes,
    floats,
)
from momentumflow.base.errors import InputError, shown
from momentumflow.base.values import Value

EPS = float(np.finfo(np.float64).eps)
# exp(250) of a quantity scaled to order one is overshoot, never a solution;
# capping there keeps sums of squares finite.
LOG_CAP = 250.0
# Below this size, in scaled units, a coordinate counts as zero; its column's scale may
# make it visible in the user's, so that certificates charge it.
TINY = 1e-260
LOG_TINY = float(np.log(TINY))
# theta goes with exp(shift): float64 leaves it four digits there.
_LARGEST_SHIFT = 1e12
_LOG2 = float(np.log(2.0))
# Methods whose arrays have one entry for each coordinate.
_OF_ARRAYS = {
    *("scaled", "primal", "slope", "relaxed", "relaxed_tangent", "partials"),
    *("mirror", "mirror_miss", "forgiven", "divergence", "fenchel_gap", "value"),
}
_SELECTIONS = {"take", "broadcast_to"}
T = TypeVar("T")


def _fitting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let in arrays that broadcast against the parameters; overflow is infinity, not a warning."""

    @functools.wraps(function)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        named = {f"array {i + 1}": a.shape for i, a in enumerate(args) if hasattr(a, "shape")}
        named |= {name: a.shape for name, a in kwargs.items() if hasattr(a, "shape")}
        shape = broadcast_shapes(parameters=self.shape, **named)

        def whole(a: Any) -> Any:
            return a if getattr(a, "shape", shape) == shape else np.broadcast_to(a, shape)

        with np.errstate(all="ignore"):
            return function(self, *map(whole, args), **{k: whole(a) for k, a in kwargs.items()})

    return call


def _selecting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse an index or a shape that does not go with the parameters."""

    @functools.wraps(function)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return function(self, *args, **kwargs)
        except Exception:  # what indexes may run code of its own
            parameter = list(inspect.signature(function).parameters)[1]
            expected = f"{parameter} that goes with parameters of shape {self.shape}"
            raise InputError(expected, shown(next(iter((*args, *kwargs.values()))))) from None

    return call


def over_coordinates(cls: type[T]) -> type[T]:
    """Check the arguments of a class whose parameters have one entry a coordinate."""
    for names, guard in ((_OF_ARRAYS, _fitting), (_SELECTIONS, _selecting)):
        for name in names & vars(cls).keys():
            if inspect.isfunction(member := vars(cls)[name]):
                setattr(cls, name, guard(member))
    return checked(cls)


@over_coordinates
class Potential(Value, ABC):
    """A separable mirror potential together with its reference point.

    Subclasses hold parameters of shape `(..., d)`; leading axes are a batch. Their
    methods speak of `z`, the mirror variable psi'(theta) - psi'(reference), of
    `theta` at it and of `slope`, its derivative there; each of shape (..., d).
    """

    #: What the potential is called in messages.
    name: str = "potential"
    #: Open interval of a coordinate of theta on which the potential is finite.
    domain: tuple[float, float] = (-np.inf, np.inf)

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape (..., d) of the parameters; `(1,)` or `()` fits every d."""

    @abstractmethod
    def broadcast_to(self, shape: tuple[int, ...]) -> Self:
        """Return the potential with parameters broadcast to `shape`."""

    @abstractmethod
    def take(self, index: Any) -> Self:
        """Return the potential of the sub-batch (or coordinates) that `index` selects."""

    @abstractmethod
    def scaled(self, scale: PositiveArray) -> Self:
        """Return the potential of `theta / scale` in the same mirror coordinate z."""

    # -- dual half ---------------------------------------------------------

    @abstractmethod
    def primal(self, z: FloatArray, tail: FloatArray | float = 0.0) -> FloatArray:
        """Return theta(z + tail), shape (..., d); NaN outside the dual domain.

        `tail` is what rounding z to float64 left out: it counts where z and
        psi'(reference) cancel.
        """

    @abstractmethod
    def slope(self, z: FloatArray, theta: FloatArray) -> FloatArray:
        """Return d theta / d z > 0 at `z`, where `theta = primal(z)`."""

    @abstractmethod
    def curvature_scale(self) -> FloatArray:
        """Return the displacement of z that changes theta by a factor of order e.

        Steps of the Newton method are measured in this unit; shape broadcasts
        against (..., d).
        """

    def relaxed(self, t: FloatArray) -> Self:
        """Return the potential at stage `t` of its continuation, t = 1 being itself.

        At t = 0 the problem is easy (lazy regime). The default has no
        continuation: every stage is the potential itself. `t` has shape (..., 1).
        """
        del t
        return self

    def relaxed_tangent(
        self, t: FloatArray, z: FloatArray, theta: FloatArray, slope: FloatArray
    ) -> FloatArray:
        """Return d theta / d t at fixed z along the continuation."""
        del t, z, slope
        return np.zeros_like(theta)

    @property
    def has_continuation(self) -> bool:
        """Whether `relaxed` does anything."""
        return False

    def partials(
        self, z: FloatArray, theta: FloatArray, slope: FloatArray
    ) -> dict[str, FloatArray]:
        """Return partial derivatives of theta by its own parameters at fixed z.

        By name of the parameter, each of shape (..., d); for sensitivities.
        """
        del z, theta, slope
        return {}

    def rounding(self) -> FloatArray:
        """Return the share of theta that the rounding of logarithms costs; fits (..., d)."""
        return np.asarray(EPS)

    # -- primal half -------------------------------------------------------

    @abstractmethod
    def mirror(self, theta: FloatArray) -> FloatArray:
        """Return psi'(theta) - psi'(reference), shape (..., d)."""

    def mirror_miss(
        self, theta: FloatArray, z: FloatArray, tail: FloatArray | float = 0.0
    ) -> FloatArray:
        """Return what is missing for stationarity, z + tail - (psi'(theta) - psi'(reference))."""
        return z - self.mirror(theta) + tail

    def forgiven(self, theta: FloatArray, z: FloatArray) -> FloatArray:
        """Return |theta - theta(z)| where `mirror_miss` calls both zero, else 0; (..., d)."""
        del z
        return np.zeros_like(theta)

    @abstractmethod
    def reference_mirror(self) -> FloatArray:
        """Return psi'(reference), shape (..., d)."""

    @abstractmethod
    def divergence(self, theta: FloatArray) -> FloatArray:
        """Return the Bregman divergence D_psi(theta, reference) a coordinate, shape (..., d)."""

    @abstractmethod
    def fenchel_gap(self, theta: FloatArray, miss: FloatArray) -> FloatArray:
        """Return D_psi(theta, theta(z)) >= 0 a coordinate: what theta loses against z.

        `miss` is `mirror_miss(theta, z)`, which says where z is.
        """

    @abstractmethod
    def reference_point(self) -> FloatArray:
        """Return the reference point theta_tilde_0, shape (..., d)."""


@over_coordinates
@dataclass(frozen=True, eq=False, repr=False)
class HyperbolicEntropy(Potential):
    r"""The hyperbolic entropy of diagonal linear networks, theta = u * v.

    `psi(theta) = (1/4) sum [2 theta asinh(2 theta/Delta) - sqrt(4 theta^2 + Delta^2) + Delta]`,
    so `psi'(theta) = asinh(2 theta/Delta)/2` and
    `theta(z) = (Delta/2) sinh(2 z + s)` with the shift
    `s = asinh(2 theta_tilde_0/Delta)` of the reference point.

    Parameters
    ----------
    log_balancedness : array_like, shape (..., d)
        ln Delta. The logarithm is what a trajectory knows exactly, and what
        does not underflow.
    shift : array_like, shape (..., d)
        s, half of `ln(w_+^2 / w_-^2)` at the perturbed initialisation.

    Notes
    -----
    Papazov, Pesme, Flammarion, arXiv 2403.05293, equation (9); Woodworth et
    al., arXiv 2002.09277, for the same entropy at zero momentum.
    """

    log_balancedness: RealArray
    shift: RealArray
    name = "hyperbolic entropy"

    def __post_init__(self) -> None:
        broadcast_shapes(log_balancedness=self.log_balancedness.shape, shift=self.shift.shape)

    @classmethod
    def from_balancedness(
        cls, balancedness: Positive, reference: Reals | None = None
    ) -> HyperbolicEntropy:
        """Make the entropy of a balancedness Delta > 0 and a reference point (default 0).

        Where a trajectory gives ln Delta and s themselves, hand those over
        instead: a reference point of float64 keeps fewer digits of them.

        Parameters
        ----------
        balancedness : array_like, shape (..., d)
            Delta > 0.
        reference : array_like, shape (..., d), optional
            theta_tilde_0; 0 if not given.
        """
        return hyperbolic_potential(balancedness, reference, None, None)

    @property
    def balancedness(self) -> FloatArray:
        """Delta, shape (..., d)."""
        return np.exp(self.log_balancedness)

    @property
    def shape(self) -> tuple[int, ...]:
        return np.broadcast_shapes(self.log_balancedness.shape, self.shift.shape)

    def broadcast_to(self, shape: tuple[int, ...]) -> HyperbolicEntropy:
        return HyperbolicEntropy(
            np.broadcast_to(self.log_balancedness, shape), np.broadcast_to(self.shift, shape)
        )

    def take(self, index: Any) -> HyperbolicEntropy:
        return HyperbolicEntropy(self.log_balancedness[index], self.shift[index])

    def scaled(self, scale: PositiveArray) -> HyperbolicEntropy:
        return HyperbolicEntropy(self.log_balancedness - np.log(scale), self.shift)

    def primal(self, z: FloatArray, tail: FloatArray | float = 0.0) -> FloatArray:
        # (Delta/2) sinh(b) without cancellation at small b and without overflow
        # at large b: the product is formed in the exponent.
        b = (2 * z + self.shift) + 2 * tail
        size = np.abs(b)
        exponent = np.minimum(self.log_balancedness + size, LOG_CAP)
        theta: FloatArray = np.copysign(0.25 * np.exp(exponent) * -np.expm1(-2 * size), b)
        return theta

    def slope(self, z: FloatArray, theta: FloatArray) -> FloatArray:
        # d theta/dz = Delta cosh(b) = sqrt(4 theta^2 + Delta^2)
        delta = np.exp(np.minimum(self.log_balancedness, LOG_CAP))
        return np.hypot(2 * theta, delta)

    def curvature_scale(self) -> FloatArray:
        return np.asarray(0.5)

    @property
    def has_continuation(self) -> bool:
        return True

    def _start(self) -> FloatArray:
        return np.maximum(self.log_balancedness, 0.0)

    def relaxed(self, t: FloatArray) -> HyperbolicEntropy:
        # Lazy regime (Delta of the order of theta, which is scaled to one) to
        # the wanted Delta, straight in ln Delta, in which the dual path is
        # asymptotically straight too.
        start = self._start()
        return HyperbolicEntropy(start + t * (self.log_balancedness - start), t * self.shift)

    def relaxed_tangent(
        self, t: FloatArray, z: FloatArray, theta: FloatArray, slope: FloatArray
    ) -> FloatArray:
        return theta * (self.log_balancedness - self._start()) + 0.5 * slope * self.shift

    def partials(
        self, z: FloatArray, theta: FloatArray, slope: FloatArray
    ) -> dict[str, FloatArray]:
        # (theta - (slope/2) tanh s)/Delta cancels; it is sinh(2 z) / (2 cosh s).
        size, shift = 2 * np.abs(z), np.abs(self.shift)
        by_delta = -0.5 * np.exp(size - shift) * np.expm1(-2 * size) / (1 + np.exp(-2 * shift))
        return {
            "balancedness": np.copysign(by_delta, z),
            "reference": slope / np.hypot(2 * self.reference_point(), self.balancedness),
            "log_balancedness": theta,
            "shift": 0.5 * slope,
        }

    def rounding(self) -> FloatArray:
        return EPS * (1 + np.abs(self.log_balancedness))

    def mirror(self, theta: FloatArray) -> FloatArray:
        return 0.5 * (self._asinh(theta) - self.shift)

    def reference_mirror(self) -> FloatArray:
        return 0.5 * self.shift

    def _asinh(self, theta: FloatArray) -> FloatArray:
        """asinh(2 theta/Delta), by logarithms where 2 theta/Delta would overflow."""
        size = np.abs(theta)
        with np.errstate(divide="ignore", over="ignore"):
            exponent = np.log(2 * size) - self.log_balancedness
            near = np.arcsinh(np.exp(np.minimum(exponent, 300.0)))
        return np.copysign(np.where(exponent < 300.0, near, exponent + _LOG2), theta)

    def divergence(self, theta: FloatArray) -> FloatArray:
        return self._between(theta, self.shift - self._asinh(theta))

    def fenchel_gap(self, theta: FloatArray, miss: FloatArray) -> FloatArray:
        return self._between(theta, 2 * miss)

    def _between(self, theta: FloatArray, e: FloatArray) -> FloatArray:
        # With a = asinh(2 theta/Delta): (Delta/4)[cosh b - cosh a - (b - a) sinh a],
        # written with e = b - a as (1/8)[e^{L+a}(e^e - 1 - e) + e^{L-a}(e^{-e} - 1 + e)],
        # a sum of two non-negative terms.
        a = self._asinh(theta)
        L = self.log_balancedness
        return 0.125 * (_scaled_expm1_minus(L + a, e) + _scaled_expm1_minus(L - a, -e))

    def mirror_miss(
        self, theta: FloatArray, z: FloatArray, tail: FloatArray | float = 0.0
    ) -> FloatArray:
        # 2 z and s cancel where the reference point dwarfs theta: they go first.
        b = (2 * z + self.shift) + 2 * tail
        miss = 0.5 * (b - self._asinh(theta))
        # A coordinate that underflows is zero to every digit of float64: it is
        # stationary for every z that keeps it below the threshold.
        excess = 0.5 * (self.log_balancedness + np.abs(b) - LOG_TINY)
        return np.where(self._tiny(theta), np.copysign(np.maximum(excess, 0.0), b), miss)

    def _tiny(self, theta: FloatArray) -> Any:
        return (np.abs(theta) < TINY) & (self.log_balancedness < LOG_TINY)

    def forgiven(self, theta: FloatArray, z: FloatArray) -> FloatArray:
        return np.where(self._tiny(theta), np.abs(theta - self.primal(z)), 0.0)

    def reference_point(self) -> FloatArray:
        size = np.abs(self.shift)
        with np.errstate(over="ignore"):
            point = 0.25 * np.exp(self.log_balancedness + size) * -np.expm1(-2 * size)
        return np.asarray(np.copysign(point, self.shift))


def expm1_minus(x: FloatArray) -> FloatArray:
    """exp(x) - 1 - x >= 0, by its series where the difference would cancel."""
    small = np.abs(x) < 1e-2
    safe = np.where(small, x, 0.0)
    series = safe * safe * (0.5 + safe * (1 / 6 + safe * (1 / 24 + safe * (1 / 120 + safe / 720))))
    with np.errstate(over="ignore"):
        direct = np.expm1(np.where(small, 0.0, x)) - np.where(small, 0.0, x)
    return np.where(small, series, direct)


def _scaled_expm1_minus(log_scale: FloatArray, x: FloatArray) -> FloatArray:
    """exp(log_scale) (exp(x) - 1 - x), where exp(x) alone may overflow."""
    near = np.abs(x) < 30.0
    with np.errstate(over="ignore"):
        inside = np.exp(log_scale) * expm1_minus(np.where(near, x, 0.0))
        outside = np.exp(log_scale + x) - np.exp(log_scale) * (1 + x)
    return np.where(near, inside, outside)


@checked
def hyperbolic_potential(
    balancedness: Positive | None,
    reference: Reals | None,
    log_balancedness: Reals | None,
    shift: Reals | None,
) -> HyperbolicEntropy:
    """Make the entropy from whichever description the caller has.

    Exactly one of `balancedness` and `log_balancedness`, at most one of
    `reference` and `shift`.
    """
    if (balancedness is None) == (log_balancedness is None):
        raise InputError(
            "exactly one of balancedness and log_balancedness",
            "neither" if balancedness is None else "both",
        )
    if reference is not None and shift is not None:
        raise InputError("at most one of reference and shift", "both")
    if log_balancedness is not None:
        log_delta = floats(log_balancedness)
    else:
        assert balancedness is not None
        log_delta = np.log(floats(balancedness))
    if shift is not None:
        entropy = HyperbolicEntropy(log_delta, floats(shift))
        largest = float(np.abs(entropy.shift).max())
        if largest > _LARGEST_SHIFT:
            raise InputError(
                f"|shift| <= {_LARGEST_SHIFT:g}",
                f"{largest:.3g}",
                "its rounding alone would move theta by a factor",
            )
        return entropy
    centred = HyperbolicEntropy(log_delta, np.zeros(()))
    if reference is None:
        return centred
    point = floats(reference)
    broadcast_shapes(balancedness=log_delta.shape, reference=point.shape)
    return HyperbolicEntropy(log_delta, 2 * centred.mirror(point))
