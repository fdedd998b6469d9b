"""How the solution moves with the data: closed forms from the dual Hessian.

At the solution `X theta(z; p) = y`, `z = X^T nu`. With `D = d theta/d z` and
`H = X D X^T`, differentiating gives

    d theta/d y = D X^T H^+,
    d theta/d p = (I - D X^T H^+ X) (partial theta/partial p at fixed z).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import FloatArray, Reals, broadcast_shapes, float_array
from momentumflow.base.errors import InputError
from momentumflow.base.values import Value
from momentumflow.numeric.data.pairs import AnyProblem
from momentumflow.numeric.implicit.api import stack
from momentumflow.numeric.implicit.dual_systems import DualSystem
from momentumflow.numeric.implicit.potentials import Potential
from momentumflow.numeric.implicit.solution import ImplicitSolution
from momentumflow.numeric.implicit.units import size_exponents

_FLOOR = 8 * float(np.finfo(np.float64).eps)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Sensitivity(Value):
    """Derivatives of a solution, as linear maps and as matrices.

    Parameters
    ----------
    slope : ndarray, shape (..., d)
        D, the derivative of theta by z.
    partials : dict of ndarray, shape (..., d)
        Partial derivatives of theta_i by its own parameter at fixed z, by name:
        for the hyperbolic entropy `balancedness` (at fixed reference),
        `reference` (at fixed balancedness), `log_balancedness` (at fixed
        shift) and `shift`.
    """

    slope: FloatArray
    partials: dict[str, FloatArray]
    _system: DualSystem
    _exponents: tuple[NDArray[np.int32], NDArray[np.int32]]
    _floor: FloatArray
    _batch: tuple[int, ...]

    def _compared(self) -> tuple[Any, ...]:
        # an operator is the same only if it is itself
        matrix = self._system.matrix
        return self.slope, self.partials, getattr(matrix, "X", matrix), *self._exponents

    def along_target(self, dy: Reals) -> FloatArray:
        """Return d theta along a change dy of y, shapes (..., n) -> (..., d).

        Of dy only the part in the range of X counts.
        """
        n, d = self._system.matrix.n, self._system.matrix.d
        right = self._flat("dy", dy, n)[..., None]
        return self._respond(np.zeros((right.shape[0], d, 1)), right)[..., 0]

    def along(self, name: str, dp: Reals) -> FloatArray:
        """Return d theta along a change dp of the parameter `name`, shape (..., d)."""
        direct = self._flat("dp", dp, self._system.matrix.d) * self._partial(name)
        return self._respond(direct[..., None], self._pull(direct[..., None]))[..., 0]

    def by_target(self) -> FloatArray:
        """Return d theta_i / d y_j, shape (..., d, n)."""
        n, d = self._system.matrix.n, self._system.matrix.d
        size = self._floor.size
        identity = np.broadcast_to(np.eye(n), (size, n, n))
        return self._respond(np.zeros((size, d, n)), np.ascontiguousarray(identity))

    def by(self, name: str) -> FloatArray:
        """Return d theta_i / d p_j for the parameter `name`, shape (..., d, d)."""
        direct = self._partial(name)[..., None] * np.eye(self._system.matrix.d)
        return self._respond(direct, self._pull(direct))

    def _partial(self, name: str) -> FloatArray:
        if name not in self.partials:
            listed = ", ".join(repr(key) for key in self.partials)
            raise InputError(f"the name of a parameter, one of {listed}", repr(name))
        return self.partials[name].reshape(self._floor.size, -1)

    def _flat(self, name: str, value: ArrayLike, length: int) -> FloatArray:
        array = float_array(name, value)
        if array.ndim and array.shape[-1] not in (1, length):
            raise InputError(f"{name} with {length} entries", f"shape {array.shape}")
        if broadcast_shapes(solution=self._batch, **{name: array.shape[:-1]}) != self._batch:
            raise InputError(f"{name} for solutions {self._batch}", f"shape {array.shape}")
        return np.broadcast_to(array, (*self._batch, length)).reshape(-1, length)

    def _pull(self, direct: FloatArray) -> FloatArray:
        """-X applied to each column of a (B, d, k) array."""
        across, along = self._exponents
        scaled = np.ldexp(direct, -along[..., None])
        columns = [self._system.matrix.forward(scaled[..., k]) for k in range(direct.shape[-1])]
        return np.ldexp(-np.stack(columns, axis=-1), across[..., None])

    def _respond(self, direct: FloatArray, right: FloatArray) -> FloatArray:
        slope = self.slope.reshape(self._floor.size, -1)
        across, along = self._exponents
        _, z = self._system.newton_steps(
            np.ldexp(slope, -along), np.ldexp(right, -across[..., None]), self._floor
        )
        response = direct + slope[..., None] * z
        return response.reshape((*self._batch, *response.shape[1:]))


@checked
def sensitivity(problem: AnyProblem, solution: ImplicitSolution) -> Sensitivity:
    """Return the derivatives of a certified solution.

    Parameters
    ----------
    problem : Regression or pair (X, y)
        The problem that was solved.
    solution : ImplicitSolution
        Certified.

    Raises
    ------
    InputError
        A solution that is not certified, or of a weighted l1 norm (which is
        not differentiable).
    """
    if not np.all(solution.certified):
        raise InputError("a certified solution", f"{solution!r}", "solve the problem first")
    potential = solution.potential
    if not isinstance(potential, Potential):
        raise InputError("a differentiable potential", potential.name)
    batch = solution.theta.shape[:-1]
    stacked = stack(problem, solution.potential)
    if stacked.batch != batch:
        raise InputError(
            f"the problem of the solution, with batch {batch}", f"batch {stacked.batch}"
        )
    theta = solution.theta.reshape(-1, solution.theta.shape[-1])
    units, shape = stacked.units, (theta.shape[0], -1)
    z, _ = stacked.matrix.precise_adjoint(
        np.ldexp(solution.dual.reshape(shape), units.rows),
        np.ldexp(solution.dual_tail.reshape(shape), units.rows),
    )
    size = size_exponents(np.ldexp(theta, units.columns))
    exponents = units.theta_exponents(size)
    slope = stacked.potential.slope(z, theta)
    partials = stacked.potential.partials(z, theta, slope)
    return Sensitivity(
        slope=slope.reshape(solution.theta.shape),
        partials={k: np.broadcast_to(v, theta.shape) for k, v in partials.items()},
        _system=stacked.system(),
        _exponents=(units.rows + size[:, None], exponents),
        _floor=_FLOOR * np.linalg.norm(np.ldexp(theta, -exponents), axis=-1),
        _batch=batch,
    )
