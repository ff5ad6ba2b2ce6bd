"""Where a history is kept: a SQLite file, or a PostgreSQL database by URL; opened so that several nights may be written at once.

SQLite runs in WAL mode, so that reading never waits for writing, and writers wait for one another up to a timeout. Words about a location never
hold its password.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import HistoryAway, HistoryError

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

WAIT_S = 30.0
"""How long a writer waits for another one before it gives up, and a connection for its server."""

MARK = 0x67656E62
"""``application_id`` of a SQLite file that is a history: "genb"."""

_KNOWN = "a path, sqlite:///history.db, or postgresql://user:password@host/database"


def open_engine(where: str, *, create: bool, wait_s: float = WAIT_S) -> "Engine":
    """Return a SQLAlchemy engine on a history's database.

    Args:
        where: a path, or a URL of sqlite or postgresql.
        create: whether a SQLite file may be made.
        wait_s: how long to wait for a lock or a connection.

    Raises:
        HistoryError: the driver is not installed, the URL is wrong, or there is no file and none may be made.
    """
    import sqlalchemy as sa

    url = parse(where)
    if url.get_backend_name() == "postgresql":
        try:
            return sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": max(2, round(min(wait_s, 10)))})
        except ImportError:
            raise HistoryError("a history in PostgreSQL needs psycopg, which is not installed; run pip install 'genbias[history]'") from None
    path = Path(url.database or "")
    _check_file(path, create)
    engine = sa.create_engine(url, connect_args={"timeout": wait_s})
    _prepare_sqlite(engine, wait_s)
    return engine


def parse(where: str) -> "URL":
    """Return a location as a SQLAlchemy URL with its driver.

    Raises:
        HistoryError: it is no location; the sentence does not hold the password.
    """
    import sqlalchemy as sa

    if "://" not in where:
        if not where.strip():
            raise HistoryError(f"the history's location is empty; expected {_KNOWN}")
        return sa.URL.create("sqlite", database=where)
    try:
        url = sa.engine.make_url(where)
    except (sa.exc.ArgumentError, ValueError):
        raise HistoryError(f"the history's location {shown(where)!r} is no URL; expected {_KNOWN}") from None
    backend = url.drivername.partition("+")[0]
    if backend in ("postgresql", "postgres"):
        if not url.database:
            raise HistoryError(f"the history's location {shown(where)!r} names no database; expected postgresql://user:password@host/database")
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise HistoryError(f"the history's location {shown(where)!r} is of kind {backend!r}; expected {_KNOWN}")
    if not url.database or url.database == ":memory:":
        raise HistoryError("a history in memory would be gone in the morning; give a file, such as sqlite:///history.db")
    return url


def shown(where: str) -> str:
    """Return a location as it may be printed: without its password, and without the options of a URL, which may hold one.

    Example:
        >>> shown("postgresql://anna:secret@db.example/audits?sslpassword=x"), shown("history.db")
        ('postgresql://anna:***@db.example/audits', 'history.db')
    """
    if "://" not in where:
        return where
    scheme, _, rest = where.partition("://")
    rest = rest.partition("?")[0]
    user, at, host = rest.rpartition("@")
    return f"{scheme}://" + (re.sub(r":.*", ":***", user, flags=re.DOTALL) + at if at else "") + host


def sentence(error: BaseException, where: str) -> HistoryError:
    """Return a database's error as one of ours: what is wrong at which location, and what to do.

    Args:
        error: of SQLAlchemy.
        where: the location.
    """
    place = shown(where)
    told = str(getattr(error, "orig", None) or error).strip().splitlines()
    first = _hide(told[0] if told else type(error).__name__, where)
    if "database is locked" in first or "database table is locked" in first:
        return HistoryAway(f"the history {place} is locked: another program has been writing to it for longer than it was waited for; try again later")
    if "not a database" in first or "malformed" in first:
        return HistoryError(f"{place} is not a history of genbias (not a whole SQLite file); give another path, or restore a copy")
    if "readonly" in first or "unable to open" in first:
        return HistoryError(f"the history {place} cannot be written or opened ({first}); check the folder and its permissions")
    if "disk is full" in first or "disk I/O" in first:
        return HistoryAway(f"the history {place} cannot be written ({first}); free space and run the same command again")
    if "://" in where and not where.startswith("sqlite"):
        state = getattr(getattr(error, "orig", None), "sqlstate", None)
        if state is None or str(state)[:2] in ("08", "53", "57", "28", "3D", "40", "55"):
            return HistoryAway(f"the history {place} cannot be reached ({first}); check that the server runs and the URL is right")
    return HistoryError(f"the history {place} refused ({first})")


def _hide(text: str, where: str) -> str:
    """Take the password out of what a driver says."""
    user = where.partition("://")[2].rpartition("@")[0]
    word = user.partition(":")[2]
    return text.replace(word, "***") if word else text


def _check_file(path: Path, create: bool) -> None:
    if path.is_dir():
        raise HistoryError(f"the history {path} is a folder; expected a file in it, such as {path / 'history.db'}")
    if not path.exists() and not create:
        raise HistoryError(f"there is no history at {path}; make one with `genbias nightly SPEC --history {path}`")
    if create:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HistoryError(f"the folder {path.parent} for the history cannot be made ({error.strerror}); give another path") from None
    if path.exists() and path.stat().st_size:
        try:
            with path.open("rb") as file:
                head = file.read(16)
        except OSError as error:
            raise HistoryError(f"the history {path} cannot be read ({error.strerror}); check its permissions") from None
        if head != b"SQLite format 3\0":
            raise HistoryError(f"{path} is not a history of genbias (not a SQLite file); give another path")


def _prepare_sqlite(engine: "Engine", wait_s: float) -> None:
    """Let writers queue: WAL, a busy timeout, and transactions that take the write lock when they begin, not half-way through."""
    import sqlalchemy as sa

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN comes too late
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={round(wait_s * 1000)}")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
