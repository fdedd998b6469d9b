"""Options from a file, and `momentumflow config`, which says what they are.

The file is `momentumflow.toml`, or the table `[tool.momentumflow]` of
`pyproject.toml`, in the working directory; or what `--config` names. A table
holds the options of the command of its name; a key outside all tables is for
every command that has such an option. What the command line says comes first,
then the file, then the default: click's own `default_map` sees to that.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from momentumflow.base.errors import InputError, nearest
from momentumflow.cli import completion

_OWN, _SHARED, _TABLE = "momentumflow.toml", "pyproject.toml", "momentumflow"


@dataclass(frozen=True)
class Configuration:
    """What a file says: for each command, its parameters by their name in Python."""

    path: Path | None = None
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def configure(path: Path | None, context: typer.Context) -> Configuration:
    """Read the file at `path`, or the one that the working directory has, and check it.

    Raises
    ------
    InputError
        A file that is not there or no TOML, a table that is no command, a key
        that is no option, a value that the option does not take.
    """
    found, stated = _find(path)
    commands = getattr(context.command, "commands", {})
    parameters = {name: _parameters(command) for name, command in commands.items()}
    values: dict[str, dict[str, Any]] = {name: {} for name in commands}
    tables = {key: value for key, value in stated.items() if isinstance(value, dict)}
    for key, value in stated.items():
        if key in tables:
            continue
        having = [name for name in commands if _spelled(key) in parameters[name]]
        if not having:
            known = {option for options in parameters.values() for option in options}
            raise _unknown(key, found, "an option of some command, or a table", [*known, *commands])
        for name in having:
            parameter = parameters[name][_spelled(key)]
            values[name][parameter.name] = _checked(parameter, key, value, context, found)
    for name, table in tables.items():
        if name not in commands:
            raise _unknown(f"[{name}]", found, "the table of a command", commands, name)
        for key, value in table.items():
            parameter = parameters[name].get(_spelled(key))
            if parameter is None:
                what = f"an option of {name}"
                raise _unknown(f"{name}.{key}", found, what, parameters[name], _spelled(key))
            label = f"{name}.{key}"
            values[name][parameter.name] = _checked(parameter, label, value, context, found)
    return Configuration(found, {name: table for name, table in values.items() if table})


def _find(path: Path | None) -> tuple[Path | None, dict[str, Any]]:
    if path is not None:
        stated = _read(path)
        return path, _own_table(stated) if path.name == _SHARED else stated
    here = Path(_OWN)
    if here.is_file():
        return here.absolute(), _read(here)
    shared = Path(_SHARED)
    if shared.is_file():
        stated = _own_table(_read(shared))
        if stated:
            return shared.absolute(), stated
    return None, {}


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise InputError(
            "a configuration file that can be read", f"{path} ({error.strerror or error})"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError("a configuration file in TOML", f"{path} ({error})") from None


def _own_table(document: dict[str, Any]) -> dict[str, Any]:
    stated: dict[str, Any] = document.get("tool", {}).get(_TABLE, {})
    return stated


def _parameters(command: Any) -> dict[str, Any]:
    """Return the parameters of a command by the names that a file may use."""
    found = {}
    for parameter in command.params:
        options = [o[2:] for o in parameter.opts if o.startswith("--")]
        for name in options or [_spelled(parameter.name)]:
            found[name] = parameter
    return {name: p for name, p in found.items() if name != "help"}


def _spelled(key: str) -> str:
    return key.replace("_", "-")


def _unknown(
    key: str, path: Path | None, expected: str, known: Any, name: str | None = None
) -> InputError:
    return InputError(expected, f"{key!r} in {path}", nearest(name or _spelled(key), known))


def _checked(
    parameter: Any, key: str, value: Any, context: typer.Context, path: Path | None
) -> Any:
    """Return the value in the form that the parameter takes it."""
    flag, many = bool(getattr(parameter, "is_flag", False)), bool(parameter.multiple)
    fits = isinstance(value, list) if many else isinstance(value, bool) == flag
    if not fits:
        form = "a list" if many else "true or false" if flag else "a number or a text"
        raise InputError(f"{form} for {key} in {path}", json.dumps(value, default=str))
    if isinstance(value, list) and not many:
        value = ",".join(str(item) for item in value)  # as the command line writes several
    try:
        parameter.process_value(context, value)
    except typer.BadParameter as error:
        raise InputError(
            f"a value that {key} takes in {path}", f"{value!r}: {error.message.rstrip('.')}"
        ) from None
    return value


def config(
    context: typer.Context,
    command: Annotated[
        str | None,
        typer.Argument(
            help="Show every option of this command.",
            autocompletion=completion.commands,
        ),
    ] = None,
    *,
    as_json: Annotated[
        bool, typer.Option("--json/--no-json", help="Print the options as JSON, and nothing else.")
    ] = False,
) -> None:
    """Say which configuration file is read, and which options come from it.

    The command line comes before the file, the file before the default.
    """
    root = context.parent
    assert root is not None
    configuration: Configuration = root.obj
    commands = getattr(root.command, "commands", {})
    if command is not None and command not in commands:
        raise InputError(
            f"a command among {', '.join(commands)}", repr(command), nearest(command, commands)
        )
    rows = []
    for name in commands if command is None else [command]:
        stated = configuration.values.get(name, {})
        for option, parameter in _parameters(commands[name]).items():
            if parameter.name in stated:
                rows.append((name, option, stated[parameter.name], "file"))
            elif command is not None:
                origin = "required" if parameter.required else "default"
                rows.append((name, option, parameter.default, origin))
    if as_json:
        keys = ("command", "option", "value", "origin")
        shown = {
            "file": None if configuration.path is None else str(configuration.path),
            "options": [dict(zip(keys, row, strict=True)) for row in rows],
        }
        typer.echo(json.dumps(shown, indent=2, default=str, ensure_ascii=False))
        return
    where = configuration.path or f"none ({_OWN}, or [tool.{_TABLE}] in {_SHARED})"
    typer.echo(f"configuration file: {where}")
    for name, option, value, origin in rows:
        text = "" if value is None else f" = {json.dumps(value, default=str, ensure_ascii=False)}"
        typer.echo(f"{name} {option}{text} ({origin})")
