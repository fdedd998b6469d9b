"""From derived expressions to vectorised functions.

`kernel` compiles expressions with SymPy's `lambdify` for NumPy and wraps the
result so that it behaves as numerical code is expected to: inputs become
float64, constants broadcast to the shape of the inputs, the object pickles, and
its source can be read. The module writers in `modules.py` print their
expressions through the same `emit`.
"""

from __future__ import annotations

import functools
import html
import inspect
import keyword
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import sympy as sp
from numpy.typing import ArrayLike, NDArray
from sympy.printing.c import C99CodePrinter
from sympy.printing.codeprinter import PrintMethodNotImplementedError
from sympy.printing.numpy import JaxPrinter, NumPyPrinter
from sympy.printing.pycode import PythonCodePrinter

from momentumflow.base.arguments import checked
from momentumflow.base.arrays import RealsOrNaN
from momentumflow.base.errors import InputError
from momentumflow.symbolic.expressions import Formula, SymbolLike
from momentumflow.symbolic.symbols import REGISTRY

# The registry lists several spellings of a symbol; the identifier is the one to print.
_IDENTIFIERS = {
    symbol: name
    for name, symbol in REGISTRY.items()
    if name.isidentifier() and not keyword.iskeyword(name)
}

# order="none" leaves sums as they come: 2-3 times faster on large expressions.
_share_subexpressions = functools.partial(sp.cse, order="none")


class _Reciprocals:
    """Prints 1/x as a division: a power costs more, and torch's takes no plain numbers."""

    def _print_Pow(self, expr: sp.Pow, **options: Any) -> str:
        if expr.exp == -1:
            return f"(1/({self._print(expr.base)}))"  # type: ignore[attr-defined]
        return super()._print_Pow(expr, **options)  # type: ignore[misc]


class _JaxPrinter(_Reciprocals, JaxPrinter):
    """JAX code."""


def _torch_printer(settings: dict[str, Any]) -> Any:
    """Return a printer of PyTorch code: SymPy's file for it imports PyTorch where there is one."""
    from sympy.printing.pytorch import TorchPrinter

    return type("_TorchPrinter", (_Reciprocals, TorchPrinter), {})(settings)


class _VectorPrinter(_Reciprocals, NumPyPrinter):
    """NumPy code in which scalars and arrays mix: Max of a constant and an array broadcasts."""

    def _nested(self, function: str, args: Sequence[sp.Expr]) -> str:
        first, *rest = args
        printed: str = self._print(first)
        if not rest:
            return printed
        name = self._module_format(f"numpy.{function}")
        return f"{name}({printed}, {self._nested(function, rest)})"

    def _print_Max(self, expr: sp.Max) -> str:
        return self._nested("maximum", expr.args)

    def _print_Min(self, expr: sp.Min) -> str:
        return self._nested("minimum", expr.args)


# Backend: its printer, the module prefix it prints, and the prefix in our sources.
_PRINTERS = {
    "math": (PythonCodePrinter, "math.", "math."),
    "numpy": (_VectorPrinter, "numpy.", "np."),
    "jax": (_JaxPrinter, "jax.numpy.", "jnp."),
    "torch": (_torch_printer, "torch.", "torch."),
}


class _PrintOnly:
    """Stands for a library that need not be installed for code to be printed for it."""

    def __getattr__(self, name: str) -> _PrintOnly:
        return self


# lambdify insists on a namespace to link to; nothing in it is ever called.
_NAMESPACE = {root: _PrintOnly() for root in ("math", "numpy", "jax", "torch")}


def identifier(symbol: sp.Symbol) -> str:
    """Return the Python name of `symbol`: w_plus for w_+, lam for lambda.

    Raises
    ------
    InputError
        If no valid identifier can be made of its name.
    """
    if symbol in _IDENTIFIERS:
        return _IDENTIFIERS[symbol]
    name = re.sub(r"_\{(\w+)\}", r"_\1", symbol.name)
    for sign, word in (("+", "plus"), ("-", "minus"), ("(0)", "_start"), ("'", "_dot")):
        name = name.replace(sign, word)
    if keyword.iskeyword(name):
        name += "_"
    if not name.isidentifier():
        raise InputError("symbols with names that Python can hold", f"{symbol.name!r}")
    return name


