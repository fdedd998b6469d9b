"""Rooted trees: counts, symmetries, cuts and the text form."""

import pickle
from math import factorial

import pytest
from hypothesis import given, strategies as st

from momentumflow.base.errors import InputError
from momentumflow.symbolic.trees.free_trees import free_symmetry, free_tree, rootings
from momentumflow.symbolic.trees.rooted_trees import (
    VELOCITY,
    number_of_trees,
    tree,
    trees_of_order,
    trees_up_to,
)
from momentumflow.symbolic.trees.tree_display import latex_indices, latex_text, plain_text, svg

# OEIS A000081, rooted trees of n nodes; A000055, free trees.
ROOTED = [1, 1, 2, 4, 9, 20, 48, 115, 286, 719]
FREE = [1, 1, 1, 2, 3, 6, 11, 23, 47, 106]

nested = st.recursive(
    st.just([]) | st.just("v"), lambda inner: st.lists(inner, max_size=4), max_leaves=8
)


def test_counts_of_rooted_and_free_trees():
    assert [len(trees_of_order(n)) for n in range(1, 11)] == ROOTED
    assert number_of_trees(10) == sum(ROOTED)
    assert [len({free_tree(tau) for tau in trees_of_order(n)}) for n in range(1, 11)] == FREE


@pytest.mark.parametrize("n", range(1, 9))
def test_labellings_are_counted(n):
    """Cayley: n^(n-1) rooted labelled trees; (n-1)! increasing ones."""
    trees = trees_of_order(n)
    assert sum(factorial(n) // tau.symmetry for tau in trees) == n ** (n - 1)
    assert sum(factorial(n) // (tau.symmetry * tau.density) for tau in trees) == factorial(n - 1)


@pytest.mark.parametrize("n", range(1, 8))
def test_free_labelled_trees_are_counted(n):
    """Cayley: n^(n-2) labelled free trees."""
    free = {free_tree(tau) for tau in trees_of_order(n)}
    assert sum(factorial(n) // free_symmetry(tau) for tau in free) == round(n ** (n - 2))


@given(nested.filter(lambda spec: spec != "v"))
def test_every_law_of_a_tree(spec):
    tau = tree(spec)
    assert tree(tau.text) is tau
    assert pickle.loads(pickle.dumps(tau)) is tau
    assert sum(times for _, _, times in tau.cuts) == tau.order - 1
    assert sum(times for _, _, times in tau.replacements) == tau.order - 1
    for kept, fallen, _ in tau.cuts:
        assert kept.order + fallen.order == tau.order
    for left, branch, _ in tau.replacements:
        assert left.order + branch.order == tau.order + 1
    assert sum(rootings(tau).values()) == tau.order - tau.velocities
    assert all(free_tree(other) is free_tree(tau) for other in rootings(tau))


@given(st.permutations([[], [[]], ["v"], [[], []]]))
def test_order_of_branches_does_not_matter(children):
    assert tree(list(children)) is tree([[], [[]], ["v"], [[], []]])


def test_velocity_trees_contain_the_plain_ones():
    plain, mixed = set(trees_up_to(5)), set(trees_up_to(5, velocity=True))
    assert plain < mixed
    assert plain == {tau for tau in mixed if not tau.velocities}
    assert VELOCITY not in mixed


def test_display():
    tau = tree("[[],[v]]")
    assert plain_text(tau) == "f''(f, f'v)"
    assert latex_text(tree("[[],[],[],[]]")) == "f^{(4)}(f, f, f, f)"
    assert latex_indices(tau) == "f^{i}_{j k} f^{j} f^{k}_{l} v^{l}"
    picture = svg(tau)
    assert picture.count("<circle") == 4
    assert picture.count("<line") == 3
    assert picture.count('fill="white"') == 1  # the velocity leaf is hollow


@pytest.mark.parametrize("bad", ["[", "[]]", "[a]", "", "[[][]]", "[,]", "[v]v", "v[]"])
def test_text_that_is_no_tree(bad):
    with pytest.raises(InputError, match=r"expected a tree as nested lists, received") as error:
        tree(bad)
    assert str(error.value).endswith(
        'write nested lists, "[]" for f, "[[],[]]" for f\'\'(f,f), and v for a velocity leaf.'
    )


def test_other_things_are_no_trees():
    with pytest.raises(InputError, match="expected a tree as nested lists or text, received 3"):
        tree(3)
