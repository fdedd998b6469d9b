r"""Exact moments on quadratics: of a method with gradient noise, and of its diffusion.

On `F = w^T H w / 2` with gradient noise of constant covariance `Sigma` everything is linear.
In the eigenbasis of H the direction i has a state `z_i` of its own (a few iterates and the
noise that is still to act, or w and v), and

    method:     z_i <- A(h_i) z_i + B(h_i) xi_i,          Cov <- A(h_i) Cov A(h_j)^T + N,
    diffusion:  dz_i = A(h_i) z_i dt + ...,               Cov' = A(h_i) Cov + Cov A(h_j)^T + N,

with `Cov = Cov(z_i, z_j)` and `N = N(h_i, h_j) Sigma_ij`. A pair of curvatures is therefore
all there is: its stationary covariance is one linear system, solved by SymPy over the rational
functions of the parameters. Distinct gradient points of a rule draw distinct gradients; one
point that occurs at two steps draws one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike
from scipy.linalg import expm
from sympy.polys.matrices import DomainMatrix

from momentumflow.base.arguments import NonNegativeFloat, checked
from momentumflow.base.arrays import FloatArray, Matrix, Reals, Vector, floats
from momentumflow.base.errors import InputError
from momentumflow.base.values import Formulated, Value
from momentumflow.symbolic import symbols
from momentumflow.symbolic.codegen.compiled import Kernel, kernel
from momentumflow.symbolic.equations.quadratic import characteristic_polynomial
from momentumflow.symbolic.equations.stochastic import StochasticEquation, numbers_of
from momentumflow.symbolic.expressions import Formula, expression
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.printing import as_latex
from momentumflow.symbolic.rings import factored
from momentumflow.symbolic.series.contraction_series import Fields
from momentumflow.symbolic.series.diffusion import written_out
from momentumflow.symbolic.series.right_hand_side import parameter_values

# Relative to the largest entry or eigenvalue: smaller ones are rounding.
_ROUNDING = 1e-12


@checked
@dataclass(frozen=True, repr=False)
class QuadraticMoments(Formulated):
    """Mean and covariance of the state on quadratics, for each pair of curvatures.

    Attributes
    ----------
    of : MomentumMethod or StochasticEquation
        Whose moments.
    state : tuple of str
        What the state of one direction holds, w first.
    curvatures : tuple of sympy.Symbol
        Of the two directions whose covariance is asked for.
    transition : sympy.Matrix
        A, at the first curvature: of a step, or per unit of time.
    noise : sympy.Matrix
        N, for noise of one gradient with covariance 1 between the two directions.
    """

    of: MomentumMethod | StochasticEquation
    state: tuple[str, ...]
    curvatures: tuple[sp.Symbol, sp.Symbol]
    transition: sp.ImmutableMatrix
    noise: sp.ImmutableMatrix

    @property
    def discrete(self) -> bool:
        """Whether time counts steps and `transition` is that of a step."""
        return isinstance(self.of, MomentumMethod)

    @cached_property
    def stationary(self) -> sp.ImmutableMatrix:
        """The stationary covariance of the two states, per unit covariance of the noise.

        It is there where the step is stable at both curvatures; `stability_limit` says where.
        """
        return self._settled(*self.curvatures)

    def variance(self, curvature: Formula = symbols.h) -> sp.Expr:
        """Return the stationary variance of w at one curvature, per unit variance of the noise.

        Parameters
        ----------
        curvature : sympy.Expr or str
            The curvature h.
        """
        h = expression(curvature, "the curvature")
        return self._settled(h, h)[0, 0]

    def _settled(self, h: sp.Expr, other: sp.Expr) -> sp.ImmutableMatrix:
        """Solve for the covariance that the rule leaves as it is."""
        first, second = (self.transition.subs(self.curvatures[0], c) for c in (h, other))
        noise = self.noise.subs(dict(zip(self.curvatures, (h, other), strict=True)))
        size = len(self.state)
        unit = sp.eye(size)
        if self.discrete:
            system = sp.eye(size**2) - sp.kronecker_product(first, second)
        else:
            system = -sp.kronecker_product(first, unit) - sp.kronecker_product(unit, second)
        # rows of the covariance, one below the other
        right = noise.reshape(size**2, 1)
        both = DomainMatrix.from_Matrix(sp.Matrix.hstack(system, right)).to_field()
        columns = both.shape[1] - 1
        solved = both[:, :columns].lu_solve(both[:, columns:])
        return sp.ImmutableMatrix(size, size, [factored(c) for c in solved.to_Matrix()])

    def on_arrays(self, hessian: Matrix, covariance: Matrix, **parameters: Reals) -> LinearProcess:
        """Return the moments for a Hessian and a covariance of the noise, on float64 arrays.

        Parameters
        ----------
        hessian : array_like, shape (d, d)
            H, symmetric.
        covariance : array_like, shape (d, d)
            Of the noise of one gradient; for a mean over B samples divide by B.
        **parameters
            The method's own, `gamma` and `beta`; for a diffusion in the inertial regime `eps`
            and `lam` as well do.

        Raises
        ------
        InputError
            A matrix that is not square or symmetric, a covariance with a negative eigenvalue;
            a parameter that is missing or unknown.
        """
        H = _symmetric("hessian", floats(hessian))
        Sigma = _symmetric("covariance", floats(covariance))
        if H.shape != Sigma.shape:
            raise InputError(
                "hessian and covariance of one size", f"{H.shape[0]} and {Sigma.shape[0]} rows"
            )
        low, *_, high = [*np.linalg.eigvalsh(Sigma), 0.0, np.abs(Sigma).max()]
        if low < -_ROUNDING * high:
            raise InputError("covariance positive semidefinite", f"the eigenvalue {low:.4g}")
        if isinstance(self.of, StochasticEquation):
            values = numbers_of(self.of, parameters)
        else:
            own = (self.of.step, *self.of.parameters)
            values = parameter_values(own, own, {}, parameters)
        if any(np.ndim(value) for value in values.values()):
            raise InputError("a number for each parameter", "an array")
        curvature, directions = np.linalg.eigh(H)
        start = self._start()

        def filled(matrix: sp.Matrix, *at: ArrayLike) -> FloatArray:
            entries: Kernel = kernel(list(matrix), [*self.curvatures[: len(at)], *values])
            found = np.stack(entries(*at, *values.values()), axis=-1)
            return found.reshape(*found.shape[:-1], *matrix.shape)

        first, second = np.meshgrid(curvature, curvature, indexing="ij")
        noise = filled(self.noise, first, second)
        along = directions.T @ Sigma @ directions
        return LinearProcess(
            self.discrete,
            self.state,
            curvature,
            directions,
            filled(self.transition, curvature),
            noise * along[:, :, None, None],
            None if start is None else filled(sp.Matrix(start), curvature)[..., 0],
        )

    def _start(self) -> list[sp.Expr] | None:
        """Return the state of one direction at the start, w at 1; None where it is not stated."""
        zero, one = sp.S.Zero, sp.S.One
        if not isinstance(self.of, MomentumMethod):
            return [one, *(zero for _ in self.state[1:])]
        assert self.of.start is not None
        relation, x = self.of.start, sp.Dummy("w[-1]")
        value = {0: one, -1: x}
        balance = sp.Add(*(a * value[j] for j, a in relation.left))
        for point in relation.gradients:
            pull = self.of.step * self.curvatures[0] * point.weight
            balance += pull * sp.Add(*(b * value[j] for j, b in point.at))
        (before,) = sp.solve(balance, x)
        stated = {_iterate(0): one, _iterate(-1): before}
        if any(name not in stated for name in self.state if name.startswith("w")):
            return None
        return [stated.get(name, zero) for name in self.state]

    def _formula(self) -> str:
        h, other = map(as_latex, self.curvatures)
        A, N = as_latex(self.transition), as_latex(self.noise)
        grown = r"C \to A C A'^{\mathsf T}" if self.discrete else r"C' = A C + C A'^{\mathsf T}"
        return rf"{grown} + N,\quad A({h}) = {A},\ A' = A({other}),\ N = {N}"

    def __repr__(self) -> str:
        name = self.of.name if isinstance(self.of, MomentumMethod) else f"{self.of!r}"
        return f"<QuadraticMoments of {name}: {', '.join(self.state)}>"


@checked
@dataclass(frozen=True, eq=False, repr=False)
class LinearProcess(Value):
    """A linear rule, or a linear diffusion, on one quadratic: all its means and covariances.

    The state joins what `state` names, each of d entries, w first.

    Attributes
    ----------
    discrete : bool
        Whether time counts steps.
    state : tuple of str
    curvature : ndarray, shape (d,)
        The eigenvalues of the Hessian.
    directions : ndarray, shape (d, d)
        Its eigenvectors, as columns.
    transition : ndarray, shape (d, s, s)
        Of each direction.
    noise : ndarray, shape (d, d, s, s)
        What a step, or a unit of time, adds to the covariance of two directions.
    rest : ndarray, shape (d, s), or None
        The state of each direction that has just started from w = 1, where that is stated.
    """

    discrete: bool
    state: tuple[str, ...]
    curvature: FloatArray
    directions: FloatArray
    transition: FloatArray
    noise: FloatArray
    rest: FloatArray | None

    def _shown(self) -> dict[str, str]:
        return {"state": ", ".join(self.state), "variables": str(len(self.curvature))}

    @cached_property
    def growth(self) -> float:
        """How the slowest direction grows: a factor a step, or a rate; stable below 1 or 0."""
        roots = np.linalg.eigvals(self.transition)
        return float((np.abs(roots) if self.discrete else roots.real).max())

    def stationary(self) -> FloatArray:
        """Return the stationary covariance of the whole state, shape (s d, s d).

        Raises
        ------
        InputError
            If the step is unstable.
        """
        if not self.growth < (1 if self.discrete else 0):
            least, most = self.curvature[[0, -1]]
            raise InputError(
                "a step that is stable at every curvature, each > 0",
                f"curvatures from {least:.4g} to {most:.4g} and a growth of {self.growth:.6g} a "
                + ("step" if self.discrete else "unit of time"),
                "take a step below stability_limit(method) over the largest curvature",
            )
        operator, added = self._pairs()
        unit = np.eye(operator.shape[-1]) if self.discrete else 0.0
        return self._joined(floats(np.linalg.solve(unit - operator, added[..., None]))[..., 0])

    def after(
        self, time: NonNegativeFloat, start: Vector, covariance: Matrix | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return mean and covariance of the whole state after a time, or a number of steps.

        Parameters
        ----------
        time : float
            A whole number where steps are counted.
        start : array_like, shape (d,) or (s d,)
            Where w starts, as the method does; or the mean of the whole state.
        covariance : array_like, shape (s d, s d), optional
            Of the whole state at the start; zero if not given.

        Returns
        -------
        (mean, covariance)
            Shapes (s d,) and (s d, s d).

        Raises
        ------
        InputError
            A part of a step; a start or a covariance of another shape; a start of w alone where
            the method needs more.
        """
        if self.discrete and time != int(time):
            raise InputError("a whole number of steps", f"time = {time:g}")
        d, size, _ = self.transition.shape
        given = floats(start)
        if given.shape not in ((d,), (size * d,)):
            raise InputError(f"start of {d} or {size * d} entries", f"shape {given.shape}")
        if given.size == d:
            if self.rest is None:
                raise InputError(
                    f"the whole state {', '.join(self.state)}, {size * d} entries",
                    f"{d} entries",
                    "the start of this method relates two iterates only",
                )
            state = self.rest * (self.directions.T @ given)[:, None]
        else:
            state = (given.reshape(size, d) @ self.directions).T
        mean = np.einsum("ist,it->is", self._power(self.transition, time), state)
        operator, added = self._pairs()
        # the covariance and a 1, which adds the noise
        both = np.zeros((d, d, size**2 + 1, size**2 + 1))
        both[..., :-1, :-1], both[..., :-1, -1] = operator, added
        both[..., -1, -1] = self.discrete
        spread = np.zeros((d, d, size**2 + 1))
        spread[..., -1] = 1.0
        if covariance is not None:
            whole = floats(covariance)
            if whole.shape != (size * d, size * d):
                raise InputError(f"covariance of {size * d} rows and columns", f"{whole.shape}")
            parts = np.einsum(
                "ai,satb,bj->ijst",
                self.directions, whole.reshape(size, d, size, d), self.directions,
            )  # fmt: skip
            spread[..., :-1] = parts.reshape(d, d, size**2)
        grown = np.einsum("ijst,ijt->ijs", self._power(both, time), spread)
        return (self.directions @ mean).T.ravel(), self._joined(grown[..., :-1])

    def _power(self, matrices: FloatArray, time: float) -> FloatArray:
        return (
            np.linalg.matrix_power(matrices, int(time)) if self.discrete else expm(matrices * time)
        )

    def _pairs(self) -> tuple[FloatArray, FloatArray]:
        """Return what acts on the covariance of each two directions, and what is added to it."""
        d, size, _ = self.transition.shape
        unit = np.eye(size)

        def product(a: FloatArray, b: FloatArray) -> FloatArray:
            whole = np.einsum("ist,jab->ijsatb", a, b)
            return whole.reshape(d, d, size**2, size**2)

        units = np.broadcast_to(unit, self.transition.shape)
        if self.discrete:
            operator = product(self.transition, self.transition)
        else:
            operator = product(self.transition, units) + product(units, self.transition)
        return operator, self.noise.reshape(d, d, size**2)

    def _joined(self, pairs: FloatArray) -> FloatArray:
        """Return the covariance of the whole state, in the variables of the loss."""
        d, size, _ = self.transition.shape
        parts = pairs.reshape(d, d, size, size)
        V = self.directions
        whole = np.einsum("ai,ijst,bj->satb", V, parts, V).reshape(size * d, size * d)
        return (whole + whole.T) / 2


