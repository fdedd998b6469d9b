r"""Reparametrisations theta = G(w): is gradient flow on w a mirror flow on theta, and which?

If the flows of all `grad G_j` commute, `w' = -grad (L o G)` makes theta follow the
mirror flow `(grad psi(theta))' = -grad L(theta)` of some psi (Li, Wang, Lee, Arora,
NeurIPS 2022, arXiv 2207.04036, theorem 4.8). Then `theta = grad psi*(mu)` is G
after the flow of `mu . grad G` from the start. Where a bracket is not even in the
kernel of the Jacobian, no psi works for all losses (theorem 4.15 there).

For one coordinate `theta = sum_i g_i(w_i)` (u v is one after a rotation) each
weight has a straightening coordinate phi_i with `phi_i' = 1/g_i'`, in which
gradient flow is `phi_i' = -dL/dtheta`. Momentum bends it:

    lambda phi_i'' + phi_i' = -dL/dtheta + lambda phi_i''(w_i) (w_i')^2,

for u v the Riccati remainder `-lambda (w'/w)^2` of Papazov, Pesme, Flammarion
(arXiv 2403.05293, section 4).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.citations import PPF
from momentumflow.base.errors import InputError
from momentumflow.base.values import FrozenMapping
from momentumflow.symbolic import symbols
from momentumflow.symbolic.expressions import Formula, SymbolLike, all_of, canonical, symbol
from momentumflow.symbolic.identities import Identity
from momentumflow.symbolic.networks.diagonal_network import SeparableNetwork
from momentumflow.symbolic.point_values import NoValueError, value_at

mu = sp.Symbol("mu", real=True)  # the dual variable, minus the integral of dL/dtheta
_STARTS = (sp.Rational(7, 10), sp.Rational(23, 20), sp.Rational(13, 5))
_TOLERANCE = 1e-8  # of the comparison with an integrated flow
_INTEGRABLE = (sp.Pow, sp.log, sp.asinh, sp.acosh, sp.atanh, sp.asin, sp.atan, sp.sin, sp.cos)
_SHORT = 200  # operations of an expression that is worth simplifying
_PPF = f"{PPF}, section 4"


class MirrorStatus(Enum):
    """Whether gradient flow on w is a mirror flow on theta; the value says what follows."""

    COMMUTING = "a mirror flow, from every start"
    OBSTRUCTED = "no mirror flow for all losses: a bracket moves theta"
    UNDECIDED = "brackets do not vanish but leave theta alone; look at brackets of higher order"


@checked
@dataclass(frozen=True, repr=False)
class Commutation:
    """The Lie brackets of the gradients of a parametrisation.

    Attributes
    ----------
    status : MirrorStatus
    brackets : mapping
        For each pair (i, j) whose bracket is not zero, its components.
    motion : mapping
        For the same pairs, how the bracket moves theta: the Jacobian times it.
    """

    status: MirrorStatus
    brackets: Mapping[tuple[int, int], tuple[sp.Expr, ...]]
    motion: Mapping[tuple[int, int], tuple[sp.Expr, ...]]

    def __repr__(self) -> str:
        pairs = ", ".join(map(str, self.brackets)) or "none"
        return f"<Commutation {self.status.name}: brackets that do not vanish: {pairs}>"

    def _repr_latex_(self) -> str:
        rows = [
            f"[\\nabla G_{{{i + 1}}}, \\nabla G_{{{j + 1}}}] &= {sp.latex(sp.Matrix(bracket))}"
            for (i, j), bracket in self.brackets.items()
        ] or ["\\text{all brackets} &= 0"]
        return "$\\displaystyle\\begin{aligned}" + " \\\\ ".join(rows) + "\\end{aligned}$"


@checked
def commutation(maps: Sequence[Formula], weights: Sequence[SymbolLike]) -> Commutation:
    """Decide symbolically whether gradient flow on the weights is a mirror flow on theta.

    Parameters
    ----------
    maps : sequence of expressions
        `theta_j = G_j(w)`.
    weights : sequence of symbols

    Returns
    -------
    Commutation
        The Lie brackets that do not vanish, and whether theta feels them.

    Raises
    ------
    InputError
        If a map is not smooth or has symbols that are no weights.

    References
    ----------
    Li, Wang, Lee, Arora, NeurIPS 2022, arXiv 2207.04036.
    """
    names = all_of(weights, symbol, "the weights")
    exprs = [_smooth_map(g, names) for g in all_of(maps, canonical, "the maps")]
    gradients = [sp.Matrix([sp.diff(g, w) for w in names]) for g in exprs]
    hessians = [sp.hessian(g, names) for g in exprs]
    brackets, motion = {}, {}
    for i in range(len(exprs)):
        for j in range(i + 1, len(exprs)):
            bracket = (hessians[i] * gradients[j] - hessians[j] * gradients[i]).applyfunc(
                sp.simplify
            )
            if any(entry != 0 for entry in bracket):
                brackets[i, j] = tuple(bracket)
                motion[i, j] = tuple(sp.simplify(g.dot(bracket)) for g in gradients)
    if not brackets:
        return Commutation(MirrorStatus.COMMUTING, FrozenMapping({}), FrozenMapping({}))
    moved = any(entry != 0 for entries in motion.values() for entry in entries)
    status = MirrorStatus.OBSTRUCTED if moved else MirrorStatus.UNDECIDED
    return Commutation(status, FrozenMapping(brackets), FrozenMapping(motion))


def _smooth_map(value: Any, weights: Sequence[sp.Symbol]) -> sp.Expr:
    expr = canonical(value, "a map of the weights")
    foreign = sorted(str(s) for s in expr.free_symbols - set(weights))
    if foreign:
        raise InputError(
            f"a map of the weights {', '.join(map(str, weights))}", f"also {', '.join(foreign)}"
        )
    for kink in (sp.Abs, sp.sign, sp.Max, sp.Min, sp.Piecewise):
        if expr.has(kink):
            raise InputError("a smooth map", f"{expr}")
    return expr


@dataclass(frozen=True)
class StraightWeight:
    """One weight of a sum `theta = sum_i g_i(w_i)`, with its straightening coordinate.

    Attributes
    ----------
    weight : sympy.Symbol
        w, positive; a negative weight has the mirror image.
    start : sympy.Symbol
        Its value at the start.
    contribution : sympy.Expr
        g(w).
    straight : sympy.Expr
        phi(w) with phi' = 1/g'.
    path : sympy.Expr
        w after the flow of grad g for the time mu.
    """

    weight: sp.Symbol
    start: sp.Symbol
    contribution: sp.Expr
    straight: sp.Expr
    path: sp.Expr

    @cached_property
    def remainder(self) -> sp.Expr:
        """What momentum adds: `lambda phi''(w) (w')^2`, of the weight and its velocity."""
        speed = velocity_of(self.weight)
        return sp.simplify(symbols.lam * sp.diff(self.straight, self.weight, 2) * speed**2)

    @cached_property
    def discrete_remainder(self) -> sp.Expr:
        """What momentum adds in one step of heavy ball, of w_{k-1}, w_k and w_{k+1}.

        The recurrence divided by `g'(w_k)`, less the same recurrence of phi: with
        its sum S, `(1-beta)(phi_inf - phi_0) = -gamma sum dL/dtheta - S`.
        """
        before, now, after = iterates_of(self.weight)
        slope = sp.diff(self.contribution, self.weight).subs(self.weight, now)

        def phi(point: sp.Symbol) -> sp.Expr:
            return self.straight.subs(self.weight, point)

        moved = (after - now) - symbols.beta * (now - before)
        straight = (phi(after) - phi(now)) - symbols.beta * (phi(now) - phi(before))
        return sp.expand_log(sp.expand(moved / slope - straight))


def velocity_of(weight: sp.Symbol) -> sp.Symbol:
    """Return the symbol of the velocity of a weight."""
    return sp.Symbol(f"{weight.name}'", real=True)


def iterates_of(weight: sp.Symbol) -> tuple[sp.Symbol, sp.Symbol, sp.Symbol]:
    """Return the symbols of w_{k-1}, w_k, w_{k+1} of a weight."""
    first, second, third = (
        sp.Symbol(f"{weight.name}_{{{k}}}", positive=True) for k in ("k-1", "k", "k+1")
    )
    return first, second, third


@checked
@dataclass(frozen=True, repr=False)
class MirrorFlow:
    """The mirror flow that gradient flow on the weights of one coordinate makes.

    Attributes
    ----------
    parameter : sympy.Expr
        G in the user's weights.
    rotation : mapping
        The user's weights by the straightened ones (the identity where G is a
        sum already).
    weights : tuple of StraightWeight
    dual_map : sympy.Expr
        `theta(mu) = (psi*)'(mu)`.
    """

    parameter: sp.Expr
    rotation: Mapping[sp.Symbol, sp.Expr]
    weights: tuple[StraightWeight, ...]
    dual_map: sp.Expr

    @cached_property
    def conjugate(self) -> sp.Expr:
        """psi*(mu), up to a constant."""
        found = sp.simplify(sp.integrate(self.dual_map, mu))
        # the constant of integration that makes logarithms real where the flow starts
        return found.replace(
            lambda e: isinstance(e, sp.log) and bool(e.args[0].subs(mu, 0).is_negative),
            lambda e: sp.log(-e.args[0]),
        )

    @cached_property
    def hessian_inverse(self) -> sp.Expr:
        """`1/psi''` at theta(mu): the metric that theta feels, of mu."""
        return sp.diff(self.dual_map, mu)

    @cached_property
    def gradient(self) -> sp.Expr | None:
        """psi'(theta), zero at the start; None where theta(mu) has no closed inverse.

        The branch is the one on which the integrated flow runs, on both sides of
        its start.
        """
        for candidate in _inverses(self.dual_map):
            if self._has_gradient(candidate):
                return candidate
        return None

    @cached_property
    def potential(self) -> sp.Expr | None:
        """psi(theta) in closed form up to a constant, or None; its derivative is checked."""
        if self.gradient is None:
            return None
        found = _antiderivative(self.gradient, symbols.theta)
        fits = found is not None and self._has_gradient(sp.diff(found, symbols.theta))
        return found if fits else None

    def _has_gradient(self, candidate: sp.Expr) -> bool:
        """Whether an expression is psi' where the integrated flow comes by."""
        return all(
            _has_value(candidate, starts | {symbols.theta: there}, float(time))
            for starts, time, there in self._passed
        )

    @cached_property
    def _passed(self) -> list[tuple[dict[sp.Symbol, Any], sp.Rational, sp.Float]]:
        """Starts, times of both signs, and where the flow, integrated, has brought theta."""
        found = []
        for k in range(len(_STARTS)):
            starts: dict[sp.Symbol, Any] = {}
            for i, item in enumerate(self.weights):  # no two equal by chance
                starts.setdefault(item.start, _STARTS[(k + i) % len(_STARTS)])
            slopes = [sp.diff(item.contribution, item.weight) for item in self.weights]
            begins = [starts[item.start] for item in self.weights]
            moved = [
                (item.weight, slope, begin)
                for item, slope, begin in zip(self.weights, slopes, begins, strict=True)
            ]
            spans = [_span(slope, weight, begin) for weight, slope, begin in moved]
            for time in (sp.S.Zero, *(sign * min(s for s in spans if s) for sign in (1, -1))):
                at = {w: sp.Float(_reached(slope, w, begin, time)) for w, slope, begin in moved}
                theta = sum(complex(value_at(item.contribution, at)).real for item in self.weights)
                found.append((starts, time, sp.Float(theta)))
        return found

    @cached_property
    def identities(self) -> tuple[Identity, ...]:
        """The statements this rests on, for SymPy to prove."""
        result = []
        for item in self.weights:
            w, name = item.weight, f"{self.parameter}, weight {item.weight}"
            slope = sp.diff(item.contribution, w)
            result.append(
                Identity(
                    f"{name}: the straightening coordinate",
                    sp.diff(item.straight, w) * slope,
                    sp.S.One,
                )
            )
            result.append(
                Identity(
                    f"{name}: the path follows grad g",
                    sp.diff(item.path, mu),
                    slope.subs(w, item.path),
                )
            )
            result.append(self._momentum_identity(item, name))
        return tuple(result)

    def _momentum_identity(self, item: StraightWeight, name: str) -> Identity:
        t = symbols.t
        W = sp.Function("w", positive=True)(t)
        g = sp.Function("g", real=True)(t)
        slope = sp.diff(item.contribution, item.weight)
        phi = item.straight.subs(item.weight, W)
        acceleration = (-g * slope.subs(item.weight, W) - sp.diff(W, t)) / symbols.lam
        speed = velocity_of(item.weight)
        return Identity(
            f"{name}: what momentum adds",
            symbols.lam * sp.diff(phi, t, 2) + sp.diff(phi, t),
            -g + item.remainder.subs({item.weight: W, speed: sp.diff(W, t)}),
            assumptions="lambda w'' + w' = -g(t) g_i'(w) with g = dL/dtheta",
            relations=(("momentum flow", sp.diff(W, t, 2), acceleration),),
            source=_PPF,
        )

    def __repr__(self) -> str:
        return f"<MirrorFlow of theta = {self.parameter}>"

    def __str__(self) -> str:
        lines = [f"theta = {self.parameter}", f"theta(mu) = {self.dual_map}"]
        if self.potential is not None:
            lines.append(f"psi(theta) = {self.potential}")
        elif self.gradient is not None:
            lines.append(f"psi'(theta) = {self.gradient}")
        else:
            lines.append(f"psi*(mu) = {self.conjugate}")
        for item in self.weights:
            lines.append(f"momentum adds to {item.straight}: {item.remainder}")
        return "\n".join(lines)

    def _repr_latex_(self) -> str:
        rows = [
            f"\\theta &= {sp.latex(self.parameter)}",
            f"\\nabla\\psi^*(\\mu) &= {sp.latex(self.dual_map)}",
        ]
        if self.potential is not None:
            rows.append(f"\\psi(\\theta) &= {sp.latex(self.potential)}")
        return "$\\displaystyle\\begin{aligned}" + " \\\\ ".join(rows) + "\\end{aligned}$"


