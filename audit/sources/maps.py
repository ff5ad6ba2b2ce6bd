"""Maps from image to image by the words of a spec: a filter, trained weights, a user's function, images already made."""

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from audit.digests import digest, file_digest
from audit.errors import SourceError, SpecError
from audit.filters import LARGEST, Filter
from audit.pixels import to_uint8
from audit.sources.base import OK, Batch, ImageSource
from audit.sources.mapped import ImageMap, size_of, softness_of

GIVEN: dict[str, Callable] = {}
"""Functions handed in from Python, by the name that stands for them in a spec of this process."""

KINDS = ("filter", "weights", "call", "folder")

SOFTNESS = 1.0
"""Sigma in pixels of a blur that should be as soft as a map that does not soften."""


class FilterMap:
    """A built-in filter as a map; ``facts`` say what it plants."""

    caveats: tuple[str, ...] = ()

    def __init__(self, filter: Filter, said: str = "") -> None:
        self.filter, self.digest = filter, filter.digest
        self.facts = {"kind": "filter", "filter": filter.name, "amount": filter.amount, "where": filter.where, "planted": filter.planted}
        if said:
            self.facts["said"] = said

    def apply(self, images: Tensor, batch: Batch, rows: np.ndarray) -> tuple[list[Tensor], list[str]]:
        return list(self.filter(images, batch.seeds[rows])), [OK] * len(images)


