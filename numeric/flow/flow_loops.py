"""The compiled integrator of momentum gradient flow: Dormand and Prince's DOP853.

Coefficients are SciPy's (`scipy.integrate.DOP853`); the loop is ours because
it integrates what the limit theorem needs beside the weights at no extra
evaluation, takes errors relative to each weight's own size (Delta_inf is a
product of weights that may be as small as 1e-9), and stops at stationarity.

Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", 2nd ed.,
section II.5 (step size) and II.6 (dense output).
"""
# mypy: ignore-errors

import numpy as np
from numba import njit
from scipy.integrate import DOP853

from momentumflow.numeric.flow.flow_state import EVENTS, RECORDS, REJECTED, STEP, STEPS, TIME
from momentumflow.numeric.runs.kernels.momentum_flow_diagonal_numba import (
    OPTIONS,
    acceleration,
    gradient_velocity,
    parameter,
)

STAGES = 12
# Rows: the stages, the step itself, and the three stages of the dense output.
_A = np.zeros((16, 16))
_A[:STAGES, :STAGES] = DOP853.A
_A[STAGES, :STAGES] = DOP853.B
_A[STAGES + 1 :] = DOP853.A_EXTRA
_B = DOP853.B
_E3 = DOP853.E3
_E5 = DOP853.E5
_D = DOP853.D

# A weight whose rate w'/w exceeds this many 1/lambda is on its way through
# zero; its defining integral diverges there and is left to the regular form.
CROSSING_RATE = 20.0


@njit(**OPTIONS)
def field(data, Y, F, g, theta):
    """Write dY/dt to F and the gradient entries to g; return |X theta - y|^2.

    Y (4, d) holds w_+, w_-, w_+', w_-'. At lambda = 0 the velocities are
    written into Y, and their derivative is zero.
    """
    X, y, lam = data
    n, d = X.shape
    for j in range(d):
        theta[j] = parameter(Y[0, j], Y[1, j])
        g[j] = 0.0
    scale = 1.0 / n
    square = 0.0
    for i in range(0, n - 3, 4):
        r0 = 0.0
        r1 = 0.0
        r2 = 0.0
        r3 = 0.0
        for j in range(d):
            r0 += X[i, j] * theta[j]
            r1 += X[i + 1, j] * theta[j]
            r2 += X[i + 2, j] * theta[j]
            r3 += X[i + 3, j] * theta[j]
        r0 -= y[i]
        r1 -= y[i + 1]
        r2 -= y[i + 2]
        r3 -= y[i + 3]
        square += r0 * r0 + r1 * r1 + r2 * r2 + r3 * r3
        for j in range(d):
            g[j] += scale * (r0 * X[i, j] + r1 * X[i + 1, j] + r2 * X[i + 2, j] + r3 * X[i + 3, j])
    for i in range(n - n % 4, n):
        r0 = 0.0
        for j in range(d):
            r0 += X[i, j] * theta[j]
        r0 -= y[i]
        square += r0 * r0
        for j in range(d):
            g[j] += scale * r0 * X[i, j]
    if lam > 0.0:
        for j in range(d):
            F[0, j] = Y[2, j]
            F[1, j] = Y[3, j]
            F[2, j], F[3, j] = acceleration(Y[0, j], Y[1, j], Y[2, j], Y[3, j], g[j], lam)
    else:
        for j in range(d):
            F[0, j], F[1, j] = gradient_velocity(Y[0, j], Y[1, j], g[j])
            F[2, j] = 0.0
            F[3, j] = 0.0
            Y[2, j] = F[0, j]
            Y[3, j] = F[1, j]
    return square


@njit(**OPTIONS)
def _combine(Y, K, row, h, stages, out):
    """Out = Y + h sum_i row[i] K[i]."""
    for c in range(4):
        for j in range(Y.shape[1]):
            out[c, j] = 0.0
    for i in range(stages):
        a = row[i]
        if a != 0.0:
            for c in range(4):
                for j in range(Y.shape[1]):
                    out[c, j] += a * K[i, c, j]
    for c in range(4):
        for j in range(Y.shape[1]):
            out[c, j] = Y[c, j] + h * out[c, j]


@njit(**OPTIONS)
def _error(run, new, K, q_error, h, rtol):
    """DOP853's error norm, each weight measured against its own size |w| + lambda |w'|."""
    Y, Q, lam, d = run.Y, run.Q, run.data.lam, run.d
    five = 0.0
    three = 0.0
    rows = 4 if lam > 0.0 else 2
    for c in range(rows):
        s = c % 2
        unit = 1.0 if c < 2 else 1.0 / lam
        for j in range(d):
            size = max(abs(Y[s, j]), abs(new[s, j])) + lam * max(
                abs(Y[s + 2, j]), abs(new[s + 2, j])
            )
            scale = 1.0 / (rtol * unit * size + 1e-300)
            e5 = 0.0
            e3 = 0.0
            for i in range(13):
                e5 += _E5[i] * K[i, c, j]
                e3 += _E3[i] * K[i, c, j]
            five += (e5 * scale) ** 2
            three += (e3 * scale) ** 2
    if five == 0.0 and three == 0.0:
        norm = 0.0
    else:
        norm = abs(h) * five / np.sqrt((five + 0.01 * three) * rows * d)
    # the remainders enter exponents, so an absolute error is what counts
    weight = lam if lam > 0.0 else 1.0
    extra = 0.0
    for s in range(2):
        for j in range(d):
            if not run.crossing[s, j]:
                extra += (h * weight * q_error[s, j] / (rtol * (1.0 + weight * Q[s, j]))) ** 2
    return max(norm, np.sqrt(extra / (2 * d)))


