"""The served page answers under this machine's own names, and to its own pages only."""

import http.client
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

pytest.importorskip("marimo")

from momentumflow.explore.server import is_own

PROGRAM = """
from momentumflow.explore import server
listening = server.listen("127.0.0.1", 0)
print(server.address(listening), flush=True)
server.serve(listening)
"""


@pytest.fixture(scope="module")
def port():
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield urlsplit(process.stdout.readline()).port
        finally:
            process.kill()


def answer(port: int, *, host: str | None, method: str = "GET", **headers: str) -> int:
    """Send one request with exactly these headers and return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.putrequest(method, "/", skip_host=True)
        for name, value in ({} if host is None else {"Host": host} | headers).items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def handshake(port: int, host: str, origin: str | None) -> int:
    """Ask for a WebSocket, as a browser does, and return the status."""
    lines = [
        "GET /ws?session_id=s_abcdef HTTP/1.1", f"Host: {host}", "Upgrade: websocket",
        "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]  # fmt: skip
    if origin is not None:
        lines.append(f"Origin: {origin}")
    with socket.create_connection(("127.0.0.1", port), timeout=60) as raw:
        raw.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(raw.makefile("rb").readline().split()[1])


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_its_own_names_are_answered(port, name):
    assert answer(port, host=f"{name}:{port}") == 200
    assert answer(port, host=name) == 200
    # as through a tunnel from another port
    assert answer(port, host=f"{name}:9999", Origin=f"http://{name}:9999") == 200
    assert handshake(port, f"{name}:{port}", f"http://{name}:{port}") == 101


FOREIGN = [
    "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:2718",
    "192.168.1.4", "0.0.0.0", "localhost@evil.example", "[::1", "", "127.1", "2130706433",
]  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_other_names_are_refused(port, name):
    assert answer(port, host=name) in (400, 403)
    assert answer(port, host=name, Origin=f"http://{name}") in (400, 403)
    assert handshake(port, name, f"http://{name}") in (400, 403)
    assert handshake(port, name, None) in (400, 403)


def test_a_request_without_a_name_is_refused(port):
    assert answer(port, host=None) in (400, 403)


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost", "http://localhost:1", "file://", "",
     "http://localhost.evil.example", "ws://localhost:{port}", "http://localhost:{port}.evil"],
)  # fmt: skip
def test_pages_of_others_open_no_socket(port, origin):
    host, origin = f"localhost:{port}", origin.format(port=port)
    assert handshake(port, host, origin) == 403
    assert answer(port, host=host, Origin=origin) == 403
    assert answer(port, host=host, method="POST", Origin=origin) == 403


def test_beyond_this_machine_only_if_told_to_listen_there():
    assert is_own("192.168.1.4:2718", bound="0.0.0.0")
    assert is_own(socket.gethostname(), bound="192.168.1.4")
    assert not is_own(socket.gethostname(), bound="127.0.0.1")
    assert not is_own("evil.example", bound="0.0.0.0")
