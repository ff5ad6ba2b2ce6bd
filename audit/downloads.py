"""Fetches the files that manifests name: continued where a connection broke, verified, and only then under their own name.

One process at a time writes a file (a lock of the system's, let go however the process ends); the others wait and find it there.
A partial file keeps the mark by which the server knows it, so that a download goes on only with the same bytes.
"""

import fcntl
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import TYPE_CHECKING

from audit.asset_files import NotHereError, hold_to_first_use, home, resolve, verify
from audit.errors import ManifestError, RunError
from audit.provenance import own_version

if TYPE_CHECKING:
    from audit.manifests import DataFile, Manifest

ATTEMPTS = 3
TIMEOUT_SECONDS = 60
_BLOCK = 1 << 16
_HUB = "https://huggingface.co/"


class _Refused(ManifestError):
    """What this address gives is not the file, however often it is asked."""


def fetch(manifest: "Manifest", file: "DataFile", *, progress: bool = False) -> Path:
    """Download one file of a manifest into ``$GENBIAS_HOME`` and return its path.

    The file appears under its name whole and verified or not at all, also when two processes fetch it at once. A download that
    broke off is continued by the next call, where the server can. Addresses are tried in order, the mirrors last.

    Args:
        manifest: whose.
        file: which; it needs an address.
        progress: show a bar on stderr.

    Raises:
        ManifestError: no address gave the file described; the sentence lists what each of them gave.
        RunError: the disk is full, or ``$GENBIAS_HOME`` cannot be written.

    Example:
        >>> from audit.manifests import Manifest
        >>> lost = Manifest(name="n", kind="encoder", title="N", licence="MIT", files=[{"name": "no.pt"}])
        >>> fetch(lost, lost.file())
        Traceback (most recent call last):
        audit.errors.ManifestError: no.pt of manifest 'n' has no address; get it by hand
    """
    if not file.url:
        raise ManifestError(f"{file.name} of manifest {manifest.name!r} has no address; {manifest.how_to_get or 'get it by hand'}")
    target = home() / manifest.name / file.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target):
            if target.is_file():  # of an earlier fetch, or of the process that held the lock
                return hold_to_first_use(verify(target, file, manifest.name), file, manifest.name)
            return _from_addresses(manifest, file, target, progress)
    except OSError as error:
        raise RunError(f"cannot write {target}: {error.strerror or error}; free some space, or set GENBIAS_HOME to another folder") from None


def fetch_all(manifest: "Manifest", *, offline: bool = False, progress: bool = False) -> list[Path]:
    """Return every file of a manifest, fetching what is not on this machine.

    Raises:
        ManifestError: a file is missing and ``offline``, has no address, or is not the one described.
    """
    if not manifest.files:
        how = manifest.how_to_get or "its caveats say what is known of it"
        raise ManifestError(f"manifest {manifest.name!r} names no file that could be fetched; {how}")
    paths = []
    for file in manifest.files:
        try:
            paths.append(resolve(manifest, file=file.name))
        except NotHereError:
            if offline or not file.url:
                raise
            paths.append(fetch(manifest, file, progress=progress))
    return paths


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    path = home() / "locks" / f"{target.parent.name}--{target.name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits for another that fetches the same file
        yield


def _from_addresses(manifest: "Manifest", file: "DataFile", target: Path, progress: bool) -> Path:
    failures = []
    for address in (file.url, *file.mirrors):
        if address.startswith(_HUB) and os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "ON", "YES", "TRUE"):
            failures.append(f"{address}: not asked, since HF_HUB_OFFLINE is set")
            continue
        for _ in range(ATTEMPTS):
            try:
                arrived = verify(_download(address, target, file, progress), file, manifest.name)
            except _Refused as error:
                failures.append(f"{address}: {error}")
                _forget(target)
                break
            except ManifestError as error:  # whole and wrong: asked for once more, in case it was hurt on the way
                told = f"{address}: {error}".replace(str(_partial(target)), "it").removesuffix("remove it and get it again").removesuffix("so ").rstrip(" ;,")
                failures.append(told)
                _forget(target)
                if failures.count(told) > 1:
                    break
            except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError, ValueError) as error:
                failures.append(f"{address}: {' '.join(str(error).split())}")
            else:
                hold_to_first_use(arrived, file, manifest.name)
                arrived.replace(target)
                _forget(target)
                return target
    raise ManifestError(f"could not fetch {file.name} of manifest {manifest.name!r}: " + "; ".join(dict.fromkeys(failures)))


