"""An oracle that shares no code with the package: the problem in mpmath, 50 digits."""

from collections.abc import Callable

import mpmath
import numpy as np
import pytest

DIGITS = 50


def _exact(X, y, log_delta, shift, start) -> list[mpmath.mpf]:
    """Solve X theta(X^T nu) = y, theta_i = (Delta_i/2) sinh(2 z_i + s_i), by damped Newton.

    The floats are taken as exact numbers. `start` is any dual point.
    """
    with mpmath.workdps(DIGITS + 30):
        n, d = X.shape
        A = mpmath.matrix(X.tolist())
        target = mpmath.matrix(y.tolist())
        delta = [mpmath.exp(mpmath.mpf(float(v))) for v in np.broadcast_to(log_delta, d)]
        s = [mpmath.mpf(float(v)) for v in np.broadcast_to(shift, d)]
        nu = mpmath.matrix(start.tolist())
        size = max(abs(v) for v in target)
        for _ in range(500):
            z = A.T * nu
            theta = mpmath.matrix([delta[i] / 2 * mpmath.sinh(2 * z[i] + s[i]) for i in range(d)])
            r = target - A * theta
            H = mpmath.matrix(n, n)
            for i in range(d):
                w = delta[i] * mpmath.cosh(2 * z[i] + s[i])
                for a in range(n):
                    for b in range(n):
                        H[a, b] += A[a, i] * w * A[b, i]
            step = mpmath.lu_solve(H, r)
            reach = max(abs(v) for v in A.T * step)
            nu += step / max(1, 2 * reach)
            if reach < mpmath.mpf(10) ** (-DIGITS):
                assert max(abs(v) for v in r) < size * mpmath.mpf(10) ** (-DIGITS + 5)
                return [+theta[i] for i in range(d)]
        raise AssertionError("the oracle did not converge")


@pytest.fixture(scope="session")
def exact_solution() -> Callable[..., list[mpmath.mpf]]:
    """Return exact_solution(X, y, log_delta, shift, start) -> list of mpf."""
    return _exact


@pytest.fixture(scope="session")
def distance() -> Callable[..., float]:
    """Return distance(theta, exact): relative Euclidean distance, in extended precision."""

    def measure(theta, exact) -> float:
        with mpmath.workdps(DIGITS):
            norm = mpmath.sqrt(sum(e * e for e in exact))
            miss = [mpmath.mpf(float(t)) - e for t, e in zip(theta, exact, strict=True)]
            return float(mpmath.sqrt(sum(m * m for m in miss)) / norm)

    return measure
