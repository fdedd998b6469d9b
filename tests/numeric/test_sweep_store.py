"""A sweep's store loses nothing: not by kills, two writers, a full disk or damage, bit for bit.

`MOMENTUMFLOW_KILLS` and `MOMENTUMFLOW_WRITERS` raise the number of moments at which
a process is killed, and of offsets at which a second one starts (`make crash-test`).
"""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from momentumflow import InputError
from momentumflow.base import files
from momentumflow.numeric import sweep
from momentumflow.numeric.sweeps.store import SweepStore

KILLS = int(os.environ.get("MOMENTUMFLOW_KILLS", "5"))
WRITERS = int(os.environ.get("MOMENTUMFLOW_WRITERS", "4"))

GRID = {
    "gamma": [0.02, 0.04], "lam": [0.1, 0.5, 1.0], "alpha": [1.0, 0.5], "n": 4, "d": 8,
    "sparsity": 2, "seeds": 5, "chunk": 1, "max_steps": 20_000, "jobs": 1,
}  # fmt: skip
TASKS = 60
PROGRAM = """
import sys
from momentumflow import InputError
from momentumflow.numeric import sweep
print("ready", flush=True)
try:
    sweep(**{grid!r}, store={store!r})
except InputError as error:
    print(error)
    sys.exit(2)
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[xr.Dataset, Path]:
    """Return the data set and the store of a run that nothing disturbed."""
    store = tmp_path_factory.mktemp("sweep") / "store"
    return sweep(**GRID, store=store), store


def contents(store: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file()
    }


def start(store: Path) -> subprocess.Popen:
    """Start the sweep in a process of its own; return when it is about to open the store."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(grid=GRID, store=str(store))],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_killed_at_any_moment_it_resumes_to_the_same_bits(undisturbed, tmp_path):
    _, whole = undisturbed
    moments = random.Random(1)
    began = time.monotonic()
    process = start(tmp_path / "timed")
    process.communicate()
    assert process.returncode == 0
    lasted = time.monotonic() - began
    kills, store = 0, tmp_path / "killed"
    while kills < KILLS:
        process = start(store)
        # a third of the time: a store is killed several times before it is complete
        try:
            process.wait(moments.uniform(0, lasted / 3))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
        _, said = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), said
        if process.returncode == 0:
            assert contents(store) == contents(whole)
            shutil.rmtree(store)
    process = start(store)
    assert process.communicate() == ("", "")
    assert contents(store) == contents(whole)


def test_of_two_writers_one_writes_and_the_other_is_told(undisturbed, tmp_path):
    _, whole = undisturbed
    told = 0
    for number in range(WRITERS):
        store = tmp_path / f"shared-{number}"
        first = start(store)
        time.sleep(1.5 * number / WRITERS)
        second = start(store)
        outcomes = [(*p.communicate(), p.returncode) for p in (first, second)]
        for out, err, code in outcomes:
            assert err == ""
            assert (code, out) == (0, "") or (
                code == 2 and out.startswith(f"expected one process writing to {store}, received a")
            ), out
            told += code == 2
        assert 0 in [code for *_, code in outcomes]
        assert contents(store) == contents(whole)
    print(f"{told} of {WRITERS} were told")


def test_the_second_writer_is_told_while_the_first_runs(tmp_path):
    with files.hold(tmp_path / "sweep.lock"):
        process = start(tmp_path)
        out, err = process.communicate()
        assert (process.returncode, err) == (2, "")
        assert out == (
            f"expected one process writing to {tmp_path}, received a second one; wait for the "
            "first or stop it, then give the same command to resume.\n"
        )
    assert sweep(**GRID | {"seeds": 1}, store=tmp_path).attrs["complete"] == 1


def one_task(store: Path, number: int = 7) -> Path:
    (file,) = (store / "tasks").glob(f"{number:07d}.*.npy")
    return file


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def swap(store: Path) -> None:
    one, two = one_task(store, 1), one_task(store, 2)
    kept = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(kept)


def renumber(store: Path) -> None:
    one, two = one_task(store, 1), one_task(store, 2)
    two.unlink()
    one.rename(one.with_name(one.name.replace("0000001", "0000002")))


def in_place_of(path: Path, kind: str) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("nowhere")
    else:
        path.write_text(kind)


