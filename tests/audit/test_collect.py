import threading
from concurrent.futures import Future

import numpy as np
import pandas as pd
import pytest
import torch

from audit.collect import Ledger, Pass, Portions, Sides, collect, collect_shard
from audit.errors import RunError, SourceError
from audit.memory import ran_out_of_memory
from audit.records import Run
from audit.sources.base import OK, Batch
from audit.sources.portraits import PortraitsSource


class CountingSource:
    """Portraits that remember which ids were drawn."""

    name, digest, count, caveats = "counting", "0", None, ()

    def __init__(self, count=None):
        self.count, self.drawn = count, []
        self._inner = PortraitsSource("inner", "balanced")

    def draw(self, ids, seeds):
        self.drawn += ids.tolist()
        return self._inner.draw(ids, seeds)


class MeanColour:
    role, digest, caveats = "colour", "0", ()

    def __init__(self, role="colour"):
        self.role = role

    def read(self, batch):
        means = np.stack([image.float().mean(dim=[1, 2]).numpy() for image in batch.images])
        return {f"{self.role}:red": means[:, 0], self.role: means.astype(np.float32)}


def _collected(tmp_path, name, **plan):
    source, run = CountingSource(plan.pop("count", None)), Run(tmp_path / name, {"seed": 1})
    collect(source, [MeanColour()], run, plan=Pass("g", seed=1, **plan))
    return source, run


def test_each_image_is_drawn_once_however_many_instruments_read_it(tmp_path):
    source, run = CountingSource(), Run(tmp_path, {"seed": 1})
    collect(source, [MeanColour(f"i{k}") for k in range(5)], run, plan=Pass("g", 50, seed=1, batch=8, shard=20))
    assert source.drawn == list(range(50))
    assert {f"i{k}:red" for k in range(5)} <= set(run.frame("g"))


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_batch_size_changes_nothing(tmp_path, batch):
    _, whole = _collected(tmp_path, "whole", images=40, batch=40)
    _, parts = _collected(tmp_path, "parts", images=40, batch=batch, shard=16)
    pd.testing.assert_frame_equal(whole.frame("g"), parts.frame("g"), rtol=1e-6)
    assert np.abs(whole.features("g", "colour") - parts.features("g", "colour")).max() < 1e-4


def test_a_second_call_draws_nothing_and_changes_nothing(tmp_path):
    _, run = _collected(tmp_path, "r", images=30, batch=8, shard=10)
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    again = CountingSource()
    collect(again, [MeanColour()], run, plan=Pass("g", 30, seed=1, batch=8, shard=10))
    assert again.drawn == []
    assert {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()} == before


def test_a_lost_shard_is_drawn_again_and_only_that_one(tmp_path):
    _, run = _collected(tmp_path, "r", images=30, batch=8, shard=10)
    expected = run.frame("g")
    (run.path / "samples/g/shard-00001.parquet").unlink()
    again = CountingSource()
    collect(again, [MeanColour()], run, plan=Pass("g", 30, seed=1, batch=8, shard=10))
    assert again.drawn == list(range(10, 20))
    pd.testing.assert_frame_equal(run.frame("g"), expected)


@pytest.mark.parametrize("file", ["samples/g/shard-00001.parquet", "features/g/colour/shard-00001.npy"])
@pytest.mark.parametrize("harm", ["truncated", "altered", "lost"])
def test_a_shard_that_was_harmed_is_drawn_again_and_only_that_one(tmp_path, file, harm):
    _, run = _collected(tmp_path, "r", images=30, batch=8, shard=10)
    path, whole = run.path / file, (run.path / file).read_bytes()
    if harm == "lost":
        path.unlink()
    else:
        path.write_bytes(whole[:-7] if harm == "truncated" else bytes([*whole[:60], whole[60] ^ 1, *whole[61:]]))
    again = CountingSource()
    collect(again, [MeanColour()], run, plan=Pass("g", 30, seed=1, batch=8, shard=10))
    assert again.drawn == list(range(10, 20))
    assert path.read_bytes() == whole


