"""`momentumflow transfer`: what it prints, as JSON too, and what it refuses."""

import json

import pytest

ADAMW = ("transfer", "--optimizer", "adamw", "--lr", "1e-3", "--betas", "0.9,0.999")
BATCH = ("--batch", "256", "--to-batch", "1024")


def test_the_transferred_hyperparameters_and_why(command):
    done = command(*ADAMW, *BATCH)
    assert (done.code, done.err) == (0, "")
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "lr 0.001 -> 0.002" in lines
    assert "betas[0] 0.9 -> 0.6" in lines
    assert "eps 1e-08 -> 5e-09" in lines
    assert any(line.startswith("rule: gamma -> rho**(1/2) gamma") for line in lines)
    assert "steps for the same path: 0.25 times as many" in lines
    assert "m: 0.05 -> 0.2" in lines


def test_json(command):
    done = command(*ADAMW, *BATCH, "--json")
    content = json.loads(done.out)
    assert content["settings"]["betas"] == pytest.approx([0.6, 0.996])
    assert content["rule"]["epsilon"] == "-1/2"
    assert content["keeps"] == "the leading equation and its diffusion by gradient noise"
    assert content["first_neglected"]["m"] == pytest.approx([0.05, 0.2])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("adam", "--lr", "0.001", "--to-momentum", "0.8"), {"lr": 0.002, "betas": [0.8, 0.998]}),
        (("sgd", "--lr", "1", "--momentum", "0.9", "--to-momentum", "0.8"),
         {"lr": 4, "momentum": 0.8}),
        (("adam", "--lr", "0.001", "--steps", "10", "--to-steps", "20"),
         {"lr": 0.0005, "betas": [0.95, 0.9995]}),
        (("rmsprop", "--lr", "1", "--set", "alpha=0.8", "--steps", "10", "--to-steps", "5"),
         {"lr": 2, "alpha": 0.6}),
    ],
)  # fmt: skip
def test_other_targets_without_noise(command, arguments, expected):
    done = command("transfer", "--optimizer", *arguments, "--json")
    settings = json.loads(done.out)["settings"]
    for name, value in expected.items():
        assert settings[name] == pytest.approx(value), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--optimizer", "adan", "--lr", "1", *BATCH), "did you mean 'adam'"),
        ((*ADAMW[1:5], "--betas", "0.9,1", *BATCH), "betas[1] in [0, 1)"),
        ((*ADAMW[1:5], "--betas", "0.9", *BATCH), "a pair"),
        ((*ADAMW[1:5], "--betas", "a,b", *BATCH), "numbers with commas"),
        ((*ADAMW[1:], "--batch", "0", "--to-batch", "2"), "batch_size > 0"),
        (ADAMW[1:], "received none"),
        ((*ADAMW[1:], *BATCH, "--to-momentum", "0.5"), "received to_batch_size, to_momentum"),
        ((*ADAMW[1:], *BATCH, "--no-noise"), "noise=True"),
        ((*ADAMW[1:], *BATCH, "--momentum", "0.9"), "settings of adamw among"),
        ((*ADAMW[1:], *BATCH, "--set", "alpha"), "--set NAME=NUMBER"),
        (("--optimizer", "adamw"), "--lr"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(command, arguments, message):
    done = command("transfer", *arguments)
    assert done.code == 2
    assert done.out == ""
    assert message in done.err
    assert done.err.count("\n") == 1
