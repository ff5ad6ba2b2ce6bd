"""Write the reports of a run, each file whole or not at all."""

import os
from pathlib import Path

from audit.errors import ReportError
from reports.loading import load


def write_all(run_dir: str | Path) -> list[Path]:
    """Write report.html, summary.md, junit.xml, measures.csv and model_cards/ beside the result.json of a run.

    The same result.json gives the same bytes. Each file appears under its name only once it is whole.

    Args:
        run_dir: the run directory; its gallery/ is embedded where it exists.

    Returns:
        The paths, in the order written: the four files, then a card a generator.

    Raises:
        ReportError: result.json is missing or unreadable, or the directory cannot be written.
    """
    from reports import html, junit, markdown, model_cards, tables

    folder = Path(run_dir)
    result = load(folder / "result.json")
    pages = {
        "report.html": html.render(result, run_dir=folder),
        "summary.md": markdown.render(result),
        "junit.xml": junit.render(result),
        "measures.csv": tables.measures_csv(result),
    }
    found = model_cards.cards(result)
    try:
        (folder / "model_cards").mkdir(exist_ok=True)
    except OSError as error:
        raise ReportError(f"{folder / 'model_cards'} cannot be made ({error.strerror}); model cards are written there") from error
    pages |= {f"model_cards/{name}": text for name, text in found.items()}
    return [write_text(folder / name, text) for name, text in pages.items()]


def write_text(path: Path, text: str) -> Path:
    """Write ``text`` as UTF-8 under a temporary name in the same folder, then rename it to ``path``.

    Raises:
        ReportError: the folder cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ReportError(f"{path} cannot be written ({error.strerror}); the other files are as they were") from error
    return path
