"""A classifier of one's own from labelled images: a linear probe on an encoder's features, with its measured errors.

Logistic regression (Cox 1958) with an L2 penalty on standardised features, classes weighted equally, so that the probe does not
lean towards the class it saw more of. The strength of the penalty is chosen by cross-validation; the errors are counted on images
that took part neither in fitting nor in that choice (nested cross-validation: Varma, Simon 2006, "Bias in error estimation when
using cross-validation for model selection", BMC Bioinformatics 7:91). The probe that is saved is fitted on all images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from audit.attributes import ATTRIBUTES
from audit.errors import InstrumentError, RecordError, SpecError
from audit.labelled.calibrating import calibrate
from audit.labelled.calibration_file import CalibrationFile
from audit.labelled.columns import TRUTH
from audit.labelled.pictures import open_labelled, read_labelled
from audit.manifests import Manifest, checksum, load_manifest
from audit.records import write_whole

STRENGTHS = tuple(10.0**e for e in range(-4, 2))
"""Inverse penalties tried."""

NEWTON = 1200
"""Coefficients up to which the regression is solved by Newton's method."""

FOLDS = 5
FEWEST = 2 * FOLDS
"""Images of a class below which no probe is fitted."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A probe and what is known of it.

    Attributes:
        classes: in the order of the rows of ``weight``.
        mean: (d,), taken from features.
        std: (d,), features are divided by.
        weight: (k, d).
        bias: (k,).
        strength: the inverse penalty that was chosen.
        given: (n, k) probabilities of every image from a probe that had not seen it.
    """

    classes: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    strength: float
    given: np.ndarray


def fit(features: np.ndarray, truth: Sequence[str], classes: Sequence[str], *, rng: np.random.Generator, people: Sequence | None = None) -> Fitted:
    """Fit a probe on features.

    Args:
        features: (n, d), finite.
        truth: n class names.
        classes: all classes, in order.
        rng: decides the folds.
        people: n names; images of one name stay on one side of each fold. None = every image on its own.

    Raises:
        RecordError: a class has fewer than :data:`FEWEST` images, or people.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> truth = np.repeat(["a", "b"], 40)
        >>> near = rng.standard_normal((80, 3)) + 6 * (truth == "b")[:, None]
        >>> bool((fit(near, truth, ["a", "b"], rng=rng).given.argmax(axis=1) == (truth == "b")).mean() > 0.95)
        True
    """
    x, names = np.asarray(features, dtype=np.float64), np.asarray(truth, dtype=object)
    y = np.array([list(classes).index(t) for t in names])
    apart = np.arange(len(y)) if people is None else pd.factorize(np.asarray(people, dtype=object))[0]
    for at, name in enumerate(classes):
        count = len(np.unique(apart[y == at]))
        if count < FEWEST:
            kind = "images" if people is None else "people"
            raise RecordError(f"class {name!r} has {count} {kind} with a readable face; a probe needs at least {FEWEST}, better some hundred")
    given = np.full((len(y), len(classes)), np.nan)
    for train, test in _folds(y, apart, rng):
        mean, std = _scale(x[train])
        strength = _chosen(x[train], y[train], apart[train], rng)
        given[test] = _regression((x[train] - mean) / std, y[train], strength).predict_proba((x[test] - mean) / std)
    mean, std = _scale(x)
    strength = _chosen(x, y, apart, rng)
    whole = _regression((x - mean) / std, y, strength)
    weight, bias = whole.coef_, whole.intercept_
    if len(classes) == 2:  # scikit-learn keeps the second class only
        weight, bias = np.concatenate([np.zeros_like(weight), weight]), np.concatenate([np.zeros_like(bias), bias])
    return Fitted(tuple(classes), mean, std, weight, bias, strength, given)


