"""The memoryless map on arrays, against heavy ball itself on its slow manifold."""

import numpy as np
import pytest

from momentumflow import InputError
from momentumflow.symbolic import (
    GradientDescent,
    HeavyBall,
    Nesterov,
    memoryless_map,
)

BETA = 0.3
STEPS = np.array([0.05, 0.035, 0.025, 0.0175])
LOSS = "1 - cos(x) + 0.35*y^2 + 0.15*x^2*y^2"


def gradient(w):
    """The gradient of LOSS, written in NumPy."""
    x, y = w[..., 0], w[..., 1]
    return np.stack([np.sin(x) + 0.3 * x * y**2, 0.7 * y + 0.3 * x**2 * y], axis=-1)


def iterates(step, count):
    """Heavy ball from rest, by its update rule and nothing else."""
    before = now = np.array([0.9, -0.6])
    path = [now]
    for _ in range(count):
        before, now = now, now + BETA * (now - before) - step * gradient(now)
        path.append(now)
    return np.array(path)


def order_of_the_miss(series):
    """How the miss of one step, taken from iterates off the transients, falls with gamma."""
    misses = []
    for step in STEPS:
        # from one time on, so that all runs are at one place; by then at least thirty
        # steps have shrunk the transients by beta^30 = 2e-16
        settled = round(1.5 / step)
        path = iterates(step, settled + round(0.2 / step))[settled:]
        guess = series.iteration(gradient, gamma=step, beta=BETA)(path[:-1])
        # over the size of the gradient, which itself differs from run to run
        size = np.linalg.norm(path[1:] - path[:-1], axis=-1) / step
        misses.append(np.max(np.linalg.norm(guess - path[1:], axis=-1) / size))
    return np.polyfit(np.log(STEPS), np.log(misses), 1)[0]


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_a_step_misses_the_next_iterate_by_order_p_plus_one(p):
    assert order_of_the_miss(memoryless_map(HeavyBall(), p)) == pytest.approx(p + 1, abs=0.3)


def test_the_map_of_another_method_misses_by_order_two():
    """Negative control: Nesterov's map shares the first order with heavy ball's, no more."""
    assert order_of_the_miss(memoryless_map(Nesterov(), 3)) == pytest.approx(2, abs=0.3)


def test_without_momentum_it_is_gradient_descent_itself():
    step = memoryless_map(GradientDescent(), 3).iteration(gradient, gamma=0.1)
    w = np.array([[0.3, 0.2], [1.0, -1.0]])
    np.testing.assert_allclose(step(w), w - 0.1 * gradient(w), rtol=1e-15)


def test_a_loss_and_its_gradient_give_one_map_and_runs_are_a_batch():
    series = memoryless_map(HeavyBall(), 3)
    gamma = np.array([0.05, 0.1])
    w = np.array([[0.3, 0.2], [1.0, -1.0]])
    by_loss = series.iteration(LOSS, gamma=gamma, beta=BETA)
    path = by_loss.run(w, 3)
    assert path.shape == (4, 2, 2)
    np.testing.assert_array_equal(path[0], w)
    by_gradient = series.iteration(gradient, gamma=gamma, beta=BETA)
    np.testing.assert_allclose(by_gradient.run(w, 3), path, rtol=1e-13)
    alone = series.iteration(LOSS, gamma=0.1, beta=BETA).run(w[1], 3)
    np.testing.assert_allclose(alone, path[:, 1], rtol=1e-13)
    assert by_loss.run(w, 0).shape == (1, 2, 2)


def test_what_it_refuses():
    series = memoryless_map(HeavyBall(), 2)
    with pytest.raises(InputError, match="expected values for gamma, beta, received none for beta"):
        series.iteration(LOSS, gamma=0.1)
    with pytest.raises(InputError, match="expected parameters among gamma, beta, received eps"):
        series.iteration(LOSS, eps=0.1, beta=0.5)
    step = series.iteration(LOSS, gamma=0.1, beta=0.5)
    with pytest.raises(InputError, match=r"expected steps in \[0, 10\^7\], received steps = -1\."):
        step.run([0.1, 0.2], -1)
    with pytest.raises(InputError, match="expected w with 2 on the last axis, received shape"):
        step([0.1])
    wild = series.iteration(LOSS, gamma=1e100, beta=0.5)
    with np.errstate(all="ignore"), pytest.raises(InputError, match="expected finite values in w"):
        wild.run([0.1, 0.2], 9)
