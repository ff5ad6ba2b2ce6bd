"""The decoder of a convolutional variational autoencoder, as a generator: z ~ N(0, 1) -> image.

Kingma, Welling 2014, "Auto-Encoding Variational Bayes", arXiv 1312.6114. The layout that is accepted is that of the VanillaVAE of
AntixK's PyTorch-VAE and of the many decoders built like it, alone, under "model." (Lightning) or "vae.":

- ``decoder_input.{weight,bias}``: linear, latent -> channels x s x s (s = 2 there; read from the shapes);
- ``decoder.N.0``: transposed convolution 3x3, stride 2, padding 1, output padding 1; ``decoder.N.1``: batch norm; leaky ReLU 0.01;
- ``final_layer.0``: one more of them, ``final_layer.1``: batch norm; leaky ReLU; ``final_layer.3``: convolution 3x3 to 3 channels; tanh.

The encoder (``encoder.*``, ``fc_mu.*``, ``fc_var.*``) may be in the file and is not read.
"""

import itertools
import math
from pathlib import Path

from torch import Tensor, nn

from audit.errors import ManifestError
from audit.generators.state_dicts import fit, read_checkpoint, tensors

ENCODER = ("encoder.", "fc_mu.", "fc_var.", "fc_logvar.")


class VAEDecoder(nn.Module):
    """z -> image in -1..1.

    Args:
        z_dim: width of the latent.
        widths: channels from the first map to the last.
        side: of the first map, in pixels.

    Attributes:
        network: these arguments, for JSON.
        resolution: pixels a side.
    """

    prior = "normal"

    def __init__(self, z_dim: int, widths: list[int], *, side: int = 2) -> None:
        super().__init__()
        self.z_dim, self.side = z_dim, side
        self.network = {"z_dim": int(z_dim), "widths": list(map(int, widths)), "side": int(side)}
        self.resolution = side * 2 ** len(widths)
        self.decoder_input = nn.Linear(z_dim, widths[0] * side * side)
        self.decoder = nn.Sequential(*(nn.Sequential(*_doubling(a, b)) for a, b in itertools.pairwise(widths)))
        self.final_layer = nn.Sequential(*_doubling(widths[-1], widths[-1]), nn.Conv2d(widths[-1], 3, 3, padding=1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Return (n, 3, h, h) float32 in -1..1 for z (n, z_dim)."""
        return self.final_layer(self.decoder(self.decoder_input(z).view(len(z), -1, self.side, self.side)))


def _doubling(inputs: int, outputs: int) -> list[nn.Module]:
    up = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    return [up, nn.BatchNorm2d(outputs), nn.LeakyReLU()]


def load_vae(path: str | Path) -> VAEDecoder:
    """Load a decoder from a state dict or checkpoint in the layout above.

    Raises:
        ManifestError: another layout, missing or unexpected keys, other shapes, other than 3 channels.
    """
    state = tensors(read_checkpoint(path), path, prefixes=("model.", "vae."))
    state = {k: v for k, v in state.items() if not k.startswith(ENCODER)}
    needed = ("decoder_input.weight", "final_layer.0.weight", "final_layer.3.weight")
    if any(k not in state for k in needed):
        found = ", ".join(sorted(state)[:4])
        raise ManifestError(f"{path} is no VAE decoder that is known here: it holds {found}, ...; expected {', '.join(needed)} and "
                            f"decoder.N.0.weight, as in PyTorch-VAE")  # fmt: skip
    count = len({k.split(".")[1] for k in state if k.startswith("decoder.")})
    ups = [state.get(f"decoder.{i}.0.weight", state["final_layer.0.weight"]) for i in range(count)] + [state["final_layer.0.weight"]]
    widths = [w.shape[0] for w in ups]
    rows, z_dim = state["decoder_input.weight"].shape
    side = math.isqrt(rows // widths[0])
    if side * side * widths[0] != rows:
        raise ManifestError(f"{path} does not fit a VAE decoder: {rows} rows in decoder_input are no square map of {widths[0]} channels")
    if state["final_layer.3.weight"].shape[0] != 3:
        raise ManifestError(f"{path} draws images of {state['final_layer.3.weight'].shape[0]} channels; expected 3 (red, green, blue)")
    model = VAEDecoder(z_dim, widths, side=side)
    fit(model, state, path, f"a VAE decoder of {model.resolution} px")
    return model
