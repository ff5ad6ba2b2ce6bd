"""What a weights file is, told from its bytes; the name's ending is never asked."""

from pathlib import Path

from audit.errors import ManifestError
from audit.generators.pickles_archives import zip_entries

LEGACY = bytes.fromhex("8a0a6cfc9c46f920 6aa85019".replace(" ", ""))
"""The number that files of torch.save begin with, after the protocol, in the layout before torch 1.6."""

_HEAD = 4096


def format_of(path: Path) -> str:
    """Return "safetensors", "torch" (written by torch.save), "torchscript", "exported" (torch.export) or "pickle".

    Raises:
        ManifestError: nothing is there, or it is something else; the sentence says what it looks like.
    """
    if path.is_dir():
        raise ManifestError(f"{path} is a directory; expected a weights file")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as problem:
        raise ManifestError(f"no weights at {path} ({problem.strerror}); give the path of a weights file") from None
    if head[:4] == b"PK\x03\x04":
        return _zip(path)
    if head[:1] == b"\x80" and len(head) > 1 and 2 <= head[1] <= 5:
        return "torch" if head[2:14] == LEGACY else "pickle"
    if len(head) > 8 and head[8:9] == b"{":
        return "safetensors"
    raise ManifestError(f"{path} holds no weights: {_looks(head)}; expected safetensors, a file of torch.save or a StyleGAN2 pickle")


def _zip(path: Path) -> str:
    names = list(zip_entries(path))
    if any(n.count("/") == 1 and n.endswith("/constants.pkl") for n in names):
        return "torchscript"
    if any(n.count("/") == 1 and n.endswith("/data.pkl") for n in names):
        return "torch"
    if any(n.endswith(("archive_format", "serialized_exported_program.json")) for n in names):
        return "exported"
    raise ManifestError(f"{path} is a zip that torch did not write; a zip of images is a source of its own: `source: folder`")


def _looks(head: bytes) -> str:
    text = head.lstrip().lower()
    if not head:
        return "it is empty"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page (a sign-in, quota or error page saved as weights), so get it again"
    if text.startswith(b"version https://git-lfs"):
        return "it is a pointer of git-lfs, so run `git lfs pull` where it comes from"
    if head.startswith(b"\x89HDF"):
        return "it is an HDF5 file"
    if head.startswith(b"\x1f\x8b"):
        return "it is packed with gzip, so unpack it first"
    if head[257:262] == b"ustar":
        return "it is a tar, so unpack it first"
    return f"it begins with {head[:8].hex()}"
