r"""Whether an optimiser descends a modified loss, preconditioned by its own leading step.

In the slow regime `w' = V_0(q) + h c(q) grad q [V_0] + ...`, `q = grad L` and h the step.
The leading field is `-P grad L` with `P = -V_0/q`, and for every loss L this is the only P.
With A the primitive of `-V_0` and `|q|_A = sum_j A(q_j)`,

    grad |q|_A = grad q [-V_0],

so that the first correction is `-P grad(h kappa |q|_A)` exactly if `c/P` is a constant
kappa: the modified loss is then `L + h kappa |grad L|_A`. For Adam with eps = 0 it is
`L + h (tau_1 - tau_2) |grad L|_1`, `tau_i = b_i/(1 - b_i)` (Cattaneo, Klusowski, Shigida,
ICML 2024); with eps > 0 the factor c/P depends on q, and it is returned as the obstruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.errors import InputError
from momentumflow.base.values import Formulated
from momentumflow.symbolic import symbols
from momentumflow.symbolic.printing import as_latex, as_text
from momentumflow.symbolic.rings import factored
from momentumflow.symbolic.series.decorated_trees import outward
from momentumflow.symbolic.series.differential_polynomials import GRADIENT, Polynomial


class GradientStatus(Enum):
    """Whether the field is a gradient; the value says what can be done."""

    GRADIENT = "a gradient through the order asked for"
    OBSTRUCTED = "a gradient only through the order before the obstruction; the loss is cut there"


@checked
@dataclass(frozen=True, repr=False)
class PreconditionedLoss(Formulated):
    """U with `w' = -P grad U` through `order`, P the preconditioner of the leading step.

    Attributes
    ----------
    order : int
        Through which the field is `-P grad U`: 2 with the correction, else 1.
    status : GradientStatus
    step : sympy.Symbol
    preconditioner : sympy.Expr
        P, a function of the gradient g of a coordinate.
    correction : sympy.Expr
        What U adds to the loss, divided by the step: a function of g, summed over
        coordinates; 0 if obstructed.
    obstruction : sympy.Expr or None
        c/P where it depends on g: what `grad g [V_0]` would have to be multiplied by.
    """

    order: int
    status: GradientStatus
    step: sp.Symbol
    preconditioner: sp.Expr
    correction: sp.Expr
    obstruction: sp.Expr | None

    def _formula(self) -> str:
        more = rf" + {as_latex(self.step)} \sum_j \left({as_latex(self.correction)}\right)"
        tail = more if self.correction != 0 else ""
        return (
            rf"\dot w = -P \nabla U, \quad P = {as_latex(self.preconditioner)}, \quad U = L{tail}"
        )

    def __str__(self) -> str:
        more = f" + {self.step}*sum_j({as_text(self.correction)})" if self.correction != 0 else ""
        text = f"w' = -P grad U, P = {as_text(self.preconditioner)}, U = L{more}"
        if self.obstruction is not None:
            text += (
                f"\nno gradient at order {self.order + 1}: c/P = {as_text(self.obstruction)} "
                "depends on g"
            )
        return text

    def __repr__(self) -> str:
        return f"<PreconditionedLoss {self.status.name} through order {self.order}>"


def preconditioned_loss(
    name: str, step: sp.Symbol, terms: Sequence[Polynomial], flow: Polynomial
) -> PreconditionedLoss:
    """Return the modified loss of the terms through the first correction.

    Parameters
    ----------
    name : str
        Of the optimiser, for messages.
    step : sympy.Symbol
    terms : sequence of Polynomial
        The equation's or the map's, leading one first.
    flow : Polynomial
        The leading rate.

    Raises
    ------
    InputError
        If the leading step depends on w or t, so that it is no preconditioned gradient, or
        its primitive has no closed form.
    """
    leading = flow.get((), sp.S.Zero)
    if leading.has(symbols.w) or leading.has(symbols.t):
        raise InputError(
            "a leading step that depends on the gradient only",
            f"{outward(leading)} of {name}",
            "leave decay and schedule out: decay that is coupled belongs to the loss",
        )
    preconditioner = outward(sp.simplify(-leading / GRADIENT))
    if len(terms) < 2:
        return PreconditionedLoss(1, GradientStatus.GRADIENT, step, preconditioner, sp.S.Zero, None)
    factor = sp.S.Zero
    for key, c in terms[1].items():
        if key != (1,):
            raise InputError("a first correction in grad g [w'] only", f"{outward(c)} of {name}")
        factor = c
    ratio = sp.simplify(outward(factor) / preconditioner)
    if sp.simplify(sp.diff(_positive(ratio), _G)) != 0:
        obstruction = sp.factor(ratio)
        return PreconditionedLoss(
            1, GradientStatus.OBSTRUCTED, step, preconditioner, sp.S.Zero, obstruction
        )
    kappa = sp.factor(_positive(ratio))
    # A is even, as V_0 is odd: found for g > 0
    primitive = sp.integrate(sp.simplify(_positive(outward(-leading))), _G)
    if primitive.has(sp.Integral):
        raise InputError("a leading step whose primitive has a closed form", str(leading))
    primitive = sp.simplify(primitive - primitive.subs(_G, 0))
    correction = factored(kappa * primitive).subs(_G, sp.Abs(symbols.g))
    return PreconditionedLoss(2, GradientStatus.GRADIENT, step, preconditioner, correction, None)


_G = sp.Dummy("g", positive=True)


def _positive(expression: sp.Expr) -> sp.Expr:
    return expression.subs(symbols.g, _G)
