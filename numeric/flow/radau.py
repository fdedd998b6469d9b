"""Coefficients of Radau IIA, the collocation method for stiff equations, for any odd s.

Nodes, weights and matrix of the method with s stages and order 2 s - 1, the eigenvectors
that split its systems, and the embedded formula of order s by which its error is
estimated (Hairer, Wanner, Solving Ordinary Differential Equations II, 2nd ed., sections
IV.5 and IV.8).
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import roots_jacobi

from momentumflow.base.arrays import FloatArray


class Radau(NamedTuple):
    """The method with s stages.

    Attributes
    ----------
    c, b : ndarray, shape (s,)
        Nodes, the last of them 1, and weights.
    A : ndarray, shape (s, s)
    real : float
        The real eigenvalue of A^-1.
    pairs : ndarray of complex, shape ((s-1)/2,)
        One eigenvalue of each complex pair.
    split, join : ndarray, shape (s, s)
        To the eigenvectors of A^-1 and back: rows and columns for the real one, then for
        real and imaginary part of each pair.
    first : float
        Weight of f(y_0) in the embedded formula.
    e : ndarray, shape (s,)
        Weights of the embedded formula less b.
    barycentric : ndarray, shape (s + 1,)
        Weights of Lagrange's interpolation at 0 and the nodes.
    """

    c: FloatArray
    b: FloatArray
    A: FloatArray
    real: float
    pairs: NDArray[np.complex128]
    split: FloatArray
    join: FloatArray
    first: float
    e: FloatArray
    barycentric: FloatArray


@cache
def radau(stages: int) -> Radau:
    """Return the method with an odd number of stages, 3 to 9."""
    s = stages
    c = np.append((roots_jacobi(s - 1, 1.0, 0.0)[0] + 1) / 2, 1.0)
    powers = np.arange(1, s + 1)
    # integrals of polynomials of degree < s over [0, c_i], and over [0, 1], are exact
    vandermonde = c[:, None] ** (powers - 1)
    A = np.linalg.solve(vandermonde.T, (c[:, None] ** powers / powers).T).T.astype(np.float64)
    b = A[-1].copy()
    values, vectors = np.linalg.eig(np.linalg.inv(A))
    inverse = np.linalg.inv(vectors)
    at = int(np.argmin(np.abs(values.imag)))
    upper = np.flatnonzero(values.imag > 1e-6)
    real = float(values[at].real)
    split = [inverse[at].real]
    join = [vectors[:, at].real]
    for k in upper:
        split += [inverse[k].real, inverse[k].imag]
        join += [2 * vectors[:, k].real, -2 * vectors[:, k].imag]
    first = 1.0 / real
    moments = 1.0 / powers
    moments[0] -= first
    embedded = np.linalg.solve(vandermonde.T, moments)
    nodes = np.append(0.0, c)
    differences = nodes[:, None] - nodes + np.eye(s + 1)
    return Radau(
        c=c,
        b=b,
        A=A,
        real=real,
        pairs=values[upper],
        split=np.array(split),
        join=np.ascontiguousarray(np.array(join).T),
        first=first,
        e=embedded - b,
        barycentric=1.0 / differences.prod(axis=1),
    )
