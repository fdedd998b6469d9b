"""The command line: one file a command, one place that turns errors into exit codes.

Exit codes: 0 all is well; 1 a claim failed or no verdict was possible; 2 the
command was used wrongly or its input cannot be worked with; 130 interrupted.
Errors are one sentence on stderr.
"""

from __future__ import annotations

from collections.abc import Sequence

FINE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; `sys.argv[1:]` by default.
    """
    from momentumflow.cli.app import run

    return run(arguments)
