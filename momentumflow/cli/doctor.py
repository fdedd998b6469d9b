"""`momentumflow doctor`: print versions, find a broken install."""

from __future__ import annotations

import json

import typer

import momentumflow as mf
from momentumflow.cli import FAILED, FINE
from momentumflow.cli.options import Json


def doctor(*, as_json: Json = False) -> None:
    """Check Python, the dependencies and the package's files, and run each layer once.

    Exits with 1 if something is broken; each such line says what to do.
    """
    found = mf.diagnose()
    typer.echo(json.dumps(found.to_dict(), indent=2) if as_json else str(found))
    raise typer.Exit(FINE if found.sound else FAILED)
