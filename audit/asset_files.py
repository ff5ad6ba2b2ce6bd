"""The files that manifests describe, on this machine: where they are looked for, and how their bytes are recognised.

A file is used only after its size and every checksum its manifest states were found right; a wrong one is refused by name.
Where no whole sha256 is published, the one seen at the first use is recorded under ``$GENBIAS_HOME`` and holds from then on.
Files are looked for in the folders given, in ``$GENBIAS_ASSETS``, in ``$GENBIAS_HOME`` (``~/.cache/genbias``), and where the
libraries that people already use keep the same files: ``$TORCH_HOME`` and ``$HF_HOME``.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audit.errors import ManifestError

if TYPE_CHECKING:
    from audit.manifests import DataFile, Manifest

_HUB = re.compile(r"^https://huggingface\.co/([^/]+)/([^/]+)/resolve/([^/]+)/(.+)$")


class NotHereError(ManifestError):
    """The file is nowhere on this machine."""


def home() -> Path:
    """Return the folder that fetched files are kept in: ``$GENBIAS_HOME``, or ``~/.cache/genbias``."""
    return Path(os.environ.get("GENBIAS_HOME") or "~/.cache/genbias").expanduser()


def search_path(extra: Sequence[str | Path] = ()) -> list[Path]:
    """Return the folders in which files are looked for, in order."""
    named = [*extra, os.environ.get("GENBIAS_ASSETS", ""), home()]
    return [Path(p).expanduser() for p in named if str(p)]


def resolve(manifest: "Manifest", *, file: str | None = None, search: Sequence[str | Path] = (), offline: bool = True) -> Path:
    """Return the local path of a manifest's file after verifying its size and checksums.

    Args:
        manifest: what to find.
        file: which of its files; None = the first.
        search: folders to look in before ``$GENBIAS_ASSETS`` and ``$GENBIAS_HOME`` (the spec's ``assets``); the file
            may lie in them or up to two folders below.
        offline: False = download into ``$GENBIAS_HOME`` when the manifest names a URL and the file is nowhere.

    Raises:
        NotHereError: it is not there; the sentence says how to get it.
        ManifestError: it is not the file described.

    Example:
        >>> from audit.manifests import Manifest
        >>> resolve(Manifest(name="n", kind="encoder", title="N", licence="MIT", files=[{"name": "no.pt"}]))
        Traceback (most recent call last):
        audit.asset_files.NotHereError: ...
    """
    wanted = manifest.file(file)
    if wanted.path is not None:
        own = (manifest.folder or Path()) / wanted.path
        if not own.is_file():
            raise ManifestError(f"manifest {manifest.name!r} names the file {own}, which does not exist")
        return verify(own, wanted, manifest.name)
    found = next(_candidates(manifest, wanted, search), None)
    if found is not None:
        return hold_to_first_use(verify(found, wanted, manifest.name), wanted, manifest.name)
    if not offline and wanted.url:
        from audit.downloads import fetch

        return fetch(manifest, wanted)
    looked = ", ".join(str(f) for f in search_path(search))
    raise NotHereError(f"{wanted.name} of manifest {manifest.name!r} is not in {looked}; {_how(manifest, wanted)}")


def located(manifest: "Manifest", file: "DataFile", search: Sequence[str | Path] = ()) -> Path | None:
    """Return where a file of the right name and size lies, without reading it; None = nowhere."""
    own = [(manifest.folder or Path()) / file.path] if file.path is not None else _candidates(manifest, file, search)
    return next((p for p in own if p.is_file() and file.bytes in (None, p.stat().st_size)), None)


def _candidates(manifest: "Manifest", file: "DataFile", search: Sequence[str | Path]) -> Iterator[Path]:
    own = home() / manifest.name / file.name  # two manifests may call a file alike; the fetched one is in its own folder
    for folder in search_path(search):
        if folder == home() and own.is_file():
            yield own
        for pattern in (file.name, f"*/{file.name}", f"*/*/{file.name}"):
            yield from sorted(folder.glob(pattern)) if folder.is_dir() else ()
    for place in _other_caches(file):
        if place.is_file():
            yield place


def _other_caches(file: "DataFile") -> Iterator[Path]:
    """Where torch.hub and the Hugging Face Hub keep the same file; the environment is read as they read it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    torch_home = Path(os.environ.get("TORCH_HOME") or cache / "torch").expanduser()
    yield torch_home / "hub" / "checkpoints" / Path(file.name).name
    for url in filter(None, (file.url, *file.mirrors)):
        on_hub = _HUB.match(url)
        if on_hub:
            owner, repository, revision, path = on_hub.groups()
            hub_home = Path(os.environ.get("HF_HOME") or cache / "huggingface").expanduser()
            hub = Path(os.environ.get("HF_HUB_CACHE") or hub_home / "hub").expanduser()
            yield hub / f"models--{owner}--{repository}" / "snapshots" / revision / path


def _how(manifest: "Manifest", file: "DataFile") -> str:
    advice = []
    if file.url:
        advice.append(f"fetch it with `genbias assets fetch {manifest.name}` (from {file.url})")
    if manifest.how_to_get:
        advice.append(manifest.how_to_get.rstrip("."))
    advice.append("put it into $GENBIAS_HOME or the spec's assets folder, or give its `path:` in a manifest of your own")
    return "; ".join(advice)


def verify(path: Path, file: "DataFile", name: str) -> Path:
    """Return ``path`` if its bytes are those that ``file`` of manifest ``name`` describes.

    Raises:
        ManifestError: it is a web page, or size or checksum differ; the sentence names both.
    """
    if file.bytes is not None and path.stat().st_size != file.bytes:
        raise ManifestError(
            f"{path} is not {file.name} of manifest {name!r}: expected {file.bytes:,} bytes, got "
            f"{path.stat().st_size:,}; {_page(path) or 'it may be cut short'}, so remove it and get it again"
        )
    checks = (("sha256", file.sha256), ("sha256", file.sha256_prefix), ("git blob sha1", file.git_blob_sha1), ("md5", file.md5))
    for method, expected in checks:
        if expected is None:
            continue
        got = checksum(path, method)
        if not got.startswith(expected):
            page = _page(path)
            raise ManifestError(
                f"{path} is not {file.name} of manifest {name!r}: expected {method} {expected}, got "
                f"{got}; {page + ', ' if page else ''}refused, remove it and get it again"
            )
    page = None if file.name.endswith((".html", ".htm")) else _page(path)
    if page:
        raise ManifestError(f"{path} is not {file.name} of manifest {name!r}: {page}; remove it and get it again")
    return path


def _page(path: Path) -> str | None:
    """Say so where the file is a page for people: what a sign-in, a quota or a wrong address leaves under a model's name."""
    with path.open("rb") as stream:
        head = stream.read(512).lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    return "it is a web page saved under that name (a sign-in, quota or not-found page)" if head.startswith((b"<!doctype", b"<html")) else None


def hold_to_first_use(path: Path, file: "DataFile", name: str) -> Path:
    """Return ``path`` if it is the file of the first use; at the first use, record its sha256 under ``$GENBIAS_HOME``.

    Only where the manifest states no whole sha256. Where the record cannot be written, nothing is held to.

    Raises:
        ManifestError: the file has changed since.
    """
    if file.sha256 is not None:
        return path
    note = home() / "first_use" / name / f"{file.name}.sha256"
    got = checksum(path)
    if note.is_file():
        seen = note.read_text(encoding="ascii").split()[0]
        if seen != got:
            raise ManifestError(
                f"{path} is not the {file.name} of manifest {name!r} that was used first: expected sha256 {seen}, got {got}; "
                f"if the new one is right, remove {note}"
            )
        return path
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        new = note.with_name(f"{note.name}.{os.getpid()}")
        new.write_text(f"{got}  {Path(file.name).name}\n", encoding="ascii")
        new.replace(note)
    except OSError:  # a home that cannot be written cannot remember
        pass
    return path


def checksum(path: Path, method: str = "sha256") -> str:
    """Return the hex checksum of a file: "sha256", "md5" or "git blob sha1"."""
    digest = hashlib.sha1(usedforsecurity=False) if method == "git blob sha1" else hashlib.new(method, usedforsecurity=False)
    if method == "git blob sha1":
        digest.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
