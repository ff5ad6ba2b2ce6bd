"""The built-in world's camera: faces painted as anti-aliased layers, batched in torch, the truth of each one known."""

import math

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from audit.errors import SourceError
from audit.portraits.anatomy import parameters
from audit.seeds import stream_key

SIZE = 64
"""Default image side in pixels."""

CHUNK = 32
"""Images painted at once: large enough to hide call overhead, small enough to stay in the processor's cache."""


def draw(
    attributes: pd.DataFrame, seeds: np.ndarray, *, identities: np.ndarray | None = None, size: int = SIZE
) -> Tensor:
    """Draw portraits of known truth.

    Args:
        attributes: n rows with columns ``gender``, ``smile`` (class names), ``monk`` (1..10), ``years``; what
            :meth:`audit.portraits.Population.for_seeds` returns.
        seeds: (n,) uint64; a portrait depends on its own row and seed alone.
        identities: (n,) uint64, who is portrayed; None = one person a seed.
        size: image side in pixels.

    Returns:
        (n, 3, size, size) uint8, sRGB.

    Raises:
        SourceError: the frame and the seeds have different lengths, or a column is missing.

    Example:
        >>> from audit.portraits import population
        >>> faces = population("balanced").for_seeds(np.arange(3, dtype=np.uint64))
        >>> tuple(draw(faces, np.arange(3)).shape)
        (3, 3, 64, 64)
    """
    missing = {"gender", "smile", "monk", "years"} - set(attributes.columns)
    if missing:
        raise SourceError(f"portraits need columns gender, smile, monk and years; missing: {', '.join(sorted(missing))}")
    seeds = np.asarray(seeds).astype(np.uint64)
    if len(attributes) != len(seeds):
        raise SourceError(f"{len(attributes)} rows of attributes for {len(seeds)} seeds; give one seed a row")
    identities = seeds ^ stream_key("identity") if identities is None else np.asarray(identities).astype(np.uint64)
    out = torch.empty((len(seeds), 3, size, size), dtype=torch.uint8)
    for start in range(0, len(seeds), CHUNK):
        part = slice(start, start + CHUNK)
        with torch.inference_mode():
            faces = parameters(attributes.iloc[part], seeds[part], identities[part])
            out[part] = _Canvas(faces, size).portrait()
    return out


