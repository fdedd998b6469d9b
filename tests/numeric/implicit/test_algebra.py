"""The linear algebra that only some problems reach, each against the plain dense product."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from momentumflow import InputError
from momentumflow.numeric import ImplicitModel, ImplicitStatus, implicit_solution
from momentumflow.numeric.implicit import algebra, dual_systems
from momentumflow.numeric.implicit.extension import _Block

RNG = np.random.default_rng(5)
X = RNG.standard_normal((7, 40))
Y = X @ RNG.standard_normal(40)


KINDS = [lambda A: A, sp.csr_array, aslinearoperator]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scaled", [False, True])
def test_every_kind_of_matrix_offers_the_same_products(monkeypatch, kind, scaled):
    """In the user's units each is that of the dense matrix, whatever units it is kept in."""
    monkeypatch.setattr(algebra, "DIRECT_ENTRIES", 0)
    rng = np.random.default_rng(0)
    A = X * 10.0 ** rng.uniform(-40, 40, (7, 1)) if scaled else X
    A = A * 10.0 ** rng.uniform(-20, 20, 40) if scaled else A
    matrix, units = algebra.matrix_of(A[None] if kind is KINDS[0] else kind(A))
    assert (units.weight is not None) is scaled
    theta, nu = rng.standard_normal((2, 40)), rng.standard_normal((2, 7))
    t, dual = np.ldexp(theta, units.columns), np.ldexp(nu, units.rows)

    def close(found, expected):
        size = np.abs(expected).max(axis=-1, keepdims=True)
        np.testing.assert_allclose(found / size, expected / size, rtol=0, atol=1e-13)

    close(np.ldexp(matrix.forward(t), units.rows), theta @ A.T)
    close(matrix.adjoint(dual), nu @ A)
    close(matrix.adjoint_columns(dual[..., None])[..., 0], nu @ A)
    high, low = matrix.precise_adjoint(dual, np.zeros_like(dual))
    close(high + low, nu @ A)
    y = rng.standard_normal((2, 7)) * np.abs(A).max(axis=1)
    r, size = matrix.residual(t, np.ldexp(y, -units.rows))
    close(np.ldexp(r, units.rows), theta @ A.T - y)
    close(np.ldexp(size, units.rows), np.abs(theta) @ np.abs(A).T + np.abs(y))
    index = np.array([3, 0, 39])
    exponents = units.rows + units.columns[0, index, None]
    close(np.ldexp(matrix.columns(0, index).T, exponents).T, A[:, index])
    R = matrix.triangle(0)
    if matrix.direct:
        h = rng.random((2, 40))
        dense = np.ldexp(np.ldexp(A, -units.columns), -units.rows.T)
        np.testing.assert_allclose(matrix.gram()[0], R.T @ R, rtol=0, atol=1e-12)
        for one, weights in zip(matrix.gram(h), matrix.weighted(h), strict=True):
            expected = (dense * weights) @ dense.T
            np.testing.assert_allclose(one, expected, rtol=1e-10, atol=1e-13 * expected.max())


def test_an_operator_whose_adjoint_is_another_matrix_is_refused(monkeypatch):
    monkeypatch.setattr(algebra, "DIRECT_ENTRIES", 0)
    broken = LinearOperator(
        (7, 40), matvec=lambda t: X @ t, rmatvec=lambda r: 2 * X.T @ r, dtype=np.float64
    )
    matrix, _ = algebra.matrix_of(broken)
    with pytest.raises(InputError, match="rmatvec is the adjoint of its matvec"):
        matrix.residual(np.ones((1, 40)), np.zeros((1, 7)))


def test_an_empty_operator_is_refused():
    with pytest.raises(InputError, match=r"at least one row and one column, received X of shape"):
        algebra.matrix_of(sp.csr_array((0, 4)))


