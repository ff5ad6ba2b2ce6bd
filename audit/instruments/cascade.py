"""The three networks of MTCNN run over a batch in which no image can move the box of another.

Zhang, Zhang, Li, Qiao 2016, "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks" (arXiv
1604.02878), with the thresholds, the pyramid and the box arithmetic of the package facenet-pytorch, whose networks and
weights these are. Three things differ from its batched search, in which a box can move by tens of pixels with the company
it is in. Overlapping candidates are ranked by how little they are background: the probability of a face is 1 to the last
digit for several of them, and which of equals the package keeps is a matter of their order. A candidate that lies wholly
outside its image is left out with its scores, not its pixels alone. Candidates are thinned out image by image with offsets
that also hold for coordinates below zero. They are reduced to 24 and 48 pixels by sums over windows of one integral image,
which are the means the package takes one by one.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.ops import nms

LEAST, STEP = (0.6, 0.7, 0.7), 0.709
"""Least score at each stage, and the ratio of neighbouring sizes in the pyramid."""

PORTION = 2048
"""Candidates a network looks at in one go."""


class Candidates(NamedTuple):
    """The faces of one image, before any threshold of ours, in no order."""

    boxes: np.ndarray  # (k, 4) x0, y0, x1, y1 in pixels
    probabilities: np.ndarray  # (k,)
    points: np.ndarray  # (k, 5, 2) eyes, nose, corners of the mouth, left in the image before right; x, y in pixels


class Cascade:
    """MTCNN over images of one size.

    Args:
        proposal: P-Net: (n, 3, h, w) -> box offsets (n, 4, y, x) and scores (n, 2, y, x).
        refinement: R-Net: (n, 3, 24, 24) -> offsets (n, 4), scores (n, 2).
        output: O-Net: (n, 3, 48, 48) -> offsets (n, 4), points (n, 10), scores (n, 2).
        least_side: smallest face looked for, in pixels.
    """

    def __init__(self, proposal: nn.Module, refinement: nn.Module, output: nn.Module, *, least_side: int) -> None:
        self.proposal, self.refinement, self.output, self.least_side = proposal, refinement, output, least_side

    def search(self, images: Tensor) -> list[Candidates]:
        """Return the candidates of every image.

        Args:
            images: (n, 3, h, w) float in 0..255, on the device of the networks.
        """
        with torch.inference_mode():
            owner, boxes = self._proposed(images)
            sums = _integral(images)
            owner, boxes = self._refined(sums, owner, boxes)
            owner, boxes, score, points = self._final(sums, owner, boxes)
        owner, boxes, score, points = (x.cpu().numpy().astype(np.float64) for x in (owner, boxes, score, points))
        return [Candidates(boxes[owner == i], score[owner == i], points[owner == i]) for i in range(len(images))]

    def _proposed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        height, width = images.shape[-2:]
        scale, rows = 12.0 / self.least_side, []
        while min(height, width) * scale >= 12:
            small = interpolate(images, size=(int(height * scale + 1), int(width * scale + 1)), mode="area")
            offsets, scores = self.proposal((small - 127.5) * 0.0078125)
            owner, y, x = (scores[:, 1] >= LEAST[0]).nonzero(as_tuple=True)
            corners = torch.stack([2 * x + 1, 2 * y + 1, 2 * x + 12, 2 * y + 12], dim=1).to(scores.dtype) / scale
            found = torch.cat([corners.floor(), -scores[owner, 0, y, x][:, None], offsets[owner, :, y, x], owner[:, None].to(scores.dtype)], dim=1)
            rows.append(found[_thinned(found, owner, 0.5)])
            scale *= STEP
        found = torch.cat(rows) if rows else images.new_zeros((0, 10))
        owner = found[:, 9].long()
        keep = _thinned(found, owner, 0.7)
        found, owner = found[keep], owner[keep]
        side = (found[:, 2:4] - found[:, :2]).repeat(1, 2)
        return owner, _squared(found[:, :4] + found[:, 5:9] * side)

    def _refined(self, sums: Tensor, owner: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        owner, boxes, (offsets, scores) = self._looked_at(self.refinement, sums, owner, boxes, 24, (4, 2))
        good = scores[:, 1] > LEAST[1]
        owner, boxes, offsets, rank = owner[good], boxes[good], offsets[good], -scores[good, 0]
        keep = _thinned(torch.cat([boxes, rank[:, None]], dim=1), owner, 0.7)
        return owner[keep], _squared(_moved(boxes[keep], offsets[keep]))

    def _final(self, sums: Tensor, owner: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        owner, boxes, (offsets, points, scores) = self._looked_at(self.output, sums, owner, boxes, 48, (4, 10, 2))
        good = scores[:, 1] > LEAST[2]
        owner, boxes, offsets, points, scores = owner[good], boxes[good], offsets[good], points[good], scores[good]
        side = boxes[:, 2:4] - boxes[:, :2] + 1
        places = torch.stack([points[:, :5], points[:, 5:]], dim=2) * side[:, None] + boxes[:, None, :2] - 1
        boxes = _moved(boxes, offsets)
        keep = _uncovered(boxes, -scores[:, 0], owner, 0.7)
        return owner[keep], boxes[keep], scores[keep, 1], places[keep]

    def _looked_at(self, network: nn.Module, sums: Tensor, owner: Tensor, boxes: Tensor, side: int, widths: tuple[int, ...]) -> tuple:
        """Return the candidates that lie in their image, at least in part, and what the network says of them."""
        height, width = sums.shape[-2] - 1, sums.shape[-1] - 1
        whole = boxes.trunc().long()
        x0, y0 = whole[:, 0].clamp(min=1) - 1, whole[:, 1].clamp(min=1) - 1
        x1, y1 = whole[:, 2].clamp(max=width), whole[:, 3].clamp(max=height)
        inside = (x1 > x0) & (y1 > y0)
        owner, boxes = owner[inside], boxes[inside]
        windows = torch.stack([x0, y0, x1, y1], dim=1)[inside]
        said: list[tuple[Tensor, ...]] = []
        for start in range(0, len(owner), PORTION):
            part = slice(start, start + PORTION)
            pixels = _window_means(sums, owner[part], windows[part], side)
            said.append(network((pixels - 127.5) * 0.0078125))
        if not said:
            return owner, boxes, tuple(boxes.new_zeros((0, w)) for w in widths)
        return owner, boxes, tuple(torch.cat(parts) for parts in zip(*said, strict=True))


def _integral(images: Tensor) -> Tensor:
    """Return (n, 3, h + 1, w + 1) float64 sums over everything above and left; exact for 8-bit images."""
    sums = images.new_zeros((*images.shape[:2], images.shape[2] + 1, images.shape[3] + 1), dtype=torch.float64)
    sums[:, :, 1:, 1:] = images.double().cumsum(2).cumsum(3)
    return sums


def _window_means(sums: Tensor, owner: Tensor, windows: Tensor, side: int) -> Tensor:
    """Return (k, 3, side, side): each window cut into side x side cells, as adaptive pooling cuts it, and averaged."""
    at = torch.arange(side, device=sums.device)

    def cells(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        length = (high - low)[:, None]
        return low[:, None] + at * length // side, low[:, None] + -(-(at + 1) * length // side)

    left, right = cells(windows[:, 0], windows[:, 2])
    top, bottom = cells(windows[:, 1], windows[:, 3])
    width = sums.shape[-1]
    flat = sums.permute(0, 2, 3, 1).reshape(-1, 3)  # one lookup a corner, three channels each
    first = (owner * sums.shape[-2] * width)[:, None, None]

    def corner(y: Tensor, x: Tensor) -> Tensor:
        return flat[first + y[:, :, None] * width + x[:, None, :]]

    total = corner(bottom, right) - corner(top, right) - corner(bottom, left) + corner(top, left)
    area = (bottom - top)[:, :, None] * (right - left)[:, None, :]
    return (total / area[..., None]).permute(0, 3, 1, 2).float().contiguous()


def _thinned(found: Tensor, owner: Tensor, overlap: float) -> Tensor:
    """Return the positions that non-maximum suppression keeps, each image for itself; column 4 is the rank."""
    if not len(found):
        return owner
    boxes = found[:, :4].double()
    apart = boxes.max() - boxes.min() + 1
    return nms(boxes + (owner * apart)[:, None], found[:, 4].double(), overlap)


def _uncovered(boxes: Tensor, rank: Tensor, owner: Tensor, share: float) -> Tensor:
    """Return the positions kept when a box goes that a better one covers by more than ``share`` of the smaller of the two."""
    x0, y0, x1, y1 = boxes.double().unbind(1)
    area = (x1 - x0 + 1) * (y1 - y0 + 1)
    across = (torch.minimum(x1[:, None], x1) - torch.maximum(x0[:, None], x0) + 1).clamp(min=0)
    down = (torch.minimum(y1[:, None], y1) - torch.maximum(y0[:, None], y0) + 1).clamp(min=0)
    covers = across * down / torch.minimum(area[:, None], area) > share
    covers = (covers & (owner[:, None] == owner)).cpu().numpy()
    kept: list[int] = []
    for i in torch.argsort(rank, descending=True, stable=True).tolist():
        if not covers[i, kept].any():
            kept.append(i)
    return torch.tensor(kept, dtype=torch.long, device=boxes.device)


def _squared(boxes: Tensor) -> Tensor:
    side = boxes[:, 2:4] - boxes[:, :2]
    longer = side.max(dim=1, keepdim=True).values
    corner = boxes[:, :2] + side * 0.5 - longer * 0.5
    return torch.cat([corner, corner + longer], dim=1)


def _moved(boxes: Tensor, offsets: Tensor) -> Tensor:
    return boxes + offsets * (boxes[:, 2:4] - boxes[:, :2] + 1).repeat(1, 2)


def portions(count: int, height: int, width: int, device: str = "cpu") -> int:
    """Return how many images of a size are searched at once, at least one.

    An accelerator is busy with many; a processor is fastest while the feature maps stay in its cache.

    Example:
        >>> portions(64, 300, 300), portions(64, 64, 64), portions(64, 300, 300, "cuda")
        (1, 24, 64)
    """
    most = 100_000 if device == "cpu" else 12_000_000
    return max(1, min(count, math.floor(most / (height * width))))
