"""Which part of the package imports which: read from the sources, drawn for `architecture.md`.

The parts are the headings of `architecture.md` and the files listed under each;
the arrows are the import statements of those files. Nothing about either is
written here, so the drawing cannot disagree with the page or with the code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
ROOMS = ("momentumflow", "verify", "numeric", "symbolic")
# Every room may import the ground floor, which imports none of them.
GROUND = "momentumflow.base."


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

    def owns(self, path: Path) -> bool:
        """Whether a file (relative to the repository) belongs to this part."""
        name = path.as_posix()
        return any(
            name.startswith(f"{self.room}/{f}") if f.endswith("/") else name == f"{self.room}/{f}"
            for f in self.files
        )


def parts(text: str | None = None) -> list[Part]:
    """Return the parts that the page lists, in its order."""
    text = PAGE.read_text(encoding="utf-8") if text is None else text
    found: list[Part] = []
    room = ""
    for chunk in re.split(r"^(?=##)", text, flags=re.MULTILINE):
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
    """Return every module of the package by name; generated kernels count as their folder."""
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            relative = path.relative_to(ROOT)
            dotted = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
            found[dotted if room == "momentumflow" else f"momentumflow.{dotted}"] = relative
    return found


def _public(modules: dict[str, Path]) -> dict[tuple[str, str], str]:
    """Return the module behind each public name of a room, from the stub that exports it."""
    behind = {}
    for stub in ROOT.glob("*/**/__init__.pyi"):
        relative = stub.relative_to(ROOT).parent.parts
        package = ".".join(
            relative if relative[0] == "momentumflow" else ("momentumflow", *relative)
        )
        for node in ast.parse(stub.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    target = f"{package}.{node.module}"
                    if target in modules:
                        behind[package, alias.name] = target
    # `momentumflow.numeric` passes on what `momentumflow.numeric.implicit` exports.
    return {key: behind.get((target, key[1]), target) for key, target in behind.items()}


def _statements(tree: ast.AST, *, deferred: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the import statements that run; what only a type checker reads is left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif deferred or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _statements(node, deferred=deferred)


@cache
def imports(*, deferred: bool = False) -> frozenset[tuple[str, str]]:
    """Return the pairs of modules (importing, imported).

    Those at module level; with `deferred` also those inside functions, which run
    when the function is called.
    """
    modules = sources()
    public = _public(modules)
    found = set()
    for name, path in modules.items():
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        for node in _statements(tree, deferred=deferred):
            if isinstance(node, ast.Import):
                targets = [a.name for a in node.names]
            else:
                module = node.module or ""
                targets = [
                    public.get(
                        (module, a.name),
                        f"{module}.{a.name}" if f"{module}.{a.name}" in modules else module,
                    )
                    for a in node.names
                ]
            found |= {
                (name, t)
                for t in targets
                if t in modules and t != name and not t.startswith(GROUND)
            }
    return frozenset(found)


def arrows(listed: list[Part], *, deferred: bool = False) -> set[tuple[Part, Part]]:
    """Return the pairs of different parts between which there is an import."""
    modules = sources()
    home = {name: part for name, path in modules.items() for part in listed if part.owns(path)}
    pairs = {(home[a], home[b]) for a, b in imports(deferred=deferred) if a in home and b in home}
    return {(a, b) for a, b in pairs if a != b}


def reachable(pairs: set[tuple[Part, Part]]) -> set[tuple[Part, Part]]:
    """Return the transitive closure."""
    after: dict[Part, set[Part]] = {}
    for a, b in pairs:
        after.setdefault(a, set()).add(b)
    closure = set()
    for start, first in after.items():
        waiting = list(first)
        met: set[Part] = set()
        while waiting:
            part = waiting.pop()
            if part not in met:
                met.add(part)
                waiting += after.get(part, ())
        closure |= {(start, part) for part in met}
    return closure


def essential(pairs: set[tuple[Part, Part]]) -> set[tuple[Part, Part]]:
    """Return the arrows that do not follow from others (of an acyclic graph, its reduction)."""
    closure = reachable(pairs)
    return {
        (a, b)
        for a, b in pairs
        if not any((a, c) in closure and (c, b) in closure for _, c in closure)
    }
