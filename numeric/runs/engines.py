"""How a batch of discrete runs is advanced: one by one, in lanes, by BLAS, or in NumPy.

Every engine advances the given runs by `checks` times `check_every` steps,
fewer for a run that ends, and all of them take their arithmetic from the
generated kernels of the method.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from momentumflow.base.arrays import FloatArray
from momentumflow.base.choices import Backend
from momentumflow.numeric.runs.batch_state import Runs, aligned
from momentumflow.numeric.runs.kernel_modules import MethodLike, kernels_for
from momentumflow.numeric.runs.sampling import Minibatches

Indices = NDArray[np.int64]

# Runs side by side in one block, for a design that fits the first-level cache
# and for a larger one, whose panels then stay in the second-level cache.
LANES, LANES_LARGE, LARGE_ENTRIES = 128, 32, 4096
# OpenBLAS multiplies matrices of up to this many multiplications by kernels of
# their own, at its full speed; above it drops to three quarters of it for
# matrices as thin as these (measured: 0.95-1.0 against 0.72-0.8 of DGEMM's peak
# at n = 200 and 32 or 64 lanes).
SMALL_PRODUCT = 1_000_000
# Length of the loops that move the weights: long enough that entering one costs
# little beside running it.
MOVE_LENGTH = 1024
# In float64: a page, nine cache lines, and what keeps the two rows of W, P and
# S from the same offset in a page.
_PAGE, _STAGGER, _ROW_PAD = 512, 72, 40


@dataclass(eq=False)
class Engine:
    """Base: what the driver calls.

    Parameters
    ----------
    method : str or MomentumMethod
        The update rule, as `kernels_for` takes it.
    runs : Runs
        Advanced in place.
    tol : float
        Convergence tolerance of the kernels' `assess`; 0 never converges.
    threads : int
        Number of threads.
    """

    method: MethodLike
    runs: Runs
    tol: float
    threads: int

    def advance(self, active: Indices, check_every: int, checks: int) -> None:
        """Advance the runs `active` by up to `checks * check_every` steps."""
        raise NotImplementedError

    def kernels(self, backend: Backend) -> ModuleType:
        """Return the generated kernels of the method on the network."""
        return kernels_for(self.method, backend, self.runs.network.symbolic)

    def nanoseconds(self) -> float:
        """Rough cost of one step of one run on one core, to size the calls."""
        n, d = self.runs.X.shape[1:]
        return 4 * n * d / 10 + 10 * d


class RunByRun(Engine):
    """Each run in its own loop; threads take different runs."""

    def advance(self, active: Indices, check_every: int, checks: int) -> None:
        """Advance run by run."""
        kernels = self.kernels("numba")
        runs = self.runs
        watch = kernels.Watch(self.tol, check_every)

        def one(i: int) -> None:
            with _side_by_side(kernels, runs, i) as state:
                ended, taken = kernels.converge(*state, watch, int(runs.steps[i]), checks)
            runs.steps[i] += taken
            runs.state[i] = ended

        spread(one, active.tolist(), self.threads)


class ByRows(Engine):
    """Minibatch runs; each draws from its own stream."""

    def __init__(
        self, method: MethodLike, runs: Runs, tol: float, threads: int, minibatches: Minibatches
    ) -> None:
        super().__init__(method, runs, tol, threads)
        self.minibatches = minibatches

    def advance(self, active: Indices, check_every: int, checks: int) -> None:
        """Advance run by run over drawn minibatches."""
        kernels = self.kernels("numba")
        runs = self.runs
        watch = kernels.Watch(self.tol, check_every)

        def one(i: int) -> None:
            rows = self.minibatches.draw(i, check_every * checks)
            with _side_by_side(kernels, runs, i) as state:
                ended, taken = kernels.converge_rows(*state, watch, int(runs.steps[i]), rows)
            runs.steps[i] += taken
            runs.state[i] = ended

        spread(one, active.tolist(), self.threads)


class InLanes(Engine):
    """Runs that share a design lie side by side, along SIMD lanes.

    The products are BLAS's, panel by panel. Each thread owns its runs, so that
    nothing is synchronised but the end of a call, and BLAS stays on one thread.
    """

    def __init__(self, method: MethodLike, runs: Runs, tol: float, threads: int) -> None:
        super().__init__(method, runs, tol, threads)
        self._lock = Lock()
        self._panels: dict[tuple[int, int], FloatArray] = {}

    @property
    def lanes(self) -> int:
        """Runs side by side in one block."""
        n, d = self.runs.X.shape[1:]
        return LANES if n * d <= LARGE_ENTRIES else LANES_LARGE

    def panel(self, lanes: int) -> int:
        """Width of the panels of X, so that their products count as small for BLAS."""
        n, d = self.runs.X.shape[1:]
        return _largest_divisor(d, SMALL_PRODUCT // (n * lanes))

    def advance(self, active: Indices, check_every: int, checks: int) -> None:
        """Advance in blocks of lanes, one design a block."""
        blocks = []
        for design in np.unique(self.runs.design[active]):
            members = active[self.runs.design[active] == design]
            # equal blocks, at least one for each thread
            count = max(-(-members.size // self.lanes), min(self.threads, -(-members.size // 8)))
            blocks += np.array_split(members, count)
        from threadpoolctl import threadpool_limits  # its import sets an environment variable

        # numba calls SciPy's BLAS, which must be loaded before it can be limited
        import_module("scipy.linalg.cython_blas")
        with threadpool_limits(1, user_api="blas"):
            spread(lambda block: self._block(block, check_every, checks), blocks, self.threads)
        self._panels.clear()

    def _panels_of(self, design: int, width: int) -> FloatArray:
        """A design cut into panels of columns; the threads share one copy."""
        with self._lock:
            if (design, width) not in self._panels:
                X = self.runs.X[design]
                cut = X.reshape(X.shape[0], -1, width).swapaxes(0, 1)
                self._panels[design, width] = np.ascontiguousarray(cut)
            return self._panels[design, width]

    def _block(self, members: Indices, check_every: int, checks: int) -> None:
        kernels = self.kernels("numba")
        runs = self.runs
        design = int(runs.design[members[0]])
        X = runs.X[design]
        n, d = X.shape
        while members.size and checks:
            lanes = members.size
            size, width = d * lanes, self.panel(lanes)
            panels = self._panels_of(design, width)
            repeat = _largest_divisor(width, MOVE_LENGTH // lanes)
            y = np.ascontiguousarray(runs.y[members].T)
            m = runs.W.shape[1]
            flips = np.zeros((m, repeat * lanes))
            states = np.zeros(lanes, dtype=np.int64)
            summed = size + _ROW_PAD if runs.S.size else 0
            W, P, theta, g, r, S, E = _staggered(
                *[(m, size + _ROW_PAD)] * 2,
                (d, lanes), (width, lanes), (n, lanes), (2 * m, summed), (size,),
            )  # fmt: skip
            state = ((W, runs.W), (P, runs.P), (S, runs.S))[: 3 if summed else 2]
            # pairs of views: side by side in the block, and one run after the other
            pairs = [
                (lane[sign, :size].reshape(d, lanes), run[:, sign])
                for lane, run in state
                for sign in range(lane.shape[0])
            ] + [(E.reshape(d, lanes), runs.E)]
            for lane, run in pairs:
                lane[:] = run[members].T
            taken = kernels.converge_lanes(
                kernels.Lanes(X, panels, y),
                kernels.Rates(*runs.rates.of_runs(members)),
                kernels.Run(W, P, E, S, flips),
                kernels.LaneScratch(theta, r, g),
                kernels.Watch(self.tol, check_every),
                int(runs.steps[members[0]]),  # all that are active have taken as many
                checks,
                states,
            )
            for lane, run in pairs:
                run[members] = lane.T
            runs.flips[members] += flips.reshape(m, repeat, lanes).sum(axis=1).T
            runs.steps[members] += taken
            runs.state[members] = states
            members = members[states == 0]
            checks -= taken // check_every

    def nanoseconds(self) -> float:
        """Rough cost of one step of one run on one core."""
        n, d = self.runs.X.shape[1:]
        return 4 * n * d / 30 + 4 * d


class InNumpy(Engine):
    """The reference: NumPy operations over all active runs, one step at a time."""

    minibatches: Minibatches | None = None

    def advance(self, active: Indices, check_every: int, checks: int) -> None:
        """Advance by NumPy operations over all active runs."""
        for _ in range(checks):
            if not active.size:
                return
            rows = None
            if self.minibatches is not None:
                drawn = [self.minibatches.draw(i, check_every) for i in active.tolist()]
                rows = np.stack(drawn, axis=1)
            for k in range(check_every):
                self._step(active, None if rows is None else rows[k])
                self.runs.steps[active] += 1
            self._assess(active)
            active = active[self.runs.state[active] == 0]

    def _step(self, active: Indices, rows: Indices | None) -> None:
        kernels = self.kernels("numpy")
        runs = self.runs
        w, p = (tuple(np.moveaxis(a[active], 1, 0)) for a in (runs.W, runs.P))
        m = len(w)
        k = int(runs.steps[active[0]])
        gamma, beta, _ = (a[:, None] for a in runs.rates.at(active, k))
        pending = runs.rates.at(active, k + 1)[2][:, None]
        effect = kernels.effect(gamma, beta, pending)
        X, y = runs.X[runs.design[active]], runs.y[active]
        if rows is not None:
            X = np.take_along_axis(X, rows[:, :, None], axis=1)
            y = np.take_along_axis(y, rows, axis=1)
        with np.errstate(all="ignore"):  # a diverging run is found by `_assess`
            theta = kernels.parameter(*w, *p, beta)
            r = np.einsum("bnd,bd->bn", X, theta) - y
            g = np.einsum("bnd,bn->bd", X, r) / y.shape[1]
            new = kernels.step(*w, *p, g, gamma, beta, pending)
            parts = [np.stack(new[i * m : (i + 1) * m], axis=1) for i in range(4)]
        runs.W[active], runs.P[active], summands, flips = parts
        if runs.S.size:
            runs.S[active] += np.concatenate((summands, np.abs(summands)), axis=1)
        runs.flips[active] += flips.sum(axis=-1)
        runs.E[active] += effect * g

    def _assess(self, active: Indices) -> None:
        kernels = self.kernels("numba")
        runs = self.runs
        for i in active.tolist():
            X = runs.X[runs.design[i]]
            data = kernels.Data(X, runs.y[i])
            pending = float(runs.rates.at([i], int(runs.steps[i]))[2][0])
            runs.state[i] = kernels.assess(
                data, pending, runs.W[i], runs.P[i], np.empty(X.shape[1]), self.tol
            )

    def nanoseconds(self) -> float:
        """Rough cost of one step of one run on one core."""
        return 20_000.0


@contextmanager
def _side_by_side(kernels: Any, runs: Runs, i: int) -> Iterator[tuple[Any, ...]]:
    """Yield run i as the kernels take it (Data, Rates, Run, Scratch), in one piece of memory.

    Each array on its own would lie where the allocator puts it; where two of them
    have the same offset in a page, their loads and stores wait for each other, and
    a step takes up to half as long again. The state is copied back at the end.
    """
    kept = (runs.W[i], runs.P[i], runs.E[i], runs.S[i], runs.flips[i])
    scratch = np.zeros(runs.X.shape[2])
    parts = (runs.y[i], *kept, scratch, scratch)
    sizes = [-(-part.size // 8) * 8 for part in parts]
    buffer = aligned(sum(sizes))
    copies = []
    position = 0
    for part, size in zip(parts, sizes, strict=True):
        copy = buffer[position : position + part.size].reshape(part.shape)
        copy[...] = part
        copies.append(copy)
        position += size
    y, *state, theta, g = copies
    yield (
        kernels.Data(runs.X[runs.design[i]], y),
        kernels.Rates(*runs.rates.of_run(i)),
        kernels.Run(*state),
        kernels.Scratch(theta, g),
    )
    for old, new in zip(kept, state, strict=True):
        old[...] = new


def _largest_divisor(number: int, bound: int) -> int:
    """Return the largest divisor of `number` up to `bound`, or 1."""
    return max((k for k in range(1, min(number, bound) + 1) if number % k == 0), default=1)


def _staggered(*shapes: tuple[int, ...]) -> list[NDArray[np.float64]]:
    """Return zeroed arrays whose starts differ by a few cache lines modulo a page.

    Arrays of their own would each start a page; a loop over eight of them then
    meets eight addresses with the same low bits, which costs it up to half its
    speed in false conflicts.
    """
    sizes = [int(np.prod(shape)) for shape in shapes]
    buffer = np.zeros(sum(sizes) + (len(sizes) + 1) * _PAGE)
    base = position = -(buffer.ctypes.data // 8) % _PAGE
    arrays = []
    for k, (shape, size) in enumerate(zip(shapes, sizes, strict=True)):
        position += (k * _STAGGER - (position - base)) % _PAGE
        arrays.append(buffer[position : position + size].reshape(shape))
        position += size
    return arrays


def spread(work: Callable[..., None], items: Iterable[object], threads: int) -> None:
    """Call `work` on every item, on up to `threads` threads (the kernels release the GIL)."""
    items = list(items)
    if threads == 1 or len(items) < 2:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(max_workers=min(threads, len(items))) as pool:
        for _ in pool.map(work, items):
            pass


def available_threads() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
