"""Results as tables: names, axes and units, and that the numbers are those of the result."""

import numpy as np
import pytest

from momentumflow import InputError
from momentumflow.numeric import (
    Regression,
    implicit_solution,
    load_regression,
    momentum_descent,
    momentum_flow,
    regularisation_path,
    sparse_regression,
)
from momentumflow.numeric.data.labelled import QUANTITIES
from momentumflow.symbolic import HeavyBall, modified_equation
from momentumflow.verify import predict, run as verify


@pytest.fixture(scope="module")
def problem():
    bare = sparse_regression(3, 6, 2, seed=0)
    return Regression(bare.X, bare.y, tuple("abcdef"), teacher=bare.teacher)


@pytest.fixture(scope="module")
def runs(problem):
    return momentum_descent(problem, 0.05, [0.5, 0.8], 0.5, max_steps=500, record_every=100)


def described(dataset):
    """Every number has a name in full and a unit, but for what has none."""
    for name, variable in dataset.variables.items():
        if variable.dtype.kind == "f" and name in QUANTITIES:
            assert set(variable.attrs) >= {"long_name", "units"}, name


def test_a_problem_goes_to_a_file_and_comes_back(problem, tmp_path):
    path = tmp_path / "problem.parquet"
    problem.to_frame("price").to_parquet(path)
    again = load_regression(path, "price")
    np.testing.assert_array_equal(again.X, problem.X)
    np.testing.assert_array_equal(again.y, problem.y)
    assert again.feature_names == problem.feature_names


def test_a_problem_as_dataset(problem):
    dataset = problem.to_xarray()
    assert dict(dataset.sizes) == {"observation": 3, "feature": 6}
    np.testing.assert_allclose(dataset["X"] @ dataset["teacher"], dataset["y"], atol=1e-14)
    assert dataset["X"].sel(feature="c").values == pytest.approx(problem.X[:, 2])
    described(dataset)
    batch = sparse_regression(3, 6, 2, seed=0, batch=(2,)).to_xarray()
    assert batch["X"].dims == ("run_0", "observation", "feature")


def test_problems_that_are_no_table(problem):
    with pytest.raises(InputError, match=r"expected one problem for a table, received a batch of "):
        sparse_regression(3, 6, 2, seed=0, batch=(2,)).to_frame()
    with pytest.raises(InputError, match=r"a target named unlike the features, received 'b'\."):
        problem.to_frame("b")


def test_runs_as_dataset_and_table(runs):
    dataset = runs.to_xarray()
    described(dataset)
    assert dataset["theta"].dims == ("run_0", "feature")
    assert dataset["theta"].attrs["units"] == "y/X"
    assert list(dataset["status"].values) == [status.name for status in runs.status]
    gamma, beta = (np.broadcast_to(runs.settings[name], (2,)) for name in ("gamma", "beta"))
    np.testing.assert_array_equal(dataset["gamma"], gamma)
    np.testing.assert_array_equal(dataset["beta"], beta)
    frame = runs.to_frame()
    assert frame.index.names == ["run_0", "feature"]
    np.testing.assert_array_equal(frame["S_plus"].unstack("feature").to_numpy(), runs.S_plus)
    assert frame.loc[(1, "b"), "theta"] == runs.theta[1, 1]


def test_a_flow_has_its_lambda(problem):
    flows = momentum_flow(problem, [[0.1], [0.2]], np.full((3, 1), 0.5), t_end=0.1)
    dataset = flows.to_xarray()
    described(dataset)
    np.testing.assert_array_equal(dataset["lam"], np.repeat([[0.1], [0.2]], 3, axis=1))
    assert "gamma" not in dataset.coords


def test_a_path_keeps_its_time(runs, problem):
    dataset = runs.path.to_xarray(problem.feature_names)
    described(dataset)
    assert dataset["theta"].dims == ("run_0", "record", "feature")
    assert dataset["time"].dims == ("run_0", "record")
    np.testing.assert_array_equal(dataset["theta"].isel(record=-1), runs.path.theta[:, -1])
    frame = runs.path.to_frame()
    assert frame.loc[(0, 0, "x3"), "time"] == 0
    with pytest.raises(InputError, match=r"expected 6 feature names, received 1\."):
        runs.path.to_frame(["a"])


def test_sign_changes_are_rows(problem):
    flow = momentum_flow(problem, 0.5, 0.5)
    frame = flow.sign_change_times.to_frame()
    assert len(frame) == flow.sign_changes.sum() > 0
    assert frame["time"].is_monotonic_increasing
    assert set(frame["weight"]) <= {"w_plus", "w_minus"}


def test_solutions_and_their_path(problem):
    found = implicit_solution(problem, np.array([[0.1], [1.0]]))
    dataset = found.to_xarray(problem.feature_names)
    described(dataset)
    assert dataset["dual"].dims == ("run_0", "observation")
    assert dataset.attrs == {"potential": "hyperbolic entropy", "solver": "newton"}
    assert found.to_frame().loc[(1, "x0"), "theta"] == found.theta[1, 0]
    one = implicit_solution(problem, 0.1)
    assert one.to_frame(problem.feature_names).index.name == "feature"
    assert one.to_xarray()["status"].item() == "CERTIFIED"
    path = regularisation_path(problem, np.geomspace(1e-3, 1, 3))
    labelled = path.to_xarray(problem.feature_names)
    described(labelled)
    assert labelled["theta"].sel(balancedness=1.0, feature="a").item() == path.theta[-1, 0]
    frame = path.to_frame()
    assert frame.shape == (3, 6)
    assert frame.index.name == "balancedness"


def test_a_prediction_beside_the_run(problem):
    found = predict(problem, 0.05, 0.8, 0.5)
    frame = found.to_frame()
    assert list(frame.index) == list("abcdef")
    np.testing.assert_allclose(frame["trained"], frame["predicted by Newton"], atol=1e-9)
    stopped = predict(problem, 0.05, 0.8, 0.5, max_steps=5).to_frame()
    assert stopped["predicted by CVXPY"].isna().all()


def test_terms_of_an_equation_are_rows():
    equation = modified_equation(HeavyBall(), 2)
    frame = equation.to_frame()
    assert list(frame.index) == [tree.text for tree in equation.trees]
    assert frame.loc["[[]]", "differential"] == "f'f"
    assert frame.loc["[[]]", "coefficient"] == "-epsilon**2/(12*lambda**2)"


def test_a_report_is_a_row_for_each_claim():
    report = verify(["discretisation", "acceleration"], quick=True, seeds=2)
    frame = report.to_frame()
    assert frame.index.name == "claim"
    for result, (name, row) in zip(report.results, frame.iterrows(), strict=True):
        assert name == result.claim.name
        assert row["verdict"] == result.verdict.value
        assert row["value"] == result.evidence.deciding.value
        assert row["proved"] == row["proofs"]
        assert row["rejected"] == row["controls"]
    assert frame["proofs"].sum() > 0
    assert frame["controls"].sum() > 0