@njit(**OPTIONS)
def integrate(run, goal, K, g_stage, budget):
    """Take up to `budget` accepted steps; return the state:

    0 going on, 1 converged, 2 failed, 3 at t_end, 4 converged but for a weight that falls to zero.

    `run` and `goal` are those of `flow_state`; K (16, 4, D) and g_stage (D,) are scratch.
    """  # fmt: skip
    data, d, Y, G, Q, crossing, flips, clock, counters = run
    X, y, lam = data
    rtol, tol, t_end, _, times, out, events = goal
    n, D = X.shape
    theta = np.empty(D)
    new = np.empty((4, D))
    stage = np.empty((4, D))
    dG = np.empty(D)
    dQ = np.empty((2, D))
    eQ = np.empty((2, D))
    first_g = np.empty(D)
    first_q = np.empty((2, D))
    target = 0.0
    for i in range(n):
        target += y[i] * y[i]
    square = field(data, Y, K[0], first_g, theta)
    if clock[STEP] == 0.0:
        clock[STEP] = _first_step(run, K[0], t_end)
        if tol >= 0.0 and settled(data, Y, goal, theta, square, target) == 1:
            return 1
    grown = True
    for _ in range(budget):
        if clock[TIME] >= t_end:
            return 3
        h = min(clock[STEP], t_end - clock[TIME])
        start_square = square
        for c in range(2):
            for j in range(D):
                first_q[c, j] = (Y[c + 2, j] / Y[c, j]) ** 2
                dQ[c, j] = _B[0] * first_q[c, j]
                eQ[c, j] = _E5[0] * first_q[c, j]
        for j in range(D):
            dG[j] = _B[0] * first_g[j]
        for s in range(1, STAGES + 1):
            target_state = new if s == STAGES else stage
            _combine(Y, K, _A[s], h, min(s, STAGES), target_state)
            square = field(data, target_state, K[s], g_stage, theta)
            b = _B[s] if s < STAGES else 0.0
            e = _E5[s]
            if b != 0.0 or e != 0.0:
                for j in range(D):
                    dG[j] += b * g_stage[j]
                for c in range(2):
                    for j in range(D):
                        q = target_state[c + 2, j] / target_state[c, j]
                        dQ[c, j] += b * q * q
                        eQ[c, j] += e * q * q
        error = _error(run, new, K, eQ, h, _sharpened(rtol, start_square, target))
        if not (error < 1.0):
            counters[REJECTED] += 1
            grown = False
            square = start_square
            shrink = 0.2 if not np.isfinite(error) else max(0.2, 0.9 * error ** (-0.125))
            clock[STEP] = h * shrink
            if clock[STEP] < 1e-15 * max(clock[TIME], 1e-15):
                return 2
            continue
        # the gradient entries at the new state; the extra stages reuse g_stage
        for j in range(D):
            first_g[j] = g_stage[j]
        extended = False
        while counters[RECORDS] < times.size and times[counters[RECORDS]] <= clock[TIME] + h:
            if not extended:
                _extra_stages(run, K, h, stage, g_stage, theta)
                extended = True
            share = (times[counters[RECORDS]] - clock[TIME]) / h
            for c in range(2):
                for j in range(D):
                    out[counters[RECORDS], c, j] = _interpolate(Y, new, K, h, share, c, j)
            counters[RECORDS] += 1
        for c in range(2):
            for j in range(D):
                Q[c, j] += h * dQ[c, j]
                if j < d:
                    if (Y[c, j] < 0.0) != (new[c, j] < 0.0):  # a product may underflow
                        flips[c] += 1.0
                        crossing[c, j] = True
                        if not extended:
                            _extra_stages(run, K, h, stage, g_stage, theta)
                            extended = True
                        if counters[EVENTS] < events.shape[0]:
                            share = _zero_of(Y, new, K, h, c, j)
                            events[counters[EVENTS], 0] = clock[TIME] + share * h
                            events[counters[EVENTS], 1] = c
                            events[counters[EVENTS], 2] = j
                            counters[EVENTS] += 1
                    elif lam * abs(new[c + 2, j]) > CROSSING_RATE * abs(new[c, j]):
                        crossing[c, j] = True
        for j in range(D):
            G[j] += h * dG[j]
        for c in range(4):
            for j in range(D):
                Y[c, j] = new[c, j]
                K[0, c, j] = K[STAGES, c, j]
        clock[TIME] = t_end if h == t_end - clock[TIME] else clock[TIME] + h
        counters[STEPS] += 1
        growth = 6.0 if error == 0.0 else min(6.0, max(0.333, 0.9 * error ** (-0.125)))
        clock[STEP] = h * (growth if grown else min(1.0, growth))
        grown = True
        if tol >= 0.0:
            outcome = settled(data, Y, goal, theta, square, target)
            if outcome:
                return outcome
    return 0


