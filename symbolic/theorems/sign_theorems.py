"""Weights that keep their signs: when they do (exactly), and that the bound is sharp.

`lambda w'' + w' + k w = 0` is one weight of the diagonal network; `k = g` for w_+,
`k = -g` for w_-, `g` the gradient of the loss in theta. `p = lambda w'/w`.
"""

from __future__ import annotations

import sympy as sp

from momentumflow.symbolic.identities import Identity
from momentumflow.symbolic.networks.diagonal_network import DiagonalNetwork
from momentumflow.symbolic.symbols import beta, gamma, lam, t, z
from momentumflow.symbolic.theorems.statements import (
    Inequality,
    Limit,
    Minimum,
    Sentence,
    along,
)
from momentumflow.symbolic.theorems.theorem import Theorem

HERE = "derived here"

k, p, q, v = sp.symbols("k p q v", real=True)
w = sp.Symbol("w", nonzero=True)
slack, more = sp.symbols("a b", nonnegative=True)

RICCATI = Identity(
    "Riccati equation of p",
    lam * along(lam * v / w, {w: v, v: -(v + k * w) / lam}),
    -((p + sp.Rational(1, 2)) ** 2) + sp.Rational(1, 4) - lam * k,
    assumptions="p = lambda w'/w, w not zero, lambda w'' + w' + k w = 0",
    relations=(("p = lambda w'/w", p, lam * v / w),),
    source=HERE,
)

# Energy of one coordinate, the loss F as a state whose rate is g theta'.
_g, _F, _vp, _vm, _wp, _wm = sp.symbols("g F v_+ v_- w_+ w_-", real=True)
ENERGY = Identity(
    "the energy falls",
    along(
        _F + lam * (_vp**2 + _vm**2) / 4,
        {
            _F: _g * (_wp * _vp - _wm * _vm) / 2,
            _vp: -(_vp + _g * _wp) / lam,
            _vm: -(_vm - _g * _wm) / lam,
        },
    ),
    -(_vp**2 + _vm**2) / 2,
    assumptions="theta = (w_+^2 - w_-^2)/4, v = w', summed over the coordinates",
    source=HERE,
)
_A, _S = sp.Symbol("A", positive=True), sp.Symbol("S", nonnegative=True)
_B, _C = sp.symbols("B C", real=True)
CAUCHY_SCHWARZ = Inequality(
    "Cauchy and Schwarz",
    _A * _C,
    _B**2,
    _A * _S,
    assumptions=(
        "A = sum a_i^2, B = sum a_i b_i, C = sum b_i^2, and S = sum (b_i - a_i B/A)^2 "
        "= C - B^2/A is not negative"
    ),
    relations=(("S, multiplied out", _C, _S + _B**2 / _A),),
)

_positive = sp.Symbol("z", positive=True)
_largest = sp.Symbol("g_max", positive=True)
# the step size of heavy ball up to which no weight changes sign
STEP_BOUND = ((1 - sp.sqrt(beta)) ** 2 / _largest, (beta, _largest))
_alpha = sp.Symbol("alpha", positive=True)
_push = sp.Symbol("x", real=True)
# the rate at which ln w moves while its push -s g is constant; at lambda = 0 the push itself
GROWTH_RATE = (2 * _push / (1 + sp.sqrt(1 + 4 * lam * _push)), (lam, _push))
_SHARPNESS = sp.pi**2 * (3 - 2 * sp.sqrt(2))
# where signs begin to change, in units of 1/(4 |X^T y|_inf/n), for small alpha
SIGN_THRESHOLD = (1 + _SHARPNESS / sp.log(1 / _alpha) ** 2, (_alpha,))


