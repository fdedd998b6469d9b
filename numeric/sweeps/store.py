"""The Zarr store of a sweep: written task by task, safe to kill at any moment."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from momentumflow.base.errors import InputError
from momentumflow.numeric.validation import FloatArray

if TYPE_CHECKING:
    from momentumflow.numeric.sweeps.grids import SweepSpec

_log = logging.getLogger(__name__)
_SPEC, _PROVENANCE, _DONE = "specification", "provenance", "done"


class SweepStore:
    """One array a measure, chunked by task, and an array `done` with a chunk a task.

    A task's measures are written first and its entry of `done` last. A kill in
    between leaves `done` unset (or its one-byte chunk unreadable), and the task
    is run again; a task whose entry is set is never run twice.
    """

    def __init__(self, group: Any, spec: SweepSpec) -> None:
        self._group = group
        self._spec = spec

    @classmethod
    def open(cls, path: Path, spec: SweepSpec, provenance: Mapping[str, Any]) -> SweepStore:
        """Open the store at `path`, or make it.

        Raises
        ------
        InputError
            A store of another sweep, a folder that is not a store or cannot be
            written, a missing zarr.
        """
        from momentumflow.numeric.sweeps.grids import MEASURES

        try:
            import zarr
        except ImportError:
            raise InputError(
                "zarr installed, to store a sweep",
                "none",
                "pip install 'momentumflow[sweep]', or leave store out",
            ) from None
        marker = path / "complete.json"
        if marker.is_file():
            stored = json.loads(marker.read_text(encoding="utf-8"))
            differing = spec.differences(stored[_SPEC])
            if differing:
                raise InputError(
                    f"the sweep that {path} holds",
                    f"another one (different {', '.join(differing)})",
                    "give it a store of its own",
                )
            group = zarr.open_group(str(path), mode="r+")
            begun: Any = group.attrs[_PROVENANCE]
            changed = [k for k, v in provenance.items() if begun.get(k) != v]
            if changed:
                _log.warning(
                    "sweep %s was begun with other versions of %s: results may differ in the "
                    "last digits between its tasks",
                    path,
                    ", ".join(changed),
                )
            return cls(group, spec)
        if path.exists() and any(path.iterdir()):
            unfinished = {".zgroup", "zarr.json", _DONE, *MEASURES}
            if not {item.name for item in path.iterdir()} <= unfinished:
                raise InputError("an empty folder or a sweep's store", f"{path}")
        try:
            group = zarr.open_group(str(path), mode="w")
            for name in MEASURES:
                group.create_array(
                    name, shape=(spec.runs,), chunks=(spec.chunk,), dtype="f8", fill_value=np.nan
                )
            group.create_array(
                _DONE, shape=(spec.tasks,), chunks=(1,), dtype="u1", fill_value=0, compressors=None
            )
            group.attrs.update({_PROVENANCE: dict(provenance)})
            # The marker comes last and appears whole: a store killed while it
            # was being laid out has none, and is laid out anew.
            draft = path / "complete.json.draft"
            draft.write_text(json.dumps({_SPEC: asdict(spec)}), encoding="utf-8")
            draft.replace(marker)
        except OSError as error:
            raise InputError("a store that can be written", f"{path} ({error})") from error
        return cls(group, spec)

    def load(self, results: dict[str, FloatArray]) -> list[int]:
        """Fill in what is stored; return the tasks that are still to be run."""
        waiting = [task for task in range(self._spec.tasks) if not self._is_done(task)]
        stored = self._spec.tasks - len(waiting)
        if stored:
            _log.info("resuming: %d of %d tasks are in the store", stored, self._spec.tasks)
        done = np.ones(self._spec.runs, dtype=bool)
        for task in waiting:
            runs = self._spec.task_runs(task)
            done[runs.start : runs.stop] = False
        if done.any():
            for task in sorted(set(range(self._spec.tasks)) - set(waiting)):
                runs = self._spec.task_runs(task)
                for name, values in results.items():
                    values[runs.start : runs.stop] = self._group[name][runs.start : runs.stop]
        return waiting

    def write(self, task: int, measures: Mapping[str, FloatArray]) -> None:
        """Store a finished task."""
        runs = self._spec.task_runs(task)
        for name, values in measures.items():
            self._group[name][runs.start : runs.stop] = values
        self._group[_DONE][task : task + 1] = np.ones(1, dtype=np.uint8)

    def _is_done(self, task: int) -> bool:
        try:
            return bool(self._group[_DONE][task] == 1)
        except (ValueError, OSError, RuntimeError):  # a chunk cut short by a kill
            return False
