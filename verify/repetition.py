"""False alarms: the random checks again and again, with fresh seeds.

A verifier that cries wolf is switched off, and one run cannot show that it does
not. `repeat` runs every check on the shipped theory with one root seed after
another, and every negative control with it: an alarm is a check that does not
support its claim, or a control that is not rejected. What does not depend on the
seed (proofs, fixed data) is done once. Each outcome is appended to a file of
JSON lines as it comes, so that a run killed at any moment goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeAlias

from scipy import stats

from momentumflow import numeric, symbolic
from momentumflow.base import libraries
from momentumflow.base.arguments import FileName, Natural, PositiveFloat, Where, checked
from momentumflow.base.errors import InputError
from momentumflow.base.numbers import plain
from momentumflow.symbolic.theorems.statements import Provable
from momentumflow.verify import runner
from momentumflow.verify.claim import Claim, Mutation
from momentumflow.verify.evidence import Measurement, Verdict
from momentumflow.verify.report.findings import environment
from momentumflow.verify.runner import Progress, chosen_claims, chosen_settings
from momentumflow.verify.settings import Seeds, Settings
from momentumflow.verify.subject import Subject, shipped

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table


# What a piece of work says: alarm, verdict, what decided it, measurements.
Outcome: TypeAlias = tuple[bool, Verdict, str, tuple[Measurement, ...]]
# The upper limits of rates hold with this probability.
LEVEL = 0.95
_FORMAT = 1


@dataclass(frozen=True)
class Trial:
    """One outcome: a proof, a check or a negative control, under one root seed.

    Attributes
    ----------
    claim : str
        Name of the claim.
    kind : str
        "proof", "check" or "control".
    name : str
        Name of the proof or of the mutation; empty for a check.
    base_seed : int
        Root of the randomness.
    alarm : bool
        Whether a proof or a check was not supported, or a control not rejected.
    verdict : str
        Of the evidence: a control that is caught reads "not supported".
    decided : str
        The measurement that decided, as a sentence.
    strain : float or None
        For a check: the largest `Measurement.strain`.
    strained : str
        The measurement it belongs to, as a sentence.
    seconds : float
    """

    claim: str
    kind: str
    name: str
    base_seed: int
    alarm: bool
    verdict: str
    decided: str
    strain: float | None
    strained: str
    seconds: float

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What is done once."""
        return self.claim, self.kind, self.name, self.base_seed


@dataclass(frozen=True)
class _Part:
    """A piece of work: what makes one `Trial`."""

    claim: Claim
    kind: str
    name: str
    base_seed: int
    work: Callable[[], Outcome]

    def run(self) -> Trial:
        started = perf_counter()
        alarm, verdict, decided, measurements = self.work()
        known = [m for m in measurements if not math.isnan(m.strain)]
        worst = max(known, key=lambda m: m.strain, default=None)
        return Trial(
            self.claim.name, self.kind, self.name, self.base_seed, alarm, verdict.value, decided,
            None if worst is None else float(worst.strain),
            "" if worst is None else str(worst),
            perf_counter() - started,
        )  # fmt: skip


def _parts(
    claim: Claim, subject: Subject, settings: Settings, *, first: bool, controls: bool
) -> Iterator[_Part]:
    """Yield what one repetition does for a claim; what is fixed, only in the first."""
    seed = settings.base_seed

    def proof(identity: Provable) -> Outcome:
        proved = runner.prove(identity)
        return proved.verdict is not Verdict.SUPPORTED, proved.verdict, proved.reason, ()

    if first:
        for identity in claim.to_prove:
            yield _Part(claim, "proof", identity.name, seed, partial(proof, identity))
    if not (first or claim.random):
        return

    def check() -> Outcome:
        found = runner.look(claim, subject, settings)
        alarm = found.verdict is not Verdict.SUPPORTED
        return alarm, found.verdict, str(found.deciding), found.measurements

    def control(mutation: Mutation) -> Outcome:
        found = runner.look_at_control(claim, mutation, subject, settings)
        verdict = Verdict.UNDECIDED if found.evidence is None else found.evidence.verdict
        return not found.rejected, verdict, found.explanation, ()

    yield _Part(claim, "check", "", seed, check)
    if controls:
        for mutation in claim.controls:
            yield _Part(claim, "control", mutation.name, seed, partial(control, mutation))


def upper_limit(alarms: int, trials: int, level: float = LEVEL) -> float:
    """Return the one-sided Clopper-Pearson upper limit of a rate.

    The true rate lies below it with probability `level` at least, whatever it is.
    C. J. Clopper and E. S. Pearson, Biometrika 26 (1934), doi:10.1093/biomet/26.4.404.
    """
    if alarms >= trials:
        return 1.0
    return float(stats.beta.ppf(level, alarms + 1, trials - alarms))


