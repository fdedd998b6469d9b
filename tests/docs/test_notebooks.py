"""The committed notebooks run from top to bottom and give the outputs they were saved with."""

from __future__ import annotations

import subprocess
import sys

import nbformat
import pytest

from .conftest import ROOT, first_difference

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def text_outputs(cell) -> list[str]:
    """Return what a cell printed and the text form of what it displayed.

    A kernel sends what is printed in as many messages as its timer makes of it, so
    consecutive messages of one stream are one output.
    """
    found: list[str] = []
    stream = None
    for output in cell.get("outputs", []):
        if output["output_type"] == "stream":
            if output["name"] == stream:
                found[-1] += output["text"]
            else:
                found.append(output["text"])
            stream = output["name"]
        else:
            data = output["data"]
            found.append(data.get("text/latex") or data["text/plain"])
            stream = None
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


def test_how_a_stream_is_cut_into_messages_does_not_count():
    def said(text, name="stdout"):
        return {"output_type": "stream", "name": name, "text": text}

    shown = {"output_type": "display_data", "data": {"text/plain": "figure"}}
    cut = {"outputs": [said("a"), said("b\n"), shown, said("c"), said("d", "stderr")]}
    whole = {"outputs": [said("ab\n"), shown, said("c"), said("d", "stderr")]}
    assert text_outputs(cut) == text_outputs(whole) == ["ab\n", "figure", "c", "d"]
    moved = {"outputs": [shown, said("ab\n"), said("c"), said("d", "stderr")]}
    assert text_outputs(moved) != text_outputs(whole)


def test_there_is_a_notebook():
    assert "from_equation_to_verdict" in {p.stem for p in NOTEBOOKS}
