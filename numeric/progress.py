"""Progress of long work: silent unless asked for or a terminal is attached."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

Advance = Callable[[float], None]

# Work shorter than this shows no meter, even in a terminal.
QUIET_SECONDS = 2.0


@contextlib.contextmanager
def meter(label: str, total: float, *, show: bool | None) -> Iterator[Advance]:
    """Show a bar with rate and time left on stderr; yield a function that advances it.

    Parameters
    ----------
    label : str
        What is being done.
    total : float
        In the units that the yielded function is called with.
    show : bool or None
        True shows it, False does not; None shows it in a terminal only.
    """
    if show is False or (show is None and not sys.stderr.isatty()):
        yield lambda amount: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total, rate="", visible=bool(show))

        def advance(amount: float) -> None:
            progress.advance(task, amount)
            state = progress.tasks[0]
            elapsed = state.elapsed or 0.0
            rate = f"{state.completed / elapsed:.3g}/s" if elapsed else ""
            visible = bool(show) or elapsed > QUIET_SECONDS
            progress.update(task, rate=rate, visible=visible)

        yield advance
