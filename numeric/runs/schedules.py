"""Step, momentum and decay of every step: numbers, arrays over runs, or schedules.

A schedule is a callable of the step k = 0, 1, ..., as optax has them, whose values are
numbers or arrays over runs; `Schedule` makes one of an array over steps. Inside, each
becomes a table (runs or one, steps or one), whose last entry is held beyond its end: a
constant is a table of one.

What is pending follows from the momentum: `C_k = b_k (1 + C_{k+1})`, from the end of the
schedule back (`symbolic/codegen/remainder_laws.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from momentumflow.base.arguments import Door, Natural, Unfit, checked, door_of
from momentumflow.base.arrays import FloatArray, Momentum, Positive, RealArray, floats
from momentumflow.base.errors import InputError
from momentumflow.base.values import Value, brief

# A schedule that was evaluated at all steps together is held against single calls here.
_PROBES = 8


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Schedule(Value):
    """A schedule given by its values, such as the learning rates of a scheduler.

    Parameters
    ----------
    values : array_like, shape (..., steps)
        Value of each step; leading axes broadcast over runs.

    Examples
    --------
    >>> from momentumflow.numeric import Schedule
    >>> warm_up = Schedule([0.1, 0.2, 0.3])
    >>> float(warm_up(1))
    0.2
    """

    values: RealArray

    def __post_init__(self) -> None:
        if not self.values.ndim:
            raise InputError("values with an axis of steps", "a single number")

    @property
    def steps(self) -> int:
        """Number of steps it has values for."""
        return int(self.values.shape[-1])

    def __call__(self, step: Natural) -> FloatArray:
        """Return the value at a step, shape (...).

        Raises
        ------
        InputError
            Beyond the last step.
        """
        if step >= self.steps:
            raise InputError(
                f"a step below {self.steps}, the number of values of the schedule", str(step)
            )
        return np.asarray(self.values[..., step])

    def _shown(self) -> dict[str, str]:
        return {"steps": str(self.steps), "values": brief(self.values)}

    def __repr__(self) -> str:
        first, last = (f"{float(np.ravel(self.values[..., k])[0]):g}" for k in (0, -1))
        return f"Schedule({self.steps} steps, {first} ... {last})"


def _or_schedule(kind: Any) -> Door:
    door = door_of(kind)

    def take(name: str, value: Any) -> Any:
        if callable(value) and not isinstance(value, type):
            return value
        try:
            return door.take(name, value)
        except Unfit as unfit:
            raise Unfit(unfit.remedy) from None

    return Door(f"{door.says}, or a schedule, a function of the step", take)


StepSize: TypeAlias = Annotated[ArrayLike | Callable[[int], ArrayLike], _or_schedule(Positive)]
MomentumOf: TypeAlias = Annotated[ArrayLike | Callable[[int], ArrayLike], _or_schedule(Momentum)]


def values_of(name: str, given: Any, kind: Any, steps: int) -> FloatArray:
    """Return what a user gave as an array (..., steps), or (..., 1) of a constant.

    Parameters
    ----------
    name : str
        What messages call it.
    given : array_like or callable
    kind : type
        The array type, such as `Positive`, whose door every value passes.
    steps : int
        How many a run may take.

    Raises
    ------
    InputError
        If a value is refused by that door, or a schedule is too short or no schedule.
    """
    if not callable(given):
        return floats(given)[..., None]
    if isinstance(given, Schedule):
        if given.steps < steps:
            raise InputError(
                f"a schedule of {name} with a value for each of max_steps = {steps} steps",
                f"{given.steps} values",
                "lower max_steps, or hold the last value",
            )
        values = given.values[..., :steps]
    else:
        values = _evaluated(name, given, steps)
    try:
        return floats(door_of(kind).take(name, values))
    except InputError:
        broken = _first_refused(name, values, kind)
        raise InputError(
            f"a schedule of {name} that stays {_range(kind)} for max_steps = {steps} steps",
            f"{name} = {broken[1]:g} at step {broken[0]}",
            "lower max_steps, or bound the schedule",
        ) from None


def _range(kind: Any) -> str:
    return door_of(kind).says.removeprefix("real numbers ")


def _first_refused(name: str, values: FloatArray, kind: Any) -> tuple[int, float]:
    """Return the first step with a value that the door refuses, and that value."""
    door = door_of(kind)
    for k in range(values.shape[-1]):
        for value in np.ravel(values[..., k]):
            try:
                door.take(name, value)
            except InputError:
                return k, float(value)
    return 0, float("nan")


def _evaluated(name: str, schedule: Callable[[Any], Any], steps: int) -> FloatArray:
    """Return the values of a callable at steps 0, 1, ..., shape (..., steps)."""
    first = _one(name, schedule, 0)
    if first.ndim == 0:
        together = _together(schedule, steps)
        if together is not None:
            return together
    rows = [first, *(_one(name, schedule, k) for k in range(1, steps))]
    if any(row.shape != first.shape for row in rows):
        raise InputError(f"a schedule of {name} with values of one shape", "several shapes")
    return np.stack(rows, axis=-1)


def _one(name: str, schedule: Callable[[Any], Any], k: int) -> FloatArray:
    try:
        value = np.asarray(schedule(k), dtype=np.float64)
    except InputError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise InputError(
            f"a schedule of {name} that is a function of the step", f"{error!r} at step {k}"
        ) from error
    return value


def _together(schedule: Callable[[Any], Any], steps: int) -> FloatArray | None:
    """Return the values at all steps from one call; None where the function takes no array."""
    try:
        values = np.asarray(schedule(np.arange(steps)), dtype=np.float64)
        if values.shape != (steps,):
            return None
        probes = np.unique(np.linspace(0, steps - 1, _PROBES).astype(int)).tolist()
        single = [float(schedule(k)) for k in probes]
    except Exception:  # a function of one whole number: it is asked step by step
        return None
    # what was evaluated in single precision may round differently
    return values if np.allclose(values[probes], single, rtol=1e-6, atol=0.0) else None


@njit(cache=True, nogil=True)
def _backwards(decay, pending):  # type: ignore[no-untyped-def]
    """Fill `pending` (rows, steps) from the end, where the decay (rows, steps) is held."""
    rows, steps = decay.shape
    for i in range(rows):
        pending[i, steps - 1] = decay[i, steps - 1] / (1.0 - decay[i, steps - 1])
        for k in range(steps - 2, -1, -1):
            pending[i, k] = decay[i, k] * (1.0 + pending[i, k + 1])


def pending_of(decay: FloatArray) -> FloatArray:
    """Return C_k, how far a momentum of one before step k still moves a weight.

    Parameters
    ----------
    decay : ndarray, shape (rows, steps)
        b_k, what is left of the momentum after step k; the last one, below 1, is held.
    """
    decay = np.ascontiguousarray(decay)
    pending = np.empty_like(decay)
    _backwards(decay, pending)
    return pending


def table(values: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Return values (..., steps) as a table (runs or one, steps) for a batch of runs."""
    *leading, steps = values.shape
    if int(np.prod(leading, dtype=int)) == 1:
        return np.ascontiguousarray(values.reshape(1, steps))
    return np.ascontiguousarray(np.broadcast_to(values, (*shape, steps)).reshape(-1, steps))


