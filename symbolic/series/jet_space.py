"""Elementary differentials of a field as the coefficients of its jets.

The monomials of a jet are multisets of trees: a generator stands for an
elementary differential, and the coefficient of a product of generators gives
the differential of the tree that has them as branches. Only those that some
wanted tree needs are computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from math import factorial
from typing import Any

import numpy as np

from momentumflow.base.errors import InputError
from momentumflow.symbolic.series.jets import Jet, Monomial, joined
from momentumflow.symbolic.series.taylor import Array
from momentumflow.symbolic.trees.rooted_trees import VELOCITY, Tree, graft_root


class JetSpace:
    """The monomials that a set of wanted trees needs, and how they multiply.

    Parameters
    ----------
    trees : iterable of Tree
        The trees whose elementary differentials are wanted.
    branches_given : bool
        Whether the differentials of their branches are known already.
    """

    def __init__(self, trees: Iterable[Tree], *, branches_given: bool = False) -> None:
        self.trees = tuple(trees) if branches_given else _with_branches(trees)
        kept: set[Monomial] = {()}
        for tau in self.trees:
            kept |= _sub_multisets(tau.children)
        self.monomials = frozenset(kept)
        self.degree = max(len(m) for m in kept)
        self._products: dict[tuple[Monomial, Monomial], Monomial | None] = {}
        self._stages: list[tuple[tuple[Tree, ...], JetSpace]] | None = None

    @property
    def stages(self) -> list[tuple[tuple[Tree, ...], JetSpace]]:
        """The trees by height, each height with the space that its evaluation needs."""
        if self._stages is None:
            heights: dict[int, list[Tree]] = {}
            for tau in self.trees:
                if tau is not VELOCITY:
                    heights.setdefault(_height(tau), []).append(tau)
            self._stages = [
                (tuple(ts), JetSpace(ts, branches_given=True)) for _, ts in sorted(heights.items())
            ]
        return self._stages

    def times(self, a: Monomial, b: Monomial) -> Monomial | None:
        """Return the product of two monomials, or None where it is not kept."""
        key = (a, b)
        if key not in self._products:
            merged = _sorted_monomial(a + b)
            self._products[key] = merged if merged in self.monomials else None
        return self._products[key]

    def product(self, a: Mapping[Monomial, Any], b: Mapping[Monomial, Any]) -> dict[Monomial, Any]:
        """Return the product of two polynomials, cut to the monomials that are kept."""
        result: dict[Monomial, Any] = {}
        for m, x in a.items():
            for n, y in b.items():
                target = self.times(m, n)
                if target is not None:
                    term = x * y
                    result[target] = result[target] + term if target in result else term
        return result

    def elementary_differentials(
        self, field: Callable[[Any], Any], w: Array, v: Array | None = None
    ) -> dict[Tree, Array]:
        """Return the elementary differential of every tree at w.

        One evaluation of the field for each height of the trees: the
        differentials of height h are the directions of those of height h + 1.

        Parameters
        ----------
        field : callable
            `f`, from arrays to arrays of the same shape, in NumPy operations.
        w, v : ndarray
            The point and, where trees have velocity leaves, the velocity.
        """
        known: dict[Tree, Array] = {}
        if VELOCITY in self.trees:
            if v is None:
                raise InputError("a velocity v", "none", "the equation has velocity leaves")
            known[VELOCITY] = v
        for trees, space in self.stages:
            directions: dict[Monomial, Any] = {(): w}
            for tau in trees:
                directions |= {(child,): known[child] for child in tau.children}
            result = _assembled(field(Jet(directions, space)), w, space)
            for tau in trees:
                known[tau] = result.get(tau.children, 0.0) * _factorials(tau)
        return {tau: np.broadcast_to(a, w.shape) for tau, a in known.items()}


@lru_cache(maxsize=64)
def jet_space(trees: tuple[Tree, ...]) -> JetSpace:
    """Return the space of these trees, made once."""
    return JetSpace(trees)


def _height(tau: Tree) -> int:
    """Return the number of field evaluations below the root; the velocity is given."""
    return 1 + max((_height(c) for c in tau.children if c is not VELOCITY), default=0)


def _assembled(value: Any, w: Array, space: JetSpace) -> dict[Monomial, Any]:
    """Return the coefficients of what a field returned, which may be a list of scalar jets."""
    if isinstance(value, Jet):
        jet = value
    else:
        parts = list(value) if isinstance(value, list | tuple | np.ndarray) else [value]
        if not any(isinstance(part, Jet) for part in parts):
            return {(): np.broadcast_to(np.asarray(value, dtype=np.float64), w.shape)}
        jet = joined(np.stack, parts, [], {"axis": -1})
    if jet.shape != w.shape:
        raise InputError(f"a gradient of the shape {w.shape} of its argument", f"shape {jet.shape}")
    return jet.coefficients


def _with_branches(trees: Iterable[Tree]) -> tuple[Tree, ...]:
    found: set[Tree] = set()
    stack = list(trees)
    while stack:
        tau = stack.pop()
        if tau not in found:
            found.add(tau)
            stack += tau.children
    return tuple(sorted(found, key=lambda tau: (tau.order, tau.text)))


def _sub_multisets(children: Monomial) -> set[Monomial]:
    found: set[Monomial] = {()}
    for child in children:
        found |= {(*m, child) for m in found}
    return {_sorted_monomial(m) for m in found}


def _sorted_monomial(m: Monomial) -> Monomial:
    return graft_root(m).children


def _factorials(tau: Tree) -> int:
    result = 1
    for _, times in tau.branches:
        result *= factorial(times)
    return result
