"""Slow regime: B-series with coefficients in Q(beta), against everything known about them."""

import json
from fractions import Fraction
from math import factorial
from pathlib import Path

import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st

from momentumflow import InputError
from momentumflow.symbolic import (
    GradientDescent,
    HeavyBall,
    MomentumMethod,
    Nesterov,
    QuasiHyperbolic,
    memoryless_map,
    modified_equation,
    principal_flow,
    slow_root_series,
)
from momentumflow.symbolic.equations.slow_regime import slow_series
from momentumflow.symbolic.symbols import beta, gamma, h, nu
from momentumflow.symbolic.trees.rooted_trees import FIELD, graft_root, tree, trees_up_to

KAURI = json.loads(
    (Path(__file__).parent / "reference" / "kauri_euler.json").read_text(encoding="utf-8")
)


def chain(n):
    tau = FIELD
    for _ in range(n - 1):
        tau = graft_root([tau])
    return tau


def bush(n):
    return graft_root([FIELD] * (n - 1))


def same(a, b):
    return sp.cancel(sp.together(a - b)) == 0


def test_euler_against_kauri_to_order_six():
    """kauri, whose algorithm is the substitution coproduct; see reference/."""
    equation = modified_equation(GradientDescent(), KAURI["order"], "slow")
    assert len(KAURI["coefficients"]) == 37
    for text, value in KAURI["coefficients"].items():
        tau = tree(text)
        expected = sp.Rational(Fraction(value)) / tau.symmetry
        assert equation.coefficient(tau) == expected * gamma**tau.order, text
    # negative control: the same table is not that of another momentum
    other = modified_equation(HeavyBall(beta=sp.Rational(1, 2)), 3, "slow")
    assert (
        other.coefficient("[[]]") != sp.Rational(Fraction(KAURI["coefficients"]["[[]]"])) * gamma**2
    )


def test_published_euler_coefficients():
    """1, 1/2, 1/3, 1/12 in magnitude (Hairer, Lubich, Wanner 2006, example IX.7.1)."""
    equation = modified_equation(HeavyBall(), 3, "slow").subs({beta: 0})
    found = [
        equation.coefficient(t) / gamma ** tree(t).order
        for t in ("[]", "[[]]", "[[[]]]", "[[],[]]")
    ]
    assert found == [1, sp.Rational(-1, 2), sp.Rational(1, 3), sp.Rational(1, 12)]


def test_the_map_of_gradient_descent_is_one_step():
    """exp of the modified field of Euler must be w + gamma f again: all other trees vanish."""
    step = memoryless_map(GradientDescent(), 9)
    assert [(t.tree, t.coefficient) for t in step] == [(FIELD, gamma)]


# Section 3.3 of the design notes, f = -g: derived twice by hand and checked numerically.
HEAVY_BALL = {
    "[]": 1,
    "[[]]": -(1 + beta) / 2,
    "[[[]]]": (1 + 4 * beta + beta**2) / 3,
    "[[],[]]": (1 + 10 * beta + beta**2) / 12,
    "[[[[]]]]": -(1 + beta) * (1 + 8 * beta + beta**2) / 4,
    "[[[],[]]]": -(1 + beta) * (1 + 16 * beta + beta**2) / 12,
    "[[],[[]]]": -(1 + beta) * (1 + 28 * beta + beta**2) / 12,
    "[[],[],[]]": -(1 + beta) * beta / 2,
}
MEMORYLESS = {
    "[]": 1,
    "[[]]": -beta,
    "[[[]]]": beta * (1 + beta),
    "[[],[]]": beta * (1 + beta) / 2,
    "[[[[]]]]": -beta * (1 + 3 * beta + beta**2),
    "[[[],[]]]": -beta * (1 + 4 * beta + beta**2) / 2,
    "[[],[[]]]": -beta * (1 + 3 * beta + beta**2),
    "[[],[],[]]": -beta * (1 + 4 * beta + beta**2) / 6,
}


@pytest.mark.parametrize(
    ("series", "table"),
    [
        (modified_equation(HeavyBall(), 4, "slow"), HEAVY_BALL),
        (memoryless_map(HeavyBall(), 4), MEMORYLESS),
    ],
    ids=["flow", "map"],
)
def test_heavy_ball_through_order_four(series, table):
    assert {tau.text for tau in trees_up_to(4)} == set(table)
    for text, expected in table.items():
        n = tree(text).order
        assert same(series.coefficient(text), expected * gamma**n / (1 - beta) ** (2 * n - 1)), text


def narayana(n):
    """Narayana polynomial sum_k N(n,k) beta^(k-1)."""
    return sum(
        sp.binomial(n, k) * sp.binomial(n, k - 1) / n * beta ** (k - 1) for k in range(1, n + 1)
    )


def eulerian(n):
    """Eulerian polynomial sum_k A(n,k) beta^k by its recurrence of 1730."""
    poly = sp.S.One
    for m in range(2, n + 1):
        poly = sp.expand((1 + (m - 1) * beta) * poly + beta * (1 - beta) * sp.diff(poly, beta))
    return poly


