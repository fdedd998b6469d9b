"""`momentumflow derive`: every topic and format, and what it refuses."""

import json

import pytest


def test_the_equation(command):
    done = command("derive", "equation", "--order", "1")
    assert done == (
        0,
        "w'' = (1/lambda + epsilon/(2*lambda**2)) (f - v)\nv(0) = epsilon/(2*lambda) f\n",
        "",
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("equation", "nesterov", "--order", "1"), "epsilon/lambda f'v"),
        (("equation", "--regime", "slow", "--format", "latex"), r"\frac{\gamma}{1 - \beta} f"),
        (("equation", "--regime", "slow", "--format", "indices"), "f^{i}_{j} f^{j}"),
        (("equation", "--order", "0"), "w'' = 1/lambda (f - v)"),
        (("equation", "--format", "table"), "f''(v, v)"),
        (("equation", "--format", "document"), "\\documentclass"),
        (("equation", "--format", "module"), "def coefficients(lam, eps):"),
        (("equation", "--tree", "[v,v]"), "-epsilon**2/(12*lambda)"),
        (("equation", "--loss", "1-cos(x)", "--order", "1"), "x'(0) = -epsilon*sin(x)/(2*lambda)"),
        (("map", "--loss", "x^2*y", "--order", "1"), "y_{k+1} - y_k = -gamma*x**2/(1"),
        (("map",), "w_{k+1} - w_k = gamma/(1 - beta) f - beta*gamma**2/(1 - beta)**3 f'f"),
        (("loss", "--order", "3"), "rootings of one free tree"),
        (("loss", "--of", "map", "--order", "3"), "<f, f'f>"),
        (("energy", "--order", "1"), "R = |v|^2"),
        (("energy", "--format", "latex"), "\\dot E"),
        (("scaling",), "(gamma, beta) -> (gamma*rho**2, 1 - rho*(1 - beta))"),
        (("friction",), "step 3: the two agree at t = k eps: proved"),
        (("quadratic", "gradient_descent"), "w' = log(-gamma*h + 1) w"),
        (("mirror", "u^2"), "momentum adds to log(u)/2"),
        (("equation", "quasi_hyperbolic", "--set", "nu=7/10", "--order", "1"), "3/10 f'v"),
        (
            ("equation", "w[k+1] = w[k] + gamma*f(w[k])", "--regime", "slow"),
            "w' = gamma f - gamma**2/2 f'f",
        ),
        (("equation", "adam"), "tau_2 = gamma/(1 - beta_2)"),
        (
            ("equation", "sgd", "--order", "1"),
            "v' = (-v + g)/lambda + h*((-v + g)/(2*lambda**2) - ",
        ),
        (("equation", "sgd", "--order", "1", "--format", "document"), r"\dot {v} = {} & "),
        (("equation", "sgd", "--order", "1", "--format", "table"), "v        Dg[v]             1"),
        (("equation", "sgd", "--order", "1", "--format", "module"), "return total_0, total_1"),
        (("equation", "sgd", "--loss", "x*y", "--order", "0"), "y' = -v_y"),
        (("equation", "rmsprop", "--regime", "slow"), "w' = -g/(Abs(g) + epsilon) - gamma*"),
        (
            ("equation", "sgd", "--regime", "slow", "--format", "table"),
            "Dg[g]             2  -(1 + beta)/",
        ),
        (
            ("map", "sgd"),
            "w_{k+1} - w_k = -g*gamma/(1 - beta) - beta*gamma**2/(1 - beta)**3 * Dg[g]",
        ),
        (("map", "sgd", "--loss", "x^2/2", "--order", "1"), "x_{k+1} - x_k = -gamma*x/(1 - beta)"),
        (("map", "sgd", "--format", "module"), "def evaluate(g, derivative, gamma, beta):"),
        (("map", "w = w - lr*g*r", "--set", "r=1/10", "--order", "1"), "= -g*gamma/10"),
        (("loss", "adam", "--set", "eps=0"), "P = 1/Abs(g), U = L + gamma*sum_j("),
        (("loss", "adam", "--format", "latex"), r"U = L"),
        (("scaling", "adamw"), "gamma -> rho gamma, (1 - beta_1) -> rho (1 - beta_1), "),
        (("scaling", "lion"), "with gradient noise: expected with noise, memories that are linear"),
    ],
)
def test_topics_and_formats(command, arguments, expected):
    done = command("derive", *arguments)
    assert (done.code, done.err) == (0, "")
    assert expected in done.out


