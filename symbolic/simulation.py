"""What one step of a method on a network computes, as expressions ready to print.

A two-point recurrence is run in velocity form: `p` is the last displacement
`w_k - w_{k-1}`, which keeps its digits where the difference of two iterates
would lose them. Everything here follows from the recurrence's coefficients and
the network's map; the module writers only lay the expressions out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from momentumflow.symbolic.errors import InputError
from momentumflow.symbolic.identities import Identity
from momentumflow.symbolic.methods import MomentumMethod
from momentumflow.symbolic.networks import SeparableNetwork
from momentumflow.symbolic.symbols import beta, g, gamma, lam

# The sum of the gradient entries of all steps taken.
GRADIENT_SUM = sp.Symbol("G", real=True)


def displacement(weight: sp.Symbol) -> sp.Symbol:
    """Return the symbol of `w_k - w_{k-1}`: p_+ for w_+."""
    name = weight.name
    return sp.Symbol("p" + name[1:] if name.startswith("w_") else f"p_{name}", real=True)


def successor(symbol: sp.Symbol) -> sp.Symbol:
    """Return the symbol of the quantity after the step."""
    return sp.Symbol(f"{symbol.name}_next", real=True)


@dataclass(frozen=True)
class Step:
    """One step of `method` on `network`, coordinate by coordinate.

    Raises
    ------
    InputError
        If the method is not a two-point recurrence with one gradient point, or
        has parameters other than the step and beta.
    """

    method: MomentumMethod
    network: SeparableNetwork

    def __post_init__(self) -> None:
        rule = self.method.recurrence
        offset = max(rule.shifts) - 1
        if min(rule.shifts) - offset < -1 or len(rule.gradients) != 1:
            raise InputError(
                "a method w_{k+1} = ... of w_k, w_{k-1} and one gradient", str(self.method)
            )
        if any(j - offset > 0 for j, _ in rule.gradients[0].at):
            raise InputError("an explicit method", f"a gradient at w_{{k+1}} in {self.method}")
        foreign = rule.free_symbols - {beta}
        if foreign:
            raise InputError("a method whose only parameters are gamma and beta", str(foreign))

    @property
    def weights(self) -> tuple[sp.Symbol, ...]:
        """The weights of one coordinate."""
        return self.network.coordinates

    @property
    def displacements(self) -> tuple[sp.Symbol, ...]:
        """The displacements `w_k - w_{k-1}`, one for each weight."""
        return tuple(map(displacement, self.weights))

    @cached_property
    def _coefficients(self) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
        """`p_next = decay p + gain f(w + lookahead p)`, from the recurrence."""
        rule = self.method.recurrence
        rule = rule.shifted(1 - max(rule.shifts))
        left = dict(rule.left)
        (point,) = rule.gradients
        # a_1 w_{k+1} + a_0 w_k + a_{-1} w_{k-1} with a_0 = -a_1 - a_{-1}
        decay = sp.cancel(left.get(-1, sp.Integer(0)) / left[1])
        gain = sp.cancel(self.method.step * point.weight / left[1])
        lookahead = sp.cancel(-dict(point.at).get(-1, sp.Integer(0)))
        return decay, gain, lookahead

    @property
    def evaluation_point(self) -> dict[sp.Symbol, sp.Expr]:
        """Where the gradient is taken: w, or w + beta p for Nesterov."""
        _, _, lookahead = self._coefficients
        pairs = zip(self.weights, self.displacements, strict=True)
        return {w: w + lookahead * p for w, p in pairs}

    @property
    def parameter(self) -> sp.Expr:
        """Theta at the evaluation point, of (weights, displacements, beta)."""
        return self.network.parameter.subs(self.evaluation_point, simultaneous=True)

    @property
    def displacement_updates(self) -> tuple[sp.Expr, ...]:
        """The next displacements, of (weights, displacements, g, gamma, beta)."""
        decay, gain, _ = self._coefficients
        return tuple(
            decay * p + gain * f.subs(self.evaluation_point, simultaneous=True)
            for p, f in zip(self.displacements, self.network.force, strict=True)
        )

    @property
    def weight_updates(self) -> tuple[sp.Expr, ...]:
        """The next weights, of (weights, next displacements)."""
        pairs = zip(self.weights, self.displacements, strict=True)
        return tuple(w + successor(p) for w, p in pairs)

    @property
    def remainder_sums(self) -> bool:
        """Whether every weight obeys a Riccati recursion driven by g alone."""
        return None not in self.network.log_rates()

    @cached_property
    def remainder_increments(self) -> tuple[tuple[sp.Expr, ...], tuple[sp.Expr, ...]]:
        """Numerators and denominators of the summands of (1 - beta) S + (1 - beta) ln|w/w_0|.

        The summand is (z - 1) - beta (1 - 1/z), z = w_next/w, plus what the
        force at a shifted point adds to -s gamma g. It is written over
        w w_next, so that one division serves all weights of a coordinate, and
        with z - 1 = p_next/w, which does not cancel.
        """
        if not self.remainder_sums:
            raise InputError(
                "a network whose force on each weight w is a multiple of g w",
                f"force {self.network.force}",
            )
        decay, gain, _ = self._coefficients
        numerators, denominators = [], []
        for w, p, force in zip(self.weights, self.displacements, self.network.force, strict=True):
            new_w, new_p = successor(w), successor(p)
            shifted = force.subs(self.evaluation_point, simultaneous=True)
            # beyond the force at w itself; zero for heavy ball
            extra = sp.factor(gain * (force - shifted))
            numerators.append((new_p + extra) * new_w - decay * new_p * w)
            denominators.append(w * new_w)
        return tuple(numerators), tuple(denominators)

    @cached_property
    def remainder_totals(self) -> tuple[sp.Expr, ...]:
        """The sums of the remainder increments from rest, of (weights, displacements, G, ...).

        The increments telescope: their sum after any number of steps is
        s gain G - decay p/w with G the sum of g and s the rate of the force on
        w. No division is left in the loop, and none by a weight near zero.

        Raises
        ------
        ProofError
            If the telescoping does not hold for this method and network.
        """
        for identity in self.telescoping:
            identity.prove()
        return tuple(map(self._total, range(len(self.weights))))

    def _total(self, i: int) -> sp.Expr:
        decay, gain, _ = self._coefficients
        rate = self.network.log_rates()[i]
        return rate * gain * GRADIENT_SUM - decay * self.displacements[i] / self.weights[i]

    @cached_property
    def telescoping(self) -> tuple[Identity, ...]:
        """One step adds to each total what the definition of the remainder adds.

        One identity for each weight, written over one step of the method.
        """
        numerators, denominators = self.remainder_increments
        found = []
        for i, (w, p) in enumerate(zip(self.weights, self.displacements, strict=True)):
            new_w, new_p = successor(w), successor(p)
            total = self._total(i)
            after = total.subs({w: new_w, p: new_p, GRADIENT_SUM: GRADIENT_SUM + g})
            found.append(
                Identity(
                    f"telescoping of the remainder of {w.name}, {self.method.name}",
                    after - total,
                    numerators[i] / denominators[i],
                    assumptions="no weight is zero; the run starts at rest, where the total is 0",
                    relations=(
                        ("the move", new_w, self.weight_updates[i]),
                        ("one step of the method", new_p, self.displacement_updates[i]),
                    ),
                    source="sum of the discrete Riccati recursion over all steps",
                )
            )
        return tuple(found)

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
