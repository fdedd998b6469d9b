"""Optimisers: a few memories for each weight and a step, stated elementwise.

With `g = grad L(w_k)` an optimiser replaces its memories and moves the weight,

    z' = A(z, g, w, k),    w_{k+1} = w_k + gamma Phi(z', z, g, w, k),

z the memories before the step, z' after it (`after(z)`), k = 1, 2, ... its number. k may
occur in powers `b**k` of a parameter below one, as in bias correction: these die out, so
that they change the start of a run and not the equation that it follows. A linear
recurrence (`momentum_methods.py`) is the case in which A and Phi are linear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.errors import InputError, nearest
from momentumflow.base.values import Formulated, FrozenMapping
from momentumflow.symbolic import symbols
from momentumflow.symbolic.expressions import Exact, OwnSymbol, SymbolLike, read
from momentumflow.symbolic.printing import as_latex, joined

# The number of the step, counted from 1.
k = sp.Symbol("k", integer=True, positive=True)
beta_1 = sp.Symbol("beta_1", positive=True)
beta_2 = sp.Symbol("beta_2", positive=True)
decay = sp.Symbol("mu", nonnegative=True)
smoothing = sp.Symbol("delta", positive=True)

# What a statement in text may call its parameters without saying so.
_USUAL = ("b1", "b2", "beta1", "beta2", "beta_1", "beta_2", "beta", "eps", "epsilon", "mu",
          "delta", "rho", "alpha", "momentum", "decay", "wd")  # fmt: skip
_STEPS = ("gamma", "lr", "eta")


def after(memory: sp.Symbol) -> sp.Symbol:
    """Return the symbol of a memory after the step: m' for m."""
    return sp.Symbol(f"{memory.name}'", **memory.assumptions0)


