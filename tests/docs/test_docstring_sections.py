"""Every public function and class says what goes in, what comes out and what is refused.

numpydoc's own validation reads the sections; whether an error is raised is read
from the source, so that a docstring cannot be silent about it.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import importlib
import inspect
import re
import textwrap

import pytest
from numpydoc import validate

ROOMS = ("symbolic", "numeric", "verify")


def public() -> dict[str, object]:
    found = {}
    for room in ("momentumflow", *(f"momentumflow.{room}" for room in ROOMS)):
        module = importlib.import_module(room)
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isfunction(thing) or inspect.isclass(thing):
                found[f"{room}.{name}"] = thing
    return found


PUBLIC = public()


def callables() -> dict[str, object]:
    """Return public functions, and the public methods that public classes define."""
    found = {}
    for name, thing in PUBLIC.items():
        if inspect.isfunction(thing):
            found[name] = thing
            continue
        for attribute, value in vars(thing).items():
            plain = getattr(value, "__func__", value)
            # What an interface prescribes is described there, once.
            prescribed = any(hasattr(base, attribute) for base in thing.__mro__[1:])
            if not attribute.startswith("_") and inspect.isfunction(plain) and not prescribed:
                found[f"{name}.{attribute}"] = plain
    return found


CALLABLES = callables()


def parameters(thing) -> list[str]:
    return [p for p in inspect.signature(thing).parameters if p not in ("self", "cls")]


def raised(thing) -> set[str]:
    """Return the errors that a function raises by a statement of its own."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(thing))))
    function = tree.body[0]
    names = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            names.add(ast.unparse(node.exc.func).rpartition(".")[2])
    return names - {"AssertionError", "NotImplementedError"}


def faults(name: str, thing) -> list[str]:
    doc = inspect.getdoc(thing) or ""
    if not doc:
        return ["no docstring"]
    parsed = validate.Validator(validate.get_doc_object(thing))
    found = []
    described = [p.lstrip("*") for p in parsed.doc_all_parameters]
    method = name not in PUBLIC
    if method and not described:
        # In prose: in the docstring of the method or of its class.
        words = set(
            re.findall(r"\w+", doc + (inspect.getdoc(PUBLIC[name.rpartition(".")[0]]) or ""))
        )
        silent = [p for p in parameters(thing) if p not in words]
        if len(parameters(thing)) > 1 and silent:
            found.append(f"does not say what {', '.join(silent)} is")
    elif {d for entry in described for d in entry.split(", ")} != set(parameters(thing)):
        found.append(f"parameters {parameters(thing)}, described {described}")
    nothing = inspect.signature(thing).return_annotation == "None"
    if not method and not nothing and not parsed.returns:
        found.append("no Returns section")
    missing = sorted(e for e in raised(thing) if e[0] != "_" and e not in doc)
    if missing:
        found.append(f"raises {', '.join(missing)} and does not say so")
    return found


@pytest.mark.parametrize("name", sorted(CALLABLES))
def test_sections_of(name):
    assert faults(name, CALLABLES[name]) == []


@pytest.mark.parametrize("name", sorted(n for n, t in PUBLIC.items() if inspect.isclass(t)))
def test_fields_of(name):
    """Every field of a result or an input is described: what it is, in what shape."""
    thing = PUBLIC[name]
    assert inspect.getdoc(thing), "no docstring"
    if issubclass(thing, enum.Enum):
        assert all(member.value for member in thing)
    elif dataclasses.is_dataclass(thing):
        described = "".join(base.__doc__ or "" for base in thing.__mro__[:-1])
        words = set(re.findall(r"\w+", described))
        fields = {f.name for f in dataclasses.fields(thing) if f.init and f.name[0] != "_"}
        assert fields <= words, f"{name} does not describe {sorted(fields - words)}"


def test_a_silent_docstring_is_noticed():
    """Negative control."""

    def wrong(a: int, b: int) -> int:
        """Return the sum.

        Parameters
        ----------
        a : int
        """
        if b < 0:
            raise ValueError
        if a < 0:
            raise ValueError("a")
        return a + b

    PUBLIC["wrong"] = wrong
    try:
        assert faults("wrong", wrong) == [
            "parameters ['a', 'b'], described ['a']",
            "no Returns section",
            "raises ValueError and does not say so",
        ]
    finally:
        del PUBLIC["wrong"]
