r"""Arithmetic on jets: all directional derivatives of a function in one evaluation.

For directions `x_1, x_2, ...` the value of `f(w + sum_i s_i x_i)` as a truncated
polynomial in the `s_i` holds every derivative `f^(k)(x_i, x_j, ...)`, as the
coefficient of `s_i s_j ...` times the factorials of repeated indices. A `Jet` is such a
polynomial with arrays for coefficients; it passes through NumPy code, so that
a gradient written for arrays is differentiated exactly, to any order, without
a tensor ever being built.

Which monomials are kept, and how they multiply, is the business of a `JetSpace`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import comb
from typing import Any, Protocol

import numpy as np

from momentumflow.base.errors import InputError
from momentumflow.symbolic.series import taylor
from momentumflow.symbolic.series.taylor import Array

Monomial = tuple[Any, ...]  # of trees or of names, sorted, so that equal multisets are equal

_SMOOTH = "compose it of +, -, *, /, **, @, exp, log, sin, cos, tanh and the like"


class Products(Protocol):
    """Which monomials are kept, and how they multiply; `JetSpace` is one."""

    degree: int

    def times(self, a: Monomial, b: Monomial) -> Monomial | None:
        """Return the product of two monomials, or None where it is not kept."""

    def product(self, a: Mapping[Monomial, Any], b: Mapping[Monomial, Any]) -> dict[Monomial, Any]:
        """Return the product of two polynomials, cut to the monomials that are kept."""


class Jet:
    """A truncated polynomial with array coefficients; behaves like an array in NumPy code.

    Parameters
    ----------
    coefficients : mapping
        Monomial to array; all arrays of one shape. The empty monomial is the value.
    space : Products
        Which monomials are kept.
    """

    __slots__ = ("coefficients", "space")

    def __init__(self, coefficients: dict[Monomial, Any], space: Products) -> None:
        self.coefficients = coefficients
        self.space = space

    @property
    def value(self) -> Any:
        """The value: the coefficient of the empty monomial."""
        return self.coefficients[()]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of every coefficient."""
        return np.shape(self.value)

    @property
    def ndim(self) -> int:
        """Number of axes of every coefficient."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of entries of every coefficient."""
        return int(np.prod(self.shape))

    @property
    def dtype(self) -> Any:
        """The dtype of the coefficients."""
        return np.asarray(self.value).dtype

    @property
    def T(self) -> Jet:
        """The transpose."""
        return self.map(np.transpose)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a jet without axes")
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Jet:
        return self.map(lambda a: np.asarray(a)[index])

    def map(self, linear: Callable[[Any], Any]) -> Jet:
        """Return the jet with a linear function applied to every coefficient."""
        return Jet({m: linear(a) for m, a in self.coefficients.items()}, self.space)

    def sum(self, axis: Any = None, *, keepdims: bool = False) -> Jet:
        """Return the sum over axes."""
        return self.map(lambda a: np.sum(a, axis=axis, keepdims=keepdims))

    def mean(self, axis: Any = None, *, keepdims: bool = False) -> Jet:
        """Return the mean over axes."""
        return self.map(lambda a: np.mean(a, axis=axis, keepdims=keepdims))

    def reshape(self, *shape: Any) -> Jet:
        """Return the jet reshaped."""
        return self.map(lambda a: np.reshape(a, shape[0] if len(shape) == 1 else shape))

    def dot(self, other: Any) -> Any:
        """Return the matrix product."""
        return _matmul(self, other) if np.ndim(other) else self * other

    def compose(self, series: Sequence[Any]) -> Jet:
        """Return `sum_k series[k] (self - value)^k`: a function by its Taylor coefficients."""
        small = {m: a for m, a in self.coefficients.items() if m}
        result: dict[Monomial, Any] = {(): series[0]}
        power: dict[Monomial, Any] = small
        for coefficient in series[1:]:
            if not power:
                break
            for m, a in power.items():
                term = coefficient * a
                result[m] = result[m] + term if m in result else term
            power = self.space.product(power, small)
        return Jet(result, self.space)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        handler = _UFUNCS.get(ufunc.__name__)
        if method != "__call__" or kwargs or handler is None:
            if method == "reduce" and ufunc is np.add:
                return self.map(lambda a: np.add.reduce(a, **kwargs))
            raise InputError(
                "a gradient of smooth functions", f"one that calls numpy {ufunc.__name__}", _SMOOTH
            )
        return handler(*inputs)

    def __array_function__(
        self, func: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if func in _LINEAR:
            jet, *rest = args
            return jet.map(lambda a: func(a, *rest, **kwargs))
        if func in _JOINING:
            parts, *rest = args
            return joined(func, parts, rest, kwargs)
        if func is np.dot:
            left, right = args
            return left * right if not (np.ndim(left) and np.ndim(right)) else left @ right
        if func in (np.shape, np.ndim, np.size):
            return func(self.value)
        if func in (np.zeros_like, np.ones_like):
            return func(np.asarray(self.value), *args[1:], **kwargs)
        if func is np.einsum:
            return _einsum(args[0], args[1:], kwargs)
        raise InputError(
            "a gradient of smooth functions", f"one that calls numpy {func.__name__}", _SMOOTH
        )

    def __add__(self, other: Any) -> Jet:
        return _add(self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Jet:
        return _add(self, -other)

    def __rsub__(self, other: Any) -> Jet:
        return _add(-self, other)

    def __mul__(self, other: Any) -> Jet:
        return _multiply(self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Jet:
        return _divide(self, other)

    def __rtruediv__(self, other: Any) -> Jet:
        return _divide(other, self)

    def __pow__(self, exponent: Any) -> Jet:
        return _power(self, exponent)

    def __rpow__(self, base: Any) -> Jet:
        return _power(base, self)

    def __matmul__(self, other: Any) -> Jet:
        return _matmul(self, other)

    def __rmatmul__(self, other: Any) -> Jet:
        return _matmul(other, self)

    def __neg__(self) -> Jet:
        return self.map(np.negative)

    def __pos__(self) -> Jet:
        return self

    def _refuse(self, *_: Any) -> Any:
        raise InputError(
            "a smooth gradient", "one that compares or branches on its argument", _SMOOTH
        )

    __lt__ = __le__ = __gt__ = __ge__ = __abs__ = __bool__ = __float__ = __int__ = _refuse
    __floordiv__ = __mod__ = _refuse


def _space_of(*items: Any) -> Products:
    return next(item.space for item in items if isinstance(item, Jet))


def _coefficients(item: Any) -> dict[Monomial, Any]:
    return item.coefficients if isinstance(item, Jet) else {(): item}


def _add(a: Any, b: Any) -> Jet:
    result = dict(_coefficients(a))
    for m, x in _coefficients(b).items():
        result[m] = result[m] + x if m in result else x
    return _levelled(result, _space_of(a, b))


def _levelled(coefficients: dict[Monomial, Any], space: Products) -> Jet:
    """Bring the coefficients to one shape: a sum may broadcast its value only."""
    shape = np.shape(coefficients[()])
    return Jet(
        {
            m: a if np.shape(a) == shape else np.broadcast_to(a, shape)
            for m, a in coefficients.items()
        },
        space,
    )


def _multiply(a: Any, b: Any) -> Jet:
    space = _space_of(a, b)
    if not isinstance(a, Jet):
        return b.map(lambda x: a * x)
    if not isinstance(b, Jet):
        return a.map(lambda x: x * b)
    return Jet(space.product(a.coefficients, b.coefficients), space)


def _divide(a: Any, b: Any) -> Jet:
    if not isinstance(b, Jet):
        return a.map(lambda x: x / b)
    return _multiply(_power(b, -1), a)


def _matmul(a: Any, b: Any) -> Jet:
    space = _space_of(a, b)
    result: dict[Monomial, Any] = {}
    for m, x in _coefficients(a).items():
        for n, y in _coefficients(b).items():
            target = space.times(m, n)
            if target is not None:
                term = np.matmul(x, y)
                result[target] = result[target] + term if target in result else term
    return Jet(result, space)


def joined(func: Any, parts: Any, rest: list[Any], kwargs: dict[str, Any]) -> Jet:
    """Return a stack or concatenation of jets and arrays."""
    parts = list(parts)
    space = _space_of(*parts)
    if func is np.stack:  # constants among the components have the shape of the others
        shape = np.broadcast_shapes(*(np.shape(_coefficients(p)[()]) for p in parts))
        parts = [_spread(part, shape) for part in parts]
    monomials: dict[Monomial, None] = {}
    for part in parts:
        monomials |= dict.fromkeys(_coefficients(part))
    return Jet(
        {
            m: func(
                [_coefficients(p).get(m, np.zeros(np.shape(p))) for p in parts], *rest, **kwargs
            )
            for m in monomials
        },
        space,
    )


def _spread(part: Any, shape: tuple[int, ...]) -> Any:
    if isinstance(part, Jet):
        return part.map(lambda a: np.broadcast_to(a, shape))
    return np.broadcast_to(part, shape)


def _einsum(subscripts: str, operands: tuple[Any, ...], kwargs: dict[str, Any]) -> Jet:
    places = [i for i, item in enumerate(operands) if isinstance(item, Jet)]
    if len(places) != 1:
        raise InputError(
            "one jet at a time in numpy einsum", f"{len(places)}", "multiply elementwise first"
        )
    (place,) = places

    def apply(a: Any) -> Any:
        return np.einsum(subscripts, *operands[:place], a, *operands[place + 1 :], **kwargs)

    return operands[place].map(apply)


def _power(base: Any, exponent: Any) -> Jet:
    if isinstance(exponent, Jet):
        logarithm = np.log(base)
        return _exp(exponent * logarithm)
    p = np.asarray(exponent)
    if p.ndim:
        raise InputError("a single number as an exponent", f"an array of shape {p.shape}")
    number = float(p)
    if number == int(number) and number >= 0:
        return _whole_power(base, int(number))
    x = np.asarray(base.value, dtype=np.float64)
    series = []
    binomial = 1.0
    for k in range(base.space.degree + 1):
        series.append(binomial * x ** (number - k))
        binomial *= (number - k) / (k + 1)
    return base.compose(series)


def _whole_power(base: Jet, exponent: int) -> Jet:
    x = np.asarray(base.value, dtype=np.float64)
    top = min(exponent, base.space.degree)
    return base.compose([comb(exponent, k) * x ** (exponent - k) for k in range(top + 1)])


def _by_taylor(coefficients: Callable[[Array, int], list[Any]]) -> Callable[[Jet], Jet]:
    """Return the jet version of a function given by its Taylor coefficients at x."""

    def apply(jet: Jet) -> Jet:
        return jet.compose(coefficients(np.asarray(jet.value, dtype=np.float64), jet.space.degree))

    return apply


_exp = _by_taylor(taylor.cyclic(np.exp))


def _logaddexp(a: Any, b: Any) -> Jet:
    return _by_taylor(taylor.softplus)(_add(b, -a)) + a


_UFUNCS: dict[str, Callable[..., Any]] = {
    "add": _add,
    "subtract": lambda a, b: _add(a, -b),
    "multiply": _multiply,
    "divide": _divide,
    "true_divide": _divide,
    "matmul": _matmul,
    "vecdot": lambda a, b: _multiply(a, b).sum(axis=-1),
    "matvec": lambda a, b: _matmul(a, b[..., None])[..., 0],
    "vecmat": lambda a, b: _matmul(a[..., None, :], b)[..., 0, :],
    "negative": lambda a: -a,
    "positive": lambda a: a,
    "conjugate": lambda a: a,
    "power": _power,
    "float_power": _power,
    "square": lambda a: _whole_power(a, 2),
    "sqrt": lambda a: _power(a, 0.5),
    "cbrt": lambda a: _power(a, 1.0 / 3.0),
    "reciprocal": lambda a: _power(a, -1),
    "exp": _exp,
    "exp2": lambda a: _exp(a * np.log(2.0)),
    "expm1": _by_taylor(lambda x, n: [np.expm1(x), *taylor.cyclic(np.exp)(x, n)[1:]]),
    "log": _by_taylor(taylor.logarithm),
    "log1p": _by_taylor(lambda x, n: [np.log1p(x), *taylor.logarithm(1 + x, n)[1:]]),
    "log2": lambda a: _by_taylor(taylor.logarithm)(a) / np.log(2.0),
    "log10": lambda a: _by_taylor(taylor.logarithm)(a) / np.log(10.0),
    "sin": _by_taylor(taylor.cyclic(np.sin, np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x))),
    "cos": _by_taylor(taylor.cyclic(np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin)),
    "sinh": _by_taylor(taylor.cyclic(np.sinh, np.cosh)),
    "cosh": _by_taylor(taylor.cyclic(np.cosh, np.sinh)),
    "tan": _by_taylor(taylor.riccati(np.tan, 1.0, 0.0, 1.0)),
    "tanh": _by_taylor(taylor.riccati(np.tanh, 1.0, 0.0, -1.0)),
    "expit": _by_taylor(taylor.riccati(taylor.expit, 0.0, 1.0, -1.0)),
    "logaddexp": _logaddexp,
    "arctan": _by_taylor(taylor.integral_of_power(np.arctan, 1, -1.0)),
    "arcsinh": _by_taylor(taylor.integral_of_power(np.arcsinh, 1, -0.5)),
    "arctanh": _by_taylor(taylor.integral_of_power(np.arctanh, -1, -1.0)),
    "arcsin": _by_taylor(taylor.integral_of_power(np.arcsin, -1, -0.5)),
    "arccos": lambda a: -_UFUNCS["arcsin"](a) + np.pi / 2,
}

_LINEAR = {
    np.sum,
    np.mean,
    np.cumsum,
    np.diff,
    np.roll,
    np.flip,
    np.reshape,
    np.ravel,
    np.transpose,
    np.moveaxis,
    np.swapaxes,
    np.expand_dims,
    np.squeeze,
    np.broadcast_to,
    np.repeat,
    np.tile,
    np.trace,
    np.diagonal,
    np.copy,
}
_JOINING = {np.concatenate, np.stack, np.hstack, np.vstack, np.column_stack}
