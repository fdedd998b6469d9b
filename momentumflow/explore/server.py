"""Serve the page on this machine until Ctrl-C."""

from __future__ import annotations

import contextlib
import gc
import ipaddress
import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from momentumflow.base.errors import InputError

PAGE = Path(__file__).with_name("notebook.py")


def require() -> None:
    """Check that what serves the page is installed.

    Raises
    ------
    InputError
        If marimo is not.
    """
    if find_spec("marimo") is None:
        raise InputError(
            "marimo installed, to serve the page", "none", "pip install 'momentumflow[explore]'"
        )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Browsers that connect from now on wait until the page is served.

    Raises
    ------
    InputError
        If the host is not of this machine or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError(
            "a free port on this machine",
            f"{host}, port {port} ({reason.lower()})",
            "take another --port; 0 finds a free one",
        ) from None


def address(listening: socket.socket) -> str:
    """Return the URL that leads to the socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def is_own(host: str, bound: str) -> bool:
    """Whether a `Host` header names the machine that listens at the address `bound`.

    A browser sends the name that it looked up: under another one, a page of somebody
    else whose name was made to lead here would be answered (DNS rebinding). A number
    cannot be made to lead elsewhere.
    """
    loopback = ipaddress.ip_address(bound).is_loopback
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or (not loopback and name == socket.gethostname().lower())
    return address.is_loopback or not loopback


def _guarded(page: Any, bound: str) -> Any:
    """Return the page, answering only under its own names and only its own pages."""
    from starlette.datastructures import Headers
    from starlette.responses import PlainTextResponse

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            host, origin = headers.get("host", ""), headers.get("origin")
            foreign = origin is not None and origin.lower() not in (
                f"http://{host}".lower(), f"https://{host}".lower()
            )  # fmt: skip
            if foreign or not is_own(host, bound):
                refusal = PlainTextResponse("This page answers on its own machine only.", 403)
                await refusal(scope, receive, send)
                return
        await page(scope, receive, send)

    return guarded


def serve(listening: socket.socket) -> NoReturn:
    """Serve the page on a listening socket until Ctrl-C, which ends the process.

    Requests under another name than this machine's, or from pages of another origin,
    are refused.

    Raises
    ------
    InputError
        If marimo is not installed.
    """
    require()
    import marimo
    import uvicorn

    page = marimo.create_asgi_app(quiet=True).with_app(path="/", root=str(PAGE)).build()
    guarded = _guarded(page, listening.getsockname()[0])
    # What is loaded by now stays; going through it again and again for garbage
    # would interrupt every few redraws by a fifth of a second.
    gc.collect()
    gc.freeze()
    config = uvicorn.Config(guarded, log_level="error", timeout_graceful_shutdown=1)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])
    # Each visitor has a thread that waits for sliders to move. Nobody can reach it
    # any more, and an orderly exit would wait for it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
