"""Sources of images, and the one place where a spec's words become a source."""

import json
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from audit.digests import digest, file_digest
from audit.errors import SourceError, SpecError
from audit.sources.base import ImageSource

if TYPE_CHECKING:
    from audit.spec import SourceSpec

__all__ = ["ImageSource", "open_source"]

FAMILIES = {"stylegan2": ("stylegan2", "self_conditioned"), "diffusion": ("latent_diffusion",)}
"""Generator families of a spec, and the kinds their weights may say."""


def open_source(name: str, spec: "SourceSpec", *, device: str = "cpu", assets: tuple[str, ...] = ()) -> ImageSource:
    """Return the source that ``spec`` describes.

    Raises:
        SpecError: the description is incomplete or names something that does not exist.
        SourceError, ManifestError: what it describes cannot be opened.
    """
    source = _plain(name, spec, device, assets)
    if spec.sampler is None:
        return source
    options = dict(spec.sampler)
    method = options.pop("method", None)
    samplers = {e.name: e for e in entry_points(group="genbias.samplers")}
    if method not in samplers:
        known = ", ".join(sorted(samplers)) or "none installed"
        raise SpecError(f"generators.{name}.sampler: there is no method {method!r}; there are: {known}")
    return samplers[method].load()(source, **options)


def _plain(name: str, spec: "SourceSpec", device: str, assets: tuple[str, ...]) -> ImageSource:
    if spec.source == "portraits":
        from audit.sources.portraits import PortraitsSource

        return PortraitsSource(name, _needed(name, spec, "population"))
    if spec.source == "folder":
        from audit.sources.folder import FolderSource

        return FolderSource(_needed(name, spec, "path"), name=name)
    if spec.source == "callable":
        from audit.sources.callable import CallableSource

        return CallableSource(name, _needed(name, spec, "call"))
    if spec.source in FAMILIES:
        return _family(name, spec, device)
    if spec.source == "dcgan32":
        return _dcgan32(name, spec, device, assets)
    known = ", ".join(["portraits", "folder", "callable", *FAMILIES, "dcgan32"])
    raise SpecError(f"generators.{name}.source: unknown source {spec.source!r}; expected one of {known}")


def _family(name: str, spec: "SourceSpec", device: str) -> ImageSource:
    from audit.generators import load
    from audit.portraits.models import shipped
    from audit.sources.latent import LatentSource

    weights = _needed(name, spec, "weights")
    path = shipped(weights) if weights.startswith("portraits/") else Path(weights)
    if not path.is_file():
        raise SourceError(f"generator {name!r}: no weights at {path}; expected a .safetensors file or portraits/NAME")
    module = load(path, FAMILIES[spec.source])
    call = {"truncation_psi": spec.truncation_psi, "noise": spec.noise} if spec.source == "stylegan2" else {}
    if not call and (spec.truncation_psi, spec.noise) != (1, "const"):
        raise SpecError(f"generators.{name}: a {spec.source} has neither truncation nor noise; leave truncation_psi and noise out")
    caveats = () if spec.truncation_psi == 1 else (f"truncated with psi {spec.truncation_psi:g}, which narrows what it draws",)
    return LatentSource(name, module, z_dim=module.z_dim, digest=digest([file_digest(path), call]), device=device, call=call,
                        caveats=caveats, method=_method(path))  # fmt: skip


def _method(weights: Path) -> dict | None:
    """Return what the training of mitigated weights said about itself, kept beside them as NAME.method.json."""
    said = weights.with_suffix(".method.json")
    return json.loads(said.read_text(encoding="utf-8")) if said.is_file() else None


def _dcgan32(name: str, spec: "SourceSpec", device: str, assets: tuple[str, ...]) -> ImageSource:
    from audit.generators.dcgan32 import load_dcgan32
    from audit.manifests import load_manifest, resolve
    from audit.sources.latent import LatentSource

    manifest = load_manifest(_needed(name, spec, "weights"))
    path = resolve(manifest, search=assets)
    caveats = (*manifest.caveats, f"{manifest.title}: licence {manifest.licence}")
    return LatentSource(name, load_dcgan32(path), z_dim=100, prior="uniform", digest=file_digest(path), device=device, caveats=caveats)


def _needed(name: str, spec: "SourceSpec", key: str) -> str:
    value = getattr(spec, key)
    if value is None:
        raise SpecError(f"generators.{name}: source {spec.source!r} needs the key {key!r}")
    return value
