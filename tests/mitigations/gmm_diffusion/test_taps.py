"""Taps: the identity gives the generator's own images, and what is put in is what comes out."""

import numpy as np
import pytest
import torch

from audit.errors import SourceError, SpecError
from audit.seeds import normals
from audit.sources.latent import LatentSource
from mitigations.gmm_diffusion.drawing import Changed
from mitigations.gmm_diffusion.subspace import Subspace, find_subspace
from mitigations.gmm_diffusion.taps import MiddleTap, NoiseTap, StepTap, open_tap

TAPS = [("x_T", 0, 0), ("x_t", 2, 0), ("x_t", 4, 0), ("h", 0, 5), ("h", 1, 3)]


def _z(model, n=6):
    return torch.from_numpy(normals(np.arange(n, dtype=np.uint64), "z", model.z_dim)).float()


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize(("tap", "start", "stop"), TAPS)
def test_without_a_move_the_images_are_the_generator_s_own_bit_for_bit(diffusion, tap, start, stop):
    z = _z(diffusion.module)
    latents, images = open_tap(diffusion, tap, start, stop)(z, lambda x: x)
    assert torch.equal(images, diffusion.module(z))
    assert latents.shape == (6, open_tap(diffusion, tap, start, stop).width)


@pytest.mark.parametrize(("tap", "start", "stop"), TAPS)
def test_a_move_changes_the_images_and_leaves_no_hook_behind(diffusion, tap, start, stop):
    z = _z(diffusion.module)
    before = diffusion.module(z)
    _, images = open_tap(diffusion, tap, start, stop)(z, lambda x: x + 1.0)
    assert (images - before).abs().max() > 1e-4
    assert torch.equal(diffusion.module(z), before)
    assert not diffusion.module.unet.mid_block._forward_hooks


def test_sampling_goes_on_from_the_pool_s_own_latents_to_the_same_images(diffusion):
    z = _z(diffusion.module)
    tap = StepTap(diffusion.module, 2)
    latents, images = tap(z, lambda x: x)
    assert torch.equal(tap.resume(latents), images)
    assert not torch.equal(latents, z)
    assert tap.cost_resumed == pytest.approx(3 / 5)


def test_a_latent_that_is_exchanged_gives_the_other_image(diffusion):
    z = _z(diffusion.module)
    for tap in (NoiseTap(diffusion.module, diffusion.z_dim), StepTap(diffusion.module, 3)):
        _, swapped = tap(z, lambda x: x.flip(0))
        assert torch.allclose(swapped, diffusion.module(z).flip(0), atol=1e-5)


def test_the_middle_is_shifted_over_the_interval_and_nowhere_else(diffusion):
    unet, raw, used = diffusion.module.unet, [], []
    tap = MiddleTap(diffusion.module, 1, 3)
    hooks = [
        unet.mid_block.register_forward_hook(lambda m, given, h: raw.append(h.clone())),  # before the tap's own
        unet.up_blocks[0].register_forward_pre_hook(lambda m, given, named: used.append((given[0] if given else named["hidden_states"]).clone()),
                                                    with_kwargs=True),
    ]  # fmt: skip
    first, _ = tap(_z(diffusion.module, 2), lambda h: h + 2.0)
    for hook in hooks:
        hook.remove()
    assert [round(float((u - r).mean()), 4) for u, r in zip(used, raw, strict=True)] == [0, 2, 2, 0, 0]
    assert torch.equal(first, raw[1].flatten(1))


@pytest.mark.parametrize(("tap", "start", "stop"), TAPS)
def test_own_coordinates_put_back_give_the_own_images(diffusion, tap, start, stop):
    opened = open_tap(diffusion, tap, start, stop)
    z = _z(diffusion.module, 64)
    latents, images = opened(z, lambda x: x)
    labels = np.arange(64) % 2
    subspace = find_subspace(latents.numpy(), labels, dims=5)
    y = torch.from_numpy(subspace.coordinates(latents.numpy())).float()
    changed = Changed(opened, subspace)
    assert torch.allclose(changed(torch.cat([z, y], dim=1)), images, atol=1e-3)
    assert (changed(torch.cat([z, y + 3], dim=1)) - images).abs().max() > 1e-3


def test_what_is_placed_has_the_coordinates_asked_for_and_keeps_its_norm_where_told():
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(400, 12)).astype(np.float32)
    labels = (latents[:, 0] > 0).astype(int)
    subspace = find_subspace(latents, labels, dims=3)
    y = torch.from_numpy(rng.normal(size=(400, 3)).astype(np.float32)) + 2
    x = torch.from_numpy(latents)
    placed = Changed(NoiseTap(torch.nn.Identity(), 12), subspace).place(x, y)
    assert np.allclose(subspace.coordinates(placed.numpy()), y.numpy(), atol=1e-4)
    kept = Changed(NoiseTap(torch.nn.Identity(), 12), subspace, renormalise=True)
    assert torch.allclose(kept.place(x, y).norm(dim=1), x.norm(dim=1), rtol=1e-5)
    before, after = kept.norms
    assert torch.equal(before, after)


def test_the_gaussian_complement_stands_in_for_the_steps_that_are_saved():
    mean, spread = np.full(4, 5, np.float32), np.full(4, 2, np.float32)
    axis = np.eye(4, 1, dtype=np.float32)
    changed = Changed(NoiseTap(torch.nn.Identity(), 4), Subspace(axis, axis, mean, spread), complement="gaussian")
    made = changed(torch.tensor([[9.0, 1.0, -1.0, 0.0, 7.0]]))
    assert made.tolist() == [[12.0, 7.0, 3.0, 5.0]]


def test_a_generator_without_steps_is_told_which_tap_it_has(half_space):
    with pytest.raises(SourceError, match=r"tap x_t is a step of a latent diffusion, and 'toy' is a HalfSpace; use tap: x_T"):
        open_tap(half_space, "x_t", 2, 0)
    uniform = LatentSource("u", half_space.module, z_dim=8, prior="uniform", digest="u")
    with pytest.raises(SourceError, match="uniform"):
        open_tap(uniform, "x_T", 0, 0)


@pytest.mark.parametrize(("tap", "start", "stop", "said"), [("x_t", 0, 0, "from 1 to 4 of the 5"), ("x_t", 5, 0, "start is 5"), ("h", 3, 3, "start < stop <= 5"),
                                                            ("h", 0, 6, "stop 6")])  # fmt: skip
def test_steps_that_do_not_exist_are_refused(diffusion, tap, start, stop, said):
    with pytest.raises(SpecError, match=said):
        open_tap(diffusion, tap, start, stop)
