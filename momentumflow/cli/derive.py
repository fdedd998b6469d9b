"""`momentumflow derive`: what a momentum method follows, derived from its update rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import typer

from momentumflow import symbolic
from momentumflow.base.choices import Followed, Regime
from momentumflow.base.errors import InputError
from momentumflow.base.files import write_text
from momentumflow.cli.groups import Group
from momentumflow.cli.options import Json, MethodArgument, Values
from momentumflow.cli.stated_methods import stated_method
from momentumflow.cli.terminal import as_lines, table

app = typer.Typer(cls=Group, no_args_is_help=True)

SeriesFormat: TypeAlias = Literal["text", "latex", "indices", "table", "json", "document", "module"]
Format: TypeAlias = Literal["text", "latex", "json"]

_STATED = '"w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*f(w[k])"'.replace("[", r"\[")
_EXAMPLE = f"A recurrence reads {_STATED}, with f = -grad F."

SeriesStyle: TypeAlias = Annotated[
    SeriesFormat | None, typer.Option("--format", help="Form of the answer; text by default.")
]
Style: TypeAlias = Annotated[
    Format | None, typer.Option("--format", help="Form of the answer; text by default.")
]
Output: TypeAlias = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write to this file instead.")
]
Tree: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Only the coefficient of this tree, such as \"[[],[]]\" for f''(f,f)."),
]
Loss: TypeAlias = Annotated[
    str | None, typer.Option(help="Write it out for this loss, such as 1-cos(x).")
]
PowerOfGamma: TypeAlias = Annotated[int, typer.Option(min=1, help="Highest power of gamma.")]
PowerOfEps: TypeAlias = Annotated[int, typer.Option(min=1, help="Highest power of eps.")]


@app.callback()
def derive() -> None:
    """Derive what a momentum method follows, exactly.

    Each command takes a known method or a recurrence in quotes.
    """


@app.command(epilog=_EXAMPLE)
def equation(
    method: MethodArgument = "heavy_ball",
    *,
    order: Annotated[
        int,
        typer.Option(min=0, help="Highest power of eps (inertial) or gamma (slow, from 1 on)."),
    ] = 2,
    regime: Annotated[
        Regime, typer.Option(help="inertial: lambda stays fixed; slow: gamma tends to zero.")
    ] = "inertial",
    values: Values = None,
    tree: Tree = None,
    loss: Loss = None,
    style: SeriesStyle = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """The differential equation that training follows; order 0 is its leading part."""
    form, stated = _form(style, as_json), stated_method(method, values)
    if order == 0 and regime == "inertial":
        found = symbolic.leading_equation(stated)
    else:
        found = symbolic.modified_equation(stated, order, regime)
    _deliver(_series(stated, found, found.initial_velocity, form, tree, loss), output)


@app.command("map", epilog=_EXAMPLE)
def memoryless_map(
    method: MethodArgument = "heavy_ball",
    *,
    order: PowerOfGamma = 2,
    values: Values = None,
    tree: Tree = None,
    loss: Loss = None,
    style: SeriesStyle = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """The map without memory: the step from w_k to w_(k+1) on the slow manifold."""
    form, stated = _form(style, as_json), stated_method(method, values)
    found = symbolic.memoryless_map(stated, order)
    _deliver(_series(stated, found, None, form, tree, loss), output)


@app.command("loss", epilog=_EXAMPLE)
def modified_loss(
    method: MethodArgument = "heavy_ball",
    *,
    order: PowerOfGamma = 2,
    of: Annotated[
        Followed, typer.Option(help="The loss of the flow, or of the map without memory.")
    ] = "flow",
    values: Values = None,
    style: Style = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """The loss that the slow flow or map descends, as far as there is one."""
    form, stated = _form(style, as_json), stated_method(method, values)
    found = symbolic.modified_loss(stated, order, of)
    more = {"order": found.order, "status": found.status.name}
    _deliver(_displayed(stated, found, form, **more), output)


@app.command(epilog=_EXAMPLE)
def energy(
    method: MethodArgument = "heavy_ball",
    *,
    order: PowerOfEps = 2,
    values: Values = None,
    style: Style = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """An energy of the inertial equation, and the rate at which it is lost."""
    form, stated = _form(style, as_json), stated_method(method, values)
    _deliver(_displayed(stated, symbolic.energy(stated, order), form, order=order), output)


@app.command(epilog=_EXAMPLE)
def scaling(
    method: MethodArgument = "heavy_ball",
    *,
    order: PowerOfEps = 2,
    values: Values = None,
    style: Style = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """The parameters that alone decide the path, and the rule that keeps them."""
    form, stated = _form(style, as_json), stated_method(method, values)
    rows = {
        "lambda": symbolic.intrinsic_parameter(stated),
        "eps": symbolic.time_step(stated),
        **{
            f"lambda through eps^{k}": symbolic.refined_parameter(stated, k)
            for k in range(1, order + 1)
        },
    }
    rule = symbolic.acceleration_rule(stated)
    written = {name: _written(value, form) for name, value in rows.items()}
    powers = {name: str(power) for name, power in rule.exponents.items()}
    if form == "json":
        faster = {str(symbol): _written(value, form) for symbol, value in rule.parameters.items()}
        _deliver(_json(stated, **written, faster=faster, powers=powers), output)
        return
    lines = [f"{name} = {value}" for name, value in written.items()]
    lines.append(f"same path, rho times faster: {rule.latex() if form == 'latex' else rule}")
    lines.append(f"powers of rho: {', '.join(': '.join(item) for item in powers.items())}")
    _deliver("\n".join(lines), output)


@app.command(epilog=_EXAMPLE)
def friction(
    method: MethodArgument = "heavy_ball",
    *,
    values: Values = None,
    style: Style = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """The friction of the inertial equation, right to all orders, with its proof."""
    form, stated = _form(style, as_json), stated_method(method, values)
    value = _written(symbolic.friction(stated), form)
    proofs = [str(identity.prove()) for identity in symbolic.friction_identities(stated)]
    where = "w'' = mu (f - w') + ..."
    if form == "json":
        _deliver(_json(stated, friction=value, equation=where, proofs=proofs), output)
    else:
        _deliver("\n".join([f"mu = {value}, in {where}", *proofs]), output)


@app.command(epilog=_EXAMPLE)
def quadratic(
    method: MethodArgument = "heavy_ball",
    *,
    values: Values = None,
    style: Style = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """The flow on a quadratic loss, in closed form."""
    form, stated = _form(style, as_json), stated_method(method, values)
    _deliver(_displayed(stated, symbolic.principal_flow(stated), form), output)


@app.command(epilog='Example: momentumflow derive mirror "u**2 - v**2"')
def mirror(
    parametrisation: Annotated[
        str, typer.Argument(metavar="MAP", help="theta as a map of weights.")
    ] = "u*v",
    *,
    style: Style = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """The mirror flow of theta where theta is a map of weights."""
    form = _form(style, as_json)
    found = symbolic.mirror_flow(parametrisation)
    _deliver(_displayed(None, found, form, map=parametrisation), output)


def _form(style: SeriesFormat | None, as_json: bool) -> SeriesFormat:
    if as_json and style not in (None, "json"):
        raise InputError("one of --json and --format", "both")
    return "json" if as_json else style or "text"


def _deliver(text: str, output: Path | None) -> None:
    if output is None:
        typer.echo(text)
    else:
        write_text(output, text if text.endswith("\n") else text + "\n")


def _series(
    method: symbolic.MomentumMethod,
    series: symbolic.TreeSeries,
    start: symbolic.TreeSeries | None,
    form: SeriesFormat,
    tree: str | None,
    loss: str | None,
) -> str:
    if tree is not None and loss is not None:
        raise InputError("one of --tree and --loss", "both")
    if (tree is not None or loss is not None) and form not in ("text", "latex", "json"):
        which = "--tree" if loss is None else "--loss"
        raise InputError(f"--format text, latex or json with {which}", f"--format {form}")
    parts = [part for part in (series, start) if part is not None]
    if tree is not None:
        coefficient = _written(series.coefficient(tree), form)
        return _json(method, tree=tree, coefficient=coefficient) if form == "json" else coefficient
    if loss is not None:
        lines = {
            left: _written(right, form)
            for left, right in symbolic.written_out(series, loss).items()
        }
        if form == "json":
            return _json(method, loss=loss, equations=lines)
        return "\n".join(f"{left} = {right}" for left, right in lines.items())
    match form:
        case "text":
            return "\n".join(map(str, parts))
        case "latex":
            return series.latex()
        case "indices":
            return series.latex("indices")
        case "table":
            keys = ("tree", "differential", "symmetry", "coefficient")
            rows = ([str(row[key]) for key in keys] for row in series.table())
            headings = "tree|differential|>symmetry|coefficient"
            return as_lines(table(headings, rows, title=f"{series.left_hand_side} = sum of"))
        case "json":
            return _json(
                method,
                left_hand_side=series.left_hand_side,
                terms=series.table(),
                initial_velocity=None if start is None else start.table(),
            )
        case "document":
            return series.to_latex_document()
        case "module":
            return series.to_module()


def _json(method: symbolic.MomentumMethod | None, **found: Any) -> str:
    stated = {} if method is None else {"method": str(method)}
    return json.dumps(stated | found, indent=2, ensure_ascii=False)


def _written(expr: Any, form: SeriesFormat) -> str:
    return symbolic.as_latex(expr) if form == "latex" else symbolic.as_text(expr)


def _displayed(
    method: symbolic.MomentumMethod | None, item: Any, form: SeriesFormat, **more: Any
) -> str:
    if form == "text":
        return str(item)
    latex = str(item.latex())
    return latex if form == "latex" else _json(method, text=str(item), latex=latex, **more)
