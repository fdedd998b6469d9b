"""The architecture page lists every file once, and its drawing shows the imports there are."""

from __future__ import annotations

import importlib
import re
import sys
from itertools import pairwise

import pytest

from .conftest import ROOT


@pytest.fixture(scope="module")
def graph():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        yield importlib.import_module("import_graph"), importlib.import_module("import_drawing")
    finally:
        sys.path.remove(str(ROOT / "docs"))


def test_every_file_is_listed_once_and_every_listed_file_exists(graph):
    graph, _ = graph
    listed = graph.parts()
    for path in graph.sources().values():
        owners = [part.title for part in listed if part.owns(path)]
        # An __init__ only hands on what the others define.
        least = 0 if path.name == "__init__.py" else 1
        assert least <= len(owners) <= 1, f"docs/architecture.md lists {path} {len(owners)} times"
    for part in listed:
        for file in part.files:
            assert (ROOT / part.room / file).exists(), (
                f"{part.room}/{file} is listed but is not there"
            )


def test_imports_run_one_way_even_inside_functions(graph):
    graph, _ = graph
    pairs = graph.arrows(graph.parts(), deferred=True)
    assert len(pairs) > 40
    for a, b in pairs:
        assert graph.ROOMS.index(a.room) <= graph.ROOMS.index(b.room), f"{a.title} -> {b.title}"


def test_the_drawing_shows_the_imports_and_nothing_else(graph):
    """Its arrows are imports, and every import follows from them."""
    graph, drawing = graph
    listed = graph.parts()
    by_title = {part.title: part for part in listed}
    text = drawing.svg()
    shown = {
        (by_title[a], by_title[b])
        for a, b in re.findall(r"<title>(.+?) imports (.+?)</title>", text)
    }
    direct = graph.arrows(listed)
    everywhere = graph.arrows(listed, deferred=True)
    assert shown <= everywhere
    closure = graph.reachable(shown)
    assert direct <= closure
    assert {(a, b) for a, b in everywhere if a.room != b.room} <= closure
    assert not any(a == b for a, b in closure), "the parts import each other in a circle"
    dashed = set(re.findall(r'class="arrow deferred[^>]*><title>(.+?) imports (.+?)<', text))
    assert dashed == {(a.title, b.title) for a, b in shown - direct}


def test_every_box_leads_to_a_heading_of_the_page(graph):
    graph, drawing = graph
    anchors = set(re.findall(r'<a href="#([\w-]+)"', drawing.svg()))
    assert anchors == {part.anchor for part in graph.parts()}


def test_the_arrows_of_the_drawing_miss_the_boxes(graph):
    """Only their ends touch one: an arrow through a box would read as an import of it."""
    _, drawing = graph
    listed = drawing.parts()
    drawn, _ = drawing.graph(listed)
    boxes, bands = drawing.placed(listed, drawn)
    for arrow, corners in drawing.routes(boxes, drawn).items():
        for box in boxes:
            inside = [
                (x, y)
                for (x0, y0), (x1, y1) in pairwise(corners)
                for k in range(1, 40)
                for x, y in [(x0 + (x1 - x0) * k / 40, y0 + (y1 - y0) * k / 40)]
                if box.x < x < box.x + box.width and box.y < y < box.y + drawing.ROW
            ]
            assert not inside, (arrow[0].title, arrow[1].title, box.part.title)
        assert all(0 < x < drawing.WIDTH and 0 < y < bands[-1][2] for x, y in corners)


def test_a_wrong_import_is_noticed(graph, monkeypatch):
    """Negative control: an import from a lower room to a higher one turns an arrow round."""
    graph, _ = graph
    real = graph.imports
    upward = {("momentumflow.symbolic.trees.rooted_trees", "momentumflow.verify.claim")}
    monkeypatch.setattr(graph, "imports", lambda **options: real(**options) | upward)
    pairs = graph.arrows(graph.parts(), deferred=True)
    assert any(graph.ROOMS.index(a.room) > graph.ROOMS.index(b.room) for a, b in pairs)
    assert any(a == b for a, b in graph.reachable(pairs))
