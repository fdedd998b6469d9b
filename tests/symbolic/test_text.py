"""Text from a user is read by one grammar and never evaluated; what is large is refused, not tried.

Hostile text is thrown at every entry that takes text, alone and inside
containers. It must end in InputError, leave no trace of having run, and reach
neither Python's `eval`, `exec` and `compile` nor SymPy's parser; harmless text
must be read without them too.
"""

import builtins
import itertools
import json
import string
from collections.abc import Hashable
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st
from sympy.parsing import sympy_parser

from momentumflow import InputError, cli
from momentumflow.numeric import momentum_descent, potential_of_map, sparse_regression
from momentumflow.symbolic import (
    HeavyBall,
    Identity,
    MomentumMethod,
    QuasiHyperbolic,
    Recurrence,
    SeparableNetwork,
    acceleration_rule,
    commutation,
    kernel,
    leading_equation,
    memoryless_map,
    mirror_flow,
    modified_equation,
    principal_flow,
)
from momentumflow.symbolic.expressions import exact, expression, read, substituted
from momentumflow.symbolic.symbols import REGISTRY, beta, gamma

# What hostile code would do: note its own execution here.
builtins_mark = "momentumflow_was_executed"
CALL = f"setattr(__import__('builtins'),'{builtins_mark}',True)"
SPELLED = "+".join(f"chr({ord(c)})" for c in CALL)
# ruff: noqa: SIM905 -- a line holds several, with two blanks between them
PAYLOADS = (
    CALL,
    f"exec({SPELLED})",
    f"eval({SPELLED})",
    f'eval("{CALL}")',
    f"(lambda: {CALL})()",
    f"[{CALL} for q in (1,)][0]",
    f"(q:={CALL})",
    f"Symbol('x').__class__.__init__.__globals__['__builtins__']['exec']({SPELLED})",
    "().__class__.__bases__[0].__subclasses__()",
    "getattr(x,'name')",
    *(
        "x.func  x.subs(x,1)  gamma.__class__  sin.__module__  f'{x}'  f\"{x!r}\"  'text'  \"x\""
    ).split("  "),
    *("b'x'  r'x'  'x'*3  x if x else y  x and y  not x  x<y  x==y  x:=1  lambda x: x").split("  "),
    *("lambda: x  x;y  import os  x\ny=1  x#y  x\\y  {x}  {x: y}  [x]  [x, y]  (x, y)  x,").split(
        "  "
    ),
    *("*x  **x  sin(*x)  sin(**x)  sin(x=1)  sin(x, evaluate=1)  Symbol('x')").split("  "),
    *("Function('g')(x)  S('x')  sympify('x')  N(x)  Q.real  Matrix([x])  Lambda(x, x)").split(
        "  "
    ),
    *("Integral(x, x)  Sum(x, (x, 1, 2))  Piecewise((x, True))  open('x')  print(x)").split("  "),
    *("exit()  globals()  vars()  type(x)  __name__  _  __builtins__  x[0]  x[0][0]").split("  "),
    *("x[0:1]  x[...]  ...  x@y  x%y  x//y  x<<y  x>>y  x&y  x|y  ~x  x!  x!!  2x  x y").split(
        "  "
    ),
    *("x(y)  gamma(x)  0x1f  1_000  1j  1e  0b1  0o7  1..2  1.2.3  True  None  nan  oo").split(
        "  "
    ),
    *("zoo  I  inf  -oo  x++  x**  **  ()  (  )  x'  `x`  $x$  %x  ?  x;  @x  yield x").split("  "),
    *("await x  del x  raise x  assert x  ｅｘｅｃ(x)  ﬁ  x²  𝐱  γ  х  ℯ  ²").split("  "),
    *("", " ", "\t", "\0", "x\0", "x\u200b"),
)
LARGE = (
    *("9**9**9**9  9^9^9^9  factorial(10**9)  factorial(factorial(99))  2**(10**8)").split("  "),
    *("2**-(10**8)  (1/3)**(10**8)  x**(10**9)  (x+1)**(10**6)  (x+y+z)**999").split("  "),
    *("((x+y)**99+z)**99  binomial(10**9, 7)  binomial(10**9, 5*10**8)  1e999999").split("  "),
    *("1e-999999  1.5**(10**9)  1.5e300**9  exp(1e300)  exp(exp(exp(exp(9))))").split("  "),
    *("pi**pi**pi**pi**pi  cosh(1e9)  floor(exp(exp(exp(9))))  1/0  0**-1  x/(y-y)").split("  "),
    *("log(0)  sqrt(-1)  (-8)**(1/3)  acosh(1/2)  tan(pi/2)  factorial(-1)").split("  "),
    *("factorial(1/2)  (10**300)**99  2**9999  (2**900)**900  sqrt(2)**99999").split("  "),
    *("9" * 999, "1." + "9" * 999, "1e" + "9" * 99, "x" * 999, "x+" * 9999 + "x"),
    *("(" * 999 + "x" + ")" * 999, "(" * 99_999, "-" * 99_999 + "x", "2**" * 99 + "2"),
    *("x**" * 99 + "x", "sin(" * 99 + "x" + ")" * 99, "tanh(" * 40 + "x" + ")" * 40),
    *("*".join(f"x{i}" for i in range(999)), "*".join(f"(x{i}+1)" for i in range(30))),
    "Max(" + ",".join(f"x{i}" for i in range(99)) + ")",
)
ATTACKS = tuple(
    dict.fromkeys(
        [form.format(attack) for attack in PAYLOADS for form in ("{}", "x**2+0*({})", "1-{}")]
        + [form.format(attack) for attack in LARGE for form in ("{}", "x+({})")]
    )
)

