"""Pages of a history: its document handed to whatever renderers are installed, and what they return written beside a run."""

import json
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

PAGES = {"page": "history.html", "summary": "history.md", "junit": "history.junit.xml"}
"""What renderers of the group ``genbias.history_renderers`` are called, and where what they return is written."""


def pages(document: dict[str, Any], folder: Path) -> list[Path]:
    """Write a history's document and its pages into a folder, each whole or not at all, and return their paths."""
    from audit.records import write_whole

    texts = {"history.json": json.dumps(document, indent=1, allow_nan=False)}
    texts |= {PAGES[name]: str(render(document)) for name, render in sorted(renderers().items()) if name in PAGES}
    for name, text in texts.items():
        write_whole(folder / name, text.encode("utf-8"))
    return [folder / name for name in texts]


def renderers() -> dict[str, Callable[[dict[str, Any]], str]]:
    """Return the installed renderers of a history's document, by name."""
    return {e.name: e.load() for e in entry_points(group="genbias.history_renderers")}
