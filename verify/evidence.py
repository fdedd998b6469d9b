"""What a check finds: measurements, each held against a requirement, and their verdict.

Verdicts come in three kinds. A run that has not converged, or a fit that has
too few points, gives `Verdict.UNDECIDED`, never a pass and never a failure.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import FloatArray
from momentumflow.base.numbers import in_text
from momentumflow.base.values import Value


class Verdict(enum.Enum):
    """Outcome of a measurement, a check, or a claim."""

    SUPPORTED = "supported"
    REFUTED = "not supported"
    UNDECIDED = "no verdict"

    @classmethod
    @checked
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


@checked
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
        Set for a measurement that no negative control has to fail, because it is
        only a premise of the others: the reason, in words. Empty for the rest.
    order : bool
        Whether the value is a fitted order, which is written with two decimals.
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
    order: bool = False

    def number(self, value: float) -> str:
        """Return the value, or an end of its interval, as it is shown."""
        return f"{value:.2f}" if self.order and math.isfinite(value) else in_text(value)

    @property
    def brief(self) -> str:
        """The number and its requirement, without what was measured."""
        if not np.isfinite(self.value):
            return self.verdict.value
        return f"{self._plain(self.value)} ({self.requirement})"

    def __str__(self) -> str:
        if self.verdict is Verdict.UNDECIDED:
            return f"{self.quantity}: no verdict, {self.reason}"
        spread = ""
        if self.interval is not None:
            spread = f" [{', '.join(map(self._plain, self.interval))}]"
        sense = "meets" if self.verdict is Verdict.SUPPORTED else "misses"
        return f"{self.quantity}: {self._plain(self.value)}{spread} {sense} {self.requirement}"

    def _plain(self, value: float) -> str:
        """As `number`, in the characters that every terminal and parser reads."""
        return self.number(value) if self.order else f"{value:.3g}"


@checked
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


def undecided(quantity: str, reason: str, requirement: str = "") -> Measurement:
    """Return the measurement of something that could not be measured."""
    return Measurement(quantity, float("nan"), requirement, Verdict.UNDECIDED, 0, reason=reason)
