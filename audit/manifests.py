"""Data manifests: where a model or a data set comes from, how its bytes are recognised, what it reads and writes.

A file is used only after its size and every checksum its manifest states were found right; a wrong one is refused by
name. Files are looked for in the folders given, then in ``$GENBIAS_ASSETS``, then in ``$GENBIAS_HOME``
(``~/.cache/genbias``).
"""

import difflib
import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files as package_files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from audit.errors import ManifestError

Kind = Literal["classifier", "generator", "encoder", "face_finder", "dataset", "reference"]
Format = Literal[
    "torchscript",
    "onnx",
    "safetensors",
    "state_dict",
    "pickle",
    "tf_pickle",
    "diffusers",
    "tfjs",
    "hdf5",
    "statistics",
    "images",
    "table",
    "archive",
]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Triple = tuple[float, float, float]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class DataFile(_Model):
    """One file: where it is published and how its bytes are recognised."""

    name: str
    url: str | None = None
    mirrors: tuple[str, ...] = ()
    path: str | None = None  # relative to the manifest: for files of one's own
    format: Format | None = None  # where it differs from the manifest's
    bytes: int | None = None
    sha256: Sha256 | None = None
    sha256_prefix: str | None = None  # torch.hub and OpenMMLab carry it in the file name
    git_blob_sha1: str | None = None
    md5: str | None = None

    @property
    def vouched(self) -> bool:
        """Whether the whole sha256 is stated: the condition for opening formats that are programs."""
        return self.sha256 is not None


class Crop(_Model):
    """Which part of the image the network sees."""

    source: Literal["face", "image"] = Field("face", alias="from")
    margin: float = Field(0.0, ge=0)
    square: bool = True


class ImageInput(_Model):
    """What a network expects of its pixels."""

    layout: Literal["nchw"] = "nchw"
    size: int = Field(gt=0)
    channels: Literal["RGB", "BGR"] = "RGB"
    range: tuple[float, float] = (0.0, 1.0)
    mean: Triple | None = None
    std: Triple | None = None
    crop: Crop = Crop()
    filter: Literal["bicubic", "bilinear"] = "bicubic"


class Latent(_Model):
    """What a generator is fed with."""

    size: int = Field(gt=0)
    distribution: Literal["normal", "uniform"] = "normal"
    range: tuple[float, float] | None = None  # of the uniform distribution


class Head(_Model):
    """One attribute among the numbers a network returns.

    ``classes`` maps a class to its column, to several columns that are added, or to null: what the others leave.
    ``sigmoid`` columns are logits of independent yes/no questions. A ``value`` (years) is cut into classes by ``bins``
    [from, below); ``spread`` is the standard deviation of its error and makes the bins soft, null makes them hard.
    """

    attribute: str
    kind: Literal["probabilities", "logits", "sigmoid", "value"]
    columns: tuple[int, ...] = Field(min_length=1)
    classes: dict[str, int | tuple[int, ...] | None] = {}
    unit: str | None = None
    bins: dict[str, tuple[float | None, float | None]] = {}
    spread: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.kind == "value":
            if self.classes or len(self.columns) != 1 or not self.unit:
                raise ValueError(
                    f"head {self.attribute!r} of kind 'value' takes one column, a unit and bins, no classes"
                )
            return self
        if self.bins or self.spread or len(self.classes) < 2:
            raise ValueError(
                f"head {self.attribute!r} of kind {self.kind!r} takes at least two classes, no bins or spread"
            )
        named = [c for v in self.classes.values() if v is not None for c in (v if isinstance(v, tuple) else (v,))]
        if not set(named) <= set(self.columns) or len(set(named)) != len(named):
            raise ValueError(
                f"classes of head {self.attribute!r} must use each of its columns {list(self.columns)} once at most"
            )
        if sum(v is None for v in self.classes.values()) > 1:
            raise ValueError(f"only one class of head {self.attribute!r} can be null, what the others leave")
        return self


class Output(_Model):
    """What a network returns: heads (classifier), features (encoder) or images (generator)."""

    heads: tuple[Head, ...] = ()
    features: int | None = None
    size: int | None = None
    channels: Literal["RGB", "BGR"] = "RGB"
    range: tuple[float, float] | None = None


