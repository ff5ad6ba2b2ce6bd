"""Trained generators as sources: StyleGAN2 and latent diffusion in any layout, the DCGAN of the assets, TorchScript programs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from audit.digests import digest, file_digest
from audit.errors import ManifestError, SourceError, SpecError
from audit.manifests import DataFile, Manifest, load_manifest, resolve
from audit.sources.base import ImageSource
from audit.sources.networks import Weights

if TYPE_CHECKING:
    from audit.spec import SourceSpec

FAMILIES = {"stylegan2": ("stylegan2", "self_conditioned"), "diffusion": ("latent_diffusion",), "dcgan32": ("dcgan32",),
            "mixture": ("mixture",)}  # fmt: skip
"""Generator families of a spec, and the kinds their weights may say."""

MANIFESTS = (".yaml", ".yml")


def open_family(name: str, spec: "SourceSpec", *, device: str = "cpu", assets: tuple[str, ...] = ()) -> ImageSource:
    """Return the source for ``source: stylegan2``, ``diffusion`` or ``dcgan32``.

    Raises:
        SpecError: keys are missing, or do not go with the family.
        SourceError, ManifestError: the weights are not there, not safe to read or not of the family.
    """
    from audit.generators import load
    from audit.sources.latent import LatentSource

    found = located(name, spec, assets)
    module = load(found.path, FAMILIES[spec.source])
    call = {"truncation_psi": spec.truncation_psi, "noise": spec.noise} if spec.source == "stylegan2" else {}
    if not call and (spec.truncation_psi, spec.noise) != (1, "const"):
        raise SpecError(f"generators.{name}: a {spec.source} has neither truncation nor noise; leave truncation_psi and noise out")
    caveats = () if spec.truncation_psi == 1 else (f"truncated with psi {spec.truncation_psi:g}, which narrows what it draws",)
    module, marks, more = _conditioned(name, module, getattr(spec, "label", None))
    return LatentSource(name, module, z_dim=module.z_dim, prior=getattr(module, "prior", "normal"), device=device, call=call,
                        digest=digest([file_digest(found.path), call, *marks]), caveats=(*found.caveats, *caveats, *more),
                        method=_method(found.path))  # fmt: skip


def open_torchscript(name: str, spec: "SourceSpec", *, device: str = "cpu", assets: tuple[str, ...] = ()) -> ImageSource:
    """Return the source for ``source: torchscript``: in this process when its sha256 is stated, else in a fenced-in child.

    Raises:
        SpecError: nobody says how wide the latent is.
        SourceError, ManifestError: the program is not there, cannot be opened or draws no images.
    """
    from audit.generators.sandbox import SandboxedGenerator
    from audit.generators.torchscript import TorchScriptGenerator
    from audit.sources.latent import LatentSource

    found = located(name, spec, assets)
    contract = found.manifest.contract if found.manifest is not None else None
    latent = contract.latent if contract is not None else None
    size = (spec.latent.size if spec.latent is not None else None) or (latent.size if latent is not None else None)
    if size is None:
        raise SpecError(f"generators.{name}: a TorchScript file does not say how wide its latent is; add `latent: {{size: 512}}`")
    prior = spec.latent.prior if spec.latent is not None else latent.distribution if latent is not None else "normal"
    vouched = spec.sha256 or (_file(found.manifest, "torchscript").sha256 if found.manifest is not None else None)
    module: nn.Module
    if vouched is not None:
        module, caveats = TorchScriptGenerator(found.path, vouched, size, device=device), ()
    else:
        module, caveats = SandboxedGenerator(found.path, size), ("a program nobody vouches for, drawn by a process that may only compute",)
    return LatentSource(name, module, z_dim=size, prior=prior, digest=digest(["torchscript", file_digest(found.path), size, prior]),
                        device=device, caveats=(*found.caveats, *caveats))  # fmt: skip


def located(name: str, spec: "SourceSpec", assets: tuple[str, ...]) -> Weights:
    """Return the file behind ``weights``: portraits/NAME, a path, the name of a data manifest or the path of one's own.

    Raises:
        SpecError: the key is missing.
        SourceError, ManifestError: there is no such file, or it is not the one described.
    """
    from audit.portraits.models import shipped

    if spec.weights is None:
        raise SpecError(f"generators.{name}: source {spec.source!r} needs the key 'weights'")
    own = spec.weights.startswith("portraits/")
    path = shipped(spec.weights) if own else Path(spec.weights).expanduser()
    if own or (path.suffix and path.suffix not in MANIFESTS) or (path.is_file() and path.suffix not in MANIFESTS):
        if not path.is_file():
            raise SourceError(f"generator {name!r}: no weights at {path}; expected a .safetensors, .pkl or .pt file, portraits/NAME or a manifest")
        return Weights(path)
    manifest = load_manifest(spec.weights)
    return Weights(resolve(manifest, file=_file(manifest, spec.source).name, search=assets), manifest)


def _file(manifest: Manifest, source: str) -> DataFile:
    if source != "torchscript":
        return manifest.file()
    for file in manifest.files:
        if (file.format or manifest.format) == "torchscript":
            return file
    raise ManifestError(f"manifest {manifest.name!r} names no TorchScript file; add `format: torchscript` to the one that is")


def _conditioned(name: str, module: nn.Module, label: int | None) -> tuple[nn.Module, list, tuple[str, ...]]:
    """Return a plain map from latents, what it adds to the digest, and what the report says of it."""
    if not getattr(module, "c_dim", 0):
        if label is not None:
            raise SpecError(f"generators.{name}.label: this generator has no classes; leave it out")
        return module, [], ()
    from audit.generators.stylegan2_conditions import ConditionedStyleGAN2

    said = f"conditional on {module.c_dim} classes: " + ("each drawn equally often" if label is None else f"class {label} only")
    return ConditionedStyleGAN2(module, label), [["label", label]], (said,)


def _method(weights: Path) -> dict | None:
    """Return what the training of mitigated weights said about itself, kept beside them as NAME.method.json."""
    said = weights.with_suffix(".method.json")
    return json.loads(said.read_text(encoding="utf-8")) if said.is_file() else None
