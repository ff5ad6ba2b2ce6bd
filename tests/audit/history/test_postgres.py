"""The same history in PostgreSQL: a real server, started here. Without Debian's package these are skipped; under CI=true that is an error."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from audit.errors import HistoryAway, HistoryError
from audit.history.location import open_engine, shown
from audit.history.migrations import migrate
from audit.history.store import History
from audit.history.story import tell
from audit.history.waiting import catch_up, queue, waiting
from tests.audit.history.postgres_server import PASSWORD, programs, running
from tests.audit.history.written import ERROR, day, night, row


@pytest.fixture(scope="module")
def server():
    if programs() is None:
        missing = "PostgreSQL is not installed; install Debian's package postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with running() as found:
        yield found


@pytest.fixture
def where(server):
    """A database of its own for each test."""
    engine = sa.create_engine(server.url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        name = f"h{connection.exec_driver_sql('SELECT count(*) FROM pg_database').scalar()}"
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return server.url.rpartition("/")[0] + f"/{name}"


def test_nights_go_in_once_and_come_out_as_from_a_file(where, tmp_path):
    rng = np.random.default_rng(1)
    numbers = 0.3 + ERROR * (rng.standard_normal((40, 6)) + np.where(np.arange(40) >= 34, 5.0, 0.0)[:, None] * np.eye(6)[0])
    documents = []
    for place in (where, str(tmp_path / "h.db")):
        with History(place, create=True) as history:
            for at, values in enumerate(numbers):
                history.put(night(at, [row("g", "fairness_discrepancy", f"a{i}", float(v)) for i, v in enumerate(values)]))
            assert history.put(night(3, [row("g", "fairness_discrepancy", f"a{i}", float(v)) for i, v in enumerate(numbers[3])])) == "known"
            assert history.put(night(39, [row("g", "fairness_discrepancy", f"a{i}", float(v)) for i, v in enumerate(numbers[39] + 1e-4)])) == "replaced"
            chronicle = history.chronicle()
            documents.append(tell(chronicle, where="the same"))
    assert len(documents[0]["nights"]) == 40 and [m["attribute"] for m in documents[0]["moves"]] == ["a0"]
    assert documents[0] == documents[1]


WRITER = """
import sys
sys.path.insert(0, {folder!r})
from written import night, row
from audit.history.store import History
with History(sys.argv[1], create=True) as history:
    for at in range(6):
        history.put(night(at, [row(g, "fid", None, float(at), group=f"r{{k}}") for g in "abc" for k in range(10)]))
"""


def test_processes_that_write_at_once_lose_nothing_and_count_nothing_twice(where):
    code = WRITER.format(folder=str(Path(__file__).parent))
    started = [subprocess.Popen([sys.executable, "-c", code, where], stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) for _ in range(3)]
    told = [p.communicate(timeout=200)[1] for p in started]
    assert [p.returncode for p in started] == [0, 0, 0], told
    with History(where) as history:
        found = history.chronicle()
    assert len(found.entries) == 6 and len(found.series) == 30 and (found.value == np.arange(6)[:, None]).all()


def test_a_history_of_version_1_is_brought_forward(where):
    engine = open_engine(where, create=True)
    with engine.begin() as connection:
        migrate(connection, where, to=1)
    engine.dispose()
    with History(where) as history:
        assert history.put(night(0, [row("a", "fid", None, 1.0)])) == "new" and history.chronicle().value.tolist() == [[1.0]]


def test_a_server_that_is_away_is_a_sentence_and_the_night_waits(server, where, tmp_path):
    run = tmp_path / "runs" / "tonight"
    History(where, create=True).close()
    server.stop()
    try:
        with pytest.raises(HistoryAway, match="cannot be reached") as caught:
            History(where, create=True, wait_s=2)
        assert PASSWORD not in str(caught.value) and "geheim" not in str(caught.value) and "postgres:***@127.0.0.1" in str(caught.value)
        queue(night(0, [row("a", "fid", None, 1.0)]), run, where)
    finally:
        server.start()
    with History(where, create=True, wait_s=30) as history:
        assert [n.night for n in catch_up(history, run)] == [day(0)] and history.chronicle().value.tolist() == [[1.0]]
    assert waiting(run) == []


def test_a_server_that_goes_away_between_two_nights_is_a_sentence_too(server, where):
    with History(where, create=True, wait_s=2) as history:
        history.put(night(0, [row("a", "fid", None, 1.0)]))
        server.stop()
        try:
            with pytest.raises(HistoryAway, match="cannot be reached"):
                history.put(night(1, [row("a", "fid", None, 2.0)]))
        finally:
            server.start()
        assert history.put(night(1, [row("a", "fid", None, 2.0)])) == "new"


def test_a_wrong_password_or_database_is_a_sentence_without_the_password(where):
    for wrong in (where.replace("geheim", "falsch"), where.rpartition("/")[0] + "/nowhere"):
        with pytest.raises(HistoryError) as caught:
            History(wrong, create=True, wait_s=2)
        assert shown(wrong) in str(caught.value) and "\n" not in str(caught.value)
        assert not any(word in str(caught.value) for word in ("geheim", "falsch", "%3A"))


def test_tables_of_somebody_else_are_left_alone(where):
    engine = sa.create_engine(where.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE series (name TEXT)")
    engine.dispose()
    with pytest.raises(HistoryError, match="already has a table series that is not genbias's"):
        History(where, create=True)
