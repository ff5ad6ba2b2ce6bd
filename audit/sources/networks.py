"""Networks of many families as sources: from a file, a data manifest or a shipped model, through their loader, to draws by seed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.digests import digest, file_digest
from audit.errors import ManifestError, SourceError, SpecError
from audit.manifests import Manifest, load_manifest, resolve, search_path, verify
from audit.sources.base import ImageSource

if TYPE_CHECKING:
    from audit.spec import SourceSpec

FILES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".onnx", ".pt2")
RANGED = ("onnx", "exported")
HOST = "https://huggingface.co/"
SHIPPED = "portraits/"


@dataclass(frozen=True)
class Weights:
    """A file of weights and what its manifest says of it, where it has one."""

    path: Path
    manifest: Manifest | None = None

    @property
    def caveats(self) -> tuple[str, ...]:
        """Sentences for the report."""
        m = self.manifest
        return () if m is None else (*m.caveats, f"{m.title}: licence {m.licence}" + (f"; {m.terms}" if m.terms else ""))


def open_network(name: str, spec: "SourceSpec", *, device: str = "cpu", assets: tuple[str, ...] = ()) -> ImageSource:
    """Return the source for ``source: dcgan``, ``progan``, ``vae``, ``onnx`` or ``exported``.

    Raises:
        SpecError: no weights named.
        ManifestError: they are not there, or do not fit the family.
    """
    from audit.sources.latent import LatentSource

    found = find_weights(name, spec, assets)
    if spec.range is not None and spec.source not in RANGED:
        raise SpecError(f"generators.{name}.range: the images of a {spec.source} are in -1..1 by its construction; leave it out")
    contract = found.manifest.contract if found.manifest is not None else None
    latent = contract.latent if contract is not None else None
    module = LOADERS[spec.source](found, spec, device)
    if latent is not None and latent.size != module.z_dim:
        raise ManifestError(f"manifest {found.manifest.name!r} states a latent of {latent.size} numbers; {found.path} takes {module.z_dim}")  # type: ignore[union-attr]
    prior = spec.latent.prior if spec.latent is not None else latent.distribution if latent is not None else "normal"
    marks = digest([spec.source, file_digest(found.path), prior, span_of(found, spec)])
    return LatentSource(name, module, z_dim=module.z_dim, prior=prior, digest=marks, device=device, caveats=found.caveats)


def find_weights(name: str, spec: "SourceSpec", assets: tuple[str, ...]) -> Weights:
    """Return the file that ``weights`` names: portraits/NAME, a path, or the first file of a data manifest, verified.

    Raises:
        SpecError: the key is missing.
        ManifestError: neither a file nor a manifest, or not the file described.
    """
    if spec.weights is None:
        raise SpecError(f"generators.{name}: source {spec.source!r} needs the key 'weights', a file or the name of a data manifest")
    if spec.weights.startswith(SHIPPED):
        from audit.portraits.models import shipped

        return Weights(shipped(spec.weights))
    path = Path(spec.weights).expanduser()
    if path.suffix in FILES or (path.is_file() and path.suffix not in (".yaml", ".yml")):
        if not path.is_file():
            raise ManifestError(f"generator {name!r}: no weights at {path}; expected a file, or the name of a data manifest")
        return Weights(path)
    manifest = load_manifest(spec.weights)
    return Weights(resolve(manifest, search=assets), manifest)


def span_of(found: Weights, spec: "SourceSpec") -> tuple[float, float]:
    """Return the range of a network's images: the spec's, else the manifest's, else -1..1."""
    contract = found.manifest.contract if found.manifest is not None else None
    low, high = spec.range or (contract.output.range if contract is not None else None) or (-1.0, 1.0)
    if low >= high:
        raise SpecError(f"range is {low:g}..{high:g}; expected the lowest value first")
    return low, high


def _zoo(found: Weights, spec: "SourceSpec", device: str) -> Any:
    """A DCGAN, progressive GAN or VAE: as genbias keeps it, or in a public layout."""
    from audit.generators import load
    from audit.generators.layouts import open_layout
    from audit.generators.weights import kind_of

    if kind_of(found.path) is not None:
        return load(found.path, spec.source)
    return open_layout(found.path, spec.source, parameters=dict(found.manifest.parameters) if found.manifest is not None else None, bgr=_bgr(found))


