"""Check certified answers against arithmetic of sixty digits and more, or rational numbers.

    python tools/certified_answers.py --count 5000 --jobs 1 --out certified.jsonl

Random problems for every potential, solver and kind of matrix: rows, columns and
targets scaled by up to 10^200, duplicate, nearly dependent and inconsistent rows.
What is certified is judged by code that shares nothing with the package: ball
arithmetic (Newton's method on the dual in python-flint, the precision raised
until the residual is below 10^-60) or, for weighted norms, exact rational
arithmetic (all basic solutions). An answer is wrong if it is certified and

- a row is missed by more than the tolerance of the sum of the row's own terms,
- the distance to the exact solution is above four times the error claimed (and
  above the rounding of the answer itself), or above the tolerance,
- the objective is further from the least one than the tolerance, or
- the multiplier does not prove it: the dual value at it is further from the objective.

On a numerically rank-deficient X the distance is that to the solution of the
`rank` most independent rows; all rows are checked for feasibility. The algebra
of large problems (conjugate gradients) reports no rank.

Answers are drawn until every potential, every solver and every kind of matrix has
`count` that were checked, summed over the others. Each block of seeds that is done is a
line of the file; a campaign that is taken up again goes on behind it. Lines of
another state of the code are left alone and not counted.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import multiprocessing
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flint
import numpy as np
import scipy.linalg
import scipy.sparse as sp
from flint import arb, arb_mat, fmpq, fmpq_mat
from scipy.sparse.linalg import aslinearoperator
from threadpoolctl import threadpool_limits

from momentumflow import InputError
from momentumflow.numeric import implicit_solution
from momentumflow.numeric.implicit import (
    DepthEntropy,
    DerivedPotential,
    HyperbolicEntropy,
    KullbackLeibler,
    WeightedL1,
    WeightedL2,
    algebra,
)

TOLERANCE = 1e-9
# Rounding of an answer that nothing can undo: theta itself, and the parameters.
ROUNDING = 2e-14


# -- exact solutions ----------------------------------------------------------


@dataclass(frozen=True)
class Coordinate:
    """One coordinate of a potential in ball arithmetic: theta(z), its slope and its integral."""

    primal: Callable[[Any], Any]
    slope: Callable[[Any, Any], Any]
    conjugate: Callable[[Any], Any]  # the integral of theta from 0 to z
    unit: Any  # of z: a step much below it is a small one

    def divergence(self, z: Any) -> Any:
        """From the reference, at z = 0, to theta(z)."""
        return z * self.primal(z) - self.conjugate(z)


def hyperbolic(log_delta: float, shift: float) -> Coordinate:
    delta, s = arb(log_delta).exp(), arb(shift)
    return Coordinate(
        lambda z: delta / 2 * (2 * z + s).sinh(),
        lambda z, _: delta * (2 * z + s).cosh(),
        lambda z: delta / 4 * ((2 * z + s).cosh() - s.cosh()),
        arb(0.5),
    )


def hyperbolic_of(delta: float) -> Coordinate:
    d = arb(delta)
    return Coordinate(
        lambda z: d / 2 * (2 * z).sinh(),
        lambda z, _: d * (2 * z).cosh(),
        lambda z: d / 2 * z.sinh() ** 2,
        arb(0.5),
    )


def kullback_leibler(log_reference: float) -> Coordinate:
    c = arb(log_reference)
    return Coordinate(
        lambda z: (c + z).exp(), lambda _, t: t, lambda z: c.exp() * z.expm1(), arb(1)
    )


def depth(order: int, log_height: float, rate: float, shift: float) -> Coordinate:
    height, r, s = arb(log_height).exp(), arb(rate), arb(shift)
    p, q = arb(order) / (order - 2), arb(2) / (order - 2)

    def inside(z: Any) -> Any:
        x = r * z + s
        return x if abs(x) < 1 else arb("nan")

    def power(x: Any, exponent: Any) -> Any:
        return (1 - x) ** -exponent, (1 + x) ** -exponent

    def conjugate(z: Any) -> Any:
        return height / r / q * (sum(power(inside(z), q)) - sum(power(s, q)))

    def primal(z: Any) -> Any:
        up, down = power(inside(z), p)
        return height * (up - down)

    return Coordinate(
        primal,
        lambda z, _: height * r * p * sum(power(inside(z), p + 1)),
        conjugate,
        1 / r,
    )


def barrier(unit: float, reference: float) -> Coordinate:
    """Psi' = atanh(theta/unit) on (-unit, unit)."""
    u, m = arb(unit), (arb(reference) / arb(unit)).atanh()
    return Coordinate(
        lambda z: u * (z + m).tanh(),
        lambda z, _: u / (z + m).cosh() ** 2,
        lambda z: u * ((z + m).cosh() / m.cosh()).log(),
        arb(1),
    )