def no_sign_change() -> Theorem:
    """No weight changes sign while `4 lambda sup|g| <= 1`; a priori for `lambda <= 1/(4 Gamma)`."""
    W = sp.Symbol("w", positive=True)
    return Theorem(
        "no-sign-change",
        "No weight changes sign while 4 lambda sup|g| <= 1",
        (
            "momentum gradient flow on the two-layer diagonal network, at rest at the start, "
            "no weight zero there",
            "4 lambda |g_j(t)| <= 1 up to the time looked at",
        ),
        (
            RICCATI,
            Inequality(
                "the Riccati equation from below",
                -((p + sp.Rational(1, 2)) ** 2) + sp.Rational(1, 4) - lam * k,
                -((p + sp.Rational(1, 2)) ** 2),
                slack,
                assumptions="4 lambda k <= 1, that is k = (1/4 - a)/lambda with a >= 0",
                relations=(("4 lambda k <= 1", k, (sp.Rational(1, 4) - slack) / lam),),
                source=HERE,
            ),
            Inequality(
                "the inverse of p + 1/2 grows at most linearly",
                sp.S.Zero,
                along(
                    1 / _positive - t / lam,
                    {_positive: (-(_positive**2) + slack) / lam, t: sp.S.One},
                ),
                slack / (lam * _positive**2),
                assumptions="z = p + 1/2 > 0, lambda z' = -z^2 + a with a >= 0",
                source=HERE,
            ),
            Sentence(
                "z(0) = 1/2, so 1/z <= 2 + t/lambda as long as w is not zero: z stays positive, "
                "p > -1/2."
            ),
            Identity(
                "the logarithm of a weight against its slowest decay",
                along(sp.log(W) + t / (2 * lam), {W: p * W / lam, t: sp.S.One}),
                (p + sp.Rational(1, 2)) / lam,
                assumptions="p = lambda w'/w",
                source=HERE,
            ),
            Sentence(
                "So |w| >= |w_0| exp(-t/(2 lambda)) as long as w is not zero; by continuity "
                "w never is."
            ),
            ENERGY,
            CAUCHY_SCHWARZ,
            Sentence(
                "A priori: F(t) <= F(0), that is |X theta - y| <= |y| from theta_0 = 0, and "
                "|g_j| = |X_j . (X theta - y)|/n <= |X_j| |y|/n <= Gamma for all times."
            ),
        ),
        "with Gamma = max_j |X_j| |y|/n, no weight changes sign for lambda <= 1/(4 Gamma); "
        "and w'/w > -1/(2 lambda)",
        r"4\lambda\,\sup_t|g_j(t)| \le 1 \;\Rightarrow\; \frac{\dot w_{\pm,j}}{w_{\pm,j}} > "
        r"-\frac{1}{2\lambda};\qquad \lambda \le \frac{1}{4\Gamma},\quad "
        r"\Gamma = \max_j \frac{|X_j|\,|y|}{n}",
        HERE,
    )


def no_sign_change_discrete() -> Theorem:
    """Heavy ball: no sign change while `gamma sup|g| <= (1 - sqrt(beta))^2`."""
    root = sp.Symbol("c", positive=True)
    m, r = sp.Symbol("m", real=True), sp.Symbol("r", positive=True)
    return Theorem(
        "no-sign-change-heavy-ball",
        "Heavy ball: no weight changes sign while gamma sup|g| <= (1 - sqrt(beta))^2",
        (
            "heavy ball on the two-layer diagonal network, at rest at the start, no weight zero "
            "there; any batches",
            "gamma |g_{k,j}| <= (1 - sqrt(beta))^2 at every step",
        ),
        (
            DiagonalNetwork().identity("discrete Riccati recursion"),
            Identity(
                "the largest step size",
                STEP_BOUND[0] * _largest,
                (1 - root) ** 2,
                assumptions="c = sqrt(beta)",
                relations=(("c = sqrt(beta)", root, sp.sqrt(beta)),),
            ),
            Inequality(
                "the ratio of two iterates stays above sqrt(beta)",
                1 + root**2 - m - root**2 / r,
                root,
                slack + root * more / (root + more),
                assumptions=(
                    "c = sqrt(beta), m = s gamma g <= (1-c)^2, that is m = (1-c)^2 - a, and the "
                    "ratio before is r = c + b, with a, b >= 0"
                ),
                relations=(
                    ("m <= (1-c)^2", m, (1 - root) ** 2 - slack),
                    ("r >= c", r, root + more),
                ),
                source=HERE,
            ),
            Sentence(
                "At rest the ratio before the first step is 1 >= sqrt(beta); induction over "
                "the steps."
            ),
        ),
        "w_{k+1}/w_k >= sqrt(beta) at every step, so no weight changes sign",
        r"\gamma\,\sup_k|g_{k,j}| \le (1-\sqrt\beta)^2 \;\Rightarrow\; "
        r"\frac{w_{k+1}}{w_k} \ge \sqrt\beta",
        HERE,
    )


