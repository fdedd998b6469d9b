"""Momentum gradient flow in polar coordinates, in which no weight is small or singular.

A weight of a diagonal network obeys `lambda w'' + w' + s g w = 0`. With its velocity it is
a point of the plane, `w = rho cos(m chi)`, `w' = rho sigma`, `sigma = sin(m chi) / m` for
a unit m of time: Pruefer's substitution (Coddington, Levinson, Theory of Ordinary
Differential Equations, chapter 8). The angle obeys an equation of its own, regular where
w passes through zero. In place of ln rho stands `M = ln rho + lambda sigma cos`, which
agrees with `ln w + lambda w'/w` up to terms of third order in the angle: the fast part of
ln w has been taken off, and as lambda goes to 0 the equations become those of gradient
flow, `chi = -s g` and `M' = -s g`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.errors import InputError
from momentumflow.base.values import Formulated
from momentumflow.symbolic.identities import Identity
from momentumflow.symbolic.networks.diagonal_network import SeparableNetwork
from momentumflow.symbolic.symbols import lam, t

# sine over m, and cosine, of the angle m chi; s g; m^2; and m^2/lambda.
sigma, cosine, push = sp.symbols("sigma cosine push", real=True)
square, kappa = sp.symbols("square kappa", positive=True)


@checked
@dataclass(frozen=True, repr=False)
class PolarFlow(Formulated):
    """The flow of a network whose weights enter by their squares, each with its own sign.

    Parameters
    ----------
    network : SeparableNetwork
        As `DiagonalNetwork().balanced`.

    Raises
    ------
    InputError
        On a network of another kind.

    References
    ----------
    Coddington, Levinson, Theory of Ordinary Differential Equations, chapter 8.

    Examples
    --------
    >>> from momentumflow.symbolic import DiagonalNetwork, PolarFlow
    >>> flow = PolarFlow(DiagonalNetwork().balanced)
    >>> flow
    <PolarFlow of theta = w_+**2/4 - w_-**2/4>
    >>> all(identity.prove() for identity in flow.identities)
    True
    """

    network: SeparableNetwork

    def __post_init__(self) -> None:
        total = sum(c * w**2 for c, w in zip(self.squares, self.network.coordinates, strict=True))
        if None in self.network.log_rates() or sp.expand(self.network.parameter - total) != 0:
            raise InputError(
                "a network of squares with forces proportional to the weights",
                str(self.network.parameter),
            )

    @property
    def signs(self) -> tuple[sp.Expr, ...]:
        """The number s in `lambda w'' + w' + s g w = 0`, for each weight."""
        return tuple(-rate for rate in self.network.log_rates() if rate is not None)

    @property
    def squares(self) -> tuple[sp.Expr, ...]:
        """What the square of each weight is multiplied by in theta."""
        G = self.network.parameter
        return tuple(sp.diff(G, w, 2) / 2 for w in self.network.coordinates)

    @property
    def field(self) -> tuple[sp.Expr, sp.Expr]:
        """M' and lambda chi', of (sigma, cosine, s g, lambda, m^2, m^2/lambda)."""
        double = 2 * cosine**2 - 1
        growth = (
            2 * square * sigma**3 * cosine
            - (kappa + lam * double) * sigma**2
            - push * (kappa * sigma * cosine + cosine**2 * double)
        )
        turning = -sigma * cosine - lam * sigma**2 - push * cosine**2
        return growth, turning

    @property
    def slopes(self) -> tuple[sp.Expr, ...]:
        """The derivatives of the two in chi, then in s g."""
        return (
            *(self._by_angle(part) for part in self.field),
            *(sp.diff(part, push) for part in self.field),
        )

    @property
    def square_slopes(self) -> tuple[sp.Expr, sp.Expr]:
        """The derivatives of w^2 in M and in chi, over rho^2."""
        log_rho = -lam * sigma * cosine
        return (
            2 * cosine**2,
            2 * cosine**2 * self._by_angle(log_rho) + self._by_angle(cosine**2),
        )

    def _formula(self) -> str:
        rates = zip((r"\dot M", r"\lambda\dot\chi"), self.field, strict=True)
        return r",\quad ".join(f"{left} = {sp.latex(right)}" for left, right in rates)

    def __repr__(self) -> str:
        return f"<PolarFlow of theta = {self.network.parameter}>"

    @staticmethod
    def _by_angle(expression: sp.Expr) -> sp.Expr:
        return sp.diff(expression, sigma) * cosine - sp.diff(expression, cosine) * square * sigma

    @cached_property
    def identities(self) -> tuple[Identity, Identity]:
        """That polar coordinates which follow `field` are a weight which follows the flow."""
        m = sp.Symbol("m", positive=True)
        M, chi, g = (sp.Function(name) for name in ("M", "chi", "g"))
        sine, cos = sp.sin(m * chi(t)) / m, sp.cos(m * chi(t))
        rho = sp.exp(M(t) - lam * sine * cos)
        growth, turning = (
            part.subs(
                {sigma: sine, cosine: cos, push: g(t), kappa: m**2 / lam, square: m**2},
                simultaneous=True,
            )
            for part in self.field
        )
        relations = (
            ("growth", sp.diff(M(t), t), growth),
            ("turning", sp.diff(chi(t), t), turning / lam),
        )
        w, velocity = rho * cos, rho * sine
        hints = (("cos^2 = 1 - sin^2", _without_squares_of_cosines),)
        where = "w = rho cos(m chi), w' = rho sin(m chi)/m, M = ln rho + lambda w w'/rho^2"
        return (
            Identity(
                "velocity of a weight in polar coordinates",
                sp.diff(w, t) / rho,
                sine,
                assumptions=where,
                relations=relations,
                hints=hints,
            ),
            Identity(
                "flow of a weight in polar coordinates",
                (lam * sp.diff(velocity, t) + velocity) / rho,
                -g(t) * cos,
                assumptions=f"{where}; g stands for s g",
                relations=relations,
                hints=hints,
            ),
        )


def _without_squares_of_cosines(expression: sp.Expr) -> sp.Expr:
    def rewritten(power: sp.Expr) -> sp.Expr:
        halves, rest = divmod(int(power.exp), 2)
        return (1 - sp.sin(power.base.args[0]) ** 2) ** halves * power.base**rest

    return sp.expand(
        sp.expand(expression).replace(
            lambda e: e.is_Pow and isinstance(e.base, sp.cos) and e.exp.is_Integer and e.exp > 1,
            rewritten,
        )
    )
