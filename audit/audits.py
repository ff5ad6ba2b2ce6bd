"""Whole audits from Python: the same names and the same results as the command."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.attributes import ATTRIBUTES, parts
from audit.calibrations import Calibration
from audit.digests import digest
from audit.engines import Choice, Engine, opened
from audit.engines.threads import on_idle_cores
from audit.errors import RunError, SpecError
from audit.labels import cells
from audit.result import Result
from audit.spec import Spec, load_spec

if TYPE_CHECKING:
    from audit.faster import Shortcuts
    from audit.records import Run
    from audit.sequential import Walk


def run(spec: str | Path | Spec, *, out: str | Path, samples: int | None = None, seed: int | None = None, device: str = "auto",
        command: str | None = None, workers: int | None = None, engine: str = "local", address: str | None = None,
        **changes: Any) -> Result:  # fmt: skip
    """Run an audit and return its result; the same call again continues an interrupted one.

    Args:
        spec: a shipped spec's name, a path, or a :class:`audit.spec.Spec`.
        out: the run directory, or an fsspec location such as ``s3://bucket/run``; one made for another spec is refused.
        samples: images a generator; None = as the spec says.
        seed: seed of the run; None = as the spec says.
        device: "auto", "cpu", "cuda" or "cuda:1".
        command: what the report prints under "how to reproduce"; None = the matching ``genbias run``.
        workers: processes that draw and read, one a GPU where there are several; the result does not depend on it. None = this process, and
            on Ray as many as there is room for. A script that asks for several calls this under ``if __name__ == "__main__":``.
        engine: "local", or "ray" (``pip install genbias[ray]``).
        address: of a running Ray cluster, "HOST:PORT" or "auto"; None = Ray on this machine.
        changes: further keys of the spec, dots as double underscores, e.g. ``gallery=0``.

    Raises:
        GenbiasError: bad input, as a sentence; RunError when the run began and failed.
    """
    settings = {k.replace("__", "."): v for k, v in changes.items()}
    settings |= {k: v for k, v in (("samples", samples), ("seed", seed)) if v is not None}
    if isinstance(spec, Spec):
        loaded = Spec.model_validate({**spec.model_dump(), **settings})
        said = "genbias run SPEC"
    else:
        loaded = load_spec(str(spec), settings)
        said = f"genbias run {spec}" + "".join(f" --set {k}={v}" for k, v in settings.items())
    return _carry_out(loaded, out, choose_device(device), command or said, Choice(engine, workers, address))


def audit_images(images: str | Path, *, out: str | Path, reference: str | Path | None = None, attributes: list[str] | None = None,
                 classifiers: list[str] | None = None, encoder: str | None = None, faces: str = "find", samples: int | None = None,
                 assets: str | Path | None = None, device: str = "auto", command: str | None = None,
                 workers: int | None = None) -> Result:  # fmt: skip
    """Audit a folder, zip, tar or Parquet of images; no spec needed.

    Args:
        images: where they are.
        out: the run directory.
        reference: real images to measure quality against; needs an ``encoder``.
        attributes: what to read; None = whatever the classifiers and the skin-tone instrument can.
        classifiers: data manifests or built-in names; None = skin tone only.
        encoder: data manifest of a feature encoder, or "portraits".
        faces: "find" (MTCNN), or "aligned" when each image is one face already.
        samples: use the first so many images; None = all.
        assets: folder where files named by manifests are looked for.
        device: as for :func:`run`.
        command: what the report prints under "how to reproduce".
        workers: as for :func:`run`.
    """
    if faces not in ("find", "aligned"):
        raise SpecError(f"faces is {faces!r}; expected 'find' (look for them) or 'aligned' (each image is one face)")
    if reference is not None and encoder is None:
        raise SpecError("a reference needs an encoder to compare with; give encoder=, e.g. the manifest darknet_tiny")
    from audit.sources.folder import FolderSource

    count = FolderSource(images, name="images").count
    spec = Spec.model_validate({
        "name": f"images in {Path(images).name}",
        "samples": min(samples or count, count),
        "attributes": attributes or readable(classifiers or [], assets),
        "instruments": {"classifier": classifiers or None, "encoder": encoder, "skin_tone": "monk",
                        "face_finder": "mtcnn" if faces == "find" else None},
        "reference": {"source": "folder", "path": str(reference), "samples": 10**9} if reference is not None else None,
        "generators": {"images": {"source": "folder", "path": str(images), "title": Path(images).name}},
        "assets": str(assets) if assets is not None else None,
    })  # fmt: skip
    return _carry_out(spec, out, choose_device(device), command or f"genbias audit {images}", Choice(workers=workers))


def check_openable(spec: Spec) -> dict[str, Any]:
    """Open every source and instrument of ``spec`` without drawing an image; return their digests.

    Raises:
        GenbiasError: something cannot be opened.
    """
    from audit.instruments import open_instruments
    from audit.sources import open_source
    from audit.study import find_study

    _check_terms(spec)
    if spec.study is not None:
        find_study(spec.study)
    assets = (spec.assets,) if spec.assets else ()
    return {"name": spec.name, "samples": spec.samples,
            "generators": {n: open_source(n, g, assets=assets).digest for n, g in spec.generators.items()},
            "references": [open_source(f"reference {i}", r, assets=assets).digest for i, r in enumerate(spec.references)],
            "instruments": {f"{i.role} {at}": i.digest for at, i in enumerate(open_instruments(spec.instruments, assets=assets))}}  # fmt: skip


def _check_terms(spec: Spec) -> None:
    """Refuse a spec for commercial use that names assets whose terms do not allow it."""
    if not spec.commercial_use:
        return
    from audit.allowed_use import manifests_of, require_commercial_use

    roles = spec.instruments
    readers = [r.manifest for role in ("classifier", "second_rater") for r in roles.readers(role)]
    drawn = [s.path if s.source == "statistics" else s.weights for s in (*spec.generators.values(), *spec.references)]
    require_commercial_use(manifests_of([*readers, roles.encoder, roles.identity, roles.face_finder, *drawn]))


def choose_device(wanted: str) -> str:
    """Return "cpu" or a CUDA device that is there.

    Raises:
        SpecError: the device does not exist.
    """
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(wanted)
    except RuntimeError:
        raise SpecError(f"device {wanted!r} is unknown; expected auto, cpu, cuda or cuda:0") from None
    if kind.type == "cuda" and (not torch.cuda.is_available() or (kind.index or 0) >= torch.cuda.device_count()):
        raise SpecError(f"device {wanted!r} is not there: {torch.cuda.device_count()} CUDA devices found; use --device cpu")
    return wanted


def readable(classifiers: list[str], assets: str | Path | None) -> list[str]:
    """Return the attributes that these classifiers and the skin-tone instrument read."""
    from audit.instruments import open_instruments
    from audit.spec import InstrumentsSpec

    if not classifiers:
        return ["skin_tone"]
    opened = open_instruments(InstrumentsSpec(classifier=classifiers), assets=(str(assets),) if assets else ())
    read = {h.attribute for i in opened for h in getattr(i, "heads", ())}
    if any(not hasattr(i, "heads") for i in opened):
        return list(ATTRIBUTES)
    return [a for a in ATTRIBUTES if a in read or a == "skin_tone"]


def _carry_out(spec: Spec, out: str | Path, device: str, command: str, choice: Choice) -> Result:
    with on_idle_cores():
        return _audit(spec, out, device, command, choice)


def _audit(spec: Spec, out: str | Path, device: str, command: str, choice: Choice) -> Result:
    import torch

    from audit import gallery
    from audit.comparisons import compare_pairs
    from audit.engines.allocator import keep_freed_blocks
    from audit.engines.local import collect_all, shard_job
    from audit.faster import Shortcuts
    from audit.group_quality import GroupQuality
    from audit.instruments import open_instruments
    from audit.measure import measure
    from audit.provenance import peak_memory_bytes, provenance
    from audit.quality import Quality
    from audit.records import Run
    from audit.result import readings_of
    from audit.sequential import check_sequential, look_marks
    from audit.sources import open_source
    from audit.study import StudyContext, carry_out_study, find_study
    from audit.verdicts import judge

    keep_freed_blocks()
    torch.set_flush_denormal(True)
    began = time.perf_counter()
    if spec.until:
        check_sequential(spec)
    if spec.study is not None:
        find_study(spec.study)
    _check_terms(spec)
    assets = (spec.assets,) if spec.assets else ()
    calibrations = {role: calibration_of(spec, role) for role in ("classifier", "second_rater")}
    here = device if choice.alone or spec.study is not None else "cpu"  # workers have the GPUs; this process only looks at digests
    instruments = open_instruments(spec.instruments, device=here, assets=assets)
    sources = {name: open_source(name, g, device=here, assets=assets) for name, g in spec.generators.items()}
    references = [open_source(f"reference {at}", r, device=here, assets=assets) for at, r in enumerate(spec.references)]
    shortcuts = Shortcuts(spec.precision, spec.compile)
    identity = _identity(spec, sources, references, instruments) | shortcuts.identity
    sources, instruments, said = _hurried(shortcuts, sources, instruments, here, spec.seed)
    choice.check()
    store = Run(out, identity)
    calibration = calibrations["classifier"]
    try:
        with store.locked():
            asked = spec
            with opened(choice, shard_job(spec, store, sources, references, instruments), device=device) as engine:
                walk = _walk(spec, store, sources, instruments, calibration, engine) if spec.until else None
                if walk is not None:
                    spec = spec.model_copy(update={"samples": walk.images})
                collect_all(spec, store, sources, references, instruments, engine=engine)
            collected = time.perf_counter()
            rng = np.random.default_rng(spec.seed)
            quality = Quality(store, spec, rng=rng)
            groups = GroupQuality(quality)
            looks = None if walk is None else look_marks(walk.images, spec.shard)
            measures = measure(store, spec, rng=rng, calibration=calibration, training=_training(spec), quality=quality, groups=groups,
                               looks=looks)  # fmt: skip
            comparisons = compare_pairs(store, spec, calibration=calibration, second_calibration=calibrations["second_rater"],
                                        quality=quality, groups=groups)  # fmt: skip
            tables = _tables(spec, calibration)
            readings = readings_of(measures, tables) if walk is None else None  # plans are for looking once
            verdicts = judge(measures, spec.limits, comparisons, level=spec.level, readings=readings)
            study = None
            if spec.study is not None:
                study = carry_out_study(spec.study, StudyContext(store, spec, sources, measures, comparisons, calibrations, quality, groups,
                                                                 rng, device))  # fmt: skip
            facts = provenance(seed=spec.seed, spec_digest=digest(asked.model_dump(mode="json")), device=device, command=command)
            facts["weights"] = [_weight(i) for i in instruments]
            facts["caveats"] = [*_caveats(instruments, calibration), *said]
            stages: dict[str, float] = {}
            for name in [*sources]:
                for stage, seconds in store.seconds(name).items():
                    stages[stage] = round(stages.get(stage, 0.0) + seconds, 3)
            total = time.perf_counter() - began
            stages |= {"measure": round(time.perf_counter() - collected, 3), "total": round(total, 3)}
            frames = {name: store.frame(name) for name in sources}
            singles = tuple(a for a in spec.attributes if "*" not in a)
            result = Result(
                name=spec.name, path=store.path, location=store.location, measures=measures, provenance=facts, spec=asked.model_dump(mode="json"),
                attributes=_attributes(spec), comparisons=comparisons, verdicts=verdicts,
                calibration=tables, looks=[] if walk is None else walk.looks, study=study,
                generators=[_generator(name, spec, sources[name], frames[name]) for name in sources],
                gallery={name: gallery.entries(store, name, frames[name], spec.gallery, singles) for name in sources},
                timings={"seconds": stages, "images_per_second": round(sum(map(len, frames.values())) / max(total, 1e-9), 1),
                         "peak_memory_bytes": peak_memory_bytes(), "workers": engine.workers,
                         "notes": [note for name in sources for note in store.notes(name)]},
            )  # fmt: skip
            result.save()
            result.publish()
    except KeyboardInterrupt:
        raise RunError(f"interrupted; what was collected is kept in {out}, and the same command continues") from None
    return result


def _hurried(shortcuts: "Shortcuts", sources: dict, instruments: list, device: str, seed: int) -> tuple[dict, list, list[str]]:
    """Return sources and instruments with the shortcuts a spec asks for, tried on a few images, and what to say of them."""
    from audit.faster import check_shortcuts, hurried_instruments, hurried_source

    if not shortcuts.taken:
        return sources, instruments, []
    quick = {name: hurried_source(source, shortcuts, device) for name, source in sources.items()}
    quick_instruments = hurried_instruments(instruments, shortcuts, device)
    return quick, quick_instruments, check_shortcuts(sources, quick, instruments, quick_instruments, seed=seed)


def _identity(spec: Spec, sources: dict, references: list, instruments: list) -> dict:
    """What images and readings depend on. Limits, targets and the number of images may change without a new directory."""
    return {"schema": 1, "seed": spec.seed, "shard": spec.shard, "gallery": spec.gallery, "attributes": spec.attributes,
            "generators": {n: s.digest for n, s in sources.items()},
            "references": [s.digest for s in references],
            "instruments": [[i.role, i.digest] for i in instruments]}  # fmt: skip


def _walk(spec: Spec, store: "Run", sources: dict, instruments: list, calibration: Calibration | None, engine: Engine) -> "Walk":
    """Draw until every limit is decided, or the budget is spent."""
    from audit.engines.local import collect_all
    from audit.measure import measure_shares
    from audit.sequential import collect_until_decided, drawing_spec, look_marks, paths_of
    from audit.verdicts import judge

    def draw(images: int) -> None:
        for name, source in sources.items():
            collect_all(drawing_spec(spec, store, name, images), store, {name: source}, [], instruments, engine=engine)

    def paths(images: int) -> dict:
        return {(name, what): path for name in sources for what, path in paths_of(store.frame(name), spec, images).items()}

    def verdicts(seen: dict) -> list:
        images = max(int(path[-1].sum()) for path in seen.values())
        measures = measure_shares(store, spec, images=images, looks=look_marks(images, spec.shard), calibration=calibration,
                                  training=_training(spec))  # fmt: skip
        return judge(measures, spec.limits, level=spec.level)

    return collect_until_decided(spec, draw=draw, paths=paths, judge=verdicts)


def _tables(spec: Spec, calibration: Calibration | None) -> dict[str, list]:
    """Return the calibration's counts by attribute, for result.json."""
    known = {a: calibration.confusion(a) for a in spec.attributes} if calibration is not None else {}
    return {a: table.tolist() for a, table in known.items() if table is not None}


