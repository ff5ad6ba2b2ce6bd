"""The search finds planted groups, keeps its books, and stops where it should."""

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from torch import nn

from audit.attributes import ATTRIBUTES
from audit.errors import SourceError, SpecError
from audit.sources.latent import LatentSource
from mitigations.rebalancing import balanced_set, effective_lineages, evolve, latent_spread, rejection
from mitigations.rebalancing.balanced import BalancedSet
from mitigations.rebalancing.scan import PriorScan, images_of

EDGES = [0.70, 0.90]
"""Planted shares of skin_tone: 0.70 light, 0.20 medium, 0.10 dark."""


class Planted(nn.Module):
    """A grey image whose brightness is the normal CDF of z_0: uniform under the prior."""

    def __init__(self):
        super().__init__()
        self.drawn = 0

    def forward(self, z):
        self.drawn += len(z)
        grey = torch.from_numpy(ndtr(z[:, 0].double().numpy())).float() * 2 - 1
        images = grey.view(-1, 1, 1, 1).repeat(1, 3, 2, 2)
        images[:, :, 1, 1] = -1  # the range shows in every image
        return images


class Brightness:
    """Reads the planted group off the brightness."""

    attribute, classifier, digest = "skin_tone", "toy", "toy"
    cells = ATTRIBUTES["skin_tone"].classes

    def labels(self, batch):
        return np.digitize(torch.stack(batch.images)[:, 0, 0, 0].numpy() / 255, EDGES)


def _source(prior="normal", z_dim=8):
    return LatentSource("toy", Planted(), z_dim=z_dim, digest="toy", prior=prior)


def _labels(source, latents):
    return Brightness().labels(images_of(source, latents))


def test_the_search_finds_the_planted_group():
    source = _source()
    kept = evolve(source, Brightness(), 2, 60, seed=1)
    assert kept.latents.shape == (60, 8) and kept.latents.dtype == np.float32
    assert (_labels(source, kept.latents) == 2).all()
    assert kept.generations.max() >= 1


def test_searching_costs_less_than_waiting_and_waiting_costs_one_over_the_share():
    searched, waited = evolve(_source(), Brightness(), 2, 400, seed=1), rejection(_source(), Brightness(), 2, 400, seed=1)
    assert waited.tries / 400 == pytest.approx(1 / 0.10, rel=0.15)  # 3 standard errors of 400 waits are 15 %
    assert searched.tries < waited.tries / 2
    assert (waited.generations == 0).all() and len(np.unique(waited.roots)) == 400


def test_the_books_count_every_draw():
    source = _source()
    kept = evolve(source, Brightness(), 2, 60, seed=1, batch=16)
    assert source.module.drawn == kept.tries == kept.scanned + kept.children
    assert kept.tries - kept.failures >= 60  # at most a batch beyond the quota
    assert kept.tries - kept.failures < 60 + 16


@pytest.mark.parametrize("cap", [1, 2, 5])
def test_no_lineage_keeps_more_than_its_cap(cap):
    kept = evolve(_source(), Brightness(), 2, 90, seed=2, max_per_root=cap)
    sizes = np.unique(kept.roots, return_counts=True)[1]
    assert sizes.max() == cap
    assert len(sizes) >= 90 / cap


def test_without_a_cap_few_roots_fill_the_quota():
    free = evolve(_source(), Brightness(), 2, 90, seed=2, max_per_root=None)
    assert len(np.unique(free.roots)) < 10
    assert effective_lineages(free.roots) < 5


def test_the_same_seed_gives_the_same_set_and_another_another():
    one, two, other = (evolve(_source(), Brightness(), 1, 50, seed=s) for s in (3, 3, 4))
    assert np.array_equal(one.latents, two.latents) and np.array_equal(one.roots, two.roots)
    assert not np.array_equal(one.latents, other.latents)


def test_a_child_is_one_step_from_a_kept_image_of_its_lineage():
    kept = evolve(_source(z_dim=64), Brightness(), 2, 80, seed=5, sigma=0.5)
    for i in np.flatnonzero(kept.generations > 0):
        parents = kept.latents[(kept.roots == kept.roots[i]) & (kept.generations == kept.generations[i] - 1)]
        assert np.linalg.norm(parents - kept.latents[i], axis=1).min() < 0.5 * 8 * 1.5  # |N(0, 0.25 I_64)| is 4 +- 0.35


