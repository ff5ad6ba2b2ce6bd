"""How fast the volumes are, against a Jacobian per latent as one would write it: both in one run, same values."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from mitigations.magnet.volumes import VolumeReader, projection_matrix

KEEPS = (None, 32, 10)
"""What is asked for: every singular value, what a bank stores, and the top k of the default volume."""


def compare_throughput(module: nn.Module, latents: Tensor | np.ndarray, *, call: dict | None = None, projection: int = 128,
                       normalise_z: bool = True) -> dict:  # fmt: skip
    """Time this package against ``torch.autograd.functional.jacobian`` and SVD, latent by latent, on the same latents.

    The two take turns, so that what else the machine does falls on both. Wall time is what counts; processor time is
    given beside it because it stays comparable on a machine that is shared.

    Args:
        module: the generator.
        latents: (n, z_dim); a few are enough.
        call: keyword arguments of its call.
        projection: rows of the random projection.
        normalise_z: as for :func:`mitigations.magnet.volumes.volume_scalars`.

    Returns:
        ``threads``, ``latents``, ``reference`` (``seconds`` and ``processor_seconds`` a latent) and ``ours``: for each of
        :data:`KEEPS` the same with ``products`` a latent, ``speedup`` (wall), ``processor_speedup``, and the largest
        difference from the reference, of each value relative to itself over the first 32 (``difference``) and of all
        values relative to the largest (``difference_of_largest``).
    """
    z = torch.as_tensor(latents).float()
    if normalise_z:
        z = z * (z.shape[1] ** 0.5 / z.norm(dim=1, keepdim=True))
    readers = [VolumeReader(module, z.shape[1], projection=projection, normalise_z=normalise_z, call=call, keep=k) for k in KEEPS]
    with torch.no_grad():
        outputs = module(z[:1], **(call or {}))[0].numel()
    rows = projection_matrix(outputs, projection)

    def reference(row: Tensor) -> np.ndarray:
        jacobian = torch.autograd.functional.jacobian(lambda q: rows @ module(q[None], **(call or {})).flatten(), row)
        return torch.linalg.svdvals(jacobian).numpy()[None]

    ways = [reference, *(lambda row, r=r: r(row[None]) for r in readers)]
    for way in ways:  # once without the clock
        way(z[0])
    for reader in readers:
        reader.products = 0
    found = [[_timed(way, row) for way in ways] for row in z]
    values = [np.concatenate([turn[i][0] for turn in found]) for i in range(len(ways))]
    wall, processor = (np.array([[way[j] for way in turn] for turn in found]).mean(axis=0) for j in (1, 2))
    ours = [
        {"keep": k, "seconds": wall[i], "processor_seconds": processor[i], "products": reader.products / len(z),
         "speedup": wall[0] / wall[i], "processor_speedup": processor[0] / processor[i], **_differences(values[i], values[0])}
        for i, (k, reader) in enumerate(zip(KEEPS, readers, strict=True), start=1)
    ]  # fmt: skip
    return {"threads": torch.get_num_threads(), "latents": len(z), "ours": [{k: _plain(v) for k, v in row.items()} for row in ours],
            "reference": {"seconds": float(wall[0]), "processor_seconds": float(processor[0])}}  # fmt: skip


def in_words(found: dict) -> str:
    """Return :func:`compare_throughput` as a table."""
    said = found["reference"]
    lines = [f"{found['latents']} latents, {found['threads']} threads; torch.autograd.functional.jacobian and SVD: {said['seconds']:.3f} s a "
             f"latent ({said['processor_seconds']:.3f} s of processor)"]  # fmt: skip
    for row in found["ours"]:
        which = "all values" if row["keep"] is None else f"first {row['keep']}"
        lines.append(f"{which:10}  {row['seconds']:.3f} s ({row['processor_seconds']:.3f})  {row['speedup']:5.1f} times "
                     f"({row['processor_speedup']:.1f})  {row['products']:.0f} products  differs by {row['difference']:.1e}")  # fmt: skip
    return "\n".join(lines)


def _timed(way: Callable[[Tensor], np.ndarray], row: Tensor) -> tuple[np.ndarray, float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    values = way(row)
    return values, time.perf_counter() - wall, time.process_time() - processor


def _differences(ours: np.ndarray, theirs: np.ndarray) -> dict:
    theirs, first = theirs[:, : ours.shape[1]], min(32, ours.shape[1])
    apart, seen = np.abs(ours - theirs), theirs[:, :first] > 1e-4 * theirs[:, :1]
    relative = apart[:, :first][seen] / theirs[:, :first][seen]
    return {"difference": relative.max() if relative.size else 0.0, "difference_of_largest": (apart / theirs[:, :1]).max()}


def _plain(value: float | int | None) -> float | int | None:
    return value if value is None or isinstance(value, int) else float(value)
