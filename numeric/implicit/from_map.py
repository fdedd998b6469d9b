"""The potential of a user's own parametrisation, derived and compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from momentumflow.base.errors import InputError
from momentumflow.numeric.implicit.derived import DerivedPotential
from momentumflow.numeric.validation import FloatArray, float_array


def potential_of_map(
    parameter: Any,
    start: Mapping[str, ArrayLike],
    *,
    domain: tuple[float, float] = (-np.inf, np.inf),
    dual_domain: tuple[float, float] = (-np.inf, np.inf),
) -> DerivedPotential:
    """Derive the potential under which gradient flow on `theta = G(w)` is a mirror flow.

    SymPy derives psi', psi'' and the inverse of psi' from the map
    (`momentumflow.symbolic.mirror_flow`); `kernel` compiles them.

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
    DerivedPotential
        With the starting point as its reference: what `implicit_solution` takes
        as `potential`.

    Raises
    ------
    InputError
        A map without a closed mirror flow, missing or surplus weights, a
        weight that starts at zero.
    """
    import sympy as sp

    from momentumflow.symbolic.codegen.compiled import kernel
    from momentumflow.symbolic.networks.mirror_flows import mirror_flow, mu
    from momentumflow.symbolic.symbols import theta

    flow = mirror_flow(parameter)
    if flow.gradient is None:
        raise InputError(
            "a map whose mirror potential has a closed form",
            f"{flow.parameter}",
            "give DerivedPotential the functions yourself",
        )
    names = {str(weight): weight for weight in flow.rotation}
    if set(start) != set(names):
        raise InputError(f"a start for {', '.join(names)}", f"{', '.join(start) or 'none'}")
    values = [float_array(name, start[name]) for name in names]
    # straightened weights as combinations of the user's
    straight = [item.weight for item in flow.weights]
    solved = sp.solve(
        [weight - expression for weight, expression in flow.rotation.items()], straight, dict=True
    )[0]
    starts: list[FloatArray] = [
        kernel(solved.get(w, w), list(flow.rotation))(*values) for w in straight
    ]
    if any(np.any(s == 0) for s in starts):
        raise InputError(
            "straightened weights that start away from zero",
            f"a zero among {', '.join(str(solved.get(w, w)) for w in straight)}",
        )
    symbols = [item.start for item in flow.weights]
    gradient = kernel(flow.gradient, [theta, *symbols], name="gradient")
    curvature = kernel(sp.diff(flow.gradient, theta), [theta, *symbols], name="curvature")
    inverse = kernel(flow.dual_map, [mu, *symbols], name="inverse")
    reference = inverse(0.0, *starts)
    return DerivedPotential(
        gradient=gradient,
        curvature=curvature,
        inverse=inverse,
        parameters=tuple(np.abs(s) for s in starts),
        reference=reference,
        domain=domain,
        dual_domain=dual_domain,
        name=f"potential of {flow.parameter}",
    )