def test_a_child_lies_further_from_the_root_than_some_parent_where_that_can_fail():
    kept = evolve(_source(z_dim=2), Brightness(), 2, 300, seed=5)  # in two dimensions, unlike in 128, the rule decides something
    roots = {r: z for r, z, g in zip(kept.roots, kept.latents, kept.generations, strict=True) if g == 0}
    distance = np.linalg.norm(kept.latents - np.array([roots[r] for r in kept.roots]), axis=1)
    later = np.flatnonzero(kept.generations > 1)
    assert len(later) > 50
    for i in later:
        assert distance[i] > distance[(kept.roots == kept.roots[i]) & (kept.generations == kept.generations[i] - 1)].min()


def test_generations_drift_from_their_root_as_the_closed_form_says():
    class Anything(Brightness):
        def labels(self, batch):
            return np.zeros(len(batch.images), dtype=int)

    source = _source(z_dim=512)
    kept = evolve(source, Anything(), 0, 800, seed=6, max_per_root=None, scan=PriorScan(source, Anything(), seed=6, batch=1))
    assert len(np.unique(kept.roots)) == 1
    root = kept.latents[0] / np.linalg.norm(kept.latents[0])
    for k in (1, 3, 5):
        some = kept.latents[(kept.generations == k) & (kept.roots == kept.roots[0])]
        cosine = (some @ root / np.linalg.norm(some, axis=1)).mean()
        assert cosine == pytest.approx(1 / np.sqrt(1 + 0.25 * k), abs=0.03)


def test_keeping_the_prior_keeps_the_length_of_a_latent():
    class Anything(Brightness):
        def labels(self, batch):
            return np.zeros(len(batch.images), dtype=int)

    sizes = {}
    for keep in (True, False):
        source = _source(z_dim=256)
        kept = evolve(
            source, Anything(), 0, 600, seed=6, max_per_root=None, keep_prior=keep, scan=PriorScan(source, Anything(), seed=6, batch=1)
        )
        late = kept.latents[kept.generations >= 4]
        sizes[keep] = float((late**2).mean())
    assert sizes[True] == pytest.approx(1, abs=0.1)
    assert sizes[False] > 1.8


def test_a_lineage_that_only_fails_ends():
    class OnlyPrior(Brightness):
        """Roots are labelled 2, descendants never."""

        def labels(self, batch):
            said = super().labels(batch)
            return said if batch.seeds.max() > 2**32 else np.zeros_like(said)  # latents given by row number are descendants

    kept = {m: evolve(_source(), OnlyPrior(), 2, 30, seed=9, max_failures=m, batch=1) for m in (0, 1, 20)}
    assert all((k.generations == 0).all() for k in kept.values())
    assert [k.children for k in kept.values()] == [29, 58, 87]  # one, two or all three children of every root but the last


def test_a_group_that_never_occurs_says_how_many_draws_were_tried():
    class Blind(Brightness):
        def labels(self, batch):
            return np.zeros(len(batch.images), dtype=int)

    for find in (evolve, rejection):
        with pytest.raises(SourceError, match="no image labelled 'dark' among 300 draws of 'toy'"):
            find(_source(), Blind(), 2, 5, seed=0, budget=300)
        with pytest.raises(SourceError, match="of 5,000 images labelled 'dark' after 300 draws"):
            find(_source(), Brightness(), 2, 5000, seed=0, budget=300)


def test_unread_images_are_failures_and_never_kept():
    class Half(Brightness):
        def labels(self, batch):
            said = super().labels(batch)
            return np.where(np.arange(len(said)) % 2, said, -1)

    kept = evolve(_source(), Half(), 0, 40, seed=0)
    assert len(kept.latents) == 40 and kept.failures >= kept.tries * 0.45