@checked
def quadratic_moments(of: MomentumMethod | StochasticEquation) -> QuadraticMoments:
    """Return the exact moments of a method with gradient noise, or of a diffusion, on quadratics.

    Parameters
    ----------
    of : MomentumMethod or StochasticEquation
        Any linear rule; or what `stochastic_equation` derived.

    Returns
    -------
    QuadraticMoments

    References
    ----------
    Li, Tai, E, JMLR 20(40), 2019, section 5, for the diffusion of heavy ball.

    Examples
    --------
    >>> from momentumflow.symbolic import HeavyBall, quadratic_moments
    >>> quadratic_moments(HeavyBall()).variance()
    gamma*(beta + 1)/(h*(1 - beta)*(2*beta - gamma*h + 2))
    """
    method = of.method if isinstance(of, StochasticEquation) else of
    taken = (method.step, *method.parameters, symbols.eps, symbols.lam)
    h, other = (symbols.fresh(name, taken, real=True) for name in ("h_1", "h_2"))
    if isinstance(of, StochasticEquation):
        return _of_diffusion(of, h, other)
    state, transition, fresh = _chain(of, h)
    noise = fresh * fresh.T.subs(h, other)
    return QuadraticMoments(
        of, state, (h, other), sp.ImmutableMatrix(transition), sp.ImmutableMatrix(noise)
    )