@checked
@dataclass(frozen=True, eq=False)
class Repetitions:
    """The outcomes of repeated verification.

    Attributes
    ----------
    trials : tuple of Trial
        In the order in which they were found.
    settings : Settings
        Of the first repetition; each further one has the next root seed.
    repetitions : int
        How many were asked for.
    """

    trials: tuple[Trial, ...]
    settings: Settings
    repetitions: int

    @property
    def alarms(self) -> tuple[Trial, ...]:
        """The trials that raised a false alarm."""
        return tuple(t for t in self.trials if t.alarm)

    @property
    def exit_code(self) -> int:
        """0 without alarms, else 1."""
        return 1 if self.alarms else 0

    @property
    def seconds(self) -> float:
        """Time that the trials took, over all runs of the command."""
        return sum(t.seconds for t in self.trials)

    def rows(self) -> list[dict[str, Any]]:
        """Return one entry a claim: repetitions, alarms, limit of the rate, least margin."""
        rows = []
        for name in dict.fromkeys(t.claim for t in self.trials):
            mine = [t for t in self.trials if t.claim == name]
            checks = [t for t in mine if t.kind == "check"]
            controls = [t for t in mine if t.kind == "control"]
            strained = [t for t in checks if t.strain is not None]
            worst = max(strained, key=lambda t: t.strain or 0.0, default=None)
            alarms = sum(t.alarm for t in checks)
            rows.append(
                {
                    "claim": name,
                    "repetitions": len(checks),
                    "false_alarms": alarms,
                    "rate_below": upper_limit(alarms, len(checks)) if len(checks) > 1 else None,
                    "controls": len(controls),
                    "controls_accepted": sum(t.alarm for t in controls),
                    "proofs": sum(t.kind == "proof" for t in mine),
                    "proofs_failed": sum(t.alarm for t in mine if t.kind == "proof"),
                    "strain": None if worst is None else worst.strain,
                    "strained": "" if worst is None else worst.strained,
                    "seconds": sum(t.seconds for t in mine),
                }
            )
        return rows

    def whole(self) -> tuple[int, int]:
        """Return over how many root seeds there are checks, and how many raised an alarm."""
        seeds = {t.base_seed for t in self.trials if t.kind == "check"}
        return len(seeds), len({t.base_seed for t in self.alarms})

    def table(self) -> Table:
        """Return `rows` as a rich table."""
        table = libraries.rich().table.Table(
            title="False alarms", title_justify="left", box=None, pad_edge=False
        )
        table.add_column("claim", no_wrap=True)
        for heading in ("repetitions", "false alarms", "rate below", "controls accepted", "strain"):
            table.add_column(heading, justify="right")
        table.add_column("closest to its bound")
        for row in self.rows():
            fixed = row["rate_below"] is None
            table.add_row(
                row["claim"],
                str(row["repetitions"]),
                str(row["false_alarms"]),
                "fixed data" if fixed else f"{row['rate_below']:.2%}",
                f"{row['controls_accepted']} of {row['controls']}" if row["controls"] else "",
                "" if row["strain"] is None else f"{row['strain']:.2g}",
                row["strained"],
            )
        return table

    def summary(self) -> str:
        """One sentence: how many repetitions, how many alarms."""
        total, alarmed = self.whole()
        proofs = sum(t.kind == "proof" for t in self.trials)
        return (
            f"{total} repetitions with root seeds {self.settings.base_seed} to "
            f"{self.settings.base_seed + self.repetitions - 1}, {alarmed} with a false alarm: "
            f"the rate of a whole verification lies below {upper_limit(alarmed, total):.2%} "
            f"({LEVEL:.0%} Clopper-Pearson). {proofs} proofs and the checks on fixed data were "
            f"done once. {self.seconds:.0f} s."
        )

    def __rich__(self) -> Group:
        rich = libraries.rich()
        lines = [
            f"{t.claim}, root seed {t.base_seed}"
            f"{f', {t.kind} {t.name}' if t.name else ''}: {t.decided}"
            for t in self.alarms
        ]
        return rich.console.Group(
            self.table(), *(rich.text.Text(line) for line in (*lines, self.summary()))
        )

    def to_json(self) -> str:
        """Return `rows`, the alarms and the settings as JSON text."""
        total, alarmed = self.whole()
        found = {
            "repetitions": total,
            "alarmed": alarmed,
            "rate_below": upper_limit(alarmed, total),
            "level": LEVEL,
            "seconds": self.seconds,
            "settings": _settings(self.settings),
            "claims": self.rows(),
            "alarms": [vars(t) for t in self.alarms],
        }
        return json.dumps(plain(found), indent=2, ensure_ascii=False) + "\n"


