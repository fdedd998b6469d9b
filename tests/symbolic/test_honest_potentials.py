"""No wrong branch: a potential that is returned is the one of the flow, which is integrated here.

The flow of a single weight is integrated by SciPy from several starts and at
times of both signs; the derived theta(mu), psi'(theta) and psi(theta) are held
against it. A map may be refused, in one sentence, but never answered wrongly.
"""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings, strategies as st
from scipy.integrate import solve_ivp

from momentumflow import InputError
from momentumflow.symbolic import kernel, mirror_flow
from momentumflow.symbolic.networks import mirror_flows, straightening
from momentumflow.symbolic.networks.straightening import mu
from momentumflow.symbolic.symbols import theta

MONOMIALS = ["u**3", "2*u**3", "u**3/3", "u**3+1", "u**4", "-u**4", "-u**3", "u**2", "u**6", "1/u"]
FUNCTIONS = ["sinh(u)", "exp(u)", "log(u)", "sqrt(u)", "u+u**2", "(1+u)**3", "exp(2*u)", "cosh(u)"]
STARTS = (0.45, 0.8, 1.7)


def integrated(text, start, fraction):
    """Return (mu, theta) where gradient flow on G brings a start, by SciPy."""
    u = sp.Symbol("u", real=True)
    G = sp.sympify(text, locals={"u": u})
    slope, value = (sp.lambdify(u, e, "numpy") for e in (sp.diff(G, u), G))
    bend = abs(float(sp.diff(G, u, 2).subs(u, start)))
    span = fraction / (4 * (abs(float(slope(start))) / start + bend))
    # small first steps: a trial step must not leave the side of zero on which the weight is
    steps = {"first_step": abs(span) / 100, "max_step": abs(span) / 10} if span else {}
    run = solve_ivp(
        lambda _, w: np.broadcast_to(slope(w), w.shape),
        (0, span),
        [start],
        rtol=1e-11,
        atol=1e-14,
        **steps,
    )
    return span, float(value(run.y[0, -1]))


def hold(text):
    """Compare everything derived with the integrated flow."""
    flow = mirror_flow(text)
    begin = flow.weights[0].start
    path = kernel(flow.dual_map, [mu, begin])
    slope = None if flow.gradient is None else kernel(flow.gradient, [theta, begin])
    tangent = (
        None if flow.potential is None else kernel(sp.diff(flow.potential, theta), [theta, begin])
    )
    for start in STARTS:
        for fraction in (0.3, -0.3, 0.9, -0.9):
            time, there = integrated(text, start, fraction)
            assert abs(path(time, start) - there) < 1e-7 * (1 + abs(there)), (text, start, fraction)
            for derived in filter(None, (slope, tangent)):
                assert abs(derived(there, start) - time) < 1e-6 * abs(time), (text, start, fraction)
        for derived in filter(None, (slope, tangent)):
            _, at_start = integrated(text, start, 0.0)
            assert abs(derived(at_start, start)) < 1e-12 * (1 + abs(1 / start) ** 5)
    return flow


@pytest.mark.parametrize("text", MONOMIALS)
def test_every_monomial_has_the_potential_of_its_flow(text):
    flow = hold(text)
    assert flow.potential is not None
    assert not flow.gradient.has(sp.I)


@pytest.mark.parametrize("text", FUNCTIONS)
def test_functions_are_right_or_refused(text):
    hold(text)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.integers(1, 5),
    st.sampled_from(["1", "-1", "2", "1/3", "-5/2"]),
    st.integers(-6, 6).filter(bool),
    st.integers(1, 3),
)
def test_powers_with_any_factor_and_constant(constant, factor, power, root):
    hold(f"{constant} + {factor}*u**({power}/{root})")


@pytest.mark.parametrize(
    "text", ["tan(u)", "sinh(u)**2", "exp(u**2)", "u*log(u)", "u**2+u**4", "cos(u)", "tanh(u)"]
)
def test_what_has_no_closed_form_is_refused(text):
    with pytest.raises(InputError, match="closed form"):
        mirror_flow(text)


def test_a_wrong_branch_is_not_returned(monkeypatch):
    """Negative control: candidates that are wrong branches are all passed over."""
    right = mirror_flows._inverses
    monkeypatch.setattr(mirror_flows, "_inverses", lambda m: [e + 1 for e in right(m)])
    flow = mirror_flow("u**3")
    assert flow.gradient is None
    assert flow.potential is None
    solved = straightening.solutions
    monkeypatch.setattr(straightening, "solutions", lambda *a: [e + 1 for e in solved(*a)])
    with pytest.raises(InputError, match="closed form"):
        mirror_flow("u**4")


def test_a_square_of_a_sum_forgets_one_direction():
    flow = mirror_flow("(u+v)**2")
    assert len(flow.weights) == 1
    assert flow.potential is not None
