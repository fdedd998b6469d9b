"""What a claim is: a statement of the theory with everything that could refute it.

That is proofs by SymPy where they exist, a numerical check, and negative
controls. The check never calls the library directly; it receives a `Subject`
(`momentumflow.verify.subject`), the theory and the code under judgement. A
negative control is the same check on a `Mutation` of that subject, one in which
something is wrong on purpose, and it has to be refuted: a check that accepts
wrong theory is no evidence for right theory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from momentumflow.base.arguments import checked
from momentumflow.base.values import html_table
from momentumflow.symbolic.identities import Identity
from momentumflow.symbolic.theorems.statements import Provable
from momentumflow.symbolic.theorems.theorem import Theorem
from momentumflow.symbolic.theorems.theorem_list import theorem
from momentumflow.verify.evidence import Evidence
from momentumflow.verify.settings import Settings
from momentumflow.verify.subject import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Check = Callable[[Subject, Settings], Evidence]


@checked
@dataclass(frozen=True, repr=False)
class Mutation:
    """Something wrong on purpose.

    Parameters
    ----------
    name : str
        Short name, such as "initial-balancedness".
    description : str
        What is wrong, in words.
    plant : callable
        Takes the sound `Subject`, returns the wrong one.
    kind : str
        "theory" for a wrong formula, "code" for a wrong implementation.
    """

    name: str
    description: str
    plant: Callable[[Subject], Subject]
    kind: str = "theory"

    def __repr__(self) -> str:
        return f"Mutation({self.name!r}: {self.description})"


@checked
@dataclass(frozen=True, repr=False)
class Claim:
    """A statement of the theory and all that could refute it.

    Parameters
    ----------
    name : str
        Unique short name, as used by ``momentumflow verify --only``.
    theme : str
        Heading in the report.
    title : str
        One line.
    statement : str
        The claim in words, with the range over which it is checked.
    formulas : tuple of str, or callable
        The statement in LaTeX, without dollar signs; what the package derives is a
        function that does so, called when the claim is shown.
    source : str
        Where the claim comes from.
    check : callable
        ``check(subject, settings) -> Evidence``.
    controls : tuple of Mutation
        Each has to make `check` refute.
    proofs : callable, optional
        Returns identities that are carried out.
    theorems : tuple of str
        Names of theorems whose steps are carried out; a report shows their whole chains.
    draw : callable, optional
        ``draw(evidence) -> Figure``.
    caption : str
        What the figure shows.
    question : bool
        Whether this is a statement that people make and evidence is asked about,
        not a law that momentumflow rests on: its verdict is reported, whatever it
        is, and does not fail a verification.
    random : bool
        Whether the check draws anything. On fixed data repeating it shows nothing.
    """

    name: str
    theme: str
    title: str
    statement: str
    formulas: tuple[str, ...] | Callable[[], tuple[str, ...]]
    source: str
    check: Check
    controls: tuple[Mutation, ...]
    proofs: Callable[[], tuple[Identity, ...]] | None = None
    theorems: tuple[str, ...] = ()
    draw: Callable[[Evidence], Figure] | None = None
    caption: str = ""
    question: bool = False
    random: bool = True

    @property
    def displayed(self) -> tuple[str, ...]:
        """The formulas, derived if need be."""
        return self.formulas() if callable(self.formulas) else self.formulas

    @property
    def chains(self) -> tuple[Theorem, ...]:
        """The theorems, in order."""
        return tuple(theorem(name) for name in self.theorems)

    @property
    def to_prove(self) -> tuple[Provable, ...]:
        """All that is carried out: the identities, and the steps of the theorems."""
        alone = self.proofs() if self.proofs else ()
        return (*alone, *(step for chain in self.chains for step in chain.formal))

    def __repr__(self) -> str:
        return f"Claim({self.name!r}: {self.title})"

    def _repr_html_(self) -> str:
        formulas = "".join(f"<p>$\\displaystyle {formula}$</p>" for formula in self.displayed)
        rows = {"claim": self.title, "statement": self.statement, "source": self.source}
        return html_table(self.name, rows) + formulas


def said_by(name: str) -> Callable[[], tuple[str, ...]]:
    """Return what writes the formula of the theorem called `name`, for `Claim.formulas`."""
    return lambda: (theorem(name).formula,)