def sharp_sign_bound() -> Theorem:
    """Above `1/(4 |X^T y|_inf/n)` a sign changes for all small alpha; how the threshold tends."""
    G, d = sp.Symbol("G", positive=True), sp.Symbol("delta", positive=True)
    s = sp.Symbol("t", positive=True)
    omega = sp.sqrt(d) / (2 * lam)
    path = sp.exp(-s / (2 * lam)) * (sp.cos(omega * s) + sp.sin(omega * s) / sp.sqrt(d))
    zero = (sp.pi - sp.atan(sp.sqrt(d))) / omega
    growth = GROWTH_RATE[0].subs(_push, G)
    critical = (sp.sqrt(2) - 1) / (2 * lam)
    # the time that the growing weight takes, in units of ln(1/alpha), at delta
    rate = (sp.sqrt(2 + d) - 1) / (2 * lam)
    expand_tan = (("tan of the phase", sp.expand_trig),)
    return Theorem(
        "sharp-sign-bound",
        "The bound on lambda is sharp: beyond it a sign changes for all small alpha",
        (
            "momentum gradient flow on the two-layer diagonal network from theta_0 = 0, weights "
            "of size alpha, at rest",
            "delta = 4 lambda G - 1 > 0 with G = |X^T y|_inf/n",
        ),
        (
            Sentence(
                "On a fixed interval [0, T] the weights are of size alpha, theta of size alpha^2, "
                "so g = -X^T y/n + O(alpha^2) uniformly (Gronwall), and w/alpha tends with its "
                "velocity to the solution of the equation with constant g."
            ),
            Identity(
                "the shrinking weight at constant gradient",
                lam * sp.Derivative(path, s, 2) + sp.Derivative(path, s) + G * path,
                sp.S.Zero,
                assumptions="delta = 4 lambda G - 1",
                relations=(("delta = 4 lambda G - 1", G, (1 + d) / (4 * lam)),),
                source=HERE,
            ),
            Identity(
                "it starts at rest",
                sp.diff(path, s).subs(s, 0),
                sp.S.Zero,
                source=HERE,
            ),
            Identity(
                "its first zero",
                path.subs(s, zero),
                sp.S.Zero,
                assumptions=(
                    "t* = (pi - atan sqrt(delta)) 2 lambda/sqrt(delta); before it the phase is "
                    "below pi - atan sqrt(delta), where tan is not -sqrt(delta)"
                ),
                hints=expand_tan,
                source=HERE,
            ),
            Sentence(
                "A solution that is not zero crosses zero with non-zero velocity, so the crossing "
                "persists for all small alpha: this is the first assertion."
            ),
            Identity(
                "the growth of the other weight at constant gradient",
                lam * growth**2 + growth - G,
                sp.S.Zero,
                source=HERE,
            ),
            Identity(
                "its rate at the critical lambda",
                growth.subs(G, 1 / (4 * lam)),
                critical,
                source=HERE,
            ),
            Identity(
                "its rate beyond it",
                growth,
                rate,
                assumptions="delta = 4 lambda G - 1",
                relations=(("delta = 4 lambda G - 1", G, (1 + d) / (4 * lam)),),
                source=HERE,
            ),
            Sentence(
                "To leading order in 1/ln(1/alpha) the gradient is constant until the growing "
                "weight is no longer small: for a time ln(1/alpha)/r. A sign changes if t* is "
                "less; at the threshold ln(1/alpha) = r t*. (This sentence is an asymptotic "
                "argument and is measured, not proved.)"
            ),
            Limit(
                "the threshold as alpha tends to zero",
                d * (rate * zero) ** 2,
                d,
                sp.S.Zero,
                _SHARPNESS,
                assumptions="ln(1/alpha) = r t*, so delta ln^2(1/alpha) = delta (r t*)^2",
                source=HERE,
            ),
        ),
        "a sign changes for all small alpha if 4 lambda |X^T y|_inf/n > 1; the threshold "
        "exceeds that by the factor 1 + pi^2 (3 - 2 sqrt 2)/ln^2(1/alpha) to leading order",
        r"\lambda_c(\alpha) \cdot \frac{4\,|X^\top y|_\infty}{n} = 1 + "
        r"\frac{\pi^2(3 - 2\sqrt{2})}{\ln^2(1/\alpha)} + \ldots",
        HERE,
    )


def remainder_sign() -> Theorem:
    """H >= 0 on z > 0, with equality at z = 1 only."""
    x = sp.Symbol("x", positive=True)
    summand = DiagonalNetwork().remainder_summand().subs(z, x)
    return Theorem(
        "remainder-not-negative",
        "The remainder of a step is not negative while no sign changes, and zero only at rest",
        ("0 <= beta < 1 (beta = 0 by continuity)", "the ratio x of two iterates is positive"),
        (
            Minimum(
                "the remainder summand is least at rest",
                summand,
                x,
                sp.S.One,
                sp.S.Zero,
                (x + beta) / x**2,
                assumptions="x > 0, beta >= 0",
                source=HERE,
            ),
            Sentence(
                "So S = sum h/(1 - beta) >= 0, and S = 0 only if every ratio is 1, that is if "
                "the weight never moved."
            ),
        ),
        "h(z) >= 0 for z > 0, with equality at z = 1 only: balancedness shrinks",
        r"h(z) = (z-1) - \beta(1 - 1/z) - (1-\beta)\ln z \ge 0,\quad h(z) = 0 \iff z = 1",
        HERE,
    )


