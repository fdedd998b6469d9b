"""Sums of elementary differentials with exact coefficients, and how they display."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import sympy as sp

from momentumflow.base import libraries
from momentumflow.base.arguments import FileName, checked
from momentumflow.base.errors import InputError
from momentumflow.base.files import write_text
from momentumflow.base.values import Formulated, displayed
from momentumflow.symbolic.expressions import Formula, SymbolLike, substituted
from momentumflow.symbolic.printing import as_latex, as_text, joined
from momentumflow.symbolic.series.exports import latex_document, python_module
from momentumflow.symbolic.series.right_hand_side import specialise
from momentumflow.symbolic.series.terms import LazyCoefficients, Term
from momentumflow.symbolic.trees.rooted_trees import FIELD, VELOCITY, Tree, tree
from momentumflow.symbolic.trees.tree_display import latex_indices, latex_text, plain_text, svg

if TYPE_CHECKING:
    import pandas as pd

Notation = Literal["derivatives", "indices"]

# Rows of a table that a notebook shows; the rest is counted.
_MAX_ROWS = 60


@checked
class TreeSeries(Formulated):
    """A sum of elementary differentials with exact coefficients.

    Iterating gives its terms, smallest trees first.

    Attributes
    ----------
    left_hand_side : str
        What the sum equals, in LaTeX.
    max_nodes : int or None
        Trees of more nodes are cut off; None where the cut is in powers of eps.
    """

    def __init__(
        self,
        left_hand_side: str,
        coefficients: Mapping[Tree, sp.Expr],
        *,
        max_nodes: int | None = None,
    ) -> None:
        self.left_hand_side = left_hand_side
        self.max_nodes = max_nodes
        if not isinstance(coefficients, LazyCoefficients):
            coefficients = {tau: c for tau, c in coefficients.items() if c != 0}
        self._coefficients = coefficients

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The terms, smallest trees first."""
        return tuple(Term(tau, self._coefficients[tau]) for tau in self._coefficients)

    @property
    def trees(self) -> tuple[Tree, ...]:
        """The trees whose coefficient is not zero."""
        return tuple(self._coefficients)

    def coefficient(self, spec: Any) -> sp.Expr:
        """Return the factor in front of the elementary differential of a tree.

        Parameters
        ----------
        spec : Tree, str or nested list
            `"[]"` is f, `"[[],[]]"` is f''(f,f), `"[v]"` is f'v.

        Raises
        ------
        InputError
            If `spec` is no tree, or one beyond the order of the series.
        """
        tau = tree(spec)
        if self.max_nodes is not None and tau.order > self.max_nodes:
            raise InputError(
                f"a tree of at most {self.max_nodes} nodes",
                f"{tau} of {tau.order}",
                "derive the equation to a higher order",
            )
        return self._coefficients.get(tau, sp.S.Zero)

    def __iter__(self) -> Iterator[Term]:
        return iter(self.terms)

    def __len__(self) -> int:
        return len(self._coefficients)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        if self is other:
            return True
        # what is cheap to compare first: the coefficients may be thousands
        return (
            self._identity() == other._identity()
            and set(self.trees) == set(other.trees)
            and all(self._coefficients[tau] == other._coefficients[tau] for tau in self.trees)
        )

    def __hash__(self) -> int:
        return hash((self._identity(), len(self)))

    def _identity(self) -> tuple[Any, ...]:
        """Return what two equal series share besides their coefficients."""
        return self.left_hand_side, self.max_nodes

    def subs(self, values: Mapping[SymbolLike, Formula]) -> TreeSeries:
        """Return the series with symbols of its coefficients replaced."""
        replaced = {term.tree: substituted(term.coefficient, values) for term in self}
        return TreeSeries(self.left_hand_side, replaced, max_nodes=self.max_nodes)

    def specialise(
        self,
        loss: Formula,
        variables: Sequence[SymbolLike] | None = None,
        velocity: Sequence[SymbolLike] | None = None,
    ) -> tuple[sp.Expr, ...]:
        """Return the components of the sum for a SymPy loss, as expressions.

        Parameters
        ----------
        loss : sympy.Expr
            The loss F; the field is `-grad F`.
        variables, velocity : sequence of symbols, optional
            The variables in order, and the components of `w'` where the sum has
            velocity leaves.
        """
        return specialise(self.terms, loss, variables, velocity)

    def _formula(self) -> str:
        return self.latex()

    def latex(self, notation: Notation = "derivatives", *, display: bool = False) -> str:
        """Return the equation in LaTeX, and how it starts where that is tied.

        Parameters
        ----------
        notation : {"derivatives", "indices"}
            `f''(f,f)` or `f^i_{jk} f^j f^k`.
        display : bool
            As a display of its own; bare otherwise.
        """
        written = r",\qquad ".join(
            f"{left} = {joined(pieces)}"
            for left, pieces in (part.latex_pieces(notation) for part in self._parts)
        )
        return displayed(written) if display else written

    @property
    def _parts(self) -> tuple[TreeSeries, ...]:
        """The equation, and its start where it has one."""
        return (self,)

    def latex_pieces(self, notation: Notation = "derivatives") -> tuple[str, list[tuple[str, str]]]:
        """Return the left-hand side and the (coefficient, differential) pairs in LaTeX.

        Parameters
        ----------
        notation : {"derivatives", "indices"}

        Raises
        ------
        InputError
            If the notation is neither.
        """
        if notation not in ("derivatives", "indices"):
            raise InputError("notation to be 'derivatives' or 'indices'", repr(notation))
        write = latex_text if notation == "derivatives" else latex_indices
        left = self.left_hand_side
        if notation == "indices":
            # a superscript of its own, so that primes stay on the letter
            left = left.replace("w", "(w^{i})" if "'" in left else "w^{i}").replace("v", "v^{i}")
        return left, self._pieces(as_latex, write)

    def _pieces(
        self, number: Callable[[sp.Expr], str], write: Callable[[Tree], str]
    ) -> list[tuple[str, str]]:
        """Write the terms; friction and force of one coefficient become one term in f - v."""
        of = self._coefficients
        paired = FIELD in of and VELOCITY in of and sp.expand(of[FIELD] + of[VELOCITY]) == 0
        result = []
        if paired:
            result.append((number(of[FIELD]), f"({write(FIELD)} - {write(VELOCITY)})"))
        for term in self:
            if not (paired and term.tree in (FIELD, VELOCITY)):
                result.append((number(term.coefficient), write(term.tree)))
        return result

    def __str__(self) -> str:
        left = self.left_hand_side.replace("\\", "")
        return f"{left} = {joined(self._pieces(as_text, plain_text))}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} terms: {self.left_hand_side} = ...>"

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each term: tree, differential, order, symmetry, coefficient."""
        return [
            {
                "tree": term.tree.text,
                "differential": plain_text(term.tree),
                "order": term.tree.order,
                "symmetry": term.tree.symmetry,
                "coefficient": as_text(term.coefficient),
            }
            for term in self
        ]

    def to_frame(self) -> pd.DataFrame:
        """Return `table()` as a pandas table, a row for each tree.

        Columns: differential, order, symmetry, coefficient (as text).
        """
        pd = libraries.pandas()

        columns = ["tree", "differential", "order", "symmetry", "coefficient"]
        return pd.DataFrame(self.table(), columns=columns).set_index("tree")

    def _repr_html_(self) -> str:
        shown = [Term(tau, self._coefficients[tau]) for tau in self.trees[:_MAX_ROWS]]
        rows = "".join(
            f"<tr><td>{svg(t.tree)}</td><td>$ {latex_text(t.tree)} $</td>"
            f"<td>$\\displaystyle {as_latex(t.coefficient)}$</td></tr>"
            for t in shown
        )
        hidden = len(self) - len(shown)
        note = f"<tr><td colspan=3>and {hidden} more</td></tr>" if hidden else ""
        return (
            f"<table><caption>$\\displaystyle {self.left_hand_side} = \\sum$ coefficient &times; "
            "differential</caption>"
            "<thead><tr><th>tree</th><th>differential</th><th>coefficient</th></tr></thead>"
            f"<tbody>{rows}{note}</tbody></table>"
        )

    def to_sympy(self) -> sp.Eq:
        """Return the equation with a commuting symbol for every elementary differential.

        The symbols are named as the terminal shows them, `f''(f, f)`.
        """
        right = sp.Add(*(t.coefficient * sp.Symbol(plain_text(t.tree)) for t in self))
        return sp.Eq(sp.Symbol(self.left_hand_side), right, evaluate=False)

    def to_latex_document(self, notation: Notation = "derivatives") -> str:
        """Return a LaTeX document that compiles on its own, one term a line."""
        return latex_document([part.latex_pieces(notation) for part in self._parts])

    def to_module(self, path: FileName | None = None) -> str:
        """Return (and write, if a path is given) a Python module of the coefficients.

        The module needs nothing but Python: `coefficients(...)` of the
        parameters, and `evaluate(derivative, ...)` of a function that applies
        the derivatives of f.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        source = python_module(self.left_hand_side, self.terms)
        if path is not None:
            write_text(path, source)
        return source
