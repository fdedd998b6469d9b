"""Inertial regime: the second-order equation, its start, its friction and its energy."""

import itertools
import random

import pytest
import sympy as sp

from momentumflow import InputError
from momentumflow.symbolic import (
    GradientDescent,
    HeavyBall,
    MomentumMethod,
    Nesterov,
    ProofError,
    QuasiHyperbolic,
    energy,
    friction,
    friction_identities,
    leading_equation,
    modified_equation,
    uniqueness_defect,
)
from momentumflow.symbolic.identities import Identity
from momentumflow.symbolic.symbols import beta, eps, gamma, lam, nu
from momentumflow.symbolic.trees.rooted_trees import VELOCITY

w, v, p = sp.symbols("w v p", real=True)
# a loss without symmetry, so that no term can hide
LOSS = w**4 / 4 - w**3 / 5 + w**2 / 3 - w / 7
FORCE = -sp.diff(LOSS, w)
LAMBDA = sp.Rational(3, 4)  # a number for lambda, where the expansions are long


def cut(expr, order):
    """Drop the powers of eps above `order`."""
    poly = sp.Poly(sp.expand(expr), eps)
    return sp.Add(*(c * eps**k for (k,), c in poly.terms() if k <= order))


def test_the_leading_equation_is_momentum_gradient_flow():
    leading = leading_equation(HeavyBall())
    assert {t.tree.text: t.coefficient for t in leading} == {"v": -1 / lam, "[]": 1 / lam}
    assert str(leading) == "w'' = 1/lambda (f - v)"
    assert not leading.initial_velocity.terms


def test_first_corrections():
    """DESIGN, section 3.2: lambda_hat = lambda - eps/2, Hessian damping for Nesterov, the start."""
    first = modified_equation(HeavyBall(), 1)
    assert sp.expand(1 / (lam - eps / 2)).series(eps, 0, 2).removeO().equals(first.coefficient("f"))
    assert first.initial_velocity.coefficient("[]") == eps / (2 * lam)
    nesterov = modified_equation(Nesterov(), 1)
    assert nesterov.coefficient("[v]") == eps / lam  # times lambda: eps f'v = -eps Hess F v
    assert first.coefficient("[v]") == 0
    second = modified_equation(HeavyBall(), 2)
    assert second.coefficient("[v,v]") == -(eps**2) / (12 * lam)
    assert second.coefficient("[[]]") == -(eps**2) / (12 * lam**2)
    assert (
        sp.expand(second.coefficient("f") - (1 / lam + eps / (2 * lam**2) + eps**2 / (3 * lam**3)))
        == 0
    )


def symplectic_euler_equation(order):
    """w'' of the modified flow of heavy ball as partitioned symplectic Euler, by a Lie series.

    Heavy ball is p -> p + (eps/lambda) (f(w) - p), w -> w + eps p (the new p):
    symplectic Euler for w' = p, lambda p' = f(w) - p. Its modified field is
    X = (1/eps) log(Phi^*), log(1 + N) = sum (-1)^(k+1) N^k / k with N g = g o Phi - g,
    on the functions w and p; w'' = X X w, with p eliminated by v = X w.
    """
    change_p = eps / LAMBDA * (FORCE - p)
    change_w = sp.expand(eps * (p + change_p))

    def changed(function):
        """N g by Taylor's theorem: both changes are O(eps)."""
        total = sp.S.Zero
        for i, j in itertools.product(range(order + 2), repeat=2):
            if 1 <= i + j <= order + 1:
                part = sp.diff(function, w, i, p, j) if i + j else function
                weight = change_w**i * change_p**j / (sp.factorial(i) * sp.factorial(j))
                total += cut(weight * part, order + 1)
        return sp.expand(total)

    def field(function):
        total, power = sp.S.Zero, function
        for k in range(1, order + 2):
            power = changed(power)
            total += sp.Rational((-1) ** (k + 1), k) * power
        return sp.expand(total / eps)

    velocity = cut(field(w), order)
    along = field(p)
    acceleration = cut(sp.diff(velocity, w) * velocity + sp.diff(velocity, p) * along, order)
    # invert v = velocity(w, p) order by order
    inverse = v
    for _ in range(order + 1):
        inverse = cut(inverse - (velocity.subs(p, inverse) - v), order)
    return cut(acceleration.subs(p, inverse), order)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_heavy_ball_as_symplectic_euler(order):
    """Backward error analysis of the one-step map on (w, p): no recurrence, no trees."""
    (derived,) = modified_equation(HeavyBall(), order).specialise(LOSS, [w], [v])
    expected = symplectic_euler_equation(order)
    assert sp.expand(derived.subs(lam, LAMBDA) - expected) == 0
    (wrong,) = modified_equation(Nesterov(), order).specialise(LOSS, [w], [v])
    assert sp.expand(wrong.subs(lam, LAMBDA) - expected) != 0  # the oracle notices another method