def _onnx(found: Weights, spec: "SourceSpec", device: str) -> Any:
    from audit.generators.onnx_generator import OnnxGenerator

    return OnnxGenerator(found.path, spec.latent.size if spec.latent else None, span=span_of(found, spec), device=device)


def _exported(found: Weights, spec: "SourceSpec", device: str) -> Any:
    from audit.generators.exported import ExportedGenerator

    vouched = spec.sha256 or (found.manifest.file().sha256 if found.manifest is not None else None)
    return ExportedGenerator(found.path, vouched, spec.latent.size if spec.latent else None, span=span_of(found, spec), device=device)


def _bgr(found: Weights) -> bool | None:
    contract = found.manifest.contract if found.manifest is not None else None
    return None if contract is None else contract.output.channels == "BGR"


LOADERS: dict[str, Callable[[Weights, "SourceSpec", str], Any]] = {
    "dcgan": _zoo, "progan": _zoo, "vae": _zoo, "onnx": _onnx, "exported": _exported,
}  # fmt: skip
"""Families by the word a spec uses; each makes a module z (n, z_dim) -> (n, 3, h, w) that knows its ``z_dim``."""


def open_pipeline_source(name: str, spec: "SourceSpec", *, device: str = "cpu", assets: tuple[str, ...] = ()) -> ImageSource:
    """Return the source for a diffusers pipeline: a directory, "owner/name" on the Hub, or a data manifest of format diffusers.

    Raises:
        SpecError: no weights, or keys that do not go with the source.
        SourceError, ManifestError: the pipeline cannot be opened.
    """
    if spec.weights is None:
        raise SpecError(f"generators.{name}: source {spec.source!r} needs the key 'weights', a pipeline's directory or 'owner/name' on the Hub")
    weights, revision, caveats = _located(name, spec, assets)
    options: dict[str, Any] = {"revision": revision, "scheduler": spec.scheduler, "steps": spec.steps, "device": device, "caveats": caveats}
    if spec.source == "text_to_image":
        from audit.sources.prompted import PromptedSource

        return PromptedSource(name, weights, prompts=spec.prompts, fill=spec.fill, guidance=spec.guidance, **options)
    for key in ("prompts", "fill", "guidance"):
        if getattr(spec, key) is not None:
            raise SpecError(f"generators.{name}.{key}: source 'diffusion' draws without a prompt; say source: text_to_image, or leave it out")
    from audit.sources.diffusion import DiffusionSource

    return DiffusionSource(name, weights, **options)


def _located(name: str, spec: "SourceSpec", assets: tuple[str, ...]) -> tuple[str, str | None, tuple[str, ...]]:
    """Return where the pipeline is (directory or Hub name), its revision, and what its manifest warns of."""
    weights = str(spec.weights)
    if "/" in weights or Path(weights).expanduser().is_dir():
        return weights, spec.revision, ()
    try:
        manifest = load_manifest(weights)
    except ManifestError as problem:
        raise SourceError(f"generator {name!r}: there is no directory {weights!r} with a diffusers pipeline, and {problem}") from None
    if manifest.format != "diffusers":
        raise SourceError(f"generator {name!r}: manifest {weights!r} describes a {manifest.format or 'file'}, not a diffusers pipeline")
    caveats = Weights(Path(), manifest).caveats
    for folder in search_path(assets):
        if (folder / manifest.name).is_dir():
            for file in manifest.files:
                if (folder / manifest.name / file.name).is_file():
                    verify(folder / manifest.name / file.name, file, manifest.name)
            return str(folder / manifest.name), None, caveats
    owner, repository, kind, revision = ((manifest.files[0].url or "").removeprefix(HOST).split("/") + [""] * 4)[:4] if manifest.files else [""] * 4
    if kind != "resolve":
        raise SourceError(f"generator {name!r}: no folder {manifest.name!r} in {', '.join(map(str, search_path(assets)))}; put the pipeline there")
    return f"{owner}/{repository}", spec.revision or revision, caveats
