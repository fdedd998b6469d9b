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
import numpy as np
import pytest

from momentumflow import InputError
from momentumflow.numeric import FlowSensitivity, ImplicitSolution, Trajectory
from momentumflow.verify import Prediction

from .right_calls import calls, public
from .wrong_values import WRONG

_ALL = os.environ.get("MOMENTUMFLOW_WRONG_CALLS") == "all"
# One in so many values is tried for an argument when not all are.
_SHARE = 1 if _ALL else 8
_SECONDS = 60  # a call that takes longer hangs
_LONGEST = 1000  # characters of one sentence
_ENDED_WELL = ("CONVERGED", "COMPLETED", "LIMIT_KNOWN")
# A function that is handed over may raise what it likes.
_THEIRS = {("run", "progress"), ("repeat", "progress"), ("Prediction.explained", "spelled")}


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
            answer = function(**arguments)
        made = isinstance(function, type)  # holds what it is given, whether it fits or not
        return ("" if made else wrong_with(answer)) or "answer", answer
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


def wrong_with(answer: Any) -> str:
    """Say what is wrong with an answer whose words can be held against its figures."""
    if isinstance(answer, Prediction):
        return wrong_with(answer.run) or wrong_with(answer.newton) or wrong_with(answer.cvxpy)
    if isinstance(answer, Trajectory):
        ended = np.asarray(answer.status, dtype=object)
        good = np.isin([s.name for s in ended.flat], _ENDED_WELL).reshape(ended.shape)
        if not np.isfinite(answer.theta[good]).all():
            return f"a run that {answer.message}, whose theta is not finite"
        missed = np.linalg.norm(
            (answer.problem.X @ answer.theta[..., None])[..., 0] - answer.problem.y, axis=-1
        ) / np.linalg.norm(answer.problem.y, axis=-1)
        if not (missed[answer.converged] <= answer.settings["tol"] * (1 + 1e-3) + 1e-15).all():
            return f"a run that {answer.message}, but misses y by {missed.max():g}"
    elif isinstance(answer, ImplicitSolution):
        proved = np.asarray(answer.certified)
        if not np.isfinite(answer.theta[proved]).all():
            return "a certified solution that is not finite"
    elif isinstance(answer, FlowSensitivity):
        finite = all(np.isfinite(part).all() for part in vars(answer).values())
        return "" if finite else "a derivative that is not finite"
    return ""


def chosen(name: str, argument: str) -> list[str]:
    """Return the wrong values that an argument is given in this run."""
    first = zlib.crc32(f"{name} {argument}".encode()) % _SHARE
    return list(WRONG)[first::_SHARE] if (name, argument) not in _THEIRS else []


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """A working folder with a table in it; what a call writes lands there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text("a,b,c,y\n1,2,-0.5,1\n0.5,-1,1,-0.5\n")
    yield tmp_path
    plt.close("all")


def test_every_public_callable_has_a_right_call():
    assert set(public()) <= set(calls())


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
