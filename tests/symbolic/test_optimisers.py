"""Optimisers with memories: their equations against formulas in print, brute force and iterates."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
from scipy.integrate import solve_ivp

from momentumflow import InputError
from momentumflow.symbolic import (
    SGD,
    AdaBelief,
    Adam,
    AdamW,
    GradientDescent,
    GradientStatus,
    HeavyBall,
    Lion,
    NAdam,
    Optimiser,
    RMSProp,
    Signum,
    intrinsic_parameters,
    memoryless_map,
    modified_equation,
    modified_loss,
    scaling_rules,
    symbols,
    tree,
)
from momentumflow.symbolic.equations.elementwise import System, slow_regime
from momentumflow.symbolic.equations.inertial_optimiser import inertial_system
from momentumflow.symbolic.equations.scaling_rules import batch
from momentumflow.symbolic.methods.optimisers import beta_1, beta_2, decay

g, h, eps = symbols.g, symbols.gamma, symbols.eps


def equation(optimiser, corrections):
    return modified_equation(optimiser, corrections + 1, "slow")


def first_correction(optimiser):
    """The factor of h grad g [w'] in w'."""
    return equation(optimiser, 1).coefficient(1)


def vanishes(expr, **real):
    """Whether an expression of g, beta_1, beta_2, eps is zero at random points, to 30 digits."""
    rng = np.random.default_rng(0)
    for _ in range(6):
        point = {g: sp.Rational(int(rng.integers(-50, 50)) or 7, 13)}
        point |= {s: sp.Rational(int(rng.integers(1, 40)), 41) for s in expr.free_symbols - {g, h}}
        if abs(sp.N(expr.subs(point).subs(h, 1), 40)) > sp.Float("1e-30"):
            return False
    return True


def print_inside():
    """Cattaneo and Shigida, arXiv 2502.02132; Cattaneo, Klusowski, Shigida, ICML 2024."""
    b1, b2 = beta_1, beta_2
    bracket = (1 + b1) / (1 - b1) - (1 + b2) / (1 - b2) + (1 + b2) / (1 - b2) * eps / (g**2 + eps)
    # w' = -(q + (h/2) bracket H q/sqrt(q^2 + eps))/sqrt(q^2 + eps), g_1 = -h H q/sqrt(q^2+eps)
    return h * bracket / 2 / sp.sqrt(g**2 + eps)


def print_outside():
    """The same with eps outside the root: K and P of the paper's corollary."""
    s = sp.Abs(g) / (sp.Abs(g) + eps)
    K = ((1 + beta_1) / (1 - beta_1) - (1 + beta_2) / (1 - beta_2) * s) / 2
    return h * K / (sp.Abs(g) + eps)


@pytest.mark.parametrize(
    ("placement", "printed"), [("inside", print_inside()), ("outside", print_outside())]
)
def test_the_first_correction_of_adam_is_the_one_in_print(placement, printed):
    found = first_correction(Adam(placement=placement))
    assert vanishes(found - printed)
    # negative control: the two memories exchanged
    assert not vanishes(found - printed.subs({beta_1: beta_2, beta_2: beta_1}, simultaneous=True))


def brute_force(updates, move, gradient, order):
    """Expand a method in one variable: memories and rate as series in h of functions of w.

    Shares nothing with the package: shifts are exponentials of `V d/dw`, and each order's
    unknown is solved for.
    """
    w, t = sp.symbols("w t")
    held = [[] for _ in updates]
    rate = []

    def shifted(rows, n):
        """Order n of f(w(t + h)) for f = sum rows[j] h^j."""
        total, current = sp.S.Zero, list(rows)
        for k in range(n + 1):
            total += (current[n] if n < len(current) else 0) / sp.factorial(k)
            moved = [sp.S.Zero] * (n + 1)
            for i, f in enumerate(current[: n + 1]):
                for j, v in enumerate(rate):
                    if i + j + 1 <= n:
                        moved[i + j + 1] += v * sp.diff(f, w)
            current = moved
        return total

    def taylor(expr, n):
        return sp.diff(expr, t, n).subs(t, 0) / sp.factorial(n)

    for n in range(order + 1):
        known = [sum((f * t**j for j, f in enumerate(row)), sp.S.Zero) for row in held]
        new = []
        for i, update in enumerate(updates):
            unknown = sp.Symbol("unknown")
            trial = [k + (unknown * t**n if i == other else 0) for other, k in enumerate(known)]
            balance = taylor(update(*trial, gradient(w)), n) - shifted([*held[i], unknown], n)
            # linear in the unknown, except at order 0, where it is linear too for averages
            slope = sp.diff(balance, unknown)
            new.append(sp.cancel(-balance.subs(unknown, 0) / slope.subs(unknown, 0)))
        for row, f in zip(held, new, strict=True):
            row.append(f)
        values = [sum((f * t**j for j, f in enumerate(row)), sp.S.Zero) for row in held]
        total, current = sp.S.Zero, dict(enumerate(rate))
        for k in range(1, n + 1):  # (w(t + h) - w)/h at order n, without the rate of order n
            moved = {}
            for i, f in current.items():
                for j, v in enumerate(rate):
                    if i + j + 1 <= n:
                        moved[i + j + 1] = moved.get(i + j + 1, 0) + v * sp.diff(f, w)
            current = moved
            total += current.get(n, 0) / sp.factorial(k + 1)
        rate.append(taylor(move(*values, gradient(w)), n) - total)
    return w, rate


def test_corrections_one_and_two_agree_with_brute_force_in_one_variable():
    b1, b2, e = sp.Rational(3, 5), sp.Rational(7, 10), sp.Rational(1, 2)

    def gradient(w):
        return 1 + w + w**2 / 3

    w, rates = brute_force(
        [lambda m, v, q: b1 * m + (1 - b1) * q, lambda m, v, q: b2 * v + (1 - b2) * q**2],
        lambda m, v, q: -(b1 * m + (1 - b1) * q) / sp.sqrt(b2 * v + (1 - b2) * q**2 + e),
        gradient,
        2,
    )
    optimiser = Adam(placement="inside").with_values({"beta_1": b1, "beta_2": b2, "epsilon": e})
    loss = w + w**2 / 2 + w**3 / 9
    rhs = [equation(optimiser, n).rhs(loss, gamma=1.0) for n in range(3)]
    for at in (-0.4, 0.3, 0.9):
        values = [float(r([at])[0]) for r in rhs]
        orders = np.diff([0.0, *values])
        expected = [float(sp.N(r.subs(w, sp.Rational(str(at))), 30)) for r in rates]
        assert orders == pytest.approx(expected, rel=1e-11)


def test_a_linear_optimiser_gives_the_series_over_trees():
    """beta_1 = beta_2 = 0 and Phi linear is gradient descent: w' = -g - h/2 grad g[g] - ..."""
    descent = equation(SGD(momentum=0), 3)
    # the known third order: -h^2 (H^2 g/3 + grad^3 L[g, g]/12)
    known = {
        0: [sp.Abs(g)],
        1: [sp.Rational(1, 2)],
        2: sorted([sp.Rational(1, 3), sp.Rational(1, 12)]),
    }
    for n, expected in known.items():
        assert sorted(abs(c) for m, c, _ in descent.terms if m == n) == expected


@pytest.mark.parametrize("order", [0, 1, 2])
def test_one_step_leaves_the_equation_at_the_rate_of_its_order(order):
    """Adam on a nonlinear loss: local errors of order `order + 2`, the memories settled."""
    b1, b2, e = 0.4, 0.2, 0.5

    def gradient(x):
        return 1 + np.sin(x) / 2

    def two_iterates(step, start):
        point, m, v = np.array([start]), 0.0, 0.0
        for _ in range(60):  # 0.4^60 < 1e-23: the transient is over
            last = point
            q = gradient(point)
            m, v = b1 * m + (1 - b1) * q, b2 * v + (1 - b2) * q * q
            point = point - step * m / np.sqrt(v + e)
        return last, point

    found = equation(Adam(placement="inside"), order)
    errors = []
    for step in (1 / 16, 1 / 32, 1 / 64):
        start = 1.0
        for _ in range(20):  # so that the last step is taken at 1 whatever its size
            last, point = two_iterates(step, start)
            start += 1.0 - last[0]
        rhs = found.rhs(gradient, gamma=step, beta_1=b1, beta_2=b2, eps=e)
        flow = solve_ivp(
            lambda _, y, rhs=rhs: rhs(y), (0, step), last, "DOP853", rtol=1e-13, atol=1e-15
        )
        errors.append(abs(flow.y[0, -1] - point[0]))
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    assert slopes[-1] == pytest.approx(order + 2, abs=0.2)


@pytest.mark.parametrize(
    "make", [Adam, AdamW, RMSProp, NAdam, AdaBelief, Signum, Lion, SGD], ids=lambda f: f.__name__
)
def test_every_optimiser_has_a_first_correction_that_is_finite(make):
    found = equation(make(), 1)
    assert len(found.rates) == 2
    assert "nan" not in str(found)
    assert found.latex().startswith("w' = ")
    assert "+ -" not in found.latex() + str(found)


def test_heavy_ball_has_lambda_and_adam_its_times():
    sgd = inertial_system(SGD(), 1)
    assert sgd.times.parameters[symbols.lam] == h / (1 - symbols.beta) ** 2
    # the first correction found by hand: drift of w -(v + F')/(2 lambda), v minus the velocity
    v = sgd.optimiser.memories[0]
    inner = next(s for s in sgd.rates[symbols.w][1][()].free_symbols if s.name == "g")
    assert sp.simplify(sgd.rates[symbols.w][1][()] - (v - inner) / (2 * symbols.lam)) == 0
    adam = inertial_system(Adam(bias_correction=False))
    assert set(adam.times.parameters.values()) == {h / (1 - beta_1), h / (1 - beta_2)}


def exponents(optimiser, **how):
    (rule,) = scaling_rules(optimiser, **how)
    return {str(p): x for p, x in rule.exponents.items()}


def test_known_scaling_rules_come_out():
    half = sp.Rational(1, 2)
    assert exponents(SGD()) == {"gamma": 2, "1 - beta": 1}
    assert exponents(SGD(), noise=True) == {"gamma": 2, "1 - beta": 1, "B": 1}
    assert exponents(SGD(momentum=0), noise=True) == {"gamma": 1, "B": 1}
    assert exponents(Adam()) == {"gamma": 1, "1 - beta_1": 1, "1 - beta_2": 1, "epsilon": 0}
    # Malladi et al., NeurIPS 2022: the square-root rule
    assert exponents(Adam(), noise=True) == {
        "gamma": half, "1 - beta_1": 1, "1 - beta_2": 1, "epsilon": -half, "B": 1,
    }  # fmt: skip
    assert str(batch) == "B"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("m = b1*m + (1-b1)*q; w = w - lr*m", "q"),
        ("m = b1*m + (1-b1)*g", "moves w"),
        ("w = w - lr*g; w = w - lr*g", "one line that moves w"),
        ("w = w - lr**2*g", "lr"),
        ("m += g; w = w - m", "lines like"),
        ("w = w - lr*g/k", "powers b"),
    ],
)
def test_a_wrong_statement_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        Optimiser.parse(text)


