r"""Elementary differentials as text, LaTeX, index notation and drawings."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from momentumflow.symbolic.trees.rooted_trees import VELOCITY, Tree

_PRIMES = 3


def plain_text(tau: Tree) -> str:
    """Return `f''(f, f'v)` for the tree `[[],[v]]`."""
    return _written(tau, "f^({})")


def latex_text(tau: Tree) -> str:
    r"""Return the differential in index-free LaTeX, `f''(f, f'v)`, `f^{(4)}(...)`."""
    return _written(tau, "f^{{({})}}")


def _written(tau: Tree, high_derivative: str) -> str:
    if tau is VELOCITY:
        return "v"
    k = len(tau.children)
    head = "f" + "'" * k if k <= _PRIMES else high_derivative.format(k)
    inner = [_written(child, high_derivative) for child in tau.children]
    return f"{head}({', '.join(inner)})" if k > 1 else head + "".join(inner)


def latex_indices(tau: Tree, free: str = "i") -> str:
    r"""Return the differential in index notation, `f^{i}_{j k} f^{j} f^{k}`.

    Repeated indices are summed; lower indices are partial derivatives.
    """
    names = _index_names(skip=free)
    return " ".join(_indexed(tau, free, names))


def _index_names(skip: str) -> Iterator[str]:
    letters = [letter for letter in "jklmnpqrsabcde" if letter != skip]
    yield from letters
    for number in count(1):
        yield from (f"{letter}_{{{number}}}" for letter in letters)


def _indexed(tau: Tree, upper: str, names: Iterator[str]) -> list[str]:
    if tau is VELOCITY:
        return [f"v^{{{upper}}}"]
    lower = [next(names) for _ in tau.children]
    head = f"f^{{{upper}}}" + (f"_{{{' '.join(lower)}}}" if lower else "")
    parts = [head]
    for child, name in zip(tau.children, lower, strict=True):
        parts += _indexed(child, name, names)
    return parts


def svg(tau: Tree, *, unit: int = 14) -> str:
    """Return a drawing of the tree, root at the bottom, velocity leaves hollow.

    Parameters
    ----------
    unit : int
        Distance between two levels in pixels.
    """
    places: list[tuple[float, int, bool]] = []
    edges: list[tuple[int, int]] = []
    width = _place(tau, 0, 0.0, places, edges)[1]
    height = 1 + max(level for _, level, _ in places)
    margin, radius = unit * 0.4, unit * 0.23
    x = [margin + unit * place[0] for place in places]
    y = [margin + unit * (height - 1 - place[1]) for place in places]
    lines = [
        f'<line x1="{x[a]:.1f}" y1="{y[a]:.1f}" x2="{x[b]:.1f}" y2="{y[b]:.1f}"/>' for a, b in edges
    ]
    dots = [
        f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="{radius:.1f}" '
        f'fill="{"white" if hollow else "currentColor"}"/>'
        for cx, cy, (_, _, hollow) in zip(x, y, places, strict=True)
    ]
    w, h = 2 * margin + unit * (width - 1), 2 * margin + unit * (height - 1)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w:.0f}" height="{h:.0f}" '
        f'viewBox="0 0 {w:.1f} {h:.1f}" stroke="currentColor" stroke-width="1.2" '
        f'role="img" aria-label="{tau.text}">{"".join(lines + dots)}</svg>'
    )


def _place(
    tau: Tree,
    level: int,
    left: float,
    places: list[tuple[float, int, bool]],
    edges: list[tuple[int, int]],
) -> tuple[int, float]:
    """Place a tree in a box starting at `left`; return (its node, the width of the box)."""
    node = len(places)
    places.append((0.0, level, tau.is_velocity))
    offset = left
    spots = []
    for child in tau.children:
        index, width = _place(child, level + 1, offset, places, edges)
        edges.append((node, index))
        spots.append(places[index][0])
        offset += width
    x = (spots[0] + spots[-1]) / 2 if spots else left
    places[node] = (x, level, tau.is_velocity)
    return node, max(1.0, offset - left)
