"""A rigorous enclosure of the solution by interval Newton (Krawczyk) in ball arithmetic.

The dual equation `A theta(A^T nu) = y`, A a maximal set of independent rows of
X, is solved to the wanted number of digits; then the Krawczyk operator maps a
box around the result into its own interior, which proves that the box holds
exactly one zero. Arb (through python-flint) carries every rounding error.

Krawczyk, Computing 4 (1969), doi:10.1007/BF02234767; Johansson, "Arb: efficient
arbitrary-precision midpoint-radius interval arithmetic", IEEE Trans. Computers
66 (2017), doi:10.1109/TC.2017.2690633.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

import flint
import numpy as np
import scipy.linalg

from momentumflow.base.arguments import Where, checked
from momentumflow.base.arrays import FloatArray, float_array
from momentumflow.base.errors import InputError
from momentumflow.base.values import Value
from momentumflow.numeric.data.pairs import AnyProblem
from momentumflow.numeric.data.problems import Regression
from momentumflow.numeric.implicit.entropies import KullbackLeibler
from momentumflow.numeric.implicit.potentials import HyperbolicEntropy
from momentumflow.numeric.implicit.solution import ImplicitSolution

_MAX_NEWTON = 400


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Enclosure(Value):
    """A proof that the exact solution lies within `radius` of `solution.theta`.

    Exact means: for the float64 numbers in X, y, ln Delta and shift as they
    are, on the rows `rows` (all of them unless X is rank-deficient).

    Parameters
    ----------
    proved : bool
        Whether the Krawczyk test succeeded. If not, the other fields mean nothing.
    intervals : tuple
        For each coordinate, midpoint and radius of an interval that contains the
        exact solution, each as (mantissa, exponent) to base two.
    radius : float
        Upper bound of max |theta_i - exact_i|.
    relative_radius : float
        The same over max |exact_i|, and not below its true value.
    digits : int
        Digits that every ball is known to, relative to max |exact_i|.
    rows : ndarray of int, shape (rank,)
        The independent rows of X for which it is proved.
    """

    proved: bool
    intervals: tuple[Any, ...] = field(repr=False)
    radius: float
    relative_radius: float
    digits: int
    rows: Any

    @property
    def balls(self) -> tuple[Any, ...]:
        """The intervals as `flint.arb`, which rounds a radius upwards."""
        return tuple(flint.arb(mid=middle, rad=radius) for middle, radius in self.intervals)

    @property
    def theta(self) -> FloatArray:
        """The exact solution rounded to float64, shape (d,)."""
        return np.array([float(ball.mid()) for ball in self.balls])

    def _shown(self) -> dict[str, str]:
        if not self.proved:
            return {"proved": "False"}
        shown = super()._shown()
        return {name: shown[name] for name in ("proved", "radius", "relative_radius", "digits")}

    def decimal(self, index: int) -> str:
        """Return coordinate `index` in decimal, with as many digits as are proved.

        Raises
        ------
        InputError
            If there is no such coordinate.
        """
        if not -len(self.intervals) <= index < len(self.intervals):
            raise InputError(f"the index of one of {len(self.intervals)} coordinates", f"{index}")
        text: str = self.balls[index].str(self.digits, radius=False)
        return text


@checked
def enclose(
    problem: AnyProblem,
    solution: ImplicitSolution,
    *,
    digits: Annotated[int, Where("in [1, 10000]", lambda digits: 1 <= digits <= 10_000)] = 30,
) -> Enclosure:
    """Enclose the exact solution rigorously, to `digits` digits.

    Parameters
    ----------
    problem : Regression or pair (X, y)
        One dense problem (time grows as rank^2 d: up to about 100 x 1000).
    solution : ImplicitSolution
        Certified, of the hyperbolic entropy or the Kullback-Leibler divergence.
    digits : int
        Decimal digits relative to the largest coordinate.

    Returns
    -------
    Enclosure
        Intervals that hold the exact solution, one a coordinate.

    Raises
    ------
    InputError
        A batch, a solution that is not certified, another potential.

    References
    ----------
    R. Krawczyk, Computing 4 (1969), doi:10.1007/BF02234767.
    """
    X, y = (problem.X, problem.y) if isinstance(problem, Regression) else problem
    matrix, target = float_array("X", X, ndim_min=2), float_array("y", y, ndim_min=1)
    if matrix.ndim != 2 or solution.theta.ndim != 1:
        raise InputError("one problem", f"a batch, X of shape {matrix.shape}")
    if not solution.certified:
        raise InputError("a certified solution", f"{solution!r}", "solve the problem first")
    rank = int(solution.rank)
    _, _, order = scipy.linalg.qr(matrix.T, mode="economic", pivoting=True)
    rows = np.sort(order[:rank])
    A = matrix[rows]
    z = matrix.T @ solution.dual
    start = cast(FloatArray, np.linalg.lstsq(A.T, z, rcond=None)[0])
    # Digits, what the entropies' exponents cost, and room for conditioning.
    bits = int(3.33 * digits) + 128 + 2 * int(np.log2(1 + np.abs(z).max()) + 1)
    for precision in (bits, 2 * bits, 4 * bits):
        with _precision(precision):
            system = _System(A, target[rows], solution.potential)
            found = system.enclose(start, digits)
            if found is not None:
                return _measure(found, solution.theta, digits, rows)
    return Enclosure(False, (), np.inf, np.inf, 0, rows)


@contextmanager
def _precision(bits: int) -> Iterator[None]:
    before = flint.ctx.prec
    flint.ctx.prec = bits
    try:
        yield
    finally:
        flint.ctx.prec = before


class _System:
    """The dual equation in ball arithmetic, at the precision of the context."""

    def __init__(self, A: FloatArray, y: FloatArray, potential: Any) -> None:
        self.n, self.d = A.shape
        self.A = flint.arb_mat(A.tolist())
        self.AT = self.A.transpose()
        self.y = flint.arb_mat([[v] for v in y.tolist()])
        full = potential.broadcast_to((self.d,))
        if isinstance(full, HyperbolicEntropy):
            delta = [flint.arb(v).exp() for v in full.log_balancedness.tolist()]
            shift = [flint.arb(v) for v in full.shift.tolist()]
            self._parameters: list[tuple[Any, ...]] = list(zip(delta, shift, strict=True))
            self._map: Callable[..., tuple[Any, Any]] = _hyperbolic
        elif isinstance(full, KullbackLeibler):
            self._parameters = [(flint.arb(v),) for v in full.log_reference.tolist()]
            self._map = _exponential
        else:
            raise InputError(
                "a solution of the hyperbolic entropy or the Kullback-Leibler divergence",
                potential.name,
            )

    def point_and_slope(self, nu: Any) -> tuple[list[Any], list[Any]]:
        z = self.AT * nu
        pairs = [self._map(z[i, 0], *p) for i, p in enumerate(self._parameters)]
        return [p[0] for p in pairs], [p[1] for p in pairs]

    def residual(self, theta: list[Any]) -> Any:
        return self.A * flint.arb_mat([[t] for t in theta]) - self.y

    def hessian(self, slope: list[Any]) -> Any:
        weighted = flint.arb_mat(
            [[self.A[i, j] * slope[j] for j in range(self.d)] for i in range(self.n)]
        )
        return weighted * self.AT

    def enclose(self, start: FloatArray, digits: int) -> list[Any] | None:
        """Balls that contain theta to `digits` digits, or None if nothing is proved."""
        nu = flint.arb_mat([[v] for v in start.tolist()])
        inverse = None
        goal = flint.arb(10) ** (-digits - 4)
        for _ in range(_MAX_NEWTON):
            theta, slope = self.point_and_slope(nu)
            try:
                inverse = _mid(_mid(self.hessian(slope)).inv())
            except ZeroDivisionError:
                return None
            step = _mid(inverse * _mid(self.residual(theta)))
            longest = _largest(self.AT * step)
            # Within one unit of curvature Newton's method converges; further
            # away the step is cut, because the slopes are exponentials.
            length = 1 if longest < 1 else (1 / longest).mid()
            nu = _mid(nu - step * length)
            if longest < goal:
                break
        else:
            return None
        return self._krawczyk(nu, inverse)

    def _krawczyk(self, nu: Any, inverse: Any) -> list[Any] | None:
        theta, _ = self.point_and_slope(nu)
        correction = inverse * self.residual(theta)
        width = [2 * abs(correction[i, 0]).upper() for i in range(self.n)]
        smallest = max(width)
        identity = flint.arb_mat(
            self.n, self.n, [int(i == j) for i in range(self.n) for j in range(self.n)]
        )
        for _ in range(8):
            radii = [(w + smallest / 8).upper() for w in width]
            offset = flint.arb_mat([[flint.arb(0, r)] for r in radii])
            _, slope = self.point_and_slope(nu + offset)
            image = (identity - inverse * self.hessian(slope)) * offset - correction
            if all(offset[i, 0].contains_interior(image[i, 0]) for i in range(self.n)):
                theta, _ = self.point_and_slope(nu + image)
                return theta
            width = [2 * r for r in radii]
        return None


def _hyperbolic(z: Any, delta: Any, shift: Any) -> tuple[Any, Any]:
    b = 2 * z + shift
    return delta / 2 * b.sinh(), delta * b.cosh()


def _exponential(z: Any, log_reference: Any) -> tuple[Any, Any]:
    theta = (log_reference + z).exp()
    return theta, theta


def _mid(matrix: Any) -> Any:
    return matrix.mid()


def _largest(matrix: Any) -> Any:
    return max(abs(matrix[i, 0]).upper() for i in range(matrix.nrows()))


def _measure(balls: list[Any], theta: FloatArray, digits: int, rows: Any) -> Enclosure:
    distance = max(
        (
            abs(ball - flint.arb(value)).upper()
            for ball, value in zip(balls, theta.tolist(), strict=True)
        )
    )
    size = max(abs(ball).lower() for ball in balls)
    spread = max(ball.rad() for ball in balls)
    known = (
        -((spread / size).upper().log() / flint.arb(10).log()) if spread > 0 else flint.arb(digits)
    )
    return Enclosure(
        proved=True,
        intervals=tuple((ball.mid().man_exp(), ball.rad().man_exp()) for ball in balls),
        radius=_above(distance),
        relative_radius=_above((distance / size).upper()),
        digits=int(float(known.lower())),
        rows=rows,
    )


def _above(x: Any) -> float:
    """A float64 not below the ball x."""
    return float(np.nextafter(float(x.upper()), np.inf))
