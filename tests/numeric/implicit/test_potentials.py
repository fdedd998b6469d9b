"""Every potential: its two halves agree, with calculus in mpmath and with each other."""

import mpmath
import numpy as np
import pytest
import sympy as sp

from momentumflow import InputError
from momentumflow.numeric import HyperbolicEntropy, implicit_solution
from momentumflow.numeric.implicit import (
    DepthEntropy,
    DerivedPotential,
    KullbackLeibler,
    WeightedL2,
)
from momentumflow.symbolic import kernel

RNG = np.random.default_rng(4)
X = RNG.standard_normal((5, 12))
Y = X @ RNG.standard_normal(12)
POSITIVE = X @ np.exp(RNG.standard_normal(12))


def hyperbolic_from_functions(delta, reference, *, inverse=True, value=False):
    return DerivedPotential(
        gradient=lambda t, D: np.arcsinh(2 * t / D) / 2,
        curvature=lambda t, D: 1 / np.hypot(2 * t, D),
        inverse=(lambda m, D: D / 2 * np.sinh(2 * m)) if inverse else None,
        value=(
            (lambda t, D: (2 * t * np.arcsinh(2 * t / D) - np.hypot(2 * t, D)) / 4)
            if value
            else None
        ),
        parameters=(delta,),
        reference=reference,
    )


CASES = {
    "hyperbolic": (HyperbolicEntropy.from_balancedness(0.3, 0.2), Y),
    "hyperbolic, tiny": (HyperbolicEntropy.from_balancedness(1e-12, 1e-3), Y),
    "Kullback-Leibler": (KullbackLeibler.from_reference(np.exp(RNG.standard_normal(12))), POSITIVE),
    "depth 3": (DepthEntropy.from_scale(0.3, 3, 0.05), Y),
    "depth 5": (DepthEntropy.from_scale(0.7, 5, -0.1), Y),
    "weighted l2": (WeightedL2(np.exp(RNG.standard_normal(12)), 0.3), Y),
    "from functions": (hyperbolic_from_functions(0.3, 0.2), Y),
}


