"""What stands before the judge: the formulas of the theory and the code that runs it.

A check receives a `Subject` and uses nothing else of the library, so that
anything in it can be made wrong on purpose: with `dataclasses.replace` a
negative control swaps a formula, a mutant of the mutation suite swaps the code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial, wraps
from operator import attrgetter
from typing import Any, TypeAlias

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import FloatArray
from momentumflow.numeric import (
    ConvergenceBound,
    LimitDerivative,
    MomentumPenalty,
    RichPath,
    SignChangeBound,
    convergence_bound,
    implicit_solution,
    limit_derivative,
    momentum_descent,
    momentum_flow,
    momentum_penalty,
    rich_path,
    sign_change_bound,
)
from momentumflow.numeric.implicit import ImplicitSolution
from momentumflow.numeric.runs.trajectory import Trajectory
from momentumflow.symbolic import (
    ElementwiseEquation,
    HeavyBall,
    InertialSystem,
    Optimiser,
    PreconditionedLoss,
    QuadraticMoments,
    StochasticEquation,
    Transfer,
    leading_equation,
    modified_equation,
    modified_loss,
    quadratic_moments,
    stochastic_equation,
    transfer,
)
from momentumflow.symbolic.equations.inertial_optimiser import h
from momentumflow.symbolic.theory_kernels import MethodFormulas, network_formulas
from momentumflow.verify.published import Published, published

Number: TypeAlias = Any  # float or float64 array; formulas broadcast


@checked
@dataclass(frozen=True, repr=False)
class Subject:
    """The theory and the code under judgement.

    Attributes
    ----------
    descent, flow, solve : callable
        `momentum_descent`, `momentum_flow` and `implicit_solution`, or something
        with their signatures.
    intrinsic : callable
        (gamma, beta) -> lambda.
    refined : callable
        (gamma, beta) -> lambda_hat.
    time_step : callable
        (gamma, beta) -> eps, the time that one step of the iterates takes.
    start_speed : callable
        (gamma, beta) -> c, the flow that belongs to the iterates starts with
        w'(0) = -c grad F(w_0).
    accelerate : callable
        (gamma, beta, rho) -> (gamma', beta') of the same path, rho times faster.
    log_balancedness : callable
        Trajectory -> ln Delta_inf of the potential that the limit minimises.
    shift : callable
        Trajectory -> asinh(2 theta_tilde_0 / Delta_inf), theta_tilde_0 the point from
        which the potential measures.
    log_shrinkage : callable
        (lam, integral of g^2 dt) -> first-order ln(Delta_inf/Delta_0).
    balancedness_law : callable
        (lam, q', q, q_+, q_-) -> what the balancedness law says is zero, with
        q_pm = w_pm'/w_pm and q = q_+ + q_-.
    sign_change_bound, convergence_bound, limit_derivative, penalty, rich_path : callable
        `sign_change_bound`, `convergence_bound`, `limit_derivative`, `momentum_penalty`
        and `rich_path`, or something with their signatures.
    sign_threshold : callable
        alpha -> where signs begin to change, in units of 1/(4 |X^T y|_inf/n).
    kernel_rate : callable
        (integral of g^2 dt, teacher, least-norm solution) -> what each coordinate adds to
        d/dlambda |theta_inf - teacher|^2/2 from a large start.
    published : mapping
        Statements by others, by name: see `momentumflow.verify.published`.
    noisy_shrinkage : callable
        (lambda_hat, eps, sum of g^2, sum of Var g) -> mean ln(Delta_0/Delta_inf).
    diffusion : callable
        (weak order) -> the stochastic equation of heavy ball, noise kept.
    moments : callable
        `quadratic_moments`, or something with its signature.
    first_shift : callable
        (lam, integral of g^3 dt) -> `shift` to second order in lambda.
    modified : callable
        (truncation, gradient, eps, lam) -> right-hand side of the modified equation of
        heavy ball through eps^truncation, with its `initial_velocity`.
    sam_rate : callable
        (noise variance, column mean square) -> rate at which weight noise decays the
        imbalance u^2 - v^2.
    optimiser_equation : callable
        (optimiser, order, gradient, **values) -> right-hand side of its equation with
        fixed parameters through gamma^order.
    optimiser_system : callable
        (optimiser, corrections) -> its system with the times of its memories fixed.
    optimiser_rates : callable
        (optimiser, h, times) -> the parameters by which its memories forget.
    optimiser_loss : callable
        optimiser -> the loss that it descends, or the obstruction.
    transfer : callable
        `transfer`, or something with its signature.
    """

    descent: Callable[..., Trajectory]
    flow: Callable[..., Trajectory]
    solve: Callable[..., ImplicitSolution]
    intrinsic: Callable[[Number, Number], Number]
    refined: Callable[[Number, Number], Number]
    time_step: Callable[[Number, Number], Number]
    start_speed: Callable[[Number, Number], Number]
    accelerate: Callable[[Number, Number, Number], tuple[Number, Number]]
    log_balancedness: Callable[[Trajectory], FloatArray]
    shift: Callable[[Trajectory], FloatArray]
    log_shrinkage: Callable[[Number, FloatArray], FloatArray]
    balancedness_law: Callable[[Number, Number, Number, Number, Number], Number]
    sign_change_bound: Callable[..., SignChangeBound]
    convergence_bound: Callable[..., ConvergenceBound]
    limit_derivative: Callable[..., LimitDerivative]
    penalty: Callable[[Trajectory], MomentumPenalty]
    rich_path: Callable[[Any, Number], RichPath]
    sign_threshold: Callable[[Number], Number]
    kernel_rate: Callable[[Number, FloatArray, FloatArray], FloatArray]
    first_shift: Callable[[Number, FloatArray], FloatArray]
    published: Published
    noisy_shrinkage: Callable[[Number, Number, Number, Number], Number]
    diffusion: Callable[[int], StochasticEquation]
    moments: Callable[..., QuadraticMoments]
    modified: Callable[..., Any]
    sam_rate: Callable[[Number, Number], Number]
    optimiser_equation: Callable[..., Any]
    optimiser_system: Callable[[Optimiser, int], InertialSystem]
    optimiser_rates: Callable[[Optimiser, float, tuple[float, ...]], tuple[float, ...]]
    optimiser_loss: Callable[[Optimiser], PreconditionedLoss]
    transfer: Callable[..., Transfer]

    def __repr__(self) -> str:
        if self is shipped():
            return "<Subject: the library as it is>"
        as_shipped = vars(shipped())
        changed = [name for name, part in vars(self).items() if part is not as_shipped[name]]
        return f"<Subject: the library with another {', '.join(changed) or 'copy of itself'}>"


def stopping(simulate: Callable[..., Trajectory]) -> Callable[..., Trajectory]:
    """Return `simulate` such that Ctrl-C stops the judging, not that run alone."""

    @wraps(simulate)
    def run(*arguments: Any, **options: Any) -> Trajectory:
        trajectory = simulate(*arguments, **options)
        if trajectory.interrupted:
            raise KeyboardInterrupt
        return trajectory

    return run


@cache
def shipped() -> Subject:
    """Return the library as it is: code from the numeric room, formulas from the symbolic one."""
    method, network = MethodFormulas(HeavyBall()), network_formulas()
    return Subject(
        # remainders by their definition, so that the theorem is judged and not an identity
        descent=stopping(partial(momentum_descent, remainders="summed")),
        flow=stopping(momentum_flow),
        solve=implicit_solution,
        intrinsic=method.intrinsic,
        refined=method.refined,
        time_step=method.time_step,
        start_speed=method.start_speed,
        accelerate=method.accelerate,
        log_balancedness=attrgetter("log_balancedness"),
        shift=attrgetter("shift"),
        log_shrinkage=network.log_shrinkage,
        balancedness_law=network.balancedness_law,
        sign_change_bound=sign_change_bound,
        convergence_bound=convergence_bound,
        limit_derivative=limit_derivative,
        penalty=momentum_penalty,
        rich_path=rich_path,
        sign_threshold=network.sign_threshold,
        kernel_rate=network.kernel_rate,
        first_shift=network.first_shift,
        published=published(),
        noisy_shrinkage=network.noisy_shrinkage,
        diffusion=partial(stochastic_equation, method.method),
        moments=quadratic_moments,
        modified=_modified,
        sam_rate=network.imbalance_decay,
        optimiser_equation=_optimiser_equation,
        optimiser_system=_optimiser_system,
        optimiser_rates=_optimiser_rates,
        optimiser_loss=modified_loss,
        transfer=transfer,
    )


def _modified(truncation: int, gradient: Any, eps: float, lam: float) -> Any:

    method = HeavyBall()
    equation = modified_equation(method, truncation) if truncation else leading_equation(method)
    return equation.rhs(gradient, eps=eps, lam=lam)


# One derivation serves all steps and starts, and the controls.
@cache
def _derived(optimiser: Optimiser, order: int) -> ElementwiseEquation:
    return modified_equation(optimiser, order, "slow")


def _optimiser_equation(
    optimiser: Optimiser, order: int, gradient: Callable[[Any], Any], **values: float
) -> Any:
    return _derived(optimiser, order).rhs(gradient, None, **values)


@cache
def _optimiser_system(optimiser: Optimiser, corrections: int) -> InertialSystem:
    if corrections == 0:
        return leading_equation(optimiser)
    return modified_equation(optimiser, corrections, "inertial")


def _optimiser_rates(
    optimiser: Optimiser, step: float, times: tuple[float, ...]
) -> tuple[float, ...]:
    known = _optimiser_system(optimiser, 0).times
    at = {h: step} | dict(zip(known.times.values(), times, strict=True))
    return tuple(float(known.back[a].subs(at)) for a in known.times)