class Hungry(CountingSource):
    """Cannot draw more than some images at once."""

    def __init__(self, most, error):
        super().__init__()
        self.most, self.error = most, error

    def draw(self, ids, seeds):
        if len(ids) > self.most:
            raise self.error
        return super().draw(ids, seeds)


def _wrapped():
    problem = SourceError("the function failed")
    problem.__cause__ = MemoryError()
    return problem


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), _wrapped(),
                                   RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")])  # fmt: skip
def test_a_batch_that_memory_cannot_hold_is_halved_and_the_run_says_so(tmp_path, error):
    source, run = Hungry(5, error), Run(tmp_path / "few", {"seed": 1})
    collect(source, [MeanColour()], run, plan=Pass("g", 30, seed=1, batch=16, shard=20))
    _, whole = _collected(tmp_path, "whole", images=30, batch=16, shard=20)
    assert source.drawn == list(range(30))
    pd.testing.assert_frame_equal(run.frame("g"), whole.frame("g"), rtol=1e-6)
    assert run.notes("g") == ["memory ran out on 16 images of 'g' at once; went on with 8", "memory ran out on 8 images of 'g' at once; went on with 4"]
    assert whole.notes("g") == []


def test_a_reader_that_runs_out_of_memory_is_shown_fewer_images(tmp_path):
    class Greedy(MeanColour):
        def read(self, batch):
            if len(batch.ids) > 4:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().read(batch)

    run = Run(tmp_path, {"seed": 1})
    collect(CountingSource(), [Greedy()], run, plan=Pass("g", 12, seed=1, batch=8, shard=12))
    assert run.frame("g")["id"].tolist() == list(range(12))
    assert run.notes("g")


def test_a_single_image_that_memory_cannot_hold_ends_the_run_and_keeps_the_rest(tmp_path):
    with pytest.raises(RunError, match="memory ran out on a single image of 'g'") as caught:
        collect(Hungry(0, MemoryError()), [MeanColour()], Run(tmp_path, {"seed": 1}), plan=Pass("g", 6, seed=1, batch=4))
    assert caught.value.exit_code == 4


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    assert not ran_out_of_memory(RuntimeError("shapes do not match"))
    assert not ran_out_of_memory(SourceError("the function failed"))


def test_shards_read_in_any_order_give_the_same_run_and_the_same_gallery(tmp_path):
    from audit.instruments.skin_tone import SkinTone

    plan = Pass("g", 40, seed=1, batch=8, shard=8, thumbnails=12, attributes=("skin_tone",))
    run = Run(tmp_path / "forward", {"seed": 1})
    collect(CountingSource(), [SkinTone("skin_tone")], run, plan=plan)
    other = Run(tmp_path / "backward", {"seed": 1})
    ledger = Ledger(other, plan)
    for shard in (4, 2, 3, 0, 1):
        done = collect_shard(CountingSource(), [SkinTone("skin_tone")], other, plan, shard, tell=lambda n: None, portions=Portions(8))
        ledger.enter(shard, done)
        listed = [k for k in range(5) if other.has_shard("g", k, 8)]
        assert listed == {4: [], 2: [], 3: [], 0: [0], 1: [0, 1, 2, 3, 4]}[shard]
    kept = [{p.relative_to(r.path): p.read_bytes() for p in r.path.rglob("*.p*") if p.suffix in (".parquet", ".png")} for r in (run, other)]
    assert kept[0] == kept[1]
    from audit.gallery import picks

    assert {p.name for p in run.path.rglob("*.png")} == {f"{i:07d}.png" for i in picks(run.frame("g"), 12, ("skin_tone",))}


def _files(run):
    return {p.relative_to(run.path): p.read_bytes() for p in run.path.rglob("*.p*") if p.suffix in (".parquet", ".png", ".npy")}


def test_drawing_ahead_and_writing_behind_give_the_same_files(tmp_path):
    plan = Pass("g", 50, seed=1, batch=8, shard=20, thumbnails=6)
    run, other = Run(tmp_path / "one_by_one", {"seed": 1}), Run(tmp_path / "beside", {"seed": 1})
    collect(CountingSource(), [MeanColour()], run, plan=plan)
    ledger, side, source = Ledger(other, plan), Sides(), CountingSource()
    promised = [collect_shard(source, [MeanColour()], other, plan, k, tell=lambda n: None, portions=Portions(8), side=side) for k in ledger.missing]
    assert all(isinstance(p, Future) for p in promised)
    for shard, promise in zip(ledger.missing, promised, strict=True):
        ledger.enter(shard, promise.result())
    assert source.drawn == list(range(50))
    assert _files(run) == _files(other)


