"""A folder, a zip, a tar and Parquet of the same pictures are the same source; nothing in them can end a run."""

import io
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from audit.errors import SourceError
from audit.sources.containers import EDGE
from audit.sources.folder import FolderSource

NAMES = ["a.png", "b/c.png", "b/d.png", "e.jpg", "f.png"]


def picture(seed, kind="PNG", size=20):
    stream = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(values).save(stream, kind)
    return stream.getvalue()


FILES = {name: picture(i, "JPEG" if name.endswith("jpg") else "PNG") for i, name in enumerate(NAMES)}


def as_directory(root, files, other=("notes.txt", ".hidden.png", "__MACOSX/a.png")):
    for name, data in {**files, **dict.fromkeys(other, b"x")}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def as_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name in reversed(files):
            archive.writestr(name, files[name])
        archive.writestr("folder.png/", b"")
    return path


def as_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name in reversed(files):
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))
    return path


def as_parquet(path, files, column="image", group=2):
    cells = list(files.values())
    if column == "image":
        table = pa.table({"image": [{"bytes": c, "path": n} for n, c in files.items()], "label": list(range(len(cells)))})
    else:
        table = pa.table({column: pa.array(cells, pa.binary()), "file": list(files)})
    pq.write_table(table, path, row_group_size=group)
    return path


def boxed(root, kind, files=FILES):
    root.mkdir(exist_ok=True)
    if kind == "directory":
        return as_directory(root / "d", files)
    if kind == "zip":
        return as_zip(root / "z.zip", files)
    if kind in ("tar", "tar.gz"):
        return as_tar(root / f"t.{kind}", files, "w:gz" if kind == "tar.gz" else "w")
    return as_parquet(root / "p.parquet", files, "image" if kind == "parquet" else kind)


KINDS = ["directory", "zip", "tar", "tar.gz", "parquet", "bytes", "image.bytes"]


def drawn(source, ids=None):
    ids = np.arange(source.count) if ids is None else np.asarray(ids)
    return source.draw(ids, ids.astype(np.uint64))


