"""Diffusers pipelines opened safely: from a directory or the Hub, components of diffusers and transformers only, no code of theirs.

What a repository may bring is weights as safetensors, or as .bin files that are read with ``weights_only=True``. Python files,
components of other libraries and ``trust_remote_code`` are refused.
"""

import difflib
import inspect
import json
import re
import warnings
from pathlib import Path
from typing import Any

from audit.digests import digest, file_digest
from audit.errors import ManifestError, SourceError

LIBRARIES = ("diffusers", "transformers", "stable_diffusion")
"""What the components of a pipeline may come from; the last is diffusers' own name for its safety checker."""

HUB = re.compile(r"[\w.-]+/[\w.-]+")
WEIGHTS = (".safetensors", ".bin")


def open_pipeline(weights: str, *, revision: str | None = None, scheduler: str | None = None) -> tuple[Any, Path]:
    """Return a diffusers pipeline and the folder it lies in.

    Args:
        weights: a directory written by ``save_pretrained``, a flat one with the network's config.json and a
            scheduler_config.json, or "owner/name" on the Hub.
        revision: commit, branch or tag on the Hub.
        scheduler: class of diffusers that replaces the pipeline's own, with or without "Scheduler"; None = the pipeline's own.

    Raises:
        SourceError: nothing there, no scheduler, a component missing or of another library, or a scheduler that does not go with it.
        ManifestError: weights that cannot be read as tensors.
    """
    folder = Path(weights).expanduser()
    if not folder.is_dir():
        folder = _from_hub(weights, revision)
    index = _index(folder)
    for name, component in index.items():
        _check_component(folder, name, component)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # diffusers announces its own future at every turn
            pipeline = _build(folder, index)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError, EOFError, json.JSONDecodeError) as problem:
        raise ManifestError(f"the pipeline in {folder} cannot be opened ({' '.join(str(problem).split())[:200]})") from None
    if scheduler is not None:
        pipeline.scheduler = _scheduler(pipeline, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline, folder


def folder_digest(folder: Path) -> str:
    """Return the sha256 over the names and bytes of the files of a pipeline that decide its images."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in (*WEIGHTS, ".json", ".txt", ".model") and ".cache" not in p.parts)
    return digest([[str(p.relative_to(folder)), file_digest(p)] for p in files])


def _from_hub(weights: str, revision: str | None) -> Path:
    if not HUB.fullmatch(weights):
        raise SourceError(f"no pipeline at {weights}; expected a directory of a diffusers pipeline, or 'owner/name' on the Hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = ["*.json", "*.txt", "*.model", "*.safetensors"]
    try:
        folder = Path(snapshot_download(weights, revision=revision, allow_patterns=patterns))
        if not any(folder.rglob("*.safetensors")):
            folder = Path(snapshot_download(weights, revision=revision, allow_patterns=[*patterns, "*.bin"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as problem:
        raise SourceError(f"{weights!r} is no directory here and cannot be had from the Hub ({' '.join(str(problem).split())[:160]}); "
                          f"give a directory, or check the name, the network and HF_HUB_OFFLINE") from None  # fmt: skip
    return folder


def _index(folder: Path) -> dict[str, list]:
    """Return {component: [library, class]}; the class of the pipeline under "_class_name"."""
    file = folder / "model_index.json"
    if file.is_file():
        try:
            index = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            raise SourceError(f"{file} is not JSON; get the pipeline again") from None
        if not isinstance(index, dict) or not isinstance(index.get("_class_name"), str):
            raise SourceError(f"{file} names the pipeline {index.get('_class_name') if isinstance(index, dict) else index!r}; expected the "
                              f"name of a class of diffusers (a pipeline that brings its own code is refused)")  # fmt: skip
        found = {k: v for k, v in index.items() if k == "_class_name" or (isinstance(v, list) and not k.startswith("_"))}
        if not isinstance(found.get("scheduler"), list) or found["scheduler"][0] is None:
            raise SourceError(f"the pipeline in {folder} has no scheduler: model_index.json names {', '.join(sorted(set(found) - {'_class_name'}))}"
                              f"; expected a component 'scheduler' with its scheduler_config.json")  # fmt: skip
        return found
    if not (folder / "config.json").is_file():
        raise SourceError(f"{folder} holds no model_index.json; expected a directory written by a diffusers pipeline's save_pretrained")
    if not (folder / "scheduler_config.json").is_file():
        raise SourceError(f"the network in {folder} has no scheduler: scheduler_config.json is missing beside its config.json; "
                          f"put the one it was trained with there")  # fmt: skip
    return {"_class_name": "DDPMPipeline", "unet": ["diffusers", "UNet2DModel"], "scheduler": ["diffusers", "DDPMScheduler"]}


def _check_component(folder: Path, name: str, component: Any) -> None:
    if name == "_class_name":
        import diffusers

        if not hasattr(diffusers, component):
            raise SourceError(f"the pipeline in {folder} is a {component}, which this diffusers ({diffusers.__version__}) does not have")
        return
    library, kind = component if len(component) == 2 else (None, None)
    if library is None:
        return  # an optional part that is not there
    if library not in LIBRARIES:
        raise SourceError(f"component {name!r} of the pipeline in {folder} comes from {library!r}; expected one of {', '.join(LIBRARIES)}, since "
                          f"a repository's own code is never run")  # fmt: skip
    if library == "transformers":
        try:
            import transformers  # noqa: F401
        except ImportError:
            raise SourceError(f"component {name!r} of the pipeline in {folder} is a {kind} of transformers, which is not installed; "
                              f"install genbias[text]") from None  # fmt: skip
    part = folder / name
    if (folder / "model_index.json").is_file() and not part.is_dir() and not (folder / "config.json").is_file():
        raise SourceError(f"component {name!r} ({kind}) of the pipeline in {folder} is missing: there is no folder {part.name!r}")
    if any(part.glob("*.py")):
        raise SourceError(f"component {name!r} of the pipeline in {folder} brings Python code; a repository's own code is never run")


def _build(folder: Path, index: dict) -> Any:
    import diffusers

    diffusers.utils.logging.disable_progress_bar()  # a run has a bar of its own
    if (folder / "model_index.json").is_file():
        return diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True, trust_remote_code=False, low_cpu_mem_usage=False)
    unet = diffusers.UNet2DModel.from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False)
    config = json.loads((folder / "scheduler_config.json").read_text(encoding="utf-8"))
    kind = config.get("_class_name", "DDPMScheduler")
    made = _scheduler_class(kind).from_config(config)
    return diffusers.DDIMPipeline(unet, made) if kind == "DDIMScheduler" else diffusers.DDPMPipeline(unet, made)


def _scheduler_class(name: str) -> Any:
    import diffusers

    known = {n.removesuffix("Scheduler").lower(): n for n in dir(diffusers) if n.endswith("Scheduler") and not n.startswith("Flax")}
    wanted = name.removesuffix("Scheduler").lower()
    if wanted not in known:
        close = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
        hint = f" (did you mean {known[close[0]]!r}?)" if close else ""
        raise SourceError(f"diffusers has no scheduler {name!r}{hint}; expected the name of a class such as DDIMScheduler")
    return getattr(diffusers, known[wanted])


def _scheduler(pipeline: Any, name: str) -> Any:
    made = _scheduler_class(name).from_config(pipeline.scheduler.config)
    steps = inspect.signature(made.step).parameters
    if type(pipeline).__name__ == "DDPMPipeline" and ("generator" not in steps or float(getattr(made, "init_noise_sigma", 1)) != 1):
        raise SourceError(f"{type(made).__name__} does not go with a DDPMPipeline, which gives a scheduler each image's own random numbers; "
                          f"expected DDIM, DDPM or DPMSolverMultistep")  # fmt: skip
    return made
