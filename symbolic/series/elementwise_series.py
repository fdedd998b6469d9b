"""Equations and maps of optimisers over decorated trees: text, LaTeX, tables, values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import sympy as sp

from momentumflow.base import libraries
from momentumflow.base.arguments import FileName, Natural, checked
from momentumflow.base.arrays import Vector
from momentumflow.base.files import write_text
from momentumflow.base.values import Formulated
from momentumflow.symbolic import symbols
from momentumflow.symbolic.expressions import Formula, OwnSymbol, SymbolLike
from momentumflow.symbolic.printing import as_latex, as_text, joined
from momentumflow.symbolic.series.decorated_trees import (
    Bush,
    Differentials,
    bush_latex,
    bush_nodes,
    bush_text,
    outward,
    valued,
)
from momentumflow.symbolic.series.differential_polynomials import Polynomial
from momentumflow.symbolic.series.elementwise_field import ElementwiseField
from momentumflow.symbolic.series.exports import elementwise_module, latex_document
from momentumflow.symbolic.series.right_hand_side import Array, Steps, check_loss

if TYPE_CHECKING:
    import pandas as pd

_MOVE = sp.Dummy("Phi")


@checked
@dataclass(frozen=True, repr=False)
class ElementwiseSeries(Formulated):
    """A sum over decorated trees: what an optimiser follows in the slow regime.

    Attributes
    ----------
    name : str
        Of the optimiser.
    step : sympy.Symbol
        h, the step.
    parameters : tuple of sympy.Symbol
    rates : tuple of Polynomial
        Of w along the flow, by powers of the step: each product of the derivatives `g_k`
        of the gradient, and the function of g (and w, t) in front of it. The unit of time
        is 1/h steps.
    """

    name: str
    step: OwnSymbol
    parameters: tuple[OwnSymbol, ...]
    rates: tuple[Polynomial, ...]
    left_hand_side: ClassVar[str] = "w'"
    _lowest: ClassVar[int] = 0  # the power of the step in the leading term

    def __hash__(self) -> int:
        # the rates are tables of expressions, which do not hash
        return hash((type(self), self.name, self.step, self.parameters, len(self.rates)))

    @property
    def order(self) -> int:
        """The highest power of the step in what one step adds; 1 is the leading equation."""
        return len(self.rates)

    @property
    def _outside(self) -> tuple[Polynomial, ...]:
        return self.rates

    def coefficient(self, *derivatives: Natural) -> sp.Expr:
        """Return the function in front of a product of `g_k`: `coefficient(1, 1)` of `g_1^2`.

        With no argument, the sum over all orders of what stands alone.
        """
        key = tuple(sorted(derivatives))
        rows = enumerate(self._outside)
        return outward(sp.Add(*(self.step**n * r[key] for n, r in rows if key in r)))

    @cached_property
    def terms(self) -> tuple[tuple[int, sp.Expr, Bush], ...]:
        """The series over decorated trees: (power of the step, function, bush)."""
        others: dict[sp.Symbol, tuple[Polynomial, ...]] = {
            symbols.t: ({(): sp.S.One},),
            _MOVE: self._outside,
        }
        trees = Differentials(self.rates, symbols.w, others)
        return tuple(
            (n, outward(c), bush)
            for n in range(self.order)
            for bush, c in sorted(trees.field(n, _MOVE).items(), key=lambda item: str(item[0]))
        )

    @property
    def _rows(self) -> list[tuple[sp.Expr, Bush]]:
        """The terms with their powers of the step."""
        return [(self.step ** (n + self._lowest) * c, bush) for n, c, bush in self.terms]

    def __len__(self) -> int:
        return len(self.terms)

    def _formula(self) -> str:
        left, pieces = self.latex_pieces()
        return f"{left} = {joined(pieces)}"

    def latex_pieces(self) -> tuple[str, list[tuple[str, str]]]:
        """Return the left-hand side and the (coefficient, differential) pairs in LaTeX."""
        return self.left_hand_side, [(as_latex(c), bush_latex(b)) for c, b in self._rows]

    def to_latex_document(self) -> str:
        """Return a LaTeX document that compiles on its own, one term a line."""
        return latex_document([self.latex_pieces()])

    def __str__(self) -> str:
        pairs = [(as_text(c), bush_text(b) and f"* {bush_text(b)}") for c, b in self._rows]
        return f"{self.left_hand_side} = {joined(pairs)}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.name}, order {self.order}: {len(self)} terms>"

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each term: differential, order, nodes, coefficient (as text)."""
        return [
            {
                "differential": bush_text(bush) or "1",
                "order": n + 1,
                "nodes": bush_nodes(bush),
                "coefficient": as_text(c),
            }
            for n, c, bush in self.terms
        ]

    def to_frame(self) -> pd.DataFrame:
        """Return `table()` as a pandas table, a row for each term."""
        pd = libraries.pandas()

        columns = ["differential", "order", "nodes", "coefficient"]
        return pd.DataFrame(self.table(), columns=columns).set_index("differential")

    def specialise(
        self, loss: Formula, variables: Sequence[SymbolLike] | None = None
    ) -> tuple[sp.Expr, ...]:
        """Return the components of the sum for a SymPy loss, as expressions.

        Parameters
        ----------
        loss : sympy.Expr
        variables : sequence of symbols, optional
            In the order of the components.
        """
        expr, names = check_loss(loss, variables)
        return components(self._rows, expr, {symbols.w: names})

    def to_module(self, path: FileName | None = None) -> str:
        """Return (and write, if a path is given) a Python module that evaluates the series.

        The module needs nothing but NumPy: `evaluate(g, derivative, ...)` takes the
        gradient at w and a function that applies its derivatives.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        source = elementwise_module(self.name, {self.left_hand_side: self._rows})
        if path is not None:
            write_text(path, source)
        return source

    def _field(
        self, loss: Any, variables: Sequence[Any] | None, values: dict[str, float]
    ) -> ElementwiseField:
        return ElementwiseField.of(
            loss,
            variables,
            {symbols.w: self.rates},
            [self._outside],
            (self.step, *self.parameters),
            values,
        )


@checked
class ElementwiseEquation(ElementwiseSeries):
    """`w'` of an optimiser in the slow regime, t being the step times the number of steps."""

    def rhs(
        self,
        loss: Formula | Callable[..., Any],
        variables: Sequence[SymbolLike] | None = None,
        **values: float,
    ) -> ElementwiseField:
        """Return the right-hand side for a concrete loss and numbers for the parameters.

        Parameters
        ----------
        loss : sympy.Expr or callable
            The loss, or its gradient written in smooth NumPy operations; its derivatives
            of all orders are taken exactly.
        variables : sequence of symbols, optional
            Of a SymPy loss, in order.
        **values : float
            The step and every parameter, by name.

        Raises
        ------
        InputError
            Missing or unknown parameters; a loss that is not smooth.
        """
        return self._field(loss, variables, values)


@checked
@dataclass(frozen=True, repr=False)
class ElementwiseMap(ElementwiseSeries):
    """The one-step map without memory, `w_{k+1} - w_k` on the slow manifold.

    Attributes
    ----------
    moves : tuple of Polynomial
        As `rates`: the move, divided by the step, with what the memories hold put in.
    """

    moves: tuple[Polynomial, ...]
    left_hand_side: ClassVar[str] = "w_{k+1} - w_k"
    _lowest: ClassVar[int] = 1

    __hash__ = ElementwiseSeries.__hash__

    @property
    def _outside(self) -> tuple[Polynomial, ...]:
        return self.moves

    def iteration(
        self,
        loss: Formula | Callable[..., Any],
        variables: Sequence[SymbolLike] | None = None,
        **values: float,
    ) -> ElementwiseIteration:
        """Return the map for a concrete loss.

        `loss`, `variables` and `values` are those of `ElementwiseEquation.rhs`.
        """
        return ElementwiseIteration(self._field(loss, variables, values))


@checked
@dataclass(frozen=True, repr=False)
class ElementwiseIteration:
    """A map without memory for a concrete loss: from w_k to w_{k+1}."""

    increment: ElementwiseField

    def __call__(self, w: Vector) -> Array:
        """Return the next iterate."""
        return w + self.increment.step * self.increment(w)

    def run(self, w: Vector, steps: Steps) -> Array:
        """Return the iterates from w on, shape (steps + 1, ..., variables)."""
        path = [w]
        for _ in range(steps):
            path.append(self(path[-1]))
        return np.stack(path)

    def __repr__(self) -> str:
        return f"<ElementwiseIteration, {self.increment.order} corrections>"


def components(
    rows: Sequence[tuple[sp.Expr, Bush]],
    loss: sp.Expr,
    unknowns: Mapping[sp.Symbol, tuple[sp.Symbol, ...]],
) -> tuple[sp.Expr, ...]:
    """Return a sum over decorated trees for a loss, as one expression for each component.

    Parameters
    ----------
    rows : sequence of (function, bush)
    loss : sympy.Expr
    unknowns : mapping
        The weight, and memories that functions depend on, each with its components; those
        of the weight are the variables of the loss.
    """
    variables = unknowns[symbols.w]
    held = {**unknowns, symbols.g: tuple(sp.diff(loss, x) for x in variables)}
    algebra: Any = _Written(variables, held)
    total = [sp.S.Zero] * len(variables)
    for c, bush in rows:
        total = [a + b for a, b in zip(total, valued(c, bush, algebra), strict=True)]
    return tuple(total)


@dataclass(frozen=True)
class _Written:
    """Terms as expressions of the variables of a loss, one for each component."""

    variables: tuple[sp.Symbol, ...]
    held: Mapping[sp.Symbol, tuple[sp.Expr, ...]]

    def function(self, c: sp.Expr) -> tuple[sp.Expr, ...]:
        rows = zip(*self.held.values(), strict=True)
        return tuple(
            c.subs(dict(zip(self.held, row, strict=True)), simultaneous=True) for row in rows
        )

    def product(self, a: tuple[sp.Expr, ...], b: tuple[sp.Expr, ...]) -> tuple[sp.Expr, ...]:
        return tuple(x * y for x, y in zip(a, b, strict=True))

    def derivative(self, branches: Sequence[tuple[sp.Expr, ...]]) -> tuple[sp.Expr, ...]:
        found = self.held[symbols.g]
        back: dict[sp.Symbol, sp.Expr] = {}
        for branch in branches:
            # held as symbols: a branch is a vector at the point, not differentiated again
            held = [sp.Dummy() for _ in branch]
            back |= dict(zip(held, branch, strict=True))
            pairs = list(zip(held, self.variables, strict=True))
            found = tuple(sp.Add(*(d * sp.diff(f, x) for d, x in pairs)) for f in found)
        return tuple(f.xreplace(back) for f in found)
