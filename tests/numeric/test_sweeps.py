"""Sweeps: the same bits however they are run, killed or resumed."""

import os
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from momentumflow import InputError
from momentumflow.numeric import momentum_descent, momentum_flow, sparse_regression, sweep
from momentumflow.numeric.data.designs import redesigned
from momentumflow.numeric.sweeps import grids as sweeps
from momentumflow.numeric.sweeps.tasks import draw_problem
from momentumflow.symbolic import MomentumMethod

GRID = {
    "gamma": [0.02, 0.04],
    "lam": [0.1, 0.5, 1.0],
    "alpha": [1.0, 0.5],
    "seeds": 3,
    "chunk": 5,
    "max_steps": 20_000,
}


@pytest.fixture(scope="module")
def expected() -> xr.Dataset:
    return sweep(**GRID, jobs=1)


def test_every_run_is_the_run_it_says(expected):
    one = expected.isel(seed=2, gamma=1, lam=0, alpha=1)
    setting = {name: one[name].item() for name in ("n", "d", "sparsity", "noise", "seed")}
    problem = draw_problem(0, setting)
    teacher = problem.teacher
    run = momentum_descent(problem, 0.04, 1 - np.sqrt(0.04 / 0.1), 0.5, tol=1e-10)
    assert one.steps == run.steps
    np.testing.assert_allclose(one.l1_norm, np.abs(run.theta).sum(), rtol=1e-12)
    np.testing.assert_allclose(
        one.recovery_error, np.linalg.norm(run.theta - teacher) / np.linalg.norm(teacher), rtol=1e-9
    )
    assert sweeps.statuses(one).item() == "CONVERGED"


def test_dimensions_and_provenance(expected):
    assert dict(expected.sizes) == {"seed": 3, "gamma": 2, "lam": 3, "alpha": 2}
    assert expected.attrs["complete"] == 1
    assert {"numpy", "numba", "momentumflow", "root_seed"} <= set(expected.attrs)
    assert expected["residual"].attrs["description"]


def test_workers_do_not_change_a_bit(expected):
    assert sweep(**GRID, jobs=2).identical(expected)