def test_a_memory_that_does_not_forget_is_refused():
    with pytest.raises(InputError, match="forget"):
        equation(Optimiser.parse("v = v + g**2; w = w - lr*g/(sqrt(v)+eps)"), 1)


def test_a_root_of_what_vanishes_at_rest_is_refused():
    with pytest.raises(InputError, match="smooth"):
        equation(RMSProp(centred=True), 1)
    assert len(equation(RMSProp(centred=True, placement="inside"), 1)) == 2


def test_text_and_built_in_say_the_same():
    stated = Optimiser.parse(
        "m = b1*m + (1-b1)*g\nv = b2*v + (1-b2)*g**2\nw = w - lr*m/sqrt(v+eps)"
    )
    own = Adam(*stated.parameters, placement="inside", bias_correction=False)
    assert vanishes(first_correction(stated) - first_correction(own))


def test_decoupled_decay_and_time_enter_the_equation():
    w, mu = symbols.w, decay
    found = equation(AdamW(), 1)
    # without a gradient, w shrinks by (1 - h mu) a step: w' = ln(1 - h mu)/h w
    assert sp.simplify(found.coefficient().subs(g, 0) - (-mu * w - h * mu**2 * w / 2)) == 0
    t = symbols.t
    schedule = System(w, t, (), (), -sp.exp(-t) * equation(SGD(momentum=0), 0).rates[0][()] * -1)
    rates = slow_regime(schedule, 1).rates
    # E - 1 = h Phi: w'' enters by -h/2 d/dt Phi, with the schedule's own derivative in it
    assert sp.simplify(rates[1][()] - sp.diff(rates[0][()], t) * -sp.Rational(1, 2)) == 0


