"""From series to a concrete loss: jets against SymPy, mpmath and each other."""

import pickle

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st

from momentumflow import InputError
from momentumflow.symbolic import (
    HeavyBall,
    MomentumMethod,
    Nesterov,
    modified_equation,
)
from momentumflow.symbolic.series.jet_space import JetSpace
from momentumflow.symbolic.series.jets import _UFUNCS
from momentumflow.symbolic.symbols import beta, eps, gamma, lam
from momentumflow.symbolic.trees.rooted_trees import tree, trees_up_to

x, y, a, b = sp.symbols("x y a b", real=True)
LOSS = (1 - x) ** 2 / 10 + (y - x**2) ** 2 + sp.sin(x * y) / 3 + sp.exp(x) / 7 + 1 / (3 + x**2)


def gradient(w):
    p, q = w[..., 0], w[..., 1]
    first = (p - 1) / 5 - 4 * p * (q - p**2) + np.cos(p * q) * q / 3
    first = first + np.exp(p) / 7 - 2 * p / (3 + p**2) ** 2
    return np.stack([first, 2 * (q - p**2) + np.cos(p * q) * p / 3], axis=-1)


W = np.array([[0.3, -0.4], [0.5, 0.2], [-0.7, 1.1]])
V = np.array([[0.1, 0.2], [0.3, -0.1], [-0.5, 0.4]])


@pytest.mark.parametrize("method", [HeavyBall(), Nesterov()], ids=lambda m: m.name)
@pytest.mark.parametrize(("regime", "order"), [("slow", 5), ("inertial", 4)])
def test_three_ways_agree(method, regime, order):
    """A SymPy loss and a NumPy gradient through jets; SymPy's derivatives written out."""
    equation = modified_equation(method, order, regime)
    arguments = (W,) if regime == "slow" else (W, V)
    from_loss = equation.rhs(LOSS, [x, y], gamma=0.1, beta=0.6)
    from_gradient = equation.rhs(gradient, gamma=0.1, beta=0.6)
    written = equation.specialise(LOSS, [x, y], [a, b])
    values = {gamma: 0.1, beta: 0.6, eps: 0.1 / 0.4, lam: 0.1 / 0.16}
    function = sp.lambdify([x, y, a, b], [e.subs(values) for e in written], "numpy")
    expected = np.stack(function(*W.T, *V.T), axis=-1)
    scale = np.abs(expected).max()
    assert np.abs(from_loss(*arguments) - expected).max() < 1e-14 * scale
    assert np.abs(from_gradient(*arguments) - expected).max() < 1e-14 * scale
    for right in (from_loss, from_gradient):
        again = pickle.loads(pickle.dumps(right))
        assert np.array_equal(again(*arguments), right(*arguments))


def test_parameters_broadcast_over_the_batch():
    equation = modified_equation(HeavyBall(), 2)
    steps = np.array([0.1, 0.2, 0.3])
    together = equation.rhs(LOSS, [x, y], eps=steps, lam=2.0)(W, V)
    for i, step in enumerate(steps):
        alone = equation.rhs(LOSS, [x, y], eps=step, lam=2.0)(W[i], V[i])
        assert np.array_equal(together[i], alone)


def test_first_order_system():
    right = modified_equation(HeavyBall(), 2).rhs(LOSS, [x, y], eps=0.1, lam=2.0)
    state = np.concatenate([W[0], V[0]])
    assert np.array_equal(right.system(0.0, state), np.concatenate([V[0], right(W[0], V[0])]))
    start = right.initial_velocity(W[0])
    factor = 0.1 / 4 + 0.01 / (6 * 4)
    assert np.allclose(start, -factor * gradient(W[0]), rtol=1e-14, atol=0)
    slow = modified_equation(HeavyBall(), 2, "slow").rhs(LOSS, [x, y], gamma=0.1, beta=0.5)
    assert np.array_equal(slow.system(0.0, W[0]), slow(W[0]))
    with pytest.raises(InputError, match="whose start ties the velocity, received a slow one"):
        slow.initial_velocity(W[0])


