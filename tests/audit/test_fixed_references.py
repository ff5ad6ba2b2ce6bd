"""Published statistics as a reference: FID with an interval, the rest said to be not measured, wrong pairs refused."""

import numpy as np
import pytest

from audit.errors import ManifestError, SourceError, SpecError
from audit.estimates import Estimate, NotMeasured
from audit.fixed_references import hold_fixed, is_fixed, open_fixed
from audit.metrics.frechet import moments
from audit.metrics.replicates import estimate
from audit.sources.statistics import StatisticsSource
from audit.spec import ReferenceSpec, Spec


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("GENBIAS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GENBIAS_ASSETS", raising=False)
    np.savez(tmp_path / "mine_clean_custom_na.npz", mu=np.zeros(4), sigma=np.eye(4))
    return tmp_path


def spec(place, encoder="inception_2015_12_05", **reference):
    return Spec.model_validate({
        "name": "fixed", "instruments": {"encoder": encoder}, "assets": str(place),
        "reference": {"source": "statistics", "path": "mine_clean_custom_na"} | reference,
        "generators": {"a": {"source": "portraits", "population": "balanced"}},
    })  # fmt: skip


def test_a_reference_of_statistics_is_opened_by_name(place):
    made = spec(place)
    assert is_fixed(made.references[0])
    assert open_fixed(made.references[0], made).covariance.shape == (4, 4)
    assert not is_fixed(ReferenceSpec(source="folder", path="x"))


@pytest.mark.parametrize(
    ("encoder", "reference", "sentence"),
    [
        ("portraits", {}, "of another network than the built-in encoder"),
        ("inception_2015_12_05_legacy_tensorflow", {}, "made in clean-fid's mode 'clean'"),
        ("inception_2015_12_05", {"path": None}, "needs the key 'path'"),
    ],
)
def test_statistics_that_do_not_go_with_the_encoder_are_refused(place, encoder, reference, sentence):
    made = spec(place, encoder, **reference)
    with pytest.raises(SpecError, match=sentence):
        open_fixed(made.references[0], made)


def test_only_fid_is_measured_and_the_others_say_why():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 4)) + 1
    halves = np.array([np.ones(200, dtype=bool), *(rng.permutation(200) < 100 for _ in range(3))])
    found = hold_fixed(x, moments(rng.standard_normal((900, 4))), np.arange(200), halves)
    fid = estimate(found["fid"])
    assert isinstance(fid, Estimate)
    assert fid.low < fid.value < fid.high
    assert fid.method.endswith("reference statistics fixed")
    assert found["fid"].bias > 0
    for metric in ("kid", "precision", "recall", "density", "coverage"):
        assert isinstance(found[metric], NotMeasured)
        assert found[metric].reason.endswith(f"{metric} needs its images")


def test_images_of_one_latent_count_once():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.standard_normal((50, 4)) + 1, 4, axis=0)
    halves = np.ones((1, 200), dtype=bool)
    reference, ids = moments(rng.standard_normal((900, 4))), np.arange(200)
    alone = estimate(hold_fixed(x, reference, ids, halves)["fid"])
    grouped = estimate(hold_fixed(x, reference, ids, halves, units=np.repeat(np.arange(50), 4))["fid"])
    assert grouped.high - grouped.low > 1.7 * (alone.high - alone.low)


def test_the_source_has_a_digest_and_no_images(place):
    source = StatisticsSource("reference 0", "mine_clean_custom_na", search=[place])
    np.savez(place / "mine_clean_custom_na.npz", mu=np.ones(4), sigma=np.eye(4))
    assert source.digest != StatisticsSource("reference 0", "mine_clean_custom_na", search=[place]).digest
    assert source.count == 0
    with pytest.raises(SourceError, match="published statistics and has no images to draw"):
        source.draw(np.arange(1), np.arange(1))
    with pytest.raises(ManifestError, match="no statistics are called 'other'"):
        StatisticsSource("reference 0", "other", search=[place])
