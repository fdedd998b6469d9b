"""Shell completion, through the protocol of each shell, and in bash itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from momentumflow.cli import completion

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
        COMP_WORDS=(momentumflow derive --what qu); COMP_CWORD=3
        _momentumflow_completion {PROGRAM}
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "quadratic\n"


def test_names_are_completed_by_their_beginning():
    assert completion.choices("inertial", "slow")("in") == ["inertial"]
    assert completion.claims("limit-fl") == ["limit-flow"]
    assert completion.figures("rising") == ["rising-order"]


def test_the_names_proposed_are_the_names_taken():
    """The lists stand in the command line, so that a Tab imports nothing else."""
    from momentumflow.cli import kernels
    from momentumflow.numeric.runs.kernel_modules import METHODS
    from momentumflow.symbolic.codegen.kernel_files import BACKENDS

    assert completion.SIMULATED == METHODS
    assert tuple(BACKENDS) == kernels._BACKENDS
