"""Reading a numeric table from a file: CSV, Parquet or npz."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from momentumflow.base.arrays import FloatArray, float_array
from momentumflow.base.errors import InputError, nearest
from momentumflow.base.libraries import pandas

if TYPE_CHECKING:
    import pandas as pd


class Table(NamedTuple):
    """Features (rows, columns), target (rows,), and the names of the features."""

    X: FloatArray
    y: FloatArray
    feature_names: tuple[str, ...]


def read_table(path: Path, target: str) -> Table:
    """Read `path` and split off the column `target`.

    Raises
    ------
    InputError
        A missing, empty or unreadable file, an unknown suffix, a column without a
        name or of the name of another, an unknown target column, a column that is
        not numeric, a value that is missing, NaN or infinite.
    """
    if not path.is_file():
        raise InputError("an existing data file", f"{path}", "check the path")
    if path.stat().st_size == 0:
        raise InputError("a table with rows", f"the empty file {path}")
    match path.suffix.lower():
        case ".csv":
            return _from_frame(_read("a readable CSV file", path, _read_csv), path, target)
        case ".parquet" | ".pq":
            frame = _read("a readable Parquet file", path, pandas().read_parquet)
            return _from_frame(frame, path, target)
        case ".npz":
            arrays = _read("a readable npz file without pickled objects", path, _read_npz)
            return _from_arrays(arrays, path, target)
        case suffix:
            raise InputError(
                "a .csv, .parquet or .npz file", f"{path} (suffix {suffix or 'missing'!r})"
            )


def _read(what: str, path: Path, reader: Callable[[Path], Any]) -> Any:
    try:
        return reader(path)
    except InputError:
        raise
    except Exception as error:  # the readers of broken files raise nearly anything
        raise InputError(what, f"{path} ({error or type(error).__name__})") from error


def _read_csv(path: Path) -> pd.DataFrame:
    options: dict[str, Any] = {"skipinitialspace": True}
    # Read by itself: in a table pandas makes a second "price" into "price.1".
    header = pandas().read_csv(
        path, header=None, nrows=1, dtype=str, keep_default_na=False, **options
    )
    _require_distinct(header.iloc[0].tolist(), path)
    with warnings.catch_warnings():
        # Rows longer than the header: pandas would take the first column for labels, or
        # drop the last one with no more than this warning.
        warnings.simplefilter("error", pandas().errors.ParserWarning)
        return pandas().read_csv(path, index_col=False, **options)


def _read_npz(path: Path) -> dict[str, Any]:
    # opened here: `np.load` leaves a broken file open
    with open(path, "rb") as file:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("one array, not an archive of several")
        with archive:
            return {name: archive[name] for name in archive.files}


def _from_frame(frame: pd.DataFrame, path: Path, target: str) -> Table:
    if frame.empty:
        raise InputError("a table with rows", f"{path}, which has a header only")
    frame = frame.rename(columns=str)
    columns = _require_distinct(list(frame.columns), path)
    _require_column(target, columns, path)
    for name in columns:
        series = frame[name]
        if series.dtype.kind not in "buif":
            raise InputError(
                "numeric columns only",
                f"column {name!r} of dtype {series.dtype} in {path}",
                "encode or drop it",
            )
    features = [name for name in columns if name != target]
    X = frame[features].to_numpy(dtype=np.float64, na_value=np.nan)
    y = frame[target].to_numpy(dtype=np.float64, na_value=np.nan)
    return _without_gaps(Table(X, y, tuple(features)), path, target)


def _from_arrays(arrays: Mapping[str, Any], path: Path, target: str) -> Table:
    _require_column(target, tuple(arrays), path)
    columns = {
        name: float_array(f"{name!r} of {path}", array, finite=False)
        for name, array in arrays.items()
    }
    y = columns.pop(target)
    if y.ndim != 1 or y.size == 0:
        raise InputError(f"a one-dimensional target {target!r}", f"shape {y.shape} in {path}")
    if set(columns) == {"X"} and columns["X"].ndim != 1:
        X = columns["X"]
        if X.ndim != 2 or X.shape[0] != y.shape[0]:
            raise InputError(
                f"X of shape ({y.shape[0]}, d) beside {target!r}", f"shape {X.shape} in {path}"
            )
        names = tuple(f"x{j}" for j in range(X.shape[1]))
        return _without_gaps(Table(X, y, names), path, target)
    for name, array in columns.items():
        if array.shape != y.shape:
            raise InputError(
                f"columns of the target's shape {y.shape}, or one matrix named X",
                f"{name!r} of shape {array.shape} in {path}",
            )
    if not columns:
        raise InputError("features beside the target", f"only {target!r} in {path}")
    table = Table(np.stack(list(columns.values()), axis=1), y, tuple(columns))
    return _without_gaps(table, path, target)


def _without_gaps(table: Table, path: Path, target: str) -> Table:
    columns = zip((*table.feature_names, target), (*table.X.T, table.y), strict=True)
    gaps = {name: int((~np.isfinite(column)).sum()) for name, column in columns}
    listed = [f"{number} in column {name!r}" for name, number in gaps.items() if number]
    if listed:
        more = f" and in {len(listed) - 4} columns more" if len(listed) > 4 else ""
        raise InputError(
            "a table without gaps",
            f"values missing, NaN or infinite: {', '.join(listed[:4])}{more} of {path}",
            "clean or impute them first",
        )
    return table


def _require_distinct(names: list[str], path: Path) -> tuple[str, ...]:
    for position, name in enumerate(names):
        if not name:
            raise InputError(
                "a name for every column",
                f"none for column {position + 1} of {path}",
                "name it; row numbers are left out by to_csv(..., index=False)",
            )
        if name in names[:position]:
            raise InputError("distinct column names", f"the name {name!r} twice in {path}")
    return tuple(names)


def _require_column(target: str, columns: tuple[str, ...], path: Path) -> None:
    if target in columns:
        return
    listed = ", ".join(columns[:8]) + (", ..." if len(columns) > 8 else "")
    raise InputError(
        f"a target column among {listed}",
        f"{target!r}, which is not in {path}",
        nearest(target, columns),
    )
