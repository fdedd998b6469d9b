"""The straightened weights of a map, compiled: closed forms where there are, else by numbers."""

from __future__ import annotations

import math

import sympy as sp

from momentumflow.numeric.implicit.straight_weights import NumericWeight
from momentumflow.symbolic.codegen.compiled import kernel
from momentumflow.symbolic.networks.straightening import Straightening, StraightWeight, mu


def numeric_weights(found: Straightening) -> tuple[NumericWeight, ...]:
    """Return the weights of a straightened map as functions of numbers."""
    return tuple(map(_weight, found.weights))


def _weight(item: StraightWeight) -> NumericWeight:
    w = item.weight
    push = item.push
    critical = _value(push, w, sp.S.Zero) == 0
    mirrored = item.contribution.subs(w, -w)
    parity = 0
    for sign in (1, -1):
        if sp.simplify(mirrored - sign * item.contribution) == 0:
            parity = sign
    straight = path = None
    bounds = (-math.inf, math.inf)
    if item.straight is not None and not _turns(push, w):
        straight = kernel(_real(item.straight), [w], name="straight")
        if item.path is not None:
            path = kernel(item.path, [item.start, mu], name="path")
        ends = [_limit(item.straight, w, end) for end in _ends(critical)]
        bounds = (min(ends), max(ends))
    return NumericWeight(
        name=w.name,
        contribution=kernel(item.contribution, [w], name="contribution"),
        gradient=kernel(sp.diff(item.contribution, w), [w], name="gradient"),
        push=kernel(push, [w], name="push"),
        bend=kernel(sp.diff(push, w), [w], name="bend"),
        critical=critical,
        parity=parity,
        straight=straight,
        path=path,
        bounds=bounds,
    )


def reach_of(found: Straightening) -> tuple[float, float]:
    """Return the open interval of theta that weights above zero can reach."""
    low = high = 0.0
    for item in found.weights:
        critical = _value(item.push, item.weight, sp.S.Zero) == 0
        ends = [_limit(item.contribution, item.weight, end) for end in _ends(critical)]
        low, high = low + min(ends), high + max(ends)
    if math.isnan(low) or math.isnan(high) or low >= high:
        return -math.inf, math.inf
    return low, high


def _ends(critical: bool) -> tuple[sp.Expr, sp.Expr]:
    return (sp.S.Zero if critical else -sp.oo), sp.oo


def _real(expr: sp.Expr) -> sp.Expr:
    """Logarithms of absolute values have the same derivative, on both sides of zero."""
    return expr.replace(sp.log, lambda argument: sp.log(sp.Abs(argument)))


def _value(expr: sp.Expr, w: sp.Symbol, at: sp.Expr) -> sp.Expr:
    free = sp.Symbol(w.name, real=True)  # a positive symbol has no value at zero
    return sp.simplify(expr.xreplace({w: free}).subs(free, at))


def _turns(push: sp.Expr, w: sp.Symbol) -> bool:
    """Whether D has a root away from zero, or may have one."""
    free = sp.Symbol(w.name, real=True)
    inside = sp.Interval.open(0, sp.oo)
    try:
        roots = sp.solveset(push.xreplace({w: free}), free, inside)
    except (NotImplementedError, ValueError, TypeError):
        return False
    return bool(isinstance(roots, sp.FiniteSet) and len(roots) > 0)


def _limit(expr: sp.Expr, w: sp.Symbol, end: sp.Expr) -> float:
    free = sp.Symbol(w.name, real=True)
    try:
        found = complex(sp.limit(expr.xreplace({w: free}), free, end, "+" if end == 0 else "-"))
    except (NotImplementedError, ValueError, TypeError):
        return math.nan
    return found.real
