"""A wrong call ends in one sentence: `InputError`, never a bare error, or in a right answer.

Every argument of every public callable is given every wrong value in turn, the other
arguments staying right. MOMENTUMFLOW_WRONG_CALLS=all tries them all; otherwise each
argument gets a share of the values, a different one for each, the same in every run.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import warnings
import zlib
from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import pytest

from momentumflow import InputError

from .right_calls import calls, public
from .wrong_values import WRONG

_ALL = os.environ.get("MOMENTUMFLOW_WRONG_CALLS") == "all"
# One in so many values is tried for an argument when not all are.
_SHARE = 1 if _ALL else 8
_SECONDS = 60  # a call that takes longer hangs
_LONGEST = 1000  # characters of one sentence
# A function that is handed over may raise what it likes.
_THEIRS = {("run", "progress"), ("repeat", "progress")}
# Still open: numbers at the ends of floating point that warn or overflow on the way.
_OPEN = {
    *(("momentum_flow", "init", label) for label in ("1e-320", "1e300")),
    *(("momentum_flow to convergence", "init", label) for label in ("1e-320", "1e300")),
    *(("flow_sensitivity", "init", label) for label in ("1e-320", "1e300")),
    ("predict", "gamma", "1e-320"),
    ("predict", "init", "1e300"),
    # as long as what is asked for takes
    ("flow_sensitivity", "t_end", "1e300"),
    *((name, "init", "a huge whole number") for name in ("flow_sensitivity", "momentum_flow")),
    ("momentum_flow to convergence", "init", "a huge whole number"),
    ("flow_sensitivity", "t_end", "a huge whole number"),
    ("implicit_solution by log_balancedness", "shift", "a huge whole number"),
    ("DerivedPotential.divergence", "theta", "an array of no rows"),
}
# Newer than the table of right calls: to be added to it, and to pass the door.
_WITHOUT_A_RIGHT_CALL = {
    *("Certificate.where", "Prediction.explained", "Regression.row_residual"),
    *("SeparableNetwork.of_map", "WeightedL1.scaled", "as_latex", "as_text", "kernel_file_name"),
    *("kernel_source", "known_method", "select", "statuses", "writable", "write_gallery"),
    "written_out",
}


class Slow(BaseException):
    """A call that does not end."""


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Slow

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(function: Any, arguments: dict[str, Any]) -> tuple[str, Any]:
    """Return how a call ended: 'answer', 'refused', or what is wrong with it."""
    try:
        with bounded(), warnings.catch_warnings():
            warnings.simplefilter("error")
            return "answer", function(**arguments)
    except InputError as error:
        text = str(error)
        whole = text.startswith("expected ") and text.endswith(".") and "\n" not in text
        if not whole or len(text) > _LONGEST:
            return f"no sentence: {text[:200]!r}", None
        return "refused", text
    except Slow:
        return f"no end within {_SECONDS} s", None
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:150]}", None


def chosen(name: str, argument: str) -> list[str]:
    """Return the wrong values that an argument is given in this run."""
    first = zlib.crc32(f"{name} {argument}".encode()) % _SHARE
    labels = list(WRONG)[first::_SHARE] if (name, argument) not in _THEIRS else []
    return [label for label in labels if (name, argument, label) not in _OPEN]


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """A working folder with a table in it; what a call writes lands there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text("a,b,c,y\n1,2,-0.5,1\n0.5,-1,1,-0.5\n")
    yield tmp_path
    plt.close("all")


def test_every_public_callable_has_a_right_call():
    assert set(public()) - set(calls()) == _WITHOUT_A_RIGHT_CALL


@pytest.mark.parametrize("name", sorted(calls()))
def test_a_wrong_value_of_any_argument_is_refused_in_a_sentence(name, scratch):
    function, right = calls()[name]
    found, _ = outcome(function, right)
    assert found == "answer", f"the right call of {name} fails: {found}"
    bare = []
    for argument in right:
        for label in chosen(name, argument):
            found, _ = outcome(function, {**right, argument: WRONG[label]()})
            if found not in ("answer", "refused"):
                bare.append(f"{name}({argument} = {label}): {found}")
    assert not bare, "\n".join(bare)


@pytest.mark.parametrize("name", sorted(calls()))
def test_a_missing_or_unknown_argument_is_named(name, scratch):
    function, right = calls()[name]
    if getattr(function, "__name__", "") == "<lambda>":
        pytest.skip("takes any number of arguments; the call here gives them names")
    parameters = inspect.signature(function).parameters.values()
    bare = []
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        found, _ = outcome(function, {**right, "no_such_argument": 1})
        if found != "refused":
            bare.append(f"{name}(no_such_argument = 1): {found}")
    for p in parameters:
        if p.default is p.empty and p.name in right:
            found, _ = outcome(function, {k: v for k, v in right.items() if k != p.name})
            if found != "refused":
                bare.append(f"{name} without {p.name}: {found}")
    assert not bare, "\n".join(bare)
