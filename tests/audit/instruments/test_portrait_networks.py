import numpy as np
import pytest
import torch

from audit.errors import InstrumentError
from audit.instruments.portraits import PortraitNetwork
from audit.portraits import draw, population
from audit.sources.base import OK, Batch

IDS = np.arange(64, dtype=np.uint64)


@pytest.fixture(scope="module")
def images():
    return list(draw(population("balanced").for_seeds(IDS), IDS))


def _batch(images, status=None):
    ids = np.arange(len(images))
    return Batch(ids, ids.astype(np.uint64), images, status or [OK] * len(images))


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("name", ["encoder", "identity", "portraits_a", "portraits_b"])
def test_readings_do_not_depend_on_the_batch(images, name, batch):
    reader = PortraitNetwork("r", name)
    whole = reader.read(_batch(images))
    parts = [reader.read(_batch(images[i : i + batch])) for i in range(0, 64, batch)]
    for column, values in whole.items():
        joined = np.concatenate([p[column] for p in parts])
        assert np.abs(joined - values).max() < 1e-5 * max(1.0, np.abs(values).max())


@pytest.mark.parametrize("name", ["portraits_a", "portraits_b"])
def test_classifiers_read_what_was_drawn(images, name):
    truth = population("balanced").for_seeds(IDS)
    said = PortraitNetwork("r", name).read(_batch(images))
    for attribute, classes in (("gender", ["feminine", "masculine"]), ("smile", ["neutral", "smiling"])):
        given = np.array(classes)[np.stack([said[f"r:{attribute}:{c}"] for c in classes]).argmax(axis=0)]
        assert (given == truth[attribute]).mean() > 0.95


def test_probabilities_add_to_one_and_missing_images_have_none(images):
    said = PortraitNetwork("r", "portraits_a").read(_batch(images[:3], [OK, "not finite", OK]))
    total = sum(said[f"r:skin_tone:{c}"] for c in ("light", "medium", "dark"))
    assert np.allclose(total[[0, 2]], 1, atol=1e-5)
    assert np.isnan(total[1])


def test_two_shots_of_a_person_are_nearer_than_two_people():
    people = np.repeat(np.arange(100, dtype=np.uint64), 2)
    faces = population("balanced").for_seeds(people)
    shots = draw(faces, np.arange(200, dtype=np.uint64) + 10**6, identities=people)
    embedded = PortraitNetwork("r", "identity").read(_batch(list(shots)))["r"]
    assert np.allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-5)
    similarity = embedded @ embedded.T
    same = similarity[np.arange(0, 200, 2), np.arange(1, 200, 2)]
    assert same.mean() > similarity.mean() + 0.4


def test_other_sizes_are_resized(images):
    large = torch.nn.functional.interpolate(torch.stack(images[:4]).float(), scale_factor=2).to(torch.uint8)
    small = PortraitNetwork("r", "portraits_a").read(_batch(images[:4]))
    resized = PortraitNetwork("r", "portraits_a").read(_batch(list(large)))
    assert np.abs(small["r:gender:feminine"] - resized["r:gender:feminine"]).max() < 0.2


def test_a_generator_cannot_serve_as_an_instrument():
    with pytest.raises(InstrumentError, match="cannot serve as classifier"):
        PortraitNetwork("classifier", "stylegan2")
