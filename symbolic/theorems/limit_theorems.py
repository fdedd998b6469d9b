"""Where training ends: from the update rule to the Bregman projection, and its two extremes."""

from __future__ import annotations

import sympy as sp

from momentumflow.base.citations import PPF
from momentumflow.symbolic.codegen.remainder_laws import Move, beta_k, gamma_k
from momentumflow.symbolic.codegen.update_rule import Realisation
from momentumflow.symbolic.identities import Identity
from momentumflow.symbolic.networks.diagonal_network import DiagonalNetwork
from momentumflow.symbolic.symbols import Delta, Delta_0, beta, lam, theta, theta_0
from momentumflow.symbolic.theorems.convergence_theorems import ENTROPY, TANGENT
from momentumflow.symbolic.theorems.sign_theorems import HERE
from momentumflow.symbolic.theorems.statements import Inequality, Sentence, along
from momentumflow.symbolic.theorems.theorem import Step, Theorem

# One step: p_{k+1} = b_k p_k - gamma_k g_k D_k, with D = force/(-g) and phi' = 1/D.
_D, _D_next = sp.symbols("D_k D_{k+1}", nonzero=True)
_p, _p_next = sp.symbols("p_k p_{k+1}", real=True)
_MOVE = Move(_D, _D, _D_next, _p, _p_next)

_cubes = sp.Symbol("J", real=True)
# asinh(2 theta~_0/Delta_inf) to second order in lambda, of the integral of g^3
FIRST_SHIFT = (-4 * lam**2 * _cubes, (lam, _cubes))


def implicit_regularisation() -> Theorem:
    """The limit theorem from update rule to Bregman projection, any schedule, any rows."""
    rule = Realisation(beta_k, gamma_k, gamma_k, sp.S.Zero)
    c = sp.Symbol("c", positive=True)
    x = sp.Symbol("x", positive=True)
    summand = DiagonalNetwork().remainder_summand().subs(sp.Symbol("z", real=True), x)
    return Theorem(
        "implicit-regularisation",
        "From the update rule to the Bregman projection, for any schedule and any choice of rows",
        (
            "separable network theta_j = sum_i G_i(w_ij), phi_i' = 1/G_i', D = G_i'(w) not zero "
            "at the iterates",
            "p_{k+1} = b_k p_k - gamma_k g_k D_k, w_{k+1} = w_k + p_{k+1}, p_0 = 0, g_k in the "
            "range of X^T (rows drawn as one likes)",
            "c_k = 1 + b_{k+1} c_{k+1} exists, C_k = c_{k-1} - 1 = b_k (1 + C_{k+1}); w_k "
            "converges, G_i'(w_inf) not zero, X theta_inf = y",
        ),
        (
            _MOVE.telescoping(rule, "the partial remainder grows by the summand of a step", ""),
            _MOVE.beginning("the partial remainder before the first step"),
            Sentence(
                "So R_k is the sum of the summands of the steps before k, known without a loop. "
                "As p_k -> 0: phi(w_inf) = phi(w_0) - R - sum e_k g_k."
            ),
            Identity(
                "the effect of a push at constant momentum",
                1 + beta * c,
                c,
                assumptions="c_k = 1/(1 - beta)",
                relations=(("c", c, 1 / (1 - beta)),),
                source=HERE,
            ),
            Identity(
                "the summand on the two-layer network",
                c * (x - 1) - (c - 1) * (x - 1) / x - sp.log(x),
                summand / (1 - beta),
                assumptions="D = w, phi = ln w, p = w_{k+1} - w_k, x = w_{k+1}/w_k > 0",
                relations=(("c", c, 1 / (1 - beta)),),
                source=HERE,
            ),
            Sentence(
                "sum e_k g_k lies in the range of X^T and is the same for every weight of a "
                "coordinate: phi_i(w_inf) = phi_i(w_0) - R_i - X^T nu."
            ),
            *_convexity(),
            *_mirror(),
            Sentence(
                "So grad psi(theta_inf) - grad psi(theta~_0) is in the range of X^T, with psi of "
                "the asymptotic balancedness: the KKT conditions of the Bregman projection, "
                "which determine it (theorem kkt-to-limit)."
            ),
            *kkt_steps(),
        ),
        "theta_inf = argmin { D_psi(theta, theta~_0) : X theta = y }, psi and theta~_0 with dual "
        "coordinates phi_i(w_0) - R_i",
        r"\phi_i(w_\infty) = \phi_i(w_0) - R_i - X^\top\nu,\quad \theta_\infty = "
        r"\mathrm{argmin}\{D_\psi(\theta,\tilde\theta_0) : X\theta = y\}",
        f"{PPF} for constant parameters; any schedule and network: derived here",
    )


