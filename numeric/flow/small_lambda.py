"""What momentum does to the limit: exactly, as a penalty, and to first order in lambda.

Theorems `weighted-l1` and `first-order` of `momentumflow.symbolic.theorem`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from momentumflow.base.arguments import PositiveFloat, checked
from momentumflow.base.arrays import FloatArray, NonNegative, floats
from momentumflow.base.errors import InputError
from momentumflow.base.values import Value, brief
from momentumflow.numeric.data.problems import Regression
from momentumflow.numeric.flow.flows import momentum_flow
from momentumflow.numeric.runs.initialisation import Init
from momentumflow.numeric.runs.trajectory import Trajectory


@checked
@dataclass(frozen=True, eq=False, repr=False)
class LimitDerivative(Value):
    """How the limit leaves gradient flow's as lambda grows from zero.

    Attributes
    ----------
    theta : ndarray, shape (d,)
        The limit of gradient flow.
    derivative : ndarray, shape (d,)
        d theta_inf/d lambda at lambda = 0.
    squared_gradient : ndarray, shape (d,)
        h_j, the integral of g_j^2 dt along gradient flow.
    """

    theta: FloatArray
    derivative: FloatArray
    squared_gradient: FloatArray

    @checked
    def predicted(self, lam: NonNegative) -> FloatArray:
        """Return the limit at a small lambda, to first order; shape (..., d).

        Parameters
        ----------
        lam : array_like, >= 0
            For the flow its lambda; for iterates lambda_hat, which at beta = 0
            is half the step size.
        """
        moved: FloatArray = self.theta + floats(lam)[..., None] * self.derivative
        return moved

    def _shown(self) -> dict[str, str]:
        return {name: brief(getattr(self, name)) for name in ("theta", "derivative")}


@checked
def limit_derivative(
    problem: Regression, init: Init, *, tol: PositiveFloat = 1e-12, t_max: PositiveFloat = 1e6
) -> LimitDerivative:
    """Differentiate the limit of momentum gradient flow with respect to lambda, at lambda = 0.

    `d theta_inf/d lambda = -2 P_D (h o theta_inf)`, from one run of gradient flow:
    `h = int g^2 dt`, `D = diag sqrt(4 theta_inf^2 + Delta_0^2)` and
    `P_D = 1 - D X^T (X D X^T)^{-1} X`.

    Parameters
    ----------
    problem : Regression
        One problem.
    init : float, array_like or tuple
        As in `momentum_flow`, without leading axes.
    tol, t_max : float
        As in `momentum_flow`.

    Returns
    -------
    LimitDerivative

    Raises
    ------
    InputError
        A batch, or a flow that did not converge.

    See Also
    --------
    momentumflow.symbolic.theorem : "first-order", with its proof.

    Examples
    --------
    >>> from momentumflow.numeric import Regression, limit_derivative, momentum_flow
    >>> problem = Regression([[1.0, 2.0]], [2.5])
    >>> found = limit_derivative(problem, 0.3)
    >>> flow = momentum_flow(problem, 1e-4, 0.3)
    >>> bool(abs(found.predicted(1e-4) - flow.theta).max() < 1e-6)
    True
    """
    run = momentum_flow(problem, 0.0, init, tol=tol, t_max=t_max)
    if run.loss.shape:
        raise InputError("a single run", f"a batch of shape {run.loss.shape}")
    if not bool(run.converged):
        raise InputError("a gradient flow that converges", f"one that is {run.message}")
    assert run.squared_rates is not None  # flows have them
    h = run.squared_rates[0]
    theta = run.theta
    D = np.hypot(2 * theta, run.initial_balancedness)
    # P_D v by least squares in the metric: v - D X^T m with m minimising |D^(1/2)(v/D - X^T m)|
    root = np.sqrt(D)
    v = h * theta
    m, *_ = np.linalg.lstsq((problem.X * root).T, v / root, rcond=None)
    return LimitDerivative(theta, -2 * (v - D * (problem.X.T @ m)), h)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class MomentumPenalty(Value):
    """The weighted l1 norm that momentum adds to gradient flow's problem.

    Attributes
    ----------
    plus, minus : ndarray, shape (..., d)
        Weights of P_+ and P_-, twice the remainders of the run.
    """

    plus: FloatArray
    minus: FloatArray

    @checked
    def of(self, run: Trajectory) -> FloatArray:
        """Return the penalty at the end of a run, <2 I, P>, of shape (...).

        Parameters
        ----------
        run : Trajectory
            This or another run from the same start, with or without momentum.
        """
        up, down = run.w_plus**2 / 4, run.w_minus**2 / 4
        return np.asarray(np.sum(self.plus * up + self.minus * down, axis=-1))

    def _shown(self) -> dict[str, str]:
        return {"plus": brief(self.plus), "minus": brief(self.minus)}


@checked
def momentum_penalty(run: Trajectory) -> MomentumPenalty:
    """Return the weights of the l1 penalty that the momentum of a run amounts to.

    The limit minimises `KL(P|P_0) + <2 I, P>` over `X (P_+ - P_-) = y`, `P = w^2/4`:
    gradient flow's problem (up to rounding of the step, `I = 0`) and a weighted l1
    norm. It has no more of that norm than the limit of gradient flow.

    Parameters
    ----------
    run : Trajectory
        A run that converged, or a batch of them; of the flow or of iterates.

    Returns
    -------
    MomentumPenalty
        Weights of shape (..., d); negative ones only where a weight changed sign.

    Raises
    ------
    InputError
        A run that did not converge.

    See Also
    --------
    momentumflow.symbolic.theorem : "weighted-l1" and "less-penalty", with their proofs.

    Examples
    --------
    >>> from momentumflow.numeric import Regression, momentum_flow, momentum_penalty
    >>> problem = Regression([[1.0, 2.0]], [2.5])
    >>> flow, gradient_flow = (momentum_flow(problem, lam, 0.3) for lam in (0.1, 0.0))
    >>> penalty = momentum_penalty(flow)
    >>> bool(penalty.of(flow) < penalty.of(gradient_flow))
    True
    """
    if not np.all(run.converged):
        raise InputError("a run that converged", f"one that has not: {run.message}")
    return MomentumPenalty(2 * run.S_plus, 2 * run.S_minus)
