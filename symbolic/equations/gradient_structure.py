r"""The modified loss: when a first-order modified equation is a gradient flow.

`w' = -grad U` holds for every loss F exactly if all rootings of a free tree
carry the same coefficient. Heavy ball keeps it through order 2, where U gains
`gamma^2 (1+beta)/(4 (1-beta)^3) |grad F|^2` (Ghosh, Lyu, Zhang, Wang, ICLR 2023);
its memoryless map is `-grad U` far longer (Cattaneo and Shigida, arXiv 2509.08483).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import overload

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.choices import Followed
from momentumflow.base.errors import InputError
from momentumflow.symbolic.equations.modified_equations import (
    check_order,
    memoryless_map,
    modified_equation,
)
from momentumflow.symbolic.equations.preconditioned_loss import (
    GradientStatus,
    PreconditionedLoss,
    preconditioned_loss,
)
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.methods.optimisers import Optimiser
from momentumflow.symbolic.rings import factored
from momentumflow.symbolic.series.scalar_sums import ScalarSum
from momentumflow.symbolic.series.tree_series import TreeSeries
from momentumflow.symbolic.trees.free_trees import free_symmetry, free_tree, rootings
from momentumflow.symbolic.trees.rooted_trees import Tree, trees_of_order
from momentumflow.symbolic.trees.tree_display import plain_text


@checked
@dataclass(frozen=True)
class Obstruction:
    """Two rootings of one free tree whose coefficients differ.

    Attributes
    ----------
    first, second : Tree
        The rooted trees.
    difference : sympy.Expr
        `a(first) - a(second)`, with `a` the coefficient times the symmetry.
    """

    first: Tree
    second: Tree
    difference: sp.Expr

    def __str__(self) -> str:
        return (
            f"{plain_text(self.first)} and {plain_text(self.second)} are rootings of one free "
            f"tree, but their coefficients differ by {self.difference}"
        )


@checked
@dataclass(frozen=True, repr=False)
class ModifiedLoss(ScalarSum):
    """U with `w' = -grad U` (or `w_{k+1} - w_k = -grad U`).

    Attributes
    ----------
    order : int
        The order through which the field is `-grad U`.
    status : GradientStatus
    terms : tuple of (Tree, sympy.Expr)
        Representatives of free trees, and the factor of their scalar in U.
    obstruction : Obstruction or None
        Why the next order is no gradient.
    """

    order: int
    status: GradientStatus
    terms: tuple[tuple[Tree, sp.Expr], ...]
    obstruction: Obstruction | None
    name: str = field(default="U", init=False)

    def __repr__(self) -> str:
        return f"<ModifiedLoss {self.status.name} through order {self.order}>"

    def __str__(self) -> str:
        text = super().__str__()
        if self.obstruction is not None:
            text += f"\nno gradient at order {self.order + 1}: {self.obstruction}"
        return text


@overload
def modified_loss(method: MomentumMethod, order: int = ..., of: Followed = ...) -> ModifiedLoss: ...
@overload
def modified_loss(
    method: Optimiser, order: int = ..., of: Followed = ...
) -> PreconditionedLoss: ...
@checked
def modified_loss(
    method: MomentumMethod | Optimiser, order: int = 2, of: Followed = "flow"
) -> ModifiedLoss | PreconditionedLoss:
    """Return the loss whose gradient flow (or step) the method follows on the slow manifold.

    Parameters
    ----------
    method : MomentumMethod or Optimiser
    order : int
        Highest power of gamma; of an optimiser at most 2.
    of : {"flow", "map"}
        The slow modified equation, or the memoryless map.

    Returns
    -------
    ModifiedLoss or PreconditionedLoss
        Cut before the first order that is no gradient; its `obstruction` says why. An
        optimiser descends a loss with a preconditioner, the one of its leading step.

    Raises
    ------
    InputError
        Order out of range, or `of` unknown.

    References
    ----------
    Ghosh, Lyu, Zhang, Wang, ICLR 2023; Cattaneo, Shigida, arXiv 2509.08483; Cattaneo,
    Klusowski, Shigida, ICML 2024.

    Examples
    --------
    >>> from momentumflow.symbolic import Adam, modified_loss
    >>> print(modified_loss(Adam("3/4", "1/2", eps=0)))
    w' = -P grad U, P = 1/Abs(g), U = L + gamma*sum_j(2*Abs(g))
    """
    if isinstance(method, Optimiser):
        if check_order(order, "slow") > 2:
            raise InputError("order <= 2 for an optimiser with memories", f"order = {order}")
        moved = memoryless_map(method, order)
        written = moved.rates if of == "flow" else moved.moves
        return preconditioned_loss(method.name, method.step, written, moved.rates[0])
    series: TreeSeries = (
        modified_equation(method, order, "slow") if of == "flow" else memoryless_map(method, order)
    )
    terms: list[tuple[Tree, sp.Expr]] = []
    for n in range(1, order + 1):
        found, obstruction = _potential_of_order(series, n)
        if obstruction is not None:
            return ModifiedLoss(n - 1, GradientStatus.OBSTRUCTED, tuple(terms), obstruction)
        terms += found
    return ModifiedLoss(order, GradientStatus.GRADIENT, tuple(terms), None)


def _potential_of_order(
    series: TreeSeries, n: int
) -> tuple[list[tuple[Tree, sp.Expr]], Obstruction | None]:
    """Return the terms of U of n vertices, or the first pair of rootings that disagree."""
    terms = []
    for tau in trees_of_order(n):
        if free_tree(tau) is not tau:
            continue
        value = series.coefficient(tau) * tau.symmetry
        for other in rootings(tau):
            difference = factored(value - series.coefficient(other) * other.symmetry)
            if difference != 0:
                return [], Obstruction(tau, other, difference)
        if value != 0:
            # the field is grad of sum a/|Aut| * (scalar in P), and U is minus that
            terms.append((tau, -value / free_symmetry(tau)))
    return terms, None
