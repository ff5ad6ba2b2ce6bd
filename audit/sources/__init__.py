"""Sources of images, and the one place where a spec's words become a source."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from audit.errors import SpecError
from audit.sources.base import ImageSource

if TYPE_CHECKING:
    from audit.spec import SourceSpec

__all__ = ["ImageSource", "open_source"]

FAMILIES = ("stylegan2", "diffusion", "dcgan32", "mixture")
"""Families opened by :mod:`audit.sources.families`."""

NETWORKS = ("dcgan", "progan", "vae", "onnx", "exported")
"""Families of other people's networks, opened by :mod:`audit.sources.networks`."""


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

        return PortraitsSource(name, _needed(name, spec, "population"), spec.size)
    if spec.source == "folder":
        from audit.sources.folder import FolderSource

        return FolderSource(_needed(name, spec, "path"), name=name)
    if spec.source == "cifar10":
        from audit.sources.cifar import CifarSource

        return CifarSource(name, _needed(name, spec, "path"), split=spec.split, imbalance=spec.imbalance)
    if spec.source == "statistics":
        from audit.sources.statistics import StatisticsSource

        return StatisticsSource(name, _needed(name, spec, "path"), search=assets)
    if spec.source == "callable":
        from audit.sources.callable import CallableSource

        return CallableSource(name, _needed(name, spec, "call"))
    if spec.source == "mapped":
        from audit.sources.mapped import open_mapped

        return open_mapped(name, spec, device=device, assets=assets)
    if spec.source in NETWORKS:
        from audit.sources.networks import open_network

        return open_network(name, spec, device=device, assets=assets)
    if spec.source == "text_to_image" or (spec.source == "diffusion" and not _own(spec.weights)):
        from audit.sources.networks import open_pipeline_source

        return open_pipeline_source(name, spec, device=device, assets=assets)
    if spec.source in FAMILIES:
        from audit.sources.families import open_family

        return open_family(name, spec, device=device, assets=assets)
    if spec.source == "torchscript":
        from audit.sources.families import open_torchscript

        return open_torchscript(name, spec, device=device, assets=assets)
    known = ", ".join(["portraits", "folder", "cifar10", "statistics", "callable", "mapped", *FAMILIES, *NETWORKS, "text_to_image", "torchscript"])
    raise SpecError(f"generators.{name}.source: unknown source {spec.source!r}; expected one of {known}")


def _own(weights: str | None) -> bool:
    """Whether these are weights of the project's own latent diffusion: a shipped model or a safetensors file."""
    return weights is not None and (weights.startswith("portraits/") or Path(weights).suffix == ".safetensors")


def _needed(name: str, spec: "SourceSpec", key: str) -> str:
    value = getattr(spec, key)
    if value is None:
        raise SpecError(f"generators.{name}: source {spec.source!r} needs the key {key!r}")
    return value
