"""Our reader and our StyleGAN2 give what the reference implementation computed from its own files (float32, CPU, 1e-4)."""

import numpy as np
import pytest
import torch

from audit.convert import convert_weights
from audit.generators import load
from audit.sources import open_source
from audit.spec import SourceSpec

NAMES = ("unconditional", "conditional")
CALLS = {"img_const": {}, "img_none": {"noise": "none"}, "img_psi07_const": {"truncation_psi": 0.7},
         "img_psi05_cut4_const": {"truncation_psi": 0.5, "truncation_cutoff": 4}}  # fmt: skip


def known_answers(golden, name):
    known = np.load(golden / f"stylegan2_ada_{name}.npz")
    return known, torch.from_numpy(known["z"]), torch.from_numpy(known["c"]) if "c" in known else None


@pytest.mark.parametrize("name", NAMES)
def test_images_equal_the_known_answers(golden, name):
    net = load(golden / f"stylegan2_ada_{name}.pkl", "stylegan2")
    known, z, c = known_answers(golden, name)
    for key, call in CALLS.items():
        with torch.no_grad():
            images = net(z, c, **call).numpy()
        assert np.abs(images - known[key]).max() < 1e-4, key
    with torch.no_grad():
        assert np.abs(net.mapping(z, c).numpy() - known["w"]).max() < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_random_noise_differs_each_time_and_stays_near_the_known_answers(golden, name):
    net = load(golden / f"stylegan2_ada_{name}.pkl")
    known, z, c = known_answers(golden, name)
    with torch.no_grad():
        first, second = net(z, c, noise="random").numpy(), net(z, c, noise="random").numpy()
    assert np.abs(first - second).max() > 1e-3
    assert np.abs(first - known["img_const"]).mean() < 2 * np.abs(known["img_none"] - known["img_const"]).mean()


@pytest.mark.parametrize("name", NAMES)
def test_a_converted_file_draws_the_same_to_the_bit(golden, tmp_path, name):
    path = golden / f"stylegan2_ada_{name}.pkl"
    weights, manifest = convert_weights(path, tmp_path / "converted.safetensors", kind="stylegan2")
    _, z, c = known_answers(golden, name)
    with torch.no_grad():
        assert torch.equal(load(path)(z, c), load(weights)(z, c))
    ids, seeds = np.arange(4), np.arange(4, dtype=np.uint64)
    drawn = [open_source("g", SourceSpec(source="stylegan2", weights=str(p), truncation_psi=0.7)).draw(ids, seeds).images
             for p in (path, weights, manifest)]  # fmt: skip
    for others in drawn[1:]:
        assert all(torch.equal(a, b) for a, b in zip(drawn[0], others, strict=True))
