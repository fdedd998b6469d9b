"""The state of a batch of discrete runs, flat and padded for the compiled loops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from momentumflow.base.arrays import FloatArray
from momentumflow.numeric.data.problems import Regression
from momentumflow.numeric.runs.networks import Network
from momentumflow.numeric.runs.schedules import Rates

# Features are padded to whole SIMD registers (8 float64 on AVX-512), rows in
# lanes to blocks of 4; a padded column of X is zero, so its weights never move.
FEATURE_PAD = 8
# More features than this are padded to a multiple of it, which has divisors to
# cut panels by.
PANEL_PAD = 64


def aligned(*shape: int) -> FloatArray:
    """Return zeros that start on a cache line: a run's loops are a quarter faster for it."""
    size = int(np.prod(shape, dtype=int))
    buffer = np.zeros(size + 8)
    first = -(buffer.ctypes.data // 8) % 8
    return buffer[first : first + size].reshape(shape)


@dataclass(eq=False)
class Runs:
    """`size` runs side by side; arrays named as in the generated kernels.

    Attributes
    ----------
    X : ndarray, shape (designs, n, padded d)
        The different designs; run i uses `X[design[i]]`.
    y : ndarray, shape (size, n)
    network : Network
        Of m weights a coordinate.
    W, P : ndarray, shape (size, m, padded d)
        Weights, displacements.
    S : ndarray, shape (size, 2 m, padded d), or (size, 2 m, 0) if not asked for
        Sums of the remainders' summands, and of their absolute values.
    E : ndarray, shape (size, padded d)
        Sum of the gradient entries, each times the whole effect of its step.
    flips : ndarray, shape (size, m)
        Sign changes.
    rates : Rates
        Step and momentum of every step.
    steps : ndarray of int, shape (size,)
    state : ndarray of int, shape (size,)
        0 going on, 1 converged, 2 diverged, as the kernels code it.
    """

    X: FloatArray
    y: FloatArray
    design: NDArray[np.int64]
    rates: Rates
    network: Network
    W: FloatArray
    P: FloatArray
    E: FloatArray
    S: FloatArray
    flips: FloatArray
    steps: NDArray[np.int64]
    state: NDArray[np.int64]
    d: int
    shape: tuple[int, ...]

    @classmethod
    def start(
        cls,
        problem: Regression,
        rates: Rates,
        network: Network,
        weights: FloatArray,
        shape: tuple[int, ...],
        summed: bool,
    ) -> Runs:
        """Lay the runs of batch `shape` out; parameters broadcast to it.

        `weights` (..., m, d) are those at the start, `summed` asks for the sums of the
        remainders' summands.
        """
        n, d = problem.n, problem.d
        pad = FEATURE_PAD if d <= PANEL_PAD else PANEL_PAD
        padded = -(-d // pad) * pad
        size = int(np.prod(shape, dtype=int))
        designs = int(np.prod(problem.batch_shape, dtype=int))
        X = aligned(designs, n, padded)
        X[:, :, :d] = problem.X.reshape(designs, n, d)
        index = np.arange(designs).reshape(problem.batch_shape)
        m = weights.shape[-2]
        W = aligned(size, m, padded)
        W[:] = 1.0
        W[:, :, :d] = np.broadcast_to(weights, (*shape, m, d)).reshape(size, m, d)
        return cls(
            X=X,
            y=np.broadcast_to(problem.y, (*shape, n)).reshape(size, n).copy(),
            design=np.broadcast_to(index, shape).reshape(size).copy(),
            rates=rates,
            network=network,
            W=W,
            P=aligned(*W.shape),
            E=aligned(size, padded),
            S=aligned(size, 2 * m, padded if summed else 0),
            flips=np.zeros((size, m)),
            steps=np.zeros(size, dtype=np.int64),
            state=np.zeros(size, dtype=np.int64),
            d=d,
            shape=shape,
        )

    def again(self, index: NDArray[np.int64], weights: FloatArray) -> Runs:
        """Return a fresh batch of the runs `index`, which start at `weights` (k, m, d)."""
        W = aligned(index.size, *self.W.shape[1:])
        W[:] = 1.0
        W[:, :, : self.d] = weights
        return replace(
            self,
            y=self.y[index],
            design=self.design[index],
            rates=self.rates.again(index),
            W=W,
            P=aligned(*W.shape),
            E=aligned(index.size, W.shape[-1]),
            S=aligned(index.size, 2 * W.shape[1], 0),
            flips=np.zeros((index.size, W.shape[1])),
            steps=np.zeros(index.size, dtype=np.int64),
            state=np.zeros(index.size, dtype=np.int64),
            shape=(index.size,),
        )

    @property
    def size(self) -> int:
        """Number of runs."""
        return self.steps.size

    def weights(self) -> FloatArray:
        """Return copies of the weights, shape (size, m, d)."""
        return self.W[:, :, : self.d].copy()

    def shaped(self, array: NDArray[Any]) -> Any:
        """Return `array` (size, ...) with the batch axes restored."""
        return array.reshape((*self.shape, *array.shape[1:]))
