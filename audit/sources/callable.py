"""A user's own function ``module:name`` as a source: it is handed seeds and gives back images."""

import importlib
import inspect
import sys

import numpy as np
import torch

from audit.digests import digest
from audit.errors import SourceError
from audit.shapes import check_images
from audit.sources.base import OK, Batch


class CallableSource:
    """Draws images by ``function(seeds) -> (n, 3, h, w) uint8``; see :class:`audit.sources.base.ImageSource`.

    Args:
        name: what the run calls it.
        call: "module:function", importable from the working directory.
    """

    count = None
    caveats = ("drawn by a user's function; that an image depends on its seed alone is that function's promise",)

    def __init__(self, name: str, call: str) -> None:
        self.name = name
        module_name, _, function = call.partition(":")
        if not function:
            raise SourceError(f"generator {name!r}: call is {call!r}; expected 'module:function'")
        if "" not in sys.path:
            sys.path.insert(0, "")
        try:
            self.function = getattr(importlib.import_module(module_name), function)
        except ModuleNotFoundError as error:
            raise SourceError(f"generator {name!r}: no module {error.name!r}; run from the folder that holds it") from None
        except AttributeError:
            raise SourceError(f"generator {name!r}: module {module_name!r} has no {function!r}") from None
        try:
            code = inspect.getsource(self.function)
        except (OSError, TypeError):
            code = repr(self.function)
        self.digest = digest(["callable", call, code])

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        images = torch.as_tensor(self.function(seeds))
        check_images(images, source=self.name)
        if len(images) != len(seeds):
            raise SourceError(f"generator {self.name!r} gave {len(images)} images for {len(seeds)} seeds; expected one each")
        return Batch(ids, seeds, list(images), [OK] * len(ids))
