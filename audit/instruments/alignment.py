"""Cuts faces upright by their landmarks, the way the pictures were cut that a network was trained on.

"fairface" is the chip of dlib's ``get_face_chips(size=300, padding=0.25)``, on which FairFace was trained: a similarity that
brings the face onto a template. dlib's template has four corners of the eyes and the base of the nose; MTCNN gives the
middles of the eyes, the tip of the nose and the corners of the mouth. So the eyes go to the middles of dlib's corners
(dlib/image_transforms/interpolation.h), and nose and mouth to where they lie from there on 189 aligned photographs
(medians). "farl" is the template of facer (facer/face_attribute/farl.py), on 224 px.

"ffhq" is the square of Karras, Laine, Aila 2019, "A Style-Based Generator Architecture for Generative Adversarial Networks"
(arXiv 1812.04948): across the eyes and down to the mouth. Their eyes are means of six of 68 landmarks, here they are the two
eye points of MTCNN, a few pixels off at 1024; and where the square leaves the image its edge is repeated, theirs is mirrored
and blurred.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from audit.errors import InstrumentError
from audit.pixels import resize

_EYES = ((0.31822, 0.31426), (0.66854, 0.31416))  # middles of dlib's corners, at padding 0.25, as shares of the chip
_NOSE_DOWN, _MOUTH_DOWN, _MOUTH_OUT = 0.60, 1.07, 0.44  # in distances between the eyes, from the middle of the eyes


def _dlib_template() -> np.ndarray:
    eyes = np.array(_EYES)
    middle, across = eyes.mean(axis=0), eyes[1] - eyes[0]
    down = np.array([-across[1], across[0]])
    rest = [middle + down * _NOSE_DOWN, *(middle + down * _MOUTH_DOWN + side * across * _MOUTH_OUT for side in (-1, 1))]
    return np.concatenate([eyes, rest])


_FACER = np.array([[85.82991, 85.7792], [169.0532, 84.3381], [127.574, 137.0006], [90.6964, 174.7014], [167.3069, 173.3733]])  # on 256 px

TEMPLATES = {
    "fairface": (300, _dlib_template()),
    "farl": (224, (_FACER + np.array([122.0, 152.0])) / 500),  # facer moves it down by 30 and sets it into the middle of 500 px
}
"""Side in pixels, and where the five landmarks go as shares of it."""

FFHQ_SIDE = 1024
"""FFHQ's squares are brought to this side; smaller ones are left as they are."""

LEAST_EYES = 1.0
"""Eyes closer together than so many pixels say nothing of where is up."""


