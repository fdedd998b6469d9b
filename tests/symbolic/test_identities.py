"""Identities: every law is proved by SymPy, and false ones are refuted."""

import dataclasses

import mpmath
import pytest
import sympy as sp

from momentumflow import InputError
from momentumflow.symbolic import (
    DiagonalNetwork,
    Identity,
    ProofError,
    SeparableNetwork,
)
from momentumflow.symbolic.networks.diagonal_network import sign
from momentumflow.symbolic.symbols import Delta, beta, g, theta, u, v, w_minus, w_plus, z

NETWORK = DiagonalNetwork()


@pytest.mark.parametrize("identity", NETWORK.identities, ids=lambda i: i.name)
def test_every_law_is_proved(identity: Identity) -> None:
    proof = identity.prove()
    assert proof.steps[-1][1] == 0
    assert identity.name in str(proof)
    assert identity._repr_latex_().startswith("$")


@pytest.mark.parametrize("identity", NETWORK.identities, ids=lambda i: i.name)
def test_every_law_is_refuted_once_it_is_falsified(identity: Identity) -> None:
    # a summand that no relation or simplifier can absorb
    wrong = dataclasses.replace(identity, rhs=identity.rhs + sp.Rational(1, 7))
    with pytest.raises(ProofError, match="false, for example at") as caught:
        wrong.prove()
    assert caught.value.counterexample is not None


def test_swapped_sign_in_the_riccati_equation_is_refuted() -> None:
    riccati = NETWORK.identity("Riccati equation of w_+")
    wrong = dataclasses.replace(riccati, rhs=-riccati.rhs)
    with pytest.raises(ProofError, match="false"):
        wrong.prove()


def test_a_true_statement_out_of_reach_is_neither_proved_nor_refuted() -> None:
    fifth, far = sp.atan(sp.Rational(1, 5)), sp.atan(sp.Rational(1, 239))
    machin = Identity("Machin's formula", 16 * fifth - 4 * far, sp.pi)
    with pytest.raises(ProofError, match="not proved") as caught:
        machin.prove()
    assert caught.value.counterexample is None


def test_floats_are_refused() -> None:
    with pytest.raises(InputError, match="write it as a Rational"):
        Identity("half", sp.Float(0.5), sp.Rational(1, 2))


def test_no_float_inside_any_expression() -> None:
    for identity in NETWORK.identities:
        assert not identity.difference.atoms(sp.Float)


def test_force_is_derived_from_the_map() -> None:
    assert NETWORK.uv.force == (-g * v, -g * u)
    assert NETWORK.balanced.parameter == w_plus**2 / 4 - w_minus**2 / 4
    assert NETWORK.balanced.log_rates() == (-1, 1)
    cubic = SeparableNetwork((u,), u**3, name="cubic")
    assert cubic.force == (-3 * g * u**2,)
    assert cubic.log_rates() == (None,)


def test_entropy_against_quadrature_of_its_hessian() -> None:
    # psi(0) = psi'(0) = 0 and psi'' = (4 theta^2 + Delta^2)^(-1/2) determine psi
    with mpmath.workdps(30):
        for at, scale in ((0.7, 0.3), (-2.5, 1e-3), (1e-2, 5.0)):
            integral = mpmath.quad(
                lambda s, at=at, scale=scale: (
                    (at - s) / mpmath.sqrt(4 * s**2 + mpmath.mpf(scale) ** 2)
                ),
                [0, at / 100, at / 10, at],
            )
            value = sp.N(
                NETWORK.entropy.subs({theta: sp.Float(at, 30), Delta: sp.Float(scale, 30)}), 25
            )
            assert abs(mpmath.mpf(str(value)) - integral) < 1e-15 * abs(integral)


def test_remainder_summand_is_minimal_at_one() -> None:
    h = sp.lambdify((z, beta), NETWORK.remainder_summand(), "mpmath")
    assert h(1, 0.3) == 0
    assert min(h(x / 10, 0.9) for x in range(1, 40) if x != 10) > 0


def test_bad_networks_are_refused() -> None:
    with pytest.raises(InputError, match="a map of u only, received also v"):
        SeparableNetwork((u,), u * v)
    with pytest.raises(InputError, match="depends on every coordinate"):
        SeparableNetwork((u, v), u**2)
    with pytest.raises(InputError, match="expected one of parameter in w_pm"):
        NETWORK.identity("no such law")
    assert sign.is_nonzero
