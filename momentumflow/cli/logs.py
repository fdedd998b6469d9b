"""What the package logs, on stderr while a command runs.

The library logs through `logging` to loggers named after its modules and
attaches no handler; this is the only place that does.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from momentumflow.base.errors import InputError

_ROOT = "momentumflow"


@contextmanager
def listening(verbose: int, quiet: bool) -> Iterator[None]:
    """Show warnings; with `verbose` 1 also steps, with 2 details; with `quiet` errors only.

    Raises
    ------
    InputError
        If both are asked for.
    """
    if verbose and quiet:
        raise InputError("one of --verbose and --quiet", "both")
    level = (
        logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    )
    logger = logging.getLogger(_ROOT)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(name)s: %(levelname)s: %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


def silent() -> bool:
    """Whether the user asked for no progress meters."""
    return logging.getLogger(_ROOT).getEffectiveLevel() >= logging.ERROR