def strict_shrinkage() -> Theorem:
    """T4: a coordinate whose gradient is not zero at the start ends less balanced."""
    a, b = sp.symbols("w_+ w_-", positive=True)
    x, y = sp.symbols("q_+ q_-", real=True)
    rate = {
        a: x * a,
        b: y * b,
        x: -(x + lam * x**2 + _g) / lam,
        y: -(y + lam * y**2 - _g) / lam,
    }
    return Theorem(
        "strict-shrinkage",
        "Balancedness shrinks strictly wherever the gradient is not zero at the start",
        (
            "momentum gradient flow, at rest at the start, converging with w'/w to zero",
            "no sign change in coordinate j, and X_j . (X theta_0 - y) is not zero",
        ),
        (
            Identity(
                "both logarithms of a coordinate",
                along(sp.log(a * b) + lam * (x + y), rate),
                -lam * (x**2 + y**2),
                assumptions="q_pm = w_pm'/w_pm",
                source=HERE,
            ),
            Sentence("Integrated: ln(Delta_inf/Delta_0) = -lambda int (q_+^2 + q_-^2) dt <= 0."),
            Identity(
                "the ratio leaves zero at once",
                rate[x].subs(x, 0),
                -_g / lam,
                assumptions="at rest q = 0",
                source=HERE,
            ),
            Sentence("So q_+ is not zero on an interval, and the integral is positive."),
        ),
        "Delta_inf,j < Delta_0,j",
        r"X_j^\top (X\theta_0 - y) \ne 0 \;\Rightarrow\; \Delta_{\infty,j} < \Delta_{0,j}",
        HERE,
    )


def acceleration() -> Theorem:
    """The acceleration rule from the two things it is to do, and that no other does them."""
    r, G = sp.symbols("rho G", positive=True)
    distance = sp.Symbol("m", positive=True)  # 1 - beta
    step = sp.Symbol("epsilon", positive=True)
    return Theorem(
        "acceleration-is-unique",
        "One rule, and only one, walks the same path rho times faster",
        (
            "heavy ball: lambda = gamma/(1-beta)^2, a step takes the time eps = gamma/(1-beta)",
            "wanted: (gamma', beta') with the same lambda and the time of a step rho eps",
        ),
        (
            Identity(
                "lambda and the time of a step fix the momentum",
                step / lam,
                1 - beta,
                assumptions="eps/lambda = 1 - beta: (lambda, eps) determines beta",
                relations=(
                    ("lambda", lam, gamma / (1 - beta) ** 2),
                    ("eps", step, gamma / (1 - beta)),
                ),
                source="Papazov, Pesme, Flammarion, arXiv 2403.05293, section 3",
            ),
            Identity(
                "and the step size",
                step**2 / lam,
                gamma,
                assumptions="eps^2/lambda = gamma",
                relations=(
                    ("lambda", lam, gamma / (1 - beta) ** 2),
                    ("eps", step, gamma / (1 - beta)),
                ),
                source="Papazov, Pesme, Flammarion, arXiv 2403.05293, section 3",
            ),
            Sentence(
                "So there is one pair for lambda and rho eps: 1 - beta' = rho eps/lambda, "
                "gamma' = rho^2 eps^2/lambda."
            ),
            Identity(
                "the new momentum",
                r * step / lam,
                r * distance,
                relations=(
                    ("lambda", lam, G / distance**2),
                    ("eps", step, G / distance),
                ),
                assumptions="m = 1 - beta, G = gamma",
            ),
            Identity(
                "the new step size",
                (r * step) ** 2 / lam,
                r**2 * G,
                relations=(
                    ("lambda", lam, G / distance**2),
                    ("eps", step, G / distance),
                ),
                assumptions="m = 1 - beta, G = gamma",
            ),
            Sentence(
                "Step k of the new run stands at time rho eps k of the same flow, where step "
                "rho k of the old one stands, each up to the order that the theorem on the "
                "order of lambda gives."
            ),
        ),
        "(gamma, beta) -> (rho^2 gamma, 1 - rho (1 - beta)), and no other pair",
        r"(\gamma, \beta) \mapsto (\rho^2\gamma,\, 1 - \rho(1-\beta)),\quad "
        r"\lambda' = \lambda,\ \epsilon' = \rho\,\epsilon",
        "Papazov, Pesme, Flammarion, arXiv 2403.05293, section 3",
    )


