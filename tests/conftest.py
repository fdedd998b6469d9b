"""What every room's tests may use."""

from __future__ import annotations

import pytest

from .browser import EXECUTABLE, opened


@pytest.fixture(scope="session")
def chromium():
    """Tests that need a browser are skipped without one."""
    if EXECUTABLE is None:
        pytest.skip("no chromium or chrome on this machine")


@pytest.fixture
def browser(chromium):
    """A page of a fresh headless browser that reaches this machine and nothing else."""
    with opened() as page:
        yield page
