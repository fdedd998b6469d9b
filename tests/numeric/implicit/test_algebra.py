"""The linear algebra that only some problems reach, each against the plain dense product."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import aslinearoperator

from momentumflow import InputError
from momentumflow.numeric import ImplicitModel, ImplicitStatus, implicit_solution
from momentumflow.numeric.implicit import operators, rows
from momentumflow.numeric.implicit.extension import _Block

RNG = np.random.default_rng(5)
X = RNG.standard_normal((7, 40))
Y = X @ RNG.standard_normal(40)


@pytest.mark.parametrize("kind", [sp.csr_array, aslinearoperator])
def test_columns_of_an_operator_are_those_of_its_matrix(kind):
    wrapped = operators.operator_rows(kind(X))
    index = np.array([3, 0, 39])
    np.testing.assert_allclose(wrapped.columns(0, index), X[:, index], rtol=1e-14)
    np.testing.assert_allclose(wrapped.column_sizes(0), (X**2).sum(axis=0), rtol=1e-13)


def test_an_empty_operator_is_refused():
    with pytest.raises(InputError, match=r"at least one row and one column, received X of shape"):
        operators.operator_rows(sp.csr_array((0, 4)))


@pytest.mark.parametrize("spread", [0.0, 30.0])
def test_the_gram_matrix_by_blocks(monkeypatch, spread):
    """Weights far below rounding are left out, and it does not show."""
    monkeypatch.setattr(rows, "_BLOCK", 16)
    h = 10.0 ** (-spread * RNG.random(40))
    h[0] = 1.0
    expected = (X * h) @ X.T
    found = rows.gram_by_blocks(X, h)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15 * np.abs(expected).max())
    np.testing.assert_allclose(rows.gram_by_blocks(X), X @ X.T, rtol=1e-13, atol=1e-13)


def test_a_large_problem_is_solved_by_blocks_to_the_same_answer(monkeypatch):
    expected = implicit_solution((X, Y), 1e-3)
    monkeypatch.setattr(rows, "_KEEP_WHITENED", 10)
    monkeypatch.setattr(rows, "_BLOCK", 16)
    found = implicit_solution((X, Y), 1e-3)
    assert found.certified
    np.testing.assert_allclose(found.theta, expected.theta, rtol=0, atol=1e-12)


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