def test_the_next_batch_is_drawn_while_this_one_is_read(tmp_path):
    reading, drawn_meanwhile = threading.Event(), threading.Event()

    class Watched(CountingSource):
        def draw(self, ids, seeds):
            if ids[0] == 8 and reading.wait(10):
                drawn_meanwhile.set()
            return super().draw(ids, seeds)

    class Waiting(MeanColour):
        def read(self, batch):
            if batch.ids[0] == 0:
                reading.set()
                assert drawn_meanwhile.wait(10)
            return super().read(batch)

    plan = Pass("g", 16, seed=1, batch=8, shard=16)
    collect_shard(Watched(), [Waiting()], Run(tmp_path, {"seed": 1}), plan, 0, tell=lambda n: None, portions=Portions(8), side=Sides()).result()
    assert drawn_meanwhile.is_set()


def test_memory_that_runs_out_while_drawing_ahead_halves_the_batch_and_loses_nothing(tmp_path):
    class Narrow(CountingSource):
        def draw(self, ids, seeds):
            if len(ids) > 4:
                raise MemoryError
            return super().draw(ids, seeds)

    class Picky(MeanColour):
        def read(self, batch):
            if len(batch.ids) > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().read(batch)

    plan, run, portions = Pass("g", 24, seed=1, batch=16, shard=24), Run(tmp_path / "r", {"seed": 1}), Portions(16)
    entry, _ = collect_shard(Narrow(), [Picky()], run, plan, 0, tell=lambda n: None, portions=portions, side=Sides()).result()
    run.list_shard("g", 0, entry)
    assert run.frame("g")["id"].tolist() == list(range(24))
    assert portions.size == 2
    assert len(entry["notes"]) == 3


def test_a_source_that_breaks_while_drawing_ahead_is_told(tmp_path):
    class Breaking(CountingSource):
        def draw(self, ids, seeds):
            if ids[0] == 8:
                raise SourceError("the generator broke")
            return super().draw(ids, seeds)

    plan = Pass("g", 24, seed=1, batch=8, shard=24)
    with pytest.raises(SourceError, match="the generator broke"):
        collect_shard(Breaking(), [MeanColour()], Run(tmp_path, {"seed": 1}), plan, 0, tell=lambda n: None, portions=Portions(8), side=Sides())


def test_a_gallery_continued_after_an_interruption_is_that_of_an_uninterrupted_run(tmp_path):
    from audit.instruments.skin_tone import SkinTone

    plan = Pass("g", 40, seed=1, batch=8, shard=8, thumbnails=12, attributes=("skin_tone",))
    runs = [Run(tmp_path / name, {"seed": 1}) for name in ("whole", "parts")]
    collect(CountingSource(), [SkinTone("skin_tone")], runs[0], plan=plan)
    collect(CountingSource(), [SkinTone("skin_tone")], runs[1], plan=Pass(**{**vars(plan), "images": 16}))
    (runs[1].path / "samples/g/shard-00000.parquet").unlink()
    collect(CountingSource(), [SkinTone("skin_tone")], runs[1], plan=plan)
    shown = [{p.name: p.read_bytes() for p in r.path.rglob("*.png")} for r in runs]
    assert shown[0] == shown[1]


def test_a_clock_that_runs_backwards_and_files_from_the_future_change_nothing(tmp_path, monkeypatch):
    import os
    import time

    now = iter(range(2_000_000_000, 0, -100_000))
    monkeypatch.setattr("time.time", lambda: next(now))
    monkeypatch.setattr("tqdm.std.time", lambda: next(now))
    _, run = _collected(tmp_path, "r", images=30, batch=8, shard=10)
    assert all(seconds >= 0 for seconds in run.seconds("g").values())
    for path in run.path.rglob("*"):
        os.utime(path, (4e9, 4e9))
    again = CountingSource()
    collect(again, [MeanColour()], run, plan=Pass("g", 30, seed=1, batch=8, shard=10))
    assert again.drawn == []
    assert time.time() < 2_000_000_000  # the clock did run


