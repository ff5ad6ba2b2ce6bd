"""What `genbias bench` measures: clocks that tell long from short, memory that is seen, digits, tables, and every part at a small size."""

import json
import time

import numpy as np
import pytest
from click.testing import CliRunner

from audit.bench import growth, rivals, tables
from audit.bench.clock import Took, in_turn, timed
from audit.bench.features import pair, simulated
from audit.bench.rivals import CONTESTS, hold_against_rivals, shared_digits
from audit.bench.stages import network_of
from audit.cli import main
from audit.spec import load_spec


def busy(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_processor_time_counts_work_and_not_waiting():
    took, found = timed(lambda: busy(0.05) or 7)
    assert found == 7
    assert took.cpu >= 0.05
    waited, _ = timed(lambda: time.sleep(0.05))
    assert waited.wall >= 0.05 > waited.cpu


def test_works_are_taken_in_turn_and_medians_kept():
    order = []
    medians, found = in_turn({"a": lambda: order.append("a") or 1, "b": lambda: order.append("b") or busy(0.02)}, repeats=3)
    assert order == ["a", "b"] * 3
    assert found == {"a": 1, "b": None}
    assert medians["a"].cpu < medians["b"].cpu
    assert Took(1, 2) + Took(3, 4) == (4, 6)


def test_digits_shared_are_those_of_the_worst_pair():
    assert shared_digits(1.0, 1.0) == 16
    assert shared_digits((1.0, 1.0), (1.0, 1.00001)) == pytest.approx(5, abs=0.1)
    assert shared_digits(0.0, 0.0) == 16


def test_simulated_features_have_the_spectrum_they_say_and_repeat():
    x = simulated(4000, 16, rng=np.random.default_rng(0), shift=2)
    assert x.dtype == np.float32
    assert x.std(axis=0) == pytest.approx(np.arange(1, 17) ** -0.5, rel=0.06)
    assert x.mean(axis=0) == pytest.approx(2 * np.arange(1, 17) ** -0.5, abs=0.05)
    assert all(np.array_equal(a, b) for a, b in zip(pair(50, 4), pair(50, 4), strict=True))


def test_every_rival_that_is_installed_gives_the_same_number():
    rows = hold_against_rivals(220, 24, repeats=1, memory=False)
    assert len(rows) == len(CONTESTS)
    for row in rows:
        assert row["digits"] >= 6, row
        assert row["seconds"] > 0
        assert row["seconds_theirs"] > 0


def test_a_package_that_is_missing_has_a_row_that_says_so(monkeypatch):
    monkeypatch.setitem(rivals.PACKAGES, "prdc", "no_such_package")
    (row,) = hold_against_rivals(50, 4, repeats=1, memory=False, only=[c for c in CONTESTS if c.package == "prdc"])
    assert row["note"] == "prdc is not installed"
    assert "prdc is not installed" in tables.metrics([row])


def test_a_square_root_without_the_argument_disp_is_stood_in_for(monkeypatch):
    x, y = pair(120, 6)
    expected = rivals.WORKS["frechet_clean_fid"](x, y)
    from cleanfid import fid

    class Newer:
        @staticmethod
        def sqrtm(matrix):
            return plain(matrix)

    plain, kept = fid.linalg.sqrtm, fid.linalg
    monkeypatch.setattr(fid, "linalg", Newer)
    monkeypatch.setattr(rivals, "_takes_disp", lambda: False)
    assert rivals.WORKS["frechet_clean_fid"](x, y) == pytest.approx(expected, rel=1e-9)
    assert fid.linalg is Newer
    assert kept is not Newer
    assert "no longer" in rivals._note(CONTESTS[0])


def test_the_exponent_of_a_growth_is_found_and_unknown_where_nothing_was_measured():
    assert growth.exponent((10, 20, 40), [1.0, 4.0, 16.0]) == 2
    assert growth.exponent((10, 20, 40), [1.0, 2.0, None]) == 1
    assert growth.exponent((10, 20), [1.0, None]) is None


def test_growth_has_a_row_for_each_work_and_leaves_out_what_is_quadratic_and_large():
    rows = growth.growth_rows((64, 128), quadratic_up_to=64)
    assert [row["what"] for row in rows] == list(growth.WORKS)
    for row in rows:
        assert (row["seconds"][128] is None) == (row["grows"] == "quadratic")
    assert "| 64 | 128 |" in tables.growth(rows)


def test_networks_are_found_in_sources_and_instruments():
    from audit.instruments.portraits import PortraitNetwork
    from audit.instruments.skin_tone import SkinTone
    from audit.sources import open_source

    generators = load_spec("embedded").generators
    assert network_of(open_source("g", generators["stylegan2"])) is not None
    assert network_of(open_source("t", generators["training_data"])) is None
    assert network_of(PortraitNetwork("encoder", "encoder")) is not None
    assert network_of(SkinTone()) is None


def test_stages_and_chain_are_measured_by_the_command():
    from audit.bench.chain import chain_rows
    from audit.bench.stages import stage_rows

    spec = load_spec("embedded", {"samples": 24, "batch": 8, "gallery": 2})
    rows = {row["stage"]: row for row in stage_rows(spec, generators=["stylegan2"])}
    assert {"draw (LatentSource)", "classifier", "second_rater", "encoder", "identity", "skin_tone", "whole pass", "measuring"} <= set(rows)
    assert rows["classifier"]["images"] == 24 * 3
    assert 0 < rows["draw (LatentSource)"]["bare"] < 1.5 * rows["draw (LatentSource)"]["seconds"]
    assert rows["skin_tone"]["bare"] == rows["skin_tone"]["seconds"]
    assert rows["measuring"]["bare"] is None
    assert "whole pass" in tables.stages(list(rows.values()))
    found = chain_rows(spec, generator="stylegan2", device="cpu", batch=4, batches=1)
    assert found["stages"][0]["stage"] == "draw"
    assert found["share"] > 0
    assert found["peak_bytes"] is None
    assert "no accelerator" in tables.chain(found)


def test_the_script_reads_what_the_audit_reads():
    from audit.bench.script import against_a_script

    ours, *theirs = against_a_script(64)
    for row in theirs:
        assert row["fid"] == pytest.approx(ours["fid"], rel=1e-3)
        assert row["seconds"] > 0
    assert "script, classifier in batches of 1 |" in tables.script([ours, *theirs])


@pytest.mark.slow
def test_memory_beyond_the_inputs_is_seen():
    from audit.bench.peak import measured, peak_of

    assert measured(lambda: np.ones(20_000_000)) == pytest.approx(160e6, rel=0.05)
    assert measured(lambda: None) < 5e6
    assert peak_of("neighbours", 1500, 64) < peak_of("neighbours_prdc", 1500, 64)


@pytest.mark.slow
def test_the_command_prints_tables_and_json():
    runner = CliRunner()
    assert "whole pass" in runner.invoke(main, ["bench", "--quick", "--stages"]).output
    found = json.loads(runner.invoke(main, ["bench", "--quick", "--chain", "--device", "cpu", "--json"]).stdout)
    assert found["chain"]["device"] == "processor"