def taylor(equation, count):
    """Derivatives w^(1), w^(2), ... along v' = Phi(w, v), as expressions of w and v."""
    (right,) = equation.specialise(LOSS, [w], [v])
    rows = [v, sp.expand(right.subs(lam, LAMBDA))]
    while len(rows) < count:
        last = rows[-1]
        # the m-th derivative is multiplied by eps^m: higher powers are never seen
        keep = max(0, count - 1 - len(rows))
        rows.append(cut(sp.diff(last, w) * v + sp.diff(last, v) * rows[1], keep))
    return rows


@pytest.mark.parametrize(
    "method",
    [HeavyBall(), Nesterov(), QuasiHyperbolic(nu=sp.Rational(7, 10))],
    ids=lambda m: m.name,
)
def test_the_start_is_the_start_of_the_method(method):
    """w(eps), expanded from w(0) and the derived w'(0), is the first iterate of the update rule."""
    order = 1 if method.name == "quasi-hyperbolic momentum" else 2
    equation = modified_equation(method, order)
    (start,) = equation.initial_velocity.specialise(LOSS, [w])
    at = {w: sp.Rational(7, 5), lam: LAMBDA}
    rows = [row.subs(at) for row in taylor(equation, order + 3)]
    start = start.subs(at)
    path = sum(eps**m / sp.factorial(m) * row for m, row in enumerate(rows, start=1))
    moved = cut(path.subs(v, start), order + 1)
    # the update rule itself, from rest; QHM with its empty buffer
    momentum = 1 - eps / lam
    if method.name == "quasi-hyperbolic momentum":
        share = sp.Rational(7, 10)
        first = eps * ((1 - share) + share * (1 - momentum)) * FORCE
    else:
        first = eps**2 / lam * FORCE
    assert sp.expand(moved - first.subs(at)) == 0
    without = cut(path.subs(v, 0), order + 1)
    assert sp.expand(without - first.subs(at)) != 0


@pytest.mark.parametrize("method", [HeavyBall(), Nesterov()], ids=lambda m: m.name)
def test_the_equation_satisfies_the_recurrence(method):
    """Taylor expansions of w(t + j eps) inserted into the recurrence leave O(eps^(order+3))."""
    order = 2
    at = {w: sp.Rational(7, 5), v: sp.Rational(-2, 3), lam: LAMBDA}
    rows = [row.subs(at) for row in taylor(modified_equation(method, order), order + 4)]
    momentum = 1 - eps / at[lam]

    def shifted(j):
        return at[w] + sum((j * eps) ** m / sp.factorial(m) * row for m, row in enumerate(rows, 1))

    ahead = at[w]
    if method.name == "Nesterov":
        ahead = ahead + momentum * (at[w] - shifted(-1))
    residual = (
        shifted(1)
        - (1 + momentum) * at[w]
        + momentum * shifted(-1)
        - eps**2 / at[lam] * FORCE.subs(w, ahead)
    )
    assert cut(residual, order + 2) == 0
    assert cut(residual, order + 3) != 0


@pytest.mark.parametrize(
    "method",
    [
        HeavyBall(),
        Nesterov(),
        QuasiHyperbolic(),
        MomentumMethod.parse("w[k+1] = w[k] + beta**2*(w[k]-w[k-1]) + gamma*f(w[k])"),
    ],
    ids=lambda m: m.name,
)
def test_friction_is_proved(method):
    for identity in friction_identities(method):
        assert identity.prove().steps[-1][1] == 0
    if method.recurrence.left == HeavyBall().recurrence.left:
        assert set(uniqueness_defect(method, 3)) == {0}


