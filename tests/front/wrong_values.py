"""Sixty values that people and programs hand over by mistake, each made afresh."""

from __future__ import annotations

import datetime
import decimal
import fractions
import math
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import sympy as sp


class Unprintable:
    """An object whose text cannot be had."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


class NoArray:
    """An object that claims to be an array and fails."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("no array")


class NoNumber:
    """An object that claims to be a number and fails."""

    def __float__(self) -> float:
        raise RuntimeError("no number")

    def __index__(self) -> int:
        raise RuntimeError("no number")


class NotComparable:
    """An object that cannot be compared or hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")


def _endless() -> Any:
    """A list that holds itself."""
    found: list[Any] = []
    found.append(found)
    return found


def _deep() -> Any:
    """A list in a list in a list, and so on."""
    found: Any = 1.0
    for _ in range(3000):
        found = [found]
    return found


WRONG: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "a word": lambda: "banana",
    "empty text": lambda: "",
    "text of a number": lambda: "0.5",
    "text with a zero byte": lambda: "a\0b",
    "text of a lone surrogate": lambda: "\ud800",
    "a long text": lambda: "x" * 20_000,
    "text of several lines": lambda: "a\nb\nc",
    "text of code": lambda: "__import__('os').getcwd()",
    "bytes": lambda: b"abc",
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "-inf": lambda: -math.inf,
    "-1": lambda: -1,
    "-0.5": lambda: -0.5,
    "0": lambda: 0,
    "1.5": lambda: 1.5,
    "1e-320": lambda: 1e-320,
    "1e300": lambda: 1e300,
    "a huge whole number": lambda: 10**30,
    "a whole number beyond floats": lambda: 10**400,
    "a complex number": lambda: 1 + 2j,
    "True": lambda: True,
    "a fraction": lambda: fractions.Fraction(1, 2),
    "a decimal": lambda: decimal.Decimal("0.5"),
    "a NumPy number": lambda: np.float32(0.5),
    "a NumPy integer": lambda: np.int64(3),
    "an array without axes": lambda: np.array(0.5),
    "an object": object,
    "Ellipsis": lambda: ...,
    "an empty list": list,
    "an empty tuple": tuple,
    "an empty dict": dict,
    "a set": lambda: {1, 2},
    "a dict": lambda: {"a": 1},
    "a dict of numbers": lambda: {1: 2.0},
    "a list of texts": lambda: ["a", "b"],
    "a list of None": lambda: [None],
    "a list of nan": lambda: [math.nan, 1.0],
    "a nested list of texts": lambda: [["a"], ["b"]],
    "a ragged list": lambda: [[1.0, 2.0], [3.0]],
    "a list in itself": _endless,
    "a deep list": _deep,
    "a pair": lambda: (1.0, 2.0),
    "a range": lambda: range(3),
    "a generator": lambda: (i for i in range(3)),
    "an empty array": lambda: np.array([]),
    "an array of no rows": lambda: np.zeros((0, 3)),
    "an array of three axes": lambda: np.full((2, 3, 4), 0.5),
    "an array of objects": lambda: np.array([object(), None]),
    "an array of texts": lambda: np.array(["a", "b"]),
    "an array of complex numbers": lambda: np.full(3, 1j),
    "a masked array": lambda: np.ma.masked_array([0.5, 0.25], [False, True]),
    "a structured array": lambda: np.zeros(2, dtype=[("a", float), ("b", int)]),
    "an array of dates": lambda: np.array(["2024-01-01"], dtype="datetime64[D]"),
    "a date": lambda: datetime.date(2024, 1, 1),
    "a length of time": lambda: np.timedelta64(3, "s"),
    "a data frame": lambda: pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}),
    "a series of texts": lambda: pd.Series(["x", "y"]),
    "a sparse matrix (dok)": lambda: scipy.sparse.dok_array((2, 3)),
    "a sparse matrix (lil)": lambda: scipy.sparse.lil_array((2, 3)),
    "a sparse matrix (csr)": lambda: scipy.sparse.csr_array((2, 3)),
    "a function": lambda: lambda: 0.5,
    "a function of anything": lambda: lambda *a, **k: "anything",
    "a class": lambda: int,
    "a module": lambda: math,
    "a path": lambda: pathlib.Path("no/such/place"),
    "a symbol": lambda: sp.Symbol("q"),
    "a SymPy number": lambda: sp.Rational(1, 2),
    "SymPy's infinity": lambda: sp.oo,
    "SymPy's nan": lambda: sp.nan,
    "a SymPy equation": lambda: sp.Eq(sp.Symbol("q"), 1),
    "a SymPy matrix": lambda: sp.eye(2),
    "an unprintable object": Unprintable,
    "an object that is no array": NoArray,
    "an object that is no number": NoNumber,
    "an object that cannot be compared": NotComparable,
    "an error": lambda: ValueError("no"),
}
