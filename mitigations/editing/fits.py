"""What edits of one generator are made from: hyperplanes, components and learned bends, in one small file known by its content."""

import hashlib
import io
import json
import time
import zipfile
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from audit.attributes import ATTRIBUTES
from audit.digests import digest
from audit.errors import SourceError, SpecError
from audit.manifests import home
from audit.records import write_whole
from audit.sources.latent import LatentSource
from mitigations.editing.codes import score_codes
from mitigations.editing.learned import Bend, bend_of, learn_bends
from mitigations.editing.linear import Line, component_lines, conditional_line, hyperplane_lines
from mitigations.editing.rating import Rater
from mitigations.labelling import DEFAULT, most_probable

VERSION = "genbias edits 1"
STRAIGHT = ("interfacegan", "conditional", "ganspace")
"""Edits that add a fixed step to w."""

LEARNED = "learned"


@dataclass(frozen=True)
class Settings:
    """How edits are fitted.

    Attributes:
        attributes: which can be edited.
        classifier: the second rater; not the one that judges.
        codes: codes drawn and scored.
        share: share of them at each end of a hyperplane's fit.
        c: weight of the SVM's errors.
        components: principal components tried.
        tried: codes each of them is tried on.
        steps: optimiser steps of each learned move; 0 = none is made.
        lr: learning rate.
        seed: of everything drawn.
    """

    attributes: tuple[str, ...] = ("smile", "age", "gender")
    classifier: str = DEFAULT
    codes: int = 4000
    share: float = 0.1
    c: float = 0.01
    components: int = 10
    tried: int = 16
    steps: int = 1500
    lr: float = 0.003
    seed: int = 0


def settings_of(given: dict[str, Any]) -> Settings:
    """Return settings from a spec's or a file's words.

    Raises:
        SpecError: an unknown one, or a value that is none.
    """
    known = asdict(Settings())
    for name, value in given.items():
        if name not in known:
            raise SpecError(f"sampler edit: there is no option {name!r}; there are by, attribute, strength, fit, {', '.join(known)}")
        whole, least = isinstance(known[name], int), 0 if name in ("steps", "seed") else 1
        if name not in ("attributes", "classifier"):
            right = (
                isinstance(value, int if whole else int | float)
                and not isinstance(value, bool)
                and (value >= least if whole else value > 0)
            )
            if not right:
                raise SpecError(
                    f"sampler edit: {name} is {value!r}; expected {'a whole number of at least ' + str(least) if whole else 'a number above 0'}"
                )
    made = Settings(**{**known, **given, "attributes": tuple(given.get("attributes", known["attributes"]))})
    unknown = [a for a in made.attributes if a not in ATTRIBUTES]
    if unknown or not made.attributes or not isinstance(made.classifier, str):
        raise SpecError(
            f"sampler edit: attributes are {list(made.attributes)}, rated by {made.classifier!r}; expected names among {', '.join(ATTRIBUTES)}"
        )
    return made


