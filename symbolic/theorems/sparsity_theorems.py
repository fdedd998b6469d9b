"""What momentum does to the limit, exactly, to first order, and in which sense it helps.

`P = w^2/4` of one coordinate and sign, `I = lambda int (w'/w)^2 dt` (for heavy ball: S),
`theta = P_+ - P_-`; M is the limit with momentum, G that of gradient flow.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import sympy as sp

from momentumflow.symbolic.identities import Identity
from momentumflow.symbolic.symbols import Delta_0, lam, theta
from momentumflow.symbolic.theorems.convergence_theorems import ENTROPY, TANGENT, kl
from momentumflow.symbolic.theorems.sign_theorems import HERE
from momentumflow.symbolic.theorems.statements import (
    Inequality,
    Limit,
    MatrixIdentity,
    Sentence,
    along,
)
from momentumflow.symbolic.theorems.theorem import Theorem

P, P_M, P_G, P_start = sp.symbols("P P_M P_G P_0", positive=True)
I_, eta, kappa = sp.symbols("I eta zeta", real=True)  # I; s (X^T nu) of M and of G

_RUN = "the limit exists, no weight ends at zero, and the gradients lie in the range of X^T"
_KKT_M = ("ln(P_M/P_0) = -2 I - 2 s (X^T nu)", P_M, P_start * sp.exp(-2 * I_ - 2 * eta))
_KKT_G = ("ln(P_G/P_0) = -2 s (X^T mu)", P_G, P_start * sp.exp(-2 * kappa))


def _logs(expr: sp.Expr) -> sp.Expr:
    """Take logarithms of products of positive numbers apart."""
    return sp.expand(sp.expand_log(sp.expand(expr), force=True))


LOGS = (("logarithms of products of positive numbers", _logs),)


def weighted_l1() -> Theorem:
    """S1: the limit minimises gradient flow's divergence plus a weighted l1 norm."""
    q, G = sp.symbols("q G", real=True)
    w = sp.Symbol("w", positive=True)
    k = sp.Symbol("k", real=True)
    return Theorem(
        "weighted-l1",
        "Momentum adds a weighted l1 penalty to gradient flow's problem, with weights 2 I",
        (
            "momentum gradient flow (or heavy ball, with S for I) on the two-layer diagonal "
            "network from rest, X theta_inf = y",
            _RUN,
        ),
        (
            Identity(
                "logarithm of a weight and its sign",
                along(
                    sp.log(w) + lam * q + G,
                    {w: q * w, q: -(q + lam * q**2 + k) / lam, G: k},
                ),
                -lam * q**2,
                assumptions="q = w'/w, G' = k = s g",
                source=HERE,
            ),
            Sentence(
                "Integrated, with P = w^2/4 and int g dt = X^T nu: ln(P_inf/P_0) + 2 I + "
                "2 s (X^T nu) = 0."
            ),
            Identity(
                "the penalised divergence around the limit",
                kl(P, P_start) + 2 * I_ * P - kl(P_M, P_start) - 2 * I_ * P_M,
                kl(P, P_M) - 2 * eta * (P - P_M),
                assumptions="eta = s (X^T nu), one coordinate and sign",
                relations=(_KKT_M,),
                hints=LOGS,
                source=HERE,
            ),
            Sentence(
                "sum s (X^T nu)(P - P_M) = nu . X (theta - theta_M) = 0 for every P with "
                "X (P_+ - P_-) = y."
            ),
            TANGENT,
            ENTROPY,
        ),
        "(P_+, P_-) at the end is the only minimiser of KL(P|P_0) + 2 <I, P> on "
        "X (P_+ - P_-) = y; with I = 0 that is gradient flow's problem",
        r"P_\infty = \mathrm{argmin}\{\mathrm{KL}(P|P_0) + 2\langle I, P\rangle : "
        r"X(P_+ - P_-) = y\}",
        HERE,
    )


