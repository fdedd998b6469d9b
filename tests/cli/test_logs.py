"""What is logged, where it goes, and that the library itself attaches nothing."""

import logging
import subprocess
import sys

import numpy as np

from momentumflow.cli import logs
from momentumflow.numeric import (
    implicit_solution,
    momentum_descent,
    sparse_regression,
    sweep,
)

LOGGER = logging.getLogger("momentumflow")


def test_importing_attaches_no_handler():
    code = (
        "import logging, momentumflow as mf\n"
        "mf.numeric.sweep, mf.numeric.implicit_solution, mf.symbolic.HeavyBall, mf.verify.run\n"
        "names = [n for n in logging.root.manager.loggerDict if n.startswith('momentumflow')]\n"
        "assert names\n"
        "assert not any(logging.getLogger(n).handlers for n in names)\n"
        "assert not logging.root.handlers\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_verbose_shows_the_steps_on_stderr_and_leaves_stdout_alone(command):
    options = ("verify", "--quick", "--seeds", "2", "--only", "discretisation", "--json")
    silent, loud = command(*options), command("-v", *options)
    assert silent.err == ""
    assert "momentumflow.verify.runner: INFO: discretisation: supported in " in loud.err
    assert loud.code == 0
    assert loud.out.startswith("{")
    # nothing stays behind
    assert LOGGER.handlers == []
    assert LOGGER.level == logging.NOTSET


def test_quiet_and_verbose_are_levels(capsys):
    log = logging.getLogger("momentumflow.somewhere")
    expected = {(0, False): "w", (1, False): "iw", (2, False): "diw", (9, False): "diw"}
    for (verbose, quiet), shown in {**expected, (0, True): ""}.items():
        with logs.listening(verbose, quiet):
            assert logs.silent() is quiet
            log.debug("d")
            log.info("i")
            log.warning("w")
        err = capsys.readouterr().err
        assert "".join(line[-1] for line in err.splitlines()) == shown


def test_quiet_and_verbose_exclude_each_other(command):
    assert command("-v", "-q", "cite") == (
        2, "", "momentumflow: expected one of --verbose and --quiet, received both.\n",
    )  # fmt: skip


def test_a_sweep_says_what_it_resumes(tmp_path, caplog):
    grid = {"gamma": [0.02, 0.05], "beta": 0.8, "alpha": 0.3, "n": 3, "d": 6, "sparsity": 2}
    options = {**grid, "seeds": 2, "chunk": 1, "jobs": 1, "store": tmp_path / "store"}
    with caplog.at_level(logging.INFO, "momentumflow"):
        sweep(**options)
        assert "sweep of 4 runs: 4 of 4 tasks to do" in caplog.text
        assert "resuming" not in caplog.text
        caplog.clear()
        sweep(**options)
        assert "resuming: 4 of 4 tasks are in the store" in caplog.text
        assert "sweep of 4 runs: 0 of 4 tasks to do" in caplog.text


def test_an_uncertified_problem_is_named_with_its_remedy(caplog):
    problem = sparse_regression(3, 6, 2, seed=0)
    with caplog.at_level(logging.INFO, "momentumflow"):
        found = implicit_solution(problem, np.array([[1.0], [1e-6]]), max_iterations=3)
    refused = np.flatnonzero(~found.certified)
    assert refused.size  # three factorisations are too few
    for b in refused:
        assert f"problem {b + 1} of 2 by newton: not converged within the" in caplog.text


def test_the_engine_chosen_is_logged(caplog):
    problem = sparse_regression(3, 6, 2, seed=0)
    with caplog.at_level(logging.INFO, "momentumflow.numeric.runs.descent"):
        momentum_descent(problem, 0.05, 0.8, 0.5, max_steps=5, threads=1)
        momentum_descent(problem, 0.05, 0.8, 0.5, max_steps=5, engine="lanes", threads=1)
    assert [record.getMessage() for record in caplog.records] == [
        "1 run(s) of heavy_ball: engine RunByRun on 1 thread(s)",
        "1 run(s) of heavy_ball: engine InLanes on 1 thread(s)",
    ]
