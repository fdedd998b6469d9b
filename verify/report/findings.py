"""What a verification found: results, settings, provenance, and what follows from them."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import Self

from momentumflow.base.arguments import checked
from momentumflow.base.values import Value
from momentumflow.verify.claim import Mutation
from momentumflow.verify.evidence import Verdict
from momentumflow.verify.results import ClaimResult
from momentumflow.verify.settings import Settings

_RECORDED = ("momentumflow", "numpy", "scipy", "sympy", "cvxpy", "clarabel", "numba", "matplotlib")


def environment() -> dict[str, str]:
    """Return the versions that a result rests on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _RECORDED:
        found[name] = metadata.version(name)
    return found


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Findings(Value):
    """The results of one verification, with their provenance.

    Attributes
    ----------
    results : tuple of ClaimResult
        In the order they were judged.
    settings : Settings
        Seeds and tolerances.
    created : str
        UTC time of creation, ISO 8601.
    versions : dict
        Versions of Python and of the libraries.
    """

    results: tuple[ClaimResult, ...]
    settings: Settings
    created: str
    versions: dict[str, str] = field(repr=False)

    @classmethod
    def of(cls, results: Iterable[ClaimResult], settings: Settings) -> Self:
        """Return the report on `results`, stamped with the time and the versions.

        Parameters
        ----------
        results : iterable of ClaimResult
        settings : Settings
            That they were judged under.
        """
        created = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(tuple(results), settings, created, environment())

    @property
    def verdict(self) -> Verdict:
        """Joint verdict: supported only if every claim is; questions do not count."""
        laws = [r.verdict for r in self.results if not r.claim.question]
        return Verdict.of(laws or [r.verdict for r in self.results])

    @property
    def exit_code(self) -> int:
        """0 if every claim is supported, else 1."""
        return 0 if self.verdict is Verdict.SUPPORTED else 1

    @property
    def seconds(self) -> float:
        """Time that judging took, in seconds."""
        return sum(r.seconds for r in self.results)

    def summary(self) -> str:
        """One sentence: how many claims have which verdict."""
        counts = {v: sum(r.verdict is v for r in self.results) for v in Verdict}
        parts = [f"{n} {v.value}" for v, n in counts.items() if n]
        claims = "claim" if len(self.results) == 1 else "claims"
        return f"{len(self.results)} {claims} in {self.seconds:.1f} s: {', '.join(parts)}"

    def mutants(self) -> tuple[tuple[Mutation, tuple[tuple[str, Verdict], ...]], ...]:
        """Return each planted mistake with the claims that had to catch it: (name, whether)."""
        seen: dict[str, tuple[Mutation, list[tuple[str, Verdict]]]] = {}
        for result in self.results:
            for control in result.controls:
                _, catchers = seen.setdefault(control.mutation.name, (control.mutation, []))
                catchers.append((result.claim.name, control.verdict))
        return tuple((mutation, tuple(catchers)) for mutation, catchers in seen.values())

    def complaints(self) -> tuple[str, ...]:
        """One sentence for each claim that is not supported, or only with a caveat."""
        return tuple(
            f"{r.claim.name}: {r.verdict.value}{' (a question)' if r.claim.question else ''}: "
            f"{r.caveat if r.verdict is Verdict.SUPPORTED else r.explanation}"
            for r in self.results
            if r.verdict is not Verdict.SUPPORTED or r.caveat
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.summary()}>"

    def __str__(self) -> str:
        rows = [f"{r.verdict.value:14} {r.claim.name}: {r.explanation}" for r in self.results]
        return "\n".join([self.summary(), *rows])
