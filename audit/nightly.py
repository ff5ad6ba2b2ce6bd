"""A night: run the audit with the night's own seed, store it, say what moved since the nights before.

A night that looks odd without being an alarm yet is drawn again with further seeds until it is one or no longer looks so (sequential sampling, Wald
1947): a step of two standard errors is found within days, and quiet nights cost one run. What is stored of each draw is an observation like any other.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import HistoryAway, SpecError

if TYPE_CHECKING:
    from audit.history.nights import Night
    from audit.history.store import History
    from audit.result import Result

AGAIN = 12
"""How often an odd night is drawn again at most."""

@dataclass(frozen=True)
class Nightly:
    """What a night came to.

    Attributes:
        result: of the night's first draw.
        night: its date.
        document: of the history, see :func:`audit.history.story.tell`; None while the history is away.
        exit_code: 1 a limit is broken or a watched measure has moved to the worse tonight, 3 a limit is undecided, else 0.
        again: how often the night was drawn again.
        stored: "new", "replaced", "known", or "waiting" in a file until the history is back.
        moved: the moves found tonight.
        notes: sentences for the log.
        written: the history's pages.
    """

    result: "Result"
    night: str
    document: dict[str, Any] | None
    exit_code: int
    again: int
    stored: str
    moved: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)


def nightly(spec: str, *, history: str, out: str | Path | None = None, night: str | None = None, samples: int | None = None,
            seed: int | None = None, device: str = "auto", workers: int | None = None, again: int = AGAIN, commit: str | None = None, wait_s: float = 30.0,
            say: Callable[[str], None] = lambda _: None, **changes: Any) -> Nightly:  # fmt: skip
    """Run a spec as a night of its history.

    Args:
        spec: a shipped spec's name or a path.
        history: a path, or a URL of sqlite or postgresql; made if it is not there.
        out: the run directory; None = runs/nightly/NAME/NIGHT. Draws made again lie beside it.
        night: date, YYYY-MM-DD; None = today.
        samples: images a generator; None = as the spec says.
        seed: one seed for all nights; None = another one every night. With one seed every night reads the same images: changes
            of weights or code show at once, but a month of nights knows no more than one, and no night is drawn again.
        device: as for :func:`audit.run`.
        workers: as for :func:`audit.run`.
        again: how often an odd night is drawn again at most, 0 to 90.
        commit: of the project under audit; None = what the CI system or the git checkout around the spec says.
        wait_s: how long to wait for a locked or silent database.
        say: told every sentence as it comes.
        changes: further keys of the spec, dots as double underscores.

    Raises:
        HistoryError: the history is not one, or cannot be used; before anything is drawn.
        GenbiasError: as for :func:`audit.run`.
    """
    from audit.audits import run
    from audit.history.nights import check_date, commit_of, night_of, seed_of
    from audit.spec import find_spec, load_spec

    tonight = check_date(night) if night is not None else date.today().isoformat()
    if not 0 <= again <= 90:
        raise SpecError(f"again is {again}; expected how often an odd night may be drawn again, 0 to 90")
    settings = {k.replace("__", "."): v for k, v in changes.items()} | ({} if samples is None else {"samples": samples})
    loaded = load_spec(spec, settings)
    folder = Path(out) if out is not None else Path("runs") / "nightly" / loaded.name / tonight
    commit = commit or commit_of(find_spec(spec).parent)
    log = _Log(say)
    opened = _open(history, folder, wait_s, log)

    def draw(repeat: int) -> "tuple[Result, Night]":
        made = run(spec, out=folder if not repeat else folder.with_name(f"{folder.name}-again-{repeat}"), samples=samples, device=device, workers=workers,
                   seed=seed_of(loaded.seed, tonight, repeat) if seed is None else seed, **changes, **({"gallery": 0} if repeat else {}))  # fmt: skip
        return made, night_of(made, night=tonight, repeat=repeat, commit=commit)

    try:
        result, found = draw(0)
        try:
            if opened is None:
                raise HistoryAway("")
            stored = opened.put(found)
            log({"known": f"the night {tonight} was in the history already, unchanged",
                 "replaced": f"the night {tonight} was in the history already; what was found now takes its place"}.get(stored, ""))  # fmt: skip
            times, document = _look(opened, found, draw, again if seed is None else 0, log)
        except HistoryAway as error:
            return _wait(result, found, folder, history, str(error), log)
    finally:
        if opened is not None:
            opened.close()
    return _finish(result, found, document, times, stored, log)


class _Log:
    """Collects sentences, and passes them on as they come."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.notes: list[str] = []
        self._say = say

    def __call__(self, note: str) -> None:
        if note and note not in self.notes:
            self.notes.append(note)
            self._say(note)


