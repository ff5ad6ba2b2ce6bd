"""A night from end to end, on the built-in portraits: stored once, its own seed, what moved, odd nights drawn again, a history that is away."""

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from audit.cli import main
from audit.errors import HistoryError, SpecError
from audit.history import open_history
from audit.history.nights import Night, night_of, seed_of
from audit.nightly import nightly
from audit.result import load_result

ROOT = Path(__file__).resolve().parents[2]
SPEC = {"version": 1, "name": "nights", "seed": 5, "samples": 48, "attributes": ["gender"], "instruments": {"classifier": "portraits_a"}, "gallery": 0,
        "generators": {"balanced": {"source": "portraits", "population": "balanced"}}}  # fmt: skip


@pytest.fixture
def spec(tmp_path):
    (tmp_path / "nights.yaml").write_text(yaml.safe_dump(SPEC))
    return str(tmp_path / "nights.yaml")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """One real night of the suite, whose rows serve as patterns for planted ones."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "nights.yaml").write_text(yaml.safe_dump(SPEC))
    done = nightly(str(folder / "nights.yaml"), history=str(folder / "h.db"), out=folder / "run", night="2026-03-01", commit="abc")
    return done, folder


def plant(where, pattern, nights, level):
    """Store nights before the real one: its rows, every number ``level(at)`` standard errors above its own, and one more or less in turns."""
    with open_history(where, create=True) as history:
        for at in range(nights):
            rows = []
            for r in pattern.rows:
                error = (r["high"] - r["low"]) / 3.92 if r["value"] is not None else 0.0
                move = error * (level(at) + (1 if at % 2 else -1))
                rows.append({**r, **{k: r[k] + move for k in ("value", "low", "high") if r[k] is not None}})
            day = date.fromordinal(date(2026, 3, 1).toordinal() - nights + at).isoformat()
            history.put(Night(**{**pattern.__dict__, "night": day, "rows": rows, "seed": at, "commit": "abc"}))


def test_a_night_is_stored_with_its_own_seed_and_every_number(real):
    done, folder = real
    with open_history(str(folder / "h.db")) as history:
        found = history.chronicle()
    result = load_result(folder / "run")
    assert (done.exit_code, done.stored, done.again, done.moved) == (0, "new", 0, [])
    assert found.entries[0].seed == seed_of(5, "2026-03-01") == result.provenance["seed"] and found.entries[0].commit == "abc"
    assert len(found.series) == len(result.measures) and found.entries[0].facts["generators"]["balanced"]
    value = next(m.value for m in result.measures if m.metric == "fairness_discrepancy" and m.corrected)
    at = next(i for i, s in enumerate(found.series) if s.metric == "fairness_discrepancy" and s.corrected)
    assert found.value[0, at] == value and found.watched[at] and found.watched.sum() == 1
    assert f"seed={seed_of(5, '2026-03-01')}" in result.provenance["command"] and "h.db" not in result.provenance["command"]


def test_the_pages_lie_beside_the_run(real):
    done, folder = real
    assert {p.name for p in done.written} == {"history.json", "history.html", "history.md", "history.junit.xml"} and all(p.is_file() for p in done.written)
    assert json.loads((folder / "run" / "history.json").read_text()) == done.document


def test_the_same_night_again_changes_nothing(real):
    _, folder = real
    again = nightly(str(folder / "nights.yaml"), history=str(folder / "h.db"), out=folder / "run", night="2026-03-01", commit="abc")
    assert again.stored == "known" and len(again.document["nights"]) == 1 and "already, unchanged" in again.notes[0]


def test_nights_and_draws_have_seeds_of_their_own():
    seeds = {seed_of(5, f"2026-03-{d:02d}", r) for d in range(1, 32) for r in range(13)}
    assert len(seeds) == 31 * 13


def test_a_night_that_moved_to_the_worse_is_said_and_exits_with_1(real, spec, tmp_path):
    plant(str(tmp_path / "h.db"), night_of(real[0].result, night="2026-01-01"), 40, lambda at: -12.0)
    done = nightly(spec, history=str(tmp_path / "h.db"), out=tmp_path / "run", night="2026-03-01", commit="def", again=0)
    assert done.exit_code == 1 and [(m["metric"], m["since"], m["worse"]) for m in done.moved] == [("fairness_discrepancy", "2026-03-01", True)]
    assert any("moved to the worse since 2026-03-01" in n and "commit (abc to def)" in n for n in done.notes)
    assert 'failures="1"' in (tmp_path / "run" / "history.junit.xml").read_text()


def test_an_odd_night_is_drawn_again_with_other_seeds_until_it_is_decided(real, spec, tmp_path):
    where = str(tmp_path / "h.db")
    plant(where, night_of(real[0].result, night="2026-01-01"), 40, lambda at: -2.2 if at < 38 else 0.0)
    done = nightly(spec, history=where, out=tmp_path / "run", night="2026-03-01", commit="abc", again=3)
    assert 1 <= done.again <= 3 and any("looks odd" in n for n in done.notes)
    with open_history(where) as history:
        tonight = [e for e in history.chronicle().entries if e.night == "2026-03-01"]
    assert [e.repeat for e in tonight] == list(range(done.again + 1)) and len({e.seed for e in tonight}) == done.again + 1
    assert (tmp_path / "run-again-1" / "result.json").is_file()


def test_one_seed_for_all_nights_is_never_drawn_again(real, spec, tmp_path):
    where = str(tmp_path / "h.db")
    plant(where, night_of(real[0].result, night="2026-01-01"), 40, lambda at: -2.2 if at < 38 else 0.0)
    done = nightly(spec, history=where, out=tmp_path / "run", night="2026-03-01", seed=seed_of(5, "2026-03-01"))
    assert done.again == 0 and done.result.provenance["seed"] == seed_of(5, "2026-03-01")


def test_a_history_that_is_away_costs_nothing_and_the_night_waits(spec, tmp_path):
    where = "postgresql://anna:geheim@127.0.0.1:1/audits"
    done = nightly(spec, history=where, out=tmp_path / "run", night="2026-03-01", wait_s=2, limits=[{"metric": "share", "attribute": "gender", "group": "feminine", "at_most": 0.1}])
    (waits,) = (tmp_path / "waiting-nights").iterdir()
    assert (done.exit_code, done.stored, done.document) == (1, "waiting", None) and str(waits) in done.notes[-1]
    assert "cannot be reached" in done.notes[0] and not any("geheim" in text for text in (*done.notes, waits.read_text()))


@pytest.mark.parametrize(("known", "error", "said"), [
    ({"night": "tonight"}, HistoryError, "is no date; expected YYYY-MM-DD"),
    ({"again": 1000}, SpecError, "0 to 90"),
    ({"history": "mysql://u:geheim@h/d"}, HistoryError, "of kind 'mysql'"),
])  # fmt: skip
def test_bad_input_is_a_sentence_before_anything_is_drawn(spec, tmp_path, known, error, said):
    with pytest.raises(error, match=said):
        nightly(spec, out=tmp_path / "run", **{"history": str(tmp_path / "h.db"), **known})
    assert not (tmp_path / "run").exists()


# The commands


@pytest.fixture
def where(real, tmp_path):
    """A history of forty nights, moved for the worse on the last five."""
    plant(str(tmp_path / "h.db"), night_of(real[0].result, night="2026-01-01"), 40, lambda at: 9.0 * (at >= 35))
    return str(tmp_path / "h.db")


def called(*words):
    return CliRunner().invoke(main, [*words])


def test_show_says_what_moved_and_draws_each_measure(where):
    done = called("history", "show", "--history", where)
    assert done.exit_code == 0 and "nights: 40 nights from 2026-01-20 to 2026-02-28" in done.output
    assert "moved: fairness discrepancy of gender, balanced moved to the worse since 2026-02-24" in done.output and "█" in done.output and "moved 2026-02-24, worse" in done.output
    every = called("history", "show", "--history", where, "--all").output
    assert "share of images labelled feminine" in every and "share of images labelled feminine" not in done.output


def test_check_exits_with_1_while_the_move_is_recent(where, tmp_path):
    done = called("history", "check", "--history", where, "--junit", str(tmp_path / "j.xml"))
    assert done.exit_code == 1 and "to the worse" in done.output and "<failure" in (tmp_path / "j.xml").read_text()
    quiet = called("history", "check", "--history", where, "--nights", "1")
    assert quiet.exit_code == 0 and "nothing was found to have moved" in quiet.output
    told = json.loads(called("history", "check", "--history", where, "--json").output)
    assert told["worse"][0]["since"] == "2026-02-24" and "sentence" in told["worse"][0]


def test_export_gives_every_number_as_csv_and_parquet(where, tmp_path):
    import pandas as pd

    text = called("history", "export", "--history", where).output
    (tmp_path / "all.csv").write_text(text)
    assert called("history", "export", "--history", where, "--out", str(tmp_path / "all.parquet")).exit_code == 0
    csv, parquet = pd.read_csv(tmp_path / "all.csv"), pd.read_parquet(tmp_path / "all.parquet")
    assert len(csv) == len(parquet) and csv["night"].nunique() == 40 and np.allclose(csv["value"], parquet["value"], equal_nan=True)
    wrong = called("history", "export", "--history", where, "--out", "x.txt")
    assert wrong.exit_code == 2 and "ends in '.txt'; expected a file" in wrong.stderr


def test_show_writes_the_page(where, tmp_path):
    done = called("history", "show", "--history", where, "--html", str(tmp_path / "page.html"))
    assert done.exit_code == 0 and (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")


def test_looking_at_a_history_loads_neither_torch_nor_pandas(where):
    code = ("import sys; from audit.cli import main; main(['history', 'show', '--history', sys.argv[1]], standalone_mode=False); "
            "print(sorted({'torch', 'pandas', 'matplotlib'} & set(sys.modules)))")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, where], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_command_takes_the_history_from_the_environment_and_prints_one_document(real, monkeypatch):
    _, folder = real
    monkeypatch.setenv("GENBIAS_HISTORY", str(folder / "h.db"))
    done = called("nightly", str(folder / "nights.yaml"), "--night", "2026-03-01", "--out", str(folder / "run"), "--commit", "abc", "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 0 and (told["stored"], told["night"], told["history"]["suite"]) == ("known", "2026-03-01", "nights")
    assert (folder / "run" / "report.html").is_file() and "already, unchanged" in done.stderr
