"""A user's own function ``module:name`` as a source: it is handed seeds and gives back images."""

import importlib
import inspect
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.digests import digest
from audit.errors import SourceError
from audit.pixels import finite, to_uint8
from audit.sources.base import OK, Batch

SLACK = 0.01
"""How far floats may leave 0..1 before they are taken for another range; resizing and sharpening overshoot by so much."""


class CallableSource:
    """Draws images by ``function(seeds) -> (n, 3, h, w)``; see :class:`audit.sources.base.ImageSource`.

    The function is handed (n,) uint64 seeds and returns n images in RGB, as a torch tensor or NumPy array: uint8 in 0..255, or floats
    in 0..1. Image i should depend on seed i alone.

    Args:
        name: what the run calls it.
        call: "module:function", importable from the working directory.

    Raises:
        SourceError: there is no such module or function.
    """

    count = None
    caveats = ("drawn by a user's function; that an image depends on its seed alone is that function's promise",)

    def __init__(self, name: str, call: str) -> None:
        self.name = name
        module_name, _, function = call.partition(":")
        if not function or not module_name:
            raise SourceError(f"generator {name!r}: call is {call!r}; expected 'module:function'")
        if "" not in sys.path:
            sys.path.insert(0, "")
        try:
            self.function = getattr(importlib.import_module(module_name), function)
        except ModuleNotFoundError as error:
            raise SourceError(f"generator {name!r}: no module {error.name!r}; run from the folder that holds it") from None
        except AttributeError:
            raise SourceError(f"generator {name!r}: module {module_name!r} has no {function!r}") from None
        if not callable(self.function):
            raise SourceError(f"generator {name!r}: {call} is a {type(self.function).__name__}; expected a function of seeds")
        try:
            code = inspect.getsource(self.function)
        except (OSError, TypeError):
            code = repr(self.function)
        self.digest = digest(["callable", call, code])

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        try:
            given = self.function(seeds)
        except Exception as problem:  # whatever a user's function fails with is told with its own words
            raise SourceError(f"generator {self.name!r}: the function failed for {len(seeds)} seeds "
                              f"({type(problem).__name__}: {' '.join(str(problem).split())[:200]})") from problem  # fmt: skip
        return Batch(ids, seeds, list(self._checked(given, seeds)), [OK] * len(ids))

    def _checked(self, given: Any, seeds: np.ndarray) -> Tensor:
        who = f"generator {self.name!r}"
        try:
            images = torch.as_tensor(given).detach().cpu()
        except (TypeError, ValueError, RuntimeError):
            raise SourceError(f"{who} gave a {type(given).__name__}; expected a tensor or array (n, 3, height, width)") from None
        if images.ndim != 4 or images.shape[1] != 3:
            hint = "; move the colours forward with .transpose(0, 3, 1, 2)" if images.ndim == 4 and images.shape[3] == 3 else ""
            raise SourceError(f"{who} gave images of shape {tuple(images.shape)}; expected (n, 3, height, width), red, green and blue{hint}")
        if len(images) != len(seeds):
            raise SourceError(f"{who} gave {len(images)} images for {len(seeds)} seeds; expected one each")
        if images.dtype == torch.uint8:
            return images
        if not images.is_floating_point():
            raise SourceError(f"{who} gave {images.dtype} images; expected uint8 in 0..255, or floats in 0..1")
        good = finite(images)
        if not bool(good.all()):
            raise SourceError(f"{who} gave NaN or infinite values in {int((~good).sum())} of {len(images)} images (first for seed "
                              f"{int(seeds[int((~good).int().argmax())])}); expected floats in 0..1")  # fmt: skip
        low, high = float(images.min()), float(images.max())
        if low < -SLACK or high > 1 + SLACK:
            fits = "(images + 1) / 2" if low >= -1 - SLACK and high <= 1 + SLACK else "images / 255" if low >= 0 and high <= 255 else None
            hint = f"; return {fits}, if that is their range" if fits else ""
            raise SourceError(f"{who} gave floats in {low:.4g}..{high:.4g}; expected 0..1, or uint8 in 0..255{hint}")
        return to_uint8(images, low=0.0, high=1.0, source=who)
