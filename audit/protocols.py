"""What makes two distances comparable, in one string: the encoder with its layer, its resize in clean-fid's words, n and the reference."""

from functools import lru_cache

from audit.manifests import load_manifest

_MODES = {
    "clean": "clean-fid mode clean",
    "inside": "clean-fid mode legacy_tensorflow",
    "legacy_pytorch": "clean-fid mode legacy_pytorch",
    "antialiased": "antialiased {filter}",
}


@lru_cache(maxsize=64)
def encoder_protocol(name: str) -> str:
    """Return an encoder's part of a protocol: its name, and for a manifest its resize, size and layer.

    Args:
        name: as in the spec: "portraits", or a data manifest's name or path.

    Raises:
        ManifestError: there is no such manifest.

    Example:
        >>> encoder_protocol("inception_2015_12_05")
        'inception_2015_12_05 encoder (clean-fid mode clean, 299 px)'
        >>> encoder_protocol("portraits")
        'portraits encoder'
    """
    if name.startswith("portraits"):
        return f"{name} encoder"
    manifest = load_manifest(name)
    contract = manifest.contract
    if contract is None or contract.input is None:
        return f"{manifest.name} encoder"
    given = contract.input
    layer = f", layer {contract.output.layer}" if contract.output.layer else ""
    face = "" if given.crop.source == "image" else ", of the face"
    return f"{manifest.name} encoder ({_MODES[given.resize].format(filter=given.filter)}, {given.size} px{layer}{face})"


def protocol(encoder: str, *, n: int, reference: str, population: str | None = None, fixed: bool = False) -> str:
    """Return the whole protocol of a distance.

    Args:
        encoder: as :func:`encoder_protocol`.
        n: generated images, and reference images unless ``fixed``.
        reference: its label.
        population: of a portraits reference.
        fixed: the reference is published statistics.

    Example:
        >>> protocol("portraits", n=2000, reference="balanced")
        'portraits encoder, n=2000, reference balanced'
    """
    what = f"statistics {reference}, fixed" if fixed else f"reference {reference}"
    return f"{encoder_protocol(encoder)}, n={n}, {what}" + (f" ({population})" if population else "")
