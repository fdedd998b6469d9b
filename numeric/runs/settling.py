r"""How a method fares near its limit: the largest stable step, and how long it takes to settle.

At an interpolating solution the loss is quadratic to leading order, with the
curvatures of `sharpness`; on each of them the method multiplies what is left by
the roots of its characteristic polynomial. The limit itself depends on the step,
through the balancedness that is lost on the way: what stands here is at the
limit of gradient flow from the same start, which is known before any run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import sympy as sp

from momentumflow.base.arrays import FloatArray
from momentumflow.base.errors import InputError
from momentumflow.numeric.data.problems import Regression
from momentumflow.numeric.implicit import implicit_solution
from momentumflow.numeric.runs.initialisation import Init, initial_weights
from momentumflow.numeric.runs.kernel_modules import MethodLike
from momentumflow.numeric.runs.kernels import limit_theorem_diagonal_numpy as limit_theorem
from momentumflow.numeric.runs.sharpness import curvatures
from momentumflow.symbolic import (
    MomentumMethod,
    intrinsic_parameter,
    known_method,
    stability_limit,
    symbols,
)
from momentumflow.symbolic.equations.quadratic import characteristic_polynomial

_LARGEST = "the largest stable step at the predicted limit"
# Bound on lambda times the largest gradient at the start.
_INERTIA = 4.0
# Momenta that are tried for a better one: 1 - beta from 1 down to a thousandth.
_MOMENTA = 1 - np.geomspace(1.0, 1e-3, 61)


@dataclass(frozen=True, eq=False)
class Settling:
    """A method near the limit of gradient flow.

    Attributes
    ----------
    method : MomentumMethod
        Whose only parameters are gamma and beta.
    curvatures : ndarray, shape (rank,)
        Eigenvalues of the Hessian of the loss at that limit that are not zero, rising.
    gradient : float
        Largest entry of the gradient with respect to theta at the start.
    """

    method: MomentumMethod
    curvatures: FloatArray
    gradient: float

    @classmethod
    def of(cls, problem: Regression, init: Init, method: MethodLike) -> Settling:
        """Return how `method` fares on a problem, from the start `init` of `momentum_descent`.

        Raises
        ------
        InputError
            What `momentum_descent` refuses of them; a problem whose limit cannot be found.
        """
        w_plus, w_minus = initial_weights(init, problem.d)
        balancedness = limit_theorem.balancedness(w_plus, w_minus)
        start = limit_theorem.parameter(w_plus, w_minus)
        limit = implicit_solution(problem, balancedness, start)
        if not limit.certified:
            raise InputError("a problem with a limit", f"one that is {limit.status.value}")
        gradient = np.abs((problem.X @ start - problem.y) @ problem.X).max() / problem.n
        stated = known_method(method) if isinstance(method, str) else method
        return cls(stated, curvatures(problem, limit.theta, balancedness), float(gradient))

    def largest_step(self, beta: float) -> float:
        """Return the step below which the method stays at the limit.

        Raises
        ------
        InputError
            As `stability_limit`.
        """
        bound = stability_limit(self.method).subs(symbols.beta, sp.Float(beta))
        return float(bound) / float(self.curvatures[-1])

    def prudent_step(self, beta: float) -> float:
        """Return half of the largest stable step, or less where inertia would carry too far.

        With much momentum a run overshoots to where the loss is sharper than at its
        limit. Of 180 problems, starts and momenta (5 and 20 rows, alpha 1e-3 to 1, beta
        0 to 0.99) half of the largest stable step alone let 64 diverge, with lambda
        times the gradient at the start at most 4 none.

        Raises
        ------
        InputError
            As `largest_step`.
        """
        half = self.largest_step(beta) / 2
        try:
            lam = intrinsic_parameter(self.method)
        except InputError:  # without momentum nothing overshoots
            return half
        per_step = float(lam.subs({symbols.gamma: 1, symbols.beta: sp.Float(beta)}))
        return min(half, _INERTIA / (per_step * self.gradient))

    def steps(self, gamma: float, beta: float, factor: float) -> float:
        """Return how many steps shrink what is left to `factor` of it; infinity if none do."""
        x, h = sp.Dummy("x"), sp.Dummy("h", positive=True)
        polynomial = sp.Poly(
            characteristic_polynomial(self.method, x, h).subs(
                {symbols.gamma: sp.Float(gamma), symbols.beta: sp.Float(beta)}
            ),
            x,
        )
        coefficients = [
            np.broadcast_to(sp.lambdify(h, c, "numpy")(self.curvatures), self.curvatures.shape)
            for c in polynomial.all_coeffs()
        ]
        slowest = max(float(np.abs(np.roots(c)).max()) for c in np.stack(coefficients, axis=1))
        if not 0 < slowest < 1:
            return math.inf if slowest >= 1 else 1.0
        return math.log(factor) / math.log(slowest)

    def best_momentum(self, gamma: float) -> float:
        """Return the momentum with which this step settles soonest."""
        return float(min(_MOMENTA, key=lambda beta: self.steps(gamma, float(beta), 0.1)))

    def calmer(self, gamma: float, beta: float) -> str:
        """Say what would keep a run that diverged from doing so; arguments stand in braces.

        Raises
        ------
        InputError
            As `largest_step`.
        """
        bound = self.largest_step(beta)
        if gamma >= bound:
            return f"reduce {{gamma}} below {bound:.3g}, {_LARGEST}"
        return (
            f"{gamma:.3g} is stable at the predicted limit (below {bound:.3g}), but not on the "
            f"way: reduce {{gamma}} to {self.prudent_step(beta):.3g}, or {{beta}}"
        )

    def sooner(self, gamma: float, beta: float, steps: int, crossings: int, left: float) -> str:
        """Say what would bring a run to its limit that has not converged; arguments as above.

        Parameters
        ----------
        gamma, beta : float
            Of the run.
        steps, crossings : int
            That it has taken, and sign changes of weights on the way.
        left : float
            What the residual is still to be multiplied by.

        Raises
        ------
        InputError
            As `largest_step`.
        """
        bound = self.largest_step(beta)
        if gamma >= bound:
            return (
                f"it bounces ({crossings:,} sign changes), reduce {{gamma}} below {bound:.3g}, "
                + _LARGEST
            )
        left = min(left, 0.5)
        needed = self.steps(gamma, beta, left)
        ways = []
        if math.isfinite(needed):
            ways.append(f"raise {{max_steps}} to about {_rounded_up(steps + 1.2 * needed):,}")
        better = self.best_momentum(gamma)
        if self.steps(gamma, better, left) < needed / 2:
            ways.append(f"{'raise' if better > beta else 'reduce'} {{beta}} to about {better:.3g}")
        prudent = self.prudent_step(beta)
        if prudent > 2 * gamma:
            ways.append(f"raise {{gamma}} to {prudent:.3g}")
        if not ways:
            return "the slowest mode moves by less than rounding in a step: rescale the rows of X"
        return ", or ".join(ways)


def _rounded_up(number: float) -> int:
    """Return the next number of two digits and zeros."""
    power = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return math.ceil(number / power) * power
