"""Every figure of the gallery, small: drawn, labelled, and with something on every axis."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from momentumflow.verify.figure_style import style
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
