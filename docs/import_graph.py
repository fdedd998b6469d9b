"""Which part of the package imports which, for `architecture.md`.

The parts are the headings of that page and the files listed under each; grimp, the
graph library of import-linter, reads the imports. Nothing about either is written
here, so what is shown cannot disagree with the page or with the code.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
ROOMS = ("momentumflow", "verify", "numeric", "symbolic")
# Run where the package is laid out as it is installed: grimp knows no other mapping.
_GRIMP = """
import grimp, json
graph = grimp.build_graph("momentumflow", cache_dir=None, exclude_type_checking_imports=True)
print(json.dumps([
    (a, b, all(line["is_lazy"] for line in graph.get_import_details(importer=a, imported=b)))
    for a in graph.modules for b in graph.find_modules_directly_imported_by(a)]))
"""


@dataclass(frozen=True)
class Part:
    """A heading of the page: a group of files inside one room."""

    room: str
    title: str
    files: tuple[str, ...]  # paths relative to the room; a folder ends in "/"

    @property
    def anchor(self) -> str:
        """The anchor of the heading on the page."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    @property
    def ground(self) -> bool:
        """Whether this is the ground floor, which all others may use."""
        return self.files[0].startswith("base/")

    def owns(self, path: Path) -> bool:
        """Whether a file (relative to the repository) belongs to this part."""
        name = path.as_posix()
        return any(
            name.startswith(f"{self.room}/{f}") if f.endswith("/") else name == f"{self.room}/{f}"
            for f in self.files
        )


def parts() -> list[Part]:
    """Return the parts that the page lists, in its order."""
    found: list[Part] = []
    room = ""
    for chunk in re.split(r"^(?=##)", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE):
        heading, _, body = chunk.partition("\n")
        level, _, title = heading.partition(" ")
        if level == "##":
            named = re.search(r"`(\w+)/`", title)
            room = named[1] if named else ""
        elif level == "###" and room:
            files = re.findall(r"^- `([\w./]+)`", body, re.MULTILINE)
            found.append(Part(room, title.strip(), tuple(files)))
    return found


def sources() -> dict[str, Path]:
    """Return every module of the package by name, relative to the repository."""
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            relative = path.relative_to(ROOT)
            dotted = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
            found[dotted if room == "momentumflow" else f"momentumflow.{dotted}"] = relative
    return found


@cache
def imports() -> dict[tuple[str, str], bool]:
    """Return the pairs of modules (importing, imported), and whether only functions import it."""
    done = subprocess.run(
        [sys.executable, "-c", _GRIMP], cwd=ROOT / ".layout", capture_output=True, check=True
    )
    return {(a, b): deferred for a, b, deferred in json.loads(done.stdout)}


def uses(listed: list[Part]) -> dict[Part, set[Part]]:
    """Return for each part the other parts that its files import at once."""
    home = {name: part for name, path in sources().items() for part in listed if part.owns(path)}
    found: dict[Part, set[Part]] = {part: set() for part in listed}
    for (a, b), deferred in imports().items():
        if not deferred and a in home and b in home and home[a] != home[b]:
            found[home[a]].add(home[b])
    return found


def levels(room: str, used: dict[Part, set[Part]]) -> list[list[Part]]:
    """Return the parts of a room from the top level down: imports lead to lower levels."""
    inside = {a: {b for b in used[a] if b.room == room} for a in used if a.room == room}
    order = TopologicalSorter(inside)
    order.prepare()  # an error if the parts import each other in a circle
    found = []
    while order.is_active():
        ready = order.get_ready()
        found.append([part for part in inside if part in ready])
        order.done(*ready)
    return found[::-1]


class Drawing:
    """What a notebook shows: rooms and levels one above the other, each box with what it uses."""

    def _repr_html_(self) -> str:
        everything = uses(parts())
        used = {a: {b for b in bs if not b.ground} for a, bs in everything.items() if not a.ground}
        rooms = {f"{room}/": levels(room, used) for room in ROOMS}
        rooms["momentumflow/base/"] = [[part for part in everything if part.ground]]
        return "".join(
            f'<section class="room"><h4><code>{room}</code></h4>'
            f"{''.join(self._row(level, used) for level in floor)}</section>"
            for room, floor in rooms.items()
        )

    def _row(self, level: list[Part], used: dict[Part, set[Part]]) -> str:
        boxes = []
        for part in level:
            names = ", ".join(link(b) for b in used if b in used.get(part, ()))
            boxes.append(f"<div><strong>{link(part)}</strong>{names and f'<p>{names}</p>'}</div>")
        return f'<div class="level">{"".join(boxes)}</div>'


def link(part: Part) -> str:
    """Return a link to the part's files on the page."""
    return f'<a href="#{part.anchor}">{html.escape(part.title)}</a>'