class Contract(_Model):
    """What goes in and what comes out."""

    input: ImageInput | None = None
    latent: Latent | None = None
    output: Output = Output()


class Manifest(_Model):
    """One model, data set or reference."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    kind: Kind
    title: str
    files: tuple[DataFile, ...] = ()
    format: Format | None = None
    architecture: str | None = None
    parameters: dict[str, Any] = {}  # constructor arguments of the architecture
    licence: str
    terms: str | None = None
    non_commercial: bool | None = None  # null: not stated
    citation: str | None = None
    how_to_get: str | None = None  # for files that no URL gives
    caveats: tuple[str, ...] = ()
    contract: Contract | None = None
    folder: Path | None = Field(None, exclude=True)  # where the manifest lies; set by the loader

    @cached_property
    def digest(self) -> str:
        """Hex sha256 over what decides the readings: files, architecture and contract, not titles and caveats."""
        decisive = {"name", "files", "format", "architecture", "parameters", "contract"}
        return hashlib.sha256(self.model_dump_json(by_alias=True, include=decisive).encode()).hexdigest()

    def file(self, name: str | None = None) -> DataFile:
        """Return the file called ``name``, or the first one.

        Raises:
            ManifestError: there is no such file.
        """
        for file in self.files:
            if name in (None, file.name):
                return file
        known = ", ".join(f.name for f in self.files) or "none"
        raise ManifestError(f"manifest {self.name!r} has no file {name or ''!r}; its files: {known}")


def load_manifest(name_or_path: str | Path) -> Manifest:
    """Return a shipped manifest by name, or one of the user's by the path of its YAML file.

    Raises:
        ManifestError: there is none, or it cannot be understood; an unknown key is told with the nearest valid one.

    Example:
        >>> load_manifest("face_age_gender").contract.input.size
        112
    """
    text = str(name_or_path)
    if text.endswith((".yaml", ".yml")):
        path = Path(text).expanduser()
        if not path.is_file():
            raise ManifestError(
                f"no manifest at {path}; give the path of a YAML file, or the name of a shipped manifest"
            )
        return _parse(path.read_text(encoding="utf-8"), str(path), path.resolve().parent)
    for resource in _shipped():
        if resource.name == f"{text}.yaml":
            return _parse(resource.read_text(encoding="utf-8"), resource.name, None)
    names = [r.name.removesuffix(".yaml") for r in _shipped()]
    raise ManifestError(
        f"no manifest is called {text!r}{_nearest(text, names)}; see `genbias assets list`, "
        "or give the path of a YAML file of your own"
    )


def list_manifests() -> list[Manifest]:
    """Return every shipped manifest, sorted by kind and name."""
    found = [_parse(r.read_text(encoding="utf-8"), r.name, None) for r in _shipped()]
    return sorted(found, key=lambda m: (m.kind, m.name))


def _shipped() -> list[Any]:
    root = package_files("data_manifests")
    return [
        r
        for folder in ("weights", "datasets", "references")
        for r in sorted(root.joinpath(folder).iterdir(), key=lambda r: r.name)
        if r.name.endswith(".yaml")
    ]


def _parse(text: str, where: str, folder: Path | None) -> Manifest:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ManifestError(f"{where} is not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise ManifestError(
            f"{where} holds {type(content).__name__}; expected a mapping with name, kind, title, files, licence"
        )
    content.pop("folder", None)
    try:
        return Manifest(**content, folder=folder)
    except ValidationError as error:
        # A misspelt key explains a missing one, so it comes first.
        told = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        raise ManifestError(f"{where}: " + "; ".join(_sentence(e) for e in told)) from None


def _sentence(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"] if part != "function-after[_agree(), Head]")
    if error["type"] == "extra_forbidden":
        key = str(error["loc"][-1])
        return f"unknown key {place!r}{_nearest(key, _keys())}"
    if error["type"] == "missing":
        return f"key {place!r} is missing"
    return f"{place}: {error['msg'].removeprefix('Value error, ')}, got {error['input']!r:.80}"


def _keys() -> list[str]:
    models = (Manifest, DataFile, Contract, ImageInput, Latent, Crop, Output, Head)
    return sorted({f.alias or k for m in models for k, f in m.model_fields.items()} - {"folder"})


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def search_path(extra: Sequence[str | Path] = ()) -> list[Path]:
    """Return the folders in which files are looked for, in order."""
    named = [*extra, os.environ.get("GENBIAS_ASSETS", ""), home()]
    return [Path(p).expanduser() for p in named if str(p)]


def home() -> Path:
    """Return the folder that fetched files are kept in: ``$GENBIAS_HOME``, or ``~/.cache/genbias``."""
    return Path(os.environ.get("GENBIAS_HOME") or "~/.cache/genbias").expanduser()


def resolve(
    manifest: Manifest, *, file: str | None = None, search: Sequence[str | Path] = (), offline: bool = True
) -> Path:
    """Return the local path of a manifest's file after verifying its size and checksums.

    Args:
        manifest: what to find.
        file: which of its files; None = the first.
        search: folders to look in before ``$GENBIAS_ASSETS`` and ``$GENBIAS_HOME`` (the spec's ``assets``); the file
            may lie in them or up to two folders below.
        offline: False = download into ``$GENBIAS_HOME`` when the manifest names a URL and the file is nowhere.

    Raises:
        ManifestError: it is not there (the sentence says how to get it), or it is not the file described.
    """
    wanted = manifest.file(file)
    if wanted.path is not None:
        own = (manifest.folder or Path()) / wanted.path
        if not own.is_file():
            raise ManifestError(f"manifest {manifest.name!r} names the file {own}, which does not exist")
        return verify(own, wanted, manifest.name)
    folders = search_path(search)
    for folder in folders:
        for pattern in (wanted.name, f"*/{wanted.name}", f"*/*/{wanted.name}"):
            for found in sorted(folder.glob(pattern)) if folder.is_dir() else ():
                return verify(found, wanted, manifest.name)
    if not offline and wanted.url:
        from audit.downloads import fetch

        return fetch(manifest, wanted)
    looked = ", ".join(str(f) for f in folders)
    raise ManifestError(f"{wanted.name} of manifest {manifest.name!r} is not in {looked}; {_how(manifest, wanted)}")


def _how(manifest: Manifest, file: DataFile) -> str:
    advice = []
    if file.url:
        advice.append(f"fetch it with `genbias assets fetch {manifest.name}` (from {file.url})")
    if manifest.how_to_get:
        advice.append(manifest.how_to_get.rstrip("."))
    advice.append(
        "put it into $GENBIAS_HOME or the spec's assets folder, or give its `path:` in a manifest of your own"
    )
    return "; ".join(advice)


def verify(path: Path, file: DataFile, name: str) -> Path:
    """Return ``path`` if its bytes are those that ``file`` of manifest ``name`` describes.

    Raises:
        ManifestError: size or checksum differ; the sentence names both.
    """
    file = _first_seen(path, file)
    if file.bytes is not None and path.stat().st_size != file.bytes:
        raise ManifestError(
            f"{path} is not {file.name} of manifest {name!r}: expected {file.bytes:,} bytes, got "
            f"{path.stat().st_size:,}; it may be cut short, so remove it and get it again"
        )
    checks = (
        ("sha256", file.sha256),
        ("sha256", file.sha256_prefix),
        ("git blob sha1", file.git_blob_sha1),
        ("md5", file.md5),
    )
    for method, expected in checks:
        if expected is None:
            continue
        got = checksum(path, method)
        if not got.startswith(expected):
            raise ManifestError(
                f"{path} is not {file.name} of manifest {name!r}: expected {method} {expected}, got "
                f"{got}; refused, remove it and get it again"
            )
    return path


def _first_seen(path: Path, file: DataFile) -> DataFile:
    """Trust on first use: a fetched file without a published checksum is held to the one written down beside it."""
    note = path.with_name(path.name + ".sha256")
    if any((file.sha256, file.sha256_prefix, file.git_blob_sha1, file.md5)) or not note.is_file():
        return file
    return file.model_copy(update={"sha256_prefix": note.read_text(encoding="ascii").split()[0]})


def checksum(path: Path, method: str = "sha256") -> str:
    """Return the hex checksum of a file: "sha256", "md5" or "git blob sha1"."""
    digest = (
        hashlib.sha1(usedforsecurity=False) if method == "git blob sha1" else hashlib.new(method, usedforsecurity=False)
    )
    if method == "git blob sha1":
        digest.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
