"""The whole chain on one device: images a second of each stage and of all together, and their share of what the networks alone allow.

On CUDA seconds are those of events on the device, so that work under way is waited for where it ends and not where it is started; on a
processor they are wall time, which a busy machine stretches.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from audit.bench.stages import again, captured, network_of
from audit.instruments import open_instruments
from audit.seeds import image_seeds
from audit.sources import open_source
from audit.spec import Spec

Work = Callable[[], Any]
Clock = Callable[[Work], tuple[float, Any]]


def chain_rows(spec: Spec, *, generator: str, device: str, batch: int = 256, batches: int = 8) -> dict:
    """Measure one generator of a spec with all its instruments.

    Args:
        spec: whose instruments read.
        generator: who draws.
        device: "cuda" or "cpu".
        batch: images at once.
        batches: measured, after two that are not.

    Returns:
        ``stages``: rows of ``stage, per_second, bare_per_second``; ``together`` images a second; ``bound``, what the networks alone would
        allow; ``share`` of it; ``peak_bytes`` of the device, None on a processor; ``device`` in words, ``note``.
    """
    assets = (spec.assets,) if spec.assets else ()
    source = open_source(generator, spec.generators[generator], device=device, assets=assets)
    instruments = open_instruments(spec.instruments, device=device, assets=assets)
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    clock = _device_clock if cuda else _wall_clock
    seconds: dict[str, list[float]] = {}
    bare: dict[str, list[float]] = {}
    for at in range(batches + 2):
        ids = np.arange(at * batch, (at + 1) * batch)
        drawn = _stage("draw", source, partial(source.draw, ids, image_seeds(spec.seed, ids)), clock, seconds, bare)
        for instrument in instruments:
            _stage(instrument.role, instrument, partial(instrument.read, drawn), clock, seconds, bare)
    medians = {stage: statistics.median(values[2:]) for stage, values in seconds.items()}
    alone = {stage: statistics.median(values[2:]) for stage, values in bare.items()}
    together, bound = batch / sum(medians.values()), batch / sum(alone.values())
    return {
        "device": torch.cuda.get_device_name(device) if cuda else "processor",
        "note": "" if cuda else "no accelerator: seconds are wall time of the processor, and the share says little of a GPU",
        "batch": batch, "together": together, "bound": bound, "share": together / bound,
        "peak_bytes": torch.cuda.max_memory_allocated(device) if cuda else None,
        "stages": [{"stage": s, "per_second": batch / medians[s], "bare_per_second": batch / alone[s]} for s in medians],
    }  # fmt: skip


def _stage(stage: str, thing: Any, work: Work, clock: Clock, seconds: dict[str, list[float]], bare: dict[str, list[float]]) -> Any:
    """Add seconds of the stage, and of its network alone on the same tensors; return what the stage gave."""
    calls: list[tuple[tuple, dict]] = []
    took, found = clock(partial(captured, thing, work, calls))
    seconds.setdefault(stage, []).append(took)
    bare.setdefault(stage, []).append(clock(partial(again, thing, calls))[0] if network_of(thing) is not None else took)
    return found


def _wall_clock(work: Work) -> tuple[float, Any]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def _device_clock(work: Work) -> tuple[float, Any]:
    """Return the seconds between two events on the device around the work, the host's part included."""
    torch.cuda.synchronize()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    found = work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000, found
