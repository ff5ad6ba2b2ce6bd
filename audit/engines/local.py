"""Collects a spec on an engine: every shard that is missing is a task, and one ledger a pass lists them in order."""

import sys
from collections.abc import Sequence

from tqdm import tqdm

from audit.collect import Ledger, Pass, capped
from audit.engines.jobs import Alone, Engine
from audit.engines.shards import ShardJob, ShardTask
from audit.instruments.base import Instrument
from audit.measure import reference_name
from audit.records import Run
from audit.sources.base import ImageSource
from audit.spec import Spec


def shard_job(spec: Spec, run: Run, sources: dict[str, ImageSource], references: Sequence[ImageSource],
              instruments: Sequence[Instrument]) -> ShardJob:  # fmt: skip
    """Return the job whose tasks are this run's shards."""
    digests: dict[str | int, str] = {**{n: s.digest for n, s in sources.items()}, **{at: s.digest for at, s in enumerate(references)}}
    return ShardJob(spec, run.location, run.facts["digest"], digests, (sources, references, instruments, run))


def collect_all(spec: Spec, run: Run, sources: dict[str, ImageSource], references: Sequence[ImageSource],
                instruments: Sequence[Instrument], *, engine: Engine | None = None) -> None:  # fmt: skip
    """Pass every generator and every reference of ``spec`` by the instruments.

    Generators share one stream of seeds, so that image i of a candidate and of its baseline start from the same latent.
    References have a stream of their own: a generator is never compared with its own portraits.

    Args:
        spec: what is drawn.
        run: the run, held by this process.
        sources: opened generators.
        references: opened references.
        instruments: who reads; references are read by those that compare.
        engine: of a job made by :func:`shard_job`; None = this process.
    """
    singles = tuple(a for a in spec.attributes if "*" not in a)
    passes: list[tuple[Ledger, int | None]] = []
    for name, source in sources.items():
        plan = Pass(name, spec.samples, spec.seed, batch=spec.batch, shard=spec.shard, thumbnails=spec.gallery, attributes=singles)
        passes.append((Ledger(run, capped(plan, source)), None))
    for at, (reference, source) in enumerate(zip(spec.references, references, strict=True)):
        name = f"reference-{reference_name(reference, at)}"
        plan = Pass(name, reference.samples or spec.samples, spec.seed, stream="reference", batch=spec.batch, shard=spec.shard)
        passes.append((Ledger(run, capped(plan, source)), at))
    tasks = [(ledger, ShardTask(ledger.plan, shard, at)) for ledger, at in passes for shard in ledger.missing]
    if tasks:
        engine = engine or Alone(shard_job(spec, run, sources, references, instruments))
        images, stored = sum(ledger.plan.images for ledger, _ in passes), sum(ledger.images_stored for ledger, _ in passes)
        with tqdm(total=images, initial=stored, unit="img", desc=tasks[0][1].plan.name, mininterval=0.5) as bar:
            for at, collected in engine.run([task for _, task in tasks], bar.update):
                ledger, task = tasks[at]
                for note in ledger.enter(task.shard, collected):
                    tqdm.write(f"genbias: {note}", file=sys.stderr)
                bar.set_description(task.plan.name, refresh=False)
    for ledger, _ in passes:
        ledger.close()