@pytest.mark.parametrize("name", CASES)
def test_the_halves_are_inverse_and_their_derivatives_agree(name):
    potential = CASES[name][0].broadcast_to((12,))
    z = np.linspace(-0.3, 0.3, 12) * np.minimum(potential.curvature_scale(), 1.0)
    theta = potential.primal(z)
    np.testing.assert_allclose(potential.mirror(theta), z, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(
        potential.primal(np.zeros(12)), potential.reference_point(), rtol=1e-13, atol=1e-16
    )
    h = 1e-6 * np.minimum(potential.curvature_scale(), 1.0)
    numeric = (potential.primal(z + h) - potential.primal(z - h)) / (2 * h)
    np.testing.assert_allclose(potential.slope(z, theta), numeric, rtol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_divergence_and_gap_are_the_integrals_that_define_them(name):
    potential = CASES[name][0].broadcast_to((12,))
    z = np.linspace(-0.4, 0.3, 12) * np.minimum(potential.curvature_scale(), 1.0)
    theta = potential.primal(z)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    # D(theta(z), reference) = integral of t theta'(t) dt, t from 0 to z.
    t = 0.5 * z * (nodes[:, None] + 1)
    points = potential.primal(t)
    integral = (weights[:, None] * t * potential.slope(t, points)).sum(axis=0) * 0.5 * z
    np.testing.assert_allclose(potential.divergence(theta), integral, rtol=1e-10, atol=1e-300)
    # D(theta, theta(z + e)) = integral of (theta(z + t) - theta) dt, t from 0 to e.
    e = 1e-3 * np.minimum(potential.curvature_scale(), 1.0)
    t = 0.5 * e * (nodes[:, None] + 1)
    integral = (weights[:, None] * (potential.primal(z + t) - theta)).sum(axis=0) * 0.5 * e
    gap = potential.fenchel_gap(theta, potential.mirror_miss(theta, z + e))
    np.testing.assert_allclose(gap, integral, rtol=2e-3 if "functions" in name else 1e-8)


@pytest.mark.parametrize("name", CASES)
def test_every_potential_is_solved_and_certified(name):
    potential, y = CASES[name]
    solution = implicit_solution((X, y), potential=potential)
    assert solution.certified
    assert solution.error < 1e-12
    # Pythagoras, in the potential's own divergence.
    other = solution.theta + 0.01 * np.linalg.svd(X)[2][-1]
    assert potential.broadcast_to((12,)).divergence(other).sum() > solution.objective


def test_depth_entropy_is_the_published_one():
    """Woodworth et al., arXiv 2002.09277, theorem 3, in 40 digits."""
    for depth in (3, 4, 7):
        potential = DepthEntropy.from_scale(np.full(3, 0.4), depth)
        z = np.array([-0.2, 0.1, 0.35]) * potential.curvature_scale()
        with mpmath.workdps(40):
            alpha = mpmath.mpf(0.4)
            for got, value in zip(potential.primal(z), z, strict=True):
                x = depth * (depth - 2) * alpha ** (depth - 2) * mpmath.mpf(float(value))
                p = mpmath.mpf(depth) / (depth - 2)
                h = (1 - x) ** (-p) - (1 + x) ** (-p)
                assert float(got / (alpha**depth * h)) == pytest.approx(1, rel=1e-13)


def test_depth_entropy_is_where_gradient_flow_of_the_deep_network_ends():
    """Integrate w_+' = -g D w_+^(D-1), w_-' = +g D w_-^(D-1) and compare."""
    from scipy.integrate import solve_ivp

    rng = np.random.default_rng(0)
    A, depth, alpha = rng.standard_normal((2, 5)), 3, 0.6
    y = A @ np.array([1.0, 0, 0, -0.5, 0])

    def field(_, w):
        g = A.T @ (A @ (w[:5] ** depth - w[5:] ** depth) - y)
        return depth * np.concatenate([-g * w[:5] ** (depth - 1), g * w[5:] ** (depth - 1)])

    w = solve_ivp(field, (0, 60), np.full(10, alpha), rtol=1e-11, atol=1e-13, method="LSODA").y
    end = w[:5, -1] ** depth - w[5:, -1] ** depth
    solution = implicit_solution(
        (A, y), potential=DepthEntropy.from_scale(np.full(5, alpha), depth)
    )
    np.testing.assert_allclose(solution.theta, end, atol=1e-8)
    wrong = implicit_solution((A, y), potential=DepthEntropy.from_scale(np.full(5, alpha), 4))
    assert np.abs(wrong.theta - end).max() > 1e-3


def test_kullback_leibler_is_where_gradient_flow_of_u_squared_ends():
    from scipy.integrate import solve_ivp

    rng = np.random.default_rng(3)
    A = rng.standard_normal((2, 5))
    y = A @ np.array([1.0, 0.2, 0.1, 0.5, 0.3])
    start = np.array([0.3, 0.5, 0.2, 0.4, 0.6])
    flow = solve_ivp(
        lambda _, u: -2 * u * (A.T @ (A @ u**2 - y)),
        (0, 200),
        start,
        rtol=1e-11,
        atol=1e-13,
        method="LSODA",
    )
    solution = implicit_solution((A, y), potential=KullbackLeibler.from_reference(start**2))
    np.testing.assert_allclose(solution.theta, flow.y[:, -1] ** 2, atol=1e-8)


@pytest.mark.parametrize("inverse", [True, False])
@pytest.mark.parametrize("value", [True, False])
def test_a_potential_from_functions_is_the_built_in_one(inverse, value):
    delta = np.geomspace(1e-3, 10, 12)
    built_in = implicit_solution((X, Y), delta, 0.1)
    given = hyperbolic_from_functions(delta, 0.1, inverse=inverse, value=value)
    solution = implicit_solution((X, Y), potential=given)
    assert solution.certified
    np.testing.assert_allclose(solution.theta, built_in.theta, rtol=0, atol=1e-13)
    assert float(solution.objective) == pytest.approx(float(built_in.objective), rel=1e-10)
    batch = implicit_solution((X, np.stack([Y, 2 * Y])), potential=given)
    np.testing.assert_allclose(batch.theta[0], solution.theta, rtol=0, atol=1e-13)


def test_kernels_of_the_symbolic_room_feed_a_potential():
    theta, m, D = sp.symbols("theta m Delta", real=True)
    gradient = sp.asinh(2 * theta / D) / 2
    given = DerivedPotential(
        gradient=kernel(gradient, (theta, D)),
        curvature=kernel(sp.diff(gradient, theta), (theta, D)),
        inverse=kernel(sp.solve(sp.Eq(gradient, m), theta)[0], (m, D)),
        parameters=(np.full(12, 0.05),),
    )
    solution = implicit_solution((X, Y), potential=given)
    np.testing.assert_allclose(
        solution.theta, implicit_solution((X, Y), 0.05).theta, rtol=0, atol=1e-13
    )


def test_a_barrier_on_an_interval():
    """psi' = atanh on (-1, 1): no built-in potential has this domain."""
    given = DerivedPotential(
        gradient=np.arctanh,
        curvature=lambda t: 1 / (1 - t**2),
        domain=(-1, 1),
    )
    inside = 0.9 * np.tanh(RNG.standard_normal(12))
    with_inverse = DerivedPotential(
        gradient=np.arctanh, curvature=given.curvature, inverse=np.tanh, domain=(-1, 1)
    )
    a = implicit_solution((X, X @ inside), potential=given)
    b = implicit_solution((X, X @ inside), potential=with_inverse)
    assert a.certified
    assert b.certified
    assert np.abs(a.theta).max() < 1
    np.testing.assert_allclose(a.theta, b.theta, atol=1e-12)


def test_a_reference_outside_the_domain_is_refused():
    with pytest.raises(InputError, match=r"reference point inside the domain \(0, inf\)"):
        DerivedPotential(gradient=np.log, curvature=lambda t: 1 / t, domain=(0, np.inf))


def counted(gradient):
    calls = []

    def call(t, *parameters):
        calls.append(t.shape)
        return gradient(t, *parameters)

    return call, calls


B = np.array([-300.0, -20.0, -1e-5, 0.0, 1e-100, 1.0, 400.0])


@pytest.mark.parametrize("delta", [1e-300, 1e-30, 1.0, 1e30, 1e120])
@pytest.mark.parametrize("value", [True, False])
def test_what_is_inverted_and_integrated_keeps_its_digits_in_bounded_time(delta, value):
    """Against mpmath, over 400 orders of magnitude; beside a kink too."""
    given = hyperbolic_from_functions(np.full(7, delta), 0.0, inverse=False, value=value)
    gradient, calls = counted(lambda t, D: np.arcsinh(2 * t / D) / 2)
    object.__setattr__(given, "gradient", gradient)
    with mpmath.workdps(450):
        half = mpmath.mpf(delta) / 2
        exact = [half * mpmath.sinh(b) for b in B.tolist()]
        value = [half / 2 * (1 - mpmath.cosh(b) + b * mpmath.sinh(b)) for b in B.tolist()]
        theta = given.primal(B / 2)
        assert len(calls) < 110
        for found, wanted in zip(theta, exact, strict=True):
            assert abs(found - wanted) <= 5e-14 * abs(wanted) + 1e-320
        divergence = given.divergence(np.array([float(v) for v in exact]))
        assert len(calls) < 6000
        for found, wanted in zip(divergence, value, strict=True):
            assert abs(found - wanted) <= 1e-11 * abs(wanted) + 1e-290


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1.0, 1e300])
def test_the_inverse_on_an_interval_of_any_size(scale):
    wall = np.full(5, scale)
    given = DerivedPotential(
        gradient=lambda t, u: np.arctanh(t / u),
        curvature=lambda t, u: 1 / (u * (1 - (t / u) ** 2)),
        parameters=(wall,),
        reference=0.5 * wall,
        domain=(-scale, scale),
    )
    z = np.array([-30.0, -3.0, 1e-3, 5.0, 15.0])
    wanted = scale * np.tanh(z + given.reference_mirror())
    np.testing.assert_allclose(given.primal(z), wanted, rtol=2e-15, atol=5e-324)


