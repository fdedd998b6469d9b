"""A small world of claims about the number two, to judge the judge with."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Evidence, undecided
from momentumflow.verify.measure import at_most


def _square_error(subject, settings):
    draws = settings.rng("two").uniform(1, 3, settings.seeds)
    error = np.abs(subject.square(draws) - draws * draws)
    return Evidence((at_most("error of the square", error, 1e-12, settings),), {"error": error})


WRONG = Mutation(
    "cube", "the cube in place of the square", lambda s: SimpleNamespace(square=lambda x: x**3)
)
HARMLESS = Mutation("nothing", "nothing at all is wrong", lambda s: s)


def _draw(evidence):
    from momentumflow.base.figures import SERIES, panels

    figure, (axes,) = panels()
    axes.plot(evidence.series["error"], color=SERIES[0].color)
    return figure


@pytest.fixture
def subject():
    return SimpleNamespace(square=lambda x: x * x)


@pytest.fixture
def sound():
    return Claim(
        name="square",
        theme="Arithmetic",
        title="A square is a product",
        statement="x squared is x times x, for x < 3 & x > 1.",
        formulas=(r"x^2 = x \cdot x",),
        source="Euclid",
        check=_square_error,
        controls=(WRONG,),
        draw=_draw,
        caption="Errors.",
    )


@pytest.fixture
def open_claim(sound):
    def nothing(subject, settings):
        return Evidence((undecided("limit", "residual 1e-3 after 10 steps; raise max_steps"),))

    return replace(sound, name="open", title="An open one", check=nothing, controls=())


@pytest.fixture
def toothless(sound):
    return replace(sound, name="toothless", title="A toothless one", controls=(WRONG, HARMLESS))
