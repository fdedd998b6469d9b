"""LaTeX formulas as SVG, so that a report reads without a network.

matplotlib's mathtext lays the formula out; the outlines become one SVG path in
the colour of the surrounding text, with the LaTeX source as its accessible
label; the rows of a system stand below each other. What mathtext cannot read
falls back to the source as text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape

from momentumflow.base import libraries

# Constructs that SymPy's LaTeX printer uses and mathtext does not know.
_REWRITES = (
    (re.compile(r"\\[td]?frac"), r"\\dfrac"),
    (re.compile(r"\\middle\|"), r"|"),
    (re.compile(r"\\left(?![a-z])|\\right(?![a-z])"), r""),
    (re.compile(r"\\limits|\\textstyle|\\[bB]igg?(?![a-z])"), r""),
    (re.compile(r"\\([gl])e(?![a-z])"), r"\\\1eq"),
    (re.compile(r"\\mathbb ([A-Z])"), r"\\mathbb{\1}"),
    (re.compile(r"\\begin\{(equation|align)\*?\}|\\end\{(equation|align)\*?\}"), r""),
)
_SYSTEM = re.compile(r"\\begin\{(?P<kind>cases|aligned)\}(?P<rows>.*)\\end\{(?P=kind)\}", re.DOTALL)
_FONT_SIZE = 12.0
_ROW_GAP = 6.0


@lru_cache(maxsize=512)
def svg(latex: str) -> Markup:
    """Return an inline SVG of `latex` (no dollar signs)."""
    mpl = libraries.matplotlib()
    try:
        outline = _outline(latex)
    except ValueError:
        return Markup('<code class="formula">{}</code>').format(latex)
    box = outline.get_extents()
    commands = []
    for vertices, code in outline.iter_segments(curves=True, simplify=False):
        points = " ".join(
            f"{x:.2f} {-y:.2f}" for x, y in zip(vertices[::2], vertices[1::2], strict=True)
        )
        match code:
            case mpl.path.Path.MOVETO:
                commands.append(f"M{points}")
            case mpl.path.Path.LINETO:
                commands.append(f"L{points}")
            case mpl.path.Path.CURVE3:
                commands.append(f"Q{points}")
            case mpl.path.Path.CURVE4:
                commands.append(f"C{points}")
            case mpl.path.Path.CLOSEPOLY:
                commands.append("Z")
    pad = 1.0
    width, height = box.width + 2 * pad, box.height + 2 * pad
    # Sizes in em, so that a formula grows with the text; the baseline sits at y = 0.
    return Markup(
        '<svg class="formula" role="img" aria-label="{label}" '
        'viewBox="{x:.2f} {y:.2f} {w:.2f} {h:.2f}" '
        'style="width:{ew:.3f}em;height:{eh:.3f}em;vertical-align:{depth:.3f}em">'
        '<path d="{d}" fill="currentColor"/></svg>'
    ).format(
        label=escape(latex),
        x=box.x0 - pad,
        y=-box.y1 - pad,
        w=width,
        h=height,
        ew=width / _FONT_SIZE,
        eh=height / _FONT_SIZE,
        depth=(box.y0 - pad) / _FONT_SIZE,
        d="".join(commands),
    )


def _outline(latex: str) -> Any:
    """Return the path of a formula; the rows of a system stand below each other."""
    mpl = libraries.matplotlib()
    font = mpl.font_manager.FontProperties()
    system = _SYSTEM.fullmatch(latex.strip())
    rows = system["rows"].replace("&", "").split("\\\\") if system else [latex]
    placed, below = [], None
    for row in rows:
        path = mpl.textpath.TextPath(
            (0, 0), f"${_source(row).strip()}$", size=_FONT_SIZE, prop=font
        )
        box = path.get_extents()
        down = 0.0 if below is None else below - _ROW_GAP - box.y1
        placed.append(path.transformed(mpl.transforms.Affine2D().translate(0, down)))
        below = box.y0 + down
    return mpl.path.Path.make_compound_path(*placed) if len(placed) > 1 else placed[0]


def _source(latex: str) -> str:
    """Rewrite what mathtext does not know into what it does."""
    for pattern, replacement in _REWRITES:
        latex = pattern.sub(replacement, latex)
    return latex
