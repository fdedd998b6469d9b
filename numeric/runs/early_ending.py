"""Ends discrete runs whose limit is known: `limit_accuracy` of `momentum_descent`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from momentumflow.base.arrays import FloatArray
from momentumflow.numeric.implicit import ImplicitSolution, implicit_solution
from momentumflow.numeric.runs.batch_state import Runs
from momentumflow.numeric.runs.foresight import State, metric_of, noise_of, rates_of
from momentumflow.numeric.runs.kernel_modules import MethodLike, kernels_for
from momentumflow.numeric.runs.trajectory import STATUS_CODES, RunStatus

_KNOWN = STATUS_CODES.index(RunStatus.LIMIT_KNOWN)
# The first look is at this relative residual; a next one when it has fallen by this factor.
_FIRST, _FALL = 0.1, 3.0


@dataclass(eq=False)
class EarlyEnding:
    """Looks at runs as their residuals fall, and ends those whose limit is known.

    Parameters
    ----------
    accuracy : float
        Largest relative distance of the predicted from the true limit.
    method : str or MomentumMethod
    runs : Runs
        Ended in place.
    batch_size : int, optional
        Rows a step; all of them if not given.
    """

    accuracy: float
    method: MethodLike
    runs: Runs
    batch_size: int | None = None

    def __post_init__(self) -> None:
        self.next_look = np.full(self.runs.size, _FIRST)
        self.start = self.runs.weights()
        self.found: dict[int, ImplicitSolution | FloatArray] = {}

    def checks(self, done: int, every: int, wanted: int) -> int:
        """Return for how many checks to go on: looks are evenly spread in the logarithm."""
        return max(1, min(wanted, done // (4 * every)))

    def look(self, active: NDArray[np.int64]) -> None:
        """End those of the runs whose limit is known."""
        for i in active[self.runs.state[active] == 0].tolist():
            runs, d = self.runs, self.runs.d
            network = runs.network
            kernels = kernels_for(self.method, "numpy", network.symbolic)
            weights, moves, E = runs.W[i, :, :d], runs.P[i, :, :d], runs.E[i, :d]
            start = self.start[i]
            X, y = runs.X[runs.design[i]][:, :d], runs.y[i]
            residual = X @ network.theta(weights) - y
            size = float(np.linalg.norm(residual) / np.linalg.norm(y))
            if not size <= self.next_look[i]:
                continue
            self.next_look[i] = size / _FALL
            k = int(runs.steps[i])
            with np.errstate(divide="ignore", invalid="ignore"):  # a weight may be zero by chance
                C = float(runs.rates.at([i], k)[2][0])
                totals = np.stack(kernels.remainders(*weights, *moves, E, C))
                R = totals - network.between(start, weights)
            if not network.known(start, weights, R):
                continue
            potential = network.potential(start, weights, R)
            before = self.found.get(i)
            if before is None and not network.has_two_layers:
                before = -np.linalg.pinv(X.T) @ E  # the dual of where the run is
            found = implicit_solution((X, y), potential=potential, start=before)
            self.found[i] = found
            share, lam, step = runs.rates.pace_of(i, k)
            rates = rates_of(
                -E - totals, np.asarray(share), np.asarray(lam), X.T @ residual / y.size
            )
            noise = float(noise_of(step, y.size, self.batch_size))
            state = State(X, residual, network, weights, rates, lam, noise)
            error = state.ahead(found.theta, metric_of(found, X)) + float(found.error)
            if found.certified and error <= self.accuracy:
                runs.state[i] = _KNOWN
