"""Truncated equations against the iterates: every order gains one power of the small parameter.

The flow is integrated by extrapolation of the midpoint rule (Gragg, Bulirsch,
Stoer), so accurately that only the truncation is left; errors that have come
down to the rounding floor are left out of the fit.
"""

from itertools import pairwise

import mpmath
import numpy as np
import pytest
import sympy as sp

from momentumflow.symbolic import (
    HeavyBall,
    Nesterov,
    QuasiHyperbolic,
    leading_equation,
    memoryless_map,
    modified_equation,
)
from momentumflow.symbolic.symbols import beta, eps, gamma, lam, nu

x, y, speed = sp.symbols("x y speed", real=True)
SHARE = sp.Rational(7, 10)  # nu of quasi-hyperbolic momentum
FLOOR = 2e-13


def flow(field, state, time, steps, columns=8):
    """Integrate `state' = field(state)`, floats or mpmath numbers in an object array."""
    step = time / steps
    for _ in range(steps):
        table = []
        for column in range(1, columns + 1):
            parts = 2 * column
            small = step / parts
            before, now = state, state + small * field(state)
            for _ in range(parts - 1):
                before, now = now, before + 2 * small * field(now)
            row = [(before + now + small * field(now)) / 2]
            for k in range(1, column):
                ratio = type(step)(column) ** 2 / (column - k) ** 2
                row.append(row[-1] + (row[-1] - table[-1][k - 1]) / (ratio - 1))
            table.append(row)
        state = table[-1][-1]
    return state


def slope(sizes, errors):
    """Fit log(error) against log(size) where the error is above the rounding floor."""
    kept = [(s, e) for s, e in zip(sizes, errors, strict=True) if e > FLOOR]
    assert len(kept) >= 3, f"too few errors above rounding: {errors}"
    return float(np.polyfit(*np.log(np.array(kept)).T, 1)[0])


def next_iterate(method, force, step, momentum, before, now):
    if isinstance(method, Nesterov):
        ahead = now + momentum * (now - before)
        return ahead + step * force(ahead)
    if isinstance(method, QuasiHyperbolic):
        share = SHARE.p / type(step)(SHARE.q)
        pull = (1 - share * momentum) * force(now) - momentum * (1 - share) * force(before)
        return now + momentum * (now - before) + step * pull
    return now + momentum * (now - before) + step * force(now)


PENDULUM = 1 - sp.cos(x)
METHODS = [HeavyBall(), Nesterov(), QuasiHyperbolic()]
names = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)


@names
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_slow_pendulum_in_fifty_digits(method, order):
    """One step from the truncated slow manifold misses it by gamma^(order+1); so does the map."""
    with mpmath.workdps(50):
        equation = modified_equation(method, order, "slow")
        step_map = memoryless_map(method, order)
        right, jump = (
            sp.lambdify([x, gamma, beta, nu], series.specialise(PENDULUM, [x])[0], "mpmath")
            for series in (equation, step_map)
        )
        share, momentum, start = mpmath.mpf(7) / 10, mpmath.mpf(2) / 5, mpmath.mpf(5) / 8
        sizes = [mpmath.mpf(2) ** -k for k in (6, 7, 8, 9)]
        errors, jumps = [], []
        for size in sizes:

            def field(w, size=size):
                return right(w, size, momentum, share)

            before, after = flow(field, start, -1, 1), flow(field, start, 1, 1)
            exact = next_iterate(method, lambda w: -mpmath.sin(w), size, momentum, before, start)
            errors.append(abs(exact - after))
            jumps.append(abs(start + jump(start, size, momentum, share) - after))
        for found in (errors, jumps):
            logs = [mpmath.log(a / b, 2) for a, b in pairwise(found)]
            assert abs(logs[-1] - (order + 1)) < 0.1, [mpmath.nstr(v, 4) for v in logs]


def rosenbrock(w):
    a, b = w[..., 0], w[..., 1]
    return np.stack([(a - 1) / 5 - 4 * a * (b - a**2), 2 * (b - a**2)], axis=-1)


def network(w):
    """Gradient of the diagonal network theta = u v on three rows and five features."""
    rng = np.random.default_rng(5)
    X, target = rng.standard_normal((3, 5)), np.array([1.0, -0.5, 0.3])
    u, v = w[..., :5], w[..., 5:]
    residual = (u * v) @ X.T - target
    g = residual @ X / 3
    return np.concatenate([g * v, g * u], axis=-1)


