"""The vocabulary of the verify room: what a claim is, and what judges it.

A `Claim` is a statement of the theory together with everything that could
refute it: proofs by SymPy where they exist, a numerical check, and negative
controls. The check never calls the library directly; it receives a `Subject`
(`momentumflow.verify.subject`), the theory and the code under judgement. A
negative control is the same check on a `Mutation` of that subject, one in which
something is wrong on purpose, and it has to be refuted: a check that accepts
wrong theory is no evidence for right theory.

Verdicts come in three kinds. A run that has not converged, or a fit that has
too few points, gives `Verdict.UNDECIDED`, never a pass and never a failure.
"""

from __future__ import annotations

import enum
import math
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from momentumflow.base.values import Value, html_table
from momentumflow.numeric.validation import FloatArray, count, positive

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from momentumflow.symbolic.identities import Identity
    from momentumflow.verify.subject import Subject


class Verdict(enum.Enum):
    """Outcome of a measurement, a check, or a claim."""

    SUPPORTED = "supported"
    REFUTED = "not supported"
    UNDECIDED = "no verdict"

    @classmethod
    def of(cls, parts: Iterable[Verdict]) -> Verdict:
        """Join verdicts: one refutation refutes, one gap leaves the whole open.

        No part at all is no evidence, hence `UNDECIDED`.
        """
        seen = set(parts)
        if cls.REFUTED in seen:
            return cls.REFUTED
        if cls.UNDECIDED in seen or not seen:
            return cls.UNDECIDED
        return cls.SUPPORTED


@dataclass(frozen=True)
class Measurement:
    """One number held against one requirement.

    Parameters
    ----------
    quantity : str
        What was measured, in words.
    value : float
        The measured number: the worst over the samples for a bound, the mean
        for a fitted order; NaN where nothing could be measured.
    requirement : str
        What it had to meet, such as "<= 1e-09" or "1 +- 0.15".
    verdict : Verdict
        Whether it did.
    samples : int
        Over how many runs or seeds.
    interval : tuple of float, optional
        95 % interval of `value` over the samples.
    reason : str
        For `UNDECIDED`: how far the run got and why it has no verdict.
    strain : float
        How much of what is allowed was used: 0 for a perfect value, 1 at the
        bound, more where it is missed. NaN where the requirement has no scale.
    secondary : str
        Why no wrong theory need make it miss, in words, where that is so: it is
        a premise of the others. Empty for all that a negative control has to
        reject.
    """

    quantity: str
    value: float
    requirement: str
    verdict: Verdict
    samples: int = 1
    interval: tuple[float, float] | None = None
    reason: str = ""
    strain: float = math.nan
    secondary: str = ""

    @property
    def brief(self) -> str:
        """The number and its requirement, without what was measured."""
        if not np.isfinite(self.value):
            return self.verdict.value
        return f"{self.value:.3g} ({self.requirement})"

    def __str__(self) -> str:
        if self.verdict is Verdict.UNDECIDED:
            return f"{self.quantity}: no verdict, {self.reason}"
        spread = ""
        if self.interval is not None:
            spread = f" [{self.interval[0]:.3g}, {self.interval[1]:.3g}]"
        sense = "meets" if self.verdict is Verdict.SUPPORTED else "misses"
        return f"{self.quantity}: {self.value:.3g}{spread} {sense} {self.requirement}"


@dataclass(frozen=True, eq=False, repr=False)
class Evidence(Value):
    """What a check found: measurements, and the series that its figure draws."""

    measurements: tuple[Measurement, ...]
    series: Mapping[str, FloatArray] = field(default_factory=dict, repr=False)

    @property
    def verdict(self) -> Verdict:
        """The joint verdict of the measurements."""
        return Verdict.of(m.verdict for m in self.measurements)

    @property
    def deciding(self) -> Measurement:
        """The measurement that explains the verdict: the first one that is not met."""
        for wanted in (Verdict.REFUTED, Verdict.UNDECIDED):
            for measurement in self.measurements:
                if measurement.verdict is wanted:
                    return measurement
        return self.measurements[0]

    def _shown(self) -> dict[str, str]:
        shown = {"verdict": self.verdict.value}
        return shown | {m.quantity: m.brief for m in self.measurements}

    def __repr__(self) -> str:
        number = len(self.measurements)
        return f"<Evidence: {self.verdict.value} by {number} measurement{'s' * (number != 1)}>"


