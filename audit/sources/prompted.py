"""Text-to-image as a source: prompt templates times seeds, the prompt of each image kept in its record.

Image i is drawn from prompt i modulo their number, so each prompt has equally many images (up to one) and two generators under
audit answer the same prompt with the same seed. Images of one prompt agree more than images of several: the column "unit" holds
the prompt, and intervals draw prompts again, not images. With a single prompt the audit is of that prompt, and images are the units.

A refusal is a result: an image that the safety checker flags or that comes out all black, and a prompt for which the pipeline raises,
have the status "refused", with the reason in the column "refusal". A pipeline that raises for every prompt is broken, not strict.
"""

import inspect
from itertools import product
from string import Formatter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.digests import digest
from audit.errors import SourceError, SpecError
from audit.memory import ran_out_of_memory
from audit.sources.base import Batch
from audit.sources.diffusion import DiffusionSource
from audit.sources.prompt_limits import cut_prompts, said_of_cut

Prompt = tuple[str, dict[str, str]]
"""A prompt and the words that fill its slots."""


class PromptedSource(DiffusionSource):
    """Draws images with a text-to-image pipeline; see :class:`audit.sources.base.ImageSource`.

    Record columns: "prompt"; "prompt:SLOT" for the words of each slot; "template" where there are several; "unit" where there are several
    prompts; "refusal", why there is no image, "" where there is one.

    Attributes:
        prompts: every prompt with the words of its slots, in turn.
        templates: which template each was made from.
        cut: the prompts that the pipeline does not read to their end.

    Args:
        name: what the run calls it.
        weights: a pipeline's directory, or "owner/name" on the Hub.
        prompts: templates with {slots}, or whole prompts.
        fill: words for each slot.
        guidance: guidance scale; None = the pipeline's own.
        options: as for :class:`DiffusionSource`.

    Raises:
        SpecError: no prompts, or templates and words that do not go together.
        SourceError, ManifestError: as :class:`DiffusionSource`; the pipeline takes no prompt.
    """

    def __init__(self, name: str, weights: str, *, prompts: list[str] | None, fill: dict[str, list[str]] | None = None,
                 guidance: float | None = None, **options: Any) -> None:  # fmt: skip
        if not prompts:
            raise SpecError(f"generators.{name}: source 'text_to_image' needs the key 'prompts', e.g. [\"a photo of a person\"]")
        self.prompts = fill_prompts(name, prompts, fill)
        self.slots = list(dict.fromkeys(slot for _, words in self.prompts for slot in words))
        super().__init__(name, weights, **options)
        if guidance is not None:
            if "guidance_scale" not in inspect.signature(self.pipeline.__call__).parameters:
                raise SpecError(f"generators.{name}.guidance: a {type(self.pipeline).__name__} has none; leave it out")
            self.call["guidance_scale"] = guidance
        self.digest = digest([self.digest, "prompted/2", self.prompts, guidance])
        self.cut = cut_prompts(self.pipeline, [text for text, _ in self.prompts])
        self.templates = [t for t in prompts for _ in product(*((fill or {})[s] for s in _slots(t)))]
        self._size = (1, 1)  # of an image; known once one is drawn, which comes before a refusal is believed
        self._refusing: set[str] = set()
        several = f"{len(self.prompts)} prompts in turn, which are what intervals draw again" if len(self.prompts) > 1 else "one prompt"
        self.caveats = (f"drawn from {several}; how a prompt is worded decides what is drawn", *said_of_cut(self.cut, len(self.prompts)), *self.caveats)

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        chosen = [self.prompts[int(i) % len(self.prompts)] for i in ids]
        texts = np.array([text for text, _ in chosen], dtype=object)
        images, why = self._asked(texts, seeds)
        columns = {"prompt": texts, "refusal": np.array(why, dtype=object)} | ({"unit": texts} if len(self.prompts) > 1 else {})
        if len(set(self.templates)) > 1:
            columns["template"] = np.array([self.templates[int(i) % len(self.prompts)] for i in ids], dtype=object)
        columns |= {f"prompt:{slot}": np.array([words.get(slot) for _, words in chosen], dtype=object) for slot in self.slots}
        return self._batch(ids, seeds, images, [bool(w) for w in why], columns)

    def _asked(self, texts: np.ndarray, seeds: np.ndarray) -> tuple[Tensor, list[str]]:
        """Return (n, 3, h, w) floats in 0..1, black where there is no image, and why there is none."""
        try:
            images, flagged = self._ask(seeds, {"prompt": texts.tolist()})
        except SourceError as problem:
            if not isinstance(problem.__context__, ValueError | RuntimeError) or ran_out_of_memory(problem):
                raise
            return self._one_by_one(texts, seeds, problem)
        self._size = (images.shape[2], images.shape[3])
        black = (images == 0).flatten(1).all(dim=1).tolist()
        return images, ["safety checker" if f else "black image" if b else "" for f, b in zip(flagged, black, strict=True)]

    def _one_by_one(self, texts: np.ndarray, seeds: np.ndarray, problem: SourceError) -> tuple[Tensor, list[str]]:
        """Ask for each image by itself: the pipeline raised, for one of them or because it cannot draw at all."""
        if len(texts) == 1:
            if texts[0] not in self._refusing and not self._draws_another(texts[0], seeds):
                raise problem  # the device failed, or the pipeline cannot draw at all
            self._refusing.add(texts[0])
            cause = problem.__context__
            said = f"{type(cause).__name__}: {' '.join(str(cause).split())[:120]}"
            return torch.zeros(1, 3, *self._size), [said]
        parts = [self._asked(texts[i : i + 1], seeds[i : i + 1]) for i in range(len(texts))]
        return torch.cat([image for image, _ in parts]), [why for _, (why,) in parts]

    def _draws_another(self, refused: str, seeds: np.ndarray) -> bool:
        """Whether any other prompt is drawn now; sets the size of its images."""
        for text in (t for t, _ in self.prompts if t != refused):
            try:
                images, _ = self._ask(seeds[:1], {"prompt": [text]})
            except SourceError:
                continue
            self._size = (images.shape[2], images.shape[3])
            return True
        return False

    def _check_kind(self, accepted: Any) -> None:
        if "prompt" not in accepted:
            raise SourceError(f"generator {self.name!r}: a {type(self.pipeline).__name__} takes no prompt; say source: diffusion")
        needs = [k for k, p in accepted.items() if p.default is p.empty and k not in ("prompt", "self") and p.kind is not p.VAR_KEYWORD]
        if needs:
            raise SourceError(f"generator {self.name!r}: a {type(self.pipeline).__name__} needs {', '.join(needs)} beside the prompt; "
                              f"expected a text-to-image pipeline")  # fmt: skip


