"""Put nights into a history and take them out: whole or not at all, once each, by several processes at a time."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from audit.digests import digest
from audit.errors import HistoryError
from audit.history import tables as t
from audit.history.chronicle import Chronicle, Entry, Series
from audit.history.location import WAIT_S, open_engine, sentence, shown
from audit.history.migrations import STEPS, migrate, version
from audit.history.nights import KEY, Night, series_key

if TYPE_CHECKING:
    from sqlalchemy import Connection

TRIES = 5
"""How often a night is tried again when two processes stored the same thing at the same moment."""

Stored = Literal["new", "replaced", "known"]


class History:
    """A history, open.

    Args:
        where: a path, or a URL of sqlite or postgresql.
        create: make or bring forward its tables; without it a history is only read.
        wait_s: how long to wait for a lock or a connection.

    Raises:
        HistoryError: it cannot be opened, holds something else, or is newer than this genbias.
        HistoryAway: its server cannot be reached, or it is locked.
    """

    def __init__(self, where: str, *, create: bool = False, wait_s: float = WAIT_S) -> None:
        self.where = where
        self._engine = open_engine(where, create=create, wait_s=wait_s)
        try:
            if create and self._engine.dialect.name == "sqlite":
                self._use_wal()
            with self._doing(writes=create) as connection:
                found = migrate(connection, where) if create else version(connection, where)
                if not create and found == 0:
                    raise HistoryError(f"{shown(where)} holds no history yet; make one with `genbias nightly SPEC --history ...`")
            if not create and found < len(STEPS):
                with self._doing(writes=True) as connection:
                    migrate(connection, where)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> "History":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, night: Night) -> Stored:
        """Store a night, or replace it where the same night of the same suite is there with other content.

        Returns:
            "new"; "replaced" by what was found this time; or "known", where nothing had to be done.
        """
        for left in reversed(range(TRIES)):
            try:
                with self._doing(writes=True, plain=True) as connection:
                    return self._put(connection, night)
            except IntegrityError as error:  # another process put in the same suite, series or night since we looked
                if not left:
                    raise sentence(error, self.where) from None
            except DBAPIError as error:
                if not left or getattr(error.orig, "sqlstate", None) not in ("40001", "40P01"):  # two writers, each waiting for the other
                    raise sentence(error, self.where) from None
        raise AssertionError("unreachable")

    def note(self, suite: str, night: str, repeat: int, findings: dict[str, Any]) -> None:
        """Keep with a night what the history says on it, see :func:`audit.history.story.find`."""
        with self._doing(writes=True) as connection:
            found = self._suite(connection, suite)
            connection.execute(sa.update(t.nights).values(findings=json.dumps(findings))
                               .where(t.nights.c.suite_id == found, t.nights.c.night == night, t.nights.c.repeat == repeat))  # fmt: skip

    def suites(self) -> list[str]:
        """Return the names of the suites, sorted."""
        with self._doing() as connection:
            return sorted(connection.execute(sa.select(t.suites.c.name)).scalars())

    def chronicle(self, suite: str | None = None, *, watched_only: bool = False, last: int | None = None,
                  only: str | None = None) -> Chronicle:  # fmt: skip
        """Return a suite's nights in order, with their series and numbers.

        Args:
            suite: its name; None = the only one there is.
            watched_only: only the series whose steps are alarms.
            last: only so many last nights, repeats included.
            only: only the first draw of this night.

        Raises:
            HistoryError: there is no such suite, or several and none was named.
        """
        name = self._named(suite)
        with self._doing() as connection:
            suite_id = self._suite(connection, name)
            newest = sa.select(t.nights).where(t.nights.c.suite_id == suite_id).order_by(t.nights.c.night.desc(), t.nights.c.repeat.desc())
            if only is not None:
                newest = newest.where(t.nights.c.night == only, t.nights.c.repeat == 0)
            found = [dict(row._mapping) for row in connection.execute(newest if last is None else newest.limit(last))][::-1]
            entries = [_entry(row) for row in found]
            watched = set(entries[-1].facts.get("watched") or ()) if entries else set()
            asked = sa.select(t.series).where(t.series.c.suite_id == suite_id).order_by(t.series.c.id)
            series = [Series(**{c.key: row._mapping[c] for c in t.series.c if c.key not in ("suite_id", "mark")})
                      for row in connection.execute(asked.where(t.series.c.id.in_(watched)) if watched_only else asked)]  # fmt: skip
            values = _values(connection, [row["id"] for row in found], [s.id for s in series], every=not watched_only and last is None and only is None)
        return Chronicle(suite=name, entries=entries, series=series, watched=np.array([s.id in watched for s in series], dtype=bool), **values)

    def verdicts(self, suite: str, night: str, repeat: int = 0) -> list[dict[str, Any]]:
        """Return a night's verdicts: ``limit, generator, outcome, why``."""
        with self._doing() as connection:
            night_id = connection.execute(sa.select(t.nights.c.id).where(
                t.nights.c.suite_id == self._suite(connection, suite), t.nights.c.night == night, t.nights.c.repeat == repeat)).scalar()  # fmt: skip
            rows = connection.execute(sa.select(t.verdicts).where(t.verdicts.c.night_id == night_id).order_by(t.verdicts.c.place))
            return [{k: row._mapping[k] for k in ("limit", "generator", "outcome", "why")} for row in rows]

    def _named(self, suite: str | None) -> str:
        names = self.suites()
        if suite is None and len(names) == 1:
            return names[0]
        if suite in names:
            return str(suite)
        known = ", ".join(names) or "none yet"
        if suite is None:
            raise HistoryError(f"the history {shown(self.where)} holds {len(names)} suites; name one with --suite: {known}")
        raise HistoryError(f"the history {shown(self.where)} holds no suite {suite!r}; there are: {known}")

    def _suite(self, connection: "Connection", name: str) -> int | None:
        return connection.execute(sa.select(t.suites.c.id).where(t.suites.c.name == name)).scalar()

    def _put(self, connection: "Connection", night: Night) -> Stored:
        suite_id = self._suite(connection, night.suite)
        if suite_id is None:
            suite_id = connection.execute(sa.insert(t.suites).values(name=night.suite).returning(t.suites.c.id)).scalar_one()
        same = (t.nights.c.suite_id == suite_id, t.nights.c.night == night.night, t.nights.c.repeat == night.repeat)
        there = connection.execute(sa.select(t.nights.c.id, t.nights.c.content).where(*same).with_for_update()).first()
        if there is not None:
            if there.content == night.content:
                return "known"
            self._remove(connection, suite_id, night)
        later = (t.nights.c.suite_id == suite_id, t.nights.c.night >= night.night, t.nights.c.findings.is_not(None))
        connection.execute(sa.update(t.nights).values(findings=None).where(*later))  # they were made without this night
        ids = self._series(connection, suite_id, night.rows)
        facts = {**night.facts, "watched": [ids[series_key(r)] for r in night.rows if r["watched"]]}
        night_id = connection.execute(sa.insert(t.nights).returning(t.nights.c.id).values(
            suite_id=suite_id, night=night.night, repeat=night.repeat, content=night.content, spec=night.spec, seed=night.seed,
            samples=night.samples, exit_code=night.exit_code, genbias=night.genbias, commit_id=night.commit, facts=json.dumps(facts),
        )).scalar_one()  # fmt: skip
        if night.rows:
            connection.execute(sa.insert(t.observations), [
                {"series_id": ids[series_key(r)], "night_id": night_id, **{k: r[k] for k in ("value", "low", "high", "level", "n")}}
                for r in night.rows])  # fmt: skip
        if night.verdicts:
            connection.execute(sa.insert(t.verdicts), [{"night_id": night_id, "place": at, **v} for at, v in enumerate(night.verdicts)])
        return "new" if there is None else "replaced"

    def _remove(self, connection: "Connection", suite_id: int, night: Night) -> None:
        """Remove a night; with it the times it was drawn again, which belong to what it was."""
        which = (t.nights.c.suite_id == suite_id, t.nights.c.night == night.night,
                 t.nights.c.repeat >= 0 if night.repeat == 0 else t.nights.c.repeat == night.repeat)  # fmt: skip
        gone = list(connection.execute(sa.select(t.nights.c.id).where(*which)).scalars())
        for table in (t.observations, t.verdicts):
            connection.execute(sa.delete(table).where(table.c.night_id.in_(gone)))
        connection.execute(sa.delete(t.nights).where(t.nights.c.id.in_(gone)))

    def _series(self, connection: "Connection", suite_id: int, rows: Sequence[dict[str, Any]]) -> dict[tuple, int]:
        """Return the ids of the rows' series, making those that are new."""
        marks = {digest(list(series_key(row))): row for row in rows}
        select = sa.select(t.series.c.mark, t.series.c.id).where(t.series.c.suite_id == suite_id)
        known = dict(tuple(row) for row in connection.execute(select))
        fresh = [{"suite_id": suite_id, "mark": mark, **dict(zip(KEY, series_key(row), strict=True)),
                  **{k: row[k] for k in ("direction", "unit", "parity")}} for mark, row in sorted(marks.items()) if mark not in known]  # fmt: skip
        if fresh:
            connection.execute(sa.insert(t.series), fresh)
            known = dict(tuple(row) for row in connection.execute(select))
        return {series_key(row): known[mark] for mark, row in marks.items()}

    def _use_wal(self) -> None:
        try:
            with self._engine.connect() as connection:
                connection.connection.driver_connection.execute("PRAGMA journal_mode=WAL").fetchall()  # type: ignore[union-attr]
        except SQLAlchemyError as error:
            raise sentence(error, self.where) from None
        except Exception as error:
            if "locked" not in str(error):  # a reader is there already, so it is a WAL file, or will be next time
                raise sentence(error, self.where) from None

    @contextmanager
    def _doing(self, *, writes: bool = False, plain: bool = False) -> Iterator["Connection"]:
        """Open a transaction; what the database says against it becomes a sentence, unless ``plain``."""
        try:
            with self._engine.connect().execution_options(writes=writes) as connection, connection.begin():
                yield connection
        except SQLAlchemyError as error:
            if plain and isinstance(error, DBAPIError):
                raise
            raise sentence(error, self.where) from None


