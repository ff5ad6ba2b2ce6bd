"""CIFAR-10: the official formats, the long tail, and files that are cut short, of another data set, or hostile."""

import pickle

import numpy as np
import pytest

from audit.attributes import ATTRIBUTES
from audit.errors import SourceError, SpecError
from audit.sources import open_source
from audit.sources.base import OK
from audit.sources.cifar import CifarSource, long_tail
from audit.sources.cifar_batches import read_batches
from audit.spec import SourceSpec

CLASSES = ATTRIBUTES["cifar10"].classes
VERSIONS = ["python2", "python3-protocol2", "python3-protocol4", "binary"]


def everything(source):
    ids = np.arange(source.count)
    return source.draw(ids, ids.astype(np.uint64))


@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_gives_the_same_images_in_rgb_with_their_labels(cifar, version):
    first, found = read_batches(cifar("python2") if version != "python2" else cifar(version), "train", CLASSES), None
    found = first if version == "python2" else read_batches(cifar(version), "train", CLASSES)
    assert found.images.shape == (200, 3, 32, 32)
    assert np.array_equal(found.images, first.images)
    assert np.array_equal(found.labels, first.labels)
    for image, label in zip(found.images[:40], found.labels[:40], strict=True):
        row, column = divmod(int(label), 4)
        square = image[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        assert (square[label % 3] == 250).all()
        assert (square[(label + 1) % 3] < 60).all()


@pytest.mark.parametrize("version", ["python2", "binary"])
def test_a_spec_opens_a_split_with_the_truth_in_the_record(cifar, version):
    source = open_source("real", SourceSpec(source="cifar10", path=str(cifar(version)), split="test"))
    batch = everything(source)
    assert source.count == 40
    assert batch.status == [OK] * 40
    assert sorted(set(batch.columns["truth:cifar10"])) == sorted(CLASSES)
    assert batch.columns["file"][3] == ("test_batch.bin#3" if version == "binary" else "test_batch#3")
    alone = source.draw(np.array([7]), np.array([1], dtype=np.uint64))
    assert (alone.images[0] == batch.images[7]).all()
    with pytest.raises(SourceError, match=r"has images 0\.\.39; asked for 40\.\.40"):
        source.draw(np.array([40]), np.array([1], dtype=np.uint64))


def test_the_archive_unpacked_as_it_is_and_any_folder_around_it_will_do(cifar, tmp_path):
    folder = cifar("python2")
    (tmp_path / "home").mkdir()
    folder.rename(tmp_path / "home" / "cifar-10-batches-py")
    assert CifarSource("c", tmp_path / "home").count == 200


def test_the_profile_falls_off_exponentially_to_the_imbalance():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 5000))
    counts = np.bincount(labels[long_tail(labels, 10, 100)])
    assert counts.tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]  # Cao et al. 2019, for imbalance 100
    assert np.bincount(labels[long_tail(labels, 10, 1)]).tolist() == [5000] * 10


def test_the_first_images_of_a_long_tail_show_the_same_tail_as_all_of_them():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 5000))
    kept = labels[long_tail(labels, 10, 100)]
    for first in (1000, 4000):
        assert np.abs(np.bincount(kept[:first], minlength=10) / first - np.bincount(kept) / len(kept)).max() < 0.03


def test_a_long_tail_is_a_subset_that_is_always_the_same(cifar):
    folder = cifar("python2")
    whole, tail = CifarSource("c", folder), CifarSource("c", folder, imbalance=10)
    counts = np.bincount(tail.labels)
    assert counts[0] == 20 and counts[-1] == 2
    assert (np.diff(counts) <= 0).all()
    batch = everything(tail)
    places = list(everything(whole).columns["file"])
    kept = [places.index(f) for f in batch.columns["file"]]
    assert kept == sorted(kept) == long_tail(whole.labels, 10, 10).tolist()
    assert all((a == b).all() for a, b in zip(batch.images, [everything(whole).images[k] for k in kept], strict=True))
    assert tail.digest == CifarSource("other", folder, imbalance=10).digest
    assert len({tail.digest, whole.digest, CifarSource("c", folder, imbalance=5).digest, CifarSource("c", folder, split="test").digest}) == 4
    assert "imbalance 10: airplane 20, automobile 15" in tail.caveats[0]
    with pytest.raises(SourceError, match="an imbalance of 21 leaves 0 images of the rarest class, of 20; expected 1 to 20"):
        CifarSource("c", folder, imbalance=21)


def rewritten(change):
    def spoil(folder):
        path = folder / "data_batch_3"
        content = pickle.loads(path.read_bytes(), encoding="bytes")
        change(content)
        path.write_bytes(pickle.dumps(content, protocol=2))

    return spoil


def cut(name, keep):
    return lambda f: (f / name).write_bytes((f / name).read_bytes()[:keep])


def labelled(value, key=b"labels"):
    return rewritten(lambda c: c.__setitem__(key, value))


