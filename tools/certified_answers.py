"""Check certified answers against arithmetic of sixty digits and more, or rational numbers.

    python tools/certified_answers.py --count 5000 --jobs 2 --out certified.json

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
- a multiplier does not belong to it (checked through the objective: weak duality).

On a numerically rank-deficient X the distance is that to the solution of the
`rank` most independent rows; all rows are checked for feasibility. The algebra
of large problems (conjugate gradients) reports no rank.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import multiprocessing
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flint
import numpy as np
import scipy.linalg
import scipy.sparse as sp
from flint import arb, arb_mat, fmpq, fmpq_mat
from scipy.sparse.linalg import aslinearoperator

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
    """One coordinate of a potential in ball arithmetic: theta(z), its slope, psi', divergence."""

    primal: Callable[[Any], Any]
    slope: Callable[[Any, Any], Any]
    divergence: Callable[[Any], Any]
    unit: Any  # of z: a step much below it is a small one


def hyperbolic(log_delta: float, shift: float) -> Coordinate:
    delta, s = arb(log_delta).exp(), arb(shift)

    def divergence(theta: Any) -> Any:
        # (Delta/4) (cosh s - cosh a - (s - a) sinh a) with a = asinh(2 theta/Delta)
        a = (2 * theta / delta).asinh()
        return delta / 4 * (s.cosh() - a.cosh() - (s - a) * a.sinh())

    return Coordinate(
        lambda z: delta / 2 * (2 * z + s).sinh(),
        lambda z, _: delta * (2 * z + s).cosh(),
        divergence,
        arb(0.5),
    )


def kullback_leibler(log_reference: float) -> Coordinate:
    c = arb(log_reference)

    def divergence(theta: Any) -> Any:
        if not theta > 0:
            return c.exp()
        return theta * (theta.log() - c) - theta + c.exp()

    return Coordinate(lambda z: (c + z).exp(), lambda _, t: t, divergence, arb(1))


def depth(order: int, log_height: float, rate: float, shift: float) -> Coordinate:
    height, r, s = arb(log_height).exp(), arb(rate), arb(shift)
    p, q = arb(order) / (order - 2), arb(2) / (order - 2)

    def h(x: Any) -> Any:
        return (1 - x) ** -p - (1 + x) ** -p if abs(x) < 1 else arb("nan")

    def slope(x: Any) -> Any:
        return p * ((1 - x) ** (-p - 1) + (1 + x) ** (-p - 1))

    def inverse(value: Any) -> Any:
        low, high, x = arb(-1), arb(1), arb(0)
        for _ in range(5 * flint.ctx.prec):
            f = (h(x) - value).mid()
            low, high = (x, high) if f < 0 else (low, x)
            new = (x - f / slope(x)).mid()
            new = new if low < new < high else ((low + high) / 2).mid()
            if abs(new - x) < abs(new) * arb(2) ** (20 - flint.ctx.prec):
                break
            x = new
        return x

    def divergence(theta: Any) -> Any:
        # D_psi(theta, reference) = D_psi*(s, a) in the mirror variable x
        a = inverse(theta / height)
        conjugate = [(1 - x) ** -q + (1 + x) ** -q for x in (s, a)]
        return height / r * ((conjugate[0] - conjugate[1]) / q - h(a) * (s - a))

    return Coordinate(
        lambda z: height * h(r * z + s),
        lambda z, _: height * r * slope(r * z + s),
        divergence,
        1 / r,
    )


def barrier(unit: float, reference: float) -> Coordinate:
    """Psi' = atanh(theta/unit) on (-unit, unit)."""
    u, m = arb(unit), (arb(reference) / arb(unit)).atanh()

    def divergence(theta: Any) -> Any:
        def psi(x: Any) -> Any:
            return u * ((1 + x) / 2 * (1 + x).log() + (1 - x) / 2 * (1 - x).log())

        a, b = theta / u, arb(reference) / u
        return psi(a) - psi(b) - m * (theta - arb(reference))

    return Coordinate(
        lambda z: u * (z + m).tanh(), lambda z, _: u / (z + m).cosh() ** 2, divergence, arb(1)
    )


class NotJudgedError(Exception):
    """The exact solution was not found: the judge's shortcoming, counted as such."""


