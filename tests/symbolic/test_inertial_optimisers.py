"""Optimisers with their memories' times fixed: the system, its corrections and its start."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

from momentumflow import InputError
from momentumflow.numeric import run_optimiser
from momentumflow.symbolic import (
    SGD,
    Adam,
    AdamW,
    Lion,
    NAdam,
    RMSProp,
    leading_equation,
    modified_equation,
    symbols,
    written_out,
)

BEGIN, END = 0.4, 1.2
START = np.array([1.0, -0.6])


def gradient(w):
    return np.stack([w[0] + np.sin(w[1]) / 2 + 1, w[1] + np.cos(w[1]) * w[0] / 2 - 1])


def components(w):
    x, y = w[..., 0], w[..., 1]
    return [x + np.sin(y) / 2 + 1, y + np.cos(y) * x / 2 - 1]


def follows(optimiser, system, step, rates, values):
    """How far the system is from the iterates at END, both in one state at BEGIN."""
    own = {name: 1 - step / tau for name, tau in rates.items()}
    before = round(BEGIN / step)
    how = {"gamma": step, **own, **values}
    begun = run_optimiser(optimiser, gradient, START, before, **how)
    whole = run_optimiser(optimiser, gradient, START, round(END / step), **how)
    times = {f"tau_{i + 1}": tau for i, tau in enumerate(dict.fromkeys(rates.values()))}
    rhs = system.rhs(components, h=step, **times, **values)
    start = np.concatenate(system.start(begun.w, begun.memories))
    flow = solve_ivp(rhs.system, (before * step, END), start, "DOP853", rtol=1e-10, atol=1e-13)
    return np.abs(flow.y[:2, -1] - whole.w).max()


@pytest.mark.parametrize(
    ("optimiser", "rates", "values"),
    [
        (Adam(), {"beta_1": 0.3, "beta_2": 0.7}, {"eps": 0.1}),
        (Adam(placement="inside"), {"beta_1": 0.3, "beta_2": 0.7}, {"eps": 0.1}),
        (AdamW(bias_correction=False), {"beta_1": 0.3, "beta_2": 0.7}, {"eps": 0.1, "mu": 0.5}),
        (RMSProp(), {"beta_2": 0.5}, {"eps": 0.1}),
        (NAdam(), {"beta_1": 0.3, "beta_2": 0.7}, {"eps": 0.1}),
        (Lion(), {"beta_2": 0.5}, {"beta_1": 0.6, "delta": 0.5}),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_each_correction_raises_the_order_at_which_iterates_are_followed(optimiser, rates, values):
    slopes = []
    for order in (0, 1):
        system = modified_equation(optimiser, order) if order else leading_equation(optimiser)
        errors = [follows(optimiser, system, s, rates, values) for s in (0.02, 0.01, 0.005)]
        slopes.append(np.log2(errors[1] / errors[2]))
    assert slopes == pytest.approx([1, 2], abs=0.12)


def test_the_second_correction_of_adam_is_of_third_order():
    optimiser = Adam(placement="inside", bias_correction=False)
    how = ({"beta_1": 0.3, "beta_2": 0.7}, {"eps": 0.1})
    system = modified_equation(optimiser, 2)
    errors = [follows(optimiser, system, step, *how) for step in (0.02, 0.01, 0.005)]
    assert np.log2(errors[1] / errors[2]) == pytest.approx(3, abs=0.15)


def test_without_the_term_in_the_first_derivative_the_order_is_one():
    """Negative control: a first correction that leaves out `g_1` is no correction."""
    optimiser = Adam(bias_correction=False)
    system = modified_equation(optimiser, 1)
    cut = type(system)(
        system.optimiser,
        system.times,
        {
            x: (rate[0], {k: c for k, c in rate[1].items() if not k})
            for x, rate in system.rates.items()
        },
    )
    how = ({"beta_1": 0.3, "beta_2": 0.7}, {"eps": 0.1})
    errors = [follows(optimiser, cut, step, *how) for step in (0.02, 0.01, 0.005)]
    assert np.log2(errors[1] / errors[2]) == pytest.approx(1, abs=0.15)


def test_bias_correction_is_a_function_of_time():
    """`m/(1 - b1^k)` at k = t/h + 1, by SymPy's own limit at fixed times."""
    t, h = symbols.t, sp.Symbol("h", positive=True)
    tau_1, tau_2 = sp.symbols("tau_1 tau_2", positive=True)
    m, v = Adam().memories
    found = leading_equation(Adam()).leading[symbols.w]
    limit = sp.limit((1 - h / tau_1) ** (t / h), h, 0), sp.limit((1 - h / tau_2) ** (t / h), h, 0)
    expected = -m / (1 - limit[0]) / (sp.sqrt(v / (1 - limit[1])) + symbols.eps)
    point = {t: 0.7, tau_1: 0.4, tau_2: 0.9, m: -0.3, v: 0.2, symbols.eps: 0.05}
    assert float(found.subs(point)) == pytest.approx(float(expected.subs(point)), rel=1e-13)


