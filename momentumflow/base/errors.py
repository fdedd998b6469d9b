"""The one error a user sees: what was expected, what came, what to do.

It lives in the lowest room so that every room can raise it; importing it does
not import SymPy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
        self.received = received
        self.remedy = remedy
        sentence = f"expected {expected}, received {received}"
        super().__init__(f"{sentence}; {remedy}." if remedy else f"{sentence}.")

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str | None]]:
        return type(self), (self.expected, self.received, self.remedy)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the remedy for a name that is not known: the most similar one, or None."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}" if near else None
