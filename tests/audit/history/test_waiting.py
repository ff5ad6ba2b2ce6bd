"""A history that is away: nights wait in files, whole, and are taken in later, each once."""

import pytest

from audit.errors import HistoryError
from audit.history.nights import read_night
from audit.history.store import History
from audit.history.waiting import catch_up, queue, waiting
from tests.audit.history.written import day, night, row


def test_waiting_nights_are_taken_in_in_order_and_their_files_go(history, tmp_path):
    run = tmp_path / "runs" / "today"
    for at in (2, 1):
        queue(night(at, [row("a", "fid", None, float(at))]), run, history.where)
    queue(night(2, [row("a", "fid", None, 2.5)]), run, history.where)  # a rerun takes the place of the first
    assert [p.name[:13] for p in waiting(run)] == [f"{day(1)}-00", f"{day(2)}-00"]
    assert [n.night for n in catch_up(history, run)] == [day(1), day(2)] and waiting(run) == []
    assert history.chronicle().value.ravel().tolist() == [1.0, 2.5] and catch_up(history, run) == []


def test_a_night_comes_back_from_its_file_as_it_was(tmp_path):
    put = night(0, [row("a", "fid", None, None), row("a", "kid", None, 0.25)], repeat=3)
    path = queue(put, tmp_path / "run", "h.db")
    assert read_night(path) == put and read_night(path).content == put.content


def test_nights_of_another_history_are_left_alone(history, tmp_path):
    queue(night(0, [row("a", "fid", None, 1.0)]), tmp_path / "run", "postgresql://u:p@elsewhere/audits")
    assert catch_up(history, tmp_path / "run") == [] and len(waiting(tmp_path / "run")) == 1


def test_the_same_history_with_another_password_is_the_same(tmp_path):
    first, second = (queue(night(0, [row("a", "fid", None, 1.0)]), tmp_path / "run", f"postgresql://u:{word}@h/audits") for word in ("old", "new"))
    assert first == second and "old" not in first.read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "genbias.night/9"}', '{"schema": "genbias.night/1"}'])
def test_a_file_that_is_no_whole_night_stops_it_and_nothing_is_lost(history, tmp_path, text):
    good = queue(night(5, [row("a", "fid", None, 1.0)]), tmp_path / "run", history.where)
    bad = good.with_name(good.name.replace(day(5), day(1)))
    bad.write_text(text)
    with pytest.raises(HistoryError, match="is no whole night"):
        catch_up(history, tmp_path / "run")
    assert good.is_file() and bad.is_file() and history.suites() == []


def test_a_history_opened_twice_takes_a_waiting_night_once(history, tmp_path):
    path = queue(night(0, [row("a", "fid", None, 1.0)]), tmp_path / "run", history.where)
    text = path.read_text()
    catch_up(history, tmp_path / "run")
    path.write_text(text)  # another process had read the file before it went
    with History(history.where, create=True) as again:
        catch_up(again, tmp_path / "run")
        assert len(again.chronicle().entries) == 1
