"""Codes of a generator with a mapping network, drawn again and scored: what every edit of w is fitted on."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from audit.errors import SourceError
from audit.pixels import to_uint8
from audit.seeds import image_seeds
from audit.sources.base import ImageSource
from audit.sources.latent import LatentSource
from mitigations.base import latent_source
from mitigations.editing.rating import Rater

BATCH = 64
MAPPING = ("truncation_psi", "truncation_cutoff")


@dataclass(frozen=True, eq=False)
class ScoredCodes:
    """Codes and what the second rater said of their images.

    Attributes:
        codes: (n, w_dim) float32.
        scores: {attribute: (n, K) probabilities}.
    """

    codes: np.ndarray
    scores: dict[str, np.ndarray]


def mapped_source(source: ImageSource) -> LatentSource:
    """Return ``source`` if its network has a mapping from z to w and a synthesis from w to the image.

    Raises:
        SourceError: it has none.
    """
    source = latent_source(source, "editing")
    if not all(isinstance(getattr(source.module, part, None), nn.Module) for part in ("mapping", "synthesis")):
        raise SourceError(f"an edit moves the code w between mapping and synthesis, and {source.name!r} is a {type(source.module).__name__} "
                          "without a mapping network; give a stylegan2")  # fmt: skip
    return source


def map_latents(source: LatentSource, z: Tensor) -> Tensor:
    """Return codes (n, num_ws, w_dim), truncated as the source is."""
    call = {k: v for k, v in source.call.items() if k in MAPPING}
    width = getattr(source.module, "latent_dim", source.z_dim)  # a self-conditioned latent ends with its labels
    return source.module.mapping(z[:, :width], **call)


def synthesise(source: LatentSource, ws: Tensor) -> Tensor:
    """Return images (n, 3, h, w), nominal range -1..1, with the source's noise."""
    call = {k: v for k, v in source.call.items() if k == "noise"}
    return source.module.synthesis(ws, **call)


def own_codes(source: LatentSource, n: int, *, seed: int, stream: str = "editing") -> Tensor:
    """Return (n, num_ws, w_dim) codes of the generator's own latents; those of another seed or stream are others."""
    seeds = image_seeds(seed, np.arange(n), stream=stream)
    with torch.inference_mode():
        parts = [
            map_latents(source, torch.from_numpy(source.latents(seeds[i : i + 1024])).float().to(source.device)) for i in range(0, n, 1024)
        ]
    return torch.cat(parts)


def score_codes(source: LatentSource, rater: Rater, n: int, *, seed: int) -> ScoredCodes:
    """Draw ``n`` images of the source's own latents and have them rated; deterministic in ``seed``, apart from every audit's images."""
    ws = own_codes(source, n, seed=seed)
    said = [rate(source, rater, part) for part in tqdm(ws.split(BATCH), unit="batch", desc=f"{source.name}: scored codes")]
    return ScoredCodes(ws[:, 0].cpu().numpy(), {a: np.concatenate([s[a] for s in said]) for a in rater.attributes})


def rate(source: LatentSource, rater: Rater, ws: Tensor) -> dict[str, np.ndarray]:
    """Return {attribute: (n, K)} scores of the images of codes (n, num_ws, w_dim)."""
    with torch.inference_mode():
        images = to_uint8(synthesise(source, ws), source=f"generator {source.name!r}")
    return rater.scores(list(images.cpu()))
