"""Text-to-image as a source: prompt templates times seeds, the prompt of each image kept in its record.

Image i is drawn from prompt i modulo their number, so each prompt has equally many images (up to one) and two generators under
audit answer the same prompt with the same seed. Images of one prompt agree more than images of several: the column "unit" holds
the prompt, and intervals draw prompts again, not images. With a single prompt the audit is of that prompt, and images are the units.
"""

import inspect
from itertools import product
from string import Formatter
from typing import Any

import numpy as np

from audit.digests import digest
from audit.errors import SourceError, SpecError
from audit.sources.base import Batch
from audit.sources.diffusion import DiffusionSource

Prompt = tuple[str, dict[str, str]]
"""A prompt and the words that fill its slots."""


class PromptedSource(DiffusionSource):
    """Draws images with a text-to-image pipeline; see :class:`audit.sources.base.ImageSource`.

    Record columns: "prompt"; "prompt:SLOT" for the words of each slot; "unit" where there are several prompts.

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
        self.digest = digest([self.digest, "prompted", self.prompts, guidance])
        several = f"{len(self.prompts)} prompts in turn, which are what intervals draw again" if len(self.prompts) > 1 else "one prompt"
        self.caveats = (f"drawn from {several}; how a prompt is worded decides what is drawn", *self.caveats)

    def draw(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        chosen = [self.prompts[int(i) % len(self.prompts)] for i in ids]
        texts = np.array([text for text, _ in chosen], dtype=object)
        images, blocked = self._ask(seeds, {"prompt": texts.tolist()})
        columns = {"prompt": texts} | ({"unit": texts} if len(self.prompts) > 1 else {})
        columns |= {f"prompt:{slot}": np.array([words.get(slot) for _, words in chosen], dtype=object) for slot in self.slots}
        return self._batch(ids, seeds, images, blocked, columns)

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
            slots = list(dict.fromkeys(s for _, s, _, _ in Formatter().parse(template) if s is not None))
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
