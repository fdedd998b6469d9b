"""The report in a real headless browser: on a screen and at a phone's width nothing sticks out."""

import re
import subprocess

import pytest

from momentumflow.verify import run

from ..browser import command

# Counts elements beyond the window that no scrolling box holds, and drawings without size.
PROBE = """<script>
const right = document.documentElement.clientWidth;
const out = [...document.querySelectorAll("main *")].filter(e =>
  e.getBoundingClientRect().right > right + 1 && !e.closest(".formulas, .scroll"));
const empty = [...document.querySelectorAll("svg")].filter(e =>
  e.getBoundingClientRect().width < 2 || e.getBoundingClientRect().height < 2);
const wide = document.documentElement.scrollWidth - right;
const drawings = document.querySelectorAll("svg").length;
document.title =
  `beyond ${out.length} empty ${empty.length} wide ${wide} drawings ${drawings}`;
</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    report = run(["discretisation", "one-parameter", "balancedness-law"], seeds=2, quick=True)
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(report.to_html().replace("</body>", PROBE), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [500, 1280])
def test_nothing_sticks_out_of_the_window(page, width, tmp_path, chromium):
    started = command(tmp_path, f"--window-size={width},900", "--dump-dom", page.as_uri())
    done = subprocess.run(started, capture_output=True, text=True, check=True, timeout=60)
    title = re.search(r"<title>([^<]*)", done.stdout)[1]
    assert title.startswith("beyond 0 empty 0 wide 0 drawings ")
    assert int(title.rsplit(" ", 1)[1]) >= 5