def exact_by_newton(
    X: Any, y: Any, coordinates: list[Coordinate], nu: Any
) -> tuple[list[Any], Any, list[Any]]:
    """Theta, objective and slopes of the exact solution; rows of X independent."""
    if not y.size:
        flint.ctx.prec = 300
        theta = [c.primal(arb(0)).mid() for c in coordinates]
        return theta, arb(0), [c.slope(arb(0), t) for c, t in zip(coordinates, theta, strict=True)]
    size = max(abs(v) for v in y.ravel()) or 1.0
    for bits in (2400, 9600):
        flint.ctx.prec = bits
        A, target = arb_mat(X.tolist()), arb_mat([[v] for v in y.tolist()])
        dual = arb_mat([[v] for v in nu.tolist()])
        n, d = X.shape
        transposed = A.transpose()
        for _ in range(600):
            z = [(transposed * dual)[j, 0] for j in range(d)]
            theta = [c.primal(v).mid() for c, v in zip(coordinates, z, strict=True)]
            slope = [c.slope(v, t).mid() for c, v, t in zip(coordinates, z, theta, strict=True)]
            if not all(t.is_finite() for t in theta):
                break
            r = (target - A * arb_mat([[t] for t in theta])).mid()
            weighted = arb_mat([[A[i, j] * slope[j] for j in range(d)] for i in range(n)])
            try:
                step = (weighted * transposed).mid().solve(r, algorithm="approx").mid()
            except ZeroDivisionError:
                break
            dz = transposed * step
            reach = max((abs(dz[j, 0]) / c.unit).mid() for j, c in enumerate(coordinates))
            if not reach.is_finite():
                break
            length = arb(1)
            if reach > arb(0.5):
                length = arb(0.5) / reach
            for _ in range(200):  # stay inside the dual domain
                ahead = dual + step * length
                z = [(transposed * ahead)[j, 0] for j in range(d)]
                if all(c.primal(v).is_finite() for c, v in zip(coordinates, z, strict=True)):
                    break
                length = length / 2
            dual = ahead.mid()
            if reach < arb(10) ** -60:
                rows = [
                    abs(r[i, 0])
                    / max(
                        sum((abs(A[i, j] * theta[j]) for j in range(d)), abs(target[i, 0])),
                        arb(size) * arb(2) ** -4000,
                    )
                    for i in range(n)
                ]
                if max(v.mid() for v in rows) < arb(10) ** -55:
                    objective = sum(
                        c.divergence(t) for c, t in zip(coordinates, theta, strict=True)
                    )
                    return theta, objective, slope
                break
    raise NotJudgedError


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


def least_l1(X: Any, y: Any, up: Any, down: Any) -> Any:
    """The least weighted l1 norm: it is attained at a basic solution; all of them are tried."""
    A, target = rational(X), rational(y).transpose()
    n, d = X.shape
    weights = [(ratio(a), ratio(b)) for a, b in zip(up.tolist(), down.tolist(), strict=True)]
    best = None
    for chosen in itertools.combinations(range(d), n):
        basis = fmpq_mat(n, n, [A[i, j] for i in range(n) for j in chosen])
        try:
            theta = basis.solve(target)
        except ZeroDivisionError:
            continue
        value = sum(
            (
                theta[k, 0] * weights[j][0] if theta[k, 0] > 0 else -theta[k, 0] * weights[j][1]
                for k, j in enumerate(chosen)
            ),
            fmpq(0),
        )
        best = value if best is None or value < best else best
    return best


# -- random problems ----------------------------------------------------------


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


def draw_hyperbolic(rng: Any) -> Any:
    X, y, size = problem(rng, False)
    d = size.size
    log_delta = np.log(size) + np.log(10) * mixed(rng, -30, 6, d)
    shift = rng.standard_normal(d) * rng.choice([0.0, 0.3, 5.0])
    potential = HyperbolicEntropy(log_delta, shift)
    return (
        X,
        y,
        potential,
        [hyperbolic(*p) for p in zip(log_delta.tolist(), shift.tolist(), strict=True)],
    )


def draw_kullback_leibler(rng: Any) -> Any:
    X, y, size = problem(rng, True)
    reference = np.log(size) + np.log(10) * mixed(rng, -20, 4, size.size)
    return X, y, KullbackLeibler(reference), [kullback_leibler(c) for c in reference.tolist()]


def draw_depth(rng: Any) -> Any:
    X, y, size = problem(rng, False)
    d, order = size.size, int(rng.integers(3, 6))
    log_height = np.log(size) + np.log(10) * mixed(rng, -5, 3, d)
    rate = 10.0 ** mixed(rng, -2, 2, d)
    shift = rng.uniform(-0.5, 0.5, d) * rng.choice([0.0, 1.0])
    potential = DepthEntropy(order, log_height, rate, shift)
    rows = zip(log_height.tolist(), rate.tolist(), shift.tolist(), strict=True)
    return X, y, potential, [depth(order, *p) for p in rows]


