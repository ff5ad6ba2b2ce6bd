"""``audit_map``: images before and after a map, with its controls, audited in one call; no spec needed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import SpecError
from audit.filters import LARGEST

if TYPE_CHECKING:
    from audit.result import Result

SHIPPED = {"cyclegan": {"weights": "portraits/cyclegan"}}
"""Trained maps by the name a user types."""


def audit_map(before: str | Path | Mapping[str, Any], after: str | Path | Mapping[str, Any] | Callable, *, out: str | Path,
              attributes: list[str] | None = None, classifiers: list[str] | None = None, encoder: str | None = None, identity: str | None = None,
              faces: str = "find", samples: int | None = None, seed: int = 0, assets: str | Path | None = None, device: str = "auto",
              command: str | None = None) -> "Result":  # fmt: skip
    """Audit a map from image to image, pair by pair, beside its controls: the identity, a jitter as large as it, a blur as soft as it.

    Args:
        before: folder, zip, tar or Parquet of images; or a source as in a spec, e.g. ``{"source": "portraits", "population": "balanced"}``.
        after: images after the map, with the same names; or the map: a function of (n, 3, h, w) uint8 that returns the same, "module:function",
            "lighten:3" (any filter of :mod:`audit.filters` and its amount), "cyclegan", weights, or a mapping as under ``map`` in a spec.
        out: the run directory.
        attributes: what to read; None = whatever the classifiers and the skin-tone instrument can.
        classifiers: data manifests or built-in names; None = skin tone only.
        encoder: data manifest of a feature encoder, or "portraits".
        identity: data manifest of an encoder of identity, or "portraits"; None = what is kept of the person is not measured.
        faces: "find" (MTCNN), or "aligned" when each image is one face already.
        samples: use the first so many pairs; None = all of a folder, 1,000 of a source without end.
        seed: of the run: what a source without end draws, and the jitter.
        assets: folder where files named by manifests are looked for.
        device: as for :func:`audit.run`.
        command: what the report prints under "how to reproduce".

    Returns:
        The result; ``result.study`` holds the paired measures, see :func:`audit.maps.study`.

    Raises:
        GenbiasError: bad input, as a sentence: folders of unequal names, a map that does not keep the shape, an unknown filter.
    """
    from audit.audits import readable, run
    from audit.spec import Spec

    if faces not in ("find", "aligned"):
        raise SpecError(f"faces is {faces!r}; expected 'find' (look for them) or 'aligned' (each image is one face)")
    base = {**before} if isinstance(before, Mapping) else {"source": "folder", "path": str(before)}
    mapping = as_map(after)
    read = attributes or readable(classifiers or [], assets)
    spec = Spec.model_validate({
        "name": f"map of {(base.get('path') and Path(str(base['path'])).name) or base.get('source')}",
        "seed": seed,
        "samples": _samples(base, samples, assets),
        "attributes": read,
        "instruments": {"classifier": classifiers or None, "encoder": encoder, "identity": identity, "skin_tone": "monk",
                        "face_finder": "mtcnn" if faces == "find" else None},
        "generators": generators(base, mapping, title=_title(after, mapping)),
        "study": {"kind": "paired_map"},
        "assets": str(assets) if assets is not None else None,
    })  # fmt: skip
    return run(spec, out=out, device=device, command=command or "audit.audit_map(...)")


def generators(base: Mapping[str, Any], mapping: Mapping[str, Any], *, title: str) -> dict[str, dict[str, Any]]:
    """Return the generators of a paired audit as a spec writes them: before, after, and the three controls."""
    mapped = {"source": "mapped", "base": dict(base), "compare_to": "before"}
    return {
        "before": {**base, "title": "Before", "baseline": True},
        "after": {**mapped, "map": dict(mapping), "title": title},
        "control_identity": {**mapped, "map": {"filter": "identity"}, "title": "Control: nothing changed"},
        "control_jitter": {**mapped, "map": {"filter": "jitter", "as_large_as": dict(mapping)}, "title": "Control: jitter as large"},
        "control_blur": {**mapped, "map": {"filter": "blur", "as_soft_as": dict(mapping)}, "title": "Control: blur"},
    }


def as_map(after: Any) -> dict[str, Any]:
    """Return the ``map`` of a spec that a user's words, function or folder stand for.

    Raises:
        SpecError: they stand for none.

    Example:
        >>> as_map("lighten:3"), as_map("cyclegan"), as_map("my_module:my_map")
        ({'filter': 'lighten', 'amount': 3.0}, {'weights': 'portraits/cyclegan'}, {'call': 'my_module:my_map'})
    """
    if isinstance(after, Mapping):
        return dict(after)
    if callable(after):
        from audit.sources.maps import GIVEN

        name = f"{getattr(after, '__module__', 'given')}:{getattr(after, '__qualname__', type(after).__name__)}"
        GIVEN[name] = after
        return {"call": name}
    words = str(after)
    if Path(words).exists() and Path(words).suffix != ".safetensors":
        return {"folder": words}
    if words in SHIPPED:
        return dict(SHIPPED[words])
    if words.startswith("portraits/") or words.endswith(".safetensors"):
        return {"weights": words}
    name, colon, amount = words.partition(":")
    if name in LARGEST:
        if not colon:
            return {"filter": name}
        try:
            return {"filter": name, "amount": float(amount)}
        except ValueError:
            raise SpecError(f"map {words!r}: {amount!r} is no number; expected for example {name}:3") from None
    if colon and name and amount:
        return {"call": words}
    raise SpecError(f"there is no map {words!r}: no such folder, and no filter or model of that name; expected a folder, FILTER:AMOUNT "
                    f"({', '.join(sorted(LARGEST))}), {', '.join(SHIPPED)}, weights or module:function")  # fmt: skip


def _samples(base: Mapping[str, Any], samples: int | None, assets: str | Path | None) -> int:
    from audit.sources import open_source
    from audit.spec import SourceSpec

    count = open_source("before", SourceSpec.model_validate(base), assets=(str(assets),) if assets else ()).count
    if samples is not None and samples < 1:
        raise SpecError(f"samples is {samples}; expected at least 1 pair")
    return min(samples or (count or 1000), count or 10**9)


def _title(after: Any, mapping: Mapping[str, Any]) -> str:
    if "filter" in mapping:
        return f"{str(mapping['filter']).capitalize()} {mapping.get('amount', 0):g}"
    return "CycleGAN" if mapping == SHIPPED["cyclegan"] else "After" if "folder" in mapping else str(mapping.get("call") or mapping.get("weights"))
