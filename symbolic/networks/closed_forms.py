"""Integrals and inverses in closed form, by routes that end; what is right, numbers tell."""

from __future__ import annotations

import sympy as sp

_INTEGRABLE = (sp.Pow, sp.log, sp.asinh, sp.acosh, sp.atanh, sp.asin, sp.atan, sp.sin, sp.cos)
_SHORT = 200  # operations of an expression that is worth simplifying


def antiderivative(expr: sp.Expr, symbol: sp.Symbol) -> sp.Expr | None:
    """Integrate by routes that end: a table, rational functions, also of one exponential."""
    # Powers of sums stay as they are: multiplied out, they lose digits in floating point.
    terms = sp.Add.make_args(sp.expand(expr, power_base=False, multinomial=False))
    listed = [_from_table(term, symbol) for term in terms]
    if None not in listed:
        return sp.Add(*listed)
    if expr.is_rational_function(symbol):
        found = sp.integrate(expr, symbol)
        return None if found.has(sp.Integral, sp.RootSum) else found
    in_one = in_one_exponential(expr, symbol)
    if in_one is None:
        return None
    inner, X, rate = in_one
    found = antiderivative(sp.cancel(inner / (rate * X)), X)
    return None if found is None else found.subs(X, sp.exp(rate * symbol))


def _from_table(term: sp.Expr, symbol: sp.Symbol) -> sp.Expr | None:
    """Integrate a constant times a power or an inverse function of a linear argument."""
    constant, factor = term.as_independent(symbol, as_Add=False)
    if not factor.has(symbol):
        return constant * symbol
    if factor == symbol:
        return constant * symbol**2 / 2
    if not isinstance(factor, _INTEGRABLE):
        return None
    inner = factor.base if isinstance(factor, sp.Pow) else factor.args[0]
    rate = sp.diff(inner, symbol)
    if rate.has(symbol) or (isinstance(factor, sp.Pow) and factor.exp.has(symbol)):
        return None
    Y = sp.Dummy("Y")
    plain = Y**factor.exp if isinstance(factor, sp.Pow) else factor.func(Y)
    return constant / rate * sp.integrate(plain, Y).subs(Y, inner)


def in_one_exponential(
    expr: sp.Expr, symbol: sp.Symbol
) -> tuple[sp.Expr, sp.Symbol, sp.Expr] | None:
    """Write an expression as a rational function of X = exp(rate symbol), if it is one."""
    spelled = sp.expand_power_exp(sp.expand(expr.rewrite(sp.exp), power_base=False))
    rates = []
    for power in sorted(spelled.atoms(sp.exp), key=str):
        exponent = sp.expand(power.exp).coeff(symbol)
        if power.has(symbol):
            if exponent == 0 or sp.expand(power.exp - exponent * symbol).has(symbol):
                return None
            rates.append(exponent)
    if not rates:
        return None
    ratios = [sp.cancel(rate / rates[0]) for rate in rates]
    if not all(ratio.is_Rational for ratio in ratios):
        return None
    unit = rates[0] * sp.Rational(1, sp.ilcm(1, *(ratio.q for ratio in ratios)))
    if unit.could_extract_minus_sign():
        unit = -unit
    X = sp.Dummy("X", positive=True)

    def written(power: sp.exp) -> sp.Expr:
        exponent = sp.expand(power.exp)
        rate = exponent.coeff(symbol)
        return sp.exp(sp.expand(exponent - rate * symbol)) * X ** sp.cancel(rate / unit)

    inner = spelled.replace(lambda e: isinstance(e, sp.exp) and e.has(symbol), written)
    inner = sp.cancel(sp.together(inner))
    return (inner, X, unit) if inner.is_rational_function(X) and not inner.has(symbol) else None


def tidy(expr: sp.Expr) -> sp.Expr:
    """Simplify what is short; a long form is right as it stands."""
    return sp.simplify(expr) if sp.count_ops(expr) < _SHORT else expr


def solutions(expr: sp.Expr, unknown: sp.Symbol, value: sp.Expr) -> list[sp.Expr]:
    """Return candidates for the solutions of `expr = value`; which are right, numbers tell.

    Layer by layer where the unknown occurs once, and by the roots of a polynomial
    of degree four at most in what holds it.
    """
    for form in (expr, sp.factor(expr), sp.expand(expr)):
        if form.count(unknown) == 1:
            return unwrapped(form, unknown, value)
    expr = sp.expand(expr)
    equations = [(expr - value, unknown)]
    in_one = in_one_exponential(expr, unknown)
    if in_one is not None:
        inner, X, rate = in_one
        return [sp.log(root) / rate for root in _roots(sp.numer(sp.together(inner - value)), X)]
    if _is_sum_of_logarithms(expr, unknown):
        raised = sp.exp(sp.logcombine(expr, force=True))
        equations.append((raised - sp.exp(value), unknown))
    found: list[sp.Expr] = []
    for equation, _ in equations:
        holding = {e for e in equation.atoms(sp.Function, sp.Pow) if e.has(unknown)}
        for inner in sorted(holding, key=sp.count_ops):
            Y = sp.Dummy("Y")
            replaced = equation.xreplace({inner: Y})
            if not replaced.has(unknown):
                for root in _roots(sp.numer(sp.together(replaced)), Y):
                    found += unwrapped(inner, unknown, root)
        found += _roots(sp.numer(sp.together(equation)), unknown)
    return found


def _is_sum_of_logarithms(expr: sp.Expr, unknown: sp.Symbol) -> bool:
    terms = [t for t in sp.Add.make_args(expr) if t.has(unknown)]
    return len(terms) > 1 and all(t.has(sp.log) for t in terms)


def _roots(expr: sp.Expr, unknown: sp.Symbol) -> list[sp.Expr]:
    if not expr.is_polynomial(unknown):
        return []
    polynomial = sp.Poly(expr, unknown)
    if not 1 <= polynomial.degree() <= 4:
        return []
    return list(sp.roots(polynomial))


def unwrapped(expr: sp.Expr, unknown: sp.Symbol, value: sp.Expr) -> list[sp.Expr]:
    """Solve `expr = value` for an unknown that occurs once, layer by layer, on every branch."""
    if expr == unknown:
        return [sp.expand_power_base(value, force=True), value]
    values: list[sp.Expr] = []
    if isinstance(expr, sp.Add):
        constant, layer = expr.as_independent(unknown)
        values = [value - constant]
    elif isinstance(expr, sp.Mul):
        constant, layer = expr.as_independent(unknown)
        values = [value / constant]
    elif isinstance(expr, sp.exp):
        layer, values = expr.exp, [sp.log(value)]
    elif isinstance(expr, sp.Pow) and not expr.exp.has(unknown):
        layer, power = expr.base, 1 / expr.exp
        if expr.exp.is_Integer is False and power.is_Integer:
            values = [sp.factor(value) ** power]
        else:
            values = [
                sign * (turn * sp.factor(value)) ** power for turn in (1, -1) for sign in (1, -1)
            ]
    elif isinstance(expr, sp.Function) and len(expr.args) == 1 and hasattr(expr, "inverse"):
        layer, inverse = expr.args[0], expr.inverse()(sp.expand(value))
        values = [inverse, -inverse]
        if isinstance(expr, sp.sin):
            values.append(sp.pi - inverse)
    else:
        return []
    if layer.count(unknown) != 1:
        return []
    return [found for v in values for found in unwrapped(layer, unknown, v)]
