"""Where does training end under a schedule of step and momentum?

The oracle is the update rule written out in plain NumPy, which shares no line with the
compiled loops: `p = b_k p -+ gamma_k g w`, or PyTorch's `v = b v + g`, `w -= gamma_k v`.
"""

import numpy as np
import pytest

from momentumflow import InputError
from momentumflow.numeric import Schedule, implicit_solution, momentum_descent, sparse_regression

PROBLEM = sparse_regression(8, 12, 2, seed=4)
ALPHA = 0.3


def warm_up(k):
    return 0.02 * np.minimum(1.0, (k + 1) / 300)


def cosine(k):
    return 0.006 + 0.01 * (1 + np.cos(np.pi * np.minimum(k / 2000, 1.0)))


def swinging(k):
    return 0.5 + 0.4 * np.cos(k / 37) ** 2


def restarting(k):
    return 0.9 * (k % 50 != 0)


SCHEDULES = {
    "warm-up": (warm_up, 0.8),
    "cosine": (cosine, 0.9),
    "momentum that varies": (0.01, swinging),
    "restarts": (cosine, restarting),
}


def value(rate, k):
    return rate(k) if callable(rate) else rate


def relative(found, expected):
    norm = np.linalg.norm
    return np.max(norm(found - expected, axis=-1) / norm(expected, axis=-1))


def by_hand(gamma, beta, steps, method="heavy_ball", velocity="weight", problem=PROBLEM):
    """Return (w_+, w_-) after some steps of the rule as the literature writes it."""
    w = np.full((2, problem.d), np.sqrt(2) * ALPHA)
    moved = np.zeros_like(w)  # the last move, or PyTorch's buffer
    signs = np.array([[1.0], [-1.0]])
    for k in range(steps):
        a, b = value(gamma, k), value(beta, k)
        carried = b * moved if velocity == "weight" else -a * b * moved
        at = w + carried if method == "nesterov" else w
        theta = (at[0] ** 2 - at[1] ** 2) / 4
        force = signs * (problem.X.T @ (problem.X @ theta - problem.y) / problem.n) * at
        if velocity == "weight":
            moved = carried - a * force
            w = w + moved
        else:
            moved = b * moved + force
            w = w - a * moved
    return w


@pytest.mark.parametrize("velocity", ["weight", "gradient"])
@pytest.mark.parametrize("method", ["heavy_ball", "nesterov"])
@pytest.mark.parametrize("engine", ["single", "lanes", "numpy"])
def test_steps_are_those_of_the_rule(engine, method, velocity):
    options = {"method": method, "velocity": velocity, "engine": engine, "check_every": 7}
    run = momentum_descent(PROBLEM, cosine, swinging, ALPHA, max_steps=150, tol=None, **options)
    expected = by_hand(cosine, swinging, 150, method, velocity)
    np.testing.assert_allclose(np.stack((run.w_plus, run.w_minus)), expected, rtol=1e-11)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_limit_is_predicted_under_a_schedule(name):
    gamma, beta = SCHEDULES[name]
    run = momentum_descent(PROBLEM, gamma, beta, ALPHA, max_steps=200_000)
    limit = run.predicted_limit()
    assert run.converged
    assert limit.certified
    assert relative(limit.theta, run.theta) < 1e-9
    # control: the remainder of the run with every weight c_k as at the final rates
    a, b = value(gamma, 10**5), value(beta, 10**5)
    plain = momentum_descent(PROBLEM, a, b, ALPHA, max_steps=200_000)
    other = plain.predicted_limit()
    assert relative(other.theta, run.theta) > 1e-5


def test_constant_weights_under_a_schedule_are_off():
    """The control of the theorem: C of the mean momentum in the definition, in place of C_k.

    At the end, where nothing is pending, any multiples of the gradients lie in the range of
    X^T, so that the telescoped remainder forgives them; its definition, step by step, does not.
    """
    run = momentum_descent(PROBLEM, 0.01, swinging, ALPHA, max_steps=200_000, remainders="summed")
    steps = int(run.steps)
    b = swinging(np.arange(4 * steps))
    C = np.zeros(b.size + 1)
    for k in range(b.size - 1, -1, -1):
        C[k] = b[k] * (1 + C[k + 1])
    mean = np.mean(b) / (1 - np.mean(b))
    w = np.full((2, PROBLEM.d), np.sqrt(2) * ALPHA)
    moved, right, wrong = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for k in range(steps):
        theta = (w[0] ** 2 - w[1] ** 2) / 4
        g = PROBLEM.X.T @ (PROBLEM.X @ theta - PROBLEM.y) / PROBLEM.n
        moved = b[k] * moved - 0.01 * np.array([g, -g]) * w
        for total, pending in ((right, C[k + 1]), (wrong, mean)):
            total += (1 + pending) * moved / w - pending * moved / (w + moved)
            total -= np.log(np.abs((w + moved) / w))
        w = w + moved
    np.testing.assert_allclose(np.stack((run.S_plus, run.S_minus)), right, rtol=1e-8)
    limits = {}
    for name, S in (("right", right), ("wrong", wrong)):
        logs = 2 * (np.log(np.sqrt(2) * ALPHA) - S)
        limits[name] = implicit_solution(
            PROBLEM, log_balancedness=logs.sum(0) / 2, shift=(logs[0] - logs[1]) / 2
        ).theta
    assert relative(limits["right"], run.theta) < 1e-9
    assert relative(limits["wrong"], run.theta) > 1e-5


def test_the_wrong_convention_of_the_velocity_ends_elsewhere():
    ends = [
        momentum_descent(PROBLEM, cosine, 0.9, ALPHA, velocity=velocity, max_steps=200_000)
        for velocity in ("weight", "gradient")
    ]
    for run in ends:
        assert relative(run.predicted_limit().theta, run.theta) < 1e-9
    assert relative(ends[0].theta, ends[1].theta) > 1e-5