HEAVY = HeavyBall()
METHOD = MomentumMethod.parse("w[k+1] = w[k] + m*(w[k]-w[k-1]) + gamma*f(w[k])")
EQUATION = modified_equation(HeavyBall(), 2, "slow")
SECOND = leading_equation(HeavyBall())
MAP = memoryless_map(HeavyBall(), 2)
RULE = acceleration_rule(HeavyBall())
U, V = (REGISTRY[name] for name in "uv")
REGRESSION = sparse_regression(3, 4, 1, seed=0)

# Every entry that takes a formula, or one in a container.
FORMULAS = {
    "read": read,
    "expression": expression,
    "exact": lambda text: exact("value", text),
    "parse": lambda text: MomentumMethod.parse(f"w[k+1] = w[k] + gamma*f(w[k])*({text})"),
    "parse, left": lambda text: MomentumMethod.parse(f"w[k+1] + {text} = w[k] + gamma*f(w[k])"),
    "parse, whole": lambda text: MomentumMethod.parse(f"{text} = w[k] + gamma*f(w[k])"),
    "parse, shift": lambda text: MomentumMethod.parse(f"w[{text}] = w[k] + gamma*f(w[k])"),
    "parse, start": lambda text: MomentumMethod.parse(
        "w[k+1] = w[k] + gamma*f(w[k])", start=f"w[0] = w[-1] + gamma*f(w[0])*({text})"
    ),
    "from_recurrence": lambda text: MomentumMethod.from_recurrence(
        {1: 1, 0: -1, -1: text}, [(1, {0: 1})]
    ),
    "from_recurrence, weight": lambda text: MomentumMethod.from_recurrence(
        {1: 1, 0: -1}, [(text, {0: 1})]
    ),
    "from_recurrence, point": lambda text: MomentumMethod.from_recurrence(
        {1: 1, 0: -1}, [(1, {0: text})]
    ),
    "from_recurrence, step": lambda text: MomentumMethod.from_recurrence(
        {1: 1, 0: -1}, [(1, {0: 1})], step=text
    ),
    "from_recurrence, momentum": lambda text: MomentumMethod.from_recurrence(
        {1: 1, 0: -1}, [(1, {0: 1})], momentum=text
    ),
    "Recurrence": lambda text: Recurrence(((1, text), (0, text)), ()),
    "Recurrence.of": lambda text: Recurrence.of({1: text}, []),
    "beta": lambda text: HeavyBall(beta=text),
    "step": lambda text: HeavyBall(gamma=text),
    "nu": lambda text: QuasiHyperbolic(nu=text),
    "with_values": lambda text: METHOD.with_values({"m": text}),
    "with_values, key": lambda text: METHOD.with_values({text: 1}),
    "kernel": lambda text: kernel(text, ["x"]),
    "kernel, list": lambda text: kernel(["x", text], ["x"]),
    "kernel, argument": lambda text: kernel("1", [text]),
    "mirror_flow": mirror_flow,
    "mirror_flow, weight": lambda text: mirror_flow("u**2", [text]),
    "commutation": lambda text: commutation([text, "u"], [U, V]),
    "commutation, weight": lambda text: commutation(["u"], [text]),
    "potential_of_map": lambda text: potential_of_map(text, {"x": 1.0}),
    "rhs": lambda text: SECOND.rhs(text, gamma=0.1, beta=0.5),
    "rhs, variable": lambda text: SECOND.rhs("x**2", [text], gamma=0.1, beta=0.5),
    "rhs, value": lambda text: SECOND.rhs("x**2", gamma=text, beta=0.5),
    "iteration": lambda text: MAP.iteration(text, gamma=0.1, beta=0.5),
    "specialise": EQUATION.specialise,
    "specialise, variable": lambda text: EQUATION.specialise("x**2", [text]),
    "specialise, velocity": lambda text: SECOND.specialise("x**2", ["x"], [text]),
    "subs": lambda text: EQUATION.subs({"beta": text}),
    "subs, key": lambda text: EQUATION.subs({text: 1}),
    "Identity": lambda text: Identity("name", text, 1),
    "Identity, right": lambda text: Identity("name", 1, text),
    "Identity, relation": lambda text: Identity("name", 1, 1, relations=(("what", text, text),)),
    "principal_flow": lambda text: principal_flow(HEAVY, text),
    "acceleration_rule": lambda text: acceleration_rule(HEAVY, text),
    "apply": lambda text: RULE.apply({"gamma": text, "beta": 0}, 2),
    "apply, key": lambda text: RULE.apply({text: 1}, 2),
    "apply, factor": lambda text: RULE.apply({"gamma": 1, "beta": 0}, text),
    "parameter of a rule": lambda text: RULE[text],
    "SeparableNetwork": lambda text: SeparableNetwork((U,), text),
    "SeparableNetwork, weight": lambda text: SeparableNetwork((text,), "u**2"),
    "SeparableNetwork, force": lambda text: SeparableNetwork((U,), "u**2", (text,)),
    "momentum_descent": lambda text: momentum_descent(REGRESSION, 0.01, 0.5, 0.1, method=text),
}
NESTED = (
    lambda text: [text],
    lambda text: (text,),
    lambda text: {text},
    lambda text: {text: 1},
    lambda text: {1: text},
    lambda text: np.array([text, None], dtype=object),
    lambda text: np.array(text, dtype=object),
    lambda text: [[("x", {"x": [text]})]],
    lambda text: (each for each in (text,)),
)


