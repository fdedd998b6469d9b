"""Options that several commands have, each stated once.

What an option may be is its type: the words it chooses among are the `Literal`
types of `momentumflow.base.choices`. Nothing heavy is loaded for a declaration:
a shell asks for it at every press of Tab.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeAlias, get_args

import typer

from momentumflow import verify
from momentumflow.base.choices import NamedMethod, NamedOptimiser
from momentumflow.base.errors import InputError

# What a method is called on the command line.
METHODS = get_args(NamedMethod)
OPTIMISERS = get_args(NamedOptimiser)
# As many values as `first:last:count` may ask for.
_MOST_VALUES = 10_000
# The step that `--gamma auto` stands for is computed where the problem is known.
AUTO = "auto"


def completing(names: Callable[[], tuple[str, ...]]) -> Callable[[str], list[str]]:
    """Return what completes an option that takes one of these names."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


def step_size(text: Any) -> float | str:
    """Read a step: a number, or `auto`."""
    if text == AUTO:
        return AUTO
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"expected a number or {AUTO}, received {str(text)!r}") from None


def reals(text: Any) -> list[float]:
    """Read numbers with commas, or `first:last:count` in geometric steps."""
    try:
        parts = str(text).split(":")
        if len(parts) == 3:
            return _geometric(float(parts[0]), float(parts[1]), int(parts[2]))
        return [float(part) for part in str(text).split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"expected numbers with commas or first:last:count, received {str(text)!r}"
        ) from None


def _geometric(first: float, last: float, count: int) -> list[float]:
    if not (0 < first < math.inf and 0 < last < math.inf and 1 <= count <= _MOST_VALUES):
        raise typer.BadParameter(
            f"expected first:last:count with positive ends and at most {_MOST_VALUES} values, "
            f"received {first:g}:{last:g}:{count}"
        )
    if count == 1:
        return [first]
    low, high = math.log10(first), math.log10(last)
    between = (10 ** (low + k * (high - low) / (count - 1)) for k in range(1, count - 1))
    return [first, *between, last]


def counts(text: Any) -> list[int]:
    """Read whole numbers with commas."""
    try:
        return [int(part) for part in str(text).split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"expected whole numbers with commas, received {str(text)!r}"
        ) from None


def _positive(parameter: typer.CallbackParam, value: float) -> float:
    if not 0 < value < math.inf:
        raise InputError(f"{parameter.name} > 0", f"{parameter.name} = {value:g}")
    return value


_method_help = f"{', '.join(METHODS)}, or a recurrence in quotes."
_method_names = completing(lambda: METHODS)
MethodArgument: TypeAlias = Annotated[
    str, typer.Argument(help=_method_help, autocompletion=_method_names)
]
RuleArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        help=f"{', '.join(METHODS)}, {', '.join(OPTIMISERS)}; a recurrence, or updates, in quotes.",
        autocompletion=completing(lambda: (*METHODS, *OPTIMISERS)),
    ),
]
Method: TypeAlias = Annotated[str, typer.Option(help=_method_help, autocompletion=_method_names)]
OptionalMethod: TypeAlias = Annotated[
    str | None,
    typer.Option(help=f"{_method_help} Heavy ball if not given.", autocompletion=_method_names),
]
Values: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", help="An exact parameter value, such as nu=7/10; repeatable."),
]
Table: TypeAlias = Annotated[
    Path, typer.Argument(help="Numeric table: a .csv, .parquet or .npz file.")
]
Target: TypeAlias = Annotated[
    str, typer.Option(help="Column that becomes y; all others are features.")
]
Standardise: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--standardise/--no-standardise", help="Centre the columns, scale to unit variance."
    ),
]
Gamma: TypeAlias = Annotated[float, typer.Option(help="Step size, > 0.")]
# mypy takes the type that the parser returns from here, typer the parser.
StepSize: TypeAlias = Annotated[
    Any,
    typer.Option(
        "--gamma",
        parser=step_size,
        metavar="<float|auto>",
        help="Step size, > 0; auto takes half of the largest stable one.",
    ),
]
Beta: TypeAlias = Annotated[float, typer.Option(help="Momentum, in [0, 1).")]
Alpha: TypeAlias = Annotated[
    float, typer.Option(help="Initialisation scale, > 0.", callback=_positive)
]
Seed: TypeAlias = Annotated[int, typer.Option(min=0, help="Root of all randomness.")]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json/--no-json", help="Print JSON, and nothing else.")
]
Only: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        help="Judge this claim or theme only; may be repeated. See momentumflow verify list.",
        autocompletion=completing(lambda: tuple(claim.name for claim in verify.claims())),
    ),
]
Seeds: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Independent problems for each random check (20; 5 with --quick)."),
]
Quick: TypeAlias = Annotated[
    bool, typer.Option("--quick/--no-quick", help="Smaller grids: all claims in under a minute.")
]
ToleranceScale: TypeAlias = Annotated[
    float, typer.Option(help="Factor on every numerical tolerance.")
]
