"""The plain loop: any stated optimiser on any gradient, one step after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from momentumflow.base.arguments import Count, Finite, checked, door_of
from momentumflow.base.arrays import FloatArray, Reals, RealsOrNaN, Vector
from momentumflow.base.errors import InputError
from momentumflow.base.values import Value
from momentumflow.symbolic import symbols
from momentumflow.symbolic.codegen.compiled import identifier, kernel
from momentumflow.symbolic.codegen.optimiser_updates import arguments, update_kernels
from momentumflow.symbolic.methods.optimisers import Optimiser

_FORCE = door_of(RealsOrNaN)
_PACE = door_of(Finite)


class LoopStatus(Enum):
    """How a run ended; the value says what can be done."""

    DONE = "all steps were taken"
    DIVERGED = "a weight or memory is no longer finite: take a smaller step gamma"


@checked
@dataclass(frozen=True, eq=False, repr=False)
class OptimiserRun(Value):
    """What the loop did.

    Attributes
    ----------
    path : ndarray, shape (steps + 1, ..., d)
        The weights, the start first; of a diverged run up to the last finite ones.
    memories : mapping of str to ndarray
        After the last step of `path`.
    status : LoopStatus
    """

    path: FloatArray
    memories: Mapping[str, FloatArray]
    status: LoopStatus

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return len(self.path) - 1

    @property
    def w(self) -> FloatArray:
        """The last weights."""
        last: FloatArray = self.path[-1]
        return last

    def __repr__(self) -> str:
        return f"<OptimiserRun of {self.steps} steps: {self.status.name}>"


@checked
def run_optimiser(
    optimiser: Optimiser,
    gradient: Callable[..., Any],
    w: Vector,
    steps: Count,
    *,
    gamma: Reals | Callable[..., Any],
    memories: Mapping[str, Reals] | None = None,
    **parameters: Finite,
) -> OptimiserRun:
    """Run a stated optimiser.

    Parameters
    ----------
    optimiser : Optimiser
    gradient : callable
        Of the weights, an array, to an array of the same shape.
    w : array_like, shape (..., d)
        The start.
    steps : int
    gamma : float, array_like of shape (steps,) or callable
        The step, or a schedule: one for each step, or a function of the steps taken
        before (0, 1, ...), as optax has them.
    memories : mapping, optional
        What memories hold at the start, by name; the optimiser's own start otherwise.
    **parameters
        A number for each parameter of the optimiser, by name.

    Returns
    -------
    OptimiserRun

    Raises
    ------
    InputError
        Missing or unknown parameters and memories, a schedule of another length, a
        gradient of another shape.
    """
    wanted = [identifier(p) for p in optimiser.parameters]
    if set(parameters) != set(wanted):
        raise InputError(
            f"values for {', '.join(wanted) or 'no parameters'}", ", ".join(parameters) or "none"
        )
    values = [float(parameters[name]) for name in wanted]
    at = np.array(w, dtype=np.float64)
    held = _start(optimiser, at, values, memories or {})
    pace = _schedule(gamma, steps)
    first, usual = update_kernels(optimiser)
    timed = symbols.t in arguments(optimiser)
    path, time, status = [at], 0.0, LoopStatus.DONE
    with np.errstate(all="ignore"):
        for i in range(steps):
            force = _FORCE("the gradient", _called("gradient of the weights", gradient, at))
            if force.shape != at.shape:
                raise InputError(f"a gradient of shape {at.shape}", f"shape {force.shape}")
            step = first if i == 0 else usual
            now = pace(i)
            clock = (time,) if timed else ()
            moved, *new = step.function(force, at, *held, i + 1, *clock, now, *values)
            if not all(np.isfinite(x).all() for x in (moved, *new)):
                status = LoopStatus.DIVERGED
                break
            at, held, time = moved, new, time + now
            path.append(at)
    names = map(identifier, optimiser.memories)
    full = (np.broadcast_to(m, at.shape) for m in held)
    return OptimiserRun(np.array(path), dict(zip(names, full, strict=True)), status)


def _start(
    optimiser: Optimiser, w: FloatArray, values: list[float], given: Mapping[str, Any]
) -> list[Any]:
    names = [identifier(m) for m in optimiser.memories]
    if unknown := set(given) - set(names):
        raise InputError(f"memories among {', '.join(names) or 'none'}", ", ".join(sorted(unknown)))
    if not names:
        return []
    own = kernel(list(optimiser.start), optimiser.parameters).function(*values)
    return [
        np.broadcast_to(np.asarray(given.get(name, start), dtype=np.float64), w.shape)
        for name, start in zip(names, own, strict=True)
    ]


def _schedule(gamma: Any, steps: int) -> Callable[[int], float]:
    if callable(gamma):
        return lambda i: _PACE("gamma", _called("gamma of the steps taken", gamma, i))
    array = np.asarray(gamma, dtype=np.float64)
    if array.ndim == 0:
        return lambda i: float(array)
    if array.shape != (steps,):
        raise InputError(f"gamma for each of {steps} steps", f"shape {array.shape}")
    return lambda i: float(array[i])


def _called(what: str, function: Callable[..., Any], argument: Any) -> Any:
    """Return what a function that was handed over makes of an argument."""
    try:
        return function(argument)
    except Exception as error:  # it may raise anything
        raise InputError(f"a {what}", f"a function that raised {type(error).__name__}") from error
