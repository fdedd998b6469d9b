"""The compiled integrator of stiff flows: Radau IIA, whose steps grow with time.

Hairer, Wanner, "Solving Ordinary Differential Equations II", 2nd ed., section IV.8: the
simplified Newton iteration with one real and a few complex systems, when it stops, the
estimate of the error, the size of the step.
"""
# mypy: ignore-errors

from typing import NamedTuple

import numpy as np
from numba import njit

from momentumflow.numeric.flow.flow_loops import CROSSING_RATE, settled
from momentumflow.numeric.flow.flow_state import (
    EVENTS,
    LAST,
    RECORDS,
    REJECTED,
    STEP,
    STEPS,
    TIME,
)
from momentumflow.numeric.flow.polar_loops import (
    INNER,
    Local,
    Solver,
    Stages,
    evaluate,
    factorise,
    linearise,
    move_residual,
    of_angle,
    solve,
    weights,
)
from momentumflow.numeric.runs.kernels.momentum_flow_diagonal_numba import OPTIONS, parameter

_NEWTON_STEPS = 12
# Share of the residual below which its rounding no longer sums up: from there it is
# carried by increments, before it is computed anew after each step.
_CARRIED = 1e-2
# A step spans at most this many times in which an unstable angle (w'/w near -1/lambda)
# grows e-fold: an implicit method with longer steps would hold it in place.
_UNSTABLE = 2.0


class Step(NamedTuple):
    """What a step works in: its start, its stages, those of a part of it, its systems."""

    at: Local
    stages: Stages
    part: Stages
    real: Solver
    pairs: Solver


@njit(**INNER)
def _stages(s, d):
    return Stages(
        np.zeros((s, 2, 2 * d)), np.zeros((s, 2, 2 * d)), np.zeros((s, d)), np.zeros((s, 2 * d))
    )


@njit(**INNER)
def _scratch(s, n, d):
    p = s // 2
    N = 2 * d
    row = np.zeros((12, N))
    at = Local(
        row[0], row[1], row[2], row[3], row[4], row[5],
        row[6], row[7], row[8], row[9], row[10], row[11],
    )  # fmt: skip
    real = Solver(
        np.zeros((n, n)), np.zeros(n, np.int64), np.zeros(d), np.zeros(N), np.zeros((2, N)),
        np.zeros(d), np.zeros(n),
    )  # fmt: skip
    of = np.complex128
    pairs = Solver(
        np.zeros((p, n, n), of), np.zeros((p, n), np.int64), np.zeros((p, d), of),
        np.zeros((p, N), of), np.zeros((p, 2, N), of), np.zeros((p, d), of), np.zeros((p, n), of),
    )  # fmt: skip
    return Step(at, _stages(s, d), _stages(s, d), real, pairs)


@njit(**INNER)
def _pair(pairs, p):
    return Solver(
        pairs.K[p], pairs.pivots[p], pairs.D[p], pairs.den[p], pairs.rhs[p], pairs.row[p],
        pairs.dr[p],
    )  # fmt: skip


@njit(**INNER)
def _polynomial(scheme, stages, x, values):
    """Write the collocation polynomial through 0 and the stages at share x to `values`."""
    s = scheme.c.size
    for c in range(2):
        for a in range(values.shape[1]):
            values[c, a] = 0.0
    for k in range(s):
        share = scheme.barycentric[k + 1] * x
        for i in range(s):
            if i != k:
                share *= x - scheme.c[i]
        for c in range(2):
            for a in range(values.shape[1]):
                values[c, a] += share * stages[k, c, a]


@njit(**INNER)
def _extrapolate(scheme, state, h, Z):
    """Guess the stages: the polynomial of the last step carried on, at first no change."""
    s, _, N = Z.shape
    before = state.clock[LAST]
    if before == 0.0:
        Z.fill(0.0)
        return
    for i in range(s):
        _polynomial(scheme, state.last, 1.0 + scheme.c[i] * h / before, Z[i])
        for c in range(2):
            for a in range(N):
                Z[i, c, a] -= state.last[s - 1, c, a]


