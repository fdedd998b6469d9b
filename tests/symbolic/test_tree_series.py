"""How equations display and leave the package."""

import math
import pickle

import numpy as np
import pytest
import sympy as sp

from momentumflow import InputError
from momentumflow.symbolic import (
    HeavyBall,
    Nesterov,
    TreeSeries,
    memoryless_map,
    modified_equation,
)
from momentumflow.symbolic.expressions import read
from momentumflow.symbolic.symbols import beta, eps, gamma, lam
from momentumflow.symbolic.trees.rooted_trees import tree


def test_text():
    assert str(modified_equation(HeavyBall(), 2)) == (
        "w'' = (1/lambda + epsilon/(2*lambda**2) + epsilon**2/(3*lambda**3)) (f - v) "
        "- epsilon**2/(12*lambda**2) f'f - epsilon**2/(12*lambda) f''(v, v)"
    )
    assert str(modified_equation(HeavyBall(), 2, "slow")) == (
        "w' = gamma/(1 - beta) f - gamma**2*(1 + beta)/(2*(1 - beta)**3) f'f"
    )
    assert str(modified_equation(Nesterov(), 1).first_order_form()).splitlines() == [
        "w' = v",
        "v' = (1/lambda + epsilon/(2*lambda**2)) (f - v) + epsilon/lambda f'v",
        "v(0) = epsilon/(2*lambda) f",
    ]
    assert str(TreeSeries("w'", {})) == "w' = 0"


def test_latex():
    equation = modified_equation(HeavyBall(), 2, "slow")
    assert equation.latex() == (
        r"w' = \frac{\gamma}{1 - \beta} f - \frac{\gamma^{2} \left(1 + \beta\right)}"
        r"{2 \left(1 - \beta\right)^{3}} f'f"
    )
    assert equation.latex("indices").endswith(r"f^{i}_{j} f^{j}")
    assert equation.latex("indices").startswith(r"(w^{i})' = ")
    assert equation._repr_latex_() == f"$\\displaystyle {equation.latex()}$"
    form = modified_equation(HeavyBall(), 1).first_order_form()
    assert form._repr_latex_().count(r"\\") == 2


def test_notebook_table_draws_the_trees():
    html = modified_equation(HeavyBall(), 3, "slow")._repr_html_()
    assert html.count("<svg") == 4
    assert html.count("<circle") == 1 + 2 + 3 + 3
    many = modified_equation(HeavyBall(), 8, "slow")._repr_html_()
    assert "and 140 more" in many


def test_table():
    rows = modified_equation(HeavyBall(), 3, "slow").table()
    assert [row["tree"] for row in rows] == ["[]", "[[]]", "[[[]]]", "[[],[]]"]
    assert rows[3]["differential"] == "f''(f, f)"
    assert rows[3]["symmetry"] == 2
    assert read(rows[1]["coefficient"]).subs({gamma: 2, beta: 0}) == -2


def test_sympy_equation():
    equation = modified_equation(HeavyBall(), 2, "slow").to_sympy()
    assert equation.rhs.coeff(sp.Symbol("f'f")) == -(gamma**2) * (1 + beta) / (2 * (1 - beta) ** 3)


def derivative_of_sine(w):
    """Derivatives of f = -sin, applied to numbers."""

    def derivative(*vectors):
        value = -math.sin(w + len(vectors) * math.pi / 2)
        return value * math.prod(vectors)

    return derivative


@pytest.mark.parametrize(
    ("series", "extra", "parameters"),
    [
        (modified_equation(HeavyBall(), 4, "slow"), {}, {"gamma": 0.1, "beta": 0.5}),
        (modified_equation(Nesterov(), 3), {"v": 0.3}, {"lam": 0.7, "eps": 0.1}),
        (memoryless_map(HeavyBall(), 3), {}, {"gamma": 0.1, "beta": 0.5}),
    ],
    ids=["slow", "inertial", "map"],
)
def test_exported_module_needs_nothing_but_python(series, extra, parameters, tmp_path):
    """The module is executed and compared with SymPy's values for the pendulum."""
    path = tmp_path / "equation.py"
    source = series.to_module(path)
    assert path.read_text(encoding="utf-8") == source
    assert "import" not in source
    namespace = {}
    exec(compile(source, "equation", "exec"), namespace)
    assert namespace["TREES"] == tuple(tau.text for tau in series.trees)
    found = namespace["evaluate"](derivative_of_sine(0.9), **extra, **parameters)
    x, v = sp.symbols("x v", real=True)
    (written,) = series.specialise(1 - sp.cos(x), [x], [v])
    symbols = {"gamma": gamma, "beta": beta, "lam": lam, "eps": eps}
    values = {symbols[name]: value for name, value in parameters.items()}
    assert found == pytest.approx(float(written.subs(values | {x: 0.9, v: 0.3})), rel=1e-13)


def test_latex_document():
    document = modified_equation(HeavyBall(), 2).to_latex_document()
    assert document.startswith("\\documentclass")
    assert document.count("\\begin{") == document.count("\\end{")
    assert document.count(" \\\\\n") == 3  # three terms, f - v being one, and the start
    assert document.count("{") == document.count("}")


def test_a_module_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="expected a file that can be written, received"):
        modified_equation(HeavyBall(), 1).to_module(tmp_path / "missing" / "equation.py")


def test_series_behave_as_collections():
    equation = modified_equation(HeavyBall(), 4, "slow")
    assert len(equation) == len(list(equation)) == len(equation.trees) == 8
    assert equation.coefficient([[], []]) == equation.coefficient("[[],[]]")
    assert pickle.loads(pickle.dumps(tree("[[],[v]]"))) is tree("[[],[v]]")
    replaced = equation.subs({beta: 0})
    assert "8 terms" in repr(equation)
    assert len(replaced) == 7  # the bush of four nodes vanishes for Euler
    assert np.isfinite(float(replaced.coefficient("[]").subs(gamma, 1)))
