"""Importing costs little and does nothing: measured in interpreters of their own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from .conftest import ROOT

HEAVY = ("sympy", "cvxpy", "numba", "scipy", "pandas", "sklearn", "matplotlib", "typer", "rich")


def loaded_after(code: str, *options: str) -> tuple[set[str], str]:
    """Return the top-level modules loaded by `code`, and what it printed."""
    listing = "print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    script = f"{code}\nimport json, sys\n{listing}"
    done = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    *printed, modules = done.stdout.splitlines()
    return set(json.loads(modules)), "\n".join(printed)


@pytest.mark.parametrize("room", ["", ".symbolic", ".numeric", ".verify", ".cli"])
def test_importing_a_room_loads_none_of_the_heavy_libraries(room):
    loaded, printed = loaded_after(f"import momentumflow{room}")
    assert loaded & set(HEAVY) == set()
    assert "numpy" not in loaded
    assert printed == ""


# What only some uses need: no file of ours imports it at its top, even if it is installed.
DEFERRED = ("jax", "torch", "tensorflow", "pandas", "xarray", "matplotlib", "sklearn", "rich")


def modules() -> list[str]:
    """Return every module of the package that is not generated for such a library."""
    found = []
    for room in ("symbolic", "numeric", "verify", "momentumflow"):
        for path in sorted((ROOT / room).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found.append(name if room == "momentumflow" else f"momentumflow.{name}")
    # marimo's cells, and `python -m momentumflow`, run when they are imported
    return [n for n in found if not n.endswith(("_jax", "_torch", "explore.notebook", "__main__"))]


def loaded_by_all(folder, *extra: str) -> set[str]:
    """Import every module where each of DEFERRED can be imported and says that it was."""
    for name in DEFERRED:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("", encoding="utf-8")
    lines = [f"import sys; sys.path.insert(0, {str(folder)!r})"]
    lines += [f"import {name}" for name in (*modules(), *extra)]
    return loaded_after("\n".join(lines))[0] & set(DEFERRED)


def test_no_module_loads_a_library_that_only_some_uses_need(tmp_path):
    assert loaded_by_all(tmp_path) == set()


def test_a_library_that_is_loaded_is_seen(tmp_path):
    """Negative control: SymPy's own printer imports PyTorch wherever it is installed."""
    assert "torch" in loaded_by_all(tmp_path, "sympy.printing.pytorch")


def test_a_public_name_loads_what_it_needs():
    """Negative control of the test above: the modules are seen once they are used."""
    loaded, _ = loaded_after("import momentumflow.symbolic as s; s.HeavyBall()")
    assert "sympy" in loaded


def test_a_run_needs_neither_sympy_nor_cvxpy():
    loaded, _ = loaded_after(
        "import momentumflow.numeric as n\n"
        "problem = n.sparse_regression(6, 9, 2, seed=0)\n"
        "run = n.momentum_descent(problem, 0.05, 0.9, 0.3)\n"
        "flow = n.momentum_flow(problem, 0.5, 0.3)\n"
        "assert run.converged and flow.converged\n"
        "assert run.predicted_limit().certified\n"
    )
    assert {"numpy", "numba"} <= loaded
    assert loaded & {"sympy", "cvxpy", "matplotlib", "pandas", "sklearn"} == set()


def test_importing_changes_no_global_state():
    """Not NumPy's generator or error handling, logging, warnings, signals, threads or files."""
    loaded_after(
        "import decimal, locale, logging, os, random, signal, threading, warnings\n"
        # These set warning filters of their own.
        "import numpy as np, sympy, scipy.sparse, scipy.special\n"
        "def state():\n"
        "    return (random.getstate(), np.random.get_state()[1].tolist(), np.geterr(),\n"
        "            np.get_printoptions(), logging.root.handlers[:], logging.root.level,\n"
        "            warnings.filters[:], signal.getsignal(signal.SIGINT), dict(os.environ),\n"
        "            threading.active_count(), locale.setlocale(locale.LC_ALL), os.getcwd(),\n"
        "            decimal.getcontext().prec, sorted(os.listdir('.')))\n"
        "before = repr(state())\n"
        "import momentumflow, momentumflow.symbolic, momentumflow.numeric, momentumflow.verify\n"
        "import momentumflow.cli\n"
        "for room in (momentumflow.symbolic, momentumflow.numeric, momentumflow.verify):\n"
        "    for name in room.__all__:\n"
        "        getattr(room, name)\n"
        "after = repr(state())\n"
        "assert before == after, (before, after)\n"
    )


def test_every_public_name_resolves_and_is_documented():
    import momentumflow

    for room in (momentumflow.symbolic, momentumflow.numeric, momentumflow.verify):
        assert room.__all__
        for name in room.__all__:
            public = getattr(room, name)
            assert public.__doc__, f"{room.__name__}.{name} has no docstring"
            assert name in dir(room)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = momentumflow.numeric.no_such_name


def test_the_version_has_one_home():
    from importlib.metadata import version

    import momentumflow

    assert momentumflow.__version__ == version("momentumflow")
