"""`momentumflow derive`: what a method or an optimiser follows, derived from its update rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import typer

from momentumflow import symbolic
from momentumflow.base.choices import Followed, Regime
from momentumflow.base.errors import InputError
from momentumflow.base.files import write_text
from momentumflow.cli.groups import Group, refuse
from momentumflow.cli.options import Json, MethodArgument, RuleArgument, Values
from momentumflow.cli.stated_methods import stated_method, stated_rule
from momentumflow.cli.terminal import as_lines, table

if TYPE_CHECKING:
    _Method: TypeAlias = symbolic.MomentumMethod | symbolic.Optimiser
    _Series: TypeAlias = (
        symbolic.TreeSeries
        | symbolic.ElementwiseEquation
        | symbolic.ElementwiseMap
        | symbolic.InertialSystem
    )

app = typer.Typer(cls=Group, no_args_is_help=True)

SeriesFormat: TypeAlias = Literal["text", "latex", "indices", "table", "json", "document", "module"]
Format: TypeAlias = Literal["text", "latex", "json"]

_STATED = '"w[k+1] = w[k] + beta*(w[k]-w[k-1]) + gamma*f(w[k])"'.replace("[", r"\[")
_EXAMPLE = f"A recurrence reads {_STATED}, with f = -grad F."
_UPDATES = '"m = b1*m + (1-b1)*g; w = w - lr*m/(sqrt(m**2)+eps)"'
_EXAMPLES = f"{_EXAMPLE} Updates of an optimiser read {_UPDATES}, with g = grad F."

# What a table shows of a term, as far as the series has it.
_TREE_COLUMNS = ("tree", "differential", "symmetry", "coefficient")
_COLUMNS = ("unknown", "differential", "order", "coefficient")
_COUNTS = ("symmetry", "order")

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

    Each command takes a known method or a recurrence in quotes; equation, map, loss and
    scaling also an optimiser with memories, by its name or its updates.
    """


@app.command(epilog=_EXAMPLES)
def equation(
    method: RuleArgument = "heavy_ball",
    *,
    order: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Highest power of eps (inertial) or gamma (slow, from 1 on); 2 if not given, "
            "and 0 for an optimiser in the inertial regime, whose corrections are long.",
        ),
    ] = None,
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
    form, stated = _form(style, as_json), stated_rule(method, values)
    if order is None:
        order = 0 if isinstance(stated, symbolic.Optimiser) and regime == "inertial" else 2
    found: _Series
    if order == 0 and regime == "inertial":
        found = symbolic.leading_equation(stated)
    else:
        found = symbolic.modified_equation(stated, order, regime)
    _deliver(_series(stated, found, form, tree, loss), output)


