"""CIFAR-10 in its official formats, drawn: ten shapes in the place of ten objects."""

import pickle
import struct

import numpy as np
import pytest

from audit.attributes import ATTRIBUTES

CLASSES = ATTRIBUTES["cifar10"].classes


def text(value):
    """A text as Python 2 pickled it."""
    raw = value if isinstance(value, bytes) else value.encode()
    return b"U" + bytes([len(raw)]) + raw if len(raw) < 256 else b"T" + struct.pack("<i", len(raw)) + raw


def number(value):
    return b"K" + bytes([value]) if 0 <= value < 256 else b"J" + struct.pack("<i", value)


def listed(items):
    return b"](" + b"".join(items) + b"e"


def array(pixels):
    """An array of numpy as Python 2 pickled it, with the names of the official files."""
    dtype = b"cnumpy\ndtype\n" + text("u1") + number(0) + number(1) + b"\x87R(" + number(3) + text("|") + b"NNN" + number(-1) * 2 + number(0) + b"tb"
    state = number(1) + number(pixels.shape[0]) + number(pixels.shape[1]) + b"\x86" + dtype + b"\x89" + text(pixels.tobytes())
    return b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85" + text("b") + b"\x87R(" + state + b"tb"


def python2(pixels, labels, name):
    """One batch, opcode by opcode as in the official archive (protocol 2)."""
    pairs = [(text("data"), array(pixels)), (text("labels"), listed(map(number, labels))), (text("batch_label"), text(name)),
             (text("filenames"), listed(text(f"{i}.png") for i in range(len(labels))))]  # fmt: skip
    return b"\x80\x02}(" + b"".join(k + v for k, v in pairs) + b"u."


def meta(classes, stated):
    pairs = [(text("num_cases_per_batch"), number(stated)), (text("label_names"), listed(map(text, classes))), (text("num_vis"), number(3072))]
    return b"\x80\x02}(" + b"".join(k + v for k, v in pairs) + b"u."


def pictures(labels, rng):
    """(n, 3072) uint8: a bright square whose place and colour tell the class, on noise."""
    pixels = rng.integers(0, 60, (len(labels), 3, 32, 32), dtype=np.uint8)
    for i, label in enumerate(labels):
        row, column = divmod(label, 4)
        pixels[i, label % 3, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 250
    return pixels.reshape(len(labels), 3072)


@pytest.fixture
def cifar(tmp_path):
    """Write a data set: 40 images a batch, four of each class, as the version asked for; return its folder."""

    def write(version="python2", each=4, classes=CLASSES):
        folder = tmp_path / version
        folder.mkdir()
        rng = np.random.default_rng(0)
        for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
            labels = rng.permutation(np.repeat(np.arange(10), each)).tolist()
            pixels = pictures(labels, rng)
            if version == "binary":
                rows = np.concatenate([np.array(labels, dtype=np.uint8)[:, None], pixels], axis=1)
                (folder / f"{name}.bin").write_bytes(rows.tobytes())
            elif version == "python2":
                (folder / name).write_bytes(python2(pixels, labels, name))
            else:
                content = {b"data": pixels, b"labels": labels, b"batch_label": name.encode()}
                (folder / name).write_bytes(pickle.dumps(content, protocol=int(version[-1])))
        if version == "binary":
            (folder / "batches.meta.txt").write_text("\n".join(classes) + "\n\n")
        else:
            (folder / "batches.meta").write_bytes(meta(classes, 10 * each))
        return folder

    return write
