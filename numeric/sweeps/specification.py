"""What a sweep is asked to compute: its axes, its settings, its tasks."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from momentumflow.base.arrays import floats
from momentumflow.base.errors import InputError
from momentumflow.numeric.runs.kernel_modules import MethodLike, name_of, update_rule
from momentumflow.numeric.runs.trajectory import RunStatus

# Problem axes first: runs that share a problem are neighbours, and share lanes.
PROBLEM_AXES = ("n", "d", "sparsity", "noise", "design", "seed")

# The label of runs that lambda alone determines.
FLOW = "momentum_flow"

STATUS_CODE = {status: code for code, status in enumerate(RunStatus)}
_MOST_RUNS = 10**8  # of one sweep: the table of its measures would fill the memory
MISSING = -1  # the status of a run that was never made
MEASURES: dict[str, str] = {
    "status": "code of RunStatus: " + ", ".join(f"{c} {s.name}" for s, c in STATUS_CODE.items()),
    "steps": "steps taken",
    "residual": "|X theta - y| / |y| at the end",
    "loss": "training loss |X theta - y|^2 / (2 n)",
    "recovery_error": "|theta - teacher| / |teacher|",
    "test_loss": "population loss |theta - teacher|^2 / 2 for standard normal features",
    "l1_norm": "sum of |theta_j|",
    "log_balancedness": "mean over coordinates of ln Delta_inf",
    "log_shrinkage": "mean over coordinates of ln(Delta_inf / Delta_0)",
    "sign_changes": "sign changes of w_+ and w_-",
    "stable_step": "largest gamma that is stable at the predicted limit; NaN unless diverged",
    "prediction_error": "|theta - predicted limit| / |theta|; NaN unless asked for and converged",
    "predicted_recovery_error": "recovery_error at the predicted limit; NaN likewise",
}


@dataclass(frozen=True)
class SweepSpec:
    """What a sweep computes: its grid and the settings that its runs share."""

    axes: dict[str, list[Any]]
    methods: tuple[MethodLike, ...]
    predict: bool
    max_steps: int
    tol: float
    root_seed: int
    chunk: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis, in the order of `axes`."""
        return tuple(len(values) for values in self.axes.values())

    @property
    def runs(self) -> int:
        """Number of runs."""
        return int(np.prod(self.shape))

    @property
    def tasks(self) -> int:
        """Number of tasks of at most `chunk` runs."""
        return -(-self.runs // self.chunk)

    def task_runs(self, task: int) -> range:
        """Return the numbers of a task's runs."""
        return range(task * self.chunk, min((task + 1) * self.chunk, self.runs))

    def method(self, label: str) -> MethodLike:
        """Return the method that `axes` calls `label`."""
        return self.methods[self.axes["method"].index(label)]

    def stated(self) -> dict[str, Any]:
        """Return all that decides the results, as plain data."""
        return {
            "axes": self.axes,
            "methods": [_statement(method) for method in self.methods],
            "measures": list(MEASURES),
            "predict": self.predict,
            "max_steps": self.max_steps,
            "tol": self.tol,
            "root_seed": self.root_seed,
            "chunk": self.chunk,
        }

    def digest(self) -> bytes:
        """Return the SHA-256 digest of what is stated."""
        return hashlib.sha256(json.dumps(self.stated(), sort_keys=True).encode()).digest()

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """Return the names of the entries in which `other`, a stored statement, differs."""
        return [name for name, value in self.stated().items() if other.get(name) != value]


def _statement(method: MethodLike) -> str:
    if isinstance(method, str):
        return method
    return f"{method.name}: {method.equation.lhs} = {method.equation.rhs}"


def specify(
    *,
    gamma: ArrayLike | None,
    beta: ArrayLike | None,
    lam: ArrayLike | None,
    batch_size: int | Sequence[int] | None,
    design: str | Sequence[str] | None,
    seeds: int | Sequence[int],
    method: MethodLike | Sequence[MethodLike] | None,
    **given: Any,
) -> SweepSpec:
    """Check what `sweep` is given and return it as a specification.

    Raises
    ------
    InputError
        As `sweep` says.
    """
    parameters = {"gamma": gamma, "beta": beta, "lam": lam}
    stated = {name: value for name, value in parameters.items() if value is not None}
    flows = set(stated) == {"lam"}
    if len(stated) != 2 and not flows:
        named = ", ".join(stated) or "none of them"
        raise InputError(
            "two of gamma, beta and lam", named, "the third follows from them; lam alone: flows"
        )
    if flows and (method is not None or batch_size is not None):
        extra = "a method" if method is not None else "batch_size"
        raise InputError("lam alone, for flows", extra, "give gamma or beta with lam")
    axes: dict[str, list[Any]] = {
        name: _counts(name, given[name]) for name in ("n", "d", "sparsity")
    }
    axes["noise"] = _reals("noise", given["noise"])
    if design is not None:
        designs = [design] if isinstance(design, str) else list(design)
        axes["design"] = _axis("design", np.array(designs, dtype=object)).tolist()
    if isinstance(seeds, int) and seeds > _MOST_RUNS:
        raise InputError(f"at most {_MOST_RUNS:.0e} problems", f"seeds = {seeds}")
    axes["seed"] = list(range(seeds)) if isinstance(seeds, int) else _counts("seeds", seeds)
    if batch_size is not None:
        axes["batch_size"] = _counts("batch_size", batch_size)
    axes["method"] = []  # neighbours after the problem: runs of one method share lanes
    for name, value in stated.items():
        axes[name] = _reals(name, value)
    axes["alpha"] = _reals("alpha", given["alpha"])
    if max(axes["n"]) >= min(axes["d"]):
        raise InputError("every n below every d", f"n = {max(axes['n'])}, d = {min(axes['d'])}")
    if max(axes["sparsity"]) > min(axes["d"]):
        raise InputError(f"sparsity <= d = {min(axes['d'])}", f"{max(axes['sparsity'])}")
    if batch_size is not None and max(axes["batch_size"]) > min(axes["n"]):
        raise InputError(f"batch_size <= n = {min(axes['n'])}", f"{max(axes['batch_size'])}")
    if not flows and "lam" in stated and min(axes["lam"]) <= 0:
        raise InputError("lam > 0 for an update rule", f"lam = {min(axes['lam']):g}")
    if not flows and "beta" not in stated and max(axes["gamma"]) > min(axes["lam"]):
        raise InputError(
            "gamma <= lam, so that beta = 1 - sqrt(gamma/lam) >= 0",
            f"gamma = {max(axes['gamma']):g} with lam = {min(axes['lam']):g}",
        )
    # beta is 0 in every run if it is given as 0, or follows as 0 from gamma = lam
    values = {value for name in stated for value in axes[name]}
    momentum = set(axes["beta"]) != {0.0} if "beta" in stated else len(values) > 1
    rule = method if method is not None else FLOW if flows else "heavy_ball"
    listed: list[Any] = list(rule) if isinstance(rule, (list, tuple)) else [rule]
    if not listed:
        raise InputError("a method, or a non-empty sequence of methods", "an empty one")
    methods = tuple(one if flows else update_rule(one, momentum) for one in listed)
    names = [name_of(one) for one in methods]
    labels = names if len(set(names)) == len(names) else [_statement(one) for one in methods]
    axes["method"] = _axis("method", np.array(labels, dtype=object)).tolist()
    runs = math.prod(map(len, axes.values()))
    if runs > _MOST_RUNS:
        raise InputError(f"at most {_MOST_RUNS:.0e} runs", f"{runs}", "cut the grid into several")
    return SweepSpec(
        axes=axes,
        methods=methods,
        **{name: given[name] for name in ("predict", "max_steps", "tol", "root_seed", "chunk")},
    )


def step_and_momentum(setting: Mapping[str, Any]) -> tuple[float, float]:
    """Return (gamma, beta) from two of gamma, beta and lam."""
    if "gamma" not in setting:
        return setting["lam"] * (1 - setting["beta"]) ** 2, setting["beta"]
    if "beta" not in setting:
        return setting["gamma"], 1 - float(np.sqrt(setting["gamma"] / setting["lam"]))
    return setting["gamma"], setting["beta"]


def _reals(name: str, value: ArrayLike) -> list[float]:
    return _axis(name, np.atleast_1d(floats(value))).tolist()


def _counts(name: str, value: int | Sequence[int]) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    _axis(name, np.asarray(values, dtype=object))
    return values


def _axis(name: str, values: NDArray[Any]) -> NDArray[Any]:
    if values.ndim != 1 or values.size == 0:
        raise InputError(f"{name} as a number or a non-empty sequence", f"shape {values.shape}")
    if len(set(values.tolist())) < values.size:
        raise InputError(f"distinct values of {name}", "a repeated one")
    return values
