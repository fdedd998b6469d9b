"""Distributions of the sources under test, and clean environments to install them in."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("symbolic", "numeric", "verify")


def run(*command: object, cwd: Path, **environment: str) -> str:
    """Run a command with nothing of the test environment's but its PATH; return its output."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command} failed\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Installation(NamedTuple):
    """An environment that holds one distribution of momentumflow and its dependencies."""

    python: Path
    command: Path
    # Where momentumflow must be imported from.
    home: Path


@pytest.fixture(scope="session")
def source_tree(tmp_path_factory):
    """What a clone would hold: every file that git does not ignore, and no build leftovers."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    tree = tmp_path_factory.mktemp("source") / "momentumflow"
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            target = tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    return tree


@pytest.fixture(scope="session")
def built(source_tree, tmp_path_factory):
    """The sdist, and the wheel built from that sdist, in a folder of their own."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, cwd=source_tree)
    return out


@pytest.fixture(scope="session")
def dependencies(tmp_path_factory):
    """A folder with everything installed here except momentumflow itself."""
    folder = tmp_path_factory.mktemp("dependencies")
    for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for item in Path(site).iterdir():
            # .pth files are not processed outside a site directory, and the
            # finder of an editable momentumflow must not be.
            if "momentumflow" not in item.name and item.suffix != ".pth":
                (folder / item.name).symlink_to(item)
    return folder


@pytest.fixture
def install(dependencies, tmp_path):
    """Install a distribution, or a source tree as editable, into a clean environment."""

    def install_into_clean_environment(what: Path, *options: str) -> Installation:
        home = tmp_path / "environment"
        venv.create(home, with_pip=False)
        python = home / "bin" / "python"
        site = run(
            python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path
        ).strip()
        (Path(site) / "dependencies.pth").write_text(f"{dependencies}\n", encoding="utf-8")
        missing = subprocess.run(
            [python, "-c", "import momentumflow"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "No module named 'momentumflow'" in missing.stderr, "the environment is not clean"
        pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
        offline = ("--no-deps", "--no-index", "--no-build-isolation", "--no-cache-dir")
        run(*pip, "install", "-q", *offline, *options, what, cwd=tmp_path)
        editable = "--editable" in options
        return Installation(
            python, home / "bin" / "momentumflow", what if editable else Path(site) / "momentumflow"
        )

    return install_into_clean_environment