@checked
def repeat(
    repetitions: Annotated[int, Where("in [1, 1000000]", lambda n: 1 <= n <= 10**6)],
    only: Iterable[str] | None = None,
    *,
    claims: Iterable[Claim] | None = None,
    seeds: Seeds | None = None,
    quick: bool = False,
    tolerance_scale: PositiveFloat = 1.0,
    base_seed: Natural = 1,
    controls: bool = True,
    state: FileName | None = None,
    subject: Any = None,
    progress: Progress | None = None,
) -> Repetitions:
    """Repeat the random checks with fresh seeds and count the false alarms.

    Parameters
    ----------
    repetitions : int
        How often, >= 1.
    only, claims, seeds, quick, tolerance_scale, subject, progress
        As for `run`. A question has no right verdict and is left out.
    base_seed : int
        Root seed of the first repetition; the next ones count up. A plain
        verification has 0, so that the default starts with what was never seen.
    controls : bool
        Whether the negative controls are repeated as well.
    state : str or Path, optional
        File of JSON lines: outcomes are appended as they come, and those that it
        already holds are not found again.

    Returns
    -------
    Repetitions

    Raises
    ------
    InputError
        Unknown claim, fewer than one repetition, or a state file that another
        version of the code or other settings have written.

    Examples
    --------
    >>> from momentumflow.verify import repeat
    >>> found = repeat(3, ["balancedness-law"], quick=True)
    >>> found.whole()  # repetitions, and how many of them raised an alarm
    (3, 0)
    """
    settings = chosen_settings(seeds, quick, tolerance_scale, base_seed)
    laws = tuple(c for c in chosen_claims(only, claims) if not c.question)
    if not laws:
        raise InputError("a claim that can be repeated", "questions only")
    if subject is None:
        subject = shipped()
    with ExitStack() as stack:
        done: dict[tuple[str, str, str, int], Trial] = {}
        out: TextIO | None = None
        if state is not None:
            done, out = _open_state(Path(state), settings)
            stack.callback(out.close)
        found = []
        total = repetitions * len(laws)
        for k in range(repetitions):
            each = replace(settings, base_seed=settings.base_seed + k)
            for i, claim in enumerate(laws):
                if progress is not None:
                    progress(k * len(laws) + i, total, f"{k + 1}/{repetitions} {claim.title}")
                for part in _parts(claim, subject, each, first=k == 0, controls=controls):
                    key = claim.name, part.kind, part.name, part.base_seed
                    trial = done.get(key) or part.run()
                    if out is not None and key not in done:
                        print(json.dumps(plain(vars(trial)), ensure_ascii=False), file=out)
                        out.flush()
                    found.append(trial)
        if progress is not None:
            progress(total, total, "done")
    return Repetitions(tuple(found), settings, repetitions)


def _settings(settings: Settings) -> dict[str, Any]:
    return {
        "seeds": settings.seeds,
        "quick": settings.quick,
        "tolerance_scale": settings.tolerance_scale,
        "base_seed": settings.base_seed,
    }


@cache
def code_digest() -> str:
    """Return a digest of the source of the three rooms: outcomes of other code do not count."""
    digest = hashlib.sha256()
    for file in (symbolic.__file__, numeric.__file__, __file__):
        folder = Path(str(file)).parent
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _open_state(
    path: Path, settings: Settings
) -> tuple[dict[tuple[str, str, str, int], Trial], TextIO]:
    """Read the outcomes that `path` holds and open it to append; make it if it is missing."""
    # The first root seed may move: outcomes are known by the one they were found with.
    mine = {k: v for k, v in _settings(settings).items() if k != "base_seed"}
    header = {
        "format": _FORMAT, "code": code_digest(), "settings": mine, "versions": environment()
    }  # fmt: skip
    try:
        if not path.exists() or not path.stat().st_size:
            path.write_text(json.dumps(header, ensure_ascii=False) + "\n", encoding="utf-8")
        raw = path.read_bytes()
        whole = raw[: raw.rfind(b"\n") + 1]
        lines = whole.decode("utf-8").split("\n")
        _same(path, lines[0], header)
        trials = (Trial(**json.loads(line)) for line in lines[1:-1])
        known = {t.key: t for t in trials}
        if len(raw) > len(whole):  # killed in the middle of a line
            with path.open("r+b") as stream:
                stream.truncate(len(whole))
        return known, path.open("a", encoding="utf-8")
    except OSError as error:
        raise InputError(
            "a state file that can be read and written", f"{path} ({error.strerror or error})"
        ) from error
    except (TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            "a state file that `momentumflow verify repeat` has written",
            f"{path} ({error})",
            "name another one",
        ) from error


def _same(path: Path, line: str, header: Mapping[str, Any]) -> None:
    """Refuse a file whose outcomes would not be the same today."""
    found = json.loads(line)
    if not isinstance(found, dict):
        raise TypeError("its first line is no header")
    for name in header:
        if found.get(name) != header[name]:
            raise InputError(
                f"a state file with the {name} of this run",
                f"{path} with others: {found.get(name)}",
                "name another file, outcomes of the two must not be counted together",
            )