@dataclass(frozen=True)
class Settings:
    """How hard to look.

    Parameters
    ----------
    seeds : int
        Independent problems for each random check, >= 2 (an interval needs two).
    quick : bool
        Smaller grids: the whole set in under a minute.
    tolerance_scale : float
        Factor on every numerical tolerance, > 0; 1 is what the theory is held to.
    base_seed : int
        Root of all randomness, >= 0. The same settings give the same numbers.
    control : bool
        Set for negative controls: the smallest case that tells right from wrong.
    """

    seeds: int = 20
    quick: bool = False
    tolerance_scale: float = 1.0
    base_seed: int = 0
    control: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", count("seeds", self.seeds, minimum=2))
        object.__setattr__(self, "base_seed", count("base_seed", self.base_seed, minimum=0))
        scale = float(positive("tolerance_scale", self.tolerance_scale))
        object.__setattr__(self, "tolerance_scale", scale)

    def rng(self, *labels: str) -> np.random.Generator:
        """Return the generator that belongs to these labels, whatever ran before."""
        words = [zlib.crc32(label.encode()) for label in labels]
        return np.random.default_rng(np.random.SeedSequence([self.base_seed, *words]))

    def tolerance(self, value: float) -> float:
        """Return a tolerance scaled by what the user asked for."""
        return value * self.tolerance_scale

    def for_controls(self) -> Settings:
        """Return the settings of negative controls: a wrong theory fails on a few seeds."""
        return replace(self, seeds=min(self.seeds, 3), quick=True, control=True)


Check = Callable[["Subject", Settings], Evidence]


@dataclass(frozen=True, repr=False)
class Mutation:
    """Something wrong on purpose.

    Parameters
    ----------
    name : str
        Short name, such as "initial-balancedness".
    description : str
        What is wrong, in words.
    plant : callable
        Takes the sound `Subject`, returns the wrong one.
    kind : str
        "theory" for a wrong formula, "code" for a wrong implementation.
    """

    name: str
    description: str
    plant: Callable[[Subject], Subject]
    kind: str = "theory"

    def __repr__(self) -> str:
        return f"Mutation({self.name!r}: {self.description})"

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        # What plants it is mostly a lambda; the name finds that of a built-in claim.
        if any(self is m for m in _built_in_mutations().values()):
            return _built_in_mutation, (self.name,)
        return super().__reduce_ex__(protocol)


@dataclass(frozen=True, repr=False)
class Claim:
    """A statement of the theory and all that could refute it.

    Parameters
    ----------
    name : str
        Unique short name, as used by ``momentumflow verify --only``.
    theme : str
        Heading in the report.
    title : str
        One line.
    statement : str
        The claim in words, with the range over which it is checked.
    formulas : tuple of str
        The statement in LaTeX, without dollar signs.
    source : str
        Where the claim comes from.
    check : callable
        ``check(subject, settings) -> Evidence``.
    controls : tuple of Mutation
        Each has to make `check` refute.
    proofs : callable, optional
        Returns the identities whose proof SymPy carries out.
    draw : callable, optional
        ``draw(evidence) -> Figure``.
    caption : str
        What the figure shows.
    question : bool
        Whether this is a statement that people make and evidence is asked about,
        not a law that momentumflow rests on: its verdict is reported, whatever it
        is, and does not fail a verification.
    random : bool
        Whether the check draws anything. On fixed data repeating it shows nothing.
    """

    name: str
    theme: str
    title: str
    statement: str
    formulas: tuple[str, ...]
    source: str
    check: Check
    controls: tuple[Mutation, ...]
    proofs: Callable[[], tuple[Identity, ...]] | None = None
    draw: Callable[[Evidence], Figure] | None = None
    caption: str = ""
    question: bool = False
    random: bool = True

    def __repr__(self) -> str:
        return f"Claim({self.name!r}: {self.title})"

    def _repr_html_(self) -> str:
        formulas = "".join(f"<p>$\\displaystyle {formula}$</p>" for formula in self.formulas)
        rows = {"claim": self.title, "statement": self.statement, "source": self.source}
        return html_table(self.name, rows) + formulas

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        # Its callables are mostly lambdas; the name finds a built-in claim again.
        if _built_in().get(self.name) is self:
            return _built_in_claim, (self.name,)
        return super().__reduce_ex__(protocol)