def draw_l2(rng: Any) -> Any:
    X, y, size = problem(rng, False)
    weights = 10.0 ** mixed(rng, -6, 6, size.size)
    reference = size * rng.standard_normal(size.size) * rng.choice([0.0, 1.0, 1e3])
    return X, y, WeightedL2(weights, reference), (weights, reference)


def draw_l1(rng: Any) -> Any:
    X, y, size = problem(rng, False)
    up = 10.0 ** mixed(rng, -4, 4, size.size)
    down = up if rng.random() < 0.5 else up * rng.uniform(0.2, 5, size.size)
    return X, y, WeightedL1(up, down), (up, down)


def draw_derived(rng: Any) -> Any:
    if rng.random() < 0.5:
        X, y, potential, _ = draw_hyperbolic(rng)
        log_delta = potential.log_balancedness
        inverse = (lambda m, D: D / 2 * np.sinh(2 * m)) if rng.random() < 0.5 else None
        delta = np.exp(np.clip(log_delta, -600, 600))
        given = DerivedPotential(
            gradient=lambda t, D: np.arcsinh(2 * t / D) / 2,
            curvature=lambda t, D: 1 / np.hypot(2 * t, D),
            inverse=inverse,
            parameters=(delta,),
        )
        return X, y, given, [hyperbolic(arb(v).log(), 0.0) for v in delta.tolist()]
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
    return X, y, given, [barrier(*p) for p in zip(unit.tolist(), reference.tolist(), strict=True)]


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
CELLS = [
    *((name, "newton", kind) for name in DRAWS if name != "weighted l1" for kind in KINDS),
    *((name, "cvxpy", "dense") for name in ("hyperbolic", "Kullback-Leibler", "weighted l2")),
    ("weighted l1", "highs", "dense"),
]


# -- the judgement ------------------------------------------------------------


def judge(potential: str, solver: str, kind: str, seed: int) -> str:
    """Return "refused...", "certified", "not judged" or "WRONG: ..." for one random problem."""
    key = [ord(c) for c in f"{potential}/{solver}/{kind}"]
    rng = np.random.default_rng([*key, seed])
    flint.ctx.prec = 9600  # parameters as exact as the longest arithmetic below
    X, y, given, exact = DRAWS[potential](rng)
    wrapped = KINDS[kind](X, rng)
    # few rows: what the iterative algebra does is otherwise seen by large problems only
    algebra.DIRECT_ENTRIES = 0 if "iterative" in kind else 1 << 24
    algebra.DIRECT_ROWS = 0 if "iterative" in kind else 3000
    # What needs more iterations is refused; the campaign has no time for it.
    options = {} if solver == "highs" else {"solver": solver, "max_iterations": 80}
    try:
        solution = implicit_solution((wrapped, y), potential=given, **options)
    except InputError as error:
        return f"refused: {str(error)[:60]}"
    if not solution.certified:
        return f"refused: {solution.status.name}"
    wrong = (
        infeasible(X, y, solution.theta)
        or (compare_l1(X, y, exact, solution) if potential == "weighted l1" else "")
        or (compare(X, y, exact, solution) if potential != "weighted l1" else "")
    )
    return f"WRONG: {wrong}" if wrong else "certified"


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
    L = np.where(X == 0, -np.inf, np.log2(np.where(X == 0, 1, np.abs(X))))
    r, c = np.zeros(X.shape[0]), np.zeros(X.shape[1])
    for _ in range(4):
        r += np.nan_to_num(np.max(L - r[:, None] - c, axis=1), neginf=0.0)
        c += np.nan_to_num(np.max(L - r[:, None] - c, axis=0), neginf=0.0)
    scaled = np.sign(X) * 2.0 ** (L - r[:, None] - c)
    order = scipy.linalg.qr(scaled.T, mode="economic", pivoting=True)[2]
    sizes = np.linalg.svd(scaled, compute_uv=False)
    taste = {int(np.sum(sizes > cut * sizes[0])) for cut in (1e-14, 1e-12)}
    return [np.sort(order[:k]) for k in (taste if rank == -1 else {rank})]


