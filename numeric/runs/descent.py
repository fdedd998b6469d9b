"""Momentum descent on the diagonal network: the discrete methods, one run or a batch."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from momentumflow.base.arguments import Count, PositiveFloat, checked
from momentumflow.base.arrays import (
    FloatArray,
    Momentum,
    Positive,
    Seed,
    broadcast_shapes,
    floats,
)
from momentumflow.base.errors import InputError
from momentumflow.numeric.data.problems import Regression
from momentumflow.numeric.progress import meter
from momentumflow.numeric.runs.batch_state import Runs
from momentumflow.numeric.runs.early_ending import EarlyEnding
from momentumflow.numeric.runs.engines import (
    LARGE_ENTRIES,
    ByRows,
    Engine,
    Indices,
    InLanes,
    InNumpy,
    RunByRun,
    available_threads,
)
from momentumflow.numeric.runs.foresight import Pace
from momentumflow.numeric.runs.given_networks import NetworkLike, network_of
from momentumflow.numeric.runs.initialisation import Init
from momentumflow.numeric.runs.interruption import Interruption
from momentumflow.numeric.runs.kernel_modules import (
    METHODS,
    MethodLike,
    kernels_for,
    name_of,
    update_rule,
)
from momentumflow.numeric.runs.sampling import Minibatches
from momentumflow.numeric.runs.schedules import (
    MomentumOf,
    Rates,
    Schedule,
    StepSize,
    pending_of,
    table,
    values_of,
)
from momentumflow.numeric.runs.trajectory import (
    STATUS_CODES,
    Path,
    RunStatus,
    Trajectory,
    one_or_array,
)
from momentumflow.numeric.runs.twin_runs import may_amplify, rounding_of

_log = logging.getLogger(__name__)


# One call into compiled code lasts about this long, so that Ctrl-C and the
# progress meter are served in between.
_CALL_SECONDS = 0.2
# Lanes pay from this many runs on one design: where the design fits the first-level
# cache, and where it does not (`benchmarks/bench_simulation.py engines` measures it).
# Runs with designs of their own are advanced one by one: lanes would read as many
# designs as runs from the second-level cache, which takes as long.
_LANES_FROM, _LANES_FROM_LARGE = 16, 8


@checked
def momentum_descent(
    problem: Regression,
    gamma: StepSize,
    beta: MomentumOf,
    init: Init,
    *,
    method: MethodLike = "heavy_ball",
    network: NetworkLike = None,
    velocity: Literal["weight", "gradient"] = "weight",
    batch_size: Count | None = None,
    seed: Seed = 0,
    max_steps: Count = 1_000_000,
    tol: PositiveFloat | None = 1e-13,
    limit_accuracy: PositiveFloat | None = None,
    check_every: Count = 100,
    record_every: Count | None = None,
    max_records: Count = 100_000,
    remainders: Literal["regular", "summed"] = "regular",
    engine: Literal["auto", "single", "lanes", "numpy"] = "auto",
    threads: Count | None = None,
    progress: bool | None = None,
    measure_rounding: bool | None = None,
) -> Trajectory:
    r"""Train a separable network by gradient descent with momentum.

    The weights of the two-layer network obey `w_{k+1} = w_k ∓ gamma g_k w_k + beta (w_k - w_{k-1})`
    with `w_{-1} = w_0`; Nesterov takes `g` and `w` of the force at
    `w_k + beta (w_k - w_{k-1})`.

    Parameters
    ----------
    problem : Regression
        One problem, or a batch of them.
    gamma : array_like, > 0, or callable
        Step. `gamma`, `beta`, `init` and the problem broadcast over leading
        axes; each index of the result is a run. A schedule is a function of the
        step k = 0, 1, ..., such as optax's, or a `Schedule` of values; its value at the
        last of `max_steps` steps is held for what momentum would do beyond.
    beta : array_like, in [0, 1), or callable
        Momentum, likewise; must be 0 for gradient descent.
    init : float, array_like or tuple
        Scale alpha of `u_0 = sqrt(2) alpha, v_0 = 0`, or a pair (u_0, v_0);
        see `momentumflow.numeric.runs.initialisation`. Of another network, where all
        weights of a coordinate start, or a tuple with a start for each, in alphabetical
        order.
    method : {"heavy_ball", "nesterov", "gradient_descent"} or MomentumMethod
        The update rule; one of your own as an object of
        `momentumflow.symbolic`, such as `QuasiHyperbolic(nu=Rational(7, 10))` or
        `MomentumMethod.parse("w[k+1] = ...")`, whose kernels are generated on
        first use. It may look back one step and have gamma and beta as its
        only parameters.
    network : str or SeparableNetwork, optional
        The map of the weights of one coordinate, a sum of functions of one weight each or
        a quadratic form, such as "u**2 - v**2", "u**3 - v**3" or "sinh(u)"; "u*v" if not
        given. Its kernels are generated on first use.
    velocity : {"weight", "gradient"}
        What the momentum carries from step to step, which matters when the step changes:
        the last move of the weights, as above, or, as PyTorch's SGD does, a velocity in
        units of the gradient, `v = beta v + g`, `w -= gamma v`.
    batch_size : int, optional
        Rows drawn without replacement at each step; all of them if not given.
    seed : int or numpy.random.Generator
        Of the minibatches. The minibatches of run i depend on the seed and i only.
    max_steps : int
        Largest number of steps.
    tol : float or None
        Stop when |X theta - y| <= tol |y|, no row of it is above 100 tol in its own
        units |y_i| + sum_j |x_ij theta_j|, and the remaining momentum moves theta by at
        most tol |theta| and no weight by more than 100 tol of itself. None takes
        exactly `max_steps` steps.
    limit_accuracy : float, optional
        End a run as soon as its limit is known to this relative accuracy: what it has left
        behind predicts the limit with an error of second order in the residual, which is
        estimated (`PredictedLimit.ahead`). Its status is then LIMIT_KNOWN, and
        `predicted_limit()` has the limit.
    check_every : int
        Steps between two looks at convergence.
    record_every : int, optional
        Record the weights at step 0 and every so many steps.
    max_records : int
        Bound on the number of records a run may ask for.
    remainders : {"regular", "summed"}
        How S_pm is found. "regular": by the sum of the gradient entries, into
        which the definition telescopes, an identity proved for the method
        (`RemainderLaw.telescoping`); no quotient of weights is formed, so that a weight
        near zero costs no digits. "summed": by the definition, h(w_{k+1}/w_k)
        step by step, a quarter slower; what verification uses.
    engine : {"auto", "single", "lanes", "numpy"}
        How runs are advanced: each in its own compiled loop, side by side in
        SIMD lanes, or the NumPy reference. "auto" takes lanes from 16 runs that
        share a design, from 8 if it has more than 4096 entries.
    threads : int, optional
        Threads; as many as there are cores if not given.
    progress : bool, optional
        Show a meter; None shows it in a terminal only.
    measure_rounding : bool, optional
        Estimate how far the rounding of all steps has carried each converged run
        (`Trajectory.rounding`), by two more runs from starts a few roundings away. If not
        given, that is done for a single run whose weights changed sign or size so often
        that its steps may amplify rounding; for others it costs nothing.

    Returns
    -------
    Trajectory
        With the broadcast leading axes. A run that diverged or did not
        converge says so in `status`; Ctrl-C returns what there is, marked
        INTERRUPTED.

    Raises
    ------
    InputError
        gamma <= 0, beta outside [0, 1), a zero initial weight, leading axes
        that do not broadcast, a batch size above n, a method that is unknown
        or cannot be run, a network that is no smooth separable map or starts at a
        critical point of it, a schedule that leaves these bounds or ends too early.

    Notes
    -----
    Papazov, Pesme, Flammarion, arXiv 2403.05293, equation (MGD).

    Examples
    --------
    >>> from momentumflow.numeric import momentum_descent, sparse_regression
    >>> problem = sparse_regression(20, 30, 5, seed=0)
    >>> run = momentum_descent(problem, gamma=0.01, beta=[0.0, 0.9], init=0.1)
    >>> run.theta.shape
    (2, 30)
    >>> run.converged
    array([ True,  True])
    """
    step = values_of("gamma", gamma, Positive, max_steps)
    momentum = values_of("beta", beta, Momentum, max_steps)
    method = update_rule(method, bool(np.any(momentum != 0)))
    if velocity == "gradient":
        momentum = _by_moves(method, step, momentum)
    trained = network_of(network)
    start = trained.start(init, problem.d)
    shape = broadcast_shapes(
        problem=problem.batch_shape,
        gamma=step.shape[:-1],
        beta=momentum.shape[:-1],
        init=start.shape[:-2],
    )
    arithmetic = kernels_for(method, "numpy", trained.symbolic)
    betas = table(momentum, shape)
    decays = np.broadcast_to(arithmetic.decay(betas), betas.shape)
    rates = Rates(table(step, shape), betas, pending_of(decays), arithmetic.effect)
    check_every = min(check_every, max_steps)
    tolerance = 0.0 if tol is None else tol
    workers = threads or available_threads()
    summed = remainders == "summed"
    runs = Runs.start(problem, rates, trained, start, shape, summed)
    minibatches = None
    if batch_size is not None:
        if batch_size > problem.n:
            raise InputError(f"batch_size <= n = {problem.n}", f"batch_size = {batch_size}")
        minibatches = Minibatches(seed, runs.size, problem.n, batch_size)
    chosen = _engine(engine, method, runs, tolerance, workers, minibatches)
    _log.info(
        "%d run(s) of %s: engine %s on %d thread(s)",
        runs.size, name_of(method), type(chosen).__name__, workers,
    )  # fmt: skip
    records = _Records(record_every, max_records, max_steps) if record_every else None
    start = np.broadcast_to(start, (*shape, *start.shape[-2:]))
    early = None
    if limit_accuracy is not None:
        if tol is None:
            raise InputError("a tol with limit_accuracy", "tol=None", "drop one of them")
        early = EarlyEnding(limit_accuracy, method, runs, batch_size)
    interrupted = _drive(chosen, max_steps, check_every, records, tol is not None, progress, early)
    settings = {
        "method": name_of(method),
        "gamma": _stated(gamma),
        "beta": _stated(beta),
        "network": trained.parameter,
        "velocity": velocity,
        "batch_size": batch_size,
        "seed": seed if isinstance(seed, int) else str(seed),
        "remainders": remainders,
        "tol": tol,
        "limit_accuracy": limit_accuracy,
        "max_steps": max_steps,
    }
    found = _result(problem, chosen, start, interrupted, tol is not None, records, settings)
    doubtful = found.converged
    if measure_rounding is None:
        doubtful = doubtful & may_amplify(found) & (runs.size == 1)
    if measure_rounding is False or not doubtful.any():
        return found

    def again(twins: Runs, repeated: Indices) -> Engine:
        drawn = None if minibatches is None else minibatches.again(repeated)
        return _engine(engine, method, twins, 0.0, workers, drawn)

    index = np.flatnonzero(doubtful)
    rounding = np.full(runs.size, np.nan)
    rounding[index] = rounding_of(runs, index, start.reshape(-1, *start.shape[-2:]), again)
    return replace(found, rounding=runs.shaped(rounding))


def _stated(given: Any) -> Any:
    """Return a parameter for the record: numbers, or a schedule in words."""
    if not callable(given):
        return floats(given).tolist()
    return repr(given) if isinstance(given, Schedule) else getattr(given, "__name__", repr(given))


def _by_moves(method: MethodLike, gamma: FloatArray, beta: FloatArray) -> FloatArray:
    """Return the momentum of the moves of w where beta is that of a velocity of gradients.

    With `p_k = -gamma_{k-1} v_k`, `v_{k+1} = beta_k v_k + g` and `w_{k+1} = w_k -
    gamma_k v_{k+1}` are heavy ball (Nesterov with its force at `w_k - gamma_k beta_k v_k`)
    with the momentum `beta_k gamma_k / gamma_{k-1}`.
    """
    if method not in METHODS:
        raise InputError(
            f"one of {', '.join(METHODS)} with velocity='gradient'", f"method {name_of(method)}"
        )
    if gamma.shape[-1] == 1:
        return beta
    steps = gamma.shape[-1]
    factor = np.ones((*gamma.shape[:-1], steps + 1))
    factor[..., 1:steps] = gamma[..., 1:] / gamma[..., :-1]
    held = beta[..., np.minimum(np.arange(steps + 1), beta.shape[-1] - 1)]
    return np.asarray(held * factor)


def _engine(
    name: str,
    method: MethodLike,
    runs: Runs,
    tol: float,
    threads: int,
    minibatches: Minibatches | None,
) -> Engine:
    if name == "numpy":
        reference = InNumpy(method, runs, tol, threads)
        reference.minibatches = minibatches
        return reference
    if minibatches is not None:
        if name == "lanes":
            raise InputError(
                "engine 'single' or 'numpy' with minibatches",
                "'lanes'",
                "lanes share one data set, minibatches differ from run to run",
            )
        return ByRows(method, runs, tol, threads, minibatches)
    designs, n, d = runs.X.shape
    enough = _LANES_FROM if n * d <= LARGE_ENTRIES else _LANES_FROM_LARGE
    if name == "lanes" or (name == "auto" and runs.size >= enough * designs):
        return InLanes(method, runs, tol, threads)
    return RunByRun(method, runs, tol, threads)


class _Records:
    """Recorded weights of all runs, at step 0 and every `every` steps."""

    def __init__(self, every: int, max_records: int, max_steps: int) -> None:
        self.every = every
        wanted = max_steps // self.every + 1
        if wanted > max_records:
            raise InputError(
                f"at most max_records = {max_records} records",
                f"{wanted} (max_steps = {max_steps}, record_every = {every})",
                "raise record_every or max_records, or lower max_steps",
            )
        self.weights: list[FloatArray] = []

    def take(self, runs: Runs) -> None:
        self.weights.append(runs.weights())


def _drive(
    engine: Engine,
    max_steps: int,
    check_every: int,
    records: _Records | None,
    to_convergence: bool,
    progress: bool | None,
    early: EarlyEnding | None,
) -> bool:
    """Advance until every run has ended; return whether the user interrupted.

    Raises
    ------
    KeyboardInterrupt
        If the user did when nothing was left to interrupt: no status would tell.
    """
    runs = engine.runs
    if records:
        records.take(runs)
        check_every = records.every
    elif not to_convergence:
        check_every = max_steps
    ideal = _CALL_SECONDS * 1e9 / (engine.nanoseconds() * max(1, runs.size / engine.threads))
    if not to_convergence and records is None:
        check_every = int(np.clip(ideal, 1, max_steps))
    checks = 1 if records else max(1, int(ideal / check_every))
    done = 0
    active = np.arange(runs.size)
    label = f"{name_of(engine.method)}, {runs.size} run(s)"
    with Interruption() as interruption, meter(label, max_steps, show=progress) as advanced:
        try:
            while active.size and done < max_steps and not interruption.asked:
                left = max_steps - done
                every = min(check_every, left)
                times = max(1, min(checks, left // every))
                if early:
                    times = early.checks(done, every, times)
                engine.advance(active, every, times)
                done += every * times
                advanced(every * times)
                if records:
                    records.take(runs)
                if early:
                    early.look(active)
                active = active[runs.state[active] == 0]
        except KeyboardInterrupt:
            interruption.asked = True
    if interruption.asked and not (active.size and done < max_steps):
        raise KeyboardInterrupt
    return interruption.asked


def _result(
    problem: Regression,
    engine: Engine,
    start: FloatArray,
    interrupted: bool,
    to_convergence: bool,
    records: _Records | None,
    settings: dict[str, Any],
) -> Trajectory:
    runs, network = engine.runs, engine.runs.network
    d, m = runs.d, runs.W.shape[1]
    end = runs.weights()
    kernels = engine.kernels("numpy")
    with np.errstate(all="ignore"):  # diverged runs hold infinities; their status says so
        pending = runs.rates.pending_at(runs.steps)[:, None]
        error = None
        if settings["remainders"] == "summed":
            totals = runs.S[:, :m, :d]
            # a few roundings of each summand, and as many of the iterates it is made of
            error = 4 * np.finfo(np.float64).eps * runs.S[:, m:, :d].sum(axis=1)
        else:
            parts = (*np.moveaxis(end, 1, 0), *np.moveaxis(runs.P[:, :, :d], 1, 0))
            totals = np.stack(kernels.remainders(*parts, runs.E[:, :d], pending), axis=1)
        weights = runs.shaped(end)
        remainders = runs.shaped(totals) - network.between(start, weights)
        del totals  # a large batch has several arrays of its size here
        at_zero = network.lost(start, weights, remainders, runs.shaped(runs.flips))
        theta = network.theta(weights)
        loss, residual = problem.loss(theta), problem.residual(theta)
    path = None
    if records:
        recorded = np.stack(records.weights, axis=1)
        steps = np.minimum(np.arange(recorded.shape[1]) * records.every, settings["max_steps"])
        time = runs.shaped(runs.rates.clock(np.broadcast_to(steps, (runs.size, steps.size))))
        path = Path(time, runs.shaped(recorded), problem, network)
    return Trajectory(
        problem=problem,
        theta=theta,
        weights=weights,
        initial_weights=start.copy(),
        remainders=remainders,
        gradient_integral=runs.shaped(runs.E[:, :d]).copy(),
        loss=loss,
        residual=residual,
        time=runs.shaped(runs.rates.clock(runs.steps)),
        steps=runs.shaped(runs.steps.copy()),
        remainder_rounding=None if error is None else runs.shaped(error),
        sign_changes=runs.shaped(runs.flips.astype(np.int64)),
        status=_statuses(runs, interrupted, to_convergence, at_zero),
        settings=settings,
        method=engine.method,
        network=network,
        pace=Pace(*map(runs.shaped, runs.rates.pace(runs.steps))),
        path=path,
    )


def _statuses(runs: Runs, interrupted: bool, to_convergence: bool, at_zero: Any) -> Any:
    statuses = []
    for code, lost in zip(runs.state.tolist(), np.ravel(at_zero).tolist(), strict=True):
        status = STATUS_CODES[code]
        if status is RunStatus.CONVERGED and lost:
            status = RunStatus.WEIGHT_AT_ZERO
        if status is RunStatus.NOT_CONVERGED and interrupted:
            status = RunStatus.INTERRUPTED
        elif status is not RunStatus.DIVERGED and not to_convergence:
            status = RunStatus.COMPLETED
        statuses.append(status)
    return one_or_array(statuses, runs.shape)
