"""`momentumflow explore` up to where it serves: what it refuses, prints and opens."""

import json
import socket
import webbrowser

import pytest

from momentumflow.explore import server


@pytest.fixture
def served(monkeypatch):
    """Stand in for the server and the desktop's browser; record what reaches them."""
    calls = []
    monkeypatch.setattr(server, "serve", lambda s: (calls.append(s.getsockname()), s.close()))
    monkeypatch.setattr(webbrowser, "open", calls.append)
    return calls


def test_it_prints_the_address_opens_it_and_serves(command, served):
    code, out, err = command("explore", "--port", "0", "--gamma", "0.05", "--seed", "3")
    assert (code, err) == (0, "")
    opened, (host, port) = served
    assert opened.startswith(f"http://{host}:{port}/?gamma=0.05&beta=0.8&alpha=0.1&seed=3&")
    assert out == f"momentumflow explore: {opened}\nCtrl-C ends it.\n"


def test_json_and_no_browser(command, served):
    code, out, _ = command("explore", "--port", "0", "--no-browser", "--json", "--beta", "0.5")
    assert code == 0
    ((host, port),) = served
    found = json.loads(out)
    assert found["url"].startswith(f"http://{host}:{port}/?")
    assert found["start"] == {
        "gamma": 0.02, "beta": 0.5, "alpha": 0.1, "seed": 0, "rho": 1.0, "method": "heavy_ball",
    }  # fmt: skip


def test_without_the_extra_it_says_what_to_install(command, served, monkeypatch):
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    code, out, err = command("explore", "--port", "0")
    assert (code, out) == (2, "")
    assert err == (
        "momentumflow: expected marimo installed, to serve the page, received none; "
        "pip install 'momentumflow[explore]'.\n"
    )
    assert served == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--gamma", "0"), "expected gamma > 0, received gamma = 0."),
        (("--beta", "1"), "expected beta in [0, 1), received beta = 1."),
        (("--alpha", "-1"), "expected alpha > 0, received alpha = -1."),
        (("--seed", "-1"), "Invalid value for '--seed': "),
        (("--rho", "0"), "expected rho > 0, received rho = 0."),
        (("--method", "adam"), "Invalid value for '--method': 'adam' is not one of 'heavy_ball', "),
        (("--port", "70000"), "Invalid value for '--port': "),
        (("--host", "203.0.113.1"), "expected a free port on this machine, received 203.0.113.1, "),
    ],
)
def test_what_it_cannot_start_with_is_one_sentence(command, served, options, sentence):
    code, out, err = command("explore", "--port", "0", *options)
    assert (code, out) == (2, "")
    assert err.startswith(f"momentumflow: {sentence}")
    assert err.count("\n") == 1
    assert served == []


def test_addresses_of_both_families():
    with server.listen("127.0.0.1", 0) as four:
        assert server.address(four) == f"http://127.0.0.1:{four.getsockname()[1]}/"
    if not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    try:
        six = server.listen("::1", 0)
    except ValueError:
        pytest.skip("no IPv6 on this machine")
    with six:
        assert server.address(six) == f"http://[::1]:{six.getsockname()[1]}/"
