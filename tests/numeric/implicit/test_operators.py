"""Sparse and matrix-free X give the dense answer, by direct and by iterative algebra."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from momentumflow import InputError
from momentumflow.numeric import implicit_solution
from momentumflow.numeric.implicit import algebra, nearest_consistent_target

RNG = np.random.default_rng(0)
DENSE = sp.random_array((30, 200), density=0.2, rng=RNG).toarray()
DENSE[-1] = DENSE[0] + DENSE[1]  # rank 29
Y = DENSE @ RNG.standard_normal(200)
KINDS = {
    "sparse": sp.csr_array(DENSE),
    "sparse, other format": sp.coo_array(DENSE),
    "operator": aslinearoperator(DENSE),
}


@pytest.mark.parametrize("delta", [1e12, 1e-2, 1e-8, 1e-30])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("iterative", [False, True])
def test_the_dense_answer(monkeypatch, delta, kind, iterative):
    if iterative:
        monkeypatch.setattr(algebra, "DIRECT_ROWS", 10)
        monkeypatch.setattr(algebra, "DIRECT_ENTRIES", 10)
    dense = implicit_solution((DENSE, Y), delta, 0.01)
    solution = implicit_solution((KINDS[kind], Y), delta, 0.01)
    assert solution.certified
    assert solution.rank == (-1 if iterative else 29)
    size = np.abs(dense.theta).max()
    np.testing.assert_allclose(solution.theta, dense.theta, rtol=0, atol=1e-12 * size)


def test_a_matrix_that_exists_only_as_a_product():
    """A circular convolution: its matrix is never formed."""
    d, rows = 256, np.arange(0, 256, 8)
    spectrum = np.fft.rfft(RNG.standard_normal(d))

    def forward(x):
        return np.fft.irfft(spectrum * np.fft.rfft(np.ravel(x)), d)[rows]

    def adjoint(r):
        full = np.zeros(d)
        full[rows] = np.ravel(r)
        return np.fft.irfft(spectrum.conj() * np.fft.rfft(full), d)

    X = LinearOperator((rows.size, d), matvec=forward, rmatvec=adjoint, dtype=np.float64)
    truth = np.zeros(d)
    truth[[5, 100, 180]] = 1.0, -2.0, 0.5
    solution = implicit_solution((X, forward(truth)), 1e-6)
    matrix = np.stack([forward(row) for row in np.eye(d)], axis=1)
    dense = implicit_solution((matrix, forward(truth)), 1e-6)
    assert solution.certified
    np.testing.assert_allclose(solution.theta, dense.theta, atol=1e-12)


@pytest.mark.parametrize("iterative", [False, True])
def test_rows_of_every_size_are_consistent_with_their_own_product(monkeypatch, iterative):
    """310 rows whose sizes span twenty orders of magnitude: y = X theta fits by construction."""
    if iterative:
        monkeypatch.setattr(algebra, "DIRECT_ENTRIES", 10)
    rng = np.random.default_rng(1)
    X = rng.standard_normal((310, 400)) * 10.0 ** rng.uniform(-10, 10, (310, 1))
    solution = implicit_solution((aslinearoperator(X), X @ rng.standard_normal(400)), 1.0)
    assert solution.certified
    missed = np.abs(X @ solution.theta - X @ implicit_solution((X, X @ solution.theta), 1.0).theta)
    assert np.all(missed <= 1e-9 * np.abs(X) @ np.abs(solution.theta))


@pytest.mark.parametrize("kind", [sp.csr_array, aslinearoperator])
def test_one_row_leaves_conjugate_gradients_nothing(monkeypatch, kind):
    """Where the first step is exact, what is left of the residual is exactly zero."""
    monkeypatch.setattr(algebra, "DIRECT_ROWS", 0)
    monkeypatch.setattr(algebra, "DIRECT_ENTRIES", 0)
    row, y = np.array([[0.0, 0.0, -0.75]]), [1.5]
    solution = implicit_solution((kind(row), y), 1e-3, 0.2)
    assert solution.certified
    np.testing.assert_allclose(solution.theta, [0.2, 0.2, -2.0], rtol=1e-14)


def test_many_targets_share_one_sparse_matrix():
    targets = np.stack([Y, -2 * Y])
    solution = implicit_solution((KINDS["sparse"], targets), 1e-3)
    assert solution.theta.shape == (2, 200)
    np.testing.assert_allclose(
        solution.theta[1], implicit_solution((DENSE, -2 * Y), 1e-3).theta, atol=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("iterative", [False, True])
def test_a_noisy_target_is_detected_and_its_neighbour_offered(monkeypatch, kind, iterative):
    if iterative:
        monkeypatch.setattr(algebra, "DIRECT_ROWS", 10)
        monkeypatch.setattr(algebra, "DIRECT_ENTRIES", 10)
    noisy = Y + 1e-3 * RNG.standard_normal(30)
    with pytest.raises(InputError, match=r"expected y in the range of X.*nearest_consistent"):
        implicit_solution((KINDS[kind], noisy), 1e-3)
    near = nearest_consistent_target(KINDS[kind], noisy)
    assert implicit_solution((KINDS[kind], near), 1e-3).certified
    np.testing.assert_allclose(near, nearest_consistent_target(DENSE, noisy), atol=1e-10)


def test_what_only_ndarrays_can_do_is_said():
    with pytest.raises(InputError, match="an ndarray X for solver='cvxpy'"):
        implicit_solution((KINDS["sparse"], Y), 1.0, solver="cvxpy")
    bad = KINDS["sparse"].copy()
    bad.data[0] = np.nan
    with pytest.raises(InputError, match="finite values in X"):
        implicit_solution((bad, Y), 1.0)
    with pytest.raises(InputError, match="expected X as real numbers"):
        implicit_solution((KINDS["sparse"].astype(np.complex128), Y), 1.0)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array, sp.coo_array, aslinearoperator])
def test_a_matrix_of_zeros_is_one_like_any_other(kind):
    nothing = kind(np.zeros((2, 3)))
    solution = implicit_solution((nothing, np.zeros(2)), 0.5, 0.3)
    assert solution.certified
    np.testing.assert_allclose(solution.theta, 0.3, rtol=1e-15)
    with pytest.raises(InputError, match="expected y in the range of X"):
        implicit_solution((nothing, [1.0, 0.0]), 0.5)
