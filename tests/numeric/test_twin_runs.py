"""How far rounding carries a run: the estimate of its twins against 60 digits.

The oracle iterates in (u, v) in mpmath, of which the package knows nothing, from the very
floats that the run started from. Control: calm runs are not doubted, and cost nothing.
MOMENTUMFLOW_ROUNDING=N looks for N amplified runs.
"""

from __future__ import annotations

import os

import mpmath
import numpy as np
import pytest

from momentumflow.numeric import Regression, momentum_descent, momentum_flow, sparse_regression
from momentumflow.numeric.runs import descent, twin_runs
from momentumflow.numeric.runs.settling import Settling
from momentumflow.verify import predict

_WANTED = int(os.environ.get("MOMENTUMFLOW_ROUNDING", "4"))
# Gradient descent that bounces without a change of sign, and comes to rest at the edge.
_X = np.array([[1.31, -1.24, 0.2], [0.77, -1.79, 0.53]])
EDGE = Regression(_X, _X @ [1.64, 0.9, -1.19])
AT_EDGE = {"gamma": 0.256, "beta": 0.0, "init": 0.084, "max_steps": 5000}


def in_sixty_digits(run, steps):
    """Where heavy ball ends in exact arithmetic, None if it diverges."""
    X, y = run.problem.X, run.problem.y
    n, d = X.shape
    real = mpmath.mpf
    with mpmath.workdps(60):
        rows = [[real(float(x)) for x in row] for row in X]
        target = [real(float(value)) for value in y]
        plus, minus = ([real(float(w)) for w in start]
                       for start in (run.initial_w_plus, run.initial_w_minus))  # fmt: skip
        u = [(a + b) / 2 for a, b in zip(plus, minus, strict=True)]
        v = [(a - b) / 2 for a, b in zip(plus, minus, strict=True)]
        before_u, before_v = u, v
        rate, beta = real(run.settings["gamma"]) / n, real(run.settings["beta"])
        for k in range(4 * steps):
            theta = [a * b for a, b in zip(u, v, strict=True)]
            r = [mpmath.fdot(row, theta) - t for row, t in zip(rows, target, strict=True)]
            if k % 50 == 0:
                size = mpmath.norm(r) / mpmath.norm(target)
                if size > 1e30:
                    return None
                if k >= steps and size < 1e-16:
                    break
            g = [rate * sum(rows[i][j] * r[i] for i in range(n)) for j in range(d)]
            u, before_u, v, before_v = (
                [u[j] - g[j] * v[j] + beta * (u[j] - before_u[j]) for j in range(d)], u,
                [v[j] - g[j] * u[j] + beta * (v[j] - before_v[j]) for j in range(d)], v,
            )  # fmt: skip
        return np.array([float(a * b) for a, b in zip(u, v, strict=True)])


def large_steps(seed):
    """Problems of one to three rows, and steps about as large as they may be."""
    rng = np.random.default_rng(seed)
    while True:
        n = int(rng.integers(1, 4))
        X = rng.standard_normal((n, n + int(rng.integers(1, 4))))
        teacher = rng.standard_normal(X.shape[1])
        beta = float(rng.choice([0.0, 0.0, 0.5, 0.9]))
        scale = np.linalg.norm(X, 2) ** 2 / n * np.abs(teacher).max()
        gamma = 10 ** rng.uniform(-1, 0.8) * 2 * (1 + beta) / scale
        yield Regression(X, X @ teacher), float(gamma), beta, 10 ** rng.uniform(-2, 0.5)


@pytest.fixture(scope="module")
def amplified():
    """Runs that say that rounding was amplified, with how far they truly are from exact ones."""
    found = []
    for problem, gamma, beta, alpha in large_steps(11):
        run = momentum_descent(problem, gamma, beta, alpha, max_steps=1500, threads=1)
        if not run.doubt:
            continue
        limit = in_sixty_digits(run, int(run.steps))
        size = np.linalg.norm(run.theta)
        far = np.inf if limit is None else float(np.linalg.norm(limit - run.theta) / size)
        found.append((run, far))
        if len(found) == _WANTED:
            return found


def test_the_exact_end_is_within_the_estimate(amplified):
    known = [(run, far) for run, far in amplified if np.isfinite(run.rounding)]
    assert known
    for run, far in known:
        assert far <= run.rounding
        assert far > 1e-5 * run.rounding  # nor is it empty


def test_a_path_that_is_said_to_be_lost_often_leads_elsewhere(amplified):
    lost = [far for run, far in amplified if np.isinf(run.rounding)]
    assert not lost or np.median(lost) > 1e-9


def test_the_run_and_what_is_predicted_of_it_say_so(amplified):
    for run, _ in amplified:
        assert run.converged
        assert "nearby runs part" in run.message
        assert "reduce gamma" in run.message
        limit = run.predicted_limit()
        assert limit.rounding == run.rounding
        assert float(limit.to_xarray()["rounding"]) == run.rounding
    run = amplified[0][0]
    found = predict(run.problem, run.settings["gamma"], run.settings["beta"],
                    (np.sqrt(2) * run.initial_w_plus[0] / 2**0.5, np.zeros(run.problem.d)),
                    max_steps=3000)  # fmt: skip
    assert found.run.doubt
    assert found.run.doubt in found.explanation
    assert found.to_dict()["run"]["doubt"] == found.run.doubt


def test_without_a_change_of_sign_the_edge_of_stability_is_suspect():
    run = momentum_descent(EDGE, **AT_EDGE)
    assert not run.sign_changes.any()
    limit = in_sixty_digits(run, int(run.steps))
    far = np.linalg.norm(limit - run.theta) / np.linalg.norm(run.theta)
    assert 1e-10 < far <= run.rounding
    assert run.rounding > 1e-9


