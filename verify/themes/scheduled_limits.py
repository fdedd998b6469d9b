"""Where any run ends: the limit under schedules, on networks other than two layers.

The remainders are summed step by step from their definition, with the weights
`C_k = beta_k (1 + C_{k+1})` of the schedule; the end is the Bregman projection in the
potential of the network. The convention of the velocity is held against PyTorch's rule,
written out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np

from momentumflow.base.arrays import FloatArray
from momentumflow.base.citations import PPF
from momentumflow.numeric import Regression, Trajectory, sparse_regression
from momentumflow.numeric.runs import descent as descent_module
from momentumflow.symbolic import HeavyBall, Identity, RemainderLaw
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence, Measurement
from momentumflow.verify.limit_evidence import LIMIT_TOLERANCE, relative_distance, share_reached
from momentumflow.verify.measure import at_most
from momentumflow.verify.mutants import with_results
from momentumflow.verify.oracles import velocity_of_gradients
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject

ROWS, FEATURES, NON_ZEROS = 6, 12, 3
MOST_STEPS = 300_000
SHARE = 0.7

Rate = Callable[[Any], Any]


def warm_up(k: Any) -> Any:
    """A step that rises over the first 300 steps."""
    return 0.02 * np.minimum(1.0, (k + 1) / 300)


def cosine(k: Any) -> Any:
    """A step that falls by half a period of the cosine to a quarter over 2000 steps."""
    return 0.005 + 0.0075 * (1 + np.cos(np.pi * np.minimum(k / 2000, 1.0)))


def varying(k: Any) -> Any:
    """A momentum that swings between 0.5 and 0.8."""
    return 0.5 + 0.3 * np.cos(k / 37) ** 2


def restarting(k: Any) -> Any:
    """A momentum that is dropped every fifty steps."""
    return 0.8 * (k % 50 != 0)


@dataclass(frozen=True)
class Case:
    """A network under a schedule."""

    network: str
    init: float
    schedule: str
    gamma: Any
    beta: Any
    batch_size: int | None = None

    @property
    def name(self) -> str:
        """What its measurement is called."""
        rows = "" if self.batch_size is None else ", minibatches"
        return f"{self.network}, {self.schedule}{rows}"

    def draw(self, settings: Settings) -> Regression:
        """Draw the problems; those of u**2 have targets that a positive theta reaches."""
        problem = sparse_regression(
            ROWS, FEATURES, NON_ZEROS, seed=settings.rng("schedules", self.name),
            batch=(settings.seeds,),
        )  # fmt: skip
        if self.network != "u**2":
            return problem
        assert problem.teacher is not None
        teacher = np.abs(problem.teacher) + 0.1
        return Regression(problem.X, np.einsum("bnd,bd->bn", problem.X, teacher), teacher=teacher)


NETWORKS = {"u*v": 0.3, "u**2 - v**2": 0.3, "u**2": 0.4, "u**3 - v**3": 0.7}
SCHEDULES: dict[str, tuple[Any, Any]] = {
    "warm-up": (warm_up, 0.8),
    "cosine": (cosine, 0.8),
    "momentum that varies": (0.01, varying),
    "restarts": (0.01, restarting),
}


def cases(settings: Settings) -> tuple[Case, ...]:
    """Return every network under every schedule; each network under one if it is to be quick."""
    found = [
        Case(network, init, schedule, *rates)
        for i, (network, init) in enumerate(NETWORKS.items())
        for j, (schedule, rates) in enumerate(SCHEDULES.items())
        if not settings.quick or (i - j) % 4 == 2
    ]
    return (*found, Case("u*v", 0.3, "cosine", *SCHEDULES["cosine"], batch_size=ROWS // 2))


def _check(subject: Subject, settings: Settings) -> Evidence:
    measured: list[Measurement] = []
    late: list[str] = []
    reached = 0
    for case in cases(settings):
        run = subject.descent(
            case.draw(settings), case.gamma, case.beta, case.init, network=case.network,
            batch_size=case.batch_size, max_steps=MOST_STEPS,
        )  # fmt: skip
        limit = run.predicted_limit()
        there = run.converged & np.asarray(limit.certified)
        late += [f"{case.name}: {run.message}"] * int(np.count_nonzero(~there))
        reached += int(np.count_nonzero(there))
        distance = relative_distance(run.theta[there], limit.theta[there])
        quantity = f"relative distance of simulated and predicted limit, {case.name}"
        measured.append(at_most(quantity, distance, LIMIT_TOLERANCE, settings))
    measured.append(_convention(subject, settings))
    share = "share of runs that converged and have a certified prediction"
    measured.append(share_reached(share, reached, tuple(late), SHARE))
    return Evidence(tuple(measured))


def _convention(subject: Subject, settings: Settings) -> Measurement:
    """Hold the predicted limit of PyTorch's convention against its rule, written out."""
    case = Case("u*v", 0.3, "cosine", *SCHEDULES["cosine"])
    problem = case.draw(settings)
    run = subject.descent(
        problem, cosine, case.beta, case.init, velocity="gradient", max_steps=MOST_STEPS
    )
    limit, ended = run.predicted_limit(), run.converged
    distances: list[FloatArray] = []
    for i in np.flatnonzero(ended & np.asarray(limit.certified)):
        theta = velocity_of_gradients(
            problem.X[i], problem.y[i], case.init, cosine, case.beta, int(run.steps[i])
        )
        distances.append(relative_distance(theta, limit.theta[i]))
    quantity = "relative distance to the end of PyTorch's rule, cosine"
    return at_most(quantity, np.array(distances), LIMIT_TOLERANCE, settings)


