"""Nights that wait in files while the history's database is away, and are taken in when it is back."""

from pathlib import Path

from audit.digests import digest
from audit.history.location import shown
from audit.history.nights import Night, read_night
from audit.history.store import History
from audit.records import write_whole


def folder_of(run: Path) -> Path:
    """Return where nights wait: beside the run directories."""
    return run.resolve().parent / "waiting-nights"


def queue(night: Night, run: Path, where: str) -> Path:
    """Write a night to a file, whole or not at all, and return its path; a rerun of the same night takes its place."""
    name = digest([night.suite, shown(where)])[:12]
    path = folder_of(run) / f"{night.night}-{night.repeat:02d}-{name}.json"
    write_whole(path, night.text().encode())
    return path


def catch_up(history: History, run: Path) -> list[Night]:
    """Take in the nights that wait for this history, oldest first, and remove their files; return them.

    A night whose file cannot be read stops it: what lies after it stays.
    """
    taken = []
    for path in waiting(run):
        night = read_night(path)
        if path.stem.rpartition("-")[2] != digest([night.suite, shown(history.where)])[:12]:
            continue  # it waits for another history
        history.put(night)
        path.unlink()
        taken.append(night)
    return taken


def waiting(run: Path) -> list[Path]:
    """Return the files of waiting nights, oldest first."""
    folder = folder_of(run)
    return sorted(folder.glob("*.json")) if folder.is_dir() else []