def _convexity() -> tuple[Step, ...]:
    slope, v, g, push = sp.symbols("D' v g n", real=True)
    D = sp.Symbol("D", nonzero=True)
    phi, swept, parameter = sp.symbols("phi E theta", real=True)
    return (
        Identity(
            "the remainder of the flow, one weight",
            along(
                phi + lam * v / D + swept,
                {phi: v / D, D: slope * v, v: -(v + g * D) / lam, swept: g},
            ),
            -lam * slope * v**2 / D**2,
            assumptions=(
                "lambda w'' + w' + g D(w) = 0, phi' = 1/D, E = int g dt: in continuous time "
                "R = lambda int D'(w) w'^2/D^2 dt, by the same argument"
            ),
            source=HERE,
        ),
        Identity(
            "the parameter falls along the dual variable",
            along(parameter, {parameter: D * push}),
            -(D**2),
            assumptions=(
                "n = (X^T nu)_j moves phi(w) at the rate -1, so w at -D, theta = G(w) + ... at "
                "G'(w) = D times that; summed over the weights of a coordinate"
            ),
            relations=(("the rate of w", push, -D),),
            source=HERE,
        ),
        Sentence(
            "So theta_j is strictly monotone in the dual variable: their relation is the gradient "
            "of a strictly convex psi, whatever the network. For two layers:"
        ),
    )


def _mirror() -> tuple[Identity, ...]:
    network = DiagonalNetwork()
    return tuple(
        network.identity(name)
        for name in ("mirror variable in w_pm", "gradient of the hyperbolic entropy")
    )


def kkt_steps() -> tuple[Step, ...]:
    """Return the steps from the KKT conditions to the unique minimiser."""
    psi, point = sp.Function("psi"), sp.Symbol("theta_h", real=True)

    def slope(at: sp.Symbol) -> sp.Expr:
        return sp.Derivative(psi(at), at)

    def divergence(a: sp.Symbol, b: sp.Symbol) -> sp.Expr:
        return psi(a) - psi(b) - slope(b) * (a - b)

    return (
        Identity(
            "three points",
            divergence(theta, theta_0),
            divergence(theta, point)
            + divergence(point, theta_0)
            + (slope(point) - slope(theta_0)) * (theta - point),
            assumptions="D(a, b) = psi(a) - psi(b) - psi'(b) (a - b), one coordinate",
            source="Chen and Teboulle 1993",
        ),
        Sentence(
            "If grad psi(theta_h) - grad psi(theta_0) = X^T nu and X theta = X theta_h, the last "
            "term sums to nu . X (theta - theta_h) = 0."
        ),
        DiagonalNetwork().identity("Bregman divergence as relative entropy"),
        TANGENT,
        ENTROPY,
        Sentence(
            "So D(theta, theta_0) = D(theta, theta_h) + D(theta_h, theta_0) >= D(theta_h, "
            "theta_0), with equality for theta = theta_h only."
        ),
    )


