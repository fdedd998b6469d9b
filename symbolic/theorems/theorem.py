"""A theorem: hypotheses, steps that are proved, the sentences that join them, a conclusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from momentumflow.base.arguments import checked
from momentumflow.base.values import Formulated
from momentumflow.symbolic.identities import Identity, ProofError
from momentumflow.symbolic.theorems.statements import Outcome, Provable, Sentence, Statement

Step: TypeAlias = Identity | Statement | Sentence


@checked
@dataclass(frozen=True, repr=False)
class Theorem(Formulated):
    """A chain of steps from hypotheses to a conclusion.

    Parameters
    ----------
    name : str
        What `theorem` finds it by.
    title : str
        What it says, on one line.
    hypotheses : tuple of str
        What it assumes, in words.
    steps : tuple of Identity, Statement or Sentence
        In the order of the argument. All but the sentences are carried out.
    conclusion : str
        In words.
    formula : str
        The conclusion in LaTeX, without dollar signs.
    source : str
        Where it stands in the literature, or that it is derived here.
    """

    name: str
    title: str
    hypotheses: tuple[str, ...]
    steps: tuple[Step, ...]
    conclusion: str
    formula: str
    source: str

    @property
    def formal(self) -> tuple[Provable, ...]:
        """The steps that are carried out."""
        return tuple(step for step in self.steps if not isinstance(step, Sentence))

    def prove(self) -> TheoremProof:
        """Carry out every step.

        Returns
        -------
        TheoremProof

        Raises
        ------
        ProofError
            If a step fails; the message names the theorem and the step.
        """
        done: list[Outcome] = []
        for step in self.steps:
            if isinstance(step, Sentence):
                done.append(step)
                continue
            try:
                done.append(step.prove())
            except ProofError as error:
                raise ProofError(
                    f"theorem {self.name}: a step fails. {error}", error.counterexample
                ) from error
        return TheoremProof(self, tuple(done))

    def _formula(self) -> str:
        rows = [rf"& \text{{Given: {given}}}" for given in map(_plain, self.hypotheses)]
        rows += [f"& {step.latex()}" for step in self.steps]
        rows.append(rf"& \Rightarrow\quad {self.formula}")
        return r"\begin{aligned}" + r" \\ ".join(rows) + r"\end{aligned}"

    def __repr__(self) -> str:
        return f"<Theorem {self.name!r}: {len(self.formal)} steps to prove>"

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.title} ({self.name})",
                *(f"  given: {given}" for given in self.hypotheses),
                *(f"  {k}. {step}" for k, step in enumerate(self.steps, 1)),
                f"  hence: {self.conclusion}",
            ]
        )


def _plain(text: str) -> str:
    return Sentence(text).latex().removeprefix(r"\text{").removesuffix("}")


@dataclass(frozen=True, repr=False)
class TheoremProof(Formulated):
    """A theorem, every step of which was carried out.

    Attributes
    ----------
    theorem : Theorem
    steps : tuple
        What was carried out for each step, a `Sentence` standing for itself.
    """

    theorem: Theorem
    steps: tuple[Outcome, ...]

    def __repr__(self) -> str:
        return f"<Proof of theorem {self.theorem.name!r}>"

    def __str__(self) -> str:
        lines = [f"{self.theorem.title}", *(f"given: {g}" for g in self.theorem.hypotheses)]
        lines += [f"{k}. {step}" for k, step in enumerate(self.steps, 1)]
        return "\n".join([*lines, f"hence: {self.theorem.conclusion}"])

    def _formula(self) -> str:
        return self.theorem.latex()