@checked
def mirror_flow(
    parameter: Formula | SeparableNetwork,
    weights: Sequence[SymbolLike] | None = None,
    *,
    equal_start: bool = False,
) -> MirrorFlow:
    """Derive the mirror flow of a separable parametrisation `theta_j = G(w_{1j}, ..., w_{mj})`.

    Different coordinates share no weight, so the gradients of their maps commute
    and there always is a potential; it is derived in closed form for maps that
    are sums of functions of one weight each, and for quadratic forms.

    Parameters
    ----------
    parameter : expression, str or SeparableNetwork
        G, such as `u*v`, `u**2 - v**2`, `u**2` or `u**5 - v**5`.
    weights : sequence of symbols, optional
        The weights; all symbols of G, sorted, if not given.
    equal_start : bool
        Whether all straightened weights start at one value alpha.

    Returns
    -------
    MirrorFlow
        The potential, the mirror coordinate and what momentum adds.

    Raises
    ------
    InputError
        If G is not smooth, or of neither form, or its flow has no closed form.
    """
    if isinstance(parameter, SeparableNetwork):
        weights = parameter.coordinates
        parameter = parameter.parameter
    expr = canonical(parameter, "a map of the weights")
    names = tuple(
        sorted(expr.free_symbols, key=lambda s: str(s.name))
        if weights is None
        else all_of(weights, symbol, "the weights")
    )
    expr = _smooth_map(expr, names)
    rotation, pieces = _as_sum(expr, names)
    straight = [_straighten(w, piece, equal_start=equal_start) for w, piece in pieces.items()]
    total = sp.Add(*(s.contribution.subs(s.weight, s.path) for s in straight))
    return MirrorFlow(expr, FrozenMapping(rotation), tuple(straight), _tidy(total))


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


