"""Code of the how-tos that the documentation build cannot execute for want of a library."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from .conftest import ROOT

PAGE = (ROOT / "docs" / "howto" / "kernels_elsewhere.md").read_text(encoding="utf-8")


def block(library: str) -> str:
    pattern = rf"<!-- executed by the tests where {library} is installed -->\n```python\n(.*?)^```"
    return re.search(pattern, PAGE, re.DOTALL | re.MULTILINE)[1]


@pytest.fixture
def problem():
    from momentumflow.numeric import sparse_regression

    return sparse_regression(n=20, d=30, sparsity=5, seed=0)


def ended(problem, gamma, beta, steps=500):
    from momentumflow.numeric import momentum_descent

    return momentum_descent(problem, gamma, beta, 0.1, max_steps=steps, tol=None).theta


def executed(library: str, problem, folder, monkeypatch) -> dict:
    from momentumflow.symbolic import DiagonalNetwork, HeavyBall, write_kernels

    backend = {"JAX": "jax", "PyTorch": "torch"}[library]
    path = write_kernels(folder, HeavyBall(), DiagonalNetwork().balanced, backend=backend)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, path.stem, raising=False)
    namespace = {"X": problem.X, "y": problem.y, "steps": 500}
    exec(compile(block(library), "kernels_elsewhere.md", "exec"), namespace)
    return namespace


def test_the_blocks_are_there_and_are_python():
    for library, function in (("JAX", "jacfwd"), ("PyTorch", "broadcast")):
        compile(block(library), library, "exec")
        assert function in PAGE


def test_jax(problem, tmp_path, monkeypatch):
    pytest.importorskip("jax", reason="JAX is an optional extra")
    found = executed("JAX", problem, tmp_path, monkeypatch)
    np.testing.assert_allclose(found["theta"], ended(problem, 0.02, 0.9), atol=1e-12)
    np.testing.assert_allclose(found["ends"][0], ended(problem, 0.02, 0.8), atol=1e-12)
    h = 1e-6
    difference = (ended(problem, 0.02 + h, 0.9) - ended(problem, 0.02 - h, 0.9)) / (2 * h)
    np.testing.assert_allclose(found["slope"], difference, rtol=1e-5, atol=1e-6)


def test_torch(problem, tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is an optional extra")
    found = executed("PyTorch", problem, tmp_path, monkeypatch)
    for theta, gamma in zip(found["theta"], (0.01, 0.02), strict=True):
        np.testing.assert_allclose(theta.numpy(), ended(problem, gamma, 0.9), atol=1e-12)