def fill_prompts(name: str, prompts: list[str], fill: dict[str, list[str]] | None) -> list[Prompt]:
    """Return every prompt that the templates and the words for their {slots} make, with the words used, in the order written.

    Raises:
        SpecError: a slot without words, words without a slot, a template that is none, or the same prompt twice.

    Example:
        >>> fill_prompts("g", ["a photo of a {job}"], {"job": ["nurse", "pilot"]})
        [('a photo of a nurse', {'job': 'nurse'}), ('a photo of a pilot', {'job': 'pilot'})]
    """
    fill, made, used = fill or {}, [], set()
    for template in prompts:
        try:
            slots = _slots(template)
        except ValueError as problem:
            raise SpecError(f"generators.{name}.prompts: {template!r} is no template ({problem}); write {{{{ and }}}} for braces") from None
        for slot in slots:
            if not fill.get(slot):
                raise SpecError(f"generators.{name}.fill: no words for the slot {{{slot}}} of {template!r}; there are {', '.join(fill) or 'none'}")
        used |= set(slots)
        for words in product(*(fill[s] for s in slots)):
            chosen = dict(zip(slots, words, strict=True))
            made.append((template.format(**chosen), chosen))
    if set(fill) - used:
        raise SpecError(f"generators.{name}.fill: {', '.join(sorted(set(fill) - used))} is in no prompt; expected a {{slot}} of that name")
    texts = [text for text, _ in made]
    twice = sorted({t for t in texts if texts.count(t) > 1})
    if twice:
        raise SpecError(f"generators.{name}.prompts: {twice[0]!r} occurs more than once; expected each prompt once")
    return made


def _slots(template: str) -> list[str]:
    return list(dict.fromkeys(s for _, s, _, _ in Formatter().parse(template) if s is not None))
