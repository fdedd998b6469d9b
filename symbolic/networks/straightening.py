r"""Straightening coordinates: `phi` with `phi' = 1/D`, D the push on a weight.

For one coordinate `theta = sum_i G_i(w_i)` (u v is one after a rotation) gradient
flow moves each weight by `w_i' = -D_i(w_i) dL/dtheta`, with `D_i = G_i'` in the user's
own weights. In `phi_i` it is `phi_i' = -dL/dtheta`, the same for all weights of a
coordinate, whatever the map. Momentum bends it:

    lambda phi_i'' + phi_i' = -dL/dtheta + lambda phi_i''(w_i) (w_i')^2,

for u v the Riccati remainder `-lambda (w'/w)^2` of Papazov, Pesme, Flammarion
(arXiv 2403.05293, section 4). Where phi or its inverse has no closed form, numbers
take its place (`momentumflow.numeric.potential_of_map`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.citations import PPF
from momentumflow.base.errors import InputError
from momentumflow.base.values import Formulated, FrozenMapping
from momentumflow.symbolic import symbols
from momentumflow.symbolic.expressions import Formula, SymbolLike, all_of, canonical, symbol
from momentumflow.symbolic.identities import Identity
from momentumflow.symbolic.networks.closed_forms import antiderivative, solutions, tidy
from momentumflow.symbolic.networks.diagonal_network import SeparableNetwork
from momentumflow.symbolic.point_values import NoValueError, value_at
from momentumflow.symbolic.printing import as_latex

mu = sp.Symbol("mu", real=True)  # the dual variable, minus the integral of dL/dtheta
STARTS = (sp.Rational(7, 10), sp.Rational(23, 20), sp.Rational(13, 5))
_TOLERANCE = 1e-8  # of the comparison with an integrated flow
_KINKS = (sp.Abs, sp.sign, sp.Max, sp.Min, sp.Piecewise)


def velocity_of(weight: sp.Symbol) -> sp.Symbol:
    """Return the symbol of the velocity of a weight."""
    return sp.Symbol(f"{weight.name}'", real=True)


@dataclass(frozen=True)
class StraightWeight:
    """One weight of a sum `theta = sum_i G_i(w_i)`, with its straightening coordinate.

    Attributes
    ----------
    weight : sympy.Symbol
        w, positive; a negative weight has the mirror image.
    start : sympy.Symbol
        Its value at the start.
    contribution : sympy.Expr
        G(w).
    push : sympy.Expr
        D(w): what gradient flow moves w by for each unit of -dL/dtheta.
    straight : sympy.Expr or None
        phi(w) with phi' = 1/D; None where no closed form was found.
    path : sympy.Expr or None
        w after the flow for the time mu, the inverse of phi from the start;
        None where no closed form was found.
    """

    weight: sp.Symbol
    start: sp.Symbol
    contribution: sp.Expr
    push: sp.Expr
    straight: sp.Expr | None
    path: sp.Expr | None

    @property
    def obstacle(self) -> str:
        """What has no closed form, in one sentence; "" if everything has."""
        if self.path is not None:
            return ""
        inverse = "" if self.straight is None else "the inverse of "
        return (
            f"no closed form was found for {inverse}the straightening coordinate of "
            f"{self.contribution}, phi' = 1/({self.push}); runs and predictions take it by "
            "quadrature"
        )

    @cached_property
    def remainder(self) -> sp.Expr:
        """What momentum adds: `lambda phi''(w) (w')^2`, of the weight and its velocity."""
        speed = velocity_of(self.weight)
        return sp.simplify(symbols.lam * sp.diff(1 / self.push, self.weight) * speed**2)

    def slope_follows(self) -> bool:
        """Whether phi, if there is one, has the derivative that it should, by numbers."""
        slope = sp.diff(self.straight, self.weight) * self.push
        return all(has_value(slope, {self.weight: at}, 1.0) for at in STARTS)


@checked
@dataclass(frozen=True, repr=False)
class Straightening(Formulated):
    """A separable map as a sum of functions of one straightened weight each.

    Attributes
    ----------
    parameter : sympy.Expr
        G in the user's weights.
    rotation : mapping
        The user's weights by the straightened ones (the identity where G is a
        sum already).
    weights : tuple of StraightWeight
    """

    parameter: sp.Expr
    rotation: Mapping[sp.Symbol, sp.Expr]
    weights: tuple[StraightWeight, ...]

    @property
    def obstacles(self) -> tuple[str, ...]:
        """What has no closed form: a sentence for each such weight."""
        return tuple(item.obstacle for item in self.weights if item.obstacle)

    @cached_property
    def coordinates(self) -> Mapping[sp.Symbol, sp.Expr]:
        """The straightened weights by the user's."""
        rotated = sorted(set().union(*(e.free_symbols for e in self.rotation.values())), key=str)
        equations = [weight - expression for weight, expression in self.rotation.items()]
        solved = sp.solve(equations, rotated, dict=True)[0]
        return FrozenMapping({item.weight: solved[item.weight] for item in self.weights})

    @cached_property
    def network(self) -> SeparableNetwork:
        """The network in its straightened weights, where each feels itself alone."""
        free = {item.weight: sp.Symbol(item.weight.name, real=True) for item in self.weights}
        return SeparableNetwork(
            tuple(free.values()),
            sp.Add(*(item.contribution for item in self.weights)).xreplace(free),
            force=tuple(-symbols.g * item.push.xreplace(free) for item in self.weights),
            name="straightened",
        )

    @cached_property
    def identities(self) -> tuple[Identity, ...]:
        """The statements this rests on, for SymPy to prove."""
        result = []
        for item in self.weights:
            w, name = item.weight, f"{self.parameter}, weight {item.weight}"
            if item.straight is not None:
                result.append(
                    Identity(
                        f"{name}: the straightening coordinate",
                        sp.diff(item.straight, w) * item.push,
                        sp.S.One,
                    )
                )
            if item.path is not None:
                result.append(
                    Identity(
                        f"{name}: the path follows grad g",
                        sp.diff(item.path, mu),
                        item.push.subs(w, item.path),
                    )
                )
            result.append(self._momentum_identity(item, name))
        return tuple(result)

    def _momentum_identity(self, item: StraightWeight, name: str) -> Identity:
        """State what momentum adds; phi enters by its derivative alone, closed form or not."""
        t, lam = symbols.t, symbols.lam
        W = sp.Function("w", positive=True)(t)
        g = sp.Function("g", real=True)(t)
        push = item.push.subs(item.weight, W)
        rate = sp.diff(W, t) / push  # phi(w)'
        speed = velocity_of(item.weight)
        return Identity(
            f"{name}: what momentum adds",
            lam * sp.diff(rate, t) + rate,
            -g + item.remainder.subs({item.weight: W, speed: sp.diff(W, t)}),
            assumptions="lambda w'' + w' = -g(t) D(w) with g = dL/dtheta; phi(w)' = w'/D(w)",
            relations=(("momentum flow", sp.diff(W, t, 2), (-g * push - sp.diff(W, t)) / lam),),
            source=f"{PPF}, section 4",
        )

    def __repr__(self) -> str:
        return f"<Straightening of theta = {self.parameter}>"

    def __str__(self) -> str:
        lines = [f"theta = {self.parameter}"]
        for item in self.weights:
            shown = item.straight if item.straight is not None else f"int 1/({item.push})"
            lines += [f"phi({item.weight}) = {shown}", f"momentum adds: {item.remainder}"]
        return "\n".join([*lines, *self.obstacles])

    def _formula(self) -> str:
        rows = [f"\\theta &= {as_latex(self.parameter)}"]
        for item in self.weights:
            phi = item.straight
            if phi is None:
                phi = sp.Integral(1 / item.push, item.weight)
            rows.append(f"\\phi({as_latex(item.weight)}) &= {as_latex(phi)}")
        return "\\begin{aligned}" + " \\\\ ".join(rows) + "\\end{aligned}"