def test_friction_of_heavy_ball_is_the_logarithm():
    assert sp.simplify(friction(HeavyBall()) - sp.log(1 / beta) * (1 - beta) / gamma) == 0
    assert set(uniqueness_defect(HeavyBall(), 6)) == {0}
    # another friction is refuted, with a counterexample
    k = sp.Symbol("k", integer=True, positive=True)
    wrong = Identity("a wrong friction", sp.exp(-k * (1 - beta)), beta**k)
    with pytest.raises(ProofError):
        wrong.prove()


def test_force_and_friction_have_one_coefficient():
    """f - v: a constant field is followed at its own speed, whatever the order."""
    for method in (HeavyBall(), Nesterov()):
        equation = modified_equation(method, 6)
        assert sp.expand(equation.coefficient("f") + equation.coefficient("v")) == 0
        assert equation.coefficient("f").coeff(eps, 6) == 1 / (7 * lam**7)


def test_quasi_hyperbolic_contains_both_ends():
    """nu = 1 is heavy ball in its own eps and lambda; nu < 1 damps by the Hessian at once."""
    equation = modified_equation(QuasiHyperbolic(), 2)
    plain = modified_equation(HeavyBall(), 2)
    for term in equation:
        assert sp.expand(term.coefficient.subs(nu, 1) - plain.coefficient(term.tree)) == 0
    assert equation.coefficient("[v]") == 1 - nu


@pytest.mark.parametrize(
    ("method", "order"),
    [
        *((m, order) for m in (HeavyBall(), Nesterov()) for order in (1, 2, 3)),
        (QuasiHyperbolic(nu=sp.Rational(1, 2)), 1),
    ],
    ids=lambda item: getattr(item, "name", str(item)),
)
def test_energy_falls_at_the_stated_rate(method, order):
    """dE/dt + R along the equation is O(eps^(order+1)), on a loss of two variables."""
    x, y, a, b = sp.symbols("x y a b", real=True)
    loss = (1 - x) ** 2 / 10 + (y - x**2) ** 2
    found = energy(method, order)
    stored = found.energy.specialise(loss, [x, y], [a, b]).subs(lam, LAMBDA)
    lost = found.dissipation.specialise(loss, [x, y], [a, b]).subs(lam, LAMBDA)
    written = modified_equation(method, order).specialise(loss, [x, y], [a, b])
    forces = [force.subs(lam, LAMBDA) for force in written]
    change = sp.diff(stored, x) * a + sp.diff(stored, y) * b
    change += sp.diff(stored, a) * forces[0] + sp.diff(stored, b) * forces[1]
    # a polynomial identity in all of them, tried at random rational points
    rng = random.Random(order)
    for _ in range(3):
        point = {s: sp.Rational(rng.randint(-99, 99), 50) for s in (x, y, a, b)}
        assert cut((change + lost).subs(point), order) == 0
        assert cut(change.subs(point), order) != 0
    assert all(tau is VELOCITY or tau.velocities >= 2 for tau, _ in found.dissipation.terms)
    assert found.energy.coefficient("[]") == -1  # F itself, once: `[]` stands for -F


def test_energy_of_heavy_ball():
    first = energy(HeavyBall(), 1)
    assert str(first) == "E = F + (lambda/2 - epsilon/4) |v|^2\nR = |v|^2"


def test_scaling_is_stated():
    scaling = modified_equation(HeavyBall(), 1).scaling
    assert sp.simplify(scaling.time_step - gamma / (1 - beta)) == 0
    assert sp.simplify(scaling.intrinsic - gamma / (1 - beta) ** 2) == 0
    own = modified_equation(HeavyBall(), 1).in_method_parameters()
    assert own.coefficient("[v]") == 0
    expected = (1 - beta) ** 2 / gamma + (1 - beta) ** 3 / (2 * gamma)
    assert sp.simplify(own.coefficient("f") - expected) == 0


