"""The progress meter: silent without a terminal, shown when asked for, and what it says."""

import time

from momentumflow.numeric import progress


def test_without_a_terminal_nothing_is_shown(capsys):
    for show in (None, False):
        with progress.meter("work", 3, show=show) as advance:
            advance(3)
    assert capsys.readouterr() == ("", "")


def test_asked_for_it_is_shown_on_stderr(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with progress.meter("training", 4, show=True) as advance:
        for _ in range(4):
            time.sleep(0.01)
            advance(1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "training" in err
    assert "4/4" in err
    assert "/s" in err
