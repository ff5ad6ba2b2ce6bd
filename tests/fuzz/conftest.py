"""What is mutated: shipped specs, small pictures, a file of weights."""

import io
from importlib import resources

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save


@pytest.fixture(scope="session")
def spec_texts():
    folder = resources.files("audit") / "specs"
    return {p.name: p.read_text() for p in sorted(folder.iterdir(), key=lambda p: p.name) if p.name.endswith(".yaml")}


@pytest.fixture(scope="session")
def spec_trees(spec_texts):
    return {name: yaml.safe_load(text) for name, text in spec_texts.items()}


@pytest.fixture(scope="session")
def pictures():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    found = {}
    for kind, options in (("PNG", {}), ("JPEG", {"quality": 80}), ("GIF", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {}), ("JPEG2000", {})):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind, **options)
        found[kind] = file.getvalue()
    return found


@pytest.fixture(scope="session")
def weights():
    header = {"kind": "dcgan", "network": '{"z_dim": 8, "channels": 4}'}
    return save({"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.float16)}, metadata=header)
