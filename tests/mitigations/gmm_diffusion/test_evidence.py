"""Mixtures without labels: nothing to find in N(0, I), two Gaussians in two Gaussians."""

import numpy as np
import pytest

from audit.errors import SourceError
from audit.seeds import normals
from mitigations.gmm_diffusion.evidence import sentence, unsupervised_evidence


def test_one_gaussian_explains_the_prior_best_and_each_more_is_worse():
    one, two, four = unsupervised_evidence(normals(np.arange(8000, dtype=np.uint64), "z", 64))
    assert one.held_out > two.held_out > four.held_out
    assert one.bic < two.bic < four.bic
    assert one.held_out == pytest.approx(-32 * (np.log(2 * np.pi) + 1), abs=0.3)  # the entropy of N(0, I_64)


def test_two_gaussians_are_found_where_there_are_two():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 8))
    x[:, 3] += 6 * rng.integers(0, 2, 2000)
    one, two, _ = unsupervised_evidence(x)
    assert two.held_out > one.held_out + 0.3
    assert two.bic < one.bic


def test_only_the_first_coordinates_are_used():
    x = normals(np.arange(400, dtype=np.uint64), "z", 20)
    assert unsupervised_evidence(x, dims=5) == unsupervised_evidence(x[:, :5])


def test_the_sentence_has_the_numbers():
    found = unsupervised_evidence(normals(np.arange(2000, dtype=np.uint64), "z", 16), components=(1, 2))
    assert sentence(found, "x_T").startswith(
        f"Held-out log-likelihood of mixtures without labels at x_T, nats a latent: K=1: {found[0].held_out:.3f}"
    )
    assert sentence(found, "x_T").endswith("best K = 1")


def test_too_few_latents_are_a_sentence():
    with pytest.raises(SourceError, match="6 latents are too few to hold half out of a mixture of 4"):
        unsupervised_evidence(np.zeros((6, 3)))
