"""Sentences about what moved, for terminals and pages alike; made from :mod:`audit.history.story`'s document, importing nothing."""

from collections.abc import Mapping
from typing import Any

_NAMES = {
    "fairness_discrepancy": "fairness discrepancy", "fid": "FID", "kid": "KID", "share": "share of images labelled", "group_fid": "FID within group",
    "group_kid": "KID within group", "share_worst_case": "share of images labelled, worst case",
}  # fmt: skip


def subject(row: Mapping[str, Any]) -> str:
    """Return what a series is of: "fairness discrepancy of skin tone, rebalanced"."""
    metric, group = str(row["metric"]), row.get("group")
    if metric == "share" and group:
        what = f"share of images labelled {_plain(group)}"
    else:
        what = _NAMES.get(metric, _plain(metric)) + (f" of {_plain(row['attribute'])}" if row.get("attribute") else "")
        what += f" ({_plain(group)})" if group else ""
    who = str(row["generator"]) + (f" less {row['baseline']}" if row.get("baseline") else "")
    marks = ("second rater" if row.get("reader") == "second_rater" else "", "" if row.get("corrected") or metric not in _CORRECTABLE else "uncorrected")
    return f"{what}, {who}" + "".join(f", {m}" for m in marks if m)


def move(found: Mapping[str, Any]) -> str:
    """Return one move in a sentence: which measure, by how much, since when, and how it was found."""
    way = {True: "to the worse", False: "to the better", None: "neither better nor worse by itself"}[found["worse"]]
    since = f"since {found['since']}" + (f" (or {listed(found['or_since'], most=3)})" if found.get("or_since") else "")
    return (f"{subject(found)} moved {way} {since}: {number(found['before'])} before, {number(found['after'])} since, "
            f"a difference of {signed(found['difference'])} (95 % interval {signed(found['low'])} to {signed(found['high'])})")  # fmt: skip


def cause(found: Mapping[str, Any]) -> str:
    """Return what changed where a series stepped, in a sentence."""
    told = found.get("causes") or []
    if not told:
        return "nothing that is recorded changed around that night (weights, commit, instruments, references, spec, versions, machine)"
    text = listed([change(c) for c in told], most=4)
    if told[0].get("likely", True):
        return f"changed that night: {text}"
    return f"nothing recorded changed that night; on {told[0]['night']}, nearly as likely a beginning, changed: {text}"


def change(told: Mapping[str, Any]) -> str:
    """Return one change: "weights of rebalanced (1f2e3d4c to 9a8b7c6d)"."""
    what = str(told["what"])
    name = {"spec": "the spec", "genbias": "genbias", "package": str(told.get("of")), "instrument": f"the instrument {told.get('of')}",
            "weights": f"weights of {told.get('of')}", "reference": "the reference", "commit": "commit"}.get(what, what)  # fmt: skip
    return f"{name} ({_brief(told.get('before'))} to {_brief(told.get('after'))})"


def exact(found: Mapping[str, Any]) -> str:
    """Return where numbers that had been the same every night changed, in a sentence."""
    return (f"{found['generator']}: its numbers had been the same since {found['same_since']} and {found['changed']:,} of {found['of']:,} changed on "
            f"{found['night']}; chance cannot do that with the same images; {cause({'causes': found['causes']})}")  # fmt: skip


def renaming(found: Mapping[str, Any]) -> str:
    """Return that a generator goes by another name, in a sentence."""
    return (f"{found['after']} has the weights that {found['before']} had until {found['night']}: it seems to be renamed, and its series start anew; "
            f"give it the old name to go on with them")  # fmt: skip


def missing(dates: list[str]) -> str:
    """Return which nights have no run, in a sentence; empty where none is missing."""
    if not dates:
        return ""
    return f"{len(dates):,} {'night is' if len(dates) == 1 else 'nights are'} missing: {listed(dates, most=5)}"


def watching(document: Mapping[str, Any]) -> str:
    """Return what is watched, and how strictly, in a sentence."""
    count = document["watched"]["series"]
    return (f"{count:,} {'measure is' if count == 1 else 'measures are'} watched; a move is said of one when its score passes {document['watched']['alarm']:.2f}, "
            f"which chance does in at most about 5 % of years for all of them together")  # fmt: skip


def number(value: float | None) -> str:
    """Return a number in as many digits as its size deserves."""
    if value is None:
        return "not measured"
    size = abs(value)
    return f"{value:.3f}" if size < 10 else f"{value:.2f}" if size < 100 else f"{value:,.1f}"


def signed(value: float) -> str:
    """Return a difference with its sign."""
    text = number(abs(value))
    return ("+" if value > 0 else "\u2212" if value < 0 else "") + text


def listed(items: list[str], *, most: int) -> str:
    """Return "a, b and c"; beyond ``most`` the rest is counted."""
    if len(items) > most:
        items = [*items[:most], f"{len(items) - most:,} more"]
    return " and ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


_CORRECTABLE = ("share", "fairness_discrepancy", "share_gap", "parity_ratio", "total_variation", "kl_divergence", "entropy")


def _plain(word: object) -> str:
    return str(word).replace("_", " ").replace("reference:", "against the reference ").replace("*", " by ")


def _brief(value: object) -> str:
    text = str(value) if value is not None else "unknown"
    return text[:10] if len(text) >= 32 and " " not in text else text