def calibration_of(spec: Spec, role: str = "classifier") -> Calibration | None:
    """Return what is known of the errors of the classifier in a role: the spec's own file, or what ships with a built-in one."""
    from audit.calibrations import read_calibration
    from audit.portraits.models import calibration

    if role == "classifier" and spec.calibration is not None:
        return read_calibration(Path(spec.calibration), classes={a: cells(a) for a in spec.attributes})
    readers = spec.instruments.readers(role)
    path = calibration(readers[0].manifest) if len(readers) == 1 else None
    return None if path is None else read_calibration(path)


def _training(spec: Spec) -> dict[str, dict[str, np.ndarray]]:
    from audit.portraits import known_population, population

    known = {}
    for name, g in spec.generators.items():
        if known_population(g.trained_on):
            known[name] = {a: population(g.trained_on).shares(a) for a in spec.attributes}
    return known


def _attributes(spec: Spec) -> dict[str, dict]:
    named = dict.fromkeys(p for a in spec.attributes for p in parts(a))
    return {a: {"title": ATTRIBUTES[a].title, "classes": list(ATTRIBUTES[a].classes), "caveat": ATTRIBUTES[a].caveat} for a in named}


def _generator(name: str, spec: Spec, source, frame) -> dict:  # noqa: ANN001
    given = spec.generators[name]
    found = frame.get("face_finder:face")
    bad = frame[frame["status"] != "ok"]
    names = bad["file"] if "file" in bad else bad["id"].map(lambda i: f"image {i}")
    return {"name": name, "title": given.title or name, "baseline": given.baseline, "compare_to": given.compare_to,
            "images": len(frame), "readable": int((frame["status"] == "ok").sum()), "unreadable": len(bad),
            "no_face": int((found == "no_face").sum()) if found is not None else 0,
            "several_faces": int((found == "several_faces").sum()) if found is not None else 0,
            "files_unreadable": [f"{f}: {s.removeprefix('unreadable: ')}" for f, s in zip(names, bad["status"], strict=True)],
            "caveats": list(source.caveats), "method": getattr(source, "method", None)}  # fmt: skip


def _weight(instrument) -> dict:  # noqa: ANN001
    name = getattr(instrument, "name", None) or getattr(instrument, "_name", type(instrument).__name__)
    return {"name": name, "role": instrument.role, "sha256": instrument.digest, "licence": getattr(instrument, "licence", None)}


def _caveats(instruments: list, calibration) -> list[str]:  # noqa: ANN001
    said = list(dict.fromkeys(c for i in instruments for c in i.caveats))
    if calibration is not None:
        said.append(f"Corrected shares use the errors of {calibration.name} on {calibration.images} {calibration.domain}; "
                    "on generated images the errors may be larger.")  # fmt: skip
    else:
        said.append("No calibration was given: shares are what the classifier says, its own errors included.")
    return said
