"""Names of columns and files are shown, not obeyed: no markup, no escape sequence, no traceback."""

import json
import unicodedata

import numpy as np
import pytest

HOSTILE = [
    "[/nope]", "[red]x[/red]", "[link=http://evil.example]x[/link]", ":smile:",
    "\x1b[31mred", "\x1b]0;title\x07", "\x9b31m", "a\x08b", "\x7f", "\u202etxt.exe", "a\rb",
    "\u2066x", "\udcff",
]  # fmt: skip


def hostile(text: str) -> set[str]:
    """Return the characters of a text that a terminal may obey."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c != "\n"}


def problem(path, names):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((3, len(names))), rng.standard_normal(3)
    arrays = {name: X[:, j] for j, name in enumerate(names)}
    np.savez(path, **arrays, price=y)
    return path


SETTINGS = ("--target", "price", "--gamma", "0.05", "--beta", "0.8", "--alpha", "0.3")


@pytest.mark.parametrize("more", [("--top", "20"), ("--json",)])
def test_names_of_columns(command, tmp_path, more):
    names = [name for name in HOSTILE if name.isascii() or name[0] < "\ud800"]
    path = problem(tmp_path / "data.npz", names)
    code, out, err = command("predict", path, *SETTINGS, *more)
    assert code in (0, 1), err
    assert hostile(out) | hostile(err) == set()
    if "--json" in more:
        assert "\x9b31m" in names
        assert "\\u009b31m" in out
        assert json.loads(out)["feature_names"] == names
    else:
        for name in ("[/nope]", "[red]x[/red]", ":smile:", "\\x1b[31mred", "a\\x08b"):
            assert name in out


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_files_and_targets(command, tmp_path, name):
    table = problem(tmp_path / "d.npz", ["a", "b", "c", "d"])
    for arguments in (
        ("predict", tmp_path / f"{name.replace('/', '')}.csv", *SETTINGS),
        ("predict", table, *SETTINGS[2:], "--target", name),
        ("sweep", "--gamma", name, "--beta", "0.5"),
        ("sweep", "--gamma", "0.1", "--beta", "0.5", "--method", name),
        ("kernels", "--method", name),
    ):
        code, out, err = command(*arguments)
        assert code == 2
        assert hostile(out) | hostile(err) == set()
        assert "Traceback" not in err


def test_the_check_sees_an_escape_sequence():
    """Negative control."""
    assert hostile("fine\n[/nope]") == set()
    assert hostile("\x1b[31m") == {"\x1b"}
    assert hostile("\u202e\x9b") == {"\u202e", "\x9b"}
