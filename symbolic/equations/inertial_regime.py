r"""The inertial regime: momentum to its critical value, a second-order equation.

Let `A(e^D) = c_1 D + c_2 D^2 + ...` be the left side of a method. Where its
momentum parameter makes `c_1` vanish, two roots of `A` meet at 1 and the
iterates carry inertia. Near there the natural units are

    eps = gamma C / c_1      (time of one step; C = sum_i c_i),
    lambda = c_2* eps / c_1  (c_2* is c_2 at the critical value),

so that the leading equation reads `lambda w'' + w' = f(w)`, and `x = eps/lambda
= c_1 / c_2*` is the one small number left: for heavy ball `eps = gamma/(1-beta)`,
`lambda = gamma/(1-beta)^2`, `x = 1 - beta`.

In units of lambda, `w'' = Phi(w, w')` is a series over trees with velocity
leaves whose coefficients are power series in x, and a tree of n nodes carries
`lambda^(n-2)`. With `D` the derivative along `(w, v)' = (v, Phi)`, the closure is

    c_2 Phi = c_2* (sum_i (c_i/C) f(w + delta_i) - v) - sum_{m >= 3} c_m x^(m-2) D^m w,
    delta_i = sum_{m >= 1} b_{i,m} x^m D^m w,

and each pass through it makes one more power of x right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from momentumflow.base.errors import InputError
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.methods.recurrences import Recurrence
from momentumflow.symbolic.rings import Element, NotPolynomialError, SeriesRing, factored
from momentumflow.symbolic.trees.rooted_trees import FIELD, VELOCITY, Tree, trees_up_to

Series = dict[Tree, Element]


@dataclass(frozen=True)
class InertialScaling:
    """Units in which a method becomes a second-order equation.

    Attributes
    ----------
    time_step : sympy.Expr
        `eps` in the method's parameters.
    intrinsic : sympy.Expr
        `lambda` in the method's parameters.
    ratio : sympy.Expr
        `x = eps/lambda`, the small number.
    critical : sympy.Expr
        The value of the momentum parameter at which `x = 0`.
    """

    time_step: sp.Expr
    intrinsic: sp.Expr
    ratio: sp.Expr
    critical: sp.Expr


def inertial_scaling(method: MomentumMethod) -> InertialScaling:
    """Return the units of the inertial regime of a method.

    Raises
    ------
    InputError
        If no symbolic momentum parameter makes a second root of the left side
        reach 1.
    """
    recurrence, momentum = method.recurrence, method.momentum
    c1 = recurrence.left_moment(1)
    if momentum is None or momentum not in c1.free_symbols:
        raise InputError(
            "a method with a symbolic momentum parameter for the inertial regime",
            str(method),
            'leave the parameter symbolic, name it as momentum=..., or take regime="slow"',
        )
    roots = [
        root
        for root in sp.roots(sp.numer(sp.together(c1)), momentum)
        if root.is_number and root.is_nonnegative
    ]
    if len(roots) != 1 or not roots[0].is_Rational:
        raise InputError(
            "one non-negative fraction as the critical value of the momentum parameter",
            f"{roots or 'none'} from {sp.factor(c1)} = 0",
        )
    critical = roots[0]
    c2_star = sp.factor(recurrence.left_moment(2).subs(momentum, critical))
    if c2_star == 0 or sp.diff(c1, momentum).subs(momentum, critical) == 0:
        raise InputError(
            f"a second derivative in the leading equation at {momentum} = {critical}",
            f"the left side {recurrence.left_polynomial(sp.Symbol('E'))}",
        )
    # the unit of time in which the leading terms c_2* tau^2 w'' + c_1 tau w' = gamma C f
    # have one and the same coefficient at w' and at f
    drive = method.step * recurrence.total_weight
    time_step = drive / c1
    intrinsic = c2_star * time_step**2 / drive
    return InertialScaling(
        factored(time_step), factored(intrinsic), factored(c1 / c2_star), critical
    )


@dataclass(frozen=True)
class InertialSeries:
    """The closed second-order equation and its start, in units of lambda.

    Attributes
    ----------
    order : int
        The highest power of x that is right.
    acceleration : dict
        Tree to its series in x: `Phi = sum lambda^(n-2) Phi(tau)/sigma(tau) F(tau)`.
    velocity : dict or None
        `w'(0)`, alike with `lambda^(n-1)`, over trees without velocity leaves;
        None where one backward value does not tie it.
    """

    ring: SeriesRing
    order: int
    scaling: InertialScaling
    acceleration: Series
    velocity: Series | None

    def coefficients(self, element: Element) -> list[sp.Expr]:
        """Return the coefficients of `x^0 ... x^order` that are kept."""
        return self.ring.coefficients(element)[: self.order + 1]


class _Closure:
    """What the closure of one method needs: its moments as power series in x.

    Attributes
    ----------
    ring : SeriesRing
    nodes : tuple of Tree
        The velocity and all trees that can occur.
    pole : int
        The power of 1/x in the gradient weights `c_i / C`: 0, or 1 for
        quasi-hyperbolic momentum. With 2 and more the leading equation would
        contain trees of every size.
    """

    def __init__(self, method: MomentumMethod, order: int, *, rational: bool) -> None:
        self.method = method
        self.scaling = inertial_scaling(method)
        others = tuple(s for s in method.parameters if s != method.momentum)
        self.ring = SeriesRing(4, others, rational=rational)
        self._momentum = self._solve_momentum()
        self.pole = self.ring.valuation(self.read(method.recurrence.total_weight))
        if self.pole > 1:
            raise InputError(
                "gradient weights whose sum vanishes at most once at the critical momentum",
                f"the sum {sp.factor(method.recurrence.total_weight)}",
            )
        self.ring = SeriesRing(order + 1 + self.pole, others, rational=rational)
        self._momentum = self._solve_momentum()
        self.nodes = (VELOCITY, *trees_up_to(order + 1 + self.pole, velocity=True))
        self.critical_c2 = self.read(
            method.recurrence.left_moment(2).subs(method.momentum, self.scaling.critical)
        )

    def _solve_momentum(self) -> Element:
        """Return the momentum parameter as a series in x: the inverse of `x = c_1/c_2*`."""
        ratio, symbol = self.scaling.ratio, self.method.momentum
        slope = sp.diff(ratio, symbol).subs(symbol, self.scaling.critical)
        inverse_slope = self.ring.constant(1 / slope)
        value = self.ring.constant(self.scaling.critical)
        for _ in range(self.ring.precision):
            miss = self.ring.compose(ratio, symbol, value) - self.ring.variable
            value = value - self.ring.mul(miss, inverse_slope)
        return value

    def read(self, expr: sp.Expr) -> Element:
        """Return an expression in the parameters as a series in x."""
        return self.ring.compose(expr, self.method.momentum, self._momentum)

    def left(self, recurrence: Recurrence) -> list[Element]:
        """Return the moments `c_m` of a left side."""
        return [self.read(recurrence.left_moment(m)) for m in range(self.ring.precision + 3)]

    def weights(self, recurrence: Recurrence) -> list[Element]:
        """Return `x^pole c_i / C`, with the method's own C also for its start."""
        total = sp.factor(self.method.recurrence.total_weight / self.scaling.ratio**self.pole)
        return [self.read(sp.factor(p.weight / total)) for p in recurrence.gradients]

    def points(self, recurrence: Recurrence) -> list[list[Element]]:
        """Return the moments `b_{i,m}` of the gradient points."""
        return [
            [self.read(recurrence.point_moment(i, m)) for m in range(self.ring.precision + 1)]
            for i in range(len(recurrence.gradients))
        ]


