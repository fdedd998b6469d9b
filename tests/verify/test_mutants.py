"""The verifier verified: planted mistakes are caught, and planting itself is harmless."""

from dataclasses import replace

import numpy as np
import pytest

from momentumflow.numeric import momentum_descent, sparse_regression
from momentumflow.verify import Settings, Verdict, claims, shipped
from momentumflow.verify.mutants import changed_kernel, with_kernel
from momentumflow.verify.themes import dynamics, limit

CONTROL = Settings(seeds=2).for_controls()


def _claim(name):
    return next(c for c in claims() if c.name == name)


def test_a_kernel_that_is_not_changed_is_accepted():
    same = with_kernel()(shipped())
    for name in ("discretisation", "limit-heavy-ball"):
        assert _claim(name).check(same, CONTROL).verdict is Verdict.SUPPORTED


def test_the_real_kernel_is_back_after_a_mutant_has_run():
    problem = sparse_regression(3, 6, 2, seed=0)
    options = {"max_steps": 50, "tol": None, "engine": "numpy"}
    before = momentum_descent(problem, 1e-2, 0.9, 0.5, **options)
    swap = ("beta*p_minus + w_minus*x0", "beta*p_minus - w_minus*x0")
    wrong = with_kernel(swap)(shipped()).descent(problem, 1e-2, 0.9, 0.5, max_steps=50, tol=None)
    after = momentum_descent(problem, 1e-2, 0.9, 0.5, **options)
    assert np.array_equal(before.theta, after.theta)
    assert not np.allclose(before.theta, wrong.theta)


def test_a_mutant_that_plants_nothing_is_an_error():
    with pytest.raises(LookupError, match="'no such line' occurs 0 times in the kernel"):
        changed_kernel(("no such line", "x"))


@pytest.mark.parametrize(
    "name",
    [c.name for c in claims() if c.name not in {"small-lambda-recovers", "other-networks"}],
)
def test_every_control_of_a_claim_is_refuted_by_it(name):
    claim = _claim(name)
    assert claim.controls
    for mutation in claim.controls:
        found = claim.check(mutation.plant(shipped()), CONTROL)
        assert found.verdict is Verdict.REFUTED, mutation.name


def test_names_of_claims_and_of_mutants_are_unique():
    names = [c.name for c in claims()]
    assert len(set(names)) == len(names)
    mutants = {m.name: m for c in claims() for m in c.controls}
    assert all(m is mutants[m.name] for c in claims() for m in c.controls)


def test_a_mutant_is_caught_only_where_it_matters():
    # A factor in lambda does not touch the limit theorem, which holds for any lambda.
    off = dynamics.TWICE_LAMBDA.plant(shipped())
    assert _claim("limit-heavy-ball").check(off, CONTROL).verdict is Verdict.SUPPORTED
    wrong_limit = limit.INITIAL_BALANCEDNESS.plant(shipped())
    assert _claim("discretisation").check(wrong_limit, CONTROL).verdict is Verdict.SUPPORTED


def test_fresh_seeds_raise_no_false_alarm():
    # The cheap random checks, on seeds that were never looked at when bounds were set.
    cheap = ("discretisation", "balancedness-law", "sign-changes", "entropy-limits")
    for name in cheap:
        for base_seed in range(1000, 1005):
            settings = replace(Settings(seeds=5, quick=True), base_seed=base_seed)
            assert _claim(name).check(shipped(), settings).verdict is Verdict.SUPPORTED, base_seed
