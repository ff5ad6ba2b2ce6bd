"""What changed between two nights, of all that is recorded: weights, commits, versions, machine, spec; and generators that got another name."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from audit.history.chronicle import Entry

Change = dict[str, Any]
"""``what``, ``before`` and ``after``; ``of`` names the generator or instrument where it belongs to one."""


def changes(before: Entry, after: Entry, generator: str | None = None) -> list[Change]:
    """Return what is recorded as different between two nights, the likeliest cause first.

    Args:
        before: a night.
        after: a later one.
        generator: leave out the weights of other generators; None = those of all.
    """
    old, new = before.facts, after.facts
    found: list[Change] = []
    for name, digest in (new.get("generators") or {}).items():
        was = (old.get("generators") or {}).get(name)
        if generator in (None, name) and was is not None and was != digest:
            found.append({"what": "weights", "of": name, "before": was, "after": digest})
    if before.commit != after.commit:
        found.append({"what": "commit", "before": before.commit, "after": after.commit})
    for role, digest in (new.get("instruments") or {}).items():
        was = (old.get("instruments") or {}).get(role)
        if was is not None and was != digest:
            found.append({"what": "instrument", "of": role, "before": was, "after": digest})
    if old.get("references") and new.get("references") and old["references"] != new["references"]:
        found.append({"what": "reference", "before": _joined(old["references"]), "after": _joined(new["references"])})
    if before.spec != after.spec:
        found.append({"what": "spec", "before": before.spec, "after": after.spec})
    if before.genbias != after.genbias or old.get("commit") != new.get("commit"):
        found.append({"what": "genbias", "before": _version(before), "after": _version(after)})
    for name, version in (new.get("packages") or {}).items():
        was = (old.get("packages") or {}).get(name)
        if was is not None and was != version:
            found.append({"what": "package", "of": name, "before": was, "after": version})
    found += [{"what": key, "before": old.get(key), "after": new.get(key)} for key in ("python", "device", "platform")
              if old.get(key) and new.get(key) and old[key] != new[key]]  # fmt: skip
    return found


def causes(entries: Sequence[Entry], since: int, others: Sequence[int], generator: str) -> list[Change]:
    """Return what changed where a series stepped: just before its first night at the new level, or else before a night nearly as likely.

    Each carries ``night``, the first night with the change, and ``likely``: whether that is the night the step is put at.
    """
    for at in (since, *sorted((o for o in others if o != since), key=lambda o: abs(o - since))):
        found = changes(entries[at - 1], entries[at], generator) if at > 0 else []
        if found:
            return [{**c, "night": entries[at].night, "likely": at == since} for c in found]
    return []


def renamed(entries: Sequence[Entry]) -> list[dict[str, str]]:
    """Return the generators that got another name: the same weights, the old name gone and the new one not there before."""
    found = []
    for before, after in pairwise(entries):
        old, new = before.facts.get("generators") or {}, after.facts.get("generators") or {}
        gone, come = {n: d for n, d in old.items() if n not in new}, {n: d for n, d in new.items() if n not in old}
        for name, digest in come.items():
            twins = [was for was, d in gone.items() if d == digest]
            if len(twins) == 1 and sum(d == digest for d in come.values()) == 1:
                found.append({"before": twins[0], "after": name, "night": after.night, "weights": digest})
    return found


def _joined(digests: Sequence[Any]) -> str:
    return " ".join(str(d)[:12] for d in digests)


def _version(entry: Entry) -> str:
    commit: Mapping[str, Any] = entry.facts
    return " ".join(filter(None, (entry.genbias, str(commit.get("commit") or "")[:12])))
