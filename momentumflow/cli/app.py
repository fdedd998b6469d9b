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
    kernels,
    logs,
    paper_figures,
    predict,
    sweep,
    theory_command,
    transfer,
    verify,
)
from momentumflow.cli.groups import Group
from momentumflow.cli.terminal import plain

# The base of all usage errors, wherever typer takes it from: recent releases
# carry their own copy of click.
_ClickException: Any = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)

app = typer.Typer(
    name="momentumflow",
    cls=Group,
    help="Momentum gradient descent in continuous time: derive, predict, verify.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(cite.cite)
app.command()(config.config)
app.add_typer(derive.app, name="derive")
app.command()(doctor.doctor)
app.command()(explore.explore)
app.add_typer(paper_figures.app, name="figures")
app.add_typer(kernels.app, name="kernels")
app.command(epilog=f"Example: {predict.EXAMPLE}")(predict.predict)
app.command()(sweep.sweep)
app.command()(theory_command.theory)
app.command(epilog=f"Example: {transfer.EXAMPLE}")(transfer.transfer)
app.add_typer(verify.app, name="verify")


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
    context.default_map = context.obj.defaults()


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
        match type(error).__name__:
            case "NoArgsIsHelpError":  # `momentumflow` alone shows its help through this door
                print(error.format_message(), file=sys.stderr)
                return MISUSED
            case "MissingParameter":
                return _complain(str(_missing(error)), MISUSED)
        # pydantic, which checks the values, says "Value error, " first
        return _complain(error.format_message().replace("Value error, ", ""), MISUSED)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted.", INTERRUPTED)
    # Outside standalone mode typer.Exit is returned as its code, and Ctrl-C may be.
    if outcome == INTERRUPTED:
        return _complain("interrupted.", INTERRUPTED)
    return outcome if isinstance(outcome, int) else FINE


def _missing(error: Any) -> InputError:
    """Return the error that names all parameters that are missing, and the command's example.

    Those on the command line are read first: the others have no value yet.
    """
    context = error.ctx
    missing = [
        option if (option := parameter.opts[0]).startswith("-") else option.upper()
        for parameter in context.command.params
        if parameter.required
        and parameter.name not in context.params
        and context.lookup_default(parameter.name) is None
    ]
    example = (context.command.epilog or "").removeprefix("Example: ")
    return InputError(
        f"{', '.join(missing)} for {context.command_path}",
        "none" if len(missing) == 1 else "none of them",
        f"for example: {example}" if example else None,
    )


def _complain(sentence: str, code: int) -> int:
    end = "" if sentence.endswith((".", "?", ")")) else "."
    print(f"momentumflow: {plain(sentence)}{end}", file=sys.stderr)
    return code
