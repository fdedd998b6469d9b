"""Whether this installation is sound: versions, files, and a small run through every layer."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

# Each loads when its first name is asked for: what is broken shows in its check, not here.
from momentumflow import numeric, symbolic, verify
from momentumflow.base.values import html_table
from momentumflow.base.version import __version__

# Files that are read at run time; a broken build loses such files first.
_DATA = (
    "__init__.pyi",
    "symbolic/codegen/templates/numba_descent.py.j2",
    "numeric/runs/descent_loops.py",
    "numeric/runs/kernels/heavy_ball_diagonal_numba.py",
    "base/literature.bib",
    "base/momentumflow.mplstyle",
    "verify/report/report.schema.json",
)
# Distributions whose module has another name.
_MODULES = {"python-flint": "flint", "scikit-learn": "sklearn"}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name : str
    sound : bool
    found : str
        What there is: a version, a place, a measured number.
    remedy : str
        What to do about it; "" if it is sound.
    """

    name: str
    sound: bool
    found: str
    remedy: str = ""


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """Every check of an installation; it is sound if all of them are.

    Parameters
    ----------
    checks : tuple of Check
        In the order in which they were made.
    """

    checks: tuple[Check, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is amiss."""
        return all(check.sound for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as plain data."""
        return {"sound": self.sound, "checks": [vars(check) for check in self.checks]}

    def __repr__(self) -> str:
        broken = [check.name for check in self.checks if not check.sound]
        found = f"broken: {', '.join(broken)}" if broken else "sound"
        return f"<Diagnosis of {len(self.checks)} checks: {found}>"

    def _repr_html_(self) -> str:
        return html_table(
            "momentumflow doctor",
            {
                check.name: check.found if check.sound else f"BROKEN: {check.found}. {check.remedy}"
                for check in self.checks
            },
        )

    def __str__(self) -> str:
        width = max(len(check.name) for check in self.checks)
        rows = []
        for check in self.checks:
            mark = "ok     " if check.sound else "BROKEN "
            rows.append(f"{mark} {check.name:<{width}}  {check.found}")
            if check.remedy:
                rows.append(f"        {'':<{width}}  {check.remedy}")
        return "\n".join(rows)


def diagnose() -> Diagnosis:
    """Look at Python, the dependencies, the package's files, and run each layer once.

    Returns
    -------
    Diagnosis
        It never raises: what goes wrong is a check that is not sound.

    Examples
    --------
    >>> import momentumflow as mf
    >>> mf.diagnose().sound
    True
    """
    return Diagnosis((*_surroundings(), *_dependencies(), *_files(), *_layers()))


def _surroundings() -> Iterator[Check]:
    version = platform.python_version()
    recent = sys.version_info >= (3, 11)
    yield Check("Python", recent, version, "" if recent else "install Python 3.11 or later")
    home = Path(__file__).resolve().parent
    yield Check("momentumflow", True, f"{__version__} in {home}")


def _dependencies() -> Iterator[Check]:
    from packaging.requirements import Requirement

    try:
        stated = metadata.requires("momentumflow") or []
    except metadata.PackageNotFoundError:
        yield Check("distribution", False, "no metadata", "install it: pip install momentumflow")
        return
    installed = metadata.version("momentumflow")
    if installed != __version__:
        yield Check(
            "distribution", False, f"metadata of {installed}", "install it again: pip install ."
        )
    for text in stated:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        yield _dependency(requirement.name, requirement.specifier)


def _dependency(name: str, bounds: Any) -> Check:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, False, "not installed", f"pip install '{name}{bounds}'")
    if not bounds.contains(version, prereleases=True):
        return Check(name, False, f"{version}, outside {bounds}", f"pip install '{name}{bounds}'")
    # Metadata may be whole where a shared library is not: only an import tells.
    module = _MODULES.get(name, name.replace("-", "_"))
    try:
        importlib.import_module(module)
    except Exception as error:  # a broken library raises whatever it raises
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        found = f"{version}, whose import fails: {reason}"
        return Check(name, False, found, f"pip install --force-reinstall '{name}{bounds}'")
    return Check(name, True, version)


def _files() -> Iterator[Check]:
    rooms = {
        "symbolic": Path(str(symbolic.__file__)).parent,
        "numeric": Path(str(numeric.__file__)).parent,
        "verify": Path(str(verify.__file__)).parent,
    }
    missing = []
    for name in _DATA:
        room, _, rest = name.partition("/")
        path = rooms[room] / rest if room in rooms else Path(__file__).parent / name
        if not path.is_file():
            missing.append(name)
    yield Check(
        "data files",
        not missing,
        f"{', '.join(missing)} missing" if missing else f"all {len(_DATA)} present",
        "install momentumflow again, from a wheel" if missing else "",
    )
    cache = Path(os.environ.get("NUMBA_CACHE_DIR") or rooms["numeric"] / "runs" / "kernels")
    writable = os.access(cache if cache.exists() else cache.parent, os.W_OK)
    # Numba falls back to a folder of the user, so this costs time but breaks nothing.
    yield Check(
        "compiled-code cache",
        True,
        str(cache) if writable else f"{cache} is read-only: numba uses the user's cache folder",
    )


def _layers() -> Iterator[Check]:
    for name, layer in (
        ("derivation", _derive),
        ("simulation", _simulate),
        ("convex solvers", _solve),
    ):
        yield _attempt(name, layer)


def _attempt(name: str, layer: Callable[[], tuple[bool, str]]) -> Check:
    try:
        sound, found = layer()
    except Exception as error:  # a broken installation raises whatever it raises
        sound, found = False, f"{type(error).__name__}: {error}".splitlines()[0]
    remedy = "" if sound else "install the dependencies again: pip install --force-reinstall ."
    return Check(name, sound, found, remedy)


def _derive() -> tuple[bool, str]:
    found = symbolic.refined_parameter(symbolic.HeavyBall())
    beta, gamma = sorted(found.free_symbols, key=str)
    return (found - gamma * (1 + beta) / (2 * (1 - beta) ** 2)).equals(0), f"lambda_hat = {found}"


def _problem() -> numeric.Regression:
    return numeric.Regression([[1.0, 2.0]], [2.5])


def _simulate() -> tuple[bool, str]:
    run = numeric.momentum_descent(_problem(), 0.05, 0.8, 0.5)
    return bool(run.converged), f"relative residual {float(run.residual):.1e}"


def _solve() -> tuple[bool, str]:
    problem = _problem()
    newton = numeric.implicit_solution(problem, 0.5)
    conic = numeric.implicit_solution(problem, 0.5, solver="cvxpy")
    distance = float(abs(newton.theta - conic.theta).max())
    both = bool(newton.certified and conic.certified and distance < 1e-7)
    return both, f"Newton and CVXPY {distance:.1e} apart"
