"""``genbias history``: look at the nights of a suite, ask whether something moved, take the numbers elsewhere."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit.errors import HistoryError

if TYPE_CHECKING:
    from audit.history.chronicle import Chronicle

_where = click.option("--history", "where", required=True, envvar="GENBIAS_HISTORY", metavar="URL",
                      help="A file, or postgresql://user:password@host/database; also from GENBIAS_HISTORY.")  # fmt: skip
_suite = click.option("--suite", help="Name of the suite; not needed where the history holds only one.")
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")


@click.group()
def history() -> None:
    """Look at the history that genbias nightly keeps."""


@history.command()
@_where
@_suite
@click.option("--all", "every", is_flag=True, help="All measures, not only the watched ones and those that moved.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the history page to this file.")
@_json
def show(where: str, suite: str | None, every: bool, html: Path | None, as_json: bool) -> None:
    """Show what moved, and a small picture of each measure with its last value and interval."""
    document = _told(where, suite, every=every)
    if html is not None:
        _write(html, _render("page", document))
    if as_json:
        click.echo(json.dumps(document, indent=1))
    else:
        from audit.history.terminal import table

        click.echo(table(document))
        if html is not None:
            click.echo(f"history: {html}")


@history.command()
@_where
@_suite
@click.option("--nights", type=click.IntRange(1), default=7, show_default=True, help="How many last nights count.")
@click.option("--junit", type=click.Path(path_type=Path, dir_okay=False), help="Write a JUnit file.")
@_json
def check(where: str, suite: str | None, nights: int, junit: Path | None, as_json: bool) -> None:
    """Exit with 1 if a watched measure was found to have moved to the worse on the last nights, else with 0."""
    from audit.history import words
    from audit.history.story import moved_to_the_worse

    document = _told(where, suite)
    worse = moved_to_the_worse(document, nights=nights)
    if junit is not None:
        _write(junit, _render("junit", {**document, "counted_nights": nights}))
    if as_json:
        told = [{**m, "sentence": f"{words.move(m)}; {words.cause(m)}"} for m in worse]
        click.echo(json.dumps({"suite": document["suite"], "nights": nights, "missing": document["missing"], "worse": told}, indent=1))
    elif worse:
        for m in worse:
            click.echo(f"{words.move(m)}; {words.cause(m)}")
    else:
        click.echo(f"{document['suite']}: nothing was found to have moved to the worse on the last {nights} nights")
    sys.exit(1 if worse else 0)


@history.command()
@_where
@_suite
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A .csv or .parquet file; default: CSV on stdout.")
def export(where: str, suite: str | None, out: Path | None) -> None:
    """Write every number of every night: a row a number, with its night, seed and commit."""
    from audit.history.export import frame

    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise HistoryError(f"{out} ends in {out.suffix or 'nothing'!r}; expected a file that ends in .csv or .parquet")
    rows = frame(_chronicle(where, suite))
    if out is None:
        click.echo(rows.to_csv(index=False), nl=False)
        return
    from audit.records import write_whole

    write_whole(out, rows.to_csv(index=False).encode() if out.suffix == ".csv" else rows.to_parquet(index=False))
    click.echo(f"{len(rows):,} rows: {out}")


def _chronicle(where: str, suite: str | None, **known: Any) -> "Chronicle":
    from audit.history import open_history

    with open_history(where) as opened:
        return opened.chronicle(suite, **known)


def _told(where: str, suite: str | None, *, every: bool = False) -> dict[str, Any]:
    """Return the document of a history's suite."""
    from audit.history import open_history
    from audit.history.location import shown
    from audit.history.story import tell

    with open_history(where) as opened:
        chronicle = opened.chronicle(suite, watched_only=not every)
        if not chronicle.entries:
            raise HistoryError(f"the suite {chronicle.suite!r} has no night yet; make one with `genbias nightly SPEC --history {shown(where)}`")
        return tell(chronicle, where=shown(where), verdicts=opened.verdicts(chronicle.suite, chronicle.entries[-1].night))


def _render(name: str, document: dict[str, Any]) -> str:
    from audit.history.pages import renderers

    found = renderers()
    if name not in found:
        raise HistoryError(f"no renderer {name!r} is installed for histories; install genbias as a whole")
    return found[name](document)


def _write(path: Path, text: str) -> None:
    from audit.records import write_whole

    write_whole(path, text.encode("utf-8"))
