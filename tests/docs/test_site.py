"""The documentation covers what there is; `make docs` builds it and runs its notebooks."""

from __future__ import annotations

import re

from .conftest import ROOT

DOCS = ROOT / "docs"
PAGES = {
    p.relative_to(DOCS).with_suffix("").as_posix(): p.read_text(encoding="utf-8")
    for p in DOCS.rglob("*.md")
    if "_build" not in p.parts
}


def test_every_page_is_in_a_table_of_contents():
    listed = set()
    for name, text in PAGES.items():
        folder = name.rpartition("/")[0]
        for entries in re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL):
            for entry in entries.split("\n"):
                if entry and not entry.startswith(":"):
                    listed.add(f"{folder}/{entry}" if folder else entry)
    assert listed == set(PAGES) - {"index"}


def test_the_pages_name_public_things_that_exist():
    import momentumflow

    named = 0
    for text in PAGES.values():
        for path in re.findall(r"\{py:\w+\}`~?(momentumflow[\w.]*)`", text):
            thing = momentumflow
            for part in path.split(".")[1:]:
                thing = getattr(thing, part)
            named += 1
    assert named >= 10


def test_no_page_names_a_place_of_one_machine():
    for name, text in PAGES.items():
        assert not re.search(r"/(root|home|work|tmp)/", text), name
