"""Tiny networks and one tiny recipe run to its end, shared by the tests of this folder."""

import copy
from dataclasses import replace

import pytest
import torch

from audit.generators.stylegan2 import StyleGAN2
from audit.generators.weights import save_weights
from mitigations.self_conditioning.loop import train_self_conditioned
from mitigations.training.discriminator import Discriminator
from mitigations.training.recipes import load_recipe

CHANNELS = {4: 12, 8: 12, 16: 8}
NETWORK = {"z_dim": 8, "w_dim": 8, "resolution": 16, "mapping_layers": 2, "channels": CHANNELS}


@pytest.fixture(scope="session")
def baseline(tmp_path_factory):
    """Path of an untrained generator whose pictures differ enough for a classifier to disagree about them, and its critic."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("baseline")
    net = StyleGAN2(**NETWORK)
    for r in CHANNELS:
        getattr(net.synthesis, f"b{r}").torgb.weight.data *= 0.3  # colours within range, so that readings vary
    save_weights(net, folder / "tiny.safetensors", kind="stylegan2", network=NETWORK)
    critic = {"resolution": 16, "channels": CHANNELS}
    save_weights(Discriminator(16, CHANNELS), folder / "tiny_critic.safetensors", kind="critic", network=critic)
    return folder / "tiny.safetensors"


@pytest.fixture(scope="session")
def tiny(baseline):
    """The shipped recipe in miniature."""
    recipe = load_recipe("self_conditioned")
    options = copy.deepcopy(recipe.options)
    options |= {"baseline": str(baseline), "critic": str(baseline.with_name("tiny_critic.safetensors")), "real_images": 600,
                "scored_images": 128,
                "calibration_images": 600, "checked_images": 32, "batch": 8, "r1_gamma": {"16": 0.1}, "precision": "float32"}  # fmt: skip
    options |= {"label_weight_d": 0.5, "label_weight_g": 0.25}
    options["encoder"] |= {"widths": [4, 4, 4, 4], "images": 48, "batch": 8, "precision": "float32"}
    options["directions"] |= {"at_least": 40, "layer_pairs": 4}
    options["resampling"] |= {"queries": 300, "rounds": 1}
    network = NETWORK | {"attributes": ["gender", "smile"], "init": "residual", "condition": "both"}
    return replace(recipe, name="tiny_sc", network=network, schedule=[(16, 48)], options=options, population="balanced")


@pytest.fixture(scope="session")
def made(tiny, tmp_path_factory):
    """Folder and weights of the tiny recipe run to its end."""
    out = tmp_path_factory.mktemp("made")
    return out, train_self_conditioned(tiny, out, torch.device("cpu"))