@checked
@dataclass(frozen=True, repr=False)
class Optimiser(Formulated):
    """An elementwise optimiser with memories.

    Parameters
    ----------
    name : str
        Shown in messages.
    memories : tuple of sympy.Symbol
    updates : tuple of sympy.Expr
        The memories after the step, of those before it, of g, w, k, and of what the
        memories listed earlier are after it.
    move : sympy.Expr
        Phi, of the memories before and after the step, g, w and k: the weight moves by
        `step * Phi`.
    step : sympy.Symbol
    start : tuple of sympy.Expr, optional
        The memories before the first step; 0 if not given.
    first : mapping of sympy.Symbol to sympy.Expr, optional
        Updates that the first step has in place of the others.

    Raises
    ------
    InputError
        If k occurs other than in powers that die out, the step inside the move, or an
        infinity anywhere; if updates, start or first step are not those of the memories.
    """

    name: str
    memories: tuple[OwnSymbol, ...]
    updates: tuple[sp.Expr, ...]
    move: sp.Expr
    step: OwnSymbol = symbols.gamma
    start: tuple[sp.Expr, ...] = ()
    first: Mapping[OwnSymbol, sp.Expr] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", FrozenMapping(self.first))
        if not self.start:
            object.__setattr__(self, "start", (sp.S.Zero,) * len(self.memories))
        memories = set(self.memories)
        if len(memories) < len(self.memories) or memories & {symbols.g, symbols.w, symbols.t, k}:
            raise InputError("memories with names of their own", ", ".join(map(str, self.memories)))
        for what, given in (("update", self.updates), ("start", self.start)):
            if len(given) != len(memories):
                raise InputError(f"one {what} for each memory", f"{len(given)} for {len(memories)}")
        if foreign := set(self.first) - memories:
            raise InputError("a first step of memories only", ", ".join(map(str, foreign)))
        if self._expressions.has(sp.oo, -sp.oo, sp.zoo, sp.nan):
            raise InputError("updates, a start and a move that are finite", str(self))
        if self.move.has(self.step) or any(u.has(self.step) for u in self.updates):
            raise InputError(
                f"memories and a move that do not depend on the step {self.step}",
                f"{self.name}: {', '.join(map(str, (*self.updates, self.move)))}",
                "write w = w - lr*(...), with lr as a factor of the whole move only",
            )
        for expression in (self.move, *self.updates):
            _settled(expression)

    @classmethod
    def parse(
        cls, text: str, *, parameters: Sequence[str] = (), name: str = "stated optimiser"
    ) -> Optimiser:
        """Return the optimiser that a few lines of text state.

        Parameters
        ----------
        text : str
            Assignments, separated by lines or `;`, carried out one after the other: a
            line that stands below another sees the new value. `w` is the weight, `g` the
            gradient, `lr` (or `gamma`, `eta`) the step, `k` the number of the step, `t`
            gamma times the steps before it, for schedules; every other name on a left
            side is a memory.
        parameters : sequence of str
            Names of parameters beside the usual ones (b1, b2, eps, mu, ...).
        name : str
            Shown in messages.

        Raises
        ------
        InputError
            If the text is no such list, w is never moved, or a name is unknown.

        Examples
        --------
        >>> from momentumflow.symbolic.methods.optimisers import Optimiser
        >>> Optimiser.parse("m = b1*m + (1-b1)*g; w = w - lr*m").move
        -m'
        """
        lines = [line.strip() for line in text.replace("\n", ";").split(";") if line.strip()]
        sides = [_assignment(line) for line in lines]
        targets = dict.fromkeys(target for target, _ in sides if target != "w")
        memories = {target: sp.Symbol(target, real=True) for target in targets}
        reserved = {"g": symbols.g, "w": symbols.w, "k": k, "t": symbols.t} | dict.fromkeys(
            _STEPS, symbols.gamma
        )
        if clash := set(memories) & (set(reserved) | {"w"}):
            raise InputError("memories with names of their own", ", ".join(sorted(clash)))
        own = symbols.REGISTRY | {"mu": decay, "delta": smoothing}
        known = {p: own.get(p, sp.Symbol(p, positive=True)) for p in (*_USUAL, *parameters)}
        names = known | reserved | memories
        stated: dict[sp.Symbol, sp.Expr] = {}
        moved: sp.Expr | None = None
        for target, right in sides:
            right_side = read(right, names)
            foreign = {s for s in right_side.free_symbols if s not in names.values()}
            if foreign:
                raise InputError(
                    f"names among {', '.join((*reserved, *memories))} and parameters",
                    f"{', '.join(sorted(map(str, foreign)))} in {target} = {right}",
                    "the usual parameters are " + ", ".join(_USUAL[:8]) + "; declare others",
                )
            value = right_side.subs({m: after(m) for m in stated}, simultaneous=True)
            if target == "w":
                if moved is not None:
                    raise InputError("one line that moves w", f"also {target} = {right}")
                moved = sp.diff(value, symbols.gamma)
                at_rest = value.subs(symbols.gamma, 0)
                if moved.has(symbols.gamma) or sp.expand(at_rest - symbols.w) != 0:
                    raise InputError("w = w - lr*(...)", f"w = {right}")
            elif memories[target] in stated:
                raise InputError("one line for each memory", f"also {target} = {right}")
            else:
                stated[memories[target]] = value
        if moved is None:
            raise InputError("a line that moves w, such as w = w - lr*m", repr(text))
        return cls(name, tuple(stated), tuple(stated.values()), moved)

    @property
    def parameters(self) -> tuple[sp.Symbol, ...]:
        """The parameters besides the step, sorted by name."""
        known = {*self.memories, *map(after, self.memories), symbols.g, symbols.w, symbols.t, k}
        return tuple(sorted(self._expressions.free_symbols - known, key=lambda s: str(s.name)))

    @property
    def _expressions(self) -> sp.Tuple:
        return sp.Tuple(self.move, *self.updates, *self.start, *self.first.values())

    @property
    def settled(self) -> Optimiser:
        """The optimiser after its transients: without the powers `b**k` and a first step."""
        updates = tuple(map(_settled, self.updates))
        return Optimiser(
            self.name, self.memories, updates, _settled(self.move), self.step, self.start
        )

    def with_values(self, values: Mapping[SymbolLike, Exact]) -> Optimiser:
        """Return the optimiser with some of its parameters replaced by exact values.

        Raises
        ------
        InputError
            If one of them is no parameter, or a value makes the optimiser infinite.
        """
        named = {
            next((p for p in self.parameters if p.name == s.name), s): v for s, v in values.items()
        }
        if foreign := set(named) - set(self.parameters):
            raise InputError(
                f"parameters among {', '.join(map(str, self.parameters))}",
                ", ".join(sorted(map(str, foreign))),
            )
        return Optimiser(
            self.name,
            self.memories,
            tuple(u.subs(named) for u in self.updates),
            self.move.subs(named),
            self.step,
            tuple(s.subs(named) for s in self.start),
            {m: e.subs(named) for m, e in self.first.items()},
        )

    def _formula(self) -> str:
        rows = [
            f"{sp.latex(after(m))} &= {as_latex(u)}"
            for m, u in zip(self.memories, self.updates, strict=True)
        ]
        moved = joined([("w_k", ""), (as_latex(self.step * self.move), "")])
        rows.append(f"w_{{k+1}} &= {moved}")
        return "\\begin{aligned}" + " \\\\ ".join(rows) + "\\end{aligned}"

    def __str__(self) -> str:
        lines = [f"{after(m)} = {u}" for m, u in zip(self.memories, self.updates, strict=True)]
        return "\n".join((self.name, *lines, f"w' = w + {self.step}*({self.move})"))

    def __repr__(self) -> str:
        return f"<Optimiser {self.name}: memories {', '.join(map(str, self.memories)) or 'none'}>"