def compare(X: Any, y: Any, exact: Any, solution: Any) -> str:
    verdicts = [compare_on(X, y, rows, exact, solution) for rows in independent(X, solution.rank)]
    return "" if "" in verdicts else verdicts[0]


def compare_on(X: Any, y: Any, rows: Any, exact: Any, solution: Any) -> str:
    if isinstance(exact, tuple):
        try:
            theta, objective = exact_l2(X[rows], y[rows], *exact)
        except ZeroDivisionError:
            return "rows called independent are not"
        flint.ctx.prec = 300
        theta, objective = [arb(v) for v in theta], arb(objective)
        slope = [1 / arb(w) for w in exact[0].tolist()]
    else:
        start = solution.dual[rows]
        if rows.size < y.size:
            start = np.linalg.lstsq(X[rows].T, X.T @ solution.dual, rcond=None)[0]
        flint.ctx.prec = 300
        theta, objective, slope = exact_by_newton(X[rows], y[rows], exact, start)
    found = [arb(v) for v in solution.theta.tolist()]
    size = sum((t * t for t in theta), arb(0)).sqrt()
    distance = sum(((a - b) ** 2 for a, b in zip(found, theta, strict=True)), arb(0)).sqrt()
    off = float(distance / size) if size > 0 else (0.0 if distance == 0 else math.inf)
    if off > max(min(4 * float(solution.error) + ROUNDING, TOLERANCE), ROUNDING):
        claimed = f"claimed {float(solution.error):.1e}, rank {solution.rank} of {y.size}"
        return f"distance {off:.1e}, {claimed}"
    scale = max(
        objective.mid(), sum((t * t / h for t, h in zip(theta, slope, strict=True)), arb(0)).mid()
    )
    miss = abs(arb(float(solution.objective)) - objective).lower()
    apart = float(miss / scale) if scale > 0 else 0.0
    if apart > TOLERANCE:
        return f"objective {apart:.1e} off, claimed {float(solution.gap):.1e}"
    return ""


def compare_l1(X: Any, y: Any, weights: Any, solution: Any) -> str:
    (rows,) = independent(X, int(solution.rank))
    least = least_l1(X[rows], y[rows], *weights)
    if least is None:
        return "rows called independent are not"
    value = ratio(float(solution.objective))
    if abs(value - least) > ratio(TOLERANCE) * least:
        return f"objective {float_ratio(abs(value - least), least):.1e} off"
    return ""


def one(job: tuple[tuple[str, str, str], int]) -> tuple[tuple[str, str, str], int, str]:
    cell, seed = job
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return cell, seed, judge(*cell, seed)
        except NotJudgedError:
            return cell, seed, "not judged"
        except Exception as error:
            return cell, seed, f"BARE: {type(error).__name__}: {str(error)[:80]}"


def campaign(cells: list[tuple[str, str, str]], count: int, first: int, jobs: int) -> Any:
    """Draw until each cell holds `count` certified answers (or thrice that was tried)."""
    found: dict[tuple[str, str, str], Counter[str]] = {cell: Counter() for cell in cells}
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for cell in cells:
            seeds = itertools.count(first)
            while found[cell]["certified"] < count and found[cell].total() < 4 * count:
                block = [(cell, s) for s in itertools.islice(seeds, max(32, count // 8))]
                for _, seed, verdict in pool.imap_unordered(one, block, chunksize=16):
                    head = verdict.split(":")[0]
                    found[cell][head] += 1
                    if head in ("WRONG", "BARE"):
                        print(f"{cell}, seed {seed}: {verdict}", flush=True)
            print(line(cell, found[cell]), flush=True)
    return found


def line(cell: tuple[str, str, str], counts: Counter[str]) -> str:
    names = ("certified", "WRONG", "refused", "not judged", "BARE")
    return f"{' / '.join(cell):45s}" + "".join(f"{n} {counts[n]:6d}  " for n in names)


def chosen(words: list[str]) -> Iterator[tuple[str, str, str]]:
    return (cell for cell in CELLS if not words or any(w in "/".join(cell) for w in words))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", help="words that name cells; default all")
    parser.add_argument("--count", type=int, default=200, help="certified answers for each cell")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    found = campaign(list(chosen(args.cells)), args.count, args.first, args.jobs)
    if args.out:
        table = [{"cell": list(cell), **counts} for cell, counts in found.items()]
        args.out.write_text(json.dumps(table, indent=1))
    sys.exit(any(c["WRONG"] or c["BARE"] for c in found.values()))


if __name__ == "__main__":
    main()
