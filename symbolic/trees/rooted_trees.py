r"""Rooted trees and their elementary differentials.

A tree stands for an elementary differential of the field `f`: the root is `f`
(differentiated once for each child), and the children are what the derivative
is applied to. As nested lists, `[]` is `f`, `[[]]` is `f'f`, `[[],[]]` is
`f''(f,f)`. In the inertial regime a leaf may also be the velocity `v`; it
carries no children: `[v]` is `f'v`, `[v,v]` is `f''(v,v)`, and the tree `v`
alone is the velocity itself.

Coefficient functions on trees follow Hairer, Lubich and Wanner, *Geometric
Numerical Integration* (2nd ed., Springer 2006, DOI 10.1007/3-540-30666-8),
chapter III.1: a series is `sum_tau a(tau) / sigma(tau) F(tau)` with `sigma` the
number of symmetries of the tree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from itertools import combinations_with_replacement, groupby
from math import factorial
from typing import Any

from momentumflow.base.arguments import checked
from momentumflow.base.errors import InputError, shown

_REMEDY = 'write nested lists, "[]" for f, "[[],[]]" for f\'\'(f,f), and v for a velocity leaf'


class Tree:
    """A rooted tree, unlabelled but for velocity leaves; equal trees are one object.

    Trees are made by `tree(...)`, never by the constructor, so that comparison
    and hashing are those of identity and cost nothing.

    Attributes
    ----------
    children : tuple of Tree
        The branches, sorted by order and then by text.
    order : int
        Number of nodes, velocity leaves included.
    text : str
        The nested-list form, `[[],[v]]`.
    velocities : int
        Number of velocity leaves.
    """

    __slots__ = ("__dict__", "children", "order", "text", "velocities")

    children: tuple[Tree, ...]
    order: int
    text: str
    velocities: int

    def __repr__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return tree, (self.text,)

    @property
    def is_velocity(self) -> bool:
        """Whether this is the velocity itself rather than a derivative of `f`."""
        return self is VELOCITY

    @cached_property
    def symmetry(self) -> int:
        """sigma(tau): the number of automorphisms of the tree."""
        result = 1
        for child, group in groupby(self.children):
            times = len(list(group))
            result *= factorial(times) * child.symmetry**times
        return result

    @cached_property
    def density(self) -> int:
        """gamma(tau), the tree factorial: order times the densities of the branches."""
        result = self.order
        for child in self.children:
            result *= child.density
        return result

    @cached_property
    def branches(self) -> tuple[tuple[Tree, int], ...]:
        """The distinct branches, each with the number of times it occurs."""
        return tuple((child, len(list(group))) for child, group in groupby(self.children))

    @cached_property
    def cuts(self) -> tuple[tuple[Tree, Tree, int], ...]:
        """All ways to cut one edge: (what keeps the root, what falls off, how often)."""
        result = []
        for child, times in self.branches:
            rest = list(self.children)
            rest.remove(child)
            result.append((_intern(rest), child, times))
            result += [
                (_intern([*rest, kept]), fallen, times * inner)
                for kept, fallen, inner in child.cuts
            ]
        return tuple(result)

    @cached_property
    def replacements(self) -> tuple[tuple[Tree, Tree, int], ...]:
        """All ways to put `v` for one branch: (the tree with `v`, the branch, how often)."""
        result = []
        for child, times in self.branches:
            rest = list(self.children)
            rest.remove(child)
            result.append((_intern([*rest, VELOCITY]), child, times))
            result += [
                (_intern([*rest, left]), branch, times * inner)
                for left, branch, inner in child.replacements
            ]
        return tuple(result)

    @cached_property
    def unfoldings(self) -> tuple[tuple[Tree, tuple[Tree, ...]], ...]:
        """All ways to put `v` for a set of disjoint branches: (the tree with `v`s, the branches).

        Repeated entries count repeated ways; the empty set is among them.
        """
        ways: list[tuple[list[Tree], tuple[Tree, ...]]] = [([], ())]
        for child in self.children:
            options: list[tuple[Tree, tuple[Tree, ...]]] = [(VELOCITY, (child,))]
            if child is not VELOCITY:
                options += child.unfoldings
            ways = [([*kept, a], out + b) for kept, out in ways for a, b in options]
        return tuple((_intern(kept), out) for kept, out in ways)


_INTERNED: dict[str, Tree] = {}


def _sort_key(node: Tree) -> tuple[int, str]:
    return node.order, node.text


def _intern(children: list[Tree]) -> Tree:
    """Return the one tree whose root is `f` with these branches."""
    children.sort(key=_sort_key)
    text = f"[{','.join([child.text for child in children])}]"
    found = _INTERNED.get(text)
    if found is not None:
        return found
    node = object.__new__(Tree)
    node.children = tuple(children)
    node.order = 1 + sum(child.order for child in children)
    node.text = text
    node.velocities = sum(child.velocities for child in children)
    # setdefault, so that two threads never keep two copies of one tree
    return _INTERNED.setdefault(text, node)


def _velocity() -> Tree:
    node = object.__new__(Tree)
    node.children, node.order, node.text, node.velocities = (), 1, "v", 1
    return _INTERNED.setdefault("v", node)


VELOCITY = _velocity()
FIELD = _intern([])


def graft_root(children: Iterable[Tree]) -> Tree:
    """Return the tree whose root carries `children` (the operator B+ of Connes and Kreimer)."""
    return _intern(list(children))


@checked
def tree(spec: Any) -> Tree:
    """Return the tree that `spec` names.

    Parameters
    ----------
    spec : Tree, str or nested list
        `"[[],[v]]"` or `[[], ["v"]]`; `"v"` alone is the velocity, `"f"` is
        short for `[]`.

    Returns
    -------
    Tree
        The one object of this shape: trees are compared by identity.

    Raises
    ------
    InputError
        If the brackets do not match or something else than lists and `v` occurs.
    """
    try:
        return _read(spec)
    except RecursionError:
        raise InputError("a tree of bounded depth", "lists without end", _REMEDY) from None


def _read(spec: Any) -> Tree:
    if isinstance(spec, Tree):
        return spec
    if isinstance(spec, list | tuple):
        return _intern([_read(item) for item in spec])
    if isinstance(spec, str):
        return _parse(spec)
    raise InputError("a tree as nested lists or text", shown(spec), _REMEDY)


def _parse(source: str) -> Tree:
    text = "".join(source.split()).replace("'", "").replace('"', "").replace("f", "[]")
    if text == "v":
        return VELOCITY
    stack: list[list[Tree]] = []
    separated = True  # whether an item may start here
    for position, character in enumerate(text):
        if character == "[" and separated:
            stack.append([])
            continue
        if character == "v" and separated and stack:
            stack[-1].append(VELOCITY)
            separated = False
        elif character == "]" and stack and (not separated or text[position - 1] == "["):
            done = _intern(stack.pop())
            if not stack:
                if position == len(text) - 1:
                    return done
                break
            stack[-1].append(done)
            separated = False
        elif character == "," and stack and not separated:
            separated = True
        else:
            break
    raise InputError("a tree as nested lists", repr(source), _REMEDY)


@cache
def trees_of_order(order: int, *, velocity: bool = False) -> tuple[Tree, ...]:
    """Return all trees of `order` nodes whose root is `f`, sorted by text.

    With `velocity`, leaves may be velocities too. Without it their numbers are
    1, 1, 2, 4, 9, 20, 48, 115, ... (OEIS A000081).
    """
    found = [_intern(list(forest)) for forest in _forests(order - 1, order - 1, velocity)]
    return tuple(sorted(found, key=_sort_key))


def trees_up_to(order: int, *, velocity: bool = False) -> Iterator[Tree]:
    """Yield all trees of at most `order` nodes whose root is `f`, smallest first."""
    for size in range(1, order + 1):
        yield from trees_of_order(size, velocity=velocity)


def _branch_choices(size: int, velocity: bool) -> tuple[Tree, ...]:
    plain = trees_of_order(size, velocity=velocity)
    return (*plain, VELOCITY) if velocity and size == 1 else plain


@cache
def _forests(total: int, largest: int, velocity: bool) -> tuple[tuple[Tree, ...], ...]:
    """Return the multisets of trees with `total` nodes, no tree larger than `largest`."""
    if total == 0:
        return ((),)
    if largest == 0:
        return ()
    result: list[tuple[Tree, ...]] = []
    for times in range(total // largest + 1):
        rest = _forests(total - times * largest, largest - 1, velocity)
        if rest:
            chosen = combinations_with_replacement(_branch_choices(largest, velocity), times)
            result += [few + many for many in chosen for few in rest]
    return tuple(result)


def number_of_trees(order: int) -> int:
    """Return how many trees have at most `order` nodes, without building them.

    The recurrence is Cayley's: `n a_{n+1} = sum_k (sum_{d | k} d a_d) a_{n-k+1}`.
    """
    counts = [0, 1]
    for n in range(1, order):
        total = 0
        for k in range(1, n + 1):
            divisors = sum(d * counts[d] for d in range(1, k + 1) if k % d == 0)
            total += divisors * counts[n - k + 1]
        counts.append(total // n)
    return sum(counts[1 : order + 1])