def _entry(row: dict[str, Any]) -> Entry:
    kept = ("night", "repeat", "spec", "seed", "samples", "exit_code", "genbias")
    findings = None if row["findings"] is None else json.loads(row["findings"])
    return Entry(commit=row["commit_id"], facts=json.loads(row["facts"]), findings=findings, **{k: row[k] for k in kept})


def _values(connection: "Connection", nights: list[int], series: list[int], *, every: bool) -> dict[str, np.ndarray]:
    """Return value, low, high, level and n as (nights, series) arrays, NaN where there is nothing."""
    place_of_night = {night: at for at, night in enumerate(nights)}
    place_of_series = {one: at for at, one in enumerate(series)}
    empty = np.full((5, len(nights), len(series)), np.nan)
    names = ("value", "low", "high", "level", "n")
    if nights and series:
        o = t.observations.c
        columns = ", ".join(("series_id", "night_id", *names))
        if every:
            where = f"night_id IN (SELECT id FROM nights WHERE suite_id = (SELECT suite_id FROM nights WHERE id = {int(nights[0])}))"
            rows = connection.exec_driver_sql(f"SELECT {columns} FROM observations WHERE {where}").cursor.fetchall()  # type: ignore[union-attr]
        else:
            asked = sa.select(*(o[c] for c in ("series_id", "night_id", *names))).where(o.series_id.in_(series), o.night_id.in_(nights))
            rows = [tuple(row) for row in connection.execute(asked)]
        found = np.array(rows, dtype=float)
        if len(found):
            at_night = np.array([place_of_night[int(i)] for i in found[:, 1]])
            at_series = np.array([place_of_series[int(i)] for i in found[:, 0]])
            empty[:, at_night, at_series] = found[:, 2:].T
    return dict(zip(names, empty, strict=True))
