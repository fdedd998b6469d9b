"""The report in a real headless browser: on a screen and at a phone's width nothing sticks out."""

import pytest

from momentumflow.verify import run

from ..browser import errors

# Counts elements beyond the window that no scrolling box holds, and drawings without size.
PROBE = """() => {
  const right = document.documentElement.clientWidth;
  const drawings = [...document.querySelectorAll("svg")].map(e => e.getBoundingClientRect());
  return {
    beyond: [...document.querySelectorAll("main *")].filter(e =>
      e.getBoundingClientRect().right > right + 1 && !e.closest(".formulas, .scroll")).length,
    empty: drawings.filter(box => box.width < 2 || box.height < 2).length,
    wide: document.documentElement.scrollWidth - right,
    drawings: drawings.length,
  };
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    report = run(["discretisation", "one-parameter", "balancedness-law"], seeds=2, quick=True)
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(report.to_html(), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_of_the_window(page, width, browser):
    browser.set_viewport_size({"width": width, "height": 900})
    browser.goto(page.as_uri())
    found = browser.evaluate(PROBE)
    assert found.pop("drawings") >= 5
    assert found == {"beyond": 0, "empty": 0, "wide": 0}
    assert errors(browser) == []
    # The probe sees what does stick out.
    browser.evaluate("document.querySelector('main p').style.width = '3000px'")
    assert browser.evaluate(PROBE)["beyond"] > 0
