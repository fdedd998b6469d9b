r"""The limit of a run before the run has ended, and how far the prediction is from it.

What a run has left behind up to a step determines a Bregman projection, as the whole of
it does at the end (`symbolic/codegen/remainder_laws.py`). Only the remainder of what is
still to come is missing, and that is of second order in the gradient:
`I_j = lambda int (w'/w)^2 dt`, bounded by `lambda int g_j^2 dt` and by the momentum that
the run has now. Near the limit the residual r obeys

    lambda r'' + r' = -K r,   K = X D X^T / n,   D = (w_+^2 + w_-^2)/2,

whose integral of r r^T solves a Lyapunov equation. The limit answers to I as
`d theta = -P_D (...)` with a projection P_D that is orthogonal in the metric 1/D
(theorem `first-order-in-lambda`), so that

    |theta_hat - theta_inf|^2 <= max D * sum_j D_j I_j^2.

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
from momentumflow.numeric.implicit.solution import ImplicitSolution

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
    """

    ahead: FloatArray

    def to_xarray(self, feature_names: Sequence[str] | None = None) -> xr.Dataset:
        """Return the solutions as a labelled Dataset, as of an `ImplicitSolution`, and `ahead`.

        Raises
        ------
        InputError
            If there are names, but not one for each feature.
        """
        found = super().to_xarray(feature_names)
        return found.assign(ahead=(found["error"].dims, self.ahead))

    def _shown(self) -> dict[str, str]:
        return super()._shown() | {"ahead": self._largest}

    @property
    def _largest(self) -> str:
        return f"{float(np.max(self.ahead)):.1e}"

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, ahead={self._largest})"


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
    weights : ndarray, shape (2, d)
        w_+ and w_-.
    rates : ndarray, shape (2, d)
        lambda w'/w of each.
    lam : float
        lambda of the run, or a bound on it.
    noise : float
        Time step times (n - B)/(B (n - 1)) for batches of B rows; 0 for all rows.
    """

    X: FloatArray
    residual: FloatArray
    weights: FloatArray
    rates: FloatArray
    lam: float
    noise: float = 0.0

    def ahead(self, theta: FloatArray, log_balancedness: FloatArray) -> float:
        """Return the estimate of `PredictedLimit.ahead` for a predicted theta, shape (d,)."""
        if not np.all(np.isfinite(theta)):
            return np.inf
        n = self.residual.size
        metric = np.hypot(2 * theta, np.exp(log_balancedness))
        plus, minus = self.weights**2
        speeds, modes = np.linalg.eigh((self.X * metric) @ self.X.T / n)
        kept = speeds > _SLOWEST * speeds[-1]
        speeds, modes = speeds[kept], modes[:, kept]
        amplitude = modes.T @ self.residual
        size = np.linalg.norm(self.residual)
        if np.linalg.norm(self.residual - modes @ amplitude) > _MISSED * size:
            return np.inf
        seen = self.X.T @ modes
        here = (seen.T * ((plus + minus) / 2)) @ seen / n
        ratios = np.linalg.eigvalsh(here / np.sqrt(np.outer(speeds, speeds)))
        if not (ratios[0] > 1 / _NEAR and ratios[-1] < _NEAR):
            return np.inf
        integral = self._integral(amplitude, seen, speeds)
        squares = np.einsum("jk,kl,jl->j", seen, integral, seen) / n**2
        # of a batch, the gradient varies about its mean, which adds eps^2 Var a step
        rows = np.einsum("ik,kl,il->i", modes, integral, modes)
        scattered = self.noise * (self.X.T**2 @ rows) / n
        share = np.minimum(1.0, 1.0 + self.rates)  # 1 + lambda q, at its least
        turning = share < _TURNING
        share = np.where(turning, 1.0, share)
        left = (self.lam * squares + scattered) / share**2 + self.rates**2 / share
        left = np.where(turning, 1.0 + left, left).max(axis=0)
        distance = np.sqrt(metric.max() * np.sum(metric * left**2))
        return float(_NEAR * distance / np.linalg.norm(theta))

    def _integral(self, amplitude: FloatArray, seen: FloatArray, speeds: FloatArray) -> FloatArray:
        """Integral of a a^T over the rest of the run, a the modes of the residual."""
        k = speeds.size
        if self.lam == 0:
            drift, start = -np.diag(speeds), amplitude
        else:
            (plus, minus), (q_plus, q_minus) = self.weights**2, self.rates / self.lam
            moving = seen.T @ ((plus * q_plus - minus * q_minus) / 2)
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
    pending: FloatArray, beta: FloatArray, lam: FloatArray, gradient: FloatArray
) -> FloatArray:
    """Return lambda w'/w of w_+ and w_- from what the momentum will still do to ln|w|.

    Parameters
    ----------
    pending : ndarray, shape (..., 2, d)
        beta lambda w'/w; beta is one for a flow.
    beta, lam : ndarray, shape (...)
    gradient : ndarray, shape (..., d)
        Of the loss with respect to theta: without momentum a weight follows its force.
    """
    share, scale = (np.asarray(a)[..., None, None] for a in (beta, lam))
    slow = scale * np.stack((-gradient, gradient), -2)
    return np.where(share > 0, pending / np.where(share > 0, share, 1.0), slow)


def noise_of(step: Any, n: int, batch_size: int | None) -> Any:
    """Return `State.noise` of a run with a time step that draws `batch_size` of n rows."""
    if batch_size is None or n == 1:
        return 0.0 * step
    return step * (n - batch_size) / (batch_size * (n - 1))


def looked_ahead(solution: ImplicitSolution, ahead: Any) -> PredictedLimit:
    """Return a solution with the estimate of what the run has still to do, shape (...)."""
    fields = {name: getattr(solution, name) for name in ImplicitSolution.__dataclass_fields__}
    return PredictedLimit(**fields, ahead=ahead)
