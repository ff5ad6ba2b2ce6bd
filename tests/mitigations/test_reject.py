"""Rejection sampling: the shares it reaches, the price it pays, and that an image is still its seed."""

import json

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from torch import nn

from audit.attributes import ATTRIBUTES
from audit.errors import InstrumentError, SourceError, SpecError
from audit.seeds import image_seeds
from audit.sources.callable import CallableSource
from audit.sources.latent import LatentSource
from mitigations.reject import acceptance, pooled_shares, rejecting, sampler

PLANTED = np.array([0.70, 0.20, 0.10])


class Planted(nn.Module):
    """A grey image whose brightness is the normal CDF of z_0; counts what it draws."""

    drawn = 0

    def forward(self, z):
        self.drawn += len(z)
        grey = torch.from_numpy(ndtr(z[:, 0].double().numpy())).float() * 2 - 1
        images = grey.view(-1, 1, 1, 1).repeat(1, 3, 2, 2)
        images[:, :, 1, 1] = -1  # the range shows in every image
        return images


class Brightness:
    """Reads the planted group off the brightness."""

    attribute, classifier, digest = "skin_tone", "toy", "toy"
    cells = ATTRIBUTES["skin_tone"].classes

    def labels(self, batch):
        return np.digitize(torch.stack(batch.images)[:, 0, 0, 0].numpy() / 255, np.cumsum(PLANTED)[:2])


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBIAS_HOME", str(tmp_path / "home"))


def _source(digest="toy"):
    return LatentSource("toy", Planted(), z_dim=4, digest=digest)


def _drawn(source, n, seed=1, batch=64):
    seeds = image_seeds(seed, np.arange(n))
    parts = [source.draw(np.arange(i, min(i + batch, n)), seeds[i : i + batch]) for i in range(0, n, batch)]
    return np.concatenate([Brightness().labels(p) for p in parts]), torch.stack([i for p in parts for i in p.images])


def _planted(made, shares=PLANTED):
    """Return the sampler with the true shares in place of the pool's."""
    target = np.full(3, 1 / 3)
    return type(made)(made.source, made.labeller, acceptance(shares, target), shares, target, pool=10_000)


def test_acceptance_has_its_closed_form():
    target = np.full(3, 1 / 3)
    a = acceptance(PLANTED, target)
    assert a == pytest.approx([1 / 7, 1 / 2, 1])
    assert (PLANTED * a) / (PLANTED @ a) == pytest.approx(target)
    assert 1 / (PLANTED @ a) == pytest.approx(1 / (3 * PLANTED.min()))
    assert acceptance(PLANTED, PLANTED) == pytest.approx([1, 1, 1])
    assert acceptance(PLANTED, np.array([0, 0, 1.0])).tolist() == [0, 0, 1]
    assert acceptance(np.array([0.5, 0.5, 0.0]), np.array([0.5, 0.5, 0.0])).tolist() == [1, 1, 0]


def test_shares_come_out_equal_and_an_image_costs_one_over_k_times_the_rarest_share():
    made = _planted(rejecting(_source(), Brightness(), pool=64))
    before, n = made.module.drawn, 1500
    said, _ = _drawn(made, n)
    assert np.bincount(said, minlength=3) / n == pytest.approx([1 / 3] * 3, abs=3 * np.sqrt(2 / 9 / n))
    cost = 1 / (3 * 0.10)
    assert made.calls_per_image == pytest.approx(cost)
    spread = np.sqrt(cost * (cost - 1) / n)  # waits are geometric
    assert (made.module.drawn - before) / n == pytest.approx(cost, abs=3 * spread)


def test_a_table_of_shares_is_reached_too():
    wanted = {"light": 0.2, "medium": 0.5, "dark": 0.3}
    said, _ = _drawn(rejecting(_source(), Brightness(), target=wanted, pool=8000), 1000)
    assert np.bincount(said, minlength=3) / 1000 == pytest.approx(list(wanted.values()), abs=0.06)


def test_an_image_is_its_seed_whatever_the_batch_and_order():
    made = rejecting(_source(), Brightness(), pool=1000)
    _, whole = _drawn(made, 50, batch=50)
    _, parts = _drawn(made, 50, batch=7)
    assert torch.equal(whole, parts)
    seeds = image_seeds(1, np.arange(50))
    back = made.draw(np.arange(50)[::-1], seeds[::-1])
    assert torch.equal(torch.stack(back.images[::-1]), whole)
    assert np.array_equal(made.latents(seeds)[3:4], made.latents(seeds[3:4]))


