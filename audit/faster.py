"""Networks in bfloat16, or compiled, where the difference has been looked at: shortcuts of a run that are tried before they are taken.

A spec's ``precision: bfloat16`` runs convolutions and matrix products of generators, classifiers and encoders under ``torch.autocast``;
``compile: true`` hands their modules to ``torch.compile``. Both move numbers a little. Before anything is collected, a few images of
every generator are drawn and read both ways, and a run whose numbers would move by more than :data:`TOLERANCE` is refused. Face
finders and the arithmetic of skin tone keep float32.
"""

import copy
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import nn

from audit.errors import GenbiasError, SpecError
from audit.instruments.base import Instrument
from audit.seeds import image_seeds
from audit.sources.base import Batch, ImageSource

NETWORKS = ("classifier", "second_rater", "encoder", "identity")
"""Roles whose instruments are networks that may be hurried."""

PROBES = 32
"""Images of each generator that are drawn and read both ways."""


class Tolerance(NamedTuple):
    """By how much numbers may move, as means over the probes.

    Attributes:
        pixels: levels of 0..255.
        readings: of probabilities.
        features: share of a feature's spread.
    """

    pixels: float = 1.0
    readings: float = 0.01
    features: float = 0.02


TOLERANCE = Tolerance()


class Shortcuts(NamedTuple):
    """What a spec asks for.

    Attributes:
        precision: of convolutions and matrix products.
        compiled: whether modules are compiled.
    """

    precision: Literal["float32", "bfloat16"] = "float32"
    compiled: bool = False

    @property
    def taken(self) -> bool:
        """Whether anything is asked for."""
        return self != Shortcuts()

    @property
    def identity(self) -> dict[str, Any]:
        """What a run's digest adds: nothing where nothing is asked for, so that older runs are continued."""
        return {"shortcuts": list(self)} if self.taken else {}

    def context(self, device: str) -> AbstractContextManager:
        """Return what a network runs under."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)


class _Faster:
    """Something with a network, asked under its shortcuts; all else it leaves to what it stands for."""

    def __init__(self, owner: Any, shortcuts: Shortcuts, device: str) -> None:
        self._owner, self._shortcuts, self._device = _compiled(owner, shortcuts), shortcuts, device

    def __getattr__(self, name: str) -> Any:
        if "_owner" not in vars(self):  # a copy that is being made
            raise AttributeError(name)
        return getattr(self._owner, name)


class FasterSource(_Faster):
    """A source whose network takes shortcuts; see :class:`audit.sources.base.ImageSource`."""

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        """Draw as the source does."""
        with self._shortcuts.context(self._device):
            return self._owner.draw(ids, seeds)


class FasterInstrument(_Faster):
    """An instrument whose network takes shortcuts; see :class:`audit.instruments.base.Instrument`."""

    def read(self, batch: Batch) -> dict[str, np.ndarray]:
        """Read as the instrument does."""
        with self._shortcuts.context(self._device):
            return self._owner.read(batch)


def hurried_source(source: ImageSource, shortcuts: Shortcuts, device: str) -> ImageSource:
    """Return a source with the shortcuts a spec asks for: itself where it asks for none, or where it has no network."""
    networked = bool(_modules(source)) or hasattr(source, "pipeline")
    return FasterSource(source, shortcuts, device) if shortcuts.taken and networked else source  # type: ignore[return-value]


def hurried_instruments(instruments: Sequence[Instrument], shortcuts: Shortcuts, device: str) -> list[Instrument]:
    """Return instruments with the shortcuts a spec asks for."""
    if not shortcuts.taken:
        return list(instruments)
    return [FasterInstrument(i, shortcuts, device) if i.role in NETWORKS else i for i in instruments]  # type: ignore[misc]


def check_shortcuts(plain: dict[str, ImageSource], faster: dict[str, ImageSource], instruments: Sequence[Instrument],
                    faster_instruments: Sequence[Instrument], *, seed: int, tolerance: Tolerance = TOLERANCE) -> list[str]:  # fmt: skip
    """Draw and read a few images both ways and return sentences for the report.

    Args:
        plain: sources without shortcuts; they share no module with ``faster``.
        faster: the same with them.
        instruments: who read, without shortcuts.
        faster_instruments: the same with them.
        seed: of the run; the probes are its first images.
        tolerance: what is let pass.

    Raises:
        SpecError: a generator or an instrument moves by more, or its answers are no numbers.
    """
    moved: dict[str, float] = {"pixels": 0.0, "readings": 0.0, "features": 0.0}
    for name, source in plain.items():
        ids = np.arange(PROBES if source.count is None else min(PROBES, source.count))
        seeds = image_seeds(seed, ids, stream="image")
        batch, other = source.draw(ids, seeds), _tried(lambda s=faster[name], ids=ids, seeds=seeds: s.draw(ids, seeds))  # type: ignore[misc]
        apart = [float((a.float() - b.float()).abs().mean()) for a, b in zip(batch.images, other.images, strict=True)]
        moved["pixels"] = max(moved["pixels"], _within(f"images of generator {name!r}", float(np.mean(apart)), tolerance.pixels, "levels of 255"))
        for instrument, quick in zip(instruments, faster_instruments, strict=True):
            if instrument is quick:
                instrument.read(batch)  # a face finder, which sets the boxes for those after it
                continue
            again = Batch(batch.ids, batch.seeds, batch.images, batch.status, boxes=batch.boxes, landmarks=batch.landmarks)
            readings = [instrument.read(batch), _tried(lambda i=quick, b=again: i.read(b))]  # type: ignore[misc]
            for column, values in readings[0].items():
                kind = "features" if values.ndim == 2 else "readings"
                moved[kind] = max(moved[kind], _moved(instrument.role, name, column, values, readings[1][column], tolerance))
    return [f"networks ran {_how(faster, faster_instruments)}; on the first {PROBES} images of each generator this moved pixels by up to "
            f"{moved['pixels']:.2f} of 255 levels, readings by up to {moved['readings']:.4f} and features by up to {moved['features']:.2%} of their "
            "spread (means)"]  # fmt: skip


def _tried(work: Callable[[], Any]) -> Any:
    """Return what the work returns.

    Raises:
        SpecError: torch could not compile a module, or has no bfloat16 for one of its operations.
    """
    try:
        return work()
    except GenbiasError:
        raise
    except Exception as problem:  # what compilers raise is theirs
        raise SpecError(f"the shortcuts precision and compile do not work here ({type(problem).__name__}: {' '.join(str(problem).split())[:160]}); "
                        "leave them out of the spec") from None  # fmt: skip


def _moved(role: str, generator: str, column: str, values: np.ndarray, others: np.ndarray, tolerance: Tolerance) -> float:
    known = ~np.isnan(values)
    if not known.any():
        return 0.0
    what = f"{column} of the {role} on generator {generator!r}"
    if values.ndim == 2:
        spread = float(np.nanstd(values, axis=0).mean()) or 1.0
        return _within(f"features of the {role} on generator {generator!r}", float(np.abs(values - others)[known].mean()) / spread,
                       tolerance.features, "of their spread")  # fmt: skip
    scale = 1.0 if float(np.nanmax(np.abs(values))) <= 1.0 else float(np.nanstd(values)) or 1.0
    return _within(what, float(np.abs(values - others)[known].mean()) / scale, tolerance.readings, "on a scale of 0 to 1")


def _within(what: str, moved: float, allowed: float, unit: str) -> float:
    if not moved <= allowed:  # NaN is not
        raise SpecError(f"the shortcuts precision and compile move {what} by {moved:.3g} {unit} on the first {PROBES} images; at most {allowed:g} is "
                        "let pass: leave them out of the spec")  # fmt: skip
    return moved


def _how(*hurried: Any) -> str:
    groups = [list(h.values()) if isinstance(h, dict) else list(h) for h in hurried]
    found = next((s._shortcuts for group in groups for s in group if isinstance(s, _Faster)), Shortcuts())
    return " and ".join(["in bfloat16"] * (found.precision == "bfloat16") + ["compiled"] * found.compiled) or "as they are"


def _modules(owner: Any) -> list[tuple[Any, str]]:
    """Return where a source or an instrument keeps its network: the object and the name of its attribute."""
    network = getattr(owner, "_network", None)
    places = [(owner, "module"), (owner, "model"), (network, "forward")]
    return [(o, name) for o, name in places if isinstance(getattr(o, name, None), nn.Module)]


def _compiled(owner: Any, shortcuts: Shortcuts) -> Any:
    """Return the owner, or where modules are to be compiled a copy whose modules are: the owner itself stays as it is."""
    if not shortcuts.compiled:
        return owner
    torch._logging.set_logs(all=logging.ERROR)  # what a compiler had to leave alone is of no use to who runs an audit
    owner = copy.copy(owner)
    for place, name in _modules(owner):
        module = getattr(place, name)
        if isinstance(module, torch.jit.ScriptModule):
            continue  # it is a compiled program already
        if place is owner:
            setattr(owner, name, torch.compile(module))
        else:
            owner._network = place._replace(forward=torch.compile(module))
    return owner