def kkt_to_limit() -> Theorem:
    """T5: what fulfils the KKT conditions is the only minimiser."""
    return Theorem(
        "kkt-to-limit",
        "What fulfils the KKT conditions is the Bregman projection, and it is unique",
        (
            "X theta_h = y",
            "grad psi(theta_h) - grad psi(theta_0) in the range of X^T, psi strictly convex",
        ),
        kkt_steps(),
        "theta_h is the only minimiser of D_psi(theta, theta_0) on X theta = y",
        r"\nabla\psi(\hat\theta) - \nabla\psi(\theta_0) \in \mathrm{range}\,X^\top,\ "
        r"X\hat\theta = y \;\Rightarrow\; \hat\theta = "
        r"\mathrm{argmin}\{D_\psi(\theta,\theta_0) : X\theta = y\}",
        "Chen and Teboulle 1993",
    )


def perturbed_start() -> Theorem:
    """What the perturbed start amounts to: of second order in lambda, at every alpha."""
    k, rate, second, g, slope = sp.symbols("k k' k'' g g'", real=True)
    ratio = -k + lam * (rate - k**2)
    up, down = (ratio.subs({k: s * g, rate: s * slope}) for s in (1, -1))
    S_plus, S_minus = sp.symbols("S_+ S_-", real=True)
    centre = Delta_0 * (sp.exp(-2 * S_plus) - sp.exp(-2 * S_minus)) / 4
    return Theorem(
        "perturbed-start",
        "The perturbed start is of second order in lambda, whatever the scale alpha",
        (
            "momentum gradient flow on the two-layer diagonal network from theta_0 = 0 at rest; "
            "no sign change, and lambda times the largest gradient small",
            "S_pm = I_pm = lambda int q_pm^2 dt",
        ),
        (
            Identity(
                "the potential measures from the difference of the remainders",
                2 * centre / (Delta_0 * sp.exp(-(S_plus + S_minus))),
                sp.sinh(S_minus - S_plus),
                assumptions="theta~_0 = Delta_0 (exp(-2 S_+) - exp(-2 S_-))/4",
                source=HERE,
                hints=(("hyperbolic sine", lambda e: sp.expand(e.rewrite(sp.exp))),),
            ),
            Identity(
                "the ratio of a weight to second order in lambda",
                lam * along(ratio, {k: rate, rate: second}) + ratio + lam * ratio**2 + k,
                lam**2 * (second - 4 * k * rate + 2 * k**3 + lam * (rate - k**2) ** 2),
                assumptions=(
                    "k = s g; q = -k + lambda (k' - k^2) solves lambda q' + q + lambda q^2 + k = 0 "
                    "up to lambda^2"
                ),
                source=HERE,
            ),
            Identity(
                "the squares of the two ratios differ by the cube of the gradient",
                up**2 - down**2,
                4 * lam * g**3 - 4 * lam**2 * g**2 * slope,
                assumptions="k = g for w_+, -g for w_-; the last term integrates to O(lambda^2)",
                source=HERE,
            ),
            Sentence(
                "In the layer of width lambda at the start q = -s g_0 (1 - exp(-t/lambda)) + "
                "O(lambda): there q_+^2 - q_-^2 = O(lambda), which adds O(lambda^2) to its "
                "integral. So S_+ - S_- = 4 lambda^2 int g^3 dt + O(lambda^3)."
            ),
            Sentence(
                "g along gradient flow differs from that by O(lambda), so its integral may be "
                "taken there."
            ),
        ),
        "asinh(2 theta~_0/Delta_inf) = S_- - S_+ = -4 lambda^2 int g^3 dt + O(lambda^3), with g "
        "along gradient flow",
        r"\mathrm{asinh}\frac{2\tilde\theta_0}{\Delta_\infty} = S_- - S_+ = "
        r"-4\lambda^2\int_0^\infty g^3\,dt + O(\lambda^3)",
        HERE,
    )