def test_json(command):
    done = command("derive", "equation", "--format", "json", "--order", "1")
    content = json.loads(done.out)
    assert [term["tree"] for term in content["terms"]] == ["v", "[]"]
    assert content["initial_velocity"][0]["coefficient"] == "epsilon/(2*lambda)"


def test_output_to_a_file(command, tmp_path):
    path = tmp_path / "equation.tex"
    assert command("derive", "equation", "--format", "document", "-o", path) == (0, "", "")
    assert path.read_text(encoding="utf-8").endswith("\\end{document}\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("equation", "--order", "0", "--regime", "slow"),
            "expected order >= 1, received order = 0; the leading equation is that of order 1.",
        ),
        (("map", "--order", "0"), "Invalid value for '--order': Input should be greater than or "),
        (
            ("equation", "--order", "-1"),
            "Invalid value for '--order': Input should be greater than",
        ),
        (
            ("equation", "--order", "99"),
            "expected order <= 10 in the inertial regime, received order",
        ),
        (("equation", "adm"), "lion, sgd, a recurrence or updates, received 'adm'; did you mean "),
        (("energy", "adam"), "expected a momentum method, linear in w and f, received adam, an "),
        (("quadratic", "w = w - lr*g"), "an optimiser with memories; momentumflow derive equation"),
        (("equation", "adam", "--tree", "[]"), "linear in w and f, with --tree, received Adam, "),
        (("map", "sgd", "--format", "indices"), "with --format indices, received SGD, whose "),
        (("scaling", "adam", "--order", "1"), "expected --order with a momentum method, received "),
        (("loss", "adamw"), "expected a leading step that depends on the gradient only, received"),
        (("loss", "adam", "--order", "3"), "expected order <= 2 for an optimiser with memories"),
        (("map", "m = b1*m + q*g; w = w - lr*m"), "eps; declare others"),
        (("map", "v = v + g**2; w = w - lr*g/(sqrt(v)+eps)"), "expected memories that forget"),
        (("map", "w = w - lr*import"), "received"),
        (("equation", "adam", "--set", "eps=0", "--set", "epsilon=1"), "one value of epsilon"),
        (("equation", "adam", "--set", "beta_1"), "expected --set PARAMETER=VALUE, received 'beta"),
        (("equation", "gradient_descent"), "expected a method with a symbolic momentum parameter"),
        (("equation", "w[k+1] = 2*w[k]"), "expected coefficients of w that sum to zero"),
        (
            ("equation", "--set", "beta=0.5"),
            "'beta'] as an exact number, received the float 0.5; ",
        ),
        (
            ("equation", "--set", "mu=1"),
            "expected --set PARAMETER=VALUE with a parameter among beta",
        ),
        (
            ("equation", "--set", "beta=1/2", "--set", "beta=1/3"),
            "expected one value of beta, received --set beta=1/3 after another.",
        ),
        (
            ("weather",),
            "expected a command of momentumflow derive among equation, map, loss, energy",
        ),
        (
            ("--order", "1"),
            "expected a command before --order, received --order after momentumflow derive; say "
            "one of equation, map, loss, energy, scaling first.",
        ),
        (
            ("equation", "--format", "pdf"),
            "Invalid value for '--format': 'pdf' is not one of 'text', ",
        ),
        (
            ("equation", "--regime", "fast"),
            "Invalid value for '--regime': 'fast' is not one of 'ine",
        ),
        (
            ("equation", "--loss", "Abs(x)"),
            "expected a smooth loss, received one that contains Abs(",
        ),
        (("equation", "--loss", "import os"), "expected a formula, received 'import os'"),
        (("equation", "--tree", "[["), "expected a tree as nested lists, received '[['"),
        (
            ("energy", "--format", "table"),
            "Invalid value for '--format': 'table' is not one of 'text'",
        ),
        (
            ("equation", "--format", "latex", "--json"),
            "expected one of --json and --format, received",
        ),
        (("loss", "--of", "both"), "Invalid value for '--of': 'both' is not one of 'flow', 'map'."),
        (
            ("equation", "-o", "/nowhere/equation.txt"),
            "expected a file that can be written, received",
        ),
        (("equation", "--order", "two"), "Invalid value for '--order'"),
        (
            ("equation", "--tree", "[v]", "--loss", "x^2"),
            "expected one of --tree and --loss, received",
        ),
        (
            ("equation", "--tree", "[v]", "--format", "module"),
            "expected --format text, latex or json with --tree, received --format module.",
        ),
        (
            ("map", "--loss", "x^2", "--format", "table"),
            "expected --format text, latex or json with --loss, received --format table.",
        ),
        # what one topic knows and another does not is refused there, not ignored
        (("energy", "--tree", "[v]"), "No such option: --tree"),
        (("energy", "--loss", "x^2"), "No such option: --loss"),
        (("map", "--regime", "slow"), "No such option: --regime"),
        (("friction", "--order", "3"), "No such option: --order"),
        (("equation", "--of", "map"), "No such option: --of"),
        (("mirror", "--set", "beta=1/2"), "No such option: --set"),
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
        (("equation",), {"left_hand_side": "w''"}),
        (("map",), {"left_hand_side": "w_{k+1} - w_k", "initial_velocity": None}),
        (("equation", "--tree", "[v]"), {"tree": "[v]", "coefficient": "0"}),
        (("equation", "--loss", "x^2/2", "--order", "1"), {"loss": "x^2/2"}),
        (("loss", "--order", "3"), {"order": 2, "status": "OBSTRUCTED"}),
        (("energy", "--order", "1"), {"order": 1}),
        (("scaling", "--order", "1"), {"lambda": "gamma/(1 - beta)**2"}),
        (("friction",), {"friction": "-(1 - beta)*log(beta)/gamma"}),
        (("quadratic",), {}),
        (("mirror", "u^2"), {"map": "u^2"}),
        (("equation", "sgd", "--order", "1"), {"left_hand_side": "w', v'"}),
        (("equation", "sgd", "--regime", "slow"), {"left_hand_side": "w'"}),
        (("map", "sgd"), {"left_hand_side": "w_{k+1} - w_k", "initial_velocity": None}),
        (("map", "sgd", "--loss", "x^2", "--order", "1"), {"loss": "x^2"}),
        (("loss", "adam", "--set", "eps=0"), {"order": 2, "status": "GRADIENT"}),
        (("scaling", "adam"), {"tau_1": "gamma/(1 - beta_1)", "epsilon": "epsilon"}),
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
        assert command("derive", *arguments, "--format", "latex").out == f"{found['latex']}\n"


def test_json_equations_for_a_loss_are_the_printed_ones(command):
    arguments = ("derive", "equation", "--loss", "x^2/2 + x*y", "--order", "1")
    equations = json.loads(command(*arguments, "--json").out)["equations"]
    lines = [f"{left} = {right}" for left, right in equations.items()]
    assert command(*arguments).out.splitlines() == lines
    assert [line.split(" = ")[0] for line in lines] == ["x''", "y''", "x'(0)", "y'(0)"]


def test_the_help_shows_how_a_recurrence_is_written(capsys):
    # rich takes square brackets for markup unless they are escaped
    from momentumflow.cli import main

    main(["derive", "equation", "--help"])
    assert '"w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*f(w[k])"' in capsys.readouterr().out