def _straighten(weight: sp.Symbol, piece: sp.Expr, *, equal_start: bool) -> StraightWeight:
    """Solve `dw/dmu = g'(w)` by quadrature; the branch is the one that the flow takes."""
    slope = sp.diff(piece, weight)
    start = symbols.alpha if equal_start else sp.Symbol(f"{weight.name}(0)", positive=True)
    straight = _antiderivative(1 / slope, weight)
    if straight is not None:
        for candidate in _solutions(straight, weight, straight.subs(weight, start) + mu):
            if all(_follows(candidate, start, slope, weight, begin) for begin in _STARTS):
                return StraightWeight(weight, start, piece, straight, _tidy(candidate))
    raise InputError("a map whose gradient flow has a closed form", str(piece))


def _follows(
    candidate: sp.Expr, start: sp.Symbol, slope: sp.Expr, weight: sp.Symbol, begin: sp.Rational
) -> bool:
    """Whether a closed form is the flow from a start, integrated towards both sides."""
    span = _span(slope, weight, begin)
    return span is not None and all(
        _has_value(candidate, {start: begin, mu: time}, _reached(slope, weight, begin, time))
        for time in (sp.S.Zero, span, -span)
    )


def _span(slope: sp.Expr, weight: sp.Symbol, start: sp.Rational) -> sp.Rational | None:
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


