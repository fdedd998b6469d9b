"""Kernels: values, broadcasting, casting, pickling, source, refusals."""

import pickle

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st

from momentumflow import InputError
from momentumflow.symbolic import DiagonalNetwork, kernel
from momentumflow.symbolic.codegen.compiled import emit, identifier
from momentumflow.symbolic.symbols import Delta, beta, g, gamma, lam, theta, w_minus, w_plus, z

ENTROPY = DiagonalNetwork().entropy
finite = st.floats(-50, 50).filter(lambda x: abs(x) > 1e-3)


@given(st.lists(finite, min_size=1, max_size=5), st.floats(1e-3, 20))
@settings(max_examples=50, deadline=None)
def test_values_against_mpmath(points: list[float], scale: float) -> None:
    slope = kernel(sp.diff(ENTROPY, theta), (theta, Delta))(points, scale)
    with mpmath.workdps(40):
        expected = [float(mpmath.asinh(2 * mpmath.mpf(p) / mpmath.mpf(scale)) / 2) for p in points]
    np.testing.assert_allclose(slope, expected, rtol=1e-12)


@given(
    st.lists(st.integers(1, 4), min_size=0, max_size=2),
    st.lists(st.integers(1, 4), min_size=0, max_size=1),
)
@settings(max_examples=40, deadline=None)
def test_results_have_the_broadcast_shape(tail: list[int], head: list[int]) -> None:
    first, second = np.ones((*head, *tail)), np.full(tail, 2.0)
    outputs = kernel((theta + Delta, sp.Integer(3), theta), (theta, Delta))(first, second)
    assert [o.shape for o in outputs] == [(*head, *tail)] * 3
    assert all(o.dtype == np.float64 for o in outputs)


def test_constants_fill_and_integers_with_negative_powers_work() -> None:
    inverse, constant = kernel((theta**-2, sp.pi), (theta,))(np.array([1, 2, 4]))
    np.testing.assert_array_equal(inverse, [1, 0.25, 0.0625])
    np.testing.assert_array_equal(constant, np.full(3, np.pi))


def test_maximum_of_a_constant_and_an_array() -> None:
    ramp = kernel(sp.Max(theta, 0) + sp.Min(theta, 1, 2), (theta,))
    np.testing.assert_array_equal(ramp([-1.0, 3.0]), [-1.0, 4.0])


def test_piecewise() -> None:
    soft = sp.Piecewise((theta - 1, theta > 1), (0, True))
    np.testing.assert_array_equal(kernel(soft, (theta,))([0.0, 3.0]), [0.0, 2.0])


def test_pickles_copies_and_compares() -> None:
    made = kernel(ENTROPY, (theta, Delta), name="psi")
    made(1.0, 1.0)
    again = pickle.loads(pickle.dumps(made))
    assert again == made
    assert again(0.5, 2.0) == made(0.5, 2.0)
    assert hash(again) == hash(made)
    assert made != kernel(2 * ENTROPY, (theta, Delta), name="psi")


def test_subexpressions_are_shared_and_source_is_readable() -> None:
    made = kernel((sp.exp(theta * Delta) + 1, sp.exp(theta * Delta) ** 3), (theta, Delta), name="f")
    assert made.source.startswith("def f(theta, Delta):\n")
    assert made.source.count("np.exp") <= 2
    namespace: dict[str, object] = {"np": np}
    exec(made.source, namespace)  # the printed source stands on its own
    assert namespace["f"](0.5, 2.0)[0] == pytest.approx(np.e + 1)  # type: ignore[operator]


def test_strings_and_symbols_of_other_assumptions() -> None:
    text = kernel("beta*theta + sqrt(gamma)", ["theta", "gamma", "beta"])
    plain = sp.Symbol("beta")  # not the registered, positive one
    mixed = kernel(plain * theta + sp.sqrt(gamma), [theta, gamma, beta])
    assert text(2.0, 4.0, 0.5) == mixed(2.0, 4.0, 0.5) == 3.0


def test_names_of_symbols() -> None:
    assert [identifier(s) for s in (w_plus, w_minus, lam)] == ["w_plus", "w_minus", "lam"]
    emitted = emit([w_plus * lam], (w_plus, lam), modules="math")
    assert emitted.results == ("lam*w_plus",)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: kernel(theta * g, (theta,)), "expressions of theta only, received also g"),
        (
            lambda: kernel(theta, (theta,), name="a b"),
            "a function name that is a Python identifier",
        ),
        (lambda: kernel(sp.zeta(theta), (theta,)), "functions that numpy code can evaluate"),
        (
            lambda: kernel(theta, (theta, theta)),
            "arguments with distinct names, received 'theta' twice",
        ),
        (
            lambda: kernel(theta, (theta + 1,)),
            r"arguments\[0\] as a name or a SymPy symbol, received",
        ),
        (lambda: kernel(theta, (theta,))(1j), r"values\[0\] as real numbers"),
        (lambda: kernel(theta, (theta,))(1, 2), "1 arguments \\(theta\\), received 2"),
        (lambda: kernel(z, (sp.Symbol("a b"), z)), "symbols with names that Python can hold"),
    ],
)
def test_bad_input(call: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        call()  # type: ignore[operator]


def test_every_backend_prints_the_same_expression() -> None:
    expression = sp.sqrt(gamma) * sp.asinh(theta) + beta
    printed = {
        m: emit([expression], (theta, gamma, beta), modules=m).results[0]
        for m in ("math", "numpy", "jax", "torch")
    }
    assert "math.asinh" in printed["math"]
    assert "np.arcsinh" in printed["numpy"]
    assert "jnp.arcsinh" in printed["jax"]
    assert "torch.asinh" in printed["torch"]
