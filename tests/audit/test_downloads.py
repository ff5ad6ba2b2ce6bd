"""Fetching leaves one good file or none: truncated, altered and misdirected answers are refused."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from audit.downloads import fetch
from audit.errors import ManifestError
from audit.manifests import Manifest, home, resolve

BYTES = bytes(range(256)) * 40


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server on this machine; ``answers[path]`` is a list of what it says, the last one for ever."""
    monkeypatch.setenv("GENBIAS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GENBIAS_ASSETS", raising=False)
    answers, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            left = answers.get(self.path, [])
            body = left.pop(0) if len(left) > 1 else (left or [None])[0]
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever, daemon=True)
        thread.start()
        web.answers, web.asked = answers, asked
        web.address = f"http://127.0.0.1:{web.server_address[1]}"
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
    assert server.asked == ["/net.pt", "/net.pt", "/mirror.pt"]


def test_a_web_page_is_not_taken_for_a_file_without_a_checksum(server):
    server.answers["/net.pt"] = [b"<!DOCTYPE html><html>quota exceeded</html>"]
    wanted = manifest(server, sha256=None)
    with pytest.raises(ManifestError, match="gave a web page instead of the file"):
        fetch(wanted, wanted.files[0])


def test_without_a_published_checksum_the_first_download_is_held_to(server):
    server.answers["/net.pt"] = [BYTES]
    wanted = manifest(server, sha256=None)
    path = fetch(wanted, wanted.files[0])
    assert left_behind() == ["net.pt", "net.pt.sha256"]
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