# What happens to a store, and the sentence that refuses it; None: it is repaired.
DAMAGE = {
    "a task is missing": (lambda s: one_task(s).unlink(), None),
    "a task is empty": (lambda s: one_task(s).write_bytes(b""), None),
    "a task is cut": (lambda s: os.truncate(one_task(s), 150), None),
    "a bit of a task is flipped": (lambda s: flip(one_task(s)), None),
    "a task is longer": (lambda s: one_task(s).write_bytes(one_task(s).read_bytes() + b"x"), None),
    "two tasks are swapped": (swap, None),
    "a task is renumbered": (renumber, None),
    "a task is a dangling link": (lambda s: in_place_of(one_task(s), "link"), None),
    "a task is a folder": (lambda s: in_place_of(one_task(s), "folder"), "a disk that takes a fin"),
    "all tasks are gone": (lambda s: shutil.rmtree(s / "tasks"), None),
    "tasks is a file": (lambda s: in_place_of(s / "tasks", "x"), "a store that can be written"),
    "the mark is gone": (lambda s: (s / "sweep.json").unlink(), None),
    "the mark is empty": (lambda s: in_place_of(s / "sweep.json", ""), "as a sweep left it"),
    "the mark is cut": (lambda s: os.truncate(s / "sweep.json", 99), "move this file away and"),
    "the mark is no object": (lambda s: in_place_of(s / "sweep.json", "[1]"), "that is damaged"),
    "the mark is no text": (lambda s: (s / "sweep.json").write_bytes(b"\xff\0"), "is damaged"),
    "the mark is another": (lambda s: in_place_of(s / "sweep.json", '{"format": 1}'), "another fo"),
    "the mark is a folder": (lambda s: in_place_of(s / "sweep.json", "folder"), "can be written"),
    "the lock is gone": (lambda s: (s / "sweep.lock").unlink(), None),
    "the lock is a link": (lambda s: in_place_of(s / "sweep.lock", "link"), "can be written"),
    "the store is a file": (lambda s: in_place_of(s, "x"), "a store that can be written"),
    "drafts lie about": (
        lambda s: [
            (folder / f".{'0' * 16}.draft.npy").write_text("x") for folder in (s, s / "tasks")
        ],
        None,
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_run_again_or_refused(undisturbed, tmp_path, damage):
    expected, whole = undisturbed
    harm, sentence = DAMAGE[damage]
    store = tmp_path / "store"
    shutil.copytree(whole, store)
    harm(store)
    if sentence is None:
        assert sweep(**GRID, store=store).identical(expected)
        assert {
            name: content for name, content in contents(store).items() if name in contents(whole)
        } == contents(whole)
        assert not [name for name in contents(store) if "draft" in name]
    else:
        before = contents(store)
        with pytest.raises(InputError, match=sentence):
            sweep(**GRID, store=store)
        assert contents(store).items() >= before.items()


def test_a_file_put_in_the_place_of_a_result_is_seen(undisturbed, tmp_path):
    """The negative control: without the digest this store would be believed."""
    expected, whole = undisturbed
    store = tmp_path / "store"
    shutil.copytree(whole, store)
    file = one_task(store)
    measures = np.load(file)
    measures[6] += 1
    with file.open("wb") as opened:
        np.save(opened, measures)
    assert sweep(**GRID, store=store).identical(expected)
    store_of_nothing = SweepStore._digest_of
    try:
        SweepStore._digest_of = lambda self, task, content: file.name.split(".")[1]
        with file.open("wb") as opened:
            np.save(opened, measures)
        assert not sweep(**GRID, store=store).identical(expected)
    finally:
        SweepStore._digest_of = store_of_nothing


def test_a_task_counts_only_when_it_is_on_the_disk(tmp_path, monkeypatch):
    """Each file is flushed before it gets its name, and its folder after."""
    events = []

    def seen(name, original):
        def call(*arguments):
            events.append((name, arguments))
            return original(*arguments)

        return call

    monkeypatch.setattr(files.os, "fsync", seen("flush", os.fsync))
    monkeypatch.setattr(files.Path, "replace", seen("name", Path.replace))
    sweep(**GRID | {"seeds": 1}, store=tmp_path / "store")
    order = [name for name, _ in events]
    assert order[:3] == ["flush", "name", "flush"]
    tasks = order[4:] if order[3] == "flush" else order[3:]
    assert tasks == ["flush", "name", "flush"] * 12


def test_a_full_disk_ends_in_a_sentence_and_the_store_resumes(undisturbed, tmp_path, monkeypatch):
    expected, whole = undisturbed
    store = tmp_path / "store"
    flushes = []

    def full(descriptor):
        flushes.append(descriptor)
        if len(flushes) > 30:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(InputError, match=r"\(No space left on device\); \d+ of 60 tasks are stor"):
        sweep(**GRID, store=store)
    assert not [name for name in contents(store) if "draft" in name]
    monkeypatch.undo()
    assert sweep(**GRID, store=store).identical(expected)
    assert contents(store) == contents(whole)


def test_a_disk_that_takes_no_more_bytes(tmp_path):
    """The same by the system: a limit on the size of files, met while a task is written."""
    store = tmp_path / "store"
    big = GRID | {"chunk": 60, "seeds": 10}
    program = PROGRAM.format(grid=big, store=str(store))
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, -1))\n"
    done = subprocess.run(
        [sys.executable, "-c", limit + program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "")
    assert "(File too large); 0 of 2 tasks are stored: make room and give the same" in done.stdout
    assert sweep(**big, store=store).identical(sweep(**big))


@pytest.mark.parametrize("made", [["loss/c/0"], ["status/x"], ["tasks/mine.npy"], ["notes.txt"]])
def test_a_folder_that_is_not_a_store_is_left_alone(tmp_path, made):
    for name in made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"a sweep's store, received .* which holds"):
        sweep(**GRID, store=tmp_path)
    assert contents(tmp_path) == before


