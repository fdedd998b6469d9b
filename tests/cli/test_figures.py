"""`momentumflow figures` writes each figure in three formats."""

import json

import numpy as np
import pytest
from PIL import Image


def test_a_figure_is_written_as_vector_and_raster(command, tmp_path):
    options = ("--only", "rising-order", "--out", tmp_path / "new", "--json")
    code, out, err = command("figures", *options)
    assert (code, err) == (0, "")
    paths = json.loads(out)
    assert [p.rsplit(".")[-1] for p in paths] == ["svg", "pdf", "png"]
    with Image.open(paths[2]) as picture:
        # More than a page of white: some of it is dark.
        assert min(picture.size) > 400
        assert picture.convert("L").getextrema()[0] < 60


def test_the_seed_draws_other_problems():
    from momentumflow.numeric import sparse_regression
    from momentumflow.verify.gallery import Drawing

    problem = sparse_regression(5, 10, 2, seed=3)
    assert np.array_equal(Drawing().problem(5, 10, 2, which=3).X, problem.X)
    assert not np.array_equal(Drawing(base_seed=1).problem(5, 10, 2, which=3).X, problem.X)


def test_the_list_names_every_figure(command):
    from momentumflow.verify.gallery import GALLERY

    rows = json.loads(command("figures", "list", "--json").out)
    assert list(rows) == [picture.name for picture in GALLERY]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--only", "plane"), "expected a figure among equal-lambda-plane, "),
        (("--seed", "-1", "--only", "rising-order"), "Invalid value for '--seed': "),
        (("--seeds", "1"), "Invalid value for '--seeds': "),
    ],
)
def test_bad_input_is_one_sentence(command, tmp_path, arguments, sentence):
    code, out, err = command("figures", "--out", tmp_path, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"momentumflow: {sentence}")
    assert err.count("\n") == 1


def test_an_unwritable_folder_is_refused(command, tmp_path):
    (tmp_path / "taken").write_text("")
    code, _, err = command("figures", "--out", tmp_path / "taken")
    assert code == 2
    assert "expected a report folder that can be written to" in err
