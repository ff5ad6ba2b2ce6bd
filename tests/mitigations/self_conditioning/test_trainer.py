"""One step with labels: who is taught what, and batches that follow the resampled list."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from audit.errors import ManifestError
from audit.generators.weights import read_weights
from mitigations.self_conditioning.images import PortraitImages
from mitigations.self_conditioning.trainer import SelfConditioningTrainer, resampled_batches


@pytest.fixture
def trainer(tiny, baseline):
    trainer = SelfConditioningTrainer(tiny, torch.device("cpu"))
    trainer.start_from(read_weights(baseline)[2])
    return trainer


def test_training_begins_at_the_baseline(trainer, baseline):
    state = read_weights(baseline)[2]
    for network in (trainer.generator, trainer.average):
        assert torch.equal(network.synthesis.b4.const, state["synthesis.b4.const"])
        assert not network.label_consts.any() and not network.label_styles.any()


def test_a_fresh_discriminator_sees_every_size_and_a_given_one_is_kept(trainer, baseline):
    assert [getattr(trainer.discriminator, f"detail{r}").item() for r in (16, 8)] == [1, 1]
    state, critic = read_weights(baseline)[2], read_weights(baseline.with_name("tiny_critic.safetensors"))[2]
    critic["detail16"].fill_(0.25)
    trainer.start_from(state, critic)
    assert trainer.discriminator.detail16.item() == 0.25
    assert torch.equal(trainer.discriminator.out.weight, critic["out.weight"])


def test_copies_are_of_the_baseline_s_constant(tiny, baseline):
    trainer = SelfConditioningTrainer(replace(tiny, network={**tiny.network, "init": "copies"}), torch.device("cpu"))
    trainer.start_from(read_weights(baseline)[2])
    assert all(torch.equal(c, trainer.average.synthesis.b4.const) for c in trainer.average.label_consts)


def test_a_step_moves_label_constants_style_offsets_and_the_label_head(trainer):
    before = {"consts": trainer.generator.label_consts.clone(), "styles": trainer.generator.label_styles.clone(),
              "head": trainer.discriminator.aux[1].weight.clone()}  # fmt: skip
    losses = trainer.step(torch.randn(8, 3, 16, 16).clamp(-1, 1), 16, torch.rand(8, 2))
    assert not torch.equal(trainer.generator.label_consts, before["consts"])
    assert not torch.equal(trainer.generator.label_styles, before["styles"])
    assert not torch.equal(trainer.discriminator.aux[1].weight, before["head"])
    assert {"d_label", "g_label", "g_label_off"} <= set(losses)
    assert all(np.isfinite(v) for v in losses.values())


def test_the_middle_constants_are_never_trained(trainer):
    for _ in range(2):
        trainer.step(torch.randn(8, 3, 16, 16), 16, torch.rand(8, 2))
    assert not trainer.generator.label_consts[1::3].any()
    assert trainer.generator.label_consts[0::3].any() and trainer.generator.label_consts[2::3].any()


def test_labels_drawn_are_uniform_and_go_into_the_picture(trainer):
    drawn = trainer.generate(400, 16)
    assert drawn.labels.shape == (400, 2)
    assert np.abs(np.sort(drawn.labels[:, 0].numpy()) - np.linspace(0, 1, 400)).max() < 0.09
    assert drawn.ws.requires_grad


def test_the_discriminator_learns_labels_of_real_images_only(trainer):
    real, t = torch.randn(8, 3, 16, 16), torch.rand(8, 2)
    with torch.no_grad():
        fake = trainer.generate(8, 16)
        other = replace(fake, labels=1 - fake.labels)
        assert torch.equal(trainer.discriminator_loss(real, t, fake)[0], trainer.discriminator_loss(real, t, other)[0])
        assert not torch.equal(trainer.discriminator_loss(real, t, fake)[0], trainer.discriminator_loss(real, 1 - t, fake)[0])
        assert not torch.equal(trainer.generator_loss(fake)[0], trainer.generator_loss(other)[0])


def test_the_weights_of_the_label_losses_count(tiny, trainer):
    real, t = torch.randn(8, 3, 16, 16), torch.rand(8, 2)
    with torch.no_grad():
        fake = trainer.generate(8, 16)
        heavy, said = trainer.discriminator_loss(real, t, fake)
        heavy_g, said_g = trainer.generator_loss(fake)
        trainer.recipe = replace(tiny, options={**tiny.options, "label_weight_d": 0.0, "label_weight_g": 0.0})
        light, light_g = trainer.discriminator_loss(real, t, fake)[0], trainer.generator_loss(fake)[0]
    assert (heavy - light).item() == pytest.approx(0.5 * said["d_label"], abs=1e-5)
    assert (heavy_g - light_g).item() == pytest.approx(0.25 * said_g["g_label"], abs=1e-5)


def test_weights_of_another_family_are_refused(trainer):
    with pytest.raises(ManifestError, match="which this generator lacks"):
        trainer.start_from({"decoder.weight": torch.zeros(1)})


def test_batches_follow_the_list_with_the_images_own_labels():
    images, indices = PortraitImages("balanced", 1, 100, 16), np.array([5, 5, 9, 20, 33])
    labels = np.linspace(0, 1, 200).reshape(100, 2)
    batch = resampled_batches(images, indices, labels, seed=7)
    shown, t = zip(*[batch(first, 3, 16) for first in range(0, 15, 3)], strict=True)
    passes = torch.cat(t).numpy().reshape(3, 5, 2)
    for one in passes:
        assert np.sort(one[:, 0]) == pytest.approx(np.sort(labels[indices][:, 0]))
    assert not np.array_equal(passes[0], passes[1])
    again = resampled_batches(images, indices, labels, seed=7)(6, 3, 16)
    assert torch.equal(again[0], shown[2]) and torch.equal(again[1], t[2])
    half = batch(0, 3, 8)[0]
    assert torch.allclose(half, torch.nn.functional.avg_pool2d(shown[0], 2))
