"""Wrong code, planted on purpose: real kernels with one line changed.

The NumPy kernel that the symbolic room generated is taken as text, one
expression in it is replaced, and the discrete method runs on the result. A
claim that lists such a `Mutation` among its controls has to refute it; a test
holds that the same detour without a change is accepted.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from momentumflow.numeric import Regression
from momentumflow.numeric.runs import descent, engines, kernel_modules
from momentumflow.numeric.runs.kernel_modules import kernels_for
from momentumflow.numeric.runs.trajectory import Trajectory
from momentumflow.verify.claim import Mutation
from momentumflow.verify.subject import Subject

Swap = tuple[str, str]


def changed_kernel(*swaps: Swap) -> SimpleNamespace:
    """Return the heavy-ball NumPy kernel with pieces of its source replaced.

    Raises
    ------
    LookupError
        If a piece does not occur exactly once: the mutant would plant nothing,
        or more than it says.
    """
    source = inspect.getsource(kernels_for("heavy_ball", "numpy"))
    for old, new in swaps:
        if source.count(old) != 1:
            raise LookupError(f"{old!r} occurs {source.count(old)} times in the kernel")
        source = source.replace(old, new)
    namespace: dict[str, Any] = {"np": np}
    exec(compile(source, "<mutant>", "exec"), namespace)
    return SimpleNamespace(**namespace)


@contextmanager
def _in_place_of(kernel: SimpleNamespace) -> Iterator[None]:

    real = kernel_modules.kernels_for

    def chosen(method: str, backend: str, network: Any = None) -> Any:
        planted = (method, backend) == ("heavy_ball", "numpy")
        return kernel if planted else real(method, backend, network)

    modules: tuple[Any, ...] = (engines, descent)
    try:
        for module in modules:
            module.kernels_for = chosen
        yield
    finally:
        for module in modules:
            module.kernels_for = real


def with_kernel(*swaps: Swap) -> Callable[[Subject], Subject]:
    """Return what replaces the discrete method by one that runs on a changed kernel."""

    def plant(subject: Subject) -> Subject:
        kernel = changed_kernel(*swaps)

        def descent(*arguments: Any, **options: Any) -> Any:
            with _in_place_of(kernel):
                return subject.descent(*arguments, **options, engine="numpy")

        return replace(subject, descent=descent)

    return plant


def with_results(name: str, **changed: Callable[[Any], Any]) -> Callable[[Subject], Subject]:
    """Return what changes fields of the results of one part of the subject.

    `changed` maps a field to its new value, by a function of the right result.
    """

    def plant(subject: Subject) -> Subject:
        part = getattr(subject, name)

        def wrong(*arguments: Any, **options: Any) -> Any:
            found = part(*arguments, **options)
            return replace(found, **{field: make(found) for field, make in changed.items()})

        other: dict[str, Any] = {name: wrong}
        return replace(subject, **other)

    return plant


def with_flow(
    lam: Callable[[Any, Subject, Regression], Any] = lambda lam, *_: lam, **forced: Any
) -> Callable[[Subject], Subject]:
    """Return what runs flows at another lambda, `lam(lambda, subject, problem)`.

    `forced` are options that every flow gets, whatever the caller asked for.
    """

    def plant(subject: Subject) -> Subject:
        def flow(problem: Regression, asked: Any, *rest: Any, **options: Any) -> Trajectory:
            return subject.flow(
                problem, lam(asked, subject, problem), *rest, **{**options, **forced}
            )

        return replace(subject, flow=flow)

    return plant


_SUMMAND = "-p_plus_next*pending*w_plus + p_plus_next*q0*w_plus_next"

SWAPPED_FORCE = Mutation(
    "swapped-force",
    "the force on w_- with the sign of that on w_+ (kernel changed)",
    with_kernel(("beta*p_minus + w_minus*x0", "beta*p_minus - w_minus*x0")),
    "code",
)
FORGOTTEN_MOMENTUM = Mutation(
    "forgotten-momentum",
    "w_- moves without its momentum (kernel changed)",
    with_kernel(("p_minus_next = beta*p_minus", "p_minus_next = 0*p_minus")),
    "code",
)
BIASED_GRADIENT = Mutation(
    "biased-gradient",
    "a gradient biased by a thousandth, differently in each coordinate (kernel changed)",
    with_kernel(
        ("x0 = g*gamma", "x0 = g*gamma*(1 + 1e-3*np.sin(np.arange(1.0, g.shape[-1] + 1)))")
    ),
    "code",
)
DROPPED_REMAINDER = Mutation(
    "dropped-remainder",
    "the remainder S_+ without its momentum term (kernel changed)",
    with_kernel((_SUMMAND, "p_plus_next*w_plus_next")),
    "code",
)
INVERTED_RATIO = Mutation(
    "inverted-ratio",
    "the remainder S_+ summed over w_k/w_{k+1} (kernel changed)",
    with_kernel((_SUMMAND, "-p_plus_next*pending*w_plus + p_plus_next*q0*w_plus")),
    "code",
)
