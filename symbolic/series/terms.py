"""The terms of a sum of elementary differentials, and coefficients computed when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.symbolic.trees.rooted_trees import Tree


@checked
@dataclass(frozen=True)
class Term:
    """One term of an equation: `coefficient * F(tree)`, symmetry included in the coefficient."""

    tree: Tree
    coefficient: sp.Expr


class LazyCoefficients(Mapping[Tree, sp.Expr]):
    """Coefficients that become SymPy expressions when they are asked for.

    Thousands of trees are computed in a second over FLINT polynomials; turning
    all of them into expressions would take longer than that.

    Parameters
    ----------
    elements : mapping
        Tree to ring element; those that are zero are dropped.
    convert : callable
        From a tree and its element to the coefficient.
    """

    def __init__(
        self, elements: Mapping[Tree, Any], convert: Callable[[Tree, Any], sp.Expr]
    ) -> None:
        self._elements = {tau: e for tau, e in elements.items() if e != 0}
        self._convert = convert
        self._known: dict[Tree, sp.Expr] = {}

    def __getitem__(self, tau: Tree) -> sp.Expr:
        if tau not in self._known:
            self._known[tau] = self._convert(tau, self._elements[tau])
        return self._known[tau]

    def __iter__(self) -> Iterator[Tree]:
        return iter(self._elements)

    def __len__(self) -> int:
        return len(self._elements)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        # FLINT polynomials do not pickle; expressions do
        return dict, (dict(self),)
