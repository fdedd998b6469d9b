"""Reparametrisations: commuting flows, mirror potentials, and what momentum adds."""

import mpmath
import pytest
import sympy as sp

from momentumflow import InputError
from momentumflow.symbolic import (
    DiagonalNetwork,
    MirrorStatus,
    commutation,
    mirror_flow,
)
from momentumflow.symbolic.networks.straightening import mu, velocity_of
from momentumflow.symbolic.symbols import Delta, alpha, lam, theta

MAPS = ["u*v", "u^2 - v^2", "u^2", "u^3 - v^3", "u^4 - v^4", "u^5", "exp(u)", "log(u)", "u + u^3"]


@pytest.mark.parametrize("text", MAPS)
def test_every_statement_is_proved(text):
    for identity in mirror_flow(text).identities:
        assert identity.prove().steps[-1][1] == 0, identity.name


@pytest.mark.parametrize("text", MAPS)
def test_dual_map_against_a_numerical_flow(text):
    """theta(mu) is G after the flow of grad G: integrated by mpmath in the user's weights."""
    flow = mirror_flow(text)
    weights = sorted(flow.parameter.free_symbols, key=str)
    starts = {s.start: sp.Rational(7 + 2 * i, 10) for i, s in enumerate(flow.weights)}
    rotated = {s.weight: starts[s.start] for s in flow.weights}
    user = [float(flow.rotation[w].subs(rotated)) for w in weights]
    slopes = sp.lambdify(weights, [sp.diff(flow.parameter, w) for w in weights], "mpmath")
    span = mpmath.mpf("0.03")
    reached = mpmath.odefun(lambda _, state: list(slopes(*state)), 0, user)(span)
    expected = sp.lambdify(weights, flow.parameter, "mpmath")(*reached)
    found = sp.N(flow.dual_map.subs(starts).subs(mu, sp.Rational(3, 100)), 20)
    assert abs(float(found) - float(expected)) < 1e-12


@pytest.mark.parametrize("text", ["u*v", "u^2 - v^2", "u^2", "u^5", "exp(u)", "log(u)"])
def test_potential_is_the_inverse(text):
    """psi'(theta(mu)) = mu, and psi'' is the reciprocal of theta'(mu)."""
    flow = mirror_flow(text)
    starts = {s.start: sp.Rational(7 + 2 * i, 10) for i, s in enumerate(flow.weights)}
    for value in (sp.Rational(1, 50), sp.Rational(-1, 30)):
        there = flow.dual_map.subs(starts).subs(mu, value)
        gradient = sp.diff(flow.potential, theta).subs(starts)
        assert abs(sp.N(gradient.subs(theta, there) - value, 30)) < 1e-25
        hessian = sp.diff(gradient, theta).subs(theta, there)
        metric = flow.hessian_inverse.subs(starts).subs(mu, value)
        assert abs(sp.N(hessian * metric - 1, 30)) < 1e-25


def test_the_diagonal_network_has_the_hyperbolic_entropy():
    """u v: the potential of Woodworth et al. 2020 with Delta = |u^2 - v^2|, up to a linear term."""
    flow = mirror_flow(DiagonalNetwork().uv)
    plus, minus = (s.start for s in flow.weights)
    # rotated weights are (u +- v)/sqrt(2), so Delta = |w_+ w_-| = 2 r_+ r_-
    entropy = DiagonalNetwork().entropy.subs(Delta, 2 * plus * minus)
    gap = sp.diff(flow.potential - entropy, theta, 2)
    assert sp.simplify(gap) == 0


def test_squares_give_the_relative_entropy():
    """u^2: psi = (theta ln theta - theta)/4 + linear (Wang, Ghosal, Mazumder, arXiv 2310.02535)."""
    found = mirror_flow("u^2").potential
    assert sp.simplify(sp.diff(found - (theta * sp.log(theta) - theta) / 4, theta, 2)) == 0


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_depth(depth):
    """theta = alpha^D h_D(D (D-2) alpha^(D-2) mu), h_D(z) = (1-z)^(-D/(D-2)) - (1+z)^(-D/(D-2))."""
    flow = mirror_flow(f"u^{depth} - v^{depth}", equal_start=True)
    z = depth * (depth - 2) * alpha ** (depth - 2) * mu
    power = -sp.Rational(depth, depth - 2)
    woodworth = alpha**depth * ((1 - z) ** power - (1 + z) ** power)
    for at in (
        {alpha: sp.Rational(1, 2), mu: sp.Rational(1, 20)},
        {alpha: 1, mu: sp.Rational(-1, 40)},
    ):
        assert abs(sp.N((flow.dual_map - woodworth).subs(at), 30)) < 1e-25


