"""`momentumflow doctor`: print versions, find a broken install."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from momentumflow.cli import FAILED, FINE


def doctor(
    *,
    as_json: Annotated[
        bool, typer.Option("--json/--no-json", help="Print the checks as JSON, and nothing else.")
    ] = False,
) -> None:
    """Check Python, the dependencies and the package's files, and run each layer once.

    Exits with 1 if something is broken; each such line says what to do.
    """
    from momentumflow.diagnosis import diagnose

    found = diagnose()
    typer.echo(json.dumps(found.to_dict(), indent=2) if as_json else str(found))
    raise typer.Exit(FINE if found.sound else FAILED)