def _built_in() -> dict[str, Claim]:
    from momentumflow.verify.themes import claims

    return {claim.name: claim for claim in claims()}


def _built_in_mutations() -> dict[str, Mutation]:
    return {m.name: m for claim in _built_in().values() for m in claim.controls}


def _built_in_claim(name: str) -> Claim:
    return _built_in()[name]


def _built_in_mutation(name: str) -> Mutation:
    return _built_in_mutations()[name]


@dataclass(frozen=True)
class ProofResult:
    """Outcome of one symbolic proof: SymPy either reduced it to zero or did not."""

    name: str
    statement: str
    latex: str
    verdict: Verdict
    assumptions: str = ""
    reason: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class ControlResult(Value):
    """Outcome of one negative control."""

    mutation: Mutation
    evidence: Evidence | None
    reason: str = ""

    @property
    def rejected(self) -> bool:
        """Whether the check refuted the wrong subject, as it must."""
        return self.evidence is not None and self.evidence.verdict is Verdict.REFUTED

    @property
    def explanation(self) -> str:
        """The measurement that rejected the control, or why none did."""
        return str(self.evidence.deciding) if self.evidence is not None else self.reason

    def _shown(self) -> dict[str, str]:
        rejected = "yes" if self.rejected else "no"
        return {"control": self.mutation.name, "rejected": rejected, "by": self.explanation}

    def __repr__(self) -> str:
        rejected = "rejected" if self.rejected else "not rejected"
        return f"<ControlResult {self.mutation.name}: {rejected}>"


@dataclass(frozen=True, eq=False, repr=False)
class ClaimResult(Value):
    """A claim with everything that was found about it.

    Attributes
    ----------
    claim : Claim
    proofs : tuple of ProofResult
    evidence : Evidence
        What the check measured.
    controls : tuple of ControlResult
        One for each negative control.
    seconds : float
        Time that judging took.
    verdict : Verdict
        Refuted if a proof fails, a measurement misses its requirement, or a
        negative control is accepted; undecided if a measurement is.
    """

    claim: Claim
    proofs: tuple[ProofResult, ...]
    evidence: Evidence
    controls: tuple[ControlResult, ...]
    seconds: float

    @property
    def verdict(self) -> Verdict:
        """The verdict on the claim."""
        found = Verdict.of([*(p.verdict for p in self.proofs), self.evidence.verdict])
        if found is Verdict.SUPPORTED and not all(c.rejected for c in self.controls):
            return Verdict.REFUTED
        return found

    def guards(self, measurement: Measurement) -> tuple[str, ...]:
        """Return the negative controls under which this measurement is missed, by name."""
        return tuple(
            control.mutation.name
            for control in self.controls
            if control.evidence is not None
            and any(
                m.quantity == measurement.quantity and m.verdict is Verdict.REFUTED
                for m in control.evidence.measurements
            )
        )

    @property
    def unguarded(self) -> tuple[str, ...]:
        """What no negative control makes miss and that is not secondary either."""
        return tuple(
            m.quantity for m in self.evidence.measurements if not m.secondary and not self.guards(m)
        )

    @property
    def explanation(self) -> str:
        """One sentence: what decided the verdict."""
        for proof in self.proofs:
            if proof.verdict is not Verdict.SUPPORTED:
                return f"proof of {proof.name}: {proof.reason}"
        if self.evidence.verdict is Verdict.SUPPORTED:
            for control in self.controls:
                if not control.rejected:
                    return (
                        f"negative control {control.mutation.name!r} was not rejected: "
                        f"{control.explanation}"
                    )
        return str(self.evidence.deciding)

    def _shown(self) -> dict[str, str]:
        return {
            "claim": self.claim.title,
            "verdict": self.verdict.value,
            "because": self.explanation,
            "proofs": str(len(self.proofs)),
            "controls rejected": f"{sum(c.rejected for c in self.controls)}/{len(self.controls)}",
            "seconds": f"{self.seconds:.1f}",
        }

    def __repr__(self) -> str:
        return f"<ClaimResult {self.claim.name}: {self.verdict.value}>"


def undecided(quantity: str, reason: str, requirement: str = "") -> Measurement:
    """Return the measurement of something that could not be measured."""
    return Measurement(quantity, float("nan"), requirement, Verdict.UNDECIDED, 0, reason=reason)
