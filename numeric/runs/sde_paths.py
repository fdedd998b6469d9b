r"""Ensembles of paths of a stochastic equation: of a derived diffusion, or of a user's gradient.

`z' = drift dt + factor dW` for the state z, which is w, or w and v joined; all paths at once,
as arrays. One step of length h with dW of variance h takes the drift where it would lead
without noise, and the factor half way there:

    a = drift(z),   n = factor(z + h a/2) dW,   z <- z + h (a + drift(z + h a + n))/2 + n.

Means are right to the second power of h where noise of a covariance that depends on w alone
moves v, which moves w: momentum with noisy gradients, in the inertial regime; and where the
factor is constant. Elsewhere, in the slow regime with a covariance that depends on w, to the
first (Milstein, Tretyakov, "Stochastic Numerics for Mathematical Physics", 2004). Plain arrays
serve here: the drift of an ensemble is one call, and a scheme of higher order gains nothing on
an equation that is itself right to the first or second power of its time step only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, runtime_checkable

import numpy as np

from momentumflow.base.arguments import Count, PositiveFloat, checked
from momentumflow.base.arrays import FloatArray, Seed, Vector, floats
from momentumflow.base.errors import InputError
from momentumflow.base.values import Value
from momentumflow.numeric.data.problems import Regression


@runtime_checkable
class Noisy(Protocol):
    """What an ensemble follows: `symbolic`'s `Diffusion`, or a `NoisyGradient`."""

    @property
    def memories(self) -> int:
        """How many arrays the state has besides w: 1 with a velocity, 0 in the slow regime."""

    @property
    def variables(self) -> int:
        """How many weights there are."""

    @property
    def sources(self) -> int:
        """How many Brownian motions there are."""

    def drift(self, w: Any, v: Any = None) -> FloatArray:
        """Return the drift of the state, shape (..., s)."""

    def kick(self, w: Any, v: Any, xi: Any) -> FloatArray:
        """Return what Brownian motions that have moved by xi (..., sources) do to the state."""


@checked
@dataclass(frozen=True, eq=False, repr=False)
class NoisyGradient(Value):
    """Momentum with noisy gradients at leading order: `dw = v dt`, and of v

        dv = -(v + grad F(w)) dt/lam + sqrt(eps) spread(w, dW)/lam.

    Parameters
    ----------
    gradient : callable
        Of the weights, (..., d), to grad F of the same shape.
    spread : callable
        Of weights (..., d) and numbers xi (..., sources) to a factor of the covariance of one
        gradient times xi, shape (..., d): for standard normal xi a draw of the noise.
    variables, sources : int
        d, and how many numbers xi the noise takes.
    eps, lam : float
        Time of a step, > 0, and inertia, > 0: for heavy ball gamma/(1-beta), gamma/(1-beta)^2.
    """

    gradient: Callable[..., Any]
    spread: Callable[..., Any]
    variables: Count
    sources: Count
    eps: PositiveFloat
    lam: PositiveFloat

    @property
    def memories(self) -> int:
        """The velocity."""
        return 1

    def drift(self, w: Vector, v: Vector) -> FloatArray:
        """Return the drift of w and v joined.

        Parameters
        ----------
        w, v : array_like, shape (..., d)

        Returns
        -------
        ndarray, shape (..., 2 d)

        Raises
        ------
        InputError
            If a shape is another, or `gradient` returns one.
        """
        at, velocity = self._of_weights("w", w), self._of_weights("v", v)
        if at.shape != velocity.shape:
            raise InputError("v of the shape of w", f"shapes {velocity.shape} and {at.shape}")
        pull = velocity + self._called("gradient", self.gradient, at)
        return np.concatenate([velocity, -pull / self.lam], axis=-1)

    def kick(self, w: Vector, v: Vector, xi: Vector) -> FloatArray:
        """Return what Brownian motions that have moved by xi do to w and v joined.

        Parameters
        ----------
        w, v : array_like, shape (..., d)
        xi : array_like, shape (..., sources)

        Returns
        -------
        ndarray, shape (..., 2 d)

        Raises
        ------
        InputError
            If a shape is another, or `spread` returns one.
        """
        at, moved = self._of_weights("w", w), floats(xi)
        wanted = (*at.shape[:-1], self.sources)
        if moved.shape != wanted:
            raise InputError(f"xi of shape {wanted}", f"shape {moved.shape}")
        push = self._called("spread", self.spread, at, moved)
        pushed = np.sqrt(self.eps) / self.lam * push
        return np.concatenate([np.zeros_like(pushed), pushed], axis=-1)

    def _of_weights(self, name: str, value: Any) -> FloatArray:
        array = floats(value)
        if array.shape[-1] != self.variables:
            raise InputError(
                f"{name} with {self.variables} variables on the last axis", f"shape {array.shape}"
            )
        return array

    def _called(self, name: str, function: Callable[..., Any], w: FloatArray, *more: Any) -> Any:
        found = np.asarray(function(w, *more), dtype=np.float64)
        if found.shape != w.shape:
            raise InputError(f"{name}(w, ...) of the shape of w, {w.shape}", f"shape {found.shape}")
        return found