def test_further_parameters_may_enter_rationally():
    """A look-ahead mu/(1+mu): the same equation as for mu, with mu replaced."""
    mu = sp.Symbol("mu")
    text = "w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*f(w[k] + ({})*(w[k]-w[k-1]))"
    plain = modified_equation(MomentumMethod.parse(text.format("mu")), 2)
    found = modified_equation(MomentumMethod.parse(text.format("mu/(1+mu)")), 2)
    assert found.trees == plain.trees
    for term in found:
        expected = plain.coefficient(term.tree).subs(mu, mu / (1 + mu))
        assert sp.cancel(sp.together(term.coefficient - expected)) == 0
    # mu = beta = 1 - eps/lambda is Nesterov
    nesterov = modified_equation(Nesterov(), 2)
    for term in nesterov:
        inserted = plain.coefficient(term.tree).subs(mu, 1 - eps / lam)
        assert cut(inserted - term.coefficient, 2) == 0


def test_a_momentum_of_another_name_and_form():
    """With m = 1 - beta or beta squared for the parameter, the equation in eps and lambda stays."""
    stated = MomentumMethod.parse("w[k+1] = w[k] + (1-m)*(w[k]-w[k-1]) + gamma*f(w[k])")
    squared = MomentumMethod.parse("w[k+1] = w[k] + beta^2*(w[k]-w[k-1]) + gamma*f(w[k])")
    plain = modified_equation(HeavyBall(), 3)
    for method in (stated, squared):
        found = modified_equation(method, 3)
        assert {t.tree: t.coefficient for t in found} == {t.tree: t.coefficient for t in plain}


def test_the_momentum_parameter_is_found_or_named():
    text = "w[k+1] = w[k] + {}*(w[k]-w[k-1]) + gamma*f(w[k] + q*(w[k]-w[k-1]))"
    p, q = sp.symbols("p q")
    found = MomentumMethod.parse(text.format("p"))
    assert found.momentum == p  # q does not occur in A'(1)
    assert modified_equation(found, 1).coefficient("[v]") == eps * q / lam
    two = text.format("p*q")
    with pytest.raises(InputError, match=r"name it as momentum=\.\.\., or take regime"):
        modified_equation(MomentumMethod.parse(two), 1)
    with pytest.raises(InputError, match="expected the momentum parameter to occur in the recurr"):
        MomentumMethod.parse(two, momentum=sp.Symbol("r"))


def test_averaged_gradients_and_longer_memory():
    """Two gradient points of fixed weights damp like a look-ahead of their mean place."""
    averaged = MomentumMethod.parse(
        "w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*(2*f(w[k]) - f(w[k-1]))"
    )
    equation = modified_equation(averaged, 1)
    assert equation.coefficient("[v]") == eps / lam  # f(w) + eps f'v, as in Nesterov's method
    longer = MomentumMethod.from_recurrence({1: 1, 0: -1 - beta, -1: beta}, [(1, {0: 2, -2: -1})])
    assert modified_equation(longer, 1).initial_velocity is None
    assert modified_equation(longer, 1).coefficient("[v]") == 2 * eps / lam


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: modified_equation(GradientDescent(), 1),
            "expected a method with a symbolic momentum parameter for the inertial regime, "
            "received gradient descent",
        ),
        (
            lambda: modified_equation(HeavyBall(beta=sp.Rational(9, 10)), 1),
            "expected a method with a symbolic momentum parameter for the inertial regime",
        ),
        (lambda: modified_equation(HeavyBall(), 0), "expected order >= 1, received order = 0"),
        (
            lambda: modified_equation(HeavyBall(), 11),
            "expected order <= 10 in the inertial regime, received order = 11",
        ),
        (
            lambda: energy(QuasiHyperbolic(), 1),
            "expected a method whose only symbolic parameter is the momentum, received also nu; "
            "give them values by method.with_values({...}).",
        ),
        (lambda: energy(HeavyBall(), 7), "expected order <= 6 for an energy, received order = 7."),
        (
            lambda: modified_equation(
                MomentumMethod.parse("w[k+1] = w[k] + beta^2/2*(w[k]-w[k-1]) + gamma*f(w[k])"), 1
            ),
            "expected one non-negative fraction as the critical value of the momentum parameter",
        ),
    ],
)
def test_requests_that_are_refused(make, sentence):
    with pytest.raises(InputError) as error:
        make()
    assert str(error.value).startswith(sentence)