def inertial_series(method: MomentumMethod, order: int) -> InertialSeries:
    """Return `w'' = Phi(w, w')` and `w'(0)` of a method through `x^order`."""
    try:
        return _closed(_Closure(method, order, rational=False), order)
    except NotPolynomialError:
        # further parameters enter by more than polynomials
        return _closed(_Closure(method, order, rational=True), order)


def _closed(closure: _Closure, order: int) -> InertialSeries:
    method = closure.method
    ring = closure.ring
    weights, points = closure.weights(method.recurrence), closure.points(method.recurrence)
    left = closure.left(method.recurrence)
    inverse_c2 = ring.inverse(left[2])

    phi: Series = {}
    for correct in range(ring.precision):
        # x^k comes with trees of at most k + 1 + pole nodes, so early passes need few
        nodes = [tau for tau in closure.nodes if tau.order <= correct + 1 + closure.pole]
        rows = _derivatives(phi, nodes, ring.precision + 2, ring)
        displaced = [_displacement(point, rows, ring) for point in points]
        field = _gradient_side(weights, displaced, nodes, ring)
        fresh: Series = {}
        for tau in nodes:
            drive = ring.over_variable(field.get(tau, ring.zero), closure.pole)
            value = ring.mul(closure.critical_c2, drive)
            if tau is VELOCITY:
                value = value - closure.critical_c2
            for m in range(3, ring.precision + 2):
                row = rows[m - 1].get(tau)
                if row is not None:
                    value = value - ring.times_variable(ring.mul(left[m], row), m - 2)
            value = ring.mul(value, inverse_c2)
            if value != 0:
                fresh[tau] = value
        phi = fresh
    velocity = _initial_velocity(closure, phi)
    return InertialSeries(
        ring,
        order,
        closure.scaling,
        _kept(phi, order),
        None if velocity is None else _kept(velocity, order),
    )


