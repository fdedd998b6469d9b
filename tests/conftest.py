"""What every room's tests may use."""

from __future__ import annotations

import pytest

from .browser import EXECUTABLE, Browser


@pytest.fixture(scope="session")
def chromium():
    """The browser's executable; tests that need one are skipped without it."""
    if EXECUTABLE is None:
        pytest.skip("no chromium or chrome on this machine")
    return EXECUTABLE


@pytest.fixture
def browser(chromium, tmp_path):
    """A fresh headless browser that reaches this machine and nothing else."""
    with Browser(tmp_path / "profile") as started:
        yield started
