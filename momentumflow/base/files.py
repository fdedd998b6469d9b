"""Files that are written whole or not at all, and locks that die with their process."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from momentumflow.base.errors import InputError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_DRAFT = re.compile(r"\.[0-9a-f]{16}\.draft(\.\w+)?")


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """Yield a new name beside `path` to write to; what was written takes the place of `path`.

    When the block ends, the content is on the disk under the name `path`; when it
    fails, `path` is as it was and the draft is gone. A symbolic link at `path` is
    replaced, its target is not touched.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full.
    """
    draft = path.with_name(f".{secrets.token_hex(8)}.draft{path.suffix}")
    try:
        yield draft
        # Windows refuses to flush a file that is open for reading only.
        with open(draft, "r+b") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    flush_folder(path.parent)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write `path` in one piece, through to the disk; text as UTF-8.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full.
    """
    with draft_of(path) as draft, open(draft, "xb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_text(path: str | Path, text: str) -> Path:
    """Write a file that a user asks for, in one piece.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    target = Path(path)
    try:
        write_whole(target, text)
    except OSError as error:
        raise InputError(
            "a file that can be written", f"{target} ({error.strerror or error})"
        ) from error
    return target


def is_draft(name: str) -> bool:
    """Whether a file of this name is what a kill left of a file being written."""
    return _DRAFT.fullmatch(name) is not None


def flush_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system has such a thing."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hold(path: Path) -> BinaryIO:
    """Lock the file `path`, made if it is missing; closing it, or dying, gives the lock back.

    Raises
    ------
    BlockingIOError
        If another process holds it.
    OSError
        If the file cannot be made, or the file system knows no locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    file = os.fdopen(descriptor, "r+b", buffering=0)
    try:
        if sys.platform == "win32":
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            except PermissionError as error:
                raise BlockingIOError(error.errno, "locked", str(path)) from None
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        file.close()
        raise
    return file
