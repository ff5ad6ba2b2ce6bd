"""The label loss by hand, and a head that stands beside the verdict without changing it."""

import math

import pytest
import torch

from mitigations.self_conditioning.soft_labels import LabelledDiscriminator, hat_weights, label_loss, read_labels
from mitigations.training.discriminator import Discriminator

CHANNELS = {4: 8, 8: 8, 16: 8}


def _certain(t):
    """Logits of a head that is exactly right."""
    return torch.cat([torch.zeros(len(t), 1), hat_weights(t).clamp(min=1e-30).log().flatten(1)], dim=1)


def test_a_head_that_is_right_loses_nothing():
    t = torch.tensor([[0.0, 0.3], [0.5, 1.0], [0.9, 0.5]])
    assert label_loss(_certain(t), t).item() == pytest.approx(0, abs=1e-6)
    assert torch.allclose(read_labels(_certain(t)), t, atol=1e-6)


def test_a_head_that_says_nothing_loses_the_hand_value_at_the_paper_s_scale():
    t = torch.tensor([[0.0, 0.25]])  # KL to the uniform triple: log 3, and log 3 - log 2
    expected = (math.log(3) + math.log(1.5)) / 3
    assert label_loss(torch.zeros(1, 7), t).item() == pytest.approx(expected, rel=1e-5)


def test_the_scale_is_that_of_torch_s_default_reduction():
    logits, t = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), torch.rand(5, 1, generator=torch.Generator().manual_seed(1))
    with pytest.warns(UserWarning, match="batchmean"):
        released = torch.nn.KLDivLoss()(torch.log_softmax(logits[:, 1:], dim=1), hat_weights(t)[:, 0])
    assert label_loss(logits, t).item() == pytest.approx(released.item(), rel=1e-5)


def test_the_entry_of_the_base_constant_is_not_judged():
    logits, t = torch.randn(4, 7, generator=torch.Generator().manual_seed(0)), torch.rand(4, 2)
    changed = logits.clone()
    changed[:, 0] += 9
    assert torch.equal(label_loss(logits, t), label_loss(changed, t))


def test_attributes_are_read_apart():
    t = torch.tensor([[1.0, 0.0]])
    logits = _certain(t)
    assert label_loss(logits, t.flip(1)) > 5
    assert label_loss(logits[:, [0, 4, 5, 6, 1, 2, 3]], t.flip(1)).item() == pytest.approx(0, abs=1e-6)


def test_the_verdict_is_the_plain_discriminator_s():
    torch.manual_seed(0)
    plain, labelled = Discriminator(16, CHANNELS), LabelledDiscriminator(16, CHANNELS, 2)
    missing, unknown = labelled.load_state_dict(plain.state_dict(), strict=False)
    assert not unknown and all(name.startswith("aux.") for name in missing)
    x = torch.randn(8, 3, 16, 16)
    verdict, said = labelled.both(x)
    assert torch.equal(verdict, plain(x))
    assert said.shape == (8, 7)
