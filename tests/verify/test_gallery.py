"""Every figure of the gallery, small: drawn, labelled, and with something on every axis."""

import re

import numpy as np
import pytest
from matplotlib import pyplot as plt

from momentumflow.base.figures import style
from momentumflow.verify.gallery import GALLERY, Drawing


@pytest.mark.parametrize("picture", GALLERY, ids=lambda picture: picture.name)
def test_a_figure_has_data_and_labels(picture):
    with style():
        figure = picture.draw(Drawing(seeds=2, resolution=8))
    assert all(axes.has_data() for axes in figure.axes)
    assert figure.axes[0].get_xlabel()
    assert figure.axes[0].get_ylabel()
    assert picture.caption.endswith(".")
    plt.close(figure)


def test_accelerated_pairs_lie_on_each_other_over_rescaled_steps():
    """What the caption says, read off the lines that are drawn."""
    (picture,) = [p for p in GALLERY if p.name == "accelerated-pairs"]
    with style():
        figure = picture.draw(Drawing(seeds=2, resolution=8))
    plain, rescaled = (axes.get_lines() for axes in figure.axes[:2])

    def spread(lines):
        at = np.linspace(500, 1400, 10)
        curves = [np.interp(at, *line.get_data()) for line in lines]
        return np.max(np.abs(np.ptp(np.log(curves), axis=0)))

    assert spread(rescaled) < 0.2 * spread(plain)
    plt.close(figure)


def test_the_legend_of_equal_lambda_gives_back_the_lambda_of_its_title():
    """Rounded as they are printed: beta to two digits would read as twice lambda."""
    (picture,) = [p for p in GALLERY if p.name == "equal-lambda-paths"]
    with style():
        figure = picture.draw(Drawing(seeds=2, resolution=8))
    read = 0
    for axes in figure.axes:
        lam = float(re.search(r"[\d.]+", axes.get_title("left"))[0])
        for text in axes.get_legend().get_texts():
            words = re.sub(r" \\cdot 10\^\{(-?\d+)\}", r"e\1", text.get_text())
            gamma, lag = (float(x) for x in re.findall(r"=([\d.]+(?:e-?\d+)?)", words))
            assert gamma / lag**2 == pytest.approx(lam, rel=0.02)
            read += 1
    assert read >= 5
    plt.close(figure)
