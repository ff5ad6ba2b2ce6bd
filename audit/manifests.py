"""Data manifests: where a model or a data set comes from, how its bytes are recognised, what it reads and writes.

A manifest states facts that were read in a public source; what was only remembered has ``status: unverified``. The files
themselves are found and verified by :mod:`audit.asset_files`.
"""

import difflib
import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files as package_files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from audit.asset_files import checksum, home, resolve, search_path, verify
from audit.errors import ManifestError

__all__ = [
    "HUB",
    "Contract",
    "Crop",
    "DataFile",
    "Head",
    "ImageInput",
    "Latent",
    "Manifest",
    "Output",
    "checksum",
    "home",
    "list_manifests",
    "load_manifest",
    "resolve",
    "search_path",
    "verify",
]

HUB = "transformers"
"""Architecture of a directory of the Hugging Face Hub: its config.json says which network it is."""

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
AllowedUse = Literal["any", "non-commercial", "non-commercial-research", "fairness-evaluation"]
Resize = Literal["antialiased", "clean", "legacy_pytorch", "inside"]
Status = Literal["verified", "unverified"]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Sha1 = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
Prefix = Annotated[str, Field(pattern="^[0-9a-f]{8,64}$")]
Triple = tuple[float, float, float]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class DataFile(_Model):
    """One file: where it is published and how its bytes are recognised."""

    name: Annotated[str, Field(pattern=r"^[^/\\.~][^\\]*$")]  # may have folders, as those of a pipeline
    url: str | None = None
    mirrors: tuple[str, ...] = ()
    path: str | None = None  # relative to the manifest: for files of one's own
    format: Format | None = None  # where it differs from the manifest's
    bytes: Annotated[int, Field(gt=0)] | None = None
    sha256: Sha256 | None = None  # where no checksum is stated, the one of the first use is recorded and held to
    sha256_prefix: Prefix | None = None  # torch.hub and OpenMMLab carry it in the file name
    git_blob_sha1: Sha1 | None = None
    md5: Md5 | None = None
    status: Status = "verified"  # unverified: address or size were remembered or composed, not read

    @model_validator(mode="after")
    def _stay_inside(self) -> Self:
        if ".." in self.name.split("/"):
            raise ValueError(f"the file name {self.name!r} leaves its folder; expected a name below it")
        return self

    @property
    def vouched(self) -> bool:
        """Whether the whole sha256 is stated: the condition for opening formats that are programs."""
        return self.sha256 is not None


class Crop(_Model):
    """Which part of the image the network sees.

    ``align`` says how a face is cut: "box", the finder's box grown by ``margin`` (a share of its longer side); "fairface",
    turned upright on 300 px as FairFace's chips are; "farl", as facer turns it on 224 px; "ffhq", upright on FFHQ's square. The
    last three ignore the margin.
    """

    source: Literal["face", "image"] = Field("face", alias="from")
    align: Literal["box", "fairface", "farl", "ffhq"] = "box"
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
    resize: Resize = "antialiased"  # of encoders: "clean" is clean-fid's, "inside" leaves it to the network


class Latent(_Model):
    """What a generator is fed with."""

    size: int = Field(gt=0)
    distribution: Literal["normal", "uniform"] = "normal"
    range: tuple[float, float] | None = None  # of the uniform distribution


