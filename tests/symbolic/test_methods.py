"""Methods as recurrences: the update rules they stand for, and what is refused."""

import itertools
from fractions import Fraction

import pytest
import sympy as sp

from momentumflow import InputError
from momentumflow.symbolic import (
    GradientDescent,
    HeavyBall,
    MomentumMethod,
    Nesterov,
    QuasiHyperbolic,
)
from momentumflow.symbolic.symbols import beta, gamma, nu

B, G, N = Fraction(3, 5), Fraction(1, 10), Fraction(7, 10)


def force(w):
    """Minus the gradient of w^4/4 - w^2/3."""
    return -(w**3) + Fraction(2, 3) * w


def heavy_ball(w):
    velocity = 0
    while True:
        yield w
        velocity = B * velocity + G * force(w)
        w = w + velocity


def nesterov(w):
    before = w
    while True:
        yield w
        ahead = w + B * (w - before)
        before, w = w, ahead + G * force(ahead)


def gradient_descent(w):
    while True:
        yield w
        w = w + G * force(w)


def quasi_hyperbolic(w):
    """As stated by Ma and Yarats, arXiv 1810.06801, equation (2), with its buffer."""
    buffer = 0
    while True:
        yield w
        buffer = B * buffer + (1 - B) * force(w)
        w = w + G * ((1 - N) * force(w) + N * buffer)


def residual(method, iterates):
    """Left minus right side of the recurrence along a list of iterates, each k."""
    values = {beta: sp.Rational(B.numerator, B.denominator), nu: sp.Rational(7, 10)}
    rule = method.recurrence.subs(values)
    low, high = min(rule.shifts), max(rule.shifts)
    exact = [sp.Rational(w.numerator, w.denominator) for w in iterates]
    for k in range(-low, len(exact) - high):
        left = sum(a * exact[k + j] for j, a in rule.left)
        right = sum(
            p.weight * force(sum(b * exact[k + j] for j, b in p.at)) for p in rule.gradients
        )
        yield left - sp.Rational(1, 10) * right


@pytest.mark.parametrize(
    ("method", "update"),
    [
        (HeavyBall(), heavy_ball),
        (Nesterov(), nesterov),
        (GradientDescent(), gradient_descent),
        (QuasiHyperbolic(), quasi_hyperbolic),
    ],
    ids=lambda item: getattr(item, "name", ""),
)
def test_the_recurrence_is_the_update_rule(method, update):
    """Exact rational iterates of the textbook loop satisfy the recurrence."""
    iterates = list(itertools.islice(update(Fraction(5, 4)), 5))
    assert list(residual(method, iterates)) == [0] * (6 - len(method.recurrence.shifts))
    spoilt = [*iterates[:-1], iterates[-1] + Fraction(1, 10**9)]
    assert any(r != 0 for r in residual(method, spoilt))


@pytest.mark.parametrize(
    ("method", "update"), [(HeavyBall(), heavy_ball), (QuasiHyperbolic(), quasi_hyperbolic)]
)
def test_the_start_relation_is_that_of_the_update_rule(method, update):
    """Some w_{-1} satisfies both the start and the recurrence at k = 0."""
    w0, w1 = itertools.islice(update(Fraction(5, 4)), 2)
    values = {beta: sp.Rational(3, 5), nu: sp.Rational(7, 10)}
    before = sp.Symbol("before")
    at = {-1: before, 0: sp.Rational(5, 4), 1: sp.Rational(w1.numerator, w1.denominator)}
    equations = []
    for relation in (method.start.subs(values), method.recurrence.subs(values)):
        left = sum(a * at[j] for j, a in relation.left)
        right = sum(p.weight * force(sum(b * at[j] for j, b in p.at)) for p in relation.gradients)
        equations.append(sp.numer(sp.together(left - right / 10)))
    assert sp.degree(sp.gcd(*equations), before) >= 1
    assert w0 == Fraction(5, 4)


def test_heavy_ball_is_the_quasi_hyperbolic_method_at_nu_one():
    damped = QuasiHyperbolic(nu=1).recurrence
    rule = HeavyBall().recurrence
    assert damped.left == rule.left
    assert sp.expand(damped.gradients[0].weight - (1 - beta)) == 0
    assert QuasiHyperbolic(nu=0, beta=0).recurrence.left == GradientDescent().recurrence.left


def test_a_stated_equation_is_read():
    stated = MomentumMethod.parse(
        "w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*f(w[k] + beta*(w[k]-w[k-1]))"
    )
    assert stated.recurrence == Nesterov().recurrence
    assert HeavyBall(beta=0).recurrence == GradientDescent().recurrence
    assert "w[k + 1]" in str(stated)
    assert "w" in stated._repr_latex_()


