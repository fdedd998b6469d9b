"""Sums of scalars over free trees: how they are read off, written and made concrete.

The modified loss and the energy of the inertial equation are such sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sympy as sp

from momentumflow.base.values import Formulated
from momentumflow.symbolic.printing import as_latex, as_text, joined
from momentumflow.symbolic.series.right_hand_side import check_loss, specialise
from momentumflow.symbolic.series.terms import Term
from momentumflow.symbolic.trees.free_trees import (
    free_tree,
    inner_product,
    scalar_latex,
    scalar_text,
)
from momentumflow.symbolic.trees.rooted_trees import FIELD, VELOCITY, Tree, tree


class ScalarSum(Formulated):
    """Base of a sum of scalars; the tree `v` stands for `|v|^2`, `[]` for `-F`.

    Attributes
    ----------
    name : str
        What the sum is called in formulas.
    terms : tuple of (Tree, sympy.Expr)
        Representatives of free trees, and the factor of the scalar of each.
    """

    name: str
    terms: tuple[tuple[Tree, sp.Expr], ...]

    def coefficient(self, spec: Any) -> sp.Expr:
        """Return the factor of the scalar of a free tree, given by any rooting; `[]` is `-F`."""
        tau = tree(spec)
        return dict(self.terms).get(tau if tau is VELOCITY else free_tree(tau), sp.S.Zero)

    def _formula(self) -> str:
        return f"{self.name} = {joined(self._pieces(as_latex, scalar_latex))}"

    def __str__(self) -> str:
        return f"{self.name} = {joined(self._pieces(as_text, scalar_text))}"

    def _pieces(
        self, number: Callable[..., str], write: Callable[[Tree], str]
    ) -> list[tuple[str, str]]:
        return [
            (number(-c), "F") if tau is FIELD else (number(c), write(tau)) for tau, c in self.terms
        ]

    def specialise(
        self,
        loss: Any,
        variables: Sequence[Any] | None = None,
        velocity: Sequence[sp.Symbol] | None = None,
    ) -> sp.Expr:
        """Return the sum for a SymPy loss, as an expression of its variables and the velocity.

        Parameters
        ----------
        loss : sympy.Expr
            F, an expression of the variables.
        variables : sequence of sympy.Symbol, optional
            In order; the loss's own symbols, sorted, if not given.
        velocity : sequence of sympy.Symbol, optional
            One for each variable; needed if the sum has velocities in it.

        Returns
        -------
        sympy.Expr
            A scalar.

        Raises
        ------
        InputError
            If the loss has symbols that are not variables.
        """
        expr, names = check_loss(loss, variables)
        total = sp.S.Zero
        for tau, coefficient in self.terms:
            if tau is FIELD:
                total += coefficient * -expr
                continue
            pair = (VELOCITY, VELOCITY) if tau is VELOCITY else inner_product(tau)
            sides = [specialise((Term(x, sp.S.One),), expr, names, velocity) for x in pair]
            total += coefficient * sum(a * b for a, b in zip(*sides, strict=True))
        return total