def squared(weight: float, reference: float) -> Coordinate:
    w, c = arb(weight), arb(reference)
    return Coordinate(
        lambda z: c + z / w, lambda *_: 1 / w, lambda z: z * c + z * z / (2 * w), arb(1)
    )


class NotJudgedError(Exception):
    """The exact solution was not found: the judge's shortcoming, counted as such."""


def exact_by_newton(
    X: Any, y: Any, formulas: list[Any], nu: Any
) -> tuple[list[Any], Any, list[Any]]:
    """Theta, objective and slopes of the exact solution; rows of X independent."""
    for bits in (640, 2400, 9600):
        flint.ctx.prec = bits
        found = newton(X, y, coordinates(formulas), nu)
        if found is not None:
            return found
    raise NotJudgedError


def coordinates(formulas: list[Any]) -> list[Coordinate]:
    """At the precision of the moment."""
    return [make(*parameters) for make, *parameters in formulas]


def newton(X: Any, y: Any, potential: list[Coordinate], nu: Any) -> Any:
    """The exact solution at the precision of the moment, or None where that is not enough."""
    if not y.size:
        theta = [c.primal(arb(0)).mid() for c in potential]
        return theta, arb(0), [c.slope(arb(0), t) for c, t in zip(potential, theta, strict=True)]
    A, target = arb_mat(X.tolist()), arb_mat([[v] for v in y.tolist()])
    dual = arb_mat([[v] for v in nu])
    n, d = X.shape
    transposed, settled = A.transpose(), 0
    for _ in range(600):
        z = [(transposed * dual)[j, 0] for j in range(d)]
        theta = [c.primal(v).mid() for c, v in zip(potential, z, strict=True)]
        slope = [c.slope(v, t).mid() for c, v, t in zip(potential, z, theta, strict=True)]
        if not all(t.is_finite() for t in theta):
            return None
        r = (target - A * arb_mat([[t] for t in theta])).mid()
        # near zero theta is measured by what its own unit of z moves it by
        sizes = [
            max(abs(t), moved) for t, moved in zip(theta, moves(potential, slope), strict=True)
        ]
        terms = [sum((abs(A[i, j] * t) for j, t in enumerate(sizes)), arb(0)) for i in range(n)]
        fits = all(abs(r[i, 0]) < terms[i] * arb(10) ** -55 for i in range(n))
        if settled and (fits or settled > 5):
            break
        weighted = arb_mat([[A[i, j] * slope[j] for j in range(d)] for i in range(n)])
        try:
            step = (weighted * transposed).mid().solve(r, algorithm="approx").mid()
        except ZeroDivisionError:
            return None
        dz = transposed * step
        reach = max((abs(dz[j, 0]) / c.unit).mid() for j, c in enumerate(potential))
        if not reach.is_finite():
            return None
        length = arb(0.5) / reach if reach > arb(0.5) else arb(1)
        for _ in range(200):  # stay inside the dual domain
            ahead = dual + step * length
            there = [(transposed * ahead)[j, 0] for j in range(d)]
            if all(c.primal(v).is_finite() for c, v in zip(potential, there, strict=True)):
                break
            length = length / 2
        dual, settled = ahead.mid(), settled + 1 if reach < arb(10) ** -60 else 0
    if not (settled and fits):
        return None
    objective = sum((c.divergence(v) for c, v in zip(potential, z, strict=True)), arb(0))
    if not objective.rad() <= scale_of(objective, theta, slope) * arb(10) ** -20:
        return None
    return theta, objective, slope


