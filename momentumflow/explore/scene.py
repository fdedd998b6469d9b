"""One position of the sliders, computed: the run, its flow, and the predicted limit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache

import numpy as np

from momentumflow.base.arguments import MomentumFloat, Natural, PositiveFloat, checked
from momentumflow.base.choices import ExploredMethod
from momentumflow.base.errors import InputError
from momentumflow.explore.formulas import formulas
from momentumflow.numeric import (
    ImplicitSolution,
    Path,
    Regression,
    Trajectory,
    momentum_descent,
    momentum_flow,
    sharpness,
    sparse_regression,
)
from momentumflow.numeric.runs.initialisation import initial_weights
from momentumflow.numeric.runs.kernels import limit_theorem_diagonal_numpy as limit_theorem
from momentumflow.symbolic.theory_kernels import MethodFormulas
from momentumflow.verify.evidence import Verdict
from momentumflow.verify.limit_evidence import LIMIT_TOLERANCE, relative_distance

# A problem that every slider position solves in a fraction of a second, and whose
# teacher has as many entries as a plane has axes.
ROWS, COLUMNS, SPARSITY = 8, 24, 2
# The pictures show a run until the residual, and what the momentum left can still
# do, are below this share; what follows is not to be seen.
_VISIBLE = 1e-3
_RECORDS = 600
# A flow of small lambda is stiff: beyond these steps it is drawn as far as it came.
_FLOW_STEPS, _FLOW_RTOL = 20_000, 1e-8


@checked
@dataclass(frozen=True)
class Controls:
    """Where the sliders stand.

    Parameters
    ----------
    gamma : float
        Step, > 0.
    beta : float
        Momentum, in [0, 1).
    alpha : float
        Scale of the start, > 0.
    seed : int
        Of the random sparse problem, >= 0.
    rho : float
        Factor of the acceleration rule, > 0; 1 draws no second run.
    method : {"heavy_ball", "nesterov"}

    Raises
    ------
    InputError
        If one of them is out of range.
    """

    gamma: PositiveFloat = 0.02
    beta: MomentumFloat = 0.8
    alpha: PositiveFloat = 0.1
    seed: Natural = 0
    rho: PositiveFloat = 1.0
    method: ExploredMethod = "heavy_ball"

    def to_dict(self) -> dict[str, float | int | str]:
        """Return the values by name."""
        return asdict(self)


@dataclass(frozen=True)
class Parameters:
    """The numbers that the derivation makes of gamma and beta.

    Attributes
    ----------
    eps : float
        Time of one step.
    intrinsic, refined, all_orders : float
        lambda, lambda_hat and lambda_star.
    """

    eps: float
    intrinsic: float
    refined: float
    all_orders: float


@dataclass(frozen=True, eq=False)
class Run:
    """A run to its end, with the part of its path that is drawn.

    Attributes
    ----------
    gamma, beta : float
    end : Trajectory
        The run to convergence, or as far as it came.
    path : Path
        Its visible part, about 600 records.
    limit : ImplicitSolution or None
        The prediction; None unless the run converged and the solution is certified.
    distance : float or None
        |theta - predicted| / |predicted|; None where there is no limit.
    """

    gamma: float
    beta: float
    end: Trajectory
    path: Path
    limit: ImplicitSolution | None
    distance: float | None

    @property
    def verdict(self) -> Verdict:
        """Whether run and prediction agree; undecided where there is no limit."""
        if self.distance is None:
            return Verdict.UNDECIDED
        agree = self.distance <= LIMIT_TOLERANCE
        return Verdict.SUPPORTED if agree else Verdict.REFUTED


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that the page shows for one position of the sliders.

    Attributes
    ----------
    controls : Controls
    formulas : MethodFormulas
        What is derived about the method.
    problem : Regression
    parameters : Parameters
    run : Run
    accelerated : Run or None
        The run of the acceleration rule; None at rho = 1 or where the rule has no
        parameters to give.
    no_acceleration : str
        Why the rule has none; "" otherwise.
    flow : Trajectory
        Momentum gradient flow of lambda_hat with the start that belongs to the
        iterates, over the visible time.
    sharpness : float
        At the limit; where the run has none, at the end of the flow.
    coordinates : tuple of int
        The two coordinates of the path, then one that the teacher leaves zero.
    """

    controls: Controls
    formulas: MethodFormulas
    problem: Regression
    parameters: Parameters
    run: Run
    accelerated: Run | None
    no_acceleration: str
    flow: Trajectory
    sharpness: float
    coordinates: tuple[int, int, int]

    @property
    def largest_step(self) -> float:
        """The step below which the method stays where the loss is that sharp."""
        return float(self.formulas.largest_step(self.controls.beta)) / self.sharpness

    @property
    def stable(self) -> bool:
        """Whether the step is below it."""
        return self.controls.gamma < self.largest_step


