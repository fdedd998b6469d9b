"""The machinery of verdicts: what is supported, refuted, open, and what exposes a bad check."""

import re
from dataclasses import replace

import pytest
import sympy as sp
from hypothesis import given, strategies as st

from momentumflow.base.errors import InputError
from momentumflow.symbolic.identities import Identity
from momentumflow.verify.evidence import Evidence, Verdict
from momentumflow.verify.runner import judge, run, select
from momentumflow.verify.settings import Settings

verdicts = st.lists(st.sampled_from(Verdict))


@given(verdicts, verdicts)
def test_joining_verdicts_is_order_free_and_a_refutation_wins(a, b):
    assert Verdict.of(a + b) is Verdict.of(b + a)
    if Verdict.REFUTED in a:
        assert Verdict.of(a + b) is Verdict.REFUTED
    if a and b:
        assert Verdict.of([Verdict.of(a), Verdict.of(b)]) is Verdict.of(a + b)


def test_no_evidence_is_no_verdict():
    assert Verdict.of([]) is Verdict.UNDECIDED
    assert Evidence(()).verdict is Verdict.UNDECIDED


def test_a_sound_claim_is_supported_and_its_control_rejected(sound, subject):
    result = judge(sound, subject, Settings(seeds=4))
    assert result.verdict is Verdict.SUPPORTED
    assert [c.rejected for c in result.controls] == [True]


def test_wrong_code_is_refuted(sound, subject):
    result = judge(sound, sound.controls[0].plant(subject), Settings(seeds=4))
    assert result.verdict is Verdict.REFUTED
    assert "misses <= 1e-12" in result.explanation


def test_a_check_that_accepts_its_control_counts_as_failed(toothless, subject):
    result = judge(toothless, subject, Settings(seeds=4))
    assert result.evidence.verdict is Verdict.SUPPORTED
    assert result.verdict is Verdict.REFUTED
    assert "negative control 'nothing' was accepted" in result.explanation


def test_an_unconverged_run_is_no_verdict(open_claim, subject):
    result = judge(open_claim, subject, Settings(seeds=2))
    assert result.verdict is Verdict.UNDECIDED
    assert "residual 1e-3 after 10 steps" in result.explanation


def test_a_control_that_gives_no_verdict_is_not_rejected(sound, open_claim, subject):
    claim = replace(open_claim, controls=sound.controls)
    assert judge(claim, subject, Settings(seeds=2)).controls[0].verdict is Verdict.UNDECIDED


def test_a_check_that_stops_accepts_nothing(sound, subject):
    """Neither a control that stops nor a claim that stops is an acceptance of what is wrong."""

    def stops(always):
        def check(given, settings):
            if always or given is not subject:
                raise ZeroDivisionError
            return sound.check(given, settings)

        return check

    for always in (True, False):
        result = judge(replace(sound, check=stops(always)), subject, Settings(seeds=2))
        assert result.verdict is Verdict.UNDECIDED
        assert [c.outcome for c in result.controls] == ["no verdict"]
        assert re.search(r"ZeroDivisionError \(test_judging.py, line \d+\)", result.explanation)


def test_a_claim_without_controls_says_so(sound, subject):
    bare = judge(replace(sound, controls=()), subject, Settings(seeds=2))
    assert bare.verdict is Verdict.SUPPORTED
    assert "no negative control" in bare.caveat
    assert judge(sound, subject, Settings(seeds=2)).caveat == ""
    report = run(claims=(replace(sound, controls=()),), subject=subject, seeds=2)
    assert any("no negative control" in line for line in report.complaints())
    assert "No negative control" in report.to_html()


def test_an_error_inside_a_check_is_no_verdict_and_the_reason(sound, subject):
    def breaks(subject, settings):
        raise InputError("a stable step", "gamma = 7")

    result = judge(replace(sound, check=breaks), subject, Settings(seeds=2))
    assert result.verdict is Verdict.UNDECIDED
    assert "InputError: expected a stable step, received gamma = 7" in result.explanation
    assert "(test_judging.py, line " in result.explanation


def test_a_programming_error_is_not_swallowed(sound, subject):
    def breaks(subject, settings):
        return subject.no_such_field

    with pytest.raises(AttributeError):
        judge(replace(sound, check=breaks), subject, Settings(seeds=2))


x = sp.Symbol("x", positive=True)


@pytest.mark.parametrize(
    ("rhs", "verdict"),
    [(2 * sp.log(x), Verdict.SUPPORTED), (3 * sp.log(x), Verdict.REFUTED)],
)
def test_a_false_identity_refutes_the_claim(sound, subject, rhs, verdict):
    identity = Identity("log of a square", sp.log(x**2), rhs)
    result = judge(replace(sound, proofs=lambda: (identity,)), subject, Settings(seeds=2))
    assert result.verdict is verdict
    if verdict is Verdict.REFUTED:
        assert "false, for example at x =" in result.explanation


def test_an_unprovable_identity_leaves_the_claim_open(sound, subject, monkeypatch):
    # A true identity whose simplifiers have all been taken away.
    identity = Identity("log of a square", sp.log((x + 1) ** 2), sp.log(x**2 + 2 * x + 1))
    monkeypatch.setattr("momentumflow.symbolic.identities.SIMPLIFIERS", ())
    result = judge(replace(sound, proofs=lambda: (identity,)), subject, Settings(seeds=2))
    assert result.verdict is Verdict.UNDECIDED
    assert "not proved" in result.explanation


def test_the_same_settings_give_the_same_numbers(sound, subject):
    first, second, other = (
        judge(sound, subject, Settings(seeds=3, base_seed=s)).evidence.series["error"].tobytes()
        + Settings(base_seed=s).rng("a").bytes(8)
        for s in (1, 1, 2)
    )
    assert first == second != other


def test_selection_by_name_and_theme_keeps_order(sound, open_claim):
    available = (sound, open_claim)
    assert select(["open", "square"], available) == available
    assert select(["Arithmetic"], available) == available
    assert select(None, available) == available


def test_an_unknown_claim_is_named_with_a_guess(sound, open_claim):
    with pytest.raises(InputError) as caught:
        select(["squar"], (sound, open_claim))
    assert str(caught.value) == (
        "expected a claim among square, open, received 'squar'; did you mean 'square'."
    )


def test_progress_counts_every_claim(sound, open_claim, subject):
    seen = []
    run(claims=(sound, open_claim), subject=subject, seeds=2, progress=lambda *a: seen.append(a))
    assert seen == [(0, 2, sound.title), (1, 2, open_claim.title), (2, 2, "done")]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"seeds": 1}, "expected seeds >= 2, received seeds = 1."),
        ({"seeds": 2.5}, "expected seeds as a whole number >= 2, received 2.5."),
        (
            {"tolerance_scale": 0},
            "expected tolerance_scale > 0, received tolerance_scale = 0.",
        ),
        ({"base_seed": -1}, "expected base_seed >= 0, received base_seed = -1."),
    ],
)
def test_bad_settings_end_in_one_sentence(arguments, sentence):
    with pytest.raises(InputError) as caught:
        Settings(**arguments)
    assert str(caught.value) == sentence
