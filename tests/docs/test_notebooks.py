"""The committed notebooks run from top to bottom and give the outputs they were saved with."""

from __future__ import annotations

import subprocess
import sys

import nbformat
import pytest

from .conftest import ROOT, first_difference

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def text_outputs(cell) -> list[str]:
    """Return what a cell printed and the text form of what it displayed."""
    found = []
    for output in cell.get("outputs", []):
        if output["output_type"] == "stream":
            found.append(output["text"])
        else:
            data = output["data"]
            found.append(data.get("text/latex") or data["text/plain"])
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_gives_the_outputs_it_was_saved_with(path, tmp_path):
    executed = tmp_path / path.name
    # In a process of its own: the client's event loop and sockets stay out of ours.
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, nbformat; from nbclient import NotebookClient\n"
            "notebook = nbformat.read(sys.argv[1], 4)\n"
            "NotebookClient(notebook, timeout=300, kernel_name='python3').execute()\n"
            "nbformat.write(notebook, sys.argv[2])\n",
            path,
            executed,
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    saved, now = (nbformat.read(p, 4) for p in (path, executed))
    compared = 0
    for before, after in zip(saved.cells, now.cells, strict=True):
        assert before.source == after.source
        for expected, received in zip(text_outputs(before), text_outputs(after), strict=True):
            assert first_difference(expected, received) is None
            compared += 1
    assert compared >= 8
    assert not any(o.get("name") == "stderr" for c in now.cells for o in c.get("outputs", []))


def test_there_is_a_notebook():
    assert "from_equation_to_verdict" in {p.stem for p in NOTEBOOKS}