@dataclass(frozen=True)
class Emitted:
    """Lines of code for some expressions: shared subexpressions, then the results."""

    arguments: tuple[str, ...]
    assignments: tuple[str, ...]
    results: tuple[str, ...]


def emit(
    expressions: Sequence[sp.Expr],
    arguments: Sequence[sp.Symbol],
    *,
    modules: str = "math",
    prefix: str = "x",
) -> Emitted:
    """Print `expressions` as the body of a function, through `lambdify`.

    Parameters
    ----------
    expressions : sequence of sympy.Expr
        What to compute.
    arguments : sequence of sympy.Symbol
        In the order of the function's signature.
    modules : str
        "math", "numpy", "jax" or "torch", printed through lambdify; or "c".
    prefix : str
        Of the names of shared subexpressions, x0, x1, ...

    Raises
    ------
    InputError
        On a free symbol that is not an argument, on two arguments with one
        Python name, or on an expression that cannot be printed.
    """
    names = [identifier(a) for a in arguments]
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise InputError("arguments with distinct names", f"{twice!r} twice")
    foreign = set().union(*(e.free_symbols for e in expressions)) - set(arguments)
    if foreign:
        listed = ", ".join(sorted(identifier(s) for s in foreign))
        raise InputError(
            f"expressions of {', '.join(names)} only",
            f"also {listed}",
            "add it to the arguments or substitute a value",
        )
    plain = [sp.Symbol(name, **a.assumptions0) for name, a in zip(names, arguments, strict=True)]
    swapped = [e.xreplace(dict(zip(arguments, plain, strict=True))) for e in expressions]
    symbols = (s for s in sp.numbered_symbols(prefix) if s.name not in names)
    if modules == "c":
        return _emit_c(names, swapped, symbols)
    printer, printed_prefix, prefix_here = _PRINTERS[modules]
    try:
        function = sp.lambdify(
            plain,
            swapped,
            modules=[_NAMESPACE],
            printer=printer({"fully_qualified_modules": True, "allow_unknown_functions": False}),
            cse=functools.partial(_share_subexpressions, symbols=symbols),
            docstring_limit=0,
        )
    except PrintMethodNotImplementedError as error:
        raise InputError(
            f"functions that {modules} code can evaluate", str(error).splitlines()[0]
        ) from None
    _, *body = inspect.getsource(function).splitlines()
    *assignments, result = (line.strip().replace(printed_prefix, prefix_here) for line in body)
    return Emitted(tuple(names), tuple(assignments), _split_list(result.removeprefix("return ")))


def _emit_c(
    names: Sequence[str], expressions: Sequence[sp.Expr], symbols: Iterable[sp.Symbol]
) -> Emitted:
    """C99 has no lambdify: share subexpressions and print them one by one."""
    shared, results = _share_subexpressions(expressions, symbols=symbols)
    printer = C99CodePrinter({"strict": True})
    try:
        assignments = tuple(f"const double {s} = {printer.doprint(e)};" for s, e in shared)
        printed = tuple(printer.doprint(e) for e in results)
    except PrintMethodNotImplementedError as error:
        raise InputError("functions that C code can evaluate", str(error).splitlines()[0]) from None
    return Emitted(tuple(names), assignments, printed)


def _split_list(text: str) -> tuple[str, ...]:
    """Split the printed list "[a, f(b, c)]" at its top-level commas."""
    inner = text.strip()[1:-1]
    parts, depth, start = [], 0, 0
    for i, char in enumerate(inner):
        depth += (char in "([") - (char in ")]")
        if char == "," and depth == 0:
            parts.append(inner[start:i].strip())
            start = i + 1
    return (*parts, inner[start:].strip())


