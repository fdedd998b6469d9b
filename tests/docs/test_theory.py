"""The theory page finds every formula: each identity and each claim, with the code behind it."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import replace

import pytest

from momentumflow import theory as index

from .conftest import ROOT


@pytest.fixture(scope="module")
def theory():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        yield importlib.import_module("formulas"), importlib.import_module("source_pages")
    finally:
        sys.path.remove(str(ROOT / "docs"))


def line(address: str) -> str:
    """Return the line of source that an address of the site leads to."""
    path, number = re.fullmatch(r"source/(.+)\.html#line-(\d+)", address).groups()
    return (ROOT / f"{path}.py").read_text(encoding="utf-8").splitlines()[int(number) - 1]


def test_every_claim_and_every_identity_is_behind_some_formula(theory):
    from momentumflow.symbolic import DiagonalNetwork
    from momentumflow.verify import claims

    formulas, _ = theory
    rows = formulas.formulas()
    assert len(rows) >= 35
    assert {name for row in rows for name in row.claims} == {claim.name for claim in claims()}
    proved = {name for row in rows for name in row.proofs}
    assert proved == set(formulas.identities())
    assert proved >= {identity.name for identity in DiagonalNetwork().identities}
    for row in rows:
        assert row.latex, row.title
        assert row.by or row.proofs or row.claims, row.title


def test_the_page_proves_every_identity_and_shows_every_section(theory):
    formulas, _ = theory
    page = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
    calls = "".join(re.findall(r"^proofs\((.*?)\)\n```", page, re.DOTALL | re.MULTILINE))
    named = set(re.findall(r'"([^"]+)"', calls))
    assert named < set(formulas.identities())
    assert len(named) >= 20
    # The last cell proves whatever is left.
    assert page.rindex("proofs(") == page.index("further_proofs()\n") + len("further_")
    shown = re.findall(r'^table\("(.+)"\)$', page, re.MULTILINE)
    assert shown == list(dict.fromkeys(row.section for row in formulas.formulas()))
    assert re.search(r"^checks\(\)$", page, re.MULTILINE)


def test_anchors_are_unique(theory):
    formulas, _ = theory
    slugs = [formulas.slug(name) for name in formulas.identities()]
    assert len(set(slugs)) == len(slugs)


def test_the_addresses_lead_to_the_lines_that_state_and_define(theory):
    formulas, pages = theory
    for name in formulas.identities():
        text = line(formulas.of_proof(name))
        # a name with values in it may be put together on a line of its own
        assert "Identity(" in text or name in text or 'name = f"' in text, (name, text)
    for row in formulas.formulas():
        for name in row.by:
            text = line(pages.of_name(name))
            assert re.match(r"\s*(@|def |class )", text), (name, text)
    assert line(pages.of_name("momentumflow.verify.claims")).startswith(("@cache", "def claims"))


def test_a_claim_that_no_row_names_gets_a_row(monkeypatch):
    known = index.claims()
    new = replace(known[0], name="new-claim", proofs=None)
    monkeypatch.setattr(index, "claims", lambda: (*known, new))
    rows = index.formulas.__wrapped__()
    assert [row.section for row in rows if "new-claim" in row.claims] == ["Beyond"]


def test_a_proof_is_shown_with_its_steps_and_a_false_one_fails_the_build(theory):
    """Negative control: the page cannot show an identity that SymPy does not prove."""
    from momentumflow.symbolic import ProofError

    formulas, _ = theory
    text = formulas.proofs("balancedness in w_pm").data
    assert "proved in 4 step(s)" in text
    assert 'id="proof-balancedness-in-w-pm"' in text
    known = formulas.identities()["balancedness in w_pm"]
    with pytest.raises(ProofError, match="false"):
        formulas._proof(replace(known, rhs=2 * known.rhs))