class Head(_Model):
    """One attribute among the numbers a network returns.

    ``classes`` maps a class to its column, to several columns that are added, or to null: what the others leave. Where the
    files name the columns (``id2label`` of a Hub directory), it maps to these words instead, and ``columns`` is left out.
    ``sigmoid`` columns are logits of independent yes/no questions. A ``value`` (years) is cut into classes by ``bins``
    [from, below); ``spread`` is the standard deviation of its error and makes the bins soft, null makes them hard.
    """

    attribute: str
    kind: Literal["probabilities", "logits", "sigmoid", "value"]
    columns: tuple[int, ...] = ()
    classes: dict[str, int | str | tuple[int | str, ...] | None] = {}
    unit: str | None = None
    bins: dict[str, tuple[float | None, float | None]] = {}
    spread: float | None = Field(None, gt=0)

    @property
    def named(self) -> bool:
        """Whether classes are given by words, which the model's own files turn into columns."""
        return any(isinstance(c, str) for v in self.classes.values() for c in (v if isinstance(v, tuple) else (v,)))

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.named and self.columns:
            raise ValueError(f"head {self.attribute!r} gives classes by words and columns by number; leave the columns out, or number the classes")
        if not self.named and not self.columns:
            raise ValueError(f"head {self.attribute!r} has no columns; expected the numbers of the columns that belong to it")
        if self.kind == "value":
            if self.classes or len(self.columns) != 1 or not self.unit:
                raise ValueError(
                    f"head {self.attribute!r} of kind 'value' takes one column, a unit and bins, no classes"
                )
            return self
        if not self.classes:
            raise ValueError(
                f"head {self.attribute!r} does not say which column is which class; state them as its publisher does, such as "
                "classes: {feminine: 1, masculine: 0}"
            )
        if self.bins or self.spread or len(self.classes) < 2:
            raise ValueError(
                f"head {self.attribute!r} of kind {self.kind!r} takes at least two classes, no bins or spread"
            )
        named = [c for v in self.classes.values() if v is not None for c in (v if isinstance(v, tuple) else (v,))]
        if len(set(named)) != len(named) or not (self.named or set(named) <= set(self.columns)):
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
    layer: str | None = None  # whose output the features are; None = the network's own
    entry: str | None = None  # part of a TorchScript program to call in the place of the whole
    arguments: dict[str, bool | int | float] = {}  # keyword arguments of the call
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
    allowed_use: AllowedUse | None = None  # null: not stated
    non_commercial: bool | None = None  # short for allowed_use: non-commercial
    status: Status = "verified"  # unverified: licence or contract were remembered, not read
    citation: str | None = None
    how_to_get: str | None = None  # for files that no URL gives
    caveats: tuple[str, ...] = ()
    contract: Contract | None = None
    folder: Path | None = Field(None, exclude=True)  # where the manifest lies; set by the loader

    @property
    def use(self) -> AllowedUse | None:
        """What its terms allow; None where no source states it."""
        return self.allowed_use or ("non-commercial" if self.non_commercial else None)

    @cached_property
    def digest(self) -> str:
        """Hex sha256 over what decides the readings: files, architecture and contract, not titles and caveats."""
        decisive = {"name", "files", "format", "architecture", "parameters", "contract"}
        said = self.model_dump_json(by_alias=True, include=decisive, exclude_defaults=True)
        return hashlib.sha256(said.encode()).hexdigest()

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

    The path of a Hub directory (config.json, model.safetensors) stands for ``DIRECTORY/genbias.yaml`` or ``DIRECTORY.yaml``; files that it
    does not list are the directory's.

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
    folder = Path(text).expanduser()
    if (folder / "config.json").is_file():
        return _hub_directory(folder)
    names = [r.name.removesuffix(".yaml") for r in _shipped()]
    raise ManifestError(
        f"no manifest is called {text!r}{_nearest(text, names)}; see `genbias assets list`, "
        "or give the path of a YAML file of your own"
    )


def _hub_directory(folder: Path) -> Manifest:
    weights = next((n for n in ("model.safetensors", "pytorch_model.bin") if (folder / n).is_file()), None)
    if weights is None:
        raise ManifestError(f"{folder} has a config.json but no weights; expected model.safetensors or pytorch_model.bin beside it")
    inside = folder / "genbias.yaml"
    path = inside if inside.is_file() else folder.with_name(f"{folder.resolve().name}.yaml")
    if not path.is_file():
        raise ManifestError(
            f"{folder} has no manifest; write {inside} with name, kind: classifier, title, licence and contract: {{output: {{heads: [{{attribute: "
            "gender, kind: logits, classes: {feminine: female, masculine: male}}]}}, the classes by the labels of config.json"
        )
    manifest = load_manifest(path)
    if manifest.files:
        return manifest
    format = "safetensors" if weights.endswith(".safetensors") else "state_dict"
    file = DataFile(name=weights, path=weights)
    return manifest.model_copy(
        update={"files": (file,), "format": format, "architecture": manifest.architecture or HUB, "folder": folder.resolve()}
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
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
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
    place = ".".join(str(part) for part in error["loc"] if not str(part).startswith("function-after"))
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