def test_diagonal_network_of_a_thousand_features():
    """Elementary differentials at d = 1000 against complex-free finite differences of the field."""
    d, n = 1000, 40
    rng = np.random.default_rng(11)
    X, target = rng.standard_normal((n, d)) / 30, rng.standard_normal(n)

    def field(w):
        u, v = w[..., :d], w[..., d:]
        g = ((u * v) @ X.T - target) @ X / n
        return -np.concatenate([g * v, g * u], axis=-1)

    w = rng.standard_normal(2 * d)
    found = JetSpace(trees_up_to(5)).elementary_differentials(field, w)
    assert len(found) == 17
    f = found[tree("[]")]
    assert np.array_equal(f, field(w))
    # the field is a polynomial of degree 3, so central differences are exact but for rounding
    step = 0.5

    def along(direction):
        plus, minus = field(w + step * direction), field(w - step * direction)
        wide = field(w + 2 * step * direction) - field(w - 2 * step * direction)
        first = (8 * (plus - minus) - wide) / (12 * step)
        second = (plus - 2 * field(w) + minus) / step**2
        third = (wide - 2 * (plus - minus)) / (2 * step**3)
        return first, second, third

    scale = np.abs(f).max()
    direction = f / scale
    first, second, third = along(direction)
    for text, expected, power in (
        ("[[]]", first, 1),
        ("[[],[]]", second, 2),
        ("[[],[],[]]", third, 3),
    ):
        value = found[tree(text)] / scale**power
        assert np.abs(value - expected).max() < 1e-9 * max(np.abs(expected).max(), 1e-3), text
    chain = found[tree("[[[]]]")]
    inner = along(found[tree("[[]]")] / np.abs(found[tree("[[]]")]).max())[0]
    assert np.allclose(chain / np.abs(found[tree("[[]]")]).max(), inner, rtol=1e-8, atol=1e-12)


SMOOTH = {
    "exp": mpmath.exp, "exp2": lambda t: mpmath.mpf(2) ** t, "expm1": mpmath.expm1,
    "log": mpmath.log, "log1p": mpmath.log1p, "log2": lambda t: mpmath.log(t, 2),
    "log10": mpmath.log10, "sin": mpmath.sin, "cos": mpmath.cos, "tan": mpmath.tan,
    "sinh": mpmath.sinh, "cosh": mpmath.cosh, "tanh": mpmath.tanh, "arctan": mpmath.atan,
    "arcsinh": mpmath.asinh, "arctanh": mpmath.atanh, "arcsin": mpmath.asin,
    "arccos": mpmath.acos, "sqrt": mpmath.sqrt, "cbrt": mpmath.cbrt, "square": lambda t: t**2,
    "reciprocal": lambda t: 1 / t,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SMOOTH))
def test_every_function_has_its_taylor_coefficients(name):
    """k-th derivatives of the NumPy function, k <= 4, against mpmath's Taylor series."""
    function = getattr(np, name)
    bushes = [tree([[]] * k) for k in range(5)]
    found = JetSpace(bushes).elementary_differentials(lambda w: function(w) + 0.0, np.array([0.37]))
    with mpmath.workdps(40):
        taylor = mpmath.taylor(SMOOTH[name], mpmath.mpf(0.37), 4)
        value = SMOOTH[name](mpmath.mpf(0.37))
        for k, bush in enumerate(bushes):
            expected = taylor[k] * mpmath.factorial(k) * value**k  # f^(k)(f, ..., f)
            assert abs(found[bush][0] - expected) < 1e-13 * (1 + abs(expected)), k


def test_the_table_of_functions_is_tested_whole():
    arithmetic = {
        "add", "subtract", "multiply", "divide", "true_divide", "matmul", "vecdot", "matvec",
        "vecmat", "negative", "positive", "conjugate", "power", "float_power", "expit", "logaddexp",
    }  # fmt: skip
    assert set(_UFUNCS) == set(SMOOTH) | arithmetic


@settings(max_examples=30, deadline=None)
@given(
    st.floats(min_value=-2, max_value=2, allow_subnormal=False),
    st.sampled_from([2, 3, 4, 0, 1, -1, -2, 0.5, 1.5]),
)
def test_powers(value, exponent):
    base = abs(value) + 0.5
    bushes = [tree([[]] * k) for k in range(4)]
    found = JetSpace(bushes).elementary_differentials(lambda w: w**exponent, np.array([base]))
    for k, bush in enumerate(bushes):
        falling = np.prod([exponent - i for i in range(k)])
        expected = falling * base ** (exponent - k) * (base**exponent) ** k
        assert found[bush][0] == pytest.approx(expected, rel=1e-12, abs=1e-300)


def logistic(w):
    """Gradient of a logistic regression, through logaddexp, einsum, sum and indexing."""
    data = np.array([[1.0, -0.5], [0.3, 2.0], [-1.2, 0.7]])
    margin = np.einsum("ij,...j->...i", data, w)
    weight = -np.exp(-np.logaddexp(0.0, margin))
    return np.sum(weight[..., None] * data, axis=-2) + 0.1 * w


def test_logistic_regression_against_sympy():
    data = [
        [1, sp.Rational(-1, 2)],
        [sp.Rational(3, 10), 2],
        [sp.Rational(-6, 5), sp.Rational(7, 10)],
    ]
    loss = sum(sp.log(1 + sp.exp(-(r[0] * x + r[1] * y))) for r in data) + (x**2 + y**2) / 20
    equation = modified_equation(Nesterov(), 3, "slow")
    found = equation.rhs(logistic, gamma=0.2, beta=0.5)(W[0])
    written = equation.specialise(loss, [x, y])
    at = {x: sp.Rational(3, 10), y: sp.Rational(-2, 5), gamma: sp.Rational(1, 5), beta: sp.S.Half}
    assert np.allclose(found, [float(e.subs(at)) for e in written], rtol=1e-13, atol=0)


