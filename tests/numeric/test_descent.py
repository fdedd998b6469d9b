"""Discrete methods: against 50-digit arithmetic, across engines, batches and bad input."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from momentumflow import InputError
from momentumflow.numeric import (
    Regression,
    RunStatus,
    diabetes_regression,
    momentum_descent,
    sparse_regression,
)
from momentumflow.numeric.runs.sampling import Minibatches

PROBLEM = sparse_regression(20, 30, 5, seed=1)
DENSE = sparse_regression(20, 30, 20, seed=1)
METHODS = ("heavy_ball", "nesterov", "gradient_descent")


def exact_descent(problem, gamma, beta, alpha, method, steps):
    """Iterate on (u, v), not w_pm, in 50 digits; return u, v and the sums of h(z) for w_pm."""
    with mpmath.workdps(50):
        X = mpmath.matrix(problem.X.tolist())
        y = mpmath.matrix(problem.y.tolist())
        gamma, beta = mpmath.mpf(gamma), mpmath.mpf(beta)
        d = problem.d
        u = [mpmath.sqrt(2) * mpmath.mpf(alpha)] * d
        v = [mpmath.mpf(0)] * d
        u_old, v_old = list(u), list(v)
        sums = [[mpmath.mpf(0)] * d, [mpmath.mpf(0)] * d]
        ahead = beta if method == "nesterov" else 0
        for _ in range(steps):
            a = [p + ahead * (p - q) for p, q in zip(u, u_old, strict=True)]
            b = [p + ahead * (p - q) for p, q in zip(v, v_old, strict=True)]
            theta = mpmath.matrix([p * q for p, q in zip(a, b, strict=True)])
            g = X.T * (X * theta - y) / problem.n
            u_new = [u[j] - gamma * g[j] * b[j] + beta * (u[j] - u_old[j]) for j in range(d)]
            v_new = [v[j] - gamma * g[j] * a[j] + beta * (v[j] - v_old[j]) for j in range(d)]
            for s in (0, 1):
                for j in range(d):
                    sign = 1 - 2 * s
                    z = (u_new[j] + sign * v_new[j]) / (u[j] + sign * v[j])
                    h = (z - 1) - beta * (1 - 1 / z) - (1 - beta) * mpmath.log(abs(z))
                    sums[s][j] += h
            u_old, v_old, u, v = u, v, u_new, v_new
        S = [[float(x / (1 - beta)) for x in row] for row in sums]
        w = [
            [float(p + q) for p, q in zip(u, v, strict=True)],
            [float(p - q) for p, q in zip(u, v, strict=True)],
        ]
        return np.array(w), np.array(S)


@pytest.mark.parametrize("remainders", ["regular", "summed"])
@pytest.mark.parametrize("engine", ["single", "lanes", "numpy"])
@pytest.mark.parametrize(("method", "beta"), [("heavy_ball", 0.9), ("nesterov", 0.8)])
def test_against_fifty_digits(engine, method, beta, remainders):
    problem = sparse_regression(3, 5, 3, seed=2)
    run = momentum_descent(
        problem, 0.05, beta, 0.3, method=method, max_steps=150, tol=None, engine=engine,
        remainders=remainders,
    )  # fmt: skip
    w, S = exact_descent(problem, 0.05, beta, 0.3, method, 150)
    np.testing.assert_allclose(np.stack([run.w_plus, run.w_minus]), w, rtol=2e-12)
    if method == "heavy_ball":  # for Nesterov the remainder has the shifted-force term too
        np.testing.assert_allclose(np.stack([run.S_plus, run.S_minus]), S, rtol=1e-10, atol=1e-12)
    assert run.steps == 150
    assert run.status is RunStatus.COMPLETED


def test_sign_changes_are_counted_and_summed_through():
    problem = sparse_regression(3, 5, 3, seed=2)
    _, S = exact_descent(problem, 0.3, 0.9, 0.1, "heavy_ball", 60)
    # a quotient by a weight near zero costs the definition digits, the regular form none
    for remainders, atol in (("summed", 1e-9), ("regular", 1e-11)):
        run = momentum_descent(
            problem, 0.3, 0.9, 0.1, max_steps=60, tol=None, remainders=remainders
        )
        assert run.sign_changes.sum() > 0
        np.testing.assert_allclose(np.stack([run.S_plus, run.S_minus]), S, rtol=1e-8, atol=atol)


@pytest.mark.parametrize("method", ["heavy_ball", "nesterov"])
def test_the_rounding_of_summed_remainders_is_bounded(method):
    problem = sparse_regression(10, 30, 5, seed=3, batch=(30,))
    regular, summed = (
        momentum_descent(
            problem, 0.02, 0.955, 0.1, method=method, max_steps=10_000, tol=None, remainders=form
        )
        for form in ("regular", "summed")
    )
    assert summed.sign_changes.sum() > 300
    assert summed.remainder_rounding is not None
    difference = np.abs((summed.S_plus + summed.S_minus) - (regular.S_plus + regular.S_minus))
    # besides the summands' own rounding, that of adding ten thousand numbers
    allowed = summed.remainder_rounding + 1e-12
    assert np.all(difference <= allowed)
    # negative control: without the sizes of the summands there is no such bound
    assert np.any(difference > 4e-16 * summed.sign_changes.sum(axis=-1, keepdims=True) + 1e-12)
    assert regular.remainder_rounding is None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch_size", [None, 7])
def test_remainders_telescope(method, batch_size):
    # before the end as well: the momentum still in the run is part of the identity
    beta = 0.0 if method == "gradient_descent" else 0.9
    regular, summed = (
        momentum_descent(
            DENSE, [0.01, 0.02], beta, 0.1, method=method, batch_size=batch_size, max_steps=150,
            tol=None, remainders=form,
        )
        for form in ("regular", "summed")
    )  # fmt: skip
    assert np.abs(summed.S_plus).max() > 0.01
    for name in ("S_plus", "S_minus"):
        a, b = getattr(regular, name), getattr(summed, name)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    if method == "heavy_ball":  # negative control: without that momentum it does not hold
        assert np.max(np.abs(regular.regular_remainders[:, 0] - summed.S_plus)) > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_engines_agree(method):
    beta = 0.0 if method == "gradient_descent" else np.array([0.0, 0.5, 0.9])
    runs = [
        momentum_descent(DENSE, [0.01, 0.02, 0.03], beta, 0.1, method=method, max_steps=500,
                         tol=None, engine=engine, remainders="summed")
        for engine in ("single", "lanes", "numpy")
    ]  # fmt: skip
    for other in runs[1:]:
        np.testing.assert_allclose(other.theta, runs[0].theta, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(other.S_plus, runs[0].S_plus, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(
            other.gradient_integral, runs[0].gradient_integral, rtol=1e-9, atol=1e-12
        )
        np.testing.assert_array_equal(other.sign_changes, runs[0].sign_changes)


def test_panels_of_any_width_agree(monkeypatch):
    from momentumflow.numeric.runs import engines

    wide = sparse_regression(6, 150, 4, seed=3)  # padded to 192 columns
    runs = []
    for bound in (1, 2_000, 10**9):  # panels of 1, a few, and all columns
        monkeypatch.setattr(engines, "SMALL_PRODUCT", bound)
        runs.append(
            momentum_descent(wide, np.full(20, 0.02), 0.9, 0.1, max_steps=400, engine="lanes")
        )
    for other in runs[1:]:
        np.testing.assert_allclose(other.theta, runs[0].theta, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(other.S_minus, runs[0].S_minus, rtol=1e-9, atol=1e-12)
    alone = momentum_descent(wide, 0.02, 0.9, 0.1, max_steps=400, engine="single")
    np.testing.assert_allclose(runs[0].theta[7], alone.theta, rtol=1e-11, atol=1e-13)


@given(
    n=st.integers(1, 6), extra=st.integers(1, 8), runs=st.integers(1, 5), seed=st.integers(0, 10**6)
)
@settings(max_examples=25, deadline=None)
def test_shapes_and_engines_for_any_size(n, extra, runs, seed):
    rng = np.random.default_rng(seed)
    wide = rng.standard_normal((2 * n, 2 * (n + extra)))
    problem = Regression(wide[::2, ::2], rng.standard_normal(n))  # non-contiguous input
    gamma = rng.uniform(0.001, 0.01, runs)
    one, lanes = (
        momentum_descent(problem, gamma, 0.7, 0.2, max_steps=40, tol=None, engine=engine)
        for engine in ("single", "lanes")
    )
    assert one.theta.shape == (runs, n + extra)
    np.testing.assert_allclose(lanes.w_plus, one.w_plus, rtol=1e-12)
    alone = momentum_descent(problem, gamma[-1], 0.7, 0.2, max_steps=40, tol=None, engine="lanes")
    np.testing.assert_allclose(alone.w_minus, lanes.w_minus[-1], rtol=1e-12)


def test_smallest_problem():
    run = momentum_descent(Regression([[1.0, 2.0]], [3.0]), 0.05, 0.5, 1.0)
    assert run.status is RunStatus.CONVERGED
    assert run.theta @ [1, 2] == pytest.approx(3, abs=1e-12)


def test_bitwise_repeatable():
    first, second = (
        momentum_descent(DENSE, 0.02, 0.9, np.full((300, 1), 0.1), batch_size=None, max_steps=300)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.theta, second.theta)
    # equal runs at different places of a batch agree beyond rounding only
    np.testing.assert_allclose(first.theta[0], first.theta[-1], rtol=1e-12, atol=1e-14)


def test_minibatches_do_not_depend_on_the_batch_of_runs():
    settings_ = {"batch_size": 4, "seed": 7, "max_steps": 1000, "tol": None}
    many = momentum_descent(DENSE, [0.01, 0.01, 0.02], 0.9, 0.1, **settings_)
    one = momentum_descent(DENSE, 0.01, 0.9, 0.1, **settings_)
    np.testing.assert_array_equal(many.theta[0], one.theta)
    assert not np.allclose(many.theta[0], many.theta[1])  # same setting, another stream
    reference = momentum_descent(DENSE, [0.01, 0.01, 0.02], 0.9, 0.1, engine="numpy", **settings_)
    np.testing.assert_allclose(reference.theta, many.theta, rtol=1e-10, atol=1e-12)
    portioned = momentum_descent(DENSE, 0.01, 0.9, 0.1, check_every=17, **settings_)
    np.testing.assert_array_equal(portioned.theta, one.theta)


def test_minibatches_do_not_depend_on_the_portions_they_are_drawn_in():
    whole, parts = Minibatches(3, 2, 7, 3), Minibatches(3, 2, 7, 3)
    for run in (1, 0):
        pieces = [parts.draw(run, steps) for steps in (1, 5, 2, 12)]
        np.testing.assert_array_equal(np.concatenate(pieces), whole.draw(run, 20))
    runs = [
        momentum_descent(PROBLEM, 0.01, 0.9, 0.1, batch_size=5, seed=2, max_steps=600, tol=1e-30,
                         check_every=every)
        for every in (7, 600)
    ]  # fmt: skip
    np.testing.assert_allclose(runs[0].theta, runs[1].theta, rtol=1e-12)


def test_minibatch_gradient_is_unbiased_over_all_rows():
    from momentumflow.numeric.runs.sampling import Minibatches

    rows = Minibatches(0, 1, 6, 2).draw(0, 30_000)
    assert (rows[:, 0] != rows[:, 1]).all()
    share = np.bincount(rows.ravel(), minlength=6) / rows.size
    np.testing.assert_allclose(share, 1 / 6, atol=5 * np.sqrt(5 / 36 / rows.size))


def test_batches_over_data_parameters_and_init():
    problems = sparse_regression(4, 9, 3, seed=0, batch=(2, 1))
    run = momentum_descent(problems, [0.02, 0.03, 0.04], 0.8, 0.3, max_steps=200, tol=None)
    assert run.theta.shape == (2, 3, 9)
    single = momentum_descent(
        Regression(problems.X[1, 0], problems.y[1, 0]), 0.04, 0.8, 0.3, max_steps=200, tol=None
    )
    np.testing.assert_allclose(run.theta[1, 2], single.theta, rtol=1e-12)


def test_records_are_the_iterates():
    run = momentum_descent(PROBLEM, 0.02, 0.9, 0.1, max_steps=50, tol=None, record_every=10)
    assert run.path is not None
    assert run.path.w_plus.shape == (6, 30)
    np.testing.assert_allclose(run.path.time, 0.2 * np.arange(0, 51, 10))
    for k in (1, 3):
        part = momentum_descent(PROBLEM, 0.02, 0.9, 0.1, max_steps=10 * k, tol=None)
        np.testing.assert_allclose(run.path.w_minus[k], part.w_minus, rtol=1e-13)
        np.testing.assert_allclose(run.path.theta[k], part.theta, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(run.path.balancedness[k], part.balancedness, rtol=1e-12)
        assert run.path.loss[k] == pytest.approx(part.loss, rel=1e-12)


def test_the_loss_curve_of_a_batch_over_problems_and_steps():
    problems = sparse_regression(6, 9, 2, seed=4, batch=(3,))
    run = momentum_descent(
        problems, [[0.01], [0.02]], 0.5, 0.1, max_steps=20, tol=None, record_every=20
    )
    assert run.path is not None
    assert run.path.loss.shape == (2, 3, 2)
    np.testing.assert_allclose(run.path.loss[..., -1], run.loss, rtol=1e-12)
    np.testing.assert_allclose(run.path.loss[0, :, 0], np.mean(problems.y**2, axis=-1) / 2)


@pytest.mark.parametrize("alpha", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("lam", [0.01, 0.3, 10.0])
@pytest.mark.parametrize("batch_size", [None, 5])
def test_limit_theorem_to_nine_digits(alpha, lam, batch_size):
    gamma = 0.01 if batch_size else min(0.05, lam)
    run = momentum_descent(
        DENSE,
        gamma,
        1 - np.sqrt(gamma / lam),
        alpha,
        batch_size=batch_size,
        max_steps=8_000_000,
        remainders="summed",
    )
    assert run.status is RunStatus.CONVERGED, run.message
    scale = np.linalg.norm(run.theta)
    limit, conic = run.predicted_limit(), run.predicted_limit("cvxpy")
    assert np.linalg.norm(limit.theta - run.theta) < 1e-9 * scale
    assert np.linalg.norm(conic.theta - limit.theta) < 1e-7 * scale
    # negative control: the initial balancedness gives another point
    from momentumflow.numeric import implicit_solution

    naive = implicit_solution(DENSE, run.initial_balancedness, np.zeros(DENSE.d))
    assert np.linalg.norm(naive.theta - run.theta) > 1e-6 * scale
    assert run.remainder_defect < 1e-8


def test_limit_on_diabetes():
    run = momentum_descent(diabetes_regression(), 1e-2, 0.95, 0.1)
    assert run.status is RunStatus.CONVERGED
    assert run.steps <= 1_000_000
    limit = run.predicted_limit()
    assert np.linalg.norm(limit.theta - run.theta) < 1e-9 * np.linalg.norm(run.theta)


def test_a_run_that_has_not_converged_says_how_far_it_is():
    run = momentum_descent(PROBLEM, 0.01, 0.9, 0.1, max_steps=500)
    assert run.status is RunStatus.NOT_CONVERGED
    assert "raise max_steps" in run.message
    assert f"{run.residual:.3g}" in run.message
    assert "condition number" in run.message


def test_an_unstable_step_diverges_and_says_so():
    run = momentum_descent(PROBLEM, [5.0, 0.01], 0.9, 0.1, max_steps=2000)
    assert list(run.status) == [RunStatus.DIVERGED, RunStatus.NOT_CONVERGED]
    assert not run.converged.any()
    assert "reduce gamma" in run.message
    alone = momentum_descent(PROBLEM, 0.01, 0.9, 0.1, max_steps=2000)
    np.testing.assert_allclose(run.theta[1], alone.theta, rtol=1e-12)


@pytest.mark.parametrize("engine", ["single", "lanes"])
def test_ended_runs_do_not_disturb_the_others(engine):
    alphas = np.array([[1.0], [0.5], [0.1], [0.02]])
    together = momentum_descent(DENSE, 0.05, 0.8, alphas, engine=engine)
    assert len(set(together.steps.tolist())) > 1
    for i, alpha in enumerate(alphas[:, 0]):
        alone = momentum_descent(DENSE, 0.05, 0.8, alpha, engine=engine)
        assert alone.steps == together.steps[i]
        np.testing.assert_allclose(alone.theta, together.theta[i], rtol=1e-10, atol=1e-13)


def test_ctrl_c_gives_back_what_there_is(monkeypatch):
    from momentumflow.numeric.runs import engines

    calls = []
    advance = engines.RunByRun.advance

    def interrupted(self, *arguments):
        calls.append(arguments)
        if len(calls) > 2:
            raise KeyboardInterrupt
        advance(self, *arguments)

    monkeypatch.setattr(engines.RunByRun, "advance", interrupted)
    run = momentum_descent(PROBLEM, 0.001, 0.9, 0.001)
    assert run.status is RunStatus.INTERRUPTED
    assert run.steps > 0
    assert "interrupted" in run.message


def test_initialisations():
    u, v = np.linspace(0.1, 0.3, 30), np.linspace(0.01, 0.02, 30)
    pair = momentum_descent(PROBLEM, 0.01, 0.9, (u, v), max_steps=1, tol=None)
    np.testing.assert_allclose(pair.initial_w_plus, u + v)
    np.testing.assert_allclose(pair.initial_balancedness, u**2 - v**2)
    scale = momentum_descent(PROBLEM, 0.01, 0.9, 0.3, max_steps=1, tol=None)
    np.testing.assert_allclose(scale.initial_balancedness, 2 * 0.3**2)


def test_exports():
    run = momentum_descent(PROBLEM, [0.01, 0.02], 0.9, 0.1, max_steps=10)
    data = run.to_xarray()
    assert data.theta.dims == ("run_0", "feature")
    assert data.status.values.tolist() == ["NOT_CONVERGED"] * 2
    assert "Trajectory(batch=(2,)" in repr(run)


BAD = [
    (lambda: momentum_descent(PROBLEM, 0, 0.9, 0.1), "gamma > 0, received gamma = 0"),
    (lambda: momentum_descent(PROBLEM, -1, 0.9, 0.1), "gamma > 0, received gamma = -1"),
    (lambda: momentum_descent(PROBLEM, np.nan, 0.9, 0.1), "finite values in gamma"),
    (lambda: momentum_descent(PROBLEM, 0.1, 1.0, 0.1), r"beta in \[0, 1\), received beta = 1"),
    (lambda: momentum_descent(PROBLEM, 0.1, -0.1, 0.1), r"beta in \[0, 1\)"),
    (lambda: momentum_descent(PROBLEM, 0.1, 0.9, 0.0), "init > 0"),
    (lambda: momentum_descent(PROBLEM, 0.1, 0.9, (1.0, 1.0)), "a weight that starts at zero stays"),
    (lambda: momentum_descent(PROBLEM, 0.1, 0.9, (1.0, 1.0, 2.0)), r"init as a pair \(u_0, v_0\)"),
    (lambda: momentum_descent(PROBLEM, 0.1, 0.9, [1.0, 2.0]), r"use init\[:, None\]"),
    (lambda: momentum_descent(PROBLEM, [0.1, 0.2], [0.1, 0.2, 0.3], 1), "broadcast"),
    (lambda: momentum_descent(PROBLEM, 0.1, 0.9, 1, method="adam"), "method to be one of"),
    (lambda: momentum_descent(PROBLEM, 0.1, 0.9, 1, engine="gpu"), "engine to be one of"),
    (
        lambda: momentum_descent(PROBLEM, 0.1, 0.9, 1, method="gradient_descent"),
        "beta = 0 for gradient descent",
    ),
    (lambda: momentum_descent(PROBLEM, 0.1, 0.9, 1, batch_size=21), "batch_size <= n = 20"),
    (
        lambda: momentum_descent(PROBLEM, 0.1, 0.9, 1, batch_size=3, engine="lanes"),
        "lanes share one data set",
    ),
    (lambda: momentum_descent(PROBLEM, 0.1, 0.9, 1, max_steps=0), "max_steps >= 1"),
    (lambda: momentum_descent(PROBLEM, 0.1, 0.9, 1, tol=0), "tol > 0"),
    (lambda: momentum_descent(PROBLEM, 0.1, 0.9, 1, record_every=1), "at most max_records"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD, ids=[s for _, s in BAD])
def test_bad_input(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
