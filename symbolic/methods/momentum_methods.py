"""Momentum methods as linear recurrences plus the points where the gradient is taken.

With `f = -grad F`, `gamma` the step and `E` the shift by one iterate, a method is

    sum_j a_j w_{k+j} = gamma sum_i c_i f( sum_j b_ij w_{k+j} ),

that is `A(E) w = gamma sum_i c_i f(B_i(E) w)`. Nothing else about a method is
stated anywhere: its equations, its intrinsic parameter and its acceleration
rule are all derived from the coefficients `a_j`, `c_i` and `b_ij`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.errors import InputError, nearest
from momentumflow.base.values import Formulated
from momentumflow.symbolic import symbols
from momentumflow.symbolic.expressions import Exact, SymbolLike, exact, symbol
from momentumflow.symbolic.methods.recurrences import (
    Recurrence,
    check_recurrence,
    check_start,
    parse_recurrence,
)
from momentumflow.symbolic.printing import minus_in_front

AT_REST = Recurrence.of({0: 1, -1: -1}, [])  # w_{-1} = w_0


@checked
@dataclass(frozen=True, repr=False)
class MomentumMethod(Formulated):
    """A momentum method: a checked recurrence, and how it starts.

    Parameters
    ----------
    name : str
        What the method is called in tables.
    recurrence : Recurrence
        The update rule.
    start : Recurrence, optional
        The relation between `w_0` and `w_{-1}` at the start; `w_{-1} = w_0` if
        not stated. It ties `w'(0)` in the inertial regime.
    step : sympy.Symbol
        The learning rate, `gamma`; it may not occur in the coefficients.
    momentum : sympy.Symbol, optional
        The parameter that goes to its critical value in the inertial regime;
        found by itself where only one can.

    Raises
    ------
    InputError
        A left side whose coefficients do not sum to zero, a gradient point
        whose coefficients do not sum to one, gradient weights that sum to
        zero, an unstable recurrence, a step that clashes with a parameter.
    """

    name: str
    recurrence: Recurrence
    start: Recurrence | None = None
    step: sp.Symbol = symbols.gamma
    momentum: sp.Symbol | None = None

    def __post_init__(self) -> None:
        for what, given, kind in (
            ("a name as text", self.name, str),
            ("a Recurrence", self.recurrence, Recurrence),
            ("a Recurrence as the start", self.start, Recurrence | None),
        ):
            if not isinstance(given, kind):
                raise InputError(what, repr(given))
        object.__setattr__(self, "step", symbol(self.step, "the step"))
        if self.start is None:
            object.__setattr__(self, "start", AT_REST)
        check_recurrence(self.recurrence, self.step)
        check_start(self.start or AT_REST, self.step)
        if self.momentum is None:
            # inertia comes from c_1 = A'(1) vanishing: the parameter must occur there
            free = self.recurrence.left_moment(1).free_symbols
            chosen = symbols.beta if symbols.beta in free else None
            if len(free) == 1:
                (chosen,) = free
            object.__setattr__(self, "momentum", chosen)
        else:
            object.__setattr__(self, "momentum", symbol(self.momentum, "the momentum"))
            if self.momentum not in self.recurrence.free_symbols:
                raise InputError(
                    "the momentum parameter to occur in the recurrence",
                    f"momentum = {self.momentum}",
                )

    @classmethod
    def from_recurrence(
        cls,
        left: Mapping[int, Exact],
        gradients: Iterable[tuple[Exact, Mapping[int, Exact]]],
        *,
        name: str = "momentum method",
        start: Recurrence | None = None,
        step: sp.Symbol = symbols.gamma,
        momentum: sp.Symbol | None = None,
    ) -> MomentumMethod:
        """Return the method `sum_j left[j] w_{k+j} = step sum_i c_i f(sum_j b_ij w_{k+j})`.

        Parameters
        ----------
        left : mapping of int to number or expression
            `a_j` by shift `j`.
        gradients : iterable of (weight, mapping)
            One pair `(c_i, {j: b_ij})` for each gradient point; the field is
            `f = -grad F`.
        name : str
            Shown in messages and file names.
        start : Recurrence, optional
            The relation between `w_0` and `w_{-1}`; `w_{-1} = w_0` if not stated.
        step : sympy.Symbol
            The step size.
        momentum : sympy.Symbol, optional
            The parameter that approaches its critical value; `beta` if there is one.

        Examples
        --------
        >>> from momentumflow.symbolic.symbols import beta
        >>> MomentumMethod.from_recurrence(
        ...     {1: 1, 0: -1 - beta, -1: beta}, [(1, {0: 1})], name="heavy ball"
        ... ).name
        'heavy ball'
        """
        return cls(name, Recurrence.of(left, gradients), start, step, momentum)

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        start: str | None = None,
        name: str = "stated method",
        momentum: sp.Symbol | None = None,
    ) -> MomentumMethod:
        """Return the method that an equation states.

        Parameters
        ----------
        text : str
            An equation in `w[k+j]`, `f(...)` (the negative gradient), `gamma`
            and parameters, such as
            `"w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*f(w[k])"`. Fractions
            are written `1/2`.
        start : str, optional
            How the iterates start, as an equation between `w[0]` and `w[-1]`;
            `"w[0] = w[-1]"` if not stated. With damping tau, PyTorch's first
            step is not damped, `v_1 = f(w_0)`: with the equation
            `"w[k+1] = w[k] + beta*(w[k]-w[k-1]) + (1-tau)*gamma*f(w[k])"` that is
            `"w[0] = w[-1] + tau*gamma/beta*f(w[0])"`.
        name : str
            Shown in messages and file names.
        momentum : sympy.Symbol, optional
            The parameter that approaches its critical value; `beta` if there is one.

        Raises
        ------
        InputError
            If the text is no linear recurrence, or one that no loss can follow.

        Examples
        --------
        >>> from momentumflow.symbolic import MomentumMethod
        >>> print(MomentumMethod.parse("w[k+1] = w[k] + mu*(w[k]-w[k-1]) + gamma*f(w[k])"))
        stated method: mu*w[k - 1] + (-mu - 1)*w[k] + w[k + 1] = gamma*f(w[k])
        """
        first = None if start is None else parse_recurrence(start, start=True)
        return cls(name, parse_recurrence(text), first, momentum=momentum)

    @property
    def parameters(self) -> tuple[sp.Symbol, ...]:
        """The parameters besides the step, those of the start included, sorted by name."""
        free = self.recurrence.free_symbols | (self.start or AT_REST).free_symbols
        return tuple(sorted(free, key=lambda s: str(s.name)))

    @property
    def equation(self) -> sp.Eq:
        """The update rule as a SymPy equation in `w[k+j]` and `f`."""
        return self.recurrence.equation(self.step)

    def with_values(self, values: Mapping[SymbolLike, Exact]) -> MomentumMethod:
        """Return the method with some of its parameters replaced by exact values.

        Parameters
        ----------
        values : mapping
            Parameters by name or as symbols, to numbers, expressions or text.

        Raises
        ------
        InputError
            On what is no parameter of the method, or a value that is not exact.
        """
        if not isinstance(values, Mapping):
            raise InputError("parameters with their values as a mapping", repr(values))
        clean = {symbol(key, "a parameter"): exact(str(key), v) for key, v in values.items()}
        unknown = [str(key) for key in clean if key not in self.parameters]
        if unknown:
            known = ", ".join(map(str, self.parameters)) or "none"
            raise InputError(f"parameters among {known}", ", ".join(unknown))
        assert self.start is not None
        return MomentumMethod(
            self.name,
            self.recurrence.subs(clean),
            self.start.subs(clean),
            self.step,
            None if self.momentum in clean else self.momentum,
        )

    def _formula(self) -> str:
        return minus_in_front(sp.latex(self.equation))

    def __str__(self) -> str:
        return f"{self.name}: {self.equation.lhs} = {self.equation.rhs}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


def _called(method: MomentumMethod, **arguments: Any) -> str:
    """Write a known method as it is made; arguments that are the default are left out."""
    texts = []
    for name, value in (*arguments.items(), ("gamma", method.step)):
        if value != symbols.REGISTRY[name]:
            # a fraction in quotes, since Python would make a float of 1/2
            plain = value.is_Symbol or value.is_Integer
            texts.append(f"{name}={value}" if plain else f"{name}={str(value)!r}")
    return f"{type(method).__name__}({', '.join(texts)})"


@checked
class HeavyBall(MomentumMethod):
    """Polyak's heavy ball: `w_{k+1} = w_k + beta (w_k - w_{k-1}) + gamma f(w_k)`.

    Parameters
    ----------
    beta : symbol, fraction or expression
        The momentum.
    gamma : symbol
        The step.

    Examples
    --------
    >>> from momentumflow.symbolic import HeavyBall
    >>> print(HeavyBall())
    heavy ball: beta*w[k - 1] + (-beta - 1)*w[k] + w[k + 1] = gamma*f(w[k])
    """

    def __init__(self, *, beta: Exact = symbols.beta, gamma: sp.Symbol = symbols.gamma) -> None:
        b = _momentum(beta)
        left = {1: 1, 0: -(1 + b), -1: b}
        super().__init__("heavy ball", Recurrence.of(left, [(1, {0: 1})]), step=gamma)

    def __repr__(self) -> str:
        return _called(self, beta=_coefficient(self.recurrence, -1))


@checked
class Nesterov(MomentumMethod):
    """Nesterov's method: heavy ball with the gradient taken at `w_k + beta (w_k - w_{k-1})`."""

    def __init__(self, *, beta: Exact = symbols.beta, gamma: sp.Symbol = symbols.gamma) -> None:
        b = _momentum(beta)
        left = {1: 1, 0: -(1 + b), -1: b}
        super().__init__("Nesterov", Recurrence.of(left, [(1, {0: 1 + b, -1: -b})]), step=gamma)

    def __repr__(self) -> str:
        return _called(self, beta=_coefficient(self.recurrence, -1))


