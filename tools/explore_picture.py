"""Photograph the page of `momentumflow explore` for the documentation.

Run it as `python tools/explore_picture.py [FILE]`; it needs chromium or chrome.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser import opened  # noqa: E402

SIZE = (1200, 1340)
COLOURS = 160  # keeps the file small; the page has few
READY = """[...document.querySelectorAll('.mf-grid img')].filter(i => i.complete).length == 3
  && [...document.querySelectorAll('marimo-tex')].every(
    e => (e.shadowRoot ?? e).querySelector('.katex-html'))"""


def main(target: Path) -> None:
    """Serve the page, photograph it, and write `target`."""
    options = ("--port", "0", "--no-browser", "--rho", "2", "--json")
    server = subprocess.Popen(
        [sys.executable, "-m", "momentumflow", "explore", *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        text = ""
        while not text.endswith("\n}\n"):
            text += server.stdout.readline()
        with opened(*SIZE) as page:
            page.goto(json.loads(text)["url"])
            page.wait_for_function(READY)
            page.screenshot(path=target, full_page=True)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=20)
    with Image.open(target) as shot:
        small = shot.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(target, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs" / "images" / "explore.png")
