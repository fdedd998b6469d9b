"""What judging a claim gives: its proofs, its evidence, its negative controls, a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from momentumflow.base.arguments import checked
from momentumflow.base.figures import style
from momentumflow.base.values import Value
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence, Measurement, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ProofResult:
    """Outcome of one symbolic proof: SymPy either reduced it to zero or did not.

    `steps` say what was done to the difference of the two sides, and what remained
    after it in LaTeX; a proof that is not a chain of differences has none.
    """

    name: str
    statement: str
    latex: str
    verdict: Verdict
    assumptions: str = ""
    reason: str = ""
    steps: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class ControlResult(Value):
    """Outcome of one negative control."""

    mutation: Mutation
    evidence: Evidence | None
    reason: str = ""

    @property
    def verdict(self) -> Verdict:
        """Supported if the check refuted the wrong subject, as it must; refuted if it accepted it.

        A check that stops with an error, or that could not measure, did neither.
        """
        if self.evidence is None:
            return Verdict.UNDECIDED
        turned = {Verdict.REFUTED: Verdict.SUPPORTED, Verdict.SUPPORTED: Verdict.REFUTED}
        return turned.get(self.evidence.verdict, Verdict.UNDECIDED)

    @property
    def rejected(self) -> bool:
        """Whether the check refuted the wrong subject, as it must."""
        return self.verdict is Verdict.SUPPORTED

    @property
    def outcome(self) -> str:
        """The verdict in words: rejected, accepted, or no verdict."""
        return {Verdict.SUPPORTED: "rejected", Verdict.REFUTED: "accepted"}.get(
            self.verdict, self.verdict.value
        )

    @property
    def explanation(self) -> str:
        """The measurement that rejected the control, or why none did."""
        return str(self.evidence.deciding) if self.evidence is not None else self.reason

    def _shown(self) -> dict[str, str]:
        return {"control": self.mutation.name, "outcome": self.outcome, "by": self.explanation}

    def __repr__(self) -> str:
        return f"<ControlResult {self.mutation.name}: {self.outcome}>"


@checked
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
        negative control is accepted; undecided if a measurement or a control is.
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
        if found is Verdict.SUPPORTED and self.controls:
            return Verdict.of(control.verdict for control in self.controls)
        return found

    def plot(self) -> Figure | None:
        """Draw what the check measured; None where the claim has no figure."""
        if self.claim.draw is None or not self.evidence.series:
            return None
        with style():
            return self.claim.draw(self.evidence)

    @property
    def caveat(self) -> str:
        """What a reader must know beside the verdict; empty if there is nothing."""
        if self.controls:
            return ""
        return "no negative control: nothing shows that this check would refute a wrong theory"

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
        """The measurements that are not secondary and that no negative control fails."""
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
            for control in sorted(self.controls, key=lambda c: c.verdict is not Verdict.REFUTED):
                if not control.rejected:
                    accepted = control.verdict is Verdict.REFUTED
                    found = "was accepted" if accepted else "has no verdict"
                    return (
                        f"negative control {control.mutation.name!r} {found}: {control.explanation}"
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
