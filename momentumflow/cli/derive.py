"""`momentumflow derive`: what a momentum method follows, derived from its update rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from momentumflow.base.errors import InputError
from momentumflow.cli.completion import choices
from momentumflow.cli.stated_methods import METHODS, stated_method

if TYPE_CHECKING:
    from momentumflow.symbolic import MomentumMethod, TreeSeries

TOPICS = (
    "equation",
    "map",
    "loss",
    "energy",
    "scaling",
    "friction",
    "quadratic",
    "mirror",
)
FORMATS = ("text", "latex", "indices", "table", "json", "document", "module")


def derive(
    method: Annotated[
        str,
        typer.Argument(
            help=f"{', '.join(METHODS)}, or a recurrence in quotes.",
            autocompletion=choices(*METHODS),
        ),
    ] = "heavy_ball",
    *,
    what: Annotated[
        str, typer.Option(help=f"One of {', '.join(TOPICS)}.", autocompletion=choices(*TOPICS))
    ] = "equation",
    order: Annotated[int, typer.Option(help="Highest power of eps (inertial) or gamma.")] = 2,
    regime: Annotated[
        str,
        typer.Option(
            help="inertial (lambda fixed) or slow (gamma to zero).",
            autocompletion=choices("inertial", "slow"),
        ),
    ] = "inertial",
    style: Annotated[
        str,
        typer.Option(
            "--format", help=f"One of {', '.join(FORMATS)}.", autocompletion=choices(*FORMATS)
        ),
    ] = "text",
    as_json: Annotated[
        bool, typer.Option("--json/--no-json", help="The same as --format json, for every topic.")
    ] = False,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", help="An exact parameter value, such as nu=7/10; repeatable."),
    ] = None,
    tree: Annotated[
        str | None,
        typer.Option(help="Only the coefficient of this tree, such as \"[[],[]]\" for f''(f,f)."),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(help="Write the equation out for this loss, such as 1-cos(x)."),
    ] = None,
    of: Annotated[str, typer.Option(help="With loss: of the flow or of the map.")] = "flow",
    parametrisation: Annotated[
        str, typer.Option("--map", help="With mirror: theta as a map of weights, such as u*v.")
    ] = "u*v",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file instead.")
    ] = None,
) -> None:
    r"""Derive the differential equation that a momentum method follows, exactly.

    The method is one of the known ones or a recurrence, for example
    "w\[k+1] = w\[k] + beta*(w\[k]-w\[k-1]) + gamma*f(w\[k])" with f = -grad F. The
    other topics are its memoryless map, modified loss, energy, scaling, friction
    and flow on quadratics, and the mirror flow of a reparametrisation.
    """
    from momentumflow.symbolic.codegen.exports import write_text

    for name, given, options in (
        ("--what", what, TOPICS),
        ("--format", style, FORMATS),
    ):
        if given not in options:
            raise InputError(f"{name} to be one of {', '.join(options)}", repr(given))
    if as_json and style not in ("text", "json"):
        raise InputError("one of --json and --format", "both")
    style = "json" if as_json else style
    if what == "mirror":
        text = _mirror(parametrisation, style)
    else:
        stated = stated_method(method, values or [])
        if what in ("equation", "map"):
            text = _series(stated, what, order, regime, style, tree, loss)
        else:
            text = _OTHERS[what](stated, order, style, of)
    if output is None:
        typer.echo(text)
    else:
        write_text(output, text if text.endswith("\n") else text + "\n")


def _series(
    method: MomentumMethod,
    what: str,
    order: int,
    regime: str,
    style: str,
    tree: str | None,
    loss: str | None,
) -> str:
    from momentumflow.symbolic import memoryless_map, modified_equation

    if what == "map":
        series: TreeSeries = memoryless_map(method, order)
        start = None
    else:
        equation = modified_equation(method, order, regime)  # type: ignore[arg-type]
        series, start = equation, equation.initial_velocity
    if tree is not None:
        coefficient = _one_line(series.coefficient(tree), style)
        return _json(method, tree=tree, coefficient=coefficient) if style == "json" else coefficient
    if loss is not None:
        lines = _written_out(series, start, loss, style)
        if style == "json":
            return _json(method, loss=loss, equations=dict(lines))
        return "\n".join(f"{left} = {right}" for left, right in lines)
    if style == "table":
        return _table(series)
    if style == "json":
        return _json(
            method,
            left_hand_side=series.left_hand_side,
            terms=series.table(),
            initial_velocity=None if start is None else start.table(),
        )
    if style == "document":
        return series.to_latex_document()
    if style == "module":
        return series.to_module()
    if style == "text":
        return "\n".join(str(part) for part in (series, start) if part is not None)
    notation: Any = "indices" if style == "indices" else "derivatives"
    return "\n".join(part.latex(notation) for part in (series, start) if part is not None)


def _json(method: MomentumMethod | None, **found: Any) -> str:
    stated = {} if method is None else {"method": str(method)}
    return json.dumps(stated | found, indent=2, ensure_ascii=False)


def _written_out(
    series: TreeSeries, start: TreeSeries | None, loss: str, style: str
) -> list[tuple[str, str]]:
    """Write a series out for a loss: the two sides of each component, then the start."""
    import sympy as sp

    from momentumflow.symbolic.series.right_hand_side import check_loss

    expr, names = check_loss(loss, None)
    speed = [sp.Symbol(f"{x.name}'", real=True) for x in names]
    values = series.specialise(expr, names, speed)
    lines = []
    for x, value in zip(names, values, strict=True):
        # the left-hand side of this component: w'' becomes x''
        left = series.left_hand_side.replace("w", x.name)
        lines.append((left, _one_line(value, style)))
    if start is not None:
        for x, value in zip(names, start.specialise(expr, names), strict=True):
            lines.append((f"{x.name}'(0)", _one_line(value, style)))
    return lines


def _one_line(expr: Any, style: str) -> str:
    import sympy as sp

    write = sp.latex if style in ("latex", "indices") else sp.sstr
    return str(write(expr, order="rev-lex"))


def _table(series: TreeSeries) -> str:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title=f"{series.left_hand_side} = sum of")
    for heading in ("tree", "differential", "symmetry", "coefficient"):
        table.add_column(heading, justify="right" if heading == "symmetry" else "left")
    for row in series.table():
        table.add_row(
            *(str(row[key]) for key in ("tree", "differential", "symmetry")), row["coefficient"]
        )
    console = Console(width=200, highlight=False, markup=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip()


def _displayed(method: MomentumMethod | None, item: Any, style: str, **more: Any) -> str:
    if style == "text":
        return str(item)
    if style == "latex":
        return str(item._repr_latex_())
    if style == "json":
        latex = str(item._repr_latex_()).removeprefix("$\\displaystyle").strip("$ ")
        return _json(method, text=str(item), latex=latex, **more)
    raise InputError("--format text, latex or json for this topic", repr(style))


def _loss(method: MomentumMethod, order: int, style: str, of: str) -> str:
    from momentumflow.symbolic import modified_loss

    found = modified_loss(method, order, of)  # type: ignore[arg-type]
    return _displayed(method, found, style, order=found.order, status=found.status.name)


def _energy(method: MomentumMethod, order: int, style: str, of: str) -> str:
    from momentumflow.symbolic import energy

    return _displayed(method, energy(method, order), style, order=order)


def _quadratic(method: MomentumMethod, order: int, style: str, of: str) -> str:
    from momentumflow.symbolic import principal_flow

    return _displayed(method, principal_flow(method), style)


def _scaling(method: MomentumMethod, order: int, style: str, of: str) -> str:
    from momentumflow.symbolic import acceleration_rule, intrinsic_parameter, refined_parameter
    from momentumflow.symbolic.equations.intrinsic_parameters import time_step

    rows = {
        "lambda": intrinsic_parameter(method),
        "eps": time_step(method),
        **{f"lambda through eps^{k}": refined_parameter(method, k) for k in range(1, order + 1)},
    }
    rule = acceleration_rule(method)
    written = {name: _one_line(value, style) for name, value in rows.items()}
    powers = {name: str(power) for name, power in rule.exponents.items()}
    if style == "json":
        faster = {str(symbol): _one_line(value, style) for symbol, value in rule.parameters.items()}
        return _json(method, **written, faster=faster, powers=powers)
    lines = [f"{name} = {value}" for name, value in written.items()]
    lines.append(f"same path, rho times faster: {rule.latex() if style == 'latex' else rule}")
    lines.append(f"powers of rho: {', '.join(': '.join(item) for item in powers.items())}")
    return "\n".join(lines)


def _friction(method: MomentumMethod, order: int, style: str, of: str) -> str:
    from momentumflow.symbolic import friction, friction_identities

    value = _one_line(friction(method), style)
    proofs = [str(identity.prove()) for identity in friction_identities(method)]
    if style == "json":
        return _json(method, friction=value, equation="w'' = mu (f - w') + ...", proofs=proofs)
    return "\n".join([f"mu = {value}, in w'' = mu (f - w') + ...", *proofs])


def _mirror(parametrisation: str, style: str) -> str:
    from momentumflow.symbolic import mirror_flow

    return _displayed(None, mirror_flow(parametrisation), style, map=parametrisation)


_OTHERS: dict[str, Callable[[Any, int, str, str], str]] = {
    "loss": _loss,
    "energy": _energy,
    "scaling": _scaling,
    "friction": _friction,
    "quadratic": _quadratic,
}
