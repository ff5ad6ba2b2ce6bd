"""``genbias mitigate editing`` on a tiny network, and the spec it leaves behind run to its end."""

import pytest
import torch
import yaml
from click.testing import CliRunner

import audit
from audit.generators.stylegan2 import StyleGAN2
from audit.generators.weights import save_weights
from audit.spec import load_spec
from mitigations.command import mitigate_command
from mitigations.editing.fits import load_fit

NETWORK = {"z_dim": 8, "w_dim": 8, "resolution": 16, "mapping_layers": 2, "channels": {4: 12, 8: 12, 16: 8}}


@pytest.fixture
def given(tmp_path):
    torch.manual_seed(0)
    net = StyleGAN2(**NETWORK)
    for r in NETWORK["channels"]:
        getattr(net.synthesis, f"b{r}").torgb.weight.data *= 0.3  # colours within range, so that readings vary
    save_weights(net, tmp_path / "tiny.safetensors", kind="stylegan2", network=NETWORK)
    spec = {"version": 1, "name": "tiny", "samples": 12, "gallery": 2, "attributes": ["smile", "age"],
            "instruments": {"classifier": "portraits_a", "identity": "portraits"},
            "generators": {"tiny": {"source": "stylegan2", "weights": str(tmp_path / "tiny.safetensors"), "noise": "none", "baseline": True}}}  # fmt: skip
    (tmp_path / "given.yaml").write_text(yaml.safe_dump(spec))
    return tmp_path / "given.yaml"


def test_the_command_leaves_a_fit_and_a_spec_that_compares_its_edits(given, tmp_path):
    said = CliRunner().invoke(mitigate_command, ["editing", str(given), "--out", str(tmp_path / "out"), "--attribute", "smile", "--codes", "64",
                                                 "--steps", "2"], catch_exceptions=False)  # fmt: skip
    assert said.exit_code == 0 and f"genbias run {tmp_path / 'out' / 'spec.yaml'}" in said.output
    assert set(load_fit(tmp_path / "out" / "fit.npz").lines) == {"interfacegan", "conditional", "ganspace", "learned"}
    spec = load_spec(str(tmp_path / "out" / "spec.yaml"))
    assert (
        len(spec.generators) == 1 + 4 * 4 and spec.study == {"kind": "editing"} and spec.generators["learned_smile_-2"].compare_to == "tiny"
    )
    raw = yaml.safe_load((tmp_path / "out" / "spec.yaml").read_text())
    raw["generators"]["edited"]["sweep"] |= {"by": ["learned"], "strength": [1]}
    (tmp_path / "out" / "spec.yaml").write_text(yaml.safe_dump(raw))
    result = audit.run(tmp_path / "out" / "spec.yaml", out=tmp_path / "run", device="cpu")
    (edit,) = result.study["edits"]
    assert (edit["attribute"], edit["n"], result.study["fitted_by"], result.study["judge"]) == ("smile", 12, "portraits_b", "portraits_a")
    assert edit["claim"]["outcome"] == "not_tested" and edit["curves"][0]["strip"].startswith("data:image/jpeg")
    assert edit["curves"][0]["points"][1]["fid"]["reason"] == "no reference to measure against"