@pytest.mark.parametrize("kind", KINDS)
def test_every_container_gives_the_same_pictures_in_the_same_order(tmp_path, kind):
    truth = drawn(FolderSource(as_directory(tmp_path / "truth", FILES), name="truth"))
    source = FolderSource(boxed(tmp_path, kind), name="faces")
    assert source.count == 5
    batch = drawn(source)
    assert batch.columns["file"].tolist() == NAMES
    assert batch.status == ["ok"] * 5
    for ours, theirs in zip(batch.images, truth.images, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_does_not_depend_on_what_it_is_drawn_with(tmp_path, kind):
    source = FolderSource(boxed(tmp_path, kind), name="faces", threads=2)
    whole = drawn(source)
    few = drawn(source, [4, 1])
    assert few.ids.tolist() == [4, 1]
    assert few.columns["file"].tolist() == ["f.png", "b/c.png"]
    assert torch.equal(few.images[0], whole.images[4])
    assert torch.equal(few.images[1], whole.images[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_can_be_sent_to_another_process(tmp_path, kind):
    source = FolderSource(boxed(tmp_path, kind), name="faces")
    before = drawn(source)
    copy = pickle.loads(pickle.dumps(source))
    assert copy.digest == source.digest
    assert all(torch.equal(a, b) for a, b in zip(before.images, drawn(copy).images, strict=True))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_handle_that_another_process_opened_is_not_used(tmp_path, kind):
    source = FolderSource(boxed(tmp_path, kind), name="faces", threads=1)
    before = drawn(source).images
    inherited = source._box._opened[1]
    source._box._opened = (os.getpid() + 1, inherited)  # what a child sees after a fork
    assert all(torch.equal(a, b) for a, b in zip(before, drawn(source).images, strict=True))
    assert source._box._opened[0] == os.getpid()
    assert source._box._opened[1] is not inherited


def test_the_digest_changes_with_names_and_contents_and_with_nothing_else(tmp_path):
    base = FolderSource(as_directory(tmp_path / "a", FILES), name="x").digest
    same = as_directory(tmp_path / "elsewhere", FILES)
    os.utime(same / "a.png", (1, 1))
    assert FolderSource(same, name="y").digest == base
    assert FolderSource(same, name="y", limit=4).digest != base
    altered = as_directory(tmp_path / "altered", {**FILES, "a.png": picture(99)})
    assert FolderSource(altered, name="x").digest != base
    renamed = as_directory(tmp_path / "renamed", {("z.png" if k == "f.png" else k): v for k, v in FILES.items()})
    assert FolderSource(renamed, name="x").digest != base


@pytest.mark.parametrize("kind", ["zip", "tar", "parquet"])
def test_the_digest_of_an_archive_sees_one_altered_picture(tmp_path, kind):
    one = FolderSource(boxed(tmp_path / "one", kind), name="x")
    again = FolderSource(boxed(tmp_path / "again", kind), name="x")
    other = FolderSource(boxed(tmp_path / "other", kind, {**FILES, "b/d.png": picture(99)}), name="x")
    assert one.digest == again.digest != other.digest


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_the_digest_of_a_large_file_sees_its_edges_and_its_middle(tmp_path, place):
    data = bytearray(EDGE * 40)
    (tmp_path / "a.png").write_bytes(data)
    base = FolderSource(tmp_path, name="x").digest
    data[{"first": 5, "middle": len(data) // 2 + 5, "last": len(data) - 5}[place]] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    assert FolderSource(tmp_path, name="x").digest != base


def test_only_the_images_asked_for_are_read(tmp_path):
    source = FolderSource(as_directory(tmp_path, FILES), name="x", threads=1)
    asked = []
    inner = source._box.read
    source._box.read = lambda i: asked.append(i) or inner(i)
    drawn(source, [3, 1])
    assert asked == [3, 1]


def test_the_limit_takes_the_first_names(tmp_path):
    source = FolderSource(as_directory(tmp_path, FILES), name="x", limit=2)
    assert source.count == 2
    assert drawn(source).columns["file"].tolist() == ["a.png", "b/c.png"]
    with pytest.raises(SourceError, match="limited to 0 images; expected at least 1"):
        FolderSource(tmp_path, name="x", limit=0)


def test_an_id_beyond_the_last_image_is_refused(tmp_path):
    source = FolderSource(as_directory(tmp_path, FILES), name="x")
    with pytest.raises(SourceError, match=r"has images 0\.\.4; asked for 3\.\.5"):
        drawn(source, [3, 5])


def test_each_file_that_cannot_be_read_is_a_row_with_its_reason(tmp_path):
    broken = {
        "a.png": picture(0),
        "b.jpg": picture(1, "JPEG", 60)[:700],
        "c.png": b"this is a letter\n",
        "d.png": b"",
        "e.png": picture(2),
    }
    root = as_directory(tmp_path, broken)
    (root / "f.png").symlink_to(root / "gone.png")
    batch = drawn(FolderSource(root, name="x"))
    assert dict(zip(batch.columns["file"], batch.status, strict=True)) == {
        "a.png": "ok",
        "b.jpg": "unreadable: truncated JPEG",
        "c.png": "unreadable: text, not an image",
        "d.png": "unreadable: empty file",
        "e.png": "ok",
        "f.png": "unreadable: the file is gone",
    }


def test_a_file_that_disappears_during_the_run_is_a_row(tmp_path):
    source = FolderSource(as_directory(tmp_path, FILES), name="x")
    (tmp_path / "a.png").unlink()
    assert drawn(source).status == ["unreadable: the file is gone", "ok", "ok", "ok", "ok"]


def test_a_damaged_member_of_a_zip_is_a_row(tmp_path):
    path = as_zip(tmp_path / "z.zip", FILES)
    data = bytearray(path.read_bytes())
    data[data.index(FILES["b/d.png"]) + 100] ^= 1
    path.write_bytes(data)
    status = drawn(FolderSource(path, name="x")).status
    assert status[2].startswith("unreadable: corrupt in the archive (Bad CRC-32")
    assert [s for i, s in enumerate(status) if i != 2] == ["ok"] * 4


def test_an_encrypted_member_of_a_zip_is_a_row(tmp_path):
    path = as_zip(tmp_path / "z.zip", FILES)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")  # the first entry of the directory is f.png
    data[at + 8] |= 1
    local = data.index(b"PK\x03\x04")
    data[local + 6] |= 1
    path.write_bytes(data)
    assert drawn(FolderSource(path, name="x")).status[4] == "unreadable: encrypted"


def test_a_file_that_claims_to_be_enormous_is_a_row(tmp_path, monkeypatch):
    monkeypatch.setattr("audit.sources.containers.LARGEST_FILE", 100)
    for kind in ("directory", "zip", "tar"):
        status = drawn(FolderSource(boxed(tmp_path, kind), name="x")).status
        assert all(s.startswith("unreadable: ") and s.endswith(" bytes, more than the limit of 100") for s in status)


def test_names_that_point_outside_an_archive_are_only_names(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    for path in (as_zip(inside / "z.zip", {"../../evil.png": FILES["a.png"]}), as_tar(inside / "t.tar", {"../../evil.png": FILES["a.png"]})):
        batch = drawn(FolderSource(path, name="x"))
        assert batch.status == ["ok"]
        assert batch.columns["file"].tolist() == ["../../evil.png"]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["inside", "t.tar", "z.zip"]


def test_a_row_of_parquet_without_bytes_is_a_row(tmp_path):
    table = pa.table({"bytes": pa.array([FILES["a.png"], None], pa.binary())})
    pq.write_table(table, tmp_path / "p.parquet")
    batch = drawn(FolderSource(tmp_path / "p.parquet", name="x"))
    assert batch.status == ["ok", "unreadable: corrupt in the archive (the row holds no bytes)"]
    assert batch.columns["file"].tolist() == ["p.parquet#0", "p.parquet#1"]


def test_a_directory_of_parquet_files_is_one_source(tmp_path):
    as_parquet(tmp_path / "train-00001.parquet", {"z.png": FILES["f.png"]})
    as_parquet(tmp_path / "train-00000.parquet", dict(list(FILES.items())[:3]))
    assert drawn(FolderSource(tmp_path, name="x")).columns["file"].tolist() == ["a.png", "b/c.png", "b/d.png", "z.png"]


def test_parquet_without_image_bytes_names_the_columns_it_has(tmp_path):
    pq.write_table(pa.table({"url": ["a"], "label": [1]}), tmp_path / "p.parquet")
    with pytest.raises(SourceError, match="has no column of image bytes among url, label; expected 'image'"):
        FolderSource(tmp_path / "p.parquet", name="x")


def test_nothing_there_is_told_in_a_sentence(tmp_path):
    with pytest.raises(SourceError, match=r"there is nothing at .*gone; give a directory, a zip, a tar or a Parquet file"):
        FolderSource(tmp_path / "gone", name="x")
    with pytest.raises(SourceError, match=r"holds no images: nothing found, expected at least one file ending in \.jpg, \.jpeg"):
        FolderSource(tmp_path, name="x")
    (tmp_path / "labels.csv").write_text("a,b")
    with pytest.raises(SourceError, match="holds no images: only 1 other files found"):
        FolderSource(tmp_path, name="x")
    with pytest.raises(SourceError, match="holds no images"):
        FolderSource(as_zip(tmp_path / "z.zip", {"readme.md": b"x"}), name="x")
    with pytest.raises(SourceError, match="is neither a directory nor a zip, tar or Parquet"):
        FolderSource(tmp_path / "labels.csv", name="x")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "parquet"])
def test_an_archive_that_was_cut_short_is_told_in_a_sentence(tmp_path, kind):
    path = boxed(tmp_path, kind)
    path.write_bytes(path.read_bytes()[: 200 if kind == "parquet" else 3000])
    with pytest.raises(SourceError, match="cut short"):
        FolderSource(path, name="x")


def test_what_was_left_out_and_what_was_done_to_images_is_counted(tmp_path):
    stream = io.BytesIO()
    Image.new("RGBA", (20, 20), (0, 0, 0, 40)).save(stream, "PNG")
    source = FolderSource(as_directory(tmp_path, {**FILES, "g.png": stream.getvalue()}), name="x")
    assert source.caveats == ("3 files without an image extension were left out",)
    drawn(source)
    batch = drawn(source)  # twice: an image is counted once
    assert batch.columns["note"].tolist() == ["", "", "", "lossy", "", "alpha"]
    assert source.caveats[1:] == (
        "1 of 6 images are compressed with loss (JPEG and the like), which moves colours and FID a little",
        "1 of 6 images have transparency and were laid on white",
    )
