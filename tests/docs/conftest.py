"""How printed output is compared, and where the documents stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+\.?\d*(?:e[-+]?\d+)?(?![\w.])")

# Below this a printed number is rounding, which machines do not share.
ROUNDING = 1e-9


def first_difference(expected: str, received: str) -> str | None:
    """Return where two printed outputs differ, or None.

    Words must agree; numbers to 1 % (they are printed to two or three digits),
    and numbers below 1e-9 only in being so small.
    """
    words = [NUMBER.sub("#", text).split() for text in (expected, received)]
    if words[0] != words[1]:
        return f"expected {expected!r}, received {received!r}"
    pairs = zip(NUMBER.findall(expected), NUMBER.findall(received), strict=True)
    for left, right in pairs:
        a, b = float(left), float(right)
        if max(abs(a), abs(b)) < ROUNDING:
            continue
        if abs(a - b) > 0.01 * max(abs(a), abs(b)):
            return f"expected {left}, received {right}"
    return None


@pytest.fixture(scope="session")
def root():
    return ROOT
