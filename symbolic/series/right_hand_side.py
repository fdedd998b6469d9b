"""From a series over trees to numbers: its value for a concrete loss.

Two ways that share nothing: `specialise` writes the series out as SymPy
expressions of the variables, for losses of a few variables and for arbitrary
precision; `RightHandSide` evaluates it on arrays of any dimension by jets, for
a SymPy loss or for a gradient written in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Annotated, Any, TypeAlias

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray

from momentumflow.base.arguments import Where, checked
from momentumflow.base.arrays import Vector
from momentumflow.base.errors import InputError
from momentumflow.base.values import Value
from momentumflow.symbolic.codegen.compiled import identifier, kernel
from momentumflow.symbolic.expressions import all_of, canonical, symbol
from momentumflow.symbolic.series.jet_space import jet_space
from momentumflow.symbolic.series.terms import Term
from momentumflow.symbolic.trees.rooted_trees import VELOCITY, Tree

Array = NDArray[np.float64]
Steps: TypeAlias = Annotated[int, Where("in [0, 10^7]", lambda n: 0 <= n <= 10**7)]
Loss: TypeAlias = Any  # a SymPy expression, or a gradient as a function of arrays

_KINKS = (
    sp.Abs,
    sp.sign,
    sp.Max,
    sp.Min,
    sp.Piecewise,
    sp.floor,
    sp.ceiling,
    sp.Heaviside,
    sp.DiracDelta,
)


def check_loss(loss: Any, variables: Sequence[Any] | None) -> tuple[sp.Expr, tuple[sp.Symbol, ...]]:
    """Return a SymPy loss and its variables in registered symbols.

    Raises
    ------
    InputError
        If it is no expression, not smooth, or has symbols besides its variables.
    """
    expr = canonical(loss, "a loss")
    for kink in _KINKS:
        if expr.has(kink):
            found = next(iter(expr.atoms(kink)))
            raise InputError("a smooth loss", f"one that contains {found}")
    if variables is None:
        chosen = tuple(sorted(expr.free_symbols, key=lambda s: str(s.name)))
    else:
        chosen = all_of(variables, symbol, "the variables")
    foreign = sorted(str(s) for s in expr.free_symbols - set(chosen))
    if foreign or not chosen:
        raise InputError(
            f"a loss of the variables {', '.join(map(str, chosen)) or '(none)'}",
            f"also {', '.join(foreign)}" if foreign else f"the constant {expr}",
            "name all its variables, or substitute numbers for parameters",
        )
    return expr, chosen


def specialise(
    terms: Sequence[Term],
    loss: Any,
    variables: Sequence[Any] | None = None,
    velocity: Sequence[sp.Symbol] | None = None,
) -> tuple[sp.Expr, ...]:
    """Return the components of a series for a SymPy loss, as expressions.

    Parameters
    ----------
    terms : sequence of Term
        Those of a `ModifiedEquation` or of its initial velocity.
    loss : sympy.Expr
        The loss F; the field is `-grad F`.
    variables : sequence of symbols, optional
        In the order of the components; all symbols of the loss, sorted, if not given.
    velocity : sequence of symbols, optional
        The components of `w'`, needed where the series has velocity leaves.

    Raises
    ------
    InputError
        As `check_loss`, or if the velocity is missing.
    """
    expr, names = check_loss(loss, variables)
    field = [-sp.diff(expr, x) for x in names]
    speed = None if velocity is None else all_of(velocity, canonical, "the velocity")
    if speed is not None and len(speed) != len(names):
        raise InputError(f"a velocity of {len(names)} components", f"{len(speed)}")
    _check_distinct(terms, names, speed or ())
    if speed is None and any(term.tree.velocities for term in terms):
        raise InputError("symbols for the velocity", "none", "the equation has velocity leaves")

    @cache
    def derivative(indices: tuple[int, ...]) -> tuple[sp.Expr, ...]:
        """Return the partial derivatives of the field with respect to sorted indices."""
        if not indices:
            return tuple(field)
        return tuple(sp.diff(f, names[indices[-1]]) for f in derivative(indices[:-1]))

    @cache
    def differential(tau: Tree) -> tuple[sp.Expr, ...]:
        if tau is VELOCITY:
            assert speed is not None
            return speed
        branches = [differential(child) for child in tau.children]
        total = [sp.S.Zero] * len(names)
        for indices in product(range(len(names)), repeat=len(branches)):
            weight = sp.Mul(*(branch[i] for branch, i in zip(branches, indices, strict=True)))
            partial = derivative(tuple(sorted(indices)))
            total = [a + weight * b for a, b in zip(total, partial, strict=True)]
        return tuple(total)

    values = [sp.S.Zero] * len(names)
    for term in terms:
        parts = differential(term.tree)
        values = [a + term.coefficient * b for a, b in zip(values, parts, strict=True)]
    return tuple(values)


def _check_distinct(
    terms: Sequence[Term], names: tuple[sp.Symbol, ...], speed: tuple[sp.Expr, ...]
) -> None:
    """Raise InputError if a name means one thing in the loss and another in the equation."""
    own = set().union(*(term.coefficient.free_symbols for term in terms))
    moving = set().union(*(part.free_symbols for part in speed))
    clash = sorted(str(s) for s in (own & (set(names) | moving)) | (set(names) & moving))
    if clash or len(set(names)) != len(names):
        raise InputError(
            "variables with names of their own",
            ", ".join(clash) or "one variable twice",
            "the equation uses the name already; rename the variable of the loss" * bool(clash)
            or None,
        )


@dataclass(frozen=True)
class Field:
    """`f = -grad F` as a function of arrays whose last axis holds the variables."""

    source: Any
    gradient: Callable[[Any], Any] | None = None
    components: int | None = None

    @classmethod
    def of(cls, loss: Loss, variables: Sequence[Any] | None) -> Field:
        """Return the field of a SymPy loss or of a callable gradient."""
        if callable(loss) and not isinstance(loss, sp.Basic):
            return cls(loss, gradient=loss)
        expr, names = check_loss(loss, variables)
        compiled = kernel([-sp.diff(expr, x) for x in names], names, name="field")
        return cls(compiled, components=len(names))

    def __call__(self, w: Any) -> Any:
        """Evaluate at an array or a jet."""
        if self.gradient is not None:
            value = self.gradient(w)
            return [-part for part in value] if isinstance(value, list | tuple) else -value
        # the bare function: the kernel itself turns its arguments into arrays
        return list(self.source.function(*(w[..., i] for i in range(self.components or 0))))


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Value):
    """A series over trees with numbers for its coefficients, evaluated by jets."""

    field: Field
    trees: tuple[Tree, ...]
    coefficients: tuple[Array, ...]

    def __call__(self, w: Vector, v: Vector | None = None) -> Array:
        """Evaluate at w, and v where there are velocity leaves."""
        point = _point("w", w, self.field.components)
        speed = None
        if v is not None:
            speed = _point("v", v, self.field.components)
            if speed.shape != point.shape:
                raise InputError(f"v of the shape {point.shape} of w", f"shape {speed.shape}")
        if not self.trees:
            return np.zeros(point.shape)
        found = jet_space(self.trees).elementary_differentials(self.field, point, speed)
        total = np.zeros(point.shape)
        for tau, coefficient in zip(self.trees, self.coefficients, strict=True):
            total = total + coefficient[..., None] * found[tau]
        return total


def _point(name: str, value: ArrayLike, components: int | None) -> Array:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0 or (components is not None and array.shape[-1] != components):
        raise InputError(
            f"{name} with {components or 'its variables'} on the last axis", f"shape {array.shape}"
        )
    if not np.isfinite(array).all():
        raise InputError(f"finite values in {name}", "NaN or infinity")
    return array


@checked
@dataclass(frozen=True, eq=False, repr=False)
class RightHandSide(Value):
    """The right-hand side of a modified equation for a concrete loss.

    Called with `w` (slow regime) it returns `w'` per step; with `w, v` (inertial)
    it returns `v' = w''` per unit of time. Arrays have the variables on the last
    axis; leading axes are a batch.
    """

    regime: str
    right: Evaluation
    start: Evaluation | None

    def _shown(self) -> dict[str, str]:
        ties = "none" if self.start is None else f"{len(self.start.trees)} terms"
        return {
            "regime": self.regime,
            "right": f"{len(self.right.trees)} terms",
            "initial velocity": ties,
        }

    def __repr__(self) -> str:
        return f"<RightHandSide, {self.regime} regime: {len(self.right.trees)} terms>"

    def __call__(self, w: Vector, v: Vector | None = None) -> Array:
        """Evaluate at w, and v in the inertial regime."""
        if self.regime == "inertial" and v is None:
            raise InputError("a velocity v", "none", "the inertial equation is of second order")
        return self.right(w, v if self.regime == "inertial" else None)

    def initial_velocity(self, w: Vector) -> Array:
        """Return the `w'(0)` that belongs to a start of the method at w.

        Raises
        ------
        InputError
            In the slow regime, or where the start does not tie it.
        """
        if self.start is None:
            raise InputError("an equation whose start ties the velocity", f"a {self.regime} one")
        return self.start(w)

    def system(self, t: float, y: Array) -> Array:
        """Return `y'` for the state `y = w` or `y = (w, v)` joined, as SciPy's solvers want it."""
        if self.regime == "slow":
            return self.right(y)
        w, v = np.split(np.asarray(y, dtype=np.float64), 2, axis=-1)
        return np.concatenate([v, self.right(w, v)], axis=-1)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Iteration(Value):
    """A memoryless map for a concrete loss: from w_k to w_{k+1}.

    Arrays have the variables on the last axis; leading axes are a batch.
    """

    increment: Evaluation

    def __call__(self, w: Vector) -> Array:
        """Return the next iterate."""
        point = np.asarray(w, dtype=np.float64)
        return point + self.increment(point)

    def run(self, w: Vector, steps: Steps) -> Array:
        """Return the iterates from w on, shape (steps + 1, ..., variables).

        Parameters
        ----------
        w : array_like, shape (..., variables)
            The first of them.
        steps : int
            How many follow, >= 0.

        Raises
        ------
        InputError
            If an iterate is not finite, or `steps` is negative.
        """
        path = [np.asarray(w, dtype=np.float64)]
        for _ in range(steps):
            path.append(self(path[-1]))
        return np.stack(path)

    def __repr__(self) -> str:
        return f"<Iteration: {len(self.increment.trees)} terms>"


