"""Ctrl-C while a claim is judged stops the judging."""

import pytest

from momentumflow.numeric import sparse_regression
from momentumflow.numeric.runs import engines
from momentumflow.verify.subject import shipped


def test_an_interrupted_run_is_not_judged(monkeypatch):
    def interrupted(self, *arguments):
        raise KeyboardInterrupt

    problem = sparse_regression(4, 7, 2, seed=0)
    assert shipped().descent(problem, 0.02, 0.5, 1.0).converged
    monkeypatch.setattr(engines.RunByRun, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shipped().descent(problem, 0.02, 0.5, 1.0)