def moves(potential: list[Coordinate], slope: list[Any]) -> list[Any]:
    """What is nothing beside what a unit of z moves each coordinate by."""
    return [(h * c.unit).mid() * arb(10) ** -80 for c, h in zip(potential, slope, strict=True)]


def scale_of(objective: Any, theta: list[Any], slope: list[Any]) -> Any:
    """What an objective is measured by: itself, or theta^2 psi'' where that is more."""
    curved = sum((t * t / h for t, h in zip(theta, slope, strict=True)), arb(0))
    return max(objective.mid(), curved.mid())


def rational(array: Any) -> fmpq_mat:
    rows = np.atleast_2d(array)
    return fmpq_mat(*rows.shape, [ratio(v) for v in rows.ravel().tolist()])


def ratio(value: float) -> fmpq:
    return fmpq(*value.as_integer_ratio())


def exact_l2(X: Any, y: Any, weights: Any, reference: Any) -> tuple[list[Any], Any]:
    """Theta = reference + W^-1 X^T (X W^-1 X^T)^-1 (y - X reference), in rational numbers."""
    A, w, c = rational(X), [ratio(v) for v in weights.tolist()], rational(reference).transpose()
    d = X.shape[1]
    inverse = fmpq_mat(d, d, [1 / w[i] if i == j else fmpq(0) for i in range(d) for j in range(d)])
    shift = inverse * A.transpose()
    theta = c + shift * (A * shift).solve(rational(y).transpose() - A * c)
    moved = [theta[j, 0] - c[j, 0] for j in range(d)]
    value = sum((w[j] * moved[j] ** 2 for j in range(d)), fmpq(0)) / 2
    return [theta[j, 0] for j in range(d)], value


def norm_l1(theta: list[fmpq], up: Any, down: Any) -> fmpq:
    weights = zip(theta, up.tolist(), down.tolist(), strict=True)
    return sum((t * ratio(a) if t > 0 else -t * ratio(b) for t, a, b in weights), fmpq(0))


def least_l1(X: Any, y: Any, up: Any, down: Any) -> Any:
    """The least weighted l1 norm: it is attained at a basic solution; all of them are tried."""
    A, target = rational(X), rational(y).transpose()
    n, d = X.shape
    best = None
    for chosen in itertools.combinations(range(d), n):
        basis = fmpq_mat(n, n, [A[i, j] for i in range(n) for j in chosen])
        try:
            theta = basis.solve(target)
        except ZeroDivisionError:
            continue
        value = norm_l1([theta[k, 0] for k in range(n)], up[list(chosen)], down[list(chosen)])
        best = value if best is None or value < best else best
    return best


# -- random problems ----------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Problem:
    X: Any
    y: Any
    potential: Any
    #: For each coordinate a formula of `Coordinate` and its parameters; nothing for an l1 norm.
    exact: list[Any]


def powers(rng: Any, reach: float, size: Any) -> Any:
    return 10.0 ** rng.uniform(-reach, reach, size)


def matrix(rng: Any) -> tuple[Any, Any]:
    """X, and the scales of its columns."""
    n = int(rng.integers(1, 4))
    d = int(rng.integers(n, n + 4))
    style = rng.integers(4)
    X = rng.standard_normal((n, d))
    if style == 1:
        X = rng.integers(-3, 4, (n, d)).astype(float)
    elif style == 2:
        X *= rng.random((n, d)) < 0.6
    elif style == 3:
        X = np.abs(X) + 0.1
    if n > 1:
        relation = rng.integers(6)
        combined = rng.integers(-2, 3, n - 1) @ X[:-1]
        if relation == 0:
            X[-1] = combined
        elif relation == 1:
            X[-1] = combined + 10.0 ** -rng.uniform(0, 17) * X[-1]
    rows = powers(rng, rng.choice([0, 0, 2, 8, 16, 60, 200]), n)
    columns = powers(rng, rng.choice([0, 0, 2, 8, 16, 60, 200]), d)
    with np.errstate(all="ignore"):
        X = X * rows[:, None] * columns
    return X, columns


