"""Where the flow goes from a vanishing start at fixed lambda: a conjecture, computed exactly.

Let alpha tend to zero and measure time in units of ln(1/alpha). The logarithm of a weight
in the same units starts at -1. While the parameter rests at a saddle the gradient g is
constant, and the logarithm of `w_s` moves at the constant rate r with
`lambda r^2 + r = -s g_j` (theorem `sharp-sign-bound`). When one reaches zero its coordinate
enters, and the parameter jumps to the point of least loss among those whose coordinates
have the signs of the weights at zero. Without momentum, `r = -s g_j`, this is the theorem
of Pesme and Flammarion, and the path ends at the interpolator of least l1 norm. With
momentum it is conjectured here, and measured by the claim `rich-path`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from momentumflow.base.arguments import NonNegativeFloat, checked
from momentumflow.base.arrays import FloatArray
from momentumflow.base.errors import InputError
from momentumflow.base.values import Value, brief
from momentumflow.numeric.data.problems import Regression
from momentumflow.symbolic.theory_kernels import network_formulas

# Of a gradient that is zero, in units of the largest that the start allows.
_STILL = 1e-10
# Jumps; a path has a few for each row.
_MOST = 10_000
_SIGNS = np.array([[1.0], [-1.0]])


@checked
@dataclass(frozen=True, eq=False, repr=False)
class RichPath(Value):
    """The saddles that the flow visits, as its initialisation scale tends to zero.

    With momentum a conjecture; at lambda = 0 a theorem.

    Attributes
    ----------
    time : ndarray, shape (jumps,)
        When it leaves one saddle for the next, in units of ln(1/alpha).
    theta : ndarray, shape (jumps, d)
        Where each jump ends; the first saddle, left at the first time, is zero.
    log_weights : ndarray, shape (jumps, 2, d)
        ln|w_+| and ln|w_-| over ln(1/alpha) at each jump: -1 at the start, 0 where the
        coordinate has entered.
    """

    time: FloatArray
    theta: FloatArray
    log_weights: FloatArray

    @property
    def limit(self) -> FloatArray:
        """The interpolator at which the path ends, shape (d,)."""
        end: FloatArray = self.theta[-1]
        return end

    def _shown(self) -> dict[str, str]:
        return {"jumps": str(self.time.size), "time": brief(self.time), "limit": brief(self.limit)}


@checked
def rich_path(problem: Regression, lam: NonNegativeFloat) -> RichPath:
    r"""Return where momentum gradient flow goes as its start tends to zero, lambda fixed.

    Between jumps the logarithms of the weights, over ln(1/alpha), move at the rates
    `phi(-s g_j)`, `phi(x) = (sqrt(1 + 4 lam x) - 1)/(2 lam)`. At fixed lambda their end is
    not the interpolator of least l1 norm: `phi` bends, so that w_- shrinks faster than
    w_+ grows.

    **A conjecture** for lam > 0, for which no run tried speaks otherwise
    (`momentumflow verify --only rich-path`). For lam = 0 it is a theorem.

    Parameters
    ----------
    problem : Regression
        One problem, its columns in general position.
    lam : float, >= 0
        At most 1/(4 |g_j|) on the path; `sign_change_bound(problem).lam` always is.

    Returns
    -------
    RichPath

    Raises
    ------
    InputError
        A batch; a lambda at which weights change sign on the path; columns of which the
        next saddle needs more than determine it.

    See Also
    --------
    rich_limit : The potential that the entropy approaches as the balancedness tends to 0.

    References
    ----------
    Pesme and Flammarion, NeurIPS 2023, arXiv 2304.00488 (lam = 0).

    Examples
    --------
    >>> from momentumflow.numeric import Regression, rich_path
    >>> path = rich_path(Regression([[1.0, 0.5]], [1.0]), 0.25)
    >>> path.time.round(4).tolist(), path.limit.tolist()
    ([1.2071], [1.0, 0.0])
    """
    if problem.batch_shape:
        raise InputError("a single problem", f"a batch of shape {problem.batch_shape}")
    # In units in which the largest column, |y| and the a priori bound on |g_j| are one.
    length = float(np.linalg.norm(problem.X, axis=0).max())
    size = float(np.linalg.norm(problem.y))
    X, y = problem.X / length, problem.y / size
    unit = length * size / problem.n
    logs, theta, now = np.full((2, problem.d), -1.0), np.zeros(problem.d), 0.0
    times, stops, heights = [], [], []
    for _ in range(_MOST):
        g = X.T @ (X @ theta - y)
        rate = _rates(g, theta, logs, lam * unit)
        if not (rate > 0).any():
            break
        wait = np.where(rate > 0, -logs / np.where(rate > 0, rate, 1.0), np.inf)
        now += float(wait.min())
        logs = np.where(wait <= wait.min() * (1 + 1e-12), 0.0, logs + wait.min() * rate)
        theta = _least(X, y, logs == 0)
        times.append(now / unit)
        stops.append(theta * size / length)
        heights.append(logs)
    else:
        raise InputError(f"a path that ends within {_MOST} jumps", "one that does not")
    return RichPath(np.array(times), np.array(stops), np.array(heights))


def _rates(g: FloatArray, theta: FloatArray, logs: FloatArray, lam: float) -> FloatArray:
    """Rates of the logarithms at a saddle, shape (2, d); zero for what has entered."""
    push = np.where(np.abs(g) > _STILL, -_SIGNS * g, 0.0)
    # what stands at zero and is not part of the saddle is pushed away, or rests
    push = np.where(logs < 0, push, np.where(_SIGNS * theta > 0, 0.0, np.minimum(push, 0.0)))
    least = -0.25 / lam if lam else -np.inf
    if push.min() < least * (1 + _STILL):
        raise InputError(
            "a lambda at which no weight changes sign on the path",
            f"one {push.min() / least:.3g} times as large as the largest such",
            "take at most sign_change_bound(problem).lam",
        )
    # at the bound itself rounding must not leave the root a negative number
    rates: FloatArray = network_formulas().growth_rate(lam, np.maximum(push, least * (1 - 1e-15)))
    return rates


def _least(X: FloatArray, y: FloatArray, entered: FloatArray) -> FloatArray:
    """Return the point of least loss whose coordinates have the signs that entered."""
    which, column = np.nonzero(entered)
    chosen = X[:, column] * _SIGNS[which, 0]
    parts, _ = nnls(chosen, y)
    tight = chosen[:, np.abs(chosen.T @ (chosen @ parts - y)) <= _STILL]
    if np.linalg.matrix_rank(tight) < tight.shape[1]:
        raise InputError(
            "columns in general position",
            f"a saddle that {tight.shape[1]} columns of rank {np.linalg.matrix_rank(tight)} share",
        )
    theta = np.zeros(X.shape[1])
    theta[column] = parts * _SIGNS[which, 0]
    return theta