def iteration(
    terms: Sequence[Term],
    own: Sequence[sp.Symbol],
    loss: Loss,
    variables: Sequence[Any] | None,
    given: Mapping[str, Any],
) -> Iteration:
    """Return a map for a concrete loss; see `MemorylessMap.iteration`."""
    values = parameter_values(own, own, {}, given)
    return Iteration(_evaluation(terms, Field.of(loss, variables), values))


def right_hand_side(
    terms: Sequence[Term],
    start: Sequence[Term] | None,
    parameters: tuple[Sequence[sp.Symbol], Sequence[sp.Symbol], Mapping[sp.Symbol, sp.Expr]],
    loss: Loss,
    variables: Sequence[Any] | None,
    given: Mapping[str, Any],
) -> RightHandSide:
    """Return the right-hand side of an equation; see `ModifiedEquation.rhs`.

    Parameters
    ----------
    terms, start : sequence of Term
        The equation, and the initial velocity where the start ties it.
    parameters : (wanted, own, derived)
        The symbols of the coefficients, those of the method, and the first by
        the second where they are not the same (the inertial regime).
    loss, variables, given
        As `rhs` takes them.
    """
    field = Field.of(loss, variables)
    values = parameter_values(*parameters, given)
    return RightHandSide(
        "inertial" if parameters[2] else "slow",
        _evaluation(terms, field, values),
        None if start is None else _evaluation(start, field, values),
    )


