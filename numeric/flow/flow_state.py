"""One run of a flow, as both integrators share it: where it stands, and what is asked of it.

Named tuples, which compiled code takes as they are; nothing here is compiled.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from momentumflow.base.arrays import FloatArray

# Entries of a clock: the time, the next step (0 before the first), the last one (or 0).
TIME, STEP, LAST = range(3)
# Entries of the counters: steps taken and rejected, records and sign changes written.
STEPS, REJECTED, RECORDS, EVENTS = range(4)


class Data(NamedTuple):
    """X (n, D), padded to D entries a row, y (n,), and lambda."""

    X: FloatArray
    y: FloatArray
    lam: float


class Run(NamedTuple):
    """One run; every array of its state is changed in place, and d of its D entries are used.

    Y (4, D): w_+, w_-, w_+', w_-'. G (D,), Q (2, D): integrals of g and of (w'/w)^2.
    crossing (2, D): whether Q is to be left to the regular form, since the weight passed
    zero. flips (2,): how often weights did.
    """

    data: Data
    d: int
    Y: FloatArray
    G: FloatArray
    Q: FloatArray
    crossing: NDArray[np.bool_]
    flips: FloatArray
    clock: FloatArray
    counters: NDArray[np.int64]


class Goal(NamedTuple):
    """Tolerances (tol < 0: none), the end, the state at the start, and what to write.

    out (times, 2, D): the weights at `times`; events (most, 3): time, weight, coordinate of
    each sign change.
    """

    rtol: float
    tol: float
    t_end: float
    start: FloatArray
    times: FloatArray
    out: FloatArray
    events: FloatArray
