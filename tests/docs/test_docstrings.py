"""Every example in a docstring is executed and gives what it shows."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import momentumflow

from .conftest import first_difference


def modules() -> list[str]:
    names = ["momentumflow"]
    for room in ("symbolic", "numeric", "verify"):
        package = importlib.import_module(f"momentumflow.{room}")
        names.append(package.__name__)
        names += [
            info.name
            for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
            # Importing these needs a library that only the benchmarks install.
            if not info.name.endswith(("_jax", "_torch"))
        ]
    names += [
        f"momentumflow.{info.name}"
        for info in pkgutil.iter_modules(momentumflow.__path__[:1])
        if not info.ispkg and info.name != "__main__"
    ]
    return names


class Numbers(doctest.OutputChecker):
    """Takes numbers for equal if they differ by rounding only; see conftest.py."""

    def check_output(self, want, got, optionflags):
        if super().check_output(want, got, optionflags):
            return True
        return "..." not in want and first_difference(want, got) is None


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {}
    for name in modules():
        module = importlib.import_module(name)
        for test in finder.find(module, name):
            if test.examples:
                found[test.name] = test
    return list(found.values())


EXAMPLES = examples()


@pytest.mark.parametrize("test", EXAMPLES, ids=lambda test: test.name)
def test_the_examples_of(test):
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(checker=Numbers(), optionflags=options)
    report: list[str] = []
    with np.printoptions(legacy=False):
        runner.run(test, out=report.append, clear_globs=False)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def test_there_are_examples_in_every_room():
    for room in ("symbolic", "numeric"):
        assert any(test.name.startswith(f"momentumflow.{room}.") for test in EXAMPLES), room
    assert len(EXAMPLES) >= 5


def test_a_wrong_example_is_noticed():
    """Negative control of the runner above."""
    source = ">>> 0.5 + 0.25\n0.85\n"
    test = doctest.DocTestParser().get_doctest(source, {}, "wrong", None, None)
    runner = doctest.DocTestRunner(checker=Numbers())
    runner.run(test, out=lambda text: None)
    assert runner.failures == 1
