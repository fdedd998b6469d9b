"""Modified losses: the potential where there is one, the obstruction where there is none."""

import pytest
import sympy as sp

from momentumflow import InputError
from momentumflow.symbolic import (
    GradientDescent,
    GradientStatus,
    HeavyBall,
    Nesterov,
    memoryless_map,
    modified_equation,
    modified_loss,
)
from momentumflow.symbolic.symbols import beta, gamma
from momentumflow.symbolic.trees.free_trees import scalar_text
from momentumflow.symbolic.trees.rooted_trees import tree

x, y = sp.symbols("x y", real=True)
LOSS = (1 - x) ** 2 / 10 + (y - x**2) ** 2


def curl(components):
    return sp.expand(sp.diff(components[0], y) - sp.diff(components[1], x))


@pytest.mark.parametrize(
    ("method", "order", "of"),
    [
        (HeavyBall(), 2, "flow"),
        (Nesterov(), 2, "flow"),
        (GradientDescent(), 2, "flow"),
        (HeavyBall(), 5, "map"),
    ],
    ids=lambda item: getattr(item, "name", str(item)),
)
def test_the_field_is_minus_the_gradient(method, order, of):
    """Differentiated by SymPy on Rosenbrock's loss, at exact parameters."""
    found = modified_loss(method, order, of)
    assert found.status is GradientStatus.GRADIENT
    assert found.obstruction is None
    series = (
        modified_equation(method, order, "slow") if of == "flow" else memoryless_map(method, order)
    )
    at = {gamma: sp.Rational(1, 3), beta: sp.Rational(2, 5)}
    potential = found.specialise(LOSS, [x, y]).subs(at)
    for variable, component in zip((x, y), series.specialise(LOSS, [x, y]), strict=True):
        assert sp.expand(sp.diff(potential, variable) + component.subs(at)) == 0


@pytest.mark.parametrize(
    "method", [HeavyBall(), Nesterov(), GradientDescent()], ids=lambda m: m.name
)
def test_the_obstruction_is_real(method):
    """At order 3 the two rootings of a path differ, and the field has curl on a real loss."""
    found = modified_loss(method, 3)
    assert found.status is GradientStatus.OBSTRUCTED
    assert found.order == 2
    assert {found.obstruction.first, found.obstruction.second} == {tree("[[[]]]"), tree("[[],[]]")}
    assert "rootings of one free tree" in str(found)
    third = modified_equation(method, 3, "slow").specialise(LOSS, [x, y])
    at = {gamma: sp.Rational(1, 3), beta: sp.Rational(2, 5)}
    assert curl([component.subs(at) for component in third]) != 0
    second = modified_equation(method, 2, "slow").specialise(LOSS, [x, y])
    assert curl([component.subs(at) for component in second]) == 0


def test_obstruction_of_heavy_ball():
    found = modified_loss(HeavyBall(), 3).obstruction.difference
    assert sp.simplify(found - gamma**3 / (6 * (1 - beta) ** 3)) == 0


def test_the_memoryless_map_of_heavy_ball_is_a_gradient_far_on():
    """Cattaneo and Shigida, arXiv 2509.08483; Nesterov's is one through order 2 only."""
    assert modified_loss(HeavyBall(), 9, "map").status is GradientStatus.GRADIENT
    assert modified_loss(Nesterov(), 9, "map").order == 2


def test_display():
    found = modified_loss(HeavyBall(), 2)
    assert str(found) == ("U = gamma/(1 - beta) F + gamma**2*(1 + beta)/(4*(1 - beta)**3) |f|^2")
    assert found._repr_latex_().startswith("$\\displaystyle U = ")
    assert scalar_text(tree("[[],[],[]]")) == "<f, f''(f, f)>"
    assert scalar_text(tree("[v,v]")) == "<v, f'v>"


def test_an_unknown_request():
    with pytest.raises(InputError, match="expected of to be one of 'flow', 'map', received 'step'"):
        modified_loss(HeavyBall(), 2, "step")