def problem(rng: Any, positive: bool) -> tuple[Any, Any, Any]:
    """X, y and the scale of theta by coordinate: consistent up to rounding, or not."""
    while True:
        X, columns = matrix(rng)
        d = X.shape[1]
        overall = float(powers(rng, rng.choice([0, 0, 3, 60, 200]), None))
        with np.errstate(all="ignore"):
            size = overall / columns if rng.random() < 0.8 else np.full(d, overall)
            theta = rng.standard_normal(d) * (rng.random(d) < 0.8)
            theta = (np.abs(theta) + 0.05 if positive else theta) * size
            y = X @ theta
            if rng.random() < 0.08:
                y = y + np.abs(y).max() * 10.0 ** -rng.uniform(0, 12) * rng.standard_normal(y.size)
            if rng.random() < 0.05:
                y = y * powers(rng, 12, y.size)
        large = np.abs([*X.ravel(), *y, *size])
        if np.isfinite(large).all() and large.max() < 1e300 and (size > 1e-300).all():
            return X, y, size


def mixed(rng: Any, low: float, high: float, d: int) -> Any:
    """A spread of exponents: the same for all coordinates, or one for each."""
    start = rng.uniform(low, high)
    return rng.uniform(start, rng.uniform(start, high), d if rng.random() < 0.7 else 1) * np.ones(d)


def rows_of(make: Any, *parameters: Any) -> list[Any]:
    return [(make, *row) for row in zip(*(p.tolist() for p in parameters), strict=True)]


def draw_hyperbolic(rng: Any) -> Problem:
    X, y, size = problem(rng, False)
    d = size.size
    log_delta = np.log(size) + np.log(10) * mixed(rng, -30, 6, d)
    shift = rng.standard_normal(d) * rng.choice([0.0, 0.3, 5.0])
    potential = HyperbolicEntropy(log_delta, shift)
    return Problem(X, y, potential, rows_of(hyperbolic, log_delta, shift))


def draw_kullback_leibler(rng: Any) -> Problem:
    X, y, size = problem(rng, True)
    reference = np.log(size) + np.log(10) * mixed(rng, -20, 4, size.size)
    return Problem(X, y, KullbackLeibler(reference), rows_of(kullback_leibler, reference))


def draw_depth(rng: Any) -> Problem:
    X, y, size = problem(rng, False)
    d, order = size.size, int(rng.integers(3, 6))
    log_height = np.log(size) + np.log(10) * mixed(rng, -5, 3, d)
    rate = 10.0 ** mixed(rng, -2, 2, d)
    shift = rng.uniform(-0.5, 0.5, d) * rng.choice([0.0, 1.0])
    potential = DepthEntropy(order, log_height, rate, shift)
    orders = np.full(d, order)
    return Problem(X, y, potential, rows_of(depth, orders, log_height, rate, shift))


def draw_l2(rng: Any) -> Problem:
    X, y, size = problem(rng, False)
    weights = 10.0 ** mixed(rng, -6, 6, size.size)
    reference = size * rng.standard_normal(size.size) * rng.choice([0.0, 1.0, 1e3])
    exact = rows_of(squared, weights, reference)
    return Problem(X, y, WeightedL2(weights, reference), exact)


def draw_l1(rng: Any) -> Problem:
    X, y, size = problem(rng, False)
    up = 10.0 ** mixed(rng, -4, 4, size.size)
    down = up if rng.random() < 0.5 else up * rng.uniform(0.2, 5, size.size)
    return Problem(X, y, WeightedL1(up, down), [])


def draw_derived(rng: Any) -> Problem:
    if rng.random() < 0.5:
        entropy = draw_hyperbolic(rng)
        inverse = (lambda m, D: D / 2 * np.sinh(2 * m)) if rng.random() < 0.5 else None
        delta = np.exp(np.clip(entropy.potential.log_balancedness, -600, 600))
        given = DerivedPotential(
            gradient=lambda t, D: np.arcsinh(2 * t / D) / 2,
            curvature=lambda t, D: 1 / np.hypot(2 * t, D),
            inverse=inverse,
            parameters=(delta,),
        )
        return Problem(entropy.X, entropy.y, given, rows_of(hyperbolic_of, delta))
    X, y, size = problem(rng, False)
    unit = size * 10.0 ** rng.uniform(0.5, 3)
    reference = unit * rng.uniform(-0.5, 0.5, size.size) * rng.choice([0.0, 1.0])
    given = DerivedPotential(
        gradient=lambda t, u: np.arctanh(t / u),
        curvature=lambda t, u: 1 / (u * (1 - (t / u) ** 2)),
        inverse=(lambda m, u: u * np.tanh(m)) if rng.random() < 0.5 else None,
        parameters=(unit,),
        reference=reference,
    )
    return Problem(X, y, given, rows_of(barrier, unit, reference))


