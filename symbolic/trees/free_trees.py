r"""Free trees and the scalars they stand for.

A free tree has no distinguished root. Its vertices are derivatives of the
potential `P = -F` (so that `f = grad P`), its edges contractions, and velocity
leaves may hang on it: one vertex is `P`, two are `<f, f>`, a vertex with two
velocity leaves is `P''(v,v) = <v, f'v>`. The gradient of such a scalar is the sum over its
vertices of the elementary differentials rooted there, which is why a field is a
gradient for every loss exactly if all rootings of a free tree carry the same
coefficient (Hairer, Lubich, Wanner, *Geometric Numerical Integration*, section
IX.9.3 has the Hamiltonian counterpart).

A free tree is represented by its smallest rooted form.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

from momentumflow.symbolic.trees.rooted_trees import FIELD, VELOCITY, Tree, graft_root
from momentumflow.symbolic.trees.tree_display import latex_text, plain_text


@cache
def rootings(tau: Tree) -> Counter[Tree]:
    """Return the rooted trees got by rooting at each vertex, with how many vertices give each."""
    found: Counter[Tree] = Counter()

    def walk(node: Tree, above: Tree | None) -> None:
        around = list(node.children) if above is None else [*node.children, above]
        found[graft_root(around)] += 1
        for child, times in node.branches:
            if child is not VELOCITY:
                rest = list(around)
                rest.remove(child)
                for _ in range(times):
                    walk(child, graft_root(rest))

    walk(tau, None)
    return found


@cache
def free_tree(tau: Tree) -> Tree:
    """Return the representative of the free tree under a rooted one."""
    return min(rootings(tau), key=lambda rooted: (rooted.order, rooted.text))


def free_symmetry(tau: Tree) -> int:
    """Return the number of automorphisms of the free tree under a rooted one."""
    return tau.symmetry * rootings(tau)[tau]


def inner_product(tau: Tree) -> tuple[Tree, Tree]:
    """Return x, y with the scalar equal to `<F(x), F(y)>`, x being v or f.

    The tree must have a second vertex or a velocity leaf.
    """
    for rooted in sorted(rootings(tau), key=lambda r: (r.order, r.text)):
        if VELOCITY in rooted.children:
            rest = list(rooted.children)
            rest.remove(VELOCITY)
            return VELOCITY, graft_root(rest)
        if not tau.velocities and len(rooted.children) == 1:
            return FIELD, rooted.children[0]
    raise ValueError("the potential itself is no inner product")


def scalar_text(tau: Tree) -> str:
    """Return the scalar as a terminal shows it: `|f|^2`, `<v, f'v>`."""
    return _written(tau, plain_text, "|{}|^2", "<{}, {}>")


def scalar_latex(tau: Tree) -> str:
    r"""Return the scalar in LaTeX: `|f|^2`, `\langle v, f'v \rangle`."""
    return _written(tau, latex_text, "|{}|^{{2}}", "\\langle {}, {} \\rangle")


def _written(tau: Tree, write: object, square: str, product: str) -> str:
    if tau is VELOCITY:
        return square.format("v")
    if tau is FIELD:
        return "(-F)"
    x, y = inner_product(tau)
    left, right = write(x), write(y)  # type: ignore[operator]
    return square.format(left) if x is y else product.format(left, right)
