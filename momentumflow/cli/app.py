"""The typer application, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from momentumflow.base.errors import InputError
from momentumflow.base.version import __version__
from momentumflow.cli import (
    FINE,
    INTERRUPTED,
    MISUSED,
    cite,
    config,
    derive,
    doctor,
    explore,
    figures,
    kernels,
    logs,
    predict,
    sweep,
    verify,
)

# The base of all usage errors, wherever typer takes it from: recent releases
# carry their own copy of click.
_ClickException: Any = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)

app = typer.Typer(
    name="momentumflow",
    help="Momentum gradient descent in continuous time: derive, predict, verify.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("cite")(cite.cite)
app.command("config")(config.config)
app.command("derive")(derive.derive)
app.command("doctor")(doctor.doctor)
app.command("explore")(explore.explore)
app.command("figures")(figures.figures)
app.command("kernels")(kernels.kernels)
app.command("predict")(predict.predict)
app.command("sweep")(sweep.sweep)
app.command("verify")(verify.verify)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"momentumflow {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    *,
    path: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="Read options from this TOML file, not the one of the working directory.",
        ),
    ] = None,
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Log steps; -vv also details.")
    ] = 0,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Log errors only, show no progress.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Momentum gradient descent in continuous time: derive, predict, verify."""
    context.with_resource(logs.listening(verbose, quiet))
    context.obj = config.configure(path, context)
    context.default_map = dict(context.obj.values)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the application; every expected error ends in one sentence and a code."""
    try:
        outcome = app(
            args=None if arguments is None else list(arguments),
            prog_name="momentumflow",
            standalone_mode=False,
        )
    except InputError as error:
        return _complain(str(error), MISUSED)
    except _ClickException as error:
        # `momentumflow` alone shows its help through this door.
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message(), file=sys.stderr)
            return MISUSED
        return _complain(error.format_message(), MISUSED)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted.", INTERRUPTED)
    # Outside standalone mode typer.Exit is returned as its code, and Ctrl-C may be.
    if outcome == INTERRUPTED:
        return _complain("interrupted.", INTERRUPTED)
    return outcome if isinstance(outcome, int) else FINE


def _complain(sentence: str, code: int) -> int:
    print(f"momentumflow: {sentence}", file=sys.stderr)
    return code
