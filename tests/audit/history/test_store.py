"""Nights go in once, whole, by several processes at a time, and come out as they went in."""

import json
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from audit.errors import HistoryAway, HistoryError
from audit.history.location import open_engine, parse, shown
from audit.history.migrations import STEPS, migrate
from audit.history.store import History
from tests.audit.history.written import day, night, row

ROOT = Path(__file__).resolve().parents[3]


def numbers(history, **known):
    c = history.chronicle(**known)
    return [(e.night, e.repeat) for e in c.entries], c.value


def test_a_night_comes_out_as_it_went_in(history):
    rows = [row("a", "fairness_discrepancy", "gender", 0.3, protocol="K=2", corrected=True), row("a", "fid", None, None, group="reference:balanced", watched=False)]
    put = night(0, rows, commit="abc", weights={"a": "digest"})
    assert history.put(put) == "new"
    found = history.chronicle()
    entry, (first, second) = found.entries[0], sorted(found.series, key=lambda s: s.metric)
    assert (entry.night, entry.repeat, entry.seed, entry.commit, entry.facts["generators"]) == (day(0), 0, 1000, "abc", {"a": "digest"})
    assert {k: getattr(first, k) for k in ("generator", "metric", "attribute", "protocol", "corrected", "direction", "parity")} == {
        "generator": "a", "metric": "fairness_discrepancy", "attribute": "gender", "protocol": "K=2", "corrected": True, "direction": "lower", "parity": 0.0}  # fmt: skip
    at = found.series.index(first)
    assert found.value[0, at] == 0.3 and found.low[0, at] == rows[0]["low"] and found.n[0, at] == 1000 and found.watched[at] and not found.watched[1 - at]
    assert np.isnan(found.value[0, 1 - at]) and found.n[0, 1 - at] == 1000 and second.group == "reference:balanced"  # not measured, and not left out


def test_a_rerun_of_a_night_never_counts_twice(history):
    assert [history.put(night(0, [row("a", "fid", None, v)])) for v in (1.0, 1.0, 2.0)] == ["new", "known", "replaced"]
    entries, values = numbers(history)
    assert entries == [(day(0), 0)] and values.tolist() == [[2.0]]


def test_replacing_a_night_takes_its_repeats_with_it_and_repeats_alone_do_not(history):
    for repeat in (0, 1, 2):
        history.put(night(0, [row("a", "fid", None, 1.0 + repeat)], repeat=repeat))
    history.put(night(0, [row("a", "fid", None, 9.0)], repeat=1))
    assert numbers(history)[1].ravel().tolist() == [1.0, 9.0, 3.0]
    history.put(night(0, [row("a", "fid", None, 7.0)]))
    assert numbers(history)[1].ravel().tolist() == [7.0]


def test_nights_that_come_late_take_their_place(history):
    for at in (3, 1, 2):
        history.put(night(at, [row("a", "fid", None, float(at))]))
    assert numbers(history)[1].ravel().tolist() == [1.0, 2.0, 3.0] and numbers(history, last=2)[1].ravel().tolist() == [2.0, 3.0]
    assert history.chronicle(only=day(1)).value.tolist() == [[1.0]]


def test_another_protocol_is_another_series_and_the_size_of_the_smallest_group_is_not(history):
    for at, protocol in enumerate(["encoder a", "encoder b", "x, n=31 of each group, y", "x, n=32 of each group, y"]):
        history.put(night(at, [row("a", "group_fid", "gender", 1.0, group="feminine", protocol=protocol)]))
    assert [s.protocol for s in history.chronicle().series] == ["encoder a", "encoder b", "x, n of each group, y"]


def test_suites_share_a_history_without_mixing(history):
    history.put(night(0, [row("a", "fid", None, 1.0)], suite="one"))
    history.put(night(0, [row("a", "fid", None, 2.0)], suite="two"))
    assert history.suites() == ["one", "two"] and history.chronicle("two").value.tolist() == [[2.0]]
    with pytest.raises(HistoryError, match="holds 2 suites; name one with --suite: one, two"):
        history.chronicle()
    with pytest.raises(HistoryError, match="no suite 'three'; there are: one, two"):
        history.chronicle("three")


