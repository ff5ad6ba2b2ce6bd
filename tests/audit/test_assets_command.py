"""`genbias assets` lists, fetches and verifies, and says in one sentence what is wrong."""

import hashlib
import json

import pytest
import yaml
from click.testing import CliRunner

from audit.assets_command import assets
from audit.errors import ManifestError

BYTES = b"weights"


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in ("GENBIAS_HOME", "TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("GENBIAS_ASSETS", str(tmp_path / "assets"))
    (tmp_path / "assets").mkdir()
    return tmp_path


def manifest(place, **changes):
    file = {"name": "net.pt", "url": "https://example.org/net.pt", "sha256": hashlib.sha256(BYTES).hexdigest()}
    content = {"name": "mine", "kind": "encoder", "title": "Mine", "licence": "MIT", "files": [file | changes.pop("file", {})], **changes}
    (place / "mine.yaml").write_text(yaml.safe_dump(content))
    return str(place / "mine.yaml")


def call(*words, ok=True):
    done = CliRunner().invoke(assets, words)
    if ok:
        assert done.exception is None, done.exception
    return done


def test_the_list_names_every_manifest_with_its_terms_and_whether_it_is_here(place):
    rows = {r["name"]: r for r in json.loads(call("list", "--json").stdout)}
    assert len(rows) > 80
    assert rows["celeba"]["allowed_use"] == "non-commercial-research"
    assert not rows["darknet_tiny"]["here"]
    (place / "assets" / "darknet_tiny_features.torchscript.pt").write_bytes(b"\0" * 3700808)
    rows = {r["name"]: r for r in json.loads(call("list", "--json", "--kind", "encoder").stdout)}
    assert rows["darknet_tiny"]["here"]
    assert {r["kind"] for r in rows.values()} == {"encoder"}
    shown = call("list", "--commercial-use").stdout
    assert "inception_2015_12_05" in shown
    assert "celeba" not in shown.split()


def test_fetch_leaves_alone_what_is_here_and_says_what_it_was_held_to(place):
    (place / "assets" / "net.pt").write_bytes(BYTES)
    said = call("fetch", manifest(place), "--offline").stdout
    assert said.split() == [str(place / "assets" / "net.pt"), "sha256", "as", "published"]
    unstated = manifest(place, file={"sha256": None})
    assert "none is published" in call("fetch", unstated, "--offline").stdout
    assert json.loads(call("fetch", unstated, "--offline", "--json").stdout) == {"mine": [str(place / "assets" / "net.pt")]}


def test_offline_a_missing_file_is_a_sentence(place):
    done = call("fetch", manifest(place), "--offline", ok=False)
    assert isinstance(done.exception, ManifestError)
    assert "net.pt of manifest 'mine' is not in" in str(done.exception)


def test_commercial_use_refuses_by_name_before_anything_is_fetched(place):
    done = call("fetch", "stylegan2_ada_ffhq_1024", "--commercial-use", ok=False)
    assert "stylegan2_ada_ffhq_1024 (non-commercial research only" in str(done.exception)


def test_verify_reads_checksums_and_names_what_is_wrong(place):
    path, target = manifest(place), place / "assets" / "net.pt"
    target.write_bytes(BYTES)
    assert call("verify", path).stdout.startswith("ok  mine")
    target.write_bytes(b"altered")
    done = call("verify", path, ok=False)
    assert isinstance(done.exception, ManifestError)
    assert "expected sha256" in str(done.exception)
    target.write_bytes(b"<!DOCTYPE html><title>Quota exceeded</title>")
    assert "it is a web page saved under that name" in str(call("verify", path, ok=False).exception)


def test_verify_without_names_looks_at_what_is_here_only(place):
    assert json.loads(call("verify", "--json").stdout) == []
    (place / "assets" / "darknet_tiny_features.torchscript.pt").write_bytes(b"short")
    done = call("verify", ok=False)
    assert "expected 3,700,808 bytes, got 5" in str(done.exception)


def test_a_file_held_to_its_first_use_is_refused_when_it_changes(place):
    path, target = manifest(place, file={"sha256": None}), place / "assets" / "net.pt"
    target.write_bytes(BYTES)
    call("verify", path)
    target.write_bytes(b"another")
    done = call("verify", path, ok=False)
    assert "that was used first: expected sha256" in str(done.exception)
    assert "remove" in str(done.exception)