def less_penalty() -> Theorem:
    """S2: the sense in which momentum always helps."""
    return Theorem(
        "less-penalty",
        "The limit with momentum has no more of the weighted l1 norm than gradient flow's",
        (
            "the runs M (momentum) and G (gradient flow) start at the same weights and interpolate "
            "the same data",
            _RUN,
        ),
        (
            Identity(
                "the two limits, one coordinate and sign",
                (P_M - P_G) * sp.log(P_M / P_G),
                2 * I_ * (P_G - P_M) - 2 * (eta - kappa) * (P_M - P_G),
                assumptions="eta = s (X^T nu) of M, zeta = s (X^T mu) of G",
                relations=(_KKT_M, _KKT_G),
                hints=LOGS,
                source=HERE,
            ),
            Sentence(
                "sum s (X^T (nu - mu))(P_M - P_G) = (nu - mu) . X (theta_M - theta_G) = 0: "
                "sum (P_M - P_G) ln(P_M/P_G) = 2 <I, P_G - P_M>."
            ),
            Identity(
                "the left side as two relative entropies",
                (P_M - P_G) * sp.log(P_M / P_G),
                kl(P_M, P_G) + kl(P_G, P_M),
                hints=LOGS,
            ),
            TANGENT,
            ENTROPY,
        ),
        "<I, P_M> <= <I, P_G>, with equality only if the two limits are the same",
        r"2\langle I, P^G - P^M\rangle = \sum (P^M - P^G)\ln\frac{P^M}{P^G} \ge 0",
        HERE,
    )


_X, _XT, _D, _M, _H, _th, _one, _nu = sp.symbols("X X^T D M H theta 1 nu", commutative=False)


def _projector(rng: random.Random) -> Mapping[sp.Symbol, sp.Matrix]:
    """Draw data, a metric, and the inverse that the projector holds."""
    while True:
        X = sp.Matrix(2, 4, lambda i, j: rng.choice([-3, -2, -1, 1, 2, 3]))
        D = sp.diag(*(rng.randint(1, 5) for _ in range(4)))
        gram = X * D * X.T
        if gram.det() != 0:
            break
    H = sp.diag(*(rng.randint(0, 5) for _ in range(4)))
    column = sp.Matrix(4, 1, lambda i, j: rng.randint(-3, 3))
    return {
        _X: X, _XT: X.T, _D: D, _M: gram.inv(), _H: H, _th: column, _one: sp.eye(4),
        _nu: -4 * gram.inv() * X * H * column,
    }  # fmt: skip


def first_order() -> Theorem:
    """S3: d theta_inf/d lambda at lambda = 0."""
    up, down, hh = sp.symbols("P_+ P_- h", positive=True)
    mult = sp.Symbol("nu", real=True)  # of one coordinate
    x = sp.Symbol("x", real=True)
    plus, minus = (P_start * sp.exp(-2 * lam * hh - s * x) for s in (1, -1))
    rest = _one - _D * _XT * _M * _X
    return Theorem(
        "first-order",
        "How the limit leaves gradient flow's as lambda grows from zero",
        (
            "theta_inf(lambda) is the limit of momentum gradient flow on the two-layer diagonal "
            "network from theta_0 = 0 at rest; no sign change; rows of X independent",
            "h = int g^2 dt along gradient flow; D = diag sqrt(4 theta_inf^2 + Delta_0^2)",
        ),
        (
            Sentence(
                "I_pm = lambda int q_pm^2 dt, and q_pm -> ∓ g as lambda -> 0 (the Riccati "
                "equation; a layer of width lambda at the start adds O(lambda)): "
                "dI_+/dlambda = dI_-/dlambda = h at lambda = 0."
            ),
            Identity(
                "derivative of the limit, one coordinate",
                along(plus - minus, {lam: sp.S.One, x: mult}),
                -2 * hh * (up - down) - mult * (up + down),
                assumptions=(
                    "P_pm = P_0 exp(-2 lambda h ∓ x) with x = (2 X^T nu)_j, whose rate in lambda "
                    "is here called nu; theta = P_+ - P_-"
                ),
                relations=(("P_+", up, plus), ("P_-", down, minus)),
                source=HERE,
            ),
            Identity(
                "the sum of the two squares",
                (2 * (up + down)) ** 2,
                4 * theta**2 + Delta_0**2,
                assumptions=(
                    "theta = P_+ - P_-, Delta_0 = 4 sqrt(P_+ P_-) at lambda = 0: P_+ + P_- = D/2"
                ),
                relations=(
                    ("theta", theta, up - down),
                    ("Delta_0", Delta_0, 4 * sp.sqrt(up * down)),
                ),
                source=HERE,
            ),
            Sentence(
                "So d theta = -2 H theta - (D/2) X^T nu with H = diag h and X d theta = 0; the "
                "implicit function theorem applies, because X D X^T is invertible."
            ),
            MatrixIdentity(
                "the multiplier",
                _X * (-2 * _H * _th - _D * _XT * _nu / 2),
                sp.S.Zero,
                relations=(
                    ("nu", _nu, -4 * _M * _X * _H * _th),
                    ("(X D X^T) M = 1", _X * _D * _XT * _M, sp.S.One),
                ),
                model=_projector,
                assumptions="M = (X D X^T)^{-1}, nu = -4 M X H theta solves X d theta = 0",
                source=HERE,
            ),
            MatrixIdentity(
                "the derivative by the projector",
                -2 * _H * _th - _D * _XT * _nu / 2,
                -2 * rest * _H * _th,
                relations=(
                    ("nu", _nu, -4 * _M * _X * _H * _th),
                    ("the unit matrix", _one * _H, _H),
                ),
                model=_projector,
                assumptions="P_D = 1 - D X^T M X",
                source=HERE,
            ),
        ),
        "d theta_inf/d lambda = -2 P_D (h o theta_inf) at lambda = 0, "
        "P_D = 1 - D X^T (X D X^T)^{-1} X",
        r"\frac{d\theta_\infty}{d\lambda}\Big|_{\lambda=0} = -2\,P_D\,(h \circ \theta_\infty),"
        r"\quad P_D = I - D X^\top (X D X^\top)^{-1} X",
        HERE,
    )