@checked
class GradientDescent(MomentumMethod):
    """Gradient descent: `w_{k+1} = w_k + gamma f(w_k)`."""

    def __init__(self, *, gamma: sp.Symbol = symbols.gamma) -> None:
        super().__init__(
            "gradient descent", Recurrence.of({1: 1, 0: -1}, [(1, {0: 1})]), step=gamma
        )

    def __repr__(self) -> str:
        return _called(self)


@checked
class QuasiHyperbolic(MomentumMethod):
    """Quasi-hyperbolic momentum of Ma and Yarats (ICLR 2019, arXiv 1810.06801).

    The buffer `b_{k+1} = beta b_k + (1 - beta) f(w_k)`, `b_0 = 0`, moves the
    iterate by `w_{k+1} = w_k + gamma ((1 - nu) f(w_k) + nu b_{k+1})`. The
    buffer is eliminated by applying `1 - beta E^{-1}` to the second line;
    `b_0 = 0` reads `w_0 - w_{-1} = gamma (1 - nu) f(w_{-1})`.

    `nu = 0` is gradient descent, `nu = 1` heavy ball with the step `(1 - beta) gamma`.
    """

    def __init__(
        self,
        *,
        beta: Exact = symbols.beta,
        nu: Exact = symbols.nu,
        gamma: sp.Symbol = symbols.gamma,
    ) -> None:
        b, n = _momentum(beta), exact("nu", nu)
        # (1 - b/E)(E - 1) w = gamma [(1 - n)(1 - b/E) + n (1 - b)] f(w)
        left = {1: 1, 0: -1 - b, -1: b}
        now = (1 - n) + n * (1 - b)
        gradients = [(sp.expand(now), {0: 1}), (-b * (1 - n), {-1: 1})]
        super().__init__(
            "quasi-hyperbolic momentum",
            Recurrence.of(left, gradients),
            start=Recurrence.of({0: 1, -1: -1}, [(1 - n, {-1: 1})]),
            step=gamma,
        )

    def __repr__(self) -> str:
        assert self.start is not None
        gradients = self.start.gradients
        nu = sp.expand(1 - gradients[0].weight) if gradients else sp.S.One
        return _called(self, beta=_coefficient(self.recurrence, -1), nu=nu)


@checked
def known_method(name: str) -> MomentumMethod:
    """Return a method by its name.

    Parameters
    ----------
    name : str
        heavy_ball, nesterov, gradient_descent or quasi_hyperbolic.

    Returns
    -------
    MomentumMethod

    Raises
    ------
    InputError
        If it is none of them.
    """
    known: dict[str, Callable[[], MomentumMethod]] = {
        "heavy_ball": HeavyBall,
        "nesterov": Nesterov,
        "gradient_descent": GradientDescent,
        "quasi_hyperbolic": QuasiHyperbolic,
    }
    maker = known.get(name.replace("-", "_"))
    if maker is None:
        raise InputError(
            f"a method among {', '.join(known)}, or a recurrence", repr(name), nearest(name, known)
        )
    return maker()


def _coefficient(recurrence: Recurrence, shift: int) -> sp.Expr:
    return dict(recurrence.left).get(shift, sp.S.Zero)


def _momentum(beta: Any) -> sp.Expr:
    value = exact("beta", beta)
    if value.is_number and not (sp.S.Zero <= value < 1):
        raise InputError("beta in [0, 1)", f"beta = {value}")
    return value