DRAWS = {
    "hyperbolic": draw_hyperbolic,
    "Kullback-Leibler": draw_kullback_leibler,
    "depth": draw_depth,
    "weighted l2": draw_l2,
    "derived": draw_derived,
    "weighted l1": draw_l1,
}
KINDS: dict[str, Callable[[Any, Any], Any]] = {
    "dense": lambda X, _: X,
    "sparse": lambda X, rng: sp.coo_array(X).asformat(str(rng.choice(["csr", "csc", "coo"]))),
    "operator": lambda X, _: aslinearoperator(X),
    "sparse, iterative": lambda X, _: sp.csr_array(X),
    "operator, iterative": lambda X, _: aslinearoperator(X),
}
Cell = tuple[str, str, str]
CELLS: list[Cell] = [
    *((name, "newton", kind) for name in DRAWS if name != "weighted l1" for kind in KINDS),
    *((name, "cvxpy", "dense") for name in ("hyperbolic", "Kullback-Leibler", "weighted l2")),
    ("weighted l1", "highs", "dense"),
]


def draw(cell: Cell, seed: int) -> tuple[Problem, Any]:
    """The problem of a seed, and its X as a matrix of the cell's kind."""
    potential, _, kind = cell
    rng = np.random.default_rng([*map(ord, "/".join(cell)), seed])
    drawn = DRAWS[potential](rng)
    return drawn, KINDS[kind](drawn.X, rng)


def solve(cell: Cell, drawn: Problem, X: Any) -> Any:
    """The package's answer, or the words in which it refuses one."""
    _, solver, kind = cell
    # What needs more iterations is refused; the campaign has no time for it.
    options = {} if solver == "highs" else {"solver": solver, "max_iterations": 80}
    with algebra_for(kind):
        try:
            solution = implicit_solution((X, drawn.y), potential=drawn.potential, **options)
        except InputError as error:
            return str(error)
    return solution if solution.certified else solution.status.name


@contextmanager
def algebra_for(kind: str) -> Iterator[None]:
    """What the iterative algebra does is otherwise seen by large problems only."""
    before = algebra.DIRECT_ENTRIES, algebra.DIRECT_ROWS
    if "iterative" in kind:
        algebra.DIRECT_ENTRIES = algebra.DIRECT_ROWS = 0
    try:
        yield
    finally:
        algebra.DIRECT_ENTRIES, algebra.DIRECT_ROWS = before


# -- the judgement ------------------------------------------------------------


def wrong(drawn: Problem, solution: Any) -> str:
    """What is wrong with an answer that is certified; nothing where nothing is."""
    X, y = drawn.X, drawn.y
    compare = compare_l1 if isinstance(drawn.potential, WeightedL1) else compare_rows
    return infeasible(X, y, solution.theta) or compare(drawn, solution)


def infeasible(X: Any, y: Any, theta: Any) -> str:
    """Each row in its own unit, in rational numbers."""
    A, t = rational(X), [ratio(v) for v in theta.tolist()]
    for i, target in enumerate(y.tolist()):
        terms = [A[i, j] * t[j] for j in range(len(t))]
        miss = abs(sum(terms, fmpq(0)) - ratio(target))
        size = sum((abs(v) for v in terms), abs(ratio(target)))
        if miss > ratio(TOLERANCE) * size:
            return f"row {i} missed by {float_ratio(miss, size):.1e} of its terms"
    return ""


def float_ratio(a: fmpq, b: fmpq) -> float:
    flint.ctx.prec = 100
    return float(arb(a) / arb(b)) if b else math.inf


