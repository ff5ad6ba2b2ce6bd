"""Fetches the files that manifests name: into a temporary place, verified, and only then under their own name."""

import tempfile
from pathlib import Path

from audit.errors import ManifestError
from audit.manifests import DataFile, Manifest, checksum, home, verify

ATTEMPTS = 2
TIMEOUT_SECONDS = 60


def fetch(manifest: Manifest, file: DataFile) -> Path:
    """Download one file of a manifest into ``$GENBIAS_HOME`` and return its path.

    The file appears under its name whole and verified or not at all, also when two processes fetch it at once. Where no
    checksum is published, the one of the first download is written beside it and holds from then on.

    Raises:
        ManifestError: no address gave the file described; the sentence lists what each of them gave.
    """
    if not file.url:
        raise ManifestError(
            f"{file.name} of manifest {manifest.name!r} has no address; {manifest.how_to_get or 'get it by hand'}"
        )
    target = home() / manifest.name / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for address in (file.url, *file.mirrors):
        for _ in range(ATTEMPTS):
            # The temporary folder lies beside the target, so that the last step is a rename on one file system.
            with tempfile.TemporaryDirectory(dir=target.parent, prefix=".partial-") as scratch:
                try:
                    arrived = verify(_download(address, Path(scratch), file.name), file, manifest.name)
                    _refuse_web_page(arrived)
                    _note_first_seen(arrived, target, file)
                    arrived.replace(target)
                    return target
                except (OSError, ValueError, ManifestError) as error:
                    failures.append(f"{address}: {' '.join(str(error).split())}")
    raise ManifestError(
        f"could not fetch {file.name} of manifest {manifest.name!r}: " + "; ".join(dict.fromkeys(failures))
    )


def _download(address: str, folder: Path, name: str) -> Path:
    import pooch

    loader = pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS)
    # The checksum is ours to compare: pooch knows no prefixes and no git blobs.
    return Path(pooch.retrieve(address, known_hash=None, fname=name, path=folder, downloader=loader))


def _refuse_web_page(path: Path) -> None:
    with path.open("rb") as stream:
        head = stream.read(64).lstrip().lower()
    if head.startswith((b"<!doctype", b"<html")):
        raise ManifestError("the address gave a web page instead of the file (a sign-in or quota page)")


def _note_first_seen(arrived: Path, target: Path, file: DataFile) -> None:
    if not any((file.sha256, file.sha256_prefix, file.git_blob_sha1, file.md5)):
        note = arrived.with_name("note")
        note.write_text(f"{checksum(arrived)}  {target.name}\n", encoding="ascii")
        note.replace(target.with_name(target.name + ".sha256"))
