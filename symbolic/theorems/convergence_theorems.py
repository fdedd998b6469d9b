"""Convergence of momentum gradient flow from one Lyapunov function, and what it gives.

One coordinate and sign is `P = w^2/4` with `q = w'/w` and `k = s g`; then `P' = 2 q P`,
`lambda q' = -(q + lambda q^2 + k)`. `kl(a, b) = a ln(a/b) - a + b`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import sympy as sp

from momentumflow.symbolic.identities import Identity
from momentumflow.symbolic.symbols import lam
from momentumflow.symbolic.theorems.sign_theorems import CAUCHY_SCHWARZ, ENERGY, HERE, RICCATI, k
from momentumflow.symbolic.theorems.statements import (
    Inequality,
    MatrixIdentity,
    Minimum,
    Sentence,
    along,
)
from momentumflow.symbolic.theorems.theorem import Theorem

P, P_star, P_start = sp.symbols("P P_* P_0", positive=True)
q = sp.Symbol("q", real=True)
p = sp.Symbol("p", real=True)
_RATES = {P: 2 * q * P, q: -(q + lam * q**2 + k) / lam}


Gamma = sp.Symbol("Gamma", nonnegative=True)
# int q^2 dt <= C int g^2 dt, C of lambda and the largest gradient
RATIO_BOUND = (4 / (1 + sp.sqrt(1 - 4 * lam * Gamma)) ** 2, (lam, Gamma))


def kl(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    """Return the relative entropy a ln(a/b) - a + b of two positive numbers."""
    return a * sp.log(a / b) - a + b


LYAPUNOV = Identity(
    "rate of the Lyapunov function, one coordinate and sign",
    along(kl(P_star, P) + 2 * lam * q * (P - P_star), _RATES),
    -2 * k * (P - P_star) + 2 * lam * q**2 * (P + P_star),
    assumptions="P = w^2/4, q = w'/w, k = s g; P_* constant",
    source=HERE,
)

_X, _XT, _e, _eT, _y, _s = sp.symbols("X X^T e e^T y theta_*", commutative=False)


def _regression(rng: random.Random) -> Mapping[sp.Symbol, sp.Matrix]:
    """Draw a matrix, a point that fits, and a difference."""
    X, e, star = (_drawn(rng, *shape) for shape in ((2, 4), (4, 1), (4, 1)))
    return {_X: X, _XT: X.T, _e: e, _eT: e.T, _y: X * star, _s: star}


def _drawn(rng: random.Random, rows: int, columns: int) -> sp.Matrix:
    """Draw a matrix of small whole numbers."""
    return sp.Matrix(rows, columns, lambda i, j: rng.choice([-3, -2, -1, 1, 2, 3]))


LOSS = MatrixIdentity(
    "the gradient along the difference is twice the loss",
    _eT * _XT * (_X * (_s + _e) - _y),
    _eT * _XT * _X * _e,
    relations=(("y = X theta_*", _y, _X * _s),),
    model=_regression,
    assumptions="theta = theta_* + e, n g = X^T (X theta - y), so g . e = |X e|^2/n = 2 F",
    source=HERE,
)
_x = sp.Symbol("x", positive=True)
TANGENT = Minimum(
    "the logarithm is below its tangent",
    _x - 1 - sp.log(_x),
    _x,
    sp.S.One,
    sp.S.Zero,
    1 / _x,
)
ENTROPY = Identity(
    "relative entropy by the tangent of the logarithm",
    kl(P_star, P),
    P_star * (_x - 1 - sp.log(_x)),
    assumptions="x = P/P_*; so kl >= 0, with equality at P = P_* only",
    relations=(("P = x P_*", P, _x * P_star),),
)


def convergence() -> Theorem:
    """T3: the flow converges to an interpolator, with balancedness, if lambda is small."""
    r, z = sp.symbols("r z", positive=True)
    a, b = sp.symbols("a b", nonnegative=True)
    m = sp.Symbol("m", positive=True)
    x2, F = sp.symbols("x2 F", nonnegative=True)
    g = sp.Symbol("g", real=True)
    C = sp.Symbol("C", positive=True)
    kappa = sp.Symbol("kappa", positive=True)
    D, E, K_star, N = sp.symbols("D E K_* N", real=True)
    L = sp.Symbol("L", positive=True)
    total = (K_star + E - a) / m - b + D
    half = sp.Rational(1, 2)
    return Theorem(
        "convergence",
        "Momentum gradient flow converges for small lambda, and its limit is nearly as sparse",
        (
            "momentum gradient flow on the two-layer diagonal network from theta_0 = 0 at rest, "
            "no weight zero at the start",
            "4 lambda max_j x_j^2 |theta_*|_1 < 1 for an interpolator theta_* of least l1 norm, "
            "x_j^2 = |X_j|^2/n; P_* its positive and negative parts",
        ),
        (
            Sentence(
                "|y| = |X theta_*| <= sum_j |X_j| |theta_*,j|, so 4 lambda Gamma <= 4 lambda "
                "max_j x_j^2 |theta_*|_1 < 1, and no weight changes sign (theorem no-sign-change)."
            ),
            RICCATI,
            Identity(
                "the Riccati equation from its larger root",
                -((p + half) ** 2) + sp.Rational(1, 4) - lam * k,
                -z * (z + r) + a,
                assumptions=(
                    "r = sqrt(1 - 4 lambda Gamma), z = p + (1 - r)/2 measures from the larger root "
                    "at k = Gamma, a = lambda (Gamma - k) >= 0"
                ),
                relations=(
                    ("p by z", p, z - (1 - r) / 2),
                    ("k by a", k, ((1 - r**2) / 4 - a) / lam),
                ),
                source=HERE,
            ),
            Sentence(
                "z(0) = (1 - r)/2 >= 0 and lambda z' + z (z + r) = a >= 0: z exp(int (z + r)) does "
                "not fall, z >= 0, that is 1 + p >= (1 + r)/2 =: m at all times."
            ),
            Identity(
                "rate of the square of the ratio",
                along(lam * q**2 / 2, _RATES),
                -(1 + lam * q) * q**2 - k * q,
                assumptions="q = w'/w",
                source=HERE,
            ),
            Inequality(
                "Young's inequality for the ratio",
                m * q**2 / 2 + g**2 / (2 * m),
                g * q,
                (m * q - g) ** 2 / (2 * m),
                source=HERE,
            ),
            Identity(
                "the bound on the square of the ratio",
                1 / m**2,
                RATIO_BOUND[0],
                assumptions="m = (1 + sqrt(1 - 4 lambda Gamma))/2",
                relations=(
                    ("m by r", m, (1 + r) / 2),
                    ("Gamma by r", Gamma, (1 - r**2) / (4 * lam)),
                ),
                source=HERE,
            ),
            Sentence("Integrated from q = 0, with 1 + p >= m: int q^2 <= C int g^2, C = 1/m^2."),
            LYAPUNOV,
            LOSS,
            Sentence(
                "Summed: V' = -4 F + 2 lambda sum q^2 P + 2 lambda sum q^2 P_*, for V = "
                "sum [kl(P_*, P) + 2 lambda q (P - P_*)]."
            ),
            ENERGY,
            Identity(
                "the kinetic term of V' is what the energy loses",
                2 * lam * q**2 * P,
                lam * (q * 2 * sp.sqrt(P)) ** 2 / 2,
                assumptions="w = 2 sqrt(P), w' = q w: int 2 lambda sum q^2 P <= lambda F_0",
                source=HERE,
            ),
            CAUCHY_SCHWARZ,
            Identity(
                "the second term of V' against the loss",
                2 * lam * C * P_star * g**2,
                4 * kappa * F,
                assumptions=(
                    "g^2 = 2 x2 F, the largest that Cauchy and Schwarz allow, and kappa = "
                    "lambda C x2 P_*, to be summed"
                ),
                relations=(
                    ("kappa", kappa, lam * C * x2 * P_star),
                    ("g^2 = 2 x2 F", g, sp.sqrt(2 * x2 * F)),
                ),
                source=HERE,
            ),
            Inequality(
                "kappa is below one",
                sp.S.One,
                (1 - r**2) / (1 + r) ** 2,
                2 * r / (1 + r),
                strict=True,
                assumptions=(
                    "4 lambda max_j x_j^2 |theta_*|_1 = 1 - r^2 and C <= 4/(1 + r)^2, so kappa <= "
                    "(1 - r^2)/(1 + r)^2"
                ),
                source=HERE,
            ),
            TANGENT,
            Identity(
                "the Lyapunov function from below",
                kl(P_star, P) + 2 * p * (P - P_star),
                P_star * (_x - 1 - sp.log(_x)) + P_star * (sp.log(1 + 2 * p) - 2 * p),
                assumptions="x = (1 + 2 p) P/P_*, 1 + 2 p >= r > 0",
                relations=(("P by x", P, _x * P_star / (1 + 2 * p)),),
                source=HERE,
                hints=(
                    (
                        "logarithm of a product of positive numbers",
                        lambda e: sp.expand_log(e, force=True),
                    ),
                ),
            ),
            Sentence(
                "1 + 2p >= r > 0, and the Riccati equation keeps p <= (sqrt 2 - 1)/2: V is bounded "
                "below. So int F < infinity, int q^2 < infinity in every coordinate, V is bounded "
                "above, hence P bounded; F and q are uniformly continuous, so F -> 0, q -> 0."
            ),
            Sentence(
                "ln Delta(t) = ln Delta_0 - lambda int (q_+^2 + q_-^2) - lambda (q_+ + q_-) "
                "(theorem strict-shrinkage) has a limit: Delta_inf > 0. P bounded and Delta_inf > "
                "0 bound int_0^t g, which lies in the range of X^T; each of its limit points "
                "gives an interpolator that solves the same strictly convex problem "
                "(theorem kkt-to-limit), so there is one: theta converges."
            ),
            Sentence(
                "The bound: kl(P_inf, P_0) <= 4 int F (theorem loss-identity) <= "
                "[kl(P_*, P_0) + lambda F_0]/(1 - kappa)."
            ),
            Identity(
                "relative entropy from a small start",
                kl(P, P_start),
                L * P + (P * sp.log(P) - P) + P_start,
                assumptions="L = ln(1/P_0)",
                relations=(("P_0 = exp(-L)", P_start, sp.exp(-L)),),
                source=HERE,
            ),
            Identity(
                "P ln P - P is at least -1",
                P * sp.log(P) - P + 1,
                P * (_x - 1 - sp.log(_x)),
                assumptions="x = 1/P, and the logarithm is below its tangent",
                relations=(("x = 1/P", _x, 1 / P),),
            ),
            Inequality(
                "the bound on the sum of P",
                D + (K_star + E) / m,
                L * N,
                a / m + b,
                assumptions=(
                    "N = sum P_inf, D the number of its terms, K_* = kl(P_*, P_0), E = lambda F_0, "
                    "m = 1 - kappa; a, b >= 0 are what m 4 int F is below K_* + E and L N - D "
                    "below 4 int F"
                ),
                relations=(("L N - D + b = 4 int F = (K_* + E - a)/m", N, total / L),),
                source=HERE,
            ),
            Sentence(
                "Divided by L, with |theta_inf|_1 <= sum P_inf and kl(P_*, P_0) = L |theta_*|_1 + "
                "sum (P_* ln P_* - P_*) + sum P_0."
            ),
        ),
        "theta converges to an interpolator with Delta_inf > 0, and |theta_inf|_1 <= "
        "|theta_*|_1/(1 - kappa) + O(1/ln(1/alpha)), kappa = lambda C sum_j x_j^2 |theta_*,j|, "
        "C = 4/(1 + sqrt(1 - 4 lambda Gamma))^2",
        r"4\lambda\max_j x_j^2\,|\theta_*|_1 < 1 \;\Rightarrow\; \theta(t) \to \theta_\infty,\ "
        r"X\theta_\infty = y,\ \Delta_\infty > 0,\ |\theta_\infty|_1 \le "
        r"\frac{|\theta_*|_1}{1-\kappa} + O\!\left(\frac{1}{\ln(1/\alpha)}\right)",
        HERE,
    )


def loss_identity() -> Theorem:
    """T6: 4 int F dt = KL(P_inf|P_0) + lambda F_0 + 2 <I, P_inf>."""
    end = sp.Symbol("P_inf", positive=True)
    return Theorem(
        "loss-identity",
        "The integral of the loss, exactly",
        (
            "momentum gradient flow on the two-layer diagonal network from rest, converging to an "
            "interpolator with q -> 0, no sign change",
        ),
        (
            Identity(
                "rate of the Lyapunov function around the limit",
                along(kl(end, P) + 2 * lam * q * (P - end), _RATES),
                -2 * k * (P - end) + 2 * lam * q**2 * (P + end),
                assumptions="P_inf constant",
                source=HERE,
            ),
            LOSS,
            Identity(
                "the kinetic term as the loss of energy",
                2 * lam * q**2 * P,
                lam * (q * 2 * sp.sqrt(P)) ** 2 / 2,
                assumptions="w = 2 sqrt(P), w' = q w",
                source=HERE,
            ),
            ENERGY,
            Sentence(
                "Integrated from 0 to infinity, where V is 0: -kl(P_inf, P_0) = -4 int F + "
                "lambda F_0 + 2 <I, P_inf>, since the energy falls from F_0 to 0 and I = lambda "
                "int q^2."
            ),
        ),
        "4 int F dt = KL(P_inf|P_0) + lambda F_0 + 2 <I, P_inf>",
        r"4\int_0^\infty F\,dt = \mathrm{KL}(P_\infty|P_0) + \lambda F_0 "
        r"+ 2\langle I, P_\infty\rangle",
        HERE,
    )
