"""Which prompts a text-to-image pipeline does not read to their end, because its tokenizer takes only so many tokens."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

TOKENIZERS = ("tokenizer", "tokenizer_2", "tokenizer_3")
"""Names under which pipelines of diffusers keep theirs; a prompt is read as far as the most patient of them goes."""


@dataclass(frozen=True)
class Cut:
    """A prompt that is read in part.

    Attributes:
        tokens: how many it has, marks of beginning and end included.
        limit: how many are read.
        unread: the end that is not, as the tokenizer spells it.
    """

    tokens: int
    limit: int
    unread: str


def cut_prompts(pipeline: Any, prompts: Iterable[str]) -> dict[str, Cut]:
    """Return the prompts whose ends the pipeline does not read; none where it has no tokenizer that says how much it takes."""
    known = [t for t in (getattr(pipeline, name, None) for name in TOKENIZERS) if t is not None and _limit(t) is not None]
    if not known:
        return {}
    patient = max(known, key=lambda t: _limit(t) or 0)
    limit, found = _limit(patient) or 0, {}
    for prompt in prompts:
        ids = list(patient(prompt, truncation=False, verbose=False)["input_ids"])
        if len(ids) > limit:
            closing = 1 if ids[-1] == getattr(patient, "eos_token_id", None) else 0
            rest = ids[limit - closing : len(ids) - closing]  # the mark of the end is put back after the cut
            found[prompt] = Cut(len(ids), limit, " ".join(patient.decode(rest).split()))
    return found


def said_of_cut(found: dict[str, Cut], prompts: int) -> tuple[str, ...]:
    """Return the sentence of the report, none where every prompt is read whole."""
    if not found:
        return ()
    first = next(iter(found.values()))
    ends = "; ".join(f'"{c.unread}"' for c in list(found.values())[:3]) + ("; ..." if len(found) > 3 else "")
    return (f"{len(found)} of {prompts} prompts are longer than the {first.limit} tokens that the pipeline reads, and are cut; it never sees their "
            f"ends: {ends}",)  # fmt: skip


def _limit(tokenizer: Any) -> int | None:
    said = getattr(tokenizer, "model_max_length", None)
    return said if isinstance(said, int) and said > 0 else None  # without a limit tokenizers say 10^30
