"""What people see: tables and sentences, in which nothing of a user's is obeyed.

Names of columns and files are shown as they are: square brackets are no markup,
and what would move the cursor or change colours is written out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from os import environ
from typing import Any

import typer

from momentumflow.base.libraries import rich
from momentumflow.cli import logs
from momentumflow.numeric.progress import meter

# Where nobody watches, lines are as long as they are.
_UNBOUNDED = 10_000


def plain(text: str) -> str:
    """Return the text with all that a terminal would obey or could not show written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(*sentences: str) -> None:
    """Print sentences, a line each."""
    for sentence in sentences:
        typer.echo(plain(sentence))


def show(renderable: Any) -> None:
    """Print what rich can draw: as wide as the terminal, and not cut where there is none."""
    if sys.stdout.isatty() or "COLUMNS" in environ:
        _console().print(renderable)
    else:
        typer.echo(as_lines(renderable))


def as_lines(renderable: Any) -> str:
    """Return what rich can draw as text that is cut nowhere."""
    console = _console(_UNBOUNDED)
    with console.capture() as captured:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().rstrip().splitlines())


def _console(width: int | None = None) -> Any:
    return rich().console.Console(highlight=False, markup=False, emoji=False, width=width)


def table(headings: str, rows: Iterable[Iterable[str]], *, title: str | None = None) -> Any:
    """Return a table for `show`.

    Parameters
    ----------
    headings : str
        Separated by "|"; a column whose heading starts with ">" is set to the right.
    rows : iterable of iterables of str
    title : str, optional
    """
    drawn = rich().table.Table(box=None, pad_edge=False, title=title, title_justify="left")
    for heading in headings.split("|"):
        name = heading.removeprefix(">")
        drawn.add_column(name, justify="left" if name == heading else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*map(plain, row))
    return drawn


@contextmanager
def progress(*, silent: bool) -> Iterator[Callable[[int, int, str], None]]:
    """Show a bar on stderr while a terminal is attached to it; yield what reports to it."""
    watched = rich().console.Console(stderr=True).is_terminal and not (silent or logs.silent())
    with meter("", 1, show=watched) as bar:
        yield bar.at