@dataclass(frozen=True, eq=False)
class Fit:
    """The edits of one generator.

    Attributes:
        source_digest: the generator and the way it is called.
        settings: how they were made.
        lines: {by: {attribute: Line}} of :data:`STRAIGHT`, and of "learned" what its bends begin with.
        bends: {attribute: Bend}; empty where none was made.
        seconds: wall time of fitting.
    """

    source_digest: str
    settings: Settings
    lines: dict[str, dict[str, Line]]
    bends: dict[str, Bend]
    seconds: float

    @cached_property
    def digest(self) -> str:
        """Changes whenever an edit could."""
        known = hashlib.sha256(json.dumps([VERSION, self.source_digest]).encode())
        for name, array in sorted(self.arrays().items()):
            known.update(name.encode() + str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        return known.hexdigest()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what is stored."""
        steps = {f"{by}/{a}": line.step.astype(np.float32) for by, lines in self.lines.items() for a, line in lines.items()}
        return steps | {f"bend/{a}/{k}": v for a, bend in self.bends.items() for k, v in bend.arrays().items()}

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        lines = {by: {a: {"layers": line.layers, "note": line.note} for a, line in of.items()} for by, of in self.lines.items()}
        about = {
            "version": VERSION,
            "source": self.source_digest,
            "settings": asdict(self.settings),
            "lines": lines,
            "seconds": self.seconds,
        }
        sink = io.BytesIO()
        np.savez_compressed(sink, about=np.array(json.dumps(about)), **self.arrays())
        write_whole(path, sink.getvalue())


def load_fit(path: Path) -> Fit:
    """Return the fit of a file.

    Raises:
        SourceError: it is none, or one of another version.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            arrays = {name: file[name] for name in file.files if name != "about"}
        if about["version"] != VERSION:
            raise ValueError(about["version"])
        lines = {by: {a: Line(arrays[f"{by}/{a}"].astype(np.float64), tuple(one["layers"]) if one["layers"] else None, one["note"])
                      for a, one in of.items()} for by, of in about["lines"].items()}  # fmt: skip
        learned: dict[str, dict[str, np.ndarray]] = {}
        for name, array in arrays.items():
            if name.startswith("bend/"):
                _, attribute, key = name.split("/")
                learned.setdefault(attribute, {})[key] = array
        bends = {a: bend_of(parts) for a, parts in learned.items()}
        return Fit(about["source"], settings_of(about["settings"]), lines, bends, float(about["seconds"]))
    except (OSError, KeyError, ValueError, TypeError, AttributeError, EOFError, RuntimeError, zipfile.BadZipFile) as problem:
        raise SourceError(
            f"{path} holds no edits ({type(problem).__name__}); expected the fit.npz that `genbias mitigate editing` writes"
        ) from None


def make_fit(source: LatentSource, rater: Rater, settings: Settings) -> Fit:
    """Fit every edit of a generator.

    Args:
        source: a generator with a mapping network; see :func:`mitigations.editing.codes.mapped_source`.
        rater: the second rater.
        settings: how.

    Raises:
        SourceError: an attribute without both classes, one the rater does not read, or too few codes.
    """
    began = time.perf_counter()
    absent = [a for a in settings.attributes if a not in rater.attributes]
    if absent:
        raise SourceError(f"{rater.name!r} does not read {absent[0]!r}, it reads {', '.join(rater.attributes)}; name another classifier")
    scored = score_codes(source, rater, settings.codes, seed=settings.seed)
    classes = {a: ATTRIBUTES[a].classes for a in rater.attributes if a in settings.attributes or _both(scored.scores[a])}
    each = max(4, round(settings.share * settings.codes))
    plain = hyperplane_lines(scored, classes, share=settings.share, at_least=each, c=settings.c, rng=np.random.default_rng(settings.seed))
    conditional = {a: conditional_line(a, plain, scored.codes) for a in settings.attributes}
    components = component_lines(source, rater, scored.codes, settings.attributes, components=settings.components, images=settings.tried,
                                 seed=settings.seed)  # fmt: skip
    lines = {"interfacegan": {a: plain[a] for a in settings.attributes}, "conditional": conditional, "ganspace": components}
    lines = {by: {a: _stored(line) for a, line in of.items()} for by, of in lines.items()}
    learned = (
        learn_bends(scored.codes, scored.scores, lines["conditional"], steps=settings.steps, lr=settings.lr, seed=settings.seed)
        if settings.steps
        else {}
    )
    lines[LEARNED] = {a: Line(lines["conditional"][a].step, note=one.note) for a, one in learned.items()}
    bends = {a: one.bend for a, one in learned.items()}
    return Fit(source.digest, settings, lines, bends, round(time.perf_counter() - began, 1))


def cached_fit(source: LatentSource, settings: Settings, *, assets: tuple[str, ...] = ()) -> Fit:
    """Return the fit of a generator from the user's cache, made once and known by what it was made of."""
    rater = Rater(settings.classifier, device=source.device, assets=assets)
    path = home() / "editing" / f"{digest([VERSION, source.digest, rater.digest, asdict(settings)])[:32]}.npz"
    if path.is_file():
        return load_fit(path)
    fit = make_fit(source, rater, settings)
    fit.save(path)
    return fit


def _both(scores: np.ndarray) -> bool:
    """Return whether more than one class occurs, so that an attribute has a hyperplane for the others to be kept from."""
    return len({*most_probable(scores).tolist()} - {-1}) > 1


def _stored(line: Line) -> Line:
    """Return the line as it will be read back, so that a fit draws the same before and after it was saved."""
    return Line(line.step.astype(np.float32).astype(np.float64), line.layers, line.note)
