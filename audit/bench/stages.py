"""Each stage of a pass against the bare forward pass inside it, and the whole pass over the sum of them.

The bare pass is the stage's network on the very tensors it was given, in the same process a moment later. A stage without a network (the
renderer of portraits, the colour arithmetic of skin tone) is its own bound.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from audit.bench.clock import NOTHING, Took, one_thread, timed
from audit.collect import Pass, collect
from audit.instruments import open_instruments
from audit.instruments.base import Instrument
from audit.measure import measure, reference_name
from audit.records import Run
from audit.seeds import image_seeds
from audit.sources import ImageSource, open_source
from audit.spec import Spec

READERS = ("face_finder", "encoder", "classifier")
"""Roles that read references."""

Work = Callable[[], Any]


def stage_rows(spec: Spec, *, generators: Sequence[str] | None = None, device: str = "cpu") -> list[dict]:
    """Return a row for each stage of a pass over generators and references, then one for the whole pass and one for measuring.

    Args:
        spec: ``samples`` says how many images of each source; ``gallery`` is left as it is.
        generators: which; None = all.
        device: where networks run.

    Returns:
        Rows with ``stage, seconds, bare`` (processor time), ``wall, bare_wall, ratio, images``; measuring has no bare pass.
    """
    names = list(spec.generators) if generators is None else list(generators)
    spec = Spec.model_validate({**spec.model_dump(), "generators": {n: spec.generators[n].model_dump() | {"compare_to": None} for n in names}})
    assets = (spec.assets,) if spec.assets else ()
    instruments = open_instruments(spec.instruments, device=device, assets=assets)
    singles = tuple(a for a in spec.attributes if "*" not in a)
    whole, stages = NOTHING, _Stages()
    with TemporaryDirectory() as folder, one_thread():
        run = Run(Path(folder) / "run", {"bench": "stages"})
        for name, given in spec.generators.items():
            plan = Pass(name, spec.samples, spec.seed, batch=spec.batch, shard=spec.shard, thumbnails=spec.gallery, attributes=singles)
            whole += _pass(open_source(name, given, device=device, assets=assets), instruments, run, plan, stages)
        readers = [i for i in instruments if i.role in READERS]
        for at, reference in enumerate(spec.references):
            plan = Pass(f"reference-{reference_name(reference, at)}", spec.samples, spec.seed, stream="reference", batch=spec.batch, shard=spec.shard)
            whole += _pass(open_source(plan.name, reference, device=device, assets=assets), readers, run, plan, stages)
        measuring, _ = timed(lambda: measure(run, spec, rng=np.random.default_rng(spec.seed)))
    bound = sum(stages.bare.values(), NOTHING)
    images = spec.samples * (len(names) + len(spec.references))
    rows = [_row(stage, took, stages.bare[stage], stages.images[stage]) for stage, took in stages.took.items()]
    return [*rows, _row("whole pass", whole, bound, images), _row("measuring", measuring, None, images)]


class _Stages:
    """Seconds of stages and of their networks, added up."""

    def __init__(self) -> None:
        self.took: dict[str, Took] = {}
        self.bare: dict[str, Took] = {}
        self.images: dict[str, int] = {}

    def add(self, stage: str, took: Took, bare: Took, images: int) -> None:
        self.took[stage] = self.took.get(stage, NOTHING) + took
        self.bare[stage] = self.bare.get(stage, NOTHING) + bare
        self.images[stage] = self.images.get(stage, 0) + images


def network_of(thing: Any) -> nn.Module | None:
    """Return the network of a source or an instrument; None where it has none of its own."""
    inner = getattr(thing, "_network", None)
    for found in (getattr(thing, "module", None), getattr(thing, "model", None), getattr(inner, "forward", None)):
        if isinstance(found, nn.Module):
            return found
    return None


def _pass(source: ImageSource, instruments: Sequence[Instrument], run: Run, plan: Pass, stages: _Stages) -> Took:
    """Return what the whole pass took; the stages are taken apart on the same images, batch by batch."""
    source.draw(np.arange(2), image_seeds(plan.seed + 1, np.arange(2)))  # first allocations
    whole, _ = timed(lambda: collect(source, instruments, run, plan=plan))
    for first in range(0, plan.images, plan.batch):
        ids = np.arange(first, min(first + plan.batch, plan.images))
        seeds = image_seeds(plan.seed, ids, stream=plan.stream)
        took, bare, batch = _apart(source, lambda ids=ids, seeds=seeds: source.draw(ids, seeds))  # type: ignore[misc]
        stages.add(f"draw ({type(source).__name__})", took, bare, len(ids))
        for instrument in instruments:
            took, bare, _ = _apart(instrument, lambda instrument=instrument, batch=batch: instrument.read(batch))  # type: ignore[misc]
            stages.add(instrument.role, took, bare, len(ids))
    return whole


def _apart(thing: Any, work: Work) -> tuple[Took, Took, Any]:
    """Return what a stage took, what its network alone took on the same tensors, and what the stage returned."""
    if network_of(thing) is None:
        took, found = timed(work)
        return took, took, found
    calls: list[tuple[tuple, dict]] = []
    took, found = timed(lambda: captured(thing, work, calls))
    return took, timed(lambda: again(thing, calls))[0], found


def captured(thing: Any, work: Work, calls: list[tuple[tuple, dict]]) -> Any:
    """Do the work of a source or an instrument, and keep what its network was called with."""
    network = network_of(thing)
    if network is None:
        return work()
    hook = network.register_forward_pre_hook(lambda _, args, kwargs: calls.append((args, kwargs)), with_kwargs=True)
    try:
        return work()
    finally:
        hook.remove()


def again(thing: Any, calls: list[tuple[tuple, dict]]) -> None:
    """Call the network of a source or an instrument alone, with what was kept."""
    network = network_of(thing)
    with torch.inference_mode():
        for args, kwargs in calls:
            network(*args, **kwargs)  # type: ignore[misc]


def _row(stage: str, took: Took, bare: Took | None, images: int) -> dict:
    return {"stage": stage, "images": images, "seconds": took.cpu, "wall": took.wall, "bare": None if bare is None else bare.cpu,
            "bare_wall": None if bare is None else bare.wall, "ratio": None if bare is None else took.cpu / max(bare.cpu, 1e-9)}  # fmt: skip
