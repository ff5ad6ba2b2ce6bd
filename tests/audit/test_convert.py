"""Converted weights draw the same images to the bit, from the safetensors and from its manifest alike."""

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from audit.convert import convert, convert_weights
from audit.errors import ManifestError
from audit.generators import load
from audit.generators.dcgan32 import DCGAN32
from audit.generators.stylegan2 import StyleGAN2
from audit.generators.weights import save_weights
from audit.manifests import load_manifest
from audit.sources import open_source
from audit.spec import SourceSpec

SMALL = {"z_dim": 8, "w_dim": 8, "resolution": 8, "channels": {"4": 4, "8": 4}, "mapping_layers": 2}


@pytest.fixture
def dcgan(tmp_path):
    torch.manual_seed(1)
    torch.save(DCGAN32().state_dict(), tmp_path / "gan.pt")
    return tmp_path / "gan.pt"


def drawn(source):
    return torch.stack(source.draw(np.arange(5), np.arange(5, dtype=np.uint64)).images)


def test_a_state_dict_and_what_it_became_draw_the_same_to_the_bit(dcgan, tmp_path):
    weights, manifest = convert_weights(dcgan, tmp_path / "out" / "New Name.safetensors", licence="mine")
    first, second = load(dcgan, "dcgan32"), load(weights, "dcgan32")
    assert all(torch.equal(v, second.state_dict()[k]) for k, v in first.state_dict().items())
    sources = [open_source("g", SourceSpec(source="dcgan32", weights=str(p))) for p in (dcgan, weights, manifest)]
    assert torch.equal(drawn(sources[0]), drawn(sources[1]))
    assert torch.equal(drawn(sources[0]), drawn(sources[2]))
    assert "DCGAN, 32 px, converted from gan.pt: licence mine" in sources[2].caveats


def test_the_manifest_states_size_checksum_and_contract(dcgan, tmp_path):
    _, path = convert_weights(dcgan, tmp_path / "New Name.safetensors")
    manifest = load_manifest(path)
    assert (manifest.name, manifest.kind, manifest.architecture, manifest.format) == ("new_name", "generator", "dcgan32", "safetensors")
    assert manifest.file().bytes == (tmp_path / "New Name.safetensors").stat().st_size
    assert (manifest.contract.latent.size, manifest.contract.latent.distribution) == (100, "uniform")
    assert (manifest.contract.output.size, manifest.contract.output.range) == (32, (-1.0, 1.0))
    assert manifest.licence == "not stated; that of the original file"


def test_a_converted_file_that_was_altered_is_refused(dcgan, tmp_path):
    weights, manifest = convert_weights(dcgan, tmp_path / "w.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ManifestError, match="expected sha256"):
        open_source("g", SourceSpec(source="dcgan32", weights=str(manifest)))


def test_the_projects_own_files_convert_too_and_keep_their_arguments(tmp_path):
    save_weights(StyleGAN2(**SMALL), tmp_path / "a.safetensors", kind="stylegan2", network=SMALL)
    weights, _ = convert_weights(tmp_path / "a.safetensors", tmp_path / "b.safetensors", kind="stylegan2")
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(load(weights)(z), load(tmp_path / "a.safetensors")(z))


@pytest.mark.parametrize(("target", "options", "sentence"), [
    ("out.pt", {}, "expected a name that ends in .safetensors"),
    ("out.safetensors", {"kind": "stylegan2"}, "holds a 'dcgan32'; expected stylegan2"),
    ("gan.pt/out.safetensors", {}, "cannot be written"),
])  # fmt: skip
def test_a_conversion_that_cannot_be_done_leaves_nothing_behind(dcgan, tmp_path, target, options, sentence):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ManifestError, match=sentence):
        convert_weights(dcgan, tmp_path / target, **options)
    assert sorted(tmp_path.iterdir()) == before


def test_the_command_says_what_it_wrote(dcgan, tmp_path):
    done = CliRunner().invoke(convert, [str(dcgan), str(tmp_path / "w.safetensors"), "--kind", "dcgan32"])
    assert done.exit_code == 0
    assert done.output.split() == [str(tmp_path / "w.safetensors"), str(tmp_path / "w.yaml")]
    assert yaml.safe_load((tmp_path / "w.yaml").read_text())["files"][0]["path"] == "w.safetensors"