def calm_runs():
    """Problems, prudent steps, starts."""
    rng = np.random.default_rng(3)
    for _ in range(12):
        n = int(rng.integers(2, 10))
        problem = sparse_regression(n, 2 * n + 1, 2, seed=int(rng.integers(1 << 30)))
        beta = float(rng.choice([0.0, 0.5, 0.9]))
        alphas = 10 ** rng.uniform(-2, 0, (8, 1))
        gamma = min(Settling.of(problem, float(a), "heavy_ball").prudent_step(beta)
                    for a in (alphas.min(), alphas.max()))  # fmt: skip
        yield problem, gamma, beta, alphas


def test_calm_runs_are_not_doubted():
    looked = 0
    for problem, gamma, beta, alphas in calm_runs():
        runs = momentum_descent(
            problem, gamma, beta, alphas, max_steps=100_000, measure_rounding=True
        )
        assert not runs.doubt
        assert (runs.rounding[runs.converged] < 1e-11).all()
        assert np.isnan(runs.rounding[~runs.converged]).all()
        looked += int(runs.converged.sum())
    assert looked > 60


def test_calm_runs_and_batches_cost_nothing(monkeypatch):
    def fails(*_):
        raise AssertionError("twins of a run that needs none")

    monkeypatch.setattr(descent, "rounding_of", fails)
    looked = 0
    for problem, gamma, beta, alphas in calm_runs():
        options = {"max_steps": 100_000, "measure_rounding": False}
        signs = momentum_descent(problem, gamma, beta, alphas, **options).sign_changes.sum(axis=-1)
        for alpha in alphas[signs < 2][:2, 0]:
            run = momentum_descent(problem, gamma, beta, alpha, max_steps=100_000)
            assert run.rounding is None
            assert np.isnan(run.predicted_limit().rounding)
            looked += 1
    assert looked > 10
    momentum_descent(EDGE, **(AT_EDGE | {"gamma": [0.256, 0.255]}))
    momentum_descent(EDGE, **AT_EDGE, measure_rounding=False)


@pytest.mark.parametrize("engine", ["single", "lanes", "numpy"])
def test_a_batch_is_estimated_run_by_run(engine):
    gammas = [0.02, 0.256, 0.02]
    runs = momentum_descent(
        EDGE, **(AT_EDGE | {"gamma": gammas}), engine=engine, measure_rounding=True
    )
    for i, gamma in enumerate(gammas):
        alone = momentum_descent(
            EDGE, **(AT_EDGE | {"gamma": gamma}), engine=engine, measure_rounding=True
        )
        assert runs.rounding[i] == alone.rounding or engine == "lanes"
    assert runs.rounding[1] > 1e-9 > 1e3 * runs.rounding[0] > 0
    assert "2 of 3" not in runs.message


def test_twins_see_the_minibatches_of_their_run():
    """With others they would end far away: of a calm run the limit depends on the draws."""
    options = {"batch_size": 1, "max_steps": 50_000, "tol": 1e-10}
    problem = sparse_regression(3, 8, 2, seed=2)
    run = momentum_descent(problem, 0.02, 0.5, 0.5, seed=4, measure_rounding=True, **options)
    other = momentum_descent(problem, 0.02, 0.5, 0.5, seed=5, **options)
    assert run.converged
    assert run.rounding < 1e-8
    assert np.linalg.norm(run.theta - other.theta) > 1e-6 * np.linalg.norm(run.theta)
    runs = momentum_descent(
        problem, [0.02, 0.02], 0.5, 0.5, seed=np.random.default_rng(4), measure_rounding=True,
        **options,
    )  # fmt: skip
    assert (runs.rounding < 1e-8).all()


def test_another_network_has_its_estimate_too():
    """Depth three: the twins are moved in straightened weights, and compared in theta."""
    options = {"network": "u**3 - v**3", "max_steps": 20_000, "measure_rounding": True}
    calm = momentum_descent(EDGE, 0.01, 0.0, 0.5, **options)
    assert calm.converged
    assert 0 < calm.rounding < 1e-11


def test_twins_follow_the_schedule_of_their_run():
    """With another step they would end elsewhere."""
    falls = momentum_descent(
        EDGE, lambda k: 0.2 / (1 + k / 300), 0.0, 0.5, max_steps=3000, tol=1e-9,
        measure_rounding=True,
    )  # fmt: skip
    held = momentum_descent(EDGE, 0.2, 0.0, 0.5, max_steps=3000, tol=1e-9)
    assert falls.converged
    assert falls.rounding < 1e-11
    assert np.linalg.norm(falls.theta - held.theta) > 1e-6 * np.linalg.norm(held.theta)


def test_what_has_no_end_has_no_estimate():
    run = momentum_descent(EDGE, 1e3, 0.0, 0.5, max_steps=500, measure_rounding=True)
    assert run.rounding is None
    assert momentum_flow(EDGE, 0.5, 0.5).rounding is None


def test_the_last_look_is_at_the_steps_of_the_run():
    """Twins take the steps of their run, no more: compared is what is comparable."""
    taken = []

    run = momentum_descent(EDGE, 0.1, 0.0, 0.5, max_steps=3000, measure_rounding=True)
    original = twin_runs._apart

    def spy(twins):
        taken.append(twins.steps.copy())
        return original(twins)

    twin_runs._apart = spy
    try:
        momentum_descent(EDGE, [0.1, 0.05], 0.0, 0.5, max_steps=3000, measure_rounding=True)
    finally:
        twin_runs._apart = original
    alone = momentum_descent(EDGE, 0.05, 0.0, 0.5, max_steps=3000)
    assert taken[-1].tolist() == [int(run.steps)] * 2 + [int(alone.steps)] * 2
