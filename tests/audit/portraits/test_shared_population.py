"""Populations whose minority share is set, for the study of amplification."""

import numpy as np
import pytest

from audit.errors import SourceError
from audit.portraits import known_population, population
from audit.sources.portraits import PortraitsSource


@pytest.mark.parametrize("share", [0.5, 0.3, 0.05])
def test_the_feminine_share_is_what_was_asked_and_all_else_stays(share):
    given, own = population(f"professors:{share}"), population("professors")
    assert given.shares("gender")[0] == pytest.approx(share)
    for attribute in ("skin_tone", "age", "smile"):
        np.testing.assert_allclose(given.shares(attribute), own.shares(attribute))


def test_the_named_share_of_professors_is_a_fifth():
    np.testing.assert_allclose(population("professors:0.2").table, population("professors").table)


@pytest.mark.parametrize("name", ["professors:0", "professors:1.5", "professors:many", "balanced:0.2", "professors:"])
def test_a_share_that_is_none_is_a_sentence(name):
    assert not known_population(name)
    with pytest.raises(SourceError):
        population(name)


def test_a_smaller_size_draws_smaller_portraits_under_another_digest():
    small, usual = PortraitsSource("a", "balanced", 32), PortraitsSource("a", "balanced")
    batch = small.draw(np.arange(2), np.array([1, 2], dtype=np.uint64))
    assert batch.images[0].shape == (3, 32, 32)
    assert small.digest != usual.digest
    assert PortraitsSource("a", "balanced", 64).digest == usual.digest
