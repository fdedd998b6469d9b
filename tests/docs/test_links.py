"""The link checker finds what is broken; `make docs` runs it over the built site."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from .conftest import ROOT

pytest.importorskip("bs4", reason="beautifulsoup4 comes with the docs extra")


@pytest.fixture(scope="module")
def checker():
    spec = importlib.util.spec_from_file_location("check_links", ROOT / "tools" / "check_links.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_links"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["check_links"]


@pytest.fixture
def site(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(
        '<a href="sub/page.html#here">a</a> <a href="#top">b</a> <p id="top"></p>'
        '<a href="https://example.org/x#y">c</a> <img src="sub/picture.svg">',
        encoding="utf-8",
    )
    (tmp_path / "sub" / "page.html").write_text(
        '<a name="here"></a><a href="../index.html">back</a>', encoding="utf-8"
    )
    (tmp_path / "sub" / "picture.svg").write_text("<svg/>", encoding="utf-8")
    return tmp_path


def test_a_sound_site_has_no_faults(checker, site):
    faults, links = checker.check(checker.html_links(site))
    assert faults == []
    assert len(links) == 5


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("sub/page.html#here", "sub/pages.html#here", "sub/pages.html#here: no such file"),
        ("sub/page.html#here", "sub/page.html#there", "sub/page.html#there: no such anchor"),
        ("#top", "#bottom", "#bottom: no such anchor"),
        ("sub/picture.svg", "picture.svg", "picture.svg: no such file"),
        ("https://example.org", "https://example", "https://example/x#y: not an address"),
        ("https://example.org", "htp://example.org", "htp://example.org/x#y: not an address"),
    ],
)
def test_a_broken_link_is_found(checker, site, right, wrong, said):
    path = site / "index.html"
    text = path.read_text(encoding="utf-8")
    assert right in text
    path.write_text(text.replace(right, wrong), encoding="utf-8")
    faults, _ = checker.check(checker.html_links(site))
    assert faults == [f"index.html: {said}"]


def test_the_links_of_the_markdown_files_resolve(checker):
    faults, links = checker.check(checker.markdown_links(ROOT))
    assert faults == []
    assert {"README.md", "CONTRIBUTING.md"} <= {link.file.name for link in links}


def test_a_markdown_link_to_nowhere_is_found(checker, tmp_path):
    (tmp_path / "a.md").write_text("# One two\n[x](#one-two) [y](#two) [z](b.md)", encoding="utf-8")
    faults, _ = checker.check(checker.markdown_links(tmp_path))
    assert faults == ["a.md: #two: no such anchor", "a.md: b.md: no such file"]
