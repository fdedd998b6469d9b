"""Every claim there is: the built-in ones in order, and the limit theorem on data of a user."""

from __future__ import annotations

from functools import cache

from momentumflow.base.arguments import MomentumFloat, PositiveFloat, checked
from momentumflow.numeric.data.problems import Regression
from momentumflow.verify.claim import Claim
from momentumflow.verify.themes import (
    adaptive,
    balancedness,
    dynamics,
    inertia,
    limit,
    models,
    noisy_gradients,
    orders,
    parametrisations,
    penalty,
    perturbed,
    refereed,
    regime_map,
    relatives,
    rich_limits,
    scheduled_limits,
    sparsity,
    thresholds,
)


@cache
def claims() -> tuple[Claim, ...]:
    """Return the built-in claims, in the order in which the theory builds on them."""
    return (
        *dynamics.CLAIMS,
        *orders.CLAIMS,
        *models.CLAIMS,
        *limit.CLAIMS,
        *scheduled_limits.CLAIMS,
        *balancedness.CLAIMS,
        *inertia.CLAIMS,
        *thresholds.CLAIMS,
        *perturbed.CLAIMS,
        *penalty.CLAIMS,
        *regime_map.CLAIMS,
        *sparsity.CLAIMS,
        *rich_limits.CLAIMS,
        *noisy_gradients.CLAIMS,
        *relatives.CLAIMS,
        *parametrisations.CLAIMS,
        *adaptive.CLAIMS,
        *refereed.CLAIMS,
    )


@checked
def data_claims(
    problem: Regression,
    *,
    gamma: PositiveFloat = 1e-2,
    beta: MomentumFloat = 0.95,
    init: PositiveFloat = 0.1,
) -> tuple[Claim, ...]:
    """Return the claims that the limit theorem holds on `problem`.

    Parameters
    ----------
    problem : Regression
        The data.
    gamma, beta : float
        Step size > 0 and momentum in [0, 1).
    init : float
        Initialisation scale alpha > 0.

    Returns
    -------
    tuple of Claim
        For the flow, heavy ball and heavy ball on minibatches.

    Raises
    ------
    InputError
        gamma <= 0, beta outside [0, 1), init <= 0.
    """
    return limit.on_data(lambda: problem, problem.name, gamma=gamma, beta=beta, init=init)