class Hidden:
    """An object whose text is hostile: SymPy's `sympify` would read it."""

    def __str__(self):
        return CALL

    __repr__ = __str__


@pytest.fixture
def reached(monkeypatch):
    """Return the texts that reached an evaluator: Python's, if it is user's text, or SymPy's."""
    found = []

    def watched(original):
        def call(source, *args, **kwargs):
            if isinstance(source, str) and builtins_mark in source:
                found.append(source)
            return original(source, *args, **kwargs)

        return call

    def parser(text, *args, **kwargs):
        found.append(text)
        raise AssertionError("text reached SymPy's parser")

    for name in ("eval", "exec", "compile"):
        monkeypatch.setattr(builtins, name, watched(getattr(builtins, name)))
    for name in ("parse_expr", "eval_expr", "stringify_expr"):
        monkeypatch.setattr(sympy_parser, name, parser)
    yield found
    assert not hasattr(builtins, builtins_mark)


def refused(entry, value):
    """Whether an entry refuses a value; a value that it takes must be harmless."""
    try:
        entry(value)
    except InputError as error:
        return "\n" not in str(error)
    return False


@pytest.mark.parametrize("name", FORMULAS)
def test_hostile_text_is_refused_at_every_entry(name, reached):
    taken = [attack for attack in ATTACKS if not refused(FORMULAS[name], attack)]
    assert reached == []
    assert taken == []


@pytest.mark.parametrize("name", FORMULAS)
def test_hostile_text_in_containers_is_refused_at_every_entry(name, reached):
    things = [wrap(payload) for wrap, payload in itertools.product(NESTED, PAYLOADS[:8])]
    things += [Hidden(), [Hidden()], object(), b"x", sp.true, np.datetime64(0, "s")]
    if name != "rhs, value":  # takes arrays of numbers, and a matrix of numbers is one
        things.append(sp.Matrix([1]))
    for thing in things:
        if not (name.endswith("key") and not isinstance(thing, Hashable)):
            assert refused(FORMULAS[name], thing), (thing, name)
    assert reached == []


def test_the_watch_sees_what_it_is_there_for(reached):
    """Negative control: SymPy's own reading of the same text is noticed."""
    with pytest.raises(AssertionError, match="reached SymPy"):
        sp.sympify(CALL)
    assert reached == [CALL]


COMMANDS = (
    lambda text: ["derive", "equation", "--loss", text],
    lambda text: ["derive", "equation", f"w[k+1] = w[k] + gamma*f(w[k]) + ({text})"],
    lambda text: ["derive", "equation", "quasi_hyperbolic", "--set", f"nu={text}"],
    lambda text: ["derive", "equation", "quasi_hyperbolic", "--set", f"{text}=1"],
    lambda text: ["derive", "mirror", text],
    lambda text: ["kernels", "--parametrisation", text],
    lambda text: ["kernels", "--method", f"w[k+1] = w[k] + gamma*f(w[k]) + ({text})"],
)


@pytest.mark.parametrize("command", COMMANDS)
def test_hostile_text_is_refused_on_the_command_line(command, reached, capsys):
    for attack in (*PAYLOADS[:12], *LARGE[:8]):
        assert cli.main(command(attack)) == cli.MISUSED, attack
    assert reached == []
    assert "Traceback" not in capsys.readouterr().err


