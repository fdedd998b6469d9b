"""`momentumflow doctor`: a sound installation passes, and each way to break one is seen."""

from __future__ import annotations

import json
import re
from importlib import metadata

import pytest

import momentumflow as mf
from momentumflow import diagnosis
from momentumflow.cli import main


@pytest.fixture(scope="module")
def healthy():
    return mf.diagnose()


def named(found, name):
    (check,) = [c for c in found.checks if c.name == name]
    return check


def test_this_installation_is_sound(healthy):
    assert healthy.sound, str(healthy)
    names = [check.name for check in healthy.checks]
    assert len(names) == len(set(names))
    assert {"Python", "sympy", "numpy", "data files", "simulation", "convex solvers"} <= set(names)
    assert "BROKEN" not in str(healthy)
    assert all(check.remedy == "" for check in healthy.checks)


def only(*parts):
    """Return a diagnosis of these parts alone, which saves the runs."""
    return diagnosis.Diagnosis(tuple(check for part in parts for check in part()))


def test_a_missing_dependency_is_seen(monkeypatch):
    real = metadata.version

    def version(name):
        if name == "clarabel":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    found = only(diagnosis._dependencies)
    assert not found.sound
    check = named(found, "clarabel")
    assert (check.sound, check.found) == (False, "not installed")
    assert re.fullmatch(r"pip install 'clarabel[<>=.,\d]+'", check.remedy)
    assert named(found, "numpy").sound


def test_a_dependency_out_of_bounds_is_seen(monkeypatch):
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda n: "1.26.4" if n == "numpy" else real(n))
    check = named(only(diagnosis._dependencies), "numpy")
    assert not check.sound
    assert re.fullmatch(r"1\.26\.4, outside <3,>=2\.\d", check.found)
    assert check.remedy.startswith("pip install 'numpy")


def test_a_dependency_that_does_not_import_is_seen(monkeypatch):
    """Its metadata are whole, so that its version is found, but a library of it is not."""
    real = diagnosis.importlib.import_module

    def broken(name):
        if name == "flint":
            raise ImportError("libflint.so: cannot open shared object file\nmore")
        return real(name)

    monkeypatch.setattr(diagnosis.importlib, "import_module", broken)
    found = only(diagnosis._dependencies)
    check = named(found, "python-flint")
    assert not check.sound
    assert "whose import fails: ImportError: libflint.so: cannot open shared object" in check.found
    assert "more" not in check.found
    assert check.remedy.startswith("pip install --force-reinstall 'python-flint")
    assert [c.name for c in found.checks if not c.sound] == ["python-flint"]


def test_the_package_without_metadata_is_seen(monkeypatch):
    def requires(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    check = named(only(diagnosis._dependencies), "distribution")
    assert (check.sound, check.found) == (False, "no metadata")


def test_a_missing_template_is_seen(monkeypatch):
    gone = "symbolic/codegen/templates/gone.j2"
    monkeypatch.setattr(diagnosis, "_DATA", (*diagnosis._DATA, gone))
    check = named(only(diagnosis._files), "data files")
    assert (check.sound, check.found) == (False, f"{gone} missing")
    assert "install momentumflow again" in check.remedy


def test_an_old_installation_under_new_sources_is_seen(monkeypatch):
    monkeypatch.setattr(diagnosis, "__version__", "99.0.0")
    assert not named(only(diagnosis._dependencies), "distribution").sound


def test_a_layer_that_raises_is_a_broken_check_and_no_traceback():
    def fails():
        raise ImportError("libllvm is missing\nsecond line")

    check = diagnosis._attempt("simulation", fails)
    assert (check.sound, check.found) == (False, "ImportError: libllvm is missing")
    assert check.remedy


def test_a_wrong_answer_is_a_broken_check():
    assert not diagnosis._attempt("derivation", lambda: (False, "lambda_hat = 0")).sound


def test_the_command_ends_by_the_finding(monkeypatch, capsys, healthy):
    monkeypatch.setattr(mf, "diagnose", lambda: healthy)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == f"{healthy}\n"
    broken = diagnosis.Diagnosis((diagnosis.Check("numpy", False, "1.0", "pip install numpy"),))
    monkeypatch.setattr(mf, "diagnose", lambda: broken)
    assert main(["doctor", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown == {
        "sound": False,
        "checks": [
            {"name": "numpy", "sound": False, "found": "1.0", "remedy": "pip install numpy"}
        ],
    }
    assert main(["doctor"]) == 1
    assert "BROKEN  numpy  1.0" in capsys.readouterr().out
