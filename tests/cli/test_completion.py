"""Shell completion, through the protocol of each shell, and in bash itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

PROGRAM = Path(sys.executable).with_name("momentumflow")


def proposed(shell, line):
    """Ask the program as the shell's own script does."""
    words = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    done = subprocess.run(
        [PROGRAM],
        env=os.environ | words | {"_MOMENTUMFLOW_COMPLETE": f"complete_{shell}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_commands(shell):
    found = proposed(shell, "momentumflow pre")
    assert "predict" in found
    assert "sweep" not in found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell):
    done = subprocess.run(
        [PROGRAM],
        env=os.environ | {"_MOMENTUMFLOW_COMPLETE": f"source_{shell}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"complete_{shell}" in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_by_its_script():
    script = f"""
        eval "$(_MOMENTUMFLOW_COMPLETE=source_bash {PROGRAM})"
        COMP_WORDS=(momentumflow derive qu); COMP_CWORD=2
        _momentumflow_completion {PROGRAM}
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "quadratic\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("momentumflow derive equation nes", {"nesterov"}),
        ("momentumflow derive equation --regime in", {"inertial"}),
        ("momentumflow derive loss --of m", {"map"}),
        ("momentumflow kernels --backend num", {"numba", "numpy"}),
        ("momentumflow verify --only limit-fl", {"limit-flow"}),
        ("momentumflow verify re", {"repeat"}),
        ("momentumflow figures --only rising", {"rising-order"}),
        ("momentumflow explore --method nes", {"nesterov"}),
        ("momentumflow config ver", {"verify"}),
        ("momentumflow config verify dat", {"data"}),
    ],
)
def test_values_are_completed_by_their_beginning(line, expected):
    assert set(proposed("bash", line).split()) == expected


def test_the_words_of_a_type_are_those_that_are_taken():
    """They stand below the rooms, so that a Tab imports none; the rooms take the same words."""
    from momentumflow.base import choices
    from momentumflow.explore.formulas import METHODS
    from momentumflow.symbolic import known_method
    from momentumflow.symbolic.codegen.kernel_files import BACKENDS

    assert get_args(choices.Backend) == tuple(BACKENDS)
    assert get_args(choices.ExploredMethod) == tuple(METHODS)
    for name in get_args(choices.NamedMethod):
        assert known_method(name).recurrence