def tree_of(bush):
    """The rooted tree of a term whose functions are numbers, as nested lists."""
    (factor,) = bush or ((),)
    return [tree_of(below) for _, below in factor]


@pytest.mark.parametrize(
    ("optimiser", "method", "order"),
    [
        (SGD("3/5"), HeavyBall(beta="3/5"), 6),
        (SGD(), HeavyBall(), 4),
        (SGD(momentum=0), GradientDescent(), 6),
    ],
    ids=["number", "symbol", "plain"],
)
def test_linear_optimisers_have_the_series_of_the_linear_recurrences(optimiser, method, order):
    """Term by term: a derivation over functions of g against one over trees."""
    found = modified_equation(optimiser, order, "slow")
    known = modified_equation(method, order, "slow")
    total = {}
    for n, c, bush in found.terms:
        shape = tree(tree_of(bush))
        value = c if bush else sp.cancel(c / g)
        total[shape] = (-1) ** (n + 1) * h ** (n + 1) * value
    assert set(total) == set(known.trees)
    for shape, value in total.items():
        assert sp.cancel(value - known.coefficient(shape)) == 0, shape


def test_the_modified_loss_of_adam_without_eps_is_an_l1_norm_of_the_gradient():
    """Cattaneo, Klusowski, Shigida (ICML 2024): `L + h (tau_1 - tau_2) |grad L|_1`."""
    found = modified_loss(Adam(eps=0))
    tau_1, tau_2 = beta_1 / (1 - beta_1), beta_2 / (1 - beta_2)
    assert found.order == 2
    assert sp.simplify(found.preconditioner - 1 / sp.Abs(g)) == 0
    assert sp.simplify(found.correction - (tau_1 - tau_2) * sp.Abs(g)) == 0
    # of the map the shift by half a step is no part: with beta_1 = beta_2 nothing is left
    assert sp.simplify(modified_loss(Adam(eps=0), of="map").correction.subs(beta_1, beta_2)) == 0


