"""One small stand-in for each family of generators."""

import numpy as np
import pytest
import torch
from torch import nn

from audit.generators.stylegan2 import StyleGAN2
from audit.seeds import image_seeds
from audit.sources.latent import LatentSource
from mitigations.magnet.volumes import _load_forward_mode


class PixelNorm(nn.Module):
    def forward(self, x):
        return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def build(family):
    """Return (module, whether it reads only the direction of z)."""
    torch.manual_seed(3)
    up = {"scale_factor": 2, "mode": "nearest"}
    if family == "stylegan2":
        net = StyleGAN2(z_dim=12, w_dim=10, resolution=16, mapping_layers=2, channels={4: 8, 8: 8, 16: 6})
        for name, value in net.named_parameters():
            if name.endswith("noise_strength"):
                value.data.fill_(0.3)
        return net, True
    if family == "dcgan":
        net = nn.Sequential(
            nn.Unflatten(1, (10, 1, 1)),
            nn.ConvTranspose2d(10, 16, 4),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 8, 4, 2, 1),
            nn.BatchNorm2d(8),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(8, 3, 4, 2, 1),
            nn.Tanh(),
        )
        for _ in range(3):
            net(torch.randn(32, 10))  # running statistics, as after training
        return net, False
    if family == "progan":
        net = nn.Sequential(
            PixelNorm(),
            nn.Unflatten(1, (8, 1, 1)),
            nn.ConvTranspose2d(8, 16, 4),
            nn.LeakyReLU(0.2),
            PixelNorm(),
            nn.Upsample(**up),
            nn.Conv2d(16, 12, 3, 1, 1),
            nn.LeakyReLU(0.2),
            PixelNorm(),
            nn.Upsample(**up),
            nn.Conv2d(12, 3, 1),
        )
        return net, True
    return nn.Sequential(nn.Linear(6, 64), nn.SiLU(), nn.Unflatten(1, (4, 4, 4)), nn.GroupNorm(2, 4), nn.Upsample(**up),
                         nn.Conv2d(4, 3, 3, 1, 1), nn.Sigmoid()), False  # fmt: skip


WIDTH = {"stylegan2": 12, "dcgan": 10, "progan": 8, "vae": 6}


@pytest.fixture(params=list(WIDTH))
def network(request):
    module, invariant = build(request.param)
    return module.eval(), WIDTH[request.param], invariant


@pytest.fixture(scope="session")
def stylegan2():
    return build("stylegan2")[0].eval()


@pytest.fixture(scope="session")
def dcgan():
    return build("dcgan")[0].eval()


@pytest.fixture(scope="session", autouse=True)
def _forward_mode():
    _load_forward_mode()  # its first use warns, and warnings are errors here


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GENBIAS_HOME", str(tmp_path / "home"))


@pytest.fixture
def source(stylegan2):
    return LatentSource("tiny", stylegan2, z_dim=12, digest="tiny weights", call={"noise": "none"})


@pytest.fixture
def seeds():
    return image_seeds(5, np.arange(200))
