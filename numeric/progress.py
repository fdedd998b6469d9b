"""Progress of long work: silent unless asked for or a terminal is attached."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from momentumflow.base import libraries

# Work shorter than this shows no meter, even in a terminal.
QUIET_SECONDS = 2.0


class Meter:
    """What work reports to; without a bar nobody hears it.

    Calling it with an amount advances the bar.
    """

    def __init__(self, bar: Any = None, *, patient: bool = False) -> None:
        self._bar, self._patient = bar, patient

    def __call__(self, amount: float) -> None:
        """Report that an amount of work is done."""
        if self._bar is not None:
            self._bar.advance(self._bar.tasks[0].id, amount)
            self._refresh()

    def at(self, done: float, total: float, what: str) -> None:
        """Report how much of all is done, and what comes next."""
        if self._bar is not None:
            task = self._bar.tasks[0].id
            self._bar.update(task, completed=done, total=total, description=what)
            self._refresh()

    def _refresh(self) -> None:
        state = self._bar.tasks[0]
        elapsed = state.elapsed or 0.0
        rate = f"{state.completed / elapsed:.3g}/s" if elapsed else ""
        visible = not self._patient or elapsed > QUIET_SECONDS
        self._bar.update(state.id, rate=rate, visible=visible)


@contextlib.contextmanager
def meter(label: str, total: float, *, show: bool | None) -> Iterator[Meter]:
    """Show a bar with rate and time left on stderr; yield what advances it.

    However long the label, the bar keeps its width: the label is cut.

    Parameters
    ----------
    label : str
        What is being done.
    total : float
        In the units that the meter is called with.
    show : bool or None
        True shows it, False does not; None shows it in a terminal only.
    """
    if show is False or (show is None and not sys.stderr.isatty()):
        yield Meter()
        return
    rich = libraries.rich()
    of, column = rich.progress, rich.table.Column
    console = rich.console.Console(stderr=True)
    columns = (
        of.BarColumn(
            bar_width=min(40, max(8, console.width // 6)), table_column=column(no_wrap=True)
        ),
        of.MofNCompleteColumn(table_column=column(no_wrap=True)),
        of.TextColumn("{task.fields[rate]}", markup=False, table_column=column(no_wrap=True)),
        of.TimeElapsedColumn(table_column=column(no_wrap=True)),
        of.TimeRemainingColumn(table_column=column(no_wrap=True)),
        of.TextColumn(
            "{task.description}",
            markup=False,
            table_column=column(ratio=1, no_wrap=True, overflow="ellipsis"),
        ),
    )
    with of.Progress(*columns, console=console, transient=True, expand=True) as bar:
        bar.add_task(label, total=total, rate="", visible=bool(show))
        yield Meter(bar, patient=show is None)
