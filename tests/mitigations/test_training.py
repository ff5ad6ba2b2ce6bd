"""Every recipe's loop in miniature: it runs, it improves or at least moves, it resumes exactly, and its file loads."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from audit.errors import ManifestError, SpecError
from audit.generators import load
from mitigations.training import instruments
from mitigations.training.data import PortraitStream, to_signed
from mitigations.training.discriminator import Discriminator
from mitigations.training.recipes import load_recipe
from mitigations.training.stylegan2 import StyleGAN2Trainer, carry_on
from mitigations.training.train import train

CHANNELS = {4: 16, 8: 16, 16: 16, 32: 16}


@pytest.fixture(scope="module")
def tiny_gan():
    recipe = load_recipe("stylegan2")
    network = {"z_dim": 16, "w_dim": 16, "resolution": 32, "mapping_layers": 2, "channels": CHANNELS}
    return replace(recipe, name="tiny", network=network, schedule=[(16, 64), (32, 32)], options={**recipe.options, "batch": 16})


def _real(resolution):
    return to_signed(PortraitStream("balanced", 1).batch(0, 16)[0], resolution)


def test_one_step_moves_both_networks_and_the_average(tiny_gan):
    trainer = StyleGAN2Trainer(tiny_gan, torch.device("cpu"))
    before = [p.clone() for n in (trainer.generator, trainer.discriminator, trainer.average) for p in n.parameters()]
    losses = trainer.step(_real(16), 16)
    after = [p for n in (trainer.generator, trainer.discriminator, trainer.average) for p in n.parameters()]
    assert sum(not torch.equal(a, b) for a, b in zip(before, after, strict=True)) > len(before) / 2
    assert all(np.isfinite(v) for v in losses.values())


def test_a_resumed_training_is_the_uninterrupted_one(tiny_gan):
    straight = StyleGAN2Trainer(tiny_gan, torch.device("cpu"))
    for _ in range(4):
        straight.step(_real(16), 16)
    first = StyleGAN2Trainer(tiny_gan, torch.device("cpu"))
    for _ in range(2):
        first.step(_real(16), 16)
    saved = first.state()
    resumed = StyleGAN2Trainer(tiny_gan, torch.device("cpu"))
    resumed.load(saved)
    for _ in range(2):
        resumed.step(_real(16), 16)
    for a, b in zip(straight.average.parameters(), resumed.average.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_growing_starts_from_the_smaller_image(tiny_gan):
    trainer = StyleGAN2Trainer(tiny_gan, torch.device("cpu"))
    trainer.grow(32)
    z = torch.randn(2, 16)
    with torch.no_grad():
        ws = trainer.average.mapping(z)
        small, large = (trainer.average.synthesis(ws, resolution=r) for r in (16, 32))
    assert torch.allclose(torch.nn.functional.avg_pool2d(large, 2)[:, :, 2:-2, 2:-2], small[:, :, 2:-2, 2:-2], atol=0.15)
    assert (large - torch.nn.functional.interpolate(small, scale_factor=2, mode="bilinear"))[:, :, 3:-3, 3:-3].abs().max() < 0.05


def test_stages_follow_the_schedule(tiny_gan):
    assert [tiny_gan.stage(n) for n in (0, 16, 63, 64, 80, 1000)] == [16, 16, 16, 32, 32, 32]


def test_every_size_is_prepared_once_even_where_a_stage_is_no_multiple_of_the_batch(tiny_gan, tmp_path, monkeypatch):
    grown = []
    monkeypatch.setattr(StyleGAN2Trainer, "grow", lambda self, resolution: grown.append((self.images_seen, resolution)))
    n = tiny_gan.options["batch"]
    recipe = replace(tiny_gan, schedule=[(16, n + 1), (32, 2 * n)])
    carry_on(StyleGAN2Trainer(recipe, torch.device("cpu")), lambda first, n, r: (_real(r)[:n], None), tmp_path, sample=lambda m, r: None)
    assert grown == [(2 * n, 32)]


def test_the_discriminator_takes_every_size():
    net = Discriminator(32, CHANNELS)
    assert {tuple(net(torch.zeros(6, 3, r, r)).shape) for r in (8, 16, 32)} == {(6,)}


def test_the_training_stream_never_repeats_and_never_depends_on_the_batch():
    stream = PortraitStream("celeb_like", 3)
    whole, truth = stream.batch(0, 12)
    parts = torch.cat([stream.batch(i, 4)[0] for i in (0, 4, 8)])
    assert torch.equal(whole, parts)
    assert len({image.numpy().tobytes() for image in whole}) == 12
    assert isinstance(truth, pd.DataFrame)


@pytest.mark.parametrize("name", ["portraits_a", "portraits_b", "encoder", "identity"])
def test_an_instrument_s_loop_runs_and_logs(name, tmp_path):
    recipe = load_recipe(name)
    recipe = replace(recipe, schedule=[(64, 16 * 6)], options={**recipe.options, "batch": 16})
    getattr(instruments, f"train_{recipe.kind}")(recipe, tmp_path, torch.device("cpu"))
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[0]["images"] == 16
    assert np.isfinite(log[0]["loss"])


def test_degrading_says_how_much_it_degraded():
    x = torch.zeros(200, 3, 16, 16)
    changed, strengths = instruments.degrade(x, 0.5, rng=np.random.default_rng(0))
    touched = (changed != x).flatten(1).any(dim=1)
    assert (touched == (strengths[:, 2] > 0)).all()  # on a flat image only noise shows
    assert 0.15 < float(touched.float().mean()) < 0.45
    still, none = instruments.degrade(x, 0.0, rng=np.random.default_rng(0))
    assert torch.equal(still, x)
    assert not none.any()


def test_a_tiny_recipe_runs_from_yaml_to_a_file_that_loads(tmp_path):
    text = (
        "name: mini\nkind: stylegan2\npopulation: balanced\nseed: 1\n"
        "network: {z_dim: 8, w_dim: 8, resolution: 16, mapping_layers: 1, channels: {4: 16, 8: 16, 16: 16}}\n"
        "schedule: [[16, 32]]\n"
        'options: {batch: 16, lr: 0.002, r1_every: 2, r1_gamma: {"16": 0.1}, path_every: 2, path_weight: 2.0, ema_images: 100}\n'
    )
    (tmp_path / "mini.yaml").write_text(text)
    path = train(str(tmp_path / "mini.yaml"), tmp_path / "out")
    net = load(path)
    assert net(torch.zeros(2, 8) + 1).shape == (2, 3, 16, 16)
    assert (tmp_path / "out/mini/samples.png").is_file()


@pytest.mark.parametrize("rounds", [[16, 16], 16])
def test_a_tiny_diffusion_recipe_runs_to_a_file_that_loads(tmp_path, rounds):
    recipe = load_recipe("diffusion")
    text = {"name": "mini", "kind": "diffusion", "population": "balanced", "seed": 1, "schedule": [[64, 0]],
            "network": {**recipe.network, "steps": 2},
            "options": {**recipe.options, "autoencoder_images": 16, "decoder_images": rounds, "calibration_draws": 32, "latents": 256, "batch": 16, "images": 32, "refine_images": 32}}  # fmt: skip
    (tmp_path / "mini.yaml").write_text(yaml.safe_dump(text))
    path = train(str(tmp_path / "mini.yaml"), tmp_path / "out")
    assert (tmp_path / "out/mini/decoder_1.pt").is_file() == isinstance(rounds, list)
    net = load(path, "latent_diffusion")
    with torch.no_grad():
        z = torch.randn(2, net.z_dim)
        assert torch.equal(net(z), net(z))
        assert net(z).shape == (2, 3, 64, 64)


@pytest.mark.parametrize(("text", "words"), [("name: x\n", "exactly the keys"), ("- 1\n", "found list")])
def test_a_bad_recipe_is_one_sentence(tmp_path, text, words):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(SpecError, match=words):
        load_recipe(str(tmp_path / "bad.yaml"))


def test_an_unknown_recipe_lists_the_shipped_ones():
    with pytest.raises(SpecError, match="portraits_a"):
        load_recipe("nothing")


def test_growing_does_not_blind_the_discriminator(tiny_gan):
    exact = replace(tiny_gan, options={**tiny_gan.options, "precision": "float32"})
    trainer = StyleGAN2Trainer(exact, torch.device("cpu"))
    for _ in range(3):
        trainer.step(_real(16), 16)
    trainer.grow(32)
    large = _real(32)
    with torch.no_grad():
        grown, small = trainer.judge(large), trainer.judge(torch.nn.functional.avg_pool2d(large, 2))
    assert torch.allclose(grown, small, atol=1e-5)
    with torch.no_grad():
        trainer.discriminator.detail32.fill_(1)
    assert not torch.allclose(trainer.judge(large), small, atol=1e-4)


def test_bfloat16_maps_draw_nearly_the_same_image(tiny_gan):
    trainer = StyleGAN2Trainer(tiny_gan, torch.device("cpu"))
    with torch.no_grad():
        ws = trainer.average.mapping(torch.randn(4, 16))
        exact, quick = (trainer.average.synthesis(ws, precision=p) for p in (torch.float32, torch.bfloat16))
    assert quick.dtype == torch.float32
    assert 0 < (exact - quick).abs().max() < 0.1 * exact.std()


def test_another_seed_is_another_model_under_its_own_name(tmp_path):
    recipe = load_recipe("portraits_b")
    text = {**vars(recipe), "name": "mini", "schedule": [[64, 16]], "options": {**recipe.options, "batch": 16}}
    (tmp_path / "mini.yaml").write_text(yaml.safe_dump(text))
    one, two = (train(str(tmp_path / "mini.yaml"), tmp_path, seed=s) for s in (1, 2))
    assert [p.name for p in (one, two)] == ["mini_seed1.safetensors", "mini_seed2.safetensors"]
    assert one.read_bytes() != two.read_bytes()


def test_fine_tuning_starts_from_the_weights_it_is_given(tiny_gan):
    given, trainer = (StyleGAN2Trainer(r, torch.device("cpu")) for r in (tiny_gan, replace(tiny_gan, seed=5)))
    trainer.start_from(given.generator.state_dict(), given.discriminator.state_dict())
    with torch.no_grad():
        ws = given.generator.mapping(torch.ones(2, 16))
        assert torch.equal(trainer.average.synthesis(ws), given.generator.synthesis(ws))
        assert torch.equal(trainer.judge(_real(32)), given.judge(_real(32)))
    with pytest.raises(ManifestError, match="which this generator lacks"):
        trainer.start_from({"b128.conv0.weight": torch.zeros(1)})