def towards_l1() -> Theorem:
    """The minimisers, not the potential alone, tend to least l1 norm as Delta -> 0."""
    s, d = sp.symbols("s Delta", positive=True)
    x = sp.Symbol("x", positive=True)
    a, b, c = sp.symbols("a b c", nonnegative=True)
    L = sp.Symbol("L", positive=True)
    E, N, N_star, M = sp.symbols("E N N_* M", real=True)
    entropy = 2 * DiagonalNetwork().entropy.subs({theta: s, Delta: d})
    root = sp.sqrt(x**2 + 1)
    return Theorem(
        "minimisers-to-l1",
        "As the balancedness falls the minimisers tend to least l1 norm",
        (
            "theta_Delta minimises sum psi_Delta(theta_j) on X theta = y, one Delta > 0 in all "
            "coordinates; L = ln(1/Delta)",
        ),
        (
            Inequality(
                "asinh from below",
                x + root,
                2 * x,
                1 / (root + x),
                strict=True,
                assumptions="x > 0; so asinh(x) = ln(x + sqrt(x^2 + 1)) > ln(2 x)",
            ),
            Inequality(
                "asinh from above",
                1 + 2 * x,
                x + root,
                2 * x / (1 + x + root),
                assumptions="x > 0; so asinh(x) <= ln(1 + 2 x)",
            ),
            Identity(
                "the hyperbolic entropy by asinh and a root",
                entropy,
                s * sp.asinh(2 * s / d) - (sp.sqrt(4 * s**2 + d**2) - d) / 2,
                assumptions="s = |theta|, twice the entropy of one coordinate",
                source="Woodworth et al. 2020",
            ),
            Inequality(
                "the root from above",
                2 * s + d,
                sp.sqrt(4 * s**2 + d**2),
                4 * s * d / (2 * s + d + sp.sqrt(4 * s**2 + d**2)),
            ),
            Inequality(
                "the root from below",
                sp.sqrt(4 * s**2 + d**2),
                2 * s,
                d**2 / (2 * s + sp.sqrt(4 * s**2 + d**2)),
            ),
            TANGENT,
            Identity(
                "s ln(4 s) - s is at least -1/4",
                s * sp.log(4 * s) - s + sp.Rational(1, 4),
                s * (x - 1 - sp.log(x)),
                assumptions="x = 1/(4 s), and the logarithm is below its tangent",
                relations=(("x = 1/(4 s)", x, 1 / (4 * s)),),
            ),
            Sentence(
                "So L s - 1/4 <= 2 psi(s) <= L s + s ln(4 s + Delta) - s + Delta/2 for one "
                "coordinate (from below also at s = 0)."
            ),
            Inequality(
                "the minimiser against a point of least l1 norm",
                N_star + (E + M) / L,
                N,
                (a + b + c) / L,
                assumptions=(
                    "N, N_* the l1 norms of theta_Delta and theta_*, M = d/4, E = sum [s ln(4 s + "
                    "Delta) - s + Delta/2] at theta_*; a, b, c >= 0 are what L N - M is below "
                    "2 Psi(theta_Delta), that below 2 Psi(theta_*), and that below L N_* + E"
                ),
                relations=(("the three inequalities", N, (L * N_star + E + M - a - b - c) / L),),
                source=HERE,
            ),
            Sentence(
                "So |theta_Delta|_1 tends to the least l1 norm; the minimisers are bounded, and "
                "every limit point is an interpolator of least l1 norm. If there is one only, "
                "they converge to it."
            ),
        ),
        "|theta_*|_1 <= |theta_Delta|_1 <= |theta_*|_1 + O(1/ln(1/Delta)), and theta_Delta tends "
        "to the set of interpolators of least l1 norm",
        r"0 \le |\theta_\Delta|_1 - \min_{X\theta=y}|\theta|_1 \le \frac{1}{\ln(1/\Delta)}"
        r"\Big(\sum_j \big[s_j\ln(4s_j+\Delta) - s_j\big]_{s=|\theta_*|} + \frac{d}{4} + "
        r"\frac{d\Delta}{2}\Big)",
        "rate derived here; the limit: Woodworth et al., COLT 2020",
    )


