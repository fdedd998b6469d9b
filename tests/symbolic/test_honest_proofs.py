"""No wrong word: nothing false is called proved, nothing true is called false.

The generator of the campaign in `tools/identity_campaign.py` makes the
statements; what is true of them is known by construction, not from SymPy.
"""

import importlib.util
from pathlib import Path

import mpmath
import pytest
import sympy as sp

from momentumflow.symbolic import Identity, ProofError, identities as room
from momentumflow.symbolic.point_values import NoValueError, value_at

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location(
    "identity_campaign", ROOT / "tools" / "identity_campaign.py"
)
campaign = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(campaign)

x = sp.Symbol("x", real=True)
n = sp.Symbol("n", integer=True)
CASES = [case for case in campaign.cases(78, seed=7) if case[0] != "divergent"]


def said_of(lhs, rhs, **options):
    try:
        Identity("t", lhs, rhs, **options).prove()
    except ProofError as error:
        return str(error), error.counterexample
    return "proved", None


@pytest.mark.parametrize("part", range(8))
def test_generated_statements_get_no_wrong_word(part):
    for family, sides, true in CASES[part::8]:
        assert campaign.word(sides) != ("false" if true else "proved"), (family, sides)


def test_most_generated_statements_are_decided():
    """Negative control: a prover that always answers "not proved" would make no mistake."""
    sample = [c for c in CASES if c[0] in {"polynomial", "addition", "logarithms", "finite_sum"}]
    words = [(true, campaign.word(sides)) for _, sides, true in sample]
    assert sum(word == ("proved" if true else "false") for true, word in words) >= 0.9 * len(words)


def test_an_integral_is_not_taken_for_what_sympy_makes_of_it():
    integral = sp.Integral(1 / (2 + sp.sin(x)), (x, 0, 2 * sp.pi))
    message, counterexample = said_of(integral, sp.S.Zero)
    assert message.startswith("t: false, for example at the only point there is: ")
    assert "3.6275987" in message
    assert counterexample == {}


def test_a_counterexample_obeys_the_assumptions():
    message, counterexample = said_of(sp.floor(n / 2), n / 2)
    assert "false" in message
    assert counterexample[n].is_odd
    positive, negative = sp.Symbol("p", positive=True), sp.Symbol("q", negative=True)
    _, counterexample = said_of(sp.Abs(positive * negative), positive * negative)
    assert counterexample[positive] > 0 > counterexample[negative]
    z = sp.Symbol("z")
    _, counterexample = said_of(sp.conjugate(z), z)
    assert not counterexample[z].is_real


@pytest.mark.parametrize(
    ("lhs", "rhs"),
    [
        (sp.floor(n / 2) + sp.ceiling(n / 2), n),
        (sp.Derivative(sp.Abs(x), x), sp.sign(x)),
    ],
)
def test_what_is_true_is_never_called_false(lhs, rhs):
    message, counterexample = said_of(lhs, rhs)
    assert counterexample is None
    assert message == "proved" or "not proved" in message


@pytest.mark.parametrize("nothing", campaign.DIVERGENT, ids=str)
@pytest.mark.parametrize("value", [sp.S.Zero, sp.Rational(1, 2), sp.oo], ids=str)
def test_what_diverges_is_not_proved(nothing, value):
    message, counterexample = said_of(nothing, value)
    assert "not proved" in message
    assert counterexample is None


def test_a_wrong_simplifier_is_passed_over(monkeypatch):
    """Negative control: a step that changes the value proves nothing."""
    wrong = (("call everything zero", lambda e: sp.S.Zero),)
    monkeypatch.setattr(room, "SIMPLIFIERS", (*wrong, *room.SIMPLIFIERS))
    fifth, far = sp.atan(sp.Rational(1, 5)), sp.atan(sp.Rational(1, 239))
    machin = 16 * fifth - 4 * far
    assert said_of(machin, sp.pi)[0] == "proved"  # zero is what is left of a true statement
    assert "false" in said_of(machin, sp.pi + sp.Rational(1, 10**9))[0]
    half = (("halve", lambda e: e / 2 + 1),)
    monkeypatch.setattr(room, "SIMPLIFIERS", half)
    assert "not proved" in said_of(machin, sp.pi)[0]


def test_relations_are_obeyed():
    u, v = sp.symbols("u v", real=True)
    tied = ((("circle"), u**2, 1 - v**2),)
    assert said_of(u**3, (1 - v**2) ** sp.Rational(3, 2), relations=tied)[0] != "proved"
    W, t = sp.Function("W"), sp.Symbol("t", real=True)
    moves = (("grows", sp.diff(W(t), t), W(t)),)
    assert said_of(sp.diff(W(t), t, 3), W(t), relations=moves)[0] == "proved"
    message, counterexample = said_of(sp.diff(W(t), t, 3), 2 * W(t), relations=moves)
    assert "false" in message
    assert W(sp.Symbol("x_1", real=True)) in counterexample


def test_text_is_read_by_the_own_parser():
    assert said_of("(u+v)^2", "u^2 + 2*u*v + v^2")[0] == "proved"


@pytest.mark.parametrize(
    ("expr", "known"),
    [
        (sp.Integral(sp.exp(-((x - 500) ** 2)), (x, 0, sp.oo)), lambda: mpmath.sqrt(mpmath.pi)),
        (sp.Integral(sp.log(x), (x, 0, 1)), lambda: mpmath.mpf(-1)),
        (sp.Sum(1 / n**2, (n, 1, sp.oo)), lambda: mpmath.zeta(2)),
        (sp.Sum((-1) ** n / n, (n, 1, sp.oo)), lambda: -mpmath.log(2)),
        (sp.acot(sp.Integer(-3)), lambda: mpmath.acot(-3)),
        (sp.besselj(0, sp.Rational(1, 2)), lambda: mpmath.besselj(0, 0.5)),
        (sp.binomial(sp.Rational(7, 2), 3), lambda: mpmath.binomial(3.5, 3)),
    ],
)
def test_values_hold_what_mpmath_knows(expr, known):
    with mpmath.workdps(30):
        found = value_at(expr, {}, 30)
        assert abs(mpmath.convert(found.mid()) - known()) < 1e-15
        assert mpmath.convert(found.rad()) < 1e-15


def test_a_value_on_a_jump_or_a_pole_is_no_value():
    for expr in (1 / x, sp.log(x), sp.Derivative(sp.Abs(x), x), sp.Symbol("y")):
        with pytest.raises(NoValueError):
            value_at(expr, {x: sp.S.Zero})
    # exactly 2, which no finite precision can tell from what is just below it
    two = value_at(sp.sqrt(2), {}) ** 2
    with pytest.raises(NoValueError):
        value_at(sp.floor(x), {x: two})
