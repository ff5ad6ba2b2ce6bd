"""Manifests are understood or refused in a sentence; files are verified before they are used."""

import hashlib
import re
import subprocess
import sys

import pytest
import yaml

from audit.errors import ManifestError
from audit.manifests import Manifest, checksum, home, list_manifests, load_manifest, resolve, search_path

BYTES = b"not a network, but bytes with a checksum"
GOOD = {
    "name": "mine",
    "kind": "classifier",
    "title": "My classifier",
    "format": "torchscript",
    "files": [{"name": "mine.pt", "bytes": len(BYTES), "sha256": hashlib.sha256(BYTES).hexdigest()}],
    "licence": "MIT",
    "contract": {
        "input": {"size": 8, "crop": {"from": "face", "margin": 0.1}},
        "output": {
            "heads": [
                {"attribute": "gender", "kind": "logits", "columns": [0, 1], "classes": {"feminine": 1, "masculine": 0}}
            ]
        },
    },
}


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBIAS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GENBIAS_ASSETS", raising=False)
    (tmp_path / "assets" / "classifiers").mkdir(parents=True)
    return tmp_path


def written(folder, **changes):
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}))
    return path


def with_file(**changes):
    return {"files": [{**GOOD["files"][0], **changes}]}


def test_every_shipped_manifest_is_valid_and_is_called_like_its_file():
    manifests = list_manifests()
    assert len(manifests) > 60
    for manifest in manifests:
        assert load_manifest(manifest.name) == manifest
    assert {m.kind for m in manifests} == {"classifier", "generator", "encoder", "face_finder", "dataset", "reference"}


def test_no_shipped_file_is_vouched_for_by_half_a_checksum():
    for manifest in list_manifests():
        for file in manifest.files:
            assert file.sha256 is None or len(file.sha256) == 64
            assert file.path is None
            assert file.url is not None or manifest.how_to_get is not None, f"nobody can get {file.name} of {manifest.name}"


def test_checksums_agree_with_the_prefixes_that_file_names_carry():
    for manifest in list_manifests():
        for file in manifest.files:
            if file.sha256_prefix:
                assert file.sha256_prefix in file.name


def test_addresses_are_https_and_nothing_is_stated_by_half():
    plain = {"celebahq_classifiers_nvidia"}  # published so; of no use without a checksum of one's own
    for manifest in list_manifests():
        for file in manifest.files:
            for url in filter(None, (file.url, *file.mirrors)):
                assert url.startswith("https://") or manifest.name in plain, url
                assert " " not in url
                assert "{" not in url
            assert not file.mirrors or file.url


def test_checksums_are_whole_lower_case_and_of_one_file_each():
    seen = {}
    for manifest in list_manifests():
        for file in manifest.files:
            if file.sha256:
                assert re.fullmatch("[0-9a-f]{64}", file.sha256)
                assert len(set(file.sha256)) > 8, "a made-up pattern"
                assert seen.setdefault(file.sha256, file.name) == file.name
            assert not file.sha256_prefix or not file.sha256, "a whole checksum says it all"


def test_addresses_that_carry_their_sha256_agree_with_it():
    for file in (f for m in list_manifests() for f in m.files if f.url):
        for part in re.findall(r"/([0-9a-f]{64})/", file.url):
            assert file.sha256 == part


def test_what_is_not_known_of_a_manifest_is_said():
    for manifest in list_manifests():
        text = manifest.model_dump_json()
        assert "check it" not in text, f"{manifest.name}: say status: unverified"
        if manifest.format in ("torchscript", "pickle") and any(f.sha256 is None for f in manifest.files):
            assert manifest.caveats, f"{manifest.name} is a program without a checksum and says nothing of it"
        if manifest.kind == "encoder" and manifest.contract:
            assert manifest.contract.output.features


def test_nvidia_and_celeba_assets_do_not_pass_for_commercial_ones():
    for manifest in list_manifests():
        if "Nvidia" in manifest.licence or "CelebA" in f"{manifest.licence} {manifest.terms}" or "NC" in manifest.licence.split():
            assert manifest.use != "any", manifest.name