def fit_probe(images: str | Path, labels: str | Path | None = None, *, attribute: str, encoder: str, out: str | Path, rng: np.random.Generator,
              faces: str = "find", person: str | None = None, words: Mapping[str, str] | None = None, name: str | None = None,
              domain: str = "labelled images", assets: Sequence[str] = (), device: str = "cpu") -> tuple[Path, CalibrationFile]:  # fmt: skip
    """Fit a probe on labelled images and write it as a classifier that a spec can name.

    Args:
        images: folder, zip, tar or Parquet; see :func:`audit.labelled.pictures.open_labelled`.
        labels: table of labels; None = folders are named by class.
        attribute: what is read.
        encoder: data manifest of the encoder, a shipped name or a path.
        out: a folder for ``NAME.yaml``, ``NAME.safetensors`` and ``NAME.calibration.json``.
        rng: decides the folds.
        faces: "find" looks for faces first, "aligned" takes each image for one face.
        person: column of the table that says who is shown; images of one person are never on both sides of a fold.
        words: {word of the table: class}.
        name: of the probe; None = "ATTRIBUTE_probe".
        domain: what kind of images these are.
        assets: folders where files named by manifests are looked for.
        device: where the networks run.

    Returns:
        The path of the manifest, and the calibration that was written beside it.

    Raises:
        GenbiasError: images, labels or encoder cannot be used, or there are too few images of a class.
    """
    from audit.instruments.embedder import Embedder
    from audit.instruments.face_finder import FaceFinder

    if faces not in ("find", "aligned"):
        raise SpecError(f"faces is {faces!r}; expected 'find' (look for them) or 'aligned' (each image is one face)")
    if encoder.startswith("portraits"):
        raise SpecError(f"encoder {encoder!r} is built in for drawn portraits and has no manifest; a probe needs an encoder of photographs with one, "
                        "such as facenet_vggface2")  # fmt: skip
    described = load_manifest(encoder)
    embed = Embedder("features", described, search=assets, device=device)
    if embed._input.resize != "antialiased":
        raise InstrumentError(f"encoder {encoder!r} reads whole images with the resize {embed._input.resize!r}; a probe needs an encoder of faces")
    source, frame = open_labelled(images, labels, attributes=[attribute], group=person, words=words)
    table, features = read_labelled(source, frame, [*([FaceFinder(device=device)] if faces == "find" else []), embed])
    readable = table[f"{attribute}:{TRUTH}"].notna().to_numpy() & np.isfinite(features["features"]).all(axis=1)
    if person is not None:
        readable &= table["group"].notna().to_numpy()
    kept = table[readable]
    truth = kept[f"{attribute}:{TRUTH}"].astype(str).to_numpy(dtype=object)
    classes = ATTRIBUTES[attribute].classes if attribute in ATTRIBUTES else tuple(sorted(set(truth)))
    if len(classes) < 2:
        raise RecordError(f"the images show {len(classes)} classes of {attribute!r}; a probe needs two or more")
    fitted = fit(features["features"][readable], truth, classes, rng=rng, people=None if person is None else kept["group"].to_list())
    read = pd.DataFrame({f"{attribute}:{TRUTH}": table[f"{attribute}:{TRUTH}"]})
    for at, c in enumerate(classes):
        read[f"{attribute}:{c}"] = np.nan
        read.loc[readable, f"{attribute}:{c}"] = fitted.given[:, at]
    name = name or f"{attribute}_probe"
    calibration = calibrate(read, name=name, domain=domain, attributes=[attribute], classes={attribute: classes})
    path = _written(Path(out), name, fitted, attribute, described, encoder, embed._network.digest, faces, len(kept))
    calibration.write(path.with_name(f"{name}.calibration.json"))
    return path, calibration


def _folds(y: np.ndarray, apart: np.ndarray, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    seed = int(rng.integers(2**31))
    if len(np.unique(apart)) == len(apart):
        return list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(y, y))
    return list(StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(y, y, apart))


def _scale(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    std = x.std(axis=0)
    return x.mean(axis=0), np.where(std > 1e-12, std, 1.0)  # a feature that never changes says nothing and stays 0


def _chosen(x: np.ndarray, y: np.ndarray, apart: np.ndarray, rng: np.random.Generator) -> float:
    """Return the strength with the least mean log loss, every class counted alike; of equals the stronger penalty."""
    loss = np.zeros(len(STRENGTHS))
    for train, test in _folds(y, apart, rng):
        mean, std = _scale(x[train])
        weights = 1 / np.bincount(y[test], minlength=y.max() + 1)[y[test]]
        for at, strength in enumerate(STRENGTHS):
            said = _regression((x[train] - mean) / std, y[train], strength).predict_proba((x[test] - mean) / std)
            loss[at] -= (weights * np.log(np.clip(said[np.arange(len(test)), y[test]], 1e-12, None))).sum()
    return STRENGTHS[int(np.argmin(loss))]


def _regression(x: np.ndarray, y: np.ndarray, strength: float) -> "object":
    from sklearn.linear_model import LogisticRegression

    newton = x.shape[1] * len(np.unique(y)) <= NEWTON  # a handful of exact steps while the matrix of second derivatives is small
    solver = "newton-cholesky" if newton else "lbfgs"
    return LogisticRegression(C=strength, class_weight="balanced", max_iter=2000, tol=1e-5, solver=solver).fit(x, y)


def _written(out: Path, name: str, fitted: Fitted, attribute: str, encoder: Manifest, named: str, digest: str, faces: str, images: int) -> Path:
    from safetensors.numpy import save

    out.mkdir(parents=True, exist_ok=True)
    tensors = {k: np.ascontiguousarray(getattr(fitted, k), dtype=np.float32) for k in ("mean", "std", "weight", "bias")}
    weights = out / f"{name}.safetensors"
    write_whole(weights, save(tensors))
    if named.endswith((".yaml", ".yml")):
        named = str(Path(named).expanduser().resolve())
    assert encoder.contract is not None
    content = {
        "name": name.lower(),
        "kind": "classifier",
        "title": f"Linear probe for {attribute} on {encoder.title}",
        "format": "safetensors",
        "architecture": "probe",
        "parameters": {"encoder": named, "encoder_digest": digest, "strength": fitted.strength},
        "files": [{"name": weights.name, "path": weights.name, "bytes": weights.stat().st_size, "sha256": checksum(weights)}],
        "licence": f"that of your labelled images, and of the encoder: {encoder.licence}",
        "terms": encoder.terms,
        "caveats": [f"Fitted on {images:,} labelled images ({'faces found by MTCNN' if faces == 'find' else 'each image one face'}); its errors on "
                    f"images it had not seen are in {name}.calibration.json, and hold for images like those.", *encoder.caveats],
        "contract": {
            "input": encoder.contract.input.model_dump(mode="json", by_alias=True, exclude_defaults=True),  # type: ignore[union-attr]
            "output": {"heads": [{"attribute": attribute, "kind": "logits", "columns": list(range(len(fitted.classes))),
                                  "classes": {c: i for i, c in enumerate(fitted.classes)}}]},
        },
    }  # fmt: skip
    path = out / f"{name}.yaml"
    write_whole(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120).encode())
    load_manifest(path)
    return path
