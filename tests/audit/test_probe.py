"""A probe finds what was planted, says honestly how often it errs, and is a classifier a spec can name."""

import hashlib
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image
from torch import nn

from audit.errors import InstrumentError, RecordError, SpecError
from audit.instruments import open_instruments
from audit.labelled.calibration_file import read_calibration_file
from audit.probe import fit, fit_probe
from audit.probe_command import probe
from audit.sources.folder import FolderSource
from audit.spec import InstrumentsSpec


class Means(nn.Module):
    """Mean colours, and one number that never changes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x.mean(dim=(2, 3)), torch.ones(x.shape[0], 1)], dim=1)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of the format
        torch.jit.save(torch.jit.trace(Means(), torch.zeros(2, 3, 8, 8)), folder / "means.pt")
    content = {"name": "means", "kind": "encoder", "title": "Mean colours", "format": "torchscript", "licence": "MIT",
               "files": [{"name": "means.pt", "path": "means.pt", "sha256": hashlib.sha256((folder / "means.pt").read_bytes()).hexdigest()}],
               "contract": {"input": {"size": 8}, "output": {"features": 4}}}  # fmt: skip
    (folder / "means.yaml").write_text(yaml.safe_dump(content))
    return folder / "means.yaml"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Feminine is red, masculine is blue, five in forty are the other way round."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name, channel in (("female", 0), ("male", 2)):
        (folder / name).mkdir()
        for i in range(40):
            pixels = rng.integers(0, 60, (12, 12, 3), dtype=np.uint8)
            pixels[..., channel if i % 8 else 2 - channel] += 150
            Image.fromarray(pixels).save(folder / name / f"{i:02}.png")
    return folder


def planted(rng, n=120, apart=2.0, noise=6):
    truth = rng.permutation(np.repeat(["a", "b"], n // 2))
    features = rng.standard_normal((n, 1 + noise)) * 5 + 100
    features[:, 0] = rng.standard_normal(n) + apart * (truth == "b")
    return features, truth


def test_the_probe_reads_the_direction_that_was_planted():
    features, truth = planted(np.random.default_rng(0), n=400, apart=4)
    found = fit(features, truth, ["a", "b"], rng=np.random.default_rng(1))
    direction = np.abs(found.weight[1] - found.weight[0])  # per standard deviation
    assert direction[0] > 5 * direction[1:].max()
    assert (found.given.argmax(axis=1) == (truth == "b")).mean() == pytest.approx(0.977, abs=0.025)  # Phi(2)
    assert np.allclose(found.given.sum(axis=1), 1)


def test_labels_drawn_at_random_are_read_rightly_half_the_time_and_not_more():
    rng = np.random.default_rng(2)
    features = rng.standard_normal((80, 60))  # so many features that the training images are separated without error
    truth = rng.permutation(np.repeat(["a", "b"], 40))
    found = fit(features, truth, ["a", "b"], rng=np.random.default_rng(3))
    assert 0.3 < (found.given.argmax(axis=1) == (truth == "b")).mean() < 0.7


def test_one_person_is_never_on_both_sides():
    # Each person has a feature of their own that gives the label away; kept apart, nothing can be learnt from it.
    rng = np.random.default_rng(4)
    person = np.repeat(np.arange(40), 4)
    truth = np.array(["a", "b"])[rng.permutation(np.repeat([0, 1], 20))][person]
    features = np.eye(40)[person] + rng.standard_normal((160, 40)) * 0.01
    mixed = fit(features, truth, ["a", "b"], rng=np.random.default_rng(5))
    apart = fit(features, truth, ["a", "b"], rng=np.random.default_rng(5), people=person)
    assert (mixed.given.argmax(axis=1) == (truth == "b")).mean() > 0.95
    assert (apart.given.argmax(axis=1) == (truth == "b")).mean() < 0.75


def test_the_same_rng_gives_the_same_probe():
    features, truth = planted(np.random.default_rng(0))
    first, second, other = (fit(features, truth, ["a", "b"], rng=np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(first.given, second.given)
    assert not np.array_equal(first.given, other.given)


def test_too_few_images_of_a_class_are_refused():
    features, truth = planted(np.random.default_rng(0))
    with pytest.raises(RecordError, match="class 'c' has 0 images with a readable face; a probe needs at least 10"):
        fit(features, truth, ["a", "b", "c"], rng=np.random.default_rng(0))


def test_a_probe_of_a_labelled_folder_is_a_classifier_with_its_calibration(tmp_path, encoder, pictures):
    path, made = fit_probe(pictures, attribute="gender", encoder=str(encoder), out=tmp_path, faces="aligned", rng=np.random.default_rng(0))
    assert made.confusion("gender").tolist() == [[35, 5], [5, 35]]  # the five that lie
    assert read_calibration_file(tmp_path / "gender_probe.calibration.json").confusion("gender").tolist() == [[35, 5], [5, 35]]
    reader = open_instruments(InstrumentsSpec(classifier=str(path)))[0]
    source = FolderSource(pictures, name="p")
    ids = np.arange(source.count)
    read = reader.read(source.draw(ids, ids.astype(np.uint64)))
    feminine = np.array([f.startswith("female") for f in source.files])
    assert ((read["classifier:gender:feminine"] > 0.5) == feminine).mean() == pytest.approx(70 / 80)
    assert np.allclose(read["classifier:gender:feminine"] + read["classifier:gender:masculine"], 1)
    assert any("hold for images like those" in c for c in reader.caveats)


def test_a_probe_on_another_encoder_is_refused(tmp_path, encoder, pictures):
    path, _ = fit_probe(pictures, attribute="gender", encoder=str(encoder), out=tmp_path, faces="aligned", rng=np.random.default_rng(0))
    content = yaml.safe_load(path.read_text())
    content["parameters"]["encoder_digest"] = "0" * 64
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InstrumentError, match="was fitted on features of another encoder"):
        open_instruments(InstrumentsSpec(classifier=str(path)))


@pytest.mark.parametrize("name", ["portraits", "portraits_a"])
def test_a_network_of_the_built_in_world_is_no_encoder_for_a_probe(tmp_path, pictures, name):
    with pytest.raises(SpecError, match=f"encoder '{name}' is built in for drawn portraits"):
        fit_probe(pictures, attribute="gender", encoder=name, out=tmp_path, rng=np.random.default_rng(0))


def test_the_command_takes_a_table_and_says_what_to_put_into_a_spec(tmp_path, encoder, pictures):
    rows = [{"file": f"{n}/{i:02}.png", "look": n} for n in ("female", "male") for i in range(40)]
    pd.DataFrame(rows).to_csv(tmp_path / "labels.csv", index=False)
    words = ["fit", str(pictures), "--labels", str(tmp_path / "labels.csv"), "--attribute", "look", "--encoder", str(encoder),
             "--faces", "aligned", "--out", str(tmp_path / "probe"), "--device", "cpu"]  # fmt: skip
    done = CliRunner().invoke(probe, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert "look: classes read rightly 87.5% on average" in done.output
    assert "calibration: " in done.output
    assert (tmp_path / "probe" / "look_probe.yaml").is_file()