@pytest.mark.parametrize("name", ["../net.pt", "/etc/net.pt", "a/../../net.pt", "~/net.pt", ".hidden", "a\\b"])
def test_a_file_name_cannot_leave_its_folder(tmp_path, name):
    with pytest.raises(ManifestError, match="name"):
        load_manifest(written(tmp_path, **with_file(name=name)))


def test_an_unknown_manifest_is_told_with_the_nearest_name():
    with pytest.raises(ManifestError, match="no manifest is called 'face_age_gendr'; did you mean 'face_age_gender'"):
        load_manifest("face_age_gendr")


def test_a_missing_yaml_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(ManifestError, match=r"no manifest at .*gone\.yaml"):
        load_manifest(tmp_path / "gone.yaml")


def test_an_unknown_key_is_told_with_its_place_and_the_nearest_valid_key(tmp_path):
    content = {k: v for k, v in GOOD.items() if k != "licence"} | {"licens": "MIT"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ManifestError, match=r"unknown key 'licens'; did you mean 'licence'.*key 'licence' is missing"):
        load_manifest(tmp_path / "mine.yaml")
    with pytest.raises(ManifestError, match=r"unknown key 'contract\.input\.crop\.margins'; did you mean 'margin'"):
        load_manifest(written(tmp_path, contract={"input": {"size": 8, "crop": {"margins": 1}}}))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kind": "classifyer"}, "kind: Input should be"),
        (with_file(sha256="abc"), r"files\.0\.sha256: .*got 'abc'"),
        ({"name": "My Net"}, "name: String should match pattern"),
        ({"contract": {"input": {"size": 0}}}, r"contract\.input\.size: Input should be greater than 0"),
    ],
)
def test_a_wrong_value_is_told_with_its_place(tmp_path, changes, sentence):
    with pytest.raises(ManifestError, match=sentence):
        load_manifest(written(tmp_path, **changes))


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        ({"attribute": "age", "kind": "value", "columns": [0, 1], "unit": "years"}, "takes one column, a unit and bins"),
        ({"attribute": "smile", "kind": "logits", "columns": [0], "classes": {"smiling": 0}}, "takes at least two classes"),
        ({"attribute": "smile", "kind": "logits", "columns": [0], "classes": {"a": 0, "b": 3}}, "must use each of its columns"),
        ({"attribute": "smile", "kind": "logits", "columns": [0], "classes": {"a": None, "b": None}}, "only one class"),
    ],
)
def test_a_head_that_cannot_be_read_is_refused(tmp_path, head, sentence):
    with pytest.raises(ManifestError, match=sentence):
        load_manifest(written(tmp_path, contract={"output": {"heads": [head]}}))


@pytest.mark.parametrize(("text", "sentence"), [("- a\n- b\n", "holds list"), ("a: [1", "is not YAML")])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text, sentence):
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(ManifestError, match=sentence):
        load_manifest(tmp_path / "odd.yaml")


def test_a_file_is_found_in_the_given_folder_below_it_and_in_the_environment(folders, monkeypatch):
    manifest = load_manifest(written(folders))
    target = folders / "assets" / "classifiers" / "mine.pt"
    target.write_bytes(BYTES)
    assert resolve(manifest, search=[folders / "assets"]) == target
    monkeypatch.setenv("GENBIAS_ASSETS", str(folders / "assets"))
    assert resolve(manifest) == target
    monkeypatch.delenv("GENBIAS_ASSETS")
    (folders / "home").mkdir()
    (folders / "home" / "mine.pt").write_bytes(BYTES)
    assert resolve(manifest) == home() / "mine.pt"


def test_the_given_folders_come_before_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("GENBIAS_ASSETS", str(tmp_path / "b"))
    monkeypatch.setenv("GENBIAS_HOME", str(tmp_path / "c"))
    assert search_path([tmp_path / "a"]) == [tmp_path / "a", tmp_path / "b", tmp_path / "c"]


