"""Mapped images: same id, seed and truth as the base; one thing changed; bad maps told in a sentence."""

import numpy as np
import pytest
import torch
from PIL import Image

from audit.errors import GenbiasError
from audit.generators.cyclegan import CycleGANGenerator
from audit.generators.weights import save_weights
from audit.seeds import image_seeds
from audit.sources import maps, open_source
from audit.sources.mapped import changes
from audit.spec import SourceSpec

BASE = {"source": "portraits", "population": "balanced"}
IDS = np.arange(6)
SEEDS = image_seeds(3, IDS)


def source(mapping, base=BASE):
    return open_source("x", SourceSpec(source="mapped", base=base, map=mapping))


def test_an_image_keeps_its_id_seed_and_truth_whatever_the_batch():
    base, mapped = open_source("b", SourceSpec(**BASE)), source({"filter": "jitter", "amount": 5})
    before, after = base.draw(IDS, SEEDS), mapped.draw(IDS, SEEDS)
    assert (after.ids == before.ids).all() and (after.seeds == before.seeds).all()
    assert (after.columns["truth:gender"] == before.columns["truth:gender"]).all()
    one = mapped.draw(IDS[4:5], SEEDS[4:5])
    assert torch.equal(one.images[0], after.images[4])
    assert not torch.equal(after.images[4], before.images[4])


def test_the_columns_say_how_large_the_change_was_and_where():
    found = source({"filter": "lighten", "amount": 2}).draw(IDS, SEEDS).columns
    assert found["map:delta_e"].mean() == pytest.approx(2, abs=0.1)
    assert found["map:background_L"].mean() == pytest.approx(2, abs=0.1)
    black, white = torch.zeros(1, 3, 16, 16, dtype=torch.uint8) + 9, torch.full((1, 3, 16, 16), 255, dtype=torch.uint8)
    assert changes(black, white)["map:saturated"][0] == 1
    assert changes(white, white)["map:saturated"][0] == 0


def test_the_digest_changes_with_the_base_and_with_the_map():
    plain = source({"filter": "lighten", "amount": 2})
    assert plain.digest == source({"filter": "lighten", "amount": 2}).digest
    others = [source({"filter": "lighten", "amount": 3}), source({"filter": "lighten", "amount": 2, "where": "skin"}),
              source({"filter": "lighten", "amount": 2}, {**BASE, "population": "professors"})]  # fmt: skip
    assert len({plain.digest, *(o.digest for o in others)}) == 4


def test_a_control_takes_the_size_and_the_softness_of_another_map(monkeypatch):
    monkeypatch.setattr("audit.sources.mapped.pilot.__defaults__", (24,))
    large = source({"filter": "jitter", "as_large_as": {"filter": "lighten", "amount": 4}})
    assert large.map.facts["amount"] == pytest.approx(4, abs=0.15)
    soft = source({"filter": "blur", "as_soft_as": {"filter": "blur", "amount": 0.8}})
    assert soft.map.facts["amount"] == pytest.approx(0.8, abs=0.05)
    assert source({"filter": "blur", "as_soft_as": {"filter": "identity"}}).map.facts["amount"] == maps.SOFTNESS


