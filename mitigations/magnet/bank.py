"""The bank: singular values of many latents of one generator, computed once and kept in one file.

Latents are not stored, only the seed they are made from: latent i of the bank is what the source itself draws for seed i of
the stream "magnet". So a bank is small (130 bytes a latent), and a longer bank continues a shorter one.
"""

import io
import json
import time
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from audit.digests import digest
from audit.engines import Choice, in_order, map_tasks
from audit.errors import SourceError
from audit.manifests import home
from audit.records import write_whole
from audit.seeds import image_seeds
from audit.sources.latent import LatentSource
from audit.spec import Spec
from mitigations.magnet.volumes import VolumeReader, scale_invariant

FORMAT = "genbias magnet bank 1"
KEPT = 32
"""Singular values stored of each latent; ``top_k`` can be chosen later up to this."""

EVERY = 256
"""Latents between two writes of the file; an interrupted computation repeats at most this many."""

AT_ONCE = 16
"""Latents read between two steps of the progress bar."""


@dataclass(frozen=True)
class Bank:
    """What is known of the latents of one generator.

    Attributes:
        source: digest of the generator and of the way it is called.
        seed: the latents are those of ``image_seeds(seed, 0..n-1, stream="magnet")``.
        projection: rows of the random projection.
        normalise_z: whether z was scaled to norm sqrt(d) first, because the image depends on its direction alone.
        wanted: latents it was asked for; fewer rows = unfinished.
        calls: generator calls and Jacobian products spent.
        seconds: wall time spent.
        singular_values: (n, KEPT or fewer) float32, largest first.
    """

    source: str
    seed: int
    projection: int
    normalise_z: bool
    wanted: int
    calls: int
    seconds: float
    singular_values: np.ndarray

    @property
    def seeds(self) -> np.ndarray:
        """(n,) uint64 seeds of the latents."""
        return image_seeds(self.seed, np.arange(len(self.singular_values)), stream="magnet")

    @property
    def digest(self) -> str:
        """Changes whenever a weight could."""
        return digest([self.source, self.seed, self.singular_values.tobytes().hex()])

    def write(self, path: Path) -> None:
        """Write it whole or not at all."""
        about = {k: v for k, v in vars(self).items() if k != "singular_values"} | {"format": FORMAT}
        sink = io.BytesIO()
        np.savez_compressed(sink, about=json.dumps(about), singular_values=self.singular_values.astype(np.float32))
        write_whole(path, sink.getvalue())


