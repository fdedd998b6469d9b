"""Jets pass through NumPy code however it is written."""

import numpy as np
import pytest

from momentumflow.base.errors import InputError
from momentumflow.symbolic.series.jet_space import JetSpace
from momentumflow.symbolic.series.jets import Jet
from momentumflow.symbolic.trees.rooted_trees import tree, trees_up_to

RNG = np.random.default_rng(7)
X = RNG.standard_normal((4, 3))
Y = RNG.standard_normal(4)
W = RNG.standard_normal(3)

# the gradient of sum (X w - y)^4 / 4, written in every way a user might
VARIANTS = {
    "operators": lambda w: X.T @ (X @ w - Y) ** 3,
    "dot": lambda w: np.dot(X.T, np.dot(X, w) ** 3 + -3 * Y * np.dot(X, w) ** 2
                            + 3 * Y**2 * np.dot(X, w) - Y**3),
    "method dot": lambda w: (w.dot(X.T) - Y) ** 3 @ X,
    "row vectors": lambda w: ((w @ X.T - Y) ** 3) @ X,
    "einsum": lambda w: np.einsum("ij,i->j", X, (np.einsum("ij,j->i", X, w) - Y) ** 3),
    "sums": lambda w: np.sum(X * np.sum(X * w, axis=1, keepdims=True), axis=0) * 0
    + ((X * ((X * w).sum(axis=1) - Y).reshape(4, 1) ** 3).sum(axis=0)),
    "reflected": lambda w: -(X.T @ (Y - X @ w) ** 3),
    "products": lambda w: X.T @ ((X @ w - Y) * np.square(X @ w - Y)),
    "quotient": lambda w: X.T @ ((X @ w - Y) ** 4 / (X @ w - Y)),
    "reciprocal": lambda w: X.T @ (1.0 / (X @ w - Y) ** -3),
    "matvec": lambda w: np.vecmat((np.matvec(X, w) - Y) ** 3, X),
    "vecdot": lambda w: np.stack([np.vecdot(X[:, j], (X @ w - Y) ** 3) for j in range(3)]),
    "components": lambda w: [
        sum(X[i, j] * (X[i] @ w - Y[i]) ** 3 for i in range(4)) for j in range(3)
    ],
    "array of components": lambda w: np.array(
        [sum(X[i, j] * (X[i] @ w - Y[i]) ** 3 for i in range(4)) for j in range(3)]
    ),
    "joined": lambda w: np.concatenate(
        [X[:, :1].T @ (X @ w - Y) ** 3, X[:, 1:].T @ (X @ w - Y) ** 3]
    ),
    "unpacked": lambda w: X.T @ (
        sum(column * entry for column, entry in zip(X.T, w, strict=True)) - Y) ** 3,
    "mean": lambda w: 4 * np.mean(X * ((X @ w - Y) ** 3)[:, None], axis=0),
    "moved axes": lambda w: (
        X.T[None] * (np.transpose(w[None] @ X.T) - Y[:, None]).T ** 3
    ).sum(axis=-1)[0],
    "in place of a copy": lambda w: X.T @ (X @ (np.copy(w) + np.zeros_like(w)) - Y) ** 3,
    "exponential of a logarithm": lambda w: X.T @ (
        np.sign(X @ W - Y) * np.exp(1.5 * np.log((X @ w - Y) ** 2))
    ),
    "power with a jet exponent": lambda w: X.T @ (
        np.sign(X @ W - Y) * np.exp(1.5) ** np.log((X @ w - Y) ** 2)
    ),
}  # fmt: skip


def differentials(gradient):
    return JetSpace(trees_up_to(4)).elementary_differentials(lambda w: gradient(w), W)


@pytest.mark.parametrize("name", list(VARIANTS))
def test_every_way_of_writing_a_gradient(name):
    """Against the closed form of every derivative: f^(k)(x...) = c_k X^T (r^(3-k) prod X x)."""
    found = differentials(VARIANTS[name])
    r = X @ W - Y

    def expected(tau):
        branches = [X @ expected(child) for child in tau.children]
        k = len(branches)
        factor = np.prod([3 - i for i in range(k)])
        power = r ** (3 - k) if k <= 3 else 0.0
        return X.T @ (factor * power * np.prod(branches, axis=0) if k else r**3)

    for tau in trees_up_to(4):
        wanted = expected(tau)
        assert np.allclose(found[tau], wanted, rtol=1e-11, atol=1e-11 * np.abs(wanted).max()), tau


def test_batches():
    """Leading axes are independent points."""
    points = RNG.standard_normal((5, 2, 3))
    space = JetSpace(trees_up_to(4))
    together = space.elementary_differentials(VARIANTS["row vectors"], points)
    for index in np.ndindex(5, 2):
        alone = space.elementary_differentials(VARIANTS["row vectors"], points[index])
        for tau, value in alone.items():
            assert np.allclose(together[tau][index], value, rtol=1e-12, atol=1e-12)


def test_what_a_jet_shows():
    seen = {}

    def gradient(w):
        if isinstance(w, Jet):
            seen.update(shape=w.shape, ndim=w.ndim, size=w.size, dtype=w.dtype, length=len(w))
            seen["T"] = (+w).T.shape
        return w * np.ones_like(w)

    JetSpace([tree("[[]]")]).elementary_differentials(gradient, W)
    assert seen == {
        "shape": (3,), "ndim": 1, "size": 3, "dtype": np.dtype(float), "length": 3, "T": (3,),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("gradient", "sentence"),
    [
        (lambda w: np.maximum(w, 0.0), "received one that calls numpy maximum"),
        (lambda w: np.sort(w), "received one that calls numpy sort"),
        (lambda w: w if w[0] > 0 else -w, "received one that compares or branches"),
        (lambda w: abs(w), "received one that compares or branches"),
        (lambda w: w // 2, "received one that compares or branches"),
        (lambda w: w * float(w[0]), "received one that compares or branches"),
        (lambda w: w ** np.array([1, 2, 3]), "expected a single number as an exponent, received"),
        (lambda w: np.einsum("i,i->i", w, w), "expected one jet at a time in numpy einsum"),
        (lambda w: np.multiply.reduce(w) * w, "received one that calls numpy multiply"),
        (lambda w: w[:2], r"expected a gradient of the shape \(3,\) of its argument, received sha"),
    ],
)
def test_gradients_that_are_refused(gradient, sentence):
    with pytest.raises(InputError, match=sentence):
        differentials(gradient)


def test_a_velocity_that_is_missing():
    with pytest.raises(InputError, match="expected a velocity v, received none"):
        JetSpace([tree("[v]")]).elementary_differentials(VARIANTS["operators"], W)