PYTHON = [
    (lambda f: (f / "data_batch_4").unlink(), "has no data_batch_4; expected data_batch_1, data_batch_2"),
    (lambda f: (f / "batches.meta").unlink(), "has no batches.meta, which says what the labels mean"),
    (cut("data_batch_2", 50_000), "data_batch_2 is damaged or cut short"),
    (cut("data_batch_2", 0), "data_batch_2 has 0 bytes"),
    (rewritten(lambda c: c[b"labels"].__setitem__(5, 10)), r"data_batch_3, image 5: label 10; expected 0 to 9, so the labels are of another data set"),
    (rewritten(lambda c: c[b"labels"].pop()), "holds 40 images and 39 labels"),
    (labelled(["cat"] * 40), "expected a whole number for each image"),
    (rewritten(lambda c: c.update({b"fine_labels": c.pop(b"labels")})), "holds data, batch_label, filenames, fine_labels; expected data and labels"),
    (labelled(np.zeros((40, 1024), dtype=np.uint8), b"data"), r"40,960 bytes in the shape \('40', '1024'\); expected \(n, 3,072\)"),
    (labelled(np.zeros((40, 3072), dtype=np.float32), b"data"), "expected an array of uint8"),
    (labelled(np.asfortranarray(np.zeros((40, 3072), dtype=np.uint8)), b"data"), "row by row"),
    (labelled([[0] * 3072] * 40, b"data"), "its data is no array of numpy"),
    (rewritten(lambda c: c.update({b"data": c[b"data"][:39], b"labels": c[b"labels"][:39]})), "holds 39 images; expected 40 like every batch"),
    (lambda f: (f / "data_batch_1").write_bytes(pickle.dumps([1], 2)), "holds a list; expected the dictionary"),
    (lambda f: (f / "batches.meta").write_bytes(pickle.dumps({"fine_label_names": ["apple"]}, 2)), "holds fine_label_names and no label_names"),
    (lambda f: (f / "batches.meta").write_bytes(pickle.dumps({"label_names": [*CLASSES[1:], "airplane"]}, 2)),
     "names the classes automobile, .* in this order, so these are the labels of another data set"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "words"), PYTHON)
def test_a_file_of_the_python_version_that_is_wrong_is_a_sentence_that_names_it(cifar, spoil, words):
    folder = cifar("python2")
    spoil(folder)
    with pytest.raises(SourceError, match=words):
        CifarSource("c", folder)


@pytest.mark.parametrize(("spoil", "words"), [
    (cut("data_batch_2.bin", 3073 * 7 + 5), r"data_batch_2\.bin has 21,516 bytes; expected a multiple of 3,073"),
    (cut("data_batch_2.bin", 3073 * 7), r"data_batch_2\.bin holds 7 images; expected 40 like every batch"),
    (cut("data_batch_1.bin", 0), "has 0 bytes"),
    (lambda f: (f / "data_batch_5.bin").write_bytes(b"\xff" * 3073 * 40), r"data_batch_5\.bin, image 0: label 255; expected 0 to 9"),
    (lambda f: (f / "batches.meta.txt").write_text("beaver\ndolphin\n"), "names the classes beaver, dolphin; expected airplane"),
    (lambda f: (f / "batches.meta.txt").unlink(), r"has no batches\.meta\.txt"),
    (lambda f: (f / "batches.meta.txt").write_text("x" * 20_000), "expected a name a line"),
])  # fmt: skip
def test_a_file_of_the_binary_version_that_is_wrong_is_a_sentence_that_names_it(cifar, spoil, words):
    folder = cifar("binary")
    spoil(folder)
    with pytest.raises(SourceError, match=words):
        CifarSource("c", folder)


class Run:
    """Pickles as a call."""

    def __init__(self, what, *args):
        self.what, self.args = what, args

    def __reduce__(self):
        return self.what, self.args


def test_hostile_batches_run_nothing_and_get_a_sentence(cifar, tmp_path, monkeypatch):
    import os

    folder, ran = cifar("python2"), tmp_path / "ran"
    monkeypatch.setattr("pickle.loads", lambda *a, **k: pytest.fail("pickle was asked"))
    monkeypatch.setattr("pickle.load", lambda *a, **k: pytest.fail("pickle was asked"))
    reconstruct = np.zeros(1, dtype=np.uint8).__reduce__()[0]
    bodies = [pickle.dumps({"data": Run(os.system, f"touch {ran}"), "labels": [0]}, 2), pickle.dumps(Run(open, str(ran), "w"), 2),
              pickle.dumps({"data": Run(reconstruct, dict, (0,), b"b")}, 2), pickle.dumps({"data": Run(np.fromfile, "/etc/passwd")}, 2),
              b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n(cbuiltins\ndict\nK\x00\x85U\x01btR.", b"\x80\x02}U\x04dataT\xff\xff\xff\x7fabc",
              b"\x80\x02](" + b"K\x00" * 20 + b"h\x00.", b"\x80\x02" + b"](" * 100_000, b"c__builtin__\neval\n(S'1'\ntR."]  # fmt: skip
    for body in bodies:
        for name in ("data_batch_1", "batches.meta"):
            kept = (folder / name).read_bytes()
            (folder / name).write_bytes(body)
            with pytest.raises(SourceError, match=name.replace(".", r"\.")):
                CifarSource("c", folder)
            (folder / name).write_bytes(kept)
    assert not ran.exists()
    assert CifarSource("c", folder).count == 200


@pytest.mark.parametrize(("spec", "error", "words"), [
    ({}, SpecError, "source 'cifar10' needs the key 'path'"),
    ({"path": "{tmp}"}, SourceError, "holds no CIFAR-10: expected data_batch_1 to data_batch_5"),
    ({"path": "{tmp}/a.tar.gz"}, SourceError, "is a file; unpack the archive and give its folder"),
])  # fmt: skip
def test_a_path_that_holds_no_cifar_is_a_sentence(tmp_path, spec, error, words):
    (tmp_path / "a.tar.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(error, match=words):
        open_source("g", SourceSpec(source="cifar10", **{k: v.replace("{tmp}", str(tmp_path)) for k, v in spec.items()}))


def test_an_imbalance_below_one_is_refused_by_the_spec():
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        SourceSpec(source="cifar10", path="x", imbalance=0.01)