def _open(where: str, run: Path, wait_s: float, log: _Log) -> "History | None":
    """Open the history and take in the nights that wait for it; None while it is away."""
    from audit.history import open_history
    from audit.history.waiting import catch_up

    try:
        opened = open_history(where, create=True, wait_s=wait_s)
    except HistoryAway as error:
        log(str(error))
        return None
    try:
        taken = catch_up(opened, run)
    except HistoryAway as error:
        opened.close()
        log(str(error))
        return None
    except BaseException:
        opened.close()
        raise
    if taken:
        log(f"{len(taken)} waiting night{'s were' if len(taken) > 1 else ' was'} taken in: {', '.join(sorted({n.night for n in taken}))}")
    return opened


def _look(opened: "History", found: "Night", draw: "Callable[[int], tuple[Result, Night]]", most: int, log: _Log) -> tuple[int, dict[str, Any]]:
    """Compare the night with those before, drawing it again while it looks odd; return how often that was, and the history's document."""
    from audit.history.location import shown
    from audit.history.moves import NOTABLE_NIGHTS, watched
    from audit.history.story import find, tell

    while True:
        chronicle = opened.chronicle(found.suite, watched_only=True)
        last = chronicle.entries[-1]
        seen = watched(chronicle)
        if last.night != found.night or not seen.is_odd() or last.repeat >= most:
            break
        log(f"the night {found.night} looks odd (score {seen.oddness().max():.2f}, an alarm is {seen.alarm:.2f}); drawing it again with another seed")
        _, more = draw(last.repeat + 1)
        opened.put(more)
    findings = find(chronicle, recent=opened.chronicle(found.suite, last=NOTABLE_NIGHTS), seen=seen)
    opened.note(found.suite, last.night, last.repeat, findings)
    document = tell(chronicle, where=shown(opened.where), findings=findings, verdicts=opened.verdicts(found.suite, found.night))
    return sum(e.night == found.night for e in chronicle.entries) - 1, document


def _wait(result: "Result", found: "Night", folder: Path, where: str, why: str, log: _Log) -> Nightly:
    from audit.history.waiting import queue

    path = queue(found, folder, where)
    log(why)
    log(f"the night {found.night} waits in {path} and is taken in by the next `genbias nightly` that reaches the history")
    return Nightly(result, found.night, None, found.exit_code, 0, "waiting", [], log.notes)


def _finish(result: "Result", found: "Night", document: dict[str, Any], times: int, stored: str, log: _Log) -> Nightly:
    from audit.history import words
    from audit.history.pages import pages

    moved = [m for m in document["moves"] if m["found"] == found.night]
    for sentence in (words.missing(document["missing"]), *(words.renaming(r) for r in document["renamed"] if r["night"] == found.night),
                     *(words.exact(e) for e in document["exact"] if e["night"] == found.night)):  # fmt: skip
        log(sentence)
    for move in moved:
        log(f"{words.move(move)}; {words.cause(move)}")
    worse = any(m["worse"] for m in moved)
    return Nightly(result, found.night, document, 1 if worse else found.exit_code, times, stored, moved, log.notes, pages(document, Path(result.path or ".")))
