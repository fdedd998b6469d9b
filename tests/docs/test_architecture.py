"""The architecture page lists every file once, and contracts hold the imports that it shows."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

LINTER = Path(sys.executable).with_name("lint-imports")


@pytest.fixture(scope="module")
def graph():
    pytest.importorskip("grimp", reason="grimp comes with import-linter, of the test extra")
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        yield importlib.import_module("import_graph")
    finally:
        sys.path.remove(str(ROOT / "docs"))


def test_every_file_is_listed_once_and_every_listed_file_exists(graph):
    listed = graph.parts()
    for path in graph.sources().values():
        owners = [part.title for part in listed if part.owns(path)]
        # An __init__ only hands on what the others define.
        least = 0 if path.name == "__init__.py" else 1
        assert least <= len(owners) <= 1, f"docs/architecture.md lists {path} {len(owners)} times"
    for part in listed:
        for file in part.files:
            assert (ROOT / part.room / file).exists(), (
                f"{part.room}/{file} is listed but is not there"
            )


def test_what_is_shown_is_what_is_imported(graph):
    """Each box once, on a level above what it uses, and under it the parts that it imports."""
    used = graph.uses(graph.parts())
    assert sum(map(len, used.values())) > 40
    boxes = re.findall(
        r"<div><strong>(<a .*?</a>)</strong>(?:<p>(.*?)</p>)?</div>", graph.Drawing()._repr_html_()
    )
    assert len(boxes) == len(used)
    by_link = {graph.link(part): part for part in used}
    for title, names in boxes:
        shown = {by_link[name] for name in re.findall("<a .*?</a>", names)}
        assert shown == {part for part in used[by_link[title]] if not part.ground}
    for room in graph.ROOMS:
        height = {p: k for k, level in enumerate(graph.levels(room, used)) for p in level}
        for part, level in height.items():
            assert all(height[b] > level for b in used[part] if b.room == room)


def test_a_room_does_not_import_its_own_front(graph):
    """Public names of a room load its files lazily: from inside, that would hide a circle."""
    fronts = {"momentumflow.symbolic", "momentumflow.numeric", "momentumflow.verify"}
    inside = {(a, b) for a, b in graph.imports() if b in fronts and a.startswith(f"{b}.")}
    assert not inside


def contracts(tree: Path) -> subprocess.CompletedProcess[str]:
    """Hold the contracts of pyproject.toml against a tree."""
    return subprocess.run(
        [LINTER, "--no-logo", "--no-cache", ROOT / "pyproject.toml"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("file", "wrong"),
    [
        # from a lower room to a higher one, inside a function
        ("symbolic/symbols.py", "def f():\n    from momentumflow.numeric import data\n"),
        # a circle of two files, for type checkers alone
        (
            "verify/evidence.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
            "    from momentumflow.verify import results\n",
        ),
    ],
)
def test_a_wrong_import_breaks_a_contract(tmp_path, file, wrong):
    """Negative control: what `make lint` accepts today it would not accept with this line."""
    tree = tmp_path / "momentumflow"
    shutil.copytree(ROOT / ".layout" / "momentumflow", tree)
    sound = contracts(tmp_path)
    assert sound.returncode == 0, sound.stdout
    with (tree / file).open("a", encoding="utf-8") as stream:
        stream.write(wrong)
    broken = contracts(tmp_path)
    assert broken.returncode == 1
    assert "BROKEN" in broken.stdout