def _evaluation(
    terms: Sequence[Term], field: Field, values: Mapping[sp.Symbol, ArrayLike]
) -> Evaluation:
    trees = tuple(term.tree for term in terms)
    if not trees:
        return Evaluation(field, (), ())
    compiled = kernel([term.coefficient for term in terms], tuple(values), name="coefficients")
    with np.errstate(all="ignore"):
        found = tuple(compiled(*values.values()))
    if not all(np.isfinite(coefficient).all() for coefficient in found):
        given = ", ".join(f"{symbol} = {value!r}" for symbol, value in values.items())
        raise InputError("parameters at which the coefficients are finite", given)
    return Evaluation(field, trees, found)


def parameter_values(
    wanted: Sequence[sp.Symbol],
    own: Sequence[sp.Symbol],
    derived: Mapping[sp.Symbol, sp.Expr],
    given: Mapping[str, Any],
) -> dict[sp.Symbol, ArrayLike]:
    """Return numbers for the symbols of an equation, computed from the method's if those came."""
    known = {identifier(s): s for s in (*own, *derived)}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(f"parameters among {', '.join(known)}", ", ".join(unknown))
    values: dict[sp.Symbol, ArrayLike] = {known[name]: value for name, value in given.items()}
    if all(s in values for s in own):
        for name, expr in derived.items():
            if name in values:
                raise InputError(
                    "either eps and lam or the method's own parameters", "both", "give one"
                )
            with np.errstate(all="ignore"):
                values[name] = kernel(expr, own)(*(values[s] for s in own))
            if not np.isfinite(values[name]).all():
                raise InputError(
                    f"parameters for which {name} = {expr} is finite",
                    ", ".join(f"{identifier(s)} = {np.asarray(values[s])}" for s in own),
                )
    missing = [identifier(s) for s in wanted if s not in values]
    if missing:
        raise InputError(f"values for {', '.join(known)}", f"none for {', '.join(missing)}")
    return {s: values[s] for s in wanted}