@checked
@dataclass(frozen=True, repr=False)
class Kernel:
    """A vectorised NumPy function with readable source; made by `kernel`.

    Calling it broadcasts the arguments against each other, computes in float64
    and returns an array of the common shape for each expression (a single array
    if `kernel` was given a single expression). It compares by its source and
    pickles.

    Attributes
    ----------
    name : str
        Of the function.
    arguments : tuple of str
        In the order in which they are passed.
    source : str
        The module text that the function was compiled from.
    single : bool
        Whether one array is returned, not a tuple.
    """

    name: str
    arguments: tuple[str, ...]
    source: str
    single: bool = False

    @cached_property
    def _function(self) -> Any:
        namespace: dict[str, Any] = {"np": np}
        exec(compile(self.source, f"<momentumflow kernel {self.name}>", "exec"), namespace)
        return namespace[self.name]

    @property
    def function(self) -> Any:
        """The compiled function itself, which takes its arguments as they are."""
        return self._function

    def __call__(self, *values: RealsOrNaN) -> Any:
        """Evaluate at `values`, in the order of `arguments`."""
        if len(values) != len(self.arguments):
            raise InputError(
                f"{len(self.arguments)} arguments ({', '.join(self.arguments)})", f"{len(values)}"
            )
        arrays = [
            _as_float64(name, value) for name, value in zip(self.arguments, values, strict=True)
        ]
        shape = np.broadcast_shapes(*(a.shape for a in arrays))
        results = tuple(_filled(r, shape) for r in self._function(*arrays))
        return results[0] if self.single else results

    def __getstate__(self) -> dict[str, Any]:
        # The compiled function does not pickle; it is made anew from the source.
        return {k: v for k, v in self.__dict__.items() if k != "_function"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        lines = self.source.count("\n")
        return f"<Kernel {self.name}({', '.join(self.arguments)}) of {lines} lines>"

    def __str__(self) -> str:
        return self.source

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.source)}</pre>"


def _as_float64(name: str, value: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(value)
    if array.dtype.kind not in "buif":
        raise InputError(f"{name} to hold real numbers", f"values of dtype {array.dtype}")
    return array.astype(np.float64, copy=False)


def _filled(result: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """A constant expression lambdifies to a scalar: give it the shape of the inputs."""
    array = np.asarray(result, dtype=np.float64)
    return array if array.shape == shape else np.broadcast_to(array, shape).copy()


@checked
def kernel(
    expressions: Formula | Iterable[Formula],
    arguments: Sequence[SymbolLike],
    *,
    name: str = "kernel",
) -> Kernel:
    """Turn derived expressions into one vectorised function.

    Parameters
    ----------
    expressions : sympy.Expr or str, or iterable of them
        What to compute; subexpressions are shared between them.
    arguments : sequence of sympy.Symbol or str
        The function's arguments, in order. Symbols of a registered name stand
        for the registered ones, whatever assumptions they carry.
    name : str
        Name of the function in the printed source.

    Returns
    -------
    Kernel
        Arrays of any broadcastable shapes in; float64 arrays of the common
        shape out, one for each expression.

    Raises
    ------
    InputError
        On a free symbol that is not an argument, a name that is not an
        identifier, or an expression that NumPy cannot evaluate.

    Examples
    --------
    >>> from momentumflow.symbolic import DiagonalNetwork, kernel
    >>> network = DiagonalNetwork().balanced
    >>> theta = kernel(network.parameter, network.coordinates, name="theta")
    >>> theta([1.0, 2.0], 1)
    array([0.  , 0.75])
    """
    single = isinstance(expressions, sp.Expr)
    listed: Any = (expressions,) if single else expressions
    if not name.isidentifier() or keyword.iskeyword(name):
        raise InputError("a function name that is a Python identifier", repr(name))
    emitted = emit(listed, arguments, modules="numpy")
    source = _function_source(name, emitted)
    return Kernel(name, emitted.arguments, source, single=single)


def _function_source(name: str, emitted: Emitted) -> str:
    lines = [f"def {name}({', '.join(emitted.arguments)}):"]
    lines += [f"    {line}" for line in emitted.assignments]
    lines += [f"    return ({', '.join(emitted.results)},)"]
    return "\n".join(lines) + "\n"