def read_bank(path: Path) -> Bank:
    """Read a bank, finished or not.

    Raises:
        SourceError: the file is no bank.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            about, values = json.loads(str(file["about"])), file["singular_values"]
        if about.pop("format") != FORMAT or values.ndim != 2:
            raise ValueError("another format")
        return Bank(**about, singular_values=values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as problem:
        kind = type(problem).__name__
        raise SourceError(f"{path} is no MaGNET bank ({kind}); expected a file made by `genbias mitigate magnet`") from None


def check_bank(bank: Bank, source: LatentSource, path: Path) -> None:
    """Refuse a bank made for other weights, another truncation or other noise.

    Raises:
        SourceError: it is.
    """
    if bank.source != source.digest:
        raise SourceError(f"{path} was made for other weights, truncation or noise than generator {source.name!r} has (digest "
                          f"{bank.source[:12]}, expected {source.digest[:12]}); make one with `genbias mitigate magnet`")  # fmt: skip


@dataclass(frozen=True)
class Workers:
    """Where a bank is computed, if not here.

    Attributes:
        choice: the engine.
        spec: the spec that says how its workers open the generator.
        generator: its name there.
    """

    choice: Choice
    spec: Spec
    generator: str


def compute_bank(source: LatentSource, path: Path, *, latents: int, seed: int = 0, projection: int = 128, workers: Workers | None = None) -> Bank:
    """Return the bank at ``path`` with at least ``latents`` latents, computing what it lacks.

    Args:
        source: a generator drawn from its own prior.
        path: where it is kept; written every :data:`EVERY` latents, so an interrupted computation continues.
        latents: how many are wanted.
        seed: see :class:`Bank`.
        projection: rows of the random projection.
        workers: who computes, part by part; None = this process.

    Raises:
        SourceError: the file belongs to another generator or other settings, the generator has no derivatives, or its
            Jacobian is not finite somewhere.
    """
    bank = read_bank(path) if path.is_file() else _begin(source, latents, seed, projection)
    check_bank(bank, source, path)
    if (bank.seed, bank.projection) != (seed, projection):
        raise SourceError(f"{path} was made with seed {bank.seed} and projection {bank.projection}; asked for were {seed} and {projection}: "
                          "give another file, or delete it")  # fmt: skip
    done = len(bank.singular_values)
    if done >= latents:
        return bank
    seeds = image_seeds(seed, np.arange(latents), stream="magnet")
    parts = [Part(source.digest, seeds[at : at + EVERY], projection, bank.normalise_z) for at in range(done, latents, EVERY)]
    with tqdm(total=latents, initial=done, unit="latent", desc=f"{source.name}: volumes") as bar:
        computed = _here(source, parts, bar) if workers is None or workers.choice.alone else _elsewhere(source, parts, bar, workers)
        started = time.monotonic()
        for rows, calls in computed:
            values = np.concatenate([bank.singular_values, rows])
            _all_finite(values, source)
            bank = Bank(**{**_settings(bank), "wanted": latents, "calls": bank.calls + calls, "seconds": bank.seconds + time.monotonic() - started},
                        singular_values=values)  # fmt: skip
            bank.write(path)
            started = time.monotonic()
    return bank


@dataclass(frozen=True)
class Part:
    """Latents whose singular values are computed together; rows do not depend on what else is in a part.

    Attributes:
        source: digest of the generator.
        seeds: (n,) of the latents.
        projection, normalise_z: as in :class:`Bank`.
    """

    source: str
    seeds: np.ndarray
    projection: int
    normalise_z: bool


def _here(source: LatentSource, parts: list[Part], bar: tqdm) -> Iterator[tuple[np.ndarray, int]]:
    reader = VolumeReader(source.module, source.z_dim, projection=parts[0].projection, normalise_z=parts[0].normalise_z, call=source.call, keep=KEPT)
    for part in parts:
        yield _read(source, reader, part, bar)


def _elsewhere(source: LatentSource, parts: list[Part], bar: tqdm, workers: Workers) -> Iterator[tuple[np.ndarray, int]]:
    items = [(part, workers.spec.model_dump_json(), workers.generator) for part in parts]
    names = [f"part {at} of the volumes of {source.name!r}" for at in range(len(parts))]
    for found in in_order(map_tasks(read_part, items, choice=workers.choice, names=names, device=str(source.device))):
        bar.update(len(found[0]))
        yield found


def read_part(item: tuple[Part, str, str], device: str) -> tuple[np.ndarray, int]:
    """Compute one part in a worker.

    Args:
        item: the part, the spec as JSON, and the generator's name in it.
        device: where.

    Returns:
        (n, KEPT or fewer) float32 singular values, and the generator calls and Jacobian products spent.

    Raises:
        SourceError: the worker opens another generator under that name.
    """
    part, spec, generator = item
    source, reader = _opened(spec, generator, device, part.projection, part.normalise_z)
    if source.digest != part.source:
        raise SourceError(f"a worker opened {generator!r} and found other weights or settings; make the same files visible to every worker")
    return _read(source, reader, part)


@lru_cache(maxsize=1)
def _opened(spec: str, generator: str, device: str, projection: int, normalise_z: bool) -> tuple[LatentSource, VolumeReader]:
    from mitigations.writing import open_baseline

    source = open_baseline(Spec.model_validate_json(spec), generator, device)
    return source, VolumeReader(source.module, source.z_dim, projection=projection, normalise_z=normalise_z, call=source.call, keep=KEPT)


def _read(source: LatentSource, reader: VolumeReader, part: Part, bar: tqdm | None = None) -> tuple[np.ndarray, int]:
    rows, before = [], reader.products
    for i in range(0, len(part.seeds), AT_ONCE):
        z = torch.from_numpy(source.latents(part.seeds[i : i + AT_ONCE])).float()
        rows.append(reader(z))
        if bar is not None:
            bar.update(len(z))
    return np.concatenate(rows).astype(np.float32), len(part.seeds) + reader.products - before


def cached_bank(source: LatentSource, *, latents: int, seed: int = 0, projection: int = 128) -> Bank:
    """Return the bank of a source from the user's cache, which knows it by what it was made of."""
    name = digest([FORMAT, source.digest, seed, projection])[:32]
    return compute_bank(source, home() / "magnet" / f"{name}.npz", latents=latents, seed=seed, projection=projection)


def _begin(source: LatentSource, latents: int, seed: int, projection: int) -> Bank:
    few = source.latents(image_seeds(seed, np.arange(4), stream="magnet"))
    invariant = scale_invariant(source.module, few, call=source.call)
    columns = min(KEPT, projection, source.z_dim)
    return Bank(source=source.digest, seed=seed, projection=projection, normalise_z=invariant, wanted=latents, calls=0, seconds=0.0,
                singular_values=np.empty((0, columns), dtype=np.float32))  # fmt: skip


def _settings(bank: Bank) -> dict:
    return {k: v for k, v in asdict(bank).items() if k != "singular_values"}


def _all_finite(values: np.ndarray, source: LatentSource) -> None:
    bad = int((~np.isfinite(values)).any(axis=1).sum())
    if bad:
        raise SourceError(f"the Jacobian of generator {source.name!r} is not finite at {bad} of {len(values)} latents; MaGNET cannot weigh "
                          "them: check the weights, or draw in float32")  # fmt: skip
    if not values.any():
        raise SourceError(f"all singular values of generator {source.name!r} are 0 at {len(values)} latents: its images do not depend on "
                          "the latent (truncation_psi 0?), so there is no volume to weigh by")  # fmt: skip
