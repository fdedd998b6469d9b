"""Source pages of the site: every module highlighted, every line with an anchor of its own.

`sphinx.ext.linkcode` leads from the reference to them, `formulas.py` from each
formula to the line that states or proves it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import posixpath
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from import_graph import ROOT, sources

FOLDER = "source"


def address(path: Path, line: int) -> str:
    """Return the page and anchor of a line, from the root of the site."""
    return f"{FOLDER}/{path.with_suffix('').as_posix()}.html#line-{line}"


def of_object(thing: Any) -> str | None:
    """Return the address of the definition of a function, class or property of the package."""
    if isinstance(thing, property):
        thing = thing.fget
    thing = inspect.unwrap(getattr(thing, "func", thing))
    try:
        file, (_, line) = inspect.getsourcefile(thing), inspect.getsourcelines(thing)
    except (TypeError, OSError):
        return None
    known = {(ROOT / path).resolve(): path for path in sources().values()}
    path = known.get(Path(file).resolve()) if file else None
    return None if path is None else address(path, max(line, 1))


def of_name(name: str) -> str | None:
    """Return the address of a public object by its dotted name."""
    package, _, rest = name.partition(".")
    thing: Any = importlib.import_module(package)
    for part in rest.split("."):
        # Not getattr alone: a property of a class has to stay a property.
        thing = (
            inspect.getattr_static(thing, part) if inspect.isclass(thing) else getattr(thing, part)
        )
    return of_object(thing)


@cache
def _stated() -> list[tuple[re.Pattern[str], str]]:
    """Return a pattern of the name of each `Identity`, and where it is stated.

    The name is the first argument of a call: a string, a string with values in it,
    or a variable, and then it stands somewhere else in the same file.
    """
    calls, strings, composed = [], [], []
    for path in sources().values():
        text = (ROOT / path).read_text(encoding="utf-8")
        if "Identity" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                strings.append((_pattern(node), address(path, node.lineno)))
            elif isinstance(node, ast.JoinedStr) and len(_pattern(node).replace(".+", "")) > 10:
                composed.append((_pattern(node), address(path, node.lineno)))
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Identity" and node.args:
                calls.append((_pattern(node.args[0]), address(path, node.lineno)))
    return [(re.compile(p), where) for p, where in (*calls, *strings, *composed) if p]


def _pattern(name: ast.expr) -> str:
    if isinstance(name, ast.Constant):
        return re.escape(str(name.value))
    if isinstance(name, ast.JoinedStr):
        return "".join(
            re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+"
            for part in name.values
        )
    return ""


def of_identity(name: str) -> str | None:
    """Return the address of the line that states an identity, None if it is not found."""
    return next((where for pattern, where in _stated() if pattern.fullmatch(name)), None)


def resolve(domain: str, info: dict[str, Any]) -> str | None:
    """Answer `sphinx.ext.linkcode`: every page of the reference is one folder deep."""
    if domain != "py" or not info["module"]:
        return None
    try:
        found = of_name(f"{info['module']}.{info['fullname']}")
    except AttributeError:
        # A field of a dataclass: it is described where its class is.
        return None
    return None if found is None else posixpath.join("..", found)


def pages(app: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield one page a module, for the event `html-collect-pages`."""
    for path in sources().values():
        code = (ROOT / path).read_text(encoding="utf-8")
        body = app.builder.highlighter.highlight_block(
            code, "python", lineanchors="line", anchorlinenos=True, linenos="inline"
        )
        name = path.as_posix()
        title = f"<h1><code>{name}</code></h1>"
        context = {"title": name, "body": title + body}
        yield f"{FOLDER}/{path.with_suffix('').as_posix()}", context, "page.html"


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
