"""The loss that an epoch of minibatches descends on average, against all orders of the batches.

On quadratics `F_a = w^T H_a w/2 - c_a w` one step is linear in (w, momentum, 1), and epochs are
independent: the mean over all orders of one epoch's product of steps is the exact law of the
mean iterate, for any number of epochs. Terms of second order are made of `f_a' f_b` alone, so
that quadratics see all of them.
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from momentumflow import InputError
from momentumflow.symbolic import (
    GradientDescent,
    HeavyBall,
    MomentumMethod,
    Nesterov,
    QuasiHyperbolic,
    epoch_loss,
    modified_loss,
)
from momentumflow.symbolic.symbols import beta, gamma, nu

BETA, NU = 0.6, 0.4
STEPS = (0.002, 0.001, 0.0005)
METHODS = [GradientDescent(), HeavyBall(), Nesterov(), QuasiHyperbolic()]


def step(name, g, H, c):
    """One step as its authors write it, on (w, momentum, 1)."""
    d = len(c)
    unit, none = np.eye(d), np.zeros((d, d))
    slope = np.hstack([H, none, -c[:, None]])  # the gradient at w
    w, m = np.hstack([unit, none, 0 * c[:, None]]), np.hstack([none, unit, 0 * c[:, None]])
    if name == "gradient descent":
        new_w, new_m = w - g * slope, 0 * m
    elif name == "heavy ball":
        new_m = BETA * m - g * slope
        new_w = w + new_m
    elif name == "Nesterov":
        new_m = BETA * m - g * np.hstack([H, BETA * H, -c[:, None]])
        new_w = w + new_m
    else:
        new_m = BETA * m + (1 - BETA) * slope
        new_w = w - g * ((1 - NU) * slope + NU * new_m)
    last = np.zeros((1, 2 * d + 1))
    last[0, -1] = 1
    return np.vstack([new_w, new_m, last])


def mean_epoch(steps, replacement):
    if replacement:
        return np.linalg.matrix_power(np.mean(steps, axis=0), len(steps))
    total = 0
    orders = list(itertools.permutations(range(len(steps))))
    for order in orders:
        product = np.eye(len(steps[0]))
        for a in order:
            product = steps[a] @ product
        total = total + product
    return total / len(orders)


def slow_part(epoch, m, d):
    """Rates per step at which the mean iterate settles, and where."""
    values = np.linalg.eigvals(epoch[:-1, :-1])
    slow = values[np.argsort(-np.abs(values))[:d]]
    rest = np.linalg.solve(np.eye(len(epoch) - 1) - epoch[:-1, :-1], epoch[:-1, -1])[:d]
    return np.sort(-np.log(slow.real) / m), rest


def problem(m, d, seed=1):
    rng = np.random.default_rng(seed)
    roots = rng.standard_normal((m, d, d))
    return 0.3 * roots @ np.swapaxes(roots, 1, 2) + np.eye(d), rng.standard_normal((m, d))


def predicted(found, H, c, g):
    d = c.shape[1]
    w = sp.symbols(f"w:{d}", real=True)
    column = sp.Matrix(w)
    losses = [
        (column.T * sp.Matrix(A) * column)[0] / 2 - sum(b * x for b, x in zip(row, w, strict=True))
        for A, row in zip(H, c, strict=True)
    ]
    U = found.specialise(losses, w).subs({gamma: g, beta: BETA, nu: NU})
    slope = [sp.diff(U, x) for x in w]
    hessian = np.array(sp.Matrix(slope).jacobian(w), dtype=float)
    offset = np.array([s.subs(dict.fromkeys(w, 0)) for s in slope], dtype=float)
    return np.linalg.eigvalsh(hessian), np.linalg.solve(hessian, -offset)


def orders(found, method, m, d, replacement):
    """Fitted orders in the step of two errors: rates, over the step, and the resting point."""
    H, c = problem(m, d)
    errors = []
    for g in STEPS:
        steps = [step(method.name, g, A, row) for A, row in zip(H, c, strict=True)]
        rates, rest = slow_part(mean_epoch(steps, replacement), m, d)
        expected_rates, expected_rest = predicted(found, H, c, g)
        errors.append(
            [np.abs(rates - expected_rates).max() / g, np.abs(rest - expected_rest).max()]
        )
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize(("m", "d"), [(2, 1), (3, 2), (5, 2)])
def test_it_is_exact_to_first_order_against_all_orders(method, m, d):
    fitted = orders(epoch_loss(method, m), method, m, d, replacement=False)
    assert np.abs(fitted - 2).max() < 0.35, fitted
    # the loss of the full batch, or of another number of batches, is right to leading order only
    right = epoch_loss(method, m)
    for spread in (sp.S.Zero, epoch_loss(method, 2 * m).spread):
        if spread == right.spread:
            continue  # without momentum the number of batches does not matter
        fitted = orders(replace(right, spread=spread), method, m, d, replacement=False)
        assert abs(fitted[-1, 1] - 1) < 0.1, fitted


@pytest.mark.parametrize("method", [HeavyBall(), QuasiHyperbolic()], ids=lambda m: m.name)
def test_with_replacement_it_is_the_loss_of_the_full_batch(method):
    found = epoch_loss(method, 4, replacement=True)
    assert found.spread == 0
    assert found.full == modified_loss(method, 2)
    # on quadratics the mean iterate is that of the full batch
    fitted = orders(found, method, 4, 2, replacement=True)[:, 0]
    assert np.abs(fitted - 2).max() < 0.3, fitted


def test_without_momentum_it_is_the_loss_of_smith_et_al():
    """ICLR 2021: F + gamma/(4 m) sum_a |grad F_a|^2, one epoch of gradient descent."""
    x, y = sp.symbols("x y", real=True)
    losses = [x**2 * y, (x - y) ** 2, x**4 + y]
    mean = sp.Add(*losses) / 3
    squares = sum(sp.diff(loss, s) ** 2 for loss in losses for s in (x, y))
    for found in (epoch_loss(GradientDescent(), 3), epoch_loss(HeavyBall(beta=0), 3)):
        gap = found.specialise(losses, [x, y]) / gamma - mean - gamma * squares / 12
        assert sp.expand(gap) == 0
    # and the limit of no momentum of the general one
    general = epoch_loss(HeavyBall()).spread
    assert sp.simplify(general.subs(beta, 0) - gamma**2 / 4) == 0


def test_many_batches_remove_a_share_of_one_minus_beta_over_one_plus_beta():
    """Against the full batch's gamma^2 (1+beta)/(4 (1-beta)^3), of |grad F|^2."""
    found = epoch_loss(HeavyBall())
    many = sp.limit(found.spread.subs(beta, sp.Rational(1, 3)), found.batches, sp.oo)
    assert many == gamma**2 / (4 * sp.Rational(2, 3) ** 2)
    exact = epoch_loss(HeavyBall(), 7).spread
    assert sp.cancel(exact - found.spread.subs(found.batches, 7)) == 0


def test_what_has_no_such_loss_is_refused():
    with pytest.raises(InputError, match="batches >= 2"):
        epoch_loss(HeavyBall(), 1)
    with pytest.raises(InputError, match="the losses of 3 batches, received 2"):
        epoch_loss(HeavyBall(), 3).specialise(["x^2", "x^4"])
    with pytest.raises(InputError, match="the losses of m batches"):
        epoch_loss(HeavyBall()).specialise(["x^2", "x^4"])
    two = MomentumMethod.parse(
        "w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*f(w[k]) + gamma*f(2*w[k]-w[k-1])"
    )
    with pytest.raises(InputError, match="one gradient a step"):
        epoch_loss(two, 3)


def test_it_shows_what_it_is():
    found = epoch_loss(HeavyBall(), 2)
    assert repr(found) == "<EpochLoss of 2 batches, without replacement>"
    assert str(found).endswith("+ gamma**2/(4*(1 - beta)) mean |grad F_a - grad F|^2")
    assert r"\nabla F_a" in found.latex()
    assert "nabla F_a" not in epoch_loss(HeavyBall(), 2, replacement=True).latex()