def test_memoryless_map_carries_narayana_and_eulerian_polynomials():
    """Chains and bushes to order 8 (Cattaneo and Shigida, arXiv 2509.08483)."""
    step = memoryless_map(HeavyBall(), 8)
    for n in range(2, 9):
        scale = (-1) ** (n - 1) * beta * gamma**n / (1 - beta) ** (2 * n - 1)
        assert same(step.coefficient(chain(n)), scale * narayana(n - 1))
        assert same(step.coefficient(bush(n)), scale * eulerian(n - 1) / factorial(n - 1))
    assert not same(narayana(4), eulerian(4))  # the two are told apart


@pytest.mark.parametrize(
    ("method", "order"),
    [(HeavyBall(), 12), (Nesterov(), 8), (QuasiHyperbolic(), 5), (GradientDescent(), 12)],
    ids=lambda item: getattr(item, "name", str(item)),
)
def test_chains_are_the_logarithm_of_the_slow_root(method, order):
    """On h w^2/2 a chain of n nodes is (-h)^n w: the sum must be ln of the exact root."""
    equation = modified_equation(method, order, "slow")
    for n, expected in enumerate(slow_root_series(method, order), start=1):
        assert same((-1) ** n * equation.coefficient(chain(n)) / gamma**n, expected), n


def test_closed_root_has_the_same_series():
    """The series iteration against SymPy's own expansion of the closed form, at beta = 1/4."""
    method = HeavyBall(beta=sp.Rational(1, 4))
    rate = principal_flow(method).rate.subs(h, 1)
    expanded = sp.series(rate, gamma, 0, 5).removeO()
    found = slow_root_series(method, 4)
    assert [sp.nsimplify(expanded.coeff(gamma, n)) for n in range(1, 5)] == found
    assert principal_flow(GradientDescent()).rate == sp.log(1 - gamma * h)
    assert (
        sp.simplify(principal_flow(HeavyBall()).root.subs(gamma, 0) - 1).subs(
            beta, sp.Rational(1, 3)
        )
        == 0
    )


def test_constants_of_the_literature():
    """Two constants that others derived.

    Ghosh et al. (ICLR 2023): regulariser (1+beta)/(4(1-beta)^3) for heavy ball. Kovachki
    and Stuart (JMLR 22:17, 2021): h alpha u'' + (1-lambda) u' = f with alpha = (1 + lambda
    - 2a(1-lambda))/2, a = 0 for heavy ball, a = lambda for Nesterov; on the slow manifold
    that is -alpha f'f/(1-lambda)^3.
    """
    for method, a in ((HeavyBall(), 0), (Nesterov(), beta)):
        alpha = (1 + beta - 2 * a * (1 - beta)) / 2
        found = modified_equation(method, 2, "slow").coefficient("[[]]")
        assert same(found, -alpha * gamma**2 / (1 - beta) ** 3)
    from momentumflow.symbolic import modified_loss

    loss = modified_loss(HeavyBall(), 2)
    assert same(loss.coefficient("[[]]"), gamma**2 * (1 + beta) / (4 * (1 - beta) ** 3))


@pytest.mark.parametrize("method", [HeavyBall(), Nesterov(), QuasiHyperbolic()])
@pytest.mark.parametrize("by", [-2, 1, 3])
def test_relabelling_k_changes_nothing(method, by):
    """The same recurrence written for k + by has the same flow and map."""
    reference = slow_series(method.recurrence, 4)
    stated = MomentumMethod("shifted", method.recurrence.shifted(by)).recurrence
    for kind in ("flow", "map"):
        for tau, element in getattr(slow_series(stated, 4), kind).items():
            assert element == getattr(reference, kind)[tau]


def test_special_cases_agree():
    """QHM at nu = 1 is heavy ball with step (1-beta) gamma, at nu = 0 gradient descent."""
    general = modified_equation(QuasiHyperbolic(), 4, "slow")
    damped = modified_equation(HeavyBall(), 4, "slow").subs({gamma: (1 - beta) * gamma})
    plain = modified_equation(GradientDescent(), 4, "slow")
    for tau in trees_up_to(4):
        assert same(general.coefficient(tau).subs(nu, 1), damped.coefficient(tau))
        assert same(general.coefficient(tau).subs(nu, 0), plain.coefficient(tau))
    assert not same(general.coefficient("[[]]").subs(nu, 0), damped.coefficient("[[]]"))


@settings(max_examples=12, deadline=None)
@given(
    st.fractions(min_value=0, max_value=Fraction(9, 10), max_denominator=20),
    st.fractions(min_value=-1, max_value=1, max_denominator=10),
)
def test_substituting_a_number_commutes_with_deriving(momentum, look):
    """Deriving with symbols and inserting numbers is deriving with the numbers."""
    b, c = sp.Rational(momentum), sp.Rational(look)
    mu = sp.Symbol("mu")

    def stated(x, y):
        return MomentumMethod.from_recurrence({1: 1, 0: -1 - x, -1: x}, [(1, {0: 1 + y, -1: -y})])

    general = modified_equation(stated(beta, mu), 4, "slow").subs({beta: b, mu: c})
    special = modified_equation(stated(b, c), 4, "slow")
    for tau in trees_up_to(4):
        assert same(general.coefficient(tau), special.coefficient(tau))


