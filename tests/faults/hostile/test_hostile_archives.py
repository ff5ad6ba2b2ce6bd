"""Archives, tensors files and things that are no weights at all: bombs, lies, paths that lead outside, numbers that are none."""

import io
import json
import os
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

SMALL = {"z_dim": 8, "w_dim": 8, "resolution": 8, "channels": {"4": 4, "8": 4}, "mapping_layers": 2}


class Call:
    def __init__(self, what, *args):
        self.what, self.args = what, args

    def __reduce__(self):
        return self.what, self.args


def saved(path, content=None, **options):
    torch.save({"input.input": torch.zeros(1, 4, 4, 4)} if content is None else content, path, **options)


def repacked(change, content=None):
    """A file of torch.save whose zip entries were changed: ``change`` maps {name: bytes} to the new ones."""

    def write(path, canary):
        whole = io.BytesIO()
        torch.save({"g_ema": torch.arange(64.0)} if content is None else content, whole)
        with zipfile.ZipFile(whole) as archive:
            entries = {n: archive.read(n) for n in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in change(entries, canary).items():
                archive.writestr(name, data)

    return write


def root(entries):
    return next(n for n in entries if n.endswith("/data.pkl")).removesuffix("data.pkl")


def changed(name, data):
    return repacked(lambda entries, canary: {**entries, root(entries) + name: data(canary) if callable(data) else data})


def packed_bomb(path, canary, *, name="archive/data.pkl"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, archive.open(name, "w", force_zip64=True) as entry:
        for _ in range(256):
            entry.write(bytes(1 << 20))


def packed_lie(path, canary):
    """A packed entry that says it is small."""
    packed_bomb(path, canary)
    content = path.read_bytes()
    real, false = struct.pack("<I", 256 << 20), struct.pack("<I", 100)
    path.write_bytes(content.replace(real, false))


def overlapping(path, canary):
    """A thousand entries that are one and the same place."""
    saved(path)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        first = archive.infolist()[0]
    size = len(content)
    rows = b"".join(
        struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 0, 20, 0, 0, 0, 0, 0, 0, size, size, len(n), 0, 0, 0, 0, 0, first.header_offset) + n
        for n in (f"archive/data/{i}".encode() for i in range(1000))
    )
    path.write_bytes(content + rows + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1000, 1000, len(rows), size, 0))


def cut(share, **options):
    def write(path, canary):
        saved(path, **options)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return write


def safetensors(header, tail=b"", length=None):
    def write(path, canary):
        raw = header if isinstance(header, bytes) else json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + tail)

    return write


def tensor(shape, start=0, end=16, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def own(change, network=None, kind="stylegan2"):
    """A file of the project whose tensors or arguments were changed."""

    def write(path, canary):
        from audit.generators.stylegan2 import StyleGAN2

        torch.manual_seed(0)
        tensors = {k: v.contiguous() for k, v in change(StyleGAN2(**SMALL).state_dict()).items()}
        words = network if isinstance(network, str) else json.dumps({**SMALL, **(network or {})})
        save_file(tensors, path, metadata={"kind": kind, "network": words})

    return write


def replaced(key, value):
    return lambda state: {**state, key: value(state[key])}


def content(data):
    return lambda path, canary: path.write_bytes(data)


def picture(path=None):
    whole = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(whole, "PNG")
    return whole.getvalue()


def images_zip(names):
    def write(path, canary):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name.format(canary=canary), picture())

    return write


def images_tar(*members):
    """A tar of (name, kind, link target); kind None is a picture."""

    def write(path, canary):
        with tarfile.open(path, "w") as archive:
            for name, kind, target in members:
                member = tarfile.TarInfo(name.format(canary=canary))
                if kind is None:
                    member.size = len(picture())
                    archive.addfile(member, io.BytesIO(picture()))
                else:
                    member.type, member.linkname = kind, target.format(canary=canary)
                    archive.addfile(member)

    return write


def huge_picture(path, canary):
    """A PNG whose header says 60,000 by 60,000 pixels."""
    raw = bytearray(picture())
    raw[16:24] = struct.pack(">II", 60_000, 60_000)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", bytes(raw))


def images_bomb(path, canary):
    packed_bomb(path, canary, name="a.png")


def far_end(path, canary):
    """A zip directory that says it lies an exabyte away."""
    saved(path)
    raw = bytearray(path.read_bytes())
    at = raw.rfind(b"PK\x05\x06")
    raw[at + 12 : at + 20] = b"\xff\xff\xff\xfe" * 2
    path.write_bytes(raw)