def similarity(points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the turn, size and shift that bring ``places`` onto ``points`` with the least squared error.

    Umeyama 1991, "Least-squares estimation of transformation parameters between two point patterns", without mirroring; in
    the plane it is one complex division.

    Args:
        points: (k, 2), where they are in the image.
        places: (k, 2), where they go in the cut.

    Returns:
        (2, 3) float64: cut coordinates -> image coordinates.

    Raises:
        InstrumentError: a point is not finite, or all places are one.

    Example:
        >>> square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
        >>> similarity(square * 2.0 + 3, square).round(6).tolist()
        [[2.0, 0.0, 3.0], [0.0, 2.0, 3.0]]
    """
    p, q = np.asarray(points, dtype=np.float64), np.asarray(places, dtype=np.float64)
    if not np.isfinite(p).all():
        raise InstrumentError(f"cannot align to landmarks {p.tolist()}; expected finite pixels, as the face finder sets them")
    first, second = p[:, 0] + 1j * p[:, 1], q[:, 0] + 1j * q[:, 1]
    spread = second - second.mean()
    if not np.abs(spread).any():
        raise InstrumentError("cannot align: all places of the template are one; expected places apart")
    turn = np.vdot(spread, first - first.mean()) / np.vdot(spread, spread)
    shift = first.mean() - turn * second.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]) + 0.0  # no minus zero


def ffhq_square(landmarks: np.ndarray) -> np.ndarray:
    """Return the corners of FFHQ's square, (4, 2) in pixels: top left, bottom left, bottom right, top right of the face.

    Args:
        landmarks: (5, 2) eyes, nose, corners of the mouth.

    Raises:
        InstrumentError: eyes and mouth are one point.
    """
    left, right, _, mouth_left, mouth_right = np.asarray(landmarks, dtype=np.float64)
    eyes, across = (left + right) / 2, right - left
    down = (mouth_left + mouth_right) / 2 - eyes
    axis = across + np.array([down[1], -down[0]])  # across, and across again as the mouth sees it
    length = np.hypot(*axis)
    if not length > LEAST_EYES:
        raise InstrumentError(f"cannot align to landmarks {np.asarray(landmarks).tolist()}; expected eyes and mouth apart")
    x = axis / length * max(np.hypot(*across) * 2.0, np.hypot(*down) * 1.8)
    y = np.array([-x[1], x[0]])
    middle = eyes + down * 0.1
    return np.array([middle - x - y, middle - x + y, middle + x + y, middle + x - y])


def aligned(image: Tensor, landmarks: np.ndarray, how: str) -> Tensor:
    """Cut one face out of an image, upright.

    Args:
        image: (3, h, w), 0..255.
        landmarks: (5, 2) eyes, nose, corners of the mouth, in pixels.
        how: "fairface", "farl" or "ffhq".

    Returns:
        (3, side, side) float32 in 0..255; what lies outside the image repeats its edge.

    Raises:
        InstrumentError: another ``how``, or landmarks that give no direction.
    """
    if how == "ffhq":
        corners = ffhq_square(landmarks)
        side = min(FFHQ_SIDE, max(round(float(np.hypot(*(corners[3] - corners[0])))), 1))
        places = np.array([[0, 0], [0, side], [side, side], [side, 0]], dtype=np.float64)
        return warped(image, similarity(corners, places), side)
    if how not in TEMPLATES:
        raise InstrumentError(f"faces cannot be aligned as {how!r}; expected {', '.join([*TEMPLATES, 'ffhq'])}")
    side, places = TEMPLATES[how]
    return warped(image, similarity(landmarks, places * side), side)


def warped(image: Tensor, matrix: np.ndarray, side: int) -> Tensor:
    """Sample a square from an image, bicubic; where pixels are lost they are averaged first, so that nothing aliases.

    Args:
        image: (3, h, w), 0..255.
        matrix: (2, 3), coordinates of the square -> coordinates of the image; a pixel's middle is at +0.5.
        side: of the square, in pixels.

    Returns:
        (3, side, side) float32 in 0..255.
    """
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if not math.isfinite(scale) or scale <= 0:
        raise InstrumentError(f"cannot cut a face at scale {scale}; expected landmarks apart")
    height, width = image.shape[-2:]
    corners = np.array([[0, 0, 1], [side, 0, 1], [0, side, 1], [side, side, 1]]) @ matrix.T
    # The part of the image that the square touches, and a little around it for the filter.
    room = 3 * max(scale, 1.0)
    low = np.clip(np.floor(corners.min(axis=0) - room), 0, [width - 1, height - 1]).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0) + room), low + 1, [width, height]).astype(int)
    part = image[:, low[1] : high[1], low[0] : high[0]].float()
    size = (part.shape[1], part.shape[2])
    if scale > 1:
        size = (max(round(size[0] / scale), 1), max(round(size[1] / scale), 1))
        part = resize(part[None], size)[0]
    at = torch.arange(side, dtype=torch.float64) + 0.5
    y, x = torch.meshgrid(at, at, indexing="ij")
    m = torch.from_numpy(matrix)
    across = (m[0, 0] * x + m[0, 1] * y + m[0, 2] - low[0]) / (high[0] - low[0]) * 2 - 1
    down = (m[1, 0] * x + m[1, 1] * y + m[1, 2] - low[1]) / (high[1] - low[1]) * 2 - 1
    grid = torch.stack([across, down], dim=2)[None].to(part.device, torch.float32)
    return grid_sample(part[None], grid, mode="bicubic", padding_mode="border", align_corners=False)[0].clamp_(0, 255)
