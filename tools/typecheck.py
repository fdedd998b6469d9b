"""Run mypy --strict over the package as it is installed.

The rooms `symbolic`, `numeric` and `verify` stand at the top of the repository
but are installed under `momentumflow`; mypy has no such mapping, so this lays
the tree out with symbolic links in `.typecheck/` and checks it there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FARM = ROOT / ".typecheck"
ROOMS = ("symbolic", "numeric", "verify")


def lay_out() -> Path:
    """Build `.typecheck/momentumflow` and return its parent."""
    package = FARM / "momentumflow"
    shutil.rmtree(FARM, ignore_errors=True)
    package.mkdir(parents=True)
    for item in (ROOT / "momentumflow").iterdir():
        if item.name != "__pycache__":
            (package / item.name).symlink_to(item)
    for room in ROOMS:
        (package / room).symlink_to(ROOT / room, target_is_directory=True)
    return FARM


if __name__ == "__main__":
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    sys.exit(subprocess.call([*command, *sys.argv[1:], "-p", "momentumflow"], cwd=lay_out()))
