"""ONNX generators: graphs written byte by byte here, their latents, their ranges, and files that are none."""

import numpy as np
import pytest
import torch

from audit.errors import ManifestError, SourceError
from audit.generators.onnx_generator import OnnxGenerator


def field(number, value):
    """One field of a protocol buffer: a number, or bytes (text, message)."""

    def varint(n):
        return bytes([n & 127 | 128]) + varint(n >> 7) if n > 127 else bytes([n])

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def port(name, *dims):
    shape = b"".join(field(1, field(2, d) if isinstance(d, str) else field(1, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


def graph(*latent, channels=3):
    """z (n, channels * 4) -> tanh -> (n, channels, 2, 2)."""
    shape = np.array([-1, channels, 2, 2], dtype=np.int64)
    kept = field(1, 4) + field(2, 7) + field(8, "shape") + field(9, shape.tobytes())
    squash = field(1, "z") + field(2, "y") + field(4, "Tanh")
    fold = field(1, "y") + field(1, "shape") + field(2, "x") + field(4, "Reshape")
    body = field(1, squash) + field(1, fold) + field(2, "g") + field(5, kept) + field(11, port("z", *latent))
    return field(1, 8) + field(8, field(2, 13)) + field(7, body + field(12, port("x", "n", channels, 2, 2)))


@pytest.fixture
def written(tmp_path):
    def write(*latent, **options):
        (tmp_path / "g.onnx").write_bytes(graph(*latent, **options))
        return tmp_path / "g.onnx"

    return write


@pytest.mark.parametrize("latent", [("n", 12), ("n", 12, 1, 1), (2, 12), (4, 12, 1, 1)])
def test_a_graph_draws_its_images_whatever_the_shape_of_its_latent_and_its_own_batch(written, latent):
    pytest.importorskip("onnxruntime")
    model = OnnxGenerator(written(*latent))
    z = torch.randn(5, 12)
    assert model.z_dim == 12
    assert torch.allclose(model(z), torch.tanh(z).view(5, 3, 2, 2), atol=1e-6)


def test_images_of_another_stated_range_become_minus_one_to_one(written):
    z = torch.randn(3, 12)
    drawn = OnnxGenerator(written("n", 12), span=(-3.0, 1.0))(z)
    assert torch.allclose(drawn, (torch.tanh(z).view(3, 3, 2, 2) + 3) / 2 - 1, atol=1e-6)
    with pytest.raises(SourceError, match=r"gave values in .* but its range is stated as 0\.\.255|0\.\.0\.2"):
        OnnxGenerator(written("n", 12), span=(0.0, 0.2))(z)


@pytest.mark.parametrize(("latent", "options", "z", "words"), [
    (("n", "k"), {}, None, "does not say how wide its latent is"),
    (("n", 12), {}, 99, "takes latents of 12 numbers; the spec or manifest says 99"),
    (("n", 3, 8, 8), {}, None, r"the first \(n, 3, 8, 8\); expected one latent"),
])  # fmt: skip
def test_a_graph_that_takes_no_such_latent_is_a_sentence(written, latent, options, z, words):
    with pytest.raises(ManifestError, match=words):
        OnnxGenerator(written(*latent, **options), z)


def test_a_width_the_graph_leaves_open_is_taken_from_the_spec(written):
    z = torch.randn(2, 12)
    assert OnnxGenerator(written("n", "k"), 12)(z).shape == (2, 3, 2, 2)


def test_grey_images_and_files_that_are_no_graph_are_sentences(written, tmp_path):
    with pytest.raises(SourceError, match=r"returned \(2, 1, 2, 2\) for 2 latents; expected \(2, 3, height, width\)"):
        OnnxGenerator(written("n", 4, channels=1))(torch.randn(2, 4))
    (tmp_path / "x.onnx").write_bytes(b"not a graph")
    with pytest.raises(ManifestError, match="cannot be opened as ONNX"):
        OnnxGenerator(tmp_path / "x.onnx")
    with pytest.raises(ManifestError, match="no generator at"):
        OnnxGenerator(tmp_path / "none.onnx")
