"""The progress bar of `momentumflow verify`: in a terminal, and only there."""

import pytest

QUICK = ("verify", "--quick", "--seeds", "2", "--only", "discretisation")


@pytest.fixture
def terminal(monkeypatch):
    """Make rich take stderr for a terminal."""
    from rich.console import Console

    monkeypatch.setattr(Console, "is_terminal", property(lambda console: console.stderr))


def test_a_terminal_sees_the_bar(command, terminal):
    done = command(*QUICK)
    assert done.code == 0
    assert "done" in done.err
    assert "1/1" in done.err
    assert "1/1" not in done.out.splitlines()[0]


@pytest.mark.parametrize("before", [(), ("--quiet",)])
def test_json_and_quiet_see_none(command, terminal, before):
    done = command(*before, *QUICK, *(() if before else ("--json",)))
    assert (done.code, done.err) == (0, "")