def test_an_interrupted_run_ends_as_an_uninterrupted_one(tmp_path):
    class Dies(CountingSource):
        def draw(self, ids, seeds):
            if ids[0] >= 16:
                raise KeyboardInterrupt
            return super().draw(ids, seeds)

    plan = Pass("g", 30, seed=1, batch=8, shard=10, thumbnails=0)
    run = Run(tmp_path / "a", {"seed": 1})
    with pytest.raises(KeyboardInterrupt):
        collect(Dies(), [MeanColour()], run, plan=plan)
    collect(CountingSource(), [MeanColour()], run, plan=plan)
    _, whole = _collected(tmp_path, "b", images=30, batch=8, shard=10)
    pd.testing.assert_frame_equal(run.frame("g"), whole.frame("g"))


def test_a_source_with_fewer_images_gives_all_it_has(tmp_path):
    source, run = _collected(tmp_path, "r", images=30, count=12)
    assert len(run.frame("g")) == 12
    assert source.drawn == list(range(12))


def test_growing_a_run_keeps_the_images_it_has(tmp_path):
    _, run = _collected(tmp_path, "r", images=20, shard=10)
    again = CountingSource()
    collect(again, [MeanColour()], run, plan=Pass("g", 35, seed=1, shard=10))
    assert again.drawn == list(range(20, 35))
    assert run.frame("g")["id"].tolist() == list(range(35))


def test_a_run_asked_for_fewer_images_measures_just_those(tmp_path):
    _, run = _collected(tmp_path, "r", images=35, shard=10)
    collect(CountingSource(), [MeanColour()], run, plan=Pass("g", 14, seed=1, shard=10))
    assert run.frame("g")["id"].tolist() == list(range(14))
    assert len(run.features("g", "colour")) == 14


class Silent:
    role, digest, caveats = "silent", "0", ()

    def read(self, batch):
        return {"silent:ok": np.array([s == OK for s in batch.status])}


def test_an_image_that_could_not_be_drawn_is_a_row_with_its_reason(tmp_path):
    class Broken(CountingSource):
        def draw(self, ids, seeds):
            batch = super().draw(ids, seeds)
            status = ["not finite" if i == 3 else s for i, s in zip(ids, batch.status, strict=True)]
            return Batch(ids, seeds, batch.images, status)

    run = Run(tmp_path, {"seed": 1})
    collect(Broken(), [Silent()], run, plan=Pass("g", 6, seed=1, thumbnails=6))
    assert run.frame("g")["status"].tolist() == [OK] * 3 + ["not finite"] + [OK] * 2
    assert not (run.path / "gallery/g/0000003.png").exists()
    assert (run.path / "gallery/g/0000002.png").exists()


def test_generators_share_latents_and_references_do_not():
    from audit.seeds import image_seeds

    ids = np.arange(100)
    assert not set(image_seeds(1, ids)) & set(image_seeds(1, ids, stream="reference"))


@pytest.mark.parametrize("batch", [1, 7])
def test_a_network_draws_the_same_image_whatever_the_batch(batch):
    from audit.generators.stylegan2 import StyleGAN2
    from audit.seeds import image_seeds
    from audit.sources.latent import LatentSource

    torch.manual_seed(0)
    net = StyleGAN2(z_dim=16, w_dim=16, resolution=16, channels={4: 16, 8: 16, 16: 16}, mapping_layers=2)
    source = LatentSource("tiny", net, z_dim=16, digest="0")
    ids = np.arange(14)
    seeds = image_seeds(1, ids)
    whole = torch.stack(source.draw(ids, seeds).images).int()
    parts = torch.cat([torch.stack(source.draw(ids[i : i + batch], seeds[i : i + batch]).images) for i in range(0, 14, batch)]).int()
    assert (whole - parts).abs().max() <= 1  # one grey level where float32 sums in another order round differently
    assert (whole != parts).float().mean() < 1e-3
