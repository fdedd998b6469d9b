"""What a run returns: where it ended, and everything that the limit theorem needs.

With R the remainders of a run in the straightened coordinates phi of its weights, the
limit of theta is the Bregman projection, in the potential of the network, of the point
with the coordinates `phi(w_0) - R` (`symbolic/codegen/remainder_laws.py`). For the
two-layer network phi is ln|w_+| and -ln|w_-|, and with `S_± = ±R` (discrete: sums of
h(w_{k+1}/w_k)/(1-beta); continuous: lambda times the integral of (w'/w)^2) it is the one
with balancedness `Delta_0 exp(-(S_+ + S_-))` and perturbed initialisation
`(w_{+,0}^2 e^{-2 S_+} - w_{-,0}^2 e^{-2 S_-})/4` (Papazov, Pesme, Flammarion,
arXiv 2403.05293, theorem 1 and its discrete form).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from momentumflow.base import libraries
from momentumflow.base.arguments import checked
from momentumflow.base.arrays import FloatArray
from momentumflow.base.errors import InputError
from momentumflow.base.values import Value, brief
from momentumflow.numeric.data.labelled import (
    attributes,
    batch_axes,
    dataset,
    feature_labels,
    names_of,
    on_features,
)
from momentumflow.numeric.data.problems import Regression
from momentumflow.numeric.plots import chosen, picture_of_ends
from momentumflow.numeric.runs.foresight import (
    Pace,
    PredictedLimit,
    State,
    looked_ahead,
    metric_of,
    noise_of,
    rates_of,
)
from momentumflow.numeric.runs.kernel_modules import MethodLike
from momentumflow.numeric.runs.kernels import limit_theorem_diagonal_numpy as limit_theorem
from momentumflow.numeric.runs.networks import TWO_LAYERS, Network

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

    from momentumflow.numeric.implicit import ImplicitSolution


class RunStatus(enum.Enum):
    """How a run ended, in words; `Trajectory.message` adds what to do about it."""

    CONVERGED = "converged"
    COMPLETED = "ran the time asked for; convergence was not asked for"
    NOT_CONVERGED = "not converged"
    DIVERGED = "diverged"
    LIMIT_KNOWN = (
        "ended early: its limit is known to the accuracy asked for; predicted_limit() has it"
    )
    INTERRUPTED = "interrupted before the end: start again from the returned weights"
    WEIGHT_AT_ZERO = "a weight ended at zero, where the limit theorem says nothing"


# What is exported, and in which order.
_VECTORS = (
    "theta", "w_plus", "w_minus", "S_plus", "S_minus", "gradient_integral", "balancedness",
    "initial_balancedness", "predicted_balancedness", "perturbed_init",
)  # fmt: skip
_NUMBERS = ("loss", "residual", "time", "steps")

# The codes that the compiled loops return, and what `early_ending.py` adds.
STATUS_CODES = (
    RunStatus.NOT_CONVERGED, RunStatus.CONVERGED, RunStatus.DIVERGED, RunStatus.WEIGHT_AT_ZERO,
    RunStatus.LIMIT_KNOWN,
)  # fmt: skip

# Relative error of a limit from rounding, beyond which a run says so.
_RELIABLE = 1e-9


def two_layers(network: Network, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what stands for w_+ and for w_- in an array (..., 2, d).

    Raises
    ------
    InputError
        If the network is another one.
    """
    if not network.has_two_layers:
        raise InputError(
            "a run of the two-layer network u*v, which has w_+, w_- and a balancedness",
            f"one of {network.parameter}",
            "take its weights, initial_weights and remainders",
        )
    return rows[..., 0, :], rows[..., 1, :]