@checked
def straightened(
    parameter: Formula | SeparableNetwork,
    weights: Sequence[SymbolLike] | None = None,
    *,
    equal_start: bool = False,
) -> Straightening:
    """Write a separable map in weights that feel themselves alone, and straighten each.

    Parameters
    ----------
    parameter : expression, str or SeparableNetwork
        G, such as `u*v`, `u**2 - v**2`, `sinh(u)` or `u**5 - v**5`.
    weights : sequence of symbols, optional
        The weights; all symbols of G, sorted, if not given.
    equal_start : bool
        Whether all straightened weights start at one value alpha.

    Returns
    -------
    Straightening
        The straightening coordinates, in closed form where one was found and, held
        against an integrated flow, is right; `obstacles` says what has none.

    Raises
    ------
    InputError
        If G is not smooth, or neither a sum of functions of one weight each nor a
        quadratic form.

    Examples
    --------
    >>> from momentumflow.symbolic import straightened
    >>> print(straightened("sinh(u)"))
    theta = sinh(u)
    phi(u) = 2*atan(exp(u))
    momentum adds: -lambda*u'**2*sinh(u)/cosh(u)**2
    """
    network = parameter if isinstance(parameter, SeparableNetwork) else None
    given = parameter if network is None else network.parameter
    expr = canonical(given, "a map of the weights")
    if network is not None:
        names: tuple[sp.Symbol, ...] = network.coordinates
    elif weights is not None:
        names = all_of(weights, symbol, "the weights")
    else:
        names = tuple(sorted(expr.free_symbols, key=lambda s: str(s.name)))
    expr = smooth_map(expr, names)
    rotation, pieces = _as_sum(expr, names)
    pushes = {w: sp.diff(piece, w) for w, piece in pieces.items()}
    if network is not None and set(pieces) == {rotation[w] for w in names}:
        forces = zip(names, network.force, strict=True)
        pushes = {rotation[w]: sp.cancel(-f / symbols.g).subs(rotation) for w, f in forces}
    straight = []
    for w, piece in pieces.items():
        foreign = pushes[w].free_symbols - {w}
        if foreign:
            raise InputError(
                "a force on each weight that depends on this weight alone",
                f"{pushes[w]} on {w}",
            )
        straight.append(_straighten(w, piece, pushes[w], equal_start=equal_start))
    return Straightening(expr, FrozenMapping(rotation), tuple(straight))


