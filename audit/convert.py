"""Converts other people's weights, once, into safetensors with a manifest: no pickle is left, and an audit loads them by one line."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from audit.errors import ManifestError

if TYPE_CHECKING:
    from torch import nn

_TITLES = {"stylegan2": "StyleGAN2", "self_conditioned": "Self-conditioned StyleGAN2", "latent_diffusion": "Latent diffusion",
           "dcgan32": "DCGAN", "dcgan": "DCGAN", "progan": "Progressive GAN", "vae": "VAE decoder"}  # fmt: skip
_NOT_STATED = "not stated; that of the original file"


def convert_weights(source: str | Path, target: str | Path, *, kind: str | None = None, licence: str | None = None) -> tuple[Path, Path]:
    """Write what ``source`` holds as safetensors, and a manifest beside it; both appear whole or not at all.

    Args:
        source: a weights file, or the name of a data manifest whose licence and caveats are carried over.
        target: where to, ending in .safetensors; the manifest takes the same name with .yaml.
        kind: refuse anything else than this kind of generator; None = what the file is.
        licence: of the weights; None = the source's manifest's, or that nobody stated it.

    Returns:
        (safetensors, manifest): either can stand as ``weights:`` in a spec.

    Raises:
        ManifestError: the source cannot be read safely or does not fit its network, or the target cannot be written.
    """
    from audit.generators import KINDS, open_weights
    from audit.generators.fitting import fitted
    from audit.generators.pickles import shown
    from audit.generators.weights import save_weights

    path, origin = _origin(source)
    target = Path(target)
    if target.suffix != ".safetensors":
        raise ManifestError(f"the target is {target.name!r}; expected a name that ends in .safetensors")
    said = origin.contract if origin is not None else None
    found, network, tensors = open_weights(path, parameters=dict(origin.parameters) if origin is not None else None,
                                           bgr=None if said is None else said.output.channels == "BGR")  # fmt: skip
    if found not in KINDS or kind not in (None, found):
        raise ManifestError(f"{path} holds a {shown(found)!r}; expected {kind or ' or '.join(KINDS)}")
    model = fitted(KINDS[found], found, network, tensors, path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_weights(model, target, kind=found, network=network)
        text = yaml.safe_dump(_manifest(model, found, target, path, licence, origin), sort_keys=False, allow_unicode=True, width=120)
        temporary = target.with_suffix(".yaml.tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(target.with_suffix(".yaml"))
    except OSError as problem:
        raise ManifestError(f"{target} cannot be written ({problem.strerror or problem}); give a folder that can") from None
    return target, target.with_suffix(".yaml")


def _origin(source: str | Path) -> tuple[Path, Any]:
    from audit.manifests import load_manifest, resolve

    path = Path(source).expanduser()
    if path.suffix in (".yaml", ".yml") or not (path.suffix or path.exists()):
        manifest = load_manifest(source)
        return resolve(manifest), manifest
    return path, None


def _manifest(model: "nn.Module", kind: str, target: Path, path: Path, licence: str | None, origin: Any) -> dict[str, Any]:
    from audit.manifests import checksum

    size = getattr(model, "resolution", None)
    caveats = [*(origin.caveats if origin is not None else ()), f"Converted from {path.name}, sha256 {checksum(path)}."]
    if getattr(model, "c_dim", 0):
        caveats.append(f"Conditional on {model.c_dim} classes.")
    stated = {"terms": origin.terms, "allowed_use": origin.use, "citation": origin.citation} if origin is not None else {}
    drawn = f"{_TITLES[kind]}, {size} px" if size else _TITLES[kind]
    return {
        "name": _name(target.stem),
        "kind": "generator",
        "title": origin.title if origin is not None else f"{drawn}, converted from {path.name}",
        "format": "safetensors",
        "architecture": kind,
        "files": [{"name": target.name, "path": target.name, "bytes": target.stat().st_size, "sha256": checksum(target)}],
        "licence": licence or (origin.licence if origin is not None else _NOT_STATED),
        **{k: v for k, v in stated.items() if v is not None},
        "caveats": caveats,
        "contract": {
            "latent": {"size": model.z_dim, "distribution": getattr(model, "prior", "normal")},
            "output": {"channels": "RGB", "range": [-1.0, 1.0], **({"size": size} if size else {})},
        },
    }


def _name(stem: str) -> str:
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else "_" for c in stem.lower()).lstrip("_.-")
    return plain or "converted"


@click.command("convert")
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--kind", help="Refuse anything else than this kind of generator, e.g. stylegan2.")
@click.option("--licence", help="Licence of the weights, for the manifest.")
def convert(source: str, target: Path, kind: str | None, licence: str | None) -> None:
    """Convert the weights IN, a file or the name of a manifest, to OUT.safetensors and a manifest OUT.yaml.

    Reads StyleGAN2 pickles, StyleGAN2 checkpoints in rosinality's layout, DCGAN, progressive GAN and VAE state dicts in the layouts of
    the public PyTorch zoos and the project's own files as data: nothing in them is executed. Either file that is written can stand as `weights:` in a spec.
    """
    for written in convert_weights(source, target, kind=kind, licence=licence):
        click.echo(str(written))
