"""What a verification found, for a terminal, for machines, for CI and for people.

One `Report` gives four views: a rich table, JSON (its schema is the file
`report.schema.json` beside this module, returned by `schema()`), JUnit XML, and
one self-contained HTML page (`momentumflow.verify.report.html_page`).
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from momentumflow.base.errors import InputError
from momentumflow.base.values import Value
from momentumflow.verify.claim import Mutation
from momentumflow.verify.evidence import Measurement, Verdict
from momentumflow.verify.results import ClaimResult
from momentumflow.verify.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.console import Group
    from rich.table import Table

SCHEMA_VERSION = 1
_RECORDED = ("momentumflow", "numpy", "scipy", "sympy", "cvxpy", "clarabel", "numba", "matplotlib")
_STYLES = {Verdict.SUPPORTED: "green", Verdict.REFUTED: "bold red", Verdict.UNDECIDED: "yellow"}


def environment() -> dict[str, str]:
    """Return the versions that a result rests on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _RECORDED:
        found[name] = metadata.version(name)
    return found


@dataclass(frozen=True, eq=False, repr=False)
class Report(Value):
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
    def of(cls, results: Iterable[ClaimResult], settings: Settings) -> Report:
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

    def table(self) -> Table:
        """Return the verdicts as a rich table."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title="momentumflow verify", title_justify="left", box=None, pad_edge=False)
        table.add_column("claim", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        table.add_column("measured (required)", no_wrap=True)
        table.add_column("proofs", justify="right")
        table.add_column("controls", justify="right")
        for r in self.results:
            proven = sum(p.verdict is Verdict.SUPPORTED for p in r.proofs)
            table.add_row(
                r.claim.name,
                Text(r.verdict.value, style=_STYLES[r.verdict]),
                r.evidence.deciding.brief,
                f"{proven}/{len(r.proofs)}" if r.proofs else "",
                f"{sum(c.rejected for c in r.controls)}/{len(r.controls)}" if r.controls else "",
            )
        return table

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each claim: its verdict and what was measured, against what.

        Columns: theme, verdict, quantity, value, low, high (ends of the interval),
        requirement, samples, proofs, proved, controls, rejected, seconds.
        """
        import pandas as pd

        rows = []
        for r in self.results:
            m = r.evidence.deciding
            low, high = m.interval or (math.nan, math.nan)
            rows.append(
                {
                    "claim": r.claim.name,
                    "theme": r.claim.theme,
                    "verdict": r.verdict.value,
                    "quantity": m.quantity,
                    "value": m.value,
                    "low": low,
                    "high": high,
                    "requirement": m.requirement,
                    "samples": m.samples,
                    "proofs": len(r.proofs),
                    "proved": sum(p.verdict is Verdict.SUPPORTED for p in r.proofs),
                    "controls": len(r.controls),
                    "rejected": sum(c.rejected for c in r.controls),
                    "seconds": r.seconds,
                }
            )
        return pd.DataFrame(rows).set_index("claim")

    def mutants(self) -> tuple[tuple[Mutation, tuple[tuple[str, bool], ...]], ...]:
        """Return each planted mistake with the claims that had to catch it: (name, caught)."""
        seen: dict[str, tuple[Mutation, list[tuple[str, bool]]]] = {}
        for result in self.results:
            for control in result.controls:
                _, catchers = seen.setdefault(control.mutation.name, (control.mutation, []))
                catchers.append((result.claim.name, control.rejected))
        return tuple((mutation, tuple(catchers)) for mutation, catchers in seen.values())

    def complaints(self) -> tuple[str, ...]:
        """One sentence for each claim that is not supported."""
        return tuple(
            f"{r.claim.name}: {r.verdict.value}{' (a question)' if r.claim.question else ''}: "
            f"{r.explanation}"
            for r in self.results
            if r.verdict is not Verdict.SUPPORTED
        )

    def __rich__(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        return Group(self.table(), *(Text(line) for line in (*self.complaints(), self.summary())))

    def __repr__(self) -> str:
        return f"<Report: {self.summary()}>"

    def __str__(self) -> str:
        rows = [f"{r.verdict.value:14} {r.claim.name}: {r.explanation}" for r in self.results]
        return "\n".join([self.summary(), *rows])

    def _repr_html_(self) -> str:
        from momentumflow.verify.report.html_page import verdict_table

        return verdict_table(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data that fits `schema()`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "created": self.created,
            "verdict": self.verdict.value,
            "seconds": self.seconds,
            "settings": {
                "seeds": self.settings.seeds,
                "quick": self.settings.quick,
                "tolerance_scale": self.settings.tolerance_scale,
                "base_seed": self.settings.base_seed,
            },
            "versions": dict(self.versions),
            "claims": [_claim_dict(r) for r in self.results],
        }

    def to_json(self) -> str:
        """Return the report as JSON text; numbers that are not finite become null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"

    def to_junit(self) -> str:
        """Return JUnit XML: a suite for each theme, a case for each claim and control.

        A claim that is not supported is a failure, one without verdict an error.
        """
        root = ET.Element("testsuites", name="momentumflow verify", time=f"{self.seconds:.3f}")
        for theme in dict.fromkeys(r.claim.theme for r in self.results):
            suite = ET.SubElement(root, "testsuite", name=theme, timestamp=self.created)
            cases = failures = errors = 0
            for result in (r for r in self.results if r.claim.theme == theme):
                cases += 1
                case = ET.SubElement(
                    suite,
                    "testcase",
                    classname=theme,
                    name=result.claim.name,
                    time=f"{result.seconds:.3f}",
                )
                if result.claim.question:
                    ET.SubElement(
                        case, "system-out"
                    ).text = f"{result.verdict.value}: {_xml_text(result.explanation)}"
                elif result.verdict is Verdict.REFUTED:
                    failures += 1
                    ET.SubElement(case, "failure", message=_xml_text(result.explanation))
                elif result.verdict is Verdict.UNDECIDED:
                    errors += 1
                    ET.SubElement(case, "error", message=_xml_text(result.explanation))
                for control in result.controls:
                    cases += 1
                    name = f"{result.claim.name} rejects {control.mutation.name}"
                    inner = ET.SubElement(suite, "testcase", classname=theme, name=name)
                    if not control.rejected:
                        failures += 1
                        ET.SubElement(inner, "failure", message=_xml_text(control.explanation))
            suite.set("tests", str(cases))
            suite.set("failures", str(failures))
            suite.set("errors", str(errors))
        ET.indent(root)
        return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"

    def to_html(self) -> str:
        """Return one self-contained HTML page with figures, formulas and provenance."""
        from momentumflow.verify.report.html_page import render

        return render(self)

    def figures(self) -> dict[str, Figure]:
        """Return the figure of each claim that has one, by claim name."""
        return dict(self._drawn)

    @cached_property
    def _drawn(self) -> dict[str, Figure]:
        # Drawn once: the page and the files show the same figures.
        from momentumflow.verify.figure_style import style

        drawn = {}
        with style():
            for r in self.results:
                if r.claim.draw is not None and r.evidence.series:
                    drawn[r.claim.name] = r.claim.draw(r.evidence)
        return drawn

    @cached_property
    def drawings(self) -> dict[str, str]:
        """The figures as SVG documents, by claim name."""
        from momentumflow.verify.figure_style import document

        return {name: document(figure) for name, figure in self._drawn.items()}

    def write(self, folder: str | Path) -> tuple[Path, ...]:
        """Write index.html, report.json, junit.xml and the figures into `folder`.

        Raises
        ------
        InputError
            If the folder cannot be made or written to.
        """
        from momentumflow.verify.figure_style import save

        target = Path(folder)
        pages = {
            "index.html": self.to_html,
            "report.json": self.to_json,
            "junit.xml": self.to_junit,
        }
        written = []
        writable(target)
        try:
            for name, text in pages.items():
                path = target / name
                path.write_text(text(), encoding="utf-8")
                written.append(path)
            pictures = target / "figures"
            pictures.mkdir(exist_ok=True)
            for name, figure in self.figures().items():
                written.extend(save(figure, pictures, name, self.drawings[name]))
        except OSError as error:
            raise _unwritable(target, error) from error
        return tuple(written)


def writable(folder: Path) -> Path:
    """Return `folder`, made if it is missing, after trying to write into it.

    Raises
    ------
    InputError
        If that fails. Long work asks before it starts, not after.
    """
    probe = folder / ".momentumflow-write-test"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        "a report folder that can be written to",
        f"{folder} ({error.strerror or error})",
        "choose another one with --out",
    )


def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of `Report.to_json`."""
    text = (
        resources.files("momentumflow.verify.report")
        .joinpath("report.schema.json")
        .read_text("utf-8")
    )
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _claim_dict(result: ClaimResult) -> dict[str, Any]:
    claim = result.claim
    return {
        "name": claim.name,
        "theme": claim.theme,
        "title": claim.title,
        "statement": claim.statement,
        "formulas": list(claim.formulas),
        "source": claim.source,
        "question": claim.question,
        "verdict": result.verdict.value,
        "explanation": result.explanation,
        "seconds": result.seconds,
        "proofs": [
            {"name": p.name, "statement": p.statement, "verdict": p.verdict.value}
            for p in result.proofs
        ],
        "measurements": [
            {**_measurement_dict(m), "guards": list(result.guards(m))}
            for m in result.evidence.measurements
        ],
        "controls": [
            {
                "name": c.mutation.name,
                "description": c.mutation.description,
                "kind": c.mutation.kind,
                "rejected": c.rejected,
                "explanation": c.explanation,
            }
            for c in result.controls
        ],
    }


def _measurement_dict(m: Measurement) -> dict[str, Any]:
    interval = None if m.interval is None else [_finite(end) for end in m.interval]
    return {
        "quantity": m.quantity,
        "value": _finite(m.value),
        "interval": interval,
        "requirement": m.requirement,
        "samples": m.samples,
        "verdict": m.verdict.value,
        "reason": m.reason,
        "secondary": m.secondary,
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _xml_text(text: str) -> str:
    # XML 1.0 has no control characters, not even escaped.
    return "".join(c for c in text if c >= " " or c in "\t\n")