def test_symbols_of_a_registered_name_are_the_registered_ones():
    own = sp.Symbol("beta")  # no assumptions: another symbol for SymPy
    assert HeavyBall(beta=own).recurrence == HeavyBall().recurrence
    assert HeavyBall(gamma=sp.Symbol("gamma")).step == gamma


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "w[k+1] = 2*w[k] + gamma*f(w[k])",
            "expected coefficients of w that sum to zero, so that a point where f = 0 stays put, "
            "received the sum -1; a decay of the weights is stated through the loss",
        ),
        (
            "w[k+1] = 3*w[k] - 2*w[k-1] + gamma*f(w[k])",
            "expected a stable recurrence: every root of its left side but 1 inside the unit "
            "circle, received a root of modulus 2.000.",
        ),
        (
            "w[k+1] = (2+beta)*w[k] - (1+beta)*w[k-1] + gamma*f(w[k])",
            "expected a stable recurrence: every root of its left side but 1 inside the unit "
            "circle, received a root of modulus 1.100 for every parameter value tried in (0, 1).",
        ),
        (
            "w[k+1] = w[k] + gamma*f(2*w[k])",
            "expected coefficients that sum to one inside f (gradient point 1), received the "
            "sum 2.",
        ),
        (
            "w[k+1] = w[k] + gamma*f(w[k]) - gamma*f(w[k-1])",
            "expected gradient weights that do not sum to zero, received the sum 0.",
        ),
        (
            "w[k+1] = w[k] + gamma*w[k] - gamma*w[k-1] + gamma*f(w[k])",
            "expected coefficients free of the step gamma, received the coefficient gamma; the "
            "step multiplies the gradients only; rename the parameter.",
        ),
        (
            "w[k+1] = w[k] + 0.5*gamma*f(w[k])",
            "expected gradients[0][0] as an exact number, received the float 0.5",
        ),
        (
            "w[k+1] = w[k] + gamma*f(w[k])*f(w[k-1])",
            "expected a recurrence linear in f(...), received",
        ),
        ("w[k+1] = w[k]**2 + gamma*f(w[k])", "expected an expression linear in w[k+j], received"),
        ("w[k+1] = w[k/2] + gamma*f(w[k])", "expected iterates w[k+j] with a whole number j"),
        (
            "w[k+1] = w[k] + (k-1)/(k+2)*(w[k]-w[k-1]) + gamma*f(w[k])",
            "expected coefficients that are the same at every step, received (k - 1)/(k + 2), "
            "which depends on the number k of the step; schedules are not derived from text",
        ),
        (
            "w[k+1] = w[k] + k*gamma*f(w[k])",
            "expected coefficients that are the same at every step, received k, which depends",
        ),
        (
            "w[k+1] = w[k] + mu*(w[k]-w[k-1]) + lr*f(w[k])",
            "expected the step gamma once in front of f(w[k]), received the factor lr; write "
            "gamma for the learning rate.",
        ),
        (
            "w[k+1] = (1-gamma*mu)*w[k] + gamma*f(w[k])",
            "expected coefficients of w that sum to zero, so that a point where f = 0 stays put, "
            "received the sum gamma*mu; a decay of the weights is stated through the loss, "
            "F + (decay/2) |w|^2.",
        ),
        (
            "w[k+1] = w[k] - gamma*m[k]/(sqrt(v[k])+eps)",
            "expected a readable recurrence, received 'w[k+1] = w[k] - gamma*m[k]/(sqrt(v[k])+eps)'"
            "; m takes no brackets; w is the only sequence, so eliminate others.",
        ),
        (
            "w[k+1] = w[k] + gamma*f(w[k])/sqrt(f(w[k])**2+eps)",
            "expected a recurrence linear in f(...), received",
        ),
        (
            "w[k+1] = (4+x)*w[k] - (3+x)*w[k-1] + gamma*f(w[k])",
            "expected a stable recurrence: every root of its left side but 1 inside the unit "
            "circle, received a root of modulus 3.100 for every parameter value tried in (0, 1).",
        ),
        ("w[k+1] = __import__('os')", "expected a readable recurrence, received"),
        ("just words", "expected an equation with one '=', received 'just words'; write it like"),
    ],
)
def test_recurrences_that_are_refused(text, sentence):
    with pytest.raises(InputError) as error:
        MomentumMethod.parse(text)
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: HeavyBall(beta=0.9),
            "expected beta as an exact number, received the float 0.9; write it as a fraction, "
            "9/10.",
        ),
        (lambda: HeavyBall(beta=1), "expected beta in [0, 1), received beta = 1."),
        (lambda: HeavyBall(beta=sp.Rational(-1, 2)), "expected beta in [0, 1), received beta"),
        (
            lambda: HeavyBall(beta=gamma),
            "expected coefficients free of the step gamma, received the coefficient gamma",
        ),
        (
            lambda: HeavyBall(gamma=3),
            "expected gamma as a name or a SymPy symbol, received 3.",
        ),
        (lambda: HeavyBall(beta=sp.oo), "expected beta that is finite, received oo."),
        (lambda: HeavyBall(beta=None), "expected beta as text, a number or a SymPy expression"),
        (
            lambda: MomentumMethod.from_recurrence({1: 1, 0: -1, 99: 0}, [(1, {0: 1})]),
            "expected a shift between -32 and 32, received 99.",
        ),
        (
            lambda: MomentumMethod.from_recurrence({0: 0}, [(1, {0: 1})]),
            "expected a recurrence for w, received a left side that is zero.",
        ),
    ],
)
def test_methods_that_are_refused(make, sentence):
    with pytest.raises(InputError) as error:
        make()
    assert str(error.value).startswith(sentence)