@pytest.mark.parametrize("spread", [0.0, 30.0])
def test_the_gram_matrix_by_blocks(monkeypatch, spread):
    """Weights far below rounding are left out, and it does not show."""
    monkeypatch.setattr(algebra, "_COLUMNS", 16)
    h = 10.0 ** (-spread * RNG.random(40))
    h[0] = 1.0
    expected = (X * h) @ X.T
    found = algebra.DenseMatrix(X[None])._gram(0, h)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15 * np.abs(expected).max())
    np.testing.assert_allclose(algebra.DenseMatrix(X[None])._gram(0, None), X @ X.T, atol=1e-13)


def test_a_large_problem_is_solved_by_blocks_to_the_same_answer(monkeypatch):
    expected = implicit_solution((X, Y), 1e-3)
    monkeypatch.setattr(dual_systems, "_KEEP_WHITENED", 10)
    monkeypatch.setattr(algebra, "_WHOLE", 10)
    monkeypatch.setattr(algebra, "_COLUMNS", 16)
    found = implicit_solution((X, Y), 1e-3)
    assert found.certified
    np.testing.assert_allclose(found.theta, expected.theta, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gap", [1e-6, 1e-10, 1e-13, 1e-17])
def test_the_rank_is_decided_in_one_way(kind, gap):
    """Also for nearly dependent rows, and in whatever units each row is."""
    A = X.copy()
    A[-1] = A[0] + A[1] + gap * A[-1]
    A *= 10.0 ** np.linspace(-60, 60, 7)[:, None]
    matrix, _ = algebra.matrix_of(A[None] if kind is KINDS[0] else kind(A))
    assert dual_systems.dual_system(matrix).rank == (7 if gap > 1e-13 else 6)


def test_more_rows_than_columns():
    """A repeated design: the rows add nothing, the answer is that of the first ones."""
    tall, right = np.tile(X[:4, :6], (3, 1)), np.tile(X[:4, :6] @ np.ones(6), 3)
    assert tall.shape == (12, 6)
    found = implicit_solution((tall, right), 0.1)
    alone = implicit_solution((tall[:4], right[:4]), 0.1)
    assert found.certified
    assert found.rank == 4
    np.testing.assert_allclose(found.theta, alone.theta, atol=1e-12)


def bounded(first):
    """The active-set method on theta <= 0.4, from a first guess at what is active."""
    model = ImplicitModel((X, Y), 0.5)
    d = X.shape[1]
    guess = np.full(d, first)
    block = _Block(np.eye(d), np.full(d, -0.4), False, guess)
    return model._active_set([block], 1e-9), model.solve([model.theta <= 0.4])


def test_active_constraints_are_found_from_a_guess_of_none():
    found, expected = bounded(False)
    assert found.certified
    assert expected.certified
    np.testing.assert_allclose(found.theta, expected.theta, atol=1e-9)
    assert found.multipliers[0].max() > 0  # some constraint binds
    assert found.theta.max() <= 0.4 + 1e-12


def test_constraints_that_are_wrongly_active_are_let_go():
    expected = bounded(False)[0]
    active = expected.multipliers[0] > 0
    free = int(np.flatnonzero(~active)[np.argmin(expected.theta[~active])])
    active[free] = True
    block = _Block(np.eye(40), np.full(40, -0.4), False, active)
    found = ImplicitModel((X, Y), 0.5)._active_set([block], 1e-9)
    assert found.certified
    np.testing.assert_allclose(found.theta, expected.theta, atol=1e-9)


def test_constraints_that_contradict_each_other_are_no_result():
    B = np.array([[1.0, *np.zeros(39)], [-1.0, *np.zeros(39)]])
    block = _Block(B, np.array([0.0, 1.0]), False, np.array([True, True]))
    found = ImplicitModel((X, Y), 0.5)._active_set([block], 1e-9)
    assert found.status is ImplicitStatus.TRY_ANOTHER_SOLVER
    assert not found.certified
    assert np.isnan(found.theta).all()
