"""Our StyleGAN2 computes what the reference implementation computed from the same weights (float32, CPU, 1e-4)."""

import io
import pickle

import numpy as np
import pytest
import torch

from audit.generators.stylegan2 import StyleGAN2

SAFE = {("collections", "OrderedDict"), ("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter")}


class _Plain:
    """Stands in for every class of the file: keeps its state and runs nothing."""

    def __init__(self, *_):
        self.state = {}

    def __setstate__(self, state):
        self.state = state


class _Reader(pickle.Unpickler):
    """Reads the tensors out of a reference pickle without importing or running anything that it names."""

    def find_class(self, module, name):
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return lambda raw: torch.load(io.BytesIO(raw), weights_only=True)
        if name == "_reconstruct_persistent_obj":
            return lambda meta: meta
        if (module, name) in SAFE:
            return super().find_class(module, name)
        return _Plain


def _tensors(module, prefix=""):
    state = module["state"] if isinstance(module, dict) else module.state
    found = {prefix + k: v for part in ("_parameters", "_buffers") for k, v in state[part].items() if v is not None}
    for name, child in state["_modules"].items():
        found |= _tensors(child, f"{prefix}{name}.")
    return found


@pytest.mark.parametrize("name", ["unconditional", "conditional"])
def test_images_equal_the_known_answers(golden, name):
    with (golden / f"stylegan2_ada_{name}.pkl").open("rb") as file:
        tensors = _tensors(_Reader(file).load()["G_ema"])
    channels = {r: tensors[f"synthesis.b{r}.conv1.weight"].shape[0] for r in (4, 8, 16, 32, 64)}
    layers = sum(k.startswith("mapping.fc") and k.endswith("weight") for k in tensors)
    c_dim = tensors["mapping.embed.weight"].shape[1] if "mapping.embed.weight" in tensors else 0
    net = StyleGAN2(z_dim=64, c_dim=c_dim, w_dim=64, resolution=64, channels=channels, mapping_layers=layers)
    net.load_state_dict(tensors)  # strict: every tensor has its place
    known = np.load(golden / f"stylegan2_ada_{name}.npz")
    z = torch.from_numpy(known["z"])
    c = torch.from_numpy(known["c"]) if c_dim else None
    calls = {"img_const": {}, "img_none": {"noise": "none"}, "img_psi07_const": {"truncation_psi": 0.7},
             "img_psi05_cut4_const": {"truncation_psi": 0.5, "truncation_cutoff": 4}}  # fmt: skip
    for key, call in calls.items():
        with torch.no_grad():
            images = net(z, c, **call).numpy()
        assert np.abs(images - known[key]).max() < 1e-4, key
