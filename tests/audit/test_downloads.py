"""Fetching leaves one good file or none: truncated, altered and misdirected answers are refused."""

import hashlib
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from audit import downloads
from audit.downloads import fetch, fetch_all
from audit.errors import ManifestError, RunError
from audit.manifests import Manifest, home, resolve

BYTES = bytes(range(256)) * 40


class Web(ThreadingHTTPServer):
    """A web server on this machine. ``answers[path]`` is a list of what it says, the last one for ever: bytes, or a dict of them.

    A dict has ``body`` and any of ``cut`` (the connection ends after so many bytes), ``type``, ``tag`` (then it continues
    where it is asked to), ``wait`` (seconds before the body) and ``code``.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked, self.sent = {}, [], 0
        self.address = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        pass  # clients that hang up are part of the tests


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        left = self.server.answers.get(self.path, [])
        said = left.pop(0) if len(left) > 1 else (left or [{"body": b"", "code": 404}])[0]
        said = said if isinstance(said, dict) else {"body": said}
        body, code, tag = said["body"], said.get("code", 200), said.get("tag")
        asked = self.headers.get("Range")
        if tag and asked and self.headers.get("If-Range") == tag:
            first = int(asked.removeprefix("bytes=").rstrip("-"))
            code, extra, body = 206, {"Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"}, body[first:]
        else:
            extra = {}
        self.send_response(code)
        for key, value in {"Content-Length": len(body), "Content-Type": said.get("type", "application/octet-stream"), **extra}.items():
            self.send_header(key, str(value))
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        time.sleep(said.get("wait", 0))
        self.wfile.write(body[: said.get("cut", len(body))])
        self.server.sent += len(body[: said.get("cut", len(body))])
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBIAS_HOME", str(tmp_path / "home"))
    for name in ("TORCH_HOME", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    for name in ("GENBIAS_ASSETS", "HF_HUB_CACHE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with Web() as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield web
        web.shutdown()
        thread.join()


def manifest(server, **file):
    facts = {"name": "net.pt", "url": f"{server.address}/net.pt", "sha256": hashlib.sha256(BYTES).hexdigest(), **file}
    return Manifest(name="net", kind="encoder", title="A net", licence="MIT", files=[facts])


def left_behind():
    return sorted(p.name for p in (home() / "net").iterdir())


def test_a_good_file_arrives_under_its_name(server):
    server.answers["/net.pt"] = [BYTES]
    wanted = manifest(server)
    path = resolve(wanted, offline=False)
    assert path.read_bytes() == BYTES
    assert left_behind() == ["net.pt"]
    assert resolve(wanted) == path  # and is found without a network from then on
    assert server.asked == ["/net.pt"]


def test_offline_nothing_is_asked_for(server):
    server.answers["/net.pt"] = [BYTES]
    with pytest.raises(ManifestError, match="genbias assets fetch net"):
        resolve(manifest(server))
    assert server.asked == []


def test_a_truncated_answer_is_refused_and_asked_for_again(server):
    server.answers["/net.pt"] = [BYTES[:1000], BYTES]
    wanted = manifest(server)
    assert fetch(wanted, wanted.files[0]).read_bytes() == BYTES
    assert len(server.asked) == 2


def test_a_file_that_is_never_right_leaves_nothing(server):
    server.answers["/net.pt"] = [BYTES[::-1]]
    wanted = manifest(server)
    with pytest.raises(ManifestError, match=r"could not fetch net\.pt of manifest 'net'.*expected sha256"):
        fetch(wanted, wanted.files[0])
    assert left_behind() == []


def test_a_mirror_is_asked_when_the_first_address_fails(server):
    server.answers["/mirror.pt"] = [BYTES]
    wanted = manifest(server, mirrors=[f"{server.address}/mirror.pt"])
    assert fetch(wanted, wanted.files[0]).read_bytes() == BYTES
    assert server.asked == ["/net.pt", "/mirror.pt"]


def test_a_web_page_is_not_taken_for_a_file_without_a_checksum(server):
    server.answers["/net.pt"] = [b"<!DOCTYPE html><html>quota exceeded</html>"]
    wanted = manifest(server, sha256=None)
    with pytest.raises(ManifestError, match="it is a web page saved under that name"):
        fetch(wanted, wanted.files[0])
    assert left_behind() == []


def test_without_a_published_checksum_the_first_download_is_held_to(server):
    server.answers["/net.pt"] = [BYTES]
    wanted = manifest(server, sha256=None)
    path = fetch(wanted, wanted.files[0])
    note = home() / "first_use" / "net" / "net.pt.sha256"
    assert note.read_text() == f"{hashlib.sha256(BYTES).hexdigest()}  net.pt\n"
    assert resolve(wanted) == path
    path.write_bytes(BYTES[::-1])
    with pytest.raises(ManifestError, match="expected sha256"):
        resolve(wanted)


def test_two_that_fetch_at_once_leave_one_good_file(server):
    server.answers["/net.pt"] = [BYTES]
    wanted = manifest(server)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(wanted, wanted.files[0]), range(4)))
    assert len(set(paths)) == 1
    assert paths[0].read_bytes() == BYTES
    assert left_behind() == ["net.pt"]


def test_a_file_without_an_address_says_how_to_get_it(server):
    wanted = manifest(server, url=None)
    with pytest.raises(ManifestError, match="has no address; get it by hand"):
        fetch(wanted, wanted.files[0])


def test_processes_that_fetch_at_once_ask_once_and_leave_one_good_file(server, tmp_path):
    server.answers["/net.pt"] = [{"body": BYTES, "wait": 0.4}]
    wanted = manifest(server)
    (tmp_path / "wanted.json").write_text(wanted.model_dump_json(by_alias=True))
    code = ("import sys; from audit.manifests import Manifest; from audit.downloads import fetch;"
            "m = Manifest.model_validate_json(open(sys.argv[1]).read()); print(fetch(m, m.files[0]))")  # fmt: skip
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "wanted.json")], stdout=subprocess.PIPE) for _ in range(2)]
    said = {p.communicate(timeout=60)[0] for p in both}
    assert [p.returncode for p in both] == [0, 0]
    assert len(said) == 1
    assert server.asked == ["/net.pt"]
    assert left_behind() == ["net.pt"]


def test_a_broken_connection_is_continued_where_it_ended(server):
    whole = {"body": BYTES, "tag": '"v1"'}
    server.answers["/net.pt"] = [{**whole, "cut": 6000}, whole]
    wanted = manifest(server, bytes=len(BYTES))
    assert fetch(wanted, wanted.files[0]).read_bytes() == BYTES
    assert server.sent == len(BYTES)
    assert left_behind() == ["net.pt"]


def test_the_next_call_continues_what_an_earlier_one_left(server, monkeypatch):
    whole = {"body": BYTES, "tag": '"v1"'}
    server.answers["/net.pt"] = [{**whole, "cut": 6000}, whole]
    monkeypatch.setattr(downloads, "ATTEMPTS", 1)
    wanted = manifest(server)
    with pytest.raises(ManifestError, match="the connection ended after 6,000 of 10,240 bytes"):
        fetch(wanted, wanted.files[0])
    assert "net.pt" not in left_behind()
    assert fetch(wanted, wanted.files[0]).read_bytes() == BYTES
    assert server.sent == len(BYTES)


def test_a_file_that_changed_on_the_server_is_begun_again(server):
    new = BYTES[::-1]
    server.answers["/net.pt"] = [{"body": BYTES, "tag": '"v1"', "cut": 6000}, {"body": new, "tag": '"v2"'}]
    wanted = manifest(server, sha256=hashlib.sha256(new).hexdigest())
    assert fetch(wanted, wanted.files[0]).read_bytes() == new


def test_a_size_other_than_stated_is_refused_before_the_bytes_come(server):
    server.answers["/net.pt"] = [BYTES]
    wanted = manifest(server, bytes=77)
    with pytest.raises(ManifestError, match="the server offers 10,240 bytes, the manifest states 77"):
        fetch(wanted, wanted.files[0])
    assert server.asked == ["/net.pt"]
    assert left_behind() == []


def test_a_server_that_says_nothing_is_given_up(server, monkeypatch):
    server.answers["/net.pt"] = [{"body": BYTES, "wait": 0.6}]
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(downloads, "ATTEMPTS", 1)
    wanted = manifest(server)
    with pytest.raises(ManifestError, match="timed out"):
        fetch(wanted, wanted.files[0])


def test_a_page_that_the_server_calls_a_page_is_refused_at_once(server):
    server.answers["/net.pt"] = [{"body": b"<p>quota</p>", "type": "text/html; charset=utf-8"}]
    wanted = manifest(server, sha256=None)
    with pytest.raises(ManifestError, match="gave a web page instead of the file"):
        fetch(wanted, wanted.files[0])
    assert left_behind() == []


def test_a_missing_page_and_an_odd_address_are_told(server):
    wanted = manifest(server, url=f"{server.address}/gone.pt", mirrors=["file:///etc/hostname"])
    with pytest.raises(ManifestError, match=r"gone\.pt: the server said 404 .*file:///etc/hostname: expected an address that begins"):
        fetch(wanted, wanted.files[0])


def test_a_full_disk_is_told_before_the_bytes_come(server, monkeypatch):
    server.answers["/net.pt"] = [BYTES]
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 5})())
    wanted = manifest(server)
    with pytest.raises(RunError, match=r"0\.0 GB are needed in .*set GENBIAS_HOME to another folder"):
        fetch(wanted, wanted.files[0])


def test_the_hub_is_not_asked_when_it_is_set_offline(server, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    server.answers["/mirror.pt"] = [BYTES]
    hub = "https://huggingface.co/someone/net/resolve/abc/net.pt"
    alone, mirrored = manifest(server, url=hub), manifest(server, url=hub, mirrors=[f"{server.address}/mirror.pt"])
    with pytest.raises(ManifestError, match="not asked, since HF_HUB_OFFLINE is set"):
        fetch(alone, alone.files[0])
    assert fetch(mirrored, mirrored.files[0]).read_bytes() == BYTES


def test_files_that_torch_hub_or_the_hub_have_already_are_found_there(server, tmp_path):
    hub = "https://huggingface.co/someone/net/resolve/abc/unet/net.pt"
    places = [tmp_path / "elsewhere/hub/models--someone--net/snapshots/abc/unet/net.pt", tmp_path / "elsewhere/hub/checkpoints/net.pt"]
    for place in places:
        place.parent.mkdir(parents=True)
        place.write_bytes(BYTES)
        assert fetch_all(manifest(server, name="unet/net.pt", url=hub), offline=True) == [place]
        place.unlink()


def test_all_files_of_a_manifest_are_fetched_and_offline_none(server):
    server.answers |= {"/net.pt": [BYTES], "/b.json": [b"{}"]}
    wanted = manifest(server)
    two = wanted.model_copy(update={"files": (*wanted.files, wanted.files[0].model_copy(
        update={"name": "unet/b.json", "url": f"{server.address}/b.json", "sha256": None}))})  # fmt: skip
    with pytest.raises(ManifestError, match="genbias assets fetch net"):
        fetch_all(two, offline=True)
    assert server.asked == []
    assert [p.read_bytes() for p in fetch_all(two)] == [BYTES, b"{}"]
    assert [p.relative_to(home() / "net").as_posix() for p in fetch_all(two, offline=True)] == ["net.pt", "unet/b.json"]
    with pytest.raises(ManifestError, match="names no file that could be fetched"):
        fetch_all(wanted.model_copy(update={"files": ()}))
