"""A fit from pool to report, on a half-space whose answer is known and on a small diffusion."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audit.errors import RunError, SourceError
from audit.seeds import image_seeds
from mitigations.gmm_diffusion import pool as pool_module
from mitigations.gmm_diffusion.drawing import latents_of, mitigated
from mitigations.gmm_diffusion.fit import load_fit
from mitigations.gmm_diffusion.making import fit_with, model_cells
from mitigations.gmm_diffusion.pool import label_pool
from mitigations.gmm_diffusion.settings import Settings
from mitigations.gmm_diffusion.taps import open_tap

MINORITY = 0.10
HALF = Settings(attribute="smile", tap="x_T", dims=1, components=1, pool=16_000, min_per_cell=10, draws=4000, verify=8000)
TINY = Settings(attribute="smile", tap="x_t", start=2, dims=4, components=(1, 2), pool=200, min_per_cell=20, draws=60, verify=120)


def _facts(fit):
    return {f["name"]: f["value"] for f in fit.report["facts"]}


@pytest.fixture(scope="module")
def half_fit(half_space, brightness, tmp_path_factory):
    return fit_with(half_space, HALF, tmp_path_factory.mktemp("pool"), brightness(), brightness())


def _share(source, reader, n=4000, seed=3):
    seeds = image_seeds(seed, np.arange(n))
    return np.mean([reader.labels(source.draw(np.arange(n), seeds))])


def test_the_half_space_comes_out_as_its_closed_form_says(half_fit, half_space, brightness):
    facts = _facts(half_fit)
    assert facts["share before: few"] == pytest.approx(MINORITY, abs=0.01)
    assert facts["hit rate: few"] == pytest.approx(0.875, abs=0.02)
    assert facts["hit rate: many"] == pytest.approx(0.960, abs=0.01)
    assert half_fit.weights[1] == pytest.approx(0.551, abs=0.015)
    assert facts["share after: few"] == pytest.approx(0.5, abs=0.025)
    made = mitigated(half_space, open_tap(half_space, "x_T", 0, 0), half_fit)
    assert _share(made, brightness()) == pytest.approx(0.5, abs=0.03)


def test_asking_half_and_half_is_not_enough(half_fit, half_space, brightness):
    halved = replace(half_fit, weights=np.array([0.5, 0.5]))
    made = mitigated(half_space, open_tap(half_space, "x_T", 0, 0), halved)
    assert _share(made, brightness(), 8000) == pytest.approx(0.458, abs=0.02)


def test_latents_stay_on_the_shell(half_fit, half_space):
    made = mitigated(half_space, open_tap(half_space, "x_T", 0, 0), half_fit)
    made.draw(np.arange(4000), image_seeds(5, np.arange(4000)))
    before, after = (n.numpy() for n in made.module.norms)
    assert (before**2).mean() == pytest.approx(8, rel=0.03)  # chi-square with 8 degrees of freedom
    expected = 7 + 0.551 * (1.755**2 + 0.169) + 0.449 * (0.195**2 + 0.735)
    assert (after**2).mean() == pytest.approx(expected, rel=0.04)


def test_the_report_is_plain_and_says_why_labels_are_needed(half_fit):
    report = json.loads(json.dumps(half_fit.report))
    assert report["method"] == "gmm"
    assert report["cost"]["calls_per_image"] == 1.0
    assert report["cost"]["fitting_calls"] == 16_000 + 2 * 4000 + 2 * 8000
    facts = {f["name"]: f for f in report["facts"]}
    assert facts["one Gaussian explains x_T best"]["value"] == "yes"
    assert "N(0, I)" in facts["one Gaussian explains x_T best"]["note"]
    assert facts["distance after"]["value"] < facts["distance from the target before"]["value"] / 10
    assert {c["title"] for c in report["charts"]} >= {"Shares before", "Shares after", "Mixtures without labels at x_T"}


@pytest.fixture(scope="module")
def tiny_fit(diffusion, reader, tmp_path_factory):
    return fit_with(diffusion, TINY, tmp_path_factory.mktemp("pool"), reader, reader)


def test_a_diffusion_is_moved_towards_equal_shares(tiny_fit, diffusion, reader):
    made = mitigated(diffusion, open_tap(diffusion, "x_t", 2, 0), tiny_fit)
    assert abs(_share(made, reader, 200) - 0.5) < abs(_share(diffusion, reader, 200) - 0.5)
    assert made.method["cost"]["calls_per_image"] == 1.0


@pytest.mark.parametrize("changes", [{"tap": "h", "start": 0, "stop": 5}, {"complement": "gaussian"}, {"tap": "x_T", "renormalise": True}])
def test_every_tap_gives_a_source(changes, diffusion, reader, tmp_path):
    settings = Settings(**{**TINY.as_dict(), "components": (1,), "draws": 30, "verify": 30, **changes})
    fit = fit_with(diffusion, settings, tmp_path, reader, reader)
    made = mitigated(diffusion, open_tap(diffusion, settings.tap, settings.start, settings.stop), fit)
    batch = made.draw(np.arange(3), image_seeds(0, np.arange(3)))
    assert batch.status == ["ok"] * 3
    assert fit.report["cost"]["calls_per_image"] == pytest.approx(0.6 if settings.complement == "gaussian" else 1.0)


def test_an_image_is_its_seed_whatever_the_batch(tiny_fit, diffusion):
    fit, seeds = replace(tiny_fit, weights=np.array([0.4, 0.6])), image_seeds(1, np.arange(70))
    made = mitigated(diffusion, open_tap(diffusion, "x_t", 2, 0), fit)
    whole = made.latents(seeds)
    assert np.array_equal(np.concatenate([made.latents(seeds[i : i + 9]) for i in range(0, 70, 9)]), whole)
    assert np.array_equal(made.latents(seeds[::-1])[::-1], whole)
    assert np.array_equal(whole[:, : diffusion.z_dim], diffusion.latents(seeds))  # paired with the baseline
    assert whole.shape == (70, made.z_dim)


def test_a_saved_fit_draws_the_same(tiny_fit, diffusion, tmp_path):
    tiny_fit.save(tmp_path / "a" / "fit.npz")
    again = load_fit(tmp_path / "a" / "fit.npz")
    assert again.digest == tiny_fit.digest
    assert again.report == json.loads(json.dumps(tiny_fit.report))
    tap, seeds = open_tap(diffusion, "x_t", 2, 0), image_seeds(1, np.arange(20))
    assert np.array_equal(latents_of(diffusion, tap, again)(seeds), latents_of(diffusion, tap, tiny_fit)(seeds))


def test_another_fit_has_another_digest(tiny_fit):
    other = replace(tiny_fit, weights=tiny_fit.weights[::-1].copy())
    assert other.digest != tiny_fit.digest


@pytest.mark.parametrize("what", ["not a file of arrays", b"PK\x03\x04 cut short", b""])
def test_what_is_not_a_fit_is_refused(what, tmp_path):
    path = tmp_path / "fit.npz"
    path.write_bytes(what.encode() if isinstance(what, str) else what)
    with pytest.raises(SourceError, match=r"fit\.npz is not a fit of gmm-diffusion"):
        load_fit(path)
    np.savez(path, read=np.zeros(3))
    with pytest.raises(SourceError, match=r"is not a fit"):
        load_fit(path)


def _pool(source, reader, folder, wanted=(True, True), **changes):
    settings = Settings(**{**HALF.as_dict(), **changes})
    return label_pool(source, open_tap(source, "x_T", 0, 0), reader, settings, np.array(wanted), folder)


def test_rare_cells_are_drawn_for_until_there_are_enough(half_space, tmp_path, brightness):
    pool = _pool(half_space, brightness(), tmp_path, pool=256, min_per_cell=100, budget=4000)
    assert 100 <= pool.counts[1] < 150
    assert 700 < pool.drawn < 1700
    assert pool.counts.sum() == pool.drawn
    assert pool.plain == 256
    assert (pool.labels[pool.plain :] == 1).all()  # of the others only what was short is kept
    assert (pool.latents[pool.labels == 1, 0] > 1.28).all()


def test_drawing_stops_at_the_budget(half_space, tmp_path, brightness):
    pool = _pool(half_space, brightness(), tmp_path, pool=100, min_per_cell=10_000, budget=700)
    assert pool.drawn == 700


def test_a_cell_that_never_occurs_is_a_sentence_with_the_number_of_draws(half_space, tmp_path, brightness):
    with pytest.raises(SourceError, match=r"no image labelled 'few' among 600 draws of 'toy'"):
        _pool(half_space, brightness(edge=300), tmp_path, pool=300, budget=600)
    assert _pool(half_space, brightness(edge=300), tmp_path, (True, False), pool=300, budget=600).drawn == 300


def test_an_interrupted_pool_goes_on_where_it_stopped(half_space, tmp_path, monkeypatch, brightness):
    whole = _pool(half_space, brightness(), tmp_path / "a", pool=1000)
    reader, calls = brightness(), []

    def stops(batch):
        calls.append(len(batch.images))
        if sum(calls) > 600:
            raise RunError("interrupted")
        return brightness().labels(batch)

    monkeypatch.setattr(reader, "labels", stops, raising=False)
    with pytest.raises(RunError):
        _pool(half_space, reader, tmp_path / "b", pool=1000)
    assert len(list((tmp_path / "b").glob("*.npz"))) == 2
    calls.clear()
    monkeypatch.setattr(reader, "labels", lambda batch: calls.append(len(batch.images)) or brightness().labels(batch))
    again = _pool(half_space, reader, tmp_path / "b", pool=1000)
    assert sum(calls) == 1000 - 2 * pool_module.PIECE
    assert np.array_equal(again.latents, whole.latents)
    assert np.array_equal(again.labels, whole.labels)
    calls.clear()
    _pool(half_space, reader, tmp_path / "b", pool=1000, seed=1)
    assert sum(calls) == 1000  # pieces of other settings are not taken for these


def test_coordinates_and_mixtures_see_different_latents(half_space, tmp_path, brightness):
    pool = _pool(half_space, brightness(), tmp_path, pool=1000)
    subspace, mixtures, examples = model_cells(pool, ["many", "few"], np.array([True, True]), HALF)
    for k, mixture in enumerate(mixtures):
        seen = pool.latents[pool.labels == k][::2]  # the others are the subspace's
        assert mixture.means[0] == pytest.approx(subspace.coordinates(seen).mean(axis=0), abs=1e-5)
    others = np.concatenate([pool.latents[pool.labels == k][1::2] for k in (0, 1)])
    assert subspace.centre == pytest.approx(others.mean(axis=0), abs=1e-5)
    assert examples.tolist() == [-(-n // 2) for n in pool.counts]
    _, alone, _ = model_cells(pool, ["many", "few"], np.array([True, False]), HALF)
    assert alone[0].means == pytest.approx(mixtures[0].means, abs=0.2)
    assert alone[1].means.tolist() == [[0.0]]


def test_the_pool_is_apart_from_every_audit(half_space, tmp_path, brightness):
    pool = _pool(half_space, brightness(), tmp_path, pool=200)
    audited = half_space.latents(image_seeds(0, np.arange(200)))
    assert not set(map(float, pool.latents[:, 0])) & set(map(float, audited[:, 0].astype(np.float32)))


def test_nothing_but_finished_pieces_is_left(half_space, tmp_path, brightness):
    _pool(half_space, brightness(), tmp_path / "p", pool=300)
    assert sorted(p.name for p in Path(tmp_path / "p").iterdir()) == ["pool-0000000.npz", "pool-0000256.npz"]
