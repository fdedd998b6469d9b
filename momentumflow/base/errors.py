"""The one error a user sees: what was expected, what came, what to do.

It lives in the lowest room so that every room can raise it; importing it does
not import SymPy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Characters of what came that a sentence repeats.
_LONGEST = 160


class InputError(ValueError):
    """Input that momentumflow cannot work with, said in one sentence.

    Parameters
    ----------
    expected : str
        What was expected, as a noun phrase: "beta in [0, 1)".
    received : str
        What came instead: "beta = 1.2".
    remedy : str, optional
        What the user can do about it.
    """

    def __init__(self, expected: str, received: str, remedy: str | None = None) -> None:
        self.expected = expected
        self.received = received = _one_line(received)
        self.remedy = remedy
        sentence = f"expected {expected}, received {received}"
        super().__init__(f"{sentence}; {remedy}." if remedy else f"{sentence}.")

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str | None]]:
        return type(self), (self.expected, self.received, self.remedy)


def _one_line(text: str) -> str:
    """Return a text that fits a sentence: printable, on one line, cut where it is long."""
    flat = " ".join(text.split())
    flat = flat if flat.isprintable() else repr(flat)[1:-1]
    return flat if len(flat) <= _LONGEST else f"{flat[: _LONGEST - 3]}..."


def shown(value: object) -> str:
    """Return what came, in a few words: a number or a text as it is, an array by its shape."""
    kind = type(value).__name__
    if type(value) is float and float(f"{value:g}") == value:
        return f"{value:g}"
    if value is None or isinstance(value, bool | float | complex | str | bytes):
        return _one_line(repr(value[:_LONGEST] if isinstance(value, str | bytes) else value))
    if isinstance(value, int):
        return (
            repr(value) if abs(value) < 10**30 else f"a whole number of {value.bit_length()} bits"
        )
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    if dtype is not None and isinstance(shape, tuple) and shape:
        kind = "an array" if kind == "ndarray" else _a(kind)
        return f"{kind} of shape {shape} and dtype {dtype}"
    try:
        text = repr(value)
    except Exception:  # an object's own code may raise anything
        text = ""
    short = 0 < len(text) <= 60 and " at 0x" not in text
    return _one_line(text) if short else _a(kind)


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeioAEIO' else 'a'} {kind}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the remedy for a name that is not known: the most similar one, or None."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}" if near else None
