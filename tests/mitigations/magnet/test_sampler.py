"""The sampler: an image is its seed, its choice follows the weights, and its options are checked by name."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from audit.errors import SourceError, SpecError
from audit.sources.callable import CallableSource
from audit.sources.latent import LatentSource
from mitigations.magnet import sampler, weights
from mitigations.magnet.bank import compute_bank


@pytest.fixture(scope="module")
def content(stylegan2, tmp_path_factory):
    path = tmp_path_factory.mktemp("bank") / "bank.npz"
    compute_bank(LatentSource("tiny", stylegan2, z_dim=12, digest="tiny weights", call={"noise": "none"}), path, latents=40)
    return path.read_bytes()


@pytest.fixture
def path(content, tmp_path):
    (tmp_path / "bank.npz").write_bytes(content)
    return str(tmp_path / "bank.npz")


def _rows(latents):
    return {row.tobytes() for row in latents}


def test_latents_are_bit_equal_for_a_seed_whatever_the_batch(source, path, seeds):
    made = sampler(source, bank=path, top_k=4, share=0.6)
    whole = made.latents(seeds)
    assert whole.shape == (200, 12)
    assert np.array_equal(np.concatenate([made.latents(seeds[i : i + 7]) for i in range(0, 200, 7)]), whole)
    assert np.array_equal(made.latents(seeds[::-1])[::-1], whole)
    assert made.latents(seeds[:0]).shape == (0, 12)


def test_images_are_those_of_the_chosen_latents(source, path, seeds):
    made = sampler(source, bank=path, top_k=4)
    chosen = made.latents(seeds[:3])
    again = LatentSource("x", source.module, z_dim=12, digest="x", call=source.call, latents=lambda _: chosen)
    for a, b in zip(made.draw(np.arange(3), seeds[:3]).images, again.draw(np.arange(3), seeds[:3]).images, strict=True):
        assert (a == b).all()


def test_draws_follow_the_weights(source, path):
    made, bank = sampler(source, bank=path, top_k=4), compute_bank(source, Path(path), latents=40)
    of_bank = source.latents(bank.seeds)
    drawn = made.latents(np.arange(6000, dtype=np.uint64))
    counts = np.array([(drawn == row).all(axis=1).sum() for row in of_bank])
    assert counts.sum() == 6000
    assert chisquare(counts, 6000 * weights(bank.singular_values, top_k=4)).pvalue > 0.01


def test_rho_0_chooses_evenly_from_the_bank(source, path):
    drawn = sampler(source, bank=path, top_k=4, rho=0.0).latents(np.arange(4000, dtype=np.uint64))
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == 40 and chisquare(counts).pvalue > 0.01


def test_negative_rho_prefers_what_rho_1_avoids(source, path):
    modes, anti = (_facts(sampler(source, bank=path, top_k=4, rho=r)) for r in (-1.0, 1.0))
    assert modes["Polarity (rho)"] == -1
    assert modes["Largest weight"] != anti["Largest weight"]


def test_share_0_is_the_generator_as_it_is_and_share_mixes(source, path, seeds):
    assert np.array_equal(sampler(source, bank=path, share=0.0).latents(seeds), source.latents(seeds))
    mixed, plain = sampler(source, bank=path, share=0.3).latents(seeds), source.latents(seeds)
    kept = (mixed == plain).all(axis=1)
    assert 0.55 < kept.mean() < 0.85
    whole = sampler(source, bank=path, share=1.0).latents(seeds)
    assert np.array_equal(mixed[~kept], whole[~kept])  # a larger share changes only further images


def test_a_bank_is_computed_into_the_cache_when_none_is_given(source, tmp_path, seeds):
    first = sampler(source, latents=10, top_k=3)
    assert len(list((tmp_path / "home/magnet").glob("*.npz"))) == 1
    again = sampler(source, latents=10, top_k=3)
    assert first.digest == again.digest and np.array_equal(first.latents(seeds), again.latents(seeds))


def test_the_first_latents_of_a_longer_bank_are_a_shorter_bank(source, path, seeds):
    assert np.array_equal(sampler(source, bank=path, latents=10).latents(seeds), sampler(source, latents=10).latents(seeds))


def test_the_digest_follows_every_choice(source, path):
    changed = [{}, {"top_k": 5}, {"rho": 0.5}, {"share": 0.5}, {"latents": 30}]
    assert len({source.digest, *(sampler(source, bank=path, **c).digest for c in changed)}) == 6


def test_the_report_has_facts_charts_cost_and_caveats(source, path):
    made = sampler(source, bank=path, top_k=4)
    report = json.loads(json.dumps(made.method))
    facts = _facts(made)
    w = weights(compute_bank(source, Path(path), latents=40).singular_values, top_k=4)
    assert facts["Effective sample size (Kish)"] == pytest.approx(1 / np.square(w).sum(), abs=0.06)
    assert facts["Largest weight"] == pytest.approx(w.max(), rel=1e-3)
    assert facts["Latents in the bank"] == 40 and facts["Latent scaled to norm sqrt(d) first"] == "yes"
    histogram, spectrum = report["charts"]
    assert len(histogram["x"]) == len(histogram["y"]) + 1 and sum(histogram["y"]) == 40
    assert spectrum["y"] == sorted(spectrum["y"], reverse=True)
    assert report["cost"]["calls_per_image"] == 1 and report["cost"]["fitting_calls"] == 40 * 11
    assert any("not over groups" in c for c in made.caveats) and any("anti-modes" in c for c in made.caveats)


def test_different_latents_count_the_plain_images_too(source, path):
    all_of_bank, half, none = (
        _facts(sampler(source, bank=path, rho=0.0, share=s))["Different latents among 10,000 images"] for s in (1.0, 0.5, 0.0)
    )
    assert all_of_bank == pytest.approx(0.004) and none == 1
    assert half == pytest.approx(0.504)


def test_a_normal_prior_can_be_divided_out(dcgan, seeds):
    source = LatentSource("plain", dcgan, z_dim=10, digest="plain")
    kept, divided = sampler(source, latents=40, top_k=3), sampler(source, latents=40, top_k=3, prior="divide")
    assert any("not divided out" in c for c in kept.caveats) and not any("not divided out" in c for c in divided.caveats)
    assert _facts(divided)["Latents left out"] == 2  # outside the ball that holds 95 %
    norms = [np.linalg.norm(m.latents(seeds), axis=1).mean() for m in (kept, divided)]
    assert norms[1] > norms[0]
    box = LatentSource("box", dcgan, z_dim=10, digest="box", prior="uniform")
    assert np.array_equal(
        sampler(box, latents=20, top_k=3).latents(seeds), sampler(box, latents=20, top_k=3, prior="divide").latents(seeds)
    )


def _facts(made):
    return {f["name"]: f["value"] for f in made.method["facts"]}


@pytest.mark.parametrize(("options", "words"), [
    ({"topk": 3}, "no option 'topk'.*did you mean 'top_k'"),
    ({"top_k": 0}, "top_k is 0; expected a whole number from 1 to 32"),
    ({"top_k": 2.5}, "top_k is 2.5"),
    ({"top_k": 13}, "top_k is 13, and generator 'tiny' has 12 singular values"),
    ({"rho": "much"}, "rho is 'much'; expected a number$"),
    ({"rho": float("nan")}, "rho is nan"),
    ({"share": 1.2}, "share is 1.2; expected a number from 0 to 1"),
    ({"share": True}, "share is True"),
    ({"prior": "drop"}, "prior is 'drop'; expected keep or divide"),
    ({"prior": "divide"}, "nothing to divide out"),
    ({"latents": 41}, "latents is 41, and .* has 40"),
    ({"latents": 1}, "latents is 1; expected a whole number of at least 2"),
    ({"seed": 4}, "seed is 4, and .* was made with 0"),
    ({"projection": 64}, "projection is 64, and .* was made with 128"),
])  # fmt: skip
def test_a_wrong_option_is_one_sentence(source, path, options, words):
    with pytest.raises(SpecError, match=words):
        sampler(source, bank=path, **options)


def test_a_source_without_latents_is_refused():
    with pytest.raises(SourceError, match="chooses latents, and 'f' is a CallableSource"):
        sampler(CallableSource("f", "math:sqrt"))


def test_a_bank_of_another_generator_or_half_a_bank_is_refused(source, stylegan2, path):
    other = LatentSource("other", stylegan2, z_dim=12, digest="other")
    with pytest.raises(SourceError, match="other weights, truncation or noise"):
        sampler(other, bank=path)
    bank = compute_bank(source, Path(path), latents=40)
    type(bank)(**{**vars(bank), "singular_values": bank.singular_values[:7]}).write(Path(path))
    with pytest.raises(SourceError, match="unfinished \\(7 of 40 latents\\)"):
        sampler(source, bank=path)


def test_images_of_one_latent_of_the_bank_are_of_one_unit(source, path, seeds):
    made = sampler(source, bank=path, top_k=4, share=0.6)
    units = made.draw(np.arange(200), seeds).columns["unit"]
    latents = made.latents(seeds)
    assert units.dtype == np.int64 and units.min() == -1 and units.max() < 40
    assert np.array_equal(units < 0, (latents == source.latents(seeds)).all(axis=1))
    of_bank = latents[units >= 0]
    assert len(_rows(of_bank)) == len(set(units[units >= 0].tolist())) < len(of_bank)
    assert np.array_equal(made.draw(np.arange(7), seeds[3:10]).columns["unit"], units[3:10])
    assert "unit" not in source.draw(np.arange(7), seeds[:7]).columns
