"""The verifier verified: planted mistakes are caught, and planting itself is harmless."""

from dataclasses import replace

import numpy as np
import pytest

from momentumflow.numeric import momentum_descent, sparse_regression
from momentumflow.verify import Evidence, Settings, Verdict, claims, repeat, shipped
from momentumflow.verify.measure import at_most
from momentumflow.verify.mutants import changed_kernel, with_kernel
from momentumflow.verify.results import ClaimResult
from momentumflow.verify.runner import judge, look, look_at_control
from momentumflow.verify.themes import dynamics, limit

SMALL = Settings(seeds=2, quick=True)
CONTROL = SMALL.for_controls()


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


@pytest.mark.parametrize("name", [c.name for c in claims()])
def test_every_control_is_refuted_and_every_measurement_is_missed_under_one(name):
    claim = _claim(name)
    assert claim.controls
    controls = tuple(look_at_control(claim, m, shipped(), SMALL) for m in claim.controls)
    assert [c.mutation.name for c in controls if not c.rejected] == []
    result = ClaimResult(claim, (), look(claim, shipped(), CONTROL), controls, 0.0)
    # A question may have the answer no: what is missed without a mistake needs none planted.
    missed = {m.quantity for m in result.evidence.measurements if m.verdict is Verdict.REFUTED}
    assert missed == set() or claim.question
    assert set(result.unguarded) <= missed
    for measurement in result.evidence.measurements:
        assert not (measurement.secondary and result.guards(measurement)), measurement.quantity


def test_controls_look_at_everything_that_a_full_check_measures():
    # Others measure the same in every setting; this one measures more the harder it looks.
    claim = _claim("modified-equations")
    full = {m.quantity for m in claim.check(shipped(), Settings(seeds=2)).measurements}
    assert full == {m.quantity for m in claim.check(shipped(), CONTROL).measurements}


def test_a_measurement_that_nothing_rejects_is_named(sound, subject):
    def idle(subject, settings):
        found = sound.check(subject, settings)
        always = at_most("a number that is always zero", 0.0, 1.0, settings)
        return Evidence((*found.measurements, always))

    result = judge(replace(sound, check=idle), subject, SMALL)
    assert result.verdict is Verdict.SUPPORTED
    assert result.unguarded == ("a number that is always zero",)
    assert result.guards(result.evidence.measurements[0]) == ("cube",)


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
    found = repeat(5, cheap, quick=True, base_seed=1000)
    assert found.alarms == ()
    assert found.whole() == (5, 0)


def test_a_prediction_that_is_not_finite_is_wrong_and_not_left_open():
    # Seed 2 draws a run on which the planted sum overflows.
    claim = _claim("limit-heavy-ball")
    mutation = next(m for m in claim.controls if m.name == "dropped-remainder")
    found = look_at_control(claim, mutation, shipped(), replace(SMALL, base_seed=2))
    assert found.rejected, found.reason
    nowhere = limit.INITIAL_BALANCEDNESS.plant(shipped())
    nowhere = replace(nowhere, shift=lambda run: np.full_like(run.shift, np.nan))
    evidence = claim.check(nowhere, CONTROL)
    assert evidence.verdict is Verdict.REFUTED
    assert evidence.deciding.value == np.inf