def smooth_map(value: Any, weights: Sequence[sp.Symbol]) -> sp.Expr:
    """Return a map of the weights as an expression.

    Raises
    ------
    InputError
        If it has other symbols or a kink.
    """
    expr = canonical(value, "a map of the weights")
    foreign = sorted(str(s) for s in expr.free_symbols - set(weights))
    if foreign:
        raise InputError(
            f"a map of the weights {', '.join(map(str, weights))}", f"also {', '.join(foreign)}"
        )
    if expr.has(*_KINKS):
        raise InputError("a smooth map", f"{expr}")
    return expr


def _straighten(
    weight: sp.Symbol, piece: sp.Expr, push: sp.Expr, *, equal_start: bool
) -> StraightWeight:
    """Solve `dw/dmu = D(w)` by quadrature; the branch is the one that the flow takes."""
    start = symbols.alpha if equal_start else sp.Symbol(f"{weight.name}(0)", positive=True)
    straight = antiderivative(1 / push, weight)
    found = StraightWeight(weight, start, piece, push, straight, None)
    if straight is None or not found.slope_follows():
        return StraightWeight(weight, start, piece, push, None, None)
    for candidate in solutions(straight, weight, straight.subs(weight, start) + mu):
        if all(_follows(candidate, start, push, weight, begin) for begin in STARTS):
            return StraightWeight(weight, start, piece, push, straight, tidy(candidate))
    return found


