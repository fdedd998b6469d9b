r"""The limit of a run before the run has ended, and how far the prediction is from it.

What a run has left behind up to a step determines a Bregman projection, as the whole of
it does at the end (`symbolic/codegen/remainder_laws.py`). Only the remainder of what is
still to come is missing, and that is of second order in the gradient:
`I_j = lambda int D' (phi(w)')^2 dt`, bounded by `lambda |D'| int g_j^2 dt` and by the
momentum that the run has now (`D' = 1` and `phi(w)' = w'/w` for two layers). Near the
limit the residual r obeys

    lambda r'' + r' = -K r,   K = X M X^T / n,   M = dtheta/dmu = sum_i D_i G_i',

whose integral of r r^T solves a Lyapunov equation. The limit answers to I as
`d theta = -P_M (...)` with a projection P_M that is orthogonal in the metric 1/M
(theorem `first-order-in-lambda`), so that

    |theta_hat - theta_inf|^2 <= max M * sum_j M_j I_j^2.

Whether a state is near enough is decided by the speeds of its modes: those of K at the
state and at the prediction differ by less than a factor of two. Elsewhere nothing is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.linalg import solve_continuous_lyapunov

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import FloatArray
from momentumflow.numeric.implicit.potentials import Potential
from momentumflow.numeric.implicit.solution import ImplicitSolution
from momentumflow.numeric.runs.networks import Network

if TYPE_CHECKING:
    import xarray as xr

# Modes slower than this share of the fastest are rounding; the residual must not need them.
_SLOWEST = 1e-13
_MISSED = 1e-6
# By how much a mode may be faster or slower at the state than at the limit.
_NEAR = 2.0
# Below this share of itself a weight keeps its sign; beyond, its logarithm may turn.
_TURNING = 0.5


@checked
@dataclass(frozen=True, eq=False, repr=False)
class PredictedLimit(ImplicitSolution):
    """Where a run ends: the solution that its remainders determine.

    Parameters
    ----------
    ahead : ndarray, shape (...)
        Estimate of |theta - theta_inf| / |theta| from what the run has still to do:
        quadratic in its residual, zero for a run that has converged, infinite where the
        run is too far from its limit to tell.
    rounding : ndarray, shape (...)
        Estimate of how far the run's rounding has carried that limit, relatively
        (`Trajectory.rounding`): infinite where it decided the path, NaN where it was not
        measured.
    """

    ahead: FloatArray
    rounding: FloatArray

    def to_xarray(self, feature_names: Sequence[str] | None = None) -> xr.Dataset:
        """Return the solutions as a labelled Dataset, with `ahead` and `rounding`.

        Raises
        ------
        InputError
            If there are names, but not one for each feature.
        """
        found = super().to_xarray(feature_names)
        axes = found["error"].dims
        return found.assign(ahead=(axes, self.ahead), rounding=(axes, self.rounding))

    def _shown(self) -> dict[str, str]:
        return super()._shown() | self._estimates

    @property
    def _estimates(self) -> dict[str, str]:
        """The largest of either, as far as they are known."""
        both = {"ahead": np.ravel(self.ahead), "rounding": np.ravel(self.rounding)}
        known = {name: values[~np.isnan(values)] for name, values in both.items()}
        return {name: f"{values.max():.1e}" for name, values in known.items() if values.size}

    def __repr__(self) -> str:
        estimates = "".join(f", {name}={value}" for name, value in self._estimates.items())
        return f"{super().__repr__()[:-1]}{estimates})"


class Pace(NamedTuple):
    """How discrete runs go on: what a schedule has changed by then, and its largest rates yet.

    Attributes
    ----------
    share : ndarray, shape (...)
        What is left of the momentum after a step; beta where it is constant.
    lam, step : ndarray, shape (...)
        lambda, and the time that a step takes.
    """

    share: FloatArray
    lam: FloatArray
    step: FloatArray


@dataclass(frozen=True, eq=False)
class State:
    """One run at one time.

    Attributes
    ----------
    X : ndarray, shape (n, d)
    residual : ndarray, shape (n,)
        X theta - y.
    network : Network
    weights : ndarray, shape (m, d)
    rates : ndarray, shape (m, d)
        lambda phi(w)' of each.
    lam : float
        lambda of the run, or a bound on it.
    noise : float
        Time step times (n - B)/(B (n - 1)) for batches of B rows; 0 for all rows.
    """

    X: FloatArray
    residual: FloatArray
    network: Network
    weights: FloatArray
    rates: FloatArray
    lam: float
    noise: float = 0.0

    def ahead(self, theta: FloatArray, metric: FloatArray) -> float:
        """Return the estimate of `PredictedLimit.ahead`.

        Parameters
        ----------
        theta, metric : ndarray, shape (d,)
            The prediction, and dtheta/dmu there.
        """
        if not (np.all(np.isfinite(theta)) and np.all(np.isfinite(metric))):
            return np.inf
        n = self.residual.size
        speeds, modes = np.linalg.eigh((self.X * metric) @ self.X.T / n)
        kept = speeds > _SLOWEST * speeds[-1]
        speeds, modes = speeds[kept], modes[:, kept]
        amplitude = modes.T @ self.residual
        size = np.linalg.norm(self.residual)
        if np.linalg.norm(self.residual - modes @ amplitude) > _MISSED * size:
            return np.inf
        seen = self.X.T @ modes
        here = (seen.T * self.network.metric(self.weights)) @ seen / n
        ratios = np.linalg.eigvalsh(here / np.sqrt(np.outer(speeds, speeds)))
        if not (ratios[0] > 1 / _NEAR and ratios[-1] < _NEAR):
            return np.inf
        integral = self._integral(amplitude, seen, speeds)
        squares = np.einsum("jk,kl,jl->j", seen, integral, seen) / n**2
        # of a batch, the gradient varies about its mean, which adds eps^2 Var a step
        rows = np.einsum("ik,kl,il->i", modes, integral, modes)
        scattered = self.noise * (self.X.T**2 @ rows) / n
        bends = self.network.bends(self.weights)
        share = np.minimum(1.0, 1.0 + bends * self.rates)  # 1 + lambda q, at its least
        turning = share < _TURNING
        share = np.where(turning, 1.0, share)
        left = (self.lam * squares + scattered) / share**2 + self.rates**2 / share
        left = (np.abs(bends) * np.where(turning, 1.0 + left, left)).max(axis=0)
        distance = np.sqrt(metric.max() * np.sum(metric * left**2))
        return float(_NEAR * distance / np.linalg.norm(theta))

    def _integral(self, amplitude: FloatArray, seen: FloatArray, speeds: FloatArray) -> FloatArray:
        """Integral of a a^T over the rest of the run, a the modes of the residual."""
        k = speeds.size
        if self.lam == 0:
            drift, start = -np.diag(speeds), amplitude
        else:
            along = self.network.gradients(self.weights) * self.network.pushes(self.weights)
            moving = seen.T @ ((along * self.rates).sum(axis=0) / self.lam)
            drift = np.block(
                [
                    [np.zeros((k, k)), np.eye(k)],
                    [-np.diag(speeds) / self.lam, -np.eye(k) / self.lam],
                ]
            )
            start = np.concatenate((amplitude, moving))
        integral = solve_continuous_lyapunov(drift, -np.outer(start, start))
        return np.asarray(integral[:k, :k], dtype=np.float64)


def rates_of(
    pending: FloatArray, share: FloatArray, lam: FloatArray, gradient: FloatArray
) -> FloatArray:
    """Return lambda phi(w)' of the weights from what the momentum will still do to phi.

    Parameters
    ----------
    pending : ndarray, shape (..., m, d)
        C p/D, `share` times what is asked for; share is one for a flow.
    share, lam : ndarray, shape (...)
    gradient : ndarray, shape (..., d)
        Of the loss with respect to theta: without momentum a weight follows its force.
    """
    part, scale = (np.asarray(a)[..., None, None] for a in (share, lam))
    slow = -scale * gradient[..., None, :]
    return np.where(part > 0, pending / np.where(part > 0, part, 1.0), slow)


def metric_of(solution: ImplicitSolution, X: FloatArray) -> FloatArray:
    """Return dtheta/dmu at solutions in their potential, shape (..., d)."""
    z = (np.swapaxes(X, -1, -2) @ (solution.dual + solution.dual_tail)[..., None])[..., 0]
    assert isinstance(solution.potential, Potential)
    flat = z.reshape(-1, z.shape[-1]) if z.ndim > 1 else z  # as the potential of a batch is
    slope = solution.potential.slope(flat, solution.theta.reshape(flat.shape))
    return slope.reshape(z.shape)


def noise_of(step: Any, n: int, batch_size: int | None) -> Any:
    """Return `State.noise` of a run with a time step that draws `batch_size` of n rows."""
    if batch_size is None or n == 1:
        return 0.0 * step
    return step * (n - batch_size) / (batch_size * (n - 1))


def looked_ahead(solution: ImplicitSolution, ahead: Any, rounding: Any) -> PredictedLimit:
    """Return a solution with the estimates of what the run has still to do and was moved by."""
    fields = {name: getattr(solution, name) for name in ImplicitSolution.__dataclass_fields__}
    return PredictedLimit(**fields, ahead=ahead, rounding=rounding)
