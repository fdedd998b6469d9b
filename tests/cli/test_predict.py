"""`momentumflow predict`, from good tables to every kind of bad input."""

import json
import subprocess
import sys

import numpy as np
import pytest

from momentumflow.numeric import implicit_solution, load_regression

GOOD = ("--target", "price", "--gamma", "1e-2", "--beta", "0.9", "--alpha", "0.3")


def test_a_table_gets_both_limits_with_distance_and_certificates(command, table):
    code, out, err = command("predict", table, *GOOD)
    assert (code, err) == (0, "")
    assert "houses.csv: n = 6, d = 9, rank 6" in out
    assert "Newton" in out
    assert "CVXPY" in out
    assert "supported: relative distance" in out


def test_json_holds_the_numbers(command, table):
    code, out, err = command("predict", table, *GOOD, "--tol", "1e-13", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["verdict"] == "supported"
    assert found["distance"] <= 1e-9
    assert found["solver_distance"] <= 1e-7
    assert found["feature_names"] == [f"f{j}" for j in range(9)]
    problem = load_regression(table, "price")
    theta = np.array(found["run"]["theta"])
    # The printed numbers satisfy the equations, and the printed problem gives them again.
    assert problem.residual(theta) < 1e-12
    again = implicit_solution(
        problem, found["run"]["asymptotic_balancedness"], found["run"]["perturbed_init"]
    )
    np.testing.assert_allclose(again.theta, theta, rtol=1e-8)
    wrong = implicit_solution(problem, found["run"]["initial_balancedness"], 0.0)
    assert np.linalg.norm(wrong.theta - theta) > 1e-3 * np.linalg.norm(theta)


def test_top_says_how_many_entries_are_shown(command, table):
    all_of_them = command("predict", table, *GOOD, "--top", "20").out
    assert "left out" not in all_of_them
    assert all(f"f{j} " in all_of_them for j in range(9))
    some = command("predict", table, *GOOD, "--top", "2").out
    assert "(7 smaller entries left out; --top shows more)" in some
    assert "trained theta" not in command("predict", table, *GOOD, "--top", "0").out


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
def test_other_formats_give_the_same_limit(command, frame, table, tmp_path, suffix):
    path = tmp_path / f"houses.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    else:
        np.savez(path, **{name: frame[name].to_numpy() for name in frame.columns})
    limits = [
        json.loads(command("predict", p, *GOOD, "--json").out)["run"]["theta"]
        for p in (table, path)
    ]
    np.testing.assert_allclose(limits[0], limits[1], rtol=1e-10)


def test_standardised_data_lose_a_rank_and_are_solved(command, table):
    code, out, _ = command("predict", table, *GOOD, "--standardise")
    assert code == 0
    assert "rank 5" in out


@pytest.mark.parametrize(
    "method",
    [
        ("heavy_ball", "--batch-size", "3", "--seed", "1"),
        ("nesterov",),
        ("quasi_hyperbolic", "--set", "nu=7/10"),
        ("w[k+1] = w[k] + beta*(w[k]-w[k-1]) + 1/2*gamma*f(w[k])",),
    ],
    ids=lambda m: m[0][:12],
)
def test_methods_and_minibatches(command, table, method):
    code, out, _ = command("predict", table, *GOOD, "--method", *method, "--json")
    assert code == 0
    assert json.loads(out)["distance"] <= 1e-9


def test_a_method_that_cannot_be_run_is_refused(command, table):
    code, _, err = command("predict", table, *GOOD, "--method", "quasi_hyperbolic")
    assert code == 2
    assert "received nu; give it a value" in err
    code, _, err = command("predict", table, *GOOD, "--method", "adam")
    assert code == 2
    assert "expected a momentum method, linear in w and f, received adam" in err


def test_the_seed_repeats_a_stochastic_run(command, table):
    def limit(seed):
        options = ("--batch-size", "2", "--seed", seed, "--json")
        return json.loads(command("predict", table, *GOOD, *options).out)["run"]["theta"]

    assert limit(5) == limit(5) != limit(6)


def test_a_run_that_has_not_converged_gets_no_verdict(command, table):
    code, out, err = command("predict", table, *GOOD, "--max-steps", "20")
    assert (code, err) == (1, "")
    assert "not converged after 20 steps: raise --max-steps to about " in out
    assert "after 20 steps" in out
    found = json.loads(command("predict", table, *GOOD, "--max-steps", "20", "--json").out)
    assert found["distance"] is None
    assert found["solutions"] == {}


def test_an_unstable_step_gets_no_verdict(command, table):
    options = ("--target", "price", "--gamma", "50", "--beta", "0.9", "--alpha", "0.3")
    code, out, err = command("predict", table, *options)
    assert (code, err) == (1, "")
    assert "the run diverged: reduce --gamma below " in out
    assert json.loads(command("predict", table, *options, "--json").out)["run"]["converged"] is (
        False
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"--beta": "1"}, "expected beta in [0, 1), received beta = 1."),
        ({"--beta": "-0.1"}, "expected beta in [0, 1), received beta = -0.1."),
        ({"--beta": "nan"}, "expected beta in [0, 1), received beta = nan."),
        ({"--gamma": "0"}, "expected gamma > 0, received gamma = 0."),
        ({"--gamma": "-1"}, "expected gamma > 0, received gamma = -1."),
        ({"--alpha": "0"}, "expected alpha > 0, received alpha = 0."),
        ({"--target": "prize"}, "expected a target column among f0, f1, f2, f3, f4, f5, f6, f7, "),
        ({"--method": "adam"}, "expected a momentum method, linear in w and f, received adam, "),
        ({"--batch-size": "7"}, "expected batch_size <= n = 6, received batch_size = 7."),
        ({"--batch-size": "0"}, "expected batch_size >= 1, received batch_size = 0."),
        ({"--gamma": "fast"}, "Invalid value for '--gamma': "),
        ({"--top": "-1"}, "Invalid value for '--top': "),
    ],
)
def test_bad_options_end_in_one_sentence(command, table, change, sentence):
    options = dict(zip(GOOD[::2], GOOD[1::2], strict=True)) | change
    code, out, err = command("predict", table, *(x for pair in options.items() for x in pair))
    assert code == 2
    assert out == ""
    assert err.startswith(f"momentumflow: {sentence}")
    assert err.count("\n") == 1


