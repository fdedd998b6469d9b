"""Potentials derived from a user's map: against the entropy, and against training."""

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

from momentumflow import InputError
from momentumflow.numeric import implicit_solution, momentum_flow, sparse_regression
from momentumflow.numeric.implicit import potential_of_map

PROBLEM = sparse_regression(8, 14, 3, seed=3)
U, V = np.full(14, 0.5), np.linspace(-0.1, 0.1, 14)


def test_the_product_map_gives_the_hyperbolic_entropy():
    derived = implicit_solution(PROBLEM, potential=potential_of_map("u*v", {"u": U, "v": V}))
    entropy = implicit_solution(PROBLEM, U**2 - V**2, U * V)
    assert derived.certified
    np.testing.assert_allclose(derived.theta, entropy.theta, rtol=1e-12, atol=1e-14)


def test_it_is_where_training_ends():
    derived = implicit_solution(PROBLEM, potential=potential_of_map("u*v", {"u": U, "v": V}))
    run = momentum_flow(PROBLEM, 0.0, (U, V))
    assert run.converged
    np.testing.assert_allclose(derived.theta, run.theta, atol=1e-11)
    # negative control: from another start training ends elsewhere
    other = implicit_solution(PROBLEM, potential=potential_of_map("u*v", {"u": 2 * U, "v": V}))
    assert np.abs(other.theta - run.theta).max() > 1e-3


def test_difference_of_squares_is_the_same_entropy_at_twice_the_product():
    derived = implicit_solution(
        PROBLEM, potential=potential_of_map("u**2 - v**2", {"u": 0.5, "v": 0.4})
    )
    # theta = (w_+^2 - w_-^2)/4 with w_+ = 2u, w_- = 2v, so Delta = 4 u v
    entropy = implicit_solution(PROBLEM, 4 * 0.5 * 0.4, 0.25 - 0.16)
    np.testing.assert_allclose(derived.theta, entropy.theta, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(
    ("map_", "start", "sentence"),
    [
        ("u*v*w", {"u": 1, "v": 1, "w": 1}, "sum of functions of one weight each"),
        ("u**2 + u**4", {"u": 0}, "a slope other than 0"),
        ("u*v", {"u": 1}, "a start for u, v, received u"),
        ("u*v", {"u": 1, "v": 1}, "straightened weights that start away from zero"),
    ],
)
def test_bad_input(map_, start, sentence):
    with pytest.raises(InputError, match=sentence):
        potential_of_map(map_, start)


@pytest.mark.parametrize(
    ("map_", "start", "domain"),
    [
        ("u**3", {"u": 0.8}, (0, np.inf)),
        ("u**3", {"u": -0.8}, (-np.inf, 0)),
        ("u**4", {"u": -0.8}, (0, np.inf)),
        ("(u+v)**2", {"u": 0.5, "v": 0.3}, (0, np.inf)),
        ("u*v", {"u": 1.0, "v": -0.5}, (-np.inf, np.inf)),
        ("-u**4", {"u": 0.5}, (-np.inf, 0)),
        ("sinh(u)", {"u": -0.5}, (-np.inf, np.inf)),
        ("u**3 - v**3", {"u": 0.8, "v": 0.5}, (-np.inf, np.inf)),
        # no closed straightening: by quadrature and a root
        ("u**2 + u**4", {"u": 0.8}, (0, np.inf)),
        ("u*exp(u)", {"u": 0.3}, (-np.inf, np.inf)),
        ("tanh(u) + u**3", {"u": -0.4}, (-np.inf, np.inf)),
    ],
)
def test_starts_of_either_sign_give_the_potential_of_their_flow(map_, start, domain):
    """One row: gradient flow on the weights, by SciPy, ends where the potential says."""
    names = sorted(start)
    symbols = sp.symbols(names, real=True)
    G = sp.sympify(map_, locals=dict(zip(names, symbols, strict=True)))
    value = sp.lambdify(symbols, G, "numpy")
    slopes = sp.lambdify(symbols, [sp.diff(G, s) for s in symbols], "numpy")
    begin = np.array([start[name] for name in names])
    target = 1.3 * value(*begin)
    row = np.array([1.0, 0.5])  # two coordinates from one start

    def flow(_, state):
        weights = state.reshape(2, -1)
        theta = np.array([value(*w) for w in weights])
        residual = row @ theta - 1.5 * target
        return np.concatenate(
            [-r * residual * np.array(slopes(*w), float) for r, w in zip(row, weights, strict=True)]
        )

    run = solve_ivp(flow, (0, 400), np.tile(begin, 2), rtol=1e-11, atol=1e-13)
    ended = np.array([value(*w) for w in run.y[:, -1].reshape(2, -1)])
    assert abs(row @ ended - 1.5 * target) < 1e-9
    potential = potential_of_map(map_, start, domain=domain)
    solution = implicit_solution((row[None, :], [1.5 * target]), potential=potential)
    assert solution.certified
    np.testing.assert_allclose(solution.theta, ended, rtol=1e-7)


def test_starts_on_both_sides_of_zero_are_refused():
    with pytest.raises(InputError, match="one side of zero"):
        potential_of_map("u**3", {"u": np.array([0.8, -0.8])})
