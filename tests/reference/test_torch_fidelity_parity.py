"""FID, KID, precision and recall from features equal torch-fidelity's."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from audit.metrics import frechet_distance, kernel_distance, kernel_distance_full, precision_recall


@pytest.fixture(scope="module")
def sets():
    rng = np.random.default_rng(1)
    scale = np.arange(1, 33.0) ** -0.5
    return [torch.from_numpy(x) for x in (rng.standard_normal((250, 32)) * scale + 0.1, rng.standard_normal((250, 32)))]


def test_the_frechet_distance_is_torch_fidelity_s(sets):
    theirs = fid_statistics_to_metric(*(fid_features_to_statistics(x) for x in sets), verbose=False)
    assert frechet_distance(*sets) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-9)


def test_the_kernel_distance_is_torch_fidelity_s_on_the_same_subset(sets):
    theirs = kid_features_to_metric(*sets, kid_subsets=1, kid_subset_size=250, verbose=False)
    assert kernel_distance_full(*sets) == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)


def test_the_mean_over_subsets_lies_where_torch_fidelity_s_does(sets):
    theirs = kid_features_to_metric(*sets, kid_subsets=200, kid_subset_size=100, verbose=False)
    ours = kernel_distance(*sets, rng=np.random.default_rng(0), subsets=200, subset_size=100)
    spread = theirs["kernel_inception_distance_std"] / np.sqrt(200)
    assert abs(ours - theirs["kernel_inception_distance_mean"]) < 4 * np.sqrt(2) * spread


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_and_recall_are_torch_fidelity_s_and_not_swapped(sets, k):
    theirs = prc_features_to_metric(*sets, prc_neighborhood=k, prc_batch_size=64, save_cpu_ram=False, verbose=False)
    ours = precision_recall(generated=sets[0], reference=sets[1], k=k)
    assert ours == pytest.approx((theirs["precision"], theirs["recall"]), abs=1e-6)
    assert ours.precision != ours.recall
