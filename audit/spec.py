"""The audit spec: a YAML file that says what is drawn, what reads it and which limits it is held to.

An unknown key is an error that names the nearest valid one and its line; so is a wrong type.
"""

import difflib
import math
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from audit.attributes import ATTRIBUTES, parts
from audit.errors import SpecError
from audit.readers import TAGS, Readers, ReaderSpec, readers_in
from audit.sweeps import expand_sweeps


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LatentSpec(_Strict):
    """What a generator is fed with: ``size`` numbers drawn from N(0, 1) or U(-1, 1)."""

    size: Annotated[int, Field(gt=0)] | None = None
    prior: Literal["normal", "uniform"] = "normal"


class SourceSpec(_Strict):
    """Where images come from.

    Attributes:
        source: "portraits", "folder", "callable", or a generator family ("stylegan2", "diffusion", "dcgan32", ...).
        weights: "portraits/NAME" for a shipped model, the name of a data manifest, or a path.
        path: folder, zip, tar or Parquet of images, for ``source: folder``; for a reference of ``source: statistics`` the name of
            published statistics (ffhq_clean_trainval70k_256) or an .npz file with mu and sigma; for ``source: cifar10`` the folder of
            its official files.
        split: "train" or "test", for ``source: cifar10``.
        imbalance: images of CIFAR-10's most frequent class over those of its rarest, falling off exponentially; None = all images.
        population: "balanced", "celeb_like", "professors" or "professors:SHARE", for ``source: portraits``.
        size: image side of portraits; None = 64.
        call: "module:function", for ``source: callable``.
        truncation_psi: truncation of a StyleGAN; 1 = none.
        noise: per-pixel noise of a StyleGAN: "const" (the stored noise images) or "none".
        revision: commit of a Hub repository, for weights given as "owner/name".
        scheduler: what replaces the scheduler of a diffusers pipeline, e.g. "DDIM"; None = the pipeline's own.
        steps: denoising steps; None = the pipeline's own.
        guidance: guidance scale of a text-to-image pipeline; None = the pipeline's own.
        prompts: prompts, or templates with {slots}, for ``source: text_to_image``.
        fill: words for each slot of the templates, e.g. ``{occupation: [nurse, engineer]}``.
        latent: what a network that does not say so itself is fed with (ONNX, exported programs).
        range: lowest and highest value of a network's images, where a file does not say so; None = -1..1.
        sha256: vouches for a file that is a program (TorchScript, torch.export): 64 hex digits from a source you trust.
        label: class of a conditional StyleGAN2, from 0; None = every class equally often.
        sampler: how latents are chosen, e.g. ``{method: magnet}``; None = the generator's own prior.
        base: who draws the image before, for ``source: mapped``.
        map: what is done to it: ``{filter: lighten, amount: 3}``, ``{weights: portraits/cyclegan}``, ``{call: "module:function"}`` or
            ``{folder: DIR}``; see :mod:`audit.sources.maps`.
    """

    source: str
    weights: str | None = None
    path: str | None = None
    split: Literal["train", "test"] = "train"
    imbalance: Annotated[float, Field(ge=1)] | None = None
    population: str | None = None
    size: Annotated[int, Field(ge=16, le=1024)] | None = None
    call: str | None = None
    truncation_psi: float = 1.0
    noise: Literal["const", "none"] = "const"
    revision: str | None = None
    scheduler: str | None = None
    steps: Annotated[int, Field(gt=0)] | None = None
    guidance: float | None = None
    prompts: list[str] | None = None
    fill: dict[str, list[str]] | None = None
    latent: LatentSpec | None = None
    range: tuple[float, float] | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    sampler: dict[str, Any] | None = None
    label: Annotated[int, Field(ge=0)] | None = None
    base: "SourceSpec | None" = None
    map: dict[str, Any] | None = None


class GeneratorSpec(SourceSpec):
    """A source under audit; ``compare_to`` names the baseline it is paired with, ``family`` the recipe that several of them share."""

    title: str | None = None
    family: str | None = None
    baseline: bool = False
    compare_to: str | None = None
    trained_on: str | None = None


