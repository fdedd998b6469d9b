"""`momentumflow transfer`: hyperparameters for another batch size, momentum or length."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from momentumflow import symbolic
from momentumflow.base.errors import InputError
from momentumflow.cli.options import Json, reals

EXAMPLE = (
    "momentumflow transfer --optimizer adamw --lr 1e-3 --betas 0.9,0.999 --batch 256 "
    "--to-batch 1024"
)


def transfer(
    *,
    optimizer: Annotated[str, typer.Option(help="adam, adamw, nadam, rmsprop or sgd.")],
    lr: Annotated[float, typer.Option(help="Learning rate, > 0.")],
    betas: Annotated[
        Any, typer.Option(parser=reals, metavar="<b1,b2>", help="Both betas, in [0, 1).")
    ] = None,
    momentum: Annotated[float | None, typer.Option(help="Momentum of sgd or rmsprop.")] = None,
    eps: Annotated[float | None, typer.Option(help="The eps beside the root.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay.")] = None,
    others: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another setting by PyTorch's name: alpha=0.9; repeatable."),
    ] = None,
    batch: Annotated[float | None, typer.Option(help="Batch size now.")] = None,
    to_batch: Annotated[float | None, typer.Option(help="Batch size wanted.")] = None,
    to_momentum: Annotated[
        float | None, typer.Option(help="Momentum wanted, or the first beta.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Number of steps now.")] = None,
    to_steps: Annotated[int | None, typer.Option(help="Number of steps wanted.")] = None,
    noise: Annotated[
        bool | None,
        typer.Option(
            "--noise/--no-noise", help="Whether gradient noise counts; with --batch it does."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Change batch size, momentum or number of steps without changing the training.

    Prints the other hyperparameters, the rule that gives them, what it keeps and how
    large the first neglected term is. What is left out has PyTorch's default.
    """
    stated = {"momentum": momentum, "eps": eps, "weight_decay": weight_decay}
    settings = {name: value for name, value in stated.items() if value is not None}
    found = symbolic.transfer(
        optimizer,
        {"lr": lr, **settings, **({"betas": betas} if betas is not None else {}), **_set(others)},
        batch_size=batch,
        to_batch_size=to_batch,
        to_momentum=to_momentum,
        steps=steps,
        to_steps=to_steps,
        noise=noise,
    )
    typer.echo(_json(found) if as_json else str(found))


def _set(items: Sequence[str] | None) -> dict[str, float]:
    found: dict[str, float] = {}
    for item in items or ():
        name, _, value = item.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise InputError("--set NAME=NUMBER", repr(item)) from None
    return found


def _json(found: symbolic.Transfer) -> str:
    content = {
        "optimizer": found.optimiser.name,
        "before": dict(found.before),
        "after": dict(found.after),
        "settings": dict(found.settings),
        "rule": {str(p): str(x) for p, x in found.rule.exponents.items()},
        "rho": found.rho,
        "keeps": found.keeps,
        "kept": {symbolic.as_text(p): x for p, x in found.kept.items()},
        "steps": found.steps,
        "first_neglected": {name: list(sizes) for name, sizes in found.neglected.items()},
    }
    return json.dumps(content, indent=2)
