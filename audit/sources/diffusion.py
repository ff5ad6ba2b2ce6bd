"""Diffusers pipelines as sources: each image has a random generator of its own, so it depends on its seed and on nothing else."""

import inspect
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.digests import digest
from audit.errors import SourceError
from audit.pixels import finite, to_uint8
from audit.sources.base import OK, REFUSED, Batch
from audit.sources.pipelines import folder_digest, open_pipeline


class DiffusionSource:
    """Draws images with a diffusers pipeline; see :class:`audit.sources.base.ImageSource`.

    The random numbers of an image come from a ``torch.Generator`` on the processor, seeded with the image's seed, so they are the
    same whatever the batch and the device; images of different batch sizes agree up to the rounding of the network.

    Args:
        name: what the run calls it.
        weights: a pipeline's directory, or "owner/name" on the Hub.
        revision: commit on the Hub.
        scheduler: replaces the pipeline's own, e.g. "DDIM".
        steps: denoising steps; None = the pipeline's own.
        device: where it runs.
        caveats: further sentences for the report.

    Raises:
        SourceError: it cannot be opened, or it needs more than random numbers to draw an image.
        ManifestError: its weights cannot be read as tensors.
    """

    count = None

    def __init__(self, name: str, weights: str, *, revision: str | None = None, scheduler: str | None = None, steps: int | None = None,
                 device: str = "cpu", caveats: tuple[str, ...] = ()) -> None:  # fmt: skip
        self.name = name
        self.pipeline, folder = open_pipeline(weights, revision=revision, scheduler=scheduler)
        self.pipeline.to(device)
        accepted = inspect.signature(self.pipeline.__call__).parameters
        self._check_kind(accepted)
        self.call: dict[str, Any] = {} if steps is None else {"num_inference_steps": steps}
        self.digest = digest(["diffusers", folder_digest(folder), type(self.pipeline.scheduler).__name__, dict(self.call)])
        drawn = f"{steps} steps" if steps else "the pipeline's own number of steps"
        self.caveats = (f"drawn with {type(self.pipeline.scheduler).__name__}, {drawn}; another scheduler or number of steps draws other images",
                        *self._safety(), *caveats)  # fmt: skip

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        images, blocked = self._ask(seeds, {"batch_size": len(seeds)})
        return self._batch(ids, seeds, images, blocked)

    def _check_kind(self, accepted: Any) -> None:
        if "batch_size" not in accepted:
            hint = "; for a text-to-image pipeline say source: text_to_image, with prompts" if "prompt" in accepted else ""
            raise SourceError(f"generator {self.name!r}: a {type(self.pipeline).__name__} does not draw images from random numbers alone{hint}")

    def _safety(self) -> tuple[str, ...]:
        if "safety_checker" not in getattr(self.pipeline, "components", {}):
            return ()
        on = self.pipeline.safety_checker is not None
        return ("the pipeline's safety checker is on: what it blocks is counted as refused and missing from the shares" if on
                else "the pipeline has no safety checker",)  # fmt: skip

    def _ask(self, seeds: np.ndarray, options: dict[str, Any]) -> tuple[Tensor, list[bool]]:
        """Return (n, 3, h, w) floats in 0..1 and which images were blocked."""
        try:
            said = self._called(seeds, options)
        except (ValueError, TypeError, RuntimeError, KeyError, IndexError, AttributeError) as problem:
            raise SourceError(f"generator {self.name!r}: the {type(self.pipeline).__name__} failed while drawing "
                              f"({type(problem).__name__}: {' '.join(str(problem).split())[:200]})") from None  # fmt: skip
        images = torch.as_tensor(np.asarray(said.images))
        if images.ndim != 4 or images.shape[0] != len(seeds) or images.shape[3] != 3:
            raise SourceError(f"generator {self.name!r} gave images of shape {tuple(images.shape)} for {len(seeds)} seeds; expected "
                              f"({len(seeds)}, height, width, 3)")  # fmt: skip
        flagged = getattr(said, "nsfw_content_detected", None) or [False] * len(seeds)
        return images.permute(0, 3, 1, 2), [bool(f) for f in flagged]

    def _called(self, seeds: np.ndarray, options: dict[str, Any]) -> Any:
        """Return what the pipeline gives for these seeds, with a random generator for each."""
        generators = [torch.Generator("cpu").manual_seed(int(s) % 2**63) for s in np.asarray(seeds, dtype=np.uint64)]
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what diffusers says of its own and others' future
            return self.pipeline(**options, **self.call, generator=generators, output_type="np")

    def _batch(self, ids: np.ndarray, seeds: np.ndarray, images: Tensor, blocked: list[bool],
               columns: dict[str, np.ndarray] | None = None) -> Batch:  # fmt: skip
        good = finite(images)
        images = torch.where(good.view(-1, 1, 1, 1), images, torch.zeros_like(images))  # a black stand-in, with its status
        pixels = to_uint8(images, low=0.0, high=1.0, source=f"generator {self.name!r}")
        status = [REFUSED if b else OK if g else "not finite" for g, b in zip(good.tolist(), blocked, strict=True)]
        return Batch(ids, seeds, list(pixels), status, columns or {})