def _write(frame, path, defect):
    match defect:
        case "missing":
            return path.with_name("nowhere.csv"), "expected an existing data file, received "
        case "empty":
            path.write_text("")
            return path, "expected a table with rows, received the empty file "
        case "header only":
            frame.head(0).to_csv(path, index=False)
            return path, "expected a table with rows, received "
        case "NaN":
            frame.loc[2, "f3"] = np.nan
            sentence = "expected a table without gaps, received values missing, NaN or infinite"
        case "infinity":
            frame.loc[2, "f3"] = np.inf
            sentence = "expected a table without gaps, received values missing, NaN or infinite"
        case "text":
            frame["f0"] = "red"
            sentence = "expected numeric columns only, received column 'f0' of dtype "
        case "too many rows":
            frame = frame.iloc[[0, 1, 2, 3, 4, 5] * 2]
            sentence = "expected more columns than rows (n < d), received n = 12, d = 9; "
        case "inconsistent":
            frame.loc[1, "f0":"f8"] = frame.loc[0, "f0":"f8"]
            sentence = "expected y in the range of X, so that some theta fits it exactly, "
        case "zero target":
            frame["price"] = 0.0
            sentence = "expected a target y that is not all zero, received y = 0; "
        case "suffix":
            path = path.with_suffix(".xlsx")
            path.write_bytes(b"PK")
            return path, "expected a .csv, .parquet or .npz file, received "
    frame.to_csv(path, index=False, float_format="%.17g")
    return path, sentence


@pytest.mark.parametrize(
    "defect",
    [
        "missing", "empty", "header only", "NaN", "infinity", "text", "too many rows",
        "inconsistent", "zero target", "suffix",
    ],
)  # fmt: skip
def test_bad_files_end_in_one_sentence(command, frame, tmp_path, defect):
    path, sentence = _write(frame, tmp_path / "bad.csv", defect)
    code, out, err = command("predict", path, *GOOD)
    assert code == 2
    assert out == ""
    assert err.startswith(f"momentumflow: {sentence}")
    assert err.count("\n") == 1


def test_an_unknown_column_gets_a_guess(command, table):
    err = command("predict", table, *GOOD[2:], "--target", "prise").err
    assert err.endswith("did you mean 'price'.\n")


def test_no_traceback_in_a_process_of_its_own(table):
    done = subprocess.run(
        [sys.executable, "-m", "momentumflow", "predict", str(table), *GOOD[:-1], "-2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "momentumflow: expected alpha > 0, received alpha = -2.\n"
