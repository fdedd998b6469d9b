"""Nothing wrong is certified: random hostile problems, judged by exact arithmetic.

Problems and judge are those of the campaign in `tools/certified_answers.py`, which
draws by the thousand what is drawn here by the dozen. The judge itself is held to call
falsified answers wrong.
"""

import importlib.util
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from momentumflow.numeric import HyperbolicEntropy, WeightedL1, WeightedL2, implicit_solution
from momentumflow.numeric.implicit import algebra

ROOT = Path(__file__).parents[3]
SPEC = importlib.util.spec_from_file_location(
    "certified_answers", ROOT / "tools" / "certified_answers.py"
)
hunt = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = hunt
SPEC.loader.exec_module(hunt)

# What the campaign once found certified and wrong, or raised bare.
FOUND = [
    ("Kullback-Leibler", "newton", "operator", 50087),
    ("weighted l2", "newton", "dense", 120),
    ("weighted l1", "highs", "dense", 114),
    ("weighted l2", "newton", "sparse, iterative", 20092),
    ("Kullback-Leibler", "newton", "sparse, iterative", 20098),
    ("Kullback-Leibler", "newton", "dense", 20038),
    ("weighted l2", "newton", "operator, iterative", 20153),
]


@pytest.mark.parametrize("cell", hunt.CELLS, ids="/".join)
def test_answers_are_right_or_refused(cell):
    words = [hunt.judge(cell, seed) for seed in range(700_000, 700_010)]
    counts = Counter(word for word, _ in words)
    assert set(counts) <= {"checked", "refused"}, words
    assert counts["checked"] >= 2  # one that refuses all makes no mistake


@pytest.mark.parametrize("found", FOUND, ids=str)
def test_what_was_found_stays_mended(found):
    *cell, seed = found
    word, reason = hunt.judge(tuple(cell), seed)
    assert word in ("checked", "refused"), reason


def honest(name):
    """A certified answer of each potential, and its problem."""
    if name == "weighted l1":
        X, y = np.array([[1.0, 2.0, 0.5], [0.3, -1.0, 1.5]]), np.array([1.0, -0.4])
        drawn = hunt.Problem(X, y, WeightedL1(np.array([1.0, 2.0, 0.7])), [])
        return drawn, implicit_solution((X, y), potential=drawn.potential)
    solver = "newton"
    for seed in range(100):
        drawn, X = hunt.draw((name, solver, "dense"), seed)
        solution = hunt.solve((name, solver, "dense"), drawn, X)
        if not isinstance(solution, str) and min(drawn.X.shape) > 1 and np.all(solution.theta):
            return drawn, solution
    raise AssertionError(name)


def moved(solution, share):
    """The answer with its largest coordinate off by a share of it."""
    theta = solution.theta.copy()
    theta[np.argmax(np.abs(theta))] *= 1 + share
    return replace(solution, theta=theta)


def squared_problem(X, y):
    nothing = np.zeros(X.shape[1])
    norm = WeightedL2(np.ones(X.shape[1]), nothing)
    return hunt.Problem(X, y, norm, hunt.rows_of(hunt.squared, norm.weights, nothing))


FALSIFIED = {
    "theta moved": lambda s: moved(s, 1e-8),
    "theta of another problem": lambda s: replace(s, theta=-s.theta),
    "another multiplier": lambda s: replace(s, dual=s.dual * (1 + 1e-3)),
    "another objective": lambda s: replace(s, objective=s.objective * (1 + 1e-8) + 1e-280),
}


@pytest.mark.parametrize("name", hunt.DRAWS)
def test_the_judge_calls_falsified_answers_wrong(name):
    drawn, solution = honest(name)
    assert hunt.wrong(drawn, solution) == ""
    for what, falsify in FALSIFIED.items():
        assert hunt.wrong(drawn, falsify(solution)), what


