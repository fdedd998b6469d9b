"""Equations written out for a concrete loss, a component at a time."""

from __future__ import annotations

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.symbolic import symbols
from momentumflow.symbolic.equations.inertial_optimiser import InertialSystem
from momentumflow.symbolic.expressions import Formula
from momentumflow.symbolic.series.elementwise_series import ElementwiseSeries
from momentumflow.symbolic.series.right_hand_side import check_loss
from momentumflow.symbolic.series.tree_series import TreeSeries


@checked
def written_out(
    series: TreeSeries | ElementwiseSeries | InertialSystem, loss: Formula
) -> dict[str, sp.Expr]:
    """Return an equation for a loss, a component at a time, with its start where it has one.

    Parameters
    ----------
    series : TreeSeries, ElementwiseSeries or InertialSystem
        Such as a `ModifiedEquation`, a `MemorylessMap`, or those of an optimiser.
    loss : sympy.Expr or str
        The loss F of its free symbols; the field is `-grad F`.

    Returns
    -------
    dict
        Left-hand sides such as `x''` and `x'(0)` to right-hand sides; `x'` there is
        the velocity of `x`, and `m_x` what the memory m holds for it.

    Raises
    ------
    InputError
        As `check_loss`.

    Examples
    --------
    >>> from momentumflow.symbolic import HeavyBall, modified_equation, written_out
    >>> written_out(modified_equation(HeavyBall(), 1, "slow"), "x**2/2")
    {"x'": -gamma*x/(1 - beta)}
    """
    expr, names = check_loss(loss, None)
    if isinstance(series, InertialSystem):
        unknowns = series.unknowns(names)
        found = series.specialise(expr, names)
        return {
            f"{s.name}'": part
            for x, parts in found.items()
            for s, part in zip(unknowns[x], parts, strict=True)
        }
    if isinstance(series, ElementwiseSeries):
        parts = series.specialise(expr, names)
    else:
        speed = [sp.Symbol(f"{x.name}'", real=True) for x in names]
        parts = series.specialise(expr, names, speed)
    left = series.left_hand_side
    lines = {left.replace(symbols.w.name, x.name): p for x, p in zip(names, parts, strict=True)}
    start = getattr(series, "initial_velocity", None)
    if start is not None:
        for x, component in zip(names, start.specialise(expr, names), strict=True):
            lines[f"{x.name}'(0)"] = component
    return lines