class _Canvas:
    """Paints one batch. Layers come as (colour, coverage); coverage is 1 inside, 0 outside, with a one-pixel edge."""

    def __init__(self, p: dict[str, Tensor], size: int) -> None:
        self.p = p
        self.n, self.size = p["face_w"].shape[0], size
        axis = (torch.arange(size, dtype=torch.float32) + 0.5) / size * 2 - 1
        u = axis.view(1, 1, size) - p["shift_x"]
        v = axis.view(1, size, 1) - p["shift_y"]
        self.canvas_y = axis.view(1, size, 1)
        cos, sin = torch.cos(p["roll"]) / p["zoom"], torch.sin(p["roll"]) / p["zoom"]
        self.x = u * cos + v * sin  # (n, size, size), the face's own frame
        self.y = v * cos - u * sin
        self.pixel = 2 / size
        self.image = torch.empty((self.n, 3, size, size))

    def window(self, top: float, bottom: float, left: float = -1.0, right: float = 1.0) -> tuple[slice, slice]:
        """Return the pixel rows and columns that can hold anything between these canvas coordinates."""
        rows = [min(max(math.floor((t + 1) / 2 * self.size), 0), self.size) for t in (top, bottom)]
        columns = [min(max(math.floor((t + 1) / 2 * self.size), 0), self.size) for t in (left, right)]
        return slice(rows[0], rows[1]), slice(columns[0], columns[1])

    def paint(self, colour: Tensor, coverage: Tensor, where: tuple[slice, slice] | None = None) -> None:
        target = self.image if where is None else self.image[:, :, where[0], where[1]]
        torch.lerp(target, colour, coverage.unsqueeze(1), out=target)

    def edge(self, signed_distance: Tensor) -> Tensor:
        """Return coverage from a distance that is positive inside."""
        return signed_distance.mul_(1 / self.pixel).add_(0.5).clamp_(0, 1)

    def ellipse(self, x: Tensor, y: Tensor, cx: Tensor, cy: Tensor, a: Tensor, b: Tensor) -> Tensor:
        q = ((x - cx) / a).square_().add_(((y - cy) / b).square_())
        return self.edge(q.neg_().add_(1).mul_(torch.minimum(a, b) * 0.5))

    def blob(self, x: Tensor, y: Tensor, cx: Tensor, cy: Tensor, a: float | Tensor, b: float | Tensor) -> Tensor:
        """Return a soft bump, 1 at its centre and 0 beyond the ellipse."""
        q = ((x - cx) / a).square_().add_(((y - cy) / b).square_())
        return q.neg_().add_(1).clamp_(min=0).square_()

    def portrait(self) -> Tensor:
        self._background()
        self._hair_behind()
        self._body()
        self._head()
        self._ageing()
        self._eyes()
        self._nose()
        self._beard()
        self._mouth()
        self._hair_in_front()
        self._glasses()
        return self._develop()

    def _background(self) -> None:
        fade = 1 - 0.10 * self.canvas_y
        self.image[:] = self.p["background"] * fade.unsqueeze(1)

    def _hair_behind(self) -> None:
        p = self.p
        wide = p["face_w"] * p["hair_volume"]
        half = (p["hair_fall"] + 0.62) * 0.5
        centre = p["hair_fall"] - half
        # Long hair hangs as a rounded block behind neck and shoulders; short hair ends above the ears.
        wave = 1 + p["hair_curl"] * 0.045 * torch.sin(self.y * 19 + p["hair_part"] * 9)
        q = ((self.x / (wide * wave)).square_().square_()).add_(((self.y - centre) / half.clamp(min=0.05)).square_().square_())
        coverage = self.edge(q.neg_().add_(1).mul_(wide * 0.25)) * (p["hair_fall"] > 0.1)
        self.paint(p["hair"] * 0.80, coverage)
        bun = self.ellipse(self.x, self.y, p["yaw"] * 0.5, -p["face_h"] - 0.10, wide * 0.34, wide * 0.30) * p["hair_bun"]
        self.paint(p["hair"] * 0.9, bun)

    def _body(self) -> None:
        p = self.p
        where = self.window(0.15, 1.0)
        x, y = self.x[:, where[0]], self.y[:, where[0]]
        shoulders = self.ellipse(x, y, torch.zeros_like(p["yaw"]), 1.18 + 0 * p["yaw"], p["shoulder_w"], 0.46 + 0 * p["yaw"])
        self.paint(p["clothes"], shoulders, where)
        neckline = self.ellipse(x, y, 0 * p["yaw"], 0.74 + 0 * p["yaw"], p["neck_w"] * 1.15, p["collar"])
        self.paint(p["skin"] * 0.90, neckline, where)
        neck = self.edge(torch.minimum(p["neck_w"] - x.abs(), 0.86 - y))
        self.paint(p["skin"] * 0.88, neck * (y > 0), where)
        under_chin = self.blob(x, y, p["light_x"], p["face_h"] * 0.98, p["neck_w"] * 1.5, 0.24) * (x.abs() < p["neck_w"] * 1.02)
        self.paint(p["shade"], under_chin * 0.55, where)

    def _head(self) -> None:
        p = self.p
        where = self.window(-0.95, 0.85, -0.85, 0.85)
        x, y = self.x[:, where[0], where[1]], self.y[:, where[0], where[1]]
        for side in (-1.0, 1.0):
            ear = self.ellipse(x, y, side * p["face_w"] * 0.99 - p["yaw"] * 0.4, 0.04 + 0 * p["yaw"], p["ear"] * 0.62, p["ear"])
            self.paint(p["skin"] * 0.93, ear, where)
            ring = self.ellipse(x, y, side * (p["face_w"] + 0.02) - p["yaw"] * 0.4, 0.19 + 0 * p["yaw"], 0.026 + 0 * p["yaw"],
                                0.040 + 0 * p["yaw"])  # fmt: skip
            self.paint(torch.tensor([0.93, 0.80, 0.45]).view(1, 3, 1, 1), ring * p["earrings"], where)
        # Width of the head at height t: an ellipse above, and below it the power that sets how square the jaw is.
        t = y / p["face_h"]
        inside = t.square().neg_().add_(1)
        profile = inside.clamp(min=1e-4).pow_((t > 0).float() * (p["jaw"] - 1) + 1)
        distance = (p["face_w"].square() * (profile + inside.clamp(max=0)) - x.square()).mul_(0.5 / p["face_w"])
        self.face = self.edge(distance)
        self.face_window = where
        across, down = x / p["face_w"], t
        # Light: a gradient across and down the face, darker towards its rim. The face's middle keeps the skin's colour.
        shading = 1 + across * p["light_x"] + down * p["light_y"] - 0.16 * (across.square() * profile.reciprocal().clamp_(max=2.0)).clamp_(max=1.3).square_()
        self.paint((p["skin"] * shading.unsqueeze(1)), self.face, where)
        for side in (-1.0, 1.0):
            cheek = self.blob(x, y, side * 0.25 + p["yaw"], 0.16 + 0 * p["yaw"], 0.17, 0.13)
            self.paint(p["blush"], cheek * (0.30 + 0.25 * p["lipstick"] + 0.22 * p["smiling"]), where)
            shine = self.blob(x, y, side * 0.23 + p["yaw"] + p["light_x"], 0.10 + 0 * p["yaw"], 0.14, 0.09 + 0.05 * p["depth"])
            self.paint(p["shine"], shine * (0.16 + 0.44 * p["depth"]), where)
        forehead = self.blob(x, y, p["yaw"] + p["light_x"], -0.27 + 0 * p["yaw"], 0.26, 0.12)
        self.paint(p["shine"], forehead * (0.18 + 0.32 * p["depth"]) * self.face, where)

    def _ageing(self) -> None:
        p = self.p
        where = self.window(-0.55, 0.65, -0.60, 0.60)
        x, y = self.x[:, where[0], where[1]] - p["yaw"], self.y[:, where[0], where[1]] - p["pitch"]
        strength = p["old"]
        for height in (-0.38, -0.30, -0.23):
            line = self.edge(0.013 - (y - height + 0.12 * x.square()).abs())
            self.paint(p["shade"], line * (x.abs() < 0.24) * (strength * 0.62), where)
        ax = x.abs()
        # Folds from the nostrils to the corners of the mouth, deeper with age and with a smile.
        fold = self.edge(0.018 - (ax - (0.10 + 0.34 * (y - 0.16))).abs()) * (y > 0.17) * (y < 0.40)
        self.paint(p["shade"], fold * (strength * 0.75 + 0.20 * p["smiling"]).clamp(max=0.85), where)
        bags = self.edge(0.015 - (y - p["eye_y"] - 0.085 + 2.2 * (ax - p["eye_x"]).square()).abs()) * ((ax - p["eye_x"]).abs() < 0.09)
        self.paint(p["shade"], bags * strength * 0.75, where)
        feet = self.edge(0.012 - ((y - p["eye_y"]).abs() - 0.35 * (ax - p["eye_x"] - 0.09)).abs()) * (ax > p["eye_x"] + 0.10) * (ax < p["eye_x"] + 0.19)
        self.paint(p["shade"], feet * strength * 0.6, where)
        jowl = self.blob(ax, y, 0.24 + 0 * p["yaw"], 0.40 + 0 * p["yaw"], 0.07, 0.12)
        self.paint(p["shade"], jowl * strength * 0.30, where)

    def _eyes(self) -> None:
        p = self.p
        where = self.window(-0.42, 0.20, -0.62, 0.62)
        x, y = self.x[:, where[0], where[1]] - p["yaw"], self.y[:, where[0], where[1]] - p["pitch"]
        ax = x.abs()  # eyes and brows are drawn once, mirrored
        zero = 0 * p["yaw"]
        socket = self.blob(ax, y, p["eye_x"], p["eye_y"] - 0.03, 0.15, 0.10)
        self.paint(p["shade"], socket * (0.24 + 0.16 * p["lashes"]), where)
        white = self.ellipse(ax, y, p["eye_x"], p["eye_y"], p["eye_w"], p["eye_h"])
        self.paint(torch.tensor([0.95, 0.94, 0.92]).view(1, 3, 1, 1), white * (0.98 - 0.14 * p["depth"]), where)
        gaze = p["eye_x"] + torch.sign(x) * p["yaw"] * 0.25
        iris = self.ellipse(ax, y, gaze, p["eye_y"] + 0.004, p["iris"], p["iris"] * 1.05)
        self.paint(p["eye"], iris * white, where)
        pupil = self.ellipse(ax, y, gaze, p["eye_y"] + 0.004, p["iris"] * 0.52, p["iris"] * 0.52)
        self.paint(torch.tensor([0.04, 0.03, 0.03]).view(1, 3, 1, 1), pupil * white, where)
        glint = self.ellipse(x, y, torch.sign(x) * p["eye_x"] + 0.014, p["eye_y"] - 0.016, 0.013 + zero, 0.013 + zero)
        self.paint(torch.ones(1, 3, 1, 1), glint * white * 0.9, where)
        # Upper lid: the part just above the eye's upper rim; heavier with lashes.
        lid = self.ellipse(ax, y, p["eye_x"], p["eye_y"] - 0.010 - 0.006 * p["lashes"], p["eye_w"] * (1.04 + 0.14 * p["lashes"]),
                           p["eye_h"] + 0.010 + 0.010 * p["lashes"])  # fmt: skip
        lid = (lid - white).clamp_(min=0) * (y < p["eye_y"] + 0.012)
        self.paint(p["shade"] * 0.45, lid * (0.70 + 0.30 * p["lashes"]), where)
        below = (self.ellipse(ax, y, p["eye_x"], p["eye_y"] + 0.010, p["eye_w"], p["eye_h"] + 0.006) - white).clamp_(min=0)
        self.paint(p["shade"], below * 0.45 * (y > p["eye_y"]), where)
        slope = (ax - p["eye_x"]) * p["brow_tilt"] + 3.2 * (ax - p["eye_x"]).square()
        brow_line = y - (p["eye_y"] - p["brow_y"]) + 0.012 * p["smiling"] - slope * 0.9 + 0.01
        taper = p["brow_h"] * (1 - ((ax - p["eye_x"]) / (p["eye_w"] * 1.35)).square()).clamp_(min=0)
        brow = self.edge(taper - brow_line.abs()) * (taper > 0)
        # A soft light line under the brow keeps it legible on dark skin.
        self.paint(p["shine"], self.edge(taper - (brow_line - 0.035).abs()) * (taper > 0) * p["depth"] * 0.60, where)
        self.paint(p["brow"], brow * 0.92, where)

    def _nose(self) -> None:
        p = self.p
        where = self.window(-0.22, 0.38, -0.36, 0.36)
        x, y = self.x[:, where[0], where[1]] - p["yaw"] * 1.3, self.y[:, where[0], where[1]] - p["pitch"]
        zero = 0 * p["yaw"]
        side = torch.where(p["light_x"] > 0, -1.0, 1.0)
        bridge = self.blob(x, y, side * 0.045, p["nose_y"] * 0.3, 0.045, 0.20)
        self.paint(p["shade"], bridge * 0.42, where)
        ridge = self.blob(x, y, -side * 0.008, p["nose_y"] * 0.35, 0.030, 0.20)
        self.paint(p["shine"], ridge * (0.45 + 0.50 * p["depth"]), where)
        base = self.blob(x, y, zero, p["nose_y"] + 0.025, p["nose_w"] * 1.35, 0.055)
        self.paint(p["shade"], base * 0.62, where)
        tip = self.blob(x, y, zero, p["nose_y"] - 0.020, p["nose_w"] * 0.75, 0.050)
        self.paint(p["shine"], tip * (0.42 + 0.50 * p["depth"]), where)
        nostrils = self.ellipse(x.abs(), y, p["nose_w"] * 0.52, p["nose_y"] + 0.022, p["nose_w"] * 0.30, 0.014 + zero)
        self.paint(p["shade"] * 0.42, nostrils * 0.85, where)

    def _beard(self) -> None:
        p = self.p
        rows, columns = self.face_window
        x, y = self.x[:, rows, columns] - p["yaw"] * 0.6, self.y[:, rows, columns] - p["pitch"]
        # Below a line that drops from the ears to the upper lip and back.
        line = 0.25 - 0.20 * (x / p["face_w"]).square().clamp_(max=1).square_()
        region = self.edge(y - line) * self.face
        lips = self.ellipse(x, y, 0 * p["yaw"], p["mouth_y"] + 0.005, p["mouth_w"] * 0.95, 0.075 + 0.02 * p["smiling"])
        region = region * (1 - lips)
        upper = self.blob(x, y, 0 * p["yaw"], 0.20 + 0 * p["yaw"], 0.13, 0.09)
        self.paint(p["brow"], region * (1 - upper) * torch.maximum(p["beard"], p["stubble"]), self.face_window)
        gap = p["mouth_y"] - 0.072
        moustache = self.ellipse(x, y - 0.35 * x.square(), 0 * p["yaw"], gap, p["mouth_w"] * 0.95, 0.030 + 0 * p["yaw"])
        self.paint(p["brow"], moustache * p["moustache"], self.face_window)

    def _mouth(self) -> None:
        p = self.p
        where = self.window(0.10, 0.70, -0.50, 0.50)
        x, y = self.x[:, where[0], where[1]] - p["yaw"], self.y[:, where[0], where[1]] - p["pitch"]
        zero = 0 * p["yaw"]
        # In a frame bent upwards at the corners, both mouths are ellipses: closed lips, or a smile with teeth.
        bend = p["smiling"] * 2.3 + 0.15 * (1 - p["smiling"])
        bent = y - p["mouth_y"] + bend * x.square() - 0.022 * p["smiling"]
        height = p["lip_h"] + 0.024 * p["smiling"]
        lips = self.ellipse(x, bent, zero, zero, p["mouth_w"], height + 0.008)
        self.paint(p["lip"], lips, where)
        lower = self.blob(x, bent, zero, height * 0.7, p["mouth_w"] * 0.5, 0.025)
        self.paint(p["shine"], lower * (0.25 + 0.35 * p["depth"]), where)
        seam = self.edge(0.012 - bent.abs()) * (x.abs() < p["mouth_w"] * 0.95) * (1 - p["smiling"])
        self.paint(p["shade"] * 0.42, seam * 0.95, where)
        opening = self.ellipse(x, bent + 0.006, zero, zero, p["mouth_w"] * 0.88, height - 0.012) * p["smiling"]
        self.paint(p["shade"] * 0.30, opening, where)
        teeth = opening * self.edge(0.018 - bent)
        self.paint(torch.tensor([0.91, 0.89, 0.86]).view(1, 3, 1, 1), teeth * (0.96 - 0.16 * p["depth"]), where)
        corners = self.blob(x.abs(), bent, p["mouth_w"] * 1.03, zero, 0.035, 0.035)
        self.paint(p["shade"], corners * 0.55, where)
        chin = self.blob(x, y, zero, p["mouth_y"] + 0.105 + 0.03 * p["smiling"], 0.11, 0.035)
        self.paint(p["shade"], chin * 0.32, where)

    def _hair_in_front(self) -> None:
        p = self.p
        where = self.window(-1.0, 0.72, -0.95, 0.95)
        x, y = self.x[:, where[0], where[1]], self.y[:, where[0], where[1]]
        volume = p["hair_volume"]
        wave = 1 + p["hair_curl"] * 0.035 * torch.sin(x * 23 + p["hair_part"] * 7) * torch.sin(y * 21)
        outer = self.ellipse(x, y, 0 * p["yaw"], -0.06 + 0 * p["yaw"], p["face_w"] * volume * 1.03 * wave, p["face_h"] * (0.35 + 0.65 * volume) * wave)
        # The face shows through an opening whose top is the hairline; the parting moves its highest point.
        fx = x - p["yaw"] * 0.6
        lean = p["hair_part"] * fx * 0.55
        long = (p["hair_fall"] > 0.3).float()
        open_w = p["face_w"] * (1.06 - 0.20 * long)
        line = p["hairline"] + lean + (0.55 + 0.25 * long) * (fx / p["face_w"]).square() * 0.42
        above = self.edge(line - y)
        beside = self.edge(fx.abs() - open_w) * long
        sideburn = self.edge(fx.abs() - p["face_w"] * 0.90) * self.edge(p["hair_fall"] - y) * (1 - long)
        front = torch.maximum(torch.maximum(above, beside), sideburn) * outer * p["hair_alpha"]
        self.paint(p["hair"], front, where)
        rim = self.edge(0.018 - (y - line - 0.012).abs()) * (fx.abs() < open_w) * (1 - front)
        self.paint(p["shade"], rim * 0.35 * (1 - p["depth"]) * p["hair_alpha"], where)
        lit = self.edge(0.016 - (y - line - 0.030).abs()) * (fx.abs() < p["face_w"] * 0.80) * (1 - front)
        self.paint(p["shine"], lit * 0.75 * p["depth"].square(), where)
        strands = torch.sin(x * 26 + p["hair_part"] * 11 + y * 5 * p["hair_curl"]).mul_(0.5).add_(0.5)
        gloss = self.blob(x, y, p["light_x"] * 1.6, -p["face_h"] * 0.86, p["face_w"] * 0.85, 0.20)
        self.paint(p["hair_shine"], front * (gloss * 0.75 + strands * 0.22), where)

    def _glasses(self) -> None:
        p = self.p
        where = self.window(-0.36, 0.22, -0.68, 0.68)
        x, y = self.x[:, where[0], where[1]] - p["yaw"], self.y[:, where[0], where[1]] - p["pitch"]
        ax, zero = x.abs(), 0 * p["yaw"]
        outer = self.ellipse(ax, y, p["eye_x"] + 0.005, p["eye_y"] + 0.01, 0.152 + zero, 0.118 + zero)
        inner = self.ellipse(ax, y, p["eye_x"] + 0.005, p["eye_y"] + 0.01, 0.126 + zero, 0.092 + zero)
        bridge = self.edge(torch.minimum(0.016 - (y - p["eye_y"] + 0.02).abs(), 0.06 - ax))
        temples = self.edge(torch.minimum(0.015 - (y - p["eye_y"] + 0.02).abs(), ax - 0.335)) * (ax < p["face_w"])
        frame = torch.maximum(torch.maximum(outer - inner, bridge), temples).clamp_(0, 1)
        self.paint(torch.tensor([0.13, 0.11, 0.12]).view(1, 3, 1, 1), frame * p["glasses"] * 0.92, where)
        self.paint(torch.ones(1, 3, 1, 1), inner * p["glasses"] * 0.10, where)

    def _develop(self) -> Tensor:
        p = self.p
        gain = torch.cat([p["exposure"] + p["warmth"], p["exposure"], p["exposure"] - p["warmth"]], dim=1)
        return self.image.mul_(gain.view(self.n, 3, 1, 1) * 255).add_(0.5).clamp_(0, 255).to(torch.uint8)
