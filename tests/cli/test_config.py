"""Options from a file: which file, which keys, and what beats what."""

import json

import pytest

from momentumflow.cli import config


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Work in an empty folder; return a writer of its configuration file."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="momentumflow.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def origins(command, *arguments):
    code, out, err = command("config", *arguments, "--json")
    assert (code, err) == (0, "")
    shown = json.loads(out)
    return shown["file"], {
        (row["command"], row["option"]): (row["value"], row["origin"]) for row in shown["options"]
    }


def test_the_file_beats_the_default_and_the_command_line_beats_the_file(command, file):
    first = command("derive", "equation", "--order", "1").out
    second = command("derive", "equation").out
    assert first != second  # the default order is 2
    file("[derive]\norder = 1\n")
    assert command("derive", "equation").out == first
    assert command("derive", "equation", "--order", "2").out == second


def test_a_required_option_and_an_argument_may_come_from_the_file(command, file, table):
    file(
        f'[predict]\ndata = "{table.as_posix()}"\ntarget = "price"\ngamma = 1e-2\nbeta = 0.9\n'
        "alpha = 0.3\njson = true\n"
    )
    code, out, err = command("predict")
    assert (code, err) == (0, "")
    assert json.loads(out)["verdict"] == "supported"
    # a flag that the file sets is taken back by its negative
    assert "supported: relative distance" in command("predict", "--no-json").out


def test_a_key_outside_the_tables_is_for_every_command_that_has_it(command, file):
    path = file("seed = 3\n[sweep]\nseed = 4\ngamma = [0.01, 0.1]\nbatch_size = 5\n")
    where, rows = origins(command)
    assert where == str(path)
    rows.pop(("explore", "seed"), None)
    assert rows == {
        ("figures", "seed"): (3, "file"),
        ("predict", "seed"): (3, "file"),
        ("sweep", "seed"): (4, "file"),
        ("sweep", "gamma"): ("0.01,0.1", "file"),
        ("sweep", "batch-size"): (5, "file"),
        ("verify", "seed"): (3, "file"),
        ("verify data", "seed"): (3, "file"),
        ("verify repeat", "seed"): (3, "file"),
    }


def test_a_key_of_a_group_is_for_the_commands_below_and_the_nearer_table_wins(command, file):
    file(
        "[derive]\norder = 3\n[derive.energy]\norder = 1\n"
        "[verify]\nquick = true\nseeds = 4\n[verify.repeat]\nseeds = 2\n"
    )
    _, rows = origins(command)
    assert rows == {
        **{(f"derive {topic}", "order"): (3, "file") for topic in ("equation", "map", "loss")},
        ("derive energy", "order"): (1, "file"),
        ("derive scaling", "order"): (3, "file"),
        **{
            (where, "quick"): (True, "file") for where in ("verify", "verify data", "verify repeat")
        },
        ("verify", "seeds"): (4, "file"),
        ("verify data", "seeds"): (4, "file"),
        ("verify repeat", "seeds"): (2, "file"),
    }
    assert command("derive", "energy").out == command("derive", "energy", "--order", "1").out
    assert command("derive", "map").out == command("derive", "map", "--order", "3").out


@pytest.mark.parametrize("text", ["tool = 3\n", "[[tool]]\nx = 1\n", "[tool]\nmomentumflow = 3\n"])
def test_an_odd_pyproject_is_one_sentence(command, file, text):
    path = file(text, "pyproject.toml")
    code, out, err = command("cite")
    assert (code, out) == (2, "")
    assert err.startswith("momentumflow: expected tool")
    assert f"as a table in {path.name}, received " in err
    assert err.count("\n") == 1


def test_options_are_shown_with_where_they_come_from(command, file):
    file("[predict]\nalpha = 0.5\n")
    _, rows = origins(command, "predict")
    assert rows["predict", "alpha"] == (0.5, "file")
    assert rows["predict", "beta"] == (None, "required")
    assert rows["predict", "top"] == (10, "default")
    code, out, _ = command("config", "predict")
    assert code == 0
    assert "predict alpha = 0.5 (file)" in out.splitlines()
    assert "predict beta (required)" in out.splitlines()