LOSSES = {
    "pendulum": (lambda w: np.sin(w), np.array([1.0])),
    "Rosenbrock": (rosenbrock, np.array([-0.4, 0.6])),
    "diagonal network": (network, np.linspace(0.2, 1.1, 10)),
}


@pytest.mark.parametrize("loss", ["Rosenbrock", "diagonal network"])
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_slow_orders_on_arrays(loss, order):
    """The same through the generated right-hand side, in float64."""
    gradient, start = LOSSES[loss]
    method, momentum = HeavyBall(), 0.3
    equation = modified_equation(method, order, "slow")
    sizes = [(0.08 if loss == "Rosenbrock" else 0.02) / 2 ** (k / 2) for k in range(5)]
    errors = []
    for size in sizes:
        right = equation.rhs(gradient, gamma=size, beta=momentum)
        before, after = (flow(right, start, time, 1, columns=6) for time in (-1.0, 1.0))
        exact = next_iterate(method, lambda w: -gradient(w), size, momentum, before, start)
        errors.append(np.abs(exact - after).max())
    assert abs(slope(sizes, errors) - (order + 1)) < 0.35, errors


def inertial_errors(method, equation, loss, *, corrected=True, time=1.5, strength=0.5):
    """Largest distance between iterates and flow at the end, for eps halved thrice."""
    gradient, start = LOSSES[loss]
    sizes, errors = [time / n for n in (24, 48, 96, 192)], []
    for size in sizes:
        momentum = 1 - size / strength
        step = size if isinstance(method, QuasiHyperbolic) else size**2 / strength
        extra = {"nu": 0.7} if isinstance(method, QuasiHyperbolic) else {}
        right = equation.rhs(gradient, eps=size, lam=strength, **extra)
        rest = np.zeros_like(start)
        velocity = right.initial_velocity(start) if corrected else rest
        state = flow(
            lambda s, right=right: right.system(0.0, s),
            np.concatenate([start, velocity]), time, 5, columns=6,
        )  # fmt: skip
        w, buffer, before = start, rest, start
        for _ in range(round(time / size)):
            if isinstance(method, QuasiHyperbolic):
                buffer = momentum * buffer - (1 - momentum) * gradient(w)
                w = w + step * (0.7 * buffer - (1 - 0.7) * gradient(w))
            else:
                force = lambda z: -gradient(z)
                before, w = w, next_iterate(method, force, step, momentum, before, w)
        errors.append(np.abs(state[: start.size] - w).max())
    return sizes, errors


@names
@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_inertial_orders(method, order):
    """Truncated at eps^order the flow is eps^(order+1) from the iterates of the update rule."""
    equation = modified_equation(method, order) if order else leading_equation(method)
    loss = "pendulum" if order > 2 else "Rosenbrock"
    sizes, errors = inertial_errors(method, equation, loss)
    assert abs(slope(sizes[-3:], errors[-3:]) - (order + 1)) < 0.25, errors


@pytest.mark.parametrize("order", [1, 2, 3])
def test_inertial_orders_on_the_diagonal_network(order):
    sizes, errors = inertial_errors(
        HeavyBall(), modified_equation(HeavyBall(), order), "diagonal network"
    )
    assert abs(slope(sizes[-3:], errors[-3:]) - (order + 1)) < 0.25, errors


def test_without_the_corrected_start_the_order_is_lost():
    """Negative control: w'(0) = 0 leaves an error of first order, whatever the equation."""
    equation = modified_equation(HeavyBall(), 3)
    sizes, errors = inertial_errors(HeavyBall(), equation, "pendulum", corrected=False)
    assert abs(slope(sizes, errors) - 1) < 0.2


def test_the_equation_of_another_method_is_noticed():
    """Negative control: Nesterov's iterates along heavy ball's equation are first order off."""
    sizes, errors = inertial_errors(Nesterov(), modified_equation(HeavyBall(), 3), "Rosenbrock")
    assert abs(slope(sizes, errors) - 1) < 0.3


def test_refined_parameter_gains_one_order():
    """lambda w'' + w' = f is first order; with lambda_hat and the corrected start, second."""
    plain = leading_equation(HeavyBall())
    refined = plain.subs({lam: lam - eps / 2})
    assert sp.expand(1 / refined.coefficient("f") - (lam - eps / 2)) == 0
    first = modified_equation(HeavyBall(), 1)
    sizes, errors = inertial_errors(HeavyBall(), first, "diagonal network")
    assert abs(slope(sizes[1:], errors[1:]) - 2) < 0.2
    sizes, errors = inertial_errors(HeavyBall(), plain, "diagonal network")
    assert abs(slope(sizes[1:], errors[1:]) - 1) < 0.2
