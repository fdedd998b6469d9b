"""Reading a numeric table from a file: CSV, Parquet or npz."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from momentumflow.base.errors import InputError, nearest
from momentumflow.numeric.validation import FloatArray

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
        A missing, empty or unreadable file, an unknown suffix, an unknown
        target column, a column that is not numeric, a missing value.
    """
    if not path.is_file():
        raise InputError("an existing data file", f"{path}", "check the path")
    if path.stat().st_size == 0:
        raise InputError("a table with rows", f"the empty file {path}")
    match path.suffix.lower():
        case ".csv":
            return _from_frame(_read_csv(path), path, target)
        case ".parquet" | ".pq":
            return _from_frame(_read_parquet(path), path, target)
        case ".npz":
            return _from_npz(path, target)
        case suffix:
            raise InputError(
                "a .csv, .parquet or .npz file", f"{path} (suffix {suffix or 'missing'!r})"
            )


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(path, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError("a readable CSV file", f"{path} ({error})") from error


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors derive from these
        raise InputError("a readable Parquet file", f"{path} ({error})") from error


def _from_frame(frame: pd.DataFrame, path: Path, target: str) -> Table:
    if frame.empty:
        raise InputError("a table with rows", f"{path}, which has a header only")
    frame = frame.rename(columns=str)
    if frame.columns.has_duplicates:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise InputError("distinct column names", f"the name {twice!r} twice in {path}")
    columns = tuple(frame.columns)
    _require_column(target, columns, path)
    for name in columns:
        series = frame[name]
        if series.dtype.kind not in "buif":
            raise InputError(
                "numeric columns only",
                f"column {name!r} of dtype {series.dtype} in {path}",
                "encode or drop it",
            )
        missing = int(series.isna().sum())
        if missing:
            raise InputError(
                "a table without gaps",
                f"{missing} missing or NaN in column {name!r} of {path}",
                "clean or impute them first",
            )
    features = tuple(name for name in columns if name != target)
    return Table(
        frame[list(features)].to_numpy(dtype=np.float64),
        frame[target].to_numpy(dtype=np.float64),
        features,
    )


def _from_npz(path: Path, target: str) -> Table:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            "a readable npz file without pickled objects", f"{path} ({error})"
        ) from None
    _require_column(target, tuple(arrays), path)
    y = arrays.pop(target)
    if y.ndim != 1:
        raise InputError(f"a one-dimensional target {target!r}", f"shape {y.shape} in {path}")
    if set(arrays) == {"X"}:
        X = arrays["X"]
        if X.ndim != 2 or X.shape[0] != y.shape[0]:
            raise InputError(
                f"X of shape ({y.shape[0]}, d) beside {target!r}", f"shape {X.shape} in {path}"
            )
        return Table(X, y, tuple(f"x{j}" for j in range(X.shape[1])))
    for name, array in arrays.items():
        if array.shape != y.shape:
            raise InputError(
                f"columns of the target's shape {y.shape}, or one matrix named X",
                f"{name!r} of shape {array.shape} in {path}",
            )
    if not arrays:
        raise InputError("features beside the target", f"only {target!r} in {path}")
    return Table(np.stack(list(arrays.values()), axis=1), y, tuple(arrays))


def _require_column(target: str, columns: tuple[str, ...], path: Path) -> None:
    if target in columns:
        return
    listed = ", ".join(columns[:8]) + (", ..." if len(columns) > 8 else "")
    raise InputError(
        f"a target column among {listed}",
        f"{target!r}, which is not in {path}",
        nearest(target, columns),
    )
