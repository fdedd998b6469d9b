"""The one door through which a user's text and objects become expressions.

Text is read by the grammar below and nothing else: it never reaches Python's or
SymPy's evaluators, and the nodes are made of an allow-list.

    sum     = product (("+" | "-") product)*
    product = signed (("*" | "/") signed)*
    signed  = ("+" | "-")* power
    power   = atom (("**" | "^") signed)?
    atom    = number | name | name "(" sum ("," sum)* ")" | name "[" sum "]" | "(" sum ")"

What is read is bounded as it is built: the length of the text, its depth, the
digits and the size of numbers, powers and factorials, and the number of terms
that the result has when it is expanded. So every text is answered at once,
`9**9**9**9` included.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import comb, inf, isfinite
from typing import Annotated, Any, NamedTuple, NoReturn, TypeAlias

import sympy as sp

from momentumflow.base.arguments import Door, Unfit, isa, register
from momentumflow.base.errors import InputError, nearest, shown
from momentumflow.symbolic.symbols import REGISTRY

_MAX_CHARACTERS = 10_000
_MAX_DEPTH = 30
_MAX_CALLS = 8  # functions inside each other: SymPy's assumptions branch at each
_MAX_FACTORS = 100
_MAX_DIGITS = 300  # of a literal
_MAX_BITS = 4000  # of an exact number, about 1200 digits
_MAX_EXPONENT = 1000
_MAX_FACTORIAL = 400
_MAX_COMPARED = 16  # arguments of Max and Min: SymPy compares all pairs
_MAX_TERMS = 5000
_MAX_SHOWN = 60

_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[A-Za-z]\w*)"
    r"|(?P<mark>\*\*|[-+*/^(),\[\]])"
    r"|(?P<space>\s+)",
    re.ASCII,
)
_REMEDY = "write it like 1 - cos(x) + x^2/2"

_INFINITE = (sp.oo, -sp.oo, sp.zoo, sp.nan)
_CONSTANTS = {"pi": sp.pi, "E": sp.E}
_NO_NUMBERS = frozenset(("I", "oo", "zoo", "nan", "inf", "None", "True", "False"))

# Function: how many arguments it takes at least and at most.
_FUNCTIONS: dict[str, tuple[Callable[..., Any], int, float]] = {
    **{
        function.__name__: (function, 1, 1)
        for function in (
            *(sp.sqrt, sp.cbrt, sp.exp, sp.log, sp.sin, sp.cos, sp.tan, sp.cot, sp.sec, sp.csc),
            *(sp.asin, sp.acos, sp.atan, sp.acot, sp.sinh, sp.cosh, sp.tanh, sp.coth, sp.sech),
            *(sp.csch, sp.asinh, sp.acosh, sp.atanh, sp.acoth, sp.erf, sp.erfc, sp.Abs, sp.sign),
            *(sp.floor, sp.ceiling, sp.factorial, sp.Heaviside),
        )
    },
    "ln": (sp.log, 1, 1),
    "abs": (sp.Abs, 1, 1),
    "atan2": (sp.atan2, 2, 2),
    "binomial": (sp.binomial, 2, 2),
    "Rational": (lambda p, q: _product(p, _power(q, sp.S.NegativeOne)), 2, 2),
    "Max": (sp.Max, 1, inf),
    "Min": (sp.Min, 1, inf),
}


class _RefusedError(Exception):
    """Why a formula is not read; the door makes an InputError of it."""


# What SymPy raises where a number has no value, or none that it can find.
_NO_VALUE = (ArithmeticError, ValueError, TypeError, NotImplementedError)


def read(text: str, names: Mapping[str, Any] | None = None) -> sp.Expr:
    """Return the expression that a formula states, in registered symbols.

    Parameters
    ----------
    text : str
        Such as `"gamma/(1-beta)^2"`; `^` and `**` are powers, `lam` and
        `lambda` are lambda. Numbers with a point are floats, others exact.
    names : mapping, optional
        What further names stand for: an expression, an `IndexedBase` that is
        written with brackets, or an undefined function of one argument.

    Returns
    -------
    sympy.Expr
        Finite and real where it is a number.

    Raises
    ------
    InputError
        If it is no formula, or one too large to be worked with.
    """
    if not isinstance(text, str):
        raise InputError("a formula as text", _shown(text), _REMEDY)
    try:
        expr = _Reader(text, names or {}).formula()
        _check_terms(expr)
    except _RefusedError as reason:
        raise InputError("a formula", _shown(text), str(reason)) from None
    except _NO_VALUE:
        raise InputError("a formula", _shown(text), "a number in it has no value") from None
    return expr


def expression(value: Any, what: str = "an expression") -> sp.Expr:
    """Return what a user gave as an expression; the symbols of SymPy expressions stay.

    Parameters
    ----------
    value : str, number or sympy expression
        Text goes through `read`.
    what : str
        Names the value in messages.

    Raises
    ------
    InputError
        For anything else, and for numbers that are not finite.
    """
    if isinstance(value, str):
        return read(value)
    if isinstance(value, sp.Expr):
        return value
    if isinstance(value, bool) or _is_time(value) or not isinstance(value, numbers.Real):
        raise InputError(f"{what} as text, a number or a SymPy expression", shown(value))
    if isinstance(value, numbers.Integral):
        return sp.Integer(int(value))
    if isinstance(value, numbers.Rational):
        return sp.Rational(int(value.numerator), int(value.denominator))
    if not isfinite(value):
        raise InputError(f"{what} that is finite", _shown(value))
    return sp.Float(float(value))


def _is_time(value: Any) -> bool:
    """Whether it is a length of time, which NumPy counts among the whole numbers."""
    return bool(getattr(getattr(value, "dtype", None), "kind", "") == "m")


def canonical(value: Any, what: str = "an expression") -> sp.Expr:
    """Return `expression(value)` in registered symbols, which must be finite.

    Raises
    ------
    InputError
        As `expression`, or if it contains an infinity.
    """
    expr = expression(value, what)
    if expr.has(*_INFINITE):
        raise InputError(f"{what} that is finite", _shown(value))
    swaps = {
        symbol: REGISTRY[symbol.name]
        for symbol in expr.free_symbols
        if symbol.name in REGISTRY and REGISTRY[symbol.name] != symbol
    }
    return expr.xreplace(swaps) if swaps else expr


def exact(name: str, value: Any) -> sp.Expr:
    """Return `canonical(value)`, which must be free of floats.

    Raises
    ------
    InputError
        If it contains a float, is not an expression, or is not finite.
    """
    expr = canonical(value, name)
    if expr.has(sp.Float):
        guess = sp.nsimplify(expr, rational=True)
        raise InputError(
            f"{name} as an exact number", f"the float {value}", f"write it as a fraction, {guess}"
        )
    return expr


def symbol(value: Any, what: str = "a symbol") -> sp.Symbol:
    """Return a symbol that a user gave by itself or by its name; the registered one of its name.

    Raises
    ------
    InputError
        If it is neither.
    """
    found = canonical(value, what) if isinstance(value, str | sp.Symbol) else None
    if not isinstance(found, sp.Symbol):
        raise InputError(f"{what} as a name or a SymPy symbol", shown(value))
    return found


def all_of(values: Any, read_one: Callable[..., sp.Expr], what: str) -> tuple[Any, ...]:
    """Return what `read_one` makes of each item of a sequence; text is no sequence.

    Raises
    ------
    InputError
        If it cannot be gone through, or as `read_one` does.
    """
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise InputError(f"a sequence for {what}", shown(values))
    try:
        items = list(values)
    except TypeError:  # an array without axes only looks like a sequence
        raise InputError(f"a sequence for {what}", shown(values)) from None
    return tuple(read_one(value, f"an item of {what}") for value in items)


def substituted(expr: sp.Expr, values: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr:
    """Return an expression with its symbols replaced, all at once and within the bounds of `read`.

    Raises
    ------
    InputError
        If the result is not finite, or too large: `2**x` at `x = 10**9`.
    """
    try:
        found = _rebuilt(expr, values)
        _check_terms(found)
    except (_RefusedError, *_NO_VALUE) as reason:
        settings = ", ".join(f"{name} = {_clipped(str(value))}" for name, value in values.items())
        why = str(reason) if isinstance(reason, _RefusedError) else "a number in it has no value"
        raise InputError("values that the formula allows", settings, why) from None
    return found


def _rebuilt(expr: Any, values: Mapping[sp.Symbol, sp.Expr]) -> Any:
    if expr in values:
        return values[expr]
    if not expr.args or not expr.free_symbols & values.keys():
        return expr
    args = [_rebuilt(arg, values) for arg in expr.args]
    if isinstance(expr, sp.Pow):
        return _power(*args)
    if isinstance(expr, sp.Add | sp.Mul):
        return _bounded(expr.func(*args))
    return _applied(expr.func, args)


def _shown(value: Any) -> str:
    return _clipped(repr(value))


def _clipped(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 3]}..."


class _Token(NamedTuple):
    kind: str
    text: str


_END = _Token("end", "")


class _Reader:
    """Reads one formula, by recursive descent over its tokens."""

    def __init__(self, text: str, names: Mapping[str, Any]) -> None:
        if len(text) > _MAX_CHARACTERS:
            raise _RefusedError(f"it has more than {_MAX_CHARACTERS} characters")
        self._tokens = _tokens(text)
        self._next = next(self._tokens)
        self._depth = 0
        self._calls = 0
        self._names = names

    def formula(self) -> sp.Expr:
        expr = self._sum()
        if self._next != _END:
            self._unexpected()
        return expr

    def _take(self) -> _Token:
        token, self._next = self._next, next(self._tokens, _END)
        return token

    def _took(self, *marks: str) -> str | None:
        """Take the next token if it is one of these marks."""
        return self._take().text if self._next.kind == "mark" and self._next.text in marks else None

    def _demand(self, mark: str) -> None:
        if not self._took(mark):
            self._unexpected()

    def _unexpected(self) -> NoReturn:
        if self._next == _END:
            raise _RefusedError(f"it ends too early; {_REMEDY}")
        raise _RefusedError(f"{self._next.text!r} is not expected there; {_REMEDY}")

    def _sum(self) -> sp.Expr:
        terms = [self._product()]
        while mark := self._took("+", "-"):
            term = self._product()
            terms.append(term if mark == "+" else -term)
        return _bounded(sp.Add(*terms))

    def _product(self) -> sp.Expr:
        expr = self._signed()
        while mark := self._took("*", "/"):
            factor = self._signed()
            expr = _product(expr, factor if mark == "*" else _power(factor, sp.S.NegativeOne))
        return expr

    def _signed(self) -> sp.Expr:
        negative = False
        while mark := self._took("+", "-"):
            negative ^= mark == "-"
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _RefusedError(f"it is nested more than {_MAX_DEPTH} deep")
        expr = self._atom()
        if self._took("**", "^"):
            expr = _power(expr, self._signed())
        self._depth -= 1
        return -expr if negative else expr

    def _atom(self) -> sp.Expr:
        if self._took("("):
            expr = self._sum()
            self._demand(")")
            return expr
        if self._next.kind == "number":
            return _number(self._take().text)
        if self._next.kind != "name":
            self._unexpected()
        name = self._take().text
        if self._took("("):
            self._calls += 1
            if self._calls > _MAX_CALLS:
                raise _RefusedError(f"it has functions more than {_MAX_CALLS} deep in each other")
            args = [self._sum()]
            while self._took(","):
                args.append(self._sum())
            self._demand(")")
            self._calls -= 1
            return self._called(name, args)
        if self._took("["):
            base = self._names.get(name)
            index = self._sum()
            self._demand("]")
            if not isinstance(base, sp.IndexedBase):
                known = [n for n, b in self._names.items() if isinstance(b, sp.IndexedBase)]
                only = f"; {known[0]} is the only sequence, so eliminate others" if known else ""
                raise _RefusedError(f"{_clipped(name)} takes no brackets{only}")
            return base[index]
        return self._named(name)

    def _named(self, name: str) -> sp.Expr:
        for known in (self._names, REGISTRY, _CONSTANTS):
            if name in known:
                found = known[name]
                if not isinstance(found, sp.Expr) or isinstance(found, sp.IndexedBase):
                    raise _RefusedError(f"{name} cannot stand alone")
                return found
        if name in _FUNCTIONS:
            raise _RefusedError(f"{name} is a function: write {name}(x)")
        if "__" in name or name in _NO_NUMBERS or len(name) > _MAX_SHOWN:
            raise _RefusedError(f"{_clipped(name)!r} cannot be the name of a real number")
        return sp.Symbol(name)

    def _called(self, name: str, args: list[sp.Expr]) -> sp.Expr:
        own = self._names.get(name)
        if isinstance(own, sp.core.function.UndefinedFunction):
            if len(args) != 1:
                raise _RefusedError(f"{name} takes one argument, not {len(args)}")
            return own(*args)
        if name in self._names or name in REGISTRY:
            raise _RefusedError(f"{name} is no function; write a product with *")
        if name not in _FUNCTIONS:
            near = nearest(name, _FUNCTIONS)
            known = f"{_clipped(name)} is none of the functions it may use"
            raise _RefusedError(f"{known}; {near}" if near else known)
        function, least, most = _FUNCTIONS[name]
        if not least <= len(args) <= most:
            raise _RefusedError(f"{name} does not take {len(args)} argument(s)")
        return _applied(function, args)


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise _RefusedError(f"{text[position]!r} has no meaning in it; {_REMEDY}")
        position = found.end()
        if found.lastgroup != "space":
            yield _Token(str(found.lastgroup), found.group())
    yield _END


def _number(text: str) -> sp.Expr:
    if len(text) > _MAX_DIGITS:
        raise _RefusedError(f"a number has more than {_MAX_DIGITS} digits")
    if text.isdigit():
        return sp.Integer(int(text))
    mantissa = text.lower().partition("e")[0]
    if not isfinite(float(text)) or (float(text) == 0 and mantissa.strip("0.")):
        raise _RefusedError(f"{_clipped(text)} is outside the range of floating-point numbers")
    return sp.Float(text)


def _product(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    for factor in (a, b):
        if isinstance(factor, sp.Mul) and len(factor.args) > _MAX_FACTORS:
            raise _RefusedError(f"it has a product of more than {_MAX_FACTORS} factors")
    return _bounded(a * b)


def _power(base: sp.Expr, exponent: sp.Expr) -> sp.Expr:
    """Return a power, refused where SymPy would write out a number or a sum without end."""
    if exponent.is_Number:
        if abs(exponent) > _MAX_EXPONENT or _bits(exponent) > _MAX_BITS:
            raise _RefusedError(f"an exponent is larger than {_MAX_EXPONENT}")
        if _bits(base) * max(abs(exponent), 1) > _MAX_BITS:
            raise _RefusedError("a power is too large to be written out")
    if exponent.is_negative and base.is_zero:
        raise _RefusedError("it divides by zero")
    return _bounded(base**exponent)


def _applied(function: Callable[..., Any], args: list[sp.Expr]) -> sp.Expr:
    if function in (sp.factorial, sp.binomial):
        for arg in args:
            if arg.is_number and not (arg.is_Integer and 0 <= arg <= _MAX_FACTORIAL):
                raise _RefusedError(
                    f"factorials and binomials take whole numbers from 0 to {_MAX_FACTORIAL}"
                )
    if function in (sp.Max, sp.Min):
        compared = sum(len(a.args) if isinstance(a, sp.Max | sp.Min) else 1 for a in args)
        if compared > _MAX_COMPARED:
            raise _RefusedError(f"Max and Min compare at most {_MAX_COMPARED} numbers")
    return _bounded(function(*args))


def _bits(expr: sp.Expr) -> int:
    """Return how many bits the largest exact number in front of an expression takes."""
    if isinstance(expr, sp.Rational):
        return max(abs(expr.p).bit_length(), expr.q.bit_length())
    if isinstance(expr, sp.Mul):
        return _bits(expr.args[0])
    return 1


def _bounded(expr: sp.Expr) -> sp.Expr:
    """Return an expression that is finite, and real and of bounded size where it is a number."""
    if expr.has(*_INFINITE):
        raise _RefusedError("it has no finite value")
    if _bits(expr) > _MAX_BITS:
        raise _RefusedError("a number in it is too large")
    if expr.is_number and not isinstance(expr, sp.Rational):
        # what it is made of is bounded already, so that this is quick
        value = expr.evalf(15)
        if not value.is_real:
            raise _RefusedError("a number in it is not real")
        if not isfinite(float(value)):
            raise _RefusedError("a number in it is too large")
    return expr


def _check_terms(expr: sp.Expr) -> None:
    """Refuse an expression that has too many terms once it is expanded."""
    terms: dict[Any, int] = {}
    for part in sp.postorder_traversal(expr):
        if isinstance(part, sp.Add):
            terms[part] = sum(terms[arg] for arg in part.args)
        elif isinstance(part, sp.Mul):
            terms[part] = 1
            for arg in part.args:
                terms[part] *= terms[arg]
        elif isinstance(part, sp.Pow) and part.exp.is_Integer and terms[part.base] > 1:
            power = abs(int(part.exp))
            terms[part] = comb(power + terms[part.base] - 1, power)
        else:
            terms[part] = 1
        if terms[part] > _MAX_TERMS:
            raise _RefusedError(f"it has more than {_MAX_TERMS} terms when it is expanded")


# -- doors: what a declared type of this room takes -----------------------------


def _door(make: Callable[[Any, str], Any], kinds: Any, says: str) -> Door:
    """Return the door that hands values of some kinds to one of the functions above."""

    def take(name: str, value: Any) -> Any:
        if not isinstance(value, kinds) or isinstance(value, bool) or _is_time(value):
            raise Unfit
        return make(value, name)

    return Door(says, take)


_WRITTEN = (str, sp.Expr, numbers.Real)
_EXPRESSION = _door(
    lambda value, name: value if isinstance(value, sp.Expr) else canonical(value, name),
    _WRITTEN,
    "text, a number or a SymPy expression",
)
_SYMBOL = _door(symbol, (str, sp.Symbol), "a name or a SymPy symbol")
register(sp.Expr)(lambda _: _EXPRESSION)
register(sp.Symbol)(lambda _: _SYMBOL)

Formula: TypeAlias = Annotated[Any, _door(canonical, _WRITTEN, _EXPRESSION.says)]
Exact: TypeAlias = Annotated[
    Any, _door(lambda value, name: exact(name, value), _WRITTEN, _EXPRESSION.says)
]
SymbolLike: TypeAlias = Annotated[Any, _SYMBOL]
# As it is: the registered one of its name may have other assumptions.
OwnSymbol: TypeAlias = Annotated[sp.Symbol, isa(sp.Symbol, "a SymPy symbol")]
