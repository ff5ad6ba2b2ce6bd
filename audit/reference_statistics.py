"""Published means and covariances of reference images, found by name as clean-fid calls them.

clean-fid keeps them as ``DATASET_MODE_SPLIT_RESOLUTION.npz`` with the arrays ``mu`` and ``sigma``, e.g. ``ffhq_clean_trainval70k_256.npz``. A name
is looked for among the data manifests, then as a file in the folders of assets and where the installed clean-fid puts its downloads.
"""

import importlib.util
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from audit.errors import ManifestError, SpecError
from audit.manifests import Manifest, list_manifests, resolve, search_path
from audit.metrics.frechet import Moments

MODES = ("clean", "legacy_pytorch", "legacy_tensorflow")
"""clean-fid's ways of resizing, as they stand in the names of its files."""

_RESIZES = {"inside": "legacy_tensorflow"}  # of manifests, where they differ from clean-fid's word


def statistics_name(dataset: str, resolution: int | str, *, split: str = "train", mode: str = "clean", model: str = "inception_v3") -> str:
    """Return what clean-fid calls the statistics of a data set, without ``.npz``.

    Raises:
        SpecError: the mode is none of clean-fid's.

    Example:
        >>> statistics_name("FFHQ", 256, split="trainval70k")
        'ffhq_clean_trainval70k_256'
    """
    if mode not in MODES:
        raise SpecError(f"mode {mode!r} is none of clean-fid's; expected one of {', '.join(MODES)}")
    network = "" if model == "inception_v3" else f"_{model}"
    return f"{dataset}_{mode}{network}_{split}_{'na' if split == 'custom' else resolution}".lower()


def find_statistics(name: str, *, search: Sequence[str | Path] = ()) -> Path:
    """Return the file of statistics called ``name``: a manifest's, clean-fid's, or a path that ends in ``.npz``.

    Args:
        name: e.g. "ffhq_clean_trainval70k_256".
        search: folders to look in first.

    Raises:
        ManifestError: there is none; the sentence names those that are known.
    """
    if name.endswith(".npz"):
        path = Path(name).expanduser()
        if path.is_file():
            return path
        raise ManifestError(f"no statistics at {path}; expected an .npz file with the arrays mu and sigma")
    known = {m.name: m for m in list_manifests() if m.kind == "reference" and m.format == "statistics"}
    if name in known:
        return resolve(known[name], search=search)
    for folder in [*search_path(search), *_clean_fid_cache()]:
        for pattern in (f"{name}.npz", f"*/{name}.npz"):
            for found in sorted(folder.glob(pattern)) if folder.is_dir() else ():
                return found
    raise ManifestError(
        f"no statistics are called {name!r}; known names are {', '.join(sorted(known))}, or put {name}.npz into $GENBIAS_HOME, or give its path"
    )


def _clean_fid_cache() -> list[Path]:
    found = importlib.util.find_spec("cleanfid")
    return [Path(place) / "stats" for place in (found.submodule_search_locations or ())] if found else []


def read_statistics(path: Path) -> Moments:
    """Read mean and covariance; n is 0 where the file does not say it, as clean-fid's do not.

    Raises:
        ManifestError: the file is no archive of numbers with ``mu`` and ``sigma`` that fit each other.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("mu", "sigma", "n") if name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise ManifestError(f"{path} cannot be read as statistics ({str(error).splitlines()[0]}); expected an .npz file with mu and sigma") from None
    if not {"mu", "sigma"} <= set(arrays):
        raise ManifestError(f"{path} holds {', '.join(sorted(arrays)) or 'neither'}; expected the arrays mu and sigma")
    mean, covariance = (np.asarray(arrays[name]) for name in ("mu", "sigma"))
    numeric = all(np.issubdtype(a.dtype, np.floating) for a in (mean, covariance))
    if not numeric or mean.ndim != 1 or covariance.shape != (mean.size, mean.size):
        raise ManifestError(f"{path} holds mu of shape {mean.shape} and sigma of shape {covariance.shape}; expected (d,) and (d, d) floats")
    mean, covariance = mean.astype(np.float64), covariance.astype(np.float64)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ManifestError(f"{path} holds NaN or infinity")
    scale = float(np.abs(covariance).max())
    if float(np.abs(covariance - covariance.T).max()) > 1e-6 * scale or float(covariance.diagonal().min()) < 0:
        raise ManifestError(f"{path} holds a sigma that is no covariance: it is not symmetric, or has negative variances")
    return Moments(mean, (covariance + covariance.T) / 2, int(arrays["n"]) if "n" in arrays and np.ndim(arrays["n"]) == 0 else 0)


def require_same_mode(name: str, encoder: Manifest) -> None:
    """Refuse statistics that were made with another network or resize than the encoder's.

    Args:
        name: of the statistics; a name without a mode in it is taken at its word.
        encoder: of the generated images.

    Raises:
        SpecError: the two are not comparable.
    """
    stem = Path(name).stem
    mode = next((m for m in MODES if f"_{m}_" in stem), None)
    if mode is None:
        return
    if "_clip_" in stem or not encoder.name.startswith("inception_"):
        raise SpecError(f"the statistics {stem!r} are of another network than the encoder {encoder.name!r}; distances between them say nothing")
    resize = encoder.contract.input.resize if encoder.contract and encoder.contract.input else None
    own = _RESIZES.get(resize, resize)
    if own != mode:
        raise SpecError(
            f"the statistics {stem!r} were made in clean-fid's mode {mode!r}, and the encoder {encoder.name!r} resizes as {own!r}; "
            "take statistics and encoder of one mode"
        )