def _reached(slope: sp.Expr, weight: sp.Symbol, start: sp.Rational, time: sp.Rational) -> float:
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


def _has_value(expr: sp.Expr, at: dict[sp.Symbol, Any], expected: float) -> bool:
    if expr.has(sp.I):  # it may be real all the same, but numbers of the machine make it complex
        return False
    try:
        found = complex(value_at(expr, at))
    except NoValueError:
        return False
    return abs(found - expected) <= _TOLERANCE * (1e-3 + abs(expected))


def _antiderivative(expr: sp.Expr, symbol: sp.Symbol) -> sp.Expr | None:
    """Integrate by routes that end: a table, rational functions, also of one exponential."""
    # Powers of sums stay as they are: multiplied out, they lose digits in floating point.
    terms = sp.Add.make_args(sp.expand(expr, power_base=False, multinomial=False))
    listed = [_from_table(term, symbol) for term in terms]
    if None not in listed:
        return sp.Add(*listed)
    if expr.is_rational_function(symbol):
        found = sp.integrate(expr, symbol)
        return None if found.has(sp.Integral, sp.RootSum) else found
    in_one = _in_one_exponential(expr, symbol)
    if in_one is None:
        return None
    inner, X, rate = in_one
    found = _antiderivative(sp.cancel(inner / (rate * X)), X)
    return None if found is None else found.subs(X, sp.exp(rate * symbol))


