import numpy as np
from scipy import stats

from audit.seeds import image_seeds, normals, uniforms


def test_an_image_keeps_its_seed_whatever_is_drawn_with_it():
    ids = np.arange(1000)
    alone = np.concatenate([image_seeds(3, ids[i : i + 1]) for i in range(0, 1000, 97)])
    assert (image_seeds(3, ids)[::97] == alone).all()


def test_noise_is_bit_equal_whatever_the_batch():
    seeds = image_seeds(3, np.arange(64))
    together = normals(seeds, "z", 33)
    for size in (1, 7):
        apart = np.concatenate([normals(seeds[i : i + size], "z", 33) for i in range(0, 64, size)])
        assert apart.tobytes() == together.tobytes()


def test_streams_and_run_seeds_share_no_image():
    ids = np.arange(5000)
    sets = [image_seeds(s, ids, stream=t) for s in (0, 1) for t in ("image", "reference", "train")]
    assert len(np.unique(np.concatenate(sets))) == 30_000


def test_uniform_numbers_are_uniform_and_open():
    u = uniforms(image_seeds(1, np.arange(20_000)), "u", 2)
    assert u.min() > 0 and u.max() < 1
    assert stats.kstest(u[:, 0], "uniform").pvalue > 1e-3
    assert stats.kstest(u[:, 1], "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(u.T)[0, 1]) < 0.03


def test_normal_numbers_are_normal():
    z = normals(image_seeds(1, np.arange(20_000)), "z", 1)[:, 0]
    assert stats.kstest(z, "norm").pvalue > 1e-3
