"""The small models shipped with the package: weights as safetensors, training logs and calibration beside them."""

from importlib import resources
from pathlib import Path

from audit.errors import ManifestError

FOLDER = Path(str(resources.files(__package__)))


def names() -> list[str]:
    """Return the names of the shipped models."""
    return sorted(p.stem for p in FOLDER.glob("*.safetensors"))


def shipped(name: str) -> Path:
    """Return the weights of a shipped model, given as "stylegan2" or "portraits/stylegan2", or a path as it is.

    Raises:
        ManifestError: there is no such model.
    """
    path = Path(name) if name.endswith(".safetensors") else FOLDER / f"{name.removeprefix('portraits/')}.safetensors"
    if not path.is_file():
        raise ManifestError(f"no shipped model {name!r}; there are {', '.join(names())}")
    return path


def shipped_file(name: str, suffix: str) -> Path:
    """Return a further shipped file, given as "portraits/NAME", or a path as it is.

    Raises:
        ManifestError: there is no such file.
    """
    path = FOLDER / f"{name.removeprefix('portraits/')}{suffix}" if name.startswith("portraits/") else Path(name)
    if not path.is_file():
        raise ManifestError(f"no file {name!r}; expected portraits/NAME of a shipped {suffix} file, or a path")
    return path


def calibration(name: str) -> Path | None:
    """Return the calibration file of a shipped classifier, None where there is none."""
    path = FOLDER / f"{name}.calibration.json"
    return path if path.is_file() else None