@njit(**OPTIONS)
def _sharpened(rtol, square, target):
    """The tolerance, tightened with the residual once that is below a hundredth.

    Near the end the step is bounded by stability, and an explicit method
    hovers about the solution at the size of its tolerance: tied to what is
    left of the residual, that size goes to zero with it. Not below a few
    units of rounding.
    """
    if target == 0.0:  # squares that underflow
        return rtol
    return max(min(rtol, 3e-15), rtol * min(1.0, 100.0 * np.sqrt(square / target)))


@njit(**OPTIONS)
def settled(data, Y, goal, theta, square, target):
    """Tell whether the flow is at rest: 0 not yet, 1 yes, 4 but for a weight that falls to zero.

    The residual is below tol in norm, and each row of it below 100 tol in the row's own
    units |y_i| + sum_j |x_ij theta_j|; and the velocity left moves theta by at most
    tol |theta|, and no weight by more than 100 tol of itself. A weight may fall towards
    zero for ever, at the rate 1/lambda of its momentum: below the share rtol of where it
    started, what would be left of it is the integrator's error. Theta is that of Y. Sums of
    squares are taken in the largest entry's units: they neither under- nor overflow.
    theta is scratch; `data` is a `Data` or an `Equation`.
    """
    X, y, lam, tol = data.X, data.y, data.lam, goal.tol
    if not (square <= tol * tol * target):
        return 0
    n, D = X.shape
    largest = 0.0
    for j in range(D):
        theta[j] = parameter(Y[0, j], Y[1, j])
        largest = max(largest, abs(theta[j]))
    unit = 1.0 / largest if largest > 0.0 else 1.0
    size = 0.0
    drift = 0.0
    for j in range(D):
        moved = parameter(Y[0, j] + lam * Y[2, j], Y[1, j] + lam * Y[3, j])
        size += (theta[j] * unit) ** 2
        drift += ((moved - theta[j]) * unit) ** 2
    if not (drift <= tol * tol * size):
        return 0
    outcome = 1
    for c in range(2):
        for j in range(D):
            rest, left = lam * abs(Y[c + 2, j]), abs(Y[c, j])
            if not (rest <= 1e2 * tol * left):
                if rest > 0.5 * left and rest + left < goal.rtol * abs(goal.start[c, j]):
                    outcome = 4
                else:
                    return 0
    highest = 0.0
    for i in range(n):
        highest = max(highest, abs(y[i]))
    whole = 0.0
    aim = 0.0
    for i in range(n):
        r = -y[i]
        terms = abs(y[i])
        for j in range(D):
            term = X[i, j] * theta[j]
            r += term
            terms += abs(term)
        if not (abs(r) <= 1e2 * tol * terms):
            return 0
        whole += (r / highest) ** 2
        aim += (y[i] / highest) ** 2
    return outcome if whole <= tol * tol * aim else 0


@njit(**OPTIONS)
def _first_step(run, F, t_end):
    """A hundredth of the shortest time scale at the start."""
    Y, lam, d = run.Y, run.data.lam, run.d
    rate = 1e-12
    for c in range(2):
        for j in range(d):
            size = abs(Y[c, j]) + lam * abs(Y[c + 2, j])
            rate = max(rate, abs(F[c, j]) / size)
            if lam > 0.0:
                rate = max(rate, np.sqrt(abs(F[c + 2, j]) / size))
    if lam > 0.0:
        rate = max(rate, 1.0 / lam)
    return min(0.01 / rate, t_end)


@njit(**OPTIONS)
def _extra_stages(run, K, h, stage, g, theta):
    """Evaluate the three stages that the dense output of a step needs."""
    for s in range(3):
        _combine(run.Y, K, _A[STAGES + 1 + s], h, STAGES + 1 + s, stage)
        field(run.data, stage, K[STAGES + 1 + s], g, theta)


@njit(**OPTIONS)
def _interpolate(Y, new, K, h, x, c, j):
    """Weight c of coordinate j at share x of the step: DOP853's seventh-order output."""
    delta = new[c, j] - Y[c, j]
    first = h * K[0, c, j] - delta
    second = 2 * delta - h * (K[STAGES, c, j] + K[0, c, j])
    value = 0.0
    for row in range(3, -1, -1):
        term = 0.0
        for i in range(16):
            term += _D[row, i] * K[i, c, j]
        value += h * term
        value *= x if (row % 2 == 1) else (1.0 - x)
    return Y[c, j] + x * (delta + (1.0 - x) * (first + x * (second + value)))


@njit(**OPTIONS)
def _zero_of(Y, new, K, h, c, j):
    """Share of the step at which weight c of coordinate j crosses zero, by bisection."""
    low = 0.0
    high = 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if (_interpolate(Y, new, K, h, middle, c, j) < 0.0) == (Y[c, j] < 0.0):
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
