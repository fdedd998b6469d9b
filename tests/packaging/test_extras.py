"""Without any extra the core works, and what needs one says which."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Everything that only an extra brings.
EXTRAS = ("dask", "distributed", "marimo", "uvicorn", "zmq", "jax", "torch")
HIDE = f"""
import sys
class Filtered:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            return None
        return self.finder.find_spec(name, path, target)
    def __getattr__(self, attribute):
        return getattr(self.finder, attribute)
sys.meta_path[:] = [Filtered(finder) for finder in sys.meta_path]
"""


def without_extras(code: str) -> str:
    """Run code in an interpreter in which no extra can be imported; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", HIDE + code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_core_derives_runs_predicts_sweeps_and_verifies():
    out = without_extras(
        "import momentumflow as mf\n"
        "from momentumflow.verify import Settings\n"
        "for room in (mf.symbolic, mf.numeric, mf.verify):\n"
        "    for name in room.__all__:\n"
        "        getattr(room, name)\n"
        "print(mf.symbolic.refined_parameter(mf.symbolic.HeavyBall()))\n"
        "problem = mf.numeric.sparse_regression(6, 9, 2, seed=0)\n"
        "run = mf.numeric.momentum_descent(problem, 0.05, 0.9, 0.3)\n"
        "print(bool(run.predicted_limit(solver='cvxpy').certified))\n"
        "runs = mf.numeric.sweep(lam=[0.2], beta=[0.9], n=6, d=9, sparsity=2, seeds=2, jobs=1)\n"
        "print(int((runs.status == 0).sum()))\n"
        "result = mf.verify.check('discretisation', settings=Settings(seeds=2, quick=True))\n"
        "print(result.verdict.value)\n"
        "print(mf.diagnose().sound)\n"
    )
    assert out.split("\n")[:-1] == [
        "gamma*(beta + 1)/(2*(1 - beta)**2)", "True", "2", "supported", "True"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "sweep(lam=[0.2], beta=[0.9], seeds=1, client=object())",
            "expected client as a dask.distributed.Client or None, received an object.",
        ),
    ],
)
def test_what_needs_an_extra_says_which(code, said):
    out = without_extras(
        "from momentumflow import InputError\n"
        "from momentumflow.numeric import sweep\n"
        f"try:\n    {code}\nexcept InputError as error:\n    print(error)\n"
    )
    assert out == f"{said}\n"


def test_hiding_hides():
    """Negative control: the extras of this environment cannot be imported there."""
    out = without_extras("try:\n    import dask\nexcept ImportError:\n    print('hidden')\n")
    assert out == "hidden\n"
