"""Drawn latents brought to the mean and spread of the training latents: known truth on a network that draws too narrow."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from audit.generators.latent_diffusion import LatentDiffusion
from mitigations.training.data import PortraitStream
from mitigations.training.diffusion import _calibrate, _pixel_variance
from mitigations.training.recipes import TrainingLog, load_recipe

AUTOENCODER = {"in_channels": 48, "out_channels": 48, "down_block_types": ["DownEncoderBlock2D"], "up_block_types": ["UpDecoderBlock2D"],
               "block_out_channels": [8], "layers_per_block": 1, "latent_channels": 2, "norm_num_groups": 4, "sample_size": 16,
               "mid_block_add_attention": False}  # fmt: skip
UNET = {"sample_size": 16, "in_channels": 2, "out_channels": 2, "down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"],
        "block_out_channels": [8], "layers_per_block": 1, "norm_num_groups": 4}  # fmt: skip
SCHEDULER = {"num_train_timesteps": 100, "beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction", "clip_sample": False,
             "timestep_spacing": "trailing", "set_alpha_to_one": True}  # fmt: skip


class Bright(nn.Module):
    """Decodes a latent to flat grey of its first number, a little too alike."""

    def forward(self, raw):
        grey = (0.37 * raw[:, :1, :1, :1]).clamp(-1, 1)
        return grey.expand(-1, 3, 64, 64)


@pytest.fixture
def model():
    torch.manual_seed(3)
    net = LatentDiffusion(autoencoder=AUTOENCODER, unet=UNET, scheduler=SCHEDULER, steps=2, patch=4, calibrated=True).eval()
    bright = Bright()
    net.restore = bright.forward
    return net


def calibrated(model, tmp_path, draws=400):
    latents = 0.1 + 0.9 * torch.randn(3000, *model.latent_shape, generator=torch.Generator().manual_seed(1))
    recipe = load_recipe("diffusion")
    recipe = replace(recipe, options={**recipe.options, "calibration_draws": draws})
    stream = PortraitStream("balanced", 1)
    _calibrate(model, latents, stream, recipe, TrainingLog(tmp_path))
    return latents, recipe


def test_draws_get_the_mean_and_the_spread_of_the_training_latents_up_to_one_factor(model, tmp_path):
    with torch.no_grad():
        latents, recipe = calibrated(model, tmp_path)
        noise = torch.randn((400, *model.latent_shape), generator=torch.Generator().manual_seed(recipe.seed))
        drawn = model.denoise(noise)
    assert torch.allclose(drawn.mean(dim=0), latents.mean(dim=0), atol=1e-3)
    ratio = drawn.std(dim=0) / latents.std(dim=0)
    assert float(ratio.std()) < 1e-4
    assert 0.9 <= float(ratio.mean()) <= 1.2


def test_the_factor_gives_decoded_pixels_the_variance_of_training_pixels(model, tmp_path):
    with torch.no_grad():
        _, recipe = calibrated(model, tmp_path)
        noise = torch.randn((400, *model.latent_shape), generator=torch.Generator().manual_seed(recipe.seed))
        made = _pixel_variance([model.decode(model.denoise(noise)).clamp(-1, 1)])
    said = (tmp_path / "log.jsonl").read_text()
    real = PortraitStream("balanced", 1).batch(30_000_000, 400)[0].double() / 127.5 - 1
    wanted = float(real.var(dim=0, correction=0).mean())
    assert '"stage": "calibration"' in said
    assert made == pytest.approx(wanted, rel=0.02)


def test_the_same_weights_without_it_draw_as_before(model):
    plain = LatentDiffusion(autoencoder=AUTOENCODER, unet=UNET, scheduler=SCHEDULER, steps=2, patch=4).eval()
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("draw_")})
    z = torch.randn(3, *plain.latent_shape)
    with torch.no_grad():
        before = plain.denoise(z)
        assert torch.equal(model.denoise(z), before)  # ones and zeros until it is measured
        model.draw_scale.fill_(2)
        model.draw_shift.fill_(0.5)
        assert torch.allclose(model.denoise(z), 2 * before + 0.5)
    assert not any(k.startswith("draw_") for k in plain.state_dict())


def test_the_variance_is_over_images():
    x = torch.tensor([0.0, 2.0]).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    assert _pixel_variance([x]) == pytest.approx(1)
    assert _pixel_variance([x[:1], x[1:]]) == pytest.approx(1)
    assert _pixel_variance([torch.linspace(0, 1, 48).view(1, 3, 4, 4)]) == pytest.approx(0)