def test_a_flat_gradient_is_inverted_too():
    """t^3 has no slope at its start, where Newton's method would begin."""
    given = DerivedPotential(
        gradient=lambda t: t**3, curvature=lambda t: 3 * t**2, reference=np.zeros(4)
    )
    roots = np.array([-1e-100, 0.0, 1e100, 2.0])
    np.testing.assert_allclose(given.primal(roots**3), roots, rtol=1e-15)


def test_an_integral_of_zero_is_zero_at_once():
    gradient, calls = counted(np.arcsinh)
    given = DerivedPotential(
        gradient=gradient, curvature=lambda t: 1 / np.hypot(t, 1), reference=np.full(3, 0.7)
    )
    assert np.all(given.divergence(np.full(3, 0.7)) == 0)
    assert len(calls) < 10
    # rounding of the gradient is all there is
    near = given.divergence(np.full(3, np.nextafter(0.7, 1)))
    assert np.all((near >= 0) & (near < 1e-31))
    assert len(calls) < 100


def test_an_integral_that_does_not_settle_is_no_figure():
    given = DerivedPotential(
        gradient=lambda t: t + np.sin(1e9 * t), curvature=np.ones_like, reference=np.zeros(2)
    )
    assert np.isnan(given.divergence(np.array([1.0, 2.0]))).all()
    beyond = DerivedPotential(
        gradient=np.arctanh, curvature=lambda t: 1 / (1 - t**2), reference=np.zeros(2)
    )
    found = beyond.divergence(np.array([0.5, 1.5]))
    assert found[0] == pytest.approx(0.5 * np.arctanh(0.5) + 0.5 * np.log(0.75), rel=1e-13)
    assert np.isnan(found[1])


def test_a_value_that_cancels_is_not_believed():
    """psi with a constant 1e8 loses eight digits of the divergence; the gradient does not."""
    given = DerivedPotential(
        gradient=np.arcsinh,
        curvature=lambda t: 1 / np.hypot(t, 1),
        value=lambda t: 1e8 + t * np.arcsinh(t) - np.hypot(t, 1),
        reference=np.full(3, 0.7),
    )
    theta = np.array([0.7, 0.71, 5.0])
    plain = DerivedPotential(
        gradient=given.gradient, curvature=given.curvature, reference=given.reference
    )
    np.testing.assert_allclose(given.divergence(theta), plain.divergence(theta), rtol=1e-12)
