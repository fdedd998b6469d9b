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


class Equation(NamedTuple):
    """The flow in polar coordinates: data, lambda, the unit m of time in the angle, m^2/lambda.

    m is 0 at lambda = 0.
    """

    X: FloatArray
    y: FloatArray
    lam: float
    m: float
    kappa: float


class State(NamedTuple):
    """Where the flow is in polar coordinates; every array is changed in place.

    M, chi, sign (2 d,): of w_+ and then of w_-; r (n,): the residual.
    G (d,), Q (2 d,): integrals of g and of (w'/w)^2; crossing (2 d,), flips (2,).
    lost (2, 2 d): logarithm of what an error of the angle has grown by, and its peak.
    clock, counters: as TIME and STEPS say.
    last (s, 2, 2 d): increments of the stages of the last step, for extrapolation.
    """

    M: FloatArray
    chi: FloatArray
    sign: FloatArray
    r: FloatArray
    G: FloatArray
    Q: FloatArray
    crossing: NDArray[np.bool_]
    flips: FloatArray
    lost: FloatArray
    clock: FloatArray
    counters: NDArray[np.int64]
    last: FloatArray