def test_the_modified_loss_is_a_loss_in_one_and_two_variables():
    """`-P grad U` by SymPy's own derivatives of a concrete loss is the equation itself."""
    x, y = sp.symbols("x y", positive=True)
    loss = x**2 + x * y + y**3  # gradients positive
    optimiser = Adam("3/5", "7/10", eps=0)
    right = modified_equation(optimiser, 2, "slow").specialise(loss, [x, y])
    found = modified_loss(optimiser)
    gradient = [sp.diff(loss, x), sp.diff(loss, y)]
    total = loss + h * sum(found.correction.subs(g, q) for q in gradient)
    for q, v, s in zip(gradient, right, (x, y), strict=True):
        expected = -found.preconditioner.subs(g, q) * sp.diff(total, s)
        assert sp.simplify(v - expected) == 0


def test_with_eps_the_obstruction_is_named():
    found = modified_loss(Adam(placement="inside"))
    assert found.status is GradientStatus.OBSTRUCTED
    expected = print_inside() / h * sp.sqrt(g**2 + eps)
    assert sp.simplify(found.obstruction - expected) == 0
    assert "no gradient at order 2" in str(found)
    assert modified_loss(SGD()).status is GradientStatus.GRADIENT
    # Ghosh et al. (ICLR 2023) for heavy ball, P = 1/(1 - beta)
    correction = modified_loss(SGD()).correction
    known = (1 + symbols.beta) / (4 * (1 - symbols.beta) ** 2) * g**2
    assert sp.simplify(correction - known) == 0
    with pytest.raises(InputError, match="depends on the gradient only"):
        modified_loss(AdamW())


