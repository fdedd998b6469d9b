r"""Differential operators whose coefficients are contractions of f, Sigma and v, in any dimension.

A `Contraction` is a product of the field f, of the covariance Sigma and of the velocity v, some
differentiated, with derivatives of a test function phi(w, v). Every upper index is summed
against one lower index: f and v have one upper index, Sigma has two; a derivative is a lower
index, of f or Sigma (in w), or of phi (in w or in v). So it is a graph: each vertex says
where its upper indices go. `((FIELD, (W,)),)` is `f^i d phi/dw^i`, and
`((FIELD, (W,)), (COVARIANCE, (0, 0)))` is `Sigma^{jk} f^i_{jk} d phi/dw^i`: the "exotic"
trees of Laurent and Vilmart (Math. Comp. 89, 2020), velocities added.

Operators are mappings from contractions to coefficients. They compose by the rule of Leibniz,
so generators of Markov chains can be computed without a dimension or components.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import permutations, product
from typing import Any, TypeAlias

import sympy as sp

from momentumflow.symbolic.rings import PolynomialRing

FIELD, COVARIANCE, VELOCITY = "f", "S", "v"
# Where an index of the test function is summed against: derivatives of phi in w, and in v.
W, V = -1, -2

Vertex: TypeAlias = tuple[str, tuple[int, ...]]
Contraction: TypeAlias = tuple[Vertex, ...]
Operator: TypeAlias = Mapping[Contraction, Any]


def slots(graph: Contraction) -> tuple[int, ...]:
    """Return the derivatives of the test function, W or V each, sorted with W first."""
    return tuple(sorted((t for _, targets in graph for t in targets if t < 0), reverse=True))


@cache
def canonical(graph: Contraction) -> Contraction:
    """Return the one form of a contraction that no renumbering of its vertices changes."""
    kinds = sorted(range(len(graph)), key=lambda i: graph[i][0])
    blocks = [[i for i in kinds if graph[i][0] == kind] for kind in sorted({k for k, _ in graph})]
    best: Contraction | None = None
    for arranged in product(*(permutations(block) for block in blocks)):
        order = [i for block in arranged for i in block]
        place = {old: new for new, old in enumerate(order)}
        written = tuple(
            (graph[i][0], tuple(sorted(t if t < 0 else place[t] for t in graph[i][1])))
            for i in order
        )
        if best is None or written < best:
            best = written
    return best or ()


def collected(terms: Iterator[tuple[Contraction, Any]]) -> dict[Contraction, Any]:
    """Return the sum of terms; what cancels is left out."""
    result: dict[Contraction, Any] = {}
    for graph, coefficient in terms:
        key = canonical(graph)
        result[key] = result[key] + coefficient if key in result else coefficient
    return {graph: c for graph, c in result.items() if c != 0}


def added(*weighted: tuple[Any, Operator]) -> dict[Contraction, Any]:
    """Return a sum of operators, each with its factor."""
    return collected((graph, factor * c) for factor, of in weighted for graph, c in of.items())


def _shifted(graph: Contraction, by: int) -> Contraction:
    return tuple((k, tuple(t if t < 0 else t + by for t in targets)) for k, targets in graph)


def normal_product(a: Operator, b: Operator) -> dict[Contraction, Any]:
    """Return the product in which derivatives act on the test function only."""
    return collected(
        (left + _shifted(right, len(left)), c * d)
        for left, c in a.items()
        for right, d in b.items()
    )


def composed(a: Operator, b: Operator, passing: Any = 1) -> dict[Contraction, Any]:
    """Return `a b`: derivatives of a act on the coefficients of b and on the test function.

    Parameters
    ----------
    a, b : Operator
    passing : number
        What a derivative in v picks up where it passes b on to the test function: b where
        b ends with the substitution of `b v` for v.
    """
    return collected(
        (graph, c * d * passing**passed)
        for left, c in a.items()
        for right, d in b.items()
        for graph, passed in _leibniz(left, right)
    )


@cache
def _leibniz(left: Contraction, right: Contraction) -> tuple[tuple[Contraction, int], ...]:
    """Return all ways in which the derivatives of `left` fall, and how many in v pass on."""
    size = len(left)
    moved = _shifted(right, size)
    edges = [(i, j) for i, (_, targets) in enumerate(left) for j, t in enumerate(targets) if t < 0]
    differentiable = [size + i for i, (kind, _) in enumerate(right) if kind != VELOCITY]
    velocities = [size + i for i, (kind, _) in enumerate(right) if kind == VELOCITY]
    choices = [[W, *differentiable] if left[i][1][j] == W else [V, *velocities] for i, j in edges]
    found = []
    for chosen in product(*choices):
        hit = [t for t in chosen if t in velocities]
        if len(set(hit)) < len(hit):
            continue  # v is differentiated once
        kinds = [kind for kind, _ in (*left, *moved)]
        upper = [list(targets) for _, targets in (*left, *moved)]
        for (i, j), t in zip(edges, chosen, strict=True):
            # d v^i / d v^j is the unit matrix: the index goes where that of v went
            upper[i][j] = upper[t][0] if t in hit else t
        kept = [i for i in range(len(upper)) if i not in hit]
        place = {old: new for new, old in enumerate(kept)}
        graph = tuple((kinds[i], tuple(t if t < 0 else place[t] for t in upper[i])) for i in kept)
        found.append((canonical(graph), sum(t == V for t in chosen)))
    return tuple(found)


class Graded:
    """Operators by the power of a small number, cut where `keep` says so.

    Attributes
    ----------
    parts : list of Operator
        Of the powers 0, 1, ...
    ring : PolynomialRing
        Of their coefficients.
    keep : callable
        Whether a contraction counts at a power.
    """

    def __init__(
        self,
        parts: Sequence[Operator],
        ring: PolynomialRing,
        keep: Callable[[int, Contraction], bool] = lambda power, graph: True,
    ) -> None:
        self.ring, self.keep = ring, keep
        self.parts: list[Operator] = [
            {graph: c for graph, c in part.items() if keep(power, graph)}
            for power, part in enumerate(parts)
        ]

    def normal_exponential(self) -> Graded:
        """Return the exponential in which derivatives act on the test function only."""
        size = len(self.parts)
        term: list[Operator] = [{(): self.ring.one}, *({} for _ in range(size - 1))]
        total, n = term, 0
        while any(term):
            n += 1
            over = self.ring.from_sympy(sp.Rational(1, n))
            products = [
                added(*((over, normal_product(term[i], self.parts[m - i])) for i in range(m + 1)))
                for m in range(size)
            ]
            term = Graded(products, self.ring, self.keep).parts
            total = [added((1, a), (1, b)) for a, b in zip(total, term, strict=True)]
        return Graded(total, self.ring, self.keep)