def test_without_a_file_it_says_which_ones_are_looked_for(command, file):
    assert command("config").out == (
        "configuration file: none (momentumflow.toml, or [tool.momentumflow] in pyproject.toml)\n"
    )


def test_pyproject_is_read_where_it_has_the_table(command, file):
    path = file("[tool.momentumflow.derive.equation]\norder = 1\n", "pyproject.toml")
    where, rows = origins(command)
    assert where == str(path)
    assert rows == {("derive equation", "order"): (1, "file")}
    # the package's own file comes first
    own = file("[derive.equation]\norder = 3\n")
    where, rows = origins(command)
    assert (where, rows["derive equation", "order"]) == (str(own), (3, "file"))
    own.unlink()
    file("[tool.other]\nx = 1\n", "pyproject.toml")
    assert origins(command) == (None, {})


def test_config_names_another_file(command, file):
    file("[derive]\norder = 1\n")
    other = file("[derive.map]\norder = 3\n", "other.toml")
    shared = file("[tool.momentumflow.derive.map]\norder = 4\n", "pyproject.toml")
    for path, order in ((other, 3), (shared, 4)):
        shown = json.loads(command("--config", path, "config", "--json").out)
        assert shown["file"] == str(path)
        assert shown["options"][0]["value"] == order


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sed = 3\n", "expected an option of some command, or a table, received 'sed' in {}; did "
         "you mean 'seed'."),
        ("[predict]\ngama = 3\n", "expected an option of predict, received 'predict.gama' in {}; "
         "did you mean 'gamma'."),
        ("[predct]\n", "expected the table of a command, received '[predct]' in {}; did you mean "
         "'predict'."),
        ("[predict]\nstandardise = 1\n", "expected true or false for predict.standardise in {}, "
         "received 1."),
        ("[predict]\ngamma = true\n", "expected a number or a text for predict.gamma in {}, "
         "received true."),
        ("[verify]\nonly = 'limit-flow'\n", "expected a list for verify.only in {}, received "
         '"limit-flow".'),
        ("[predict.gamma]\nx = 1\n", "expected a number or a text for predict.gamma in {}, "
         'received {{"x": 1}}.'),
        ("[derive.equaton]\norder = 1\n", "expected the table of a command, received "
         "'[derive.equaton]' in {}; did you mean 'equation'."),
        ("[derive]\nordr = 1\n", "expected an option of derive, received 'derive.ordr' in {}; "
         "did you mean 'order'."),
        ("[predict]\nhelp = true\n", "expected an option of predict, received 'predict.help' in "
         "{}."),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_in_one_sentence(command, file, text, sentence):
    path = file(text)
    assert command("cite") == (2, "", f"momentumflow: {sentence.format(path)}\n")


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("[predict]\ngamma = 'fast'\n", "expected a value that predict.gamma takes in "),
        ("[figures]\nseeds = 1\n", "expected a value that figures.seeds takes in "),
        ("[predict]\nalpha = 0\n", "expected a value that predict.alpha takes in "),
        ("[sweep]\ngamma = '1:2:x'\n", "expected a value that sweep.gamma takes in "),
        ("[explore]\nmethod = 'adam'\n", "expected a value that explore.method takes in "),
        ("x =\n", "expected a configuration file in TOML, received "),
    ],
)
def test_what_others_object_to_is_passed_on_in_one_sentence(command, file, text, start):
    path = file(text)
    code, out, err = command("cite")
    assert (code, out) == (2, "")
    assert err.startswith(f"momentumflow: {start}")
    assert path.name in err
    assert err.count("\n") == 1


def test_a_file_that_is_not_there_is_refused(command, file):
    code, _, err = command("--config", "nowhere.toml", "cite")
    assert code == 2
    assert err == (
        "momentumflow: expected a configuration file that can be read, received nowhere.toml (No "
        "such file or directory).\n"
    )


def test_config_of_an_unknown_command_gets_a_guess(command, file):
    assert command("config", "predit").err.endswith("'predit'; did you mean 'predict'.\n")


def test_the_library_reads_no_file(file):
    """Configuration belongs to the command line: a script's results never depend on it."""
    file("sed = 3\n")
    import momentumflow as mf

    assert mf.cite().sources
    assert config.Configuration().values == {}
