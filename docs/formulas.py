"""Every formula of the theory: written by the package, with what derives, proves and measures it.

`theory.md` shows `table(...)`, section by section, and below `proofs(...)` and `checks()`;
a test holds that every identity and every claim of the package stands in the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import source_pages
import sympy as sp
from IPython.display import Markdown

from momentumflow.symbolic import (
    DiagonalNetwork,
    HeavyBall,
    Identity,
    Nesterov,
    QuasiHyperbolic,
    acceleration_rule,
    energy,
    friction,
    friction_identities,
    intrinsic_parameter,
    leading_equation,
    memoryless_map,
    modified_equation,
    modified_loss,
    principal_flow,
    refined_parameter,
    time_step,
)
from momentumflow.verify import Claim, claims


@dataclass(frozen=True)
class Formula:
    """One row: a formula and where it comes from.

    `by` are public names that derive or compute it, `proofs` names of identities,
    `claims` names of claims.
    """

    section: str
    title: str
    latex: str
    by: tuple[str, ...] = ()
    proofs: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()


def slug(text: str) -> str:
    """Return the anchor of a name; a sign may tell two names apart."""
    spelled = text.replace("_+", "-plus").replace("_-", "-minus")
    return re.sub(r"[^a-z0-9]+", "-", spelled.lower()).strip("-")


@cache
def identities() -> dict[str, Identity]:
    """Return every identity of the package, in the order of the theory."""
    method = HeavyBall()
    of_claims = [identity for claim in claims() for identity in _proofs_of(claim)]
    every = (*DiagonalNetwork().identities, *friction_identities(method), *of_claims)
    return {identity.name: identity for identity in reversed(every)}


def _proofs_of(claim: Claim) -> tuple[Identity, ...]:
    return claim.proofs() if claim.proofs else ()


def _claim(name: str, k: int = 0) -> str:
    return next(c.formulas[k] for c in claims() if c.name == name)


def _named(symbol: str, value: object) -> str:
    return f"{symbol} = {sp.latex(value)}"


@cache
def formulas() -> tuple[Formula, ...]:
    """Return all rows."""
    chosen = (*_methods(), *_inertial(), *_slow(), *_network(), *_limit(), *_beyond())
    # A claim that no row names yet, with the proofs that it brings, is a row of its own.
    named = {name for row in chosen for name in row.claims}
    proved = {name for row in chosen for name in row.proofs}
    further = [
        Formula(
            "Beyond",
            claim.title,
            claim.formulas[0],
            proofs=tuple(i.name for i in _proofs_of(claim)),
            claims=(claim.name,),
        )
        for claim in claims()
        if claim.name not in named or {i.name for i in _proofs_of(claim)} - proved
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
    yield Formula(
        section,
        "Corrected start",
        _named(
            r"\dot w(0)",
            sp.Symbol("f") * modified_equation(method, 1).initial_velocity.coefficient("[]"),
        ),
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
        energy(method, 1)._repr_latex_().strip("$").removeprefix(r"\displaystyle"),
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
        ("slope of the remainder summand", "remainder summand at z = 1"),
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
        (network,),
        ("balancedness law",),
        ("balancedness-law",),
    )
    yield Formula(
        section,
        "Small lambda shrinks the balancedness",
        _claim("shrinking-balancedness"),
        ("momentumflow.numeric.momentum_flow",),
        claims=("shrinking-balancedness",),
    )
    yield Formula(
        section,
        "No sign change (sufficient)",
        _claim("sign-changes"),
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
        "Hyperbolic entropy, of one coordinate",
        _named(r"\psi_\Delta(\theta)", network.entropy),
        ("momentumflow.symbolic.DiagonalNetwork", "momentumflow.numeric.HyperbolicEntropy"),
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
        + sp.latex(identities()["Bregman divergence as relative entropy"].rhs),
        ("momentumflow.numeric.ImplicitModel",),
        ("Bregman divergence as relative entropy",),
    )
    yield Formula(
        section,
        "Rich and kernel limit of the potential",
        _claim("entropy-limits"),
        ("momentumflow.numeric.rich_limit", "momentumflow.numeric.kernel_limit"),
        ("l1 limit of the entropy", "l2 limit of the entropy"),
        ("entropy-limits",),
    )
    yield Formula(
        section,
        "Does a small lambda help sparse recovery? (a question)",
        _claim("small-lambda-recovers"),
        claims=("small-lambda-recovers",),
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
        proofs=("noise balances the weights",),
        claims=("noise-balances",),
    )


def _source(where: str | None) -> str:
    return f' <a href="{where}">code</a>' if where else ""


def _entry(row: Formula) -> str:
    derived = [f"{{py:obj}}`~{name}`" + _source(source_pages.of_name(name)) for name in row.by]
    proved = [
        f'<a href="#proof-{slug(name)}">{name}</a>' + _source(of_proof(name)) for name in row.proofs
    ]
    measured = [f'<a href="#claim-{name}">{name}</a>' for name in row.claims]
    what = (("derived", derived), ("proved", proved), ("measured", measured))
    said = "; ".join(f"*{how}:* {', '.join(links)}" for how, links in what if links)
    return f"**{row.title}**. {said}.\n\n$${row.latex}$$"


def table(section: str) -> Markdown:
    """Return the formulas of one section, each with links to what carries it."""
    return Markdown("\n\n".join(_entry(row) for row in formulas() if row.section == section))


def of_proof(name: str) -> str | None:
    """Return the address of the line that states an identity."""
    return source_pages.of_identity(name)


_SHOWN: set[str] = set()


def proofs(*names: str) -> Markdown:
    """Prove identities and return each with the steps of its proof."""
    _SHOWN.update(names)
    return Markdown("\n\n".join(_proof(identities()[name]) for name in names))


def further_proofs() -> Markdown:
    """Prove whatever the page has not shown up to here."""
    return proofs(*(name for name in identities() if name not in _SHOWN))


def _proof(identity: Identity) -> str:
    proof = identity.prove()  # raises if it cannot be proved
    given = f" Given: {identity.assumptions}." if identity.assumptions else ""
    source = f" *({identity.source})*" if identity.source else ""
    number = len(proof.steps)
    return (
        f'<a id="proof-{slug(identity.name)}"></a>\n\n'
        f"**{identity.name}**.{given}{source}{_source(of_proof(identity.name))}\n\n"
        f"$${identity.latex()}$$\n\n"
        f"<details><summary>The proof, {number} step{'s' * (number > 1)}</summary>\n\n"
        f"```text\n{proof}\n```\n\n</details>"
    )


def checks() -> Markdown:
    """Return every claim with the command that judges it and the code of its check."""
    return Markdown("\n\n".join(_check(claim) for claim in claims()))


def _check(claim: Claim) -> str:
    written = "\n\n".join(f"$${formula}$$" for formula in claim.formulas)
    return (
        f'<a id="claim-{claim.name}"></a>\n\n'
        f"**{claim.title}** (`momentumflow verify --only {claim.name}`). {claim.statement} "
        f"*({claim.source})*{_source(source_pages.of_object(claim.check))}\n\n{written}"
    )