def _partial(target: Path) -> Path:
    return target.with_name(f".partial-{target.name}")


def _mark(target: Path) -> Path:
    return target.with_name(f".partial-{target.name}.mark")


def _forget(target: Path) -> None:
    _partial(target).unlink(missing_ok=True)
    _mark(target).unlink(missing_ok=True)


def _download(address: str, target: Path, file: "DataFile", progress: bool) -> Path:
    """Bring the partial file to the length that the server states, from where it is."""
    if not address.startswith(("https://", "http://")):
        raise _Refused("expected an address that begins with https://")
    partial, mark = _partial(target), _mark(target)
    known = mark.read_text(encoding="utf-8").splitlines() if mark.is_file() else []
    have = partial.stat().st_size if partial.is_file() and len(known) == 2 and known[0] == address else 0
    headers = {"User-Agent": f"genbias/{own_version()}"} | ({"Range": f"bytes={have}-", "If-Range": known[1]} if have else {})
    try:
        answer = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:  # what is here is longer than what is there
                _forget(target)
            elif error.code in (401, 403, 404, 410):
                raise _Refused(f"the server said {error.code} ({error.reason})") from None
            raise
    with answer:
        start = have if answer.status == 206 and _continues(answer.headers, have) else 0
        stated = answer.headers.get("Content-Length")
        total = start + int(stated) if stated and stated.isdigit() else None
        if address.startswith("https://") and not answer.url.startswith("https://"):
            raise _Refused(f"the server sent us on to {answer.url}, which anyone on the way could alter")
        _check_answer(answer.headers, total, file)
        if total is not None:
            _check_space(target.parent, total - start)
        tag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        mark.write_text(f"{address}\n{tag}" if tag and not tag.startswith("W/") else "", encoding="utf-8")
        with partial.open("ab" if start else "wb") as out, _bar(file.name, start, total, progress) as bar:
            while block := answer.read(_BLOCK):
                out.write(block)
                bar.update(len(block))
                if file.bytes is not None and out.tell() > file.bytes:
                    raise _Refused(f"more than the {file.bytes:,} bytes that the manifest states came")
            out.flush()
            os.fsync(out.fileno())
            size = out.tell()
    if total is not None and size < total:
        raise ConnectionError(f"the connection ended after {size:,} of {total:,} bytes")
    return partial


def _continues(headers: HTTPMessage, have: int) -> bool:
    return (headers.get("Content-Range") or "").startswith(f"bytes {have}-")


def _check_answer(headers: HTTPMessage, total: int | None, file: "DataFile") -> None:
    """Refuse what cannot be the file before its bytes are waited for."""
    if (headers.get_content_type() == "text/html") and not file.name.endswith((".html", ".htm")):
        raise _Refused("the address gave a web page instead of the file (a sign-in or quota page)")
    if total is not None and file.bytes is not None and total != file.bytes:
        raise _Refused(f"the server offers {total:,} bytes, the manifest states {file.bytes:,}")


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise RunError(f"{needed / 1e9:.1f} GB are needed in {folder}, {free / 1e9:.1f} GB are free; set GENBIAS_HOME to another folder")


def _bar(name: str, start: int, total: int | None, progress: bool):  # noqa: ANN202 (tqdm is imported only here)
    from tqdm import tqdm

    return tqdm(desc=name, initial=start, total=total, unit="B", unit_scale=True, mininterval=0.5, disable=not progress)
