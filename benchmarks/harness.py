"""Timing in paired rounds: every contestant runs once a round, medians and ratios are printed.

Rounds alternate the contestants, so that a slow minute of the machine hits all
of them; a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

console = Console()
# Thread pools (BLAS, XLA) spin for a while after their work; nobody is to run beside
# the spinning threads of the contestant before.
PAUSE = 0.3


@dataclass(frozen=True)
class Contestant:
    """A named piece of work; `units` is what one call does (run-steps, flops, problems)."""

    name: str
    work: Callable[[], object]
    units: float = 1.0


def wake() -> None:
    """Work for a moment: a core that has slept needs some milliseconds to its full clock."""
    end = time.perf_counter() + 0.02
    while time.perf_counter() < end:
        pass


def rounds(contestants: list[Contestant], number: int = 7) -> dict[str, list[float]]:
    """Return seconds per unit for every contestant and round, after one warm-up each."""
    for contestant in contestants:
        contestant.work()
    seconds: dict[str, list[float]] = {c.name: [] for c in contestants}
    for _ in range(number):
        for contestant in contestants:
            time.sleep(PAUSE)
            wake()
            start = time.perf_counter()
            contestant.work()
            elapsed = time.perf_counter() - start
            seconds[contestant.name].append(elapsed / contestant.units)
    return seconds


def ratio(seconds: dict[str, list[float]], slow: str, fast: str) -> float:
    """Median over the rounds of slow/fast."""
    pairs = zip(seconds[slow], seconds[fast], strict=True)
    return statistics.median(a / b for a, b in pairs)


def report(title: str, seconds: dict[str, list[float]], ours: str, unit: str, scale: float) -> None:
    """Print medians in `unit` (seconds times `scale`) and each peer's time over ours."""
    table = Table(title=title)
    for column in ("", f"median, {unit}", f"best, {unit}", "time over ours"):
        table.add_column(column, justify="left" if not column else "right")
    for name, times in seconds.items():
        table.add_row(
            name,
            f"{statistics.median(times) * scale:.4g}",
            f"{min(times) * scale:.4g}",
            "" if name == ours else f"{ratio(seconds, name, ours):.2f}",
        )
    console.print(table)


def dgemm(size: int = 1024) -> Contestant:
    """NumPy's matrix product on all cores: the peak that shares are taken of; units are flops."""
    a = np.random.default_rng(0).standard_normal((size, size))
    b = a.T.copy()
    return Contestant("DGEMM (flop)", lambda: a @ b, 2.0 * size**3)


def fitted_exponent(x: list[float], y: list[float]) -> float:
    """Slope of log y over log x."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