def test_another_sweeps_store_is_refused(undisturbed, tmp_path):
    _, whole = undisturbed
    before = contents(whole)
    with pytest.raises(InputError, match=r"another one \(different axes\)"):
        sweep(**GRID | {"gamma": 0.03}, store=whole)
    with pytest.raises(InputError, match=r"another one \(different axes, methods\)"):
        sweep(**GRID | {"method": "nesterov"}, store=whole)
    assert contents(whole) == before


def test_a_file_system_without_locks_is_said(undisturbed, tmp_path, monkeypatch, caplog):
    expected, _ = undisturbed

    def none(*_):
        raise OSError(errno.ENOTSUP, "none")

    monkeypatch.setattr(files.fcntl, "flock", none)
    assert sweep(**GRID, store=tmp_path / "store").identical(expected)
    assert "the file system has no locks" in caplog.text


def test_the_workers_of_a_killed_sweep_end(tmp_path):
    """Workers notice that their sweep is gone, and leave nothing running."""
    long = GRID | {"jobs": 2, "chunk": 6, "gamma": [1e-4], "lam": [0.5], "tol": 1e-15}
    long |= {"max_steps": 2_000_000_000, "n": 20, "d": 40, "alpha": [1e-3 * k for k in range(1, 7)]}
    process = start_long(long, tmp_path / "store")
    workers = children(process.pid, at_least=2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 120
    while any(alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    left = [worker for worker in workers if alive(worker)]
    for worker in left:
        os.kill(worker, signal.SIGKILL)
    assert not left


def start_long(grid: dict, store: Path) -> subprocess.Popen:
    program = PROGRAM.format(grid=grid, store=str(store))
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def children(pid: int, at_least: int) -> list[int]:
    """Return the processes that run tasks for `pid`, once they do so."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and parent(int(entry.name)) == pid and busy(int(entry.name))
        ]
        if len(found) >= at_least:
            return found
        time.sleep(0.1)
    raise AssertionError("no workers were started")


def parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None


def busy(pid: int) -> bool:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) > 300  # three seconds of work: past the imports


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", range(3))
def test_files_are_written_whole_or_not_at_all(tmp_path, number):
    path = tmp_path / "file.txt"
    path.write_text("before")
    if number == 0:
        files.write_whole(path, "after")
        assert path.read_text() == "after"
    elif number == 1:
        with pytest.raises(RuntimeError, match="half"), files.draft_of(path) as draft:  # noqa: PT012
            draft.write_text("half")
            raise RuntimeError("half")
        assert path.read_text() == "before"
    else:
        link = tmp_path / "link.txt"
        link.symlink_to(path)
        files.write_whole(link, "after")
        assert (path.read_text(), link.read_text(), link.is_symlink()) == ("before", "after", False)
    assert not [item for item in tmp_path.iterdir() if "draft" in item.name]
