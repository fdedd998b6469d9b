"""What a shell proposes for the value of an option.

Nothing of the package is imported for it: a shell asks at every press of Tab.
"""

from __future__ import annotations

from collections.abc import Callable

import typer

# The methods that the numeric room has kernels of.
SIMULATED = ("heavy_ball", "nesterov", "gradient_descent")


def choices(*names: str) -> Callable[[str], list[str]]:
    """Return what completes an option that takes one of these names."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete


def commands(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a command."""
    root = context.find_root().command
    return [name for name in getattr(root, "commands", {}) if name.startswith(incomplete)]


def claims(incomplete: str) -> list[str]:
    """Complete the name of a claim of `momentumflow verify`."""
    from momentumflow.verify import claims as known

    return [claim.name for claim in known() if claim.name.startswith(incomplete)]


def figures(incomplete: str) -> list[str]:
    """Complete the name of a figure of `momentumflow figures`."""
    from momentumflow.verify.gallery import GALLERY

    return [picture.name for picture in GALLERY if picture.name.startswith(incomplete)]
