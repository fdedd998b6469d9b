"""Momentum gradient flow on the diagonal network, one run or a batch.

The flow is `lambda w'' + w' +- g w = 0` for w_+ and w_- (equation MGF of
Papazov, Pesme, Flammarion, arXiv 2403.05293); lambda = 0 is gradient flow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any, Literal

import numpy as np

from momentumflow.base.arguments import Count, PositiveFloat, Where, checked
from momentumflow.base.arrays import (
    FloatArray,
    NonNegative,
    Reals,
    Vector,
    broadcast_shapes,
    floats,
)
from momentumflow.base.errors import InputError
from momentumflow.numeric.data.problems import Regression
from momentumflow.numeric.flow.flow_state import (
    EVENTS,
    RECORDS,
    STEPS,
    TIME,
    Data,
    Goal,
    Run,
)
from momentumflow.numeric.flow.stiff_flow import StiffFlow, is_stiff
from momentumflow.numeric.progress import meter
from momentumflow.numeric.runs.batch_state import FEATURE_PAD, aligned
from momentumflow.numeric.runs.engines import available_threads, spread
from momentumflow.numeric.runs.initialisation import Init, initial_weights
from momentumflow.numeric.runs.interruption import Interruption
from momentumflow.numeric.runs.kernels import limit_theorem_diagonal_numpy as limit_theorem
from momentumflow.numeric.runs.networks import TWO_LAYERS
from momentumflow.numeric.runs.trajectory import (
    Path,
    RunStatus,
    SignChanges,
    Trajectory,
    one_or_array,
)

# Accepted steps between two looks at Ctrl-C and the progress meter: of the explicit
# method, and of the stiff one, each of which costs some twenty times as much.
_BUDGET = 20_000
_STIFF_BUDGET = 500
# Explicit steps after which, and between which, a run is asked whether it is stiff:
# about as many as the whole rest takes by the stiff method.
_TRIAL = 300
# Sign changes whose times are kept, for each run; all of them are counted.
_MAX_EVENTS = 10_000
# Tolerance of `tol` to which a flow is at rest that rounding keeps from a smaller residual.
_AT_REST = 1e-12
_GOING_ON, _CONVERGED, _FAILED, _AT_END, _WEIGHT_AT_ZERO = range(5)


@checked
def momentum_flow(
    problem: Regression,
    lam: NonNegative,
    init: Init,
    *,
    velocity: tuple[Reals, Reals] | None = None,
    t_end: PositiveFloat | None = None,
    t_eval: Vector | None = None,
    t_max: PositiveFloat = 1e20,
    rtol: Annotated[float, Where("in [1e-13, 1e-2]", lambda x: 1e-13 <= x <= 1e-2)] = 1e-11,
    tol: PositiveFloat = 1e-13,
    max_steps: Count = 5_000_000,
    method: Literal["auto", "explicit", "stiff"] = "auto",
    threads: Count | None = None,
    progress: bool | None = None,
) -> Trajectory:
    """Integrate momentum gradient flow, to a given time or to convergence.

    Parameters
    ----------
    problem : Regression
        One problem, or a batch of them.
    lam : array_like, >= 0
        The intrinsic parameter lambda = gamma/(1 - beta)^2; 0 is gradient flow.
        `lam`, `init`, `velocity` and the problem broadcast over leading axes.
    init : float, array_like or tuple
        Scale alpha of `u_0 = sqrt(2) alpha, v_0 = 0`, or a pair (u_0, v_0).
    velocity : pair of array_like, shape (..., d), optional
        (w_+'(0), w_-'(0)); at rest if not given.
    t_end : float, optional
        Integrate to this time. If not given, until the flow has converged:
        |X theta - y| <= tol |y|, no row of it above 100 tol in its own units, and the
        velocity left moves theta by at most tol |theta| and no weight by more than
        100 tol of itself.
    t_eval : array_like, optional
        Increasing times at which to record the weights (dense output); the
        start is always the first record.
    t_max : float
        Time at which a flow that has not converged is given up.
    rtol : float
        Local error, relative to each weight's own size |w| + lambda |w'|.
    tol : float
        Convergence tolerance.
    max_steps : int
        Bound on accepted steps of a run.
    method : {"auto", "explicit", "stiff"}
        "explicit" is the faster where the flow is over after some time scales of its
        own, "stiff" where it is not: from small weights, or to late times. "auto" begins
        explicitly and goes on with the other where stability bounds the steps.
    threads : int, optional
        Threads for the runs of a batch; as many as cores if not given.
    progress : bool, optional
        Show a meter; None shows it in a terminal only.

    Returns
    -------
    Trajectory
        `S_plus`, `S_minus` are lambda times the integral of (w'/w)^2, less
        lambda w'(0)/w(0). In a coordinate where w passes through zero, or
        close by (|w'/w| > 20/lambda), that integral stands as its finite part,
        the regular form -ln|w/w_0| ∓ int g dt - lambda w'/w.

    Raises
    ------
    InputError
        Negative lambda, a velocity under gradient flow, times that do not
        increase, shapes that do not broadcast, a zero initial weight.

    Notes
    -----
    Explicit: DOP853 of Dormand and Prince (`momentumflow.numeric.flow.flow_loops`). Stiff:
    Radau IIA of order 13 in the logarithm of each weight and an angle, in which a weight of
    1e-60 and one on its way through zero are like all others, with Newton systems of
    size n (`momentumflow.numeric.flow.stiff_loops`).

    Examples
    --------
    >>> from momentumflow.numeric import Regression, momentum_flow
    >>> problem = Regression([[1.0, 2.0]], [2.5])
    >>> flow = momentum_flow(problem, 0.5, 0.3)
    >>> flow.status.name
    'CONVERGED'
    >>> bool(abs(flow.theta - flow.predicted_limit().theta).max() < 1e-9)
    True
    """
    lam_array = floats(lam)
    w_plus, w_minus = initial_weights(init, problem.d)
    speeds = _velocities(velocity, lam_array, problem.d)
    shape = broadcast_shapes(
        problem=problem.batch_shape,
        lam=lam_array.shape,
        init=w_plus.shape[:-1],
        velocity=np.broadcast_shapes(*(s.shape[:-1] for s in speeds)),
    )
    times = _times(t_eval, t_end)
    limits = (rtol, tol, t_max) if t_end is None else (rtol, -1.0, t_end)
    runs = _runs(problem, shape, lam_array, (w_plus, w_minus), speeds)
    flows = [_Flow(run, _goal(run, limits, times), max_steps, method) for run in runs]
    workers = threads or available_threads()
    active = flows
    label = f"momentum flow, {len(flows)} run(s)"
    with Interruption() as interruption, meter(label, len(flows), show=progress) as advanced:
        try:
            while active and not interruption.asked:
                spread(_Flow.advance, active, workers)
                left = [flow for flow in active if not flow.ended]
                advanced(len(active) - len(left))
                active = left
        except KeyboardInterrupt:
            interruption.asked = True
    if interruption.asked and not active:
        raise KeyboardInterrupt  # nothing was left to interrupt: no status would tell
    settings = {
        "method": "momentum_flow",
        "lam": lam_array.tolist(),
        "rtol": rtol,
        "tol": tol,
        "t_end": t_end,
        "max_steps": max_steps,
        "integrator": method,
    }
    statuses = [flow.status(interruption.asked) for flow in flows]
    return _result(problem, flows, shape, statuses, settings)


def _runs(
    problem: Regression,
    shape: tuple[int, ...],
    lam: FloatArray,
    weights: tuple[FloatArray, FloatArray],
    velocities: tuple[FloatArray, FloatArray],
) -> Iterator[Run]:
    """Give each run of a batch, at its start."""
    n, d = problem.n, problem.d
    padded = -(-d // FEATURE_PAD) * FEATURE_PAD
    for index in np.ndindex(*shape):
        X = aligned(n, padded)
        X[:, :d] = np.broadcast_to(problem.X, (*shape, n, d))[index]
        Y = aligned(4, padded)
        Y[:2] = 1.0
        for c, part in enumerate((*weights, *velocities)):
            Y[c, :d] = np.broadcast_to(part, (*shape, d))[index]
        yield Run(
            data=Data(
                X=X,
                y=np.ascontiguousarray(np.broadcast_to(problem.y, (*shape, n))[index]),
                lam=float(np.broadcast_to(lam, shape)[index]),
            ),
            d=d,
            Y=Y,
            G=np.zeros(padded),
            Q=np.zeros((2, padded)),
            crossing=np.zeros((2, padded), dtype=np.bool_),
            flips=np.zeros(2),
            clock=np.zeros(3),
            counters=np.zeros(4, dtype=np.int64),
        )


def _compiled() -> ModuleType:
    """Return the compiled explicit integrator; loading it takes numba."""
    from momentumflow.numeric.flow import flow_loops

    return flow_loops


def _goal(run: Run, limits: tuple[float, float, float], times: FloatArray) -> Goal:
    """Return what is asked of a run: (rtol, tol, t_end), and where its records go."""
    out = np.empty((times.size, 2, run.Y.shape[1]))
    return Goal(*limits, run.Y.copy(), times, out, np.empty((_MAX_EVENTS, 3)))


@dataclass(eq=False)
class _Flow:
    """One run under way, and the integrator that carries it."""

    run: Run
    goal: Goal
    max_steps: int
    method: str
    code: int = _GOING_ON
    stiff: StiffFlow | None = None

    def advance(self) -> None:
        self._advance()
        if self.code == _FAILED and self.goal.tol < 0 and self._at_rest():
            # no step is short enough to follow the rounding of a residual; what rests stays
            self.run.clock[TIME], self.code = self.goal.t_end, _AT_END

    def _at_rest(self) -> bool:
        """Whether the flow is settled as far as rounding lets it."""
        X, y, _ = self.run.data
        theta = limit_theorem.parameter(*self.run.Y[:2])
        r = X @ theta - y
        goal = self.goal._replace(tol=_AT_REST)
        squares = float(r @ r), float(y @ y)
        return bool(_compiled().settled(self.run.data, self.run.Y, goal, theta, *squares))

    def _advance(self) -> None:
        run, goal = self.run, self.goal
        taken = int(run.counters[STEPS])
        tried = self.method == "auto" and taken >= _TRIAL
        if self.stiff is None and (self.method == "stiff" or (tried and is_stiff(run))):
            self.stiff = StiffFlow(run, goal)
        budget = min(_BUDGET, self.max_steps - taken)
        if self.stiff is not None:
            self.code = self.stiff.advance(min(_STIFF_BUDGET, budget))
            return
        if self.method == "auto":
            budget = min(budget, _TRIAL)
        padded = run.Y.shape[1]
        self.code = _compiled().integrate(
            run, goal, aligned(16, 4, padded), aligned(padded), budget
        )

    @property
    def ended(self) -> bool:
        return self.code != _GOING_ON or bool(self.run.counters[STEPS] >= self.max_steps)

    @property
    def weights(self) -> FloatArray:
        """w_+ and w_-, shape (2, d)."""
        return self.run.Y[:2, : self.run.d]

    @property
    def initial(self) -> FloatArray:
        """w_+ and w_- at the start, shape (2, d)."""
        return self.goal.start[:2, : self.run.d]

    def status(self, interrupted: bool) -> RunStatus:
        if self.stiff is not None:
            lost = self.stiff.lost_weight()
        else:
            lost = TWO_LAYERS.lost(self.initial, self.weights, self.remainders(), self.run.flips)
        if self.code == _WEIGHT_AT_ZERO or (self.code == _CONVERGED and lost):
            return RunStatus.WEIGHT_AT_ZERO
        if self.code == _CONVERGED:
            return RunStatus.CONVERGED
        if self.code == _FAILED:
            return RunStatus.NOT_CONVERGED if self._at_rest() else RunStatus.DIVERGED
        if self.code == _AT_END and self.goal.tol < 0:
            return RunStatus.COMPLETED
        return RunStatus.INTERRUPTED if interrupted else RunStatus.NOT_CONVERGED

    def remainders(self) -> FloatArray:
        """R = (S_+, -S_-), shape (2, d): by definition, or as the finite part."""
        run, d = self.run, self.run.d
        weights, velocities = self.weights, run.Y[2:, :d]
        rest = run.G[:d]
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(np.abs(weights / self.initial))
            # what the momentum left in the run will still do to the logarithm
            pending = run.data.lam * velocities / weights
        regular = -logs - np.array([rest, -rest]) - pending
        defined = run.data.lam * (run.Q[:, :d] - self.goal.start[2:, :d] / self.initial)
        remainders: FloatArray = np.where(run.crossing[:, :d], regular, defined)
        return remainders * np.array([[1.0], [-1.0]])

    def crossings(self) -> SignChanges:
        """Times and places of the sign changes, in the order of the steps."""
        rows = self.goal.events[: int(self.run.counters[EVENTS])]
        order = np.argsort(rows[:, 0], kind="stable")
        weight = np.where(rows[order, 1] == 0, "w_plus", "w_minus")
        return SignChanges(rows[order, 0].copy(), weight, rows[order, 2].astype(np.int64))

    def path(self) -> tuple[FloatArray, FloatArray]:
        """Recorded times and weights (records, 2, d); after the end, the last state."""
        goal = self.goal
        goal.out[int(self.run.counters[RECORDS]) :] = self.run.Y[:2]
        recorded = goal.out[:, :, : self.run.d]
        return np.r_[0.0, goal.times], np.concatenate((self.initial[None], recorded))


def _velocities(
    velocity: tuple[Reals, Reals] | None, lam: FloatArray, d: int
) -> tuple[FloatArray, FloatArray]:
    if velocity is None:
        return np.zeros(d), np.zeros(d)
    if np.any(lam == 0):
        raise InputError(
            "no velocity where lambda = 0", "a velocity", "gradient flow has no inertia"
        )
    plus, minus = (floats(part) for part in velocity)
    for part in (plus, minus):
        if part.shape[-1:] not in ((d,), (1,), ()):
            raise InputError(f"velocities with a last axis of {d}", f"shape {part.shape}")
    plus, minus = np.broadcast_arrays(plus, minus, np.zeros(d))[:2]
    return plus, minus


def _times(t_eval: Vector | None, t_end: float | None) -> FloatArray:
    if t_eval is None:
        return np.empty(0)
    times = floats(t_eval)
    if times.ndim != 1 or np.any(np.diff(times, prepend=0.0) < 0) or np.any(np.diff(times) == 0):
        raise InputError(
            "t_eval as increasing times >= 0", f"{np.array2string(times, threshold=6)}"
        )
    if t_end is not None and times.size and times[-1] > t_end:
        raise InputError(f"t_eval within [0, t_end = {t_end:g}]", f"{times[-1]:g}")
    return times[times > 0].copy()


def _result(
    problem: Regression,
    flows: list[_Flow],
    shape: tuple[int, ...],
    statuses: list[RunStatus],
    settings: dict[str, Any],
) -> Trajectory:
    d = problem.d

    def stacked(parts: list[Any]) -> Any:
        array = np.array(parts)
        return array.reshape((*shape, *array.shape[1:]))

    end = stacked([flow.weights for flow in flows])
    start = stacked([flow.initial for flow in flows])
    theta = limit_theorem.parameter(end[..., 0, :], end[..., 1, :])
    path = None
    if flows and flows[0].goal.times.size:
        recorded = [flow.path() for flow in flows]
        weights = stacked([w for _, w in recorded])
        times = stacked([t for t, _ in recorded])
        path = Path(times, weights, problem)
    return Trajectory(
        problem=problem,
        theta=theta,
        weights=end,
        initial_weights=start,
        remainders=stacked([flow.remainders() for flow in flows]),
        gradient_integral=stacked([flow.run.G[:d] for flow in flows]),
        loss=problem.loss(theta),
        residual=problem.residual(theta),
        time=stacked([flow.run.clock[TIME] for flow in flows]),
        steps=stacked([flow.run.counters[STEPS] for flow in flows]),
        sign_changes=stacked([flow.run.flips.astype(np.int64) for flow in flows]),
        status=one_or_array(statuses, shape),
        settings=settings,
        squared_rates=stacked([flow.run.Q[:, :d] for flow in flows]),
        sign_change_times=one_or_array([flow.crossings() for flow in flows], shape),
        path=path,
    )
