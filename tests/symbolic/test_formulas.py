"""Every result with a formula writes it in one form, which LaTeX reads in any document."""

import re

import pytest
import sympy as sp

from momentumflow import symbolic
from momentumflow.base import libraries
from momentumflow.base.values import Formulated
from momentumflow.numeric import ImplicitModel
from momentumflow.symbolic.printing import as_latex, joined, minus_in_front
from tests.front.test_objects import EXAMPLES, problem

FORMULATED = sorted(
    name
    for name in symbolic.__all__
    if isinstance(found := getattr(symbolic, name), type) and issubclass(found, Formulated)
)
ENVIRONMENT = re.compile(r"\\(begin|end)\{([a-z*]+)\}")


def mistakes(formula):
    """What a LaTeX run would refuse, or an editor would mend; by rule, and by mathtext."""
    found = []
    if "$" in formula or r"\[" in formula:
        found.append("delimiters")
    if re.search(r"\+ *(\\left)?\(? *-|- *-", formula):
        found.append("two signs in a row")
    opened = []
    for kind, name in ENVIRONMENT.findall(formula):
        if kind == "begin":
            opened.append(name)
        elif not opened or opened.pop() != name:
            found.append("environments cross")
    if opened:
        found.append("an environment stays open")
    if formula.count(r"\left") != formula.count(r"\right"):
        found.append(r"\left without \right")
    if "matrix" not in formula and "array" not in formula and "cases" not in formula:
        parser = libraries.matplotlib().mathtext.MathTextParser("path")
        for row in ENVIRONMENT.sub("", formula).split(r"\\"):
            written = re.sub(r"\\left(?![a-z])|\\right(?![a-z])|&", "", row).strip()
            written = re.sub(r"\\([gl]e)(?![a-z])", r"\\\1q", written)
            try:
                parser.parse(f"${written or 'x'}$")
            except ValueError as error:
                found.append(f"mathtext: {error}")
    return found


def test_the_rules_find_what_is_wrong():
    """Negative controls."""
    for wrong in ("$x$", "a + - b", r"a + \left(- b\right)", r"\begin{aligned} x", r"\frac{a}"):
        assert mistakes(wrong), wrong
    assert not mistakes(r"\begin{aligned} a &= b \\ c &= -\frac{d}{2} \end{aligned}")


@pytest.mark.parametrize("name", FORMULATED)
def test_a_formula_is_bare_or_a_display(name):
    result = EXAMPLES[name]()
    assert mistakes(result.latex()) == []
    assert result.latex(display=True) == rf"\[ {result.latex()} \]"
    assert result._repr_latex_() == rf"$\displaystyle {result.latex()}$"


def test_the_convex_problem_is_written_in_the_same_form():
    assert mistakes(ImplicitModel(problem(), 0.5).latex()) == []


@pytest.mark.parametrize("optimiser", [symbolic.Adam(), symbolic.Lion(), symbolic.SGD()])
def test_optimisers_are(optimiser):
    assert mistakes(optimiser.latex()) == []


def test_the_start_belongs_to_the_equation():
    equation = symbolic.modified_equation(symbolic.HeavyBall(), 1)
    assert equation.latex().endswith(r",\qquad v(0) = \frac{\epsilon}{2 \lambda} f")
    document = equation.to_latex_document()
    assert document.startswith("\\documentclass{article}\n\\usepackage{amsmath}\n")
    assert "  v(0) = {} & \\frac{\\epsilon}{2 \\lambda} f\n" in document
    assert "v(0)" not in symbolic.modified_equation(symbolic.HeavyBall(), 1, "slow").latex()


def test_a_minus_stands_in_front_of_its_bracket():
    a, b, z = sp.symbols("a b z")
    assert joined([("1", "x"), ("-a - b", "y")]) == "x - (a + b) y"
    assert joined([(r"- \frac{a}{2} + b", "y")]) == r"-\left(\frac{a}{2} - b\right) y"
    assert (
        symbolic.HeavyBall()
        .latex()
        .startswith(r"\beta {w}_{k - 1} - \left(\beta + 1\right) {w}_{k} + {w}_{k + 1} = ")
    )
    product = sp.Mul(-a - (b - z) ** 2 - z, sp.log(-a - b), evaluate=False)
    nested = as_latex(sp.Add(sp.S.One, product, evaluate=False))
    assert nested.count(r"\left(") == nested.count(r"\right)")
    assert minus_in_front(r"a + \left(- b + c\right) z") == r"a - \left(b - c\right) z"
    power = r"a + \left(- b - c\right)^{3}"
    assert minus_in_front(power) == power  # negative control: a sign is not its power's
