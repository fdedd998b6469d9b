"""The remainder of a run in straightened coordinates, for any separable network and schedule.

Every identity is proved; the sums are held against plain loops that know the networks by hand.
"""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from momentumflow import InputError
from momentumflow.symbolic import (
    DiagonalNetwork,
    GradientDescent,
    HeavyBall,
    Nesterov,
    ProofError,
    QuasiHyperbolic,
    RemainderLaw,
    straightened,
)
from momentumflow.symbolic.codegen.remainder_laws import C_next, beta_k, gamma_k, mu_k

MAPS = [
    "u*v", "u^2 - v^2", "u^2", "u^3 - v^3", "u^4 - v^4", "sinh(u)", "exp(u)", "u + u^3",
    "u*exp(u)", "u*v + w^2", "u^2 + v^3 - w^4",
]  # fmt: skip
METHODS = [HeavyBall(), Nesterov(), QuasiHyperbolic(), GradientDescent()]


@pytest.mark.parametrize("text", MAPS)
def test_every_statement_is_proved(text):
    for identity in RemainderLaw.of_map(HeavyBall(), text).identities:
        assert identity.prove().steps[-1][1] == 0, identity.name


@pytest.mark.parametrize("method", METHODS[1:], ids=lambda m: m.name)
def test_every_method_has_the_law(method):
    for identity in RemainderLaw.of_map(method, "sinh(u)").identities:
        assert identity.prove().steps[-1][1] == 0, identity.name


def test_wrong_laws_are_refuted():
    """The weights of a constant schedule, and decay that is left out, fail."""
    law = RemainderLaw.of_map(HeavyBall(), "u^3")
    by_name = {identity.name.split(" of ")[0]: identity for identity in law.identities}
    telescoping = by_name["telescoping"]
    what, symbol, _ = telescoping.relations[1]
    frozen = (what, symbol, beta_k / (1 - beta_k))
    wrong = replace(
        telescoping, relations=(telescoping.relations[0], frozen, telescoping.relations[2])
    )
    with pytest.raises(ProofError):
        wrong.prove()
    for kind in ("coupled", "decoupled"):
        decay = by_name[f"{kind} decay"]
        with pytest.raises(ProofError):
            replace(decay, rhs=decay.rhs - law.drifts[kind][0]).prove()


def run(G, D, schedule, decay=(0.0, 0.0), steps=60):
    """Heavy ball on one datum x theta = y, by hand; return the iterates and the gradients."""
    w, p = 0.8, 0.0
    weights, gradients = [w], []
    for gamma, beta in schedule[:steps]:
        g = 1.3 * (1.3 * G(w) - 2.0)
        p = beta * p - gamma * (g * D(w) + decay[0] * w)
        w = (1 - decay[1]) * w + p
        weights.append(w)
        gradients.append(g)
    return np.array(weights), np.array(gradients)


def effects(schedule):
    """c_k = 1 + b_{k+1} c_{k+1} from the end; nothing acts after it."""
    c = np.ones(len(schedule))
    for k in range(len(schedule) - 2, -1, -1):
        c[k] = 1 + schedule[k + 1][1] * c[k + 1]
    return c


KNOWN = {
    "u^2": (lambda w: w**2, lambda w: 2 * w, lambda w: np.log(w) / 2),
    "u^3": (lambda w: w**3, lambda w: 3 * w**2, lambda w: -1 / (3 * w)),
    "sinh(u)": (np.sinh, np.cosh, lambda w: np.arctan(np.sinh(w))),
}
SCHEDULE = [(0.01 * (1 + k / 10), 0.9 * np.cos(k / 80) ** 2) for k in range(60)]


