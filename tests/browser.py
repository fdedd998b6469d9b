"""A real headless browser, driven through its DevTools protocol.

Enough of the protocol for tests of pages: load, evaluate, press keys, wait,
photograph, and remember what went wrong. `tests/conftest.py` offers it as the
fixture `browser`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

from websockets.sync.client import connect

EXECUTABLE = next(
    (b for b in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if b), None
)
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--hide-scrollbars",
)  # fmt: skip


def command(profile: Path, *options: str) -> list[str]:
    """Return the command that starts the browser with a profile of its own."""
    assert EXECUTABLE is not None
    return [EXECUTABLE, *OPTIONS, f"--user-data-dir={profile}", *options]


class Browser:
    """A browser with one page; a context manager, because it is a process."""

    def __init__(self, profile: Path) -> None:
        self._profile = profile
        self._number = 0
        self.errors: list[str] = []

    def __enter__(self) -> Browser:
        with contextlib.ExitStack() as stack:
            # Nothing but this machine can be reached: a page must bring what it needs.
            offline = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
            process = subprocess.Popen(
                command(self._profile, "--remote-debugging-port=0", offline, "about:blank"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(_end, process)
            port = _port(process, self._profile / "DevToolsActivePort")
            with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as reply:
                (target,) = [t for t in json.load(reply) if t["type"] == "page"]
            self._socket = stack.enter_context(
                connect(target["webSocketDebuggerUrl"], max_size=None, compression=None, proxy=None)
            )
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.send(f"{domain}.enable")
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def send(self, method: str, **parameters: object) -> dict:
        """Call a method of the protocol and return its result."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self._note(message)

    def _note(self, event: dict) -> None:
        values = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                details = values["exceptionDetails"]
                said = details.get("exception", {}).get("description", details["text"])
                self.errors.append(said)
            case "Runtime.consoleAPICalled" if values["type"] in ("error", "assert"):
                said = [str(a.get("value", a.get("description"))) for a in values["args"]]
                self.errors.append(" ".join(said))
            case "Log.entryAdded" if values["entry"]["level"] == "error":
                self.errors.append(f"{values['entry']['text']} {values['entry'].get('url', '')}")

    def resize(self, width: int, height: int = 900) -> None:
        """Give the page the size of a window, or of a phone."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def goto(self, url: str) -> None:
        """Load an address."""
        self.send("Page.navigate", url=url)

    def evaluate(self, expression: str) -> object:
        """Return the value of a JavaScript expression."""
        reply = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in reply:
            raise RuntimeError(f"{expression}: {reply['exceptionDetails']}")
        return reply["result"].get("value")

    def wait(self, expression: str, timeout: float = 60.0) -> float:
        """Wait until an expression is true; return how many seconds that took."""
        start = time.perf_counter()
        while not self.evaluate(f"!!({expression})"):
            if time.perf_counter() - start > timeout:
                raise TimeoutError(f"{expression} is not true after {timeout:g} s; {self.errors}")
            time.sleep(0.02)
        return time.perf_counter() - start

    def press(self, key: str) -> None:
        """Press a key on what has the focus."""
        codes = {"ArrowRight": 39, "ArrowLeft": 37, "End": 35, "Home": 36}
        for kind in ("rawKeyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key,
                windowsVirtualKeyCode=codes[key],
            )  # fmt: skip

    def photograph(self, path: Path, *, whole: bool = True) -> None:
        """Write a screenshot of the page, PNG."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


def _port(process: subprocess.Popen, file: Path) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if file.is_file() and (lines := file.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.05)
    raise RuntimeError("the browser did not start")


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
