"""A reader finds any formula by a name, with its source, file, proof and measurement."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from momentumflow import InputError
from momentumflow.cli.app import app
from momentumflow.theory import find, formulas
from momentumflow.verify import claims

ROOT = Path(__file__).parents[2]


def output(*arguments):
    result = CliRunner().invoke(app, ["theory", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_every_formula_is_listed_once_and_is_found_by_what_is_listed():
    listed = [line.strip() for line in output().splitlines() if line.startswith("  ")]
    assert listed == [row.title for row in formulas()]
    for row in formulas():
        assert find(row.title) is row
        assert find(row.name) is row
    assert len({row.name for row in formulas()}) == len(formulas())


def test_one_formula_is_shown_with_source_file_proof_and_claim():
    shown = output("balancedness law")
    assert "source    Papazov, Pesme, Flammarion, arXiv 2403.05293" in shown
    assert "balancedness law: proved in" in shown
    assert shown.count("momentumflow verify --only balancedness-law") == 1


def test_the_files_named_exist_and_hold_a_definition_at_that_line():
    seen = 0
    for row in formulas():
        for home in row.homes:
            path, line = re.fullmatch(r"(.+\.py):(\d+)", home).groups()
            text = (ROOT / path).read_text(encoding="utf-8").splitlines()[int(line) - 1]
            assert re.match(r"\s*(@|def |class )", text), (home, text)
            seen += 1
    assert seen > 30


def test_json_holds_every_formula_and_every_claim():
    rows = json.loads(output("--json"))
    assert {name for row in rows for name in row["claims"]} == {claim.name for claim in claims()}
    one = json.loads(output("acceleration", "--json"))
    assert one["name"] == "acceleration-rule"
    assert one["files"][0].startswith("symbolic/equations/intrinsic_parameters.py:")


def test_a_formula_is_found_by_its_identity_or_its_claim():
    assert find("mirror map inverts").title.startswith("Mirror variable")
    assert find("sign-changes").title.startswith("No sign change")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("modified-equation", "one formula, received 'modified-equation', which is in modified-eq"),
        ("acceleration-rul3", "did you mean 'acceleration-rule'"),
        ("xyzzy", "momentumflow theory lists all"),
        ("", "the name of a formula"),
    ],
)
def test_a_name_that_means_none_or_several_is_refused(name, message):
    with pytest.raises(InputError, match=message):
        find(name)