def test_rational_coefficients_of_a_stated_method():
    """Denominators in the weights and the gradient points are cleared, not refused."""
    mu = sp.Symbol("mu")
    look = mu / (1 + mu)
    stated = MomentumMethod.parse(
        "w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*f(w[k] + mu/(1+mu)*(w[k]-w[k-1]))"
    )
    plain = MomentumMethod.parse(
        "w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*f(w[k] + mu*(w[k]-w[k-1]))"
    )
    expected = modified_equation(plain, 4, "slow")
    found = modified_equation(stated, 4, "slow")
    for tau in trees_up_to(4):
        assert same(found.coefficient(tau), expected.coefficient(tau).subs(mu, look))


def test_three_step_methods_work_too():
    """A recurrence over four iterates: on quadratics its chains are again ln of its slow root."""
    stated = MomentumMethod.from_recurrence(
        {1: 1, 0: -1 - beta, -1: beta - beta**2 / 4, -2: beta**2 / 4},
        [(sp.Rational(3, 2), {0: 1}), (sp.Rational(-1, 2), {-1: 2, -2: -1})],
    )
    equation = modified_equation(stated, 5, "slow")
    for n, expected in enumerate(slow_root_series(stated, 5), start=1):
        assert same((-1) ** n * equation.coefficient(chain(n)) / gamma**n, expected)
    with pytest.raises(InputError, match="at most three iterates for a closed form"):
        principal_flow(stated)


def test_nothing_is_inexact():
    for method in (HeavyBall(), Nesterov(), QuasiHyperbolic()):
        for term in modified_equation(method, 4, "slow"):
            assert not term.coefficient.atoms(sp.Float)


@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        (0, "expected order >= 1, received order = 0; the leading equation is that of"),
        (-3, "expected order >= 1, received order = -3"),
        (1.5, "expected order as a whole number, received 1.5."),
        (
            20,  # OEIS A000081 up to 12826228, summed
            "expected order <= 15 in the slow regime, received order = 20, which has "
            "20,247,374 rooted trees or more.",
        ),
        (10**9, "expected order <= 15 in the slow regime, received order = 1000000000."),
    ],
)
def test_orders_that_are_refused(order, sentence):
    with pytest.raises(InputError) as error:
        modified_equation(HeavyBall(), order, "slow")
    assert str(error.value).startswith(sentence)


def test_other_bad_requests():
    with pytest.raises(InputError, match="expected regime to be one of 'inertial', 'slow', "):
        modified_equation(HeavyBall(), 2, "fast")
    with pytest.raises(
        InputError, match="expected method as a MomentumMethod or an Optimiser, received"
    ):
        modified_equation("heavy ball", 2, "slow")
    equation = modified_equation(HeavyBall(), 2, "slow")
    with pytest.raises(InputError, match=r"a tree of at most 2 nodes, received .* of 3; derive"):
        equation.coefficient("[[],[]]")
    with pytest.raises(InputError, match="notation to be"):
        equation.latex("pictures")


def prunings(tau):
    """All ways to let disjoint branches fall: (what keeps the root, what falls)."""
    ways = [([], [])]
    for child in tau.children:
        options = [(None, [child]), *prunings(child)]
        ways = [
            ([*kept, branch] if branch is not None else kept, fallen + more)
            for kept, fallen in ways
            for branch, more in options
        ]
    return [(graft_root(kept), fallen) for kept, fallen in ways]


def composed(outer, inner, tau):
    """Coefficient of outer(inner(w)) (Hairer, Lubich, Wanner 2006, theorem III.1.10)."""
    total = inner[tau]
    for kept, fallen in prunings(tau):
        term = outer[kept]
        for branch in fallen:
            term *= inner[branch]
        total += term
    return total


def test_the_memoryless_map_satisfies_the_recurrence_under_composition():
    """M(M(w)) - (1+beta) M(w) + beta w = gamma f(M(w)): composition of maps, no Lie derivative."""
    b, step = Fraction(2, 7), memoryless_map(HeavyBall(), 7)
    at = {beta: sp.Rational(2, 7), gamma: 1}
    values = {
        tau: Fraction(str(step.coefficient(tau).subs(at) * tau.symmetry)) for tau in trees_up_to(7)
    }

    def defect(m, tau):
        along = Fraction(1)
        for child in tau.children:
            along *= m[child]
        return composed(m, m, tau) - (1 + b) * m[tau] - along

    assert [tau for tau in trees_up_to(7) if defect(values, tau) != 0] == []
    spoilt = dict(values)
    spoilt[bush(4)] += Fraction(1, 1000)
    assert defect(spoilt, bush(4)) != 0
