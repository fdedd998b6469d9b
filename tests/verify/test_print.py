"""The report on paper: what a headless browser prints to PDF, read and looked at by PDFium."""

import re

import numpy as np
import pypdfium2
import pytest

from momentumflow.verify import run
from momentumflow.verify.report.html_page import prose

from ..browser import opened

NAMES = ("one-parameter", "balancedness-law", "limit-heavy-ball", "lasso-path-with-momentum")
# Marks before and after everything that must not be torn apart; small pages tear a lot.
MARKS = """<style>
@page { size: 15cm 15cm !important; }
.mark { font-size: 4px; display: inline-block; }
</style>
<script>
document.querySelectorAll("figure, tr").forEach((e, i) => {
  const box = e.tagName === "TR" ? e.cells[0] : e;
  box.insertAdjacentHTML("afterbegin", `<span class="mark">begin${i}.</span>`);
  box.insertAdjacentHTML("beforeend", `<span class="mark">end${i}.</span>`);
});
</script></body>"""


@pytest.fixture(scope="module")
def report():
    return run(NAMES, seeds=2, quick=True)


@pytest.fixture(scope="module")
def print_pdf(chromium, tmp_path_factory):
    def printed(html):
        folder = tmp_path_factory.mktemp("print")
        (folder / "page.html").write_text(html, encoding="utf-8")
        target = folder / "page.pdf"
        with opened() as page:
            page.goto((folder / "page.html").as_uri())
            page.pdf(path=target, prefer_css_page_size=True, print_background=True)
        return pypdfium2.PdfDocument(target)

    return printed


@pytest.fixture(scope="module")
def paper(report, print_pdf):
    return print_pdf(report.to_html())


def _texts(document):
    return [page.get_textpage().get_text_bounded() for page in document]


def _plain(text):
    """Letters and digits alone: how a PDF spaces and breaks words does not matter."""
    return re.sub(r"\W+", "", text)


def test_every_claim_is_on_paper_whole_and_few_pages_are_enough(report, paper):
    text = _plain(" ".join(_texts(paper)))
    for result in report.results:
        claim = result.claim
        said = [claim.title, claim.statement, claim.caption, claim.source]
        said += [m.quantity for m in result.evidence.measurements]
        said += [c.mutation.description for c in result.controls]
        for words in said:
            assert _plain(prose(words)) in text, words
    # Half a page for the head, one for the end, two or three a claim, and a page for
    # every four steps of its proofs, which paper shows unfolded.
    steps = sum(len(result.proofs) for result in report.results)
    assert 4 <= len(paper) <= 3 + 3 * len(NAMES) + steps / 4


def test_paper_is_white_and_nothing_runs_off_it(paper):
    for page in paper:
        width, _ = page.get_size()
        dots = page.render(scale=2, grayscale=True).to_numpy().squeeze()
        assert np.median(dots) == 255
        edge = int(2 * 12 * 72 / 25.4)  # 12 of the 13 mm that the style leaves free
        for strip in (dots[:, :edge], dots[:, -edge:], dots[:edge], dots[-edge:]):
            assert strip.min() == 255
        boxes = [o.get_bounds() for o in page.get_objects()]
        assert all(x0 >= 0 and x1 <= width for x0, _, x1, _ in boxes)


def _torn(document):
    pages = {}
    for number, text in enumerate(_texts(document)):
        for kind, mark in re.findall(r"(begin|end)(\d+)\.", text):
            pages.setdefault(mark, {})[kind] = number
    assert len(pages) > 20  # figures and rows of the tables
    return sorted(int(mark) for mark, where in pages.items() if where["begin"] != where["end"])


def test_no_figure_and_no_row_is_torn_between_pages(report, print_pdf):
    html = report.to_html().replace("</body>", MARKS)
    assert _torn(print_pdf(html)) == []
    # Without the rule that forbids it things are torn: the marks do notice.
    assert _torn(print_pdf(html.replace("break-inside: avoid", ""))) != []


def test_verdicts_need_no_colour(paper):
    # The verdicts' signs are there as text, so that no colour is needed to read them.
    text = " ".join(_texts(paper))
    assert "✓ supported" in text
    assert "✗ not supported" in text