def _as_sum(
    expr: sp.Expr, names: tuple[sp.Symbol, ...]
) -> tuple[dict[sp.Symbol, sp.Expr], dict[sp.Symbol, sp.Expr]]:
    """Write G as a sum of functions of one weight each, rotating a quadratic form if need be."""
    pieces = _separate(expr, names)
    if pieces is not None:
        positive = {w: sp.Symbol(w.name, positive=True) for w in names}
        rotation = dict(positive)
        return rotation, {positive[w]: p.subs(w, positive[w]) for w, p in pieces.items()}
    polynomial = sp.Poly(expr, *names) if expr.is_polynomial(*names) else None
    if polynomial is None or not polynomial.is_homogeneous or polynomial.total_degree() != 2:
        raise InputError(
            "a map that is a sum of functions of one weight each, or a quadratic form",
            str(expr),
            "write a product of D weights that start equal as u**D",
        )
    basis, diagonal = sp.hessian(expr, names).diagonalize(normalize=True)
    if len(names) == 2:
        rotated = [sp.Symbol("r_+", positive=True), sp.Symbol("r_-", positive=True)]
        order = sorted(range(2), key=lambda i: -diagonal[i, i])
    else:
        rotated = [sp.Symbol(f"r_{i + 1}", positive=True) for i in range(len(names))]
        order = list(range(len(names)))
    values = [diagonal[i, i] for i in order]
    columns = sp.Matrix.hstack(*(basis[:, i] for i in order))
    rotation = dict(zip(names, columns * sp.Matrix(rotated), strict=True))
    return rotation, {
        r: value * r**2 / 2 for r, value in zip(rotated, values, strict=True) if value != 0
    }


def _separate(expr: sp.Expr, names: tuple[sp.Symbol, ...]) -> dict[sp.Symbol, sp.Expr] | None:
    """Return g_i with G = sum g_i(w_i), or None."""
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            if sp.simplify(sp.diff(expr, a, b)) != 0:
                return None
    zero = dict.fromkeys(names, sp.S.Zero)
    constant = expr.subs(zero)
    if not constant.is_finite:
        terms = sp.Add.make_args(sp.expand(expr))
        pieces = {w: sp.Add(*(term for term in terms if term.has(w))) for w in names}
        pieces[names[0]] += sp.Add(*(term for term in terms if not term.free_symbols))
        return pieces if sp.simplify(sp.Add(*pieces.values()) - expr) == 0 else None
    return {w: expr.subs({**zero, w: w}) - constant * int(i > 0) for i, w in enumerate(names)}


def _follows(
    candidate: sp.Expr, start: sp.Symbol, slope: sp.Expr, weight: sp.Symbol, begin: sp.Rational
) -> bool:
    """Whether a closed form is the flow from a start, integrated towards both sides."""
    span = span_of(slope, weight, begin)
    return span is not None and all(
        has_value(candidate, {start: begin, mu: time}, reached(slope, weight, begin, time))
        for time in (sp.S.Zero, span, -span)
    )


def span_of(slope: sp.Expr, weight: sp.Symbol, start: sp.Rational) -> sp.Rational | None:
    """Return a tenth of the time in which a weight or its slope changes by its own size.

    So the flow stays away from its singularities; None where it is not defined.
    """
    try:
        speed, bend = (
            abs(complex(value_at(e, {weight: start}))) for e in (slope, sp.diff(slope, weight))
        )
    except NoValueError:
        return None
    rate = speed / float(start) + bend
    return sp.Rational(max(1, round(10_000 / rate)), 100_000) if rate > 1e-4 else sp.Rational(1, 10)


def reached(slope: sp.Expr, weight: sp.Symbol, start: sp.Rational, time: sp.Rational) -> float:
    """Integrate `dw/dmu = slope(w)` from a start by Runge and Kutta; nan off the map's domain."""
    speed = sp.lambdify(weight, slope, "math")
    w, steps = float(start), 100
    h = float(time) / steps
    try:
        for _ in range(steps):
            a = speed(w)
            b = speed(w + h * a / 2)
            c = speed(w + h * b / 2)
            w += h * (a + 2 * b + 2 * c + speed(w + h * c)) / 6
    except (ArithmeticError, ValueError):
        return math.nan
    return w


def has_value(expr: sp.Expr, at: dict[sp.Symbol, Any], expected: float) -> bool:
    """Whether an expression has a value at a point, to the accuracy of an integrated flow."""
    if expr.has(sp.I):  # it may be real all the same, but numbers of the machine make it complex
        return False
    try:
        found = complex(value_at(expr, at))
    except NoValueError:
        return False
    return abs(found - expected) <= _TOLERANCE * (1e-3 + abs(expected))
