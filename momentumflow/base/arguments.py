"""The one door for arguments: each is made into its declared type, or refused in one sentence.

`@checked` reads the annotations of a function, or of all public methods of a class,
once. Every argument then passes the `Door` of its type: a door says in words what it
takes, and makes it of what came. What is of another kind is `Unfit`, so that the next
member of a union may take it; what is of the right kind but out of range is an
`InputError`. `Annotated[float, Where("> 0", ...)]` narrows a type; a `Door` among the
metadata replaces its type's own. A room adds doors for its own types by `register`,
so that this file imports neither NumPy nor SymPy.
"""

from __future__ import annotations

import builtins
import decimal
import enum
import functools
import inspect
import math
import numbers
import operator
import os
import sys
import types
import typing
from collections import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec, TypeAlias, TypeVar, Union

from momentumflow.base.errors import InputError, nearest, shown

P = ParamSpec("P")
R = TypeVar("R")


class Unfit(Exception):  # noqa: N818 -- not an error: another door may open
    """A value that is not of the kind a door takes; `remedy` may say how to make it so."""

    def __init__(self, remedy: str | None = None) -> None:
        self.remedy = remedy


@dataclass(frozen=True, eq=False)
class Door:
    """What an argument may be, in words, and how it is made of a name and what came."""

    says: str
    take: Callable[[str, Any], Any]

    def __call__(self, name: str, value: Any) -> Any:
        """Return what the function gets, or raise InputError."""
        try:
            return self.take(name, value)
        except Unfit as unfit:
            raise InputError(f"{name} as {self.says}", shown(value), unfit.remedy) from None


@dataclass(frozen=True, eq=False)
class Where:
    """A condition on an argument, in words such as "> 0"; NaN fulfils none."""

    says: str
    holds: Callable[[Any], bool]

    def take(self, door: Door, name: str, value: Any) -> Any:
        """Return the value made by `door`, if it fulfils the condition."""
        made = door.take(name, value)
        if not self.holds(made):
            raise InputError(f"{name} {self.says}", f"{name} = {shown(made)}")
        return made


# Machine integers end here: a larger count is a mistake and would wrap around.
_LARGEST = 2**63 - 1
Count: TypeAlias = Annotated[int, Where(">= 1", lambda n: 1 <= n <= _LARGEST)]
Natural: TypeAlias = Annotated[int, Where(">= 0", lambda n: 0 <= n <= _LARGEST)]
Finite: TypeAlias = Annotated[float, Where("finite", math.isfinite)]
PositiveFloat: TypeAlias = Annotated[float, Where("> 0", lambda x: 0 < x < math.inf)]
MomentumFloat: TypeAlias = Annotated[float, Where("in [0, 1)", lambda x: 0 <= x < 1)]
NonNegativeFloat: TypeAlias = Annotated[float, Where(">= 0", lambda x: 0 <= x < math.inf)]


def isa(kind: type | tuple[type, ...], says: str) -> Door:
    """Return the door that takes instances of `kind` as they are."""

    def take(name: str, value: Any) -> Any:
        if not isinstance(value, kind):
            raise Unfit
        return value

    return Door(says, take)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool):
        raise Unfit
    try:
        return operator.index(value)
    except Exception:  # the value's own code may raise anything
        raise Unfit from None


def number(name: str, value: Any) -> float:
    """Return a real number as a float; text, truth values and arrays are none."""
    if type(value) is float:
        return value
    single = getattr(value, "ndim", 0) == 0 and getattr(value, "dtype", None) is not None
    if single and getattr(value.dtype, "kind", "") not in "iuf":
        raise Unfit
    real = isinstance(value, numbers.Real | decimal.Decimal) and not isinstance(value, bool)
    if not (real or single):
        raise Unfit
    try:
        return float(value)
    except OverflowError:
        raise InputError(f"{name} within floating point", shown(value)) from None
    except Exception:
        raise Unfit from None


def _truth(name: str, value: Any) -> bool:
    if isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool":
        return bool(value)
    raise Unfit


def _nothing(name: str, value: Any) -> None:
    if value is not None:
        raise Unfit


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Unfit
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(f"{name} as text that can be written down", shown(value)) from None
    return str(value)


def _path(name: str, value: Any) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise Unfit
    text = os.fspath(value)
    if not isinstance(text, str):
        raise Unfit
    if not text or not text.isprintable() or len(text) > 4096:
        raise InputError(f"{name} as the name of a file or folder", shown(value))
    return Path(text)


FileName: TypeAlias = Annotated[str | Path, Door("a path", _path)]

_Factory: TypeAlias = Callable[[tuple[Any, ...]], Door]
_FACTORIES: dict[Any, _Factory] = {}


def register(kind: Any) -> Callable[[_Factory], _Factory]:
    """Add the doors of a type: the decorated function makes one of the type's parameters."""

    def add(factory: _Factory) -> _Factory:
        _FACTORIES[kind] = factory
        return factory

    return add


