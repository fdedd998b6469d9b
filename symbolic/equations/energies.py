r"""The energy of the inertial equation and the rate at which it is lost.

For `lambda w'' + w' = -grad F` the energy `F + lambda |w'|^2 / 2` falls at the
rate `|w'|^2`. At higher order an energy `E = F + ...` is sought with

    dE/dt = -R + O(eps^(order+1)),    R at least quadratic in the velocity,

both being sums over free trees with velocity leaves. Level by level in eps this
is a linear system over the rationals. Where it leaves a choice, terms of R with
many velocities are avoided first, so that R is a quadratic form of the velocity
as far as it can be.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, TypeAlias

import flint
import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.errors import InputError
from momentumflow.base.values import Formulated
from momentumflow.symbolic import symbols
from momentumflow.symbolic.equations.inertial_regime import InertialSeries, inertial_series
from momentumflow.symbolic.equations.modified_equations import check_order
from momentumflow.symbolic.methods.momentum_methods import MomentumMethod
from momentumflow.symbolic.rings import to_fmpq, to_rational
from momentumflow.symbolic.series.scalar_sums import ScalarSum
from momentumflow.symbolic.trees.free_trees import free_tree
from momentumflow.symbolic.trees.rooted_trees import FIELD, VELOCITY, Tree, graft_root, trees_up_to

Scalar: TypeAlias = dict[Tree, Any]  # the values are flint.fmpq

_MAX_ORDER = 6


@dataclass(frozen=True)
class EnergyPart(ScalarSum):
    """The energy or its dissipation, a sum of scalars over free trees with velocities."""

    name: str
    terms: tuple[tuple[Tree, sp.Expr], ...]


@checked
@dataclass(frozen=True, repr=False)
class Energy(Formulated):
    """`dE/dt = -R + O(eps^(order+1))` along the inertial equation.

    Attributes
    ----------
    order : int
    energy : EnergyPart
        E, whose only term in F is F itself.
    dissipation : EnergyPart
        R, at least quadratic in the velocity.
    """

    order: int
    energy: EnergyPart
    dissipation: EnergyPart

    def __repr__(self) -> str:
        return f"<Energy through order {self.order}>"

    def __str__(self) -> str:
        return f"{self.energy}\n{self.dissipation}"

    def _formula(self) -> str:
        return f"{self.energy.latex()}, \\qquad -\\dot E = {self.dissipation.latex()}"


@checked
def energy(method: MomentumMethod, order: int = 1) -> Energy:
    """Return an energy of the inertial equation and its dissipation through `eps^order`.

    Parameters
    ----------
    method : MomentumMethod
        With no symbolic parameter but the momentum.
    order : int
        1 to 6; at order 1 heavy ball has `F + lambda_hat |v|^2 / 2`, lost at
        the rate `|v|^2`.

    Returns
    -------
    Energy
        E and its dissipation R, sums over free trees.

    Raises
    ------
    InputError
        Order out of range, further symbolic parameters, or no energy of this form.
    """
    number = check_order(order, "inertial")
    if number > _MAX_ORDER:
        raise InputError(f"order <= {_MAX_ORDER} for an energy", f"order = {number}")
    series = inertial_series(method, number)
    if series.ring.parameters:
        listed = ", ".join(str(s) for s in series.ring.parameters)
        raise InputError(
            "a method whose only symbolic parameter is the momentum",
            f"also {listed}",
            "give them values by method.with_values({...})",
        )
    levels = _levels(series, number)
    energies: list[Scalar] = []
    losses: list[Scalar] = []
    for k in range(number + 1):
        known: Scalar = {}
        for j, earlier in enumerate(energies):
            _accumulate(known, _rate(earlier, levels, k - j), flint.fmpq(1))
        if k == 0:
            # the normalisation: the energy contains F once, and P = -F
            start = {FIELD: flint.fmpq(-1)}
            _accumulate(known, _rate(start, levels, 0), flint.fmpq(1))
        found = _solve_level(known, levels, k)
        if found is None:
            raise InputError("a method with an energy of tree form", str(method))
        gained, lost = found
        energies.append({FIELD: flint.fmpq(-1)} | gained if k == 0 else gained)
        losses.append(lost)
    return Energy(number, _assembled("E", energies, 1), _assembled("R", losses, 2))


def _levels(series: InertialSeries, order: int) -> list[Scalar]:
    """Return the coefficients of F(tau) in Phi at each power of x, in units of lambda."""
    levels: list[Scalar] = [{} for _ in range(order + 1)]
    for tau, element in series.acceleration.items():
        for k, value in enumerate(series.coefficients(element)):
            if value != 0:
                levels[k][tau] = to_fmpq(sp.Rational(value)) / tau.symmetry
    return levels


def _accumulate(total: Scalar, extra: Scalar, factor: flint.fmpq) -> None:
    for tau, value in extra.items():
        total[tau] = total.get(tau, flint.fmpq(0)) + factor * value


def _rate(scalar: Scalar, levels: list[Scalar], power: int) -> Scalar:
    """Return the part of the time derivative of a scalar that carries `x^power`."""
    result: Scalar = {}
    for tau, value in scalar.items():
        _accumulate(result, _rate_of(tau, levels[power], with_drift=power == 0), value)
    return result


def _rate_of(tau: Tree, phi: Scalar, *, with_drift: bool) -> Scalar:
    result: Scalar = {}
    if tau is VELOCITY:
        for theta, value in phi.items():
            # <v, F(theta)> is the scalar of theta with a velocity leaf on its root
            target = VELOCITY if theta is VELOCITY else free_tree(_with_leaf(theta))
            _accumulate(result, {target: value}, flint.fmpq(2))
        return result
    if with_drift:
        for grown, times in _grown(tau).items():
            _accumulate(result, {free_tree(grown): flint.fmpq(times)}, flint.fmpq(1))
    if tau.velocities:
        for theta, value in phi.items():
            for replaced, times in _replaced(tau, theta).items():
                _accumulate(result, {free_tree(replaced): flint.fmpq(times)}, value)
    return result


def _with_leaf(tau: Tree) -> Tree:
    return graft_root([*tau.children, VELOCITY])


def _grown(tau: Tree) -> Counter[Tree]:
    """Return the trees with one velocity leaf more, at each vertex in turn."""
    found: Counter[Tree] = Counter({_with_leaf(tau): 1})
    for child, times in tau.branches:
        if child is not VELOCITY:
            rest = list(tau.children)
            rest.remove(child)
            for grown, ways in _grown(child).items():
                found[graft_root([*rest, grown])] += ways * times
    return found


def _replaced(tau: Tree, theta: Tree) -> Counter[Tree]:
    """Return the trees with one velocity leaf replaced by `theta`, each leaf in turn."""
    found: Counter[Tree] = Counter()
    for child, times in tau.branches:
        rest = list(tau.children)
        rest.remove(child)
        options = {theta: 1} if child is VELOCITY else _replaced(child, theta)
        for replaced, ways in options.items():
            found[graft_root([*rest, replaced])] += ways * times
    return found


def _scalars(nodes: int) -> list[Tree]:
    """Return `|v|^2` and the free trees of at most `nodes` nodes but the lone vertex."""
    free = {free_tree(tau) for tau in trees_up_to(nodes, velocity=True)} - {FIELD}
    ordered = sorted(free, key=lambda tau: (tau.order, tau.velocities, tau.text))
    return [VELOCITY, *ordered]


def _degree(tau: Tree) -> int:
    return 2 if tau is VELOCITY else tau.velocities


def _solve_level(known: Scalar, levels: list[Scalar], k: int) -> tuple[Scalar, Scalar] | None:
    """Return E_k and R_k with `rate_0(E_k) + R_k = -known`, or None."""
    largest = max([k + 1, *(tau.order for tau in known)])
    gains = _scalars(max(1, largest - 1))
    # the rate of a scalar may have two nodes more than the scalar
    losses = [tau for tau in _scalars(largest + 1) if _degree(tau) >= 2]
    losses.sort(key=lambda tau: (_degree(tau), tau.order))  # those avoided first come last
    columns: list[Scalar] = [_rate_of(tau, levels[0], with_drift=True) for tau in gains]
    columns += [{tau: flint.fmpq(1)} for tau in losses]
    rows = sorted({tau for c in [*columns, known] for tau in c}, key=lambda t: (t.order, t.text))
    place = {tau: i for i, tau in enumerate(rows)}
    matrix = flint.fmpq_mat(len(rows), len(columns) + 1)
    for j, column in enumerate(columns):
        for tau, value in column.items():
            matrix[place[tau], j] = value
    for tau, value in known.items():
        matrix[place[tau], len(columns)] = -value
    reduced, rank = matrix.rref()
    solution = [flint.fmpq(0)] * len(columns)
    for i in range(rank):
        pivot = next(j for j in range(len(columns) + 1) if reduced[i, j] != 0)
        if pivot == len(columns):
            return None
        solution[pivot] = reduced[i, len(columns)]
    gained = {tau: value for tau, value in zip(gains, solution, strict=False) if value != 0}
    lost = {
        tau: value for tau, value in zip(losses, solution[len(gains) :], strict=True) if value != 0
    }
    return gained, lost


def _assembled(name: str, levels: list[Scalar], dimension: int) -> EnergyPart:
    """Put eps and lambda back: a scalar of n nodes carries `lambda^(n - dimension)`."""
    totals: dict[Tree, sp.Expr] = {}
    for k, level in enumerate(levels):
        for tau, value in level.items():
            n = 2 if tau is VELOCITY else tau.order
            term = to_rational(value) * symbols.eps**k * symbols.lam ** (n - dimension - k)
            totals[tau] = totals.get(tau, sp.S.Zero) + term
    ordered = sorted(
        totals, key=lambda tau: (tau is not FIELD, tau is not VELOCITY, tau.order, tau.text)
    )
    return EnergyPart(name, tuple((tau, totals[tau]) for tau in ordered))
