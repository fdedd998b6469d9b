"""Regression problems, files, and what is refused, sentence by sentence."""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from momentumflow import InputError
from momentumflow.numeric import (
    Regression,
    diabetes_regression,
    load_regression,
    sparse_regression,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 7))
Y = RNG.standard_normal(4)


def test_least_norm_solution_against_lstsq() -> None:
    problem = Regression(X, Y)
    expected = np.linalg.lstsq(X, Y, rcond=None)[0]
    np.testing.assert_allclose(problem.least_norm_solution, expected, rtol=1e-12)
    assert problem.residual(expected) < 1e-14
    assert problem.loss(np.zeros(7)) == pytest.approx(Y @ Y / 8)


def test_centred_real_data_are_rank_deficient_and_consistent() -> None:
    problem = diabetes_regression()
    assert (problem.n, problem.d, problem.rank) == (40, 65, 39)
    assert problem.range_distance < 1e-13
    assert problem.rank == np.linalg.matrix_rank(problem.X)
    np.testing.assert_allclose(problem.X.mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(problem.X.std(axis=0), 1, rtol=1e-13)
    assert problem.residual(problem.least_norm_solution) < 1e-13


def test_sparse_teacher() -> None:
    problem = sparse_regression(20, 30, 5, seed=3, signal=2.0)
    assert problem.teacher is not None
    assert np.count_nonzero(problem.teacher) == 5
    assert set(np.abs(problem.teacher[problem.teacher != 0])) == {2.0}
    np.testing.assert_allclose(problem.X @ problem.teacher, problem.y)
    again = sparse_regression(20, 30, 5, seed=3, signal=2.0)
    np.testing.assert_array_equal(problem.X, again.X)
    batch = sparse_regression(3, 5, 2, batch=(2, 4))
    assert batch.X.shape == (2, 4, 3, 5)
    assert batch.batch_shape == (2, 4)


def test_arrays_are_frozen_copies() -> None:
    matrix = X.copy()
    problem = Regression(matrix, Y)
    matrix[0, 0] = 99
    assert problem.X[0, 0] == X[0, 0]
    with pytest.raises(ValueError, match="read-only"):
        problem.X[0, 0] = 1


def test_nearest_consistent_is_the_projection() -> None:
    deficient = np.vstack([X, X[0] + X[1]])
    noisy = RNG.standard_normal(5)
    problem = Regression.nearest_consistent(deficient, noisy)
    residual = noisy - problem.y
    np.testing.assert_allclose(deficient.T @ residual, 0, atol=1e-12)
    assert np.linalg.norm(residual) > 0.1
    with pytest.raises(InputError, match="a y at relative distance"):
        Regression(deficient, noisy)


BAD = [
    (lambda: Regression(X, Y[:3]), "y with one entry for each of the 4 rows of X"),
    (lambda: Regression(X[0], Y), "X with at least 2 axes, received an array of shape"),
    (lambda: Regression(X, np.r_[Y[:3], np.nan]), "finite values in y, received 1 NaN or infinite"),
    (lambda: Regression(np.where(X > 1, np.inf, X), Y), "finite values in X"),
    (lambda: Regression(X.T, RNG.standard_normal(7)), "more columns than rows"),
    (lambda: Regression(X[:, :4], Y), r"n < d\), received n = 4, d = 4"),
    (lambda: Regression(X, np.zeros(4)), "a target y that is not all zero"),
    (
        lambda: Regression(X * 1j, Y),
        "X as real numbers, received an array",
    ),
    (lambda: Regression([[1, 2], [3]], Y), "X as a rectangular array"),
    (lambda: Regression(X, Y, feature_names=("a",)), "7 feature names, received 1"),
    (lambda: Regression(X, Y, teacher=np.ones(3)), "a teacher of 7 entries"),
    (lambda: Regression(np.empty((0, 3)), np.empty(0)), "at least one row"),
    (lambda: Regression(np.ones((2, 3, 5)), np.ones((4, 3))), "leading axes that broadcast"),
    (lambda: sparse_regression(3, 5, 6), "sparsity <= d = 5"),
    (lambda: sparse_regression(3, 5, 0), "sparsity >= 1"),
    (lambda: sparse_regression(2.5, 5, 1), "n as a whole number"),  # type: ignore[arg-type]
    (lambda: sparse_regression(3, 5, 2, signal=-1), "signal > 0"),
    (lambda: sparse_regression(3, 5, 2, seed=-1), "seed >= 0"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD, ids=[s for _, s in BAD])
def test_bad_input(call: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        call()  # type: ignore[operator]


@pytest.fixture
def frame() -> pd.DataFrame:
    table = pd.DataFrame(X, columns=[f"f{j}" for j in range(7)])
    return table.assign(price=Y)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_files_round_trip(tmp_path: Path, frame: pd.DataFrame, suffix: str) -> None:
    path = tmp_path / f"data.{suffix}"
    match suffix:
        case "csv":
            frame.to_csv(path, index=False)
        case "parquet":
            frame.to_parquet(path)
        case _:
            np.savez(path, **{name: frame[name].to_numpy() for name in frame})
    problem = load_regression(path, "price")
    np.testing.assert_allclose(problem.X, X, rtol=1e-15)
    np.testing.assert_allclose(problem.y, Y, rtol=1e-15)
    assert problem.feature_names == tuple(f"f{j}" for j in range(7))


def test_npz_with_a_matrix(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, X=X, y=Y)
    np.testing.assert_array_equal(load_regression(path, "y").X, X)


def test_standardising_drops_constant_columns_and_says_so(
    tmp_path: Path, frame: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "data.csv"
    frame.assign(one=3.0).to_csv(path, index=False)
    problem = load_regression(path, "price", standardise=True)
    assert problem.feature_names is not None
    assert "one" not in problem.feature_names
    assert problem.rank == problem.n - 1
    assert "1 of 8 columns dropped, because they are constant: 'one'" in caplog.text
    caplog.clear()
    frame.to_csv(path, index=False)
    same = load_regression(path, "price", standardise=True)
    assert caplog.text == ""
    np.testing.assert_array_equal(problem.X, same.X)


@pytest.mark.parametrize("unit", [1e-300, 1e-150, 1e150, 1e300])
def test_standardised_data_know_no_units(tmp_path: Path, unit: float) -> None:
    ours, scaled = tmp_path / "ours.npz", tmp_path / "scaled.npz"
    np.savez(ours, X=X, y=Y)
    np.savez(scaled, X=X * unit, y=Y * unit)
    one, other = (load_regression(path, "y", standardise=True) for path in (ours, scaled))
    np.testing.assert_allclose(other.X, one.X, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(other.y, one.y, rtol=1e-12, atol=1e-13)


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


FILES = [
    ("missing.csv", None, "an existing data file"),
    ("empty.csv", "", "a table with rows, received the empty file"),
    ("header.csv", "a,b,y\n", "a table with rows, received .* header only"),
    ("text.csv", "a,b,price\n1,x,2\n", "numeric columns only, received column 'b'"),
    (
        "gap.csv",
        "a,b,price\n1,,2\n",
        "a table without gaps, received values missing, NaN or infinite: 1 in column 'b' of",
    ),
    ("infinite.csv", "a,b,price\n1,inf,2\n-inf,1,3\n", "1 in column 'a', 1 in column 'b'"),
    ("same.csv", "price,b,price\n1,2,3\n", "distinct column names, received the name 'price' twi"),
    ("spaces.csv", "price, b, price\n1,2,3\n", "the name 'price' twice"),
    ("index.csv", ",b,price\n0,2,3\n", "a name for every column, received none for column 1"),
    (
        "long.csv",
        "a,price\n1,2,3\n4,5,6\n",
        "Length of header or names does not match",
    ),
    ("labels.csv", "a,price\n0,2,3\n1,5,6\n", "a readable CSV file"),
    ("nul.csv", "a,price\n\x00,2\n", "numeric columns only|readable CSV"),
    ("twice.csv", "a,b,prize\n1,2,3\n", r"'price', which is not in .*did you mean 'prize'"),
    ("data.xlsx", "x", "a .csv, .parquet or .npz file"),
    ("broken.parquet", "x", "a readable Parquet file"),
    ("broken.npz", "x", "a readable npz file"),
    ("ragged.csv", "a,y\n1,2\n1,2,3,4\n", "a readable CSV file"),
]


@pytest.mark.parametrize(("name", "text", "sentence"), FILES, ids=[n for n, _, _ in FILES])
def test_bad_files(tmp_path: Path, name: str, text: str | None, sentence: str) -> None:
    path = tmp_path / name
    if text is not None:
        _written(path, text)
    with pytest.raises(InputError, match=sentence):
        load_regression(path, "price")


def _with_nan(kind: str, path: Path, frame: pd.DataFrame) -> Path:
    table = frame.astype(float)
    table.loc[1, "f2"], table.loc[2, "f2"], table.loc[0, "f5"] = np.nan, np.inf, -np.inf
    match kind:
        case "csv":
            table.to_csv(path, index=False)
        case "parquet":
            table.to_parquet(path)
        case "npz":
            np.savez(path, **{name: table[name].to_numpy() for name in table})
        case "matrix":
            features = table.drop(columns="price").to_numpy()
            np.savez(path, X=features, price=table["price"].to_numpy())
    return path


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("kind", ["csv", "parquet", "npz", "matrix"])
def test_columns_with_gaps_are_named_and_refused(
    tmp_path: Path, frame: pd.DataFrame, kind: str, standardise: bool
) -> None:
    suffix = "npz" if kind == "matrix" else kind
    path = _with_nan(kind, tmp_path / f"d.{suffix}", frame)
    names = ("x2", "x5") if kind == "matrix" else ("f2", "f5")
    with pytest.raises(InputError, match=f"2 in column '{names[0]}', 1 in column '{names[1]}'"):
        load_regression(path, "price", standardise=standardise)


@pytest.mark.parametrize("suffix", ["npz", "parquet", "csv"])
@settings(max_examples=60, derandomize=True, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read(suffix: str, data: st.DataObject) -> None:
    """Cut, overwritten or lengthened anywhere: one sentence, or numbers, and nothing else."""
    whole = _whole(suffix)
    at = data.draw(st.integers(0, len(whole) - 1))
    match data.draw(st.sampled_from(["cut", "overwritten", "lengthened"])):
        case "cut":
            damaged = whole[:at]
        case "overwritten":
            noise = data.draw(st.binary(min_size=1, max_size=40))
            damaged = whole[:at] + noise + whole[at + len(noise) :]
        case _:
            damaged = whole[:at] + data.draw(st.binary(min_size=1, max_size=40)) + whole[at:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"data.{suffix}"
        path.write_bytes(damaged)
        for standardise in (False, True):
            assert "\n" not in _refusal(path, standardise)


def _refusal(path: Path, standardise: bool) -> str:
    try:
        problem = load_regression(path, "price", standardise=standardise)
    except InputError as error:
        return str(error)
    assert np.isfinite(problem.X).all()
    return ""


@cache
def _whole(suffix: str) -> bytes:
    table = pd.DataFrame(X, columns=[f"f{j}" for j in range(7)]).assign(price=Y)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"data.{suffix}"
        match suffix:
            case "csv":
                table.to_csv(path, index=False)
            case "parquet":
                table.to_parquet(path)
            case _:
                np.savez_compressed(path, X=X, price=Y)
        return path.read_bytes()


def test_masked_entries_are_refused() -> None:
    masked = np.ma.masked_array(X, mask=X > 1)
    rows = [np.ma.masked_array(row, mask=row > 1) for row in X]
    for value in (masked, rows):
        with pytest.raises(InputError, match="X without masked entries"):
            Regression(value, Y)
    unmasked = Regression(np.ma.masked_array(X, mask=False), Y)
    np.testing.assert_array_equal(unmasked.X, X)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"y": np.ones((2, 2)), "X": X}, "a one-dimensional target 'y'"),
        ({"y": Y, "X": X[:3]}, r"X of shape \(4, d\) beside 'y'"),
        ({"y": Y, "a": np.ones(3)}, "columns of the target's shape"),
        ({"y": Y}, "features beside the target"),
        ({"y": np.array([{}], dtype=object)}, "without pickled objects"),
        ({"y": Y, "X": X.astype(str)}, "'X' of .* as real numbers"),
        ({"y": Y, "X": X * 1j}, "'X' of .* as real numbers"),
        ({"y": np.float64(3), "X": X}, "a one-dimensional target 'y'"),
    ],
)
def test_bad_npz(tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, allow_pickle=True, **arrays)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=sentence):
        load_regression(path, "y")
