r"""The modified equation of a momentum method, to any order, in both regimes.

- `regime="inertial"` (lambda fixed, eps to zero): `w'' = Phi(w, w')`, right
  through `eps^order`; `order = 1` is the first correction to momentum gradient
  flow, which itself is `leading_equation(method)`.
- `regime="slow"` (parameters fixed, gamma to zero): `w' = G(w)`, right through
  `gamma^order`, one step per unit time; `order = 1` is gradient flow.

The coefficients are exact and derived from the update rule alone; see
`momentumflow.symbolic.slow` and `momentumflow.symbolic.inertial` for how.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import sympy as sp

from momentumflow.symbolic import symbols
from momentumflow.symbolic.errors import InputError
from momentumflow.symbolic.inertial import InertialScaling, InertialSeries, inertial_series
from momentumflow.symbolic.methods import MomentumMethod
from momentumflow.symbolic.slow import SlowSeries, slow_series
from momentumflow.symbolic.tree_display import latex_indices, latex_text, plain_text, svg
from momentumflow.symbolic.trees import Tree, number_of_trees, tree

Regime = Literal["inertial", "slow"]
Notation = Literal["derivatives", "indices"]

MAX_ORDER = {"slow": 15, "inertial": 10}


@dataclass(frozen=True)
class Term:
    """One term of an equation: `coefficient * F(tree)`, symmetry included in the coefficient."""

    tree: Tree
    coefficient: sp.Expr


class TreeSeries:
    """A sum of elementary differentials with exact coefficients.

    Attributes
    ----------
    left_hand_side : str
        What the sum equals, in LaTeX.
    """

    def __init__(self, left_hand_side: str, coefficients: Mapping[Tree, sp.Expr]) -> None:
        self.left_hand_side = left_hand_side
        self._coefficients = dict(coefficients)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The terms that are not zero, smallest trees first."""
        return tuple(Term(tau, c) for tau, c in self._coefficients.items() if c != 0)

    def coefficient(self, spec: Any) -> sp.Expr:
        """Return the factor in front of the elementary differential of a tree.

        Parameters
        ----------
        spec : Tree, str or nested list
            `"[]"` is f, `"[[],[]]"` is f''(f,f), `"[v]"` is f'v.

        Raises
        ------
        InputError
            If `spec` is no tree.
        """
        return self._coefficients.get(tree(spec), sp.S.Zero)

    def __iter__(self) -> Iterator[Term]:
        return iter(self.terms)

    def __len__(self) -> int:
        return len(self.terms)

    def subs(self, values: Mapping[Any, Any]) -> TreeSeries:
        """Return the series with symbols of its coefficients replaced."""
        clean = {symbols.canonical(k): symbols.canonical(value) for k, value in values.items()}
        return TreeSeries(
            self.left_hand_side, {tau: c.subs(clean) for tau, c in self._coefficients.items()}
        )

    def latex(self, notation: Notation = "derivatives") -> str:
        """Return the equation in LaTeX, without dollar signs.

        Parameters
        ----------
        notation : {"derivatives", "indices"}
            `f''(f,f)` or `f^i_{jk} f^j f^k`.
        """
        if notation not in ("derivatives", "indices"):
            raise InputError("notation to be 'derivatives' or 'indices'", repr(notation))
        write = latex_text if notation == "derivatives" else latex_indices
        left = self.left_hand_side
        if notation == "indices":
            left = left.replace("w", "w^{i}").replace("v", "v^{i}")
        return f"{left} = {_joined([(sp.latex(t.coefficient), write(t.tree)) for t in self])}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        left = self.left_hand_side.replace("\\", "")
        return f"{left} = {_joined([(str(t.coefficient), plain_text(t.tree)) for t in self])}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {len(self)} terms: {self.left_hand_side} = ...>"

    def table(self) -> list[dict[str, str]]:
        """Return one row for each term: tree, differential, order, symmetry, coefficient."""
        return [
            {
                "tree": term.tree.text,
                "differential": plain_text(term.tree),
                "order": str(term.tree.order),
                "symmetry": str(term.tree.symmetry),
                "coefficient": str(term.coefficient),
            }
            for term in self
        ]

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{svg(t.tree)}</td><td>$ {latex_text(t.tree)} $</td>"
            f"<td>$\\displaystyle {sp.latex(t.coefficient)}$</td></tr>"
            for t in self
        )
        return (
            f"<table><caption>$\\displaystyle {self.left_hand_side} = \\sum$</caption>"
            "<thead><tr><th>tree</th><th>differential</th><th>coefficient</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )


def _joined(parts: list[tuple[str, str]]) -> str:
    """Join coefficient and differential pairs into a readable sum."""
    if not parts:
        return "0"
    text = ""
    for coefficient, differential in parts:
        factor = coefficient.strip()
        minus = factor.startswith("-") and not _is_sum(factor[1:])
        if minus:
            factor = factor[1:].strip()
        if _is_sum(factor):
            factor = f"({factor})" if "\\" not in factor else f"\\left({factor}\\right)"
        body = differential if factor == "1" else f"{factor} {differential}"
        if text:
            text += f" {'-' if minus else '+'} {body}"
        else:
            text = f"-{body}" if minus else body
    return text


def _is_sum(text: str) -> bool:
    """Whether a + or - stands outside all brackets."""
    depth = 0
    for position, character in enumerate(text):
        depth += character in "({["
        depth -= character in ")}]"
        if depth == 0 and position and character in "+-":
            return True
    return False


class ModifiedEquation(TreeSeries):
    """The differential equation that a method follows, truncated.

    Attributes
    ----------
    method : MomentumMethod
    order : int
        The highest power of `eps` (inertial) or `gamma` (slow) that is kept.
    regime : {"inertial", "slow"}
    scaling : InertialScaling or None
        Inertial regime: eps and lambda in the method's parameters.
    initial_velocity : TreeSeries or None
        Inertial regime: `w'(0)` that makes the start of the method exact to the
        same order; None where `w_{-1}` does not tie it.
    """

    def __init__(
        self,
        method: MomentumMethod,
        order: int,
        regime: Regime,
        coefficients: Mapping[Tree, sp.Expr],
        *,
        scaling: InertialScaling | None = None,
        initial_velocity: TreeSeries | None = None,
    ) -> None:
        super().__init__("w''" if regime == "inertial" else "w'", coefficients)
        self.method = method
        self.order = order
        self.regime = regime
        self.scaling = scaling
        self.initial_velocity = initial_velocity

    @property
    def small_parameter(self) -> sp.Symbol:
        """The symbol in whose powers the equation is truncated."""
        return symbols.eps if self.regime == "inertial" else self.method.step

    def in_method_parameters(self) -> TreeSeries:
        """Return the equation with eps and lambda written in the method's parameters."""
        if self.scaling is None:
            return self
        return self.subs({symbols.eps: self.scaling.time_step, symbols.lam: self.scaling.intrinsic})

    def first_order_form(self) -> FirstOrderForm:
        """Return the equation as a first-order system, with its start where it is tied."""
        if self.regime == "slow":
            return FirstOrderForm((self,), None)
        return FirstOrderForm(
            (
                TreeSeries("w'", {tree("v"): sp.S.One}),
                TreeSeries("v'", self._coefficients),
            ),
            self.initial_velocity,
        )


@dataclass(frozen=True)
class FirstOrderForm:
    """A system `w' = ..., v' = ...` with the initial velocity `v(0)`."""

    equations: tuple[TreeSeries, ...]
    initial_velocity: TreeSeries | None

    def latex(self) -> str:
        """Return the system in LaTeX, without dollar signs."""
        rows = [equation.latex() for equation in self.equations]
        if self.initial_velocity is not None:
            rows.append(self.initial_velocity.latex())
        return "\\begin{cases}" + " \\\\ ".join(rows) + "\\end{cases}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        rows = [str(equation) for equation in self.equations]
        if self.initial_velocity is not None:
            rows.append(str(self.initial_velocity))
        return "\n".join(rows)


def check_order(order: Any, regime: str) -> int:
    """Return `order` as an int that the regime can be derived to.

    Raises
    ------
    InputError
        If it is below 1, not whole, or so high that the trees would fill memory.
    """
    try:
        number = operator.index(order)
    except TypeError:
        raise InputError("order as a whole number", repr(order)) from None
    if number < 1:
        raise InputError(
            "order >= 1", f"order = {number}", "the leading equation is leading_equation(method)"
        )
    if number > MAX_ORDER[regime]:
        raise InputError(
            f"order <= {MAX_ORDER[regime]} in the {regime} regime",
            f"order = {number}, which has {number_of_trees(number):,} rooted trees or more",
        )
    return number


def modified_equation(
    method: MomentumMethod, order: int, regime: Regime = "inertial"
) -> ModifiedEquation:
    """Derive the modified equation of a momentum method.

    Parameters
    ----------
    method : MomentumMethod
        `HeavyBall()`, `Nesterov()`, `GradientDescent()`, `QuasiHyperbolic()` or
        `MomentumMethod.from_recurrence(...)`.
    order : int
        Highest power of eps (inertial) or gamma (slow) kept, >= 1.
    regime : {"inertial", "slow"}
        Which limit: eps to 0 at fixed lambda, or gamma to 0 at fixed parameters.

    Returns
    -------
    ModifiedEquation

    Raises
    ------
    InputError
        Order out of range, unknown regime, or no symbolic momentum parameter in
        the inertial regime.

    Examples
    --------
    >>> from momentumflow.symbolic.methods import HeavyBall
    >>> print(modified_equation(HeavyBall(), 2, "slow"))
    w' = gamma/(1 - beta) f - gamma**2*(beta + 1)/(2*(1 - beta)**3) f'f
    """
    _check_method(method)
    if regime == "slow":
        return _slow_equation(method, check_order(order, regime))
    if regime == "inertial":
        return _inertial_equation(method, check_order(order, regime))
    raise InputError("regime to be 'inertial' or 'slow'", repr(regime))


def leading_equation(method: MomentumMethod) -> ModifiedEquation:
    """Return the inertial equation at eps = 0: `lambda w'' + w' = f` for heavy ball."""
    _check_method(method)
    return _inertial_equation(method, 0)


def memoryless_map(method: MomentumMethod, order: int) -> TreeSeries:
    """Return the one-step map `w_{k+1} = w_k + ...` that the slow manifold carries.

    After the transients every iterate depends on the last one alone; the map
    is the time-one flow of the slow equation (Cattaneo and Shigida, arXiv
    2509.08483, derive it by unrolling the recursion).

    Raises
    ------
    InputError
        Order out of range.
    """
    _check_method(method)
    series = slow_series(method.recurrence, check_order(order, "slow"))
    return TreeSeries("w_{k+1} - w_k", _slow_coefficients(series, series.map, method.step))


def _check_method(method: Any) -> None:
    if not isinstance(method, MomentumMethod):
        raise InputError(
            "a momentum method such as HeavyBall()", repr(method), "state it as a MomentumMethod"
        )


def _slow_equation(method: MomentumMethod, order: int) -> ModifiedEquation:
    series = slow_series(method.recurrence, order)
    coefficients = _slow_coefficients(series, series.flow, method.step)
    return ModifiedEquation(method, order, "slow", coefficients)


def _slow_coefficients(
    series: SlowSeries, elements: Mapping[Tree, Any], step: sp.Symbol
) -> dict[Tree, sp.Expr]:
    return {
        tau: series.coefficient(element, tau.order, step**tau.order, sp.Rational(1, tau.symmetry))
        for tau, element in elements.items()
    }


def _inertial_equation(method: MomentumMethod, order: int) -> ModifiedEquation:
    series = inertial_series(method, order)
    initial = None
    if series.velocity is not None:
        initial = TreeSeries("v(0)", _inertial_coefficients(series, series.velocity, 1))
    return ModifiedEquation(
        method,
        order,
        "inertial",
        _inertial_coefficients(series, series.acceleration, 2),
        scaling=series.scaling,
        initial_velocity=initial,
    )


def _inertial_coefficients(
    series: InertialSeries, elements: Mapping[Tree, Any], time_dimension: int
) -> dict[Tree, sp.Expr]:
    """Return the coefficients with their powers of lambda put back."""
    result = {}
    for tau, element in elements.items():
        power = tau.order - time_dimension
        result[tau] = sp.Add(
            *(
                value * symbols.eps**k * symbols.lam ** (power - k) / tau.symmetry
                for k, value in enumerate(series.coefficients(element))
            )
        )
    return result
