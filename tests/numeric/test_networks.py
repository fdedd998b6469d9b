"""Where does training end on any separable network, under any schedule?

The oracle is gradient descent with momentum on the user's own weights, written out in plain
NumPy with derivatives by hand: no straightening, no compiled loop, no remainder.
"""

import pickle

import numpy as np
import pytest

from momentumflow import InputError
from momentumflow.numeric import Regression, momentum_descent, sparse_regression

PROBLEM = sparse_regression(8, 12, 2, seed=4)
POSITIVE = Regression(PROBLEM.X, PROBLEM.X @ (np.abs(PROBLEM.teacher) + 0.1))


def cosine(k):
    return 0.006 + 0.01 * (1 + np.cos(np.pi * np.minimum(k / 2000, 1.0)))


def swinging(k):
    return 0.5 + 0.4 * np.cos(k / 37) ** 2


# map, start of every weight, theta, its derivatives, and a problem that it can fit
NETWORKS = {
    "u**2 - v**2": (
        0.2, lambda u, v: u**2 - v**2, (lambda u: 2 * u, lambda v: -2 * v), PROBLEM
    ),
    "u**2": (0.3, lambda u: u**2, (lambda u: 2 * u,), POSITIVE),
    "u**3 - v**3": (
        0.7, lambda u, v: u**3 - v**3, (lambda u: 3 * u**2, lambda v: -3 * v**2), PROBLEM
    ),
    "sinh(u)": (0.1, np.sinh, (np.cosh,), PROBLEM),
}  # fmt: skip


def relative(found, expected):
    norm = np.linalg.norm
    return np.max(norm(found - expected, axis=-1) / norm(expected, axis=-1))


def by_hand(network, gamma, beta, steps):
    init, theta, slopes, problem = NETWORKS[network]
    w = [np.full(problem.d, init) for _ in slopes]
    p = [np.zeros(problem.d) for _ in slopes]
    for k in range(steps):
        g = problem.X.T @ (problem.X @ theta(*w) - problem.y) / problem.n
        for i, slope in enumerate(slopes):
            p[i] = beta(k) * p[i] - gamma(k) * g * slope(w[i])
        w = [a + b for a, b in zip(w, p, strict=True)]
    return np.array(w)