def _assignment(line: str) -> tuple[str, str]:
    """Return the two sides of `name = expression`."""
    target, equals, right = line.partition("=")
    if not equals or not target.strip().isidentifier() or right.startswith("="):
        raise InputError("lines like m = b1*m + (1-b1)*g", repr(line))
    return target.strip(), right.strip()


def _settled(expression: sp.Expr) -> sp.Expr:
    """Return an expression once the powers `b**k` have died out."""
    found = expression.replace(
        lambda e: e.is_Pow and e.exp.has(k) and not e.base.has(k), lambda _: sp.S.Zero
    )
    if found.has(k):
        raise InputError(
            "the step's number k in powers b**k of a parameter only",
            f"{expression}",
            "a schedule is a function of t, the time in steps times gamma",
        )
    return found


@checked
def Adam(
    beta_1: Exact = beta_1,
    beta_2: Exact = beta_2,
    eps: Exact = symbols.eps,
    *,
    placement: Literal["outside", "inside"] = "outside",
    bias_correction: bool = True,
    decay: Exact = 0,
    coupled: bool = False,
    eps_root: Exact = 0,
) -> Optimiser:
    """Return Adam: `w -= gamma m / (sqrt(v) + eps)`.

    Parameters
    ----------
    beta_1, beta_2, eps : symbol, fraction or expression
    placement : {"outside", "inside"}
        Whether eps stands outside the root or inside it, `sqrt(v + eps)`.
    bias_correction : bool
        Divide m by `1 - beta_1**k` and v by `1 - beta_2**k`: a transient.
    decay : symbol, fraction or expression
        Weight decay mu.
    coupled : bool
        Whether it is added to the gradient; otherwise w shrinks by gamma mu, as in AdamW.
    eps_root : symbol, fraction or expression
        A second one inside the root, as optax has it.

    Returns
    -------
    Optimiser

    References
    ----------
    Kingma and Ba, arXiv 1412.6980; Loshchilov and Hutter, arXiv 1711.05101.
    """
    b1, b2, e, mu, inner = beta_1, beta_2, eps, decay, eps_root
    m, v, w = sp.Symbol("m", real=True), sp.Symbol("v", nonnegative=True), symbols.w
    g = symbols.g + (mu * w if coupled else 0)
    updates = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
    up, down = _corrected((m, v), (b1, b2), bias_correction)
    root = sp.sqrt(down + e) if placement == "inside" else sp.sqrt(down + inner) + e
    name = "Adam" if coupled or mu == 0 else "AdamW"
    return Optimiser(name, (m, v), updates, -up / root - (0 if coupled else mu * w))


def _corrected(
    memories: tuple[sp.Symbol, sp.Symbol], rates: tuple[sp.Expr, sp.Expr], wanted: bool
) -> tuple[sp.Expr, sp.Expr]:
    """Return two memories after the step, divided by `1 - b**k` if that is wanted."""
    first, second = (
        after(m) / (1 - b**k) if wanted else after(m) for m, b in zip(memories, rates, strict=True)
    )
    return first, second


@checked
def AdamW(
    beta_1: Exact = beta_1,
    beta_2: Exact = beta_2,
    eps: Exact = symbols.eps,
    decay: Exact = decay,
    **how: Any,
) -> Optimiser:
    """Return Adam with decoupled weight decay.

    Parameters
    ----------
    beta_1, beta_2, eps, decay : symbol, fraction or expression
    **how
        The keywords of `Adam`.

    Returns
    -------
    Optimiser
    """
    return Adam(beta_1, beta_2, eps, decay=decay, **how)


