"""The README's picture of the editing study, identity at equal change: ``python -m reports.studies.editing_picture RUN``."""

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from audit.errors import ReportError
from audit.records import write_whole
from reports.loading import load

PICTURE = Path(__file__).resolve().parent.parent / "pictures" / "editing.svg"

_INK, _MUTED = "#222222", "#6b6b6b"
_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "genbias", "font.family": "sans-serif", "font.size": 10, "axes.spines.top": False,
    "axes.spines.right": False, "axes.edgecolor": _MUTED, "text.color": _INK, "axes.labelcolor": _INK, "xtick.color": _MUTED, "ytick.color": _MUTED,
}  # fmt: skip
_LINES = {"self_conditioned": ("#1f6f8b", "-", 2.4), "conditional": ("#222222", "-", 1.5), "interfacegan": ("#222222", (0, (5, 2)), 1.5),
          "ganspace": ("#8a8a8a", (0, (1.5, 1.5)), 1.8), "learned": ("#c8553d", "-", 1.5)}  # fmt: skip


def picture(study: Mapping[str, Any]) -> str:
    """Return the picture as a standalone SVG.

    Raises:
        ReportError: this is no editing study, or it lists no edits.
    """
    edits = study.get("edits") if study.get("kind") == "editing" else None
    if not edits:
        raise ReportError("this run holds no editing study; make one with `genbias run editing`")
    with matplotlib.style.context(["default", _STYLE]):
        drawn = Figure(figsize=(3.2 * len(edits), 3.8))
        axes = drawn.subplots(1, len(edits), sharey=True, squeeze=False)[0]
        for at, edit in zip(axes, edits, strict=True):
            _panel(at, edit)
        axes[0].set_ylabel("similarity to the unedited person")
        lines = {line.get_label(): line for at in axes for line in at.get_lines() if not str(line.get_label()).startswith("_")}
        drawn.legend(lines.values(), lines.keys(), loc="lower center", ncols=3, frameon=False, fontsize=9.5)
        drawn.tight_layout(rect=(0, 0.14, 1, 1))
        out = io.StringIO()
        drawn.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue().replace("<svg ", f'<svg role="img" aria-label="{_said(edits)}" ', 1)


def _panel(axes: Axes, edit: Mapping[str, Any]) -> None:
    for curve in sorted(edit["curves"], key=lambda c: c["by"] == "self_conditioned"):
        colour, dashes, width = _LINES.get(curve["by"], _LINES["ganspace"])
        equal = curve["equal"]
        axes.fill_between(equal["change"], equal["low"], equal["high"], color=colour, alpha=0.15, linewidth=0)
        axes.plot(equal["change"], equal["identity"], color=colour, linestyle=dashes, linewidth=width, label=str(curve["title"]))
    perfect = edit.get("redrawn")
    if perfect:
        axes.plot([perfect["change"]], [perfect["identity"]], "D", color=_INK, markersize=5, linestyle="none", label="same person, redrawn")
    strangers = [c["strangers"] for c in edit["curves"]]
    axes.axhline(sum(strangers) / len(strangers), color=_MUTED, linewidth=0.8, linestyle=":")
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(left=0)
    axes.set_title(f"{edit['title']}\ntowards {edit['towards']}", fontsize=10, weight="bold", loc="left")
    axes.set_xlabel("change of the judge's mean score")


def _said(edits: list[Mapping[str, Any]]) -> str:
    parts = []
    for e in edits:
        ends = [f"{c['title']} {c['equal']['identity'][-1]:.2f} at {c['equal']['change'][-1]:.2f}" for c in e["curves"]]
        parts.append(f"{e['title']} towards {e['towards']}: {', '.join(ends)}")
    return "Similarity to the unedited person against the change of the attribute, at the end of each curve. " + ". ".join(parts).replace(
        '"', ""
    )


def main(run: str) -> None:
    """Write the picture of a run's study beside the other pictures."""
    write_whole(PICTURE, picture(load(Path(run)).get("study") or {}).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
