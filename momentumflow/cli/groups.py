"""Commands that have commands below them, and options that would go unheard.

A name that is no command and an option in the wrong place are said with what
would be right; no option is ever ignored in silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

from momentumflow.base.errors import InputError, nearest


class Group(TyperGroup):
    """A group whose complaints name the commands that it has."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the arguments name, and its arguments."""
        if args[0] not in self.commands and not ctx.resilient_parsing:
            raise InputError(
                f"a command of {ctx.command_path} among {', '.join(self.commands)}",
                repr(args[0]),
                nearest(args[0], self.commands),
            )
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the group's own options; one that a command below has is sent there."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter:
            raise
        except Exception as error:
            option = getattr(error, "option_name", None)
            having = [
                " ".join(path)
                for path, command in walk(self)
                if path and any(option in parameter.opts for parameter in command.params)
            ]
            if type(error).__name__ != "NoSuchOption" or not having:
                raise
            raise InputError(
                f"a command before {option}",
                f"{option} after {ctx.command_path}",
                f"say one of {', '.join(having)} first",
            ) from None


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield a command and all below it, each with its path of names."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, (*path, name))


def stated(context: typer.Context, name: str) -> bool:
    """Whether the command line itself, not a file or a default, says this parameter."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def alone(context: typer.Context) -> bool:
    """Whether a group is called by itself, with no command below it.

    Raises
    ------
    InputError
        If a command follows, and options of the group come before it: they would
        be ignored.
    """
    if context.invoked_subcommand is None:
        return True
    for parameter in context.command.params:
        if stated(context, str(parameter.name)):
            path = f"{context.command_path} {context.invoked_subcommand}"
            raise InputError(
                f"the options of {path} after its name", f"{parameter.opts[0]} before it"
            )
    return False


def refuse(context: typer.Context, name: str, without: str) -> None:
    """Refuse a parameter of the command line that has no effect here.

    Raises
    ------
    InputError
        If the command line states it. What a file says holds for many commands,
        and is no mistake where it has no effect.
    """
    if stated(context, name):
        option = next(p.opts[0] for p in context.command.params if p.name == name)
        raise InputError(f"{option} {without}", f"{option}, which would have no effect")
