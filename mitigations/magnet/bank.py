"""The bank: singular values of many latents of one generator, computed once and kept in one file.

Latents are not stored, only the seed they are made from: latent i of the bank is what the source itself draws for seed i of
the stream "magnet". So a bank is small (130 bytes a latent), and a longer bank continues a shorter one.
"""

import io
import json
import time
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from audit.digests import digest
from audit.errors import SourceError
from audit.manifests import home
from audit.records import write_whole
from audit.seeds import image_seeds
from audit.sources.latent import LatentSource
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


def compute_bank(source: LatentSource, path: Path, *, latents: int, seed: int = 0, projection: int = 128) -> Bank:
    """Return the bank at ``path`` with at least ``latents`` latents, computing what it lacks.

    Args:
        source: a generator drawn from its own prior.
        path: where it is kept; written every :data:`EVERY` latents, so an interrupted computation continues.
        latents: how many are wanted.
        seed: see :class:`Bank`.
        projection: rows of the random projection.

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
    reader = VolumeReader(source.module, source.z_dim, projection=projection, normalise_z=bank.normalise_z, call=source.call, keep=KEPT)
    seeds = image_seeds(seed, np.arange(latents), stream="magnet")
    with tqdm(total=latents, initial=done, unit="latent", desc=f"{source.name}: volumes") as bar:
        for at in range(done, latents, EVERY):
            started, part, before = time.monotonic(), seeds[at : at + EVERY], reader.products
            rows = []
            for i in range(0, len(part), AT_ONCE):
                z = torch.from_numpy(source.latents(part[i : i + AT_ONCE])).float()
                rows.append(reader(z))
                bar.update(len(z))
            values = np.concatenate([bank.singular_values, np.concatenate(rows).astype(np.float32)])
            _all_finite(values, source)
            bank = Bank(**{**_settings(bank), "wanted": latents, "calls": bank.calls + len(part) + reader.products - before,
                           "seconds": bank.seconds + time.monotonic() - started}, singular_values=values)  # fmt: skip
            bank.write(path)
    return bank


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
