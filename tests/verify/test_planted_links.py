"""Links planted in a folder that is written to: their targets keep their content."""

from pathlib import Path

import pytest

from momentumflow import InputError
from momentumflow.symbolic import QuasiHyperbolic, write_kernels
from momentumflow.verify import run
from momentumflow.verify.report.reports import writable


@pytest.fixture(scope="module")
def report():
    return run(["discretisation"], seeds=2, quick=True)


PLANTED = (
    "index.html", "report.json", "junit.xml", ".momentumflow-write-test",
    "figures/discretisation.svg", "figures/discretisation.pdf", "figures/discretisation.png",
)  # fmt: skip


def test_a_report_replaces_links_and_leaves_their_targets(report, tmp_path):
    out = tmp_path / "report"
    (out / "figures").mkdir(parents=True)
    treasures = {}
    for number, name in enumerate(PLANTED):
        treasures[name] = tmp_path / f"treasure-{number}"
        treasures[name].write_text("kept")
        (out / name).symlink_to(treasures[name])
    written = report.write(out)
    assert {str(path.relative_to(out)) for path in written} >= set(PLANTED) - {PLANTED[3]}
    for treasure in treasures.values():
        assert treasure.read_text() == "kept"
    for path in written:
        assert not path.is_symlink()
        assert path.stat().st_size > 100


def test_a_link_in_the_place_of_the_figures_folder_is_refused(report, tmp_path):
    out, treasury = tmp_path / "report", tmp_path / "treasury"
    out.mkdir()
    treasury.mkdir()
    (treasury / "discretisation.svg").write_text("kept")
    (out / "figures").symlink_to(treasury)
    with pytest.raises(InputError, match=r"a report folder that can be written to.*is a link"):
        report.write(out)
    assert [item.read_text() for item in treasury.iterdir()] == ["kept"]


def test_a_folder_is_tried_without_touching_what_lies_in_it(tmp_path):
    (tmp_path / "mine").write_text("kept")
    before = {item.name for item in tmp_path.iterdir()}
    assert writable(tmp_path) == tmp_path
    assert {item.name for item in tmp_path.iterdir()} == before
    with pytest.raises(InputError, match="a report folder that can be written to"):
        writable(tmp_path / "mine")


def test_kernels_replace_a_link_too(tmp_path):
    treasure = tmp_path / "treasure"
    treasure.write_text("kept")
    (tmp_path / "heavy_ball_diagonal_numpy.py").symlink_to(treasure)
    path = write_kernels(tmp_path, backend="numpy")
    assert not path.is_symlink()
    assert "def " in path.read_text()
    assert treasure.read_text() == "kept"


def test_two_methods_of_one_name_have_two_modules(tmp_path):
    paths = {
        write_kernels(tmp_path, QuasiHyperbolic().with_values({"nu": value}), backend="numpy")
        for value in ("7/10", "1/2", "7/10")
    }
    assert len(paths) == 2
    assert {path.name[:16] for path in paths} == {"quasi_hyperbolic"}
    assert all(Path(path).stem.isidentifier() for path in paths)
