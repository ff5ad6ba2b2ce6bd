"""Shortcuts: bfloat16 and compiled networks stay within the tolerance, or the run is refused; what is asked for is in the run's digest."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from audit.audits import run
from audit.errors import RecordError, SpecError
from audit.faster import (
    FasterInstrument,
    FasterSource,
    Shortcuts,
    check_shortcuts,
    hurried_instruments,
    hurried_source,
)
from audit.instruments.portraits import PortraitNetwork
from audit.instruments.skin_tone import SkinTone
from audit.result import load_result
from audit.sources.latent import LatentSource
from audit.spec import Spec

BF16 = Shortcuts("bfloat16")


class Painter(nn.Module):
    """z -> flat images whose colours are a product of z, so that precision shows."""

    z_dim = 8

    def __init__(self, gain=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 8 * 3).view(3, 8) * gain)
        self.seen = []

    def forward(self, z):
        colour = nn.functional.linear(z, self.weight)
        self.seen.append(colour.dtype)
        return torch.tanh(colour.float()).view(-1, 3, 1, 1).expand(-1, 3, 64, 64)


def painter(gain=1.0):
    return LatentSource("g", Painter(gain), z_dim=8, digest="0")


def spec(**more):
    return Spec.model_validate({"name": "t", "samples": 40, "attributes": ["gender"], "batch": 20, "gallery": 0,
                                "instruments": {"classifier": "portraits_b", "encoder": "portraits"},
                                "generators": {"g": {"source": "stylegan2", "weights": "portraits/stylegan2"}}, **more})  # fmt: skip


def test_nothing_is_wrapped_where_nothing_is_asked_for():
    source, instruments = painter(), [PortraitNetwork("classifier", "portraits_b")]
    assert hurried_source(source, Shortcuts(), "cpu") is source
    assert hurried_instruments(instruments, Shortcuts(), "cpu") == instruments
    assert Shortcuts().identity == {}


def test_networks_run_in_bfloat16_and_only_they():
    source = painter()
    quick = hurried_source(source, BF16, "cpu")
    assert isinstance(quick, FasterSource)
    assert (quick.name, quick.digest, quick.z_dim) == ("g", "0", 8)
    quick.draw(np.arange(3), np.arange(3, dtype=np.uint64))
    source.draw(np.arange(3), np.arange(3, dtype=np.uint64))
    assert source.module.seen == [torch.bfloat16, torch.float32]
    found = hurried_instruments([PortraitNetwork("encoder", "encoder"), SkinTone("skin_tone")], BF16, "cpu")
    assert isinstance(found[0], FasterInstrument)
    assert isinstance(found[1], SkinTone)


def test_a_small_movement_is_told_and_a_large_one_is_refused():
    instruments = [PortraitNetwork("encoder", "encoder"), SkinTone("skin_tone")]
    quick = hurried_instruments(instruments, BF16, "cpu")
    (said,) = check_shortcuts({"g": painter()}, {"g": hurried_source(painter(), BF16, "cpu")}, instruments, quick, seed=1)
    assert "in bfloat16" in said
    assert "of 255 levels" in said
    other = painter(gain=1.2)  # a shortcut that went wrong
    with pytest.raises(SpecError, match=r"move images of generator 'g' by [\d.]+ levels of 255 .* at most 1 is let pass"):
        check_shortcuts({"g": painter()}, {"g": other}, instruments, quick, seed=1)


@pytest.mark.parametrize("fault", ["features", "nan"])
def test_an_encoder_that_moves_its_features_is_refused(fault):
    encoder = PortraitNetwork("encoder", "encoder")
    broken = copy.copy(encoder)
    broken.model = copy.deepcopy(encoder.model)
    with torch.no_grad():
        broken.model.head.weight.mul_(1.1 if fault == "features" else float("nan"))
    source = painter()
    with pytest.raises(SpecError, match="features of the encoder on generator 'g'"):
        check_shortcuts({"g": source}, {"g": source}, [encoder], [broken], seed=1)


def test_a_run_says_what_it_did_and_is_not_mixed_with_a_plain_one(tmp_path):
    result = run(spec(precision="bfloat16"), out=tmp_path / "quick")
    assert any("networks ran in bfloat16" in c for c in result.provenance["caveats"])
    plain = run(spec(), out=tmp_path / "plain")
    assert not any("bfloat16" in c for c in plain.provenance["caveats"])
    shares = [[m.value for m in load_result(tmp_path / name).measures if m.metric == "share"] for name in ("quick", "plain")]
    assert np.abs(np.subtract(*shares)).max() <= 0.05
    with pytest.raises(RecordError, match="holds another run"):
        run(spec(), out=tmp_path / "quick")


def test_a_compiler_that_fails_is_a_sentence(monkeypatch):
    def broken(module):
        def call(*_):
            raise RuntimeError("no compiler\nfound")

        wrapped = nn.Module()
        wrapped.forward = call
        return wrapped

    monkeypatch.setattr(torch, "compile", broken)
    source = painter()
    quick = hurried_source(source, Shortcuts(compiled=True), "cpu")
    assert isinstance(source.module, Painter)  # the plain one stays as it was
    with pytest.raises(SpecError, match=r"do not work here \(RuntimeError: no compiler found\); leave them out"):
        check_shortcuts({"g": source}, {"g": quick}, [], [], seed=1)


@pytest.mark.slow
def test_compiled_networks_draw_and_read_the_same(tmp_path):
    result = run(spec(compile=True), out=tmp_path / "compiled")
    plain = run(spec(), out=tmp_path / "plain")
    assert any("compiled" in c for c in result.provenance["caveats"])
    assert [m.value for m in result.measures] == pytest.approx([m.value for m in plain.measures], abs=1e-3)
