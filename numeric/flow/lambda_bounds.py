"""How large lambda may be: for weights to keep their signs, and for the flow to converge.

Both are theorems that are proved step by step, `no-sign-change` and `convergence` of
`momentumflow.symbolic.theorem`; here their constants meet data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from momentumflow.base.arguments import NonNegativeFloat, PositiveFloat, checked
from momentumflow.base.arrays import FloatArray, Momentum, floats
from momentumflow.base.errors import InputError
from momentumflow.base.values import Value, brief
from momentumflow.numeric.data.problems import Regression
from momentumflow.numeric.implicit import WeightedL1, implicit_solution
from momentumflow.numeric.runs.initialisation import initial_weights
from momentumflow.numeric.runs.trajectory import Trajectory
from momentumflow.symbolic.theory_kernels import network_formulas


@checked
@dataclass(frozen=True, eq=False, repr=False)
class SignChangeBound(Value):
    """Up to which lambda, or step size, no weight changes sign.

    Attributes
    ----------
    gradient : ndarray, shape (...)
        The bound on |g_j| that this rests on, over coordinates and times.
    lam : ndarray, shape (...)
        1/(4 gradient): momentum gradient flow with a lambda up to it keeps all signs.
    a_priori : bool
        Whether `gradient` bounds the flow of every lambda, or was seen in one run.
    """

    gradient: FloatArray
    lam: FloatArray
    a_priori: bool

    @checked
    def largest_step(self, beta: Momentum) -> FloatArray:
        """Return the step size up to which heavy ball keeps all signs, of shape (...).

        Parameters
        ----------
        beta : array_like, in [0, 1)
            Momentum. The gradients of the iterates have to obey the same bound.
        """
        bound: FloatArray = network_formulas().step_bound(floats(beta), self.gradient)
        return bound

    def _shown(self) -> dict[str, str]:
        how = "a priori" if self.a_priori else "of one run, at its records"
        return {"bound": how, "lam": brief(self.lam), "gradient": brief(self.gradient)}


@checked
def sign_change_bound(problem: Regression, run: Trajectory | None = None) -> SignChangeBound:
    """Return the lambda up to which no weight of the network changes sign.

    A priori, for the flow from theta_0 = 0 at rest: its energy falls, so
    `|g_j| <= Gamma = max_j |X_j| |y|/n`, and `lambda <= 1/(4 Gamma)` suffices. A
    posteriori, from the path of a run: `4 lambda sup|g| <= 1` at its own gradients.

    Parameters
    ----------
    problem : Regression
        One problem, or a batch of them.
    run : Trajectory, optional
        A run on this problem with recorded states (`t_eval` of `momentum_flow`).
        The largest gradient is that of the records.

    Returns
    -------
    SignChangeBound
        Of the shape of the batch.

    Raises
    ------
    InputError
        A run without recorded states, or on other data.

    See Also
    --------
    momentumflow.symbolic.theorem : "no-sign-change", with its proof.

    Examples
    --------
    >>> from momentumflow.numeric import Regression, sign_change_bound
    >>> float(sign_change_bound(Regression([[1.0, 0.5]], [1.0])).lam)
    0.25
    """
    if run is None:
        columns = np.linalg.norm(problem.X, axis=-2).max(axis=-1)
        gradient = columns * np.linalg.norm(problem.y, axis=-1) / problem.n
    else:
        if run.path is None:
            raise InputError(
                "a run with recorded states", "one without", "run it with t_eval, or record"
            )
        if run.problem is not problem:
            raise InputError("a run on this problem", f"one on {run.problem.name}")
        theta = np.moveaxis(run.path.theta, -2, 0)
        gradient = np.abs(problem.gradient(theta)).max(axis=(0, -1))
    gradient = np.asarray(gradient, dtype=np.float64)
    lam = np.asarray(network_formulas().sign_bound(gradient))
    return SignChangeBound(gradient, lam, run is None)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class ConvergenceBound(Value):
    """Whether momentum gradient flow is known to converge, and how sparse its limit then is.

    Attributes
    ----------
    condition : float
        `4 lambda max_j x_j^2 |theta_*|_1`: the flow converges if it is below 1.
    kappa : float
        `lambda C sum_j x_j^2 |theta_*,j|`, below 1 then; infinite where the
        condition on signs fails.
    least_l1 : float
        The least l1 norm of an interpolator.
    theta : ndarray, shape (d,)
        The interpolator theta_* that has it.
    l1_bound : float
        An upper bound of the l1 norm of the limit: for the given start, or as it
        tends to zero where none is given; infinite where nothing is known.
    """

    condition: float
    kappa: float
    least_l1: float
    theta: FloatArray
    l1_bound: float

    @property
    def converges(self) -> bool:
        """Whether the theorem says that the flow converges."""
        return self.condition < 1

    def _shown(self) -> dict[str, str]:
        numbers = {name: brief(getattr(self, name)) for name in ("condition", "kappa", "l1_bound")}
        return {"converges": "yes" if self.converges else "not known", **numbers}


@checked
def convergence_bound(
    problem: Regression, lam: NonNegativeFloat, init: PositiveFloat | None = None
) -> ConvergenceBound:
    """Say whether momentum gradient flow from zero converges, and bound its limit's l1 norm.

    With `theta_*` an interpolator of least l1 norm and `x_j^2 = |X_j|^2/n`, the flow
    from `theta_0 = 0` converges if `4 lam max_j x_j^2 |theta_*|_1 < 1`, and
    `|theta_inf|_1 <= |theta_*|_1/(1 - kappa) + O(1/ln(1/alpha))`. With `init` the
    last term is written out.

    Parameters
    ----------
    problem : Regression
        One problem.
    lam : float, >= 0
    init : float, optional
        The scale alpha of `momentum_flow`, below sqrt(2).

    Returns
    -------
    ConvergenceBound

    Raises
    ------
    InputError
        A batch of problems, or a scale that is not small.

    See Also
    --------
    momentumflow.symbolic.theorem : "convergence", with its proof.

    Examples
    --------
    >>> from momentumflow.numeric import Regression, convergence_bound
    >>> bound = convergence_bound(Regression([[1.0, 0.5]], [1.0]), 0.1)
    >>> bound.converges, round(bound.least_l1, 9)
    (True, 1.0)
    """
    if problem.batch_shape:
        raise InputError("a single problem", f"a batch of shape {problem.batch_shape}")
    ones = np.ones(problem.d)
    theta = implicit_solution(problem, potential=WeightedL1(ones, ones)).theta
    size = np.abs(theta)
    squares = np.sum(problem.X**2, axis=0) / problem.n
    norm = float(size.sum())
    condition = float(4 * lam * squares.max() * norm)
    largest = float(sign_change_bound(problem).gradient)
    kappa = np.inf
    if 4 * lam * largest <= 1:
        kappa = float(lam * network_formulas().ratio_bound(lam, largest) * (squares @ size))
    l1_bound = np.inf
    if kappa < 1:
        l1_bound = norm / (1 - kappa)
        if init is not None:
            l1_bound = _from_start(problem, lam, init, size, kappa)
    return ConvergenceBound(condition, kappa, norm, theta, l1_bound)


def _from_start(
    problem: Regression, lam: float, init: float, size: FloatArray, kappa: float
) -> float:
    """Return the bound on the sum of P_inf, for the start alpha."""
    plus, _ = initial_weights(init, problem.d)
    with np.errstate(over="ignore"):  # an infinite start is refused below
        start = float(np.max(plus**2)) / 4
    if start >= 1:
        raise InputError("a scale below sqrt(2)", f"init = {init:g}")
    logarithm = -np.log(start)
    kept = size[size > 0]
    terms = 2 * problem.d
    # kl(P_*, P_0): the parts that are zero leave P_0 each
    entropy = float(np.sum(kept * (np.log(kept) + logarithm) - kept)) + terms * start
    loss = float(problem.loss(np.zeros(problem.d)))
    return (terms + (entropy + lam * loss) / (1 - kappa)) / logarithm