def _constant_weights(subject: Subject) -> Subject:
    def constant(decay: FloatArray) -> FloatArray:
        mean = decay.mean(axis=-1, keepdims=True)
        return np.ascontiguousarray(np.broadcast_to(mean / (1 - mean), decay.shape))

    def descent(*arguments: Any, **options: Any) -> Trajectory:
        with mock.patch.object(descent_module, "pending_of", constant):
            return subject.descent(*arguments, **options)

    return replace(subject, descent=descent)


def _other_velocity(subject: Subject) -> Subject:
    def descent(*arguments: Any, **options: Any) -> Trajectory:
        return subject.descent(*arguments, **{**options, "velocity": "weight"})

    return replace(subject, descent=descent)


CONSTANT_WEIGHTS = Mutation(
    "weights-of-a-constant-schedule",
    "what is pending at the mean momentum, in place of C_k",
    _constant_weights,
)
START_ALONE = Mutation(
    "start-in-place-of-the-remainder",
    "the projection from the start itself, as of gradient flow",
    with_results("descent", remainders=lambda run: np.zeros_like(run.remainders)),
)
OTHER_VELOCITY = Mutation(
    "velocity-in-units-of-the-weights",
    "the last move carried over a change of the step, where PyTorch carries gradients",
    _other_velocity,
)


def _proofs() -> tuple[Identity, ...]:
    found: list[Identity] = []
    for network in (*NETWORKS, "sinh(u)"):
        law = RemainderLaw.of_map(HeavyBall(), network)
        for weight, move in zip(law.step.weights, law.moves(), strict=True):
            stated = law.telescoping(weight, move)
            name = f"{stated.name}, on theta = {network}"
            found.append(replace(stated, name=name))
    return tuple(found)


CLAIMS = (
    Claim(
        name="limit-under-schedules",
        theme="Limit",
        title="Where any run ends: any schedule, any separable network",
        statement=(
            "Under warm-up, a cosine, a momentum that varies and restarts, heavy ball on "
            f"{', '.join(NETWORKS)} ends at the Bregman projection, in the potential of the "
            "network, of the point with straightened coordinates phi(w_0) - R; with minibatches "
            "and in PyTorch's convention of the velocity as well. Random problems with "
            f"n = {ROWS}, d = {FEATURES}."
        ),
        formulas=(
            r"R = \sum_k \left[ \frac{(1 + C_{k+1})\, p_{k+1}}{D(w_k)} - "
            r"\frac{C_{k+1}\, p_{k+1}}{D(w_{k+1})} - \phi(w_{k+1}) + \phi(w_k) \right]",
            r"C_k = \beta_k (1 + C_{k+1}), \qquad \phi' = 1/D",
        ),
        source=f"derived here; {PPF} for two layers at constant step and momentum",
        check=_check,
        controls=(CONSTANT_WEIGHTS, START_ALONE, OTHER_VELOCITY),
        proofs=_proofs,
    ),
)
