"""The cache of generated kernels: kept for the next session, run only as generated, private."""

import importlib.util
import os
import py_compile
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sympy as sp

from momentumflow.numeric.runs import kernel_modules
from momentumflow.symbolic import QuasiHyperbolic

QHM = QuasiHyperbolic(nu=sp.Rational(7, 10))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Return the folder of the user's caches; the modules in memory are forgotten."""
    monkeypatch.setattr(kernel_modules.platformdirs, "user_cache_dir", lambda _: tmp_path / "mf")
    monkeypatch.setattr(kernel_modules.tempfile, "tempdir", str(tmp_path))
    kernel_modules.kernels_for.cache_clear()
    kernel_modules._temporary_folder.cache_clear()
    yield tmp_path / "mf"
    kernel_modules.kernels_for.cache_clear()
    kernel_modules._temporary_folder.cache_clear()


def module_file() -> Path:
    kernel_modules.kernels_for.cache_clear()
    return Path(str(kernel_modules.kernels_for(QHM, "numpy").__file__))


def test_modules_are_kept_where_only_the_user_writes(cache):
    file = module_file()
    assert file.parent == cache / "kernels"
    for folder in (cache, cache / "kernels", cache / "kernels" / "__pycache__"):
        assert folder.stat().st_mode & 0o777 == 0o700
    written = file.stat().st_mtime_ns
    assert module_file() == file
    assert file.stat().st_mtime_ns == written


def test_poisoned_bytecode_does_not_run(cache):
    """Bytecode of another source that bears the time and the size of the true one."""
    file = module_file()
    poison = cache / "poison.py"
    poison.write_text("raise SystemExit('poisoned')\n")
    bytecode = Path(importlib.util.cache_from_source(str(file)))
    py_compile.compile(str(poison), cfile=str(bytecode), dfile=str(file))
    head = bytearray(bytecode.read_bytes())
    head[8:12] = int(file.stat().st_mtime).to_bytes(4, "little")
    head[12:16] = file.stat().st_size.to_bytes(4, "little")
    bytecode.write_bytes(head)
    # negative control: an import would run it
    imported = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(file.parent)!r}); "
         f"import {file.stem}"], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert imported.stderr == "poisoned\n"
    assert module_file() == file


def test_an_altered_module_is_written_again(cache):
    file = module_file()
    source = file.read_text()
    file.write_text("raise SystemExit('poisoned')\n")
    assert module_file() == file
    assert file.read_text() == source


def to_all(folder: Path) -> None:
    folder.chmod(0o777)


def to_the_group(folder: Path) -> None:
    folder.chmod(0o770)


def by_link(folder: Path) -> None:
    shutil.move(folder, folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


def by_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


@pytest.mark.parametrize("opened", [to_all, to_the_group, by_link, by_file])
@pytest.mark.parametrize("place", [".", "kernels", "kernels/__pycache__"])
def test_a_folder_that_others_may_write_to_is_not_used(cache, caplog, opened, place):
    module_file()
    opened(cache / place)
    file = module_file()
    assert file.parent.name.startswith("momentumflow-kernels-")
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert "no cache directory for kernels" in caplog.text


def test_the_folder_of_another_user_is_not_used(cache, monkeypatch):
    module_file()
    monkeypatch.setattr(kernel_modules.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(PermissionError, match="the folder of another user"):
        kernel_modules._cache_folder()


PROGRAM = """
import os, sys, time
from momentumflow.numeric.runs import kernel_modules
from momentumflow.symbolic import QuasiHyperbolic
import sympy as sp
print(kernel_modules.kernels_for(QuasiHyperbolic(nu=sp.Rational(7, 10)), "numpy").__file__)
sys.stdout.flush()
if len(sys.argv) > 1:
    os.kill(os.getpid(), 9)
"""


def test_temporary_folders_are_removed(tmp_path):
    """At the end of their process, or, if it was killed, by a later one."""
    (tmp_path / "file").write_text("")
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "file"), "TMPDIR": str(tmp_path)}

    def run(*arguments: str) -> Path:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments], env=environment, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        return Path(done.stdout.strip()).parent

    killed = run("killed")
    assert killed.name.startswith("momentumflow-kernels-")
    assert killed.is_dir()
    ended = run()
    assert not ended.exists()
    assert killed.is_dir()  # fresh: its process may not yet have locked it
    long_ago = time.time() - 7200
    os.utime(killed, (long_ago, long_ago))
    in_use = tmp_path / "momentumflow-kernels-held"
    in_use.mkdir(mode=0o700)
    with kernel_modules.hold(in_use / "in-use"):
        os.utime(in_use, (long_ago, long_ago))
        run()
        assert in_use.is_dir()
    assert not killed.exists()


HITS = """
from momentumflow.numeric import Regression, momentum_descent
from momentumflow.numeric.runs.kernel_modules import kernels_for
momentum_descent(Regression([[1.0, 2.0]], [2.5]), 0.1, 0.5, 0.5)
stats = kernels_for("heavy_ball", "numba").converge.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def test_a_second_process_finds_the_compiled_loops():
    """The named tuples that the loops take are found again as keys of numba's cache."""

    def hits_and_misses() -> str:
        done = subprocess.run(
            [sys.executable, "-c", HITS], capture_output=True, text=True, check=True
        )
        return done.stdout

    hits_and_misses()  # compiles, where nobody has
    assert hits_and_misses() == "1 0\n"
