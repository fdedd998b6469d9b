"""A diffusion for a concrete loss and covariance: drift, covariance rate and noise on arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike

from momentumflow.base.arguments import Door, checked
from momentumflow.base.arrays import FloatArray, Vector, floats
from momentumflow.base.errors import InputError
from momentumflow.base.values import Value
from momentumflow.symbolic.codegen.compiled import Kernel, kernel
from momentumflow.symbolic.expressions import canonical
from momentumflow.symbolic.series.contraction_series import ContractionSeries, Fields, components
from momentumflow.symbolic.series.right_hand_side import check_loss

# Relative to the largest eigenvalue: below it a negative one is rounding.
_ROUNDING = 1e-12


def _take_covariance(name: str, value: Any) -> Any:
    if isinstance(value, sp.MatrixBase | np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple):
        return canonical(value, name)
    rows = [list(row) if isinstance(row, list | tuple) else [row] for row in value]
    if any(len(row) != len(rows) for row in rows):
        raise InputError(f"{name} as a square matrix", f"rows of length {[*map(len, rows)]}")
    return sp.ImmutableMatrix([[canonical(entry, name) for entry in row] for row in rows])


Covariance: TypeAlias = Annotated[
    Any, Door("a formula, or a symmetric matrix of formulas", _take_covariance)
]


def fields_of(loss: Any, covariance: Any, variables: Sequence[Any] | None) -> Fields:
    """Return field, covariance and velocity of a SymPy loss, written out.

    Parameters
    ----------
    loss : sympy.Expr
        The loss F; the field is `-grad F`.
    covariance : sympy.Expr or matrix
        Of the noise of one gradient; an expression stands for that times the unit matrix.
    variables : sequence of symbols, optional
        In the order of the components.

    Raises
    ------
    InputError
        As `check_loss`; a covariance of another size, not symmetric, or with symbols besides
        the variables.
    """
    expr, names = check_loss(loss, variables)
    size = len(names)
    if not isinstance(covariance, sp.MatrixBase):
        covariance = covariance * sp.eye(size)
    if covariance.shape != (size, size):
        raise InputError(
            f"a covariance of {size} rows, one for each of {', '.join(map(str, names))}",
            f"{covariance.rows}",
        )
    if any(sp.simplify(entry) != 0 for entry in covariance - covariance.T):
        raise InputError("a symmetric covariance", str(covariance.tolist()))
    by_name = {x.name: x for x in names}
    covariance = covariance.xreplace(
        {s: by_name[s.name] for s in covariance.free_symbols if s.name in by_name}
    )
    foreign = sorted(map(str, covariance.free_symbols - set(names)))
    if foreign:
        raise InputError(
            f"a covariance of the variables {', '.join(map(str, names))}",
            f"also {', '.join(foreign)}",
            "substitute numbers for parameters",
        )
    velocity = tuple(sp.Symbol(f"{x.name}'", real=True) for x in names)
    field = tuple(-sp.diff(expr, x) for x in names)
    return Fields(names, field, sp.ImmutableMatrix(covariance), velocity)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Diffusion(Value):
    """A stochastic equation for a concrete loss, with numbers for its parameters.

    Its methods take w, and v in the inertial regime, arrays with the d variables on the last
    axis; leading axes are a batch. The state is w, or w and v joined: s = d or 2 d entries.
    Of an optimiser v is its memories, joined.

    Attributes
    ----------
    variables : int
        d.
    memories : int
        How many arrays of d entries the state has besides w: 0 in the slow regime.
    driven : int
        Which of w (0) and the memories the Brownian motions drive: the others that they
        move, they move along.
    drifts, rates, gradient_noise : Kernel
    parameters : tuple of ndarray
    """

    variables: int
    memories: int
    driven: int
    drifts: Kernel
    rates: Kernel
    gradient_noise: Kernel
    parameters: tuple[FloatArray, ...]

    def _shown(self) -> dict[str, str]:
        return {"regime": self.regime, "variables": str(self.variables)}

    @property
    def regime(self) -> str:
        """Whether the state is w alone, "slow", or has a velocity or memories, "inertial"."""
        return "inertial" if self.memories else "slow"

    def drift(self, w: Vector, v: Vector | None = None) -> FloatArray:
        """Return the drift of the state, shape (..., s)."""
        return np.stack(self.drifts(*self._arguments(w, v)), axis=-1)

    def covariance(self, w: Vector, v: Vector | None = None) -> FloatArray:
        """Return the covariance rate of the state, shape (..., s, s).

        It is right to the order of the equation, and may so be indefinite beyond.
        """
        found = np.stack(self.rates(*self._arguments(w, v)), axis=-1)
        size = round(found.shape[-1] ** 0.5)
        return found.reshape(*found.shape[:-1], size, size)

    def noise(self, w: Vector, v: Vector | None = None) -> FloatArray:
        """Return a factor of the covariance rate: what multiplies d Brownian motions.

        Shape (..., s, d). In the inertial regime one Brownian motion a weight moves all;
        factor times transpose is the covariance rate to the order of the equation.

        Raises
        ------
        InputError
            If the covariance of the gradient noise is not positive semidefinite at w.
        """
        self._check_noise(w, v)
        rate, shape = _once(self.covariance(w, v), 2)
        d = self.variables
        driven = slice(self.driven * d, (self.driven + 1) * d)
        values, vectors = np.linalg.eigh(rate[..., driven, driven])
        # what the truncation makes negative is beyond the order
        roots = np.sqrt(np.maximum(values, 0.0))
        own = (vectors * roots[..., None, :]) @ np.swapaxes(vectors, -1, -2)
        if self.regime == "slow":
            return np.broadcast_to(own, (*shape, d, d))
        usable = roots > np.sqrt(_ROUNDING) * np.max(roots, axis=-1, keepdims=True)
        over = np.where(usable, 1.0, 0.0) / np.where(usable, roots, 1.0)
        inverse = (vectors * over[..., None, :]) @ np.swapaxes(vectors, -1, -2)
        whole = rate[..., :, driven] @ inverse
        whole[..., driven, :] = own
        return np.broadcast_to(whole, (*shape, *whole.shape[-2:]))

    def kick(self, w: Vector, v: Vector | None, xi: Vector) -> FloatArray:
        """Return what Brownian motions that have moved by xi (..., d) do to the state.

        `noise` times xi, shape (..., s).
        """
        factor, by = self.noise(w, v), floats(xi)
        wanted = (*factor.shape[:-2], self.variables)
        if by.shape != wanted:
            raise InputError(f"xi of shape {wanted}", f"shape {by.shape}")
        moved: FloatArray = (factor @ by[..., None])[..., 0]
        return moved

    @property
    def sources(self) -> int:
        """How many Brownian motions there are: one a weight."""
        return self.variables

    def _check_noise(self, w: ArrayLike, v: ArrayLike | None) -> None:
        found, _ = _once(np.stack(self.gradient_noise(*self._arguments(w, v)), axis=-1), 1)
        values = np.linalg.eigvalsh(found.reshape(*found.shape[:-1], self.variables, -1))
        low = values[..., 0]
        if (low < -_ROUNDING * np.abs(values).max(axis=-1)).any():
            raise InputError(
                "a covariance that is positive semidefinite at w", f"the eigenvalue {low.min():.4g}"
            )

    def _arguments(self, w: ArrayLike, v: ArrayLike | None) -> list[Any]:
        inertial = self.regime == "inertial"
        if inertial and v is None:
            raise InputError("a velocity v", "none", "the inertial state is w and v")
        state: list[Any] = []
        memories = self.memories * self.variables
        for name, given, size in (("w", w, self.variables), ("v", v, memories)):
            if not size:
                continue
            array = np.asarray(given, dtype=np.float64)
            if array.shape[-1:] != (size,):
                raise InputError(
                    f"{name} with {size} variables on the last axis", f"shape {array.shape}"
                )
            state += [array[..., i] for i in range(size)]
        return [*state, *self.parameters]


def _once(array: FloatArray, axes: int) -> tuple[FloatArray, tuple[int, ...]]:
    """Return a batch as it is, or its one entry where all are the same; and its shape."""
    shape = array.shape[:-axes]
    if not array.size:
        return array, shape
    first = array[(0,) * len(shape)]
    return (first if (array == first).all() else array), shape


def diffusion(
    regime: str,
    series: tuple[Mapping[str, ContractionSeries], Mapping[str, ContractionSeries]],
    fields: Fields,
    values: Mapping[sp.Symbol, ArrayLike],
) -> Diffusion:
    """Return a diffusion on arrays; see `StochasticEquation.on_arrays`."""
    memories = int(regime == "inertial")
    state = [*fields.variables, *(fields.velocity if memories else ())]
    arguments = [*state, *values]
    drift, covariance = written_out(series, fields, regime)
    return Diffusion(
        len(fields.variables),
        memories,
        memories,
        kernel(list(drift), arguments, name="drift"),
        kernel(list(covariance), arguments, name="covariance"),
        kernel(list(fields.covariance), arguments, name="gradient_noise"),
        tuple(np.asarray(value, dtype=np.float64) for value in values.values()),
    )


def written_out(
    series: tuple[Mapping[str, ContractionSeries], Mapping[str, ContractionSeries]],
    fields: Fields,
    regime: str,
) -> tuple[sp.Matrix, sp.Matrix]:
    """Return drift and covariance rate of the whole state as matrices of expressions."""
    size = len(fields.variables)

    def block(name: str) -> sp.Matrix:
        return components(series[1][name], fields) if name in series[1] else sp.zeros(size, size)

    if regime == "slow":
        return components(series[0]["w"], fields), block("ww")
    drift = sp.Matrix.vstack(*(components(series[0][x], fields) for x in "wv"))
    cross = block("wv")
    return drift, sp.Matrix([[block("ww"), cross], [cross.T, block("vv")]])
