"""The potential of a user's own parametrisation, derived and compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy as sp

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import FloatArray, Reals, floats
from momentumflow.base.errors import InputError
from momentumflow.numeric.implicit.compiled_maps import numeric_weights
from momentumflow.numeric.implicit.derived import DerivedPotential, Interval
from momentumflow.numeric.implicit.network_potential import NetworkPotential
from momentumflow.symbolic.codegen.compiled import kernel
from momentumflow.symbolic.expressions import Formula
from momentumflow.symbolic.networks.diagonal_network import SeparableNetwork
from momentumflow.symbolic.networks.mirror_flows import mirror_flow
from momentumflow.symbolic.networks.straightening import Straightening, mu, straightened
from momentumflow.symbolic.symbols import theta


@checked
def potential_of_map(
    parameter: Formula | SeparableNetwork,
    start: Mapping[str, Reals],
    *,
    domain: Interval = (-np.inf, np.inf),
    dual_domain: Interval = (-np.inf, np.inf),
) -> DerivedPotential | NetworkPotential:
    """Derive the potential under which gradient flow on `theta = G(w)` is a mirror flow.

    SymPy derives psi', psi'' and the inverse of psi' from the map
    (`momentumflow.symbolic.mirror_flow`); `kernel` compiles them. Where they have no closed
    form, the weights are followed in their straightening coordinates, by a quadrature and
    a root between bounds where these have none either. Before the
    potential is returned, gradient flow is integrated from the start given, on
    both sides of it, and compared.

    Parameters
    ----------
    parameter : expression, str or SeparableNetwork
        G, such as "u*v" or "u**2 - v**2".
    start : mapping of str to array_like, shape (..., d) or scalar
        The initial weights by name. With momentum, hand over the weights
        perturbed by the remainders, as the limit theorem does.
    domain, dual_domain : (float, float)
        Open intervals of theta and of psi'; the real line if not given. For
        "u**2" the domain is (0, inf).

    Returns
    -------
    DerivedPotential or NetworkPotential
        With the starting point as its reference: what `implicit_solution` takes
        as `potential`.

    Raises
    ------
    InputError
        A map that is not separable, missing or surplus weights, a weight that starts
        at a critical point of the map.
    """
    expr = parameter.parameter if isinstance(parameter, SeparableNetwork) else parameter
    names = sorted(expr.free_symbols, key=str)
    if set(start) != {str(name) for name in names}:
        wanted = ", ".join(map(str, names))
        raise InputError(f"a start for {wanted}", f"{', '.join(start) or 'none'}")
    values = [floats(start[str(name)]) for name in names]
    found = straightened(expr)
    flow = None if found.obstacles else mirror_flow(expr)
    if flow is None or flow.gradient is None:
        return _by_weights(found, values, domain)
    # A weight that starts below zero is the mirror image of one that starts above.
    signs = [-1 if np.all(value < 0) else 1 for value in values]
    flipped = {name: sign * name for name, sign in zip(names, signs, strict=True)}
    values = [sign * value for sign, value in zip(signs, values, strict=True)]
    flow = mirror_flow(expr.xreplace(flipped))
    if flow.gradient is None:
        return _by_weights(found, [floats(start[str(name)]) for name in names], domain)
    # straightened weights as combinations of the user's
    rotated = sorted(set().union(*(e.free_symbols for e in flow.rotation.values())), key=str)
    solved = sp.solve(
        [weight - expression for weight, expression in flow.rotation.items()], rotated, dict=True
    )[0]
    straight = [solved[item.weight] for item in flow.weights]
    starts = [kernel(w, list(flow.rotation))(*values) for w in straight]
    if any(np.any(s == 0) for s in starts):
        raise InputError(
            "straightened weights that start away from zero",
            f"a zero among {', '.join(map(str, straight))}",
        )
    begins = [item.start for item in flow.weights]
    gradient = kernel(flow.gradient, [theta, *begins], name="gradient")
    curvature = kernel(sp.diff(flow.gradient, theta), [theta, *begins], name="curvature")
    inverse = kernel(flow.dual_map, [mu, *begins], name="inverse")
    parameters = tuple(np.abs(s) for s in starts)
    _hold_against_flow(flow, values, gradient, inverse, parameters)
    return DerivedPotential(
        gradient=gradient,
        curvature=curvature,
        inverse=inverse,
        parameters=parameters,
        reference=np.asarray(kernel(flow.parameter, list(flow.rotation))(*values), dtype=float),
        domain=domain,
        dual_domain=dual_domain,
        name=f"potential of {expr}",
    )


def _by_weights(
    found: Straightening, values: list[FloatArray], domain: tuple[float, float]
) -> NetworkPotential:
    """Return the potential that follows each straightened weight, held against the flow."""
    weights = numeric_weights(found)
    straight = kernel(list(found.coordinates.values()), list(found.rotation), name="straight")
    starts = straight(*values)
    for weight, at in zip(weights, starts, strict=True):
        push = np.asarray(weight.push(at))
        if np.any((push == 0) | ~np.isfinite(push)):
            raise InputError(
                f"weights that start where {found.parameter} has a slope other than 0",
                f"{weight.name} = {np.ravel(at)[0]:g}",
            )
    potential = NetworkPotential(
        weights,
        tuple(starts),
        tuple(np.zeros(np.shape(at)) for at in starts),
        name=f"potential of {found.parameter}",
        domain=domain,
    )
    _hold_against_flow(found, values, potential.mirror, potential.primal, ())
    return potential


def _hold_against_flow(
    flow: Straightening,
    values: list[FloatArray],
    gradient: Callable[..., Any],
    inverse: Callable[..., Any],
    parameters: tuple[FloatArray, ...],
) -> None:
    """Integrate gradient flow on the user's own weights and compare, on both sides of the start.

    Raises
    ------
    InputError
        If the derived potential does not describe that flow from this start.
    """
    weights = list(flow.rotation)
    slopes = kernel([sp.diff(flow.parameter, w) for w in weights], weights)
    theta_of = kernel(flow.parameter, weights)
    begin = np.stack(np.broadcast_arrays(*values))

    def speed(state: FloatArray) -> FloatArray:
        return np.stack([np.broadcast_to(s, state.shape[1:]) for s in slopes(*state)])

    with np.errstate(all="ignore"):
        # a twentieth of the time in which a weight changes by the size of the largest
        reach = 0.05 * np.max(np.abs(begin), axis=0) / np.max(np.abs(speed(begin)), axis=0)
        for sign in (0.0, 1.0, -1.0):
            time, steps = sign * reach, 40
            state, h = begin, sign * reach / 40
            for _ in range(steps):
                a = speed(state)
                b = speed(state + h * a / 2)
                c = speed(state + h * b / 2)
                state = state + h * (a + 2 * b + 2 * c + speed(state + h * c)) / 6
            there = theta_of(*state)
            found = gradient(there, *parameters)
            back = inverse(time, *parameters)
            moved = np.max(np.abs(state - begin)) + np.max(np.abs(begin))
            right = np.abs(found - time) <= 1e-6 * (reach + np.abs(time))
            right &= np.abs(back - there) <= 1e-6 * (np.abs(there) + moved * 1e-3)
            if not np.all(right):
                raise InputError(
                    "a start on the branch on which the potential was derived",
                    f"one from which it does not describe the flow of {flow.parameter}",
                    "start every weight on one side of zero, where the map is monotone",
                )
