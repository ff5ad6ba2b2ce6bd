"""Writing the reports of a run: all of them, each whole or not at all."""

import pytest

import reports
from audit.errors import ReportError
from reports import html, writing

NAMES = ["report.html", "summary.md", "junit.xml", "measures.csv"]


def test_all_reports_are_written_beside_the_result(run_dir):
    before = {p.name for p in run_dir.iterdir()}
    paths = reports.write_all(run_dir)
    cards = sorted(p.name for p in (run_dir / "model_cards").iterdir())
    assert [p.name for p in paths[:4]] == NAMES and all(p.stat().st_size > 1000 for p in paths)
    assert sorted(p.name for p in paths[4:]) == cards and len(cards) == 6
    assert {p.name for p in run_dir.iterdir()} == before | set(NAMES) | {"model_cards"}


def test_writing_twice_gives_the_same_bytes(run_dir):
    first = [p.read_bytes() for p in reports.write_all(str(run_dir))]
    assert [p.read_bytes() for p in reports.write_all(run_dir)] == first


def test_a_renderer_that_fails_leaves_the_old_reports_alone(run_dir, monkeypatch):
    for name in NAMES:
        (run_dir / name).write_text("old")
    monkeypatch.setattr(html, "render", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        reports.write_all(run_dir)
    assert {(run_dir / name).read_text() for name in NAMES} == {"old"}


def test_a_write_that_fails_leaves_neither_half_a_file_nor_a_temporary_one(tmp_path, monkeypatch):
    target = tmp_path / "summary.md"
    target.write_text("old")

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.os, "fsync", full_disk)
    with pytest.raises(ReportError, match=r"summary\.md cannot be written \(No space left on device\)"):
        writing.write_text(target, "new")
    assert target.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["summary.md"]


def test_a_directory_without_a_result_is_refused(tmp_path):
    with pytest.raises(ReportError, match="no result at"):
        reports.write_all(tmp_path)
    assert list(tmp_path.iterdir()) == []