def test_lists_of_components_and_constant_ones():
    equation = modified_equation(HeavyBall(), 3, "slow")

    def listed(w):
        return [w[..., 0] ** 3, 2.0]

    found = equation.rhs(listed, gamma=0.1, beta=0.5)(np.array([0.5, 1.0]))
    expected = equation.rhs(x**4 / 4 + 2 * y, [x, y], gamma=0.1, beta=0.5)(np.array([0.5, 1.0]))
    assert np.allclose(found, expected, rtol=1e-14, atol=0)
    constant = equation.rhs(lambda w: np.ones_like(w), gamma=0.1, beta=0.5)(np.zeros(2))
    assert np.allclose(constant, -0.2, rtol=1e-14, atol=0)


def kinked(w):
    return np.where(w > 0, w, 0.0)


@pytest.mark.parametrize(
    ("loss", "variables", "values", "point", "sentence"),
    [
        (sp.Abs(x), [x], {}, None, "expected a smooth loss, received one that contains Abs(x)."),
        (sp.Max(x, 0), [x], {}, None, "expected a smooth loss, received one that contains Max("),
        (
            LOSS, [x], {}, None,
            "expected a loss of the variables x, received also y; name all its variables, or "
            "substitute numbers for parameters.",
        ),
        (sp.Integer(3), None, {}, None, "expected a loss of the variables (none), received the"),
        ("no formula!", None, {}, None, "expected a formula, received 'no formula!'"),
        (
            np.abs, None, {}, np.ones(2),
            "expected a gradient of smooth functions, received one that calls numpy absolute; "
            "compose it of",
        ),
        (
            kinked, None, {}, np.ones(2),
            "expected a smooth gradient, received one that compares or branches on its argument",
        ),
        (np.sum, None, {}, np.ones(2), "expected a gradient of the shape (2,) of its argument"),
        (
            LOSS, [x, y], {"mu": 1}, None,
            "expected parameters among gamma, beta, eps, lam, received mu.",
        ),
        (
            LOSS, [x, y], {"lam": None}, None,
            "expected values for gamma, beta, eps, lam, received none for lam.",
        ),
        (
            LOSS, [x, y], {"gamma": 0.1, "beta": 0.5}, None,
            "expected either eps and lam or the method's own parameters, received both; give one.",
        ),
        (LOSS, [x, y], {}, np.ones(3), "expected w with 2 on the last axis, received shape (3,)."),
        (LOSS, [x, y], {}, np.array([1.0, np.nan]), "expected finite values in w, received 1 NaN"),
    ],
)  # fmt: skip
def test_what_is_refused(loss, variables, values, point, sentence):
    parameters = {"eps": 0.1, "lam": 1.0} | values
    parameters = {name: value for name, value in parameters.items() if value is not None}
    with pytest.raises(InputError) as error:
        modified_equation(HeavyBall(), 2).rhs(loss, variables, **parameters)(point, point)
    assert str(error.value).startswith(sentence)


def test_a_velocity_is_needed_and_has_the_shape_of_w():
    right = modified_equation(HeavyBall(), 2).rhs(LOSS, [x, y], eps=0.1, lam=1.0)
    with pytest.raises(InputError, match="expected a velocity v, received none; the inertial"):
        right(W)
    with pytest.raises(InputError, match=r"expected v of the shape \(3, 2\) of w"):
        right(W, V[0])
    with pytest.raises(InputError, match="expected symbols for the velocity, received none"):
        modified_equation(HeavyBall(), 2).specialise(LOSS, [x, y])


def test_own_parameters_of_a_stated_method():
    stated = MomentumMethod.parse(
        "w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*f(w[k] + mu*(w[k]-w[k-1]))"
    )
    nesterov = modified_equation(Nesterov(), 2).rhs(LOSS, [x, y], gamma=0.01, beta=0.8)
    found = modified_equation(stated, 2).rhs(LOSS, [x, y], gamma=0.01, beta=0.8, mu=1.0)
    # mu = 1 is Nesterov's look-ahead in the limit beta -> 1 only: equal leading Hessian damping
    assert not np.allclose(found(W, V), nesterov(W, V), rtol=1e-6, atol=0)
    close = modified_equation(stated, 1).rhs(LOSS, [x, y], gamma=0.01, beta=0.8, mu=1.0)
    first = modified_equation(Nesterov(), 1).rhs(LOSS, [x, y], gamma=0.01, beta=0.8)
    assert np.allclose(close(W, V), first(W, V), rtol=1e-13, atol=0)