def _chain(method: MomentumMethod, h: sp.Symbol) -> tuple[tuple[str, ...], sp.Matrix, sp.Matrix]:
    """Return names of the state at curvature h, what a step makes of it, and of fresh noise."""
    recurrence, x = method.recurrence, sp.Dummy("x")
    top = max(recurrence.shifts)
    memory = top - min(recurrence.shifts)
    polynomial = sp.Poly(characteristic_polynomial(method, x, h), x)
    lead, *rest = (polynomial.coeff_monomial(x**n) for n in range(memory, -1, -1))
    # a point and the same point some steps earlier draw one gradient, at different ages
    draws: dict[tuple[tuple[int, sp.Expr], ...], dict[int, sp.Expr]] = {}
    for point in recurrence.gradients:
        newest = max(j for j, _ in point.at)
        base = tuple((j - newest, sp.cancel(b)) for j, b in point.at)
        weights = draws.setdefault(base, {})
        weights[newest] = weights.get(newest, sp.S.Zero) + point.weight
    names = [_iterate(-j) for j in range(memory)]
    first = [-c / lead for c in rest]
    entering: list[tuple[int, sp.Expr]] = []  # where each fresh draw is kept, how it acts at once
    for weights in draws.values():
        last = max(weights)
        entering.append((len(names), method.step * weights.pop(last) / lead))
        for age in range(1, last - min(weights, default=last) + 1):
            names.append(f"noise {len(entering)} of age {age}")
            first.append(method.step * weights.get(last - age, sp.S.Zero) / lead)
    transition = sp.zeros(len(names))
    fresh = sp.zeros(len(names), len(draws))
    starts = {place for place, _ in entering}
    for row in range(1, len(names)):
        if row not in starts:
            transition[row, row - 1] = 1
    for n, (place, weight) in enumerate(entering):
        if place < len(names):
            fresh[place, n] = 1
        fresh[0, n] = weight
    transition[0, :] = sp.Matrix([first])
    return tuple(names), transition.applyfunc(factored), fresh.applyfunc(factored)