def test_a_missing_file_says_how_to_get_it(folders):
    manifest = load_manifest(written(folders, **with_file(url="https://example.org/mine.pt"), how_to_get="ask the authors"))
    with pytest.raises(ManifestError) as caught:
        resolve(manifest, search=[folders / "assets"])
    for part in ("mine.pt of manifest 'mine' is not in", "genbias assets fetch mine", "example.org", "ask the authors", "path:"):
        assert part in str(caught.value)


def test_a_wrong_checksum_is_refused_by_name_with_both_values(folders):
    manifest = load_manifest(written(folders))
    (folders / "assets" / "mine.pt").write_bytes(BYTES[:-1] + b"!")
    with pytest.raises(ManifestError) as caught:
        resolve(manifest, search=[folders / "assets"])
    assert "mine.pt" in str(caught.value)
    assert f"expected sha256 {hashlib.sha256(BYTES).hexdigest()}" in str(caught.value)
    assert f"got {hashlib.sha256(BYTES[:-1] + b'!').hexdigest()}" in str(caught.value)


def test_a_file_cut_short_is_refused_by_its_size(folders):
    (folders / "assets" / "mine.pt").write_bytes(BYTES[:-5])
    with pytest.raises(ManifestError, match=f"expected {len(BYTES)} bytes, got {len(BYTES) - 5}; it may be cut short"):
        resolve(load_manifest(written(folders)), search=[folders / "assets"])


@pytest.mark.parametrize(
    "check",
    [
        {"sha256_prefix": hashlib.sha256(BYTES).hexdigest()[:8]},
        {"git_blob_sha1": hashlib.sha1(b"blob %d\0" % len(BYTES) + BYTES).hexdigest()},
        {"md5": hashlib.md5(BYTES).hexdigest()},
    ],
)
def test_prefixes_git_blobs_and_md5_are_compared_too(folders, check):
    manifest = load_manifest(written(folders, **with_file(sha256=None, **check)))
    target = folders / "assets" / "mine.pt"
    target.write_bytes(BYTES)
    assert resolve(manifest, search=[folders / "assets"]) == target
    target.write_bytes(BYTES[::-1])
    with pytest.raises(ManifestError, match="refused"):
        resolve(manifest, search=[folders / "assets"])


def test_a_path_is_relative_to_the_manifest_and_verified(folders):
    manifest = load_manifest(written(folders, **with_file(path="assets/other-name.pt")))
    with pytest.raises(ManifestError, match="which does not exist"):
        resolve(manifest)
    (folders / "assets" / "other-name.pt").write_bytes(BYTES)
    assert resolve(manifest).name == "other-name.pt"
    (folders / "assets" / "other-name.pt").write_bytes(b"x" * len(BYTES))
    with pytest.raises(ManifestError, match="expected sha256"):
        resolve(manifest)


def test_asking_for_a_file_that_the_manifest_does_not_have_names_those_it_has():
    with pytest.raises(ManifestError, match=r"no file 'x\.pt'; its files: face_age_gender\.torchscript\.pt, face_age_gender\.onnx"):
        load_manifest("face_age_gender").file("x.pt")


def test_the_digest_changes_with_the_contract_and_not_with_the_title(tmp_path):
    base = load_manifest(written(tmp_path)).digest
    assert load_manifest(written(tmp_path, title="Another title")).digest == base
    changed = {**GOOD["contract"], "input": {"size": 9}}
    assert load_manifest(written(tmp_path, contract=changed)).digest != base


def test_the_published_checksums_of_a_known_file_are_reproduced(tmp_path):
    path = tmp_path / "empty"
    path.write_bytes(b"")
    assert checksum(path) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert checksum(path, "git blob sha1") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert checksum(path, "md5") == "d41d8cd98f00b204e9800998ecf8427e"


def test_reading_manifests_does_not_load_torch():
    code = "import sys, audit.manifests as m; m.list_manifests(); print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_a_manifest_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Manifest(**GOOD).title = "x"