def towards_l2() -> Theorem:
    """The minimisers tend to least l2 norm as Delta -> infinity."""
    s, d, y, M = sp.symbols("s Delta y M", positive=True)
    a, b, c = sp.symbols("a b c", nonnegative=True)
    A, B, Q = sp.symbols("A B Q", real=True)
    return Theorem(
        "minimisers-to-l2",
        "As the balancedness grows the minimisers tend to least Euclidean norm",
        (
            "theta_Delta minimises sum psi_Delta(theta_j) on X theta = y, one Delta > 0 in all "
            "coordinates; theta_LS has least Euclidean norm",
        ),
        (
            DiagonalNetwork().identity("Hessian of the hyperbolic entropy"),
            Inequality(
                "the inverse root from below",
                1 / y,
                1 - (y**2 - 1) / 2,
                (y - 1) ** 2 * (y + 2) / (2 * y),
                assumptions="y = sqrt(1 + 4 theta^2/Delta^2) >= 1, so 1/y >= 1 - 2 theta^2/Delta^2",
                source=HERE,
            ),
            Inequality(
                "the inverse root from above",
                sp.S.One,
                1 / (1 + a),
                a / (1 + a),
                assumptions="y = 1 + a, a >= 0",
            ),
            Sentence(
                "So 1 - 2 s^2/Delta^2 <= Delta psi''(s) <= 1; integrated twice from 0, where psi "
                "and psi' vanish:"
            ),
            Identity(
                "what the bound on the Hessian integrates to",
                sp.diff(s**2 / 2 - s**4 / (6 * d**2), s, 2),
                1 - 2 * s**2 / d**2,
                assumptions="s^2/2 - s^4/(6 Delta^2) <= Delta psi(s) <= s^2/2",
                source=HERE,
            ),
            Identity(
                "Pythagoras at the least-norm solution",
                ((A + B) ** 2 - A**2) / 2,
                B**2 / 2 + A * B,
                assumptions=(
                    "A = theta_LS in the range of X^T, B = theta_Delta - theta_LS in the kernel of "
                    "X: A . B = 0, summed over coordinates"
                ),
            ),
            Inequality(
                "the distance to the least-norm solution",
                Q / (6 * d**2),
                B,
                b + c,
                assumptions=(
                    "B = |theta_Delta - theta_LS|^2/2, Q = sum theta_Delta,j^4; b, c >= 0 are what "
                    "|theta_Delta|^2/2 - Q/(6 Delta^2) is below Delta Psi(theta_Delta), and that "
                    "below |theta_LS|^2/2"
                ),
                relations=(("the two inequalities and Pythagoras", B, Q / (6 * d**2) - b - c),),
                source=HERE,
            ),
            Inequality(
                "a large coordinate costs too much",
                (8 * M) / 2 - (8 * M) ** 2 / (6 * d**2),
                M,
                M * (16 + 9 * a) / (16 + 3 * a),
                strict=True,
                assumptions=(
                    "s^2/2 - s^4/(6 Delta^2) at s^2 = 8 M, with Delta^2 = (16/3 + a) M, a >= 0"
                ),
                relations=(("Delta^2 >= 16 M/3", d, sp.sqrt(M * (sp.Rational(16, 3) + a))),),
                source=HERE,
            ),
            Sentence(
                "psi is even and convex, Delta Psi(theta_Delta) <= |theta_LS|^2/2 =: M: no "
                "coordinate exceeds sqrt(8 M) once Delta^2 > 16 M/3, so Q <= 64 d M^2."
            ),
        ),
        "|theta_Delta - theta_LS|^2 <= sum_j theta_Delta,j^4/(3 Delta^2) -> 0",
        r"|\theta_\Delta - \theta_{LS}|^2 \le \frac{1}{3\Delta^2}\sum_j \theta_{\Delta,j}^4 "
        r"\to 0 \quad (\Delta\to\infty)",
        "rate derived here; the limit: Woodworth et al., COLT 2020",
    )
