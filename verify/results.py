"""What judging a claim gives: its proofs, its evidence, its negative controls, a verdict."""

from __future__ import annotations

from dataclasses import dataclass

from momentumflow.base.values import Value
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence, Measurement, Verdict


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