@dataclass(eq=False)
class Rates:
    """The tables of a batch of runs.

    Attributes
    ----------
    gamma, beta, pending : ndarray, shape (runs or one, steps or one)
        Step, momentum and what is pending before each step.
    effect : callable
        The kernels' `effect(gamma, beta, pending)`, the whole effect of a gradient.
    """

    gamma: FloatArray
    beta: FloatArray
    pending: FloatArray
    effect: Callable[..., Any]

    @property
    def constant(self) -> bool:
        """Whether no rate changes with the step."""
        return max(t.shape[1] for t in self.tables) == 1

    @property
    def tables(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """What the compiled loops read."""
        return self.gamma, self.beta, self.pending

    def of_run(self, i: int) -> tuple[FloatArray, ...]:
        """Return the rows of run i, each of shape (steps or one,)."""
        return tuple(t[i if t.shape[0] > 1 else 0] for t in self.tables)

    def of_runs(self, members: NDArray[np.int64]) -> tuple[FloatArray, ...]:
        """Return the tables of some runs."""
        return tuple(t[members] if t.shape[0] > 1 else t for t in self.tables)

    def again(self, members: NDArray[np.int64]) -> Rates:
        """Return the rates of a batch of those runs."""
        gamma, beta, pending = self.of_runs(members)
        return Rates(gamma, beta, pending, self.effect)

    def at(self, members: Any, k: int) -> tuple[FloatArray, ...]:
        """Return gamma, beta and pending of some runs before step k, each (members or one,)."""
        rows = (t[members] if t.shape[0] > 1 else t for t in self.tables)
        return tuple(t[:, min(k, t.shape[1] - 1)] for t in rows)

    def pending_at(self, steps: NDArray[np.int64]) -> FloatArray:
        """Return what is pending of each run before a step of its own, shape (runs,)."""
        rows = np.arange(steps.size) if self.pending.shape[0] > 1 else 0
        found = self.pending[rows, np.minimum(steps, self.pending.shape[1] - 1)]
        return np.asarray(np.broadcast_to(found, steps.shape))

    def effects(self, i: int) -> FloatArray:
        """Return the effect of each step of run i, shape (steps or one,); the last is held."""
        gamma, beta, pending = self.of_run(i)
        steps = max(gamma.size, beta.size)
        k = np.arange(steps)
        after = pending[np.minimum(k + 1, pending.size - 1)]
        found = self.effect(
            gamma[np.minimum(k, gamma.size - 1)], beta[np.minimum(k, beta.size - 1)], after
        )
        return np.broadcast_to(np.asarray(found, dtype=np.float64), (steps,))

    def clock(self, steps: NDArray[np.int64]) -> FloatArray:
        """Return the time of each run after numbers of steps (runs, ...): the sum of effects."""
        if self.constant:
            effect = np.asarray(self.effect(*self.tables))[:, 0]
            return np.asarray(effect.reshape(-1, *(1,) * (steps.ndim - 1)) * steps)
        found = np.empty(steps.shape)
        for i, numbers in enumerate(steps):
            effects = self.effects(i)
            elapsed = np.concatenate(([0.0], np.cumsum(effects)))
            beyond = np.maximum(numbers - effects.size, 0)
            found[i] = elapsed[np.minimum(numbers, effects.size)] + beyond * effects[-1]
        return found

    def pace(self, steps: NDArray[np.int64]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the fields of the `Pace` of each run from its step on, each (runs,).

        The share is that of then, lambda and the time step are the largest of the rest.
        """
        now = self.pending_at(steps)
        share = now / (1 + now)
        if self.constant:
            effect = np.asarray(self.effect(*self.tables))[:, 0]
            longest = np.array(np.broadcast_to(effect, steps.shape))
            return share, longest * (1 + now), longest
        found = np.array([self.pace_of(i, step) for i, step in enumerate(steps.tolist())])
        return share, found[:, 1], found[:, 2]

    def pace_of(self, i: int, step: int) -> tuple[float, float, float]:
        """Return share, lambda and time step of run i from a step on."""
        effects, pending = self.effects(i), self.of_run(i)[2]
        now = float(pending[min(step, pending.size - 1)])
        k = np.arange(min(step, effects.size - 1), effects.size)
        after = pending[np.minimum(k + 1, pending.size - 1)]
        lam = float((effects[k] * (1 + after)).max())
        return now / (1 + now), lam, float(effects[k].max())