def test_the_images_are_those_of_the_latents_and_nothing_is_drawn_twice():
    made = rejecting(_source(), Brightness(), pool=1000)
    seeds = image_seeds(2, np.arange(20))
    before = made.module.drawn
    batch = made.draw(np.arange(20), seeds)
    calls = made.module.drawn - before
    latents = made.latents(seeds)
    assert made.module.drawn - before == 2 * calls
    again = made.choosing(lambda _: latents, digest="x").draw(np.arange(20), seeds)
    assert torch.equal(torch.stack(again.images), torch.stack(batch.images))


def test_an_accepted_first_candidate_is_the_baseline_s_own_image():
    source = _source()
    made = rejecting(source, Brightness(), pool=1000)
    seeds = image_seeds(1, np.arange(200))
    plain, chosen = source.latents(seeds), made.latents(seeds)
    same = (plain == chosen).all(axis=1)
    assert same.mean() == pytest.approx(1 / made.calls_per_image, abs=0.12)
    assert same[Brightness().labels(source.draw(np.arange(200), seeds)) == 2].all()  # the rarest is always accepted


def test_the_pool_is_labelled_once_and_kept_by_content(tmp_path):
    source = _source()
    first = pooled_shares(source, Brightness(), 500, 0)
    drawn = source.module.drawn
    assert np.array_equal(pooled_shares(source, Brightness(), 500, 0), first) and source.module.drawn == drawn
    pooled_shares(_source("other"), Brightness(), 500, 0)
    assert len(list((tmp_path / "home/reject").iterdir())) == 2
    for file in (tmp_path / "home/reject").iterdir():
        file.write_text("{")
    assert np.array_equal(pooled_shares(source, Brightness(), 500, 0), first)  # a damaged file is made again


def test_its_report_states_cost_and_acceptance():
    made = rejecting(_source(), Brightness(), pool=1000)
    said = made.method
    assert json.dumps(said)
    assert said["cost"]["calls_per_image"] == pytest.approx(made.calls_per_image, abs=1e-4)
    assert said["cost"]["fitting_calls"] == 1000
    assert {f["name"] for f in said["facts"]} >= {"share before: dark", "accepted: dark", "calls per accepted image"}
    assert made.digest != _source().digest


def test_a_budget_too_small_is_a_sentence():
    made = rejecting(_source(), Brightness(), pool=1000, budget=1)
    with pytest.raises(SourceError, match=r"none of 1 draws was accepted for \d+ of 64 images"):
        _drawn(made, 64)


def test_a_cell_that_does_not_occur_is_a_sentence():
    class Blind(Brightness):
        digest = "blind"

        def labels(self, batch):
            return np.zeros(len(batch.images), dtype=int)

    with pytest.raises(SourceError, match="no image labelled 'medium' among 200 draws"):
        rejecting(_source(), Blind(), pool=200)
    assert rejecting(_source(), Blind(), pool=200, target={"light": 1.0, "medium": 0, "dark": 0}).calls_per_image == 1


def test_unread_images_are_drawn_again():
    class Shy(Brightness):
        digest = "shy"

        def labels(self, batch):
            said = super().labels(batch)
            return np.where(batch.seeds % np.uint64(2) == 0, said, -1)

    made = rejecting(_source(), Shy(), pool=4000)
    assert made.calls_per_image == pytest.approx(2 / (3 * 0.10), rel=0.2)
    said, _ = _drawn(made, 300)
    assert np.bincount(said, minlength=3) / 300 == pytest.approx([1 / 3] * 3, abs=0.1)


@pytest.mark.parametrize(("options", "words"), [
    ({"atribute": "gender"}, "unknown option 'atribute'.*attribute"), ({}, "name the attribute"), ({"attribute": "gender", "pool": "many"}, "pool is 'many'"),
    ({"attribute": "gender", "target": {"feminine": 1.0}}, "a share for each of feminine, masculine"),
    ({"attribute": "gender", "target": {"feminine": 0.9, "masculine": 0.3}}, "add up to 1.2"),
])  # fmt: skip
def test_wrong_options_are_sentences(options, words):
    with pytest.raises(SpecError, match=words):
        sampler(_source(), **options)


def test_other_sources_and_unknown_attributes_are_sentences():
    with pytest.raises(SourceError, match="without any"):
        sampler(CallableSource("c", "math:sqrt"), attribute="gender")
    with pytest.raises(InstrumentError, match="no attribute 'race'"):
        sampler(_source(), attribute="race")
