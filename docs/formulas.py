"""The theory page: `momentumflow.theory` written as Markdown, with links into the source.

`theory.md` shows `table(...)`, section by section, and below `proofs(...)` and `checks()`.
"""

from __future__ import annotations

import source_pages
from IPython.display import Markdown

from momentumflow.symbolic.theorems.statements import Provable
from momentumflow.theory import Formula, formulas, identities, slug
from momentumflow.verify import Claim, claims


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
    return f"**{row.title}**. {said}.\n\n$${row.latex}$$" + _chain(row)


def _chain(row: Formula) -> str:
    """Return the hypotheses, steps and joining sentences of a theorem, folded."""
    if row.theorem is None:
        return ""
    return (
        f"\n\n<details><summary>Hypotheses and steps</summary>\n\n```text\n{row.theorem}\n```\n\n"
        "</details>"
    )


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


def _proof(identity: Provable) -> str:
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
    written = "\n\n".join(f"$${formula}$$" for formula in claim.displayed)
    return (
        f'<a id="claim-{claim.name}"></a>\n\n'
        f"**{claim.title}** (`momentumflow verify --only {claim.name}`). {claim.statement} "
        f"*({claim.source})*{_source(source_pages.of_object(claim.check))}\n\n{written}"
    )