def test_minibatches_and_batches_of_runs_have_limits_too():
    rows = momentum_descent(PROBLEM, cosine, 0.8, ALPHA, batch_size=3, seed=1, max_steps=400_000)
    assert rows.converged
    assert relative(rows.predicted_limit().theta, rows.theta) < 1e-9
    # a schedule of its own for each run, side by side and one by one
    factors = np.linspace(0.5, 1.0, 16)
    each = Schedule(factors[:, None] * np.array([warm_up(k) for k in range(60_000)]))
    lanes, single = (
        momentum_descent(PROBLEM, each, 0.8, ALPHA, max_steps=60_000, engine=engine)
        for engine in ("lanes", "single")
    )
    assert lanes.converged.all()
    assert relative(lanes.predicted_limit().theta, lanes.theta) < 1e-9
    assert relative(lanes.predicted_limit().theta, single.predicted_limit().theta) < 1e-9
    by_calls = momentum_descent(
        PROBLEM, lambda k: factors * warm_up(k), 0.8, ALPHA, max_steps=500, engine="single"
    )
    alone = momentum_descent(PROBLEM, lambda k: factors[3] * warm_up(k), 0.8, ALPHA, max_steps=500)
    np.testing.assert_allclose(by_calls.theta[3], alone.theta, rtol=1e-12)


def test_remainders_by_definition_equal_those_that_telescope():
    options = {"max_steps": 200_000}
    summed = momentum_descent(PROBLEM, cosine, swinging, ALPHA, remainders="summed", **options)
    assert summed.remainder_defect < 1e-10
    assert relative(summed.predicted_limit().theta, summed.theta) < 1e-9


def test_a_constant_schedule_is_the_constant():
    constant = momentum_descent(PROBLEM, 0.01, 0.9, ALPHA)
    scheduled = momentum_descent(
        PROBLEM, lambda k: 0.01, Schedule(np.full(1_000_000, 0.9)), ALPHA, record_every=None
    )
    for name in ("theta", "S_plus", "S_minus", "time", "gradient_integral", "lam"):
        np.testing.assert_allclose(
            getattr(scheduled, name), getattr(constant, name), rtol=1e-12, err_msg=name
        )


def test_time_is_the_sum_of_the_effects():
    rates = np.array([cosine(k) for k in range(400)])
    run = momentum_descent(
        PROBLEM, Schedule(rates), 0.5, ALPHA, max_steps=400, record_every=100, tol=None
    )
    np.testing.assert_allclose(run.path.time, 2 * np.concatenate(([0], np.cumsum(rates)))[::100])
    assert run.time == pytest.approx(2 * rates.sum())
    assert run.to_xarray().attrs["gamma"].startswith("Schedule(400 steps")


def test_a_prediction_before_the_end_is_as_near_as_it_says():
    end = momentum_descent(PROBLEM, cosine, swinging, ALPHA, max_steps=200_000)
    errors = []
    for steps in (1500, 3000, 6000):
        early = momentum_descent(
            PROBLEM, cosine, swinging, ALPHA, max_steps=steps, tol=None
        ).predicted_limit()
        errors.append(relative(early.theta, end.theta))
        assert errors[-1] <= early.ahead + 1e-12
    assert errors[0] > errors[-1]
    known = momentum_descent(
        PROBLEM, cosine, swinging, ALPHA, max_steps=200_000, limit_accuracy=1e-6
    )
    assert known.steps < end.steps / 2
    assert relative(known.predicted_limit().theta, end.theta) < 1e-6


@pytest.mark.parametrize(
    ("gamma", "beta", "says"),
    [
        (lambda k: 0.01 * (5 - k), 0.5, r"schedule of gamma that stays > 0 .* at step 5"),
        (lambda k: 0.01 * (k != 3), 0.5, r"gamma = 0 at step 3"),
        (0.01, lambda k: 0.1 * k, r"schedule of beta that stays in \[0, 1\) .* at step 10"),
        (Schedule(np.full(20, 0.01)), 0.5, r"value for each of max_steps = 50 steps"),
        (lambda k: 1 / 0, 0.5, "function of the step"),
        (lambda k: np.full(1 + k % 2, 0.01), 0.5, "values of one shape"),
        (lambda k: "much", 0.5, "function of the step"),
        ("cosine", 0.5, "a schedule, a function of the step"),
        (lambda k: np.full(3, 0.01), np.full(4, 0.5), "leading axes that broadcast"),
    ],
)
def test_what_is_no_schedule_is_refused_in_a_sentence(gamma, beta, says):
    with pytest.raises(InputError, match=says):
        momentum_descent(PROBLEM, gamma, beta, ALPHA, max_steps=50)


def test_a_rule_whose_velocity_is_unknown_is_refused():
    from momentumflow.symbolic import QuasiHyperbolic

    with pytest.raises(InputError, match="velocity='gradient'"):
        momentum_descent(
            PROBLEM, cosine, 0.5, ALPHA, method=QuasiHyperbolic(nu="7/10"),
            velocity="gradient", max_steps=50,
        )  # fmt: skip


def test_gradient_descent_has_no_momentum_in_a_schedule_either():
    with pytest.raises(InputError, match="beta = 0"):
        momentum_descent(
            PROBLEM, cosine, lambda k: 0.1, ALPHA, method="gradient_descent", max_steps=50
        )


def test_a_run_that_diverges_under_a_schedule_says_what_to_do():
    run = momentum_descent(PROBLEM, lambda k: 50.0, 0.9, 1.0, max_steps=2000)
    assert "reduce gamma" in run.message
