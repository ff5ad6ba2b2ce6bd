"""Editing changes what was asked and nothing else that was held."""

import numpy as np
import pytest
import torch

from audit.errors import SourceError
from audit.generators import load
from audit.generators.self_conditioned import SelfConditionedStyleGAN2
from mitigations.self_conditioning.editing import edit, write_strips


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = SelfConditionedStyleGAN2(
        z_dim=8, w_dim=8, resolution=16, mapping_layers=1, channels={4: 8, 8: 8, 16: 8}, attributes=["gender", "smile"]
    )
    torch.nn.init.normal_(net.label_consts)
    return net.eval()


def test_a_strip_shows_each_person_with_each_label_and_the_others_held(net):
    z = torch.randn(3, 10, generator=torch.Generator().manual_seed(1))
    strip, t = edit(net, z, "smile", [0.0, 0.5, 1.0]), net.labels(z)
    assert strip.shape == (3, 3, 3, 16, 16)
    with torch.no_grad():
        for column, value in enumerate((0.0, 0.5, 1.0)):
            wanted = torch.stack([t[:, 0], torch.full((3,), value)], dim=1)
            assert torch.allclose(strip[:, column], net.edit(z, wanted, noise="none"), atol=1e-5)
    assert not torch.allclose(strip[:, 0], strip[:, 2], atol=1e-2)


def test_labels_can_be_given_instead_of_read_from_the_latent(net):
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(1))
    given = torch.tensor([[0.2, 0.9], [0.7, 0.1]])
    strip = edit(net, z, "gender", np.array([0.2]), t=given)
    with torch.no_grad():
        assert torch.allclose(strip[0, 0], net.edit(z, given, noise="none")[0], atol=1e-5)
    assert torch.equal(given, torch.tensor([[0.2, 0.9], [0.7, 0.1]]))


def test_the_label_of_the_latent_itself_gives_the_image_itself(net):
    z = torch.randn(1, 10, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(edit(net, z, "gender", [float(net.labels(z)[0, 0])])[:, 0], net(z, noise="none"), atol=1e-5)


@pytest.mark.parametrize(("attribute", "values", "width", "words"), [
    ("age", [0.5], 10, "not asked for 'age'; it has labels for gender, smile"),
    ("smile", [1.5], 10, "numbers in 0..1"),
    ("smile", [float("nan")], 10, "numbers in 0..1"),
    ("smile", [], 10, "numbers in 0..1"),
    ("smile", [0.5], 8, "no labels were given"),
])  # fmt: skip
def test_what_cannot_be_edited_is_said(net, attribute, values, width, words):
    with pytest.raises(SourceError, match=words):
        edit(net, torch.zeros(1, width), attribute, values)


def test_a_generator_without_labels_cannot_be_edited(baseline):
    with pytest.raises(SourceError, match="a StyleGAN2 has no labels"):
        edit(load(baseline), torch.zeros(1, 8), "smile", [0.5])


def test_strips_are_one_picture(net, tmp_path):
    write_strips(net, torch.randn(2, 10), tmp_path / "strips.png", steps=3)
    assert [p.name for p in tmp_path.iterdir()] == ["strips.png"]
