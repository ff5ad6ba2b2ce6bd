"""Finds faces with MTCNN, so that classifiers see a face and not a picture; images without exactly one are counted.

Zhang, Zhang, Li, Qiao 2016, "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks"
(arXiv 1604.02878); networks and weights come with the package facenet-pytorch. Images of one size are searched together
by :mod:`audit.instruments.cascade`, in which an image does not depend on its batch as it would in the package.
"""

import hashlib
import inspect
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from audit.errors import InstrumentError
from audit.instruments.cascade import Candidates, Cascade, portions
from audit.pixels import resize
from audit.sources.base import OK, Batch

VERSION = "2"

ONE, NO_FACE, SEVERAL, NOT_READ = "one", "no_face", "several_faces", "not_read"
"""What a finder says of an image; ``not_read`` where there was no image."""

LEAST_SIDE = 20
"""Faces smaller than this many pixels are not looked for, and images smaller than this hold none."""


LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
"""Places in a face, left as the viewer sees it."""


class Found(NamedTuple):
    """The faces of one image, the largest first."""

    boxes: np.ndarray  # (k, 4) x0, y0, x1, y1 in pixels
    probabilities: np.ndarray  # (k,)
    landmarks: np.ndarray  # (k, 5, 2) the places of :data:`LANDMARKS`, x and y in pixels


class FaceFinder:
    """Sets ``batch.boxes`` and ``batch.landmarks``, and counts faces.

    Columns: ``role:faces`` (how many are above the threshold, -1 where there was no image), ``role:face_probability``
    (of the largest one), ``role:face`` ("one", "no_face", "several_faces", "not_read"), the chosen box as ``role:x0`` ...
    ``role:y1`` and its landmarks as ``role:left_eye_x`` ... ``role:mouth_right_y``, all in pixels, NaN where no face was
    chosen. The status of an image stays "ok": no face is a result.

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
        self._device = torch.device(device)
        network, weights = _mtcnn(self._device)
        self._cascade = Cascade(network.pnet, network.rnet, network.onet, least_side=LEAST_SIDE)
        facts = (VERSION, several, threshold, max_side, LEAST_SIDE, weights)
        self.digest = hashlib.sha256(repr(facts).encode()).hexdigest()

    def read(self, batch: Batch) -> dict[str, np.ndarray]:
        """Return the columns of the batch and set its boxes and landmarks."""
        n = len(batch.ids)
        faces = np.full(n, -1, dtype=np.int32)
        probability = np.full(n, np.nan, dtype=np.float32)
        state = np.full(n, NOT_READ, dtype=object)
        boxes = np.full((n, 4), np.nan, dtype=np.float32)
        landmarks = np.full((n, len(LANDMARKS), 2), np.nan, dtype=np.float32)
        readable = [i for i, status in enumerate(batch.status) if status == OK]
        for i, found in zip(readable, self.find_all([batch.images[i] for i in readable]), strict=True):
            faces[i] = len(found.boxes)
            state[i] = (NO_FACE, ONE, SEVERAL)[min(len(found.boxes), 2)]
            if len(found.boxes):
                probability[i] = found.probabilities[0]
                if len(found.boxes) == 1 or self.several == "largest":
                    boxes[i], landmarks[i] = found.boxes[0], found.landmarks[0]
        batch.boxes, batch.landmarks = boxes, landmarks
        batch.prepared.clear()
        columns = {"faces": faces, "face_probability": probability, "face": state}
        columns |= {side: boxes[:, k] for k, side in enumerate(("x0", "y0", "x1", "y1"))}
        columns |= {f"{place}_{axis}": landmarks[:, k, j] for k, place in enumerate(LANDMARKS) for j, axis in enumerate("xy")}
        return {f"{self.role}:{k}": v for k, v in columns.items()}

    def find(self, image: Tensor) -> Found:
        """Return the faces of one image.

        Args:
            image: (3, h, w) uint8.

        Returns:
            Boxes clipped to the image, their probabilities and landmarks, the largest first.
        """
        return self.find_all([image])[0]

    def find_all(self, images: Sequence[Tensor]) -> list[Found]:
        """Return the faces of every image; their sizes may differ, and the company an image is in moves nothing."""
        found = [_NOTHING] * len(images)
        sizes: dict[tuple[int, int], list[int]] = {}
        for i, image in enumerate(images):
            sizes.setdefault((int(image.shape[-2]), int(image.shape[-1])), []).append(i)
        for (height, width), members in sizes.items():
            scale = min(1.0, self.max_side / max(height, width))
            size = (max(round(height * scale), 1), max(round(width * scale), 1))
            if min(size) < LEAST_SIDE:
                continue
            step = portions(len(members), *size, self._device.type)
            for start in range(0, len(members), step):
                part = members[start : start + step]
                pixels = torch.stack([images[i] for i in part]).to(self._device)
                pixels = resize(pixels, size) if scale < 1 else pixels.float()
                for i, one in zip(part, self._cascade.search(pixels), strict=True):
                    found[i] = self._chosen(one, np.array([width / size[1], height / size[0]]), np.array([width, height]))
        return found

    def _chosen(self, seen: Candidates, ratio: np.ndarray, limit: np.ndarray) -> Found:
        boxes = np.clip(seen.boxes * np.tile(ratio, 2), 0, np.tile(limit, 2))
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        keep = np.flatnonzero((seen.probabilities >= self.threshold) & (area > 0))
        order = keep[np.argsort(-area[keep], kind="stable")]
        return Found(
            boxes[order].astype(np.float32),
            seen.probabilities[order].astype(np.float32),
            (seen.points[order] * ratio).astype(np.float32),
        )


_NOTHING = Found(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))


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
