"""All theorems, in the order in which they use each other."""

from __future__ import annotations

from functools import cache

from momentumflow.base.arguments import checked
from momentumflow.base.errors import InputError, nearest
from momentumflow.symbolic.theorems import (
    convergence_theorems,
    limit_theorems,
    noise_theorems,
    sign_theorems,
    sparsity_theorems,
)
from momentumflow.symbolic.theorems.theorem import Theorem


@cache
def theorems() -> tuple[Theorem, ...]:
    """Return every theorem.

    Returns
    -------
    tuple of Theorem
        In the order in which they use each other.

    Examples
    --------
    >>> from momentumflow.symbolic import theorems
    >>> theorems()[0].name
    'acceleration-is-unique'
    """
    return (
        sign_theorems.acceleration(),
        sign_theorems.orders_of_lambda(),
        sign_theorems.no_sign_change(),
        sign_theorems.no_sign_change_discrete(),
        sign_theorems.sharp_sign_bound(),
        sign_theorems.remainder_sign(),
        sign_theorems.strict_shrinkage(),
        limit_theorems.kkt_to_limit(),
        limit_theorems.implicit_regularisation(),
        limit_theorems.perturbed_start(),
        convergence_theorems.loss_identity(),
        convergence_theorems.convergence(),
        limit_theorems.towards_l1(),
        limit_theorems.towards_l2(),
        sparsity_theorems.weighted_l1(),
        sparsity_theorems.less_penalty(),
        sparsity_theorems.first_order(),
        sparsity_theorems.one_row(),
        sparsity_theorems.kernel_regime(),
        noise_theorems.noise_shrinks(),
    )


@checked
def theorem(name: str) -> Theorem:
    """Return the theorem called `name`.

    Parameters
    ----------
    name : str

    Returns
    -------
    Theorem

    Raises
    ------
    InputError
        If there is none of that name; the message lists all.

    Examples
    --------
    >>> from momentumflow.symbolic import theorem
    >>> found = theorem("remainder-not-negative")
    >>> found.prove()
    <Proof of theorem 'remainder-not-negative'>
    >>> print(found.formal[0].prove())
    the remainder summand is least at rest: proved in 3 step(s)
      at x = 1 the value is 0
      the slope is (x - 1) times (beta + x)/x**2
      which is positive
    """
    known = {found.name: found for found in theorems()}
    if name not in known:
        raise InputError(f"one of {', '.join(known)}", repr(name), nearest(name, list(known)))
    return known[name]
