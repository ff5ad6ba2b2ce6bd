"""The bank: cached by content, continued where it stopped, and refused for other generators."""

import numpy as np
import pytest
import torch

from audit.errors import SourceError
from audit.sources.latent import LatentSource
from mitigations.magnet import bank as banks
from mitigations.magnet.bank import cached_bank, compute_bank, read_bank
from mitigations.magnet.volumes import volume_scalars


def test_a_bank_holds_the_values_of_the_latents_of_its_seeds(source, stylegan2, tmp_path):
    bank = compute_bank(source, tmp_path / "b.npz", latents=20, projection=30)
    expected = volume_scalars(stylegan2, source.latents(bank.seeds), projection=30, call={"noise": "none"})
    assert bank.singular_values.dtype == np.float32 and bank.normalise_z
    assert np.allclose(bank.singular_values, expected, rtol=1e-4, atol=1e-5 * expected.max())
    assert bank.calls == 20 + 20 * 10 and bank.seconds > 0
    again = read_bank(tmp_path / "b.npz")
    assert again.digest == bank.digest and (again.singular_values == bank.singular_values).all()


def test_an_interrupted_bank_continues_and_a_longer_one_extends_it(source, tmp_path, monkeypatch):
    whole = compute_bank(source, tmp_path / "whole.npz", latents=12)
    monkeypatch.setattr(banks, "EVERY", 4)
    latents, asked = source.latents, []

    def interrupted(seeds):
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append(len(seeds))
        return latents(seeds)

    monkeypatch.setattr(source, "latents", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compute_bank(source, tmp_path / "b.npz", latents=12)
    part = read_bank(tmp_path / "b.npz")
    assert len(part.singular_values) == 8 and part.wanted == 12
    monkeypatch.setattr(source, "latents", latents)
    resumed = compute_bank(source, tmp_path / "b.npz", latents=12)
    assert (resumed.singular_values == whole.singular_values).all() and resumed.calls == whole.calls
    longer = compute_bank(source, tmp_path / "b.npz", latents=15)
    assert (longer.singular_values[:12] == whole.singular_values).all() and len(longer.singular_values) == 15


@pytest.fixture
def dcgan(tmp_path):
    """A spec with a small generator in a file, as workers open it, and the source."""
    from audit.generators.dcgan import DCGAN
    from audit.generators.weights import save_weights
    from audit.sources import open_source
    from audit.spec import Spec

    torch.manual_seed(3)
    module = DCGAN([(8, 8, 4, 4), (8, 8, 4, 4), (8, 3, 4, 4)])
    save_weights(module, tmp_path / "g.safetensors", kind="dcgan", network=module.network)
    spec = Spec.model_validate({"name": "t", "generators": {"g": {"source": "dcgan", "weights": str(tmp_path / "g.safetensors")}}})
    return spec, open_source("g", spec.generators["g"])


def test_parts_computed_by_whoever_opens_the_generator_are_those_computed_here(dcgan, tmp_path, monkeypatch):
    spec, source = dcgan
    monkeypatch.setattr(banks, "EVERY", 4)
    bank = compute_bank(source, tmp_path / "b.npz", latents=8)
    part = banks.Part(source.digest, bank.seeds[4:], 128, bank.normalise_z)
    rows, calls = banks.read_part((part, spec.model_dump_json(), "g"), "cpu")
    assert (rows == bank.singular_values[4:]).all()
    assert 2 * calls == bank.calls
    with pytest.raises(SourceError, match="found other weights"):
        banks.read_part((banks.Part("another", bank.seeds, 128, True), spec.model_dump_json(), "g"), "cpu")


@pytest.mark.slow
def test_two_workers_compute_the_bank_that_one_computes(dcgan, tmp_path, monkeypatch):
    from audit.engines import Choice

    spec, source = dcgan
    monkeypatch.setattr(banks, "EVERY", 4)
    whole = compute_bank(source, tmp_path / "one.npz", latents=16)
    found = compute_bank(source, tmp_path / "two.npz", latents=16, workers=banks.Workers(Choice(workers=2), spec, "g"))
    assert found.digest == whole.digest and found.calls == whole.calls


def test_a_finished_bank_is_not_computed_again(source, monkeypatch):
    first = cached_bank(source, latents=6)
    monkeypatch.setattr(banks, "VolumeReader", None)
    assert cached_bank(source, latents=6).digest == first.digest
    assert cached_bank(source, latents=3).digest == first.digest


def test_the_cache_knows_a_bank_by_what_it_was_made_of(source, tmp_path):
    cached_bank(source, latents=2)
    cached_bank(source, latents=2, seed=1)
    cached_bank(source, latents=2, projection=20)
    other = LatentSource("tiny", source.module, z_dim=12, digest="tiny, truncated", call={"truncation_psi": 0.5})
    cached_bank(other, latents=2)
    assert len(list((tmp_path / "home/magnet").glob("*.npz"))) == 4


def test_a_bank_of_other_weights_or_settings_is_refused(source, stylegan2, tmp_path):
    compute_bank(source, tmp_path / "b.npz", latents=2)
    other = LatentSource("other", stylegan2, z_dim=12, digest="other weights")
    with pytest.raises(SourceError, match="made for other weights, truncation or noise than generator 'other'"):
        compute_bank(other, tmp_path / "b.npz", latents=2)
    with pytest.raises(SourceError, match="seed 0 and projection 128; asked for were 3 and 128"):
        compute_bank(source, tmp_path / "b.npz", latents=2, seed=3)


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_a_file_that_is_no_bank_is_refused(tmp_path, content):
    path = tmp_path / "b.npz"
    if content is None:
        np.savez(path, singular_values=np.ones((2, 2)))
    else:
        path.write_bytes(content)
    with pytest.raises(SourceError, match="is no MaGNET bank"):
        read_bank(path)


def test_a_truncated_bank_is_refused(source, tmp_path):
    path = tmp_path / "b.npz"
    compute_bank(source, path, latents=4)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(SourceError, match="is no MaGNET bank"):
        read_bank(path)


class Cut(torch.nn.Module):
    def forward(self, z):
        return z[:, :3, None, None].clamp(min=0).sqrt()  # infinite slope at 0


def test_a_jacobian_that_is_not_finite_is_one_sentence(tmp_path):
    source = LatentSource("cut", Cut(), z_dim=3, digest="cut")
    with pytest.raises(SourceError, match="Jacobian of generator 'cut' is not finite at"):
        compute_bank(source, tmp_path / "b.npz", latents=8)
    assert not (tmp_path / "b.npz").exists()


def test_images_that_do_not_depend_on_the_latent_are_one_sentence(stylegan2, tmp_path):
    source = LatentSource("still", stylegan2, z_dim=12, digest="still", call={"truncation_psi": 0.0})
    with pytest.raises(SourceError, match="do not depend on the latent"):
        compute_bank(source, tmp_path / "b.npz", latents=2)
