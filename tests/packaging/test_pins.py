"""constraints.txt pins every distribution that the set-up commands install."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
OPTIONAL = PROJECT["optional-dependencies"]


def declared(texts: list[str]) -> list[Requirement]:
    """Return requirements, extras of the package itself written out."""
    found = []
    for requirement in map(Requirement, texts):
        if requirement.name == PROJECT["name"]:
            found += declared([t for extra in requirement.extras for t in OPTIONAL[extra]])
        else:
            found.append(requirement)
    return found


# Not from the metadata of the installed package, which is as old as its installation.
DECLARED = declared([*PROJECT["dependencies"], *OPTIONAL["test"], *OPTIONAL["docs"]])


def closure() -> set[str]:
    """Return the distributions that DECLARED comes to on this machine."""
    found: set[str] = set()
    waiting = [(r.name, frozenset(r.extras)) for r in DECLARED]
    seen = set()
    while waiting:
        current, wanted = item = waiting.pop()
        if item in seen:
            continue
        seen.add(item)
        try:
            needed = requires(current) or []
        except PackageNotFoundError:
            # An extra that this environment was not set up with.
            continue
        found.add(canonicalize_name(current))
        for text in needed:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in (*wanted, "")):
                waiting.append((requirement.name, frozenset(requirement.extras)))
    return found


@pytest.fixture(scope="module")
def pins():
    return {canonicalize_name(line.partition("==")[0]): line.partition("==")[2] for line in LINES}


def test_each_line_pins_one_version_and_names_no_place():
    assert sorted(LINES, key=str.lower) == LINES
    for line in LINES:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line), line


def test_every_dependency_is_pinned(pins):
    needed = closure()
    assert {"numpy", "sympy", "pytest", "hypothesis", "llvmlite"} <= needed
    assert needed - set(pins) == set()


def test_an_unpinned_dependency_is_noticed(pins):
    """Negative control: llvmlite is needed only through numba."""
    assert closure() - (set(pins) - {"llvmlite"}) == {"llvmlite"}


def test_the_pins_are_within_the_bounds_that_the_package_declares(pins):
    checked = 0
    for bound in DECLARED:
        pin = pins.get(canonicalize_name(bound.name))
        if pin is not None:
            assert bound.specifier.contains(pin), f"{bound} excludes the pinned {pin}"
            checked += 1
    assert checked >= 20


def test_what_is_installed_here_is_what_is_pinned(pins):
    different = {
        name: (version(name), pins[name])
        for name in closure() & set(pins)
        if version(name) != pins[name]
    }
    assert different == {}