def test_hostile_text_is_refused_in_a_configuration_file(reached, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for attack in PAYLOADS[:8]:
        text = f"[derive.equation]\nloss = {json.dumps(attack)}\n"
        (tmp_path / "momentumflow.toml").write_text(text, encoding="utf-8")
        assert cli.main(["derive", "equation"]) == cli.MISUSED, attack
        assert "expected a formula" in capsys.readouterr().err
    assert reached == []


@pytest.mark.parametrize("name", FORMULAS)
def test_harmless_text_is_read_without_an_evaluator(name, reached):
    for text in ("x", "u**2", "1/2", "beta^2", "q"):
        refused(FORMULAS[name], text)
    assert reached == []


# A formula in brackets where they are needed, with its value by arithmetic on fractions.
formulas = st.recursive(
    st.integers(0, 9).map(lambda n: (str(n), Fraction(n)))
    | st.sampled_from([("x", Fraction(3, 7)), ("beta", Fraction(2, 5))]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(" + | - |*|/".split("|")), inner).map(
            lambda t: (f"({t[0][0]}){t[1]}({t[2][0]})", _value(t[0][1], t[1].strip(), t[2][1]))
        ),
        st.tuples(inner, st.sampled_from(["^", "**"]), st.integers(0, 3)).map(
            lambda t: (f"({t[0][0]}){t[1]}{t[2]}", None if t[0][1] is None else t[0][1] ** t[2])
        ),
        inner.map(lambda t: (f"-({t[0]})", None if t[1] is None else -t[1])),
    ),
    max_leaves=8,
)


def _value(a, mark, b):
    if None in (a, b) or (mark == "/" and b == 0):
        return None
    return {"+": a + b, "-": a - b, "*": a * b}[mark] if mark != "/" else a / b


@given(formulas)
@settings(max_examples=100, derandomize=True, deadline=None)
def test_formulas_mean_what_arithmetic_says(formula):
    text, expected = formula
    if expected is None:
        return
    found = read(text).xreplace({sp.Symbol("x"): sp.Rational(3, 7), beta: sp.Rational(2, 5)})
    assert found == sp.Rational(expected.numerator, expected.denominator), text


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("-x**2", -(sp.Symbol("x") ** 2)),
        ("2**-x", 2 ** -sp.Symbol("x")),
        ("2^3^2", sp.Integer(512)),
        ("--x", sp.Symbol("x")),
        ("a/b/c", sp.Symbol("a") / sp.Symbol("b") / sp.Symbol("c")),
        ("a-b-c", sp.Symbol("a") - sp.Symbol("b") - sp.Symbol("c")),
        ("gamma/(1-lambda)^2", gamma / (1 - REGISTRY["lam"]) ** 2),
        ("lam", REGISTRY["lam"]),
        (".5e1*x", sp.Float("5.0") * sp.Symbol("x")),
        ("ln(E)", sp.S.One),
        ("Rational(1, 3)", sp.Rational(1, 3)),
        ("Max(1, x, Min(2, y))", sp.Max(1, sp.Symbol("x"), sp.Min(2, sp.Symbol("y")))),
        ("factorial(5) + binomial(6, 2)", sp.Integer(135)),
        ("cos(pi)", sp.S.NegativeOne),
    ],
)
def test_precedence_names_and_functions(text, meaning):
    assert read(text) == meaning


@given(st.text(string.printable, max_size=30) | st.text(max_size=12))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_any_text_is_a_formula_or_an_input_error(text):
    try:
        found = read(text)
    except InputError as error:
        found = error
    assert isinstance(found, sp.Expr) or found.expected == "a formula"


@pytest.mark.parametrize(
    ("expr", "values"),
    [
        (2 ** sp.Symbol("x"), {sp.Symbol("x"): sp.Integer(10) ** 9}),
        (sp.factorial(sp.Symbol("x")), {sp.Symbol("x"): sp.Integer(10) ** 9}),
        (sp.exp(sp.exp(sp.Symbol("x"))), {sp.Symbol("x"): sp.Integer(99)}),
        (1 / sp.Symbol("x"), {sp.Symbol("x"): sp.Integer(0)}),
        (sp.log(sp.Symbol("x")), {sp.Symbol("x"): sp.Integer(0)}),
    ],
)
def test_values_are_put_in_within_the_same_bounds(expr, values):
    with pytest.raises(InputError, match="expected values that the formula allows, received x = "):
        substituted(expr, values)


def test_values_are_put_in_all_at_once():
    x, y = sp.symbols("x y")
    assert substituted(x + 2 * y, {x: y, y: x}) == y + 2 * x
