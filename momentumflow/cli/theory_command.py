"""`momentumflow theory`: every formula, with its source, its proof and its measurement."""

from __future__ import annotations

import itertools
import json
from typing import Annotated, Any

import typer

import momentumflow as mf
from momentumflow.cli.options import Json, completing


def theory(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A formula by its name or a part of it; without one, all are listed.",
            autocompletion=completing(lambda: tuple(row.name for row in mf.theory.formulas())),
        ),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """List the formulas of the theory, or show one: who derives, proves and measures it."""
    if name is not None:
        found = mf.theory.find(name)
        typer.echo(_json(found.to_dict()) if as_json else _page(found))
        return
    rows = mf.theory.formulas()
    typer.echo(_json([row.to_dict() for row in rows]) if as_json else _listed(rows))


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _listed(rows: tuple[Any, ...]) -> str:
    lines = []
    for section, group in itertools.groupby(rows, key=lambda row: row.section):
        lines += ["", section]
        lines += [f"  {row.title}" for row in group]
    return "\n".join(
        [*lines, "", "momentumflow theory NAME shows one; a part of its title will do."]
    ).lstrip()


def _page(row: Any) -> str:
    lines = [f"{row.title} ({row.section})", "", f"  {row.latex}", ""]
    lines += [f"source    {source}" for source in row.sources]
    lines += [f"derived   {by}" for by in row.by]
    lines += [f"file      {home}" for home in row.homes]
    lines += [f"measured  momentumflow verify --only {claim}" for claim in row.claims]
    if row.theorem is not None:
        return "\n".join([*lines, "", str(row.theorem.prove())])
    for identity in row.identities:
        lines += ["", str(identity.prove())]
        if identity.assumptions:
            lines.append(f"  given: {identity.assumptions}")
    return "\n".join(lines)
