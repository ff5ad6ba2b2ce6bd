"""What mitigations read: joint cells of a classifier, pools that repeat, and sentences for what cannot be."""

import numpy as np
import pytest
import torch

from audit.errors import InstrumentError, SourceError
from audit.seeds import image_seeds
from audit.sources.latent import LatentSource
from audit.sources.portraits import PortraitsSource
from mitigations.base import Cost, Fact, MethodReport, latent_source
from mitigations.labelling import DEFAULT, Labeller, draw_pool, most_probable


def _portraits(n, population="balanced"):
    ids = np.arange(n)
    return PortraitsSource("truth", population).draw(ids, image_seeds(3, ids))


class Colour(torch.nn.Module):
    """A picture whose grey is the first latent number."""

    def forward(self, z):
        return z[:, :1, None, None].tanh().expand(-1, 3, 64, 64)


@pytest.fixture
def source():
    return LatentSource("colour", Colour(), z_dim=4, digest="c")


def test_labels_of_cells_are_the_truth_of_portraits():
    batch = _portraits(60)
    labeller = Labeller("gender*skin_tone")
    said = [labeller.cells[i] for i in labeller.labels(batch)]
    true = [f"{g}*{t}" for g, t in zip(batch.columns["truth:gender"], batch.columns["truth:skin_tone"], strict=True)]
    assert sum(a == b for a, b in zip(said, true, strict=True)) >= 59


def test_cell_probabilities_are_products_and_sum_to_one():
    batch = _portraits(5)
    joint = Labeller("gender*skin_tone").probabilities(batch).reshape(5, 2, 3)
    single = Labeller("gender").probabilities(batch)
    assert np.allclose(joint.sum(axis=(1, 2)), 1, atol=1e-5)
    assert np.allclose(joint.sum(axis=2), single, atol=1e-5)


def test_the_default_reader_is_not_the_judge_of_the_benchmark():
    from audit.spec import load_spec

    assert load_spec("embedded").instruments.classifier != DEFAULT


def test_a_row_with_a_gap_has_no_label():
    assert most_probable(np.array([[0.2, 0.8], [np.nan, 1.0], [0.6, 0.4]])).tolist() == [1, -1, 0]


def test_a_pool_does_not_depend_on_the_batch_and_starts_alike(source):
    labeller = Labeller("gender")
    whole, parts = draw_pool(source, labeller, 10, seed=1), draw_pool(source, labeller, 10, seed=1, batch=3)
    assert np.array_equal(whole.latents, parts.latents)
    assert np.allclose(whole.probabilities, parts.probabilities, atol=1e-5)
    assert np.array_equal(draw_pool(source, labeller, 4, seed=1).latents, whole.latents[:4])
    assert not np.array_equal(draw_pool(source, labeller, 4, seed=2).latents, whole.latents[:4])
    assert whole.counts().sum() == 10


def test_images_that_are_not_finite_have_no_label():
    class Broken(Colour):
        def forward(self, z):
            return torch.where(z[:, :1, None, None] > 0, torch.nan, super().forward(z))

    pool = draw_pool(LatentSource("broken", Broken(), z_dim=4, digest="b"), Labeller("gender"), 12, seed=0)
    assert np.array_equal(pool.labels == -1, pool.latents[:, 0] > 0)
    assert 0 < pool.counts().sum() < 12


@pytest.mark.parametrize("attribute", ["hair", "gender*hair"])
def test_an_unknown_attribute_is_one_sentence(attribute):
    with pytest.raises(InstrumentError, match="no attribute 'hair'"):
        Labeller(attribute)


def test_a_source_without_latents_is_one_sentence():
    with pytest.raises(SourceError, match="PortraitsSource without any"):
        latent_source(PortraitsSource("truth", "balanced"), "MaGNET")


def test_choosing_keeps_the_generator_and_says_who_chose(source):
    said = MethodReport("fixed", "Fixed", "nobody", "One latent.", "nothing", facts=[Fact("a", 1)], cost=Cost(2.0)).as_dict()
    chosen = source.choosing(lambda seeds: np.ones((len(seeds), 4)), digest="d", caveats=("one face",), method=said)
    seeds = image_seeds(0, np.arange(3))
    images = chosen.draw(np.arange(3), seeds).images
    assert torch.equal(images[0], images[2])
    assert not torch.equal(source.draw(np.arange(3), seeds).images[0], source.draw(np.arange(3), seeds).images[2])
    assert (chosen.name, chosen.digest, chosen.caveats) == ("colour", "d", ("one face",))
    assert chosen.method["cost"]["calls_per_image"] == 2.0
    assert source.method is None