def test_what_momentum_adds():
    """u v: the Riccati remainder -lambda (w'/w)^2."""
    first = mirror_flow("u*v").weights[0]
    speed = velocity_of(first.weight)
    assert sp.simplify(first.remainder + lam * (speed / first.weight) ** 2) == 0
    # a flat parametrisation feels nothing
    assert mirror_flow("3*u").weights[0].remainder == 0


def test_commutation_is_decided():
    a, b, c, d = sp.symbols("a b c d", real=True)
    assert commutation([a * b, c * d], [a, b, c, d]).status is MirrorStatus.COMMUTING
    assert commutation([a**2 + b**2, a * b], [a, b]).status is MirrorStatus.COMMUTING
    shared = commutation([a * b, a * c], [a, b, c])
    assert shared.status is MirrorStatus.OBSTRUCTED
    assert shared.brackets == {(0, 1): (0, c, -b)}
    assert shared.motion[0, 1] == (a * c, -a * b)
    nested = commutation([a, b, c + a**2 * b], [a, b, c])
    assert nested.status is MirrorStatus.OBSTRUCTED
    assert set(nested.brackets) == {(0, 2), (1, 2)}


def test_brackets_that_leave_theta_alone_decide_nothing():
    """A map that forgets a screw motion of space: its bracket runs along the screw.

    Space over the screw is a surface of positive curvature, so the bracket cannot
    vanish (O'Neill's formula), but it moves along the fibre. The coordinates are
    those in which the metric of the surface is the Hessian of a psi that depends on
    theta_1 - theta_2^2/2 alone: gradient flow is a mirror flow all the same, which
    is why the status says to look further.
    """
    x, y, z = sp.symbols("x y z", real=True)
    square = x**2 + y**2
    turn = sp.atan(y / x) - z
    first = -(sp.log(square) / 4 + square / 2 + square**2 / 8) + turn**2 / 2
    found = commutation([first, turn], [x, y, z])
    assert found.status is MirrorStatus.UNDECIDED
    assert any(entry != 0 for entry in found.brackets[0, 1])
    assert found.motion == {(0, 1): (0, 0)}
    slope, curvature = -square / (1 + square), 4 * square / (1 + square) ** 4  # psi', psi''
    hessian = sp.Matrix(
        [[curvature, -turn * curvature], [-turn * curvature, turn**2 * curvature - slope]]
    )
    jacobian = sp.Matrix([first, turn]).jacobian([x, y, z])
    assert sp.simplify(jacobian * jacobian.T * hessian) == sp.eye(2)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Abs(u)", "expected a smooth map, received Abs(u)."),
        (
            "u^2*v",
            "expected a map that is a sum of functions of one weight each, or a quadratic form, "
            "received u**2*v; write a product of D weights that start equal as u**D.",
        ),
        (
            "exp(u^2)",
            "expected a map whose gradient flow has a closed form, received exp(u**2).",
        ),
        ("u +* v", "expected a formula, received 'u +* v'"),
    ],
)
def test_maps_that_are_refused(text, sentence):
    with pytest.raises(InputError) as error:
        mirror_flow(text)
    assert str(error.value).startswith(sentence)


def test_foreign_symbols_are_refused():
    u, v = sp.symbols("u v", real=True)
    with pytest.raises(InputError, match="expected a map of the weights u, received also v"):
        mirror_flow(u * v, [u])
    with pytest.raises(InputError, match="expected a map of the weights u, received also v"):
        commutation([u * v], [u])


def test_display():
    text = str(mirror_flow("u^2"))
    assert text.splitlines()[0] == "theta = u**2"
    assert "momentum adds to log(u)/2" in text
    assert "\\nabla\\psi" in mirror_flow("u*v")._repr_latex_()


@pytest.mark.parametrize("text", ["u*v + w^2", "log(u) + log(v)"])
def test_further_forms_are_derived_and_proved(text):
    flow = mirror_flow(text)
    assert len(flow.weights) == len(flow.parameter.free_symbols)
    for identity in flow.identities:
        assert identity.prove().steps[-1][1] == 0
    starts = {s.start: sp.Rational(3 + i, 5) for i, s in enumerate(flow.weights)}
    total = sum(s.contribution.subs(s.weight, s.path) for s in flow.weights) - flow.dual_map
    assert abs(sp.N(total.subs(starts).subs(mu, sp.Rational(1, 50)), 30)) < 1e-25


def test_a_map_has_to_be_an_expression():
    with pytest.raises(InputError, match=r"expected maps\[0\] as text, a number or a"):
        commutation([sp.true], sp.symbols("u v", real=True))
