"""`momentumflow derive`: every topic and format, and what it refuses."""

import json

import pytest


def test_the_equation(command):
    done = command("derive", "--order", "1")
    assert done == (
        0,
        "w'' = (1/lambda + epsilon/(2*lambda**2)) (f - v)\nv(0) = epsilon/(2*lambda) f\n",
        "",
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("nesterov", "--order", "1"), "epsilon/lambda f'v"),
        (("--regime", "slow", "--format", "latex"), r"\frac{\gamma}{1 - \beta} f"),
        (("--regime", "slow", "--format", "indices"), "f^{i}_{j} f^{j}"),
        (("--format", "table"), "f''(v, v)"),
        (("--format", "document"), "\\documentclass"),
        (("--format", "module"), "def coefficients(lam, eps):"),
        (("--tree", "[v,v]"), "-epsilon**2/(12*lambda)"),
        (("--loss", "1-cos(x)", "--order", "1"), "x'(0) = -epsilon*sin(x)/(2*lambda)"),
        (("--loss", "x^2*y", "--what", "map", "--order", "1"), "y_{k+1} - y_k = -gamma*x**2/(1"),
        (("--what", "map"), "w_{k+1} - w_k = gamma/(1 - beta) f - beta*gamma**2/(1 - beta)**3 f'f"),
        (("--what", "loss", "--order", "3"), "rootings of one free tree"),
        (("--what", "loss", "--of", "map", "--order", "3"), "<f, f'f>"),
        (("--what", "energy", "--order", "1"), "R = |v|^2"),
        (("--what", "energy", "--format", "latex"), "\\dot E"),
        (("--what", "scaling"), "(gamma, beta) -> (gamma*rho**2, 1 - rho*(1 - beta))"),
        (("--what", "friction"), "step 3: the two agree at t = k eps: proved"),
        (("gradient_descent", "--what", "quadratic"), "w' = log(-gamma*h + 1) w"),
        (("--what", "mirror", "--map", "u^2"), "momentum adds to log(u)/2"),
        (("quasi_hyperbolic", "--set", "nu=7/10", "--order", "1"), "3/10 f'v"),
        (("w[k+1] = w[k] + gamma*f(w[k])", "--regime", "slow"), "w' = gamma f - gamma**2/2 f'f"),
    ],
)
def test_topics_and_formats(command, arguments, expected):
    done = command("derive", *arguments)
    assert (done.code, done.err) == (0, "")
    assert expected in done.out


def test_json(command):
    done = command("derive", "--format", "json", "--order", "1")
    content = json.loads(done.out)
    assert [term["tree"] for term in content["terms"]] == ["v", "[]"]
    assert content["initial_velocity"][0]["coefficient"] == "epsilon/(2*lambda)"


def test_output_to_a_file(command, tmp_path):
    path = tmp_path / "equation.tex"
    assert command("derive", "--format", "document", "-o", path) == (0, "", "")
    assert path.read_text(encoding="utf-8").endswith("\\end{document}\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--order", "0"), "expected order >= 1, received order = 0"),
        (("--order", "99"), "expected order <= 10 in the inertial regime, received order = 99."),
        (("adam",), "expected a method among heavy_ball, nesterov, gradient_descent, quasi_"),
        (("gradient_descent",), "expected a method with a symbolic momentum parameter"),
        (("w[k+1] = 2*w[k]",), "expected coefficients of w that sum to zero"),
        (("--set", "beta=0.5"), "expected beta as an exact number, received the float 0.5; write"),
        (("--set", "mu=1"), "expected --set PARAMETER=VALUE with a parameter among beta, received"),
        (("--what", "weather"), "expected --what to be one of equation, map, loss, energy, scal"),
        (("--format", "pdf"), "expected --format to be one of text, latex, indices, table, json"),
        (("--regime", "fast"), "expected regime to be 'inertial' or 'slow', received 'fast'."),
        (("--loss", "Abs(x)"), "expected a smooth loss, received one that contains Abs(x)."),
        (("--loss", "import os"), "expected a formula, received 'import os'"),
        (("--tree", "[["), "expected a tree as nested lists, received '[['"),
        (("--what", "energy", "--format", "table"), "expected --format text, latex or json for "),
        (("--format", "latex", "--json"), "expected one of --json and --format, received both."),
        (("--what", "loss", "--of", "both"), "expected of to be 'flow' or 'map', received 'both'."),
        (("-o", "/nowhere/equation.txt"), "expected a file that can be written, received /nowhere"),
        (("--order", "two"), "Invalid value for '--order'"),
    ],
)
def test_misuse_is_one_sentence(command, arguments, sentence):
    done = command("derive", *arguments)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), {"left_hand_side": "w''"}),
        (("--what", "map"), {"left_hand_side": "w_{k+1} - w_k", "initial_velocity": None}),
        (("--tree", "[v]"), {"tree": "[v]", "coefficient": "0"}),
        (("--loss", "x^2/2", "--order", "1"), {"loss": "x^2/2"}),
        (("--what", "loss", "--order", "3"), {"order": 2, "status": "OBSTRUCTED"}),
        (("--what", "energy", "--order", "1"), {"order": 1}),
        (("--what", "scaling", "--order", "1"), {"lambda": "gamma/(1 - beta)**2"}),
        (("--what", "friction"), {"friction": "-(1 - beta)*log(beta)/gamma"}),
        (("--what", "quadratic"), {}),
        (("--what", "mirror", "--map", "u^2"), {"map": "u^2"}),
    ],
)
def test_every_topic_has_json(command, arguments, expected):
    code, out, err = command("derive", *arguments, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert {key: found[key] for key in expected} == expected
    assert ("method" in found) == ("mirror" not in arguments)
    # what is displayed as text stands in the JSON, and its LaTeX has lost the dollar signs
    if "text" in found:
        assert command("derive", *arguments).out == found["text"] + "\n"
        assert command("derive", *arguments, "--format", "latex").out == (
            f"$\\displaystyle {found['latex']}$\n"
        ) or found["latex"].startswith("\\begin")


def test_json_equations_for_a_loss_are_the_printed_ones(command):
    arguments = ("derive", "--loss", "x^2/2 + x*y", "--order", "1")
    equations = json.loads(command(*arguments, "--json").out)["equations"]
    lines = [f"{left} = {right}" for left, right in equations.items()]
    assert command(*arguments).out.splitlines() == lines
    assert [line.split(" = ")[0] for line in lines] == ["x''", "y''", "x'(0)", "y'(0)"]


def test_the_help_shows_how_a_recurrence_is_written(capsys):
    # rich takes square brackets for markup unless they are escaped
    from momentumflow.cli import main

    main(["derive", "--help"])
    assert '"w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*f(w[k])"' in capsys.readouterr().out
