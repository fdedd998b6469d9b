"""The README does what it says: its code runs and prints what is printed there."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import subprocess
import sys

import pytest

from .conftest import ROOT, first_difference

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def test_the_notebook_session_prints_what_is_printed():
    (session,) = blocks("pycon")
    examples = doctest.DocTestParser().get_examples(session)
    assert len(examples) >= 8
    namespace: dict = {}
    for example in examples:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(example.source, "README.md", "single"), namespace)
        assert first_difference(example.want, out.getvalue()) is None


def test_the_script_is_the_example_and_prints_what_is_printed():
    (script,), (printed,) = blocks("python"), blocks("text")
    name = re.search(r"<!-- (examples/\S+\.py) -->", TEXT)
    assert name is not None
    path = ROOT / name[1]
    assert script == path.read_text(encoding="utf-8")
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert first_difference(printed, done.stdout) is None


@pytest.mark.parametrize(
    ("expected", "received"),
    [
        ("distance 5.5e-13", "distance 5.5e-3"),
        ("lambda = 0.500", "lambda = 0.450"),
        ("CERTIFIED, 1.7e-01", "RAISE_MAX_ITERATIONS, 1.7e-01"),
        ("w' = v", "w' = -v"),
    ],
)
def test_a_different_output_is_noticed(expected, received):
    """Negative control of the comparison."""
    assert first_difference(expected, received) is not None
    assert first_difference(expected, expected) is None
    assert first_difference("5.5e-13 away", "2.1e-14 away") is None


def test_the_verify_table_lists_every_claim_as_it_is_stated():
    from momentumflow.verify import claims

    rows = dict(re.findall(r"^\| `([\w-]+)` \| ([^|]+?) \|", TEXT, re.MULTILINE))
    stated = {claim.name: claim.title for claim in claims()}
    assert rows == stated, "make verify; python tools/readme_table.py report/report.json"
    assert "refuted" not in TEXT


def test_every_file_that_the_readme_names_exists():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if "://" not in link]
    assert len(links) >= 6
    for link in links:
        assert (ROOT / link).is_file(), link


def test_every_command_that_the_readme_names_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"make (\w+)", TEXT))
    assert targets >= {"verify", "test", "docs"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    from typer.main import get_command

    from momentumflow.cli.app import app

    commands = set(getattr(get_command(app), "commands"))  # noqa: B009
    named = set(re.findall(r"`?momentumflow ([a-z]+)\b", TEXT)) & {
        "cite", "derive", "doctor", "explore", "kernels", "predict", "sweep", "verify"
    }  # fmt: skip
    assert {"predict", "derive", "kernels", "cite"} <= named
    assert named <= commands