def one_row() -> Theorem:
    """S4: with one row, momentum makes the l1 norm larger to first order."""
    x, y, c = sp.symbols("x x' c", nonnegative=True)
    omega, omega_ = sp.symbols("omega omega'", nonnegative=True)
    f, f_ = sp.symbols("f f'", real=True)
    rise, gap = sp.symbols("a b", nonnegative=True)
    b, C, e = sp.symbols("B C E", real=True)
    H = sp.Symbol("H", nonnegative=True)
    total = sp.Symbol("T", positive=True)
    s = sp.Symbol("s", nonnegative=True)
    return Theorem(
        "one-row",
        "With one row momentum makes the l1 norm of the limit larger, to first order",
        (
            "n = 1, theta_0 = 0, equal balancedness Delta_0; signs of columns and of y turned so "
            "that x_j >= 0 and y > 0",
            "theorem first-order",
        ),
        (
            Sentence(
                "theta_j = (Delta_0/2) sinh(2 x_j nu) >= 0 with nu > 0, D_j = Delta_0 cosh(2 x_j "
                "nu), h_j = x_j^2 H with H = int r^2 dt, so D_j = 0 nowhere and theta_j/D_j = "
                "tanh(2 x_j nu)/2."
            ),
            Identity(
                "rate of the l1 norm",
                -2 * (H * b - (C / total) * H * e),
                2 * H * (C * e - b * total) / total,
                assumptions=(
                    "B = sum x^2 theta, C = sum D x, T = sum D x^2, E = sum x^3 theta: the "
                    "projector of one row"
                ),
                source=HERE,
            ),
            Identity(
                "two coordinates in Chebyshev's sum",
                omega * omega_ * (x * f + y * f_) - omega * omega_ * (x * f_ + y * f),
                omega * omega_ * (x - y) * (f - f_),
                assumptions=(
                    "omega = D x, f = x theta/D: (sum omega)(sum omega x f) - (sum omega x)(sum "
                    "omega f) is the sum of these over pairs"
                ),
                source="Chebyshev's sum inequality",
            ),
            Inequality(
                "x tanh(c x) does not fall",
                sp.diff(s * sp.tanh(c * s), s),
                sp.S.Zero,
                sp.tanh(c * s) + c * s / sp.cosh(c * s) ** 2,
                assumptions="c = 2 nu > 0, s >= 0",
                hints=(
                    (
                        "1 - tanh^2 = 1/cosh^2",
                        lambda e: sp.simplify(e.rewrite(sp.exp)),
                    ),
                ),
                source=HERE,
            ),
            Inequality(
                "each pair is not negative",
                omega * omega_ * (x - y) * (f - f_),
                sp.S.Zero,
                omega * omega_ * rise * gap,
                assumptions="x = x' + a and f = f' + b with a, b >= 0, as f rises with x",
                relations=(("x >= x'", x, y + rise), ("f >= f'", f, f_ + gap)),
                source=HERE,
            ),
            Sentence("omega x f = x^3 theta, omega f = x^2 theta, omega x = D x^2, omega = D x."),
        ),
        "d |theta_inf|_1/d lambda >= 0 at lambda = 0",
        r"n = 1 \;\Rightarrow\; \frac{d\,|\theta_\infty|_1}{d\lambda}\Big|_{\lambda=0} \ge 0",
        HERE,
    )


