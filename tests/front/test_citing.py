"""Citations: complete, each once, and in step with what the sources of the package name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

import momentumflow as mf
from momentumflow.base.citations import PPF
from momentumflow.base.literature import SOURCES
from momentumflow.cli import main
from momentumflow.numeric import (
    Regression,
    diabetes_regression,
    implicit_solution,
    momentum_descent,
    momentum_flow,
)
from momentumflow.symbolic import (
    DiagonalNetwork,
    HeavyBall,
    Nesterov,
    QuasiHyperbolic,
    epoch_loss,
    modified_equation,
    modified_loss,
)
from momentumflow.verify import claims

ROOT = Path(__file__).resolve().parents[2]
PROBLEM = Regression([[1.0, 2.0]], [2.5])


def keys(*results) -> list[str]:
    return [source.key for source in mf.cite(*results).sources]


def test_nothing_in_particular_rests_on_the_software_and_the_paper():
    assert keys() == ["momentumflow", "papazov2024"]
    assert mf.__version__ in str(mf.cite())
    assert "arXiv:2403.05293" in str(mf.cite())


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: momentum_descent(PROBLEM, 0.05, 0.8, 0.5), {"polyak1964"}),
        (lambda: momentum_descent(PROBLEM, 0.05, 0.8, 0.5, method="nesterov"), {"nesterov1983"}),
        (lambda: momentum_descent(PROBLEM, 0.05, 0.0, 0.5, method="gradient_descent"), set()),
        (lambda: momentum_flow(PROBLEM, 0.5, 0.5), {"hairer1993", "hairer1996"}),
        (lambda: implicit_solution(PROBLEM, 0.5), {"woodworth2020"}),
        (
            lambda: implicit_solution(PROBLEM, 0.5, solver="cvxpy"),
            {"woodworth2020", "diamond2016", "goulart2024"},
        ),
        (HeavyBall, {"polyak1964", "meurer2017"}),
        (Nesterov, {"nesterov1983", "meurer2017"}),
        (QuasiHyperbolic, {"ma2019", "meurer2017"}),
        (
            lambda: modified_equation(HeavyBall(), 2, "slow"),
            {"polyak1964", "meurer2017", "hairer2006", "kovachki2021", "cattaneo2025"},
        ),
        (
            lambda: modified_loss(HeavyBall(), 2),
            {"meurer2017", "ghosh2023", "cattaneo2025"},
        ),
        (lambda: epoch_loss(HeavyBall(), 2), {"meurer2017", "smith2021", "ghosh2023"}),
        (
            lambda: modified_equation(HeavyBall(), 1),
            {"polyak1964", "meurer2017", "hairer2006"},
        ),
        (diabetes_regression, {"efron2004"}),
        (lambda: DiagonalNetwork().identities[0], {"meurer2017"}),
    ],
)
def test_a_result_names_what_it_rests_on(make, expected):
    assert set(keys(make())) == {"momentumflow", "papazov2024"} | expected


def test_several_results_name_each_work_once():
    run = momentum_descent(diabetes_regression(10), 0.01, 0.9, 0.5, max_steps=1, tol=None)
    found = keys(run, run, HeavyBall())
    assert len(found) == len(set(found))
    assert {"efron2004", "polyak1964", "meurer2017"} <= set(found)


def test_a_foreign_object_is_refused():
    with pytest.raises(mf.InputError) as caught:
        mf.cite([1, 2])
    assert str(caught.value).startswith("expected results of momentumflow, such as ")
    assert "received a list" in str(caught.value)


def test_every_paper_that_the_code_names_is_on_the_list():
    """What docstrings cite, the list must hold; a work left out of it is seen here."""
    known = {source.arxiv for source in SOURCES.values()} | {s.doi for s in SOURCES.values()}
    named = set()
    for room in ("symbolic", "numeric", "verify"):
        for path in (ROOT / room).rglob("*.py"):
            named |= set(re.findall(r"arXiv[: ]+(\d{4}\.\d{5})", path.read_text(encoding="utf-8")))
    assert len(named) >= 5
    assert named - known == set()


def test_every_claim_leads_to_a_work():
    for claim in claims():
        assert len(keys(claim)) >= 2
    other = next(c for c in claims() if c.name == "other-networks")
    assert {"wang2023", "woodworth2020"} <= set(keys(other))


def entry(text: str) -> tuple[str, str, dict[str, str]]:
    """Read one BibTeX entry whose values are quoted."""
    kind, key, body = re.fullmatch(r"@(\w+)\{(\w+),\n(.*)\n\}", text, re.DOTALL).groups()
    return kind, key, dict(re.findall(r'^    (\w+) = "(.*)",?$', body, re.MULTILINE))


def test_bibtex_entries_are_read_by_another_reader():
    """What is printed is BibTeX: a reader of its own finds each type, author and title again."""
    needed = {"article": {"journal"}, "inproceedings": {"booktitle"}, "book": {"publisher"}}
    kinds = set()
    for source in SOURCES.values():
        kind, key, fields = entry(source.bibtex())
        assert (kind, key) == (source.to_dict()["type"], source.key)
        assert fields["title"].strip("{}") == source.field("title")
        assert len(fields["author"].split(" and ")) == len(source.authors)
        assert fields.keys() >= {"author", "title", "year"} | needed.get(kind, set())
        # Without a journal, proceedings or publisher is only what is at arXiv, and the software.
        assert kind in needed or source.arxiv or source.key == "momentumflow"
        kinds.add(kind)
    assert kinds >= set(needed)
    assert len(mf.cite(HeavyBall()).bibtex().split("\n\n")) == 4


def test_a_notebook_shows_a_list_with_escaped_text():
    shown = mf.Citation((SOURCES["nesterov1983"],))._repr_html_()
    assert shown.startswith("<ul><li>")
    assert "<script" not in mf.cite()._repr_html_()


def test_the_citation_file_agrees():
    stated = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert stated["version"] == mf.__version__
    assert stated["license"] == "BSD-3-Clause"
    (paper,) = stated["references"]
    source = SOURCES["papazov2024"]
    assert source.short() == PPF
    assert paper["title"] == source.field("title")
    assert tuple(f"{a['given-names']} {a['family-names']}" for a in paper["authors"]) == (
        source.authors
    )
    assert paper["identifiers"][0]["value"] == f"arXiv:{source.arxiv}"


def test_the_command_prints_text_bibtex_and_json(capsys):
    assert main(["cite"]) == 0
    assert "Papazov" in capsys.readouterr().out
    assert main(["cite", "--claim", "other-networks", "--bibtex"]) == 0
    assert "@misc{wang2023," in capsys.readouterr().out
    assert main(["cite", "--all", "--json"]) == 0
    assert {row["key"] for row in json.loads(capsys.readouterr().out)} == set(SOURCES)
    assert main(["cite", "--bibtex", "--json"]) == 2
    assert capsys.readouterr().err == (
        "momentumflow: expected one of --bibtex and --json, received both.\n"
    )
    assert main(["cite", "--claim", "no-such"]) == 2
    assert "expected a claim among " in capsys.readouterr().err
