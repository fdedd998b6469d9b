"""Diagonal linear networks: the change of variables and the laws that follow from it.

Every statement is an `Identity`; nothing is typed in that SymPy can derive.
The sources are sections 2 to 4 of Papazov, Pesme, Flammarion, arXiv 2403.05293
(cited as PPF), and Woodworth et al., "Kernel and rich regimes", COLT 2020.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.citations import PPF
from momentumflow.base.errors import InputError
from momentumflow.base.values import Formulated
from momentumflow.symbolic.expressions import all_of, canonical, read, symbol
from momentumflow.symbolic.identities import Identity
from momentumflow.symbolic.printing import as_latex
from momentumflow.symbolic.symbols import (
    Delta,
    beta,
    g,
    gamma,
    lam,
    nu,
    t,
    theta,
    theta_0,
    u,
    v,
    w_minus,
    w_plus,
    z,
)

Formula = tuple[sp.Expr, tuple[sp.Symbol, ...]]  # with its arguments in order

# One step of the iterates: w_{k-1}, w_k, w_{k+1} of one coordinate and sign.
w_previous, w_now, w_next = sp.symbols("w_{k-1} w_k w_{k+1}", nonzero=True)
sign = sp.Symbol("s", integer=True, nonzero=True)


@checked
@dataclass(frozen=True, repr=False)
class SeparableNetwork(Formulated):
    """theta_j = G(w_{1j}, ..., w_{mj}): the same scalar map G in every coordinate j.

    Parameters
    ----------
    coordinates : tuple of sympy.Symbol
        The weights of one coordinate, w_1 ... w_m.
    parameter : sympy.Expr
        G, an expression of the coordinates.
    force : tuple of sympy.Expr, optional
        Minus the gradient of F(theta(w)) with respect to each weight, written
        with g = dF/dtheta. Derived from `parameter` if not given; given by a
        linear change of variables, under which a linear recurrence keeps its
        form but the metric changes (the w_pm of the diagonal network).
    name : str
        Used in file names and messages.

    Raises
    ------
    InputError
        If `parameter` does not depend on a coordinate, or holds a symbol that
        is not one.
    """

    coordinates: tuple[sp.Symbol, ...]
    parameter: sp.Expr
    force: tuple[sp.Expr, ...] = ()
    name: str = "separable"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise InputError("a name as text", repr(self.name))
        coordinates = all_of(self.coordinates, symbol, "the coordinates")
        object.__setattr__(self, "coordinates", coordinates)
        parameter = canonical(self.parameter, "a map of the coordinates")
        foreign = parameter.free_symbols - set(self.coordinates)
        if foreign:
            listed = ", ".join(sorted(map(str, foreign)))
            raise InputError(
                f"a map of {', '.join(map(str, self.coordinates))} only", f"also {listed}"
            )
        idle = set(self.coordinates) - parameter.free_symbols
        if idle:
            raise InputError(
                "a map that depends on every coordinate",
                f"{parameter}, which ignores {', '.join(sorted(map(str, idle)))}",
            )
        object.__setattr__(self, "parameter", parameter)
        clash = {g, gamma, beta, lam} & set(coordinates)
        if clash or len(set(coordinates)) != len(coordinates):
            raise InputError(
                "coordinates with names of their own", ", ".join(map(str, clash or coordinates))
            )
        force = all_of(self.force, canonical, "the force")
        derived = tuple(-g * sp.diff(parameter, w) for w in coordinates)
        if force and len(force) != len(coordinates):
            raise InputError(f"a force on each of {len(coordinates)} weights", f"{len(force)}")
        object.__setattr__(self, "force", force or derived)

    @classmethod
    def of_map(cls, text: str, name: str = "separable") -> SeparableNetwork:
        """Return the network of a map given as text, such as `"u**2 - v**2"`.

        Its weights are the letters of the map, in alphabetical order.

        Raises
        ------
        InputError
            If the text is no formula, or one without a weight.
        """
        parameter = read(text)
        weights = tuple(sorted(parameter.free_symbols, key=lambda s: str(s.name)))
        if not weights:
            raise InputError("an expression with at least one weight", repr(text))
        return cls(weights, parameter, name=name)

    def __repr__(self) -> str:
        return f"<SeparableNetwork {self.name!r}: theta = {self.parameter}>"

    def _formula(self) -> str:
        return f"\\theta = {as_latex(self.parameter)}"

    def log_rates(self) -> tuple[sp.Expr | None, ...]:
        """Return, for each weight, the constant s with force = s g w, or None.

        Only for such weights is the equation of w'/w a Riccati equation driven
        by g alone, on which the limit theorem rests (PPF, section 4).
        """
        rates = []
        for w, f in zip(self.coordinates, self.force, strict=True):
            rate = sp.cancel(f / (g * w))
            rates.append(rate if rate.is_number else None)
        return tuple(rates)


@checked
@dataclass(frozen=True)
class DiagonalNetwork(Formulated):
    """The two-layer diagonal linear network theta = u v (PPF, section 2).

    `uv` is the network in its own weights, `balanced` the same network in
    w_± = u ± v, where the force decouples; `identities` are the laws that
    the limit theorem is made of.

    Examples
    --------
    >>> from momentumflow.symbolic import DiagonalNetwork
    >>> law = DiagonalNetwork().identity("balancedness in w_pm")
    >>> print(law)
    balancedness in w_pm: u**2 - v**2 = w_+*w_-
    >>> print(law.prove())
    balancedness in w_pm: proved in 4 step(s)
      difference of the two sides: u**2 - v**2 - w_+*w_-
      w_+ = u + v: u**2 - v**2 - w_-*(u + v)
      w_- = u - v: u**2 - v**2 - (u - v)*(u + v)
      expand: 0
    """

    def _formula(self) -> str:
        return self.uv.latex()

    @cached_property
    def uv(self) -> SeparableNetwork:
        """Return theta = u v with force derived from it."""
        return SeparableNetwork((u, v), u * v, name="diagonal_uv")

    @cached_property
    def balanced(self) -> SeparableNetwork:
        """Return the network in w_± = u ± v, derived from `uv` by the change of variables."""
        back = sp.solve([u + v - w_plus, u - v - w_minus], [u, v], dict=True)[0]
        force_u, force_v = self.uv.force
        return SeparableNetwork(
            (w_plus, w_minus),
            sp.expand(self.uv.parameter.subs(back)),
            force=(
                sp.factor((force_u + force_v).subs(back)),
                sp.factor((force_u - force_v).subs(back)),
            ),
            name="diagonal",
        )

    @cached_property
    def entropy(self) -> sp.Expr:
        """The hyperbolic entropy psi_Delta(theta) of one coordinate (PPF, eq. for psi)."""
        return (
            2 * theta * sp.asinh(2 * theta / Delta) - sp.sqrt(4 * theta**2 + Delta**2) + Delta
        ) / 4

    @cached_property
    def bregman(self) -> sp.Expr:
        """D_psi(theta, theta_0) = psi(theta) - psi(theta_0) - psi'(theta_0) (theta - theta_0)."""
        psi = self.entropy
        slope = sp.diff(psi, theta).subs(theta, theta_0)
        return psi - psi.subs(theta, theta_0) - slope * (theta - theta_0)

    def remainder_summand(self) -> sp.Expr:
        """h(z) = (z - 1) - beta (1 - 1/z) - (1 - beta) ln|z|, z the ratio w_{k+1}/w_k."""
        return (z - 1) - beta * (1 - 1 / z) - (1 - beta) * sp.log(sp.Abs(z))

    @cached_property
    def log_shrinkage(self) -> Formula:
        """ln(Delta_inf/Delta_0) to first order in lambda, of lambda and the integral of g^2.

        "logarithm of a weight" summed over both signs, with the q that the Riccati
        equation leaves at lambda = 0.
        """
        rate, W, G = (sp.Function(name) for name in ("q", "W", "G"))
        riccati = self.identity("Riccati equation of w_+")
        still = sp.solve(
            (riccati.lhs - riccati.rhs).subs(lam, 0).subs(sp.diff(W(t), t), rate(t) * W(t)), rate(t)
        )[0]
        square = sp.Symbol("g2", nonnegative=True)
        added = self.identity("logarithm of a weight").rhs.subs(rate(t), still)
        return 2 * added.subs(sp.diff(G(t), t) ** 2, square), (lam, square)

    @cached_property
    def limit_theorem(self) -> dict[str, Formula]:
        """What a run's start, end and remainders say of its limit, by name.

        From the integral of "logarithm of a weight", of w/w_0: at rest at both ends it
        says `ln|w_inf/w_0| = -s G - S`, G the integral of g. The mirror variable and the
        balancedness at the limit are those of "mirror variable in w_pm", which G leaves
        as they are at the weights `w_0 e^{-S}`.
        """
        weights, starts = (w_plus, w_minus), sp.symbols("w_+(0) w_-(0)", real=True)
        lost, total = sp.symbols("S_+ S_-", real=True), sp.Symbol("G", real=True)
        q, W, G = sp.Function("q"), sp.Function("W"), sp.Function("G")
        remainders = [
            -self._integral_of_logarithm.subs({q(t): 0, G(t): total, sign: s, W(t): w / start})
            for w, start, s in zip(weights, starts, (1, -1), strict=True)
        ]
        perturbed = {
            w: start * sp.exp(-S) for w, start, S in zip(weights, starts, lost, strict=True)
        }
        logs = [sp.expand_log(sp.log(sp.Abs(w))) for w in perturbed.values()]
        of_limit, parameter = (*starts, *lost), self.balanced.parameter
        return {
            "parameter": (parameter, weights),
            "balancedness": (sp.Abs(w_plus * w_minus), weights),
            "log_balancedness": (logs[0] + logs[1], of_limit),
            "shift": (logs[0] - logs[1], of_limit),
            "perturbed_parameter": (parameter.subs(perturbed, simultaneous=True), of_limit),
            "remainder_plus": (remainders[0], (w_plus, starts[0], total)),
            "remainder_minus": (remainders[1], (w_minus, starts[1], total)),
        }

    @cached_property
    def _integral_of_logarithm(self) -> sp.Expr:
        """What decreases by lambda q^2: the integral of lambda (q' + q^2) + q + s g = 0."""
        q, W, G = (sp.Function(name) for name in ("q", "W", "G"))
        return lam * q(t) + sp.log(sp.Abs(W(t))) + sign * G(t)

    @cached_property
    def balancedness_defect(self) -> Formula:
        """What "balancedness law" says is zero, of (lambda, q', q, q_+, q_-)."""
        law, (p, m) = self.identity("balancedness law"), sp.symbols("q_+ q_-", cls=sp.Function)
        slope, total, plus, minus = sp.symbols("q' q p m", real=True)
        left = law.lhs.subs(sp.diff(p(t), t), slope - sp.diff(m(t), t)).subs(p(t), total - m(t))
        right = law.rhs.subs({p(t): plus, m(t): minus})
        return sp.expand(left) - right, (lam, slope, total, plus, minus)

    @cached_property
    def sign_bound(self) -> Formula:
        """The lambda up to which no weight changes sign, of sup |g|.

        The Riccati equation `lambda q' = -(lambda q^2 + q + g)` keeps q bounded as
        long as its right-hand side has real zeros at the largest g.
        """
        rate, largest = sp.Symbol("q", real=True), sp.Symbol("g_max", positive=True)
        bound = sp.solve(sp.discriminant(lam * rate**2 + rate + largest, rate), lam)[0]
        return bound, (largest,)

    @cached_property
    def imbalance_decay(self) -> Formula:
        """The rate of "noise balances the weights", of the variance and the mean square of x."""
        law, square = self.identity("noise balances the weights"), sp.Symbol("x2", positive=True)
        variance, x = sp.symbols("sigma2 x", real=True)
        rate = sp.cancel(-law.rhs / (u**2 - v**2))
        return rate.subs(x**2, square), (variance, square)

    @cached_property
    def identities(self) -> tuple[Identity, ...]:
        """Every law of the network, in the order in which the limit theorem uses them."""
        return (
            *self._variables(),
            *self._discrete(),
            *self._continuous(),
            *self._potential(),
            *self._noise(),
        )

    def identity(self, name: str) -> Identity:
        """Return the identity called `name`.

        Parameters
        ----------
        name : str

        Returns
        -------
        Identity

        Raises
        ------
        InputError
            If there is none of that name; the message lists all.
        """
        known = {identity.name: identity for identity in self.identities}
        if name not in known:
            raise InputError(f"one of {', '.join(known)}", repr(name))
        return known[name]

    def _variables(self) -> Iterator[Identity]:
        plus, minus = self.balanced.force
        yield Identity(
            "parameter in w_pm",
            self.balanced.parameter,
            u * v,
            relations=(("w_+ = u + v", w_plus, u + v), ("w_- = u - v", w_minus, u - v)),
            source=f"{PPF}, section 4",
        )
        yield Identity("force on w_+", plus, -g * w_plus, source=f"{PPF}, section 4")
        yield Identity("force on w_-", minus, g * w_minus, source=f"{PPF}, section 4")
        yield Identity(
            "balancedness in w_pm",
            u**2 - v**2,
            w_plus * w_minus,
            relations=(("w_+ = u + v", w_plus, u + v), ("w_- = u - v", w_minus, u - v)),
            source=f"{PPF}, section 3",
        )

    def _discrete(self) -> Iterator[Identity]:
        step = w_now - sign * gamma * g * w_now + beta * (w_now - w_previous)
        yield Identity(
            "discrete Riccati recursion",
            (w_next / w_now - 1) - beta * (1 - w_previous / w_now),
            -sign * gamma * g,
            assumptions="heavy ball on w_pm with s = +1 for w_+, -1 for w_-; w_k non-zero",
            relations=(("one heavy-ball step", w_next, step),),
            source=f"{PPF}, section 4 (discrete form)",
        )
        # h is defined with |z|; its derivative is the same on both signs of z.
        positive = self.remainder_summand().subs(sp.Abs(z), z)
        yield Identity(
            "slope of the remainder summand",
            sp.diff(positive, z),
            (z - 1) * (z + beta) / z**2,
            assumptions="so h >= 0 for z > 0, with equality at z = 1 only: balancedness shrinks",
            source=f"{PPF}, section 4 (discrete form)",
        )
        x, end = sp.symbols("x z", positive=True)
        yield Identity(
            "remainder summand from z = 1",
            positive.subs(z, end),
            sp.Integral((x - 1) * (x + beta) / x**2, (x, 1, end)),
            assumptions="z > 0; so h(1) = 0",
            source=PPF,
        )
        eps = gamma / (1 - beta)
        scheme = lam * (w_next - 2 * w_now + w_previous) / eps**2 + (w_now - w_previous) / eps + g
        yield Identity(
            "heavy ball discretises MGF(lambda)",
            scheme,
            sp.Integer(0),
            assumptions=(
                "second difference for w'', backward difference for w', time step "
                "eps = gamma/(1-beta), lambda = gamma/(1-beta)^2"
            ),
            relations=(
                (
                    "one heavy-ball step",
                    w_next,
                    w_now - gamma * g + beta * (w_now - w_previous),
                ),
                ("lambda", lam, gamma / (1 - beta) ** 2),
            ),
            source=f"{PPF}, proposition 1",
        )

    def _continuous(self) -> Iterator[Identity]:
        q, W, G = sp.Function("q"), sp.Function("W"), sp.Function("G")
        flow = -(sp.diff(W(t), t) + sign * sp.diff(G(t), t) * W(t)) / lam
        for name, s in (("Riccati equation of w_+", 1), ("Riccati equation of w_-", -1)):
            rate = sp.diff(W(t), t) / W(t)
            yield Identity(
                name,
                lam * (sp.diff(rate, t) + rate**2) + rate,
                -s * sp.diff(G(t), t),
                assumptions="w = W(t) non-zero solves lambda w'' + w' ± g w = 0, G' = g",
                relations=(("MGF(lambda)", sp.diff(W(t), t, 2), flow.subs(sign, s)),),
                source=f"{PPF}, section 4",
            )
        p, m = sp.Function("q_+"), sp.Function("q_-")
        riccati = {
            q_: -sgn * sp.diff(G(t), t) / lam - q_(t) ** 2 - q_(t) / lam
            for q_, sgn in ((p, 1), (m, -1))
        }
        yield Identity(
            "balancedness law",
            lam * sp.diff(p(t) + m(t), t) + (p(t) + m(t)),
            -lam * (p(t) ** 2 + m(t) ** 2),
            assumptions="q_pm = w_pm'/w_pm, so that q_+ + q_- = d ln|w_+ w_-| / dt",
            relations=tuple(
                (f"Riccati equation of {q_}", sp.diff(q_(t), t), rhs) for q_, rhs in riccati.items()
            ),
            source=f"{PPF}, section 4",
        )
        yield Identity(
            "logarithm of a weight",
            sp.diff(self._integral_of_logarithm.subs(sp.Abs(W(t)), W(t)), t),
            -lam * q(t) ** 2,
            assumptions=(
                "q = w'/w; integrated with q(0) = q(inf) = 0: "
                "ln|w_inf/w_0| = -lambda int q^2 dt ∓ int g dt"
            ),
            relations=(
                (
                    "Riccati equation",
                    sp.diff(q(t), t),
                    -sign * sp.diff(G(t), t) / lam - q(t) ** 2 - q(t) / lam,
                ),
                ("q = w'/w", sp.diff(W(t), t), q(t) * W(t)),
            ),
            source=f"{PPF}, section 4",
        )

    def _potential(self) -> Iterator[Identity]:
        psi = self.entropy
        yield Identity(
            "gradient of the hyperbolic entropy",
            sp.diff(psi, theta),
            sp.asinh(2 * theta / Delta) / 2,
            source=f"{PPF}, section 4; Woodworth et al. 2020",
        )
        yield Identity(
            "Hessian of the hyperbolic entropy",
            sp.diff(psi, theta, 2),
            1 / sp.sqrt(4 * theta**2 + Delta**2),
            source=f"{PPF}, section 4; Woodworth et al. 2020",
        )
        yield Identity(
            "mirror map inverts",
            sp.diff(psi, theta).subs(theta, Delta * sp.sinh(2 * nu) / 2),
            nu,
            assumptions="the gradient of the conjugate is (Delta/2) sinh(2 nu)",
            hints=(("asinh inverts sinh on the real line", _undo_sinh),),
            source=f"{PPF}, section 4",
        )
        a, b = sp.symbols("a b", positive=True)
        yield Identity(
            "mirror variable in w_pm",
            sp.sinh(sp.log(a / b)),
            2 * theta / Delta,
            assumptions="a = |w_+|, b = |w_-|: asinh(2 theta/Delta) = ln|w_+/w_-|",
            relations=(
                (
                    "theta = (a^2 - b^2)/4",
                    theta,
                    self.balanced.parameter.subs({w_plus: a, w_minus: b}),
                ),
                ("Delta = a b", Delta, a * b),
            ),
            source=f"{PPF}, section 4",
        )
        p, p0, m, m0 = sp.symbols("p p_0 q q_0", positive=True)
        relative_entropy = (p * sp.log(p / p0) - p + p0) + (m * sp.log(m / m0) - m + m0)
        c, c0 = sp.symbols("sigma sigma_0", real=True)
        root = {
            theta: Delta * sp.sinh(c) / 2,
            theta_0: Delta * sp.sinh(c0) / 2,
            p: Delta * sp.exp(c) / 4,
            m: Delta * sp.exp(-c) / 4,
            p0: Delta * sp.exp(c0) / 4,
            m0: Delta * sp.exp(-c0) / 4,
        }
        yield Identity(
            "Bregman divergence as relative entropy",
            2 * self.bregman,
            relative_entropy,
            assumptions=(
                "theta = p - q with p = (Delta/4) e^sigma, q = (Delta/4) e^-sigma, the best "
                "split; likewise theta_0: the form that disciplined convex programming takes"
            ),
            relations=tuple(
                (f"sigma parametrises {name}", name, value) for name, value in root.items()
            ),
            hints=(
                (
                    "cosh is positive, so sqrt(sinh^2 + 1) = cosh; asinh inverts sinh",
                    _undo_sinh,
                ),
            ),
            source="DCP form of the implicit-regularisation problem",
        )

    def _noise(self) -> Iterator[Identity]:
        """Take the expectation of the loss at perturbed weights over Gaussian noise."""
        a, b, x, y, variance = sp.symbols("xi zeta x y sigma2", real=True)
        parameter = self.uv.parameter.subs({u: u + a, v: v + b}, simultaneous=True)
        loss = (x * parameter - y) ** 2 / 2
        moments = {1: 0, 2: variance}
        expected = sp.S.Zero
        for (i, j), coefficient in sp.Poly(sp.expand(loss), a, b).terms():
            # xi and zeta are independent and centred; the loss is quadratic in each.
            expected += coefficient * moments.get(i, 1) * moments.get(j, 1)
        force_u, force_v = -sp.diff(expected, u), -sp.diff(expected, v)
        yield Identity(
            "noise balances the weights",
            2 * u * force_u - 2 * v * force_v,
            -2 * variance * x**2 * (u**2 - v**2),
            assumptions=(
                "rate of u^2 - v^2 under the expected gradient of the loss at perturbed weights, "
                "noise of variance sigma2 on u and v"
            ),
            source="Clara, Langer, Schmidt-Hieber, arXiv 2503.11891",
        )


def _undo_sinh(expr: sp.Expr) -> sp.Expr:
    """Use sqrt(1 + sinh^2) = cosh and asinh(sinh x) = x, valid for real arguments."""

    def root(e: sp.Expr) -> sp.Expr:
        base = sp.factor(sp.simplify(e.base.rewrite(sp.sinh)))
        return sp.sqrt(base)

    expr = sp.simplify(expr).replace(
        lambda e: e.is_Pow and e.exp == sp.Rational(1, 2) and e.base.has(sp.sinh), root
    )
    expr = expr.replace(sp.asinh, lambda arg: arg.args[0] if arg.func == sp.sinh else sp.asinh(arg))
    expr = sp.expand_log(expr.rewrite(sp.exp), force=False)
    return sp.simplify(sp.expand(expr))
