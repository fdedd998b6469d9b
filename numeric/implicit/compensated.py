"""Matrix-vector products in twice the working precision.

Error-free transformations (Ogita, Rump, Oishi, "Accurate sum and dot product",
SIAM J. Sci. Comput. 26 (2005), doi:10.1137/030601818, algorithm Dot2). The
result is as if computed with 106 bits and rounded once, which lets a
certificate judge a solution of float64 without its own rounding in the way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from momentumflow.base.arrays import FloatArray

_SPLITTER = 134217729.0  # 2^27 + 1
_LANES = 16


@njit(cache=True, inline="always")
def _two_product(a: float, b: float) -> tuple[float, float]:
    p = a * b
    t = _SPLITTER * a
    a_high = t - (t - a)
    a_low = a - a_high
    t = _SPLITTER * b
    b_high = t - (t - b)
    b_low = b - b_high
    return p, a_low * b_low - (((p - a_high * b_high) - a_low * b_high) - a_high * b_low)


@njit(cache=True, inline="always")
def _two_sum(a: float, b: float) -> tuple[float, float]:
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@njit(cache=True)
def _forward(X: FloatArray, theta: FloatArray, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    B, n, d = X.shape
    out = np.empty((B, n))
    size = np.empty((B, n))
    terms = np.empty(_LANES)
    high = np.empty(_LANES)
    low = np.empty(_LANES)
    for b in range(B):
        for i in range(n):
            high[:] = 0.0
            low[:] = 0.0
            terms[:] = 0.0
            whole = d - d % _LANES
            for j0 in range(0, whole, _LANES):
                for k in range(_LANES):
                    p, e = _two_product(X[b, i, j0 + k], theta[b, j0 + k])
                    s, f = _two_sum(high[k], p)
                    high[k] = s
                    low[k] += e + f
                    terms[k] += abs(p)
            total, tail = -start[b, i], 0.0
            size[b, i] = abs(start[b, i]) + terms.sum()
            for j in range(whole, d):
                p, e = _two_product(X[b, i, j], theta[b, j])
                total, f = _two_sum(total, p)
                tail += e + f
                size[b, i] += abs(p)
            for k in range(_LANES):
                total, f = _two_sum(total, high[k])
                tail += f + low[k]
            out[b, i] = total + tail
    return out, size


@njit(cache=True)
def _adjoint(X: FloatArray, nu: FloatArray, nu_tail: FloatArray) -> tuple[FloatArray, FloatArray]:
    B, n, d = X.shape
    out = np.empty((B, d))
    tail = np.empty((B, d))
    high = np.empty(d)
    low = np.empty(d)
    for b in range(B):
        high[:] = 0.0
        low[:] = 0.0
        for i in range(n):
            for j in range(d):
                p, e = _two_product(X[b, i, j], nu[b, i])
                s, f = _two_sum(high[j], p)
                high[j] = s
                low[j] += e + f + X[b, i, j] * nu_tail[b, i]
        out[b] = high + low
        tail[b] = low - (out[b] - high)
    return out, tail


@njit(cache=True)
def _sparse(
    data: FloatArray,
    indices: NDArray[np.int64],
    pointers: NDArray[np.int64],
    x: FloatArray,
    start: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    B, n = start.shape
    out = np.empty((B, n))
    rest = np.empty((B, n))
    size = np.empty((B, n))
    for b in range(B):
        for i in range(n):
            total, tail = -start[b, i], 0.0
            size[b, i] = abs(start[b, i])
            for k in range(pointers[i], pointers[i + 1]):
                p, e = _two_product(data[k], x[b, indices[k]])
                total, f = _two_sum(total, p)
                tail += e + f
                size[b, i] += abs(p)
            out[b, i] = total + tail
            rest[b, i] = tail - (out[b, i] - total)
    return out, rest, size


def sparse_residual(X: Any, theta: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what `residual` does for a CSR array X of shape (n, d); theta (B, d), y (B, n)."""
    indices, pointers = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    r, _, size = _sparse(X.data, indices, pointers, np.ascontiguousarray(theta), y)
    return r, size


def sparse_adjoint(
    transposed: Any, nu: FloatArray, nu_tail: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return X^T (nu + nu_tail) in two parts, for X^T as a CSR array of shape (d, n)."""
    indices, pointers = transposed.indices.astype(np.int64), transposed.indptr.astype(np.int64)
    zero = np.zeros((nu.shape[0], transposed.shape[0]))
    z, rest, _ = _sparse(transposed.data, indices, pointers, np.ascontiguousarray(nu), zero)
    return add(z, rest, (transposed @ nu_tail.T).T)


def residual(X: FloatArray, theta: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return X theta - y and |X| |theta| + |y| for X (B or 1, n, d), theta (B, d), y (B, n)."""
    return _forward(np.broadcast_to(X, (y.shape[0], *X.shape[1:])), theta, y)


def adjoint(X: FloatArray, nu: FloatArray, nu_tail: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return X^T (nu + nu_tail) in two parts, each of shape (B, d)."""
    return _adjoint(np.broadcast_to(X, (nu.shape[0], *X.shape[1:])), nu, nu_tail)


def add(high: FloatArray, low: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (high + low) + x as an unevaluated sum of two arrays."""
    s = high + x
    t = s - high
    tail = low + ((high - (s - t)) + (x - t))
    total = s + tail
    return total, tail - (total - s)