def test_a_system_written_out_for_a_loss_and_its_module_are_the_right_hand_side():
    system = modified_equation(Adam(placement="inside", bias_correction=False), 2)
    x, y = sp.symbols("x y", real=True)
    loss = x**2 * y + y**2 / 2 + sp.sin(x)
    values = {"h": 0.1, "tau_1": 0.4, "tau_2": 0.9, "eps": 0.3}
    state = np.array([0.8, -0.5]), np.array([0.3, -0.1]), np.array([0.2, 0.4])
    expected = np.stack(system.rhs(loss, [x, y], **values)(*state))

    lines = written_out(system, loss)
    assert list(lines) == ["x'", "y'", "m_x'", "m_y'", "v_x'", "v_y'"]
    unknowns = system.unknowns([x, y])
    pairs = zip(unknowns.values(), state, strict=True)
    at = {s: a for names, row in pairs for s, a in zip(names, row, strict=True)}
    named = {"h": "h", "tau_1": "tau_1", "tau_2": "tau_2", "eps": "epsilon"}
    at |= {sp.Symbol(named[n], positive=True): value for n, value in values.items()}
    written = [float(line.subs(at)) for line in lines.values()]
    assert written == pytest.approx(expected.ravel(), rel=1e-12)

    here = {x: 0.8, y: -0.5}
    q = np.array([float(sp.diff(loss, s).subs(here)) for s in (x, y)])

    def derivative(*vectors):
        found = [sp.diff(loss, s) for s in (x, y)]
        for a, b in vectors:
            found = [float(a) * sp.diff(f, x) + float(b) * sp.diff(f, y) for f in found]
        return np.array([float(f.subs(here)) for f in found])

    namespace = {}
    exec(system.to_module(), namespace)
    from_module = namespace["evaluate"](q, derivative, *state[1:], **values)
    assert np.stack(from_module) == pytest.approx(expected, rel=1e-12)
    assert len(system.table()) == sum(map(len, system.terms.values()))
    assert r"\dot {v} = {} & " in system.to_latex_document()


def test_memories_that_add_up_are_measured_in_the_units_of_the_system():
    """SGD's velocity is measured in `1/(1 - beta) = lambda/h`, from the first step on or later."""
    system = modified_equation(SGD(), 1)
    w, v = system.start(START, {"v": [2.0, 4.0]}, h=0.1, lam=0.4)
    assert (w == START).all()
    assert v == pytest.approx([0.5, 1.0])
    assert system.start(START, h=0.1, lam=0.4)[1] == pytest.approx([0, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: leading_equation(Adam()).start(START), "take k steps with run_optimiser"),
        (
            lambda: modified_equation(Adam(bias_correction=False), 1).start(START),
            "rates of Adam are not finite at t = 0",
        ),
        (lambda: leading_equation(Adam()).start(START, {"m": 0}), "memories m, v, received m"),
        (lambda: leading_equation(SGD()).start(START), "values for h, lam, received none"),
        (lambda: leading_equation(RMSProp()).start(START, h=1.0), "no parameters, received h"),
        (lambda: written_out(leading_equation(SGD()), "Abs(x)"), "smooth"),
    ],
)
def test_what_has_no_start_or_no_equation_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
