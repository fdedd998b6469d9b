"""Wheel, sdist and editable install: each holds the whole package, and each works.

What a distribution must hold is not listed here: it is every file that stands
in the package folders of the source tree, so that a template, a stub or a
style sheet that is added later cannot be left out.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from .conftest import ROOMS, run

pytestmark = pytest.mark.packaging

PROBE = """
import importlib, importlib.metadata, json, sys
found = {}
for room in ("", ".symbolic", ".numeric", ".verify"):
    module = importlib.import_module("momentumflow" + room)
    found[room.lstrip(".") or "momentumflow"] = module.__file__
import momentumflow
from momentumflow.symbolic.codegen.kernel_files import kernel_source
from momentumflow.symbolic import DiagonalNetwork, HeavyBall, kernel
from momentumflow.symbolic.symbols import theta, Delta
import numpy as np
from momentumflow.numeric import momentum_descent, sparse_regression
from momentumflow.base.figures import style
with style():
    pass
problem = sparse_regression(6, 9, 2, seed=0)
run = momentum_descent(problem, 0.05, 0.9, 0.3)
potential = kernel(DiagonalNetwork().entropy, [theta, Delta])
json.dump({
    "files": found,
    "version": importlib.metadata.version("momentumflow"),
    "attribute": momentumflow.__version__,
    "kernel_lines": kernel_source(HeavyBall(), DiagonalNetwork().balanced).count(chr(10)),
    "converged": bool(run.converged),
    "residual": float(np.linalg.norm(problem.X @ run.theta - problem.y)),
    "potential": float(potential(0.5, 1.0)),
    "foreign": sorted(m for m in sys.modules if m in ("symbolic", "numeric", "verify")),
}, sys.stdout)
"""


def package_files(tree: Path) -> set[str]:
    """Return every file of the package as it should be installed, from the source tree."""
    found = set()
    for top, prefix in (("momentumflow", ""), *((room, "momentumflow/") for room in ROOMS)):
        for path in (tree / top).rglob("*"):
            if path.is_file() and path.suffix not in (".pyc", ".nbi", ".nbc"):
                found.add(prefix + path.relative_to(tree).as_posix())
    return found


def wheel_files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="session")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def sdist(built):
    (path,) = built.glob("*.tar.gz")
    return path


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(source_tree, wheel):
    expected = package_files(source_tree)
    assert {Path(name).suffix for name in expected} >= {".py", ".pyi", ".typed", ".j2"}
    assert wheel_files(wheel) == expected


def test_the_sdist_holds_what_builds_tests_and_documents_it(source_tree, sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {p.relative_to(source_tree).as_posix() for p in source_tree.rglob("*") if p.is_file()}
    generated = (".egg-info", "build/", "__pycache__")
    tracked = {n for n in tracked if not any(part in n for part in generated)}
    unneeded = {".gitignore", ".pre-commit-config.yaml"}
    assert tracked - names - unneeded == set()


def test_a_wheel_without_its_data_files_is_noticed(source_tree, tmp_path):
    """Negative control: the comparison above must see a forgotten template."""
    tree = tmp_path / "tree"
    shutil.copytree(source_tree, tree, ignore=shutil.ignore_patterns("*.egg-info", "build"))
    settings = (tree / "pyproject.toml").read_text(encoding="utf-8")
    broken = settings.replace('"*.j2", ', "")
    assert broken != settings
    (tree / "pyproject.toml").write_text(broken, encoding="utf-8")
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", cwd=tree)
    (wheel,) = (tree / "dist").glob("*.whl")
    missing = package_files(source_tree) - wheel_files(wheel)
    assert "momentumflow/symbolic/codegen/templates/numba_descent.py.j2" in missing


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_an_installation_derives_runs_and_predicts(kind, request, install, tmp_path):
    if kind == "editable":
        tree = tmp_path / "clone"
        source = request.getfixturevalue("source_tree")
        shutil.copytree(source, tree, ignore=shutil.ignore_patterns("*.egg-info", "build"))
        installed = install(tree, "--editable")
        homes = {"momentumflow": tree / "momentumflow"} | {room: tree / room for room in ROOMS}
    else:
        installed = install(request.getfixturevalue(kind))
        homes = {"momentumflow": installed.home}
        homes |= {room: installed.home / room for room in ROOMS}

    found = json.loads(run(installed.python, "-I", "-c", PROBE, cwd=tmp_path))
    assert found["files"] == {name: str(home / "__init__.py") for name, home in homes.items()}
    assert found["version"] == found["attribute"]
    assert found["kernel_lines"] > 50
    assert found["converged"]
    assert found["residual"] < 1e-10
    assert found["potential"] == pytest.approx((math.asinh(1) - math.sqrt(2) + 1) / 4, rel=1e-14)
    assert found["foreign"] == []

    table = tmp_path / "table.csv"
    table.write_text("a,b,c,y\n1,2,0.5,1\n-1,0.5,2,3\n", encoding="utf-8")
    help_text = run(installed.command, "--help", cwd=tmp_path)
    assert {"predict", "verify", "kernels"} <= set(help_text.split())
    options = ("--target", "y", "--gamma", "0.01", "--beta", "0.9", "--alpha", "0.3", "--json")
    prediction = json.loads(run(installed.command, "predict", table, *options, cwd=tmp_path))
    assert prediction["verdict"] == "supported"
    assert prediction["distance"] < 1e-9
