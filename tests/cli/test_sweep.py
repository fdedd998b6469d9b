"""`momentumflow sweep`: the grid that is asked for, its summary, and what it refuses."""

import json

import numpy as np
import pandas as pd
import pytest

from momentumflow.numeric import sweep

SMALL = ("--n", "3", "--d", "6", "--sparsity", "2", "--seeds", "2", "--jobs", "1")


def test_the_summary_is_that_of_the_dataset(command, tmp_path):
    path = tmp_path / "runs.csv"
    grid = ("--gamma", "0.01:0.04:3", "--beta", "0.5,0.8", "--alpha", "0.3")
    code, out, err = command("sweep", *grid, *SMALL, "--seed", "4", "--csv", path, "--json")
    assert (code, err) == (0, "")
    shown = json.loads(out)
    dataset = sweep(
        gamma=[0.01, 0.02, 0.04], beta=[0.5, 0.8], alpha=0.3, n=3, d=6, sparsity=2, seeds=2,
        root_seed=4, jobs=1,
    )  # fmt: skip
    assert shown["runs"] == 12
    assert shown["complete"] is True
    assert shown["dimensions"] == {"seed": 2, "gamma": 3, "beta": 2}
    assert shown["status"] == {"CONVERGED": 12}
    for name in ("l1_norm", "recovery_error", "steps"):
        expected = float(np.median(dataset[name]))
        assert shown["converged runs"][name]["median"] == pytest.approx(expected, rel=1e-12)
    table = pd.read_csv(path)
    assert len(table) == 12
    np.testing.assert_allclose(
        table["l1_norm"], dataset.to_dataframe()["l1_norm"].to_numpy(), rtol=1e-12
    )


def test_a_table_for_people(command):
    grid = ("--gamma", "0.02", "--lam", "0.5", "--batch-size", "2,3", "--noise", "0")
    code, out, err = command("sweep", *grid, *SMALL, "--predict", "--max-steps", "20000")
    assert (code, err) == (0, "")
    assert "4 runs (seed 2 x batch_size 2): 4 converged" in out
    assert "prediction_error" in out


def test_an_interrupted_sweep_says_how_to_go_on(command, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("momentumflow.numeric.sweeps.tasks.momentum_descent", interrupted)
    code, out, _ = command("sweep", "--gamma", "0.02", "--beta", "0.5", *SMALL)
    assert code == 1
    assert "2 missing" in out
    assert "interrupted: the same command with --store resumes it." in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--gamma", "0.1"), "expected two of gamma, beta and lam, received gamma; the third"),
        (
            ("--gamma", "fast", "--beta", "0.5"),
            "Invalid value for '--gamma': expected numbers with ",
        ),
        (
            ("--gamma", "1:2:99999999999", "--beta", "0"),
            "Invalid value for '--gamma': expected first",
        ),
        (("--gamma", "0:2:3", "--beta", "0"), "Invalid value for '--gamma': expected first:last:"),
        (
            ("--gamma", "1:nan:3", "--beta", "0"),
            "Invalid value for '--gamma': expected first:last:",
        ),
        (("--gamma", "1:2:0", "--beta", "0"), "Invalid value for '--gamma': expected first:last:"),
        (
            ("--gamma", "1:2:x", "--beta", "0"),
            "Invalid value for '--gamma': expected numbers with ",
        ),
        (
            ("--gamma", "0.1", "--beta", "0.5", "--n", "3.5"),
            "Invalid value for '--n': expected whole numbers with ",
        ),
        (
            ("--gamma", "0.1", "--beta", "0.5", "--csv", "/nowhere/runs.csv", *SMALL),
            "expected a CSV file that can be written, received /nowhere/runs.csv (",
        ),
    ],
)
def test_misuse_is_one_sentence(command, arguments, sentence):
    code, out, err = command("sweep", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"momentumflow: {sentence}")
    assert err.count("\n") == 1
