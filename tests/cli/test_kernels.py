"""`momentumflow kernels`: what is printed runs, what is shipped is what is derived."""

import importlib.util
import json

import numpy as np
import pytest

from momentumflow import symbolic


def test_the_printed_module_takes_a_heavy_ball_step(command, tmp_path):
    code, out, err = command("kernels", "--backend", "numpy")
    assert (code, err) == (0, "")
    path = tmp_path / "printed.py"
    path.write_text(out)
    spec = importlib.util.spec_from_file_location("printed", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    w, p, g = np.array([0.5, -2.0]), np.array([0.1, 0.2]), np.array([3.0, -1.0])
    plus, minus, *_ = module.step(w, w, p, p, g, 0.01, 0.9, 0.9 / (1 - 0.9))
    np.testing.assert_allclose(plus, w - 0.01 * g * w + 0.9 * p, rtol=1e-15)
    np.testing.assert_allclose(minus, w + 0.01 * g * w + 0.9 * p, rtol=1e-15)


def test_a_module_for_the_users_own_map_is_written(command, tmp_path):
    options = ("--parametrisation", "u**2 - v**2", "--name", "squares", "--backend", "numpy")
    code, out, _ = command("kernels", *options, "--out", tmp_path / "new", "--json")
    assert code == 0
    done = json.loads(out)
    assert (tmp_path / "new" / done["module"]).read_text() == done["source"]
    assert "u**2 - v**2" in done["source"]


def test_the_shipped_kernels_are_what_their_derivation_gives(command):
    assert command("kernels", "check") == (
        0, "every shipped kernel is what its derivation gives\n", "",
    )  # fmt: skip


def test_a_stale_kernel_is_named_and_fails(command, monkeypatch):
    real = symbolic.committed_kernels()
    first = next(iter(real))
    monkeypatch.setattr(symbolic, "committed_kernels", lambda: real | {first: "x = 1\n"})
    assert command("kernels", "check").out == f"differ from their derivation: {first}\n"
    code, out, _ = command("kernels", "check", "--json")
    assert code == 1
    assert json.loads(out)["differing"] == [first]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--method", "adam"), "expected a momentum method, linear in w and f, received adam, "),
        (
            ("--backend", "fortran"),
            "Invalid value for '--backend': 'fortran' is not one of 'numba', ",
        ),
        (("--parametrisation", "u**"), "expected a formula, received 'u**'; "),
        (("--name", "squares"), "expected --name with --parametrisation, received --name, which "),
        (
            ("--method", "nesterov", "check"),
            "expected the options of momentumflow kernels check af",
        ),
        (("--parametrisation", "3"), "expected an expression with at least one weight, "),
        (
            ("--method", "quasi_hyperbolic"),
            "expected a method whose only parameters are gamma and beta, ",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_code_two(command, arguments, sentence):
    code, out, err = command("kernels", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"momentumflow: {sentence}")
    assert err.count("\n") == 1


def test_a_method_with_a_further_parameter_takes_a_value(command):
    code, out, _ = command(
        "kernels", "--method", "quasi_hyperbolic", "--set", "nu=7/10", "--backend", "numpy"
    )
    assert code == 0
    assert "p where w_(k+1) = w_k + beta p_k" in out
    code, _, err = command("kernels", "--method", "quasi_hyperbolic")
    assert code == 2
    assert "received nu; give it a value" in err
    assert "--set" in err


def test_a_stated_recurrence_is_a_method(command):
    rule = "w[k+1] = w[k] + beta*(w[k]-w[k-1]) + 2*gamma*f(w[k])"
    code, out, _ = command("kernels", "--method", rule, "--backend", "numpy")
    assert code == 0
    assert "x0 = 2*g*gamma" in out