def test_intrinsic_parameters_of_both_kinds():
    lam = h / (1 - symbols.beta) ** 2
    assert intrinsic_parameters(HeavyBall()) == intrinsic_parameters(SGD()) == {symbols.lam: lam}
    tau = sp.symbols("tau_1 tau_2", positive=True)
    assert intrinsic_parameters(Adam()) == {
        tau[0]: h / (1 - beta_1), tau[1]: h / (1 - beta_2), eps: eps
    }  # fmt: skip


def test_the_memoryless_map_is_what_iterates_do_after_the_transient():
    """Adam from warm memories: the map's error in a step falls like gamma^(order + 1)."""
    b1, b2, e = 0.5, 0.6, 0.3

    def gradient(w):
        return np.stack([w[..., 0] + np.sin(w[..., 1]) / 2, np.cos(w[..., 1]) * w[..., 0] / 2], -1)

    def components(w):
        x, y = w[..., 0], w[..., 1]
        return [x + np.sin(y) / 2, np.cos(y) * x / 2]

    slopes = []
    for order in (1, 2, 3):
        errors = []
        for step in (0.02, 0.01, 0.005):
            start = at = np.array([1.5, 0.7])
            for _ in range(12):  # so that the last step is taken at the same point
                w, m, v = start, np.zeros(2), np.zeros(2)
                for _ in range(80):  # 0.6^80 < 1e-17
                    last, q = w, gradient(w)
                    m, v = b1 * m + (1 - b1) * q, b2 * v + (1 - b2) * q * q
                    w = w - step * m / np.sqrt(v + e)
                start = start + at - last
            one = memoryless_map(Adam(placement="inside"), order).iteration(
                components, gamma=step, beta_1=b1, beta_2=b2, eps=e
            )
            errors.append(np.abs(one(last) - w).max())
        slopes.append(np.log2(errors[1] / errors[2]))
    assert slopes == pytest.approx([2, 3, 4], abs=0.15)


def test_the_inertial_system_follows_adam_with_its_memories():
    """Orders 1 and 2 of the path from zero memories, tau fixed and the step to zero."""
    tau_1, tau_2, e, end = 0.4, 0.8, 0.5, 1.0
    slopes = []
    for order in (0, 1):
        system = inertial_system(Adam(bias_correction=False, placement="inside"), order)
        errors = []
        for step in (0.04, 0.02, 0.01):
            w, m, v = np.array([1.0, 0.5]), np.zeros(2), np.zeros(2)
            for _ in range(round(end / step)):
                q = w + np.sin(w) / 3
                m, v = m + step / tau_1 * (q - m), v + step / tau_2 * (q * q - v)
                w = w - step * m / np.sqrt(v + e)
            rhs = system.rhs(lambda x: x + np.sin(x) / 3, h=step, tau_1=tau_1, tau_2=tau_2, eps=e)
            start = np.concatenate(system.start(np.array([1.0, 0.5])))
            flow = solve_ivp(rhs.system, (0, end), start, "DOP853", rtol=1e-10, atol=1e-12)
            errors.append(np.abs(flow.y[:2, -1] - w).max())
        slopes.append(np.log2(errors[1] / errors[2]))
    assert slopes == pytest.approx([1, 2], abs=0.15)


def test_the_right_hand_side_of_adam_with_eps_outside_the_root_is_the_equation_written_out():
    """Jets take no |g|: away from g = 0 it is a smooth root, whose derivatives SymPy takes too."""
    x, y = sp.symbols("x y", real=True)
    loss = x**2 + x * y + y**3 / 3 + sp.cos(x)
    found = equation(Adam(), 2)
    values = {"gamma": 0.1, "beta_1": 0.6, "beta_2": 0.7, "eps": 0.05}
    at = {x: 0.7, y: -1.2, h: 0.1, beta_1: 0.6, beta_2: 0.7, eps: 0.05}
    written = [float(part.subs(at)) for part in found.specialise(loss, [x, y])]
    assert found.rhs(loss, [x, y], **values)([0.7, -1.2]) == pytest.approx(written, rel=1e-11)