class ReferenceSpec(SourceSpec):
    """Images that quality is measured against.

    ``role`` says what it stands for: "balanced" (what one would wish for) or "training" (what the generators saw).
    """

    role: Literal["balanced", "training", "reference"] = "reference"
    samples: Annotated[int, Field(gt=1)] | None = None


class InstrumentsSpec(_Strict):
    """Who reads the images: names of built-in instruments or of data manifests.

    There may be several classifiers for one role, as a list, each a name or ``{manifest: NAME, attributes: [smile]}``.
    """

    classifier: Readers | None = None
    second_rater: Readers | None = None
    encoder: str | None = None
    skin_tone: Literal["monk"] | None = None
    identity: str | None = None
    face_finder: Literal["mtcnn"] | None = None
    several_faces: Literal["largest", "exclude"] = "largest"

    def readers(self, role: Literal["classifier", "second_rater"]) -> list[ReaderSpec]:
        """Return the classifiers of a role, each with the attributes it is used for."""
        return readers_in(getattr(self, role))


BOUNDS = ("at_most", "at_least", "between", "not_worse_than")
"""Keys of a limit, of which it has exactly one."""


class LimitSpec(_Strict):
    """What a measure is held to; decided by its interval, not by its point.

    Attributes:
        between: low and high end, both within the limit.
        not_worse_than: a margin >= 0: the generator may be worse than the one it is compared to by this much, in the metric's unit;
            "last-green" is short for 0 and ``than: last-green``.
        than: "last-green" compares with the last night on which all was well, not with a generator; for tests, which know a history.
    """

    metric: str
    attribute: str | None = None
    group: str | None = None
    generator: str | None = None
    at_most: float | None = None
    at_least: float | None = None
    between: tuple[float, float] | None = None
    not_worse_than: float | None = None
    than: Literal["last-green"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _last_green(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or not isinstance(raw.get("not_worse_than"), str):
            return raw
        if raw["not_worse_than"] != "last-green":
            raise ValueError(f"not_worse_than is {raw['not_worse_than']!r}; expected a margin of 0 or more, or last-green")
        return {**raw, "not_worse_than": 0.0, "than": "last-green"}

    @model_validator(mode="after")
    def _one_bound(self) -> "LimitSpec":
        given = [key for key in BOUNDS if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"a limit needs exactly one of {', '.join(BOUNDS)}; found {' and '.join(given) or 'none'}")
        for value in (self.at_most, self.at_least, self.not_worse_than, *(self.between or ())):
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{given[0]} is {value}; expected a finite number")
        if self.between is not None and self.between[0] >= self.between[1]:
            raise ValueError(f"between needs the lower end first, found {list(self.between)}")
        if self.not_worse_than is not None and self.not_worse_than < 0:
            raise ValueError(f"not_worse_than is a margin of 0 or more, found {self.not_worse_than:g}")
        if self.than is not None and self.not_worse_than is None:
            raise ValueError("than: last-green goes with not_worse_than, a margin of 0 or more")
        return self


class Spec(_Strict):
    """The whole audit. See the README for a commented example.

    Attributes:
        attribute_sets: files of the user's own attributes, see :func:`audit.attributes.read_set`; they can then stand under ``attributes``.
        target: wished-for shares: "uniform", or a table {attribute: {class: share}}.
        gallery: thumbnails shown per generator (and, a third as many, per group); 0 switches them off.
        batch: images drawn at once; results do not depend on it.
        shard: images a file; an interrupted run repeats at most this many.
        precision: "bfloat16" runs the networks' convolutions and products in it, where a look at a few images finds that numbers hardly
            move; see :mod:`audit.faster`.
        compile: hand the networks to torch.compile, under the same condition.
        pairwise: images of each set of which KID, precision, recall, density and coverage compare all pairs, the first of each; their
            cost grows with the square. None = all.
        assets: folder where files named by data manifests are looked for.
        commercial_use: refuse assets whose terms do not allow it, or state none.
        until: "decided" draws shard after shard until every limit is held or broken, at most ``samples`` a generator.
        calibration: a file made by ``genbias calibrate``, in the place of the one shipped with a built-in classifier.
        correct: correct the labels, or the probabilities where the calibration holds their errors.
        correct_within: an attribute; shares are then corrected with the error rates of each of its classes.
        study: ``{kind: NAME, ...}``: a question beyond the measures, answered by an entry point of the group ``genbias.studies``.
    """

    version: Literal[1] = 1
    name: str
    seed: int = 0
    samples: Annotated[int, Field(gt=0)] = 2000
    attribute_sets: list[str] = []
    attributes: list[str] = list(ATTRIBUTES)
    target: Literal["uniform"] | dict[str, dict[str, float]] = "uniform"
    instruments: InstrumentsSpec = InstrumentsSpec()
    reference: ReferenceSpec | list[ReferenceSpec] | None = None
    generators: dict[str, GeneratorSpec]
    limits: list[LimitSpec] = []
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    until: Literal["decided"] | None = None
    calibration: str | None = None
    correct: Literal["labels", "probabilities"] = "labels"
    correct_within: str | None = None
    gallery: Annotated[int, Field(ge=0, le=96)] = 24
    batch: Annotated[int, Field(gt=0)] = 64
    shard: Annotated[int, Field(gt=0)] = 512
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    pairwise: Annotated[int, Field(ge=50)] | None = None
    assets: str | None = None
    commercial_use: bool = False
    study: dict[str, Any] | None = None

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        _learn(self.attribute_sets)  # in a worker, which has not read them yet

    @property
    def references(self) -> list[ReferenceSpec]:
        """The references as a list, empty where none was given."""
        if self.reference is None:
            return []
        return self.reference if isinstance(self.reference, list) else [self.reference]

    @model_validator(mode="after")
    def _names_exist(self) -> "Spec":
        _learn(self.attribute_sets)
        for attribute in self.attributes:
            for part in parts(attribute):
                if part not in ATTRIBUTES:
                    raise ValueError(f"attributes: {part!r} is not an attribute{_nearest(part, ATTRIBUTES.known())}; there are {', '.join(ATTRIBUTES.known())}; "
                                     f"your own go into a file under attribute_sets")  # fmt: skip
        if not self.generators:
            raise ValueError("generators: an audit needs at least one")
        for name, generator in self.generators.items():
            if not name.replace("_", "").replace("-", "").replace(".", "").isalnum():
                raise ValueError(f"generators: the name {name!r} becomes a folder; use letters, digits, '-', '_' and '.'")
            if generator.compare_to is not None and generator.compare_to not in self.generators:
                raise ValueError(f"generators.{name}.compare_to: there is no generator {generator.compare_to!r}{_nearest(generator.compare_to, self.generators)}")
        for limit in self.limits:
            if limit.generator is not None and limit.generator not in self.generators:
                raise ValueError(f"limits: there is no generator {limit.generator!r}{_nearest(limit.generator, self.generators)}")
            if limit.than is not None:
                raise ValueError("limits: last-green needs a history, which a spec does not name; put the limit into a fairness_limits.yaml with history")
        if isinstance(self.target, dict):
            _check_target(self.target)
        if self.correct_within is not None and self.correct_within not in ATTRIBUTES:
            raise ValueError(f"correct_within: {self.correct_within!r} is not an attribute; there are {', '.join(ATTRIBUTES.known())}")
        if self.until is not None and not self.limits:
            raise ValueError("until: decided needs limits to decide; add some under limits, or leave it out")
        return self


def _learn(sets: list[str]) -> None:
    try:
        ATTRIBUTES.learn(sets)
    except SpecError as problem:
        raise ValueError(f"attribute_sets: {problem}") from None


def _check_target(target: dict[str, dict[str, float]]) -> None:
    for name, shares in target.items():
        if name not in ATTRIBUTES:
            raise ValueError(f"target: {name!r} is not an attribute{_nearest(name, ATTRIBUTES.known())}")
        classes = ATTRIBUTES[name].classes
        if set(shares) != set(classes):
            raise ValueError(f"target.{name}: expected a share for each of {', '.join(classes)}; found {', '.join(shares)}")
        if abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError(f"target.{name}: the shares add up to {sum(shares.values()):g}; expected 1")


def load_spec(name: str, changes: dict[str, Any] | None = None) -> Spec:
    """Read a spec by shipped name ("embedded") or by path, with ``changes`` ({"samples": 500, "generators.a.path": ..}) on top.

    Raises:
        SpecError: with the file, the line, what was found and what was expected.
    """
    path = find_spec(name)
    try:
        text = path.read_text(encoding="utf-8")
        raw, tree = yaml.safe_load(text), yaml.compose(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark else ""
        raise SpecError(f"{path} is not YAML{line}: {getattr(error, 'problem', None) or ' '.join(str(error).split())}") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, a date or a number that is none, nested beyond all reading
        raise SpecError(f"{path} cannot be read as YAML in UTF-8: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise SpecError(f"{path} holds a {type(raw).__name__}; expected a mapping with 'name' and 'generators'")
    for dotted, value in (changes or {}).items():
        _set(raw, dotted, value)
    if "generators" in raw:
        raw["generators"] = expand_sweeps(raw["generators"])
    try:
        return Spec.model_validate(raw)
    except ValidationError as error:
        raise SpecError(_sentence(error, path, tree)) from None


def find_spec(name: str) -> Path:
    """Return the path of a spec given by shipped name or path."""
    shipped = resources.files("audit") / "specs"
    known = sorted(p.name.removesuffix(".yaml") for p in shipped.iterdir() if p.name.endswith(".yaml"))
    if name in known:
        return Path(str(shipped / f"{name}.yaml"))
    path = Path(name)
    if path.is_file():
        return path
    hint = _nearest(name, known)
    raise SpecError(f"no spec {name!r}{hint}; give the path of a YAML file or one of: {', '.join(known)}")


def _set(raw: dict, dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for key in path:
        raw = raw.setdefault(key, {})
        if not isinstance(raw, dict):
            raise SpecError(f"--set {dotted}: {key!r} is not a mapping in this spec")
    raw[last] = value


def _sentence(error: ValidationError, path: Path, tree: yaml.Node) -> str:
    first = error.errors()[0]
    where = [p for p in first["loc"] if not (isinstance(p, str) and p in _UNION_TAGS)]
    line = _line(tree, where)
    at = ".".join(str(p) for p in where)
    if first["type"] == "extra_forbidden":
        valid = _valid_keys(where[:-1])
        return f"{path}, line {line}: unknown key {at!r}{_nearest(str(where[-1]), valid)}; valid keys here: {', '.join(valid)}"
    if first["type"] == "missing":
        return f"{path}, line {line}: {at!r} is missing"
    message = first["msg"].removeprefix("Value error, ")
    found = f"; found {first['input']!r}" if where and not isinstance(first["input"], dict) else ""
    return f"{path}, line {line}: {at + ': ' if at else ''}{message}{found}"


_UNION_TAGS = {"ReferenceSpec", "list[ReferenceSpec]", "str", "list[str]", "literal['uniform']", *TAGS}


def _valid_keys(where: list) -> list[str]:
    if not where:
        return list(Spec.model_fields)
    top = {"generators": GeneratorSpec, "reference": ReferenceSpec, "instruments": InstrumentsSpec, "limits": LimitSpec}
    if where[0] == "instruments" and len(where) > 1:
        return list(ReaderSpec.model_fields)
    return list(top[where[0]].model_fields) if where[0] in top else []


def _nearest(name: str, valid: Any) -> str:
    close = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _line(node: yaml.Node | None, where: list) -> int:
    """Return the line of the deepest node on the path; keys point at themselves, list items at their start."""
    line = node.start_mark.line + 1 if node is not None else 1
    for step in where:
        if isinstance(node, yaml.MappingNode):
            match = [(k, v) for k, v in node.value if k.value == str(step)]
            if not match:
                return line
            line, node = match[0][0].start_mark.line + 1, match[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            return line
    return line
