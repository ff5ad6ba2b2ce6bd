"""The encoder's parts, its training in miniature, exact resumption, and inversions measured against what is known."""

import numpy as np
import pytest
import torch

from audit.errors import SpecError
from audit.generators import load
from mitigations.self_conditioning.encoder import Encoder, fit_encoder, inversion_quality, invert
from mitigations.self_conditioning.images import PortraitImages
from mitigations.training.recipes import TrainingLog

OPTIONS = {"widths": [8, 8, 8, 8], "space": "w_plus", "images": 64, "batch": 8, "lr": 0.005, "restore_every": 2, "pixel_weight": 1.0,
           "offset_weight": 1.0, "direction_weight": 1.0, "precision": "float32"}  # fmt: skip


@pytest.fixture
def module(baseline):
    return load(baseline)


@pytest.fixture(scope="module")
def images():
    return PortraitImages("balanced", 5, 120, 16)


def fitted(module, shown, out, **options):
    return fit_encoder(
        module, shown, OPTIONS | options, along=np.eye(8)[:2], seed=3, out=out, log=TrainingLog(out), device=torch.device("cpu")
    )


def test_codes_begin_equal_in_all_layers_and_in_the_generator_s_units():
    encoder = Encoder(8, 6, [4, 4, 4, 4]).eval()
    encoder.mean.fill_(2.0)
    encoder.scale.fill_(3.0)
    x = torch.randn(5, 3, 16, 16)
    codes, (code, offsets) = encoder(x), encoder.parts(x)
    assert codes.shape == (5, 6, 8)
    assert not offsets.any()
    assert torch.allclose(codes, (2 + 3 * code).unsqueeze(1).expand(-1, 6, -1))


def test_one_code_for_all_layers_can_be_asked_for_and_nothing_else():
    assert Encoder(8, 6, [4, 4, 4, 4], "w").eval()(torch.randn(2, 3, 16, 16)).shape == (2, 6, 8)
    with pytest.raises(SpecError, match="expected w or w_plus"):
        Encoder(8, 6, [4, 4, 4, 4], "z")


def test_it_learns_codes_and_leaves_the_generator_alone(module, images, tmp_path):
    before = {k: v.clone() for k, v in module.state_dict().items()}
    encoder = fitted(module, images, tmp_path, images=2400, batch=24, restore_every=4)
    quality = inversion_quality(encoder, module, images, seed=3, n=64)
    assert 0.2 < quality["code_r2"] <= 1  # the mean code scores 0
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


def test_a_resumed_training_is_the_uninterrupted_one(module, images, tmp_path, monkeypatch):
    straight = fitted(module, images, tmp_path / "a")
    taken = []
    monkeypatch.setattr("mitigations.self_conditioning.encoder.SAVE_EVERY_S", -1.0)

    class Stop(Exception):
        pass

    class Interrupted:
        count = images.count

        def take(self, indices):
            taken.append(indices)
            if len(taken) == 3:
                raise Stop
            return images.take(indices)

    with pytest.raises(Stop):
        fitted(module, Interrupted(), tmp_path / "b")
    resumed = fitted(module, images, tmp_path / "b")
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_a_finished_training_is_not_done_again(module, images, tmp_path):
    first = fitted(module, images, tmp_path)
    again = fitted(module, None, tmp_path)  # no images: a single step would fail
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))


def test_an_inversion_does_not_depend_on_its_batch(module, images, tmp_path):
    encoder, shown = fitted(module, images, tmp_path), images.take(np.arange(9))
    assert torch.allclose(invert(encoder, shown)[4], invert(encoder, shown[4:5])[0], atol=1e-5)


def test_errors_are_in_8_bit_levels_beside_a_yardstick(module, images, tmp_path):
    quality = inversion_quality(fitted(module, images, tmp_path), module, images, seed=3, n=32)
    real = images.take(np.arange(88, 120)).float()
    assert quality["real_spread"] == pytest.approx(float((real - real.mean(dim=0)).square().mean().sqrt()), rel=1e-4)
    assert 0 < quality["drawn_error"] < 255
    assert 0 < quality["real_error"] < 255