def test_verdicts_and_notes_stay_with_their_night(history):
    put = night(0, [row("a", "fid", None, 1.0)])
    put.verdicts.append({"limit": "fid at most 2", "generator": "a", "outcome": "held", "why": "so"})
    history.put(put)
    history.note("suite", day(0), 0, {"moves": []})
    assert history.verdicts("suite", day(0)) == put.verdicts and history.chronicle().entries[0].findings == {"moves": []}
    history.put(night(-1, [row("a", "fid", None, 2.0)]))
    assert history.chronicle().entries[1].findings is None  # they were made without that night


def test_a_night_that_fails_half_way_leaves_nothing(history):
    broken = night(0, [row("a", "fid", None, 1.0), row("a", "kid", None, 1.0)])
    broken.rows[1]["level"] = None  # the database refuses it
    with pytest.raises(HistoryError, match="refused"):
        history.put(broken)
    assert history.suites() == []


WRITER = """
import sys
from audit.history.store import History
sys.path.insert(0, {folder!r})
from written import night, row
where, who = sys.argv[1:]
with History(where, create=True) as history:
    for at in range(8):
        history.put(night(at, [row(g, "fid", None, float(at), group=f"r{{k}}") for g in "abc" for k in range(10)], suite="shared"))
        history.put(night(at, [row("a", "fid", None, float(at))], suite=who))
"""


def test_processes_that_write_at_once_lose_nothing_and_count_nothing_twice(tmp_path):
    where = str(tmp_path / "h.db")
    code = textwrap.dedent(WRITER).format(folder=str(Path(__file__).parent))
    running = [subprocess.Popen([sys.executable, "-c", code, where, who], cwd=ROOT, stderr=subprocess.PIPE, text=True) for who in ("x", "y", "z")]
    told = [p.communicate(timeout=120)[1] for p in running]
    assert [p.returncode for p in running] == [0, 0, 0], told
    with History(where) as history:
        assert history.suites() == ["shared", "x", "y", "z"]
        shared = history.chronicle("shared")
        assert len(shared.entries) == 8 and len(shared.series) == 30 and (shared.value == np.arange(8)[:, None]).all()
        assert [len(history.chronicle(w).entries) for w in "xyz"] == [8, 8, 8]


