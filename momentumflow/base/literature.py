"""The literature that results rest on: read from `literature.bib` and set by pybtex."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pybtex.backends import BaseBackend, html, plaintext
from pybtex.database import BibliographyData, Entry, parse_file
from pybtex.style.formatting.unsrt import Style

from momentumflow.base.version import __version__

_BIBLIOGRAPHY = parse_file(str(Path(__file__).with_name("literature.bib")), "bibtex")
_BIBLIOGRAPHY.entries["momentumflow"].fields["note"] = f"Version {__version__}"
# More authors than these are "et al." where space is short.
_NAMED = 3


@dataclass(frozen=True)
class Source:
    """One work of the bibliography.

    Parameters
    ----------
    key : str
        Its BibTeX key.
    """

    key: str

    @property
    def _entry(self) -> Entry:
        return _BIBLIOGRAPHY.entries[self.key]

    @property
    def authors(self) -> tuple[str, ...]:
        """The authors in order, "Given Family"; "others" stands for those left out."""
        return tuple(
            " ".join([*p.first_names, *p.middle_names, *p.prelast_names, *p.last_names]).strip("{}")
            for p in self._entry.persons["author"]
        )

    def field(self, name: str) -> str:
        """Return a field of the entry ("title", "year", "doi", ...), "" if it has none."""
        return str(self._entry.fields.get(name, "")).strip("{}")

    @property
    def arxiv(self) -> str:
        """The identifier at arXiv, "" if there is none."""
        return self.field("eprint")

    @property
    def doi(self) -> str:
        """The digital object identifier, "" if there is none."""
        return self.field("doi")

    def __str__(self) -> str:
        return self._set(plaintext.Backend())

    def html(self) -> str:
        """Return the work as a line of HTML, with links."""
        return self._set(html.Backend())

    def _set(self, backend: BaseBackend) -> str:
        (done,) = Style().format_entries([self._entry])
        return " ".join(done.text.render(backend).split())

    def short(self) -> str:
        """Return the surnames and where to find the work, for a running text."""
        people = self._entry.persons["author"]
        names = [" ".join(p.last_names) for p in people[:1] if len(people) > _NAMED]
        names = [f"{n} et al." for n in names] or [" ".join(p.last_names) for p in people]
        where = f"arXiv {self.arxiv}" if self.arxiv else f"doi:{self.doi}" if self.doi else ""
        return ", ".join([*names, where or self.field("year")])

    def bibtex(self) -> str:
        """Return the work as a BibTeX entry."""
        return BibliographyData({self.key: self._entry}).to_string("bibtex").strip()

    def to_dict(self) -> dict[str, object]:
        """Return the work as plain data."""
        fields = {name: self.field(name) for name in self._entry.fields}
        return {"key": self.key, "type": self._entry.type, "authors": list(self.authors)} | fields


SOURCES = {key: Source(key) for key in _BIBLIOGRAPHY.entries}