def independent(X: Any, rank: int) -> list[Any]:
    """The rows that stand, each in its own unit, most independently.

    Conjugate gradients know no rank: what they solve is judged on the rows whose
    independence is above rounding, and where that is a matter of taste, on either choice.
    """
    if rank == X.shape[0]:
        return [np.arange(rank)]
    # by powers of two: a logarithm would lose the digits that tell dependent rows
    sizes = np.where(X == 0, -1 << 20, np.frexp(X)[1])
    r, c = np.zeros(X.shape[0], np.int64), np.zeros(X.shape[1], np.int64)
    for _ in range(4):
        r += known(np.max(sizes - r[:, None] - c, axis=1))
        c += known(np.max(sizes - r[:, None] - c, axis=0))
    scaled = np.ldexp(X, -(r[:, None] + c))
    order = scipy.linalg.qr(scaled.T, mode="economic", pivoting=True)[2]
    singular = np.linalg.svd(scaled, compute_uv=False)
    taste = {int(np.sum(singular > cut * singular[0])) for cut in (1e-14, 1e-12)}
    return [np.sort(order[:k]) for k in (taste if rank == -1 else {rank})]


def known(sizes: Any) -> Any:
    return np.where(sizes > -1 << 19, sizes, 0)


def compare_rows(drawn: Problem, solution: Any) -> str:
    verdicts = []
    for rows in independent(drawn.X, int(solution.rank)):
        verdicts.append(compare(drawn, rows, solution))
        if not verdicts[-1]:
            break
    return verdicts[-1]


def compare(drawn: Problem, rows: Any, solution: Any) -> str:
    X, y = drawn.X[rows], drawn.y[rows]
    if isinstance(drawn.potential, WeightedL2):
        try:
            exact, least = exact_l2(X, y, drawn.potential.weights, drawn.potential.reference)
        except ZeroDivisionError:
            return "rows called independent are not"
        flint.ctx.prec = 300
        theta, objective = [arb(v) for v in exact], arb(least)
        slope = [1 / arb(w) for w in drawn.potential.weights.tolist()]
    else:
        nu = multiplier(solution)
        start = nu if rows.size == drawn.y.size else on_rows(drawn, rows, nu)
        theta, objective, slope = exact_by_newton(X, y, drawn.exact, start)
    found = [arb(v) for v in solution.theta.tolist()]
    nothing = max(moves(coordinates(drawn.exact), slope), default=arb(0))
    size = max(sum((t * t for t in theta), arb(0)).sqrt(), nothing)
    distance = sum(((a - b) ** 2 for a, b in zip(found, theta, strict=True)), arb(0)).sqrt()
    off = float(distance / size) if size > 0 else (0.0 if distance == 0 else math.inf)
    claimed = float(solution.error)
    if off > max(min(4 * claimed + ROUNDING, TOLERANCE), ROUNDING):
        rank = f"rank {solution.rank} of {drawn.y.size}"
        return f"distance {off:.1e}, claimed {claimed:.1e}, {rank}"
    scale = scale_of(objective, theta, slope)
    stated = arb(float(solution.objective))
    apart = share(stated - objective, scale)
    if apart > TOLERANCE:
        return f"objective {apart:.1e} off, claimed {float(solution.gap):.1e}"
    apart = share(stated - dual_value(drawn, solution), scale)
    if not apart <= TOLERANCE:
        return f"dual value {apart:.1e} off, claimed {float(solution.gap):.1e}"
    return ""


def multiplier(solution: Any) -> list[Any]:
    """In both its parts: where rows nearly cancel, the tail decides z."""
    flint.ctx.prec = 2400
    parts = zip(solution.dual.tolist(), solution.dual_tail.tolist(), strict=True)
    return [arb(a) + arb(b) for a, b in parts]


def on_rows(drawn: Problem, rows: Any, nu: list[Any]) -> list[Any]:
    """The multiplier of some rows that moves theta to first order as nu of all rows does."""
    if not rows.size:
        return []
    potential, A = coordinates(drawn.exact), arb_mat(drawn.X[rows].tolist())
    z = arb_mat(drawn.X.tolist()).transpose() * arb_mat([[v] for v in nu])
    slope = [c.slope(z[j, 0], c.primal(z[j, 0])).mid() for j, c in enumerate(potential)]
    n, d = A.nrows(), A.ncols()
    weighted = arb_mat([[A[i, j] * slope[j] for j in range(d)] for i in range(n)])
    try:
        found = (weighted * A.transpose()).mid().solve((weighted * z).mid(), algorithm="approx")
    except ZeroDivisionError:
        raise NotJudgedError from None
    return [found[i, 0].mid() for i in range(n)]


