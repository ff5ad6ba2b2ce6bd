"""Runs written by hand: records and features of generators whose shares and quality we chose; no image, no model."""

import numpy as np
import pandas as pd
import pytest

from audit.attributes import ATTRIBUTES
from audit.calibrations import Calibration
from audit.records import Run
from audit.spec import Spec

N = 260
SHIFT = {"feminine": 0.0, "masculine": 7.0}


def rows(n, gender, tone, *, wrong=0.0, rng):
    """Return a record: the classifier reads gender and tone as planted, the second rater gets a share of genders wrong."""
    frame = {"id": np.arange(n), "status": "ok"}
    for role in ("classifier", "second_rater"):
        flip = rng.random(n) < (wrong if role == "second_rater" else 0.0)
        read = {"gender": np.where(flip, 1 - gender, gender), "skin_tone": tone, "age": tone, "smile": gender}
        for attribute in ATTRIBUTES.values():
            for at, name in enumerate(attribute.classes):
                frame[f"{role}:{attribute.name}:{name}"] = np.where(read[attribute.name] == at, 0.9, 0.1 / (attribute.k - 1))
    return pd.DataFrame(frame)


def drawn(rng, gender, spread=1.0, shift=0.0):
    """Return features in which the two genders lie far apart."""
    return (rng.standard_normal((len(gender), 5)) * spread + shift + 7 * gender[:, None]).astype(np.float32)


@pytest.fixture(scope="session")
def planted(tmp_path_factory):
    """A function that writes a run; generators are {name: (share feminine, spread, shift)}, paired through common luck."""

    def write(n=N, references=("balanced", "training"), identity=True, **generators):
        rng = np.random.default_rng(3)
        luck, order, noise = rng.random(n), rng.random(n), rng.standard_normal((n, 5))
        run = Run(tmp_path_factory.mktemp("planted") / "run", {"seed": 1})
        for name, (feminine, spread, shift) in generators.items():
            gender, tone = (luck > feminine).astype(int), np.minimum((order * 3).astype(int), 2)
            features = {"encoder": (noise * spread + shift + 7 * gender[:, None]).astype(np.float32)}
            if identity:
                features["identity"] = (noise[:, :4] * spread + 1).astype(np.float32)
            run.write_shard(name, 0, rows(n, gender, tone, wrong=0.1, rng=rng), features, {})
        for label in references:
            gender, tone = np.arange(n) % 2, np.arange(n) % 3
            run.write_shard(f"reference-{label}", 0, rows(n, gender, tone, rng=rng), {"encoder": drawn(rng, gender)}, {})
        first = next(iter(generators))
        spec = Spec.model_validate({
            "name": "planted", "samples": n, "attributes": ["gender", "skin_tone", "gender*skin_tone"],
            "instruments": {"classifier": "portraits_a", "second_rater": "portraits_b", "encoder": "portraits",
                            "identity": "portraits" if identity else None},
            "reference": [{"source": "portraits", "population": p, "role": r}
                          for r, p in (("balanced", "balanced"), ("training", "celeb_like")) if r in references],
            "generators": {name: {"source": "portraits", "population": "balanced",
                                  "compare_to": None if name == first else first} for name in generators},
        })  # fmt: skip
        return run, spec

    return write


@pytest.fixture(scope="session")
def calibration():
    """A classifier that is right 95 times in a hundred, calibrated on 36,000 images."""
    wrong = [[i, (i + 1) % 36, 50] for i in range(36)]
    return Calibration("portraits_a", 36_000, "drawn portraits", tuple(ATTRIBUTES), np.array([[i, i, 950] for i in range(36)] + wrong))
