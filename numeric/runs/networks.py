r"""The network that a run trains: its weights, its parameter, and the potential of its limit.

Every network is a sum `theta = sum_i G_i(w_i)` in its straightened weights, each of which
feels itself alone. The two-layer network `u v` is the one that ships with kernels and a
limit theorem of its own (`phi = ln|w_+|` and `-ln|w_-|`); any other is straightened,
compiled and given a `NetworkPotential` on first use
(`straightened_networks.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from momentumflow.base.arrays import FloatArray
from momentumflow.numeric.implicit.potentials import HyperbolicEntropy, Potential
from momentumflow.numeric.runs.initialisation import Init, initial_weights
from momentumflow.numeric.runs.kernels import limit_theorem_diagonal_numpy as limit_theorem

if TYPE_CHECKING:
    from momentumflow.symbolic.networks.diagonal_network import SeparableNetwork

# Without a sign change w_inf = w_0 exp(∓ int g dt - S): the share exp(-S) is what is
# left when the push and the momentum of a weight cancel, and beyond this S that is the
# rounding of the weights.
_LARGEST_REMAINDER = 30.0


class Network:
    """The two-layer diagonal network `u v` in its weights w_± = u ± v.

    Subclasses are other networks. Weights are arrays of shape (..., m, d), m for the
    weights of one coordinate.

    Attributes
    ----------
    names : tuple of str
        The weights of one coordinate.
    parameter : str
        Theta, by the user's weights.
    symbolic : SeparableNetwork or None
        What kernels are generated of; None for the network that ships with them.
    """

    names: tuple[str, ...] = ("w_plus", "w_minus")
    parameter: str = "u*v"
    symbolic: SeparableNetwork | None = None

    @property
    def has_two_layers(self) -> bool:
        """Whether this is the two-layer network, which has w_± and a balancedness."""
        return self.symbolic is None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and self.symbolic == other.symbolic

    def __hash__(self) -> int:
        return hash(self.parameter)

    def __repr__(self) -> str:
        return f"<network theta = {self.parameter}>"

    def start(self, init: Init, d: int) -> FloatArray:
        """Return the weights that an `init` of `momentum_descent` means, shape (..., m, d)."""
        return np.stack(initial_weights(init, d), axis=-2)

    def theta(self, weights: FloatArray) -> FloatArray:
        """Return theta, shape (..., d)."""
        return limit_theorem.parameter(weights[..., 0, :], weights[..., 1, :])

    def pushes(self, weights: FloatArray) -> FloatArray:
        """Return D, what a unit of -dL/dtheta moves each weight by."""
        return weights * np.array([[1.0], [-1.0]])

    def bends(self, weights: FloatArray) -> FloatArray:
        """Return D' of each weight."""
        return np.broadcast_to(np.array([[1.0], [-1.0]]), weights.shape)

    def gradients(self, weights: FloatArray) -> FloatArray:
        """Return dtheta/dw of each weight."""
        return self.pushes(weights) / 2

    def metric(self, weights: FloatArray) -> FloatArray:
        """Return dtheta/dmu along gradient flow, shape (..., d)."""
        return np.asarray((self.pushes(weights) * self.gradients(weights)).sum(axis=-2))

    def between(self, start: FloatArray, end: FloatArray) -> FloatArray:
        """Return phi(end) - phi(start) of each weight."""
        with np.errstate(all="ignore"):
            return np.log(np.abs(end / start)) * np.array([[1.0], [-1.0]])

    def lost(self, start: FloatArray, end: FloatArray, R: FloatArray, flips: NDArray[Any]) -> Any:
        """Tell whether a weight ended where phi has no value, to within rounding; shape (...).

        Parameters
        ----------
        start, end, R : ndarray, shape (..., m, d)
            Weights, and remainders.
        flips : ndarray, shape (..., m)
            Sign changes.
        """
        S = R * np.array([[1.0], [-1.0]])
        cancelled = (S > _LARGEST_REMAINDER) & (flips[..., None] == 0)
        return np.any(cancelled | (end == 0), axis=(-2, -1))

    def potential(self, start: FloatArray, end: FloatArray, R: FloatArray) -> Potential:
        """Return the potential whose projection a run with remainders R ends at.

        `end` says on which side of a critical point the weights are by then.
        """
        args = (start[..., 0, :], start[..., 1, :], R[..., 0, :], -R[..., 1, :])
        return HyperbolicEntropy(limit_theorem.log_balancedness(*args), limit_theorem.shift(*args))

    def known(self, start: FloatArray, end: FloatArray, R: FloatArray) -> NDArray[np.bool_]:
        """Whether the potential of each run is known, shape (...)."""
        return np.asarray(np.isfinite(R).all(axis=(-2, -1)) & (start != 0).all(axis=(-2, -1)))


TWO_LAYERS = Network()