def dual_value(drawn: Problem, solution: Any) -> Any:
    """y.nu less the conjugates: no objective is below it, whatever nu is."""
    nu = arb_mat([[v] for v in multiplier(solution)])
    z = arb_mat(drawn.X.tolist()).transpose() * nu
    linear = sum((arb(v) * nu[i, 0] for i, v in enumerate(drawn.y.tolist())), arb(0))
    conjugates = (c.conjugate(z[j, 0]) for j, c in enumerate(coordinates(drawn.exact)))
    return linear - sum(conjugates, arb(0))


def share(miss: Any, scale: Any) -> float:
    """The least |miss| that its ball holds, over the scale."""
    if not miss.is_finite():
        return math.inf
    return float(abs(miss).lower() / scale) if scale > 0 else 0.0


def compare_l1(drawn: Problem, solution: Any) -> str:
    (rows,) = independent(drawn.X, int(solution.rank))
    up, down = drawn.potential.weights, drawn.potential.negative_weights
    least = least_l1(drawn.X[rows], drawn.y[rows], up, down)
    if least is None:
        return "rows called independent are not"
    allowed = ratio(TOLERANCE) * least
    attained = norm_l1([ratio(v) for v in solution.theta.tolist()], up, down)
    nu = rational(solution.dual) + rational(solution.dual_tail)
    z, dual = nu * rational(drawn.X), (nu * rational(drawn.y).transpose())[0, 0]
    values = {"objective": ratio(float(solution.objective)), "norm": attained, "dual value": dual}
    for name, value in values.items():
        if abs(value - least) > allowed:
            return f"{name} {float_ratio(abs(value - least), least):.1e} off"
    for j, (a, b) in enumerate(zip(up.tolist(), down.tolist(), strict=True)):
        bound = ratio(a) if z[0, j] > 0 else -ratio(b)
        if z[0, j] / bound > 1 + ratio(TOLERANCE):
            return f"multiplier outside the subgradient at {j}"
    return ""


# -- the campaign -------------------------------------------------------------

WORDS = ("checked", "wrong", "refused", "not judged", "bare error")


def judge(cell: Cell, seed: int) -> tuple[str, str]:
    """One of the words, and what there is to say about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            drawn, X = draw(cell, seed)
            solution = solve(cell, drawn, X)
            if isinstance(solution, str):
                return "refused", solution
            reason = wrong(drawn, solution)
        except NotJudgedError:
            return "not judged", ""
        except Exception as error:
            return "bare error", f"{type(error).__name__}: {error}"
    return ("wrong", reason) if reason else ("checked", "")


def judge_block(cell: Cell, first: int, size: int) -> dict[str, Any]:
    """A line of the file."""
    counts: Counter[str] = Counter()
    notes, slowest, begin = [], (0.0, first), time.perf_counter()
    with threadpool_limits(1):
        for seed in range(first, first + size):
            start = time.perf_counter()
            word, reason = judge(cell, seed)
            slowest = max(slowest, (round(time.perf_counter() - start, 2), seed))
            counts[word] += 1
            if word not in ("checked", "refused"):
                notes.append([seed, word, reason])
    seconds = round(time.perf_counter() - begin, 2)
    block = {"cell": cell, "first": first, "size": size, "counts": counts}
    return block | {"seconds": seconds, "slowest": slowest, "notes": notes}


def code() -> str:
    """The state of what is judged and of the judge."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(Path(algebra.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class Ledger:
    """What has been judged so far, in a file of one line a block, or in memory only."""

    def __init__(self, path: Path | None, first: int = 0) -> None:
        self.path, self.code, self.first = path, code(), first
        self.blocks: list[dict[str, Any]] = []
        if path is not None and path.exists():
            for text in path.read_text().splitlines():
                try:
                    block = json.loads(text)
                except json.JSONDecodeError:  # a kill cut the last line
                    continue
                if block["code"] == self.code:
                    self.blocks.append(block)

    def add(self, block: dict[str, Any]) -> None:
        block = json.loads(json.dumps({"code": self.code, **block}))
        self.blocks.append(block)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write("\n" * self._cut() + json.dumps(block) + "\n")
                file.flush()
                os.fsync(file.fileno())

    def _cut(self) -> bool:
        assert self.path is not None
        text = self.path.read_bytes() if self.path.exists() else b""
        return bool(text) and not text.endswith(b"\n")

    def counts(self, axis: int | None = None) -> dict[Any, Counter[str]]:
        """By cell, or by potential (0), solver (1) or kind of matrix (2)."""
        found: dict[Any, Counter[str]] = {}
        for block in self.blocks:
            cell = tuple(block["cell"])
            counter = found.setdefault(cell if axis is None else cell[axis], Counter())
            counter.update({**block["counts"], "seconds": block["seconds"]})
        return found

    def next_seed(self, cell: Cell) -> int:
        ends = (b["first"] + b["size"] for b in self.blocks if tuple(b["cell"]) == cell)
        return max(ends, default=self.first)


