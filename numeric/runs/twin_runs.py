r"""How far rounding carries a run: two twins of it, started a few roundings apart.

Where steps are large, nearby runs may part exponentially for a while before all settle.
The rounding of each step, at most 2^-53 of a weight, is amplified likewise: what float64
ends at is then not what exact arithmetic ends at, although the limit theorem holds for the
run as it was. The twins start at relative distances of about 2^-50 on either side of the
run, and are rounded on their own from there. As long as they stay close, all is linear, and
what is between them at the end is some times what rounding did to the run. Where on the way
the weights of a coordinate part by a hundredth of their size, the path is lost, and so is
the limit: nothing is known of how far apart two such runs end, which varies over decades.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from momentumflow.base.arrays import FloatArray
from momentumflow.numeric.runs.batch_state import Runs
from momentumflow.numeric.runs.engines import Engine, Indices
from momentumflow.numeric.runs.interruption import Interruption
from momentumflow.numeric.runs.trajectory import Trajectory

# Relative distance of either twin from the run at the start.
_APART = 2.0**-50
# By how much the distance between three runs is multiplied to be an estimate from above.
# Of 94 runs whose rounding was amplified, held against 60 digits, the truth was at most 2.5
# times the distance.
_SAFETY = 8.0
# One call into compiled code lasts about this long, so that Ctrl-C is served in between.
_CALL_SECONDS = 0.2
# Share of its own size by which a coordinate is apart when the path is lost.
_LOST = 1e-2
# Sign changes from which a run is looked at; without them a remainder, and the step times
# the sharpness at the end, which gradient descent needs below 2. Of 2,471 runs at large
# steps that have neither, rounding moved none by more than 1e-11; a run says so from 1e-9.
_OFTEN, _BOUNCED, _EDGE = 2, 0.7, 1.3
# The twins are looked at after so many steps, and then after this share of those taken.
_FIRST_LOOK, _NEXT_LOOK = 5, 0.05


def may_amplify(run: Trajectory) -> NDArray[np.bool_]:
    """Tell which runs moved their weights as steps do that make nearby runs part; shape (...).

    Steps that carry weights through zero; and those of gradient descent that bounced, changing
    weights by large factors, until they came to rest where the loss is just flat enough.
    """
    found: NDArray[np.bool_] = run.sign_changes.sum(axis=-1) >= _OFTEN
    assert run.pace is not None  # discrete runs have one
    network, weights = run.network, run.weights
    with np.errstate(all="ignore"):
        # what a remainder amounts to in units of its weight
        moved = np.abs(run.remainders * network.pushes(weights) / weights)
    bounced = np.any(moved > _BOUNCED, axis=(-2, -1)) & (run.pace.share == 0) & run.converged
    if bounced.any() and not isinstance(run.settings["gamma"], str):
        # under a schedule steps may have been larger than they are at the end
        scaled = run.problem.X * np.sqrt(network.metric(weights))[..., None, :]
        sharpness = np.linalg.norm(np.nan_to_num(scaled), 2, (-2, -1)) ** 2 / run.problem.n
        bounced = bounced & (run.pace.step * sharpness > _EDGE)
    return found | bounced


def rounding_of(
    runs: Runs, index: Indices, start: FloatArray, engine: Callable[[Runs, Indices], Engine]
) -> FloatArray:
    """Return estimates of |theta - theta_exact| / |theta|, infinite where the path was lost.

    Parameters
    ----------
    runs : Runs
        That have ended.
    index : ndarray of int, shape (k,)
        Of the runs to look at.
    start : ndarray, shape (size, m, d)
        The weights that all runs started from.
    engine : callable
        From a fresh batch and the indices whose draws its runs are to repeat to what
        advances it.

    Returns
    -------
    ndarray, shape (k,)
    """
    twice = np.repeat(index, 2)
    shifts = np.random.default_rng(0).uniform(-1.0, 1.0, start[0].shape)
    shifts = np.copysign(0.5 + 0.5 * np.abs(shifts), shifts)
    sides = np.where(np.arange(twice.size) % 2, -_APART, _APART)
    twins = runs.again(twice, start[twice] * (1.0 + sides[:, None, None] * shifts))
    driver = engine(twins, twice)
    lost = np.zeros(index.size, dtype=np.bool_)
    last = runs.steps[index]
    done = 0
    active = np.arange(twice.size)
    longest = _CALL_SECONDS * 1e9 / (driver.nanoseconds() * max(1, twice.size / driver.threads))
    with Interruption() as interruption:
        while active.size and not interruption.asked:
            look = min(max(_FIRST_LOOK, int(_NEXT_LOOK * done)), max(1, int(longest)))
            steps = int(min(look, last[active // 2].min() - done))
            driver.advance(active, steps, 1)
            done += steps
            lost |= _apart(twins) > _LOST
            active = active[(last[active // 2] > done) & ~lost[active // 2]]
    if interruption.asked:
        raise KeyboardInterrupt
    d = runs.d
    with np.errstate(all="ignore"):
        theta = runs.network.theta(twins.W[:, :, :d]).reshape(-1, 2, d)
        own = runs.network.theta(runs.W[index, :, :d])
        between = np.stack((theta[:, 0] - theta[:, 1], theta[:, 0] - own, theta[:, 1] - own))
        distance = np.linalg.norm(between, axis=-1).max(axis=0) / np.linalg.norm(own, axis=-1)
    estimate: FloatArray = _SAFETY * np.where(np.isnan(distance), np.inf, distance)
    return np.where(lost, np.inf, estimate)


def _apart(twins: Runs) -> FloatArray:
    """Largest distance of two twins in a coordinate, in units of its weights; shape (k,)."""
    with np.errstate(all="ignore"):
        state = np.concatenate((twins.W, twins.P), axis=1)[..., : twins.d]
        first, second = state[::2], state[1::2]
        size = (np.abs(first) + np.abs(second)).sum(axis=1)
        share = np.abs(first - second).sum(axis=1) / size
        return np.asarray(np.where(np.isnan(share), np.inf, share).max(axis=-1))
