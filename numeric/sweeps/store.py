"""The store of a sweep: a folder with a file for each finished task, safe to kill at any moment.

    sweep.json                      what the sweep computes, and which versions began it
    sweep.lock                      held by the process that writes
    tasks/<number>.<digest>.npy     the measures of one task, shape (measures, runs)

The digest is SHA-256 over the specification, the number of the task and the
content of the file. A task counts as done if a file is there whose content has
the digest in its name; whatever is missing, cut or altered, or belongs to another
task or sweep, is run again. A file appears under its name only when it is on the
disk as a whole. Nothing is ever deleted but drafts of these files that a kill left.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from momentumflow.base.arrays import FloatArray
from momentumflow.base.errors import InputError
from momentumflow.base.files import flush_folder, hold, is_draft, write_whole
from momentumflow.numeric.sweeps.specification import MEASURES, STATUS_CODE, SweepSpec

_log = logging.getLogger(__name__)
_MARKER, _LOCK, _TASKS = "sweep.json", "sweep.lock", "tasks"
_FORMAT = "momentumflow sweep 2"
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_TASK_FILE = re.compile(r"(\d+)\.([0-9a-f]{64})\.npy")


class SweepStore:
    """The tasks of one sweep on the disk."""

    def __init__(self, path: Path, spec: SweepSpec) -> None:
        self._folder = path / _TASKS
        self._path = path
        self._spec = spec
        self._digest = spec.digest()
        self._written = 0

    @classmethod
    @contextmanager
    def open(
        cls, path: Path, spec: SweepSpec, provenance: Mapping[str, Any]
    ) -> Iterator[SweepStore]:
        """Open the store at `path`, or make it, and keep other processes out meanwhile.

        Raises
        ------
        InputError
            A store of another sweep or in use by another process, a folder that is
            not a store, or that cannot be written.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            _refuse_strangers(path)
            lock = _lock(path)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            store = cls(path, spec)
            try:
                store._begin(provenance)
                if lock is not None:
                    _remove_drafts(path, path / _TASKS)
            except OSError as error:
                raise _unwritable(path, error) from error
            yield store
        finally:
            if lock is not None:
                lock.close()

    def _begin(self, provenance: Mapping[str, Any]) -> None:
        marker = self._path / _MARKER
        if marker.is_file():
            self._compare(_read_marker(marker), provenance)
        self._folder.mkdir(exist_ok=True)
        if not marker.is_file():
            stated = {"format": _FORMAT, "sweep": self._spec.stated(), "begun": dict(provenance)}
            write_whole(marker, json.dumps(stated, indent=1))
            flush_folder(self._path.absolute().parent)

    def _compare(self, stored: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
        differing = self._spec.differences(stored["sweep"])
        if differing:
            raise InputError(
                f"the sweep that {self._path} holds",
                f"another one (different {', '.join(differing)})",
                "give it a store of its own",
            )
        changed = [k for k, v in provenance.items() if stored["begun"].get(k) != v]
        if changed:
            _log.warning(
                "sweep %s was begun with other versions of %s: results may differ in the last "
                "digits between its tasks",
                self._path,
                ", ".join(changed),
            )

    def load(self) -> dict[int, FloatArray]:
        """Return the measures of every task that is stored whole."""
        stored: dict[int, FloatArray] = {}
        damaged = 0
        for file in sorted(self._folder.iterdir()):
            named = _TASK_FILE.fullmatch(file.name)
            if named is None or int(named[1]) >= self._spec.tasks:
                continue
            task = int(named[1])
            measures = self._read(file, task, named[2])
            if measures is None:
                damaged += 1
            else:
                stored[task] = measures
        if damaged:
            _log.warning("%d damaged files in %s: their tasks are run again", damaged, self._path)
        if stored:
            _log.info("resuming: %d of %d tasks are in the store", len(stored), self._spec.tasks)
        self._written = len(stored)
        return stored

    def _read(self, file: Path, task: int, digest: str) -> FloatArray | None:
        try:
            content = file.read_bytes()
        except OSError:
            return None
        if self._digest_of(task, content) != digest:
            return None
        measures: FloatArray = np.load(io.BytesIO(content), allow_pickle=False)
        return measures

    def _digest_of(self, task: int, content: bytes) -> str:
        return hashlib.sha256(self._digest + task.to_bytes(8, "big") + content).hexdigest()

    def write(self, task: int, measures: FloatArray) -> None:
        """Store a finished task: when this returns, it is on the disk.

        Raises
        ------
        InputError
            If it cannot be written; what was stored before stays.
        """
        expected = (len(MEASURES), len(self._spec.task_runs(task)))
        assert measures.shape == expected
        assert np.isin(measures[0], list(STATUS_CODE.values())).all()
        buffer = io.BytesIO()
        np.save(buffer, measures, allow_pickle=False)
        content = buffer.getvalue()
        name = f"{task:07d}.{self._digest_of(task, content)}.npy"
        try:
            write_whole(self._folder / name, content)
        except OSError as error:
            raise InputError(
                "a disk that takes a finished task",
                f"{self._path} ({error.strerror or error})",
                f"{self._written} of {self._spec.tasks} tasks are stored: make room and give "
                "the same command to go on from there",
            ) from error
        self._written += 1


def _refuse_strangers(path: Path) -> None:
    """Refuse a folder without the mark of a store, unless it holds what a kill leaves of one."""
    if (path / _MARKER).exists():
        return
    tasks = path / _TASKS
    found = [item.name for item in path.iterdir() if item.name not in (_LOCK, _TASKS)]
    if tasks.is_dir():
        found += [
            f"{_TASKS}/{item.name}"
            for item in tasks.iterdir()
            if not _TASK_FILE.fullmatch(item.name)
        ]
    elif tasks.exists():
        found.append(_TASKS)
    strangers = sorted(name for name in found if not is_draft(name.rpartition("/")[2]))
    if strangers:
        listed = ", ".join(strangers[:4]) + (", ..." if len(strangers) > 4 else "")
        raise InputError(
            "an empty folder or a sweep's store",
            f"{path}, which holds {listed}",
            "give the store a folder of its own; nothing was changed",
        )


def _lock(path: Path) -> Any:
    """Keep other processes out of the store, where the file system can."""
    try:
        return hold(path / _LOCK)
    except BlockingIOError:
        raise InputError(
            f"one process writing to {path}",
            "a second one",
            "wait for the first or stop it, then give the same command to resume",
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        # Files are named after their content and put in place whole: two processes
        # would do the same work twice, and harm nothing.
        _log.warning("%s: the file system has no locks (%s); start one sweep only", path, error)
        return None


def _read_marker(marker: Path) -> dict[str, Any]:
    try:
        stored = json.loads(marker.read_bytes())
        if stored["format"] == _FORMAT and {"sweep", "begun"} <= set(stored):
            return {"sweep": dict(stored["sweep"]), "begun": dict(stored["begun"])}
        found = "another format"
    except (ValueError, KeyError, TypeError):
        found = "damaged"
    raise InputError(
        f"{marker} as a sweep left it",
        f"a file that is {found}",
        "if the folder is a sweep's, move this file away and give the same command: what "
        "is whole of its tasks is kept",
    )


def _remove_drafts(*folders: Path) -> None:
    for folder in folders:
        for item in folder.iterdir():
            if is_draft(item.name) and item.is_file():
                item.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError("a store that can be written", f"{path} ({error.strerror or error})")
