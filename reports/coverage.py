"""The picture of the selfcheck: how often intervals held the truth, a dot a setting, and how often verdicts were wrong."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_GOOD, _RAW, _INK, _MUTED, _BAND = "#1f6f8b", "#c8553d", "#222222", "#6b6b6b", "#e8eef0"
_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "genbias", "font.family": "sans-serif", "font.size": 10, "axes.spines.top": False,
    "axes.spines.right": False, "axes.spines.left": False, "axes.edgecolor": _MUTED, "text.color": _INK, "axes.labelcolor": _INK,
    "xtick.color": _MUTED, "ytick.color": _INK, "ytick.major.size": 0,
}  # fmt: skip

_WIDE, _NAMES, _ROW, _TITLE, _AXIS = 9.0, 4.4, 0.25, 0.42, 0.5  # inches

NOMINAL = 0.95
LEFT = 0.7
"""Coverage at the left edge; dots below it lie on the edge."""


def figure(rows: Sequence[dict[str, Any]]) -> str:
    """Return the picture as a standalone SVG.

    Args:
        rows: of :func:`audit.studies.running.run_studies`.
    """
    covered, wrong = _coverages(rows), _errors(rows)
    panels: list[tuple[Callable[[Axes, list], None], list, str]] = []
    if covered:
        panels.append((_coverage_panel, covered, "How often nominal 95 % intervals held the truth, a dot a setting (band: 93 to 99 %)"))
    if wrong:
        panels.append((_error_panel, wrong, "How often a decision was wrong: the truth at the limit, or looked at after every image (line: 5 %)"))
    high = sum(_TITLE + _ROW * len(part) + _AXIS for _, part, _ in panels)
    with matplotlib.style.context(["default", _STYLE]):
        drawn = Figure(figsize=(_WIDE, high))
        top = high
        for draw, part, title in panels:
            drawn.text(0.05 / _WIDE, (top - 0.22) / high, title, fontsize=11, weight="bold")
            bottom = top - _TITLE - _ROW * len(part)
            draw(drawn.add_axes((_NAMES / _WIDE, bottom / high, (_WIDE - _NAMES - 0.35) / _WIDE, _ROW * len(part) / high)), part)
            top = bottom - _AXIS
        out = io.StringIO()
        drawn.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    said = "Coverage of nominal 95 % intervals in simulated audits, a dot a setting; below, how often verdicts were wrong."
    return text.replace("<svg ", f'<svg role="img" aria-label="{said}" ', 1)


def _coverages(rows: Sequence[dict[str, Any]]) -> list[tuple[str, str, list[float]]]:
    """Return (name, colour, coverages) a kind of interval, raw labels beneath the corrected ones."""
    kinds: dict[tuple[str, str], list[float]] = {}
    for r in rows:
        if r.get("coverage") is None:
            continue
        if r["study"] == "shares":
            key = (f"{r['quantity']}, corrected" if r["corrected"] else f"{r['quantity']}, labels as they came", _GOOD if r["corrected"] else _RAW)
        else:
            key = (f"{'difference of ' if r['difference'] else ''}{_named(r['metric'])} ({r['estimand']})", _GOOD)
        kinds.setdefault(key, []).append(float(r["coverage"]))
    order = sorted(kinds, key=lambda kind: (", " not in kind[0], kind[0].startswith("difference"), kind[0].split(",")[0], kind[1] == _RAW))
    return [(name, colour, kinds[name, colour]) for name, colour in order]


def _errors(rows: Sequence[dict[str, Any]]) -> list[tuple[str, float, float | None]]:
    """Return (name, share of audits with a wrong decision, the same without what guards against it)."""
    found = [(_short(r["case"]), float(r["wrong"]), float(r["wrong_unadjusted"]) if r["limits"] > 1 else None)
             for r in rows if r["study"] == "verdicts"]  # fmt: skip
    return found + [(_short(name), wrong, None) for name, wrong in looks(rows)]


def looks(rows: Sequence[dict[str, Any]]) -> list[tuple[str, float]]:
    """Return what was looked at again and again, and how often any look was wrong at the worst of its truths."""
    worst: dict[str, float] = {}
    for r in rows:
        if r["study"] == "sequences" and r.get("ever_wrong") is not None and r.get("limit") is None:
            accuracy = f", accuracy {r['accuracy']:g}" if r.get("accuracy") is not None else ""
            name = f"{r['name']}, K = {r['K']}{accuracy}"
            worst[name] = max(worst.get(name, 0.0), float(r["ever_wrong"]))
    return list(worst.items())


def _short(name: str) -> str:
    for long, short in (("fairness_discrepancy", "discrepancy"), (", looked at after every image", ""), (", looked at again and again", ""),
                        ("sequence of", "sequence,"), ("one classifier and calibration", "one classifier")):  # fmt: skip
        name = name.replace(long, short)
    return name


def _named(metric: str) -> str:
    return {"fid": "Fréchet distance", "kid": "kernel distance"}.get(metric, metric)


def _coverage_panel(axes: Axes, kinds: list[tuple[str, str, list[float]]]) -> None:
    rng = np.random.default_rng(0)  # places dots of one row beside each other
    axes.axvspan(0.93, 0.99, color=_BAND, zorder=0)
    axes.axvline(NOMINAL, color=_MUTED, linewidth=1, zorder=1)
    for y, (_, colour, values) in enumerate(kinds):
        x = np.array([v for v in values if v >= LEFT])
        axes.scatter(x, y + rng.uniform(-0.18, 0.18, len(x)), s=13, color=colour, alpha=0.65, linewidths=0, zorder=2)
        below = sum(v < LEFT for v in values)
        if below:
            axes.text(LEFT + 0.006, y + 0.02, f"{below} below, down to {min(values):.2f}", va="center", color=colour, fontsize=8, bbox={"color": "white", "pad": 1})
    axes.set_yticks(range(len(kinds)), [name for name, _, _ in kinds])
    axes.tick_params(axis="y", pad=6)
    axes.set_ylim(len(kinds) - 0.4, -0.6)
    axes.set_xlim(LEFT, 1.004)
    axes.set_xticks([0.7, 0.8, 0.9, 0.95, 1.0], ["70 %", "80 %", "90 %", "95 %", "100 %"])


def _error_panel(axes: Axes, kinds: list[tuple[str, float, float | None]]) -> None:
    axes.axvline(0.05, color=_MUTED, linewidth=1, zorder=1)
    for y, (name, value, without) in enumerate(kinds):
        bad = "fixed-n" in name
        axes.scatter([value], [y], s=24, color=_RAW if bad else _GOOD, zorder=2)
        if without is not None:
            axes.scatter([without], [y], s=24, color=_RAW, zorder=2)
            axes.text(without + 0.015, y, "without Holm", va="center", fontsize=8, color=_RAW)
    axes.set_yticks(range(len(kinds)), [name for name, _, _ in kinds])
    axes.tick_params(axis="y", pad=8)
    axes.set_ylim(len(kinds) - 0.4, -0.6)
    axes.set_xlim(-0.01, 1)
    axes.set_xticks([0, 0.05, 0.25, 0.5, 0.75, 1.0], ["", "5 %", "25 %", "50 %", "75 %", "100 %"])
