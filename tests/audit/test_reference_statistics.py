"""Statistics are found by clean-fid's names, read without running anything, and refused where they cannot be compared."""

import warnings

import numpy as np
import pytest

from audit import reference_statistics
from audit.errors import ManifestError, SpecError
from audit.manifests import list_manifests, load_manifest
from audit.reference_statistics import find_statistics, read_statistics, require_same_mode, statistics_name

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its imports, on versions newer than it knows
    from cleanfid import features


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBIAS_HOME", str(tmp_path / "home"))
    for name in ("TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    monkeypatch.delenv("GENBIAS_ASSETS", raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path


def written(path, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **({"mu": np.zeros(3), "sigma": np.eye(3)} | arrays))
    return path


@pytest.mark.parametrize(
    ("dataset", "resolution", "split", "mode", "model"),
    [("FFHQ", 256, "trainval70k", "clean", "inception_v3"), ("cifar10", 32, "test", "legacy_tensorflow", "inception_v3"),
     ("mine", 64, "custom", "clean", "clip_vit_b_32"), ("ffhq", 1024, "trainval", "legacy_pytorch", "inception_v3")],
)  # fmt: skip
def test_names_are_those_that_clean_fid_asks_for(monkeypatch, dataset, resolution, split, mode, model):
    asked = []
    monkeypatch.setattr(features, "check_download_url", lambda local_folder, url: asked.append(url) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        features.get_reference_statistics(dataset, resolution, mode=mode, model_name=model, split=split)
    assert asked[0].rsplit("/", 1)[1] == statistics_name(dataset, resolution, split=split, mode=mode, model=model) + ".npz"


def test_shipped_statistics_are_named_and_addressed_as_clean_fid_s():
    shipped = [m for m in list_manifests() if m.kind == "reference" and "mode" in m.parameters]
    assert len(shipped) >= 12
    for manifest in shipped:
        assert manifest.files[0].url == f"https://www.cs.cmu.edu/~clean-fid/stats/{manifest.name}.npz"
        assert f"_{manifest.parameters['mode']}_" in manifest.name


def test_a_name_is_looked_for_in_assets_home_and_clean_fid_s_own_cache(place, monkeypatch):
    name = "ffhq_clean_trainval70k_256"
    with pytest.raises(ManifestError, match=r"genbias assets fetch ffhq_clean_trainval70k_256"):
        find_statistics(name)
    own = written(place / "assets" / f"{name}.npz")
    assert find_statistics(name, search=[place / "assets"]) == own
    cache = written(place / "cleanfid" / "stats" / "mine_clean_custom_na.npz")
    monkeypatch.setattr(reference_statistics, "_clean_fid_cache", lambda: [cache.parent])
    assert find_statistics("mine_clean_custom_na") == cache
    at_home = written(place / "home" / "other.npz")
    assert find_statistics("other") == at_home == find_statistics(str(at_home))


def test_an_unknown_name_is_told_with_the_known_ones(place):
    with pytest.raises(ManifestError, match=r"no statistics are called 'ffhq'; known names are .*ffhq_clean_trainval70k_256"):
        find_statistics("ffhq")
    with pytest.raises(ManifestError, match=r"no statistics at .*gone\.npz"):
        find_statistics(str(place / "gone.npz"))
    with pytest.raises(SpecError, match="mode 'dirty' is none of clean-fid's"):
        statistics_name("ffhq", 256, mode="dirty")


def test_mean_and_covariance_are_read_in_double_precision(place):
    found = read_statistics(written(place / "a.npz", mu=np.arange(3, dtype=np.float32), sigma=np.eye(3, dtype=np.float32) * 2, n=np.array(70)))
    assert found.mean.dtype == found.covariance.dtype == np.float64
    assert (found.mean.tolist(), found.covariance[1, 1], found.n) == ([0, 1, 2], 2, 70)
    assert read_statistics(written(place / "b.npz")).n == 0


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"sigma": np.eye(4)}, r"mu of shape \(3,\) and sigma of shape \(4, 4\)"),
        ({"mu": np.full(3, np.nan)}, "holds NaN or infinity"),
        ({"sigma": np.triu(np.ones((3, 3)))}, "no covariance: it is not symmetric"),
        ({"sigma": -np.eye(3)}, "no covariance"),
        ({"mu": np.array([{}] * 3, dtype=object)}, "cannot be read as statistics"),
        ({"mu": np.array(["a", "b", "c"])}, "floats"),
    ],
)
def test_what_is_no_statistics_is_told_and_never_unpickled(place, arrays, sentence):
    with pytest.raises(ManifestError, match=sentence):
        read_statistics(written(place / "bad.npz", **arrays))


def test_a_page_and_an_archive_of_something_else_are_told(place):
    (place / "page.npz").write_bytes(b"<!doctype html><p>not found")
    with pytest.raises(ManifestError, match=r"page\.npz cannot be read as statistics"):
        read_statistics(place / "page.npz")
    np.savez(place / "other.npz", feats=np.zeros(3))
    with pytest.raises(ManifestError, match="expected the arrays mu and sigma"):
        read_statistics(place / "other.npz")


def test_statistics_of_another_mode_or_network_are_refused():
    clean, tensorflow = (load_manifest(f"inception_2015_12_05{end}") for end in ("", "_legacy_tensorflow"))
    require_same_mode("ffhq_clean_trainval70k_256", clean)
    require_same_mode("ffhq_legacy_tensorflow_trainval_256", tensorflow)
    require_same_mode("somewhere/of_my_own.npz", clean)
    with pytest.raises(SpecError, match="made in clean-fid's mode 'legacy_tensorflow', and the encoder 'inception_2015_12_05' resizes as 'clean'"):
        require_same_mode("ffhq_legacy_tensorflow_trainval_256", clean)
    with pytest.raises(SpecError, match="of another network than the encoder 'dinov2_vitl14'"):
        require_same_mode("ffhq_clean_trainval70k_256", load_manifest("dinov2_vitl14"))