def test_a_function_is_a_map(monkeypatch):
    monkeypatch.setitem(maps.GIVEN, "here:darken", lambda x: x // 2)
    before, after = open_source("b", SourceSpec(**BASE)).draw(IDS, SEEDS), source({"call": "here:darken"}).draw(IDS, SEEDS)
    assert torch.equal(after.images[0], before.images[0] // 2)


def fails(x):
    raise RuntimeError("no luck")


@pytest.mark.parametrize(("function", "said"), [
    (fails, "no luck"), (lambda x: x[:, :, 1:], "expected the same shape"), (lambda x: x.float() / 255, "expected uint8"), (lambda x: "hello", "gave a str")])  # fmt: skip
def test_a_function_that_breaks_its_promise_is_told(monkeypatch, function, said):
    monkeypatch.setitem(maps.GIVEN, "here:bad", function)
    with pytest.raises(GenbiasError, match=said):
        source({"call": "here:bad"}).draw(IDS, SEEDS)


def test_weights_of_a_cyclegan_are_a_map(tmp_path):
    torch.manual_seed(0)
    network = {"channels": [16, 16], "residual_layers": 1}
    save_weights(CycleGANGenerator(**network), tmp_path / "g.safetensors", kind="cyclegan", network=network, dtype="float16")
    mapped = source({"weights": str(tmp_path / "g.safetensors")})
    whole, one = mapped.draw(IDS, SEEDS), mapped.draw(IDS[:1], SEEDS[:1])
    assert whole.images[0].dtype == torch.uint8 and whole.images[0].shape == (3, 64, 64)
    assert int((whole.images[0].int() - one.images[0].int()).abs().max()) <= 1
    with pytest.raises(GenbiasError, match="multiples of 4"):
        source({"weights": str(tmp_path / "g.safetensors")}, {**BASE, "size": 62}).draw(IDS, SEEDS)


def folder(path, names, shade=100):
    path.mkdir()
    for at, name in enumerate(names):
        Image.new("RGB", (20, 20), (shade + 10 * at, shade, shade)).save(path / name)
    return str(path)


def test_folders_are_paired_by_name_whatever_the_ending_and_the_order(tmp_path):
    before = folder(tmp_path / "b", ["a.jpg", "a.k.png", "c.png"])  # in order of names: a, a.k, c
    after = folder(tmp_path / "a", ["a.png", "a.k.png", "c.jpg"], 200)  # a.k, a, c
    mapped = source({"folder": after}, {"source": "folder", "path": before})
    drawn = mapped.draw(np.arange(3), np.zeros(3, dtype=np.uint64))
    assert list(drawn.columns["file"]) == ["a.jpg", "a.k.png", "c.png"]
    assert [int(image[0, 0, 0]) for image in drawn.images] == pytest.approx([200, 210, 220], abs=1)


def test_an_unreadable_image_after_keeps_its_reason(tmp_path):
    before, after = folder(tmp_path / "b", ["a.png", "c.png"]), folder(tmp_path / "a", ["a.png", "c.png"])
    (tmp_path / "a" / "c.png").write_bytes(b"nothing")
    drawn = source({"folder": after}, {"source": "folder", "path": before}).draw(np.arange(2), np.zeros(2, dtype=np.uint64))
    assert drawn.status[0] == "ok" and drawn.status[1].startswith("unreadable")
    assert np.isnan(drawn.columns["map:delta_e"][1])


def test_unequal_folders_name_what_is_missing_up_to_five(tmp_path):
    before = folder(tmp_path / "b", [f"{i}.png" for i in range(8)])
    after = folder(tmp_path / "a", ["0.png", "z.png"])
    with pytest.raises(GenbiasError) as told:
        source({"folder": after}, {"source": "folder", "path": before})
    sentence = str(told.value)
    assert "7 have no image after (1.png, 2.png, 3.png, 4.png, 5.png and 2 more)" in sentence
    assert "1 have no image before (z.png)" in sentence


@pytest.mark.parametrize(("mapping", "said"), [
    (None, "needs the key 'map'"), ({}, "exactly one of"), ({"filter": "lighten", "weights": "x"}, "exactly one of"),
    ({"filter": "gloss"}, "no filter 'gloss'"), ({"filter": "lighten"}, "needs an amount"), ({"filter": "lighten", "amount": "much"}, "expected a number"),
    ({"filter": "lighten", "amount": 1, "sigma": 2}, "takes no key 'sigma'"), ({"filter": "jitter", "amount": 1, "as_large_as": {}}, "either amount or"),
    ({"weights": "no.safetensors"}, "no weights at"), ({"weights": "portraits/stylegan2"}, "maps no image"), ({"call": "nope"}, "module:function"),
    ({"call": "no_such:thing"}, "no module"), ({"call": "math:pi"}, "a float"), ({"folder": "x"}, "its own"), ({"call": "math:pi", "size": 2}, "no further key")])  # fmt: skip
def test_what_is_no_map_is_refused_in_a_sentence(mapping, said):
    with pytest.raises(GenbiasError, match=said):
        source(mapping)