@njit(**INNER)
def newton(equation, scheme, state, step, stages, h, accuracy):
    """Solve for the stages of a step of length h, from a guess; return iterations, 0: failed.

    accuracy: of the increments, and of the residual.
    """
    lam = equation.lam
    at, real = step.at, step.real
    Z, F = stages.Z, stages.F
    s, _, N = Z.shape
    factorise(equation, at, scheme.real / h, real)
    for p in range(s // 2):
        factorise(equation, at, scheme.pairs[p] / h, _pair(step.pairs, p))
    flat = 2 * N
    R = np.empty((s, flat))
    W = np.empty((s, flat))
    before = 0.0
    for iteration in range(1, _NEWTON_STEPS + 1):
        evaluate(equation, state, at, stages)
        np.dot(scheme.A, F.reshape(s, flat), R)
        for i in range(s):
            for a in range(N):
                R[i, a] = h * R[i, a] - Z[i, 0, a]
                R[i, N + a] = h * R[i, N + a] - lam * Z[i, 1, a]
        np.dot(scheme.split, R, W)
        rhs = real.rhs.reshape(flat)
        for a in range(flat):
            rhs[a] = scheme.real / h * W[0, a]
        moved = solve(equation, at, scheme.real / h, real)
        for a in range(flat):
            W[0, a] = rhs[a]
        for p in range(s // 2):
            pair = _pair(step.pairs, p)
            mu = scheme.pairs[p] / h
            terms = pair.rhs.reshape(flat)
            for a in range(flat):
                terms[a] = mu * complex(W[2 * p + 1, a], W[2 * p + 2, a])
            moved = max(moved, solve(equation, at, mu, pair))
            for a in range(flat):
                W[2 * p + 1, a] = terms[a].real
                W[2 * p + 2, a] = terms[a].imag
        np.dot(scheme.join, W, R)
        change = 0.0
        for i in range(s):
            for a in range(N):
                Z[i, 0, a] += R[i, a]
                Z[i, 1, a] += R[i, N + a]
                change = max(change, abs(R[i, a]), lam * abs(R[i, N + a]))
        size = max(change / accuracy[0], moved / accuracy[1])
        if not np.isfinite(size):
            return 0
        if size < 1e-2:
            return iteration
        if iteration > 1:
            rate = size / before
            if rate < 1.0 and size * rate / (1.0 - rate) < 1.0:
                return iteration
            left = _NEWTON_STEPS - iteration
            if rate >= 0.95 or size * rate**left / (1.0 - rate) > 1.0:
                return 0
        before = size
    return 0


@njit(**INNER)
def _estimate(equation, scheme, state, step, h):
    """Error of the embedded formula in ln w, in the angle and in the remainders, root mean square.

    Filtered by the real system: what is stiff is not to be mistaken for an error.
    """
    lam = equation.lam
    weight = lam if lam > 0.0 else 1.0
    at, stages, real = step.at, step.stages, step.real
    s, _, N = stages.Z.shape
    for a in range(N):
        size = scheme.first * at.FM[a]
        angle = scheme.first * at.FC[a]
        for i in range(s):
            size += scheme.e[i] * stages.F[i, 0, a]
            angle += scheme.e[i] * stages.F[i, 1, a]
        real.rhs[0, a] = scheme.real * size
        real.rhs[1, a] = scheme.real * angle
    solve(equation, at, scheme.real / h, real)
    total = 0.0
    for a in range(N):
        total += real.rhs[0, a] ** 2 + (lam * real.rhs[1, a]) ** 2
        if not state.crossing[a]:
            q = scheme.first * (at.sigma[a] / at.cosine[a]) ** 2
            for i in range(s):
                q += scheme.e[i] * stages.q[i, a]
            total += (h * weight * q / (1.0 + weight * state.Q[a])) ** 2
    return np.sqrt(total / N)


@njit(**INNER)
def _turns(phi):
    """How often the angle has passed -pi/2, and again each half turn below."""
    return max(0, int(np.floor(0.5 - phi / np.pi)))


@njit(**INNER)
def _part(equation, scheme, state, step, h, within, accuracy):
    """Take a step of length `within` <= h from the same start into `step.part`."""
    for i in range(scheme.c.size):
        _polynomial(scheme, step.stages.Z, scheme.c[i] * within / h, step.part.Z[i])
    return newton(equation, scheme, state, step, step.part, within, accuracy) > 0


@njit(**INNER)
def _record(equation, scheme, state, goal, step, h, accuracy):
    """Write the weights at the times asked for within the step; tell whether all went well."""
    counters, t = state.counters, state.clock[TIME]
    d = equation.X.shape[1]
    last = scheme.c.size - 1
    while counters[RECORDS] < goal.times.size and goal.times[counters[RECORDS]] <= t + h:
        within = goal.times[counters[RECORDS]] - t
        if not _part(equation, scheme, state, step, h, within, accuracy):
            return False
        for a in range(2 * d):
            _, cosine, sigma = of_angle(state.chi[a] + step.part.Z[last, 1, a], equation.m)
            size = state.M[a] + step.part.Z[last, 0, a] - equation.lam * sigma * cosine
            goal.out[counters[RECORDS], a // d, a % d] = state.sign[a] * np.exp(size) * cosine
        counters[RECORDS] += 1
    return True


@njit(**INNER)
def _cross(equation, scheme, state, goal, step, h, accuracy):
    """Count the sign changes within the step and write their times."""
    m, counters = equation.m, state.counters
    d = equation.X.shape[1]
    last = scheme.c.size - 1
    values = np.empty((2, 2 * d))
    for a in range(2 * d):
        for k in range(1, _turns(m * (state.chi[a] + step.stages.Z[last, 1, a])) + 1):
            state.flips[a // d] += 1.0
            state.crossing[a] = True
            if counters[EVENTS] >= goal.events.shape[0]:
                continue
            angle = (0.5 - k) * np.pi
            low = 0.0
            high = 1.0
            for _ in range(50):
                middle = 0.5 * (low + high)
                _polynomial(scheme, step.stages.Z, middle, values)
                if m * (state.chi[a] + values[1, a]) > angle:
                    low = middle
                else:
                    high = middle
            when = high * h
            # the polynomial is of order s, the end of a step of order 2 s - 1
            if _part(equation, scheme, state, step, h, when, accuracy):
                speed = m * step.part.F[last, 1, a] / equation.lam
                when -= (m * (state.chi[a] + step.part.Z[last, 1, a]) - angle) / speed
            goal.events[counters[EVENTS], 0] = state.clock[TIME] + when
            goal.events[counters[EVENTS], 1] = a // d
            goal.events[counters[EVENTS], 2] = a % d
            counters[EVENTS] += 1


@njit(**INNER)
def _accept(equation, scheme, state, step, h):
    """Move the state to the end of the step; return |r|^2."""
    lam, m = equation.lam, equation.m
    at, stages = step.at, step.stages
    s, _, N = stages.Z.shape
    for i in range(s):
        for j in range(N // 2):
            state.G[j] += h * scheme.b[i] * stages.g[i, j]
        for a in range(N):
            state.Q[a] += h * scheme.b[i] * stages.q[i, a]
    square = move_residual(equation, state, at, stages.Z[s - 1])
    for a in range(N):
        state.M[a] += stages.Z[s - 1, 0, a]
        state.chi[a] += stages.Z[s - 1, 1, a]
        if lam > 0.0:
            state.lost[0, a] = max(0.0, state.lost[0, a] + h * at.CC[a] / lam)
            state.lost[1, a] = max(state.lost[0, a], state.lost[1, a])
            turns = _turns(m * state.chi[a])
            if turns > 0:
                state.chi[a] += turns * np.pi / m
                if turns % 2 == 1:
                    state.sign[a] = -state.sign[a]
            _, cosine, sigma = of_angle(state.chi[a], m)
            if lam * abs(sigma) > CROSSING_RATE * abs(cosine):
                state.crossing[a] = True
    for i in range(s):
        for c in range(2):
            for a in range(N):
                state.last[i, c, a] = stages.Z[i, c, a]
    state.clock[LAST] = h
    return square


@njit(**OPTIONS)
def integrate(equation, scheme, state, goal, budget):
    """Take up to `budget` accepted steps; return the state, as `flow_loops.integrate` codes it:

    0 going on, 1 converged, 2 failed, 3 at t_end, 4 converged but for a weight that falls to zero.

    `equation`, `state` and `goal` are those of `flow_state`.
    """  # fmt: skip
    X, y, lam = equation.X, equation.y, equation.lam
    n, d = X.shape
    s = scheme.c.size
    clock, counters = state.clock, state.counters
    step = _scratch(s, n, d)
    Y = np.empty((4, d))
    theta = np.empty(d)
    target = 0.0
    square = 0.0
    for i in range(n):
        target += y[i] * y[i]
        square += state.r[i] * state.r[i]
    # the embedded formula is of order s, the step of order 2 s - 1
    allowed = 0.1 * goal.rtol ** ((s + 1) / (2.0 * s))
    weights(equation, state, Y)
    outcome = 0
    if goal.tol >= 0.0 and counters[STEPS] == 0:
        outcome = settled(equation, Y, goal, theta, square, target)
    if outcome == 1:
        return 1
    linearise(equation, state, step.at)
    grown = True
    taken = 0
    while taken < budget:
        if clock[TIME] >= goal.t_end:
            return 3
        h = min(clock[STEP], goal.t_end - clock[TIME])
        if lam > 0.0:
            steepest = 0.0
            for a in range(2 * d):
                steepest = max(steepest, step.at.CC[a])
            if steepest * h > _UNSTABLE * lam:
                h = _UNSTABLE * lam / steepest
        accuracy = (max(0.01 * goal.rtol, 2e-14), max(1e-4 * np.sqrt(square), 1e-300))
        _extrapolate(scheme, state, h, step.stages.Z)
        iterations = newton(equation, scheme, state, step, step.stages, h, accuracy)
        error = np.inf
        if iterations > 0:
            evaluate(equation, state, step.at, step.stages)
            error = _estimate(equation, scheme, state, step, h) / allowed
        safety = 0.9 * (2 * _NEWTON_STEPS + 1) / (2 * _NEWTON_STEPS + iterations)
        change = 0.5
        if np.isfinite(error):
            change = 8.0
            if error > 0.0:
                change = min(8.0, max(0.1, safety * error ** (-1.0 / (s + 1))))
        if not (error < 1.0) or not _record(equation, scheme, state, goal, step, h, accuracy):
            counters[REJECTED] += 1
            grown = False
            clock[STEP] = h * min(0.9, change)
            if clock[STEP] < 1e-15 * max(clock[TIME], 1e-15):
                return 2
            continue
        if lam > 0.0:
            _cross(equation, scheme, state, goal, step, h, accuracy)
        share = np.sqrt(square / target) if target > 0.0 else 1.0
        square = _accept(equation, scheme, state, step, h)
        clock[TIME] = goal.t_end if h == goal.t_end - clock[TIME] else clock[TIME] + h
        clock[STEP] = h * (change if grown else min(1.0, change))
        grown = True
        counters[STEPS] += 1
        taken += 1
        weights(equation, state, Y)
        if share > _CARRIED:
            square = 0.0
            for i in range(n):
                state.r[i] = -y[i]
                for j in range(d):
                    state.r[i] += X[i, j] * parameter(Y[0, j], Y[1, j])
                square += state.r[i] * state.r[i]
        linearise(equation, state, step.at)
        if goal.tol >= 0.0:
            outcome = settled(equation, Y, goal, theta, square, target)
            if outcome:
                return outcome
    return 0
