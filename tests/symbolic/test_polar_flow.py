"""The flow in polar coordinates: proved, and false when a term of it is changed."""

import pytest
import sympy as sp

from momentumflow import InputError
from momentumflow.symbolic import DiagonalNetwork
from momentumflow.symbolic.identities import ProofError
from momentumflow.symbolic.networks.diagonal_network import SeparableNetwork
from momentumflow.symbolic.networks.polar_flow import (
    PolarFlow,
    cosine,
    kappa,
    push,
    sigma,
    square,
)
from momentumflow.symbolic.symbols import lam, u, v

FLOW = PolarFlow(DiagonalNetwork().balanced)


@pytest.mark.parametrize("identity", FLOW.identities, ids=lambda i: i.name)
def test_the_field_is_proved(identity):
    assert identity.prove().steps[-1][1] == 0


class _Wrong(PolarFlow):
    @property
    def field(self):
        growth, turning = super().field
        return growth, turning + lam * sigma**2


@pytest.mark.parametrize("identity", _Wrong(FLOW.network).identities, ids=lambda i: i.name)
def test_a_changed_term_is_refuted(identity):
    with pytest.raises(ProofError):
        identity.prove()


def test_slopes_are_derivatives():
    m, chi, value = (
        sp.Rational(7, 10),
        sp.Symbol("chi", real=True),
        {lam: 2, push: sp.Rational(3, 5)},
    )
    at = {sigma: sp.sin(m * chi) / m, cosine: sp.cos(m * chi), square: m**2, kappa: m**2 / lam}

    def of_chi(expression):
        return expression.subs(at, simultaneous=True).subs(value)

    point = {chi: sp.Rational(-4, 3)}
    for part, slope in zip(FLOW.field, FLOW.slopes, strict=False):
        difference = sp.diff(of_chi(part), chi) - of_chi(slope)
        assert abs(difference.subs(point).evalf(30)) < 1e-25
    rho2 = sp.exp(-2 * lam * sigma * cosine)
    part = of_chi(rho2 * cosine**2)
    slope = of_chi(rho2 * FLOW.square_slopes[1])
    assert abs((sp.diff(part, chi) - slope).subs(point).evalf(30)) < 1e-25
    assert abs(slope.subs(point).evalf()) > 1e-3


def test_other_networks_are_refused():
    with pytest.raises(InputError, match="a network of squares"):
        PolarFlow(SeparableNetwork((u, v), u * v))
    assert FLOW.signs == (1, -1)
    assert FLOW.squares == (sp.Rational(1, 4), -sp.Rational(1, 4))