def needy(ledger: Ledger, cells: list[Cell], count: int) -> list[Cell]:
    """Cells of which a potential, a solver or a kind lacks answers, the poorest first."""
    margins = [ledger.counts(axis) for axis in range(3)]
    held = ledger.counts()

    def lacks(cell: Cell) -> bool:
        own = held.get(cell, Counter())
        tried = sum(own[word] for word in WORDS)
        hopeless = tried > 10 * (own["checked"] + 100)
        return not hopeless and any(
            margin.get(value, Counter())["checked"] < count
            for margin, value in zip(margins, cell, strict=True)
        )

    return sorted(
        (cell for cell in cells if lacks(cell)),
        key=lambda cell: held.get(cell, Counter())["checked"],
    )


def campaign(ledger: Ledger, cells: list[Cell], count: int, jobs: int, size: int) -> None:
    """Draw until every potential, solver and kind holds `count` answers that were checked."""
    context = multiprocessing.get_context("spawn")
    seeds = {cell: ledger.next_seed(cell) for cell in cells}
    running: set[Future[dict[str, Any]]] = set()
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        while True:
            for cell in needy(ledger, cells, count)[: jobs - len(running)]:
                running.add(pool.submit(judge_block, cell, seeds[cell], size))
                seeds[cell] += size
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                block = future.result()
                ledger.add(block)
                for seed, word, reason in block["notes"]:
                    print(f"{'/'.join(block['cell'])}, seed {seed}: {word} {reason}", flush=True)


def table(ledger: Ledger, axis: int | None) -> str:
    name = "cell" if axis is None else ("potential", "solver", "kind of matrix")[axis]
    lines = [f"{name:46s}" + "".join(f"{word:>12s}" for word in (*WORDS, "seconds"))]
    for value, counts in ledger.counts(axis).items():
        label = value if isinstance(value, str) else " / ".join(value)
        numbers = [*(counts[word] for word in WORDS), round(counts["seconds"])]
        lines.append(f"{label:46s}" + "".join(f"{number:12d}" for number in numbers))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", help="words that name cells; default all")
    parser.add_argument("--count", type=int, default=200, help="answers to check; 0: show the file")
    parser.add_argument("--first", type=int, default=0, help="first seed of a new file")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--block", type=int, default=20, help="seeds a line of the file")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    words = args.cells
    cells = [cell for cell in CELLS if not words or any(w in "/".join(cell) for w in words)]
    ledger = Ledger(args.out, args.first)
    campaign(ledger, cells, args.count, args.jobs, args.block)
    print("\n\n".join(table(ledger, axis) for axis in (0, 1, 2, None)))
    total = sum(ledger.counts(1).values(), Counter())
    seconds, number = (
        max((*b["slowest"], "/".join(b["cell"])) for b in ledger.blocks)[:2]
        if (ledger.blocks)
        else (0, 0)
    )
    print(f"\nslowest answer {seconds} s (seed {number}); code {ledger.code}")
    sys.exit(bool(total["wrong"] or total["bare error"]))


if __name__ == "__main__":
    main()