@checked
def minibatch_noise(
    problem: Regression, batch_size: Count, *, eps: PositiveFloat, lam: PositiveFloat
) -> NoisyGradient:
    """Return the stochastic equation of the diagonal network on minibatches.

    Parameters
    ----------
    problem : Regression
        One problem; the weights are w_+ and w_- joined, theta = (w_+^2 - w_-^2)/4.
    batch_size : int
        Rows drawn without replacement at each step.
    eps, lam : float
        As those of `NoisyGradient`.

    Returns
    -------
    NoisyGradient

    Raises
    ------
    InputError
        A batch of problems, or a batch of more rows than there are.
    """
    if problem.X.ndim != 2:
        raise InputError("one problem", f"a batch of shape {problem.X.shape[:-2]}")
    n = problem.n
    if batch_size > n:
        raise InputError(f"batch_size at most the number of rows, {n}", f"{batch_size}")
    # the mean of B of n rows: Sigma (n - B)/(B (n - 1)), Sigma the covariance of one row
    size = ((n - batch_size) / (batch_size * max(n - 1, 1) * n)) ** 0.5
    rows = _Rows(problem, size)
    return NoisyGradient(rows, rows, 2 * problem.d, n, eps, lam)


@dataclass(frozen=True, eq=False, repr=False)
class _Rows(Value):
    """The gradient in w_+ and w_- joined, or what numbers xi, one a row, make of it."""

    problem: Regression
    size: float

    def __call__(self, w: FloatArray, xi: FloatArray | None = None) -> FloatArray:
        X, y, d = self.problem.X, self.problem.y, self.problem.d
        rows = (w[..., :d] ** 2 - w[..., d:] ** 2) / 4 @ X.T - y
        if xi is None:
            g = rows @ X / self.problem.n
        else:  # sum_i xi_i (g_i - mean g), so that the covariance is that of the rows
            g = self.size * (rows * (xi - xi.mean(axis=-1, keepdims=True))) @ X
        return np.concatenate([g * w[..., :d], -g * w[..., d:]], axis=-1)


class EnsembleStatus(Enum):
    """How an ensemble ended; the value says what can be done."""

    DONE = "all paths reached the end"
    DIVERGED = "paths are no longer finite: take more steps"


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Ensemble(Value):
    """Paths of a stochastic equation.

    Attributes
    ----------
    time : ndarray, shape (records,)
        From 0 on.
    w : ndarray, shape (records, paths, d)
    v : ndarray, shape (records, paths, d), or None
        In the inertial regime; of an optimiser its memories, joined on the last axis.
    status : EnsembleStatus
        What is left of diverged paths is not finite.
    """

    time: FloatArray
    w: FloatArray
    v: FloatArray | None
    status: EnsembleStatus

    @property
    def mean(self) -> FloatArray:
        """The mean of w over the paths; shape (records, d)."""
        found: FloatArray = self.w.mean(axis=1)
        return found

    @property
    def covariance(self) -> FloatArray:
        """The covariance of w over the paths; shape (records, d, d)."""
        away = self.w - self.mean[:, None]
        found: FloatArray = np.swapaxes(away, 1, 2) @ away / (self.w.shape[1] - 1)
        return found

    def __repr__(self) -> str:
        records, paths, d = self.w.shape
        return f"<Ensemble of {paths} paths of {d} weights, {records} records: {self.status.name}>"


