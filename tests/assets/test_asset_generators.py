"""The DCGAN trained on CelebA: its state dict and its export are the same generator, and an audit can draw from it."""

import numpy as np
import pytest
import torch

from audit.generators.dcgan32 import load_dcgan32
from audit.generators.torchscript import TorchScriptGenerator
from audit.manifests import load_manifest, resolve
from audit.pixels import to_uint8
from audit.seeds import uniforms

pytestmark = pytest.mark.assets


def test_state_dict_and_torchscript_draw_the_same_images(assets):
    manifest = load_manifest("dcgan32_celeba")
    plain = load_dcgan32(resolve(manifest, search=[assets]))
    name = "dcgan32_celeba.torchscript.pt"
    program = TorchScriptGenerator(resolve(manifest, file=name, search=[assets]), manifest.file(name).sha256, 100)
    z = torch.from_numpy(uniforms(np.arange(16), "z", 100) * 2 - 1).float()
    with torch.inference_mode():
        first, second = plain(z), program(z)
    assert tuple(first.shape) == (16, 3, 32, 32)
    assert (first - second).abs().max() < 1e-5
    pixels = to_uint8(first)
    assert pixels.float().std() > 20
    assert pixels.min() < 30
    assert pixels.max() > 225