def _from_table(term: sp.Expr, symbol: sp.Symbol) -> sp.Expr | None:
    """Integrate a constant times a power or an inverse function of a linear argument."""
    constant, factor = term.as_independent(symbol, as_Add=False)
    if not factor.has(symbol):
        return constant * symbol
    if factor == symbol:
        return constant * symbol**2 / 2
    if not isinstance(factor, _INTEGRABLE):
        return None
    inner = factor.base if isinstance(factor, sp.Pow) else factor.args[0]
    rate = sp.diff(inner, symbol)
    if rate.has(symbol) or (isinstance(factor, sp.Pow) and factor.exp.has(symbol)):
        return None
    Y = sp.Dummy("Y")
    plain = Y**factor.exp if isinstance(factor, sp.Pow) else factor.func(Y)
    return constant / rate * sp.integrate(plain, Y).subs(Y, inner)


def _in_one_exponential(
    expr: sp.Expr, symbol: sp.Symbol
) -> tuple[sp.Expr, sp.Symbol, sp.Expr] | None:
    """Write an expression as a rational function of X = exp(rate symbol), if it is one."""
    spelled = sp.expand_power_exp(sp.expand(expr.rewrite(sp.exp), power_base=False))
    rates = []
    for power in sorted(spelled.atoms(sp.exp), key=str):
        exponent = sp.expand(power.exp).coeff(symbol)
        if power.has(symbol):
            if exponent == 0 or sp.expand(power.exp - exponent * symbol).has(symbol):
                return None
            rates.append(exponent)
    if not rates:
        return None
    ratios = [sp.cancel(rate / rates[0]) for rate in rates]
    if not all(ratio.is_Rational for ratio in ratios):
        return None
    unit = rates[0] * sp.Rational(1, sp.ilcm(1, *(ratio.q for ratio in ratios)))
    if unit.could_extract_minus_sign():
        unit = -unit
    X = sp.Dummy("X", positive=True)

    def written(power: sp.exp) -> sp.Expr:
        exponent = sp.expand(power.exp)
        rate = exponent.coeff(symbol)
        return sp.exp(sp.expand(exponent - rate * symbol)) * X ** sp.cancel(rate / unit)

    inner = spelled.replace(lambda e: isinstance(e, sp.exp) and e.has(symbol), written)
    inner = sp.cancel(sp.together(inner))
    return (inner, X, unit) if inner.is_rational_function(X) and not inner.has(symbol) else None


def _tidy(expr: sp.Expr) -> sp.Expr:
    """Simplify what is short; a long form is right as it stands."""
    return sp.simplify(expr) if sp.count_ops(expr) < _SHORT else expr


