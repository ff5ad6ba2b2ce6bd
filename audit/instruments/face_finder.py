"""Finds faces with MTCNN, so that classifiers see a face and not a picture; images without exactly one are counted.

Zhang, Zhang, Li, Qiao 2016, "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks"
(arXiv 1604.02878); network and weights come with the package facenet-pytorch. Every image is searched alone: the
package can search a batch, a fifth faster on a processor, but then a box can move by tens of pixels with the company it
is in, and an image must not depend on its batch.
"""

import hashlib
import inspect
import warnings
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from audit.errors import InstrumentError
from audit.pixels import resize
from audit.sources.base import OK, Batch

VERSION = "1"

ONE, NO_FACE, SEVERAL, NOT_READ = "one", "no_face", "several_faces", "not_read"
"""What a finder says of an image; ``not_read`` where there was no image."""

LEAST_SIDE = 20
"""Faces smaller than this many pixels are not looked for, and images smaller than this hold none."""


class Found(NamedTuple):
    """The faces of one image, the largest first."""

    boxes: np.ndarray  # (k, 4) x0, y0, x1, y1 in pixels
    probabilities: np.ndarray  # (k,)


class FaceFinder:
    """Sets ``batch.boxes`` and counts faces.

    Columns: ``role:faces`` (how many are above the threshold, -1 where there was no image), ``role:face_probability``
    (of the largest one), ``role:face`` ("one", "no_face", "several_faces", "not_read") and the chosen box as
    ``role:x0`` ... ``role:y1`` in pixels, NaN where none was chosen. The status of an image stays "ok": no face is a
    result.

    Args:
        role: the key under ``instruments`` in the spec.
        several: what to do with several faces: "exclude" chooses none, "largest" takes the largest. Either way the
            image is counted as one with several faces.
        threshold: least probability of a face, 0..1.
        max_side: larger images are reduced to this side before the search; boxes are scaled back.
        device: where the network runs.

    Raises:
        InstrumentError: facenet-pytorch is not installed, or an option is out of its range.
    """

    caveats = (
        "Faces are found by MTCNN, which misses faces, and not equally for everybody: profiles, covered and dark faces "
        "more often. Images without exactly one face are counted and bound the shares.",
    )

    def __init__(
        self,
        role: str = "face_finder",
        *,
        several: Literal["exclude", "largest"] = "exclude",
        threshold: float = 0.9,
        max_side: int = 1024,
        device: str | torch.device = "cpu",
    ) -> None:
        if several not in ("exclude", "largest"):
            raise InstrumentError(f"several of {role!r} is {several!r}; expected 'exclude' or 'largest'")
        if not 0 < threshold < 1 or max_side < LEAST_SIDE:
            raise InstrumentError(
                f"{role!r} has threshold {threshold} and max_side {max_side}; expected a threshold between 0 and 1 "
                f"and at least {LEAST_SIDE} pixels"
            )
        self.role, self.several, self.threshold, self.max_side = role, several, threshold, max_side
        self._network, weights = _mtcnn(torch.device(device))
        facts = (VERSION, several, threshold, max_side, LEAST_SIDE, weights)
        self.digest = hashlib.sha256(repr(facts).encode()).hexdigest()

    def read(self, batch: Batch) -> dict[str, np.ndarray]:
        """Return the columns of the batch and set its boxes."""
        n = len(batch.ids)
        faces = np.full(n, -1, dtype=np.int32)
        probability = np.full(n, np.nan, dtype=np.float32)
        state = np.full(n, NOT_READ, dtype=object)
        boxes = np.full((n, 4), np.nan, dtype=np.float32)
        for i, (image, status) in enumerate(zip(batch.images, batch.status, strict=True)):
            if status != OK:
                continue
            found = self.find(image)
            faces[i] = len(found.boxes)
            state[i] = (NO_FACE, ONE, SEVERAL)[min(len(found.boxes), 2)]
            if len(found.boxes):
                probability[i] = found.probabilities[0]
                if len(found.boxes) == 1 or self.several == "largest":
                    boxes[i] = found.boxes[0]
        batch.boxes = boxes
        columns = {"faces": faces, "face_probability": probability, "face": state}
        columns |= {side: boxes[:, k] for k, side in enumerate(("x0", "y0", "x1", "y1"))}
        return {f"{self.role}:{k}": v for k, v in columns.items()}

    def find(self, image: Tensor) -> Found:
        """Return the faces of one image.

        Args:
            image: (3, h, w) uint8.

        Returns:
            Boxes clipped to the image and their probabilities, the largest first.
        """
        height, width = image.shape[-2:]
        scale = min(1.0, self.max_side / max(height, width))
        size = (max(round(height * scale), 1), max(round(width * scale), 1))
        if min(size) < LEAST_SIDE:
            return _NOTHING
        pixels = resize(image[None], size)[0] if scale < 1 else image.float()
        boxes, probabilities = self._search(pixels.permute(1, 2, 0).contiguous())
        boxes = boxes * np.array([width / size[1], height / size[0]] * 2)
        boxes = np.clip(boxes, 0, [width, height, width, height])
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        keep = np.flatnonzero((probabilities >= self.threshold) & (area > 0))
        order = keep[np.argsort(-area[keep], kind="stable")]
        return Found(boxes[order].astype(np.float32), probabilities[order].astype(np.float32))

    def _search(self, pixels: Tensor) -> tuple[np.ndarray, np.ndarray]:
        try:
            with torch.inference_mode():
                boxes, probabilities = self._network.detect(pixels)
        except RuntimeError as problem:
            # When every candidate of a stage lies outside the image, the package concatenates an empty list.
            if "non-empty list" not in str(problem):
                raise
            return _NOTHING
        if boxes is None:
            return _NOTHING
        return np.asarray(boxes, dtype=np.float64).reshape(-1, 4), np.asarray(probabilities, dtype=np.float64).reshape(
            -1
        )


_NOTHING = Found(np.empty((0, 4)), np.empty(0))


def _mtcnn(device: torch.device) -> tuple[torch.nn.Module, str]:
    """Return the network and the checksum of its weights."""
    try:
        import facenet_pytorch
    except ImportError:
        raise InstrumentError(
            "finding faces needs the package facenet-pytorch, which is not installed; install genbias"
        ) from None
    with warnings.catch_warnings():
        # Older torch releases announce that torch.load will read weights only, which these files are.
        warnings.filterwarnings("ignore", message=".*weights_only=False.*", category=FutureWarning)
        network = facenet_pytorch.MTCNN(keep_all=True, min_face_size=LEAST_SIDE, device=device).eval()
    digest = hashlib.sha256()
    for name in ("pnet.pt", "rnet.pt", "onet.pt"):
        digest.update((Path(inspect.getfile(facenet_pytorch)).parent / "data" / name).read_bytes())
    return network, digest.hexdigest()
