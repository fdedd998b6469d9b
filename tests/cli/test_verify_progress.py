"""The progress bar of `momentumflow verify`: in a terminal, whole at any width, and only there."""

import re

import pytest
from rich.console import Console

from momentumflow.numeric.progress import meter

QUICK = ("verify", "--quick", "--seeds", "2", "--only", "discretisation")
LONG = "The limit theorem on diabetes data: heavy ball on minibatches of half of all the rows"


@pytest.mark.parametrize("columns", [60, 120])
@pytest.mark.parametrize("title", ["A short one", LONG])
def test_the_bar_keeps_its_width_however_long_the_title(capsys, monkeypatch, columns, title):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    with meter("", 1, show=True) as bar:
        bar.at(7, 24, title)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    lines = [line for line in re.split(r"[\r\n]", shown) if "7/24" in line]
    assert lines
    for line in lines:
        assert len(line) <= columns
        assert line.count("━") + line.count("╸") + line.count("╺") >= columns // 6
        assert title[:12] in line


@pytest.fixture
def terminal(monkeypatch):
    """Make rich take stderr for a terminal."""
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
