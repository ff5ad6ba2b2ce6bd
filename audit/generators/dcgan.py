"""DCGAN generators in the layouts of the public PyTorch zoos: a chain of transposed convolutions from a latent to an image.

Radford, Metz, Chintala 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
arXiv 1511.06434. Layouts that are recognised, by the names of their tensors; sizes are read from the tensors:

- ``main.N.weight``: the PyTorch tutorial and its descendants (csinva's CIFAR-10 weights end with a 1x1 convolution);
- ``noise2feat.conv.weight``, ``upsampling.N.conv.weight``, ``output_layer.conv.weight``: MMGeneration, alone or under "generator.";
- ``formatLayer.weight``, ``main.batchNormN.weight``, ``main.convTransposeN.weight``, ``main.outlayer.weight``: the GAN zoo of
  facebookresearch, alone or in a checkpoint with "netG", "avgG" and "config".

In all of them each convolution but the last is followed by a batch norm and a ReLU, and the last by tanh (in the GAN zoo unless the
configuration names a loss whose generator ends linearly).
"""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from audit.errors import ManifestError
from audit.generators.gan_zoo import LINEAR_LOSSES, network_of
from audit.generators.state_dicts import State, check_keys, fit, tensors


class DCGAN(nn.Module):
    """z -> image in -1..1.

    Args:
        shapes: of the weights of the transposed convolutions, (inputs, outputs, kernel, kernel) each, in order.
        biases: positions of the convolutions that have a bias.
        bgr: the images come out as BGR and are turned into RGB.
        tanh: whether the last convolution is followed by it.

    Attributes:
        network: these arguments, for JSON.
        resolution: pixels a side.
    """

    prior = "normal"

    def __init__(self, shapes: Sequence[Sequence[int]], biases: Sequence[int] = (), *, bgr: bool = False, tanh: bool = True) -> None:
        super().__init__()
        self.z_dim, self.bgr = shapes[0][0], bgr
        self.network = {"shapes": [list(map(int, s)) for s in shapes], "biases": list(biases), "bgr": bgr, "tanh": tanh}
        layers: list[nn.Module] = []
        self.resolution = 0
        for at, (inputs, outputs, kernel, _) in enumerate(shapes):
            # 4x4 doubles the size, but the first one makes the first pixels; 1x1 and 3x3 keep it.
            stride, padding = (1, 0) if at == 0 else (2, 1) if kernel == 4 else (1, kernel // 2)
            self.resolution = (self.resolution - 1) * stride - 2 * padding + kernel if at else kernel
            layers.append(nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding, bias=at in biases))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU()] if at < len(shapes) - 1 else [nn.Tanh()] * tanh
        self.main = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """Return (n, 3, h, w) float32 in -1..1 for z (n, z_dim)."""
        images = self.main(z[:, :, None, None])
        return images.flip(1) if self.bgr else images


def load_dcgan(path: str | Path, *, bgr: bool | None = None) -> DCGAN:
    """Load a DCGAN from a state dict or checkpoint in one of the layouts above.

    Args:
        path: the file.
        bgr: whether its images are BGR; None = as the layout's framework does it (MMGeneration: yes).

    Raises:
        ManifestError: no such layout, missing or unexpected keys, shapes that do not follow each other, other than 3 channels.
    """
    content, config = network_of(path)
    state = tensors(content, path, prefixes=("generator_ema.", "generator."))
    turned, framework = _as_chain(state, path)
    weights = {int(k.split(".")[1]): v.shape for k, v in turned.items() if re.fullmatch(r"main\.\d+\.weight", k) and v.ndim == 4}
    places = list(range(0, 3 * len(weights), 3))
    if len(weights) < 2 or sorted(weights) != places:
        raise ManifestError(f"{path} does not fit a DCGAN: transposed convolutions at main.{sorted(weights)}; expected a convolution, a "
                            f"batch norm and a ReLU by turns: main.{places or [0, 3]}")  # fmt: skip
    shapes = [tuple(weights[at]) for at in places]
    for at, (before, after) in enumerate(itertools.pairwise(shapes)):
        if before[1] != after[0]:
            raise ManifestError(f"{path} does not fit a DCGAN: main.{3 * at} gives {before[1]} channels, main.{3 * at + 3} takes "
                                f"{after[0]}; expected transposed convolutions (inputs, outputs, k, k) that follow each other")  # fmt: skip
    if shapes[-1][1] != 3:
        raise ManifestError(f"{path} draws images of {shapes[-1][1]} channels; expected 3 (red, green, blue)")
    biases = tuple(at for at in range(len(shapes)) if f"main.{3 * at}.bias" in turned)
    linear = config.get("lossCriterion") in LINEAR_LOSSES
    model = DCGAN(shapes, biases, bgr=framework == "mmgeneration" if bgr is None else bgr, tanh=not linear)
    fit(model, turned, path, f"a DCGAN of {len(shapes)} layers ({framework} layout)")
    return model


def _as_chain(state: State, path: str | Path) -> tuple[State, str]:
    """Return the tensors under the names of the tutorial, and whose layout it was."""
    if "noise2feat.conv.weight" in state:
        ups = len({k.split(".")[1] for k in state if k.startswith("upsampling.")})
        names = {"noise2feat.conv": "main.0", "noise2feat.bn": "main.1", "output_layer.conv": f"main.{3 * ups + 3}"}
        for i in range(ups):
            names |= {f"upsampling.{i}.conv": f"main.{3 * i + 3}", f"upsampling.{i}.bn": f"main.{3 * i + 4}"}
        return _renamed(state, names, path, "mmgeneration"), "mmgeneration"
    if "formatLayer.weight" in state and "main.outlayer.weight" in state:
        ups = len({k.split(".")[1] for k in state if k.startswith("main.convTranspose")})
        names = {"formatLayer": "main.0", "main.batchNorm0": "main.1", "main.outlayer": f"main.{3 * ups + 3}"}
        for i in range(1, ups + 1):
            names |= {f"main.convTranspose{i}": f"main.{3 * i}", f"main.batchNorm{i}": f"main.{3 * i + 1}"}
        return _renamed(state, names, path, "GAN zoo"), "GAN zoo"
    if "main.0.weight" in state:
        return state, "tutorial"
    found = ", ".join(sorted(state)[:4])
    raise ManifestError(f"{path} is no DCGAN that is known here: it holds {found}, ...; expected main.0.weight (PyTorch tutorial), "
                        f"noise2feat.conv.weight (MMGeneration) or formatLayer.weight and main.outlayer.weight (GAN zoo)")  # fmt: skip


def _renamed(state: State, names: dict[str, str], path: str | Path, framework: str) -> State:
    turned = {}
    for key, value in state.items():
        owner, _, kind = key.rpartition(".")
        if owner not in names:
            check_keys({key}, set(), path, f"a DCGAN ({framework} layout)")
        turned[f"{names[owner]}.{kind}"] = value
    return turned

