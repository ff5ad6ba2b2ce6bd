"""The local engine: one process, one device, source after source."""

from collections.abc import Sequence

from audit.collect import Pass, collect
from audit.instruments.base import Instrument
from audit.measure import reference_name
from audit.records import Run
from audit.sources.base import ImageSource
from audit.spec import Spec


def collect_all(spec: Spec, run: Run, sources: dict[str, ImageSource], references: Sequence[ImageSource],
                instruments: Sequence[Instrument]) -> None:  # fmt: skip
    """Pass every generator and every reference of ``spec`` by the instruments.

    Generators share one stream of seeds, so that image i of a candidate and of its baseline start from the same latent.
    References have a stream of their own: a generator is never compared with its own portraits.
    """
    singles = tuple(a for a in spec.attributes if "*" not in a)
    for name, source in sources.items():
        plan = Pass(name, spec.samples, spec.seed, batch=spec.batch, shard=spec.shard, thumbnails=spec.gallery, attributes=singles)
        collect(source, instruments, run, plan=plan)
    readers = [i for i in instruments if i.role in ("face_finder", "encoder", "classifier")]
    for at, (reference, source) in enumerate(zip(spec.references, references, strict=True)):
        name = f"reference-{reference_name(reference, at)}"
        images = reference.samples or spec.samples
        collect(source, readers, run, plan=Pass(name, images, spec.seed, stream="reference", batch=spec.batch, shard=spec.shard))
