"""A theorem holds if each of its steps is carried out, and falls with any one of them.

Every step of every theorem is made wrong by a little, in its sides, its sign, its place or
its hypotheses, and the theorem must fail; what is read off the form of an expression is
held against numbers; what the theorems say is held against numbers that they do not share.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st

from momentumflow import InputError
from momentumflow.symbolic import (
    Identity,
    Inequality,
    Limit,
    MatrixIdentity,
    Minimum,
    ProofError,
    Sentence,
    Theorem,
    theorem,
    theorems,
)
from momentumflow.symbolic.theorems.statements import plain_sign

LITTLE = sp.Rational(1, 1000)
NAMES = [found.name for found in theorems()]


@pytest.mark.parametrize("name", NAMES)
def test_every_step_is_carried_out_and_shown(name):
    found = theorem(name)
    proof = found.prove()
    assert len(proof.steps) == len(found.steps)
    said = str(proof)
    assert all(step.name in said for step in found.formal)
    assert said.count("(in words)") == sum(isinstance(s, Sentence) for s in found.steps)
    assert found.conclusion in said
    assert found.hypotheses
    assert found.formal
    assert "aligned" in found._repr_latex_()
    assert found.formula in proof.latex()


def test_all_chains_are_proved_within_a_minute():
    began = time.process_time()
    for name in NAMES:
        theorem(name).prove()
    assert time.process_time() - began < 60


def wrong(step):
    """Yield the step, made wrong by a little in each way that its kind has."""
    if isinstance(step, Identity):
        yield replace(step, rhs=step.rhs + LITTLE)
        yield replace(step, lhs=step.lhs - LITTLE)
        numbers = sorted(n for n in step.rhs.atoms(sp.Rational) if n not in (0, 1, -1))
        if numbers:
            yield replace(step, rhs=step.rhs.xreplace({numbers[0]: numbers[0] + LITTLE}))
    elif isinstance(step, Inequality):
        yield replace(step, rest=step.rest + LITTLE)
        yield replace(step, lhs=step.lhs - LITTLE)
        yield replace(step, lhs=step.rhs, rhs=step.lhs, rest=-step.rest)
        if not step.strict and plain_sign(step.rest) == 0:
            yield replace(step, strict=True)
    elif isinstance(step, Minimum):
        yield replace(step, value=step.value + LITTLE)
        yield replace(step, function=step.function + LITTLE * step.variable)
        yield replace(step, function=-step.function, slope=-step.slope)
        yield replace(step, at=step.at + LITTLE)
    elif isinstance(step, Limit):
        yield replace(step, value=step.value + LITTLE)
        yield replace(step, to=sp.oo if step.to == 0 else sp.S.Zero)
    elif isinstance(step, MatrixIdentity):
        yield replace(step, lhs=step.lhs + LITTLE * step.lhs)
        yield replace(step, relations=())
    else:
        raise AssertionError(type(step))


@pytest.mark.parametrize("name", NAMES)
def test_a_step_that_is_a_little_wrong_breaks_the_theorem(name):
    found = theorem(name)
    for step in found.formal:
        cases = list(wrong(step))
        assert len(cases) >= 2
        for case in cases:
            if isinstance(step, MatrixIdentity) and step.rhs == 0 and case.relations:
                continue  # a multiple of zero is zero
            with pytest.raises(ProofError, match=found.name):
                replace(found, steps=(case,)).prove()


def test_one_wrong_step_among_all_is_named():
    found = theorem("less-penalty")
    broken = tuple(
        replace(step, rhs=2 * step.rhs) if getattr(step, "name", "").startswith("the two") else step
        for step in found.steps
    )
    with pytest.raises(ProofError, match=r"theorem less-penalty.*the two limits"):
        replace(found, steps=broken).prove()


@pytest.mark.parametrize("name", NAMES)
def test_no_hypothesis_is_idle(name):
    """A step that may use a hypothesis fails without it."""
    for step in theorem(name).formal:
        given_to_it = getattr(step, "relations", ())
        for k in range(len(given_to_it)):
            with pytest.raises(ProofError):
                replace(step, relations=given_to_it[:k] + given_to_it[k + 1 :]).prove()


def test_a_sentence_proves_nothing():
    """What is said in words is neither counted nor shown as proved."""
    words = Theorem("x", "X", ("h",), (Sentence("hence all"),), "c", "c", "s")
    assert words.formal == ()
    assert "proved" not in str(words.prove())


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="no-sign-change"):
        theorem("no-sign-chang")


a, b = sp.Symbol("a", positive=True), sp.Symbol("b", nonnegative=True)
c = sp.Symbol("c", real=True)
_LEAVES = st.sampled_from([a, b, c, sp.Integer(2), sp.Integer(-1), sp.Rational(1, 3), sp.S.Zero])


def _grown(inner):
    pair = st.tuples(inner, inner)
    return st.one_of(
        pair.map(lambda p: p[0] + p[1]),
        pair.map(lambda p: p[0] * p[1]),
        inner.map(lambda e: e**2),
        inner.map(lambda e: 1 / (1 + e**2)),
        inner.map(sp.exp),
        inner.map(sp.tanh),
        inner.map(lambda e: sp.log(1 + e**2)),
        inner.map(lambda e: sp.sqrt(e**2 + a)),
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.recursive(_LEAVES, _grown, max_leaves=5))
def test_a_plain_sign_is_never_wrong(expr):
    sign = plain_sign(expr)
    if sign is None:
        return
    value = sp.lambdify((a, b, c), expr, "mpmath")
    for at in ((0.3, 0.0, -2.0), (2.0, 1.5, 0.0), (1e-3, 0.2, 0.7)):
        assert value(*at) >= 0
        if sign:
            assert value(*at) > 0


@pytest.mark.parametrize(
    "expr", [-a, c, a - b, c**3, sp.log(a), 1 / c**2, sp.tanh(c), b - 1, sp.exp(sp.I * c)]
)
def test_a_sign_that_is_not_plain_is_not_read_off(expr):
    assert plain_sign(expr) is None


def test_the_threshold_holds_where_the_linear_phase_ends():
    """T2's limit from the numbers: solve ln(1/alpha) = r t* for delta by bisection."""
    from scipy.optimize import brentq

    def logs(delta):  # ln(1/alpha) at which delta is the threshold, lambda = 1
        rate = (np.sqrt(2 + delta) - 1) / 2
        return rate * (np.pi - np.arctan(np.sqrt(delta))) * 2 / np.sqrt(delta)

    for length in (50.0, 500.0):
        delta = brentq(lambda d, s=length: logs(d) - s, 1e-12, 1.0)
        predicted = np.pi**2 * (3 - 2 * np.sqrt(2)) / length**2
        assert delta == pytest.approx(predicted, rel=6 / length)