def test_reading_does_not_wait_for_writing(tmp_path):
    where = str(tmp_path / "h.db")
    with History(where, create=True) as history:
        history.put(night(0, [row("a", "fid", None, 1.0)]))
    writer = sqlite3.connect(where, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with History(where, wait_s=0.2) as history:
        assert history.chronicle().value.tolist() == [[1.0]]
    writer.close()


def test_a_locked_history_says_so_and_takes_the_night_once_it_is_free(tmp_path):
    where = str(tmp_path / "h.db")
    with History(where, create=True, wait_s=0.2) as history:
        other = sqlite3.connect(where, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryAway, match="is locked: another program has been writing"):
            history.put(night(0, [row("a", "fid", None, 1.0)]))
        other.rollback()
        other.close()
        assert history.put(night(0, [row("a", "fid", None, 1.0)])) == "new"


# Versions


def test_a_history_of_version_1_is_brought_forward_with_its_nights(tmp_path):
    where = str(tmp_path / "old.db")
    engine = open_engine(where, create=True)
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        migrate(connection, where, to=1)
        connection.exec_driver_sql("INSERT INTO suites (id, name) VALUES (1, 'suite')")
        connection.exec_driver_sql("INSERT INTO nights VALUES (1, 1, '2025-12-31', 0, 'x', 'spec', 5, 100, 0, '0.1', NULL, '{\"watched\": [1]}')")
        connection.exec_driver_sql("INSERT INTO series VALUES (1, 1, 'mark', 'a', 'fid', NULL, NULL, NULL, NULL, 0, NULL, 'lower', 'distance', 0)")
        connection.exec_driver_sql("INSERT INTO observations VALUES (1, 1, 4.5, 4, 5, 0.95, 100)")
    engine.dispose()
    with History(where) as history:  # reading is enough
        found = history.chronicle()
        assert found.value.tolist() == [[4.5]] and found.entries[0].findings is None and found.watched.tolist() == [True]
        history.put(night(0, [row("a", "fid", None, 1.0)]))
    versions = sqlite3.connect(where).execute("SELECT version FROM genbias_schema ORDER BY version").fetchall()
    assert [v for (v,) in versions] == list(range(1, len(STEPS) + 1))


def test_the_tables_made_are_the_tables_read(history):
    import sqlalchemy as sa

    from audit.history.tables import metadata

    there = sa.inspect(history._engine)
    for name, table in metadata.tables.items():
        assert {c["name"] for c in there.get_columns(name)} == {c.name for c in table.columns}


def test_a_newer_history_is_refused_by_name(tmp_path):
    where = str(tmp_path / "h.db")
    History(where, create=True).close()
    with sqlite3.connect(where) as file:
        file.execute("INSERT INTO genbias_schema VALUES (99, 'tomorrow')")
    for create in (True, False):
        with pytest.raises(HistoryError, match=r"has schema 99; this genbias knows up to \d+: use the newer genbias"):
            History(where, create=create)


# Locations


@pytest.mark.parametrize(("make", "said"), [
    (lambda p: p.write_text("some notes, long enough to be no database"), "is not a history of genbias"),
    (lambda p: p.write_bytes(b"SQLite format 3\0" + b"rubbish" * 500), "is not a history of genbias"),
    (lambda p: sqlite3.connect(p).execute("CREATE TABLE cats (name)").connection.close(), "a database of something else (it holds cats)"),
    (lambda p: p.mkdir(), "is a folder; expected a file in it"),
    (lambda p: sqlite3.connect(p).execute("VACUUM").connection.close(), "holds no history yet"),
    (lambda p: None, "there is no history at"),
])  # fmt: skip
def test_what_is_no_history_is_refused_in_a_sentence(tmp_path, make, said):
    make(tmp_path / "h.db")
    with pytest.raises(HistoryError) as caught:
        History(str(tmp_path / "h.db"))
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("where", "said"), [
    ("", "is empty"),
    ("mysql://anna:geheim@db/audits", "of kind 'mysql'"),
    ("postgresql://anna:geheim@db", "names no database"),
    ("postgresql://anna:geheim@db:port/audits", "is no URL"),
    ("sqlite://", "in memory would be gone"),
    ("sqlite:///:memory:", "in memory would be gone"),
])  # fmt: skip
def test_a_wrong_location_is_a_sentence_without_its_password(where, said):
    with pytest.raises(HistoryError, match=said) as caught:
        parse(where)
    assert "geheim" not in str(caught.value)


def test_a_location_is_shown_without_password_and_options():
    assert shown("postgres://u:p@ss:w@h:1/d?password=x") == "postgres://u:***@h:1/d" and shown("sqlite:///a/b.db") == "sqlite:///a/b.db"


def test_paths_and_urls_name_the_same_file(tmp_path):
    with History(str(tmp_path / "h.db"), create=True) as history:
        history.put(night(0, [row("a", "fid", None, 1.0)]))
    with History(f"sqlite:///{tmp_path}/h.db") as history:
        assert history.suites() == ["suite"]
    assert parse("postgres://u:p@h/d").drivername == "postgresql+psycopg"


def test_without_sqlalchemy_one_sentence_says_what_to_install(tmp_path):
    code = ("import sys; sys.modules['sqlalchemy'] = None\nfrom audit.cli import main\n"
            f"main(['history', 'show', '--history', {str(tmp_path / 'h.db')!r}])")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2 and "pip install 'genbias[history]'" in done.stderr and "Traceback" not in done.stderr


def test_what_is_stored_can_be_read_with_plain_sql(history, tmp_path):
    history.put(night(0, [row("a", "fid", None, 1.5)]))
    found = sqlite3.connect(tmp_path / "h.db").execute(
        "SELECT night, generator, metric, value, json_extract(facts, '$.device') FROM observations JOIN nights ON night_id = nights.id JOIN series ON series_id = series.id"
    ).fetchall()  # fmt: skip
    assert found == [(day(0), "a", "fid", 1.5, "cpu")] and json.loads(json.dumps(found))
