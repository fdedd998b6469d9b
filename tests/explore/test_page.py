"""The page as a user meets it: `momentumflow explore`, a real browser, sliders moved by keys."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from ..browser import errors

PICTURES = "[...document.querySelectorAll('.mf-grid img')]"
SOURCE = "document.querySelector('#{} img').src"
DRAWN = f"{PICTURES}.length == 3 && {PICTURES}.every(i => i.complete && i.naturalWidth > 100)"
# marimo keeps the parts of its elements in shadow trees.
TEXT = """(function text(node) {
  return [node, node.shadowRoot].filter(n => n).map(n => [...n.childNodes].map(
    c => c.nodeType == 3 ? c.data : text(c)).join("")).join("");
})(document.querySelector('%s'))"""
SLIDER = "document.querySelectorAll('marimo-slider')[{}].shadowRoot.querySelector('[role=slider]')"
# What sticks out of the window, other than what scrolls by itself.
BEYOND = """[...document.querySelectorAll('.mf *')].filter(e =>
  e.getBoundingClientRect().right > document.documentElement.clientWidth + 1
  && !e.closest('.mf-equation')).length"""
SCROLLS = """[...document.querySelectorAll('*')].filter(e =>
  e.scrollWidth > e.clientWidth + 1 && !e.closest('.mf-equation')
  && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)).length"""


def started(*options):
    return subprocess.Popen(
        [sys.executable, "-m", "momentumflow", "explore", "--port", "0", "--no-browser", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_json(stream):
    text = ""
    for line in stream:
        text += line
        if line == "}\n":
            return json.loads(text)
    raise AssertionError(f"the command ended: {text}")


@pytest.fixture(scope="module")
def url():
    server = started("--json")
    try:
        found = read_json(server.stdout)
        assert found["start"]["gamma"] == 0.02
        yield found["url"]
        server.send_signal(signal.SIGINT)
        _, complaints = server.communicate(timeout=20)
        assert (server.returncode, complaints) == (0, "")
    finally:
        server.kill()
        server.wait()


def load(browser, url, width):
    browser.set_viewport_size({"width": width, "height": 900})
    browser.goto(url)
    browser.wait_for_function(DRAWN)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_shows_everything_and_follows_the_sliders(url, browser, width):
    load(browser, url, width)
    browser.wait_for_function(f"({TEXT % '.mf-verdict'}).includes('Predicted.')")
    # KaTeX has set the formulas, and lambda_hat = 0.45 stands there.
    browser.wait_for_function(f"({TEXT % '.mf-equation'}).includes('0.45')")
    browser.wait_for_function(
        "[...document.querySelectorAll('.mf-equation marimo-tex')].every("
        "e => (e.shadowRoot ?? e).querySelector('.katex-html'))"
    )
    assert browser.evaluate("document.querySelectorAll('marimo-slider').length") == 5
    assert browser.evaluate(BEYOND) == 0
    assert browser.evaluate(SCROLLS) == 0
    before = {n: browser.evaluate(SOURCE.format(n)) for n in ("path", "balancedness", "plane")}
    browser.evaluate(SLIDER.format(1) + ".focus()")
    browser.keyboard.press("ArrowRight")
    for name, source in before.items():
        browser.wait_for_function(f"{SOURCE.format(name)} != {json.dumps(source)}")
    browser.wait_for_function(f"!({TEXT % '.mf-equation'}).includes('0.45')")
    # Back again: the same position is the same picture.
    browser.keyboard.press("ArrowLeft")
    browser.wait_for_function(f"{SOURCE.format('path')} == {json.dumps(before['path'])}")
    assert errors(browser) == []


def test_an_unstable_position_is_a_sentence_and_no_limit(url, browser):
    load(browser, url.partition("?")[0] + "?gamma=1&beta=0.9&alpha=2", 1280)
    browser.wait_for_function(f"({TEXT % '.mf-verdict'}).includes('No limit: diverged')")
    text = browser.evaluate(TEXT % ".mf-verdict")
    assert "Reduce γ below" in text
    assert "Predicted." not in text
    # One position back down from there, and so on, leads to a limit again.
    browser.evaluate(SLIDER.format(2) + ".focus()")
    browser.keyboard.press("Home")
    browser.evaluate(SLIDER.format(0) + ".focus()")
    browser.keyboard.press("Home")
    browser.wait_for_function(f"({TEXT % '.mf-verdict'}).includes('Predicted.')")
    assert errors(browser) == []


def test_an_address_that_cannot_be_read_is_said(url, browser):
    load(browser, url.partition("?")[0] + "?gamma=-1", 1280)
    browser.wait_for_function(f"({TEXT % 'body'}).includes('received gamma = -1.')")
    assert browser.evaluate("document.querySelectorAll('.mf-grid img').length") == 3
    assert errors(browser) == []


def test_the_browser_of_these_tests_sees_errors_and_what_sticks_out(browser, tmp_path):
    """Negative control of the checks above."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<div class=mf><p style='width:3000px'>wide</p></div>"
        "<script>console.error('broken'); nothing.at.all</script>"
    )
    browser.set_viewport_size({"width": 390, "height": 900})
    browser.goto(bad.as_uri())
    browser.wait_for_function("document.querySelector('.mf p')")
    assert browser.evaluate(BEYOND) == 1
    assert any("broken" in e for e in errors(browser))
    assert any("nothing is not defined" in e for e in errors(browser))


def test_a_taken_port_is_one_sentence(url):
    port = url.rpartition(":")[2].partition("/")[0]
    done = subprocess.run(
        [sys.executable, "-m", "momentumflow", "explore", "--port", port, "--no-browser"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"momentumflow: expected a free port on this machine, received 127.0.0.1, port {port} "
        "(address already in use); take another --port; 0 finds a free one.\n"
    )
