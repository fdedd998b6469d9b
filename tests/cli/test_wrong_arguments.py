"""The real command in a terminal of 60 and of 120 columns: wrong arguments of every kind.

Each ends with exit code 2 and one sentence on standard error that starts with the
program's name; no traceback, no markup obeyed, nothing on standard output.
"""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("terminals of a given width are made with POSIX calls", allow_module_level=True)
import fcntl
import termios

PROGRAM = Path(sys.executable).with_name("momentumflow")

PREDICT = ("predict", "houses.csv", "--gamma", "auto", "--beta", "0.9", "--alpha", "0.3")

WRONG = {
    "an unknown command": ("prdict",),
    "an unknown command of a group": ("derive", "weather"),
    "an unknown option": ("cite", "--everthing"),
    "an option without its value": ("derive", "equation", "--order"),
    "a value of another type": ("derive", "equation", "--order", "two"),
    "a value out of range": ("derive", "map", "--order", "0"),
    "a word that is no choice": ("derive", "equation", "--regime", "fast"),
    "an argument too many": ("derive", "mirror", "u*v", "u**2"),
    "everything missing": ("predict",),
    "one option missing": PREDICT,
    "an option in front of its command": ("derive", "--order", "1", "equation"),
    "an option of the group in front": ("verify", "--quick", "repeat", "3"),
    "two options that exclude each other": ("derive", "equation", "--tree", "[]", "--loss", "x"),
    "an option without effect": (*PREDICT, "--target", "price", "--seed", "3"),
    "an alpha of zero": (*PREDICT[:-1], "0", "--target", "price"),
    "a step that is none": (*PREDICT[:3], "fast", "--target", "price"),
    "a range of too many values": ("sweep", "--gamma", "1:2:99999999999", "--beta", "0"),
    "a setting that is none": ("derive", "equation", "--set", "nu"),
    "a formula that is none": ("derive", "equation", "--loss", "import os"),
    "a file that is not there": (*PREDICT, "--target", "price"),
    "a file name with brackets": ("predict", "[/nope].csv", *PREDICT[2:], "--target", "y"),
    "a file name that paints": ("predict", "\x1b[31m.csv", *PREDICT[2:], "--target", "y"),
    "a file name of two lines": ("predict", "a\nb.csv", *PREDICT[2:], "--target", "y"),
    "a file name that is no text": ("predict", b"\xff.csv", *PREDICT[2:], "--target", "y"),
    "a configuration that is not there": ("--config", "nowhere.toml", "cite"),
    "two levels of talk": ("-v", "-q", "cite"),
}


@pytest.fixture(params=[60, 120])
def terminal(request, tmp_path):
    """Return what runs the program in a terminal of that many columns, in an empty folder."""

    def run(*arguments):
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, request.param, 0, 0))
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        with subprocess.Popen(
            [PROGRAM, *arguments],
            stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, cwd=tmp_path,
            env=environment | {"TERM": "xterm-256color"},
        ) as process:  # fmt: skip
            os.close(theirs)
            shown = b""
            try:
                while part := os.read(ours, 65536):
                    shown += part
            except OSError:  # the program has closed its terminal
                pass
            os.close(ours)
            out = process.stdout.read()
        return process.returncode, out.decode(), shown.decode().replace("\r\n", "\n")

    return run


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_arguments_are_one_sentence_and_code_two(terminal, kind):
    code, out, err = terminal(*WRONG[kind])
    assert (code, out) == (2, "")
    assert err.startswith("momentumflow: ")
    assert err.count("\n") == 1
    assert err.endswith((".\n", "?\n", ")\n"))
    assert "Traceback" not in err
    assert err[:-1].isprintable()


def test_a_right_call_is_another_matter(terminal):
    """Negative control: what is asked of the wrong calls, a right one does not give."""
    code, out, err = terminal("config")
    assert (code, err) == (0, "")
    assert out.startswith("configuration file: none")