def test_a_thousand_weights_by_a_dense_hessian_and_by_the_map():
    """The first correction by the formula in print; through the second, a step of the map is
    the flow over the time of a step, to the fourth power of the step."""
    rng = np.random.default_rng(0)
    d = 1000
    A = rng.normal(size=(d, d)) / np.sqrt(d)

    def gradient(w):
        return A.T @ np.tanh(A @ w) + 0.1 * w

    w, step = rng.normal(size=d), 0.1
    values = {"beta_1": 0.6, "beta_2": 0.7, "eps": 0.5}
    adam = Adam(placement="inside")
    q = gradient(w)
    hessian = A.T @ ((1 - np.tanh(A @ w) ** 2)[:, None] * A) + 0.1 * np.eye(d)
    printed = sp.lambdify(g, print_inside().subs({h: step, beta_1: 0.6, beta_2: 0.7, eps: 0.5}))
    root = np.sqrt(q**2 + 0.5)
    expected = -q / root - printed(q) * (hessian @ (q / root))
    assert equation(adam, 1).rhs(gradient, gamma=step, **values)(w) == pytest.approx(
        expected, rel=1e-10
    )
    gaps = []
    for size in (step, step / 2):
        along = equation(adam, 2).rhs(gradient, gamma=size, **values)
        # the time of a step is the step itself
        path = solve_ivp(along.system, (0, size), w, "DOP853", rtol=1e-12, atol=1e-14)
        one = memoryless_map(adam, 3).iteration(gradient, gamma=size, **values)
        gaps.append(np.abs(one(w) - path.y[:, -1]).max())
    assert np.log2(gaps[0] / gaps[1]) == pytest.approx(4, abs=0.3)


def test_an_equation_as_a_module_gives_the_right_hand_side():
    found = modified_equation(Adam(placement="inside"), 3, "slow")
    namespace = {}
    exec(found.to_module(), namespace)
    w = np.array([0.7, -0.3])
    H, third = np.array([[1.0, 0.4], [0.4, 2.0]]), np.diag([0.6, -0.9])
    # L = w.H w/2 + sum_j third_jj w_j^3/6: gradient, Hessian and third derivative at w

    def derivative(*x):
        if len(x) == 1:
            return (H + np.diag(np.diag(third) * w)) @ x[0]
        return np.diag(third) * x[0] * x[1] if len(x) == 2 else np.zeros(2)

    a, b = sp.symbols("a b", real=True)
    loss = (a**2 + 0.8 * a * b + 2 * b**2) / 2 + 0.1 * a**3 - 0.15 * b**3
    values = {"gamma": 0.1, "beta_1": 0.6, "beta_2": 0.7, "eps": 0.5}
    q = H @ w + np.diag(third) * w**2 / 2
    from_module = namespace["evaluate"](q, derivative, **values)
    assert from_module == pytest.approx(found.rhs(loss, [a, b], **values)(w), rel=1e-12)
    assert len(found.to_frame()) == len(found.table()) == len(found)
    assert r"\begin{align*}" in found.to_latex_document()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: modified_equation(Adam(), 7, "slow"), "order <= 6"),
        (lambda: modified_equation(Adam(), 4), "order <= 3"),
        (lambda: memoryless_map(Adam(), 0), "order >= 1"),
        (lambda: modified_loss(Adam(), 3), "order <= 2"),
        (lambda: equation(Optimiser.parse("m = 2*m + g; w = w - lr*m"), 1), "2 times what it had"),
        (lambda: equation(Optimiser.parse("m = b1*m + sign(g); w = w - lr*m"), 1), "smooth"),
        (lambda: scaling_rules("adam"), "Optimiser"),
    ],
)
def test_what_has_no_equation_is_refused_in_a_sentence(call, message):
    with pytest.raises(InputError, match=message):
        call()
