"""What one step of a method on a network computes, as expressions ready to print.

A two-point recurrence is run in velocity form: `p`, the last displacement
`w_k - w_{k-1}` for most methods, keeps its digits where the difference of two
iterates would lose them. Everything here follows from the recurrence's
coefficients and the network's map; the module writers only lay the expressions
out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from momentumflow.base.errors import InputError
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.networks.diagonal_network import SeparableNetwork
from momentumflow.symbolic.symbols import beta, g, gamma, lam

# The sum of the gradient entries of all steps taken, at constant parameters.
GRADIENT_SUM = sp.Symbol("G", real=True)


def displacement(weight: sp.Symbol) -> sp.Symbol:
    """Return the symbol of `w_k - w_{k-1}`: p_+ for w_+."""
    name = weight.name
    return sp.Symbol("p" + name[1:] if name.startswith("w_") else f"p_{name}", real=True)


def successor(symbol: sp.Symbol) -> sp.Symbol:
    """Return the symbol of the quantity after the step."""
    return sp.Symbol(f"{symbol.name}_next", real=True)


@dataclass(frozen=True)
class Realisation:
    """A two-point recurrence as what a program carries from step to step.

    `p_next = decay p + push f`, `w_next = w + decay p + gain f`, the force f
    taken at `w + lookahead p`, and p = 0 at the start. Where push = gain, p is
    the last displacement `w_k - w_{k-1}`.
    """

    decay: sp.Expr
    gain: sp.Expr
    push: sp.Expr
    lookahead: sp.Expr

    @classmethod
    def of(cls, method: MomentumMethod) -> Realisation:
        """Return the realisation of `method`.

        Raises
        ------
        InputError
            If the method is not an explicit two-point recurrence whose gradient
            is taken at one point, or at w_k and w_{k-1}; or if it starts with a
            momentum that depends on the gradient.
        """
        rule = method.recurrence.shifted(1 - max(method.recurrence.shifts))
        expected = "a method w_{k+1} = ... of w_k, w_{k-1} and gradients at or between them"
        if min(rule.shifts) < -1:
            raise InputError(expected, str(method))
        points = [dict(point.at) for point in rule.gradients]
        if any(j > 0 for at in points for j in at):
            raise InputError("an explicit method", f"a gradient at w_{{k+1}} in {method}")
        left = dict(rule.left)
        # a_1 w_{k+1} + a_0 w_k + a_{-1} w_{k-1} with a_0 = -a_1 - a_{-1}
        decay = sp.cancel(left.get(-1, sp.Integer(0)) / left[1])
        weights = [sp.cancel(method.step * point.weight / left[1]) for point in rule.gradients]
        lookahead: sp.Expr = sp.Integer(0)
        if len(points) == 1:
            gain = push = weights[0]
            lookahead = sp.cancel(-points[0].get(-1, sp.Integer(0)))
        elif all(len(at) == 1 for at in points) and decay != 0:
            # the gradient at w_{k-1} was known a step ago: it entered p then
            totals = {j: sp.Integer(0) for j in (0, -1)}
            for at, weight in zip(points, weights, strict=True):
                (j,) = at
                totals[j] += weight
            gain = sp.cancel(totals[0])
            push = sp.cancel(gain + totals[-1] / decay)
        else:
            raise InputError(expected, str(method))
        # the start states w_0 - w_{-1} = c gamma f(w_{-1}); then p_0 = (c gamma + push - gain) f
        assert method.start is not None
        start = sum((p.weight for p in method.start.gradients), sp.Integer(0)) * method.step
        elsewhere = any(dict(point.at) != {-1: 1} for point in method.start.gradients)
        if elsewhere or sp.cancel(start / dict(method.start.left)[0] + push - gain) != 0:
            raise InputError("a method that starts without momentum", str(method))
        return cls(decay, gain, push, lookahead)

    @property
    def time_step(self) -> sp.Expr:
        """How far a constant unit force moves w in one step, once p has settled."""
        numerator = sp.cancel(self.gain * (1 - self.decay) + self.decay * self.push)
        whole = sp.cancel(numerator / (1 - self.decay))
        return whole if sp.denom(whole).is_number else numerator / (1 - self.decay)

    @property
    def pending(self) -> sp.Expr:
        """How far a p of one still moves w if no force acts any more."""
        return self.decay / (1 - self.decay)


@dataclass(frozen=True)
class Step:
    """One step of `method` on `network`, coordinate by coordinate.

    Raises
    ------
    InputError
        If the method has no `Realisation`.
    """

    method: MomentumMethod
    network: SeparableNetwork

    def __post_init__(self) -> None:
        Realisation.of(self.method)

    def require_values(self) -> None:
        """Raise InputError if the method has parameters other than the step and beta."""
        foreign = set(self.method.parameters) - {beta}
        if foreign:
            raise InputError(
                "a method whose only parameters are gamma and beta",
                ", ".join(sorted(map(str, foreign))),
                "give it a value with method.with_values({...}), or --set on the command line",
            )

    @cached_property
    def realisation(self) -> Realisation:
        """The method as what a program carries from step to step."""
        return Realisation.of(self.method)

    @property
    def weights(self) -> tuple[sp.Symbol, ...]:
        """The weights of one coordinate."""
        return self.network.coordinates

    @property
    def displacements(self) -> tuple[sp.Symbol, ...]:
        """The momenta p of the realisation, one for each weight."""
        return tuple(map(displacement, self.weights))

    @property
    def carried(self) -> str:
        """What p is, in words."""
        r = self.realisation
        if sp.cancel(r.gain - r.push) == 0:
            return "displacements w_k - w_(k-1)"
        return f"p where w_(k+1) = w_k + {r.decay} p_k + ({sp.factor(r.gain)}) f"

    @property
    def evaluation_point(self) -> dict[sp.Symbol, sp.Expr]:
        """Where the gradient is taken: w, or w + beta p for Nesterov."""
        pairs = zip(self.weights, self.displacements, strict=True)
        return {w: w + self.realisation.lookahead * p for w, p in pairs}

    @property
    def parameter(self) -> sp.Expr:
        """Theta at the evaluation point, of (weights, displacements, beta)."""
        return self.network.parameter.subs(self.evaluation_point, simultaneous=True)

    @property
    def forces(self) -> tuple[sp.Expr, ...]:
        """The force on each weight, at the evaluation point."""
        return tuple(f.subs(self.evaluation_point, simultaneous=True) for f in self.network.force)

    @property
    def displacement_updates(self) -> tuple[sp.Expr, ...]:
        """The next p, of (weights, displacements, g, gamma, beta)."""
        r = self.realisation
        pairs = zip(self.displacements, self.forces, strict=True)
        return tuple(r.decay * p + r.push * f for p, f in pairs)

    @property
    def weight_updates(self) -> tuple[sp.Expr, ...]:
        """The next weights, of (weights, next displacements, g, gamma, beta)."""
        r = self.realisation
        surplus = sp.cancel(r.gain - r.push)  # the next p holds decay p + push f already
        triples = zip(self.weights, self.displacements, self.forces, strict=True)
        return tuple(w + successor(p) + surplus * f for w, p, f in triples)

    @property
    def state(self) -> tuple[sp.Symbol, ...]:
        """Arguments that every part of the step may use."""
        return (*self.weights, *self.displacements)

    @property
    def settings(self) -> tuple[sp.Symbol, ...]:
        """The gradient entry and the method's parameters."""
        return (g, gamma, beta)


@dataclass(frozen=True)
class FlowField:
    """Momentum gradient flow `lambda w'' + w' = force` on a network, solved for w''.

    At lambda = 0 it is gradient flow, `w' = force`.
    """

    network: SeparableNetwork

    @property
    def weights(self) -> tuple[sp.Symbol, ...]:
        """The weights of one coordinate."""
        return self.network.coordinates

    @property
    def velocities(self) -> tuple[sp.Symbol, ...]:
        """Their time derivatives: v_+ for w_+."""
        return tuple(
            sp.Symbol("v" + w.name[1:] if w.name.startswith("w_") else f"v_{w.name}", real=True)
            for w in self.weights
        )

    @property
    def accelerations(self) -> tuple[sp.Expr, ...]:
        """W'' of each weight, of (weights, velocities, g, lambda)."""
        second = sp.Symbol("w''")
        return tuple(
            sp.solve(lam * second + velocity - force, second)[0]
            for velocity, force in zip(self.velocities, self.network.force, strict=True)
        )
