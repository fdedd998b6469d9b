r"""Sums of contractions with exact coefficients: how drift and diffusion display, and their values.

A sum of rank 1 is a vector, such as a drift; one of rank 2 a matrix, such as a covariance rate.
`f''(Sigma)` is `sum_jk f_jk Sigma^jk`, `Sigma'(v)` the derivative of Sigma along v. On the
diagonal blocks a term that is not symmetric stands for its symmetric part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.symbolic.printing import as_latex, as_text, joined
from momentumflow.symbolic.series.contractions import (
    COVARIANCE,
    FIELD,
    VELOCITY,
    Contraction,
    Operator,
    slots,
)

_LATEX = {COVARIANCE: "\\Sigma", FIELD: "f", "T": "^{\\mathsf T}", "sym": "\\operatorname{sym}"}
_TEXT = {COVARIANCE: "Sigma", FIELD: "f", "T": "^T", "sym": "sym"}


@checked
@dataclass(frozen=True, repr=False)
class ContractionSeries:
    """A sum of contractions of the field, the covariance and the velocity.

    Attributes
    ----------
    left_hand_side : str
        What the sum equals.
    terms : tuple of (contraction, sympy.Expr)
        Each contraction with its coefficient; see `symbolic/series/contractions.py`.
    """

    left_hand_side: str
    terms: tuple[tuple[Contraction, sp.Expr], ...]

    def __iter__(self) -> Iterator[tuple[Contraction, sp.Expr]]:
        return iter(self.terms)

    def __len__(self) -> int:
        return len(self.terms)

    def coefficient(self, text: str) -> sp.Expr:
        """Return the factor of a contraction, named as it prints: "f'f", "Sigma'(v)".

        Parameters
        ----------
        text : str
        """
        return sp.Add(*(c for graph, c in self.terms if contraction_text(graph) == text))

    def latex(self) -> str:
        """Return the equation in LaTeX, without dollar signs."""
        pieces = [(as_latex(c), _written(graph, _LATEX)) for graph, c in self.terms]
        left = self.left_hand_side.replace("<", "\\langle ").replace(">", "\\rangle")
        return f"{left} = {joined(pieces)}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        pieces = [(as_text(c), contraction_text(graph)) for graph, c in self.terms]
        return f"{self.left_hand_side} = {joined(pieces)}"

    def __repr__(self) -> str:
        return f"<ContractionSeries of {len(self)} terms: {self.left_hand_side} = ...>"


@dataclass(frozen=True)
class Fields:
    """What contractions are made of, written out in variables."""

    variables: tuple[sp.Symbol, ...]
    field: tuple[sp.Expr, ...]
    covariance: sp.Matrix
    velocity: tuple[sp.Symbol, ...]

    def vertex(self, kind: str, upper: Sequence[int], lower: Sequence[int]) -> sp.Expr:
        """Return one component of a vertex."""
        if kind == COVARIANCE:
            value = self.covariance[upper[0], upper[1]]
        else:
            value = (self.field if kind == FIELD else self.velocity)[upper[0]]
        for i in lower:
            value = sp.diff(value, self.variables[i])
        return value


def series_of(left: str, operator: Operator) -> ContractionSeries:
    """Return the series with these coefficients, small contractions first."""
    ordered = sorted(operator.items(), key=lambda item: (len(item[0]), item[0]))
    return ContractionSeries(left, tuple((graph, c) for graph, c in ordered if c != 0))


def components(series: ContractionSeries, values: Fields) -> sp.Matrix:
    """Return a sum written out: a column for a drift, a matrix for a covariance rate."""
    size = len(values.variables)
    matrix = any(len(slots(graph)) > 1 for graph, _ in series)
    total = sp.zeros(size, size if matrix else 1)
    for graph, c in series:
        part = _contracted(graph, values)
        alike = len(set(slots(graph))) == 1
        total += c * (part + part.T) / 2 if matrix and alike else c * part
    return total


def _contracted(graph: Contraction, values: Fields) -> sp.Matrix:
    """Return a contraction as a column or as a matrix, rows for w before v."""
    size = len(values.variables)
    edges = [(i, j, t) for i, (_, targets) in enumerate(graph) for j, t in enumerate(targets)]
    free = sorted((n for n, (_, _, t) in enumerate(edges) if t < 0), key=lambda n: -edges[n][2])
    result = sp.zeros(size, size if len(free) > 1 else 1)
    for index in product(range(size), repeat=len(edges)):
        factor = sp.S.One
        for i, (kind, _) in enumerate(graph):
            upper = [index[n] for n, (of, _, _) in enumerate(edges) if of == i]
            lower = [index[n] for n, (_, _, t) in enumerate(edges) if t == i]
            factor = factor * values.vertex(kind, upper, lower)
            if factor == 0:
                break
        place = (*(index[n] for n in free), 0)[:2]
        result[place] += factor
    return result


def contraction_text(graph: Contraction) -> str:
    """Return a contraction as text: `f''(Sigma)`, `Sigma'(v)`, `f' Sigma`."""
    return _written(graph, _TEXT)


def _written(graph: Contraction, letters: Mapping[str, str]) -> str:
    ends = slots(graph)
    if len(ends) == 1:
        root = next(i for i, (_, targets) in enumerate(graph) if ends[0] in targets)
        return _vertex(graph, root, letters)
    center, left, right = _spine(graph)
    symmetric_part = len(set(ends)) == 1 and left != right
    factors = [_vertex(graph, u, letters, below) for u, below in left[::-1]]
    factors.append(_vertex(graph, center, letters))
    factors += [_vertex(graph, u, letters, below) + letters["T"] for u, below in right]
    text = " ".join(factors)
    return f"{letters['sym']}({text})" if symmetric_part else text


def _vertex(
    graph: Contraction, vertex: int, letters: Mapping[str, str], besides: int | None = None
) -> str:
    """Write a vertex applied to what points at it, `besides` one vertex written elsewhere."""
    kind = graph[vertex][0]
    if kind == VELOCITY:
        return kind
    pointing = [i for i, (_, targets) in enumerate(graph) if vertex in targets]
    primes = sum(graph[i][1].count(vertex) for i in pointing)
    inner = [_vertex(graph, i, letters) for i in pointing if i != besides]
    head = letters[kind] + "'" * primes
    if kind == FIELD and primes == 1:
        return head + "".join(inner)
    return f"{head}({', '.join(inner)})" if inner else head


def _spine(graph: Contraction) -> tuple[int, list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the covariance that both free indices go back to, and the maps on the way to each.

    Each map comes with the vertex below it. The index in w comes first; of two alike the
    longer way.
    """
    for i, (kind, targets) in enumerate(graph):
        chains = []
        for target in targets:
            below, above, chain = i, target, []
            while above >= 0:
                chain.append((above, below))
                below, above = above, graph[above][1][0]
            chains.append((-above, -len(chain), chain))
        plain = all(graph[u][0] == FIELD for *_, chain in chains for u, _ in chain)
        if kind == COVARIANCE and plain:
            (_, _, left), (_, _, right) = sorted(chains)
            return i, left, right
    raise ValueError(f"no covariance carries both indices of {graph}")