def test_a_dask_cluster_does_not_change_a_bit(expected, tmp_path):
    distributed = pytest.importorskip("distributed")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    file = tmp_path / "scheduler.json"
    common = [sys.executable, "-m", "distributed.cli"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    scheduler = subprocess.Popen(
        [*common[:2], "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
         "--no-dashboard", "--scheduler-file", str(file)], **quiet,
    )  # fmt: skip
    workers = [
        subprocess.Popen(
            [*common[:2], "distributed.cli.dask_worker", "--scheduler-file", str(file),
             "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard",
             "--local-directory", str(tmp_path)], **quiet,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        with distributed.Client(scheduler_file=str(file), timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
            assert sweep(**GRID, client=client, store=tmp_path / "store").identical(expected)
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


def test_a_store_resumes_and_runs_nothing_twice(expected, tmp_path, monkeypatch):
    store = tmp_path / "store"
    ran = []
    original = sweeps.run_task

    def counted(spec, task):
        if len(ran) == 4:
            raise KeyboardInterrupt
        ran.append(task)
        return original(spec, task)

    monkeypatch.setattr(sweeps, "run_task", counted)
    partial = sweep(**GRID, jobs=1, store=store)
    assert partial.attrs["complete"] == 0
    assert int((partial.status == -1).sum()) == 36 - 4 * 5
    assert "MISSING" in sweeps.statuses(partial).values
    first, ran[:] = list(ran), []
    monkeypatch.setattr(sweeps, "run_task", lambda s, t: (ran.append(t), original(s, t))[1])
    assert sweep(**GRID, jobs=1, store=store).identical(expected)
    assert sorted(first + ran) == list(range(8))  # each task once
    ran.clear()
    assert sweep(**GRID, jobs=1, store=store).identical(expected)
    assert ran == []


def test_ctrl_c_inside_a_run_leaves_its_task_undone(expected, tmp_path, monkeypatch):
    from momentumflow.numeric.runs import engines

    store, calls = tmp_path / "store", []
    advance = engines.RunByRun.advance

    def interrupted(self, *arguments):
        calls.append(arguments)
        if len(calls) == 5:
            raise KeyboardInterrupt
        advance(self, *arguments)

    monkeypatch.setattr(engines.RunByRun, "advance", interrupted)
    partial = sweep(**GRID, jobs=1, store=store)
    assert partial.attrs["complete"] == 0
    assert "INTERRUPTED" not in sweeps.statuses(partial).values
    assert "MISSING" in sweeps.statuses(partial).values
    monkeypatch.undo()
    assert sweep(**GRID, jobs=1, store=store).identical(expected)


def test_prediction_and_minibatches():
    found = sweep(
        gamma=0.02, beta=[0.5, 0.8], alpha=1.0, batch_size=[4, 20], seeds=2, predict=True, jobs=1,
        tol=1e-13,
    )  # fmt: skip
    assert dict(found.sizes) == {"seed": 2, "batch_size": 2, "beta": 2}
    assert float(found.prediction_error.max()) < 1e-9
    assert np.isfinite(found.prediction_error).all()


def test_small_lambda_shrinks_balancedness_less():
    found = sweep(gamma=0.01, lam=[0.02, 0.2], alpha=0.5, seeds=5, jobs=1)
    assert (found.log_shrinkage.sel(lam=0.02) < 0).all()
    assert (found.log_shrinkage.sel(lam=0.2) < found.log_shrinkage.sel(lam=0.02)).all()


def test_a_diverged_run_has_its_status_and_the_others_their_answers():
    found = sweep(
        gamma=[0.02, 50.0], beta=0.5, alpha=1.0, seeds=2, predict=True, jobs=1, tol=1e-12,
        max_steps=20_000,
    )  # fmt: skip
    assert sweeps.statuses(found).values.tolist() == [["CONVERGED", "DIVERGED"]] * 2
    assert np.isnan(found.prediction_error.sel(gamma=50.0)).all()
    assert float(found.prediction_error.sel(gamma=0.02).max()) < 1e-9
    stable = found.stable_step.sel(gamma=50.0)
    assert ((stable > 0.02) & (stable < 50.0)).all()
    assert np.isnan(found.stable_step.sel(gamma=0.02)).all()  # these are not asked


def test_methods_are_a_dimension_like_any_other(tmp_path):
    own = MomentumMethod.parse("w[k+1] = w[k] + beta*(w[k] - w[k-1]) + gamma*f(w[k])")
    other = MomentumMethod.parse(
        "w[k+1] = w[k] + beta*(w[k] - w[k-1]) + gamma*f(w[k] + beta*(w[k] - w[k-1]))"
    )
    common = {"gamma": 0.02, "beta": [0.5, 0.8], "alpha": 0.5, "seeds": 2}
    grid = common | {"method": ["heavy_ball", "nesterov", own, other], "store": tmp_path}
    found = sweep(**grid, jobs=2)
    assert dict(found.sizes) == {"seed": 2, "method": 4, "beta": 2}
    assert len(set(found.method.values.tolist())) == 4
    for number, name in enumerate(("heavy_ball", "nesterov")):
        alone = sweep(**common, method=name, jobs=1)
        np.testing.assert_array_equal(found.l1_norm.isel(method=number), alone.l1_norm)
        # the same rule stated by its recurrence gives the same runs
        stated = found.l1_norm.isel(method=number + 2)
        np.testing.assert_allclose(stated, alone.l1_norm, rtol=1e-9)
    assert not np.allclose(found.steps.isel(method=0), found.steps.isel(method=1))
    assert sweep(**grid, jobs=1).identical(found)


def test_lam_alone_runs_flows_on_every_design():
    grid = {"lam": [0.0, 0.2], "alpha": 0.5, "n": 4, "d": 8, "sparsity": 2, "seeds": 2}
    designs = ["centred", "mean-one", "correlated", "diabetes"]
    found = sweep(**grid, design=designs, predict=True, tol=1e-8, jobs=1)
    assert dict(found.sizes) == {"design": 4, "seed": 2, "lam": 2}
    for design in designs:
        setting = {"n": 4, "d": 8, "sparsity": 2, "noise": 0.0, "seed": 1, "design": design}
        problem = draw_problem(0, setting)
        run = momentum_flow(problem, 0.2, 0.5, tol=1e-8)
        one = found.sel(design=design, seed=1, lam=0.2)
        np.testing.assert_allclose(one.l1_norm, np.abs(run.theta).sum(), rtol=1e-12)
        np.testing.assert_allclose(one.predicted_recovery_error, one.recovery_error, rtol=1e-5)
    assert len(set(found.l1_norm.values.ravel())) == 16
    assert np.isnan(found.stable_step).all()


def test_designs_are_what_they_are_called():
    rng = np.random.default_rng(0)
    plain = sparse_regression(400, 500, 3, noise=0.1, seed=rng)
    noise = plain.y - plain.X @ plain.teacher
    mean = redesigned(plain, "mean-one", rng)
    assert abs(mean.X.mean() - 1) < 0.01
    assert mean.teacher.min() == 0
    mixed = redesigned(plain, "correlated", rng)
    pairs = [np.mean(mixed.X[:, k:] * mixed.X[:, : 500 - k]) for k in (0, 1, 3, 50)]
    np.testing.assert_allclose(pairs, [1, 0.7, 0.343, 0], atol=0.02)
    for other in (mean, mixed):
        np.testing.assert_allclose(other.y - other.X @ other.teacher, noise, atol=1e-9)
    with pytest.raises(InputError, match="65 columns of the diabetes data"):
        redesigned(plain, "diabetes", rng)
    with pytest.raises(InputError, match="a single one for real data"):
        redesigned(sparse_regression(4, 8, 2, seed=0, batch=(2,)), "diabetes", rng)


BAD = [
    ({"lam": 0.1, "method": "nesterov"}, "lam alone, for flows, received a method"),
    ({"lam": 0.1, "batch_size": 2}, "lam alone, for flows, received batch_size"),
    ({"lam": 0.0, "gamma": 0.1}, "lam > 0 for an update rule"),
    ({"lam": 0.1, "design": ["centred", "centred"]}, "distinct values of design"),
    ({"lam": 0.1, "design": "round"}, "design to be one of"),
    ({"gamma": 0.1}, "two of gamma, beta and lam, received gamma"),
    ({"gamma": 0.1, "beta": 0.5, "lam": 1.0}, "two of gamma, beta and lam"),
    ({"gamma": 0.1, "beta": 1.0}, r"beta in \[0, 1\)"),
    ({"gamma": 0.1, "lam": 0.01}, "gamma <= lam"),
    ({"gamma": 0.1, "beta": 0.5, "n": 30}, "every n below every d"),
    ({"gamma": 0.1, "beta": 0.5, "sparsity": 31}, "sparsity <= d = 30"),
    ({"gamma": 0.1, "beta": 0.5, "batch_size": 21}, "batch_size <= n = 20"),
    ({"gamma": [0.1, 0.1], "beta": 0.5}, "distinct values of gamma"),
    ({"gamma": [], "beta": 0.5}, "gamma with at least one entry"),
    ({"gamma": 0.1, "beta": 0.5, "seeds": 0}, "seeds >= 1"),
    ({"gamma": 0.1, "beta": 0.5, "method": []}, "a non-empty sequence of methods"),
    ({"gamma": 0.1, "beta": 0.5, "method": ["nesterov"] * 2}, "distinct values of method"),
    ({"gamma": 0.1, "beta": 0.5, "method": ["nesterov", "adam"]}, r"method\[1\] to be one of"),
    ({"gamma": 0.1, "beta": 0.5, "method": "gradient_descent"}, "beta = 0 for gradient descent"),
    ({"gamma": 0.1, "lam": [0.1, 1.0], "method": "gradient_descent"}, "beta = 0 for gradient"),
]


@pytest.mark.parametrize(("arguments", "sentence"), BAD, ids=[s for _, s in BAD])
def test_bad_input(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        sweep(**arguments)