_h, _star, _least = sp.symbols("h theta_star theta_LS", real=True)
# what each coordinate adds to d/dlambda |theta_inf - theta_*|^2/2 from a large start
KERNEL_RATE = (2 * _h * (_star - _least) * _least, (_h, _star, _least))

_e, _eT, _proj, _ls, _lsT = sp.symbols("e e^T Pi theta_LS theta_LS^T", commutative=False)
_pinv = sp.Symbol("K", commutative=False)


def _kernel_model(rng: random.Random) -> Mapping[sp.Symbol, sp.Matrix]:
    """Draw data, a vector of the kernel, and a least-norm solution."""
    known = dict(_projector(rng))
    X = known[_X]
    gram = (X * X.T).inv()
    projector = sp.eye(4) - X.T * gram * X
    error = projector * sp.Matrix(4, 1, lambda i, j: rng.randint(1, 4))
    least = X.T * sp.Matrix(2, 1, lambda i, j: rng.randint(1, 4))
    return {
        _X: X, _XT: X.T, _H: known[_H], _e: error, _eT: error.T, _ls: least, _lsT: least.T,
        _pinv: gram, _one: sp.eye(4), _nu: gram * X * least,
    }  # fmt: skip


def kernel_regime() -> Theorem:
    """S5: from a large start only the covariance of h with c decides."""
    x, size = sp.Symbol("theta", real=True), sp.Symbol("Delta_1", positive=True)
    h1, c1, hm = sp.symbols("h c m", real=True)
    return Theorem(
        "kernel-regime",
        "From a large start momentum helps exactly if h and c are positively correlated",
        (
            "theorem first-order, with alpha -> infinity: theta_inf at lambda = 0 tends to "
            "theta_LS (theorem minimisers-to-l2)",
            "X theta_* = y for the teacher; c_j = (theta_*,j - theta_LS,j) theta_LS,j",
        ),
        (
            Limit(
                "the metric becomes constant",
                sp.sqrt(4 * x**2 + size**2) / size,
                size,
                sp.oo,
                sp.S.One,
                source=HERE,
            ),
            Sentence(
                "P_D does not change when D is multiplied by a number, so it tends to the "
                "orthogonal projector 1 - X^T (X X^T)^{-1} X on the kernel of X."
            ),
            MatrixIdentity(
                "the projector leaves the error of the least-norm solution",
                _eT * (_one - _XT * _pinv * _X) * _H * _ls,
                _eT * _H * _ls,
                relations=(
                    ("e in the kernel of X: e^T X^T = 0", _eT * _XT, sp.S.Zero),
                    ("the unit matrix", _one * _H, _H),
                ),
                model=_kernel_model,
                assumptions="e = theta_LS - theta_*",
                source=HERE,
            ),
            MatrixIdentity(
                "the numbers c sum to zero",
                _eT * _ls,
                sp.S.Zero,
                relations=(
                    ("theta_LS in the range of X^T", _ls, _XT * _nu),
                    ("e in the kernel of X: e^T X^T = 0", _eT * _XT, sp.S.Zero),
                ),
                model=_kernel_model,
                assumptions="-sum c = e . theta_LS",
                source=HERE,
            ),
            Identity(
                "what a coordinate adds to the rate of the error",
                -2 * (_least - _star) * _h * _least,
                KERNEL_RATE[0],
                assumptions=(
                    "d/dlambda |theta_inf - theta_*|^2/2 = e . d theta = -2 e . (h o theta_LS); "
                    "summed it is 2 sum h_j c_j"
                ),
                source=HERE,
            ),
            Identity(
                "a sum against numbers that sum to zero",
                (h1 - hm) * c1,
                h1 * c1 - hm * c1,
                assumptions="summed: sum h c = sum (h - mean h) c = d Cov(h, c), as sum c = 0",
            ),
        ),
        "d/dlambda |theta_inf - theta_*|^2/2 -> 2 d Cov(h, c) at lambda = 0, sum c = 0",
        r"\frac{d}{d\lambda}\tfrac{1}{2}|\theta_\infty - \theta_*|^2 \to 2\,d\,\mathrm{Cov}(h, c),"
        r"\quad c_j = (\theta_{*,j} - \theta_{LS,j})\,\theta_{LS,j},\ \textstyle\sum_j c_j = 0",
        HERE,
    )
