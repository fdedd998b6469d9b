"""Repeated verification: false alarms are counted, nothing is lost or done twice."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, strategies as st
from scipy import stats

from momentumflow.base.errors import InputError
from momentumflow.verify import repetition
from momentumflow.verify.evidence import Evidence
from momentumflow.verify.measure import at_most
from momentumflow.verify.repetition import repeat, upper_limit


@given(st.integers(1, 400), st.data())
def test_the_limit_is_that_of_clopper_and_pearson(trials, data):
    alarms = data.draw(st.integers(0, trials))
    limit = upper_limit(alarms, trials)
    # SciPy's two-sided interval at 90 % has the one-sided limit at 95 % as its upper end.
    two_sided = stats.binomtest(alarms, trials).proportion_ci(0.90, method="exact")
    assert limit == pytest.approx(two_sided.high, rel=1e-9)
    if alarms < trials:  # what defines it: so few alarms at that rate are a matter of 5 %
        assert stats.binom.cdf(alarms, trials, limit) == pytest.approx(0.05, rel=1e-9)


def test_no_alarm_in_two_hundred_bounds_the_rate_by_one_and_a_half_per_cent():
    assert upper_limit(0, 200) == pytest.approx(1 - 0.05 ** (1 / 200))


@pytest.fixture
def calls():
    return []


@pytest.fixture
def flaky(sound, calls):
    """Fails under root seed 3 only, and remembers under which seeds it was asked."""

    def check(subject, settings):
        calls.append((settings.base_seed, settings.control))
        error = abs(subject.square(3.0) - 9.0) + (settings.base_seed == 3 and not settings.control)
        return Evidence((at_most("error", error, 1e-12, settings),))

    return replace(sound, name="flaky", check=check)


def test_a_check_that_fails_on_one_seed_is_one_alarm(sound, flaky, subject):
    found = repeat(5, claims=(sound, flaky), seeds=2, subject=subject)
    rows = {row["claim"]: row for row in found.rows()}
    assert [rows[n]["repetitions"] for n in ("square", "flaky")] == [5, 5]
    assert [rows[n]["false_alarms"] for n in ("square", "flaky")] == [0, 1]
    assert rows["flaky"]["rate_below"] == upper_limit(1, 5)
    assert found.whole() == (5, 1)
    assert found.exit_code == 1
    (alarm,) = found.alarms
    assert (alarm.claim, alarm.base_seed) == ("flaky", 3)
    assert alarm.decided == "error: 1 misses <= 1e-12"
    assert "1 with a false alarm" in found.summary()


def test_the_strain_is_the_worst_share_of_a_bound_that_was_used(sound):
    near = SimpleNamespace(square=lambda x: x * x + 7e-13)
    (row,) = repeat(3, claims=(sound,), seeds=2, subject=near).rows()
    assert row["false_alarms"] == 0
    assert row["strain"] == pytest.approx(0.7, rel=1e-2)
    assert row["strained"].startswith("error of the square")


def test_a_control_that_is_accepted_is_an_alarm(toothless, subject):
    found = repeat(2, claims=(toothless,), seeds=2, subject=subject)
    (row,) = found.rows()
    assert (row["false_alarms"], row["controls"], row["controls_accepted"]) == (0, 4, 2)
    assert found.exit_code == 1
    assert repeat(2, claims=(toothless,), seeds=2, subject=subject, controls=False).exit_code == 0


def test_fixed_data_is_looked_at_once(flaky, subject, calls):
    found = repeat(4, claims=(replace(flaky, random=False),), seeds=2, subject=subject)
    assert [c for c in calls if not c[1]] == [(1, False)]
    assert found.rows()[0]["rate_below"] is None


def test_what_the_state_file_holds_is_not_done_again(flaky, subject, calls, tmp_path):
    state = tmp_path / "alarms.jsonl"
    options = {"claims": (flaky,), "seeds": 2, "subject": subject, "state": state}
    repeat(3, **options)
    before = list(calls)
    # Killed in the middle of a line: that line is lost, the others are not.
    state.write_bytes(state.read_bytes()[:-20])
    resumed = repeat(4, **options)
    assert [seed for seed, control in calls[len(before) :]] == [3, 4, 4]
    assert [t.key for t in resumed.trials] == [t.key for t in repeat(4, **options).trials]
    lines = [json.loads(line) for line in state.read_text().splitlines()[1:]]
    assert (
        len({(t["claim"], t["kind"], t["name"], t["base_seed"]) for t in lines}) == len(lines) == 8
    )


def test_outcomes_of_other_settings_or_code_are_not_mixed(sound, subject, tmp_path, monkeypatch):
    state = tmp_path / "alarms.jsonl"
    options = {"claims": (sound,), "subject": subject, "state": state}
    repeat(1, seeds=2, **options)
    with pytest.raises(InputError) as caught:
        repeat(1, seeds=3, **options)
    assert str(caught.value).startswith(
        f"expected a state file with the settings of this run, received {state} with others: "
        "{'seeds': 2, 'quick': False, 'tolerance_scale': 1.0}; name another file"
    )
    monkeypatch.setattr(repetition, "code_digest", lambda: "another")
    with pytest.raises(InputError, match="a state file with the code of this run"):
        repeat(1, seeds=2, **options)


@pytest.mark.parametrize("text", ["claim,verdict\n", '["a list"]\n', "\x00\x01\n"])
def test_a_file_of_something_else_is_left_alone(sound, subject, tmp_path, text):
    taken = tmp_path / "data.csv"
    taken.write_text(text)
    with pytest.raises(InputError, match="a state file that `momentumflow verify repeat` has"):
        repeat(1, claims=(sound,), subject=subject, state=taken)
    assert taken.read_text() == text


def test_a_file_without_a_line_end_is_left_alone(sound, subject, tmp_path):
    taken = tmp_path / "notes.txt"
    taken.write_text("no line end")
    with pytest.raises(InputError, match="a state file that `momentumflow verify repeat` has"):
        repeat(1, claims=(sound,), subject=subject, state=taken)
    assert taken.read_text() == "no line end"


def test_questions_have_no_right_verdict(sound, subject):
    with pytest.raises(InputError) as caught:
        repeat(1, claims=(replace(sound, question=True),), subject=subject)
    assert str(caught.value) == "expected a claim that can be repeated, received questions only."


def test_killed_for_real_it_goes_on(tmp_path):
    state = tmp_path / "alarms.jsonl"
    command = [
        sys.executable, "-m", "momentumflow", "verify", "repeat", "40", "--quick",
        "--only", "balancedness-law", "--state", str(state),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if state.exists() and state.read_bytes().count(b"\n") > 6:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = state.read_text().splitlines()
    kept = kept if state.read_text().endswith("\n") else kept[:-1]
    assert 6 < len(kept) < 1 + 40 * 4
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["repetitions"], found["alarmed"]) == (40, 0)
    assert state.read_text().splitlines()[: len(kept)] == kept
    assert len(set(state.read_text().splitlines())) == 1 + 3 + 40 * 4  # header, proofs, trials
