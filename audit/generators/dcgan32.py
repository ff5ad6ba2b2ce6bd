"""A DCGAN for 32x32 faces whose public weights were trained on CelebA by somebody else (manifest ``dcgan32_celeba``).

Radford, Metz, Chintala 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks", arXiv 1511.06434. Departures of these weights from the paper: no activation after the first layer, a plain
convolution as the second, leaky ReLU instead of ReLU, z uniform in -1..1.
"""

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from audit.errors import ManifestError


class DCGAN32(nn.Module):
    """z -> image; ``z_dim`` is 100, the prior is U(-1, 1)."""

    z_dim = 100
    prior = "uniform"
    resolution = 32

    def __init__(self) -> None:
        super().__init__()
        slope = 0.2
        self.generator_deconv = nn.Sequential(
            nn.Sequential(nn.ConvTranspose2d(self.z_dim, 256, 4, 1, 0, bias=False), nn.BatchNorm2d(256)),
            nn.Sequential(nn.Conv2d(256, 128, 3, 1, 1, bias=False), nn.BatchNorm2d(128), nn.LeakyReLU(slope)),
            nn.Sequential(nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.LeakyReLU(slope)),
            nn.Sequential(nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.LeakyReLU(slope)),
            nn.Sequential(nn.ConvTranspose2d(32, 3, 4, 2, 1), nn.Tanh()),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Return (n, 3, 32, 32) float32 in -1..1 for z (n, 100)."""
        return self.generator_deconv(z.view(-1, self.z_dim, 1, 1))


def load_dcgan32(path: str | Path) -> DCGAN32:
    """Load the weights from a state dict; nothing but tensors is read from the file.

    Args:
        path: a file written by ``torch.save(state_dict)``.

    Raises:
        ManifestError: the file holds something else than tensors, or tensors that do not fit; the sentence names them.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as problem:
        raise ManifestError(f"{path} is not a state dict of tensors ({' '.join(str(problem).split())[:120]})") from None
    model = DCGAN32()
    own = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ManifestError(f"{path} is not a state dict of tensors; expected the {len(own)} tensors of a DCGAN32")
    missing, extra = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    unlike = [
        f"{k} {tuple(state[k].shape)} for {own[k]}" for k in own if k in state and tuple(state[k].shape) != own[k]
    ]
    if missing or extra or unlike:
        raise ManifestError(
            f"{path} does not fit a DCGAN32: missing {missing or 'nothing'}, "
            f"not expected {extra or 'nothing'}, "
            f"of another shape {unlike or 'nothing'}"
        )
    model.load_state_dict(state)
    return model.eval()