@app.command("map", epilog=_EXAMPLES)
def memoryless_map(
    method: RuleArgument = "heavy_ball",
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
    form, stated = _form(style, as_json), stated_rule(method, values)
    found = symbolic.memoryless_map(stated, order)
    _deliver(_series(stated, found, form, tree, loss), output)


@app.command("loss", epilog=_EXAMPLES)
def modified_loss(
    method: RuleArgument = "heavy_ball",
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
    form, stated = _form(style, as_json), stated_rule(method, values)
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


@app.command(epilog=_EXAMPLES)
def scaling(
    context: typer.Context,
    method: RuleArgument = "heavy_ball",
    *,
    order: PowerOfEps = 2,
    values: Values = None,
    style: Style = None,
    as_json: Json = False,
    output: Output = None,
) -> None:
    """The parameters that alone decide the path, and the rule that keeps them."""
    form, stated = _form(style, as_json), stated_rule(method, values)
    if isinstance(stated, symbolic.Optimiser):
        refuse(context, "order", "with a momentum method")
        _deliver(_rules(stated, form), output)
        return
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


def _rules(optimiser: symbolic.Optimiser, form: SeriesFormat) -> str:
    """Return what alone decides the path of an optimiser, and what keeps it."""
    kept = symbolic.intrinsic_parameters(optimiser)
    written = {str(p): _written(value, form) for p, value in kept.items()}
    rules: dict[str, Any] = {"without noise": symbolic.scaling_rules(optimiser)}
    try:
        rules["with gradient noise"] = symbolic.scaling_rules(optimiser, noise=True)
    except InputError as error:  # noise is no Gaussian in a memory that is not linear
        rules["with gradient noise"] = str(error)
    if form == "json":
        powers = {
            which.replace(" ", "_"): found
            if isinstance(found, str)
            else [{str(p): str(x) for p, x in rule.exponents.items()} for rule in found]
            for which, found in rules.items()
        }
        return _json(optimiser, **written, powers=powers)
    lines = [f"{name} = {value}" for name, value in written.items() if name != value]
    for which, found in rules.items():
        if isinstance(found, str):
            lines.append(f"{which}: {found}")
            continue
        shown = [rule.latex() if form == "latex" else str(rule) for rule in found]
        lines += [f"same path, {which}: {rule}" for rule in shown or ["nothing may change"]]
    return "\n".join(lines)


def _series(
    method: _Method,
    series: _Series,
    form: SeriesFormat,
    tree: str | None,
    loss: str | None,
) -> str:
    if tree is not None and loss is not None:
        raise InputError("one of --tree and --loss", "both")
    if (tree is not None or loss is not None) and form not in ("text", "latex", "json"):
        which = "--tree" if loss is None else "--loss"
        raise InputError(f"--format text, latex or json with {which}", f"--format {form}")
    start = getattr(series, "initial_velocity", None)
    parts = [part for part in (series, start) if part is not None]
    if tree is not None:
        linear = _of_trees(method, series, "--tree")
        coefficient = _written(linear.coefficient(tree), form)
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
            return _of_trees(method, series, "--format indices").latex("indices")
        case "table":
            terms = series.table()
            shown = _TREE_COLUMNS if isinstance(series, symbolic.TreeSeries) else _COLUMNS
            keys = [key for key in shown if all(key in row for row in terms)]
            rows = ([str(row[key]) for key in keys] for row in terms)
            headings = "|".join(f">{key}" if key in _COUNTS else key for key in keys)
            return as_lines(table(headings, rows, title=f"{_left(series)} = sum of"))
        case "json":
            return _json(
                method,
                left_hand_side=_left(series),
                terms=series.table(),
                initial_velocity=None if start is None else start.table(),
            )
        case "document":
            return series.to_latex_document()
        case "module":
            return series.to_module()


def _of_trees(method: _Method, series: _Series, option: str) -> symbolic.TreeSeries:
    """Return a series that is one over trees, with a number at each.

    Raises
    ------
    InputError
        If it is that of an optimiser.
    """
    if isinstance(series, symbolic.TreeSeries):
        return series
    raise InputError(
        f"a momentum method, linear in w and f, with {option}",
        f"{method.name}, whose terms have functions of the gradient at their nodes",
        "see them by --format table",
    )


def _left(series: _Series) -> str:
    """Return the left-hand side of an equation; of a system all of them."""
    if isinstance(series, symbolic.InertialSystem):
        return ", ".join(f"{x}'" for x in series.rates)
    return series.left_hand_side


def _json(method: _Method | None, **found: Any) -> str:
    stated = {} if method is None else {"method": str(method)}
    return json.dumps(stated | found, indent=2, ensure_ascii=False)


def _written(expr: Any, form: SeriesFormat) -> str:
    return symbolic.as_latex(expr) if form == "latex" else symbolic.as_text(expr)


def _displayed(
    method: _Method | None,
    item: Any,
    form: SeriesFormat,
    **more: Any,
) -> str:
    if form == "text":
        return str(item)
    latex = str(item.latex())
    return latex if form == "latex" else _json(method, text=str(item), latex=latex, **more)
