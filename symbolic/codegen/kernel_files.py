"""Importable modules of generated kernels: one for a method, a network and a backend.

`write_kernels` is the door for the package's own kernels and for a user's:
every module states the derivation it came from, and regenerating it gives the
same text, which a test holds against the committed files.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from functools import lru_cache
from pathlib import Path

import jinja2
import sympy as sp

from momentumflow.base.arguments import FileName, checked
from momentumflow.base.choices import Backend
from momentumflow.base.errors import InputError
from momentumflow.base.files import write_whole
from momentumflow.symbolic.codegen.compiled import emit, identifier
from momentumflow.symbolic.codegen.remainder_laws import (
    PENDING,
    SPENT,
    RemainderLaw,
    alone,
)
from momentumflow.symbolic.codegen.update_rule import GRADIENT_SUM, FlowField, Step, successor
from momentumflow.symbolic.methods.momentum_methods import (
    GradientDescent,
    HeavyBall,
    MomentumMethod,
    Nesterov,
)
from momentumflow.symbolic.networks.diagonal_network import DiagonalNetwork, SeparableNetwork
from momentumflow.symbolic.networks.polar_flow import (
    PolarFlow,
    cosine,
    kappa,
    push,
    sigma,
    square,
)
from momentumflow.symbolic.symbols import beta, g, gamma, lam

_log = logging.getLogger(__name__)

# Backend: what expressions are printed for, and the suffix of the file.
BACKENDS = {
    "numba": ("math", ".py"),
    "numpy": ("numpy", ".py"),
    "jax": ("jax", ".py"),
    "torch": ("torch", ".py"),
    "c": ("c", ".c"),
}
# Committed in momentumflow/numeric/runs/kernels; the others are written on demand.
COMMITTED_BACKENDS: tuple[Backend, ...] = ("numba", "numpy")
COMMITTED_METHODS = (HeavyBall(), Nesterov(), GradientDescent())


def python_name(text: str) -> str:
    """Return `text` as a module name: "heavy ball" becomes heavy_ball."""
    name = "_".join(text.lower().replace("-", " ").split())
    if not name.isidentifier():
        raise InputError("a name that can be a module's", repr(text))
    return name


def module_name(method: MomentumMethod, network: SeparableNetwork, backend: str) -> str:
    """Return the name of the generated module, such as heavy_ball_diagonal_numba.

    What does not ship with the package has a digest in its name: methods of a user's
    own, or one method with two values of a parameter, may be called the same.
    """
    name = f"{python_name(method.name)}_{python_name(network.name)}"
    if method not in COMMITTED_METHODS or network != DiagonalNetwork().balanced:
        stated = f"{method.equation} on {network.parameter}"
        name += f"_{hashlib.sha256(stated.encode()).hexdigest()[:8]}"
    return f"{name}_{backend}"


@checked
def kernel_file_name(method: MomentumMethod, network: SeparableNetwork, backend: Backend) -> str:
    """Return the name of the generated file, with its suffix.

    Parameters
    ----------
    method : MomentumMethod
    network : SeparableNetwork
    backend : str
        One of the keys of `BACKENDS`: numba, numpy, jax, torch or c.

    Returns
    -------
    str
    """
    return module_name(method, network, backend) + BACKENDS[backend][1]


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("momentumflow.symbolic.codegen", "templates"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )


@lru_cache(maxsize=1)
def _loops() -> str:
    """Return the loops that a numba module ends with: a file of the numeric room, as text.

    Nothing of that room is imported: its code is material here, as the templates are.
    """
    room = importlib.util.find_spec("momentumflow.numeric")
    assert room is not None
    assert room.submodule_search_locations is not None
    file = Path(room.submodule_search_locations[0]) / "runs" / "descent_loops.py"
    _, mark, text = file.read_text(encoding="utf-8").partition("# Below: ")
    return (mark + text).rstrip("\n")


@checked
def kernel_source(
    method: MomentumMethod, network: SeparableNetwork, backend: Backend = "numba"
) -> str:
    """Return the source of the module for `method` on `network`.

    Parameters
    ----------
    method : MomentumMethod
    network : SeparableNetwork
    backend : str
        One of the keys of `BACKENDS`: numba, numpy, jax, torch or c.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If the backend is unknown, the method is not of the form that
        `momentumflow.symbolic.codegen.update_rule.Step` accepts, or one of its
        parameters has no value.
    """
    step = Step(method, network)
    step.require_values()
    modules, suffix = BACKENDS[backend]
    rule = step.realisation
    law = RemainderLaw(method, network) if alone(network) else None
    numerators, denominators = law.quotients if law else ((), ())
    totals = law.totals if law else ()
    total_arguments: tuple[sp.Symbol, ...] = (*step.state, SPENT, PENDING)
    if backend not in COMMITTED_BACKENDS:  # those run at constant parameters, and sum g itself
        constant = {SPENT: rule.time_step * GRADIENT_SUM, PENDING: rule.pending}
        totals = tuple(total.subs(constant) for total in totals)
        total_arguments = (*step.state, GRADIENT_SUM, gamma, beta)
    p_next = tuple(successor(p) for p in step.displacements)
    w_next = tuple(successor(w) for w in step.weights)
    moved = (*step.state, *w_next, *p_next, *step.settings)
    parts = {
        "parameter": emit([step.parameter], (*step.state, beta), modules=modules),
        "displacements": emit(
            step.displacement_updates, (*step.state, *step.settings), modules=modules
        ),
        "weight_updates": emit(step.weight_updates, moved, modules=modules, prefix="u"),
        "increments": emit(
            (*numerators, *denominators), (*moved, PENDING), modules=modules, prefix="q"
        ),
        "totals": emit(totals, total_arguments, modules=modules),
        "effect": emit([rule.gain + rule.push * PENDING], (gamma, beta, PENDING), modules=modules),
        "decay": emit([rule.decay], (beta,), modules=modules),
    }
    code = "".join(line for e in parts.values() for line in (*e.assignments, *e.results))
    return (
        _templates()
        .get_template(f"{backend}_descent{suffix}.j2")
        .render(
            title=f"{method.name} on the {network.name} network, {backend}.",
            method=f"{method.equation.lhs} = {method.equation.rhs}",
            method_name=python_name(method.name),
            network=network.parameter,
            network_name=python_name(network.name),
            m=len(step.weights),
            carried=step.carried,
            weights=[identifier(w) for w in step.weights],
            w_next=[identifier(w) for w in w_next],
            p_next=[identifier(p) for p in p_next],
            displacement_names=[identifier(p) for p in step.displacements],
            prefix=f"{python_name(method.name)}_{python_name(network.name)}",
            remainders=law is not None,
            regular=_regular(network),
            uses_math="math." in code,
            uses_numpy="np." in code,
            loops=_loops() if backend == "numba" else "",
            **parts,
        )
    )


def _regular(network: SeparableNetwork) -> tuple[float, ...]:
    """Return 1 for each weight that zero is no critical point of, 0 for the others."""
    at_zero = dict.fromkeys(network.coordinates, 0)
    return tuple(float(sp.simplify(f.subs(at_zero)) != 0) for f in network.force)


def render_flow(network: SeparableNetwork) -> str:
    """Return the source of the module for momentum gradient flow on `network`."""
    flow = FlowField(network)
    functions = (
        ("parameter", "Theta of one coordinate.", emit([network.parameter], flow.weights)),
        (
            "acceleration",
            "w'' of one coordinate, lambda > 0.",
            emit(flow.accelerations, (*flow.weights, *flow.velocities, g, lam)),
        ),
        (
            "gradient_velocity",
            "w' of one coordinate under gradient flow, lambda = 0.",
            emit(network.force, (*flow.weights, g)),
        ),
    )
    code = "".join(line for _, _, e in functions for line in (*e.assignments, *e.results))
    return (
        _templates()
        .get_template("numba_flow.py.j2")
        .render(
            network=network.parameter,
            network_name=python_name(network.name),
            m=len(flow.weights),
            functions=functions,
            uses_math="math." in code,
        )
    )


def render_polar_flow(network: SeparableNetwork) -> str:
    """Return the source of the module for the flow on `network` in polar coordinates."""
    flow = PolarFlow(network)
    arguments = (sigma, cosine, push, lam, square, kappa)
    functions = (
        ("field", "M' and lambda chi' of one weight.", emit(flow.field, arguments)),
        (
            "slopes",
            "Derivatives of M' and lambda chi' in chi, then in s g.",
            emit(flow.slopes, arguments),
        ),
        (
            "square_slopes",
            "Derivatives of w^2 in M and in chi, over rho^2.",
            emit(flow.square_slopes, (sigma, cosine, lam, square)),
        ),
    )
    return (
        _templates()
        .get_template("numba_polar_flow.py.j2")
        .render(
            network=network.parameter,
            network_name=python_name(network.name),
            signs=tuple(map(float, flow.signs)),
            squares=tuple(map(float, flow.squares)),
            functions=functions,
        )
    )


_LIMIT_DOCS = {
    "parameter": "Theta of one coordinate.",
    "balancedness": "|w_+ w_-| of one coordinate.",
    "log_balancedness": "ln Delta_inf, Delta_inf = Delta_0 exp(-(S_+ + S_-)).",
    "shift": "asinh(2 theta_tilde_0/Delta_inf), without cancellation.",
    "perturbed_parameter": "theta_tilde_0, the perturbed initialisation.",
    "remainder_plus": "S_+ of a run at rest at both ends, G the integral of g.",
    "remainder_minus": "S_- of a run at rest at both ends, G the integral of g.",
}


def render_limit(network: DiagonalNetwork) -> str:
    """Return the source of the module that a run takes its limit theorem from."""
    functions = [
        (name, _LIMIT_DOCS[name], emit([value], arguments, modules="numpy"))
        for name, (value, arguments) in network.limit_theorem.items()
    ]
    return (
        _templates()
        .get_template("numpy_limit.py.j2")
        .render(network_name=python_name(network.balanced.name), functions=functions)
    )


@checked
def write_kernels(
    directory: FileName,
    method: MomentumMethod | None = None,
    network: SeparableNetwork | None = None,
    backend: Backend = "numba",
) -> Path:
    """Write an importable module of kernels.

    Parameters
    ----------
    directory : str or Path
        Folder to write to; made if it does not exist.
    method : MomentumMethod
        A two-point method; heavy ball if not given.
    network : SeparableNetwork
        The parametrisation; the diagonal network in w_pm if not given.
    backend : str
        "numba", "numpy", "jax", "torch" or "c". Nothing of the backend need be
        installed to write its module.

    Returns
    -------
    Path
        The file written, named after method, network and backend.

    Raises
    ------
    InputError
        If the folder cannot be written, or as `kernel_source` does.
    """
    method = HeavyBall() if method is None else method
    network = DiagonalNetwork().balanced if network is None else network
    source = kernel_source(method, network, backend)
    target = Path(directory) / kernel_file_name(method, network, backend)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, source)
    except OSError as error:
        raise InputError("a folder to write kernels to", f"{target.parent} ({error})") from error
    _log.info("kernels of %s on %s for %s: %s", method.name, network.name, backend, target)
    return target


def committed_kernels() -> dict[str, str]:
    """Return the modules that the package carries, as they are generated today.

    Returns
    -------
    dict of str to str
        File name and source of every module in momentumflow/numeric/runs/kernels.
    """
    network = DiagonalNetwork()
    modules = {
        kernel_file_name(method, network.balanced, backend): kernel_source(
            method, network.balanced, backend
        )
        for method in COMMITTED_METHODS
        for backend in COMMITTED_BACKENDS
    }
    return {
        **modules,
        "momentum_flow_diagonal_numba.py": render_flow(network.balanced),
        "polar_flow_diagonal_numba.py": render_polar_flow(network.balanced),
        "limit_theorem_diagonal_numpy.py": render_limit(network),
    }
