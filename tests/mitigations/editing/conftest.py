"""A toy world in which every attribute is a known linear function of w, and who somebody is another part of w.

w has 8 numbers. Scores are logistic in s_a = <w, n_a>: smile reads number 0, gender number 1, age number 2. Numbers 5 to 7 say who it is.
The "image" carries w itself in its pixels, so the toy judge reads it without error but for rounding.
"""

import json

import numpy as np
import pytest
import torch
from torch import nn

from audit.attributes import ATTRIBUTES
from audit.collect import Pass, collect
from audit.records import Run
from audit.sources.base import OK
from audit.sources.latent import LatentSource
from audit.spec import Spec
from audit.study import StudyContext
from mitigations.editing import fits as fits_module

WIDTH, SIZE = 8, 16
AXES = {"smile": 0, "gender": 1, "age": 2, "skin_tone": 3}
SLOPE = 2.0
REACH = 16.0
"""w between -REACH and REACH becomes 0..255."""


class ToyMapping(nn.Module):
    """w = z, for all two layers."""

    def forward(self, z, c=None, *, truncation_psi=1.0, truncation_cutoff=None):
        return z.unsqueeze(1).repeat(1, 2, 1) * truncation_psi


class ToySynthesis(nn.Module):
    """Writes w of the first layer into the red pixels, in -1..1; differentiable."""

    def forward(self, ws, *, noise="const"):
        # High and low digits in two columns, so that 8 bits a pixel carry w finely enough.
        row = (ws[:, 0] / REACH).clamp(-1, 1)
        image = torch.zeros(len(ws), 3, SIZE, SIZE, dtype=ws.dtype)
        coarse = (row * 127).round() / 127
        image[:, 0, :WIDTH, 0] = coarse.detach() + (row - row.detach())
        image[:, 1, :WIDTH, 0] = ((row - coarse) * 127).detach()
        return image


class ToyGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.mapping, self.synthesis, self.z_dim = ToyMapping(), ToySynthesis(), WIDTH

    def forward(self, z, *, truncation_psi=1.0, noise="const"):
        return self.synthesis(self.mapping(z, truncation_psi=truncation_psi), noise=noise)


def codes_in(images):
    """Return (n, 8) codes that the pixels of uint8 images carry."""
    pixels = torch.stack(list(images)).double() / 127.5 - 1
    coarse = (pixels[:, 0, :WIDTH, 0] * 127).round() / 127
    return ((coarse + pixels[:, 1, :WIDTH, 0] / 127) * REACH).numpy()


def toy_probabilities(w, attribute):
    """Return (n, K) probabilities; for three classes two logistic steps one apart."""
    s = SLOPE * np.asarray(w, dtype=np.float64)[:, AXES[attribute]]
    above = [1 / (1 + np.exp(-s + shift)) for shift in ([0.0] if ATTRIBUTES[attribute].k == 2 else [-1.0, 1.0])]
    edges = np.stack([np.ones_like(s), *above, np.zeros_like(s)])
    return (edges[:-1] - edges[1:]).T


def unread(w, batch):
    """Return w with NaN where there was no image to read, as instruments give it back."""
    return np.where(np.array([s == OK for s in batch.status])[:, None], w, np.nan)


class ToyJudge:
    """Reads attributes (role classifier) off the pixels."""

    caveats, digest = (), "toy judge"

    def __init__(self, role="classifier"):
        self.role = role

    def read(self, batch):
        w = unread(codes_in(batch.images), batch)
        return {f"{self.role}:{a}:{c}": p for a in AXES for c, p in zip(ATTRIBUTES[a].classes, toy_probabilities(w, a).T, strict=True)}


class ToyIdentity:
    """Embeds numbers 5 to 7 of w, and a constant."""

    role, caveats, digest = "identity", (), "toy identity"

    def read(self, batch):
        w = unread(codes_in(batch.images), batch)
        rows = np.concatenate([w[:, 5:], np.ones((len(w), 1))], axis=1)
        return {"identity": (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)}


class ToyRater:
    """The second rater: reads like the judge."""

    name, digest, attributes = "toy", "toy rater", tuple(AXES)
    instrument = ToyJudge("second_rater")

    def scores(self, images):
        return {a: toy_probabilities(codes_in(images), a) for a in AXES}


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("GENBIAS_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def toy():
    return LatentSource("toy", ToyGenerator(), z_dim=WIDTH, digest="toy weights", call={"noise": "none"})


@pytest.fixture
def rater():
    return ToyRater()


@pytest.fixture
def settings():
    return fits_module.Settings(codes=1200, components=3, tried=24, steps=0)


@pytest.fixture(scope="session")
def carried_out(tmp_path_factory):
    """Return a function that collects toy sources into a run and carries out the study."""
    from mitigations.editing import study

    def carry_out(sources, edits, *, samples=300, gallery=0, seed=1, sampled=200):
        """``edits``: {name: (by, attribute, strength, unedited)}; other sources are unedited."""
        generators = {name: {"source": "callable", "call": "toy:toy"} for name in sources}
        for name, (by, attribute, strength, unedited) in edits.items():
            generators[name] |= {
                "compare_to": unedited,
                "sampler": {"method": "edit", "by": by, "attribute": attribute, "strength": strength},
            }
        spec = Spec.model_validate(
            {"name": "toy", "samples": samples, "gallery": gallery, "attributes": list(AXES), "generators": generators}
        )
        run = Run(tmp_path_factory.mktemp("run") / "run", {"toy": sorted(sources), "seed": seed})
        for name, source in sources.items():
            collect(source, [ToyJudge(), ToyIdentity()], run, plan=Pass(name, samples, seed, thumbnails=gallery))
        context = StudyContext(run, spec, dict(sources), [], [], {}, None, None, np.random.default_rng(0))
        found = study(context, resamples=sampled)
        json.dumps(found, allow_nan=False)
        return found

    return carry_out
