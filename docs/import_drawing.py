"""The drawing of `architecture.md`: the parts as boxes, their imports as arrows, in SVG.

Rooms stand one above the other, in each the parts that import come above those that
are imported. Short arrows go straight; long ones run in the margins, each on a track
of its own. Colours are those of the page's theme, so that it reads by day and night.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from itertools import pairwise

from import_graph import ROOMS, Part, arrows, essential, parts, reachable

Arrow = tuple[Part, Part]

WIDTH, MARGIN = 400.0, 52.0
ROW, GAP, TITLE = 26.0, 30.0, 38.0
TRACK, LANE = 7.0, 4.0
CAPTIONS = {
    "momentumflow": "the front door: momentumflow/",
    "verify": "judge: verify/",
    "numeric": "run: numeric/",
    "symbolic": "derive: symbolic/",
}


@dataclass(frozen=True)
class Box:
    """Where a part is drawn; `row` counts from the top over all rooms."""

    part: Part
    row: int
    x: float
    y: float
    width: float


def graph(listed: list[Part]) -> tuple[set[Arrow], set[Arrow]]:
    """Return the arrows that are drawn: all of them, and those of deferred imports.

    Within a room only imports at module level count; into another room also those
    inside functions, unless they follow from the others.
    """
    direct = arrows(listed)
    known = reachable(direct)
    deferred = {
        (a, b) for a, b in arrows(listed, deferred=True) if a.room != b.room and (a, b) not in known
    }
    drawn = essential(direct | deferred)
    return drawn, drawn - direct


def levels(members: list[Part], drawn: set[Arrow]) -> list[list[Part]]:
    """Return the parts of one room from the top level down; imports lead to lower levels."""
    height = dict.fromkeys(members, 0)
    for _ in members:
        for a, b in drawn:
            if a in height and b in height:
                height[a] = max(height[a], height[b] + 1)
    return [[p for p in members if height[p] == h] for h in range(max(height.values()), -1, -1)]


def placed(
    listed: list[Part], drawn: set[Arrow]
) -> tuple[list[Box], list[tuple[str, float, float]]]:
    """Return the boxes, and for each room its name, top and bottom."""
    boxes, bands = [], []
    y, row = 4.0, 0
    for room in ROOMS:
        top = y
        y += TITLE
        for level in levels([p for p in listed if p.room == room], drawn):
            span = (WIDTH - 2 * MARGIN) / len(level)
            width = min(span - 8, 138.0)
            for i, part in enumerate(level):
                centre = MARGIN + (i + 0.5) * span
                boxes.append(Box(part, row, centre - width / 2, y, width))
            y += ROW + GAP
            row += 1
        y -= GAP - 10
        bands.append((room, top, y))
        y += 26
    return boxes, bands


def tracks(long: list[tuple[Arrow, bool, int, int]]) -> dict[Arrow, float]:
    """Return the x at which each long arrow runs down: (arrow, on the left, from row, to row)."""
    found: dict[Arrow, float] = {}
    taken: dict[tuple[bool, int], list[tuple[int, int]]] = {}
    for arrow, left, start, end in sorted(long, key=lambda item: item[3] - item[2]):
        k = 0
        while any(s < end and start < e for s, e in taken.get((left, k), [])):
            k += 1
        taken.setdefault((left, k), []).append((start, end))
        offset = MARGIN - 8 - TRACK * k
        found[arrow] = offset if left else WIDTH - offset
    return found


def routes(boxes: list[Box], drawn: set[Arrow]) -> dict[Arrow, list[tuple[float, float]]]:
    """Return the corners of each arrow."""
    at = {box.part: box for box in boxes}
    ordered = sorted(drawn, key=lambda ab: (at[ab[0]].row, at[ab[0]].x, at[ab[1]].row, at[ab[1]].x))

    def port(box: Box, arrow: Arrow, end: int) -> float:
        # Arrows at one side of a box share it in the order of their other ends.
        ends = [ab for ab in ordered if at[ab[end]] is box]
        ends.sort(key=lambda ab: at[ab[1 - end]].x)
        return box.x + box.width * (ends.index(arrow) + 1) / (len(ends) + 1)

    long = []
    for a, b in ordered:
        if at[b].row - at[a].row > 1:
            centre = at[a].x + at[a].width / 2 + at[b].x + at[b].width / 2
            on_left = sum(1 for item in long if item[1])
            left = centre < WIDTH - 1 or (abs(centre - WIDTH) <= 1 and 2 * on_left <= len(long))
            long.append(((a, b), left, at[a].row, at[b].row))
    lanes: dict[int, int] = {}

    def lane(row: int) -> float:
        lanes[row] = lanes.get(row, 0) + 1
        return LANE * lanes[row]

    run = tracks(long)
    found = {}
    for a, b in ordered:
        start, end = at[a], at[b]
        x0, y0 = port(start, (a, b), 0), start.y + ROW
        x1, y1 = port(end, (a, b), 1), end.y
        if (a, b) in run:
            leave = y0 + lane(start.row) + 2
            enter = y1 - 6 - lane(-end.row)
            x = run[a, b]
            found[a, b] = [(x0, y0), (x0, leave), (x, leave), (x, enter), (x1, enter), (x1, y1)]
        else:
            found[a, b] = [(x0, y0), (x1, y1)]
    return found


def svg() -> str:
    """Return the drawing as an SVG element that takes its colours from the page."""
    listed = parts()
    drawn, deferred = graph(listed)
    boxes, bands = placed(listed, drawn)
    height = bands[-1][2] + 6
    out = [
        f'<svg class="imports" viewBox="0 0 {WIDTH:g} {height:g}" role="img" '
        'aria-label="Which part of the package imports which">',
        '<defs><marker id="imports-head" viewBox="0 0 6 6" refX="5.4" refY="3" markerWidth="6" '
        'markerHeight="6" orient="auto"><path d="M0 0 6 3 0 6Z"/></marker></defs>',
    ]
    for room, top, bottom in bands:
        out.append(
            f'<rect class="room {room}" x="1" y="{top:g}" width="{WIDTH - 2:g}" '
            f'height="{bottom - top:g}" rx="6"/>'
        )
    for (a, b), corners in routes(boxes, drawn).items():
        path = f"M{corners[0][0]:.1f} {corners[0][1]:.1f}" + "".join(
            f"L{x:.1f} {y:.1f}" for _, (x, y) in pairwise(corners)
        )
        look = "deferred" if (a, b) in deferred else "direct"
        out.append(
            f'<path class="arrow {look} from-{a.room}" d="{path}" marker-end="url(#imports-head)">'
            f"<title>{html.escape(f'{a.title} imports {b.title}')}</title></path>"
        )
    # After the arrows: where one passes, the title's halo keeps the words legible.
    for room, top, _ in bands:
        caption = html.escape(CAPTIONS[room])
        out.append(f'<text class="title" x="10" y="{top + 16:g}">{caption}</text>')
    for box in boxes:
        title, middle = html.escape(box.part.title), box.x + box.width / 2
        out.append(
            f'<a href="#{box.part.anchor}"><rect class="part" x="{box.x:.1f}" y="{box.y:g}" '
            f'width="{box.width:.1f}" height="{ROW:g}" rx="4"/>'
            f'<text x="{middle:.1f}" y="{box.y + 17:g}">{title}</text></a>'
        )
    return "".join([*out, "</svg>"])


class Drawing:
    """What a notebook shows: the drawing and the words that explain its lines."""

    def _repr_html_(self) -> str:
        return (
            f'<figure class="imports">{svg()}<figcaption>Solid: imported at once. '
            "Dashed: imported when first needed. Each box leads to its files.</figcaption></figure>"
        )


def drawing() -> Drawing:
    """Return the drawing for a notebook cell."""
    return Drawing()
