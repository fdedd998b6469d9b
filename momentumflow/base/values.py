"""How results behave: they print in a line, compare by value, hash, copy and pickle.

A frozen dataclass of expressions does all that by itself; one that holds
arrays does not, because `==` of arrays is an array. `Value` is the base of
those. It imports no SymPy.
"""

from __future__ import annotations

import enum
import html
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar, cast

import numpy as np

from momentumflow.base.arguments import checked

K = TypeVar("K")
V = TypeVar("V")

# Longest text of a single field that a line shows.
_LONGEST = 60


class Value:
    """Base of dataclasses that hold arrays: `@dataclass(frozen=True, eq=False, repr=False)`.

    Two are equal if they are of one class and all their fields are: arrays by
    shape and entries, NaN equal to NaN. Fields with `compare=False` do not count.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self is other or same(self._compared(), other._compared())

    def __hash__(self) -> int:
        return hash((type(self).__qualname__, *map(_hashable, self._compared())))

    def _compared(self) -> tuple[Any, ...]:
        """Return what decides whether two are equal."""
        return tuple(getattr(self, f.name) for f in fields(cast(Any, self)) if f.compare)

    def _shown(self) -> dict[str, str]:
        """Return what is displayed: labels and short texts."""
        shown = (f.name for f in fields(cast(Any, self)) if f.repr and f.name[0] != "_")
        return {name: brief(getattr(self, name)) for name in shown}

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={text}" for name, text in self._shown().items())
        return f"{type(self).__name__}({inner})"

    def _repr_html_(self) -> str:
        return html_table(type(self).__name__, self._shown())


class Formulated(ABC):
    """Base of what is written as a formula: one form of LaTeX, bare or as a display."""

    __slots__ = ()

    @abstractmethod
    def _formula(self) -> str:
        """Return the formula in LaTeX, without delimiters; amsmath is all that it needs."""

    @checked
    def latex(self, *, display: bool = False) -> str:
        r"""Return the formula in LaTeX; amsmath is all that it needs.

        Parameters
        ----------
        display : bool
            As a display of its own, between `\[` and `\]`; bare otherwise.
        """
        return displayed(self._formula()) if display else self._formula()

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"


def displayed(formula: str) -> str:
    r"""Return a bare formula as a display of its own, between `\[` and `\]`."""
    return f"\\[ {formula} \\]"


def html_table(title: str, rows: Mapping[str, str]) -> str:
    """Return a table of labels and texts, for notebooks."""
    body = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
        for name, text in rows.items()
    )
    return f"<table><caption>{html.escape(title)}</caption><tbody>{body}</tbody></table>"


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal, arrays and containers of arrays included."""
    if a is b:
        return True
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        if a.shape != b.shape:
            return False
        if object in (a.dtype, b.dtype):
            return all(same(p, q) for p, q in zip(a.flat, b.flat, strict=True))
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc" and b.dtype.kind in "fc"))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return False
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list) and type(a) is type(b):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return bool(a == b)


def _hashable(value: Any) -> Any:
    """Return something that equal values share and that hashes."""
    if isinstance(value, np.ndarray):
        return value.shape
    if isinstance(value, Mapping):
        return frozenset(value)
    if isinstance(value, tuple | list):
        return len(value)
    if isinstance(value, str | bool | enum.Enum):
        return value
    return None


def brief(value: Any) -> str:
    """Return a short text for a value: arrays by shape and range, numbers to four digits."""
    if isinstance(value, np.ndarray) and value.ndim:
        if value.dtype.kind in "fiu" and value.size:
            return f"{value.shape} in [{np.min(value):.3g}, {np.max(value):.3g}]"
        return f"{value.shape}"
    if isinstance(value, np.ndarray):
        value = value[()]
    if isinstance(value, float | np.floating):
        return f"{float(value):.4g}"
    if isinstance(value, np.integer | np.bool_):
        return str(value)
    if isinstance(value, enum.Enum):
        return str(value.name)
    if isinstance(value, Mapping):
        return "{" + ", ".join(map(str, value)) + "}"
    if isinstance(value, tuple | list):
        text = f"({', '.join(map(brief, value))})"
        return text if len(text) <= _LONGEST else f"({len(value)} items)"
    text = repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


class FrozenMapping(Mapping[K, V]):
    """A mapping that cannot be changed, and so hashes, pickles and copies."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[K, V]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: K) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items))

    def __repr__(self) -> str:
        return repr(self._items)
