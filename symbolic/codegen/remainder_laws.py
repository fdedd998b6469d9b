r"""What a run leaves behind in straightened coordinates: the remainder, under any schedule.

In a coordinate phi with `phi' = 1/D`, D the push on the weight (`straightening.py`), one
step of a two-point rule in velocity form,

    p_{k+1} = b_k p_k + push_k f~_k,   w_{k+1} = w_k + b_k p_k + gain_k f_k,   f = -g D,

moves phi by the gradient g and by something of second order. Let `C_k = b_k (1 + C_{k+1})`
be how far a p_k of one still moves w if no force acts any more, and
`e_k = gain_k + push_k C_{k+1}` the whole effect of g_k. Then

    R_k = phi(w_0) - phi(w_k) - sum_{i<k} e_i g_i - C_k p_k/D(w_k)

grows in each step by a summand that vanishes to first order in the move, and at the end
`phi(w_inf) = phi(w_0) - R - sum e_k g_k`: the limit theorem. Nothing here asks what the
schedule is, which rows g was taken on, or whether phi has a closed form. At constant
parameters `C = b/(1 - b)` and e is the time step of the method.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.errors import InputError
from momentumflow.base.values import Formulated
from momentumflow.symbolic.codegen.update_rule import Realisation, Step, successor
from momentumflow.symbolic.expressions import Formula
from momentumflow.symbolic.identities import Identity
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.networks.diagonal_network import SeparableNetwork
from momentumflow.symbolic.networks.straightening import straightened
from momentumflow.symbolic.printing import as_latex
from momentumflow.symbolic.symbols import beta, g, gamma

# The parameters of step k, and what the steps after it make of a push.
gamma_k = sp.Symbol("gamma_k", positive=True)
beta_k, C_now, C_next, e_now, mu_k = sp.symbols("beta_k C_k C_{k+1} e_k mu_k", real=True)
# The same as arguments of generated kernels: C_{k+1} (C_k of the state), and sum e_k g_k.
PENDING, SPENT = sp.symbols("pending E", real=True)
_phi_start, _phi, _phi_next, _spent = sp.symbols("phi_0 phi_k phi_{k+1} E_k", real=True)
_HERE = "derived here"


@dataclass(frozen=True)
class Move:
    """One step of one weight, in whatever symbols.

    Attributes
    ----------
    push, push_at, push_next : sympy.Expr
        D at w_k, where the gradient is taken, and at w_{k+1}.
    p, p_next : sympy.Expr
        The momentum before and after.
    decayed, decayed_at : sympy.Expr
        What coupled weight decay adds to `-force`, at w_k and where the gradient is
        taken: mu_k w; zero without.
    shrunk : sympy.Expr
        What decoupled weight decay takes off w in the step, mu_k w_k; zero without.
    """

    push: sp.Expr
    push_at: sp.Expr
    push_next: sp.Expr
    p: sp.Symbol
    p_next: sp.Symbol
    decayed: sp.Expr = sp.S.Zero
    decayed_at: sp.Expr = sp.S.Zero
    shrunk: sp.Expr = sp.S.Zero

    @property
    def before(self) -> sp.Expr:
        """The partial remainder R_k."""
        return _phi_start - _phi - _spent - C_now * self.p / self.push

    @property
    def after(self) -> sp.Expr:
        """The partial remainder R_{k+1}."""
        spent = _spent + e_now * g
        return _phi_start - _phi_next - spent - C_next * self.p_next / self.push_next

    def quotient(
        self, whole: sp.Expr, rest: sp.Expr, effect: sp.Expr, push: sp.Expr
    ) -> tuple[sp.Expr, sp.Expr]:
        """Return the summand without its difference of phi, as numerator and denominator.

        `whole`, `rest`, `effect` and `push` stand for 1 + C_{k+1}, C_{k+1}, e_k and push_k
        or, all of them, for a multiple. Written over D D_next, so that one division serves,
        and by the move itself, which does not cancel.
        """
        force, force_at = -(g * self.push + self.decayed), -(g * self.push_at + self.decayed_at)
        # zero where the force is taken at w_k and moves w and p alike
        extra = sp.factor(effect * force - whole * push * force_at)
        numerator = (whole * self.p_next + extra) * self.push_next - rest * self.p_next * self.push
        return numerator, self.push * self.push_next

    def drift(self, effect: sp.Expr) -> sp.Expr:
        """Return what weight decay adds to the remainder, to first order in the decay."""
        return (effect * self.decayed + self.shrunk) / self.push

    def telescoping(self, rule: Realisation, name: str, assumptions: str) -> Identity:
        """State that the partial remainder grows by the summand of a step, and by the drift."""
        effect = rule.gain + rule.push * C_next
        numerator, denominator = self.quotient(1 + C_next, C_next, effect, rule.push)
        moved = _phi_next - _phi + self.shrunk / self.push
        next_p = rule.decay * self.p - rule.push * (g * self.push_at + self.decayed_at)
        return Identity(
            name,
            self.after - self.before,
            numerator / denominator - moved + self.drift(effect),
            assumptions="; ".join(
                filter(None, ("R_k = phi_0 - phi_k - E_k - C_k p_k/D_k", assumptions))
            ),
            relations=(
                ("one step of the method", self.p_next, next_p),
                ("C_k = b_k (1 + C_{k+1})", C_now, rule.decay * (1 + C_next)),
                ("e_k = gain_k + push_k C_{k+1}", e_now, effect),
            ),
            source=_HERE,
        )

    def beginning(self, name: str) -> Identity:
        """State that the partial remainder is zero before the first step."""
        return Identity(
            name,
            self.before.subs({_phi: _phi_start, _spent: 0}),
            sp.S.Zero,
            assumptions="p_0 = 0",
            relations=(("p_0 = 0", self.p, sp.S.Zero),),
            source=_HERE,
        )


def pushes_of(network: SeparableNetwork) -> tuple[sp.Expr, ...]:
    """Return D of each weight: the force on it is -g D."""
    return tuple(sp.cancel(-force / g) for force in network.force)


def alone(network: SeparableNetwork) -> bool:
    """Whether the force on each weight depends on this weight alone, as the law asks."""
    rows = zip(network.coordinates, pushes_of(network), strict=True)
    return not any(push.free_symbols - {w} for w, push in rows)


@checked
@dataclass(frozen=True, repr=False)
class RemainderLaw(Formulated):
    """The remainder of a method on a network, weight by weight, and the proofs of it.

    Parameters
    ----------
    method : MomentumMethod
        A two-point method.
    network : SeparableNetwork
        Whose force on each weight is -g times a function of this weight alone, as
        `straightened(map).network` is for every separable map.

    Raises
    ------
    InputError
        If the method has no velocity form, or a force depends on another weight.

    Examples
    --------
    >>> from momentumflow.symbolic import HeavyBall, RemainderLaw, straightened
    >>> law = RemainderLaw(HeavyBall(), straightened("sinh(u)").network)
    >>> print(law.drifts["decoupled"][0])
    mu_k*u/cosh(u)
    >>> all(identity.prove() for identity in law.identities)
    True
    """

    method: MomentumMethod
    network: SeparableNetwork

    def __post_init__(self) -> None:
        if not alone(self.network):
            raise InputError(
                "a network whose force on each weight depends on this weight alone",
                ", ".join(map(str, self.network.force)),
                "take straightened(map).network",
            )
        Realisation.of(self.method)

    @classmethod
    def of_map(cls, method: MomentumMethod, parameter: Formula) -> RemainderLaw:
        """Return the law on the map of a user's weights, straightened first.

        Parameters
        ----------
        method : MomentumMethod
            A two-point method.
        parameter : expression or str
            G, as `straightened` takes it.

        Returns
        -------
        RemainderLaw

        Raises
        ------
        InputError
            If the method has no velocity form, or G is no separable map.
        """
        return cls(method, straightened(parameter).network)

    def __repr__(self) -> str:
        return f"<RemainderLaw of {self.method.name} on theta = {self.network.parameter}>"

    def __str__(self) -> str:
        rows = zip(self.step.weights, self.summands, strict=True)
        return "\n".join(f"a step adds to R of {w}: {summand}" for w, summand in rows)

    def _formula(self) -> str:
        rows = [
            f"R_{{k+1}} - R_k &= {as_latex(summand)} && ({as_latex(w)})"
            for w, summand in zip(self.step.weights, self.summands, strict=True)
        ]
        return "\\begin{aligned}" + " \\\\ ".join(rows) + "\\end{aligned}"

    @cached_property
    def step(self) -> Step:
        """One step of the method on the network."""
        return Step(self.method, self.network)

    @cached_property
    def pushes(self) -> tuple[sp.Expr, ...]:
        """D of each weight: the force is -g D."""
        return pushes_of(self.network)

    @cached_property
    def scheduled(self) -> Realisation:
        """What a program carries from step to step, with the parameters of step k."""
        r, at = self.step.realisation, {gamma: gamma_k, beta: beta_k}
        return Realisation(
            *(part.subs(at, simultaneous=True) for part in (r.decay, r.gain, r.push, r.lookahead))
        )

    def moves(self, decay: Literal["", "coupled", "decoupled"] = "") -> tuple[Move, ...]:
        """Return one step of each weight, with the kind of weight decay that is asked for.

        Parameters
        ----------
        decay : {"", "coupled", "decoupled"}
            None, added to the gradient, or taken off the weight.

        Returns
        -------
        tuple of Move
        """
        found = []
        rows = zip(self.step.weights, self.step.displacements, self.pushes, strict=True)
        for w, p, push in rows:
            at = w + self.scheduled.lookahead * p
            move = Move(
                push, push.subs(w, at), push.subs(w, successor(w)), p, successor(p),
                decayed=mu_k * w if decay == "coupled" else sp.S.Zero,
                decayed_at=mu_k * at if decay == "coupled" else sp.S.Zero,
                shrunk=mu_k * w if decay == "decoupled" else sp.S.Zero,
            )  # fmt: skip
            found.append(move)
        return tuple(found)

    @cached_property
    def summands(self) -> tuple[sp.Expr, ...]:
        """What one step adds to the remainder of each weight, under any schedule."""
        rule, phi = self.scheduled, sp.Function("phi")
        effect = rule.gain + rule.push * C_next
        found = []
        for w, move in zip(self.step.weights, self.moves(), strict=True):
            numerator, denominator = move.quotient(1 + C_next, C_next, effect, rule.push)
            found.append(numerator / denominator - phi(successor(w)) + phi(w))
        return tuple(found)

    @cached_property
    def quotients(self) -> tuple[tuple[sp.Expr, ...], tuple[sp.Expr, ...]]:
        """Numerators and denominators of what one step adds to R + phi(w).

        Of (weights, momenta, both after the step, g, gamma, beta, C_{k+1}).
        """
        rule = self.step.realisation
        effect = rule.gain + rule.push * PENDING
        at = {gamma_k: gamma, beta_k: beta}  # the moves of a schedule, in symbols of one step
        pairs = [move.quotient(1 + PENDING, PENDING, effect, rule.push) for move in self.moves()]
        numerators, denominators = zip(*pairs, strict=True)
        return tuple(e.subs(at) for e in numerators), tuple(e.subs(at) for e in denominators)

    @cached_property
    def totals(self) -> tuple[sp.Expr, ...]:
        """R + phi(w) - phi(w_0) of each weight, of (weights, momenta, sum e_i g_i, C_k).

        No division is left in the loop, and phi need not be known.

        Raises
        ------
        ProofError
            If the telescoping does not hold for this method and network.
        """
        found = []
        for w, move in zip(self.step.weights, self.moves(), strict=True):
            self.telescoping(w, move).prove()
            move.beginning(f"start of {w.name}, {self.method.name}").prove()
            at = {_phi_start: 0, _phi: 0, _spent: SPENT, C_now: PENDING}
            found.append(move.before.subs(at))
        return tuple(found)

    def telescoping(self, weight: sp.Symbol, move: Move) -> Identity:
        """State that the partial remainder of a weight telescopes, under any schedule.

        `weight` is one of the network's, and `move` what it does, one of `moves()`.
        """
        name = f"telescoping of {weight.name}, {self.method.name}, any schedule"
        return move.telescoping(self.scheduled, name, "D_k not zero")

    @cached_property
    def drifts(self) -> dict[str, tuple[sp.Expr, ...]]:
        """What weight decay adds in one step: "coupled" (to the gradient) and "decoupled"."""
        effect = self.scheduled.gain + self.scheduled.push * C_next
        return {
            "coupled": tuple(move.drift(effect) for move in self.moves("coupled")),
            "decoupled": tuple(move.drift(effect) for move in self.moves("decoupled")),
        }

    @cached_property
    def identities(self) -> tuple[Identity, ...]:
        """The law under any schedule, with each kind of weight decay, and at constant parameters.

        Each follows from one step of the method.
        """
        name = self.method.name
        found = list(self.constant)
        kinds = self.moves(), self.moves("coupled"), self.moves("decoupled")
        for i, w in enumerate(self.step.weights):
            plain, coupled, decoupled = (moves[i] for moves in kinds)
            place = f"of {w.name}, {name}"
            found += [
                self.telescoping(w, plain),
                plain.beginning(f"start {place}"),
                coupled.telescoping(
                    self.scheduled,
                    f"coupled decay {place}",
                    "the gradient of each weight has mu_k w added",
                ),
                decoupled.telescoping(
                    self.scheduled,
                    f"decoupled decay {place}",
                    "w_{k+1} = (1 - mu_k) w_k + the move of the method",
                ),
            ]
            if self.step.evaluation_point[w] == w and self.scheduled.gain == self.scheduled.push:
                found.append(self._leading_order(w, self.pushes[i], place))
        return tuple(found)

    @cached_property
    def constant(self) -> tuple[Identity, ...]:
        """At constant parameters C and e are what the method says of itself."""
        r, name = self.step.realisation, self.method.name
        return (
            Identity(
                f"what is pending at constant parameters, {name}",
                r.decay * (1 + r.pending),
                r.pending,
                assumptions="C_k = b_k (1 + C_{k+1})",
                source=_HERE,
            ),
            Identity(
                f"the effect of a gradient at constant parameters, {name}",
                r.gain + r.push * r.pending,
                r.time_step,
                assumptions="e_k = gain_k + push_k C_{k+1}",
                source=_HERE,
            ),
        )

    def _leading_order(self, w: sp.Symbol, push: sp.Expr, place: str) -> Identity:
        """State the second derivative of the summand by the move, at no move."""
        x = sp.Symbol("x", real=True)
        moved = (1 + C_next) * x / push - C_next * x / push.subs(w, w + x)
        return Identity(
            f"what a step adds to second order {place}",
            sp.diff(moved, x, 2).subs(x, 0) - sp.diff(1 / push, w),
            (1 + 2 * C_next) * sp.diff(push, w) / push**2,
            assumptions=(
                "phi' = 1/D: the summand is (1/2 + C_{k+1}) D'/D^2 p^2 + O(p^3); at constant "
                "beta, C + 1/2 = (1 + beta)/(2 (1 - beta)), so that R is "
                "lambda_hat int D'/D^2 w'^2 dt"
            ),
            source=_HERE,
        )
