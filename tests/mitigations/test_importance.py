"""Importance resampling: the shares it reaches, what its weights are worth, and what it repeats."""

import numpy as np
import pytest
import torch
from torch import nn

from audit.errors import InstrumentError, SourceError, SpecError
from audit.seeds import image_seeds
from audit.sources.callable import CallableSource
from audit.sources.latent import LatentSource
from mitigations import importance
from mitigations.importance import effective_size, pool_weights, resampling, sampler, unique_share

EDGES = np.array([0.0, 1.2])


class Levels(nn.Module):
    """Grey, lighter with the level of z_0; counts what it draws."""

    drawn = 0

    def forward(self, z):
        self.drawn += len(z)
        level = torch.bucketize(z[:, 0].double(), torch.from_numpy(EDGES)).float()
        images = (level * 0.5 - 0.6).view(-1, 1, 1, 1).repeat(1, 3, 4, 4)
        images[:, :, 0, 0], images[:, :, 1, 1] = -1.0, 1.0  # the range shows in every image
        return images


class Reader:
    """Reads the level off the image; every twentieth image is not read, where told."""

    attribute, classifier, digest, cells = "skin_tone", "toy", "toy", ("light", "medium", "dark")

    def __init__(self, sure=1.0, blank=False):
        self.sure, self.blank = sure, blank

    def probabilities(self, batch):
        grey = torch.stack(batch.images)[:, 0, 3, 3].float().numpy()
        said = np.full((len(grey), 3), (1 - self.sure) / 2)
        said[np.arange(len(grey)), np.rint((grey / 127.5 - 1 + 0.6) / 0.5).astype(int)] = self.sure
        if self.blank:
            said[np.asarray(batch.ids) % 20 == 0] = np.nan
        return said

    def labels(self, batch):
        return self.probabilities(batch).argmax(axis=1)


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBIAS_HOME", str(tmp_path / "home"))


@pytest.fixture
def source():
    return LatentSource("toy", Levels(), z_dim=3, digest="levels")


def _drawn(made, n=3000, seed=1):
    seeds = image_seeds(seed, np.arange(n))
    return np.bincount(Reader().labels(made.draw(np.arange(n), seeds)), minlength=3) / n


def test_shares_come_out_as_wanted(source):
    error = 3 * np.sqrt(0.25 / 3000)
    assert _drawn(source) == pytest.approx([0.5, 0.385, 0.115], abs=error)
    assert _drawn(resampling(source, Reader(), pool=2000)) == pytest.approx([1 / 3] * 3, abs=error)
    wanted = {"light": 0.1, "medium": 0.2, "dark": 0.7}
    assert _drawn(resampling(source, Reader(), pool=2000, target=wanted)) == pytest.approx([0.1, 0.2, 0.7], abs=error)
    assert _drawn(resampling(source, Reader(), pool=2000, target={"light": 0.0, "medium": 0.5, "dark": 0.5}))[0] == 0


def test_every_image_is_one_of_the_pool(source):
    made = resampling(source, Reader(), pool=500)
    pool = source.latents(image_seeds(0, np.arange(500), stream="mitigation"))
    latents = made.latents(image_seeds(1, np.arange(300)))
    assert {row.tobytes() for row in latents} <= {row.tobytes() for row in pool}
    assert len({row.tobytes() for row in latents}) < 300


def test_an_image_is_its_seed_whatever_the_batch(source):
    made, seeds = resampling(source, Reader(), pool=300), image_seeds(2, np.arange(50))
    whole = made.latents(seeds)
    assert np.array_equal(np.concatenate([made.latents(seeds[i : i + 7]) for i in range(0, 50, 7)]), whole)
    assert np.array_equal(made.latents(seeds[::-1])[::-1], whole)


def test_weights_are_target_over_share():
    labels = np.eye(3)[[0] * 6 + [1] * 3 + [2]]
    weights, shares = pool_weights(labels, np.full(3, 1 / 3))
    assert shares == pytest.approx([0.6, 0.3, 0.1])
    assert weights == pytest.approx([1 / 18] * 6 + [1 / 9] * 3 + [1 / 3])
    assert pool_weights(labels, shares)[0] == pytest.approx([0.1] * 10)  # nothing to correct


def test_soft_weights_use_the_doubt():
    doubtful = np.array([[0.8, 0.2], [0.8, 0.2], [0.2, 0.8]])
    weights, shares = pool_weights(doubtful, np.array([0.5, 0.5]), soft=True)
    assert shares == pytest.approx([0.6, 0.4])
    raw = np.array([0.8 / 1.2 + 0.2 / 0.8, 0.8 / 1.2 + 0.2 / 0.8, 0.2 / 1.2 + 0.8 / 0.8])
    assert weights == pytest.approx(raw / raw.sum())
    sure = np.eye(2)[[0, 0, 1]]
    assert pool_weights(sure, np.array([0.5, 0.5]), soft=True)[0] == pytest.approx(pool_weights(sure, np.array([0.5, 0.5]))[0])


