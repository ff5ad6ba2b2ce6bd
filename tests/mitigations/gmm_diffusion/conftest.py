"""A diffusion small enough to run in milliseconds, a toy whose truth is known, and readers for both."""

import numpy as np
import pytest
import torch
from torch import nn

from audit.generators.latent_diffusion import LatentDiffusion
from audit.sources.latent import LatentSource

MINORITY = 0.10
EDGE = 1.2815515655446004
"""Normal quantile of 1 - MINORITY."""


class Brightness:
    """Two cells by the grey value of an image; portraits are not needed for arithmetic."""

    classifier, digest, cells = "toy", "toy", ["many", "few"]

    def __init__(self, edge=127, attribute="smile"):
        self.edge, self.attribute = edge, attribute

    def probabilities(self, batch):
        few = (torch.stack(batch.images).float().mean(dim=(1, 2, 3)).numpy() > self.edge).astype(float)
        return np.stack([1 - few, few], axis=1)

    def labels(self, batch):
        return self.probabilities(batch).argmax(axis=1)


class HalfSpace(nn.Module):
    """White where z_0 is beyond the edge, a dark grey ramp elsewhere, so that the attribute is a half-space of mass MINORITY."""

    def forward(self, z):
        few = (z[:, 0] > EDGE).float().view(-1, 1, 1, 1)
        images = (few * 1.6 - 0.8).repeat(1, 3, 4, 4)
        images[:, :, 0, 0], images[:, :, 1, 1] = -1.0, 1.0  # the range shows in every image
        return images


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBIAS_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def brightness():
    return Brightness


@pytest.fixture(scope="session")
def half_space():
    return LatentSource("toy", HalfSpace(), z_dim=8, digest="half-space")


@pytest.fixture(scope="session")
def tiny_model():
    torch.manual_seed(0)
    model = LatentDiffusion(
        autoencoder={"in_channels": 12, "out_channels": 12, "down_block_types": ["DownEncoderBlock2D"], "up_block_types": ["UpDecoderBlock2D"],
                     "block_out_channels": [8], "layers_per_block": 1, "latent_channels": 2, "norm_num_groups": 4, "sample_size": 4,
                     "mid_block_add_attention": False},
        unet={"sample_size": 4, "in_channels": 2, "out_channels": 2, "down_block_types": ["DownBlock2D", "DownBlock2D"],
              "up_block_types": ["UpBlock2D", "UpBlock2D"], "block_out_channels": [8, 8], "layers_per_block": 1, "norm_num_groups": 4,
              "attention_head_dim": 8},
        scheduler={"num_train_timesteps": 100, "beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction", "clip_sample": False,
                   "timestep_spacing": "trailing", "set_alpha_to_one": True},
        steps=5, patch=2)  # fmt: skip
    return model.eval()


@pytest.fixture(scope="session")
def diffusion(tiny_model):
    return LatentSource("tiny", tiny_model, z_dim=tiny_model.z_dim, digest="tiny")


@pytest.fixture(scope="session")
def reader(diffusion):
    """Splits the tiny diffusion's images at a brightness that about a third of them exceed."""
    seeds = np.arange(200, dtype=np.uint64)
    grey = torch.stack(diffusion.draw(np.arange(200), seeds).images).float().mean(dim=(1, 2, 3)).numpy()
    return Brightness(float(np.quantile(grey, 0.65)))
