"""Features come out under the role's name, a row an image, missing where there was nothing to read."""

import numpy as np
import pytest
import torch
from torch import nn

from audit.errors import InstrumentError
from audit.instruments.embedder import Embedder
from audit.manifests import Manifest
from audit.sources.base import Batch


class Means(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


def manifest(features=3, **changes):
    contract = {"input": {"size": 4, "range": [0, 255]}, "output": {"features": features}}
    return Manifest(**{"name": "toy", "kind": "encoder", "title": "Toy", "licence": "MIT", "contract": contract, **changes})


def batch(values, status=None, boxes=None):
    images = [torch.full((3, 6, 6), v, dtype=torch.uint8) for v in values]
    ids = np.arange(len(images))
    return Batch(ids, ids.astype(np.uint64), images, status or ["ok"] * len(images), boxes=boxes)


def test_features_are_one_float32_row_an_image():
    out = Embedder("encoder", manifest(), module=Means()).read(batch([3, 200]))
    assert list(out) == ["encoder"]
    assert out["encoder"].dtype == np.float32
    assert np.allclose(out["encoder"], [[3, 3, 3], [200, 200, 200]], atol=1e-3)


def test_rows_without_an_image_or_a_box_are_missing():
    boxes = np.array([[0, 0, 6, 6], [np.nan] * 4, [0, 0, 6, 6]])
    out = Embedder("identity", manifest(), module=Means()).read(batch([1, 2, 3], ["ok", "ok", "not finite"], boxes))["identity"]
    assert np.isfinite(out).all(axis=1).tolist() == [True, False, False]
    nothing = Embedder("identity", manifest(), module=Means()).read(batch([1], ["not finite"]))["identity"]
    assert nothing.shape == (1, 3)
    assert np.isnan(nothing).all()


def test_features_do_not_depend_on_the_portion():
    embedders = [Embedder("e", manifest(), module=Means(), batch_size=size) for size in (1, 2, 64)]
    rows = [e.read(batch(range(7)))["e"] for e in embedders]
    assert all(np.array_equal(rows[0], r) for r in rows)


def test_another_number_of_features_than_stated_is_refused():
    with pytest.raises(InstrumentError, match="the encoder of 'e' returned 3 features; its manifest states 5"):
        Embedder("e", manifest(5), module=Means()).read(batch([1]))


def test_a_manifest_without_features_is_refused():
    with pytest.raises(InstrumentError, match=r"no contract with an input and output\.features"):
        Embedder("e", manifest(None), module=Means())


def test_the_digest_changes_with_the_weights():
    linear = [nn.Sequential(Means(), nn.Linear(3, 3)) for _ in range(2)]
    first, second = (Embedder("e", manifest(), module=m).digest for m in linear)
    assert first == Embedder("e", manifest(), module=linear[0]).digest != second


def test_the_shipped_identity_manifest_fits_the_network_it_names(tmp_path):
    from facenet_pytorch import InceptionResnetV1

    from audit.manifests import load_manifest

    # The published file also holds the classification layer it was trained with, which is dropped.
    truth = InceptionResnetV1().eval()
    path = tmp_path / "20180402-114759-vggface2.pt"
    torch.save({**truth.state_dict(), "logits.weight": torch.zeros(2, 512), "logits.bias": torch.zeros(2)}, path)
    embedder = Embedder("identity", load_manifest("facenet_vggface2"), path=path)
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 160, 160), dtype=np.uint8))
    got = embedder.read(Batch(np.arange(1), np.arange(1, dtype=np.uint64), [image], ["ok"]))["identity"]
    with torch.inference_mode():
        expected = truth((image[None].float() - 127.5) / 128).numpy()
    assert np.allclose(got, expected, atol=1e-5)
    assert np.linalg.norm(got) == pytest.approx(1, abs=1e-5)
