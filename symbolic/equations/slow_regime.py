"""The slow regime: parameters fixed, step to zero, a first-order equation.

On the attracting slow manifold the iterates of `A(E) w = gamma sum_i c_i f(B_i(E) w)`
follow `w' = G(w)`, one step per unit time, with `G` a series over trees. With
`D` the derivative along `G` and `E = exp(D)`,

    c_1 G = gamma sum_i c_i f(w + delta_i) - sum_{m >= 2} c_m D^m w,
    delta_i = sum_{m >= 1} b_{i,m} D^m w,

and since `D^m w` with m >= 2 at a tree needs `G` at smaller trees only, one
pass over the trees by size solves it.

Two choices make high orders cheap. A term of `D^m w` with n nodes has the
denominator `kappa^(2n-m)`, `kappa = c_1 q` (q the common denominator of the
gradient points), so the pass runs over polynomials with the denominators
cleared. And by the product rule `(D a)(tau)` is the sum over the cut edges of
`a(what keeps the root) G(what falls off)` (Hairer, Lubich, Wanner, *Geometric
Numerical Integration*, lemma IX.9.1), so the whole sum over m needs a single
product for each cut: `(sum_m c_m D^m w)(tau) = sum_cuts U(kept) G(fallen)`
with `U = sum_m c_m D^(m-1) w` known from the smaller trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import sympy as sp

from momentumflow.symbolic.methods.recurrences import Recurrence
from momentumflow.symbolic.rings import Element, PolynomialRing
from momentumflow.symbolic.trees.rooted_trees import Tree, trees_of_order


@dataclass(frozen=True)
class SlowSeries:
    """The flow and the memoryless map of a method as series over trees.

    The coefficient of `gamma^n F(tau) / sigma(tau)` for a tree of n nodes is
    `flow[tau] / kappa^(2n-1)`, and the map `w + sum ...` has `map[tau]` alike.
    """

    ring: PolynomialRing
    kappa: sp.Expr
    flow: dict[Tree, Element]
    map: dict[Tree, Element]

    def coefficient(self, element: Element, order: int, *others: sp.Expr) -> sp.Expr:
        """Return the coefficient that `element` stands for, times `others`, factored."""
        return self.ring.quotient(element, self.kappa, 2 * order - 1, *others)


def slow_series(recurrence: Recurrence, order: int) -> SlowSeries:
    """Return flow and map of a recurrence up to trees of `order` nodes."""
    ring, data = _prepare(recurrence, order)
    left, weights, points, kappa_expr, kappa, q = data

    kappa_powers = [ring.one]
    for _ in range(order):
        kappa_powers.append(kappa_powers[-1] * kappa)
    # U sums D^(m-1) w over m with the left side's weights, V with those of exp(D)
    left_scaled = {m: -left[m] * q * kappa_powers[m - 2] for m in range(2, order + 1)}
    map_scaled = {
        m: ring.from_sympy(sp.S.One / sp.factorial(m)) * kappa_powers[m - 1]
        for m in range(2, order + 1)
    }
    point_scaled = [
        {m: row[m] * left[1] * kappa_powers[m - 1] for m in range(1, order + 1)} for row in points
    ]
    only_here = all(e == 0 for row in point_scaled for e in row.values())

    flow: dict[Tree, Element] = {}
    step_map: dict[Tree, Element] = {}
    derivatives: dict[Tree, list[Element]] = {}  # [D w, D^2 w, ...], scaled
    u: dict[Tree, Element] = {}
    v: dict[Tree, Element] = {}
    displaced: list[dict[Tree, Element]] = [{} for _ in points]
    total_weight = reduce(lambda a, b: a + b, weights)

    for n in range(1, order + 1):
        for tau in trees_of_order(n):
            value, beyond = ring.zero, ring.zero
            for kept, fallen, times in tau.cuts:
                times_flow = flow[fallen] * times if times > 1 else flow[fallen]
                value = value + u[kept] * times_flow
                beyond = beyond + v[kept] * times_flow
            if n == 1:
                value = total_weight * q
            elif not only_here:
                for weight, delta in zip(weights, displaced, strict=True):
                    term = weight * q
                    for child in tau.children:
                        term = term * delta[child]
                    value = value + term
            flow[tau] = value
            step_map[tau] = value + beyond
            if n == order:
                continue
            derivatives[tau] = rows = [value]
            for m in range(2, n + 1):
                row = ring.zero
                for kept, fallen, times in tau.cuts:
                    if kept.order >= m - 1:
                        row = row + derivatives[kept][m - 2] * flow[fallen] * times
                rows.append(row)
            u[tau] = _combine(rows, left_scaled, 1, ring)
            v[tau] = _combine(rows, map_scaled, 1, ring)
            if not only_here:
                for factors, delta in zip(point_scaled, displaced, strict=True):
                    delta[tau] = _combine(rows, factors, 0, ring)
    return SlowSeries(ring, kappa_expr, flow, step_map)


def _combine(
    rows: Sequence[Element], factors: dict[int, Element], offset: int, ring: PolynomialRing
) -> Element:
    """Return `sum_m factors[m] * D^(m - offset) w`, D w being rows[0]."""
    total = ring.zero
    for index, row in enumerate(rows):
        total = total + factors[index + 1 + offset] * row
    return total


def _prepare(
    recurrence: Recurrence, order: int
) -> tuple[
    PolynomialRing,
    tuple[list[Element], list[Element], list[list[Element]], sp.Expr, Element, Element],
]:
    """Clear denominators and read the moments of the recurrence into one ring.

    The recurrence is shifted so that its first gradient point that is a single
    iterate sits at shift 0; heavy ball then needs no displaced gradient at all.
    """
    for point in recurrence.gradients:
        if len(point.at) == 1:
            recurrence = recurrence.shifted(-point.at[0][0])
            break
    generators = tuple(sorted(recurrence.free_symbols, key=lambda s: str(s.name)))
    outer = _common_denominator(
        [a for _, a in recurrence.left] + [p.weight for p in recurrence.gradients]
    )
    inner = _common_denominator([b for p in recurrence.gradients for _, b in p.at])
    ring = PolynomialRing(generators)

    def read(expr: sp.Expr) -> Element:
        return ring.from_sympy(sp.expand(sp.cancel(expr)))

    left = [read(outer * recurrence.left_moment(m)) for m in range(order + 1)]
    weights = [read(outer * p.weight) for p in recurrence.gradients]
    points = [
        [read(inner * recurrence.point_moment(i, m)) for m in range(order + 1)]
        for i in range(len(recurrence.gradients))
    ]
    kappa_expr = sp.expand(sp.cancel(outer * inner * recurrence.left_moment(1)))
    return ring, (left, weights, points, kappa_expr, read(kappa_expr), read(inner))


def _common_denominator(expressions: list[sp.Expr]) -> sp.Expr:
    return reduce(sp.lcm, (sp.denom(sp.together(e)) for e in expressions), sp.S.One)