@pytest.mark.parametrize("network", NETWORKS)
def test_steps_are_those_of_the_users_weights(network):
    init, theta, _, problem = NETWORKS[network]
    expected = by_hand(network, cosine, swinging, 150)
    for engine in ("single", "numpy"):
        run = momentum_descent(
            problem, cosine, swinging, init, network=network, max_steps=150, tol=None,
            engine=engine,
        )  # fmt: skip
        np.testing.assert_allclose(run.weights, expected, rtol=1e-10)
        np.testing.assert_allclose(run.theta, theta(*expected), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_limit_is_predicted(network):
    init, _, _, problem = NETWORKS[network]
    run = momentum_descent(problem, cosine, swinging, init, network=network, max_steps=200_000)
    limit = run.predicted_limit()
    assert run.converged
    assert limit.certified
    assert relative(limit.theta, run.theta) < 1e-9
    # control: the start in place of what the remainders make of it
    naive = run.network.potential(run.initial_weights, run.weights, np.zeros_like(run.remainders))
    from momentumflow.numeric import implicit_solution

    assert relative(implicit_solution(problem, potential=naive).theta, run.theta) > 1e-6
    # before the end: as near as it says
    early = momentum_descent(
        problem, cosine, swinging, init, network=network, max_steps=int(run.steps) // 3
    ).predicted_limit()
    assert relative(early.theta, run.theta) <= early.ahead + 1e-11
    assert early.ahead < 1e-5


def test_remainders_by_definition_equal_those_that_telescope():
    for network, (init, _, _, problem) in NETWORKS.items():
        run = momentum_descent(
            problem, cosine, 0.8, init, network=network, remainders="summed", max_steps=200_000
        )
        assert run.remainder_defect < 1e-10
        assert relative(run.predicted_limit().theta, run.theta) < 1e-9


def test_two_layers_are_the_map_uv_whatever_its_letters():
    runs = [
        momentum_descent(PROBLEM, 0.01, 0.9, 0.3, network=network)
        for network in (None, "u*v", "a*b")
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run.theta, runs[0].theta)
    # as a difference of squares from the same start it is the same network in w_± / 2
    halves = momentum_descent(
        PROBLEM, 0.01 / 2 * 2, 0.9, np.sqrt(2) * 0.3 / 2, network="u**2 - v**2", tol=None,
        max_steps=500,
    )  # fmt: skip
    twice = momentum_descent(PROBLEM, 0.02, 0.9, 0.3, tol=None, max_steps=500)
    np.testing.assert_allclose(halves.theta, twice.theta, rtol=1e-11)


def test_batches_and_minibatches():
    init, _, _, problem = NETWORKS["u**3 - v**3"]
    starts = init * np.linspace(0.9, 1.1, 16)
    options = {"network": "u**3 - v**3", "max_steps": 200_000}
    lanes, single = (
        momentum_descent(problem, cosine, 0.8, starts[:, None], engine=engine, **options)
        for engine in ("lanes", "single")
    )
    assert lanes.converged.all()
    assert relative(lanes.predicted_limit().theta, lanes.theta) < 1e-9
    assert relative(single.theta, lanes.theta) < 1e-9
    rows = momentum_descent(POSITIVE, cosine, 0.8, 0.3, network="u**2", batch_size=3)
    assert rows.converged
    assert relative(rows.predicted_limit().theta, rows.theta) < 1e-9


def test_a_start_for_each_weight_and_below_zero():
    even = momentum_descent(
        PROBLEM, 0.01, 0.8, (-0.3, 0.2), network="u**2 - v**2", max_steps=200_000
    )
    assert np.all(even.initial_weights[0] == -0.3)
    negative = Regression(PROBLEM.X, -POSITIVE.y)
    odd = momentum_descent(negative, 0.01, 0.8, (-0.5,), network="u**3", max_steps=200_000)
    for run in (even, odd):
        assert run.converged
        assert relative(run.predicted_limit().theta, run.theta) < 1e-9
    through = momentum_descent(PROBLEM, 0.01, 0.8, (0.0,), network="sinh(u)", max_steps=200_000)
    assert relative(through.predicted_limit().theta, through.theta) < 1e-9


def test_a_map_without_closed_straightening_runs_and_is_predicted():
    run = momentum_descent(
        PROBLEM, 0.01, 0.8, 0.3, network="log(cosh(u)) - v**2", max_steps=200_000
    )
    limit = run.predicted_limit()
    assert limit.certified
    assert relative(limit.theta, run.theta) < 1e-7
    # a quadratic form whose straightened weights have rates without a common measure
    form = momentum_descent(PROBLEM, 0.01, 0.8, (0.3, 0.3), network="u*v + u**2", max_steps=200_000)
    assert relative(form.predicted_limit().theta, form.theta) < 1e-7


def test_a_run_of_another_network_says_what_it_has():
    run = momentum_descent(POSITIVE, 0.01, 0.8, 0.3, network="u**2", record_every=2000)
    assert "u**2" in run.settings["network"]
    for name in ("w_plus", "S_minus", "balancedness", "shift"):
        with pytest.raises(InputError, match="two-layer network"):
            getattr(run, name)
    frame = run.to_frame()
    assert {"theta", "weights", "remainders"} <= set(frame.columns)
    assert run.path.to_xarray()["u"].shape == (len(run.path.time), POSITIVE.d)
    again = pickle.loads(pickle.dumps(run))
    np.testing.assert_array_equal(again.predicted_limit().theta, run.predicted_limit().theta)
    known = momentum_descent(POSITIVE, 0.01, 0.8, 0.3, network="u**2", limit_accuracy=1e-6)
    assert known.steps < run.steps
    assert relative(known.predicted_limit().theta, run.theta) < 1e-6


@pytest.mark.parametrize(
    ("network", "init", "says"),
    [
        ("u*v*w", 0.3, "sum of functions of one weight each"),
        ("u*abs(u)", 0.3, "smooth map"),
        ("u**2", (0.0,), "a weight that starts at a critical point stays there"),
        ("u**2 - v**2", (0.1, 0.2, 0.3), r"init as a number or \(u_0, v_0\)"),
        ("u**2 +", 0.3, "formula"),
        (3.5, 0.3, "a map such as"),
        ("u**3 - 3*u", (1.0,), "critical point"),
    ],
)
def test_what_is_no_network_is_refused_in_a_sentence(network, init, says):
    with pytest.raises(InputError, match=says):
        momentum_descent(PROBLEM, 0.01, 0.5, init, network=network, max_steps=50)


def test_a_target_that_the_map_cannot_reach_has_no_limit():
    run = momentum_descent(PROBLEM, 0.01, 0.8, 0.3, network="u**2", max_steps=2000)
    assert not run.converged
    assert not run.predicted_limit().certified
