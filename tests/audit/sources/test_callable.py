"""A user's function as a source: what it may return, and a sentence for everything else."""

import numpy as np
import pytest
import torch

from audit.errors import SourceError
from audit.seeds import image_seeds
from audit.sources.callable import CallableSource

IDS = np.arange(4)
SEEDS = image_seeds(3, IDS)
WRITTEN = """
import numpy as np
def good(seeds):
    return np.stack([np.full((3, 8, 8), int(s) % 256, dtype=np.uint8) for s in seeds])
NUMBER = 3
"""


@pytest.fixture
def drawn(monkeypatch):
    """Draw with a function written in the test."""

    def draw(function):
        source = CallableSource("mine", "math:sqrt")
        monkeypatch.setattr(source, "function", function)
        return source.draw(IDS, SEEDS)

    return draw


def floats(low, high):
    return lambda seeds: np.linspace(low, high, len(seeds) * 3 * 16, dtype=np.float32).reshape(-1, 3, 4, 4)


def test_bytes_come_through_as_they_are_and_zero_to_one_floats_become_bytes(drawn, tmp_path, monkeypatch):
    (tmp_path / "painter_of_test.py").write_text(WRITTEN)
    monkeypatch.syspath_prepend(str(tmp_path))
    batch = CallableSource("mine", "painter_of_test:good").draw(IDS, SEEDS)
    assert [int(i[0, 0, 0]) for i in batch.images] == [int(s) % 256 for s in SEEDS]
    batch = drawn(lambda seeds: torch.full((4, 3, 2, 2), 0.5))
    assert batch.images[0].dtype == torch.uint8
    assert int(batch.images[0].max()) == 128
    assert torch.stack(drawn(floats(-0.005, 1.0)).images).min() == 0


def broken(seeds):
    raise KeyError("weights")


def with_nan(seeds):
    images = torch.zeros(4, 3, 2, 2)
    images[2, 0, 0, 0] = float("nan")
    return images


@pytest.mark.parametrize(("function", "words"), [
    (floats(-1, 1), r"gave floats in -1\.\.1; expected 0\.\.1, or uint8 in 0\.\.255; return \(images \+ 1\) / 2, if"),
    (floats(0, 255), r"gave floats in 0\.\.255; .*; return images / 255, if"),
    (floats(-9, 300), r"gave floats in -9\.\.300; expected 0\.\.1, or uint8 in 0\.\.255$"),
    (with_nan, rf"NaN or infinite values in 1 of 4 images \(first for seed {SEEDS[2]}\)"),
    (lambda s: np.zeros((4, 1, 8, 8), np.uint8), r"images of shape \(4, 1, 8, 8\); expected \(n, 3, height, width\)"),
    (lambda s: np.zeros((4, 8, 8, 3), np.uint8), r"move the colours forward with \.transpose\(0, 3, 1, 2\)"),
    (lambda s: np.zeros((3, 3, 8, 8), np.uint8), "gave 3 images for 4 seeds; expected one each"),
    (lambda s: np.zeros((4, 3, 8, 8), np.int64), r"gave torch\.int64 images; expected uint8"),
    (lambda s: "no image", "gave a str; expected a tensor or array"),
    (lambda s: None, "gave a NoneType; expected a tensor or array"),
    (broken, r"the function failed for 4 seeds \(KeyError: 'weights'\)"),
])  # fmt: skip
def test_anything_else_is_a_sentence(drawn, function, words):
    with pytest.raises(SourceError, match=words):
        drawn(function)


@pytest.mark.parametrize(("call", "words"), [
    ("numpy", "expected 'module:function'"), (":f", "expected 'module:function'"), ("no_such_module_here:f", "no module 'no_such_module_here'"),
    ("math:no_such", "has no 'no_such'"), ("math:pi", "math:pi is a float; expected a function of seeds"),
])  # fmt: skip
def test_a_name_that_is_no_function_is_a_sentence(call, words):
    with pytest.raises(SourceError, match=words):
        CallableSource("mine", call)
