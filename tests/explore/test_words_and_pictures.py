"""What the page says and draws, read and measured without a browser."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from urllib.parse import parse_qs

import pytest

from momentumflow.base.figures import style
from momentumflow.explore import page, words
from momentumflow.explore.pictures import PICTURES, draw
from momentumflow.explore.scene import Controls, compute


@pytest.fixture(scope="module")
def scene():
    return compute(Controls(rho=2.0))


def test_the_verdict_of_a_run_that_ends_where_it_should(scene):
    said = words.verdict(scene)
    assert said.tone is words.Tone.GOOD
    assert re.search(r"\*\*Predicted\.\*\* .* relative distance \*\*\d\.\de-1\d\*\*", said.text)


@pytest.mark.parametrize(
    ("controls", "tone", "remedy"),
    [
        (Controls(gamma=1.0, beta=0.9, alpha=2.0), words.Tone.BAD, "Reduce γ below"),
        (Controls(gamma=1e-3, beta=0.0, alpha=0.01), words.Tone.OPEN, "a larger γ, β or α"),
    ],
)
def test_a_run_without_a_limit_says_what_to_do(controls, tone, remedy):
    said = words.verdict(compute(controls))
    assert said.tone is tone
    assert said.text.startswith("**No limit")
    assert remedy in said.text
    assert "predicted limit" not in said.text


def test_a_run_that_ends_elsewhere_is_not_called_predicted(scene):
    """Negative control."""
    said = words.verdict(replace(scene, run=replace(scene.run, distance=1e-6)))
    assert said.tone is words.Tone.BAD
    assert said.text.startswith("**Not as predicted:** more than the tolerance 1e-09.")


def test_the_acceleration_is_said(scene):
    assert re.search(
        r"ρ = 2, .* takes [\d,]+ steps in place of [\d,]+\.", words.acceleration(scene)
    )
    assert words.acceleration(compute(Controls())) == ""
    assert words.acceleration(compute(Controls(beta=0.5, rho=4.0))).startswith(
        "ρ = 4 is too fast for this momentum: expected beta in [0, 1) of the acceleration rule, "
    )


def test_the_equation_is_the_derived_one_with_its_numbers(scene):
    text = words.equation(scene)
    equation, start = scene.formulas.equation.latex().split(r",\qquad ")
    assert f"{equation} + O(" in text
    assert f"$${start}$$" in text
    assert r"\hat\lambda &= \frac{\gamma \left(\beta + 1\right)}" in text
    assert "&&= 0.45" in text
    nesterov = words.equation(compute(Controls(method="nesterov")))
    assert r"\frac{\epsilon}{\lambda} f'v" in nesterov
    assert "leaves the last term out" in nesterov
    assert r"\frac{\epsilon}{\lambda} f'v" not in text
    assert "leaves" not in text


def test_a_link_leads_back_to_its_position():
    controls = Controls(0.03, 0.75, 0.2, 7, 1.5, "nesterov")
    found = {name: values[0] for name, values in parse_qs(words.link(controls)[1:]).items()}
    assert page.start_of(found) == (controls, "")


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"gamma": "fast"}, "expected gamma as a number in the address, received 'fast'."),
        ({"beta": "1.5"}, "expected beta in [0, 1), received beta = 1.5."),
        ({"seed": "1.5"}, "expected seed as a number in the address, received '1.5'."),
        ({"method": "adam"}, "expected method to be one of 'heavy_ball', 'nesterov', received "),
    ],
)
def test_an_address_that_cannot_be_read_is_said_and_left(parameters, sentence):
    controls, complaint = page.start_of(parameters)
    assert controls == Controls()
    assert complaint.startswith(sentence)
    assert page.start_of({"unknown": "1"}) == (Controls(), "")


def test_what_an_address_says_is_shown_and_not_obeyed():
    _, complaint = page.start_of({"gamma": "<img src=x onerror=alert(1)>"})
    assert "<img" in complaint
    shown = page.body({"gamma": -1.0}, complaint).text
    assert "<img" not in shown
    assert "&lt;img" in shown.replace("&amp;", "&")
    assert "received gamma = -1" in shown


def test_every_slider_holds_its_start_and_stays_within_what_can_run():
    for start in (Controls(), Controls(0.0123, 0.777, 0.3, 77, 1.7, "nesterov")):
        controls = page.sliders(start)
        assert controls.value == start.to_dict()
        assert list(controls.value) == list(start.to_dict())
        for name in ("gamma", "beta", "alpha", "rho"):
            positions = controls.elements[name].steps
            assert start.to_dict()[name] in positions
            for value in positions:
                Controls(**{name: value})


def test_every_picture_is_sound_and_changes_with_the_sliders(scene):
    drawings = draw(scene)
    assert set(drawings) == {"path", "balancedness", "plane"}
    for svg in drawings.values():
        ElementTree.fromstring(svg)
        assert len(svg) < 150_000
    assert draw(compute(Controls(rho=2.0))) == drawings  # the same bytes for the same position
    other = draw(compute(Controls(beta=0.85, rho=2.0)))
    assert all(other[name] != drawings[name] for name in drawings)


def lines(figure, label):
    (axes,) = figure.axes
    return [line for line in axes.lines if line.get_label() == label]


def test_the_cross_stands_where_the_run_ends(scene):
    with style():
        (cross,) = lines(PICTURES["path"](scene), "predicted limit")
    chosen = list(scene.coordinates[:2])
    assert cross.get_xydata()[0] == pytest.approx(scene.run.end.theta[chosen], rel=1e-9)
    with style():
        unstable = PICTURES["path"](compute(Controls(gamma=1.0, beta=0.9, alpha=2.0)))
    assert lines(unstable, "predicted limit") == []
    assert lines(unstable, "iterates") != []


def test_the_blue_line_of_the_plane_has_one_lambda(scene):
    with style():
        (axes,) = PICTURES["plane"](scene).axes
    wide = [c for c in axes.collections if c.get_linewidth()[0] == 2.0]
    (points,) = (p.vertices for c in wide for p in c.get_paths() if len(p.vertices))
    lam = points[:, 0] / points[:, 1] ** 2  # gamma / (1 - beta)^2
    assert lam == pytest.approx(0.5, rel=2e-2)
    assert len(points) > 10