@lru_cache(maxsize=64)
def problem_of(seed: int) -> Regression:
    """Return the page's random sparse problem of this seed."""
    return sparse_regression(ROWS, COLUMNS, SPARSITY, seed=seed)


def compute(controls: Controls) -> Scene:
    """Run, integrate and predict what the page shows.

    Raises
    ------
    InputError
        What the numeric room refuses; slider positions within their ranges give none.
    """
    derived = formulas(controls.method)
    gamma, beta = controls.gamma, controls.beta
    parameters = Parameters(
        eps=float(derived.time_step(gamma, beta)),
        intrinsic=float(derived.intrinsic(gamma, beta)),
        refined=float(derived.refined(gamma, beta)),
        all_orders=1 / float(derived.friction(gamma, beta)),
    )
    problem = problem_of(controls.seed)
    run = _run(problem, controls, gamma, beta)
    accelerated, reason = _accelerated(problem, controls, derived)
    flow = _flow(problem, controls, parameters, derived, float(run.path.time[-1]))
    at = run.end if run.limit is not None else flow
    return Scene(
        controls=controls,
        formulas=derived,
        problem=problem,
        parameters=parameters,
        run=run,
        accelerated=accelerated,
        no_acceleration=reason,
        flow=flow,
        sharpness=float(sharpness(problem, at.theta, at.balancedness)),
        coordinates=_coordinates(problem),
    )


def _run(problem: Regression, controls: Controls, gamma: float, beta: float) -> Run:
    alpha, method = controls.alpha, controls.method
    end = momentum_descent(problem, gamma, beta, alpha, method=method)
    visible = momentum_descent(
        problem, gamma, beta, alpha, method=method, tol=_VISIBLE, check_every=10
    )
    steps = max(1, int(visible.steps))
    recorded = momentum_descent(
        problem,
        gamma,
        beta,
        alpha,
        method=method,
        tol=None,
        max_steps=steps,
        record_every=-(-steps // _RECORDS),
    )
    assert recorded.path is not None
    limit, distance = None, None
    if end.converged:
        predicted = end.predicted_limit()
        if predicted.certified:
            limit = predicted
            distance = float(relative_distance(end.theta, predicted.theta))
    return Run(gamma, beta, end, recorded.path, limit, distance)


def _accelerated(
    problem: Regression, controls: Controls, derived: MethodFormulas
) -> tuple[Run | None, str]:
    if controls.rho == 1:
        return None, ""
    gamma, beta = map(float, derived.accelerate(controls.gamma, controls.beta, controls.rho))
    try:
        return _run(problem, controls, gamma, beta), ""
    except InputError as error:
        # Slowed or hurried so much that the rule leaves [0, 1).
        return None, f"{error.expected} of the acceleration rule, which gives {error.received}"


def _flow(
    problem: Regression,
    controls: Controls,
    parameters: Parameters,
    derived: MethodFormulas,
    t_end: float,
) -> Trajectory:
    plus, minus = initial_weights(controls.alpha, problem.d)
    gradient = problem.gradient(limit_theorem.parameter(plus, minus))
    speed = float(derived.start_speed(controls.gamma, controls.beta))
    return momentum_flow(
        problem,
        parameters.refined,
        controls.alpha,
        velocity=(-speed * gradient * plus, speed * gradient * minus),
        t_end=t_end,
        t_eval=np.linspace(0, t_end, _RECORDS),
        rtol=_FLOW_RTOL,
        max_steps=_FLOW_STEPS,
    )


def _coordinates(problem: Regression) -> tuple[int, int, int]:
    """The teacher's two entries, and the largest entry elsewhere of the least-norm solution."""
    assert problem.teacher is not None
    first, second = (int(j) for j in np.flatnonzero(problem.teacher))
    outside = np.abs(problem.least_norm_solution) * (problem.teacher == 0)
    return first, second, int(np.argmax(outside))