_ANYTHING = Door("anything", lambda name, value: value)

for _kind, _door in (
    (bool, Door("True or False", _truth)),
    (int, Door("a whole number", _whole)),
    (float, Door("a number", number)),
    (str, Door("text", _text)),
    (Path, Door("a path", _path)),
    (types.NoneType, Door("None", _nothing)),
    (Any, _ANYTHING),
    (object, _ANYTHING),
):
    register(_kind)(functools.partial(lambda door, arguments: door, _door))


@register(Literal)
def _choice(options: tuple[Any, ...]) -> Door:
    listed = ", ".join(repr(option) for option in options)

    def take(name: str, value: Any) -> Any:
        for option in options:
            if type(value) is type(option) and value == option:
                return value
        if not isinstance(value, str):
            raise Unfit
        remedy = nearest(value, [o for o in options if isinstance(o, str)])
        raise InputError(f"{name} to be one of {listed}", shown(value), remedy)

    return Door(f"one of {listed}", take)


def _union(members: tuple[Any, ...]) -> Door:
    doors = [door_of(member) for member in members]

    def take(name: str, value: Any) -> Any:
        remedy = None
        for door in doors:
            try:
                return door.take(name, value)
            except Unfit as unfit:
                remedy = remedy or unfit.remedy
        raise Unfit(remedy)

    return Door(" or ".join(dict.fromkeys(door.says for door in doors)), take)


register(Union)(_union)
register(types.UnionType)(_union)


@register(abc.Callable)
def _function(_: tuple[Any, ...]) -> Door:
    def take(name: str, value: Any) -> Any:
        if not callable(value):
            raise Unfit
        return value

    return Door("a function", take)


def _items(name: str, value: Any, lazily: bool) -> list[Any]:
    """Return the items of a sequence, or of anything that runs through items once."""
    if isinstance(value, str | bytes | bytearray | Mapping):
        raise Unfit(f"put it in a list, [{name}]" if isinstance(value, str) else None)
    ordered = isinstance(value, abc.Sequence) or getattr(value, "ndim", 0) == 1
    if not (ordered or (lazily and isinstance(value, abc.Iterable) and not hasattr(value, "ndim"))):
        raise Unfit
    return list(value)


def _row(make: type, *, entries: bool = False, lazily: bool = False) -> _Factory:
    def factory(arguments: tuple[Any, ...]) -> Door:
        fixed = entries and arguments[1:] != (...,)
        doors = [door_of(argument) for argument in arguments if argument is not ...]
        if fixed:
            number = "a pair" if len(doors) == 2 else f"{len(doors)} entries"
            says = f"{number} ({', '.join(door.says for door in doors)})"
        else:
            says = f"a sequence of {doors[0].says}" if doors else "a sequence"

        def take(name: str, value: Any) -> Any:
            items = _items(name, value, lazily)
            if fixed and len(items) != len(doors):
                raise Unfit
            through = doors if fixed else (doors or [_ANYTHING]) * len(items)
            made = [
                door(f"{name}[{i}]", item)
                for i, (door, item) in enumerate(zip(through, items, strict=True))
            ]
            same = isinstance(value, make) and all(map(operator.is_, made, items))
            return value if same else make(made)

        return Door(says, take)

    return factory


register(tuple)(_row(tuple, entries=True))
register(list)(_row(list))
register(abc.Sequence)(_row(tuple))
register(abc.Iterable)(_row(tuple, lazily=True))


def _table(arguments: tuple[Any, ...]) -> Door:
    key, item = (door_of(a) for a in arguments or (Any, Any))

    def take(name: str, value: Any) -> Any:
        if not isinstance(value, Mapping) or hasattr(value, "toarray"):  # a sparse format
            raise Unfit
        made = {
            key(f"a key of {name}", k): item(f"{name}[{shown(k)}]", v) for k, v in value.items()
        }
        return value if all(k in value and value[k] is v for k, v in made.items()) else made

    return Door("a mapping" if key.says == "anything" else f"a mapping of {key.says}", take)


register(dict)(_table)
register(Mapping)(_table)


def door_of(hint: Any) -> Door:
    """Return the door of a type.

    Raises
    ------
    TypeError
        For a type that has none: a mistake of whoever declared it.
    """
    if hint is None:
        hint = types.NoneType
    origin = typing.get_origin(hint)
    if origin is Annotated:
        inner, *conditions = typing.get_args(hint)
        door = next((c for c in conditions if isinstance(c, Door)), None) or door_of(inner)
        for condition in conditions:
            if isinstance(condition, Where):
                take = functools.partial(condition.take, door)
                door = Door(f"{door.says} {condition.says}", take)
        return door
    factory = _FACTORIES.get(hint if origin is None else origin)
    if factory is not None:
        return factory(typing.get_args(hint))
    if origin is None and isinstance(hint, type):
        listed = f"one of {', '.join(map(str, hint))}" if issubclass(hint, enum.Enum) else None
        article = "an" if hint.__name__[0] in "AEIO" else "a"
        return isa(hint, listed or f"{article} {hint.__name__}")
    raise TypeError(f"expected a type that has a door, received {hint!r}.")