def _of_diffusion(equation: StochasticEquation, h: sp.Symbol, other: sp.Symbol) -> QuadraticMoments:
    """Read the moments off the equation in two directions that share their noise."""
    x, y, dx, dy = (sp.Dummy(name, real=True) for name in ("x", "y", "x'", "y'"))
    correlated = sp.ImmutableMatrix([[1, 1], [1, 1]])
    fields = Fields((x, y), (-h * x, -other * y), correlated, (dx, dy))
    drift, rate = written_out((equation.drift, equation.covariance), fields, equation.regime)
    inertial = equation.regime == "inertial"
    rows = [0, 2] if inertial else [0]
    transition = sp.Matrix([drift[i] for i in rows]).jacobian([x, dx][: len(rows)])
    noise = rate.extract(rows, [i + 1 for i in rows])
    return QuadraticMoments(
        equation,
        ("w", "v") if inertial else ("w",),
        (h, other),
        sp.ImmutableMatrix(transition.applyfunc(factored)),
        sp.ImmutableMatrix(noise.applyfunc(factored)),
    )


def _iterate(shift: int) -> str:
    return "w[k]" if shift == 0 else f"w[k{shift:+d}]"


def _symmetric(name: str, matrix: FloatArray) -> FloatArray:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"{name} as a square matrix", f"shape {matrix.shape}")
    if np.abs(matrix - matrix.T).max() > _ROUNDING * np.abs(matrix).max():
        raise InputError(f"{name} symmetric", f"{name} with entries that differ from their mirror")
    return (matrix + matrix.T) / 2