@pytest.mark.parametrize(("change", "words"), [({"target_cell": 3}, "no group 3"), ({"quota": 0}, "quota")])
def test_what_cannot_be_searched_is_a_sentence(change, words):
    with pytest.raises(SourceError, match=words):
        evolve(_source(), Brightness(), **{"target_cell": 0, "quota": 1, "seed": 0, **change})


def test_a_uniform_latent_is_refused_by_the_search_and_taken_by_rejection():
    with pytest.raises(SourceError, match="uniform"):
        evolve(_source("uniform"), Brightness(), 0, 5, seed=0)
    assert len(rejection(_source("uniform"), Brightness(), 0, 5, seed=0).latents) == 5


@pytest.mark.parametrize("method", ["search", "rejection", "mixed"])
def test_a_balanced_set_holds_as_many_of_every_cell_and_says_what_it_cost(method):
    source = _source()
    made = balanced_set(source, Brightness(), 50, method, seed=1)
    assert np.bincount(made.labels).tolist() == [50, 50, 50]
    assert (_labels(source, made.latents) == made.labels).all()
    assert source.module.drawn == made.calls + 150  # the last line drew the set again
    assert [c.cell for c in made.cells] == ["light", "medium", "dark"]
    assert made.shares == pytest.approx([0.7, 0.2, 0.1], abs=0.15)
    assert all(c.roots == 50 for c in made.cells) == (method == "rejection")


def test_mixing_keeps_more_lineages_than_searching_and_costs_less_than_rejection():
    searched, mixed, waited = (
        balanced_set(_source(), Brightness(), 200, m, seed=1, prior_draws=900) for m in ("search", "mixed", "rejection")
    )
    assert searched.cells[2].effective < mixed.cells[2].effective < waited.cells[2].effective == 200
    assert mixed.calls < 0.75 * waited.calls
    assert mixed.cells[2].roots == pytest.approx(90, abs=30)
    assert mixed.cells[0].tries_per_kept == pytest.approx(1 / 0.7, rel=0.2)  # a frequent group does not pay for a rare one


def test_an_interrupted_set_continues_without_drawing_again_and_ends_the_same(tmp_path):
    class Counts(Brightness):
        calls, most = 0, 10**9

        def labels(self, batch):
            self.calls += 1
            if self.calls >= self.most:
                raise KeyboardInterrupt
            return super().labels(batch)

    reader = Counts()
    whole = balanced_set(_source(), reader, 40, "search", seed=1)
    reader.calls, reader.most = 0, reader.calls
    with pytest.raises(KeyboardInterrupt):
        balanced_set(_source(), reader, 40, "search", seed=1, folder=tmp_path)
    source = _source()
    again = balanced_set(source, Brightness(), 40, "search", seed=1, folder=tmp_path)
    assert np.array_equal(again.latents, whole.latents) and again.calls == whole.calls
    assert source.module.drawn < whole.calls
    finished = _source()
    balanced_set(finished, Brightness(), 40, "search", seed=1, folder=tmp_path)
    assert finished.module.drawn == 0


def test_a_set_is_read_back_as_it_was_written(tmp_path):
    made = balanced_set(_source(), Brightness(), 20, "mixed", seed=1)
    made.save(tmp_path / "set.npz")
    back = BalancedSet.load(tmp_path / "set.npz")
    assert np.array_equal(back.latents, made.latents) and np.array_equal(back.roots, made.roots)
    assert back.cells == made.cells and back.calls_per_kept == made.calls_per_kept


def test_an_unknown_method_is_a_sentence():
    with pytest.raises(SpecError, match="search, rejection, mixed"):
        balanced_set(_source(), Brightness(), 5, "luck", seed=0)


def test_effective_lineages_and_spread_have_their_closed_forms():
    assert effective_lineages(np.arange(10)) == 10
    assert effective_lineages(np.zeros(10)) == 1
    assert effective_lineages(np.array([])) == 0
    rng = np.random.default_rng(0)
    assert latent_spread(rng.standard_normal((400, 512)), rng=rng) == pytest.approx(1, abs=0.01)
    assert latent_spread(np.ones((5, 4)), rng=rng) == pytest.approx(0, abs=1e-6)
    assert np.isnan(latent_spread(np.ones((1, 4)), rng=rng))