@checked
def RMSProp(
    beta_2: Exact = beta_2,
    eps: Exact = symbols.eps,
    momentum: Exact = 0,
    *,
    centred: bool = False,
    placement: Literal["outside", "inside"] = "outside",
    decay: Exact = 0,
    nesterov: bool = False,
) -> Optimiser:
    """Return RMSProp, with momentum and centred if asked for, as PyTorch has it.

    Parameters
    ----------
    beta_2, eps, momentum : symbol, fraction or expression
    centred : bool
        Subtract the square of the mean gradient. The root is then zero where the memories
        rest, so that a derivation needs eps inside it.
    placement : {"outside", "inside"}
        Where eps stands.
    decay : symbol, fraction or expression
        Weight decay, added to the gradient.
    nesterov : bool
        Look ahead with the momentum, as optax can.

    Returns
    -------
    Optimiser
    """
    b, e, mu = beta_2, eps, momentum
    v, mean, p = sp.symbols("v a p", real=True)
    g = symbols.g + decay * symbols.w
    spread = after(v) - after(mean) ** 2 if centred else after(v)
    force = g / (sp.sqrt(spread + e) if placement == "inside" else sp.sqrt(spread) + e)
    stated = {v: b * v + (1 - b) * g**2}
    if centred:
        stated[mean] = b * mean + (1 - b) * g
    if mu != 0:
        stated[p] = mu * p + force
        force = force + mu * after(p) if nesterov else after(p)
    return Optimiser("RMSProp", tuple(stated), tuple(stated.values()), -force)


@checked
def NAdam(
    beta_1: Exact = beta_1,
    beta_2: Exact = beta_2,
    eps: Exact = symbols.eps,
    *,
    bias_correction: bool = True,
    warming: Exact | None = None,
    decay: Exact = 0,
    coupled: bool = True,
) -> Optimiser:
    """Return Adam with Nesterov's look ahead.

    Parameters
    ----------
    beta_1, beta_2, eps : symbol, fraction or expression
    bias_correction : bool
        Divide by what the averages lack at the start: a transient.
    warming : symbol, fraction or expression, optional
        c of PyTorch's momentum `mu_k = beta_1 (1 - c**k/2)`, its `0.96**momentum_decay`;
        the correction is then by the product of the `mu_k`. Constant momentum if not given.
    decay, coupled
        As `Adam` has them.

    Returns
    -------
    Optimiser

    References
    ----------
    Dozat, ICLR workshop 2016.
    """
    b1, b2, e, mu = beta_1, beta_2, eps, decay
    m, v = sp.Symbol("m", real=True), sp.Symbol("v", nonnegative=True)
    g = symbols.g + (mu * symbols.w if coupled else 0)
    stated = {m: b1 * m + (1 - b1) * g, v: b2 * v + (1 - b2) * g**2}
    start = [sp.S.Zero, sp.S.Zero]
    _, down = _corrected((m, v), (b1, b2), bias_correction)
    if warming is None:
        ahead, now = (1 - b1 ** (k + 1), 1 - b1**k) if bias_correction else (sp.S.One, sp.S.One)
        up = b1 * after(m) / ahead + (1 - b1) * g / now
    else:
        c, product = warming, sp.Symbol("p", positive=True)
        here, there = b1 * (1 - c**k / 2), b1 * (1 - c ** (k + 1) / 2)
        stated[product] = product * here
        start.append(sp.S.One)
        up = (1 - here) * g / (1 - after(product))
        up += there * after(m) / (1 - after(product) * there)
    move = -up / (sp.sqrt(down) + e) - (0 if coupled else mu * symbols.w)
    return Optimiser("NAdam", tuple(stated), tuple(stated.values()), move, start=tuple(start))


@checked
def AdaBelief(
    beta_1: Exact = beta_1,
    beta_2: Exact = beta_2,
    eps: Exact = symbols.eps,
    *,
    bias_correction: bool = True,
    eps_root: Exact | None = None,
    decay: Exact = 0,
) -> Optimiser:
    """Return AdaBelief: the square of `g - m` in place of that of g, eps added at each step.

    Parameters
    ----------
    beta_1, beta_2 : symbol, fraction or expression
    eps : symbol, fraction or expression
        Stands inside the memory and outside the root, as in the authors' code.
    bias_correction : bool
        Divide by what the averages lack at the start: a transient.
    eps_root : symbol, fraction or expression, optional
        Stands inside the memory in place of eps.
    decay : symbol, fraction or expression
        Weight decay, decoupled.

    Returns
    -------
    Optimiser

    References
    ----------
    Zhuang et al., NeurIPS 2020, arXiv 2010.07468.
    """
    b1, b2, e = beta_1, beta_2, eps
    m, s, g = sp.Symbol("m", real=True), sp.Symbol("s", nonnegative=True), symbols.g
    inner = e if eps_root is None else eps_root
    updates = b1 * m + (1 - b1) * g, b2 * s + (1 - b2) * (g - after(m)) ** 2 + inner
    up, down = _corrected((m, s), (b1, b2), bias_correction)
    move = -up / (sp.sqrt(down) + e) - decay * symbols.w
    return Optimiser("AdaBelief", (m, s), updates, move)


