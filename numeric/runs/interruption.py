"""Ctrl-C during long work: taken note of at once, served between two calls of compiled code.

A KeyboardInterrupt that is raised wherever Python happens to be can leave a state half
written, or be swallowed by code that may not fail, such as a finaliser.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Interruption:
    """Holds Ctrl-C back while it is entered; `asked` tells whether the user pressed it.

    The second Ctrl-C is raised at once. Where Python's own handler is not in place, or
    outside the main thread, which no signal reaches, nothing is held back.
    """

    def __init__(self) -> None:
        self.asked = False
        self._holding = False

    def __enter__(self) -> Interruption:
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            self._holding = True
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._holding:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
