"""Minibatches: reproducible, and independent of the batch a run is computed in."""

from __future__ import annotations

from copy import copy

import numpy as np
from numba import njit
from numpy.typing import NDArray

from momentumflow.base.arrays import Seed


@njit(cache=True, nogil=True)
def _shuffle(uniform, deck, out):  # type: ignore[no-untyped-def]
    """Fill each line of `out` with distinct row numbers: a partial Fisher-Yates shuffle.

    The deck (n,) goes on from where the last line left it. Uniform numbers in [0, 1)
    with 53 bits, times a count, rounded down, favour an outcome by at most n / 2^53.
    """
    n = deck.size
    for k in range(out.shape[0]):
        for a in range(out.shape[1]):
            b = a + int(uniform[k, a] * (n - a))
            deck[a], deck[b] = deck[b], deck[a]
            out[k, a] = deck[a]


class Minibatches:
    """One stream of minibatches for each run.

    Run `i` draws from `SeedSequence(seed).spawn`'s i-th child, so that its
    minibatches depend on the seed and on i alone: not on how many runs there
    are, in which order they are advanced, or in what portions.

    Parameters
    ----------
    seed : int, Generator or None
        Source of randomness of all runs.
    runs, n, batch_size : int
        Number of runs, rows of the data, and rows drawn without replacement at
        each step.
    """

    def __init__(self, seed: Seed, runs: int, n: int, batch_size: int) -> None:
        self._generators = np.random.default_rng(seed).spawn(runs)
        self._decks = np.tile(np.arange(n), (runs, 1))
        self._batch_size = batch_size

    def again(self, index: NDArray[np.int64]) -> Minibatches:
        """Return streams that draw what those of the runs `index` drew, from the start."""
        fresh = copy(self)
        seeds = [self._generators[i].bit_generator.seed_seq for i in index]
        fresh._generators = [np.random.default_rng(seed) for seed in seeds]
        fresh._decks = np.tile(np.arange(self._decks.shape[1]), (index.size, 1))
        return fresh

    def draw(self, run: int, steps: int) -> NDArray[np.int64]:
        """Return the next `steps` minibatches of a run; shape (steps, batch_size)."""
        rows = np.empty((steps, self._batch_size), dtype=np.int64)
        _shuffle(self._generators[run].random(rows.shape), self._decks[run], rows)
        return rows