def _solutions(expr: sp.Expr, unknown: sp.Symbol, value: sp.Expr) -> list[sp.Expr]:
    """Return candidates for the solutions of `expr = value`; which are right, numbers tell.

    Layer by layer where the unknown occurs once, and by the roots of a polynomial
    of degree four at most in what holds it.
    """
    for form in (expr, sp.factor(expr), sp.expand(expr)):
        if form.count(unknown) == 1:
            return _unwrapped(form, unknown, value)
    expr = sp.expand(expr)
    equations = [(expr - value, unknown)]
    in_one = _in_one_exponential(expr, unknown)
    if in_one is not None:
        inner, X, rate = in_one
        return [sp.log(root) / rate for root in _roots(sp.numer(sp.together(inner - value)), X)]
    if _is_sum_of_logarithms(expr, unknown):
        raised = sp.exp(sp.logcombine(expr, force=True))
        equations.append((raised - sp.exp(value), unknown))
    found: list[sp.Expr] = []
    for equation, _ in equations:
        holding = {e for e in equation.atoms(sp.Function, sp.Pow) if e.has(unknown)}
        for inner in sorted(holding, key=sp.count_ops):
            Y = sp.Dummy("Y")
            replaced = equation.xreplace({inner: Y})
            if not replaced.has(unknown):
                for root in _roots(sp.numer(sp.together(replaced)), Y):
                    found += _unwrapped(inner, unknown, root)
        found += _roots(sp.numer(sp.together(equation)), unknown)
    return found


def _is_sum_of_logarithms(expr: sp.Expr, unknown: sp.Symbol) -> bool:
    terms = [t for t in sp.Add.make_args(expr) if t.has(unknown)]
    return len(terms) > 1 and all(t.has(sp.log) for t in terms)


def _roots(expr: sp.Expr, unknown: sp.Symbol) -> list[sp.Expr]:
    if not expr.is_polynomial(unknown):
        return []
    polynomial = sp.Poly(expr, unknown)
    if not 1 <= polynomial.degree() <= 4:
        return []
    return list(sp.roots(polynomial))


def _inverses(dual_map: sp.Expr) -> list[sp.Expr]:
    """Return candidates for mu(theta), the usual form of two opposite exponentials first."""
    found: list[sp.Expr] = []
    in_one = _in_one_exponential(dual_map, mu)
    if in_one is not None:
        inner, X, rate = in_one
        inner = sp.expand(inner)
        up, down = inner.coeff(X, 1), inner.coeff(X, -1)
        if sp.expand(inner - up * X - down / X) == 0 and up != 0 and down != 0:
            # p e^{k mu} - q e^{-k mu} = 2 sqrt(p q) sinh(k mu + ln(p/q)/2), or its mirror image
            scale = 2 * sp.sqrt(-up * down)
            shift = sp.expand_log(sp.log(-up / down) / 2)
            found = [(sp.asinh(side * symbols.theta / scale) - shift) / rate for side in (1, -1)]
    return found + _solutions(dual_map, mu, symbols.theta)


def _unwrapped(expr: sp.Expr, unknown: sp.Symbol, value: sp.Expr) -> list[sp.Expr]:
    """Solve `expr = value` for an unknown that occurs once, layer by layer, on every branch."""
    if expr == unknown:
        return [sp.expand_power_base(value, force=True), value]
    values: list[sp.Expr] = []
    if isinstance(expr, sp.Add):
        constant, layer = expr.as_independent(unknown)
        values = [value - constant]
    elif isinstance(expr, sp.Mul):
        constant, layer = expr.as_independent(unknown)
        values = [value / constant]
    elif isinstance(expr, sp.exp):
        layer, values = expr.exp, [sp.log(value)]
    elif isinstance(expr, sp.Pow) and not expr.exp.has(unknown):
        layer, power = expr.base, 1 / expr.exp
        if expr.exp.is_Integer is False and power.is_Integer:
            values = [sp.factor(value) ** power]
        else:
            values = [
                sign * (turn * sp.factor(value)) ** power for turn in (1, -1) for sign in (1, -1)
            ]
    elif isinstance(expr, sp.Function) and len(expr.args) == 1 and hasattr(expr, "inverse"):
        layer, inverse = expr.args[0], expr.inverse()(sp.expand(value))
        values = [inverse, -inverse]
        if isinstance(expr, sp.sin):
            values.append(sp.pi - inverse)
    else:
        return []
    if layer.count(unknown) != 1:
        return []
    return [found for v in values for found in _unwrapped(layer, unknown, v)]
