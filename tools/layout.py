"""Lay the package out as it is installed: `.layout/momentumflow`, made of symbolic links.

The rooms `symbolic`, `numeric` and `verify` stand at the top of the repository but are
installed under `momentumflow`; type checkers, language servers and import analysers know
no such mapping, so the set-up makes this tree and `pyproject.toml` points them at it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYOUT = ROOT / ".layout"
ROOMS = ("symbolic", "numeric", "verify")


def lay_out() -> Path:
    """Build `.layout/momentumflow` and return its parent."""
    package = LAYOUT / "momentumflow"
    shutil.rmtree(LAYOUT, ignore_errors=True)
    package.mkdir(parents=True)
    for item in (ROOT / "momentumflow").iterdir():
        if item.name != "__pycache__":
            (package / item.name).symlink_to(item)
    for room in ROOMS:
        (package / room).symlink_to(ROOT / room, target_is_directory=True)
    return LAYOUT


if __name__ == "__main__":
    lay_out()
