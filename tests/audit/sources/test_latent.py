import numpy as np
import pytest
import torch
from torch import nn

from audit.errors import SourceError
from audit.seeds import image_seeds
from audit.sources.base import OK
from audit.sources.latent import LatentSource

IDS = np.arange(6)
SEEDS = image_seeds(1, IDS)


class Painter(nn.Module):
    def __init__(self, paint):
        super().__init__()
        self.paint = paint

    def forward(self, z):
        return self.paint(z)


def _draw(paint, **options):
    return LatentSource("g", Painter(paint), z_dim=4, digest="0", **options).draw(IDS, SEEDS)


def _flat(z):
    return torch.tanh(z[:, :3]).view(-1, 3, 1, 1).expand(-1, 3, 8, 8)


def test_an_image_shows_its_own_latent():
    batch = _draw(_flat)
    assert [tuple(i.shape) for i in batch.images] == [(3, 8, 8)] * 6
    assert batch.status == [OK] * 6
    assert len({i.flatten().numpy().tobytes() for i in batch.images}) == 6


def test_images_that_are_not_finite_are_named_and_not_fatal():
    def paint(z):
        images = _flat(z).clone()
        images[2] = float("nan")
        images[4, 0, 0, 0] = float("inf")
        return images

    batch = _draw(paint)
    assert batch.status == [OK, OK, "not finite", OK, "not finite", OK]
    assert int(batch.images[2].max()) == 0


@pytest.mark.parametrize(("paint", "words"), [
    (lambda z: _flat(z) * 127 + 128, "generator 'g' gave values in"),
    (lambda z: _flat(z)[:, :1], r"expected \(n, 3, height, width\)")])  # fmt: skip
def test_a_wrong_range_or_shape_is_a_sentence(paint, words):
    with pytest.raises(SourceError, match=words):
        _draw(paint)


def test_the_uniform_prior_stays_within_one():
    source = LatentSource("g", Painter(_flat), z_dim=200, digest="0", prior="uniform")
    z = source.latents(SEEDS)
    assert z.min() < -0.9 < 0.9 < z.max() < 1


def test_a_sampler_may_replace_the_prior():
    batch = _draw(_flat, latents=lambda seeds: np.zeros((len(seeds), 4)))
    assert {int(i.max()) for i in batch.images} == {128}
