"""Numbers are printed as what they are, to the figures asked for, and JSON takes them all."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from momentumflow.base.numbers import in_latex, in_text, plain

FINITE = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-")


def read_text(text: str) -> float:
    """Read what `in_text` writes."""
    found = re.fullmatch(r"(−?)(?:([\d.]+)·)?10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)|(−?[\d.]+)", text)
    sign, mantissa, power, whole = found.groups()
    if whole:
        return float(whole.translate(DIGITS))
    return float(f"{sign.translate(DIGITS)}{mantissa or 1}e{power.translate(DIGITS)}")


def read_latex(text: str) -> float:
    """Read what `in_latex` writes."""
    return float(re.sub(r" \\cdot 10\^\{(-?\d+)\}", r"e\1", text))


@settings(derandomize=True, max_examples=300, deadline=None)
@given(FINITE, st.integers(1, 6))
def test_what_is_printed_is_the_number_to_so_many_figures(value, digits):
    for text in (read_text(in_text(value, digits)), read_latex(in_latex(value, digits))):
        assert text == float(f"{value:.{digits - 1}e}")


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (2000.0, 4, "2000"),
        (1e4, 4, "10⁴"),
        (5e-3, 4, "0.005"),
        (2e-4, 4, "2·10⁻⁴"),
        (-1e-9, 3, "−10⁻⁹"),
        (9.999e-10, 3, "10⁻⁹"),
        (0.0, 3, "0"),
        (math.nan, 3, "–"),
        (-math.inf, 3, "not finite"),
    ],
)
def test_how_it_reads(value, digits, text):
    assert in_text(value, digits) == text


NUMBERS = st.one_of(st.floats(), st.integers(), st.booleans(), st.none(), st.text(max_size=3))


@settings(derandomize=True, max_examples=100, deadline=None)
@given(
    st.recursive(
        NUMBERS,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_json_takes_it_and_only_what_is_not_finite_is_lost(value):
    def same(a, b):
        if isinstance(a, float) and not math.isfinite(a):
            return b is None
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
        if isinstance(a, list):
            return len(a) == len(b) and all(map(same, a, b))
        return a == b

    assert same(value, json.loads(json.dumps(plain(value), allow_nan=False)))


def test_arrays_are_lists():
    found = plain({"a": np.array([[1.0, np.nan]]), "b": np.float64(np.inf), "c": (np.int64(2),)})
    assert found == {"a": [[1.0, None]], "b": None, "c": [2]}
    assert json.dumps(found)