def one_or_array(items: list[Any], shape: tuple[int, ...]) -> Any:
    """Return the single item of a run without batch axes; else an object array of that shape."""
    array: NDArray[Any] = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array.reshape(shape) if shape else array[0]


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Path(Value):
    """Recorded states of a run; the first is the initialisation.

    Attributes
    ----------
    time : ndarray, shape (..., records)
        Continuous time; for a discrete method the step number times
        eps = gamma/(1 - beta). A run that has ended stays at its last state.
    weights : ndarray, shape (..., records, m, d)
        The m weights of each coordinate.
    problem : Regression
        What was trained on; its batch axes lead those of the weights.
    network : Network
        What was trained; the two-layer network by default.
    """

    time: FloatArray
    weights: FloatArray
    problem: Regression
    network: Network = TWO_LAYERS

    @cached_property
    def loss(self) -> FloatArray:
        """The loss curve |X theta - y|^2 / (2 n); shape (..., records)."""
        with np.errstate(over="ignore", invalid="ignore"):  # a diverged run says so
            X, y = self.problem.X, self.problem.y
            r = self.theta @ np.swapaxes(X, -1, -2) - y[..., None, :]
            loss: FloatArray = np.sum(r * r, axis=-1) / (2 * self.problem.n)
        return loss

    @property
    def theta(self) -> FloatArray:
        """Parameters; shape (..., records, d)."""
        return self.network.theta(self.weights)

    @property
    def w_plus(self) -> FloatArray:
        """The weight u + v of the two-layer network; shape (..., records, d)."""
        return two_layers(self.network, self.weights)[0]

    @property
    def w_minus(self) -> FloatArray:
        """The weight u - v of the two-layer network; shape (..., records, d)."""
        return two_layers(self.network, self.weights)[1]

    @property
    def balancedness(self) -> FloatArray:
        """|w_+ w_-|; shape (..., records, d)."""
        return limit_theorem.balancedness(self.w_plus, self.w_minus)

    def to_xarray(self, feature_names: Sequence[str] | None = None) -> xr.Dataset:
        """Return the recorded states as a labelled Dataset with the time as a coordinate.

        Raises
        ------
        InputError
            If there are names, but not one for each feature.
        """
        *batch, _, _, d = self.weights.shape
        axes = [*batch_axes(len(batch)), "record"]
        data = {"theta": ([*axes, "feature"], self.theta)}
        for i, name in enumerate(self.network.names):
            data[name] = ([*axes, "feature"], self.weights[..., i, :])
        if self.network.has_two_layers:
            data["balancedness"] = ([*axes, "feature"], self.balancedness)
        data["loss"] = (axes, self.loss)
        time = (axes, np.broadcast_to(self.time, self.weights.shape[:-2]), attributes("time"))
        return dataset(data, {"feature": feature_labels(feature_names, d), "time": time}, {})

    def to_frame(self, feature_names: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the recorded states as a table: a row for each feature of each record."""
        return self.to_xarray(feature_names).to_dataframe()


@checked
@dataclass(frozen=True, eq=False, repr=False)
class SignChanges(Value):
    """Where the weights of one flow crossed zero.

    Attributes
    ----------
    time : ndarray, shape (events,)
        Located on the dense output, increasing.
    weight : ndarray of str, shape (events,)
        "w_plus" or "w_minus".
    coordinate : ndarray of int, shape (events,)
    """

    time: FloatArray
    weight: NDArray[np.str_]
    coordinate: NDArray[np.int64]

    def to_frame(self) -> pd.DataFrame:
        """Return the crossings as a table, one a row."""
        pd = libraries.pandas()

        return pd.DataFrame(
            {name: getattr(self, name) for name in ("time", "weight", "coordinate")}
        )


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Trajectory(Value):
    """The end of one run, or of a batch of runs (leading axes `...`).

    Attributes
    ----------
    problem : Regression
        What was trained on.
    theta : ndarray, shape (..., d)
        Parameters at the end.
    weights, initial_weights : ndarray, shape (..., m, d)
        The m straightened weights of each coordinate (`network.names`), at the end and at
        the start; w_+ and w_- of the two-layer network.
    remainders : ndarray, shape (..., m, d)
        R of each weight (see the module), by its definition or, in discrete runs unless
        asked for, by the sum into which it telescopes.
    gradient_integral : ndarray, shape (..., d)
        Discrete: eps, the time of one step, times the sum of the gradient
        entries g; continuous: the
        integral of g dt.
    loss, residual : ndarray, shape (...)
        |X theta - y|^2 / (2 n), and |X theta - y| / |y|.
    time, steps : ndarray, shape (...)
        Continuous time reached, and steps taken.
    sign_changes : ndarray of int, shape (..., m)
        How often a coordinate of each weight crossed zero.
    status : RunStatus, or ndarray of RunStatus of shape (...) for a batch
        How each run ended. Only CONVERGED runs have a limit to compare.
    settings : dict
        Parameters of the run, for provenance.
    method : str or MomentumMethod, optional
        The update rule; None for a flow.
    squared_rates : ndarray, shape (..., 2, d), optional
        Flows only: the integrals of (w'/w)^2 dt for w_+ and w_-; under gradient
        flow both are the integral of g^2 dt.
    network : Network
        What was trained; the two-layer network by default.
    pace : Pace, optional
        Discrete runs only: how they would go on.
    remainder_rounding : ndarray, shape (..., d), optional
        Discrete runs whose remainders were summed by their definition only: a
        bound on what rounding adds to S_+ + S_-. It is large where a weight came
        close to zero, because the summands before and after it then cancel; the
        bound grows with their size (Higham, Accuracy and Stability of Numerical
        Algorithms, chapter 3: running error analysis).
    rounding : ndarray, shape (...), optional
        Where the rounding of its steps was measured: an estimate from above of
        |theta - theta_exact| / |theta|, theta_exact what exact arithmetic ends at;
        infinite where rounding decided the path, NaN for a run that was not looked at
        (see `measure_rounding` of `momentum_descent`).
    sign_change_times : SignChanges, or object array of them, optional
        Flows only.
    path : Path, optional
        Recorded states, if they were asked for.
    """

    problem: Regression
    theta: FloatArray
    weights: FloatArray
    initial_weights: FloatArray
    remainders: FloatArray
    gradient_integral: FloatArray
    loss: FloatArray
    residual: FloatArray
    time: FloatArray
    steps: NDArray[np.int64]
    sign_changes: NDArray[np.int64]
    status: Any
    settings: dict[str, Any] = field(repr=False)
    method: MethodLike | None = field(default=None, repr=False)
    squared_rates: FloatArray | None = field(default=None, repr=False)
    network: Network = field(default=TWO_LAYERS, repr=False)
    pace: Pace | None = field(default=None, repr=False)
    remainder_rounding: FloatArray | None = field(default=None, repr=False)
    rounding: FloatArray | None = field(default=None, repr=False)
    sign_change_times: Any = field(default=None, repr=False)
    path: Path | None = field(default=None, repr=False)

    @property
    def converged(self) -> NDArray[np.bool_]:
        """Whether each run converged; shape (...)."""
        return np.asarray(np.asarray(self.status, dtype=object) == RunStatus.CONVERGED, dtype=bool)

    @property
    def interrupted(self) -> bool:
        """Whether the user stopped any of the runs."""
        return bool(np.any(np.asarray(self.status, dtype=object) == RunStatus.INTERRUPTED))

    @property
    def w_plus(self) -> FloatArray:
        """The weight u + v of the two-layer network at the end; shape (..., d)."""
        return two_layers(self.network, self.weights)[0]

    @property
    def w_minus(self) -> FloatArray:
        """The weight u - v of the two-layer network at the end; shape (..., d)."""
        return two_layers(self.network, self.weights)[1]

    @property
    def initial_w_plus(self) -> FloatArray:
        """The weight u + v at the start; shape (..., d)."""
        return self._start[0]

    @property
    def initial_w_minus(self) -> FloatArray:
        """The weight u - v at the start; shape (..., d)."""
        return self._start[1]

    @property
    def S_plus(self) -> FloatArray:
        """Remainder of w_+ of the two-layer network; shape (..., d)."""
        return two_layers(self.network, self.remainders)[0]

    @property
    def S_minus(self) -> FloatArray:
        """Remainder of w_- of the two-layer network; shape (..., d)."""
        return -two_layers(self.network, self.remainders)[1]

    @property
    def _start(self) -> tuple[FloatArray, FloatArray]:
        return two_layers(self.network, self.initial_weights)

    @property
    def balancedness(self) -> FloatArray:
        """Balancedness at the end, |w_+ w_-|; shape (..., d)."""
        return limit_theorem.balancedness(self.w_plus, self.w_minus)

    @property
    def initial_balancedness(self) -> FloatArray:
        """Delta_0 = |w_{+,0} w_{-,0}|; shape (..., d)."""
        return limit_theorem.balancedness(self.initial_w_plus, self.initial_w_minus)

    @property
    def log_balancedness(self) -> FloatArray:
        """Logarithm of `predicted_balancedness`, which may underflow; shape (..., d)."""
        return limit_theorem.log_balancedness(*self._start, self.S_plus, self.S_minus)

    @property
    def predicted_balancedness(self) -> FloatArray:
        """Delta_inf = Delta_0 exp(-(S_+ + S_-)); shape (..., d)."""
        return np.exp(self.log_balancedness)

    @property
    def perturbed_init(self) -> FloatArray:
        """theta_tilde_0; shape (..., d)."""
        return limit_theorem.perturbed_parameter(*self._start, self.S_plus, self.S_minus)

    @property
    def shift(self) -> FloatArray:
        """asinh(2 theta_tilde_0 / Delta_inf), without cancellation; shape (..., d)."""
        return limit_theorem.shift(*self._start, self.S_plus, self.S_minus)

    @cached_property
    def regular_remainders(self) -> FloatArray:
        """phi(w_0) - phi(w_inf) - int g dt: R, regular where a weight crosses zero.

        Equal to `remainders` once the velocity has died out; how far the two are apart
        is `remainder_defect`. Shape (..., m, d).
        """
        with np.errstate(divide="ignore", invalid="ignore"):  # a diverged run
            moved = self.network.between(self.initial_weights, self.weights)
            return -moved - self.gradient_integral[..., None, :]

    @property
    def remainder_defect(self) -> FloatArray:
        """Largest distance of the defined from the regular remainders; shape (...).

        Raises
        ------
        InputError
            If the remainders were not summed by their definition.
        """
        if self.settings.get("remainders") == "regular":
            raise InputError(
                "a run whose remainders were summed by their definition",
                "remainders='regular'",
                "run momentum_descent with remainders='summed'",
            )
        return np.abs(self.remainders - self.regular_remainders).max(axis=(-2, -1))

    def plot(self, index: int | tuple[int, ...] | None = None) -> Figure:
        """Draw where a run ended and its predicted limit; with records, also how it came there.

        Parameters
        ----------
        index : int or tuple of int, optional
            Which one of a batch.

        Raises
        ------
        InputError
            If there is none of that index, or a batch and no index.
        """
        at = chosen(self.theta, index)
        problem, path = self.problem, None
        if self.path is not None:
            records = (np.broadcast_to(self.path.time, self.path.loss.shape), self.path.theta)
            path = records[0][at], records[1][at], self.path.loss[at]
        teacher = None
        if problem.teacher is not None:
            teacher = np.broadcast_to(problem.teacher, self.theta.shape)[at]
        limit = self.predicted_limit().theta[at]
        return picture_of_ends(
            self.theta[at], label="end of the run", predicted=limit, teacher=teacher, path=path
        )

    def predicted_limit(
        self, solver: Literal["newton", "cvxpy"] = "newton", **options: Any
    ) -> PredictedLimit:
        """Solve the convex problem that this run's remainders determine.

        A run need not have ended: what it has left behind so far predicts its limit up
        to an error of second order in its residual, which is estimated.

        Parameters
        ----------
        solver : {"newton", "cvxpy"}
            Passed on to `implicit_solution`.
        **options
            Likewise, such as its `tolerance`.

        Returns
        -------
        PredictedLimit
            With the leading axes of the run, `ahead`, an estimate of how far it is from
            where the run would end, and `rounding`, one of how far that is from where exact
            arithmetic ends. A run that has no limit to predict, because it
            diverged or left a weight at zero, has NaN there, and its own status.
        """
        from momentumflow.numeric.implicit import implicit_solution

        status = np.asarray(self.status, dtype=object)
        lost = (status == RunStatus.DIVERGED) | (status == RunStatus.WEIGHT_AT_ZERO)
        usable = np.asarray(~lost, dtype=bool)
        # the others are put in as runs without remainders, whose limit always exists
        start, end, R = self.initial_weights, self.weights, self.remainders
        for _ in range(2):
            end = np.where(usable[..., None, None], end, start)
            R = np.where(usable[..., None, None], R, 0.0)
            usable = usable & self.network.known(start, end, R)
        if not self.network.has_two_layers:  # the dual of where the run is, X^T nu = -int g dt
            back = np.linalg.pinv(np.swapaxes(self.problem.X, -1, -2))
            moved = np.where(usable[..., None], self.gradient_integral, 0.0)
            options.setdefault("start", -(back @ moved[..., None])[..., 0])
        solution = implicit_solution(
            self.problem, potential=self.network.potential(start, end, R), solver=solver, **options
        )
        if not usable.all():
            solution = _masked(solution, usable, status)
        rounding = np.full(self.loss.shape, np.nan) if self.rounding is None else self.rounding
        return looked_ahead(solution, self._ahead(solution), rounding)

    @cached_property
    def rates(self) -> FloatArray:
        """Lambda phi(w)' of each weight at the end, shape (..., m, d); zero at rest."""
        with np.errstate(divide="ignore", invalid="ignore"):  # a diverged run
            pending = self.regular_remainders - self.remainders
            X, y = self.problem.X, self.problem.y
            r = (X @ self.theta[..., None])[..., 0] - y
            g = (np.swapaxes(X, -1, -2) @ r[..., None])[..., 0] / self.problem.n
            share = np.asarray(1.0) if self.pace is None else self.pace.share
            return rates_of(pending, share, self.lam, g)

    @property
    def lam(self) -> FloatArray:
        """Lambda of a flow; of a discrete run, its time step over 1 - beta; shape (...).

        Under a schedule, the largest from the end of the run on.
        """
        if self.pace is not None:
            return self.pace.lam
        return np.broadcast_to(np.asarray(self.settings["lam"]), self.loss.shape)

    def _ahead(self, solution: ImplicitSolution) -> Any:
        """Estimate how far predictions are from the limits, run by run; shape (...)."""
        shape, problem = self.loss.shape, self.problem
        found = np.zeros(shape)
        X = np.broadcast_to(problem.X, (*shape, *problem.X.shape[-2:]))
        step = np.zeros(shape) if self.pace is None else self.pace.step
        noise = noise_of(step, problem.n, self.settings.get("batch_size"))
        with np.errstate(all="ignore"):  # what has diverged is not finite
            y = np.broadcast_to(problem.y, (*shape, problem.n))
            metric = metric_of(solution, X)
            for i in np.ndindex(shape):
                if self.converged[i]:
                    continue
                residual = X[i] @ self.theta[i] - y[i]
                state = State(
                    X[i], residual, self.network, self.weights[i], self.rates[i],
                    float(self.lam[i]), float(noise[i]),
                )  # fmt: skip
                found[i] = state.ahead(solution.theta[i], metric[i])
        return found[()]

    def advice(self, status: RunStatus) -> str:
        """Return what would lead to a limit, of the first run that ended so; empty if no run did.

        Of a run that converged, what would make rounding matter less, where it does.
        Arguments of the call stand in braces, such as {gamma}. Numbers are those of
        `Settling`: the largest stable step at the limit, the steps still needed.
        """
        from momentumflow.numeric.runs.settling import Settling

        ended = np.asarray(np.asarray(self.status, dtype=object) == status, dtype=bool)
        if status is RunStatus.CONVERGED:
            return "reduce {gamma}" if self.doubt else ""
        without_limit = (
            RunStatus.DIVERGED, RunStatus.NOT_CONVERGED, RunStatus.WEIGHT_AT_ZERO
        )  # fmt: skip
        if not ended.any() or status not in without_limit:
            return ""
        if status is RunStatus.WEIGHT_AT_ZERO:
            other = "{lam}" if self.method is None else "{gamma} or {beta}"
            return f"change {{init}}, {other} a little"
        diverged = status is RunStatus.DIVERGED
        index = np.unravel_index(int(np.argmax(ended)), ended.shape)
        steps = int(self.steps[index])
        if self.method is None:
            if diverged:
                return "reduce {lam}"
            out_of_steps = steps >= self.settings["max_steps"]
            return "raise {max_steps}" if out_of_steps else "raise {t_max}, or loosen {tol}"
        scheduled = any(isinstance(self.settings[name], str) for name in ("gamma", "beta"))
        if scheduled or not self.network.has_two_layers:
            # what is stable at one step need not be at another
            return "reduce {gamma}" if diverged else "raise {max_steps} or {gamma}; or loosen {tol}"
        gamma, beta = (
            float(np.broadcast_to(self.settings[name], ended.shape)[index])
            for name in ("gamma", "beta")
        )
        X, y, w_plus, w_minus = (
            np.broadcast_to(part, (*ended.shape, *part.shape[-axes:]))[index]
            for part, axes in (
                (self.problem.X, 2), (self.problem.y, 1),
                (self.initial_w_plus, 1), (self.initial_w_minus, 1),
            )
        )  # fmt: skip
        start = ((w_plus + w_minus) / 2, (w_plus - w_minus) / 2)
        try:
            settling = Settling.of(Regression(X, y), start, self.method)
            if diverged:
                return settling.calmer(gamma, beta)
            left = float(self.settings["tol"]) / max(float(self.residual[index]), 1e-300)
            crossings = int(np.sum(self.sign_changes[index]))
            return settling.sooner(gamma, beta, steps, crossings, left)
        except InputError:  # no limit to be stable at, or no stability limit in closed form
            return "reduce {gamma}" if diverged else "raise {max_steps} or {gamma}; or loosen {tol}"

    @property
    def doubt(self) -> str:
        """What rounding on the way means for where the runs end; empty where it means nothing."""
        worst = 0.0 if self.rounding is None else float(np.max(np.nan_to_num(self.rounding)))
        if not worst > _RELIABLE:
            return ""
        if worst > 1:
            return (
                "but rounding decided the path, because nearby runs part: exact arithmetic may "
                "end elsewhere"
            )
        return (
            "but rounding was amplified, because nearby runs part: exact arithmetic ends within "
            f"{worst:.1g} of it, relatively"
        )

    def ending(self, status: RunStatus) -> str:
        """Return what a run that ended so says: the status, and what would lead to a limit."""
        said = status.value
        if status is RunStatus.CONVERGED and self.doubt:
            said += f", {self.doubt}"
        advice = re.sub("[{}]", "", self.advice(status))
        return f"{said}: {advice}" if advice else said

    @cached_property
    def message(self) -> str:
        """How the run ended, in one sentence; for a batch, how the runs that fared worst did.

        A run without a limit says what would lead to one; of a batch, the first such run
        (see `advice`).
        """
        statuses = np.atleast_1d(np.asarray(self.status, dtype=object)).ravel()
        counts = {s: int(np.count_nonzero(statuses == s)) for s in RunStatus}
        worst = float(np.max(self.residual)) if self.residual.size else 0.0
        steps = int(np.max(self.steps)) if self.steps.size else 0
        several = statuses.size > 1
        parts = [
            (f"{number} of {statuses.size} runs " if several else "") + self.ending(ended)
            for ended, number in counts.items()
            if number
        ]
        how_far = f"largest relative residual {worst:.3g}"
        if counts[RunStatus.NOT_CONVERGED]:
            with np.errstate(all="ignore"):  # other runs of the batch may have diverged
                row = float(np.max(self.problem.row_residual(self.theta)))
            condition = self.problem.condition_number
            how_far += (
                f", of a row in its own units {row:.3g}, condition number of X {condition:.3g}"
            )
        return f"{'; '.join(parts)} ({how_far} after {steps} steps)"

    def to_xarray(self) -> xr.Dataset:
        """Return the end states as a labelled Dataset, one axis `run_i` for each batch axis.

        Variables have `long_name` and `units`. Step and momentum (lambda of a flow) are
        coordinates over the runs; all settings are attributes.
        """
        batch = batch_axes(self.loss.ndim)
        two = self.network.has_two_layers
        names = _VECTORS if two else ("theta", "gradient_integral")
        vectors = {name: getattr(self, name) for name in names}
        data: dict[str, Any] = on_features(vectors, len(batch))
        for name in () if two else ("weights", "initial_weights", "remainders"):
            data[name] = ([*batch, "weight", "feature"], getattr(self, name))
        data |= {name: (batch, getattr(self, name)) for name in _NUMBERS}
        data["sign_changes"] = ([*batch, "weight"], self.sign_changes)
        data["status"] = (batch, names_of(self.status))
        labels = feature_labels(self.problem.feature_names, self.problem.d)
        coords: dict[str, Any] = {"feature": labels, "weight": list(self.network.names)}
        for name in ("gamma", "beta") if self.method is not None else ("lam",):
            if isinstance(self.settings[name], str):  # a schedule: it stands in the attributes
                continue
            values = np.broadcast_to(self.settings[name], self.loss.shape)
            coords[name] = (batch, values, attributes(name))
        return dataset(data, coords, self.settings)

    def to_frame(self) -> pd.DataFrame:
        """Return the end states as a table: a row for each feature of each run.

        What has no feature, such as the loss, is in `to_xarray()`.
        """
        found = self.to_xarray()
        return found[[name for name in found if "feature" in found[name].dims]].to_dataframe()

    def _shown(self) -> dict[str, str]:
        shown = {"method": str(self.settings.get("method", "run")), "status": self.message}
        if self.loss.shape:
            shown["batch"] = str(self.loss.shape)
        names = (*_NUMBERS, "theta", "weights")
        return shown | {name: brief(getattr(self, name)) for name in names}

    def __repr__(self) -> str:
        batch = f"batch={self.loss.shape}, " if self.loss.shape else ""
        return f"Trajectory({batch}{self.settings.get('method', 'run')}: {self.message})"


def _masked(
    solution: ImplicitSolution, usable: NDArray[np.bool_], status: NDArray[Any]
) -> ImplicitSolution:
    """Return the solution with NaN, and the run's status, where a run is not usable."""
    fields: dict[str, Any] = {}
    for name in ("gap", "feasibility", "stationarity", "error", "objective"):
        fields[name] = np.where(usable, getattr(solution, name), np.nan)[()]
    for name in ("theta", "dual", "dual_tail"):
        fields[name] = np.where(usable[..., None], getattr(solution, name), np.nan)
    fields["iterations"] = np.where(usable, solution.iterations, 0)[()]
    fields["status"] = np.where(usable, np.asarray(solution.status, dtype=object), status)[()]
    return replace(solution, **fields)