def orders_of_lambda() -> Theorem:
    """Heavy ball follows the flow of lambda to first order, that of lambda_hat to second."""
    h = sp.Symbol("epsilon", positive=True)
    d1, d2, d3, d4, g = sp.symbols("w' w'' w''' w'''' g", real=True)
    K, x = sp.symbols("K x", positive=True)
    ahead = h * d1 + h**2 * d2 / 2 + h**3 * d3 / 6 + h**4 * d4 / 24
    behind = -h * d1 + h**2 * d2 / 2 - h**3 * d3 / 6 + h**4 * d4 / 24
    defect = lam * (ahead + behind) / h**2 - behind / h + g
    hat = sp.Symbol("lambda_h", positive=True)
    n = sp.Symbol("k", integer=True, positive=True)
    third = lam * h**2 * d4 / 12 + h**2 * d3 / 6 - h**3 * d4 / 24
    return Theorem(
        "orders-of-lambda",
        "Heavy ball follows momentum gradient flow to first order, the refined one to second",
        (
            "F four times continuously differentiable along the path, T fixed, lambda fixed, "
            "eps = gamma/(1-beta) to zero",
            "the refined flow has lambda_hat = lambda - eps/2 and starts with "
            "w'(0) = -eps grad F(w_0)/(2 lambda)",
        ),
        (
            DiagonalNetwork().identity("heavy ball discretises MGF(lambda)"),
            Identity(
                "the defect of the flow in the scheme",
                defect,
                -h * d2 / 2 + third,
                assumptions=(
                    "w(t +- eps) by Taylor to fourth order, lambda w'' + w' + g = 0; Taylor's "
                    "remainder changes the terms of second order only"
                ),
                relations=(("momentum gradient flow", g, -lam * d2 - d1),),
                source=HERE,
            ),
            Identity(
                "the defect of the refined flow in the scheme",
                defect,
                third,
                assumptions="(lambda - eps/2) w'' + w' + g = 0",
                relations=(("the refined flow", g, -(lam - h / 2) * d2 - d1),),
                source=HERE,
            ),
            Identity(
                "lambda_hat in the parameters of the method",
                lam - h / 2,
                gamma * (1 + beta) / (2 * (1 - beta) ** 2),
                relations=(
                    ("lambda", lam, gamma / (1 - beta) ** 2),
                    ("eps", h, gamma / (1 - beta)),
                ),
                source=HERE,
            ),
            Identity(
                "the start of the refined flow is at rest for the scheme",
                d1 - h * d2 / 2,
                sp.S.Zero,
                assumptions=(
                    "the backward difference of the flow at 0, to second order; lambda_hat w'' = "
                    "-w' - g, w'(0) = -eps g/(2 lambda)"
                ),
                relations=(
                    ("the refined flow", d2, -(d1 + g) / hat),
                    ("the start", d1, -h * g / (2 * lam)),
                    ("lambda_hat", hat, lam - h / 2),
                ),
                source=HERE,
            ),
            Sentence(
                "In (w, v) a step is v' = v - (eps/lambda)(v + grad F(w)), w' = w + eps v': the "
                "identity plus eps times a map of Lipschitz constant K on a compact set. With a "
                "defect of at most D in a step of eps, the error e obeys "
                "e_{k+1} <= (1 + K eps) e_k + eps D."
            ),
            Identity(
                "what the recursion sums to",
                (1 + K * h) * (((1 + K * h) ** n - 1) * x / K) + h * x,
                ((1 + K * h) ** (n + 1) - 1) * x / K,
                assumptions="e_k = ((1 + K eps)^k - 1) D/K solves it from e_0 = 0; D is x here",
                source=HERE,
            ),
            Minimum(
                "the logarithm is below its tangent",
                x - 1 - sp.log(x),
                x,
                sp.S.One,
                sp.S.Zero,
                1 / x,
            ),
            Sentence(
                "With x = 1 + K eps: (1 + K eps)^k <= exp(K eps k). So e_k <= (exp(K T) - 1) D/K "
                "up to time T: with D = O(eps) first order for lambda, with D = O(eps^2) second "
                "order for lambda_hat."
            ),
        ),
        "w_k - w(k eps) = O(eps) for the flow of lambda, O(eps^2) for the flow of lambda_hat",
        r"w_k = w_\lambda(k\epsilon) + O(\epsilon) = w_{\hat\lambda}(k\epsilon) + O(\epsilon^2),"
        r"\qquad \hat\lambda = \lambda - \frac{\epsilon}{2}",
        HERE,
    )