class _Names(dict[str, Any]):
    """What annotations may name; of an optional library that is not loaded, anything."""

    def __missing__(self, name: str) -> Any:
        return getattr(builtins, name, Any)


class _Doors:
    """The doors of a function's parameters."""

    def __init__(self, function: Callable[..., Any], owner: type | None) -> None:
        self.function, self.owner = function, owner
        self.parameters = inspect.signature(function).parameters
        kinds = inspect.Parameter
        by_kind: dict[Any, list[str]] = {}
        for name, parameter in self.parameters.items():
            by_kind.setdefault(parameter.kind, []).append(name)
        self.positional = by_kind.get(kinds.POSITIONAL_OR_KEYWORD, [])
        (self.rest,) = by_kind.get(kinds.VAR_POSITIONAL, [""])
        (self.others,) = by_kind.get(kinds.VAR_KEYWORD, [""])
        self.named = frozenset(self.parameters) - {self.rest, self.others}
        self.required = [
            n for n in self.parameters if n in self.named and self._default(n) is kinds.empty
        ]

    def _default(self, name: str) -> Any:
        return self.parameters[name].default

    @functools.cached_property
    def doors(self) -> dict[str, Door | None]:
        """The door of each parameter, None where anything goes; made at the first call."""
        bases = () if self.owner is None else self.owner.__mro__
        names = _Names()
        for base in reversed(bases):
            names |= vars(sys.modules[base.__module__])
        found: dict[str, Door | None] = {}
        own = inspect.unwrap(self.function).__globals__
        names |= own
        for name, parameter in self.parameters.items():
            hint = parameter.annotation
            if isinstance(hint, str):  # as `from __future__ import annotations` leaves it
                hint = eval(hint, own, names)  # our own source, never a user's text
            door = _ANYTHING if hint is parameter.empty else door_of(hint)
            found[name] = None if door is _ANYTHING else door
        return found

    def through(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments, each made by its door."""
        names = self.positional[: len(args)]
        given = {*names, *kwargs}
        surplus = len(args) - len(names)
        if len(given) < len(names) + len(kwargs) or (surplus and not self.rest):
            twice = [name for name in names if name in kwargs]
            what = f"{twice[0]} twice" if twice else f"{len(args)} without names"
            raise InputError("each argument once", what, self.usage)
        for name in kwargs:
            if name not in self.named and not self.others:
                listed = ", ".join(n for n in self.parameters if n not in ("self", "cls"))
                remedy = nearest(name, self.named)
                raise InputError(f"arguments among {listed or 'none'}", shown(name), remedy)
        for name in self.required:
            if name not in given:
                raise InputError(f"an argument {name}", "none", self.usage)
        doors = self.doors
        made = [
            value if (door := doors[name]) is None else door(name, value)
            for name, value in zip(names, args, strict=False)
        ]
        for i, value in enumerate(args[len(names) :]):
            door = doors[self.rest]
            made.append(value if door is None else door(f"{self.rest}[{i}]", value))
        for name, value in kwargs.items():
            door = doors[name if name in self.named else self.others]
            if door is not None:
                kwargs[name] = door(name, value)
        return made, kwargs

    @property
    def usage(self) -> str:
        """How the function is called, as a remedy."""
        needed = [name for name in self.required if name not in ("self", "cls")]
        more = ["..."] if len(self.parameters) > len(self.required) else []
        owner = self.function.__qualname__.removesuffix(".__init__")
        return f"call {owner}({', '.join(needed + more)})"


def _wrapped(function: Callable[..., Any], owner: type | None) -> Callable[..., Any]:
    entrance = _Doors(function, owner)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        made, named = entrance.through(args, kwargs)
        return function(*made, **named)

    call.doors = entrance  # type: ignore[attr-defined]
    return call


@typing.overload
def checked(target: type[R]) -> type[R]: ...
@typing.overload
def checked(target: Callable[P, R]) -> Callable[P, R]: ...
def checked(target: Any) -> Any:
    """Pass every argument through the door of its declared type.

    Parameters
    ----------
    target : function or class
        Of a class, the constructor and every public method that takes something.

    Returns
    -------
    function or class
        With the signature it had; each call raises InputError for an argument that
        is wrong, missing, given twice or unknown.
    """
    if not isinstance(target, type):
        return _wrapped(target, None)
    for name, member in list(vars(target).items()):
        if name.startswith("_") and name not in ("__init__", "__call__"):
            continue
        plain = getattr(member, "__func__", member)
        if not isinstance(plain, types.FunctionType) or hasattr(plain, "doors"):
            continue
        if len(inspect.signature(plain).parameters) > (not isinstance(member, staticmethod)):
            wrapped = _wrapped(plain, target)
            setattr(target, name, wrapped if member is plain else type(member)(wrapped))
    return target
