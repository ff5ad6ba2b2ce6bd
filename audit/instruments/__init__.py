"""Instruments that read images, and the one place where a spec's words become instruments."""

from typing import TYPE_CHECKING

from audit.errors import SpecError
from audit.instruments.base import Instrument

if TYPE_CHECKING:
    from audit.readers import ReaderSpec
    from audit.spec import InstrumentsSpec

__all__ = ["Instrument", "open_instruments"]

PORTRAITS = {"portraits_a": "portraits_a", "portraits_b": "portraits_b"}
"""Built-in classifiers by the name a spec uses."""


def open_instruments(spec: "InstrumentsSpec", *, device: str = "cpu", assets: tuple[str, ...] = ()) -> list[Instrument]:
    """Return the instruments of a spec in the order they read: the face finder first, since it sets the boxes.

    Raises:
        SpecError: nothing would read the images.
        ManifestError, InstrumentError: an instrument cannot be opened.
    """
    opened: list[Instrument] = []
    if spec.face_finder is not None:
        from audit.instruments.face_finder import FaceFinder

        opened.append(FaceFinder("face_finder", several=spec.several_faces, device=device))
    for role in ("classifier", "second_rater"):
        readers = [(r.manifest, _classifier(role, r, device, assets)) for r in spec.readers(role)]
        _refuse_two_for_one(role, readers)
        opened += [instrument for _, instrument in readers]
    if spec.skin_tone is not None:
        from audit.instruments.skin_tone import SkinTone

        opened.append(SkinTone("skin_tone"))
    for role in ("encoder", "identity"):
        name = getattr(spec, role)
        if name is not None:
            opened.append(_encoder(role, name, device, assets))
    if not opened:
        raise SpecError("instruments: nothing reads the images; name at least a classifier, an encoder or skin_tone")
    return opened


def _classifier(role: str, reader: "ReaderSpec", device: str, assets: tuple[str, ...]) -> Instrument:
    if reader.manifest in PORTRAITS:
        from audit.instruments.portraits import PortraitNetwork

        return PortraitNetwork(role, PORTRAITS[reader.manifest], device, attributes=reader.attributes)
    from audit.instruments.attribute_classifier import AttributeClassifier
    from audit.manifests import load_manifest

    return AttributeClassifier(role, load_manifest(reader.manifest), attributes=reader.attributes, search=assets, device=device)


def _refuse_two_for_one(role: str, readers: list[tuple[str, Instrument]]) -> None:
    """Two classifiers of a role would write the same columns, so each attribute has one."""
    owner: dict[str, str] = {}
    for name, instrument in readers:
        for attribute in instrument.attributes:  # type: ignore[attr-defined]
            if attribute in owner:
                raise SpecError(f"instruments.{role}: {owner[attribute]} and {name} both read {attribute}; say what each is used for, e.g. "
                                f"{{manifest: {name}, attributes: [...]}}, or leave one out")  # fmt: skip
            owner[attribute] = name


def _encoder(role: str, name: str, device: str, assets: tuple[str, ...]) -> Instrument:
    if name == "portraits":
        from audit.instruments.portraits import PortraitNetwork

        return PortraitNetwork(role, "encoder" if role == "encoder" else "identity", device)
    from audit.instruments.embedder import Embedder
    from audit.manifests import load_manifest

    return Embedder(role, load_manifest(name), search=assets, device=device)
