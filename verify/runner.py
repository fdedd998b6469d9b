"""Judging claims: which ones, in what order, on what subject, with what seeds."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import sympy as sp

from momentumflow.base.arguments import Natural, PositiveFloat, checked
from momentumflow.base.errors import InputError, nearest
from momentumflow.symbolic.identities import Proof, ProofError
from momentumflow.symbolic.theorems.statements import Provable
from momentumflow.verify import catalogue
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence, Verdict, undecided
from momentumflow.verify.report.reports import Report
from momentumflow.verify.results import ClaimResult, ControlResult, ProofResult
from momentumflow.verify.settings import Seeds, Settings
from momentumflow.verify.subject import Subject, shipped

_LOG = logging.getLogger(__name__)

# Called as progress(done, total, what) before each claim and once at the end.
Progress: TypeAlias = Callable[[int, int, str], None]

DEFAULT_SEEDS = 20
QUICK_SEEDS = 5


def judge(claim: Claim, subject: Subject, settings: Settings) -> ClaimResult:
    """Judge one claim: its proofs, its check, its negative controls.

    Parameters
    ----------
    claim : Claim
        The claim.
    subject : Subject
        The theory and the code under judgement.
    settings : Settings
        How hard to look.

    Returns
    -------
    ClaimResult
        Also where a check stops with an error: that is no verdict, and the
        error is the reason.
    """
    started = time.perf_counter()
    proofs = tuple(map(prove, claim.to_prove))
    evidence = look(claim, subject, settings)
    controls = tuple(look_at_control(claim, m, subject, settings) for m in claim.controls)
    return ClaimResult(claim, proofs, evidence, controls, time.perf_counter() - started)


def look(claim: Claim, subject: Subject, settings: Settings) -> Evidence:
    """Run the check of `claim`; where it stops with an error, that is no verdict."""
    try:
        return claim.check(subject, settings)
    except (ArithmeticError, ValueError, RuntimeError) as error:
        _LOG.debug("check of %s stopped", claim.name, exc_info=True)
        return Evidence((undecided(claim.title, _reason(error)),))


def look_at_control(
    claim: Claim, mutation: Mutation, subject: Subject, settings: Settings
) -> ControlResult:
    """Run the check of `claim` on the subject with `mutation` planted, at the controls' size."""
    try:
        # What is wrong on purpose may overflow; the check then sees numbers that are not finite.
        with np.errstate(all="ignore"):
            found = claim.check(mutation.plant(subject), settings.for_controls())
    except (ArithmeticError, ValueError, RuntimeError) as error:
        _LOG.debug("control %s of %s stopped", mutation.name, claim.name, exc_info=True)
        return ControlResult(mutation, None, reason=_reason(error))
    return ControlResult(mutation, found)


def prove(identity: Provable) -> ProofResult:
    """Carry out one proof."""
    verdict, reason = Verdict.SUPPORTED, ""
    steps: tuple[tuple[str, str], ...] = ()
    try:
        proof = identity.prove()
        if isinstance(proof, Proof):
            steps = tuple((what, sp.latex(remaining)) for what, remaining in proof.steps)
    except ProofError as error:
        # Only a counterexample refutes. What SymPy merely fails to reduce stays open.
        false = error.counterexample is not None
        verdict = Verdict.REFUTED if false else Verdict.UNDECIDED
        reason = str(error)
    return ProofResult(
        name=identity.name,
        statement=str(identity),
        latex=identity.latex(),
        verdict=verdict,
        assumptions=identity.assumptions,
        reason=reason,
        steps=steps,
    )


