"""The application itself: version, help, wrong usage, and how `verify` ends."""

import json

import jsonschema
import pytest

import momentumflow
from momentumflow.verify.catalogue import claims
from momentumflow.verify.report.json_view import schema


def test_version(command):
    assert command("--version") == (0, f"momentumflow {momentumflow.__version__}\n", "")


@pytest.mark.parametrize("arguments", [("--help",), ("predict", "-h"), ("verify", "--help")])
def test_help_is_printed_and_fine(command, arguments):
    code, out, err = command(*arguments)
    assert (code, err) == (0, "")
    assert "Usage" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("prdict",), "expected a command of momentumflow among cite, config, "),
        (
            ("predict",),
            "expected DATA, --target, --gamma, --beta, --alpha for momentumflow predict, received "
            "none of them; for example: momentumflow predict houses.csv --target price ",
        ),
        (
            ("predict", "x.csv", "--beta", "0"),
            "expected --target, --gamma, --alpha for momentumflow predict, received none of them; ",
        ),
        (("verify", "--fast"), "No such option: --fast"),
        (("verify", "--seeds", "1"), "expected seeds >= 2, received seeds = 1."),
        (
            ("verify", "--tolerance-scale", "0"),
            "expected tolerance_scale > 0, received tolerance_scale = 0.",
        ),
        (("verify", "data", "x.csv"), "expected --target for momentumflow verify data, received "),
        (
            ("verify", "--quick", "repeat", "3"),
            "expected the options of momentumflow verify repeat after its name, received --quick ",
        ),
        (
            ("verify", "repeat"),
            "expected REPETITIONS for momentumflow verify repeat, received none",
        ),
        (("verify", "everything"), "expected a command of momentumflow verify among data, repeat"),
        (("cite", "--all", "--claim", "limit-flow"), "expected one of --all and --claim, received"),
        (("cite", "--bibtex", "--json"), "expected one of --bibtex and --json, received both."),
    ],
)
def test_wrong_usage_is_one_sentence_and_code_two(command, arguments, sentence):
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"momentumflow: {sentence}")
    assert err.count("\n") == 1


def test_an_unknown_claim_is_refused_with_a_guess(command):
    code, _, err = command("verify", "--only", "limit-flw")
    assert code == 2
    assert err.endswith("received 'limit-flw'; did you mean 'limit-flow'.\n")


def test_list_names_every_claim(command):
    code, out, _ = command("verify", "list", "--json")
    assert code == 0
    assert [row["name"] for row in json.loads(out)] == [c.name for c in claims()]
    assert "limit-flow" in command("verify", "list").out


def test_an_unwritable_folder_is_refused_before_the_work(command, tmp_path, monkeypatch):
    taken = tmp_path / "taken"
    taken.write_text("")
    monkeypatch.setattr("momentumflow.verify.runner.judge", None)  # calling it would raise
    code, out, err = command("verify", "--quick", "--out", taken / "report")
    assert (code, out) == (2, "")
    assert err.startswith("momentumflow: expected a report folder that can be written to, ")
    assert err.count("\n") == 1


def test_verify_writes_the_report_and_prints_the_table(command, tmp_path):
    code, out, err = command(
        "verify", "--quick", "--seeds", "2", "--only", "discretisation", "--out", tmp_path / "r"
    )
    assert (code, err) == (0, "")
    assert "discretisation" in out
    assert "1 claim in" in out
    assert {p.name for p in (tmp_path / "r").iterdir()} == {
        "index.html",
        "report.json",
        "junit.xml",
        "figures",
    }


def test_verify_prints_json_and_nothing_else(command):
    options = ("--quick", "--seeds", "2", "--only", "discretisation", "--json")
    code, out, err = command("verify", *options)
    assert (code, err) == (0, "")
    jsonschema.validate(json.loads(out), schema())


def test_a_failed_claim_gives_code_one(command, monkeypatch):
    from momentumflow.verify import runner, shipped
    from momentumflow.verify.themes import dynamics

    wrong = dynamics.TWICE_LAMBDA.plant(shipped())
    monkeypatch.setattr(runner, "shipped", lambda: wrong)
    options = ("--quick", "--seeds", "2", "--only", "discretisation", "--json")
    code, out, _ = command("verify", *options)
    assert code == 1
    assert json.loads(out)["verdict"] == "not supported"


def test_a_user_file_gets_the_same_verdict(command, table):
    code, out, _ = command("verify", "data", table, "--target", "price", "--quick", "--json")
    report = json.loads(out)
    assert code == 0
    assert [c["name"] for c in report["claims"]] == [
        "data-flow",
        "data-heavy-ball",
        "data-minibatch",
    ]
    assert all(c["controls"][0]["rejected"] for c in report["claims"])


def test_no_verdict_on_a_user_file_that_diverges(command, table):
    code, out, _ = command("verify", "data", table, "--target", "price", "--gamma", "50")
    assert code == 1
    assert "no verdict" in out


def test_bad_parameters_for_a_user_file_are_refused(command, table):
    data = ("verify", "data", table, "--target", "price")
    assert command(*data, "--beta", "1.5").err == (
        "momentumflow: expected beta in [0, 1), received beta = 1.5.\n"
    )
    assert command(*data, "--gamma", "0").code == 2
    assert command(*data, "--alpha", "0").err == (
        "momentumflow: expected alpha > 0, received alpha = 0.\n"
    )


def test_interrupting_is_said_and_has_its_own_code(command, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("momentumflow.verify.runner.judge", interrupt)
    code, _, err = command("verify", "--quick", "--only", "discretisation")
    assert (code, err) == (130, "momentumflow: interrupted.\n")
