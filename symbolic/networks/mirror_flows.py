r"""Reparametrisations theta = G(w): is gradient flow on w a mirror flow on theta, and which?

If the flows of all `grad G_j` commute, `w' = -grad (L o G)` makes theta follow the
mirror flow `(grad psi(theta))' = -grad L(theta)` of some psi (Li, Wang, Lee, Arora,
NeurIPS 2022, arXiv 2207.04036, theorem 4.8). Then `theta = grad psi*(mu)` is G
after the flow of `mu . grad G` from the start. Where a bracket is not even in the
kernel of the Jacobian, no psi works for all losses (theorem 4.15 there).

A map of one coordinate that is a sum of functions of one weight each is straightened
first (`straightening.py`); its potential is made of the inverses of those coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.errors import InputError
from momentumflow.base.values import Formulated, FrozenMapping
from momentumflow.symbolic import symbols
from momentumflow.symbolic.expressions import Formula, SymbolLike, all_of, canonical, symbol
from momentumflow.symbolic.networks.closed_forms import (
    antiderivative,
    in_one_exponential,
    solutions,
    tidy,
)
from momentumflow.symbolic.networks.diagonal_network import SeparableNetwork
from momentumflow.symbolic.networks.straightening import (
    STARTS,
    Straightening,
    has_value,
    mu,
    reached,
    smooth_map,
    span_of,
    straightened,
)
from momentumflow.symbolic.point_values import value_at
from momentumflow.symbolic.printing import as_latex


class MirrorStatus(Enum):
    """Whether gradient flow on w is a mirror flow on theta; the value says what follows."""

    COMMUTING = "a mirror flow, from every start"
    OBSTRUCTED = "no mirror flow for all losses: a bracket moves theta"
    UNDECIDED = "brackets do not vanish but leave theta alone; look at brackets of higher order"


@checked
@dataclass(frozen=True, repr=False)
class Commutation(Formulated):
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

    def _formula(self) -> str:
        rows = [
            f"[\\nabla G_{{{i + 1}}}, \\nabla G_{{{j + 1}}}] &= {as_latex(sp.Matrix(bracket))}"
            for (i, j), bracket in self.brackets.items()
        ] or ["\\text{all brackets} &= 0"]
        return "\\begin{aligned}" + " \\\\ ".join(rows) + "\\end{aligned}"


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
    exprs = [smooth_map(g, names) for g in all_of(maps, canonical, "the maps")]
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


@checked
@dataclass(frozen=True, repr=False)
class MirrorFlow(Straightening):
    """The mirror flow that gradient flow on the weights of one coordinate makes.

    Attributes
    ----------
    parameter, rotation, weights
        As in `Straightening`; every weight has a closed form.
    dual_map : sympy.Expr
        `theta(mu) = (psi*)'(mu)`.
    """

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
        found = antiderivative(self.gradient, symbols.theta)
        fits = found is not None and self._has_gradient(sp.diff(found, symbols.theta))
        return found if fits else None

    def _has_gradient(self, candidate: sp.Expr) -> bool:
        """Whether an expression is psi' where the integrated flow comes by."""
        return all(
            has_value(candidate, starts | {symbols.theta: there}, float(time))
            for starts, time, there in self._passed
        )

    @cached_property
    def _passed(self) -> list[tuple[dict[sp.Symbol, Any], sp.Rational, sp.Float]]:
        """Starts, times of both signs, and where the flow, integrated, has brought theta."""
        found = []
        for k in range(len(STARTS)):
            starts: dict[sp.Symbol, Any] = {}
            for i, item in enumerate(self.weights):  # no two equal by chance
                starts.setdefault(item.start, STARTS[(k + i) % len(STARTS)])
            moved = [(item.weight, item.push, starts[item.start]) for item in self.weights]
            spans = [span_of(slope, weight, begin) for weight, slope, begin in moved]
            for time in (sp.S.Zero, *(sign * min(s for s in spans if s) for sign in (1, -1))):
                at = {w: sp.Float(reached(slope, w, begin, time)) for w, slope, begin in moved}
                theta = sum(complex(value_at(item.contribution, at)).real for item in self.weights)
                found.append((starts, time, sp.Float(theta)))
        return found

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

    def _formula(self) -> str:
        rows = [
            f"\\theta &= {as_latex(self.parameter)}",
            f"\\nabla\\psi^*(\\mu) &= {as_latex(self.dual_map)}",
        ]
        if self.potential is not None:
            rows.append(f"\\psi(\\theta) &= {as_latex(self.potential)}")
        return "\\begin{aligned}" + " \\\\ ".join(rows) + "\\end{aligned}"


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
    found = straightened(parameter, weights, equal_start=equal_start)
    total = sp.S.Zero
    for item in found.weights:
        if item.path is None:
            raise InputError("a map whose gradient flow has a closed form", str(item.contribution))
        total += item.contribution.subs(item.weight, item.path)
    return MirrorFlow(found.parameter, found.rotation, found.weights, tidy(total))


def _inverses(dual_map: sp.Expr) -> list[sp.Expr]:
    """Return candidates for mu(theta), the usual form of two opposite exponentials first."""
    found: list[sp.Expr] = []
    in_one = in_one_exponential(dual_map, mu)
    if in_one is not None:
        inner, X, rate = in_one
        inner = sp.expand(inner)
        up, down = inner.coeff(X, 1), inner.coeff(X, -1)
        if sp.expand(inner - up * X - down / X) == 0 and up != 0 and down != 0:
            # p e^{k mu} - q e^{-k mu} = 2 sqrt(p q) sinh(k mu + ln(p/q)/2), or its mirror image
            scale = 2 * sp.sqrt(-up * down)
            shift = sp.expand_log(sp.log(-up / down) / 2)
            found = [(sp.asinh(side * symbols.theta / scale) - shift) / rate for side in (1, -1)]
    return found + solutions(dual_map, mu, symbols.theta)
