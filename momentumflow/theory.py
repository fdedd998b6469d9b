"""Every formula of the theory: written by the package, with what derives, proves and measures it.

`formulas()` is the one index; `momentumflow theory` lists and shows it, and the
theory page of the documentation is built from it. A test holds that every
identity and every claim of the package stands in it.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import sympy as sp

from momentumflow.base.errors import InputError, nearest
from momentumflow.symbolic import (
    DiagonalNetwork,
    HeavyBall,
    Nesterov,
    QuasiHyperbolic,
    acceleration_rule,
    energy,
    epoch_loss,
    friction,
    friction_identities,
    intrinsic_parameter,
    leading_equation,
    memoryless_map,
    modified_equation,
    modified_loss,
    principal_flow,
    quadratic_moments,
    refined_parameter,
    stochastic_equation,
    theorems,
    time_step,
)
from momentumflow.symbolic.networks.polar_flow import PolarFlow
from momentumflow.symbolic.theorems.statements import Provable
from momentumflow.symbolic.theorems.theorem import Theorem
from momentumflow.verify import claims


@dataclass(frozen=True)
class Formula:
    """A formula and where it comes from.

    Attributes
    ----------
    section, title : str
        Where it stands in the theory, and what it is called.
    latex : str
    by : tuple of str
        Public names that derive or compute it.
    proofs : tuple of str
        Names of the identities that carry it.
    claims : tuple of str
        Names of the claims of `momentumflow verify` that measure it.
    theorem : Theorem, optional
        The chain of which `proofs` are the steps, where it is a theorem.
    """

    section: str
    title: str
    latex: str
    by: tuple[str, ...] = ()
    proofs: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    theorem: Theorem | None = None

    @property
    def name(self) -> str:
        """What `momentumflow theory NAME` finds it by."""
        return slug(self.title)

    @property
    def identities(self) -> tuple[Provable, ...]:
        """The statements that carry it, to be proved."""
        known = identities()
        return tuple(known[name] for name in self.proofs)

    @property
    def sources(self) -> tuple[str, ...]:
        """Where it stands in the literature, as its identities and its claims say."""
        said = [] if self.theorem is None else [self.theorem.source]
        said += [identity.source for identity in self.identities]
        said += [claim.source for claim in claims() if claim.name in self.claims]
        return tuple(dict.fromkeys(filter(None, said)))

    @property
    def homes(self) -> tuple[str, ...]:
        """The files of the repository in which it is derived, the line of each included."""
        return tuple(dict.fromkeys(_home(name) for name in self.by))

    def to_dict(self) -> dict[str, Any]:
        """Return everything that the index knows of it, for JSON."""
        return {
            "name": self.name,
            "section": self.section,
            "title": self.title,
            "latex": self.latex,
            "derived_by": list(self.by),
            "files": list(self.homes),
            "sources": list(self.sources),
            "proofs": [
                {
                    "name": identity.name,
                    "statement": identity.latex(),
                    "assumptions": identity.assumptions,
                    "source": identity.source,
                }
                for identity in self.identities
            ],
            "claims": list(self.claims),
        }


def slug(text: str) -> str:
    """Return the anchor of a name; a sign may tell two names apart."""
    spelled = text.replace("_+", "-plus").replace("_-", "-minus")
    return re.sub(r"[^a-z0-9]+", "-", spelled.lower()).strip("-")


@cache
def identities() -> dict[str, Provable]:
    """Return every statement that is proved, in the order of the theory."""
    method = HeavyBall()
    of_claims = [identity for claim in claims() for identity in claim.to_prove]
    steps = [step for theorem in theorems() for step in theorem.formal]
    network = DiagonalNetwork()
    laws = (*network.identities, *PolarFlow(network.balanced).identities)
    every = (*laws, *friction_identities(method), *of_claims, *steps)
    return {identity.name: identity for identity in reversed(every)}


def _claim(name: str, k: int = 0) -> str:
    return next(c.displayed[k] for c in claims() if c.name == name)


def _named(symbol: str, value: object) -> str:
    return f"{symbol} = {sp.latex(value)}"


def _home(name: str) -> str:
    """Return file and line of a public object, by its dotted name."""
    package, _, rest = name.partition(".")
    thing: Any = importlib.import_module(package)
    for part in rest.split("."):
        thing = getattr(thing, part)
    thing = inspect.unwrap(getattr(thing, "func", thing))
    _, line = inspect.getsourcelines(thing)
    # the rooms lie at the top of the repository, the front door in its own folder
    module = re.sub(r"^momentumflow\.(?=symbolic|numeric|verify)", "", thing.__module__)
    return f"{module.replace('.', '/')}.py:{max(line, 1)}"


def find(name: str) -> Formula:
    """Return the formula that a name means.

    Parameters
    ----------
    name : str
        Its name in the list, a part of its title that no other has, or the name of
        one of its identities or claims.

    Raises
    ------
    InputError
        If none or several are meant; the message lists which.
    """
    rows, wanted = formulas(), slug(name)
    exact = [row for row in rows if wanted in (row.name, getattr(row.theorem, "name", None))]
    carried = [row for row in rows if wanted in {*map(slug, row.proofs), *map(slug, row.claims)}]
    partly = [row for row in rows if wanted and wanted in row.name]
    for found in (exact, partly, carried[:1]):  # the first that rests on it, in the theory's order
        if len(found) == 1:
            return found[0]
    meant = dict.fromkeys(row.name for row in (*exact, *partly))
    if meant:
        raise InputError("one formula", f"{name!r}, which is in {', '.join(meant)}")
    raise InputError(
        "the name of a formula",
        repr(name),
        nearest(wanted, [row.name for row in rows]) or "momentumflow theory lists all",
    )


@cache
def formulas() -> tuple[Formula, ...]:
    """Return all formulas, in the order of the theory."""
    chosen = (
        *_methods(),
        *_inertial(),
        *_slow(),
        *_noise(),
        *_network(),
        *_limit(),
        *_theorems(),
        *_beyond(),
    )
    # A claim that no row names yet, with the proofs that it brings, is a row of its own.
    named = {name for row in chosen for name in row.claims}
    proved = {name for row in chosen for name in row.proofs}
    further = [
        Formula(
            "Beyond",
            claim.title,
            claim.displayed[0],
            proofs=tuple(i.name for i in claim.to_prove),
            claims=(claim.name,),
        )
        for claim in claims()
        if claim.name not in named or {i.name for i in claim.to_prove} - proved
    ]
    return (*chosen, *further)


def _methods() -> Iterator[Formula]:
    section = "Methods"
    for method, claim in ((HeavyBall(), "discretisation"), (Nesterov(), "limit-nesterov")):
        name = type(method).__name__
        yield Formula(
            section,
            "Heavy ball" if name == "HeavyBall" else "Nesterov's method",
            sp.latex(method.equation),
            (f"momentumflow.symbolic.{name}",),
            claims=(claim,),
        )
    yield Formula(
        section,
        "Quasi-hyperbolic momentum",
        sp.latex(QuasiHyperbolic().equation),
        ("momentumflow.symbolic.QuasiHyperbolic",),
        claims=("limit-quasi-hyperbolic",),
    )


def _inertial() -> Iterator[Formula]:
    section = "Inertial regime"
    room = "momentumflow.symbolic"
    method = HeavyBall()
    yield Formula(
        section,
        "Intrinsic parameter and time step",
        _named(r"\lambda", intrinsic_parameter(method))
        + r",\quad "
        + _named(r"\epsilon", time_step(method)),
        (f"{room}.intrinsic_parameter", f"{room}.time_step"),
        claims=("one-parameter", "one-parameter-relu", "one-parameter-digits"),
    )
    yield Formula(
        section,
        "Momentum gradient flow",
        leading_equation(method).latex(),
        (f"{room}.leading_equation", "momentumflow.numeric.momentum_flow"),
        claims=("one-parameter",),
    )
    polar = PolarFlow(DiagonalNetwork().balanced)
    yield Formula(
        section,
        "The flow in polar coordinates",
        polar.latex(),
        (
            f"{room}.PolarFlow",
            "momentumflow.numeric.momentum_flow",
        ),
        tuple(identity.name for identity in polar.identities),
    )
    yield Formula(
        section,
        "Heavy ball discretises it",
        _claim("discretisation"),
        proofs=("heavy ball discretises MGF(lambda)",),
        claims=("discretisation",),
    )
    yield Formula(
        section,
        "Acceleration rule",
        acceleration_rule(method).latex(),
        (f"{room}.acceleration_rule",),
        ("the rule keeps lambda",),
        ("acceleration",),
    )
    yield Formula(
        section,
        "Modified equation, here to second order",
        modified_equation(method, 2).latex(),
        (f"{room}.modified_equation",),
        claims=("modified-equations",),
    )
    yield Formula(
        section,
        "Refined parameter",
        _named(r"\hat\lambda", refined_parameter(method)),
        (f"{room}.refined_parameter",),
        ("refined parameter",),
        ("refined-parameter",),
    )
    start = modified_equation(method, 1).initial_velocity
    assert start is not None  # w_{-1} = w_0 ties it
    yield Formula(
        section,
        "Corrected start",
        _named(r"\dot w(0)", sp.Symbol("f") * start.coefficient("[]")),
        (f"{room}.modified_equation",),
        claims=("refined-parameter",),
    )
    yield Formula(
        section,
        "Friction to all orders, and the parameter of all orders",
        _named(r"\mu", friction(method))
        + r",\quad "
        + _named(r"\lambda_\star", refined_parameter(method, sp.oo)),
        (f"{room}.friction", f"{room}.friction_identities", f"{room}.uniqueness_defect"),
        tuple(identity.name for identity in friction_identities(method)),
    )
    yield Formula(
        section,
        "Nesterov's first correction: Hessian damping",
        modified_equation(Nesterov(), 1).latex(),
        (f"{room}.modified_equation",),
    )
    yield Formula(
        section,
        "Energy and dissipation",
        energy(method, 1).latex(),
        (f"{room}.energy",),
    )
    yield Formula(
        section,
        "Small inertia: gradient flow",
        _claim("gradient-flow-limit"),
        claims=("gradient-flow-limit",),
    )


def _slow() -> Iterator[Formula]:
    section = "Slow regime"
    room = "momentumflow.symbolic"
    method = HeavyBall()
    yield Formula(
        section,
        "Modified equation, here to third order",
        modified_equation(method, 3, "slow").latex(),
        (f"{room}.modified_equation",),
    )
    yield Formula(
        section,
        "Memoryless map",
        memoryless_map(method, 3).latex(),
        (f"{room}.memoryless_map",),
    )
    yield Formula(
        section, "Modified loss", modified_loss(method, 2).latex(), (f"{room}.modified_loss",)
    )
    yield Formula(
        section,
        "Principal flow on quadratics",
        principal_flow(method).latex(),
        (f"{room}.principal_flow", f"{room}.slow_root_series"),
    )


def _noise() -> Iterator[Formula]:
    section = "Noise"
    room = "momentumflow.symbolic"
    method = HeavyBall()
    yield Formula(
        section,
        "Stochastic equation, here of weak order 2",
        stochastic_equation(method, 2).latex(),
        (f"{room}.stochastic_equation", "momentumflow.numeric.momentum_sde"),
        claims=("weak-orders", "weak-orders-in-a-well"),
    )
    yield Formula(
        section,
        "Variance at rest on quadratics, for each unit of variance in a gradient",
        _named(r"\mathrm{Var}\, w", quadratic_moments(method).variance()),
        (f"{room}.quadratic_moments",),
        claims=("stationary-noise",),
    )
    yield Formula(
        section,
        "Acceleration rule with the batch size",
        _claim("batch-size-rule"),
        (f"{room}.scaling_rules", f"{room}.transfer"),
        claims=("batch-size-rule",),
    )
    yield Formula(
        section,
        "Loss of an epoch of four batches",
        epoch_loss(method, 4).latex(),
        (f"{room}.epoch_loss",),
    )


def _network() -> Iterator[Formula]:
    section = "Network"
    network = "momentumflow.symbolic.DiagonalNetwork"
    known = identities()

    def proved(
        title: str, *names: str, by: str = network, measured: tuple[str, ...] = ()
    ) -> Formula:
        written = r",\quad ".join(known[name].latex() for name in names[:2])
        return Formula(section, title, written, (by,), names, measured)

    yield proved("The network in balanced weights", "parameter in w_pm")
    yield proved("The force decouples", "force on w_+", "force on w_-")
    yield proved("Balancedness", "balancedness in w_pm", measured=("shrinking-balancedness",))
    yield proved("Riccati recursion of the ratios", "discrete Riccati recursion")
    yield Formula(
        section,
        "Remainder of a step, discrete balancedness",
        _claim("limit-heavy-ball", 2),
        (f"{network}.remainder_summand", "momentumflow.numeric.momentum_descent"),
        ("slope of the remainder summand", "remainder summand from z = 1"),
        ("limit-heavy-ball", "limit-minibatch", "diabetes-heavy-ball", "diabetes-minibatch"),
    )
    yield proved(
        "Riccati equations of the flow", "Riccati equation of w_+", "Riccati equation of w_-"
    )
    yield Formula(
        section,
        "Balancedness of the flow",
        _claim("limit-flow", 2),
        ("momentumflow.numeric.momentum_flow",),
        ("logarithm of a weight",),
        ("limit-flow", "diabetes-flow"),
    )
    yield Formula(
        section,
        "Balancedness law",
        _claim("balancedness-law"),
        (f"{network}.balancedness_defect",),
        ("balancedness law",),
        ("balancedness-law",),
    )
    yield Formula(
        section,
        "Small lambda shrinks the balancedness",
        _claim("shrinking-balancedness"),
        (
            f"{network}.log_shrinkage",
            "momentumflow.numeric.momentum_flow",
        ),
        claims=("shrinking-balancedness",),
    )
    yield Formula(
        section,
        "No sign change (sufficient)",
        _claim("sign-changes"),
        (f"{network}.sign_bound",),
        claims=("sign-changes",),
    )


def _limit() -> Iterator[Formula]:
    section = "Limit"
    network = DiagonalNetwork()
    solver = "momentumflow.numeric.implicit_solution"
    yield Formula(
        section,
        "The limit theorem",
        _claim("limit-flow"),
        (solver, "momentumflow.verify.predict"),
        claims=("limit-flow", "limit-heavy-ball", "limit-minibatch"),
    )
    yield Formula(
        section,
        "Perturbed initialisation",
        _claim("perturbed-start"),
        ("momentumflow.numeric.Trajectory",),
        claims=("perturbed-start",),
    )
    yield Formula(
        section,
        "The remainder of any separable network under any schedule",
        r"\phi_i(w_\infty) = \phi_i(w_0) - R_i - \sum_k e_k g_k,\quad \phi_i' = 1/D_i,\quad "
        r"R_{i,k} = \phi_i(w_0) - \phi_i(w_k) - \sum_{j<k} e_j g_j - C_k\, p_k/D_i(w_k)",
        ("momentumflow.symbolic.RemainderLaw", "momentumflow.symbolic.straightened"),
        ("the partial remainder grows by the summand of a step",),
    )
    yield Formula(
        section,
        "Hyperbolic entropy, of one coordinate",
        _named(r"\psi_\Delta(\theta)", network.entropy),
        (
            "momentumflow.symbolic.DiagonalNetwork.entropy",
            "momentumflow.numeric.HyperbolicEntropy",
        ),
        ("gradient of the hyperbolic entropy", "Hessian of the hyperbolic entropy"),
    )
    yield Formula(
        section,
        "Mirror variable and its inverse",
        identities()["mirror variable in w_pm"].latex()
        + r",\quad \theta = \tfrac{\Delta}{2} \sinh(2 \nu)",
        (solver,),
        ("mirror map inverts", "mirror variable in w_pm"),
    )
    yield Formula(
        section,
        "Bregman divergence as relative entropy",
        r"2 D_\psi(\theta, \theta_0) = "
        + sp.latex(network.identity("Bregman divergence as relative entropy").rhs),
        ("momentumflow.numeric.ImplicitModel",),
        ("Bregman divergence as relative entropy",),
    )
    yield Formula(
        section,
        "Rich and lazy limit of the potential",
        _claim("entropy-limits"),
        ("momentumflow.numeric.rich_limit", "momentumflow.numeric.lazy_limit"),
        ("l1 limit of the entropy", "l2 limit of the entropy"),
        ("entropy-limits",),
    )
    yield Formula(
        section,
        "At fixed lambda the limit of small alpha is not basis pursuit",
        _claim("not-basis-pursuit"),
        ("momentumflow.numeric.momentum_flow",),
        claims=("not-basis-pursuit",),
    )
    yield Formula(
        section,
        "From saddle to saddle as alpha vanishes (a conjecture for lambda > 0)",
        _claim("rich-path"),
        ("momentumflow.numeric.rich_path",),
        ("the growth of the other weight at constant gradient",),
        ("rich-path",),
    )
    yield Formula(
        section,
        "When momentum helps sparse recovery",
        _claim("when-momentum-recovers"),
        ("momentumflow.numeric.sweep",),
        claims=("when-momentum-recovers",),
    )


# The functions that compute what a theorem speaks about, on data.
_COMPUTED = {
    "no-sign-change": "sign_change_bound",
    "no-sign-change-heavy-ball": "SignChangeBound.largest_step",
    "sharp-sign-bound": "rich_path",
    "convergence": "convergence_bound",
    "weighted-l1": "momentum_penalty",
    "less-penalty": "momentum_penalty",
    "first-order": "limit_derivative",
}


def _theorems() -> Iterator[Formula]:
    for theorem in theorems():
        computed = _COMPUTED.get(theorem.name)
        yield Formula(
            "Theorems",
            theorem.title,
            theorem.formula,
            (
                "momentumflow.symbolic.theorem",
                *([f"momentumflow.numeric.{computed}"] if computed else []),
            ),
            tuple(step.name for step in theorem.formal),
            tuple(claim.name for claim in claims() if theorem.name in claim.theorems),
            theorem,
        )


def _beyond() -> Iterator[Formula]:
    section = "Beyond"
    yield Formula(
        section,
        "Other reparametrisations",
        r"\theta = \sum_i g_i(w_i)",
        ("momentumflow.symbolic.mirror_flow", "momentumflow.numeric.potential_of_map"),
        claims=("other-networks",),
    )
    yield Formula(
        section,
        "Depth D",
        _claim("other-networks"),
        ("momentumflow.numeric.DepthEntropy",),
        claims=("other-networks",),
    )
    yield Formula(
        section,
        "Noise on the weights balances them",
        _claim("noise-balances"),
        ("momentumflow.symbolic.DiagonalNetwork.imbalance_decay",),
        proofs=("noise balances the weights",),
        claims=("noise-balances",),
    )
