"""Options from a file, and `momentumflow config`, which says what they are.

The file is `momentumflow.toml`, or the table `[tool.momentumflow]` of
`pyproject.toml`, in the working directory; or what `--config` names. A table
holds the options of the command of its name, `[derive.equation]` of one below a
group; a key holds for that command and for all below it that have such an
option, a key outside all tables for every command. The nearer table wins. What
the command line says comes first, then the file, then the default: click's own
`default_map` sees to that.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from momentumflow.base.errors import InputError, nearest
from momentumflow.cli.groups import walk
from momentumflow.cli.options import Json
from momentumflow.cli.terminal import say

CommandPath: TypeAlias = tuple[str, ...]

_OWN, _SHARED, _TABLE = "momentumflow.toml", "pyproject.toml", "momentumflow"


@dataclass(frozen=True)
class Configuration:
    """What a file says: for each command, by its path of names, the values of its parameters."""

    path: Path | None = None
    values: Mapping[CommandPath, Mapping[str, Any]] = field(default_factory=dict)

    def defaults(self) -> dict[str, Any]:
        """Return the values nested as click takes them: commands below their group."""
        nested: dict[str, Any] = {}
        for path, values in self.values.items():
            place = nested
            for name in path:
                place = place.setdefault(name, {})
            place.update(values)
        return nested


def configure(path: Path | None, context: typer.Context) -> Configuration:
    """Read the file at `path`, or the one that the working directory has, and check it.

    Raises
    ------
    InputError
        A file that is not there or no TOML, a table that is no command, a key
        that is no option, a value that the option does not take.
    """
    found, stated = _find(path)
    known = {path: command for path, command in walk(context.command) if path}
    reader = _Reader(context, found, known)
    reader.read((), stated)
    return Configuration(found, reader.values)


@dataclass
class _Reader:
    """A file on its way to the commands it speaks of."""

    context: typer.Context
    file: Path | None
    commands: Mapping[CommandPath, Any]
    values: dict[CommandPath, dict[str, Any]] = field(default_factory=dict)

    def read(self, path: CommandPath, table: Mapping[str, Any]) -> None:
        """Take in a table: its keys, then the tables of the commands below, which come first."""
        below = {
            key: value
            for key, value in table.items()
            if isinstance(value, dict) and (*path, key) in self.commands
        }
        for key, value in table.items():
            if key not in below:
                self._key(path, key, value)
        for key, value in below.items():
            self.read((*path, key), value)

    def _key(self, path: CommandPath, key: str, value: Any) -> None:
        """Take in a key: it holds for the command of its table and for all below it."""
        reached = {
            other: parameters(command)
            for other, command in self.commands.items()
            if other[: len(path)] == path
        }
        name = key.replace("_", "-")
        having = [other for other, options in reached.items() if name in options]
        if not having:
            known = {option for options in reached.values() for option in options}
            below = {other[len(path)] for other in reached if len(other) > len(path)}
            if isinstance(value, dict):
                what, label, known = "the table of a command", f"[{'.'.join((*path, key))}]", below
            elif path:
                what, label = f"an option of {' '.join(path)}", ".".join((*path, key))
            else:
                what, label = "an option of some command, or a table", key
                known |= below
            raise InputError(what, f"{label!r} in {self.file}", nearest(name, known))
        label = ".".join((*path, key))
        for other in having:
            parameter = reached[other][name]
            taken = _checked(parameter, label, value, self.context, self.file)
            self.values.setdefault(other, {})[parameter.name] = taken


def _find(path: Path | None) -> tuple[Path | None, dict[str, Any]]:
    if path is not None:
        stated = _read(path)
        return path, _own_table(stated, path) if path.name == _SHARED else stated
    here = Path(_OWN)
    if here.is_file():
        return here.absolute(), _read(here)
    shared = Path(_SHARED)
    if shared.is_file():
        stated = _own_table(_read(shared), shared)
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


def _own_table(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the table of this program in a shared file; empty if it has none."""
    place: Any = document
    for number, name in enumerate(("tool", _TABLE)):
        place = place.get(name, {})
        if not isinstance(place, dict):
            label = ".".join(("tool", _TABLE)[: number + 1])
            raise InputError(f"{label} as a table in {path}", json.dumps(place, default=str))
    return dict(place)


def _commands(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a command, after the names of its groups."""
    above = tuple(context.params.get("command") or ())
    below = (path for path, _ in walk(context.find_root().command) if path[:-1] == above and path)
    return [path[-1] for path in below if path[-1].startswith(incomplete)]


def parameters(command: Any) -> dict[str, Any]:
    """Return the parameters of a command by the names that a file may use."""
    found = {}
    for parameter in command.params:
        options = [o[2:] for o in parameter.opts if o.startswith("--")]
        for name in options or [str(parameter.name).replace("_", "-")]:
            found[name] = parameter
    return {name: p for name, p in found.items() if name != "help"}


def _checked(
    parameter: Any, key: str, value: Any, context: typer.Context, path: Path | None
) -> Any:
    """Return the value in the form that the parameter takes it."""
    flag, many = bool(getattr(parameter, "is_flag", False)), bool(parameter.multiple)
    items = value if isinstance(value, list) else [value]
    if flag:
        fits, form = isinstance(value, bool), "true or false"
    else:
        fits = all(isinstance(item, str | int | float) for item in items)
        fits = fits and not any(isinstance(item, bool) for item in items)
        form = "a list" if many else "a number or a text"
    if not fits or (many and items is not value):
        raise InputError(f"{form} for {key} in {path}", json.dumps(value, default=str))
    if isinstance(value, list) and not many:
        value = ",".join(str(item) for item in value)  # as the command line writes several
    try:
        parameter.process_value(context, value)
    except (typer.BadParameter, InputError) as error:
        reason = str(getattr(error, "message", error)).rstrip(".")
        raise InputError(f"a value that {key} takes in {path}", f"{value!r}: {reason}") from None
    return value


def config(
    context: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(help="Show every option of this command.", autocompletion=_commands),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Say which configuration file is read, and which options come from it.

    The command line comes before the file, the file before the default.
    """
    root = context.find_root()
    configuration: Configuration = root.obj
    known = {path: one for path, one in walk(root.command) if path}
    asked = tuple(command or ())
    if asked and asked not in known:
        names = [" ".join(path) for path in known]
        received = " ".join(asked)
        raise InputError(
            f"a command among {', '.join(names)}", repr(received), nearest(received, names)
        )
    rows = []
    for path in [asked] if asked else known:
        stated = configuration.values.get(path, {})
        for option, parameter in parameters(known[path]).items():
            if parameter.name in stated:
                rows.append((" ".join(path), option, stated[parameter.name], "file"))
            elif asked:
                origin = "required" if parameter.required else "default"
                rows.append((" ".join(path), option, parameter.default, origin))
    if as_json:
        keys = ("command", "option", "value", "origin")
        shown = {
            "file": None if configuration.path is None else str(configuration.path),
            "options": [dict(zip(keys, row, strict=True)) for row in rows],
        }
        typer.echo(json.dumps(shown, indent=2, default=str, ensure_ascii=False))
        return
    where = configuration.path or f"none ({_OWN}, or [tool.{_TABLE}] in {_SHARED})"
    say(f"configuration file: {where}")
    for name, option, value, origin in rows:
        text = "" if value is None else f" = {json.dumps(value, default=str, ensure_ascii=False)}"
        say(f"{name} {option}{text} ({origin})")
