"""Tables as a user brings them, and a way to run the command line in-process."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from momentumflow.cli import main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys):
    def run(*arguments) -> Outcome:
        code = main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def frame():
    """Six rows, nine features: an easy, well-conditioned problem."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((6, 9))
    columns = [f"f{j}" for j in range(9)]
    return pd.DataFrame(X, columns=columns).assign(price=X @ rng.standard_normal(9))


@pytest.fixture
def table(frame, tmp_path):
    path = tmp_path / "houses.csv"
    frame.to_csv(path, index=False, float_format="%.17g")
    return path