def test_images_that_were_not_read_are_never_chosen(source):
    weights, shares = pool_weights(np.array([[np.nan, np.nan], [1, 0], [0, 1.0]]), np.array([0.5, 0.5]))
    assert weights.tolist() == [0, 0.5, 0.5]
    assert shares.tolist() == [0.5, 0.5]
    made = resampling(source, Reader(blank=True), pool=200)
    pool = source.latents(image_seeds(0, np.arange(200), stream="mitigation"))
    blank = {row.tobytes() for row in pool[::20]}
    assert not blank & {row.tobytes() for row in made.latents(image_seeds(3, np.arange(500)))}


def test_effective_size_has_its_closed_form():
    assert effective_size(np.full(7, 0.3)) == pytest.approx(7)
    assert effective_size(np.array([1.0, 0, 0])) == pytest.approx(1)
    shares = np.array([0.5, 0.4, 0.1])
    weights, _ = pool_weights(np.repeat(np.eye(3), [50, 40, 10], axis=0), np.full(3, 1 / 3))
    assert effective_size(weights) / 100 == pytest.approx(1 / (1 / 9 / shares).sum())


def test_the_unique_share_is_that_of_drawing_with_replacement():
    assert unique_share(np.full(10, 0.1), 1) == pytest.approx(1)
    assert unique_share(np.full(10, 0.1), 5) == pytest.approx(10 * (1 - 0.9**5) / 5)
    assert unique_share(np.array([1.0, 0.0]), 4) == pytest.approx(0.25)
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(30))
    seen = np.mean([len(np.unique(rng.choice(30, 20, p=weights))) / 20 for _ in range(2000)])
    assert unique_share(weights, 20) == pytest.approx(seen, abs=0.01)


def test_the_pool_is_labelled_once(source):
    first = resampling(source, Reader(), pool=300)
    assert source.module.drawn == 300
    again, seeds = resampling(source, Reader(), pool=300), image_seeds(1, np.arange(9))
    assert source.module.drawn == 300
    assert np.array_equal(again.latents(seeds), first.latents(seeds))
    assert again.digest == first.digest != source.digest
    assert resampling(source, Reader(), pool=300, seed=1).digest != first.digest
    assert source.module.drawn == 600


def test_a_kept_pool_that_was_cut_short_is_made_again(source, tmp_path):
    first = resampling(source, Reader(), pool=100)
    (kept,) = (tmp_path / "home" / "importance").glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:50])
    seeds = image_seeds(1, np.arange(9))
    assert np.array_equal(resampling(source, Reader(), pool=100).latents(seeds), first.latents(seeds))


def test_the_method_says_what_it_costs_and_that_images_repeat(source):
    method = resampling(source, Reader(), pool=1000).method
    facts = {f["name"]: f["value"] for f in method["facts"]}
    assert method["cost"] == {"calls_per_image": 1.0, "fitting_calls": 1000, "fitting_seconds": None, "training_images": 0}
    assert facts["effective share"] == pytest.approx(1 / (1 / 9 / np.array([0.5, 0.385, 0.115])).sum(), abs=0.07)
    assert 0.1 < facts["different images"] < 1
    assert any("repeat" in c for c in method["caveats"])


def test_a_cell_that_never_occurs_is_a_sentence(source):
    class Blind(Reader):
        cells = (*Reader.cells, "absent")

        def probabilities(self, batch):
            return np.pad(super().probabilities(batch), ((0, 0), (0, 1)))

    with pytest.raises(SourceError, match=r"no image labelled 'absent' among 150 draws of 'toy'"):
        resampling(source, Blind(), pool=150)
    rest = dict.fromkeys(["light", "medium", "dark"], 1 / 3)
    assert resampling(source, Blind(), pool=150, target={**rest, "absent": 0.0}).method["method"] == "importance"


@pytest.mark.parametrize(("options", "said"), [({"pools": 3}, "unknown option 'pools'; there are assets, attribute, classifier, pool"),
                                               ({"attribute": 3}, "attribute is 3; expected a name"), ({"pool": 0}, "pool is 0; expected a whole number, at least 1"),
                                               ({"soft": "yes"}, "soft is 'yes'; expected true or false"), ({"seed": "a"}, "seed is 'a'"),
                                               ({"target": {"light": 1.0}}, "expected 'uniform', or a share for each of light, medium, dark")])  # fmt: skip
def test_an_option_that_cannot_be_is_a_sentence(options, said, source, monkeypatch):
    monkeypatch.setattr(importance, "Labeller", lambda *a, **k: Reader())
    with pytest.raises(SpecError, match=said):
        sampler(source, **options)


def test_the_source_and_the_classifier_must_be_able_to(source):
    with pytest.raises(SourceError, match="chooses latents"):
        sampler(CallableSource("drawn", "audit.portraits:draw"))
    with pytest.raises(InstrumentError, match="no attribute 'hats'"):
        sampler(source, attribute="hats")


def test_images_of_one_pool_image_are_of_one_unit(source):
    made, seeds = resampling(source, Reader(), pool=40), image_seeds(1, np.arange(200))
    units, latents = made.draw(np.arange(200), seeds).columns["unit"], made.latents(seeds)
    assert units.min() >= 0 and units.max() < 40
    assert len({(u, row.tobytes()) for u, row in zip(units.tolist(), latents, strict=True)}) == len(set(units.tolist())) > 10