def _reason(error: Exception) -> str:
    """Say what stopped a check: the type of the error, its text, and the line that raised it."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"the check stopped with {said} ({Path(last.filename).name}, line {last.lineno})"


@checked
def select(names: Iterable[str] | None, available: tuple[Claim, ...]) -> tuple[Claim, ...]:
    """Return the claims whose name or theme is listed.

    Parameters
    ----------
    names : iterable of str or None
        Names of claims or themes; None stands for all of them.
    available : tuple of Claim

    Returns
    -------
    tuple of Claim
        In the order of `available`.

    Raises
    ------
    InputError
        If a name belongs to no claim and no theme.
    """
    if names is None:
        return available
    chosen: list[Claim] = []
    for name in names:
        hits = [c for c in available if name in (c.name, c.theme)]
        if not hits:
            known = [c.name for c in available]
            raise InputError(f"a claim among {', '.join(known)}", repr(name), nearest(name, known))
        chosen.extend(c for c in hits if c not in chosen)
    return tuple(c for c in available if c in chosen)


def chosen_claims(only: Iterable[str] | None, claims: Iterable[Claim] | None) -> tuple[Claim, ...]:
    """Return the claims to judge: `only` those of `claims`, by default the built-in ones."""
    if claims is None:
        claims = catalogue.claims()
    return select(only, tuple(claims))


def chosen_settings(
    seeds: int | None, quick: bool, tolerance_scale: float, base_seed: int
) -> Settings:
    """Return the settings that a user asks for; `seeds` has a default that `quick` decides."""
    return Settings(
        seeds=seeds if seeds is not None else (QUICK_SEEDS if quick else DEFAULT_SEEDS),
        quick=quick,
        tolerance_scale=tolerance_scale,
        base_seed=base_seed,
    )


@checked
def check(
    name: str, *, settings: Settings | None = None, subject: Subject | None = None
) -> ClaimResult:
    """Judge the one claim called `name`.

    Parameters
    ----------
    name : str
        As listed by `claims()`.
    settings : Settings, optional
        How many seeds, how strict; the default settings if not given.
    subject : Subject, optional
        The theory and the code under judgement; the shipped ones if not given.

    Returns
    -------
    ClaimResult
        The verdict with its proofs, measurements and negative controls.

    Raises
    ------
    InputError
        If there is no claim of that name.

    Examples
    --------
    >>> from momentumflow.verify import Settings, check
    >>> result = check("discretisation", settings=Settings(seeds=2, quick=True))
    >>> result.verdict.value
    'supported'
    """
    known = catalogue.claims()
    matches = [c for c in known if c.name == name]
    claim = matches[0] if matches else select([name], known)[0]
    return judge(claim, subject or shipped(), settings or Settings())


@checked
def run(
    only: Iterable[str] | None = None,
    *,
    claims: Iterable[Claim] | None = None,
    seeds: Seeds | None = None,
    quick: bool = False,
    tolerance_scale: PositiveFloat = 1.0,
    base_seed: Natural = 0,
    subject: Any = None,
    progress: Progress | None = None,
) -> Report:
    """Judge claims and return the report.

    Parameters
    ----------
    only : iterable of str, optional
        Names or themes of claims; all by default.
    claims : iterable of Claim, optional
        Judge these in place of the built-in ones, for example
        ``data_claims(problem)``.
    seeds : int, optional
        Independent problems for each random check; 20 by default, 5 if `quick`.
    quick : bool
        Smaller grids: the whole set in under a minute.
    tolerance_scale : float
        Factor on every numerical tolerance.
    base_seed : int
        Root of all randomness.
    subject : Subject, optional
        The theory and code under judgement; the shipped ones by default. Claims of your
        own may judge any object: their checks get it as it is.
    progress : callable, optional
        Called as ``progress(done, total, what)``.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        Unknown claim, fewer than two seeds, a non-positive tolerance scale.
    """
    settings = chosen_settings(seeds, quick, tolerance_scale, base_seed)
    chosen = chosen_claims(only, claims)
    if subject is None:
        subject = shipped()
    results = []
    for done, claim in enumerate(chosen):
        if progress is not None:
            progress(done, len(chosen), claim.title)
        results.append(judge(claim, subject, settings))
        _LOG.info("%s: %s in %.1f s", claim.name, results[-1].verdict.value, results[-1].seconds)
    if progress is not None:
        progress(len(chosen), len(chosen), "done")
    return Report.of(results, settings)
