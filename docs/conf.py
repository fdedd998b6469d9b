"""Build of the documentation: `make docs`, warnings are errors."""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import momentumflow

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import source_pages  # noqa: E402

project = "momentumflow"
author = "the momentumflow developers"
copyright = "2026, the momentumflow developers"  # noqa: A001
release = version = momentumflow.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.linkcode",
    "source_pages",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "numpydoc",
]
exclude_patterns = ["_build"]
templates_path: list[str] = []
nitpicky = True
linkcode_resolve = source_pages.resolve

html_theme = "furo"
html_title = f"momentumflow {release}"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["formulas.css", "drawing.css"]

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 3

# Tutorials are notebooks in Markdown; each is executed, and an error in one
# fails the build.
nb_execution_mode = "cache"
# An output is taken from the cache only if the package has not changed since.
_sources = [*(HERE.parent / path for path in source_pages.sources().values()), *HERE.glob("*.py")]
_digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(_sources))).hexdigest()
nb_execution_cache_path = str(HERE / "_build" / ".jupyter_cache" / _digest[:16])
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_render_markdown_format = "myst"

# Formulas inside HTML that objects display are typeset as well.
mathjax3_config = {
    "tex": {"inlineMath": [["\\(", "\\)"], ["$", "$"]]},
    "options": {
        "ignoreHtmlClass": "document",
        "processHtmlClass": "tex2jax_process|mathjax_process|math|output",
    },
}
# The options above take the place of those that MyST would set.
suppress_warnings = ["myst.mathjax"]
myst_update_mathjax = False

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True}
numpydoc_show_class_members = False
default_role = "code"

_QUOTED = re.compile(r"(``[^`]*``|:\w+:`[^`]*`|`[^`]*`)")


def _plain_text(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape what reStructuredText would read as markup in the docstrings' plain formulas."""
    example = False
    for i, line in enumerate(lines):
        stripped = line.strip()
        example = stripped.startswith(">>>") or (example and bool(stripped))
        if example or "::" in line:
            continue
        parts = _QUOTED.split(line)
        for k in range(0, len(parts), 2):
            text = parts[k].replace("|", r"\|").replace("*", r"\*")
            # A quotation has to end at a word's end: the plural of `v` too.
            glue = r"\ " if k and text[:1].isalpha() else ""
            parts[k] = glue + re.sub(r"(\w)_(?=\W|$)", r"\1\\_", text)
        lines[i] = "".join(parts)


def _skip(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    # Fields of dataclasses are described in the class's own docstring.
    if what == "class" and not (inspect.isroutine(obj) or isinstance(obj, property)):
        return None if name == "__init__" else True
    return None


def setup(app: Any) -> None:
    # Before numpydoc, which reads the sections.
    app.connect("autodoc-process-docstring", _plain_text, priority=100)
    app.connect("autodoc-skip-member", _skip)