def _kept(series: Series, order: int) -> Series:
    cut = {tau: value.truncate(order + 1) for tau, value in series.items()}
    return {tau: value for tau, value in cut.items() if value != 0}


def _derivatives(
    phi: Series, nodes: Sequence[Tree], highest: int, ring: SeriesRing
) -> list[Series]:
    """Return `[D w, D^2 w, ..., D^highest w]` along `w' = v`, `v' = phi`."""
    rows: list[Series] = [{VELOCITY: ring.one}]
    for _ in range(highest - 1):
        rows.append(_derivative(rows[-1], phi, nodes, ring))
    return rows


def _derivative(row: Series, phi: Series, nodes: Sequence[Tree], ring: SeriesRing) -> Series:
    """Return the time derivative of a series: each `f` gains a leaf v, each leaf v becomes phi."""
    result: Series = {}
    of_velocity = row.get(VELOCITY)
    for tau in nodes:
        value = ring.zero
        for kept, fallen, times in tau.cuts:
            if fallen is VELOCITY and kept in row:
                value = value + row[kept] * times
        for left, branch, times in tau.replacements:
            if left in row and branch in phi:
                value = value + ring.mul(row[left], phi[branch]) * times
        if of_velocity is not None and tau in phi:
            value = value + ring.mul(of_velocity, phi[tau])
        if value != 0:
            result[tau] = value
    return result


def _gradient_side(
    weights: Sequence[Element],
    displaced: Sequence[Series],
    nodes: Sequence[Tree],
    ring: SeriesRing,
) -> Series:
    """Return `sum_i weight_i f(w + delta_i)` as a series over trees."""
    result: Series = {}
    for tau in nodes:
        if tau is VELOCITY:
            continue
        total = ring.zero
        for weight, delta in zip(weights, displaced, strict=True):
            term = weight
            for child in tau.children:
                term = ring.mul(term, delta.get(child, ring.zero))
            total = total + term
        if total != 0:
            result[tau] = total
    return result


def _displacement(point: Sequence[Element], rows: Sequence[Series], ring: SeriesRing) -> Series:
    """Return `sum_{m >= 1} point[m] x^m D^m w`."""
    delta: Series = {}
    for m in range(1, len(point)):
        if point[m] != 0:
            for tau, value in rows[m - 1].items():
                term = ring.times_variable(ring.mul(point[m], value), m)
                delta[tau] = delta[tau] + term if tau in delta else term
    return delta


def _initial_velocity(closure: _Closure, phi: Series) -> Series | None:
    """Return the v(0) for which the closed equation satisfies the method's start.

    The start relates `w_0` and `w_{-1}` only; a recurrence over more iterates
    is not tied by it, and neither is one whose start has no derivative term.
    """
    start, ring = closure.method.start, closure.ring
    shifts = closure.method.recurrence.shifts
    if start is None or max(shifts) - min(shifts) > 2 or start.left_moment(1) == 0:
        return None
    weights, points, left = closure.weights(start), closure.points(start), closure.left(start)
    inverse = ring.inverse(left[1])
    rows = _derivatives(phi, closure.nodes, ring.precision + 1, ring)
    plain = [tau for tau in closure.nodes if tau.velocities == 0]

    velocity: Series = {}
    for _ in range(ring.precision):
        placed = [_substitute(row, velocity, plain, ring) for row in rows]
        displaced = [_displacement(point, placed, ring) for point in points]
        field = _gradient_side(weights, displaced, plain, ring)
        fresh: Series = {}
        for tau in plain:
            # gamma = x^2 c_2* / C in units of lambda, one power of x divided out
            drive = ring.mul(closure.critical_c2, field.get(tau, ring.zero))
            value = ring.over_variable(ring.times_variable(drive, 1), closure.pole)
            for m in range(2, ring.precision + 1):
                row = placed[m - 1].get(tau)
                if row is not None:
                    value = value - ring.times_variable(ring.mul(left[m], row), m - 1)
            value = ring.mul(value, inverse)
            if value != 0:
                fresh[tau] = value
        velocity = fresh
    return velocity


def _substitute(row: Series, velocity: Series, plain: Sequence[Tree], ring: SeriesRing) -> Series:
    """Return a series with every velocity leaf replaced by the series `velocity`."""
    result: Series = {}
    for tau in plain:
        total = ring.zero
        if VELOCITY in row and tau in velocity:
            total = ring.mul(row[VELOCITY], velocity[tau])
        for left, branches in tau.unfoldings:
            term = row.get(left)
            for branch in branches:
                if term is None:
                    break
                term = ring.mul(term, velocity[branch]) if branch in velocity else None
            if term is not None:
                total = total + term
        if total != 0:
            result[tau] = total
    return result


__all__ = ["FIELD", "InertialScaling", "InertialSeries", "inertial_scaling", "inertial_series"]
