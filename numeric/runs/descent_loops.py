"""The loops of the discrete methods: one run, minibatches, many runs in SIMD lanes.

As it stands this file runs heavy ball on the diagonal network, compiled, or as plain
Python with NUMBA_DISABLE_JIT=1. A generated module of another method or network is the
text below the imports after lines of its own (`symbolic/codegen/kernel_files.py`):
numba keeps one compiled copy for a file, so functions that were handed in would be
compiled anew in every process.

Attributes of named tuples become local names before a loop, and rows of arrays too:
read inside it, they keep the loop from SIMD.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from momentumflow.numeric.runs.kernels.heavy_ball_diagonal_numba import (
    NO_CHANGES,
    OPTIONS,
    REGULAR,
    REMAINDERS,
    WEIGHTS,
    add_sizes,
    add_to,
    added,
    effect,
    rows_of,
    step_at,
    theta_at,
)

# Below: numeric/runs/descent_loops.py, the same text in every generated module.
Array = NDArray[np.float64]
Indices = NDArray[np.int64]


class Data(NamedTuple):
    """What one run fits."""

    X: Array  # (n, d)
    y: Array  # (n,)


class Lanes(NamedTuple):
    """What runs side by side fit: one design, and its copy cut into panels of columns."""

    X: Array  # (n, d)
    panels: Array  # (panels, n, width), d = panels * width
    y: Array  # (n, lanes)


class Rates(NamedTuple):
    """Step, momentum, and what a momentum of one still does if no force acts, step by step.

    For one run arrays over steps (steps,), in lanes (lanes, steps) or (1, steps) for all;
    the last entry is held from there on, so that a constant is an array of one.
    """

    gamma: Any
    beta: Any
    pending: Any


class Now(NamedTuple):
    """The rates of one step in lanes, each repeated along (width of a move,)."""

    gamma: Array
    beta: Array
    pending: Array  # from the next step on
    effect: Array
    next_beta: Array


class Run(NamedTuple):
    """The state of one run; in lanes d stands for coordinates times lanes, lanes fastest."""

    W: Array  # (weights, d)
    P: Array  # (weights, d), their momenta
    E: Array  # (d,), sum of the gradient entries g, each times its whole effect
    # (2 weights, d), sums of the remainders' summands, then of their absolute values;
    # (2 weights, 0) where they are not asked for
    S: Array
    flips: Array  # (weights,) sign changes; in lanes (weights, width of a move)


class Scratch(NamedTuple):
    """Work space of one run."""

    theta: Array  # (d,)
    g: Array  # (d,)


class LaneScratch(NamedTuple):
    """Work space of runs side by side."""

    theta: Array  # (d, lanes)
    r: Array  # (n, lanes)
    g: Array  # (width, lanes)


class Watch(NamedTuple):
    """When to look whether a run has ended."""

    tol: float
    check_every: int


@njit(**OPTIONS)
def held(values: Array, k: int) -> float:
    """Entry k of a schedule, the last one beyond its end."""
    return float(values[min(k, values.size - 1)])


@njit(**OPTIONS)
def _add_row(X: Array, y: Array, theta: Array, g: Array, i: int) -> None:
    """Add the gradient of row i to g."""
    r = -y[i]
    for j in range(theta.size):
        r += X[i, j] * theta[j]
    for j in range(theta.size):
        g[j] += r * X[i, j]


@njit(**OPTIONS)
def advance(data: Data, rates: Rates, run: Run, scratch: Scratch, first: int, last: int) -> None:
    """Take the full-batch steps from number `first` up to `last` of one run, in place."""
    X, y = data.X, data.y
    theta, g, E, S = scratch.theta, scratch.g, run.E, run.S
    n, d = X.shape
    gammas, betas, pendings = rates.gamma, rates.beta, rates.pending
    scale = 1.0 / n  # the factor of the mean, which g is without
    weights, moves = rows_of(run.W, 0, d), rows_of(run.P, 0, d)
    sums, sizes = rows_of(S[:WEIGHTS], 0, d), rows_of(S[WEIGHTS:], 0, d)
    # A sum kept in an array entry, which might overlap another array, would keep the
    # loops from SIMD: hence a tuple of numbers.
    changes = NO_CHANGES
    for k in range(first, last):
        gamma, beta, pending = held(gammas, k), held(betas, k), held(pendings, k + 1)
        whole = effect(gamma, beta, pending)
        for j in range(d):
            theta[j] = theta_at(weights, moves, j, beta)
            g[j] = 0.0
        for i in range(0, n - 3, 4):
            # Four rows share every load of theta and of g: in place, as a function it
            # would make a step take twice as long.
            r0 = -y[i]
            r1 = -y[i + 1]
            r2 = -y[i + 2]
            r3 = -y[i + 3]
            for j in range(d):
                r0 += X[i, j] * theta[j]
                r1 += X[i + 1, j] * theta[j]
                r2 += X[i + 2, j] * theta[j]
                r3 += X[i + 3, j] * theta[j]
            for j in range(d):
                g[j] += r0 * X[i, j] + r1 * X[i + 1, j] + r2 * X[i + 2, j] + r3 * X[i + 3, j]
        for i in range(n - n % 4, n):
            _add_row(X, y, theta, g, i)
        # Two loops, because the sums' division costs a quarter of a step.
        if REMAINDERS and S.shape[1]:
            for j in range(d):
                mean = g[j] * scale
                summands, changed = step_at(weights, moves, j, mean, gamma, beta, pending, True)
                add_to(sums, j, summands)
                add_sizes(sizes, j, summands)
                changes = added(changes, changed)
                E[j] += whole * mean
        else:
            for j in range(d):
                mean = g[j] * scale
                _, changed = step_at(weights, moves, j, mean, gamma, beta, pending, False)
                changes = added(changes, changed)
                E[j] += whole * mean
    for i in range(WEIGHTS):
        run.flips[i] += changes[i]


@njit(**OPTIONS)
def advance_rows(
    data: Data, rates: Rates, run: Run, scratch: Scratch, rows: Indices, first: int
) -> None:
    """Take one step for each line of `rows` (steps, batch_size), the rows it draws."""
    X, y = data.X, data.y
    theta, g, E, S = scratch.theta, scratch.g, run.E, run.S
    d = X.shape[1]
    size = rows.shape[1]
    gammas, betas, pendings = rates.gamma, rates.beta, rates.pending
    scale = 1.0 / size  # the factor of the mean, which g is without
    weights, moves = rows_of(run.W, 0, d), rows_of(run.P, 0, d)
    sums, sizes = rows_of(S[:WEIGHTS], 0, d), rows_of(S[WEIGHTS:], 0, d)
    changes = NO_CHANGES
    for k in range(rows.shape[0]):
        gamma, beta = held(gammas, first + k), held(betas, first + k)
        pending = held(pendings, first + k + 1)
        whole = effect(gamma, beta, pending)
        for j in range(d):
            theta[j] = theta_at(weights, moves, j, beta)
            g[j] = 0.0
        for a in range(0, size - 3, 4):
            i0, i1, i2, i3 = rows[k, a], rows[k, a + 1], rows[k, a + 2], rows[k, a + 3]
            x0, x1, x2, x3 = X[i0], X[i1], X[i2], X[i3]
            r0 = -y[i0]
            r1 = -y[i1]
            r2 = -y[i2]
            r3 = -y[i3]
            for j in range(d):
                r0 += x0[j] * theta[j]
                r1 += x1[j] * theta[j]
                r2 += x2[j] * theta[j]
                r3 += x3[j] * theta[j]
            for j in range(d):
                g[j] += r0 * x0[j] + r1 * x1[j] + r2 * x2[j] + r3 * x3[j]
        for a in range(size - size % 4, size):
            _add_row(X, y, theta, g, rows[k, a])
        if REMAINDERS and S.shape[1]:
            for j in range(d):
                mean = g[j] * scale
                summands, changed = step_at(weights, moves, j, mean, gamma, beta, pending, True)
                add_to(sums, j, summands)
                add_sizes(sizes, j, summands)
                changes = added(changes, changed)
                E[j] += whole * mean
        else:
            for j in range(d):
                mean = g[j] * scale
                _, changed = step_at(weights, moves, j, mean, gamma, beta, pending, False)
                changes = added(changes, changed)
                E[j] += whole * mean
    for i in range(WEIGHTS):
        run.flips[i] += changes[i]


@njit(**OPTIONS)
def assess(data: Data, pending: float, W: Array, P: Array, theta: Array, tol: float) -> int:
    """Tell whether one run is going on (0), has converged (1), diverged (2) or lost a weight (3).

    Converged: |X theta - y| <= tol |y|, and no row of it above 100 tol in the row's own
    units, |y_i| + sum_j |x_ij theta_j|; and letting the momentum run out against no
    force would move theta by at most tol |theta| and no weight by more than 100 tol of
    itself, so that small weights, and with them the balancedness, are at rest as well.
    Lost: all that, but a weight is zero, which no later step changes.
    Sums of squares are taken in the largest entry's units: they neither under- nor
    overflow. `pending` is what a momentum of one still does, theta (d,) is scratch.
    """
    X, y = data.X, data.y
    n, d = X.shape
    at_rest = True
    lost = False
    largest = 0.0
    weights, rest = rows_of(W, 0, d), rows_of(np.zeros_like(P), 0, d)
    for j in range(d):
        theta[j] = theta_at(weights, rest, j, 0.0)
        largest = max(largest, abs(theta[j]))
        for i in range(WEIGHTS):
            weight = abs(W[i, j]) + REGULAR[i]  # 1 where a weight may well be zero
            at_rest = at_rest and abs(pending * P[i, j]) <= 1e2 * tol * weight
            lost = lost or weight < 1e-290
    highest = 0.0
    for i in range(n):
        highest = max(highest, abs(y[i]))
    far = 1e150 * max(1.0, highest)
    bounded = True
    unit = 1.0 / largest if largest > 0.0 else 1.0
    size = 0.0
    drift = 0.0
    moved_weights = rows_of(W + pending * P, 0, d)
    for j in range(d):
        moved = theta_at(moved_weights, rest, j, 0.0)
        bounded = bounded and abs(moved - theta[j]) < far
        size += (theta[j] * unit) ** 2
        drift += ((moved - theta[j]) * unit) ** 2
    fitted = True
    residual = 0.0
    target = 0.0
    for i in range(n):
        r = -y[i]
        terms = abs(y[i])
        for j in range(d):
            term = X[i, j] * theta[j]
            r += term
            terms += abs(term)
        bounded = bounded and abs(r) < far
        fitted = fitted and abs(r) <= 1e2 * tol * terms
        residual += (r / highest) ** 2
        target += (y[i] / highest) ** 2
    if not bounded:
        return 2
    if residual <= tol * tol * target and drift <= tol * tol * size and fitted:
        if lost:
            return 3
        if at_rest:
            return 1
    return 0


@njit(**OPTIONS)
def converge(
    data: Data, rates: Rates, run: Run, scratch: Scratch, watch: Watch, first: int, checks: int
) -> tuple[int, int]:
    """Alternate `check_every` steps and an assessment; return (assessment, steps taken).

    `first` is the number of the first step.
    """
    taken = 0
    for _ in range(checks):
        begin = first + taken
        taken += watch.check_every
        advance(data, rates, run, scratch, begin, first + taken)
        pending = held(rates.pending, first + taken)
        state = assess(data, pending, run.W, run.P, scratch.theta, watch.tol)
        if state != 0:
            return state, taken
    return 0, taken


@njit(**OPTIONS)
def converge_rows(
    data: Data, rates: Rates, run: Run, scratch: Scratch, watch: Watch, first: int, rows: Indices
) -> tuple[int, int]:
    """Like `converge`, over the minibatches `rows` (steps, batch_size)."""
    taken = 0
    while taken < rows.shape[0]:
        stop = min(taken + watch.check_every, rows.shape[0])
        advance_rows(data, rates, run, scratch, rows[taken:stop], first + taken)
        taken = stop
        pending = held(rates.pending, first + taken)
        state = assess(data, pending, run.W, run.P, scratch.theta, watch.tol)
        if state != 0:
            return state, taken
    return 0, taken


@njit(**OPTIONS)
def set_rates(rates: Rates, now: Now, lanes: int, k: int) -> None:
    """Write the rates of step k of all lanes, over and over, into `now`."""
    for lane in range(lanes):
        gamma = held(rates.gamma[min(lane, rates.gamma.shape[0] - 1)], k)
        betas = rates.beta[min(lane, rates.beta.shape[0] - 1)]
        beta, next_beta = held(betas, k), held(betas, k + 1)
        pending = held(rates.pending[min(lane, rates.pending.shape[0] - 1)], k + 1)
        whole = effect(gamma, beta, pending)
        for c in range(lane, now.gamma.size, lanes):
            now.gamma[c] = gamma
            now.beta[c] = beta
            now.pending[c] = pending
            now.effect[c] = whole
            now.next_beta[c] = next_beta


@njit(**OPTIONS)
def fill_parameter(beta: Array, W: Array, P: Array, theta: Array) -> None:
    """Write theta (d lanes,) where the gradient is taken."""
    period = beta.size
    for start in range(0, theta.size, period):
        stop = start + period
        weights, moves = rows_of(W, start, stop), rows_of(P, start, stop)
        out = theta[start:stop]
        for c in range(period):
            out[c] = theta_at(weights, moves, c, beta[c])


@njit(**OPTIONS)
def move_lanes(now: Now, run: Run, theta: Array, g: Array, scale: float, first: int) -> None:
    """Move the g.size coordinates of all lanes that start at `first`; g lacks the factor `scale`.

    Coordinates and lanes are one axis here, lanes fastest. The rates and flips repeat
    with a period of g.size. One long loop, because each loop pays anew for the proof
    that its arrays do not overlap. theta (d lanes,) receives the parameter of the next
    step while the weights are at hand.
    """
    gamma, beta, pending = now.gamma, now.beta, now.pending
    next_beta, S = now.next_beta, run.S
    stop = first + g.size
    weights, moves = rows_of(run.W, first, stop), rows_of(run.P, first, stop)
    flips = rows_of(run.flips, 0, g.size)
    out = theta[first:stop]
    if REMAINDERS and S.shape[1]:
        sums, sizes = rows_of(S[:WEIGHTS], first, stop), rows_of(S[WEIGHTS:], first, stop)
        for c in range(g.size):
            mean = g[c] * scale
            summands, changed = step_at(
                weights, moves, c, mean, gamma[c], beta[c], pending[c], True
            )
            add_to(sums, c, summands)
            add_sizes(sizes, c, summands)
            add_to(flips, c, changed)
            out[c] = theta_at(weights, moves, c, next_beta[c])
        return
    for c in range(g.size):
        mean = g[c] * scale
        _, changed = step_at(weights, moves, c, mean, gamma[c], beta[c], pending[c], False)
        add_to(flips, c, changed)
        out[c] = theta_at(weights, moves, c, next_beta[c])


@njit(**OPTIONS)
def _add_panel(panel: Array, theta: Array, y: Array, part: Array, r: Array, first: bool) -> None:
    """Add panel theta to r, from -y where this is the first panel."""
    np.dot(panel, theta, part)
    rows, lanes = r.shape
    for i in range(rows):
        for k in range(lanes):
            r[i, k] = part[i, k] + (-y[i, k] if first else r[i, k])


@njit(**OPTIONS)
def advance_lanes(
    data: Lanes, rates: Rates, run: Run, scratch: LaneScratch, first: int, last: int
) -> None:
    """Take the full-batch steps from number `first` up to `last` of all lanes, in place.

    A panel's gradient, the move of its coordinates and its share of the next residual
    are computed together, so that X and the state pass the cache once a step. The flips
    repeat with any period that divides width * lanes.
    """
    X, y = data.panels, data.y
    theta, r, g, E = scratch.theta, scratch.r, scratch.g, run.E
    panels, rows, width = X.shape
    lanes = y.shape[1]
    period = run.flips.shape[1]
    flat_theta = theta.reshape(theta.size)
    flat_g = g.reshape(g.size)
    scale = 1.0 / rows  # the products below lack the mean's 1/n
    buffer = np.empty((5, period))
    now = Now(buffer[0], buffer[1], buffer[2], buffer[3], buffer[4])
    set_rates(rates, now, lanes, first)
    steady = max(rates.gamma.shape[1], rates.beta.shape[1], rates.pending.shape[1]) == 1
    part = np.empty_like(r)
    next_r = np.empty_like(r)
    # The gradients are X^T r, so their sum is X^T (the sum of r): n rows to add up, not d.
    total = np.zeros_like(r)
    fill_parameter(now.beta, run.W, run.P, flat_theta)
    for q in range(panels):
        _add_panel(X[q], theta[q * width : (q + 1) * width], y, part, r, q == 0)
    for k in range(first, last):
        if not steady:
            set_rates(rates, now, lanes, k)
        for q in range(panels):
            np.dot(X[q].T, r, g)
            for start in range(0, width * lanes, period):
                stretch = flat_g[start : start + period]
                move_lanes(now, run, flat_theta, stretch, scale, q * width * lanes + start)
            _add_panel(X[q], theta[q * width : (q + 1) * width], y, part, next_r, q == 0)
        whole = now.effect
        for i in range(rows):
            for lane in range(lanes):
                total[i, lane] += whole[lane] * r[i, lane]
        r, next_r = next_r, r
    for q in range(panels):
        np.dot(X[q].T, total, g)
        for c in range(g.size):
            E[q * width * lanes + c] += flat_g[c] * scale


@njit(**OPTIONS)
def converge_lanes(
    data: Lanes,
    rates: Rates,
    run: Run,
    scratch: LaneScratch,
    watch: Watch,
    first: int,
    checks: int,
    states: Indices,
) -> int:
    """Alternate steps and assessments until a lane ends; return the steps taken.

    `first` is the number of the first step; `states` (lanes,) receives each lane's
    assessment, as `assess` codes it.
    """
    y = data.y
    rows, lanes = y.shape
    d = data.X.shape[1]
    # `assess` works on one run: copies of a lane's state
    one_w = np.empty((WEIGHTS, d))
    one_p = np.empty((WEIGHTS, d))
    one_theta = np.empty(d)
    one = Data(data.X, np.empty(rows))
    taken = 0
    for _ in range(checks):
        begin = first + taken
        taken += watch.check_every
        advance_lanes(data, rates, run, scratch, begin, first + taken)
        ended = False
        for k in range(lanes):
            for i in range(WEIGHTS):
                for j in range(d):
                    one_w[i, j] = run.W[i, j * lanes + k]
                    one_p[i, j] = run.P[i, j * lanes + k]
            for i in range(rows):
                one.y[i] = y[i, k]
            pending = held(rates.pending[min(k, rates.pending.shape[0] - 1)], first + taken)
            states[k] = assess(one, pending, one_w, one_p, one_theta, watch.tol)
            ended = ended or states[k] != 0
        if ended:
            break
    return taken