def lying_storage(path, canary):
    """data.pkl speaks of a million numbers where 64 lie."""
    repacked(lambda e, c: {**e, root(e) + "data.pkl": e[root(e) + "data.pkl"].replace(b"K@", b"J\x40\x42\x0f\x00")})(path, canary)


EVIL = staticmethod(lambda canary: pickle.dumps(Call(os.system, f"touch {canary}"), 2)).__func__
FILES = {
    "zip-calls": changed("data.pkl", EVIL),
    "zip-calls-nested": changed("data.pkl", lambda canary: pickle.dumps({"g_ema": {"a": Call(eval, f"open({str(canary)!r},'w')")}}, 2)),
    "zip-two-roots": repacked(lambda e, c: {**e, "other/data.pkl": EVIL(c)}),
    "zip-no-root": repacked(lambda e, c: {"data.pkl": EVIL(c)}),
    "zip-storage-lies": lying_storage,
    "zip-storage-short": changed("data/0", b"1234"),
    "zip-storage-missing": repacked(lambda e, c: {k: v for k, v in e.items() if not k.endswith("data/0")}),
    "zip-storage-outside": repacked(lambda e, c: {k: v.replace(b"X\x01\x00\x00\x000", b"X\x09\x00\x00\x00../../../") for k, v in e.items()}),
    "zip-byte-order": changed("byteorder", b"big"),
    "zip-path-outside": repacked(lambda e, c: {**e, f"../../../{c}": b"x", str(c): b"x"}),
    "zip-bomb": packed_bomb,
    "zip-bomb-that-lies": packed_lie,
    "zip-overlap": overlapping,
    "zip-far-directory": far_end,
    "zip-cut-half": cut(0.5),
    "zip-cut-end": cut(0.98),
    "legacy-cut-half": cut(0.5, _use_new_zipfile_serialization=False),
    "legacy-cut-end": cut(0.98, _use_new_zipfile_serialization=False),
    "zip-of-pictures": images_zip(["a.png"]),
    "zip-whole-module": lambda path, canary: saved(path, torch.nn.Linear(2, 2)),
    "zip-code-object": changed("data.pkl", pickle.dumps({"f": Call(exec, "x=1")}, 2)),
    "zip-other-network": lambda path, canary: saved(path, {"layer1.0.conv.weight": torch.zeros(2)}),
    "zip-not-finite": lambda path, canary: saved(path, {k: v * float("nan") if v.is_floating_point() else v for k, v in _dcgan().items()}),
    "zip-wrong-shape": lambda path, canary: saved(path, {**_dcgan(), "generator_deconv.0.0.weight": torch.zeros(3, 3)}),
    "zip-key-with-lines": lambda path, canary: saved(path, {"a\nb\x1b[2Jc": torch.zeros(2)}),
    "zip-tensor-repeats": lambda path, canary: saved(path, {"generator_deconv.0.0.weight": torch.zeros(1).expand(1 << 20, 1 << 20)}),
    "zip-list": lambda path, canary: saved(path, [torch.zeros(2)]),
    "zip-kind-trick": lambda path, canary: saved(path, {"g_ema": {"input.input": "x", "conv1.conv.modulation.weight": 3}}),
    "tar-outside": images_tar(("../../../{canary}", None, "")),
    "html": content(b"<!DOCTYPE html><html><body>Sign in</body></html>"),
    "lfs-pointer": content(b"version https://git-lfs.github.com/spec/v1\n"),
    "empty": content(b""),
    "one-byte": content(b"\x80"),
    "zeros": content(bytes(4096)),
    "elf": content(b"\x7fELF" + bytes(4096)),
    "folder": lambda path, canary: path.mkdir(),
    "link-to-nothing": lambda path, canary: path.symlink_to("/nonexistent/weights"),
    "link-to-a-device": lambda path, canary: path.symlink_to("/dev/zero"),
    "sparse-terabyte": lambda path, canary: (path.write_bytes(b"\x80\x02]"), os.truncate(path, 1 << 40)),
    "st-long-header": safetensors(b"{}", length=1 << 60),
    "st-header-behind-the-end": safetensors(b"{}", length=4000),
    "st-not-json": safetensors(b"{nothing"),
    "st-nested": safetensors(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "st-trillion": safetensors({"a": tensor([1 << 40])}, bytes(16)),
    "st-trillion-bytes": safetensors({"a": tensor([1 << 40], end=1 << 42)}, bytes(16)),
    "st-overflow": safetensors({"a": tensor([1 << 62, 1 << 62])}, bytes(16)),
    "st-overlap": safetensors({"a": tensor([4]), "b": tensor([4])}, bytes(16)),
    "st-negative": safetensors({"a": tensor([-4])}, bytes(16)),
    "st-unknown-type": safetensors({"a": tensor([4], dtype="X9")}, bytes(16)),
    "st-no-kind": safetensors({"a": tensor([4])}, bytes(16)),
    "own-cut": lambda path, canary: (own(dict)(path, canary), os.truncate(path, path.stat().st_size - 100)),
    "own-not-finite": own(replaced("synthesis.b8.conv1.weight", lambda v: v / 0)),
    "own-wrong-shape": own(replaced("synthesis.b8.conv1.weight", lambda v: v[:2])),
    "own-missing": own(lambda state: {k: v for k, v in state.items() if "torgb" not in k}),
    "own-giant-network": own(dict, {"resolution": 1 << 20, "channels": {str(4 << i): 1 << 16 for i in range(19)}}),
    "own-endless-network": own(dict, {"mapping_layers": 10**12}),
    "own-slow-network": own(dict, {"mapping_layers": 10**6}),
    "own-slow-diffusion": own(dict, {"autoencoder": {}, "unet": {"layers_per_block": 10**6}, "scheduler": {}}, kind="latent_diffusion"),
    "own-wide-latent": own(dict, {"z_dim": 1 << 50}),
    "own-odd-arguments": own(dict, {"__class__": "x"}),
    "own-no-json": own(dict, "{nothing"),
    "own-nested-json": own(dict, "[" * 100_000),
    "own-unknown-kind": own(dict, kind="os.system"),
    "images-path-outside.zip": images_zip(["../../../{canary}.png", "{canary}.png"]),
    "images-bomb.zip": images_bomb,
    "images-huge.zip": huge_picture,
    "images-path-outside.tar": images_tar(("../../../{canary}.png", None, ""), ("{canary}.png", None, "")),
    "images-symlink.tar": images_tar(("a.png", tarfile.SYMTYPE, "/etc/passwd")),
    "images-hard-link.tar": images_tar(("a.png", tarfile.LNKTYPE, "/etc/passwd"), ("b.png", tarfile.SYMTYPE, "../../{canary}")),
    "images-device.tar": images_tar(("a.png", tarfile.CHRTYPE, "")),
    "images-symlink-then-write.tar": images_tar(("d", tarfile.SYMTYPE, "/tmp"), ("d/a.png", None, "")),
}  # fmt: skip
READABLE = {"images-path-outside.zip", "images-bomb.zip", "images-huge.zip", "images-path-outside.tar", "images-symlink-then-write.tar"}
"""Pictures that are read by name alone, or get a row of their own as unreadable: no error, and nothing written."""


def _dcgan():
    from audit.generators.dcgan32 import DCGAN32

    return DCGAN32().state_dict()


@pytest.fixture(scope="module")
def outcomes(attempts):
    good = (lambda folder: own(dict)(folder / "good.safetensors", None), lambda folder: saved(folder / "good.pt", _dcgan()),
            lambda folder: images_zip(["a.png"])(folder / "good.zip", None))  # fmt: skip
    return attempts(FILES, good=good)


@pytest.mark.parametrize("which", sorted(FILES))
def test_a_hostile_file_gets_one_sentence_and_does_nothing(outcomes, harmless, which):
    harmless(outcomes[which], may_succeed=which in READABLE)


@pytest.mark.parametrize(("which", "sentence"), [
    ("html", "it is a web page"),
    ("zip-other-network", r"another architecture: its keys begin with layer1\.0\.conv\.weight"),
    ("own-not-finite", r"not finite in synthesis\.b8\.conv1\.weight"),
    ("own-missing", r"missing synthesis\.b4\.torgb\.weight, synthesis\.b4\.torgb\.bias"),
    ("own-wrong-shape", r"synthesis\.b8\.conv1\.weight \(2, 4, 3, 3\) for \(4, 4, 3, 3\)"),
    ("zip-storage-lies", "256 bytes for 1,000,000 numbers of 4 bytes"),
    ("zip-bomb", "would unpack to 268,435,456 bytes"),
    ("zip-calls", r"names 'posix\.system'"),
])  # fmt: skip
def test_the_sentence_names_what_is_wrong(outcomes, which, sentence):
    import re

    assert re.search(sentence, outcomes[which]["said"]), outcomes[which]["said"]
