"""The page's section of the editing study: which edit keeps the person, at equal change of the attribute."""

import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from audit.errors import ReportError
from reports import numerals as num
from reports.fragments import figure, folded, heading, pair, paragraph, table
from reports.reading import measured
from reports.studies import Result, Study
from reports.studies.editing_figures import drift_figure, fid_figure, identity_figure, key_figure, reached_figure
from reports.tables import Cell, Table

TITLE = "Which edit keeps the person?"

Row = Mapping[str, Any]

_PICTURE = re.compile(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+\Z")
_OUTCOMES = {"held": "Held.", "broken": "Not held.", "undecided": "Undecided.", "not_tested": "Not tested."}


def section(study: Study, result: Result) -> Markup:
    """Return the HTML: what was asked, then for each attribute a verdict, curves, tables and strips of images.

    Raises:
        ReportError: the study lists no edits.
    """
    edits = _edits(study)
    parts = [paragraph(finding(edits)), paragraph(_asked(study), quiet=True), figure(key_figure(edits, "editing-key"))]
    for at, edit in enumerate(edits):
        key = f"editing-{at}"
        parts += [
            heading(_titled(edit), anchor=key),
            paragraph(verdict(edit)),
            paragraph(_farthest(edit), quiet=True),
            _curves(study, edit, key),
            table(_claim(edit)),
            _strips(edit),
            folded("Every strength, in numbers", _points(edit)),
        ]
    return Markup("").join([*parts, *(paragraph(text, quiet=True) for text in _how(study))])


def markdown(study: Study, result: Result) -> str:
    """Return a line an attribute: the verdict."""
    from reports.markdown import safe

    return "\n".join(f"- **{safe(_titled(edit))}**: {safe(verdict(edit))}" for edit in _edits(study))


def finding(edits: list[Row]) -> str:
    """Return in one sentence for which attributes the claim held."""
    words = {"held": "held for", "broken": "not held for", "undecided": "undecided for", "not_tested": "not tested for"}
    told = []
    for outcome, begun in words.items():
        names = [
            f"{num.plain(e.get('title')).lower()} ({num.plain(e.get('towards'))})"
            for e in edits
            if (e.get("claim") or {}).get("outcome") == outcome
        ]
        told += [f"{begun} {num.listing(names)}"] if names else []
    return (
        f"That self-conditioned labels keep the person at least as well as the best move of the code is {'; '.join(told) or 'not tested'}."
    )


def verdict(edit: Row) -> str:
    """Return the claim's outcome in a sentence or two, with the numbers it rests on."""
    claim = edit.get("claim") or {}
    outcome = str(claim.get("outcome"))
    begun = _OUTCOMES.get(outcome, "Not tested.")
    rival = next((r for r in claim.get("rivals") or [] if r.get("by") == claim.get("best")), None)
    if rival is None:
        return f"{begun} {_sentence(str(claim.get('why') or 'there is nothing to compare'))}"
    told = {"held": "Self-conditioned labels keep the person at least as well as every move of the code",
            "broken": "A move of the code keeps the person better than the self-conditioned label",
            "undecided": "The interval cannot tell whether self-conditioned labels keep the person as well as the best move of the code"}[outcome]  # fmt: skip
    numbers = (f"Over changes of {rival['low_change']:.2f} to {rival['high_change']:.2f}, the outer half of what both reach, similarity is "
               f"{num.signed(rival['own'], 2)} against {num.signed(rival['other'], 2)} of the strongest rival ({_title(edit, rival['by'])}): "
               f"{_plus(rival['difference'])} ({num.signed(rival['low'], 2)} to {num.signed(rival['high'], 2)}).")  # fmt: skip
    return f"{begun} {told}. {numbers}"


def _farthest(edit: Row) -> str:
    """Return how far each kind of edit moves the attribute at most."""
    ends = []
    for c in edit.get("curves") or []:
        most = max((p["change"] for p in c["points"] if measured(p["change"])), key=lambda v: v["value"], default=None)
        if most is not None:
            ends.append(
                f"{num.plain(c.get('title'))} {_plus(most['value'])} ({num.signed(most['low'], 2)} to {num.signed(most['high'], 2)})"
            )
    told = f"Largest change of the judge's mean score: {num.listing(ends)}." if ends else ""
    perfect = edit.get("redrawn") or {}
    if perfect.get("identity") is None:
        return told
    return (f"{told} A perfect edit is known here: the renderer, asked for the same {num.count(int(perfect['images']))} people with this one thing "
            f"changed, moves the mean score by {_plus(perfect['change'])} and keeps a similarity of {num.signed(perfect['identity'], 2)}: what "
            "the embedding itself makes of such a change.")  # fmt: skip


def _curves(study: Study, edit: Row, key: str) -> Markup:
    drawn = [reached_figure(edit, f"{key}-reached"), identity_figure(edit, f"{key}-identity"), drift_figure(edit, f"{key}-drift"),
             fid_figure(edit, f"{key}-fid", str(study.get("reference") or ""))]  # fmt: skip
    return pair(*(figure(svg) for svg in drawn if svg is not None))


def _strips(edit: Row) -> Markup:
    blocks = []
    for c in edit.get("curves") or []:
        picture = c.get("strip")
        if not isinstance(picture, str) or not _PICTURE.match(picture):
            continue
        strengths = num.listing([num.tick(p["strength"]) for p in c["points"]])
        ids = num.listing([num.plain(i) for i in c.get("ids") or []])
        alt = f"{num.plain(c.get('title'))}: images {ids}, a row each, at strengths {strengths}"
        image = '<img src="{src}" alt="{alt}" style="display:block;width:{w}px;max-width:100%;height:auto">'
        blocks.append(
            Markup("<h4>{}</h4>").format(num.plain(c.get("title"))) + Markup(image).format(src=picture, alt=alt, w=80 * len(c["points"]))
        )
    if not blocks:
        return paragraph("This run kept no thumbnails to look at.", quiet=True)
    said = "The first ids of the run, nobody selected; strength grows from left to right, the leftmost image is unedited."
    return paragraph(said, quiet=True) + pair(*blocks)


def _claim(edit: Row) -> Table:
    claim = edit.get("claim") or {}
    rows = []
    for r in claim.get("rivals") or []:
        name = Cell(_title(edit, r.get("by")), "strongest rival" if r.get("by") == claim.get("best") else "", "head")
        if r.get("difference") is None:
            rows.append([name, Cell("not compared", num.plain(r.get("reason") or ""), "missing"), *[Cell("")] * 3])
            continue
        spans = f"{num.signed(r['low'], 2)} to {num.signed(r['high'], 2)}"
        rows.append([name, Cell(f"{r['low_change']:.2f} to {r['high_change']:.2f}", "", "number"), Cell(num.signed(r["own"], 3), "", "number"),
                     Cell(num.signed(r["other"], 3), "", "number"), Cell(_plus(r["difference"]), spans, "number")])  # fmt: skip
    level = claim.get("level")
    note = f"Differences with intervals simultaneous over these rows, at {num.percent(level)}." if isinstance(level, float) else ""
    return Table(f"{_titled(edit)}: mean similarity over the outer half of the common range of change",
                 ["Move of the code", "Changes compared", "Self-conditioned", "This move", "Difference"], rows, note=note)  # fmt: skip


def _points(edit: Row) -> Table:
    others = list(dict.fromkeys(a for c in edit.get("curves") or [] for p in c["points"] for a in p.get("drift") or {}))
    rows = []
    for c in edit.get("curves") or []:
        for p in c["points"]:
            far, drift, labelled = p.get("outside") or {}, p.get("drift") or {}, p.get("labelled") or {}
            under = "leaves the latent space" if far.get("flagged") else "beyond what it was made on" if p.get("beyond") else ""
            moved = f"{num.percent(labelled['before'])} to {num.percent(labelled['after'])}" if labelled.get("before") is not None else ""
            rows.append([
                Cell(f"{num.plain(c.get('title'))}, {num.tick(p['strength'])}", under, "head"), _number(p.get("change"), 3), Cell(moved, "", "number"),
                _number(p.get("identity"), 3), *(_number(drift.get(a), 1, share=True) for a in others), _number(p.get("fid"), 2),
                _number(far, 1, share=True) if far else Cell(""),
            ])  # fmt: skip
    columns = ["Edit and strength", "Change of mean score", f"Labelled {num.plain(edit.get('towards'))}", "Similarity",
               *(f"{num.plain(a).replace('_', ' ')} flipped" for a in others), "FID", "Codes outside"]  # fmt: skip
    return Table(
        f"{_titled(edit)}: every strength",
        columns,
        rows,
        note="Flips have intervals simultaneous over attributes and strengths of an edit.",
    )


def _number(row: Row | None, digits: int, *, share: bool = False) -> Cell:
    if not row:
        return Cell("")
    if not measured(row):
        return Cell("not measured", num.plain(row.get("reason") or ""), "missing")
    say = num.percent if share else lambda v: num.signed(v, digits)
    under = "" if row.get("low") is None or row["low"] == row["high"] else f"{say(row['low'])} to {say(row['high'])}"
    return Cell(say(row["value"]), under, "number")


def _asked(study: Study) -> str:
    judge, fitted = num.plain(study.get("judge") or "the judge"), num.plain(study.get("fitted_by") or "another classifier")
    return (f"Each edit shows the same people at every strength. How far the attribute has moved is what {judge} says; the moves of the code were fitted "
            f"to what {fitted} says. Edits are compared where they change the attribute equally. The claim under test: self-conditioned labels "
            "keep the person at least as well as the best move of the code, over the outer half of the range of change that both reach.")  # fmt: skip


def _how(study: Study) -> list[str]:
    limit = num.percent(float(study.get("quantile") or 0.999))
    return [f"{num.count(int(study.get('images') or 0))} images a point. Similarity is the cosine of identity embeddings of an edited image and of the "
            "unedited image of the same id and the same generator. A self-conditioned generator is another network, so its unedited image is its own, "
            "with the middle label. The embedding is not blind to age or presentation: a perfect edit need not reach 1.",
            "Strength 1 is the end of the label range, or two standard deviations of the codes along a direction; beyond it an edit leaves what it was "
            "made on. Bands resample ids; identity between two strengths is read off a straight line. A hollow mark is a strength at which more codes "
            f"leave the latent space than unedited ones do: they lie beyond the {limit} quantile of the generator's own codes."]  # fmt: skip


def _edits(study: Study) -> list[Row]:
    edits = study.get("edits")
    if not isinstance(edits, list) or not edits:
        raise ReportError("this result's editing study lists no edits; run it again with the genbias that shows it")
    return edits


def _titled(edit: Row) -> str:
    return f"{num.plain(edit.get('title') or edit.get('attribute'))}, towards {num.plain(edit.get('towards'))}"


def _title(edit: Row, by: Any) -> str:
    return next((num.plain(c.get("title")) for c in edit.get("curves") or [] if c.get("by") == by), num.plain(by))


def _plus(number: float) -> str:
    text = num.signed(number, 2)
    return f"+{text}" if number > 0 and any(c in text for c in "123456789") else text


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