class NetworkMap:
    """A network from (n, 3, h, w) in -1..1 to the same as a map.

    Args:
        name: what sentences call it.
        module: the network; ``module.multiple`` divides the sides it takes.
        digest: of its weights.
        facts: what it is.
        device: where it runs.
    """

    caveats: tuple[str, ...] = ()

    def __init__(self, name: str, module: nn.Module, *, digest: str, facts: dict[str, Any], device: str = "cpu") -> None:
        self.name, self.digest, self.facts, self.device = name, digest, facts, device
        self.module = module.eval().to(device, memory_format=torch.channels_last)

    def apply(self, images: Tensor, batch: Batch, rows: np.ndarray) -> tuple[list[Tensor], list[str]]:
        multiple = getattr(self.module, "multiple", 1)
        if any(side % multiple or side < 2 * multiple for side in images.shape[2:]):
            raise SourceError(f"map {self.name!r} takes images whose sides are multiples of {multiple}, at least {2 * multiple}; found "
                              f"{images.shape[3]} x {images.shape[2]} pixels; resize or crop them first")  # fmt: skip
        x = (images.to(self.device).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            said = self.module(x)
        good = torch.isfinite(said).flatten(1).all(dim=1)
        pixels = to_uint8(torch.where(good.view(-1, 1, 1, 1), said, torch.full_like(said, -1.0)).cpu(), source=f"map {self.name!r}")
        return list(pixels), [OK if ok else "not finite" for ok in good.tolist()]


class CallableMap:
    """A user's function as a map: it is handed (n, 3, h, w) uint8 and gives back the same shape and type.

    Args:
        call: "module:function", importable from the working directory, or a name of :data:`GIVEN`.

    Raises:
        SourceError: there is no such function.
    """

    caveats = ("mapped by a user's function; that it gives the same image for the same image is that function's promise",)

    def __init__(self, call: str) -> None:
        self.call, self.function = call, GIVEN.get(call) or _imported(call)
        try:
            code = inspect.getsource(self.function)
        except (OSError, TypeError):
            code = repr(self.function)
        self.digest, self.facts = digest(["callable map", call, code]), {"kind": "call", "call": call}

    def apply(self, images: Tensor, batch: Batch, rows: np.ndarray) -> tuple[list[Tensor], list[str]]:
        try:
            given = self.function(images.clone())
        except Exception as problem:  # whatever a user's function fails with is told with its own words
            raise SourceError(f"map {self.call}: the function failed for {len(images)} images "
                              f"({type(problem).__name__}: {' '.join(str(problem).split())[:200]})") from problem  # fmt: skip
        try:
            after = torch.as_tensor(given).detach().cpu()
        except (TypeError, ValueError, RuntimeError):
            raise SourceError(f"map {self.call} gave a {type(given).__name__}; expected a tensor or array (n, 3, h, w) of uint8") from None
        if after.shape != images.shape:
            raise SourceError(f"map {self.call} gave {tuple(after.shape)} for images of shape {tuple(images.shape)}; expected the same shape")
        if after.dtype != torch.uint8:
            hint = "; return (images * 255).round().astype('uint8'), if they lie in 0..1" if after.is_floating_point() else ""
            raise SourceError(f"map {self.call} gave {after.dtype} images; expected uint8 in 0..255, as it was handed{hint}")
        return list(after), [OK] * len(after)


class FolderMap:
    """Images already made, matched to those of the base by name: the file's path in its folder, without its ending.

    Args:
        path: folder, zip, tar or Parquet of the images after.
        base: the images before, a folder source too.

    Raises:
        SourceError: the two do not hold the same names, or a name twice.
    """

    def __init__(self, path: str, base: ImageSource) -> None:
        from audit.sources.folder import FolderSource

        if not isinstance(base, FolderSource):
            raise SourceError(f"a folder of images after a map needs a folder of images before it; the base draws its own, so nothing in {path} is its pair")
        self.folder = FolderSource(path, name="after")
        before, after = _positions(base, "before"), _positions(self.folder, "after")
        if set(before) != set(after):
            raise SourceError(_unequal(before, after, base, self.folder))
        self._place = np.empty(len(before), dtype=np.int64)
        for name, at in before.items():
            self._place[at] = after[name]
        self.digest, self.facts = digest(["folder map", self.folder.digest]), {"kind": "folder", "folder": Path(path).name}

    @property
    def caveats(self) -> tuple[str, ...]:
        """What was done to the files read so far."""
        return self.folder.caveats

    def apply(self, images: Tensor, batch: Batch, rows: np.ndarray) -> tuple[list[Tensor], list[str]]:
        found = self.folder.draw(self._place[batch.ids[rows]], batch.seeds[rows])
        return found.images, found.status


def open_map(name: str, given: dict[str, Any], base: ImageSource, *, device: str = "cpu", assets: tuple[str, ...] = ()) -> ImageMap:
    """Return the map that a spec's ``map`` describes.

    Args:
        name: of the generator, for sentences.
        given: ``{filter: NAME, amount: X, where: image}``, ``{weights: portraits/cyclegan}``, ``{call: "module:function"}`` or
            ``{folder: DIR}``. A jitter may be ``as_large_as`` another map, a blur ``as_soft_as`` one, in the place of its amount: measured
            on a few images of the base.
        base: the images before.
        device: where a network runs.
        assets: folders where weights are looked for.

    Raises:
        SpecError: it describes no map.
        SourceError, ManifestError: what it names cannot be opened.
    """
    options, at = dict(given), f"generators.{name}.map"
    kinds = [k for k in KINDS if k in options]
    if len(kinds) != 1:
        raise SpecError(f"{at}: expected exactly one of {', '.join(KINDS)}; found {' and '.join(kinds) or ', '.join(options) or 'nothing'}")
    value = options.pop(kinds[0])
    if kinds[0] == "filter":
        return _filter(at, str(value), options, base, device=device, assets=assets)
    if options:
        raise SpecError(f"{at}: a map by {kinds[0]} takes no further key; found {', '.join(map(str, options))}")
    if kinds[0] == "call":
        return CallableMap(str(value))
    if kinds[0] == "folder":
        return FolderMap(str(value), base)
    from audit.generators.cyclegan import load_cyclegan
    from audit.portraits.models import shipped

    path = shipped(str(value)) if str(value).startswith("portraits/") else Path(str(value)).expanduser()
    if not path.is_file():
        raise SourceError(f"{at}: no weights at {path}; expected portraits/NAME or a .safetensors file that `genbias train cyclegan` wrote")
    return NetworkMap(str(value), load_cyclegan(path), digest=file_digest(path), facts={"kind": "weights", "weights": str(value)}, device=device)


def _filter(at: str, name: str, options: dict[str, Any], base: ImageSource, *, device: str, assets: tuple[str, ...]) -> FilterMap:
    if name not in LARGEST:
        raise SpecError(f"{at}: there is no filter {name!r}; there are: {', '.join(sorted(LARGEST))}")
    like = {"jitter": "as_large_as", "blur": "as_soft_as"}.get(name)
    unknown = set(options) - {"amount", "where", *([like] if like else [])}
    if unknown:
        raise SpecError(f"{at}: filter {name} takes no key {sorted(unknown)[0]!r}; it takes amount, where{f' and {like}' if like else ''}")
    where = options.get("where", "image")
    if like in options:
        if "amount" in options or not isinstance(options[like], dict):
            raise SpecError(f"{at}: give either amount or {like}, the latter a map such as {{weights: portraits/cyclegan}}")
        other = open_map(at.removeprefix("generators.").removesuffix(".map"), options[like], base, device=device, assets=assets)
        if name == "jitter":
            return FilterMap(Filter("jitter", round(min(size_of(base, other), LARGEST["jitter"]), 3), where), "as large as the map")
        found = softness_of(base, other, blur=lambda sigma: Filter("blur", sigma))
        return FilterMap(Filter("blur", SOFTNESS if found is None else found, where),
                         "the map takes away no detail" if found is None else "as soft as the map")  # fmt: skip
    try:
        amount = float(options.get("amount", 0.0))
    except (TypeError, ValueError):
        raise SpecError(f"{at}: amount is {options['amount']!r}; expected a number") from None
    if name != "identity" and "amount" not in options:
        raise SpecError(f"{at}: filter {name} needs an amount, e.g. {{filter: {name}, amount: 3}}")
    return FilterMap(Filter(name, amount, where))


def _imported(call: str) -> Callable:
    module_name, _, function = call.partition(":")
    if not function or not module_name:
        raise SourceError(f"map {call!r}: expected 'module:function'")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        found = getattr(importlib.import_module(module_name), function)
    except ModuleNotFoundError as error:
        raise SourceError(f"map {call!r}: no module {error.name!r}; run from the folder that holds it") from None
    except AttributeError:
        raise SourceError(f"map {call!r}: module {module_name!r} has no {function!r}") from None
    if not callable(found):
        raise SourceError(f"map {call!r} is a {type(found).__name__}; expected a function of images")
    return found


def _positions(folder: Any, side: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for at, name in enumerate(folder.files):
        stem = str(Path(name).with_suffix(""))
        if stem in found:
            raise SourceError(f"the folder of images {side} holds {folder.files[found[stem]]} and {name}, which have one name; expected one image a name")
        found[stem] = at
    return found


def _unequal(before: dict[str, int], after: dict[str, int], base: Any, made: Any) -> str:
    parts = []
    for lacking, mine, theirs, files in (("after", before, after, base.files), ("before", after, before, made.files)):
        gone = sorted(set(mine) - set(theirs))
        if gone:
            more = f" and {len(gone) - 5:,} more" if len(gone) > 5 else ""
            parts.append(f"{len(gone):,} have no image {lacking} ({', '.join(files[mine[n]] for n in gone[:5])}{more})")
    return f"images are paired by name, and of {len(before):,} before and {len(after):,} after, {' and '.join(parts)}; add or remove those files"