@checked
def momentum_sde(
    flow: Any,
    w: Vector,
    *,
    time: PositiveFloat,
    steps: Count,
    paths: Count = 1000,
    v: Vector | None = None,
    records: Count = 50,
    seed: Seed = 0,
) -> Ensemble:
    """Follow many paths of a stochastic equation at once.

    Parameters
    ----------
    flow : Diffusion or NoisyGradient
        `stochastic_equation(...).on_arrays(...)`, a gradient and its noise, or
        `minibatch_noise(problem, ...)`.
    w : array_like, shape (d,) or (paths, d)
        Where the paths start.
    time : float
        The end, > 0; in the slow regime a number of steps of the method.
    steps : int
        Steps of the scheme; time/eps of them are as fine as the iterates.
    paths : int
    v : array_like, optional
        The velocity at the start, as w, or an optimiser's memories, joined; zero if not given.
    records : int
        About how many times to record besides the start, evenly.
    seed : int or numpy.random.Generator

    Returns
    -------
    Ensemble

    Raises
    ------
    InputError
        A flow that is none; a start of another shape; a velocity in the slow regime.

    References
    ----------
    Milstein, Tretyakov, "Stochastic Numerics for Mathematical Physics", Springer, 2004.

    Examples
    --------
    >>> from momentumflow.numeric import momentum_sde
    >>> from momentumflow.symbolic import HeavyBall, stochastic_equation
    >>> equation = stochastic_equation(HeavyBall(), 2, constant=True)
    >>> flow = equation.on_arrays("x^2/2", "1/4", eps=0.1, lam=0.5)
    >>> momentum_sde(flow, [1.0], time=5, steps=100)
    <Ensemble of 1000 paths of 1 weights, 51 records: DONE>
    """
    if not isinstance(flow, Noisy):
        raise InputError(
            "a Diffusion or a NoisyGradient",
            f"a {type(flow).__name__}",
            "call on_arrays(loss, covariance, ...) of the equation",
        )
    d, size = flow.variables, flow.memories * flow.variables
    if v is not None and not size:
        raise InputError("no velocity in the slow regime", "v")
    parts = [_start("w", w, paths, d)]
    if size:
        parts.append(_start("v", np.zeros(size) if v is None else v, paths, size))
    state = np.concatenate(parts, axis=-1)
    every = max(1, -(-steps // records))
    h, rng = time / steps, np.random.default_rng(seed)
    kept, times = [state], [0.0]
    with np.errstate(all="ignore"):
        for k in range(1, steps + 1):
            xi = np.sqrt(h) * rng.standard_normal((paths, flow.sources))
            state = scheme_step(flow, state, h, xi)
            finite = bool(np.isfinite(state).all())
            if k % every == 0 or k == steps or not finite:
                kept.append(state)
                times.append(k * h)
            if not finite:
                break
    whole = np.array(kept)
    status = EnsembleStatus.DONE if finite else EnsembleStatus.DIVERGED
    return Ensemble(np.array(times), whole[..., :d], whole[..., d:] if size else None, status)


def scheme_step(flow: Noisy, state: FloatArray, h: float, xi: FloatArray) -> FloatArray:
    """Return the states (paths, s) a time h later, xi what the Brownian motions move by."""
    d = flow.variables

    def split(z: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        return z[..., :d], z[..., d:] if flow.memories else None

    first = flow.drift(*split(state))
    half = state + h / 2 * first
    if not np.isfinite(half).all():
        return half
    pushed = flow.kick(*split(half), xi)
    ahead = state + h * first + pushed
    if not np.isfinite(ahead).all():
        return ahead
    return state + h / 2 * (first + flow.drift(*split(ahead))) + pushed


def _start(name: str, value: Any, paths: int, d: int) -> FloatArray:
    given = floats(value)
    if given.shape not in ((d,), (paths, d)):
        raise InputError(f"{name} of shape ({d},) or ({paths}, {d})", f"shape {given.shape}")
    return np.broadcast_to(given, (paths, d))