def test_the_judge_sees_an_error_claimed_too_small():
    """Theta is moved along the rows' null space, within every tolerance but the error claimed."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((2, 5))
    y = X @ rng.standard_normal(5)
    entropy = HyperbolicEntropy(np.full(5, -9.0), np.zeros(5))
    drawn = hunt.Problem(
        X, y, entropy, hunt.rows_of(hunt.hyperbolic, np.full(5, -9.0), np.zeros(5))
    )
    solution = implicit_solution((X, y), potential=entropy)
    kernel = np.linalg.svd(X)[2][-1]
    shift = 1e-11 * np.linalg.norm(solution.theta) * kernel
    honestly = replace(solution, theta=solution.theta + shift, error=np.asarray(1e-11))
    assert hunt.wrong(drawn, honestly) == ""
    assert "claimed 1.0e-13" in hunt.wrong(drawn, replace(honestly, error=np.asarray(1e-13)))


def test_the_judge_measures_each_row_in_its_own_unit():
    """The second row counts 1e-12 of the first: missed by a tenth, it does not show in |y|."""
    X, y = np.array([[1.0, 2.0, 0.0], [0.0, 1e-12, 3e-12]]), np.array([1.0, 2e-12])
    drawn = squared_problem(X, y)
    solution = implicit_solution((X, y), potential=drawn.potential)
    assert hunt.wrong(drawn, solution) == ""
    missed = np.linalg.lstsq(X, y * np.array([1.0, 0.9]), rcond=1e-15)[0]
    assert np.linalg.norm(X @ missed - y) < 1e-12
    assert hunt.wrong(drawn, replace(solution, theta=missed)).startswith("row 1 missed by")


def test_the_judge_knows_a_vertex_that_is_not_the_best():
    drawn, solution = honest("weighted l1")
    for chosen in ([0, 1], [0, 2], [1, 2]):
        theta = np.zeros(3)
        theta[chosen] = np.linalg.solve(drawn.X[:, chosen], drawn.y)
        objective = drawn.potential.value(theta).sum()
        other = replace(solution, theta=theta, objective=objective)
        assert bool(hunt.wrong(drawn, other)) is not np.allclose(theta, solution.theta)


def test_the_judge_knows_dependent_rows():
    """Rows of which one says the opposite of another: no answer to all of them is right."""
    X = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]])
    drawn = squared_problem(X, np.array([1.0, 2.0]))
    solution = implicit_solution((X, drawn.y), potential=drawn.potential)
    assert solution.rank == 1
    assert hunt.wrong(drawn, solution) == ""
    assert (
        hunt.wrong(drawn, replace(solution, rank=np.int64(2))) == "rows called independent are not"
    )
    assert hunt.wrong(replace(drawn, y=np.array([1.0, 2.1])), solution).startswith("row 1 missed")


def test_the_iterative_algebra_is_forced_for_its_cells_only():
    before = algebra.DIRECT_ENTRIES, algebra.DIRECT_ROWS
    cell = ("weighted l2", "newton", "operator, iterative")
    ranks = []
    for seed in range(20):
        solution = hunt.solve(cell, *hunt.draw(cell, seed))
        ranks += [] if isinstance(solution, str) else [int(solution.rank)]
    assert set(ranks) == {-1}
    assert before == (algebra.DIRECT_ENTRIES, algebra.DIRECT_ROWS)


def block(cell, first, checked):
    counts = {"checked": checked, "refused": 20 - checked}
    return {"cell": cell, "first": first, "size": 20, "counts": counts, "seconds": 1.0}


def test_a_campaign_goes_on_where_it_was_cut(tmp_path):
    cell, other = hunt.CELLS[0], hunt.CELLS[-1]
    ledger = hunt.Ledger(tmp_path / "a.jsonl", first=100)
    assert ledger.next_seed(cell) == 100
    ledger.add(block(cell, 100, 15))
    ledger.add(block(other, 100, 20))
    with ledger.path.open("a") as file:
        file.write('{"code": "cut in the mid')
    again = hunt.Ledger(ledger.path, first=100)
    assert (again.next_seed(cell), again.next_seed(other)) == (120, 120)
    again.add(block(cell, 120, 15))
    last = hunt.Ledger(ledger.path, first=100)
    assert last.next_seed(cell) == 140
    assert last.counts(0)[cell[0]]["checked"] == 30
    last.code = "another state of the code"
    last.add(block(cell, 140, 20))
    assert hunt.Ledger(ledger.path).counts(0)[cell[0]]["checked"] == 30


def test_cells_are_drawn_until_each_potential_solver_and_kind_has_enough():
    ledger = hunt.Ledger(None)
    for turn in range(40):
        poor = hunt.needy(ledger, hunt.CELLS, 60)
        if not poor:
            break
        for cell in poor:
            ledger.add(block(cell, 20 * turn, 15))
    assert turn < 39
    for axis in range(3):
        assert all(c["checked"] >= 60 for c in ledger.counts(axis).values())
        assert set(ledger.counts(axis)) == {cell[axis] for cell in hunt.CELLS}
    hopeless = hunt.Ledger(None)
    for turn in range(60):
        hopeless.add(block(hunt.CELLS[0], 20 * turn, 0))
    assert hunt.needy(hopeless, hunt.CELLS[:1], 60) == []


@pytest.mark.parametrize("name", ["hyperbolic", "Kullback-Leibler", "weighted l2"])
def test_problems_solved_together_are_right_as_well(name):
    """One batch of problems of very different scale and difficulty, each judged alone."""
    cell, alone = (name, "newton", "dense"), []
    for seed in range(300):
        drawn, X = hunt.draw(cell, seed)
        if drawn.X.shape == (2, 4) and not isinstance(hunt.solve(cell, drawn, X), str):
            alone.append(drawn)
    fields = alone[0].potential.__dataclass_fields__
    parameters = {f: np.stack([getattr(p.potential, f) for p in alone]) for f in fields}
    together = implicit_solution(
        (np.stack([p.X for p in alone]), np.stack([p.y for p in alone])),
        potential=type(alone[0].potential)(**parameters),
        max_iterations=80,
    )
    right = 0
    for i, drawn in enumerate(alone):
        if together.certified[i]:
            figures = ("theta", "dual", "dual_tail", "error", "gap", "objective", "rank")
            one = replace(together, **{f: getattr(together, f)[i] for f in figures})
            assert hunt.wrong(drawn, one) == "", i
            right += 1
    assert right >= 0.9 * len(alone) >= 5