@pytest.mark.parametrize("text", KNOWN)
@pytest.mark.parametrize("decay", [(0.0, 0.0), (0.02, 0.0), (0.0, 0.001)], ids=str)
def test_the_sum_is_what_gradients_do_not_explain(text, decay):
    """phi(w_0) - phi(w_k) - sum c_i gamma_i g_i, by hand, is the sum of what the law states."""
    G, D, phi = KNOWN[text]
    w, g = run(G, D, SCHEDULE, decay)
    c = effects(SCHEDULE)
    gamma, beta = np.array(SCHEDULE).T
    # what the last momentum would still move is nothing: c is one there
    explained = np.sum(c * gamma * g)
    expected = phi(w[0]) - phi(w[-1]) - explained

    law = RemainderLaw.of_map(HeavyBall(), text)
    u, p = law.step.weights[0], law.step.displacements[0]
    after, p_after = (sp.Symbol(f"{s.name}_next", real=True) for s in (u, p))
    kind = "coupled" if decay[0] else "decoupled"
    straight = straightened(text).weights[0]
    summand = law.summands[0].replace(
        sp.Function("phi"), lambda x: straight.straight.subs(straight.weight, x)
    )
    drift = law.drifts[kind][0]
    total = summand + drift - (mu_k * u / law.pushes[0] if decay[1] else 0)
    arguments = (u, after, p_after, C_next, gamma_k, mu_k)
    moved = np.diff(w) + decay[1] * w[:-1]
    values = (w[:-1], w[1:], moved, c - 1, gamma, max(decay))
    np.testing.assert_allclose(
        np.sum(sp.lambdify(arguments, total if any(decay) else summand)(*values)),
        expected,
        rtol=1e-9,
    )
    if any(decay) and text == "u^2":  # a known shift of the logarithm of the weight
        shift = np.broadcast_to(sp.lambdify(arguments, drift)(*values), c.shape).sum()
        by_hand = np.sum(c * gamma) * decay[0] + len(c) * decay[1]
        assert shift == pytest.approx(by_hand / 2)
    # control: the weights of the first momentum, kept
    kept = np.full(len(c), 1 / (1 - beta[0]))
    assert abs(phi(w[0]) - phi(w[-1]) - np.sum(kept * gamma * g) - expected) > 1e-2


def test_at_constant_momentum_it_is_the_law_of_the_first_edition():
    """On w_pm the summand is h(z)/(1 - beta), z the ratio of two iterates (PPF, section 4)."""
    network = DiagonalNetwork()
    law = RemainderLaw(HeavyBall(), network.balanced)
    w, p = law.step.weights[0], law.step.displacements[0]
    x, beta = sp.symbols("x beta", positive=True)
    after, p_after = (sp.Symbol(f"{s.name}_next", real=True) for s in (w, p))
    summand = law.summands[0].replace(sp.Function("phi"), lambda e: sp.log(sp.Abs(e)))
    found = summand.subs({C_next: beta / (1 - beta), p_after: after - w}).subs({after: x, w: 1})
    expected = network.remainder_summand().subs(sp.Symbol("z", real=True), x) / (1 - beta)
    assert sp.simplify(found - expected) == 0
    assert sp.simplify(found - 2 * expected) != 0


def test_a_network_has_to_be_straight():
    with pytest.raises(InputError, match=r"depends on this weight alone.*straightened"):
        RemainderLaw(HeavyBall(), DiagonalNetwork().uv)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("u*exp(u)", "no closed form was found for the straightening coordinate of u*exp(u)"),
        ("u^2 + u^4", "no closed form was found for the inverse of the straightening coordinate"),
    ],
)
def test_what_has_no_closed_form_is_said(text, sentence):
    found = straightened(text)
    assert found.obstacles[0].startswith(sentence)
    assert "by quadrature" in str(found)
    for identity in found.identities:
        identity.prove()


def test_forces_of_their_own_are_straightened():
    """w_pm of the two-layer network: the force is -g w, so phi = ln w, not 2 ln w."""
    plus, minus = straightened(DiagonalNetwork().balanced).weights
    assert sp.simplify(plus.straight - sp.log(plus.weight)) == 0
    assert sp.simplify(minus.straight + sp.log(minus.weight)) == 0
    assert straightened("u^2/4").weights[0].straight == 2 * sp.log(sp.Symbol("u", positive=True))


def test_the_users_weights_are_found_back():
    found = straightened("u*v + w^2")
    for weight, by in found.rotation.items():
        assert sp.expand(by.subs(dict(found.coordinates)) - weight) == 0
    free = {item.weight: sp.Symbol(item.weight.name, real=True) for item in found.weights}
    back = {free[weight]: by for weight, by in found.coordinates.items()}
    assert sp.expand(found.network.parameter.subs(back, simultaneous=True) - found.parameter) == 0
