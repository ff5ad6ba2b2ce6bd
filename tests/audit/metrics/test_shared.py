"""Shared resamplings: the numbers of the plain metrics, differences that cover, a set against itself, planted shifts."""

import numpy as np
import pytest

from audit import metrics
from audit.errors import MetricError
from audit.estimates import NotMeasured
from audit.metrics.frechet_pulls import cloud as plain_cloud
from audit.metrics.kernel import kernel_distance_full
from audit.metrics.replicates import Pulls, Resampled, difference, estimate
from audit.metrics.shared import NEIGHBOURS, frechet_replicates, kernel_pulls, neighbour_replicates, prepare

HALVES = 20


def halves(rng, n):
    keep = np.zeros((HALVES + 1, n), dtype=bool)
    keep[0] = True
    for row in keep[1:]:
        row[rng.permutation(n)[: n // 2]] = True
    return keep


def sets(rng, *features, units=None):
    """Return generated sets that share ids, units and halves, and the reference, which comes last."""
    n = len(features[0])
    keeps = [halves(rng, n) for _ in range(2)]
    sides = [0] * (len(features) - 1) + [1]
    return [prepare(f, np.arange(n), keeps[side], units=None if side else units) for f, side in zip(features, sides, strict=True)]


def fid(gen, ref):
    return frechet_replicates(gen.cloud, ref.cloud, gen.ids, units=gen.units, reference_units=ref.units)


def cloud(rng, n=120, d=6, scale=1.0, shift=0.0):
    return rng.standard_normal((n, d)) * scale + shift


def test_values_are_those_of_the_plain_metrics():
    rng = np.random.default_rng(0)
    x, y = cloud(rng, scale=0.8), cloud(rng)
    gen, ref = sets(rng, x, y)
    assert fid(gen, ref).value == pytest.approx(metrics.frechet_distance(x, y), rel=1e-12)
    assert kernel_pulls(x, y, gen.ids, within=gen.within, within_reference=ref.within).value == pytest.approx(kernel_distance_full(x, y))
    found, plain = neighbour_replicates(gen, ref), metrics.neighbour_metrics(x, y)
    assert [getattr(found, name).value for name in NEIGHBOURS] == list(plain)


def test_each_half_is_a_run_of_its_own_on_that_half():
    rng = np.random.default_rng(1)
    x, y = cloud(rng, n=60), cloud(rng, n=60)
    gen, ref = sets(rng, x, y)
    found = neighbour_replicates(gen, ref, block=17)
    for s in (1, 7, HALVES):
        own = metrics.neighbour_metrics(x[gen.keep[s]], y[ref.keep[s]])
        assert [getattr(found, name).again[s - 1] for name in NEIGHBOURS] == pytest.approx(list(own))


def test_kernel_intervals_are_those_of_leaving_out_each_image_in_turn():
    rng = np.random.default_rng(2)
    x, y = cloud(rng, n=12, shift=0.5), cloud(rng, n=9)
    plain, here = metrics.kernel_estimate(x, y), estimate(kernel_pulls(x, y, np.arange(12)))
    assert (here.value, here.low, here.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_the_bias_of_a_frechet_distance_is_what_halves_have_more_of_it():
    rng = np.random.default_rng(3)
    for n, d in ((60, 5), (24, 40)):
        gen, ref = sets(rng, cloud(rng, n, d), cloud(rng, n, d, scale=1.2))
        pairs = [(gen.keep[s] == first, ref.keep[s] == first) for s in (1, 2) for first in (True, False)]
        by_hand = [metrics.frechet_distance(gen.features[g], ref.features[r]) for g, r in pairs]
        found = fid(gen, ref)
        assert found.bias == pytest.approx(np.mean(by_hand) - found.value)
        made = estimate(found)
        assert made.high - made.value == pytest.approx(1.959964 * np.sqrt((found.own**2).sum() + (found.reference**2).sum()))
        assert made.value == found.value  # the bias is not taken off the published number


def every(candidate, baseline, reference, level=0.95):
    """Return the difference of every number."""
    found = []
    for side in (candidate, baseline):
        near = neighbour_replicates(side, reference)
        kid = kernel_pulls(side.features, reference.features, side.ids)
        found.append({"fid": fid(side, reference), "kid": kid, **{m: getattr(near, m) for m in NEIGHBOURS}})
    return {m: difference(found[0][m], found[1][m], level=level) for m in found[0]}


def test_a_run_against_itself_has_no_difference_and_p_of_one():
    rng = np.random.default_rng(4)
    x = cloud(rng)
    one, same, ref = sets(rng, x, x.copy(), cloud(rng))
    for metric, found in every(one, same, ref).items():
        assert found.difference.value == 0, metric
        assert found.p_value == 1
        assert found.difference.low <= 0 <= found.difference.high
        if metric in NEIGHBOURS:
            assert found.difference.high > 1 / 120  # equal in each half is not equal for images not drawn


def test_a_planted_shift_is_found_and_has_its_sign():
    rng = np.random.default_rng(5)
    x = cloud(rng)
    worse, base, ref = sets(rng, 0.4 * x + 1.5, x, cloud(rng))
    found = every(worse, base, ref)
    for metric, sign in (("fid", 1), ("kid", 1), ("recall", -1), ("coverage", -1)):
        assert found[metric].difference.value * sign > 0, metric
        assert found[metric].p_value < 0.001
        assert found[metric].difference.low * found[metric].difference.high > 0


def test_pairing_narrows_the_interval():
    rng = np.random.default_rng(6)
    x, other, y = cloud(rng), cloud(rng), cloud(rng)
    near, base, ref = sets(rng, x * 1.02, x, y)
    apart, _, _ = sets(np.random.default_rng(6), other * 1.02, x, y)
    for make in (lambda s: fid(s, ref), lambda s: kernel_pulls(s.features, y, s.ids)):
        paired, alone = (difference(make(s), make(base)).difference for s in (near, apart))
        assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


@pytest.mark.parametrize("change", ["none", "narrow", "moved"])
def test_differences_are_covered_on_gaussians(change):
    scale, shift = {"none": (1.0, 0.0), "narrow": (0.7, 0.0), "moved": (1.0, 0.4)}[change]
    rng, n = np.random.default_rng(7), 80

    def draw():
        z = cloud(rng, n=n)
        fresh = 0.6 * z + 0.8 * cloud(rng, n=n)  # as alike as a baseline and what was made of it
        return fresh * scale + shift, z, cloud(rng, n=n)

    def values(x, z, y):
        numbers = [[kernel_distance_full(s, y), *metrics.neighbour_metrics(s, y)] for s in (x, z)]
        return np.subtract(*map(np.array, numbers))

    truth = [6 * ((scale - 1) ** 2 + shift**2), *np.mean([values(*draw()) for _ in range(250)], axis=0)]  # of populations, for the first
    held, rounds = np.zeros(6), 60
    for _ in range(rounds):
        found = every(*sets(rng, *draw()))
        held += [f.difference.low <= t <= f.difference.high for f, t in zip(found.values(), truth, strict=True)]
    assert (held >= 51).all(), held  # 57 expected; 3 standard errors below, and the truth has an error of its own


def test_ids_of_one_side_only_count_with_their_own_pull():
    one = Pulls(1.0, np.array([0, 1, 5]), np.array([0.1, 0.2, -0.3]), np.array([0.5]), "distance")
    two = Pulls(0.4, np.array([1, 2]), np.array([0.2, 0.7]), np.array([0.5]), "distance")
    found = difference(one, two).difference
    assert found.high - found.value == pytest.approx(1.959964 * np.sqrt(0.1**2 + 0.3**2 + 0.7**2))
    assert found.n == 2


def test_what_was_not_measured_names_its_side():
    number = Resampled(1.0, np.zeros(3), 9, "share")
    found = difference(number, NotMeasured("too few", 4))
    assert found.difference == NotMeasured("baseline: too few", 4)
    assert found.p_value is None
    assert isinstance(kernel_pulls(np.ones((2, 3)), np.ones((5, 3)), np.arange(2)), NotMeasured)
    three = plain_cloud(np.ones((3, 2)), np.zeros((0, 3), dtype=bool))
    assert frechet_replicates(three, three, np.arange(3)) == NotMeasured("3 images in a set; four are needed", 3, "distance")


def test_numbers_made_apart_are_not_subtracted():
    one = Resampled(1.0, np.zeros(3), 9, "share")
    pulls = Pulls(1.0, np.arange(3), np.zeros(3), np.zeros(4), "distance")
    for other in (Resampled(1.0, np.zeros(4), 9, "share"), Resampled(1.0, np.zeros(3), 9, "ratio"), pulls):
        with pytest.raises(MetricError):
            difference(one, other)
    with pytest.raises(MetricError, match="reference images"):
        difference(pulls, Pulls(1.0, np.arange(3), np.zeros(3), np.zeros(5), "distance"))


def repeated(rng, n=120, times=3, **how):
    """Return features in which each picture occurs ``times`` times, and which it is."""
    units = np.arange(n) // times
    return cloud(rng, n=n // times, **how)[units], units


def test_units_of_one_image_each_are_images():
    rng = np.random.default_rng(8)
    x, z, y = cloud(rng, n=60), cloud(rng, n=60), cloud(rng, n=60)
    plain, alone = (sets(np.random.default_rng(9), x, z, y, units=u) for u in (None, np.arange(60) + 5))
    for make in (fid, lambda s, r: kernel_pulls(s.features, r.features, s.ids, units=s.units),
                 lambda s, r: neighbour_replicates(s, r).recall):  # fmt: skip
        one, two = ([make(s, side[2]) for s in side[:2]] for side in (plain, alone))
        assert estimate(one[0]).low == pytest.approx(estimate(two[0]).low)
        assert "units" not in estimate(two[0]).method
        assert difference(*one).difference.high == pytest.approx(difference(*two).difference.high)


def test_repeated_pictures_widen_what_images_would_say():
    rng = np.random.default_rng(10)
    (x, units), y = repeated(rng, scale=0.8), cloud(rng)
    plain, grouped = sets(np.random.default_rng(11), x, y), sets(np.random.default_rng(11), x, y, units=units)
    for make in (fid, lambda s, r: kernel_pulls(s.features, r.features, s.ids, units=s.units)):
        narrow, wide = estimate(make(*plain)), estimate(make(*grouped))
        assert wide.value == narrow.value
        assert wide.high - wide.value > 1.1 * (narrow.high - narrow.value)
        assert wide.method.endswith("over 40 units") and wide.n == 120


def test_one_unit_has_no_interval():
    pulls = Pulls(1.0, np.arange(9), np.linspace(-1, 1, 9), np.zeros(0), "distance", units=np.zeros(9, dtype=int))
    assert estimate(pulls) == NotMeasured("all 9 images are of one unit; an interval needs two units or more", 9, "distance")
    assert difference(pulls, pulls).p_value is None


def test_few_units_take_students_quantile():
    pulls = Pulls(1.0, np.arange(6), np.array([1.0, 1, -1, -1, 0, 0]), np.zeros(0), "ratio", units=np.array([0, 0, 1, 1, 2, 2]))
    assert estimate(pulls).high - 1 == pytest.approx(4.302653 * np.sqrt(8 * 3 / 2))
    halves_of_three = Resampled(0.5, np.array([0.4, 0.6, 0.5, 0.5]), 90, "ratio", 3)
    assert estimate(halves_of_three).high - 0.5 == pytest.approx(4.302653 * np.std([0.4, 0.6, 0.5, 0.5], ddof=1))


def test_sides_with_units_are_paired_by_unit_and_otherwise_by_id():
    own, ids = np.array([0.3, 0.3, -0.3, -0.3]), np.arange(4)
    units = np.array([7, 7, 8, 8])
    one = Pulls(1.0, ids, own, np.zeros(0), "ratio", units=units)
    other = Pulls(0.5, ids + 10, own, np.zeros(0), "ratio", units=units)  # other ids, the same prompts: they move alike
    found = difference(one, other).difference
    assert found.high == pytest.approx(found.low) and "paired units" in found.method
    plain = Pulls(0.5, ids, np.array([0.3, -0.3, -0.3, 0.3]), np.zeros(0), "ratio")
    mixed = difference(one, plain).difference  # by id: (0, 0.6, 0, -0.6), added within the candidate's units
    assert mixed.high - mixed.value == pytest.approx(12.706205 * np.sqrt(2 * 0.6**2 * 2))
    assert "paired ids, over 2 units" in mixed.method


def test_a_difference_of_frechet_distances_has_the_bias_taken_off_and_says_so():
    one, two = (Pulls(v, np.arange(3), np.array([0.1, 0, -0.1]), np.zeros(2), "distance", bias=b) for v, b in ((2.0, 0.5), (1.0, 0.2)))
    found = difference(one, two).difference
    assert found.value == pytest.approx(0.7)
    assert found.method.endswith("small-sample bias taken off")
    assert estimate(one).value == 2.0