def _smooth_sign(x: sp.Expr, width: sp.Expr) -> sp.Expr:
    return x / sp.sqrt(x**2 + width**2)


@checked
def Signum(beta_1: Exact = beta_1, delta: Exact = smoothing, decay: Exact = 0) -> Optimiser:
    """Return sign descent with momentum, the sign smoothed: `m / sqrt(m**2 + delta**2)`.

    Parameters
    ----------
    beta_1 : symbol, fraction or expression
        How much of the mean gradient m is kept in a step.
    delta : symbol, fraction or expression
        Width of the smoothed sign, in units of the gradient.
    decay : symbol, fraction or expression
        Weight decay, decoupled.

    Returns
    -------
    Optimiser

    References
    ----------
    Bernstein et al., ICML 2018, arXiv 1802.04434.
    """
    b1, d, mu = beta_1, delta, decay
    m = sp.Symbol("m", real=True)
    update = b1 * m + (1 - b1) * symbols.g
    return Optimiser("Signum", (m,), (update,), -_smooth_sign(after(m), d) - mu * symbols.w)


@checked
def Lion(
    beta_1: Exact = beta_1, beta_2: Exact = beta_2, delta: Exact = smoothing, decay: Exact = 0
) -> Optimiser:
    """Return Lion, the sign smoothed: it steps along an average that the memory has not yet.

    Parameters
    ----------
    beta_1 : symbol, fraction or expression
        Weight of the memory in the average that is stepped along.
    beta_2 : symbol, fraction or expression
        How much of the memory is kept in a step.
    delta : symbol, fraction or expression
        Width of the smoothed sign, in units of the gradient.
    decay : symbol, fraction or expression
        Weight decay, decoupled.

    Returns
    -------
    Optimiser

    References
    ----------
    Chen et al., NeurIPS 2023, arXiv 2302.06675.
    """
    b1, b2, d, mu = beta_1, beta_2, delta, decay
    m, g = sp.Symbol("m", real=True), symbols.g
    along = b1 * m + (1 - b1) * g
    return Optimiser(
        "Lion", (m,), (b2 * m + (1 - b2) * g,), -_smooth_sign(along, d) - mu * symbols.w
    )


@checked
def SGD(
    momentum: Exact = symbols.beta,
    dampening: Exact = 0,
    decay: Exact = 0,
    *,
    nesterov: bool = False,
) -> Optimiser:
    """Return PyTorch's SGD: the velocity in units of the gradient, its first step undamped.

    Parameters
    ----------
    momentum, dampening, decay : symbol, fraction or expression
        `v = momentum v + (1 - dampening) g`, decay coupled: `g + decay w`.
    nesterov : bool
        Step along `g + momentum v` in place of v.

    Returns
    -------
    Optimiser
    """
    b, damp, mu = momentum, dampening, decay
    v = sp.Symbol("v", real=True)
    g = symbols.g + mu * symbols.w
    if b == 0:
        return Optimiser("SGD", (), (), -g)
    new = b * v + (1 - damp) * g
    move = -(g + b * after(v)) if nesterov else -after(v)
    return Optimiser("SGD", (v,), (new,), move, first={v: g} if damp != 0 else {})


@checked
def known_optimiser(name: str) -> Optimiser:
    """Return the built-in optimiser of a name, with symbols for parameters.

    Parameters
    ----------
    name : str
        adam, adamw, rmsprop, nadam, adabelief, signum, lion or sgd.

    Returns
    -------
    Optimiser

    Raises
    ------
    InputError
        If it is none of them.
    """
    maker = _BUILT_IN.get(name)
    if maker is None:
        raise InputError(
            f"an optimiser among {', '.join(_BUILT_IN)}", repr(name), nearest(name, _BUILT_IN)
        )
    return maker()


_BUILT_IN: Mapping[str, Callable[[], Optimiser]] = {
    make.__name__.lower(): make
    for make in (Adam, AdamW, RMSProp, NAdam, AdaBelief, Signum, Lion, SGD)
}
