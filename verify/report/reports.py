"""The views of what a verification found, for a terminal, for machines, for CI and for people.

One `Report` gives a rich table, JSON, JUnit XML, figures, and one self-contained
HTML page; each view has a module of its own beside this one.
"""

from __future__ import annotations

import errno
import json
import math
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from momentumflow.base import libraries
from momentumflow.base.arguments import FileName, checked
from momentumflow.base.errors import InputError
from momentumflow.base.figures import document, save
from momentumflow.base.files import write_whole
from momentumflow.verify.evidence import Verdict
from momentumflow.verify.report import html_page, json_view, junit_view
from momentumflow.verify.report.findings import Findings

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from rich.console import Group
    from rich.table import Table

_STYLES = {Verdict.SUPPORTED: "green", Verdict.REFUTED: "bold red", Verdict.UNDECIDED: "yellow"}


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Report(Findings):
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

    def table(self) -> Table:
        """Return the verdicts as a rich table."""
        rich = libraries.rich()
        table = rich.table.Table(
            title="momentumflow verify", title_justify="left", box=None, pad_edge=False
        )
        table.add_column("claim", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        table.add_column("measured (required)", no_wrap=True)
        table.add_column("proofs", justify="right")
        table.add_column("controls", justify="right")
        for r in self.results:
            proven = sum(p.verdict is Verdict.SUPPORTED for p in r.proofs)
            table.add_row(
                r.claim.name,
                rich.text.Text(r.verdict.value, style=_STYLES[r.verdict]),
                r.evidence.deciding.brief,
                f"{proven}/{len(r.proofs)}" if r.proofs else "",
                f"{sum(c.rejected for c in r.controls)}/{len(r.controls)}"
                if r.controls
                else "none",
            )
        return table

    def __rich__(self) -> Group:
        rich = libraries.rich()
        lines = (rich.text.Text(line) for line in (*self.complaints(), self.summary()))
        return rich.console.Group(self.table(), *lines)

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each claim: its verdict and what was measured, against what.

        Columns: theme, verdict, quantity, value, low, high (ends of the interval),
        requirement, samples, proofs, proved, controls, rejected, seconds.
        """
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
        return libraries.pandas().DataFrame(rows).set_index("claim")

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data that fits the schema of `to_json`."""
        return json_view.to_dict(self)

    def to_json(self) -> str:
        """Return the report as JSON text; numbers that are not finite become null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"

    def to_junit(self) -> str:
        """Return JUnit XML: a suite for each theme, a case for each claim and control.

        A claim that is not supported is a failure, one without verdict an error.
        """
        return junit_view.to_junit(self)

    def to_html(self) -> str:
        """Return one self-contained HTML page with figures, formulas and provenance."""
        return html_page.render(self, self.drawings)

    def _repr_html_(self) -> str:
        return html_page.verdict_table(self)

    def figures(self) -> dict[str, Figure]:
        """Return the figure of each claim that has one, by claim name."""
        return dict(self._drawn)

    @cached_property
    def _drawn(self) -> dict[str, Figure]:
        # Drawn once: the page and the files show the same figures.
        drawn = ((result.claim.name, result.plot()) for result in self.results)
        return {name: figure for name, figure in drawn if figure is not None}

    @cached_property
    def drawings(self) -> dict[str, str]:
        """The figures as SVG documents, by claim name."""
        return {name: document(figure) for name, figure in self._drawn.items()}

    def write(self, folder: FileName) -> tuple[Path, ...]:
        """Write index.html, report.json, junit.xml and the figures into `folder`.

        Files of these names are replaced; where one is a link, its target is left alone.

        Raises
        ------
        InputError
            If the folder cannot be made or written to.
        """
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
                write_whole(path, text())
                written.append(path)
            pictures = target / "figures"
            pictures.mkdir(exist_ok=True)
            if pictures.is_symlink():
                link = NotADirectoryError(errno.ENOTDIR, f"{pictures.name} is a link")
                raise _unwritable(target, link)
            for name, figure in self.figures().items():
                written.extend(save(figure, pictures, name, self.drawings[name]))
        except OSError as error:
            raise _unwritable(target, error) from error
        return tuple(written)


@checked
def writable(folder: Path) -> Path:
    """Return `folder`, made if it is missing, after trying to write into it.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If that fails. Long work asks before it starts, not after.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


def _unwritable(folder: Path, error: OSError) -> InputError:
    return InputError(
        "a report folder that can be written to",
        f"{folder} ({error.strerror or error})",
        "choose another one with --out",
    )
